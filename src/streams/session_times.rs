//! When a session took place, by what 100ms says of it and of the people in it.

use chrono::TimeDelta;

use super::contract::Times;
use super::time::Timestamp;

/// A session's longest life, 12 h, and an hour for clocks and late writes.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(13);

/// When a session took place.
pub(super) struct SessionTimes {
    /// When the first person joined; the creation when nobody did.
    pub(super) started_at: Timestamp,
    /// When it ended, if it has.
    pub(super) stopped_at: Option<Timestamp>,
    /// The last change of anything in it.
    pub(super) changed: Timestamp,
    /// Until when a following sync has to look at it again.
    pub(super) settled: Timestamp,
}

impl SessionTimes {
    /// `times` and `ended_at` are the session's own; `stays` say when each person in it joined and left.
    pub(super) fn of(
        times: Times,
        ended_at: Option<Timestamp>,
        is_active: bool,
        stays: &[(Option<Timestamp>, Option<Timestamp>)],
    ) -> Self {
        let first_joined = stays.iter().filter_map(|(joined_at, _)| *joined_at).min();
        let last_moved = stays.iter().flat_map(|(joined_at, left_at)| [*joined_at, *left_at]).flatten().max();
        let last_moved = last_moved.unwrap_or(times.created).max(times.created);
        let all_left: Option<Vec<Timestamp>> = stays.iter().map(|(_, left_at)| *left_at).collect();
        let last_left = all_left.and_then(|left| left.into_iter().max());
        let started_at = first_joined.unwrap_or(times.created);
        let known = times.changed.max(last_moved);
        // 100ms closes a session some time after the last person without `left_at` has gone.
        let stopped_at = ended_at.or(last_left).unwrap_or(known).max(started_at);
        let changed = ended_at.map_or(known, |ended_at| ended_at.max(known));
        // 100ms gives no end, and `updated_at` has not moved since the last person did: nothing tells when it
        // ended, so it is looked at again as long as an earlier sync may have read it live.
        let has_undated_end = !is_active && ended_at.is_none() && times.changed <= last_moved;
        let settled = if has_undated_end { changed.max(times.created + LONGEST) } else { changed };
        Self { started_at, stopped_at: (!is_active).then_some(stopped_at), changed, settled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::parse("2024-05-01T10:00:00Z").unwrap() + TimeDelta::minutes(minute)
    }

    /// Of a session created at 0 and updated at 60: minutes from its beginning to its end.
    fn ends(ended_at: Option<i64>, stays: &[(Option<i64>, Option<i64>)]) -> i64 {
        let stays: Vec<_> = stays.iter().map(|(joined, left)| (joined.map(at), left.map(at))).collect();
        let times = SessionTimes::of(Times::new(at(0), at(60)), ended_at.map(at), false, &stays);
        let end = times.stopped_at.unwrap();
        assert!(end >= times.started_at);
        (end.seconds_since(at(0)) / 60.0) as i64
    }

    #[test]
    fn the_end_is_the_best_that_is_known() {
        let (left, stayed) = ((Some(1), Some(30)), (Some(2), None));
        assert_eq!(ends(Some(40), &[left, stayed]), 40, "100ms says it");
        assert_eq!(ends(None, &[left, (Some(2), Some(25))]), 30, "everybody has left");
        assert_eq!(ends(None, &[left, stayed]), 60, "somebody left when the session ended");
        assert_eq!(ends(None, &[(Some(1), Some(70)), stayed]), 70, "100ms has not touched it since");
        assert_eq!(ends(None, &[(Some(75), None)]), 75);
        assert_eq!(ends(None, &[]), 60);
        assert_eq!(ends(Some(5), &[(Some(10), None)]), 10, "never before it began");
        assert_eq!(ends(None, &[(Some(50), Some(20))]), 50);
    }

    #[test]
    fn an_end_without_a_date_is_looked_at_again_for_as_long_as_a_session_may_last() {
        let settled = |updated, ended_at: Option<i64>, is_active, stays: &[_]| {
            let stays: Vec<_> =
                stays.iter().map(|(joined, left): &(i64, Option<i64>)| (Some(at(*joined)), left.map(at))).collect();
            let times = SessionTimes::of(Times::new(at(0), at(updated)), ended_at.map(at), is_active, &stays);
            (times.settled.seconds_since(at(0)) / 60.0) as i64
        };
        assert_eq!(settled(0, None, false, &[]), 780);
        assert_eq!(settled(0, None, true, &[]), 0, "it is going on");
        assert_eq!(settled(0, Some(60), false, &[]), 60);
        assert_eq!(settled(20, None, false, &[(1, Some(20))]), 780);
        assert_eq!(settled(20, None, false, &[(1, Some(10)), (20, None)]), 780, "the last to move has joined");
        assert_eq!(settled(21, None, false, &[(1, Some(20))]), 21);
    }
}
