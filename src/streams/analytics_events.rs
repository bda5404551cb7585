//! `analytics_events`: what happened in each room, as far back as 100ms keeps it (30 days).
//!
//! - **Source:** joins and leaves are made from the peers of `/v2/sessions`, because 100ms does not return
//!   them as events; everything else comes from `/v2/analytics/events`, which wants a room.
//! - **Which rooms are asked:** those where something happened. For each session since the look-back its
//!   events, and for its room and each room created or edited since the errors once more, because a failed
//!   join can come without a session; an event that comes with both is written once. A room whose events fit a
//!   page answers for all its sessions, and for its errors, with one request. In a *sweep* every room
//!   is asked for all its events: the first time, and then once a day, for what the fast way cannot see (late
//!   events of old sessions, failed joins in rooms that nobody ever entered, a filter that does not do what
//!   the reference says).
//! - **Cursor:** `created_at`, the event's time. There is no time filter and no defined order, so what is
//!   asked for is read to the end. Events may arrive late: a sync goes back to 1 h before its cursor.
//! - **Open in the reference:** failed joins may have no session, in rooms that never had one. The token of a
//!   next page dies after 24 h; then the room is read again from its beginning.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::session::{ACTIVE, LONGEST, LiveSessions, Person, Session};
use super::stream::{
    AnalyticsRooms, PageOutcome, PageStats, SETTLING, Sampled, Scope, Skipped, Slice, Stream, StreamContext,
    StreamError, StreamInfo, SyncBounds, first_page, hash_of,
};
use crate::api::{ApiError, Client, Endpoint, Get, Keyed, Problem, Raw, members_of};
use crate::records::Kind::{Object, Text, Time};
use crate::records::{Fields, Record, RecordError, Rows, Table, Times, Timestamp, added_fields, column, readable_id};
use crate::seams::locked;

