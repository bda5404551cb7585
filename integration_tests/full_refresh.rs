//! Full refreshes that were finished, cut or given a state.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Options, Scale};
use serde_json::{Value, json};

use crate::harness::{
    Call, FAKE, Odd, assert_same_records, catalog, config, descriptor, fake, incremental_streams, offered_streams,
    states, streams_without_cursor,
};
use crate::platform::Warehouse;

#[test]
fn a_finished_full_refresh_is_read_again_when_no_other_stream_was_cut() {
    let finished = |hours_ago: i64| {
        let completed_at = (chrono::Utc::now() - TimeDelta::hours(hours_ago)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let state = json!({"__ab_full_refresh_sync_complete": true, "completed_at": completed_at});
        Value::Object(incremental_streams().iter().map(|stream| ((*stream).to_owned(), state.clone())).collect())
    };
    // A runner that keeps states in full refresh hands them back in the next sync, and in those after.
    let full = catalog(&incremental_streams(), "full_refresh");
    let transcript = Odd::new("full refresh, finished").state(finished(1)).catalog(full.clone()).run();
    assert!(
        incremental_streams()
            .iter()
            .all(|stream| transcript.last_states()[*stream]["__ab_full_refresh_sync_complete"] == true)
    );
    Odd::new("full refresh, finished yesterday").state(finished(25)).catalog(full.clone()).run();
    let bare = json!({"rooms": {"__ab_full_refresh_sync_complete": true}});
    Odd::new("full refresh, finished nobody knows when").state(bare).catalog(full).run();
    Odd::new("incremental after a full refresh")
        .state(finished(1))
        .catalog(catalog(&incremental_streams(), "incremental"))
        .run();
}

/// PyAirbyte asks for `incremental` on every stream and hands back every state it was given.
#[test]
fn streams_without_cursor_are_read_whole_again_whatever_is_asked_for() {
    let everything = catalog(&offered_streams(), "incremental");
    let first = Call::read(&config(&FAKE), &everything).run().good(&FAKE);
    let states = first.last_states();
    let entries = states.iter().map(|(stream, state)| json!({"type": "STREAM", "stream": descriptor(stream, state)}));
    let saved: Value = entries.collect();
    let second = Call::read(&config(&FAKE), &everything).file("state", &saved).run().good(&FAKE);
    for stream in streams_without_cursor() {
        assert_eq!(first.last_states()[stream], json!({"__ab_no_cursor_state_message": true}));
        assert_same_records(stream, &second.by_key(stream).0, &FAKE.truth().streams[stream]);
    }
    for stream in incremental_streams() {
        let (before, after) = (first.records_of(stream).count(), second.records_of(stream).count());
        assert!(after < before, "{stream}: {after} records after {before}");
    }
}

#[test]
fn streams_without_cursor_are_read_whole_whatever_is_asked() {
    let fake = fake(54);
    let first = Call::read(&config(&fake), &catalog(&offered_streams(), "incremental")).run().good(&fake);
    let saved = states(&first.last_states());
    let second =
        Call::read(&config(&fake), &catalog(&offered_streams(), "incremental")).file("state", &saved).run().good(&fake);
    for stream in offered_streams().iter().filter(|stream| !incremental_streams().contains(stream)) {
        assert_eq!(first.by_key(stream), second.by_key(stream), "{stream}");
        let state = &second.last_states()[*stream];
        assert_eq!(*state, json!({"__ab_no_cursor_state_message": true}));
    }
}

fn read_full(fake: &Fake, streams: &[&str], saved: &BTreeMap<String, Value>) -> Call {
    Call::read(&config(fake), &catalog(streams, "full_refresh")).file("state", &states(saved))
}

#[test]
fn a_full_refresh_reads_everything_whatever_state_it_is_given_back() {
    let streams = ["rooms", "templates", "sessions"];
    let fake = Fake::start(Options { seed: 74, now: Utc::now(), ..Options::default() });
    let mut warehouse = Warehouse::default();
    for _ in 0..3 {
        let transcript = read_full(&fake, &streams, &warehouse.states).run().good(&fake);
        for stream in streams {
            assert_eq!(transcript.by_key(stream).0.len(), fake.truth().streams[stream].len(), "{stream}");
        }
        warehouse.load(&transcript);
    }
    // An incremental stream that was cut, and one without any state, are no attempt to go on with.
    let mut saved = warehouse.states.clone();
    saved.insert(
        "sessions".to_owned(),
        json!({"updated_at": "2018-01-01T00:00:00.000000Z",
        "resume": {"until": Utc::now().to_rfc3339(), "pending": [{"list": "ended"}]}}),
    );
    saved.remove("templates");
    let mut mixed = catalog(&["rooms", "templates"], "full_refresh");
    let incremental = catalog(&["sessions"], "incremental")["streams"][0].clone();
    mixed["streams"].as_array_mut().unwrap().push(incremental);
    let call = Call::read(&config(&fake), &mixed).file("state", &states(&saved));
    let rooms = call.run().good(&fake).by_key("rooms").0.len();
    assert_eq!(rooms, fake.truth().streams["rooms"].len());
}

#[test]
fn another_attempt_of_a_full_refresh_leaves_out_what_is_complete() {
    let fake = Fake::start(Options { seed: 75, now: Utc::now(), ..Options::default() });
    let mut warehouse = Warehouse::default();
    warehouse.load(&read_full(&fake, &["rooms"], &BTreeMap::new()).run().good(&fake));
    let cut = |until: chrono::DateTime<Utc>| {
        json!({"updated_at": "2018-01-01T00:00:00.000000Z",
            "resume": {"until": until.to_rfc3339(), "pending": [{"list": "templates"}]}})
    };
    for (began, is_left_out) in [(TimeDelta::minutes(5), true), (TimeDelta::hours(25), false)] {
        let mut saved = warehouse.states.clone();
        saved.insert("templates".to_owned(), cut(Utc::now() - began));
        let transcript = read_full(&fake, &["rooms", "templates"], &saved).run().good(&fake);
        assert_eq!(transcript.records_of("rooms").count() == 0, is_left_out, "the attempt began {began} ago");
        assert_eq!(transcript.by_key("templates").0.len(), fake.truth().streams["templates"].len());
    }
}

#[test]
fn a_stream_without_a_cursor_has_one_state_at_its_end() {
    let counts = Counts { templates: 900, rooms: 3, sessions: 10, recordings: 3, ..Counts::default() };
    let fake = Fake::start(Options { seed: 78, scale: Scale::Custom(counts), ..Options::default() });
    let streams = ["templates_destinations", "template_settings", "active_room_peers"];
    let transcript = Call::read(&config(&fake), &catalog(&streams, "full_refresh")).run().good(&fake);
    // Where there is a cursor, a state is written every 2,500 records.
    assert!(transcript.records_of("templates_destinations").count() > 2_600);
    for stream in streams {
        let states: Vec<_> = transcript.states_of(stream).collect();
        assert_eq!(states.len(), 1, "{stream}");
        assert_eq!(states[0].stream.stream_state["__ab_no_cursor_state_message"], true);
        assert_eq!(states[0].source_stats.record_count, transcript.records_of(stream).count() as f64, "{stream}");
    }
}
