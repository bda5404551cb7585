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
use std::io::{self, BufWriter, Error, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::airbyte::{Level, Message, SavedStates, Sink, StreamStatus};
use crate::seams::locked;

const STATE: &str = "state.json";
/// Beside the state, so that renaming it is one step of the file system.
const NEW_STATE: &str = ".state.json.new";
/// Locked while a read writes into the folder. It stays: a lock is only good on a file that is never replaced.
const LOCK: &str = ".lock";
/// Rows hold names: new files are for this user alone.
const PRIVATE: u32 = 0o600;
/// How many bytes before the end of what a state covers are compared.
const COMPARED: u64 = 4_096;

/// A folder for records and states, locked until the last clone of it is gone.
#[derive(Debug, Clone)]
pub struct Folder(Arc<Mutex<Files>>);

#[derive(Debug)]
struct Files {
    path: PathBuf,
    lock: File,
    /// What `state.json` says of each stream.
    entries: BTreeMap<String, Entry>,
    streams: BTreeMap<String, Rows>,
}

/// What `state.json` says of a stream.
#[derive(Debug, Default)]
struct Entry {
    /// Null when the stream must be read from its beginning, although its file is ours.
    state: Value,
    covered: Covered,
}

/// How far a state covers a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Covered {
    bytes: u64,
    /// A hash of the last bytes that are covered.
    #[serde(default)]
    end: Option<String>,
    /// The file has not taken its place yet.
    #[serde(default)]
    is_part: bool,
}

/// The file that the rows of a stream are written to.
#[derive(Debug)]
struct Rows {
    path: PathBuf,
    is_part: bool,
    /// How many bytes it should hold: first those that stay, then also those that have been written.
    length: u64,
    /// Opened when there is something to write.
    file: Option<BufWriter<File>>,
}

/// How a stream is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// It goes on from the state of the folder; otherwise it begins.
    pub goes_on: bool,
    /// All of it is read, so that its rows replace those of before.
    pub is_full: bool,
    /// A file with rows may be replaced even if the folder has no state of the stream.
    pub overwrite: bool,
}

/// How a stream will be read.
#[derive(Debug, PartialEq)]
pub struct Prepared {
    /// It goes on; when it should and does not, its file is not what its state says.
    pub goes_on: bool,
    /// What the user should know of the file.
    pub remark: Option<(Level, String)>,
}

impl Folder {
    /// Locks the folder at `path`, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made or is not a folder; [`ErrorKind::WouldBlock`] when another process has locked it.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = open(&path.join(LOCK))?;
        lock.try_lock()?;
        let files = Files { path: path.to_owned(), lock, entries: BTreeMap::new(), streams: BTreeMap::new() };
        Ok(Self(Arc::new(Mutex::new(files))))
    }

    pub fn path(&self) -> PathBuf {
        self.files().path.clone()
    }

    /// Where the state is, when there is one.
    ///
    /// # Errors
    /// When it is not a file.
    pub fn state(&self) -> io::Result<Option<PathBuf>> {
        let path = self.files().path.join(STATE);
        Ok(regular(&path)?.map(|_| path))
    }

    /// Remembers what `state.json` says.
    pub fn remember(&self, saved: &SavedStates) {
        let mut files = self.files();
        for (stream, covered) in &saved.files {
            let entry = files.entries.entry(stream.clone()).or_default();
            entry.covered = Covered::deserialize(covered).unwrap_or_default();
        }
        for (stream, state) in &saved.by_stream {
            files.entries.entry(stream.clone()).or_default().state = state.clone();
        }
    }

    /// Decides where the rows of `stream` go, and changes nothing yet.
    ///
    /// # Errors
    /// A sentence, when they may not go there.
    pub fn prepare(&self, stream: &str, wanted: Wanted) -> Result<Prepared, String> {
        self.files().prepare(stream, wanted).map_err(|error| match error.kind() {
            ErrorKind::Other => error.to_string(),
            kind => format!(
                "The file of `{stream}` in the folder of `--output` cannot be written ({kind}): check that you have permission to write there, or name another folder."
            ),
        })
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        // A panic elsewhere leaves at worst rows that no state covers.
        locked(&self.0)
    }
}

impl Files {
    fn whole(&self, stream: &str) -> PathBuf {
        self.path.join(format!("{stream}.jsonl"))
    }

    fn part(&self, stream: &str) -> PathBuf {
        self.path.join(format!("{stream}.jsonl.part"))
    }

