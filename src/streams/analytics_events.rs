//! `analytics_events`: what happened in each room, as far back as 100ms keeps it (30 days).
//!
//! - **Source:** joins and leaves are made from the peers of `/v2/sessions`, because 100ms does not return
//!   them as events; everything else comes from `/v2/analytics/events`, which wants a room.
//! - **Which rooms are asked:** those where something happened. For each session since the look-back its
//!   events, and for its room and each room created or edited since the errors once more, because a failed
//!   join can come without a session. A room whose events fit one page answers both questions at once. In a
//!   *sweep* every room is asked for all its events: the first time, and then once a day, for what the fast
//!   way cannot see (late events of old sessions, failed joins in rooms that nobody ever entered, a filter
//!   that does not do what the reference says).
//! - **Cursor:** `created_at`, the event's time. There is no time filter and no defined order, so what is
//!   asked for is read to the end. Events may arrive late: a sync goes back to 1 h before its cursor.
//! - **Open in the reference:** failed joins may have no session, in rooms that never had one. The token of a
//!   next page dies after 24 h; then the room is read again from its beginning.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contract::{
    EventRooms, Reading, RecordError, Remark, SETTLING, Seen, Since, Step, Stream, StreamError, Times,
};
use super::record::{Computed, Derived, Identity, Label, Record, Rows, fill_times, id, readable_id, record};
use super::schema;
use super::session::{People, WithText};
use super::skipped::Skipped;
use super::slice::{Scope, Slice};
use super::time::{Time, Timestamp};
use super::values::{Object, Text, text, truth};
use crate::api::{ApiError, Client, EventFilter, List, ListFilter, Problem};

record! {
    /// Something that happened in a room.
    EventRecord {
        /// Unique id of the event.
        id: Identity<'a>,
        /// What happened, such as `peer.join`, `track.add.success` or `client.join.failed`.
        r#type: Label<'a>,
        /// The version of the event's form; null for joins and leaves.
        version: Text<'a>,
        /// When it happened. The cursor of this stream.
        created_at: Computed<Timestamp>,
        /// When it happened, under the name 100ms gives it.
        timestamp: Time,
        /// The session, when there was one.
        session_id: Computed<Label<'a>>,
        /// The peer, when there was one.
        peer_id: Computed<Label<'a>>,
        /// The room.
        room_id: Computed<Label<'a>>,
        /// Your own id of the user, when known.
        user_id: Computed<Label<'a>>,
        /// Where the event comes from: `analytics` as 100ms returns it, or `sessions` for a join or a leave, which is made from the people in a session.
        source: Computed<&'static str>,
        /// All the event says; what is in it depends on its type. For a join or a leave it is the person's entry in the session.
        data: Object<'a>,
    }
    personal ["user_id"]
    people ["data"]
}

record! {
    /// What is lifted from an event's `data`.
    EventData {
        room_id: Text<'a>,
        session_id: Text<'a>,
        peer_id: Text<'a>,
        user_id: Text<'a>,
    }
}

record! {
    /// What is read of a session.
    ParentSession {
        id: Text<'a> = "id" | "_id",
        room_id: Text<'a>,
        active: Text<'a>,
        created_at: Time,
        updated_at: Time,
        ended_at: Time,
        peers: Derived<'a, ()>,
    }
}

record! {
    /// What is read of a room.
    ParentRoom {
        id: Text<'a> = "id" | "_id",
        created_at: Time,
        updated_at: Time,
    }
}

/// How late an event may become visible.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);
/// A session lasts 12 h at most, so one that touches the cursor began after.
const LONGEST_SESSION: TimeDelta = TimeDelta::hours(13);
/// The API keeps no older events, so joins and leaves reach no further back: a funnel would be skewed.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How often every room is asked in `auto`.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(24);
/// HTTP statuses that say a page token is no longer good.
const TOKEN_REFUSED: [u16; 3] = [400, 404, 410];
/// A room is read again this often at most.
const MOST_RESTARTS: u32 = 3;
/// So many more rooms may have turned out to be long than short before none is tried whole any more.
const LONG_ROOMS_ALLOWED: i64 = 4;

const JOIN: &str = "peer.join";
const LEAVE: &str = "peer.leave";

