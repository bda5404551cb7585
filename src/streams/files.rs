//! Recordings, live streams and external streams: lists whose items are joined with their files.
//!
//! - **Source:** the list of the items, which may leave the files out, and `/v2/recording-assets`, joined by
//!   `job_id`; `/v2/recording-assets/{id}/presigned-url` for the link to the primary file.
//! - **Join:** both lists are newest first and a file is younger than its item, so the two are read side by
//!   side: the files of an item have all been seen once the list of files is past the item's creation. What
//!   waits in memory is only what belongs to items not reached yet. Links are fetched while the next pages
//!   come.
//! - **Early stop:** there is no time filter. A sync reads back to 72 h before its cursor by creation, and
//!   fetches older items one by one when a file of theirs is newer than the cursor.
//! - **Unfinished:** a file is listed before it is finished, and nothing in it says when it was; a link may be
//!   refused today and be there tomorrow. Items of which this is known are looked at again (`recheck`).
//! - **Open in the reference:** the order of the lists. It is checked on every page; if it does not hold, the
//!   stream starts over without it: each item that is due is fetched alone, which has its files. That takes a
//!   request an item, but no memory, and it goes on where it was cut.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::asset::{self, FILES, File};
use super::file_links::{FileLinks, Linked, MEMORY};
use super::file_list::{CLOCKS, FileList, files_page, is_newest_first, pages_ahead};
use super::recheck::RECHECK;
use super::stream::{
    LogLine, PageOutcome, Scope, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo, hash_of,
};
use crate::api::{Endpoint, Get, members_of};
use crate::records::Kind::{Entries, Integer, Number, Text, Time};
use crate::records::{Column, Fields, Record, RecordError, Rows, Table, Times, Value, all_of, column};
use crate::seams::locked;

/// The columns of an item that all of these streams have.
const ITEM: &[Column] = &[
    column("id", Text, "Unique id.").from(&["id", "_id"]),
    column("room_id", Text, "The room."),
    column("session_id", Text, "The session."),
    column("status", Text, "starting, running, stopping, post_processing, completed or failed."),
    column("created_at", Time, "When it was created."),
    column("started_at", Time, "When recording or streaming began."),
    column("stopped_at", Time, "When recording or streaming stopped."),
    column("updated_at", Time, "When it or any of its files last changed. The cursor of this stream."),
    column("started_by", Text, "Who started it.").personal(),
    column("stopped_by", Text, "Who stopped it.").personal(),
    column("meeting_url", Text, "The link that was recorded or streamed; its token is masked."),
    column("destination", Text, "The destination in the template."),
];

/// The columns of its files.
const ITS_FILES: &[Column] = &[
    column("recording_assets", Entries(&FILES), "The files that were recorded, ordered by when they were made."),
    column("duration", Number, "Seconds of the primary file."),
    column("size", Integer, "Bytes of the primary file."),
    column("path", Text, "Where the primary file is stored."),
    column("url", Text, "A link to the primary file that works for a limited time; null when 100ms has it no longer.")
        .volatile(),
];

/// All columns of a stream with files, of which these are its `own`.
pub(super) const fn columns<const ALL: usize>(own: &[Column]) -> [Column; ALL] {
    all_of([ITEM, own, ITS_FILES])
}

/// How many columns all streams with files have.
pub(super) const SHARED: usize = ITEM.len() + ITS_FILES.len();

/// How far back by creation an item is looked at again, for changes of its own.
const LOOK_BACK: TimeDelta = TimeDelta::hours(72);
/// Items fetched alone that stand in a state together.
const LATE_BATCH: usize = 200;

/// The items and their files side by side. Newest first, until the order is found not to hold.
const NEWEST_FIRST: &str = "newest_first";
/// Items beyond the look-back with a new file.
const LATE: &str = "late";
/// The items, in whatever order.
const ANY_ORDER: &str = "any_order";
/// The files, in whatever order: they tell of items that only a new file has changed.
const FILE_LIST: &str = "files";

