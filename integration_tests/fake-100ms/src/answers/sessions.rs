//! Sessions, and the peers of active rooms.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{members, to_json, unknown_fields};
use crate::readings::{InactiveRoom, PeersShape, Readings};
use crate::times::ApiTime;
use crate::workspace::Account;
use crate::workspace::model::{Peer, Session, Time, Uuid};
use crate::workspace::object_id::ObjectId;

impl Session {
    pub(crate) fn said_ended_at(&self, readings: &Readings) -> Option<Time> {
        self.ended_at.filter(|_| readings.ended_at)
    }

    pub(crate) fn said_updated_at(&self, readings: &Readings) -> Time {
        if readings.session_end_moves_updated_at { self.updated_at } else { self.touched_at }
    }
}

/// Typed, not a map: a benchmark has a million of them.
#[derive(Serialize)]
struct SessionAnswer<'a> {
    id: ObjectId,
    #[serde(rename = "_id")]
    duplicate_id: ObjectId,
    room_id: ObjectId,
    customer_id: ObjectId,
    app_id: ObjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Option<&'a str>>,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<Option<Peers<'a>>>,
    created_at: ApiTime,
    updated_at: ApiTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<ApiTime>,
}

pub(crate) fn session(session: &Session, account: &Account, readings: &Readings) -> Vec<u8> {
    let oddity = session.id.scrambled();
    let user_id = session.user_id.as_deref();
    to_json(&SessionAnswer {
        id: session.id,
        duplicate_id: session.id,
        room_id: session.room_id,
        customer_id: account.customer_id,
        app_id: session.app_id,
        user_id: (user_id.is_some() || oddity.is_multiple_of(2)).then_some(user_id),
        active: session.is_live(),
        peers: peers(session, readings, oddity),
        created_at: readings.write(session.created_at),
        updated_at: readings.write(session.said_updated_at(readings)),
        ended_at: session.said_ended_at(readings).map(|time| readings.write(time)),
    })
}

/// A session without peers says so in one of three ways.
fn peers<'a>(session: &'a Session, readings: &'a Readings, oddity: u64) -> Option<Option<Peers<'a>>> {
    let peers = Peers { session, readings };
    match oddity % 4 {
        0 if session.peers.is_empty() => None,
        1 if session.peers.is_empty() => Some(None),
        _ => Some(Some(peers)),
    }
}

struct Peers<'a> {
    session: &'a Session,
    readings: &'a Readings,
}

impl Serialize for Peers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let peers = &self.session.peers;
        match self.readings.peers {
            PeersShape::Object => {
                let mut map = serializer.serialize_map(Some(peers.len()))?;
                for peer in peers {
                    let entry = self.entry(peer, peer.repeats_id.then_some(peer.id));
                    if self.readings.unknown_entry_fields {
                        map.serialize_entry(&peer.id, &with_unknown_fields(&entry))?
                    } else {
                        map.serialize_entry(&peer.id, &entry)?
                    }
                }
                map.end()
            }
            PeersShape::Array | PeersShape::ArrayWithoutIds => {
                let mut array = serializer.serialize_seq(Some(peers.len()))?;
                for peer in peers {
                    // Without a key to tell it, the id is inside, if it is told at all.
                    let id = (self.readings.peers == PeersShape::Array).then_some(peer.id);
                    let entry = self.entry(peer, id);
                    if self.readings.unknown_entry_fields {
                        array.serialize_element(&with_unknown_fields(&entry))?
                    } else {
                        array.serialize_element(&entry)?
                    }
                }
                array.end()
            }
        }
    }
}

/// Apart, as the plain case is written a million times.
#[expect(clippy::expect_used, reason = "text keys always make JSON")]
fn with_unknown_fields(entry: &PeerAnswer) -> Map<String, Value> {
    let mut fields = members(serde_json::to_value(entry).expect("JSON"));
    fields.extend(unknown_fields());
    fields
}

#[derive(Serialize)]
struct PeerAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    session_id: ObjectId,
    name: &'a str,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    joined_at: ApiTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_at: Option<ApiTime>,
}

impl Peers<'_> {
    fn entry<'p>(&self, peer: &'p Peer, id: Option<Uuid>) -> PeerAnswer<'p> {
        PeerAnswer {
            id,
            session_id: self.session.id,
            name: &peer.name,
            role: peer.role,
            user_id: peer.user_id.as_deref(),
            user: peer.user_id.as_deref().filter(|_| peer.has_user),
            metadata: peer.metadata.as_deref(),
            joined_at: self.readings.write(peer.joined_at),
            left_at: peer.left_at.map(|time| self.readings.write(time)),
        }
    }
}

/// `/v2/active-rooms/{room_id}`
pub(crate) fn active_room(session: &Session, name: &str, account: &Account, readings: &Readings) -> Vec<u8> {
    let peers: Vec<Uuid> = session.connected().map(|peer| peer.id).collect();
    to_json(&json!({
        "id": session.room_id,
        "name": name,
        "customer_id": account.customer_id,
        "session": {
            "id": session.id,
            "created_at": readings.write(session.created_at),
            "peers": peers,
        },
    }))
}

/// `/v2/active-rooms/{room_id}/peers`: of the peers that `wanted` lets through.
///
/// `None` is a 404. A live session in which nobody is any more answers like a room without one.
pub(crate) fn active_peers(
    session: Option<&Session>,
    readings: &Readings,
    wanted: impl Fn(&Peer) -> bool,
) -> Option<Vec<u8>> {
    let connected: Vec<&Peer> = session.into_iter().flat_map(Session::connected).collect();
    if connected.is_empty() {
        return match readings.inactive_room {
            InactiveRoom::NotFound => None,
            InactiveRoom::EmptyPeers => Some(to_json(&json!({"peers": empty(readings)}))),
            InactiveRoom::NullPeers => Some(to_json(&json!({"peers": null}))),
        };
    }
    let entries = connected.into_iter().filter(|peer| wanted(peer));
    let entries = entries.map(|peer| (peer.id.to_string(), active_peer(peer, readings)));
    let peers = match readings.peers {
        PeersShape::Object => Value::Object(entries.collect()),
        PeersShape::Array | PeersShape::ArrayWithoutIds => Value::Array(entries.map(|(_, peer)| peer).collect()),
    };
    Some(to_json(&json!({"peers": peers})))
}

fn empty(readings: &Readings) -> Value {
    match readings.peers {
        PeersShape::Object => json!({}),
        PeersShape::Array | PeersShape::ArrayWithoutIds => json!([]),
    }
}

fn active_peer(peer: &Peer, readings: &Readings) -> Value {
    let mut answer = json!({
        "id": peer.id,
        "name": peer.name,
        "role": peer.role,
        "joined_at": readings.write(peer.joined_at),
    });
    if let Some(user_id) = &peer.user_id {
        answer["user_id"] = (**user_id).into();
    }
    if let Some(metadata) = &peer.metadata {
        answer["metadata"] = (**metadata).into();
    }
    answer
}
