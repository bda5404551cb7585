//! When something was created, changed and ended, in every spelling.

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, NeverEdited, Options, Readings, When};
use serde_json::json;

use crate::harness::{Call, assert_same_records, catalog, config, config_with, fake, incremental_streams, states};
use crate::platform::Connection;

/// The streams whose records have a time of creation and a time of change.
fn streams() -> Vec<&'static str> {
    let rest = ["template_settings", "templates_destinations", "live_streams", "external_streams"];
    [incremental_streams().as_slice(), &rest].concat()
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

/// Half past five in the morning of India, in the spellings of other programs.
fn spellings(moment: DateTime<Utc>) -> Vec<String> {
    let india = moment + TimeDelta::minutes(330);
    let written = |moment: DateTime<Utc>, zone: &str| format!("{}{zone}", moment.format("%Y-%m-%dT%H:%M:%S%.6f"));
    let go = |moment: DateTime<Utc>, zone: &str| format!("{}{zone}", moment.format("%Y-%m-%d %H:%M:%S%.9f"));
    vec![
        written(moment, "+0000"),
        written(moment, "+00"),
        written(moment, "-0000"),
        written(india, "+0530"),
        written(india, "+05:30"),
        go(moment, " +0000 UTC"),
        go(india, " +0530 IST"),
        go(india, " +0530 IST m=+1.000000001"),
        go(moment, " UTC"),
    ]
}

#[test]
fn offsets_without_a_colon_are_times_in_states() {
    let fake = fake(85);
    let mut times: Vec<DateTime<Utc>> = fake.truth().streams["rooms"]
        .values()
        .map(|room| room["updated_at"].as_str().expect("a time").parse().expect("a time"))
        .collect();
    times.sort_unstable();
    let cursor = times[times.len() / 2];
    for spelling in spellings(cursor) {
        let state = states([(&"rooms".to_owned(), &json!({"updated_at": spelling}))]);
        let call = Call::read(&config(&fake), &catalog(&["rooms"], "incremental")).file("state", &state);
        let transcript = call.run().good(&fake);
        // A sync goes ten minutes back.
        let expected = fake.truth_since(cursor - TimeDelta::minutes(10)).streams["rooms"].clone();
        assert_same_records(&spelling, &transcript.by_key("rooms").0, &expected);
    }
}

#[test]
fn offsets_without_a_colon_are_times_in_answers() {
    let fake = fake(86);
    let moment: DateTime<Utc> = "2025-06-01T10:00:00.25Z".parse().expect("a time");
    for spelling in spellings(moment) {
        let item = |id: &str, created_at: &str| format!(r#"{{"id":"{id}","created_at":"{created_at}"}}"#);
        let page = format!(r#"{{"limit":100,"data":[{}],"last":""}}"#, item("a", &spelling));
        fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::Says(page)));
        let transcript = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).run().good(&fake);
        for record in transcript.records() {
            assert_eq!(record.data["created_at"], "2025-06-01T10:00:00.250000Z", "{spelling}");
        }
        assert!(transcript.records().count() > 0);
    }
}
