//! Odd but legal input: each must work, and read exactly what it asks for.
//!
//! One fake serves all rows. A row says what is odd, which records must come, and of what it is right to
//! warn; a warning that no row expects fails too.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{Call, Finished, INCREMENTAL, STREAMS, assert_same_records, catalog, config, config_with, fake};
use crate::messages::{Level, Status, Transcript};

/// The streams that are read whole each time.
const WITHOUT_CURSOR: [&str; 3] = ["active_room_peers", "template_settings", "templates_destinations"];
const FUTURE: &str = "2999-01-01T00:00:00.000000Z";

static FAKE: LazyLock<Fake> = LazyLock::new(|| fake(31));

/// Which records must come of every configured stream.
#[derive(Clone, Copy)]
enum Expected {
    All,
    /// Those whose cursor is at or after this.
    Since(DateTime<Utc>),
    Nothing,
}

/// One odd input, everything else being as usual: `rooms`, full refresh, no state.
struct Odd {
    name: &'static str,
    config: Value,
    catalog: Value,
    state: Option<String>,
    expected: Expected,
    /// A part of each warning, in order.
    warnings: Vec<&'static str>,
}

impl Odd {
    fn new(name: &'static str) -> Odd {
        let catalog = catalog(&["rooms"], "full_refresh");
        Odd { name, config: config(&FAKE), catalog, state: None, expected: Expected::All, warnings: Vec::new() }
    }

    fn config(self, config: Value) -> Odd {
        Odd { config, ..self }
    }

    fn catalog(self, catalog: Value) -> Odd {
        Odd { catalog, ..self }
    }

    /// The content of the state file, for an incremental read of `rooms`.
    fn state(self, state: impl ToString) -> Odd {
        Odd { state: Some(state.to_string()), catalog: catalog(&["rooms"], "incremental"), ..self }
    }

    fn gives(self, expected: Expected) -> Odd {
        Odd { expected, ..self }
    }

    fn warns(mut self, warning: &'static str) -> Odd {
        self.warnings.push(warning);
        self
    }

    /// Runs it and checks all that the row promises.
    fn run(self) -> Transcript {
        let mut call = Call::read(&self.config, &self.catalog);
        if let Some(state) = &self.state {
            call = call.text("state", state.as_bytes());
        }
        let finished = call.run();
        assert!(finished.status.success(), "{}: {}", self.name, finished.report(&FAKE));
        let transcript = finished.good(&FAKE);
        self.assert_read(&transcript);
        let warnings = transcript.logs(Level::Warn);
        let is_expected = warnings.len() == self.warnings.len()
            && warnings.iter().zip(&self.warnings).all(|(warning, part)| warning.contains(part));
        assert!(is_expected, "{}: warnings {warnings:#?} instead of {:#?}", self.name, self.warnings);
        transcript
    }

    fn assert_read(&self, transcript: &Transcript) {
        let truth = match self.expected {
            Expected::All => FAKE.truth(),
            Expected::Since(cursor) => FAKE.truth_since(cursor),
            Expected::Nothing => fake_100ms::Truth::default(),
        };
        let nothing = Default::default();
        for entry in self.catalog["streams"].as_array().expect("a list of streams") {
            let stream = entry["stream"]["name"].as_str().expect("a name");
            let expected = truth.streams.get(stream).unwrap_or(&nothing);
            let named = format!("{}: {stream}", self.name);
            assert_same_records(&named, &transcript.by_key(stream).0, expected);
            assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Complete), "{named}");
            assert!(transcript.states_of(stream).count() > 0, "{named}: no state");
            if let Expected::Since(_) = self.expected {
                let all = FAKE.truth().streams[stream].len();
                assert!((1..all).contains(&expected.len()), "{named}: the cursor parts nothing from nothing");
            }
        }
    }
}

/// `config` with the credentials changed.
fn with_credentials(credentials: Value) -> Value {
    config_with(&FAKE, json!({"credentials": credentials}))
}

