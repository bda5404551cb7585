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
use super::{Abort, Ending, Environment, connect, reported};
use crate::airbyte::{self, ConfiguredStream, Level, SavedStates, StreamStatus, SyncMode};
use crate::api::{Client, Policy, RetryStats};
use crate::config::Config;
use crate::failure::Failure;
use crate::seams::locked;
use crate::streams::{self, Format, StreamContext, StreamInfo, Timestamp, WrittenHashes};
use crate::sync::{self, Job, Output, Share, StartPoint, state};
use crate::terminal::{Folder, ProgressBars, Shared, View, counted};

pub(super) async fn run(
    (config, client): (Config, Client),
    arguments: &ReadArguments,
    presentation: &Presentation,
    output: &Output,
    stop: CancellationToken,
) -> Result<Ending, Abort> {
    presentation.opened.clone()?;
    // Catalog and state may come from a pipe that nobody writes to.
    let inputs = async {
        let selection = match &arguments.catalog {
            Some(path) => selection::of_catalog(&File { role: Role::Catalog, path }, arguments.incremental).await?,
            None => selection::of_names(&arguments.streams, arguments.incremental)?,
        };
        Ok::<_, Failure>((selection, saved_states(arguments, presentation.folder.as_ref()).await?))
    };
    let Some(inputs) = stop.run_until_cancelled(inputs).await else { return Ok(Ending::Stopped) };
    let ((selected, remark), saved) = inputs?;
    if let Some((level, remark)) = remark {
        output.log(level, remark).await?;
    }
    if arguments.state.is_some() && !arguments.streams.is_empty() && !arguments.incremental {
        let remark = "Without `--incremental`, `--state` is used for nothing but a full read that was cut.";
        output.log(Level::Info, remark).await?;
    }
    Sync { selected, config, client, saved, presentation, output }.run(stop).await
}

/// Reads with catalog and states at hand, and with an output that is written somewhere: the command without files,
/// terminal and threads.
pub async fn read_values(
    typed: Map<String, Value>,
    catalog: &Value,
    states: &Value,
    environment: &Environment,
    output: &Output,
    stop: CancellationToken,
) -> Ending {
    let ended = async {
        let (config, client) = connect(Ok(typed), Policy::for_sync(), environment, output).await?;
        let selected = airbyte::read_catalog(catalog).map_err(Failure::config)?;
        let saved = airbyte::read_states(states, &names()).map_err(Failure::config)?;
        let progress = ProgressBars::new(false);
        let (folder, summary, opened) = (None, None, Ok(()));
        let presentation = &Presentation { progress, folder, summary, opened, view: View::Messages };
        Sync { selected, config, client, saved, presentation, output }.run(stop).await
    };
    reported(ended.await, output).await
}

fn names() -> Vec<&'static str> {
    streams::every().map(|description| description.name).collect()
}

/// The states to resume from: those of `--state`, or those in the folder.
async fn saved_states(arguments: &ReadArguments, folder: Option<&Shared<Folder>>) -> Result<SavedStates, Failure> {
    let in_folder = folder.map_or(Ok(None), |folder| locked(folder).state());
    let in_folder = in_folder.map_err(|error| Failure::config(error.to_string()))?;
    let (role, path) = match (&arguments.state, &in_folder) {
        (Some(path), _) => (Role::State, path),
        (None, Some(path)) => (Role::FolderState, path),
        (None, None) => return Ok(SavedStates::default()),
    };
    let saved = File { role, path }.states(&names()).await?;
    if let Some(folder) = folder {
        locked(folder).remember(&saved);
    }
    Ok(saved)
}

/// A sync that is being prepared.
struct Sync<'a> {
    selected: Vec<ConfiguredStream>,
    config: Config,
    client: Client,
    saved: SavedStates,
    presentation: &'a Presentation,
    output: &'a Output,
}

