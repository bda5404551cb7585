//! `recordings`: every recording with its files.
//!
//! - **Source:** `/v2/recordings`, which leaves the files out; see `files.rs` for how they are joined.
//! - **Cursor:** `updated_at`: the last change of the recording or of any of its files, because files
//!   (a transcript, say) arrive after the recording's own `updated_at`.

use std::borrow::Cow;

use super::asset::AssetEntry;
use super::files::{Kind, with_files};
use super::record::{Computed, Derived, record};
use super::time::Time;
use super::values::{Integer, Number, Text, Texts};
use crate::api::List;

record! {
    /// A recording and its files.
    RecordingRecord {
        /// Unique id of the recording.
        id: Text<'a> = "id" | "_id",
        /// The room that was recorded.
        room_id: Text<'a>,
        /// The session that was recorded.
        session_id: Text<'a>,
        /// starting, running, stopping, post_processing, completed or failed.
        status: Text<'a>,
        /// When it was created.
        created_at: Time,
        /// When recording began.
        started_at: Time,
        /// When recording stopped.
        stopped_at: Time,
        /// When the recording or any of its files last changed. The cursor of this stream.
        updated_at: Time,
        /// Who started it.
        started_by: Text<'a>,
        /// Who stopped it.
        stopped_by: Text<'a>,
        /// The link that was recorded; its token is masked.
        meeting_url: Text<'a>,
        /// The destination in the template.
        destination: Text<'a>,
        /// The types of files it was to make.
        asset_types: Texts<'a>,
        /// Its files, ordered by when they were made.
        recording_assets: Derived<'a, Vec<AssetEntry<'a>>>,
        /// Seconds of the primary file.
        duration: Computed<Number<'a>>,
        /// Bytes of the primary file.
        size: Computed<Integer<'a>>,
        /// Where the primary file is stored.
        path: Computed<Text<'a>>,
        /// A link to the primary file that works for a limited time; null when 100ms has it no longer.
        url: Computed<Cow<'a, str>>,
    }
    volatile ["url"]
    personal ["started_by", "stopped_by"]
}

with_files!(RecordingRecord);

/// What is special about recordings among the streams with files.
pub(super) struct Recordings;

impl Kind for Recordings {
    const NAME: &'static str = "recordings";
    const LIST: List = List::RECORDINGS;
    type Record = RecordingRecord<'static>;
}
