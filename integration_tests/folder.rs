//! `read --output FOLDER`: locks, crashes, users and planted files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fake_100ms::{Counts, Fake, FaultPlan, Options, Scale};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    BINARY, Call, Desk, Finished, Running, assert_same_records, config, config_with, fake, flaws_of, short_pages,
    texts, until_answered,
};
use crate::messages::{FailureType, Level};

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
            let anew = format!("`{stream}` changed since 2018-01-01T00:00:00.000000Z.");
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
    assert!(stderr.contains("Run the same command again to continue from there."), "{stderr}");
    let _ = std::io::stdout().flush();
}

/// A folder that reads write into.
struct Folder {
    directory: TempDir,
}

impl Folder {
    fn new() -> Folder {
        Folder { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("data").join(file)
    }

    /// A full read of these streams into the folder.
    fn full(&self, config: &Value, streams: &str) -> Call {
        // Requests of a busy machine must not time out.
        let call =
            Call::new("read").variable("SOURCE_100MS_TIME_SCALE", "0.2").file("config", config).argument("--json");
        call.argument("--streams").argument(streams).argument("--output").argument(self.path("").display().to_string())
    }

    fn incremental(&self, config: &Value, streams: &str) -> Call {
        self.full(config, streams).argument("--incremental")
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path("")).expect("a folder");
        fs::write(self.path(file), text).expect("a file");
    }

    /// The records of a stream by id, and how many lines there are.
    fn records(&self, stream: &str) -> (BTreeMap<String, Value>, usize) {
        let text = self.text(&format!("{stream}.jsonl"));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect();
        let count = lines.len();
        (lines.into_iter().map(|record| (record["id"].as_str().expect("an id").to_owned(), record)).collect(), count)
    }

    /// Every record of the truth stands there, each once.
    fn assert_holds(&self, stream: &str, fake: &Fake) {
        let (records, lines) = self.records(stream);
        assert_same_records(stream, &records, &fake.truth().streams[stream]);
        assert_eq!(lines, records.len(), "{stream}: some are there twice");
    }
}

/// A workspace that takes seconds to read, with some states on the way.
fn slow_fake(seed: u64) -> Fake {
    let counts = Counts { sessions: 3_000, rooms: 30, ..Counts::default() };
    let fake = Fake::start(Options { seed, scale: Scale::Custom(counts), gzip: false, ..Options::default() });
    fake.set_faults(FaultPlan::new().latency(30, 0));
    fake
}

fn slowly(fake: &Fake) -> Value {
    config_with(fake, json!({"num_workers": 3}))
}

/// Stops a read after so many answers.
fn stop_after(fake: &Fake, answers: u64, call: Call) -> Finished {
    fake.reset_requests();
    let running = call.start();
    until_answered(fake, answers);
    running.signal("TERM");
    let finished = running.finish();
    assert!(!finished.status.success(), "it was over before the signal came");
    finished
}

fn wait_for(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The only error, which is one sentence to act on.
fn refused(finished: &Finished, fake: &Fake) -> String {
    let transcript = finished.transcript();
    let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(fake)) };
    assert_eq!((error.failure_type, finished.status.code()), (FailureType::ConfigError, Some(1)));
    assert_eq!(flaws_of(&error.message), [""; 0], "{}", error.message);
    error.message.clone()
}

fn wrong(fake: &Fake) -> Value {
    let mut config = config(fake);
    config["credentials"]["app_secret"] = json!("wrong-0123456789-abcdefghij");
    config
}

#[test]
fn a_second_read_into_the_same_folder_is_refused_and_harms_nothing() {
    let fake = slow_fake(401);
    let folder = Folder::new();
    let first = folder.incremental(&slowly(&fake), "sessions").start();
    wait_for(|| folder.path("state.json").exists());
    for second in [folder.incremental(&wrong(&fake), "sessions"), folder.full(&config(&fake), "rooms")] {
        let sentence = refused(&second.run(), &fake);
        assert!(sentence.starts_with("Another `read` is writing into the folder of `--output`"), "{sentence}");
    }
    first.finish().good(&fake);
    folder.assert_holds("sessions", &fake);
    // A process that was killed holds no lock.
    let killed = folder.incremental(&config(&fake), "sessions").start();
    std::thread::sleep(Duration::from_millis(100));
    killed.kill_after(0);
    folder.incremental(&config(&fake), "sessions").run().good(&fake);
    folder.assert_holds("sessions", &fake);
}

