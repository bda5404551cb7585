//! The contract between a stream and the engine that reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::record::{Format, Record, Rows};
use super::schema;
use super::slice::Slice;
use super::time::Timestamp;
use crate::api::{Answer, ApiError, Client};
use crate::seams;

/// What was written may become visible only minutes later, so every sync reads this much further back
/// than its cursor (the design's settling time).
pub const SETTLING: TimeDelta = TimeDelta::minutes(10);

/// A stream: what it is called, which lists it is read from, and how one page becomes records.
///
/// The engine keeps the set of slices not yet read, fetches several at once, and saves what is left.
///
/// - The stream promises: the rows of a [`Step`], its `rest` and its `children` are all there is to the
///   slice. Whatever is read from them later is independent of the process that reads it, so that a saved
///   slice can be read by another run, next week.
/// - The engine promises: a slice is replaced by its rest and its children only after the rows have been
///   handed to the writer; a slice cut off in the middle of `fetch` is fetched again; all slices of one
///   list are done before the next list begins.
pub trait Stream: Send + Sync + Sized + 'static {
    /// Its name, a contract with the user's tables.
    const NAME: &'static str;
    /// The columns that identify a record.
    const PRIMARY_KEY: &'static [&'static str];
    /// The column that says when a record last changed; `None` when the stream is read whole each time.
    const CURSOR: Option<&'static str>;
    /// The lists it is read from, one after the other.
    const LISTS: &'static [&'static str];
    /// How far before its cursor, by the cursor's column, a sync reads again.
    const LOOK_BACK: TimeDelta = SETTLING;
    /// The keys of its state beside the cursor, see [`Stream::remember`].
    const MEMORY: &'static [&'static str] = &[];
    /// Its records, as `RecordType<'static>`.
    type Record: Record + JsonSchema + Answer;

    /// The stream, ready to be read.
    fn open(reading: Reading) -> Self;

    /// What is read of `list`; `None` when this sync does not need it.
    fn list(&self, list: &'static str) -> Option<Slice> {
        Some(Slice::whole(list))
    }

    /// Fetches one page of `slice`.
    fn fetch(self: Arc<Self>, slice: Slice) -> impl Future<Output = Result<Step, StreamError>> + Send;

    /// Looks at one page for fields that the record type does not know.
    fn sample(client: &Client) -> impl Future<Output = Result<Map<String, Value>, ApiError>> + Send;

    /// What the log should say of what has been read: all of it at the end, only warnings when it did not come to
    /// its end.
    fn remarks(&self) -> Vec<Remark> {
        Vec::new()
    }

    /// A refusal of one item that may be meant for all, because no other item has been answered (see [`Skipped`]).
    /// The stream is not complete when there is one at the end.
    ///
    /// [`Skipped`]: super::skipped::Skipped
    fn undecided(&self) -> Option<ApiError> {
        None
    }

    /// What the state remembers beside the cursor; `is_finished` when nothing is left to read.
    fn remember(&self, _is_finished: bool) -> Map<String, Value> {
        Map::new()
    }
}

/// Fields found in a sample, each with its schema.
pub type Sampled<'a> = BoxFuture<'a, Result<Map<String, Value>, ApiError>>;

/// What a stream has to say when it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The sentence.
    pub sentence: String,
    /// Whether something is missing, so that somebody should look.
    pub is_warning: bool,
    /// Whether it is items that the state takes for read.
    pub is_gap: bool,
}

impl Remark {
    /// Something is missing.
    pub fn warning(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), is_warning: true, is_gap: false }
    }

    /// Items are missing, and the state takes them for read.
    pub fn gap(sentence: impl Into<String>) -> Self {
        Self { is_gap: true, ..Self::warning(sentence) }
    }

    /// Good to know.
    pub fn note(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), is_warning: false, is_gap: false }
    }
}

/// What is known of a stream before anything is read: `Stream`'s constants, for code that meets all
/// streams alike.
pub struct Description {
    /// See `Stream::NAME`.
    pub name: &'static str,
    /// See `Stream::PRIMARY_KEY`.
    pub primary_key: &'static [&'static str],
    /// See `Stream::CURSOR`.
    pub cursor: Option<&'static str>,
    /// See `Stream::LISTS`.
    pub lists: &'static [&'static str],
    /// See `Stream::LOOK_BACK`.
    pub look_back: TimeDelta,
    /// See `Stream::MEMORY`.
    pub memory: &'static [&'static str],
    /// All columns, in order.
    pub columns: &'static [&'static str],
    /// The columns that are about a person.
    pub personal: &'static [&'static str],
    /// The columns that describe people inside.
    pub people: &'static [&'static str],
    /// See `Stream::open`.
    pub open: fn(Reading) -> Arc<dyn Opened>,
    /// See `Stream::sample`.
    pub sample: for<'a> fn(&'a Client) -> Sampled<'a>,
    schema: fn() -> Value,
}

