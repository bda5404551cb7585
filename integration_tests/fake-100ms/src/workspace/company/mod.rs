//! A company that might exist: online tutoring, with lessons, study groups, webinars and a support desk.
//!
//! - `people`: who works and learns there; `rooms`: its templates and rooms.
//! - `timetable`: which calls there are on a day; `call`: what happens in one.
//! - `plan`: all calls with what comes of them, from weeks ago to the day after tomorrow.
//!
//! The plan says how everything will have been in the end. The workspace holds as much of it as has happened by its
//! clock, so that its first day and every later hour are made by the same few lines, here.

mod call;
mod people;
mod plan;
mod rooms;
mod timetable;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;

use self::plan::Plan;
use super::Workspace;
use super::model::{Recording, Room, Session, Time, Uuid};
use super::object_id::ObjectId;
use super::random::Random;

/// The company behind a workspace, and how much of its plan has happened.
pub(crate) struct Company {
    plan: Plan,
    /// Positions of the recordings that are not over.
    under_way: BTreeSet<usize>,
}

/// What has happened since somebody last looked.
#[derive(Default)]
pub(super) struct Happened {
    /// Positions of sessions that began, changed or ended.
    pub(super) sessions: Vec<usize>,
    /// Who joined or left.
    pub(super) peers: Vec<Uuid>,
    pub(super) recordings: Vec<ObjectId>,
    pub(super) events: Vec<Uuid>,
}

impl Workspace {
    /// Fills an empty workspace; gives the secrets planted on the way.
    pub(super) fn found_company(&mut self) -> Vec<String> {
        let mut random = Random::new(self.seed, "company");
        self.templates = rooms::templates(&mut random, &mut self.mints.template, &self.account.apps, self.now);
        self.rooms = rooms::all(&mut random, &mut self.mints.room, &self.account.apps, &self.templates, self.now);
        let plan = Plan::new(self.seed, &mut random, &self.rooms, self.now);
        self.company = Some(Company { plan, under_way: BTreeSet::new() });
        self.catch_up();
        random.take_planted()
    }

    /// Lets everything happen that the plan has until now.
    pub(super) fn catch_up(&mut self) -> Happened {
        let (now, lag) = (self.now, self.lag);
        let mut happened = Happened::default();
        let Some(mut company) = self.company.take() else { return happened };
        company.plan.reach(now, &mut self.mints);
        let plan = &company.plan;

        for position in std::mem::take(&mut self.live) {
            let planned = plan.sessions[position].by(now);
            if planned.updated_at > self.sessions[position].updated_at {
                happened.peers.extend(moved(&self.sessions[position], &planned));
                *self.sessions.edit(position, &lag) = planned;
                happened.sessions.push(position);
            }
            self.note_live(position);
        }
        for planned in plan.sessions[self.sessions.len()..].iter().take_while(|planned| planned.created_at <= now) {
            let position = self.sessions.push(planned.by(now));
            happened.peers.extend(self.sessions[position].connected().map(|peer| peer.id));
            happened.sessions.push(position);
            self.note_live(position);
        }
        for position in std::mem::take(&mut company.under_way) {
            let seen = plan.recordings[position].by(now);
            if seen.updated_at > self.recordings[position].updated_at {
                *self.recordings.edit(position, &lag) = seen;
                happened.recordings.push(plan.recordings[position].id);
            }
            company.under_way.extend((!self.recordings[position].is_over()).then_some(position));
        }
        for planned in plan.recordings[self.recordings.len()..].iter().take_while(|planned| planned.created_at <= now) {
            let position = self.recordings.push(planned.by(now));
            happened.recordings.push(planned.id);
            company.under_way.extend((!self.recordings[position].is_over()).then_some(position));
        }
        for asset in plan.assets[self.assets.len()..].iter().take_while(|asset| asset.created_at <= now) {
            let position = self.assets.push(asset.clone());
            self.assets_of.entry(asset.job_id).or_default().push(position);
            happened.recordings.push(asset.job_id);
        }
        for event in plan.events[self.events.len()..].iter().take_while(|event| event.timestamp <= now) {
            happened.events.push(event.id);
            self.events.push(event.clone());
        }
        self.company = Some(company);
        happened
    }

    fn note_live(&mut self, position: usize) {
        if self.sessions[position].is_live() {
            self.live.insert(position);
        }
    }

    /// The office changes something, too: gives the room that was renamed, and the new one if there is one.
    pub(super) fn tidy_rooms(&mut self, round: u64, time: Time) -> Vec<ObjectId> {
        let lag = self.lag;
        let position = round as usize * 5 % rooms::LESSONS;
        let room = self.rooms.edit(position, &lag);
        room.name = rooms::renamed(&room.name, round);
        room.edited_at = Some(time);
        let mut touched = vec![room.id];
        let mut random = Random::new(self.seed, &format!("newcomer {round}"));
        let created_at = time + TimeDelta::seconds(90);
        if let Some(newcomer) = people::NEWCOMERS.get(round as usize / 2).filter(|_| !round.is_multiple_of(2)) {
            let id = self.mints.room.next(created_at);
            let room: Room = rooms::of_newcomer(&mut random, newcomer, &self.rooms[0], id, created_at);
            self.planted.append(&mut random.take_planted());
            self.rooms.push(room);
            touched.push(id);
        }
        touched
    }

    /// Every third hour somebody adjusts the template of the webinars; gives its position.
    pub(super) fn tune_template(&mut self, round: u64, time: Time) -> Option<usize> {
        let position = self.templates.len().checked_sub(2).filter(|_| round % 3 == 1)?;
        let lag = self.lag;
        let template = self.templates.edit(position, &lag);
        template.settings["roomState"]["messageInterval"] = json!(10 + round);
        template.updated_at = time;
        Some(position)
    }
}

/// Whose presence differs between the two.
fn moved(before: &Session, after: &Session) -> Vec<Uuid> {
    let was = |id: Uuid| before.connected().any(|peer| peer.id == id);
    let is = |id: Uuid| after.connected().any(|peer| peer.id == id);
    after.peers.iter().map(|peer| peer.id).filter(|id| was(*id) != is(*id)).collect()
}

impl Session {
    /// Of one that is planned to its end: how it is at `now`.
    fn by(&self, now: Time) -> Session {
        let mut seen = self.clone();
        seen.peers.retain(|peer| peer.joined_at <= now);
        seen.peers.iter_mut().for_each(|peer| peer.left_at = peer.left_at.filter(|time| *time <= now));
        let moves = seen.peers.iter().flat_map(|peer| [Some(peer.joined_at), peer.left_at]).flatten();
        seen.touched_at = moves.max().unwrap_or(seen.created_at);
        seen.ended_at = seen.ended_at.filter(|time| *time <= now);
        seen.updated_at = seen.ended_at.unwrap_or(seen.touched_at);
        seen
    }
}

impl Recording {
    /// Of one that is planned to its end: how it is at `now`.
    fn by(&self, now: Time) -> Recording {
        let mut seen = self.clone();
        let has_come = |time: &Time| *time <= now;
        seen.started_at = seen.started_at.filter(has_come);
        seen.stopped_at = seen.stopped_at.filter(has_come);
        if self.updated_at <= now {
            return seen;
        }
        (seen.status, seen.updated_at) = match (seen.started_at, seen.stopped_at) {
            (_, Some(stopped_at)) => ("post_processing", stopped_at),
            (Some(started_at), None) => ("running", started_at),
            (None, None) => ("starting", self.created_at),
        };
        seen.stopped_by = seen.stopped_by.filter(|_| seen.stopped_at.is_some());
        seen
    }
}
