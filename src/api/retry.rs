//! Whether a failed request deserves another try, and when.
//!
//! [`Retry`] only decides: it takes how a try ended and returns what to do next.

use std::time::Duration;

use super::error::Problem;

/// No backoff is longer. A wait that the server names is obeyed up to the policy's `max_elapsed`.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How long and how often to try.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Tries of one request, the first included. A 429 does not count: the server told us to come back.
    pub tries: u32,
    /// The first backoff is drawn from zero to this, the next from zero to twice as much, and so on.
    pub initial_backoff: Duration,
    /// One request is given up when its tries and what it waited after failed ones took this long. What it
    /// queued before it was sent does not count.
    pub max_elapsed: Duration,
    /// Whether a 429 is waited for. Else the caller decides what to do about it.
    pub waits_for_limits: bool,
    /// Without a byte for this long, an answer is given up.
    pub read_timeout: Duration,
    /// No answer may take longer, whatever trickles in.
    pub request_timeout: Duration,
    /// Multiplies every wait; below 1 in tests, so that a bad day passes in seconds.
    pub time_scale: f64,
}

impl Policy {
    /// For a sync: six tries in about a minute and a half, and an hour for a server that says "later".
    pub fn for_sync() -> Self {
        Self {
            tries: 6,
            initial_backoff: Duration::from_secs(4),
            max_elapsed: Duration::from_secs(3600),
            waits_for_limits: true,
            read_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(600),
            time_scale: 1.0,
        }
    }

    /// For `check` and `discover`: somebody is watching a form.
    pub fn for_check() -> Self {
        Self {
            tries: 3,
            initial_backoff: Duration::from_secs(1),
            max_elapsed: Duration::from_secs(60),
            waits_for_limits: false,
            read_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(60),
            ..Self::for_sync()
        }
    }

    /// `wait` on this policy's clock.
    pub(super) fn scale(&self, wait: Duration) -> Duration {
        scaled(wait, self.time_scale)
    }

    /// The wait before the next try, after `failures`: exponential with full jitter. Not scaled.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.initial_backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(LONGEST_BACKOFF).mul_f64(fastrand::f64())
    }
}

/// `wait` times `factor`. Never panics, and never gives a wait that a clock cannot hold: longer than a
/// year is a year.
pub(super) fn scaled(wait: Duration, factor: f64) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(YEAR).min(YEAR)
}

/// What one request has been through.
pub(super) struct Retry<'p> {
    policy: &'p Policy,
    /// How often it was sent.
    pub(super) tries: u32,
    /// How many of the tries ended with a 429.
    limited: u32,
    /// How many of the tries ended with a 401 or 403.
    unauthorized: u32,
    /// What its tries and the waits after them took.
    spent: Duration,
}

