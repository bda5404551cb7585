//! `rooms`: every room of the workspace, enabled or not.
//!
//! - **Source:** `/v2/rooms`, first `enabled=true`, then `enabled=false` (what unset means is not
//!   documented). A room that is switched between the two while they are read has an `updated_at` beyond
//!   the end of the sync, and comes with the next.
//! - **Cursor:** `updated_at`. The API filters by creation only and a room can be edited years later, so
//!   every sync looks through all rooms and keeps what has changed.
//! - **Open in the reference:** a room that was never edited has the zero time as `updated_at` in the
//!   vendor's own sample; its creation stands in for it.

use futures_util::future::BoxFuture;

use super::record::record;
use super::values::{Flag, Integer, Object, Text, Texts, Webhook, id, times};
use super::{
    Description, Reading, Record, RecordError, Rows, Seen, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{ListFilter, Room};

record! {
    /// A room: where sessions take place.
    RoomRecord {
        /// Unique id of the room.
        id: Text<'a>,
        /// Its name.
        name: Text<'a>,
        /// Whether it can be joined.
        enabled: Flag<'a>,
        /// What your team wrote about it.
        description: Text<'a>,
        /// The 100ms account.
        customer_id: Text<'a>,
        /// The app (workspace).
        app_id: Text<'a>,
        /// Whether the recording settings come from the template.
        recording_source_template: Flag<'a>,
        /// Whether being enabled comes from the template.
        enabled_source_template: Flag<'a>,
        /// How sessions are recorded and where to; credentials are masked.
        recording_info: Object<'a>,
        /// The template it was made from.
        template_id: Text<'a>,
        /// Where it is hosted.
        region: Text<'a>,
        /// A key set by your app, if any.
        key: Text<'a>,
        /// Whether it is made for very many peers.
        large_room: Flag<'a>,
        /// The most peers it takes.
        size: Integer<'a>,
        /// The longest a session may last, in seconds.
        max_duration_seconds: Integer<'a>,
        /// Polls prepared for the room.
        polls: Texts<'a>,
        /// Where 100ms sends this room's events; the values of its headers are masked.
        webhook: Webhook<'a>,
        /// When it was created.
        created_at: Timestamp,
        /// When it last changed; the creation when it never did. The cursor of this stream.
        updated_at: Timestamp,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "rooms",
    primary_key: &["id"],
    cursor: Some("updated_at"),
    columns: RoomRecord::COLUMNS,
    schema: super::schema_of_record::<RoomRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let newest = ListFilter { flag: Some(true), ..ListFilter::default() };
            let page = client.rooms(&newest, |rooms| added_fields(rooms.iter().map(|room| room.other.as_slice())));
            Ok(page.await?.content)
        })
    },
    open: |reading| Box::new(Rooms { reading }),
    line: |item| {
        let room: Room<'_> = super::parsed(item)?;
        super::line(&shape(&room)?, &room.other)
    },
};

const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

struct Rooms {
    reading: Reading,
}

impl Stream for Rooms {
    fn first(&self) -> Slice {
        Slice::whole(ENABLED)
    }

    fn following(&self, list: &str) -> Option<Slice> {
        (list == ENABLED).then(|| Slice::whole(DISABLED))
    }

    fn knows(&self, list: &str) -> bool {
        matches!(list, ENABLED | DISABLED)
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            let filter = slice.filter(slice.list == ENABLED);
            let page = self.reading.client.rooms(&filter, |rooms| self.shape(rooms, slice)).await?;
            let (rows, seen) = page.content?;
            Ok(Step { rows, next: slice.rest(page.next).into_iter().collect(), seen })
        })
    }
}

impl Rooms {
    fn shape(&self, page: Vec<Room<'_>>, slice: &Slice) -> Result<(Rows, Option<Seen>), StreamError> {
        let (mut rows, mut seen) = (Rows::default(), None);
        for room in &page {
            let record = shape(room)?;
            if !slice.takes(record.created_at) {
                continue;
            }
            Seen::note(&mut seen, record.created_at);
            if record.updated_at >= self.reading.cursor {
                rows.push(&self.reading.format, &record, Some(record.updated_at), &room.other)?;
            }
        }
        Ok((rows, seen))
    }
}

fn shape<'a>(room: &Room<'a>) -> Result<RoomRecord<'a>, RecordError> {
    let id = id(room.id)?;
    let (created_at, updated_at) = times(&id, room.created_at, room.updated_at)?;
    Ok(RoomRecord {
        id: Text(room.id),
        name: Text(room.name),
        enabled: Flag(room.enabled),
        description: Text(room.description),
        customer_id: Text(room.customer_id),
        app_id: Text(room.app_id),
        recording_source_template: Flag(room.recording_source_template),
        enabled_source_template: Flag(room.enabled_source_template),
        recording_info: Object(room.recording_info),
        template_id: Text(room.template_id),
        region: Text(room.region),
        key: Text(room.key),
        large_room: Flag(room.large_room),
        size: Integer(room.size),
        max_duration_seconds: Integer(room.max_duration_seconds),
        polls: Texts(room.polls),
        webhook: Webhook(room.webhook),
        created_at,
        updated_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_never_edited_was_last_changed_when_it_was_created() {
        let json = r#"{"id":"r","created_at":"2024-05-01T10:00:00.5Z","updated_at":"0001-01-01T00:00:00Z",
            "template":"old-name","webhook":{"url":"https://x","headers":{"auth":"s3cret"}}}"#;
        let record = super::super::record_value(&shape(&serde_json::from_str(json).unwrap()).unwrap());
        assert_eq!(record["updated_at"], "2024-05-01T10:00:00.500000Z");
        assert_eq!(record["webhook"]["headers"]["auth"], super::super::MASK);
        assert_eq!(record["template_id"], serde_json::Value::Null);
    }
}
