//! What happens in one call: who comes and goes, what is recorded, and what fails.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::people::{self, Person};
use super::rooms::{self, Kind, Place};
use super::timetable::Slot;
use crate::workspace::assets;
use crate::workspace::model::{Asset, Event, Peer, Recording, Session, Time, Uuid};
use crate::workspace::object_id::ObjectId;
use crate::workspace::random::Random;

/// A call as it will have been.
pub(super) struct Call {
    pub(super) session: Session,
    /// Recordings and files have no ids of their own yet.
    pub(super) recording: Option<(Recording, Vec<Asset>)>,
    pub(super) events: Vec<Event>,
}

/// Somebody's time in a call.
struct Stay {
    who: Person,
    is_host: bool,
    from: Time,
    to: Time,
    /// The connection was lost; the same person comes back.
    is_cut_off: bool,
}

pub(super) fn of(random: &mut Random, slot: &Slot, place: &Place, id: ObjectId) -> Call {
    let kind = rooms::kind(slot.room);
    let host = if kind == Kind::Support { people::agent(slot.room) } else { people::tutor(slot.room) };
    let nobody_comes = kind == Kind::Lesson && !slot.is_sure && random.chance(0.04);
    // Whoever waits for somebody who does not come gives up.
    let end = slot.start + if nobody_comes { random.seconds(600..=840) } else { slot.length };
    let mut stays = vec![Stay { who: host.clone(), is_host: true, from: slot.start, to: end, is_cut_off: false }];
    if !nobody_comes {
        for who in guests(random, kind, slot) {
            stays.extend(stays_of(random, kind, who, slot.start, end));
        }
    }

    let (host_role, guest_role) = rooms::roles(kind);
    let session_of = |peers: Vec<Peer>| Session {
        id,
        room_id: place.id,
        app_id: place.app_id,
        user_id: Some(host.user_id.clone()),
        peers,
        created_at: slot.start,
        ended_at: Some(end),
        updated_at: end,
        touched_at: end,
    };
    let (mut peers, mut events) = (Vec::new(), Vec::new());
    for stay in &stays {
        let peer = peer(random, stay, if stay.is_host { host_role } else { guest_role });
        events_of(random, kind, stay, &peer, (place, id), slot.start, &mut events);
        peers.push(peer);
    }
    peers.sort_by_key(|peer| peer.id);
    let session = session_of(peers);
    let wanted = rooms::is_recorded(slot.room) && (slot.is_sure || !random.chance(0.05));
    let recording = wanted.then(|| recording(random, kind, slot, place, &session, &host));
    Call { session, recording, events }
}

/// Who is invited: in a tutor's room the same student at the same hour of the week.
fn guests(random: &mut Random, kind: Kind, slot: &Slot) -> Vec<Person> {
    let half_hours = (slot.start.timestamp() / 1800 % 336) as usize;
    let chosen: Vec<usize> = match kind {
        Kind::Lesson | Kind::Closed => vec![people::OF_A_TUTOR * slot.room + half_hours / 2 % people::OF_A_TUTOR],
        Kind::Support => vec![random.below(people::STUDENTS)],
        Kind::Group => {
            let count = 3 + random.below(5);
            let members = random.choose(8, count);
            members.into_iter().map(|member| 13 * slot.room + 7 * member).collect()
        }
        Kind::Webinar => {
            let count = 18 + random.below(30);
            random.choose(people::STUDENTS, count)
        }
    };
    chosen.into_iter().map(people::student).collect()
}

/// When somebody is in: most come within a few minutes and stay; some are late, give up, or drop out and come back.
fn stays_of(random: &mut Random, kind: Kind, who: Person, start: Time, end: Time) -> Vec<Stay> {
    let length = (end - start).num_seconds().unsigned_abs();
    let from = start
        + match kind {
            Kind::Support => random.seconds(4..=40),
            _ if random.chance(0.12) => random.seconds(length / 10..=length / 3),
            _ => random.seconds(5..=210.min(length / 5)),
        };
    let (early, drops) = if kind == Kind::Webinar { (0.35, 0.06) } else { (0.04, 0.07) };
    let left = (end - from).num_seconds().unsigned_abs();
    let to = match () {
        () if random.chance(early / 3.0) => from + random.seconds(60..=240.min(left / 2).max(60)),
        () if random.chance(early) => from + random.seconds(left / 2..=left * 9 / 10),
        () => end - random.seconds(1..=9),
    };
    let stay =
        |from: Time, to: Time, is_cut_off| Stay { who: who.clone(), is_host: false, from, to: to.min(end), is_cut_off };
    let lost_at = from + (to - from) / 3;
    let back_at = lost_at + random.seconds(15..=75);
    if random.chance(drops) && back_at + TimeDelta::seconds(60) < to {
        return vec![stay(from, lost_at, true), stay(back_at, to, false)];
    }
    vec![stay(from, to, false)]
}

fn peer(random: &mut Random, stay: &Stay, role: &'static str) -> Peer {
    let device = random.pick(&["laptop", "laptop", "tablet", "phone"]);
    Peer {
        id: Uuid(random.uuid()),
        repeats_id: true,
        name: stay.who.name.as_str().into(),
        role,
        user_id: Some(stay.who.user_id.as_str().into()),
        has_user: false,
        metadata: Some(format!("{{\"device\":\"{device}\"}}").into()),
        joined_at: stay.from,
        left_at: Some(stay.to),
        stayed_to_the_end: false,
    }
}

