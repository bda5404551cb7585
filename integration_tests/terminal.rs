//! What a person at a terminal sees.

use fake_100ms::{Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{Call, Desk, assert_same_records, catalog, config, fake, offered_streams, transcript};

#[test]
fn a_person_at_a_terminal_reads_sentences() {
    let fake = fake(41);
    let desk = Desk::new(&config(&fake));
    let (spec, _) = desk.screen("source-100ms spec");
    assert!(spec.starts_with("{\r\n  \"$schema\""), "{spec}");
    let (check, code) = desk.screen("source-100ms check --config config.json");
    assert_eq!((check.trim(), code), ("The check succeeded: 100ms accepts the credentials.", Some(0)));
    let (table, _) = desk.screen("source-100ms discover --config config.json");
    assert!(table.starts_with("Stream ") && table.lines().count() == offered_streams().len() + 1, "{table}");
    let (advice, code) = desk.screen("source-100ms read --config config.json --streams rooms");
    assert_eq!(code, Some(2), "{advice}");
    assert!(advice.contains("--output FOLDER") && advice.contains("--json"), "{advice}");
    let (messages, _) = desk.screen("source-100ms check --config config.json --json");
    assert!(messages.starts_with("{\"type\":\"CONNECTION_STATUS\""), "{messages}");
    let (columns, _) = desk.screen("source-100ms discover --config config.json --streams rooms");
    assert!(columns.starts_with("rooms\r\n"), "{columns}");
    assert!(columns.lines().any(|line| line.split_whitespace().take(2).eq(["updated_at", "time"])), "{columns}");
}

#[test]
fn a_failed_check_has_an_exit_code_for_people_and_scripts() {
    let fake = fake(41);
    let desk = Desk::new(&config(&fake));
    fake.rotate_secret();
    let line = "source-100ms check --config config.json";
    let code = |line: &str| desk.shell(line).status.code();
    // The protocol wants 0 beside the message.
    assert_eq!(code(line), Some(0));
    assert_eq!(code(&format!("{line} --exit-code")), Some(1));
    assert_eq!(code(&format!("if {line} --exit-code > answer.jsonl; then echo ready > ready.txt; fi")), Some(0));
    assert!(desk.text("answer.jsonl").contains("\"FAILED\"") && !desk.path("ready.txt").exists());
    let (screen, code) = desk.screen(line);
    assert!(screen.starts_with("The check failed. ") && code == Some(1), "{screen} {code:?}");
    let (_, code) = desk.screen(&format!("{line} --json"));
    assert_eq!(code, Some(0));
}

#[test]
fn messages_at_a_terminal_stand_alone() {
    let fake = fake(42);
    let desk = Desk::new(&config(&fake));
    let (screen, code) = desk.screen("source-100ms read --config config.json --streams sessions, rooms --json");
    assert_eq!(code, Some(0), "{screen}");
    let read = transcript(&screen.replace('\r', ""));
    // A blank behind the comma does no harm.
    assert_same_records("rooms", &read.by_key("rooms").0, &fake.truth().streams["rooms"]);
    assert_same_records("sessions", &read.by_key("sessions").0, &fake.truth().streams["sessions"]);
}

#[test]
fn progress_is_for_a_terminal_only() {
    let fake = fake(42);
    let desk = Desk::new(&config(&fake));
    let line = "source-100ms read --config config.json --streams sessions,rooms --output data";
    let (screen, code) = desk.screen(line);
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("sessions") && screen.contains(" records, ") && screen.contains("\u{1b}["), "{screen:?}");
    assert!(screen.trim_end().ends_with("The records are in `data`, one file for each stream."), "{screen:?}");
    let output = desk.shell(&format!("{line} 2> stderr.txt"));
    assert!(output.status.success() && desk.text("stderr.txt").is_empty(), "{}", desk.text("stderr.txt"));
}

#[test]
fn a_summary_says_what_a_read_has_done() {
    let fake = fake(66);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    let streams = ["rooms", "template_settings", "sessions"];
    let read = |config: &Value| {
        let call = Call::read(config, &catalog(&streams, "full_refresh")).argument("--summary");
        call.argument(path.to_str().unwrap())
    };
    let summary = || serde_json::from_str::<Value>(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let run = read(&config(&fake)).run();
    let (transcript, summed_up) = (run.good(&fake), summary());
    assert_eq!((&summed_up["status"], &summed_up["errors"]), (&json!("COMPLETE"), &json!([])));
    assert_eq!(summed_up["requests"], fake.total_requests());
    let lines = String::from_utf8(run.stdout).unwrap();
    for stream in streams {
        let of_stream = &summed_up["streams"][stream];
        assert_eq!(of_stream["records"], transcript.records_of(stream).count());
        let begins = format!(r#"{{"type":"RECORD","record":{{"stream":"{stream}","#);
        let bytes: usize = lines.lines().filter(|line| line.starts_with(&begins)).map(|line| line.len() + 1).sum();
        assert_eq!((&of_stream["bytes"], &of_stream["status"]), (&json!(bytes), &json!("COMPLETE")));
    }
    let refused = Fault::Status(403);
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, refused));
    read(&config(&fake)).run();
    let summed_up = summary();
    assert_eq!(summed_up["status"], "INCOMPLETE");
    assert_eq!(
        (&summed_up["streams"]["rooms"]["status"], &summed_up["streams"]["sessions"]["status"]),
        (&json!("INCOMPLETE"), &json!("COMPLETE"))
    );
    assert_eq!(summed_up["errors"].as_array().map(Vec::len), Some(1));
    let refused = Call::read(&config(&fake), &catalog(&streams, "full_refresh")).argument("--summary");
    std::fs::write(&path, "{\"start_date\":\"2024-01-01\"}").unwrap();
    let transcript = refused.argument(path.to_str().unwrap()).run().transcript();
    assert!(transcript.errors()[0].message.contains("another file"), "{:?}", transcript.errors());
    assert!(summary()["start_date"].is_string(), "a file that is no summary stays");
    let nowhere = Call::read(&config(&fake), &catalog(&streams, "full_refresh")).argument("--summary");
    let transcript = nowhere.argument("/nowhere/at/all.json").run().transcript();
    assert!(transcript.errors()[0].message.contains("--summary"), "{:?}", transcript.errors());
}
