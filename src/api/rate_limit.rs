//! Decides when a request may go: one bound on the requests in flight for the whole process, and a limit for each
//! endpoint.
//!
//! The limit of an endpoint does nothing until a 429 puts it into force. A 429 pauses this endpoint and no other: for
//! the time that the answer names, or for a fraction of a second that grows with the share of requests refused. After
//! the pause fewer requests are in flight. Below one in flight there is a gap between two requests. The more requests
//! are served without a refusal, the faster the limit grows again (TCP's CUBIC does the same), up to the bound for all.
//! A limit that endpoints share is found by each of them in the same way. An endpoint that is asked for the first time
//! while another one is limited in time begins with one request in flight, and until its first 429 each request served
//! allows one more.
//!
//! A request that a limit holds back does not count as in flight, so it does not slow down other endpoints.
//!
//! The user may bound the requests in a second, too. Then each one is sent a fraction of a second after the one before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::retry::{LONGEST_BACKOFF, Policy, scaled};
use crate::seams::locked;

/// A refusal without a hint cuts the requests in flight to this part, or by the share refused if that is more.
const CUT: f64 = 0.87;
/// One that names a wait comes from a server that counts requests in time: slightly fewer in flight would be refused all
/// the same.
const CUT_BY_TIME: f64 = 0.4;
/// At one in flight and below, where the gaps between requests count.
const CUT_OF_GAPS: f64 = 0.8;
/// The n-th request served since a cut raises the limit by n divided by this: back from a cut after some 16 requests.
const GROWTH: f64 = 400.0;
/// A request served after a gap counts as one for each of these, up to `MOST_COUNTED`: an endpoint whose share of a
/// common limit was taken by others gets it back in seconds once they are done.
const COUNTED_GAP: Duration = Duration::from_millis(500);
const MOST_COUNTED: f64 = 8.0;
/// Below one in flight, a refusal that names no wait cuts only after this many served, or as the second in a row:
/// where requests are refused at random, asking ever less often changes nothing.
const SERVED_BEFORE_CUT: u32 = 8;
const REFUSED_IN_A_ROW: u32 = 2;
/// No gap between two requests is longer, because it may be others that use up the limit. Limits that are still lower
/// are kept by the pauses.
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// The pause after a 429 without a hint, were all requests refused. It grows with the square of the share refused.
const PAUSE: Duration = Duration::from_secs(2);
/// How much of the smoothed share and latency the last answer makes up.
const SHARE_OF_LAST: f64 = 0.05;
const LATENCY_OF_LAST: f64 = 0.2;

/// Lets requests through.
pub(super) struct RateLimits {
    policy: Policy,
    workers: f64,
    permits: Semaphore,
    /// The time from one request to the next, whatever their endpoints.
    spacing: Duration,
    /// When the next request may go. Whoever asked first goes first.
    next: tokio::sync::Mutex<Option<Instant>>,
    endpoints: Mutex<HashMap<&'static str, Arc<Queue>>>,
}

/// The requests to one endpoint.
#[derive(Default)]
struct Queue {
    /// Whoever asked first goes first. Only the first in line looks at the limit and at the bound for all, so that the
    /// endpoints take turns whatever the length of their lines.
    line: tokio::sync::Mutex<()>,
    limit: Mutex<Limit>,
    /// Wakes the first in line when a request of this endpoint is over.
    freed: Notify,
}

/// The right to have one request in flight; given back when dropped.
pub(super) struct Permit<'a> {
    policy: &'a Policy,
    endpoint: Arc<Queue>,
    _permit: Option<SemaphorePermit<'a>>,
    pub(super) sent_at: Instant,
}

impl RateLimits {
    pub(super) fn new(workers: usize, per_second: Option<f64>, policy: Policy) -> Self {
        Self {
            permits: Semaphore::new(workers),
            spacing: per_second.map_or(Duration::ZERO, |count| policy.scale(Duration::from_secs_f64(1.0 / count))),
            next: tokio::sync::Mutex::default(),
            endpoints: Mutex::default(),
            policy,
            workers: workers as f64,
        }
    }

    /// Requests that could start right now.
    pub(super) fn idle(&self) -> usize {
        self.permits.available_permits()
    }

