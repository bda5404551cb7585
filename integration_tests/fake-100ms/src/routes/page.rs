//! Pages of the lists that go on by the id of their last item.

use std::ops::Range;

use super::parameters::Parameters;
use crate::faults::Fault;
use crate::readings::{EmptyPage, LastPage, ListOrder, Readings};
use crate::server::response::Refusal;
use crate::workspace::object_id::ObjectId;
use crate::workspace::shelf::{Shelf, Shelved};

/// What a request asks of a list: how much, and behind which item.
pub(crate) struct PageRequest<'a> {
    pub(crate) limit: usize,
    start: Option<ObjectId>,
    shapes: &'a [Fault],
}

impl<'a> PageRequest<'a> {
    pub(crate) fn parse(
        parameters: &Parameters,
        max_page: u32,
        shapes: &'a [Fault],
    ) -> Result<PageRequest<'a>, Refusal> {
        Ok(PageRequest { limit: limit(parameters, 10, max_page, shapes)?, start: parameters.id("start")?, shapes })
    }

    /// Where in the shelf the page before ended.
    pub(crate) fn start_in<T: Shelved>(&self, shelf: &Shelf<T>) -> Result<Option<usize>, Refusal> {
        let Some(id) = self.start else {
            return Ok(None);
        };
        let wrong = || Refusal::unexpected(format!("`start` is `{id}`: expected the id of an item of this list"));
        shelf.position(id).map(Some).ok_or_else(wrong)
    }
}

/// The number of items asked for, cut to what this server gives at most.
pub(crate) fn limit(parameters: &Parameters, smallest: u32, max_page: u32, shapes: &[Fault]) -> Result<usize, Refusal> {
    limit_or(10, parameters, smallest, max_page, shapes)
}

/// The same for a list of which another number comes when none is asked for.
pub(crate) fn limit_or(
    usual: u32,
    parameters: &Parameters,
    smallest: u32,
    max_page: u32,
    shapes: &[Fault],
) -> Result<usize, Refusal> {
    let asked = parameters.number("limit", smallest..=100)?.unwrap_or(usual);
    let smaller = shapes.iter().filter_map(|fault| match fault {
        Fault::SmallerLimit(limit) => Some(*limit),
        _ => None,
    });
    let most = smaller.min().unwrap_or(max_page).min(max_page);
    Ok(asked.min(most).max(1) as usize)
}

/// The number of items that a page repeats of the one before: never so many that nothing new has
/// room, as then no client could come to an end.
pub(crate) fn repeated_items(shapes: &[Fault], limit: usize) -> usize {
    let shifted = shapes.iter().filter_map(|fault| match fault {
        Fault::ShiftedItems(count) => Some(*count),
        _ => None,
    });
    shifted.max().unwrap_or(0).min(limit - 1)
}

/// One page of a shelf: of the items within `bounds` that are `wanted`.
pub(crate) fn answer<T: Shelved>(
    shelf: &Shelf<T>,
    order: ListOrder,
    bounds: Range<usize>,
    wanted: impl Fn(&T) -> bool,
    page: &PageRequest,
    readings: &Readings,
) -> Result<Vec<u8>, Refusal> {
    let start = page.start_in(shelf)?;
    let positions = match start {
        None => shelf.in_order(order, bounds.clone()),
        Some(start) => shelf.in_order_after(order, bounds.clone(), start),
    };
    let is_wanted = |position: &usize| bounds.contains(position) && wanted(&shelf[*position]);
    let repeated = match start {
        Some(start) => before(shelf, order, start, repeated_items(page.shapes, page.limit), is_wanted),
        None => Vec::new(),
    };
    let following = positions.filter(is_wanted);
    Ok(render(shelf, repeated.into_iter().chain(following), page, readings))
}

/// The last `count` wanted items of the page that ended with `start`.
fn before<T: Shelved>(
    shelf: &Shelf<T>,
    order: ListOrder,
    start: usize,
    count: usize,
    is_wanted: impl Fn(&usize) -> bool,
) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let whole = shelf.in_order(order, 0..shelf.len());
    let passed = whole.take_while(|&position| position != start);
    let mut passed: Vec<usize> = passed.chain([start]).filter(is_wanted).collect();
    passed.split_off(passed.len().saturating_sub(count))
}

/// Puts the page together from what was rendered before.
pub(crate) fn render<T: Shelved>(
    shelf: &Shelf<T>,
    mut positions: impl Iterator<Item = usize>,
    page: &PageRequest,
    readings: &Readings,
) -> Vec<u8> {
    let on_page: Vec<usize> = positions.by_ref().take(page.limit).collect();
    // Only some readings tell whether anything follows, and looking can mean a long search.
    let more = readings.last_page == LastPage::CarriesLast || positions.next().is_some();
    let last = on_page.last().map(|&position| shelf[position].id().to_string());
    let last = match page.start {
        Some(start) if page.shapes.contains(&Fault::RepeatedPageToken) => Some(start.to_string()),
        _ => last.filter(|_| more),
    };
    let size: usize = on_page.iter().map(|&position| shelf.rendered(position).len() + 1).sum();
    let mut body = Vec::with_capacity(size + 96);
    body.extend_from_slice(format!("{{\"limit\":{}", page.limit).as_bytes());
    push_items(&mut body, on_page.iter().map(|&position| shelf.rendered(position)), readings);
    body.extend_from_slice(last_member(last, readings).as_bytes());
    body.push(b'}');
    body
}

fn push_items<'a>(body: &mut Vec<u8>, items: impl ExactSizeIterator<Item = &'a [u8]>, readings: &Readings) {
    match readings.empty_page {
        EmptyPage::NullData if items.len() == 0 => body.extend_from_slice(b",\"data\":null"),
        EmptyPage::NoData if items.len() == 0 => {}
        _ => {
            body.extend_from_slice(b",\"data\":[");
            push_joined(body, items);
            body.push(b']');
        }
    }
}

/// The items with commas between them.
pub(crate) fn push_joined<'a>(body: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>) {
    for (number, item) in items.enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item);
    }
}

fn last_member(last: Option<String>, readings: &Readings) -> String {
    match (last, readings.last_page) {
        (Some(last), _) => format!(",\"last\":\"{last}\""),
        (None, LastPage::Absent) => String::new(),
        (None, LastPage::EmptyString) => ",\"last\":\"\"".to_owned(),
        (None, LastPage::Null | LastPage::CarriesLast) => ",\"last\":null".to_owned(),
    }
}
