//! `check`: makes the cheapest requests that show whether the streams can be read.

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
    let (mut asked, mut forbidden) = (0, Vec::new());
    for probe in PROBES.into_iter().chain(extra) {
        asked += 1;
        if let Err(error) = probe.question.ask(&client).await {
            let failure = Failure::of(&error, Occasion::Question);
            if failure.reach != Reach::Permission {
                return Err(failure.into());
            }
            forbidden.push((probe.streams, failure));
        }
    }
    if forbidden.len() == asked
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
