//! By hand: what a developer types without a platform around, and what a person at a terminal sees.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bad_input::flaws_of;
use crate::harness::{Call, STREAMS, TIME_SCALE, assert_same_records, catalog, config, config_with, fake};
use crate::messages::{FailureType, Level, Message, Transcript};

const BINARY: &str = env!("CARGO_BIN_EXE_source-100ms");

/// A folder with a configuration in it, where somebody works.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new(config: &Value) -> Desk {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a temporary file");
        Desk { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let bin = Path::new(BINARY).parent().expect("a folder of programs");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        command.current_dir(self.folder.path()).env_clear().env("PATH", path);
        command.env("SOURCE_100MS_TIME_SCALE", TIME_SCALE).env("TERM", "xterm").env("COLUMNS", "120");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a line of shell, as somebody types it.
    fn shell(&self, line: &str) -> Output {
        self.command("sh").args(["-ec", line]).output().expect("a shell")
    }

    /// Runs a line of shell and returns what it wrote, when it went well and was silent otherwise.
    fn good(&self, line: &str) -> String {
        let output = self.shell(line);
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success() && stderr.is_empty(), "{line}\n{stdout}\n{stderr}");
        stdout
    }

    /// What a terminal shows of a line of shell.
    fn screen(&self, line: &str) -> (String, Option<i32>) {
        let output = self.command("script").args(["-qec", line, "/dev/null"]).output().expect("script(1) exists");
        (texts(&output).0, output.status.code())
    }

    /// The records in the file of a stream, by key, with how many lines there are.
    fn records(&self, file: &str, key: &str) -> (BTreeMap<String, Value>, usize) {
        let lines: Vec<Value> =
            self.text(file).lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        let count = lines.len();
        (lines.into_iter().map(|record| (record[key].as_str().expect("a key").to_owned(), record)).collect(), count)
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn transcript(text: &str) -> Transcript {
    Transcript::parse(text.as_bytes())
}

#[test]
fn streams_by_name_need_no_catalog() {
    let fake = fake(31);
    let desk = Desk::new(&config(&fake));
    let read = transcript(&desk.good("source-100ms read --config config.json --streams sessions,rooms"));
    for stream in ["sessions", "rooms"] {
        assert_same_records(stream, &read.by_key(stream).0, &fake.truth().streams[stream]);
    }
    assert!(read.by_key("templates").0.is_empty());
    let whole = |transcript: &Transcript| transcript.last_states()["rooms"]["__ab_full_refresh_sync_complete"] == true;
    assert!(whole(&read));
    let read = transcript(&desk.good("source-100ms read --config config.json --streams rooms --incremental"));
    assert!(!whole(&read) && read.last_states()["rooms"]["updated_at"].is_string());
}

#[test]
fn one_file_may_come_from_standard_input() {
    let fake = fake(32);
    let desk = Desk::new(&config(&fake));
    std::fs::write(desk.path("catalog.json"), catalog(&["rooms"], "incremental").to_string()).unwrap();
    std::fs::write(desk.path("state.json"), "").unwrap();
    for (line, file) in [
        ("source-100ms read --config - --catalog catalog.json --state state.json", "config.json"),
        ("source-100ms read --config config.json --catalog - --state state.json", "catalog.json"),
        ("source-100ms read --config config.json --catalog catalog.json --state -", "state.json"),
    ] {
        let read = transcript(&desk.good(&format!("{line} < {file}")));
        assert_same_records("rooms", &read.by_key("rooms").0, &fake.truth().streams["rooms"]);
    }
    desk.good("source-100ms check --config - < config.json");
    let output = desk.shell("source-100ms read --config - --catalog - < config.json");
    let refused = Transcript::parse(&output.stdout);
    let [error] = refused.errors()[..] else { panic!("not one error") };
    assert_eq!(flaws_of(&error.message), [""; 0], "{}", error.message);
    assert!(error.message.contains("Only one of"), "{}", error.message);
}

#[test]
fn what_discover_prints_can_be_read() {
    let fake = fake(33);
    let desk = Desk::new(&config(&fake));
    desk.good(
        "source-100ms discover --config config.json --configured --streams rooms,active_room_peers > configured.json",
    );
    let configured: Value = serde_json::from_str(&desk.text("configured.json")).expect("plain JSON");
    let modes: Vec<_> = configured["streams"].as_array().unwrap().iter().map(|s| s["sync_mode"].clone()).collect();
    assert_eq!(modes, [json!("incremental"), json!("full_refresh")]);
    desk.good("source-100ms discover --config config.json --debug > message.jsonl");
    desk.good("source-100ms discover --config config.json > message.json");
    let message: Value = serde_json::from_str(&desk.text("message.json")).expect("one message");
    std::fs::write(desk.path("bare.json"), message["catalog"].to_string()).unwrap();
    std::fs::write(
        desk.path("lines.jsonl"),
        format!("{}\n{message}\n", json!({"type": "LOG", "log": {"level": "INFO", "message": "first"}})),
    )
    .unwrap();
    let all = STREAMS.len();
    for (file, streams) in [
        ("configured.json", 2),
        ("message.jsonl", all),
        ("message.json", all),
        ("bare.json", all),
        ("lines.jsonl", all),
    ] {
        let read = transcript(&desk.good(&format!("source-100ms read --config config.json --catalog {file}")));
        assert_same_records("rooms", &read.by_key("rooms").0, &fake.truth().streams["rooms"]);
        let complete = STREAMS.iter().filter(|stream| read.statuses_of(stream).len() > 1).count();
        assert_eq!(complete, streams, "{file}");
        let says_so = read.logs(Level::Info).iter().any(|line| line.contains("what `discover` printed"));
        assert_eq!(says_so, streams == all, "{file}");
    }
}

#[test]
fn a_folder_is_filled_and_gone_on_with() {
    let fake = fake(34);
    let desk = Desk::new(&config(&fake));
    let line =
        "source-100ms read --config config.json --streams sessions,rooms,active_room_peers --incremental --output data";
    let truth = fake.truth();
    for round in 0..2 {
        let said = desk.good(line);
        assert!(!said.contains("{\"type\""), "messages instead of sentences: {said}");
        for stream in ["sessions", "rooms"] {
            let anew = format!("`{stream}` with `updated_at` from 2018-01-01T00:00:00.000000Z.");
            assert_eq!(said.contains(&anew), round == 0, "round {round}: {said}");
        }
        for stream in ["sessions", "rooms", "active_room_peers"] {
            let (records, lines) = desk.records(&format!("data/{stream}.jsonl"), "id");
            assert_same_records(stream, &records, &truth.streams[stream]);
            // The peers are read whole each time, into an empty file.
            assert!(lines == records.len() || (round == 1 && stream != "active_room_peers"), "{stream}: {lines}");
        }
        let states: Value = serde_json::from_str(&desk.text("data/state.json")).expect("the state is JSON");
        assert_eq!(states.as_array().map(Vec::len), Some(3));
    }
    fake.reset_requests();
    desk.good(&line.replace(" --incremental", ""));
    let (records, lines) = desk.records("data/sessions.jsonl", "id");
    assert_same_records("sessions", &records, &truth.streams["sessions"]);
    assert_eq!(lines, records.len(), "a full refresh is written into an empty file");
    // The state of a folder is one that `--state` takes.
    desk.good("source-100ms read --config config.json --streams rooms --incremental --state data/state.json --json");
}

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

/// The examples in a help text: its lines that call the program, indented.
fn examples(help: &str) -> Vec<String> {
    help.lines()
        .filter_map(|line| line.strip_prefix("  source-100ms "))
        .map(|rest| format!("source-100ms {rest}"))
        .collect()
}

#[test]
fn the_examples_of_every_help_work() {
    let fake = fake(37);
    for (command, least) in [("", 2), ("spec", 2), ("check", 2), ("discover", 3), ("read", 5), ("completions", 2)] {
        let desk = Desk::new(&config(&fake));
        let examples = examples(&desk.good(&format!("source-100ms {command} --help")));
        assert!(examples.len() >= least, "`{command} --help` has {} examples", examples.len());
        for example in examples {
            desk.good(&example);
        }
    }
}

#[test]
fn without_a_command_the_help_is_printed() {
    let desk = Desk::new(&json!({}));
    let output = desk.shell("source-100ms");
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("Usage: source-100ms") && stderr.contains("discover"), "{stderr}");
}

