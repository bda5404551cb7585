//! What can be typed: arguments in, one file a command, exit code out.

mod check;
mod discover;
mod read;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value};

use crate::airbyte::{Level, Message, Spec, parse_json};
use crate::api::{self, Client, Credentials, Policy};
use crate::config::Config;
use crate::failure::Failure;
use crate::redact::Redactor;
use crate::sync::{Output, OutputClosed, Stop, stopped};

/// The page that platforms link beside the form. This project has no web site, so the link leads to what the
/// form asks for first: the vendor's page on credentials. `metadata.yaml` names the same one.
const DOCUMENTATION: &str = "https://www.100ms.live/docs/concepts/v2/concepts/security-and-tokens";
/// A pasted token that expires sooner is worth a warning.
const EXPIRES_SOON: chrono::TimeDelta = chrono::TimeDelta::days(3);

/// Reads rooms, sessions, recordings and more from 100ms, in the Airbyte protocol.
#[derive(Debug, Clone, Parser)]
#[command(name = "source-100ms", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Logs every retry and skipped child
    #[arg(long, global = true)]
    debug: bool,
    /// Accepted and ignored, for callers of low-code connectors
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
    /// Accepted and ignored, for callers of low-code connectors
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    components_path: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Prints what can be configured
    Spec,
    /// Proves that the credentials work
    Check(ConfigFile),
    /// Prints the streams and their schemas
    Discover(ConfigFile),
    /// Reads the streams of a configured catalog
    Read {
        #[command(flatten)]
        config: ConfigFile,
        /// The configured catalog: which streams and columns, and how
        #[arg(long, value_name = "FILE")]
        catalog: PathBuf,
        /// The state that the last sync wrote
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// The configuration, as JSON
    #[arg(long = "config", value_name = "FILE")]
    path: PathBuf,
}

/// What the process finds around it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `DEPLOYMENT_MODE=cloud`: private addresses are refused.
    pub is_cloud: bool,
    /// `LOG_LEVEL=debug`.
    pub is_verbose: bool,
    /// `SOURCE_100MS_TIME_SCALE`: multiplies every wait, for tests.
    pub time_scale: f64,
}

