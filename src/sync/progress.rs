//! How far a stream has come: its cursor, what the next sync must know, and when to save it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::state::{self, Resume};
use crate::airbyte::{self, SyncMode};
use crate::seams;
use crate::streams::{Hashes, Remembered, SETTLING, Slice, Timestamp, Written};

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
/// What is pending takes about so many bytes of a state at most; with the hashes it stays below 64 KB.
pub const PENDING_BYTES: usize = 28_000;

/// How far a stream has come.
pub struct Progress {
    /// The cursor's column; without one there is nothing to save.
    field: Option<&'static str>,
    mode: SyncMode,
    cursor: Timestamp,
    look_back: TimeDelta,
    /// When the sync began, by the earlier of the server's and the local clock; unknown before the first
    /// answer.
    until: Option<Timestamp>,
    /// The latest cursor value that has been read.
    latest: Option<Timestamp>,
    /// Records that the next sync may read again, by their key: until when, and the hash of what was written last.
    recent: BTreeMap<u64, (Timestamp, u64)>,
    /// What earlier syncs have written, or earlier processes of this one, and this one has not written anew.
    known: Hashes,
    was_resumed: bool,
    written: Arc<Written>,
    /// Records written by this process.
    pub records: u64,
    records_since_state: u64,
    last_state_bytes: usize,
}

/// What a stream begins with.
pub struct Beginning {
    /// The cursor's column.
    pub field: Option<&'static str>,
    /// How the stream is read.
    pub mode: SyncMode,
    /// The cursor of this sync.
    pub cursor: Timestamp,
    /// How far before its cursor a sync reads again.
    pub look_back: TimeDelta,
    /// When the sync began, if it began in an earlier process.
    pub until: Option<Timestamp>,
    /// The latest cursor value that an earlier process has read.
    pub latest: Option<Timestamp>,
    /// Hashes of what earlier syncs have written.
    pub known: Hashes,
    /// Shared with the stream.
    pub written: Arc<Written>,
}

impl Progress {
    /// Begins a sync, or goes on with one.
    pub fn new(beginning: Beginning) -> Self {
        Self {
            field: beginning.field,
            mode: beginning.mode,
            cursor: beginning.cursor,
            look_back: beginning.look_back,
            was_resumed: beginning.until.is_some(),
            until: beginning.until,
            latest: beginning.latest,
            recent: BTreeMap::new(),
            known: beginning.known,
            written: beginning.written,
            records: 0,
            records_since_state: 0,
            last_state_bytes: 0,
        }
    }

    /// Notes when the sync began; only the first time counts.
    pub fn began(&mut self, until: Timestamp) {
        self.until.get_or_insert(until);
    }

    /// Notes rows that have been handed to the writer.
    pub fn note(&mut self, count: u64, latest: Option<Timestamp>, recent: Vec<Remembered>) {
        self.records += count;
        self.records_since_state += count;
        self.latest = self.latest.max(latest);
        for Remembered { key, content, settled, was_written } in recent {
            if was_written {
                self.known.remove(&key);
                self.recent.insert(key, (settled, content));
            } else {
                // A page that was fetched earlier may be written later: what has been written since counts.
                self.recent.entry(key).or_insert((settled, content));
            }
        }
        let from = self.recent_from();
        self.written.remember_from(from);
        self.recent.retain(|_, (settled, _)| *settled >= from);
        if self.recent.len() > MOST_RECENT {
            self.recent = self.last_settled().into_iter().take(MOST_RECENT).collect();
        }
    }

    /// The records that the next sync may read again, those that settle last first.
    fn last_settled(&self) -> Vec<(u64, (Timestamp, u64))> {
        let mut recent: Vec<_> = self.recent.iter().map(|(key, row)| (*key, *row)).collect();
        recent.sort_by_key(|(_, (settled, _))| std::cmp::Reverse(*settled));
        recent
    }

    /// The hashes to save, at most `most` of them, those that settle last first. Of what earlier syncs have
    /// written it is not known until when it is of interest.
    fn hashes(&self, most: usize, with_known: bool) -> Hashes {
        let recent = self.last_settled().into_iter().map(|(key, (_, content))| (key, content));
        let known = self.known.iter().map(|(key, content)| (*key, *content));
        let known = known.filter(|(key, _)| with_known && !self.recent.contains_key(key));
        recent.chain(known).take(most).collect()
    }

    /// The cursor of this sync.
    pub fn cursor(&self) -> Timestamp {
        self.cursor
    }

    /// The next sync reads records again that changed at or after this.
    fn recent_from(&self) -> Timestamp {
        self.final_cursor() - self.look_back
    }

    /// The cursor after this sync: the latest value read, not past its beginning, never back.
    fn final_cursor(&self) -> Timestamp {
        let latest = self.latest.unwrap_or(self.cursor);
        self.until.map_or(self.cursor, |until| latest.min(until).max(self.cursor))
    }

    /// Whether a state should be written, `waited` after the last one.
    pub fn is_due(&self, waited: Duration) -> bool {
        let weight = 1 + (self.last_state_bytes / BYTES_PER_STATE) as u64;
        self.records_since_state >= RECORDS_PER_STATE * weight
            || waited >= PROGRESS_PER_STATE && self.records_since_state > 0
            || waited >= SIGN_OF_LIFE
            || seams::rarely()
    }

    /// The state of a sync that has `pending` left, with what the stream remembers besides.
    pub fn state(&mut self, pending: Vec<Slice>, memory: Map<String, Value>) -> Value {
        self.records_since_state = 0;
        let Some(field) = self.field else { return airbyte::no_cursor() };
        // A sync that is cut again and again knows more each time: the state must not grow with it.
        let hashes = self.hashes(2 * seams::memory(MOST_RECENT), true);
        let Some(until) = self.until else {
            // Nothing has been answered yet: nothing has changed.
            return state::finished(field, self.cursor, &hashes, memory);
        };
        let resume = Resume { until, latest: self.latest, pending };
        let state = state::under_way(field, self.mode, self.cursor, &resume, &hashes, memory);
        self.last_state_bytes = serde_json::to_string(&state).map_or(0, |text| text.len());
        state
    }

    /// The state of a sync that has nothing left; `now` is the local clock.
    pub fn finished(&mut self, memory: Map<String, Value>, now: Timestamp) -> Value {
        match (self.field, self.mode) {
            (None, _) => airbyte::no_cursor(),
            (Some(field), SyncMode::FullRefresh) => state::full_refresh_complete(field, self.until, now),
            (Some(field), SyncMode::Incremental) => {
                let mut cursor = self.final_cursor();
                // What was written before a cut, or is not asked for in every sync, has not been read again, and
                // the next sync may read it as long as the cursor has not moved.
                let keeps_known = |cursor| self.was_resumed || cursor == self.cursor;
                let known = if keeps_known(cursor) { self.known.len() } else { 0 };
                if self.recent.len() + known >= seams::memory(MOST_RECENT) {
                    // Perhaps not all of them are remembered, and the next sync would write the others again. What
                    // had changed a settling time before this sync was visible to it, so the cursor may move on.
                    cursor = self.until.map_or(cursor, |until| cursor.max(until - SETTLING));
                }
                let keeps_known = keeps_known(cursor);
                self.recent.retain(|_, (settled, _)| *settled >= cursor - self.look_back);
                state::finished(field, cursor, &self.hashes(seams::memory(MOST_RECENT), keeps_known), memory)
            }
        }
    }
}
