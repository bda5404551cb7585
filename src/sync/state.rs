//! Saved JSON ⇄ where a stream begins.
//!
//! ```text
//! {"updated_at": "<cursor>", "recent": […], "resume": null}                           a finished sync
//! {"updated_at": "<cursor of this sync>", "recent": […], "resume": {"until": …, "pending": […]}}   one under way
//! ```
//!
//! `resume` says when the sync began (`until`, which the final cursor does not pass), the latest cursor value that was
//! read (`latest`), and the slices that are left to read. `recent` holds hashes of the records that the next sync reads
//! again because of its look-back, each behind a hash of its key, so that the last one of each key counts.
//!
//! Runners replace a state whole, or merge it key by key into the one they have: so what is over is written as `null`,
//! never left out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::start_point::StartPoint;
use crate::airbyte::{self, SyncMode, shown};
use crate::seams;
use crate::streams::{Hashes, Slice, StreamInfo, Timestamp};

const RESUME: &str = "resume";
const PENDING: &str = "pending";
const RECENT: &str = "recent";
/// Bytes of a hash in `recent`.
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
/// What is wrong with a key whose value has another form than this connector gives it.
const NOT_OURS: &str = "is not what this connector writes";

/// A saved state that cannot be used: the key, and what is wrong with it.
pub type StateError = (String, String);

/// Where the stream `description` begins with its `saved` state, or at `fresh` without one.
///
/// A full refresh that an earlier attempt of the same sync has completed has nothing left; `attempt_began` says when
/// that sync began. A new sync reads everything again, whatever state it is given.
///
/// # Errors
/// When a cursor or what is left cannot be read: that must not become a silent full read.
pub fn read(
    description: &StreamInfo,
    saved: Option<&Value>,
    fresh: StartPoint,
    attempt_began: Option<Timestamp>,
) -> Result<StartPoint, StateError> {
    let fresh = StartPoint { saved: saved.cloned(), ..fresh };
    // A stream without a cursor is read whole whatever is asked for.
    let Some((field, saved)) = description.cursor.zip(saved.and_then(Value::as_object)) else { return Ok(fresh) };
    let cursor = read_cursor(field, saved)?;
    let mut start = read_resume(description, saved, fresh.clone())?;
    if start.mode == SyncMode::FullRefresh {
        if let Some(began) = attempt_began.filter(|began| was_completed(saved, *began)) {
            (start.bounds.sync_started_at, start.latest, start.pending) = (Some(began), None, Some(Vec::new()));
        } else if cursor.is_none_or(|cursor| cursor > start.bounds.start_date) {
            // The rest of an incremental sync would leave out what came before it.
            return Ok(fresh);
        }
        return Ok(StartPoint { is_continued: start.pending.is_some(), ..start });
    }
    let Some(cursor) = cursor else { return Ok(fresh) };
    start.bounds.cursor = cursor.max(start.bounds.start_date);
    start.is_continued = true;
    start.hashes = read_recent(saved)?;
    let memory = description.memory.iter().filter_map(|key| Some(((*key).to_owned(), saved.get(*key)?.clone())));
    start.memory = memory.collect();
    Ok(start)
}

/// The field, and how Airbyte's own connector spells it for some streams.
fn spellings(field: &'static str) -> [&'static str; 2] {
    [field, if field == "updated_at" { "updatedAt" } else { "timestamp" }]
}

/// The value of `key`, unless it is `null`, which means that it is over.
fn given<'s>(saved: &'s Map<String, Value>, key: &str) -> Option<&'s Value> {
    saved.get(key).filter(|value| !value.is_null())
}

fn read_cursor(field: &'static str, saved: &Map<String, Value>) -> Result<Option<Timestamp>, StateError> {
    let found = spellings(field).into_iter().find_map(|key| Some((key, given(saved, key)?)));
    let Some((key, value)) = found else { return Ok(None) };
    let problem = || (key.to_owned(), format!("is `{}`, which is not a time", shown(&value.to_string())));
    value.as_str().and_then(Timestamp::parse).ok_or_else(problem).map(Some)
}

/// Adds to `start` what an earlier process has left to read.
fn read_resume(
    description: &StreamInfo,
    saved: &Map<String, Value>,
    mut start: StartPoint,
) -> Result<StartPoint, StateError> {
    let Some(resume) = given(saved, RESUME) else { return Ok(start) };
    let pending_error = |problem: String| Err((format!("{RESUME}.{PENDING}"), problem));
    if resume.get(PENDING).and_then(Value::as_array).is_some_and(|pending| pending.len() > MOST_PENDING) {
        return pending_error("has more than 100,000 entries, which this connector never writes".into());
    }
    let not_ours = |_| (RESUME.to_owned(), NOT_OURS.to_owned());
    let [until, latest, pending] = ["until", "latest", PENDING].map(|key| resume.get(key).unwrap_or(&Value::Null));
    let pending = Vec::<Slice>::deserialize(pending).map_err(not_ours)?;
    start.bounds.sync_started_at = Some(Timestamp::deserialize(until).map_err(not_ours)?);
    start.latest = Option::deserialize(latest).map_err(not_ours)?;
    if let Some(slice) = pending.iter().find(|slice| !description.phases.contains(&slice.phase.as_str())) {
        return pending_error(format!("names the list `{}`, which this stream does not have", shown(&slice.phase)));
    }
    start.pending = Some(pending);
    Ok(start)
}

