//! A folder that holds what was read: a `.jsonl` file for each stream, and `state.json`.
//!
//! `state.json` is replaced as a whole, after the rows it covers have reached their files. Beside each state it says
//! how many bytes of the file the state covers, and a hash of the last of them. When these still agree, what follows
//! them is what a killed read wrote after its last state, and is cut off before the next one writes.
//!
//! A read that begins writes into `<stream>.jsonl.part`, which takes the place of the file when the stream is complete:
//! until then the rows of yesterday stay. One that goes on appends where the last one stopped. Nothing is touched
//! before the first row or state of a stream comes.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::airbyte::{Level, Message, SavedStates, StreamStatus};

const STATE: &str = "state.json";
/// Beside the state, so that renaming it is one step of the file system.
const NEW_STATE: &str = ".state.json.new";
/// Locked while a read writes into the folder. It stays: a lock is only good on a file that is never replaced.
const LOCK: &str = ".lock";
/// Rows hold names: new files are for this user alone.
const PRIVATE: u32 = 0o600;
/// How many bytes before the end of what a state covers are compared.
const COMPARED: u64 = 4_096;

/// A folder for records and states, locked until it is dropped.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    lock: File,
    /// Files with rows may be replaced even if there is no state of them.
    overwrite: bool,
    /// What `state.json` says of each stream.
    saved: BTreeMap<String, Saved>,
    /// The files of the streams that have been prepared.
    rows: BTreeMap<String, Rows>,
}

/// What `state.json` says of a stream: its state, and how far this covers the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Saved {
    /// Null when the stream must be read from its beginning, although its file is ours.
    #[serde(skip)]
    state: Value,
    bytes: u64,
    /// A hash of the last bytes that are covered.
    #[serde(default)]
    end: Option<String>,
    /// The file has not taken its place yet.
    #[serde(default)]
    is_part: bool,
    /// Whether the file is that of an earlier read, and not of somebody who keeps a state of the same form here.
    #[serde(skip)]
    is_ours: bool,
}

/// The file that the rows of a stream are written to.
#[derive(Debug)]
struct Rows {
    is_part: bool,
    /// How many bytes it should hold: first those that stay, then also those that have been written.
    length: u64,
    /// Opened when there is something to write.
    file: Option<File>,
}

