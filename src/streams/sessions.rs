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

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::contract::{Reading, RecordError, Step, Stream, StreamError, Times};
use super::personal::PersonalData;
use super::record::{Computed, Derived, Rows, Shape, id, record, times};
use super::schema;
use super::session::{PeerEntry, People};
use super::slice::Slice;
use super::time::{Time, Timestamp};
use super::values::{Flag, Text, truth};
use crate::api::{ApiError, Client, List};

record! {
    /// One continuous use of a room, from the first peer who joins to the last who leaves.
    SessionRecord {
        /// Unique id of the session.
        id: Text<'a> = "id" | "_id",
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
        created_at: Time,
        /// When it last changed. The cursor of this stream.
        updated_at: Time,
        /// When the first peer joined; the creation when nobody did.
        started_at: Computed<Timestamp>,
        /// When it ended; null while it is going on.
        stopped_at: Computed<Timestamp>,
        /// Seconds from `started_at` to `stopped_at`; null while it is going on.
        duration: Computed<f64>,
        /// The end time that 100ms itself gives; null when it gives none.
        ended_at: Time,
        /// Everybody who was in the session, ordered by when they joined.
        peers: Derived<'a, Vec<PeerEntry<'a>>>,
    }
    drops ["customer"]
    personal ["user_id"]
    people ["peers"]
}

const ACTIVE: &str = "active";
const ENDED: &str = "ended";

/// A session's longest life, 12 h, and an hour for clocks and late writes.
const LOOK_BACK: TimeDelta = TimeDelta::hours(13);

/// The stream.
pub(super) struct Sessions {
    reading: Reading,
}

impl Stream for Sessions {
    const NAME: &'static str = "sessions";
    const PRIMARY_KEY: &'static [&'static str] = &["id"];
    const CURSOR: Option<&'static str> = Some("updated_at");
    const LISTS: &'static [&'static str] = &[ACTIVE, ENDED];
    type Record = SessionRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self { reading }
    }

    fn list(&self, list: &'static str) -> Option<Slice> {
        Some(match list {
            // However long ago they began: sessions that are going on are few.
            ACTIVE => Slice::whole(ACTIVE),
            _ => Slice::since(ENDED, self.reading.since.created(LOOK_BACK)),
        })
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let filter = slice.filter(slice.list == ACTIVE);
        let shape = |page: Vec<SessionRecord<'_>>| Rows::of_page(&self.reading, &slice, page);
        let page = self.reading.client.list::<SessionRecord<'static>, _>(List::SESSIONS, &filter, shape).await?;
        let (rows, seen) = page.content?;
        Ok(Step { rows, rest: slice.rest(page.next), seen, ..Step::default() })
    }

    async fn sample(client: &Client) -> Result<Map<String, Value>, ApiError> {
        schema::sample::<SessionRecord<'static>>(client, List::SESSIONS, Some(false)).await
    }
}

impl Shape for SessionRecord<'_> {
    fn shape(&mut self, personal: &PersonalData) -> Result<Times, RecordError> {
        let id = id(self.id.0)?;
        let (created_at, updated_at) = times(&id, self.created_at, self.updated_at)?;
        let ended_at = self.ended_at.readable(&id, "ended_at")?;
        let peers = in_order(People::of(self.peers.raw, &id, personal)?.all);
        let is_active = truth(self.active.0) == Some(true);
        let last_joined = peers.iter().filter_map(|peer| peer.joined_at.get()).max();
        let last_left = peers.iter().filter_map(|peer| peer.left_at.get()).max();
        let started_at = peers.iter().find_map(|peer| peer.joined_at.get()).unwrap_or(created_at);
        let stopped_at = (!is_active).then(|| ended_at.or(last_left).unwrap_or(updated_at));
        self.updated_at = updated_at.into();
        self.started_at.0 = Some(started_at);
        self.stopped_at.0 = stopped_at;
        self.duration.0 = stopped_at.map(|stopped_at| stopped_at.seconds_since(started_at));
        self.peers.value = Some(peers);
        let changed = [ended_at, last_left, last_joined].into_iter().flatten().fold(updated_at, Timestamp::max);
        // 100ms gives no end, and `updated_at` has not moved since the last peer left: nothing tells when it
        // ended, so it is looked at again as long as an earlier sync may have read it live.
        let has_undated_end =
            !is_active && ended_at.is_none() && updated_at <= last_left.unwrap_or(created_at).max(created_at);
        let settled = if has_undated_end { changed.max(created_at + LOOK_BACK) } else { changed };
        Ok(Times { created: created_at, cursor: updated_at, changed, settled })
    }
}

/// By when they joined, then by id.
fn in_order(mut peers: Vec<PeerEntry<'_>>) -> Vec<PeerEntry<'_>> {
    peers.sort_by(|a, b| {
        let order = |peer: &PeerEntry<'_>| (peer.joined_at.get().is_none(), peer.joined_at.get());
        order(a).cmp(&order(b)).then_with(|| a.id.0.cmp(&b.id.0))
    });
    peers
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;

    fn record(json: &str) -> (Value, Timestamp) {
        let mut record: SessionRecord<'_> = serde_json::from_str(json).unwrap();
        let times = record.shape(&PersonalData::Keep).unwrap();
        (to_value(&record), times.changed)
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
        assert_eq!(record["stopped_at"], Value::Null);
        assert_eq!(record["duration"], Value::Null);
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
        let error = |json: &str| {
            serde_json::from_str::<SessionRecord<'_>>(json).unwrap().shape(&PersonalData::Keep).unwrap_err().to_string()
        };
        assert_eq!(error("{}"), "`id` of a record without `id` is missing");
        assert_eq!(error(r#"{"id":"s"}"#), "`created_at` of the record `s` is missing");
        assert_eq!(
            error(r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":"x"}"#),
            "`peers` of the record `s` is neither an object nor an array of peers"
        );
    }

    #[test]
    fn an_end_without_a_date_is_looked_at_again_for_as_long_as_a_session_may_last() {
        let settled = |fields: &str| {
            let json = format!(
                r#"{{"id":"s","created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T10:00:00Z"{fields}}}"#
            );
            serde_json::from_str::<SessionRecord<'_>>(&json)
                .unwrap()
                .shape(&PersonalData::Keep)
                .unwrap()
                .settled
                .to_string()[11..16]
                .to_owned()
        };
        assert_eq!(settled(r#","active":false"#), "23:00");
        assert_eq!(settled(r#","active":"true""#), "10:00", "it is going on");
        assert_eq!(settled(r#","active":false,"ended_at":"2024-05-01T11:00:00Z""#), "11:00");
    }

    #[test]
    fn what_100ms_adds_to_a_peer_is_passed_on() {
        let json = r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":[{"id":"p","newField":{"credentials":{"b":"x"},"a":1}}]}"#;
        let peer = &record(json).0["peers"][0];
        assert_eq!(peer["newField"]["a"], 1);
        assert_ne!(peer["newField"]["credentials"]["b"], "x");
    }

    #[test]
    fn a_secret_among_the_peers_stays_here() {
        let json = r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":{"streamKey":{"value":"x","more":["x"]},"p":{"new":1}}}"#;
        let peers = &record(json).0["peers"];
        assert!(!peers.to_string().contains("\"x\""), "{peers}");
        assert!(peers.to_string().contains("\"new\":1"), "{peers}");
    }
}
