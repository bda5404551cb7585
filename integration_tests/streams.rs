//! Every stream in full: records, keys, schemas, requests, under every reading of the documents.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, Scale, When};
use serde_json::{Map, Value, json};

use crate::harness::{
    Call, assert_everything_is_the_truth, assert_same_records, busy_fake, catalog, config, config_with, every_stream,
    extra_config, extra_streams, fake, offered_streams, plain_workspace, read_everything, read_of_extra_streams,
    read_of_keys, requests_by_route,
};
use crate::messages::{Level, Message, Record, Status, Transcript};
use crate::platform::Connection;

#[test]
fn a_record_of_every_stream_is_reviewed() {
    let fake = fake(1);
    let transcript = Call::read(&config(&fake), &catalog(&offered_streams(), "full_refresh")).run().good(&fake);
    let smallest_key = |stream: &str| {
        let (records, _) = transcript.by_key(stream);
        let telling = records.into_values().find(is_telling).expect("a telling record");
        (stream.to_owned(), telling)
    };
    let records: Map<String, Value> = offered_streams().into_iter().map(smallest_key).collect();
    let text = serde_json::to_string(&records).unwrap().replace(&fake.url(), "http://fake");
    assert!(transcript.records().all(|record| (Utc::now().timestamp_millis() - record.emitted_at).abs() < 600_000));
    insta::assert_json_snapshot!("records", serde_json::from_str::<Value>(&text).unwrap());
}

/// Not an odd one: a session with a few peers, a recording with a few assets and a file.
fn is_telling(record: &Value) -> bool {
    let has_few = |column: &str| record[column].as_array().is_none_or(|items| (1..=3).contains(&items.len()));
    let has = |column: &str| record.get(column).is_none_or(|value| !value.is_null());
    has_few("peers") && has_few("recording_assets") && has("url") && has("duration")
}

/// A connection that reads all of them.
fn connection(fake: &Fake) -> Connection<'_> {
    let mut connection = Connection::of(fake, &extra_streams());
    connection.config = extra_config(fake);
    connection
}

/// Where there is a little of everything: enough for several pages of ten.
fn few() -> Counts {
    Counts {
        rooms: 12,
        sessions: 60,
        recordings: 10,
        events_per_room: 1,
        live_streams: 25,
        external_streams: 25,
        webhook_events: 120,
        peers_with_stats: 60,
        ..Counts::default()
    }
}

#[test]
fn every_record_of_every_extra_stream_is_the_truth() {
    for seed in 1..=3 {
        let fake = fake(seed);
        let (transcript, truth) = (read_of_extra_streams(&fake, &extra_streams()), fake.truth());
        for stream in extra_streams() {
            let (records, count) = transcript.by_key(stream);
            assert_same_records(stream, &records, &truth.streams[stream]);
            assert_eq!(count, records.len(), "{stream}: a record came twice");
            assert!(count > 0, "{stream} is empty: the test proves nothing");
        }
    }
}

#[test]
fn each_reading_is_read_whole() {
    for (name, readings) in Readings::alternatives() {
        eprintln!("reading: {name}");
        let fake = Fake::start(Options {
            seed: 62,
            readings,
            scale: Scale::Custom(few()),
            max_page: 10,
            ..Options::default()
        });
        let mut connection = connection(&fake);
        let first = connection.sync();
        for stream in extra_streams() {
            let (records, count) = first.by_key(stream);
            assert_eq!(count, records.len(), "{stream}: a record came twice");
        }
        connection.assert_is_complete();
    }
}

#[test]
fn records_validate_against_the_discovered_schema() {
    let fake = fake(2);
    let discovered = Call::discover(&extra_config(&fake)).run().good(&fake);
    let transcript = read_of_extra_streams(&fake, &extra_streams());
    for stream in &discovered.catalog().streams[offered_streams().len()..] {
        let schema = &stream.json_schema;
        let validator = jsonschema::draft7::options().should_validate_formats(true).build(schema).unwrap();
        let columns: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        for record in transcript.records_of(&stream.name) {
            let data = Value::Object(record.data.clone());
            let errors: Vec<_> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?} in {data}", stream.name);
            assert_eq!(columns, record.data.keys().collect::<Vec<_>>(), "{}", stream.name);
        }
    }
}

fn small(readings: Readings) -> Fake {
    let counts = Counts {
        rooms: 12,
        sessions: 60,
        recordings: 25,
        templates: 8,
        events_per_room: 4,
        live_streams: 25,
        external_streams: 25,
        webhook_events: 120,
        peers_with_stats: 60,
        ..Counts::default()
    };
    Fake::start(Options { seed: 311, readings, scale: Scale::Custom(counts), max_page: 10, ..Options::default() })
}

fn assert_no_key_repeats(transcript: &Transcript, when: &str) {
    for stream in source_100ms::streams::every() {
        let mut known: HashMap<String, Option<String>> = HashMap::new();
        for record in transcript.records_of(stream.name) {
            let cursor = stream.cursor.and_then(|cursor| record.data[cursor].as_str()).map(str::to_owned);
            let before = known.insert(record.key(), cursor.clone());
            let replaces = |before: &Option<String>| before.is_some() && cursor >= *before;
            assert!(before.as_ref().is_none_or(replaces), "{when}: {} `{}` came twice", stream.name, record.key());
        }
        // Nobody can ask about a peer whose id 100ms does not tell.
        let has_none = stream.name == "peer_quality" && when == "peers as array without ids";
        assert!(has_none || !known.is_empty(), "{when}: {} is empty: the test proves nothing", stream.name);
    }
}