fn read_recent(saved: &Map<String, Value>) -> Result<Hashes, StateError> {
    let Some(recent) = given(saved, RECENT) else { return Ok(Hashes::new()) };
    let not_ours = || (RECENT.to_owned(), NOT_OURS.to_owned());
    let mut hashes = Hashes::new();
    for text in recent.as_array().ok_or_else(not_ours)? {
        let bytes = text.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or_else(not_ours)?;
        match bytes.split_at_checked(HASH_BYTES) {
            Some((key, content)) if content.len() == HASH_BYTES => _ = hashes.insert(number(key), number(content)),
            // Before version 0.2.0 a hash stood without its key: its record is written once more.
            _ if bytes.len() == size_of::<u64>() => {}
            _ => return Err(not_ours()),
        }
    }
    Ok(hashes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether an earlier attempt of the same sync has read the stream. Each time is compared by its own clock.
fn was_completed(saved: &Map<String, Value>, attempt_began: Timestamp) -> bool {
    let is_complete = saved.get(COMPLETE).is_some_and(|value| value == true);
    let time = |key| saved.get(key).and_then(Value::as_str).and_then(Timestamp::parse);
    let is_near = |time: Timestamp, other| time > other - ATTEMPTS_LAST && time < other + ATTEMPTS_LAST;
    time(COMPLETED_AT).filter(|_| is_complete).is_some_and(|completed_at| {
        is_near(completed_at, seams::now().into()) && is_near(time(BEGAN_AT).unwrap_or(completed_at), attempt_began)
    })
}

/// The keys of a saved state that this connector does not write.
pub fn unknown_keys<'s>(description: &StreamInfo, saved: Option<&'s Value>) -> impl Iterator<Item = &'s str> {
    let known = [RESUME, RECENT, COMPLETED_AT, BEGAN_AT];
    let known = move |key: &str| {
        known.contains(&key)
            || key.starts_with("__ab_")
            || description.cursor.is_none_or(|field| spellings(field).contains(&key))
            || description.memory.contains(&key)
    };
    let keys = saved.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    keys.map(String::as_str).filter(move |key| !known(key))
}

/// The state that `start` can be read from; `hashes` are those of all records written so far.
pub fn write(description: &StreamInfo, start: &StartPoint, hashes: &Hashes) -> Value {
    let Some(field) = description.cursor else { return airbyte::no_cursor() };
    let resume =
        start.bounds.sync_started_at.zip(start.pending.as_ref()).map(
            |(sync_started_at, pending)| json!({"until": sync_started_at, "latest": start.latest, PENDING: pending}),
        );
    let mut state = start.memory.clone();
    if start.mode == SyncMode::FullRefresh && resume.is_some() {
        state = [COMPLETE, COMPLETED_AT, BEGAN_AT].map(|key| (key.to_owned(), Value::Null)).into_iter().collect();
    } else {
        state.insert(RECENT.to_owned(), to_text(hashes));
    }
    state.insert(field.to_owned(), json!(start.bounds.cursor));
    state.insert(RESUME.to_owned(), json!(resume));
    Value::Object(state)
}

/// The state of a full refresh that has nothing left to read, finished at `now` by the local clock.
pub fn full_refresh_complete(field: &str, began: Option<Timestamp>, now: Timestamp) -> Value {
    json!({COMPLETE: true, COMPLETED_AT: now, BEGAN_AT: began, field: null, RESUME: null})
}

