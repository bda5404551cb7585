//! Values that cannot be written as they came.

use fake_100ms::{BAD_BYTE, Fake, Fault, FaultPlan, Options, When};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config, first_read, item, plain_workspace, workspace_of_many_pages};
use crate::messages::{Change, Level, Record, Status, Transcript};

/// A fake that answers `route` with a page of these items, and is read.
fn read_page(route: &str, stream: &str, items: &[String]) -> (Fake, Transcript) {
    let fake = plain_workspace(71);
    let page = format!(r#"{{"limit":100,"data":[{}],"last":""}}"#, items.join(","));
    fake.set_faults(FaultPlan::new().on(route, When::Nth(1), Fault::Says(page)).on(
        route,
        When::After(1),
        Fault::Says(r#"{"limit":100,"data":[]}"#.to_owned()),
    ));
    let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().good(&fake);
    (fake, transcript)
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
    let fake = plain_workspace(72);
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
        let fake = plain_workspace(74);
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
        let fake = plain_workspace(75);
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

/// Sets a member of this list's items to a JSON text, and reads the stream.
fn with_member(route: &str, stream: &str, key: &str, json: &str) -> (Vec<u8>, Transcript) {
    let fake = workspace_of_many_pages(Options { seed: 62, gzip: false, ..Options::default() });
    fake.set_faults(FaultPlan::new().on(
        route,
        When::Always,
        Fault::SetMember { key: key.to_owned(), json: json.to_owned() },
    ));
    let run = first_read(&fake, &[stream]).run();
    let transcript = run.good(&fake);
    assert!(transcript.records().count() > 0, "{stream}: nothing was read");
    (run.stdout, transcript)
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn texts_that_readers_drop_are_mended() {
    for (route, stream, key, column) in [
        ("/v2/rooms", "rooms", "name", "name"),
        ("/v2/rooms", "rooms", "description", "description"),
        ("/v2/sessions", "sessions", "name", "peers"),
        ("/v2/templates", "templates", "region", "settings"),
        ("/v2/analytics/events", "analytics_events", "user_name", "data"),
        ("/v2/recording-assets", "recordings", "path", "recording_assets"),
    ] {
        for json in [r#""a\ud800b""#, r#""a\udc00b""#, r#""\ud83d""#, r#""a\u0000b""#, r#""\uD800\u0041""#] {
            let (stdout, transcript) = with_member(route, stream, key, json);
            let mended = transcript.records().filter(|record| {
                let text = record.data[column].to_string();
                text.contains('\u{fffd}') && !text.contains("\\u0000")
            });
            assert!(mended.count() > 0, "{stream}.{column}: {json} is not mended");
            for bad in ["\\ud8", "\\uD8", "\\udc00", "\\u0000"] {
                assert!(!holds(&stdout, bad), "{stream}.{column}: {bad} came out for {json}");
            }
        }
    }
}

#[test]
fn keys_that_readers_drop_are_mended_and_new_fields_of_entries_passed_on() {
    let fake = workspace_of_many_pages(Options { seed: 63, ..Options::default() });
    let key = Fault::AddMember { key: r#""bad\ud800key""#.to_owned(), json: "7".to_owned() };
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, key));
    let run = first_read(&fake, &["sessions"]).run();
    let transcript = run.good(&fake);
    assert!(!holds(&run.stdout, "\\ud800"));
    let peers = transcript.records().filter_map(|record| record.data["peers"].as_array()).flatten();
    let passed_on = peers.filter(|peer| peer["bad\u{fffd}key"] == 7).count();
    let peer = || transcript.records().find_map(|record| record.data["peers"].as_array()?.first().cloned());
    assert!(passed_on > 50, "{passed_on} peers have it, but {:?}", peer());
}

#[test]
fn values_of_another_type_fit_their_columns() {
    let value = |route: &str, stream: &str, key: &str, json: &str, column: &str| {
        let (stdout, transcript) = with_member(route, stream, key, json);
        assert!(!holds(&stdout, "1e400"), "{stream}.{column} of {json}");
        // Not every item has every member.
        let mut values = transcript.records().map(|record| record.data[column].clone());
        values.find(|value| !value.is_null()).unwrap_or_default()
    };
    let rooms = |key: &str, json: &str| value("/v2/rooms", "rooms", key, json, key);
    assert_eq!(rooms("large_room", r#""true""#), json!(true));
    assert_eq!(rooms("large_room", r#""false""#), json!(false));
    assert_eq!(rooms("description", "true"), json!("true"));
    assert_eq!(rooms("description", "12.50"), json!("12.50"));
    assert!(!rooms("size", "1e400").is_string());
    assert_eq!(rooms("size", r#""12""#).as_f64(), Some(12.0));
    assert_eq!(value("/v2/templates", "templates", "id", "42", "id"), json!("42"));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let plugins = value("/v2/templates", "templates", "plugins", &deep, "plugins");
    assert!(depth(&plugins) <= 128, "nested too deep for readers: {plugins}");
    assert!(plugins.to_string().contains("[[1]]"), "what is nested too deep is lost: {plugins}");
    let active = value("/v2/sessions?active=true", "sessions", "active", r#""true""#, "active");
    assert_eq!(active, json!(true));
}

/// How many brackets of any kind surround the innermost value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
