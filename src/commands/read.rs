//! `read`: prepares each stream with its saved state, and starts the engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanCount;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arguments::ReadArguments;
use super::files::{File, Role};
use super::presentation::Presentation;
use super::selection::{self, unknown};
use super::{Abort, Ending, Environment, connect};
use crate::airbyte::{self, ConfiguredStream, Level, SavedStates, StreamStatus, SyncMode};
use crate::api::{Client, Policy, RetryStats};
use crate::config::Config;
use crate::failure::Failure;
use crate::streams::{self, Format, StreamContext, StreamInfo, Timestamp, WrittenHashes};
use crate::sync::{self, Job, Output, Share, StartPoint, state};
use crate::terminal::{Folder, Wanted};

pub(super) async fn run(
    typed: Map<String, Value>,
    arguments: &ReadArguments,
    presentation: &Presentation,
    environment: &Environment,
    output: &Output,
    stop: CancellationToken,
) -> Result<Ending, Abort> {
    environment.data_channel.clone()?;
    let (config, client) = connect(&typed, Policy::for_sync(), environment, output).await?;
    let folder = presentation.folder.clone().transpose()?;
    let summary = presentation.summary.clone().transpose()?;
    // Catalog and state may come from a pipe that nobody writes to.
    let inputs = async {
        let selection = match &arguments.catalog {
            Some(path) => {
                let file = File { role: Role::Catalog, path: path.clone() };
                selection::of_catalog(&file, arguments.incremental).await?
            }
            None => selection::of_names(&arguments.streams, arguments.incremental)?,
        };
        Ok::<_, Failure>((selection, saved_states(arguments, folder.as_ref()).await?))
    };
    let Some(inputs) = stop.run_until_cancelled(inputs).await else { return Ok(Ending::Stopped) };
    let (selection, saved) = inputs?;
    for (level, remark) in selection.remarks {
        output.log(level, remark).await?;
    }
    let folder = folder.as_ref().map(|folder| (folder, arguments.overwrite));
    let sync = Sync { selected: &selection.streams, config: &config, client: &client, saved, folder, output };
    let watch = |job: &Job| presentation.progress.watch(job.description.name, &job.client, &job.share);
    let note = |stream: &str, stats: &RetryStats| summary.iter().for_each(|summary| summary.note(stream, stats));
    sync.run(watch, note, stop).await
}

/// The same with everything at hand.
pub(super) async fn of_values(
    typed: &Map<String, Value>,
    catalog: &Value,
    states: &Value,
    environment: &Environment,
    output: &Output,
    stop: CancellationToken,
) -> Result<Ending, Abort> {
    let (config, client) = connect(typed, Policy::for_sync(), environment, output).await?;
    let names: Vec<&str> = streams::every().map(|description| description.name).collect();
    let selected = &airbyte::read_catalog(catalog).map_err(|error| Failure::config(error.to_string()))?;
    let saved = airbyte::read_states(states, &names).map_err(|error| Failure::config(error.to_string()))?;
    Sync { selected, config: &config, client: &client, saved, folder: None, output }.run(|_| (), |_, _| (), stop).await
}

/// The states to resume from: those of `--state`, or those in the folder.
async fn saved_states(arguments: &ReadArguments, folder: Option<&Folder>) -> Result<SavedStates, Failure> {
    let in_folder = folder.map_or(Ok(None), Folder::state).map_err(|error| Failure::config(error.to_string()))?;
    let (role, path) = match (&arguments.state, in_folder) {
        (Some(path), _) => (Role::State, path.clone()),
        (None, Some(path)) => (Role::FolderState, path),
        (None, None) => return Ok(SavedStates::default()),
    };
    let streams = streams::every().map(|description| description.name).collect();
    let saved = File { role, path }.states(streams).await?;
    folder.iter().for_each(|folder| folder.remember(&saved));
    Ok(saved)
}

/// A sync that is being prepared.
struct Sync<'a> {
    selected: &'a [ConfiguredStream],
    config: &'a Config,
    client: &'a Client,
    saved: SavedStates,
    /// The folder for the rows, and whether files in it may be replaced that it has no state of.
    folder: Option<(&'a Folder, bool)>,
    output: &'a Output,
}

