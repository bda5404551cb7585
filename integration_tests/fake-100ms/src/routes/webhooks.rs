//! The history of webhook deliveries: the whole workspace, by time, with numbered pages.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::json;

use super::page::{limit_or, push_joined, repeated_items};
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::readings::{EmptyPage, FilterPrecision, ListOrder, NoWebhook, WebhookPages};
use crate::server::response::Refusal;
use crate::workspace::Workspace;
use crate::workspace::model::Time;
use crate::workspace::webhooks::{Delivery, KEPT};

/// From `start_time` to `end_time`, at most.
const LONGEST: TimeDelta = TimeDelta::days(14);

/// What `start_time` is when it is not sent: so long ago.
const USUAL: TimeDelta = TimeDelta::hours(24);

/// Under [`WebhookPages::Shifting`], a later `end_time` than this long ago counts as now.
const NOW_BEGINS: TimeDelta = TimeDelta::hours(1);

const ALLOWED: [&str; 7] = ["start_time", "end_time", "room_id", "status", "event_names", "limit", "page"];

pub(super) fn deliveries(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &ALLOWED, &["event_names"])?;
    let page_size = limit_or(50, &parameters, 1, ask.max_page, ask.shapes)?;
    let page = parameters.number("page", 1..=1_000_000)?.unwrap_or(1) as usize;
    let filter = Filter::parse(&parameters)?;
    let readings = &ask.workspace.readings;
    if !readings.has_webhook && readings.no_webhook == NoWebhook::NotFound {
        return Err(Refusal::not_found("webhook"));
    }
    let found = found(ask.workspace, &period(&parameters, ask.workspace)?, &filter);
    let begin = (page - 1).saturating_mul(page_size).min(found.len());
    let end = (begin + page_size).min(found.len());
    let repeated = if page > 1 { repeated_items(ask.shapes, page_size) } else { 0 };
    let on_page = (begin.saturating_sub(repeated)..end.saturating_sub(repeated).max(begin.saturating_sub(repeated)))
        .map(|place| answers::webhooks::delivery(ask.workspace, found.at(place)));
    let pages = found.len().div_ceil(page_size);
    let pagination = json!({
        "current_page": page,
        "page_size": page_size,
        "total_pages": pages,
        "total_items": found.len(),
        "has_next": page < pages,
        "has_prev": page > 1,
    });
    Ok(render(on_page.collect(), &pagination, found.len(), ask.workspace))
}

fn render(on_page: Vec<Vec<u8>>, pagination: &serde_json::Value, total: usize, workspace: &Workspace) -> Vec<u8> {
    let mut body = b"{\"events\":".to_vec();
    if on_page.is_empty() && workspace.readings.empty_page == EmptyPage::NullData {
        body.extend_from_slice(b"null");
    } else {
        body.push(b'[');
        push_joined(&mut body, &on_page);
        body.push(b']');
    }
    let rest = format!(",\"pagination\":{pagination},\"summary\":{{\"total_events\":{total}}}}}");
    body.extend_from_slice(rest.as_bytes());
    body
}

/// The period asked for, refused where the documents set its limits.
fn period(parameters: &Parameters, workspace: &Workspace) -> Result<Range<Time>, Refusal> {
    let (allowed, now) = (workspace.readings.time_filters, workspace.now);
    let start = parameters.time("start_time", allowed)?.unwrap_or(now - USUAL);
    let end = parameters.time("end_time", allowed)?.unwrap_or(now);
    let refuse = |what: &str| Err(Refusal::unexpected(format!("from {start} to {end}, and it is {now}: {what}")));
    if start < now - KEPT {
        return refuse("expected a `start_time` of at most 30 days ago");
    }
    if end - start > LONGEST {
        return refuse("expected an `end_time` of at most 14 days after `start_time`");
    }
    if end < start {
        return refuse("expected an `end_time` after `start_time`");
    }
    Ok(start..end)
}

