//! `templates_destinations`: where a template sends audio and video besides the room, one record each.
//!
//! - **Source:** `/v2/templates`; for each that is read `/v2/templates/{id}/destinations` (RTMP, HLS,
//!   browser recordings, transcriptions) and `/v2/templates/{id}/recordings` (the successor of browser
//!   recordings); and the storage in the template's own `settings.recording.upload`.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Key:** the destination's key within its kind. Recording configurations come as a bare array:
//!   there the name is the key, or the position when there is none. A kind that comes in two spellings is one kind,
//!   and a destination that stands under both comes once.
//! - **Open in the reference:** every part may be missing, null or empty. A kind this version does not
//!   know is read all the same, under its own name in snake case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join;
use serde_json::value::RawValue;

use super::stream::{Skipped, StreamError, StreamInfo};
use super::template_parents::{Parent, TemplateParts, info};
use crate::api::{Endpoint, Get, Keyed, members_of};
use crate::records::Kind::{Object, Text};
use crate::records::{Fields, Format, MASK, Place, Record, RecordError, Rows, Table, Value, column, snake_case};

static TABLE: Table = Table {
    description: "One destination of a template.",
    columns: &[
        column("template_id", Text, "The template."),
        column("id", Text, "The key of the destination within its kind."),
        column(
            "destination_type",
            Text,
            "Its kind: rtmp, hls, browser_recording, transcription, recording or recording_storage.",
        ),
        column("name", Text, "Its name."),
        column("role", Text, "The role it belongs to."),
        column("config", Object, "All its settings; stream keys and credentials are masked."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    primary_key: &["template_id", "destination_type", "id"],
    ..info("templates_destinations", &TABLE, |context| {
        let skipped = ["destinations", "recording configurations"].map(Skipped::new);
        Arc::new(TemplateParts {
            context,
            skipped,
            rows_of: |stream, parent| Box::pin(destinations_of(stream, parent)),
        })
    })
};

/// The key of the storage below `settings.recording`.
const UPLOAD: &str = "upload";

async fn destinations_of(stream: &TemplateParts<2>, parent: Parent) -> Result<Rows, StreamError> {
    let (client, format) = (&stream.context.client, &stream.context.format);
    let by_kind = |answer: &RawValue| rows_by_kind(format, &parent.id, answer);
    let recordings =
        |answer: &RawValue| rows_of_kind(format, &parent.id, "recording", Place::Open, (0, answer), &mut Known::new());
    let (by_kind, recordings) = join(
        client.one::<&'static RawValue, _>(Get::of(Endpoint::TEMPLATE_DESTINATIONS, &parent.id), by_kind),
        client.one::<&'static RawValue, _>(Get::of(Endpoint::TEMPLATE_RECORDINGS, &parent.id), recordings),
    )
    .await;
    let mut rows = Rows::default();
    for (skipped, part) in stream.skipped.iter().zip([by_kind, recordings]) {
        rows.append(skipped.note(&parent.id, part)?.transpose()?.unwrap_or_default());
    }
    if let Some(upload) = parent.settings.as_deref().and_then(upload) {
        let record = record_of(&parent.id, "recording_storage", UPLOAD, Place::Open, upload);
        rows.push(format, &record, None);
    }
    Ok(rows)
}

fn rows_by_kind(format: &Format, template: &str, answer: &RawValue) -> Result<Rows, RecordError> {
    let mut rows = Rows::default();
    let mut kinds: HashMap<Cow<'_, str>, Known<'_>> = HashMap::new();
    for (list, (kind, destinations)) in members(template, answer)?.into_iter().enumerate() {
        // A kind nobody knows may have the name of a secret.
        let place = kind.as_deref().map_or(Place::Open, |kind| Place::Open.below(kind));
        let kind = kind.as_deref().map_or(Cow::Borrowed("destination"), kind_of);
        // A plain value beside the kinds is not a destination.
        if destinations.get().starts_with(['{', '[']) {
            let known = kinds.entry(kind.clone()).or_default();
            rows.append(rows_of_kind(format, template, &kind, place, (list, destinations), known)?);
        }
    }
    Ok(rows)
}

/// The rows of a list of destinations of one kind, but for those that are known from another list.
fn rows_of_kind<'a>(
    format: &Format,
    template: &str,
    kind: &str,
    place: Place,
    (list, answer): (usize, &'a RawValue),
    known: &mut Known<'a>,
) -> Result<Rows, RecordError> {
    let mut rows = Rows::default();
    for (position, (key, config)) in members(template, answer)?.into_iter().enumerate() {
        let place = key.as_deref().map_or(place, |key| place_of(place, key, config));
        // Below the name of a secret everything may be the secret.
        let name = || name_of(config).filter(|_| !place.is_secret());
        let id = key.or_else(name).unwrap_or_else(|| position.to_string().into());
        let is_same = |(other, json): &(usize, &str)| *other != list && *json == config.get();
        if known.get(id.as_ref()).is_some_and(is_same) {
            continue;
        }
        let numbered = (position..).map(|number| format!("{id}#{number}"));
        let mut ids = std::iter::once(id.to_string()).chain(numbered);
        let unique = ids.find(|id| !known.contains_key(id)).unwrap_or_default();
        rows.push(format, &record_of(template, kind, &unique, place, config), None);
        known.insert(unique, (list, config.get()));
    }
    Ok(rows)
}

/// The destinations of a kind by id: in which list of the answer each stood, and its JSON.
type Known<'a> = HashMap<String, (usize, &'a str)>;

fn record_of<'a>(template: &'a str, kind: &'a str, id: &'a str, place: Place, config: &'a RawValue) -> Record<'a> {
    let fields = Fields::of(config).unwrap_or_default();
    let label = |name| fields.get(name).map(|value| if place.is_secret() { MASK.into() } else { Value::from(value) });
    Record::new(&TABLE)
        .with("template_id", template)
        .with("id", id)
        .with("destination_type", kind)
        .with("name", label("name"))
        .with("role", label("role"))
        .with("config", Value::Json(place, config))
}

/// The members of an answer or of a part of it.
fn members<'a>(template: &str, answer: &'a RawValue) -> Result<Keyed<'a, &'a RawValue>, RecordError> {
    members_of(Some(answer))
        .map_err(|_| RecordError::new(Some(template), "destinations", "is neither an object nor an array"))
}

