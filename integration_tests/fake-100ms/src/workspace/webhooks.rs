//! Webhook deliveries: what 100ms told the workspace's own server, and whether it got there.
//!
//! A busy workspace has hundreds of thousands in a month. So only what refers to other objects is
//! kept of a delivery; everything else is drawn from its own seed whenever somebody asks.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::calendar::Calendar;
use super::collection::Collection;
use super::model::{Peer, Session, Time, Uuid};
use super::random::Random;
use super::words;

/// The API answers no older ones.
pub(crate) const KEPT: TimeDelta = TimeDelta::days(30);

/// The events of the history, under the names that the documents give or hint at.
pub(crate) const KINDS: [&str; 8] = [
    "peer.join.success",
    "peer.leave.success",
    "session.open.success",
    "session.close.success",
    "recording.success",
    "beam.recording.success",
    "transcription.started.success",
    "hls.started.success",
];

/// How the deliveries themselves are called. The documents show only the one that failed.
pub(crate) const SUCCEEDED: &str = "reporter.webhook.delivery.success";
pub(crate) const FAILED: &str = "reporter.webhook.delivery.failed";

#[derive(Clone)]
pub(crate) struct Delivery {
    seed: u64,
    /// When that happened of which the webhook was told.
    pub(crate) time: Time,
    pub(crate) failed: bool,
    kind: u8,
    /// Its position: sessions are never taken away.
    session: u32,
    peer: Option<Uuid>,
}

/// All there is to say of a delivery.
pub(crate) struct Details<'a> {
    pub(crate) id: Uuid,
    pub(crate) session: &'a Session,
    pub(crate) url: &'a str,
    pub(crate) error_reason: Option<String>,
    pub(crate) data: Value,
}

impl Delivery {
    pub(crate) fn kind(&self) -> &'static str {
        KINDS[usize::from(self.kind)]
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.failed { FAILED } else { SUCCEEDED }
    }

    pub(crate) fn id(&self) -> Uuid {
        Uuid(Random::new(self.seed, "delivery").uuid())
    }

    /// The attempts before this one, the last first: how long before it each was made.
    pub(crate) fn earlier_attempts(&self) -> impl Iterator<Item = TimeDelta> {
        // The waits between them are 1, 3 and 10 s.
        let before = match Random::new(self.seed, "attempts").below(6) {
            0 => [10, 13, 14].as_slice(),
            1 => &[3, 4],
            2 => &[1],
            _ => &[],
        };
        before.iter().map(|seconds| TimeDelta::seconds(*seconds))
    }

    /// The same event, delivered again at `time`.
    pub(crate) fn replayed(&self, time: Time, failed: bool) -> Delivery {
        Delivery { time, failed, ..self.clone() }
    }

    /// What it is about.
    pub(crate) fn session<'a>(&self, sessions: &'a Collection<Session>) -> &'a Session {
        &sessions[self.session as usize]
    }

    fn peer<'a>(&self, session: &'a Session) -> Option<&'a Peer> {
        session.peers.iter().find(|peer| Some(peer.id) == self.peer)
    }
}

/// Deliveries in the order of their times, and where they went.
pub(crate) struct DeliveryLog {
    deliveries: Vec<Delivery>,
    pub(crate) hooks: Hooks,
}

/// What the account has set up, made once: the secrets in it are the same in every delivery.
#[derive(Default)]
pub(crate) struct Hooks {
    urls: Vec<String>,
    meeting_tokens: Vec<String>,
    stream_keys: Vec<String>,
}

impl Hooks {
    pub(crate) fn new(random: &mut Random) -> Hooks {
        let urls = vec![
            format!("https://hooks.example.com/100ms/{}", random.secret("hook")),
            format!("https://api.example.org:8443/in?app=7&key={}", random.secret("hook")),
            format!("https://robot:{}@inbox.example.net/100ms", random.secret("hook")),
            "https://plain.example.com".to_owned(),
        ];
        let secrets = |random: &mut Random, what: &str| (0..8).map(|_| random.secret(what)).collect();
        Hooks { urls, meeting_tokens: secrets(random, "meeting"), stream_keys: secrets(random, "stream") }
    }
}

impl DeliveryLog {
    pub(crate) fn new(hooks: Hooks) -> DeliveryLog {
        DeliveryLog { deliveries: Vec::new(), hooks }
    }

    /// Puts deliveries in their places; late ones come between those that are there.
    pub(crate) fn add(&mut self, mut more: Vec<Delivery>) {
        self.deliveries.append(&mut more);
        // Nearly sorted: the stable sort of the standard library takes little more than a look.
        self.deliveries.sort_by_key(|delivery| delivery.time);
    }

    /// In the order of their times.
    pub(crate) fn all(&self) -> &[Delivery] {
        &self.deliveries
    }

