//! Reads one stream: fetches its slices, hands their rows to the writer, and saves how far it has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::backlog::{Backlog, Circle, Left, Replacement};
use super::progress::{PENDING_BYTES, Progress, SIGN_OF_LIFE};
use super::state::Position;
use super::{Job, Output, OutputClosed, Stop, Together, stopped};
use crate::airbyte::{Level, Progress as Status, SyncMode, shown};
use crate::api::{Client, repeated_token};
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::seams;
use crate::streams::{Description, Format, Later, Opened, Remark, Rows, Slice, Step, StreamError, Timestamp};

/// A cursor further ahead of both clocks than this cannot come from data.
const FUTURE: TimeDelta = TimeDelta::days(1);

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

/// What a task has fetched.
enum Fetched {
    /// A page of a slice.
    Page(Result<Step, StreamError>),
    /// Rows of a page that took more requests, and those that are still to come; `None` when they have all come.
    Later(Option<Result<Rows, StreamError>>, Later),
}

/// Reads one stream.
pub(super) struct Driver {
    description: &'static Description,
    stream: Arc<dyn Opened>,
    client: Arc<Client>,
    workers: usize,
    output: Output,
    backlog: Backlog,
    progress: Progress,
    /// The next of the stream's lists.
    next_list: usize,
    tasks: JoinSet<(u64, Fetched)>,
    last_state: Instant,
    last_words: Instant,
    together: Together,
    began: Instant,
    /// How many values could not be written as they came, by column.
    changes: BTreeMap<String, u64>,
    /// The cursor, if it must be compared with the clocks first.
    unproven_cursor: Option<Timestamp>,
    is_resumed: bool,
    is_finished: bool,
    has_told_of_windows: bool,
    has_told_of_gaps: bool,
    format: Format,
    /// The saved state, as it came; what it says stays when its cursor lies in the future.
    state: Option<Value>,
    lies_in_the_future: bool,
}

impl Driver {
    pub(super) fn new(job: Job, workers: usize, output: Output, together: Together) -> Self {
        let description = job.description;
        let is_finished = matches!(job.position, Position::Finished(_));
        let mut driver = Self {
            description,
            stream: job.stream,
            client: job.client,
            workers,
            output,
            backlog: Backlog::new(Vec::new(), workers),
            next_list: if is_finished { description.lists.len() } else { 0 },
            tasks: JoinSet::new(),
            last_state: Instant::now(),
            last_words: Instant::now(),
            together,
            began: Instant::now(),
            changes: BTreeMap::new(),
            unproven_cursor: Some(job.beginning.cursor).filter(|_| job.beginning.mode == SyncMode::Incremental),
            progress: Progress::new(job.beginning),
            is_resumed: matches!(job.position, Position::Resumed(_)),
            is_finished,
            has_told_of_windows: false,
            has_told_of_gaps: false,
            format: job.format,
            state: job.state,
            lies_in_the_future: false,
        };
        if let Position::Resumed(resume) = job.position {
            driver.next_list = resume.pending.iter().map(|slice| driver.after(&slice.list)).max().unwrap_or(usize::MAX);
            driver.backlog.add(resume.pending);
        }
        driver
    }

    /// The position of the list after `list`.
    fn after(&self, list: &str) -> usize {
        self.description.lists.iter().position(|name| *name == list).map_or(0, |position| position + 1)
    }

    /// Reads the stream and reports how it went; true when it is complete.
    pub(super) async fn run(mut self, mut stop: Stop) -> bool {
        let ended = self.read(&mut stop).await;
        self.tasks.abort_all();
        let reported = match ended {
            Ok(()) => return self.complete().await.is_ok(),
            Err(cut) => self.incomplete(cut).await,
        };
        // When the output is closed there is nobody to report to.
        let _ = reported;
        false
    }

    async fn read(&mut self, stop: &mut Stop) -> Result<(), Cut> {
        self.output.progress(self.description.name, Status::Started).await?;
        self.output.progress(self.description.name, Status::Running).await?;
        tokio::select! {
            biased;
            lies_in_the_future = self.lies_in_the_future() => if lies_in_the_future? {
                return Ok(());
            },
            () = stopped(stop) => return Err(Cut::Stopped),
        }
        self.announce().await?;
        while self.begin_next_list() {
            self.read_list(stop).await?;
        }
        match self.stream.undecided() {
            Some(refusal) => Err(StreamError::from(refusal).into()),
            None => Ok(self.remark(Level::Info).await?),
        }
    }

    /// Logs what the stream has to say that is at least so important.
    async fn remark(&self, least: Level) -> Result<(), OutputClosed> {
        for Remark { sentence, is_warning, .. } in self.stream.remarks() {
            let level = if is_warning { Level::Warn } else { Level::Info };
            if is_warning || least == Level::Info {
                self.output.log(level, sentence).await?;
            }
        }
        Ok(())
    }

