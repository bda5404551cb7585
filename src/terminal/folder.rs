//! A folder that holds what was read: a `.jsonl` file for each stream, and `state.json`.
//!
//! `state.json` is replaced as a whole, after the records it covers have reached their files. It also says how
//! long each file was at that moment: what a killed read wrote after its last state is cut off when the next
//! one goes on, so no record stands in a file twice for that reason.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::lines::{Lines, record};

const STATE: &str = "state.json";
/// Beside the state, so that renaming it is one step of the file system.
const NEW_STATE: &str = ".state.json.new";

/// A folder for what is read.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made, or is not a folder.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where the state is, when there is one.
    pub fn state(&self) -> Option<PathBuf> {
        Some(self.path.join(STATE)).filter(|path| path.exists())
    }

    /// Prepares the file of `stream`: emptied when its records will come `anew`, else cut back to what the
    /// state covers. `states` are those of the folder; that of a stream read anew is taken out and forgotten.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn begin(&self, stream: &str, anew: bool, states: &mut States) -> io::Result<()> {
        if anew && states.0.remove(stream).is_some() {
            // First the state: it must not speak of records that are gone.
            self.save(states)?;
        }
        let file = open(&self.file(stream))?;
        let covered = states.0.get(stream).and_then(|state| state["file"]["bytes"].as_u64());
        match covered {
            _ if anew => file.set_len(0),
            // A shorter file has been taken away by somebody who works on what comes new.
            Some(covered) if file.metadata()?.len() > covered => file.set_len(covered),
            _ => Ok(()),
        }
    }

    fn file(&self, stream: &str) -> PathBuf {
        self.path.join(format!("{stream}.jsonl"))
    }

    fn save(&self, states: &States) -> io::Result<()> {
        let new = self.path.join(NEW_STATE);
        let list: Vec<&Value> = states.0.values().collect();
        let mut file = File::create(&new)?;
        serde_json::to_writer_pretty(&mut file, &list)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(STATE))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The states of a folder, by stream.
#[derive(Debug, Clone, Default)]
pub struct States(BTreeMap<String, Value>);

impl States {
    /// Takes them from what `state.json` holds; what is not the state of a stream is left out.
    pub fn of(values: &[Value]) -> Self {
        let lists = values.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        let name = |state: &Value| state["stream"]["stream_descriptor"]["name"].as_str().map(str::to_owned);
        Self(lists.filter_map(|state| Some((name(state)?, state.clone()))).collect())
    }
}

/// Writes records and states into a folder and passes everything else on.
pub struct IntoFolder<L> {
    folder: Folder,
    states: States,
    files: BTreeMap<String, BufWriter<File>>,
    others: L,
}

impl<L: Lines> IntoFolder<L> {
    /// Writes into `folder`. The states there are read when the first new one comes, because until then
    /// [`Folder::begin`] may change them.
    pub fn new(folder: Folder, others: L) -> Self {
        Self { folder, states: States::default(), files: BTreeMap::new(), others }
    }

    fn file(&mut self, stream: &str) -> io::Result<&mut BufWriter<File>> {
        if !self.files.contains_key(stream) {
            let file = open(&self.folder.file(stream))?;
            self.files.insert(stream.to_owned(), BufWriter::with_capacity(1 << 16, file));
        }
        self.files.get_mut(stream).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn save(&mut self, stream: &str, state: &Value) -> io::Result<()> {
        let file = self.file(stream)?;
        file.flush()?;
        file.get_ref().sync_data()?;
        let bytes = file.get_ref().metadata()?.len();
        if self.states.0.is_empty()
            && let Some(path) = self.folder.state()
        {
            self.states = States::of(&[serde_json::from_slice(&fs::read(path)?)?]);
        }
        let mut entry = state.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("sourceStats");
            entry.insert("file".into(), json!({"bytes": bytes}));
        }
        self.states.0.insert(stream.to_owned(), entry);
        self.folder.save(&self.states)
    }
}

impl<L: Lines> Lines for IntoFolder<L> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some((stream, data)) = record(line) {
            let file = self.file(stream)?;
            file.write_all(data)?;
            return file.write_all(b"\n");
        }
        if line.starts_with(br#"{"type":"STATE","#) {
            let message: Value = serde_json::from_slice(line)?;
            let state = &message["state"];
            if let Some(stream) = state["stream"]["stream_descriptor"]["name"].as_str() {
                return self.save(stream, state);
            }
        }
        self.others.line(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        // The files are flushed before a state; between states nobody relies on them.
        self.others.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::{AsTheyAre, Cut};
    use super::*;

    fn record_line(id: u32) -> String {
        format!(
            "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"rooms\",\"data\":{{\"id\":{id}}},\"emitted_at\":1}}}}\n"
        )
    }

    fn state_line(cursor: &str) -> String {
        format!(
            "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"rooms\"}},\"stream_state\":{{\"updated_at\":\"{cursor}\"}}}},\"sourceStats\":{{\"recordCount\":1.0}}}}}}\n"
        )
    }

    fn write(folder: &Folder, text: &str) -> Vec<u8> {
        let mut others = Vec::new();
        Cut::new(IntoFolder::new(folder.clone(), AsTheyAre(&mut others))).write_all(text.as_bytes()).unwrap();
        others
    }

    fn saved(folder: &Folder) -> States {
        States::of(&[serde_json::from_slice(&fs::read(folder.state().unwrap()).unwrap()).unwrap()])
    }

    fn records(folder: &Folder) -> String {
        fs::read_to_string(folder.file("rooms")).unwrap()
    }

    #[test]
    fn what_came_after_the_last_state_is_cut_off_when_the_read_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(&directory.path().join("data")).unwrap();
        let log = "{\"type\":\"LOG\"}\n";
        let text = [&record_line(1), &state_line("a"), log, &record_line(2), "{\"type\":\"RECORD\",\"rec"].concat();
        assert_eq!(write(&folder, &text), log.as_bytes());
        assert_eq!(records(&folder), "{\"id\":1}\n{\"id\":2}\n");
        let mut states = saved(&folder);
        folder.begin("rooms", false, &mut states).unwrap();
        assert_eq!(records(&folder), "{\"id\":1}\n");
        write(&folder, &[record_line(3), state_line("b")].concat());
        assert_eq!(records(&folder), "{\"id\":1}\n{\"id\":3}\n");
        assert_eq!(saved(&folder).0["rooms"]["stream"]["stream_state"]["updated_at"], "b");
    }

    #[test]
    fn a_stream_that_is_read_anew_loses_its_file_and_its_state() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path()).unwrap();
        write(&folder, &[record_line(1), state_line("a")].concat());
        folder.begin("rooms", true, &mut saved(&folder)).unwrap();
        assert_eq!(records(&folder), "");
        assert!(saved(&folder).0.is_empty());
    }

    #[test]
    fn a_file_that_was_taken_away_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path()).unwrap();
        write(&folder, &[record_line(1), state_line("a")].concat());
        fs::remove_file(folder.file("rooms")).unwrap();
        folder.begin("rooms", false, &mut saved(&folder)).unwrap();
        write(&folder, &[record_line(2), state_line("b")].concat());
        assert_eq!(records(&folder), "{\"id\":2}\n");
    }
}
