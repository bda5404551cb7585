//! `analytics_events`: what happened in each room, as far back as 100ms keeps it (30 days).
//!
//! - **Source:** every room of `/v2/rooms` (or only recent ones, if the user says so), then
//!   `/v2/analytics/events?room_id=`. The token of a next page dies after 24 h; then the room is read
//!   again from its beginning.
//! - **Cursor:** `created_at`, the event's time. There is no time filter and no defined order, so a
//!   room's events are read to the end. Events may arrive late: a sync goes back to 1 h before its cursor.
//! - **Open in the reference:** failed joins may have no session, in rooms that never had one.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::record::record;
use super::values::{Object, Text, id, optional_time, text, times};
use super::{
    Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{ApiError, Event, EventData, ListFilter, Problem, Room, Session};

record! {
    /// Something that happened in a room.
    EventRecord {
        /// Unique id of the event.
        id: Text<'a>,
        /// What happened, such as `track.add.success` or `client.join.failed`.
        r#type: Text<'a>,
        /// The version of the event's form.
        version: Text<'a>,
        /// When it happened. The cursor of this stream.
        created_at: Timestamp,
        /// When it happened, under the name 100ms gives it.
        timestamp: Timestamp,
        /// The session, when there was one.
        session_id: Text<'a>,
        /// The peer, when there was one.
        peer_id: Text<'a>,
        /// The room.
        room_id: Option<std::borrow::Cow<'a, str>>,
        /// Your own id of the user, when known.
        user_id: Text<'a>,
        /// All the event says; what is in it depends on its type.
        data: Object<'a>,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "analytics_events",
    primary_key: &["id"],
    cursor: Some("created_at"),
    columns: EventRecord::COLUMNS,
    schema: super::schema_of_record::<EventRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let newest = ListFilter { flag: Some(true), ..ListFilter::default() };
            let room = client.rooms(&newest, |rooms| rooms.first().and_then(|room| text(room.id).map(String::from)));
            let Some(room) = room.await?.content else { return Ok(serde_json::Map::new()) };
            let fields = client.analytics_events(&room, &[], None, |events| {
                added_fields(events.iter().map(|event| event.other.as_slice()))
            });
            Ok(fields.await?.content)
        })
    },
    open: |reading| {
        let not_before = reading.start_date.max(reading.cursor.minus_hours(LOOK_BACK_HOURS));
        Box::new(AnalyticsEvents { reading, not_before, recent: OnceCell::new(), restarts: Mutex::default() })
    },
    line: |item| {
        let event: Event<'_> = super::parsed(item)?;
        super::line(&shape(&event, "room")?, &event.other)
    },
};

/// How late an event may become visible.
const LOOK_BACK_HOURS: i64 = 1;
/// With `recent_rooms_only`: a session lasts 12 h at most, so one that touches the cursor began after.
const SESSION_HOURS: i64 = 13;
/// The API keeps no older events.
const KEPT_HOURS: i64 = 30 * 24;
/// HTTP statuses that say a page token is no longer good.
const TOKEN_REFUSED: [u16; 3] = [400, 404, 410];

/// A room is read again this often at most.
const MOST_RESTARTS: u32 = 3;

const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

struct AnalyticsEvents {
    reading: Reading,
    /// Events before are not read.
    not_before: Timestamp,
    /// With `recent_rooms_only`: the rooms that had a session since the cursor.
    recent: OnceCell<HashSet<String>>,
    /// How often a room was read again because its token had died.
    restarts: Mutex<HashMap<String, u32>>,
}

impl Stream for AnalyticsEvents {
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
            match &slice.room {
                Some(room) => self.events(slice, room).await,
                None => self.rooms(slice).await,
            }
        })
    }
}

impl AnalyticsEvents {
    /// A page of rooms: each becomes a slice of its own, before the next page of rooms.
    async fn rooms(&self, slice: &Slice) -> Result<Step, StreamError> {
        let recent = match self.reading.options.recent_rooms_only {
            true => Some(self.recent.get_or_try_init(|| self.rooms_with_sessions()).await?),
            false => None,
        };
        let filter = slice.filter(slice.list == ENABLED);
        let page = self.reading.client.rooms(&filter, |rooms| self.choose(&rooms, recent)).await?;
        let room_slice = |room| Slice { room: Some(room), ..Slice::whole(&slice.list) };
        let next = page.content?.into_iter().map(room_slice).chain(slice.rest(page.next)).collect();
        Ok(Step { next, ..Step::default() })
    }

