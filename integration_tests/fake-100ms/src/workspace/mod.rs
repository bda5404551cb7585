//! The workspace behind the server: its objects, how they came about and how they change.
//!
//! - `model`: the objects; one module for each kind says how it is made and how it changes.
//! - `company`: a workspace that might be somebody's, where all else is there to be hard to read.
//! - `collection`: a kind's objects in the order of creation.
//! - `advance`: one round of changes; `lag`: when lists show them.
//! - `random`, `words`, `calendar`, `object_id`: chance, names, times and ids.
//!
//! Nothing here looks at the [`Readings`] to decide what happens: the same seed gives the same
//! workspace under all of them. They only decide what is answered.

pub(crate) mod advance;
mod assets;
pub(crate) mod broadcasts;
mod calendar;
pub(crate) mod collection;
mod company;
mod destinations;
pub(crate) mod events;
mod lag;
pub(crate) mod model;
pub(crate) mod object_id;
pub(crate) mod quality;
pub(crate) mod random;
mod recordings;
mod rooms;
mod sessions;
mod templates;
pub(crate) mod webhooks;
mod words;

use std::collections::{BTreeSet, HashMap};

use chrono::SubsecRound;

use self::broadcasts::Kind;
use self::calendar::Calendar;
use self::collection::Collection;
use self::company::Company;
use self::events::{EventLog, EventMaker};
use self::lag::Lag;
use self::model::{Asset, Broadcast, Event, Peer, Recording, Room, Session, Template, Time};
use self::object_id::{IdMint, ObjectId};
use self::random::Random;
use self::rooms::RoomMaker;
use self::sessions::SessionMaker;
use self::webhooks::{DeliveryLog, DeliveryMaker, Hooks};
use crate::options::{Counts, Options, Scale};
use crate::readings::Readings;

