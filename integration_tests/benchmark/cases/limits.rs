//! Limits on the rate of requests: each row beside the least time in which the limit lets its requests through.

use std::sync::atomic::{AtomicBool, Ordering};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, RetryHint, When};

use super::{Bench, account, even, recordings};
use crate::Done;
use crate::process::Run;
use crate::readers::Reading;
use crate::report::{Aim, Beside};

const PART: &str = "Limits";
/// Of a limit in time: requests a second, and as many at once after a quiet time.
const PER_SECOND: f64 = 20.0;

/// A limit, and what it asks of the connector.
struct Case {
    name: &'static str,
    plan: FaultPlan,
    /// Times the least time.
    aim: f64,
    /// The least time for so many requests, where the limit decides it, in seconds.
    least: fn(requests: f64, late: f64) -> f64,
    /// Whether a limit that stays the same should refuse few requests.
    is_steady: bool,
}

pub fn measure(bench: &mut Bench) -> Done<()> {
    // A request a link, almost all of them to one endpoint.
    let one = Fake::start(account(recordings(1_400, 1)));
    let links = Reading::of(&["recordings"]);
    // Five endpoints side by side.
    let several = Fake::start(account(Counts {
        rooms: 8_000,
        sessions: 20_000,
        peers_per_session: 1,
        templates: 700,
        recordings: 300,
        files_per_recording: Some(1),
        events_per_room: 0,
        ..even()
    }));
    let streams = ["sessions", "rooms", "templates", "template_settings", "recordings"];
    let hint = RetryHint::Seconds(1);
    let in_time = |requests: f64, _: f64| (requests - PER_SECOND) / PER_SECOND;
    let cases = [
        Case {
            name: "5 % refused at random, without a hint",
            plan: bench.late().on("*", When::Probability(0.05), Fault::TooManyRequests(RetryHint::Nothing)),
            aim: 5.0,
            least: |_, _| 0.0,
            is_steady: false,
        },
        Case {
            name: "more than 3 in flight refused, without a hint",
            plan: bench.late().on("*", When::Always, Fault::TooManyInFlight(3)),
            aim: 3.0,
            least: |requests, late| requests * late / 3.0,
            is_steady: true,
        },
        Case {
            name: "20 a second, with a hint",
            plan: bench.late().rate_limit(PER_SECOND, hint.clone()),
            aim: 1.25,
            least: in_time,
            is_steady: true,
        },
    ];
    for case in cases {
        row(bench, &one, &links, "one endpoint", case)?;
    }
    let shared = Case {
        name: "20 a second for all together, with a hint",
        plan: bench.late().rate_limit(PER_SECOND, hint),
        aim: 1.4,
        least: in_time,
        is_steady: true,
    };
    row(bench, &several, &Reading::of(&streams), "five endpoints", shared)?;
    beside_an_app(bench)
}

/// The customer's own app asks beside the connector, under one limit for both.
fn beside_an_app(bench: &mut Bench) -> Done<()> {
    let fake = Fake::start(account(recordings(200, 1)));
    for (per_second, bound) in [(None, "no bound"), (Some(10.0), "bound to 10 a second")] {
        fake.set_faults(bench.late().rate_limit(PER_SECOND, RetryHint::Seconds(1)));
        let (reading, is_over) = (Reading { per_second, ..Reading::of(&["recordings"]) }, AtomicBool::new(false));
        let (run, statuses) = std::thread::scope(|scope| {
            let app = scope.spawn(|| fake.let_an_app_ask(8.0, &is_over));
            let run = bench.connector.read(&fake, &reading);
            is_over.store(true, Ordering::Relaxed);
            (run, app.join().unwrap_or_default())
        });
        let (run, asked) = (run?, statuses.values().sum::<u32>());
        let (refused, ours) = (statuses.get(&429).copied().unwrap_or_default(), run.requests - u64::from(asked));
        let name = format!(
            "20 a second for all together, an app asks 8, {bound}: {refused} of the app's {asked} requests refused"
        );
        bench.add(PART, &name, &Run { requests: ours, ..run.clone() }, None, &[]);
        bench.expect(&name, &run, Some(200));
    }
    Ok(())
}

fn row(bench: &mut Bench, fake: &Fake, reading: &Reading, of: &str, case: Case) -> Done<()> {
    fake.set_faults(bench.late());
    let free = bench.read(fake, reading)?;
    fake.set_faults(case.plan);
    let limited = bench.connector.read(fake, reading)?;
    let refused = fake.request_log().iter().filter(|request| request.status == 429).count() as f64;
    let served = limited.requests as f64 - refused;
    let least = (case.least)(served, bench.arguments.latency as f64 / 1000.0).max(free.wall);
    let percent = 100.0 * refused / limited.requests as f64;
    let name = format!("{of}, {} requests: {}; {percent:.1} % refused", served, case.name);
    let mut aims = vec![Aim::Ratio(case.aim)];
    aims.extend(case.is_steady.then_some(Aim::Refused { percent, most: 8.0 }));
    let beside = Beside::run("least", &Run { wall: least, ..free.clone() });
    bench.add(PART, &name, &limited, Some(beside), &aims);
    bench.expect(&name, &limited, Some(free.output.records as usize));
    Ok(())
}
