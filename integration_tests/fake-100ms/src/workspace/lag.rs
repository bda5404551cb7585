//! What lists show of what was written: now, or only after a while.

use chrono::{DateTime, TimeDelta, Utc};

/// How late what is written shows in lists, as in a database whose copies follow one another.
///
/// Each object has a lag of its own, from none to the longest, so that a list can show what is new
/// and hide what is older. What the workspace began with shows at once.
#[derive(Clone, Copy)]
pub(crate) struct Lag {
    pub(crate) longest: TimeDelta,
    /// When the workspace began.
    pub(crate) since: DateTime<Utc>,
}

/// The lags are 0, 1, 2, 3 and 4 quarters of the longest.
const QUARTERS: u64 = 4;

impl Lag {
    pub(crate) fn is_none(&self) -> bool {
        self.longest.is_zero()
    }

    /// Whether a list shows at `now` what was written at `time` to the object with that number.
    pub(crate) fn shows(&self, number: u64, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let quarters = (number % (QUARTERS + 1)) as i32;
        time <= self.since || time + self.longest * quarters / QUARTERS as i32 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_show_at_once_and_all_of_them_in_the_end() {
        let since = DateTime::<Utc>::UNIX_EPOCH;
        let lag = Lag { longest: TimeDelta::minutes(4), since };
        let written = since + TimeDelta::minutes(10);
        let shown = |minutes| (0..5).filter(|n| lag.shows(*n, written, written + TimeDelta::minutes(minutes))).count();
        assert_eq!([0, 1, 2, 3, 4].map(shown), [1, 2, 3, 4, 5]);
        assert!((0..5).all(|number| lag.shows(number, since, since)));
    }
}