#[test]
fn no_key_repeats_under_any_reading() {
    for (name, readings) in Readings::alternatives().into_iter().filter(|(_, readings)| readings.has_webhook) {
        let fake = small(readings);
        assert_no_key_repeats(&read_of_keys(&fake, &every_stream()), name);
    }
}

#[test]
fn no_key_repeats_when_pages_repeat_items() {
    let fake = small(Readings::documented());
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::ShiftedItems(3)));
    assert_no_key_repeats(&read_of_keys(&fake, &every_stream()), "shifted items");
}

#[test]
fn every_record_of_every_stream_is_the_truth() {
    for seed in 1..=4 {
        let fake = fake(seed);
        assert_everything_is_the_truth(&read_everything(&fake), &fake);
    }
}

#[test]
fn a_large_workspace_is_read_whole_with_few_requests() {
    let fake = Fake::start(Options { seed: 7, scale: Scale::Large, ..Options::default() });
    assert_everything_is_the_truth(&read_everything(&fake), &fake);
    let truth = fake.truth();
    let requests = requests_by_route(&fake);
    let asked = |route: &str| requests[route].as_u64().unwrap();
    let pages = |stream: &str| truth.streams[stream].len() as u64 / 100;
    // One page more for each list tells whether a short page is its end.
    // Two lists and the live rooms; cuts cost a request each.
    assert!(asked("/v2/sessions") <= pages("sessions") + 50, "{requests:?}");
    // `rooms` and `analytics_events` both go through all rooms.
    assert!(asked("/v2/rooms") <= 2 * pages("rooms") + 50, "{requests:?}");
    assert!(asked("/v2/templates") <= 3 * (pages("templates") + 1) + 3, "{requests:?}");
    assert!(asked("/v2/recordings") <= pages("recordings") + 2, "{requests:?}");
    assert!(asked("/v2/recording-assets") <= 4 * pages("recordings") + 5, "{requests:?}");
    assert_eq!(asked("/v2/templates/{id}/settings"), truth.streams["templates"].len() as u64);
}

#[test]
fn each_reading_of_the_documents_gives_the_truth() {
    for (name, readings) in Readings::alternatives() {
        eprintln!("reading: {name}");
        let fake = Fake::start(Options { seed: 11, readings, ..Options::default() });
        assert_everything_is_the_truth(&read_everything(&fake), &fake);
    }
}

#[test]
fn records_of_a_full_read_validate_against_the_schema() {
    let fake = fake(2);
    let discovered = Call::discover(&config(&fake)).run().good(&fake);
    let schemas: BTreeMap<_, _> =
        discovered.catalog().streams.iter().map(|stream| (stream.name.clone(), stream.json_schema.clone())).collect();
    let validators: BTreeMap<_, _> = schemas
        .iter()
        .map(|(name, schema)| {
            (name.as_str(), jsonschema::draft7::options().should_validate_formats(true).build(schema).unwrap())
        })
        .collect();
    for record in read_everything(&fake).records() {
        let data = Value::Object(record.data.clone());
        let errors: Vec<_> = validators[record.stream.as_str()]
            .iter_errors(&data)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?} in {data}", record.stream);
        let columns: Vec<_> = schemas[&record.stream]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(columns, record.data.keys().collect::<Vec<_>>(), "{}", record.stream);
    }
}

#[test]
fn one_stream_at_a_time_gives_the_same() {
    let fake = fake(6);
    let truth = fake.truth();
    for stream in offered_streams() {
        let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().good(&fake);
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[stream]);
        assert!(transcript.records().all(|record| record.stream == stream));
        assert_eq!(transcript.statuses_of(stream), [Status::Started, Status::Running, Status::Complete]);
    }
}

#[test]
fn start_date_is_the_first_cursor() {
    let fake = fake(8);
    let start_date = fake.now() - chrono::TimeDelta::days(200);
    let text = start_date.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let config = config_with(&fake, json!({"start_date": text}));
    let transcript = Call::read(&config, &catalog(&offered_streams(), "full_refresh")).run().good(&fake);
    let truth = fake.truth_since(start_date);
    for stream in offered_streams() {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[stream]);
    }
    let whole = fake.truth();
    assert!(truth.streams["sessions"].len() < whole.streams["sessions"].len());
}

#[test]
fn streams_are_read_side_by_side() {
    let fake = busy_fake(7);
    fake.set_faults(FaultPlan::new().latency(5, 0));
    let transcript = Call::read(&config(&fake), &catalog(&offered_streams(), "full_refresh")).run().good(&fake);
    let place = |stream: &str| {
        transcript.messages.iter().position(|m| matches!(m, Message::Record { record } if record.stream == stream))
    };
    let last = offered_streams().iter().filter_map(|stream| place(stream)).max().unwrap();
    let all = transcript.records().count();
    assert!(last < all / 2, "the last stream begins after {last} of {all} messages");
    assert!(fake.max_in_flight() <= 10, "{} requests at once", fake.max_in_flight());
}

#[test]
fn good_answers_have_no_changes() {
    let fake = plain_workspace(73);
    let config = config_with(&fake, json!({"extra_streams": extra_streams()}));
    let streams = every_stream();
    let transcript = Call::read(&config, &catalog(&streams, "full_refresh")).run().good(&fake);
    let changed: Vec<&Record> = transcript.records().filter(|record| record.meta.is_some()).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert!(transcript.logs(Level::Info).iter().all(|sentence| !sentence.contains("could not be written")));
}