/// The key of the state that says when every room was asked for the last time. It is there as soon as joins and
/// leaves have been read, which version 0.1.0 did not do.
const SWEPT_AT: &str = "swept_at";
/// What it says when that has never been done. It is no `null`, which some runners drop.
const NEVER: Timestamp = Timestamp::from_micros(0);
/// The key of the state of a sync under way that asks every room: `true` once it has begun to.
const SWEEPING: &str = "sweeping";

/// Sessions that are going on, then those that have ended: joins and leaves, and where events are asked.
const ACTIVE: &str = "active";
const ENDED: &str = "ended";
/// The errors of rooms created or edited since, when this sync does not sweep.
const NEW_ENABLED: &str = "new_enabled";
const NEW_DISABLED: &str = "new_disabled";
/// All rooms, in a sweep. (The names of version 0.1.0, which always asked all rooms.)
const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";
/// Rooms that were enabled after the sweep began: they may have been in neither of the two lists when it was read.
const SWITCHED: &str = "switched";

/// The stream.
pub(super) struct AnalyticsEvents {
    reading: Reading,
    /// When every room was asked for the last time.
    swept_at: Option<Timestamp>,
    /// Rooms whose errors have been asked for.
    asked: Mutex<HashSet<String>>,
    /// Rooms of this sweep that have lately changed: they need not be asked again when they were switched.
    swept: Mutex<HashSet<String>>,
    /// How many more of the rooms that were tried whole had one page of events than had several.
    short_rooms: AtomicI64,
    /// How often a room was read again because its token had died.
    restarts: Mutex<HashMap<String, u32>>,
    /// Whether this sync has begun to ask every room, in this process or in an earlier one.
    has_swept: AtomicBool,
    /// Whether this sync, or one before it, has read all joins and leaves.
    has_read_joins: AtomicBool,
    skipped: Skipped,
}

impl Stream for AnalyticsEvents {
    const NAME: &'static str = "analytics_events";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("created_at");
    const LISTS: &'static [&'static str] = &[ACTIVE, ENDED, NEW_ENABLED, NEW_DISABLED, ENABLED, DISABLED, SWITCHED];
    const LOOK_BACK: TimeDelta = LOOK_BACK;
    const MEMORY: &'static [&'static str] = &[SWEPT_AT, SWEEPING];
    type Record = EventRecord<'static>;

    fn open(reading: Reading) -> Self {
        let swept_at = reading.memory.get(SWEPT_AT).and_then(Value::as_str).and_then(Timestamp::parse);
        let has_swept = reading.memory.get(SWEEPING).is_some_and(|value| value == true);
        Self {
            reading,
            swept_at,
            asked: Mutex::default(),
            swept: Mutex::default(),
            short_rooms: AtomicI64::new(0),
            restarts: Mutex::default(),
            has_swept: AtomicBool::new(has_swept),
            has_read_joins: AtomicBool::new(swept_at.is_some()),
            skipped: Skipped::new("requests for events"),
        }
    }

    fn list(&self, list: &'static str) -> Option<Slice> {
        match list {
            // However long ago they began: sessions that are going on are few.
            ACTIVE => Some(Slice::whole(ACTIVE)),
            ENDED => Some(Slice::since(ENDED, (self.joins_from() - LONGEST_SESSION).floor_to_second())),
            list => {
                let is_sweep = is_of_sweep(list);
                if list == NEW_ENABLED {
                    // The lists before have been read to their ends.
                    self.has_read_joins.store(true, Ordering::Relaxed);
                }
                let is_wanted = self.sweeps() == is_sweep;
                self.has_swept.fetch_or(is_wanted && is_sweep, Ordering::Relaxed);
                is_wanted.then(|| Slice::whole(list))
            }
        }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        match (&slice.scope, slice.list.as_str()) {
            (Scope::Session { with_errors: true, .. }, _) => self.events_and_errors(slice).await,
            (Scope::Room(_) | Scope::Session { .. }, _) => self.events(&slice).await,
            (_, ACTIVE | ENDED) => self.sessions(slice).await,
            _ => self.rooms(slice).await,
        }
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        let newest = ListFilter { flag: Some(true), ..ListFilter::default() };
        let shape = |rooms: Vec<ParentRoom<'_>>| rooms.first().and_then(|room| text(room.id.0).map(String::from));
        let Some(room) = client.list::<ParentRoom<'static>, _>(List::ROOMS, &newest, shape).await?.content else {
            return Ok(Map::new());
        };
        let filter = EventFilter { room: &room, ..EventFilter::default() };
        let fields = |events: Vec<EventRecord<'_>>| schema::added_fields(events.iter().map(Record::others));
        Ok(client.analytics_events::<EventRecord<'static>, _>(&filter, fields).await?.content)
    }

    fn remarks(&self) -> Vec<Remark> {
        self.skipped.remarks()
    }

    fn undecided(&self) -> Option<ApiError> {
        self.skipped.undecided()
    }

    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        let has_swept = self.has_swept.load(Ordering::Relaxed);
        let is_sweeping = if has_swept && !is_finished { Value::Bool(true) } else { Value::Null };
        let mut memory = Map::from_iter([(SWEEPING.to_owned(), is_sweeping)]);
        if self.has_read_joins.load(Ordering::Relaxed) {
            let swept_at = if has_swept && is_finished { self.reading.began() } else { self.swept_at.unwrap_or(NEVER) };
            memory.insert(SWEPT_AT.to_owned(), swept_at.to_string().into());
        }
        memory
    }
}

