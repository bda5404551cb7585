//! Live (HLS) and external (RTMP) streams: how they run and end, and which files they leave behind.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::assets;
use super::collection::Collection;
use super::destinations;
use super::model::{Asset, Broadcast, Session, Time};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;

pub(crate) const STATUSES: &[&str] = &["starting", "running", "stopping", "stopped", "failed"];

/// Which of the two kinds a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Live,
    External,
}

impl Kind {
    pub(crate) const BOTH: [Kind; 2] = [Kind::Live, Kind::External];

    /// As the connector's streams are called.
    pub(crate) fn stream(self) -> &'static str {
        match self {
            Kind::Live => "live_streams",
            Kind::External => "external_streams",
        }
    }
}

/// The streams of a new workspace: enough in the last 13 and 72 hours, the rest of any age.
pub(crate) fn all(
    random: &mut Random,
    mint: &mut IdMint,
    kind: Kind,
    sessions: &Collection<Session>,
    now: Time,
    count: usize,
) -> Vec<Broadcast> {
    if sessions.len() == 0 {
        return Vec::new();
    }
    let since = |hours| sessions.created_within(Some(now - TimeDelta::hours(hours)), None, |time| time);
    let recent = count.min(12);
    let mut drafts: Vec<Broadcast> = (0..count)
        .map(|number| {
            let among = match number {
                _ if number < recent => since(13),
                _ if number < 2 * recent => since(72),
                _ => 0..sessions.len(),
            };
            let among = if among.is_empty() { 0..sessions.len() } else { among };
            let session = &sessions[among.start + random.below(among.len())];
            of(random, kind, session, number, now)
        })
        .collect();
    drafts.sort_by_key(|broadcast| broadcast.created_at);
    for broadcast in &mut drafts {
        broadcast.id = mint.next(broadcast.created_at);
    }
    drafts
}

/// A stream of that session; its id is still to be minted.
fn of(random: &mut Random, kind: Kind, session: &Session, number: usize, now: Time) -> Broadcast {
    let end = session.ended_at.unwrap_or(now);
    let created_at = random.time_between(session.created_at, session.created_at + (end - session.created_at) / 2);
    let mut broadcast = begin(random, kind, session, session.id, created_at);
    let started_at = (created_at + random.seconds(2..=8)).min(now);
    if session.is_live() {
        broadcast.status = STATUSES[number % 3];
        broadcast.started_at = (broadcast.status != "starting").then_some(started_at);
        broadcast.updated_at = started_at;
        return broadcast;
    }
    broadcast.started_at = Some(started_at);
    stop(random, &mut broadcast, end.max(started_at));
    if number % 11 == 4 {
        broadcast.status = "failed";
    }
    broadcast
}

/// A stream that has just been asked for.
pub(crate) fn begin(random: &mut Random, kind: Kind, session: &Session, id: ObjectId, created_at: Time) -> Broadcast {
    let is_live = kind == Kind::Live;
    Broadcast {
        id,
        room_id: session.room_id,
        session_id: session.id,
        status: "starting",
        meeting_url: random.chance(0.9).then(|| destinations::meeting_url(random)),
        destination: random.chance(0.7).then(|| if is_live { "hls" } else { "rtmp" }.to_owned()),
        playback_url: (is_live && random.chance(0.9)).then(|| playback_url(random)),
        rtmp_urls: if is_live { Value::Null } else { destinations::rtmp_urls(random) },
        resolution: if is_live { Value::Null } else { resolution(random) },
        recording: recording(random, kind),
        created_at,
        started_at: None,
        stopped_at: None,
        updated_at: created_at,
        started_by: random.chance(0.8).then(|| random.hex(24)),
        stopped_by: None,
    }
}

fn playback_url(random: &mut Random) -> String {
    let list = format!("https://cdn.example.com/hls/{}/master.m3u8", random.hex(12));
    if random.chance(0.3) { format!("{list}?token={}", random.secret("playback")) } else { list }
}

fn resolution(random: &mut Random) -> Value {
    match random.below(4) {
        0 => Value::Null,
        1 => json!({"width": 1920, "height": 1080}),
        _ => json!({"width": 1280, "height": 720}),
    }
}

/// Whether it is recorded: settings for a live stream, yes or no for an external one.
fn recording(random: &mut Random, kind: Kind) -> Value {
    match kind {
        Kind::External => random.chance(0.5).into(),
        Kind::Live if random.chance(0.2) => Value::Null,
        Kind::Live => json!({"hls_vod": random.chance(0.7), "single_file_per_layer": random.chance(0.3)}),
    }
}

/// The next thing that happens to a stream which is not over.
pub(crate) fn move_on(random: &mut Random, broadcast: &mut Broadcast, time: Time) {
    match broadcast.status {
        "starting" if random.chance(0.2) => {
            broadcast.status = "failed";
            broadcast.updated_at = time;
        }
        "starting" => {
            broadcast.status = "running";
            broadcast.started_at = Some(time);
            broadcast.updated_at = time;
        }
        _ => stop(random, broadcast, time),
    }
}

fn stop(random: &mut Random, broadcast: &mut Broadcast, time: Time) {
    broadcast.status = "stopped";
    broadcast.stopped_at = Some(time);
    broadcast.stopped_by = random.chance(0.6).then(|| random.hex(24));
    broadcast.updated_at = time;
}

/// The files of the streams of a new workspace; their ids are still to be minted.
pub(crate) fn files_of_all(random: &mut Random, broadcasts: &Collection<Broadcast>, now: Time) -> Vec<Asset> {
    let mut all = Vec::new();
    for broadcast in broadcasts.iter().filter(|broadcast| broadcast.status == "stopped") {
        all.extend(files(random, broadcast));
        if random.chance(0.2) {
            // Weeks after the stream itself was touched for the last time.
            let time = broadcast.updated_at + random.seconds(7 * 86_400..=60 * 86_400);
            all.push(file(random, broadcast, "chat", time));
        }
    }
    all.retain(|file| file.created_at <= now);
    assets::expire_some(random, &mut all, now);
    all
}

/// The files a stream ends with. Now and then there are none.
pub(crate) fn files(random: &mut Random, broadcast: &Broadcast) -> Vec<Asset> {
    let kinds: &[&str] = match random.below(6) {
        0 => &[],
        1 => &["room-vod", "chat"],
        2 => &["room-vod", "room-vod"],
        3 => &["stream"],
        4 => &["chat"],
        _ => &["room-composite", "chat"],
    };
    let last = broadcast.updated_at;
    let make = |kind: &&'static str| {
        let time = last + TimeDelta::milliseconds(random.within(0..=900) as i64);
        file(random, broadcast, kind, time)
    };
    kinds.iter().map(make).collect()
}

pub(crate) fn file(random: &mut Random, broadcast: &Broadcast, kind: &'static str, created_at: Time) -> Asset {
    assets::draft(random, broadcast.id, broadcast.room_id, broadcast.session_id, kind, created_at)
}

impl Broadcast {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "stopped" | "failed")
    }
}
