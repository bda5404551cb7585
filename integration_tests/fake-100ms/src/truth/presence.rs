//! Joins and leaves among the `analytics_events`: two for each peer of a session, as far as they lie within the
//! same 30 days as the events of the API.

use serde_json::{Map, Value, json};

use super::Expected;
use super::mask::masked;
use super::sessions::peer_ids;
use crate::readings::{PeersShape, Readings};
use crate::workspace::Workspace;
use crate::workspace::events::KEPT;
use crate::workspace::model::{Peer, Session, Time};

pub(super) fn joins_and_leaves(workspace: &Workspace) -> Vec<Expected> {
    let earliest = workspace.now - KEPT;
    let sessions = workspace.sessions.iter();
    let peers = sessions.flat_map(|session| {
        let ids = peer_ids(session, &workspace.readings);
        session.peers.iter().zip(ids).map(move |(peer, id)| (session, peer, id))
    });
    let moves = peers.flat_map(|(session, peer, id)| {
        let join = Some(("peer.join", "join", peer.joined_at));
        let leave = peer.left_at.map(|time| ("peer.leave", "leave", time));
        let moves = [join, leave].into_iter().flatten().filter(|(_, _, time)| *time >= earliest);
        let of_whom = (session, peer, &*id);
        let expect = |(kind, suffix, time)| expect_move(&workspace.readings, of_whom, (kind, suffix), time);
        moves.map(expect).collect::<Vec<_>>()
    });
    moves.collect()
}

fn expect_move(
    readings: &Readings,
    (session, peer, peer_id): (&Session, &Peer, &str),
    (kind, suffix): (&str, &str),
    time: Time,
) -> Expected {
    let id = format!("{peer_id}.{suffix}");
    let time = readings.emitted(time);
    let record = json!({
        "id": id,
        "type": kind,
        "version": null,
        "created_at": time,
        "timestamp": time,
        "session_id": session.id,
        "peer_id": peer_id,
        "room_id": session.room_id,
        "user_id": peer.user_id,
        "source": "sessions",
        "data": masked(&entry(readings, session, peer)),
    });
    Expected { key: id, cursor: Some(time), record }
}

/// The peer as the list of sessions shows it: times as the API writes them, and no more fields than it has.
fn entry(readings: &Readings, session: &Session, peer: &Peer) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    let is_told = match readings.peers {
        PeersShape::Object => peer.repeats_id,
        PeersShape::Array => true,
        PeersShape::ArrayWithoutIds => false,
    };
    if is_told {
        put("id", peer.id.to_string().into());
    }
    put("session_id", session.id.into());
    put("name", (*peer.name).into());
    put("role", peer.role.into());
    if let Some(user_id) = peer.user_id.as_deref() {
        put("user_id", user_id.into());
        if peer.has_user {
            put("user", user_id.into());
        }
    }
    if let Some(metadata) = peer.metadata.as_deref() {
        put("metadata", metadata.into());
    }
    put("joined_at", readings.write(peer.joined_at).into());
    if let Some(left_at) = peer.left_at {
        put("left_at", readings.write(left_at).into());
    }
    super::entry(Value::Object(entry), readings)
}
