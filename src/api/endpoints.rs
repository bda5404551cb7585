//! What can be asked: lists by page, and one method for everything else.
//!
//! Each takes a closure that shapes the answer while its text is still there, inside the try: an answer
//! that turns out to be unreadable is asked for again. What an item looks like is the caller's to say.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answers::{Answer, Keyed, Members, Pagination, PeersAnswer, PresignedUrl, WebhookAnswer};
use super::client::{Client, Notice};
use super::envelope::Form;
use super::error::{ApiError, Problem};
use super::pages::{EventPage, ListPage, Next};
use super::request::Get;
use super::transport::Unreadable;

/// The largest page the API serves.
pub const PAGE_SIZE: u64 = 100;
/// The smallest page that every list accepts: enough for `check`.
pub const SMALL_PAGE: u64 = 10;

/// A page of a list: what the caller made of it, and how to go on.
#[derive(Debug)]
pub struct Page<R> {
    /// What the shaping closure returned.
    pub content: R,
    /// The token of the next page; `None` at the end of the list.
    pub next: Option<String>,
}

/// Which items of a list to ask for. The API compares times inclusively, with the item's creation.
#[derive(Debug, Default, Clone)]
pub struct ListFilter<'a> {
    /// `active` of sessions, `enabled` of rooms. What unset means is not documented, so say it always.
    pub flag: Option<bool>,
    /// Created at or after, as RFC 3339.
    pub after: Option<String>,
    /// Created at or before, as RFC 3339.
    pub before: Option<String>,
    /// Go on after the item with this id.
    pub start: Option<&'a str>,
    /// Items a page; [`PAGE_SIZE`] when unset.
    pub limit: Option<u64>,
    /// Whether the page is all that is wanted: where the list goes on is of no interest.
    pub is_probe: bool,
}

/// A list whose pages are named by the id of their last item, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    path: &'static str,
    /// The filter that [`ListFilter::flag`] sets.
    flag: &'static str,
}

impl List {
    /// Sessions, by `active`.
    pub const SESSIONS: Self = Self { path: "sessions", flag: "active" };
    /// Rooms, by `enabled`.
    pub const ROOMS: Self = Self { path: "rooms", flag: "enabled" };
    /// Templates, whole.
    pub const TEMPLATES: Self = Self { path: "templates", flag: "" };
    /// Recordings, usually without their files.
    pub const RECORDINGS: Self = Self { path: "recordings", flag: "" };
    /// Files of recordings, live streams and external streams.
    pub const RECORDING_ASSETS: Self = Self { path: "recording-assets", flag: "" };
    /// HLS streams.
    pub const LIVE_STREAMS: Self = Self { path: "live-streams", flag: "" };
    /// RTMP streams.
    pub const EXTERNAL_STREAMS: Self = Self { path: "external-streams", flag: "" };

    /// The request for a page.
    fn page<'a>(self, filter: &ListFilter<'a>, limit: u64) -> Get<'a> {
        let mut query: Vec<_> = filter.flag.map(|value| (self.flag, value.to_string())).into_iter().collect();
        query.extend(filter.after.clone().map(|after| ("after", after)));
        query.extend(filter.before.clone().map(|before| ("before", before)));
        query.extend(filter.start.map(|start| ("start", start.to_owned())));
        Get::list(self.path, limit, query)
    }
}

/// A document below a template.
#[derive(Debug, Clone, Copy)]
pub struct TemplatePart {
    pattern: &'static str,
    form: &'static Form,
}

impl TemplatePart {
    /// The settings: an object.
    pub const SETTINGS: Self = Self { pattern: "templates/{id}/settings", form: &Form::SETTINGS };
    /// The destinations by kind.
    pub const DESTINATIONS: Self = Self { pattern: "templates/{id}/destinations", form: &Form::DESTINATIONS };
    /// The recording configurations: an array.
    pub const RECORDINGS: Self = Self { pattern: "templates/{id}/recordings", form: &Form::CONFIGURATIONS };
}

/// Which events of a room to ask for.
#[derive(Debug, Default, Clone)]
pub struct EventFilter<'a> {
    /// The room, which is required.
    pub room: &'a str,
    /// Only those of this session.
    pub session: Option<&'a str>,
    /// Only errors. They alone can come without a session.
    pub errors_only: bool,
    /// Only these types; empty means all.
    pub types: &'a [String],
    /// Go on with this token.
    pub start: Option<&'a str>,
}

/// The webhook history reaches back so far, and refuses to be asked for more.
const WEBHOOK_HISTORY: TimeDelta = TimeDelta::days(30);
/// So much of that is given up, for the time that a request is on its way.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(1);
/// How often a period is asked for whose beginning became too old on the way all the same.
const TRIES_OF_A_PERIOD: u32 = 3;

