//! `external_streams`: sessions that were streamed to other platforms over RTMP, with their recorded files.
//!
//! - **Source:** `/v2/external-streams`; see `files.rs` for how the files are joined.
//! - **Cursor:** `updated_at`: the last change of the stream or of any of its files.
//! - **On request:** part of `extra_streams` in the configuration.

use super::files::{SHARED, WithFiles, columns, info};
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::{Bool, Object, Strings};
use crate::records::{Column, Table, column};

const OWN: &[Column] = &[
    column("rtmp_urls", Strings, "Where it was streamed to; stream keys are masked."),
    column("resolution", Object, "The size of the picture, `width` and `height`."),
    column("recording", Bool, "Whether it was recorded."),
];

static TABLE: Table = Table {
    description: "A session that was streamed to other platforms over RTMP.",
    columns: &columns::<{ SHARED + OWN.len() }>(OWN),
};

pub(super) const INFO: StreamInfo = info("external_streams", &TABLE, &[Endpoint::EXTERNAL_STREAMS], |context| {
    WithFiles::open(context, Endpoint::EXTERNAL_STREAM, |_| {})
});
