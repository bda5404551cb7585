//! `webhook_events`: what 100ms told the workspace's webhook, and whether the delivery worked.
//!
//! - **Source:** `/v2/analytics/webhooks`, the whole workspace by time: the last 30 days, at most 14 in one
//!   request. They are asked for in three periods, one after the other, because this endpoint once had a limit of five
//!   requests a minute, and most workspaces have few events. A period with many is divided, and its parts are read
//!   side by side. Pages have numbers, so a period has a fixed end, and one whose pages have moved is read again.
//! - **Cursor:** `created_at`, the event's time. Deliveries may come late: a sync goes back to 1 h before its
//!   cursor.
//! - **Key:** the event. 100ms tries a failed delivery again after 1, 3 and 10 s, under the same id: the last delivery
//!   of a period counts. A replay in a later sync is a record again.
//! - **Open in the reference:** the order of events, and what a workspace without a webhook answers: nothing
//!   and 404 both mean that there is none.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{BoxFuture, try_join_all};
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use super::stream::{
    LogLine, PageOutcome, Sampled, Scope, Slice, Stream, StreamContext, StreamError, StreamInfo, Window, together,
};
use crate::api::{ApiError, Client, Endpoint, PAGE_SIZE, Problem, WebhookPage};
use crate::records::Kind::{Dropped, Object, Text, Time};
use crate::records::{
    Fields, MASK, Place, Record, RecordError, Rows, Table, Times, Timestamp, Value, added_fields, column, cut_urls,
    host, readable_id, rewritten, text_in,
};
use crate::seams::locked;

static TABLE: Table = Table {
    description: "Something that 100ms told the workspace's webhook.",
    columns: &[
        column("id", Text, "Unique id of the event."),
        column("type", Text, "What happened, such as `peer.leave.success` or `recording.failed`."),
        column("created_at", Time, "When it happened. The cursor of this stream."),
        column("room_id", Text, "The room."),
        column("session_id", Text, "The session, when there was one."),
        column("peer_id", Text, "The peer, when there was one."),
        column("user_id", Text, "Your own id of the user, when known.").personal(),
        column("delivery", Text, "Whether your webhook took it: `succeeded` or `failed`."),
        column("error_reason", Text, "Why the delivery failed; of URLs in it only the host is said.").personal(),
        column("webhook_url", Text, "The host it was sent to; path and query may hold secrets and are left out."),
        column("data", Object, "All the event says; what is in it depends on its type.").contains_personal(),
        column("event_id", Dropped, "The same as `id`."),
        column("event_name", Dropped, "The delivery's own type, which `delivery` tells."),
        column("event_timestamp", Dropped, "The same as `created_at`."),
        column("payload", Dropped, "What the other columns are made from."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    cursor: Some("created_at"),
    look_back: LOOK_BACK,
    sample,
    ..StreamInfo::new("webhook_events", &TABLE, &[Endpoint::WEBHOOK_EVENTS], &[DELIVERIES], |context| {
        Arc::new(WebhookEvents { context, seen: AtomicU64::new(0), lost: Mutex::default(), has_clock: OnceCell::new() })
    })
};

const DELIVERIES: &str = "deliveries";

/// How late a delivery may become visible.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);
/// The longest period of a request.
const LONGEST: TimeDelta = TimeDelta::days(14);
/// The attempts to deliver an event take some 14 s. A period is asked for so much longer, so that whoever reads it sees
/// whether one of its events was delivered again.
const ATTEMPTS: TimeDelta = TimeDelta::minutes(1);
/// The first period begins so much later than it may, so that it can be read as it is for so long.
const MARGIN: TimeDelta = TimeDelta::minutes(1);
/// A period with more deliveries is divided, because they are kept until all of them have come,
const MOST_DELIVERIES: u64 = 5_000;
/// into parts of about so many,
const WANTED_DELIVERIES: u64 = 4_000;
/// and no more parts at once.
const MOST_PARTS: u64 = 64;
/// A period that began with fewer pages may have so many.
const MANY_PAGES: u64 = 1_000;
/// Most lines have no more bytes.
const USUAL_BYTES: usize = 1024;
/// How often a period is read whose pages move. What comes later still is left to the next sync, which goes back an hour.
const MOST_LOOKS: u32 = 5;
/// What lies farther outside of a period was not left out because of its bounds: then the server ignores them.
const STRAY: TimeDelta = TimeDelta::hours(1);

struct WebhookEvents {
    context: StreamContext,
    seen: AtomicU64,
    /// What became too old before it could be read.
    lost: Mutex<Option<(Timestamp, Timestamp)>>,
    /// The clock of 100ms has been looked at.
    has_clock: OnceCell<()>,
}

/// A delivery, with its record if that belongs to the period.
struct Delivery {
    event: String,
    time: Timestamp,
    has_succeeded: bool,
    rows: Rows,
}

/// A page of deliveries. One that could not be read ends the stream.
type DeliveriesPage = WebhookPage<Result<Vec<Delivery>, StreamError>>;

impl Stream for WebhookEvents {
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            // What may be asked for goes by the clock of 100ms, which nothing may have told yet.
            let ask = || async { self.context.client.ask_the_time().await.map(drop) };
            self.has_clock.get_or_try_init(ask).await?;
            let after = slice.window().after.unwrap_or_else(|| self.begins());
            let (end, later) = self.first_period(after, slice.window().before);
            Ok(PageOutcome { rest: later.map(slice_of), ..self.read(after, end).await? })
        })
    }

    fn log_lines(&self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if let Some((from, to)) = *locked(&self.lost) {
            lines.push(LogLine::Warning(format!(
                "100ms answers for the last 30 days only, and what happened from {from} to {to} was older than that \
                 before it could be read: events of `webhook_events` are missing there. Sync more often, so that a sync \
                 that has to wait or is cut has less to read."
            )));
        }
        // An earlier process may have read the first part of this sync.
        let is_first = !self.context.since.follows_a_sync() && self.context.since.sync_started_at.is_none();
        if is_first && self.seen.load(Relaxed) == 0 {
            lines.push(LogLine::Note(
                "100ms has no webhook history: `webhook_events` stays empty until the workspace has a webhook."
                    .to_owned(),
            ));
        }
        lines
    }
}

