//! What is hard: chains of pages, links, many workers, refusals, lists without order, everything in one second; and
//! two of the extra streams.

use fake_100ms::{Counts, Fake, Fault, FaultPlan, ListOrder, Options, Readings, RetryHint, When};

use super::{Bench, Expected, account, even, recordings, sessions};
use crate::process::Run;
use crate::readers::Reading;
use crate::report::{Aim, Beside, grouped};
use crate::{Done, tls};

const PART: &str = "What is hard";

pub fn measure(bench: &mut Bench) -> Done<()> {
    chains(bench)?;
    links(bench)?;
    many_workers(bench)?;
    everything_in_one_second(bench)?;
    one_refusal(bench)?;
    a_limit_on_one_endpoint(bench)?;
    no_order(bench)?;
    compressed_answers(bench)?;
    encrypted_answers(bench)?;
    a_month_of_webhook_events(bench)?;
    quality_of_calls(bench)
}

/// Two lists that can only be walked page by page.
fn chains(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.recordings.unwrap_or(bench.size(10_000, 100_000));
    let fake = Fake::start(account(recordings(size, 1)));
    fake.set_faults(bench.late());
    let name = grouped(size as u64);
    let case = format!("{name} recordings with {name} files, no links, {}", bench.latency());
    let of = Expected { reading: Reading { links: false, ..Reading::of(&["recordings"]) }, records: Some(size) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Ratio(1.1)])?;
    Ok(())
}

/// A request for each file while the lists are walked.
fn links(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.recordings.unwrap_or(bench.size(1_000, 10_000));
    let fake = Fake::start(account(recordings(size, 1)));
    fake.set_faults(bench.late());
    let case = format!("{} recordings with a link each, 10 workers, {}", grouped(size as u64), bench.latency());
    let of = Expected { reading: Reading::of(&["recordings"]), records: Some(size) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Ratio(1.1)])?;
    Ok(())
}

fn many_workers(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.sessions.unwrap_or(100_000);
    let fake = Fake::start(account(sessions(size)));
    fake.set_faults(bench.late());
    let case = format!("{} sessions, 50 workers, {}", grouped(size as u64), bench.latency());
    let of = Expected { reading: Reading { workers: 50, ..Reading::of(&["sessions"]) }, records: Some(size) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Ratio(1.2)])?;
    Ok(())
}

/// Where no bound on time can cut: the API's filters know whole seconds.
fn everything_in_one_second(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.sessions.unwrap_or(100_000);
    let crowd = size * 2 / 5;
    let fake = Fake::start(account(Counts { sessions_in_one_second: crowd, ..sessions(size) }));
    fake.set_faults(bench.late());
    let (size_name, crowd, late) = (grouped(size as u64), grouped(crowd as u64), bench.latency());
    let case = format!("{size_name} sessions, {crowd} of them in one second, {late}");
    let of = Expected { reading: Reading::of(&["sessions"]), records: Some(size) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Ratio(1.2)])?;
    Ok(())
}

/// The first answer is a 429 that asks for a second of patience.
fn one_refusal(bench: &mut Bench) -> Done<()> {
    let size = 10_000;
    let fake = Fake::start(account(sessions(size)));
    let reading = Reading::of(&["sessions"]);
    fake.set_faults(bench.late());
    let smooth = bench.read(&fake, &reading)?;
    let hint = || Fault::TooManyRequests(RetryHint::Seconds(1));
    // Not repeated: the plan counts from the moment it is set.
    fake.set_faults(bench.late().on("*", When::Nth(1), hint()));
    let refused = bench.connector.read(&fake, &reading)?;
    let case = format!("{} sessions, the first answer is a 429 (1 s), {}", grouped(size as u64), bench.latency());
    let beside = Beside::run("without the 429", &smooth);
    bench.add(PART, &case, &refused, Some(beside), &[Aim::Time(4.0)]);
    bench.expect(&case, &refused, Some(size));
    Ok(())
}

/// Sessions are limited to five requests a second; how long do the other streams take?
fn a_limit_on_one_endpoint(bench: &mut Bench) -> Done<()> {
    let counts = Counts {
        rooms: 3_000,
        sessions: 5_000,
        peers_per_session: 1,
        templates: 200,
        recordings: 1_000,
        events_per_room: 0,
        ..even()
    };
    let fake = Fake::start(account(counts));
    let streams = ["sessions", "rooms", "templates", "template_settings", "recordings"];
    let reading = Reading::of(&streams);
    fake.set_faults(bench.late());
    let free = without_sessions(bench.read(&fake, &reading)?);
    let limit = |plan: FaultPlan| plan.rate_limit_on("/v2/sessions", 5.0, RetryHint::Seconds(1));
    fake.set_faults(limit(bench.late()));
    let limited = without_sessions(bench.read(&fake, &reading)?);
    let case = format!("four streams while sessions may be asked 5 times a second, {}", bench.latency());
    let beside = Beside::run("without the limit", &free);
    bench.add(PART, &case, &limited, Some(beside), &[Aim::Ratio(1.1)]);
    bench.expect(&case, &limited, Some(free.output.records as usize));
    Ok(())
}

