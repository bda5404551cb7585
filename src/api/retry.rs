//! Whether a failed request deserves another try, and when.
//!
//! [`Retry`] decides and does nothing: it is told how a try ended and answers what to do next. Together
//! with the limiter it is the only place of the crate where a request waits.

use std::time::Duration;

use super::error::{GaveUp, Problem};

/// How long and how often to try.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Tries of one request, the first included. A 429 does not count: the server told us to come back.
    pub tries: u32,
    /// The first backoff is drawn from zero to this, the next from zero to twice as much, and so on.
    pub first_wait: Duration,
    /// No backoff is longer. A wait the server names is obeyed up to `patience`.
    pub longest_wait: Duration,
    /// One request is given up when its tries and what it waited after failed ones took this long. What it
    /// queued before it was sent does not count.
    pub patience: Duration,
    /// Whether a 429 is waited for. Else the caller decides what to do about it.
    pub waits_for_limits: bool,
    /// Without a byte for this long, an answer is given up.
    pub silence: Duration,
    /// No answer may take longer, whatever trickles in.
    pub longest_answer: Duration,
    /// Multiplies every wait; below 1 in tests, so that a bad day passes in seconds.
    pub time_scale: f64,
}

/// A connection to a host that has never answered is tried this often at most.
const TRIES_OF_A_SILENT_HOST: u32 = 4;

impl Policy {
    /// For a sync: six tries in about a minute and a half, and an hour for a server that says "later".
    pub fn patient() -> Self {
        Self {
            tries: 6,
            first_wait: Duration::from_secs(4),
            longest_wait: Duration::from_secs(60),
            patience: Duration::from_secs(3600),
            waits_for_limits: true,
            silence: Duration::from_secs(60),
            longest_answer: Duration::from_secs(600),
            time_scale: 1.0,
        }
    }

    /// For `check` and `discover`: somebody is watching a form.
    pub fn brisk() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            waits_for_limits: false,
            silence: Duration::from_secs(20),
            longest_answer: Duration::from_secs(60),
            ..Self::patient()
        }
    }

    /// The same policy with every wait multiplied.
    pub fn scaled(self, time_scale: f64) -> Self {
        Self { time_scale, ..self }
    }

    /// `wait` on this policy's clock.
    pub(super) fn scale(&self, wait: Duration) -> Duration {
        scaled(wait, self.time_scale)
    }

    /// The wait before the next try, after `failures`: exponential with full jitter. Not scaled.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest_wait).mul_f64(fastrand::f64())
    }
}

/// `wait` times `factor`. Never panics, and never gives a wait that a clock cannot hold: longer than a
/// year is a year.
pub(super) fn scaled(wait: Duration, factor: f64) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(YEAR).min(YEAR)
}

/// A refusal of a token that has worked is asked about more often than another fault: where one answer in five is
/// such a refusal, one request in 15,000 would be refused six times in a row, and a sync has thousands.
const MORE_TRIES_OF_WHAT_WORKED: u32 = 2;

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

/// What is known of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// It has answered something, so it exists: a broken connection is likely to come back.
    HasAnswered,
    /// Nothing has been heard of it. Its address may be wrong, and somebody may be waiting to be told so.
    IsSilent,
}

/// What to do after a failed try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send it again after this wait.
    Wait(Duration),
    /// Send it again when the limiter lets it: the pause is not this request's alone.
    Pause,
    /// Do not send it again.
    GiveUp(GaveUp),
}

