//! A platform: what it keeps from one read to the next, how it hands states back, and what it may expect of
//! any output, good or bad.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use fake_100ms::{Fake, Truth};
use serde_json::{Value, json};

use crate::harness::{
    Call, Finished, assert_same_records, catalog, config, incremental_streams, offered_streams, states,
};
use crate::messages::Transcript;

/// What a platform keeps from one read to the next: the last version of each record, the last states.
#[derive(Default)]
pub struct Warehouse {
    pub records: BTreeMap<String, BTreeMap<String, Value>>,
    pub states: BTreeMap<String, Value>,
    keeps: Keeps,
}

/// How a platform keeps a state that follows another.
#[derive(Clone, Copy, Default)]
pub enum Keeps {
    /// The last one, as it came.
    #[default]
    Whole,
    /// The former one, changed key by key as a JSON merge patch: null takes a key away.
    Merged,
}

/// RFC 7396.
fn merge(kept: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *kept = patch.clone();
        return;
    };
    if !kept.is_object() {
        *kept = json!({});
    }
    let kept = kept.as_object_mut().expect("it was made one");
    for (key, value) in patch {
        match value {
            Value::Null => drop(kept.remove(key)),
            value => merge(kept.entry(key).or_insert(Value::Null), value),
        }
    }
}

impl Warehouse {
    pub fn load(&mut self, transcript: &Transcript) {
        let is_read = |stream: &&&str| !transcript.statuses_of(stream).is_empty();
        for stream in offered_streams().iter().filter(is_read) {
            let table = self.records.entry((*stream).to_owned()).or_default();
            // Without a cursor a stream is read whole each time, and replaced.
            if !incremental_streams().contains(stream) {
                table.clear();
            }
        }
        for record in transcript.records() {
            let table = self.records.entry(record.stream.clone()).or_default();
            table.insert(record.key(), Value::Object(record.data.clone()));
        }
        for (stream, state) in transcript.all_states() {
            match self.keeps {
                Keeps::Whole => *self.states.entry(stream).or_default() = state,
                Keeps::Merged => merge(self.states.entry(stream).or_default(), &state),
            }
        }
    }

    /// One that keeps states in that way.
    pub fn that_keeps(keeps: Keeps) -> Warehouse {
        Warehouse { keeps, ..Warehouse::default() }
    }

    pub fn has(&self, stream: &str, key: &str) -> bool {
        self.records.get(stream).is_some_and(|table| table.contains_key(key))
    }

    /// These streams have all that the API still has, in its last version, but for the events that are not
    /// `due`. What is older than 30 days stays in the warehouse and leaves the API.
    fn assert_has_what_is_due(&self, streams: &[&str], truth: &Truth, due: Due) {
        let empty = BTreeMap::new();
        for stream in streams {
            let mut expected = truth.streams[*stream].clone();
            let mut records = self.records.get(*stream).unwrap_or(&empty).clone();
            match *stream {
                "analytics_events" => {
                    let sessions = &truth.streams["sessions"];
                    expected.retain(|key, event| records.contains_key(key) || due(sessions, event));
                    records.retain(|key, _| expected.contains_key(key));
                    expected.values_mut().for_each(without_later_leave);
                    records.values_mut().for_each(without_later_leave);
                }
                "webhook_events" => records.retain(|key, _| expected.contains_key(key)),
                _ => {}
            }
            assert_same_records(stream, &records, &expected);
        }
    }

    /// These streams have all that the API still has, in its last version. Whether anybody is in a room at the end
    /// depends on how far the clock of the fake has come, and so on the number of requests.
    pub fn assert_has(&self, streams: &[&str], truth: &Truth) {
        for stream in streams.iter().filter(|stream| **stream != "active_room_peers") {
            assert!(!truth.streams[*stream].is_empty(), "{stream} is empty: the test proves nothing");
        }
        self.assert_has_what_is_due(streams, truth, &|_, _| true);
    }

    pub fn assert_is(&self, truth: &Truth) {
        self.assert_has(&offered_streams(), truth);
    }
}

/// Whether an event, seen beside the sessions, must be there.
type Due<'a> = &'a dyn Fn(&BTreeMap<String, Value>, &Value) -> bool;

/// A connection: a workspace, a configuration, the streams it reads, and what has become of it so far.
pub struct Connection<'a> {
    fake: &'a Fake,
    pub config: Value,
    streams: Vec<&'static str>,
    warehouse: Warehouse,
}

