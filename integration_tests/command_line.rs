//! Arguments, help, completions, standard input, typing errors.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use fake_100ms::{Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, Desk, FAKE, Finished, HUSH, assert_same_records, catalog, config, config_with, fake, flaws_of, kind,
    offered_streams, texts, transcript,
};
use crate::messages::{Level, Message, Transcript};

#[test]
fn a_wrong_command_line_is_explained_on_stderr() {
    for (line, says) in [
        ("frobnicate", "'frobnicate'"),
        ("--frobnicate", "'--frobnicate'"),
        ("spec --config c.json", "'--config'"),
        ("spec spec", "'spec'"),
        ("check", "--config <FILE>"),
        ("check --config", "--config <FILE>"),
        ("check --config=", "--config <FILE>"),
        ("check -c c.json", "'-c'"),
        ("check --conf c.json", "'--conf'"),
        ("check --config c.json --state s.json", "'--state'"),
        ("check --config c.json --debug=yes", "'--debug'"),
        ("check --config c.json --management_token=hush", "'--management_token'"),
        ("discover", "--config <FILE>"),
        ("discover --config c.json --catalog k.json", "'--catalog'"),
        ("read", "--catalog <FILE>"),
        ("read --catalog k.json", "--config <FILE>"),
        ("read --config c.json", "--catalog <FILE>"),
        ("read --config c.json --catalog k.json --state", "--state <FILE>"),
        ("read --config c.json --catalog k.json k.json", "'k.json'"),
    ] {
        let mut words = line.split(' ');
        let call = Call::new(words.next().expect("a first word"));
        let finished = words.fold(call, Call::argument).run();
        assert_eq!(finished.status.code(), Some(2), "{line}: {}", finished.stderr);
        assert!(finished.stdout.is_empty(), "{line}: a usage text is no message of the protocol");
        let (error, hint) = finished.stderr.split_once("\n\n").unwrap_or((&finished.stderr, ""));
        assert!(error.starts_with("error: ") && error.contains(says), "{line}: {error}");
        assert!(hint.contains("--help"), "{line}: {hint}");
        assert!(!finished.stderr.contains(HUSH), "{line}: {}", finished.stderr);
    }
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
    let all = offered_streams().len();
    for (file, streams) in [
        ("configured.json", 2),
        ("message.jsonl", all),
        ("message.json", all),
        ("bare.json", all),
        ("lines.jsonl", all),
    ] {
        let read = transcript(&desk.good(&format!("source-100ms read --config config.json --catalog {file}")));
        assert_same_records("rooms", &read.by_key("rooms").0, &fake.truth().streams["rooms"]);
        let complete = offered_streams().iter().filter(|stream| read.statuses_of(stream).len() > 1).count();
        assert_eq!(complete, streams, "{file}");
        let says_so = read.logs(Level::Info).iter().any(|line| line.contains("what `discover` printed"));
        assert_eq!(says_so, streams == all, "{file}");
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
    assert!(desk.good("source-100ms help").contains("Examples:"));
    assert!(desk.good("source-100ms help read").contains("--output"));
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
fn help_and_version_are_for_people() {
    for arguments in [["--help"].as_slice(), &["-h"], &["read", "--help"]] {
        let mut words = arguments.iter();
        let call = Call::new(words.next().expect("a first word"));
        let finished = words.fold(call, |call, word| call.argument(*word)).run();
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let expected: &[&str] = match arguments.len() {
            1 => &["spec", "check", "discover", "read", "--debug"],
            _ => &["--config <FILE>", "--catalog <FILE>", "--state <FILE>", "--debug"],
        };
        assert!(expected.iter().all(|word| text.contains(word)), "{text}");
    }
    let version = Call::new("--version").run();
    assert_eq!(version.status.code(), Some(0));
    // With commit and day, when the build knows them: "source-100ms 0.2.0 (1a2b3c4, 2026-01-31)".
    let text = String::from_utf8(version.stdout).expect("text");
    let rest = text.strip_prefix(&format!("source-100ms {}", env!("CARGO_PKG_VERSION"))).expect("name and version");
    let source = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let is_day = |day: &str| day.len() == 10 && day.bytes().filter(|byte| *byte == b'-').count() == 2;
    assert!(rest == "\n" || source.split(", ").last().is_some_and(is_day), "{text}");
}

fn run_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_source-100ms"));
    command.args(arguments).current_dir(directory).env_clear().output().expect("the binary starts")
}

#[test]
fn the_working_directory_is_not_written_to() {
    let fake = fake(9);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = [
        ("config.json", config(&fake)),
        ("catalog.json", catalog(&offered_streams(), "incremental")),
        ("state.json", json!([])),
    ];
    for (name, content) in &files {
        std::fs::write(directory.path().join(name), content.to_string()).expect("a temporary file");
    }
    let config = ["--config", "config.json"];
    let read = ["--catalog", "catalog.json", "--state", "state.json", "--debug"];
    for (arguments, last) in [
        ([["spec"].as_slice(), &[], &[]], "SPEC"),
        ([&["check"], &config, &[]], "CONNECTION_STATUS"),
        ([&["discover"], &config, &[]], "CATALOG"),
        ([&["read"], &config, &read], "LOG"),
    ] {
        let output = run_in(directory.path(), &arguments.concat());
        let transcript = Transcript::parse(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {:?}", transcript.errors());
        assert_eq!(kind(transcript.messages.last().expect("a message")), last, "{arguments:?}");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["catalog.json", "config.json", "state.json"]);
    for (name, content) in files {
        assert_eq!(std::fs::read_to_string(directory.path().join(name)).unwrap(), content.to_string());
    }
}

#[test]
fn the_command_line_is_taken_in_any_order() {
    let call = Call::new("read").file("catalog", &catalog(&["rooms"], "full_refresh"));
    let call = call.argument("--debug").file("state", &json!([])).file("config", &config(&FAKE));
    assert_reads_rooms(&call.run());
    let call = with_files(Call::new("read"));
    let path = |name: &str| call.path(name).display().to_string();
    let [catalog_file, config_file] = ["catalog", "config"].map(path);
    let call = call.argument(format!("--catalog={catalog_file}")).argument(format!("--config={config_file}"));
    assert_reads_rooms(&call.run());
    // Callers of low-code connectors pass these along.
    let call = Call::new("--manifest-path=/nowhere").argument("--debug").argument("read").argument("--components-path");
    let call = call.argument("/nowhere").file("config", &config(&FAKE));
    assert_reads_rooms(&call.file("catalog", &catalog(&["rooms"], "full_refresh")).run());
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