const PHASES: &[&str] = &[NEWEST_FIRST, LATE, ANY_ORDER, FILE_LIST];

/// What is known of a stream with files before it is read.
pub(super) const fn info(
    name: &'static str,
    table: &'static Table,
    needs: &'static [Endpoint],
    open: fn(StreamContext) -> Arc<dyn Stream>,
) -> StreamInfo {
    StreamInfo { memory: MEMORY, ..StreamInfo::new(name, table, needs, PHASES, open) }
}

/// A stream with files.
pub(super) struct WithFiles {
    context: StreamContext,
    /// One item of its list.
    item: Endpoint,
    /// Sets what is computed of an item itself.
    prepare: fn(&mut Record<'_>),
    files: tokio::sync::Mutex<FileList>,
    links: FileLinks,
    /// Items that were requested alone.
    items: Skipped,
    /// How many new files are known of each item that is fetched alone, by a hash of its id.
    alone: Mutex<HashMap<u64, u64>>,
    /// Those that are no items of this list.
    missing: Mutex<HashSet<u64>>,
    /// New files that belong to none of the items.
    strays: AtomicU64,
}

impl Stream for WithFiles {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        // The others follow from it.
        (phase == NEWEST_FIRST).then(|| Slice::whole(phase))
    }

    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            match (&slice.scope, slice.phase.as_str()) {
                (Scope::Item { item }, _) => self.item(item).await,
                (Scope::Below { below }, LATE) => self.late(below).await,
                // As version 0.1.0 saved it.
                (Scope::Window(_), LATE) => self.late(slice.token.as_deref().unwrap_or_default()).await,
                (_, FILE_LIST) => self.by_files(slice).await,
                (_, ANY_ORDER) => self.one_by_one(slice).await,
                // What a run before has joined and not written. Its files are not at hand any more.
                _ if slice.is_single_page => self.one_by_one(slice).await,
                _ => self.newest_first(slice).await,
            }
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.items]
    }

    fn log_lines(&self) -> Vec<LogLine> {
        let alone = locked(&self.alone);
        let of_missing: u64 = locked(&self.missing).iter().filter_map(|item| alone.get(item)).sum();
        let strays = self.strays.load(Ordering::Relaxed) + of_missing;
        let mut lines = [self.items.log_lines(), self.links.log_lines()].concat();
        if self.counts_strays() && strays > 0 {
            let (files, belong) = if strays == 1 { ("file", "belongs") } else { ("files", "belong") };
            lines.push(LogLine::Note(format!(
                "{strays} new {files} {belong} to no recording, and {} not in `recordings`: files of live streams and \
                 external streams, and of recordings that 100ms starts by itself and does not list.",
                if strays == 1 { "is" } else { "are" },
            )));
        }
        lines
    }

    fn remember(&self, is_finished: bool) -> Map<String, Json> {
        self.links.remember(&self.context, is_finished)
    }
}

