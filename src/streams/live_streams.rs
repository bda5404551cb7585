//! `live_streams`: sessions that were streamed to viewers over HLS, with their recorded files.
//!
//! - **Source:** `/v2/live-streams`; see `with_files.rs` for how the files are joined.
//! - **Cursor:** `updated_at`: the last change of the stream or of any of its files.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Column, Computed, Derived, record};
use super::schema::schema_of;
use super::time::Time;
use super::values::{Integer, Number, Object, Text};
use super::with_files::{AssetEntry, Kind, with_files};
use super::write::{Json, WriteJson};
use crate::api::{List, Raw};

record! {
    /// A session that was streamed to viewers over HLS.
    LiveStreamRecord {
        /// Unique id of the stream.
        id: Text<'a> = "id" | "_id",
        /// The room that was streamed.
        room_id: Text<'a>,
        /// The session that was streamed.
        session_id: Text<'a>,
        /// starting, running, stopping, completed or failed.
        status: Text<'a>,
        /// When it was created.
        created_at: Time,
        /// When streaming began.
        started_at: Time,
        /// When streaming stopped.
        stopped_at: Time,
        /// When the stream or any of its files last changed. The cursor of this stream.
        updated_at: Time,
        /// Who started it.
        started_by: Text<'a>,
        /// Who stopped it.
        stopped_by: Text<'a>,
        /// The link that was streamed; its token is masked.
        meeting_url: Text<'a>,
        /// The destination in the template.
        destination: Text<'a>,
        /// Where viewers watch it; a token in the link is masked.
        playback_url: PlaybackUrl<'a> = "playback",
        /// How it was recorded.
        recording: Object<'a>,
        /// The files that were recorded of it, ordered by when they were made.
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

/// The `url` of the API's `playback`, or all of it when it is no object.
#[derive(Clone, Copy, Default)]
pub(crate) struct PlaybackUrl<'a>(Text<'a>);

impl<'a> Column<'a> for PlaybackUrl<'a> {
    fn is_set(&self) -> bool {
        self.0.is_set()
    }
    fn set(&mut self, value: &'a RawValue) {
        #[derive(Deserialize)]
        struct Playback<'a> {
            #[serde(borrow)]
            url: Raw<'a>,
        }
        let playback: Result<Playback<'a>, _> = serde_json::from_str(value.get());
        self.0 = Text(playback.map_or(Some(value), |playback| playback.url));
    }
}

impl WriteJson for PlaybackUrl<'_> {
    fn write_json(&self, out: &mut Json) {
        self.0.write_json(out);
    }
}

schema_of!(PlaybackUrl<'_>, as Text<'_>);

with_files!(LiveStreamRecord);

/// What is special about live streams among the streams with files.
pub(super) struct LiveStreams;

impl Kind for LiveStreams {
    const NAME: &'static str = "live_streams";
    const LIST: List = List::LIVE_STREAMS;
    type Record = LiveStreamRecord<'static>;
}
