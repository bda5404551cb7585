//! Rooms: how they are made and how people change them.

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::dice::Dice;
use super::model::{Room, Template, Time};
use super::object_id::{IdMint, ObjectId};
use super::shelf::Shelf;
use super::words;

/// What a new room refers to.
pub(crate) struct RoomMaker<'a> {
    pub(crate) apps: &'a [ObjectId],
    pub(crate) templates: &'a Shelf<Template>,
}

impl RoomMaker<'_> {
    /// The rooms of a new workspace; the first one is as old as the workspace.
    pub(crate) fn all(&self, dice: &mut Dice, mint: &mut IdMint, calendar: &Calendar, count: usize) -> Vec<Room> {
        let mut times = calendar.times(dice, count);
        if let Some(first) = times.first_mut() {
            *first = calendar.start();
        }
        let room = |(number, &created_at): (usize, &Time)| {
            let id = mint.next(created_at);
            let mut room = self.one(dice, id, number, created_at);
            age(dice, &mut room, calendar, number);
            room
        };
        times.iter().enumerate().map(room).collect()
    }

    pub(crate) fn one(&self, dice: &mut Dice, id: ObjectId, number: usize, created_at: Time) -> Room {
        let template =
            (self.templates.len() > 0 && dice.chance(0.9)).then(|| &self.templates[dice.below(self.templates.len())]);
        Room {
            id,
            name: words::topic(dice, number),
            enabled: !dice.chance(0.15),
            description: dice.chance(0.6).then(|| words::topic(dice, number)),
            app_id: dice.pick(self.apps),
            recording_source_template: dice.chance(0.5),
            enabled_source_template: dice.chance(0.2),
            recording_info: recording_info(dice),
            template_id: template.map(|template| template.id),
            template_name: template.map(|template| template.name.clone()),
            region: dice.pick(words::REGIONS),
            key: dice.hex(12),
            large_room: dice.chance(0.1),
            size: dice.within(0..=500),
            max_duration_seconds: dice.within(0..=12) * 3600,
            polls: polls(dice),
            webhook: webhook(dice),
            created_at,
            edited_at: None,
        }
    }
}

/// Some rooms were never edited, some lately, however old they are.
fn age(dice: &mut Dice, room: &mut Room, calendar: &Calendar, number: usize) {
    room.edited_at = match number % 5 {
        0 | 1 => None,
        2 => Some(calendar.within_hours(dice, 0, 13).max(room.created_at)),
        3 => Some(calendar.within_hours(dice, 13, 72).max(room.created_at)),
        _ => Some(dice.time_between(room.created_at, calendar.just_now())),
    };
}

/// Somebody changes a room's form.
pub(crate) fn edit(dice: &mut Dice, room: &mut Room, number: usize, time: Time) {
    match dice.below(4) {
        0 => room.name = words::topic(dice, number),
        1 => room.description = Some(words::metadata(dice)),
        2 => room.recording_info = recording_info(dice),
        _ => room.webhook = webhook(dice),
    }
    room.size += 1;
    room.edited_at = Some(time);
}

/// Somebody switches a room on or off.
pub(crate) fn switch(room: &mut Room, time: Time) {
    room.enabled = !room.enabled;
    room.edited_at = Some(time);
}

fn recording_info(dice: &mut Dice) -> Value {
    if dice.chance(0.3) {
        return Value::Null;
    }
    if dice.chance(0.3) {
        return json!({"enabled": false});
    }
    json!({
        "enabled": true,
        "upload_info": {
            "type": dice.pick(&["s3", "gs", "oss"]),
            "location": format!("customer-recordings-{}", dice.hex(6)),
            "prefix": "rooms/%Y/",
            "options": {"region": "eu-central-1"},
            "credentials": {"key": dice.secret("storage-key"), "secret": dice.secret("storage-secret")},
        },
    })
}

fn polls(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => Value::Null,
        1 => json!([dice.hex(24), dice.hex(24)]),
        _ => json!([]),
    }
}

fn webhook(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 | 1 => Value::Null,
        2 => json!({"url": "https://hooks.example.com/100ms", "headers": {}}),
        _ => json!({
            "url": "https://hooks.example.com/100ms?app=1",
            "headers": {
                "Authorization": format!("Bearer {}", dice.secret("webhook")),
                "X-Api-Key": dice.secret("webhook"),
            },
        }),
    }
}
