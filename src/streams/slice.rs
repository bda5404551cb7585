//! What is left to read, in pieces that a saved state can hold.

use serde::{Deserialize, Serialize};

use crate::api::{Endpoint, Get};
use crate::records::Timestamp;

/// A piece of what is left to read, exactly as it stands in a saved state.
///
/// ```text
///   after                                  before
///     [  items created here belong to it     )        newest first: a page at `before`, the next older
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which of the stream's phases it belongs to.
    #[serde(rename = "list")]
    pub phase: String,
    /// Which part of that phase's list it is.
    #[serde(flatten)]
    pub scope: Scope,
    /// The token of the next page; unset means the first.
    #[serde(rename = "start", skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Only the page at `token`: another slice holds what follows.
    #[serde(rename = "single", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_single_page: bool,
    /// Of a single page: the token that followed it. Read again, the page may begin with what was not there yet, or
    /// hold fewer items, and then it goes on up to here; to the end of the list, when it was the last page.
    #[serde(rename = "end", skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}

/// Which part of a list a slice is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scope {
    /// What belongs to a session of a room.
    Session { room: String, session: String },
    /// What belongs to a room.
    Room { room: String },
    /// The item with this id.
    Item { item: String },
    /// Items whose id is below this one: older ones, because ids begin with their creation time.
    Below { below: String },
    /// Items created in a period of time: all of them, when both ends are open.
    Window(Window),
}

impl Scope {
    /// Whether it is one of many things that are known before, such as a room or a template.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Room { .. } | Self::Session { .. } | Self::Item { .. })
    }
}

/// A period of time; unset ends are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Items created at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// Items created before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// A part of `phase`, from its first page on.
    pub fn new(phase: &str, scope: Scope) -> Self {
        Self { phase: phase.into(), scope, token: None, is_single_page: false, ends_at: None }
    }

    /// All of `phase`.
    pub fn whole(phase: &str) -> Self {
        Self::new(phase, Scope::Window(Window::default()))
    }

    /// What was created at or after `after`.
    pub fn since(phase: &str, after: Timestamp) -> Self {
        Self::new(phase, Scope::Window(Window::since(after)))
    }

    /// The rest of this slice after a page, or nothing when that was the last.
    pub fn rest(&self, next: Option<String>) -> Option<Self> {
        next.map(|next| Self { token: Some(next), ..self.clone() })
    }

    /// The single page of this slice, which was followed by `rest`.
    pub fn page_before(&self, rest: Option<&Self>) -> Self {
        let ends_at = rest.and_then(Self::goes_below).map(String::from).or_else(|| self.ends_at.clone());
        Self { is_single_page: true, ends_at, ..self.clone() }
    }

    /// The id below which it goes on, where a list is paged by id.
    pub fn goes_below(&self) -> Option<&str> {
        match &self.scope {
            Scope::Below { below } => Some(below),
            _ => self.token.as_deref(),
        }
    }

    /// What is left of a single page that was read again and is followed by `rest` this time. Only the token that
    /// followed it ends it: ids that descend by chance are no proof of a list's order.
    pub fn left_of_page(&self, rest: Option<Self>) -> Option<Self> {
        rest.filter(|rest| rest.goes_below() != self.ends_at.as_deref())
    }

    /// The period of time, which is open at both ends for all but a window.
    pub fn window(&self) -> Window {
        match self.scope {
            Scope::Window(window) => window,
            _ => Window::default(),
        }
    }

    /// The next page of this slice of a list, with its `flag`, if it has one. 100ms compares both times inclusively, with
    /// the creation of an item.
    pub fn page_of(&self, list: Endpoint, flag: Option<bool>) -> Get<'_> {
        let Window { after, before } = self.window();
        let [after, before] = [after, before].map(|time| time.map(Timestamp::to_filter));
        Get { start: self.token.as_deref(), ..Get::page(list, flag).with("after", after).with("before", before) }
    }

    /// What 100ms gave it and a saved state would hold: its page tokens and its ids.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let ids = match &self.scope {
            Scope::Window(_) => [None, None],
            Scope::Room { room: id } | Scope::Item { item: id } | Scope::Below { below: id } => [Some(id), None],
            Scope::Session { room, session } => [Some(room), Some(session)],
        };
        ids.into_iter().chain([self.token.as_ref(), self.ends_at.as_ref()]).flatten().map(String::as_str)
    }

    /// The slice that holds both, when both are windows of one list, or pages of it: what it reads again is allowed,
    /// what neither held is not in between when the two are neighbours.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        match (&self.scope, &other.scope) {
            (Scope::Window(one), Scope::Window(two)) if self.phase == other.phase => {
                Some(Self::new(&self.phase, Scope::Window(one.joined(*two))))
            }
            _ => None,
        }
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
        assert_eq!(read(r#"{"list":"enabled","room":"r"}"#), Slice::new("enabled", Scope::Room { room: "r".into() }));
        let window = read(r#"{"list":"ended","after":"2024-01-01T00:00:00.000000Z","start":"x"}"#);
        let expected = Slice::since("ended", Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
        assert_eq!(window, expected.rest(Some("x".into())).unwrap());
    }

    #[test]
    fn every_scope_survives_being_saved() {
        for scope in [
            Scope::Window(Window::default()),
            Scope::Window(Window { after: Some(at(1)), before: Some(at(2)) }),
            Scope::Window(Window { after: None, before: Some(at(2)) }),
            Scope::Room { room: "r".into() },
            Scope::Session { room: "r".into(), session: "s".into() },
            Scope::Below { below: "b".into() },
            Scope::Item { item: "i".into() },
        ] {
            let slice = Slice {
                token: Some("t".into()),
                is_single_page: true,
                ends_at: Some("e".into()),
                ..Slice::new("late", scope)
            };
            // Only a `late` list of the first version has a token without `below`.
            let slice =
                if matches!(slice.scope, Scope::Below { .. }) { slice } else { Slice { phase: "a".into(), ..slice } };
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
        assert_eq!(older.joined(&Slice::new("a", Scope::Room { room: "r".into() })), None);
    }
}
