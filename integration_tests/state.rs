//! `--state`: every form of a state, states of other programs, cursors in the future.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Fake, FaultPlan, Options};
use serde_json::{Value, json};

use crate::harness::{
    Call, Desk, Expected, FAKE, Finished, Odd, SOON, assert_same_records, catalog, config, descriptor, ends_within,
    fake, flaws_of, incremental_streams, read_from_states, read_with_state, short_pages, states, sync, transcript,
    warnings_with, workspace_of_many_pages,
};
use crate::messages::{FailureType, Level, Transcript};
use crate::platform::{Keeps, Warehouse};

#[test]
fn saved_messages_are_a_state() {
    let fake = fake(36);
    let desk = Desk::new(&config(&fake));
    let read = "source-100ms read --config config.json --streams rooms --incremental";
    desk.good(&format!("{read} > messages.jsonl"));
    desk.good("grep '\"type\":\"STATE\"' messages.jsonl > states.jsonl");
    for file in ["messages.jsonl", "states.jsonl"] {
        let again = transcript(&desk.good(&format!("{read} --state {file}")));
        assert!(again.by_key("rooms").0.len() < fake.truth().streams["rooms"].len(), "{file} was not gone on with");
    }
}

#[test]
fn a_cursor_of_the_future_leaves_what_is_left_of_a_sync() {
    let fake = fake(74);
    let pending = json!({"until": "2999-01-01T00:00:00.000000Z", "pending": [{"list": "enabled", "after": "2025-01-01T00:00:00.000000Z"}]});
    let cut = json!({"updated_at": "2999-01-01T00:00:00.000000Z", "resume": pending});
    let transcript = read_with_state(&fake, &config(&fake), &json!({"rooms": cut}));
    assert_eq!(transcript.records().count(), 0);
    let state = &transcript.last_states()["rooms"];
    assert_eq!((&state["resume"], &state["updated_at"]), (&cut["resume"], &cut["updated_at"]));
}

const FUTURE: &str = "2999-01-01T00:00:00.000000Z";

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
    let mut odd = Odd::new("all of the future").state(saved(&incremental_streams())).gives(Expected::Nothing);
    odd = odd.catalog(catalog(&incremental_streams(), "incremental"));
    for _ in incremental_streams() {
        odd = odd.warns("in the future");
    }
    let transcript = odd.run();
    for stream in incremental_streams() {
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

fn read(fake: &Fake) -> Call {
    Call::read(&config(fake), &catalog(&["rooms", "templates"], "incremental"))
}

/// All that a first read writes.
fn first(fake: &Fake) -> Finished {
    let first = read(fake).run();
    first.good(fake);
    first
}

fn with(fake: &Fake, state: &[u8]) -> Transcript {
    read(fake).text("state", state).run().good(fake)
}

fn warnings<'a>(transcript: &'a Transcript, says: &str) -> Vec<&'a str> {
    transcript.logs(Level::Warn).into_iter().filter(|line| line.contains(says)).collect()
}

#[test]
fn every_wrapping_of_a_state_is_used() {
    let fake = short_pages(421);
    let states = first(&fake).transcript().last_states();
    let snake: Vec<Value> = states
        .iter()
        .map(|(name, state)| json!({"stream_descriptor": {"name": name}, "stream_state": state}))
        .collect();
    let camel: Vec<Value> =
        states.iter().map(|(name, state)| json!({"streamDescriptor": {"name": name}, "streamState": state})).collect();
    let lines = |values: &[Value]| values.iter().map(|value| format!("{value}\n")).collect::<String>();
    let wrapped: Vec<Value> = snake.iter().map(|stream| json!({"type": "STREAM", "stream": stream})).collect();
    let pretty = |value: Value| format!("{value:#}\n");
    for form in [
        json!(snake).to_string(),
        lines(&snake),
        lines(&wrapped),
        json!(camel).to_string(),
        pretty(json!({"stateType": "stream", "streamState": camel, "globalState": null})),
        pretty(json!({"type": "GLOBAL", "global": {"shared_state": null, "stream_states": snake}})),
        pretty(json!({"state": states})),
        pretty(json!({"state": wrapped})),
        pretty(json!([states])),
        json!({"type": "STATE", "value": states}).to_string(),
        format!("\n\n{}", pretty(json!(states))),
    ] {
        assert_eq!(with(&fake, form.as_bytes()).records().count(), 0, "{form}");
    }
    // One stream alone: the other is read for the first time.
    let rooms = json!({"stream_descriptor": {"name": "rooms"}, "stream_state": states["rooms"]});
    let read = with(&fake, rooms.to_string().as_bytes());
    assert_eq!((read.records_of("rooms").count(), read.records_of("templates").count()), (0, 6));
}

