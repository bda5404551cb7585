//! Saved state ⇄ where a stream begins and what is left of it.
//!
//! ```text
//! {"updated_at": "<cursor>"}                                                     a finished sync
//! {"updated_at": "<cursor of this sync>", "resume": {"until": …, "pending": […]}}   one under way
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::airbyte::{self, SyncMode};
use crate::streams::{Slice, Stream, Timestamp};

const RESUME: &str = "resume";

/// What is left of a sync that was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The server's clock when the sync began: the final cursor does not pass it.
    pub until: Timestamp,
    /// The latest cursor value that has been emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Timestamp>,
    /// What has not been emitted.
    pub pending: Vec<Slice>,
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Beginning {
    /// At its first list, with this cursor.
    Fresh(Timestamp),
    /// In the middle of a sync with this cursor.
    Resumed(Timestamp, Resume),
    /// Nowhere: a full refresh that an earlier attempt has finished.
    Finished,
}

/// A saved state that cannot be used: the key, and what is wrong with it.
pub type StateError = (String, &'static str);

/// Where a stream with the cursor field `field` begins, given its saved state. `Ok` also says what of
/// the state was not understood and is ignored.
///
/// # Errors
/// When a cursor or what is left cannot be read: that must not become a silent full read.
pub fn beginning(
    field: &'static str,
    saved: Option<&Value>,
    mode: SyncMode,
    start_date: Timestamp,
    stream: &dyn Stream,
) -> Result<(Beginning, Vec<String>), StateError> {
    let fresh = Beginning::Fresh(start_date);
    let Some(saved) = saved.and_then(Value::as_object) else { return Ok((fresh, Vec::new())) };
    let cursor = read_cursor(field, saved)?;
    let resume = read_resume(saved, stream)?;
    let known = |key: &&String| key.starts_with("__ab_") || *key == RESUME || spellings(field).contains(&key.as_str());
    let ignored = saved.keys().filter(|key| !known(key)).cloned().collect();
    let beginning = match (mode, cursor, resume) {
        (SyncMode::FullRefresh, ..) if airbyte::is_full_refresh_complete(&Value::Object(saved.clone())) => {
            Beginning::Finished
        }
        // The rest of a full refresh; that of an incremental sync would leave out what came before it.
        (SyncMode::FullRefresh, Some(cursor), Some(resume)) if cursor <= start_date => {
            Beginning::Resumed(start_date, resume)
        }
        (SyncMode::FullRefresh, ..) | (_, None, _) => fresh,
        (SyncMode::Incremental, Some(cursor), Some(resume)) => Beginning::Resumed(cursor.max(start_date), resume),
        (SyncMode::Incremental, Some(cursor), None) => Beginning::Fresh(cursor.max(start_date)),
    };
    Ok((beginning, ignored))
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

fn read_resume(saved: &Map<String, Value>, stream: &dyn Stream) -> Result<Option<Resume>, StateError> {
    let Some(resume) = saved.get(RESUME).filter(|value| !value.is_null()) else { return Ok(None) };
    let resume = Resume::deserialize(resume).map_err(|_| (RESUME.to_owned(), "is not what this connector writes"))?;
    match resume.pending.iter().all(|slice| stream.knows(&slice.list)) {
        true => Ok(Some(resume)),
        false => Err((format!("{RESUME}.pending"), "names a list this stream does not have")),
    }
}

/// The state of a finished sync.
pub fn finished(field: &str, cursor: Timestamp) -> Value {
    Value::Object(Map::from_iter([(field.to_owned(), cursor.to_string().into())]))
}

/// The state of a sync under way.
pub fn under_way(field: &str, cursor: Timestamp, resume: &Resume) -> Value {
    let mut state = Map::from_iter([(field.to_owned(), cursor.to_string().into())]);
    if let Ok(resume) = serde_json::to_value(resume) {
        state.insert(RESUME.to_owned(), resume);
    }
    Value::Object(state)
}

/// The cursor after a sync: the latest value emitted, not past its beginning, never back.
pub fn final_cursor(cursor: Timestamp, latest: Option<Timestamp>, until: Timestamp) -> Timestamp {
    latest.map_or(cursor, |latest| latest.min(until).max(cursor))
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::streams::{Step, StreamError};

    struct Lists;

    impl Stream for Lists {
        fn first(&self) -> Slice {
            Slice::whole("a")
        }
        fn knows(&self, list: &str) -> bool {
            list == "a"
        }
        fn fetch<'a>(&'a self, _: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
            Box::pin(async { Ok(Step::default()) })
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    const START: &str = "2024-01-01T00:00:00.000000Z";
    const LATER: &str = "2024-06-01T00:00:00.000000Z";

    fn begin(saved: Value, mode: SyncMode) -> Result<Beginning, StateError> {
        beginning("updated_at", Some(&saved), mode, at(START), &Lists).map(|(beginning, _)| beginning)
    }

    #[test]
    fn the_cursor_is_the_later_of_start_date_and_state() {
        use SyncMode::Incremental;
        assert_eq!(begin(json!({"updated_at": LATER}), Incremental), Ok(Beginning::Fresh(at(LATER))));
        assert_eq!(begin(json!({"updatedAt": LATER}), Incremental), Ok(Beginning::Fresh(at(LATER))));
        assert_eq!(begin(json!({"updated_at": "2023-01-01T00:00:00Z"}), Incremental), Ok(Beginning::Fresh(at(START))));
        assert_eq!(begin(json!({}), Incremental), Ok(Beginning::Fresh(at(START))));
        assert_eq!(begin(airbyte::full_refresh_complete(), Incremental), Ok(Beginning::Fresh(at(START))));
        assert_eq!(begin(json!({"updated_at": "yesterday"}), Incremental).unwrap_err().0, "updated_at");
        assert_eq!(begin(json!({"updated_at": 5}), Incremental).unwrap_err().0, "updated_at");
    }

    #[test]
    fn a_full_refresh_goes_on_only_with_its_own_rest() {
        use SyncMode::FullRefresh;
        let resume = Resume { until: at(LATER), latest: None, pending: vec![Slice::whole("a")] };
        let own = under_way("updated_at", at(START), &resume);
        assert_eq!(begin(own, FullRefresh), Ok(Beginning::Resumed(at(START), resume.clone())));
        let of_an_incremental_sync = under_way("updated_at", at(LATER), &resume);
        assert_eq!(begin(of_an_incremental_sync, FullRefresh), Ok(Beginning::Fresh(at(START))));
        assert_eq!(begin(json!({"updated_at": LATER}), FullRefresh), Ok(Beginning::Fresh(at(START))));
        assert_eq!(begin(airbyte::full_refresh_complete(), FullRefresh), Ok(Beginning::Finished));
    }

    #[test]
    fn what_cannot_be_resumed_is_an_error() {
        let mode = SyncMode::Incremental;
        for resume in [
            json!(5),
            json!({}),
            json!({"until": LATER, "pending": [{"list": "unknown"}]}),
            json!({"until": "x", "pending": []}),
        ] {
            let error = begin(json!({"updated_at": LATER, "resume": resume}), mode).unwrap_err();
            assert!(error.0.starts_with("resume"), "{error:?}");
        }
    }

    fn times() -> impl Strategy<Value = Timestamp> {
        (0_i64..4_000_000_000_000_000).prop_map(Timestamp::from_micros)
    }

    proptest! {
        #[test]
        fn a_state_says_what_was_left(cursor in times(), until in times(), latest in proptest::option::of(times()),
                                      pending in proptest::collection::vec((proptest::option::of(times()), proptest::option::of("\\PC*")), 0..5)) {
            let pending = pending.into_iter().map(|(after, start)| Slice { after, start, ..Slice::whole("a") }).collect();
            let resume = Resume { until, latest, pending };
            let text = serde_json::to_string(&under_way("updated_at", cursor, &resume)).unwrap();
            let saved = serde_json::from_str(&text).unwrap();
            let read = beginning("updated_at", Some(&saved), SyncMode::Incremental, Timestamp::from_micros(0), &Lists);
            prop_assert_eq!(read, Ok((Beginning::Resumed(cursor, resume), Vec::new())));
        }

        #[test]
        fn the_cursor_never_goes_back_nor_past_the_beginning(cursor in times(), latest in proptest::option::of(times()), until in times()) {
            let after = final_cursor(cursor, latest, until);
            prop_assert!(after >= cursor);
            prop_assert!(after == cursor || after <= until);
        }

        #[test]
        fn any_json_is_a_state_or_an_error(text in "\\PC{0,40}", number in any::<i64>()) {
            for value in [json!(text), json!(number), json!({"a": text}), json!([text]), json!(null)] {
                let _ = begin(json!({"updated_at": value, "resume": value}), SyncMode::Incremental);
                let _ = airbyte::read_states(&value);
            }
        }
    }
}
