//! What a sync reads again because it may have been shown late, and what it writes of that: only what has changed.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config, config_with, fake, requests_by_route, states};
use crate::platform::{Connection, Keeps, Warehouse};

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

/// Every option, with every way to keep states, also when a sync is cut again and again.
#[test]
fn what_is_known_of_events_survives_runners_that_merge_states_and_cuts() {
    for keeps in [Keeps::Whole, Keeps::Merged] {
        for rooms in ["auto", "all", "recent"] {
            for cuts in [vec![], vec![30_000, 60_000, 90_000], vec![140_000]] {
                let fake = fake(72);
                let mut connection = Connection::of(&fake, &["analytics_events"]);
                *connection = Warehouse::that_keeps(keeps);
                connection.config = config_with(&fake, json!({"analytics_rooms": rooms, "num_workers": 1}));
                let mut was_cut = 0;
                for bytes in &cuts {
                    let run = connection.call().start().kill_after(*bytes);
                    was_cut += usize::from(!run.status.success());
                    connection.load(&run.transcript());
                }
                assert!(cuts.is_empty() || was_cut > 0, "no sync was cut");
                connection.sync();
                connection.assert_is_complete();
                for _ in 0..2 {
                    fake.let_time_pass(TimeDelta::minutes(30));
                    fake.reset_requests();
                    let written = connection.sync().records_of("analytics_events").count();
                    let asked = requests_by_route(&fake)["/v2/analytics/events"].as_u64().unwrap_or(0);
                    let what = format!("{rooms}, {} cuts: {written} records, {asked} requests", cuts.len());
                    assert_eq!(written, 0, "{what}");
                    assert!(rooms == "all" || asked <= 30, "rooms are asked that are not due: {what}");
                }
            }
        }
    }
}

#[test]
fn a_server_that_ignores_times_is_read_to_the_end_from_any_state() {
    let counts =
        Counts { sessions: 6_000, peers_per_session: 1, rooms: 20, recordings: 0, varied: false, ..Counts::default() };
    let fake = Fake::start(Options { seed: 73, scale: Scale::Custom(counts), max_page: 20, ..Options::default() });
    // What a sync has left that was cut while all workers shared the history.
    let saved = {
        let mut connection = Connection::of(&fake, &["sessions"]);
        let run = connection.call().start().kill_after(2_600_000);
        connection.load(&run.transcript());
        connection
    };
    let pending = saved.states["sessions"]["resume"]["pending"].as_array().map_or(0, Vec::len);
    assert!(pending > 2, "{pending} windows are left");
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::IgnoresTimes));
    fake.reset_requests();
    let mut resumed = saved;
    resumed.sync();
    resumed.assert_is_complete();
    let (asked, list) = (requests_by_route(&fake)["/v2/sessions"].as_u64().unwrap(), 6_000 / 20 + 2);
    assert!(asked <= (10 + 1) * list, "{asked} requests for a list of {list} pages");
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
