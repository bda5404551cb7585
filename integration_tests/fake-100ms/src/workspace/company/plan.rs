//! All calls of the company with what comes of them, in the order in which they happen.

use chrono::{Days, NaiveDate, TimeDelta};

use super::call::{self, Call};
use super::people;
use super::rooms::{self, Kind, Place};
use super::timetable::{self, Slot};
use crate::workspace::Mints;
use crate::workspace::collection::Collection;
use crate::workspace::model::{Asset, Event, Recording, Room, Session, Time};
use crate::workspace::random::Random;

/// How many days of calls lie behind a new workspace.
const DAYS: u64 = 40;

/// Everything as it will have been in the end, each kind in the order of its creation.
pub(super) struct Plan {
    seed: u64,
    places: Vec<Place>,
    /// The first day that is not planned yet.
    next: NaiveDate,
    /// Calls that are arranged beforehand.
    arranged: Vec<Slot>,
    pub(super) sessions: Vec<Session>,
    pub(super) recordings: Vec<Recording>,
    pub(super) assets: Vec<Asset>,
    pub(super) events: Vec<Event>,
}

impl Plan {
    pub(super) fn new(seed: u64, random: &mut Random, rooms: &Collection<Room>, now: Time) -> Plan {
        let place = |room: &Room| Place {
            id: room.id,
            name: room.name.clone(),
            app_id: room.app_id,
            meeting_url: format!("https://tutoring.app.100ms.live/meeting/{}", random.room_code()),
        };
        let places: Vec<Place> = rooms.iter().map(place).collect();
        let events = at_the_closed_door(random, &places, now);
        Plan {
            seed,
            places,
            next: timetable::days_before(now.date_naive(), DAYS),
            arranged: timetable::around(random, now),
            sessions: Vec::new(),
            recordings: Vec::new(),
            assets: Vec::new(),
            events,
        }
    }

    /// Plans until the end of the day after `now`, as far as that is still to do. A call never lasts beyond the day
    /// on which it begins, or else it is arranged, so that whatever comes later is also created later.
    pub(super) fn reach(&mut self, now: Time, mints: &mut Mints) {
        let until = now.date_naive() + Days::new(2);
        if self.next >= until {
            return;
        }
        let mut slots = std::mem::take(&mut self.arranged);
        while self.next < until {
            for slot in timetable::of_day(self.seed, self.next) {
                if !slots.iter().any(|other| slot.collides_with(other)) {
                    slots.push(slot);
                }
            }
            self.next = self.next + Days::new(1);
        }
        slots.sort_by_key(|slot| slot.start);
        let mut recorded: Vec<(Recording, Vec<Asset>)> = Vec::new();
        for slot in &slots {
            let mut random = Random::new(self.seed, &format!("call {} {}", slot.room, slot.start.timestamp()));
            let id = mints.session.next(slot.start);
            let Call { session, recording, mut events } = call::of(&mut random, slot, &self.places[slot.room], id);
            self.sessions.push(session);
            recorded.extend(recording);
            self.events.append(&mut events);
        }
        self.events.sort_by_key(|event| event.timestamp);
        recorded.sort_by_key(|(recording, _)| recording.created_at);
        let mut assets: Vec<Asset> = Vec::new();
        for (mut recording, mut files) in recorded {
            recording.id = mints.recording.next(recording.created_at);
            files.iter_mut().for_each(|file| file.job_id = recording.id);
            assets.append(&mut files);
            self.recordings.push(recording);
        }
        assets.sort_by_key(|asset| asset.created_at);
        assets.iter_mut().for_each(|asset| asset.id = mints.asset.next(asset.created_at));
        self.assets.append(&mut assets);
    }
}

/// Now and then somebody tries the link to the course that is over.
fn at_the_closed_door(random: &mut Random, places: &[Place], now: Time) -> Vec<Event> {
    let Some(room) = (0..rooms::ROOMS).find(|room| rooms::kind(*room) == Kind::Closed) else { return Vec::new() };
    let tries = [23, 16, 9, 2].map(|days: i64| {
        let time = now - TimeDelta::days(days) - random.seconds(0..=7_200);
        let who = people::student(random.below(people::STUDENTS));
        call::refused(random, &places[room], &who, time)
    });
    tries.into_iter().collect()
}
