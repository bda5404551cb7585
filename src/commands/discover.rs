//! `discover`: the built-in schemas, and the fields 100ms has added since.

use futures_util::future::join_all;
use serde_json::Map;

use super::{Abort, Ending, Environment, connect, said};
use crate::airbyte::{Catalog, Level, Message, Stream, SyncMode};
use crate::api::{Client, Policy};
use crate::failure::Failure;
use crate::streams::{self, Description};
use crate::sync::Output;

type Added = Map<String, serde_json::Value>;

pub(super) async fn run(
    typed: Map<String, serde_json::Value>,
    environment: &Environment,
    output: &Output,
) -> Result<Ending, Abort> {
    let (config, client) = connect(&typed, Policy::brisk(), environment, output).await?;
    let wanted = |description: &&Description| config.extra_streams.iter().any(|extra| extra.name() == description.name);
    let offered: Vec<&Description> = streams::ALL.iter().chain(streams::EXTRA.iter().filter(wanted)).collect();
    let added = join_all(offered.iter().map(|description| sample(description, &client, output))).await;
    let streams = offered.into_iter().zip(added).map(|(description, added)| offer(description, added)).collect();
    said(output.message(Message::Catalog { catalog: Catalog { streams } }).await)?;
    Ok(Ending::Well)
}

/// Fields the built-in schema does not know. Without an answer the built-in schema stands.
async fn sample(description: &Description, client: &Client, output: &Output) -> Added {
    match (description.sample)(client).await {
        Ok(added) => added,
        Err(error) => {
            let why = Failure::from(error).outside_a_sync().message;
            let warning = format!("`{}` is offered with its built-in fields only. {why}", description.name);
            // A closed output is found out with the catalog.
            let _ = output.log(Level::Warn, warning).await;
            Added::new()
        }
    }
}

fn offer(description: &Description, added: Added) -> Stream {
    let has_cursor = description.cursor.is_some();
    let mut supported_sync_modes = vec![SyncMode::FullRefresh];
    supported_sync_modes.extend(has_cursor.then_some(SyncMode::Incremental));
    Stream {
        name: description.name,
        json_schema: description.json_schema(added),
        supported_sync_modes,
        source_defined_cursor: has_cursor,
        default_cursor_field: description.cursor.into_iter().collect(),
        source_defined_primary_key: description.primary_key.iter().map(|key| vec![*key]).collect(),
        is_resumable: has_cursor,
    }
}
