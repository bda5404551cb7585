//! The people in a session, read in one way for every stream that looks at them.
//!
//! The id of a person is the one in the entry, or else the key of the entry. Where 100ms gives neither, the id is
//! derived from the session, the time of joining and the name, so that it is the same in every stream and sync: the
//! first 32 hexadecimal digits of SHA-256 of the three with a line feed between them, the name and the time as the
//! records have them. Whoever has all three in common with another person of the session gets `-2` behind it, `-3`
//! and so on.

use std::collections::HashMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::contract::RecordError;
use super::personal::{self, PersonalData};
use super::record::{Computed, Identity, hide_entry, readable_id, record};
use super::time::{Time, Timestamp};
use super::values::{Text, text};
use super::walk::{inner, quoted};
use crate::api::{Keyed, Members, Raw};

record! {
    /// Somebody who was in the session.
    PeerEntry {
        /// Unique id of the peer. Somebody who joins again is another peer.
        id: Identity<'a>,
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
        joined_at: Time,
        /// When the peer left; null while connected.
        left_at: Time,
        /// Seconds from `joined_at` to `left_at`; null while connected.
        duration: Computed<f64>,
    }
}

/// An entry of a session's `peers`, and what else a stream wants of it.
pub(super) trait Person<'a>: Deserialize<'a> {
    /// The entry.
    fn entry(&mut self) -> &mut PeerEntry<'a>;
}

impl<'a> Person<'a> for PeerEntry<'a> {
    fn entry(&mut self) -> &mut Self {
        self
    }
}

/// An entry with its text.
pub(super) struct WithText<'a> {
    pub(super) entry: PeerEntry<'a>,
    pub(super) text: &'a RawValue,
}

impl<'a> Deserialize<'a> for WithText<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        Ok(Self { entry: serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?, text })
    }
}

impl<'a> Person<'a> for WithText<'a> {
    fn entry(&mut self) -> &mut PeerEntry<'a> {
        &mut self.entry
    }
}

/// The people in a session.
pub(super) struct People<P> {
    /// All of them, each with an id.
    pub(super) all: Vec<P>,
    /// How many of the ids are derived.
    pub(super) without_id: u64,
}

impl<P> People<P> {
    /// Reads the `peers` of the session `session`, whose names are written as `personal` says.
    ///
    /// # Errors
    /// When they are no entries, or one of them has a time or an id that cannot be read.
    pub(super) fn of<'a>(peers: Raw<'a>, session: &str, personal: &PersonalData) -> Result<Self, RecordError>
    where
        P: Person<'a>,
    {
        let members: Keyed<'a, P> = Members::of(peers)
            .map_err(|_| RecordError::new(Some(session), "peers", "is neither an object nor an array of peers"))?;
        let mut people = Self { all: Vec::with_capacity(members.len()), without_id: 0 };
        let mut derived: HashMap<String, u32> = HashMap::new();
        for (key, mut person) in members {
            let entry = person.entry();
            let has_joined = entry.joined_at != Time::Never;
            hide_entry(key.as_deref(), entry, has_joined);
            let joined_at = entry.joined_at.readable(session, "peers.joined_at")?;
            let left_at = entry.left_at.readable(session, "peers.left_at")?;
            entry.duration.0 = joined_at.zip(left_at).map(|(joined_at, left_at)| left_at.seconds_since(joined_at));
            let given = entry.id.0.take().or(key).filter(|id| !id.is_empty());
            let id = match given {
                Some(id) => readable_id(Some(id), Some(session), "peers.id")?,
                None => {
                    people.without_id += 1;
                    let id = derived_id(session, joined_at, entry, personal);
                    let twins = derived.entry(id.clone()).or_default();
                    *twins += 1;
                    if *twins == 1 { id.into() } else { format!("{id}-{twins}").into() }
                }
            };
            entry.id.0 = Some(id);
            people.all.push(person);
        }
        Ok(people)
    }
}

/// An id for somebody to whom 100ms gives none. It must not tell a name that the records do not have.
fn derived_id(session: &str, joined_at: Option<Timestamp>, entry: &PeerEntry<'_>, personal: &PersonalData) -> String {
    let name = text(entry.name.0).unwrap_or_default();
    let name = match personal.hiding() {
        Some(hiding) => inner(&hiding.hidden(&quoted(&name), personal::Place::Personal)).to_owned(),
        None => name.into_owned(),
    };
    let joined_at = joined_at.map(|time| time.to_string()).unwrap_or_default();
    let digest = digest(&SHA256, format!("{session}\n{joined_at}\n{name}").as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::personal::Salt;
    use super::*;

    fn ids(peers: &str, personal: &PersonalData) -> Vec<String> {
        let raw: Raw<'_> = serde_json::from_str(peers).unwrap();
        let people = People::<PeerEntry<'_>>::of(raw, "s", personal).unwrap();
        people.all.into_iter().map(|peer| peer.id.0.unwrap().into_owned()).collect()
    }

    #[test]
    fn everybody_has_the_id_of_the_entry_or_its_key_or_one_of_their_own() {
        let of = |peers: &str| ids(peers, &PersonalData::Keep);
        assert_eq!(of(r#"{"k":{"id":"a"},"b":{},"c":{"id":null},"d":{"id":""},"e":null}"#), ["a", "b", "c", "d"]);
        let [ada] = &of(r#"[{"name":"Ada","joined_at":"2024-05-01T10:00:00Z"}]"#)[..] else { panic!("not one") };
        // echo -n 's'$'\n''2024-05-01T10:00:00.000000Z'$'\n''Ada' | sha256sum
        assert_eq!(ada, "a0aa35ed79e452c4b58283648d37c55e");
        let same = [
            r#"{"":{"name":"\u0041da","joined_at":"2024-05-01T12:00:00+0200","role":"host"}}"#,
            r#"[{"id":null,"name":"Ada","joined_at":"2024-05-01T10:00:00.0Z","left_at":"2024-05-01T11:00:00Z"}]"#,
        ];
        assert!(same.iter().all(|peers| of(peers) == [ada.clone()]));
        let others = of(r#"[{"name":"Bob","joined_at":"2024-05-01T10:00:00Z"},{"name":"Ada"},{},{}]"#);
        assert!(!others.contains(ada));
        assert_eq!(others[3], format!("{}-2", others[2]));
    }

    #[test]
    fn a_derived_id_tells_no_name_that_is_hidden() {
        let of = |name: &str, personal: &PersonalData| ids(&format!(r#"[{{"name":"{name}"}}]"#), personal);
        assert_eq!(of("Ada", &PersonalData::Drop), of("Bob", &PersonalData::Drop));
        let hashed = PersonalData::Hash(Salt::new("a salt for tests"));
        assert_ne!(of("Ada", &hashed), of("Bob", &hashed));
        assert_ne!(of("Ada", &hashed), of("Ada", &PersonalData::Hash(Salt::new("another one"))));
    }

    #[test]
    fn an_id_that_cannot_be_read_is_an_error() {
        for peers in [r#"[{"id":"a\u0000"}]"#, r#"{"a\ud83d":{}}"#] {
            let raw: Raw<'_> = serde_json::from_str(peers).unwrap();
            let error = People::<PeerEntry<'_>>::of(raw, "s", &PersonalData::Keep).err().unwrap();
            assert_eq!((error.id.as_deref(), error.field), (Some("s"), "peers.id"));
        }
    }
}
