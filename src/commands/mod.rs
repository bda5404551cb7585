//! The command line: what can be typed, and what each command does with it.
//!
//! | file | what it answers |
//! |---|---|
//! | `arguments` | what can be typed: commands, flags, their help and examples |
//! | `check`, `discover`, `read` | what the command of that name does |
//! | `files` | what the files named on the command line hold, and whether each is the right one |
//! | `selection` | which streams are read, and how |
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
use crate::config::Config;
use crate::failure::Failure;
use crate::redact::Redactor;
use crate::seams;
use crate::sync::{Output, OutputClosed};

pub use arguments::Arguments;
use arguments::Command;
use files::{File, Role};
use presentation::Presentation;

/// The page that platforms link beside the form. This project has no web site, so the link leads to what the
/// form asks for first: the vendor's page on credentials. `metadata.yaml` names the same one.
const DOCUMENTATION: &str = "https://www.100ms.live/docs/concepts/v2/concepts/security-and-tokens";
/// A pasted token that expires sooner is worth a warning.
const EXPIRES_SOON: chrono::TimeDelta = chrono::TimeDelta::days(3);
/// The largest factor for waits; more would be a sync that never ends.
const LARGEST_TIME_SCALE: f64 = 1_000.0;

/// What the process finds around it.
#[derive(Clone)]
pub struct Environment {
    /// `DEPLOYMENT_MODE=cloud`: private addresses are refused.
    pub is_cloud: bool,
    /// `LOG_LEVEL=debug`.
    pub is_verbose: bool,
    /// `SOURCE_100MS_TIME_SCALE`: multiplies every wait, for tests.
    pub time_scale: Result<f64, Failure>,
    /// `DATA_CHANNEL_MEDIUM` and `DATA_CHANNEL_FORMAT`: how a platform wants the records.
    pub data_channel: Result<(), Failure>,
    /// Somebody sees what is written to standard output.
    pub is_seen: bool,
    /// Somebody sees what is written to standard error.
    pub is_watched: bool,
    /// What takes the place of the network.
    pub exchange: Option<Arc<dyn Exchange>>,
}

impl Environment {
    /// What the variables say, for a program that keeps the output for itself.
    pub fn from_variables() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default().to_ascii_lowercase();
        Self {
            is_cloud: variable("DEPLOYMENT_MODE") == "cloud",
            is_verbose: matches!(variable("LOG_LEVEL").as_str(), "debug" | "trace"),
            time_scale: time_scale(variable("SOURCE_100MS_TIME_SCALE").trim()),
            data_channel: data_channel("DATA_CHANNEL_MEDIUM", "STDIO")
                .and_then(|()| data_channel("DATA_CHANNEL_FORMAT", "JSONL")),
            is_seen: false,
            is_watched: false,
            exchange: None,
        }
    }

    /// The same, and who sees what is written to standard output and standard error.
    pub fn of_process() -> Self {
        Self {
            is_seen: std::io::stdout().is_terminal(),
            is_watched: std::io::stderr().is_terminal(),
            ..Self::from_variables()
        }
    }
}

fn time_scale(typed: &str) -> Result<f64, Failure> {
    if typed.is_empty() {
        return Ok(1.0);
    }
    let scale = typed.parse::<f64>().ok();
    scale.filter(|scale| *scale > 0.0 && *scale <= LARGEST_TIME_SCALE).ok_or_else(|| {
        let typed = crate::airbyte::shown(typed);
        Failure::config(format!(
            "The environment variable `SOURCE_100MS_TIME_SCALE` is `{typed}`, which is not a number above 0 and up to 1000: leave it out unless you test the connector."
        ))
    })
}

