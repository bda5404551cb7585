//! Starts the binary against a fake and keeps all that is needed to understand a failure.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fake_100ms::{Counts, Fake, Options, Scale, is_same};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::messages::{Message, Transcript};

pub const STREAMS: [&str; 8] = [
    "sessions",
    "rooms",
    "active_room_peers",
    "templates",
    "template_settings",
    "templates_destinations",
    "analytics_events",
    "recordings",
];

/// The streams with a cursor.
pub const INCREMENTAL: [&str; 5] = ["sessions", "rooms", "templates", "analytics_events", "recordings"];

/// The streams that a configuration has to ask for. All of them have a cursor.
pub const EXTRA: [&str; 4] = ["webhook_events", "live_streams", "external_streams", "peer_quality"];

/// All streams there are.
pub fn every_stream() -> Vec<&'static str> {
    [STREAMS.as_slice(), &EXTRA].concat()
}

/// Waits of a bad day pass a hundred times faster in tests.
pub const TIME_SCALE: &str = "0.01";

/// A fake workspace with everything by default.
pub fn fake(seed: u64) -> Fake {
    Fake::start(Options { seed, ..Options::default() })
}

/// A configuration with app credentials that reads all there is.
pub fn config(fake: &Fake) -> Value {
    json!({
        "credentials": {"auth_type": "app_credentials", "app_access_key": fake.access_key(), "app_secret": fake.app_secret()},
        "start_date": "2018-01-01T00:00:00Z",
        "api_url": fake.url(),
    })
}

/// `config` with some keys set.
pub fn config_with(fake: &Fake, keys: Value) -> Value {
    let mut config = config(fake);
    for (key, value) in keys.as_object().expect("keys and values") {
        config[key] = value.clone();
    }
    config
}

/// A configured catalog without schemas: all columns.
pub fn catalog(streams: &[&str], sync_mode: &str) -> Value {
    let entry = |name: &&str| json!({"stream": {"name": name, "json_schema": {}}, "sync_mode": sync_mode, "destination_sync_mode": "append"});
    json!({"streams": streams.iter().map(entry).collect::<Vec<_>>()})
}

/// States as a platform hands them back.
pub fn states<'a>(states: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Value {
    let entry = |(name, state): (&String, &Value)| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}});
    Value::Array(states.into_iter().map(entry).collect())
}

/// A call of the binary in the making.
pub struct Call {
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Call {
    /// `command` without any file.
    pub fn new(command: &str) -> Call {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let environment = vec![("SOURCE_100MS_TIME_SCALE".to_owned(), TIME_SCALE.to_owned())];
        Call { directory, arguments: vec![command.to_owned()], environment }
    }

    pub fn check(config: &Value) -> Call {
        Call::new("check").file("config", config)
    }

    pub fn discover(config: &Value) -> Call {
        Call::new("discover").file("config", config)
    }

    pub fn read(config: &Value, catalog: &Value) -> Call {
        Call::new("read").file("config", config).file("catalog", catalog)
    }

    /// Adds `--flag FILE` with this JSON.
    pub fn file(self, flag: &str, content: &Value) -> Call {
        self.text(flag, content.to_string().as_bytes())
    }

    /// Adds `--flag FILE` with exactly these bytes.
    pub fn text(mut self, flag: &str, content: &[u8]) -> Call {
        let path = self.path(&format!("{flag}.txt"));
        std::fs::write(&path, content).expect("a temporary file");
        self.arguments.extend([format!("--{flag}"), path.display().to_string()]);
        self
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Call {
        self.arguments.push(argument.into());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Call {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the call's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        // Another build can be tried with the same tests.
        let binary = std::env::var("SOURCE_100MS_BINARY");
        let mut command = Command::new(binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_source-100ms")));
        // Like a platform's: nothing of ours, no writable working directory.
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned()).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        let output = self.command().output().expect("the binary starts");
        Finished {
            arguments: self.arguments.clone(),
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it and leaves the rest to the test.
    pub fn start(self) -> Running {
        let child = self.command().spawn().expect("the binary starts");
        Running { call: self, child }
    }
}

/// A process under way.
pub struct Running {
    pub call: Call,
    pub child: Child,
}

impl Running {
    /// Reads stdout until `bytes` have come (or the end), then kills the process on the spot.
    pub fn kill_after(mut self, bytes: usize) -> Finished {
        let mut stdout = Vec::new();
        let mut pipe = self.child.stdout.take().expect("stdout is piped");
        let mut buffer = [0; 4096];
        while stdout.len() < bytes {
            match pipe.read(&mut buffer).expect("stdout is readable") {
                0 => break,
                count => stdout.extend_from_slice(&buffer[..count]),
            }
        }
        let was_killed = stdout.len() >= bytes;
        if was_killed {
            self.child.kill().expect("the process can be killed");
        }
        // What was in the pipe when it died has been written.
        pipe.read_to_end(&mut stdout).expect("stdout is readable");
        self.finish_with(stdout)
    }

    /// Sends a signal by number.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill(1) exists").success());
    }

    /// Waits for the end without reading stdout.
    pub fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + at_most;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Reads all that is left, then waits.
    pub fn finish(mut self) -> Finished {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).expect("stdout is readable");
        }
        self.finish_with(stdout)
    }

    fn finish_with(mut self, stdout: Vec<u8>) -> Finished {
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr).expect("stderr is text");
        }
        let status = self.child.wait().expect("the process ends");
        Finished { arguments: self.call.arguments.clone(), status, stdout, stderr }
    }
}

