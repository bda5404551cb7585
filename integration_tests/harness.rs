//! Starts the binary against a fake and keeps all that is needed to understand a failure.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, Scale, Truth, When, is_same};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::messages::{CheckStatus, FailureType, Level, Message, Status, TraceError, Transcript};
use crate::platform::{Warehouse, assert_completes, examine, read_all, read_on};

/// The names of the streams that are `wanted`, in the order of `discover`.
fn names_of(wanted: impl Fn(&fake_100ms::Stream) -> bool) -> Vec<&'static str> {
    fake_100ms::streams().iter().filter(|stream| wanted(stream)).map(|stream| stream.name.as_str()).collect()
}

/// The streams that are always offered.
pub fn offered_streams() -> Vec<&'static str> {
    names_of(|stream| !stream.is_extra)
}

/// Those of them with a cursor.
pub fn incremental_streams() -> Vec<&'static str> {
    names_of(|stream| !stream.is_extra && stream.cursor.is_some())
}

/// The streams that are read whole each time.
pub fn streams_without_cursor() -> Vec<&'static str> {
    names_of(|stream| stream.cursor.is_none())
}

/// The streams that a configuration has to ask for.
pub fn extra_streams() -> Vec<&'static str> {
    names_of(|stream| stream.is_extra)
}

/// All streams there are.
pub fn every_stream() -> Vec<&'static str> {
    names_of(|_| true)
}

/// The lists of 100ms whose pages follow each other by tokens, with the stream that reads each.
pub const LISTS_WITH_TOKENS: [(&str, &str); 6] = [
    ("/v2/sessions", "sessions"),
    ("/v2/rooms", "rooms"),
    ("/v2/templates", "templates"),
    ("/v2/recordings", "recordings"),
    ("/v2/recording-assets", "recordings"),
    ("/v2/analytics/events", "analytics_events"),
];

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
        Running { call: self, child, reader: None }
    }
}

