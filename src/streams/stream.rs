//! The contract between a stream and the engine that reads it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::{ApiError, Client, Endpoint, Get};
use crate::records::{Fields, Format, RecordError, Rows, Table, Times, Timestamp, added_fields};
use crate::seams;

pub use super::skipped::{LogLine, Skipped};
pub use super::slice::{Scope, Slice, Window};

/// What was written may become visible only minutes later, so every sync reads this much further back
/// than its cursor (the design's settling time).
pub const SETTLING: TimeDelta = TimeDelta::minutes(10);

/// What is known of a stream before anything is read.
pub struct StreamInfo {
    /// A contract with the user's tables.
    pub name: &'static str,
    pub table: &'static Table,
    pub primary_key: &'static [&'static str],
    /// The column that says when a record last changed; `None` when the stream is read whole each time.
    pub cursor: Option<&'static str>,
    /// The endpoints that must be readable for it; the first is that of its list.
    pub needs: &'static [Endpoint],
    /// The phases it is read in, one after the other: each is a list with what follows from it.
    pub phases: &'static [&'static str],
    /// How far before its cursor, by the cursor's column, a sync reads again.
    pub look_back: TimeDelta,
    /// The keys of its state beside the cursor, see [`Stream::remember`].
    pub memory: &'static [&'static str],
    /// The stream, ready to be read.
    pub open: fn(StreamContext) -> Arc<dyn Stream>,
    /// Looks at one page for fields that the table does not know.
    pub sample: for<'a> fn(&'a Client, &'static Self) -> Sampled<'a>,
}

/// Fields found in a sample, each with its schema.
pub type Sampled<'a> = BoxFuture<'a, Result<Map<String, Value>, ApiError>>;

impl StreamInfo {
    /// A stream as most are: with the key `id` and the cursor `updated_at`, whose records are the items of its list.
    pub(super) const fn new(
        name: &'static str,
        table: &'static Table,
        needs: &'static [Endpoint],
        phases: &'static [&'static str],
        open: fn(StreamContext) -> Arc<dyn Stream>,
    ) -> Self {
        Self {
            name,
            table,
            primary_key: &["id"],
            cursor: Some("updated_at"),
            needs,
            phases,
            look_back: SETTLING,
            memory: &[],
            open,
            sample: |client, info| info.sampled(client, None),
        }
    }

    /// Fields of its list's first page, with this `flag`, that the table does not know.
    pub(super) fn sampled<'c>(&'static self, client: &'c Client, flag: Option<bool>) -> Sampled<'c> {
        Box::pin(first_page(client, self.needs[0], flag, |page| added_fields(self.table, &page)))
    }

    /// JSON Schema (draft 7) of the records, with the fields `added` by the API since.
    pub fn json_schema(&self, added: Map<String, Value>) -> Value {
        let mut schema = self.table.schema();
        schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
        schema["type"] = "object".into();
        for (name, added) in added {
            schema["properties"][name] = added;
        }
        for key in self.primary_key.iter().copied().chain(self.cursor) {
            schema["properties"][key]["type"] = "string".into();
        }
        schema
    }
}

/// A stream being read: how one page becomes records.
///
/// The engine keeps the set of slices not yet read, fetches several at once, and saves what is left.
///
/// - The stream promises: the rows of a [`PageOutcome`], its `rest` and its `children` are all there is to the
///   slice. Whatever is read from them later is independent of the process that reads it, so that a saved
///   slice can be read by another run, next week.
/// - The engine promises: a slice is replaced by its rest and its children only after the rows have been
///   handed to the writer; a slice cut off in the middle of `fetch` is fetched again; all slices of one
///   phase are done before the next begins.
pub trait Stream: Send + Sync {
    /// What is read in `phase`; `None` when this sync does not need it.
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        Some(Slice::whole(phase))
    }

    /// Fetches one page of `slice`.
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>>;

    /// Requests for single items, some of which may have been refused.
    fn skipped(&self) -> Vec<&Skipped> {
        Vec::new()
    }

    /// What the log should say of what has been read: all of it at the end, only warnings when it did not come to
    /// its end.
    fn log_lines(&self) -> Vec<LogLine> {
        self.skipped().into_iter().flat_map(Skipped::log_lines).collect()
    }

    /// A refusal of one item that may be meant for all, because no other item has been answered. The stream is not
    /// complete when there is one at the end.
    fn undecided(&self) -> Option<ApiError> {
        self.skipped().into_iter().find_map(Skipped::undecided)
    }

    /// What the state remembers beside the cursor; `is_finished` when nothing is left to read.
    fn remember(&self, _is_finished: bool) -> Map<String, Value> {
        Map::new()
    }
}

/// What a stream needs to be read.
pub struct StreamContext {
    /// Which stream it is.
    pub description: &'static StreamInfo,
    /// The client all streams share.
    pub client: Arc<Client>,
    /// Which columns to write.
    pub format: Format,
    /// Where this sync begins.
    pub since: SyncBounds,
    /// Records that changed at or after this are read: [`SyncBounds::changed_since`] with the stream's look-back.
    pub changed_since: Timestamp,
    /// What this stream's saved state remembers beside its cursor, see [`Stream::remember`].
    pub memory: Map<String, Value>,
    /// What the user chose for single streams.
    pub options: Options,
}