impl AnalyticsEvents {
    /// Whether this sync asks every room for all its events.
    fn sweeps(&self) -> bool {
        if self.has_swept.load(Ordering::Relaxed) {
            return true;
        }
        match self.reading.options.rooms {
            EventRooms::All => true,
            EventRooms::Recent => false,
            // A time in the future is no better than none.
            EventRooms::Auto => self.swept_at.is_none_or(|swept_at| {
                let began = self.reading.began();
                swept_at > began || swept_at + SWEEP_EVERY <= began
            }),
        }
    }

    /// The time from which events are written. A sweep is there for what the syncs since the last one could not
    /// see, so it goes back to that one; what they did see is written again, once a day.
    fn events_from(&self, is_sweep: bool) -> Timestamp {
        let Since { start_date, longer, .. } = self.reading.since;
        // The first version asked every room in every sync and remembered nothing.
        let Some(swept_at) = self.swept_at.filter(|_| is_sweep) else { return self.reading.due };
        start_date.max(swept_at - LOOK_BACK - longer).min(self.reading.due)
    }

    /// The time from which joins and leaves are read. A state that knows of no sweep is the first
    /// version's, which had none of them.
    fn joins_from(&self) -> Timestamp {
        let kept = self.reading.began() - KEPT;
        let is_new_here = self.reading.since.follows_a_sync() && self.swept_at.is_none();
        kept.max(if is_new_here { self.reading.since.start_date } else { self.reading.due })
    }

    /// A page of sessions: joins and leaves, and where to ask for events.
    async fn sessions(&self, slice: Slice) -> Result<Step, StreamError> {
        let filter = slice.filter(slice.list == ACTIVE);
        let shape = |page: Vec<ParentSession<'_>>| self.of_sessions(&slice, page);
        let page = self.reading.client.list::<ParentSession<'static>, _>(List::SESSIONS, &filter, shape).await?;
        let (rows, children, seen) = page.content?;
        Ok(Step { rows, children, seen, rest: slice.rest(page.next), ..Step::default() })
    }

    fn of_sessions(
        &self,
        slice: &Slice,
        mut page: Vec<ParentSession<'_>>,
    ) -> Result<(Rows, Vec<Slice>, Option<Seen>), StreamError> {
        let (mut rows, mut children, mut seen) = (Rows::default(), Vec::new(), None);
        let (joins_from, asks) = (self.joins_from(), !self.sweeps() && self.types_to_ask().is_some());
        for session in &mut page {
            let session_id = id(session.id.0)?;
            let times = fill_times(&session_id, &mut session.created_at, &mut session.updated_at)?;
            Seen::note(&mut seen, slice, times.created);
            if !slice.window().takes(times.created) {
                continue;
            }
            let room = text(session.room_id.0).map(|room| readable_id(Some(room), Some(&session_id), "room_id"));
            let room = room.transpose()?;
            let people = People::<WithText<'_>>::of(session.peers.raw, &session_id, self.reading.format.personal())?;
            let mut changed = session.ended_at.get().map_or(times.changed, |ended_at| ended_at.max(times.changed));
            for person in people.all {
                let peer = Passage::of(person, &session_id, room.as_deref());
                changed = changed.max(peer.last_seen());
                self.push_passage(&mut rows, &peer, joins_from);
            }
            let is_going_on = truth(session.active.0) == Some(true);
            if let Some(room) = room.filter(|_| asks && (is_going_on || changed >= self.reading.due)) {
                let with_errors = locked(&self.asked).insert(room.clone().into_owned());
                let scope = Scope::Session { room: room.into(), session: session_id.into(), with_errors };
                children.push(Slice::new(&slice.list, scope));
            }
        }
        Ok((rows, children, seen))
    }