/// The same run, ending when the last stream but `sessions` was complete.
fn without_sessions(run: Run) -> Run {
    let others = run.output.completed.iter().filter(|(stream, _)| *stream != "sessions");
    let wall = others.map(|(_, time)| *time).fold(0.0, f64::max);
    Run { wall, ..run }
}

/// Files and recordings in no order: nothing tells when the files of a recording have all been seen.
fn no_order(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.recordings.unwrap_or(bench.size(10_000, 100_000));
    let readings = Readings { recording_order: ListOrder::Shuffled, ..Readings::documented() };
    let fake = Fake::start(Options { readings, ..account(recordings(size, 10)) });
    let files = grouped(size as u64 * 10);
    let case = format!("{} recordings with {files} files, lists out of order, no latency", grouped(size as u64));
    let of = Expected { reading: Reading { links: false, ..Reading::of(&["recordings"]) }, records: Some(size) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Megabytes(64.0)])?;
    Ok(())
}

/// What TLS costs. The other side of it is on the same cores, so the time says less than the CPU.
fn encrypted_answers(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.sessions.unwrap_or(bench.size(20_000, 100_000));
    let fake = Fake::start(account(sessions(size)));
    let address = tls::before(&fake)?;
    for (plan, latency) in [(FaultPlan::new(), "no latency".to_owned()), (bench.late(), bench.latency())] {
        fake.set_faults(plan);
        let reading = Reading::of(&["sessions"]);
        let plain = bench.read(&fake, &reading)?;
        let run = bench.read(&fake, &Reading { through: Some(&address), ..reading })?;
        let case = format!("{} sessions over TLS, {latency}", grouped(size as u64));
        bench.add(PART, &case, &run, Some(Beside::run("without TLS", &plain)), &[]);
        bench.expect(&case, &run, Some(size));
    }
    Ok(())
}

/// Pages with numbers, the whole workspace at once.
fn a_month_of_webhook_events(bench: &mut Bench) -> Done<()> {
    let size = bench.size(50_000, 500_000);
    let fake = Fake::start(account(Counts { webhook_events: size, ..sessions(1_000) }));
    let records = fake.webhook_event_ids().len();
    let of = Expected { reading: Reading::of(&["webhook_events"]), records: Some(records) };
    let name = grouped(size as u64);
    let most = Aim::Requests(size as u64 / 100 + 40);
    let case = format!("30 days of {name} webhook events, no latency");
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Megabytes(25.0), most])?;
    fake.set_faults(bench.late());
    let case = format!("30 days of {name} webhook events, {}", bench.latency());
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Megabytes(25.0), Aim::Ratio(1.15)])?;
    Ok(())
}

/// A request for each person who was in a call.
fn quality_of_calls(bench: &mut Bench) -> Done<()> {
    let people = bench.size(1_000, 10_000);
    let fake = Fake::start(account(Counts { peers_with_stats: people, ..sessions(people / 3 + people / 75) }));
    let records = fake.truth().streams["peer_quality"].len();
    fake.set_faults(bench.late());
    let case = format!("quality of the calls of {} people, 10 workers, {}", grouped(people as u64), bench.latency());
    let of = Expected { reading: Reading::of(&["peer_quality"]), records: Some(records) };
    bench.beside_bare(PART, &case, &fake, &of, &[Aim::Megabytes(25.0), Aim::Ratio(1.15)])?;
    Ok(())
}

/// What decompressing costs. Compressing costs the fake far more, so only CPU and memory say something here.
fn compressed_answers(bench: &mut Bench) -> Done<()> {
    let size = bench.arguments.sessions.unwrap_or(bench.size(20_000, 100_000));
    let plain = Fake::start(account(sessions(size)));
    let packed = Fake::start(Options { gzip: true, ..account(sessions(size)) });
    let reading = Reading::of(&["sessions"]);
    let (plain, packed) = (bench.read(&plain, &reading)?, bench.read(&packed, &reading)?);
    let case = format!("{} sessions, answers compressed, no latency", grouped(size as u64));
    bench.add(PART, &case, &packed, Some(Beside::run("uncompressed", &plain)), &[]);
    bench.expect(&case, &packed, Some(size));
    Ok(())
}
