//! Every stream: first sync, then what an hour of changes costs.

use fake_100ms::{Counts, Fake};

use super::{Bench, Expected, account, even};
use crate::Done;
use crate::readers::Reading;

const PART: &str = "Every stream, first and second sync";

/// Streams that have rows elsewhere.
const ELSEWHERE: [&str; 2] = ["webhook_events", "peer_quality"];

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
    let streams = || fake_100ms::streams().iter();
    for stream in streams().map(|stream| stream.name.as_str()).filter(|name| !ELSEWHERE.contains(name)) {
        first_and_second(bench, &fake, &[stream], stream)?;
    }
    let offered: Vec<&str> = streams().filter(|stream| !stream.is_extra).map(|stream| stream.name.as_str()).collect();
    first_and_second(bench, &fake, &offered, "all eight")
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
