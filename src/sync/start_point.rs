//! Where a sync of a stream begins: its bounds, and what an earlier process has left of it.

use chrono::TimeDelta;
use serde_json::{Map, Value};

use crate::airbyte::SyncMode;
use crate::streams::{Hashes, Slice, SyncBounds, Timestamp};

/// Where a sync of a stream begins: made once, of the settings and the saved state (see [`super::state`]).
#[derive(Debug, Clone)]
pub(crate) struct StartPoint {
    pub mode: SyncMode,
    pub bounds: SyncBounds,
    /// The latest cursor value that an earlier process of this sync has read.
    pub latest: Option<Timestamp>,
    /// What an earlier process of this sync has left to read; `None` when the sync begins with its first phase.
    pub pending: Option<Vec<Slice>>,
    /// Whether the records add to those that were written before. Otherwise they replace them.
    pub is_continued: bool,
    /// Hashes of records that were written before.
    pub hashes: Hashes,
    /// What the stream remembers beside its cursor.
    pub memory: Map<String, Value>,
    /// The state as it was saved.
    pub saved: Option<Value>,
}

impl StartPoint {
    /// Where a sync begins without a saved state.
    pub fn new(mode: SyncMode, start_date: Timestamp, extra_lookback: TimeDelta) -> Self {
        Self {
            mode,
            bounds: SyncBounds { cursor: start_date, start_date, extra_lookback, sync_started_at: None },
            latest: None,
            pending: None,
            is_continued: false,
            hashes: Hashes::new(),
            memory: Map::new(),
            saved: None,
        }
    }
}
