//! What changes between and during syncs: everything is read again that changed, and little else.

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, Options, Readings, Scale};
use serde_json::{Value, json};

use crate::harness::{Call, INCREMENTAL, STREAMS, catalog, config, config_with, fake, requests_by_route, states};
use crate::platform::Connection;

#[test]
fn after_every_round_of_changes_the_warehouse_is_up_to_date() {
    for seed in 20..=23 {
        let fake = fake(seed);
        let mut connection = Connection::new(&fake);
        connection.sync();
        connection.assert_is_complete();
        for _ in 0..5 {
            let changes = fake.advance();
            let transcript = connection.sync();
            connection.assert_is_up_to_date();
            for stream in INCREMENTAL.into_iter().filter(|stream| *stream != "analytics_events") {
                let emitted = transcript.by_key(stream).0;
                assert!(
                    changes.streams[stream].iter().all(|key| emitted.contains_key(key)),
                    "{stream} misses a change"
                );
            }
        }
        connection.sync_after_a_day();
        connection.assert_is_complete();
    }
}

#[test]
fn each_reading_of_the_documents_is_followed_incrementally() {
    for (name, readings) in Readings::alternatives() {
        eprintln!("reading: {name}");
        let fake = Fake::start(Options { seed: 31, readings, ..Options::default() });
        let mut connection = Connection::new(&fake);
        connection.sync();
        for _ in 0..2 {
            fake.advance();
            connection.sync();
        }
        // A filter of events that finds nothing is made up for within a day.
        connection.sync_after_a_day();
        connection.assert_is_complete();
    }
}

#[test]
fn changes_while_a_list_is_paged_are_never_lost() {
    for seed in 40..=43 {
        let fake = Fake::start(Options { seed, max_page: 20, ..Options::default() });
        let mut connection = Connection::new(&fake);
        for _ in 0..4 {
            fake.advance_during(Some(7));
            connection.sync();
            fake.advance_during(None);
        }
        // What changed during the last sync comes with the next.
        connection.sync();
        connection.assert_is_up_to_date();
    }
}

#[test]
fn an_unchanged_workspace_costs_little_and_emits_the_edge_only() {
    let fake = fake(50);
    let mut connection = Connection::new(&fake);
    let first = connection.sync();
    let states = connection.states.clone();
    let second = connection.sync();
    for stream in INCREMENTAL {
        let (again, all) = (second.records_of(stream).count(), first.records_of(stream).count());
        assert!(again < all / 5, "{stream}: {again} of {all} again");
    }
    assert_eq!(connection.states, states, "a sync without changes moves no cursor");
}

#[test]
fn a_small_change_costs_in_proportion() {
    let counts = Counts {
        sessions: 8_000,
        rooms: 400,
        recordings: 2_000,
        templates: 100,
        events_per_room: 20,
        ..Counts::default()
    };
    let fake = Fake::start(Options { seed: 51, scale: Scale::Custom(counts), ..Options::default() });
    let mut connection = Connection::new(&fake);
    connection.sync();
    let first = requests_by_route(&fake);
    fake.reset_requests();
    fake.advance_small(1.0);
    connection.sync();
    connection.assert_is_up_to_date();
    let second = requests_by_route(&fake);
    for (route, count) in &first {
        eprintln!("{route}: {count} requests, then {}", second.get(route).unwrap_or(&json!(0)));
    }
    let asked = |route: &str| second.get(route).and_then(Value::as_u64).unwrap_or(0);
    // By `sessions`, by `analytics_events` and, those going on, by `active_room_peers`. Into how many pieces the
    // look-back is divided depends on how many workers are idle.
    assert!(asked("/v2/sessions") <= 25, "sessions are read from the look-back on");
    for route in ["/v2/recordings", "/v2/recording-assets"] {
        // A tenth, and the pages of files that are fetched before somebody asks for them.
        let allowed = first[route].as_f64().unwrap() / 10.0 + 3.0;
        assert!(asked(route) as f64 <= allowed, "recordings stop at the look-back");
    }
    assert!(
        asked("/v2/recording-assets/{id}/presigned-url")
            < first["/v2/recording-assets/{id}/presigned-url"].as_u64().unwrap() / 4
    );
}

#[test]
fn recent_rooms_give_the_same_events_for_fewer_requests() {
    let fake = fake(52);
    let mut all = Connection::new(&fake);
    let mut recent = Connection::new(&fake);
    recent.config = config_with(&fake, json!({"analytics_rooms": "recent"}));
    all.sync();
    recent.sync();
    fake.reset_requests();
    fake.advance();
    recent.sync();
    let asked = requests_by_route(&fake)["/v2/analytics/events"].as_u64().unwrap();
    let rooms = fake.truth().streams["rooms"].len() as u64;
    assert!(asked < rooms, "{asked} of {rooms} rooms were asked");
    // All but events of rooms nobody has entered lately.
    let look_back = (fake.now() - TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let truth = &fake.truth().streams["analytics_events"];
    let missed: Vec<_> =
        truth.iter().filter(|(key, _)| !recent.records["analytics_events"].contains_key(*key)).collect();
    let sessions = &fake.truth().streams["sessions"];
    let is_excusable = |event: &Value| match event["session_id"].as_str() {
        None => true,
        // An event of a session that was over before the look-back is there after the next sweep.
        Some(session) => sessions.get(session).is_none_or(|session| {
            session["stopped_at"].as_str().is_some_and(|stopped_at| stopped_at <= look_back.as_str())
        }),
    };
    let inexcusable: Vec<_> = missed.iter().filter(|(_, event)| !is_excusable(event)).collect();
    assert!(inexcusable.is_empty(), "{inexcusable:#?}");
}

#[test]
fn the_cursor_does_not_pass_the_beginning_of_the_sync() {
    let fake = Fake::start(Options { seed: 53, max_page: 10, ..Options::default() });
    let began = fake.now();
    fake.advance_during(Some(3));
    let mut connection = Connection::new(&fake);
    connection.sync();
    assert!(fake.now() > began, "nothing happened while it was read");
    for (stream, state) in &connection.states {
        let cursor = state["updated_at"].as_str().or(state["created_at"].as_str()).unwrap();
        assert!(cursor <= began.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().as_str(), "{stream}: {cursor}");
    }
}

#[test]
fn streams_without_cursor_are_read_whole_whatever_is_asked() {
    let fake = fake(54);
    let first = Call::read(&config(&fake), &catalog(&STREAMS, "incremental")).run().good(&fake);
    let saved = states(&first.last_states());
    let second = Call::read(&config(&fake), &catalog(&STREAMS, "incremental")).file("state", &saved).run().good(&fake);
    for stream in STREAMS.iter().filter(|stream| !INCREMENTAL.contains(stream)) {
        assert_eq!(first.by_key(stream), second.by_key(stream), "{stream}");
        let state = &second.last_states()[*stream];
        assert_eq!(*state, json!({"__ab_no_cursor_state_message": true}));
    }
}

#[test]
fn a_recording_far_older_than_the_look_back_comes_again_with_a_new_file() {
    let fake = fake(55);
    let mut connection = Connection::new(&fake);
    connection.sync();
    let horizon = (fake.now() - TimeDelta::hours(80)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut came_again = 0;
    for _ in 0..6 {
        fake.advance();
        let transcript = connection.sync();
        came_again += transcript
            .records_of("recordings")
            .filter(|record| record.data["created_at"].as_str() < Some(&horizon))
            .count();
    }
    assert!(came_again > 0, "no late file arrived for an old recording: the test proves nothing");
    connection.assert_is_up_to_date();
}
