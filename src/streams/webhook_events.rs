//! `webhook_events`: what 100ms told the workspace's webhook, and whether the delivery worked.
//!
//! - **Source:** `/v2/analytics/webhooks`, the whole workspace by time: the last 30 days, at most 14 in one
//!   question. Pages have numbers, so each window has a fixed end in the past, and its pages stay what they
//!   were. Only the newest window may still grow; its first page is looked at again at the end, and the window
//!   is read again when its number of events has changed.
//! - **Cursor:** `created_at`, the event's time. Deliveries may come late: a sync goes back to 1 h before its
//!   cursor.
//! - **Open in the reference:** the order of events, and what a workspace without a webhook answers: presumably
//!   nothing.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError, Times};
use super::record::{Computed, Derived, Label, Record, Rows, id, record};
use super::schema;
use super::slice::{Scope, Slice, Window};
use super::time::{Time, Timestamp};
use super::values::{Object, Text, text};
use crate::api::{ApiError, Client, WebhookFilter, WebhookPage};

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
/// The API keeps no older deliveries, and refuses to be asked for them. A minute for the request's way.
const KEPT: TimeDelta = TimeDelta::minutes(30 * 24 * 60 - 1);
/// The API answers no longer period.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(14);
/// The token of a second look: how many events there were, and how many looks have gone before.
const AGAIN: &str = "again/";
/// What still comes after so many looks is left to the next sync, which goes back an hour.
const MOST_LOOKS: u64 = 5;

/// The stream.
pub(super) struct WebhookEvents {
    reading: Reading,
    seen: AtomicU64,
}

impl Stream for WebhookEvents {
    const NAME: &'static str = "webhook_events";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("created_at");
    const LISTS: &'static [&'static str] = &[DELIVERIES];
    const LOOK_BACK: TimeDelta = LOOK_BACK;
    type Record = WebhookEventRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading, seen: AtomicU64::new(0) }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        match slice.window() {
            Window { after: Some(after), before: Some(before) } => self.page(slice, after, before).await,
            _ => self.windows().await,
        }
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        let now = Timestamp::from(Utc::now());
        let filter = WebhookFilter { after: (now - TimeDelta::days(1)).to_filter(), before: now.to_filter(), page: 1 };
        let fields = |page: Vec<Delivery<'_>>| schema::added_fields(page.iter().map(Record::others));
        Ok(client.webhook_events::<Delivery<'static>, _>(&filter, fields).await?.content)
    }

    fn finish(&self) -> Result<Vec<Remark>, StreamError> {
        let is_first = !self.reading.since.follows_a_sync();
        let is_empty = self.seen.load(Ordering::Relaxed) == 0;
        let remark = "100ms has no webhook history: `webhook_events` stays empty until the workspace has a webhook.";
        Ok((is_first && is_empty).then(|| Remark::note(remark)).into_iter().collect())
    }
}

impl WebhookEvents {
    /// The periods to ask for, the oldest first.
    async fn windows(&self) -> Result<Step, StreamError> {
        self.reading.client.ask_the_time().await?;
        let until = self.reading.client.began().map_or_else(|| Utc::now().into(), Timestamp::from);
        let mut after = self.reading.due.max(until - KEPT).floor_to_second();
        let mut children = Vec::new();
        while after < until {
            let before = (after + LONGEST_WINDOW).min(until);
            let window = Window { after: Some(after), before: Some(before) };
            children.push(Slice::new(DELIVERIES, Scope::Window(window)));
            after = before;
        }
        Ok(Step { children, ..Step::default() })
    }

    /// A page of a period.
    async fn page(&self, slice: Slice, after: Timestamp, before: Timestamp) -> Result<Step, StreamError> {
        let token = slice.token.as_deref().unwrap_or("1");
        let second_look = token.strip_prefix(AGAIN).and_then(|look| look.split_once('/'));
        let page = second_look.map_or_else(|| token.parse().unwrap_or(1), |_| 1);
        // A sync that takes long must not ask for what is too old by now.
        let clock = self.reading.client.clocks().map_or_else(Utc::now, |clocks| clocks.server.unwrap_or(clocks.local));
        let after = after.max(Timestamp::from(clock) - KEPT);
        if after >= before {
            return Ok(Step::default());
        }
        let filter = WebhookFilter { after: after.to_filter(), before: before.to_filter(), page };
        let shape = |deliveries: Vec<Delivery<'_>>| self.rows(deliveries);
        let answer = self.reading.client.webhook_events::<Delivery<'static>, _>(&filter, shape).await?;
        if let Some((total, looks)) = second_look {
            return Ok(self.after_second_look(slice.clone(), &answer, total, looks));
        }
        let next = if answer.has_next { Some((page + 1).to_string()) } else { self.second_look(&answer, before, 0) };
        Ok(Step { rows: answer.content?, rest: slice.rest(next), ..Step::default() })
    }

    /// The token that has the first page looked at again: only a period that ends now may still grow.
    fn second_look<R>(&self, answer: &WebhookPage<R>, before: Timestamp, looks: u64) -> Option<String> {
        let until = self.reading.client.began().map_or_else(|| Utc::now().into(), Timestamp::from);
        let may_grow = before + LOOK_BACK >= until && looks < MOST_LOOKS;
        answer.total.filter(|_| may_grow).map(|total| format!("{AGAIN}{total}/{looks}"))
    }

    /// Done when nothing has been added; else the period is read again from its first page.
    fn after_second_look<R>(&self, slice: Slice, answer: &WebhookPage<R>, total: &str, looks: &str) -> Step {
        let has_grown = answer.total.is_some_and(|now| now.to_string() != total);
        let looks: u64 = looks.parse().unwrap_or(MOST_LOOKS);
        if !has_grown || looks >= MOST_LOOKS {
            return Step::default();
        }
        Step { children: vec![Slice { token: None, ..slice }], ..Step::default() }
    }

    fn rows(&self, deliveries: Vec<Delivery<'_>>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        self.seen.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        for delivery in deliveries {
            let (record, time) = record_of(delivery)?;
            if time >= self.reading.due {
                rows.push(&self.reading.format, &record, Some(Times::new(time, time)))?;
            }
        }
        Ok(rows)
    }
}

fn record_of(delivery: Delivery<'_>) -> Result<(WebhookEventRecord<'_>, Timestamp), RecordError> {
    let id = id(delivery.event_id.0)?;
    let time = delivery.event_timestamp.readable(&id, "event_timestamp")?;
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
        assert_eq!(serde_json::to_value(&record).unwrap(), expected);
    }
}
