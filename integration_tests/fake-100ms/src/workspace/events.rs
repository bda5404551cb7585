//! Analytics events: what the vendor's clients and recorders report, room by room.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::calendar::Calendar;
use super::destinations;
use super::dice::Dice;
use super::model::{Event, Room, Session, Time, Uuid};
use super::object_id::ObjectId;
use super::shelf::Shelf;
use super::words;

/// All nine, as the documents list them.
pub(crate) const KINDS: [&str; 9] = [
    "track.add.success",
    "track.update.success",
    "track.remove.success",
    "beam.recording.success",
    "client.publish.failed",
    "client.subscribe.failed",
    "client.join.failed",
    "client.disconnected",
    "client.connect.failed",
];

/// The API answers no older ones.
pub(crate) const KEPT: TimeDelta = TimeDelta::days(30);

/// Events in the order in which they arrived; none is ever changed.
pub(crate) struct EventLog {
    events: Vec<Event>,
    rendered: Vec<Box<[u8]>>,
    of_room: HashMap<ObjectId, Vec<usize>>,
}

impl EventLog {
    pub(crate) fn new() -> EventLog {
        EventLog { events: Vec::new(), rendered: Vec::new(), of_room: HashMap::new() }
    }

    pub(crate) fn push(&mut self, event: Event, json: Vec<u8>) {
        let position = self.events.len();
        self.of_room.entry(event.room_id).or_default().push(position);
        self.events.push(event);
        self.rendered.push(json.into_boxed_slice());
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.events.iter()
    }

    pub(crate) fn of_room(&self, room_id: ObjectId) -> &[usize] {
        self.of_room.get(&room_id).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn get(&self, position: usize) -> (&Event, &[u8]) {
        (&self.events[position], &self.rendered[position])
    }
}

/// Makes events of sessions there were, and failures where there never was one.
pub(crate) struct EventMaker<'a> {
    rooms: &'a Shelf<Room>,
    sessions: &'a Shelf<Session>,
    /// The sessions of the last month, by room.
    latest: HashMap<ObjectId, Vec<usize>>,
}

impl<'a> EventMaker<'a> {
    pub(crate) fn new(rooms: &'a Shelf<Room>, sessions: &'a Shelf<Session>, now: Time) -> Self {
        let mut latest: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for position in sessions.created_within(Some(now - KEPT), None, |time| time) {
            let of_room = latest.entry(sessions[position].room_id).or_default();
            of_room.push(position);
        }
        EventMaker { rooms, sessions, latest }
    }

    /// The events of a new workspace: a quarter in one busy room, one in twenty too old to be
    /// answered, and some failed joins wherever nobody ever got in.
    pub(crate) fn all(&self, dice: &mut Dice, calendar: &Calendar, count: usize) -> Vec<Event> {
        if self.rooms.len() == 0 {
            return Vec::new();
        }
        let busy = self.busiest_room();
        (0..count)
            .map(|number| {
                let time = match number % 20 {
                    0 => calendar.within_hours(dice, 24 * 31, 24 * 60),
                    1..=3 => calendar.within_hours(dice, 0, 13),
                    4..=6 => calendar.within_hours(dice, 13, 72),
                    _ => calendar.within_hours(dice, 72, 24 * 29),
                };
                let room = match number % 4 {
                    0 => busy,
                    _ => dice.below(self.rooms.len()).min(dice.below(self.rooms.len())),
                };
                self.one(dice, room, number, time)
            })
            .collect()
    }

    /// The one with the most sessions of late; of several, the newest.
    pub(crate) fn busiest_room(&self) -> usize {
        let sessions = |room: &Room| self.latest.get(&room.id).map_or(0, Vec::len);
        let rooms = self.rooms.iter().enumerate();
        rooms.max_by_key(|(_, room)| sessions(room)).map_or(0, |(position, _)| position)
    }

    /// An event in the room at that position.
    pub(crate) fn one(&self, dice: &mut Dice, room: usize, number: usize, timestamp: Time) -> Event {
        let room = &self.rooms[room];
        let session = self.latest.get(&room.id).map(|latest| {
            let position = dice.pick(latest);
            &self.sessions[position]
        });
        let kind = match session {
            Some(_) => KINDS[number % KINDS.len()],
            None => dice.pick(&["client.join.failed", "client.connect.failed"]),
        };
        let lonely = kind == "client.join.failed" && dice.chance(0.5);
        let session = session.filter(|_| !lonely);
        Event { id: Uuid(dice.uuid()), room_id: room.id, timestamp, kind, data: data(dice, kind, room, session) }
    }
}

/// What an event tells depends on its type, and no field is there every time.
fn data(dice: &mut Dice, kind: &str, room: &Room, session: Option<&Session>) -> Value {
    let mut data = json!({
        "room_name": room.name,
        "user_name": words::person(dice),
        "user_agent": "Mozilla/5.0 (X11; \"quoted\") \\ 100ms/2.0",
        "client_time": "2025-06-01T10:00:00.123456789Z",
    });
    if dice.chance(0.95) {
        data["room_id"] = room.id.into();
    }
    match session {
        Some(session) => of_session(dice, &mut data, session),
        None if dice.chance(0.5) => data["session_id"] = Value::Null,
        None => {}
    }
    let (topic, outcome) = kind.split_once('.').unwrap_or((kind, ""));
    match topic {
        "track" => data["track"] = track(dice),
        "beam" => beam(dice, &mut data),
        _ if outcome.ends_with("failed") => data["error"] = error(dice),
        _ => data["reason"] = "page closed\u{2028}by user".into(),
    }
    data
}

fn of_session(dice: &mut Dice, data: &mut Value, session: &Session) {
    data["session_id"] = session.id.into();
    let peer = session.peers.get(dice.below(session.peers.len()));
    data["peer_id"] = match peer {
        Some(peer) => peer.id.to_string().into(),
        None => dice.hex(24).into(),
    };
    if dice.chance(0.8) {
        data["user_id"] = peer.and_then(|peer| peer.user_id.as_deref()).into();
    }
}

fn track(dice: &mut Dice) -> Value {
    json!({
        "id": dice.hex(16),
        "type": dice.pick(&["audio", "video"]),
        "source": "regular",
        "mute": dice.chance(0.5),
        "stream_id": dice.hex(16),
    })
}

fn beam(dice: &mut Dice, data: &mut Value) {
    data["beam_id"] = dice.hex(24).into();
    data["recording_path"] = format!("beam/{}.mp4", dice.hex(8)).into();
    data["size"] = dice.within(1 << 32..=1 << 34).into();
    data["duration"] = dice.within(1..=9000).into();
    data["meeting_url"] = destinations::meeting_url(dice).into();
    data["rtmpUrls"] = destinations::rtmp_urls(dice);
}

fn error(dice: &mut Dice) -> Value {
    json!({
        "code": dice.pick(&[1003, 2003, 3001, 4005]),
        "name": dice.pick(&["ICEFailure", "WebsocketConnectionLost", "CantAccessCaptureDevice"]),
        "description": "line one\nline two",
        "is_terminal": dice.chance(0.5),
    })
}
