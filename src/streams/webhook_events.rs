//! `webhook_events`: what 100ms told the workspace's webhook, and whether the delivery worked.
//!
//! - **Source:** `/v2/analytics/webhooks`, the whole workspace by time: the last 30 days, at most 14 in one
//!   question. They are asked for in periods of three days, side by side. Pages have numbers, so each period
//!   has a fixed end in the past, and its pages stay what they were. Only the last hour may still grow: it is a
//!   period of its own, whose first page is looked at again at the end, and which is read again when it has
//!   more events than at first.
//! - **Cursor:** `created_at`, the event's time. Deliveries may come late: a sync goes back to 1 h before its
//!   cursor.
//! - **Open in the reference:** the order of events, and what a workspace without a webhook answers: nothing
//!   and 404 both mean that there is none.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::TimeDelta;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError, Times};
use super::record::{Computed, Derived, Label, Record, Rows, id, record};
use super::schema;
use super::slice::{Scope, Slice, Window};
use super::time::{Time, Timestamp};
use super::values::{Object, Text, text};
use crate::api::{ApiError, Client, WebhookFilter};
use crate::seams;

record! {
    /// Something that 100ms told the workspace's webhook.
    WebhookEventRecord {
        /// Unique id of the event.
        id: Text<'a>,
        /// What happened, such as `peer.leave.success` or `recording.failed`.
        r#type: Text<'a>,
        /// When it happened. The cursor of this stream.
        created_at: Time,
        /// The room.
        room_id: Label<'a>,
        /// The session, when there was one.
        session_id: Text<'a>,
        /// The peer, when there was one.
        peer_id: Text<'a>,
        /// Your own id of the user, when known.
        user_id: Text<'a>,
        /// Whether your webhook took it: `succeeded` or `failed`.
        delivery: Computed<&'static str>,
        /// Why the delivery failed.
        error_reason: Text<'a>,
        /// The host it was sent to; path and query may hold secrets and are left out.
        webhook_url: Computed<Cow<'a, str>>,
        /// All the event says; what is in it depends on its type.
        data: Object<'a>,
    }
    personal ["user_id", "error_reason"]
    people ["data"]
}

record! {
    /// A delivery as 100ms has it.
    Delivery {
        event_id: Text<'a>,
        event_name: Text<'a>,
        room_id: Text<'a>,
        event_timestamp: Time,
        payload: Derived<'a, ()>,
    }
}

record! {
    /// What was delivered.
    Payload {
        event_data: Object<'a>,
        webhook_url: Text<'a>,
        original_event_name: Text<'a>,
        error_reason: Text<'a>,
    }
}

record! {
    /// What is lifted from an event's data.
    Lifted {
        room_id: Text<'a>,
        session_id: Text<'a>,
        peer_id: Text<'a>,
        user_id: Text<'a>,
    }
}

const DELIVERIES: &str = "deliveries";

/// How late a delivery may become visible.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);
/// The API keeps no older deliveries, and refuses to be asked for them.
const KEPT: TimeDelta = TimeDelta::days(30);
/// So much of that is given up, for the time that a request takes.
const MARGIN: TimeDelta = TimeDelta::minutes(1);
/// The longest period of a question. The API answers up to 14 days, but the pages of a period come one after the
/// other, and periods side by side.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(3);
/// What happened in the last hour is a window of its own: it may still grow.
const STILL_GROWING: TimeDelta = TimeDelta::hours(1);
/// What still comes after so many looks is left to the next sync, which goes back an hour.
const MOST_LOOKS: u64 = 5;
/// So many are no chance: shuffled events descend for so long once in 20! times.
const ENOUGH_DESCENTS: u64 = 20;
/// How much of the oldest window is given up when it must be read again because its beginning has become too old:
/// the time that is left for reading it.
const GRACE: TimeDelta = TimeDelta::minutes(10);

/// The stream.
pub(super) struct WebhookEvents {
    reading: Reading,
    seen: AtomicU64,
    /// How often the newest window has been found to have grown.
    looks: AtomicU64,
    is_out_of_order: AtomicBool,
    /// How many times an event was followed by an older one.
    descents: AtomicU64,
    /// The server's clock has been looked at.
    has_clock: OnceCell<()>,
}

/// Where a page stands in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Its number; 0 for a second look at the first page.
    page: u64,
    /// How many events the window had at first, if it may still grow.
    total: Option<u64>,
}

