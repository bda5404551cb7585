//! What a sync costs: requests, CPU, memory and time of the release binary, against a fake account on this machine.
//!
//! Times depend on the machine, so each stands beside something measured in the same run: a fetch of the same
//! pages that parses nothing, the same read without the difficulty, or another tool that reads the same account.
//! It ends in an error when records are missing, and in nothing else: the aims are printed, not enforced.
//!
//! - `process`: runs a program that reads, and takes its measure.
//! - `readers`: the connector, Airbyte's way and dlt's.
//! - `bare`: the fetch that parses nothing.
//! - `tls`: a server in front of the fake that speaks TLS.
//! - `cases`: what is read, from which account; one module for each part of the table.
//! - `report`: the table, as Markdown and as JSON.
//!
//! docs/performance.md explains the method and holds the last table.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what the benchmark is for")]

mod bare;
mod cases;
mod process;
mod readers;
mod report;
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use cases::Bench;

/// Most things can fail for a reason that the user of a benchmark only has to read.
type Done<T> = Result<T, Box<dyn Error>>;

/// Measures requests, CPU, memory and time of the connector against a large fake account.
#[derive(Parser, Debug)]
#[command(name = "cargo benchmark")]
struct Arguments {
    /// Only these parts of the table.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Also read the account with Airbyte's low-code engine and with dlt; `integration_tests/peers/install` first.
    #[arg(long)]
    peers: bool,
    /// The sizes of docs/performance.md: a million sessions, 100,000 recordings, a million files. About ten minutes,
    /// and 5 GB of memory for the fake.
    #[arg(long)]
    full: bool,
    /// Sessions of the parts `size`, `hard` and `peers`, instead of their own sizes.
    #[arg(long, value_name = "NUMBER")]
    sessions: Option<usize>,
    /// Recordings of the part `hard`, instead of its own sizes.
    #[arg(long, value_name = "NUMBER")]
    recordings: Option<usize>,
    /// Milliseconds that each answer is late, where there is a latency.
    #[arg(long, default_value_t = 50, value_name = "MILLISECONDS")]
    latency: u64,
    /// Measures everything so often and keeps the fastest: for a machine with other work to do.
    #[arg(long, default_value_t = 1, value_name = "TIMES")]
    repeat: usize,
    /// Where the figures go.
    #[arg(long, default_value = "target/benchmark.json", value_name = "FILE")]
    json: PathBuf,
    /// Measures this program instead of building the connector: an older release, for instance.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// The parts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every stream, first and second sync.
    Streams,
    /// How cost grows with the account.
    Size,
    /// What used to be slow, or would be with a simpler design.
    Hard,
    /// Limits on the rate of requests, as time divided by what is possible.
    Limits,
    /// What else reads 100ms, on the same account.
    Peers,
}

fn main() -> Done<()> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let parts = match arguments.only.as_slice() {
        [] => vec![Part::Streams, Part::Size, Part::Hard, Part::Limits],
        parts => parts.to_vec(),
    };
    let with_peers = arguments.peers || parts.contains(&Part::Peers);
    let json = arguments.json.clone();
    let mut bench = Bench::new(arguments)?;
    for part in parts {
        match part {
            Part::Streams => cases::streams::measure(&mut bench)?,
            Part::Size => cases::size::measure(&mut bench)?,
            Part::Hard => cases::hard::measure(&mut bench)?,
            Part::Limits => cases::limits::measure(&mut bench)?,
            Part::Peers => {}
        }
    }
    if with_peers {
        cases::peers::measure(&mut bench)?;
    }
    println!("{}", bench.report.markdown());
    println!("Took {:.0} s; the figures are also in {}.", began.elapsed().as_secs_f64(), json.display());
    bench.report.write_json(&json)?;
    match bench.report.missing.as_slice() {
        [] => Ok(()),
        missing => Err(format!("not every record came:\n{}", missing.join("\n")).into()),
    }
}
