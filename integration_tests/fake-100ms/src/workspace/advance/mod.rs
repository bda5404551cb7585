//! One round of changes.
//!
//! ```text
//! ──────┬──────────────┬─────────────────────────────┬──▶ time
//!       50 min earlier before                       now
//!       [ late events  )( every other change         ]
//! ```
//! In a workspace of a company, `company` lets the next of its plan happen. In all others
//! `configuration` changes what people edit, `activity` what happens in rooms, `extras` their streams and what
//! the webhook was told.
//!
//! A change is at least a second after `before`, so that it is later also for those who see whole
//! seconds.

mod activity;
mod company;
mod configuration;
mod extras;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{SubsecRound, TimeDelta};
use serde::Serialize;

use super::Workspace;
use super::model::{Asset, Time, Uuid};
use super::random::Random;
use super::sessions::LONGEST;

/// What one round of changes touched: stream name → keys, in the form of [`crate::Truth`].
///
/// Keys that a change removed (a live peer who left, a destination that was deleted) are named too.
/// A stream of which nothing changed is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Stream name → keys.
    pub streams: BTreeMap<String, BTreeSet<String>>,
}

/// How many objects of each kind one round touches.
struct Volume {
    sessions: usize,
    rooms: usize,
    templates: usize,
    recordings: usize,
    /// Of each of the two kinds.
    broadcasts: usize,
    events: usize,
    webhooks: usize,
}

struct Round<'a> {
    workspace: &'a mut Workspace,
    random: Random,
    /// The earliest time of a change.
    earliest: Time,
    /// The clock at the end of the round.
    now: Time,
    changes: Changes,
    /// Assets of this round, still without ids.
    new_assets: Vec<Asset>,
}

impl Workspace {
    /// About an hour goes by.
    pub(crate) fn advance(&mut self) -> Changes {
        let volume = Volume {
            sessions: (self.sessions.len() / 50).clamp(6, 500),
            rooms: (self.rooms.len() / 20).clamp(5, 100),
            templates: (self.templates.len() / 10).clamp(2, 20),
            recordings: (self.recordings.len() / 20).clamp(12, 200),
            broadcasts: (self.live_streams.len() / 20).min(100),
            events: (self.events.len() / 30).clamp(10, 500),
            webhooks: (self.deliveries.all().len() / 30).min(1_000),
        };
        self.play_round(3300..=4500, &volume)
    }

    /// So many seconds go by; about that share of every kind changes.
    pub(crate) fn advance_small(&mut self, per_cent: f64, seconds: RangeInclusive<u64>) -> Changes {
        let share = |count: usize| ((count as f64 * per_cent / 100.0).ceil() as usize).max(1);
        let volume = Volume {
            sessions: share(self.sessions.len()),
            rooms: share(self.rooms.len()),
            templates: share(self.templates.len()),
            recordings: share(self.recordings.len()),
            broadcasts: share(self.live_streams.len()).min(self.live_streams.len()),
            events: share(self.events.len()),
            webhooks: share(self.deliveries.all().len()).min(self.deliveries.all().len()),
        };
        self.play_round(seconds, &volume)
    }

    /// One object of each kind is written with a time that lies so far from the clock: what a wrong
    /// clock somewhere inside the server does.
    pub(crate) fn stamp(&mut self, distance: TimeDelta) -> Changes {
        let (time, lag) = (self.now + distance, self.lag);
        let mut changes = Changes::default();
        let mut note = |stream: &str, key: &dyn ToString| {
            changes.streams.entry(stream.to_owned()).or_default().insert(key.to_string());
        };
        if self.rooms.len() > 0 {
            let room = self.rooms.edit(self.rooms.len() / 2, &lag);
            room.edited_at = Some(time);
            note("rooms", &room.id);
        }
        if self.templates.len() > 0 {
            let template = self.templates.edit(self.templates.len() / 2, &lag);
            template.updated_at = time;
            note("templates", &template.id);
        }
        if let Some(&position) = self.live.last() {
            let session = self.sessions.edit(position, &lag);
            (session.updated_at, session.touched_at) = (time, time);
            note("sessions", &session.id);
            session.peers.iter().for_each(|peer| note("session_peers", &format!("{}|{}", session.id, peer.id)));
        }
        if self.recordings.len() > 0 {
            let recording = self.recordings.edit(self.recordings.len() - 1, &lag);
            recording.updated_at = time;
            note("recordings", &recording.id);
        }
        changes
    }

