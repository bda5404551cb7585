//! Values that cannot be written as they came: what stands instead, and where it is told. And columns that 100ms has
//! added.

use fake_100ms::{BAD_BYTE, Counts, Fake, Fault, FaultPlan, Options, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config};
use crate::messages::{Change, Level, Record, Status, Transcript};

/// A small workspace.
fn workspace(seed: u64) -> Fake {
    let counts = Counts {
        rooms: 15,
        sessions: 30,
        templates: 5,
        recordings: 40,
        events_per_room: 4,
        live_streams: 10,
        external_streams: 10,
        webhook_events: 40,
        peers_with_stats: 20,
        ..Counts::default()
    };
    Fake::start(Options { seed, gzip: false, scale: Scale::Custom(counts), ..Options::default() })
}

/// A fake that answers `route` with a page of these items, and is read.
fn read_page(route: &str, stream: &str, items: &[String]) -> (Fake, Transcript) {
    let fake = workspace(71);
    let page = format!(r#"{{"limit":100,"data":[{}],"last":""}}"#, items.join(","));
    fake.set_faults(FaultPlan::new().on(route, When::Nth(1), Fault::Says(page)).on(
        route,
        When::After(1),
        Fault::Says(r#"{"limit":100,"data":[]}"#.to_owned()),
    ));
    let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().good(&fake);
    (fake, transcript)
}

fn item(id: &str, members: &str) -> String {
    format!(r#"{{"id":"{id}","created_at":"2025-06-01T10:00:00Z","updated_at":"2025-06-01T11:00:00Z"{members}}}"#)
}

fn record<'t>(transcript: &'t Transcript, id: &str) -> &'t Record {
    transcript.records().find(|record| record.data["id"] == id).expect("the record is there")
}

/// The line that a stream ends with.
fn closing_sentence<'t>(transcript: &'t Transcript, stream: &str) -> &'t str {
    let begins = format!("Read `{stream}`: ");
    let sentences = transcript.logs(Level::Info);
    sentences.into_iter().rfind(|sentence| sentence.starts_with(&begins)).expect("a closing sentence")
}

