//! `templates`: roles, settings and destinations that rooms are made from.
//!
//! - **Source:** `/v2/templates`, whole templates inline, paged by id.
//! - **Cursor:** `updated_at`. There is no time filter and an old template can be edited, so every sync
//!   looks through all of them and keeps what has changed.
//! - **Open in the reference:** `createdAt` or `created_at`: both spellings are read; the duplicates
//!   `_id` and `customer` are dropped.

use std::sync::Arc;

use super::paged_list::PagedList;
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::{Bool, Object, Text, Time};
use crate::records::{Record, Table, column};

static TABLE: Table = Table {
    description: "A template: what rooms are made from.",
    columns: &[
        column("id", Text, "Unique id of the template.").from(&["id", "_id"]),
        column("name", Text, "Its name."),
        column("default", Bool, "Whether new rooms use it when they name none."),
        column("customer_id", Text, "The 100ms account.").from(&["customer_id", "customerId", "customer"]),
        column("app_id", Text, "The app (workspace).").from(&["app_id", "appId"]),
        column("roles", Object, "The roles by name: what each may publish, see and do."),
        column("settings", Object, "Region, recording, room state and more; credentials are masked."),
        column(
            "destinations",
            Object,
            "Where audio and video go besides the room; stream keys and credentials are masked.",
        ),
        column("plugins", Object, "Plugins and their settings."),
        column("created_at", Time, "When it was created.").from(&["created_at", "createdAt"]),
        column("updated_at", Time, "When it last changed. The cursor of this stream.")
            .from(&["updated_at", "updatedAt"]),
    ],
};

pub(super) const INFO: StreamInfo =
    StreamInfo::new("templates", &TABLE, &[Endpoint::TEMPLATES], &["templates"], |context| {
        Arc::new(PagedList {
            context,
            live: None,
            derive: |fields, _| Record::timed(&TABLE, fields).map(|(times, template)| (times, vec![template])),
        })
    });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::{Record, to_value};
    use crate::streams::MASK;

    #[test]
    fn a_template_in_camel_case_becomes_snake_case_without_secrets() {
        let json = r#"{"_id":"t","id":"t","customerId":"c","customer":"c","appId":"a","createdAt":"2024-05-01T10:00:00Z",
            "updatedAt":"2024-05-02T10:00:00.1Z","settings":{"recording":{"upload":{"credentials":{"secretKey":"x"}}}}}"#;
        let (_, template) = Record::timed(&TABLE, serde_json::from_str(json).unwrap()).unwrap();
        let record = to_value(&template);
        assert_eq!((&record["customer_id"], &record["app_id"]), (&"c".into(), &"a".into()));
        assert_eq!(record["updated_at"], "2024-05-02T10:00:00.100000Z");
        assert_eq!(record["settings"]["recording"]["upload"]["credentials"]["secretKey"], MASK);
        assert!(template.unknown_fields().next().is_none());
    }

    #[test]
    fn both_spellings_are_read_and_null_hides_neither() {
        let json = r#"{"_id":"a","createdAt":"2024-05-01T10:00:00Z","created_at":null,"new":1,"gone":null}"#;
        let (_, template) = Record::timed(&TABLE, serde_json::from_str(json).unwrap()).unwrap();
        let record = to_value(&template);
        assert_eq!((&record["id"], &record["created_at"]), (&"a".into(), &"2024-05-01T10:00:00.000000Z".into()));
        assert_eq!(template.unknown_fields().map(|(field, _)| field).collect::<Vec<_>>(), ["new"]);
    }
}