#[test]
fn completions_come_for_every_shell() {
    let desk = Desk::new(&json!({}));
    let mut texts = BTreeSet::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = desk.good(&format!("source-100ms completions {shell}"));
        assert!(text.contains("source-100ms") && text.contains("configured"), "{shell}: {text}");
        assert!(texts.insert(text), "{shell} is given those of another shell");
    }
    desk.good("source-100ms completions bash > done.bash; bash -n done.bash");
}

/// What is said of a line: the first line of stderr, or the sentences of the messages.
fn answer(desk: &Desk, line: &str) -> String {
    let output = desk.shell(line);
    let (stdout, stderr) = texts(&output);
    let sentences = Transcript::parse(stdout.as_bytes()).messages.into_iter().filter_map(|message| match message {
        Message::Log { log } if log.level == Level::Warn => Some(log.message),
        Message::ConnectionStatus { connection_status } => connection_status.message,
        _ => None,
    });
    let mut said: Vec<String> = sentences.collect();
    said.extend(Transcript::parse(stdout.as_bytes()).errors().iter().map(|error| error.message.clone()));
    said.extend(
        stderr.split("\n\nUsage").next().map(|text| text.trim().replace('\n', " ")).filter(|text| !text.is_empty()),
    );
    format!("{line}  (exit code {})\n    {}", output.status.code().unwrap_or(-1), said.join("\n    "))
}

