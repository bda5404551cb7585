//! What can be requested: one method for each kind of answer.
//!
//! Each method takes a closure that shapes the answer while its text is still there. It runs inside of a try, so an
//! answer that turns out to be unreadable is requested again.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::answers::{Answer, Keyed, Raw, members_of};
use super::client::{Client, Notice};
use super::endpoint::{Endpoint, SMALL_PAGE};
use super::envelope::{PageAnswer, items, limit, page_token, zero_id};
use super::error::{ApiError, Problem};
use super::request::Get;
use crate::seams::locked;

/// A page of a list: what the caller made of it, and how to go on.
#[derive(Debug)]
pub struct Page<R> {
    pub content: R,
    /// The token of the next page; `None` at the end of the list.
    pub next: Option<String>,
}

/// How far the webhook history reaches back. A request for more is refused.
const WEBHOOK_HISTORY: TimeDelta = TimeDelta::days(30);
/// How much of that is given up, for the time that a request is on its way.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(1);
/// How often a period is requested whose beginning became too old on the way all the same.
const TRIES_OF_A_PERIOD: u32 = 3;

/// A page of deliveries.
#[derive(Debug)]
pub struct WebhookPage<R> {
    /// What the caller made of it.
    pub content: R,
    pub has_next: bool,
    /// How many deliveries the period has, if the answer names it.
    pub total: Option<u64>,
    /// How many pages they are, if the answer names it.
    pub pages: Option<u64>,
    /// The beginning of the period that was requested.
    pub begins: DateTime<Utc>,
}

impl Client {
    /// The oldest moment of which the webhook history may be requested now.
    pub fn oldest_delivery(&self) -> DateTime<Utc> {
        self.now() - WEBHOOK_HISTORY + ON_ITS_WAY
    }

    /// The page with the `number` (from 1 on) of the deliveries to the workspace's webhook, in no documented order, with
    /// so many items at most; `None` where there is no history, presumably because the workspace has no webhook.
    ///
    /// The `period` has its beginning and its end, both included, at most 14 days apart; when unset, it is the last 24 h.
    /// A beginning that is too old when the request is sent is moved.
    pub async fn webhook_events<A: Answer, R>(
        &self,
        period: Option<(DateTime<Utc>, DateTime<Utc>)>,
        number: u64,
        limit: u64,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Option<WebhookPage<R>>, ApiError> {
        #[derive(Default, Deserialize)]
        struct Pagination {
            has_next: Option<bool>,
            total_items: Option<u64>,
            total_pages: Option<u64>,
        }
        let milliseconds = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // The wait for a rate limit may be long: what is too old is known when the request is sent, and not before.
        let begins = Mutex::new(DateTime::default());
        let start_time = |now: DateTime<Utc>| {
            let (after, _) = period?;
            let after = after.max(now - WEBHOOK_HISTORY + ON_ITS_WAY);
            *locked(&begins) = after;
            Some(("start_time", milliseconds(after)))
        };
        let read = |body: &str| {
            let page: PageAnswer<'_, A::Of<'_>> = serde_json::from_str(body)?;
            let Pagination { has_next, total_items: total, total_pages: pages } =
                page.pagination.map_or(Ok(Pagination::default()), |raw| serde_json::from_str(raw.get()))?;
            if page.events.is_none() && total.is_some_and(|total| total > 0) {
                return Err(Problem::Unreadable("a page without a list of items, although there are some".into()));
            }
            let events = items(page.events, page.limit.or(page.pagination))?;
            let has_next = has_next.unwrap_or(events.len() as u64 >= limit);
            if has_next && events.is_empty() {
                return Err(Problem::Unreadable("a page without items that says that more follow".into()));
            }
            Ok(Some(WebhookPage { content: shape(events), has_next, total, pages, begins: *locked(&begins) }))
        };
        // Which events are on a page depends on its size: an answer that is too large cannot be requested in parts.
        let get = Get::new(Endpoint::WEBHOOK_EVENTS)
            .with("limit", [limit])
            .with("page", [number])
            .with("end_time", period.map(|(_, ends)| milliseconds(ends)));
        let get = Get { late: Some(&start_time), ..get };
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = match number {
                1 => self.optional(get.clone(), &read).await,
                // Where a page was, there is a history.
                _ => self.get(get.clone(), &read).await,
            };
            let became_too_old = || period.is_some() && *locked(&begins) < self.now() - WEBHOOK_HISTORY;
            match answer {
                Err(error) if error.status() == Some(400) && tries < TRIES_OF_A_PERIOD && became_too_old() => {}
                answer => return answer,
            }
        }
    }

