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

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::asset::{self, AssetEntry};
use super::contract::{Reading, RecordError, Remark, Since, Step, Stream, StreamError, Times, in_one_part};
use super::file_links::{FileLinks, Link};
use super::file_list::{CLOCKS, FileList, files_page};
use super::recheck::{RECHECK, Recheck};
use super::record::{Computed, Derived, Record, Rows, fill_times, id, record};
use super::schema;
use super::skipped::Skipped;
use super::slice::{Scope, Slice};
use super::time::{Time, Timestamp};
use super::values::{Integer, Number, Text, text};
use crate::api::{Answer, ApiError, Client, List, Members};

/// What differs between the streams with files.
pub(super) trait Kind: Send + Sync + 'static {
    /// See [`Stream::NAME`].
    const NAME: &'static str;
    /// Where the items are listed.
    const LIST: List;
    /// See [`Stream::Record`].
    type Record: Record + JsonSchema + Answer;
}

/// A record whose files are joined to it.
pub(super) trait WithFiles<'a>: Record + Deserialize<'a> {
    /// The columns that the join reads and fills.
    fn columns(&mut self) -> Columns<'_, 'a>;
}

/// The columns that the join reads and fills.
pub(super) struct Columns<'r, 'a> {
    pub(super) started_at: Time,
    pub(super) stopped_at: Time,
    pub(super) created_at: &'r mut Time,
    pub(super) updated_at: &'r mut Time,
    pub(super) files: &'r mut Derived<'a, Vec<AssetEntry<'a>>>,
    pub(super) duration: &'r mut Computed<Number<'a>>,
    pub(super) size: &'r mut Computed<Integer<'a>>,
    pub(super) path: &'r mut Computed<Text<'a>>,
    pub(super) url: &'r mut Computed<Cow<'a, str>>,
}

/// Names the columns of the record type `$name`, which are called the same in all streams with files.
macro_rules! with_files {
    ($name:ident) => {
        impl<'a> $crate::streams::files::WithFiles<'a> for $name<'a> {
            fn columns(&mut self) -> $crate::streams::files::Columns<'_, 'a> {
                $crate::streams::files::Columns {
                    started_at: self.started_at,
                    stopped_at: self.stopped_at,
                    created_at: &mut self.created_at,
                    updated_at: &mut self.updated_at,
                    files: &mut self.recording_assets,
                    duration: &mut self.duration,
                    size: &mut self.size,
                    path: &mut self.path,
                    url: &mut self.url,
                }
            }
        }
    };
}
pub(super) use with_files;

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
const FILES: &str = "files";

/// Stands for a link in a record that has been written with one. Links differ each time and are not compared, so
/// the record is not written again.
const NOT_ASKED: &str = "";

/// The key of the state for items that are looked at again.
const RECHECKED: &str = "recheck";
/// The key of the state that says whether links to files have ever been had.
const LINKS_WORK: &str = "links_work";

/// A stream with files.
pub(super) struct FilesOf<K> {
    reading: Reading,
    wants_url: bool,
    files: tokio::sync::Mutex<FileList>,
    links: FileLinks,
    /// Items that were asked for alone.
    items: Skipped,
    recheck: Recheck,
    is_out_of_order: AtomicBool,
    /// Items that are fetched alone, by a hash of the id.
    alone: Mutex<HashMap<u64, Alone>>,
    /// New files that belong to none of the items.
    strays: AtomicU64,
    kind: PhantomData<K>,
}

/// What is known of an item that is fetched alone.
#[derive(Default)]
struct Alone {
    new_files: u64,
    is_missing: bool,
}

