//! Saved state ⇄ where a stream begins and what is left of it.
//!
//! ```text
//! {"updated_at": "<cursor>", "recent": […], "resume": null}                           a finished sync
//! {"updated_at": "<cursor of this sync>", "recent": […], "resume": {"until": …, "pending": […]}}   one under way
//! ```
//!
//! `recent` holds hashes of the records that the next sync reads again because of its look-back. Runners
//! replace a state whole, or merge it key by key into the one they have: so what is over is written as
//! `null`, never left out.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::airbyte::SyncMode;
use crate::streams::{Description, Slice, Timestamp};

const RESUME: &str = "resume";
const RECENT: &str = "recent";
/// The protocol's mark of a full refresh that has nothing left to read, and when we set it.
const COMPLETE: &str = "__ab_full_refresh_sync_complete";
const COMPLETED_AT: &str = "completed_at";
/// A full refresh that was finished longer ago is no attempt of the sync that is running now.
const COMPLETE_FOR: TimeDelta = TimeDelta::hours(24);
/// More slices are not ours: at most a few hundred are ever pending.
const MOST_PENDING: usize = 100_000;

/// What is left of a sync that was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// When the sync began, by the earlier of the server's and the local clock: the final cursor does not
    /// pass it.
    pub until: Timestamp,
    /// The latest cursor value that has been read.
    #[serde(default)]
    pub latest: Option<Timestamp>,
    /// What has not been read.
    pub pending: Vec<Slice>,
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// At its first list.
    Fresh,
    /// In the middle of a sync.
    Resumed(Resume),
    /// Nowhere: a full refresh that an earlier attempt has finished.
    Finished,
}

/// What a saved state says.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The cursor of the sync.
    pub cursor: Timestamp,
    /// Where it begins.
    pub position: Position,
    /// Hashes of what earlier syncs have written.
    pub known: HashSet<u64>,
    /// What the stream remembers.
    pub memory: Map<String, Value>,
    /// Keys that are not this connector's and are ignored.
    pub ignored: Vec<String>,
}

impl Saved {
    fn fresh(cursor: Timestamp) -> Self {
        Self { cursor, position: Position::Fresh, known: HashSet::new(), memory: Map::new(), ignored: Vec::new() }
    }
}

/// A saved state that cannot be used: the key, and what is wrong with it.
pub type StateError = (String, &'static str);

/// Reads the state of the stream `description`, at the local time `now`.
///
/// # Errors
/// When a cursor or what is left cannot be read: that must not become a silent full read.
pub fn read(
    description: &Description,
    saved: Option<&Value>,
    mode: SyncMode,
    start_date: Timestamp,
    now: Timestamp,
) -> Result<Saved, StateError> {
    let fresh = Saved::fresh(start_date);
    // A stream without a cursor is read whole whatever is asked for.
    let Some((field, saved)) = description.cursor.zip(saved.and_then(Value::as_object)) else { return Ok(fresh) };
    let cursor = read_cursor(field, saved)?;
    let resume = read_resume(saved, description)?;
    let ignored = ignored_keys(field, description, saved);
    if mode == SyncMode::FullRefresh {
        let position = match (cursor, resume) {
            _ if was_completed(saved, now) => Position::Finished,
            // The rest of a full refresh; that of an incremental sync would leave out what came before it.
            (Some(cursor), Some(resume)) if cursor <= start_date => Position::Resumed(resume),
            _ => Position::Fresh,
        };
        return Ok(Saved { position, ignored, ..fresh });
    }
    let Some(cursor) = cursor else { return Ok(Saved { ignored, ..fresh }) };
    Ok(Saved {
        cursor: cursor.max(start_date),
        position: resume.map_or(Position::Fresh, Position::Resumed),
        known: read_recent(saved)?,
        memory: description
            .memory
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), saved.get(*key)?.clone())))
            .collect(),
        ignored,
    })
}

/// The field, and how Airbyte's own connector spells it for some streams.
fn spellings(field: &'static str) -> [&'static str; 2] {
    [field, if field == "updated_at" { "updatedAt" } else { "timestamp" }]
}

fn read_cursor(field: &'static str, saved: &Map<String, Value>) -> Result<Option<Timestamp>, StateError> {
    let given = |key: &'static str| saved.get(key).filter(|value| !value.is_null()).map(|value| (key, value));
    let Some((key, value)) = spellings(field).into_iter().find_map(given) else { return Ok(None) };
    match value.as_str().map(Timestamp::parse) {
        Some(Some(cursor)) => Ok(Some(cursor)),
        _ => Err((key.to_owned(), "is not a time")),
    }
}