/// Refuses another way to hand records over than the one of this connector: nobody would read them.
fn data_channel(name: &str, ours: &str) -> Result<(), Failure> {
    let wanted = std::env::var_os(name).unwrap_or_default().to_string_lossy().trim().to_ascii_uppercase();
    if wanted.is_empty() || wanted == ours {
        return Ok(());
    }
    Err(Failure::config(format!(
        "The environment variable `{name}` is `{}`, but this connector writes its records as JSON to standard output: set it to `{ours}`, or leave it out.",
        crate::airbyte::shown(&wanted)
    )))
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

/// Why a command ends before its time.
enum Abort {
    Failure(Failure),
    OutputClosed,
}

impl From<Failure> for Abort {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<OutputClosed> for Abort {
    fn from(OutputClosed: OutputClosed) -> Self {
        Self::OutputClosed
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
    if let Some(advice) = presentation::misuse(&arguments, &environment) {
        return (Ending::Misused, writeln!(std::io::stderr(), "{advice}"));
    }
    let Some(typed) = stop.run_until_cancelled(configuration(&arguments.command)).await else {
        return (Ending::Stopped, Ok(()));
    };
    let is_verbose = arguments.debug || environment.is_verbose;
    let level = if is_verbose { Level::Debug } else { Level::Info };
    // What must never be printed is known before anything is.
    let redactor = Redactor::new(typed.iter().flat_map(Config::secrets));
    typed.iter().filter_map(Config::salt).for_each(|salt| redactor.add_salt(salt));
    let (presentation, terminal) = Presentation::of(&arguments, &environment, stdout);
    let (output, writer) = Output::new(terminal, redactor, level);
    let written = writer.start();
    let ended = dispatch(arguments.command, typed, &environment, &presentation, &output, stop).await;
    let ending = reported(ended, &output).await;
    if let (Ending::Well, Some(sentence)) = (ending, presentation.where_the_records_are()) {
        let _ = output.log(Level::Info, sentence).await;
    }
    drop(output);
    let written = written.await;
    if ending == Ending::Stopped {
        presentation.say_how_to_continue();
    }
    if let Some(Ok(summary)) = &presentation.summary
        && let Err(error) = summary.save(ending == Ending::Well)
    {
        let sentence = format!("source-100ms: the file of `--summary` cannot be written: {error}");
        return (Ending::Failed, writeln!(std::io::stderr(), "{sentence}"));
    }
    match written {
        Ok(written) => (ending, written),
        // The writer panicked.
        Err(_) => (Ending::Failed, Err(std::io::Error::other("the writer stopped"))),
    }
}

/// `read` with `catalog` and `state` at hand, and with an output that is written somewhere: the command without
/// files, terminal and threads.
pub async fn read(
    config: &Map<String, Value>,
    catalog: &Value,
    state: &Value,
    environment: &Environment,
    output: &Output,
    stop: CancellationToken,
) -> Ending {
    reported(read::of_values(config, catalog, state, environment, output, stop).await, output).await
}

async fn reported(ended: Result<Ending, Abort>, output: &Output) -> Ending {
    match ended {
        Ok(ending) => ending,
        Err(Abort::OutputClosed) => Ending::Failed,
        Err(Abort::Failure(failure)) => {
            // A closed output is found out by whoever waits for the writer.
            let _ = output.message(failure.to_message(None)).await;
            Ending::Failed
        }
    }
}

type Typed = Result<Map<String, Value>, Failure>;

/// What stands in the file of `--config`; nothing for the commands that need none.
async fn configuration(command: &Command) -> Typed {
    let files = command.files();
    let Some(config) = files.first() else { return Ok(Map::new()) };
    files::refuse_second_stdin(&files)?;
    File { role: Role::Config, path: config.to_path_buf() }.object().await
}

async fn dispatch(
    command: Command,
    typed: Typed,
    environment: &Environment,
    presentation: &Presentation,
    output: &Output,
    stop: CancellationToken,
) -> Result<Ending, Abort> {
    match command {
        Command::Completions { .. } => Ok(Ending::Well),
        Command::Spec => spec(output).await,
        Command::Check { exit_code, .. } => {
            let with_exit_code = exit_code || presentation.has_sentences();
            stoppable(check::run(typed, with_exit_code, environment, output), &stop).await
        }
        Command::Discover { streams, .. } => {
            stoppable(discover::run(typed?, &streams, environment, output), &stop).await
        }
        Command::Read(read) => read::run(typed?, &read, presentation, environment, output, stop).await,
    }
}

/// Ends `command` at once when asked to stop: it has nothing to save.
async fn stoppable(
    command: impl Future<Output = Result<Ending, Abort>>,
    stop: &CancellationToken,
) -> Result<Ending, Abort> {
    stop.run_until_cancelled(command).await.unwrap_or(Ok(Ending::Stopped))
}

async fn spec(output: &Output) -> Result<Ending, Abort> {
    output.message(Message::Spec { documentation_url: DOCUMENTATION, form: Config::schema() }).await?;
    Ok(Ending::Well)
}

/// Checks the configuration and makes a client of it; warns of what has no effect, and of a token that ends soon.
async fn connect(
    typed: &Map<String, Value>,
    policy: Policy,
    environment: &Environment,
    output: &Output,
) -> Result<(Config, Client), Abort> {
    let now = seams::now();
    // Before any fault: a mistyped key is often why another one is missing.
    for doubt in Config::doubts(typed) {
        output.log(Level::Warn, doubt).await?;
    }
    let config = Config::read(typed, now).map_err(Failure::config)?;
    let time_scale = environment.time_scale.clone()?;
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
