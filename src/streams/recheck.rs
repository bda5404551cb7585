//! Items that following syncs look at again, because something about them was not finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::records::Timestamp;
use crate::seams::{self, locked};

/// How long a file that is not finished, or a missing link, is looked at again.
pub(super) const RECHECK: TimeDelta = TimeDelta::hours(72);
/// A state holds no more of them: about 8 KB.
const MOST: usize = 200;

/// Which items are looked at again, and until when.
///
/// What can be seen of an item when it is finished does not tell that it was not before. So the state names
/// those that were not, until a sync has seen them finished.
pub(super) struct Recheck {
    /// What the sync before has left.
    saved: BTreeMap<String, Timestamp>,
    /// What this sync has looked at, as far as it was saved or is not finished: until when it is looked at again because
    /// of its files, and because of its link.
    found: Mutex<BTreeMap<String, [Option<Timestamp>; 2]>>,
}

impl Recheck {
    /// Begins with what a state has saved.
    pub(super) fn of(saved: Option<&Value>) -> Self {
        let entry = |entry: &Value| {
            let until = Timestamp::from_micros(entry.get(1)?.as_i64()?.checked_mul(1_000_000)?);
            Some((entry.get(0)?.as_str()?.to_owned(), until))
        };
        let saved = saved.and_then(Value::as_array).into_iter().flatten();
        Self { saved: saved.filter_map(entry).collect(), found: Mutex::default() }
    }

    /// Until when the sync before wanted the item to be looked at.
    pub(super) fn until(&self, id: &str) -> Option<Timestamp> {
        self.saved.get(id).copied()
    }

    /// The saved ones with an id below this one.
    pub(super) fn below<'r>(&'r self, below: &'r str) -> impl Iterator<Item = &'r str> {
        self.saved.keys().map(String::as_str).take_while(move |id| *id < below)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.saved.is_empty()
    }

    /// Until when those are looked at again of which all stand in the state.
    pub(super) fn last(&self) -> Option<Timestamp> {
        // A state has a whole second more, and of those that share the last second, some may be missing.
        self.saved.values().max().map(|until| *until - TimeDelta::seconds(2))
    }

    /// Whether there may have been more than the state could hold.
    pub(super) fn is_full(&self) -> bool {
        self.saved.len() >= seams::memory(MOST)
    }

    /// Notes that the item has been looked at, and until when it is looked at again if it is not finished.
    pub(super) fn note(&self, id: &str, until: Option<Timestamp>) {
        if until.is_some() || self.saved.contains_key(id) {
            let mut found = locked(&self.found);
            let [because_of_files, _] = found.entry(id.to_owned()).or_default();
            *because_of_files = until.max(*because_of_files);
        }
    }

    /// Notes that the item has no link, which is asked for again until then.
    pub(super) fn note_link(&self, id: &str, until: Timestamp) {
        locked(&self.found).entry(id.to_owned()).or_default()[1] = Some(until);
    }

    /// What a state saves at the time `began`. As long as something is left to read, what has been seen may have to be
    /// read once more, and whether links can be had may not be known yet; in the end, those without a link are saved
    /// only where links can be had.
    pub(super) fn state(&self, is_finished: bool, began: Timestamp, links_work: bool) -> Value {
        let found = locked(&self.found);
        let saved = |id: &str| self.saved.get(id).copied().filter(|_| !is_finished || !found.contains_key(id));
        let latest = |id: &str| {
            let [files, link] = found.get(id).copied().unwrap_or_default();
            saved(id).max(files).max(link.filter(|_| links_work || !is_finished))
        };
        let ids: BTreeSet<&String> = self.saved.keys().chain(found.keys()).collect();
        let all = ids.into_iter().filter_map(|id| Some((id, latest(id)?)));
        let mut all: Vec<_> = all.filter(|(_, until)| !is_finished || *until > began).collect();
        all.sort_by_key(|(_, until)| *until);
        all.truncate(seams::memory(MOST));
        // A whole second more rather than less.
        all.into_iter().map(|(id, until)| json!([id, until.as_micros().div_euclid(1_000_000) + 1])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::parse("2024-05-01T00:00:00Z").unwrap() + TimeDelta::hours(hour)
    }

    fn ids(state: &Value) -> Vec<&str> {
        state.as_array().unwrap().iter().map(|entry| entry[0].as_str().unwrap()).collect()
    }

    #[test]
    fn an_item_is_looked_at_again_until_it_has_been_seen_finished_or_its_time_is_over() {
        let first = Recheck::of(None);
        first.note("a", Some(at(72)));
        first.note("b", Some(at(60)));
        first.note("c", Some(at(1)));
        first.note("d", None);
        let saved = first.state(true, at(2), true);
        assert_eq!(ids(&saved), ["b", "a"]);
        let next = Recheck::of(Some(&saved));
        assert!(next.until("a") >= Some(at(72)) && next.until("d").is_none() && !next.is_full());
        assert_eq!(next.below("b").collect::<Vec<_>>(), ["a"]);
        next.note("a", None);
        assert_eq!(ids(&next.state(false, at(3), true)), ["b", "a"], "it may have to be written once more");
        assert_eq!(ids(&next.state(true, at(3), true)), ["b"]);
        assert_eq!(ids(&next.state(true, at(61), true)), [""; 0]);
    }

    #[test]
    fn a_missing_link_is_asked_for_again_only_where_links_can_be_had() {
        let recheck = Recheck::of(None);
        recheck.note_link("a", at(72));
        recheck.note("b", Some(at(72)));
        assert_eq!(ids(&recheck.state(true, at(2), true)), ["a", "b"]);
        assert_eq!(ids(&recheck.state(true, at(2), false)), ["b"]);
        assert_eq!(ids(&recheck.state(false, at(2), false)), ["a", "b"], "the link of another item may still work");
    }

    #[test]
    fn a_state_holds_a_bounded_number_and_says_so() {
        let all = Recheck::of(None);
        for number in 0..1_000 {
            all.note(&format!("66321880f1f77bcf86cd{number:04}"), Some(at(number)));
        }
        let saved = all.state(true, at(0), true);
        let next = Recheck::of(Some(&saved));
        assert!(ids(&saved)[199].ends_with("0200"), "at 0, 0 is over");
        assert!(saved.to_string().len() < 8_300 && next.is_full() && next.last() < Some(at(200)));
    }

    #[test]
    fn nonsense_is_nothing_to_look_at() {
        for saved in [json!(5), json!({"a": 5}), json!([5, [], ["a"], [5, 5], ["a", "b"], ["a", i64::MAX]])] {
            assert!(Recheck::of(Some(&saved)).saved.is_empty(), "{saved}");
        }
    }
}
