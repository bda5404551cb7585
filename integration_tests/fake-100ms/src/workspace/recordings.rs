//! Recordings: how they run, complete and fail.

use chrono::TimeDelta;

use super::collection::Collection;
use super::destinations;
use super::model::{Recording, Session, Time};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;
use crate::options::Counts;

/// What a recording passes through while its session is live.
const UNDER_WAY: [&str; 4] = ["running", "starting", "stopping", "post_processing"];

/// The recordings of a new workspace: enough in the last 13 and 72 hours, the rest of any age.
pub(crate) fn all(
    random: &mut Random,
    mint: &mut IdMint,
    sessions: &Collection<Session>,
    now: Time,
    counts: &Counts,
) -> Vec<Recording> {
    if sessions.len() == 0 {
        return Vec::new();
    }
    let since = |hours| sessions.created_within(Some(now - TimeDelta::hours(hours)), None, |time| time);
    let count = counts.recordings;
    let recent = count.min(14);
    let mut drafts: Vec<Recording> = (0..count)
        .map(|number| {
            let among = match number {
                _ if number < recent => since(13),
                _ if number < 2 * recent => since(72),
                _ => 0..sessions.len(),
            };
            let among = if among.is_empty() { 0..sessions.len() } else { among };
            let session = &sessions[among.start + random.below(among.len())];
            of(random, session, number, now)
        })
        .collect();
    if counts.files_per_recording.is_some() {
        drafts.iter_mut().for_each(|recording| complete(recording, recording.updated_at));
    }
    drafts.sort_by_key(|recording| recording.created_at);
    for recording in &mut drafts {
        recording.id = mint.next(recording.created_at);
    }
    drafts
}

/// A recording of that session; its id is still to be minted.
fn of(random: &mut Random, session: &Session, number: usize, now: Time) -> Recording {
    let end = session.ended_at.unwrap_or(now);
    let created_at = random.time_between(session.created_at, session.created_at + (end - session.created_at) / 2);
    let mut recording = begin(random, session, session.id, created_at);
    let started_at = (created_at + random.seconds(2..=8)).min(now);
    if session.is_live() {
        recording.status = UNDER_WAY[number % 4];
        recording.started_at = (recording.status != "starting").then_some(started_at);
        recording.updated_at = started_at;
        return recording;
    }
    recording.started_at = Some(started_at);
    stop(random, &mut recording, end.max(started_at));
    let processed_at = end + random.seconds(60..=1500);
    match number % 25 {
        7 => recording.status = UNDER_WAY[number % 4],
        3 | 12 | 20 => fail(&mut recording, end),
        _ if processed_at < now => complete(&mut recording, random.varied_precision(processed_at)),
        _ => {}
    }
    recording
}

/// A recording that has just been asked for.
pub(crate) fn begin(random: &mut Random, session: &Session, id: ObjectId, created_at: Time) -> Recording {
    let asset_types: &[&[&str]] =
        &[&["room-composite", "chat"], &["room-composite", "chat", "transcript", "summary"], &["track"], &[]];
    Recording {
        id,
        room_id: session.room_id,
        session_id: session.id,
        status: "starting",
        meeting_url: random.chance(0.9).then(|| destinations::meeting_url(random)),
        destination: random.chance(0.7).then(|| "browser-recording".to_owned()),
        asset_types: random.pick(asset_types).to_vec(),
        created_at,
        started_at: None,
        stopped_at: None,
        updated_at: created_at,
        started_by: random.chance(0.8).then(|| random.hex(24)),
        stopped_by: None,
    }
}

pub(crate) fn start(recording: &mut Recording, time: Time) {
    recording.status = "running";
    recording.started_at = Some(time);
    recording.updated_at = time;
}

/// The files are still being made.
pub(crate) fn stop(random: &mut Random, recording: &mut Recording, time: Time) {
    recording.status = "post_processing";
    recording.stopped_at = Some(time);
    recording.stopped_by = random.chance(0.6).then(|| random.hex(24));
    recording.updated_at = time;
}

pub(crate) fn complete(recording: &mut Recording, time: Time) {
    recording.status = "completed";
    recording.updated_at = time.max(recording.updated_at);
}

pub(crate) fn fail(recording: &mut Recording, time: Time) {
    recording.status = "failed";
    recording.updated_at = time.max(recording.updated_at);
}

impl Recording {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed")
    }
}
