//! Progress for a person who waits: a line for each stream, redrawn in place.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::airbyte::{Message, StreamStatus};
use crate::api::Client;
use crate::seams::locked;

/// How often the lines are redrawn, so that waits are counted down while nothing else happens.
const TICK: Duration = Duration::from_millis(250);

/// The lines, one for each stream. Cheap to clone.
#[derive(Clone)]
pub struct ProgressBars {
    screen: MultiProgress,
    streams: Arc<Mutex<BTreeMap<String, Stream>>>,
}

struct Stream {
    /// Its position is the number of records that have been read.
    bar: ProgressBar,
    /// How many of them a state covers.
    saved: u64,
    /// Not kept alive: a client can write to the output, which ends when nobody can any more.
    client: Weak<Client>,
    share: Share,
    /// Until when the rate limit holds this stream up, in milliseconds since 1970.
    limited_until: i64,
}

/// How many of how many things have been read, where that is known.
type Share = Arc<Mutex<Option<(u64, u64)>>>;

impl ProgressBars {
    /// Lines on stderr, or none at all.
    pub fn new(is_visible: bool) -> Self {
        let target = if is_visible { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bars = Self { screen: MultiProgress::with_draw_target(target), streams: Arc::default() };
        if is_visible {
            let streams = Arc::downgrade(&bars.streams);
            // Without this thread, waits are not counted down.
            let _ = std::thread::Builder::new().spawn(move || {
                while let Some(streams) = streams.upgrade() {
                    locked(&streams).values().for_each(Stream::draw);
                    drop(streams);
                    std::thread::sleep(TICK);
                }
            });
        }
        bars
    }

    /// Writes something that stays, above the lines.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn above(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.screen.suspend(write)
    }

    /// Shows the requests of `client` beside `stream`, whose records it reads, and a bar once its `share` is known.
    pub fn watch(&self, stream: &str, client: &Arc<Client>, share: &Share) {
        self.with(stream, |stream| (stream.client, stream.share) = (Arc::downgrade(client), Arc::clone(share)));
    }

    /// What a state covers of what has been read, such as "`rooms` (1,200 records)"; empty when nothing.
    pub fn saved(&self) -> String {
        let streams = locked(&self.streams);
        let saved = streams.iter().filter(|(_, stream)| stream.saved > 0);
        let saved = saved.map(|(name, stream)| format!("`{name}` ({})", counted(stream.saved, "record")));
        saved.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn records(&self, stream: &str, count: u64) {
        self.with(stream, |stream| {
            stream.bar.inc(count);
            stream.limited_until = 0;
        });
    }

    pub(super) fn message(&self, message: &Message) {
        match message {
            Message::Status { stream, status: StreamStatus::Complete | StreamStatus::Incomplete, .. } => {
                self.with(stream, |stream| stream.bar.finish_and_clear());
            }
            Message::Status { stream, limited_until, .. } => {
                self.with(stream, |stream| stream.limited_until = limited_until.unwrap_or_default());
            }
            Message::State { stream, records, .. } => self.with(stream, |stream| stream.saved += records),
            _ => {}
        }
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Stream)) {
        let mut streams = locked(&self.streams);
        let stream = streams.entry(name.to_owned()).or_insert_with(|| Stream::begin(name, &self.screen));
        change(stream);
        stream.draw();
    }
}

impl Stream {
    fn begin(name: &str, screen: &MultiProgress) -> Self {
        let bar = screen.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<24} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self { bar, saved: 0, client: Weak::new(), share: Share::default(), limited_until: 0 }
    }

    fn draw(&self) {
        if self.bar.is_finished() {
            return;
        }
        self.bar.tick();
        let requests = self.client.upgrade().map(|client| client.retry_stats().requests);
        let wait = self.limited_until - chrono::Utc::now().timestamp_millis();
        let share = *locked(&self.share);
        self.bar.set_message(words(self.bar.position(), self.bar.elapsed(), requests, share, wait));
    }
}

/// "[####------] 37 of 90, 1,200 records, 400 a second, 12 requests, waiting 45 s for the rate limit".
fn words(records: u64, elapsed: Duration, requests: Option<u64>, share: Option<(u64, u64)>, wait_ms: i64) -> String {
    let bar = |(done, all): (u64, u64)| {
        let full = (done * 10 / all.max(1)) as usize;
        format!("[{}{}] {} of {}", "#".repeat(full), "-".repeat(10 - full), HumanCount(done), HumanCount(all))
    };
    let mut parts: Vec<String> = share.map(bar).into_iter().collect();
    parts.push(counted(records, "record"));
    let seconds = elapsed.as_secs_f64();
    if records > 0 && seconds > 0.0 {
        parts.push(format!("{} a second", HumanCount((records as f64 / seconds).ceil() as u64)));
    }
    parts.extend(requests.map(|requests| counted(requests, "request")));
    if wait_ms > 0 {
        parts.push(format!("waiting {} s for the rate limit", (wait_ms + 999) / 1_000));
    }
    parts.join(", ")
}

/// "1 record", "1,200 records".
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_person_waits_for() {
        let ten = Duration::from_secs(10);
        assert_eq!(words(12_400, ten, Some(126), None, 0), "12,400 records, 1,240 a second, 126 requests");
        assert_eq!(
            words(1, ten, Some(1), None, 44_100),
            "1 record, 1 a second, 1 request, waiting 45 s for the rate limit"
        );
        assert_eq!(words(0, ten, None, Some((37, 1_210)), 0), "[----------] 37 of 1,210, 0 records");
    }
}
