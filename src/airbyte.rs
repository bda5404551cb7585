//! The Airbyte protocol (v0): messages out, configured catalog and state in. Knows nothing of 100ms.
//!
//! What comes in is read leniently where platforms differ (explicit nulls, unknown keys, every form of
//! state) and strictly where a misunderstanding would lose data (sync modes, cursor values).

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// A message of the protocol, to be written as one line.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Message {
    /// Something for the log.
    Log {
        /// Level and text.
        log: Log,
    },
    /// The answer to `spec`.
    Spec {
        /// The form of the configuration.
        spec: Spec,
    },
    /// The answer to `check`.
    ConnectionStatus {
        /// Whether the configuration works.
        #[serde(rename = "connectionStatus")]
        connection_status: ConnectionStatus,
    },
    /// The answer to `discover`.
    Catalog {
        /// The streams on offer.
        catalog: Catalog,
    },
    /// How far a stream has come.
    State {
        /// The state, with the records it covers counted.
        state: State,
    },
    /// An error or the status of a stream.
    Trace {
        /// What happened, when.
        trace: Trace,
    },
}

/// A line for the log.
#[derive(Debug, Clone, Serialize)]
pub struct Log {
    /// Who must act: nobody (`Debug`, `Info`), somebody some time (`Warn`), somebody now (`Error`).
    pub level: Level,
    /// What happened, readable alone.
    pub message: String,
}

/// The levels the protocol knows and we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// The course of events.
    Info,
    /// Degraded; goes on.
    Warn,
    /// Somebody must act.
    Error,
}

/// The form of the configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Spec {
    /// Where the manual is.
    #[serde(rename = "documentationUrl")]
    pub documentation_url: String,
    /// JSON Schema of the configuration.
    #[serde(rename = "connectionSpecification")]
    pub connection_specification: Value,
    /// Whether incremental reads exist.
    #[serde(rename = "supportsIncremental")]
    pub supports_incremental: bool,
    /// The version of the protocol.
    pub protocol_version: &'static str,
}

/// Whether the configuration works.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionStatus {
    /// Yes or no.
    pub status: CheckStatus,
    /// Why not, in a sentence to act on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckStatus {
    /// It works.
    Succeeded,
    /// It does not.
    Failed,
}

/// The streams on offer.
#[derive(Debug, Clone, Serialize)]
pub struct Catalog {
    /// In the order a person would look for them.
    pub streams: Vec<Stream>,
}

/// A stream on offer.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// JSON Schema of its records.
    pub json_schema: Value,
    /// How it can be read.
    pub supported_sync_modes: Vec<SyncMode>,
    /// Whether the cursor is ours to define.
    pub source_defined_cursor: bool,
    /// The path of the cursor; empty when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_cursor_field: Vec<&'static str>,
    /// The paths of the key.
    pub source_defined_primary_key: Vec<Vec<&'static str>>,
    /// Whether a read that was cut goes on where it was.
    pub is_resumable: bool,
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Everything.
    FullRefresh,
    /// What has changed since the last state.
    Incremental,
}

/// How far a stream has come. Always of type STREAM: platforms refuse a mixture.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    r#type: &'static str,
    stream: StreamState,
    #[serde(rename = "sourceStats")]
    source_stats: SourceStats,
}

#[derive(Debug, Clone, Serialize)]
struct StreamState {
    stream_descriptor: StreamDescriptor,
    stream_state: Value,
}

/// A stream, named.
#[derive(Debug, Clone, Serialize)]
pub struct StreamDescriptor {
    /// Its name.
    pub name: String,
}

#[derive(Debug, Clone, Serialize)]
struct SourceStats {
    // The protocol's type is number, and platforms were written against `3.0`.
    #[serde(rename = "recordCount")]
    record_count: f64,
}

/// Something that happened in a sync.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Trace {
    /// Something went wrong.
    Error {
        /// Milliseconds since 1970. The platform acts on the earliest error.
        emitted_at: i64,
        /// What went wrong.
        error: TraceError,
    },
    /// A stream came a step further.
    StreamStatus {
        /// Milliseconds since 1970.
        emitted_at: i64,
        /// Which stream, which step.
        stream_status: StreamStatus,
    },
}

