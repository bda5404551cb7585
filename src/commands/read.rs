//! `read`: catalog and state in, engine on.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value};

use super::{Abort, Ending, Environment, connect, read_json, said};
use crate::airbyte::{self, ConfiguredStream, Level, Message, Progress, SavedStates, SyncMode};
use crate::api::{Client, Policy};
use crate::config::{AnalyticsRooms, Config, RecordingUrls};
use crate::failure::Failure;
use crate::streams::{self, Description, Format, Options, Reading, Timestamp};
use crate::sync::state::{self, Beginning};
use crate::sync::{self, Job, Output, Stop};

pub(super) async fn run(
    typed: Map<String, Value>,
    catalog: &Path,
    state: Option<&Path>,
    environment: &Environment,
    output: &Output,
    stop: Stop,
) -> Result<Ending, Abort> {
    let (config, client, notices) = connect(&typed, Policy::patient(), environment, output).await?;
    let configured = configured_streams(catalog)?;
    let saved = saved_states(state)?;
    warn_of_ignored(&saved, output).await?;
    let mut jobs = Vec::with_capacity(configured.len());
    let mut is_incomplete = false;
    for stream in &configured {
        match streams::ALL.iter().find(|description| description.name == stream.name) {
            Some(description) => jobs.extend(job(description, stream, &config, &client, &saved, output).await?),
            None => {
                is_incomplete = true;
                refuse_unknown(&stream.name, output).await?;
            }
        }
    }
    let outcome = sync::run(jobs, config.num_workers, notices, output.clone(), stop).await;
    Ok(match (outcome.was_stopped, outcome.is_incomplete || is_incomplete) {
        (true, _) => Ending::Stopped,
        (false, true) => Ending::Failed,
        (false, false) => Ending::Well,
    })
}

fn configured_streams(path: &Path) -> Result<Vec<ConfiguredStream>, Failure> {
    let catalog = read_json("catalog", path)?;
    airbyte::read_catalog(&catalog)
        .map_err(|error| Failure::file("catalog", &path.display().to_string(), &error.to_string()))
}

fn saved_states(path: Option<&Path>) -> Result<SavedStates, Failure> {
    let Some(path) = path else { return Ok(SavedStates::default()) };
    let states = read_json("state", path)?;
    airbyte::read_states(&states)
        .map_err(|error| Failure::file("state", &path.display().to_string(), &error.to_string()))
}

async fn warn_of_ignored(saved: &SavedStates, output: &Output) -> Result<(), Abort> {
    for ignored in &saved.ignored {
        said(output.log(Level::Warn, format!("The state has {ignored}, which this connector does not use.")).await)?;
    }
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

fn is_known(name: &str) -> bool {
    streams::ALL.iter().any(|description| description.name == name)
}

/// A stream ready to be read.
async fn job(
    description: &'static Description,
    configured: &ConfiguredStream,
    config: &Config,
    client: &Arc<Client>,
    saved: &SavedStates,
    output: &Output,
) -> Result<Option<Job>, Abort> {
    let start_date = Timestamp::from(config.start_date);
    let client = Arc::new(client.another());
    let open = |cursor: Timestamp| {
        let prefix = airbyte::record_prefix(description.name);
        let reading = Reading {
            client: Arc::clone(&client),
            format: Format::new(prefix, description.columns, configured.columns.as_deref()),
            cursor,
            start_date,
            options: options(config),
        };
        Arc::from((description.open)(reading))
    };
    let Some(field) = description.cursor else {
        // Read whole whatever is asked for: some clients ask for incremental everywhere.
        let beginning = Beginning::Fresh(start_date);
        return Ok(Some(Job { description, stream: open(start_date), client, mode: configured.sync_mode, beginning }));
    };
    let saved = saved.by_stream.get(description.name);
    let (beginning, ignored) =
        state::beginning(field, saved, configured.sync_mode, start_date, open(start_date).as_ref())
            .map_err(|(key, problem)| Failure::state(description.name, &key, problem))?;
    for key in ignored {
        let warning = format!("`{key}` in the state of `{}` is ignored: it is not this connector's.", description.name);
        said(output.log(Level::Warn, warning).await)?;
    }
    let cursor = match &beginning {
        Beginning::Fresh(cursor) | Beginning::Resumed(cursor, _) => *cursor,
        Beginning::Finished => start_date,
    };
    if configured.sync_mode == SyncMode::Incremental && cursor > Timestamp::from(Utc::now()) {
        read_nothing(description.name, field, cursor, output).await?;
        return Ok(None);
    }
    Ok(Some(Job { description, stream: open(cursor), client, mode: configured.sync_mode, beginning }))
}

fn options(config: &Config) -> Options {
    Options {
        recent_rooms_only: config.analytics_rooms == AnalyticsRooms::Recent,
        event_types: config.analytics_event_types.clone(),
        recording_urls: config.recording_urls == RecordingUrls::Presigned,
    }
}

/// A cursor in the future: nothing has changed since, and the state is kept as it is.
async fn read_nothing(name: &str, field: &'static str, cursor: Timestamp, output: &Output) -> Result<(), Abort> {
    let warning = format!(
        "The saved `{field}` of `{name}` lies in the future ({cursor}): nothing is read until then. Reset the stream if that is a mistake."
    );
    said(output.log(Level::Warn, warning).await)?;
    let Some(description) = streams::ALL.iter().find(|description| description.name == name) else { return Ok(()) };
    for progress in [Progress::Started, Progress::Running] {
        said(output.message(Message::progress(name, progress)).await)?;
    }
    said(output.state(description.name, state::finished(field, cursor)).await)?;
    said(output.message(Message::progress(name, Progress::Complete)).await)
}

async fn refuse_unknown(name: &str, output: &Output) -> Result<(), Abort> {
    let ours: Vec<String> = streams::ALL.iter().map(|description| format!("`{}`", description.name)).collect();
    let failure = Failure::config(format!(
        "The catalog has a stream `{}`, which this connector does not have: choose among {}.",
        airbyte::shown(name),
        ours.join(", ")
    ));
    said(output.message(failure.to_message(Some(name))).await)?;
    said(output.message(Message::progress(name, Progress::Incomplete)).await)
}
