//! The records a correct connector emits, computed from the workspace and not from the answers.
//!
//! One module per family of streams says what their records hold; `mask` says what is hidden.

mod broadcasts;
mod compare;
mod events;
mod mask;
mod presence;
mod quality;
mod recordings;
mod rooms;
mod sessions;
mod templates;
pub(crate) mod webhooks;

pub use self::compare::{is_same, key_of};

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::answers;
use crate::readings::Readings;
use crate::times::to_microseconds;
use crate::workspace::Workspace;
use crate::workspace::broadcasts::Kind;
use crate::workspace::model::Time;

/// The expected records of all fourteen streams.
///
/// Every field of a stream is present, null when the API has nothing; so are the fields of peers
/// and of recording assets. Durations of sessions and peers are floating-point numbers of seconds,
/// computed from the emitted times, which have microseconds. Under [`crate::Readings`] that hide
/// something (no `ended_at`, times without fraction) the truth is what can still be known.
///
/// Analytics events are those the API still answers, of the last 30 days. An inner object that the
/// API passes through is as the API says it, but for the secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Truth {
    /// Stream name → key → the full record. The key is the values of the primary key joined by `|`.
    pub streams: BTreeMap<String, BTreeMap<String, Value>>,
}

type Records = BTreeMap<String, Value>;

/// What a stream holds.
type RecordsOf = fn(&Workspace) -> Vec<Expected>;

/// One expected record: its key, its cursor as emitted, and the whole.
struct Expected {
    key: String,
    /// `None` for a stream that is always read whole.
    cursor: Option<String>,
    record: Value,
}

impl Truth {
    /// The truth of this moment about the streams that `is_wanted`: all of it, or what a read that begins at
    /// `start_date` gives.
    pub(crate) fn of(workspace: &Workspace, start_date: Option<Time>, is_wanted: impl Fn(&str) -> bool) -> Truth {
        // The emitted form sorts as the times do: fixed width, UTC.
        let start = start_date.map(to_microseconds);
        let streams: [(&str, RecordsOf); 14] = [
            ("sessions", sessions::sessions),
            ("rooms", rooms::rooms),
            ("active_room_peers", sessions::active_room_peers),
            ("templates", templates::templates),
            ("template_settings", templates::settings),
            ("templates_destinations", templates::destinations),
            ("analytics_events", events_and_moves),
            ("recordings", recordings::recordings),
            ("webhook_events", webhooks::events),
            ("live_streams", |workspace| broadcasts::records(workspace, Kind::Live)),
            ("external_streams", |workspace| broadcasts::records(workspace, Kind::External)),
            ("peer_quality", quality::records),
            ("session_peers", sessions::stays),
            ("recording_assets", recordings::assets),
        ];
        let wanted = streams.into_iter().filter(|(name, _)| is_wanted(name));
        let named = wanted.map(|(name, expect)| (name.to_owned(), collect(expect(workspace), start.as_deref())));
        Truth { streams: named.collect() }
    }
}

/// What the API reports, and who joined and left, which it tells with the sessions.
fn events_and_moves(workspace: &Workspace) -> Vec<Expected> {
    let mut events = events::events(workspace);
    events.append(&mut presence::joins_and_leaves(workspace));
    events
}

/// An entry inside a record, with what the API says of it besides.
fn entry(mut known: Value, readings: &Readings) -> Value {
    if let Some(fields) = known.as_object_mut().filter(|_| readings.unknown_entry_fields) {
        fields.extend(answers::unknown_fields());
    }
    known
}

fn collect(expected: Vec<Expected>, start: Option<&str>) -> Records {
    let is_read = |cursor: &str| start.is_none_or(|start| cursor >= start);
    let mut records = Records::new();
    for one in expected {
        if one.cursor.as_deref().is_none_or(is_read) {
            let former = records.insert(one.key, one.record);
            debug_assert!(former.is_none(), "two objects have one key");
        }
    }
    records
}
