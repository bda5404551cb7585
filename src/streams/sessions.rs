//! `sessions`: every use of a room, with who was in it.
//!
//! - **Source:** `/v2/sessions`, newest first, first `active=true`, then `active=false`: a session that
//!   ends in between is seen twice, never missed. What the filter means when unset is not documented.
//! - **Cursor:** `updated_at`. A session lasts 12 h at most and is complete when it has ended, so a sync
//!   goes back to 13 h before its cursor, by creation time, and keeps what has changed since.
//! - **Open in the reference:** whether there is an end time (`ended_at` is seen on live accounts),
//!   whether `updated_at` moves when a session ends (so its peers' times count as changes too, and a
//!   session whose end nothing dates is read again while the look-back covers it), and whether `peers`
//!   is an object or an array.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

use super::record::record;
use super::values::{Flag, Text, id, optional_time, text, times};
use super::{
    Description, Reading, Record, RecordError, Rows, Seen, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{Keyed, ListFilter, Members, Peer, Session};

record! {
    /// One continuous use of a room, from the first peer who joins to the last who leaves.
    SessionRecord {
        /// Unique id of the session.
        id: Text<'a>,
        /// The room it took place in.
        room_id: Text<'a>,
        /// The 100ms account.
        customer_id: Text<'a>,
        /// The app (workspace).
        app_id: Text<'a>,
        /// The user who created the session, when known.
        user_id: Text<'a>,
        /// Whether it is going on right now.
        active: Flag<'a>,
        /// When it was created.
        created_at: Timestamp,
        /// When it last changed. The cursor of this stream.
        updated_at: Timestamp,
        /// When the first peer joined; the creation when nobody did.
        started_at: Timestamp,
        /// When it ended; null while it is going on.
        stopped_at: Option<Timestamp>,
        /// Seconds from `started_at` to `stopped_at`; null while it is going on.
        duration: Option<f64>,
        /// The end time that 100ms itself gives; null when it gives none.
        ended_at: Option<Timestamp>,
        /// Everybody who was in the session, ordered by when they joined.
        peers: Vec<PeerEntry<'a>>,
    }
}

/// Somebody who was in the session.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PeerEntry<'a> {
    /// Unique id of the peer. Somebody who joins again is another peer.
    id: Option<Cow<'a, str>>,
    /// The session.
    session_id: Text<'a>,
    /// The name shown to others.
    name: Text<'a>,
    /// The role in the room's template.
    role: Text<'a>,
    /// Your own id of the user, as given when joining.
    user_id: Text<'a>,
    /// An older copy of the user's id.
    user: Text<'a>,
    /// What your app attached to the peer.
    metadata: Text<'a>,
    /// When the peer joined.
    joined_at: Option<Timestamp>,
    /// When the peer left; null while connected.
    left_at: Option<Timestamp>,
    /// Seconds from `joined_at` to `left_at`; null while connected.
    duration: Option<f64>,
}

pub(super) const DESCRIPTION: Description = Description {
    name: "sessions",
    primary_key: &["id"],
    cursor: Some("updated_at"),
    columns: SessionRecord::COLUMNS,
    schema: super::schema_of_record::<SessionRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let newest = ListFilter { flag: Some(false), ..ListFilter::default() };
            let page = client.sessions(&newest, |sessions| added_fields(sessions.iter().map(|s| s.other.as_slice())));
            Ok(page.await?.content)
        })
    },
    open: |reading| Box::new(Sessions { reading }),
    line: |item| {
        let session: Session<'_> = super::parsed(item)?;
        super::line(&shape(&session)?.0, &session.other)
    },
};

/// A session's longest life, 12 h, and an hour for clocks and late writes.
const LOOK_BACK_HOURS: i64 = 13;
const ACTIVE: &str = "active";
const ENDED: &str = "ended";

struct Sessions {
    reading: Reading,
}

