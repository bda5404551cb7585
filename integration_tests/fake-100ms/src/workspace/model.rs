//! The objects of a workspace as they are, before the API says anything of them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Account;
use super::collection::Item;
use super::object_id::ObjectId;

pub(crate) type Time = DateTime<Utc>;

#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) description: Option<String>,
    pub(crate) app_id: ObjectId,
    pub(crate) recording_source_template: bool,
    pub(crate) enabled_source_template: bool,
    pub(crate) recording_info: Value,
    pub(crate) template_id: Option<ObjectId>,
    pub(crate) template_name: Option<String>,
    pub(crate) region: &'static str,
    pub(crate) large_room: bool,
    pub(crate) size: u64,
    pub(crate) max_duration_seconds: u64,
    pub(crate) polls: Value,
    pub(crate) webhook: Value,
    pub(crate) created_at: Time,
    /// `None` until somebody edits it.
    pub(crate) edited_at: Option<Time>,
}

impl Room {
    /// The account and the name.
    pub(crate) fn key(&self, account: &Account) -> String {
        format!("{}:{}", account.customer_id, self.name)
    }
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) id: ObjectId,
    pub(crate) room_id: ObjectId,
    pub(crate) app_id: ObjectId,
    pub(crate) user_id: Option<String>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) created_at: Time,
    /// `None` while it is live.
    pub(crate) ended_at: Option<Time>,
    pub(crate) updated_at: Time,
    /// The last update that was not its end.
    pub(crate) touched_at: Time,
}

#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) id: Uuid,
    /// Old entries do not repeat their id inside.
    pub(crate) repeats_id: bool,
    pub(crate) name: Box<str>,
    pub(crate) role: &'static str,
    pub(crate) user_id: Option<Box<str>>,
    /// Whether the deprecated `user`, the same as `user_id`, is there too.
    pub(crate) has_user: bool,
    pub(crate) metadata: Option<Box<str>>,
    pub(crate) joined_at: Time,
    /// `None` while connected.
    pub(crate) left_at: Option<Time>,
    /// It was the end of the session that made them leave.
    pub(crate) stayed_to_the_end: bool,
}

/// A UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

impl std::fmt::Display for Uuid {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = *b"00000000-0000-0000-0000-000000000000";
        // Where the digits stand: the hyphens stay as they are.
        let places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (place, nibble) in places.zip(nibbles) {
            text[place] = b"0123456789abcdef"[usize::from(nibble)];
        }
        out.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}

impl serde::Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Clone)]
pub(crate) struct Template {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    pub(crate) default: bool,
    pub(crate) app_id: Option<ObjectId>,
    pub(crate) roles: Value,
    pub(crate) settings: Value,
    pub(crate) destinations: Destinations,
    /// What stands for `destinations` in the template when it has none at all.
    pub(crate) no_destinations: NoDestinations,
    /// The bare array of recording configurations.
    pub(crate) recordings: Vec<Value>,
    pub(crate) plugins: Value,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

/// By kind, then by name.
#[derive(Clone, Default)]
pub(crate) struct Destinations {
    pub(crate) rtmp: Map<String, Value>,
    pub(crate) hls: Map<String, Value>,
    pub(crate) transcriptions: Map<String, Value>,
    pub(crate) browser_recordings: Map<String, Value>,
    /// Of a kind that no document knows; only shown under the reading that has it.
    pub(crate) simulcasts: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NoDestinations {
    Null,
    Empty,
    Absent,
}

#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) id: ObjectId,
    pub(crate) room_id: ObjectId,
    pub(crate) session_id: ObjectId,
    pub(crate) status: &'static str,
    pub(crate) meeting_url: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) asset_types: Vec<&'static str>,
    pub(crate) created_at: Time,
    pub(crate) started_at: Option<Time>,
    pub(crate) stopped_at: Option<Time>,
    pub(crate) updated_at: Time,
    pub(crate) started_by: Option<String>,
    pub(crate) stopped_by: Option<String>,
}

/// A live or an external stream. What only the other kind has is null.
#[derive(Clone)]
pub(crate) struct Broadcast {
    pub(crate) id: ObjectId,
    pub(crate) room_id: ObjectId,
    pub(crate) session_id: ObjectId,
    pub(crate) status: &'static str,
    pub(crate) meeting_url: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) playback_url: Option<String>,
    pub(crate) rtmp_urls: Value,
    pub(crate) resolution: Value,
    pub(crate) recording: Value,
    pub(crate) created_at: Time,
    pub(crate) started_at: Option<Time>,
    pub(crate) stopped_at: Option<Time>,
    pub(crate) updated_at: Time,
    pub(crate) started_by: Option<String>,
    pub(crate) stopped_by: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Asset {
    pub(crate) id: ObjectId,
    /// A recording, a live or an external stream, or one that is forgotten.
    pub(crate) job_id: ObjectId,
    pub(crate) room_id: ObjectId,
    pub(crate) session_id: ObjectId,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) path: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) duration: Value,
    pub(crate) thumbnails: Value,
    pub(crate) metadata: Value,
    pub(crate) created_at: Time,
    /// 100ms keeps its own files for 15 days only.
    pub(crate) file_gone: bool,
}

#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) room_id: ObjectId,
    pub(crate) timestamp: Time,
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
}

impl Event {
    /// Whether it reports a failure.
    pub(crate) fn has_error(&self) -> bool {
        !self.data["error"].is_null()
    }
}

/// As the `version` of every event.
pub(crate) const EVENT_VERSION: &str = "2.0";

macro_rules! items {
    ($($kind:ty: $changed_at:expr),* $(,)?) => {$(
        impl Item for $kind {
            fn id(&self) -> ObjectId {
                self.id
            }
            fn created_at(&self) -> Time {
                self.created_at
            }
            fn changed_at(&self) -> Time {
                let changed_at: fn(&$kind) -> Time = $changed_at;
                changed_at(self)
            }
        }
    )*};
}

items! {
    Room: |room| room.edited_at.unwrap_or(room.created_at),
    Session: |session| session.updated_at,
    Template: |template| template.updated_at,
    Recording: |recording| recording.updated_at,
    Broadcast: |broadcast| broadcast.updated_at,
    Asset: |asset| asset.created_at,
}
