//! What attacks on the connector found, each as a test: a hostile or broken server, clock, process or runner.

/// Secrets that came out.
mod leaked;
/// Changes that never arrived: clocks, lag, runners, odd values.
mod lost;
/// Reads that never ended, took far too long, or gave up where they need not.
mod stuck;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fake_100ms::{Counts, Fake, Options, Scale};
use serde_json::{Value, json};

use crate::harness::{Call, Finished, catalog, config, states};
use crate::messages::{Level, Transcript};

/// A workspace with several short pages of everything, but for what `options` says otherwise.
fn small(options: Options) -> Fake {
    let counts =
        Counts { rooms: 44, sessions: 130, recordings: 60, templates: 24, events_per_room: 4, ..Counts::default() };
    Fake::start(Options { scale: Scale::Custom(counts), max_page: 20, ..options })
}

/// A read of some streams that goes on from `saved`.
fn read(config: &Value, streams: &[&str], saved: &BTreeMap<String, Value>) -> Call {
    Call::read(config, &catalog(streams, "incremental")).file("state", &states(saved)).argument("--debug")
}

/// A first read of some streams of this workspace.
fn first_read(fake: &Fake, streams: &[&str]) -> Call {
    read(&config(fake), streams, &BTreeMap::new())
}

/// Runs to the end, or panics when that does not come in time.
fn ends_within(call: Call, at_most: Duration) -> Finished {
    let mut running = call.start();
    let stdout = running.child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || {
        let (mut stdout, mut bytes) = (stdout, Vec::new());
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes)
    });
    let began = Instant::now();
    if running.wait(at_most).is_none() {
        running.child.kill().expect("the process can be killed");
        panic!("no end after {:.0?}: {}", began.elapsed(), running.call.path("").display());
    }
    let stdout = reader.join().expect("it reads").expect("stdout is readable");
    Finished { stdout, ..running.finish() }
}

/// The warnings that hold all of these words.
fn warnings<'a>(transcript: &'a Transcript, words: &[&str]) -> Vec<&'a str> {
    let holds = |log: &&str| words.iter().all(|word| log.contains(word));
    transcript.logs(Level::Warn).into_iter().filter(holds).collect()
}

/// A configuration with a token from the dashboard.
fn with_pasted_token(fake: &Fake) -> Value {
    let token = fake.token();
    let mut config = config(fake);
    config["credentials"] = json!({"auth_type": "management_token", "management_token": token});
    config
}
