//! `rooms`: every room of the workspace, enabled or not.
//!
//! - **Source:** `/v2/rooms`, first `enabled=true`, then `enabled=false` (what unset means is not
//!   documented). A room that is switched between the two while they are read has an `updated_at` beyond
//!   the end of the sync, and comes with the next.
//! - **Cursor:** `updated_at`. The API filters by creation only and a room can be edited years later, so
//!   every sync looks through all rooms and keeps what has changed.
//! - **Open in the reference:** a room that was never edited has the zero time as `updated_at` in the
//!   vendor's own sample, and a copy may have that of its original; its creation stands in for it.

use std::sync::Arc;

use super::paged_list::PagedList;
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::{Bool, Dropped, Integer, Object, Strings, Text, Time};
use crate::records::{Fields, Place, Record, RecordError, Table, Times, Value, column};

static TABLE: Table = Table {
    description: "A room: where sessions take place.",
    columns: &[
        column("id", Text, "Unique id of the room.").from(&["id", "_id"]),
        column("name", Text, "Its name.").personal(),
        column("enabled", Bool, "Whether it can be joined."),
        column("description", Text, "What your team wrote about it.").personal(),
        column("customer_id", Text, "The 100ms account.").from(&["customer_id", "customer"]),
        column("app_id", Text, "The app (workspace)."),
        column("recording_source_template", Bool, "Whether the recording settings come from the template."),
        column("enabled_source_template", Bool, "Whether being enabled comes from the template."),
        column("recording_info", Object, "How sessions are recorded and where to; credentials are masked."),
        column("template_id", Text, "The template it was made from."),
        column("template", Dropped, "The template's name, which `templates` has."),
        column("region", Text, "Where it is hosted."),
        column("key", Text, "A key that 100ms makes of the account and the room's name, or that your app has set.")
            .personal(),
        column("large_room", Bool, "Whether it is made for very many peers."),
        column("size", Integer, "The most peers it takes."),
        column("max_duration_seconds", Integer, "The longest a session may last, in seconds."),
        column("polls", Strings, "Polls prepared for the room."),
        column("webhook", Object, "Where 100ms sends this room's events: the host, and headers with masked values."),
        column("created_at", Time, "When it was created."),
        column("updated_at", Time, "When it last changed; the creation when it never did. The cursor of this stream."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    sample: |client, info| info.sampled(client, Some(true)),
    ..StreamInfo::new("rooms", &TABLE, &[Endpoint::ROOMS], &["enabled", "disabled"], |context| {
        Arc::new(PagedList { context, live: None, derive: |fields, _| derive(fields) })
    })
};

fn derive(fields: Fields<'_>) -> Result<(Times, Vec<Record<'_>>), RecordError> {
    let (times, mut room) = Record::timed(&TABLE, fields)?;
    if let Some(webhook) = room.get("webhook") {
        room.set("webhook", Value::Json(Place::Webhook, webhook));
    }
    Ok((times, vec![room]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::to_value;
    use crate::streams::MASK;

    #[test]
    fn a_room_never_edited_was_last_changed_when_it_was_created() {
        let json = r#"{"id":"r","created_at":"2024-05-01T10:00:00.5Z","updated_at":"0001-01-01T00:00:00Z",
            "template":"old-name","webhook":{"url":"https://x/in/s3cret","headers":{"auth":"s3cret"}}}"#;
        let room = &derive(serde_json::from_str(json).unwrap()).unwrap().1[0];
        let record = to_value(room);
        assert_eq!(record["updated_at"], "2024-05-01T10:00:00.500000Z");
        assert_eq!((&record["webhook"]["url"], &record["webhook"]["headers"]["auth"]), (&"x".into(), &MASK.into()));
        assert_eq!(record["template_id"], serde_json::Value::Null);
        assert!(room.unknown_fields().next().is_none());
    }
}