impl<K: Kind> Stream for FilesOf<K>
where
    for<'a> <K::Record as Answer>::Of<'a>: WithFiles<'a> + Send + Sync,
{
    const NAME: &'static str = K::NAME;
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("updated_at");
    const LISTS: &'static [&'static str] = &[NEWEST_FIRST, LATE, ANY_ORDER, FILES];
    const MEMORY: &'static [&'static str] = &[RECHECKED, LINKS_WORK];
    type Record = K::Record;

    fn open(reading: Reading) -> Self {
        Self {
            wants_url: reading.options.recording_urls && reading.format.has::<K::Record>("url"),
            files: tokio::sync::Mutex::new(FileList::new(reading.due)),
            links: FileLinks::new(reading.memory.get(LINKS_WORK).is_some_and(|value| value == true)),
            items: Skipped::new("items with a new file"),
            recheck: Recheck::of(reading.memory.get(RECHECKED)),
            is_out_of_order: AtomicBool::new(false),
            alone: Mutex::default(),
            strays: AtomicU64::new(0),
            reading,
            kind: PhantomData,
        }
    }

    fn list(&self, list: &'static str) -> Option<Slice> {
        match list {
            // They follow from the first list.
            LATE | ANY_ORDER => None,
            FILES => self.is_out_of_order.load(Ordering::Relaxed).then(|| Slice::whole(FILES)),
            list => Some(Slice::whole(list)),
        }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        if matches!(slice.list.as_str(), ANY_ORDER | FILES) {
            self.is_out_of_order.store(true, Ordering::Relaxed);
        }
        match (&slice.scope, slice.list.as_str()) {
            (Scope::Item(id), _) => self.item(id).await,
            (Scope::Below(id), LATE) => self.late(id).await,
            (_, FILES) => self.by_files(slice).await,
            (_, ANY_ORDER) => self.one_by_one(slice).await,
            // What a run before has joined and not written. Its files are not at hand any more.
            _ if slice.is_single_page => self.one_by_one(slice).await,
            _ => self.newest_first(slice).await,
        }
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        schema::sample::<K::Record>(client, K::LIST, None).await
    }

    fn remarks(&self) -> Vec<Remark> {
        let missing =
            locked(&self.alone).values().filter(|item| item.is_missing).map(|item| item.new_files).sum::<u64>();
        let strays = self.strays.load(Ordering::Relaxed) + missing;
        let mut remarks = [self.items.remarks(), self.links.remarks()].concat();
        if K::LIST == List::RECORDINGS && strays > 0 {
            let (files, belong) = if strays == 1 { ("file", "belongs") } else { ("files", "belong") };
            remarks.push(Remark::note(format!(
                "{strays} new {files} {belong} to no recording, and {} not in `recordings`: files of live streams and \
                 external streams, and of recordings that 100ms starts by itself and does not list.",
                if strays == 1 { "is" } else { "are" },
            )));
        }
        remarks
    }

    fn undecided(&self) -> Option<ApiError> {
        self.items.undecided()
    }

    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        let links_work = self.links.have_worked();
        let recheck = self.recheck.state(is_finished, self.reading.began(), links_work);
        Map::from_iter([(RECHECKED.to_owned(), recheck), (LINKS_WORK.to_owned(), links_work.into())])
    }
}

