//! Files of recordings, live streams and external streams.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::records::Kind::{Any, Integer, Number, Object, Text, Time};
use crate::records::{Column, Fields, Record, RecordError, Table, Timestamp, all_of, column, number};

/// The columns of a file.
pub(super) const FILE: &[Column] = &[
    column("id", Text, "Unique id of the file.").from(&["id", "_id"]),
    column("job_id", Text, "The recording it belongs to."),
    column("room_id", Text, "The room."),
    column("session_id", Text, "The session."),
    column("type", Text, "room-composite, room-vod, chat, transcript, summary, track, stream and others."),
    column("status", Text, "processing, completed or failed."),
    column("path", Text, "Where it is stored."),
    column("size", Integer, "Bytes."),
    column("duration", Number, "Seconds."),
];
const ENDS: &[Column] =
    &[column("metadata", Object, "What else is known of the file."), column("created_at", Time, "When it was made.")];

/// The files of an item. Their thumbnails are a list or an object: the reference does not say.
pub(super) static FILES: Table = Table {
    description: "A file of a recording.",
    columns: &all_of::<12>([FILE, &[column("thumbnails", Any, "")], ENDS]),
};

/// A file.
pub(super) struct File<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) created_at: Timestamp,
    pub(super) fields: Fields<'a>,
}

impl<'a> File<'a> {
    /// A file of the item with the id `item`, where that is known.
    pub(super) fn of(raw: &'a RawValue, item: Option<&str>) -> Result<Self, RecordError> {
        let fields = Fields::of(raw)
            .ok_or_else(|| RecordError::new(item, "recording_assets", "contains a file that is not an object"))?;
        let id = fields.id()?;
        Ok(Self { created_at: fields.created(&id)?, id, fields })
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.fields.text(field).as_deref() == Some(value)
    }

    pub(super) fn is_completed(&self) -> bool {
        self.is("status", "completed")
    }

    /// Whether it may still become another: it exists before it is finished, and nothing in it says when it is.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.is_completed() && !self.is("status", "failed")
    }

    fn bytes(&self) -> u64 {
        self.fields.get("size").and_then(number).and_then(|size| size.as_u64()).unwrap_or_default()
    }

    /// Its entry in the list of an item's files.
    pub(super) fn entry(self) -> Record<'a> {
        Record::of(&FILES, self.fields).with("created_at", self.created_at)
    }
}

/// Primary types, best first.
const PRIMARY: [&str; 5] = ["room-composite", "room-composite-legacy", "room-vod", "stream", "track"];

/// The file that stands for the whole.
pub(super) fn primary<'e, 'a>(files: &'e [File<'a>]) -> Option<&'e File<'a>> {
    let completed = || files.iter().filter(|file| file.is_completed());
    // A composite may show one layer only; the one without a layer is the whole.
    let has_layer = |file: &File<'_>| file.fields.inside("metadata").get("layer").is_some();
    let whole = completed().find(|file| file.is("type", PRIMARY[0]) && !has_layer(file));
    let best = || PRIMARY.iter().find_map(|kind| completed().find(|file| file.is("type", kind)));
    // Of several that are as large, the first.
    whole.or_else(best).or_else(|| completed().rev().max_by_key(|file| file.bytes()))
}

/// The files of `item`, each once, ordered by when they were made, then by id.
pub(super) fn files_of<'a>(
    files: impl Iterator<Item = &'a RawValue>,
    item: &str,
) -> Result<Vec<File<'a>>, RecordError> {
    let mut seen = HashSet::new();
    let mut all = files.map(|raw| File::of(raw, Some(item))).collect::<Result<Vec<_>, _>>()?;
    all.retain(|file| seen.insert(file.id.clone()));
    all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(all)
}
