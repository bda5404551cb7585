//! Decides how many requests are made at once, and at which pace.
//!
//! One bound on the requests in flight applies to the whole process. In addition, each endpoint has a [`Limit`] of its
//! own, and all endpoints share another one. A limit does nothing until a 429 puts it into force: the limit of the
//! endpoint that was refused, or the shared one when another endpoint was refused at about the same time, because
//! nothing says whether 100ms counts requests for each endpoint or for all. A request that a limit holds back does not
//! count as in flight, so one limited endpoint does not slow down the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::limit::{Hold, Limit};
use super::retry::{Policy, scaled};

/// Endpoints share a limit when one is refused during the pause of another, or this long after it.
const TOGETHER: Duration = Duration::from_secs(1);

/// Lets requests through.
pub(super) struct Limiter {
    policy: Policy,
    workers: usize,
    permits: Semaphore,
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
    shared: Mutex<Limit>,
    /// Tells whoever waits for a place in a limit that one may be free.
    freed: Notify,
}

/// What is known of one endpoint.
struct Endpoint {
    /// Whoever asked first goes first. Only the first in line looks at the limits and at the bound for
    /// all, so that the endpoints take turns whatever the length of their lines.
    line: tokio::sync::Mutex<()>,
    limit: Mutex<Limit>,
    has_answered: AtomicBool,
    /// The end of its last pause, whichever limit kept it.
    refused_until: Mutex<Option<Instant>>,
}

/// The right to have one request in flight; given back when dropped.
pub(super) struct Permit<'a> {
    limiter: &'a Limiter,
    endpoint: Arc<Endpoint>,
    /// Given back after the places in the limits.
    _permit: Option<SemaphorePermit<'a>>,
    pub(super) sent_at: Instant,
}

impl Limiter {
    pub(super) fn new(workers: usize, policy: Policy) -> Self {
        Self {
            shared: Mutex::new(Limit::new(workers, policy.time_scale)),
            permits: Semaphore::new(workers),
            endpoints: Mutex::default(),
            freed: Notify::new(),
            policy,
            workers,
        }
    }

    /// Requests that could start right now.
    pub(super) fn idle(&self) -> usize {
        self.permits.available_permits()
    }

    /// Waits until a request to `endpoint`, a path pattern, may go.
    pub(super) async fn enter(&self, endpoint: &str) -> Permit<'_> {
        let endpoint = self.endpoint(endpoint);
        let _first_in_line = endpoint.line.lock().await;
        loop {
            // Before looking, so that nothing is freed unnoticed in between.
            let freed = self.freed.notified();
            match self.hold(&endpoint) {
                Hold::Until(moment) => tokio::time::sleep_until(moment).await,
                Hold::Full => freed.await,
                Hold::Nothing => {
                    // The semaphore is never closed, so there is always a permit in the end.
                    let permit = self.permits.acquire().await.ok();
                    // A pause may have begun meanwhile.
                    if self.take(&endpoint) {
                        let (endpoint, sent_at) = (Arc::clone(&endpoint), Instant::now());
                        return Permit { limiter: self, endpoint, _permit: permit, sent_at };
                    }
                }
            }
        }
    }

    fn endpoint(&self, name: &str) -> Arc<Endpoint> {
        let mut endpoints = lock(&self.endpoints);
        if let Some(endpoint) = endpoints.get(name) {
            return Arc::clone(endpoint);
        }
        let endpoint = Arc::new(Endpoint {
            line: tokio::sync::Mutex::default(),
            limit: Mutex::new(Limit::new(self.workers, self.policy.time_scale)),
            has_answered: AtomicBool::new(false),
            refused_until: Mutex::default(),
        });
        endpoints.insert(name.to_owned(), Arc::clone(&endpoint));
        endpoint
    }

    /// What holds back a request to `endpoint` now.
    fn hold(&self, endpoint: &Endpoint) -> Hold {
        let now = Instant::now();
        lock(&endpoint.limit).hold(now).and(lock(&self.shared).hold(now))
    }

    /// Takes a place in both limits, unless one holds the request back.
    fn take(&self, endpoint: &Endpoint) -> bool {
        let now = Instant::now();
        let (mut own, mut shared) = (lock(&endpoint.limit), lock(&self.shared));
        let is_free = own.hold(now).and(shared.hold(now)) == Hold::Nothing;
        if is_free {
            own.take(now);
            shared.take(now);
        }
        is_free
    }

    /// Whether another endpoint than `refused` is, or just was, paused.
    fn is_another_refused(&self, refused: &Arc<Endpoint>, now: Instant) -> bool {
        let together = scaled(TOGETHER, self.policy.time_scale);
        let is_recent =
            |endpoint: &Endpoint| lock(&endpoint.refused_until).is_some_and(|until| now <= until + together);
        lock(&self.endpoints).values().any(|other| !Arc::ptr_eq(other, refused) && is_recent(other))
    }
}

