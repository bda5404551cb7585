//! `cargo sim`: the connector, the fake API and a destination in one thread of virtual time.
//!
//! ```text
//! cargo sim --minutes 5        seeds from a random one on, for five minutes
//! cargo sim --seed 17          one seed, and its story
//! ```
//!
//! A seed decides everything: the world, the configuration, the streams, the runner, some syncs and what goes wrong
//! in them. What holds after every sync and at the end stands in `life`. Nothing waits: tokio's clock is paused, and
//! goes on to the next timer when nobody has anything to do. So a day passes in milliseconds, every order of events
//! can come up, and the same seed gives the same bytes.
//!
//! - `plan`: what is drawn from the seed; [`plan::Plan::smaller`] is how a failing one is shrunk.
//! - `wire`: requests, answers, the reader and the end of a sync. `clock`: the clocks.
//! - `destination`: runner and tables. `life`: one sync after the other, and the checks.
//!
//! To add a fault: one that the fake knows is one more line in `plan::fault`; one of the wire is one more case in
//! `wire`; one of the machine or the runner is one more field of [`plan::Sync`] or [`plan::Runner`], drawn, shrunk
//! and obeyed. A rare but right choice of our own code is a question to `source_100ms::seams::rarely`.
//!
//! Seeds that failed once stand in `regressions/seeds.txt`, with what they found; they are run first.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for developers: it ends where it must")]

mod clock;
mod destination;
mod life;
#[path = "../../messages.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used, reason = "shared with the integration tests")]
mod messages;
mod plan;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use life::{Told, live};
use plan::Plan;

const REGRESSIONS: &str = include_str!("../regressions/seeds.txt");
/// How long a failing plan is made smaller.
const SHRINKING: Duration = Duration::from_secs(30);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The connector, the fake API and a destination in one thread of virtual time, each sync drawn from a number.
#[derive(Parser)]
struct Arguments {
    /// Run this seed alone and print its story.
    #[arg(long)]
    seed: Option<u64>,
    /// The first of many seeds; a random one by default.
    #[arg(long)]
    from: Option<u64>,
    /// For how long.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Go on after a seed that fails, and name it in one line.
    #[arg(long)]
    go_on: bool,
}

/// Where and why the last panic was.
static PANIC: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| *PANIC.lock().expect("text") = panic.to_string()));
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        return one(seed);
    }
    let first = arguments.from.unwrap_or_else(|| fastrand::u64(0..1 << 48));
    many(first, Duration::from_secs_f64(60.0 * arguments.minutes), arguments.go_on)
}

/// Runs the plan; a panic is one more way in which it does not hold.
fn run(plan: &Plan, story: Option<&mut Vec<String>>) -> Result<Told, String> {
    catch_unwind(AssertUnwindSafe(|| live(plan, story)))
        .unwrap_or_else(|_| Err(std::mem::take(&mut *PANIC.lock().expect("text"))))
}

fn one(seed: u64) -> ExitCode {
    let mut story = Vec::new();
    let plan = Plan::of(seed);
    match run(&plan, Some(&mut story)) {
        Ok(told) => {
            println!("{}\nseed {seed} holds: {told:?}", story.join("\n"));
            ExitCode::SUCCESS
        }
        Err(why) => failure(plan, &why),
    }
}

fn many(first: u64, time: Duration, goes_on: bool) -> ExitCode {
    println!("cargo sim --from {first}: again from here");
    let (began, mut told, mut seeds, mut failed) = (Instant::now(), Told::default(), 0_u64, 0_u64);
    let old = REGRESSIONS.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    for seed in old.chain(first..) {
        if began.elapsed() > time {
            break;
        }
        let plan = Plan::of(seed);
        let mut ended = run(&plan, None);
        // A sample: whether the same seed gives the same bytes.
        if seeds.is_multiple_of(16) && ended.is_ok() && run(&plan, None) != ended {
            ended = Err("the same seed gives other bytes the second time".to_owned());
        }
        seeds += 1;
        match ended {
            Ok(of_this) => {
                told.requests += of_this.requests;
                told.records += of_this.records;
            }
            Err(why) if goes_on => {
                failed += 1;
                println!("seed {seed}: {}", why.lines().take(3).collect::<Vec<_>>().join(" | "));
            }
            Err(why) => return failure(plan, &why),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds from {first} in {seconds:.0} s, {:.0} a second: {} requests, {} records, {failed} failed",
        seeds as f64 / seconds,
        told.requests,
        told.records
    );
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The same failure with as little as possible around it: the kind is told by the beginning of its sentence.
fn shrunk(mut plan: Plan, why: &str) -> Plan {
    let kind = |why: &str| why.lines().last().unwrap_or_default().split('`').next().unwrap_or_default().to_owned();
    let (began, wanted) = (Instant::now(), kind(why));
    'smaller: while began.elapsed() < SHRINKING {
        for smaller in plan.smaller() {
            if began.elapsed() > SHRINKING {
                break;
            }
            if run(&smaller, None).is_err_and(|why| kind(&why) == wanted) {
                plan = smaller;
                continue 'smaller;
            }
        }
        break;
    }
    plan
}

/// Prints the story of a failing plan, made as small as it gets.
fn failure(plan: Plan, why: &str) -> ExitCode {
    let (plan, mut story) = (shrunk(plan, why), Vec::new());
    let ended = run(&plan, Some(&mut story));
    println!("{plan:#?}\n{}", story.join("\n"));
    println!("\nseed {} fails: {}\ncargo sim --seed {}", plan.seed, ended.err().unwrap_or_default(), plan.seed);
    ExitCode::FAILURE
}