/// What went wrong.
#[derive(Debug, Clone, Serialize)]
pub struct TraceError {
    /// For the person who set up the connection.
    pub message: String,
    /// For whoever looks for a fault.
    pub internal_message: String,
    /// Who can mend it; decides whether the platform tries again.
    pub failure_type: FailureType,
    /// The stream at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_descriptor: Option<StreamDescriptor>,
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureType {
    /// The user: settings or permissions.
    ConfigError,
    /// Time.
    TransientError,
    /// We, or the vendor.
    SystemError,
}

/// Which stream, which step.
#[derive(Debug, Clone, Serialize)]
pub struct StreamStatus {
    stream_descriptor: StreamDescriptor,
    status: Progress,
    // Exactly one reason, or the platform reads a plain RUNNING.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

/// A step in the life of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Progress {
    /// The stream is being prepared.
    Started,
    /// It is being read.
    Running,
    /// All of it was read.
    Complete,
    /// It could not be read to the end.
    Incomplete,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
enum Reason {
    RateLimited { rate_limited: RateLimited },
}

#[derive(Debug, Clone, Serialize)]
struct RateLimited {
    quota_reset: i64,
}

impl Message {
    /// A line for the log.
    pub fn log(level: Level, message: impl Into<String>) -> Self {
        Self::Log { log: Log { level, message: message.into() } }
    }

    /// The texts that may quote somebody: what must be looked through for secrets.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Log { log } => vec![&mut log.message],
            Self::ConnectionStatus { connection_status } => connection_status.message.iter_mut().collect(),
            Self::Trace { trace: Trace::Error { error, .. } } => {
                let stream = error.stream_descriptor.iter_mut().map(|descriptor| &mut descriptor.name);
                [&mut error.message, &mut error.internal_message].into_iter().chain(stream).collect()
            }
            Self::Trace { .. } | Self::State { .. } | Self::Spec { .. } | Self::Catalog { .. } => Vec::new(),
        }
    }

    /// `stream_state` of `stream`, covering `records` since its last state.
    pub fn state(stream: &str, stream_state: Value, records: u64) -> Self {
        Self::State {
            state: State {
                r#type: "STREAM",
                stream: StreamState { stream_descriptor: descriptor(stream), stream_state },
                source_stats: SourceStats { record_count: records as f64 },
            },
        }
    }

    /// A step in the life of `stream`.
    pub fn progress(stream: &str, status: Progress) -> Self {
        Self::stream_status(stream, status, Vec::new())
    }

    /// `stream` waits for the rate limit until `quota_reset` (milliseconds since 1970).
    pub fn rate_limited(stream: &str, quota_reset: i64) -> Self {
        Self::stream_status(
            stream,
            Progress::Running,
            vec![Reason::RateLimited { rate_limited: RateLimited { quota_reset } }],
        )
    }

    fn stream_status(stream: &str, status: Progress, reasons: Vec<Reason>) -> Self {
        let stream_status = StreamStatus { stream_descriptor: descriptor(stream), status, reasons };
        Self::Trace { trace: Trace::StreamStatus { emitted_at: now(), stream_status } }
    }

    /// Something went wrong, in `stream` or in general.
    pub fn error(failure_type: FailureType, message: String, internal_message: String, stream: Option<&str>) -> Self {
        let stream_descriptor = stream.map(descriptor);
        let error = TraceError { message, internal_message, failure_type, stream_descriptor };
        Self::Trace { trace: Trace::Error { emitted_at: now(), error } }
    }

    /// Whether configuration and credentials work; why not.
    pub fn connection_status(status: CheckStatus, message: Option<String>) -> Self {
        Self::ConnectionStatus { connection_status: ConnectionStatus { status, message } }
    }
}

fn descriptor(stream: &str) -> StreamDescriptor {
    StreamDescriptor { name: stream.to_owned() }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// What stands before the record in a RECORD line of `stream`; after it come `emitted_at` and the end.
pub fn record_prefix(stream: &str) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","record":{{"stream":{},"data":"#, Value::from(stream)).into_bytes()
}

/// The state of a full refresh that has nothing left to read.
pub fn full_refresh_complete() -> Value {
    serde_json::json!({ "__ab_full_refresh_sync_complete": true })
}

/// The state of a stream that is read whole each time.
pub fn no_cursor() -> Value {
    serde_json::json!({ "__ab_no_cursor_state_message": true })
}

