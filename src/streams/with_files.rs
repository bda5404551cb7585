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
//! - **Open in the reference:** the order of the lists. It is checked on every page; if it does not hold, the
//!   stream starts over without it: each item that is due is fetched alone, which has its files. That takes a
//!   request an item, but no memory, and it goes on where it was cut.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError, Times, in_one_part};
use super::gaps::Gaps;
use super::record::{Computed, Derived, Record, Rows, fill_times, id, record};
use super::schema;
use super::slice::{Scope, Slice};
use super::time::{Time, Timestamp};
use super::values::{Any, Integer, Number, Object, Text, number, text};
use crate::api::{Answer, ApiError, Client, List, ListFilter, Members, Problem, Trail, repeated_token};

record! {
    /// A file of a recording.
    AssetEntry {
        /// Unique id of the file.
        id: Text<'a> = "id" | "_id",
        /// The recording it belongs to.
        job_id: Text<'a>,
        /// The room.
        room_id: Text<'a>,
        /// The session.
        session_id: Text<'a>,
        /// room-composite, room-vod, chat, transcript, summary, track, stream and others.
        r#type: Text<'a>,
        /// completed or failed.
        status: Text<'a>,
        /// Where it is stored.
        path: Text<'a>,
        /// Bytes.
        size: Integer<'a>,
        /// Seconds.
        duration: Number<'a>,
        // A list or an object: the reference does not say, so the schema does not either.
        #[schemars(skip)]
        thumbnails: Any<'a>,
        /// What else is known of the file.
        metadata: Object<'a>,
        /// When it was made.
        created_at: Time,
    }
}

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
        impl<'a> $crate::streams::with_files::WithFiles<'a> for $name<'a> {
            fn columns(&mut self) -> $crate::streams::with_files::Columns<'_, 'a> {
                $crate::streams::with_files::Columns {
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
/// A file is younger than its item; allow for clocks.
const CLOCKS: TimeDelta = TimeDelta::hours(1);
/// Items fetched one by one in a step.
const LATE_BATCH: usize = 50;
/// Pages of files that are fetched before somebody asks for them.
const PAGES_AHEAD: usize = 2;

/// The items and their files side by side. Newest first, until the order is found not to hold.
const NEWEST_FIRST: &str = "newest_first";
/// Items beyond the look-back with a new file.
const LATE: &str = "late";
/// The items, in whatever order.
const ANY_ORDER: &str = "any_order";
/// The files, in whatever order: they tell of items that only a new file has changed.
const FILES: &str = "files";

/// A stream with files.
pub(super) struct FilesOf<K> {
    reading: Reading,
    wants_url: bool,
    files: tokio::sync::Mutex<FileList>,
    /// Links that could not be had.
    links: Gaps,
    /// The id below which the look-back stopped.
    stopped_below: Mutex<Option<String>>,
    is_out_of_order: AtomicBool,
    /// Without an order: hashes of the ids that have been written, each of which may have many files.
    done: Mutex<HashSet<u64>>,
    kind: PhantomData<K>,
}

impl<K: Kind> Stream for FilesOf<K>
where
    for<'a> <K::Record as Answer>::Of<'a>: WithFiles<'a> + Send + Sync,
{
    const NAME: &'static str = K::NAME;
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("updated_at");
    const LISTS: &'static [&'static str] = &[NEWEST_FIRST, LATE, ANY_ORDER, FILES];
    type Record = K::Record;

    fn open(reading: Reading) -> Self {
        let wants_url = reading.options.recording_urls && reading.format.has::<K::Record>("url");
        Self {
            reading,
            wants_url,
            files: tokio::sync::Mutex::default(),
            links: Gaps::new("links to files"),
            stopped_below: Mutex::default(),
            is_out_of_order: AtomicBool::new(false),
            done: Mutex::default(),
            kind: PhantomData,
        }
    }

    fn list(&self, list: &'static str) -> Option<Slice> {
        match list {
            LATE => locked(&self.stopped_below).take().map(|id| Slice::new(LATE, Scope::Below(id))),
            ANY_ORDER => None,
            FILES => self.is_out_of_order.load(Ordering::Relaxed).then(|| Slice::whole(FILES)),
            list => Some(Slice::whole(list)),
        }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        match slice.list.as_str() {
            LATE => self.late(slice).await,
            ANY_ORDER => self.any_order(slice).await,
            FILES => self.by_files(slice).await,
            _ if slice.is_single_page => self.single_page(slice).await,
            _ => self.newest_first(slice).await,
        }
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        schema::sample::<K::Record>(client, K::LIST, None).await
    }

    fn finish(&self) -> Result<Vec<Remark>, StreamError> {
        Ok(self.links.remarks())
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
            return Ok(self.start_over());
        }
        // When something shifts, a page begins with the end of the last one.
        parents.retain(|parent| slice.token.as_ref().is_none_or(|token| parent.id < *token));
        if let Some(oldest) = parents.last() {
            let mut files = self.files.lock().await;
            if !files.read_back_to(&self.reading.client, oldest.times.created - CLOCKS, slice.token.as_deref()).await? {
                return Ok(self.start_over());
            }
            let end = oldest.id.clone();
            parents.iter_mut().for_each(|parent| parent.files = files.take(&parent.id));
            files.forget_from(&end);
        }
        let horizon = self.reading.since.created(LOOK_BACK);
        let is_past_horizon = parents.last().is_some_and(|oldest| oldest.times.created < horizon);
        let rest = match next {
            Some(_) if is_past_horizon => {
                *locked(&self.stopped_below) = parents.last().map(|oldest| oldest.id.clone());
                None
            }
            next => slice.rest(next),
        };
        self.step(parents, rest).await
    }

    /// What a step before has joined and not written: its files are asked for again, item by item.
    async fn single_page(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let (parents, _) = self.page(&slice).await?;
        let parents = self.alone(parents.into_iter().map(|parent| parent.id)).await?;
        self.step(parents, None).await
    }

    /// Items beyond the look-back that have got a file since the cursor.
    async fn late(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let below = if let Scope::Below(id) = &slice.scope { Some(id.as_str()) } else { None };
        let mut files = self.files.lock().await;
        if !files.read_back_to(&self.reading.client, self.reading.due, below).await? {
            return Ok(self.start_over());
        }
        let batch = files.newer_than(self.reading.due, below);
        let rest = batch.last().filter(|_| batch.len() == LATE_BATCH).cloned();
        let mut parents = self.alone(batch).await?;
        parents.iter_mut().for_each(|parent| parent.files = files.take(&parent.id));
        drop(files);
        self.step(parents, rest.map(|id| Slice::new(LATE, Scope::Below(id)))).await
    }

    fn start_over(&self) -> Step {
        Step { children: vec![Slice::whole(ANY_ORDER)], ..Step::default() }
    }

    /// A page of items in whatever order; each that has changed is fetched alone, which has its files.
    async fn any_order(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        self.is_out_of_order.store(true, Ordering::Relaxed);
        let (parents, next) = self.page(&slice).await?;
        let due = parents.into_iter().filter(|parent| parent.times.changed >= self.reading.due).map(|parent| parent.id);
        let (due, rest) = (due.collect(), slice.rest(next));
        self.step_alone(due, rest)
    }

    /// A page of files in whatever order: the items of those that are new.
    async fn by_files(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        self.is_out_of_order.store(true, Ordering::Relaxed);
        let page = files_page(&self.reading.client, slice.token.as_deref()).await?;
        let due = page.files.into_iter().filter(|file| file.created_at >= self.reading.due);
        let ids: BTreeSet<String> = due.filter_map(|file| file.job).collect();
        let rest = slice.rest(page.next);
        self.step_alone(ids.into_iter().collect(), rest)
    }

    /// Items that are fetched alone while the rest is read.
    fn step_alone(self: Arc<Self>, ids: Vec<String>, rest: Option<Slice>) -> Result<Step, StreamError> {
        let ids: Vec<String> = {
            let mut done = locked(&self.done);
            ids.into_iter().filter(|id| done.insert(hash_of(id))).collect()
        };
        if ids.is_empty() {
            return Ok(Step { rest, ..Step::default() });
        }
        let later = in_one_part(async move {
            let parents = self.alone(ids).await?;
            self.rows(parents).await
        });
        Ok(Step { later: Some(later), rest, ..Step::default() })
    }

    /// Items of a page; those that need links are written later.
    async fn step(self: Arc<Self>, parents: Vec<Parent>, rest: Option<Slice>) -> Result<Step, StreamError> {
        if !self.wants_url {
            return Ok(Step { rows: self.rows(parents).await?, rest, ..Step::default() });
        }
        Ok(Step { later: Some(in_one_part(async move { self.rows(parents).await })), rest, ..Step::default() })
    }

    async fn page(&self, slice: &Slice) -> Result<(Vec<Parent>, Option<String>), StreamError> {
        let shape = |items: Vec<&RawValue>| items.into_iter().map(Parent::of).collect::<Result<Vec<_>, _>>();
        let page = self.reading.client.list::<&'static RawValue, _>(K::LIST, &slice.page(), shape).await?;
        Ok((page.content?, page.next))
    }

    /// The items with these ids, each asked for alone. A file may also belong to another kind of item, which
    /// this list does not have.
    async fn alone(&self, ids: impl IntoIterator<Item = String>) -> Result<Vec<Parent>, StreamError> {
        let ids: Vec<String> = ids.into_iter().collect();
        let fetch = |id| self.reading.client.item::<&'static RawValue, _>(K::LIST, id, Parent::of);
        let parents = try_join_all(ids.iter().map(|id| fetch(id))).await?;
        Ok(parents.into_iter().flatten().collect::<Result<_, _>>()?)
    }

    async fn rows(&self, parents: Vec<Parent>) -> Result<Rows, StreamError> {
        let mut due = Vec::with_capacity(parents.len());
        for parent in &parents {
            let joined = Joined::<<K::Record as Answer>::Of<'_>>::of(parent)?;
            if self.reading.is_due(&joined.times) {
                due.push(joined);
            }
        }
        let urls = try_join_all(due.iter().map(|joined| self.url_of(joined))).await?;
        let mut rows = Rows::default();
        for (mut joined, url) in due.into_iter().zip(urls) {
            joined.record.columns().url.0 = url.map(Cow::Owned);
            rows.push(&self.reading.format, &joined.record, Some(joined.times));
        }
        Ok(rows)
    }

    /// A link to the primary file. One that cannot be had leaves its column empty.
    async fn url_of<'a, R: WithFiles<'a>>(&self, joined: &Joined<'a, R>) -> Result<Option<String>, StreamError> {
        let Some(file) = joined.primary.as_deref().filter(|_| self.wants_url) else { return Ok(None) };
        if Rows::holds(&self.reading.format, &joined.record, joined.times) {
            return Ok(None);
        }
        if self.links.is_hopeless() {
            self.links.pass_over();
            return Ok(None);
        }
        match self.reading.client.presigned_url(file).await {
            Err(error) if concerns_one_link(&error.problem) => {
                self.links.note(&error);
                Ok(None)
            }
            answer => Ok(self.links.allow(answer, &[])?.flatten()),
        }
    }
}