impl Stream for Sessions {
    fn first(&self) -> Slice {
        // However long ago they began: sessions that are going on are few.
        Slice::whole(ACTIVE)
    }

    fn following(&self, list: &str) -> Option<Slice> {
        let after = Some(self.reading.cursor.minus_hours(LOOK_BACK_HOURS).floor_to_second());
        (list == ACTIVE).then(|| Slice { after, ..Slice::whole(ENDED) })
    }

    fn knows(&self, list: &str) -> bool {
        matches!(list, ACTIVE | ENDED)
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            let filter = slice.filter(slice.list == ACTIVE);
            let page = self.reading.client.sessions(&filter, |sessions| self.shape(sessions, slice)).await?;
            let (rows, seen) = page.content?;
            Ok(Step { rows, next: slice.rest(page.next).into_iter().collect(), seen })
        })
    }
}

impl Sessions {
    /// Changed since the cursor; or ended at an unknown time, perhaps after an earlier sync read it live.
    fn is_due(&self, record: &SessionRecord<'_>, changed: Timestamp) -> bool {
        let follows_a_sync = self.reading.cursor > self.reading.start_date;
        changed >= self.reading.cursor || follows_a_sync && has_undated_end(record)
    }

    fn shape(&self, page: Vec<Session<'_>>, slice: &Slice) -> Result<(Rows, Option<Seen>), StreamError> {
        let (mut rows, mut seen) = (Rows::default(), None);
        for session in &page {
            let (record, changed) = shape(session)?;
            if !slice.takes(record.created_at) {
                continue;
            }
            Seen::note(&mut seen, record.created_at);
            if self.is_due(&record, changed) {
                rows.push(&self.reading.format, &record, Some(record.updated_at), &session.other)?;
            }
        }
        Ok((rows, seen))
    }
}

/// Whether nothing tells when an ended session ended: 100ms gives no end, and `updated_at` has not moved
/// since the last peer left.
fn has_undated_end(record: &SessionRecord<'_>) -> bool {
    let last_seen = record.peers.iter().filter_map(|peer| peer.left_at).fold(record.created_at, Timestamp::max);
    record.stopped_at.is_some() && record.ended_at.is_none() && record.updated_at <= last_seen
}

/// The record of a session, and when it or anybody in it last changed.
fn shape<'a>(session: &Session<'a>) -> Result<(SessionRecord<'a>, Timestamp), RecordError> {
    let id = id(session.id)?;
    let (created_at, updated_at) = times(&id, session.created_at, session.updated_at)?;
    let ended_at = optional_time(session.ended_at, &id, "ended_at")?;
    let peers = peers(session, &id)?;
    let active = session.active.is_some_and(|active| active.get() == "true");
    let last_left = peers.iter().filter_map(|peer| peer.left_at).max();
    let started_at = peers.iter().find_map(|peer| peer.joined_at).unwrap_or(created_at);
    let stopped_at = (!active).then(|| ended_at.or(last_left).unwrap_or(updated_at));
    let last_joined = peers.iter().filter_map(|peer| peer.joined_at).max();
    let changed = [ended_at, last_left, last_joined].into_iter().flatten().fold(updated_at, Timestamp::max);
    let record = SessionRecord {
        id: Text(session.id),
        room_id: Text(session.room_id),
        customer_id: Text(session.customer_id),
        app_id: Text(session.app_id),
        user_id: Text(session.user_id),
        active: Flag(session.active),
        created_at,
        updated_at,
        started_at,
        stopped_at,
        duration: stopped_at.map(|stopped_at| stopped_at.seconds_since(started_at)),
        ended_at,
        peers,
    };
    Ok((record, changed))
}

