//! `read`: prepares each stream with its saved state, and starts the engine.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::arguments::ReadArguments;
use super::files::{File, Role};
use super::presentation::Presentation;
use super::selection::{self, Selection, unknown};
use super::{Abort, Ending, Environment, connect, said};
use crate::airbyte::{self, ConfiguredStream, Level, Progress, SavedStates, SyncMode};
use crate::api::{Client, Policy};
use crate::config::{AnalyticsRooms, Config, PersonalData, RecordingUrls};
use crate::failure::Failure;
use crate::seams;
use crate::streams::{self, Description, EventRooms, Format, Options, Reading, Salt, Since, Timestamp, Written};
use crate::sync::state::{self, Attempt, Position};
use crate::sync::{self, Beginning, Job, Output, Stop, stopped};
use crate::terminal::{Folder, States};

pub(super) async fn run(
    typed: Map<String, Value>,
    arguments: &ReadArguments,
    presentation: &Presentation,
    environment: &Environment,
    output: &Output,
    mut stop: Stop,
) -> Result<Ending, Abort> {
    let (config, client) = connect(&typed, Policy::patient(), environment, output).await?;
    // Somebody who names a stream wants it, even if it is offered only on request.
    let offered: Vec<&'static Description> = streams::every().collect();
    let folder = presentation.folder.clone().transpose()?;
    // Catalog and state may come from a pipe that nobody writes to.
    let (selection, mut saved, mut kept) = tokio::select! {
        read = async {
            let selection = selected(arguments, &offered).await?;
            let (saved, kept) = saved_states(arguments, folder.as_ref()).await?;
            Ok::<_, Failure>((selection, saved, kept))
        } => read?,
        () = stopped(&mut stop) => return Ok(Ending::Stopped),
    };
    for (level, remark) in selection.remarks {
        said(output.log(level, remark).await)?;
    }
    warn_of_ignored(&saved, &offered, output).await?;
    let doubts = tokio::select! {
        doubts = selection::doubtful_columns(&selection.streams, &offered, &client) => doubts,
        () = stopped(&mut stop) => return Ok(Ending::Stopped),
    };
    for doubt in doubts {
        said(output.log(Level::Warn, doubt).await)?;
    }
    if let Some(folder) = &folder {
        for stream in &selection.streams {
            if let Some(description) = described(&stream.name, &offered) {
                prepare(folder, description, stream.sync_mode, &mut saved, &mut kept)?;
            }
        }
    }
    let jobs = jobs(&selection.streams, &offered, &config, &client, &saved, output).await?;
    for job in &jobs {
        presentation.progress.watch(job.description.name, &job.client);
    }
    Ok(read_all(jobs, selection.streams.len(), &config, output, stop).await)
}

/// The same with everything at hand.
pub(super) async fn of_values(
    typed: &Map<String, Value>,
    catalog: &Value,
    states: &Value,
    environment: &Environment,
    output: &Output,
    stop: Stop,
) -> Result<Ending, Abort> {
    let (config, client) = connect(typed, Policy::patient(), environment, output).await?;
    let offered: Vec<&'static Description> = streams::every().collect();
    let selected = airbyte::read_catalog(catalog).map_err(|error| Failure::config(error.to_string()))?;
    let saved = airbyte::read_states(states).map_err(|error| Failure::config(error.to_string()))?;
    warn_of_ignored(&saved, &offered, output).await?;
    let jobs = jobs(&selected, &offered, &config, &client, &saved, output).await?;
    Ok(read_all(jobs, selected.len(), &config, output, stop).await)
}

/// Runs the `jobs` of so many `selected` streams.
async fn read_all(jobs: Vec<Job>, selected: usize, config: &Config, output: &Output, stop: Stop) -> Ending {
    let is_one_unknown = jobs.len() < selected;
    let outcome = sync::run(jobs, config.num_workers, output.clone(), stop).await;
    match (outcome.was_stopped, outcome.is_incomplete || is_one_unknown) {
        (true, _) => Ending::Stopped,
        (false, true) => Ending::Failed,
        (false, false) => Ending::Well,
    }
}