    /// A page of a list, or of events.
    pub async fn list<A: Answer, R>(
        &self,
        get: Get<'_>,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        let read = |body: &str| {
            let page: PageAnswer<'_, A::Of<'_>> = serde_json::from_str(body)?;
            if get.endpoint == Endpoint::EVENTS {
                // However few there are on a page: only the token says that they end.
                return Ok((shape(items(page.events, page.limit)?), page_token(page.next)?, None));
            }
            let (last, limit) = (page_token(page.last)?, limit(page.limit));
            let items = items(page.data, page.limit.or(zero_id(page.last)))?;
            let (last, count) = (last.filter(|_| !items.is_empty()), items.len() as u64);
            Ok((shape(items), last, limit.is_some_and(|limit| count < limit).then_some(count)))
        };
        let (content, mut next, short) = self.get(get.clone(), read).await?;
        if let (Some(last), Some(count)) = (next.as_deref(), short)
            && !get.is_probe
            && self.ends_at(&get, last, count).await
        {
            next = None;
        }
        Ok(Page { content, next })
    }

    /// Whether a list ends at a page of `count` items, which is shorter than its limit and yet names `last` as the token
    /// of the next page. That is the documented end, but a server may cap its pages below the limit it states, so the
    /// next page is requested once.
    async fn ends_at(&self, page: &Get<'_>, last: &str, count: u64) -> bool {
        let unknown = || Arc::new(tokio::sync::Mutex::new(Some(0)));
        let known = Arc::clone(locked(&self.shared.ends_below).entry(page.endpoint.path).or_insert_with(unknown));
        // Whoever comes first finds out, and the others wait.
        let mut ends_below = known.lock().await;
        match *ends_below {
            None => return false,
            Some(most) if count < most => return true,
            // A page of just as many items as another last one need not be the last: that may be the server's cap.
            Some(_) => {}
        }
        let further = Get { start: Some(last), limit: Some(SMALL_PAGE), ..page.clone() };
        let path = further.path();
        let read = |body: &str| {
            let page: PageAnswer<'_, IgnoredAny> = serde_json::from_str(body)?;
            // A page that ends where the one before it did repeats its items.
            let is_repeated = page_token(page.last)?.as_deref() == Some(last);
            Ok(is_repeated || items(page.data, page.limit.or(zero_id(page.last)))?.is_empty())
        };
        // Nothing is lost by requesting a page later that could not be had now.
        let Ok(ends) = self.get(further, read).await else { return false };
        *ends_below = ends.then_some(count);
        let so =
            if ends { "it is the last page" } else { "there are more items, so such a page does not end the list" };
        (self.shared.listener)(Notice::Debug(format!(
            "A page of `{path}` has fewer items than its limit and names a next page: {so}."
        )));
        ends
    }

    /// What an endpoint of one object answers; `None` when there is no such thing.
    pub async fn one<A: Answer, R>(
        &self,
        get: Get<'_>,
        shape: impl for<'a> Fn(A::Of<'a>) -> R,
    ) -> Result<Option<R>, ApiError> {
        self.optional(get, |body| Ok(serde_json::from_str::<Option<A::Of<'_>>>(body)?.map(&shape))).await
    }

    /// The peers in a room now, each with its key. A room that nobody is in has no peers, or answers with nothing:
    /// `None`.
    pub async fn active_room_peers<A: Answer, R>(
        &self,
        room: &str,
        shape: impl for<'a> Fn(Keyed<'a, A::Of<'a>>) -> R,
    ) -> Result<Option<R>, ApiError> {
        #[derive(Deserialize)]
        struct Peers<'a> {
            #[serde(borrow)]
            peers: Raw<'a>,
        }
        let read = |body: &str| {
            let answer: Option<Peers<'_>> = serde_json::from_str(body)?;
            answer.map(|answer| Ok(shape(members_of(answer.peers)?))).transpose()
        };
        self.optional(Get::of(Endpoint::ACTIVE_ROOM_PEERS, room), read).await
    }

    /// A link to the file of an asset; `None` when 100ms no longer has the file.
    ///
    /// What is answered then is not documented: 404 and 410 mean it, and 400 is the vendor's only other refusal that is
    /// about the request rather than the credentials.
    pub async fn presigned_url(&self, asset: &str) -> Result<Option<String>, ApiError> {
        #[derive(Deserialize)]
        struct Link {
            url: Option<String>,
        }
        let read = |body: &str| match serde_json::from_str::<Option<Link>>(body)? {
            Some(Link { url: Some(url) }) if url.contains('\0') => {
                Err(Problem::Unreadable("the link in it is not UTF-8".into()))
            }
            answer => Ok(answer),
        };
        match self.optional(Get::of(Endpoint::PRESIGNED_URL, asset), read).await {
            Err(error) if error.status() == Some(400) => Ok(None),
            answer => Ok(answer?.and_then(|link| link.url).filter(|url| !url.is_empty())),
        }
    }

    /// What `read` makes of the answer; `None` when 100ms answers that there is nothing.
    async fn optional<R>(
        &self,
        get: Get<'_>,
        read: impl Fn(&str) -> Result<Option<R>, Problem>,
    ) -> Result<Option<R>, ApiError> {
        let path = get.path();
        let answer = match self.get(get, read).await {
            Err(error) if error.is_not_found() => None,
            answer => answer?,
        };
        if answer.is_none() {
            self.skipped(path);
        }
        Ok(answer)
    }
}