    /// Whether the cursor lies in the future, by this machine's clock and by 100ms': then nothing can have
    /// changed since, and the state stays as it is.
    async fn lies_in_the_future(&mut self) -> Result<bool, Cut> {
        let is_ahead = |cursor: &Timestamp, clock| *cursor > Timestamp::from(clock) + FUTURE;
        let Some(cursor) = self.unproven_cursor.filter(|cursor| is_ahead(cursor, seams::now())) else {
            return Ok(false);
        };
        let clocks = self.client.ask_the_time().await.map_err(StreamError::from)?;
        let Some(clocks) = clocks else { return Ok(false) };
        if clocks.server.is_some_and(|server| !is_ahead(&cursor, server)) {
            return Ok(false);
        }
        let name = self.description.name;
        let field = self.description.cursor.unwrap_or_default();
        let server =
            clocks.server.map_or("does not say the time".to_owned(), |time| format!("says {}", Timestamp::from(time)));
        let warning = format!(
            "The saved `{field}` of `{name}` lies in the future ({cursor}): this machine's clock says {} and 100ms {server}. \
             Nothing is read until then; reset the stream if the state is wrong.",
            Timestamp::from(clocks.local)
        );
        self.output.log(Level::Warn, warning).await?;
        self.lies_in_the_future = true;
        Ok(true)
    }

    async fn announce(&self) -> Result<(), OutputClosed> {
        let name = self.description.name;
        let cursor = self.progress.cursor();
        let sentence = match self.description.cursor {
            _ if self.is_finished => format!("An earlier attempt has already read all of `{name}`."),
            None => format!("Reading all of `{name}`."),
            Some(field) if self.is_resumed => {
                format!("Reading `{name}` with `{field}` from {cursor}, going on where the last sync stopped.")
            }
            Some(field) => format!("Reading `{name}` with `{field}` from {cursor}."),
        };
        self.output.log(Level::Info, sentence).await
    }

    /// Adds the next list that this sync needs, unless something is left of another; false at the end.
    fn begin_next_list(&mut self) -> bool {
        while self.backlog.is_empty() {
            let Some(list) = self.description.lists.get(self.next_list) else { return false };
            self.next_list += 1;
            self.backlog.add(self.stream.list(list).into_iter().collect());
        }
        true
    }