fn sample<'c>(client: &'c Client, _: &'static StreamInfo) -> Sampled<'c> {
    Box::pin(async move {
        let added = |page: Vec<Fields<'_>>| added_fields(&TABLE, &page);
        let page = client.webhook_events::<Fields<'static>, _>(None, 1, PAGE_SIZE, added).await?;
        Ok(page.map(|page| page.content).unwrap_or_default())
    })
}

impl WebhookEvents {
    /// Where this sync begins.
    fn begins(&self) -> Timestamp {
        self.context.changed_since.max(self.oldest() + MARGIN).floor_to_second()
    }

    /// The oldest moment that may be asked for.
    fn oldest(&self) -> Timestamp {
        self.context.client.oldest_delivery().into()
    }

    /// The end of the first period of a window, if it is not the open end, and the window that follows.
    fn first_period(&self, after: Timestamp, before: Option<Timestamp>) -> (Option<Timestamp>, Option<Window>) {
        let longest = after + LONGEST - ATTEMPTS;
        if before.unwrap_or_else(|| self.context.client.now().into()) <= longest {
            return (before, None);
        }
        (Some(longest), Some(Window { after: Some(longest), before }))
    }

    /// Reads all that happened from `after` to `end`; to this moment, when there is no end. Where that is too much, it is
    /// divided.
    async fn read(&self, mut after: Timestamp, end: Option<Timestamp>) -> Result<PageOutcome, StreamError> {
        let (mut read, mut is_even) = (Vec::new(), true);
        for _ in 0..MOST_LOOKS {
            let now = self.context.client.now();
            self.check_clock(after, end, now.into())?;
            let ends = end.map_or(now.into(), |end| Timestamp::from(now).min(end + ATTEMPTS));
            let Some(first) = self.page(after, end, ends, 1).await? else { break };
            if let Some(children) = parts_of(&first, after, end, ends) {
                return Ok(PageOutcome { children, ..PageOutcome::default() });
            }
            let (total, count, begins) = (first.total, first.pages, first.begins);
            let pages = self.pages_from(first, after, end, ends).await?;
            let has_moved = pages.iter().any(|page| page.total != total);
            let has_aged = pages.iter().any(|page| page.begins != begins);
            // A page of another size does not follow the one before it.
            is_even = pages.iter().all(|page| page.pages == count || page.total != total);
            for page in pages {
                read.push(page.content?);
            }
            if has_aged {
                // So much later that it does not become too old again before it is read.
                let from = (self.oldest() + (self.context.client.now() - now)).floor_to_second();
                self.lose(after, from);
                after = after.max(from);
            } else if !has_moved && is_even {
                break;
            }
        }
        if !is_even {
            return Err(inconsistent("the pages of a period of the webhook history differ in size"));
        }
        Ok(PageOutcome { rows: last_of_each(read), ..PageOutcome::default() })
    }

