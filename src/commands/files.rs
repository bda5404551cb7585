//! The files that are named on the command line: configuration, catalog, state.
//!
//! A file may be a pipe that nobody writes to, so it is read on a thread of its own, and whoever waits for
//! it can be stopped.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::airbyte::{SavedStates, parse_json};
use crate::failure::Failure;

/// How a line with a record begins.
const RECORD: &[u8] = br#"{"type":"RECORD","#;
/// More bytes are no single value, but the messages of a read, of which a line at a time is held in memory; and a
/// longer line is no message that is of use here.
const LARGEST: u64 = 4 << 20;

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Config,
    Catalog,
    State,
    /// The state in the folder of `--output`.
    FolderState,
}

impl Role {
    /// The flag that names such a file, what it is called in a sentence, and which file to name.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Config => ("config", "a configuration", "name the file with your credentials and start date"),
            Self::Catalog => ("catalog", "a catalog", "name the file with the output of `discover`"),
            Self::State => ("state", "a state", "name the file with the state that the last read wrote"),
            Self::FolderState => ("output", "a state", "name a folder that an earlier read has written, or a new one"),
        }
    }

    fn is_state(self) -> bool {
        matches!(self, Self::State | Self::FolderState)
    }

    /// Refuses the content of a file that is made for another role.
    fn refuse(self, value: &Value) -> Result<(), String> {
        let (_, wanted, advice) = self.words();
        match role_of(value).map(Self::words) {
            Some((_, is, _)) if is != wanted => Err(format!("is {is}, not {wanted}: {advice}")),
            _ => Ok(()),
        }
    }
}

/// A file in its role; `-` is standard input.
pub(super) struct File<'a> {
    pub(super) role: Role,
    pub(super) path: &'a Path,
}

impl File<'_> {
    /// A sentence about this file.
    pub(super) fn failure(&self, problem: &str) -> Failure {
        let name = if is_stdin(self.path) { "standard input".to_owned() } else { self.path.display().to_string() };
        Failure::file(self.role.words().0, &name, problem)
    }

    /// The JSON values it holds: one, or one on each line.
    ///
    /// # Errors
    /// When it cannot be read, holds no JSON, or is a file in another role.
    pub(super) async fn values(&self) -> Result<Vec<Value>, Failure> {
        let (values, _) = self.read().await?;
        let fits = values.first().map_or(Ok(()), |value| self.role.refuse(value));
        fits.map(|()| values).map_err(|problem| self.failure(&problem))
    }

    /// The states it holds, in any form, or among all the messages of a read. `streams` are those of this connector.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub(super) async fn states(&self, streams: &[&str]) -> Result<SavedStates, Failure> {
        let (values, torn) = self.read().await?;
        let mut saved = SavedStates::default();
        for value in &values {
            let added = self.role.refuse(value).and_then(|()| saved.add(value, streams));
            added.map_err(|problem| self.failure(&problem))?;
        }
        if torn > 0 {
            let lines = if torn == 1 { "1 line that is" } else { &format!("{torn} lines that are") };
            saved.warnings.push(self.failure(&format!("has {lines} no whole message, and not used")).message);
        }
        if values.is_empty() {
            saved.warnings.push(self.failure("holds messages, but no STATE, so everything is read").message);
        }
        Ok(saved)
    }

    /// The JSON values it holds, and how many lines are none.
    async fn read(&self) -> Result<(Vec<Value>, usize), Failure> {
        let (role, path) = (self.role, self.path.to_owned());
        let (report, done) = oneshot::channel();
        // Not one of the runtime's threads: where none can be started, it panics.
        let thread = std::thread::Builder::new()
            .spawn(move || report.send(open(&path).map_err(unreadable).and_then(|file| read_values(file, role))));
        thread.map_err(|error| Failure::thread(&error))?;
        let read = done.await.unwrap_or_else(|_| Err("cannot be read: check the path".into()));
        read.map_err(|problem| self.failure(&problem))
    }
}

/// The configuration: the first of the `files` of a command line. Commands without any need none.
///
/// # Errors
/// When it is no object, and when standard input would be read twice: the first file would take all of it.
pub(super) async fn configuration(files: &[&PathBuf]) -> Result<Map<String, Value>, Failure> {
    let Some(path) = files.first() else { return Ok(Map::new()) };
    if files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::config(
            "Only one of `--config`, `--catalog` and `--state` can be `-` (standard input): name a file for the others.",
        ));
    }
    let file = File { role: Role::Config, path };
    match &mut file.values().await?[..] {
        [Value::Object(settings)] => Ok(std::mem::take(settings)),
        _ => Err(file.failure("is not a JSON object: write it as `{…}`")),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> std::io::Result<BufReader<Box<dyn Read>>> {
    let file: Box<dyn Read> =
        if is_stdin(path) { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(path)?) };
    Ok(BufReader::new(file))
}