#[test]
fn a_read_that_cannot_begin_leaves_the_rows_of_before() {
    let fake = short_pages(402);
    let folder = Folder::new();
    folder.incremental(&config(&fake), "sessions,rooms").run().good(&fake);
    let (sessions, rooms) = (folder.text("sessions.jsonl"), folder.text("rooms.jsonl"));
    let state = folder.text("state.json");
    let mut unreachable = config(&fake);
    unreachable["api_url"] = json!("http://127.0.0.1:1");
    for kept in [Some(state.as_str()), None, Some(""), Some("{}")] {
        for config in [wrong(&fake), unreachable.clone()] {
            for call in [folder.full(&config, "sessions,rooms"), folder.incremental(&config, "sessions,rooms")] {
                match kept {
                    Some(kept) => folder.write("state.json", kept),
                    None => fs::remove_file(folder.path("state.json")).unwrap_or_default(),
                }
                let finished = call.run();
                assert_eq!(finished.status.code(), Some(1), "{}", finished.report(&fake));
                assert_eq!(
                    (folder.text("sessions.jsonl"), folder.text("rooms.jsonl")),
                    (sessions.clone(), rooms.clone())
                );
            }
        }
    }
    folder.write("state.json", &state);
    // A file that cannot be written ends the read before another one is touched.
    fs::remove_file(folder.path("rooms.jsonl")).unwrap();
    fs::create_dir(folder.path("rooms.jsonl")).unwrap();
    refused(&folder.full(&config(&fake), "sessions,rooms").run(), &fake);
    assert_eq!(folder.text("sessions.jsonl"), sessions);
    assert_eq!(folder.text("state.json"), state);
}

#[test]
fn a_file_with_rows_and_no_state_is_replaced_only_when_told_to() {
    let fake = short_pages(403);
    let rows = "{\"id\":\"a stranger's\"}\n";
    // A state of the same form that no read into a folder has written says nothing of the file.
    let foreign = r#"{"rooms":{"updated_at":"2025-01-01T00:00:00Z"}}"#;
    for (is_full, state) in [(true, None), (true, Some(foreign)), (false, None)] {
        let folder = Folder::new();
        folder.write("rooms.jsonl", rows);
        state.into_iter().for_each(|state| folder.write("state.json", state));
        let call = || match is_full {
            true => folder.full(&config(&fake), "rooms"),
            false => folder.incremental(&config(&fake), "rooms"),
        };
        let sentence = refused(&call().run(), &fake);
        assert!(sentence.contains("`rooms.jsonl`") && sentence.contains("`--overwrite`"), "{sentence}");
        assert_eq!(folder.text("rooms.jsonl"), rows);
        call().argument("--overwrite").run().good(&fake);
        folder.assert_holds("rooms", &fake);
        if !is_full {
            call().run().good(&fake);
            folder.assert_holds("rooms", &fake);
        }
    }
}

