//! `templates_destinations`: where a template sends audio and video besides the room, one record each.
//!
//! - **Source:** `/v2/templates`; for each that is read `/v2/templates/{id}/destinations` (RTMP, HLS,
//!   browser recordings, transcriptions) and `/v2/templates/{id}/recordings` (the successor of browser
//!   recordings); and the storage in the template's own `settings.recording.upload`.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Key:** the destination's key within its kind. Recording configurations come as a bare array:
//!   there the name is the key, or the position when there is none.
//! - **Open in the reference:** every part may be missing, null or empty. A kind this version does not
//!   know is read all the same, under its own name in snake case.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError};
use super::gaps::{Gaps, OF_THIS_ONE};
use super::record::{Column, Label, Rows, record};
use super::schema::{schema_of, snake_case};
use super::secrets::Place;
use super::slice::Slice;
use super::template_parents::{self, Parent};
use super::values::{Kind, Object, Text, Typed, text};
use super::write::{Json, WriteJson};
use crate::api::{ApiError, Client, Keyed, Members, Raw};

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
        name: Text<'a>,
        /// The role it belongs to.
        role: Text<'a>,
        /// All its settings; stream keys and credentials are masked.
        config: Config<'a>,
    }
}

/// The settings of a destination, and what the key above them says about them.
#[derive(Clone, Copy)]
pub(crate) struct Config<'a> {
    raw: Raw<'a>,
    place: Place,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self { raw: None, place: Place::Open }
    }
}

impl<'a> Column<'a> for Config<'a> {
    fn is_set(&self) -> bool {
        self.raw.is_some()
    }
    fn set(&mut self, value: &'a RawValue) {
        self.raw = Some(value);
    }
}

impl WriteJson for Config<'_> {
    fn write_json(&self, out: &mut Json) {
        self.raw.map(|raw| Typed { json: raw.get(), kind: Kind::Object, place: self.place }).write_json(out);
    }
}

schema_of!(Config<'_>, as Object<'_>);

/// The key of the storage below `settings.recording`.
const UPLOAD: &str = "upload";

/// The stream.
pub(super) struct TemplatesDestinations {
    reading: Reading,
    refused: Gaps,
}

impl Stream for TemplatesDestinations {
    const NAME: &'static str = "templates_destinations";
    const PRIMARY_KEY: &'static [&'static str] = &["template_id", "destination_type", "id"];
    const CURSOR: Option<&'static str> = None;
    const LISTS: &'static [&'static str] = &["templates"];
    type Record = DestinationRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading, refused: Gaps::new("templates' lists of destinations") }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        template_parents::fetch(&self.reading, &slice, |parent| self.destinations_of(parent)).await
    }

    /// The settings are one column, whatever is in them.
    async fn sample(_: &Client) -> Result<Map<String, Value>, ApiError> {
        Ok(Map::new())
    }

    fn finish(&self) -> Result<Vec<Remark>, StreamError> {
        self.refused.finish()
    }
}

impl TemplatesDestinations {
    async fn destinations_of(&self, parent: Parent) -> Result<Rows, StreamError> {
        let client = &self.reading.client;
        let by_kind = |answer: Raw<'_>| self.rows_by_kind(&parent.id, answer);
        let recordings = |answer: Raw<'_>| self.rows_of_kind(&parent.id, "recording", Place::Open, answer);
        let (by_kind, recordings) = join(
            client.template_part(&parent.id, "destinations", by_kind),
            client.template_part(&parent.id, "recordings", recordings),
        )
        .await;
        let mut rows = Rows::default();
        for part in [by_kind, recordings] {
            rows.append(self.refused.allow(part, OF_THIS_ONE)?.flatten().transpose()?.unwrap_or_default());
        }
        if let Some(upload) = parent.settings.as_deref().and_then(upload) {
            let config = Config { raw: Some(upload), place: Place::Open };
            let record = record_of(&parent.id, "recording_storage", UPLOAD.into(), config);
            rows.push(&self.reading.format, &record, None);
        }
        Ok(rows)
    }

    fn rows_by_kind(&self, template: &str, answer: Raw<'_>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for (kind, destinations) in members(template, answer)? {
            // A kind nobody knows may have the name of a secret.
            let place = kind.as_deref().map_or(Place::Open, |kind| Place::Open.below(kind));
            let kind = kind.as_deref().map_or(Cow::Borrowed("destination"), kind_of);
            // A plain value beside the kinds is not a destination.
            if destinations.get().starts_with(['{', '[']) {
                rows.append(self.rows_of_kind(template, &kind, place, Some(destinations))?);
            }
        }
        Ok(rows)
    }

    fn rows_of_kind(&self, template: &str, kind: &str, place: Place, answer: Raw<'_>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        let mut ids = HashSet::new();
        for (position, (key, config)) in members(template, answer)?.into_iter().enumerate() {
            let place = key.as_deref().map_or(place, |key| place_of(place, key, config));
            let named = key.or_else(|| text(labels(config).name)).unwrap_or_else(|| position.to_string().into());
            let unique = if ids.contains(&named) { format!("{named}#{position}").into() } else { named };
            let config = Config { raw: Some(config), place };
            rows.push(&self.reading.format, &record_of(template, kind, unique.clone(), config), None);
            ids.insert(unique);
        }
        Ok(rows)
    }
}

fn record_of<'a>(template: &'a str, kind: &'a str, id: Cow<'a, str>, config: Config<'a>) -> DestinationRecord<'a> {
    let Labels { name, role } = config.raw.map(labels).unwrap_or_default();
    DestinationRecord {
        template_id: template.into(),
        id: id.into(),
        destination_type: kind.into(),
        name: Text(name),
        role: Text(role),
        config,
        others: Vec::new(),
    }
}

/// The members of a part of the answer; none when the part is missing.
fn members<'a>(template: &str, answer: Raw<'a>) -> Result<Keyed<'a, &'a RawValue>, RecordError> {
    Members::of(answer)
        .map_err(|_| RecordError::new(Some(template), "destinations", "is neither an object nor an array"))
}

/// The place of a destination under `key`: one that has the name of a secret may be one, unless it says itself
/// that this is what it is called.
fn place_of(kind: Place, key: &str, config: &RawValue) -> Place {
    let is_called_so = text(labels(config).name).is_some_and(|name| name == key);
    if kind == Place::Open && !is_called_so { Place::Open.below(key) } else { kind }
}

fn kind_of(key: &str) -> Cow<'static, str> {
    match key {
        "rtmpDestinations" | "rtmp_destinations" => "rtmp".into(),
        "hlsDestinations" | "hls_destinations" => "hls".into(),
        "browserRecordings" | "browser_recordings" => "browser_recording".into(),
        "transcriptions" => "transcription".into(),
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
    fn what_is_no_list_of_destinations_is_an_error_and_nothing_is_none() {
        assert!(members("t", None).unwrap().is_empty());
        assert!(members("t", raw("5")).is_err());
        assert_eq!(members("t", raw(r#"{"a":null,"b":{}}"#)).unwrap().len(), 1);
    }
}
