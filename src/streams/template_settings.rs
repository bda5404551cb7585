//! `template_settings`: the settings of each template, as their own endpoint gives them.
//!
//! - **Source:** `/v2/templates`, then `/v2/templates/{id}/settings` for each that is read.
//! - **Cursor:** none; read whole each time. `start_date` goes by the template's `updated_at`.
//! - **Open in the reference:** a template deleted since the list was read answers 404 and is skipped.

use futures_util::future::{BoxFuture, try_join_all};

use super::record::record;
use super::values::{Object, id, text, times};
use super::{Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp};
use crate::api::{Raw, Template};

record! {
    /// The settings of a template.
    TemplateSettingsRecord {
        /// The template.
        template_id: Option<&'a str>,
        /// The template's name.
        template_name: Option<&'a str>,
        /// The template's roles by name.
        roles: Object<'a>,
        /// Region, recording, room state, retries and more; credentials are masked.
        settings: Object<'a>,
        /// When the template last changed.
        updated_at: Timestamp,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "template_settings",
    primary_key: &["template_id"],
    cursor: None,
    columns: TemplateSettingsRecord::COLUMNS,
    schema: super::schema_of_record::<TemplateSettingsRecord<'static>>,
    // The settings are one column, whatever is in them.
    sample: |_| Box::pin(async { Ok(serde_json::Map::new()) }),
    open: |reading| Box::new(TemplateSettings { reading }),
    line: |item| {
        // A template that holds its settings itself.
        let template: Template<'_> = super::parsed(item)?;
        let settings = template.settings;
        let parents = parents(&[template])?;
        parents.first().map_or(Ok(Vec::new()), |parent| super::line(&shape(parent, settings), &[]))
    },
};

const TEMPLATES: &str = "templates";

struct TemplateSettings {
    reading: Reading,
}

/// What is kept of a template while its settings are asked for.
struct Parent {
    id: String,
    name: Option<String>,
    roles: Option<Box<serde_json::value::RawValue>>,
    updated_at: Timestamp,
}

impl Stream for TemplateSettings {
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
            for settings in try_join_all(changed.iter().map(|parent| self.settings_of(parent))).await? {
                rows.append(settings);
            }
            Ok(Step { rows, next: slice.rest(page.next).into_iter().collect(), seen: None })
        })
    }
}

impl TemplateSettings {
    async fn settings_of(&self, parent: &Parent) -> Result<Rows, StreamError> {
        let shape = |settings: Raw<'_>| -> Result<Rows, StreamError> {
            let mut rows = Rows::default();
            rows.push(&self.reading.format, &shape(parent, settings), None, &[])?;
            Ok(rows)
        };
        let settings = self.reading.client.template_part(&parent.id, "settings", shape).await?;
        settings.unwrap_or_else(|| Ok(Rows::default()))
    }
}

fn parents(page: &[Template<'_>]) -> Result<Vec<Parent>, RecordError> {
    let parent = |template: &Template<'_>| {
        let id = id(template.id)?.into_owned();
        let (_, updated_at) = times(&id, template.created_at, template.updated_at)?;
        let name = text(template.name).map(String::from);
        Ok(Parent { id, name, roles: template.roles.map(ToOwned::to_owned), updated_at })
    };
    page.iter().map(parent).collect()
}

fn shape<'a>(parent: &'a Parent, settings: Raw<'a>) -> TemplateSettingsRecord<'a> {
    TemplateSettingsRecord {
        template_id: Some(&parent.id),
        template_name: parent.name.as_deref(),
        roles: Object(parent.roles.as_deref()),
        settings: Object(settings),
        updated_at: parent.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_beside_their_template() {
        let page: Vec<Template<'_>> = serde_json::from_str(
            r#"[{"id":"t","name":"T","roles":{"host":{"name":"host"}},"created_at":"2024-05-01T10:00:00Z"}]"#,
        )
        .unwrap();
        let parents = parents(&page).unwrap();
        let settings =
            serde_json::from_str(r#"{"region":"eu","recording":{"upload":{"credentials":{"key":"K"}}}}"#).unwrap();
        let record = super::super::record_value(&shape(&parents[0], settings));
        assert_eq!((&record["template_id"], &record["template_name"]), (&"t".into(), &"T".into()));
        assert_eq!(record["roles"]["host"]["name"], "host");
        assert_eq!(record["settings"]["recording"]["upload"]["credentials"]["key"], super::super::MASK);
        assert_eq!(record["updated_at"], "2024-05-01T10:00:00.000000Z");
    }
}