    /// Waits until a request to `endpoint`, a path pattern, may go.
    pub(super) async fn enter(&self, endpoint: &'static str) -> Permit<'_> {
        let endpoint = self.endpoint(endpoint);
        let first_in_line = endpoint.line.lock().await;
        loop {
            endpoint.until_open().await;
            // The semaphore is never closed, so there is always a permit in the end.
            let permit = self.permits.acquire().await.ok();
            let mut next = self.next.lock().await;
            if let Some(next) = *next {
                tokio::time::sleep_until(next).await;
            }
            let sent_at = Instant::now();
            // A pause may have begun meanwhile.
            if locked(&endpoint.limit).take(sent_at) {
                *next = (!self.spacing.is_zero()).then(|| sent_at + self.spacing);
                drop(first_in_line);
                return Permit { policy: &self.policy, endpoint, _permit: permit, sent_at };
            }
        }
    }

    fn endpoint(&self, name: &'static str) -> Arc<Queue> {
        let mut endpoints = locked(&self.endpoints);
        let is_limited_in_time = endpoints.values().any(|queue| locked(&queue.limit).is_in_force_by_time());
        let most = if is_limited_in_time { 1.0 } else { self.workers };
        let limit = || Mutex::new(Limit::new(self.workers, most, &self.policy));
        Arc::clone(endpoints.entry(name).or_insert_with(|| Arc::new(Queue { limit: limit(), ..Queue::default() })))
    }
}

impl Queue {
    /// Waits until the limit holds nothing back.
    async fn until_open(&self) {
        loop {
            let pause = locked(&self.limit).pause(Instant::now());
            if let Some(until) = pause {
                tokio::time::sleep_until(until).await;
            } else if locked(&self.limit).is_full() {
                self.freed.notified().await;
            } else {
                return;
            }
        }
    }
}

impl Permit<'_> {
    /// Whether this endpoint has ever answered with what was requested.
    pub(super) fn has_answered(&self) -> bool {
        locked(&self.endpoint.limit).has_answered
    }

    /// Notes that the request was answered with what was requested, and how long that took.
    pub(super) fn succeeded(self, took: Duration) {
        locked(&self.endpoint.limit).has_answered = true;
        self.served(took);
    }

    /// Notes that no limit refused the request, though it may have been answered with "not found".
    pub(super) fn served(&self, took: Duration) {
        locked(&self.endpoint.limit).served(took);
    }

    /// Notes a 429, which may name a wait. Returns the pause.
    pub(super) fn refused(self, named: Option<Duration>) -> Duration {
        locked(&self.endpoint.limit).refused(Instant::now(), self.sent_at, named, self.policy)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        locked(&self.endpoint.limit).in_flight -= 1;
        self.endpoint.freed.notify_one();
    }
}

/// The limit of one endpoint.
#[derive(Default)]
struct Limit {
    workers: f64,
    /// No gap between two requests is longer, in seconds.
    longest_gap: f64,
    in_flight: usize,
    /// How many requests may be in flight. Below one it is the part of the time in which there is one.
    most: f64,
    /// Whether the last refusal that cut it named a wait.
    is_by_time: bool,
    /// Requests served since the last cut.
    served_since_cut: u32,
    /// How long a request takes, in seconds, smoothed.
    latency: f64,
    /// The share of requests refused, smoothed.
    share_refused: f64,
    /// Refusals without a request served in between.
    in_a_row: u32,
    /// When it was last refused. A 429 of a request sent before that belongs to the same refusal.
    refused_at: Option<Instant>,
    paused_until: Option<Instant>,
    has_answered: bool,
}

impl Limit {
    fn new(workers: f64, most: f64, policy: &Policy) -> Self {
        Self { workers, most, longest_gap: policy.scale(LONGEST_GAP).as_secs_f64(), ..Self::default() }
    }

    fn is_in_force(&self) -> bool {
        self.most < self.workers
    }

    /// Whether requests are counted in time, as far as is known.
    fn is_in_force_by_time(&self) -> bool {
        self.is_in_force() && self.is_by_time
    }