static TABLE: Table = Table {
    description: "Something that happened in a room.",
    columns: &[
        column("id", Text, "Unique id of the event."),
        column("type", Text, "What happened, such as `peer.join`, `track.add.success` or `client.join.failed`."),
        column("version", Text, "The version of the event's form; null for joins and leaves."),
        column("created_at", Time, "When it happened. The cursor of this stream."),
        column("timestamp", Time, "When it happened, under the name 100ms gives it."),
        column("session_id", Text, "The session, when there was one."),
        column("peer_id", Text, "The peer, when there was one."),
        column("room_id", Text, "The room."),
        column("user_id", Text, "Your own id of the user, when known.").personal(),
        column(
            "source",
            Text,
            "Where the event comes from: `analytics` as 100ms returns it, or `sessions` for a join or a leave, which is \
             made from the people in a session.",
        ),
        column(
            "data",
            Object,
            "All the event says; what is in it depends on its type. For a join or a leave it is the person's entry in \
             the session.",
        )
        .contains_personal(),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    cursor: Some("created_at"),
    look_back: LOOK_BACK,
    memory: &[SWEPT_AT, SWEEPING, LiveSessions::KEY],
    sample,
    ..StreamInfo::new("analytics_events", &TABLE, &[Endpoint::SESSIONS, Endpoint::ROOMS], PHASES, |context| {
        Arc::new(AnalyticsEvents::new(context))
    })
};

const PHASES: &[&str] = &[ACTIVE, ENDED, NEW_ENABLED, NEW_DISABLED, ENABLED, DISABLED, SWITCHED, SWITCHED_BACK];

/// How late an event may become visible.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);
/// The API keeps no older events, so joins and leaves reach no further back: a funnel would be skewed.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How often every room is asked in `auto`.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(24);
/// HTTP statuses that say a page token is no longer good.
const TOKEN_REFUSED: [u16; 3] = [400, 404, 410];
/// A room is read again this often at most.
const MOST_RESTARTS: u32 = 3;

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
const ENDED: &str = "ended";
/// The errors of rooms created or edited since, when this sync does not sweep.
const NEW_ENABLED: &str = "new_enabled";
const NEW_DISABLED: &str = "new_disabled";
/// All rooms, in a sweep. (The names of version 0.1.0, which always asked all rooms.)
const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";
/// Rooms that were enabled after the sweep began: they may have been in neither of the two lists when it was read.
const SWITCHED: &str = "switched";
/// Rooms that were disabled again after that, between two attempts of the sweep.
const SWITCHED_BACK: &str = "switched_back";

struct AnalyticsEvents {
    context: StreamContext,
    live: LiveSessions,
    /// When every room was asked for the last time.
    swept_at: Option<Timestamp>,
    /// The rooms of the sessions that this process has asked about: whether all events of a room fit a page, once that
    /// is known. Then the page has the events of every session and the errors.
    fits_a_page: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<bool>>>>>,
    /// Which request for a session or for errors each event came with first, by hashes of both: it is left out where it comes
    /// again.
    ///
    /// Nothing is lost when this process ends in between: what that request was made for stays in the state until the
    /// events that came with it have been written, and the next process remembers none of this.
    came_with: Mutex<HashMap<u64, u64>>,
    /// Rooms that have lately changed and have been asked: in a sweep they need not be asked again when they were
    /// switched.
    asked: Mutex<HashSet<String>>,
    /// How often the events of a room or session were read again because their token had died, by phase.
    restarts: Mutex<HashMap<String, u32>>,
    /// Whether this sync has begun to ask every room, in this process or in an earlier one.
    has_swept: AtomicBool,
    /// Whether this sync, or one before it, has read all joins and leaves.
    has_read_joins: AtomicBool,
    skipped: Skipped,
}

impl Stream for AnalyticsEvents {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        match phase {
            // However long ago they began: sessions that are going on are few.
            ACTIVE => Some(Slice::whole(ACTIVE)),
            ENDED => Some(Slice::since(ENDED, (self.joins_from() - LONGEST).floor_to_second())),
            phase => {
                // The lists before have been read to their ends, unless version 0.1.0 has begun with another one.
                self.has_read_joins.fetch_or(phase == NEW_ENABLED, Ordering::Relaxed);
                let is_sweep = is_of_sweep(phase);
                let is_wanted = self.sweeps() == is_sweep;
                self.has_swept.fetch_or(is_wanted && is_sweep, Ordering::Relaxed);
                is_wanted.then(|| Slice::whole(phase))
            }
        }
    }

    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            match (&slice.scope, slice.phase.as_str()) {
                (Scope::Session { room, .. }, _) if slice.token.is_none() => self.of_session(&slice, room).await,
                (Scope::Room { .. } | Scope::Session { .. }, _) => self.events(&slice, false).await,
                (_, ACTIVE | ENDED) => self.sessions(slice).await,
                _ => self.rooms(slice).await,
            }
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.skipped]
    }

    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        let has_swept = self.has_swept.load(Ordering::Relaxed);
        let is_sweeping = if has_swept && !is_finished { Value::Bool(true) } else { Value::Null };
        let mut memory = self.live.remember(&self.context, is_finished);
        memory.insert(SWEEPING.to_owned(), is_sweeping);
        if self.has_read_joins.load(Ordering::Relaxed) {
            let swept_at = if has_swept && is_finished { self.context.began() } else { self.swept_at.unwrap_or(NEVER) };
            memory.insert(SWEPT_AT.to_owned(), swept_at.to_string().into());
        }
        memory
    }
}

