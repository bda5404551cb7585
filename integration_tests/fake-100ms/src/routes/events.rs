//! Analytics events: the newest 30 days of one room, as a snapshot of the first query.
//!
//! Events are never changed, so a snapshot is told by how many had arrived: the cursor carries
//! that number, and nothing is kept between requests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};

use super::page::{limit, push_joined, repeated_items};
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::faults::Fault;
use crate::readings::{EventsEnd, FilterEffect, ListOrder, Readings};
use crate::server::response::Refusal;
use crate::workspace::Workspace;
use crate::workspace::events::{KEPT, KINDS};
use crate::workspace::model::{Event, Time};
use crate::workspace::object_id::ObjectId;

/// How long a cursor is good, by the workspace clock.
const CURSOR_LIFE: TimeDelta = TimeDelta::hours(24);

const ALLOWED: [&str; 9] =
    ["room_id", "type", "session_id", "peer_id", "user_id", "beam_id", "error", "limit", "start"];

pub(super) fn events(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &ALLOWED, &["type"])?;
    let limit = limit(&parameters, 1, ask.max_page, ask.shapes)?;
    parameters.word("type", &KINDS)?;
    let room_id = room_of(&parameters, ask.workspace)?;
    parameters.flag("error")?;
    let cursor = match parameters.text("start") {
        None => Cursor::first(ask.workspace, room_id),
        Some(text) => Cursor::parse(text, room_id, ask.workspace.now)?,
    };
    let snapshot = snapshot(ask.workspace, &cursor, &parameters);
    Ok(render(ask, &snapshot, cursor, limit, parameters.text("start")))
}

fn room_of(parameters: &Parameters, workspace: &Workspace) -> Result<ObjectId, Refusal> {
    let missing = || Refusal::unexpected("`room_id` is missing: expected the id of a room".to_owned());
    let room_id = parameters.id("room_id")?.ok_or_else(missing)?;
    let room = workspace.rooms.get(room_id);
    room.map(|_| room_id).ok_or_else(|| Refusal::not_found("room"))
}

/// Opaque to clients: where a read of a snapshot stands.
#[derive(Clone, Debug, PartialEq)]
struct Cursor {
    room_id: ObjectId,
    /// How many events, of all rooms, had arrived when the snapshot was taken.
    arrived: usize,
    taken_at: Time,
    offset: usize,
    /// The page before was left empty on purpose.
    rested: bool,
}

impl Cursor {
    fn first(workspace: &Workspace, room_id: ObjectId) -> Cursor {
        Cursor { room_id, arrived: workspace.events.len(), taken_at: workspace.now, offset: 0, rested: false }
    }

    fn write(&self) -> String {
        let (taken_at, rested) = (self.taken_at.timestamp(), u8::from(self.rested));
        let fields = format!("{}:{}:{taken_at}:{}:{rested}", self.room_id, self.arrived, self.offset);
        URL_SAFE_NO_PAD.encode(fields)
    }

    fn parse(text: &str, room_id: ObjectId, now: Time) -> Result<Cursor, Refusal> {
        let wrong = || Refusal::unexpected("`start` is no cursor of this room: expected the last `next`".to_owned());
        let cursor = Cursor::read(text).filter(|cursor| cursor.room_id == room_id).ok_or_else(wrong)?;
        if now - cursor.taken_at > CURSOR_LIFE { Err(expired_cursor()) } else { Ok(cursor) }
    }

    fn read(text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let fields = String::from_utf8(bytes).ok()?;
        let mut fields = fields.split(':');
        Some(Cursor {
            room_id: ObjectId::parse(fields.next()?)?,
            arrived: fields.next()?.parse().ok()?,
            taken_at: DateTime::from_timestamp(fields.next()?.parse().ok()?, 0)?,
            offset: fields.next()?.parse().ok()?,
            rested: fields.next()? == "1",
        })
    }
}

/// What the API answers to a cursor older than 24 h.
pub(crate) fn expired_cursor() -> Refusal {
    Refusal::new(400, "invalid start: the cursor has expired")
}

