//! `active_room_peers`: who is in a room right now.
//!
//! - **Source:** `/v2/sessions?active=true` names the rooms that are live and their session; only those
//!   are asked for their peers, `/v2/active-rooms/{room}/peers`. Nobody pays a request for an empty room.
//! - **Cursor:** none. This is a picture of the moment: read whole each time, `start_date` or not.
//! - **Key:** a peer comes once. A room is asked once, for its newest session, should it have two on whatever pages.
//! - **Open in the reference:** what a room answers that was left since the list was read: 404 and an
//!   empty answer both mean that nobody is in. A disabled room may be refused with 403.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::Map;

use super::stream::{PageOutcome, Sampled, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo};
use crate::api::{Client, Endpoint, Get, Keyed};
use crate::records::Kind::{Text, Time};
use crate::records::{Fields, Record, RecordError, Rows, Table, added_fields, as_bool, column, readable_id};
use crate::seams::locked;

static TABLE: Table = Table {
    description: "Somebody who is in a room right now.",
    columns: &[
        column("id", Text, "Unique id of the peer."),
        column("room_id", Text, "The room."),
        column("session_id", Text, "The session that is going on in the room."),
        column("name", Text, "The name shown to others.").personal(),
        column("role", Text, "The role in the room's template."),
        column("user_id", Text, "Your own id of the user, as given when joining.").personal(),
        column("metadata", Text, "What your app attached to the peer.").personal(),
        column("joined_at", Time, "When the peer joined."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    cursor: None,
    sample,
    ..StreamInfo::new("active_room_peers", &TABLE, &["live"], |context| {
        Arc::new(ActiveRoomPeers { context, skipped: Skipped::new("active rooms"), asked: Mutex::default() })
    })
};

struct ActiveRoomPeers {
    context: StreamContext,
    skipped: Skipped,
    /// The rooms whose peers were requested, each with its session.
    asked: Mutex<BTreeMap<String, String>>,
}

impl Stream for ActiveRoomPeers {
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            let shape = |page: Vec<Fields<'_>>| live_rooms(&page);
            let live = slice.page_of(Endpoint::SESSIONS, Some(true));
            let page = self.context.client.list::<Fields<'static>, _>(live, shape).await?;
            let mut rows = Rows::default();
            let rooms = self.not_asked_yet(page.content?);
            for peers in try_join_all(rooms.iter().map(|(room, session)| self.peers_of(room, session))).await? {
                rows.append(peers);
            }
            Ok(PageOutcome { rows, rest: slice.rest(page.next), ..PageOutcome::default() })
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.skipped]
    }
}

fn sample(client: &Client) -> Sampled<'_> {
    Box::pin(async move {
        let live = Get::page(Endpoint::SESSIONS, Some(true));
        let shape = |page: Vec<Fields<'_>>| page.iter().find_map(|session| session.text("room_id").map(String::from));
        let room = client.list::<Fields<'static>, _>(live, shape).await?.content;
        let Some(room) = room else { return Ok(Map::new()) };
        let added = |peers: Keyed<'_, Fields<'_>>| {
            let peers: Vec<_> = peers.into_iter().map(|(_, peer)| peer).collect();
            added_fields(&TABLE, &peers)
        };
        client.active_room_peers::<Fields<'static>, _>(&room, added).await.map(Option::unwrap_or_default)
    })
}

impl ActiveRoomPeers {
    /// The rooms that an earlier page did not have, or had with an older session.
    fn not_asked_yet(&self, rooms: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut asked = locked(&self.asked);
        let is_new = |(room, session): &(String, String)| asked.get(room).is_none_or(|known| known < session);
        let rooms: BTreeMap<String, String> = rooms.into_iter().filter(is_new).collect();
        asked.extend(rooms.clone());
        rooms
    }

    async fn peers_of(&self, room: &str, session: &str) -> Result<Rows, StreamError> {
        let shape = |peers: Keyed<'_, Fields<'_>>| -> Result<Rows, StreamError> {
            let mut rows = Rows::default();
            for (key, peer) in peers {
                let peer = peer.under(key.as_deref(), &TABLE, "joined_at");
                let id = readable_id(peer.text("id").or(key), None, "id")?;
                peer.time("joined_at", &id)?;
                let peer = Record::of(&TABLE, peer).with("id", id).with("room_id", room).with("session_id", session);
                rows.push(&self.context.format, &peer, None);
            }
            Ok(rows)
        };
        let peers = self.context.client.active_room_peers::<Fields<'static>, _>(room, shape).await;
        self.skipped.note(room, peers)?.unwrap_or_else(|| Ok(Rows::default()))
    }
}

/// The live rooms on a page, each with its session: the newest, should there be two.
fn live_rooms(sessions: &[Fields<'_>]) -> Result<BTreeMap<String, String>, RecordError> {
    let mut rooms: BTreeMap<String, String> = BTreeMap::new();
    for session in sessions {
        let session_id = session.id()?;
        let has_ended = session.get("active").and_then(|active| as_bool(active.get())) == Some(false);
        let Some(room) = session.text("room_id").filter(|_| !has_ended) else { continue };
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
        let sessions: Vec<Fields<'_>> = serde_json::from_str(
            r#"[{"id":"b","room_id":"r"},{"id":"a","room_id":"r","active":true},{"id":"c","room_id":"q","active":false}]"#,
        )
        .unwrap();
        let rooms = live_rooms(&sessions).unwrap();
        assert_eq!(rooms.into_iter().collect::<Vec<_>>(), [("r".to_owned(), "b".to_owned())]);
    }
}