fn to_text(hashes: &Hashes) -> Value {
    let bytes = |hash: &u64| hash.to_be_bytes()[size_of::<u64>() - HASH_BYTES..].to_owned();
    hashes.iter().map(|(key, content)| URL_SAFE_NO_PAD.encode([bytes(key), bytes(content)].concat())).collect()
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

    fn rooms() -> &'static StreamInfo {
        streams::named("rooms").unwrap()
    }

    fn fresh(mode: SyncMode) -> StartPoint {
        StartPoint::new(mode, at(START), TimeDelta::zero())
    }

    fn begin(saved: Value, mode: SyncMode) -> Result<StartPoint, StateError> {
        read(rooms(), Some(&saved), fresh(mode), Some(at(NOW)))
    }

    /// The state of a sync under way since `LATER`, which has written a record.
    fn under_way(mode: SyncMode, cursor: &str) -> Value {
        let mut start = fresh(mode);
        (start.bounds.cursor, start.bounds.sync_started_at) = (at(cursor), Some(at(LATER)));
        start.pending = Some(vec![Slice::whole("enabled")]);
        write(rooms(), &start, &Hashes::from([(1, 1)]))
    }

    #[test]
    fn the_cursor_is_the_later_of_start_date_and_state() {
        let cursor = |saved: Value| begin(saved, SyncMode::Incremental).map(|start| start.bounds.cursor);
        assert_eq!(cursor(json!({"updated_at": LATER})), Ok(at(LATER)));
        assert_eq!(cursor(json!({"updatedAt": LATER})), Ok(at(LATER)));
        assert_eq!(cursor(json!({"updated_at": "2023-01-01T00:00:00Z"})), Ok(at(START)));
        assert_eq!(cursor(json!({})), Ok(at(START)));
        assert_eq!(cursor(json!({"__ab_full_refresh_sync_complete": true, "updated_at": null})), Ok(at(START)));
        assert_eq!(cursor(json!({"updated_at": "yesterday"})).unwrap_err().0, "updated_at");
        assert_eq!(cursor(json!({"updated_at": 5})).unwrap_err().0, "updated_at");
    }

    #[test]
    fn a_full_refresh_resumes_only_its_own_rest() {
        let start = |saved: Value| begin(saved, SyncMode::FullRefresh).unwrap();
        let resumed = start(under_way(SyncMode::FullRefresh, START));
        assert_eq!(resumed.pending, Some(vec![Slice::whole("enabled")]));
        assert_eq!(resumed.bounds.sync_started_at, Some(at(LATER)));
        assert!(resumed.is_continued);
        for saved in [under_way(SyncMode::Incremental, LATER), json!({"updated_at": LATER})] {
            let start = start(saved);
            assert_eq!((start.pending, start.bounds.sync_started_at), (None, None), "the rest of an incremental sync");
            assert!(!start.is_continued);
        }
    }

    #[test]
    fn a_complete_full_refresh_is_left_out_only_by_another_attempt_of_its_sync() {
        let now = Timestamp::from(seams::now());
        let start = |completed_at: Timestamp, attempt_began: Option<&str>| {
            // The clock of 100ms is years behind.
            let complete = full_refresh_complete("updated_at", Some(at("2020-01-02T00:00:00Z")), completed_at);
            read(rooms(), Some(&complete), fresh(SyncMode::FullRefresh), attempt_began.map(at)).unwrap()
        };
        let (recently, before) = (now - TimeDelta::hours(23), now - TimeDelta::hours(25));
        let left_out = start(recently, Some("2020-01-02T00:00:00Z"));
        assert_eq!(left_out.pending, Some(Vec::new()));
        assert_eq!(left_out.bounds.sync_started_at, Some(at("2020-01-02T00:00:00Z")));
        assert_eq!(start(recently, None).pending, None);
        assert_eq!(start(before, Some("2020-01-02T00:00:00Z")).pending, None);
        assert_eq!(start(recently, Some("2020-01-01T00:00:00Z")).pending, None);
        assert_eq!(
            begin(json!({"__ab_full_refresh_sync_complete": true}), SyncMode::FullRefresh).unwrap().pending,
            None
        );
    }

    #[test]
    fn only_a_full_refresh_that_was_cut_has_begun() {
        let began = |saved: Option<Value>| {
            let start = read(rooms(), saved.as_ref(), fresh(SyncMode::FullRefresh), None).unwrap();
            start.bounds.sync_started_at
        };
        let cut = |cursor: &str| Some(json!({"updated_at": cursor, "resume": {"until": NOW, "pending": []}}));
        assert_eq!(began(cut(START)), Some(at(NOW)));
        assert_eq!(began(cut(LATER)), None, "an incremental sync");
        assert_eq!(began(Some(full_refresh_complete("updated_at", None, at(NOW)))), None);
        assert_eq!(began(None), None);
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
        let pending = |kept: &Value, mode| begin(kept.clone(), mode).unwrap().pending;
        for mode in [SyncMode::Incremental, SyncMode::FullRefresh] {
            let mut kept = json!({});
            merge(&mut kept, &under_way(mode, START));
            assert_eq!(pending(&kept, mode), Some(vec![Slice::whole("enabled")]));
            let (end, expected) = match mode {
                SyncMode::Incremental => (write(rooms(), &fresh(mode), &Hashes::from([(2, 2)])), None),
                SyncMode::FullRefresh => {
                    (full_refresh_complete("updated_at", Some(at(NOW)), seams::now().into()), Some(Vec::new()))
                }
            };
            merge(&mut kept, &end);
            assert_eq!(pending(&kept, mode), expected);
            // The next full refresh begins while the old mark is still there, and is cut.
            merge(&mut kept, &under_way(mode, START));
            assert_eq!(pending(&kept, mode), Some(vec![Slice::whole("enabled")]));
        }
    }

    #[test]
    fn a_hash_without_its_key_is_passed_over() {
        let known = |recent: Value| begin(json!({"updated_at": LATER, "recent": recent}), SyncMode::Incremental);
        let pair = Hashes::from([(1, 0xff_0000_0002)]);
        let text = to_text(&pair);
        assert_eq!(known(text.clone()).unwrap().hashes, pair);
        // As it stood in states before version 0.2.0.
        assert_eq!(known(json!(["AAAAAAAAAAE", text[0]])).unwrap().hashes, pair);
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
        let pending = begin(state, SyncMode::Incremental).unwrap().pending.unwrap();
        assert_eq!((pending.len(), pending[0].token.as_deref()), (2, Some("665f")));
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
