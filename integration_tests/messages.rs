//! The messages a second time, strictly: the connector's own types cannot vouch for themselves.
//!
//! Unknown keys, wrong types and missing fields fail. Written from the protocol's definition.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::key_of;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Message {
    Record {
        record: Record,
    },
    State {
        state: State,
    },
    Log {
        log: Log,
    },
    Trace {
        trace: Trace,
    },
    Spec {
        spec: Spec,
    },
    ConnectionStatus {
        #[serde(rename = "connectionStatus")]
        connection_status: ConnectionStatus,
    },
    Catalog {
        catalog: Catalog,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub stream: String,
    pub data: Map<String, Value>,
    pub emitted_at: i64,
    pub meta: Option<RecordMeta>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordMeta {
    pub changes: Vec<RecordChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordChange {
    pub field: String,
    pub change: Change,
    pub reason: ChangeReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    Nulled,
    Truncated,
}

/// Those of a source; the protocol has more, for destinations and platforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::enum_variant_names, reason = "the protocol's names")]
pub enum ChangeReason {
    SourceRecordSizeLimitation,
    SourceFieldSizeLimitation,
    SourceRetrievalError,
    SourceSerializationError,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub r#type: String,
    pub stream: StreamState,
    #[serde(rename = "sourceStats")]
    pub source_stats: SourceStats,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamState {
    pub stream_descriptor: Descriptor,
    pub stream_state: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceStats {
    #[serde(rename = "recordCount")]
    pub record_count: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: Level,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Trace {
    Error { emitted_at: f64, error: TraceError },
    StreamStatus { emitted_at: f64, stream_status: StreamStatus },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceError {
    pub message: String,
    pub internal_message: String,
    pub failure_type: FailureType,
    pub stream_descriptor: Option<Descriptor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the protocol's names")]
pub enum FailureType {
    ConfigError,
    SystemError,
    TransientError,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamStatus {
    pub stream_descriptor: Descriptor,
    pub status: Status,
    #[serde(default)]
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Started,
    Running,
    Complete,
    Incomplete,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    RateLimited { rate_limited: RateLimited },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimited {
    pub quota_reset: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    pub documentation_url: String,
    pub connection_specification: Value,
    pub supports_incremental: bool,
    #[serde(rename = "protocol_version")]
    pub protocol_version: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionStatus {
    pub status: CheckStatus,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckStatus {
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    pub streams: Vec<Stream>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub name: String,
    pub json_schema: Value,
    pub supported_sync_modes: Vec<String>,
    pub source_defined_cursor: bool,
    #[serde(default)]
    pub default_cursor_field: Vec<String>,
    pub source_defined_primary_key: Vec<Vec<String>>,
    pub is_resumable: bool,
}

/// All that a run wrote, in order, with the rules of the protocol checked on the way.
#[derive(Debug, Default, Clone)]
pub struct Transcript {
    pub messages: Vec<Message>,
}

impl Record {
    /// The key, as the fake's truth spells it.
    pub fn key(&self) -> String {
        key_of(&self.stream, &self.data).expect("keys are strings")
    }

    /// The fields that could not be written as they came.
    pub fn changes(&self) -> Vec<(&str, Change)> {
        let changes = self.meta.iter().flat_map(|meta| &meta.changes);
        changes.map(|change| (change.field.as_str(), change.change)).collect()
    }

    /// A change is of a column of the record, once, and says what became of it; no changes, no `meta`.
    fn assert_changes_fit(&self) {
        let changes = self.changes();
        assert!(self.meta.is_none() || !changes.is_empty(), "{self:?}");
        for (at, (field, change)) in changes.iter().enumerate() {
            let is_null = self.data.get(*field).unwrap_or_else(|| panic!("no column {field}: {self:?}")).is_null();
            assert_eq!(is_null, *change == Change::Nulled, "{field}: {self:?}");
            assert!(changes[..at].iter().all(|(other, _)| other != field), "{field} twice: {self:?}");
        }
    }
}

impl Transcript {
    /// Parses whole lines; an unfinished last line, as a kill leaves it, is passed over.
    pub fn parse(stdout: &[u8]) -> Transcript {
        let whole = stdout.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(&stdout[..whole]).expect("the output is UTF-8");
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not a message of the protocol ({error}): {line}"))
        };
        assert_eq!(
            text.lines().count(),
            text.split_terminator(line_break).count(),
            "a line a splitting reader would cut"
        );
        Transcript { messages: text.lines().map(parse).collect() }
    }

    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.messages.iter().filter_map(|message| match message {
            Message::Record { record } => Some(record),
            _ => None,
        })
    }

    pub fn records_of<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records().filter(move |record| record.stream == stream)
    }

    /// The last version of every record by key, and how many records there were.
    pub fn by_key(&self, stream: &str) -> (BTreeMap<String, Value>, usize) {
        let last = self.records_of(stream).map(|record| (record.key(), Value::Object(record.data.clone())));
        (last.collect(), self.records_of(stream).count())
    }

    pub fn states_of<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a State> {
        self.messages.iter().filter_map(move |message| match message {
            Message::State { state } if state.stream.stream_descriptor.name == stream => Some(state),
            _ => None,
        })
    }

    /// Every state with its stream, in their order.
    pub fn all_states(&self) -> Vec<(String, Value)> {
        let states = self.messages.iter().filter_map(|message| match message {
            Message::State { state } => Some(&state.stream),
            _ => None,
        });
        states
            .map(|stream| (stream.stream_descriptor.name.clone(), Value::Object(stream.stream_state.clone())))
            .collect()
    }

    /// The last state of every stream, as platforms keep them.
    pub fn last_states(&self) -> BTreeMap<String, Value> {
        self.all_states().into_iter().collect()
    }

    pub fn statuses_of(&self, stream: &str) -> Vec<Status> {
        let statuses = self.messages.iter().filter_map(|message| match message {
            Message::Trace { trace: Trace::StreamStatus { stream_status, .. } } => Some(stream_status),
            _ => None,
        });
        statuses.filter(|status| status.stream_descriptor.name == stream).map(|status| status.status).collect()
    }

    pub fn errors(&self) -> Vec<&TraceError> {
        let errors = self.messages.iter().filter_map(|message| match message {
            Message::Trace { trace: Trace::Error { error, .. } } => Some(error),
            _ => None,
        });
        errors.collect()
    }

    pub fn logs(&self, level: Level) -> Vec<&str> {
        let logs = self.messages.iter().filter_map(|message| match message {
            Message::Log { log } if log.level == level => Some(log.message.as_str()),
            _ => None,
        });
        logs.collect()
    }

    pub fn connection_status(&self) -> Option<&ConnectionStatus> {
        let mut statuses = self.messages.iter().filter_map(|message| match message {
            Message::ConnectionStatus { connection_status } => Some(connection_status),
            _ => None,
        });
        let first = statuses.next();
        assert!(statuses.next().is_none(), "more than one CONNECTION_STATUS");
        first
    }

    pub fn catalog(&self) -> &Catalog {
        let catalog = self.messages.iter().find_map(|message| match message {
            Message::Catalog { catalog } => Some(catalog),
            _ => None,
        });
        catalog.expect("a CATALOG")
    }

    /// The promises every read keeps, cut short or not: states count exactly the records of their stream
    /// since its last state; a stream's statuses come in order; nothing follows its end; a stream without a cursor
    /// has one state.
    pub fn assert_in_order(&self) {
        let mut uncovered: BTreeMap<&str, u64> = BTreeMap::new();
        let mut phase: BTreeMap<&str, Status> = BTreeMap::new();
        let mut whole = BTreeSet::new();
        for message in &self.messages {
            match message {
                Message::Record { record } => {
                    record.assert_changes_fit();
                    assert_eq!(
                        phase.get(record.stream.as_str()),
                        Some(&Status::Running),
                        "a record of {} too early or late",
                        record.stream
                    );
                    *uncovered.entry(&record.stream).or_default() += 1;
                }
                Message::State { state } => {
                    let name = state.stream.stream_descriptor.name.as_str();
                    assert_eq!(phase.get(name), Some(&Status::Running), "a state of {name} too early or late");
                    let counted = uncovered.insert(name, 0).unwrap_or(0);
                    assert_eq!(
                        state.source_stats.record_count, counted as f64,
                        "records of {name} since its last state"
                    );
                    assert_eq!(state.r#type, "STREAM");
                    if state.stream.stream_state.contains_key("__ab_no_cursor_state_message") {
                        assert!(whole.insert(name), "{name} has no cursor and more than one state");
                    }
                }
                Message::Trace { trace: Trace::StreamStatus { stream_status, .. } } => {
                    let name = stream_status.stream_descriptor.name.as_str();
                    let before = phase.insert(name, stream_status.status);
                    let is_allowed = match stream_status.status {
                        Status::Started => before.is_none(),
                        Status::Running => matches!(before, Some(Status::Started | Status::Running)),
                        Status::Complete => {
                            before == Some(Status::Running) && uncovered.get(name).copied().unwrap_or(0) == 0
                        }
                        Status::Incomplete => !matches!(before, Some(Status::Complete | Status::Incomplete)),
                    };
                    assert!(is_allowed, "{name}: {:?} after {before:?}", stream_status.status);
                }
                _ => {}
            }
        }
    }
}

/// What Python's `splitlines` cuts at.
fn line_break(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