    /// Fails when 100ms says a time before that of the earlier answers. A period without an end ends now, while the cursor
    /// goes to where this process or an earlier one began.
    fn check_clock(&self, after: Timestamp, end: Option<Timestamp>, now: Timestamp) -> Result<(), StreamError> {
        let earlier = self.context.since.sync_started_at;
        let began = earlier.max(self.context.client.began().map(Timestamp::from)).filter(|_| end.is_none());
        let is_before = |moment: Option<Timestamp>| moment.is_some_and(|moment| now < moment);
        if after >= now && is_before(earlier) || is_before(began.map(|began| began - LOOK_BACK)) {
            return Err(inconsistent("100ms says a time before that of the earlier answers"));
        }
        Ok(())
    }

    /// All pages of a period, of which this is the first.
    async fn pages_from(
        &self,
        first: DeliveriesPage,
        after: Timestamp,
        end: Option<Timestamp>,
        ends: Timestamp,
    ) -> Result<Vec<DeliveriesPage>, StreamError> {
        // More arrive while they are read, but not without end.
        let most = first.pages.unwrap_or_default().saturating_mul(2).max(MANY_PAGES);
        let last = first.pages.filter(|_| first.has_next).unwrap_or(1);
        let side_by_side = (2..=last).map(|number| self.page(after, end, ends, number));
        let others = try_join_all(side_by_side).await?;
        let mut pages: Vec<_> = std::iter::once(first).chain(others.into_iter().flatten()).collect();
        for number in last + 1.. {
            if !pages.last().is_some_and(|page| page.has_next) {
                break;
            }
            if number > most {
                return Err(inconsistent("a period of the webhook history does not end"));
            }
            let Some(page) = self.page(after, end, ends, number).await? else { break };
            pages.push(page);
        }
        Ok(pages)
    }

    /// A page of the deliveries from `after` to `ends`, of which those before `end` are wanted; `None` when there is no
    /// history, or not of that time any more.
    async fn page(
        &self,
        after: Timestamp,
        end: Option<Timestamp>,
        ends: Timestamp,
        number: u64,
    ) -> Result<Option<DeliveriesPage>, StreamError> {
        let is_too_old = || self.oldest() >= ends;
        if after >= ends {
            return Ok(None);
        }
        if is_too_old() {
            self.lose(after, ends);
            return Ok(None);
        }
        let period = Some((moment(after), moment(ends)));
        let shape = |deliveries: Vec<Fields<'_>>| self.deliveries(deliveries, end);
        let page =
            match self.context.client.webhook_events::<Fields<'static>, _>(period, number, PAGE_SIZE, shape).await {
                // The wait for its turn took so long.
                Err(error) if error.status() == Some(400) && is_too_old() => {
                    self.lose(after, ends);
                    return Ok(None);
                }
                page => page?,
            };
        if let Some(page) = &page {
            page.content.as_ref().map_err(StreamError::clone)?;
            if after < page.begins.into() {
                self.lose(after, page.begins.into());
            }
        }
        Ok(page)
    }

    /// Notes what is too old to be asked for by now.
    fn lose(&self, from: Timestamp, to: Timestamp) {
        let mut lost = locked(&self.lost);
        *lost = Some(lost.map_or((from, to), |(first, last)| (first.min(from), last.max(to))));
    }

    /// The deliveries of a page, with the records of those that are due. What happened at `end` or later belongs to the
    /// next period.
    fn deliveries(&self, page: Vec<Fields<'_>>, end: Option<Timestamp>) -> Result<Vec<Delivery>, StreamError> {
        self.seen.fetch_add(page.len() as u64, Relaxed);
        let mut deliveries = Vec::with_capacity(page.len());
        for fields in page {
            let (record, event, time, has_succeeded) = record_of(fields)?;
            // An earlier attempt of an event is left out, and the last one may be what was written.
            let mut rows = Rows { is_tentative: true, bytes: Vec::with_capacity(USUAL_BYTES), ..Rows::default() };
            if time >= self.context.changed_since && end.is_none_or(|end| time < end) {
                rows.push(&self.context.format, &record, Some(Times::new(time, time)));
            }
            // What waits has no more bytes than it needs.
            rows.bytes.shrink_to_fit();
            deliveries.push(Delivery { event: event.into(), time, has_succeeded, rows });
        }
        Ok(deliveries)
    }
}