#[test]
fn typing_errors_are_answered_with_what_is_meant() {
    let fake = fake(38);
    let desk = Desk::new(&config_with(&fake, json!({"num_worker": 3})));
    let mut narrow = catalog(&["rooms"], "full_refresh");
    narrow["streams"][0]["stream"]["json_schema"] =
        json!({"properties": {"id": {}, "udpated_at": {}, "brand_new": {}}});
    std::fs::write(desk.path("columns.json"), narrow.to_string()).unwrap();
    std::fs::write(desk.path("catalog.json"), catalog(&["session"], "full_refresh").to_string()).unwrap();
    std::fs::write(
        desk.path("state.json"),
        json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": {}}}]).to_string(),
    )
    .unwrap();
    let extra = config_with(&fake, json!({"extra_streams": ["live_stream"]}));
    std::fs::write(desk.path("extra.json"), extra.to_string()).unwrap();
    let types = config_with(&fake, json!({"analytics_event_types": ["client.join.fail"]}));
    std::fs::write(desk.path("types.json"), types.to_string()).unwrap();
    let lines: Vec<String> = [
        "source-100ms chekc --config config.json",
        "source-100ms check --confg config.json",
        "source-100ms completions bsh",
        "source-100ms check --config config.json",
        "source-100ms discover --config config.json --streams romms",
        "source-100ms read --config config.json --streams session,rooms",
        "source-100ms read --config config.json --streams chats",
        "source-100ms read --config config.json --streams peer_qualty",
        "source-100ms read --config config.json --catalog catalog.json",
        "source-100ms read --config config.json --catalog columns.json",
        "source-100ms read --config catalog.json --catalog config.json",
        "source-100ms read --config config.json --catalog config.json",
        "source-100ms read --config config.json --catalog state.json",
        "source-100ms read --config config.json --streams rooms --state config.json",
        "source-100ms read --config config.json --streams rooms --catalog catalog.json",
        "source-100ms check --config state.json",
        "source-100ms check --config extra.json",
        "source-100ms check --config types.json",
    ]
    .into_iter()
    .map(|line| answer(&desk, line))
    .collect();
    insta::assert_snapshot!("typos", lines.join("\n"));
}

