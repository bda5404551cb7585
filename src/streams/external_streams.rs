//! `external_streams`: sessions that were streamed to other platforms over RTMP, with their recorded files.
//!
//! - **Source:** `/v2/external-streams`; see `files.rs` for how the files are joined.
//! - **Cursor:** `updated_at`: the last change of the stream or of any of its files.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;

use super::asset::AssetEntry;
use super::files::{Kind, with_files};
use super::record::{Computed, Derived, record};
use super::time::Time;
use super::values::{Flag, Integer, Number, Object, Text, Texts};
use crate::api::List;

record! {
    /// A session that was streamed to other platforms over RTMP.
    ExternalStreamRecord {
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
        /// Where it was streamed to; stream keys are masked.
        rtmp_urls: Texts<'a>,
        /// The size of the picture, `width` and `height`.
        resolution: Object<'a>,
        /// Whether it was recorded.
        recording: Flag<'a>,
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

with_files!(ExternalStreamRecord);

/// What is special about external streams among the streams with files.
pub(super) struct ExternalStreams;

impl Kind for ExternalStreams {
    const NAME: &'static str = "external_streams";
    const LIST: List = List::EXTERNAL_STREAMS;
    type Record = ExternalStreamRecord<'static>;
}
