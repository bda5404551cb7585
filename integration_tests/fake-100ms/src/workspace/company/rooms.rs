//! The company's templates and rooms.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::people::TUTORS;
use crate::workspace::collection::Collection;
use crate::workspace::model::{Destinations, NoDestinations, Room, Template, Time};
use crate::workspace::object_id::{IdMint, ObjectId};
use crate::workspace::random::Random;

/// What a room is for, and so what its calls are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lesson,
    Group,
    Webinar,
    Support,
    /// Switched off: nobody gets in any more.
    Closed,
}

/// The first rooms are the tutors' own.
pub(super) const LESSONS: usize = TUTORS.len();

/// The rooms behind those: name, purpose, template.
const OTHERS: [(&str, Kind, usize); 11] = [
    ("Study group: algebra", Kind::Group, 1),
    ("Study group: essay writing", Kind::Group, 1),
    ("Study group: mechanics", Kind::Group, 1),
    ("Study group: Spanish conversation", Kind::Group, 1),
    ("Webinar: preparing for exams", Kind::Webinar, 2),
    ("Webinar: learning to learn", Kind::Webinar, 2),
    ("Parents' evening", Kind::Webinar, 2),
    ("Support desk 1", Kind::Support, 3),
    ("Support desk 2", Kind::Support, 3),
    ("Support desk 3", Kind::Support, 3),
    ("Summer course (closed)", Kind::Closed, 1),
];

/// How many rooms the timetable knows.
pub(super) const ROOMS: usize = LESSONS + OTHERS.len();

pub(super) fn kind(room: usize) -> Kind {
    room.checked_sub(LESSONS).and_then(|other| OTHERS.get(other)).map_or(Kind::Lesson, |(_, kind, _)| *kind)
}

/// Whether a room's calls are to be recorded: of the tutors, every second one wants that.
pub(super) fn is_recorded(room: usize) -> bool {
    match kind(room) {
        Kind::Lesson => room.is_multiple_of(2),
        Kind::Group | Kind::Webinar => true,
        Kind::Support | Kind::Closed => false,
    }
}

/// Name, the roles of hosts and guests, and whether calls are recorded unless the room says otherwise.
const TEMPLATES: [(&str, &str, &str, bool); 4] = [
    ("One-to-one lesson", "tutor", "student", false),
    ("Study group", "tutor", "student", true),
    ("Webinar", "host", "attendee", true),
    ("Support call", "agent", "customer", false),
];

/// The roles of hosts and guests.
pub(super) fn roles(kind: Kind) -> (&'static str, &'static str) {
    let (_, host, guest, _) = match kind {
        Kind::Lesson => TEMPLATES[0],
        Kind::Group | Kind::Closed => TEMPLATES[1],
        Kind::Webinar => TEMPLATES[2],
        Kind::Support => TEMPLATES[3],
    };
    (host, guest)
}

pub(super) fn templates(random: &mut Random, mint: &mut IdMint, apps: &[ObjectId], now: Time) -> Collection<Template> {
    let made = TEMPLATES.iter().enumerate().map(|(number, &(name, host, guest, is_recorded))| {
        let created_at = now - TimeDelta::days(560 - 7 * number as i64) + random.seconds(0..=20_000);
        let role = |name: &str, is_host: bool| {
            json!({
                "name": name,
                "priority": if is_host { 1 } else { 2 },
                "publishParams": {"allowed": ["audio", "video", "screen"]},
                "subscribeParams": {"subscribeToRoles": [host, guest]},
                "permissions": {"endRoom": is_host, "mute": is_host, "browserRecording": is_host},
            })
        };
        let mut destinations = Destinations::default();
        if is_recorded {
            let config = json!({"name": "recording", "role": host, "width": 1280, "height": 720, "maxDuration": 7200});
            destinations.browser_recordings.insert("recording".to_owned(), config);
        }
        Template {
            id: mint.next(created_at),
            name: name.to_owned(),
            default: number == 0,
            app_id: apps.first().copied(),
            roles: json!({host: role(host, true), guest: role(guest, false)}),
            settings: json!({
                "region": "eu",
                "recording": {"enabled": is_recorded, "upload": upload(random, "secretKey")},
                "roomState": {"messageInterval": 10, "sendPeerList": true, "enabled": true},
                "retry": {},
                "subscribeDegradation": {"packetLossThreshold": 25, "degradeGracePeriodSeconds": 1},
            }),
            destinations,
            no_destinations: NoDestinations::Empty,
            recordings: Vec::new(),
            plugins: json!({}),
            created_at,
            updated_at: created_at + TimeDelta::days(30 * number as i64) + random.seconds(0..=9_000),
        }
    });
    Collection::new(made.collect())
}