    /// Writes the join and the leave of somebody who came or went since `from`. The join is written again
    /// with the leave, because its data then say when the person left.
    fn push_passage(&self, rows: &mut Rows, peer: &Passage<'_>, from: Timestamp) {
        if peer.last_seen() < from {
            return;
        }
        for (kind, time) in [(JOIN, peer.joined_at), (LEAVE, peer.left_at)] {
            let Some(time) = time.filter(|time| *time >= self.reading.began() - KEPT) else { continue };
            if self.wants(kind) && time >= self.reading.since.start_date {
                rows.push(
                    &self.reading.format,
                    &peer.record(kind, time),
                    Some(Times { settled: peer.last_seen(), ..Times::new(time, time) }),
                );
            }
        }
    }

    fn wants(&self, kind: &str) -> bool {
        let types = &self.reading.options.event_types;
        types.is_empty() || types.iter().any(|wanted| wanted == kind)
    }

    /// The types to ask the API for; `None` when only joins and leaves are wanted, which it does not have.
    fn types_to_ask(&self) -> Option<Vec<String>> {
        let types = &self.reading.options.event_types;
        let asked: Vec<String> = types.iter().filter(|kind| !matches!(kind.as_str(), JOIN | LEAVE)).cloned().collect();
        (types.is_empty() || !asked.is_empty()).then_some(asked)
    }

    /// A page of rooms: each becomes a slice of its own, before the next page of rooms.
    async fn rooms(&self, slice: Slice) -> Result<Step, StreamError> {
        let filter = slice.filter(matches!(slice.list.as_str(), ENABLED | NEW_ENABLED | SWITCHED));
        let shape = |rooms: Vec<ParentRoom<'_>>| self.choose(rooms, &slice.list);
        let page = self.reading.client.list::<ParentRoom<'static>, _>(List::ROOMS, &filter, shape).await?;
        let children = page.content?.into_iter().map(|room| Slice::new(&slice.list, Scope::Room(room))).collect();
        Ok(Step { children, rest: slice.rest(page.next), ..Step::default() })
    }

    fn choose(&self, rooms: Vec<ParentRoom<'_>>, list: &str) -> Result<Vec<String>, RecordError> {
        let mut chosen = Vec::with_capacity(rooms.len());
        // In a new room joins are tried at once, and what failed may be told late. Of an edit it is enough that
        // one sync sees it.
        let edited_from = self.reading.since.due(SETTLING);
        for mut room in rooms {
            let id = id(room.id.0)?;
            let times = fill_times(&id, &mut room.created_at, &mut room.updated_at)?;
            let is_new = || {
                (times.created >= self.reading.due || times.changed >= edited_from)
                    && locked(&self.asked).insert(id.clone().into_owned())
            };
            let is_first_of_sweep = || {
                times.changed >= self.reading.began() - SETTLING && locked(&self.swept).insert(id.clone().into_owned())
            };
            let is_wanted = match list {
                ENABLED | DISABLED => {
                    is_first_of_sweep();
                    true
                }
                SWITCHED => is_first_of_sweep(),
                _ => is_new(),
            };
            if is_wanted {
                chosen.push(id.into_owned());
            }
        }
        Ok(chosen)
    }

    /// The events of a session and the errors of its room. When all the room has fits a page, that page holds
    /// both; otherwise they are asked for one by one.
    async fn events_and_errors(&self, slice: Slice) -> Result<Step, StreamError> {
        let Scope::Session { room, session, .. } = &slice.scope else { return Ok(Step::default()) };
        // Where most rooms are long, as when meetings share a few, trying costs more than it saves.
        if self.short_rooms.load(Ordering::Relaxed) > -LONG_ROOMS_ALLOWED {
            let step = self.ask(&slice, EventFilter { room, ..EventFilter::default() }).await?;
            let is_short = step.rest.is_none();
            if step.is_undecided {
                return Ok(step);
            }
            self.short_rooms.fetch_add(if is_short { 1 } else { -1 }, Ordering::Relaxed);
            if is_short {
                return Ok(step);
            }
        }
        let (room, session) = (room.clone(), session.clone());
        let scopes = [Scope::Session { room: room.clone(), session, with_errors: false }, Scope::Room(room)];
        let children = scopes.into_iter().map(|scope| Slice::new(&slice.list, scope)).collect();
        Ok(Step { children, ..Step::default() })
    }