    fn prepare(&mut self, stream: &str, wanted: Wanted) -> io::Result<Prepared> {
        let (whole, part) = (self.whole(stream), self.part(stream));
        let (whole_length, part_length) = (length(&whole)?, length(&part)?);
        let entry = self.entries.get(stream);
        let covered = entry.map(|entry| entry.covered.clone()).unwrap_or_default();
        let name = format!("`{stream}.jsonl` in the folder of `--output`");
        let mut prepared = Prepared { goes_on: wanted.goes_on, remark: None };
        let (path, is_part, length) = if wanted.goes_on
            && covered.is_part
            && (covered.bytes == 0 || agrees(&part, part_length, &covered)?)
        {
            (part, true, covered.bytes)
        } else if wanted.goes_on
            // A read that was killed just after its part took the place of the file.
            && (!covered.is_part || whole_length == covered.bytes)
            && agrees(&whole, whole_length, &covered)?
        {
            if whole_length > covered.bytes {
                let remark = format!("What {name} has after the last state is removed and read again.");
                prepared.remark = Some((Level::Info, remark));
            }
            (whole, false, covered.bytes)
        } else if wanted.goes_on && !wanted.is_full && !covered.is_part {
            let remark = format!(
                "{name} is not as the last read left it: nothing is removed from it, and what is new is added at its end, some of it perhaps twice. Read once without `--incremental` to have everything anew."
            );
            prepared.remark = Some((Level::Warn, remark));
            (whole, false, whole_length)
        } else {
            if whole_length > 0 && entry.is_none() && !wanted.overwrite {
                return Err(Error::other(format!(
                    "{name} has rows, and no state says where they are from: name another folder, or add `--overwrite` to replace them."
                )));
            }
            prepared.goes_on = false;
            let is_part = wanted.is_full || whole_length > 0;
            (if is_part { part } else { whole }, is_part, 0)
        };
        self.streams.insert(stream.to_owned(), Rows { path, is_part, length, file: None });
        Ok(prepared)
    }

    /// The rows of `stream`, with their file open.
    fn rows(&mut self, stream: &str) -> io::Result<(&mut BufWriter<File>, &mut u64)> {
        if self.streams.get(stream).is_some_and(|rows| rows.file.is_none()) {
            self.open(stream)?;
        }
        let rows = self.streams.get_mut(stream).and_then(|rows| Some((rows.file.as_mut()?, &mut rows.length)));
        rows.ok_or_else(|| Error::other(format!("`{stream}` has not been prepared")))
    }

    fn open(&mut self, stream: &str) -> io::Result<()> {
        if self.streams.get(stream).is_some_and(|rows| !rows.is_part) {
            if !self.entries.contains_key(stream) {
                // From now on the file is ours, also if the process is killed before the first state.
                self.entries.insert(stream.to_owned(), Entry::default());
                self.save()?;
            }
            // Left by a full read that was killed before its first state.
            let _ = fs::remove_file(self.part(stream));
        }
        let Some(rows) = self.streams.get_mut(stream) else { return Ok(()) };
        let mut file = open(&rows.path)?;
        if file.metadata()?.len() > rows.length {
            file.set_len(rows.length)?;
        }
        let mut last = *b"\n";
        if let Some(before) = rows.length.checked_sub(1) {
            file.read_exact_at(&mut last, before)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
            rows.length += 1;
        }
        rows.file = Some(BufWriter::with_capacity(1 << 16, file));
        Ok(())
    }

    fn records(&mut self, stream: &str, lines: &[u8]) -> io::Result<()> {
        let (file, length) = self.rows(stream)?;
        file.write_all(lines)?;
        *length += lines.len() as u64;
        Ok(())
    }

    fn state(&mut self, stream: &str, state: &Value) -> io::Result<()> {
        let (file, length) = self.rows(stream)?;
        let bytes = *length;
        file.flush()?;
        file.get_ref().sync_data()?;
        // It fails for a file that somebody has emptied, which is found out below.
        let end = end_of(file.get_ref(), bytes).ok();
        let is_part = self.streams.get(stream).is_some_and(|rows| rows.is_part);
        let entry = Entry { state: state.clone(), covered: Covered { bytes, end, is_part } };
        self.entries.insert(stream.to_owned(), entry);
        self.save_what_is_there()
    }

