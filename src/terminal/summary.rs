//! What a read has done, as a JSON file for those who watch it (`read --summary`). `docs/100ms.md` describes it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::airbyte::{Level, Message, Sink, StreamStatus};
use crate::api::RetryStats;
use crate::seams::locked;

/// A summary that grows with the read. Cheap to clone.
#[derive(Clone)]
pub struct Summary(Arc<Mutex<Read>>);

struct Read {
    path: PathBuf,
    began: Instant,
    streams: BTreeMap<String, Stream>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

#[derive(Default, Serialize)]
struct Stream {
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
    /// When the file cannot be opened for writing.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        let (streams, warnings, errors) = Default::default();
        Ok(Self(Arc::new(Mutex::new(Read { path: path.into(), began: Instant::now(), streams, warnings, errors }))))
    }

    /// Notes the requests of a stream.
    pub fn note(&self, stream: &str, stats: &RetryStats) {
        let mut read = locked(&self.0);
        let stream = read.streams.entry(stream.to_owned()).or_default();
        (stream.requests, stream.refusals, stream.retries) = (stats.requests, stats.waits, stats.retries);
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, is_complete: bool) -> io::Result<()> {
        let Read { path, began, streams, warnings, errors } = &*locked(&self.0);
        let sum = |count: fn(&Stream) -> u64| streams.values().map(count).sum::<u64>();
        let summary = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "status": if is_complete { StreamStatus::Complete } else { StreamStatus::Incomplete },
            "seconds": began.elapsed().as_secs_f64(),
            "records": sum(|stream| stream.records),
            "bytes": sum(|stream| stream.bytes),
            "requests": sum(|stream| stream.requests),
            "refusals": sum(|stream| stream.refusals),
            "retries": sum(|stream| stream.retries),
            "warnings": warnings,
            "errors": errors,
            "streams": streams,
        });
        std::fs::write(path, format!("{summary:#}\n"))
    }
}

impl Sink for Summary {
    fn records(&mut self, stream: &str, lines: &[u8], count: u64) -> io::Result<()> {
        let mut read = locked(&self.0);
        let stream = read.streams.entry(stream.to_owned()).or_default();
        stream.records += count;
        stream.bytes += lines.len() as u64;
        Ok(())
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        let mut read = locked(&self.0);
        match message {
            Message::Log { level: Level::Warn, text } => read.warnings.push(text.clone()),
            Message::Error { message, .. } => read.errors.push(message.clone()),
            Message::Status { stream, status, .. } => {
                let stream = read.streams.entry(stream.clone()).or_default();
                stream.seconds = stream.began.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
                stream.status = Some(*status);
            }
            _ => {}
        }
        Ok(())
    }
}