    /// A page of events of a session, of a room's errors, or in a sweep of all a room has.
    async fn events(&self, slice: &Slice) -> Result<Step, StreamError> {
        let filter = match &slice.scope {
            Scope::Session { room, session, .. } => {
                EventFilter { room, session: Some(session), ..EventFilter::default() }
            }
            Scope::Room(room) => EventFilter { room, errors_only: !is_sweep(slice), ..EventFilter::default() },
            _ => return Ok(Step::default()),
        };
        self.ask(slice, filter).await
    }

    /// A page of the events that `filter` lets through, as part of `slice`.
    async fn ask(&self, slice: &Slice, filter: EventFilter<'_>) -> Result<Step, StreamError> {
        let Some(types) = self.types_to_ask() else { return Ok(Step::default()) };
        let room = filter.room;
        let of_session = filter.session.map(|session| format!("&session_id={session}")).unwrap_or_default();
        let item = format!("room_id={room}{of_session}");
        let filter = EventFilter { types: &types, start: slice.token.as_deref(), ..filter };
        let from = self.events_from(is_sweep(slice));
        let shape = |events: Vec<EventRecord<'_>>| self.shape(events, room, from);
        let page = self.reading.client.analytics_events::<EventRecord<'static>, _>(&filter, shape).await;
        let page = match page {
            // The token has outlived its 24 h: read the room again, from a snapshot of now.
            Err(error) if slice.token.is_some() && error.status().is_some_and(|s| TOKEN_REFUSED.contains(&s)) => {
                self.restart(room, error)?;
                return Ok(Step { children: vec![Slice { token: None, ..slice.clone() }], ..Step::default() });
            }
            // The room is gone.
            Err(error) if error.is_not_found() => {
                self.reading.client.skipped(format!("{}?{item}", error.endpoint));
                Ok(None)
            }
            page => page.map(Some),
        };
        let Some(page) = self.skipped.note(&item, page)? else {
            return Ok(Step { is_undecided: self.skipped.is_undecided(&item), ..Step::default() });
        };
        Ok(Step { rows: page.content?, rest: slice.rest(page.next), ..Step::default() })
    }

    /// Counts the restarts of a room; `refusal` stands when tokens do not even last for one reading.
    fn restart(&self, room: &str, refusal: ApiError) -> Result<(), ApiError> {
        let mut restarts = locked(&self.restarts);
        let restarts = restarts.entry(room.to_owned()).or_default();
        *restarts += 1;
        if *restarts <= MOST_RESTARTS {
            return Ok(());
        }
        let problem = Problem::Inconsistent("its page tokens expire while a single room is read".into());
        Err(ApiError { problem, ..refusal })
    }

    fn shape(&self, events: Vec<EventRecord<'_>>, room: &str, from: Timestamp) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for mut event in events {
            let time = event.shape(room)?;
            if time >= from {
                rows.push(&self.reading.format, &event, Some(Times::new(time, time)));
            }
        }
        Ok(rows)
    }
}

/// Whether the slice is part of asking every room.
fn is_sweep(slice: &Slice) -> bool {
    is_of_sweep(&slice.list)
}

fn is_of_sweep(list: &str) -> bool {
    matches!(list, ENABLED | DISABLED | SWITCHED)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> EventRecord<'a> {
    /// Fills the computed columns of an event that `room` was asked for; returns its time.
    fn shape(&mut self, room: &str) -> Result<Timestamp, RecordError> {
        let id = readable_id(self.id.0.clone(), None, "id")?;
        let time = self.timestamp.readable(&id, "timestamp")?.or_else(|| Timestamp::in_id(&id));
        let time = time.ok_or_else(|| RecordError::new(Some(&id), "timestamp", "is missing"))?;
        let data: EventData<'a> =
            self.data.0.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
        self.created_at.0 = Some(time);
        self.session_id.0 = Some(Label::Raw(data.session_id));
        self.peer_id.0 = Some(Label::Raw(data.peer_id));
        self.room_id.0 = Some(text(data.room_id.0).unwrap_or_else(|| room.to_owned().into()).into());
        self.user_id.0 = Some(Label::Raw(data.user_id));
        self.source.0 = Some("analytics");
        Ok(time)
    }
}

