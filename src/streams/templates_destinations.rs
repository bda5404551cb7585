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
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError};
use super::record::{Label, Rows, record};
use super::schema::snake_case;
use super::secrets::{MASK, Place};
use super::skipped::Skipped;
use super::slice::Slice;
use super::template_parents::{self, Parent};
use super::values::{Placed, Text, text};
use crate::api::{ApiError, Client, Keyed, Members, Raw, TemplatePart};

record! {
    /// One destination of a template.
    DestinationRecord {
        /// The template.
        template_id: Label<'a>,
        /// The key of the destination within its kind.
        id: Label<'a>,
        /// Its kind: rtmp, hls, browser_recording, transcription, recording or recording_storage.
        destination_type: Label<'a>,
        /// Its name.
        name: Label<'a>,
        /// The role it belongs to.
        role: Label<'a>,
        /// All its settings; stream keys and credentials are masked.
        config: Placed<'a>,
    }
}

/// The key of the storage below `settings.recording`.
const UPLOAD: &str = "upload";

/// The stream.
pub(super) struct TemplatesDestinations {
    reading: Reading,
    /// Templates without destinations.
    destinations: Skipped,
    /// Templates without recording configurations.
    recordings: Skipped,
}

impl Stream for TemplatesDestinations {
    const NAME: &'static str = "templates_destinations";
    const PRIMARY_KEY: &'static [&'static str] = &["template_id", "destination_type", "id"];
    const CURSOR: Option<&'static str> = None;
    const LISTS: &'static [&'static str] = &["templates"];
    type Record = DestinationRecord<'static>;

    fn open(reading: Reading) -> Self {
        let [destinations, recordings] = ["destinations", "recording configurations"].map(Skipped::new);
        Self { reading, destinations, recordings }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        template_parents::fetch(&self.reading, &slice, |parent| self.destinations_of(parent)).await
    }

    /// The settings are one column, whatever is in them.
    async fn sample(_: &Client) -> Result<Map<String, Value>, ApiError> {
        Ok(Map::new())
    }

    fn remarks(&self) -> Vec<Remark> {
        [self.destinations.remarks(), self.recordings.remarks()].concat()
    }

    fn undecided(&self) -> Option<ApiError> {
        self.destinations.undecided().or_else(|| self.recordings.undecided())
    }
}

impl TemplatesDestinations {
    async fn destinations_of(&self, parent: Parent) -> Result<Rows, StreamError> {
        let client = &self.reading.client;
        let by_kind = |answer: &RawValue| self.rows_by_kind(&parent.id, answer);
        let recordings =
            |answer: &RawValue| self.rows_of_kind(&parent.id, "recording", Place::Open, (0, answer), &mut Known::new());
        let (by_kind, recordings) = join(
            client.template_part(&parent.id, TemplatePart::DESTINATIONS, by_kind),
            client.template_part(&parent.id, TemplatePart::RECORDINGS, recordings),
        )
        .await;
        let mut rows = Rows::default();
        for (skipped, part) in [(&self.destinations, by_kind), (&self.recordings, recordings)] {
            rows.append(skipped.note(&parent.id, part)?.transpose()?.unwrap_or_default());
        }
        if let Some(upload) = parent.settings.as_deref().and_then(upload) {
            let config = Placed { raw: Some(upload), place: Place::Open };
            let record = record_of(&parent.id, "recording_storage", UPLOAD, config);
            rows.push(&self.reading.format, &record, None);
        }
        Ok(rows)
    }

