//! The engine: reads all configured streams side by side and writes records, states and statuses.
//!
//! One `Driver` a stream keeps the slices not yet read, fetches several at once and hands their rows to
//! the one writer. The limit on requests is the client's and is shared by all.

pub mod state;
pub mod window;
mod writer;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::airbyte::{self, Level, Message, Progress, SyncMode};
use crate::api::{Client, Notice, PAGE_SIZE};
use crate::failure::Failure;
use crate::streams::{Description, Seen, Slice, Step, Stream, StreamError, Timestamp};

pub use writer::{Output, OutputClosed};

use state::{Beginning, Resume};
use window::Pace;

/// A state is written after this many records,
const RECORDS_PER_STATE: u64 = 2_500;
/// or after this long, if there was a record,
const PROGRESS_PER_STATE: Duration = Duration::from_secs(10);
/// or after this long in any case: only records and states count as signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

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
    pub stream: Arc<dyn Stream>,
    /// The client it reads with.
    pub client: Arc<Client>,
    /// How it is to be read.
    pub mode: SyncMode,
    /// Where it begins; a stream without cursor always begins afresh.
    pub beginning: Beginning,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// A stream could not be read to the end.
    pub is_incomplete: bool,
    /// Somebody asked to stop.
    pub was_stopped: bool,
}

/// Why a stream did not come to its end.
enum Cut {
    Failed(Failure),
    Stopped,
    OutputClosed,
}

impl From<OutputClosed> for Cut {
    fn from(_: OutputClosed) -> Self {
        Self::OutputClosed
    }
}

impl From<StreamError> for Cut {
    fn from(error: StreamError) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads all `jobs` and returns when each has ended, one way or another.
pub async fn run(
    jobs: Vec<Job>,
    workers: usize,
    notices: mpsc::UnboundedReceiver<Notice>,
    output: Output,
    stop: Stop,
) -> Outcome {
    let (running, names) = watch::channel(Vec::new());
    let running = Arc::new(running);
    let herald = tokio::spawn(announce(notices, names, output.clone()));
    let mut streams = JoinSet::new();
    for job in jobs {
        let (output, stop, running) = (output.clone(), stop.clone(), running.clone());
        streams.spawn(async move { read_stream(job, workers, output, stop, running).await });
    }
    let mut outcome = Outcome::default();
    while let Some(ended) = streams.join_next().await {
        outcome.is_incomplete |= !matches!(ended, Ok(true));
    }
    outcome.was_stopped = *stop.borrow();
    herald.abort();
    outcome
}

/// Tells the world why nothing moves: the rate limit for every running stream, retries for the log.
async fn announce(
    mut notices: mpsc::UnboundedReceiver<Notice>,
    running: watch::Receiver<Vec<&'static str>>,
    output: Output,
) -> Result<(), OutputClosed> {
    let mut announced = i64::MIN;
    while let Some(notice) = notices.recv().await {
        match notice {
            Notice::RateLimited { until, wait, .. } => {
                // All workers are refused at nearly the same time: one announcement for one pause.
                if until.timestamp() <= announced {
                    continue;
                }
                announced = until.timestamp();
                output.log(Level::Info, format!("100ms limits the rate: waiting {:.1} s.", wait.as_secs_f64())).await?;
                let names = running.borrow().clone();
                for name in names {
                    // A stream may end while the message waits, and nothing may follow its end.
                    let is_running = || running.borrow().contains(&name);
                    output.message_if(Message::rate_limited(name, until.timestamp_millis()), is_running).await?;
                }
            }
            Notice::Skipped { endpoint } => {
                output.log(Level::Debug, format!("`{endpoint}` is not there (any more): skipped.")).await?;
            }
            Notice::Retrying { endpoint, problem, wait } => {
                let seconds = wait.as_secs_f64();
                output.log(Level::Debug, format!("Trying `{endpoint}` again in {seconds:.1} s: {problem}.")).await?;
            }
        }
    }
    Ok(())
}

/// Reads one stream and reports how it went; true when it is complete.
async fn read_stream(
    job: Job,
    workers: usize,
    output: Output,
    mut stop: Stop,
    running: Arc<watch::Sender<Vec<&'static str>>>,
) -> bool {
    let name = job.description.name;
    let mut driver = Driver::new(job, workers, output.clone());
    for progress in [Progress::Started, Progress::Running] {
        if output.message(Message::progress(name, progress)).await.is_err() {
            return false;
        }
    }
    running.send_modify(|names| names.push(name));
    let ended = driver.drive(&mut stop).await;
    running.send_modify(|names| names.retain(|other| *other != name));
    driver.tasks.abort_all();
    let reported = match ended {
        Ok(()) => return driver.complete().await.is_ok(),
        Err(cut) => driver.incomplete(cut).await,
    };
    // When the output is closed there is nobody to report to.
    let _ = reported;
    false
}

/// Reads one stream.
struct Driver {
    description: &'static Description,
    stream: Arc<dyn Stream>,
    mode: SyncMode,
    cursor: Timestamp,
    is_finished: bool,
    until: Option<Timestamp>,
    latest: Option<Timestamp>,
    client: Arc<Client>,
    workers: usize,
    output: Output,
    /// All that has not been written, in the order it came up.
    pending: BTreeMap<u64, Slice>,
    /// How densely a pending window is filled, and how many pages it may have.
    paces: HashMap<u64, (Pace, f64)>,
    /// The part of `pending` that nobody is fetching.
    queue: VecDeque<u64>,
    tasks: JoinSet<(u64, Result<Step, StreamError>)>,
    next_id: u64,
    budget: window::Budget,
    written: u64,
    written_since_state: u64,
    last_state: Instant,
    began: Instant,
}

impl Driver {
    fn new(job: Job, workers: usize, output: Output) -> Self {
        let (cursor, resume, is_finished) = match job.beginning {
            Beginning::Fresh(cursor) => (cursor, None, false),
            Beginning::Resumed(cursor, resume) => (cursor, Some(resume), false),
            Beginning::Finished => (Timestamp::from_micros(0), None, true),
        };
        let mut driver = Self {
            description: job.description,
            stream: job.stream,
            mode: job.mode,
            cursor,
            is_finished,
            until: resume.as_ref().map(|resume| resume.until),
            latest: resume.as_ref().and_then(|resume| resume.latest),
            client: job.client,
            workers,
            output,
            pending: BTreeMap::new(),
            paces: HashMap::new(),
            queue: VecDeque::new(),
            tasks: JoinSet::new(),
            next_id: 0,
            budget: window::Budget::new(workers),
            written: 0,
            written_since_state: 0,
            last_state: Instant::now(),
            began: Instant::now(),
        };
        let slices = match resume {
            _ if is_finished => Vec::new(),
            Some(resume) => resume.pending,
            None => vec![driver.stream.first()],
        };
        let ids = driver.number(slices);
        driver.pending.extend(ids.iter().cloned());
        driver.queue.extend(ids.into_iter().map(|(id, _)| id));
        driver
    }

