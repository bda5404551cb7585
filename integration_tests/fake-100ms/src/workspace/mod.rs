//! The workspace behind the server: its objects, how they came about and how they change.
//!
//! - `model`: the objects; one module for each kind says how it is made and how it changes.
//! - `shelf`: a kind's objects in the order of creation, with their answers.
//! - `advance`: one round of changes.
//! - `dice`, `words`, `calendar`, `object_id`: chance, names, times and ids.
//!
//! Nothing here looks at the [`Readings`] to decide what happens: the same seed gives the same
//! workspace under all of them. They only decide what is answered.

pub(crate) mod advance;
mod assets;
pub(crate) mod broadcasts;
mod calendar;
mod destinations;
pub(crate) mod dice;
pub(crate) mod events;
pub(crate) mod model;
pub(crate) mod object_id;
pub(crate) mod quality;
mod recordings;
mod rooms;
mod sessions;
pub(crate) mod shelf;
mod templates;
pub(crate) mod webhooks;
mod words;

use std::collections::{BTreeSet, HashMap};

use chrono::SubsecRound;

use self::broadcasts::Kind;
use self::calendar::Calendar;
use self::dice::Dice;
use self::events::{EventLog, EventMaker};
use self::model::{Asset, Broadcast, Event, Peer, Recording, Room, Session, Template, Time};
use self::object_id::{IdMint, ObjectId};
use self::rooms::RoomMaker;
use self::sessions::SessionMaker;
use self::shelf::Shelf;
use self::webhooks::{DeliveryLog, DeliveryMaker, Hooks};
use crate::answers;
use crate::options::{Counts, Options};
use crate::readings::Readings;

/// A customer's account at a moment in time.
pub(crate) struct Workspace {
    pub(crate) readings: Readings,
    pub(crate) now: Time,
    pub(crate) account: Account,
    pub(crate) templates: Shelf<Template>,
    pub(crate) rooms: Shelf<Room>,
    pub(crate) sessions: Shelf<Session>,
    pub(crate) recordings: Shelf<Recording>,
    pub(crate) live_streams: Shelf<Broadcast>,
    pub(crate) external_streams: Shelf<Broadcast>,
    pub(crate) assets: Shelf<Asset>,
    pub(crate) events: EventLog,
    pub(crate) deliveries: DeliveryLog,
    /// Sessions created from then on have stats of their peers.
    pub(crate) stats_since: Option<Time>,
    /// Positions of the sessions that are live.
    pub(crate) live: BTreeSet<usize>,
    /// Positions of the assets of each job, oldest first.
    assets_of: HashMap<ObjectId, Vec<usize>>,
    /// The secrets in the data, those replaced meanwhile included.
    pub(crate) planted: Vec<String>,
    counts: Counts,
    seed: u64,
    rounds: u64,
    mints: Mints,
}

/// Whose workspace it is.
pub(crate) struct Account {
    pub(crate) customer_id: ObjectId,
    pub(crate) apps: Vec<ObjectId>,
}

struct Mints {
    template: IdMint,
    room: IdMint,
    session: IdMint,
    recording: IdMint,
    asset: IdMint,
    live_stream: IdMint,
    external_stream: IdMint,
}

impl Workspace {
    /// The same for the same seed, scale and clock.
    pub(crate) fn new(options: &Options) -> Workspace {
        let now = options.now.trunc_subsecs(0);
        let mut workspace = Workspace::empty(options, now);
        let mut planted = workspace.populate(&Calendar::new(options.seed, now, &options.scale.counts()));
        workspace.planted.append(&mut planted);
        workspace.render_everything();
        workspace
    }