impl<K: Kind> FilesOf<K>
where
    for<'a> <K::Record as Answer>::Of<'a>: WithFiles<'a> + Send + Sync,
{
    /// A page, joined with the files that have been seen, as long as both lists are newest first.
    async fn newest_first(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let (mut parents, next) = self.page(&slice).await?;
        if !is_newest_first(slice.token.as_deref(), &parents) {
            return Ok(start_over());
        }
        // When something shifts, a page begins with the end of the last one.
        parents.retain(|parent| slice.token.as_ref().is_none_or(|token| parent.id < *token));
        let mut files = self.files.lock().await;
        if let Some(oldest) = parents.last() {
            if !files.read_back_to(&self.reading.client, oldest.times.created - CLOCKS, slice.token.as_deref()).await? {
                return Ok(start_over());
            }
            let end = oldest.id.clone();
            parents.iter_mut().for_each(|parent| parent.files = files.take(&parent.id).files);
            self.strays.fetch_add(files.forget_from(&end), Ordering::Relaxed);
        }
        let horizon = self.reading.since.created(LOOK_BACK);
        let rest = match (next, parents.last()) {
            (Some(_), Some(oldest)) if oldest.times.created < horizon => {
                Some(Slice::new(LATE, Scope::Below(oldest.id.clone())))
            }
            (next, _) => slice.rest(next),
        };
        if rest.is_none() {
            self.strays.fetch_add(files.forget_all(&self.reading.client).await?, Ordering::Relaxed);
        }
        drop(files);
        if !self.wants_url {
            return Ok(Step { rows: self.rows(parents).await?, rest, ..Step::default() });
        }
        Ok(Step { later: Some(in_one_part(async move { self.rows(parents).await })), rest, ..Step::default() })
    }

    /// Items beyond the look-back, with an id below this one, that have got a file since the cursor or are looked
    /// at again.
    async fn late(&self, below: &str) -> Result<Step, StreamError> {
        let due = if self.recheck.is_full() { self.reading.due - RECHECK } else { self.reading.due };
        let mut files = self.files.lock().await;
        if !files.read_back_to(&self.reading.client, due, Some(below)).await? {
            return Ok(start_over());
        }
        let mut ids: Vec<String> =
            files.newer_than(due, below).chain(self.recheck.below(below)).map(String::from).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        let rest = (ids.len() > LATE_BATCH).then(|| Slice::new(LATE, Scope::Below(ids[LATE_BATCH - 1].clone())));
        ids.truncate(LATE_BATCH);
        for id in &ids {
            locked(&self.alone).entry(hash_of(id)).or_default().new_files = files.take(id).new;
        }
        Ok(Step { children: items(LATE, ids), rest, ..Step::default() })
    }

    /// A page of items, each of which is fetched alone, because that has its files: all that have changed, or
    /// where the order holds all.
    async fn one_by_one(&self, slice: Slice) -> Result<Step, StreamError> {
        let (parents, next) = self.page(&slice).await?;
        let is_wanted = |parent: &Parent| {
            slice.list == NEWEST_FIRST
                || (parent.times.changed >= self.reading.due || self.recheck.until(&parent.id).is_some())
                    && self.is_first_time(&parent.id, 0)
        };
        let wanted = parents.into_iter().filter(is_wanted).map(|parent| parent.id);
        Ok(Step { children: items(&slice.list, wanted), rest: slice.rest(next), ..Step::default() })
    }

    /// A page of files in whatever order: the items of those that are new, or may have been unfinished.
    async fn by_files(&self, slice: Slice) -> Result<Step, StreamError> {
        let page = files_page(&self.reading.client, slice.token.as_deref()).await?;
        let mut wanted = Vec::new();
        for file in page.files {
            let is_new = file.created_at >= self.reading.due;
            let is_open =
                (file.is_unfinished || self.recheck.is_full()) && file.created_at + RECHECK >= self.reading.due;
            let Some(item) = file.job.filter(|_| is_new || is_open) else { continue };
            if self.is_first_time(&item, is_new.into()) {
                wanted.push(item);
            }
        }
        Ok(Step { children: items(FILES, wanted), rest: slice.rest(page.next), ..Step::default() })
    }

    /// Whether this run has not yet fetched the item alone; notes so many more new files of it.
    fn is_first_time(&self, item: &str, new_files: u64) -> bool {
        match locked(&self.alone).entry(hash_of(item)) {
            Entry::Occupied(mut item) => {
                item.get_mut().new_files += new_files;
                false
            }
            Entry::Vacant(item) => {
                item.insert(Alone { new_files, is_missing: false });
                true
            }
        }
    }

    /// An item with its files. There is none when the file that tells of it belongs to an item of another list.
    async fn item(&self, id: &str) -> Result<Step, StreamError> {
        let answer = self.reading.client.item::<&'static RawValue, _>(K::LIST, id, Parent::of).await;
        let is_refused = answer.is_err();
        // That an item is not there is no wonder, even if none of them is: its files tell of another list.
        let Some(parent) = self.items.note(id, answer.map(Some))?.flatten() else {
            if !is_refused {
                locked(&self.alone).entry(hash_of(id)).or_default().is_missing = true;
                self.recheck.note(id, None);
            }
            return Ok(Step { is_undecided: self.items.is_undecided(id), ..Step::default() });
        };
        Ok(Step { rows: self.rows(vec![parent?]).await?, ..Step::default() })
    }

    async fn page(&self, slice: &Slice) -> Result<(Vec<Parent>, Option<String>), StreamError> {
        let shape = |items: Vec<&RawValue>| items.into_iter().map(Parent::of).collect::<Result<Vec<_>, _>>();
        let page = self.reading.client.list::<&'static RawValue, _>(K::LIST, &slice.page(), shape).await?;
        Ok((page.content?, page.next))
    }

    async fn rows(&self, parents: Vec<Parent>) -> Result<Rows, StreamError> {
        let mut due = Vec::with_capacity(parents.len());
        for parent in &parents {
            let mut joined = Joined::<<K::Record as Answer>::Of<'_>>::of(parent)?;
            if self.is_due(&mut joined) {
                due.push(joined);
            }
        }
        try_join_all(due.iter_mut().map(|joined| self.fill_link(joined))).await?;
        let mut rows = Rows::default();
        for joined in &mut due {
            // Where no link was asked for, the record may have been written otherwise meanwhile.
            if joined.record.columns().url.0.as_deref() == Some(NOT_ASKED)
                && !Rows::holds(&self.reading.format, &joined.record)
            {
                joined.record.columns().url.0 = None;
            }
            rows.push(&self.reading.format, &joined.record, Some(joined.times));
        }
        Ok(rows)
    }

    /// Whether an item is read in this sync; notes until when following syncs look at it again.
    fn is_due<R>(&self, joined: &mut Joined<'_, R>) -> bool {
        let Since { start_date, .. } = self.reading.since;
        let unfinished = joined.last_unfinished.map(|file| file + RECHECK);
        let saved = self.recheck.until(joined.id);
        // When there were more than the state could hold, any item with a file of that time may be one of them.
        let may_be_open = if self.recheck.is_full() { joined.last_file.map(|file| file + RECHECK) } else { unfinished };
        joined.times.settled = may_be_open.max(saved).unwrap_or(joined.times.changed).max(joined.times.changed);
        let is_due = (saved.is_some() || self.reading.is_due(&joined.times)) && joined.times.changed >= start_date;
        if is_due {
            self.recheck.note(joined.id, unfinished.filter(|until| *until > self.reading.began()));
        }
        is_due
    }

    /// Fills in the link to the primary file. One that cannot be had leaves its column empty.
    async fn fill_link<'a, R: WithFiles<'a>>(&self, joined: &mut Joined<'a, R>) -> Result<(), StreamError> {
        let Some(file) = joined.primary.clone().filter(|_| self.wants_url) else { return Ok(()) };
        joined.record.columns().url.0 = Some(Cow::Borrowed(NOT_ASKED));
        if Rows::holds(&self.reading.format, &joined.record) {
            return Ok(());
        }
        joined.record.columns().url.0 = None;
        let saved = self.recheck.until(joined.id);
        let is_unchanged = Rows::holds(&self.reading.format, &joined.record);
        if is_unchanged && saved.is_none() {
            return Ok(());
        }
        match self.links.ask(&self.reading.client, &file).await? {
            Link::To(url) => joined.record.columns().url.0 = Some(Cow::Owned(url)),
            Link::None => {}
            Link::Failed => {
                let until = saved.filter(|_| is_unchanged).unwrap_or_else(|| self.reading.began() + RECHECK);
                self.recheck.note_link(joined.id, until);
                if self.links.have_worked() {
                    joined.times.settled = joined.times.settled.max(until);
                }
            }
        }
        Ok(())
    }
}

