//! Shows messages as sentences and tables.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::ProgressBars;
use crate::airbyte::{Level, Message, Sink, Stream};

/// What is seen of a command, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Messages of the protocol, for a program.
    Messages,
    /// The messages of a read, and progress for the person who started it.
    MessagesAndProgress,
    /// Sentences about a read, whose records go to a folder.
    Read,
    /// The answer of another command, for a person. That of `discover` is a table of the streams.
    Answer,
    /// The columns of each stream, with types and descriptions.
    Columns,
    /// A configured catalog as JSON: all streams chosen, incremental where they can be.
    ConfiguredCatalog,
}

/// Shows each message as a person wants to read it.
pub struct Screen<A, R> {
    /// Takes the answer of a command.
    pub answer: A,
    /// Takes what is said beside it, above the progress bars.
    pub remarks: R,
    pub view: View,
    pub progress: ProgressBars,
}

impl<A: Write + Send, R: Write + Send> Sink for Screen<A, R> {
    fn records(&mut self, _stream: &str, _lines: &[u8], _count: u64) -> io::Result<()> {
        // A person finds records and states in a folder.
        Ok(())
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        let Self { answer, remarks, .. } = self;
        let mut remark = |label: &str, text: &str| self.progress.above(|| writeln!(remarks, "{label}{text}"));
        match message {
            Message::Log { level: Level::Debug, text } => remark("  ", text),
            Message::Log { level: Level::Info, text } => remark("", text),
            Message::Log { level: Level::Warn, text } => remark("Warning: ", text),
            Message::Error { message, .. } => remark("Error: ", message),
            Message::Spec { form, .. } => writeln!(answer, "{form:#}"),
            Message::ConnectionStatus { problem: None } => {
                writeln!(answer, "The check succeeded: 100ms accepts the credentials.")
            }
            Message::ConnectionStatus { problem: Some(problem) } => writeln!(answer, "The check failed. {problem}"),
            Message::Catalog(streams) => match self.view {
                View::Columns => streams.iter().try_for_each(|stream| write!(answer, "{}", columns(stream))),
                View::ConfiguredCatalog => writeln!(answer, "{:#}", configured(streams)),
                _ => write!(answer, "{}", table(streams)),
            },
            Message::State { .. } | Message::Status { .. } => Ok(()),
        }
    }
}

/// The streams with what a person chooses by.
fn table(streams: &[Stream]) -> String {
    let row = |stream: &Stream| {
        let columns = stream.json_schema["properties"].as_object().map_or(0, serde_json::Map::len);
        let cursor = stream.default_cursor_field.first().copied().unwrap_or("none (read in full)");
        [stream.name, &stream.source_defined_primary_key.concat().join(", "), cursor, &columns.to_string()]
            .map(str::to_owned)
    };
    let head = ["Stream", "Primary key", "Cursor", "Columns"].map(str::to_owned);
    aligned(std::iter::once(head).chain(streams.iter().map(row)).collect())
}

/// The columns of a stream, a line each: name, type, and the first sentence of the description.
fn columns(stream: &Stream) -> String {
    let row = |(name, column): (&String, &Value)| {
        let types = column["type"].as_array().into_iter().flatten().chain([&column["type"]]);
        let kind = types.filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("any");
        let kind = if column["format"] == "date-time" { "time" } else { kind };
        let about = column["description"].as_str().unwrap_or_default();
        let first = about.split_once(". ").map_or(about, |(first, _)| first).trim_end_matches('.');
        [format!("  {name}"), kind.to_owned(), first.to_owned()]
    };
    let rows = stream.json_schema["properties"].as_object().into_iter().flatten().map(row).collect();
    format!("{}\n{}\n", stream.name, aligned(rows))
}

/// Rows with their columns below each other.
fn aligned<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: [String; N]| {
        let cell = |(cell, width): (String, &usize)| match cell.parse::<u64>() {
            Ok(_) => format!("{cell:>width$}"),
            Err(_) => format!("{cell:<width$}"),
        };
        let cells: Vec<String> = row.into_iter().zip(&widths).map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.into_iter().map(line).collect()
}

