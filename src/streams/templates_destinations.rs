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

use futures_util::future::{BoxFuture, try_join_all};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::record;
use super::values::{Object, Text, id, text, times};
use super::{Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp, snake_case};
use crate::api::{Keyed, Members, Raw, Template};

record! {
    /// One destination of a template.
    DestinationRecord {
        /// The template.
        template_id: Option<&'a str>,
        /// The key of the destination within its kind.
        id: Option<Cow<'a, str>>,
        /// Its kind: rtmp, hls, browser_recording, transcription, recording or recording_storage.
        destination_type: Option<&'a str>,
        /// Its name.
        name: Text<'a>,
        /// The role it belongs to.
        role: Text<'a>,
        /// All its settings; stream keys and credentials are masked.
        config: Object<'a>,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "templates_destinations",
    primary_key: &["template_id", "destination_type", "id"],
    cursor: None,
    columns: DestinationRecord::COLUMNS,
    schema: super::schema_of_record::<DestinationRecord<'static>>,
    // The settings are one column, whatever is in them.
    sample: |_| Box::pin(async { Ok(serde_json::Map::new()) }),
    open: |reading| Box::new(TemplatesDestinations { reading }),
    line: |item| {
        // The settings of one destination.
        let config: &RawValue = super::parsed(item)?;
        super::line(&shape("template", "rtmp", "key".into(), config), &[])
    },
};

const TEMPLATES: &str = "templates";
/// The key of the storage below `settings.recording`.
const UPLOAD: &str = "upload";

struct TemplatesDestinations {
    reading: Reading,
}

/// What is kept of a template while its destinations are asked for.
struct Parent {
    id: String,
    updated_at: Timestamp,
    upload: Option<Box<RawValue>>,
}

impl Stream for TemplatesDestinations {
    fn first(&self) -> Slice {
        Slice::whole(TEMPLATES)
    }

    fn knows(&self, list: &str) -> bool {
        list == TEMPLATES
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            let page = self.reading.client.templates(&slice.page(), |page| parents(&page)).await?;
            let changed: Vec<Parent> =
                page.content?.into_iter().filter(|parent| parent.updated_at >= self.reading.cursor).collect();
            let mut rows = Rows::default();
            for destinations in try_join_all(changed.iter().map(|parent| self.destinations_of(parent))).await? {
                rows.append(destinations);
            }
            Ok(Step { rows, next: slice.rest(page.next).into_iter().collect(), seen: None })
        })
    }
}

impl TemplatesDestinations {
    async fn destinations_of(&self, parent: &Parent) -> Result<Rows, StreamError> {
        let client = &self.reading.client;
        let by_kind = |answer: Raw<'_>| self.rows_by_kind(&parent.id, answer);
        let recordings = |answer: Raw<'_>| self.rows_of_kind(&parent.id, "recording", answer);
        let (by_kind, recordings) = futures_util::future::try_join(
            client.template_part(&parent.id, "destinations", by_kind),
            client.template_part(&parent.id, "recordings", recordings),
        )
        .await?;
        let mut rows = by_kind.transpose()?.unwrap_or_default();
        rows.append(recordings.transpose()?.unwrap_or_default());
        if let Some(upload) = parent.upload.as_deref() {
            self.push(&mut rows, &parent.id, "recording_storage", UPLOAD.into(), upload)?;
        }
        Ok(rows)
    }

    fn rows_by_kind(&self, template: &str, answer: Raw<'_>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for (kind, destinations) in members(template, answer)? {
            let kind = kind.as_deref().map_or(Cow::Borrowed("destination"), kind_of);
            // A plain value beside the kinds is not a destination.
            if destinations.get().starts_with(['{', '[']) {
                rows.append(self.rows_of_kind(template, &kind, Some(destinations))?);
            }
        }
        Ok(rows)
    }

    fn rows_of_kind(&self, template: &str, kind: &str, answer: Raw<'_>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        let mut ids = HashSet::new();
        for (position, (key, config)) in members(template, answer)?.into_iter().enumerate() {
            let named = key.or_else(|| text(labels(config).name)).unwrap_or_else(|| position.to_string().into());
            let unique = if ids.contains(&named) { format!("{named}#{position}").into() } else { named };
            self.push(&mut rows, template, kind, unique.clone(), config)?;
            ids.insert(unique);
        }
        Ok(rows)
    }

    fn push(
        &self,
        rows: &mut Rows,
        template: &str,
        kind: &str,
        id: Cow<'_, str>,
        config: &RawValue,
    ) -> Result<(), StreamError> {
        Ok(rows.push(&self.reading.format, &shape(template, kind, id, config), None, &[])?)
    }
}

fn shape<'a>(template: &'a str, kind: &'a str, id: Cow<'a, str>, config: &'a RawValue) -> DestinationRecord<'a> {
    let Labels { name, role } = labels(config);
    DestinationRecord {
        template_id: Some(template),
        id: Some(id),
        destination_type: Some(kind),
        name: Text(name),
        role: Text(role),
        config: Object(Some(config)),
    }
}

/// The members of a part of the answer; none when the part is missing.
fn members<'a>(template: &str, answer: Raw<'a>) -> Result<Keyed<'a, &'a RawValue>, RecordError> {
    Members::of(answer)
        .map_err(|_| RecordError::new(Some(template), "destinations", "is neither an object nor an array"))
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

fn parents(page: &[Template<'_>]) -> Result<Vec<Parent>, RecordError> {
    let parent = |template: &Template<'_>| {
        let id = id(template.id)?.into_owned();
        let (_, updated_at) = times(&id, template.created_at, template.updated_at)?;
        Ok(Parent { id, updated_at, upload: template.settings.and_then(upload).map(ToOwned::to_owned) })
    };
    page.iter().map(parent).collect()
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