/// A process under way.
pub struct Running {
    pub call: Call,
    pub child: Child,
    reader: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Reads stdout in a thread from now on. Without it the process stops at a full pipe, after 64 KB, until
    /// [`Running::finish`] reads on.
    pub fn with_reader(mut self) -> Running {
        let mut pipe = self.child.stdout.take().expect("stdout is piped");
        self.reader = Some(std::thread::spawn(move || {
            let mut stdout = Vec::new();
            pipe.read_to_end(&mut stdout).expect("stdout is readable");
            stdout
        }));
        self
    }

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
        if self.reader.is_none() && self.child.stdout.is_some() {
            self = self.with_reader();
        }
        let stdout = self.reader.take().map(|reader| reader.join().expect("stdout is read"));
        self.finish_with(stdout.unwrap_or_default())
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

pub fn says(text: &str) -> Fault {
    Fault::Says(text.to_owned())
}

pub fn read_in_full(fake: &Fake, streams: &[&str]) -> Finished {
    let config = config_with(fake, json!({"extra_streams": extra_streams()}));
    Call::read(&config, &catalog(streams, "full_refresh")).argument("--debug").run()
}

pub fn assert_is_the_truth(name: &str, fake: &Fake, transcript: &Transcript, streams: &[&str]) {
    let truth = fake.truth();
    for stream in streams {
        eprintln!("{name}: {stream}");
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
}

/// Part of every secret typed in these tests: nothing that is printed may hold it.
pub const HUSH: &str = "hush";

/// The advice comes last and begins with what to do, or says that there is nothing to do.
pub const MENDS: [&str; 17] = [
    "check",
    "choose",
    "copy",
    "give",
    "grant",
    "leave",
    "look",
    "make",
    "name",
    "nothing is wrong",
    "paste",
    "remove",
    "restore",
    "save",
    "set",
    "use",
    "write",
];

/// Longer than that, nobody reads it.
pub const LONGEST_SENTENCE: usize = 300;

/// What is wrong with a sentence for the person who must act, whatever it is about.
pub fn flaws_of(sentence: &str) -> Vec<String> {
    let is_whole = sentence.ends_with(['.', '?']) && !sentence.contains(char::is_control);
    // What to do stands last, or the sentence says what must be there, or what was probably meant.
    let parts = || sentence.split(": ").flat_map(|part| part.split(". ")).skip(1);
    let has_advice = parts().any(|part| MENDS.iter().any(|mend| part.to_lowercase().starts_with(mend)))
        || sentence.contains(" must be ")
        || sentence.contains("did you mean `");
    let is_plain = !["please", "!", "Error", "Some(", "None", "panick", "serde", "os error"]
        .iter()
        .any(|noise| sentence.contains(noise));
    let checks = [
        (is_whole, "it is not a sentence"),
        (has_advice, "it does not end in advice"),
        (is_plain, "it is not plain"),
        (sentence.chars().count() <= LONGEST_SENTENCE, "it is too long"),
    ];
    checks.into_iter().filter(|(is_good, _)| !is_good).map(|(_, flaw)| flaw.to_owned()).collect()
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_source-100ms");

/// A folder with a configuration in it, where somebody works.
pub struct Desk {
    pub folder: TempDir,
}

impl Desk {
    pub fn new(config: &Value) -> Desk {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a temporary file");
        Desk { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let bin = Path::new(BINARY).parent().expect("a folder of programs");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        command.current_dir(self.folder.path()).env_clear().env("PATH", path);
        command.env("SOURCE_100MS_TIME_SCALE", TIME_SCALE).env("TERM", "xterm").env("COLUMNS", "120");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a line of shell, as somebody types it.
    pub fn shell(&self, line: &str) -> Output {
        self.command("sh").args(["-ec", line]).output().expect("a shell")
    }

    /// Runs a line of shell and returns what it wrote, when it went well and was silent otherwise.
    pub fn good(&self, line: &str) -> String {
        let output = self.shell(line);
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success() && stderr.is_empty(), "{line}\n{stdout}\n{stderr}");
        stdout
    }

    /// What a terminal shows of a line of shell.
    pub fn screen(&self, line: &str) -> (String, Option<i32>) {
        let output = self.command("script").args(["-qec", line, "/dev/null"]).output().expect("script(1) exists");
        (texts(&output).0, output.status.code())
    }

    /// The records in the file of a stream, by key, with how many lines there are.
    pub fn records(&self, file: &str, key: &str) -> (BTreeMap<String, Value>, usize) {
        let lines: Vec<Value> =
            self.text(file).lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        let count = lines.len();
        (lines.into_iter().map(|record| (record[key].as_str().expect("a key").to_owned(), record)).collect(), count)
    }
}

pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub fn transcript(text: &str) -> Transcript {
    Transcript::parse(text.as_bytes())
}

/// The JSON of the only line of `type` in what a run wrote.
pub fn the_only(finished: &Finished, kind: &str) -> Value {
    let text = std::str::from_utf8(&finished.stdout).expect("the output is UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    let found: Vec<Value> = lines.filter(|line| line["type"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {text}");
    found.into_iter().next().unwrap()
}

/// An address where nobody listens.
pub fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// How long something took is not part of a sentence's review.
pub fn without_seconds(sentence: &str) -> String {
    let cut = sentence.split_once(" times in ").and_then(|(before, after)| Some((before, after.split_once(" s")?.1)));
    cut.map_or(sentence.to_owned(), |(before, after)| format!("{before} times in … s{after}"))
}

/// Whoever tests or discovers has no sync that could go on.
pub fn speaks_of_a_sync(sentence: &str) -> Option<String> {
    sentence.contains("the next sync").then(|| format!("nothing is being synced: {sentence}"))
}

pub fn kind(message: &Message) -> &'static str {
    match message {
        Message::Record { .. } => "RECORD",
        Message::State { .. } => "STATE",
        Message::Log { .. } => "LOG",
        Message::Trace { .. } => "TRACE",
        Message::Spec { .. } => "SPEC",
        Message::ConnectionStatus { .. } => "CONNECTION_STATUS",
        Message::Catalog { .. } => "CATALOG",
    }
}

/// What `check` says when it fails, and whether the user can mend it.
pub fn sentence(run: &Finished) -> (bool, String) {
    let transcript = run.transcript();
    if let Some(status) = transcript.connection_status() {
        assert_eq!(status.status, CheckStatus::Failed, "{}", run.stderr);
        return (true, status.message.clone().expect("a reason"));
    }
    let errors = transcript.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].failure_type, FailureType::TransientError);
    (false, errors[0].message.clone())
}

pub fn read_with_state(fake: &Fake, config: &Value, state: &Value) -> Transcript {
    Call::read(config, &catalog(&["rooms"], "incremental")).file("state", state).run().good(fake)
}

pub const STATS: &str = "/v2/analytics/peer-stats";

/// A configuration that asks for all of them.
pub fn extra_config(fake: &Fake) -> Value {
    config_with(fake, json!({"extra_streams": extra_streams()}))
}

pub fn fake_with_of_extra_streams(readings: Readings, counts: Counts) -> Fake {
    Fake::start(Options { seed: 61, readings, scale: Scale::Custom(counts), ..Options::default() })
}

pub fn read_of_extra_streams(fake: &Fake, streams: &[&str]) -> Transcript {
    Call::read(&extra_config(fake), &catalog(streams, "full_refresh")).run().good(fake)
}

pub fn time_of_extra_streams(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Every route that a full read asks.
pub const ROUTES: [&str; 10] = [
    "/v2/sessions",
    "/v2/rooms",
    "/v2/active-rooms/{room_id}/peers",
    "/v2/templates",
    "/v2/templates/{id}/settings",
    "/v2/templates/{id}/destinations",
    "/v2/recordings",
    "/v2/recording-assets",
    "/v2/recording-assets/{id}/presigned-url",
    "/v2/analytics/events",
];

/// Runs `test` for each case, a few at a time as most of them wait, and gives the results in order.
pub fn for_each<C: Sync, R: Send>(cases: &[C], test: impl Fn(&C) -> R + Sync) -> Vec<R> {
    const AT_ONCE: usize = 3;
    let mut results = Vec::new();
    for some in cases.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|case| scope.spawn(|| test(case))).collect();
            results.extend(threads.into_iter().map(|thread| thread.join().expect("the case holds")));
        });
    }
    results
}

