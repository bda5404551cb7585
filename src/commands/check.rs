//! `check`: the cheapest requests that prove what the streams need.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Abort, Ending, Environment, Typed, connect, said};
use crate::airbyte::{CheckStatus, FailureType, Level, Message};
use crate::api::{ApiError, Client, List, ListFilter, Policy, SMALL_PAGE};
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

/// A list that is asked for, and the streams that need it.
struct Probe {
    list: List,
    /// Whether to ask for what is live or enabled only; `None` for lists without such a filter.
    flag: Option<bool>,
    streams: &'static str,
}

const PROBES: [Probe; 4] = [
    Probe { list: List::SESSIONS, flag: Some(true), streams: "`sessions`, `active_room_peers` and `analytics_events`" },
    Probe { list: List::ROOMS, flag: Some(true), streams: "`rooms` and `analytics_events`" },
    Probe {
        list: List::TEMPLATES,
        flag: None,
        streams: "`templates`, `template_settings` and `templates_destinations`",
    },
    Probe { list: List::RECORDINGS, flag: None, streams: "`recordings`" },
];

impl Probe {
    async fn ask(&self, client: &Client) -> Result<(), ApiError> {
        let few = ListFilter { flag: self.flag, limit: Some(SMALL_PAGE), ..ListFilter::default() };
        client.list::<&'static RawValue, _>(self.list, &few, |_| ()).await.map(drop)
    }
}

/// A token may be allowed to read one list and not another: it is of use as long as it may read any.
async fn prove(typed: Map<String, Value>, environment: &Environment, output: &Output) -> Result<(), Abort> {
    let (_, client) = connect(&typed, Policy::brisk(), environment, output).await?;
    let mut forbidden = Vec::new();
    for probe in &PROBES {
        if let Err(error) = probe.ask(&client).await {
            let failure = Failure::of(&error, Occasion::Question);
            if failure.reach != Reach::Permission {
                return Err(failure.into());
            }
            forbidden.push((probe.streams, failure));
        }
    }
    if forbidden.len() == PROBES.len()
        && let Some((_, failure)) = forbidden.pop()
    {
        return Err(failure.into());
    }
    for (streams, failure) in forbidden {
        let warning = format!("{streams} cannot be read. {}", failure.message);
        said(output.log(Level::Warn, warning).await)?;
    }
    Ok(())
}
