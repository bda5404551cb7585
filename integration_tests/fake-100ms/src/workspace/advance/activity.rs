//! What happens in rooms: sessions, recordings, their files, and events.

use chrono::TimeDelta;

use super::Round;
use crate::workspace::events::EventMaker;
use crate::workspace::model::{Event, Time, Uuid};
use crate::workspace::object_id::ObjectId;
use crate::workspace::sessions::{LONGEST, SessionMaker};
use crate::workspace::{assets, recordings};

/// How long after its time an event may arrive.
pub(super) const LATE: TimeDelta = TimeDelta::minutes(50);

/// A connector looks 72 hours back for recordings: what is older must change by its assets only.
const STILL_RECENT: TimeDelta = TimeDelta::hours(48);

impl Round<'_> {
    /// Sessions end, the oldest because they must; in others people come and go.
    pub(super) fn change_live_sessions(&mut self, count: usize) {
        let live: Vec<usize> = self.workspace.live.iter().copied().collect();
        let chosen = self.random.choose(live.len(), count);
        for (number, position) in live.into_iter().enumerate() {
            let workspace = &mut *self.workspace;
            let maker = SessionMaker { rooms: &workspace.rooms, counts: &workspace.counts, now: self.now };
            let overdue = workspace.sessions[position].created_at + LONGEST <= self.now;
            if !overdue && !chosen.contains(&number) {
                continue;
            }
            let session = workspace.sessions.edit(position, &workspace.lag);
            let moved = if overdue || self.random.chance(0.45) {
                workspace.live.remove(&position);
                maker.end(&mut self.random, session, self.earliest)
            } else {
                maker.mingle(&mut self.random, session, self.earliest)
            };
            self.touched_session(position);
            self.touched_quality(position);
            self.touched_peers(moved);
        }
    }

    /// In rooms that are free; where none is, and now and then, a session is over at once.
    pub(super) fn begin_sessions(&mut self, count: usize) {
        for created_at in self.some_times(count) {
            let workspace = &mut *self.workspace;
            let id = workspace.mints.session.next(created_at);
            let maker = SessionMaker { rooms: &workspace.rooms, counts: &workspace.counts, now: self.now };
            let room = maker.room_of(&mut self.random, created_at);
            let mut session = maker.begin(&mut self.random, id, room, created_at);
            let taken = workspace.live_session(room.id).is_some();
            if taken || self.random.chance(0.3) {
                maker.end(&mut self.random, &mut session, created_at);
            }
            let peers: Vec<Uuid> = session.connected().map(|peer| peer.id).collect();
            let is_live = session.is_live();
            let position = workspace.sessions.push(session);
            if is_live {
                workspace.live.insert(position);
            }
            self.touched_session(position);
            self.touched_quality(position);
            self.touched_peers(peers);
        }
    }

    /// Recordings start, stop with their session, complete or fail.
    pub(super) fn change_recordings(&mut self, count: usize) {
        let recordings = &self.workspace.recordings;
        let recent = recordings.created_within(Some(self.now - STILL_RECENT), None, |time| time);
        let under_way: Vec<usize> = recent.filter(|&position| !recordings[position].is_over()).collect();
        for number in self.random.choose(under_way.len(), count) {
            let (position, time) = (under_way[number], self.some_time());
            self.move_on(position, time);
            let id = self.workspace.recordings[position].id;
            self.touched("recordings", id);
        }
    }

    fn move_on(&mut self, position: usize, time: Time) {
        let workspace = &mut *self.workspace;
        let recording = workspace.recordings.edit(position, &workspace.lag);
        let session = workspace.sessions.get(recording.session_id);
        let random = &mut self.random;
        match recording.status {
            "starting" => recordings::start(recording, time),
            "running" if session.is_some_and(|session| session.is_live()) => recording.updated_at = time,
            "running" | "stopping" => recordings::stop(random, recording, time),
            _ if random.chance(0.15) => recordings::fail(recording, time),
            _ => {
                recordings::complete(recording, time);
                self.new_assets.extend(assets::at_completion(random, recording));
            }
        }
    }

    /// In sessions of the last hours, live or not.
    pub(super) fn begin_recordings(&mut self, count: usize) {
        let since = Some(self.now - TimeDelta::hours(2));
        let recent = self.workspace.sessions.created_within(since, None, |time| time);
        if recent.is_empty() {
            return;
        }
        for created_at in self.some_times(count) {
            let workspace = &mut *self.workspace;
            let position = recent.start + self.random.below(recent.len());
            let session = &workspace.sessions[position];
            let id = workspace.mints.recording.next(created_at);
            let recording = recordings::begin(&mut self.random, session, id, created_at);
            workspace.recordings.push(recording);
            self.touched("recordings", id);
        }
    }

    /// Transcripts and summaries of recordings of any age, the very oldest included.
    pub(super) fn add_late_assets(&mut self, count: usize) {
        let completed: Vec<usize> = (0..self.workspace.recordings.len())
            .filter(|&position| self.workspace.recordings[position].status == "completed")
            .collect();
        let mut chosen = self.random.choose(completed.len(), count.saturating_sub(1));
        chosen.extend((!completed.is_empty()).then_some(0));
        for number in chosen {
            let time = self.some_time();
            let kind = self.random.pick(&["transcript", "summary", "room-composite"]);
            let recording = &self.workspace.recordings[completed[number]];
            let asset = assets::asset(&mut self.random, recording, kind, time);
            self.new_assets.push(asset);
        }
    }

    /// Gives the round's assets their ids, in the order of their times, and renews their recordings.
    pub(super) fn store_assets(&mut self) {
        let mut drafts = std::mem::take(&mut self.new_assets);
        for asset in &mut drafts {
            asset.created_at = asset.created_at.max(self.earliest);
        }
        drafts.sort_by_key(|asset| asset.created_at);
        for mut asset in drafts {
            let workspace = &mut *self.workspace;
            let job_id: ObjectId = asset.job_id;
            let id = workspace.mints.asset.next(asset.created_at);
            asset.id = id;
            let position = workspace.assets.push(asset);
            workspace.assets_of.entry(job_id).or_default().push(position);
            self.touched_file(id, job_id);
        }
    }

    /// Files become finished, which the time of no object tells.
    pub(super) fn finish_files(&mut self, before: Time) {
        if !self.workspace.readings.files_before_finished {
            return;
        }
        let finished = self.workspace.assets.iter().filter(|asset| asset.is_finished_between(before, self.now));
        let files: Vec<(ObjectId, ObjectId)> = finished.map(|asset| (asset.id, asset.job_id)).collect();
        files.into_iter().for_each(|(id, job_id)| self.touched_file(id, job_id));
    }

    /// A file, and the recording or stream that has got it.
    fn touched_file(&mut self, id: ObjectId, job_id: ObjectId) {
        self.touched("recording_assets", id);
        if self.workspace.recordings.get(job_id).is_some() {
            self.touched("recordings", job_id);
        }
        self.touched_broadcast(job_id);
    }

    /// New events, and one in five that should have come before. Half of them are of sessions under
    /// way; the others may be of any session of the last month, or of none, in any room.
    pub(super) fn add_events(&mut self, before: Time, count: usize) {
        // What shows late is late twice: together they must not be later than a connector looks back.
        let late_from = if self.workspace.lag.is_none() { before - LATE } else { self.now - LATE };
        let workspace = &mut *self.workspace;
        let maker = EventMaker::new(&workspace.rooms, &workspace.sessions, self.now);
        let busy = maker.busiest_room();
        let under_way = maker.under_way(late_from);
        let made: Vec<Event> = (0..count)
            .map(|number| {
                let timestamp = match number % 5 {
                    0 => self.random.time_between(late_from, before.max(late_from)),
                    _ => self.random.time_between(self.earliest, self.now),
                };
                let kind = self.random.below(90);
                let room = match number % 4 {
                    0 | 3 if !under_way.is_empty() => {
                        let session = self.random.pick(&under_way);
                        return maker.of_session(&mut self.random, session, kind, timestamp);
                    }
                    1 => busy,
                    _ => self.random.below(workspace.rooms.len()),
                };
                maker.one(&mut self.random, room, kind, timestamp)
            })
            .collect();
        for event in made {
            self.touched("analytics_events", event.id);
            self.workspace.events.push(event);
        }
    }
}