impl std::ops::Deref for Connection<'_> {
    type Target = Warehouse;

    fn deref(&self) -> &Warehouse {
        &self.warehouse
    }
}

impl std::ops::DerefMut for Connection<'_> {
    fn deref_mut(&mut self) -> &mut Warehouse {
        &mut self.warehouse
    }
}

impl<'a> Connection<'a> {
    pub fn new(fake: &'a Fake) -> Self {
        Connection::of(fake, &incremental_streams())
    }

    /// A connection that reads these streams only.
    pub fn of(fake: &'a Fake, streams: &[&'static str]) -> Self {
        Connection { fake, config: config(fake), streams: streams.to_vec(), warehouse: Warehouse::default() }
    }

    /// A sync under way, from the states so far.
    pub fn call(&self) -> Call {
        Call::read(&self.config, &catalog(&self.streams, "incremental")).file("state", &states(&self.states))
    }

    pub fn sync(&mut self) -> Transcript {
        let transcript = self.call().run().good(self.fake);
        self.load(&transcript);
        transcript
    }

    /// A sync so late that every room is asked for its events, which happens once a day.
    pub fn sync_after_a_day(&mut self) -> Transcript {
        self.fake.let_time_pass(TimeDelta::hours(24));
        self.fake.advance();
        self.sync()
    }

    /// All that the API still has is here in its last version, but for events that only a daily look into
    /// every room finds.
    pub fn assert_is_up_to_date(&self) {
        self.assert_has_what_is_due(&self.streams, &self.fake.truth(), &is_of_a_session_then);
    }

    /// All that the API still has is here in its last version.
    pub fn assert_is_complete(&self) {
        self.assert_has_what_is_due(&self.streams, &self.fake.truth(), &|_, _| true);
    }
}

/// Whether an event's session was going on when it happened: such a session is asked for its events.
fn is_of_a_session_then(sessions: &BTreeMap<String, Value>, event: &Value) -> bool {
    let session = event["session_id"].as_str().and_then(|id| sessions.get(id));
    session.is_some_and(|session| {
        session["active"] == true || session["stopped_at"].as_str() >= event["created_at"].as_str()
    })
}

/// A join was written with the peer's entry as it was then: that the peer has left since is no change of it.
fn without_later_leave(event: &mut Value) {
    if event["type"] == "peer.join"
        && let Some(entry) = event["data"].as_object_mut()
    {
        entry.remove("left_at");
    }
}

/// A read of all streams that goes on from `saved`.
pub fn read_on(config: &Value, saved: &BTreeMap<String, Value>) -> Call {
    Call::read(config, &catalog(&offered_streams(), "incremental")).file("state", &states(saved)).argument("--debug")
}

/// A first read of all streams.
pub fn read_all(fake: &Fake) -> Call {
    read_on(&config(fake), &BTreeMap::new())
}

/// The transcript of any run, good or bad: no secret, no panic, everything in order.
pub fn examine(run: &Finished, fake: &Fake) -> Transcript {
    assert_no_secret(run, &fake.secrets());
    assert!(!run.stderr.contains("internal error"), "{}", run.report(fake));
    assert!(fake.unexpected().is_empty(), "requests against the documents: {:#?}", fake.unexpected());
    let transcript = run.transcript();
    transcript.assert_in_order();
    transcript
}

/// Searches for all secrets in one pass: a large workspace has thousands of them.
pub fn assert_no_secret(run: &Finished, secrets: &[String]) {
    const PREFIX: usize = 6;
    assert!(secrets.len() > 20, "the fake has planted only {} secrets", secrets.len());
    let mut by_prefix: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for secret in secrets {
        by_prefix.entry(&secret.as_bytes()[..PREFIX]).or_default().push(secret.as_bytes());
    }
    for printed in [run.stdout.as_slice(), run.stderr.as_bytes()] {
        for (at, prefix) in printed.windows(PREFIX).enumerate() {
            let candidates = by_prefix.get(prefix).map(Vec::as_slice).unwrap_or_default();
            let found = candidates.iter().any(|secret| printed[at..].starts_with(secret));
            assert!(!found, "`{}` printed a secret at byte {at}", run.arguments[0]);
        }
    }
}

/// Reads what is left on a good day, and asserts that nothing is missing then.
pub fn assert_completes(mut warehouse: Warehouse, fake: &Fake) {
    fake.clear_faults();
    let run = read_on(&config(fake), &warehouse.states).run();
    warehouse.load(&run.good(fake));
    warehouse.assert_is(&fake.truth());
}