fn read_resume(saved: &Map<String, Value>, description: &Description) -> Result<Option<Resume>, StateError> {
    let Some(resume) = saved.get(RESUME).filter(|value| !value.is_null()) else { return Ok(None) };
    let pending = format!("{RESUME}.pending");
    if resume.get("pending").and_then(Value::as_array).is_some_and(|pending| pending.len() > MOST_PENDING) {
        return Err((pending, "has more than 100,000 entries, which this connector never writes"));
    }
    let resume = Resume::deserialize(resume).map_err(|_| (RESUME.to_owned(), "is not what this connector writes"))?;
    if resume.pending.iter().all(|slice| description.lists.contains(&slice.list.as_str())) {
        Ok(Some(resume))
    } else {
        Err((pending, "names a list this stream does not have"))
    }
}

fn read_recent(saved: &Map<String, Value>) -> Result<HashSet<u64>, StateError> {
    let Some(recent) = saved.get(RECENT).filter(|value| !value.is_null()) else { return Ok(HashSet::new()) };
    let hashes = recent.as_array().map(|hashes| hashes.iter().map(|hash| hash.as_str().and_then(from_text)).collect());
    hashes.flatten().ok_or_else(|| (RECENT.to_owned(), "is not what this connector writes"))
}

fn from_text(text: &str) -> Option<u64> {
    Some(u64::from_be_bytes(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
}

fn was_completed(saved: &Map<String, Value>, now: Timestamp) -> bool {
    let is_complete = saved.get(COMPLETE).is_some_and(|value| value == true);
    let completed_at = saved.get(COMPLETED_AT).and_then(Value::as_str).and_then(Timestamp::parse);
    is_complete && completed_at.is_some_and(|time| time > now - COMPLETE_FOR && time < now + COMPLETE_FOR)
}

fn ignored_keys(field: &'static str, description: &Description, saved: &Map<String, Value>) -> Vec<String> {
    let known = |key: &str| {
        [RESUME, RECENT, COMPLETED_AT].contains(&key)
            || key.starts_with("__ab_")
            || spellings(field).contains(&key)
            || description.memory.contains(&key)
    };
    saved.keys().filter(|key| !known(key)).cloned().collect()
}

/// The state of a finished sync.
pub fn finished(
    field: &str,
    cursor: Timestamp,
    recent: impl Iterator<Item = u64>,
    memory: Map<String, Value>,
) -> Value {
    let mut state = Map::from_iter([(field.to_owned(), cursor.to_string().into())]);
    state.insert(RECENT.to_owned(), to_text(recent));
    state.insert(RESUME.to_owned(), Value::Null);
    state.extend(memory);
    Value::Object(state)
}

/// The state of a sync under way.
pub fn under_way(
    field: &str,
    mode: SyncMode,
    cursor: Timestamp,
    resume: &Resume,
    recent: impl Iterator<Item = u64>,
    memory: Map<String, Value>,
) -> Value {
    let mut state = Map::from_iter([(field.to_owned(), cursor.to_string().into())]);
    state.insert(RESUME.to_owned(), serde_json::to_value(resume).unwrap_or_default());
    match mode {
        SyncMode::Incremental => {
            state.insert(RECENT.to_owned(), to_text(recent));
            state.extend(memory);
        }
        SyncMode::FullRefresh => {
            state.insert(COMPLETE.to_owned(), Value::Null);
            state.insert(COMPLETED_AT.to_owned(), Value::Null);
        }
    }
    Value::Object(state)
}

/// The state of a full refresh that has nothing left to read, finished at `now` by the local clock.
pub fn full_refresh_complete(field: &str, now: Timestamp) -> Value {
    Value::Object(Map::from_iter([
        (COMPLETE.to_owned(), true.into()),
        (COMPLETED_AT.to_owned(), now.to_string().into()),
        (field.to_owned(), Value::Null),
        (RESUME.to_owned(), Value::Null),
    ]))
}

fn to_text(recent: impl Iterator<Item = u64>) -> Value {
    recent.map(|hash| Value::from(URL_SAFE_NO_PAD.encode(hash.to_be_bytes()))).collect()
}