impl Folder {
    /// Locks the folder at `path`, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made or is not a folder; [`ErrorKind::WouldBlock`] when another process has locked it.
    pub fn at(path: &Path, overwrite: bool) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = open(&path.join(LOCK))?;
        lock.try_lock()?;
        Ok(Self { path: path.to_owned(), lock, overwrite, saved: BTreeMap::new(), rows: BTreeMap::new() })
    }

    /// Where the state is, when there is one.
    ///
    /// # Errors
    /// When it is not a file.
    pub fn state(&self) -> io::Result<Option<PathBuf>> {
        let path = self.path.join(STATE);
        Ok(regular(&path)?.map(|_| path))
    }

    /// Remembers what `state.json` says.
    pub fn remember(&mut self, states: &SavedStates) {
        for (stream, covered) in &states.files {
            let saved = Saved::deserialize(covered).unwrap_or_default();
            self.saved.insert(stream.clone(), Saved { is_ours: true, ..saved });
        }
        for (stream, state) in &states.by_stream {
            self.saved.entry(stream.clone()).or_default().state = state.clone();
        }
    }

    /// Decides where the rows of `stream` go, and changes nothing yet. It goes on from the state of the folder, or
    /// begins; `is_full` when all of it is read, so that its rows replace those of before. Returns whether it goes on
    /// (when it should and does not, its file is not what its state says), and what the user should know of the file.
    ///
    /// # Errors
    /// A sentence, when they may not go there.
    pub fn prepare(
        &mut self,
        stream: &str,
        goes_on: bool,
        is_full: bool,
    ) -> Result<(bool, Option<(Level, String)>), String> {
        self.choose(stream, goes_on, is_full).map_err(|error| match error.kind() {
            ErrorKind::Other => error.to_string(),
            kind => format!(
                "The file of `{stream}` in the folder of `--output` cannot be written ({kind}): check that you have permission to write there, or name another folder."
            ),
        })
    }

    fn choose(&mut self, stream: &str, goes_on: bool, is_full: bool) -> io::Result<(bool, Option<(Level, String)>)> {
        let (whole, part) = (length(&self.file_of(stream, false))?, length(&self.file_of(stream, true))?);
        let saved = self.saved.get(stream).cloned().unwrap_or_default();
        let name = format!("`{stream}.jsonl` in the folder of `--output`");
        let mut remark = None;
        let (goes_on, is_part, length) = if goes_on
            && saved.is_part
            && (saved.bytes == 0 || saved.agrees_with(&self.file_of(stream, true), part)?)
        {
            (true, true, saved.bytes)
        } else if goes_on
            // A read that was killed just after its part took the place of the file.
            && (!saved.is_part || whole == saved.bytes)
            && saved.agrees_with(&self.file_of(stream, false), whole)?
        {
            if whole > saved.bytes {
                let text =
                    format!("What {name} has after the last state is removed; the records among it are read again.");
                remark = Some((Level::Info, text));
            }
            (true, false, saved.bytes)
        } else if goes_on && !is_full && !saved.is_part {
            let text = format!(
                "{name} is not as the last read left it: nothing is removed from it, and what is new is added at its end, some of it perhaps twice. Read once without `--incremental` to have everything anew."
            );
            remark = Some((Level::Warn, text));
            (true, false, whole)
        } else if whole > 0 && !saved.is_ours && !self.overwrite {
            return Err(Error::other(format!(
                "{name} has rows, and no state says where they are from: name another folder, or add `--overwrite` to replace them."
            )));
        } else {
            (false, is_full || whole > 0, 0)
        };
        self.rows.insert(stream.to_owned(), Rows { is_part, length, file: None });
        Ok((goes_on, remark))
    }

    fn file_of(&self, stream: &str, is_part: bool) -> PathBuf {
        self.path.join(format!("{stream}.jsonl{}", if is_part { ".part" } else { "" }))
    }

    /// Appends records to the file of a stream that has been prepared. Until the next state nobody relies on them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn records(&mut self, stream: &str, lines: &[u8]) -> io::Result<()> {
        let (mut file, length) = self.opened(stream).map_err(named)?;
        file.write_all(lines).map_err(named)?;
        *length += lines.len() as u64;
        Ok(())
    }

    /// Keeps a state, and puts the file of a stream that is complete in its place.
    ///
    /// # Errors
    /// When that fails, or when somebody has changed the folder in the meantime.
    pub fn message(&mut self, message: &Message) -> io::Result<()> {
        let kept = match message {
            Message::State { stream, state, .. } => self.keep(stream, state),
            Message::Status { stream, status: StreamStatus::Complete, .. } => self.complete(stream),
            _ => Ok(()),
        };
        kept.map_err(named)
    }

    /// The file for the rows of `stream`, and how long it should be.
    fn opened(&mut self, stream: &str) -> io::Result<(&File, &mut u64)> {
        if let Some(Rows { is_part, length, file: None }) = self.rows.get(stream) {
            let opened = self.open(stream, *is_part, *length)?;
            self.rows.insert(stream.to_owned(), opened);
        }
        let rows = self.rows.get_mut(stream).and_then(|rows| Some((rows.file.as_ref()?, &mut rows.length)));
        rows.ok_or_else(|| Error::other(format!("`{stream}` has not been prepared")))
    }

    /// Opens the file for the rows of `stream`, which keeps `length` bytes.
    fn open(&mut self, stream: &str, is_part: bool, mut length: u64) -> io::Result<Rows> {
        if !is_part {
            let saved = self.saved.entry(stream.to_owned()).or_default();
            if !std::mem::replace(&mut saved.is_ours, true) {
                // From now on it is so, also if the process is killed before the first state.
                self.save()?;
            }
            // Left by a full read that was killed before its first state.
            let _ = fs::remove_file(self.file_of(stream, true));
        }
        let mut file = open(&self.file_of(stream, is_part))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        let mut last = *b"\n";
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
        Ok(Rows { is_part, length, file: Some(file) })
    }

    fn keep(&mut self, stream: &str, state: &Value) -> io::Result<()> {
        let (file, length) = self.opened(stream)?;
        let bytes = *length;
        file.sync_data()?;
        // It fails for a file that somebody has emptied, which is found out below.
        let end = end_of(file, bytes).ok();
        let is_part = self.rows.get(stream).is_some_and(|rows| rows.is_part);
        self.saved.insert(stream.to_owned(), Saved { state: state.clone(), bytes, end, is_part, is_ours: true });
        self.save_what_is_there()
    }

    /// Puts a part in the place of the file, with the permissions that this had.
    fn complete(&mut self, stream: &str) -> io::Result<()> {
        let (whole, part) = (self.file_of(stream, false), self.file_of(stream, true));
        if let Some(rows) = self.rows.get_mut(stream)
            && let (true, Some(file)) = (rows.is_part, &rows.file)
        {
            if let Some(old) = regular(&whole)? {
                file.set_permissions(old.permissions())?;
            }
            fs::rename(&part, &whole)?;
            rows.is_part = false;
            self.saved.entry(stream.to_owned()).and_modify(|saved| saved.is_part = false);
        }
        self.save_what_is_there()
    }

    /// Saves the states; but no state may claim rows that somebody has taken away since they were written.
    fn save_what_is_there(&mut self) -> io::Result<()> {
        let is_touched = |(stream, rows): &(&String, &Rows)| {
            let path = self.file_of(stream, rows.is_part);
            rows.file.as_ref().is_some_and(|file| !is_at(file, &path, Some(rows.length)))
        };
        let touched = self.rows.iter().find(is_touched).map(|(stream, _)| stream.clone());
        if let Some(stream) = &touched {
            self.saved.insert(stream.clone(), Saved { is_ours: true, ..Saved::default() });
        }
        self.save()?;
        match touched {
            None => Ok(()),
            Some(stream) => Err(Error::other(format!(
                "the file of `{stream}` was changed or removed during the read: run the command again, which reads `{stream}` from its beginning"
            ))),
        }
    }

    fn save(&self) -> io::Result<()> {
        if !is_at(&self.lock, &self.path.join(LOCK), None) {
            // It may be the folder of another process by now.
            return Err(Error::other("the folder was removed or cleared during the read"));
        }
        let entry = |(stream, saved): (&String, &Saved)| {
            let mut entry = json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": saved.state}});
            if saved.is_ours {
                entry["file"] = json!(saved);
            }
            entry
        };
        let list: Vec<Value> = self.saved.iter().map(entry).collect();
        let new = self.path.join(NEW_STATE);
        let _ = fs::remove_file(&new);
        // It is made here, or there is an error: what somebody has put there is not written to.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&new)?;
        serde_json::to_writer_pretty(&mut file, &list)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(STATE))
    }
}