/// Whether a failure may be that of this link alone. Credentials, limits and the network concern them all.
fn concerns_one_link(problem: &Problem) -> bool {
    match problem {
        Problem::Refused { status, .. } => !matches!(status, 401 | 429),
        Problem::Unreadable(_) => true,
        _ => false,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The list of files, as far as it has been read.
#[derive(Default)]
struct FileList {
    /// Files whose item has not been reached, by the item's id.
    waiting: BTreeMap<String, Waiting>,
    /// The pages that follow.
    ahead: Option<PagesAhead>,
    /// The oldest creation seen.
    oldest: Option<Timestamp>,
    is_complete: bool,
}

/// Files of an item that has not been reached.
#[derive(Default)]
struct Waiting {
    files: Vec<Box<RawValue>>,
    newest: Option<Timestamp>,
}

impl FileList {
    /// Reads on until files made before `time` appear; false when the list is found not to be newest
    /// first. Files of items with the id `below` or a later one are of no interest any more.
    async fn read_back_to(
        &mut self,
        client: &Arc<Client>,
        time: Timestamp,
        below: Option<&str>,
    ) -> Result<bool, StreamError> {
        let mut is_in_order = true;
        while is_in_order && !self.is_complete && self.oldest.is_none_or(|oldest| oldest >= time) {
            let page = self.ahead.get_or_insert_with(|| PagesAhead::of(Arc::clone(client))).next().await?;
            self.is_complete = page.next.is_none();
            for file in page.files {
                let oldest = self.oldest.unwrap_or(file.created_at);
                is_in_order &= file.created_at - CLOCKS <= oldest;
                self.oldest = Some(oldest.min(file.created_at));
                self.keep(file, below);
            }
        }
        Ok(is_in_order)
    }

    fn keep(&mut self, file: File, below: Option<&str>) {
        let Some(job) = file.job.filter(|job| below.is_none_or(|below| job.as_str() < below)) else { return };
        let waiting = self.waiting.entry(job).or_default();
        waiting.newest = waiting.newest.max(Some(file.created_at));
        waiting.files.push(file.raw);
    }

    /// The files of an item.
    fn take(&mut self, item: &str) -> Vec<Box<RawValue>> {
        self.waiting.remove(item).map(|waiting| waiting.files).unwrap_or_default()
    }

    /// Drops files of items with the id `end` or a later one: newest first, they have been passed.
    fn forget_from(&mut self, end: &str) {
        self.waiting.split_off(end);
    }

    /// Items below `below` with a file made since `due`, newest first, a batch at most.
    fn newer_than(&self, due: Timestamp, below: Option<&str>) -> Vec<String> {
        let jobs = self.waiting.iter().rev();
        jobs.filter(|(job, waiting)| waiting.newest >= Some(due) && below.is_none_or(|below| job.as_str() < below))
            .map(|(job, _)| job.clone())
            .take(LATE_BATCH)
            .collect()
    }
}

/// Pages of files, fetched a little ahead of those who need them: the list of files is one chain, and often
/// the longer one, so it must never stand still.
struct PagesAhead {
    pages: mpsc::Receiver<Result<FilePage, StreamError>>,
    /// Ends with this.
    _task: JoinSet<()>,
}

impl PagesAhead {
    fn of(client: Arc<Client>) -> Self {
        let (send, pages) = mpsc::channel(PAGES_AHEAD);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut token, mut trail) = (None, Trail::default());
            loop {
                let page = files_page(&client, token.as_deref()).await.and_then(|page| match &page.next {
                    Some(next) if !trail.follow(next) => Err(repeated_token("/v2/recording-assets".into()).into()),
                    _ => Ok(page),
                });
                token = page.as_ref().ok().and_then(|page| page.next.clone());
                if send.send(page).await.is_err() || token.is_none() {
                    return;
                }
            }
        });
        Self { pages, _task: task }
    }

    async fn next(&mut self) -> Result<FilePage, StreamError> {
        // The task ends after the last page, which nobody asks beyond.
        self.pages.recv().await.unwrap_or_else(|| Ok(FilePage { files: Vec::new(), next: None }))
    }
}

