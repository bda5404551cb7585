//! Two clocks: the server's, as its `Date` headers tell it, and this machine's.
//!
//! Neither can be trusted alone, so what must not be too late goes by the earlier one, and what 100ms
//! judges by its own clock goes by the server's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::seams;

/// Clocks that differ by more than this are worth a word. `Date` has whole seconds, and answers travel.
const NOTABLE: TimeDelta = TimeDelta::seconds(10);

/// What the two clocks said at the same moment: when an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The server's `Date`; `None` when it was missing or unreadable.
    pub server: Option<DateTime<Utc>>,
    /// This machine's clock.
    pub local: DateTime<Utc>,
}

impl Clocks {
    /// How far the server's clock is ahead of this machine's, when they differ by more than 10 s.
    pub fn skew(&self) -> Option<TimeDelta> {
        differ(self.server?.signed_duration_since(self.local), TimeDelta::zero())
    }

    /// What 100ms' clock says by now, when these are the clocks at the last answer.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let local = seams::now();
        self.server.map_or(local, |server| server + local.signed_duration_since(self.local))
    }

    /// The earlier of the two.
    fn earlier(&self) -> DateTime<Utc> {
        self.server.map_or(self.local, |server| server.min(self.local))
    }
}

/// `skew`, when it differs from the `other` by more than clocks of one time may.
pub(super) fn differ(skew: TimeDelta, other: TimeDelta) -> Option<TimeDelta> {
    let difference = skew.checked_sub(&other).unwrap_or(TimeDelta::MAX);
    (difference.abs() > NOTABLE).then_some(skew)
}

/// What has been learnt of the clocks from the answers so far.
#[derive(Default)]
pub(super) struct Observed(Mutex<Readings>);

#[derive(Default, Clone, Copy)]
struct Readings {
    /// At the first answer with status 200: what a refusing gateway says of the time proves nothing.
    began: Option<DateTime<Utc>>,
    last: Option<Clocks>,
}

impl Observed {
    /// Notes the clocks of an answer.
    pub(super) fn note(&self, clocks: Clocks, is_ok: bool) {
        let mut readings = self.lock();
        readings.last = Some(clocks);
        if is_ok {
            readings.began.get_or_insert(clocks.earlier());
        }
    }

    /// The earlier clock at the first answer with status 200.
    pub(super) fn began(&self) -> Option<DateTime<Utc>> {
        self.lock().began
    }

    /// The clocks at the last answer.
    pub(super) fn last(&self) -> Option<Clocks> {
        self.lock().last
    }

    fn lock(&self) -> MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_sync_begins_at_the_earlier_clock_of_the_first_good_answer() {
        for (server, began) in [(Some(at(90)), at(90)), (Some(at(110)), at(100)), (None, at(100))] {
            let observed = Observed::default();
            observed.note(Clocks { server: Some(at(10)), local: at(20) }, false);
            assert_eq!(observed.began(), None);
            observed.note(Clocks { server, local: at(100) }, true);
            observed.note(Clocks { server: Some(at(50)), local: at(101) }, true);
            assert_eq!(observed.began(), Some(began));
            assert_eq!(observed.last().unwrap().local, at(101));
        }
    }

    #[test]
    fn only_a_notable_difference_is_a_skew() {
        let skew = |server: i64| Clocks { server: Some(at(server)), local: at(100) }.skew();
        assert_eq!([skew(110), skew(90)], [None, None]);
        assert_eq!([skew(111), skew(70)], [Some(TimeDelta::seconds(11)), Some(TimeDelta::seconds(-30))]);
        assert_eq!(Clocks { server: None, local: at(100) }.skew(), None);
    }
}
