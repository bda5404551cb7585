//! `live_streams`: sessions that were streamed to viewers over HLS, with their recorded files.
//!
//! - **Source:** `/v2/live-streams`; see `files.rs` for how the files are joined.
//! - **Cursor:** `updated_at`: the last change of the stream or of any of its files.
//! - **On request:** part of `extra_streams` in the configuration.

use super::files::{SHARED, WithFiles, columns, info};
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::{Object, Text};
use crate::records::{Column, Fields, Record, Table, column};

const OWN: &[Column] = &[
    column("playback_url", Text, "Where viewers watch it; a token in the link is masked.").from(&["playback"]),
    column("recording", Object, "How it was recorded."),
];

static TABLE: Table = Table {
    description: "A session that was streamed to viewers over HLS.",
    columns: &columns::<{ SHARED + OWN.len() }>(OWN),
};

pub(super) const INFO: StreamInfo = info("live_streams", &TABLE, &[Endpoint::LIVE_STREAMS], |context| {
    WithFiles::open(context, Endpoint::LIVE_STREAM, set_playback_url)
});

/// The `url` of the API's `playback`, or all of it when it is no object.
fn set_playback_url(stream: &mut Record<'_>) {
    if let Some(playback) = stream.get("playback").and_then(Fields::of) {
        stream.set("playback_url", playback.get("url"));
    }
}
