//! What 100ms answers, borrowed from the answer's text.
//!
//! A field is kept as the JSON it came as ([`Raw`]): most values travel to the warehouse unread, so
//! neither a number's spelling nor an escape is rebuilt, and only what the connector computes with is
//! ever parsed. `null` and absent are the same. Fields the vendor adds later are kept in `other`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value as the API wrote it; `None` for `null` or absent.
pub type Raw<'a> = Option<&'a RawValue>;

/// An object key, borrowed unless it holds escapes.
#[derive(serde::Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord, Clone)]
#[serde(transparent)]
pub struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Declares an object of the API: its known fields (the preferred spelling first), the duplicates to
/// drop, and `other` for the rest.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($field:ident = $($key:literal)|+),+ $(,)? } drops [$($dropped:literal),*])*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name<'a> {
            $(#[doc = concat!("The API's", $(" `", $key, "`"),+, ".")] pub $field: Raw<'a>,)+
            /// Fields this version does not know, in the order they came.
            pub other: Vec<(Cow<'a, str>, &'a RawValue)>,
        }

        impl<'de> Deserialize<'de> for $name<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $name<'de>;
                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("an object")
                    }
                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                        let mut answer = $name::default();
                        while let Some(Key(key)) = map.next_key()? {
                            match key.as_ref() {
                                $(name if [$($key),+].contains(&name) => {
                                    let preferred = name == [$($key),+][0];
                                    let value: Raw<'de> = map.next_value()?;
                                    answer.$field = match answer.$field {
                                        Some(other_spelling) if !preferred => Some(other_spelling),
                                        // A `null` never hides the other spelling of the same field.
                                        other_spelling => value.or(other_spelling),
                                    };
                                })+
                                $($dropped => { map.next_value::<IgnoredAny>()?; })*
                                _ => if let Some(value) = map.next_value::<Raw<'de>>()? {
                                    answer.other.push((key, value));
                                },
                            }
                        }
                        Ok(answer)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    )*};
}

answers! {
    /// A session: one continuous use of a room.
    Session {
        id = "id" | "_id", room_id = "room_id", customer_id = "customer_id", app_id = "app_id",
        user_id = "user_id", active = "active", peers = "peers", created_at = "created_at",
        updated_at = "updated_at", ended_at = "ended_at",
    } drops ["customer"]

    /// Somebody who was in a session, or is in an active room now.
    Peer {
        id = "id", session_id = "session_id", name = "name", role = "role", user_id = "user_id",
        user = "user", metadata = "metadata", joined_at = "joined_at", left_at = "left_at",
    } drops []

    /// A room.
    Room {
        id = "id" | "_id", name = "name", enabled = "enabled", description = "description",
        customer_id = "customer_id" | "customer", app_id = "app_id",
        recording_source_template = "recording_source_template",
        enabled_source_template = "enabled_source_template", recording_info = "recording_info",
        template_id = "template_id", region = "region", key = "key",
        large_room = "large_room", size = "size", max_duration_seconds = "max_duration_seconds",
        polls = "polls", webhook = "webhook", created_at = "created_at", updated_at = "updated_at",
    } drops ["template"]

    /// A template: roles, settings and destinations that rooms are made from.
    Template {
        id = "id" | "_id", name = "name", default = "default",
        customer_id = "customer_id" | "customerId" | "customer", app_id = "app_id" | "appId",
        roles = "roles", settings = "settings", destinations = "destinations", plugins = "plugins",
        created_at = "created_at" | "createdAt", updated_at = "updated_at" | "updatedAt",
    } drops []

    /// A recording.
    Recording {
        id = "id" | "_id", room_id = "room_id", session_id = "session_id", status = "status",
        created_at = "created_at", started_at = "started_at", stopped_at = "stopped_at",
        updated_at = "updated_at", started_by = "started_by", stopped_by = "stopped_by",
        meeting_url = "meeting_url", destination = "destination", asset_types = "asset_types",
        recording_assets = "recording_assets",
    } drops []

    /// A file that belongs to a recording (or to a live stream).
    Asset {
        id = "id" | "_id", job_id = "job_id", room_id = "room_id", session_id = "session_id",
        kind = "type", status = "status", path = "path", size = "size", duration = "duration",
        thumbnails = "thumbnails", metadata = "metadata", created_at = "created_at",
    } drops []

    /// Something that happened in a room.
    Event {
        id = "id", version = "version", timestamp = "timestamp", kind = "type", data = "data",
    } drops []

    /// What the connector lifts from an event's `data`.
    EventData {
        room_id = "room_id", session_id = "session_id", peer_id = "peer_id", user_id = "user_id",
    } drops []
}

