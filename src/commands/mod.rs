//! The command line: what can be typed, and what each command does with it.
//!
//! | file | what it answers |
//! |---|---|
//! | `arguments` | what can be typed: commands, flags, their help and examples |
//! | `check`, `discover`, `read` | what the command of that name does |
//! | `files` | what the files named on the command line hold, and whether each is the right one |
//! | `selection` | which streams are meant: by a catalog, by names, by the configuration |
//! | `presentation` | who is looking, and what is shown to them |

mod arguments;
mod check;
mod discover;
mod files;
mod presentation;
mod read;
mod selection;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use clap::CommandFactory;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::airbyte::{Level, Message};
use crate::api::{self, Client, Credentials, Exchange, Policy};
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::redact::Redactor;
use crate::seams::{self, locked};
use crate::sync::{Output, OutputClosed};

pub use arguments::Arguments;
pub use read::read_values;

use arguments::Command;
use presentation::Presentation;

/// The page that platforms link beside the form. This project has no web site, so the link leads to what the
/// form asks for first: the vendor's page on credentials. `metadata.yaml` names the same one.
const DOCUMENTATION: &str = "https://www.100ms.live/docs/concepts/v2/concepts/security-and-tokens";
/// A pasted token that expires sooner is worth a warning.
const EXPIRES_SOON: chrono::TimeDelta = chrono::TimeDelta::days(3);

/// What the process finds around it. By default nobody sees what is written.
#[derive(Clone, Default)]
pub struct Environment {
    /// `DEPLOYMENT_MODE=cloud`: private addresses are refused.
    pub is_cloud: bool,
    /// `LOG_LEVEL=debug`.
    pub is_verbose: bool,
    /// Somebody sees what is written to standard output.
    pub is_seen: bool,
    /// Somebody sees what is written to standard error.
    pub is_watched: bool,
    /// What takes the place of the network.
    pub exchange: Option<Arc<dyn Exchange>>,
}

impl Environment {
    pub fn of_process() -> Self {
        Self {
            is_cloud: variable("DEPLOYMENT_MODE") == "cloud",
            is_verbose: matches!(variable("LOG_LEVEL").as_str(), "debug" | "trace"),
            is_seen: std::io::stdout().is_terminal(),
            is_watched: std::io::stderr().is_terminal(),
            exchange: None,
        }
    }
}

/// What an environment variable says, in lower case; empty when it is not set.
fn variable(name: &str) -> String {
    std::env::var_os(name).unwrap_or_default().to_string_lossy().trim().to_ascii_lowercase()
}

/// `SOURCE_100MS_TIME_SCALE`: multiplies every wait, for tests. A larger one would be a sync that never ends.
fn time_scale() -> Result<f64, Failure> {
    let typed = variable("SOURCE_100MS_TIME_SCALE");
    let scale = if typed.is_empty() { Some(1.0) } else { typed.parse::<f64>().ok() };
    scale.filter(|scale| *scale > 0.0 && *scale <= 1_000.0).ok_or_else(|| {
        let typed = crate::airbyte::shown(&typed);
        Failure::config(format!(
            "The environment variable `SOURCE_100MS_TIME_SCALE` is `{typed}`, which is not a number above 0 and up to 1000: leave it out unless you test the connector."
        ))
    })
}

/// Refuses another way to hand records over than the one of this connector: nobody would read them.
fn refuse_other_channels() -> Result<(), Failure> {
    for (name, ours) in [("DATA_CHANNEL_MEDIUM", "STDIO"), ("DATA_CHANNEL_FORMAT", "JSONL")] {
        let wanted = variable(name).to_ascii_uppercase();
        if !wanted.is_empty() && wanted != ours {
            return Err(Failure::config(format!(
                "The environment variable `{name}` is `{}`, but this connector writes its records as JSON to standard output: set it to `{ours}`, or leave it out.",
                crate::airbyte::shown(&wanted)
            )));
        }
    }
    Ok(())
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All went well, or went wrong in a way that is in the answer and is no error of the process.
    Well,
    /// A failure has been reported.
    Failed,
    /// The command line asks for something that makes no sense here.
    Misused,
    /// A signal was obeyed.
    Stopped,
}

/// Why a command ends before its time: what has failed, or `None` when nobody reads its output any more.
type Abort = Option<Failure>;

impl From<OutputClosed> for Abort {
    fn from(_: OutputClosed) -> Self {
        None
    }
}

