//! `templates`: roles, settings and destinations that rooms are made from.
//!
//! - **Source:** `/v2/templates`, whole templates inline, paged by id.
//! - **Cursor:** `updated_at`. There is no time filter and an old template can be edited, so every sync
//!   looks through all of them and keeps what has changed.
//! - **Open in the reference:** `createdAt` or `created_at`: both spellings are read; the duplicates
//!   `_id` and `customer` are dropped.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Step, Stream, StreamError, Times};
use super::personal::PersonalData;
use super::record::{Rows, Shape, id, record, times};
use super::schema;
use super::slice::Slice;
use super::time::Time;
use super::values::{Flag, Object, Text};
use crate::api::{ApiError, Client, List};

record! {
    /// A template: what rooms are made from.
    TemplateRecord {
        /// Unique id of the template.
        id: Text<'a> = "id" | "_id",
        /// Its name.
        name: Text<'a>,
        /// Whether new rooms use it when they name none.
        default: Flag<'a>,
        /// The 100ms account.
        customer_id: Text<'a> = "customer_id" | "customerId" | "customer",
        /// The app (workspace).
        app_id: Text<'a> = "app_id" | "appId",
        /// The roles by name: what each may publish, see and do.
        roles: Object<'a>,
        /// Region, recording, room state and more; credentials are masked.
        settings: Object<'a>,
        /// Where audio and video go besides the room; stream keys and credentials are masked.
        destinations: Object<'a>,
        /// Plugins and their settings.
        plugins: Object<'a>,
        /// When it was created.
        created_at: Time = "created_at" | "createdAt",
        /// When it last changed. The cursor of this stream.
        updated_at: Time = "updated_at" | "updatedAt",
    }
}

/// The stream.
pub(super) struct Templates {
    reading: Reading,
}

impl Stream for Templates {
    const NAME: &'static str = "templates";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("updated_at");
    const LISTS: &'static [&'static str] = &["templates"];
    type Record = TemplateRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let shape = |page: Vec<TemplateRecord<'_>>| Rows::of_page(&self.reading, &slice, page);
        let filter = slice.page();
        let page = self.reading.client.list::<TemplateRecord<'static>, _>(List::TEMPLATES, &filter, shape).await?;
        let (rows, _) = page.content?;
        Ok(Step { rows, rest: slice.rest(page.next), ..Step::default() })
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        schema::sample::<TemplateRecord<'static>>(client, List::TEMPLATES, None).await
    }
}

impl Shape for TemplateRecord<'_> {
    fn shape(&mut self, _: &PersonalData) -> Result<Times, RecordError> {
        let (created_at, updated_at) = times(&id(self.id.0)?, self.created_at, self.updated_at)?;
        self.updated_at = updated_at.into();
        Ok(Times::new(created_at, updated_at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;
    use crate::streams::MASK;

    #[test]
    fn a_template_in_camel_case_becomes_snake_case_without_secrets() {
        let json = r#"{"_id":"t","id":"t","customerId":"c","customer":"c","appId":"a","createdAt":"2024-05-01T10:00:00Z",
            "updatedAt":"2024-05-02T10:00:00.1Z","settings":{"recording":{"upload":{"credentials":{"secretKey":"x"}}}}}"#;
        let mut template: TemplateRecord<'_> = serde_json::from_str(json).unwrap();
        template.shape(&PersonalData::Keep).unwrap();
        let record = to_value(&template);
        assert_eq!((&record["customer_id"], &record["app_id"]), (&"c".into(), &"a".into()));
        assert_eq!(record["updated_at"], "2024-05-02T10:00:00.100000Z");
        assert_eq!(record["settings"]["recording"]["upload"]["credentials"]["secretKey"], MASK);
        assert!(template.others.is_empty());
    }

    #[test]
    fn both_spellings_are_read_and_null_hides_neither() {
        let json = r#"{"_id":"a","createdAt":"2024-05-01T10:00:00Z","created_at":null,"new":1,"gone":null}"#;
        let template: TemplateRecord<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(template.id.0.map(|raw| raw.get()), Some(r#""a""#));
        assert!(template.created_at.get().is_some());
        let others: Vec<_> = template.others.iter().map(|(key, value)| (key.as_ref(), value.get())).collect();
        assert_eq!(others, [("new", "1")]);
    }
}