#[test]
fn odd_configurations_work() {
    let (key, secret, url) = (FAKE.access_key(), FAKE.app_secret(), FAKE.url());
    let nulls = json!({
        "credentials": {"auth_type": null, "app_access_key": key, "app_secret": secret, "management_token": null},
        "analytics_rooms": null, "analytics_event_types": null, "recording_urls": null, "num_workers": null,
        "management_token": null,
    });
    let unknown = json!({
        "_limit": 1, "_page_size": {"a": [null]}, "__injected_manifest": {}, "streams": 5, "Beginning": "never",
        "credentials": {"app_access_key": key, "app_secret": secret, "refresh_token": 5, "_": null},
    });
    let blanks = json!({
        "credentials": {"app_access_key": format!(" {key}\n"), "app_secret": format!("\t{secret}\r\n")},
        "start_date": " 2018-01-01T00:00:00Z ", "api_url": format!(" {url}\n"),
    });
    let token = format!("{}\n", FAKE.token());
    let former = json!({"management_token": token, "start_date": "2018-01-01T00:00:00Z", "api_url": url});
    let one_with = |keys: Value| config_with(&FAKE, keys);
    for odd in [
        Odd::new("null for everything optional").config(one_with(nulls)),
        Odd::new("an empty list of event types").config(one_with(json!({"analytics_event_types": []}))),
        Odd::new("unknown keys and keys that begin with _").config(one_with(unknown)),
        Odd::new("blanks around all that was pasted").config(one_with(blanks)),
        Odd::new("no auth_type, app credentials")
            .config(with_credentials(json!({"app_access_key": key, "app_secret": secret}))),
        Odd::new("no auth_type, a token")
            .config(with_credentials(json!({"management_token": FAKE.token()})))
            .warns("expires"),
        Odd::new("a token at its former place").config(former).warns("expires"),
        Odd::new("a bad token at its former place, but credentials win")
            .config(one_with(json!({"management_token": "not.a.token"}))),
        Odd::new("a whole number of workers as a fraction").config(one_with(json!({"num_workers": 10.0}))),
        Odd::new("one worker").config(one_with(json!({"num_workers": 1}))),
        Odd::new("all the workers there can be").config(one_with(json!({"num_workers": 50}))),
        Odd::new("a URL with a slash at its end").config(one_with(json!({"api_url": format!("{url}/")}))),
        Odd::new("a URL in capitals").config(one_with(json!({"api_url": url.replace("http", "HTTP")}))),
        Odd::new("a URL with a name").config(one_with(json!({"api_url": url.replace("127.0.0.1", "localhost")}))),
        Odd::new("a start with fractions of a second")
            .config(one_with(json!({"start_date": "2018-01-01T00:00:00.000Z"}))),
        Odd::new("a start at the beginning of time").config(one_with(json!({"start_date": "0001-01-01T00:00:00Z"}))),
        Odd::new("a start before that").config(one_with(json!({"start_date": "0000-01-01T00:00:00Z"}))),
    ] {
        odd.run();
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
        Odd::new("incremental where there is no cursor").catalog(catalog(&WITHOUT_CURSOR, "incremental")),
        Odd::new("incremental everywhere").catalog(catalog(&STREAMS, "incremental")),
    ] {
        odd.run();
    }
    for mode in ["append", "overwrite", "append_dedup", "overwrite_dedup", "update", "soft_delete"] {
        Odd::new("a destination's mode").catalog(entry(json!({"destination_sync_mode": mode}))).run();
    }
}

/// A moment that parts the records of `stream`: most were last changed before it.
fn late(stream: &str) -> DateTime<Utc> {
    let all = FAKE.truth().streams[stream].clone();
    let column = if stream == "analytics_events" { "created_at" } else { "updated_at" };
    let mut times: Vec<&str> = all.values().map(|record| record[column].as_str().expect("a time")).collect();
    times.sort_unstable();
    times[times.len() * 3 / 4].parse().expect("a time")
}

