//! What happens at a company: the next part of its plan, and what the office changes.

use chrono::TimeDelta;

use super::Round;

impl Round<'_> {
    /// Calls begin, go on and end, and somebody tidies up.
    pub(super) fn work(&mut self) {
        let happened = self.workspace.catch_up();
        for position in happened.sessions {
            self.touched_session(position);
        }
        self.touched_peers(happened.peers);
        for id in happened.recordings {
            let files = self.workspace.assets_of(id).filter(|asset| asset.created_at >= self.earliest);
            let files: Vec<_> = files.map(|asset| asset.id).collect();
            files.into_iter().for_each(|file| self.touched("recording_assets", file));
            self.touched("recordings", id);
        }
        happened.events.into_iter().for_each(|id| self.touched("analytics_events", id));
        let (round, time) = (self.workspace.rounds, self.earliest + (self.now - self.earliest) / 3);
        let rooms = self.workspace.tidy_rooms(round, time);
        rooms.into_iter().for_each(|id| self.touched("rooms", id));
        if let Some(position) = self.workspace.tune_template(round, time + TimeDelta::seconds(40)) {
            self.touched_template(position);
        }
    }
}
