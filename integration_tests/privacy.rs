//! Personal data: kept, hashed or dropped.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use fake_100ms::{Fake, Fault, FaultPlan, Options, When};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use source_100ms::streams::{self, PersonalPlace};

use crate::harness::{
    Call, Finished, SALT, assert_same_records, catalog, config, config_with, every_stream, fake, settings,
};
use crate::messages::{CheckStatus, Level, Transcript};
use crate::platform::Connection;

fn read(fake: &Fake, choice: &str) -> Finished {
    Call::read(&settings(fake, choice), &catalog(&every_stream(), "full_refresh")).argument("--debug").run()
}

/// HMAC-SHA-256 in hexadecimal, by another library.
fn hash(text: &str) -> String {
    let signature =
        jsonwebtoken::crypto::sign(text.as_bytes(), &EncodingKey::from_secret(SALT.as_bytes()), Algorithm::HS256);
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature.unwrap()).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hidden(choice: &str, value: &Value) -> Value {
    match (choice, value) {
        ("hash", Value::String(text)) if !text.is_empty() => hash(text).into(),
        ("hash", Value::Array(items)) => items.iter().map(|item| hidden(choice, item)).collect(),
        ("hash", value) => value.clone(),
        _ => Value::Null,
    }
}

/// Calls `change` with each value at `path`; what stands in a list is looked at item by item.
fn at_path(value: &mut Value, path: &str, change: &mut dyn FnMut(&mut Value)) {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| at_path(item, path, change)),
        Value::Object(object) => {
            let members = object.iter_mut().filter(|(name, _)| key == "*" || *name == key);
            members.for_each(|(_, member)| match rest {
                Some(rest) => at_path(member, rest, change),
                None => change(member),
            });
        }
        _ => {}
    }
}

/// The truth, with what is personal hidden.
fn expected(fake: &Fake, choice: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut streams = fake.truth().streams;
    for (stream, records) in &mut streams {
        for record in records.values_mut() {
            for path in &fake_100ms::stream(stream).personal {
                at_path(record, path, &mut |value| *value = hidden(choice, value));
            }
        }
    }
    streams
}

/// Every personal text of the workspace.
fn people(fake: &Fake) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (stream, records) in &mut fake.truth().streams {
        for record in records.values_mut() {
            for path in &fake_100ms::stream(stream).personal {
                at_path(record, path, &mut |value| {
                    let texts = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                    found.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned));
                });
            }
        }
    }
    found
}

