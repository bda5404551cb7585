//! What is left to read, in pieces that a saved state can hold.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use crate::api::ListFilter;

/// A piece of what is left to read, exactly as it stands in a saved state.
///
/// ```text
///   after                                  before
///     [  items created here belong to it     )        newest first: a page at `before`, the next older
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Slice {
    /// Which of the stream's lists it belongs to.
    pub list: String,
    /// Which part of that list it is.
    pub scope: Scope,
    /// The token of the next page; unset means the first.
    pub token: Option<String>,
    /// Only the page at `token`: another slice holds what follows.
    pub is_single_page: bool,
    /// Of a single page: the token that followed it. Read again, the page may begin with what was not there yet, or
    /// hold fewer items, and then it goes on up to here; to the end of the list, when it was the last page.
    pub ends_at: Option<String>,
}

/// Which part of a list a slice is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// Items created in a period of time.
    Window(Window),
    /// What belongs to a room.
    Room(String),
    /// What belongs to a session of a room.
    Session {
        /// The room.
        room: String,
        /// The session.
        session: String,
        /// With the errors of the room, whatever session they belong to.
        with_errors: bool,
    },
    /// The item with this id.
    Item(String),
    /// Items whose id is below this one: older ones, because ids begin with their creation time.
    Below(String),
}

/// A period of time; unset ends are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Items created at or after.
    pub after: Option<Timestamp>,
    /// Items created before.
    pub before: Option<Timestamp>,
}

impl Window {
    /// Everything created at or after `after`.
    pub fn since(after: Timestamp) -> Self {
        Self { after: Some(after), before: None }
    }

    /// Whether an item created at `created` belongs to this window.
    ///
    /// Only the upper bound is checked: the API's bounds are inclusive, and the item at a cut is the
    /// newer piece's. The lower bound is left to the API, in case it compares another time (a session's
    /// start, say, which is later than its creation): an item that both pieces drop would be lost.
    pub fn takes(&self, created: Timestamp) -> bool {
        self.before.is_none_or(|before| created < before)
    }

    /// The smallest window that holds both.
    fn joined(self, other: Self) -> Self {
        // An open end stays open: `None` is the smallest `after` and the largest `before`.
        let before = self.before.zip(other.before).map(|(one, other)| one.max(other));
        Self { after: self.after.min(other.after), before }
    }
}

impl Slice {
    /// A part of `list`, from its first page on.
    pub fn new(list: &str, scope: Scope) -> Self {
        Self { list: list.into(), scope, token: None, is_single_page: false, ends_at: None }
    }

    /// All of `list`.
    pub fn whole(list: &str) -> Self {
        Self::new(list, Scope::Whole)
    }

    /// What was created at or after `after`.
    pub fn since(list: &str, after: Timestamp) -> Self {
        Self::new(list, Scope::Window(Window::since(after)))
    }

    /// The rest of this slice after a page, or nothing when that was the last.
    pub fn rest(&self, next: Option<String>) -> Option<Self> {
        next.map(|next| Self { token: Some(next), ..self.clone() })
    }

    /// The single page of this slice, which was followed by `rest`.
    pub fn page_before(&self, rest: Option<&Self>) -> Self {
        let followed = rest.and_then(|rest| match &rest.scope {
            Scope::Below(id) => Some(id),
            _ => rest.token.as_ref(),
        });
        Self { is_single_page: true, ends_at: followed.or(self.ends_at.as_ref()).cloned(), ..self.clone() }
    }

    /// What is left of a single page that was read again and is followed by `rest` this time.
    pub fn left_of_page(&self, rest: Option<Self>) -> Option<Self> {
        rest.filter(|rest| rest.token != self.ends_at && !self.is_past_its_end(rest))
    }

    /// Where a list is read downwards by id, newest first, whoever has come below the end has passed it.
    fn is_past_its_end(&self, rest: &Self) -> bool {
        let (Some(from), Some(token), Some(end)) = (&self.token, &rest.token, &self.ends_at) else { return false };
        from.len() == token.len() && token.len() == end.len() && from > token && token < end
    }

    /// The period of time, which is open at both ends for all but a window.
    pub fn window(&self) -> Window {
        match self.scope {
            Scope::Window(window) => window,
            _ => Window::default(),
        }
    }

    /// What to ask the API for: this slice, with `flag` said explicitly.
    pub fn filter(&self, flag: bool) -> ListFilter<'_> {
        let Window { after, before } = self.window();
        ListFilter {
            flag: Some(flag),
            after: after.map(Timestamp::to_filter),
            before: before.map(Timestamp::to_filter),
            ..self.page()
        }
    }

    /// What to ask a list without filters for.
    pub fn page(&self) -> ListFilter<'_> {
        ListFilter { start: self.token.as_deref(), ..ListFilter::default() }
    }

    /// What 100ms gave it and a saved state would hold: its page tokens and its ids.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let ids = match &self.scope {
            Scope::Whole | Scope::Window(_) => [None, None],
            Scope::Room(id) | Scope::Item(id) | Scope::Below(id) => [Some(id), None],
            Scope::Session { room, session, .. } => [Some(room), Some(session)],
        };
        ids.into_iter().chain([self.token.as_ref(), self.ends_at.as_ref()]).flatten().map(String::as_str)
    }

    /// The slice that holds both, when both are windows of one list, or pages of it: what it reads again is allowed,
    /// what neither held is not in between when the two are neighbours.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let is_window = |slice: &Self| matches!(slice.scope, Scope::Window(_) | Scope::Whole);
        (self.list == other.list && is_window(self) && is_window(other))
            .then(|| Self::new(&self.list, Scope::Window(self.window().joined(other.window()))))
    }
}

