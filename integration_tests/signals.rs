//! Signals, pipes, full disks and slow readers.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, RetryHint, Scale, When};

use crate::harness::{
    BINARY, Call, Desk, Finished, Running, assert_same_records, catalog, config, fake, masked, offered_streams,
    short_pages, workspace_of_many_pages,
};
use crate::messages::{Status, Transcript};
use crate::platform::{Warehouse, assert_completes, assert_no_secret, examine, read_all};

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

const SIGINT: i32 = 2;

const SIGTERM: i32 = 15;

/// Docker kills after 10 s, and the design promises 5; a busy machine may take a little longer.
const SOON: Duration = Duration::from_secs(7);

/// Reads stdout until `bytes` have come.
fn read_some(running: &mut Running, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    let stdout = running.child.stdout.as_mut().expect("stdout is piped");
    stdout.read_exact(&mut read).expect("so much is written");
    read
}

/// Signals the process, and reads to its end all that comes after what was `read`.
fn end_by(signal: i32, running: Running, mut read: Vec<u8>) -> Finished {
    let signalled_at = Instant::now();
    running.signal(&signal.to_string());
    let run = running.finish();
    let took = signalled_at.elapsed();
    assert!(took < SOON, "it took {took:?} to end");
    assert_eq!(run.status.signal(), Some(signal), "{:?}", run.status);
    read.extend(&run.stdout);
    Finished { stdout: read, ..run }
}

/// Streams that began have an end, and it is said why.
fn assert_all_ended(transcript: &Transcript) {
    for stream in offered_streams() {
        let last = transcript.statuses_of(stream).last().copied();
        assert!(matches!(last, None | Some(Status::Complete | Status::Incomplete)), "{stream} is left {last:?}");
    }
    let is_incomplete = |stream: &&str| transcript.statuses_of(stream).last() == Some(&Status::Incomplete);
    assert!(offered_streams().iter().any(is_incomplete), "it was over before the signal came");
}

/// Ends a read under `plan` by `signal` after some bytes, and goes on from where it was cut.
fn is_cut_cleanly(name: &str, signal: i32, bytes: usize, plan: FaultPlan) {
    eprintln!("signal {signal}: {name}");
    let fake = short_pages(41);
    fake.set_faults(plan);
    let mut running = read_all(&fake).start();
    let read = read_some(&mut running, bytes);
    let run = end_by(signal, running, read);
    assert!(run.stdout.ends_with(b"\n"), "{name}: the last line is cut");
    assert!(run.stderr.is_empty(), "{name}: {}", run.stderr);
    let transcript = examine(&run, &fake);
    assert!(transcript.errors().is_empty(), "{name}: {:?}", transcript.errors());
    assert_all_ended(&transcript);
    let mut warehouse = Warehouse::default();
    warehouse.load(&transcript);
    assert_completes(warehouse, &fake);
}

#[test]
fn a_signal_ends_a_read_soon_and_whole() {
    let slow = || FaultPlan::new().latency(60, 30);
    let waits = |fault| slow().on("*", When::After(40), fault);
    let cases = [
        ("at the first byte", SIGTERM, 1, slow()),
        ("at the first byte", SIGINT, 1, slow()),
        ("in the middle", SIGTERM, 60_000, slow()),
        ("in the middle", SIGINT, 60_000, slow()),
        ("in a pause of half a minute", SIGTERM, 20_000, waits(Fault::TooManyRequests(RetryHint::Seconds(3_000)))),
        ("while answers stall", SIGTERM, 20_000, waits(Fault::EndlessStall)),
        ("while 100ms is down", SIGTERM, 20_000, waits(Fault::Status(503))),
    ];
    std::thread::scope(|scope| {
        for (name, signal, bytes, plan) in cases {
            scope.spawn(move || is_cut_cleanly(name, signal, bytes, plan));
        }
    });
}

#[test]
fn a_signal_is_obeyed_although_nobody_reads() {
    let fake = short_pages(42);
    let mut running = read_all(&fake).start();
    // Long enough that the pipe is full: it holds 64 kB, and there is more to say.
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.wait(Duration::ZERO).is_none(), "it ended although nobody reads");
    running.signal("TERM");
    let status = running.wait(SOON).expect("it ends soon");
    assert_eq!(status.signal(), Some(SIGTERM), "{status:?}");
    let run = running.finish();
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    let mut warehouse = Warehouse::default();
    warehouse.load(&examine(&run, &fake));
    assert_completes(warehouse, &fake);
}