fn configured(streams: &[Stream]) -> Value {
    let choose = |stream: &Stream| {
        let (sync_mode, destination) = match stream.source_defined_cursor {
            true => ("incremental", "append_dedup"),
            false => ("full_refresh", "overwrite"),
        };
        json!({
            "stream": stream,
            "sync_mode": sync_mode,
            "destination_sync_mode": destination,
            "cursor_field": stream.default_cursor_field,
            "primary_key": stream.source_defined_primary_key,
        })
    };
    json!({"streams": streams.iter().map(choose).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airbyte::{FailureType, SyncMode};

    fn on_screen(message: Message, view: View) -> (String, String) {
        let (mut answer, mut remarks) = (Vec::new(), Vec::new());
        let progress = ProgressBars::new(false);
        Screen { answer: &mut answer, remarks: &mut remarks, view, progress }.message(&message).unwrap();
        (String::from_utf8(answer).unwrap(), String::from_utf8(remarks).unwrap())
    }

    #[test]
    fn remarks_and_answers_are_told_apart() {
        let log = |level| on_screen(Message::log(level, "So it is."), View::Answer);
        assert_eq!(log(Level::Info), (String::new(), "So it is.\n".into()));
        assert_eq!(log(Level::Warn), (String::new(), "Warning: So it is.\n".into()));
        let failed = Message::ConnectionStatus { problem: Some("No.".into()) };
        assert_eq!(on_screen(failed, View::Answer), ("The check failed. No.\n".into(), String::new()));
        let (message, internal, stream) = ("Broken.".into(), String::new(), None);
        let error = Message::Error { kind: FailureType::SystemError, message, internal, stream };
        assert_eq!(on_screen(error, View::Answer), (String::new(), "Error: Broken.\n".into()));
    }

    fn stream(name: &'static str, key: &'static str, cursor: Option<&'static str>, columns: Value) -> Stream {
        let mut supported_sync_modes = vec![SyncMode::FullRefresh];
        supported_sync_modes.extend(cursor.map(|_| SyncMode::Incremental));
        Stream {
            name,
            json_schema: json!({"properties": columns}),
            supported_sync_modes,
            source_defined_cursor: cursor.is_some(),
            default_cursor_field: cursor.into_iter().collect(),
            source_defined_primary_key: vec![[key]],
            is_resumable: cursor.is_some(),
        }
    }

    #[test]
    fn a_catalog_is_a_table_or_ready_to_be_read() {
        let catalog = Message::Catalog(vec![
            stream("rooms", "id", Some("updated_at"), json!({"id": {}, "updated_at": {}})),
            stream("template_settings", "template_id", None, json!({"template_id": {}})),
        ]);
        assert_eq!(
            on_screen(catalog.clone(), View::Answer).0,
            "Stream             Primary key  Cursor               Columns\n\
             rooms              id           updated_at                 2\n\
             template_settings  template_id  none (read in full)        1\n"
        );
        let time = json!({"type": ["null", "string"], "format": "date-time", "description": "When it began. In UTC."});
        let rooms = stream("rooms", "id", None, json!({"id": {"type": "string"}, "since": time}));
        assert_eq!(
            on_screen(Message::Catalog(vec![rooms]), View::Columns).0,
            "rooms\n  id     string\n  since  time    When it began\n\n"
        );
        let ready: Value = serde_json::from_str(&on_screen(catalog, View::ConfiguredCatalog).0).unwrap();
        assert_eq!(ready["streams"][0]["sync_mode"], "incremental");
        assert_eq!(ready["streams"][1]["sync_mode"], "full_refresh");
        let read = crate::airbyte::read_catalog(&ready).unwrap();
        assert_eq!(read[0].columns.as_ref().map(Vec::len), Some(2));
    }
}
