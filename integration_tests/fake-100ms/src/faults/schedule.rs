//! The plan in force, and what it makes of the next request.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Fault, FaultPlan, FaultRule, RateLimit, RetryHint, When};

/// What a request tells the plan.
pub(crate) struct Asked<'a> {
    /// In its pattern form.
    pub(crate) route: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) has_start: bool,
    pub(crate) accepts_gzip: bool,
    /// How many requests are in flight, this one included.
    pub(crate) in_flight: usize,
}

/// What happens to one request.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) delay: Duration,
    pub(crate) void_tokens: bool,
    pub(crate) refusal: Option<Fault>,
    pub(crate) shapes: Vec<Fault>,
    pub(crate) wire: Option<Fault>,
}

impl Effects {
    /// For the log: every fault but the waiting.
    pub(crate) fn names(&self) -> Option<String> {
        let faults = self.refusal.iter().chain(&self.shapes).chain(&self.wire);
        let mut names: Vec<String> = faults.map(|fault| format!("{fault:?}")).collect();
        if self.void_tokens {
            names.push("VoidTokens".to_owned());
        }
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// Counts what each rule has seen, and draws the probabilities.
pub(crate) struct FaultSchedule {
    plan: FaultPlan,
    tallies: Vec<Tally>,
    rng: fastrand::Rng,
    /// One for each of the plan's limits.
    buckets: Vec<Bucket>,
}

/// How many requests a limit that comes and goes stays as it is.
const STRETCH: u64 = 30;

#[derive(Clone, Default)]
struct Tally {
    seen: u64,
    hits: u64,
    /// How many times each request has been hit in a row, by path and query.
    in_a_row: HashMap<String, u64>,
}

impl FaultSchedule {
    pub(crate) fn new(plan: FaultPlan) -> FaultSchedule {
        FaultSchedule {
            tallies: vec![Tally::default(); plan.rules.len()],
            rng: fastrand::Rng::with_seed(plan.seed),
            buckets: plan.rate_limits.iter().map(Bucket::full).collect(),
            plan,
        }
    }

    pub(crate) fn draw(&mut self, asked: &Asked) -> Effects {
        let mut effects = Effects {
            delay: self.plan.latency + self.up_to(self.plan.jitter),
            refusal: self.over_a_limit(asked),
            ..Effects::default()
        };
        for number in 0..self.plan.rules.len() {
            if self.hits(number, asked) {
                let fault = self.plan.rules[number].fault.clone();
                self.add(&mut effects, fault);
            }
        }
        if let Some(Fault::TooManyInFlight(_)) = effects.refusal {
            effects.delay = Duration::ZERO;
        }
        effects
    }

    fn hits(&mut self, number: usize, asked: &Asked) -> bool {
        let rule = &self.plan.rules[number];
        if !concerns(rule, asked) {
            return false;
        }
        let tally = &mut self.tallies[number];
        tally.seen += 1;
        let used_up = rule.stop_after.is_some_and(|limit| tally.hits >= limit);
        let hit = !used_up
            && match rule.when {
                When::Always => true,
                When::Nth(n) => tally.seen == n,
                When::First(n) => tally.seen <= n,
                When::After(n) => tally.seen > n,
                When::Every(k) => tally.seen.is_multiple_of(k.max(1)),
                When::Probability(probability) => self.rng.f64() < probability,
                When::ProbabilityWithin(probability, most) => {
                    let in_a_row = tally.in_a_row.entry(format!("{}?{}", asked.path, asked.query)).or_default();
                    let hit = self.rng.f64() < probability && *in_a_row < most;
                    *in_a_row = if hit { *in_a_row + 1 } else { 0 };
                    hit
                }
            };
        tally.hits += u64::from(hit);
        hit
    }

    fn add(&mut self, effects: &mut Effects, fault: Fault) {
        match fault {
            Fault::Delay { milliseconds, jitter } => {
                effects.delay += Duration::from_millis(milliseconds);
                effects.delay += self.up_to(Duration::from_millis(jitter));
            }
            Fault::VoidTokens => effects.void_tokens = true,
            fault if fault.is_refusal() => drop(effects.refusal.get_or_insert(fault)),
            fault if fault.is_shape() => effects.shapes.push(fault),
            fault => drop(effects.wire.get_or_insert(fault)),
        }
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.rng.f64())
    }

    /// Refused by the first limit that has no room; the limits behind it then count nothing.
    fn over_a_limit(&mut self, asked: &Asked) -> Option<Fault> {
        for (limit, bucket) in self.plan.rate_limits.iter().zip(&mut self.buckets) {
            if !matches_route(&limit.route, asked) || !bucket.is_on(limit, &mut self.rng) {
                continue;
            }
            if let Some(wait) = bucket.take(limit, Instant::now()) {
                // Rounded up: whoever comes back then finds room.
                let seconds = wait.as_secs_f64().ceil() as u64;
                return Some(Fault::TooManyRequests(limit.hint.at_least(seconds)));
            }
        }
        None
    }
}

/// A fault that cannot show on a request does not count it either.
fn concerns(rule: &FaultRule, asked: &Asked) -> bool {
    let applies = match rule.fault {
        Fault::ExpiredCursor => asked.has_start && asked.route == "/v2/analytics/events",
        Fault::RepeatedPageToken | Fault::EarlierPageToken | Fault::ShiftedItems(_) => asked.has_start,
        Fault::CorruptGzip | Fault::GzipBomb => asked.accepts_gzip,
        Fault::TooManyInFlight(most) => asked.in_flight > most,
        _ => true,
    };
    applies && matches_route(&rule.route, asked)
}

/// Whether a rule or a limit means this request.
fn matches_route(route: &str, asked: &Asked) -> bool {
    if let Some(beginning) = route.strip_suffix('*') {
        return asked.route.starts_with(beginning);
    }
    match route.split_once('?') {
        Some((path, pair)) => asked.path == path && asked.query.split('&').any(|one| one == pair),
        None => asked.route == route || asked.path == route,
    }
}

impl Fault {
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Fault::TooManyRequests(_)
                | Fault::TooManyInFlight(_)
                | Fault::Status(_)
                | Fault::Refused { .. }
                | Fault::Detailed { .. }
                | Fault::EchoToken { .. }
                | Fault::Unauthorized
                | Fault::Forbidden
                | Fault::RoomDisabled
                | Fault::NotFound
                | Fault::ExpiredCursor
        )
    }

    fn is_shape(&self) -> bool {
        matches!(
            self,
            Fault::RepeatedPageToken
                | Fault::EarlierPageToken
                | Fault::CapsBelowLimit(_)
                | Fault::IgnoresTimes
                | Fault::LimitText(_)
                | Fault::Says(_)
                | Fault::SetMember { .. }
                | Fault::AddMember { .. }
                | Fault::PlantSecrets
                | Fault::TokenAsId
                | Fault::TokenAsPageToken
                | Fault::HeavyItems(_)
                | Fault::SmallerLimit(_)
                | Fault::ShiftedItems(_)
                | Fault::UnknownFields
                | Fault::NullFields(_)
                | Fault::GoodStatus(_)
                | Fault::NoDate
        )
    }
}

