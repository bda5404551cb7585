//! Every stream: first sync, then what an hour of changes costs.

use fake_100ms::{Counts, Fake};

use super::{Bench, Expected, account, even};
use crate::Done;
use crate::readers::Reading;

const PART: &str = "Every stream, first and second sync";

const STREAMS: [&str; 8] = [
    "sessions",
    "rooms",
    "active_room_peers",
    "templates",
    "template_settings",
    "templates_destinations",
    "analytics_events",
    "recordings",
];

/// A middling account: 10,000 sessions of three peers, 500 rooms, 100 templates, 1,000 recordings, 10,000 events.
fn middling() -> Counts {
    Counts {
        rooms: 500,
        sessions: 10_000,
        peers_per_session: 3,
        templates: 100,
        recordings: 1_000,
        events_per_room: 20,
        ..even()
    }
}

pub fn measure(bench: &mut Bench) -> Done<()> {
    let fake = Fake::start(account(middling()));
    for stream in STREAMS.into_iter().chain(["session_peers", "recording_assets"]) {
        first_and_second(bench, &fake, &[stream], stream)?;
    }
    first_and_second(bench, &fake, &STREAMS, "all eight")
}

fn first_and_second(bench: &mut Bench, fake: &Fake, streams: &[&str], name: &str) -> Done<()> {
    let truth = fake.truth();
    let records = streams.iter().map(|stream| truth.streams[*stream].len()).sum();
    let of = Expected { reading: Reading::of(streams), records: Some(records) };
    fake.clear_faults();
    let first = bench.beside_bare(PART, &format!("{name}, no latency"), fake, &of, &[])?;
    fake.set_faults(bench.late());
    let late = bench.latency();
    bench.beside_bare(PART, &format!("{name}, {late}"), fake, &of, &[])?;
    fake.advance();
    let of = Expected { reading: Reading::of(streams).since(&first.output), records: None };
    fake.clear_faults();
    bench.beside_bare(PART, &format!("{name}, an hour later, no latency"), fake, &of, &[])?;
    fake.set_faults(bench.late());
    bench.beside_bare(PART, &format!("{name}, an hour later, {late}"), fake, &of, &[])?;
    Ok(())
}
