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

use super::stream::{
    PageOutcome, Sampled, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo, first_page, together,
};
use crate::api::{Client, Endpoint, Keyed};
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
    ..StreamInfo::new("active_room_peers", &TABLE, &[Endpoint::SESSIONS], &["live"], |context| {
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
            let live = slice.page_of(Endpoint::SESSIONS, Some(true));
            let shape = |sessions: Vec<Fields<'_>>| new_rooms(&mut locked(&self.asked), sessions);
            let (rooms, rest) = self.context.page(&slice, live, shape).await?;
            let peers = try_join_all(rooms.iter().map(|(room, session)| self.peers_of(room, session))).await?;
            Ok(PageOutcome { rows: together(peers), rest, ..PageOutcome::default() })
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.skipped]
    }
}

fn sample<'c>(client: &'c Client, _: &'static StreamInfo) -> Sampled<'c> {
    Box::pin(async move {
        let room = |page: Vec<Fields<'_>>| page.iter().find_map(|session| session.text("room_id").map(String::from));
        let room = first_page(client, Endpoint::SESSIONS, Some(true), room).await?;
        let Some(room) = room else { return Ok(Map::new()) };
        let added = |peers: Keyed<'_, Fields<'_>>| {
            let peers: Vec<_> = peers.into_iter().map(|(_, peer)| peer).collect();
            added_fields(&TABLE, &peers)
        };
        client.active_room_peers::<Fields<'static>, _>(&room, added).await.map(Option::unwrap_or_default)
    })
}

impl ActiveRoomPeers {
    async fn peers_of(&self, room: &str, session: &str) -> Result<Rows, StreamError> {
        let shape = |peers: Keyed<'_, Fields<'_>>| -> Result<Rows, StreamError> {
            let mut rows = Rows::default();
            for (key, peer) in peers {
                let peer = peer.under(key.as_deref());
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

/// The live rooms on a page that have not been `asked`, or with an older session, each with its session: the newest,
/// should there be two.
fn new_rooms(
    asked: &mut BTreeMap<String, String>,
    sessions: Vec<Fields<'_>>,
) -> Result<BTreeMap<String, String>, RecordError> {
    let mut rooms = BTreeMap::new();
    for session in sessions {
        let session_id = session.id()?;
        let has_ended = session.get("active").and_then(|active| as_bool(active.get())) == Some(false);
        let Some(room) = session.text("room_id").filter(|_| !has_ended) else { continue };
        let room = readable_id(Some(room), Some(&session_id), "room_id")?.into_owned();
        // Ids begin with their creation time.
        if asked.get(&room).is_none_or(|known| known.as_str() < session_id.as_ref()) {
            asked.insert(room.clone(), session_id.clone().into_owned());
            rooms.insert(room, session_id.into_owned());
        }
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_asked_once_for_its_newest_session() {
        let mut asked = BTreeMap::new();
        let mut rooms = |page: &str| {
            let rooms = new_rooms(&mut asked, serde_json::from_str(page).unwrap()).unwrap();
            rooms.into_iter().map(|(room, session)| room + &session).collect::<Vec<_>>()
        };
        let page = r#"[{"id":"b","room_id":"r"},{"id":"c","room_id":"r","active":true},{"id":"d","room_id":"q","active":false}]"#;
        assert_eq!(rooms(page), ["rc"]);
        assert_eq!(rooms(r#"[{"id":"a","room_id":"r"},{"id":"a","room_id":"s"}]"#), ["sa"]);
    }
}