impl<'p> Retry<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self { policy, tries: 0, limited: 0, unauthorized: 0, spent: Duration::ZERO }
    }

    /// Decides after a try that took `took` and ended with `problem`, which deserves `tries` of its kind: how long to
    /// wait before the next one. After a 429 that is for the limiter to say, because the pause is not this request's
    /// alone.
    ///
    /// # Errors
    /// When there is no further try; with the wait that the server asked for, if that is the reason.
    pub(super) fn after(
        &mut self,
        problem: &Problem,
        took: Duration,
        tries: u32,
    ) -> Result<Duration, Option<Duration>> {
        self.tried(took);
        let (status, retry_after) = match problem {
            Problem::Refused { status, retry_after, .. } => (*status, *retry_after),
            _ => (0, None),
        };
        let (is_unauthorized, is_limited) = (matches!(status, 401 | 403), status == 429);
        if !(is_unauthorized || problem.is_retryable()) || is_limited && !self.policy.waits_for_limits {
            return Err(None);
        }
        let max_elapsed = self.policy.scale(self.policy.max_elapsed);
        let named = self.policy.scale(retry_after.unwrap_or_default());
        if named > max_elapsed {
            // A pause that nobody can sit out would hold the other requests back.
            return Err(retry_after);
        }
        self.limited += u32::from(is_limited);
        self.unauthorized += u32::from(is_unauthorized);
        let failures = if is_unauthorized { self.unauthorized } else { self.tries - self.limited - self.unauthorized };
        let wait = match failures {
            _ if is_limited => Duration::ZERO,
            failures if failures >= tries => return Err(None),
            1 if is_unauthorized => Duration::ZERO,
            // The longer of the two: a server in trouble that names no time, or one that has passed, is not asked six
            // times in a blink.
            failures => named.max(self.policy.scale(self.policy.backoff(failures))),
        };
        if self.spent.saturating_add(wait) > max_elapsed { Err(None) } else { Ok(wait) }
    }

    /// Counts a try.
    pub(super) fn tried(&mut self, took: Duration) {
        self.tries += 1;
        self.spend(took);
    }

    /// Adds to what this request took.
    pub(super) fn spend(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(status: u16, retry_after: Option<Duration>) -> Problem {
        Problem::Refused { status, message: String::new(), retry_after }
    }

    /// All decisions about a request that ends the same way each time, up to the last.
    fn decisions(policy: &Policy, problem: &Problem, took: Duration) -> Vec<Result<Duration, Option<Duration>>> {
        let mut retry = Retry::new(policy);
        let mut decisions = Vec::new();
        loop {
            let decision = retry.after(problem, took, policy.tries);
            decisions.push(decision);
            match decision {
                Ok(wait) if decisions.len() < 5_000 => retry.spend(wait),
                _ => return decisions,
            }
        }
    }

    #[test]
    fn backoff_doubles_with_full_jitter_up_to_its_limit() {
        let policy = Policy::for_sync();
        for (failures, most) in [(1, 4), (2, 8), (3, 16), (5, 60), (60, 60)] {
            let waits: Vec<Duration> = (0..200).map(|_| policy.backoff(failures)).collect();
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(most)));
            assert!(waits.iter().any(|wait| *wait > Duration::from_secs(most) / 2), "no jitter upwards");
            assert!(waits.iter().any(|wait| *wait < Duration::from_secs(most) / 2), "no jitter downwards");
        }
    }

    #[test]
    fn what_passes_is_tried_six_times() {
        let policy = Policy::for_sync();
        for problem in [Problem::NoAnswer("reset".into()), Problem::TooSlow(SECOND), refused(503, None)] {
            let decisions = decisions(&policy, &problem, SECOND);
            assert_eq!(decisions.len(), 6);
            assert_eq!(decisions[5], Err(None));
        }
    }

    #[test]
    fn what_stays_is_tried_once() {
        for problem in [refused(400, None), Problem::Certificate("unknown".into()), Problem::TooLarge(1)] {
            let decisions = decisions(&Policy::for_sync(), &problem, SECOND);
            assert_eq!(decisions, [Err(None)]);
        }
    }

    #[test]
    fn a_named_wait_lengthens_the_backoff_and_never_replaces_it() {
        let policy = Policy::for_sync();
        let waits = |named| {
            let problem = refused(503, Some(named));
            let sum = |decisions: Vec<Result<Duration, _>>| -> Duration {
                decisions.into_iter().map(|decision| decision.unwrap_or(SECOND)).sum()
            };
            (0..50).map(|_| sum(decisions(&policy, &problem, Duration::ZERO))).collect::<Vec<_>>()
        };
        assert!(waits(Duration::ZERO).iter().all(|wait| *wait > 3 * SECOND), "an outage of 2 s is survived");
        assert!(waits(20 * SECOND).iter().all(|wait| *wait >= 100 * SECOND));
    }

    #[test]
    fn no_named_wait_is_too_long_to_compute_with() {
        let longest = refused(503, Some(Duration::MAX));
        for scale in [0.001, 1.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
            let policy = Policy { time_scale: scale, ..Policy::for_sync() };
            let mut retry = Retry::new(&policy);
            retry.spend(Duration::MAX);
            let decision = retry.after(&longest, Duration::MAX, policy.tries);
            assert!(decision.is_err(), "{scale}: {decision:?}");
            assert!(tokio::time::Instant::now().checked_add(policy.scale(Duration::MAX)).is_some());
        }
    }

    #[test]
    fn a_wait_beyond_patience_is_a_reason_of_its_own() {
        let policy = Policy::for_sync();
        for status in [429, 503] {
            let wait = Duration::from_secs(20_000);
            let decisions = decisions(&policy, &refused(status, Some(wait)), SECOND);
            assert_eq!(decisions, [Err(Some(wait))]);
        }
    }

    #[test]
    fn patience_ends_what_is_limited_for_ever() {
        let policy = Policy::for_sync();
        let decisions = decisions(&policy, &refused(429, Some(SECOND)), SECOND);
        assert_eq!(decisions.last(), Some(&Err(None)));
        assert_eq!(decisions.len(), 3601, "a second for each try");
    }

    #[test]
    fn limits_do_not_use_up_the_tries() {
        let policy = Policy::for_sync();
        let mut retry = Retry::new(&policy);
        for _ in 0..20 {
            assert_eq!(retry.after(&refused(429, None), SECOND, policy.tries), Ok(Duration::ZERO));
        }
        for _ in 0..5 {
            assert!(retry.after(&refused(500, None), SECOND, policy.tries).is_ok());
        }
        let last = retry.after(&refused(500, None), SECOND, policy.tries);
        assert_eq!(last, Err(None));
    }

    #[test]
    fn a_refused_token_is_replaced_at_once_and_then_waits() {
        for status in [401, 403] {
            let decisions = decisions(&Policy::for_sync(), &refused(status, None), SECOND);
            assert_eq!(decisions.len(), 6);
            assert_eq!(decisions[0], Ok(Duration::ZERO));
            assert!(decisions[1..5].iter().all(Result::is_ok));
            assert_eq!(decisions[5], Err(None));
        }
    }

    #[test]
    fn a_fault_before_it_does_not_use_up_the_other_try_of_a_refused_token() {
        let policy = Policy::for_sync();
        let mut retry = Retry::new(&policy);
        assert!(retry.after(&refused(503, None), SECOND, 6).is_ok());
        assert_eq!(retry.after(&refused(401, None), SECOND, 2), Ok(Duration::ZERO));
        assert_eq!(retry.after(&refused(401, None), SECOND, 2), Err(None));
    }
}
