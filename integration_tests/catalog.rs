//! `--catalog`: odd but legal catalogs, selected columns, columns that 100ms has added.

use std::time::{Duration, Instant};

use fake_100ms::{Fake, Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, LONGEST_SENTENCE, Odd, assert_same_records, catalog, config, extra_streams, fake, flaws_of, item,
    offered_streams, plain_workspace, requests_by_route, streams_without_cursor,
};
use crate::messages::{FailureType, Level, Status, Transcript};

#[test]
fn a_stream_we_do_not_have_does_not_keep_the_others_from_being_read() {
    let fake = fake(2);
    let long = "chats".repeat(2_000);
    let mut flaws = Vec::new();
    for unknown in ["chat_messages", "Rooms", "rooms ", "room\ns", long.as_str()] {
        let catalog = catalog(&[unknown, "rooms"], "full_refresh");
        let finished = Call::read(&config(&fake), &catalog).run();
        let transcript = finished.transcript();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.report(&fake));
        assert!(finished.stderr.is_empty(), "{}", finished.stderr);
        assert_same_records("rooms", &transcript.by_key("rooms").0, &fake.truth().streams["rooms"]);
        assert_eq!(transcript.statuses_of("rooms").last(), Some(&Status::Complete));
        assert_eq!(transcript.statuses_of(unknown), [Status::Incomplete]);
        let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(&fake)) };
        assert_eq!(error.failure_type, FailureType::ConfigError);
        assert_eq!(error.stream_descriptor.as_ref().map(|stream| stream.name.as_str()), Some(unknown));
        let near = error.message.contains("did you mean `rooms`?");
        let names_all = offered_streams().iter().all(|ours| error.message.contains(&format!("`{ours}`")));
        assert!(if unknown.to_lowercase().starts_with("room") { near } else { names_all }, "{}", error.message);
        let shown: String = error.message.chars().take(LONGEST_SENTENCE).collect();
        flaws.extend(flaws_of(&error.message).into_iter().map(|flaw| format!("{flaw}: {shown:?}")));
    }
    assert_eq!(flaws, [""; 0]);
}

fn with_columns(stream: &str, columns: &[&str]) -> Value {
    let mut catalog = catalog(&[stream], "full_refresh");
    let properties = columns.iter().map(|column| ((*column).to_owned(), json!({"type": ["null", "string"]})));
    catalog["streams"][0]["stream"]["json_schema"] = json!({"properties": properties.collect::<Value>()});
    catalog
}

fn warnings(transcript: &Transcript) -> Vec<&str> {
    transcript.logs(Level::Warn)
}

#[test]
fn unknown_columns_make_no_request_and_are_named_in_the_end() {
    let fake = fake(61);
    let plain = Call::read(&config(&fake), &with_columns("rooms", &["id"])).run();
    plain.good(&fake);
    let usual = requests_by_route(&fake);
    fake.reset_requests();
    let run = Call::read(&config(&fake), &with_columns("rooms", &["id", "udpated_at", "brand_new"])).run();
    let transcript = run.good(&fake);
    assert_eq!(requests_by_route(&fake), usual, "no request more than without them");
    let [brand_new, misspelled] = warnings(&transcript)[..] else { panic!("{:?}", warnings(&transcript)) };
    assert!(brand_new.contains("`brand_new` of `rooms`") && brand_new.contains("`discover`"), "{brand_new}");
    assert!(misspelled.contains("`udpated_at`") && misspelled.contains("did you mean `updated_at`?"), "{misspelled}");
    assert!(transcript.records_of("rooms").all(|room| room.data["brand_new"].is_null()));
}

#[test]
fn a_column_that_100ms_has_added_is_no_reason_for_a_warning() {
    let fake = fake(62);
    let added = Fault::AddMember { key: "\"brandNew\"".to_owned(), json: "\"x\"".to_owned() };
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Nth(3), added));
    let run = Call::read(&config(&fake), &with_columns("rooms", &["id", "brand_new"])).run();
    let transcript = run.good(&fake);
    assert_eq!(warnings(&transcript), Vec::<&str>::new());
    assert!(transcript.records_of("rooms").any(|room| room.data["brand_new"] == "x"));
}

