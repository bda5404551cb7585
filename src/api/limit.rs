//! One limit on requests. It does nothing until a 429 puts it into force, and it is lifted when it has no effect any
//! more.
//!
//! A 429 starts a pause. After it, one request is in flight, and each success allows one more, up to half of what was
//! refused. From there on, each round of successes allows one more (TCP calls this slow start).
//!
//! A pace is set only when refusals come again, because a single 429 says nothing about a rate. It is computed from
//! what was accepted between the first and the last of them. The pace doubles every second until it is refused, falls
//! back, and then grows by two percent a second until it is refused again.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::Policy;

/// Requests in flight right after a pause: one finds out whether the limit is still there.
const AFTER_PAUSE: usize = 1;
/// From fewer successes than this no pace is set, nor given up as unfelt.
const SAMPLES: u32 = 20;
/// A refused pace is cut to this part of it, and the first pace is this part of what was accepted.
const CUT: f64 = 0.9;
/// How much faster a second later, before the first refusal of a pace and after it.
const DOUBLING: f64 = 2.0;
const CREEPING: f64 = 1.02;
/// This long without a refusal, in seconds, a limit has changed: refusals before that no longer count,
/// and a pace doubles again.
const QUIET: f64 = 30.0;

/// What holds a request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    /// A pause, or the pace.
    Until(Instant),
    /// As many requests are in flight as may be.
    Full,
}

impl Hold {
    /// What holds back a request that two limits apply to.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Until(one), Self::Until(other)) => Self::Until(one.max(other)),
            (Self::Until(moment), _) | (_, Self::Until(moment)) => Self::Until(moment),
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// A limit on the requests to one endpoint, or to all.
pub(super) struct Limit {
    workers: usize,
    time_scale: f64,
    in_flight: usize,
    /// How many may be in flight.
    most: usize,
    /// From here on each success no longer lets one more in flight, but each round of them.
    threshold: usize,
    /// Successes since one more was let.
    in_round: usize,
    paused_until: Instant,
    /// When it was last refused. A 429 of a request sent before that belongs to the same refusal.
    refused_at: Option<Instant>,
    /// Refusals without a success in between; spaces the pauses.
    in_a_row: u32,
    /// When the first of the recent refusals came, and the successes since.
    recent: Option<(Instant, u32)>,
    pace: Option<Pace>,
}

/// Requests per second.
struct Pace {
    per_second: f64,
    growth: Growth,
    grown_at: Instant,
    next_turn: Instant,
    /// Successes since the pace last held a request back.
    unfelt: u32,
}

#[derive(Clone, Copy)]
enum Growth {
    /// From this pace, which was accepted.
    Doubling(f64),
    Creeping,
}

impl Limit {
    pub(super) fn new(workers: usize, time_scale: f64) -> Self {
        Self {
            workers,
            time_scale,
            in_flight: 0,
            most: workers,
            threshold: workers,
            in_round: 0,
            paused_until: Instant::now(),
            refused_at: None,
            in_a_row: 0,
            recent: None,
            pace: None,
        }
    }

    /// Requests per second, when there is a pace.
    pub(super) fn pace(&self) -> Option<f64> {
        self.pace.as_ref().map(|pace| pace.per_second)
    }

    /// What holds a request back at `now`.
    pub(super) fn hold(&mut self, now: Instant) -> Hold {
        if self.paused_until > now {
            return Hold::Until(self.paused_until);
        }
        // Without a limit in force, the bound for all is the only one.
        if self.most < self.workers && self.in_flight >= self.most {
            return Hold::Full;
        }
        match &mut self.pace {
            Some(pace) if pace.next_turn > now => {
                pace.unfelt = 0;
                Hold::Until(pace.next_turn)
            }
            _ => Hold::Nothing,
        }
    }

    /// A request is sent at `now`.
    pub(super) fn take(&mut self, now: Instant) {
        self.in_flight += 1;
        if let Some(pace) = &mut self.pace {
            pace.next_turn = now + Duration::from_secs_f64(1.0 / pace.per_second);
        }
    }

    /// A request is over.
    pub(super) fn give_back(&mut self) {
        self.in_flight -= 1;
    }

    /// Notes a success: more requests may be in flight, and the pace grows.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.in_a_row = 0;
        self.in_round += 1;
        if self.most < self.workers && (self.most < self.threshold || self.in_round >= self.most) {
            self.most += 1;
            self.in_round = 0;
        }
        if let Some((_, successes)) = &mut self.recent {
            *successes += 1;
        }
        let is_quiet = self.is_quiet(now);
        let Some(pace) = &mut self.pace else { return };
        if is_quiet && matches!(pace.growth, Growth::Creeping) {
            pace.growth = Growth::Doubling(pace.per_second);
        }
        // At most a second's growth for a success: what is not used proves nothing.
        let seconds = (now.saturating_duration_since(pace.grown_at).as_secs_f64() / self.time_scale).min(1.0);
        pace.grown_at = pace.grown_at.max(now);
        pace.per_second *= match pace.growth {
            Growth::Doubling(_) => DOUBLING.powf(seconds),
            Growth::Creeping => CREEPING.powf(seconds),
        };
        pace.unfelt += 1;
        if pace.unfelt >= SAMPLES {
            (self.pace, self.recent) = (None, None);
        }
    }

    /// Notes a 429 of a request sent at `sent_at`, and pauses for what it `named` or for a backoff.
    /// Returns the pause.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        sent_at: Instant,
        named: Option<Duration>,
        policy: &Policy,
    ) -> Duration {
        let is_new = self.refused_at.is_none_or(|refused_at| sent_at >= refused_at);
        if is_new {
            self.in_a_row += 1;
        }
        let wait = match named {
            // A server that goes on refusing after the wait it named (none, maybe) is asked less often.
            Some(named) if self.in_a_row > 2 => named.max(policy.backoff(self.in_a_row - 2)),
            Some(named) => named,
            // The others have already begun to wait.
            None if !is_new && self.paused_until > now => return self.paused_until.saturating_duration_since(now),
            None => Duration::from_secs(1) + policy.backoff(self.in_a_row),
        };
        let wait = policy.scale(wait);
        if is_new {
            self.set_pace(now, now + wait);
            self.refused_at = Some(now);
            self.threshold = self.most / 2;
            self.most = AFTER_PAUSE;
        }
        self.paused_until = self.paused_until.max(now + wait);
        wait
    }

    /// Sets the pace that follows a pause which ends when it `resumes`.
    fn set_pace(&mut self, now: Instant, resumes: Instant) {
        if self.is_quiet(now) {
            self.recent = None;
        }
        let (since, successes) = *self.recent.get_or_insert((now, 0));
        let (per_second, growth) = match &self.pace {
            Some(Pace { per_second, growth: Growth::Doubling(from), .. }) => {
                (from.min(per_second * CUT), Growth::Creeping)
            }
            Some(Pace { per_second, growth: Growth::Creeping, .. }) => (per_second * CUT, Growth::Creeping),
            None if successes < SAMPLES => return,
            None => {
                let accepted = f64::from(successes) / now.duration_since(since).as_secs_f64().max(0.001);
                (accepted * CUT, Growth::Doubling(accepted * CUT))
            }
        };
        self.pace = Some(Pace { per_second, growth, grown_at: resumes, next_turn: resumes, unfelt: 0 });
    }

    /// Whether the last refusal is so long ago that the limit may be another one now.
    fn is_quiet(&self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.paused_until).as_secs_f64() / self.time_scale;
        self.refused_at.is_some() && seconds > QUIET
    }
}