impl Description {
    /// The description of the stream `S`.
    pub(super) const fn of<S: Stream>() -> Self {
        Self {
            name: S::NAME,
            primary_key: S::PRIMARY_KEY,
            cursor: S::CURSOR,
            lists: S::LISTS,
            look_back: S::LOOK_BACK,
            memory: S::MEMORY,
            columns: S::Record::COLUMNS,
            personal: S::Record::PERSONAL,
            people: S::Record::PEOPLE,
            open: |reading| Arc::new(S::open(reading)),
            sample: |client| Box::pin(S::sample(client)),
            schema: schema::of_record::<S::Record>,
        }
    }

    /// JSON Schema (draft 7) of the records, with the fields `added` by the API since.
    pub fn json_schema(&self, added: Map<String, Value>) -> Value {
        let mut schema = (self.schema)();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(added.into_iter().filter(|(name, _)| !self.columns.contains(&name.as_str())));
            for key in self.primary_key.iter().copied().chain(self.cursor) {
                if let Some(property) = properties.get_mut(key) {
                    property["type"] = "string".into();
                }
            }
        }
        schema
    }
}

/// A stream being read, whatever its type.
pub trait Opened: Send + Sync {
    /// See `Stream::list`.
    fn list(&self, list: &'static str) -> Option<Slice>;
    /// See `Stream::fetch`.
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<Step, StreamError>>;
    /// See `Stream::remarks`.
    fn remarks(&self) -> Vec<Remark>;
    /// See `Stream::undecided`.
    fn undecided(&self) -> Option<ApiError>;
    /// See `Stream::remember`.
    fn remember(&self, is_finished: bool) -> Map<String, Value>;
}

impl<S: Stream> Opened for S {
    fn list(&self, list: &'static str) -> Option<Slice> {
        Stream::list(self, list)
    }
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<Step, StreamError>> {
        Box::pin(Stream::fetch(self, slice))
    }
    fn remarks(&self) -> Vec<Remark> {
        Stream::remarks(self)
    }
    fn undecided(&self) -> Option<ApiError> {
        Stream::undecided(self)
    }
    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        Stream::remember(self, is_finished)
    }
}

/// What a stream needs to be read.
pub struct Reading {
    /// The client all streams share.
    pub client: Arc<Client>,
    /// Which columns to write.
    pub format: Format,
    /// Where this sync begins.
    pub since: Since,
    /// Records that changed at or after this are read: [`Since::due`] with the stream's look-back.
    pub due: Timestamp,
    /// What this stream's saved state remembers beside its cursor, see `Stream::remember`.
    pub memory: Map<String, Value>,
    /// What the user chose for single streams.
    pub options: Options,
}

impl Reading {
    /// When this sync began, in this process or in an earlier one.
    pub(super) fn began(&self) -> Timestamp {
        let here = || self.client.began().unwrap_or_else(seams::now);
        self.since.until.unwrap_or_else(|| here().into())
    }

    /// Whether a record is read in this sync: it changed since, or at an unknown time, perhaps after an
    /// earlier sync had read it.
    pub(super) fn is_due(&self, times: &Times) -> bool {
        times.changed >= self.due || self.since.follows_a_sync() && times.settled >= self.due
    }
}

/// Where a sync begins.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The cursor of the sync: `start_date`, or what the state says.
    pub cursor: Timestamp,
    /// The user's first cursor; nothing before it is of interest, look-back or not.
    pub start_date: Timestamp,
    /// How much further back than the built-in look-backs the user wants to read.
    pub longer: TimeDelta,
    /// The beginning of the sync that is resumed, in an earlier process.
    pub until: Option<Timestamp>,
}

impl Since {
    /// The cursor value from which on records are read: `look_back` before the cursor.
    pub fn due(&self, look_back: TimeDelta) -> Timestamp {
        self.start_date.max(self.cursor - look_back - self.longer)
    }

    /// The creation time from which on a list is asked for, when changes come `look_back` later at most.
    pub fn created(&self, look_back: TimeDelta) -> Timestamp {
        (self.cursor - look_back - self.longer).floor_to_second()
    }

    /// Whether a sync has gone before this one.
    pub fn follows_a_sync(&self) -> bool {
        self.cursor > self.start_date
    }
}

/// What the user chose for single streams.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which rooms are asked for their events.
    pub rooms: EventRooms,
    /// Types of events to read; empty means all.
    pub event_types: Vec<String>,
    /// Fetch a link to the file of each recording.
    pub recording_urls: bool,
}

/// Which rooms are asked for their events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventRooms {
    /// Those where something happened, and all of them once a day.
    #[default]
    Auto,
    /// All of them, in every sync.
    All,
    /// Only those where something happened.
    Recent,
}

/// Hashes of written records, by a hash of each record's key.
pub type Hashes = BTreeMap<u64, u64>;

