//! What the connector writes: messages of the protocol, and the sinks that take them.

use std::io;

use serde::Serialize;
use serde_json::{Value, json};

/// A message of the protocol, except for records: those are made as finished lines.
#[derive(Debug, Clone)]
pub enum Message {
    /// A line of the log.
    Log { level: Level, text: String },
    /// The answer to `spec`: the form is the JSON schema of the configuration.
    Spec { documentation_url: &'static str, form: Value },
    /// The answer to `check`: why the configuration does not work, as a sentence to act on, or `None` if it works.
    ConnectionStatus { problem: Option<String> },
    /// The answer to `discover`.
    Catalog(Vec<Stream>),
    /// The state of a stream, which covers all of its records that were written before; `records` is how many of them
    /// came after the previous state of the stream.
    State { stream: String, state: Value, records: u64 },
    /// A step in the life of a stream, which a limit on the rate may hold up, until so many milliseconds since 1970.
    Status { stream: String, status: StreamStatus, limited_until: Option<i64> },
    /// Something went wrong, in `stream` or in general: `message` is for the person who set up the connection,
    /// `internal` for somebody who looks for the cause.
    Error { kind: FailureType, message: String, internal: String, stream: Option<String> },
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Debug,
    Info,
    /// Something is not as it should be, and the connector continues.
    Warn,
}

/// A stream on offer.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    pub name: &'static str,
    pub json_schema: Value,
    pub supported_sync_modes: Vec<SyncMode>,
    pub source_defined_cursor: bool,
    /// The path of the cursor; empty when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_cursor_field: Vec<&'static str>,
    /// The paths of the columns of the key.
    pub source_defined_primary_key: Vec<[&'static str; 1]>,
    /// Whether a read that was interrupted continues where it was.
    pub is_resumable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    FullRefresh,
    Incremental,
}

/// Who can fix a failure. It decides whether the platform tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureType {
    /// The user, by other settings or permissions.
    ConfigError,
    /// Nobody: it passes.
    TransientError,
    /// The authors of the connector, or 100ms.
    SystemError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StreamStatus {
    Started,
    Running,
    Complete,
    Incomplete,
}

/// Takes what the connector writes, in the order in which it is written.
pub trait Sink: Send {
    /// Takes `count` records of `stream`, each of them a whole line of `lines`.
    ///
    /// # Errors
    /// When they cannot be shown or stored.
    fn records(&mut self, stream: &str, lines: &[u8], count: u64) -> io::Result<()>;

    /// Takes any other message.
    ///
    /// # Errors
    /// When it cannot be shown or stored.
    fn message(&mut self, message: &Message) -> io::Result<()>;
}

impl Message {
    pub fn log(level: Level, text: impl Into<String>) -> Self {
        Self::Log { level, text: text.into() }
    }

    pub fn status(stream: impl Into<String>, status: StreamStatus) -> Self {
        Self::Status { stream: stream.into(), status, limited_until: None }
    }

    /// The message as JSON. Its keys are in the order of the protocol's definition, so that `type` comes first.
    ///
    /// # Errors
    /// Never: all keys are strings.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let (tag, key, content) = match self {
            Self::Log { level, text } => ("LOG", "log", object([("level", json(level)), ("message", json(text))])),
            Self::Spec { documentation_url, form } => {
                let spec = object([
                    ("documentationUrl", json(documentation_url)),
                    ("connectionSpecification", form.to_string()),
                    ("supportsIncremental", json(true)),
                    ("protocol_version", json("0.2.0")),
                ]);
                ("SPEC", "spec", spec)
            }
            Self::ConnectionStatus { problem } => {
                let status = if problem.is_none() { "SUCCEEDED" } else { "FAILED" };
                let message = problem.as_ref().map(|problem| ("message", json(problem)));
                ("CONNECTION_STATUS", "connectionStatus", object([("status", json(status))].into_iter().chain(message)))
            }
            Self::Catalog(streams) => ("CATALOG", "catalog", object([("streams", serde_json::to_string(streams)?)])),
            Self::State { stream, state, records } => {
                let stream = object([("stream_descriptor", descriptor(stream)), ("stream_state", state.to_string())]);
                // The protocol's type is number, and platforms were written against `3.0`.
                let stats = json!({"recordCount": *records as f64}).to_string();
                // Always of type STREAM: platforms refuse a mixture.
                ("STATE", "state", object([("type", json("STREAM")), ("stream", stream), ("sourceStats", stats)]))
            }
            Self::Status { stream, status, limited_until } => {
                let mut content = vec![("stream_descriptor", descriptor(stream)), ("status", json(status))];
                // With more than one reason, the platform reads a plain RUNNING.
                let limit = |end| format!(r#"[{{"type":"RATE_LIMITED","rate_limited":{{"quota_reset":{end}}}}}]"#);
                content.extend(limited_until.map(|end| ("reasons", limit(end))));
                ("TRACE", "trace", trace("STREAM_STATUS", "stream_status", content))
            }
            Self::Error { kind, message, internal, stream } => {
                let content =
                    [("message", json(message)), ("internal_message", json(internal)), ("failure_type", json(kind))];
                let stream = stream.as_ref().map(|stream| ("stream_descriptor", descriptor(stream)));
                ("TRACE", "trace", trace("ERROR", "error", content.into_iter().chain(stream)))
            }
        };
        Ok(object([("type", json(tag)), (key, content)]))
    }
}

fn json(value: impl Serialize) -> String {
    json!(value).to_string()
}

/// A JSON object with its members in this order. Their values are JSON already.
fn object<'k>(members: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let members: Vec<String> = members.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn descriptor(stream: &str) -> String {
    json!({"name": stream}).to_string()
}

fn trace<'k>(tag: &str, key: &str, content: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let emitted_at = crate::seams::now().timestamp_millis();
    object([("type", json(tag)), ("emitted_at", json(emitted_at)), (key, object(content))])
}

/// What stands before the record in a RECORD line of `stream`; after it come `emitted_at` and the end.
pub fn record_prefix(stream: &str) -> Vec<u8> {
    format!(r#"{{"type":"RECORD","record":{{"stream":{},"data":"#, Value::from(stream)).into_bytes()
}

/// The state of a stream that is read whole each time.
pub fn no_cursor() -> Value {
    json!({ "__ab_no_cursor_state_message": true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_form_of_the_protocol() {
        let text = |message: Message| message.to_json().unwrap();
        assert_eq!(text(Message::log(Level::Info, "x")), r#"{"type":"LOG","log":{"level":"INFO","message":"x"}}"#);
        assert_eq!(
            text(Message::State { stream: "rooms".into(), state: json!({"a": 1}), records: 3 }),
            r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"rooms"},"stream_state":{"a":1}},"sourceStats":{"recordCount":3.0}}}"#
        );
        let limited = Message::Status { stream: "rooms".into(), status: StreamStatus::Running, limited_until: Some(5) };
        let limited: Value = serde_json::from_str(&text(limited)).unwrap();
        assert_eq!(
            limited["trace"]["stream_status"]["reasons"],
            json!([{"type": "RATE_LIMITED", "rate_limited": {"quota_reset": 5}}])
        );
        assert_eq!(limited["trace"]["type"], "STREAM_STATUS");
        let status = text(Message::ConnectionStatus { problem: None });
        assert_eq!(status, r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#);
    }
}