/// A page of files.
struct FilePage {
    files: Vec<File>,
    next: Option<String>,
}

/// A file on its way to its item.
struct File {
    job: Option<String>,
    created_at: Timestamp,
    raw: Box<RawValue>,
}

async fn files_page(client: &Client, token: Option<&str>) -> Result<FilePage, StreamError> {
    let filter = ListFilter { start: token, ..ListFilter::default() };
    let shape = |items: Vec<&RawValue>| items.into_iter().map(File::of).collect::<Result<Vec<_>, _>>();
    let page = client.list::<&'static RawValue, _>(List::RECORDING_ASSETS, &filter, shape).await?;
    Ok(FilePage { files: page.content?, next: page.next })
}

impl File {
    fn of(raw: &RawValue) -> Result<Self, RecordError> {
        let mut asset = parse_asset(raw, None)?;
        let times = fill_times(&id(asset.id.0)?, &mut asset.created_at, &mut Time::Never)?;
        Ok(Self { job: text(asset.job_id.0).map(String::from), created_at: times.created, raw: raw.to_owned() })
    }
}

fn parse_asset<'a>(raw: &'a RawValue, item: Option<&str>) -> Result<AssetEntry<'a>, RecordError> {
    serde_json::from_str(raw.get())
        .map_err(|_| RecordError::new(item, "recording_assets", "contains a file that is not an object"))
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
    record: R,
    times: Times,
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
        let entries = entries(files, id)?;
        let last_file = entries.iter().filter_map(|entry| entry.created_at.get()).max();
        let changed = last_file.map_or(parent.times.changed, |last_file| last_file.max(parent.times.changed));
        *columns.created_at = parent.created_at;
        *columns.updated_at = changed.into();
        let primary = primary(&entries);
        columns.duration.0 = primary.map(|file| file.duration);
        columns.size.0 = primary.map(|file| file.size);
        columns.path.0 = primary.map(|file| file.path);
        let primary = primary.and_then(|file| text(file.id.0));
        columns.files.value = Some(entries);
        Ok(Self { record, times: Times::new(parent.times.created, changed), primary })
    }
}

