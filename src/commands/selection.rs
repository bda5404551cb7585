//! Which streams are meant, and how they are read: by a configured catalog, by what `discover` printed, or by names.

use serde_json::{Value, json};

use super::files::File;
use crate::airbyte::{self, ConfiguredStream, Level, SyncMode};
use crate::config::Config;
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::streams::{self, StreamInfo};

/// The streams to read, in the order they were named, and what the log should say of the choice.
pub(super) type Selection = (Vec<ConfiguredStream>, Option<(Level, String)>);

/// The streams of the file of `--catalog`.
///
/// # Errors
/// When it holds no catalog that can be understood.
pub(super) async fn of_catalog(file: &File<'_>, is_incremental: bool) -> Result<Selection, Failure> {
    let catalog = the_catalog(file.values().await?).ok_or_else(|| {
        file.failure("holds messages, but no CATALOG among them: save the whole output of `discover`")
    })?;
    let chosen = all_of_discovered(&catalog, is_incremental);
    let streams = airbyte::read_catalog(chosen.as_ref().unwrap_or(&catalog));
    let remark = if chosen.is_some() {
        let how = if is_incremental { "incrementally where they have a cursor" } else { "in full" };
        Some((Level::Info, format!("The catalog is what `discover` printed, so all its streams are read {how}.")))
    } else {
        let remark = "`--incremental` has no effect on a configured catalog, which says how each stream is read.";
        is_incremental.then(|| (Level::Warn, remark.to_owned()))
    };
    Ok((streams.map_err(|problem| file.failure(&problem))?, remark))
}

/// The streams named on the command line, with all their columns. Somebody who names a stream wants it, even if it is
/// offered only on request.
///
/// # Errors
/// When there is no such stream.
pub(super) fn of_names(names: &[String], is_incremental: bool) -> Result<Selection, Failure> {
    let configured = |stream: &'static StreamInfo| ConfiguredStream {
        name: stream.name.to_owned(),
        sync_mode: mode(stream.name, is_incremental),
        columns: None,
    };
    Ok((named(names)?.into_iter().map(configured).collect(), None))
}

/// The streams with these names, each once, in this order.
///
/// # Errors
/// When there is no such stream, or when none of the names is one.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static StreamInfo>, Failure> {
    let mut found: Vec<&'static StreamInfo> = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        let stream = streams::named(name).ok_or_else(|| Failure::config(unknown(name)))?;
        if found.iter().all(|other| other.name != stream.name) {
            found.push(stream);
        }
    }
    if found.is_empty() && !names.is_empty() {
        let names = names_of(streams::every());
        return Err(Failure::config(format!("`--streams` names no stream: choose among {names}.")));
    }
    Ok(found)
}

/// The streams that the configuration offers.
pub(super) fn offered(config: &Config) -> impl Iterator<Item = &'static StreamInfo> {
    let is_chosen = |stream: &&StreamInfo| config.extra_streams.iter().any(|name| name == stream.name);
    streams::ALL.iter().chain(streams::EXTRA.iter().filter(is_chosen))
}

/// Why there is no stream `name`, and what to do about it.
pub(super) fn unknown(name: &str) -> String {
    let shown = airbyte::shown(name);
    match nearest(name, streams::every().map(|stream| stream.name)) {
        Some(meant) => format!("There is no stream `{shown}`; did you mean `{meant}`?"),
        None => format!("There is no stream `{shown}`: choose among {}.", names_of(&streams::ALL)),
    }
}

fn names_of(streams: impl IntoIterator<Item = &'static StreamInfo>) -> String {
    streams.into_iter().map(|stream| format!("`{}`", stream.name)).collect::<Vec<_>>().join(", ")
}

fn mode(name: &str, is_incremental: bool) -> SyncMode {
    let has_cursor = streams::named(name).is_some_and(|stream| stream.cursor.is_some());
    if is_incremental && has_cursor { SyncMode::Incremental } else { SyncMode::FullRefresh }
}

/// The catalog among the lines of a file: alone, or as a message between others.
fn the_catalog(mut values: Vec<Value>) -> Option<Value> {
    match values.iter_mut().rfind(|value| value["type"] == "CATALOG") {
        Some(message) => Some(message["catalog"].take()),
        None => values.pop().filter(|_| values.is_empty()),
    }
}

/// A configured catalog with all the streams of one that `discover` printed; `None` when `catalog` is not of that kind.
fn all_of_discovered(catalog: &Value, is_incremental: bool) -> Option<Value> {
    let choose = |stream: &Value| {
        let name = stream["name"].as_str().filter(|_| stream.get("stream").is_none())?;
        Some(json!({"stream": stream, "sync_mode": mode(name, is_incremental)}))
    };
    let streams = catalog["streams"].as_array().filter(|streams| !streams.is_empty())?;
    let chosen: Vec<Value> = streams.iter().map(choose).collect::<Option<_>>()?;
    Some(json!({"streams": chosen}))
}
