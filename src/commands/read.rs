//! `read`: prepares each stream with its saved state, and starts the engine.

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
use crate::sync::state::{self, Attempt, Position, Saved};
use crate::sync::{self, Beginning, Job, Output, Stop, stopped};
use crate::terminal::{Folder, Wanted};

pub(super) async fn run(
    typed: Map<String, Value>,
    arguments: &ReadArguments,
    presentation: &Presentation,
    environment: &Environment,
    output: &Output,
    mut stop: Stop,
) -> Result<Ending, Abort> {
    environment.data_channel.clone()?;
    let (config, client) = connect(&typed, Policy::patient(), environment, output).await?;
    // Somebody who names a stream wants it, even if it is offered only on request.
    let offered: Vec<&'static Description> = streams::every().collect();
    let folder = presentation.folder.clone().transpose()?;
    // Catalog and state may come from a pipe that nobody writes to.
    let (selection, saved) = tokio::select! {
        read = async {
            let selection = selected(arguments, &offered).await?;
            Ok::<_, Failure>((selection, saved_states(arguments, folder.as_ref(), &offered).await?))
        } => read?,
        () = stopped(&mut stop) => return Ok(Ending::Stopped),
    };
    for (level, remark) in selection.remarks {
        said(output.log(level, remark).await)?;
    }
    warn_of_ignored(&saved, &offered, output).await?;
    let folder = folder.as_ref().map(|folder| (folder, arguments.overwrite));
    let jobs = jobs(&selection.streams, &offered, &config, &client, &saved, folder, output).await?;
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
    let names: Vec<&str> = offered.iter().map(|description| description.name).collect();
    let saved = airbyte::read_states(states, &names).map_err(|error| Failure::config(error.to_string()))?;
    warn_of_ignored(&saved, &offered, output).await?;
    let jobs = jobs(&selected, &offered, &config, &client, &saved, None, output).await?;
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
    folder: Option<(&Folder, bool)>,
    output: &Output,
) -> Result<Vec<Job>, Abort> {
    let attempt = attempt(selected, offered, saved, config.start_date.into());
    let mut jobs = Vec::with_capacity(selected.len());
    for stream in selected {
        match described(&stream.name, offered) {
            Some(description) => {
                let state = saved.by_stream.get(description.name);
                let saved =
                    start(description, stream, state, config.start_date.into(), attempt, folder, output).await?;
                let job = job(description, stream, config, client, saved, output).await?;
                jobs.push(Job { state: state.cloned(), ..job });
            }
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

/// The states to go on from: those of `--state`, or those in the folder.
async fn saved_states(
    arguments: &ReadArguments,
    folder: Option<&Folder>,
    offered: &[&'static Description],
) -> Result<SavedStates, Failure> {
    let in_folder = folder.map_or(Ok(None), Folder::state).map_err(|error| Failure::config(error.to_string()))?;
    let (role, path) = match (&arguments.state, in_folder) {
        (Some(path), _) => (Role::State, path.clone()),
        (None, Some(path)) => (Role::FolderState, path),
        (None, None) => return Ok(SavedStates::default()),
    };
    let streams = offered.iter().map(|description| description.name).collect();
    let saved = File { role, path }.states(streams).await?;
    folder.iter().for_each(|folder| folder.remember(&saved));
    Ok(saved)
}

async fn warn_of_ignored(saved: &SavedStates, offered: &[&'static Description], output: &Output) -> Result<(), Abort> {
    for warning in &saved.warnings {
        said(output.log(Level::Warn, warning.clone()).await)?;
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

/// Where a stream goes on or begins; in a folder also where its records go. A stream whose file is not what its
/// state says is read from the beginning.
async fn start(
    description: &'static Description,
    configured: &ConfiguredStream,
    state: Option<&Value>,
    start_date: Timestamp,
    attempt: Option<Attempt>,
    folder: Option<(&Folder, bool)>,
    output: &Output,
) -> Result<Saved, Abort> {
    let read = |state| {
        state::read(description, state, configured.sync_mode, start_date, attempt)
            .map_err(|(key, problem)| Failure::state(description.name, &key, &problem))
    };
    let saved = read(state)?;
    let Some((folder, overwrite)) = folder else { return Ok(saved) };
    let is_full = description.cursor.is_none() || configured.sync_mode == SyncMode::FullRefresh;
    let wanted = Wanted { goes_on: saved.goes_on, is_full, overwrite };
    let prepared = folder.prepare(description.name, wanted).map_err(Failure::config)?;
    if let Some((level, remark)) = prepared.remark {
        said(output.log(level, remark).await)?;
    }
    Ok(if prepared.goes_on == saved.goes_on { saved } else { read(None)? })
}

/// A stream ready to be read.
async fn job(
    description: &'static Description,
    configured: &ConfiguredStream,
    config: &Config,
    client: &Client,
    saved: Saved,
    output: &Output,
) -> Result<Job, Abort> {
    let start_date = Timestamp::from(config.start_date);
    for key in &saved.ignored {
        let warning = format!(
            "`{key}` in the state of `{}` is ignored, because this connector writes no such key.",
            description.name
        );
        said(output.log(Level::Warn, warning).await)?;
    }
    let (until, latest) = match &saved.position {
        Position::Resumed(resume) => (Some(resume.until), resume.latest),
        Position::Finished(began) => (Some(*began), None),
        Position::Fresh => (None, None),
    };
    let since = Since { cursor: saved.cursor, start_date, longer: config.lookback, until };
    let client = Arc::new(client.another());
    let written = Written::new(saved.known.clone());
    let prefix = airbyte::record_prefix(description.name);
    let columns = configured.columns.as_deref();
    let format = Format::new(
        prefix,
        description.columns,
        description.primary_key,
        columns,
        Arc::clone(&written),
        personal_data(config),
    );
    let reading = Reading {
        client: Arc::clone(&client),
        format: format.clone(),
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
    let stream = (description.open)(reading);
    Ok(Job { description, stream, client, position: saved.position, beginning, format, state: None })
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
