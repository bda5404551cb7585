//! Sessions and their peers: how they were, how they begin, go on and end.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::calendar::Calendar;
use super::collection::Collection;
use super::model::{Peer, Room, Session, Time, Uuid};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;
use super::words;
use crate::options::Counts;

/// The vendor ends every session after 12 hours.
pub(crate) const LONGEST: TimeDelta = TimeDelta::hours(12);

/// One session of every varied workspace was as large as the vendor allows …
const CROWD: usize = 2_000;

/// … unless the workspace is tiny, for a test that must be quick.
const FOR_A_CROWD: usize = 200;

/// Every 13th room has never had a session and never gets one: a link nobody could join.
pub(crate) fn is_quiet(room: usize) -> bool {
    room % 13 == 5
}

pub(crate) struct SessionMaker<'a> {
    pub(crate) rooms: &'a Collection<Room>,
    pub(crate) counts: &'a Counts,
    pub(crate) now: Time,
}

impl SessionMaker<'_> {
    /// The sessions of a new workspace, some of the latest still live.
    pub(crate) fn all(&self, random: &mut Random, mint: &mut IdMint, calendar: &Calendar) -> Vec<Session> {
        if self.rooms.len() == 0 {
            return Vec::new();
        }
        let mut times = calendar.times(random, self.counts.sessions);
        Calendar::crowd_into_a_second(&mut times, self.counts.sessions_in_one_second);
        let mut live_rooms = HashSet::new();
        let crowded = self.counts.varied && times.len() >= FOR_A_CROWD;
        let crowd = crowded.then_some(times.len() * 9 / 10);
        let mut sessions = Vec::with_capacity(times.len());
        for (number, &created_at) in times.iter().enumerate() {
            let id = mint.next(created_at);
            let room = self.room_of(random, created_at);
            let may_live = self.now - created_at < TimeDelta::hours(11);
            let session = if may_live && random.chance(0.75) && live_rooms.insert(room.id) {
                self.live(random, id, room, created_at, live_rooms.len())
            } else if Some(number) == crowd {
                self.ended(random, id, room, created_at, CROWD)
            } else {
                let peers = self.peer_count(random);
                self.ended(random, id, room, created_at, peers)
            };
            sessions.push(session);
        }
        sessions
    }

    /// A room that existed then and is in use.
    pub(crate) fn room_of(&self, random: &mut Random, time: Time) -> &Room {
        let existing = self.rooms.created_within(None, Some(time), |time| time).end;
        loop {
            let position = random.below(existing);
            if !is_quiet(position) {
                return &self.rooms[position];
            }
        }
    }

    fn peer_count(&self, random: &mut Random) -> usize {
        let usual = self.counts.peers_per_session;
        if !self.counts.varied {
            usual
        } else if random.chance(0.08) {
            0
        } else {
            1 + random.below(2 * usual)
        }
    }

    fn ended(&self, random: &mut Random, id: ObjectId, room: &Room, created_at: Time, peers: usize) -> Session {
        let length = match random.below(20) {
            0 => random.seconds(4 * 3600..=12 * 3600 - 60),
            1..=5 => random.seconds(3600..=4 * 3600),
            _ => random.seconds(20..=5400),
        };
        let latest = (created_at + length).min(self.now - TimeDelta::milliseconds(1));
        let ended_at = random.varied_precision(latest).max(created_at);
        let mut peers: Vec<Peer> = (0..peers).map(|_| self.peer(random, created_at, ended_at, true)).collect();
        peers.iter_mut().for_each(|peer| peer.stayed_to_the_end = peer.id.0[0].is_multiple_of(4));
        Session {
            ended_at: Some(ended_at),
            updated_at: random.time_between(ended_at, (ended_at + TimeDelta::seconds(2)).min(self.now)),
            ..self.new_session(random, id, room, created_at, peers)
        }
    }

    /// In every third live session nobody is any more.
    fn live(&self, random: &mut Random, id: ObjectId, room: &Room, created_at: Time, number: usize) -> Session {
        let deserted = number.is_multiple_of(3);
        let count = match number {
            1 if self.counts.varied => 120,
            _ if deserted => self.peer_count(random),
            _ => self.peer_count(random).max(1),
        };
        let mut peers: Vec<Peer> = (0..count)
            .map(|_| {
                let leaves = deserted || random.chance(0.3);
                self.peer(random, created_at, self.now, leaves)
            })
            .collect();
        if let Some(first) = peers.first_mut().filter(|_| !deserted) {
            first.left_at = None;
        }
        let touched_at = self.saved_at(&peers, created_at);
        Session { touched_at, updated_at: touched_at, ..self.new_session(random, id, room, created_at, peers) }
    }

    /// A session is saved a moment after somebody has moved, but for some.
    fn saved_at(&self, peers: &[Peer], otherwise: Time) -> Time {
        let last = peers.iter().max_by_key(|peer| last_move(peer));
        let saved_at = |peer: &Peer| last_move(peer) + TimeDelta::milliseconds(i64::from(peer.id.0[1] % 90));
        last.map_or(otherwise, |last| saved_at(last).min(self.now).max(last_move(last)))
    }

    fn new_session(
        &self,
        random: &mut Random,
        id: ObjectId,
        room: &Room,
        created_at: Time,
        mut peers: Vec<Peer>,
    ) -> Session {
        // The API keeps peers by id: an order that has nothing to do with time.
        peers.sort_by_key(|peer| peer.id);
        Session {
            id,
            room_id: room.id,
            app_id: room.app_id,
            user_id: random.chance(0.9).then(|| random.hex(24)),
            peers,
            created_at,
            ended_at: None,
            updated_at: created_at,
            touched_at: created_at,
        }
    }

    /// A session that begins now, with its first peers still connected.
    pub(crate) fn begin(&self, random: &mut Random, id: ObjectId, room: &Room, created_at: Time) -> Session {
        let latest = (created_at + TimeDelta::seconds(30)).min(self.now);
        let peers: Vec<Peer> =
            (0..self.peer_count(random)).map(|_| self.peer(random, created_at, latest, false)).collect();
        let touched_at = self.saved_at(&peers, created_at);
        Session { touched_at, updated_at: touched_at, ..self.new_session(random, id, room, created_at, peers) }
    }

    /// Somebody who joined within the given time, most of them early.
    fn peer(&self, random: &mut Random, from: Time, to: Time, leaves: bool) -> Peer {
        let early = from + (to - from) / 4;
        let latest = if random.chance(0.7) { early } else { to };
        let joined_at = random.time_between(from, latest);
        let user_id = random.chance(0.75).then(|| format!("user-{}", random.below(5000)));
        Peer {
            id: Uuid(random.uuid()),
            repeats_id: !self.is_old(from) || random.chance(0.5),
            name: words::person(random).into(),
            role: random.pick(words::ROLES),
            has_user: self.counts.varied && user_id.is_some() && random.chance(0.5),
            user_id: user_id.map(Into::into),
            metadata: self.metadata(random).map(Into::into),
            joined_at,
            left_at: leaves.then(|| random.time_between(joined_at, to)),
            stayed_to_the_end: false,
        }
    }

    fn metadata(&self, random: &mut Random) -> Option<String> {
        if self.counts.varied {
            random.chance(0.9).then(|| words::metadata(random))
        } else {
            random.chance(0.5).then(String::new)
        }
    }

    fn is_old(&self, time: Time) -> bool {
        self.counts.varied && self.now - time > TimeDelta::days(365)
    }

    /// People come and go in a live session; gives the ids of those who did.
    pub(crate) fn mingle(&self, random: &mut Random, session: &mut Session, earliest: Time) -> Vec<Uuid> {
        let time = random.time_between(earliest, self.now);
        let mut moved = Vec::new();
        for peer in session.peers.iter_mut().filter(|peer| peer.left_at.is_none()) {
            if random.chance(0.3) {
                peer.left_at = Some(time.max(peer.joined_at));
                moved.push(peer.id);
            }
        }
        if moved.is_empty() || random.chance(0.5) {
            let mut peer = self.peer(random, time, self.now, false);
            self.come_back(random, session, &mut peer);
            moved.push(peer.id);
            session.peers.push(peer);
            session.peers.sort_by_key(|peer| peer.id);
        }
        session.touched_at = self.saved_at(&session.peers, time).max(time);
        session.updated_at = session.touched_at;
        moved
    }

    /// Whoever joins may be somebody who left before: the same person, but another peer.
    fn come_back(&self, random: &mut Random, session: &Session, peer: &mut Peer) {
        let mut gone = session.peers.iter().filter(|peer| peer.left_at.is_some() && peer.user_id.is_some());
        if let Some(former) = gone.next().filter(|_| random.chance(0.4)) {
            peer.name.clone_from(&former.name);
            peer.user_id.clone_from(&former.user_id);
        }
    }

    /// Everybody leaves; gives the ids of those who were still there.
    pub(crate) fn end(&self, random: &mut Random, session: &mut Session, earliest: Time) -> Vec<Uuid> {
        let latest = self.now.min(session.created_at + LONGEST).max(earliest);
        let ended_at = random.time_between(earliest, latest).max(session.updated_at);
        let mut moved = Vec::new();
        for peer in session.peers.iter_mut().filter(|peer| peer.left_at.is_none()) {
            peer.left_at = Some(random.time_between(earliest.max(peer.joined_at), ended_at));
            peer.stayed_to_the_end = peer.id.0[0].is_multiple_of(4);
            moved.push(peer.id);
        }
        session.ended_at = Some(ended_at);
        session.updated_at = ended_at;
        moved
    }
}

fn last_move(peer: &Peer) -> Time {
    peer.left_at.unwrap_or(peer.joined_at)
}

impl Session {
    pub(crate) fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Those who are in the room now.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &Peer> {
        let live = self.is_live();
        self.peers.iter().filter(move |peer| live && peer.left_at.is_none())
    }
}
