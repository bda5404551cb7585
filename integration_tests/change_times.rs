//! When something was created, changed and ended, whatever 100ms says of it.

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, NeverEdited, Options, Readings, Scale};
use serde_json::json;

use crate::harness::{Call, INCREMENTAL, assert_same_records, catalog, config_with};
use crate::platform::Connection;

/// The streams whose records have a time of creation and a time of change.
fn streams() -> Vec<&'static str> {
    let rest = ["template_settings", "templates_destinations", "live_streams", "external_streams"];
    [INCREMENTAL.as_slice(), &rest].concat()
}

fn fake_with(seed: u64, flip: fn(&mut Readings)) -> Fake {
    let mut readings = Readings::documented();
    flip(&mut readings);
    Fake::start(Options { seed, readings, ..Options::default() })
}

/// Reads everything, then what came about in two hours, then what came about since a date.
fn follow(fake: &Fake) {
    let mut connection = Connection::of(fake, &streams());
    connection.config = config_with(fake, json!({"extra_streams": ["live_streams", "external_streams"]}));
    connection.sync();
    connection.assert_is_complete();
    for _ in 0..2 {
        fake.advance();
        connection.sync();
        connection.assert_is_up_to_date();
    }
    let start_date = fake.now() - TimeDelta::days(200);
    let mut config = connection.config.clone();
    config["start_date"] = start_date.format("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    // Of joins and leaves the last 30 days are read, whatever the date.
    let streams: Vec<_> = streams().into_iter().filter(|stream| *stream != "analytics_events").collect();
    let read = Call::read(&config, &catalog(&streams, "full_refresh")).run().good(fake);
    let truth = fake.truth_since(start_date);
    for stream in streams {
        assert_same_records(stream, &read.by_key(stream).0, &truth.streams[stream]);
    }
}

#[test]
fn a_copy_with_the_date_of_its_original_is_read() {
    follow(&fake_with(71, |readings| readings.never_edited = NeverEdited::EditOfTheOriginal));
}

#[test]
fn a_time_that_means_never_is_none_wherever_it_is_written() {
    for (seed, never) in (72..).zip([NeverEdited::ZeroTimeElsewhere, NeverEdited::Year1970, NeverEdited::Year1900]) {
        let readings = Readings { never_edited: never, all_created: false, ..Readings::documented() };
        follow(&Fake::start(Options { seed, readings, ..Options::default() }));
    }
}

#[test]
fn a_record_without_any_time_takes_the_one_in_its_id() {
    follow(&fake_with(75, |readings| readings.all_created = false));
}

#[test]
fn a_session_that_somebody_never_left_ends_with_the_last_known_time() {
    let counts = Counts { peers_with_stats: 600, ..Counts::default() };
    let readings = Readings { all_left: false, ended_at: false, ..Readings::documented() };
    let fake = Fake::start(Options { seed: 76, readings, scale: Scale::Custom(counts), ..Options::default() });
    let streams = ["sessions", "peer_quality", "analytics_events"];
    let mut connection = Connection::of(&fake, &streams);
    connection.config = config_with(&fake, json!({"extra_streams": ["peer_quality"]}));
    connection.sync();
    connection.assert_is_complete();
    let is_open = |session: &&serde_json::Value| {
        let stayed = |peer: &serde_json::Value| peer["left_at"].is_null();
        session["active"] == false && session["peers"].as_array().unwrap().iter().any(stayed)
    };
    let open = connection.records["sessions"].values().filter(is_open).count();
    assert!(open > 20, "only {open} sessions have somebody who never left: the test proves little");
    for _ in 0..3 {
        fake.advance();
        connection.sync();
        connection.assert_is_up_to_date();
    }
}