    /// So many rooms are switched on or off, all with the same time of change.
    pub(crate) fn switch_rooms(&mut self, count: usize, at: Time) {
        let lag = self.lag;
        for position in 0..count.min(self.rooms.len()) {
            let room = self.rooms.edit(position, &lag);
            room.enabled = !room.enabled;
            room.edited_at = Some(at);
        }
    }

    /// Nothing happens; only the clock goes on.
    pub(crate) fn let_time_pass(&mut self, time: TimeDelta) {
        self.now += TimeDelta::seconds(time.num_seconds());
    }

    /// Nothing happens but that the oldest sessions end, because they must.
    pub(crate) fn let_sessions_end(&mut self, time: TimeDelta) {
        let until = self.now + TimeDelta::seconds(time.num_seconds());
        loop {
            let ends = self.live.iter().map(|&position| self.sessions[position].created_at + LONGEST);
            let Some(next) = ends.min().filter(|end| *end < until) else { break };
            let before = self.now;
            self.now = before.max(next.trunc_subsecs(0) + TimeDelta::seconds(1));
            self.rounds += 1;
            let random = Random::new(self.seed, &format!("round {}", self.rounds));
            let earliest = before.max(next - TimeDelta::seconds(1));
            let (now, changes, new_assets) = (self.now, Changes::default(), Vec::new());
            Round { workspace: self, random, earliest, now, changes, new_assets }.change_live_sessions(0);
        }
        self.now = until;
    }

    fn play_round(&mut self, seconds: RangeInclusive<u64>, volume: &Volume) -> Changes {
        self.rounds += 1;
        let mut random = Random::new(self.seed, &format!("round {}", self.rounds));
        let before = self.now;
        let now = before + TimeDelta::seconds(random.within(seconds) as i64);
        self.now = now;
        let has_company = self.company.is_some();
        let mut round = Round {
            workspace: self,
            random,
            // What a company's plan has may happen at any moment.
            earliest: before + if has_company { TimeDelta::nanoseconds(1) } else { TimeDelta::seconds(1) },
            now,
            changes: Changes::default(),
            new_assets: Vec::new(),
        };
        if has_company {
            round.work()
        } else {
            round.play(before, volume)
        }
        let (changes, mut planted) = (round.changes, round.random.take_planted());
        self.planted.append(&mut planted);
        changes
    }
}

impl Round<'_> {
    fn play(&mut self, before: Time, volume: &Volume) {
        self.change_templates(volume.templates);
        self.make_template(volume.templates);
        self.change_rooms(volume.rooms);
        self.make_rooms(1 + volume.rooms / 10);
        if self.workspace.rooms.len() > 0 {
            self.change_live_sessions(volume.sessions);
            self.begin_sessions(volume.sessions.div_ceil(2));
            self.change_recordings(volume.recordings.div_ceil(2));
            self.begin_recordings(volume.recordings.div_ceil(4));
            self.add_late_assets(volume.recordings.div_ceil(2));
            self.change_broadcasts(volume.broadcasts);
            self.begin_broadcasts(volume.broadcasts.div_ceil(2));
            self.add_late_files(volume.broadcasts.div_ceil(2));
            self.store_assets();
            self.finish_files(before);
            self.add_events(before, volume.events);
            self.add_deliveries(before, volume.webhooks);
        }
    }

    fn some_time(&mut self) -> Time {
        self.random.time_between(self.earliest, self.now)
    }

    fn some_times(&mut self, count: usize) -> Vec<Time> {
        let mut times: Vec<Time> = (0..count).map(|_| self.some_time()).collect();
        times.sort();
        times
    }

    fn touched(&mut self, stream: &str, key: impl ToString) {
        let keys = self.changes.streams.entry(stream.to_owned()).or_default();
        keys.insert(key.to_string());
    }

    fn touched_peers(&mut self, peers: Vec<Uuid>) {
        for peer in peers {
            self.touched("active_room_peers", peer);
        }
    }

    fn touched_template(&mut self, position: usize) {
        let template = &self.workspace.templates[position];
        let id = template.id;
        let keys = template.destination_keys(self.workspace.readings.unknown_destination_kind);
        self.touched("templates", id);
        self.touched("template_settings", id);
        for key in keys {
            self.touched("templates_destinations", key);
        }
    }
}
