//! Runs a program that reads the fake, as a platform does: through a pipe, and takes its measure.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fake_100ms::Fake;
use serde_json::Value;

use crate::Done;

/// `USER_HZ`: what `/proc` counts CPU time in, on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a run came to. All of it is the program's alone: the fake and the reader of its output are not in it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Seconds from its start to its end.
    pub wall: f64,
    /// Seconds of CPU, user and system, in whole hundredths.
    pub cpu: f64,
    /// The most memory it had.
    pub kilobytes: u64,
    /// Requests the fake was asked, all of them.
    pub requests: u64,
    pub output: Output,
}

/// What a program wrote.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub records: u64,
    /// The last state of each stream.
    pub states: BTreeMap<String, Value>,
    /// When each stream was complete, in seconds since the start.
    pub completed: BTreeMap<String, f64>,
}

/// Runs `command` to its end.
pub fn measure(mut command: Command, fake: &Fake) -> Done<Run> {
    fake.reset_requests();
    let (began, cpu_before) = (Instant::now(), cpu_of_children()?);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().ok_or("the program has no output")?;
    let reading = thread::spawn(move || read(stdout, began));
    let (status, kilobytes) = watch(&mut child)?;
    let wall = began.elapsed().as_secs_f64();
    // Exact, as the child has been waited for.
    let cpu = cpu_of_children()? - cpu_before;
    let output = reading.join().map_err(|_| "the reader of the output failed")??;
    if !status.success() {
        return Err(format!("{} ended with {status}", command.get_program().display()).into());
    }
    Ok(Run { wall, cpu, kilobytes, requests: fake.total_requests(), output })
}

/// Waits for the end; returns the most memory seen on the way.
fn watch(child: &mut Child) -> Done<(std::process::ExitStatus, u64)> {
    let mut kilobytes = 0;
    loop {
        kilobytes = peak_kilobytes(child.id()).unwrap_or_default().max(kilobytes);
        match child.try_wait()? {
            Some(status) => return Ok((status, kilobytes)),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn read(stdout: impl Read, began: Instant) -> std::io::Result<Output> {
    let mut lines = BufReader::with_capacity(1 << 20, stdout);
    let (mut line, mut output) = (Vec::new(), Output::default());
    while lines.read_until(b'\n', &mut line)? > 0 {
        // Parsing every record would cost more than writing it did.
        if line.starts_with(br#"{"type":"RECORD""#) {
            output.records += 1;
        } else if let Ok(message) = serde_json::from_slice::<Value>(&line) {
            output.note(&message, began);
        }
        line.clear();
    }
    Ok(output)
}

impl Output {
    fn note(&mut self, message: &Value, began: Instant) {
        let name = |stream: &Value| stream["stream_descriptor"]["name"].as_str().map(str::to_owned);
        let (state, status) = (&message["state"]["stream"], &message["trace"]["stream_status"]);
        if message["type"] == "RECORD" {
            self.records += 1;
        } else if let Some(stream) = name(state) {
            self.states.insert(stream, state["stream_state"].clone());
        } else if let Some(stream) = name(status).filter(|_| status["status"] == "COMPLETE") {
            self.completed.insert(stream, began.elapsed().as_secs_f64());
        }
    }
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
