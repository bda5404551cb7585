//! `template_settings`: the settings of each template, as their own endpoint gives them.
//!
//! - **Source:** `/v2/templates`, then `/v2/templates/{id}/settings` for each that is read.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Open in the reference:** a template deleted since the list was read answers 404 and is skipped.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use super::stream::{PageOutcome, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo};
use super::template_parents::{self, PHASES, Parent};
use crate::api::{Endpoint, Get};
use crate::records::Kind::{Object, Text, Time};
use crate::records::{Record, Rows, Table, column};

static TABLE: Table = Table {
    description: "The settings of a template.",
    columns: &[
        column("template_id", Text, "The template."),
        column("template_name", Text, "The template's name."),
        column("roles", Object, "The template's roles by name."),
        column("settings", Object, "Region, recording, room state, retries and more; credentials are masked."),
        column("updated_at", Time, "When the template last changed."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    primary_key: &["template_id"],
    cursor: None,
    ..StreamInfo::new("template_settings", &TABLE, PHASES, |context| {
        Arc::new(TemplateSettings { context, skipped: Skipped::new("templates' settings") })
    })
};

struct TemplateSettings {
    context: StreamContext,
    skipped: Skipped,
}

impl Stream for TemplateSettings {
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move { template_parents::fetch(&self.context, &slice, |parent| self.settings_of(parent)).await })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.skipped]
    }
}

impl TemplateSettings {
    async fn settings_of(&self, parent: Parent) -> Result<Rows, StreamError> {
        let shape = |settings: &RawValue| {
            let mut rows = Rows::default();
            rows.push(&self.context.format, &record_of(&parent, settings), None);
            rows
        };
        let get = Get::of(Endpoint::TEMPLATE_SETTINGS, &parent.id);
        let settings = self.context.client.one::<&'static RawValue, _>(get, shape).await;
        Ok(self.skipped.note(&parent.id, settings)?.unwrap_or_default())
    }
}

fn record_of<'a>(parent: &'a Parent, settings: &'a RawValue) -> Record<'a> {
    Record::new(&TABLE)
        .with("template_id", parent.id.as_str())
        .with("template_name", parent.name.as_deref())
        .with("roles", parent.roles.as_deref())
        .with("settings", settings)
        .with("updated_at", parent.updated_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::to_value;
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