/// The form of a slice in a saved state: flat, and what is unset is left out.
#[derive(Serialize, Deserialize)]
struct Saved {
    list: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    errors: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    single: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

/// The list whose `start` was an id to go on below, in states of version 0.1.0.
const LATE: &str = "late";

impl From<Saved> for Slice {
    fn from(saved: Saved) -> Self {
        let (below, token) = match (saved.below, saved.start) {
            (None, Some(start)) if saved.list == LATE => (Some(start), None),
            (below, start) => (below, start),
        };
        let scope = match (saved.room, saved.session, saved.item.map(Scope::Item).or(below.map(Scope::Below))) {
            (Some(room), Some(session), _) => Scope::Session { room, session, with_errors: saved.errors },
            (Some(room), None, _) => Scope::Room(room),
            (None, _, Some(scope)) => scope,
            (None, _, None) if saved.after.is_some() || saved.before.is_some() => {
                Scope::Window(Window { after: saved.after, before: saved.before })
            }
            (None, _, None) => Scope::Whole,
        };
        Self { list: saved.list, scope, token, is_single_page: saved.single, ends_at: saved.end }
    }
}

impl From<Slice> for Saved {
    fn from(slice: Slice) -> Self {
        let Window { after, before } = slice.window();
        let errors = matches!(slice.scope, Scope::Session { with_errors: true, .. });
        let (room, session, below, item) = match slice.scope {
            Scope::Session { room, session, .. } => (Some(room), Some(session), None, None),
            Scope::Room(room) => (Some(room), None, None, None),
            Scope::Below(id) => (None, None, Some(id), None),
            Scope::Item(id) => (None, None, None, Some(id)),
            Scope::Whole | Scope::Window(_) => (None, None, None, None),
        };
        let (start, single, end) = (slice.token, slice.is_single_page, slice.ends_at);
        Self { list: slice.list, room, session, errors, after, before, below, item, start, single, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn the_item_at_a_cut_is_the_newer_pieces() {
        let older = Window { after: None, before: Some(at(5)) };
        let newer = Window::since(at(5));
        assert!(!older.takes(at(5)) && newer.takes(at(5)));
        assert!(older.takes(at(4)));
        // Not dropped: the API may have compared another time than the creation.
        assert!(newer.takes(at(4)));
    }

    #[test]
    fn states_of_the_first_version_are_read() {
        let read = |json: &str| serde_json::from_str::<Slice>(json).unwrap();
        assert_eq!(read(r#"{"list":"late","start":"66aa"}"#), Slice::new("late", Scope::Below("66aa".into())));
        assert_eq!(read(r#"{"list":"enabled","room":"r"}"#), Slice::new("enabled", Scope::Room("r".into())));
        let window = read(r#"{"list":"ended","after":"2024-01-01T00:00:00.000000Z","start":"x"}"#);
        let expected = Slice::since("ended", Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
        assert_eq!(window, expected.rest(Some("x".into())).unwrap());
    }

    #[test]
    fn every_scope_survives_being_saved() {
        for scope in [
            Scope::Whole,
            Scope::Window(Window { after: Some(at(1)), before: Some(at(2)) }),
            Scope::Window(Window { after: None, before: Some(at(2)) }),
            Scope::Room("r".into()),
            Scope::Session { room: "r".into(), session: "s".into(), with_errors: false },
            Scope::Session { room: "r".into(), session: "s".into(), with_errors: true },
            Scope::Below("b".into()),
            Scope::Item("i".into()),
        ] {
            let slice = Slice {
                token: Some("t".into()),
                is_single_page: true,
                ends_at: Some("e".into()),
                ..Slice::new("late", scope)
            };
            // Only a `late` list of the first version has a token without `below`.
            let slice =
                if matches!(slice.scope, Scope::Below(_)) { slice } else { Slice { list: "a".into(), ..slice } };
            let saved = serde_json::to_string(&slice).unwrap();
            assert_eq!(serde_json::from_str::<Slice>(&saved).unwrap(), slice, "{saved}");
        }
    }

    #[test]
    fn neighbours_join_into_what_holds_both() {
        let older = Slice::new("a", Scope::Window(Window { after: Some(at(1)), before: Some(at(5)) }));
        let newer = Slice::since("a", at(5)).rest(Some("x".into())).unwrap();
        assert_eq!(older.joined(&newer), Some(Slice::since("a", at(1))));
        assert_eq!(newer.joined(&older), Some(Slice::since("a", at(1))));
        assert_eq!(older.joined(&Slice::whole("a")), Some(Slice::new("a", Scope::Window(Window::default()))));
        assert_eq!(older.joined(&Slice::whole("b")), None);
        assert_eq!(older.joined(&Slice::new("a", Scope::Room("r".into()))), None);
    }
}
