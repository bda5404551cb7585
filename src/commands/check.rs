//! `check`: makes the cheapest requests that show whether the streams can be read.

use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Abort, Ending, Environment, Typed, connect};
use crate::airbyte::{FailureType, Level, Message};
use crate::api::{ApiError, Client, Endpoint, Get, Policy, SMALL_PAGE};
use crate::failure::{Failure, Occasion, Reach};
use crate::sync::Output;

/// Answers SUCCEEDED, or FAILED with a sentence to act on. When the connector cannot tell (no network,
/// 100ms down) it answers neither: that is an error.
///
/// The protocol wants exit code 0 for FAILED, too; `with_exit_code` is for scripts and people.
pub(super) async fn run(
    typed: Typed,
    with_exit_code: bool,
    environment: &Environment,
    output: &Output,
) -> Result<Ending, Abort> {
    let proven = match typed {
        Ok(typed) => prove(typed, environment, output).await,
        Err(failure) => Err(failure.into()),
    };
    let problem = match proven {
        Ok(()) => None,
        Err(Abort::Failure(Failure { kind: FailureType::ConfigError, message, internal, .. })) => {
            output.log(Level::Debug, internal).await?;
            Some(message)
        }
        Err(abort) => return Err(abort),
    };
    let ending = if with_exit_code && problem.is_some() { Ending::Failed } else { Ending::Well };
    output.message(Message::ConnectionStatus { problem }).await?;
    Ok(ending)
}

/// Where everything is answered with 429, it is asked again after these waits, and then given up: somebody is watching
/// a form.
const WAITS_FOR_A_LIMIT: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// A cheap question to an endpoint.
enum Question {
    /// A list; `Some` to ask for what is live or enabled only, where there is such a filter.
    List(Endpoint, Option<bool>),
    Webhooks,
    PeerStats,
}

/// What the streams need that are always offered.
const PROBES: [(&str, Question); 4] = [
    ("`sessions`, `active_room_peers` and `analytics_events`", Question::List(Endpoint::SESSIONS, Some(true))),
    ("`rooms` and `analytics_events`", Question::List(Endpoint::ROOMS, Some(true))),
    ("`templates`, `template_settings` and `templates_destinations`", Question::List(Endpoint::TEMPLATES, None)),
    ("`recordings`", Question::List(Endpoint::RECORDINGS, None)),
];

/// What the extra streams need besides, by their names.
const EXTRA_PROBES: [(&str, Question); 5] = [
    ("webhook_events", Question::Webhooks),
    ("live_streams", Question::List(Endpoint::LIVE_STREAMS, None)),
    ("external_streams", Question::List(Endpoint::EXTERNAL_STREAMS, None)),
    ("peer_quality", Question::PeerStats),
    ("recording_assets", Question::List(Endpoint::RECORDING_ASSETS, None)),
];

impl Question {
    async fn ask(&self, client: &Client) -> Result<(), ApiError> {
        match self {
            Self::List(list, flag) => {
                let few = Get { limit: Some(SMALL_PAGE), is_probe: true, ..Get::page(*list, *flag) };
                client.list::<&'static RawValue, _>(few, |_| ()).await.map(drop)
            }
            Self::Webhooks => {
                client.webhook_events::<&'static RawValue, _>(None, 1, SMALL_PAGE, |_| ()).await.map(drop)
            }
            Self::PeerStats => {
                // Nobody's: that they are not found is answered only to those who may ask.
                let (session, peer) = ("000000000000000000000000", "00000000-0000-0000-0000-000000000000");
                let get = Get::new(Endpoint::PEER_STATS).with("session_id", [session]).with("peer_id", [peer]);
                match client.one::<&'static RawValue, _>(get, |_| ()).await {
                    Err(error) if matches!(error.status(), Some(400 | 422)) => Ok(()),
                    answer => answer.map(drop),
                }
            }
        }
    }
}

/// A token may be allowed to read one thing and not another: it is of use as long as it may read any.
async fn prove(typed: Map<String, Value>, environment: &Environment, output: &Output) -> Result<(), Abort> {
    let (config, client) = connect(&typed, Policy::for_check(), environment, output).await?;
    let extra = EXTRA_PROBES.into_iter().filter(|(name, _)| config.extra_streams.iter().any(|extra| extra == name));
    let extra = extra.map(|(name, question)| (format!("`{name}`"), question));
    let probes = PROBES.into_iter().map(|(streams, question)| (streams.to_owned(), question)).chain(extra);
    let probes: Vec<(String, Question)> = probes.collect();
    let mut failures = ask(&probes, &client).await?;
    for wait in WAITS_FOR_A_LIMIT {
        // Where nothing but 429 came, nothing is known yet.
        if failures.len() < probes.len() || !failures.iter().all(|(_, failure)| is_limited(failure)) {
            break;
        }
        tokio::time::sleep(client.scaled(wait)).await;
        failures = ask(&probes, &client).await?;
    }
    if failures.len() == probes.len() {
        // What was limited may be what these credentials may read: then nothing is known.
        failures.sort_by_key(|(_, failure)| !is_limited(failure));
        return failures.into_iter().next().map_or(Ok(()), |(_, failure)| Err(failure.into()));
    }
    for (streams, failure) in failures {
        let what = if is_limited(&failure) { "could not be checked" } else { "cannot be read" };
        output.log(Level::Warn, format!("{streams} {what}. {}", failure.message)).await?;
    }
    Ok(())
}

/// Makes the `probes`; returns the streams that cannot be read, or of which it is not known, and why.
async fn ask<'p>(probes: &'p [(String, Question)], client: &Client) -> Result<Vec<(&'p str, Failure)>, Failure> {
    let mut failures = Vec::new();
    for (streams, question) in probes {
        let Err(error) = question.ask(client).await else { continue };
        let failure = Failure::of(&error, Occasion::Question);
        if failure.reach != Reach::Permission && !is_limited(&failure) {
            return Err(failure);
        }
        failures.push((streams.as_str(), failure));
    }
    Ok(failures)
}

fn is_limited(failure: &Failure) -> bool {
    failure.reach == Reach::Limit
}
