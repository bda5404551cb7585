//! Records with a link to a file: which of them are read in this sync, and which following syncs look at again. Each link
//! is requested alone: one that cannot be had must not cost all the others.

use std::borrow::Cow;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use super::recheck::{RECHECK, Recheck};
use super::stream::{LogLine, PageOutcome, Skipped, Slice, StreamContext, StreamError};
use crate::api::Problem;
use crate::records::{Format, Record, Rows, Times, Timestamp, Value};

/// Links that are requested at the same time: as many as there can be workers.
const AT_ONCE: usize = 50;
/// The key of the state for records that are looked at again.
const RECHECKED: &str = "recheck";
/// The key of the state that says whether links to files have ever been had.
const LINKS_WORK: &str = "links_work";
/// The keys of a state.
pub(super) const MEMORY: &[&str] = &[RECHECKED, LINKS_WORK];

/// A record whose column `url` is a link to a file.
pub(super) struct Linked<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) record: Record<'a>,
    pub(super) times: Times,
    /// When the last of its files was made, and the last of those that are not finished.
    pub(super) last_file: Option<Timestamp>,
    pub(super) last_unfinished: Option<Timestamp>,
    /// The id of the file.
    pub(super) file: Option<Cow<'a, str>>,
}

impl Linked<'_> {
    fn file(&self) -> &str {
        self.file.as_deref().unwrap_or_default()
    }

    /// Whether an earlier sync has written the record as it is now.
    fn is_written(&self, format: &Format) -> bool {
        Rows::holds(format, &self.record, self.file())
    }
}

/// The links of a stream.
pub(super) struct FileLinks {
    are_wanted: bool,
    skipped: Skipped,
    /// Bounds the links that are requested before it is known whether any is given.
    at_once: Semaphore,
    /// Whether a sync before this one has had a link.
    have_worked_before: bool,
    pub(super) recheck: Recheck,
}

impl FileLinks {
    pub(super) fn new(context: &StreamContext) -> Self {
        Self {
            are_wanted: context.options.recording_urls && context.format.has("url"),
            skipped: Skipped::new("links to files"),
            at_once: Semaphore::new(AT_ONCE),
            have_worked_before: context.memory.get(LINKS_WORK).is_some_and(|value| value == true),
            recheck: Recheck::of(context.memory.get(RECHECKED)),
        }
    }

    /// What came of a page with these `rows`: where links are requested for them, they are written later.
    pub(super) async fn outcome(
        &self,
        rows: impl Future<Output = Result<Rows, StreamError>> + Send + 'static,
        rest: Option<Slice>,
    ) -> Result<PageOutcome, StreamError> {
        if self.are_wanted {
            return Ok(PageOutcome { later: Some(stream::once(rows).boxed()), rest, ..PageOutcome::default() });
        }
        Ok(PageOutcome { rows: rows.await?, rest, ..PageOutcome::default() })
    }

    /// What the state remembers.
    pub(super) fn remember(&self, context: &StreamContext, is_finished: bool) -> Map<String, Json> {
        // Where there were more, a process that goes on has not looked at all of them.
        let has_seen_all = !self.recheck.is_full() || context.since.sync_started_at.is_none();
        let recheck = self.recheck.state(is_finished && has_seen_all, context.began(), self.have_worked());
        Map::from_iter([(RECHECKED.to_owned(), recheck), (LINKS_WORK.to_owned(), self.have_worked().into())])
    }

    /// The rows of those records that are read in this sync, each with its link.
    pub(super) async fn rows(
        &self,
        context: &StreamContext,
        mut records: Vec<Linked<'_>>,
    ) -> Result<Rows, StreamError> {
        records.retain_mut(|linked| self.is_due(context, linked));
        let are_known = try_join_all(records.iter_mut().map(|linked| self.fill(context, linked))).await?;
        let mut rows = Rows::default();
        for (linked, is_link_known) in records.iter_mut().zip(are_known) {
            // Where no link was requested, the record may have been written otherwise meanwhile.
            if is_link_known && !linked.is_written(&context.format) {
                linked.record.set("url", Value::Null);
            }
            rows.push_with_link(&context.format, &linked.record, Some(linked.times), linked.file());
        }
        Ok(rows)
    }

