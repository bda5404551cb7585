//! What the connector says: messages, each written as one line.

use serde::Serialize;
use serde_json::Value;

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
    /// For somebody who looks for the cause.
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
    /// For somebody who looks for the cause.
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

    /// The JSON values in it that come from outside: what a state remembers, and the schemas of what was seen.
    pub fn values_mut(&mut self) -> Vec<&mut Value> {
        match self {
            Self::State { state } => vec![&mut state.stream.stream_state],
            Self::Catalog { catalog } => catalog.streams.iter_mut().map(|stream| &mut stream.json_schema).collect(),
            Self::Log { .. } | Self::ConnectionStatus { .. } | Self::Trace { .. } | Self::Spec { .. } => Vec::new(),
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
    crate::seams::now().timestamp_millis()
}

/// What stands before the record in a RECORD line of `stream`; after it come `emitted_at` and the end.
pub fn record_prefix(stream: &str) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","record":{{"stream":{},"data":"#, Value::from(stream)).into_bytes()
}

/// The state of a stream that is read whole each time.
pub fn no_cursor() -> Value {
    serde_json::json!({ "__ab_no_cursor_state_message": true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
