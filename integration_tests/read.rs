//! Full reads: all records and no others, whatever the vendor's documents leave open.

use std::collections::BTreeMap;

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, STREAMS, assert_same_records, catalog, config, config_with, fake, requests_by_route};
use crate::messages::{Level, Status, Transcript};

fn read_all(fake: &Fake) -> Transcript {
    Call::read(&config(fake), &catalog(&STREAMS, "full_refresh")).run().good(fake)
}

fn assert_is_the_truth(transcript: &Transcript, fake: &Fake) {
    let truth = fake.truth();
    for stream in STREAMS {
        let (records, count) = transcript.by_key(stream);
        assert_same_records(stream, &records, &truth.streams[stream]);
        assert_eq!(count, records.len(), "{stream}: a record came twice");
        assert!(count > 0, "{stream} is empty: the test proves nothing");
    }
}

#[test]
fn every_record_of_every_stream_is_the_truth() {
    for seed in 1..=4 {
        let fake = fake(seed);
        assert_is_the_truth(&read_all(&fake), &fake);
    }
}

#[test]
fn a_large_workspace_is_read_whole_with_few_requests() {
    let fake = Fake::start(Options { seed: 7, scale: Scale::Large, ..Options::default() });
    assert_is_the_truth(&read_all(&fake), &fake);
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
fn only_live_rooms_are_asked_for_their_peers() {
    let fake = fake(3);
    let transcript = Call::read(&config(&fake), &catalog(&["active_room_peers"], "full_refresh")).run().good(&fake);
    let sessions = &fake.truth().streams["sessions"];
    let live: std::collections::BTreeSet<_> = sessions
        .values()
        .filter(|session| session["active"] == true)
        .map(|session| session["room_id"].to_string())
        .collect();
    let asked = requests_by_route(&fake)["/v2/active-rooms/{room_id}/peers"].as_u64().unwrap();
    assert_eq!(asked, live.len() as u64);
    assert!(transcript.records().count() > 0);
}

#[test]
fn each_reading_of_the_documents_gives_the_truth() {
    for (name, readings) in Readings::alternatives() {
        eprintln!("reading: {name}");
        let fake = Fake::start(Options { seed: 11, readings, ..Options::default() });
        assert_is_the_truth(&read_all(&fake), &fake);
    }
}

#[test]
fn the_size_of_pages_changes_nothing() {
    for max_page in [10, 37] {
        let fake = Fake::start(Options {
            seed: 5,
            max_page,
            chunked: max_page == 37,
            gzip: max_page == 37,
            ..Options::default()
        });
        assert_is_the_truth(&read_all(&fake), &fake);
    }
}

#[test]
fn lists_in_an_undocumented_order_cost_duplicates_at_worst() {
    use fake_100ms::ListOrder::{OldestFirst, Shuffled};
    for order in [OldestFirst, Shuffled] {
        let readings = Readings { session_order: order, ..Readings::documented() };
        let fake = Fake::start(Options { seed: 12, readings, scale: busy(), ..Options::default() });
        let transcript = Call::read(&config(&fake), &catalog(&["sessions"], "full_refresh")).run().good(&fake);
        assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
    }
}

/// Enough sessions for windows to be cut.
fn busy() -> Scale {
    Scale::Custom(Counts { sessions: 3_000, ..Counts::default() })
}

#[test]
fn records_validate_against_the_discovered_schema() {
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
    for record in read_all(&fake).records() {
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
    for stream in STREAMS {
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
    let transcript = Call::read(&config, &catalog(&STREAMS, "full_refresh")).run().good(&fake);
    let truth = fake.truth_since(start_date);
    for stream in STREAMS {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[stream]);
    }
    let whole = fake.truth();
    assert!(truth.streams["sessions"].len() < whole.streams["sessions"].len());
}

#[test]
fn only_the_columns_of_the_catalog_are_written() {
    let fake = fake(9);
    let mut selected = catalog(&["rooms", "sessions"], "full_refresh");
    selected["streams"][0]["stream"]["json_schema"] = json!({"properties": {"name": {}, "id": {}, "unheard_of": {}}});
    let transcript = Call::read(&config(&fake), &selected).run().good(&fake);
    for room in transcript.records_of("rooms") {
        assert_eq!(room.data.keys().collect::<Vec<_>>(), ["id", "name", "unheard_of"]);
        assert_eq!(room.data["unheard_of"], Value::Null);
    }
    assert!(transcript.records_of("sessions").all(|session| session.data.len() == 13));
}

#[test]
fn a_field_the_api_adds_is_offered_but_never_pushed() {
    let fake = fake(10);
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::UnknownFields));
    let discovered = Call::discover(&config(&fake)).run().good(&fake);
    let rooms = &discovered.catalog().streams[1];
    let built_in: Vec<String> =
        serde_json::from_str::<Value>(include_str!("../schemas/rooms.json")).unwrap()["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
    let offered = rooms.json_schema["properties"].as_object().unwrap();
    let added: Vec<&String> = offered.keys().filter(|column| !built_in.contains(column)).collect();
    assert!(!added.is_empty(), "nothing new was offered");
    let pushed = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).run().good(&fake);
    assert!(pushed.records().all(|room| added.iter().all(|column| !room.data.contains_key(*column))));
    let mut chosen = catalog(&["rooms"], "full_refresh");
    chosen["streams"][0]["stream"]["json_schema"] = rooms.json_schema.clone();
    let pulled = Call::read(&config(&fake), &chosen).run().good(&fake);
    assert!(pulled.records().all(|room| added.iter().all(|column| !room.data[*column].is_null())), "{added:?}");
    assert_eq!(pulled.logs(Level::Warn), [""; 0], "a column that 100ms has is no typing error");
}

