//! Shows messages as sentences and tables.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::lines::Lines;
use super::progress::Progress;

/// How the answer of `discover` is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogAs {
    /// A table of the streams.
    Table,
    /// A configured catalog as JSON: all streams chosen, incremental where they can be.
    Configured,
}

/// Shows each message as a person wants to read it.
pub struct Screen<A, R> {
    /// Takes the answer of a command.
    answer: A,
    /// Takes what is said beside it.
    remarks: R,
    catalog_as: CatalogAs,
    progress: Progress,
}

impl<A: Write, R: Write> Screen<A, R> {
    /// Shows answers on `answer` and everything else on `remarks`, above the lines of `progress`.
    pub fn new(answer: A, remarks: R, catalog_as: CatalogAs, progress: Progress) -> Self {
        Self { answer, remarks, catalog_as, progress }
    }

    fn remark(&mut self, text: &str) -> io::Result<()> {
        let remarks = &mut self.remarks;
        self.progress.above(|| writeln!(remarks, "{text}"))
    }
}

impl<A: Write, R: Write> Lines for Screen<A, R> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let message: Value = serde_json::from_slice(line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match message["type"].as_str() {
            Some("LOG") => {
                let log = &message["log"];
                self.remark(&format!("{}{}", label(log["level"].as_str()), text(&log["message"])))
            }
            Some("TRACE") => match &message["trace"]["error"]["message"] {
                Value::String(sentence) => self.remark(&format!("Error: {sentence}")),
                _ => Ok(()),
            },
            Some("SPEC") => writeln!(self.answer, "{:#}", message["spec"]["connectionSpecification"]),
            Some("CONNECTION_STATUS") => writeln!(self.answer, "{}", status(&message["connectionStatus"])),
            Some("CATALOG") => {
                let streams = message["catalog"]["streams"].as_array().map_or(&[][..], Vec::as_slice);
                match self.catalog_as {
                    CatalogAs::Table => write!(self.answer, "{}", table(streams)),
                    CatalogAs::Configured => writeln!(self.answer, "{:#}", configured(streams)),
                }
            }
            // Records and states have their place elsewhere.
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.answer.flush()?;
        self.remarks.flush()
    }
}

fn label(level: Option<&str>) -> &'static str {
    match level {
        Some("WARN") => "Warning: ",
        Some("ERROR" | "FATAL") => "Error: ",
        Some("DEBUG" | "TRACE") => "  ",
        _ => "",
    }
}

fn status(status: &Value) -> String {
    match (status["status"].as_str(), status["message"].as_str()) {
        (Some("SUCCEEDED"), None) => "The check succeeded: 100ms accepts the credentials.".to_owned(),
        (Some("SUCCEEDED"), Some(sentence)) => format!("The check succeeded: {sentence}"),
        (_, sentence) => format!("The check failed. {}", sentence.unwrap_or_default()),
    }
}

/// The streams with what a person chooses by.
fn table(streams: &[Value]) -> String {
    let paths = |paths: &Value| {
        let last = |path: &Value| match path {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("."),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        paths.as_array().into_iter().flatten().map(last).collect::<Vec<_>>().join(", ")
    };
    let row = |stream: &Value| {
        let columns = stream["json_schema"]["properties"].as_object().map_or(0, serde_json::Map::len);
        let cursor = paths(&stream["default_cursor_field"]);
        [
            stream["name"].as_str().unwrap_or_default().to_owned(),
            paths(&stream["source_defined_primary_key"]),
            if cursor.is_empty() { "none (read in full)".to_owned() } else { cursor },
            columns.to_string(),
        ]
    };
    let head = ["Stream", "Primary key", "Cursor", "Columns"].map(str::to_owned);
    aligned(std::iter::once(head).chain(streams.iter().map(row)).collect())
}

/// Rows with their columns below each other; the last is a number.
fn aligned<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column + 1 == N {
                text.push_str(&format!("{cell:>width$}\n"))
            } else {
                text.push_str(&format!("{cell:<width$}  "))
            }
        }
    }
    text
}

fn configured(streams: &[Value]) -> Value {
    let choose = |stream: &Value| {
        let is_incremental =
            stream["supported_sync_modes"].as_array().is_some_and(|modes| modes.contains(&json!("incremental")));
        let (sync_mode, destination) =
            if is_incremental { ("incremental", "append_dedup") } else { ("full_refresh", "overwrite") };
        json!({
            "stream": stream,
            "sync_mode": sync_mode,
            "destination_sync_mode": destination,
            "cursor_field": stream["default_cursor_field"].as_array().cloned().unwrap_or_default(),
            "primary_key": stream["source_defined_primary_key"],
        })
    };
    json!({"streams": streams.iter().map(choose).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: Value, catalog_as: CatalogAs) -> (String, String) {
        let (mut answer, mut remarks) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut answer, &mut remarks, catalog_as, Progress::hidden());
        screen.line(message.to_string().as_bytes()).unwrap();
        drop(screen);
        (String::from_utf8(answer).unwrap(), String::from_utf8(remarks).unwrap())
    }

    #[test]
    fn remarks_and_answers_are_told_apart() {
        let log = |level: &str| json!({"type": "LOG", "log": {"level": level, "message": "So it is."}});
        assert_eq!(shown(log("INFO"), CatalogAs::Table), (String::new(), "So it is.\n".into()));
        assert_eq!(shown(log("WARN"), CatalogAs::Table), (String::new(), "Warning: So it is.\n".into()));
        let failed = json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "FAILED", "message": "No."}});
        assert_eq!(shown(failed, CatalogAs::Table), ("The check failed. No.\n".into(), String::new()));
        let error = json!({"type": "TRACE", "trace": {"type": "ERROR", "error": {"message": "Broken."}}});
        assert_eq!(shown(error, CatalogAs::Table), (String::new(), "Error: Broken.\n".into()));
    }

    #[test]
    fn a_catalog_is_a_table_or_ready_to_be_read() {
        let streams = json!([
            {"name": "rooms", "json_schema": {"properties": {"id": {}, "updated_at": {}}},
             "supported_sync_modes": ["full_refresh", "incremental"], "default_cursor_field": ["updated_at"],
             "source_defined_primary_key": [["id"]]},
            {"name": "template_settings", "json_schema": {"properties": {"template_id": {}}},
             "supported_sync_modes": ["full_refresh"], "source_defined_primary_key": [["template_id"]]},
        ]);
        let message = json!({"type": "CATALOG", "catalog": {"streams": streams}});
        assert_eq!(
            shown(message.clone(), CatalogAs::Table).0,
            "Stream             Primary key  Cursor               Columns\n\
             rooms              id           updated_at                 2\n\
             template_settings  template_id  none (read in full)        1\n"
        );
        let ready: Value = serde_json::from_str(&shown(message, CatalogAs::Configured).0).unwrap();
        assert_eq!(ready["streams"][0]["sync_mode"], "incremental");
        assert_eq!(ready["streams"][1]["sync_mode"], "full_refresh");
        let read = crate::airbyte::read_catalog(&ready).unwrap();
        assert_eq!(read[0].columns.as_ref().map(Vec::len), Some(2));
    }
}
