//! What reads the account: the connector, and what people would use instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use fake_100ms::Fake;
use serde_json::{Value, json};

use crate::process::{self, Output, Run};
use crate::{Done, tls};

/// Before everything in a fake account.
const START_DATE: &str = "2015-01-01T00:00:00Z";

/// What to read.
#[derive(Clone)]
pub struct Reading<'a> {
    pub streams: &'a [&'a str],
    pub workers: usize,
    /// Whether recordings get links to their files: a request for each.
    pub links: bool,
    /// What a sync before wrote, for one that goes on from there.
    pub since: Option<&'a Output>,
    /// The most requests in a second.
    pub per_second: Option<f64>,
    /// The address of a server in front of the fake.
    pub through: Option<&'a str>,
}

impl<'a> Reading<'a> {
    /// All of `streams`, with the connector's own settings.
    pub fn of(streams: &'a [&'a str]) -> Self {
        Self { streams, workers: 10, links: true, since: None, per_second: None, through: None }
    }

    /// What changed since the sync that wrote `before`.
    pub fn since(self, before: &'a Output) -> Self {
        Self { since: Some(before), ..self }
    }

    fn catalog(&self, sync_mode: impl Fn(&str) -> &'static str) -> Value {
        let entry = |name: &&str| {
            let modes = ["full_refresh", "incremental"];
            let stream = json!({"name": name, "json_schema": {"type": "object"}, "supported_sync_modes": modes});
            json!({"stream": stream, "sync_mode": sync_mode(name), "destination_sync_mode": "append"})
        };
        json!({"streams": self.streams.iter().map(entry).collect::<Vec<_>>()})
    }

    /// States as a platform hands them back.
    fn states(&self) -> Option<Value> {
        let state = |(name, state): (&String, &Value)| {
            let stream = json!({"stream_descriptor": {"name": name}, "stream_state": state});
            json!({"type": "STREAM", "stream": stream})
        };
        self.since.map(|output| output.states.iter().map(state).collect())
    }
}

/// A program that speaks the Airbyte protocol, and a folder for its files.
struct Program {
    command: PathBuf,
    folder: tempfile::TempDir,
}

impl Program {
    fn new(command: PathBuf) -> Done<Self> {
        Ok(Self { command, folder: tempfile::tempdir()? })
    }

    /// The command `read`, with these files.
    fn read(&self, config: &Value, catalog: &Value, state: Option<&Value>) -> Done<Command> {
        let mut command = Command::new(&self.command);
        command.arg("read");
        for (name, content) in [("config", Some(config)), ("catalog", Some(catalog)), ("state", state)] {
            if let Some(content) = content {
                let path = self.folder.path().join(format!("{name}.json"));
                fs::write(&path, content.to_string())?;
                command.arg(format!("--{name}")).arg(path);
            }
        }
        Ok(command)
    }
}

/// This connector.
pub struct Connector(Program);

impl Connector {
    /// The program at `binary`, or the release binary beside this one, built when it is older than the sources.
    pub fn find(binary: Option<&Path>) -> Done<Self> {
        match binary {
            Some(binary) => Ok(Self(Program::new(binary.to_owned())?)),
            None => Ok(Self(Program::new(built()?)?)),
        }
    }

    pub fn read(&self, fake: &Fake, reading: &Reading) -> Done<Run> {
        let config = json!({
            "credentials": {"auth_type": "management_token", "management_token": fake.token()},
            "start_date": START_DATE,
            "num_workers": reading.workers,
            "requests_per_second": reading.per_second,
            "recording_urls": if reading.links { "presigned" } else { "none" },
            "api_url": reading.through.map_or_else(|| fake.url(), str::to_owned),
        });
        let catalog = reading.catalog(|_| "incremental");
        let mut command = self.0.read(&config, &catalog, reading.states().as_ref())?;
        command.env("SSL_CERT_FILE", tls::certificate());
        process::measure(command, fake)
    }

    /// How long `spec` takes, in seconds: the median of twenty.
    pub fn spec(&self) -> Done<f64> {
        let mut times = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            Command::new(&self.0.command).arg("spec").stdout(Stdio::null()).status()?;
            times.push(began.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

/// The release binary of the connector.
fn built() -> Done<PathBuf> {
    let example = std::env::current_exe()?;
    let release = example.parent().and_then(Path::parent).ok_or("the benchmark lies outside of a target folder")?;
    let binary = release.join("source-100ms");
    let built = fs::metadata(&binary).and_then(|file| file.modified()).ok();
    if built.is_none_or(|built| newest(Path::new("src")).is_ok_and(|changed| changed > built)) {
        let target = release.parent().ok_or("the release folder has no parent")?;
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--release", "--bin", "source-100ms", "--target-dir"]).arg(target);
        if !build.status()?.success() {
            return Err("the connector cannot be built".into());
        }
    }
    Ok(binary)
}

/// When the newest file below `folder` was written.
fn newest(folder: &Path) -> Done<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        latest = latest.max(if path.is_dir() { newest(&path)? } else { fs::metadata(&path)?.modified()? });
    }
    Ok(latest)
}

/// The others, as `integration_tests/peers/install` has installed them.
pub struct Peers {
    airbyte: Program,
    python: PathBuf,
    folder: PathBuf,
}

impl Peers {
    pub fn find() -> Done<Self> {
        let folder = PathBuf::from("integration_tests/peers");
        let programs = folder.join(".venv/bin");
        let airbyte = programs.join("source-declarative-manifest");
        if airbyte.exists() {
            Ok(Self { airbyte: Program::new(airbyte)?, python: programs.join("python"), folder })
        } else {
            Err("the other tools are not installed: run `integration_tests/peers/install`".into())
        }
    }

    /// Airbyte's low-code engine with our manifest. Sessions are read whole each time, as by their connector.
    pub fn airbyte(&self, fake: &Fake, reading: &Reading) -> Done<Run> {
        let config = json!({"management_token": fake.token(), "start_date": START_DATE, "api_url": fake.url()});
        let catalog = reading.catalog(|name| if name == "sessions" { "full_refresh" } else { "incremental" });
        let mut command = self.airbyte.read(&config, &catalog, reading.states().as_ref())?;
        command.arg("--manifest-path").arg(self.folder.join("airbyte.yaml"));
        process::measure(command, fake)
    }

    /// dlt's REST source. It has no state here: the API has no filter that it could use for what changed.
    pub fn dlt(&self, fake: &Fake, reading: &Reading) -> Done<Run> {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join("dlt_read.py")).arg(fake.url()).args(reading.streams);
        command.env("MANAGEMENT_TOKEN", fake.token());
        // Its use is not ours to report.
        command.env("RUNTIME__DLTHUB_TELEMETRY", "false");
        process::measure(command, fake)
    }
}
