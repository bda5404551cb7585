//! What is read, from which account.

pub mod hard;
pub mod limits;
pub mod peers;
pub mod size;
pub mod streams;

use fake_100ms::{Counts, Fake, FaultPlan, Options, Scale};

use crate::process::Run;
use crate::readers::{Connector, Reading};
use crate::report::{Aim, Beside, Report, Row};
use crate::{Arguments, Done, bare};

/// The connector, and the table being filled.
pub struct Bench {
    pub arguments: Arguments,
    pub report: Report,
    connector: Connector,
}

impl Bench {
    pub fn new(arguments: Arguments) -> Done<Self> {
        let connector = Connector::find(arguments.binary.as_deref())?;
        let report = Report::new(connector.spec()?);
        Ok(Self { arguments, report, connector })
    }

    /// One size as a rule, another for the whole table.
    fn size(&self, usual: usize, full: usize) -> usize {
        if self.arguments.full { full } else { usual }
    }

    /// Every answer comes late.
    fn late(&self) -> FaultPlan {
        FaultPlan::new().latency(self.arguments.latency, 0)
    }

    /// `50 ms`, for the name of a case.
    fn latency(&self) -> String {
        format!("{} ms", self.arguments.latency)
    }

    /// Reads as often as was asked for; the fastest counts.
    fn read(&self, fake: &Fake, reading: &Reading) -> Done<Run> {
        fastest(self.arguments.repeat, || self.connector.read(fake, reading), |run| run.wall)
    }

    /// The connector's read, beside a bare fetch of the same pages on as many connections.
    fn beside_bare(&mut self, part: &'static str, case: &str, fake: &Fake, of: &Expected, aims: &[Aim]) -> Done<Run> {
        let run = self.read(fake, &of.reading)?;
        let bare = || bare::fetch(fake, of.reading.workers);
        let bare = fastest(self.arguments.repeat, bare, |bare| bare.wall)?;
        self.add(part, case, &run, Some(Beside::bare(bare)), aims);
        self.expect(case, &run, of.records);
        Ok(run)
    }

    fn add(&mut self, part: &'static str, case: &str, run: &Run, beside: Option<Beside>, aims: &[Aim]) {
        self.report.add(Row { part, case: case.to_owned(), figures: run.into(), beside, aims: aims.to_vec() });
    }

    fn expect(&mut self, case: &str, run: &Run, records: Option<usize>) {
        let came = run.output.records;
        if let Some(records) = records.filter(|records| *records as u64 != came) {
            self.report.missing.push(format!("{case}: {came} records instead of {records}"));
        }
    }
}

/// A read of which it is known what comes; `None` where the account has changed meanwhile.
struct Expected<'a> {
    reading: Reading<'a>,
    records: Option<usize>,
}

/// Does it `times` times and keeps the one that took least.
fn fastest<T>(times: usize, once: impl Fn() -> Done<T>, wall: impl Fn(&T) -> f64) -> Done<T> {
    let mut best = once()?;
    for _ in 1..times {
        let again = once()?;
        if wall(&again) < wall(&best) {
            best = again;
        }
    }
    Ok(best)
}

/// Sessions of three peers each, evenly spread over two years.
fn sessions(sessions: usize) -> Counts {
    Counts { rooms: 100, sessions, peers_per_session: 3, templates: 0, recordings: 0, events_per_room: 0, ..even() }
}

/// Recordings with so many files each.
fn recordings(recordings: usize, files: usize) -> Counts {
    let sessions = 1_000;
    Counts {
        rooms: 100,
        sessions,
        peers_per_session: 1,
        templates: 0,
        recordings,
        files_per_recording: Some(files),
        events_per_room: 0,
        ..even()
    }
}

/// Without the odd ones, which tests need and measurements do not.
fn even() -> Counts {
    Counts { varied: false, ..Counts::default() }
}

/// A fake that remembers every request and does not compress, which would cost it more than all the rest.
fn account(counts: Counts) -> Options {
    Options { scale: Scale::Custom(counts), gzip: false, log_length: 2_000_000, ..Options::default() }
}