/// The place of a destination under `key`: one that has the name of a secret may be one, unless it says itself
/// that this is what it is called.
fn place_of(kind: Place, key: &str, config: &RawValue) -> Place {
    let is_called_so = name_of(config).is_some_and(|name| name == key);
    if kind.is_secret() || is_called_so { kind } else { kind.below(key) }
}

fn kind_of(key: &str) -> Cow<'static, str> {
    match key {
        "rtmpDestinations" | "rtmp_destinations" => "rtmp".into(),
        "hlsDestinations" | "hls_destinations" => "hls".into(),
        "browserRecordings" | "browser_recordings" => "browser_recording".into(),
        "transcriptions" => "transcription".into(),
        // These come from elsewhere.
        "recording" | "recordingStorage" | "recording_storage" => format!("{}_destination", snake_case(key)).into(),
        other => snake_case(other).into(),
    }
}

fn name_of(config: &RawValue) -> Option<Cow<'_, str>> {
    Fields::of(config)?.text("name")
}

/// `recording.upload` of a template's settings, when it says anything.
fn upload(settings: &RawValue) -> Option<&RawValue> {
    let upload = Fields::of(settings)?.inside("recording").get(UPLOAD)?;
    let says_something = upload.get().trim_start_matches('{').trim_start().starts_with('"');
    says_something.then_some(upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn kinds_have_their_names_and_unknown_ones_their_own() {
        for (key, kind) in [
            ("rtmpDestinations", "rtmp"),
            ("browserRecordings", "browser_recording"),
            ("sipDestinations", "sip_destinations"),
            ("recording", "recording_destination"),
        ] {
            assert_eq!(kind_of(key), kind);
        }
    }

    #[test]
    fn storage_counts_when_it_says_anything() {
        assert!(upload(raw(r#"{"recording":{"upload":{ "type":"s3"}}}"#)).is_some());
        for none in
            [r#"{"recording":{"upload":{}}}"#, r#"{"recording":{"upload":null}}"#, r#"{"recording":null}"#, "{}", "[]"]
        {
            assert!(upload(raw(none)).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_no_list_of_destinations_is_an_error_and_null_is_none() {
        assert!(members("t", raw("5")).is_err());
        assert_eq!(members("t", raw(r#"{"a":null,"b":{}}"#)).unwrap().len(), 1);
    }
}