fn micros(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn descriptor(stream: &str, state: &Value) -> Value {
    json!({"stream_descriptor": {"name": stream, "namespace": null}, "stream_state": state})
}

#[test]
fn a_state_is_read_in_every_legal_form() {
    let cursor = late("rooms");
    let state = json!({"updated_at": micros(cursor)});
    let stream = descriptor("rooms", &state);
    let of_rooms = |state: Value| json!([{"type": "STREAM", "stream": descriptor("rooms", &state)}]);
    let older =
        json!({"type": "STREAM", "stream": descriptor("rooms", &json!({"updated_at": "2018-01-01T00:00:00Z"}))});
    // As PyAirbyte writes it, put together by hand: no JSON library writes a key twice.
    let stats = r#"{"recordCount": 3.0, "rejectedRecordCount": null}"#;
    let doubled = format!(
        r#"[{{"type": "STREAM", "stream": {stream}, "global_": null, "data": null,
              "sourceStats": {stats}, "destinationStats": null, "global_": null}}]"#
    );
    let stats = json!({"recordCount": 1.0});
    let whole = json!({"type": "STATE", "state": {"type": "STREAM", "stream": stream, "sourceStats": stats}});
    let with_more = json!([{"type": "STREAM", "id": 7, "stream": stream, "destinationStats": stats}]);
    let with_nulls = of_rooms(json!({"updated_at": micros(cursor), "updatedAt": null, "resume": null}));
    let foreign_key = of_rooms(json!({"updated_at": micros(cursor), "slices": []}));
    let foreign_stream = json!({"rooms": state, "chat_messages": {"id": 5}});
    let not_asked_for = json!({"rooms": state, "sessions": {"updated_at": "never"}});
    let nothing = descriptor("rooms", &Value::Null);
    let then_null = json!([{"type": "STREAM", "stream": stream}, {"type": "STREAM", "stream": nothing}]);
    let empty_global = json!({"type": "GLOBAL", "global": {"shared_state": null, "stream_states": null}});
    let global =
        |shared: Value| json!([{"type": "GLOBAL", "global": {"shared_state": shared, "stream_states": [stream]}}]);
    let is_used = |name, state: &dyn ToString| Odd::new(name).state(state.to_string()).gives(Expected::Since(cursor));
    for odd in [
        is_used("a list", &of_rooms(state.clone())),
        is_used("a single state", &json!({"type": "STREAM", "stream": stream})),
        is_used("a single state without type", &json!({"stream": stream})),
        is_used("a list without types", &json!([{"stream": stream}])),
        is_used("whole messages", &json!([{"type": "STATE", "state": {"type": "STREAM", "stream": stream}}])),
        is_used("one whole message", &whole),
        is_used("global", &global(Value::Null)),
        is_used("global with an empty shared part", &global(json!({}))),
        is_used("global with a shared part", &global(json!({"cursor": 5}))).warns("shared part"),
        is_used("a legacy message", &json!([{"type": "LEGACY", "data": {"rooms": state}}])),
        is_used("a legacy map", &json!({"rooms": state})),
        is_used("PyAirbyte's doubled keys and nulls", &doubled),
        is_used("keys the platform adds", &with_more),
        is_used("the last of two", &json!([older, {"type": "STREAM", "stream": stream}])),
        is_used("a cursor with an offset", &of_rooms(json!({"updated_at": micros(cursor).replace('Z', "+00:00")}))),
        is_used("a cursor and a null beside it", &with_nulls),
        is_used("a key that is not ours", &foreign_key).warns("`slices`"),
        is_used("a stream that is not ours", &foreign_stream).warns("`chat_messages`"),
        is_used("a bad state of a stream that is not asked for", &not_asked_for),
        Odd::new("null").state("null"),
        Odd::new("an empty object").state("{}"),
        Odd::new("an empty list, with blanks").state("\n[ ]\n"),
        Odd::new("stream_state null").state(of_rooms(Value::Null)),
        Odd::new("a state and then null").state(then_null),
        Odd::new("stream_state empty").state(of_rooms(json!({}))),
        Odd::new("a cursor null").state(of_rooms(json!({"updated_at": null}))),
        Odd::new("a cursor before start_date").state(of_rooms(json!({"updated_at": "1999-01-01T00:00:00Z"}))),
        Odd::new("global without states").state(empty_global),
    ] {
        odd.run();
    }
}

