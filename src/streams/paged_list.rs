//! A list that is paged by id: the whole of a plain stream, but for its columns.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

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
    /// The last phase is read from this long before the cursor by creation; all of it, when changes may come later.
    pub(super) look_back: Option<TimeDelta>,
    pub(super) derive: Derive,
}

impl Stream for PagedList {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        let look_back = self.look_back.filter(|_| self.context.description.phases.last() == Some(&phase));
        Some(look_back.map_or(Slice::whole(phase), |by| Slice::since(phase, self.context.since.created(by))))
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
}

impl PagedList {
    /// The records of a page of `slice` that are due.
    fn rows(&self, slice: &Slice, page: Vec<Fields<'_>>) -> Result<(Rows, Option<PageStats>), RecordError> {
        let (mut rows, mut seen) = (Rows::default(), None);
        for fields in page {
            let (times, records) = (self.derive)(fields, &self.context.format.personal)?;
            PageStats::note(&mut seen, slice, times.created);
            if slice.window().takes(times.created) && self.context.is_due(&times) {
                records.iter().for_each(|record| rows.push(&self.context.format, record, Some(times)));
            }
        }
        Ok((rows, seen))
    }
}