fn described(name: &str, offered: &[&'static Description]) -> Option<&'static Description> {
    offered.iter().find(|description| description.name == name).copied()
}

/// Those of the selected streams that there are, ready to be read; of the others an error is told.
async fn jobs(
    selected: &[ConfiguredStream],
    offered: &[&'static Description],
    config: &Config,
    client: &Client,
    saved: &SavedStates,
    output: &Output,
) -> Result<Vec<Job>, Abort> {
    let attempt = attempt(selected, offered, saved, config.start_date.into());
    let mut jobs = Vec::with_capacity(selected.len());
    for stream in selected {
        match described(&stream.name, offered) {
            Some(description) => jobs.push(job(description, stream, config, client, saved, attempt, output).await?),
            None => refuse_unknown(&stream.name, offered, output).await?,
        }
    }
    Ok(jobs)
}

async fn selected(arguments: &ReadArguments, offered: &[&'static Description]) -> Result<Selection, Failure> {
    match &arguments.catalog {
        Some(path) => {
            let file = File { role: Role::Catalog, path: path.clone() };
            selection::of_catalog(&file, arguments.incremental, offered).await
        }
        None => selection::of_names(&arguments.streams, arguments.incremental, offered),
    }
}

/// The states to go on from, and, when they are those of a folder, what the folder remembers with them.
async fn saved_states(arguments: &ReadArguments, folder: Option<&Folder>) -> Result<(SavedStates, States), Failure> {
    let path: Option<PathBuf> = arguments.state.clone().or_else(|| folder.and_then(Folder::state));
    let Some(path) = path else { return Ok(Default::default()) };
    let file = File { role: Role::State, path };
    let values = file.values().await?;
    let kept = States::of(&values);
    let states = match <[Value; 1]>::try_from(values) {
        Ok([only]) => only,
        Err(messages) => Value::Array(state_messages(messages, &file)?),
    };
    let saved = airbyte::read_states(&states).map_err(|error| file.failure(&error.to_string()))?;
    Ok((saved, kept))
}

/// The states among saved messages; of several of one stream, the last counts.
fn state_messages(messages: Vec<Value>, file: &File) -> Result<Vec<Value>, Failure> {
    let is_empty = messages.is_empty();
    let is_state = |message: &Value| matches!(message["type"].as_str(), Some("STATE" | "STREAM" | "GLOBAL" | "LEGACY"));
    let states: Vec<Value> = messages.into_iter().filter(is_state).collect();
    if states.is_empty() && !is_empty {
        Err(file.failure("holds messages, but no STATE among them: save the whole output of `read`"))
    } else {
        Ok(states)
    }
}

/// Makes the file of a stream ready. A stream goes on from the folder's state when it is read incrementally,
/// or when a full read of it was cut; else it is read anew, into an empty file.
fn prepare(
    folder: &Folder,
    description: &Description,
    mode: SyncMode,
    saved: &mut SavedStates,
    kept: &mut States,
) -> Result<(), Failure> {
    let state = saved.by_stream.get(description.name).filter(|_| description.cursor.is_some());
    let goes_on = match mode {
        SyncMode::Incremental => state.is_some(),
        SyncMode::FullRefresh => state.is_some_and(|state| state["resume"].is_object()),
    };
    if !goes_on {
        saved.by_stream.remove(description.name);
    }
    folder.begin(description.name, !goes_on, kept).map_err(|error| {
        let name = description.name;
        Failure::config(format!(
            "The file of `{name}` in the folder of `--output` cannot be written ({}): give this user permission to write there.",
            error.kind()
        ))
    })
}

async fn warn_of_ignored(saved: &SavedStates, offered: &[&'static Description], output: &Output) -> Result<(), Abort> {
    for ignored in &saved.ignored {
        said(output.log(Level::Warn, format!("The state has {ignored}, which this connector does not use.")).await)?;
    }
    let is_known = |name: &str| offered.iter().any(|description| description.name == name);
    let mut unknown: Vec<&String> = saved.by_stream.keys().filter(|name| !is_known(name)).collect();
    unknown.sort();
    for name in unknown {
        said(
            output
                .log(
                    Level::Warn,
                    format!("The state of `{}` is ignored: there is no such stream.", airbyte::shown(name)),
                )
                .await,
        )?;
    }
    Ok(())
}

/// The sync that this one is another attempt of: one in which a full refresh was cut.
fn attempt(
    configured: &[ConfiguredStream],
    offered: &[&'static Description],
    saved: &SavedStates,
    start_date: Timestamp,
) -> Option<Attempt> {
    let began = |stream: &ConfiguredStream| {
        let description = offered.iter().find(|description| description.name == stream.name)?;
        state::began(description, saved.by_stream.get(&stream.name), start_date)
    };
    let began = configured.iter().filter(|stream| stream.sync_mode == SyncMode::FullRefresh).filter_map(began).max()?;
    Some(Attempt { began, now: seams::now().into() })
}

/// A stream ready to be read.
async fn job(
    description: &'static Description,
    configured: &ConfiguredStream,
    config: &Config,
    client: &Client,
    saved: &SavedStates,
    attempt: Option<Attempt>,
    output: &Output,
) -> Result<Job, Abort> {
    let start_date = Timestamp::from(config.start_date);
    let state = saved.by_stream.get(description.name);
    let saved = state::read(description, state, configured.sync_mode, start_date, attempt)
        .map_err(|(key, problem)| Failure::state(description.name, &key, &problem))?;
    for key in &saved.ignored {
        let warning = format!(
            "`{key}` in the state of `{}` is ignored, because this connector writes no such key.",
            description.name
        );
        said(output.log(Level::Warn, warning).await)?;
    }
    let (until, latest) = match &saved.position {
        Position::Resumed(resume) => (Some(resume.until), resume.latest),
        Position::Fresh | Position::Finished => (None, None),
    };
    let since = Since { cursor: saved.cursor, start_date, longer: config.lookback, until };
    let client = Arc::new(client.another());
    let written = Written::new(saved.known.clone());
    let prefix = airbyte::record_prefix(description.name);
    let columns = configured.columns.as_deref();
    let reading = Reading {
        client: Arc::clone(&client),
        format: Format::new(
            prefix,
            description.columns,
            description.primary_key,
            columns,
            Arc::clone(&written),
            personal_data(config),
        ),
        due: since.due(description.look_back),
        since,
        memory: saved.memory,
        options: options(config),
    };
    let beginning = Beginning {
        field: description.cursor,
        mode: configured.sync_mode,
        cursor: saved.cursor,
        look_back: description.look_back,
        until,
        latest,
        known: saved.known,
        written,
    };
    Ok(Job { description, stream: (description.open)(reading), client, position: saved.position, beginning })
}

fn personal_data(config: &Config) -> streams::PersonalData {
    match &config.personal_data {
        PersonalData::Keep => streams::PersonalData::Keep,
        PersonalData::Hash(salt) => streams::PersonalData::Hash(Salt::new(salt.expose_secret())),
        PersonalData::Drop => streams::PersonalData::Drop,
    }
}

fn options(config: &Config) -> Options {
    Options {
        rooms: match config.analytics_rooms {
            AnalyticsRooms::Auto => EventRooms::Auto,
            AnalyticsRooms::All => EventRooms::All,
            AnalyticsRooms::Recent => EventRooms::Recent,
        },
        event_types: config.analytics_event_types.clone(),
        recording_urls: config.recording_urls == RecordingUrls::Presigned,
    }
}

async fn refuse_unknown(name: &str, offered: &[&'static Description], output: &Output) -> Result<(), Abort> {
    let failure = Failure::config(unknown(name, offered));
    said(output.message(failure.to_message(Some(name))).await)?;
    said(output.progress(name, Progress::Incomplete).await)
}
