//! `templates`: roles, settings and destinations that rooms are made from.
//!
//! - **Source:** `/v2/templates`, whole templates inline, paged by id.
//! - **Cursor:** `updated_at`. There is no time filter and an old template can be edited, so every sync
//!   looks through all of them and keeps what has changed.
//! - **Open in the reference:** `createdAt` or `created_at`: both spellings are read; the duplicates
//!   `_id` and `customer` are dropped.

use futures_util::future::BoxFuture;

use super::record::record;
use super::values::{Flag, Object, Text, id, times};
use super::{
    Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{ListFilter, Template};

record! {
    /// A template: what rooms are made from.
    TemplateRecord {
        /// Unique id of the template.
        id: Text<'a>,
        /// Its name.
        name: Text<'a>,
        /// Whether new rooms use it when they name none.
        default: Flag<'a>,
        /// The 100ms account.
        customer_id: Text<'a>,
        /// The app (workspace).
        app_id: Text<'a>,
        /// The roles by name: what each may publish, see and do.
        roles: Object<'a>,
        /// Region, recording, room state and more; credentials are masked.
        settings: Object<'a>,
        /// Where audio and video go besides the room; stream keys and credentials are masked.
        destinations: Object<'a>,
        /// Plugins and their settings.
        plugins: Object<'a>,
        /// When it was created.
        created_at: Timestamp,
        /// When it last changed. The cursor of this stream.
        updated_at: Timestamp,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "templates",
    primary_key: &["id"],
    cursor: Some("updated_at"),
    columns: TemplateRecord::COLUMNS,
    schema: super::schema_of_record::<TemplateRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let whole = ListFilter::default();
            let sampled = client.templates(&whole, |templates| {
                added_fields(templates.iter().map(|template| template.other.as_slice()))
            });
            Ok(sampled.await?.content)
        })
    },
    open: |reading| Box::new(Templates { reading }),
    line: |item| {
        let template: Template<'_> = super::parsed(item)?;
        super::line(&shape(&template)?, &template.other)
    },
};

const TEMPLATES: &str = "templates";

struct Templates {
    reading: Reading,
}

impl Stream for Templates {
    fn first(&self) -> Slice {
        Slice::whole(TEMPLATES)
    }

    fn knows(&self, list: &str) -> bool {
        list == TEMPLATES
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            let page = self.reading.client.templates(&slice.page(), |templates| self.shape(&templates)).await?;
            Ok(Step { rows: page.content?, next: slice.rest(page.next).into_iter().collect(), seen: None })
        })
    }
}

impl Templates {
    fn shape(&self, page: &[Template<'_>]) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for template in page {
            let record = shape(template)?;
            if record.updated_at >= self.reading.cursor {
                rows.push(&self.reading.format, &record, Some(record.updated_at), &template.other)?;
            }
        }
        Ok(rows)
    }
}

fn shape<'a>(template: &Template<'a>) -> Result<TemplateRecord<'a>, RecordError> {
    let id = id(template.id)?;
    let (created_at, updated_at) = times(&id, template.created_at, template.updated_at)?;
    Ok(TemplateRecord {
        id: Text(template.id),
        name: Text(template.name),
        default: Flag(template.default),
        customer_id: Text(template.customer_id),
        app_id: Text(template.app_id),
        roles: Object(template.roles),
        settings: Object(template.settings),
        destinations: Object(template.destinations),
        plugins: Object(template.plugins),
        created_at,
        updated_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_in_camel_case_becomes_snake_case_without_secrets() {
        let json = r#"{"_id":"t","id":"t","customerId":"c","customer":"c","appId":"a","createdAt":"2024-05-01T10:00:00Z",
            "updatedAt":"2024-05-02T10:00:00.1Z","settings":{"recording":{"upload":{"credentials":{"secretKey":"x"}}}}}"#;
        let template: Template<'_> = serde_json::from_str(json).unwrap();
        let record = super::super::record_value(&shape(&template).unwrap());
        assert_eq!((&record["customer_id"], &record["app_id"]), (&"c".into(), &"a".into()));
        assert_eq!(record["updated_at"], "2024-05-02T10:00:00.100000Z");
        assert_eq!(record["settings"]["recording"]["upload"]["credentials"]["secretKey"], super::super::MASK);
        assert!(template.other.is_empty());
    }
}
