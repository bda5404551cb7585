//! Files of recordings, live streams and external streams.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::contract::RecordError;
use super::record::{fill_times, id, record};
use super::time::Time;
use super::values::{Any, Integer, Number, Object, Text, number, text};

record! {
    /// A file of a recording.
    AssetEntry {
        /// Unique id of the file.
        id: Text<'a> = "id" | "_id",
        /// The recording it belongs to.
        job_id: Text<'a>,
        /// The room.
        room_id: Text<'a>,
        /// The session.
        session_id: Text<'a>,
        /// room-composite, room-vod, chat, transcript, summary, track, stream and others.
        r#type: Text<'a>,
        /// processing, completed or failed.
        status: Text<'a>,
        /// Where it is stored.
        path: Text<'a>,
        /// Bytes.
        size: Integer<'a>,
        /// Seconds.
        duration: Number<'a>,
        // A list or an object: the reference does not say, so the schema does not either.
        #[schemars(skip)]
        thumbnails: Any<'a>,
        /// What else is known of the file.
        metadata: Object<'a>,
        /// When it was made.
        created_at: Time,
    }
}

impl AssetEntry<'_> {
    fn is(&self, status: &str) -> bool {
        text(self.status.0).as_deref() == Some(status)
    }

    /// Whether it may still become another: it exists before it is finished, and nothing in it says when it is.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.is("completed") && !self.is("failed")
    }
}

/// A file of the item with the id `item`, where that is known.
pub(super) fn parse<'a>(raw: &'a RawValue, item: Option<&str>) -> Result<AssetEntry<'a>, RecordError> {
    serde_json::from_str(raw.get())
        .map_err(|_| RecordError::new(item, "recording_assets", "contains a file that is not an object"))
}

/// Primary types, best first.
const PRIMARY: [&str; 5] = ["room-composite", "room-composite-legacy", "room-vod", "stream", "track"];

/// The file that stands for the whole.
pub(super) fn primary<'e, 'a>(files: &'e [AssetEntry<'a>]) -> Option<&'e AssetEntry<'a>> {
    let is = |file: &&AssetEntry<'_>, kind: &str| text(file.r#type.0).as_deref() == Some(kind);
    let completed = || files.iter().filter(|file| file.is("completed"));
    let whole = completed().find(|file| is(file, PRIMARY[0]) && !has_layer(file));
    let best = || PRIMARY.iter().find_map(|kind| completed().find(|file| is(file, kind)));
    whole.or_else(best).or_else(|| completed().max_by_key(|file| bytes_of(file)))
}

fn bytes_of(file: &AssetEntry<'_>) -> u64 {
    file.size.0.and_then(number).and_then(|size| size.as_u64()).unwrap_or_default()
}

/// Whether a composite shows one layer only; the one without a layer is the whole.
fn has_layer(file: &AssetEntry<'_>) -> bool {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        layer: crate::api::Raw<'a>,
    }
    let layer =
        |raw: &RawValue| serde_json::from_str::<Metadata<'_>>(raw.get()).ok().is_some_and(|m| m.layer.is_some());
    file.metadata.0.is_some_and(layer)
}

/// The files, each once, ordered by when they were made, then by id.
pub(super) fn entries<'a>(
    files: impl Iterator<Item = &'a RawValue>,
    item: &str,
) -> Result<Vec<AssetEntry<'a>>, RecordError> {
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for raw in files {
        let mut file = parse(raw, Some(item))?;
        let id = id(file.id.0)?;
        let created_at = fill_times(&id, &mut file.created_at, &mut Time::Never)?.created;
        if seen.insert(id.clone()) {
            entries.push((created_at, id, file));
        }
    }
    entries.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Ok(entries.into_iter().map(|(_, _, file)| file).collect())
}
