//! How many requests at once, and at which pace.
//!
//! [`Gate`] is shared by all requests of the process. It bounds the requests in flight, holds everybody
//! back after a 429, and then lets them go on at the pace the server turned out to accept: in flight
//! and pace are cut at once and grow back slowly (additive increase, multiplicative decrease).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::retry::Policy;

/// After a 429: how much of the measured pace to try next, and how fast pace and in flight grow back.
const PACE_CUT: f64 = 0.9;
const PACE_GROWTH_PER_SECOND: f64 = 1.02;
const SECONDS_PER_WORKER: f64 = 5.0;
/// Slower than one request in five seconds is not a pace but a pause, which the server would name.
const SLOWEST_PACE: f64 = 0.2;
/// Faster than this, waiting one's turn is pointless.
const FASTEST_PACE: f64 = 200.0;

/// Lets requests through: so many at once, none during a pause, at the pace the server accepts.
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    time_scale: f64,
}

struct State {
    workers: usize,
    /// Requests allowed in flight; `workers` minus what 429s have taken away.
    limit: usize,
    /// Permits to be destroyed instead of given back, because the limit was cut while they were out.
    debt: usize,
    paused_until: Instant,
    /// When the last cut was made: a 429 of a request sent before it is the same episode.
    cut_at: Option<Instant>,
    /// Since when, and how many, requests have succeeded, to measure the accepted pace.
    measured_from: Instant,
    succeeded: u32,
    /// Requests per second, once a 429 has shown that there is a limit.
    pace: Option<f64>,
    next_turn: Instant,
    pace_grown_at: Instant,
    limit_grown_at: Instant,
    /// Episodes without a success in between; spaces the unnamed waits.
    refusals: u32,
}

/// The right to have one request in flight; given back when dropped.
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    permit: Option<OwnedSemaphorePermit>,
    pub(super) sent_at: Instant,
}

impl Gate {
    pub(super) fn new(workers: usize, time_scale: f64) -> Self {
        let now = Instant::now();
        Self {
            permits: Arc::new(Semaphore::new(workers)),
            time_scale,
            state: Mutex::new(State {
                workers,
                limit: workers,
                debt: 0,
                paused_until: now,
                cut_at: None,
                measured_from: now,
                succeeded: 0,
                pace: None,
                next_turn: now,
                pace_grown_at: now,
                limit_grown_at: now,
                refusals: 0,
            }),
        }
    }

    /// Requests that could start right now.
    pub(super) fn idle(&self) -> usize {
        self.permits.available_permits()
    }

