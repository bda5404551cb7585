//! What is requested: a path below `/v2` and its query.

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::endpoint::{Endpoint, PAGE_SIZE, SMALL_PAGE};

/// A GET below `/v2`.
#[derive(Clone)]
pub struct Get<'a> {
    pub endpoint: Endpoint,
    /// Stands where the path has `{id}`.
    pub id: Option<&'a str>,
    /// Of a list: items a page. Less is requested when an answer is too large.
    pub limit: Option<u64>,
    /// The other pairs of the query, escaped when the URL is built.
    pub query: Vec<(&'static str, String)>,
    /// Of a list: the token to go on with.
    pub start: Option<&'a str>,
    /// Whether no further page will be requested, so that it does not matter whether the list goes on.
    pub is_probe: bool,
    /// One more pair of the query, made when the request is sent.
    pub late: Option<Late<'a>>,
}

/// Makes a pair of the query that depends on when the request is sent, by the clock of 100ms.
type Late<'a> = &'a (dyn Fn(DateTime<Utc>) -> Option<(&'static str, String)> + Send + Sync);

impl<'a> Get<'a> {
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, id: None, limit: None, query: Vec::new(), start: None, is_probe: false, late: None }
    }

    /// An item, or what belongs to it.
    pub fn of(endpoint: Endpoint, id: &'a str) -> Self {
        Self { id: Some(id), ..Self::new(endpoint) }
    }

    /// A page of a list. The `flag` is `active` of sessions and `enabled` of rooms: what unset means is not documented,
    /// so a list that has one always gets it.
    pub fn page(list: Endpoint, flag: Option<bool>) -> Self {
        Self { limit: Some(PAGE_SIZE), ..Self::new(list) }.with(list.flag, flag)
    }

    /// With one more pair in its query for each value.
    pub fn with(mut self, name: &'static str, values: impl IntoIterator<Item = impl ToString>) -> Self {
        self.query.extend(values.into_iter().map(|value| (name, value.to_string())));
        self
    }

    fn segments(&self) -> impl Iterator<Item = &'a str> {
        let id = self.id;
        self.endpoint.path.split('/').map(move |segment| id.filter(|_| segment == "{id}").unwrap_or(segment))
    }

    /// Whether the id can stand in a path: `..` would request another one.
    pub(super) fn has_good_id(&self) -> bool {
        !matches!(self.id, Some("" | "." | ".."))
    }

    /// The path, for people.
    pub(super) fn path(&self) -> String {
        self.segments().fold("/v2".to_owned(), |path, segment| path + "/" + segment)
    }

    /// The URL at `now`, by the clock of 100ms.
    pub(super) fn url(&self, api_url: &Url, now: DateTime<Utc>) -> Url {
        let mut url = api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v2").extend(self.segments());
        }
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let (start, late) = (self.start.map(|start| ("start", start)), self.late.and_then(|late| late(now)));
        if limit.is_some() || !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(limit).extend_pairs(&self.query).extend_pairs(start).extend_pairs(late);
        }
        url
    }

    /// Whether this is a page of a list, and no smaller one can be requested.
    pub(super) fn is_smallest_page(&self) -> bool {
        self.limit.is_some_and(|limit| limit <= SMALL_PAGE)
    }

    /// Makes this a request for the next smaller page; false when this is not a list, or when there is no smaller page.
    pub(super) fn ask_for_less(&mut self) -> bool {
        let smaller = [50, 25, SMALL_PAGE].into_iter().find(|smaller| self.limit.is_some_and(|limit| *smaller < limit));
        self.limit = smaller.or(self.limit);
        smaller.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_escaped() {
        let url = |get: Get<'_>| get.url(&"https://api.example/".parse().unwrap(), Utc::now()).to_string();
        assert_eq!(url(Get::of(Endpoint::RECORDING, "a/b?c")), "https://api.example/v2/recordings/a%2Fb%3Fc");
        let list = Get::page(Endpoint::RECORDING_ASSETS, None).with("room_id", ["a&b"]);
        assert_eq!(list.path(), "/v2/recording-assets");
        assert_eq!(url(list), "https://api.example/v2/recording-assets?limit=100&room_id=a%26b");
    }

    #[test]
    fn no_id_leads_to_another_path() {
        let is_good = |id| Get::of(Endpoint::TEMPLATE_SETTINGS, id).has_good_id();
        assert!(["", ".", ".."].iter().all(|id| !is_good(id)));
        assert!(["...", "a", "%2e%2e"].iter().all(|id| is_good(id)));
        let url =
            Get::of(Endpoint::TEMPLATE_SETTINGS, "%2e%2e").url(&"https://api.example".parse().unwrap(), Utc::now());
        assert_eq!(url.path(), "/v2/templates/%252e%252e/settings");
    }

    #[test]
    fn pages_shrink_step_by_step() {
        let mut list = Get::page(Endpoint::SESSIONS, Some(true));
        let limits: Vec<_> = std::iter::from_fn(|| list.ask_for_less().then_some(list.limit)).flatten().collect();
        assert_eq!(limits, [50, 25, SMALL_PAGE]);
        assert!(!Get::of(Endpoint::RECORDING, "a").ask_for_less());
    }
}
