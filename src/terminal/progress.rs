//! Progress for a person who waits: a line for each stream, redrawn in place.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::lines::{Lines, record};
use crate::api::Client;

/// How often the lines are redrawn.
const TICK: Duration = Duration::from_millis(250);

/// The lines, one for each stream. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    screen: MultiProgress,
    streams: Arc<Mutex<Streams>>,
}

struct Stream {
    bar: ProgressBar,
    begun: Instant,
    records: u64,
    /// Those of them that a state covers.
    saved: u64,
    /// Not kept alive: a client can write to the output, which ends when nobody can any more.
    client: Weak<Client>,
    /// Until when the rate limit holds this stream up, in milliseconds since 1970.
    limited_until: i64,
    /// The part of the time to read that has been read, in percent.
    share: Option<u64>,
}

impl Progress {
    /// Lines on stderr.
    pub fn on_stderr() -> Self {
        let progress = Self::drawn_to(ProgressDrawTarget::stderr_with_hz(8));
        // Waits are counted down while nothing else happens.
        let streams = Arc::downgrade(&progress.streams);
        // Without it, waits are not counted down.
        let _ = std::thread::Builder::new().spawn(move || {
            while let Some(streams) = streams.upgrade() {
                lock(&streams).values().for_each(Stream::draw);
                drop(streams);
                std::thread::sleep(TICK);
            }
        });
        progress
    }

    /// No lines at all.
    pub fn hidden() -> Self {
        Self::drawn_to(ProgressDrawTarget::hidden())
    }

    fn drawn_to(target: ProgressDrawTarget) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), streams: Arc::default() }
    }

    /// Writes something that stays, above the lines.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn above(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.screen.suspend(write)
    }

    /// Shows the requests of `client` beside `stream`, whose records it reads.
    pub fn watch(&self, stream: &str, client: &Arc<Client>) {
        self.with(stream, |stream| stream.client = Arc::downgrade(client));
    }

    /// What a state covers of what has been read, such as "`rooms` (1,200 records)"; empty when nothing.
    pub fn saved(&self) -> String {
        let streams = self.streams();
        let saved = streams.iter().filter(|(_, stream)| stream.saved > 0);
        saved
            .map(|(name, stream)| format!("`{name}` ({})", counted(stream.saved, "record")))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        lock(&self.streams)
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Stream)) {
        let mut streams = self.streams();
        if !streams.contains_key(name) {
            streams.insert(name.to_owned(), Stream::begin(name, &self.screen));
        }
        if let Some(stream) = streams.get_mut(name) {
            change(stream);
            stream.draw();
        }
    }

    fn see(&self, line: &[u8]) {
        if let Some((stream, _)) = record(line) {
            // Drawn by the next state or tick; drawing for each record would cost more than reading it.
            if let Some(stream) = self.streams().get_mut(stream) {
                stream.records += 1;
                stream.limited_until = 0;
                if stream.records.is_multiple_of(500) {
                    stream.draw();
                }
            }
            return;
        }
        let Ok(message) = serde_json::from_slice::<Value>(line) else { return };
        let status = &message["trace"]["stream_status"];
        if let Some(name) = status["stream_descriptor"]["name"].as_str() {
            self.with(name, |stream| match status["status"].as_str() {
                Some("COMPLETE" | "INCOMPLETE") => stream.bar.finish_and_clear(),
                _ => {
                    let limit = &status["reasons"][0]["rate_limited"]["quota_reset"];
                    stream.limited_until = limit.as_i64().unwrap_or(0);
                }
            });
        }
        let state = &message["state"]["stream"];
        if let Some(name) = state["stream_descriptor"]["name"].as_str() {
            let share = share_read(&state["stream_state"]);
            let covered = message["state"]["sourceStats"]["recordCount"].as_f64().unwrap_or_default();
            self.with(name, |stream| {
                stream.saved += covered as u64;
                stream.share = share.or(stream.share);
            });
        }
    }
}

type Streams = BTreeMap<String, Stream>;

