//! What a sync costs: requests, CPU, memory and time of the release binary against a large fake workspace.
//!
//! Times depend on the machine, so each stands beside a ratio to something measured in the same run.
//! Nothing is asserted but that every record came. `--full` reads a million sessions.
#![expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fake_100ms::{Counts, Fake, FaultPlan, Options, Scale};
use serde_json::json;

type Done<T> = Result<T, Box<dyn Error>>;

const SESSIONS: usize = 100_000;
const PEERS: usize = 3;
const WORKERS: usize = 10;
const LATENCY_MILLISECONDS: u64 = 50;
/// `USER_HZ`: what `/proc` counts CPU time in, on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Done<()> {
    let is_full = std::env::args().any(|argument| argument == "--full");
    let (few, many) = if is_full { (20_000, 1_000_000) } else { (20_000, 200_000) };
    let connector = Connector::find()?;
    let began = Instant::now();
    println!("Sessions with {PEERS} peers each, from a fake on this machine, which shares the cores.\n");
    println!("  {:<46}{:>12}   {:<22}", "", "measured", "target");
    println!("  {}", "─".repeat(82));

    let spec = connector.spec_milliseconds()?;
    row("`spec`, median of 20", &format!("{spec:.1} ms"), "5 ms");

    let fake = workspace(SESSIONS);
    let run = connector.read(&fake, SESSIONS, WORKERS)?;
    let pages = pages(&fake);
    let bare = bare_fetch(&fake, &pages)?;
    let megabytes = bare.bytes as f64 / 1e6;
    heading(&format!("{} sessions, {megabytes:.0} MB of JSON, {WORKERS} workers", grouped(SESSIONS)));
    row("requests", &grouped(run.requests), "at most 1,040");
    row("CPU", &seconds(run.cpu), "1.0 s, aim 0.5");
    row("memory, at most", &memory(run.kilobytes), "25 MB");
    row("time", &seconds(run.wall), "");
    row("  a bare fetch of these pages, nothing parsed", &seconds(bare.wall), "");
    row("  connector / bare fetch, time", &ratio(run.wall, bare.wall), "");
    row("  connector / bare fetch, CPU", &ratio(run.cpu, bare.cpu), "");

    fake.set_faults(FaultPlan::new().latency(LATENCY_MILLISECONDS, 0));
    let slow = connector.read(&fake, SESSIONS, WORKERS)?;
    let slow_bare = bare_fetch(&fake, &pages)?;
    drop(fake);
    let fake = workspace(few);
    let flat_few = connector.read(&fake, few, WORKERS)?;
    fake.set_faults(FaultPlan::new().latency(LATENCY_MILLISECONDS, 0));
    let alone = connector.read(&fake, few, 1)?;
    drop(fake);
    let each = |run: &Run| run.wall / run.requests as f64;
    heading(&format!("the same with each answer {LATENCY_MILLISECONDS} ms late"));
    row(&format!("time, {WORKERS} workers"), &seconds(slow.wall), "6.7 s");
    row("  a bare fetch on 10 connections", &seconds(slow_bare.wall), "5.35 s");
    row("  connector / bare fetch", &ratio(slow.wall, slow_bare.wall), "1.25 ×");
    row(&format!("time of 1 worker, {} sessions", grouped(few)), &seconds(alone.wall), "");
    row("  1 worker / 10 workers, by request", &ratio(each(&alone), each(&slow)), "10 × at best");

    let fake = workspace(many);
    let flat_many = connector.read(&fake, many, WORKERS)?;
    heading("memory, whatever the size of the account");
    row(&format!("{} sessions", grouped(few)), &memory(flat_few.kilobytes), "25 MB");
    row(&format!("{} sessions", grouped(many)), &memory(flat_many.kilobytes), "25 MB");
    let growth = ratio(flat_many.kilobytes as f64, flat_few.kilobytes as f64);
    row(&format!("  {} times the sessions", many / few), &growth, "flat: 1.0 ×");

    println!("\nTargets are from the design, for 2 cores. Took {:.0} s.", began.elapsed().as_secs_f64());
    Ok(())
}

/// A workspace with sessions of one size, evenly spread.
fn workspace(sessions: usize) -> Fake {
    let counts = Counts {
        rooms: 100,
        sessions,
        peers_per_session: PEERS,
        templates: 0,
        recordings: 0,
        events_per_room: 0,
        varied: false,
        ..Counts::default()
    };
    // Compressing would cost the fake more than all the rest.
    Fake::start(Options { scale: Scale::Custom(counts), gzip: false, ..Options::default() })
}

/// What a run of the connector came to.
struct Run {
    wall: f64,
    cpu: f64,
    kilobytes: u64,
    requests: usize,
}

/// The release binary and a folder for its files.
struct Connector {
    binary: PathBuf,
    folder: tempfile::TempDir,
}

impl Connector {
    /// The binary beside this example, built when it is missing or older than the sources.
    fn find() -> Done<Self> {
        let example = std::env::current_exe()?;
        let release = example.parent().and_then(Path::parent).ok_or("the benchmark lies outside of a target folder")?;
        let binary = release.join("source-100ms");
        let built = fs::metadata(&binary).and_then(|file| file.modified()).ok();
        if built.is_none_or(|built| newest(Path::new("src")).is_ok_and(|changed| changed > built)) {
            let target = release.parent().ok_or("the release folder has no parent")?;
            let mut build = Command::new("cargo");
            build.args(["build", "--quiet", "--release", "--bin", "source-100ms", "--target-dir"]).arg(target);
            if !build.status()?.success() {
                return Err("the connector cannot be built".into());
            }
        }
        Ok(Self { binary, folder: tempfile::tempdir()? })
    }