impl Sync<'_> {
    /// Reads the selected streams that there are; each other one is reported as an error. `note` gets the requests that
    /// each has made.
    async fn run(
        &self,
        watch: impl Fn(&Job),
        note: impl Fn(&str, &RetryStats),
        stop: CancellationToken,
    ) -> Result<Ending, Abort> {
        for warning in &self.saved.warnings {
            self.warn(warning.clone()).await?;
        }
        let names = self.saved.by_stream.keys();
        for name in names.filter(|name| streams::named(name).is_none()).collect::<BTreeSet<_>>() {
            let name = airbyte::shown(name);
            self.warn(format!("The state of `{name}` is ignored: there is no such stream.")).await?;
        }
        let attempt_began = self.attempt_began();
        let mut jobs = Vec::with_capacity(self.selected.len());
        for stream in self.selected {
            if let Some(description) = streams::named(&stream.name) {
                let start = self.start(description, stream, attempt_began).await?;
                jobs.push(self.job(description, stream, start));
            } else {
                let failure = Failure::config(unknown(&stream.name));
                self.output.message(failure.to_message(Some(&stream.name))).await?;
                self.output.status(&stream.name, StreamStatus::Incomplete).await?;
            }
        }
        jobs.iter().for_each(watch);
        let clients: Vec<_> = jobs.iter().map(|job| (job.description.name, Arc::clone(&job.client))).collect();
        let began = Instant::now();
        let is_each_known = jobs.len() == self.selected.len();
        let is_complete = sync::run(jobs, self.config.num_workers, self.output.clone(), stop.clone()).await;
        let stats: Vec<_> = clients.into_iter().map(|(name, client)| (name, client.retry_stats())).collect();
        stats.iter().for_each(|(name, stats)| note(name, stats));
        let sum = |count: fn(&RetryStats) -> u64| stats.iter().map(|(_, stats)| count(stats)).sum();
        let sentence = requests_made(sum(|stats| stats.requests), sum(|stats| stats.waits), began.elapsed());
        self.output.log(Level::Info, sentence).await?;
        Ok(match is_complete && is_each_known {
            _ if stop.is_cancelled() => Ending::Stopped,
            true => Ending::Well,
            false => Ending::Failed,
        })
    }

    async fn warn(&self, warning: String) -> Result<(), Abort> {
        Ok(self.output.log(Level::Warn, warning).await?)
    }

    /// When the sync began that this one is another attempt of, which is one in which a full refresh was cut.
    fn attempt_began(&self) -> Option<Timestamp> {
        let is_full = |stream: &&ConfiguredStream| stream.sync_mode == SyncMode::FullRefresh;
        let began = |stream: &ConfiguredStream| {
            let saved = self.saved.by_stream.get(&stream.name);
            let start = state::read(streams::named(&stream.name)?, saved, self.fresh(stream), None);
            start.ok()?.bounds.sync_started_at
        };
        self.selected.iter().filter(is_full).filter_map(began).max()
    }

    fn fresh(&self, stream: &ConfiguredStream) -> StartPoint {
        StartPoint::new(stream.sync_mode, self.config.start_date.into(), self.config.lookback)
    }

    /// Where a stream begins; in a folder also where its records go. A stream whose file is not what its state says is
    /// read from the beginning.
    async fn start(
        &self,
        description: &'static StreamInfo,
        stream: &ConfiguredStream,
        attempt_began: Option<Timestamp>,
    ) -> Result<StartPoint, Abort> {
        let name = description.name;
        let read = |saved| {
            state::read(description, saved, self.fresh(stream), attempt_began)
                .map_err(|(key, problem)| Failure::state(name, &key, &problem))
        };
        let mut saved = self.saved.by_stream.get(name);
        let mut start = read(saved)?;
        if let Some((folder, overwrite)) = self.folder {
            let is_full = description.cursor.is_none() || stream.sync_mode == SyncMode::FullRefresh;
            let wanted = Wanted { goes_on: start.is_continued, is_full, overwrite };
            let prepared = folder.prepare(name, wanted).map_err(Failure::config)?;
            if let Some((level, remark)) = prepared.remark {
                self.output.log(level, remark).await?;
            }
            if prepared.goes_on != start.is_continued {
                (saved, start) = (None, read(None)?);
            }
        }
        for key in state::unknown_keys(description, saved) {
            self.warn(format!(
                "`{key}` in the state of `{name}` is ignored, because this connector writes no such key."
            ))
            .await?;
        }
        Ok(start)
    }

    fn job(&self, description: &'static StreamInfo, stream: &ConfiguredStream, start: StartPoint) -> Job {
        let (config, client) = (self.config, Arc::new(self.client.another()));
        let written = WrittenHashes::new(start.hashes.clone());
        let format = Format::new(
            if self.folder.is_some() { Vec::new() } else { airbyte::record_prefix(description.name) },
            description.table,
            description.primary_key,
            stream.columns.as_deref(),
            Arc::clone(&written),
            config.personal_data.clone(),
        );
        let stream = (description.open)(StreamContext {
            description,
            client: Arc::clone(&client),
            format: format.clone(),
            changed_since: start.bounds.changed_since(description.look_back),
            since: start.bounds,
            memory: start.memory.clone(),
            analytics_rooms: config.analytics_rooms,
            event_types: config.analytics_event_types.clone(),
            recording_urls: config.recording_urls,
        });
        Job { description, stream, client, format, written, start, share: Share::default() }
    }
}

/// How many requests a sync has made, and how fast: whoever shares the limit of the workspace wants to know.
fn requests_made(requests: u64, refused: u64, took: Duration) -> String {
    let noun = if requests == 1 { "request" } else { "requests" };
    let refused = match refused {
        0 => "none of them was refused".to_owned(),
        1 => "1 of them was refused".to_owned(),
        refused => format!("{} of them were refused", HumanCount(refused)),
    };
    // Between so many requests lie as many gaps but one.
    let per_second = requests.saturating_sub(1) as f64 / took.as_secs_f64().max(0.01);
    let (requests, took) = (HumanCount(requests), took.as_secs_f64());
    format!(
        "The sync made {requests} {noun} in {took:.2} s ({per_second:.1} a second); {refused} because of a rate limit."
    )
}