    pub(crate) fn details<'a>(&'a self, delivery: &Delivery, sessions: &'a Collection<Session>) -> Details<'a> {
        let mut random = Random::new(delivery.seed, "details");
        let session = delivery.session(sessions);
        let url: &str = &self.hooks.urls[random.below(self.hooks.urls.len())];
        let reasons = [
            "timeout awaiting response headers".to_owned(),
            "status 500: \"internal\u{2028}error\"".to_owned(),
            "no such host".to_owned(),
            format!("Post \"{url}\": context deadline exceeded"),
        ];
        Details {
            id: delivery.id(),
            session,
            url,
            error_reason: delivery.failed.then(|| reasons[random.below(reasons.len())].clone()),
            data: data(&mut random, delivery, session, &self.hooks),
        }
    }
}

/// What an event tells, by its kind.
fn data(random: &mut Random, delivery: &Delivery, session: &Session, hooks: &Hooks) -> Value {
    let peer = delivery.peer(session);
    let mut data = json!({
        "session_id": session.id,
        "room_name": words::person(random),
        "app_id": session.app_id,
        "reported_at": "2025-06-01T10:00:00.123456789Z",
    });
    if random.chance(0.9) {
        data["room_id"] = session.room_id.into();
    }
    match delivery.kind().split('.').next() {
        Some("peer") => of_peer(random, &mut data, delivery, peer),
        Some("recording" | "beam") => of_recording(random, &mut data, hooks),
        Some("session") => data["session_started_at"] = session.created_at.to_rfc3339().into(),
        _ => data["started_by"] = Value::Null,
    }
    data
}

fn of_peer(random: &mut Random, data: &mut Value, delivery: &Delivery, peer: Option<&Peer>) {
    data["peer_id"] = match peer {
        Some(peer) => peer.id.to_string().into(),
        None => random.hex(24).into(),
    };
    data["user_id"] = peer.and_then(|peer| peer.user_id.as_deref()).into();
    data["user_name"] = peer.map_or("", |peer| &peer.name).into();
    data["role"] = peer.map_or("guest", |peer| peer.role).into();
    if delivery.kind() == "peer.leave.success" {
        data["reason"] = random.pick(&["user request", "kicked out", "ICE disconnected\u{2029}", ""]).into();
        data["duration"] = random.within(0..=43_200).into();
    }
}

fn of_recording(random: &mut Random, data: &mut Value, hooks: &Hooks) {
    data["recording_id"] = random.hex(24).into();
    data["size"] = random.within(1 << 20..=1 << 36).into();
    data["meeting_url"] =
        format!("https://demo.app.100ms.live/beam?token={}", pick(random, &hooks.meeting_tokens)).into();
    if random.chance(0.5) {
        let url = format!("rtmp://a.rtmp.example.com/live2/{}", pick(random, &hooks.stream_keys));
        data["rtmp"] = json!([{"url": url, "status": "started"}]);
    }
}

fn pick<'a>(random: &mut Random, secrets: &'a [String]) -> &'a str {
    &secrets[random.below(secrets.len())]
}

/// Makes deliveries of the sessions there are.
pub(crate) struct DeliveryMaker<'a> {
    pub(crate) sessions: &'a Collection<Session>,
}

impl DeliveryMaker<'_> {
    /// The deliveries of a new workspace: one in fifty is too old to be answered.
    pub(crate) fn all(&self, random: &mut Random, calendar: &Calendar, count: usize) -> Vec<Delivery> {
        if self.sessions.len() == 0 {
            return Vec::new();
        }
        let time = |random: &mut Random, number: usize| match number % 50 {
            0 => calendar.within_hours(random, 24 * 31, 24 * 60),
            1..=4 => calendar.within_hours(random, 0, 13),
            // Nothing lies on the border of what is answered: a client needs a margin there.
            _ => calendar.within_hours(random, 13, 24 * 29),
        };
        (0..count)
            .map(|number| {
                let time = time(random, number);
                self.one(random, time)
            })
            .collect()
    }

    /// A delivery about a session that had begun by then.
    pub(crate) fn one(&self, random: &mut Random, time: Time) -> Delivery {
        let begun = self.sessions.created_within(None, Some(time), |time| time).end;
        let latest = begun.saturating_sub(1);
        let position = latest.saturating_sub(random.below(20));
        let kind = random.below(2 * KINDS.len()) % KINDS.len();
        // Half of what happens in a session are joins and leaves.
        let kind = if random.chance(0.4) { kind % 2 } else { kind };
        let peers = &self.sessions[position].peers;
        let peer = peers.get(random.below(peers.len())).map(|peer| peer.id);
        Delivery {
            seed: random.number(),
            time,
            failed: random.chance(0.2),
            kind: kind as u8,
            session: position as u32,
            peer: peer.filter(|_| kind < 2),
        }
    }
}
