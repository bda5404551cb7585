//! The files that are named on the command line: configuration, catalog, state.
//!
//! A file may be a pipe that nobody writes to, so it is read on a thread of its own, and whoever waits for
//! it can be stopped.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::airbyte::{InputError, parse_json};
use crate::failure::Failure;

/// How a line with a record begins.
const RECORD: &str = r#"{"type":"RECORD","#;

/// Which file it is, by its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Config,
    Catalog,
    State,
}

impl Role {
    fn flag(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Catalog => "catalog",
            Self::State => "state",
        }
    }

    /// What such a file is called in a sentence, and which file to name for it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Config => ("a configuration", "name the file with your credentials and start date"),
            Self::Catalog => ("a catalog", "name the file with the output of `discover`"),
            Self::State => ("a state", "name the file with the state that the last read wrote"),
        }
    }
}

/// A file in its role; `-` is standard input.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) role: Role,
    pub(super) path: PathBuf,
}

impl File {
    /// A sentence about this file.
    pub(super) fn failure(&self, problem: &str) -> Failure {
        let shown = if is_stdin(&self.path) { "standard input".to_owned() } else { self.path.display().to_string() };
        Failure::file(self.role.flag(), &shown, problem)
    }

    /// The JSON values it holds: one, or one on each line.
    ///
    /// # Errors
    /// When it cannot be read, holds no JSON, or is a file in another role.
    pub(super) async fn values(&self) -> Result<Vec<Value>, Failure> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let bytes = read
            .map_err(|_| self.failure("cannot be read: check the path"))?
            .map_err(|error| self.failure(why_unreadable(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| self.failure("is not UTF-8 text: save it as UTF-8"))?;
        // Some callers create the file before there is a state to put in it.
        if self.role == Role::State && text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let values = parse_lines(&text).map_err(|error| self.failure(&error.to_string()))?;
        match values.first().and_then(role_of).filter(|role| *role != self.role) {
            Some(other) => {
                let ((is, _), (instead, mend)) = (other.words(), self.role.words());
                Err(self.failure(&format!("is {is}, not {instead}: {mend}")))
            }
            None => Ok(values),
        }
    }

    /// The only object it holds.
    ///
    /// # Errors
    /// As for `values`, and when it holds something else.
    pub(super) async fn object(&self) -> Result<Map<String, Value>, Failure> {
        let mut values = self.values().await?;
        match (values.pop(), values.is_empty()) {
            (Some(Value::Object(object)), true) => Ok(object),
            _ => Err(self.failure("is not a JSON object: write it as `{…}`")),
        }
    }
}

/// Refuses a command line that reads standard input twice: the first file would take all of it.
pub(super) fn refuse_second_stdin<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    match files.into_iter().filter(|path| is_stdin(path)).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::config(
            "Only one of `--config`, `--catalog` and `--state` can be `-` (standard input): name a file for the others.",
        )),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !is_stdin(path) {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn why_unreadable(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "does not exist: check the path",
        ErrorKind::IsADirectory => "is a directory: name a file",
        ErrorKind::PermissionDenied => "may not be read by this user: check its permissions",
        _ => "cannot be read: check the path",
    }
}

/// One JSON value, or, as messages are saved, an object on each line.
fn parse_lines(text: &str) -> Result<Vec<Value>, InputError> {
    match parse_json(text) {
        Ok(value) => Ok(vec![value]),
        Err(error) => {
            // Records are of no use in any role, and may be many.
            let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(RECORD));
            let objects: Option<Vec<Value>> =
                lines.map(|line| serde_json::from_str(line).ok().filter(Value::is_object)).collect();
            objects.filter(|_| text.trim().lines().count() > 1).ok_or(error)
        }
    }
}

/// The role a file with this content is made for, when it can be told.
fn role_of(value: &Value) -> Option<Role> {
    let has = |key: &str| value.get(key).is_some();
    match value.get("type").and_then(Value::as_str) {
        // Saved messages: what they are good for is in their lines.
        Some("LOG" | "TRACE" | "RECORD" | "SPEC") => return None,
        Some("CATALOG") => return Some(Role::Catalog),
        Some("STATE" | "STREAM" | "GLOBAL" | "LEGACY") => return Some(Role::State),
        _ => {}
    }
    match value {
        Value::Array(items) => items.first().and_then(role_of).filter(|role| *role == Role::State),
        _ if value.get("streams").is_some_and(Value::is_array) => Some(Role::Catalog),
        _ if has("start_date") || has("credentials") || has("management_token") => Some(Role::Config),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_told_apart_by_what_they_hold() {
        for (content, role) in [
            (json!({"start_date": "2024-01-01T00:00:00Z"}), Some(Role::Config)),
            (json!({"credentials": {}}), Some(Role::Config)),
            (json!({"streams": []}), Some(Role::Catalog)),
            (json!({"type": "CATALOG", "catalog": {"streams": []}}), Some(Role::Catalog)),
            (json!([{"type": "STREAM", "stream": {}}]), Some(Role::State)),
            (json!({"type": "STATE", "state": {}}), Some(Role::State)),
            (json!({"rooms": {"updated_at": "2024-01-01T00:00:00Z"}}), None),
            (json!({"type": "LOG", "log": {}}), None),
            (json!([]), None),
            (json!({}), None),
        ] {
            assert_eq!(role_of(&content), role, "{content}");
        }
    }

    #[test]
    fn lines_of_objects_are_values_and_broken_json_is_not() {
        assert_eq!(parse_lines("{\n\"a\": 1}\n").unwrap(), [json!({"a": 1})]);
        assert_eq!(parse_lines("{\"a\": 1}\n\n{\"b\": 2}\n").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert!(parse_lines("{} {}").unwrap_err().to_string().contains("is not JSON"));
        assert!(parse_lines("{\"a\": 1}\n{\"b\":").unwrap_err().to_string().contains("is not JSON"));
        assert!(parse_lines("1\n2\n").is_err());
    }
}
