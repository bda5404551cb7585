//! What can be asked: lists by page, and one method for everything else.
//!
//! Each takes a closure that shapes the answer while its text is still there, inside the try: an answer
//! that turns out to be unreadable is asked for again. What an item looks like is the caller's to say.

use super::answers::{Answer, EventPage, Keyed, ListPage, Members, PeersAnswer, PresignedUrl, Raw};
use super::client::{Client, Notice};
use super::error::{ApiError, Problem};
use super::request::Get;

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

impl Client {
    /// A page of `list`.
    pub async fn list<A: Answer, R>(
        &self,
        list: List,
        filter: &ListFilter<'_>,
        shape: impl for<'a> Fn(Vec<A::Of<'a>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.page_of(list, filter, |body| items::<A, R>(body, &shape)).await
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
        match self.get(get, |body| Ok(serde_json::from_str::<PresignedUrl>(body)?.url)).await {
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
            let page: EventPage<A::Of<'_>> = serde_json::from_str(body)?;
            let next = page.next.filter(|next| !next.is_empty());
            Ok(Page { content: shape(page.events.unwrap_or_default()), next })
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

    /// A page of an id-paged list.
    async fn page_of<R>(
        &self,
        list: List,
        filter: &ListFilter<'_>,
        read: impl Fn(&str) -> Result<ListAnswer<R>, serde_json::Error>,
    ) -> Result<Page<R>, ApiError> {
        let asked = filter.limit.unwrap_or(PAGE_SIZE);
        let mut query: Vec<_> = filter.flag.map(|value| (list.flag, value.to_string())).into_iter().collect();
        query.extend(filter.after.clone().map(|after| ("after", after)));
        query.extend(filter.before.clone().map(|before| ("before", before)));
        query.extend(filter.start.map(|start| ("start", start.to_owned())));
        let get = Get::list(list.path, asked, query);
        let endpoint = get.endpoint();
        let answer = self.get(get, read).await?;
        // A page is short by the limit the server states, which may be smaller than what was asked.
        let ended = answer.items == 0 || answer.limit.is_some_and(|limit| answer.items < limit);
        let next = answer.last.filter(|last| !ended && !last.is_empty());
        refuse_repeated_page(Page { content: answer.content, next }, filter.start, endpoint)
    }
}

/// What a list page held, before it is decided whether it was the last.
struct ListAnswer<R> {
    content: R,
    items: u64,
    limit: Option<u64>,
    last: Option<String>,
}

fn items<'a, A: Answer, R>(
    body: &'a str,
    shape: impl Fn(Vec<A::Of<'a>>) -> R,
) -> Result<ListAnswer<R>, serde_json::Error> {
    let page: ListPage<A::Of<'a>> = serde_json::from_str(body)?;
    let data = page.data.unwrap_or_default();
    let items = data.len() as u64;
    Ok(ListAnswer { content: shape(data), items, limit: page.limit, last: page.last })
}

fn refuse_repeated_page<R>(page: Page<R>, start: Option<&str>, endpoint: String) -> Result<Page<R>, ApiError> {
    if page.next.is_none() || page.next.as_deref() != start {
        return Ok(page);
    }
    Err(repeated_token(endpoint))
}

/// The error of a list that hands out a page token twice.
pub fn repeated_token(endpoint: String) -> ApiError {
    ApiError::unsent(Problem::Inconsistent("a page has a token that an earlier page had".into()), endpoint)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_list_ends_for_the_documented_reasons_only() {
        let read = |body: &str| {
            let answer = items::<&RawValue, _>(body, |data| data.len()).unwrap();
            answer.items == 0 || answer.limit.is_some_and(|limit| answer.items < limit)
        };
        assert!(read(r#"{"limit":10,"data":null,"last":"x"}"#));
        assert!(read(r#"{"limit":10,"last":"x"}"#));
        assert!(read(r#"{"limit":2,"data":[{}],"last":"x"}"#));
        // The server may serve fewer than asked and say so: not the end.
        assert!(!read(r#"{"limit":1,"data":[{}],"last":"x"}"#));
        assert!(!read(r#"{"data":[{}],"last":"x"}"#));
    }
}
