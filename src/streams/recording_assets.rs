//! `recording_assets`: every file that 100ms has recorded, whatever it belongs to.
//!
//! - **Source:** `/v2/recording-assets`, newest first; `/v2/recording-assets/{id}/presigned-url` for the links.
//! - **Cursor:** `created_at`. There is no time filter: a sync stops at the first page beyond its cursor, as long as
//!   the list has been newest first.
//! - **Unfinished:** a file is listed before it is finished, and a link may be refused today and be there tomorrow. Then
//!   the file is looked at again for 72 h (`recheck`), and syncs read so much further back.
//! - **Open in the reference:** the order of the list. If it does not hold, the list is read to its end.
//! - **On request:** part of `extra_streams` in the configuration.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::asset::{FILE, File};
use super::file_links::{FileLinks, Linked, MEMORY};
use super::file_list::{CLOCKS, FilePage, ListedFile, NewestFirst, files_page};
use super::recheck::RECHECK;
use super::stream::{LogLine, PageOutcome, Slice, Stream, StreamContext, StreamError, StreamInfo};
use crate::api::Endpoint;
use crate::records::Kind::{List, Object, Text, Time};
use crate::records::{Column, Record, RecordError, Rows, Table, Times, all_of, column};
use crate::seams::locked;

const OWN: &[Column] = &[
    column("thumbnails", List, "Pictures of it."),
    column("metadata", Object, "What else is known of the file."),
    column("created_at", Time, "When it was made. The cursor of this stream."),
    column("url", Text, "A link to the file that works for a limited time; null when 100ms has it no longer.")
        .volatile(),
];

static TABLE: Table = Table {
    description: "A file that was recorded.",
    columns: &all_of::<{ FILE.len() + OWN.len() }>([FILE, OWN, &[]]),
};

/// Newest first, until the order is found not to hold.
const NEWEST_FIRST: &str = "newest_first";
/// The rest of the list, in whatever order.
const ANY_ORDER: &str = "any_order";

pub(super) const INFO: StreamInfo = StreamInfo {
    cursor: Some("created_at"),
    memory: MEMORY,
    ..StreamInfo::new(
        "recording_assets",
        &TABLE,
        &[Endpoint::RECORDING_ASSETS],
        &[NEWEST_FIRST, ANY_ORDER],
        |context| Arc::new(RecordingAssets { links: FileLinks::new(&context), context, order: Mutex::default() }),
    )
};

struct RecordingAssets {
    context: StreamContext,
    links: FileLinks,
    order: Mutex<NewestFirst>,
}

impl Stream for RecordingAssets {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        (phase == NEWEST_FIRST).then(|| Slice::whole(phase))
    }

    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            let page = files_page(&self.context.client, slice.token.as_deref()).await?;
            let rest = self.rest(&slice, &page);
            let stream = Arc::clone(&self);
            self.links.outcome(async move { stream.rows(page.content).await }, rest).await
        })
    }

    fn log_lines(&self) -> Vec<LogLine> {
        self.links.log_lines()
    }

    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        self.links.remember(&self.context, is_finished)
    }
}

impl RecordingAssets {
    /// What follows a page, unless it is all too old to be read in this sync.
    fn rest(&self, slice: &Slice, page: &FilePage) -> Option<Slice> {
        let rest = slice.rest(page.next.clone())?;
        if slice.is_single_page || slice.phase == ANY_ORDER {
            return Some(rest);
        }
        let mut order = locked(&self.order);
        order.note(slice.token.as_deref(), &page.content);
        if order.is_disproved {
            return Some(Slice { phase: ANY_ORDER.into(), ..rest });
        }
        let since = self.context.changed_since - CLOCKS;
        let since = if self.links.recheck.is_empty() { since } else { since - RECHECK };
        order.goes_back_to(since).then_some(rest)
    }

    async fn rows(&self, files: Vec<ListedFile>) -> Result<Rows, StreamError> {
        let records = files.iter().map(|file| record_of(&file.raw)).collect::<Result<_, _>>()?;
        self.links.rows(&self.context, records).await
    }
}

fn record_of(raw: &RawValue) -> Result<Linked<'_>, RecordError> {
    let file = File::of(raw, None)?;
    let (id, created) = (file.id.clone(), file.created_at);
    let last_unfinished = file.is_unfinished().then_some(created);
    let link = file.is_completed().then(|| id.clone());
    let record = Record::of(&TABLE, file.fields).with("created_at", created);
    let times = Times::new(created, created);
    Ok(Linked { id, record, times, last_file: Some(created), last_unfinished, file: link })
}
