//! `active_room_peers`: who is in a room right now.
//!
//! - **Source:** `/v2/sessions?active=true` names the rooms that are live and their session; only those
//!   are asked for their peers, `/v2/active-rooms/{room}/peers`. Nobody pays a request for an empty room.
//! - **Cursor:** none. This is a picture of the moment: read whole each time, `start_date` or not.
//! - **Key:** a peer comes once. A room is asked once, for its newest session, should it have two on whatever pages.
//! - **Open in the reference:** what a room answers that was left since the list was read: 404 and an
//!   empty answer both mean that nobody is in. A disabled room may be refused with 403.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Remark, Step, Stream, StreamError};
use super::record::{Identity, Label, Record, Rows, hide_entry, id, readable_id, record};
use super::schema;
use super::skipped::Skipped;
use super::slice::Slice;
use super::time::Time;
use super::values::{Flag, Text, text, truth};
use crate::api::{ApiError, Client, Keyed, List, ListFilter};

record! {
    /// Somebody who is in a room right now.
    ActivePeerRecord {
        /// Unique id of the peer.
        id: Identity<'a>,
        /// The room.
        room_id: Label<'a>,
        /// The session that is going on in the room.
        session_id: Label<'a>,
        /// The name shown to others.
        name: Text<'a>,
        /// The role in the room's template.
        role: Text<'a>,
        /// Your own id of the user, as given when joining.
        user_id: Text<'a>,
        /// What your app attached to the peer.
        metadata: Text<'a>,
        /// When the peer joined.
        joined_at: Time,
    }
    personal ["name", "user_id", "metadata"]
}

/// The stream.
pub(super) struct ActiveRoomPeers {
    reading: Reading,
    skipped: Skipped,
    /// The rooms that have been asked, each with its session.
    asked: Mutex<BTreeMap<String, String>>,
}

impl Stream for ActiveRoomPeers {
    const NAME: &'static str = "active_room_peers";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = None;
    const LISTS: &'static [&'static str] = &["live"];
    type Record = ActivePeerRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading, skipped: Skipped::new("active rooms"), asked: Mutex::default() }
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let live = slice.filter(true);
        let shape = |page: Vec<LiveSession<'_>>| live_rooms(&page);
        let page = self.reading.client.list::<LiveSession<'static>, _>(List::SESSIONS, &live, shape).await?;
        let mut rows = Rows::default();
        let rooms = self.not_asked_yet(page.content?);
        for peers in try_join_all(rooms.iter().map(|(room, session)| self.peers_of(room, session))).await? {
            rows.append(peers);
        }
        Ok(Step { rows, rest: slice.rest(page.next), ..Step::default() })
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        let live = ListFilter { flag: Some(true), ..ListFilter::default() };
        let shape =
            |page: Vec<LiveSession<'_>>| page.iter().find_map(|session| text(session.room_id.0).map(String::from));
        let Some(room) = client.list::<LiveSession<'static>, _>(List::SESSIONS, &live, shape).await?.content else {
            return Ok(Map::new());
        };
        let fields =
            |peers: Keyed<'_, ActivePeerRecord<'_>>| schema::added_fields(peers.iter().map(|(_, peer)| peer.others()));
        client.active_room_peers::<ActivePeerRecord<'static>, _>(&room, fields).await.map(Option::unwrap_or_default)
    }

    fn remarks(&self) -> Vec<Remark> {
        self.skipped.remarks()
    }

    fn undecided(&self) -> Option<ApiError> {
        self.skipped.undecided()
    }
}

impl ActiveRoomPeers {
    /// The rooms that an earlier page did not have, or had with an older session.
    fn not_asked_yet(&self, rooms: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |(room, session): &(String, String)| asked.get(room).is_none_or(|known| known < session);
        let rooms: BTreeMap<String, String> = rooms.into_iter().filter(is_new).collect();
        asked.extend(rooms.clone());
        rooms
    }

    async fn peers_of(&self, room: &str, session: &str) -> Result<Rows, StreamError> {
        let shape = |peers: Keyed<'_, ActivePeerRecord<'_>>| -> Result<Rows, StreamError> {
            let mut rows = Rows::default();
            for (key, mut peer) in peers {
                let has_joined = peer.joined_at != Time::Never;
                hide_entry(key.as_deref(), &mut peer, has_joined);
                peer.id.0 = peer.id.0.take().or(key);
                let id = readable_id(peer.id.0.take(), None, "id")?;
                peer.joined_at.readable(&id, "joined_at")?;
                peer.id.0 = Some(id);
                peer.room_id = room.into();
                peer.session_id = session.into();
                rows.push(&self.reading.format, &peer, None);
            }
            Ok(rows)
        };
        let peers = self.reading.client.active_room_peers::<ActivePeerRecord<'static>, _>(room, shape).await;
        self.skipped.note(room, peers)?.unwrap_or_else(|| Ok(Rows::default()))
    }
}

record! {
    /// What is read of a session: which room is live.
    LiveSession {
        id: Text<'a> = "id" | "_id",
        room_id: Text<'a>,
        active: Flag<'a>,
    }
}

/// The live rooms on a page, each with its session: the newest, should there be two.
fn live_rooms(sessions: &[LiveSession<'_>]) -> Result<BTreeMap<String, String>, RecordError> {
    let mut rooms: BTreeMap<String, String> = BTreeMap::new();
    for session in sessions {
        let session_id = id(session.id.0)?;
        let has_ended = truth(session.active.0) == Some(false);
        let Some(room) = text(session.room_id.0).filter(|_| !has_ended) else { continue };
        let room = readable_id(Some(room), Some(&session_id), "room_id")?;
        let known = rooms.entry(room.into_owned()).or_default();
        // Ids begin with their creation time.
        if known.as_str() < session_id.as_ref() {
            *known = session_id.into_owned();
        }
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_asked_once_for_its_newest_session() {
        let sessions: Vec<LiveSession<'_>> = serde_json::from_str(
            r#"[{"id":"b","room_id":"r"},{"id":"a","room_id":"r","active":true},{"id":"c","room_id":"q","active":false}]"#,
        )
        .unwrap();
        let rooms = live_rooms(&sessions).unwrap();
        assert_eq!(rooms.into_iter().collect::<Vec<_>>(), [("r".to_owned(), "b".to_owned())]);
    }
}
