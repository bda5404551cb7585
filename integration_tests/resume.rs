//! Kills at any byte: states that claim only what was written, nothing lost.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::Fake;
use serde_json::Value;

use crate::harness::{Call, busy_fake, catalog, config, incremental_streams, offered_streams, states};
use crate::messages::{Message, Transcript};
use crate::platform::Warehouse;

/// The keys of records that were written after the last state of their run, and that no later run has covered by one: what
/// cuts may cost again, by stream.
type Uncovered = BTreeMap<String, BTreeSet<String>>;

fn note_uncovered(uncovered: &mut Uncovered, transcript: &Transcript) {
    let mut since_state = Uncovered::new();
    for message in &transcript.messages {
        match message {
            Message::Record { record } => {
                since_state.entry(record.stream.clone()).or_default().insert(record.key());
            }
            Message::State { state } => {
                let stream = &state.stream.stream_descriptor.name;
                let covered = since_state.remove(stream).unwrap_or_default();
                uncovered.entry(stream.clone()).or_default().retain(|key| !covered.contains(key));
            }
            _ => {}
        }
    }
    for (stream, mut keys) in since_state {
        uncovered.entry(stream).or_default().append(&mut keys);
    }
}

/// Reads with kills until a run comes to its end; checks the promises of every piece of output.
fn read_with_kills(fake: &Fake, mode: &str, seed: u64) -> (Warehouse, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut warehouse, mut kills) = (Warehouse::default(), 0);
    let mut owed = Uncovered::new();
    let mut seen = BTreeSet::new();
    loop {
        // What is complete is left out by a full refresh only while another of its streams was cut: else it begins
        // anew, and what was read before does not count.
        if mode == "full_refresh" && !warehouse.states.values().any(|state| state["resume"].is_object()) {
            seen.clear();
        }
        let call =
            Call::read(&config(fake), &catalog(&incremental_streams(), mode)).file("state", &states(&warehouse.states));
        let run = call.start().kill_after(random.usize(10_000..25_000_000));
        let transcript = run.transcript();
        transcript.assert_in_order();
        for stream in incremental_streams() {
            let again = transcript.records_of(stream).filter(|record| !seen.insert((stream, record.key()))).count();
            // A page for each worker was fetched and perhaps written when the kill came.
            let allowed = owed.get(stream).map_or(0, BTreeSet::len) + 10 * 100;
            assert!(again <= allowed, "{stream}: {again} records again, {allowed} allowed");
        }
        note_uncovered(&mut owed, &transcript);
        warehouse.load(&transcript);
        if run.status.success() {
            return (warehouse, kills);
        }
        kills += 1;
        assert!(kills < 200, "it makes no progress");
    }
}

#[test]
fn kills_at_any_byte_lose_nothing() {
    let mut kills = 0;
    for seed in 1..=3 {
        let fake = busy_fake(seed);
        let (warehouse, killed) = read_with_kills(&fake, "incremental", seed);
        warehouse.assert_has(&incremental_streams(), &fake.truth());
        kills += killed;
    }
    assert!(kills >= 5, "only {kills} kills hit: the test proves little");
}

#[test]
fn a_full_refresh_resumes_where_it_was_cut() {
    let fake = busy_fake(4);
    let (warehouse, _) = read_with_kills(&fake, "full_refresh", 4);
    warehouse.assert_has(&incremental_streams(), &fake.truth());
    for (stream, state) in &warehouse.states {
        assert_eq!(state["__ab_full_refresh_sync_complete"], true, "{stream}");
        assert!(state["completed_at"].is_string() && state["resume"].is_null(), "{stream}: {state}");
    }
}

#[test]
fn a_resumed_read_pays_only_for_what_is_left() {
    let fake = busy_fake(5);
    let whole = Call::read(&config(&fake), &catalog(&["sessions"], "incremental")).run().good(&fake);
    let requests_of_all = fake.total_requests();
    let progress: Vec<_> = whole.states_of("sessions").collect();
    assert!(progress.len() >= 3, "12,000 records and only {} states", progress.len());
    for state in &progress {
        let mut covered = 0.0;
        for earlier in &progress {
            covered += earlier.source_stats.record_count;
            if std::ptr::eq(*earlier, *state) {
                break;
            }
        }
        fake.reset_requests();
        let saved = Value::Object(state.stream.stream_state.clone());
        let rest = Call::read(&config(&fake), &catalog(&["sessions"], "incremental"))
            .file("state", &states([(&"sessions".to_owned(), &saved)]))
            .run()
            .good(&fake);
        let is_last = !saved.as_object().unwrap().contains_key("resume");
        let read = rest.records().count() as f64;
        if is_last {
            assert!(read < 100.0, "a finished sync is read again: {read}")
        } else {
            assert_eq!(read, 12_000.0 - covered, "the rest after {covered}")
        }
        let share = (12_000.0 - covered) / 12_000.0;
        let allowed = requests_of_all as f64 * share + 60.0;
        assert!(fake.total_requests() as f64 <= allowed, "{} requests for {share}", fake.total_requests());
    }
}

#[test]
fn states_come_at_least_every_few_thousand_records() {
    let fake = busy_fake(6);
    let transcript = Call::read(&config(&fake), &catalog(&offered_streams(), "incremental")).run().good(&fake);
    for stream in offered_streams() {
        for state in transcript.states_of(stream) {
            // A page may cross the line; that of sessions gives two events for everybody who was in them.
            let page = if stream == "analytics_events" { 10_000.0 } else { 100.0 };
            assert!(state.source_stats.record_count < 2_500.0 + page, "{stream}");
        }
        let last = transcript.states_of(stream).last().expect("a state for every stream");
        let has_rest = last.stream.stream_state.get("resume").is_some_and(|resume| !resume.is_null());
        assert!(!has_rest, "{stream} ends with a state that is not final");
    }
}