impl Sync<'_> {
    /// Reads the selected streams that there are; each other one is reported as an error.
    async fn run(&self, stop: CancellationToken) -> Result<Ending, Abort> {
        for warning in &self.saved.warnings {
            self.output.log(Level::Warn, warning).await?;
        }
        let names = self.saved.by_stream.keys();
        for name in names.filter(|name| streams::named(name).is_none()).collect::<BTreeSet<_>>() {
            let warning = format!("The state of `{}` is ignored: there is no such stream.", airbyte::shown(name));
            self.output.log(Level::Warn, warning).await?;
        }
        let attempt_began = self.attempt_began();
        let mut jobs = Vec::with_capacity(self.selected.len());
        for stream in &self.selected {
            if let Some(description) = streams::named(&stream.name) {
                let start = self.start(description, stream, attempt_began).await?;
                jobs.push(self.job(description, stream, start));
            } else {
                let failure = Failure::config(unknown(&stream.name));
                self.output.message(failure.to_message(Some(&stream.name))).await?;
                self.output.status(&stream.name, StreamStatus::Incomplete).await?;
            }
        }
        let is_each_known = jobs.len() == self.selected.len();
        let is_complete = self.read(jobs, stop.clone()).await?;
        Ok(match is_complete && is_each_known {
            _ if stop.is_cancelled() => Ending::Stopped,
            true => Ending::Well,
            false => Ending::Failed,
        })
    }

    /// Reads these streams and says what that took; true when all are complete.
    async fn read(&self, jobs: Vec<Job>, stop: CancellationToken) -> Result<bool, Abort> {
        let Presentation { progress, summary, .. } = self.presentation;
        jobs.iter().for_each(|job| progress.watch(job.description.name, &job.client, &job.share));
        let clients: Vec<_> = jobs.iter().map(|job| (job.description.name, Arc::clone(&job.client))).collect();
        let began = Instant::now();
        let is_complete = sync::run(jobs, self.config.num_workers, self.output.clone(), stop).await;
        let mut total = RetryStats::default();
        for (name, client) in clients {
            let stats = client.retry_stats();
            (total.requests, total.waits) = (total.requests + stats.requests, total.waits + stats.waits);
            if let Some(summary) = summary {
                locked(summary).note(name, &stats);
            }
        }
        self.output.log(Level::Info, requests_made(&total, began.elapsed())).await?;
        Ok(is_complete)
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
        if let Some(folder) = &self.presentation.folder {
            let is_full = description.cursor.is_none() || stream.sync_mode == SyncMode::FullRefresh;
            let prepared = locked(folder).prepare(name, start.is_continued, is_full);
            let (goes_on, remark) = prepared.map_err(Failure::config)?;
            if let Some((level, remark)) = remark {
                self.output.log(level, remark).await?;
            }
            if goes_on != start.is_continued {
                (saved, start) = (None, read(None)?);
            }
        }
        for key in state::unknown_keys(description, saved) {
            let warning =
                format!("`{key}` in the state of `{name}` is ignored, because this connector writes no such key.");
            self.output.log(Level::Warn, warning).await?;
        }
        Ok(start)
    }

    fn job(&self, description: &'static StreamInfo, stream: &ConfiguredStream, start: StartPoint) -> Job {
        let client = Arc::new(self.client.another());
        let written = WrittenHashes::new(start.hashes.clone());
        let StreamInfo { table, primary_key, .. } = description;
        let is_in_folder = self.presentation.folder.is_some();
        let prefix = if is_in_folder { Vec::new() } else { airbyte::record_prefix(description.name) };
        let (columns, personal_data) = (stream.columns.as_deref(), self.config.personal_data.clone());
        let format = Format::new(prefix, table, primary_key, columns, Arc::clone(&written), personal_data);
        let stream = (description.open)(StreamContext {
            description,
            client: Arc::clone(&client),
            format: format.clone(),
            changed_since: start.bounds.changed_since(description.look_back),
            since: start.bounds,
            memory: start.memory.clone(),
            options: self.config.options.clone(),
        });
        Job { description, stream, client, format, written, start, share: Share::default() }
    }
}

/// How many requests a sync has made, and how fast: whoever shares the limit of the workspace wants to know.
fn requests_made(total: &RetryStats, took: Duration) -> String {
    let refused = match total.waits {
        0 => "none of them was refused".to_owned(),
        1 => "1 of them was refused".to_owned(),
        waits => format!("{} of them were refused", HumanCount(waits)),
    };
    let (requests, took) = (counted(total.requests, "request"), took.as_secs_f64());
    // Between so many requests lie as many gaps but one.
    let per_second = total.requests.saturating_sub(1) as f64 / took.max(0.01);
    format!("The sync made {requests} in {took:.2} s ({per_second:.1} a second); {refused} because of a rate limit.")
}