fn sample<'c>(client: &'c Client, _: &'static StreamInfo) -> Sampled<'c> {
    Box::pin(async move {
        let newest = |rooms: Vec<Fields<'_>>| rooms.first().and_then(|room| room.text("id")).map(String::from);
        let room = first_page(client, Endpoint::ROOMS, Some(true), newest).await?;
        let Some(room) = room else { return Ok(Map::new()) };
        let of_room = Get::page(Endpoint::EVENTS, None).with("room_id", [room]);
        let added = |events: Vec<Fields<'_>>| added_fields(&TABLE, &events);
        Ok(client.list::<Fields<'static>, _>(of_room, added).await?.content)
    })
}

impl AnalyticsEvents {
    fn new(context: StreamContext) -> Self {
        let swept_at = context.memory.get(SWEPT_AT).and_then(Value::as_str).and_then(Timestamp::parse);
        let has_swept = context.memory.get(SWEEPING).is_some_and(|value| value == true);
        Self {
            live: LiveSessions::new(&context),
            context,
            swept_at,
            fits_a_page: Mutex::default(),
            came_with: Mutex::default(),
            asked: Mutex::default(),
            restarts: Mutex::default(),
            has_swept: AtomicBool::new(has_swept),
            has_read_joins: AtomicBool::new(swept_at.is_some()),
            skipped: Skipped::new("requests for events"),
        }
    }

    /// Whether this sync asks every room for all its events.
    fn sweeps(&self) -> bool {
        if self.has_swept.load(Ordering::Relaxed) {
            return true;
        }
        match self.context.options.rooms {
            AnalyticsRooms::All => true,
            AnalyticsRooms::Recent => false,
            // A time in the future is no better than none.
            AnalyticsRooms::Auto => self.swept_at.is_none_or(|swept_at| {
                let began = self.context.began();
                swept_at > began || swept_at + SWEEP_EVERY <= began
            }),
        }
    }

    /// The time from which events are written. A sweep is there for what the syncs since the last one could not
    /// see, so it goes back to that one; what they did see is written again, once a day.
    fn events_from(&self, is_sweep: bool) -> Timestamp {
        let SyncBounds { start_date, extra_lookback, .. } = self.context.since;
        // The first version asked every room in every sync and remembered nothing.
        let Some(swept_at) = self.swept_at.filter(|_| is_sweep) else { return self.context.changed_since };
        start_date.max(swept_at - LOOK_BACK - extra_lookback).min(self.context.changed_since)
    }

    /// The time from which joins and leaves are read. A state that knows of no sweep is the first
    /// version's, which had none of them.
    fn joins_from(&self) -> Timestamp {
        let kept = self.context.began() - KEPT;
        let is_new_here = self.context.since.follows_a_sync() && self.swept_at.is_none();
        kept.max(if is_new_here { self.context.since.start_date } else { self.context.changed_since })
    }

    /// A page of sessions: joins and leaves, and where to ask for events.
    async fn sessions(&self, slice: Slice) -> Result<PageOutcome, StreamError> {
        let get = slice.page_of(Endpoint::SESSIONS, Some(slice.phase == ACTIVE));
        let shape = |page: Vec<Fields<'_>>| self.outcome_of_sessions(&slice, page);
        let (outcome, rest) = self.context.page(&slice, get, shape).await?;
        Ok(PageOutcome { rest, ..outcome })
    }

    fn outcome_of_sessions(&self, slice: &Slice, page: Vec<Fields<'_>>) -> Result<PageOutcome, RecordError> {
        let mut outcome = PageOutcome::default();
        let asks = !self.sweeps() && self.types_to_ask().is_some();
        for fields in page {
            let session = Session::of(&fields, &self.context.format.personal)?;
            PageStats::note(&mut outcome.seen, slice, session.times.created);
            if !slice.window().takes(session.times.created) {
                continue;
            }
            let room = session.room.as_ref().map(|room| readable_id(Some(room.clone()), Some(&session.id), "room_id"));
            let room = room.transpose()?;
            self.push_moves(&mut outcome.rows, &session, fields.get("peers"));
            let has_changed = self.live.due(&self.context, &session.id, session.times).is_some();
            let is_due = session.is_active || has_changed;
            if let Some(room) = room.filter(|_| asks && is_due).map(Cow::into_owned) {
                let scope = Scope::Session { room, session: session.id.into_owned() };
                outcome.children.push(Slice::new(&slice.phase, scope));
            }
        }
        Ok(outcome)
    }

    /// Writes the join and the leave of everybody who came or went lately. The join is written again with the leave,
    /// because its data then say when the person left.
    fn push_moves(&self, rows: &mut Rows, session: &Session<'_>, peers: Raw<'_>) {
        // They are entries, or the session could not have been read.
        let entries: Keyed<'_, &RawValue> = members_of(peers).unwrap_or_default();
        for (person, (_, entry)) in session.people.iter().zip(entries) {
            let Some(last_seen) = person.joined_at.max(person.left_at) else { continue };
            for (kind, time) in [(JOIN, person.joined_at), (LEAVE, person.left_at)] {
                let is_kept =
                    |time: &Timestamp| *time >= self.context.began() - KEPT && *time >= self.context.since.start_date;
                let Some(time) = time.filter(is_kept) else { continue };
                if last_seen >= self.joins_from() && self.wants(kind) {
                    let times = Times { recheck_until: last_seen, ..Times::new(time, time) };
                    rows.push(&self.context.format, &move_of(session, person, kind, time, entry), Some(times));
                }
            }
        }
    }

    fn wants(&self, kind: &str) -> bool {
        let types = &self.context.options.event_types;
        types.is_empty() || types.iter().any(|wanted| wanted == kind)
    }

    /// The types to ask the API for; `None` when only joins and leaves are wanted, which it does not have.
    fn types_to_ask(&self) -> Option<Vec<String>> {
        let types = &self.context.options.event_types;
        let asked: Vec<String> = types.iter().filter(|kind| !matches!(kind.as_str(), JOIN | LEAVE)).cloned().collect();
        (types.is_empty() || !asked.is_empty()).then_some(asked)
    }

    /// A page of rooms: each becomes a slice of its own, before the next page of rooms.
    async fn rooms(&self, slice: Slice) -> Result<PageOutcome, StreamError> {
        let is_enabled = matches!(slice.phase.as_str(), ENABLED | NEW_ENABLED | SWITCHED);
        let get = slice.page_of(Endpoint::ROOMS, Some(is_enabled));
        let shape = |rooms: Vec<Fields<'_>>| self.choose(rooms, &slice.phase);
        let (rooms, rest) = self.context.page(&slice, get, shape).await?;
        let children = rooms.into_iter().map(|room| Slice::new(&slice.phase, Scope::Room { room })).collect();
        Ok(PageOutcome { children, rest, ..PageOutcome::default() })
    }

    fn choose(&self, rooms: Vec<Fields<'_>>, phase: &str) -> Result<Vec<String>, RecordError> {
        let mut chosen = Vec::with_capacity(rooms.len());
        // In a new room joins are tried at once, and what failed may be told late. Of an edit it is enough that
        // one sync sees it.
        let edited_from = self.context.since.changed_since(SETTLING);
        for room in rooms {
            let id = room.id()?;
            let times = room.times(&id)?;
            let has_changed_lately = if is_of_sweep(phase) {
                times.changed >= self.context.began() - SETTLING
            } else {
                (times.created >= self.context.changed_since || times.changed >= edited_from)
                    && !locked(&self.fits_a_page).contains_key(id.as_ref())
            };
            let is_first_time = has_changed_lately && locked(&self.asked).insert(id.clone().into_owned());
            if is_first_time || matches!(phase, ENABLED | DISABLED) {
                chosen.push(id.into_owned());
            }
        }
        Ok(chosen)
    }

    /// The events of a session of a room. The first one in this process that belongs to the room asks for all events of
    /// the room; if they do not fit a page, the errors of the room are asked for, too.
    async fn of_session(&self, slice: &Slice, room: &str) -> Result<PageOutcome, StreamError> {
        let known = Arc::clone(locked(&self.fits_a_page).entry(room.to_owned()).or_default());
        let mut fits_a_page = known.lock().await;
        match *fits_a_page {
            // What brought the page is in the state until its events have been written.
            Some(true) => return Ok(PageOutcome::default()),
            Some(false) => {
                drop(fits_a_page);
                return self.events(slice, false).await;
            }
            None => {}
        }
        let whole = self.events(slice, true).await?;
        if !whole.is_undecided {
            *fits_a_page = Some(whole.rest.is_none());
        }
        if whole.is_undecided || whole.rest.is_none() {
            return Ok(whole);
        }
        drop(fits_a_page);
        let errors = vec![Slice::new(&slice.phase, Scope::Room { room: room.to_owned() })];
        Ok(PageOutcome { children: errors, ..self.events(slice, false).await? })
    }

    /// A page of events of a session, of a room's errors, or in a sweep of all a room has; for a session that is the
    /// first of its room, of all the room has, too.
    async fn events(&self, slice: &Slice, is_whole_room: bool) -> Result<PageOutcome, StreamError> {
        let (room, session) = match &slice.scope {
            Scope::Session { room, session } => (room, Some(session.as_str()).filter(|_| !is_whole_room)),
            Scope::Room { room } => (room, None),
            _ => return Ok(PageOutcome::default()),
        };
        let Some(types) = self.types_to_ask() else { return Ok(PageOutcome::default()) };
        let asks_for_all = is_whole_room || is_of_sweep(&slice.phase);
        let errors_only = session.is_none() && !asks_for_all;
        let of_session = session.map(|session| format!("&session_id={session}")).unwrap_or_default();
        let item = format!("room_id={room}{of_session}");
        let get = Get::page(Endpoint::EVENTS, None)
            .with("room_id", [room])
            .with("session_id", session)
            .with("error", errors_only.then_some(true))
            .with("type", types);
        let get = Get { start: slice.token.as_deref(), ..get };
        let request = format!("{} {item}", slice.phase);
        // A page of a whole room is dropped when there is another one: then what is on it comes with other requests.
        let others_too = Some(request.as_str()).filter(|_| !asks_for_all);
        let shape = |events: Vec<Fields<'_>>| self.rows(events, room, &slice.phase, others_too);
        let page = match self.context.client.list::<Fields<'static>, _>(get, shape).await {
            // The token has outlived its 24 h: read the room again, from a snapshot of now.
            Err(error) if slice.token.is_some() && error.status().is_some_and(|s| TOKEN_REFUSED.contains(&s)) => {
                self.restart(request, error)?;
                return Ok(PageOutcome {
                    children: vec![Slice { token: None, ..slice.clone() }],
                    ..PageOutcome::default()
                });
            }
            // The room is gone.
            Err(error) if error.is_not_found() => {
                self.context.client.skipped(format!("{}?{item}", error.endpoint));
                Ok(None)
            }
            page => page.map(Some),
        };
        let Some(page) = self.skipped.note(&item, page)? else {
            return Ok(PageOutcome { is_undecided: self.skipped.is_undecided(&item), ..PageOutcome::default() });
        };
        Ok(PageOutcome { rows: page.content?, rest: slice.rest(page.next), ..PageOutcome::default() })
    }

    /// Counts how often something of a list was read again; `refusal` stands when tokens do not even last for one
    /// reading.
    fn restart(&self, item: String, refusal: ApiError) -> Result<(), ApiError> {
        let mut restarts = locked(&self.restarts);
        let restarts = restarts.entry(item).or_default();
        *restarts += 1;
        if *restarts <= MOST_RESTARTS {
            return Ok(());
        }
        let problem = Problem::Inconsistent("its page tokens expire while a single room is read".into());
        Err(ApiError { problem, ..refusal })
    }

    /// The records of a page of events, but for those that have come with another request than this one.
    fn rows(
        &self,
        events: Vec<Fields<'_>>,
        room: &str,
        phase: &str,
        request: Option<&str>,
    ) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        let from = self.events_from(is_of_sweep(phase));
        for event in events {
            let (record, id, time) = record_of(event, room)?;
            let comes_first = |request: &str| {
                let request = hash_of(request);
                *locked(&self.came_with).entry(hash_of(&id)).or_insert(request) == request
            };
            if time >= from && request.is_none_or(comes_first) {
                rows.push(&self.context.format, &record, Some(Times::new(time, time)));
            }
        }
        Ok(rows)
    }
}