fn unreadable(error: std::io::Error) -> String {
    let problem = match error.kind() {
        ErrorKind::NotFound => "does not exist: check the path",
        ErrorKind::IsADirectory => "is a directory: name a file",
        ErrorKind::PermissionDenied => "cannot be read: you do not have permission to read it",
        _ => "cannot be read: check the path",
    };
    problem.into()
}

/// The JSON values of a file: the only one, or the objects on its lines, as messages are saved. Messages that are of
/// use in no role are left out, because they may be many. Also how many lines are no whole object: in the output of a
/// read the last one may be torn, and others where it was put behind that of another read. But when even the first is
/// no object, the file holds no messages.
fn read_values(mut file: impl BufRead, role: Role) -> Result<(Vec<Value>, usize), String> {
    let is_of_use = |value: &Value| !(role.is_state() && is_message_without_state(value));
    let mut head = Vec::new();
    file.by_ref().take(LARGEST).read_to_end(&mut head).map_err(unreadable)?;
    let problem = if head.len() as u64 == LARGEST {
        let (_, wanted, _) = role.words();
        format!("is too large for {wanted}, and holds no messages: check the path")
    } else if head.trim_ascii().is_empty() {
        // Some callers create the file of a state before there is one.
        let nothing = if role.is_state() { Ok(Value::Null) } else { parse_json("") };
        return nothing.map(|value| (vec![value], 0));
    } else {
        let text = std::str::from_utf8(&head).map_err(|_| "is not UTF-8 text: save it as UTF-8".to_owned());
        match text.and_then(parse_json) {
            Ok(value) => return Ok((Some(value).filter(is_of_use).into_iter().collect(), 0)),
            Err(problem) => problem,
        }
    };
    let (mut values, mut torn, mut is_first) = (Vec::new(), 0, true);
    let (mut lines, mut line) = (Cursor::new(head).chain(file), Vec::new());
    while lines.by_ref().take(LARGEST).read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
        if line.len() as u64 == LARGEST {
            lines.skip_until(b'\n').map_err(unreadable)?;
        }
        if !line.trim_ascii().is_empty() && !line.starts_with(RECORD) {
            match serde_json::from_slice::<Value>(&line).ok().filter(Value::is_object) {
                Some(value) => values.extend(Some(value).filter(is_of_use)),
                None if is_first || !role.is_state() => return Err(problem),
                None => torn += 1,
            }
            is_first = false;
        }
        line.clear();
    }
    Ok((values, torn))
}

/// Whether it is one of the messages that a read writes beside its states.
fn is_message_without_state(value: &Value) -> bool {
    matches!(value["type"].as_str(), Some("LOG" | "TRACE" | "RECORD" | "CONTROL" | "SPEC"))
}

/// The role a file with this content is made for, when it can be told.
fn role_of(value: &Value) -> Option<Role> {
    let has = |key: &str| value.get(key).is_some();
    match value["type"].as_str() {
        // Saved messages: what they are good for is in their lines.
        _ if is_message_without_state(value) => None,
        Some("CATALOG") => Some(Role::Catalog),
        Some("STATE" | "STREAM" | "GLOBAL" | "LEGACY") => Some(Role::State),
        _ if value.is_array() => value.get(0).and_then(role_of).filter(|role| *role == Role::State),
        _ if value["streams"].is_array() => Some(Role::Catalog),
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
        let values = |text: &str, role| read_values(text.as_bytes(), role);
        let catalog = |text: &str| values(text, Role::Catalog);
        assert_eq!(catalog("{\n\"a\": 1}\n").unwrap().0, [json!({"a": 1})]);
        assert_eq!(catalog("{\"a\": 1}\n\n{\"b\": 2}\n").unwrap().0, [json!({"a": 1}), json!({"b": 2})]);
        assert!(catalog("{} {}").unwrap_err().contains("is not JSON"));
        assert!(catalog("{\"a\": 1}\n{\"b\":").unwrap_err().contains("is not JSON"));
        assert!(catalog("1\n2\n").is_err() && catalog("").is_err());
        assert_eq!(values("{\"a\": 1}\n{\"b\":", Role::State), Ok((vec![json!({"a": 1})], 1)));
        assert_eq!(values(" \n", Role::State), Ok((vec![Value::Null], 0)));
    }
}
