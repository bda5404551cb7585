//! `check`: the cheapest requests that prove what the streams need.

use serde_json::Map;
use serde_json::value::RawValue;

use super::{Abort, Ending, Environment, Typed, connect, said};
use crate::airbyte::{CheckStatus, FailureType, Level, Message};
use crate::api::{ApiError, Client, List, ListFilter, Policy, SMALL_PAGE};
use crate::failure::Failure;
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
        Err(Abort::Failure(Failure { kind: FailureType::ConfigError, message, internal })) => {
            said(output.log(Level::Debug, internal).await)?;
            (CheckStatus::Failed, Some(message))
        }
        Err(abort) => return Err(abort),
    };
    said(output.message(Message::connection_status(status, message)).await)?;
    Ok(Ending::Well)
}

async fn prove(typed: Map<String, serde_json::Value>, environment: &Environment, output: &Output) -> Result<(), Abort> {
    let (_, client) = connect(&typed, Policy::brisk(), environment, output).await?;
    ask_each_list(&client).await.map_err(|error| Failure::from(error).outside_a_sync())?;
    Ok(())
}

/// Sessions, rooms, templates and recordings: a token may be allowed to read one and not the other.
async fn ask_each_list(client: &Client) -> Result<(), ApiError> {
    let few = ListFilter { limit: Some(SMALL_PAGE), ..ListFilter::default() };
    let few_live = ListFilter { flag: Some(true), ..few.clone() };
    for (list, filter) in
        [(List::SESSIONS, &few_live), (List::ROOMS, &few_live), (List::TEMPLATES, &few), (List::RECORDINGS, &few)]
    {
        client.list::<&'static RawValue, _>(list, filter, |_| ()).await?;
    }
    Ok(())
}