    /// Puts a part in the place of the file, with the permissions that this had.
    fn complete(&mut self, stream: &str) -> io::Result<()> {
        let whole = self.whole(stream);
        if let Some(rows) = self.streams.get_mut(stream)
            && let (true, Some(file)) = (rows.is_part, &mut rows.file)
        {
            file.flush()?;
            if let Some(old) = regular(&whole)? {
                file.get_ref().set_permissions(old.permissions())?;
            }
            fs::rename(&rows.path, &whole)?;
            rows.is_part = false;
            rows.path = whole;
            if let Some(entry) = self.entries.get_mut(stream) {
                entry.covered.is_part = false;
            }
        }
        self.save_what_is_there()
    }

    /// Saves the states; but no state may claim rows that somebody has taken away since they were written.
    fn save_what_is_there(&mut self) -> io::Result<()> {
        let is_touched = |(_, rows): &(&String, &Rows)| rows.file.as_ref().is_some_and(|file| !rows.is_whole(file));
        let touched = self.streams.iter().find(is_touched).map(|(stream, _)| stream.clone());
        if let Some(stream) = &touched {
            self.entries.insert(stream.clone(), Entry::default());
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
        if !is_at(&self.lock, &self.path.join(LOCK)) {
            // It may be the folder of another process by now.
            return Err(Error::other("the folder was removed or cleared during the read"));
        }
        let entry = |(stream, entry): (&String, &Entry)| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": entry.state}, "file": entry.covered});
        let list: Vec<Value> = self.entries.iter().map(entry).collect();
        let new = self.path.join(NEW_STATE);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It is made here, or there is an error: what somebody has put there is not written to.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&new)?;
        serde_json::to_writer_pretty(&mut file, &list)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(STATE))
    }
}

impl Rows {
    /// Whether all that was written stands at its path, and nothing else.
    fn is_whole(&self, file: &BufWriter<File>) -> bool {
        let written = self.length.checked_sub(file.buffer().len() as u64);
        is_at(file.get_ref(), &self.path) && file.get_ref().metadata().is_ok_and(|file| Some(file.len()) == written)
    }
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
    match is_at(&file, path) {
        true => Ok(file),
        false => Err(Error::other(format!(
            "`{}` is being replaced by another program: name another folder, or end that program.",
            path.display()
        ))),
    }
}

/// Whether `path` leads to this very file.
fn is_at(file: &File, path: &Path) -> bool {
    let Ok((open, Some(there))) = file.metadata().and_then(|open| Ok((open, regular(path)?))) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// How long the file is, if there is one, which must be writable.
fn length(path: &Path) -> io::Result<u64> {
    match regular(path)? {
        Some(_) => Ok(open(path)?.metadata()?.len()),
        None => Ok(0),
    }
}

/// Whether the file still has what is `covered`.
fn agrees(path: &Path, length: u64, covered: &Covered) -> io::Result<bool> {
    Ok(match &covered.end {
        _ if length < covered.bytes => false,
        Some(end) if covered.bytes > 0 => end_of(&open(path)?, covered.bytes)? == *end,
        _ => length == covered.bytes,
    })
}

/// A hash of the last of the first `bytes` of a file.
fn end_of(file: &File, bytes: u64) -> io::Result<String> {
    let mut end = vec![0; bytes.min(COMPARED) as usize];
    file.read_exact_at(&mut end, bytes - bytes.min(COMPARED))?;
    Ok(URL_SAFE_NO_PAD.encode(&digest(&SHA256, &end).as_ref()[..12]))
}

/// Takes the records and states of streams that have been prepared. Every other message goes elsewhere, too.
impl Sink for Folder {
    fn records(&mut self, stream: &str, lines: &[u8], _count: u64) -> io::Result<()> {
        // The files are flushed before a state; between states nobody relies on them.
        self.files().records(stream, lines).map_err(named)
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::State { stream, state, .. } => self.files().state(stream, state).map_err(named),
            Message::Status { stream, status: StreamStatus::Complete, .. } => {
                self.files().complete(stream).map_err(named)
            }
            _ => Ok(()),
        }
    }
}