#[test]
fn recording_links_can_be_left_out() {
    let fake = fake(13);
    let config = config_with(&fake, json!({"recording_urls": "none"}));
    let transcript = Call::read(&config, &catalog(&["recordings"], "full_refresh")).run().good(&fake);
    assert!(transcript.records().all(|recording| recording.data["url"].is_null()));
    assert!(!requests_by_route(&fake).contains_key("/v2/recording-assets/{id}/presigned-url"));
}

#[test]
fn event_types_are_chosen_by_the_user() {
    let fake = fake(14);
    let config = config_with(&fake, json!({"analytics_event_types": ["client.join.failed", "track.add.success"]}));
    let transcript = Call::read(&config, &catalog(&["analytics_events"], "full_refresh")).run().good(&fake);
    let expected: BTreeMap<String, Value> = fake.truth().streams["analytics_events"]
        .iter()
        .filter(|(_, event)| event["type"] == "client.join.failed" || event["type"] == "track.add.success")
        .map(|(key, event)| (key.clone(), event.clone()))
        .collect();
    assert!(!expected.is_empty());
    assert_same_records("analytics_events", &transcript.by_key("analytics_events").0, &expected);
}

#[test]
fn no_planted_secret_is_printed() {
    let fake = fake(15);
    let config = config(&fake);
    let runs = [
        Call::check(&config).argument("--debug").run(),
        Call::discover(&config).argument("--debug").run(),
        Call::read(&config, &catalog(&STREAMS, "full_refresh")).argument("--debug").run(),
    ];
    let secrets = fake.secrets();
    assert!(secrets.len() > 20, "the fake has planted only {} secrets", secrets.len());
    for run in runs {
        let printed = String::from_utf8_lossy(&run.stdout).into_owned() + &run.stderr;
        for secret in &secrets {
            assert!(!printed.contains(secret.as_str()), "{} printed a secret", run.arguments[0]);
        }
    }
}

#[test]
fn a_pasted_token_works_at_its_former_place_too() {
    let fake = fake(16);
    let inner = json!({"credentials": {"auth_type": "management_token", "management_token": fake.token()}, "start_date": "2020-01-01T00:00:00Z", "api_url": fake.url()});
    let former = json!({"management_token": fake.token(), "start_date": "2020-01-01T00:00:00Z", "api_url": fake.url()});
    for config in [inner, former] {
        let transcript = Call::read(&config, &catalog(&["rooms"], "full_refresh")).run().good(&fake);
        assert_eq!(transcript.records().count(), fake.truth().streams["rooms"].len());
    }
}
