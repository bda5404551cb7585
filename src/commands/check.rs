//! `check`: makes the cheapest requests that show whether the streams can be read.

use std::time::Duration;

use serde_json::value::RawValue;

use super::selection::offered;
use super::{Abort, Ending};
use crate::airbyte::{FailureType, Level, Message};
use crate::api::{ApiError, Client, Endpoint, Get, SMALL_PAGE};
use crate::config::Config;
use crate::failure::{Failure, Occasion, Reach};
use crate::sync::Output;

/// Where everything is answered with 429, it is asked again after these waits, and then given up: somebody is watching
/// a form.
const WAITS_FOR_A_LIMIT: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// Whether an endpoint may be read, and the streams that need it.
type Probe = (Endpoint, Vec<&'static str>);

/// Answers SUCCEEDED, or FAILED with a sentence to act on. When the connector cannot tell (no network,
/// 100ms down) it answers neither: that is an error.
///
/// The protocol wants exit code 0 for FAILED, too; `with_exit_code` is for scripts and people.
pub(super) async fn run(
    connected: Result<(Config, Client), Abort>,
    with_exit_code: bool,
    output: &Output,
) -> Result<Ending, Abort> {
    let problem = match prove(connected, output).await {
        Ok(()) => None,
        Err(Some(Failure { kind: FailureType::ConfigError, message, internal, .. })) => {
            output.log(Level::Debug, internal).await?;
            Some(message)
        }
        Err(abort) => return Err(abort),
    };
    let ending = if with_exit_code && problem.is_some() { Ending::Failed } else { Ending::Well };
    output.message(Message::ConnectionStatus { problem }).await?;
    Ok(ending)
}

/// A token may be allowed to read one thing and not another: it is of use as long as it may read any.
async fn prove(connected: Result<(Config, Client), Abort>, output: &Output) -> Result<(), Abort> {
    let (config, client) = connected?;
    let mut probes: Vec<Probe> = Vec::new();
    for (stream, endpoint) in offered(&config).flat_map(|stream| stream.needs.iter().map(|need| (stream.name, *need))) {
        match probes.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, streams)) => streams.push(stream),
            None => probes.push((endpoint, vec![stream])),
        }
    }
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
        let first = failures.into_iter().min_by_key(|(_, failure)| !is_limited(failure));
        return first.map_or(Ok(()), |(_, failure)| Err(failure.into()));
    }
    for (streams, failure) in failures {
        let what = if is_limited(&failure) { "could not be checked" } else { "cannot be read" };
        let streams = streams.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let streams =
            streams.rsplit_once(", ").map_or(streams.clone(), |(others, last)| format!("{others} and {last}"));
        output.log(Level::Warn, format!("{streams} {what}. {}", failure.message)).await?;
    }
    Ok(())
}

/// Makes the `probes`; returns the streams that cannot be read, or of which it is not known, and why.
async fn ask<'p>(probes: &'p [Probe], client: &Client) -> Result<Vec<(&'p [&'static str], Failure)>, Failure> {
    let mut failures = Vec::new();
    for (endpoint, streams) in probes {
        let Err(error) = question(client, *endpoint).await else { continue };
        let failure = Failure::of(&error, Occasion::Question);
        if failure.reach != Reach::Permission && !is_limited(&failure) {
            return Err(failure);
        }
        failures.push((streams.as_slice(), failure));
    }
    Ok(failures)
}

/// The cheapest request to an endpoint.
async fn question(client: &Client, endpoint: Endpoint) -> Result<(), ApiError> {
    match endpoint {
        Endpoint::WEBHOOK_EVENTS => {
            client.webhook_events::<&'static RawValue, _>(None, 1, SMALL_PAGE, |_| ()).await.map(drop)
        }
        Endpoint::PEER_STATS => {
            // Nobody's: that they are not found is answered only to those who may ask.
            let (session, peer) = ("000000000000000000000000", "00000000-0000-0000-0000-000000000000");
            let get = Get::new(Endpoint::PEER_STATS).with("session_id", [session]).with("peer_id", [peer]);
            match client.one::<&'static RawValue, _>(get, |_| ()).await {
                Err(error) if matches!(error.status(), Some(400 | 422)) => Ok(()),
                answer => answer.map(drop),
            }
        }
        list => {
            let few =
                Get { limit: Some(SMALL_PAGE), is_probe: true, ..Get::page(list, list.has_flag().then_some(true)) };
            client.list::<&'static RawValue, _>(few, |_| ()).await.map(drop)
        }
    }
}

fn is_limited(failure: &Failure) -> bool {
    failure.reach == Reach::Limit
}