/// The error of a list that hands out a page token twice.
pub fn repeated_token(endpoint: String) -> ApiError {
    ApiError::unsent(Problem::Inconsistent("a page repeats the token of an earlier page".into()), endpoint)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::endpoint::PAGE_SIZE;
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
            let get = Get { start: start.as_deref(), ..Get::page(Endpoint::ROOMS, Some(true)) };
            let page = client.list::<&RawValue, _>(get, |items| items.len()).await.unwrap();
            items += page.content;
            match page.next {
                Some(next) => start = Some(next),
                None => return items,
            }
        }
    }

    #[tokio::test]
    async fn a_list_ends_for_the_documented_reasons_only() {
        for (body, expected) in [
            (r#"{"limit":10,"data":null,"last":"x"}"#, None),
            (r#"{"limit":10,"last":"x"}"#, None),
            (r#"{"data":[],"last":"x"}"#, None),
            (r#"{"data":null,"last":"000000000000000000000000"}"#, None),
            (r#"{"limit":1,"data":[{}]}"#, None),
            (r#"{"limit":1,"data":[{}],"last":null}"#, None),
            (r#"{"limit":1,"data":[{}],"last":""}"#, None),
            // The page behind this one ends where it does.
            (r#"{"limit":2,"data":[{}],"last":"x"}"#, None),
            // The server may serve fewer than requested and say so: not the end.
            (r#"{"limit":1,"data":[{}],"last":"x"}"#, Some("x")),
            (r#"{"data":[{}],"last":507}"#, Some("507")),
        ] {
            let (url, _) = serve(move |_, _, connection| respond(connection, 200, "", body));
            let rooms = Get::page(Endpoint::ROOMS, Some(true));
            let page = client(url, 1.0).list::<&RawValue, _>(rooms, |_| ()).await.unwrap();
            assert_eq!(page.next.as_deref(), expected, "{body}");
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
        let events = Get::page(Endpoint::EVENTS, None).with("room_id", ["r"]);
        let answer = client(url, 0.001).list::<&RawValue, _>(events, |_| ()).await;
        assert!(matches!(answer.unwrap_err().problem, Problem::Unreadable(_)));
        assert_eq!(requests.lock().unwrap().len(), 6);
    }

    #[tokio::test]
    async fn a_page_of_the_webhook_history_that_lacks_its_events_is_no_page() {
        let read = async |total: u32| {
            let body = format!(r#"{{"pagination":{{"total_items":{total},"has_next":false}}}}"#);
            let (url, _) = serve(move |_, _, connection| respond(connection, 200, "", &body));
            client(url, 0.001).webhook_events::<&RawValue, _>(None, 1, PAGE_SIZE, |events| events.len()).await
        };
        assert_eq!(read(0).await.unwrap().unwrap().content, 0);
        assert!(matches!(read(3).await.unwrap_err().problem, Problem::Unreadable(_)));
    }
}