#[test]
fn a_time_scale_that_makes_no_sense_is_refused() {
    let fake = fake(39);
    for scale in ["fast", "0", "-1", "nan", "inf", "1001", "1e300"] {
        let call =
            Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).variable("SOURCE_100MS_TIME_SCALE", scale);
        let finished = call.run();
        let transcript = finished.transcript();
        let [error] = transcript.errors()[..] else { panic!("{scale}: not one error: {}", finished.report(&fake)) };
        assert_eq!((error.failure_type, finished.status.code()), (FailureType::ConfigError, Some(1)), "{scale}");
        assert_eq!(flaws_of(&error.message), [""; 0], "{}", error.message);
        assert!(error.message.contains(&format!("`SOURCE_100MS_TIME_SCALE` is `{scale}`")), "{}", error.message);
    }
    assert_eq!(fake.total_requests(), 0);
}

#[test]
fn a_signal_ends_the_wait_for_a_file_that_nobody_writes() {
    let fake = fake(40);
    let desk = Desk::new(&config(&fake));
    std::fs::write(desk.path("catalog.json"), catalog(&["rooms"], "incremental").to_string()).unwrap();
    assert!(desk.command("mkfifo").arg("pipe").status().expect("mkfifo(1) exists").success());
    for arguments in [
        "check --config pipe",
        "discover --config pipe",
        "read --config pipe --catalog catalog.json",
        "read --config config.json --catalog pipe",
        "read --config config.json --catalog catalog.json --state pipe",
        "read --config config.json --catalog catalog.json --state -",
    ] {
        let mut command = desk.command(BINARY);
        // A pipe that stays open and empty.
        command.args(arguments.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill(1) exists").success());
        let status = loop {
            if let Some(status) = child.try_wait().expect("the process can be waited for") {
                break status;
            }
            // Two seconds are for a read that has something to save.
            if began.elapsed() > Duration::from_millis(1_800) {
                let _ = child.kill();
                panic!("`{arguments}` does not end at once");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15), "{arguments}: {status}");
    }
}

#[test]
fn a_person_at_a_terminal_reads_sentences() {
    let fake = fake(41);
    let desk = Desk::new(&config(&fake));
    let (spec, _) = desk.screen("source-100ms spec");
    assert!(spec.starts_with("{\r\n  \"$schema\""), "{spec}");
    let (check, code) = desk.screen("source-100ms check --config config.json");
    assert_eq!((check.trim(), code), ("The check succeeded: 100ms accepts the credentials.", Some(0)));
    let (table, _) = desk.screen("source-100ms discover --config config.json");
    assert!(table.starts_with("Stream ") && table.lines().count() == STREAMS.len() + 1, "{table}");
    let (advice, code) = desk.screen("source-100ms read --config config.json --streams rooms");
    assert_eq!(code, Some(2), "{advice}");
    assert!(advice.contains("--output FOLDER") && advice.contains("--json"), "{advice}");
    let (messages, _) = desk.screen("source-100ms check --config config.json --json");
    assert!(messages.starts_with("{\"type\":\"CONNECTION_STATUS\""), "{messages}");
}

#[test]
fn progress_is_for_a_terminal_only() {
    let fake = fake(42);
    let desk = Desk::new(&config(&fake));
    let line = "source-100ms read --config config.json --streams sessions,rooms --output data";
    let (screen, code) = desk.screen(line);
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("sessions") && screen.contains(" records, ") && screen.contains("\u{1b}["), "{screen:?}");
    let output = desk.shell(&format!("{line} 2> stderr.txt"));
    assert!(output.status.success() && desk.text("stderr.txt").is_empty(), "{}", desk.text("stderr.txt"));
}

#[test]
fn an_interrupted_read_says_what_is_safe() {
    let fake = fake(43);
    fake.set_faults(fake_100ms::FaultPlan::new().on(
        "/v2/rooms",
        fake_100ms::When::Always,
        fake_100ms::Fault::Status(503),
    ));
    let desk = Desk::new(&config(&fake));
    let mut command = desk.command(BINARY);
    command.args(["read", "--config", "config.json", "--streams", "templates,rooms", "--output", "data"]);
    command.env("SOURCE_100MS_TIME_SCALE", "1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill(1) exists").success());
    let output = child.wait_with_output().expect("the process ends");
    let (_, stderr) = texts(&output);
    assert!(stderr.contains("Stopped. Saved with their state: ") && stderr.contains("templates"), "{stderr}");
    assert!(stderr.contains("Run the same command again to go on from there."), "{stderr}");
    let _ = std::io::stdout().flush();
}