impl Stream for WebhookEvents {
    const NAME: &'static str = "webhook_events";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("created_at");
    const LISTS: &'static [&'static str] = &[DELIVERIES];
    const LOOK_BACK: TimeDelta = LOOK_BACK;
    type Record = WebhookEventRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self {
            reading,
            seen: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            is_out_of_order: AtomicBool::new(false),
            descents: AtomicU64::new(0),
            has_clock: OnceCell::new(),
        }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        // What may be asked for goes by the server's clock, which a run that goes on from a state does not know yet.
        let ask = || async { self.reading.client.ask_the_time().await.map(drop) };
        self.has_clock.get_or_try_init(ask).await?;
        match slice.window() {
            Window { after: Some(after), before: Some(before) } => self.page(slice, after, before).await,
            _ => Ok(self.windows()),
        }
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        let fields = |page: Vec<Delivery<'_>>| schema::added_fields(page.iter().map(Record::others));
        let page = client.webhook_events::<Delivery<'static>, _>(&WebhookFilter::default(), fields).await?;
        Ok(page.map(|page| page.content).unwrap_or_default())
    }

    fn remarks(&self) -> Vec<Remark> {
        // An earlier process may have read the first part of this sync.
        let is_first = !self.reading.since.follows_a_sync() && self.reading.since.until.is_none();
        let is_empty = self.seen.load(Ordering::Relaxed) == 0;
        let remark = "100ms has no webhook history: `webhook_events` stays empty until the workspace has a webhook.";
        (is_first && is_empty).then(|| Remark::note(remark)).into_iter().collect()
    }
}

impl WebhookEvents {
    /// The periods to ask for, the oldest first.
    fn windows(&self) -> Step {
        let until = self.until();
        let newest = (until - STILL_GROWING).floor_to_second();
        // Another minute, in which the oldest period can be read as it is.
        let mut after = self.reading.due.max(self.oldest() + MARGIN).floor_to_second();
        let mut children = Vec::new();
        while after < until {
            let before = if after < newest { newest.min(after + LONGEST_WINDOW) } else { until };
            children.push(Slice::new(DELIVERIES, Scope::Window(Window { after: Some(after), before: Some(before) })));
            after = before;
        }
        Step { children, ..Step::default() }
    }

    /// When this run began, by the earlier clock.
    fn until(&self) -> Timestamp {
        self.reading.client.began().map_or_else(|| seams::now().into(), Timestamp::from)
    }

    /// The oldest time that may be asked for, by the server's clock.
    fn oldest(&self) -> Timestamp {
        let clocks = self.reading.client.clocks();
        let now = clocks.map_or_else(seams::now, |clocks| clocks.server.unwrap_or(clocks.local));
        Timestamp::from(now) - KEPT + MARGIN
    }

    /// A page of a period.
    async fn page(&self, slice: Slice, after: Timestamp, before: Timestamp) -> Result<Step, StreamError> {
        let place = Place::of(slice.token.as_deref());
        // A sync that takes long, or is resumed late, must not ask for what is too old by now.
        let from = after.max(self.oldest());
        if from >= before {
            return Ok(Step::default());
        }
        let period = Some((from.to_filter(), before.to_filter()));
        let filter = WebhookFilter { period, page: place.page.max(1), ..WebhookFilter::default() };
        let may_grow = before + STILL_GROWING > self.until();
        let shape = |deliveries: Vec<Delivery<'_>>| self.rows(deliveries, slice.window().before.filter(|_| !may_grow));
        let answer = match self.reading.client.webhook_events::<Delivery<'static>, _>(&filter, shape).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(Step::default()),
            // It had to wait for so long that its beginning has become too old on the way.
            Err(error) if error.status() == Some(400) && from + MARGIN < self.oldest() => {
                return Ok(Step { children: vec![slice.clone()], ..Step::default() });
            }
            Err(error) => return Err(error.into()),
        };
        if place.is_second_look() {
            return Ok(self.after_second_look(slice.clone(), place, answer.total));
        }
        let rows = answer.content?;
        // What has become too old has moved the other pages, unless it was on the last of them.
        if from > after && place.page > 1 && !self.is_newest_first() {
            let window = Window { after: Some(from + GRACE), before: Some(before) };
            return Ok(Step { rows, children: vec![Slice::new(DELIVERIES, Scope::Window(window))], ..Step::default() });
        }
        let total = if place.page == 1 { answer.total.filter(|_| may_grow) } else { place.total };
        let next = place.next(total, answer.has_next);
        Ok(Step { rows, rest: slice.rest(next.map(Place::to_token)), ..Step::default() })
    }

    /// Whether the pages of this run show that the history is newest first. In a run that goes on from a state, the
    /// first page may be nearly empty or even past the end, and then it shows nothing.
    fn is_newest_first(&self) -> bool {
        !self.is_out_of_order.load(Ordering::Relaxed) && self.descents.load(Ordering::Relaxed) >= ENOUGH_DESCENTS
    }

    /// Done when nothing has been added; else the period is read again from its first page.
    fn after_second_look(&self, slice: Slice, place: Place, total: Option<u64>) -> Step {
        let has_grown = total.is_some() && total > place.total;
        if !has_grown || self.looks.fetch_add(1, Ordering::Relaxed) >= MOST_LOOKS {
            return Step::default();
        }
        Step { children: vec![Slice { token: None, ..slice }], ..Step::default() }
    }

    /// The deliveries that are due. Those at `end` and later belong to the next period.
    fn rows(&self, deliveries: Vec<Delivery<'_>>, end: Option<Timestamp>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        let mut last = None;
        self.seen.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        for delivery in deliveries {
            let (record, time) = record_of(delivery)?;
            let before = last.replace(time).unwrap_or(time);
            if time > before {
                self.is_out_of_order.store(true, Ordering::Relaxed);
            }
            self.descents.fetch_add(u64::from(time < before), Ordering::Relaxed);
            if time >= self.reading.due && end.is_none_or(|end| time < end) {
                rows.push(&self.reading.format, &record, Some(Times::new(time, time)));
            }
        }
        Ok(rows)
    }
}