/// Primary types, best first.
const PRIMARY: [&str; 5] = ["room-composite", "room-composite-legacy", "room-vod", "stream", "track"];

/// The file that stands for the whole.
fn primary<'e, 'a>(files: &'e [AssetEntry<'a>]) -> Option<&'e AssetEntry<'a>> {
    let is = |file: &&AssetEntry<'_>, kind: &str| text(file.r#type.0).as_deref() == Some(kind);
    let completed = || files.iter().filter(|file| text(file.status.0).as_deref() == Some("completed"));
    let whole = completed().find(|file| is(file, PRIMARY[0]) && !has_layer(file));
    let best = || PRIMARY.iter().find_map(|kind| completed().find(|file| is(file, kind)));
    whole.or_else(best).or_else(|| completed().max_by_key(|file| bytes_of(file)))
}

fn bytes_of(file: &AssetEntry<'_>) -> u64 {
    file.size.0.and_then(number).and_then(|size| size.as_u64()).unwrap_or_default()
}

/// Whether a composite shows one layer only; the one without a layer is the whole.
fn has_layer(file: &AssetEntry<'_>) -> bool {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        layer: crate::api::Raw<'a>,
    }
    let layer =
        |raw: &RawValue| serde_json::from_str::<Metadata<'_>>(raw.get()).ok().is_some_and(|m| m.layer.is_some());
    file.metadata.0.is_some_and(layer)
}