impl WithFiles {
    pub(super) fn open(context: StreamContext, item: Endpoint, prepare: fn(&mut Record<'_>)) -> Arc<dyn Stream> {
        Arc::new(Self {
            files: tokio::sync::Mutex::new(FileList::new(
                pages_ahead(Arc::clone(&context.client)),
                context.changed_since,
            )),
            links: FileLinks::new(&context),
            items: Skipped::new("items with a new file"),
            alone: Mutex::default(),
            missing: Mutex::default(),
            strays: AtomicU64::new(0),
            context,
            item,
            prepare,
        })
    }

    /// Whether the log says how many new files belong to nothing that is listed.
    fn counts_strays(&self) -> bool {
        self.context.list() == Endpoint::RECORDINGS
    }

    /// A page, joined with the files that have been seen, as long as both lists are newest first.
    async fn newest_first(self: Arc<Self>, slice: Slice) -> Result<PageOutcome, StreamError> {
        let mut files = self.files.lock().await;
        if !files.admit(slice.token.as_deref()) {
            return Ok(start_over());
        }
        // Not the token, which may lead back to items whose files have been given away.
        let passed = files.passed.clone().or_else(|| slice.token.clone());
        drop(files);
        let (mut parents, next) = self.page(&slice).await?;
        let in_order: Vec<_> = parents.iter().map(|parent| (parent.id.as_str(), parent.times.created)).collect();
        if !is_newest_first(passed.as_deref(), &in_order) {
            return Ok(start_over());
        }
        // When something shifts, a page begins with the end of the last one.
        parents.retain(|parent| passed.as_ref().is_none_or(|passed| parent.id < *passed));
        let mut files = self.files.lock().await;
        if let Some(oldest) = parents.last() {
            if !files.read_back_to(oldest.times.created - CLOCKS, slice.token.as_deref()).await? {
                return Ok(start_over());
            }
            let end = oldest.id.clone();
            for parent in &mut parents {
                parent.files = files.take(&parent.id).into_iter().map(|file| file.raw).collect();
            }
            self.strays.fetch_add(files.forget_from(&end), Ordering::Relaxed);
            files.passed = Some(end);
        }
        let horizon = self.context.since.created(LOOK_BACK);
        let rest = match (next, parents.last()) {
            (Some(_), Some(oldest)) if oldest.times.created < horizon => {
                Some(Slice::new(LATE, Scope::Below { below: oldest.id.clone() }))
            }
            (next, _) => slice.rest(next),
        };
        files.leave_at(rest.as_ref());
        if rest.is_none() && self.counts_strays() {
            self.strays.fetch_add(files.forget_all().await?, Ordering::Relaxed);
            if files.is_disproved() {
                return Ok(start_over());
            }
        }
        drop(files);
        let stream = Arc::clone(&self);
        self.links.outcome(async move { stream.rows(parents).await }, rest).await
    }

    /// Items beyond the look-back, with an id below this one, that have got a file since the cursor or are looked
    /// at again.
    async fn late(&self, below: &str) -> Result<PageOutcome, StreamError> {
        let due = if self.links.recheck.is_full() {
            self.context.changed_since - RECHECK
        } else {
            self.context.changed_since
        };
        let mut files = self.files.lock().await;
        if !files.admit(Some(below)) || !files.read_back_to(due, Some(below)).await? {
            return Ok(start_over());
        }
        let mut ids: Vec<String> =
            files.newer_than(due, below).chain(self.links.recheck.below(below)).map(String::from).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        let rest =
            (ids.len() > LATE_BATCH).then(|| Slice::new(LATE, Scope::Below { below: ids[LATE_BATCH - 1].clone() }));
        files.leave_at(rest.as_ref());
        ids.truncate(LATE_BATCH);
        for id in &ids {
            let its_files = files.take(id);
            locked(&self.alone).insert(hash_of(id), files.count_new(&its_files));
        }
        Ok(PageOutcome { children: items(LATE, ids), rest, ..PageOutcome::default() })
    }

    /// A page of items, each of which is fetched alone, because that has its files: all that have changed, or
    /// where the order holds all.
    async fn one_by_one(&self, slice: Slice) -> Result<PageOutcome, StreamError> {
        let (parents, next) = self.page(&slice).await?;
        let is_wanted = |parent: &Parent| {
            slice.phase == NEWEST_FIRST
                || (parent.times.changed >= self.context.changed_since
                    || self.links.recheck.until(&parent.id).is_some())
                    && self.is_first_time(&parent.id, 0)
        };
        let wanted = parents.into_iter().filter(is_wanted).map(|parent| parent.id);
        Ok(PageOutcome { children: items(&slice.phase, wanted), rest: slice.rest(next), ..PageOutcome::default() })
    }

    /// A page of files in whatever order: the items of those that are new, or may have been unfinished.
    async fn by_files(&self, slice: Slice) -> Result<PageOutcome, StreamError> {
        let page = files_page(&self.context.client, slice.token.as_deref()).await?;
        let mut wanted = Vec::new();
        for file in page.content {
            let is_new = file.created_at >= self.context.changed_since;
            let is_open = (file.is_unfinished || self.links.recheck.is_full())
                && file.created_at + RECHECK >= self.context.changed_since;
            let Some(item) = file.job.filter(|_| is_new || is_open) else { continue };
            if self.is_first_time(&item, is_new.into()) {
                wanted.push(item);
            }
        }
        Ok(PageOutcome { children: items(FILE_LIST, wanted), rest: slice.rest(page.next), ..PageOutcome::default() })
    }

    /// Whether this run has not yet fetched the item alone; notes so many more new files of it.
    fn is_first_time(&self, item: &str, new_files: u64) -> bool {
        let (mut alone, item) = (locked(&self.alone), hash_of(item));
        let known = alone.get(&item).copied();
        alone.insert(item, known.unwrap_or_default() + new_files);
        known.is_none()
    }

    /// An item with its files. There is none when the file that tells of it belongs to an item of another list.
    async fn item(&self, id: &str) -> Result<PageOutcome, StreamError> {
        let get = Get::of(self.item, id);
        let answer = self.context.client.one::<&'static RawValue, _>(get, Parent::of).await;
        let is_refused = answer.is_err();
        // That an item is not there is no wonder, even if none of them is: its files tell of another list.
        let Some(parent) = self.items.note(id, answer.map(Some))?.flatten() else {
            if !is_refused {
                locked(&self.missing).insert(hash_of(id));
                self.links.recheck.note(id, None);
            }
            return Ok(PageOutcome { is_undecided: self.items.is_undecided(id), ..PageOutcome::default() });
        };
        Ok(PageOutcome { rows: self.rows(vec![parent?]).await?, ..PageOutcome::default() })
    }

    async fn page(&self, slice: &Slice) -> Result<(Vec<Parent>, Option<String>), StreamError> {
        let shape = |items: Vec<&RawValue>| items.into_iter().map(Parent::of).collect::<Result<Vec<_>, _>>();
        let page =
            self.context.client.list::<&'static RawValue, _>(slice.page_of(self.context.list(), None), shape).await?;
        Ok((page.content?, page.next))
    }

    async fn rows(&self, parents: Vec<Parent>) -> Result<Rows, StreamError> {
        let records = parents.iter().map(|parent| joined(parent, self.context.description.table));
        let mut records = records.collect::<Result<Vec<_>, _>>()?;
        records.iter_mut().for_each(|linked| (self.prepare)(&mut linked.record));
        self.links.rows(&self.context, records).await
    }
}

/// The items and the files one by one, in whatever order. What has been read so far is read again.
fn start_over() -> PageOutcome {
    let [rest, files] = [ANY_ORDER, FILE_LIST].map(Slice::whole);
    PageOutcome { rest: Some(rest), children: vec![files], ..PageOutcome::default() }
}

fn items(list: &str, ids: impl IntoIterator<Item = String>) -> Vec<Slice> {
    ids.into_iter().map(|id| Slice::new(list, Scope::Item { item: id })).collect()
}

/// What is kept of an item between its page and its record.
struct Parent {
    id: String,
    times: Times,
    raw: Box<RawValue>,
    files: Vec<Box<RawValue>>,
}

impl Parent {
    fn of(raw: &RawValue) -> Result<Self, RecordError> {
        let item =
            Fields::of(raw).ok_or_else(|| RecordError::new(None, "data", "contains an item that is not an object"))?;
        let id = item.id()?;
        Ok(Self { times: item.times(&id)?, id: id.into_owned(), raw: raw.to_owned(), files: Vec::new() })
    }
}

/// The record of an item with its files.
fn joined<'a>(parent: &'a Parent, table: &'static Table) -> Result<Linked<'a>, RecordError> {
    let id = parent.id.as_str();
    let item = Fields::of(&parent.raw).unwrap_or_default();
    item.time("started_at", id)?;
    item.time("stopped_at", id)?;
    // The list leaves files out; should it hold some, they count as well.
    let inline = members_of::<&RawValue>(item.get("recording_assets"))
        .map_err(|_| RecordError::new(Some(id), "recording_assets", "is not an array"))?;
    let files = parent.files.iter().map(AsRef::as_ref).chain(inline.into_iter().map(|(_, raw)| raw));
    let files = asset::files_of(files, id)?;
    let last_file = files.iter().map(|file| file.created_at).max();
    let unfinished = files.iter().filter(|file| file.is_unfinished());
    let last_unfinished = unfinished.map(|file| file.created_at).max();
    let changed = parent.times.changed.max(last_file.unwrap_or(parent.times.changed));
    let primary = asset::primary(&files);
    let mut record = Record::of(table, item)
        .with("created_at", parent.times.created_at)
        .with("updated_at", changed)
        .with("url", Value::Null);
    for column in ["duration", "size", "path"] {
        record.set(column, primary.and_then(|file| file.fields.get(column)));
    }
    let file = primary.map(|file| file.id.clone());
    record.set("recording_assets", Value::Entries(files.into_iter().map(File::entry).collect()));
    let times = Times::new(parent.times.created, changed);
    Ok(Linked { id: id.into(), record, times, last_file, last_unfinished, file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::to_value;

    static TABLE: Table = Table { description: "", columns: &columns::<SHARED>(&[]) };

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn asset(id: &str, kind: &str, rest: &str) -> Box<RawValue> {
        raw(&format!(r#"{{"id":"{id}","job_id":"r","type":"{kind}","created_at":"2024-05-01T12:00:00Z"{rest}}}"#))
    }

    fn parent(files: Vec<Box<RawValue>>) -> Parent {
        let recording = r#"{"id":"r","created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T11:00:00Z",
            "meeting_url":"https://x/y?token=T","status":"completed"}"#;
        Parent { files, ..Parent::of(&raw(recording)).unwrap() }
    }

    fn joined(parent: &Parent) -> Linked<'_> {
        super::joined(parent, &TABLE).unwrap()
    }

    fn primary_of(files: Vec<Box<RawValue>>) -> Option<String> {
        joined(&parent(files)).file.map(String::from)
    }

    #[test]
    fn a_late_file_changes_its_recording() {
        let parent = parent(vec![asset("a", "transcript", r#","newField":1"#)]);
        let joined = joined(&parent);
        assert_eq!(joined.times.changed.to_string(), "2024-05-01T12:00:00.000000Z");
        let record = to_value(&joined.record);
        assert_eq!(record["meeting_url"], "https://x/y?token=**********");
        assert_eq!(record["updated_at"], "2024-05-01T12:00:00.000000Z");
        assert_eq!((&record["url"], &record["size"]), (&Json::Null, &Json::Null));
        assert_eq!(record["recording_assets"][0]["newField"], 1);
    }

    #[test]
    fn the_primary_file_is_the_whole_composite_else_the_next_best() {
        let done = r#","status":"completed""#;
        let layered = r#","status":"completed","metadata":{"layer":0}"#;
        let files = || {
            vec![asset("a", "track", done), asset("b", "room-composite", layered), asset("c", "room-composite", done)]
        };
        assert_eq!(primary_of(files()).unwrap(), "c");
        assert_eq!(primary_of(files()[..2].to_vec()).unwrap(), "b");
        assert_eq!(primary_of(files()[..1].to_vec()).unwrap(), "a");
        assert_eq!(primary_of(vec![asset("f", "room-composite", r#","status":"failed""#)]), None);
        let sized = |id: &str, size: &str| asset(id, "chat", &format!(r#","status":"completed","size":{size}"#));
        assert_eq!(primary_of(vec![sized("s", "5000000000"), sized("t", "7")]).unwrap(), "s");
        assert_eq!(primary_of(vec![sized("s", "7"), sized("t", "7")]).unwrap(), "s", "of equals the first");
    }

    #[test]
    fn a_file_that_comes_twice_is_one() {
        let parent = parent(vec![asset("a", "chat", ""), asset("a", "chat", "")]);
        let files = &to_value(&joined(&parent).record)["recording_assets"];
        assert_eq!(files.as_array().map(Vec::len), Some(1));
    }
}