/// Whether `state` says that a full refresh has nothing left to read.
pub fn is_full_refresh_complete(state: &Value) -> bool {
    state.get("__ab_full_refresh_sync_complete").is_some_and(|value| value == true)
}

/// Something in a file that cannot be read, worded as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

fn unreadable<T>(problem: impl Into<String>) -> Result<T, InputError> {
    Err(InputError(problem.into()))
}

/// A name from somebody's file, short enough for a sentence and on one line.
pub fn shown(name: &str) -> String {
    name.chars().take(60).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// What to read.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredStream {
    /// The stream's name.
    pub name: String,
    /// How to read it.
    pub sync_mode: SyncMode,
    /// The columns to write; `None` when the schema names none, which means all.
    pub columns: Option<Vec<String>>,
}

/// Parses a JSON file's text.
///
/// # Errors
/// When it is not JSON, with the place.
pub fn parse_json(text: &str) -> Result<Value, InputError> {
    if text.starts_with('\u{feff}') {
        return unreadable("begins with a byte order mark: save it as UTF-8 without one");
    }
    if text.trim().is_empty() {
        return unreadable("is empty: check the path");
    }
    serde_json::from_str(text).map_err(|error| {
        // The library tells these two from broken JSON in its text only; the text may quote the file.
        let reason = error.to_string();
        let what = match () {
            () if reason.starts_with("recursion limit") => "is nested more than 127 levels deep",
            () if reason.starts_with("number out of range") => "holds a number too large to be read",
            () => "is not JSON",
        };
        InputError(format!("{what}: look at line {}, column {}", error.line(), error.column()))
    })
}

/// Reads a configured catalog. What destinations do with the records is checked, then ignored.
///
/// # Errors
/// When a stream's entry is not of the protocol's form.
pub fn read_catalog(catalog: &Value) -> Result<Vec<ConfiguredStream>, InputError> {
    let Some(streams) = catalog.get("streams").and_then(Value::as_array) else {
        return unreadable("has no list `streams`: make one from the output of `discover`");
    };
    let configured: Vec<ConfiguredStream> = streams.iter().enumerate().map(read_stream).collect::<Result<_, _>>()?;
    for (position, stream) in configured.iter().enumerate() {
        if configured[..position].iter().any(|earlier| earlier.name == stream.name) {
            return unreadable(format!("names the stream `{}` twice: remove one of the entries", shown(&stream.name)));
        }
    }
    Ok(configured)
}

fn read_stream((position, entry): (usize, &Value)) -> Result<ConfiguredStream, InputError> {
    let Some(stream) = entry.get("stream").and_then(Value::as_object) else {
        return unreadable(format!(
            "has no object `streams[{position}].stream`: copy it there from the output of `discover`, with a `sync_mode` beside it"
        ));
    };
    let Some(name) = stream.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return unreadable(format!(
            "has no string `streams[{position}].stream.name`: copy it from the output of `discover`"
        ));
    };
    let place = |key: &str| format!("`{key}` of the stream `{}`", shown(name));
    let sync_mode = match entry.get("sync_mode").and_then(Value::as_str) {
        Some("full_refresh") => SyncMode::FullRefresh,
        Some("incremental") => SyncMode::Incremental,
        _ => return unreadable(format!("has an unknown {}: use `full_refresh` or `incremental`", place("sync_mode"))),
    };
    match entry.get("destination_sync_mode") {
        None | Some(Value::Null) => {}
        Some(Value::String(mode)) if DESTINATION_SYNC_MODES.contains(&mode.as_str()) => {}
        Some(_) => {
            let modes = DESTINATION_SYNC_MODES.join("`, `");
            return unreadable(format!("has an unknown {}: use one of `{modes}`", place("destination_sync_mode")));
        }
    }
    let columns = match stream.get("json_schema") {
        None | Some(Value::Null) => None,
        Some(Value::Object(schema)) => read_columns(schema, &place("json_schema.properties"))?,
        Some(_) => {
            return unreadable(format!(
                "has a {} that is no object: copy it from the output of `discover`",
                place("json_schema")
            ));
        }
    };
    Ok(ConfiguredStream { name: name.to_owned(), sync_mode, columns })
}

/// What the platform may send (its newer modes included).
const DESTINATION_SYNC_MODES: [&str; 6] =
    ["append", "overwrite", "append_dedup", "overwrite_dedup", "update", "soft_delete"];