    fn number(&mut self, slices: Vec<Slice>) -> Vec<(u64, Slice)> {
        let first = self.next_id;
        self.next_id += slices.len() as u64;
        (first..).zip(slices).collect()
    }

    /// Reads until nothing is pending.
    async fn drive(&mut self, stop: &mut Stop) -> Result<(), Cut> {
        self.announce().await?;
        loop {
            self.begin_fetching();
            let sign_of_life = tokio::time::sleep_until(self.last_state + SIGN_OF_LIFE);
            let fetched = tokio::select! {
                biased;
                () = stopped(stop) => return Err(Cut::Stopped),
                () = self.output.closed() => return Err(Cut::OutputClosed),
                fetched = self.tasks.join_next() => fetched,
                () = sign_of_life => {
                    self.checkpoint().await?;
                    continue;
                }
            };
            match fetched {
                Some(Ok((id, step))) => self.write(id, step?, stop).await?,
                // The panic itself may quote data; where it was is on stderr.
                Some(Err(_)) => return Err(Cut::Failed(Failure::internal("a task panicked"))),
                None => return Ok(()),
            }
        }
    }

    async fn announce(&self) -> Result<(), OutputClosed> {
        let name = self.description.name;
        let how = match (self.is_finished, self.description.cursor, self.until) {
            (true, ..) => "an earlier attempt has read all of it".to_owned(),
            (_, None, _) => "all of it".to_owned(),
            (_, Some(field), None) => format!("`{field}` from {}", self.cursor),
            (_, Some(field), Some(_)) => {
                format!("`{field}` from {}, going on where the last sync was cut", self.cursor)
            }
        };
        self.output.log(Level::Info, format!("Reading `{name}`: {how}.")).await
    }

    /// Lets free workers fetch what nobody is fetching.
    fn begin_fetching(&mut self) {
        while self.tasks.len() < self.workers {
            let Some(id) = self.queue.pop_front() else { return };
            let Some(slice) = self.pending.get(&id).cloned() else { continue };
            self.fetch(id, slice);
        }
    }

    fn fetch(&mut self, id: u64, slice: Slice) {
        let stream = Arc::clone(&self.stream);
        self.tasks.spawn(async move { (id, stream.fetch(&slice).await) });
    }

