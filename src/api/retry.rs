//! How long and how often to try.

use std::time::Duration;

/// How long and how often to try.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Tries of one request, the first included. A 429 does not count: the server told us to come back.
    pub tries: u32,
    /// The first backoff is drawn from zero to this, the next from zero to twice as much, and so on.
    pub first_wait: Duration,
    /// No backoff is longer. A wait the server names is obeyed up to `patience`.
    pub longest_wait: Duration,
    /// One request is given up after this time altogether.
    pub patience: Duration,
    /// Without a byte for this long, an answer is given up.
    pub silence: Duration,
    /// Multiplies every wait; below 1 in tests, so that a bad day passes in seconds.
    pub time_scale: f64,
}

impl Policy {
    /// For a sync: six tries in about a minute and a half, and an hour for a server that says "later".
    pub fn patient() -> Self {
        Self {
            tries: 6,
            first_wait: Duration::from_secs(4),
            longest_wait: Duration::from_secs(60),
            patience: Duration::from_secs(3600),
            silence: Duration::from_secs(60),
            time_scale: 1.0,
        }
    }

    /// For `check` and `discover`: somebody is watching a form.
    pub fn brisk() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            silence: Duration::from_secs(20),
            ..Self::patient()
        }
    }

    /// The same policy with every wait multiplied.
    pub fn scaled(self, time_scale: f64) -> Self {
        Self { time_scale, ..self }
    }

    /// `wait` on this policy's clock.
    pub(super) fn scale(&self, wait: Duration) -> Duration {
        wait.mul_f64(self.time_scale)
    }

    /// The wait before the next try, after `tries` failed ones: exponential with full jitter.
    pub(super) fn backoff(&self, tries: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << tries.saturating_sub(1).min(16));
        doubled.min(self.longest_wait).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_with_full_jitter_up_to_its_limit() {
        let policy = Policy::patient();
        for (tries, most) in [(1, 4), (2, 8), (3, 16), (5, 60), (60, 60)] {
            let waits: Vec<Duration> = (0..200).map(|_| policy.backoff(tries)).collect();
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(most)));
            assert!(waits.iter().any(|wait| *wait > Duration::from_secs(most) / 2), "no jitter upwards");
            assert!(waits.iter().any(|wait| *wait < Duration::from_secs(most) / 2), "no jitter downwards");
        }
    }
}