#[test]
fn a_signal_ends_check_and_discover_without_an_answer() {
    for (name, call) in [("check", Call::check as fn(&_) -> _), ("discover", Call::discover)] {
        let fake = short_pages(43);
        fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::EndlessStall));
        // Real time, so that it waits for the stalled answer.
        let running = call(&config(&fake)).variable("SOURCE_100MS_TIME_SCALE", "1").start();
        while fake.total_requests() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let run = end_by(SIGTERM, running, Vec::new());
        let transcript = run.transcript();
        assert!(transcript.connection_status().is_none() && transcript.errors().is_empty(), "{name}");
        assert!(run.stderr.is_empty(), "{name}: {}", run.stderr);
        assert_no_secret(&run, &fake.secrets());
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for bytes in [1, 5_000, 100_000] {
        let fake = short_pages(44);
        fake.set_faults(FaultPlan::new().latency(20, 10));
        let mut running = read_all(&fake).start();
        let read = read_some(&mut running, bytes);
        drop(running.child.stdout.take());
        let status = running.wait(SOON).expect("it ends soon");
        assert!(status.code().is_some_and(|code| code != 0), "{bytes}: {status:?}");
        let run = Finished { stdout: read, ..running.finish() };
        assert_eq!(run.stderr, "", "after {bytes} bytes");
        assert_no_secret(&run, &fake.secrets());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_wait_for_another_try() {
    let fake = short_pages(44);
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Status(503)));
    let mut running = read_all(&fake).variable("SOURCE_100MS_TIME_SCALE", "100").start();
    std::thread::sleep(std::time::Duration::from_millis(700));
    drop(running.child.stdout.take());
    let status = running.wait(SOON).expect("it ends soon");
    assert!(status.code().is_some_and(|code| code != 0), "{status:?}");
    assert_eq!(running.finish().stderr, "");
}

/// The binary with its output where the harness would not put it.
fn run_into(stdout: Stdio, arguments: &[String]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_source-100ms"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.output().expect("the binary starts")
}

/// The arguments of each command, with their files in `directory`.
fn all_commands(fake: &Fake, directory: &std::path::Path) -> Vec<Vec<String>> {
    let file = |name: &str, content: &serde_json::Value| {
        let path = directory.join(name);
        std::fs::write(&path, content.to_string()).expect("a temporary file");
        path.display().to_string()
    };
    let config = format!("--config={}", file("config", &config(fake)));
    let catalog = format!("--catalog={}", file("catalog", &catalog(&offered_streams(), "full_refresh")));
    let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        arguments(&["spec"]),
        arguments(&["check", &config]),
        arguments(&["discover", &config, "--debug"]),
        arguments(&["read", &config, &catalog, "--debug"]),
    ]
}

#[test]
fn a_full_disk_is_one_sentence() {
    let (fake, directory) = (short_pages(45), tempfile::tempdir().expect("a temporary directory"));
    let mut sentences = Vec::new();
    for arguments in all_commands(&fake, directory.path()) {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = run_into(full.into(), &arguments);
        let stderr = String::from_utf8(output.stderr).expect("stderr is text");
        assert!(output.status.code().is_some_and(|code| code != 0), "{}: {:?}", arguments[0], output.status);
        assert_eq!(stderr.lines().count(), 1, "{}: {stderr}", arguments[0]);
        sentences.push((arguments[0].clone(), masked(stderr.trim_end())));
    }
    insta::assert_json_snapshot!("full_disk", sentences);
}

#[test]
fn a_pipe_closed_from_the_start_is_quiet() {
    let (fake, directory) = (short_pages(46), tempfile::tempdir().expect("a temporary directory"));
    for arguments in all_commands(&fake, directory.path()) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = run_into(writer.into(), &arguments);
        assert!(output.status.code().is_some_and(|code| code != 0), "{}: {:?}", arguments[0], output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", arguments[0]);
    }
}

/// The most memory the process has had, in MB.
fn peak_memory(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).expect("Linux tells");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is told");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
fn a_reader_that_stalls_costs_time_but_no_memory() {
    const MOST: u64 = 60;
    let counts = Counts { sessions: 40_000, rooms: 200, ..Counts::default() };
    let fake = Fake::start(Options { seed: 47, scale: Scale::Custom(counts), gzip: false, ..Options::default() });
    let mut running = Call::read(&config(&fake), &catalog(&["sessions"], "incremental")).argument("--debug").start();
    let read = read_some(&mut running, 1_000_000);
    std::thread::sleep(Duration::from_secs(3));
    let (asked, memory) = (fake.total_requests(), peak_memory(&running));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fake.total_requests(), asked, "it goes on asking although nobody reads");
    assert!(asked < 100, "{asked} requests for pages that nobody reads");
    let mut run = running.finish();
    eprintln!("{asked} requests, {memory} MB before the rest of {} MB", run.stdout.len() / 1_000_000);
    assert!(memory < MOST, "{memory} MB while nobody reads");
    run.stdout.splice(0..0, read);
    let transcript = run.good(&fake);
    assert_no_secret(&run, &fake.secrets());
    assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
}

#[test]
fn sigterm_ends_a_call_that_waits_for_its_files() {
    for flag in ["config", "catalog"] {
        let fake = workspace_of_many_pages(Options { seed: 81, ..Options::default() });
        let call = match flag {
            "config" => Call::new("check"),
            _ => Call::new("read").file("config", &config(&fake)),
        };
        let pipe = call.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo(1) exists").success());
        let mut running = call.argument(format!("--{flag}")).argument(pipe.display().to_string()).start();
        std::thread::sleep(Duration::from_millis(700));
        running.signal("TERM");
        let status = running.wait(Duration::from_secs(6));
        if status.is_none() {
            running.child.kill().expect("the process can be killed");
        }
        assert_eq!(status.and_then(|status| status.signal()), Some(15), "{flag}");
    }
}
