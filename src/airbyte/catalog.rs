//! The configured catalog: which streams and columns to read, and how.

use std::collections::HashSet;

use serde_json::Value;

use super::SyncMode;
use super::input::shown;

/// What to read.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredStream {
    pub name: String,
    pub sync_mode: SyncMode,
    /// The columns to write, each with its JSON schema; `None` when none is named, which means all.
    pub columns: Option<Vec<(String, Value)>>,
}

/// Reads a configured catalog. What destinations do with the records is checked, then ignored.
///
/// # Errors
/// When a stream's entry is not of the protocol's form.
pub fn read_catalog(catalog: &Value) -> Result<Vec<ConfiguredStream>, String> {
    let Some(streams) = catalog.get("streams").and_then(Value::as_array) else {
        return Err("has no list `streams`: make one from the output of `discover`".into());
    };
    let configured: Vec<ConfiguredStream> = streams.iter().enumerate().map(read_stream).collect::<Result<_, _>>()?;
    let mut names = HashSet::new();
    match configured.iter().find(|stream| !names.insert(&stream.name)) {
        Some(twice) => Err(format!("names the stream `{}` twice: remove one of the entries", shown(&twice.name))),
        None => Ok(configured),
    }
}

fn read_stream((position, entry): (usize, &Value)) -> Result<ConfiguredStream, String> {
    let Some(stream) = entry.get("stream").and_then(Value::as_object) else {
        return Err(format!(
            "has no object `streams[{position}].stream`: copy it there from the output of `discover`, with a `sync_mode` beside it"
        ));
    };
    let Some(name) = stream.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Err(format!("has no string `streams[{position}].stream.name`: copy it from the output of `discover`"));
    };
    let place = format!("for the stream `{}`", shown(name));
    let sync_mode = match mode(entry, "sync_mode", &place, &["full_refresh", "incremental"])? {
        Some("incremental") => SyncMode::Incremental,
        Some(_) => SyncMode::FullRefresh,
        None => return Err(format!("has no `sync_mode` {place}: use one of `full_refresh`, `incremental`")),
    };
    mode(entry, "destination_sync_mode", &place, &DESTINATION_SYNC_MODES)?;
    let schema = stream.get("json_schema").unwrap_or(&Value::Null);
    let not_an_object =
        |key: &str| Err(format!("has a `{key}` that is not an object {place}: copy it from the output of `discover`"));
    let columns = match &schema["properties"] {
        _ if !(schema.is_null() || schema.is_object()) => return not_an_object("json_schema"),
        Value::Object(properties) if !properties.is_empty() => Some(properties.clone().into_iter().collect()),
        Value::Object(_) | Value::Null => None,
        _ => return not_an_object("json_schema.properties"),
    };
    Ok(ConfiguredStream { name: name.to_owned(), sync_mode, columns })
}

/// The mode under `key`, which must be one of the `known` ones; `None` when there is none.
fn mode<'e>(entry: &'e Value, key: &str, place: &str, known: &[&str]) -> Result<Option<&'e str>, String> {
    let advice = format!("use one of `{}`", known.join("`, `"));
    match &entry[key] {
        Value::Null => Ok(None),
        Value::String(mode) if known.contains(&mode.as_str()) => Ok(Some(mode)),
        Value::String(mode) => {
            Err(format!("has `{}` as the `{key}` {place}, and there is no such mode: {advice}", shown(mode)))
        }
        _ => Err(format!("has a `{key}` that is not a string {place}: {advice}")),
    }
}

/// What the platform may send (its newer modes included).
const DESTINATION_SYNC_MODES: [&str; 6] =
    ["append", "overwrite", "append_dedup", "overwrite_dedup", "update", "soft_delete"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_catalog_names_its_faults() {
        let entry = |entry: Value| read_catalog(&json!({"streams": [entry]}));
        assert_eq!(
            entry(json!({"stream": {"name": "rooms", "json_schema": {"properties": {"id": {}}}}, "sync_mode": "incremental",
                "destination_sync_mode": "overwrite_dedup", "cursor_field": null, "new": 1})).unwrap(),
            [ConfiguredStream { name: "rooms".into(), sync_mode: SyncMode::Incremental, columns: Some(vec![("id".into(), json!({}))]) }]
        );
        let error = |value: Value| entry(value).unwrap_err();
        assert!(
            error(json!({"stream": {"name": "rooms"}, "sync_mode": "INVALID"}))
                .contains("`sync_mode` for the stream `rooms`")
        );
        assert!(
            error(json!({"stream": {"name": "rooms"}, "sync_mode": "incremental", "destination_sync_mode": "INVALID"}))
                .contains("destination_sync_mode")
        );
        assert!(error(json!({"stream": {}})).contains("streams[0].stream.name"));
        assert!(read_catalog(&json!([])).is_err());
        let twice = json!({"stream": {"name": "rooms"}, "sync_mode": "incremental"});
        assert!(read_catalog(&json!({"streams": [twice, twice]})).unwrap_err().contains("twice"));
    }
}