fn read_columns(schema: &Map<String, Value>, place: &str) -> Result<Option<Vec<String>>, InputError> {
    match schema.get("properties") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(properties)) if properties.is_empty() => Ok(None),
        Some(Value::Object(properties)) => Ok(Some(properties.keys().cloned().collect())),
        Some(_) => unreadable(format!("has a {place} that is no object: copy it from the output of `discover`")),
    }
}

/// The saved states by stream, and what was passed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SavedStates {
    /// `stream_state` by stream name.
    pub by_stream: HashMap<String, Value>,
    /// What was there and is not used, for the log.
    pub ignored: Vec<String>,
}

/// Reads a state file in any of the forms platforms and people have: a list of messages, a single one,
/// a global one, the legacy map of stream to state, or nothing (`[]`, `{}`, `null`).
///
/// # Errors
/// When it is none of these: a state that is not understood must not become a full read.
pub fn read_states(states: &Value) -> Result<SavedStates, InputError> {
    let mut saved = SavedStates::default();
    match states {
        Value::Null => {}
        Value::Array(entries) => entries.iter().try_for_each(|entry| saved.read_entry(entry))?,
        Value::Object(entry) if is_message(entry) => saved.read_entry(states)?,
        Value::Object(by_stream) => saved.read_map(by_stream)?,
        _ => return unreadable("is neither a list of state messages nor an object: use what the last sync wrote"),
    }
    Ok(saved)
}

fn is_message(entry: &Map<String, Value>) -> bool {
    entry.get("type").is_some_and(Value::is_string)
        || entry.get("stream").is_some_and(|stream| stream.get("stream_descriptor").is_some())
}

impl SavedStates {
    fn read_entry(&mut self, entry: &Value) -> Result<(), InputError> {
        let known = |key: &str| entry.get(key).filter(|value| !value.is_null());
        match entry.get("type").and_then(Value::as_str) {
            // A whole message, as the connector wrote it.
            Some("STATE") => match known("state") {
                Some(state) => self.read_entry(state),
                None => unreadable("has a message of type STATE without `state`: use what the last sync wrote"),
            },
            Some("GLOBAL") => match known("global").or(known("global_")) {
                Some(global) => self.read_global(global),
                None => unreadable("has a state of type GLOBAL without `global`: use what the last sync wrote"),
            },
            Some("LEGACY") => match known("data") {
                Some(Value::Object(by_stream)) => self.read_map(by_stream),
                _ => unreadable("has a state of type LEGACY without `data`: use what the last sync wrote"),
            },
            Some("STREAM") | None => match known("stream") {
                Some(stream) => self.read_stream(stream),
                None => unreadable("has an entry without `stream`: use what the last sync wrote"),
            },
            Some(_) => unreadable("has an entry of unknown `type`: use what the last sync wrote"),
        }
    }