/// The peers, ordered by when they joined, then by id.
fn peers<'a>(session: &Session<'a>, id: &str) -> Result<Vec<PeerEntry<'a>>, RecordError> {
    let members: Keyed<'a, Peer<'a>> = Members::of(session.peers)
        .map_err(|_| RecordError::new(Some(id), "peers", "is neither an object nor an array of peers"))?;
    let mut peers = Vec::with_capacity(members.len());
    for (key, peer) in members {
        let joined_at = optional_time(peer.joined_at, id, "peers.joined_at")?;
        let left_at = optional_time(peer.left_at, id, "peers.left_at")?;
        peers.push(PeerEntry {
            // Old entries lack the id; then the key is the id.
            id: text(peer.id).or(key),
            session_id: Text(peer.session_id),
            name: Text(peer.name),
            role: Text(peer.role),
            user_id: Text(peer.user_id),
            user: Text(peer.user),
            metadata: Text(peer.metadata),
            joined_at,
            left_at,
            duration: joined_at.zip(left_at).map(|(joined_at, left_at)| left_at.seconds_since(joined_at)),
        });
    }
    peers.sort_by(|a, b| (a.joined_at.is_none(), a.joined_at, &a.id).cmp(&(b.joined_at.is_none(), b.joined_at, &b.id)));
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> (serde_json::Value, Timestamp) {
        let (record, changed) = shape(&serde_json::from_str(json).unwrap()).unwrap();
        (super::super::record_value(&record), changed)
    }

    #[test]
    fn an_ended_session_has_its_times_and_its_peers_in_order() {
        let (record, changed) = record(
            r#"{"id":"s","active":false,"created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T11:00:00Z",
                "peers":{"b":{"name":"B","joined_at":"2024-05-01T10:00:02Z","left_at":"2024-05-01T10:30:00.5Z"},
                         "a":{"id":"a","joined_at":"2024-05-01T10:00:01Z","left_at":"2024-05-01T11:30:00Z"}}}"#,
        );
        assert_eq!(record["started_at"], "2024-05-01T10:00:01.000000Z");
        assert_eq!(record["stopped_at"], "2024-05-01T11:30:00.000000Z");
        assert_eq!(record["duration"], 5399.0);
        let peers: Vec<_> = record["peers"].as_array().unwrap().iter().map(|peer| &peer["id"]).collect();
        assert_eq!(peers, ["a", "b"]);
        assert_eq!(record["peers"][1]["duration"], 1798.5);
        // A peer left after the session's own `updated_at`: that is a change too.
        assert_eq!(changed.to_string(), "2024-05-01T11:30:00.000000Z");
    }

    #[test]
    fn a_live_session_has_no_end() {
        let (record, _) = record(
            r#"{"id":"s","active":true,"created_at":"2024-05-01T10:00:00Z","updated_at":"0001-01-01T00:00:00Z","peers":[]}"#,
        );
        assert_eq!(record["stopped_at"], serde_json::Value::Null);
        assert_eq!(record["duration"], serde_json::Value::Null);
        assert_eq!(record["updated_at"], record["created_at"]);
    }

    #[test]
    fn the_end_is_the_best_that_is_known() {
        let stopped = |fields: &str| {
            record(&format!(r#"{{"id":"s","active":false,"created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T10:10:00Z"{fields}}}"#)).0
                ["stopped_at"].as_str().unwrap()[11..16].to_owned()
        };
        assert_eq!(stopped(""), "10:10");
        assert_eq!(stopped(r#","peers":[{"left_at":"2024-05-01T10:05:00Z"}]"#), "10:05");
        assert_eq!(
            stopped(r#","ended_at":"2024-05-01T10:07:00Z","peers":[{"left_at":"2024-05-01T10:05:00Z"}]"#),
            "10:07"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |json: &str| shape(&serde_json::from_str(json).unwrap()).err().unwrap().to_string();
        assert_eq!(error("{}"), "`id` of a record without `id` is missing");
        assert_eq!(error(r#"{"id":"s"}"#), "`created_at` of the record `s` is missing");
        assert_eq!(
            error(r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":"x"}"#),
            "`peers` of the record `s` is neither an object nor an array of peers"
        );
    }
}
