//! The engine: reads all configured streams side by side and writes records, states and statuses.
//!
//! | file | what it answers |
//! |---|---|
//! | `driver` | how one stream is read: fetching, writing, reporting |
//! | `backlog` | what has not been read yet, cut and joined as needed |
//! | `progress` | how far a stream has come, and when to save it |
//! | `window` | where to cut a period of time, and whether that pays |
//! | `state` | saved state ⇄ where a stream begins |
//! | `writer` | how records, states and everything else are written, in which order |
//! | `notices` | which sentences the log gets for the notices of the client |
//!
//! The limit on requests is the client's and is shared by all streams.

mod backlog;
mod driver;
mod notices;
mod progress;
pub mod state;
#[cfg(test)]
mod tests;
pub mod window;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::airbyte::Progress as Status;
use crate::api::Client;
use crate::failure::Failure;
use crate::streams::{Description, Format, Opened};

pub use progress::Beginning;
pub use writer::{Lines, Output, OutputClosed};

use driver::Driver;
use state::Position;

/// Turns true when the process is asked to end.
pub type Stop = watch::Receiver<bool>;

/// Waits until the process is asked to end; for ever, when there is nobody to ask.
pub async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A stream to read.
pub struct Job {
    /// What is known of it.
    pub description: &'static Description,
    /// The stream itself.
    pub stream: Arc<dyn Opened>,
    /// The client it reads with.
    pub client: Arc<Client>,
    /// Where it begins.
    pub position: Position,
    /// What it begins with.
    pub beginning: Beginning,
    /// How its records are written.
    pub format: Format,
    /// Its saved state, as it came.
    pub state: Option<Value>,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// A stream could not be read to the end.
    pub is_incomplete: bool,
    /// Somebody asked to stop.
    pub was_stopped: bool,
}

/// What all streams share besides the output.
#[derive(Clone)]
struct Together {
    /// Turn true when somebody asks to stop, and when no stream can be read any more. Each stream has its own,
    /// because several receivers of one would be woken in a random order.
    stops: Arc<[watch::Sender<bool>]>,
    /// Whether a failure that concerns every stream has been told.
    is_hopeless: Arc<AtomicBool>,
}

impl Together {
    /// Ends all streams, because none can be read; true when nobody has said why yet.
    fn give_up(&self) -> bool {
        let is_first = !self.is_hopeless.swap(true, Ordering::Relaxed);
        self.stop();
        is_first
    }

    fn stop(&self) {
        self.stops.iter().for_each(|stop| _ = stop.send_replace(true));
    }

    fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }
}

/// Reads all `jobs` and returns when each has ended, one way or another.
pub async fn run(jobs: Vec<Job>, workers: usize, output: Output, mut stop: Stop) -> Outcome {
    let stops = jobs.iter().map(|_| watch::Sender::new(*stop.borrow())).collect();
    let together = Together { stops, is_hopeless: Arc::default() };
    let mut streams = JoinSet::new();
    let mut names = HashMap::new();
    for (number, job) in jobs.into_iter().enumerate() {
        let name = job.description.name;
        let task = streams
            .spawn(Driver::new(job, workers, output.clone(), together.clone()).run(together.stops[number].subscribe()));
        names.insert(task.id(), name);
    }
    let mut outcome = Outcome::default();
    loop {
        let ended = tokio::select! {
            biased;
            ended = streams.join_next_with_id() => ended,
            () = stopped(&mut stop), if !outcome.was_stopped => {
                outcome.was_stopped = true;
                together.stop();
                continue;
            }
        };
        match ended {
            None => return outcome,
            Some(Ok((_, is_complete))) => outcome.is_incomplete |= !is_complete,
            Some(Err(error)) => {
                outcome.is_incomplete = true;
                if let Some(name) = names.get(&error.id()) {
                    report_panic(name, &output).await;
                }
            }
        }
    }
}

/// A stream's own task has panicked: it is incomplete, the others go on.
async fn report_panic(name: &str, output: &Output) {
    let failure = Failure::internal("the task of the stream panicked");
    // When the output is closed there is nobody to report to.
    let _ = output.message(failure.to_message(Some(name))).await;
    let _ = output.progress(name, Status::Incomplete).await;
}