    fn read_global(&mut self, global: &Value) -> Result<(), InputError> {
        let is_something =
            |shared: &Value| !shared.is_null() && shared.as_object().is_none_or(|shared| !shared.is_empty());
        if global.get("shared_state").is_some_and(is_something) {
            self.ignored.push("the shared part of a global state".into());
        }
        match global.get("stream_states") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(streams)) => streams.iter().try_for_each(|stream| self.read_stream(stream)),
            Some(_) => unreadable("has `global.stream_states` that is no list: use what the last sync wrote"),
        }
    }

    fn read_stream(&mut self, stream: &Value) -> Result<(), InputError> {
        let name =
            stream.get("stream_descriptor").and_then(|descriptor| descriptor.get("name")).and_then(Value::as_str);
        match name {
            Some(name) => self.keep(name, stream.get("stream_state").unwrap_or(&Value::Null)),
            None => unreadable("has a state without `stream_descriptor.name`: use what the last sync wrote"),
        }
    }

    fn read_map(&mut self, by_stream: &Map<String, Value>) -> Result<(), InputError> {
        by_stream.iter().try_for_each(|(name, state)| self.keep(name, state))
    }

    /// Null asks for everything again: the platform's way to fill a new column.
    fn keep(&mut self, name: &str, state: &Value) -> Result<(), InputError> {
        match state {
            Value::Null => {
                self.by_stream.remove(name);
            }
            Value::Object(_) => {
                self.by_stream.insert(name.to_owned(), state.clone());
            }
            _ => {
                return unreadable(format!(
                    "has a state of the stream `{}` that is no object: use what the last sync wrote",
                    shown(name)
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_have_the_form_of_the_protocol() {
        let text = |message: Message| serde_json::to_string(&message).unwrap();
        assert_eq!(text(Message::log(Level::Info, "x")), r#"{"type":"LOG","log":{"level":"INFO","message":"x"}}"#);
        assert_eq!(
            text(Message::state("rooms", json!({"a": 1}), 3)),
            r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"rooms"},"stream_state":{"a":1}},"sourceStats":{"recordCount":3.0}}}"#
        );
        let limited = serde_json::to_value(Message::rate_limited("rooms", 5)).unwrap();
        assert_eq!(
            limited["trace"]["stream_status"]["reasons"],
            json!([{"type": "RATE_LIMITED", "rate_limited": {"quota_reset": 5}}])
        );
        assert_eq!(limited["trace"]["type"], "STREAM_STATUS");
        let status = text(Message::connection_status(CheckStatus::Succeeded, None));
        assert_eq!(status, r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#);
    }

    #[test]
    fn states_are_read_in_every_form() {
        let state = json!({"updated_at": "x"});
        let stream = json!({"stream_descriptor": {"name": "rooms", "namespace": null}, "stream_state": state});
        for form in [
            json!([{"type": "STREAM", "stream": stream, "sourceStats": {"recordCount": 1.0}, "id": 3}]),
            json!({"type": "STREAM", "stream": stream}),
            json!([{"stream": stream, "global_": null, "data": null, "type": "STREAM"}]),
            json!({"stream": stream}),
            json!([{"type": "GLOBAL", "global": {"shared_state": {}, "stream_states": [stream]}}]),
            json!([{"type": "LEGACY", "data": {"rooms": state}}]),
            json!({"rooms": state}),
            json!([{"type": "STATE", "state": {"type": "STREAM", "stream": stream}}]),
        ] {
            let saved = read_states(&form).unwrap();
            assert_eq!(saved.by_stream.get("rooms"), Some(&state), "{form}");
            assert!(saved.ignored.is_empty());
        }
        for nothing in [
            json!([]),
            json!({}),
            json!(null),
            json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": null}}]),
        ] {
            assert_eq!(read_states(&nothing).unwrap(), SavedStates::default());
        }
        for wrong in [
            json!(5),
            json!("x"),
            json!([5]),
            json!([{}]),
            json!({"type": "ODD"}),
            json!({"rooms": 5}),
            json!([{"type": "STREAM", "stream": {}}]),
        ] {
            assert!(read_states(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_state_of_a_stream_counts() {
        let entry = |state: Value| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": state}});
        let saved = read_states(&json!([entry(json!({"a": 1})), entry(json!({"a": 2}))])).unwrap();
        assert_eq!(saved.by_stream["rooms"], json!({"a": 2}));
        let reset = read_states(&json!([entry(json!({"a": 1})), entry(json!(null))])).unwrap();
        assert!(reset.by_stream.is_empty());
    }

    #[test]
    fn a_catalog_names_its_faults() {
        let entry = |entry: Value| read_catalog(&json!({"streams": [entry]}));
        assert_eq!(
            entry(json!({"stream": {"name": "rooms", "json_schema": {"properties": {"id": {}}}}, "sync_mode": "incremental",
                "destination_sync_mode": "overwrite_dedup", "cursor_field": null, "new": 1})).unwrap(),
            [ConfiguredStream { name: "rooms".into(), sync_mode: SyncMode::Incremental, columns: Some(vec!["id".into()]) }]
        );
        let error = |value: Value| entry(value).unwrap_err().to_string();
        assert!(
            error(json!({"stream": {"name": "rooms"}, "sync_mode": "INVALID"}))
                .contains("`sync_mode` of the stream `rooms`")
        );
        assert!(
            error(json!({"stream": {"name": "rooms"}, "sync_mode": "incremental", "destination_sync_mode": "INVALID"}))
                .contains("destination_sync_mode")
        );
        assert!(error(json!({"stream": {}})).contains("streams[0].stream.name"));
        assert!(read_catalog(&json!([])).is_err());
        let twice = json!({"stream": {"name": "rooms"}, "sync_mode": "incremental"});
        assert!(read_catalog(&json!({"streams": [twice, twice]})).unwrap_err().to_string().contains("twice"));
    }
}