impl Environment {
    /// Reads the variables.
    pub fn from_variables() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default().to_ascii_lowercase();
        let scale = variable("SOURCE_100MS_TIME_SCALE").parse::<f64>().ok();
        Self {
            is_cloud: variable("DEPLOYMENT_MODE") == "cloud",
            is_verbose: matches!(variable("LOG_LEVEL").as_str(), "debug" | "trace"),
            time_scale: scale.filter(|scale| scale.is_finite() && *scale > 0.0).unwrap_or(1.0),
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All went well, or went wrong in a way that has been said and is not an error of the process.
    Well,
    /// A failure has been reported.
    Failed,
    /// A signal was obeyed.
    Stopped,
}

/// Why a command ends before its time.
enum Abort {
    Failure(Failure),
    OutputClosed,
}

impl<F: Into<Failure>> From<F> for Abort {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

/// Runs the command in `arguments`, writing messages to `writer`, until it is done or `stop` turns true.
pub async fn run<W: Write + Send + 'static>(
    arguments: Arguments,
    environment: Environment,
    writer: W,
    stop: Stop,
) -> (Ending, std::io::Result<()>) {
    let is_verbose = arguments.debug || environment.is_verbose;
    let level = if is_verbose { Level::Debug } else { Level::Info };
    let config = match &arguments.command {
        Some(Command::Check(config) | Command::Discover(config) | Command::Read { config, .. }) => Some(&config.path),
        Some(Command::Spec) | None => None,
    };
    let typed = config.map(|path| read_object("config", path));
    // What must never be printed is known before anything is.
    let redactor = Redactor::new(typed.iter().flatten().flat_map(Config::secrets));
    let (output, thread) = Output::start(writer, redactor, level);
    let ending = dispatch(arguments.command, typed, &environment, &output, stop).await;
    let ending = match ending {
        Ok(ending) => ending,
        Err(Abort::OutputClosed) => Ending::Failed,
        Err(Abort::Failure(failure)) => {
            // A closed output is found out below.
            let _ = output.message(failure.to_message(None)).await;
            Ending::Failed
        }
    };
    drop(output);
    let written = tokio::task::spawn_blocking(|| thread.join()).await;
    match written {
        Ok(Ok(written)) => (ending, written),
        // Both mean that the writer panicked.
        Ok(Err(_)) | Err(_) => (Ending::Failed, Err(std::io::Error::other("the writer stopped"))),
    }
}

type Typed = Result<Map<String, Value>, Failure>;

async fn dispatch(
    command: Option<Command>,
    typed: Option<Typed>,
    environment: &Environment,
    output: &Output,
    stop: Stop,
) -> Result<Ending, Abort> {
    let typed = typed.unwrap_or_else(|| Ok(Map::new()));
    match command {
        None => Err(Failure::config("No command was given: use `spec`, `check`, `discover` or `read`.").into()),
        Some(Command::Spec) => spec(output).await,
        Some(Command::Check(_)) => stoppable(check::run(typed, environment, output), stop).await,
        Some(Command::Discover(_)) => stoppable(discover::run(typed?, environment, output), stop).await,
        Some(Command::Read { catalog, state, .. }) => {
            read::run(typed?, &catalog, state.as_deref(), environment, output, stop).await
        }
    }
}

/// Ends `command` at once when asked to stop: it has nothing to save.
async fn stoppable(command: impl Future<Output = Result<Ending, Abort>>, mut stop: Stop) -> Result<Ending, Abort> {
    tokio::select! {
        ended = command => ended,
        () = stopped(&mut stop) => Ok(Ending::Stopped),
    }
}

async fn spec(output: &Output) -> Result<Ending, Abort> {
    let spec = Spec {
        documentation_url: DOCUMENTATION.into(),
        connection_specification: Config::schema(),
        supports_incremental: true,
        protocol_version: "0.2.0",
    };
    said(output.message(Message::Spec { spec }).await)?;
    Ok(Ending::Well)
}

fn said<T>(written: Result<T, OutputClosed>) -> Result<T, Abort> {
    written.map_err(|OutputClosed| Abort::OutputClosed)
}

/// The JSON value in a file.
fn read_json(flag: &str, path: &Path) -> Result<Value, Failure> {
    let shown = path.display().to_string();
    let fail = |problem: &str| Failure::file(flag, &shown, problem);
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fail("does not exist: check the path"),
        std::io::ErrorKind::IsADirectory => fail("is a directory: name a file"),
        std::io::ErrorKind::PermissionDenied => fail("may not be read by this user: check its permissions"),
        _ => fail("cannot be read: check the path"),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text: save it as UTF-8"))?;
    parse_json(&text).map_err(|error| fail(&error.to_string()))
}

fn read_object(flag: &str, path: &Path) -> Typed {
    match read_json(flag, path)? {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::file(flag, &path.display().to_string(), "is not a JSON object: write it as `{…}`")),
    }
}

/// Checks the configuration and makes a client of it; warns of a token that ends soon.
async fn connect(
    typed: &Map<String, Value>,
    policy: Policy,
    environment: &Environment,
    output: &Output,
) -> Result<(Config, Client), Abort> {
    let now = Utc::now();
    // Before any fault: a mistyped key is often why another one is missing.
    for doubt in Config::doubts(typed) {
        said(output.log(Level::Warn, doubt).await)?;
    }
    let config = Config::read(typed, now)?;
    if let Credentials::Token(token) = &config.credentials
        && let Some(expires) = api::expiry(token, now)?.filter(|expires| *expires < now + EXPIRES_SOON)
    {
        let day = expires.format("%-d %B %Y at %H:%M UTC");
        let warning = format!("The management token expires on {day}: use app credentials, which do not expire.");
        said(output.log(Level::Warn, warning).await)?;
    }
    let (redactor, minted) = (output.redactor().clone(), output.redactor().clone());
    let settings = api::Settings {
        api_url: config.api_url.clone(),
        credentials: config.credentials.clone(),
        workers: config.num_workers,
        policy: policy.scaled(environment.time_scale),
        public_only: environment.is_cloud,
        redact: Arc::new(move |text| redactor.redact(text).into_owned()),
        on_minted: Arc::new(move |token| minted.add(token)),
    };
    let notify = output.clone();
    let listener = Arc::new(move |notice| notify.notice(notice));
    let client = Client::new(settings, listener).map_err(Failure::config)?;
    Ok((config, client))
}