    /// Writes the rows of a slice; only then is the slice replaced by what is left of it.
    async fn write(&mut self, id: u64, step: Step, stop: &mut Stop) -> Result<(), Cut> {
        let Some(slice) = self.pending.get(&id).cloned() else {
            return Err(Cut::Failed(Failure::internal("a slice was fetched that was not pending")));
        };
        let pace = self.paces.remove(&id).unwrap_or_default().0;
        let (next, pace) = self.divide(step.next, step.seen, pace);
        let next = match next.is_empty() && self.pending.len() == 1 {
            true => self.stream.following(&slice.list).into_iter().collect(),
            false => next,
        };
        let next = self.number(next);
        self.paces.extend(next.iter().filter_map(|(id, _)| Some((*id, pace?))));
        // The next pages are fetched while this one is written.
        let begun = next.len().min(self.workers - self.tasks.len());
        for (id, slice) in &next[..begun] {
            self.fetch(*id, slice.clone());
        }
        let (count, latest) = (step.rows.count, step.rows.latest);
        tokio::select! {
            biased;
            written = self.output.rows(self.description.name, step.rows) => written?,
            () = stopped(stop) => return Err(Cut::Stopped),
        }
        self.latest = self.latest.max(latest);
        self.written += count;
        self.written_since_state += count;
        self.pending.remove(&id);
        for (id, _) in next[begun..].iter().rev() {
            self.queue.push_front(*id);
        }
        self.pending.extend(next);
        self.checkpoint_if_due().await?;
        Ok(())
    }

    /// Cuts the rest of a window in two when a worker has nothing to do; says how dense and how large
    /// what follows may be.
    fn divide(&mut self, next: Vec<Slice>, seen: Option<Seen>, pace: Pace) -> (Vec<Slice>, Option<(Pace, f64)>) {
        let ([rest], Some(seen)) = (next.as_slice(), seen) else {
            if next.is_empty() {
                self.budget.note_last_page(seen.map_or(0, |seen| seen.items) as f64 / PAGE_SIZE as f64);
            }
            return (next, None);
        };
        let pace = pace.after_page(&seen);
        let left = pace.pages_left(rest, seen.oldest);
        let largest = self.paces.values().map(|(_, left)| *left).fold(0.0, f64::max);
        let busy = self.tasks.len() + self.queue.len() + 1;
        let is_wanted = busy < self.workers
            && self.client.idle_workers() > 1
            && self.budget.allows(self.pending.len())
            && window::is_worth_cutting(left, largest);
        match window::cut(rest, seen.oldest).filter(|_| is_wanted) {
            Some((newer, older)) => (vec![newer, older], Some((pace.inherited(), left / 2.0))),
            None => (next, Some((pace, left))),
        }
    }

    async fn checkpoint_if_due(&mut self) -> Result<(), OutputClosed> {
        let waited = self.last_state.elapsed();
        let is_due = self.written_since_state >= RECORDS_PER_STATE
            || waited >= PROGRESS_PER_STATE && self.written_since_state > 0
            || waited >= SIGN_OF_LIFE;
        if is_due { self.checkpoint().await } else { Ok(()) }
    }

    /// Writes what has been read and what is left.
    async fn checkpoint(&mut self) -> Result<(), OutputClosed> {
        let state = self.state();
        self.written_since_state = 0;
        self.last_state = Instant::now();
        self.output.state(self.description.name, state).await
    }

    fn state(&self) -> Value {
        let Some(field) = self.description.cursor else { return airbyte::no_cursor() };
        match self.until() {
            // Nothing has been answered yet: nothing has changed.
            None => state::finished(field, self.cursor),
            Some(until) => {
                let pending = self.pending.values().cloned().collect();
                state::under_way(field, self.cursor, &Resume { until, latest: self.latest, pending })
            }
        }
    }

    /// The server's clock when the sync began, which may have been in an earlier process.
    fn until(&self) -> Option<Timestamp> {
        self.until.or_else(|| self.client.began().map(Timestamp::from))
    }

    async fn complete(mut self) -> Result<(), OutputClosed> {
        let name = self.description.name;
        let state = match (self.description.cursor, self.mode) {
            (None, _) => airbyte::no_cursor(),
            (Some(_), SyncMode::FullRefresh) => airbyte::full_refresh_complete(),
            (Some(field), SyncMode::Incremental) => {
                let until = self.until().unwrap_or(self.cursor);
                state::finished(field, state::final_cursor(self.cursor, self.latest, until))
            }
        };
        self.tasks.shutdown().await;
        self.output.state(name, state).await?;
        self.output.message(Message::progress(name, Progress::Complete)).await?;
        let (records, requests) = (self.written, self.client.requests());
        let seconds = self.began.elapsed().as_secs_f64();
        let summary = format!("Read `{name}`: {records} records with {requests} requests in {seconds:.2} s.");
        self.output.log(Level::Info, summary).await
    }

    /// Writes how far it came and why no further.
    async fn incomplete(mut self, cut: Cut) -> Result<(), OutputClosed> {
        let name = self.description.name;
        if matches!(cut, Cut::OutputClosed) {
            return Err(OutputClosed);
        }
        if let Cut::Failed(failure) = &cut {
            self.output.message(failure.to_message(Some(name))).await?;
        }
        // A stream that is read whole each time has no state of being half read.
        if self.description.cursor.is_some() && self.written > 0 {
            self.checkpoint().await?;
        }
        self.output.message(Message::progress(name, Progress::Incomplete)).await?;
        let why = if matches!(cut, Cut::Stopped) { "asked to stop" } else { "see the error" };
        self.output.log(Level::Warn, format!("`{name}` is incomplete after {} records: {why}.", self.written)).await
    }
}
