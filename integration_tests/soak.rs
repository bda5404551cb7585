//! Bad days on end: faults of all kinds, limits that come and go, a wrong clock, changes that show late, kills,
//! and reads that go on from what is left, until all is there.
//!
//! The short form runs with the other tests. For the long one, in accelerated time:
//! `SOAK_SEEDS=1,2,3 SOAK_SCALE=large cargo test soak -- --nocapture`

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, DateHeader, Fake, FaultPlan, Options, RetryHint, Scale};
use serde_json::{Value, json};

use crate::harness::{STREAMS, TIME_SCALE, config_with};
use crate::messages::{Status, Transcript};
use crate::platform::{Warehouse, examine, read_on};

/// A soak that has not come to its end by then makes no progress.
const MOST_ROUNDS: u64 = 60;

/// How long a soak is.
struct Extent {
    scale: Scale,
    /// So many reads are killed,
    kills: u64,
    /// after so many bytes at most.
    bytes: usize,
    /// How much less goes wrong from one read to the next.
    improvement: f64,
}

/// `SOAK_SCALE=large`, or a small one.
fn extent() -> Extent {
    match std::env::var("SOAK_SCALE").as_deref() {
        Ok("large") => Extent { scale: Scale::Large, kills: 30, bytes: 12_000_000, improvement: 0.02 },
        Ok(other) if other != "small" => panic!("SOAK_SCALE is `{other}`: choose `small` or `large`"),
        _ => {
            // Enough of sessions and events that states come in the middle of a stream.
            let counts = Counts {
                sessions: 9_000,
                peers_per_session: 1,
                rooms: 60,
                events_per_room: 100,
                recordings: 200,
                ..Counts::default()
            };
            Extent { scale: Scale::Custom(counts), kills: 6, bytes: 9_000_000, improvement: 0.05 }
        }
    }
}

/// `SOAK_SEEDS=4,5,6`, or one.
fn seeds() -> Vec<u64> {
    let seeds = std::env::var("SOAK_SEEDS").unwrap_or_else(|_| "1".to_owned());
    seeds.split(',').map(|seed| seed.trim().parse().expect("SOAK_SEEDS holds numbers and commas")).collect()
}

/// How late what is written may show.
const LAG: TimeDelta = TimeDelta::minutes(5);

/// Clocks as far from the right one as a server's may be.
fn wrong_date(random: &mut fastrand::Rng) -> DateHeader {
    match random.u8(0..6) {
        0 => DateHeader::True,
        1 => DateHeader::Skewed(TimeDelta::seconds(random.i64(-30..=30))),
        2 => DateHeader::Skewed(TimeDelta::days(random.i64(-4000..=4000))),
        3 => DateHeader::Jumping(TimeDelta::seconds(random.i64(1..=100_000))),
        4 => DateHeader::Missing,
        _ => DateHeader::Text("noon".to_owned()),
    }
}

/// Every room is asked for its events in every sync, so that the truth is due at the end.
fn everywhere(fake: &Fake) -> Value {
    config_with(fake, json!({"analytics_rooms": "all"}))
}

/// One read on a bad day; the first ones are killed. True when all streams came to their end.
fn round(fake: &Fake, random: &mut fastrand::Rng, extent: &Extent, number: u64, warehouse: &mut Warehouse) -> bool {
    // From days on which nearly everything fails to good ones, so that there is an end.
    let intensity = (0.9 - extent.improvement * number as f64).max(0.05);
    let limits_are_on = number % 2 == 1;
    let mut plan = FaultPlan::random_mix(random.u64(..), intensity);
    if limits_are_on {
        plan = plan.limits_at_times(80.0, RetryHint::Seconds(1));
    }
    fake.set_faults(plan);
    fake.set_date(wrong_date(random));
    fake.advance_small(0.2);
    let bytes = if number < extent.kills { random.usize(1..extent.bytes) } else { usize::MAX };
    let began = Instant::now();
    let run = read_on(&everywhere(fake), &warehouse.states).start().kill_after(bytes);
    let transcript = examine(&run, fake);
    assert!(run.stderr.is_empty(), "round {number}: {}", run.stderr);
    warehouse.load(&transcript);
    tell(number, intensity, &transcript, began.elapsed(), run.status);
    run.status.success()
}

/// What happened, for whoever looks at a soak that failed.
fn tell(number: u64, intensity: f64, transcript: &Transcript, took: Duration, status: std::process::ExitStatus) {
    let complete = STREAMS.iter().filter(|stream| transcript.statuses_of(stream).contains(&Status::Complete)).count();
    let records = transcript.records().count();
    eprintln!("round {number}: {intensity:.2} bad, {records} records, {complete} of 8 complete, {took:.1?}, {status}");
    for error in transcript.errors() {
        eprintln!("    {}", error.internal_message);
    }
}

/// Reads the workspace of `seed` through bad days; gives how long that took.
fn soak(seed: u64) -> Duration {
    let (began, extent) = (Instant::now(), extent());
    // Of today: whoever is told a wrong time, or none, must rely on this machine's clock.
    let now = Utc::now() - TimeDelta::hours(12);
    let fake = Fake::start(Options { seed, scale: extent.scale.clone(), lag: LAG, now, ..Options::default() });
    let mut random = fastrand::Rng::with_seed(seed);
    let mut warehouse = Warehouse::default();
    let rounds = (0..MOST_ROUNDS).find(|number| round(&fake, &mut random, &extent, *number, &mut warehouse));
    let rounds = rounds.unwrap_or_else(|| panic!("seed {seed}: no end after {MOST_ROUNDS} rounds"));
    // What was written last shows by then.
    fake.clear_faults();
    fake.let_time_pass(LAG);
    warehouse.load(&read_on(&everywhere(&fake), &warehouse.states).run().good(&fake));
    warehouse.assert_is(&fake.truth());
    let mut by_status: BTreeMap<u16, u64> = BTreeMap::new();
    for request in fake.requests() {
        *by_status.entry(request.status).or_default() += request.count;
    }
    eprintln!("seed {seed}: the truth after {} rounds; answers by status: {by_status:?}", rounds + 1);
    began.elapsed()
}

#[test]
fn bad_days_end_with_the_truth() {
    let scale: f64 = TIME_SCALE.parse().expect("a number");
    let took: Duration = seeds().into_iter().map(soak).sum();
    eprintln!("soaked for {took:.0?}, which is {:.0} minutes of a real day", took.as_secs_f64() / scale / 60.0);
}
