//! `active_room_peers`: who is in a room right now.
//!
//! - **Source:** `/v2/sessions?active=true` names the rooms that are live and their session; only those
//!   are asked for their peers, `/v2/active-rooms/{room}/peers`. Nobody pays a request for an empty room.
//! - **Cursor:** none. This is a picture of the moment: read whole each time, `start_date` or not.
//! - **Open in the reference:** what a room answers that was left since the list was read: 404 and an
//!   empty answer both mean that nobody is in.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, try_join_all};

use super::record::record;
use super::values::{Text, id, optional_time, text};
use super::{
    Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{ListFilter, Peer};

record! {
    /// Somebody who is in a room right now.
    ActivePeerRecord {
        /// Unique id of the peer.
        id: Option<std::borrow::Cow<'a, str>>,
        /// The room.
        room_id: Option<&'a str>,
        /// The session that is going on in the room.
        session_id: Option<&'a str>,
        /// The name shown to others.
        name: Text<'a>,
        /// The role in the room's template.
        role: Text<'a>,
        /// Your own id of the user, as given when joining.
        user_id: Text<'a>,
        /// What your app attached to the peer.
        metadata: Text<'a>,
        /// When the peer joined.
        joined_at: Option<Timestamp>,
    }
}

pub(super) const DESCRIPTION: Description = Description {
    name: "active_room_peers",
    primary_key: &["id"],
    cursor: None,
    columns: ActivePeerRecord::COLUMNS,
    schema: super::schema_of_record::<ActivePeerRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let live = ListFilter { flag: Some(true), ..ListFilter::default() };
            let room =
                client.sessions(&live, |sessions| sessions.iter().find_map(|s| text(s.room_id).map(String::from)));
            match room.await?.content {
                Some(room) => {
                    let fields = client.active_room_peers(&room, |peers| {
                        added_fields(peers.iter().map(|(_, peer)| peer.other.as_slice()))
                    });
                    fields.await
                }
                None => Ok(serde_json::Map::new()),
            }
        })
    },
    open: |reading| Box::new(ActiveRoomPeers { reading }),
    line: |item| {
        let peer: Peer<'_> = super::parsed(item)?;
        super::line(&shape(None, &peer, "room", "session")?, &peer.other)
    },
};

const LIVE: &str = "live";

struct ActiveRoomPeers {
    reading: Reading,
}

impl Stream for ActiveRoomPeers {
    fn first(&self) -> Slice {
        Slice::whole(LIVE)
    }

    fn knows(&self, list: &str) -> bool {
        list == LIVE
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            let client = &self.reading.client;
            let page = client.sessions(&slice.filter(true), |sessions| live_rooms(&sessions)).await?;
            let rooms = page.content?;
            let asked = rooms.iter().map(|(room, session)| self.peers_of(room, session));
            let mut rows = Rows::default();
            for peers in try_join_all(asked).await? {
                rows.append(peers);
            }
            Ok(Step { rows, next: slice.rest(page.next).into_iter().collect(), seen: None })
        })
    }
}

/// The live rooms on a page, each with its session: the newest, should there be two.
fn live_rooms(sessions: &[crate::api::Session<'_>]) -> Result<HashMap<String, String>, RecordError> {
    let mut rooms: HashMap<String, String> = HashMap::new();
    for session in sessions {
        let session_id = id(session.id)?;
        let ended = session.active.is_some_and(|active| active.get() == "false");
        let Some(room) = text(session.room_id).filter(|_| !ended) else { continue };
        let known = rooms.entry(room.into_owned()).or_default();
        // Ids begin with their creation time.
        if known.as_str() < session_id.as_ref() {
            *known = session_id.into_owned();
        }
    }
    Ok(rooms)
}

impl ActiveRoomPeers {
    async fn peers_of(&self, room: &str, session: &str) -> Result<Rows, StreamError> {
        let shape = |peers: Vec<(Option<String>, Peer<'_>)>| {
            let mut rows = Rows::default();
            for (key, peer) in &peers {
                let record = shape(key.as_deref(), peer, room, session)?;
                rows.push(&self.reading.format, &record, None, &peer.other)?;
            }
            Ok(rows)
        };
        self.reading.client.active_room_peers(room, shape).await?
    }
}

fn shape<'a>(
    key: Option<&'a str>,
    peer: &Peer<'a>,
    room: &'a str,
    session: &'a str,
) -> Result<ActivePeerRecord<'a>, RecordError> {
    let id = text(peer.id).or(key.map(Into::into)).ok_or_else(|| RecordError::new(None, "id", "is missing"))?;
    let joined_at = optional_time(peer.joined_at, &id, "joined_at")?;
    Ok(ActivePeerRecord {
        id: Some(id),
        room_id: Some(room),
        session_id: Some(session),
        name: Text(peer.name),
        role: Text(peer.role),
        user_id: Text(peer.user_id),
        metadata: Text(peer.metadata),
        joined_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_without_id_has_its_key() {
        let peer: Peer<'_> = serde_json::from_str(r#"{"name":"Ada"}"#).unwrap();
        let record = super::super::record_value(&shape(Some("p1"), &peer, "r", "s").unwrap());
        assert_eq!(
            (&record["id"], &record["room_id"], &record["session_id"]),
            (&"p1".into(), &"r".into(), &"s".into())
        );
        assert!(shape(None, &peer, "r", "s").is_err());
    }

    #[test]
    fn a_room_is_asked_once_for_its_newest_session() {
        let sessions: Vec<crate::api::Session<'_>> = serde_json::from_str(
            r#"[{"id":"b","room_id":"r"},{"id":"a","room_id":"r","active":true},{"id":"c","room_id":"q","active":false}]"#,
        )
        .unwrap();
        let rooms = live_rooms(&sessions).unwrap();
        assert_eq!(rooms.into_iter().collect::<Vec<_>>(), [("r".to_owned(), "b".to_owned())]);
    }
}