    /// Reads until nothing is pending.
    async fn read_list(&mut self, stop: &mut Stop) -> Result<(), Cut> {
        while !self.backlog.is_empty() {
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
                Some(Ok((id, Fetched::Page(step)))) => self.take_page(id, step?, stop).await?,
                Some(Ok((id, Fetched::Later(Some(rows), later)))) => self.take_part(id, rows?, later, stop).await?,
                Some(Ok((id, Fetched::Later(None, _)))) => self.end_page(id, Rows::default(), stop).await?,
                // The panic itself may quote data; where it was is on stderr.
                Some(Err(_)) => return Err(Cut::Failed(Failure::internal("a task panicked"))),
                None => return Err(Cut::Failed(Failure::internal("a slice is pending that nobody fetches"))),
            }
        }
        Ok(())
    }

    /// Lets free workers fetch what nobody is fetching.
    fn begin_fetching(&mut self) {
        while self.tasks.len() < self.workers {
            let Some((id, slice)) = self.backlog.take() else { return };
            self.fetch(id, slice);
        }
    }

    fn fetch(&mut self, id: u64, slice: Slice) {
        // A stream may go to another list by itself.
        self.next_list = self.next_list.max(self.after(&slice.list));
        let stream = Arc::clone(&self.stream);
        self.tasks.spawn(async move { (id, Fetched::Page(stream.fetch(slice).await)) });
    }

    /// Writes the rows of a page; only then does what is left take the place of the slice.
    async fn take_page(&mut self, id: u64, mut step: Step, stop: &mut Stop) -> Result<(), Cut> {
        let Some(slice) = self.backlog.slice(id) else { return Ok(()) };
        if slice.is_single_page {
            step.rest = slice.left_of_page(step.rest);
        }
        if let Some(began) = self.client.began() {
            self.progress.began(began.into());
        }
        if step.rest.iter().chain(&step.children).any(|slice| self.holds_secret(slice)) {
            return Err(Cut::Failed(Failure::secret_in_pages(self.description.name)));
        }
        if step.is_undecided {
            self.backlog.hold(id, step.rest.as_ref());
        }
        let left = Left { rest: step.rest, children: step.children, seen: step.seen };
        let busy = self.tasks.len() + self.backlog.waiting() + 1;
        // One of the idle workers fetches the rest of this slice.
        let idle = self.workers.saturating_sub(busy).min(self.client.idle_workers().saturating_sub(1));
        let replacement = self.backlog.replacement(id, left, idle).map_err(|Circle| self.circle())?;
        match step.later {
            Some(later) => {
                self.backlog.detach(replacement);
                self.fetch_later(id, later);
                Ok(())
            }
            None => {
                // The next pages are fetched while this one is written.
                let begun = self.workers.saturating_sub(self.tasks.len());
                let next: Vec<(u64, Slice)> =
                    replacement.slices().take(begun).map(|(id, slice)| (id, slice.clone())).collect();
                let begun = next.len();
                next.into_iter().for_each(|(id, slice)| self.fetch(id, slice));
                self.write(step.rows, Some((replacement, begun)), stop).await
            }
        }
    }

    /// Whether a saved state would hold a secret with this slice: masked there, it could not be asked with again.
    fn holds_secret(&self, slice: &Slice) -> bool {
        slice.texts().any(|text| self.output.redactor().holds_secret(text))
    }

    fn fetch_later(&mut self, id: u64, later: Later) {
        self.tasks.spawn(async move {
            let (rows, later) = later.into_future().await;
            (id, Fetched::Later(rows, later))
        });
    }

    /// Writes rows that took more requests; with the last of them their page is done.
    async fn take_part(&mut self, id: u64, rows: Rows, later: Later, stop: &mut Stop) -> Result<(), Cut> {
        if later.size_hint().1 == Some(0) {
            return self.end_page(id, rows, stop).await;
        }
        self.fetch_later(id, later);
        self.write(rows, None, stop).await
    }

    async fn end_page(&mut self, id: u64, rows: Rows, stop: &mut Stop) -> Result<(), Cut> {
        if self.stream.undecided().is_some() {
            self.backlog.hold(id, None);
        }
        let replacement = self.backlog.replacement(id, Left::default(), 0).map_err(|Circle| self.circle())?;
        self.write(rows, Some((replacement, 0)), stop).await
    }

    /// Writes rows, and then puts in place what is left of their slice, of which so many slices have been begun.
    async fn write(
        &mut self,
        mut rows: Rows,
        replacement: Option<(Replacement, usize)>,
        stop: &mut Stop,
    ) -> Result<(), Cut> {
        let (count, latest, recent) = (rows.count, rows.latest, std::mem::take(&mut rows.recent));
        let changes = std::mem::take(&mut rows.changes);
        tokio::select! {
            biased;
            written = self.output.rows(self.description.name, rows) => written?,
            () = stopped(stop) => return Err(Cut::Stopped),
        }
        self.progress.note(count, latest, recent);
        for (column, count) in changes {
            *self.changes.entry(column).or_default() += count;
        }
        if let Some((replacement, begun)) = replacement {
            self.backlog.replace(replacement, begun);
        }
        if self.backlog.ignores_windows() && !self.has_told_of_windows {
            self.has_told_of_windows = true;
            let name = self.description.name;
            let warning = format!(
                "100ms answers requests for `{name}` with items from outside the requested period, so the list is no longer divided among several requests, and an incremental sync costs as many of them as a full one."
            );
            self.output.log(Level::Warn, warning).await?;
        }
        if self.progress.is_due(self.last_state.elapsed()) {
            self.checkpoint().await?;
        }
        Ok(())
    }

    fn circle(&self) -> Cut {
        StreamError::from(repeated_token(self.description.name.to_owned())).into()
    }

    /// Writes what has been read and what is left, and now and then a line for the log.
    async fn checkpoint(&mut self) -> Result<(), OutputClosed> {
        self.last_state = Instant::now();
        if self.stream.undecided().is_none() {
            self.backlog.release();
        }
        // Where nothing can be resumed, a state before the end would only say that it is the end.
        if self.description.cursor.is_some() {
            // Between two lists nothing is pending of the first: the state must say that the next one is.
            self.begin_next_list();
            let most = if seams::rarely() { 0 } else { PENDING_BYTES };
            let state = self.progress.state(self.backlog.slices(most), self.stream.remember(false));
            self.tell_of_gaps().await?;
            self.output.state(self.description.name, state).await?;
        }
        if self.last_words.elapsed() < SIGN_OF_LIFE {
            return Ok(());
        }
        self.last_words = Instant::now();
        let sofar = format!("Reading `{}`: {} so far.", self.description.name, self.account());
        self.output.log(Level::Info, sofar).await
    }

    /// Says for the first time that something is missing which the state takes for read: a process that is killed
    /// has nothing to say in the end.
    async fn tell_of_gaps(&mut self) -> Result<(), OutputClosed> {
        if self.has_told_of_gaps {
            return Ok(());
        }
        for gap in self.stream.remarks().into_iter().filter(|remark| remark.is_gap) {
            self.has_told_of_gaps = true;
            self.output.log(Level::Warn, format!("So far, {}", gap.sentence)).await?;
        }
        Ok(())
    }

    async fn complete(mut self) -> Result<(), OutputClosed> {
        let name = self.description.name;
        for warning in self.empty_columns() {
            self.output.log(Level::Warn, warning).await?;
        }
        let mut state = self.progress.finished(self.stream.remember(true), seams::now().into());
        if self.lies_in_the_future
            && let Some(saved) = self.state.take()
        {
            // Nothing was read, so what is left stays left.
            state = saved;
        }
        self.tasks.shutdown().await;
        self.output.state(name, state).await?;
        self.output.progress(name, Status::Complete).await?;
        let seconds = self.began.elapsed().as_secs_f64();
        let sentence = format!("Read `{name}`: {} in {seconds:.2} s.{}", self.account(), self.lost());
        self.output.log(Level::Info, sentence).await
    }

    /// How many values could not be written as they came, and of which columns, as a sentence behind another.
    fn lost(&self) -> String {
        let columns: Vec<String> =
            self.changes.iter().map(|(column, count)| format!("{count} of `{column}`")).collect();
        let count: u64 = self.changes.values().sum();
        let (values, they) = if count == 1 { ("value", "it") } else { ("values", "they") };
        let columns = columns.join(", ");
        match count {
            0 => String::new(),
            _ => format!(
                " {count} {values} could not be written as {they} came ({columns}): see `meta.changes` of the records."
            ),
        }
    }

    /// The selected columns that nobody knows, as far as the records show, each as a sentence. Without a record there
    /// is nothing to conclude.
    fn empty_columns(&self) -> Vec<String> {
        let known = self.description.columns;
        let columns = self.format.empty_columns().filter(|_| self.progress.records > 0);
        let warning = |column: &str| {
            let mend = match nearest(column, known.iter().copied()) {
                Some(meant) => format!("use `{meant}` if that is what you mean"),
                None => "leave it out, or create the catalog again with `discover`".to_owned(),
            };
            format!(
                "The catalog selects the column `{}` of `{}`, which this connector does not know and which had no value in any record of this sync: {mend}.",
                shown(column),
                self.description.name
            )
        };
        columns.map(warning).collect()
    }

    /// What has been read, and what it took.
    fn account(&self) -> String {
        let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (requests, effort) = (self.client.requests(), self.client.effort());
        let repeated = [
            (effort.retries, "retry", "retries"),
            (effort.waits, "wait for the rate limit", "waits for the rate limit"),
            (effort.absent, "answer with nothing in it", "answers with nothing in them"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!(", {count} {}", if count == 1 { one } else { many }))
        .collect::<String>();
        format!("{} with {}{repeated}", counted(self.progress.records, "record"), counted(requests, "request"))
    }

    /// Writes how far it came and why no further.
    async fn incomplete(mut self, cut: Cut) -> Result<(), OutputClosed> {
        let name = self.description.name;
        if matches!(cut, Cut::OutputClosed) {
            return Err(OutputClosed);
        }
        if let Cut::Failed(failure) = &cut {
            // What no stream can be read for is said once, and not of this stream alone.
            let (is_news, stream) =
                if failure.concerns_all() { (self.together.give_up(), None) } else { (true, Some(name)) };
            if is_news {
                self.output.message(failure.to_message(stream)).await?;
            }
        }
        self.remark(Level::Warn).await?;
        // What an earlier run had left was refused again, and perhaps there was nothing else to ask for. With the
        // lists from the first on, the next run asks for others, too, which decide what the refusal means.
        let is_at_the_end = self.backlog.is_empty() && self.next_list >= self.description.lists.len();
        let begins_anew = self.is_resumed && is_at_the_end && self.stream.undecided().is_some();
        if begins_anew {
            self.next_list = 0;
            self.backlog.release();
            self.begin_next_list();
        }
        // A stream that is read whole each time has no state of being half read.
        if self.description.cursor.is_some() && (self.progress.records > 0 || begins_anew) {
            self.checkpoint().await?;
        }
        self.output.progress(name, Status::Incomplete).await?;
        let why = if matches!(cut, Cut::Stopped) && !self.together.is_hopeless() {
            "it was stopped"
        } else {
            "see the error"
        };
        if self.progress.records == 0 && self.together.is_hopeless() {
            // The error has said all there is to say.
            return Ok(());
        }
        self.output
            .log(Level::Warn, format!("`{name}` is incomplete after {}: {why}.{}", self.account(), self.lost()))
            .await
    }
}
