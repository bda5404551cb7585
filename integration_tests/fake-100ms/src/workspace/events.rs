//! Analytics events: what the vendor's clients and recorders report, room by room.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::calendar::Calendar;
use super::collection::Collection;
use super::destinations;
use super::model::{Event, Room, Session, Time, Uuid};
use super::object_id::ObjectId;
use super::random::Random;
use super::sessions::LONGEST;
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
    of_room: HashMap<ObjectId, Vec<usize>>,
}

impl EventLog {
    pub(crate) fn new() -> EventLog {
        EventLog { events: Vec::new(), of_room: HashMap::new() }
    }

    pub(crate) fn push(&mut self, event: Event) {
        let position = self.events.len();
        self.of_room.entry(event.room_id).or_default().push(position);
        self.events.push(event);
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

    pub(crate) fn get(&self, position: usize) -> &Event {
        &self.events[position]
    }
}

/// Makes events of sessions there were, and failures where there never was one.
pub(crate) struct EventMaker<'a> {
    rooms: &'a Collection<Room>,
    sessions: &'a Collection<Session>,
    /// The sessions of the last month, by room.
    latest: HashMap<ObjectId, Vec<usize>>,
}

impl<'a> EventMaker<'a> {
    pub(crate) fn new(rooms: &'a Collection<Room>, sessions: &'a Collection<Session>, now: Time) -> Self {
        let mut latest: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for position in sessions.created_within(Some(now - KEPT), None, |time| time) {
            let of_room = latest.entry(sessions[position].room_id).or_default();
            of_room.push(position);
        }
        EventMaker { rooms, sessions, latest }
    }

    /// The events of a new workspace: a quarter in one busy room, one in twenty too old to be
    /// answered, and some failed joins wherever nobody ever got in.
    pub(crate) fn all(&self, random: &mut Random, calendar: &Calendar, count: usize) -> Vec<Event> {
        if self.rooms.len() == 0 {
            return Vec::new();
        }
        let busy = self.busiest_room();
        (0..count)
            .map(|number| {
                let time = match number % 20 {
                    0 => calendar.within_hours(random, 24 * 31, 24 * 60),
                    1..=3 => calendar.within_hours(random, 0, 13),
                    4..=6 => calendar.within_hours(random, 13, 72),
                    _ => calendar.within_hours(random, 72, 24 * 29),
                };
                let room = match number % 4 {
                    0 => busy,
                    _ => random.below(self.rooms.len()).min(random.below(self.rooms.len())),
                };
                self.one(random, room, number, time)
            })
            .collect()
    }

    /// The one with the most sessions of late; of several, the newest.
    pub(crate) fn busiest_room(&self) -> usize {
        let sessions = |room: &Room| self.latest.get(&room.id).map_or(0, Vec::len);
        let rooms = self.rooms.iter().enumerate();
        rooms.max_by_key(|(_, room)| sessions(room)).map_or(0, |(position, _)| position)
    }

    /// Sessions that are live, or were until a little before: what is reported comes from these.
    pub(crate) fn under_way(&self, since: Time) -> Vec<&'a Session> {
        let positions = self.sessions.created_within(Some(since - LONGEST), None, |time| time);
        let sessions = positions.map(|position| &self.sessions[position]);
        sessions.filter(|session| session.ended_at.is_none_or(|end| end >= since)).collect()
    }

    /// An event of that session.
    pub(crate) fn of_session(&self, random: &mut Random, session: &Session, number: usize, timestamp: Time) -> Event {
        let room = self.rooms.get(session.room_id).unwrap_or(&self.rooms[0]);
        let kind = KINDS[number % KINDS.len()];
        let data = data(random, kind, room, Some(session));
        Event { id: Uuid(random.uuid()), room_id: room.id, timestamp, kind, data }
    }

    /// An event in the room at that position: of any of its sessions of the last month, or of none.
    pub(crate) fn one(&self, random: &mut Random, room: usize, number: usize, timestamp: Time) -> Event {
        let room = &self.rooms[room];
        let session = self.latest.get(&room.id).map(|latest| {
            let position = random.pick(latest);
            &self.sessions[position]
        });
        let kind = match session {
            Some(_) => KINDS[number % KINDS.len()],
            None => random.pick(&["client.join.failed", "client.connect.failed"]),
        };
        let lonely = kind == "client.join.failed" && random.chance(0.5);
        let session = session.filter(|_| !lonely);
        Event { id: Uuid(random.uuid()), room_id: room.id, timestamp, kind, data: data(random, kind, room, session) }
    }
}

/// What an event tells depends on its type, and no field is there every time.
fn data(random: &mut Random, kind: &str, room: &Room, session: Option<&Session>) -> Value {
    let mut data = json!({
        "room_name": room.name,
        "user_name": words::person(random),
        "user_agent": "Mozilla/5.0 (X11; \"quoted\") \\ 100ms/2.0",
        "client_time": "2025-06-01T10:00:00.123456789Z",
    });
    if random.chance(0.95) {
        data["room_id"] = room.id.into();
    }
    match session {
        Some(session) => of_session(random, &mut data, session),
        None if random.chance(0.5) => data["session_id"] = Value::Null,
        None => {}
    }
    let (topic, outcome) = kind.split_once('.').unwrap_or((kind, ""));
    match topic {
        "track" => data["track"] = track(random),
        "beam" => beam(random, &mut data),
        _ if outcome.ends_with("failed") => {
            data["error"] = error(random);
            data["devices"] = devices(random);
        }
        _ => data["reason"] = "page closed\u{2028}by user".into(),
    }
    data
}

fn of_session(random: &mut Random, data: &mut Value, session: &Session) {
    data["session_id"] = session.id.into();
    let peer = session.peers.get(random.below(session.peers.len()));
    data["peer_id"] = match peer {
        Some(peer) => peer.id.to_string().into(),
        None => random.hex(24).into(),
    };
    if random.chance(0.8) {
        data["user_id"] = peer.and_then(|peer| peer.user_id.as_deref()).into();
    }
}

fn track(random: &mut Random) -> Value {
    json!({
        "id": random.hex(16),
        "type": random.pick(&["audio", "video"]),
        "source": "regular",
        "mute": random.chance(0.5),
        "stream_id": random.hex(16),
    })
}

fn beam(random: &mut Random, data: &mut Value) {
    data["beam_id"] = random.hex(24).into();
    data["recording_path"] = format!("beam/{}.mp4", random.hex(8)).into();
    data["size"] = random.within(1 << 32..=1 << 34).into();
    data["duration"] = random.within(1..=9000).into();
    data["meeting_url"] = destinations::meeting_url(random).into();
    data["rtmpUrls"] = destinations::rtmp_urls(random);
}

/// A device is often called after somebody.
fn devices(random: &mut Random) -> Value {
    let device = |random: &mut Random, kind: &str| {
        json!({
            "deviceId": random.hex(32),
            "groupId": random.hex(32),
            "kind": kind,
            "label": format!("{}'s AirPods", words::person(random)),
        })
    };
    json!({"audioOutput": [device(random, "audiooutput"), device(random, "audiooutput")], "videoInput": []})
}

fn error(random: &mut Random) -> Value {
    json!({
        "code": random.pick(&[1003, 2003, 3001, 4005]),
        "name": random.pick(&["ICEFailure", "WebsocketConnectionLost", "CantAccessCaptureDevice"]),
        "description": "line one\nline two",
        "is_terminal": random.chance(0.5),
    })
}