/// The items one by one, in whatever order. What has been read so far is read again.
fn start_over() -> Step {
    Step { rest: Some(Slice::whole(ANY_ORDER)), ..Step::default() }
}

fn items(list: &str, ids: impl IntoIterator<Item = String>) -> Vec<Slice> {
    ids.into_iter().map(|id| Slice::new(list, Scope::Item(id))).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// What is kept of an item between its page and its record.
struct Parent {
    id: String,
    /// As its column has it.
    created_at: Time,
    times: Times,
    raw: Box<RawValue>,
    files: Vec<Box<RawValue>>,
}

record! {
    /// What the join reads of an item.
    ParentItem {
        id: Text<'a> = "id" | "_id",
        created_at: Time,
        updated_at: Time,
    }
}

impl Parent {
    fn of(raw: &RawValue) -> Result<Self, RecordError> {
        let mut item: ParentItem<'_> = serde_json::from_str(raw.get())
            .map_err(|_| RecordError::new(None, "data", "contains an item that is not an object"))?;
        let id = id(item.id.0)?;
        let times = fill_times(&id, &mut item.created_at, &mut item.updated_at)?;
        Ok(Self { id: id.into_owned(), created_at: item.created_at, times, raw: raw.to_owned(), files: Vec::new() })
    }
}

/// Whether ids descend, to below the token of the page, and creations with them.
fn is_newest_first(token: Option<&str>, parents: &[Parent]) -> bool {
    let follows =
        |before: &Parent, after: &Parent| before.id > after.id && after.times.created - CLOCKS <= before.times.created;
    parents.windows(2).all(|pair| follows(&pair[0], &pair[1]))
        && parents.last().zip(token).is_none_or(|(last, token)| last.id.as_str() < token)
}

/// A record with its files.
struct Joined<'a, R> {
    id: &'a str,
    record: R,
    times: Times,
    /// When the last of its files was made, and the last of those that are not finished.
    last_file: Option<Timestamp>,
    last_unfinished: Option<Timestamp>,
    /// The id of the primary file.
    primary: Option<Cow<'a, str>>,
}

