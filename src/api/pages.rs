//! Pages of lists: what makes an answer one, and where a list ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::answers::Raw;
use super::transport::Unreadable;

/// A page of an id-paged list.
pub(super) struct ListPage<T> {
    pub(super) items: Vec<T>,
    /// How many items the server says a page has; `None` when it says nothing that makes sense.
    limit: Option<u64>,
    /// The token of the next page, which the last page may name, too.
    pub(super) last: Option<String>,
}

/// A page of analytics events.
pub(super) struct EventPage<T> {
    pub(super) events: Vec<T>,
    pub(super) next: Option<String>,
}

/// Where a page says that its list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nowhere: there are no items, or no token.
    End,
    Page(String),
    /// The page is shorter than the limit it states, which is the documented end, and yet it has a token.
    PerhapsEnd {
        /// The token.
        last: String,
        /// How many items the page has.
        items: u64,
    },
}

impl<'a, T: Deserialize<'a>> ListPage<T> {
    /// Reads a page. An answer with neither `limit` nor `data` is not a page, whatever its status: an end of the
    /// list that was only an error would lose the rest.
    pub(super) fn read(body: &'a str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct Form<'a, T> {
            #[serde(borrow)]
            limit: Raw<'a>,
            data: Option<Vec<T>>,
            #[serde(borrow)]
            last: Raw<'a>,
        }
        match serde_json::from_str(body)? {
            Form { limit: None, data: None, .. } => Err(Unreadable::NoPage),
            Form { limit, data, last } => {
                let items: Option<Vec<T>> = data;
                Ok(Self { items: items.unwrap_or_default(), limit: limit_of(limit), last: token(last)? })
            }
        }
    }

    /// Where the list goes on.
    pub(super) fn next(&mut self) -> Next {
        let items = self.items.len() as u64;
        match self.last.take() {
            Some(last) if items > 0 && self.limit.is_some_and(|limit| items < limit) => {
                Next::PerhapsEnd { last, items }
            }
            Some(last) if items > 0 => Next::Page(last),
            _ => Next::End,
        }
    }
}

impl<'a, T: Deserialize<'a>> EventPage<T> {
    /// Reads a page. As in other lists, an answer with neither `limit` nor `events` is not a page.
    pub(super) fn read(body: &'a str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct Form<'a, T> {
            #[serde(borrow)]
            limit: Raw<'a>,
            events: Option<Vec<T>>,
            #[serde(borrow)]
            next: Raw<'a>,
        }
        match serde_json::from_str(body)? {
            Form { limit: None, events: None, .. } => Err(Unreadable::NoPage),
            Form { events, next, .. } => {
                let events: Option<Vec<T>> = events;
                Ok(Self { events: events.unwrap_or_default(), next: token(next)? })
            }
        }
    }
}

/// A limit that says something: a number of items. Anything else is as good as absent.
fn limit_of(raw: Raw<'_>) -> Option<u64> {
    let limit: f64 = raw?.get().parse().ok()?;
    (1.0..=1e6).contains(&limit).then_some(limit as u64)
}

/// A token that leads somewhere. A number is read as its text.
fn token(raw: Raw<'_>) -> Result<Option<String>, Unreadable> {
    let Some(raw) = raw.map(|raw| raw.get()) else { return Ok(None) };
    let is_number = raw.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let token: String = if is_number { raw.to_owned() } else { serde_json::from_str(raw)? };
    if token.contains('\0') {
        return Err(Unreadable::NotUtf8("the token of the next page"));
    }
    Ok(Some(token).filter(|token| !token.is_empty()))
}

/// What is known of pages that are shorter than the limit they state: they end a list, as documented,
/// unless a server caps its pages below the limit it states.
#[derive(Default)]
pub(super) struct ShortPage {
    /// A page of so many items was the last of its list. So a smaller page is the last of its own, but a
    /// page of just as many need not be: that may be the server's cap.
    pub(super) most_items_at_an_end: u64,
    /// Items came behind a short page: such pages end no list.
    pub(super) goes_on: bool,
}

/// What is known of short pages, for each path.
#[derive(Default)]
pub(super) struct ShortPages(Mutex<HashMap<&'static str, Arc<tokio::sync::Mutex<ShortPage>>>>);

impl ShortPages {
    /// What is known of the list at `path`. Whoever asks first finds out, and the others wait.
    pub(super) fn of(&self, path: &'static str) -> Arc<tokio::sync::Mutex<ShortPage>> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lists.entry(path).or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn next(body: &str) -> Next {
        ListPage::<&RawValue>::read(body).unwrap().next()
    }

    #[test]
    fn a_list_ends_for_the_documented_reasons_only() {
        for end in [
            r#"{"limit":10,"data":null,"last":"x"}"#,
            r#"{"limit":10,"last":"x"}"#,
            r#"{"limit":10}"#,
            r#"{"data":[]}"#,
            r#"{"data":[],"last":"x"}"#,
            r#"{"limit":1,"data":[{}]}"#,
            r#"{"limit":1,"data":[{}],"last":null}"#,
            r#"{"limit":1,"data":[{}],"last":""}"#,
        ] {
            assert_eq!(next(end), Next::End, "{end}");
        }
        assert_eq!(next(r#"{"limit":2,"data":[{}],"last":"x"}"#), Next::PerhapsEnd { last: "x".into(), items: 1 });
        // The server may serve fewer than asked and say so: not the end.
        assert_eq!(next(r#"{"limit":1,"data":[{}],"last":"x"}"#), Next::Page("x".into()));
        assert_eq!(next(r#"{"data":[{}],"last":507}"#), Next::Page("507".into()));
    }

    #[test]
    fn an_answer_that_is_no_page_is_told_from_an_end() {
        let no_pages = ["{}", r#"{"code":500,"message":"sorry"}"#, r#"{"limit":null,"data":null,"last":"x"}"#];
        for body in no_pages {
            assert!(matches!(ListPage::<&RawValue>::read(body), Err(Unreadable::NoPage)), "{body}");
            assert!(matches!(EventPage::<&RawValue>::read(body), Err(Unreadable::NoPage)), "{body}");
        }
        for body in [
            "[]",
            "null",
            r#"{"limit":10,"data":{}}"#,
            r#"{"limit":10,"data":[],"last":{}}"#,
            r#"{"limit":10,"data":[],"last":"a\u0000"}"#,
        ] {
            assert!(ListPage::<&RawValue>::read(body).is_err(), "{body}");
        }
        let events = |body| EventPage::<&RawValue>::read(body).map(|page| (page.events.len(), page.next)).ok();
        assert_eq!(events(r#"{"limit":0,"total":0,"next":"","events":null}"#), Some((0, None)));
        assert_eq!(events(r#"{"events":[{}],"next":"x"}"#), Some((1, Some("x".into()))));
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_none() {
        let is_short =
            |limit: &str| next(&format!(r#"{{"limit":{limit},"data":[{{}}],"last":"x"}}"#)) != Next::Page("x".into());
        assert!(["2", "2.0", "1e2"].iter().all(|limit| is_short(limit)));
        assert!(
            !["0", "-1", "1e30", "\"2\"", "\"many\"", "true", "{}", "0.5", "1e999"].iter().any(|limit| is_short(limit))
        );
    }
}
