//! `template_settings`: the settings of each template, as their own endpoint gives them.
//!
//! - **Source:** `/v2/templates`, then `/v2/templates/{id}/settings` for each that is read.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Open in the reference:** a template deleted since the list was read answers 404 and is skipped.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::stream::{Skipped, StreamError, StreamInfo};
use super::template_parents::{Parent, TemplateParts, info};
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
    ..info("template_settings", &TABLE, |context| {
        let skipped = [Skipped::new("templates' settings")];
        Arc::new(TemplateParts { context, skipped, rows_of: |stream, parent| Box::pin(settings_of(stream, parent)) })
    })
};

async fn settings_of(stream: &TemplateParts<1>, parent: Parent) -> Result<Rows, StreamError> {
    let shape = |settings: &RawValue| {
        let mut rows = Rows::default();
        rows.push(&stream.context.format, &record_of(&parent, settings), None);
        rows
    };
    let settings = stream
        .context
        .client
        .one::<&'static RawValue, _>(Get::of(Endpoint::TEMPLATE_SETTINGS, &parent.id), shape)
        .await;
    Ok(stream.skipped[0].note(&parent.id, settings)?.unwrap_or_default())
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