/// The members of an object or array, each with its key (an array's members have none).
///
/// The reference calls `peers` an array while every sample shows an object keyed by id; both are read.
pub struct Members<'a, T>(pub Keyed<'a, T>);

/// Values, each with its key when it had one.
pub type Keyed<'a, T> = Vec<(Option<Cow<'a, str>>, T)>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Members<'de, T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object or an array")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, Option<T>>()? {
                    members.extend(value.map(|value| (Some(key), value)));
                }
                Ok(Members(members))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut members = Vec::new();
                while let Some(value) = seq.next_element::<Option<T>>()? {
                    members.extend(value.map(|value| (None, value)));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'a, T: Deserialize<'a>> Members<'a, T> {
    /// Reads the members of `raw`; nothing when it is `null` or absent.
    ///
    /// # Errors
    /// When `raw` is neither an object nor an array, or a member is not what `T` expects.
    pub fn of(raw: Raw<'a>) -> Result<Keyed<'a, T>, serde_json::Error> {
        raw.map_or(Ok(Vec::new()), |raw| Ok(serde_json::from_str::<Self>(raw.get())?.0))
    }
}

/// A page of an id-paged list.
#[derive(serde::Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct ListPage<T> {
    pub(super) limit: Option<u64>,
    pub(super) data: Option<Vec<T>>,
    pub(super) last: Option<String>,
}

/// A page of analytics events.
#[derive(serde::Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct EventPage<T> {
    pub(super) next: Option<String>,
    pub(super) events: Option<Vec<T>>,
}

/// Who is in an active room.
#[derive(serde::Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct PeersAnswer<T> {
    pub(super) peers: Option<T>,
}

/// A link to a file.
#[derive(serde::Deserialize)]
pub(super) struct PresignedUrl {
    pub(super) url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_null_hides_neither() {
        let template: Template<'_> =
            serde_json::from_str(r#"{"_id":"a","createdAt":"x","created_at":null,"new":1,"gone":null}"#).unwrap();
        assert_eq!(template.id.unwrap().get(), r#""a""#);
        assert_eq!(template.created_at.unwrap().get(), r#""x""#);
        let other: Vec<_> = template.other.iter().map(|(key, value)| (key.as_ref(), value.get())).collect();
        assert_eq!(other, [("new", "1")]);
    }

    #[test]
    fn an_escaped_key_is_the_same_key() {
        let peer: Peer<'_> = serde_json::from_str(r#"{"\u006eame":"Zoë"}"#).unwrap();
        assert_eq!(peer.name.unwrap().get(), "\"Zoë\"");
    }

    #[test]
    fn members_come_from_objects_arrays_and_null() {
        let read = |json: &'static str| -> Vec<Option<String>> {
            let raw: Raw<'_> = serde_json::from_str(json).unwrap();
            let members: Keyed<'_, Peer<'_>> = Members::of(raw).unwrap();
            members.into_iter().map(|(key, _)| key.map(Cow::into_owned)).collect()
        };
        assert_eq!(read(r#"{"a":{},"b":null}"#), [Some("a".into())]);
        assert_eq!(read(r#"[{},null]"#), [None]);
        assert!(read("null").is_empty());
    }
}
