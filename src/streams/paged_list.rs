//! A list that is paged by id: the whole of a plain stream, but for its columns.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use super::stream::{PageOutcome, PageStats, Sampled, Slice, Stream, StreamContext, StreamError};
use crate::api::{ApiError, Client, Endpoint, Get};
use crate::records::{Fields, PersonalData, Record, RecordError, Rows, Table, Times, added_fields};

/// Makes the records of an item: mostly one, the item itself, whose computed columns it sets. Personal data is written as
/// the user chose.
///
/// It fails when the item lacks what a key, the cursor or a computed column needs.
pub(super) type Derive = for<'a> fn(Fields<'a>, &PersonalData) -> Result<(Times, Vec<Record<'a>>), RecordError>;

/// A stream that is one list. A list with a flag is read in two phases, first with the flag set, because what unset means
/// is not documented. Only these can be divided by time: the others have no filters at all.
pub(super) struct PagedList {
    pub(super) context: StreamContext,
    pub(super) list: Endpoint,
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
            let ((rows, seen), rest) = self.context.page(&slice, slice.page_of(self.list, flag), shape).await?;
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

/// Fields of a list's first page that `table` does not know, each with its schema.
pub(super) fn sample<'c>(client: &'c Client, list: Endpoint, flag: Option<bool>, table: &'static Table) -> Sampled<'c> {
    Box::pin(first_page(client, list, flag, |page| added_fields(table, &page)))
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