/// The room's events as they were when the first page was asked for, in the order in force.
fn snapshot<'a>(workspace: &'a Workspace, cursor: &Cursor, parameters: &Parameters) -> Vec<&'a Event> {
    let arrived = workspace.events.of_room(cursor.room_id).iter();
    let arrived = arrived.take_while(|&&position| position < cursor.arrived);
    let mut events: Vec<_> = arrived
        .map(|&position| workspace.events.get(position))
        .filter(|event| {
            event.timestamp >= cursor.taken_at - KEPT
                && workspace.lag.shows(event.id.0[0].into(), event.timestamp, cursor.taken_at)
                && matches(event, parameters, &workspace.readings)
        })
        .collect();
    match workspace.readings.event_order {
        ListOrder::NewestFirst => events.sort_by_key(|event| (std::cmp::Reverse(event.timestamp), event.id)),
        ListOrder::OldestFirst => events.sort_by_key(|event| (event.timestamp, event.id)),
        ListOrder::Shuffled => events.sort_by_key(|event| event.id),
    }
    events
}

fn matches(event: &Event, parameters: &Parameters, readings: &Readings) -> bool {
    let mut kinds = parameters.all("type").peekable();
    let of_kind = kinds.peek().is_none() || kinds.any(|kind| kind == event.kind);
    let has = |name: &str| {
        let told = event.data[name].as_str();
        parameters.text(name).is_none_or(|wanted| told == Some(wanted))
    };
    let by_id = |name: &str| parameters.text(name).is_none() || lets_through(readings.event_id_filters, has(name));
    let by_error = match parameters.text("error") {
        None => true,
        Some(wanted) => lets_through(readings.event_error_filter, event.has_error() == (wanted == "true")),
    };
    of_kind && has("beam_id") && ["session_id", "peer_id", "user_id"].into_iter().all(by_id) && by_error
}

fn lets_through(effect: FilterEffect, matches: bool) -> bool {
    match effect {
        FilterEffect::Narrows => matches,
        FilterEffect::Ignored => true,
        FilterEffect::FindsNothing => false,
    }
}

fn render(ask: &Ask, snapshot: &[&Event], cursor: Cursor, limit: usize, start: Option<&str>) -> Vec<u8> {
    let readings = &ask.workspace.readings;
    let begin = cursor.offset.saturating_sub(repeated_items(ask.shapes, limit)).min(snapshot.len());
    let rests = readings.empty_event_pages && !cursor.rested && cursor.offset > 0;
    let end = if rests { begin } else { (begin + limit).min(snapshot.len()) };
    let follows = Cursor { offset: if rests { cursor.offset } else { end }, rested: rests, ..cursor.clone() };
    let next = match start {
        Some(start) if ask.shapes.contains(&Fault::RepeatedPageToken) => Some(start.to_owned()),
        // With which the page before was asked for.
        Some(_) if ask.shapes.contains(&Fault::EarlierPageToken) && cursor.offset > limit => {
            Some(Cursor { offset: cursor.offset - limit, rested: false, ..cursor }.write())
        }
        _ => (rests || end < snapshot.len()).then(|| follows.write()),
    };
    let mut body = format!("{{\"limit\":{limit},\"total\":{},\"events\":[", snapshot.len()).into_bytes();
    let items: Vec<Vec<u8>> =
        snapshot[begin..end].iter().map(|event| answers::events::event(event, readings)).collect();
    push_joined(&mut body, &items);
    body.push(b']');
    body.extend_from_slice(next_member(next, readings).as_bytes());
    body.push(b'}');
    body
}

fn next_member(next: Option<String>, readings: &Readings) -> String {
    match (next, readings.events_end) {
        (Some(next), _) => format!(",\"next\":\"{next}\""),
        (None, EventsEnd::EmptyString) => ",\"next\":\"\"".to_owned(),
        (None, EventsEnd::Null) => ",\"next\":null".to_owned(),
        (None, EventsEnd::Absent) => String::new(),
    }
}
