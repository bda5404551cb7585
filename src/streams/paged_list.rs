//! A list that is paged by id: the whole of a plain stream, but for its columns.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::session::{LiveSessions, slice_of};
use super::stream::{PageOutcome, PageStats, Slice, Stream, StreamContext, StreamError};
use crate::records::{Fields, PersonalData, Record, RecordError, Rows, Times};

/// Makes the records of an item: mostly one, the item itself, whose computed columns it sets. Personal data is written as
/// the user chose.
///
/// It fails when the item lacks what a key, the cursor or a computed column needs.
pub(super) type Derive = for<'a> fn(Fields<'a>, &PersonalData) -> Result<(Times, Vec<Record<'a>>), RecordError>;

/// A stream that is one list. A list with a flag is read in two phases, first with the flag set, because what unset means
/// is not documented. Only these can be divided by time: the others have no filters at all.
pub(super) struct PagedList {
    pub(super) context: StreamContext,
    /// For sessions: those that are going on. Other items may change at any age, and all of them are read.
    pub(super) live: Option<LiveSessions>,
    pub(super) derive: Derive,
}

impl Stream for PagedList {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        Some(match self.live {
            Some(_) => slice_of(&self.context, phase),
            None => Slice::whole(phase),
        })
    }

    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            let flag = match self.context.description.phases {
                [first, _] => Some(slice.phase == *first),
                _ => None,
            };
            let shape = |page: Vec<Fields<'_>>| self.rows(&slice, page);
            let ((rows, seen), rest) =
                self.context.page(&slice, slice.page_of(self.context.list(), flag), shape).await?;
            let seen = seen.filter(|_| flag.is_some());
            Ok(PageOutcome { rows, rest, seen, ..PageOutcome::default() })
        })
    }

    fn remember(&self, is_finished: bool) -> Map<String, Value> {
        self.live.as_ref().map(|live| live.remember(&self.context, is_finished)).unwrap_or_default()
    }
}

impl PagedList {
    /// The records of a page of `slice` that are due.
    fn rows(&self, slice: &Slice, page: Vec<Fields<'_>>) -> Result<(Rows, Option<PageStats>), RecordError> {
        let (mut rows, mut seen) = (Rows::default(), None);
        for fields in page {
            let id = fields.id()?;
            let (times, records) = (self.derive)(fields, &self.context.format.personal)?;
            PageStats::note(&mut seen, slice, times.created);
            if !slice.window().takes(times.created) {
                continue;
            }
            let due = match &self.live {
                Some(live) => live.due(&self.context, &id, times),
                None => Some(times).filter(|times| self.context.is_due(times)),
            };
            if due.is_some() {
                records.iter().for_each(|record| rows.push(&self.context.format, record, due));
            }
        }
        Ok((rows, seen))
    }
}