impl Permit<'_> {
    /// Whether this endpoint has ever answered with what was asked for.
    pub(super) fn has_answered(&self) -> bool {
        self.endpoint.has_answered.load(Ordering::Relaxed)
    }

    /// Notes that the request was answered.
    pub(super) fn succeeded(self) {
        let now = Instant::now();
        self.endpoint.has_answered.store(true, Ordering::Relaxed);
        lock(&self.endpoint.limit).succeeded(now);
        lock(&self.limiter.shared).succeeded(now);
    }

    /// Notes a 429, which names a wait or does not. Returns the pause, and the requests per second that
    /// follow it when that is known.
    pub(super) fn refused(self, named: Option<Duration>) -> (Duration, Option<f64>) {
        let now = Instant::now();
        let is_shared = self.limiter.is_another_refused(&self.endpoint, now);
        let mut limit = lock(if is_shared { &self.limiter.shared } else { &self.endpoint.limit });
        let wait = limit.refused(now, self.sent_at, named, &self.limiter.policy);
        let mut refused_until = lock(&self.endpoint.refused_until);
        *refused_until = (*refused_until).max(Some(now + wait));
        (wait, limit.pace())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        lock(&self.endpoint.limit).give_back();
        lock(&self.limiter.shared).give_back();
        self.limiter.freed.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as Map;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// So many requests `on` some endpoints are served in each second of the clock.
    struct Rule {
        on: &'static [&'static str],
        most: u32,
        taken: Mutex<Map<u64, u32>>,
    }

    /// A server that answers after 20 ms, and the clients that ask it.
    struct Server {
        limiter: Limiter,
        began: Instant,
        rule: Rule,
        answers: Mutex<Map<(&'static str, bool), u32>>,
    }

    impl Server {
        fn new(on: &'static [&'static str], most: u32) -> Arc<Self> {
            let rule = Rule { on, most, taken: Mutex::default() };
            let limiter = Limiter::new(10, Policy::patient());
            Arc::new(Self { limiter, began: Instant::now(), rule, answers: Mutex::default() })
        }

        fn serves(&self, endpoint: &str) -> bool {
            let mut taken = self.rule.taken.lock().unwrap();
            let taken = taken.entry(self.began.elapsed().as_secs()).or_default();
            *taken += u32::from(self.rule.on.contains(&endpoint));
            *taken <= self.rule.most || !self.rule.on.contains(&endpoint)
        }

        /// Asks once, and tries again as long as it is refused.
        async fn ask(&self, endpoint: &'static str) {
            loop {
                let permit = self.limiter.enter(endpoint).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                let is_served = self.serves(endpoint);
                *self.answers.lock().unwrap().entry((endpoint, is_served)).or_default() += 1;
                if is_served {
                    return permit.succeeded();
                }
                permit.refused(Some(SECOND));
            }
        }

        /// Ten clients of each endpoint ask for two minutes.
        async fn ask_for_two_minutes(self: &Arc<Self>, endpoints: &[&'static str]) {
            let clients = endpoints.iter().flat_map(|endpoint| [*endpoint; 10]).map(|endpoint| {
                let server = Arc::clone(self);
                tokio::spawn(async move {
                    while server.began.elapsed() < 120 * SECOND {
                        server.ask(endpoint).await;
                    }
                })
            });
            futures_util::future::join_all(clients.collect::<Vec<_>>()).await;
        }

        fn count(&self, endpoint: &'static str, is_served: bool) -> u32 {
            self.answers.lock().unwrap().get(&(endpoint, is_served)).copied().unwrap_or_default()
        }
    }

    /// Asks `requests` times with ten clients, of which those in `refused` get a 429; gives the time.
    async fn read(requests: u32, refused: &'static [u32], pause: Duration) -> Duration {
        let limiter = Arc::new(Limiter::new(10, Policy::patient()));
        let (began, asked) = (Instant::now(), Arc::new(Mutex::new(0)));
        let clients = (0..10).map(|_| {
            let (limiter, asked) = (Arc::clone(&limiter), Arc::clone(&asked));
            tokio::spawn(async move {
                loop {
                    let permit = limiter.enter("sessions").await;
                    let number = {
                        let mut asked = asked.lock().unwrap();
                        *asked += 1;
                        *asked
                    };
                    if number > requests {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if refused.contains(&number) {
                        permit.refused(Some(pause));
                    } else {
                        permit.succeeded();
                    }
                }
            })
        });
        futures_util::future::join_all(clients.collect::<Vec<_>>()).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_early_429_costs_its_pause_and_little_more() {
        let undisturbed = read(300, &[], SECOND).await;
        for refused in [&[1][..], &[5], &[30], &[200]] {
            for pause in [SECOND, 3 * SECOND] {
                let took = read(300, Vec::leak(refused.to_vec()), pause).await;
                assert!(took < undisturbed + pause + SECOND, "{refused:?}: {took:?} instead of {undisturbed:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_back_and_then_one_goes_first() {
        let limiter = Limiter::new(8, Policy::patient());
        let permits = futures_util::future::join_all((0..8).map(|_| limiter.enter("rooms"))).await;
        tokio::time::advance(Duration::from_millis(100)).await;
        let mut permits = permits.into_iter();
        assert_eq!(permits.next().unwrap().refused(Some(45 * SECOND)).0, 45 * SECOND);
        // The other 429 is of the same moment: it changes nothing.
        permits.next().unwrap().refused(None);
        let refused_at = Instant::now();
        drop(permits);
        let first = limiter.enter("rooms").await;
        assert_eq!(refused_at.elapsed().as_secs(), 45);
        let second = tokio::time::timeout(SECOND, limiter.enter("rooms")).await;
        assert!(second.is_err(), "one finds out whether the limit is still there");
        first.succeeded();
        let _two_are_let = (limiter.enter("rooms").await, limiter.enter("rooms").await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_limit_is_settled_into() {
        let server = Server::new(&["sessions"], 5);
        server.ask_for_two_minutes(&["sessions"]).await;
        let (served, refused) = (server.count("sessions", true), server.count("sessions", false));
        assert!(served > 450, "{served} served of 600 possible");
        assert!(refused < served / 12, "{refused} refused, {served} served");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_on_one_endpoint_does_not_slow_another() {
        let free = Server::new(&[], 0);
        free.ask_for_two_minutes(&["sessions", "rooms"]).await;
        let server = Server::new(&["sessions"], 5);
        server.ask_for_two_minutes(&["sessions", "rooms"]).await;
        let (limited, refused) = (server.count("sessions", true), server.count("sessions", false));
        assert!(limited > 450, "{limited} served of 600 possible");
        assert!(refused < limited / 12, "{refused} refused, {limited} served");
        assert!(server.count("rooms", true) > free.count("rooms", true), "the places of the limited are free for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_endpoints_share_is_settled_into() {
        const ALL: [&str; 3] = ["sessions", "rooms", "templates"];
        let server = Server::new(&ALL, 15);
        server.ask_for_two_minutes(&ALL).await;
        let sum = |is_served| ALL.iter().map(|endpoint| server.count(endpoint, is_served)).sum::<u32>();
        let (served, refused) = (sum(true), sum(false));
        assert!(served > 1_200, "{served} served of 1800 possible");
        assert!(refused < served / 12, "{refused} refused, {served} served");
        for endpoint in ALL {
            assert!(server.count(endpoint, true) > served / 6, "{endpoint} has its turn");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_take_turns_whatever_the_length_of_their_lines() {
        let limiter = Limiter::new(1, Policy::patient());
        let busy = limiter.enter("sessions").await;
        let order = Mutex::new(Vec::new());
        let ask = |endpoint: &'static str| {
            let (limiter, order) = (&limiter, &order);
            async move {
                let _permit = limiter.enter(endpoint).await;
                order.lock().unwrap().push(endpoint);
            }
        };
        let many = futures_util::future::join_all((0..50).map(|_| ask("sessions")));
        tokio::join!(many, ask("rooms"), async { drop(busy) });
        let place = order.lock().unwrap().iter().position(|endpoint| *endpoint == "rooms").unwrap();
        assert!(place <= 2, "rooms came after {place} others");
    }
}
