//! The files that are named on the command line: configuration, catalog, state.
//!
//! A file may be a pipe that nobody writes to, so it is read on a thread of its own, and whoever waits for
//! it can be stopped.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::airbyte::{InputError, SavedStates, parse_json};
use crate::failure::Failure;

/// How a line with a record begins.
const RECORD: &str = r#"{"type":"RECORD","#;
/// More bytes are no state, but the messages of a read, of which a line at a time is held in memory; and a longer
/// line is no STATE.
const LARGEST_STATE: u64 = 4 << 20;

/// Which file it is, by its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Config,
    Catalog,
    State,
    /// The state in the folder of `--output`.
    FolderState,
}

impl Role {
    fn flag(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Catalog => "catalog",
            Self::State => "state",
            Self::FolderState => "output",
        }
    }

    /// What such a file is called in a sentence, and which file to name for it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Config => ("a configuration", "name the file with your credentials and start date"),
            Self::Catalog => ("a catalog", "name the file with the output of `discover`"),
            Self::State => ("a state", "name the file with the state that the last read wrote"),
            Self::FolderState => ("a state", "name a folder that an earlier read has written, or a new one"),
        }
    }

    /// Refuses the content of a file that is made for another role.
    fn refuse(self, value: &Value) -> Result<(), InputError> {
        let (instead, mend) = self.words();
        match role_of(value).map(Self::words) {
            Some((is, _)) if is != instead => Err(InputError(format!("is {is}, not {instead}: {mend}"))),
            _ => Ok(()),
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
        let values = self.on_a_thread(|path| parse_lines(utf8(&read(path)?)?)).await?;
        values.first().map_or(Ok(()), |value| self.role.refuse(value)).map_err(|error| self.failure(&error.0))?;
        Ok(values)
    }

    /// The states it holds, in any form, or among all the messages of a read. `streams` are those of this connector.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub(super) async fn states(&self, streams: Vec<&'static str>) -> Result<SavedStates, Failure> {
        let role = self.role;
        let Found { mut saved, has_state, torn } =
            self.on_a_thread(move |path| Found::read(open(path)?, role, &streams)).await?;
        if torn > 0 {
            let lines = if torn == 1 { "1 line that is" } else { &format!("{torn} lines that are") };
            saved.warnings.push(self.failure(&format!("has {lines} no whole message, and not used")).message);
        }
        if !has_state {
            saved.warnings.push(self.failure("holds messages, but no STATE, so everything is read").message);
        }
        Ok(saved)
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, InputError> + Send + 'static,
    ) -> Result<T, Failure> {
        let path = self.path.clone();
        // Not one of the runtime's threads: where none can be started, it panics.
        let (report, done) = oneshot::channel();
        let thread = std::thread::Builder::new().spawn(move || report.send(work(&path)));
        thread.map_err(|error| Failure::thread(&error))?;
        match done.await {
            Ok(done) => done.map_err(|error| self.failure(&error.to_string())),
            Err(_) => Err(self.failure("cannot be read: check the path")),
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

fn open(path: &Path) -> Result<Box<dyn BufRead>, InputError> {
    if is_stdin(path) {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    Ok(Box::new(BufReader::new(file)))
}

fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn utf8(bytes: &[u8]) -> Result<&str, InputError> {
    std::str::from_utf8(bytes).map_err(|_| InputError("is not UTF-8 text: save it as UTF-8".into()))
}

fn unreadable(error: std::io::Error) -> InputError {
    let problem = match error.kind() {
        ErrorKind::NotFound => "does not exist: check the path",
        ErrorKind::IsADirectory => "is a directory: name a file",
        ErrorKind::PermissionDenied => "may not be read by this user: check its permissions",
        _ => "cannot be read: check the path",
    };
    InputError(problem.into())
}

/// What was found in a file of states.
#[derive(Default)]
struct Found {
    saved: SavedStates,
    /// Whether there was a state among the messages.
    has_state: bool,
    /// Lines that are no whole message.
    torn: usize,
}

impl Found {
    /// Reads one JSON value, or lines of messages, however many.
    fn read(mut file: impl BufRead, role: Role, streams: &[&str]) -> Result<Self, InputError> {
        let (mut found, mut head) = (Self::default(), Vec::new());
        file.by_ref().take(LARGEST_STATE).read_to_end(&mut head).map_err(unreadable)?;
        let is_whole = (head.len() as u64) < LARGEST_STATE;
        // Some callers create the file before there is a state to put in it.
        if is_whole && head.trim_ascii().is_empty() {
            found.has_state = true;
            return Ok(found);
        }
        let parsed = match is_whole {
            true => utf8(&head).and_then(parse_json),
            false => Err(InputError("is too large for a state, and holds no messages: check the path".into())),
        };
        match parsed {
            Ok(value) => found.take(&value, role, streams)?,
            Err(problem) => found.take_lines(Cursor::new(head).chain(file), problem, role, streams)?,
        }
        Ok(found)
    }

    /// Takes lines of messages. The last one may be torn, and others where the output of one read was put behind
    /// that of another; but when even the first is no message, the file holds none, and has `problem`.
    fn take_lines(
        &mut self,
        mut lines: impl BufRead,
        problem: InputError,
        role: Role,
        streams: &[&str],
    ) -> Result<(), InputError> {
        let (mut line, mut is_first) = (Vec::new(), true);
        while lines.by_ref().take(LARGEST_STATE).read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
            if line.len() as u64 == LARGEST_STATE {
                lines.skip_until(b'\n').map_err(unreadable)?;
            }
            // Records are of no use here, and may be many.
            if !line.trim_ascii().is_empty() && !line.starts_with(RECORD.as_bytes()) {
                match serde_json::from_slice::<Value>(&line).ok().filter(Value::is_object) {
                    Some(message) => self.take(&message, role, streams)?,
                    None if is_first => return Err(problem),
                    None => self.torn += 1,
                }
                is_first = false;
            }
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, value: &Value, role: Role, streams: &[&str]) -> Result<(), InputError> {
        role.refuse(value)?;
        if !is_message_without_state(value) {
            self.has_state = true;
            self.saved.add(value, streams)?;
        }
        Ok(())
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

/// Whether it is one of the messages that a read writes beside its states.
fn is_message_without_state(value: &Value) -> bool {
    matches!(value.get("type").and_then(Value::as_str), Some("LOG" | "TRACE" | "RECORD" | "CONTROL" | "SPEC"))
}

/// The role a file with this content is made for, when it can be told.
fn role_of(value: &Value) -> Option<Role> {
    let has = |key: &str| value.get(key).is_some();
    match value.get("type").and_then(Value::as_str) {
        // Saved messages: what they are good for is in their lines.
        _ if is_message_without_state(value) => return None,
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