impl<'p> Retry<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self { policy, tries: 0, limited: 0, unauthorized: 0, spent: Duration::ZERO }
    }

    /// Decides after a try that took `took`, was sent to this `host`, and ended with `problem`; `has_worked` says whether
    /// a token was accepted earlier (for a 403: by this endpoint).
    pub(super) fn after(&mut self, problem: &Problem, took: Duration, has_worked: bool, host: Host) -> Decision {
        self.tried(took);
        let patience = self.policy.scale(self.policy.patience);
        let named = match problem {
            Problem::Refused { retry_after, .. } => retry_after.map(|named| self.policy.scale(named)),
            _ => None,
        };
        let decision = match problem {
            Problem::Refused { status: 401 | 403, .. } => self.after_unauthorized(has_worked),
            _ if !problem.is_retryable() => Decision::GiveUp(GaveUp::NotRetryable),
            Problem::Refused { status: 429, .. } if !self.policy.waits_for_limits => {
                Decision::GiveUp(GaveUp::NotRetryable)
            }
            // Giving up at once keeps a wait that nobody can sit out from holding the others back.
            Problem::Refused { retry_after: Some(wait), .. } if named > Some(patience) => {
                Decision::GiveUp(GaveUp::WaitTooLong(*wait))
            }
            Problem::Refused { status: 429, .. } => {
                self.limited += 1;
                Decision::Pause
            }
            Problem::NotSent(_) | Problem::Proxy { .. } if host == Host::IsSilent => {
                self.again(Duration::ZERO, self.policy.tries.min(TRIES_OF_A_SILENT_HOST))
            }
            _ => self.again(named.unwrap_or_default(), self.policy.tries),
        };
        match decision {
            Decision::Wait(wait) if self.spent.saturating_add(wait) > patience => {
                Decision::GiveUp(GaveUp::PatienceExhausted)
            }
            Decision::Pause if self.spent > patience => Decision::GiveUp(GaveUp::PatienceExhausted),
            decision => decision,
        }
    }

    /// The longer of what the server named and the backoff: a server in trouble that names no time, or
    /// one that has passed, is not asked six times in a blink.
    fn again(&self, named: Duration, tries: u32) -> Decision {
        let failures = self.tries - self.limited;
        if failures >= tries {
            return Decision::GiveUp(GaveUp::TriesExhausted);
        }
        Decision::Wait(named.max(self.policy.scale(self.policy.backoff(failures))))
    }

    /// A token that never worked gets one more try, so that a missing permission is told soon.
    fn after_unauthorized(&mut self, has_worked: bool) -> Decision {
        self.unauthorized += 1;
        let tries = if has_worked { self.policy.tries + MORE_TRIES_OF_WHAT_WORKED } else { 2 };
        match self.unauthorized {
            refused if refused >= tries => Decision::GiveUp(GaveUp::TriesExhausted),
            1 => Decision::Wait(Duration::ZERO),
            refused => Decision::Wait(self.policy.scale(self.policy.backoff(refused - 1))),
        }
    }

    /// Counts a try.
    pub(super) fn tried(&mut self, took: Duration) {
        self.tries += 1;
        self.spend(took);
    }

    /// Notes time that this request spent.
    pub(super) fn spend(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(time);
    }

    /// Waits.
    pub(super) async fn wait(&mut self, wait: Duration) {
        self.spend(wait);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Host::{HasAnswered, IsSilent};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(status: u16, retry_after: Option<Duration>) -> Problem {
        Problem::Refused { status, message: String::new(), retry_after }
    }

    /// All decisions about a request that ends the same way each time, up to the last.
    fn decisions(policy: &Policy, problem: &Problem, took: Duration, has_worked: bool) -> Vec<Decision> {
        let mut retry = Retry::new(policy);
        let mut decisions = Vec::new();
        loop {
            let decision = retry.after(problem, took, has_worked, HasAnswered);
            if let Decision::Wait(wait) = decision {
                retry.spend(wait);
            }
            decisions.push(decision);
            if matches!(decisions.last(), Some(Decision::GiveUp(_))) || decisions.len() > 5_000 {
                return decisions;
            }
        }
    }

    #[test]
    fn backoff_doubles_with_full_jitter_up_to_its_limit() {
        let policy = Policy::patient();
        for (failures, most) in [(1, 4), (2, 8), (3, 16), (5, 60), (60, 60)] {
            let waits: Vec<Duration> = (0..200).map(|_| policy.backoff(failures)).collect();
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(most)));
            assert!(waits.iter().any(|wait| *wait > Duration::from_secs(most) / 2), "no jitter upwards");
            assert!(waits.iter().any(|wait| *wait < Duration::from_secs(most) / 2), "no jitter downwards");
        }
    }

    #[test]
    fn what_passes_is_tried_six_times() {
        let policy = Policy::patient();
        for problem in [Problem::NoAnswer("reset".into()), Problem::TooSlow(SECOND), refused(503, None)] {
            let decisions = decisions(&policy, &problem, SECOND, true);
            assert_eq!(decisions.len(), 6);
            assert_eq!(decisions[5], Decision::GiveUp(GaveUp::TriesExhausted));
        }
    }

    #[test]
    fn a_host_that_never_answered_is_given_up_sooner() {
        let tries = |policy: &Policy, problem: &Problem, host: Host| {
            let mut retry = Retry::new(policy);
            while retry.after(problem, SECOND, false, host) != Decision::GiveUp(GaveUp::TriesExhausted) {}
            retry.tries
        };
        let unsent = Problem::NotSent("refused".into());
        assert_eq!(tries(&Policy::patient(), &unsent, HasAnswered), 6);
        assert_eq!(tries(&Policy::patient(), &unsent, IsSilent), 4);
        assert_eq!(tries(&Policy::brisk(), &unsent, IsSilent), 3);
        assert_eq!(tries(&Policy::patient(), &Problem::NoAnswer("reset".into()), IsSilent), 6);
    }

    #[test]
    fn what_stays_is_tried_once() {
        for problem in [refused(400, None), Problem::Certificate("unknown".into()), Problem::TooLarge(1)] {
            let decisions = decisions(&Policy::patient(), &problem, SECOND, true);
            assert_eq!(decisions, [Decision::GiveUp(GaveUp::NotRetryable)]);
        }
    }

    #[test]
    fn a_named_wait_lengthens_the_backoff_and_never_replaces_it() {
        let policy = Policy::patient();
        let waits = |named| {
            let problem = refused(503, Some(named));
            let sum = |decisions: Vec<Decision>| -> Duration {
                decisions.iter().map(|decision| if let Decision::Wait(wait) = decision { *wait } else { SECOND }).sum()
            };
            (0..50).map(|_| sum(decisions(&policy, &problem, Duration::ZERO, true))).collect::<Vec<_>>()
        };
        assert!(waits(Duration::ZERO).iter().all(|wait| *wait > 3 * SECOND), "an outage of 2 s is survived");
        assert!(waits(20 * SECOND).iter().all(|wait| *wait >= 100 * SECOND));
    }

    #[test]
    fn no_named_wait_is_too_long_to_compute_with() {
        let longest = refused(503, Some(Duration::MAX));
        for scale in [0.001, 1.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
            let policy = Policy::patient().scaled(scale);
            let mut retry = Retry::new(&policy);
            retry.spend(Duration::MAX);
            let decision = retry.after(&longest, Duration::MAX, true, HasAnswered);
            assert!(matches!(decision, Decision::GiveUp(_)), "{scale}: {decision:?}");
            assert!(tokio::time::Instant::now().checked_add(policy.scale(Duration::MAX)).is_some());
        }
    }

    #[test]
    fn a_wait_beyond_patience_is_a_reason_of_its_own() {
        let policy = Policy::patient();
        for status in [429, 503] {
            let wait = Duration::from_secs(20_000);
            let decisions = decisions(&policy, &refused(status, Some(wait)), SECOND, true);
            assert_eq!(decisions, [Decision::GiveUp(GaveUp::WaitTooLong(wait))]);
        }
    }

    #[test]
    fn patience_ends_what_is_limited_for_ever() {
        let policy = Policy::patient();
        let decisions = decisions(&policy, &refused(429, Some(SECOND)), SECOND, true);
        assert_eq!(decisions.last(), Some(&Decision::GiveUp(GaveUp::PatienceExhausted)));
        assert_eq!(decisions.len(), 3601, "a second for each try");
    }

    #[test]
    fn limits_do_not_use_up_the_tries() {
        let policy = Policy::patient();
        let mut retry = Retry::new(&policy);
        for _ in 0..20 {
            assert_eq!(retry.after(&refused(429, None), SECOND, true, HasAnswered), Decision::Pause);
        }
        for _ in 0..5 {
            assert!(matches!(retry.after(&refused(500, None), SECOND, true, HasAnswered), Decision::Wait(_)));
        }
        let last = retry.after(&refused(500, None), SECOND, true, HasAnswered);
        assert_eq!(last, Decision::GiveUp(GaveUp::TriesExhausted));
    }

    #[test]
    fn a_token_that_has_worked_gets_more_tries_than_one_that_never_did() {
        for status in [401, 403] {
            let tries = |has_worked| decisions(&Policy::patient(), &refused(status, None), SECOND, has_worked);
            assert_eq!(tries(false), [Decision::Wait(Duration::ZERO), Decision::GiveUp(GaveUp::TriesExhausted)]);
            let tries = tries(true);
            assert_eq!(tries.len(), 8);
            assert_eq!(tries[0], Decision::Wait(Duration::ZERO));
            assert!(tries[1..7].iter().all(|decision| matches!(decision, Decision::Wait(_))));
        }
    }
}
