//! Rooms: how they are made and how people change them.

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::collection::Collection;
use super::model::{Room, Template, Time};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;
use super::words;

/// What a new room refers to.
pub(crate) struct RoomMaker<'a> {
    pub(crate) apps: &'a [ObjectId],
    pub(crate) templates: &'a Collection<Template>,
}

impl RoomMaker<'_> {
    /// The rooms of a new workspace; the first one is as old as the workspace.
    pub(crate) fn all(&self, random: &mut Random, mint: &mut IdMint, calendar: &Calendar, count: usize) -> Vec<Room> {
        let mut times = calendar.times(random, count);
        if let Some(first) = times.first_mut() {
            *first = calendar.start();
        }
        let room = |(number, &created_at): (usize, &Time)| {
            let id = mint.next(created_at);
            let mut room = self.one(random, id, number, created_at);
            age(random, &mut room, calendar, number);
            room
        };
        times.iter().enumerate().map(room).collect()
    }

    pub(crate) fn one(&self, random: &mut Random, id: ObjectId, number: usize, created_at: Time) -> Room {
        let template = (self.templates.len() > 0 && random.chance(0.9))
            .then(|| &self.templates[random.below(self.templates.len())]);
        Room {
            id,
            name: words::topic(random, number),
            enabled: !random.chance(0.15),
            description: random.chance(0.6).then(|| words::topic(random, number)),
            app_id: random.pick(self.apps),
            recording_source_template: random.chance(0.5),
            enabled_source_template: random.chance(0.2),
            recording_info: recording_info(random),
            template_id: template.map(|template| template.id),
            template_name: template.map(|template| template.name.clone()),
            region: random.pick(words::REGIONS),
            large_room: random.chance(0.1),
            size: random.within(0..=500),
            max_duration_seconds: random.within(0..=12) * 3600,
            polls: polls(random),
            webhook: webhook(random),
            created_at,
            edited_at: None,
        }
    }
}

/// Some rooms were never edited, some lately, however old they are.
fn age(random: &mut Random, room: &mut Room, calendar: &Calendar, number: usize) {
    room.edited_at = match number % 5 {
        0 | 1 => None,
        2 => Some(calendar.within_hours(random, 0, 13).max(room.created_at)),
        3 => Some(calendar.within_hours(random, 13, 72).max(room.created_at)),
        _ => Some(random.time_between(room.created_at, calendar.just_now())),
    };
}

/// Somebody changes a room's form.
pub(crate) fn edit(random: &mut Random, room: &mut Room, number: usize, time: Time) {
    match random.below(4) {
        0 => room.name = words::topic(random, number),
        1 => room.description = Some(words::metadata(random)),
        2 => room.recording_info = recording_info(random),
        _ => room.webhook = webhook(random),
    }
    room.size += 1;
    room.edited_at = Some(time);
}

/// Somebody switches a room on or off.
pub(crate) fn switch(room: &mut Room, time: Time) {
    room.enabled = !room.enabled;
    room.edited_at = Some(time);
}

fn recording_info(random: &mut Random) -> Value {
    if random.chance(0.3) {
        return Value::Null;
    }
    if random.chance(0.3) {
        return json!({"enabled": false});
    }
    json!({
        "enabled": true,
        "upload_info": {
            "type": random.pick(&["s3", "gs", "oss"]),
            "location": format!("customer-recordings-{}", random.hex(6)),
            "prefix": "rooms/%Y/",
            "options": {"region": "eu-central-1"},
            "credentials": {"key": random.secret("storage-key"), "secret": random.secret("storage-secret")},
        },
    })
}

fn polls(random: &mut Random) -> Value {
    match random.below(4) {
        0 => Value::Null,
        1 => json!([random.hex(24), random.hex(24)]),
        _ => json!([]),
    }
}

fn webhook(random: &mut Random) -> Value {
    match random.below(4) {
        0 | 1 => Value::Null,
        2 => json!({"url": format!("https://hooks.example.com/100ms/{}", random.secret("hook")), "headers": {}}),
        _ => json!({
            "url": "https://hooks.example.com/100ms?app=1",
            "headers": {
                "Authorization": format!("Bearer {}", random.secret("webhook")),
                "X-Api-Key": random.secret("webhook"),
            },
        }),
    }
}
