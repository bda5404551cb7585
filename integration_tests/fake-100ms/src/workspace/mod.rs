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
mod calendar;
mod destinations;
pub(crate) mod dice;
pub(crate) mod events;
pub(crate) mod model;
pub(crate) mod object_id;
mod recordings;
mod rooms;
mod sessions;
pub(crate) mod shelf;
mod templates;
mod words;

use std::collections::{BTreeSet, HashMap};

use chrono::SubsecRound;

use self::calendar::Calendar;
use self::dice::Dice;
use self::events::{EventLog, EventMaker};
use self::model::{Asset, Event, Recording, Room, Session, Template, Time};
use self::object_id::{IdMint, ObjectId};
use self::rooms::RoomMaker;
use self::sessions::SessionMaker;
use self::shelf::Shelf;
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
    pub(crate) assets: Shelf<Asset>,
    pub(crate) events: EventLog,
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
}

impl Workspace {
    /// The same for the same seed, scale and clock.
    pub(crate) fn new(options: &Options) -> Workspace {
        let now = options.now.trunc_subsecs(0);
        let mut workspace = Workspace::empty(options, now);
        let mut planted = workspace.populate(&Calendar::new(options.seed, now, options.scale.counts().varied));
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
            assets: Shelf::new(Vec::new()),
            events: EventLog::new(),
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

        let mut dice = Dice::new(seed, "recordings");
        let sessions = &self.sessions;
        let made = recordings::all(&mut dice, &mut mints.recording, sessions, now, counts.recordings);
        self.recordings = Shelf::new(made);
        let made = assets::all(&mut dice, &mut mints.asset, &self.recordings, sessions, now);
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
        planted
    }

    fn render_everything(&mut self) {
        (0..self.templates.len()).for_each(|position| self.render_template(position));
        (0..self.rooms.len()).for_each(|position| self.render_room(position));
        (0..self.sessions.len()).for_each(|position| self.render_session(position));
        (0..self.recordings.len()).for_each(|position| self.render_recording(position));
        (0..self.assets.len()).for_each(|position| self.render_asset(position));
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

    fn render_asset(&mut self, position: usize) {
        let json = answers::recordings::asset(&self.assets[position], &self.readings);
        self.assets.set_rendered(position, json);
    }

    /// The assets of a recording, oldest first.
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
