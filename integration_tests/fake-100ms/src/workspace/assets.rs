//! Recording assets: the files that come out of a recording, at once or much later.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::collection::Collection;
use super::model::{Asset, Recording, Session, Time};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;
use crate::options::Counts;

/// 100ms-hosted files are kept 15 days.
const KEPT: TimeDelta = TimeDelta::days(15);

/// The assets of a new workspace, in the order of creation: those of recordings, and `of_streams`.
pub(crate) fn all(
    random: &mut Random,
    mint: &mut IdMint,
    recordings: &Collection<Recording>,
    sessions: &Collection<Session>,
    now: Time,
    mut of_streams: Vec<Asset>,
    counts: &Counts,
) -> Vec<Asset> {
    let mut drafts: Vec<Asset> = Vec::new();
    for recording in recordings.iter() {
        match counts.files_per_recording {
            Some(files) => {
                let file = |_| asset(random, recording, "room-composite", recording.updated_at);
                drafts.extend((0..files).map(file));
            }
            None => drafts.extend(of(random, recording, now)),
        }
    }
    if counts.files_per_recording.is_none() {
        for _ in 0..recordings.len() / 8 {
            let session = &sessions[random.below(sessions.len())];
            drafts.push(of_a_stream(random, session, now));
        }
    }
    drafts.retain(|asset| asset.created_at <= now);
    drafts.sort_by_key(|asset| asset.created_at);
    expire_some(random, &mut drafts, now);
    drafts.append(&mut of_streams);
    drafts.sort_by_key(|asset| asset.created_at);
    for asset in &mut drafts {
        asset.id = mint.next(asset.created_at);
    }
    drafts
}

/// Of many an old asset the file is gone.
pub(super) fn expire_some(random: &mut Random, assets: &mut [Asset], now: Time) {
    for asset in assets {
        asset.file_gone = now - asset.created_at > KEPT && random.chance(0.6);
    }
}

/// What came out of a recording that is over; some assets lie in the future still.
fn of(random: &mut Random, recording: &Recording, now: Time) -> Vec<Asset> {
    match recording.status {
        "completed" => of_a_completed(random, recording, now),
        "failed" if random.chance(0.5) => of_a_failed(random, recording),
        _ => Vec::new(),
    }
}

fn of_a_completed(random: &mut Random, recording: &Recording, now: Time) -> Vec<Asset> {
    let mut assets = at_completion(random, recording);
    if random.chance(0.5) {
        // As in the vendor's own sample: two minutes after the recording's last update.
        let time = recording.updated_at + TimeDelta::seconds(120);
        assets.push(asset(random, recording, "transcript", time));
        assets.push(asset(random, recording, "summary", time + TimeDelta::seconds(9)));
    }
    if random.chance(0.25) {
        let weeks_later = recording.updated_at + random.seconds(7 * 86_400..=60 * 86_400);
        if weeks_later < now {
            assets.push(asset(random, recording, "summary", weeks_later));
        }
    }
    assets
}

/// The files a recording completes with. Now and then there are none.
pub(crate) fn at_completion(random: &mut Random, recording: &Recording) -> Vec<Asset> {
    let earliest = recording.stopped_at.unwrap_or(recording.created_at);
    let latest = recording.updated_at.max(earliest);
    let from = (latest - TimeDelta::seconds(20)).max(earliest);
    let kinds = files(random);
    let mut assets: Vec<Asset> = kinds
        .iter()
        .map(|kind| {
            let time = random.time_between(from, latest);
            asset(random, recording, kind, time)
        })
        .collect();
    number_layers(&mut assets);
    if assets.len() > 1 && random.chance(0.1) {
        fail(&mut assets[0]);
    }
    assets
}

impl Asset {
    /// When it is finished: texts take a while, other files may. A few never are.
    fn finished_at(&self) -> Option<Time> {
        let number = self.id.scrambled();
        let takes_long = matches!(self.kind, "transcript" | "summary") || number.is_multiple_of(3);
        let minutes = if takes_long { 10 + number % 120 } else { 0 };
        (number % 23 != 7).then(|| self.created_at + TimeDelta::minutes(minutes as i64))
    }

    /// Whether it becomes finished after `before` and until `now`.
    pub(super) fn is_finished_between(&self, before: Time, now: Time) -> bool {
        self.status != "failed" && self.finished_at().is_some_and(|time| before < time && time <= now)
    }

    /// What is to be seen of it at `now` where files are listed before they are finished.
    pub(super) fn unfinished(&self, now: Time) -> Option<Asset> {
        let is_finished = self.status == "failed" || self.finished_at().is_some_and(|time| time <= now);
        (!is_finished).then(|| Asset {
            status: "processing",
            path: Some(String::new()),
            size: Some(0),
            duration: Value::Null,
            thumbnails: Value::Null,
            file_gone: true,
            ..self.clone()
        })
    }
}