/// The files, each once, ordered by when they were made, then by id.
fn entries<'a>(files: impl Iterator<Item = &'a RawValue>, item: &str) -> Result<Vec<AssetEntry<'a>>, RecordError> {
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for raw in files {
        let mut file = parse_asset(raw, Some(item))?;
        let id = id(file.id.0)?;
        let created_at = fill_times(&id, &mut file.created_at, &mut Time::Never)?.created;
        if seen.insert(id.clone()) {
            entries.push((created_at, id, file));
        }
    }
    entries.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Ok(entries.into_iter().map(|(_, _, file)| file).collect())
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

    #[test]
    fn files_wait_only_for_items_not_yet_reached() {
        let mut files = FileList::default();
        for job in ["a", "b", "c"] {
            let file = raw(&format!(r#"{{"id":"{job}1","job_id":"{job}","created_at":"2024-05-01T12:00:00Z"}}"#));
            files.keep(File::of(&file).unwrap(), Some("c"));
        }
        assert_eq!(files.waiting.len(), 2, "c and later are behind us");
        let due = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        assert_eq!(files.newer_than(due, None), ["b", "a"]);
        assert_eq!(files.newer_than(due, Some("b")), ["a"]);
        files.forget_from("b");
        assert_eq!(files.waiting.len(), 1);
        assert_eq!(files.take("a").len(), 1);
    }
}