    /// Whether a record is read in this sync; notes until when following syncs look at it again.
    fn is_due(&self, context: &StreamContext, linked: &mut Linked<'_>) -> bool {
        let unfinished = linked.last_unfinished.map(|file| file + RECHECK);
        let saved = self.recheck.until(&linked.id);
        // When there were more than the state could hold, any record with a file of that time may be one of them.
        let may_be_open = if self.recheck.is_full() { linked.last_file.map(|file| file + RECHECK) } else { unfinished };
        let changed = linked.times.changed;
        linked.times.recheck_until = may_be_open.max(saved).unwrap_or(changed).max(changed);
        let is_due = (saved.is_some() || context.is_due(&linked.times)) && changed >= context.since.start_date;
        if is_due {
            self.recheck.note(&linked.id, unfinished.filter(|until| *until > context.began()));
        }
        is_due
    }

    /// Fills in the link; one that cannot be had leaves its column empty. Returns whether an earlier sync has written the
    /// record with a link to this file, so that none is requested.
    async fn fill(&self, context: &StreamContext, linked: &mut Linked<'_>) -> Result<bool, StreamError> {
        let Some(file) = linked.file.clone().filter(|_| self.are_wanted) else { return Ok(false) };
        // Links differ each time and are not compared, so any text stands for the one the record was written with.
        linked.record.set("url", "");
        if linked.is_written(&context.format) {
            return Ok(true);
        }
        linked.record.set("url", Value::Null);
        let saved = self.recheck.until(&linked.id);
        let is_unchanged = linked.is_written(&context.format);
        // It may have been written before its file was finished, although nothing that is selected shows it.
        if is_unchanged && saved.is_none() && !self.recheck.is_full() {
            return Ok(false);
        }
        if let Some(url) = self.request(context, &file).await? {
            linked.record.set("url", url);
            return Ok(false);
        }
        let until = saved.filter(|_| is_unchanged).unwrap_or_else(|| context.began() + RECHECK);
        self.recheck.note_link(&linked.id, until);
        if self.have_worked() {
            linked.times.recheck_until = linked.times.recheck_until.max(until);
        }
        Ok(false)
    }

    /// Whether a link has been had, by this sync or one before it. Where none ever was, requesting it again later is of no
    /// use.
    fn have_worked(&self) -> bool {
        self.have_worked_before || !self.skipped.has_none()
    }

    /// Requests a link to `file`: null when 100ms does not have the file any more, `None` when it may be had later.
    async fn request(&self, context: &StreamContext, file: &str) -> Result<Option<Value<'static>>, StreamError> {
        // The semaphore is never closed, so there is always a permit in the end.
        let _permit = self.at_once.acquire().await.ok();
        if self.skipped.is_hopeless() {
            self.skipped.pass_over();
            return Ok(None);
        }
        match context.client.presigned_url(file).await {
            Err(error) if concerns_one_link(&error.problem) => {
                self.skipped.lacks(error);
                Ok(None)
            }
            answer => {
                // That 100ms no longer has a file says nothing of the other links.
                let Some(url) = answer? else { return Ok(Some(Value::Null)) };
                self.skipped.note(file, Ok(Some(())))?;
                Ok(Some(Value::Plain(url.into())))
            }
        }
    }

    /// What is missing, as sentences for the log.
    pub(super) fn log_lines(&self) -> Vec<LogLine> {
        let mut lines = self.skipped.log_lines();
        if let [LogLine::Gap(sentence)] = &mut lines[..]
            && self.skipped.has_none()
        {
            sentence.push_str(" Set `recording_urls` to `none` if your workspace never gives links, as with HIPAA.");
        }
        lines
    }
}

/// Whether a failure may be that of this link alone. Credentials, limits and connections that cannot be made
/// concern them all.
fn concerns_one_link(problem: &Problem) -> bool {
    match problem {
        Problem::Refused { status, .. } => !matches!(status, 401 | 429),
        Problem::Unreadable(_) | Problem::Closed(_) | Problem::NoAnswer(_) | Problem::TooSlow(_) => true,
        _ => false,
    }
}
