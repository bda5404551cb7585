//! The engine: reads all configured streams side by side and writes records, states and statuses.
//!
//! | file | what it answers |
//! |---|---|
//! | `driver` | how one stream is read from beginning to end: fetching, writing, reporting |
//! | `backlog` | which slices are left to read, and which of them is next |
//! | `window` | where to cut a period of time, and whether that pays |
//! | `start_point` | where a sync begins: its bounds, and what is left of it |
//! | `checkpointer` | when a state is due, and what is in it |
//! | `state` | saved JSON ⇄ where a sync begins |
//! | `writer` | how records, states and everything else are written, in which order |
//!
//! The limit on requests is the client's and is shared by all streams.

mod backlog;
mod checkpointer;
mod driver;
mod start_point;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub mod window;
mod writer;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::airbyte::StreamStatus;
use crate::api::Client;
use crate::failure::Failure;
use crate::streams::{Format, Stream, StreamInfo, WrittenHashes};

pub(crate) use start_point::StartPoint;
pub use writer::{JsonLines, Output, OutputClosed};

use driver::Driver;

/// A stream to read.
pub(crate) struct Job {
    pub(crate) description: &'static StreamInfo,
    pub(crate) stream: Arc<dyn Stream>,
    /// The client it reads with.
    pub(crate) client: Arc<Client>,
    /// How its records are written.
    pub(crate) format: Format,
    /// Shared with its format.
    pub(crate) written: Arc<WrittenHashes>,
    pub(crate) start: StartPoint,
    /// Where the driver says how far it has come.
    pub(crate) share: Share,
}

/// How many of how many things a stream has read, where that is known.
pub(crate) type Share = Arc<Mutex<Option<(u64, u64)>>>;

/// Reads all `jobs` and returns when each has ended, one way or another, at the latest soon after `stop` is cancelled;
/// true when all streams are complete.
pub(crate) async fn run(jobs: Vec<Job>, workers: usize, output: Output, stop: CancellationToken) -> bool {
    let hopeless = CancellationToken::new();
    let mut streams = JoinSet::new();
    for job in jobs {
        let (name, output, stop) = (job.description.name, output.clone(), stop.clone());
        let driver = Driver::new(job, workers, output.clone(), hopeless.clone());
        streams.spawn(async move {
            // A stream whose task panics must not take the others with it.
            let ended = AssertUnwindSafe(driver.run(stop)).catch_unwind().await;
            if ended.is_err() {
                let failure = Failure::internal("the task of the stream panicked");
                // When the output is closed there is nobody to report to.
                let _ = output.message(failure.to_message(Some(name))).await;
                let _ = output.status(name, StreamStatus::Incomplete).await;
            }
            ended.unwrap_or(false)
        });
    }
    streams.join_all().await.into_iter().all(|is_complete| is_complete)
}
