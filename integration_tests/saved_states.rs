//! `--state`: the forms in which states are kept, and the messages of a read, whole or torn.

use std::io::Write;
use std::time::Duration;

use fake_100ms::{Fake, FaultPlan};
use serde_json::{Value, json};

use crate::bad_input::flaws_of;
use crate::harness::{Call, Finished, catalog, config, short_pages};
use crate::messages::{FailureType, Level, Transcript};

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
