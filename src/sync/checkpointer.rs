//! When a state of a stream is due, and what is in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::start_point::StartPoint;
use super::state;
use crate::airbyte::SyncMode;
use crate::seams;
use crate::streams::{Hashes, Remembered, SETTLING, Slice, StreamInfo, Timestamp, WrittenHashes};

/// A state is written after this many records,
const RECORDS_PER_STATE: u64 = 2_500;
/// and after as many more for each of these bytes of the last state: large ones come less often;
const BYTES_PER_STATE: usize = 16_384;
/// or after this long, if there was a record,
const PROGRESS_PER_STATE: Duration = Duration::from_secs(10);
/// or after this long in any case: only records and states count as signs of life.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// Records whose hashes are remembered, those that settle last.
const MOST_RECENT: usize = 1_000;
/// The slices in a state take about this many bytes at most; with the hashes it stays below 64 KB.
pub const PENDING_BYTES: usize = 20_000;

/// How far a stream has come.
pub struct Checkpointer {
    description: &'static StreamInfo,
    /// Where the sync would resume. Its cursor is that of this sync, and its hashes are those of records that earlier
    /// processes have written and this one has not.
    resume_from: StartPoint,
    was_resumed: bool,
    /// Records that the next sync may read again, by their key: until when, and the hash of what was written last.
    recent: BTreeMap<u64, (Timestamp, u64)>,
    written: Arc<WrittenHashes>,
    /// Records written by this process.
    pub records: u64,
    records_since_state: u64,
    last_state_bytes: usize,
}

impl Checkpointer {
    /// `written` is shared with the stream.
    pub fn new(description: &'static StreamInfo, start: StartPoint, written: Arc<WrittenHashes>) -> Self {
        Self {
            description,
            was_resumed: start.pending.is_some(),
            resume_from: start,
            recent: BTreeMap::new(),
            written,
            records: 0,
            records_since_state: 0,
            last_state_bytes: 0,
        }
    }

    /// Notes when the sync began; only the first time counts.
    pub fn began(&mut self, sync_started_at: Timestamp) {
        self.resume_from.bounds.sync_started_at.get_or_insert(sync_started_at);
    }

    /// Notes rows that have been handed to the writer.
    pub fn note(&mut self, count: u64, latest: Option<Timestamp>, recent: Vec<Remembered>) {
        self.records += count;
        self.records_since_state += count;
        self.resume_from.latest = self.resume_from.latest.max(latest);
        for Remembered { key, content, recheck_until, was_written } in recent {
            if was_written {
                self.resume_from.hashes.remove(&key);
                self.recent.insert(key, (recheck_until, content));
            } else {
                // A page that was fetched earlier may be written later: what has been written since counts.
                self.recent.entry(key).or_insert((recheck_until, content));
            }
        }
        let from = self.final_cursor() - self.description.look_back;
        self.written.remember_from(from);
        self.recent.retain(|_, (recheck_until, _)| *recheck_until >= from);
        if self.recent.len() > MOST_RECENT {
            self.recent = self.last_settled().into_iter().take(MOST_RECENT).collect();
        }
    }

    /// The records that the next sync may read again, those that settle last first.
    fn last_settled(&self) -> Vec<(u64, (Timestamp, u64))> {
        let mut recent: Vec<_> = self.recent.iter().map(|(key, row)| (*key, *row)).collect();
        recent.sort_by_key(|(_, (recheck_until, _))| std::cmp::Reverse(*recheck_until));
        recent
    }

    /// The hashes to save, at most `most` of them, those that settle last first. Until when those of earlier processes
    /// are of interest is not known.
    fn hashes(&self, most: usize, with_earlier: bool) -> Hashes {
        let recent = self.last_settled().into_iter().map(|(key, (_, content))| (key, content));
        let earlier = self.resume_from.hashes.iter().map(|(key, content)| (*key, *content));
        let earlier = earlier.filter(|(key, _)| with_earlier && !self.recent.contains_key(key));
        recent.chain(earlier).take(most).collect()
    }

    /// The cursor after this sync: the latest value read, not past its beginning, never back.
    fn final_cursor(&self) -> Timestamp {
        let bounds = &self.resume_from.bounds;
        let latest = self.resume_from.latest.unwrap_or(bounds.cursor);
        bounds.sync_started_at.map_or(bounds.cursor, |sync_started_at| latest.min(sync_started_at).max(bounds.cursor))
    }

    /// Whether a state should be written, `waited` after the last one.
    pub fn is_due(&self, waited: Duration) -> bool {
        let weight = 1 + (self.last_state_bytes / BYTES_PER_STATE) as u64;
        self.records_since_state >= RECORDS_PER_STATE * weight
            || waited >= PROGRESS_PER_STATE && self.records_since_state > 0
            || waited >= SIGN_OF_LIFE
            || seams::rarely()
    }

    /// The state of a sync that has `pending` left, with the `memory` of the stream.
    pub fn state(&mut self, pending: Vec<Slice>, memory: Map<String, Value>) -> Value {
        self.records_since_state = 0;
        (self.resume_from.pending, self.resume_from.memory) = (Some(pending), memory);
        // A sync that is cut again and again knows more each time: the state must not grow with it.
        let hashes = self.hashes(2 * seams::memory(MOST_RECENT), true);
        let state = state::write(self.description, &self.resume_from, &hashes);
        self.last_state_bytes = state.to_string().len();
        state
    }

    /// The state of a sync that has nothing left; `now` is the local clock.
    pub fn finished(&mut self, memory: Map<String, Value>, now: Timestamp) -> Value {
        let bounds = self.resume_from.bounds;
        if let (Some(field), SyncMode::FullRefresh) = (self.description.cursor, self.resume_from.mode) {
            return state::full_refresh_complete(field, bounds.sync_started_at, now);
        }
        let mut cursor = self.final_cursor();
        // What was written before a cut, or is not asked for in every sync, has not been read again, and the next sync
        // may read it as long as the cursor has not moved.
        let keeps_earlier = |cursor| self.was_resumed || cursor == bounds.cursor;
        let earlier = if keeps_earlier(cursor) { self.resume_from.hashes.len() } else { 0 };
        if self.recent.len() + earlier >= seams::memory(MOST_RECENT) {
            // Perhaps not all of them are remembered, and the next sync would write the others again. What had changed
            // a settling time before this sync was visible to it, so the cursor may move on.
            cursor = bounds.sync_started_at.map_or(cursor, |sync_started_at| cursor.max(sync_started_at - SETTLING));
        }
        let keeps_earlier = keeps_earlier(cursor);
        self.recent.retain(|_, (recheck_until, _)| *recheck_until >= cursor - self.description.look_back);
        let hashes = self.hashes(seams::memory(MOST_RECENT), keeps_earlier);
        self.resume_from.bounds.cursor = cursor;
        (self.resume_from.pending, self.resume_from.memory) = (None, memory);
        state::write(self.description, &self.resume_from, &hashes)
    }
}
