//! Reads one stream from beginning to end: fetches its slices, hands their rows to the writer, and saves how far it has
//! come.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::StreamExt;
use indicatif::HumanCount;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, NextSlices};
use super::checkpointer::{Checkpointer, PENDING_BYTES, SIGN_OF_LIFE};
use super::{Job, Output, OutputClosed};
use crate::airbyte::{Level, StreamStatus, SyncMode, shown};
use crate::api::repeated_token;
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::seams::{self, locked};
use crate::streams::{DeferredRows, LogLine, PageOutcome, Rows, Slice, StreamError, StreamInfo, Timestamp};

/// A cursor further ahead of both clocks than this cannot come from data.
const FUTURE: TimeDelta = TimeDelta::days(1);

/// Why a stream is not read to its end.
enum Interruption {
    Failed(Failure),
    /// Another stream has failed in a way that concerns all of them.
    Hopeless,
    Stopped,
    OutputClosed,
}

impl<F: Into<Failure>> From<F> for Interruption {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<OutputClosed> for Interruption {
    fn from(_: OutputClosed) -> Self {
        Self::OutputClosed
    }
}

enum Fetched {
    Page(Box<PageOutcome>),
    /// Rows of a page that took more requests, and those that are still to come.
    Part(Rows, Option<DeferredRows>),
}

/// How many phases of the stream are begun when one of `phase` is.
fn phases_up_to(description: &StreamInfo, phase: &str) -> usize {
    description.phases.iter().position(|name| *name == phase).map_or(0, |index| index + 1)
}

/// A stream that is being read.
pub(super) struct Driver {
    job: Job,
    workers: usize,
    output: Output,
    /// Cancelled when no stream can be read any more.
    hopeless: CancellationToken,
    backlog: Backlog,
    checkpointer: Checkpointer,
    /// The index of the next of the stream's phases.
    next_phase: usize,
    tasks: JoinSet<(u64, Result<Fetched, StreamError>)>,
    began: Instant,
    last_state: Instant,
    last_log: Instant,
    /// How many values could not be written as they came, by column.
    changes: BTreeMap<String, u64>,
    has_warned_of_windows: bool,
    has_warned_of_gaps: bool,
}

impl Driver {
    pub(super) fn new(job: Job, workers: usize, output: Output, hopeless: CancellationToken) -> Self {
        let phases_begun = |pending: &Vec<Slice>| {
            pending.iter().map(|slice| phases_up_to(job.description, &slice.phase)).max().unwrap_or(usize::MAX)
        };
        Self {
            next_phase: job.start.pending.as_ref().map_or(0, phases_begun),
            backlog: Backlog::new(job.start.pending.clone().unwrap_or_default(), workers),
            checkpointer: Checkpointer::new(job.description, job.start.clone(), Arc::clone(&job.written)),
            job,
            workers,
            output,
            hopeless,
            tasks: JoinSet::new(),
            began: Instant::now(),
            last_state: Instant::now(),
            last_log: Instant::now(),
            changes: BTreeMap::new(),
            has_warned_of_windows: false,
            has_warned_of_gaps: false,
        }
    }

    fn name(&self) -> &'static str {
        self.job.description.name
    }