/// Which deliveries to the webhook to ask for.
#[derive(Debug, Clone, Copy)]
pub struct WebhookFilter {
    /// Beginning and end, both included, at most 14 days apart; when unset, the last 24 h. A beginning that is too old
    /// when the request is sent is moved.
    pub period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The number of the page, from 1 on.
    pub page: u64,
    /// Items a page.
    pub limit: u64,
}

impl Default for WebhookFilter {
    fn default() -> Self {
        Self { period: None, page: 1, limit: PAGE_SIZE }
    }
}

/// A page of deliveries.
#[derive(Debug)]
pub struct WebhookPage<R> {
    /// What the shaping closure returned.
    pub content: R,
    /// Whether another page follows.
    pub has_next: bool,
    /// How many deliveries the period has, if the answer says so.
    pub total: Option<u64>,
    /// How many pages they are, if the answer says so.
    pub pages: Option<u64>,
    /// The beginning of the period that was asked for.
    pub begins: DateTime<Utc>,
}

impl Client {
    /// The oldest moment of which the webhook history may be asked now.
    pub fn oldest_delivery(&self) -> DateTime<Utc> {
        self.now() - WEBHOOK_HISTORY + ON_ITS_WAY
    }

    /// A page of deliveries to the workspace's webhook, in no documented order; `None` where there is no history,
    /// presumably because the workspace has no webhook.
    pub async fn webhook_events<A: Answer, R>(
        &self,
        filter: &WebhookFilter,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Option<WebhookPage<R>>, ApiError> {
        let endpoint = "analytics/webhooks";
        let milliseconds = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Which events are on a page depends on its size: an answer that is too large cannot be asked for in parts.
        let mut query = vec![("limit", filter.limit.to_string()), ("page", filter.page.to_string())];
        query.extend(filter.period.map(|(_, ends)| ("end_time", milliseconds(ends))));
        // The wait for a rate limit may be long: what is too old is known when the request is sent, and not before.
        let sent = AtomicI64::default();
        let begins = |now: DateTime<Utc>| {
            let begins = filter.period.map_or(now, |(begins, _)| begins.max(now - WEBHOOK_HISTORY + ON_ITS_WAY));
            sent.store(begins.timestamp_millis(), Ordering::Relaxed);
            ("start_time", milliseconds(begins))
        };
        let sent = || DateTime::from_timestamp_millis(sent.load(Ordering::Relaxed)).unwrap_or_default();
        let mut tries = 0;
        loop {
            let get = Get::one_of(endpoint, query.clone()).with(&Form::HISTORY).cautious();
            let get = if filter.period.is_some() { get.with_late(&begins) } else { get };
            let answer = self.get(get, |body| {
                let page: WebhookAnswer<A::Of<'_>> = serde_json::from_str(body)?;
                let Pagination { has_next, total_items: total, total_pages: pages } = page.pagination;
                let has_next = has_next.unwrap_or(page.events.len() as u64 >= filter.limit);
                if has_next && page.events.is_empty() {
                    return Err(Unreadable::NothingBeforeMore);
                }
                Ok(WebhookPage { content: shape(page.events), has_next, total, pages, begins: sent() })
            });
            tries += 1;
            match answer.await {
                Err(error)
                    if error.status() == Some(400)
                        && tries < TRIES_OF_A_PERIOD
                        && sent() < self.now() - WEBHOOK_HISTORY => {}
                // Where a page was, there is a history.
                answer if filter.page > 1 => return answer.map(Some),
                answer => return self.or_absent(format!("/v2/{endpoint}"), answer.map(Some)),
            }
        }
    }

    /// The measurements of a peer in a session that has ended; `None` when there are none.
    pub async fn peer_stats<A: Answer, R>(
        &self,
        session: &str,
        peer: &str,
        shape: impl for<'a> Fn(A::Of<'a>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let query = vec![("session_id", session.to_owned()), ("peer_id", peer.to_owned())];
        self.one(Get::one_of("analytics/peer-stats", query).with(&Form::STATS), shape).await
    }

    /// A page of `list`.
    pub async fn list<A: Answer, R>(
        &self,
        list: List,
        filter: &ListFilter<'_>,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        let get = list.page(filter, filter.limit.unwrap_or(PAGE_SIZE));
        let endpoint = get.endpoint();
        let read = |body: &str| {
            let mut page = ListPage::<A::Of<'_>>::read(body)?;
            Ok((page.next(), shape(page.items)))
        };
        let (next, content) = self.get(get, read).await?;
        let next = match next {
            Next::PerhapsEnd { last, items } if self.ends_at(list, filter, &last, items).await => None,
            Next::Page(last) | Next::PerhapsEnd { last, .. } => Some(last),
            Next::End => None,
        };
        refuse_repeated_page(Page { content, next }, filter.start, endpoint)
    }

    /// Whether `list` ends at a short page of so many `items`, whose last item is `last`. That is the
    /// documented end, but a server may cap its pages below the limit it states: the page behind tells.
    async fn ends_at(&self, list: List, filter: &ListFilter<'_>, last: &str, items: u64) -> bool {
        if filter.is_probe {
            return true;
        }
        let further = list.page(&ListFilter { start: Some(last), ..filter.clone() }, SMALL_PAGE);
        let endpoint = further.endpoint();
        let known = self.shared.short_pages.of(list.path);
        let mut known = known.lock().await;
        if known.goes_on || items < known.most_items_at_an_end {
            return !known.goes_on;
        }
        // A page that ends where the one before it did repeats its items.
        let is_end = |page: ListPage<IgnoredAny>| page.items.is_empty() || page.last.as_deref() == Some(last);
        // Nothing is lost by asking again for a page that could not be had.
        let Ok(ends) = self.get(further, |body| Ok(is_end(ListPage::read(body)?))).await else { return false };
        if ends {
            known.most_items_at_an_end = items;
        } else {
            known.goes_on = true;
        }
        (self.shared.listener)(Notice::ShortPage { endpoint, goes_on: !ends });
        ends
    }

    /// One item of `list` by its id; `None` when there is no such item.
    pub async fn item<A: Answer, R>(
        &self,
        list: List,
        id: &str,
        shape: impl for<'a> Fn(A::Of<'a>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let pattern = format!("{}/{{id}}", list.path);
        self.one(Get::one(&pattern, id), shape).await
    }

    /// Who is in a room now. A room nobody is in holds no peers, or answers with nothing: `None`.
    pub async fn active_room_peers<A: Answer, R>(
        &self,
        room: &str,
        shape: impl for<'a> Fn(Keyed<'a, A::Of<'a>>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let get = Get::one("active-rooms/{id}/peers", room).with(&Form::PEERS);
        let endpoint = get.endpoint();
        let answer = self.get(get, |body| {
            let answer: Option<PeersAnswer<Members<'_, A::Of<'_>>>> = serde_json::from_str(body)?;
            Ok(answer.map(|answer| shape(answer.peers.map(|members| members.0).unwrap_or_default())))
        });
        self.or_absent(endpoint, answer.await)
    }

    /// One of the documents below a template as it came; `None` when there is none, or the template is gone.
    pub async fn template_part<R>(
        &self,
        template: &str,
        part: TemplatePart,
        shape: impl Fn(&RawValue) -> R,
    ) -> Result<Option<R>, ApiError> {
        let TemplatePart { pattern, form } = part;
        self.one::<&'static RawValue, _>(Get::one(pattern, template).with(form), shape).await
    }

    /// A link to the file of an asset; `None` when 100ms no longer has the file.
    ///
    /// What is answered then is not documented: 404 and 410 say it, and 400 is the vendor's only other
    /// refusal that speaks of the request rather than of the credentials.
    pub async fn presigned_url(&self, asset: &str) -> Result<Option<String>, ApiError> {
        let get = Get::one("recording-assets/{id}/presigned-url", asset).with(&Form::LINK);
        let endpoint = get.endpoint();
        let read = |body: &str| match serde_json::from_str::<Option<PresignedUrl>>(body)? {
            Some(PresignedUrl { url: Some(url) }) if url.contains('\0') => Err(Unreadable::NotUtf8("the link")),
            answer => Ok(answer),
        };
        match self.get(get, read).await {
            Err(error) if error.status() == Some(400) => Ok(None),
            answer => {
                let answer = self.or_absent(endpoint, answer)?;
                Ok(answer.and_then(|answer| answer.url).filter(|url| !url.is_empty()))
            }
        }
    }

    /// A page of a room's events of the last 30 days, in no documented order.
    pub async fn analytics_events<A: Answer, R>(
        &self,
        filter: &EventFilter<'_>,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        let mut query = vec![("room_id", filter.room.to_owned())];
        query.extend(filter.session.map(|session| ("session_id", session.to_owned())));
        query.extend(filter.errors_only.then(|| ("error", "true".to_owned())));
        query.extend(filter.types.iter().map(|kind| ("type", kind.clone())));
        query.extend(filter.start.map(|start| ("start", start.to_owned())));
        let get = Get::list("analytics/events", PAGE_SIZE, query).with(&Form::EVENTS);
        let endpoint = get.endpoint();
        let page = self.get(get, |body| {
            let page = EventPage::<A::Of<'_>>::read(body)?;
            Ok(Page { content: shape(page.events), next: page.next })
        });
        refuse_repeated_page(page.await?, filter.start, endpoint)
    }

    /// What is asked for with `get`; `None` when there is no such thing.
    async fn one<A: Answer, R>(
        &self,
        get: Get<'_>,
        shape: impl for<'a> Fn(A::Of<'a>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let endpoint = get.endpoint();
        let answer = self.get(get, |body| Ok(serde_json::from_str::<Option<A::Of<'_>>>(body)?.map(&shape)));
        self.or_absent(endpoint, answer.await)
    }

    /// Lets an answer pass, and tells of one that says that there is nothing.
    fn or_absent<R>(&self, endpoint: String, answer: Result<Option<R>, ApiError>) -> Result<Option<R>, ApiError> {
        let answer = match answer {
            Err(error) if error.is_not_found() => None,
            answer => answer?,
        };
        if answer.is_none() {
            self.skipped(endpoint);
        }
        Ok(answer)
    }
}

fn refuse_repeated_page<R>(page: Page<R>, start: Option<&str>, endpoint: String) -> Result<Page<R>, ApiError> {
    if page.next.is_none() || page.next.as_deref() != start {
        return Ok(page);
    }
    Err(repeated_token(endpoint))
}

/// The error of a list that hands out a page token twice.
pub fn repeated_token(endpoint: String) -> ApiError {
    ApiError::unsent(Problem::Inconsistent("a page repeats the token of an earlier page".into()), endpoint)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::test_server::{client, respond, serve};
    use super::*;

    /// Pages of two that state a limit of three: of `items`, whose ids count from 0. Each page but the
    /// first begins with so many `repeated` items of the one before.
    fn short_pages(items: usize, repeated: usize) -> (Client, Arc<Mutex<Vec<String>>>) {
        let (url, requests) = serve(move |_, head, connection| {
            let start = head.split("start=").nth(1).and_then(|rest| rest.split([' ', '&']).next());
            let first = start.map_or(0, |start| start.parse::<usize>().unwrap() + 1 - repeated);
            let page: Vec<usize> = (first..items).take(2).collect();
            let body = match page.last() {
                Some(last) => format!(r#"{{"limit":3,"data":{page:?},"last":"{last}"}}"#),
                None => r#"{"limit":3,"data":[]}"#.to_owned(),
            };
            respond(connection, 200, "", &body);
        });
        (client(url, 1.0), requests)
    }

    async fn read(client: &Client) -> usize {
        let (mut items, mut start) = (0, None);
        loop {
            let filter = ListFilter { start: start.as_deref(), ..ListFilter::default() };
            let page = client.list::<&RawValue, _>(List::ROOMS, &filter, |items| items.len()).await.unwrap();
            items += page.content;
            match page.next {
                Some(next) => start = Some(next),
                None => return items,
            }
        }
    }

    #[tokio::test]
    async fn a_short_page_ends_a_list_and_costs_one_request_to_be_sure() {
        let (client, requests) = short_pages(2, 0);
        let all = futures_util::future::join_all((0..5).map(|_| read(&client))).await;
        assert_eq!(all, [2; 5]);
        assert_eq!(requests.lock().unwrap().len(), 10);
    }

    #[tokio::test]
    async fn items_that_come_again_do_not_make_a_list_go_on() {
        let (client, requests) = short_pages(2, 1);
        assert_eq!((read(&client).await, read(&client).await), (2, 2));
        assert_eq!(requests.lock().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn a_server_that_caps_below_the_limit_it_states_loses_nothing() {
        let (client, requests) = short_pages(7, 0);
        let all = futures_util::future::join_all((0..5).map(|_| read(&client))).await;
        assert_eq!(all, [7; 5]);
        // Four pages and the empty one that ends a list, and one to be sure.
        assert_eq!(requests.lock().unwrap().len(), 5 * 5 + 1);
    }

    #[tokio::test]
    async fn an_error_with_a_good_status_is_asked_again_and_no_end() {
        let (url, _) = serve(|number, _, connection| {
            let body = if number == 0 { r#"{"code":500}"# } else { r#"{"limit":10,"data":[1]}"# };
            respond(connection, 200, "", body);
        });
        assert_eq!(read(&client(url, 0.001)).await, 1);
        let (url, requests) = serve(|_, _, connection| respond(connection, 200, "", "{}"));
        let filter = EventFilter { room: "r", ..EventFilter::default() };
        let answer = client(url, 0.001).analytics_events::<&RawValue, _>(&filter, |_| ()).await;
        assert!(matches!(answer.unwrap_err().problem, Problem::Unreadable(_)));
        assert_eq!(requests.lock().unwrap().len(), 6);
    }
}
