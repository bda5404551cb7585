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

use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Step, Stream, StreamError, Times};
use super::personal::PersonalData;
use super::record::{Rows, Shape, fill_times, id, record};
use super::schema;
use super::secrets::Place;
use super::slice::Slice;
use super::time::Time;
use super::values::{Flag, Integer, Object, Placed, Text, Texts};
use crate::api::{ApiError, Client, List};

record! {
    /// A room: where sessions take place.
    RoomRecord {
        /// Unique id of the room.
        id: Text<'a> = "id" | "_id",
        /// Its name.
        name: Text<'a>,
        /// Whether it can be joined.
        enabled: Flag<'a>,
        /// What your team wrote about it.
        description: Text<'a>,
        /// The 100ms account.
        customer_id: Text<'a> = "customer_id" | "customer",
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
        /// A key that 100ms makes of the account and the room's name, or that your app has set.
        key: Text<'a>,
        /// Whether it is made for very many peers.
        large_room: Flag<'a>,
        /// The most peers it takes.
        size: Integer<'a>,
        /// The longest a session may last, in seconds.
        max_duration_seconds: Integer<'a>,
        /// Polls prepared for the room.
        polls: Texts<'a>,
        /// Where 100ms sends this room's events: the host, and headers with masked values.
        webhook: Placed<'a>,
        /// When it was created.
        created_at: Time,
        /// When it last changed; the creation when it never did. The cursor of this stream.
        updated_at: Time,
    }
    drops ["template"]
    personal ["name", "description", "key"]
}

const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

/// The stream.
pub(super) struct Rooms {
    reading: Reading,
}

impl Stream for Rooms {
    const NAME: &'static str = "rooms";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("updated_at");
    const LISTS: &'static [&'static str] = &[ENABLED, DISABLED];
    type Record = RoomRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let filter = slice.filter(slice.list == ENABLED);
        let shape = |page: Vec<RoomRecord<'_>>| Rows::of_page(&self.reading, &slice, page);
        let page = self.reading.client.list::<RoomRecord<'static>, _>(List::ROOMS, &filter, shape).await?;
        let (rows, seen) = page.content?;
        Ok(Step { rows, rest: slice.rest(page.next), seen, ..Step::default() })
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        schema::sample::<RoomRecord<'static>>(client, List::ROOMS, Some(true)).await
    }
}

impl Shape for RoomRecord<'_> {
    fn shape(&mut self, _: &PersonalData) -> Result<Times, RecordError> {
        self.webhook.place = Place::Webhook;
        fill_times(&id(self.id.0)?, &mut self.created_at, &mut self.updated_at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;
    use crate::streams::MASK;

    #[test]
    fn a_room_never_edited_was_last_changed_when_it_was_created() {
        let json = r#"{"id":"r","created_at":"2024-05-01T10:00:00.5Z","updated_at":"0001-01-01T00:00:00Z",
            "template":"old-name","webhook":{"url":"https://x/in/s3cret","headers":{"auth":"s3cret"}}}"#;
        let mut room: RoomRecord<'_> = serde_json::from_str(json).unwrap();
        room.shape(&PersonalData::Keep).unwrap();
        let record = to_value(&room);
        assert_eq!(record["updated_at"], "2024-05-01T10:00:00.500000Z");
        assert_eq!((&record["webhook"]["url"], &record["webhook"]["headers"]["auth"]), (&"x".into(), &MASK.into()));
        assert_eq!(record["template_id"], Value::Null);
        assert!(room.others.is_empty());
    }
}