impl Place {
    /// What a second look's token begins with.
    const AGAIN: &str = "again";

    /// `3`, or `3/250` in a window that had 250 events at first; `again/250` for a second look.
    fn of(token: Option<&str>) -> Self {
        let mut parts = token.unwrap_or("1").split('/');
        let page = match parts.next() {
            Some(Self::AGAIN) => 0,
            page => page.and_then(|page| page.parse().ok()).unwrap_or(1),
        };
        Self { page, total: parts.next().and_then(|total| total.parse().ok()) }
    }

    fn to_token(self) -> String {
        let page = if self.is_second_look() { Self::AGAIN.to_owned() } else { self.page.to_string() };
        self.total.map_or_else(|| page.clone(), |total| format!("{page}/{total}"))
    }

    fn is_second_look(self) -> bool {
        self.page == 0
    }

    /// The page after this one; after the last one, a second look at a window that may still grow.
    fn next(self, total: Option<u64>, has_next: bool) -> Option<Self> {
        if has_next { Some(Self { page: self.page + 1, total }) } else { total.map(|_| Self { page: 0, total }) }
    }
}

fn record_of(delivery: Delivery<'_>) -> Result<(WebhookEventRecord<'_>, Timestamp), RecordError> {
    let id = id(delivery.event_id.0)?;
    let time = delivery.event_timestamp.readable(&id, "event_timestamp")?.or_else(|| Timestamp::in_id(&id));
    let time = time.ok_or_else(|| RecordError::new(Some(&id), "event_timestamp", "is missing"))?;
    let payload: Payload<'_> =
        delivery.payload.raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let data: Lifted<'_> =
        payload.event_data.0.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let has_failed = text(delivery.event_name.0).is_some_and(|name| name.ends_with("failed"));
    let room = if data.room_id.0.is_some() { data.room_id } else { delivery.room_id };
    let record = WebhookEventRecord {
        id: delivery.event_id,
        r#type: payload.original_event_name,
        created_at: time.into(),
        room_id: Label::Raw(room),
        session_id: data.session_id,
        peer_id: data.peer_id,
        user_id: data.user_id,
        delivery: Computed(Some(if has_failed { "failed" } else { "succeeded" })),
        error_reason: payload.error_reason,
        webhook_url: Computed(text(payload.webhook_url.0).map(|url| host(&url).to_owned().into())),
        data: payload.event_data,
        others: delivery.others,
    };
    Ok((record, time))
}

/// The host of a URL; a secret may stand in its path, its query and before the host.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;

    #[test]
    fn a_delivery_is_told_by_its_event_and_says_whether_it_worked() {
        let json = r#"{"event_id":"e","event_name":"reporter.webhook.delivery.failed","room_id":"r",
            "event_timestamp":"2024-05-01T10:00:00.5Z","payload":{"original_event_name":"peer.leave.success",
            "webhook_url":"https://u:p@hooks.example:8443/in/s3cret?k=s","error_reason":"timeout",
            "event_data":{"session_id":"s","reason":"kicked"}}}"#;
        let (record, _) = record_of(serde_json::from_str(json).unwrap()).unwrap();
        let expected = serde_json::json!({
            "id": "e", "type": "peer.leave.success", "created_at": "2024-05-01T10:00:00.500000Z", "room_id": "r",
            "session_id": "s", "peer_id": null, "user_id": null, "delivery": "failed", "error_reason": "timeout",
            "webhook_url": "hooks.example", "data": {"session_id": "s", "reason": "kicked"},
        });
        assert_eq!(to_value(&record), expected);
    }

    #[test]
    fn a_place_survives_being_saved() {
        for (token, page, total) in [("1", 1, None), ("7", 7, None), ("7/250", 7, Some(250)), ("again/0", 0, Some(0))] {
            assert_eq!(Place::of(Some(token)), Place { page, total });
            assert_eq!(Place { page, total }.to_token(), token);
        }
        assert_eq!(Place::of(None).page, 1);
        let last = Place { page: 7, total: Some(250) };
        assert_eq!(last.next(Some(250), true).map(Place::to_token).unwrap(), "8/250");
        assert_eq!(last.next(Some(250), false).map(Place::to_token).unwrap(), "again/250");
        assert_eq!(last.next(None, false), None);
    }
}
