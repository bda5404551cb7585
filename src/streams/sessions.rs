//! `sessions`: every use of a room, with who was in it.
//!
//! - **Source:** `/v2/sessions`, newest first, first `active=true`, then `active=false`: a session that
//!   ends in between is seen twice, never missed. What the filter means when unset is not documented.
//! - **Cursor:** `updated_at`. A session lasts 12 h at most and is complete when it has ended, so a sync
//!   goes back to 13 h before its cursor, by creation time, and keeps what has changed since.
//! - **Open in the reference:** whether there is an end time (`ended_at` is seen on live accounts),
//!   whether `updated_at` moves when a session ends (so its peers' times count as changes too, and the state
//!   names the sessions that are going on, see `session`), and whether `peers` is an object or an array.

use std::sync::Arc;

use super::paged_list::PagedList;
use super::session::{LiveSessions, PEERS, PHASES, Session};
use super::stream::StreamInfo;
use crate::api::Endpoint;
use crate::records::Kind::{Bool, Dropped, Entries, Number, Text, Time};
use crate::records::{Fields, PersonalData, Record, RecordError, Table, Times, Value, column};

static TABLE: Table = Table {
    description: "One continuous use of a room, from the first peer who joins to the last who leaves.",
    columns: &[
        column("id", Text, "Unique id of the session.").from(&["id", "_id"]),
        column("room_id", Text, "The room it took place in."),
        column("customer_id", Text, "The 100ms account."),
        column("customer", Dropped, "The same."),
        column("app_id", Text, "The app (workspace)."),
        column("user_id", Text, "The user who created the session, when known.").personal(),
        column("active", Bool, "Whether it is going on right now."),
        column("created_at", Time, "When it was created."),
        column("updated_at", Time, "When it last changed. The cursor of this stream."),
        column("started_at", Time, "When the first peer joined; the creation when nobody did."),
        column("stopped_at", Time, "When it ended; null while it is going on."),
        column("duration", Number, "Seconds from `started_at` to `stopped_at`; null while it is going on."),
        column("ended_at", Time, "The end time that 100ms itself gives; null when it gives none."),
        column("peers", Entries(&PEERS), "Everybody who was in the session, ordered by when they joined.")
            .contains_personal(),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    memory: LiveSessions::MEMORY,
    sample: |client, info| info.sampled(client, Some(false)),
    ..StreamInfo::new("sessions", &TABLE, &[Endpoint::SESSIONS], PHASES, |context| {
        Arc::new(PagedList { live: Some(LiveSessions::new(&context)), context, derive })
    })
};

fn derive<'a>(fields: Fields<'a>, personal: &PersonalData) -> Result<(Times, Vec<Record<'a>>), RecordError> {
    let mut session = Session::of(&fields, personal)?;
    let mut record = Record::of(&TABLE, fields);
    session.people.sort_by(|a, b| {
        let joined = |at: Option<_>| (at.is_none(), at);
        joined(a.joined_at).cmp(&joined(b.joined_at)).then_with(|| a.id.cmp(&b.id))
    });
    record.set("created_at", session.times.created_at);
    record.set("updated_at", session.times.cursor);
    record.set("started_at", session.started_at);
    record.set("stopped_at", session.stopped_at);
    record.set("duration", session.stopped_at.map(|end| Value::Number(end.seconds_since(session.started_at))));
    record.set("peers", Value::Entries(session.people.into_iter().map(|person| person.record(&PEERS)).collect()));
    Ok((session.times, vec![record]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Timestamp;
    use crate::records::record::to_value;

    fn read(json: &str) -> Result<(serde_json::Value, Timestamp), RecordError> {
        let (times, records) = derive(serde_json::from_str(json).unwrap(), &PersonalData::Keep)?;
        Ok((to_value(&records[0]), times.changed))
    }

    fn record(json: &str) -> (serde_json::Value, Timestamp) {
        read(json).unwrap()
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
        assert!(record["stopped_at"].is_null() && record["duration"].is_null());
        assert_eq!(record["updated_at"], record["created_at"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |json: &str| read(json).unwrap_err().to_string();
        assert_eq!(error("{}"), "`id` of a record without `id` is missing");
        assert_eq!(error(r#"{"id":"s"}"#), "`created_at` of the record `s` is missing");
        assert_eq!(
            error(r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":"x"}"#),
            "`peers` of the record `s` is neither an object nor an array of peers"
        );
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