    fn empty(options: &Options, now: Time) -> Workspace {
        let mut dice = Dice::new(options.seed, "account");
        let mut mint = IdMint::new(dice.number());
        let opened = now - chrono::TimeDelta::days(800);
        Workspace {
            readings: options.readings.clone(),
            now,
            account: Account { customer_id: mint.next(opened), apps: (0..3).map(|_| mint.next(opened)).collect() },
            templates: Shelf::new(Vec::new()),
            rooms: Shelf::new(Vec::new()),
            sessions: Shelf::new(Vec::new()),
            recordings: Shelf::new(Vec::new()),
            live_streams: Shelf::new(Vec::new()),
            external_streams: Shelf::new(Vec::new()),
            assets: Shelf::new(Vec::new()),
            events: EventLog::new(),
            deliveries: DeliveryLog::new(Hooks::default()),
            stats_since: None,
            live: BTreeSet::new(),
            assets_of: HashMap::new(),
            planted: Vec::new(),
            counts: options.scale.counts(),
            seed: options.seed,
            rounds: 0,
            mints: Mints {
                template: IdMint::new(dice.number()),
                room: IdMint::new(dice.number()),
                session: IdMint::new(dice.number()),
                recording: IdMint::new(dice.number()),
                asset: IdMint::new(dice.number()),
                live_stream: IdMint::new(dice.number()),
                external_stream: IdMint::new(dice.number()),
            },
        }
    }

    /// Fills every shelf, each kind with dice of its own; gives the secrets planted on the way.
    fn populate(&mut self, calendar: &Calendar) -> Vec<String> {
        let (seed, now, counts) = (self.seed, self.now, &self.counts);
        let (apps, mints) = (&self.account.apps, &mut self.mints);

        let mut dice = Dice::new(seed, "templates");
        let made = templates::all(&mut dice, &mut mints.template, calendar, apps, counts.templates);
        self.templates = Shelf::new(made);
        let mut planted = dice.take_planted();

        let mut dice = Dice::new(seed, "rooms");
        let templates = &self.templates;
        let made = RoomMaker { apps, templates }.all(&mut dice, &mut mints.room, calendar, counts.rooms);
        self.rooms = Shelf::new(made);
        planted.append(&mut dice.take_planted());

        let mut dice = Dice::new(seed, "sessions");
        let rooms = &self.rooms;
        let maker = SessionMaker { rooms, counts, now };
        self.sessions = Shelf::new(maker.all(&mut dice, &mut mints.session, calendar));
        let is_live = |(position, session): (usize, &Session)| session.is_live().then_some(position);
        self.live = self.sessions.iter().enumerate().filter_map(is_live).collect();

        self.stats_since = quality::known_since(&self.sessions, counts.peers_with_stats);

        let mut dice = Dice::new(seed, "streams");
        let sessions = &self.sessions;
        let mut of_streams = Vec::new();
        for kind in Kind::BOTH {
            let (count, mint) = match kind {
                Kind::Live => (counts.live_streams, &mut mints.live_stream),
                Kind::External => (counts.external_streams, &mut mints.external_stream),
            };
            let made = Shelf::new(broadcasts::all(&mut dice, mint, kind, sessions, now, count));
            of_streams.extend(broadcasts::files_of_all(&mut dice, &made, now));
            match kind {
                Kind::Live => self.live_streams = made,
                Kind::External => self.external_streams = made,
            }
        }
        planted.append(&mut dice.take_planted());

        let mut dice = Dice::new(seed, "recordings");
        let made = recordings::all(&mut dice, &mut mints.recording, sessions, now, counts.recordings);
        self.recordings = Shelf::new(made);
        let made = assets::all(&mut dice, &mut mints.asset, &self.recordings, sessions, now, of_streams);
        for (position, asset) in made.iter().enumerate() {
            self.assets_of.entry(asset.job_id).or_default().push(position);
        }
        self.assets = Shelf::new(made);
        planted.append(&mut dice.take_planted());

        let mut dice = Dice::new(seed, "events");
        let count = counts.events_per_room * counts.rooms;
        for event in EventMaker::new(rooms, sessions, now).all(&mut dice, calendar, count) {
            let json = answers::events::event(&event, &self.readings);
            self.events.push(event, json);
        }
        planted.append(&mut dice.take_planted());

        let mut dice = Dice::new(seed, "webhooks");
        self.deliveries = DeliveryLog::new(Hooks::new(&mut dice));
        let made = DeliveryMaker { sessions }.all(&mut dice, calendar, counts.webhook_events);
        self.deliveries.add(made);
        planted.append(&mut dice.take_planted());
        planted
    }