/// The records of the last delivery of each event. At the same time it is the one that worked, because after it there
/// is no other; and of two failures always the same, whatever their order.
fn last_of_each(pages: Vec<Vec<Delivery>>) -> Rows {
    let mut last: BTreeMap<String, Delivery> = BTreeMap::new();
    for delivery in pages.into_iter().flatten() {
        let order = |of: &Delivery| (of.time, of.has_succeeded);
        let is_later = |known: &Delivery| {
            order(&delivery).cmp(&order(known)).then_with(|| delivery.rows.bytes.cmp(&known.rows.bytes)).is_gt()
        };
        if last.get(&delivery.event).is_none_or(is_later) {
            last.insert(delivery.event.clone(), delivery);
        }
    }
    together(last.into_values().map(|delivery| delivery.rows))
}

/// The parts that a period is divided into when it has too many deliveries, by its first page; `None` when it has not.
fn parts_of(page: &DeliveriesPage, after: Timestamp, end: Option<Timestamp>, ends: Timestamp) -> Option<Vec<Slice>> {
    let total = page.total.unwrap_or(if page.has_next { u64::MAX } else { 0 });
    let is_inside = |time| Timestamp::from(page.begins) - STRAY <= time && time <= ends + STRAY;
    let keeps_bounds = page.content.as_ref().is_ok_and(|all| all.iter().all(|delivery| is_inside(delivery.time)));
    let parts = (total / WANTED_DELIVERIES + 1).min(MOST_PARTS);
    if total > MOST_DELIVERIES && keeps_bounds { divided(after, end, ends, parts) } else { None }
}

/// About so many `parts` of a period, whose end may be open, at whole seconds; `None` when it is too short.
fn divided(after: Timestamp, end: Option<Timestamp>, ends: Timestamp, parts: u64) -> Option<Vec<Slice>> {
    let length = ends.seconds_since(after) as i64;
    let part = (length / parts.max(2) as i64).max(1);
    let cuts = (1..length / part).map(|number| Some((after + TimeDelta::seconds(number * part)).floor_to_second()));
    let edges: Vec<_> = std::iter::once(Some(after)).chain(cuts).chain([end]).collect();
    let windows = edges.windows(2).map(|pair| Window { after: pair[0], before: pair[1] });
    (edges.len() > 2).then(|| windows.map(slice_of).collect())
}

fn slice_of(window: Window) -> Slice {
    Slice::new(DELIVERIES, Scope::Window(window))
}

fn inconsistent(what: &str) -> StreamError {
    ApiError::unsent(Problem::Inconsistent(what.into()), "/v2/analytics/webhooks".into()).into()
}

fn moment(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default()
}