/// A record that the next sync may read again, with what tells whether it has changed by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// A hash of its key.
    pub key: u64,
    /// A hash of its line, volatile columns left out.
    pub content: u64,
    /// Until when a following sync looks at it again.
    pub settled: Timestamp,
    /// Whether this sync has written it; false when it was unchanged.
    pub was_written: bool,
}

/// Hashes of written records, so that what is read again within the look-back and has not changed is not
/// written again.
#[derive(Debug, Default)]
pub struct Written {
    /// What earlier syncs have written last, less what this sync has found changed: a record that changes
    /// back while it is read must be written once more.
    known: Mutex<Hashes>,
    /// Records that change from here on are remembered, in microseconds since 1970.
    remembered_from: AtomicI64,
}

impl Written {
    /// Begins with what a saved state knows.
    pub fn new(known: Hashes) -> Arc<Self> {
        Arc::new(Self { known: Mutex::new(known), remembered_from: AtomicI64::new(i64::MIN) })
    }

    /// Whether a record that last changed at `changed` needs its hash.
    pub(super) fn wants_hash(&self, changed: Timestamp) -> bool {
        !self.known().is_empty() || changed.as_micros() >= self.remembered_from.load(Ordering::Relaxed)
    }

    /// Whether earlier syncs have written nothing that is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    /// Whether the record `key` has been written with this `content` and has not changed since.
    pub(super) fn holds(&self, key: u64, content: u64) -> bool {
        self.known().get(&key) == Some(&content)
    }

    /// Notes that the record `key` is written anew.
    pub(super) fn forget(&self, key: u64) {
        self.known().remove(&key);
    }

    fn known(&self) -> MutexGuard<'_, Hashes> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, only records that changed at or after `time` are of interest to the next sync.
    pub fn remember_from(&self, time: Timestamp) {
        self.remembered_from.store(time.as_micros(), Ordering::Relaxed);
    }
}

/// When a record was created and last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Its creation, which windows go by.
    pub created: Timestamp,
    /// The value of the cursor's column.
    pub cursor: Timestamp,
    /// The last change of anything in it, which decides whether it is due.
    pub changed: Timestamp,
    /// Until when a following sync has to look at it again: `changed`, unless its last change is not dated.
    pub settled: Timestamp,
}

impl Times {
    /// Of a record whose cursor's column says it all.
    pub fn new(created: Timestamp, cursor: Timestamp) -> Self {
        Self { created, cursor, changed: cursor, settled: cursor }
    }
}

/// Records that take more requests, in parts that are written one by one.
pub type Later = BoxStream<'static, Result<Rows, StreamError>>;

/// All of them in one part.
pub(super) fn in_one_part(rows: impl Future<Output = Result<Rows, StreamError>> + Send + 'static) -> Later {
    stream::once(rows).boxed()
}

/// What came of fetching a page of a slice.
#[derive(Default)]
pub struct Step {
    /// The records of the page.
    pub rows: Rows,
    /// Records of the page that take more requests; the rest is read meanwhile.
    pub later: Option<Later>,
    /// The rest of the slice; `None` when it is done.
    pub rest: Option<Slice>,
    /// What the page gave rise to, which is read before the rest.
    pub children: Vec<Slice>,
    /// An item of the slice was refused, and this may be meant for all: until that is decided, the slice is not read.
    pub is_undecided: bool,
    /// Of a window: what the page tells of its density, so that the rest may be cut in two by time.
    pub seen: Option<Seen>,
}

/// What a page of a window tells of its density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The oldest creation on the page.
    pub oldest: Timestamp,
    /// The newest.
    pub newest: Timestamp,
    /// How many items of the slice were on it.
    pub items: usize,
    /// How many items were on it that lie outside of the window, although its bounds were asked for.
    pub strays: usize,
}

impl Seen {
    /// Counts an item created at `created` on a page of `slice`.
    pub(super) fn note(seen: &mut Option<Self>, slice: &Slice, created: Timestamp) {
        let before = seen.unwrap_or(Self { oldest: created, newest: created, items: 0, strays: 0 });
        let window = slice.window();
        // The API may compare another time than the creation: an hour is no stray.
        let is_too_old = window.after.is_some_and(|after| created < after - TimeDelta::hours(1));
        let is_too_new = window.before.is_some_and(|before| created > before + TimeDelta::seconds(1));
        *seen = Some(Self {
            oldest: before.oldest.min(created),
            newest: before.newest.max(created),
            items: before.items + usize::from(window.takes(created)),
            strays: before.strays + usize::from(is_too_old || is_too_new),
        });
    }
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// A request failed for good.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A record that lacks what its key, its cursor or a computed column needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of {} {problem}", id.as_ref().map_or("a record without `id`".to_owned(), |id| format!("the record `{id}`")))]
pub struct RecordError {
    /// The record's id, when it has one.
    pub id: Option<String>,
    /// The API's field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl RecordError {
    /// `field` of the record `id` has a `problem`.
    pub fn new(id: Option<&str>, field: &'static str, problem: &'static str) -> Self {
        Self { id: id.map(str::to_owned), field, problem }
    }
}