    /// Waits until a request may go. Fair: whoever asked first goes first.
    pub(super) async fn enter(&self) -> Permit<'_> {
        // The semaphore is never closed, so `acquire_owned` cannot fail.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let mut permit = Permit { gate: self, permit, sent_at: Instant::now() };
        loop {
            let wait_until = self.turn();
            if wait_until <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(wait_until).await;
        }
        permit.sent_at = Instant::now();
        permit
    }

    /// When to look again; a past moment means "go", and the turn is taken.
    fn turn(&self) -> Instant {
        let mut state = self.lock();
        let now = Instant::now();
        if state.paused_until > now {
            return state.paused_until;
        }
        let Some(pace) = state.pace else { return now };
        if state.next_turn > now {
            return state.next_turn;
        }
        state.next_turn = now + Duration::from_secs_f64(1.0 / pace);
        now
    }

    /// Notes a success; pace and in flight grow back while there are only successes.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        state.succeeded += 1;
        state.refusals = 0;
        let now = Instant::now();
        let grown_for = now.duration_since(state.pace_grown_at).as_secs_f64() / self.time_scale;
        if grown_for >= 1.0 {
            state.pace_grown_at = now;
            let grown = state.pace.map(|pace| pace * PACE_GROWTH_PER_SECOND.powf(grown_for.min(10.0)));
            state.pace = grown.filter(|pace| *pace < FASTEST_PACE);
        }
        let waited = now.duration_since(state.limit_grown_at).as_secs_f64() / self.time_scale;
        if state.limit < state.workers && waited >= SECONDS_PER_WORKER {
            state.limit_grown_at = now;
            state.limit += 1;
            match state.debt {
                0 => self.permits.add_permits(1),
                _ => state.debt -= 1,
            }
        }
    }

    /// Holds everybody back after a 429 of a request sent at `sent_at`, for `named` or for a backoff.
    /// Returns the wait.
    pub(super) fn refused(&self, sent_at: Instant, named: Option<Duration>, policy: &Policy) -> Duration {
        let mut state = self.lock();
        let now = Instant::now();
        let same_episode = state.cut_at.is_some_and(|cut_at| sent_at < cut_at);
        if !same_episode {
            state.refusals += 1;
        }
        let wait = match named {
            Some(named) => policy.scale(named),
            // The others have already begun to wait for this episode.
            None if same_episode && state.paused_until > now => state.paused_until - now,
            None => policy.scale(Duration::from_secs(1) + policy.backoff(state.refusals)),
        };
        state.paused_until = state.paused_until.max(now + wait);
        if !same_episode {
            let measured = (now + wait).duration_since(state.measured_from).as_secs_f64().max(0.001);
            let accepted = PACE_CUT * f64::from(state.succeeded) / measured;
            let pace = match state.pace {
                // A pace in use is corrected, not thrown away for one noisy measurement.
                Some(pace) => accepted.clamp(pace / 2.0, pace * PACE_CUT),
                None => accepted,
            };
            state.pace = Some(pace.max(SLOWEST_PACE / self.time_scale));
            self.cut(&mut state, now, now + wait);
        }
        wait
    }

    fn cut(&self, state: &mut State, now: Instant, resumes: Instant) {
        let kept = (state.limit / 2).max(1);
        let taken = state.limit - kept;
        state.limit = kept;
        state.debt += taken - self.permits.forget_permits(taken);
        state.cut_at = Some(now);
        state.measured_from = resumes;
        state.pace_grown_at = resumes;
        state.limit_grown_at = resumes;
        state.succeeded = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.debt > 0 {
            state.debt -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everybody_and_halves_what_is_in_flight() {
        let gate = Gate::new(8, 1.0);
        let first = gate.enter().await;
        let second = gate.enter().await;
        let sent_at = first.sent_at;
        tokio::time::advance(Duration::from_millis(100)).await;
        let policy = Policy::patient();
        assert_eq!(gate.refused(sent_at, Some(Duration::from_secs(45)), &policy), Duration::from_secs(45));
        // The second worker's 429 belongs to the same episode: no second cut.
        gate.refused(second.sent_at, None, &policy);
        drop((first, second));
        assert_eq!(gate.idle(), 4);
        let before = Instant::now();
        drop(gate.enter().await);
        assert_eq!(before.elapsed().as_secs(), 45);
    }

    /// Ten workers against five requests a second: the pace settles, few requests are refused.
    #[tokio::test(start_paused = true)]
    async fn a_steady_limit_is_settled_into() {
        let gate = Arc::new(Gate::new(10, 1.0));
        let seconds: Arc<Mutex<std::collections::HashMap<u64, u32>>> = Arc::default();
        let (start, policy) = (Instant::now(), Policy::patient());
        let counts = Arc::new(Mutex::new((0_u32, 0_u32)));
        let workers = (0..10).map(|_| {
            let (gate, seconds, counts, policy) = (gate.clone(), seconds.clone(), counts.clone(), policy.clone());
            tokio::spawn(async move {
                while start.elapsed() < Duration::from_secs(120) {
                    let permit = gate.enter().await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let served = {
                        let mut seconds = seconds.lock().unwrap();
                        let served = seconds.entry(start.elapsed().as_secs()).or_default();
                        *served += 1;
                        *served <= 5
                    };
                    match served {
                        true => {
                            gate.succeeded();
                            counts.lock().unwrap().0 += 1;
                        }
                        false => {
                            gate.refused(permit.sent_at, Some(Duration::from_secs(1)), &policy);
                            counts.lock().unwrap().1 += 1;
                        }
                    }
                }
            })
        });
        futures_util::future::join_all(workers).await;
        let (served, refused) = *counts.lock().unwrap();
        assert!(served > 400, "{served} served of 600 possible");
        assert!(refused < served / 12, "{refused} refused, {served} served");
    }
}