fn named(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Other => error,
        kind => Error::new(kind, format!("the folder of `--output`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOES_ON: Wanted = Wanted { goes_on: true, is_full: false, overwrite: false };
    const FULL: Wanted = Wanted { goes_on: false, is_full: true, overwrite: false };

    /// What a read hands to the folder.
    enum Item {
        Record(u32),
        State(&'static str),
        Complete,
    }
    use Item::{Complete, Record, State};

    fn write(folder: &mut Folder, items: &[Item]) -> io::Result<()> {
        items.iter().try_for_each(|item| match item {
            Record(id) => folder.records("rooms", format!("{{\"id\":{id}}}\n").as_bytes(), 1),
            State(cursor) => {
                let (stream, state) = ("rooms".into(), json!({"updated_at": cursor}));
                folder.message(&Message::State { stream, state, records: 1 })
            }
            Complete => folder.message(&Message::status("rooms", StreamStatus::Complete)),
        })
    }

    /// What one process does: it prepares the stream and writes these items.
    fn run(path: &Path, wanted: Wanted, items: &[Item]) -> Prepared {
        let mut folder = Folder::at(path).unwrap();
        if let Some(state) = folder.state().unwrap() {
            let value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
            folder.remember(&crate::airbyte::read_states(&value, &["rooms"]).unwrap());
        }
        let prepared = folder.prepare("rooms", wanted).unwrap();
        write(&mut folder, items).unwrap();
        prepared
    }

    fn text(path: &Path, file: &str) -> String {
        fs::read_to_string(path.join(file)).unwrap()
    }

    #[test]
    fn what_came_after_the_last_state_is_cut_off_when_the_read_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let begins = Wanted { goes_on: false, ..GOES_ON };
        run(&path, begins, &[Record(1), State("a"), Record(2)]);
        assert_eq!(text(&path, "rooms.jsonl"), "{\"id\":1}\n{\"id\":2}\n");
        let prepared = run(&path, GOES_ON, &[Record(3), State("b")]);
        assert!(prepared.goes_on && prepared.remark.is_some_and(|(level, _)| level == Level::Info));
        assert_eq!(text(&path, "rooms.jsonl"), "{\"id\":1}\n{\"id\":3}\n");
        assert!(text(&path, "state.json").contains("\"b\""));
    }

    #[test]
    fn a_full_read_takes_the_place_of_the_file_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run(path, Wanted { goes_on: false, ..GOES_ON }, &[Record(1), State("a")]);
        run(path, FULL, &[Record(2), State("b"), Record(3)]);
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":1}\n");
        let prepared = run(path, Wanted { goes_on: true, ..FULL }, &[Record(4), State("c"), Complete]);
        assert!(prepared.goes_on);
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":2}\n{\"id\":4}\n");
        assert!(!path.join("rooms.jsonl.part").exists());
        // Killed between the two last steps, it is found in its new place.
        fs::write(path.join("state.json"), text(path, "state.json").replace("\"is_part\": false", "\"is_part\": true"))
            .unwrap();
        assert!(run(path, Wanted { goes_on: true, ..FULL }, &[]).goes_on);
        assert_eq!(text(path, "rooms.jsonl"), "{\"id\":2}\n{\"id\":4}\n");
    }

    #[test]
    fn a_file_that_somebody_has_touched_is_only_added_to() {
        for touched in ["{\"id\":9}\n{\"id\":8}\n", "", "{\"id\":1}\n{\"id"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            run(path, Wanted { goes_on: false, ..GOES_ON }, &[Record(1), Record(2), State("a")]);
            fs::write(path.join("rooms.jsonl"), touched).unwrap();
            let prepared = run(path, GOES_ON, &[Record(3), State("b")]);
            assert!(prepared.goes_on && prepared.remark.is_some_and(|(level, _)| level == Level::Warn));
            let end = if touched.ends_with("id") { "\n" } else { "" };
            assert_eq!(text(path, "rooms.jsonl"), format!("{touched}{end}{{\"id\":3}}\n"));
            assert_eq!(run(path, GOES_ON, &[]).remark, None, "it is ours again");
        }
    }

    #[test]
    fn a_part_that_somebody_has_touched_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run(path, FULL, &[Record(1), State("a")]);
        fs::write(path.join("rooms.jsonl.part"), "").unwrap();
        assert!(!run(path, Wanted { goes_on: true, ..FULL }, &[]).goes_on);
    }

    #[test]
    fn a_file_that_is_removed_while_it_is_written_is_read_from_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut folder = Folder::at(path).unwrap();
        folder.prepare("rooms", Wanted { goes_on: false, ..GOES_ON }).unwrap();
        write(&mut folder, &[Record(1), State("a")]).unwrap();
        fs::remove_file(path.join("rooms.jsonl")).unwrap();
        let error = write(&mut folder, &[Record(2), State("b")]).unwrap_err();
        assert!(error.to_string().contains("changed or removed"), "{error}");
        assert!(text(path, "state.json").contains("\"stream_state\": null"));
    }
}
