//! What a read has done, as a JSON file for those who watch it (`read --summary`). `docs/100ms.md` describes it.

use std::collections::BTreeMap;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::airbyte::{Level, Message, StreamStatus};
use crate::api::RetryStats;

/// A summary that grows with the read.
#[derive(Serialize)]
pub struct Summary {
    #[serde(skip)]
    path: PathBuf,
    version: &'static str,
    #[serde(flatten)]
    total: Counts,
    streams: BTreeMap<String, Counts>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// What has been done for a stream, or for all of them.
#[derive(Default, Serialize)]
struct Counts {
    status: Option<StreamStatus>,
    records: u64,
    /// Of the lines with the records.
    bytes: u64,
    requests: u64,
    /// Requests that were answered with 429.
    refusals: u64,
    retries: u64,
    seconds: f64,
    #[serde(skip)]
    began: Option<Instant>,
}

impl Summary {
    /// A summary that will be written to `path`.
    ///
    /// # Errors
    /// When the file cannot be opened for writing; [`ErrorKind::AlreadyExists`] when it holds something else than an
    /// earlier summary.
    pub fn at(path: &Path) -> io::Result<Self> {
        if path.is_file() && !may_be_replaced(&std::fs::read(path)?) {
            return Err(Error::from(ErrorKind::AlreadyExists));
        }
        std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        let total = Counts { began: Some(Instant::now()), ..Counts::default() };
        let (streams, warnings, errors) = Default::default();
        Ok(Self { path: path.into(), version: env!("CARGO_PKG_VERSION"), total, streams, warnings, errors })
    }

    pub fn records(&mut self, stream: &str, bytes: u64, count: u64) {
        for counts in self.counts_of(stream) {
            counts.records += count;
            counts.bytes += bytes;
        }
    }

    pub fn message(&mut self, message: &Message) {
        match message {
            Message::Log { level: Level::Warn, text } => self.warnings.push(text.clone()),
            Message::Error { message, .. } => self.errors.push(message.clone()),
            Message::Status { stream, status, .. } => {
                self.streams.entry(stream.clone()).or_default().reached(*status);
            }
            _ => {}
        }
    }

    /// Notes the requests of a stream that has been read.
    pub fn note(&mut self, stream: &str, stats: &RetryStats) {
        for counts in self.counts_of(stream) {
            counts.requests += stats.requests;
            counts.refusals += stats.waits;
            counts.retries += stats.retries;
        }
    }

    fn counts_of(&mut self, stream: &str) -> [&mut Counts; 2] {
        [&mut self.total, self.streams.entry(stream.to_owned()).or_default()]
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self, is_complete: bool) -> io::Result<()> {
        self.total.reached(if is_complete { StreamStatus::Complete } else { StreamStatus::Incomplete });
        std::fs::write(&self.path, format!("{:#}\n", json!(self)))
    }
}

/// Whether a file is empty or an earlier summary.
fn may_be_replaced(content: &[u8]) -> bool {
    let earlier: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
    content.is_empty() || ["version", "streams", "refusals", "retries"].iter().all(|key| earlier.contains_key(*key))
}

impl Counts {
    /// Notes how far it has come, and after how long.
    fn reached(&mut self, status: StreamStatus) {
        self.status = Some(status);
        self.seconds = self.began.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
    }
}