/// Which files come together. A layered composite comes with or without the whole.
fn files(random: &mut Random) -> &'static [&'static str] {
    const LAYER: &str = "room-composite layer";
    match random.below(20) {
        0..=4 => &["room-composite", "chat"],
        5..=7 => &[LAYER, "room-composite", LAYER],
        8 => &[LAYER, LAYER],
        9..=10 => &["room-composite-legacy", "chat"],
        11..=12 => &["track", "room-vod"],
        13..=14 => &["track", "track", "track"],
        15 => &["stream", "track"],
        16 => &["chat", "transcript"],
        17 => &[],
        _ => &["room-composite"],
    }
}

fn number_layers(assets: &mut [Asset]) {
    let layered = assets.iter_mut().filter(|asset| asset.kind.ends_with("layer"));
    for (layer, asset) in layered.enumerate() {
        asset.kind = "room-composite";
        asset.metadata = json!({"layer": layer, "resolution": {"width": 1280, "height": 720}});
    }
}

fn of_a_failed(random: &mut Random, recording: &Recording) -> Vec<Asset> {
    let mut composite = asset(random, recording, "room-composite", recording.updated_at);
    fail(&mut composite);
    let chat = asset(random, recording, "chat", recording.updated_at);
    if random.chance(0.5) { vec![composite] } else { vec![composite, chat] }
}

fn fail(asset: &mut Asset) {
    asset.status = "failed";
    asset.path = None;
    asset.size = None;
    asset.duration = Value::Null;
    asset.thumbnails = Value::Null;
}

/// What is left of a stream that the API has forgotten: its job is nowhere else.
fn of_a_stream(random: &mut Random, session: &Session, now: Time) -> Asset {
    let end = session.ended_at.unwrap_or(now);
    let created_at = random.time_between(session.created_at, end);
    let job_id = IdMint::new(random.number()).next(session.created_at);
    let kind = random.pick(&["room-vod", "stream", "room-composite"]);
    draft(random, job_id, session.room_id, session.id, kind, created_at)
}

/// An asset of that recording; its id is still to be minted.
pub(crate) fn asset(random: &mut Random, recording: &Recording, kind: &'static str, created_at: Time) -> Asset {
    let (room_id, session_id) = (recording.room_id, recording.session_id);
    draft(random, recording.id, room_id, session_id, kind, created_at)
}

/// An asset of any job; its id is still to be minted.
pub(super) fn draft(
    random: &mut Random,
    job_id: ObjectId,
    room_id: ObjectId,
    session_id: ObjectId,
    kind: &'static str,
    created_at: Time,
) -> Asset {
    let is_text = matches!(kind, "chat" | "transcript" | "summary");
    Asset {
        id: job_id,
        job_id,
        room_id,
        session_id,
        kind,
        status: "completed",
        path: Some(path(random, room_id, kind, created_at)),
        size: Some(size(random, is_text)),
        duration: if is_text { Value::Null } else { duration(random) },
        thumbnails: thumbnails(random, is_text),
        metadata: metadata(random, kind),
        created_at,
        file_gone: false,
    }
}

fn path(random: &mut Random, room_id: ObjectId, kind: &str, created_at: Time) -> String {
    let extension = match kind {
        "chat" => "csv",
        "transcript" => "srt",
        "summary" => "json",
        _ => "mp4",
    };
    let day = created_at.format("%Y%m%d");
    format!("beam/{room_id}/{day}/Rec-{} é.{extension}", random.hex(8))
}

/// A long recording is larger than 32 bits can say.
fn size(random: &mut Random, is_text: bool) -> u64 {
    match is_text {
        true => random.within(0..=90_000),
        false if random.chance(0.15) => random.within(1 << 32..=1 << 36),
        false => random.within(100_000..=2_000_000_000),
    }
}

fn duration(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!(random.within(1..=43_200) as f64 + 0.25),
        _ => json!(random.within(0..=43_200)),
    }
}

fn thumbnails(random: &mut Random, is_text: bool) -> Value {
    if is_text || random.chance(0.5) {
        return Value::Null;
    }
    json!([{"id": random.hex(24), "path": format!("thumbnails/{}.jpg", random.hex(8)), "offset": 2}])
}

fn metadata(random: &mut Random, kind: &str) -> Value {
    match kind {
        "track" => json!({"trackId": random.hex(16), "mediaType": "video"}),
        _ if random.chance(0.3) => json!({}),
        _ => Value::Null,
    }
}