/// The record of a delivery, its event and time, and whether it has succeeded.
fn record_of(delivery: Fields<'_>) -> Result<(Record<'_>, Cow<'_, str>, Timestamp, bool), RecordError> {
    let id = readable_id(delivery.text("event_id"), None, "id")?;
    let time = delivery.time("event_timestamp", &id)?.or_else(|| Timestamp::in_id(&id));
    let time = time.ok_or_else(|| RecordError::new(Some(&id), "event_timestamp", "is missing"))?;
    let payload = delivery.inside("payload");
    let data = payload.inside("event_data");
    let has_failed = delivery.text("event_name").is_some_and(|name| name.ends_with("failed"));
    let url = payload.text("webhook_url");
    let reason = payload.get("error_reason").map(|said| Cow::Owned(reason(said, url.as_deref())));
    let (event_id, room_id) = (delivery.get("event_id"), data.get("room_id").or(delivery.get("room_id")));
    let record = Record::of(&TABLE, delivery)
        .with("id", event_id)
        .with("type", payload.get("original_event_name"))
        .with("created_at", time)
        .with("room_id", room_id)
        .with("session_id", data.get("session_id"))
        .with("peer_id", data.get("peer_id"))
        .with("user_id", data.get("user_id"))
        .with("delivery", if has_failed { "failed" } else { "succeeded" })
        .with("error_reason", reason)
        .with("webhook_url", url.map(|url| Value::Plain(host(&url).to_owned().into())))
        .with("data", payload.get("event_data"));
    Ok((record, id, time, !has_failed))
}

/// Why a delivery failed, without what a secret may stand in: the paths of URLs, and that of the webhook's `url`
/// wherever it is repeated.
fn reason(reason: &RawValue, url: Option<&str>) -> String {
    /// Shorter parts of a path are ordinary words.
    const SHORTEST_SECRET: usize = 8;
    let said = text_in(reason.get()).unwrap_or_else(|| rewritten(reason.get(), Place::Open).0);
    let mut said = cut_urls(&said).into_owned();
    let (before, path) = url.map(around_host).unwrap_or_default();
    let parts = path.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST_SECRET);
    let whole = [path, path.split(['?', '#']).next().unwrap_or_default(), before];
    for part in whole.into_iter().filter(|part| part.len() > 1).chain(parts) {
        said = said.replace(part, MASK);
    }
    said
}

/// What stands before and behind the host of a URL.
fn around_host(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
    (authority.rsplit_once('@').map_or("", |(before, _)| before), path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::to_value;

    #[test]
    fn a_delivery_is_told_by_its_event_and_says_whether_it_worked() {
        let json = r#"{"event_id":"e","event_name":"reporter.webhook.delivery.failed","room_id":"r",
            "event_timestamp":"2024-05-01T10:00:00.5Z","payload":{"original_event_name":"peer.leave.success",
            "webhook_url":"https://u:p@hooks.example:8443/in/s3cret?k=s",
            "error_reason":"Post \"https://hooks.example:8443/in/s3cret?k=s\": timeout of /in/s3cret",
            "event_data":{"session_id":"s","reason":"kicked"}}}"#;
        let (record, ..) = record_of(serde_json::from_str(json).unwrap()).unwrap();
        let expected = serde_json::json!({
            "id": "e", "type": "peer.leave.success", "created_at": "2024-05-01T10:00:00.500000Z", "room_id": "r",
            "session_id": "s", "peer_id": null, "user_id": null, "delivery": "failed",
            "error_reason": "Post \"https://hooks.example\": timeout of **********",
            "webhook_url": "hooks.example", "data": {"session_id": "s", "reason": "kicked"},
        });
        let columns = to_value(&record);
        let columns = |name: &String, value: &serde_json::Value| columns[name] == *value;
        assert!(expected.as_object().unwrap().iter().all(|(name, value)| columns(name, value)), "{expected}");
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn parts_leave_no_gap_and_keep_an_open_end() {
        for (end, ends) in [(Some(at(1_000)), at(1_060)), (None, at(1_003))] {
            let parts: Vec<_> = divided(at(0), end, ends, 7).unwrap().iter().map(Slice::window).collect();
            assert!(parts.windows(2).all(|pair| pair[0].before.is_some() && pair[0].before == pair[1].after));
            assert_eq!((parts[0].after, parts[parts.len() - 1].before), (Some(at(0)), end));
            assert!((7..=8).contains(&parts.len()));
        }
        assert!(divided(at(0), None, at(1), 7).is_none());
    }
}
