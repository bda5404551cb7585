//! What is asked: a path below `/v2` and its query.

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::endpoints::SMALL_PAGE;
use super::envelope::Form;

/// A GET below `/v2`.
pub(super) struct Get<'a> {
    /// The path, with `{id}` where the id stands, such as `templates/{id}/settings`.
    pub(super) pattern: &'a str,
    id: Option<&'a str>,
    /// Of a list: items a page. Less is asked for when an answer is too large.
    limit: Option<u64>,
    /// The other pairs of the query, escaped when the URL is built.
    query: Vec<(&'a str, String)>,
    /// What the answer looks like.
    pub(super) form: &'static Form,
    /// Another pair, which is made when the request is sent.
    late: Option<Late<'a>>,
    /// Once this endpoint has been limited, one request is made at a time.
    pub(super) is_cautious: bool,
}

/// Makes a pair of the query that depends on when the request is sent, by the clock of 100ms.
pub(super) type Late<'a> = &'a (dyn Fn(DateTime<Utc>) -> (&'static str, String) + Send + Sync);

impl<'a> Get<'a> {
    /// One thing, or what belongs to it.
    pub(super) fn one(pattern: &'a str, id: &'a str) -> Self {
        Self {
            pattern,
            id: Some(id),
            limit: None,
            query: Vec::new(),
            form: &Form::ITEM,
            late: None,
            is_cautious: false,
        }
    }

    /// A page of a list.
    pub(super) fn list(pattern: &'a str, limit: u64, query: Vec<(&'a str, String)>) -> Self {
        Self { pattern, id: None, limit: Some(limit), query, form: &Form::PAGE, late: None, is_cautious: false }
    }

    /// One thing that the query names.
    pub(super) fn one_of(pattern: &'a str, query: Vec<(&'a str, String)>) -> Self {
        Self { pattern, id: None, limit: None, query, form: &Form::ITEM, late: None, is_cautious: false }
    }

    /// Whose answer looks like this.
    pub(super) fn with(self, form: &'static Form) -> Self {
        Self { form, ..self }
    }

    /// The same with a pair that is made when it is sent.
    pub(super) fn with_late(self, late: Late<'a>) -> Self {
        Self { late: Some(late), ..self }
    }

    /// The same, not side by side with others once the endpoint has been limited.
    pub(super) fn cautious(self) -> Self {
        Self { is_cautious: true, ..self }
    }

    fn segments(&self) -> impl Iterator<Item = &'a str> {
        let id = self.id;
        self.pattern.split('/').map(move |segment| id.filter(|_| segment == "{id}").unwrap_or(segment))
    }

    /// Whether the id can stand in a path: `..` would ask for another one.
    pub(super) fn is_askable(&self) -> bool {
        !matches!(self.id, Some("" | "." | ".."))
    }

    /// The path, for people.
    pub(super) fn endpoint(&self) -> String {
        self.segments().fold("/v2".to_owned(), |path, segment| path + "/" + segment)
    }

    /// The URL at `now`, by the clock of 100ms.
    pub(super) fn url(&self, api_url: &Url, now: DateTime<Utc>) -> Url {
        let mut url = api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v2").extend(self.segments());
        }
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let late = self.late.map(|late| late(now));
        if limit.is_some() || !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(limit).extend_pairs(&self.query).extend_pairs(late);
        }
        url
    }

    /// Whether this is a page of a list, and no smaller one can be asked for.
    pub(super) fn is_smallest_page(&self) -> bool {
        self.limit.is_some_and(|limit| limit <= SMALL_PAGE)
    }

    /// Asks for the next smaller page; false when this is not a list, or when there is no smaller page.
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
        assert_eq!(url(Get::one("recordings/{id}", "a/b?c")), "https://api.example/v2/recordings/a%2Fb%3Fc");
        let list = Get::list("analytics/events", 100, vec![("room_id", "a&b".into())]);
        assert_eq!(list.endpoint(), "/v2/analytics/events");
        assert_eq!(url(list), "https://api.example/v2/analytics/events?limit=100&room_id=a%26b");
    }

    #[test]
    fn no_id_leads_to_another_path() {
        let is_askable = |id| Get::one("templates/{id}/settings", id).is_askable();
        assert!(["", ".", ".."].iter().all(|id| !is_askable(id)));
        assert!(["...", "a", "%2e%2e"].iter().all(|id| is_askable(id)));
        let url =
            Get::one("templates/{id}/settings", "%2e%2e").url(&"https://api.example".parse().unwrap(), Utc::now());
        assert_eq!(url.path(), "/v2/templates/%252e%252e/settings");
    }

    #[test]
    fn pages_shrink_step_by_step() {
        let mut list = Get::list("sessions", 100, Vec::new());
        let limits: Vec<_> = std::iter::from_fn(|| list.ask_for_less().then_some(list.limit)).flatten().collect();
        assert_eq!(limits, [50, 25, SMALL_PAGE]);
        assert!(!Get::one("recordings/{id}", "a").ask_for_less());
    }
}