#[test]
fn what_does_not_fit_its_column_is_named_with_its_record() {
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let odd = [
        r#","size":"many","enabled":7,"large_room":"True","max_duration_seconds":[1],"region":12"#,
        r#","name":{"a":1},"description":"half \ud83d of a letter","key":"\u0000""#,
        &format!(r#","recording_info":{{"deep":{deep}}},"webhook":{{"n":1e400}},"polls":["a",{{"b":1}}]"#),
    ];
    let plain = r#","size":20,"enabled":"true","name":"plain","description":null,"recording_info":{"enabled":true}"#;
    let items = [item("odd", &odd.concat()), item("plain", plain), item("none", r#","size":null,"name":"""#)];
    let (_, transcript) = read_page("/v2/rooms", "rooms", &items);
    for good in ["plain", "none"] {
        assert_eq!(record(&transcript, good).changes(), [], "{good}");
    }
    let (nulled, truncated) = (Change::Nulled, Change::Truncated);
    assert_eq!(
        record(&transcript, "odd").changes(),
        [
            ("name", truncated),
            ("enabled", nulled),
            ("description", truncated),
            ("recording_info", truncated),
            ("key", truncated),
            ("size", nulled),
            ("max_duration_seconds", nulled),
            ("polls", truncated),
            ("webhook", truncated),
        ]
    );
    let sentence = closing_sentence(&transcript, "rooms");
    assert!(
        sentence.contains("9 values could not be written as they came") && sentence.contains("1 of `size`"),
        "{sentence}"
    );
}

#[test]
fn what_does_not_fit_inside_a_column_is_named_with_the_column() {
    let fake = workspace(72);
    let odd = Fault::SetMember { key: "size".to_owned(), json: "\"unknown\"".to_owned() };
    fake.set_faults(FaultPlan::new().on("/v2/recording-assets", When::Always, odd));
    let transcript = Call::read(&config(&fake), &catalog(&["recordings"], "full_refresh")).run().good(&fake);
    let mut named = 0;
    for record in transcript.records() {
        let changes = record.changes();
        let has_files = record.data["recording_assets"].as_array().is_some_and(|files| !files.is_empty());
        let is_named = changes.contains(&("recording_assets", Change::Truncated));
        // Some files have no size at all.
        assert!(has_files || !is_named, "{record:?}");
        named += usize::from(is_named);
    }
    assert!(named > 10, "{named}");
    let of_primary = transcript.records().filter(|record| record.changes().contains(&("size", Change::Nulled)));
    assert!(of_primary.count() > 5);
}

#[test]
fn good_answers_have_no_changes() {
    let fake = workspace(73);
    let config = crate::harness::config_with(&fake, json!({"extra_streams": crate::harness::EXTRA}));
    let streams = crate::harness::every_stream();
    let transcript = Call::read(&config, &catalog(&streams, "full_refresh")).run().good(&fake);
    let changed: Vec<&Record> = transcript.records().filter(|record| record.meta.is_some()).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert!(transcript.logs(Level::Info).iter().all(|sentence| !sentence.contains("could not be written")));
}

#[test]
fn bytes_that_are_not_utf_8_become_a_letter_and_are_named() {
    let odd = format!(r#","name":"M{BAD_BYTE}ller","recording_info":{{"a{BAD_BYTE}":["{BAD_BYTE}"]}}"#);
    let items = [item("odd", &odd), item("plain", ",\"name\":\"as 100ms \u{fffd} has it\"")];
    let (_, transcript) = read_page("/v2/rooms", "rooms", &items);
    let odd = record(&transcript, "odd");
    assert_eq!(odd.data["name"], "M\u{fffd}ller");
    assert_eq!(odd.data["recording_info"], json!({"a\u{fffd}": ["\u{fffd}"]}));
    assert_eq!(odd.changes(), [("name", Change::Truncated), ("recording_info", Change::Truncated)]);
    let plain = record(&transcript, "plain");
    assert_eq!((plain.data["name"].as_str(), plain.changes()), (Some("as 100ms \u{fffd} has it"), vec![]));
    let sentence = closing_sentence(&transcript, "rooms");
    assert!(sentence.contains("2 values could not be written as they came (1 of `name`, 1 of"), "{sentence}");
}

#[test]
fn bytes_that_are_not_utf_8_are_named_in_every_kind_of_text() {
    for (route, stream, key, column) in [
        ("/v2/sessions", "sessions", "name", "peers"),
        ("/v2/templates", "templates", "region", "settings"),
        ("/v2/templates", "template_settings", "name", "template_name"),
        ("/v2/templates/{id}/destinations", "templates_destinations", "name", "name"),
        ("/v2/active-rooms/{room_id}/peers", "active_room_peers", "metadata", "metadata"),
        ("/v2/analytics/events", "analytics_events", "user_name", "data"),
        ("/v2/recording-assets", "recordings", "path", "recording_assets"),
    ] {
        let fake = workspace(74);
        let bad = Fault::SetMember { key: key.to_owned(), json: format!("\"a{BAD_BYTE}b\"") };
        fake.set_faults(FaultPlan::new().on(route, When::Always, bad));
        let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().good(&fake);
        let bad: Vec<&Record> =
            transcript.records().filter(|record| record.data[column].to_string().contains('\u{fffd}')).collect();
        assert!(!bad.is_empty(), "{stream}.{column}");
        for record in bad {
            assert!(record.changes().contains(&(column, Change::Truncated)), "{stream}.{column}: {record:?}");
        }
    }
}

#[test]
fn an_id_or_a_token_that_is_not_utf_8_ends_the_stream() {
    let read = |page: String| {
        let fake = workspace(75);
        fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::Says(page)));
        let finished = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).run();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.report(&fake));
        let transcript = finished.transcript();
        assert_eq!(transcript.statuses_of("rooms").last(), Some(&Status::Incomplete));
        transcript.errors()[0].message.clone()
    };
    let id = format!(r#"{{"limit":100,"data":[{}]}}"#, item(&format!("a{BAD_BYTE}b"), ""));
    let error = read(id);
    assert!(error.contains("`id`") && error.contains("UTF-8"), "{error}");
    let token = format!(r#"{{"limit":1,"data":[{}],"last":"a{BAD_BYTE}b"}}"#, item("a", ""));
    let error = read(token);
    assert!(error.contains("UTF-8"), "{error}");
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
    let fake = workspace(76);
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
    let fake = workspace(77);
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
