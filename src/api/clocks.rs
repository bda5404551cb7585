//! Two clocks: the server's, which its `Date` headers show, and this machine's.
//!
//! Neither can be trusted alone, so what must not be too late goes by the earlier one, and what 100ms judges by its
//! own clock goes by the server's.

use chrono::{DateTime, TimeDelta, Utc};

use crate::seams;

/// Clocks that differ by more than this are worth a word. `Date` has whole seconds, and answers travel.
const NOTABLE: TimeDelta = TimeDelta::seconds(10);

/// The times of the two clocks at the same moment: when an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The server's `Date`; `None` when it was missing or unreadable.
    pub server: Option<DateTime<Utc>>,
    pub local: DateTime<Utc>,
}

impl Clocks {
    /// How far the server's clock is ahead of this machine's, when they differ by more than 10 s.
    pub fn skew(&self) -> Option<TimeDelta> {
        differ(self.server?.signed_duration_since(self.local), TimeDelta::zero())
    }

    /// The time at 100ms now, when these are the clocks at the last answer.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let local = seams::now();
        self.server.map_or(local, |server| server + local.signed_duration_since(self.local))
    }

    /// The earlier of the two, where the server's is known by this answer or by one `before`.
    pub(super) fn earlier(&self, before: Option<Self>) -> DateTime<Utc> {
        let server = self.server.or_else(|| before?.server);
        server.map_or(self.local, |server| server.min(self.local))
    }
}

/// A date for a sentence.
pub fn day(date: DateTime<Utc>) -> String {
    date.format("%-d %B %Y at %H:%M UTC").to_string()
}

/// `skew`, when it differs from the `other` by more than clocks of one time may.
pub(super) fn differ(skew: TimeDelta, other: TimeDelta) -> Option<TimeDelta> {
    let difference = skew.checked_sub(&other).unwrap_or(TimeDelta::MAX);
    (difference.abs() > NOTABLE).then_some(skew)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_earlier_of_the_two_clocks_is_known() {
        for (server, earlier) in [(Some(at(90)), at(90)), (Some(at(110)), at(100)), (None, at(100))] {
            assert_eq!(Clocks { server, local: at(100) }.earlier(None), earlier);
        }
        let [before, without_date] = [Some(at(70)), None].map(|server| Clocks { server, local: at(100) });
        assert_eq!(without_date.earlier(Some(before)), at(70));
    }

    #[test]
    fn only_a_notable_difference_is_a_skew() {
        let skew = |server: i64| Clocks { server: Some(at(server)), local: at(100) }.skew();
        assert_eq!([skew(110), skew(90)], [None, None]);
        assert_eq!([skew(111), skew(70)], [Some(TimeDelta::seconds(11)), Some(TimeDelta::seconds(-30))]);
        assert_eq!(Clocks { server: None, local: at(100) }.skew(), None);
    }
}