#[test]
fn a_full_read_that_was_cut_is_continued_and_then_takes_the_place_of_the_file() {
    let fake = slow_fake(404);
    let folder = Folder::new();
    folder.incremental(&config(&fake), "sessions,active_room_peers").run().good(&fake);
    let before = folder.text("sessions.jsonl");
    fake.advance();
    fs::set_permissions(folder.path("sessions.jsonl"), fs::Permissions::from_mode(0o640)).unwrap();
    let cut = || stop_after(&fake, 15, folder.full(&slowly(&fake), "sessions,active_room_peers"));
    cut();
    assert_eq!(folder.text("sessions.jsonl"), before, "the rows of before stay until all have come");
    assert!(folder.text("sessions.jsonl.part").lines().count() > 0);
    cut();
    assert_eq!(folder.text("sessions.jsonl"), before);
    let read = folder.full(&config(&fake), "sessions,active_room_peers").run().good(&fake);
    let goes_on = read.logs(Level::Info).iter().any(|line| line.contains("continuing where the last sync stopped"));
    assert!(goes_on, "{:?}", read.logs(Level::Info));
    folder.assert_holds("sessions", &fake);
    folder.assert_holds("active_room_peers", &fake);
    assert!(!folder.path("sessions.jsonl.part").exists());
    let mode = |file: &str| fs::metadata(folder.path(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("sessions.jsonl"), 0o640, "the permissions that the file had");
}

#[test]
fn kills_at_any_moment_leave_each_record_once() {
    for is_full in [true, false] {
        let fake = slow_fake(405);
        let folder = Folder::new();
        let call = || match is_full {
            true => folder.full(&slowly(&fake), "sessions"),
            false => folder.incremental(&slowly(&fake), "sessions"),
        };
        // Before there is a state, soon after it, and later.
        for answers in [2, 12, 0, 3] {
            fake.reset_requests();
            let mut running = call().start();
            match answers {
                0 => wait_for(|| folder.path("state.json").exists() && folder.text("state.json").contains("pending")),
                answers => until_answered(&fake, answers),
            }
            running.child.kill().expect("it can be killed");
            running.finish();
        }
        call().run().good(&fake);
        folder.assert_holds("sessions", &fake);
    }
}

#[test]
fn whether_a_read_goes_on_or_begins_is_one_decision_for_rows_and_state() {
    let fake = slow_fake(406);
    let earlier = config_with(&fake, json!({"start_date": "2017-01-01T00:00:00Z"}));
    for (name, config) in [("its rest is read", config(&fake)), ("all is read, from an earlier date", earlier)] {
        let folder = Folder::new();
        stop_after(&fake, 15, folder.incremental(&slowly(&fake), "sessions"));
        folder.full(&config, "sessions").run().good(&fake);
        eprintln!("a full read after a cut incremental one: {name}");
        folder.assert_holds("sessions", &fake);
        eprintln!("an incremental read after a full one");
        folder.incremental(&config, "sessions").run().good(&fake);
        folder.assert_holds("sessions", &fake);
        eprintln!("an incremental read after a cut full one");
        let folder = Folder::new();
        stop_after(&fake, 15, folder.full(&slowly(&fake), "sessions"));
        folder.incremental(&config, "sessions").run().good(&fake);
        folder.assert_holds("sessions", &fake);
    }
}

#[test]
fn the_state_of_a_folder_is_read_like_any_other() {
    let fake = short_pages(407);
    let folder = Folder::new();
    folder.write("state.json", "");
    folder.incremental(&config(&fake), "rooms,sessions").run().good(&fake);
    folder.assert_holds("rooms", &fake);
    let saved: Vec<Value> = serde_json::from_str(&folder.text("state.json")).expect("a list");
    let lines: String = saved.iter().map(|state| format!("{state}\n")).collect();
    let read =
        Call::new("read").file("config", &config(&fake)).argument("--streams=rooms,sessions").argument("--incremental");
    let messages = String::from_utf8(read.run().stdout).expect("text");
    for (name, state) in [("one state a line", lines), ("messages", messages)] {
        folder.write("state.json", &state);
        let read = folder.incremental(&config(&fake), "rooms,sessions").run().good(&fake);
        let begins = read.logs(Level::Info).iter().any(|line| line.contains("from 2018-01-01T00:00:00.000000Z"));
        assert!(!begins, "{name}: {:?}", read.logs(Level::Info));
        folder.assert_holds("sessions", &fake);
    }
    for (state, says) in
        [("{\"rooms\": ", "is not JSON"), ("{\"updated_at\": \"2024-01-01T00:00:00Z\"}", "such as `[{")]
    {
        folder.write("state.json", state);
        let sentence = refused(&folder.incremental(&config(&fake), "rooms").run(), &fake);
        assert!(sentence.contains("`--output`") && sentence.contains("data/state.json"), "{sentence}");
        assert!(sentence.contains(says), "{sentence}");
    }
}

#[test]
fn what_a_user_did_to_a_file_stays() {
    let fake = short_pages(408);
    for touch in [
        |text: &str| format!("{{\"id\":\"mine\"}}\n{text}"),
        |text: &str| format!("{{\"id\":\"mine\"}}\n{text}{{\"id\":\"mine too\"}}"),
        |text: &str| format!("{{\"id\":\"mine{}\"}}\n", "x".repeat(text.len() * 2)),
    ] {
        let folder = Folder::new();
        folder.incremental(&config(&fake), "sessions").run().good(&fake);
        let touched = touch(&folder.text("sessions.jsonl"));
        folder.write("sessions.jsonl", &touched);
        fake.advance();
        let read = folder.incremental(&config(&fake), "sessions").run().good(&fake);
        let warned = read.logs(Level::Warn).iter().any(|line| line.contains("is not as the last read left it"));
        assert!(warned, "{:?}", read.logs(Level::Warn));
        let text = folder.text("sessions.jsonl");
        assert!(text.starts_with(&touched) && text.len() > touched.len());
        folder.records("sessions");
    }
    // A torn line, as a full disk leaves it, is removed with all that no state covers.
    let folder = Folder::new();
    folder.incremental(&config(&fake), "sessions").run().good(&fake);
    let text = folder.text("sessions.jsonl");
    folder.write("sessions.jsonl", &format!("{text}{{\"id\":\"torn"));
    folder.incremental(&config(&fake), "sessions").run().good(&fake);
    assert_eq!(folder.text("sessions.jsonl"), text);
}

#[test]
fn a_file_that_is_taken_away_during_a_read_is_not_claimed() {
    let fake = slow_fake(409);
    let remove = |path: PathBuf| fs::remove_file(path).expect("it can be removed");
    let empty = |path: PathBuf| fs::write(path, "").expect("it can be emptied");
    let take_away: [(&str, &dyn Fn(PathBuf)); 2] = [("removed", &remove), ("emptied", &empty)];
    for (name, take_away) in take_away {
        let folder = Folder::new();
        // Of one stream in the middle, and of one that is complete while another is not.
        for stream in ["sessions", "rooms"] {
            let running: Running = folder.incremental(&slowly(&fake), "sessions,rooms").start();
            wait_for(|| folder.path("state.json").exists() && folder.text("state.json").contains("\"pending\""));
            take_away(folder.path(&format!("{stream}.jsonl")));
            let finished = running.finish();
            assert_eq!(finished.status.code(), Some(1), "{name}: {}", finished.stderr);
            let says = format!("the file of `{stream}` was changed or removed");
            assert!(finished.stderr.contains(&says), "{name}: {}", finished.stderr);
        }
        folder.incremental(&config(&fake), "sessions,rooms").run().good(&fake);
        folder.assert_holds("sessions", &fake);
        folder.assert_holds("rooms", &fake);
    }
    let folder = Folder::new();
    let running = folder.incremental(&slowly(&fake), "sessions").start();
    wait_for(|| folder.path("state.json").exists());
    fs::remove_dir_all(folder.path("")).expect("it can be removed");
    assert_eq!(running.finish().status.code(), Some(1));
    folder.incremental(&config(&fake), "sessions").run().good(&fake);
    folder.assert_holds("sessions", &fake);
}

#[test]
fn planted_links_and_pipes_are_not_written_to() {
    let fake = short_pages(410);
    let folder = Folder::new();
    let victim = folder.directory.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    fs::create_dir(folder.path("")).unwrap();
    symlink(&victim, folder.path(".state.json.new")).unwrap();
    folder.incremental(&config(&fake), "rooms").run().good(&fake);
    folder.assert_holds("rooms", &fake);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(folder.text("state.json").contains("rooms"));
    for file in ["rooms.jsonl", "rooms.jsonl.part", "state.json", ".lock"] {
        let folder = Folder::new();
        fs::create_dir(folder.path("")).unwrap();
        symlink(&victim, folder.path(file)).unwrap();
        let sentence = refused(&folder.full(&config(&fake), "rooms").run(), &fake);
        assert!(sentence.contains(&format!("`{file}`")), "{sentence}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "{file}");
        fs::remove_file(folder.path(file)).unwrap();
        let made = Command::new("mkfifo").arg(folder.path(file)).status().expect("mkfifo(1) exists");
        assert!(made.success());
        let mut running = folder.full(&config(&fake), "rooms").start();
        let ended = running.wait(Duration::from_secs(5));
        if ended.is_none() {
            running.child.kill().expect("it can be killed");
        }
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{file} as a pipe");
    }
}

#[test]
fn new_files_are_for_nobody_else() {
    let fake = short_pages(411);
    let folder = Folder::new();
    folder.full(&config(&fake), "rooms,templates").run().good(&fake);
    folder.incremental(&config(&fake), "sessions").run().good(&fake);
    for entry in fs::read_dir(folder.path("")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}