#[test]
fn states_of_airbytes_own_connector_are_used() {
    for (stream, key) in [
        ("sessions", "updated_at"),
        ("rooms", "updated_at"),
        ("templates", "updatedAt"),
        ("recordings", "updated_at"),
        ("analytics_events", "timestamp"),
    ] {
        // It wrote whole seconds.
        let cursor = late(stream);
        let cursor = cursor - TimeDelta::nanoseconds(i64::from(cursor.timestamp_subsec_nanos()));
        let mut state = json!({key: cursor.format("%Y-%m-%dT%H:%M:%SZ").to_string()});
        if stream == "analytics_events" {
            // Else joins and leaves are read from the beginning: no sync has read them before.
            state["swept_at"] = state[key].clone();
        }
        let saved = json!([{"type": "STREAM", "stream": descriptor(stream, &state)}]);
        // What was written may become visible only minutes later, and events an hour: so far before the cursor
        // is read again.
        let look_back = TimeDelta::minutes(if stream == "analytics_events" { 60 } else { 10 });
        let odd = Odd::new("a state of Airbyte's own connector").state(saved);
        let odd = odd.gives(Expected::Since(cursor - look_back));
        odd.catalog(catalog(&[stream], "incremental")).run();
    }
}

#[test]
fn a_cursor_in_the_future_reads_nothing_and_stays() {
    let key = |stream: &str| if stream == "analytics_events" { "created_at" } else { "updated_at" };
    let saved = |streams: &[&str]| {
        Value::Object(streams.iter().map(|stream| ((*stream).to_owned(), json!({key(stream): FUTURE}))).collect())
    };
    let mut odd = Odd::new("all of the future").state(saved(&INCREMENTAL)).gives(Expected::Nothing);
    odd = odd.catalog(catalog(&INCREMENTAL, "incremental"));
    for _ in INCREMENTAL {
        odd = odd.warns("in the future");
    }
    let transcript = odd.run();
    for stream in INCREMENTAL {
        let state = &transcript.last_states()[stream];
        assert_eq!(*state, json!({key(stream): FUTURE}), "{stream}");
    }
    // One stream of the future does not hold the others up, and a full refresh goes by start_date.
    let mixed =
        Call::read(&config(&FAKE), &catalog(&["rooms", "templates"], "incremental")).file("state", &saved(&["rooms"]));
    let transcript = mixed.run().good(&FAKE);
    assert_eq!(transcript.records_of("rooms").count(), 0);
    assert_same_records("templates", &transcript.by_key("templates").0, &FAKE.truth().streams["templates"]);
    let full = catalog(&["rooms"], "full_refresh");
    Odd::new("a full refresh with a cursor of the future").state(saved(&["rooms"])).catalog(full).run();
}