/// A customer's account at a moment in time.
pub(crate) struct Workspace {
    pub(crate) readings: Readings,
    pub(crate) now: Time,
    pub(crate) lag: Lag,
    pub(crate) account: Account,
    pub(crate) templates: Collection<Template>,
    pub(crate) rooms: Collection<Room>,
    pub(crate) sessions: Collection<Session>,
    pub(crate) recordings: Collection<Recording>,
    pub(crate) live_streams: Collection<Broadcast>,
    pub(crate) external_streams: Collection<Broadcast>,
    pub(crate) assets: Collection<Asset>,
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
    /// Where the workspace is that of a company.
    company: Option<Company>,
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
        let mut planted = match &options.scale {
            Scale::Company => workspace.found_company(),
            scale => workspace.populate(&Calendar::new(options.seed, now, &scale.counts())),
        };
        workspace.planted.append(&mut planted);
        workspace
    }

    fn empty(options: &Options, now: Time) -> Workspace {
        let mut random = Random::new(options.seed, "account");
        let mut mint = IdMint::new(random.number());
        let opened = now - chrono::TimeDelta::days(800);
        Workspace {
            readings: options.readings.clone(),
            now,
            lag: Lag { longest: options.lag, since: now },
            account: Account { customer_id: mint.next(opened), apps: (0..3).map(|_| mint.next(opened)).collect() },
            templates: Collection::new(Vec::new()),
            rooms: Collection::new(Vec::new()),
            sessions: Collection::new(Vec::new()),
            recordings: Collection::new(Vec::new()),
            live_streams: Collection::new(Vec::new()),
            external_streams: Collection::new(Vec::new()),
            assets: Collection::new(Vec::new()),
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
                template: IdMint::new(random.number()),
                room: IdMint::new(random.number()),
                session: IdMint::new(random.number()),
                recording: IdMint::new(random.number()),
                asset: IdMint::new(random.number()),
                live_stream: IdMint::new(random.number()),
                external_stream: IdMint::new(random.number()),
            },
            company: None,
        }
    }

    /// Fills every collection, each kind with chance of its own; gives the secrets planted on the way.
    fn populate(&mut self, calendar: &Calendar) -> Vec<String> {
        let (seed, now, counts) = (self.seed, self.now, &self.counts);
        let (apps, mints) = (&self.account.apps, &mut self.mints);

        let mut random = Random::new(seed, "templates");
        let made = templates::all(&mut random, &mut mints.template, calendar, apps, counts.templates);
        self.templates = Collection::new(made);
        let mut planted = random.take_planted();

        let mut random = Random::new(seed, "rooms");
        let templates = &self.templates;
        let made = RoomMaker { apps, templates }.all(&mut random, &mut mints.room, calendar, counts.rooms);
        self.rooms = Collection::new(made);
        planted.append(&mut random.take_planted());

        let mut random = Random::new(seed, "sessions");
        let rooms = &self.rooms;
        let maker = SessionMaker { rooms, counts, now };
        self.sessions = Collection::new(maker.all(&mut random, &mut mints.session, calendar));
        let is_live = |(position, session): (usize, &Session)| session.is_live().then_some(position);
        self.live = self.sessions.iter().enumerate().filter_map(is_live).collect();

        self.stats_since = quality::known_since(&self.sessions, counts.peers_with_stats);

        let mut random = Random::new(seed, "streams");
        let sessions = &self.sessions;
        let mut of_streams = Vec::new();
        for kind in Kind::BOTH {
            let (count, mint) = match kind {
                Kind::Live => (counts.live_streams, &mut mints.live_stream),
                Kind::External => (counts.external_streams, &mut mints.external_stream),
            };
            let made = Collection::new(broadcasts::all(&mut random, mint, kind, sessions, now, count));
            of_streams.extend(broadcasts::files_of_all(&mut random, &made, now));
            match kind {
                Kind::Live => self.live_streams = made,
                Kind::External => self.external_streams = made,
            }
        }
        planted.append(&mut random.take_planted());

        let mut random = Random::new(seed, "recordings");
        let made = recordings::all(&mut random, &mut mints.recording, sessions, now, counts);
        self.recordings = Collection::new(made);
        let made = assets::all(&mut random, &mut mints.asset, &self.recordings, sessions, now, of_streams, counts);
        for (position, asset) in made.iter().enumerate() {
            self.assets_of.entry(asset.job_id).or_default().push(position);
        }
        self.assets = Collection::new(made);
        planted.append(&mut random.take_planted());

        let mut random = Random::new(seed, "events");
        let count = counts.events_per_room * counts.rooms;
        for event in EventMaker::new(rooms, sessions, now).all(&mut random, calendar, count) {
            self.events.push(event);
        }
        planted.append(&mut random.take_planted());

        let mut random = Random::new(seed, "webhooks");
        self.deliveries = DeliveryLog::new(Hooks::new(&mut random));
        let made = DeliveryMaker { sessions }.all(&mut random, calendar, counts.webhook_events);
        self.deliveries.add(made);
        planted.append(&mut random.take_planted());
        planted
    }

    pub(crate) fn broadcasts(&self, kind: Kind) -> &Collection<Broadcast> {
        match kind {
            Kind::Live => &self.live_streams,
            Kind::External => &self.external_streams,
        }
    }

    fn broadcasts_mut(&mut self, kind: Kind) -> &mut Collection<Broadcast> {
        match kind {
            Kind::Live => &mut self.live_streams,
            Kind::External => &mut self.external_streams,
        }
    }

    /// What is known of the quality of a peer's call.
    pub(crate) fn tracks(&self, session: &Session, peer: &Peer) -> Vec<quality::Track> {
        quality::tracks(self.seed, self.stats_since, self.counts.varied, session, peer)
    }

    /// The assets of a recording or a stream as they are to be seen, oldest first.
    pub(crate) fn assets_of(&self, job_id: ObjectId) -> impl DoubleEndedIterator<Item = Asset> {
        let positions = self.assets_of.get(&job_id).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|&position| self.seen(&self.assets[position]))
    }

    /// An asset as it is to be seen.
    pub(crate) fn seen(&self, asset: &Asset) -> Asset {
        let unfinished = asset.unfinished(self.now).filter(|_| self.readings.files_before_finished);
        unfinished.unwrap_or_else(|| asset.clone())
    }

    /// How many assets belong to none of the recordings.
    pub(crate) fn assets_without_recording(&self) -> usize {
        self.assets.iter().filter(|asset| self.recordings.get(asset.job_id).is_none()).count()
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
