//! When things happened: spread over two years, wider than any look-back, with bursts.

use chrono::TimeDelta;

use super::dice::Dice;
use super::model::Time;
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
        let mut dice = Dice::new(seed, "calendar");
        let long_ago = now - TimeDelta::days(5);
        let burst = |_| dice.time_between(now - HISTORY, long_ago);
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
    pub(crate) fn times(&self, dice: &mut Dice, count: usize) -> Vec<Time> {
        let share = (count * 3 / 100).clamp((count / 6).min(20), 400);
        let recent = self.lately.unwrap_or(share);
        let mut times: Vec<Time> = (0..count)
            .map(|number| match number {
                _ if number < recent => self.within_hours(dice, 0, 13),
                _ if number < 2 * recent => self.within_hours(dice, 13, 72),
                _ if !self.bursts.is_empty() && dice.chance(0.4) => self.in_a_burst(dice),
                _ => self.within_hours(dice, 72, HISTORY.num_hours()),
            })
            .collect();
        times.sort();
        times
    }

    /// From `from` hours to `to` hours ago, but at least a second ago.
    pub(crate) fn within_hours(&self, dice: &mut Dice, from: i64, to: i64) -> Time {
        let latest = self.just_now() - TimeDelta::hours(from);
        dice.time_between(self.now - TimeDelta::hours(to), latest)
    }

    /// Every third in the very same instant: one page of a list then knows a single time.
    fn in_a_burst(&self, dice: &mut Dice) -> Time {
        let burst = dice.pick(&self.bursts);
        if dice.chance(0.33) {
            return burst;
        }
        dice.time_between(burst, burst + TimeDelta::minutes(20))
    }
}