impl Saved {
    /// Whether the file at `path`, which is so long, still has what the state covers.
    fn agrees_with(&self, path: &Path, length: u64) -> io::Result<bool> {
        Ok(match &self.end {
            _ if length < self.bytes => false,
            Some(end) if self.bytes > 0 => end_of(&open(path)?, self.bytes)? == *end,
            _ => length == self.bytes,
        })
    }
}

/// A hash of the last of the first `bytes` of a file.
fn end_of(file: &File, bytes: u64) -> io::Result<String> {
    let mut end = vec![0; bytes.min(COMPARED) as usize];
    file.read_exact_at(&mut end, bytes - bytes.min(COMPARED))?;
    Ok(URL_SAFE_NO_PAD.encode(&digest(&SHA256, &end).as_ref()[..12]))
}

/// What is known of the file at `path`, if there is one; what is no file is refused.
fn regular(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(_) => Err(Error::other(format!(
            "`{}` in the folder of `--output` is a link, a pipe, a folder or a device: remove it, or name another folder.",
            path.file_name().unwrap_or_default().display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file to be appended to, for nobody but this user if it is new.
fn open(path: &Path) -> io::Result<File> {
    regular(path)?;
    // For reading, too: opening a pipe only for writing waits for somebody who reads.
    let file = OpenOptions::new().create(true).read(true).append(true).mode(PRIVATE).open(path)?;
    match is_at(&file, path, None) {
        true => Ok(file),
        false => Err(Error::other(format!(
            "`{}` is being replaced by another program: name another folder, or end that program.",
            path.display()
        ))),
    }
}

/// Whether `path` leads to this very file, and whether it has this `length`.
fn is_at(file: &File, path: &Path, length: Option<u64>) -> bool {
    let Ok((open, Some(there))) = file.metadata().and_then(|open| Ok((open, regular(path)?))) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino()) && length.is_none_or(|length| length == there.len())
}

/// How long the file is, if there is one, which must be writable.
fn length(path: &Path) -> io::Result<u64> {
    match regular(path)? {
        Some(_) => Ok(open(path)?.metadata()?.len()),
        None => Ok(0),
    }
}

/// Says in an error of the system that it is about the folder.
fn named(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Other => error,
        kind => Error::new(kind, format!("the folder of `--output`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a stream is to be read: whether it goes on, and whether all of it is read.
    type Wanted = (bool, bool);
    const BEGINS: Wanted = (false, false);
    const GOES_ON: Wanted = (true, false);
    const FULL: Wanted = (false, true);
    const FULL_GOES_ON: Wanted = (true, true);

    /// What a read hands to the folder.
    enum Item {
        Record(u32),
        State(&'static str),
        Complete,
    }
    use Item::{Complete, Record, State};

    fn write(folder: &mut Folder, items: &[Item]) -> io::Result<()> {
        items.iter().try_for_each(|item| match item {
            Record(id) => folder.records("rooms", format!("{{\"id\":{id}}}\n").as_bytes()),
            State(cursor) => {
                let (stream, state) = ("rooms".into(), json!({"updated_at": cursor}));
                folder.message(&Message::State { stream, state, records: 1 })
            }
            Complete => folder.message(&Message::status("rooms", StreamStatus::Complete)),
        })
    }

    /// What one process does: it prepares the stream and writes these items. Whether it goes on, and what it remarks.
    fn run(path: &Path, (goes_on, is_full): Wanted, items: &[Item]) -> (bool, Option<Level>) {
        let mut folder = Folder::at(path, false).unwrap();
        if let Some(state) = folder.state().unwrap() {
            let value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
            folder.remember(&crate::airbyte::read_states(&value, &["rooms"]).unwrap());
        }
        let (goes_on, remark) = folder.prepare("rooms", goes_on, is_full).unwrap();
        write(&mut folder, items).unwrap();
        (goes_on, remark.map(|(level, _)| level))
    }

    fn text(path: &Path, file: &str) -> String {
        fs::read_to_string(path.join(file)).unwrap()
    }

    #[test]
    fn what_came_after_the_last_state_is_cut_off_when_the_read_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        run(&path, BEGINS, &[Record(1), State("a"), Record(2)]);
        assert_eq!(text(&path, "rooms.jsonl"), "{\"id\":1}\n{\"id\":2}\n");
        let prepared = run(&path, GOES_ON, &[Record(3), State("b")]);
        assert_eq!(prepared, (true, Some(Level::Info)));
        assert_eq!(text(&path, "rooms.jsonl"), "{\"id\":1}\n{\"id\":3}\n");
        assert!(text(&path, "state.json").contains("\"b\""));
    }

    #[test]
    fn a_full_read_takes_the_place_of_the_file_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run(path, BEGINS, &[Record(1), State("a")]);
        run(path, FULL, &[Record(2), State("b"), Record(3)]);
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":1}\n");
        let prepared = run(path, FULL_GOES_ON, &[Record(4), State("c"), Complete]);
        assert_eq!(prepared, (true, None));
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":2}\n{\"id\":4}\n");
        assert!(!path.join("rooms.jsonl.part").exists());
        // Killed between the two last steps, it is found in its new place.
        fs::write(path.join("state.json"), text(path, "state.json").replace("\"is_part\": false", "\"is_part\": true"))
            .unwrap();
        assert!(run(path, FULL_GOES_ON, &[]).0);
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":2}\n{\"id\":4}\n");
    }

    #[test]
    fn a_file_that_somebody_has_touched_is_only_added_to() {
        for touched in ["{\"id\":9}\n{\"id\":8}\n", "", "{\"id\":1}\n{\"id"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            run(path, BEGINS, &[Record(1), Record(2), State("a")]);
            fs::write(path.join("rooms.jsonl"), touched).unwrap();
            let prepared = run(path, GOES_ON, &[Record(3), State("b")]);
            assert_eq!(prepared, (true, Some(Level::Warn)));
            let end = if touched.ends_with("id") { "\n" } else { "" };
            assert_eq!(text(path, "rooms.jsonl"), format!("{touched}{end}{{\"id\":3}}\n"));
            assert_eq!(run(path, GOES_ON, &[]).1, None, "it is ours again");
        }
    }

    #[test]
    fn a_part_that_somebody_has_touched_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run(path, FULL, &[Record(1), State("a")]);
        fs::write(path.join("rooms.jsonl.part"), "").unwrap();
        assert!(!run(path, FULL_GOES_ON, &[]).0);
    }

    #[test]
    fn a_file_that_is_removed_while_it_is_written_is_read_from_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut folder = Folder::at(path, false).unwrap();
        folder.prepare("rooms", false, false).unwrap();
        write(&mut folder, &[Record(1), State("a")]).unwrap();
        fs::remove_file(path.join("rooms.jsonl")).unwrap();
        let error = write(&mut folder, &[Record(2), State("b")]).unwrap_err();
        assert!(error.to_string().contains("changed or removed"), "{error}");
        assert!(text(path, "state.json").contains("\"stream_state\": null"));
    }
}