impl<'a, R: WithFiles<'a>> Joined<'a, R> {
    fn of(parent: &'a Parent) -> Result<Self, RecordError> {
        let id = parent.id.as_str();
        let mut record: R = serde_json::from_str(parent.raw.get())
            .map_err(|_| RecordError::new(Some(id), "data", "is not an object"))?;
        let columns = record.columns();
        columns.started_at.readable(id, "started_at")?;
        columns.stopped_at.readable(id, "stopped_at")?;
        // The list leaves files out; should it hold some, they count as well.
        let inline = Members::<&RawValue>::of(columns.files.raw)
            .map_err(|_| RecordError::new(Some(id), "recording_assets", "is not an array"))?;
        let files = parent.files.iter().map(AsRef::as_ref).chain(inline.into_iter().map(|(_, raw)| raw));
        let entries = asset::entries(files, id)?;
        let last = |of: fn(&AssetEntry<'_>) -> bool| {
            entries.iter().filter(|file| of(file)).filter_map(|file| file.created_at.get()).max()
        };
        let (last_file, last_unfinished) = (last(|_| true), last(|file| file.is_unfinished()));
        let changed = last_file.map_or(parent.times.changed, |last_file| last_file.max(parent.times.changed));
        *columns.created_at = parent.created_at;
        *columns.updated_at = changed.into();
        let primary = asset::primary(&entries);
        columns.duration.0 = primary.map(|file| file.duration);
        columns.size.0 = primary.map(|file| file.size);
        columns.path.0 = primary.map(|file| file.path);
        let primary = primary.and_then(|file| text(file.id.0));
        columns.files.value = Some(entries);
        let times = Times::new(parent.times.created, changed);
        Ok(Self { id, record, times, last_file, last_unfinished, primary })
    }
}

#[cfg(test)]
mod tests {
    use super::super::recordings::RecordingRecord;
    use super::super::write::to_value;
    use super::*;

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

    fn joined(parent: &Parent) -> Joined<'_, RecordingRecord<'_>> {
        Joined::of(parent).unwrap()
    }

    fn primary_of(files: Vec<Box<RawValue>>) -> Option<String> {
        joined(&parent(files)).primary.map(Cow::into_owned)
    }

    #[test]
    fn a_late_file_changes_its_recording() {
        let parent = parent(vec![asset("a", "transcript", r#","newField":1"#)]);
        let joined = joined(&parent);
        assert_eq!(joined.times.changed.to_string(), "2024-05-01T12:00:00.000000Z");
        let record = to_value(&joined.record);
        assert_eq!(record["meeting_url"], "https://x/y?token=**********");
        assert_eq!(record["updated_at"], "2024-05-01T12:00:00.000000Z");
        assert_eq!((&record["url"], &record["size"]), (&Value::Null, &Value::Null));
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
    }

    #[test]
    fn a_file_that_comes_twice_is_one() {
        let parent = parent(vec![asset("a", "chat", ""), asset("a", "chat", "")]);
        assert_eq!(joined(&parent).record.recording_assets.value.as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn order_is_seen() {
        let at = |id: &str, hour: u32| {
            Parent::of(&raw(&format!(r#"{{"id":"{id}","created_at":"2024-05-01T{hour:02}:00:00Z"}}"#))).unwrap()
        };
        assert!(is_newest_first(None, &[at("c", 9), at("b", 8), at("a", 7)]));
        assert!(is_newest_first(Some("d"), &[at("c", 9)]));
        assert!(!is_newest_first(Some("c"), &[at("c", 9)]));
        assert!(is_newest_first(Some("b"), &[at("b", 9), at("a", 8)]), "a repeated item is no disorder");
        assert!(!is_newest_first(None, &[at("a", 7), at("b", 8)]));
        // Ids descend but creations do not: the order of creation is what early stopping needs.
        assert!(!is_newest_first(None, &[at("b", 5), at("a", 9)]));
    }
}
