//! `check`: makes the cheapest requests that show whether the streams can be read.

use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Abort, Ending, Environment, Typed, connect, said};
use crate::airbyte::{CheckStatus, FailureType, Level, Message};
use crate::api::{ApiError, Client, List, ListFilter, Policy, SMALL_PAGE, WebhookFilter};
use crate::config::ExtraStream;
use crate::failure::{Failure, Occasion, Reach};
use crate::sync::Output;

/// Answers SUCCEEDED, or FAILED with a sentence to act on. When the connector cannot tell (no network,
/// 100ms down) it answers neither: that is an error.
pub(super) async fn run(typed: Typed, environment: &Environment, output: &Output) -> Result<Ending, Abort> {
    let proven = match typed {
        Ok(typed) => prove(typed, environment, output).await,
        Err(failure) => Err(failure.into()),
    };
    let (status, message) = match proven {
        Ok(()) => (CheckStatus::Succeeded, None),
        Err(Abort::Failure(Failure { kind: FailureType::ConfigError, message, internal, .. })) => {
            said(output.log(Level::Debug, internal).await)?;
            (CheckStatus::Failed, Some(message))
        }
        Err(abort) => return Err(abort),
    };
    said(output.message(Message::connection_status(status, message)).await)?;
    Ok(Ending::Well)
}

/// Where everything is answered with 429, it is asked again after these waits, and then given up: somebody is watching
/// a form.
const WAITS_FOR_A_LIMIT: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// What is asked, and the streams that need it.
struct Probe {
    question: Question,
    streams: &'static str,
}

/// A cheap question to an endpoint.
enum Question {
    /// A list; `Some` to ask for what is live or enabled only, where there is such a filter.
    List(List, Option<bool>),
    Webhooks,
    PeerStats,
}

/// What the streams need that are always offered.
const PROBES: [Probe; 4] = [
    Probe {
        question: Question::List(List::SESSIONS, Some(true)),
        streams: "`sessions`, `active_room_peers` and `analytics_events`",
    },
    Probe { question: Question::List(List::ROOMS, Some(true)), streams: "`rooms` and `analytics_events`" },
    Probe {
        question: Question::List(List::TEMPLATES, None),
        streams: "`templates`, `template_settings` and `templates_destinations`",
    },
    Probe { question: Question::List(List::RECORDINGS, None), streams: "`recordings`" },
];

/// What an extra stream needs besides.
const fn probe_of(extra: ExtraStream) -> Probe {
    match extra {
        ExtraStream::WebhookEvents => Probe { question: Question::Webhooks, streams: "`webhook_events`" },
        ExtraStream::LiveStreams => {
            Probe { question: Question::List(List::LIVE_STREAMS, None), streams: "`live_streams`" }
        }
        ExtraStream::ExternalStreams => {
            Probe { question: Question::List(List::EXTERNAL_STREAMS, None), streams: "`external_streams`" }
        }
        ExtraStream::PeerQuality => Probe { question: Question::PeerStats, streams: "`peer_quality`" },
    }
}

impl Question {
    async fn ask(&self, client: &Client) -> Result<(), ApiError> {
        match self {
            Self::List(list, flag) => {
                let few = ListFilter { flag: *flag, limit: Some(SMALL_PAGE), is_probe: true, ..ListFilter::default() };
                client.list::<&'static RawValue, _>(*list, &few, |_| ()).await.map(drop)
            }
            Self::Webhooks => {
                let few = WebhookFilter { limit: SMALL_PAGE, ..WebhookFilter::default() };
                client.webhook_events::<&'static RawValue, _>(&few, |_| ()).await.map(drop)
            }
            Self::PeerStats => {
                // Nobody's: that they are not found is answered only to those who may ask.
                let (session, peer) = ("000000000000000000000000", "00000000-0000-0000-0000-000000000000");
                let answer = client.peer_stats::<&'static RawValue, _>(session, peer, |_| ()).await;
                match answer {
                    Err(error) if matches!(error.status(), Some(400 | 422)) => Ok(()),
                    answer => answer.map(drop),
                }
            }
        }
    }
}

/// A token may be allowed to read one thing and not another: it is of use as long as it may read any.
async fn prove(typed: Map<String, Value>, environment: &Environment, output: &Output) -> Result<(), Abort> {
    let (config, client) = connect(&typed, Policy::brisk(), environment, output).await?;
    let extra = config.extra_streams.iter().copied().map(probe_of);
    let probes: Vec<Probe> = PROBES.into_iter().chain(extra).collect();
    let mut answers = ask(&probes, &client).await?;
    // Where nothing but 429 came, nothing is known yet.
    for wait in WAITS_FOR_A_LIMIT {
        if !answers.iter().all(|(_, failure)| failure.as_ref().is_some_and(is_limited)) {
            break;
        }
        tokio::time::sleep(client.scaled(wait)).await;
        answers = ask(&probes, &client).await?;
    }
    let mut failures: Vec<(&str, Failure)> =
        answers.into_iter().filter_map(|(streams, failure)| Some((streams, failure?))).collect();
    if failures.len() == probes.len() {
        // What was limited may be what these credentials may read: then nothing is known.
        failures.sort_by_key(|(_, failure)| !is_limited(failure));
        if let Some((_, failure)) = failures.into_iter().next() {
            return Err(failure.into());
        }
        return Ok(());
    }
    for (streams, failure) in failures {
        let what = if is_limited(&failure) { "could not be checked" } else { "cannot be read" };
        said(output.log(Level::Warn, format!("{streams} {what}. {}", failure.message)).await)?;
    }
    Ok(())
}

/// Makes the `probes`; returns the streams that need each, and why not where they cannot be read or it is not known.
async fn ask(probes: &[Probe], client: &Client) -> Result<Vec<(&'static str, Option<Failure>)>, Failure> {
    let mut answers = Vec::with_capacity(probes.len());
    for probe in probes {
        let answer = probe.question.ask(client).await;
        let failure = answer.err().map(|error| Failure::of(&error, Occasion::Question));
        match failure {
            Some(failure) if failure.reach != Reach::Permission && !is_limited(&failure) => return Err(failure),
            failure => answers.push((probe.streams, failure)),
        }
    }
    Ok(answers)
}

fn is_limited(failure: &Failure) -> bool {
    failure.reach == Reach::Limit
}
