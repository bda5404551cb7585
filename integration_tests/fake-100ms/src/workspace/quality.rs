//! The quality of calls: what one peer sent and received in one session, track by track.
//!
//! Nothing of it is kept. It is drawn anew from the ids of session and peer whenever somebody asks,
//! so that ten thousand peers cost nothing.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::collection::Collection;
use super::model::{Peer, Session, Time};
use super::random::Random;

/// Some measures of a side and kind of tracks.
type Measures = &'static [&'static str];

/// Side, kind, and what is measured there. Which arrays come depends on both.
const SIDES: [(&str, &str, Measures); 4] = [
    ("publish", "video", &["bitrate", "fps", "packet_loss_percent", "rtt_ms"]),
    ("publish", "audio", &["bitrate", "packet_loss_percent", "rtt_ms", "jitter_ms"]),
    ("subscribe", "video", &["bitrate", "fps", "packet_loss_percent", "jitter_ms", "freeze_count"]),
    ("subscribe", "audio", &["bitrate", "packet_loss_percent", "jitter_ms", "concealed_samples"]),
];

/// A sample each ten seconds, but no more than this of them.
const MOST_SAMPLES: usize = 24;

pub(crate) struct Track {
    /// `publish` or `subscribe`
    pub(crate) direction: &'static str,
    /// `video` or `audio`
    pub(crate) kind: &'static str,
    pub(crate) track_id: Option<String>,
    pub(crate) label: Option<&'static str>,
    /// Which simulcast layer of the track it is.
    pub(crate) rid: Option<&'static str>,
    pub(crate) timestamps: Vec<i64>,
    /// The arrays that come along, nulls and empty ones included.
    pub(crate) series: Vec<(&'static str, Vec<Value>)>,
}

impl Track {
    /// What tells it from all other tracks of the workspace.
    pub(crate) fn key(&self, session: &Session, peer: &Peer) -> String {
        let (track_id, rid) = (self.track_id.as_deref().unwrap_or(""), self.rid.unwrap_or(""));
        format!("{}|{}|{}|{}|{track_id}|{rid}", session.id, peer.id, self.direction, self.kind)
    }
}

/// The time from which on sessions have stats: the latest sessions, with about so many peers.
pub(crate) fn known_since(sessions: &Collection<Session>, peers: usize) -> Option<Time> {
    if peers == 0 {
        return None;
    }
    let (mut counted, mut since) = (0, Time::MAX_UTC);
    for session in sessions.iter().rev().filter(|session| !session.is_live()) {
        if counted >= peers {
            break;
        }
        counted += session.peers.len();
        since = session.created_at;
    }
    Some(since)
}

/// The tracks of a peer; none when nothing is known of it.
pub(crate) fn tracks(seed: u64, since: Option<Time>, varied: bool, session: &Session, peer: &Peer) -> Vec<Track> {
    let is_known = since.is_some_and(|since| session.created_at >= since);
    let mut random = Random::new(seed, &format!("quality {} {}", session.id, peer.id));
    if !is_known || session.is_live() || (varied && random.chance(0.15)) {
        return Vec::new();
    }
    let mut tracks = Vec::new();
    for (direction, kind, measures) in SIDES {
        // Everybody hears somebody, so that nobody who is known has no track at all.
        let count = if (direction, kind) == ("subscribe", "audio") { 1 + random.below(2) } else { random.below(3) };
        for _ in 0..count {
            of_one_track(&mut random, &mut tracks, direction, kind, measures, peer);
        }
    }
    forget_some_ids(&mut random, &mut tracks);
    tracks
}

/// A track that is sent as simulcast comes once for each layer, under the same id.
fn of_one_track(
    random: &mut Random,
    tracks: &mut Vec<Track>,
    direction: &'static str,
    kind: &'static str,
    measures: Measures,
    peer: &Peer,
) {
    let layers: &[Option<&str>] = match (direction, kind) {
        ("publish", "video") if random.chance(0.6) => &[Some("h"), Some("m"), Some("l")],
        _ => &[None],
    };
    let track_id = random.hex(16);
    let label = if kind == "video" { random.pick(&[Some("video"), Some("screen"), None]) } else { Some("audio") };
    for &rid in layers {
        let timestamps = timestamps(random, peer);
        let series = measures.iter().map(|&measure| (measure, series(random, measure, timestamps.len())));
        let mut series: Vec<_> = series.collect();
        if random.chance(0.1) {
            series.pop();
        }
        tracks.push(Track { direction, kind, track_id: Some(track_id.clone()), label, rid, timestamps, series });
    }
}

/// Where a side has only one track of a kind, it may come without an id.
fn forget_some_ids(random: &mut Random, tracks: &mut [Track]) {
    for (direction, kind, _) in SIDES {
        let mut of_side = tracks.iter_mut().filter(|track| (track.direction, track.kind) == (direction, kind));
        if let (Some(only), None) = (of_side.next(), of_side.next())
            && random.chance(0.1)
        {
            only.track_id = None;
        }
    }
}

fn timestamps(random: &mut Random, peer: &Peer) -> Vec<i64> {
    if random.chance(0.08) {
        return Vec::new();
    }
    let left_at = peer.left_at.unwrap_or(peer.joined_at);
    let span = (left_at - peer.joined_at).max(TimeDelta::zero()).num_seconds() as usize;
    let samples = (1 + span / 10).min(1 + random.below(MOST_SAMPLES));
    let first = peer.joined_at.timestamp_millis();
    (0..samples as i64).map(|number| first + number * 10_000).collect()
}

/// As many values as there are samples, some of them null; now and then none, or only nulls.
///
/// Every value is a multiple of 1/4, so that sums are exact in whichever order they are made.
fn series(random: &mut Random, measure: &str, samples: usize) -> Vec<Value> {
    let fate = random.below(20);
    if fate == 0 {
        return Vec::new();
    }
    let value = |random: &mut Random| match measure {
        _ if fate == 1 || random.chance(0.1) => Value::Null,
        "bitrate" => random.within(0..=2_500_000).into(),
        "fps" => json!(random.within(0..=60) as f64 / 2.0),
        "packet_loss_percent" if random.chance(0.7) => json!(0),
        "packet_loss_percent" => json!(random.within(0..=400) as f64 / 4.0),
        "jitter_ms" => json!(random.within(0..=160) as f64 / 4.0),
        "concealed_samples" => random.within(0..=48_000).into(),
        "freeze_count" => random.within(0..=4).into(),
        _ => random.within(1..=900).into(),
    };
    (0..samples).map(|_| value(random)).collect()
}
