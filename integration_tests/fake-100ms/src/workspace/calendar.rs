//! When things happened: spread over two years, wider than any look-back, with bursts.

use chrono::{SubsecRound, TimeDelta};

use super::model::Time;
use super::random::Random;
use crate::options::Counts;

const HISTORY: TimeDelta = TimeDelta::days(730);

/// Draws creation times up to the workspace's present.
pub(crate) struct Calendar {
    now: Time,
    /// Moments at which very much happened at once: a class that begins, an import.
    bursts: Vec<Time>,
    lately: Option<usize>,
}

impl Calendar {
    /// Without bursts everything is spread evenly, as a benchmark wants it.
    pub(crate) fn new(seed: u64, now: Time, counts: &Counts) -> Calendar {
        let mut random = Random::new(seed, "calendar");
        let long_ago = now - TimeDelta::days(5);
        let burst = |_| random.time_between(now - HISTORY, long_ago);
        Calendar { now, bursts: (0..if counts.varied { 7 } else { 0 }).map(burst).collect(), lately: counts.lately }
    }

    pub(crate) fn start(&self) -> Time {
        self.now - HISTORY
    }

    pub(crate) fn just_now(&self) -> Time {
        self.now - TimeDelta::seconds(1)
    }

    /// Ascending times: enough of them within the last 13 and 72 hours to matter, however small
    /// the workspace is, and most of them long before.
    pub(crate) fn times(&self, random: &mut Random, count: usize) -> Vec<Time> {
        let share = (count * 3 / 100).clamp((count / 6).min(20), 400);
        let recent = self.lately.unwrap_or(share);
        let mut times: Vec<Time> = (0..count)
            .map(|number| match number {
                _ if number < recent => self.within_hours(random, 0, 13),
                _ if number < 2 * recent => self.within_hours(random, 13, 72),
                _ if !self.bursts.is_empty() && random.chance(0.4) => self.in_a_burst(random),
                _ => self.within_hours(random, 72, HISTORY.num_hours()),
            })
            .collect();
        times.sort();
        times
    }

    /// Moves `count` of these ascending times, those in the middle, into one and the same second.
    pub(crate) fn crowd_into_a_second(times: &mut [Time], count: usize) {
        let count = count.min(times.len());
        let begins = (times.len() - count) / 2;
        let crowd = &mut times[begins..begins + count];
        let Some(second) = crowd.first().map(|time| time.trunc_subsecs(0)) else { return };
        for (number, time) in crowd.iter_mut().enumerate() {
            *time = second + TimeDelta::microseconds((number * 1_000_000 / count) as i64);
        }
        times.sort();
    }

    /// From `from` hours to `to` hours ago, but at least a second ago.
    pub(crate) fn within_hours(&self, random: &mut Random, from: i64, to: i64) -> Time {
        let latest = self.just_now() - TimeDelta::hours(from);
        random.time_between(self.now - TimeDelta::hours(to), latest)
    }

    /// Every third in the very same instant: one page of a list then knows a single time.
    fn in_a_burst(&self, random: &mut Random) -> Time {
        let burst = random.pick(&self.bursts);
        if random.chance(0.33) {
            return burst;
        }
        random.time_between(burst, burst + TimeDelta::minutes(20))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_crowd_comes_within_one_second() {
        let day = |number: i64| DateTime::from_timestamp(number * 86_400, 123_456_789).expect("a day in the 1970s");
        let mut times: Vec<Time> = (0..10).map(day).collect();
        Calendar::crowd_into_a_second(&mut times, 4);
        assert!(times.is_sorted());
        let in_the_second = times.iter().filter(|time| time.trunc_subsecs(0) == day(3).trunc_subsecs(0));
        assert_eq!(in_the_second.count(), 4);
        assert_eq!((times[0], times[2], times[7]), (day(0), day(2), day(7)));
    }
}