/// Somebody's stay in a session.
struct Passage<'a> {
    id: Cow<'a, str>,
    user_id: Text<'a>,
    joined_at: Option<Timestamp>,
    left_at: Option<Timestamp>,
    session: &'a str,
    room: Option<&'a str>,
    entry: &'a RawValue,
}

impl<'a> Passage<'a> {
    fn of(person: WithText<'a>, session: &'a str, room: Option<&'a str>) -> Self {
        let WithText { entry, text } = person;
        Self {
            joined_at: entry.joined_at.get(),
            left_at: entry.left_at.get(),
            user_id: entry.user_id,
            id: entry.id.0.unwrap_or_default(),
            session,
            room,
            entry: text,
        }
    }

    fn last_seen(&self) -> Timestamp {
        self.joined_at.max(self.left_at).unwrap_or(Timestamp::from_micros(i64::MIN))
    }

    fn record(&self, kind: &'static str, time: Timestamp) -> EventRecord<'_> {
        let what = kind.trim_start_matches("peer");
        EventRecord {
            id: Identity(Some(format!("{}{what}", self.id).into())),
            r#type: Label::Text(kind.into()),
            created_at: Computed(Some(time)),
            timestamp: time.into(),
            session_id: Computed(Some(Label::Text(self.session.into()))),
            peer_id: Computed(Some(Label::Text(self.id.as_ref().into()))),
            room_id: Computed(self.room.map(Label::from)),
            user_id: Computed(Some(Label::Raw(self.user_id))),
            source: Computed(Some("sessions")),
            data: Object(Some(self.entry)),
            ..EventRecord::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::personal::PersonalData;
    use super::super::write::to_value;
    use super::*;

    #[test]
    fn ids_are_lifted_and_the_room_is_known_anyway() {
        let json = r#"{"id":"e","type":"client.join.failed","version":"2.0","timestamp":"2024-05-01T10:00:00.123456789Z",
            "data":{"user_id":"u","error_code":4001}}"#;
        let mut event: EventRecord<'_> = serde_json::from_str(json).unwrap();
        event.shape("r1").unwrap();
        let record = to_value(&event);
        assert_eq!(record["created_at"], "2024-05-01T10:00:00.123456Z");
        assert_eq!(
            (&record["room_id"], &record["user_id"], &record["session_id"]),
            (&"r1".into(), &"u".into(), &Value::Null)
        );
        assert_eq!(record["data"]["error_code"], 4001);
        assert_eq!((&record["type"], &record["source"]), (&"client.join.failed".into(), &"analytics".into()));
    }

    #[test]
    fn an_event_without_a_time_cannot_be_placed() {
        let mut event: EventRecord<'_> = serde_json::from_str(r#"{"id":"e","timestamp":null}"#).unwrap();
        assert_eq!(event.shape("r").unwrap_err().to_string(), "`timestamp` of the record `e` is missing");
    }

    #[test]
    fn a_stay_is_a_join_and_a_leave() {
        let peers = r#"{"p1":{"name":"Ada","user_id":"u","joined_at":"2024-05-01T10:00:00.5Z"}}"#;
        let people = People::of(serde_json::from_str(peers).unwrap(), "s1", &PersonalData::Keep).unwrap();
        let stay = Passage::of(people.all.into_iter().next().unwrap(), "s1", Some("r1"));
        assert_eq!(stay.left_at, None);
        let record = to_value(&stay.record(JOIN, stay.last_seen()));
        let expected = serde_json::json!({
            "id": "p1.join", "type": "peer.join", "version": null, "created_at": "2024-05-01T10:00:00.500000Z",
            "timestamp": "2024-05-01T10:00:00.500000Z", "session_id": "s1", "peer_id": "p1", "room_id": "r1",
            "user_id": "u", "source": "sessions",
            "data": {"name": "Ada", "user_id": "u", "joined_at": "2024-05-01T10:00:00.5Z"},
        });
        assert_eq!(record, expected);
    }
}
