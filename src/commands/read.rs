//! `read`: catalog and state in, engine on.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value};

use super::{Abort, Ending, Environment, connect, read_json, said};
use crate::airbyte::{self, ConfiguredStream, Level, Progress, SavedStates};
use crate::api::{Client, Policy};
use crate::config::{AnalyticsRooms, Config, RecordingUrls};
use crate::failure::Failure;
use crate::streams::{self, Description, EventRooms, Format, Options, Reading, Since, Timestamp, Written};
use crate::sync::state::{self, Position};
use crate::sync::{self, Beginning, Job, Output, Stop};

pub(super) async fn run(
    typed: Map<String, Value>,
    catalog: &Path,
    state: Option<&Path>,
    environment: &Environment,
    output: &Output,
    stop: Stop,
) -> Result<Ending, Abort> {
    let (config, client) = connect(&typed, Policy::patient(), environment, output).await?;
    let configured = configured_streams(catalog)?;
    let saved = saved_states(state)?;
    warn_of_ignored(&saved, output).await?;
    let mut jobs = Vec::with_capacity(configured.len());
    let mut is_incomplete = false;
    for stream in &configured {
        match streams::named(&stream.name) {
            Some(description) => jobs.push(job(description, stream, &config, &client, &saved, output).await?),
            None => {
                is_incomplete = true;
                refuse_unknown(&stream.name, output).await?;
            }
        }
    }
    let outcome = sync::run(jobs, config.num_workers, output.clone(), stop).await;
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
    streams::named(name).is_some()
}

/// A stream ready to be read.
async fn job(
    description: &'static Description,
    configured: &ConfiguredStream,
    config: &Config,
    client: &Client,
    saved: &SavedStates,
    output: &Output,
) -> Result<Job, Abort> {
    let start_date = Timestamp::from(config.start_date);
    let state = saved.by_stream.get(description.name);
    let saved = state::read(description, state, configured.sync_mode, start_date, Utc::now().into())
        .map_err(|(key, problem)| Failure::state(description.name, &key, problem))?;
    for key in &saved.ignored {
        let warning = format!("`{key}` in the state of `{}` is ignored: it is not this connector's.", description.name);
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
    let reading = Reading {
        client: Arc::clone(&client),
        format: Format::new(prefix, description.columns, configured.columns.as_deref(), Arc::clone(&written)),
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

async fn refuse_unknown(name: &str, output: &Output) -> Result<(), Abort> {
    let ours: Vec<String> = streams::every().map(|description| format!("`{}`", description.name)).collect();
    let failure = Failure::config(format!(
        "The catalog has a stream `{}`, which this connector does not have: choose among {}.",
        airbyte::shown(name),
        ours.join(", ")
    ));
    said(output.message(failure.to_message(Some(name))).await)?;
    said(output.progress(name, Progress::Incomplete).await)
}
