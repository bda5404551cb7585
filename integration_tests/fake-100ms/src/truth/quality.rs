//! `peer_quality`: a record for each track, direction and simulcast layer.

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::Expected;
use super::sessions::stopped_at;
use crate::readings::PeersShape;
use crate::times::to_microseconds;
use crate::workspace::Workspace;
use crate::workspace::model::{Peer, Session};
use crate::workspace::quality::Track;

/// All that are measured anywhere. A track has some of them; the columns of the others are null.
const MEASURES: [&str; 7] =
    ["bitrate", "fps", "packet_loss_percent", "rtt_ms", "jitter_ms", "freeze_count", "concealed_samples"];

pub(super) fn records(workspace: &Workspace) -> Vec<Expected> {
    // Nobody can be asked for under an id that the API does not tell.
    if workspace.readings.peers == PeersShape::ArrayWithoutIds {
        return Vec::new();
    }
    let known = workspace.sessions.created_within(workspace.stats_since, None, |time| time);
    let sessions = known.map(|position| &workspace.sessions[position]);
    let ended = sessions.filter(|session| !session.is_live());
    ended.flat_map(|session| of_session(workspace, session)).collect()
}

fn of_session(workspace: &Workspace, session: &Session) -> Vec<Expected> {
    let ended_at = stopped_at(session, &workspace.readings).map(|time| workspace.readings.emitted(time));
    let expect = |peer: &Peer| {
        let tracks = workspace.tracks(session, peer);
        tracks.into_iter().map(|track| expect_track(session, peer, &track, ended_at.clone())).collect::<Vec<_>>()
    };
    session.peers.iter().flat_map(expect).collect()
}

fn expect_track(session: &Session, peer: &Peer, track: &Track, ended_at: Option<String>) -> Expected {
    let track_id = track.track_id.as_deref().unwrap_or("");
    let rid = track.rid.unwrap_or("");
    let mut record = json!({
        "session_id": session.id,
        "peer_id": peer.id,
        "room_id": session.room_id,
        "direction": track.direction,
        "kind": track.kind,
        "track_id": track_id,
        "type": track.label,
        "rid": rid,
        "session_ended_at": ended_at,
        "started_at": track.timestamps.first().and_then(|&time| at(time)),
        "stopped_at": track.timestamps.last().and_then(|&time| at(time)),
        "samples": track.timestamps.len(),
        "time_series": time_series(track),
    });
    for measure in MEASURES {
        let values = track.series.iter().find(|(name, _)| *name == measure);
        let values = values.map(|(_, values)| values.iter().filter_map(Value::as_f64).collect());
        let summary = Summary::of(values.unwrap_or_default());
        record[format!("{measure}_mean")] = json!(summary.map(|summary| summary.mean));
        record[format!("{measure}_min")] = json!(summary.map(|summary| summary.min));
        record[format!("{measure}_max")] = json!(summary.map(|summary| summary.max));
        record[format!("{measure}_p95")] = json!(summary.map(|summary| summary.p95));
    }
    Expected { key: track.key(session, peer), cursor: ended_at, record }
}

fn at(milliseconds: i64) -> Option<String> {
    DateTime::from_timestamp_millis(milliseconds).map(to_microseconds)
}

fn time_series(track: &Track) -> Value {
    let series = track.series.iter().map(|(name, values)| ((*name).to_owned(), Value::from(values.clone())));
    let timestamps = ("timestamps".to_owned(), json!(track.timestamps));
    Value::Object(series.chain([timestamps]).collect::<Map<_, _>>())
}

/// What is said of the values of one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    mean: f64,
    min: f64,
    max: f64,
    /// By nearest rank: the smallest value with at least 95 % of the values at or below it.
    p95: f64,
}

impl Summary {
    /// Nulls have been left out. Of nothing, nothing can be said.
    fn of(mut values: Vec<f64>) -> Option<Summary> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let enough = |value: &&f64| {
            let at_or_below = values.iter().filter(|other| *other <= *value).count();
            at_or_below * 100 >= values.len() * 95
        };
        let p95 = *values.iter().find(enough)?;
        Some(Summary { mean, min, max, p95 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        let p95 = |count: u32| Summary::of((1..=count).map(f64::from).collect()).map(|summary| summary.p95);
        assert_eq!(p95(0), None);
        assert_eq!(p95(1), Some(1.0));
        assert_eq!(p95(19), Some(19.0));
        assert_eq!(p95(20), Some(19.0));
        assert_eq!(p95(100), Some(95.0));
    }

    #[test]
    fn mean_and_extremes_are_of_the_values_alone() {
        let summary = Summary::of(vec![3.0, 1.0, 0.5]);
        assert_eq!(summary, Some(Summary { mean: 1.5, min: 0.5, max: 3.0, p95: 3.0 }));
    }
}