impl RetryHint {
    fn at_least(&self, seconds: u64) -> RetryHint {
        match *self {
            RetryHint::Seconds(minimum) => RetryHint::Seconds(minimum.max(seconds)),
            RetryHint::HttpDate(minimum) => RetryHint::HttpDate(minimum.max(seconds)),
            RetryHint::Message(minimum) => RetryHint::Message(minimum.max(seconds)),
            RetryHint::Nothing => RetryHint::Nothing,
        }
    }
}

/// A token bucket: refused requests cost nothing.
struct Bucket {
    tokens: f64,
    filled_at: Instant,
    seen: u64,
    is_on: bool,
}

impl Bucket {
    fn full(limit: &RateLimit) -> Bucket {
        Bucket { tokens: f64::from(limit.burst.max(1)), filled_at: Instant::now(), seen: 0, is_on: true }
    }

    /// Whether the limit holds for this request.
    fn is_on(&mut self, limit: &RateLimit, rng: &mut fastrand::Rng) -> bool {
        if limit.at_times && self.seen.is_multiple_of(STRETCH) {
            self.is_on = rng.bool();
        }
        self.seen += 1;
        self.is_on
    }

    /// `None` when there is room, else how long until there will be.
    fn take(&mut self, limit: &RateLimit, now: Instant) -> Option<Duration> {
        let elapsed = now.duration_since(self.filled_at).as_secs_f64();
        let most = f64::from(limit.burst.max(1));
        self.tokens = (self.tokens + elapsed * limit.per_second).min(most);
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        let wait = (1.0 - self.tokens) / limit.per_second.max(0.001);
        Some(Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(route: &str) -> Asked<'_> {
        Asked { route, path: route, query: "room_id=7&limit=10", has_start: false, accepts_gzip: true, in_flight: 1 }
    }

    /// Which of ten requests a rule hits.
    fn hits(when: When, limit: Option<u64>) -> Vec<u64> {
        let mut plan = FaultPlan::new().on("/v2/rooms", when, Fault::EmptyBody);
        plan.rules[0].stop_after = limit;
        let mut schedule = FaultSchedule::new(plan);
        let mut hit = |_: &u64| schedule.draw(&asked("/v2/rooms")).wire.is_some();
        (1..=10).filter(|number| hit(number)).collect()
    }

    #[test]
    fn rules_count_from_one() {
        assert_eq!(hits(When::Nth(3), None), [3]);
        assert_eq!(hits(When::First(2), None), [1, 2]);
        assert_eq!(hits(When::After(8), None), [9, 10]);
        assert_eq!(hits(When::Every(4), None), [4, 8]);
        assert_eq!(hits(When::Every(4), Some(1)), [4]);
        assert_eq!(hits(When::Probability(0.0), None), Vec::<u64>::new());
        assert_eq!(hits(When::ProbabilityWithin(1.0, 3), None), [1, 2, 3, 5, 6, 7, 9, 10]);
    }

    #[test]
    fn rules_mix_and_other_routes_are_left_alone() {
        let plan = FaultPlan::new()
            .on("/v2/*", When::Always, Fault::NoDate)
            .on("*", When::Always, Fault::SmallerLimit(10))
            .on("/v2/rooms", When::Always, Fault::Status(503))
            .on("*", When::Always, Fault::Status(500));
        let mut schedule = FaultSchedule::new(plan);
        let effects = schedule.draw(&asked("/v2/rooms"));
        assert_eq!(effects.shapes.len(), 2);
        assert_eq!(effects.refusal, Some(Fault::Status(503)));
        let effects = schedule.draw(&asked("/v2/sessions"));
        assert_eq!(effects.refusal, Some(Fault::Status(500)));
    }

    #[test]
    fn one_object_can_be_meant() {
        let plan = FaultPlan::new().on("/v2/analytics/events?room_id=7", When::Always, Fault::Status(410)).on(
            "/v2/analytics/events?room_id=8",
            When::Always,
            Fault::Status(422),
        );
        let mut schedule = FaultSchedule::new(plan);
        assert_eq!(schedule.draw(&asked("/v2/analytics/events")).refusal, Some(Fault::Status(410)));
        let of_template = Asked { path: "/v2/templates/7/settings", ..asked("/v2/templates/{id}/settings") };
        let plan = FaultPlan::new().on("/v2/templates/7/settings", When::Always, Fault::Status(409));
        assert!(FaultSchedule::new(plan).draw(&of_template).refusal.is_some());
    }

    #[test]
    fn an_endpoint_can_have_a_limit_of_its_own() {
        let plan = FaultPlan::new().rate_limit_on("/v2/rooms", 1.0, RetryHint::Nothing);
        let mut schedule = FaultSchedule::new(plan);
        let mut refused = |route| schedule.draw(&asked(route)).refusal.is_some();
        assert_eq!([refused("/v2/rooms"), refused("/v2/rooms"), refused("/v2/sessions")], [false, true, false]);
        let plan = FaultPlan::new().limits_at_times(0.001, RetryHint::Nothing);
        let mut schedule = FaultSchedule::new(plan);
        let refused = (0..600).filter(|_| schedule.draw(&asked("/v2/rooms")).refusal.is_some()).count();
        assert!((100..=500).contains(&refused), "{refused} of 600");
    }

    #[test]
    fn the_limiter_lets_through_what_it_promises() {
        let limit =
            RateLimit { route: "*".to_owned(), per_second: 5.0, burst: 2, hint: RetryHint::Nothing, at_times: false };
        let mut bucket = Bucket::full(&limit);
        let start = bucket.filled_at;
        let mut passed = 0;
        for step in 0..=100 {
            let now = start + Duration::from_millis(20 * step);
            passed += u32::from(bucket.take(&limit, now).is_none());
        }
        assert!((11..=12).contains(&passed), "{passed} in two seconds");
    }
}