/// Where a time lies: before a period, in it (both ends included) or behind it.
fn place_of(workspace: &Workspace, period: &Range<Time>) -> impl Fn(Time) -> Ordering {
    let readings = workspace.readings.clone();
    let compared = move |time: DateTime<Utc>| match readings.filter_precision {
        FilterPrecision::Full => time,
        FilterPrecision::Seconds => time.trunc_subsecs(0),
    };
    let (start, end) = (compared(period.start), compared(period.end));
    let readings = workspace.readings.clone();
    let is_now = readings.webhook_pages == WebhookPages::Shifting && workspace.now - period.end < NOW_BEGINS;
    move |time| match compared(readings.visible(time)) {
        time if time < start => Ordering::Less,
        time if time > end && !is_now => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// The deliveries of a period.
fn within<'a>(workspace: &'a Workspace, period: &Range<Time>) -> &'a [Delivery] {
    if !workspace.readings.has_webhook {
        return &[];
    }
    let (all, place) = (workspace.deliveries.all(), place_of(workspace, period));
    let start = all.partition_point(|delivery| place(delivery.time) == Ordering::Less);
    let end = all.partition_point(|delivery| place(delivery.time) != Ordering::Greater);
    &all[start..end.max(start)]
}

/// Every attempt of a period, as a delivery of its own.
fn attempts_within<'a>(workspace: &'a Workspace, period: &Range<Time>) -> Vec<Cow<'a, Delivery>> {
    let all = if workspace.readings.has_webhook { workspace.deliveries.all() } else { &[] };
    let attempts = |delivery: &'a Delivery| {
        let earlier = delivery.earlier_attempts().map(|before| delivery.replayed(delivery.time - before, true));
        earlier.map(Cow::Owned).chain([Cow::Borrowed(delivery)])
    };
    let place = place_of(workspace, period);
    let mut attempts: Vec<_> =
        all.iter().flat_map(attempts).filter(|attempt| place(attempt.time) == Ordering::Equal).collect();
    attempts.sort_by_key(|attempt| attempt.time);
    attempts
}

/// Which deliveries are wanted, besides their time.
struct Filter<'a> {
    room_id: Option<crate::workspace::object_id::ObjectId>,
    failed: Option<bool>,
    names: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn parse(parameters: &'a Parameters) -> Result<Filter<'a>, Refusal> {
        let failed = match parameters.word("status", &["all", "failed", "success"])? {
            Some("failed") => Some(true),
            Some("success") => Some(false),
            _ => None,
        };
        Ok(Filter { room_id: parameters.id("room_id")?, failed, names: parameters.all("event_names").collect() })
    }

    fn wants_all(&self) -> bool {
        self.room_id.is_none() && self.failed.is_none() && self.names.is_empty()
    }

    fn wants(&self, delivery: &Delivery, workspace: &Workspace) -> bool {
        let session = delivery.session(&workspace.sessions);
        let is_named = self.names.iter().any(|name| *name == delivery.kind() || *name == delivery.name());
        workspace.lag.shows(delivery.id().0[0].into(), delivery.time, workspace.now)
            && self.room_id.is_none_or(|room_id| session.room_id == room_id)
            && self.failed.is_none_or(|failed| delivery.failed == failed)
            && (self.names.is_empty() || is_named)
    }
}

/// What was found, in the order in force. The plain case counts without looking: half a million
/// deliveries would else be looked at for each of five thousand pages.
enum Found<'a> {
    Plain(&'a [Delivery], ListOrder),
    Picked(Vec<Cow<'a, Delivery>>),
}

fn found<'a>(workspace: &'a Workspace, period: &Range<Time>, filter: &Filter) -> Found<'a> {
    let order = workspace.readings.webhook_order;
    let attempts = workspace.readings.webhook_attempts;
    if filter.wants_all() && order != ListOrder::Shuffled && workspace.lag.is_none() && !attempts {
        return Found::Plain(within(workspace, period), order);
    }
    let mut picked: Vec<Cow<'_, Delivery>> = match attempts {
        true => attempts_within(workspace, period),
        false => within(workspace, period).iter().map(Cow::Borrowed).collect(),
    };
    picked.retain(|one| filter.wants(one, workspace));
    match order {
        ListOrder::NewestFirst => picked.reverse(),
        ListOrder::OldestFirst => {}
        ListOrder::Shuffled => picked.sort_by_cached_key(|delivery| (delivery.id(), delivery.time)),
    }
    Found::Picked(picked)
}

impl Found<'_> {
    fn len(&self) -> usize {
        match self {
            Found::Plain(deliveries, _) => deliveries.len(),
            Found::Picked(deliveries) => deliveries.len(),
        }
    }

    fn at(&self, place: usize) -> &Delivery {
        match self {
            Found::Plain(deliveries, ListOrder::NewestFirst) => &deliveries[deliveries.len() - 1 - place],
            Found::Plain(deliveries, _) => &deliveries[place],
            Found::Picked(deliveries) => &deliveries[place],
        }
    }
}
