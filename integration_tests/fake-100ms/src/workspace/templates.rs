//! Templates: roles, settings and recording configurations, and how they change.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::calendar::Calendar;
use super::destinations;
use super::model::{Destinations, NoDestinations, Template, Time};
use super::object_id::{IdMint, ObjectId};
use super::random::Random;
use super::words;

/// The templates of a new workspace.
pub(crate) fn all(
    random: &mut Random,
    mint: &mut IdMint,
    calendar: &Calendar,
    apps: &[ObjectId],
    count: usize,
) -> Vec<Template> {
    let times = calendar.times(random, count);
    let template = |(number, &created_at): (usize, &Time)| {
        let id = mint.next(created_at);
        let mut template = one(random, id, number, created_at, apps);
        if random.chance(0.5) {
            let a_while = created_at + TimeDelta::days(60);
            let latest = a_while.min(calendar.within_hours(random, 0, 72));
            template.updated_at = random.time_between(created_at, latest.max(created_at));
        }
        template
    };
    times.iter().enumerate().map(template).collect()
}

/// The first one has every kind of destination; the next three have none, each said otherwise.
pub(crate) fn one(random: &mut Random, id: ObjectId, number: usize, created_at: Time, apps: &[ObjectId]) -> Template {
    let destinations = match number {
        0 => destinations::of_every_kind(random),
        1..=3 => Destinations::default(),
        _ => destinations::some(random),
    };
    const NONE: [NoDestinations; 3] = [NoDestinations::Null, NoDestinations::Empty, NoDestinations::Absent];
    Template {
        id,
        name: words::topic(random, number),
        default: number == 4,
        app_id: random.chance(0.7).then(|| random.pick(apps)),
        roles: roles(random),
        settings: settings(random, number),
        destinations,
        no_destinations: NONE[(number + 2) % 3],
        recordings: destinations::recording_configurations(random, number),
        plugins: plugins(random),
        created_at,
        updated_at: created_at,
    }
}

/// Somebody changes a template: its name, its settings or a destination.
pub(crate) fn edit(random: &mut Random, template: &mut Template, number: usize, time: Time) {
    match random.below(4) {
        0 => template.name = words::topic(random, number),
        1 => template.settings = settings(random, number),
        2 => destinations::add(random, &mut template.destinations),
        _ => destinations::remove(random, &mut template.destinations),
    }
    template.updated_at = time;
}

fn roles(random: &mut Random) -> Value {
    let mut roles = Map::new();
    for position in random.choose(words::ROLES.len(), 3) {
        let name = words::ROLES[position];
        roles.insert(name.to_owned(), role(random, name));
    }
    Value::Object(roles)
}

fn role(random: &mut Random, name: &str) -> Value {
    json!({
        "name": name,
        "priority": random.within(1..=10),
        "publishParams": {
            "allowed": ["audio", "video", "screen"],
            "audio": {"bitRate": 32, "codec": "opus"},
            "video": {"bitRate": 300, "codec": "vp8", "frameRate": 30, "width": 480, "height": 360},
            "simulcast": {},
        },
        "subscribeParams": {"subscribeToRoles": words::ROLES, "maxSubsBitRate": 3200},
        "permissions": {"endRoom": random.chance(0.3), "mute": true, "hlsStreaming": random.chance(0.5)},
    })
}

/// Storage for recordings comes in every stage of having been set up.
fn settings(random: &mut Random, number: usize) -> Value {
    let mut settings = json!({
        "region": random.pick(words::REGIONS),
        "roomState": {"messageInterval": 10, "sendPeerList": true, "enabled": random.chance(0.5)},
        "retry": {},
        "subscribeDegradation": {"packetLossThreshold": 25, "degradeGracePeriodSeconds": 1},
    });
    match number % 6 {
        0 | 4 => settings["recording"] = json!({"enabled": true, "upload": upload(random)}),
        1 => settings["recording"] = json!({"enabled": false, "upload": null}),
        2 => settings["recording"] = Value::Null,
        3 => settings["recording"] = json!({"enabled": true}),
        _ if number == 5 => settings = json!({}),
        _ => {}
    }
    settings
}

fn upload(random: &mut Random) -> Value {
    json!({
        "type": "s3",
        "location": format!("template-recordings-{}", random.hex(6)),
        "prefix": "/archive",
        "options": {"region": "ap-south-1"},
        "credentials": {"key": random.secret("storage-key"), "secretKey": random.secret("storage-secret")},
    })
}

fn plugins(random: &mut Random) -> Value {
    match random.below(3) {
        0 => Value::Null,
        1 => json!({}),
        _ => json!({"whiteboard": {"permissions": {"admin": ["host"], "reader": ["guest"]}}}),
    }
}