#[test]
fn a_finished_full_refresh_is_read_again_when_no_other_stream_was_cut() {
    let finished = |hours_ago: i64| {
        let completed_at = (chrono::Utc::now() - TimeDelta::hours(hours_ago)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let state = json!({"__ab_full_refresh_sync_complete": true, "completed_at": completed_at});
        Value::Object(INCREMENTAL.iter().map(|stream| ((*stream).to_owned(), state.clone())).collect())
    };
    // A runner that keeps states in full refresh hands them back in the next sync, and in those after.
    let full = catalog(&INCREMENTAL, "full_refresh");
    let transcript = Odd::new("full refresh, finished").state(finished(1)).catalog(full.clone()).run();
    assert!(
        INCREMENTAL.iter().all(|stream| transcript.last_states()[*stream]["__ab_full_refresh_sync_complete"] == true)
    );
    Odd::new("full refresh, finished yesterday").state(finished(25)).catalog(full.clone()).run();
    let bare = json!({"rooms": {"__ab_full_refresh_sync_complete": true}});
    Odd::new("full refresh, finished nobody knows when").state(bare).catalog(full).run();
    Odd::new("incremental after a full refresh").state(finished(1)).catalog(catalog(&INCREMENTAL, "incremental")).run();
}

/// PyAirbyte asks for `incremental` on every stream and hands back every state it was given.
#[test]
fn streams_without_cursor_are_read_whole_again_whatever_is_asked_for() {
    let everything = catalog(&STREAMS, "incremental");
    let first = Call::read(&config(&FAKE), &everything).run().good(&FAKE);
    let states = first.last_states();
    let entries = states.iter().map(|(stream, state)| json!({"type": "STREAM", "stream": descriptor(stream, state)}));
    let saved: Value = entries.collect();
    let second = Call::read(&config(&FAKE), &everything).file("state", &saved).run().good(&FAKE);
    for stream in WITHOUT_CURSOR {
        assert_eq!(first.last_states()[stream], json!({"__ab_no_cursor_state_message": true}));
        assert_same_records(stream, &second.by_key(stream).0, &FAKE.truth().streams[stream]);
    }
    for stream in INCREMENTAL {
        let (before, after) = (first.records_of(stream).count(), second.records_of(stream).count());
        assert!(after < before, "{stream}: {after} records after {before}");
    }
}

#[test]
fn the_command_line_is_taken_in_any_order() {
    let call = Call::new("read").file("catalog", &catalog(&["rooms"], "full_refresh"));
    let call = call.argument("--debug").file("state", &json!([])).file("config", &config(&FAKE));
    assert_reads_rooms(&call.run());
    let call = with_files(Call::new("read"));
    let (config, catalog) = (call.path("config"), call.path("catalog"));
    let call =
        call.argument(format!("--catalog={}", catalog.display())).argument(format!("--config={}", config.display()));
    assert_reads_rooms(&call.run());
    // Callers of low-code connectors pass these along.
    let call = Call::new("--manifest-path=/nowhere").argument("--debug").argument("read").argument("--components-path");
    let call = call.argument("/nowhere").file("config", &crate::harness::config(&FAKE));
    assert_reads_rooms(&call.file("catalog", &crate::harness::catalog(&["rooms"], "full_refresh")).run());
}

/// Writes configuration and catalog, without extensions and only to be read.
fn with_files(call: Call) -> Call {
    for (name, content) in [("config", config(&FAKE)), ("catalog", catalog(&["rooms"], "full_refresh"))] {
        let path = call.path(name);
        std::fs::write(&path, content.to_string()).expect("a temporary file");
        let mut permissions = std::fs::metadata(&path).expect("the file is there").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).expect("one's own file");
    }
    call
}

#[test]
fn file_names_and_modes_carry_no_meaning() {
    let call = with_files(Call::new("read"));
    let odd = call.path("ein Ordner/мой config.xml");
    std::fs::create_dir(call.path("ein Ordner")).expect("a directory of its own");
    std::os::unix::fs::symlink(call.path("config"), &odd).expect("a link of its own");
    let catalog = call.path("catalog").display().to_string();
    let call = call.argument("--config").argument(odd.display().to_string()).argument("--catalog").argument(catalog);
    assert_reads_rooms(&call.run());
}

fn assert_reads_rooms(finished: &Finished) {
    let transcript = finished.good(&FAKE);
    assert_same_records("rooms", &transcript.by_key("rooms").0, &FAKE.truth().streams["rooms"]);
}

#[test]
fn whoever_wants_to_see_more_can_say_so_in_two_ways() {
    let fake = fake(32);
    let debug_lines = |call: fn(Call) -> Call| {
        fake.set_faults(FaultPlan::new().on("/v2/rooms", When::First(1), Fault::Status(503)));
        let plain = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh"));
        let transcript = call(plain).run().good(&fake);
        assert_same_records("rooms", &transcript.by_key("rooms").0, &fake.truth().streams["rooms"]);
        transcript.logs(Level::Debug).iter().filter(|line| line.contains("Trying `/v2/rooms`")).count()
    };
    assert_eq!(debug_lines(|call| call), 0);
    assert_eq!(debug_lines(|call| call.variable("LOG_LEVEL", "info")), 0);
    assert_eq!(debug_lines(|call| call.variable("LOG_LEVEL", "nonsense")), 0);
    assert_eq!(debug_lines(|call| call.argument("--debug")), 1);
    assert_eq!(debug_lines(|call| call.variable("LOG_LEVEL", "debug")), 1);
    assert_eq!(debug_lines(|call| call.variable("LOG_LEVEL", "DEBUG")), 1);
}
