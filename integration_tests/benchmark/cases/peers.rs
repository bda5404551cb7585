//! The same account, read by what people would use instead.
//!
//! The fake is set to what suits them: whole seconds, which their date formats can read, creation as the change of
//! a room never edited, and sessions of both kinds although they do not ask for them. Recordings come without links,
//! which the others do not fetch either.

use fake_100ms::{Counts, Fake, Fraction, NeverEdited, Options, Readings, UnsetFilter};

use super::{Bench, account, even, fastest, sessions};
use crate::Done;
use crate::process::Run;
use crate::readers::{Peers, Reading};
use crate::report::{Beside, grouped};

const PART: &str = "Beside what people would use instead";

/// The streams that all three read from the same endpoints.
const STREAMS: [&str; 4] = ["sessions", "rooms", "templates", "recordings"];

pub fn measure(bench: &mut Bench) -> Done<()> {
    let peers = Peers::find()?;
    let few = bench.arguments.sessions.unwrap_or(10_000);
    let many = bench.arguments.sessions.unwrap_or(bench.size(10_000, 100_000));
    let late = bench.latency();

    let fake = suiting(sessions(many));
    let name = grouped(many as u64);
    let of = Reading::of(&["sessions"]);
    compare(bench, &peers, &fake, &format!("{name} sessions, no latency"), [&of; 3])?;

    let fake = suiting(sessions(few));
    fake.set_faults(bench.late());
    let name = grouped(few as u64);
    compare(bench, &peers, &fake, &format!("{name} sessions, {late}"), [&of; 3])?;

    let fake = suiting(middling());
    fake.set_faults(bench.late());
    let of = Reading { links: false, ..Reading::of(&STREAMS) };
    let [ours, airbyte, dlt] = compare(bench, &peers, &fake, &format!("four streams, {late}"), [&of; 3])?;
    fake.advance();
    let again = [&of.clone().since(&ours.output), &of.clone().since(&airbyte.output), &of.since(&dlt.output)];
    compare(bench, &peers, &fake, &format!("four streams, an hour later, {late}"), again)?;
    Ok(())
}

/// An account of four streams of some size.
fn middling() -> Counts {
    let events_per_room = 0;
    Counts {
        rooms: 2_000,
        sessions: 5_000,
        peers_per_session: 3,
        templates: 200,
        recordings: 2_000,
        events_per_room,
        ..even()
    }
}

fn suiting(counts: Counts) -> Fake {
    let readings = Readings {
        fraction: Fraction::None,
        never_edited: NeverEdited::CreatedAt,
        unset_filter: UnsetFilter::Both,
        ..Readings::documented()
    };
    Fake::start(Options { readings, ..account(counts) })
}

/// Reads with all three: the connector's read, and those of the others beside it.
fn compare(bench: &mut Bench, peers: &Peers, fake: &Fake, case: &str, readings: [&Reading; 3]) -> Done<[Run; 3]> {
    let [our_reading, airbyte_reading, dlt_reading] = readings;
    let times = bench.arguments.repeat;
    let ours = bench.read(fake, our_reading)?;
    let airbyte = fastest(times, || peers.airbyte(fake, airbyte_reading), |run| run.wall)?;
    let dlt = fastest(times, || peers.dlt(fake, dlt_reading), |run| run.wall)?;
    bench.add(PART, &format!("{case}: this connector"), &ours, None, &[]);
    for (name, run) in [("Airbyte's low-code engine", &airbyte), ("dlt", &dlt)] {
        let beside = Beside::run("this connector", &ours);
        bench.add(PART, &format!("{case}: {name}"), run, Some(beside), &[]);
    }
    Ok([ours, airbyte, dlt])
}