#[test]
fn nothing_is_held_up_by_an_unknown_column() {
    let fake = fake(63);
    // Whatever asks about templates is answered late.
    let late = Fault::Delay { milliseconds: 3_000, jitter: 0 };
    fake.set_faults(FaultPlan::new().on("/v2/templates", When::Always, late));
    let mut catalog = with_columns("templates", &["id", "brand_new"]);
    let rooms = crate::harness::catalog(&["rooms"], "full_refresh")["streams"][0].clone();
    catalog["streams"].as_array_mut().expect("streams").push(rooms);
    let began = Instant::now();
    let mut running = Call::read(&config(&fake), &catalog).variable("SOURCE_100MS_TIME_SCALE", "1").start();
    let mut lines = std::io::BufReader::new(running.child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    while !line.contains("\"RECORD\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut lines, &mut line).expect("stdout is readable") > 0, "no record came");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "the first room came after {:?}", began.elapsed());
    running.child.kill().expect("it can be killed");
    running.child.wait().expect("it ends");
}

#[test]
fn a_catalog_is_a_wish_too() {
    let fake = fake(4);
    let transcript = Call::read(&config(&fake), &catalog(&extra_streams(), "full_refresh")).run().good(&fake);
    for stream in extra_streams() {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
}

#[test]
fn odd_catalogs_work() {
    let entry = |keys: Value| {
        let mut catalog = catalog(&["rooms"], "full_refresh");
        for (key, value) in keys.as_object().expect("keys and values") {
            catalog["streams"][0][key] = value.clone();
        }
        catalog
    };
    let stream = |keys: Value| {
        let mut stream = json!({"name": "rooms"});
        stream.as_object_mut().expect("an object").extend(keys.as_object().expect("keys and values").clone());
        entry(json!({"stream": stream}))
    };
    let nulls = json!({
        "stream": {
            "name": "rooms", "json_schema": null, "supported_sync_modes": null, "source_defined_cursor": null,
            "default_cursor_field": null, "source_defined_primary_key": null, "namespace": null,
            "is_resumable": null, "is_file_based": null,
        },
        "cursor_field": null, "primary_key": null, "destination_sync_mode": null, "generation_id": null,
        "minimum_generation_id": null, "sync_id": null, "destination_object_name": null, "include_files": null,
    });
    let unknown = json!({
        "suggested": true, "destination_object_name": "x", "generation_id": 1, "minimum_generation_id": 1,
        "sync_id": 1, "new": {"a": []},
    });
    let cursor =
        json!({"sync_mode": "incremental", "cursor_field": ["name"], "primary_key": [["created_at"], ["name"]]});
    let mut beside = catalog(&["rooms"], "full_refresh");
    (beside["type"], beside["version"]) = (json!("CONFIGURED"), json!(0));
    for odd in [
        Odd::new("null for everything optional").catalog(entry(nulls)),
        Odd::new("unknown keys").catalog(entry(unknown)),
        Odd::new("unknown keys beside the streams").catalog(beside),
        Odd::new("cursor and key that are not ours").catalog(entry(cursor)),
        Odd::new("an empty cursor field").catalog(entry(json!({"sync_mode": "incremental", "cursor_field": []}))),
        Odd::new("no schema").catalog(stream(json!({}))),
        Odd::new("an empty schema").catalog(stream(json!({"json_schema": {}}))),
        Odd::new("a schema without columns")
            .catalog(stream(json!({"json_schema": {"type": "object", "properties": {}}}))),
        Odd::new("properties null").catalog(stream(json!({"json_schema": {"properties": null}}))),
        Odd::new("namespace null").catalog(stream(json!({"namespace": null}))),
        Odd::new("no stream at all").catalog(json!({"streams": []})),
        Odd::new("incremental where there is no cursor").catalog(catalog(&streams_without_cursor(), "incremental")),
        Odd::new("incremental everywhere").catalog(catalog(&offered_streams(), "incremental")),
    ] {
        odd.run();
    }
    for mode in ["append", "overwrite", "append_dedup", "overwrite_dedup", "update", "soft_delete"] {
        Odd::new("a destination's mode").catalog(entry(json!({"destination_sync_mode": mode}))).run();
    }
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

/// The columns of `rooms` on offer that are not built in, with their types.
fn added(fake: &Fake) -> Vec<(String, Value)> {
    let discovered = Call::discover(&config(fake)).run().good(fake);
    let rooms = discovered.catalog().streams.iter().find(|stream| stream.name == "rooms").expect("rooms");
    let properties = rooms.json_schema["properties"].as_object().expect("properties");
    let added = properties.iter().filter(|(name, _)| name.starts_with("new_"));
    added.map(|(name, schema)| (name.clone(), schema["type"].clone())).collect()
}

fn adds(members: &[(&str, &str)]) -> FaultPlan {
    let add = |plan: FaultPlan, (key, json): &(&str, &str)| {
        let member = Fault::AddMember { key: format!("\"{key}\""), json: (*json).to_owned() };
        plan.on("/v2/rooms", When::Always, member)
    };
    members.iter().fold(FaultPlan::new(), add)
}

#[test]
fn the_type_of_an_added_column_does_not_hang_on_the_sample() {
    let fake = plain_workspace(76);
    for value in ["7", "7.5", "true", "\"seven\""] {
        fake.set_faults(adds(&[("newValue", value)]));
        assert_eq!(added(&fake), [("new_value".to_owned(), json!(["null", "string"]))], "{value}");
    }
    fake.set_faults(adds(&[("newObject", "{\"a\":1}"), ("newList", "[1]"), ("newNull", "null")]));
    let (object, list) = (json!(["null", "object"]), json!(["null", "array"]));
    assert_eq!(added(&fake), [("new_list".to_owned(), list), ("new_object".to_owned(), object)]);
    // The first page holds rooms that are switched on; the others follow.
    let mixed =
        [item("665f00000000000000000002", ",\"newValue\":{}"), item("665f00000000000000000001", ",\"newValue\":[]")]
            .join(",");
    let page = format!(r#"{{"limit":100,"data":[{mixed}],"last":""}}"#);
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::Says(page)));
    assert_eq!(added(&fake), [("new_value".to_owned(), json!(["null", "string"]))]);
}

#[test]
fn an_added_column_is_written_as_the_catalog_has_it() {
    let fake = plain_workspace(77);
    let read = |schema: Value, value: &str| {
        fake.set_faults(adds(&[("newValue", value)]));
        let mut catalog = catalog(&["rooms"], "full_refresh");
        catalog["streams"][0]["stream"]["json_schema"] =
            json!({"properties": {"id": {"type": "string"}, "new_value": schema}});
        let transcript = Call::read(&config(&fake), &catalog).run().good(&fake);
        let values: Vec<Value> = transcript.records().map(|record| record.data["new_value"].clone()).collect();
        assert!(values.len() > 10 && values.iter().all(|value| *value == values[0]), "{values:?}");
        values[0].clone()
    };
    let string = || json!({"type": ["null", "string"]});
    for (value, text) in [("7", "7"), ("7.50", "7.50"), ("true", "true"), ("\"seven\"", "seven")] {
        assert_eq!(read(string(), value), text, "{value}");
    }
    // A catalog of an earlier version, and one that a person wrote.
    assert_eq!(read(json!({"type": ["null", "number"]}), "7"), 7);
    assert_eq!(read(json!({"type": ["null", "boolean"]}), "\"true\""), true);
    assert_eq!(read(json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), "7"), "7");
    assert_eq!(read(json!({"type": ["null", "number"]}), "\"gone\""), Value::Null);
}