impl StreamContext {
    /// When this sync began, in this process or in an earlier one.
    pub(super) fn began(&self) -> Timestamp {
        let here = || self.client.began().unwrap_or_else(seams::now);
        self.since.sync_started_at.unwrap_or_else(|| here().into())
    }

    /// The endpoint of the stream's list.
    pub(super) fn list(&self) -> Endpoint {
        self.description.needs[0]
    }

    /// A page of a list: what `shape` makes of its items, and what is left of `slice`, which `get` asks for.
    pub(super) async fn page<R>(
        &self,
        slice: &Slice,
        get: Get<'_>,
        shape: impl for<'a> Fn(Vec<Fields<'a>>) -> Result<R, RecordError>,
    ) -> Result<(R, Option<Slice>), StreamError> {
        let page = self.client.list::<Fields<'static>, _>(get, shape).await?;
        Ok((page.content?, slice.rest(page.next)))
    }

    /// Whether a record is read in this sync: it changed since, or at an unknown time, perhaps after an
    /// earlier sync had read it.
    pub(super) fn is_due(&self, times: &Times) -> bool {
        times.changed >= self.changed_since || self.since.follows_a_sync() && times.recheck_until >= self.changed_since
    }
}

/// What `shape` makes of a list's first page.
pub(super) async fn first_page<R>(
    client: &Client,
    list: Endpoint,
    flag: Option<bool>,
    shape: impl for<'a> Fn(Vec<Fields<'a>>) -> R,
) -> Result<R, ApiError> {
    Ok(client.list::<Fields<'static>, _>(Get::page(list, flag), shape).await?.content)
}

/// The sample of a stream whose fields are not those of an item of its list.
pub(super) fn nothing<'c>(_: &'c Client, _: &'static StreamInfo) -> Sampled<'c> {
    Box::pin(async { Ok(Map::new()) })
}

/// Stands for a text where there are many.
pub(super) fn hash_of(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

/// All of these rows.
pub(super) fn together(parts: impl IntoIterator<Item = Rows>) -> Rows {
    let mut rows = Rows::default();
    parts.into_iter().for_each(|part| rows.append(part));
    rows
}

/// Where a sync begins.
#[derive(Clone, Copy, Debug)]
pub struct SyncBounds {
    /// The cursor of the sync: `start_date`, or what the state says.
    pub cursor: Timestamp,
    /// The user's first cursor; nothing before it is of interest, look-back or not.
    pub start_date: Timestamp,
    /// How much further back than the built-in look-backs the user wants to read.
    pub extra_lookback: TimeDelta,
    /// The beginning of the sync that is resumed, in an earlier process.
    pub sync_started_at: Option<Timestamp>,
}

impl SyncBounds {
    /// The cursor value from which on records are read: `look_back` before the cursor.
    pub fn changed_since(&self, look_back: TimeDelta) -> Timestamp {
        self.start_date.max(self.cursor - look_back - self.extra_lookback)
    }

    /// The creation time from which on a list is requested, when changes come `look_back` later at most.
    pub fn created(&self, look_back: TimeDelta) -> Timestamp {
        (self.cursor - look_back - self.extra_lookback).floor_to_second()
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
    pub rooms: AnalyticsRooms,
    /// Types of events to read; empty means all.
    pub event_types: Vec<String>,
    /// Fetch a link to the file of each recording.
    pub recording_urls: bool,
}

/// Which rooms are asked for their events: where something happened, and once a day all; all in every sync; or only
/// those where something happened.
// No docs on the variants: the form is made from this type, and with them its choices would not be a plain list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "see above")]
pub enum AnalyticsRooms {
    #[default]
    Auto,
    All,
    Recent,
}

/// Records that take more requests, in parts that are written one by one.
pub type DeferredRows = BoxStream<'static, Result<Rows, StreamError>>;

/// What came of fetching a page of a slice.
#[derive(Default)]
pub struct PageOutcome {
    /// The records of the page.
    pub rows: Rows,
    /// Records of the page that take more requests; the rest is read meanwhile.
    pub later: Option<DeferredRows>,
    /// The rest of the slice; `None` when it is done.
    pub rest: Option<Slice>,
    /// What the page gave rise to, which is read before the rest.
    pub children: Vec<Slice>,
    /// An item of the slice was refused, and this may be meant for all: until that is decided, the slice is not read.
    pub is_undecided: bool,
    /// Of a window: what the page tells of its density, so that the rest may be cut in two by time.
    pub seen: Option<PageStats>,
}

/// What a page of a window tells of its density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageStats {
    /// The oldest creation on the page.
    pub oldest: Timestamp,
    /// The newest.
    pub newest: Timestamp,
    /// How many items of the slice were on it.
    pub items: usize,
    /// How many items were on it that lie outside of the window, although its bounds were sent.
    pub strays: usize,
}

impl PageStats {
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
