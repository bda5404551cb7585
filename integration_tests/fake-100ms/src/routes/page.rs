//! Pages of the lists that go on by the id of their last item.

use std::ops::Range;

use super::Ask;
use super::parameters::Parameters;
use crate::faults::Fault;
use crate::readings::{EmptyPage, LastPage, ListOrder, Readings};
use crate::server::response::Refusal;
use crate::workspace::Workspace;
use crate::workspace::collection::{Collection, Item};
use crate::workspace::object_id::ObjectId;

/// What a request asks of a list: how much, and behind which item.
pub(crate) struct PageRequest<'a> {
    /// How many items it gets.
    pub(crate) limit: usize,
    /// How many items the answer says it is a page of.
    said_limit: usize,
    start: Option<ObjectId>,
    shapes: &'a [Fault],
    workspace: &'a Workspace,
}

impl<'a> PageRequest<'a> {
    pub(crate) fn parse(parameters: &Parameters, ask: &Ask<'a>) -> Result<PageRequest<'a>, Refusal> {
        let limit = limit(parameters, 10, ask.max_page, ask.shapes)?;
        let start = parameters.id("start")?;
        let caps = ask.shapes.iter().filter_map(|fault| match fault {
            Fault::CapsBelowLimit(most) => Some(*most as usize),
            _ => None,
        });
        let (said_limit, limit) = (limit, caps.min().unwrap_or(limit).clamp(1, limit));
        Ok(PageRequest { limit, said_limit, start, shapes: ask.shapes, workspace: ask.workspace })
    }

    /// Where in the collection the page before ended.
    pub(crate) fn start_in<T: Item>(&self, collection: &Collection<T>) -> Result<Option<usize>, Refusal> {
        let Some(id) = self.start else {
            return Ok(None);
        };
        let wrong = || Refusal::unexpected(format!("`start` is `{id}`: expected the id of an item of this list"));
        collection.position(id).map(Some).ok_or_else(wrong)
    }
}

impl PageRequest<'_> {
    /// The item at that position as lists show it now.
    fn shown<'c, T: Item>(&self, collection: &'c Collection<T>, position: usize) -> Option<&'c T> {
        collection.shown(position, &self.workspace.lag, self.workspace.now)
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

/// One page of a collection: of the items within `bounds` that are `wanted`, each as `say` writes it.
pub(crate) fn answer<T: Item>(
    collection: &Collection<T>,
    order: ListOrder,
    bounds: Range<usize>,
    wanted: impl Fn(&T) -> bool,
    page: &PageRequest,
    say: impl Fn(&T) -> Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    let start = page.start_in(collection)?;
    let positions = match start {
        None => collection.in_order(order, bounds.clone()),
        Some(start) => collection.in_order_after(order, bounds.clone(), start),
    };
    let shown = |position: usize| page.shown(collection, position);
    let is_wanted = |position: &usize| bounds.contains(position) && shown(*position).is_some_and(&wanted);
    let repeated = match start {
        Some(start) => before(collection, order, start, repeated_items(page.shapes, page.limit), is_wanted),
        None => Vec::new(),
    };
    let earlier = start
        .filter(|_| page.shapes.contains(&Fault::EarlierPageToken))
        .map(|start| before(collection, order, start, page.limit + 1, is_wanted))
        .filter(|passed| passed.len() > page.limit)
        .map(|passed| collection[passed[0]].id());
    let following = positions.filter(is_wanted);
    Ok(render(collection, repeated.into_iter().chain(following), page, earlier, say))
}

/// The last `count` wanted items of the page that ended with `start`.
fn before<T: Item>(
    collection: &Collection<T>,
    order: ListOrder,
    start: usize,
    count: usize,
    is_wanted: impl Fn(&usize) -> bool,
) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let whole = collection.in_order(order, 0..collection.len());
    let passed = whole.take_while(|&position| position != start);
    let mut passed: Vec<usize> = passed.chain([start]).filter(is_wanted).collect();
    passed.split_off(passed.len().saturating_sub(count))
}

/// Puts the page together from the items at these positions; `earlier` is handed out as its page
/// token instead of the right one.
pub(crate) fn render<T: Item>(
    collection: &Collection<T>,
    mut positions: impl Iterator<Item = usize>,
    page: &PageRequest,
    earlier: Option<ObjectId>,
    say: impl Fn(&T) -> Vec<u8>,
) -> Vec<u8> {
    let readings = &page.workspace.readings;
    let on_page: Vec<usize> = positions.by_ref().take(page.limit).collect();
    // Only some readings tell whether anything follows, and looking can mean a long search.
    let more = readings.last_page == LastPage::CarriesLast || positions.next().is_some();
    let last = on_page.last().map(|&position| collection[position].id().to_string());
    let last = match page.start {
        Some(start) if page.shapes.contains(&Fault::RepeatedPageToken) => Some(start.to_string()),
        _ => earlier.map(|id| id.to_string()).or(last.filter(|_| more)),
    };
    let items: Vec<Vec<u8>> =
        on_page.iter().filter_map(|&position| page.shown(collection, position)).map(say).collect();
    let mut body = format!("{{\"limit\":{}", page.said_limit).into_bytes();
    push_items(&mut body, &items, readings);
    body.extend_from_slice(last_member(last, readings).as_bytes());
    body.push(b'}');
    body
}

fn push_items(body: &mut Vec<u8>, items: &[Vec<u8>], readings: &Readings) {
    match readings.empty_page {
        EmptyPage::NullData if items.is_empty() => body.extend_from_slice(b",\"data\":null"),
        EmptyPage::NoData if items.is_empty() => {}
        _ => {
            body.extend_from_slice(b",\"data\":[");
            push_joined(body, items);
            body.push(b']');
        }
    }
}

/// The items with commas between them.
pub(crate) fn push_joined(body: &mut Vec<u8>, items: &[Vec<u8>]) {
    for (number, item) in items.iter().enumerate() {
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
