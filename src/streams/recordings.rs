//! `recordings`: every recording with its files.
//!
//! - **Source:** `/v2/recordings`, which leaves the files out; see `files.rs` for how they are joined.
//! - **Cursor:** `updated_at`: the last change of the recording or of any of its files, because files
//!   (a transcript, say) arrive after the recording's own `updated_at`.

use super::files::{SHARED, WithFiles, columns, info};
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::Strings;
use crate::records::{Column, Table, column};

const OWN: &[Column] = &[column("asset_types", Strings, "The types of files it was to make.")];

static TABLE: Table =
    Table { description: "A recording and its files.", columns: &columns::<{ SHARED + OWN.len() }>(OWN) };

pub(super) const INFO: StreamInfo = info("recordings", &TABLE, &[Endpoint::RECORDINGS], |context| {
    WithFiles::open(context, Endpoint::RECORDING, |_| {})
});
