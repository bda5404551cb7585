//! The folder of the demo: the files a person would pass by hand, and the records that came of them.
//!
//! Files that the demo does not write are left alone, whatever they are.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fake_100ms::Fake;
use serde_json::{Value, json};

use crate::Done;
use crate::sync::Sync;

/// The folder, which exists.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes the folder unless it is there, and writes the configuration for the account.
    pub fn create(folder: &Path, fake: &Fake) -> Done<Self> {
        fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
        let files = Self { folder: folder.to_owned() };
        let credentials = json!({
            "auth_type": "app_credentials",
            "app_access_key": fake.access_key(),
            "app_secret": fake.app_secret(),
        });
        let config = json!({
            "credentials": credentials,
            "start_date": "2020-01-01T00:00:00Z",
            "api_url": fake.url(),
        });
        files.write_json("config.json", &config)?;
        Ok(files)
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Every stream, in the mode that costs the least.
    pub fn write_catalog(&self, streams: &[Value]) -> Done<()> {
        let configured: Vec<Value> = streams
            .iter()
            .map(|stream| {
                let modes = stream["supported_sync_modes"].as_array().into_iter().flatten();
                json!({"stream": stream, "sync_mode": modes.last(), "destination_sync_mode": "append_dedup"})
            })
            .collect();
        self.write_json("catalog.json", &json!({"streams": configured}))
    }

    /// The state at the end of a sync.
    pub fn write_state(&self, sync: &Sync) -> Done<()> {
        self.write_json("state.json", &json!(sync.states()))
    }

    /// One file for each stream, with the records of all these syncs.
    pub fn write_records(&self, syncs: &[&Sync]) -> Done<()> {
        let names = syncs.iter().flat_map(|sync| &sync.streams).map(|stream| stream.name.as_str());
        for name in names {
            let streams = syncs.iter().flat_map(|sync| &sync.streams).filter(|stream| stream.name == name);
            let lines: String =
                streams.flat_map(|stream| &stream.records).map(|record| format!("{record}\n")).collect();
            self.write(&format!("{name}.jsonl"), &lines)?;
        }
        Ok(())
    }

    fn write_json(&self, name: &str, content: &Value) -> Done<()> {
        self.write(name, &format!("{content:#}\n"))
    }

    /// As a whole or not at all; what was there before is replaced, not written into.
    fn write(&self, name: &str, content: &str) -> Done<()> {
        let (path, part) = (self.folder.join(name), self.folder.join(format!("{name}.part")));
        let written = fs::write(&part, content).and_then(|()| fs::rename(&part, &path));
        Ok(written.map_err(|error| {
            // An error here says no more than the first one.
            let _removed = fs::remove_file(&part);
            cannot(&path, &error)
        })?)
    }
}

/// What went wrong with a file, and the way out.
fn cannot(path: &Path, error: &io::Error) -> String {
    let (reason, way_out) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ("the disk is full".to_owned(), "Free some space, and run the demo again.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            "this user may not write there".to_owned(),
            "Change the permissions, or run the demo in a folder of your own.",
        ),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            ("something else has that name".to_owned(), "Move it away, or run the demo in another folder.")
        }
        _ => (error.to_string(), "Run the demo in another folder."),
    };
    format!("The demo cannot write {}: {reason}. {way_out}", path.display())
}

#[cfg(test)]
mod tests {
    use fake_100ms::Options;

    use super::*;

    fn rooms(records: &[&str]) -> Sync {
        let record = |id| json!({"type": "RECORD", "record": {"stream": "rooms", "data": {"id": id}}});
        Sync::of(&records.iter().map(record).collect::<Vec<_>>())
    }

    #[test]
    fn what_the_demo_did_not_write_stays() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::within(&Options::company()));
        let kept = ["notes.txt", "rows/rooms.jsonl", "tables.duckdb"].map(|name| folder.path().join(name));
        fs::create_dir(folder.path().join("rows")).unwrap();
        kept.iter().for_each(|path| fs::write(path, "mine").unwrap());
        for (records, written) in
            [(vec!["1", "2"], "{\"id\":\"1\"}\n{\"id\":\"2\"}\n"), (vec!["3"], "{\"id\":\"3\"}\n")]
        {
            let files = Files::create(folder.path(), &fake).unwrap();
            files.write_records(&[&rooms(&records), &rooms(&[])]).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("rooms.jsonl")).unwrap(), written);
        }
        assert!(kept.iter().all(|path| fs::read_to_string(path).unwrap() == "mine"));
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 5, "{names:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_stays() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::within(&Options::company()));
        let (mine, link) = (folder.path().join("mine"), folder.path().join("demo/config.json"));
        fs::write(&mine, "mine").unwrap();
        fs::create_dir(folder.path().join("demo")).unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        Files::create(&folder.path().join("demo"), &fake).unwrap();
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        assert!(link.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn what_goes_wrong_is_one_sentence_with_the_path_and_the_way_out() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::within(&Options::company()));
        let taken = folder.path().join("config.json");
        fs::create_dir(&taken).unwrap();
        let complaint = Files::create(folder.path(), &fake).err().unwrap().to_string();
        let path = taken.display();
        assert_eq!(
            complaint,
            format!(
                "The demo cannot write {path}: something else has that name. Move it away, or run the demo in another folder."
            )
        );
        assert!(!folder.path().join("config.json.part").exists());
        fs::write(folder.path().join("file"), "").unwrap();
        let complaint = Files::create(&folder.path().join("file"), &fake).err().unwrap().to_string();
        assert!(complaint.contains("something else has that name"), "{complaint}");
        for (kind, part) in [
            (ErrorKind::StorageFull, "the disk is full. Free"),
            (ErrorKind::PermissionDenied, "this user may not write"),
        ] {
            let complaint = cannot(Path::new("demo-output/rooms.jsonl"), &kind.into());
            assert!(
                complaint.starts_with("The demo cannot write demo-output/rooms.jsonl: ") && complaint.contains(part)
            );
        }
    }
}
