//! `sessions` and `active_room_peers`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Expected, entry};
use crate::readings::{PeersShape, Readings};
use crate::times::seconds_between;
use crate::workspace::Workspace;
use crate::workspace::model::{Peer, Session, Time};

pub(super) fn sessions(workspace: &Workspace) -> Vec<Expected> {
    let expect = |session| expect_session(workspace, session);
    workspace.sessions.iter().map(expect).collect()
}

fn expect_session(workspace: &Workspace, session: &Session) -> Expected {
    let readings = &workspace.readings;
    let updated_at = readings.emitted(updated_at(session, readings));
    let (started_at, stopped_at) = (started_at(session, readings), stopped_at(session, readings));
    let record = json!({
        "id": session.id,
        "room_id": session.room_id,
        "customer_id": workspace.account.customer_id,
        "app_id": session.app_id,
        "user_id": session.user_id,
        "active": session.is_live(),
        "created_at": readings.emitted(readings.known_creation(session.id, session.created_at)),
        "updated_at": updated_at,
        "started_at": readings.emitted(started_at),
        "stopped_at": emitted(readings, stopped_at),
        "duration": duration(readings, started_at, stopped_at),
        "ended_at": emitted(readings, session.said_ended_at(readings)),
        "peers": peers(session, readings),
    });
    Expected { key: session.id.to_string(), cursor: Some(updated_at), record }
}

fn emitted(readings: &Readings, time: Option<Time>) -> Option<String> {
    time.map(|time| readings.emitted(time))
}

fn duration(readings: &Readings, start: Time, end: Option<Time>) -> Option<f64> {
    end.map(|end| seconds_between(readings.visible(start), readings.visible(end)))
}

fn updated_at(session: &Session, readings: &Readings) -> Time {
    session.said_updated_at(readings).max(readings.known_creation(session.id, session.created_at))
}

fn started_at(session: &Session, readings: &Readings) -> Time {
    let first = session.peers.iter().map(|peer| peer.joined_at).min();
    first.unwrap_or(readings.known_creation(session.id, session.created_at))
}

/// The end that the API tells, else the last peer's where all are known to have left, else the last time that is
/// known; `None` while live.
pub(super) fn stopped_at(session: &Session, readings: &Readings) -> Option<Time> {
    if session.is_live() {
        return None;
    }
    let left = || session.peers.iter().map(|peer| peer.said_left_at(readings));
    let last_left = left().collect::<Option<Vec<Time>>>().and_then(|left| left.into_iter().max());
    let moves = session.peers.iter().map(|peer| peer.joined_at).chain(left().flatten());
    let last_known = moves.fold(updated_at(session, readings), Time::max);
    let stopped_at = session.said_ended_at(readings).or(last_left).unwrap_or(last_known);
    Some(stopped_at.max(started_at(session, readings)))
}

/// The ids of the session's peers, in their order. Whom the API gives none has one made of what is known: the first
/// half of SHA-256 of session, time of joining and name, and a number where all three are the same.
pub(super) fn peer_ids(session: &Session, readings: &Readings) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(session.peers.len());
    let mut made: BTreeMap<String, u32> = BTreeMap::new();
    for peer in &session.peers {
        if readings.peers != PeersShape::ArrayWithoutIds {
            ids.push(peer.id.to_string());
            continue;
        }
        let parts = format!("{}\n{}\n{}", session.id, readings.emitted(peer.joined_at), peer.name);
        let digest = ring::digest::digest(&ring::digest::SHA256, parts.as_bytes());
        let id: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let count = made.entry(id.clone()).and_modify(|count| *count += 1).or_insert(1);
        ids.push(if *count == 1 { id } else { format!("{id}-{count}") });
    }
    ids
}

/// By the time of joining as it is emitted, then by id.
fn peers(session: &Session, readings: &Readings) -> Vec<Value> {
    let mut peers: Vec<(&Peer, String)> = session.peers.iter().zip(peer_ids(session, readings)).collect();
    peers.sort_by_cached_key(|(peer, id)| (readings.visible(peer.joined_at).timestamp_micros(), id.clone()));
    let record = |(peer, id): (&Peer, String)| {
        let known = json!({
            "id": id,
            "session_id": session.id,
            "name": peer.name,
            "role": peer.role,
            "user_id": peer.user_id,
            "user": peer.user_id.as_ref().filter(|_| peer.has_user),
            "metadata": peer.metadata,
            "joined_at": readings.emitted(peer.joined_at),
            "left_at": emitted(readings, peer.said_left_at(readings)),
            "duration": duration(readings, peer.joined_at, peer.said_left_at(readings)),
        });
        entry(known, readings)
    };
    peers.into_iter().map(record).collect()
}

/// `session_peers`: a record for each peer of each session, which changes when anything in the session does.
pub(super) fn stays(workspace: &Workspace) -> Vec<Expected> {
    workspace.sessions.iter().flat_map(|session| expect_stays(workspace, session)).collect()
}

fn expect_stays(workspace: &Workspace, session: &Session) -> Vec<Expected> {
    let readings = &workspace.readings;
    let updated_at = readings.emitted(updated_at(session, readings));
    let expect = |(peer, id): (&Peer, String)| Expected {
        key: format!("{}|{id}", session.id),
        cursor: Some(updated_at.clone()),
        record: json!({
            "session_id": session.id,
            "room_id": session.room_id,
            "app_id": session.app_id,
            "id": id,
            "name": peer.name,
            "role": peer.role,
            "user_id": peer.user_id,
            "metadata": peer.metadata,
            "joined_at": readings.emitted(peer.joined_at),
            "left_at": emitted(readings, peer.said_left_at(readings)),
            "duration": duration(readings, peer.joined_at, peer.said_left_at(readings)),
            "session_started_at": readings.emitted(started_at(session, readings)),
            "session_stopped_at": emitted(readings, stopped_at(session, readings)),
            "session_active": session.is_live(),
            "updated_at": updated_at,
        }),
    };
    session.peers.iter().zip(peer_ids(session, readings)).map(expect).collect()
}

pub(super) fn active_room_peers(workspace: &Workspace) -> Vec<Expected> {
    let live = workspace.live.iter().map(|&position| &workspace.sessions[position]);
    live.flat_map(|session| {
        let expect = move |peer| expect_active_peer(session, peer, &workspace.readings);
        session.connected().map(expect)
    })
    .collect()
}

fn expect_active_peer(session: &Session, peer: &Peer, readings: &Readings) -> Expected {
    Expected {
        key: peer.id.to_string(),
        cursor: None,
        record: json!({
            "id": peer.id,
            "room_id": session.room_id,
            "session_id": session.id,
            "name": peer.name,
            "role": peer.role,
            "user_id": peer.user_id,
            "metadata": peer.metadata,
            "joined_at": readings.emitted(peer.joined_at),
        }),
    }
}