    fn spec_milliseconds(&self) -> Done<f64> {
        let mut times = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            Command::new(&self.binary).arg("spec").stdout(Stdio::null()).status()?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Reads all sessions, as a platform does: through a pipe.
    fn read(&self, fake: &Fake, sessions: usize, workers: usize) -> Done<Run> {
        let config = json!({
            "credentials": {"auth_type": "management_token", "management_token": fake.token()},
            "start_date": "2015-01-01T00:00:00Z", "num_workers": workers, "api_url": fake.url(),
        });
        let stream = json!({"stream": {"name": "sessions", "json_schema": {}}, "sync_mode": "incremental"});
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("config.json"), config.to_string())?;
        fs::write(path("catalog.json"), json!({"streams": [stream]}).to_string())?;
        fake.reset_requests();

        let (began, cpu_before) = (Instant::now(), cpu_of_children()?);
        let mut child = Command::new(&self.binary)
            .args([Path::new("read"), "--config".as_ref(), &path("config.json")])
            .args([Path::new("--catalog"), &path("catalog.json")])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the connector has no output")?;
        let counting = thread::spawn(move || count_records(output));
        let mut kilobytes = 0;
        let status = loop {
            kilobytes = peak_kilobytes(child.id()).unwrap_or_default().max(kilobytes);
            match child.try_wait()? {
                Some(status) => break status,
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        let wall = began.elapsed().as_secs_f64();
        // Exact, as the child has been waited for; only whole hundredths.
        let cpu = cpu_of_children()? - cpu_before;
        let records = counting.join().map_err(|_| "the reader of the output failed")??;
        // A session that ends in between may come twice; in a fake that stands still none does.
        if !status.success() || records != sessions {
            return Err(format!("{status}, {records} of {sessions} records came").into());
        }
        Ok(Run { wall, cpu, kilobytes, requests: fake.total_requests().try_into()? })
    }
}

/// When the newest file below `folder` was written.
fn newest(folder: &Path) -> Done<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        latest = latest.max(if path.is_dir() { newest(&path)? } else { fs::metadata(&path)?.modified()? });
    }
    Ok(latest)
}

fn count_records(output: impl Read) -> std::io::Result<usize> {
    let (mut output, mut line, mut records) = (BufReader::with_capacity(1 << 20, output), Vec::new(), 0);
    while output.read_until(b'\n', &mut line)? > 0 {
        records += usize::from(line.starts_with(br#"{"type":"RECORD""#));
        line.clear();
    }
    Ok(records)
}

/// `VmHWM`: the most memory the process has had so far.
fn peak_kilobytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Seconds of CPU, user and system, of all children that have been waited for: `cutime` and `cstime`.
fn cpu_of_children() -> Done<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("/proc/self/stat has another form")?.1;
    let times = after_name.split_whitespace().skip(13).take(2);
    let ticks: u64 = times.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The paths of the pages that were last read.
fn pages(fake: &Fake) -> Vec<String> {
    fake.request_log().into_iter().filter(|request| request.status == 200).map(|request| request.target).collect()
}

/// What fetching the pages came to when nothing looks into them.
struct Bare {
    wall: f64,
    cpu: f64,
    bytes: usize,
}

/// Fetches `pages` on ten connections.
fn bare_fetch(fake: &Fake, pages: &[String]) -> Done<Bare> {
    let address = fake.url().trim_start_matches("http://").to_owned();
    let (token, next) = (fake.token(), AtomicUsize::new(0));
    let began = Instant::now();
    let fetch = || -> std::io::Result<(usize, f64)> {
        let mut connection = BufReader::with_capacity(1 << 16, TcpStream::connect(&address)?);
        connection.get_ref().set_nodelay(true)?;
        let (mut bytes, mut body) = (0, Vec::new());
        while let Some(target) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
            connection.get_mut().write_all(request.as_bytes())?;
            body.resize(content_length(&mut connection)?, 0);
            connection.read_exact(&mut body)?;
            bytes += body.len();
        }
        let nanoseconds = fs::read_to_string("/proc/thread-self/schedstat")?;
        let nanoseconds: f64 = nanoseconds.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
        Ok((bytes, nanoseconds / 1e9))
    };
    let fetched: Vec<std::io::Result<(usize, f64)>> = thread::scope(|scope| {
        let connections: Vec<_> = (0..10).map(|_| scope.spawn(fetch)).collect();
        let failed = |_| Err(std::io::Error::other("a connection of the bare fetch failed"));
        connections.into_iter().map(|connection| connection.join().unwrap_or_else(failed)).collect()
    });
    let mut bare = Bare { wall: began.elapsed().as_secs_f64(), cpu: 0.0, bytes: 0 };
    for result in fetched {
        let (bytes, cpu) = result?;
        bare.bytes += bytes;
        bare.cpu += cpu;
    }
    Ok(bare)
}

/// Reads the head of an answer; returns how long its body is.
fn content_length(connection: &mut impl BufRead) -> std::io::Result<usize> {
    let (mut length, mut line) = (None, String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return length.ok_or_else(|| std::io::Error::other("an answer has no length"));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

fn heading(text: &str) {
    println!("\n  {text}");
}

fn row(what: &str, measured: &str, target: &str) {
    println!("    {what:<44}{measured:>12}   {target}");
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

fn memory(kilobytes: u64) -> String {
    format!("{:.1} MB", kilobytes as f64 * 1024.0 / 1e6)
}

fn ratio(one: f64, other: f64) -> String {
    format!("{:.2} ×", one / other.max(1e-9))
}

/// 12345 as 12,345.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