#[test]
fn what_is_no_state_is_refused_and_nothing_is_a_first_read() {
    let fake = short_pages(422);
    let state = json!({"updated_at": "2024-01-01T00:00:00Z"});
    for unknown in [
        state.clone(),
        json!({"room": state}),
        json!({"stream": "rooms", "cursor": "2024-01-01T00:00:00Z"}),
        json!([{"name": "rooms", "state": state}]),
        json!({"stream_descriptor": {"name": "rooms"}, "cursor": state}),
        json!([state]),
        json!({"state": state}),
        json!([[]]),
    ] {
        fake.reset_requests();
        let refused = read(&fake).file("state", &unknown).run();
        let transcript = refused.transcript();
        let [error] = transcript.errors()[..] else { panic!("{unknown}: {}", refused.report(&fake)) };
        assert_eq!((error.failure_type, refused.status.code()), (FailureType::ConfigError, Some(1)), "{unknown}");
        assert_eq!(flaws_of(&error.message), [""; 0], "{}", error.message);
        assert!(
            error.message.contains("`stream_") || error.message.contains("stream_state"),
            "{unknown}: {}",
            error.message
        );
        assert_eq!(fake.total_requests(), 0, "{unknown}");
    }
    let all = first(&fake).transcript().records().count();
    for nothing in ["", " \n\t\n", "[]", "{}", "null", "\n[ ]\n"] {
        assert_eq!(with(&fake, nothing.as_bytes()).records().count(), all, "{nothing:?}");
    }
    let foreign = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "chats"}, "stream_state": {}}}]);
    let read = with(&fake, foreign.to_string().as_bytes());
    assert_eq!((read.records().count(), warnings(&read, "`chats`").len()), (all, 1));
}

#[test]
fn the_whole_states_of_a_crashed_read_count() {
    let fake = short_pages(423);
    let messages = first(&fake).stdout;
    let text = String::from_utf8(messages.clone()).expect("text");
    let of_rooms = |line: &&str| line.starts_with("{\"type\":\"STATE\"") && line.contains("\"rooms\"");
    let state = text.lines().rfind(of_rooms).expect("a state");
    let record = text.lines().find(|line| line.starts_with("{\"type\":\"RECORD\"")).expect("a record");
    // Torn in a record, in a state, and in the middle of a letter.
    for torn in [
        &record.as_bytes()[..40],
        &state.as_bytes()[..state.len() - 9],
        "{\"type\":\"LOG\",\"log\":{\"message\":\"é".as_bytes().split_last().unwrap().1,
    ] {
        let read = with(&fake, &[messages.as_slice(), torn].concat());
        assert_eq!(read.records().count(), 0);
        // Two reads, one behind the other in one file, of which the first was torn.
        let both = [&messages, torn, b"\n", messages.as_slice()].concat();
        assert_eq!(with(&fake, &both).records().count(), 0);
    }
    let read = with(&fake, &[messages.as_slice(), b"{\"type\":\"STATE\",\"sta"].concat());
    assert_eq!(warnings(&read, "1 line that is no whole message").len(), 1, "{:?}", read.logs(Level::Warn));
    // The state of each stream, also when that of one was the last thing to be written.
    let without_templates: Vec<&str> =
        text.lines().filter(|line| !(line.contains("\"STATE\"") && line.contains("\"templates\""))).collect();
    let read = with(&fake, without_templates.join("\n").as_bytes());
    assert_eq!((read.records_of("rooms").count(), read.records_of("templates").count()), (0, 6));
    let older = state.replace("2", "1");
    assert_eq!(with(&fake, format!("{older}\n{text}").as_bytes()).records().count(), 0, "the last one counts");
    // The spaces of another JSON library.
    let spaced: String =
        text.lines().map(|line| format!("{}\n", line.replacen("{\"type\":", "{ \"type\" : ", 1))).collect();
    assert_eq!(with(&fake, spaced.as_bytes()).records().count(), 0);
}

#[test]
fn messages_without_a_state_are_a_first_read_that_says_so() {
    let fake = short_pages(424);
    let first = first(&fake);
    let all = first.transcript().records().count();
    let text = String::from_utf8(first.stdout).expect("text");
    let lines = |keep: &dyn Fn(&str) -> bool| text.lines().filter(|line| keep(line)).collect::<Vec<_>>().join("\n");
    for without in [lines(&|line| !line.contains("\"STATE\"")), lines(&|line| line.contains("\"LOG\""))] {
        let read = with(&fake, without.as_bytes());
        assert_eq!(read.records().count(), all);
        assert_eq!(warnings(&read, "no STATE").len(), 1, "{:?}", read.logs(Level::Warn));
    }
}

