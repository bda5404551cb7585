//! What happens to streams, what the webhook is told, and whose quality becomes known.

use chrono::TimeDelta;

use super::Round;
use super::activity::LATE;
use crate::workspace::broadcasts::{self, Kind};
use crate::workspace::model::Time;
use crate::workspace::object_id::ObjectId;
use crate::workspace::random::Random;
use crate::workspace::webhooks::{Delivery, DeliveryMaker};

/// What is older changes by its files only: a connector looks 72 hours back.
const STILL_RECENT: TimeDelta = TimeDelta::hours(48);

impl Round<'_> {
    /// Streams start, stop and fail.
    pub(super) fn change_broadcasts(&mut self, count: usize) {
        for kind in Kind::BOTH {
            let broadcasts = self.workspace.broadcasts(kind);
            let recent = broadcasts.created_within(Some(self.now - STILL_RECENT), None, |time| time);
            let under_way: Vec<usize> = recent.filter(|&position| !broadcasts[position].is_over()).collect();
            for number in self.random.choose(under_way.len(), count) {
                self.move_broadcast_on(kind, under_way[number]);
            }
        }
    }

    fn move_broadcast_on(&mut self, kind: Kind, position: usize) {
        let time = self.some_time();
        let lag = self.workspace.lag;
        let broadcast = self.workspace.broadcasts_mut(kind).edit(position, &lag);
        broadcasts::move_on(&mut self.random, broadcast, time);
        if broadcast.status == "stopped" {
            let files = broadcasts::files(&mut self.random, broadcast);
            self.new_assets.extend(files.into_iter().filter(|file| file.created_at <= self.now));
        }
        let id = broadcast.id;
        self.touched(kind.stream(), id);
    }

    /// In sessions of the last hours, live or not.
    pub(super) fn begin_broadcasts(&mut self, count: usize) {
        let since = Some(self.now - TimeDelta::hours(2));
        let recent = self.workspace.sessions.created_within(since, None, |time| time);
        if recent.is_empty() {
            return;
        }
        for kind in Kind::BOTH {
            for created_at in self.some_times(count) {
                let workspace = &mut *self.workspace;
                let session = &workspace.sessions[recent.start + self.random.below(recent.len())];
                let mint = match kind {
                    Kind::Live => &mut workspace.mints.live_stream,
                    Kind::External => &mut workspace.mints.external_stream,
                };
                let id = mint.next(created_at);
                let broadcast = broadcasts::begin(&mut self.random, kind, session, id, created_at);
                workspace.broadcasts_mut(kind).push(broadcast);
                self.touched(kind.stream(), id);
            }
        }
    }

    /// Files of streams of any age, the very oldest included.
    pub(super) fn add_late_files(&mut self, count: usize) {
        for kind in Kind::BOTH {
            let all = self.workspace.broadcasts(kind);
            let stopped: Vec<usize> = (0..all.len()).filter(|&position| all[position].status == "stopped").collect();
            let mut chosen = self.random.choose(stopped.len(), count.saturating_sub(1));
            chosen.extend((!stopped.is_empty() && count > 0).then_some(0));
            for number in chosen {
                let time = self.some_time();
                let name = self.random.pick(&["chat", "room-vod", "room-composite"]);
                let broadcast = &self.workspace.broadcasts(kind)[stopped[number]];
                let file = broadcasts::file(&mut self.random, broadcast, name, time);
                self.new_assets.push(file);
            }
        }
    }

    /// A stream that has got a file says so.
    pub(super) fn touched_broadcast(&mut self, job_id: ObjectId) {
        for kind in Kind::BOTH {
            if self.workspace.broadcasts(kind).get(job_id).is_some() {
                self.touched(kind.stream(), job_id);
            }
        }
    }

    /// New deliveries, and one in five of something that had happened before.
    pub(super) fn add_deliveries(&mut self, before: Time, count: usize) {
        let (earliest, now) = (self.earliest, self.now);
        let maker = DeliveryMaker { sessions: &self.workspace.sessions };
        let random = &mut self.random;
        let made: Vec<Delivery> = (0..count)
            .map(|number| {
                let time = match number % 5 {
                    0 => random.time_between(before - LATE, before),
                    _ => random.time_between(earliest, now),
                };
                maker.one(random, time)
            })
            .collect();
        if self.workspace.readings.has_webhook {
            made.iter().for_each(|delivery| self.touched("webhook_events", delivery.id()));
        }
        self.workspace.deliveries.add(made);
        self.replay_some(count.div_ceil(5));
    }

    /// Somebody has events delivered once more, where each attempt has an entry.
    fn replay_some(&mut self, count: usize) {
        if !self.workspace.readings.webhook_attempts {
            return;
        }
        let all = self.workspace.deliveries.all();
        let mut random = Random::new(self.now.timestamp().unsigned_abs(), "replays");
        let replayed: Vec<Delivery> = (0..count.min(all.len()))
            .map(|_| all[random.below(all.len())].replayed(random.time_between(self.earliest, self.now), false))
            .filter(|delivery| delivery.time >= self.earliest)
            .collect();
        replayed.iter().for_each(|delivery| self.touched("webhook_events", delivery.id()));
        self.workspace.deliveries.add(replayed);
    }

    /// A session, everybody's stay in it, and who joined and left.
    pub(super) fn touched_session(&mut self, position: usize) {
        let session = &self.workspace.sessions[position];
        let id = session.id;
        let stays: Vec<String> = session.peers.iter().map(|peer| format!("{id}|{}", peer.id)).collect();
        self.touched("sessions", id);
        stays.into_iter().for_each(|key| self.touched("session_peers", key));
        self.touched_moves(position);
    }

    /// Who joined and left in this round. A join says what was known of the peer when it was made: that the
    /// peer has left later is no change of it.
    fn touched_moves(&mut self, position: usize) {
        let earliest = self.earliest;
        let moves: Vec<String> = self.workspace.sessions[position]
            .peers
            .iter()
            .flat_map(|peer| {
                let join = (peer.joined_at >= earliest).then(|| format!("{}.join", peer.id));
                let leave = peer.left_at.filter(|left_at| *left_at >= earliest);
                [join, leave.map(|_| format!("{}.leave", peer.id))]
            })
            .flatten()
            .collect();
        moves.into_iter().for_each(|key| self.touched("analytics_events", key));
    }

    /// With the end of a session the quality of its calls becomes known.
    pub(super) fn touched_quality(&mut self, position: usize) {
        let session = &self.workspace.sessions[position];
        let of_peer =
            |peer| self.workspace.tracks(session, peer).into_iter().map(move |track| track.key(session, peer));
        let keys: Vec<String> = session.peers.iter().flat_map(of_peer).collect();
        keys.into_iter().for_each(|key| self.touched("peer_quality", key));
    }
}