    /// Until when there is a pause, or the gap between two requests.
    fn pause(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Whether as many requests are in flight as may be. Without a limit in force, the bound for all is the only one.
    fn is_full(&self) -> bool {
        self.is_in_force() && self.in_flight >= (self.most as usize).max(1)
    }

    /// Counts a request as in flight, unless something holds it back.
    fn take(&mut self, now: Instant) -> bool {
        if self.pause(now).is_some() || self.is_full() {
            return false;
        }
        self.in_flight += 1;
        if self.most < 1.0 {
            self.paused_until = Some(now + self.gap());
        }
        true
    }

    /// The time from one request to the next, where there is less than one in flight.
    fn gap(&self) -> Duration {
        scaled(Duration::from_secs(1), self.latency / self.most)
    }

    fn served(&mut self, took: Duration) {
        self.in_a_row = 0;
        self.share_refused *= 1.0 - SHARE_OF_LAST;
        let took = took.as_secs_f64();
        let is_first = self.latency == 0.0;
        self.latency += (took - self.latency) * if is_first { 1.0 } else { LATENCY_OF_LAST };
        // Refusals may have cut it before it was known how long a request takes.
        self.most = self.most.max(self.smallest());
        let counted = if self.most < 1.0 { self.gap().as_secs_f64() / COUNTED_GAP.as_secs_f64() } else { 1.0 };
        self.served_since_cut = self.served_since_cut.saturating_add(counted.clamp(1.0, MOST_COUNTED) as u32);
        let was_refused = self.refused_at.is_some();
        let growth = if was_refused { f64::from(self.served_since_cut) / GROWTH * self.most.min(1.0) } else { 1.0 };
        self.most = (self.most + growth).min(self.workers);
    }

    /// Notes a 429 of a request sent at `sent_at`, and pauses. Returns the pause.
    fn refused(&mut self, now: Instant, sent_at: Instant, named: Option<Duration>, policy: &Policy) -> Duration {
        self.share_refused += (1.0 - self.share_refused) * SHARE_OF_LAST;
        if self.refused_at.is_none_or(|refused_at| sent_at >= refused_at) {
            self.refused_at = Some(now);
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.cut(named.is_some());
        }
        let backoff =
            PAUSE.mul_f64(self.share_refused.powi(2)).saturating_mul(1 << self.in_a_row.saturating_sub(1).min(16));
        let backoff = backoff.min(LONGEST_BACKOFF);
        // A server that goes on refusing after the wait it named (none, maybe) is asked less often.
        let wait = policy.scale(named.map_or(backoff, |named| named.max(backoff)));
        let wait = if self.most < 1.0 { wait.max(2 * self.gap()) } else { wait };
        let paused_until = self.paused_until.unwrap_or(now).max(now + wait);
        self.paused_until = Some(paused_until);
        paused_until - now
    }

    fn cut(&mut self, is_by_time: bool) {
        let helps = is_by_time || self.served_since_cut >= SERVED_BEFORE_CUT || self.in_a_row >= REFUSED_IN_A_ROW;
        if self.most <= 1.0 && !helps {
            return;
        }
        self.is_by_time = is_by_time;
        let part = match (self.most > 1.0, is_by_time) {
            (true, true) => CUT_BY_TIME,
            (true, false) => CUT.min(1.0 - self.share_refused),
            (false, _) => CUT_OF_GAPS.min(1.0 - self.share_refused),
        };
        self.most = (self.most * part).max(self.smallest());
        self.served_since_cut = 0;
    }

    /// What keeps the gap between two requests from being longer than it may be.
    fn smallest(&self) -> f64 {
        (self.latency / self.longest_gap).clamp(1e-9, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap as Map, VecDeque};
    use std::sync::atomic::Ordering;

    use futures_util::future::join_all;

    use super::*;

    /// A sync that begins while something else uses up the limit, and goes on when that is over.
    #[tokio::test(start_paused = true)]
    async fn gaps_stay_short_however_long_everything_was_refused() {
        for named in [None, Some(SECOND), Some(60 * SECOND)] {
            let limits = RateLimits::new(10, None, Policy::for_sync());
            let began = Instant::now();
            while began.elapsed() < 1_800 * SECOND {
                limits.enter("a").await.refused(named);
            }
            limits.enter("a").await.served(2 * LATENCY);
            limits.enter("a").await.served(60 * SECOND);
            for _ in 0..3 {
                let waited_from = Instant::now();
                limits.enter("a").await.served(LATENCY);
                assert!(waited_from.elapsed() <= LONGEST_GAP, "{named:?}: {:?}", waited_from.elapsed());
            }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const LATENCY: Duration = Duration::from_millis(50);

    /// Which requests a server refuses.
    enum Rule {
        /// This share, at random.
        Random(f64),
        /// Those that come while so many are being served.
        InFlight(usize),
        /// A bucket of so many requests, filled again within a second.
        Bucket(f64),
        /// The n-th of each.
        Nth(&'static [usize]),
    }

    /// A server, and the clients that ask it.
    struct Server {
        limits: RateLimits,
        began: Instant,
        rule: Rule,
        /// The endpoints that are limited; empty means all.
        on: &'static [&'static str],
        named: Option<Duration>,
        state: Mutex<State>,
    }

    #[derive(Default)]
    struct State {
        asked: usize,
        in_flight: usize,
        spent: VecDeque<Instant>,
        answers: Map<(&'static str, bool), u32>,
    }

    impl Server {
        fn new(rule: Rule, named: Option<Duration>) -> Self {
            fastrand::seed(7);
            let limits = RateLimits::new(10, None, Policy::for_sync());
            Self { limits, began: Instant::now(), rule, on: &[], named, state: Mutex::default() }
        }

        fn serves(&self, endpoint: &str) -> bool {
            let mut state = self.state.lock().unwrap();
            state.asked += 1;
            if !self.on.is_empty() && !self.on.contains(&endpoint) {
                return true;
            }
            match self.rule {
                Rule::Random(share) => fastrand::f64() >= share,
                Rule::InFlight(most) => state.in_flight < most,
                Rule::Nth(refused) => !refused.contains(&state.asked),
                Rule::Bucket(size) => {
                    // What was spent is filled up at `size` a second.
                    let now = Instant::now();
                    let filled = SECOND.div_f64(size);
                    let last = state.spent.back().copied().unwrap_or(self.began);
                    if last > now + SECOND - filled {
                        return false;
                    }
                    state.spent = VecDeque::from([last.max(now) + filled]);
                    true
                }
            }
        }

        /// Asks once, and tries again as long as it is refused.
        async fn ask(&self, endpoint: &'static str) {
            loop {
                let permit = self.limits.enter(endpoint).await;
                let is_served = self.serves(endpoint);
                self.state.lock().unwrap().in_flight += usize::from(is_served);
                tokio::time::sleep(LATENCY).await;
                let mut state = self.state.lock().unwrap();
                state.in_flight -= usize::from(is_served);
                *state.answers.entry((endpoint, is_served)).or_default() += 1;
                drop(state);
                if is_served {
                    return permit.succeeded(LATENCY);
                }
                permit.refused(self.named);
            }
        }

        /// Reads so many requests of each endpoint with ten workers each. Returns the time, and the refused per cent.
        async fn read(&self, endpoints: &[(&'static str, usize)]) -> (Duration, u32) {
            let workers = endpoints.iter().flat_map(|(endpoint, requests)| {
                let left = Arc::new(std::sync::atomic::AtomicUsize::new(*requests));
                (0..10).map(move |_| (*endpoint, Arc::clone(&left)))
            });
            let workers = workers.map(|(endpoint, left)| async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    self.ask(endpoint).await;
                }
            });
            join_all(workers).await;
            let state = self.state.lock().unwrap();
            let count = |is_served: bool| {
                let answers = state.answers.iter().filter(|((_, served), _)| *served == is_served);
                answers.map(|(_, count)| count).sum::<u32>()
            };
            (self.began.elapsed(), 100 * count(false) / (count(true) + count(false)))
        }
    }

    fn ratio(took: Duration, ideal: f64) -> f64 {
        took.as_secs_f64() / ideal
    }

    #[tokio::test(start_paused = true)]
    async fn one_429_costs_its_pause_and_little_more() {
        for refused in [&[1][..], &[5], &[30], &[200]] {
            for pause in [SECOND, 3 * SECOND] {
                let (took, _) = Server::new(Rule::Nth(refused), Some(pause)).read(&[("sessions", 300)]).await;
                assert!(took < pause + Duration::from_millis(2_500), "{refused:?}: {took:?} instead of 1.5 s");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_without_a_hint_costs_a_fraction_of_a_second() {
        let (took, _) = Server::new(Rule::Nth(&[5]), None).read(&[("sessions", 300)]).await;
        assert!(took < Duration::from_millis(2_000), "{took:?}");
        for (share, most) in [(0.02, 2.0), (0.05, 3.0), (0.1, 16.0)] {
            let (took, _) = Server::new(Rule::Random(share), None).read(&[("sessions", 1_430)]).await;
            assert!(ratio(took, 7.15) < most, "{share}: {took:?} where 7.15 s are possible");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_on_requests_in_flight_is_found() {
        for most in [1, 2, 3, 5] {
            let (took, refused) = Server::new(Rule::InFlight(most), None).read(&[("sessions", 500)]).await;
            let ideal = 500.0 * LATENCY.as_secs_f64() / most as f64;
            assert!(ratio(took, ideal) < 1.6, "{most} in flight: {took:?} where {ideal:.1} s are possible");
            assert!(refused <= if most == 1 { 12 } else { 8 }, "{most} in flight: {refused} % refused");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_rate_is_found() {
        for (per_second, named, slower, most_refused) in
            [(5.0, Some(SECOND), 1.25, 8), (20.0, Some(SECOND), 1.2, 8), (20.0, None, 1.1, 8), (5.0, None, 1.1, 8)]
        {
            let (took, refused) = Server::new(Rule::Bucket(per_second), named).read(&[("sessions", 1_430)]).await;
            let ideal = (1_430.0 - per_second) / per_second;
            assert!(ratio(took, ideal) < slower, "{per_second} a second: {took:?} where {ideal:.1} s are possible");
            assert!(refused <= most_refused, "{per_second} a second, {named:?}: {refused} % refused");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_endpoints_share_is_found_by_each() {
        for requests in [[500, 500, 430], [1_000, 400, 30]] {
            let server = Server::new(Rule::Bucket(20.0), Some(SECOND));
            let [sessions, rooms, templates] = requests;
            let (took, refused) =
                server.read(&[("sessions", sessions), ("rooms", rooms), ("templates", templates)]).await;
            assert!(ratio(took, 70.5) < 1.4, "{requests:?}: {took:?} where 70.5 s are possible");
            assert!(refused <= 13, "{requests:?}: {refused} % refused");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_comes_later_begins_with_one_request_while_another_is_limited() {
        let limits = RateLimits::new(10, None, Policy::for_sync());
        limits.enter("rooms").await.succeeded(LATENCY);
        limits.enter("sessions").await.refused(Some(SECOND));
        let first = limits.enter("templates").await;
        assert!(tokio::time::timeout(SECOND, limits.enter("templates")).await.is_err(), "two are in flight");
        first.succeeded(LATENCY);
        let both = join_all((0..2).map(|_| limits.enter("templates"))).await;
        // What was asked before goes on as before.
        let others = join_all((0..8).map(|_| limits.enter("rooms"))).await;
        drop((both, others));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_on_one_endpoint_does_not_slow_another() {
        let server = Server { on: &["sessions"], ..Server::new(Rule::Bucket(5.0), Some(SECOND)) };
        let rooms = async {
            join_all((0..1_000).map(|_| server.ask("rooms"))).await;
            server.began.elapsed()
        };
        let (rooms, _) = tokio::join!(rooms, server.read(&[("sessions", 300)]));
        assert!(rooms < Duration::from_millis(5_700), "{rooms:?} instead of 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_always_refused_is_asked_less_and_less() {
        let server = Server::new(Rule::Random(1.0), None);
        let _ = tokio::time::timeout(Duration::from_secs(3600), server.read(&[("sessions", 1)])).await;
        let asked = server.state.lock().unwrap().asked;
        assert!((50..120).contains(&asked), "{asked} requests in an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_back_and_fewer_go_after_it() {
        let limits = RateLimits::new(10, None, Policy::for_sync());
        let mut permits = join_all((0..10).map(|_| limits.enter("rooms"))).await.into_iter();
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(permits.next().unwrap().refused(Some(45 * SECOND)), 45 * SECOND);
        // The other 429 is of the same moment: it changes nothing.
        assert_eq!(permits.next().unwrap().refused(None), 45 * SECOND);
        let refused_at = Instant::now();
        drop(permits);
        let _first = limits.enter("rooms").await;
        assert_eq!(refused_at.elapsed().as_secs(), 45);
        let others = join_all((0..3).map(|_| limits.enter("rooms"))).await;
        assert!(tokio::time::timeout(SECOND, limits.enter("rooms")).await.is_err(), "more than four are in flight");
        drop(others);
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_take_turns_whatever_the_length_of_their_lines() {
        let limits = RateLimits::new(1, None, Policy::for_sync());
        let busy = limits.enter("sessions").await;
        let order = Mutex::new(Vec::new());
        let ask = |endpoint: &'static str| {
            let (limits, order) = (&limits, &order);
            async move {
                let _permit = limits.enter(endpoint).await;
                order.lock().unwrap().push(endpoint);
            }
        };
        let many = join_all((0..50).map(|_| ask("sessions")));
        tokio::join!(many, ask("rooms"), async { drop(busy) });
        let place = order.lock().unwrap().iter().position(|endpoint| *endpoint == "rooms").unwrap();
        assert!(place <= 2, "rooms came after {place} others");
    }
}