/// Whether the phase is part of asking every room.
fn is_of_sweep(phase: &str) -> bool {
    matches!(phase, ENABLED | DISABLED | SWITCHED | SWITCHED_BACK)
}

/// The record of an event that `room` was asked for, its id and its time.
fn record_of<'a>(event: Fields<'a>, room: &str) -> Result<(Record<'a>, Cow<'a, str>, Timestamp), RecordError> {
    let id = readable_id(event.text("id"), None, "id")?;
    let time = event.time("timestamp", &id)?.or_else(|| Timestamp::in_id(&id));
    let time = time.ok_or_else(|| RecordError::new(Some(&id), "timestamp", "is missing"))?;
    let data = event.inside("data");
    let record = Record::of(&TABLE, event)
        .with("id", id.clone())
        .with("created_at", time)
        .with("session_id", data.get("session_id"))
        .with("peer_id", data.get("peer_id"))
        .with("room_id", data.text("room_id").unwrap_or_else(|| room.to_owned().into()))
        .with("user_id", data.get("user_id"))
        .with("source", "analytics");
    Ok((record, id, time))
}

/// The record of somebody's join or leave, whose `entry` in the session says all that is known.
fn move_of<'a>(
    session: &'a Session<'_>,
    person: &'a Person<'_>,
    kind: &'static str,
    time: Timestamp,
    entry: &'a RawValue,
) -> Record<'a> {
    let what = kind.trim_start_matches("peer");
    Record::new(&TABLE)
        .with("id", Cow::Owned(format!("{}{what}", person.id)))
        .with("type", kind)
        .with("created_at", time)
        .with("timestamp", time)
        .with("session_id", session.id.as_ref())
        .with("peer_id", person.id.as_ref())
        .with("room_id", session.room.as_deref())
        .with("user_id", person.fields.get("user_id"))
        .with("source", "sessions")
        .with("data", entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::personal::PersonalData;
    use crate::records::record::to_value;

    #[test]
    fn ids_are_lifted_and_the_room_is_known_anyway() {
        let json = r#"{"id":"e","type":"client.join.failed","version":"2.0","timestamp":"2024-05-01T10:00:00.123456789Z",
            "data":{"user_id":"u","error_code":4001}}"#;
        let (record, ..) = record_of(serde_json::from_str(json).unwrap(), "r1").unwrap();
        let record = to_value(&record);
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
        let error = record_of(serde_json::from_str(r#"{"id":"e","timestamp":null}"#).unwrap(), "r").err().unwrap();
        assert_eq!(error.to_string(), "`timestamp` of the record `e` is missing");
    }

    #[test]
    fn a_stay_is_a_join_and_a_leave() {
        let json = r#"{"id":"s1","room_id":"r1","created_at":"2024-05-01T10:00:00Z","peers":{"p1":
            {"name":"Ada","user_id":"u","joined_at":"2024-05-01T10:00:00.5Z"}}}"#;
        let fields: Fields<'_> = serde_json::from_str(json).unwrap();
        let session = Session::of(&fields, &PersonalData::Keep).unwrap();
        let (person, entry) = (&session.people[0], fields.inside("peers").get("p1").unwrap());
        assert_eq!(person.left_at, None);
        let record = to_value(&move_of(&session, person, JOIN, person.joined_at.unwrap(), entry));
        let expected = serde_json::json!({
            "id": "p1.join", "type": "peer.join", "version": null, "created_at": "2024-05-01T10:00:00.500000Z",
            "timestamp": "2024-05-01T10:00:00.500000Z", "session_id": "s1", "peer_id": "p1", "room_id": "r1",
            "user_id": "u", "source": "sessions",
            "data": {"name": "Ada", "user_id": "u", "joined_at": "2024-05-01T10:00:00.5Z"},
        });
        assert_eq!(record, expected);
    }
}
