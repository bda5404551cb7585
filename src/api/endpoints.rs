//! What can be asked: lists by page, and one method for everything else.
//!
//! Each takes a closure that shapes the answer while its text is still there, inside the try: an answer
//! that turns out to be unreadable is asked for again. What an item looks like is the caller's to say.

use serde::de::IgnoredAny;

use super::answers::{Answer, Keyed, Members, PeersAnswer, PresignedUrl, Raw, WebhookAnswer};
use super::client::{Client, Notice};
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

/// Which deliveries to the webhook to ask for.
#[derive(Debug, Clone)]
pub struct WebhookFilter {
    /// Beginning and end, both included, as RFC 3339: from at most 30 days ago, and for at most 14 days. When
    /// unset, the last 24 h.
    pub period: Option<(String, String)>,
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
}

impl Client {
    /// A page of deliveries to the workspace's webhook, in no documented order; `None` where there is no history,
    /// presumably because the workspace has no webhook.
    pub async fn webhook_events<A: Answer, R>(
        &self,
        filter: &WebhookFilter,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Option<WebhookPage<R>>, ApiError> {
        // Which events are on a page depends on its size: an answer that is too large cannot be asked for in parts.
        let mut query = vec![("limit", filter.limit.to_string()), ("page", filter.page.to_string())];
        if let Some((after, before)) = &filter.period {
            query.extend([("start_time", after.clone()), ("end_time", before.clone())]);
        }
        let answer = self.get(Get::one_of("analytics/webhooks", query), |body| {
            let page: WebhookAnswer<A::Of<'_>> = serde_json::from_str(body)?;
            let has_next = page.pagination.has_next.unwrap_or(page.events.len() as u64 >= filter.limit);
            // An empty page ends the list whatever it says.
            let has_next = has_next && !page.events.is_empty();
            Ok(WebhookPage { content: shape(page.events), has_next, total: page.pagination.total_items })
        });
        match filter.page {
            1 => self.or_absent(answer.await),
            // Where a page was, there is a history.
            _ => answer.await.map(Some),
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
        let get = Get::one_of("analytics/peer-stats", query);
        self.or_absent(self.get(get, |body| Ok(shape(serde_json::from_str(body)?))).await)
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
        let get = Get::one(&pattern, id);
        self.or_absent(self.get(get, |body| Ok(shape(serde_json::from_str(body)?))).await)
    }

    /// Who is in a room now. A room nobody is in answers 404 or holds no peers: both are empty.
    pub async fn active_room_peers<A: Answer, R>(
        &self,
        room: &str,
        shape: impl for<'a> Fn(Keyed<'a, A::Of<'a>>) -> R,
    ) -> Result<R, ApiError> {
        let get = Get::one("active-rooms/{id}/peers", room);
        let answer = self.get(get, |body| {
            let answer: PeersAnswer<Members<'_, A::Of<'_>>> = serde_json::from_str(body)?;
            Ok(shape(answer.peers.map(|members| members.0).unwrap_or_default()))
        });
        Ok(self.or_absent(answer.await)?.unwrap_or_else(|| shape(Vec::new())))
    }

    /// One of the documents below a template (`settings`, `destinations` or `recordings`) as it came;
    /// `None` when the template is gone.
    pub async fn template_part<R>(
        &self,
        template: &str,
        part: &str,
        shape: impl Fn(Raw<'_>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let pattern = format!("templates/{{id}}/{part}");
        let get = Get::one(&pattern, template);
        self.or_absent(self.get(get, |body| Ok(shape(serde_json::from_str(body)?))).await)
    }

    /// A link to the file of an asset; `None` when 100ms no longer has the file.
    ///
    /// What is answered then is not documented: 404 and 410 say it, and 400 is the vendor's only other
    /// refusal that speaks of the request rather than of the credentials.
    pub async fn presigned_url(&self, asset: &str) -> Result<Option<String>, ApiError> {
        let get = Get::one("recording-assets/{id}/presigned-url", asset);
        let read = |body: &str| match serde_json::from_str::<PresignedUrl>(body)?.url {
            Some(url) if url.contains('\0') => Err(Unreadable::NotUtf8("the link")),
            url => Ok(url),
        };
        match self.get(get, read).await {
            Err(error) if matches!(error.status(), Some(400 | 410)) => Ok(None),
            answer => Ok(self.or_absent(answer)?.flatten().filter(|url| !url.is_empty())),
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
        let get = Get::list("analytics/events", PAGE_SIZE, query);
        let endpoint = get.endpoint();
        let page = self.get(get, |body| {
            let page = EventPage::<A::Of<'_>>::read(body)?;
            Ok(Page { content: shape(page.events), next: page.next })
        });
        refuse_repeated_page(page.await?, filter.start, endpoint)
    }

    fn or_absent<R>(&self, answer: Result<R, ApiError>) -> Result<Option<R>, ApiError> {
        match answer {
            Err(error) if error.is_not_found() => {
                (self.shared.listener)(Notice::Skipped { endpoint: error.endpoint });
                Ok(None)
            }
            answer => answer.map(Some),
        }
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

    use serde_json::value::RawValue;

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