/// Reads under `plan` and asserts that it made no difference; gives the transcript of that.
pub fn rides_out(name: &str, plan: FaultPlan, may_repeat: bool) -> Transcript {
    eprintln!("riding out: {name}");
    let fake = short_pages_at(21, Utc::now() - TimeDelta::hours(1));
    fake.set_faults(plan);
    let run = read_all(&fake).run();
    let transcript = run.good(&fake);
    examine(&run, &fake);
    let faults = fake.request_log().iter().filter(|request| request.fault.is_some()).count();
    assert!(faults >= 2, "{name}: only {faults} faults hit");
    let truth = fake.truth();
    for stream in offered_streams() {
        let (records, count) = transcript.by_key(stream);
        assert_same_records(stream, &records, &truth.streams[stream]);
        assert!(may_repeat || count == records.len(), "{name}: {stream} has a record twice");
    }
    transcript
}

/// A fault that stays on a route, and what must come of it.
pub struct Lasting {
    pub name: &'static str,
    pub plan: FaultPlan,
    /// The streams that cannot be read to the end.
    pub fails: &'static [&'static str],
    pub kind: FailureType,
}

/// What the user reads of a failed stream.
#[derive(serde::Serialize)]
pub struct Sentences {
    pub case: &'static str,
    pub stream: String,
    pub failure_type: String,
    pub message: String,
    pub internal_message: String,
}

pub fn sentences(case: &'static str, error: &TraceError) -> Sentences {
    Sentences {
        case,
        stream: error.stream_descriptor.as_ref().map_or_else(|| "the connection".to_owned(), |at| at.name.clone()),
        failure_type: format!("{:?}", error.failure_type),
        message: masked(&error.message),
        internal_message: masked(&error.internal_message),
    }
}