fn recording(
    random: &mut Random,
    kind: Kind,
    slot: &Slot,
    place: &Place,
    session: &Session,
    host: &Person,
) -> (Recording, Vec<Asset>) {
    let end = session.ended_at.unwrap_or(session.updated_at);
    let created_at = session.created_at + random.seconds(4..=12);
    let started_at = created_at + random.seconds(2..=5);
    let stopped_at = end - TimeDelta::milliseconds(400);
    let length = stopped_at - started_at;
    let fails = !slot.is_sure && random.chance(0.04);
    // The longer it is, the longer it takes.
    let done_at = stopped_at + if fails { random.seconds(20..=90) } else { length / 5 + random.seconds(30..=90) };
    let texts: &[&'static str] = if kind == Kind::Webinar { &["transcript", "summary"] } else { &[] };
    let recording = Recording {
        id: session.id,
        room_id: place.id,
        session_id: session.id,
        status: if fails { "failed" } else { "completed" },
        meeting_url: Some(place.meeting_url.clone()),
        destination: Some("recording".to_owned()),
        asset_types: ["room-composite", "chat"].iter().chain(texts).copied().collect(),
        created_at,
        started_at: Some(started_at),
        stopped_at: Some(stopped_at),
        updated_at: done_at,
        started_by: Some(host.user_id.clone()),
        stopped_by: Some(host.user_id.clone()),
    };
    let mut file = |kind: &'static str, extension: &str, size: u64, duration: Value, created_at: Time| {
        let folder = created_at.format("%Y/%m/%d");
        let path = format!("recordings/{folder}/{}.{extension}", random.hex(12));
        let mut file = assets::draft(random, session.id, place.id, session.id, kind, created_at);
        (file.path, file.size, file.duration) = (Some(path), Some(size), duration);
        (file.thumbnails, file.metadata) = (Value::Null, Value::Null);
        file
    };
    let seconds = length.num_seconds().unsigned_abs();
    let mut files = Vec::new();
    if !fails {
        // 720p with people who sit and talk: some 600 kbit/s.
        files.push(file("room-composite", "mp4", seconds * 75_000 + 40_000, json!(seconds), done_at));
        files.push(file("chat", "csv", 300 + seconds, Value::Null, done_at));
        let later = done_at + TimeDelta::seconds(110);
        files.extend(texts.iter().map(|text| file(text, "json", 9_000 + 14 * seconds, Value::Null, later)));
    }
    (recording, files)
}

/// What went wrong: code, name, and what it means.
type Trouble = (u32, &'static str, &'static str);

const NO_CAMERA: Trouble = (3001, "CantAccessCaptureDevice", "The browser was not allowed to use the camera");
const NO_TRACK: Trouble = (4005, "ICEFailure", "The network does not let video through");
const LOST: Trouble = (1003, "WebsocketConnectionLost", "The connection was lost while joining");
const REFUSED: Trouble = (2003, "RoomDisabled", "The room is disabled");

/// What one stay leaves behind: tracks of those who speak, and now and then a failure.
fn events_of(
    random: &mut Random,
    kind: Kind,
    stay: &Stay,
    peer: &Peer,
    (place, session): (&Place, ObjectId),
    start: Time,
    events: &mut Vec<Event>,
) {
    let mut base = data(place, &stay.who, random);
    base["session_id"] = session.into();
    base["peer_id"] = peer.id.to_string().into();
    let until = |seconds: i64| (stay.from + TimeDelta::milliseconds(seconds)).min(stay.to);
    let mut note = |random: &mut Random, kind: &'static str, timestamp: Time, more: (&str, Value)| {
        let mut data = base.clone();
        data[more.0] = more.1;
        events.push(Event { id: Uuid(random.uuid()), room_id: place.id, timestamp, kind, data });
    };
    let before = stay.from - random.seconds(8..=40);
    if !stay.is_host && random.chance(0.04) && before > start {
        let kind = random.pick(&["client.connect.failed", "client.join.failed"]);
        note(random, kind, before, ("error", told(LOST, true)));
    }
    if stay.is_cut_off {
        note(random, "client.disconnected", stay.to, ("reason", "The network was lost".into()));
    }
    if random.chance(0.008) {
        note(random, "client.subscribe.failed", until(2_600), ("error", told(NO_TRACK, false)));
    }
    if kind == Kind::Webinar && !stay.is_host {
        return;
    }
    for (medium, delay) in [("audio", 900), ("video", 1_400)] {
        if medium == "video" && random.chance(0.05) {
            note(random, "client.publish.failed", until(delay), ("error", told(NO_CAMERA, false)));
            continue;
        }
        let id = random.hex(16);
        let track = |mute: bool| json!({"id": id, "type": medium, "source": "regular", "mute": mute});
        note(random, "track.add.success", until(delay), ("track", track(false)));
        if random.chance(0.1) {
            let muted_at = stay.from + (stay.to - stay.from) / 2;
            note(random, "track.update.success", muted_at, ("track", track(true)));
        }
        if medium == "video" && random.chance(0.1) {
            note(random, "track.remove.success", stay.to, ("track", track(false)));
        }
    }
}

/// A join into a room that is switched off: there is no session.
pub(super) fn refused(random: &mut Random, place: &Place, who: &Person, timestamp: Time) -> Event {
    let mut data = data(place, who, random);
    data["error"] = told(REFUSED, true);
    Event { id: Uuid(random.uuid()), room_id: place.id, timestamp, kind: "client.join.failed", data }
}

fn data(place: &Place, who: &Person, random: &mut Random) -> Value {
    let browser =
        random.pick(&["Chrome 141, Windows 11", "Safari 18, macOS 15", "Chrome 141, Android 15", "Firefox 144"]);
    json!({
        "room_id": place.id,
        "room_name": place.name,
        "user_id": who.user_id,
        "user_name": who.name,
        "user_agent": browser,
    })
}

fn told((code, name, description): Trouble, is_terminal: bool) -> Value {
    json!({"code": code, "name": name, "description": description, "is_terminal": is_terminal})
}
