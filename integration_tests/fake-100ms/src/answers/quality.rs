//! The quality of one peer's call.

use serde_json::{Map, Value, json};

use super::{members, to_json};
use crate::workspace::model::Session;
use crate::workspace::quality::Track;

/// `/v2/analytics/peer-stats`; without tracks, the answer that says there is nothing, by empty lists or by nulls.
pub(crate) fn peer_stats(session: &Session, peer_id: &str, tracks: &[Track], has_nulls: bool) -> Vec<u8> {
    to_json(&json!({
        "peer_id": peer_id,
        "session_id": session.id,
        "room_id": session.room_id,
        "publisher": side(tracks, "publish", has_nulls),
        "subscriber": side(tracks, "subscribe", has_nulls),
    }))
}

fn side(tracks: &[Track], direction: &str, has_nulls: bool) -> Value {
    let of_kind = |kind: &str| {
        let of_kind = tracks.iter().filter(|track| track.direction == direction && track.kind == kind);
        let of_kind: Vec<Value> = of_kind.map(track).collect();
        if of_kind.is_empty() && has_nulls { Value::Null } else { of_kind.into() }
    };
    json!({"video": of_kind("video"), "audio": of_kind("audio")})
}

fn track(track: &Track) -> Value {
    let mut fields = members(json!({"track_id": track.track_id, "type": track.label, "rid": track.rid}));
    // Tracks without layers have no `rid`, and what has no id does not say so.
    fields.retain(|key, value| key == "type" || !value.is_null());
    let mut time_series = Map::new();
    time_series.insert("timestamps".to_owned(), json!(track.timestamps));
    for (measure, values) in &track.series {
        time_series.insert((*measure).to_owned(), Value::from(values.clone()));
    }
    fields.insert("time_series".to_owned(), Value::Object(time_series));
    Value::Object(fields)
}