fn lock(streams: &Mutex<Streams>) -> MutexGuard<'_, Streams> {
    // A panic elsewhere leaves at worst a count that is too low.
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    fn begin(name: &str, screen: &MultiProgress) -> Self {
        let bar = screen.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<24} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self { bar, begun: Instant::now(), records: 0, saved: 0, client: Weak::new(), limited_until: 0, share: None }
    }

    fn draw(&self) {
        if self.bar.is_finished() {
            return;
        }
        self.bar.tick();
        let requests = self.client.upgrade().map(|client| client.requests());
        let wait = self.limited_until - chrono::Utc::now().timestamp_millis();
        self.bar.set_message(words(self.records, self.begun.elapsed(), requests, self.share, wait));
    }
}

/// "1,200 records, 400 a second, 12 requests, 64 % read, waiting 45 s for the rate limit".
fn words(records: u64, elapsed: Duration, requests: Option<u64>, share: Option<u64>, wait_ms: i64) -> String {
    let mut parts = vec![counted(records, "record")];
    let seconds = elapsed.as_secs_f64();
    if records > 0 && seconds > 0.0 {
        parts.push(format!("{} a second", grouped((records as f64 / seconds).ceil() as u64)));
    }
    parts.extend(requests.map(|requests| counted(requests, "request")));
    parts.extend(share.map(|share| format!("{share} % of the period read")));
    if wait_ms > 0 {
        parts.push(format!("waiting {} s for the rate limit", (wait_ms + 999) / 1_000));
    }
    parts.join(", ")
}

/// "1 record", "1,200 records".
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with commas between the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How much of the period of a sync has been read, in percent, as its state says: what is pending lies between
/// the oldest and the newest bound.
fn share_read(state: &Value) -> Option<u64> {
    let time = |value: &Value| Some(chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp());
    let cursor = time(state.get("updated_at").or_else(|| state.get("created_at"))?)?;
    let resume = &state["resume"];
    let until = time(&resume["until"])?;
    let pending = resume["pending"].as_array()?;
    let mut left = 0;
    for slice in pending {
        // A list without bounds says nothing of how far it has been read.
        let (after, before) = (slice.get("after").and_then(time), slice.get("before").and_then(time));
        if after.is_none() && before.is_none() {
            return None;
        }
        left += (before.unwrap_or(until) - after.unwrap_or(cursor).max(cursor)).max(0);
    }
    let whole = until - cursor;
    (whole > 0).then(|| (100 - left * 100 / whole).clamp(0, 100) as u64)
}

/// Lines that are watched on their way.
pub struct Watched<L> {
    progress: Progress,
    lines: L,
}

impl<L> Watched<L> {
    /// Shows on `progress` what passes to `lines`.
    pub fn new(progress: Progress, lines: L) -> Self {
        Self { progress, lines }
    }
}

impl<L: Lines> Lines for Watched<L> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.progress.see(line);
        self.lines.line(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_a_person_waits_for() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            words(12_400, ten, Some(126), Some(64), 0),
            "12,400 records, 1,240 a second, 126 requests, 64 % of the period read"
        );
        assert_eq!(
            words(1, ten, Some(1), None, 44_100),
            "1 record, 1 a second, 1 request, waiting 45 s for the rate limit"
        );
        assert_eq!(words(0, ten, None, None, 0), "0 records");
    }

    #[test]
    fn the_share_is_what_no_window_waits_for() {
        let state = |pending: Value| json!({"updated_at": "2024-01-01T00:00:00Z", "resume": {"until": "2024-01-11T00:00:00Z", "pending": pending}});
        let window = json!({"list": "ended", "after": "2024-01-01T00:00:00Z", "before": "2024-01-05T00:00:00Z"});
        assert_eq!(share_read(&state(json!([window]))), Some(60));
        assert_eq!(share_read(&state(json!([{"list": "ended", "after": "2023-12-31T11:00:00Z"}]))), Some(0));
        assert_eq!(share_read(&state(json!([]))), Some(100));
        assert_eq!(share_read(&state(json!([{"list": "templates", "start": "x"}]))), None);
        assert_eq!(share_read(&json!({"updated_at": "2024-01-01T00:00:00Z"})), None);
    }
}