    fn render_everything(&mut self) {
        (0..self.templates.len()).for_each(|position| self.render_template(position));
        (0..self.rooms.len()).for_each(|position| self.render_room(position));
        (0..self.sessions.len()).for_each(|position| self.render_session(position));
        (0..self.recordings.len()).for_each(|position| self.render_recording(position));
        (0..self.assets.len()).for_each(|position| self.render_asset(position));
        for kind in Kind::BOTH {
            (0..self.broadcasts(kind).len()).for_each(|position| self.render_broadcast(kind, position));
        }
    }

    fn render_template(&mut self, position: usize) {
        let template = &self.templates[position];
        let json = answers::templates::template(template, &self.account, &self.readings);
        self.templates.set_rendered(position, json);
    }

    fn render_room(&mut self, position: usize) {
        let json = answers::rooms::room(&self.rooms[position], &self.account, &self.readings);
        self.rooms.set_rendered(position, json);
    }

    fn render_session(&mut self, position: usize) {
        let session = &self.sessions[position];
        let json = answers::sessions::session(session, &self.account, &self.readings);
        self.sessions.set_rendered(position, json);
    }

    fn render_recording(&mut self, position: usize) {
        let recording = &self.recordings[position];
        let with_assets = self.readings.inline_assets;
        let json = answers::recordings::recording(self, recording, with_assets);
        self.recordings.set_rendered(position, json);
    }

    fn render_broadcast(&mut self, kind: Kind, position: usize) {
        let with_assets = match kind {
            Kind::Live => self.readings.live_streams_with_assets,
            Kind::External => self.readings.external_streams_with_assets,
        };
        let broadcast = &self.broadcasts(kind)[position];
        let json = answers::broadcasts::broadcast(self, kind, broadcast, with_assets);
        self.broadcasts_mut(kind).set_rendered(position, json);
    }

    fn render_asset(&mut self, position: usize) {
        let json = answers::recordings::asset(&self.assets[position], &self.readings);
        self.assets.set_rendered(position, json);
    }

    pub(crate) fn broadcasts(&self, kind: Kind) -> &Shelf<Broadcast> {
        match kind {
            Kind::Live => &self.live_streams,
            Kind::External => &self.external_streams,
        }
    }

    fn broadcasts_mut(&mut self, kind: Kind) -> &mut Shelf<Broadcast> {
        match kind {
            Kind::Live => &mut self.live_streams,
            Kind::External => &mut self.external_streams,
        }
    }

    /// What is known of the quality of a peer's call.
    pub(crate) fn tracks(&self, session: &Session, peer: &Peer) -> Vec<quality::Track> {
        quality::tracks(self.seed, self.stats_since, self.counts.varied, session, peer)
    }

    /// The assets of a recording or a stream, oldest first.
    pub(crate) fn assets_of(&self, job_id: ObjectId) -> impl Iterator<Item = &Asset> {
        let positions = self.assets_of.get(&job_id).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|&position| &self.assets[position])
    }

    /// The live session of a room.
    pub(crate) fn live_session(&self, room_id: ObjectId) -> Option<&Session> {
        let sessions = self.live.iter().map(|&position| &self.sessions[position]);
        sessions.into_iter().find(|session| session.room_id == room_id)
    }

    /// The events the API still answers: those of the last 30 days.
    pub(crate) fn answers_event(&self, event: &Event) -> bool {
        event.timestamp >= self.now - events::KEPT
    }
}
