//! What changes between and during syncs, look-backs, what a second sync writes and costs.

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Options, Scale};
use serde_json::{Value, json};

use crate::harness::{an_hour_ago, fake, incremental_streams, requests_by_route, sync, workspace_of_many_pages};
use crate::platform::{Connection, Keeps, Warehouse};

#[test]
fn after_every_round_of_changes_the_warehouse_is_up_to_date() {
    let fake = fake(20);
    let mut connection = Connection::new(&fake);
    connection.sync();
    connection.assert_is_complete();
    for _ in 0..5 {
        let changes = fake.advance();
        let transcript = connection.sync();
        connection.assert_is_up_to_date();
        for stream in incremental_streams().into_iter().filter(|stream| *stream != "analytics_events") {
            let emitted = transcript.by_key(stream).0;
            assert!(changes.streams[stream].iter().all(|key| emitted.contains_key(key)), "{stream} misses a change");
        }
    }
    connection.sync_after_a_day();
    connection.assert_is_complete();
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
    for stream in incremental_streams() {
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

const STATE_BYTES: usize = 64 * 1024;

fn many_rooms(rooms: usize, lag: TimeDelta) -> Fake {
    let counts = Counts { rooms, sessions: 0, recordings: 0, events_per_room: 0, varied: false, ..Counts::default() };
    Fake::start(Options { seed: 70, scale: Scale::Custom(counts), lag, ..Options::default() })
}

fn rooms_written(connection: &mut Connection<'_>) -> usize {
    let written = connection.sync().records_of("rooms").count();
    let bytes = connection.states["rooms"].to_string().len();
    assert!(bytes < STATE_BYTES, "a state of {bytes} bytes");
    written
}

#[test]
fn any_number_of_records_with_one_time_of_change_is_written_once() {
    for (age, rooms) in [(TimeDelta::days(2), 3_000), (TimeDelta::minutes(21), 1_100), (TimeDelta::days(400), 999)] {
        let fake = many_rooms(rooms, TimeDelta::zero());
        fake.switch_rooms(rooms, fake.now() - age);
        let mut connection = Connection::of(&fake, &["rooms"]);
        let written: Vec<usize> = (0..3).map(|_| rooms_written(&mut connection)).collect();
        assert_eq!(written, [rooms, 0, 0], "changed {age} ago");
        connection.assert_is_complete();
    }
}

#[test]
fn many_records_that_have_just_changed_settle_and_none_is_lost_to_lag() {
    let lag = TimeDelta::minutes(9);
    let fake = many_rooms(2_500, lag);
    let mut connection = Connection::of(&fake, &["rooms"]);
    rooms_written(&mut connection);
    fake.switch_rooms(2_500, fake.now());
    // Some of them show at once, the others minutes later.
    for _ in 0..4 {
        fake.let_time_pass(TimeDelta::minutes(3));
        rooms_written(&mut connection);
    }
    connection.assert_is_complete();
    fake.let_time_pass(TimeDelta::minutes(30));
    rooms_written(&mut connection);
    assert_eq!(rooms_written(&mut connection), 0);
    fake.switch_rooms(3, fake.now());
    fake.let_time_pass(lag);
    assert_eq!(rooms_written(&mut connection), 3);
    connection.assert_is_complete();
}

#[test]
fn a_change_and_its_way_back_end_as_they_are() {
    for keeps in [Keeps::Whole, Keeps::Merged] {
        let fake = fake(71);
        let changed = fake.now();
        fake.switch_rooms(2, changed);
        let mut connection = Connection::of(&fake, &["rooms"]);
        *connection = Warehouse::that_keeps(keeps);
        rooms_written(&mut connection);
        for round in 0..4 {
            fake.switch_rooms(2, changed);
            assert_eq!(rooms_written(&mut connection), 2, "round {round}");
            connection.assert_is_complete();
            assert_eq!(rooms_written(&mut connection), 0, "round {round}");
        }
    }
}

#[test]
fn what_becomes_visible_later_is_read_later() {
    for lag in [TimeDelta::seconds(2), TimeDelta::minutes(5)] {
        let fake = workspace_of_many_pages(Options { now: an_hour_ago(), seed: 52, lag, ..Options::default() });
        let mut warehouse = Warehouse::default();
        sync(&fake, &mut warehouse);
        for _ in 0..4 {
            fake.advance_seconds(2);
            sync(&fake, &mut warehouse);
        }
        fake.let_time_pass(lag);
        sync(&fake, &mut warehouse);
        warehouse.assert_is(&fake.truth());
    }
}

#[test]
fn two_syncs_without_a_change_write_nothing_twice() {
    for now in [an_hour_ago(), Utc::now() - TimeDelta::seconds(1), Options::default().now] {
        let fake = workspace_of_many_pages(Options { now, seed: 55, ..Options::default() });
        fake.advance();
        let mut warehouse = Warehouse::default();
        sync(&fake, &mut warehouse);
        for _ in 0..2 {
            let again = sync(&fake, &mut warehouse);
            for stream in incremental_streams() {
                assert_eq!(again.records_of(stream).count(), 0, "{stream}, when it is {now}");
            }
        }
    }
}
