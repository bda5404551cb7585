//! The fake as a program: prints where it listens and how to get in, then serves until killed; or lets time
//! pass in one that is running.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is started for")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use fake_100ms::{Counts, Fake, FaultPlan, Options, Readings, Scale};
use serde_json::Value;

/// Where `advance` looks for a workspace unless told otherwise; `cargo demo -- --keep` leaves one there.
const USUAL_PORT: u16 = 8100;

/// A fake of the 100ms API with rooms, sessions and recordings that never happened. Unless told otherwise, it is the
/// account of an online tutoring company with the calls of the last six weeks. It prints its address and credentials,
/// and listens on this machine only until you end it.
#[derive(Parser)]
#[command(
    name = "fake-100ms",
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  fake-100ms
  fake-100ms --port 8100
  fake-100ms --now 2026-03-02T15:00:00Z
  fake-100ms --port 8100 --scale large --latency-ms 50
  fake-100ms --reading 'peers as array'
  fake-100ms advance --port 8100"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    workspace: Workspace,
}

#[derive(Subcommand)]
enum Command {
    /// Lets about an hour pass in a workspace that is running, and says what has changed in it.
    Advance {
        /// The port it listens on.
        #[arg(long, value_name = "N", default_value_t = USUAL_PORT)]
        port: u16,
    },
}

#[derive(Args)]
struct Workspace {
    /// The port to listen on. Without it, any free port is taken.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Another seed makes another workspace; the same seed makes the same one.
    #[arg(long, value_name = "N", default_value_t = Options::default().seed)]
    seed: u64,
    /// What is in it, and how much.
    #[arg(long, value_enum)]
    scale: Option<Size>,
    /// The time in the workspace when it starts. Without it, that of a company starts now, and the others on 15 June
    /// 2025 at noon.
    #[arg(long, value_name = "TIME")]
    now: Option<DateTime<Utc>>,
    /// A workspace of this many sessions, all alike, for a benchmark.
    #[arg(long, value_name = "N")]
    sessions: Option<usize>,
    /// How many people are in each of those sessions.
    #[arg(long, value_name = "N")]
    peers_per_session: Option<usize>,
    /// How many rooms there are.
    #[arg(long, value_name = "N")]
    rooms: Option<usize>,
    /// How many deliveries the webhook history holds.
    #[arg(long, value_name = "N")]
    webhook_events: Option<usize>,
    /// How many people have measurements of their calls.
    #[arg(long, value_name = "N")]
    peers_with_stats: Option<usize>,
    /// Every answer comes this many milliseconds later.
    #[arg(long = "latency-ms", value_name = "N", default_value_t = 0, hide_default_value = true)]
    latency: u64,
    /// Answers are never compressed.
    #[arg(long)]
    no_gzip: bool,
    /// Answers come in chunks, without a length.
    #[arg(long)]
    chunked: bool,
    /// Answers one open question of the documents in the other way.
    #[arg(long = "reading", value_name = "NAME", value_parser = readings())]
    readings: Option<Readings>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Size {
    /// A tutoring company with 37 rooms and about 650 sessions, which is what is there by default.
    Company,
    /// Several pages of everything, much of it odd: for tests.
    Small,
    /// 1,500 rooms, 12,000 sessions and 20,000 events.
    Large,
}

/// The names of the other readings, each with what it stands for.
fn readings() -> impl TypedValueParser<Value = Readings> {
    let names = Readings::alternatives().into_iter().map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|chosen| {
        let found = Readings::alternatives().into_iter().find(|(name, _)| *name == chosen);
        found.map_or_else(Readings::documented, |(_, readings)| readings)
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Advance { port }) => advance(port),
        None => serve(&arguments.workspace),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn serve(workspace: &Workspace) -> Result<(), String> {
    let fake = Fake::try_start(workspace.options()).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "Port {} is in use: end the program that uses it, choose another one with --port, or leave --port out for a free one.",
            workspace.port
        ),
        _ => format!("The workspace cannot listen on port {} ({error}): choose another one with --port.", workspace.port),
    })?;
    fake.set_faults(FaultPlan::new().latency(workspace.latency, 0));
    println!("url: {}", fake.url());
    println!("app_access_key: {}", fake.access_key());
    println!("app_secret: {}", fake.app_secret());
    println!("management_token: {}", fake.token());
    loop {
        std::thread::park();
    }
}

impl Workspace {
    fn options(&self) -> Options {
        let scale = self.scale();
        let standard = if scale == Scale::Company { Options::company() } else { Options::default() };
        Options {
            seed: self.seed,
            scale,
            now: self.now.unwrap_or(standard.now),
            port: self.port,
            gzip: !self.no_gzip,
            chunked: self.chunked,
            readings: self.readings.clone().unwrap_or(standard.readings),
            ..standard
        }
    }

    fn scale(&self) -> Scale {
        let is_for_a_benchmark = self.sessions.or(self.peers_per_session).is_some();
        let is_counted = is_for_a_benchmark || self.rooms.or(self.webhook_events).or(self.peers_with_stats).is_some();
        let scale = match self.scale {
            Some(Size::Large) => Scale::Large,
            // How much there is at a company follows from its plan.
            Some(Size::Company) | None if !is_counted => Scale::Company,
            _ => Scale::Small,
        };
        if !is_counted {
            return scale;
        }
        let usual = scale.counts();
        let peers = if is_for_a_benchmark { 3 } else { usual.peers_per_session };
        Scale::Custom(Counts {
            sessions: self.sessions.unwrap_or(usual.sessions),
            peers_per_session: self.peers_per_session.unwrap_or(peers),
            rooms: self.rooms.unwrap_or(usual.rooms),
            webhook_events: self.webhook_events.unwrap_or(usual.webhook_events),
            peers_with_stats: self.peers_with_stats.unwrap_or(usual.peers_with_stats),
            varied: !is_for_a_benchmark,
            ..usual
        })
    }
}

/// Lets an hour pass in the workspace on `port`.
fn advance(port: u16) -> Result<(), String> {
    let answer = post(port, "/__control/advance").map_err(|error| {
        let start = format!("start one with `fake-100ms --port {port}` or `cargo demo -- --keep`");
        match error.kind() {
            ErrorKind::ConnectionRefused => format!("There is no workspace on port {port}: {start}."),
            _ => format!("The program on port {port} is no workspace ({error}): {start}, on a port of its own."),
        }
    })?;
    let streams = answer["streams"].as_object().into_iter().flatten();
    let changed: Vec<String> = streams
        .map(|(stream, keys)| (stream, keys.as_array().map_or(0, Vec::len)))
        .filter(|(_, keys)| *keys > 0)
        .map(|(stream, keys)| format!("{keys} of `{stream}`"))
        .collect();
    let changed = if changed.is_empty() { "none".to_owned() } else { changed.join(", ") };
    println!("About an hour has passed in the workspace. New or changed records: {changed}.");
    Ok(())
}

/// One request by hand: a client would be the largest part of this program.
fn post(port: u16, path: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_good = answer.starts_with("HTTP/1.1 200");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).filter(|_| is_good);
    body.and_then(|body| serde_json::from_str(body).ok())
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidData, "it answers something else"))
}
