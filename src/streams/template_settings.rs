//! `template_settings`: the settings of each template, as their own endpoint gives them.
//!
//! - **Source:** `/v2/templates`, then `/v2/templates/{id}/settings` for each that is read.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Open in the reference:** a template deleted since the list was read answers 404 and is skipped.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contract::{Reading, Remark, Step, Stream, StreamError};
use super::record::{Computed, Label, Rows, record};
use super::skipped::Skipped;
use super::slice::Slice;
use super::template_parents::{self, Parent};
use super::time::Timestamp;
use super::values::Object;
use crate::api::{ApiError, Client, TemplatePart};

record! {
    /// The settings of a template.
    TemplateSettingsRecord {
        /// The template.
        template_id: Label<'a>,
        /// The template's name.
        template_name: Label<'a>,
        /// The template's roles by name.
        roles: Object<'a>,
        /// Region, recording, room state, retries and more; credentials are masked.
        settings: Object<'a>,
        /// When the template last changed.
        updated_at: Computed<Timestamp>,
    }
}

/// The stream.
pub(super) struct TemplateSettings {
    reading: Reading,
    skipped: Skipped,
}

impl Stream for TemplateSettings {
    const NAME: &'static str = "template_settings";
    const PRIMARY_KEY: &'static [&'static str] = &["template_id"];
    const CURSOR: Option<&'static str> = None;
    const LISTS: &'static [&'static str] = &["templates"];
    type Record = TemplateSettingsRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading, skipped: Skipped::new("templates' settings") }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        template_parents::fetch(&self.reading, &slice, |parent| self.settings_of(parent)).await
    }

    /// The settings are one column, whatever is in them.
    async fn sample(_: &Client) -> Result<Map<String, Value>, ApiError> {
        Ok(Map::new())
    }

    fn remarks(&self) -> Vec<Remark> {
        self.skipped.remarks()
    }

    fn undecided(&self) -> Option<ApiError> {
        self.skipped.undecided()
    }
}

impl TemplateSettings {
    async fn settings_of(&self, parent: Parent) -> Result<Rows, StreamError> {
        let shape = |settings: &RawValue| -> Result<Rows, StreamError> {
            let mut rows = Rows::default();
            rows.push(&self.reading.format, &record_of(&parent, settings), None);
            Ok(rows)
        };
        let settings = self.reading.client.template_part(&parent.id, TemplatePart::SETTINGS, shape).await;
        self.skipped.note(&parent.id, settings)?.unwrap_or_else(|| Ok(Rows::default()))
    }
}

fn record_of<'a>(parent: &'a Parent, settings: &'a RawValue) -> TemplateSettingsRecord<'a> {
    TemplateSettingsRecord {
        template_id: parent.id.as_str().into(),
        template_name: parent.name.as_deref().map(Label::from).unwrap_or_default(),
        roles: Object(parent.roles.as_deref()),
        settings: Object(Some(settings)),
        updated_at: Computed(Some(parent.updated_at)),
        others: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;
    use crate::streams::MASK;

    #[test]
    fn settings_stand_beside_their_template() {
        let template = r#"{"id":"t","name":"T","roles":{"host":{"name":"host"}},"created_at":"2024-05-01T10:00:00Z"}"#;
        let parent = Parent::of(serde_json::from_str(template).unwrap()).unwrap();
        let settings = r#"{"region":"eu","recording":{"upload":{"credentials":{"key":"K"}}}}"#;
        let record = record_of(&parent, serde_json::from_str(settings).unwrap());
        let record = to_value(&record);
        assert_eq!((&record["template_id"], &record["template_name"]), (&"t".into(), &"T".into()));
        assert_eq!(record["roles"]["host"]["name"], "host");
        assert_eq!(record["settings"]["recording"]["upload"]["credentials"]["key"], MASK);
        assert_eq!(record["updated_at"], "2024-05-01T10:00:00.000000Z");
    }
}
