//! `discover`: the built-in schemas, and the fields that 100ms has added since.

use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::selection::{self, offered};
use super::{Abort, Ending};
use crate::airbyte::{Level, Message, Stream, SyncMode};
use crate::api::Client;
use crate::config::Config;
use crate::failure::{Failure, Occasion, Reach};
use crate::streams::{self, StreamInfo};
use crate::sync::Output;

pub(super) async fn run(config: &Config, client: &Client, names: &[String], output: &Output) -> Result<Ending, Abort> {
    let named = selection::named(names)?;
    let is_named = |stream: &&StreamInfo| named.iter().any(|named| named.name == stream.name);
    let chosen: Vec<_> =
        if names.is_empty() { offered(config).collect() } else { streams::every().filter(is_named).collect() };
    let samples = join_all(chosen.iter().map(|description| (description.sample)(client, description))).await;
    let (mut streams, mut missing) = (Vec::with_capacity(chosen.len()), Vec::new());
    for (description, sample) in chosen.into_iter().zip(samples) {
        let added = sample.unwrap_or_else(|error| {
            missing.push((description.name, Failure::of(&error, Occasion::Question)));
            Map::new()
        });
        streams.push(offer(description, added));
    }
    // Without valid credentials nothing can be read either, so this is an error and not an answer.
    if let Some((_, refused)) = missing.iter().find(|(_, failure)| failure.reach == Reach::Credentials) {
        return Err(refused.clone().into());
    }
    for warning in warnings(&missing, streams.len()) {
        output.log(Level::Warn, warning).await?;
    }
    output.message(Message::Catalog(streams)).await?;
    Ok(Ending::Well)
}

/// One warning for each reason, however many streams it concerns.
fn warnings(missing: &[(&'static str, Failure)], streams: usize) -> Vec<String> {
    let mut reasons: Vec<(Vec<&'static str>, &Failure)> = Vec::new();
    for (name, failure) in missing {
        // A network that is down has a reason for each endpoint, and still is one reason.
        match reasons.iter_mut().find(|(_, reason)| reason.is_same_trouble(failure)) {
            Some((names, _)) => names.push(name),
            None => reasons.push((vec![name], failure)),
        }
    }
    let sentence = |(names, failure): (Vec<&str>, &Failure)| {
        let who = match names.len() {
            all if all == streams && all > 1 => "All streams are".to_owned(),
            1 => format!("`{}` is", names[0]),
            _ => format!("`{}` are", names.join("`, `")),
        };
        format!("{who} offered with the built-in columns only. {}", failure.message)
    };
    reasons.into_iter().map(sentence).collect()
}

fn offer(description: &StreamInfo, added: Map<String, Value>) -> Stream {
    let has_cursor = description.cursor.is_some();
    let incremental = has_cursor.then_some(SyncMode::Incremental);
    Stream {
        name: description.name,
        json_schema: description.json_schema(added),
        supported_sync_modes: [SyncMode::FullRefresh].into_iter().chain(incremental).collect(),
        source_defined_cursor: has_cursor,
        default_cursor_field: description.cursor.into_iter().collect(),
        source_defined_primary_key: description.primary_key.iter().map(|key| [*key]).collect(),
        is_resumable: has_cursor,
    }
}