    fn choose(&self, rooms: &[Room<'_>], recent: Option<&HashSet<String>>) -> Result<Vec<String>, RecordError> {
        let mut chosen = Vec::with_capacity(rooms.len());
        for room in rooms {
            let id = id(room.id)?;
            let is_chosen = match recent {
                None => true,
                Some(recent) => {
                    let (created_at, updated_at) = times(&id, room.created_at, room.updated_at)?;
                    created_at.max(updated_at) >= self.not_before || recent.contains(id.as_ref())
                }
            };
            chosen.extend(is_chosen.then(|| id.into_owned()));
        }
        Ok(chosen)
    }

    /// The rooms of all sessions that may have been going on since the cursor.
    async fn rooms_with_sessions(&self) -> Result<HashSet<String>, StreamError> {
        let mut rooms = HashSet::new();
        for active in [true, false] {
            // Live sessions are few; ended ones are looked for from where they can matter.
            let after = (!active).then(|| self.ended_sessions_since());
            let mut slice = Slice { after, ..Slice::whole("sessions") };
            loop {
                let page = self.reading.client.sessions(&slice.filter(active), |page| room_ids(&page)).await?;
                rooms.extend(page.content);
                match slice.rest(page.next) {
                    Some(rest) => slice = rest,
                    None => break,
                }
            }
        }
        Ok(rooms)
    }

    fn ended_sessions_since(&self) -> Timestamp {
        let now = self.reading.client.began().unwrap_or_else(chrono::Utc::now);
        let oldest_kept = Timestamp::from(now).minus_hours(KEPT_HOURS);
        self.not_before.max(oldest_kept).minus_hours(SESSION_HOURS).floor_to_second()
    }

    async fn events(&self, slice: &Slice, room: &str) -> Result<Step, StreamError> {
        let shape = |events: Vec<Event<'_>>| self.shape(&events, room);
        let types = &self.reading.options.event_types;
        let page = self.reading.client.analytics_events(room, types, slice.start.as_deref(), shape).await;
        let page = match page {
            // The token has outlived its 24 h: read the room again, from a snapshot of now.
            Err(error) if slice.start.is_some() && error.status().is_some_and(|s| TOKEN_REFUSED.contains(&s)) => {
                self.restart(room, error)?;
                return Ok(Step { next: vec![Slice { start: None, ..slice.clone() }], ..Step::default() });
            }
            // The room is gone.
            Err(error) if error.is_not_found() => return Ok(Step::default()),
            page => page?,
        };
        Ok(Step { rows: page.content?, next: slice.rest(page.next).into_iter().collect(), seen: None })
    }

    /// Counts the restarts of a room; `refusal` stands when tokens do not even last for one reading.
    fn restart(&self, room: &str, refusal: ApiError) -> Result<(), ApiError> {
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        let restarts = restarts.entry(room.to_owned()).or_default();
        *restarts += 1;
        if *restarts <= MOST_RESTARTS {
            return Ok(());
        }
        let problem = Problem::Inconsistent("its page tokens expire while a single room is read".into());
        Err(ApiError { problem, ..refusal })
    }

    fn shape(&self, events: &[Event<'_>], room: &str) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for event in events {
            let record = shape(event, room)?;
            if record.created_at >= self.not_before {
                rows.push(&self.reading.format, &record, Some(record.created_at), &event.other)?;
            }
        }
        Ok(rows)
    }
}

fn room_ids(sessions: &[Session<'_>]) -> Vec<String> {
    sessions.iter().filter_map(|session| text(session.room_id).map(String::from)).collect()
}

fn shape<'a>(event: &Event<'a>, room: &'a str) -> Result<EventRecord<'a>, RecordError> {
    let id = id(event.id)?;
    let time = optional_time(event.timestamp, &id, "timestamp")?
        .ok_or_else(|| RecordError::new(Some(&id), "timestamp", "is missing"))?;
    let data: EventData<'a> = event.data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
    Ok(EventRecord {
        id: Text(event.id),
        r#type: Text(event.kind),
        version: Text(event.version),
        created_at: time,
        timestamp: time,
        session_id: Text(data.session_id),
        peer_id: Text(data.peer_id),
        room_id: Some(text(data.room_id).unwrap_or(room.into())),
        user_id: Text(data.user_id),
        data: Object(event.data),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lifted_and_the_room_is_known_anyway() {
        let json = r#"{"id":"e","type":"client.join.failed","version":"2.0","timestamp":"2024-05-01T10:00:00.123456789Z",
            "data":{"user_id":"u","error_code":4001}}"#;
        let record = super::super::record_value(&shape(&serde_json::from_str(json).unwrap(), "r1").unwrap());
        assert_eq!(record["created_at"], "2024-05-01T10:00:00.123456Z");
        assert_eq!(
            (&record["room_id"], &record["user_id"], &record["session_id"]),
            (&"r1".into(), &"u".into(), &serde_json::Value::Null)
        );
        assert_eq!(record["data"]["error_code"], 4001);
        assert_eq!(record["type"], "client.join.failed");
    }

    #[test]
    fn an_event_without_a_time_cannot_be_placed() {
        let event: Event<'_> = serde_json::from_str(r#"{"id":"e","timestamp":null}"#).unwrap();
        assert_eq!(shape(&event, "r").err().unwrap().to_string(), "`timestamp` of the record `e` is missing");
    }
}