fn texts_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_in).collect(),
        Value::Object(object) => {
            object.iter().flat_map(|(key, value)| std::iter::once(key.as_str()).chain(texts_in(value))).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_is_personal_is_hidden_and_nothing_else_changes() {
    for choice in ["hash", "drop"] {
        let fake = fake(201);
        let transcript = read(&fake, choice).good(&fake);
        let expected = expected(&fake, choice);
        for stream in every_stream() {
            assert_same_records(stream, &transcript.by_key(stream).0, &expected[stream]);
            assert!(!expected[stream].is_empty(), "{stream} is empty: the test proves nothing");
        }
    }
}

#[test]
fn nothing_of_a_person_comes_out_anywhere() {
    let fake = fake(202);
    let people = people(&fake);
    assert!(people.len() > 500, "only {} texts are personal", people.len());
    for choice in ["hash", "drop"] {
        let run = read(&fake, choice);
        let transcript = run.good(&fake);
        for record in transcript.records() {
            // Names of templates and destinations are chosen by developers; here they come from the same list of words.
            let is_of_developers = record.stream.starts_with("template");
            for text in record.data.values().flat_map(texts_in) {
                let is_told = people.contains(text) && !text.is_empty();
                assert!(!is_told || is_of_developers, "{choice}: {} holds {text:?}", record.stream);
            }
        }
        let output = String::from_utf8(run.stdout).unwrap();
        for user in people.iter().filter(|text| text.starts_with("user-") || text.starts_with("{\"")) {
            let written = serde_json::to_string(user).unwrap();
            assert!(!output.contains(&written), "{choice}: {user}");
        }
        assert!(!output.contains("isHandRaised"), "{choice}");
        // In a sentence a text stands without its quotes. Short ones may be ordinary words.
        let told =
            output.lines().filter(|line| !line.starts_with(r#"{"type":"RECORD","#)).collect::<Vec<_>>().join("\n");
        for text in people.iter().filter(|text| text.len() >= 9) {
            let written = serde_json::to_string(text).unwrap();
            assert!(!told.contains(written.trim_matches('"')), "{choice}: a message says {written}");
        }
    }
}

#[test]
fn fields_that_100ms_adds_later_are_hidden_by_their_names() {
    let fake = fake(203);
    let person =
        r#"{"email":"PLANTED-1","deep":[{"userName":"PLANTED-2","n":1}],"text":"{\"user_id\":\"PLANTED-3\"}"}"#;
    for (key, json) in [("newField", person), ("displayName", "\"PLANTED-4\""), ("userInfo", person)] {
        let added = Fault::AddMember { key: format!("\"{key}\""), json: json.to_owned() };
        fake.set_faults(FaultPlan::new().on("*", When::Always, added));
        let found = Call::discover(&config(&fake)).run();
        // A destination is an object of its own, under a key that its developer has chosen.
        let streams = found.transcript().catalog().streams.clone();
        assert!(streams[0].json_schema.to_string().contains(&key.to_lowercase()[..3]), "{key} is not offered");
        let entries = streams.iter().map(|stream| {
            json!({"stream": {"name": stream.name, "json_schema": stream.json_schema}, "sync_mode": "full_refresh",
                "destination_sync_mode": "overwrite"})
        });
        let catalog = json!({"streams": entries.collect::<Vec<_>>()});
        let planted = |choice: &str| {
            let run = Call::read(&settings(&fake, choice), &catalog).run();
            let text = String::from_utf8(run.stdout).unwrap();
            assert!(text.contains("\"RECORD\""), "{key}: nothing was read");
            let lines = text.lines().filter(|line| !line.contains("\"templates_destinations\""));
            lines.map(|line| line.matches("PLANTED").count()).sum::<usize>()
        };
        assert!(planted("keep") > 100, "{key} is not there when it is kept");
        assert_eq!((planted("hash"), planted("drop")), (0, 0), "{key}");
    }
}

/// The ids of users in a column, none of them null.
fn users(transcript: &Transcript, stream: &str, path: &str) -> BTreeSet<String> {
    let mut users = BTreeSet::new();
    for record in transcript.records_of(stream) {
        at_path(&mut Value::Object(record.data.clone()), path, &mut |value| {
            users.extend(value.as_str().map(str::to_owned));
        });
    }
    users
}

#[test]
fn what_stands_instead_fits_the_type_of_an_added_column() {
    let fake = fake(209);
    let added = [("userInfo", r#"{"a":1}"#), ("displayName", "\"Ada\""), ("peerData", "[\"Ada\"]"), ("uid", "12")];
    let rules = added.map(|(key, json)| Fault::AddMember { key: format!("\"{key}\""), json: json.to_owned() });
    let plan = rules.into_iter().fold(FaultPlan::new(), |plan, rule| plan.on("/v2/rooms", When::Always, rule));
    fake.set_faults(plan);
    let found = Call::discover(&config(&fake)).run();
    let transcript = found.transcript();
    let rooms = transcript.catalog().streams.iter().find(|stream| stream.name == "rooms").unwrap();
    let validator = jsonschema::draft7::new(&rooms.json_schema).unwrap();
    let catalog = json!({"streams": [{"stream": {"name": "rooms", "json_schema": rooms.json_schema},
        "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]});
    let hashed = json!([{"value": hash(r#"{"a":1}"#)}, hash("Ada"), [hash("Ada")], hash("12")]);
    for (choice, expected) in [("hash", hashed), ("drop", json!([null, null, null, null]))] {
        let transcript = Call::read(&settings(&fake, choice), &catalog).run().good(&fake);
        assert!(transcript.records().count() > 0);
        for record in transcript.records() {
            let columns = ["user_info", "display_name", "peer_data", "uid"].map(|column| &record.data[column]);
            assert_eq!(json!(columns), expected, "{choice}");
            assert!(validator.is_valid(&Value::Object(record.data.clone())), "{choice}");
        }
    }
}

#[test]
fn hashes_join_across_streams_and_syncs() {
    let fake = fake(201);
    let mut connection = Connection::of(&fake, &every_stream());
    connection.config = settings(&fake, "hash");
    let first = connection.sync();
    let in_sessions = users(&first, "sessions", "peers.user_id");
    assert!(in_sessions.len() > 100 && in_sessions.iter().all(|user| user.len() == 64), "{in_sessions:?}");
    for (stream, path) in [
        ("active_room_peers", "user_id"),
        ("analytics_events", "user_id"),
        ("analytics_events", "data.user_id"),
        ("webhook_events", "user_id"),
    ] {
        let here = users(&first, stream, path);
        assert!(!here.is_empty() && here.is_subset(&in_sessions), "{stream}.{path} does not join");
    }
    fake.advance();
    let again = users(&connection.sync(), "sessions", "peers.user_id");
    assert!(again.intersection(&in_sessions).count() > 0, "no person came back with the same hash");
    let other = config_with(&fake, json!({"personal_data": "hash", "personal_data_salt": "another-salt-0123456789"}));
    let other = Call::read(&other, &catalog(&["sessions"], "full_refresh")).run().good(&fake);
    assert!(users(&other, "sessions", "peers.user_id").is_disjoint(&in_sessions), "the salt makes no difference");
}

#[test]
fn what_has_been_written_is_not_written_again_whatever_is_chosen() {
    for choice in ["hash", "drop"] {
        let fake = fake(205);
        let mut connection = Connection::new(&fake);
        connection.config = settings(&fake, choice);
        connection.sync();
        let again = connection.sync();
        for stream in ["sessions", "rooms", "templates", "recordings"] {
            assert_eq!(again.records_of(stream).count(), 0, "{choice}: {stream}");
        }
    }
}

#[test]
fn keeping_is_what_happens_without_a_choice() {
    let fake = Fake::start(Options { seed: 206, ..Options::default() });
    let lines = |config: &Value| {
        let run = Call::read(config, &catalog(&every_stream(), "full_refresh")).run();
        run.good(&fake);
        let text = String::from_utf8(run.stdout).unwrap();
        let records =
            text.lines().filter_map(|line| line.split_once(",\"emitted_at\"")).map(|(data, _)| data.to_owned());
        records.filter(|data| data.contains("\"RECORD\"")).collect::<BTreeSet<_>>()
    };
    let kept = lines(&settings(&fake, "keep"));
    assert!(kept == lines(&config(&fake)) && kept.len() > 1000);
}

/// What the table of fields of a stream calls personal data, and what it says has some inside.
fn documented(stream: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/100ms.md")).unwrap();
    // Broadcasts have the columns of recordings.
    let titles = match stream {
        "live_streams" | "external_streams" => vec!["recordings", "live_streams and external_streams"],
        stream => vec![stream],
    };
    let (mut personal, mut people) = (BTreeSet::new(), BTreeSet::new());
    for title in titles {
        let (_, section) = page.split_once(&format!("\n### {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
        let section = section.split("\n#").next().unwrap();
        for cells in section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")) {
            let (column, what) = cells.split_once('`').unwrap();
            if what.ends_with("; personal data") {
                personal.insert(column.to_owned());
            }
            if what.ends_with("; personal data inside") {
                people.insert(column.to_owned());
            }
        }
    }
    (personal, people)
}

#[test]
fn the_tables_of_fields_say_which_columns_are_personal() {
    for stream in streams::every() {
        let columns = |personal: PersonalPlace| {
            let columns = stream.table.columns.iter().filter(|column| column.personal == personal);
            columns.map(|column| column.name.to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(
            documented(stream.name),
            (columns(PersonalPlace::Personal), columns(PersonalPlace::People)),
            "{}",
            stream.name
        );
    }
}

#[test]
fn a_salt_that_nothing_uses_gets_a_warning() {
    let fake = fake(208);
    let run = Call::check(&config_with(&fake, json!({"personal_data_salt": SALT}))).run();
    let transcript = run.good(&fake);
    assert_eq!(transcript.connection_status().unwrap().status, CheckStatus::Succeeded);
    let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{}", run.report(&fake)) };
    assert!(warning.contains("`personal_data_salt` has no effect"), "{warning}");
}