    /// Reads the stream and reports how it went; true when it is complete.
    pub(super) async fn run(mut self, stop: CancellationToken) -> bool {
        let (output, hopeless) = (self.output.clone(), self.hopeless.clone());
        for status in [StreamStatus::Started, StreamStatus::Running] {
            if output.status(self.name(), status).await.is_err() {
                return false;
            }
        }
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Interruption::Stopped),
            () = hopeless.cancelled() => Err(Interruption::Hopeless),
            () = output.closed() => Err(Interruption::OutputClosed),
            state = self.read() => state,
        };
        match ended {
            Ok(state) => self.complete(state).await.is_ok(),
            Err(interruption) => {
                // When the output is closed there is nobody to report to.
                let _ = self.incomplete(interruption).await;
                false
            }
        }
    }

    /// Reads the stream to its end and returns its final state. When this is dropped at an `await`, everything that is
    /// written is noted, and everything else is still pending.
    async fn read(&mut self) -> Result<Value, Interruption> {
        if let Some(saved) = self.unusable_until_later().await? {
            return Ok(saved);
        }
        self.announce().await?;
        while self.begin_next_phase() {
            while self.tasks.len() < self.workers
                && let Some((id, slice)) = self.backlog.take()
            {
                self.fetch(id, slice);
            }
            let Ok(fetched) = timeout_at(self.last_state + SIGN_OF_LIFE, self.tasks.join_next()).await else {
                self.checkpoint().await?;
                continue;
            };
            match fetched {
                Some(Ok((id, fetched))) => self.take(id, fetched?).await?,
                // The panic itself may quote data; where it was is on stderr.
                Some(Err(_)) => return Err(Failure::internal("a task panicked").into()),
                None => return Err(Failure::internal("a slice is pending that nobody fetches").into()),
            }
        }
        if let Some(refusal) = self.job.stream.undecided() {
            return Err(StreamError::from(refusal).into());
        }
        self.write_log_lines(Level::Info).await?;
        Ok(self.checkpointer.finished(self.job.stream.remember(true), seams::now().into()))
    }

    /// The saved state, when its cursor lies in the future by this machine's clock and by that of 100ms: then nothing
    /// can have changed since, and the state stays as it is.
    async fn unusable_until_later(&mut self) -> Result<Option<Value>, Interruption> {
        let cursor = self.job.start.bounds.cursor;
        let is_ahead = |clock| cursor > Timestamp::from(clock) + FUTURE;
        if self.job.start.mode == SyncMode::FullRefresh || !is_ahead(seams::now()) {
            return Ok(None);
        }
        let clocks = self.job.client.ask_the_time().await.map_err(StreamError::from)?;
        let Some(clocks) = clocks.filter(|clocks| clocks.server.is_none_or(is_ahead)) else { return Ok(None) };
        let (name, field) = (self.name(), self.job.description.cursor.unwrap_or_default());
        let server =
            clocks.server.map_or("does not say the time".to_owned(), |time| format!("says {}", Timestamp::from(time)));
        let warning = format!(
            "The saved `{field}` of `{name}` lies in the future ({cursor}): this machine's clock says {} and 100ms {server}. \
             Nothing is read until then; reset the stream if the state is wrong.",
            Timestamp::from(clocks.local)
        );
        self.output.log(Level::Warn, warning).await?;
        Ok(self.job.start.saved.take())
    }

    async fn announce(&self) -> Result<(), OutputClosed> {
        let (name, start) = (self.name(), &self.job.start);
        let is_resumed = start.pending.is_some();
        let how = if is_resumed { ", continuing where the last sync stopped" } else { "" };
        let sentence = match self.job.description.cursor {
            None => format!("Reading all of `{name}`."),
            Some(_) if is_resumed && self.backlog.is_empty() && start.mode == SyncMode::FullRefresh => {
                format!("An earlier attempt has already read all of `{name}`.")
            }
            Some(_) => format!("Reading `{name}` changed since {}{how}.", start.bounds.cursor),
        };
        self.output.log(Level::Info, sentence).await
    }

    /// Logs what the stream has to say about what it read, if it is at least so important.
    async fn write_log_lines(&self, least: Level) -> Result<(), OutputClosed> {
        for line in self.job.stream.log_lines() {
            let (level, sentence) = match line {
                LogLine::Note(sentence) => (Level::Info, sentence),
                LogLine::Warning(sentence) | LogLine::Gap(sentence) => (Level::Warn, sentence),
            };
            if level >= least {
                self.output.log(level, sentence).await?;
            }
        }
        Ok(())
    }

    /// Adds the next phase that this sync needs, unless slices of another are left; false at the end.
    fn begin_next_phase(&mut self) -> bool {
        while self.backlog.is_empty() {
            let Some(phase) = self.job.description.phases.get(self.next_phase) else { return false };
            self.next_phase += 1;
            self.backlog.add(self.job.stream.begin(phase));
        }
        true
    }

    fn fetch(&mut self, id: u64, slice: Slice) {
        // A stream may begin another phase by itself.
        self.next_phase = self.next_phase.max(phases_up_to(self.job.description, &slice.phase));
        let stream = Arc::clone(&self.job.stream);
        self.tasks.spawn(async move { (id, stream.fetch(slice).await.map(Box::new).map(Fetched::Page)) });
    }

    fn fetch_deferred(&mut self, id: u64, deferred: DeferredRows) {
        self.tasks.spawn(async move {
            let (rows, rest) = deferred.into_future().await;
            let rest = Some(rest).filter(|rest| rows.is_some() && rest.size_hint().1 != Some(0));
            (id, rows.transpose().map(|rows| Fetched::Part(rows.unwrap_or_default(), rest)))
        });
    }

    async fn take(&mut self, id: u64, fetched: Fetched) -> Result<(), Interruption> {
        match fetched {
            Fetched::Page(outcome) => self.take_page(id, *outcome).await,
            Fetched::Part(rows, Some(rest)) => {
                self.fetch_deferred(id, rest);
                self.write(rows, None).await
            }
            Fetched::Part(rows, None) => {
                let is_undecided = self.job.stream.undecided().is_some();
                let next = self.backlog.next_slices(id, PageOutcome { is_undecided, ..PageOutcome::default() }, 0);
                self.write(rows, next).await
            }
        }
    }

    async fn take_page(&mut self, id: u64, mut outcome: PageOutcome) -> Result<(), Interruption> {
        if let Some(began) = self.job.client.began() {
            self.checkpointer.began(began.into());
        }
        // Masked in a saved state, it could not be requested again.
        let holds_secret = |text| self.output.redactor().holds_secret(text);
        if outcome.rest.iter().chain(&outcome.children).flat_map(Slice::texts).any(holds_secret) {
            return Err(Failure::secret_in_pages(self.name()).into());
        }
        let (rows, deferred) = (std::mem::take(&mut outcome.rows), outcome.later.take());
        let busy = self.tasks.len() + self.backlog.waiting() + 1;
        // One of the idle workers fetches the rest of this slice.
        let idle = self.workers.saturating_sub(busy).min(self.job.client.idle_workers().saturating_sub(1));
        let Some(mut next) = self.backlog.next_slices(id, outcome, idle) else {
            return Err(StreamError::from(repeated_token(self.name().to_owned())).into());
        };
        if let Some(deferred) = deferred {
            self.backlog.detach(next);
            self.fetch_deferred(id, deferred);
            return Ok(());
        }
        // The next pages are fetched while this one is written.
        let free = self.workers.saturating_sub(self.tasks.len());
        next.begin(free).for_each(|(id, slice)| self.fetch(id, slice));
        self.write(rows, Some(next)).await
    }

    /// Writes rows, and only then puts `next` in place of the slice they came from.
    async fn write(&mut self, mut rows: Rows, next: Option<NextSlices>) -> Result<(), Interruption> {
        let (count, latest, recent) = (rows.count, rows.latest, std::mem::take(&mut rows.recent));
        let changes = std::mem::take(&mut rows.changes);
        self.output.rows(self.name(), rows).await?;
        self.checkpointer.note(count, latest, recent);
        for (column, count) in changes {
            *self.changes.entry(column).or_default() += count;
        }
        if let Some(next) = next {
            self.backlog.replace(next);
            *locked(&self.job.share) = self.backlog.share();
        }
        if self.backlog.ignores_windows() && !self.has_warned_of_windows {
            self.has_warned_of_windows = true;
            let warning = format!(
                "100ms answers requests for `{}` with items from outside the requested period, so the list is no longer divided among several requests, and an incremental sync takes as many requests as a full one.",
                self.name()
            );
            self.output.log(Level::Warn, warning).await?;
        }
        if self.checkpointer.is_due(self.last_state.elapsed()) {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Writes a state, and now and then a line of log.
    async fn checkpoint(&mut self) -> Result<(), OutputClosed> {
        self.last_state = Instant::now();
        if self.job.stream.undecided().is_none() {
            self.backlog.release();
        }
        // Where nothing can be resumed, a state before the end would only say that it is the end.
        if self.job.description.cursor.is_some() {
            // Between two phases nothing of the first is pending: the state must say that the next one is.
            self.begin_next_phase();
            let most = if seams::rarely() { 0 } else { PENDING_BYTES };
            let state = self.checkpointer.state(self.backlog.slices(most), self.job.stream.remember(false));
            self.warn_of_gaps().await?;
            self.output.state(self.name(), state).await?;
        }
        if self.last_log.elapsed() >= SIGN_OF_LIFE {
            self.last_log = Instant::now();
            let so_far = format!("Reading `{}`: {} so far.", self.name(), self.account());
            self.output.log(Level::Info, so_far).await?;
        }
        Ok(())
    }

    /// Warns for the first time of missing items that the state takes for read: a process that is killed says nothing
    /// at its end.
    async fn warn_of_gaps(&mut self) -> Result<(), OutputClosed> {
        if self.has_warned_of_gaps {
            return Ok(());
        }
        for line in self.job.stream.log_lines() {
            if let LogLine::Gap(sentence) = line {
                self.has_warned_of_gaps = true;
                self.output.log(Level::Warn, format!("So far, {sentence}")).await?;
            }
        }
        Ok(())
    }

    /// Reports that the stream has been read to its end.
    async fn complete(self, state: Value) -> Result<(), OutputClosed> {
        self.warn_of_empty_columns().await?;
        self.output.state(self.name(), state).await?;
        self.output.status(self.name(), StreamStatus::Complete).await?;
        let seconds = self.began.elapsed().as_secs_f64();
        let sentence = format!("Read `{}`: {} in {seconds:.2} s.{}", self.name(), self.account(), self.changed());
        self.output.log(Level::Info, sentence).await
    }

    /// Reports how far the stream has been read and why no further, and saves it.
    async fn incomplete(mut self, interruption: Interruption) -> Result<(), OutputClosed> {
        self.tasks.abort_all();
        let mut is_hopeless = matches!(interruption, Interruption::Hopeless);
        let (how, advice) = match interruption {
            Interruption::OutputClosed => return Err(OutputClosed),
            Interruption::Stopped => ("stopped", ""),
            Interruption::Hopeless | Interruption::Failed(_) => ("failed", " See the error."),
        };
        if let Interruption::Failed(failure) = interruption {
            // A failure that ends all streams is reported once, and not as one of this stream.
            is_hopeless = failure.concerns_all();
            let stream = Some(self.name()).filter(|_| !is_hopeless);
            if is_hopeless {
                self.hopeless.cancel();
            }
            self.output.message(failure.to_message(stream)).await?;
        }
        self.write_log_lines(Level::Warn).await?;
        // What an earlier run had left was refused again, and perhaps nothing else was requested. Beginning with the
        // first phase, the next run requests other items, too, which decide what the refusal means.
        let is_at_the_end = self.backlog.is_empty() && self.next_phase >= self.job.description.phases.len();
        let is_resumed = self.job.start.pending.is_some();
        let begins_anew = is_resumed && is_at_the_end && self.job.stream.undecided().is_some();
        if begins_anew {
            self.next_phase = 0;
            self.backlog.release();
            self.begin_next_phase();
        }
        // A stream that is read whole each time has no state of being half read.
        if self.job.description.cursor.is_some() && (self.checkpointer.records > 0 || begins_anew) {
            self.checkpoint().await?;
        }
        self.output.status(self.name(), StreamStatus::Incomplete).await?;
        if is_hopeless && self.checkpointer.records == 0 {
            // The error has said all there is to say.
            return Ok(());
        }
        let sentence = format!("`{}`: {how} after {}.{advice}{}", self.name(), self.account(), self.changed());
        self.output.log(Level::Warn, sentence).await
    }

    /// How many values could not be written as they came, and of which columns, as a sentence behind another.
    fn changed(&self) -> String {
        let columns: Vec<String> =
            self.changes.iter().map(|(column, count)| format!("{count} of `{column}`")).collect();
        let columns = columns.join(", ");
        let count: u64 = self.changes.values().sum();
        let (values, they) = if count == 1 { ("value", "it") } else { ("values", "they") };
        match count {
            0 => String::new(),
            _ => format!(
                " {count} {values} could not be written as {they} came ({columns}): see `meta.changes` of the records."
            ),
        }
    }

    /// Warns of selected columns that nobody knows, as far as the records show. Without a record there is nothing to
    /// conclude.
    async fn warn_of_empty_columns(&self) -> Result<(), OutputClosed> {
        for column in self.job.format.empty_columns().filter(|_| self.checkpointer.records > 0) {
            let advice = match nearest(column, self.job.description.table.columns.iter().map(|known| known.name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "leave it out, or create the catalog again with `discover`.".to_owned(),
            };
            let warning = format!(
                "The catalog selects the column `{}` of `{}`, which this connector does not know and which had no value in any record of this sync: {advice}",
                shown(column),
                self.name()
            );
            self.output.log(Level::Warn, warning).await?;
        }
        Ok(())
    }

    /// How many records were read, and what it took.
    fn account(&self) -> String {
        let counted = |count: u64, one: &str, many: &str| {
            format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
        };
        let stats = self.job.client.retry_stats();
        let repeated: String = [
            (stats.retries, "retry", "retries"),
            (stats.waits, "wait for the rate limit", "waits for the rate limit"),
            (stats.absent, "answer with nothing in it", "answers with nothing in them"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!(", {}", counted(count, one, many)))
        .collect();
        let records = counted(self.checkpointer.records, "record", "records");
        format!("{records} ({}{repeated})", counted(stats.requests, "request", "requests"))
    }
}