#[test]
fn a_large_file_of_messages_takes_no_memory() {
    let fake = short_pages(425);
    let messages = first(&fake).stdout;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("messages.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    let records: Vec<&[u8]> =
        messages.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"type\":\"RECORD\"")).collect();
    let mut size = 0;
    file.write_all(&messages).expect("room on the disk");
    while size < 200 << 20 {
        for record in &records {
            file.write_all(record).and_then(|()| file.write_all(b"\n")).expect("room on the disk");
            size += record.len();
        }
    }
    file.write_all(b"{\"type\":\"RECORD\",\"record\":{\"str").and_then(|()| file.flush()).expect("room on the disk");
    fake.set_faults(FaultPlan::new().latency(100, 0));
    let mut running = read(&fake).argument("--state").argument(path.display().to_string()).start();
    let status = format!("/proc/{}/status", running.child.id());
    let mut peak = 0;
    while running.wait(Duration::from_millis(5)).is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
    }
    assert_eq!(running.finish().good(&fake).records().count(), 0);
    assert!((1..60 << 10).contains(&peak), "{peak} kB of memory");
}

#[test]
fn a_state_years_in_the_future_reads_nothing_and_the_warning_names_both_clocks() {
    let fake = workspace_of_many_pages(Options { seed: 57, ..Options::default() });
    let state = json!({"updated_at": "2040-01-01T00:00:00.000000Z"});
    let saved = BTreeMap::from([("rooms".to_owned(), state.clone())]);
    let transcript = read_from_states(&config(&fake), &["rooms"], &saved).run().good(&fake);
    assert_eq!(transcript.records().count(), 0);
    let kept = &transcript.last_states()["rooms"];
    assert_eq!(kept["updated_at"], state["updated_at"]);
    let (server, local) = (fake.now().format("%Y-%m-%d").to_string(), Utc::now().format("%Y-%m-%d").to_string());
    let said = warnings_with(&transcript, &["rooms", "2040-01-01", &server, &local]);
    assert_eq!(said.len(), 1, "{:?}", transcript.logs(Level::Warn));
}

#[test]
fn a_runner_that_merges_states_reads_on_after_a_good_end() {
    let counts = fake_100ms::Counts {
        sessions: 7_000,
        peers_per_session: 1,
        rooms: 60,
        recordings: 80,
        events_per_room: 4,
        ..fake_100ms::Counts::default()
    };
    let scale = fake_100ms::Scale::Custom(counts);
    let fake = Fake::start(Options { seed: 59, scale, gzip: false, ..Options::default() });
    let mut warehouse = Warehouse::that_keeps(Keeps::Merged);
    let first = sync(&fake, &mut warehouse);
    assert!(first.states_of("sessions").count() >= 3, "too few states to merge");
    for _ in 0..2 {
        fake.advance();
        sync(&fake, &mut warehouse);
        warehouse.assert_is(&fake.truth());
    }
}

#[test]
fn an_empty_state_file_is_no_state() {
    let fake = workspace_of_many_pages(Options { seed: 60, ..Options::default() });
    for content in ["", "\n", "{}", "[]", "null"] {
        eprintln!("a state of {content:?}");
        let call = Call::read(&config(&fake), &catalog(&["rooms"], "incremental")).text("state", content.as_bytes());
        let transcript = call.run().good(&fake);
        assert_same_records("rooms", &transcript.by_key("rooms").0, &fake.truth().streams["rooms"]);
    }
}

#[test]
fn a_state_with_too_much_in_it_is_refused_with_a_sentence() {
    let fake = workspace_of_many_pages(Options { seed: 91, ..Options::default() });
    let slice = |number: usize| json!({"list": "ended", "after": format!("20{:02}-01-01T00:00:00.{:06}Z", number % 20, number)});
    let pending: Vec<Value> = (0..100_001).map(slice).collect();
    let state = json!({"updated_at": "2024-01-01T00:00:00.000000Z",
        "resume": {"until": "2025-01-01T00:00:00.000000Z", "latest": null, "pending": pending}});
    let saved = BTreeMap::from([("sessions".to_owned(), state)]);
    let call = Call::read(&config(&fake), &catalog(&["sessions"], "incremental")).file("state", &states(&saved));
    let run = ends_within(call, SOON);
    let transcript = run.transcript();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(fake.total_requests(), 0, "it was begun");
    let errors = transcript.errors();
    assert!(errors.len() == 1 && errors[0].message.contains("state"), "{errors:?}");
}
