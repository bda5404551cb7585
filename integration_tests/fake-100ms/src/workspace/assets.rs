//! Recording assets: the files that come out of a recording, at once or much later.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::dice::Dice;
use super::model::{Asset, Recording, Session, Time};
use super::object_id::{IdMint, ObjectId};
use super::shelf::Shelf;

/// 100ms-hosted files are kept 15 days.
const KEPT: TimeDelta = TimeDelta::days(15);

/// The assets of a new workspace, in the order of creation: those of recordings, and `of_streams`.
pub(crate) fn all(
    dice: &mut Dice,
    mint: &mut IdMint,
    recordings: &Shelf<Recording>,
    sessions: &Shelf<Session>,
    now: Time,
    mut of_streams: Vec<Asset>,
) -> Vec<Asset> {
    let mut drafts: Vec<Asset> = Vec::new();
    for recording in recordings.iter() {
        drafts.extend(of(dice, recording, now));
    }
    for _ in 0..recordings.len() / 8 {
        let session = &sessions[dice.below(sessions.len())];
        drafts.push(of_a_stream(dice, session, now));
    }
    drafts.retain(|asset| asset.created_at <= now);
    drafts.sort_by_key(|asset| asset.created_at);
    expire_some(dice, &mut drafts, now);
    drafts.append(&mut of_streams);
    drafts.sort_by_key(|asset| asset.created_at);
    for asset in &mut drafts {
        asset.id = mint.next(asset.created_at);
    }
    drafts
}

/// Of many an old asset the file is gone.
pub(super) fn expire_some(dice: &mut Dice, assets: &mut [Asset], now: Time) {
    for asset in assets {
        asset.file_gone = now - asset.created_at > KEPT && dice.chance(0.6);
    }
}

/// What came out of a recording that is over; some assets lie in the future still.
fn of(dice: &mut Dice, recording: &Recording, now: Time) -> Vec<Asset> {
    match recording.status {
        "completed" => of_a_completed(dice, recording, now),
        "failed" if dice.chance(0.5) => of_a_failed(dice, recording),
        _ => Vec::new(),
    }
}

fn of_a_completed(dice: &mut Dice, recording: &Recording, now: Time) -> Vec<Asset> {
    let mut assets = at_completion(dice, recording);
    if dice.chance(0.5) {
        // As in the vendor's own sample: two minutes after the recording's last update.
        let time = recording.updated_at + TimeDelta::seconds(120);
        assets.push(asset(dice, recording, "transcript", time));
        assets.push(asset(dice, recording, "summary", time + TimeDelta::seconds(9)));
    }
    if dice.chance(0.25) {
        let weeks_later = recording.updated_at + dice.seconds(7 * 86_400..=60 * 86_400);
        if weeks_later < now {
            assets.push(asset(dice, recording, "summary", weeks_later));
        }
    }
    assets
}

/// The files a recording completes with. Now and then there are none.
pub(crate) fn at_completion(dice: &mut Dice, recording: &Recording) -> Vec<Asset> {
    let earliest = recording.stopped_at.unwrap_or(recording.created_at);
    let latest = recording.updated_at.max(earliest);
    let from = (latest - TimeDelta::seconds(20)).max(earliest);
    let kinds = files(dice);
    let mut assets: Vec<Asset> = kinds
        .iter()
        .map(|kind| {
            let time = dice.time_between(from, latest);
            asset(dice, recording, kind, time)
        })
        .collect();
    number_layers(&mut assets);
    if assets.len() > 1 && dice.chance(0.1) {
        fail(&mut assets[0]);
    }
    assets
}

/// Which files come together. A layered composite comes with or without the whole.
fn files(dice: &mut Dice) -> &'static [&'static str] {
    const LAYER: &str = "room-composite layer";
    match dice.below(20) {
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

fn of_a_failed(dice: &mut Dice, recording: &Recording) -> Vec<Asset> {
    let mut composite = asset(dice, recording, "room-composite", recording.updated_at);
    fail(&mut composite);
    let chat = asset(dice, recording, "chat", recording.updated_at);
    if dice.chance(0.5) { vec![composite] } else { vec![composite, chat] }
}

fn fail(asset: &mut Asset) {
    asset.status = "failed";
    asset.path = None;
    asset.size = None;
    asset.duration = Value::Null;
    asset.thumbnails = Value::Null;
}

/// What is left of a stream that the API has forgotten: its job is nowhere else.
fn of_a_stream(dice: &mut Dice, session: &Session, now: Time) -> Asset {
    let end = session.ended_at.unwrap_or(now);
    let created_at = dice.time_between(session.created_at, end);
    let job_id = IdMint::new(dice.number()).next(session.created_at);
    let kind = dice.pick(&["room-vod", "stream", "room-composite"]);
    draft(dice, job_id, session.room_id, session.id, kind, created_at)
}

/// An asset of that recording; its id is still to be minted.
pub(crate) fn asset(dice: &mut Dice, recording: &Recording, kind: &'static str, created_at: Time) -> Asset {
    let (room_id, session_id) = (recording.room_id, recording.session_id);
    draft(dice, recording.id, room_id, session_id, kind, created_at)
}

/// An asset of any job; its id is still to be minted.
pub(super) fn draft(
    dice: &mut Dice,
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
        path: Some(path(dice, room_id, kind, created_at)),
        size: Some(size(dice, is_text)),
        duration: if is_text { Value::Null } else { duration(dice) },
        thumbnails: thumbnails(dice, is_text),
        metadata: metadata(dice, kind),
        created_at,
        file_gone: false,
    }
}

fn path(dice: &mut Dice, room_id: ObjectId, kind: &str, created_at: Time) -> String {
    let extension = match kind {
        "chat" => "csv",
        "transcript" => "srt",
        "summary" => "json",
        _ => "mp4",
    };
    let day = created_at.format("%Y%m%d");
    format!("beam/{room_id}/{day}/Rec-{} é.{extension}", dice.hex(8))
}

/// A long recording is larger than 32 bits can say.
fn size(dice: &mut Dice, is_text: bool) -> u64 {
    match is_text {
        true => dice.within(0..=90_000),
        false if dice.chance(0.15) => dice.within(1 << 32..=1 << 36),
        false => dice.within(100_000..=2_000_000_000),
    }
}

fn duration(dice: &mut Dice) -> Value {
    match dice.below(3) {
        0 => json!(dice.within(1..=43_200) as f64 + 0.25),
        _ => json!(dice.within(0..=43_200)),
    }
}

fn thumbnails(dice: &mut Dice, is_text: bool) -> Value {
    if is_text || dice.chance(0.5) {
        return Value::Null;
    }
    json!([{"id": dice.hex(24), "path": format!("thumbnails/{}.jpg", dice.hex(8)), "offset": 2}])
}

fn metadata(dice: &mut Dice, kind: &str) -> Value {
    match kind {
        "track" => json!({"trackId": dice.hex(16), "mediaType": "video"}),
        _ if dice.chance(0.3) => json!({}),
        _ => Value::Null,
    }
}