/// The streams that ended badly each have one error and no good end; the others are complete.
pub fn assert_ends(transcript: &Transcript, streams: &[&str], fails: &[&str], kind: FailureType, case: &str) {
    for stream in streams {
        // What may strike them all is said of the connection, not of a stream.
        let is_at_fault = |name: Option<&str>| name.map_or(fails == [*stream], |name| name == *stream);
        let of_stream = |error: &&&TraceError| is_at_fault(error.stream_descriptor.as_ref().map(|at| at.name.as_str()));
        let errors: Vec<_> = transcript.errors().iter().filter(of_stream).copied().cloned().collect();
        let (last, count) = if fails.contains(stream) { (Status::Incomplete, 1) } else { (Status::Complete, 0) };
        assert_eq!(transcript.statuses_of(stream).last(), Some(&last), "{case}: {stream}");
        assert_eq!(errors.len(), count, "{case}: {stream}: {errors:?}");
        assert!(errors.iter().all(|error| error.failure_type == kind), "{case}: {errors:?}");
    }
    assert_eq!(transcript.errors().len(), fails.len(), "{case}: {:?}", transcript.errors());
}

/// Reads under a fault that stays: one stream fails, the others are the truth, and the next read on a
/// good day goes on to the whole truth.
pub fn fails_alone(case: &Lasting, time_scale: &str) -> Vec<Sentences> {
    eprintln!("failing: {}", case.name);
    let fake = short_pages(24);
    fake.set_faults(case.plan.clone());
    // Events and people in rooms are read from the list of sessions as well: where that fails, they would by chance.
    let shares_the_list =
        |stream: &&&str| case.fails == ["sessions"] && ["analytics_events", "active_room_peers"].contains(*stream);
    let streams: Vec<&str> = offered_streams().iter().filter(|stream| !shares_the_list(stream)).copied().collect();
    let call = Call::read(&config(&fake), &catalog(&streams, "incremental")).argument("--debug");
    let run = call.variable("SOURCE_100MS_TIME_SCALE", time_scale).run();
    let transcript = examine(&run, &fake);
    assert_eq!(run.status.code(), Some(1), "{}: {}", case.name, run.report(&fake));
    assert!(run.stderr.is_empty(), "{}: {}", case.name, run.stderr);
    assert_ends(&transcript, &streams, case.fails, case.kind, case.name);
    let truth = fake.truth();
    for stream in streams.iter().filter(|stream| !case.fails.contains(stream)) {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
    let mut warehouse = Warehouse::default();
    warehouse.load(&transcript);
    assert_completes(warehouse, &fake);
    let mut sentences: Vec<_> = transcript.errors().into_iter().map(|error| sentences(case.name, error)).collect();
    sentences.sort_by(|one, other| one.stream.cmp(&other.stream));
    sentences
}

pub static FAKE: LazyLock<Fake> = LazyLock::new(|| fake(31));

/// Which records must come of every configured stream.
#[derive(Clone, Copy)]
pub enum Expected {
    All,
    /// Those whose cursor is at or after this.
    Since(DateTime<Utc>),
    Nothing,
}

/// One odd input, everything else being as usual: `rooms`, full refresh, no state.
pub struct Odd {
    pub name: &'static str,
    pub config: Value,
    pub catalog: Value,
    pub state: Option<String>,
    pub expected: Expected,
    /// A part of each warning, in order.
    pub warnings: Vec<&'static str>,
}

impl Odd {
    pub fn new(name: &'static str) -> Odd {
        let catalog = catalog(&["rooms"], "full_refresh");
        Odd { name, config: config(&FAKE), catalog, state: None, expected: Expected::All, warnings: Vec::new() }
    }

    pub fn config(self, config: Value) -> Odd {
        Odd { config, ..self }
    }

    pub fn catalog(self, catalog: Value) -> Odd {
        Odd { catalog, ..self }
    }

    /// The content of the state file, for an incremental read of `rooms`.
    pub fn state(self, state: impl ToString) -> Odd {
        Odd { state: Some(state.to_string()), catalog: catalog(&["rooms"], "incremental"), ..self }
    }

    pub fn gives(self, expected: Expected) -> Odd {
        Odd { expected, ..self }
    }

    pub fn warns(mut self, warning: &'static str) -> Odd {
        self.warnings.push(warning);
        self
    }

    /// Runs it and checks all that the row promises.
    pub fn run(self) -> Transcript {
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

    pub fn assert_read(&self, transcript: &Transcript) {
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

pub fn descriptor(stream: &str, state: &Value) -> Value {
    json!({"stream_descriptor": {"name": stream, "namespace": null}, "stream_state": state})
}

pub fn read_of_keys(fake: &Fake, streams: &[&str]) -> Transcript {
    let config = config_with(fake, json!({"extra_streams": extra_streams()}));
    Call::read(&config, &catalog(streams, "full_refresh")).run().good(fake)
}

/// A small workspace.
pub fn workspace(seed: u64, readings: Readings) -> Fake {
    let counts = Counts { rooms: 10, sessions: 40, peers_with_stats: 30, events_per_room: 2, ..Counts::default() };
    Fake::start(Options { seed, readings, scale: Scale::Custom(counts), ..Options::default() })
}

/// The streams that look at the people in sessions.
pub const PEER_STREAMS: [&str; 3] = ["sessions", "analytics_events", "peer_quality"];

pub fn read_with(fake: &Fake, settings: Value) -> Transcript {
    let mut settings = settings;
    settings["extra_streams"] = json!(["peer_quality"]);
    Call::read(&config_with(fake, settings), &catalog(&PEER_STREAMS, "full_refresh")).run().good(fake)
}

pub const SALT: &str = "5alt-of-the-tests-0123456789";

pub fn settings(fake: &Fake, choice: &str) -> Value {
    match choice {
        "hash" => config_with(fake, json!({"personal_data": "hash", "personal_data_salt": SALT})),
        choice => config_with(fake, json!({"personal_data": choice})),
    }
}

pub fn read_everything(fake: &Fake) -> Transcript {
    Call::read(&config(fake), &catalog(&offered_streams(), "full_refresh")).run().good(fake)
}

pub fn assert_everything_is_the_truth(transcript: &Transcript, fake: &Fake) {
    let truth = fake.truth();
    for stream in offered_streams() {
        let (records, count) = transcript.by_key(stream);
        assert_same_records(stream, &records, &truth.streams[stream]);
        assert_eq!(count, records.len(), "{stream}: a record came twice");
        assert!(count > 0, "{stream} is empty: the test proves nothing");
    }
}

pub fn always(route: &str, fault: Fault) -> FaultPlan {
    FaultPlan::new().on(route, When::Always, fault)
}

/// A connection that reads one stream, what it has written, and its last state.
pub struct Reader<'f> {
    pub fake: &'f Fake,
    pub stream: &'static str,
    pub config: Value,
    pub records: BTreeMap<String, Value>,
    pub state: BTreeMap<String, Value>,
}

impl<'f> Reader<'f> {
    pub fn new(fake: &'f Fake, stream: &'static str) -> Self {
        let config = config_with(fake, json!({"extra_streams": ["peer_quality"]}));
        Reader { fake, stream, config, records: BTreeMap::new(), state: BTreeMap::new() }
    }

    pub fn call(&self) -> Call {
        let call = Call::read(&self.config, &catalog(&[self.stream], "incremental"));
        call.file("state", &states(&self.state)).argument("--debug")
    }

    pub fn load(&mut self, run: &Finished) -> Transcript {
        let transcript = run.transcript();
        transcript.assert_in_order();
        self.records.extend(transcript.by_key(self.stream).0);
        self.state.extend(transcript.last_states());
        transcript
    }

    /// A sync that reads the stream to its end.
    pub fn completes(&mut self) -> Transcript {
        let run = self.call().run();
        run.good(self.fake);
        self.load(&run)
    }

    /// A sync that ends with one error of the stream.
    pub fn fails(&mut self, kind: FailureType) -> Transcript {
        let run = self.call().run();
        let transcript = self.load(&run);
        assert_eq!(run.status.code(), Some(1), "{}", run.report(self.fake));
        assert_eq!(transcript.statuses_of(self.stream).last(), Some(&Status::Incomplete));
        let errors = transcript.errors();
        assert!(errors.len() == 1 && errors[0].failure_type == kind, "{errors:?}");
        transcript
    }

    pub fn pending(&self) -> &Value {
        &self.state[self.stream]["resume"]["pending"]
    }

    pub fn assert_is(&self, truth: &Truth) {
        assert_same_records(self.stream, &self.records, &truth.streams[self.stream]);
    }
}

pub fn busy_fake(seed: u64) -> Fake {
    let counts = Counts {
        sessions: 12_000,
        rooms: 300,
        recordings: 900,
        events_per_room: 60,
        templates: 40,
        ..Counts::default()
    };
    Fake::start(Options { seed, scale: Scale::Custom(counts), gzip: false, ..Options::default() })
}

/// A small workspace.
pub fn plain_workspace(seed: u64) -> Fake {
    let counts = Counts {
        rooms: 15,
        sessions: 30,
        templates: 5,
        recordings: 40,
        events_per_room: 4,
        live_streams: 10,
        external_streams: 10,
        webhook_events: 40,
        peers_with_stats: 20,
        ..Counts::default()
    };
    Fake::start(Options { seed, gzip: false, scale: Scale::Custom(counts), ..Options::default() })
}

pub fn item(id: &str, members: &str) -> String {
    format!(r#"{{"id":"{id}","created_at":"2025-06-01T10:00:00Z","updated_at":"2025-06-01T11:00:00Z"{members}}}"#)
}

/// An hour ago: this machine's clock is then ahead of the data's, as both are of every test's usual workspace.
pub fn an_hour_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

pub fn sync(fake: &Fake, warehouse: &mut Warehouse) -> Transcript {
    // Every room is asked in every sync, so that the truth is due at once and not within a day.
    let config = &config_with(fake, json!({"analytics_rooms": "all"}));
    let run = read_on(config, &warehouse.states).run();
    let transcript = run.good(fake);
    examine(&run, fake);
    warehouse.load(&transcript);
    transcript
}

/// No single case waits longer than that for its end.
pub const SOON: Duration = Duration::from_secs(90);

pub fn assert_reads_all(transcript: &Transcript, fake: &Fake, streams: &[&str]) {
    let truth = fake.truth();
    for stream in streams {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
}

/// A workspace with several short pages of everything, but for what `options` says otherwise.
pub fn workspace_of_many_pages(options: Options) -> Fake {
    let counts =
        Counts { rooms: 44, sessions: 130, recordings: 60, templates: 24, events_per_room: 4, ..Counts::default() };
    Fake::start(Options { scale: Scale::Custom(counts), max_page: 20, ..options })
}

/// A read of some streams that goes on from `saved`.
pub fn read_from_states(config: &Value, streams: &[&str], saved: &BTreeMap<String, Value>) -> Call {
    Call::read(config, &catalog(streams, "incremental")).file("state", &states(saved)).argument("--debug")
}

/// A first read of some streams of this workspace.
pub fn first_read(fake: &Fake, streams: &[&str]) -> Call {
    read_from_states(&config(fake), streams, &BTreeMap::new())
}

/// Runs to the end, or panics when that does not come in time.
pub fn ends_within(call: Call, at_most: Duration) -> Finished {
    let mut running = call.start();
    let stdout = running.child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || {
        let (mut stdout, mut bytes) = (stdout, Vec::new());
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes)
    });
    let began = Instant::now();
    if running.wait(at_most).is_none() {
        running.child.kill().expect("the process can be killed");
        panic!("no end after {:.0?}: {}", began.elapsed(), running.call.path("").display());
    }
    let stdout = reader.join().expect("it reads").expect("stdout is readable");
    Finished { stdout, ..running.finish() }
}

/// The warnings that hold all of these words.
pub fn warnings_with<'a>(transcript: &'a Transcript, words: &[&str]) -> Vec<&'a str> {
    let holds = |log: &&str| words.iter().all(|word| log.contains(word));
    transcript.logs(Level::Warn).into_iter().filter(holds).collect()
}

/// A configuration with a token from the dashboard.
pub fn with_pasted_token(fake: &Fake) -> Value {
    let token = fake.token();
    let mut config = config(fake);
    config["credentials"] = json!({"auth_type": "management_token", "management_token": token});
    config
}