/// Runs the command in `arguments`, writing to `stdout`, until it is done or `stop` is cancelled.
pub async fn run<W: Write + Send + 'static>(
    arguments: Arguments,
    environment: Environment,
    mut stdout: W,
    stop: CancellationToken,
) -> (Ending, std::io::Result<()>) {
    if let Command::Completions { shell } = arguments.command {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "source-100ms", &mut text);
        return (Ending::Well, stdout.write_all(&text));
    }
    let (presentation, terminal) = match Presentation::of(&arguments, &environment, stdout) {
        Ok(presentation) => presentation,
        Err(advice) => return (Ending::Misused, writeln!(std::io::stderr(), "{advice}")),
    };
    let Some(typed) = stop.run_until_cancelled(files::configuration(&arguments.command.files())).await else {
        return (Ending::Stopped, Ok(()));
    };
    let level = if arguments.debug || environment.is_verbose { Level::Debug } else { Level::Info };
    // What must never be printed is known before anything is.
    let redactor = Redactor::new(typed.iter().flat_map(Config::secrets));
    typed.iter().filter_map(Config::salt).for_each(|salt| redactor.add_salt(salt));
    let (output, writer) = Output::new(terminal, redactor, level);
    let written = writer.start();
    let ended = dispatch(arguments.command, typed, &environment, &presentation, &output, stop).await;
    let ending = reported(ended, &output).await;
    if let (Ending::Well, Some(sentence)) = (ending, presentation.where_the_records_are()) {
        let _ = output.log(Level::Info, sentence).await;
    }
    drop(output);
    // Without a report the writer has panicked.
    let written = written.await.unwrap_or_else(|_| Err(std::io::Error::other("the writer stopped")));
    if ending == Ending::Stopped {
        presentation.say_how_to_continue();
    }
    if let Some(summary) = &presentation.summary
        && let Err(error) = locked(summary).save(ending == Ending::Well)
    {
        let sentence = format!("source-100ms: the file of `--summary` cannot be written: {error}");
        return (Ending::Failed, writeln!(std::io::stderr(), "{sentence}"));
    }
    (ending, written)
}

async fn reported(ended: Result<Ending, Abort>, output: &Output) -> Ending {
    if let Err(Some(failure)) = &ended {
        // A closed output is found out by whoever waits for the writer.
        let _ = output.message(failure.to_message(None)).await;
    }
    ended.unwrap_or(Ending::Failed)
}

async fn dispatch(
    command: Command,
    typed: Result<Map<String, Value>, Failure>,
    environment: &Environment,
    presentation: &Presentation,
    output: &Output,
    stop: CancellationToken,
) -> Result<Ending, Abort> {
    let connected = |policy| connect(typed, policy, environment, output);
    let ended = match command {
        Command::Completions { .. } => Some(Ok(Ending::Well)),
        Command::Spec => {
            output.message(Message::Spec { documentation_url: DOCUMENTATION, form: config::schema() }).await?;
            Some(Ok(Ending::Well))
        }
        Command::Check { exit_code, .. } => {
            let with_exit_code = exit_code || presentation.has_sentences();
            let connected = connected(Policy::for_check()).await;
            stop.run_until_cancelled(check::run(connected, with_exit_code, output)).await
        }
        Command::Discover { streams, .. } => {
            let (config, client) = connected(Policy::for_check()).await?;
            stop.run_until_cancelled(discover::run(&config, &client, &streams, output)).await
        }
        Command::Read(read) => {
            refuse_other_channels()?;
            let connected = connected(Policy::for_sync()).await?;
            Some(read::run(connected, &read, presentation, output, stop).await)
        }
    };
    ended.unwrap_or(Ok(Ending::Stopped))
}

/// Checks the configuration and makes a client of it; warns of what has no effect, and of a token that ends soon.
async fn connect(
    typed: Result<Map<String, Value>, Failure>,
    policy: Policy,
    environment: &Environment,
    output: &Output,
) -> Result<(Config, Client), Abort> {
    let (typed, now) = (typed?, seams::now());
    // Before any fault: a mistyped key is often why another one is missing.
    for doubt in Config::doubts(&typed) {
        output.log(Level::Warn, doubt).await?;
    }
    let config = Config::read(&typed, now).map_err(Failure::config)?;
    let time_scale = time_scale()?;
    if let Credentials::Token(token) = &config.credentials
        && let Some(expires) =
            api::expiry(token, now).map_err(Failure::config)?.filter(|expires| *expires < now + EXPIRES_SOON)
    {
        let day = api::day(expires);
        let warning = format!("The management token expires on {day}: use app credentials, which do not expire.");
        output.log(Level::Warn, warning).await?;
    }
    let (redactor, minted) = (output.redactor().clone(), output.redactor().clone());
    let settings = api::Settings {
        api_url: config.api_url.clone(),
        credentials: config.credentials.clone(),
        workers: config.num_workers,
        requests_per_second: config.requests_per_second,
        policy: Policy { time_scale, ..policy },
        public_only: environment.is_cloud,
        redact: Arc::new(move |text| redactor.redact(text).into_owned()),
        on_minted: Arc::new(move |token| minted.add(token)),
    };
    let notify = output.clone();
    let listener = Arc::new(move |notice| notify.notice(notice));
    let client = match &environment.exchange {
        Some(exchange) => Client::over(Arc::clone(exchange), settings, listener),
        None => Client::new(settings, listener).map_err(Failure::config)?,
    };
    Ok((config, client))
}