    fn rows_by_kind(&self, template: &str, answer: &RawValue) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        let mut kinds: HashMap<Cow<'_, str>, Known<'_>> = HashMap::new();
        for (list, (kind, destinations)) in members(template, answer)?.into_iter().enumerate() {
            // A kind nobody knows may have the name of a secret.
            let place = kind.as_deref().map_or(Place::Open, |kind| Place::Open.below(kind));
            let kind = kind.as_deref().map_or(Cow::Borrowed("destination"), kind_of);
            // A plain value beside the kinds is not a destination.
            if destinations.get().starts_with(['{', '[']) {
                let known = kinds.entry(kind.clone()).or_default();
                rows.append(self.rows_of_kind(template, &kind, place, (list, destinations), known)?);
            }
        }
        Ok(rows)
    }

    /// The rows of a list of destinations of one kind, but for those that are known from another list.
    fn rows_of_kind<'a>(
        &self,
        template: &str,
        kind: &str,
        place: Place,
        (list, answer): (usize, &'a RawValue),
        known: &mut Known<'a>,
    ) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for (position, (key, config)) in members(template, answer)?.into_iter().enumerate() {
            let place = key.as_deref().map_or(place, |key| place_of(place, key, config));
            // Below the name of a secret everything may be the secret.
            let name = || text(labels(config).name).filter(|_| !place.is_secret());
            let id = key.or_else(name).unwrap_or_else(|| position.to_string().into());
            let is_same = |(other, json): &(usize, &str)| *other != list && *json == config.get();
            if known.get(id.as_ref()).is_some_and(is_same) {
                continue;
            }
            let taken = |id: &String| known.contains_key(id);
            let numbered = (position..).map(|number| format!("{id}#{number}"));
            let unique = std::iter::once(id.to_string()).chain(numbered).find(|id| !taken(id)).unwrap_or_default();
            let config = Placed { raw: Some(config), place };
            rows.push(&self.reading.format, &record_of(template, kind, &unique, config), None);
            known.insert(unique, (list, config.raw.map_or("", RawValue::get)));
        }
        Ok(rows)
    }
}

/// The destinations of a kind by id: in which list of the answer each stood, and its JSON.
type Known<'a> = HashMap<String, (usize, &'a str)>;

fn record_of<'a>(template: &'a str, kind: &'a str, id: &'a str, config: Placed<'a>) -> DestinationRecord<'a> {
    let Labels { name, role } = config.raw.map(labels).unwrap_or_default();
    let label = |raw: Raw<'a>| match raw {
        Some(_) if config.place.is_secret() => Label::from(MASK),
        raw => Label::Raw(Text(raw)),
    };
    DestinationRecord {
        template_id: template.into(),
        id: id.into(),
        destination_type: kind.into(),
        name: label(name),
        role: label(role),
        config,
        others: Vec::new(),
    }
}

/// The members of an answer or of a part of it.
fn members<'a>(template: &str, answer: &'a RawValue) -> Result<Keyed<'a, &'a RawValue>, RecordError> {
    Members::of(Some(answer))
        .map_err(|_| RecordError::new(Some(template), "destinations", "is neither an object nor an array"))
}

/// The place of a destination under `key`: one that has the name of a secret may be one, unless it says itself
/// that this is what it is called.
fn place_of(kind: Place, key: &str, config: &RawValue) -> Place {
    let is_called_so = text(labels(config).name).is_some_and(|name| name == key);
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

/// The columns that are lifted out of a destination's settings.
#[derive(Default, Deserialize)]
struct Labels<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    role: Raw<'a>,
}

fn labels(config: &RawValue) -> Labels<'_> {
    serde_json::from_str(config.get()).unwrap_or_default()
}

/// `recording.upload` of a template's settings, when it says anything.
fn upload(settings: &RawValue) -> Raw<'_> {
    #[derive(Deserialize)]
    struct Settings<'a> {
        #[serde(borrow)]
        recording: Option<Recording<'a>>,
    }
    #[derive(Deserialize)]
    struct Recording<'a> {
        #[serde(borrow)]
        upload: Raw<'a>,
    }
    let settings: Settings<'_> = serde_json::from_str(settings.get()).ok()?;
    let upload = settings.recording?.upload?;
    let says_something = upload.get().trim_start_matches('{').trim_start().starts_with('"');
    says_something.then_some(upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Raw<'_> {
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
        assert!(upload(raw(r#"{"recording":{"upload":{ "type":"s3"}}}"#).unwrap()).is_some());
        for none in
            [r#"{"recording":{"upload":{}}}"#, r#"{"recording":{"upload":null}}"#, r#"{"recording":null}"#, "{}", "[]"]
        {
            assert!(upload(raw(none).unwrap()).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_no_list_of_destinations_is_an_error_and_null_is_none() {
        assert!(members("t", raw("5").unwrap()).is_err());
        assert_eq!(members("t", raw(r#"{"a":null,"b":{}}"#).unwrap()).unwrap().len(), 1);
    }
}
