//! The table: rows as they are measured, as Markdown for people and as JSON for whoever compares runs.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Done;
use crate::bare::Bare;
use crate::process::Run;

/// Everything measured in one run of the benchmark.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub machine: Machine,
    /// Seconds that `spec` takes.
    pub spec: f64,
    pub rows: Vec<Row>,
    /// Reads that did not bring every record.
    pub missing: Vec<String>,
}

/// Where it was measured.
#[derive(Debug, Default, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub date: String,
}

/// One read, what it came to, and what stands beside it.
#[derive(Debug, Serialize)]
pub struct Row {
    pub part: &'static str,
    pub case: String,
    #[serde(flatten)]
    pub figures: Figures,
    pub beside: Option<Beside>,
    pub aims: Vec<Aim>,
}

/// What was measured of a read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figures {
    pub records: u64,
    pub requests: u64,
    /// Seconds.
    pub cpu: f64,
    pub megabytes: f64,
    /// Seconds.
    pub time: f64,
}

impl From<&Run> for Figures {
    fn from(run: &Run) -> Self {
        Self {
            records: run.output.records,
            requests: run.requests,
            cpu: run.cpu,
            megabytes: run.kilobytes as f64 * 1024.0 / 1e6,
            time: run.wall,
        }
    }
}

/// What a read is compared with.
#[derive(Debug, Serialize)]
pub struct Beside {
    pub what: String,
    pub cpu: f64,
    pub time: f64,
}

impl Beside {
    /// The bare fetch of the same pages.
    pub fn bare(bare: Bare) -> Self {
        Self { what: "bare fetch".into(), cpu: bare.cpu, time: bare.wall }
    }

    /// Another read.
    pub fn run(what: &str, run: &Run) -> Self {
        Self { what: what.into(), cpu: run.cpu, time: run.wall }
    }
}

/// What a read should not exceed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// Times the time of what stands beside it.
    Ratio(f64),
    /// Seconds from start to end.
    Time(f64),
    /// Seconds of CPU.
    Cpu(f64),
    /// Memory.
    Megabytes(f64),
    Requests(u64),
    /// Per cent of the requests that were refused.
    Refused {
        percent: f64,
        most: f64,
    },
}

impl Aim {
    fn text(self, row: &Row) -> String {
        let (limit, is_met) = match self {
            Self::Ratio(most) => (format!("{most} ×"), row.ratio(|beside| (row.figures.time, beside.time)) <= most),
            Self::Time(most) => (format!("{most} s"), row.figures.time <= most),
            Self::Cpu(most) => (format!("{most} s of CPU"), row.figures.cpu <= most),
            Self::Megabytes(most) => (format!("{most} MB"), row.figures.megabytes <= most),
            Self::Refused { percent, most } => (format!("{most} % refused"), percent <= most),
            Self::Requests(most) => (format!("{} requests", grouped(most)), row.figures.requests <= most),
        };
        format!("≤ {limit}{}", if is_met { "" } else { " **missed**" })
    }
}

impl Row {
    fn ratio(&self, of: impl Fn(&Beside) -> (f64, f64)) -> f64 {
        let (one, other) = self.beside.as_ref().map_or((0.0, 1.0), of);
        one / other.max(1e-9)
    }

    fn markdown(&self) -> String {
        let Figures { records, requests, cpu, megabytes, time } = self.figures;
        let beside = self.beside.as_ref();
        let cells = [
            self.case.clone(),
            grouped(records),
            grouped(requests),
            format!("{cpu:.2} s"),
            format!("{megabytes:.0} MB"),
            format!("{time:.2} s"),
            beside.map_or(String::new(), |beside| format!("{}: {:.2} s", beside.what, beside.time)),
            beside.map_or(String::new(), |beside| ratio(time, beside.time)),
            beside.map_or(String::new(), |beside| ratio(cpu, beside.cpu)),
            self.aims.iter().map(|aim| aim.text(self)).collect::<Vec<_>>().join(", "),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

const HEAD: &str = "\
| what is read | records | requests | CPU | memory | time | beside it | time / its time | CPU / its CPU | aim |
|---|--:|--:|--:|--:|--:|---|--:|--:|---|";

impl Report {
    pub fn new(spec: f64) -> Self {
        Self { machine: Machine::this(), spec, ..Self::default() }
    }

    /// Adds a row, and says so to whoever waits.
    pub fn add(&mut self, row: Row) {
        eprintln!("{}", row.markdown());
        self.rows.push(row);
    }

    /// The table in one piece for each part.
    pub fn markdown(&self) -> String {
        let Machine { processor, cores, date } = &self.machine;
        let mut text = format!("\n{date}, {cores} cores ({processor}). `spec` takes {:.1} ms.\n", self.spec * 1000.0);
        for (number, row) in self.rows.iter().enumerate() {
            if number == 0 || self.rows[number - 1].part != row.part {
                text += &format!("\n**{}**\n\n{HEAD}\n", row.part);
            }
            text += &row.markdown();
            text.push('\n');
        }
        text
    }

    pub fn write_json(&self, path: &Path) -> Done<()> {
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

impl Machine {
    fn this() -> Self {
        let description = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = description.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            processor: named.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        }
    }
}

/// How many times as much `one` is as `other`. What is too short to be measured has no ratio.
fn ratio(one: f64, other: f64) -> String {
    match one / other {
        ratio if !ratio.is_finite() || other < 0.005 => "–".into(),
        ratio if ratio < 10.0 => format!("{ratio:.2} ×"),
        ratio => format!("{ratio:.0} ×"),
    }
}

/// 12345 as 12,345.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
