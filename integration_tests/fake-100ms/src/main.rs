//! The fake as a program: prints where it listens and how to get in, then serves until killed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is started for")]

use std::process::ExitCode;

use fake_100ms::{Counts, Fake, FaultPlan, Options, Readings, Scale};

const USAGE: &str = "\
usage: fake-100ms [--port N] [--seed S] [--scale small|large]
                  [--sessions N] [--peers-per-session M] [--rooms N]
                  [--webhook-events N] [--peers-with-stats N]
                  [--latency-ms N] [--no-gzip] [--chunked] [--reading NAME]

--sessions makes a workspace of that many sessions, all alike, for a benchmark; the counts beside
it change how much there is of the rest.
--reading answers one open question of the documents in the other way.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Arguments::parse(&arguments) {
        Ok(arguments) => serve(arguments),
        Err(message) => {
            eprintln!("fake-100ms: {message}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn serve(arguments: Arguments) -> ExitCode {
    let fake = Fake::start(arguments.options());
    fake.set_faults(FaultPlan::new().latency(arguments.latency, 0));
    println!("url: {}", fake.url());
    println!("app_access_key: {}", fake.access_key());
    println!("app_secret: {}", fake.app_secret());
    println!("management_token: {}", fake.token());
    loop {
        std::thread::park();
    }
}

#[derive(Default)]
struct Arguments {
    port: u16,
    seed: Option<u64>,
    large: bool,
    sessions: Option<usize>,
    peers_per_session: Option<usize>,
    rooms: Option<usize>,
    webhook_events: Option<usize>,
    peers_with_stats: Option<usize>,
    latency: u64,
    no_gzip: bool,
    chunked: bool,
    readings: Option<Readings>,
}

impl Arguments {
    fn parse(words: &[String]) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(format!("`{flag}` needs a value"));
            match flag.as_str() {
                "--port" => arguments.port = number(flag, value()?)?,
                "--seed" => arguments.seed = Some(number(flag, value()?)?),
                "--scale" => arguments.large = is_large(value()?)?,
                "--sessions" => arguments.sessions = Some(number(flag, value()?)?),
                "--peers-per-session" => arguments.peers_per_session = Some(number(flag, value()?)?),
                "--rooms" => arguments.rooms = Some(number(flag, value()?)?),
                "--webhook-events" => arguments.webhook_events = Some(number(flag, value()?)?),
                "--peers-with-stats" => arguments.peers_with_stats = Some(number(flag, value()?)?),
                "--latency-ms" => arguments.latency = number(flag, value()?)?,
                "--no-gzip" => arguments.no_gzip = true,
                "--chunked" => arguments.chunked = true,
                "--reading" => arguments.readings = Some(reading(value()?)?),
                _ => return Err(format!("`{flag}` is unknown")),
            }
        }
        Ok(arguments)
    }

    fn options(&self) -> Options {
        let standard = Options::default();
        Options {
            seed: self.seed.unwrap_or(standard.seed),
            scale: self.scale(),
            port: self.port,
            gzip: !self.no_gzip,
            chunked: self.chunked,
            readings: self.readings.clone().unwrap_or(standard.readings),
            ..standard
        }
    }

    fn scale(&self) -> Scale {
        let scale = if self.large { Scale::Large } else { Scale::Small };
        let usual = scale.counts();
        let is_for_a_benchmark = self.sessions.or(self.peers_per_session).is_some();
        if !is_for_a_benchmark && self.rooms.or(self.webhook_events).or(self.peers_with_stats).is_none() {
            return scale;
        }
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

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    let wrong = |_| format!("`{flag}` is `{text}`: expected a number");
    text.parse().map_err(wrong)
}

fn is_large(text: &str) -> Result<bool, String> {
    match text {
        "small" => Ok(false),
        "large" => Ok(true),
        _ => Err(format!("`--scale` is `{text}`: expected `small` or `large`")),
    }
}

fn reading(name: &str) -> Result<Readings, String> {
    let all = Readings::alternatives();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let unknown = format!("`--reading` is `{name}`: expected one of `{}`", names.join("`, `"));
    let found = all.into_iter().find(|(other, _)| *other == name);
    found.map(|(_, readings)| readings).ok_or(unknown)
}