/// What became of a call.
pub struct Finished {
    pub arguments: Vec<String>,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    /// The messages, each checked against the protocol.
    pub fn transcript(&self) -> Transcript {
        Transcript::parse(&self.stdout)
    }

    /// The transcript of a run that went well: exit code 0, nothing on stderr, no error, all in order.
    pub fn good(&self, fake: &Fake) -> Transcript {
        let transcript = self.transcript();
        let is_good = self.status.success() && self.stderr.is_empty() && transcript.errors().is_empty();
        assert!(is_good, "{}", self.report(fake));
        assert!(fake.unexpected().is_empty(), "requests against the documents: {:#?}", fake.unexpected());
        transcript.assert_in_order();
        transcript
    }

    /// Everything a person needs to see why a run failed.
    pub fn report(&self, fake: &Fake) -> String {
        let log = fake.request_log();
        let last: Vec<String> = log.iter().rev().take(15).map(|request| format!("{request:?}")).collect();
        let other: Vec<String> = self
            .transcript()
            .messages
            .iter()
            .filter(|m| !matches!(m, Message::Record { .. }))
            .map(|m| format!("{m:?}"))
            .collect();
        let tail = &other[other.len().saturating_sub(40)..];
        format!(
            "source-100ms {}\n{}\nlast requests (newest first):\n{}\nunexpected: {:?}\nmessages but records:\n{}\nstderr:\n{}",
            self.arguments.join(" "),
            self.status,
            last.join("\n"),
            fake.unexpected(),
            tail.join("\n"),
            self.stderr
        )
    }
}

/// Requests by route, whatever their status.
pub fn requests_by_route(fake: &Fake) -> Map<String, Value> {
    let mut by_route = Map::new();
    for request in fake.requests() {
        let before = by_route.get(&request.route).and_then(Value::as_u64).unwrap_or(0);
        by_route.insert(request.route, json!(before + request.count));
    }
    by_route
}

/// Asserts that `actual` holds exactly the records of `expected`, and says which differ and in what.
pub fn assert_same_records(
    stream: &str,
    actual: &std::collections::BTreeMap<String, Value>,
    expected: &std::collections::BTreeMap<String, Value>,
) {
    let missing: Vec<_> = expected.keys().filter(|key| !actual.contains_key(*key)).collect();
    let extra: Vec<_> = actual.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{stream}: missing {missing:?}, extra {extra:?}");
    for (key, expected) in expected {
        let (actual, expected) = (&actual[key], expected);
        let columns: Vec<_> = expected
            .as_object()
            .expect("a record")
            .keys()
            .filter(|column| !is_same(&actual[*column], &expected[*column]))
            .collect();
        let detail = || {
            columns
                .iter()
                .map(|column| format!("{column}: {} instead of {}", actual[*column], expected[*column]))
                .collect::<Vec<_>>()
        };
        assert!(columns.is_empty(), "{stream} `{key}`: {:#?}", detail());
        assert_eq!(
            actual.as_object().map(Map::len),
            expected.as_object().map(Map::len),
            "{stream} `{key}` has other columns"
        );
    }
}

/// A fake with short pages, so that every list has several.
pub fn short_pages(seed: u64) -> Fake {
    short_pages_at(seed, Options::default().now)
}

/// The same at another time. Where the server does not say the time, its clock must not be a year from this
/// machine's.
pub fn short_pages_at(seed: u64, now: DateTime<Utc>) -> Fake {
    let counts =
        Counts { rooms: 22, sessions: 120, recordings: 50, templates: 6, events_per_room: 10, ..Counts::default() };
    Fake::start(Options { seed, scale: Scale::Custom(counts), max_page: 20, now, ..Options::default() })
}

/// Waits until the fake has answered `count` requests since it was last reset.
pub fn until_answered(fake: &Fake, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while fake.total_requests() < count {
        assert!(Instant::now() < deadline, "only {} of {count} requests came", fake.total_requests());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Hides what differs from run to run: times, ids, and numbers that depend on the moment.
pub fn masked(sentence: &str) -> String {
    let words: Vec<&str> = sentence.split(' ').collect();
    let masked_word = |(at, word): (usize, &&str)| {
        let (before, after) = (at.checked_sub(1).map(|before| words[before]), words.get(at + 1));
        let is_seconds = after.is_some_and(|after| after.trim_end_matches([':', '.', ',', ')']) == "s");
        match before {
            _ if is_seconds && word.parse::<f64>().is_ok() => "[t]".to_owned(),
            _ if is_clock(word) => "[clock]".to_owned(),
            _ if after == Some(&"requests") && word.parse::<f64>().is_ok() => "[n]".to_owned(),
            Some("column") => format!("[n]{}", word.trim_start_matches(|letter: char| letter.is_ascii_digit())),
            _ => word.split('/').map(without_id).collect::<Vec<_>>().join("/"),
        }
    };
    words.iter().enumerate().map(masked_word).collect::<Vec<_>>().join(" ")
}

/// A date, or a time of day.
fn is_clock(word: &str) -> bool {
    let digits =
        |from: usize, to: usize| word.get(from..to).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let has = |at: usize, separator: u8| word.as_bytes().get(at) == Some(&separator);
    (digits(0, 4) && has(4, b'-') && has(7, b'-')) || (digits(0, 2) && has(2, b':') && digits(3, 5) && has(5, b':'))
}

fn without_id(segment: &str) -> &str {
    let is_id = segment.len() == 24 && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { "{id}" } else { segment }
}
