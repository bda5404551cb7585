//! Saved state ⇄ where a stream begins and what is left of it.
//!
//! ```text
//! {"updated_at": "<cursor>", "recent": […], "resume": null}                           a finished sync
//! {"updated_at": "<cursor of this sync>", "recent": […], "resume": {"until": …, "pending": […]}}   one under way
//! ```
//!
//! `recent` holds hashes of the records that the next sync reads again because of its look-back, each with a hash of
//! its key, so that the last one of each key counts. Runners
//! replace a state whole, or merge it key by key into the one they have: so what is over is written as
//! `null`, never left out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::airbyte::{SyncMode, shown};
use crate::streams::{Description, Hashes, Slice, Timestamp};

const RESUME: &str = "resume";
const RECENT: &str = "recent";
/// Bytes of a hash in `recent`, where the hash of a record's key stands before that of its content.
const HASH_BYTES: usize = 5;
/// The protocol's mark of a full refresh that has nothing left to read,
const COMPLETE: &str = "__ab_full_refresh_sync_complete";
/// when we set it, by the local clock,
const COMPLETED_AT: &str = "completed_at";
/// and when that refresh began, by the clock of `resume.until`.
const BEGAN_AT: &str = "began_at";
/// All attempts of one full refresh begin and end within this time.
const ATTEMPTS_LAST: TimeDelta = TimeDelta::hours(24);
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
    /// Nowhere: a full refresh that an earlier attempt has finished, which began then.
    Finished(Timestamp),
}

/// What a saved state says.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The cursor of the sync.
    pub cursor: Timestamp,
    /// Where it begins.
    pub position: Position,
    /// Whether this read adds to what earlier ones have written; otherwise it writes everything anew.
    pub goes_on: bool,
    /// Hashes of what earlier syncs have written.
    pub known: Hashes,
    /// What the stream remembers.
    pub memory: Map<String, Value>,
    /// Keys that are not this connector's and are ignored.
    pub ignored: Vec<String>,
}

impl Saved {
    fn fresh(cursor: Timestamp) -> Self {
        let (known, memory, ignored) = (Hashes::new(), Map::new(), Vec::new());
        Self { cursor, position: Position::Fresh, goes_on: false, known, memory, ignored }
    }
}

/// What is wrong with a key whose value has another form than this connector gives it.
const NOT_OURS: &str = "is not what this connector writes";

/// A saved state that cannot be used: the key, and what is wrong with it.
pub type StateError = (String, String);

/// A sync whose earlier attempt was cut.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// When the full refresh of a stream began that was cut: `resume.until`.
    pub began: Timestamp,
    /// The local time.
    pub now: Timestamp,
}

/// When the full refresh began in which this stream was cut; `None` when it was not.
pub fn began(description: &Description, saved: Option<&Value>, start_date: Timestamp) -> Option<Timestamp> {
    match read(description, saved, SyncMode::FullRefresh, start_date, None).ok()?.position {
        Position::Resumed(resume) => Some(resume.until),
        Position::Fresh | Position::Finished(_) => None,
    }
}