fn upload(random: &mut Random, secret: &str) -> Value {
    json!({
        "type": "s3",
        "location": "tutoring-recordings",
        "prefix": "recordings",
        "options": {"region": "eu-central-1"},
        "credentials": {"key": random.secret("storage-key"), secret: random.secret("storage-secret")},
    })
}

pub(super) fn all(
    random: &mut Random,
    mint: &mut IdMint,
    apps: &[ObjectId],
    templates: &Collection<Template>,
    now: Time,
) -> Collection<Room> {
    let made = (0..ROOMS).map(|number| {
        let created_at = now - TimeDelta::days(500 - 12 * number as i64) + random.seconds(0..=20_000);
        let (name, region, template) = match OTHERS.get(number.wrapping_sub(LESSONS)) {
            Some((name, _, template)) => ((*name).to_owned(), "eu", *template),
            None => (own_room(&TUTORS[number]), TUTORS[number].2, 0),
        };
        let app = apps[usize::from(kind(number) == Kind::Support) % apps.len()];
        let id = mint.next(created_at);
        let mut room = one(random, id, (name, region), app, &templates[template], created_at);
        room.enabled = kind(number) != Kind::Closed;
        room.recording_info["enabled"] = is_recorded(number).into();
        (room.large_room, room.size) = match kind(number) {
            Kind::Webinar => (true, 500),
            Kind::Group | Kind::Closed => (false, 12),
            Kind::Lesson | Kind::Support => (false, 4),
        };
        let days = TimeDelta::days(3 + 11 * (number as i64 % 7));
        room.edited_at = (number % 3 == 1).then(|| now - days + random.seconds(0..=20_000));
        room
    });
    Collection::new(made.collect())
}

fn one(
    random: &mut Random,
    id: ObjectId,
    (name, region): (String, &'static str),
    app_id: ObjectId,
    template: &Template,
    created_at: Time,
) -> Room {
    Room {
        id,
        name,
        enabled: true,
        description: None,
        app_id,
        recording_source_template: false,
        enabled_source_template: false,
        recording_info: json!({"enabled": false, "upload_info": upload(random, "secret")}),
        template_id: Some(template.id),
        template_name: Some(template.name.clone()),
        region,
        large_room: false,
        size: 4,
        max_duration_seconds: 7200,
        polls: json!([]),
        webhook: Value::Null,
        created_at,
        edited_at: None,
    }
}

fn own_room((tutor, subject, _): &(&str, &str, &str)) -> String {
    format!("{subject} with {tutor}")
}

/// The room of a tutor who starts now, made from the same template as `like`.
pub(super) fn of_newcomer(
    random: &mut Random,
    newcomer: &(&str, &str, &'static str),
    like: &Room,
    id: ObjectId,
    created_at: Time,
) -> Room {
    let recording_info = json!({"enabled": false, "upload_info": upload(random, "secret")});
    let (name, region) = (own_room(newcomer), newcomer.2);
    Room { id, name, region, recording_info, created_at, edited_at: None, ..like.clone() }
}

/// A tutor's room says for whom it is.
pub(super) fn renamed(name: &str, round: u64) -> String {
    const FOR: [&str; 3] = ["exam class", "beginners", "advanced"];
    let base = name.split_once(" (").map_or(name, |(base, _)| base);
    format!("{base} ({})", FOR[(round as usize + round as usize / LESSONS) % FOR.len()])
}

/// What a call must know of its room.
pub(super) struct Place {
    pub(super) id: ObjectId,
    pub(super) name: String,
    pub(super) app_id: ObjectId,
    /// The page that a recorder opens.
    pub(super) meeting_url: String,
}