/// Reads the state of the stream `description`. A full refresh that is complete is left out only by another `attempt`
/// of its sync: a new sync reads everything again, whatever state it is given.
///
/// # Errors
/// When a cursor or what is left cannot be read: that must not become a silent full read.
pub fn read(
    description: &Description,
    saved: Option<&Value>,
    mode: SyncMode,
    start_date: Timestamp,
    attempt: Option<Attempt>,
) -> Result<Saved, StateError> {
    let fresh = Saved::fresh(start_date);
    // A stream without a cursor is read whole whatever is asked for.
    let Some((field, saved)) = description.cursor.zip(saved.and_then(Value::as_object)) else { return Ok(fresh) };
    let cursor = read_cursor(field, saved)?;
    let resume = read_resume(saved, description)?;
    let ignored = ignored_keys(field, description, saved);
    if mode == SyncMode::FullRefresh {
        let finished = attempt.filter(|attempt| was_completed(saved, *attempt));
        let position = match (finished, cursor, resume) {
            (Some(attempt), ..) => Position::Finished(attempt.began),
            // The rest of a full refresh; that of an incremental sync would leave out what came before it.
            (None, Some(cursor), Some(resume)) if cursor <= start_date => Position::Resumed(resume),
            _ => Position::Fresh,
        };
        return Ok(Saved { goes_on: position != Position::Fresh, position, ignored, ..fresh });
    }
    let Some(cursor) = cursor else { return Ok(Saved { ignored, ..fresh }) };
    Ok(Saved {
        cursor: cursor.max(start_date),
        position: resume.map_or(Position::Fresh, Position::Resumed),
        goes_on: true,
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
        _ => Err((key.to_owned(), format!("is {}, which is not a time", quoted(value)))),
    }
}

/// A value as it stands in the state, for a sentence.
fn quoted(value: &Value) -> String {
    format!("`{}`", shown(&value.to_string()))
}

fn read_resume(saved: &Map<String, Value>, description: &Description) -> Result<Option<Resume>, StateError> {
    let Some(resume) = saved.get(RESUME).filter(|value| !value.is_null()) else { return Ok(None) };
    let pending = format!("{RESUME}.pending");
    if resume.get("pending").and_then(Value::as_array).is_some_and(|pending| pending.len() > MOST_PENDING) {
        return Err((pending, "has more than 100,000 entries, which this connector never writes".into()));
    }
    let resume = Resume::deserialize(resume).map_err(|_| (RESUME.to_owned(), NOT_OURS.into()))?;
    let is_unknown = |slice: &&Slice| !description.lists.contains(&slice.list.as_str());
    match resume.pending.iter().find(is_unknown) {
        None => Ok(Some(resume)),
        Some(slice) => {
            Err((pending, format!("names the list `{}`, which this stream does not have", shown(&slice.list))))
        }
    }
}

fn read_recent(saved: &Map<String, Value>) -> Result<Hashes, StateError> {
    let Some(recent) = saved.get(RECENT).filter(|value| !value.is_null()) else { return Ok(Hashes::new()) };
    let not_ours = || (RECENT.to_owned(), NOT_OURS.to_owned());
    let mut hashes = Hashes::new();
    for text in recent.as_array().ok_or_else(not_ours)? {
        let bytes = text.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or_else(not_ours)?;
        match <[u8; 2 * HASH_BYTES]>::try_from(bytes.as_slice()) {
            Ok(pair) => {
                let (key, content) = pair.split_at(HASH_BYTES);
                hashes.insert(number(key), number(content));
            }
            // Before version 0.2.0 a hash stood without its key: what it was of is written once more.
            Err(_) if bytes.len() == size_of::<u64>() => {}
            Err(_) => return Err(not_ours()),
        }
    }
    Ok(hashes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether an earlier attempt of the same sync has read the stream. Each time is compared by its own clock.
fn was_completed(saved: &Map<String, Value>, attempt: Attempt) -> bool {
    let is_complete = saved.get(COMPLETE).is_some_and(|value| value == true);
    let time = |key| saved.get(key).and_then(Value::as_str).and_then(Timestamp::parse);
    let is_near = |time: Timestamp, other| time > other - ATTEMPTS_LAST && time < other + ATTEMPTS_LAST;
    let Some(completed_at) = time(COMPLETED_AT).filter(|_| is_complete) else { return false };
    is_near(completed_at, attempt.now) && is_near(time(BEGAN_AT).unwrap_or(completed_at), attempt.began)
}

fn ignored_keys(field: &'static str, description: &Description, saved: &Map<String, Value>) -> Vec<String> {
    let known = |key: &str| {
        [RESUME, RECENT, COMPLETED_AT, BEGAN_AT].contains(&key)
            || key.starts_with("__ab_")
            || spellings(field).contains(&key)
            || description.memory.contains(&key)
    };
    saved.keys().filter(|key| !known(key)).cloned().collect()
}

/// The state of a finished sync.
pub fn finished(field: &str, cursor: Timestamp, recent: &Hashes, memory: Map<String, Value>) -> Value {
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
    recent: &Hashes,
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
            state.insert(BEGAN_AT.to_owned(), Value::Null);
        }
    }
    Value::Object(state)
}

/// The state of a full refresh that has nothing left to read, finished at `now` by the local clock.
pub fn full_refresh_complete(field: &str, began: Option<Timestamp>, now: Timestamp) -> Value {
    Value::Object(Map::from_iter([
        (COMPLETE.to_owned(), true.into()),
        (COMPLETED_AT.to_owned(), now.to_string().into()),
        (BEGAN_AT.to_owned(), began.map(|began| began.to_string()).into()),
        (field.to_owned(), Value::Null),
        (RESUME.to_owned(), Value::Null),
    ]))
}

fn to_text(recent: &Hashes) -> Value {
    let bytes = |hash: &u64| hash.to_be_bytes()[size_of::<u64>() - HASH_BYTES..].to_owned();
    let text = |(key, content)| URL_SAFE_NO_PAD.encode([bytes(key), bytes(content)].concat());
    recent.iter().map(|pair| Value::from(text(pair))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::streams;

    const START: &str = "2024-01-01T00:00:00.000000Z";
    const LATER: &str = "2024-06-01T00:00:00.000000Z";
    const NOW: &str = "2024-07-01T00:00:00.000000Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn begin(saved: Value, mode: SyncMode) -> Result<Saved, StateError> {
        let rooms = streams::named("rooms").unwrap();
        read(rooms, Some(&saved), mode, at(START), Some(Attempt { began: at(NOW), now: at(NOW) }))
    }

    #[test]
    fn the_cursor_is_the_later_of_start_date_and_state() {
        let cursor = |saved: Value| begin(saved, SyncMode::Incremental).map(|saved| saved.cursor);
        assert_eq!(cursor(json!({"updated_at": LATER})), Ok(at(LATER)));
        assert_eq!(cursor(json!({"updatedAt": LATER})), Ok(at(LATER)));
        assert_eq!(cursor(json!({"updated_at": "2023-01-01T00:00:00Z"})), Ok(at(START)));
        assert_eq!(cursor(json!({})), Ok(at(START)));
        assert_eq!(cursor(json!({"__ab_full_refresh_sync_complete": true, "updated_at": null})), Ok(at(START)));
        assert_eq!(cursor(json!({"updated_at": "yesterday"})).unwrap_err().0, "updated_at");
        assert_eq!(cursor(json!({"updated_at": 5})).unwrap_err().0, "updated_at");
    }

    #[test]
    fn a_full_refresh_goes_on_only_with_its_own_rest() {
        let position = |saved: Value| begin(saved, SyncMode::FullRefresh).unwrap().position;
        let resume = Resume { until: at(LATER), latest: None, pending: vec![Slice::whole("enabled")] };
        let under_way = |cursor: &str| {
            under_way("updated_at", SyncMode::FullRefresh, at(cursor), &resume, &Hashes::new(), Map::new())
        };
        assert_eq!(position(under_way(START)), Position::Resumed(resume.clone()));
        assert_eq!(position(under_way(LATER)), Position::Fresh, "the rest of an incremental sync");
        assert_eq!(position(json!({"updated_at": LATER})), Position::Fresh);
    }

    #[test]
    fn a_complete_full_refresh_is_left_out_only_by_another_attempt_of_its_sync() {
        let rooms = streams::named("rooms").unwrap();
        // The clock of 100ms is years behind.
        let complete = full_refresh_complete("updated_at", Some(at("2020-01-02T00:00:00Z")), at(NOW));
        let position = |state: &Value, attempt: Option<(&str, &str)>| {
            let attempt = attempt.map(|(began, now)| Attempt { began: at(began), now: at(now) });
            read(rooms, Some(state), SyncMode::FullRefresh, at(START), attempt).unwrap().position
        };
        let (soon, late) = ("2024-07-01T23:00:00Z", "2024-07-02T01:00:00Z");
        assert_eq!(position(&complete, None), Position::Fresh);
        assert_eq!(
            position(&complete, Some(("2020-01-02T00:00:00Z", soon))),
            Position::Finished(at("2020-01-02T00:00:00Z"))
        );
        assert_eq!(position(&complete, Some(("2020-01-02T00:00:00Z", late))), Position::Fresh);
        assert_eq!(position(&complete, Some(("2020-01-01T00:00:00Z", soon))), Position::Fresh);
        let undated = json!({"__ab_full_refresh_sync_complete": true});
        assert_eq!(position(&undated, Some((NOW, NOW))), Position::Fresh);
    }

    #[test]
    fn only_a_full_refresh_that_was_cut_has_begun() {
        let rooms = streams::named("rooms").unwrap();
        let cut = |cursor: &str| json!({"updated_at": cursor, "resume": {"until": NOW, "pending": []}});
        assert_eq!(began(rooms, Some(&cut(START)), at(START)), Some(at(NOW)));
        assert_eq!(began(rooms, Some(&cut(LATER)), at(START)), None, "an incremental sync");
        assert_eq!(began(rooms, Some(&full_refresh_complete("updated_at", None, at(NOW))), at(START)), None);
        assert_eq!(began(rooms, None, at(START)), None);
    }

    /// A JSON merge patch, as some runners apply to the state they have.
    fn merge(state: &mut Value, patch: &Value) {
        let Some(patch) = patch.as_object() else {
            *state = patch.clone();
            return;
        };
        if !state.is_object() {
            *state = json!({});
        }
        let Some(object) = state.as_object_mut() else { return };
        for (key, value) in patch {
            if value.is_null() {
                object.remove(key);
            } else {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    #[test]
    fn a_runner_that_merges_states_goes_on_correctly() {
        let resume = Resume { until: at(LATER), latest: Some(at(LATER)), pending: vec![Slice::whole("enabled")] };
        for mode in [SyncMode::Incremental, SyncMode::FullRefresh] {
            let mut kept = json!({});
            merge(&mut kept, &under_way("updated_at", mode, at(START), &resume, &Hashes::from([(1, 1)]), Map::new()));
            assert!(matches!(begin(kept.clone(), mode).unwrap().position, Position::Resumed(_)));
            let end = match mode {
                SyncMode::Incremental => finished("updated_at", at(LATER), &Hashes::from([(2, 2)]), Map::new()),
                SyncMode::FullRefresh => full_refresh_complete("updated_at", Some(at(NOW)), at(NOW)),
            };
            merge(&mut kept, &end);
            let expected = if mode == SyncMode::Incremental { Position::Fresh } else { Position::Finished(at(NOW)) };
            let saved = begin(kept.clone(), mode).unwrap();
            assert_eq!(saved.position, expected);
            // The next full refresh begins while the old mark is still there, and is cut.
            merge(&mut kept, &under_way("updated_at", mode, at(START), &resume, &Hashes::from([(1, 1)]), Map::new()));
            assert!(matches!(begin(kept, mode).unwrap().position, Position::Resumed(_)));
        }
    }

    #[test]
    fn a_hash_without_its_key_is_passed_over() {
        let known = |recent: Value| begin(json!({"updated_at": LATER, "recent": recent}), SyncMode::Incremental);
        let pair = Hashes::from([(1, 0xff_0000_0002)]);
        let text = to_text(&pair);
        assert_eq!(known(text.clone()).unwrap().known, pair);
        // As it stood in states before version 0.2.0.
        assert_eq!(known(json!(["AAAAAAAAAAE", text[0]])).unwrap().known, pair);
    }

    #[test]
    fn what_cannot_be_resumed_is_an_error() {
        for resume in [
            json!(5),
            json!({}),
            json!({"until": LATER, "pending": [{"list": "unknown"}]}),
            json!({"until": LATER, "pending": vec![json!({"list": "enabled"}); MOST_PENDING + 1]}),
            json!({"until": "x", "pending": []}),
        ] {
            let error = begin(json!({"updated_at": LATER, "resume": resume}), SyncMode::Incremental).unwrap_err();
            assert!(error.0.starts_with("resume"), "{error:?}");
        }
        let odd = json!({"updated_at": LATER, "recent": ["nonsense"]});
        assert_eq!(begin(odd, SyncMode::Incremental).unwrap_err().0, "recent");
    }

    #[test]
    fn states_of_the_first_version_are_read() {
        let state = json!({"updated_at": LATER, "resume": {"until": LATER, "pending": [
            {"list": "enabled", "after": "2024-01-01T00:00:37.000000Z", "start": "665f"},
            {"list": "enabled", "before": "2024-01-01T00:00:37.000000Z"}]}});
        let Position::Resumed(resume) = begin(state, SyncMode::Incremental).unwrap().position else { panic!() };
        assert_eq!((resume.pending.len(), resume.pending[0].token.as_deref()), (2, Some("665f")));
    }

    proptest! {
        #[test]
        fn nonsense_is_an_error_that_names_its_key_and_never_a_full_read(text in "\\PC{0,40}", number in any::<i64>()) {
            for value in [json!(text), json!(number), json!([text])] {
                let error = begin(json!({"updated_at": LATER, "resume": value}), SyncMode::Incremental).unwrap_err();
                prop_assert_eq!(error.0, "resume");
                if Timestamp::parse(&text).is_none() {
                    let error = begin(json!({"updated_at": value}), SyncMode::Incremental).unwrap_err();
                    prop_assert_eq!(error.0, "updated_at");
                }
            }
        }
    }
}
