//! A session and the people in it, read in one way for every stream that looks at them; and which sessions are going on.
//!
//! The id of a person is the one in the entry, or else the key of the entry. Where 100ms gives neither, the id is
//! derived from the session, the time of joining and the name, so that it is the same in every stream and sync: the
//! first 32 hexadecimal digits of SHA-256 of the three with a line feed between them, the name and the time as the
//! records have them. Whoever has all three in common with another person of the session gets `-2` behind it, `-3`
//! and so on.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::TimeDelta;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value as Json};

use super::recheck::Recheck;
use super::stream::{Slice, StreamContext};
use crate::api::{Keyed, members_of};
use crate::records::Kind::{Number, Text, Time};
use crate::records::{
    Fields, PersonalData, PersonalPlace, Record, RecordError, Table, Times, Timestamp, Value, as_bool, column, decoded,
    quoted, readable_id,
};

/// The people in a session.
pub(super) static PEERS: Table = Table {
    description: "Somebody who was in the session.",
    columns: &[
        column("id", Text, "Unique id of the peer. Somebody who joins again is another peer."),
        column("session_id", Text, "The session."),
        column("name", Text, "The name shown to others."),
        column("role", Text, "The role in the room's template."),
        column("user_id", Text, "Your own id of the user, as given when joining."),
        column("user", Text, "An older copy of the user's id."),
        column("metadata", Text, "What your app attached to the peer."),
        column("joined_at", Time, "When the peer joined."),
        column("left_at", Time, "When the peer left; null while connected."),
        column("duration", Number, "Seconds from `joined_at` to `left_at`; null while connected."),
    ],
};

/// The phase of the sessions that are going on, which comes first: one that ends in between is seen twice, never missed.
pub(super) const ACTIVE: &str = "active";
/// The phases of a stream of sessions.
pub(super) const PHASES: &[&str] = &[ACTIVE, "ended"];

/// A session's longest life, 12 h, and an hour for clocks and late writes.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(13);

/// What is read of `phase`: all sessions that are going on, however long ago they began, because they are few; of ended
/// ones, those that were created late enough to have changed since the cursor.
pub(super) fn slice_of(context: &StreamContext, phase: &str) -> Slice {
    match phase {
        ACTIVE => Slice::whole(phase),
        _ => Slice::since(phase, context.since.created(LONGEST)),
    }
}

/// A session.
pub(super) struct Session<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) room: Option<Cow<'a, str>>,
    pub(super) is_active: bool,
    pub(super) people: Vec<Person<'a>>,
    /// How many of the people have no id at 100ms.
    pub(super) without_id: u64,
    /// When the first person joined; the creation when nobody did.
    pub(super) started_at: Timestamp,
    /// When it ended, if it has.
    pub(super) stopped_at: Option<Timestamp>,
    /// `changed` is the last change of anything in it.
    pub(super) times: Times,
}

/// Somebody's stay in a session.
pub(super) struct Person<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) joined_at: Option<Timestamp>,
    pub(super) left_at: Option<Timestamp>,
    pub(super) fields: Fields<'a>,
}

impl<'a> Session<'a> {
    /// Reads a session, whose people's names are written as `personal` says.
    ///
    /// # Errors
    /// When an id or a time cannot be read, or `peers` are no entries.
    pub(super) fn of(fields: &Fields<'a>, personal: &PersonalData) -> Result<Self, RecordError> {
        let id = fields.id()?;
        let times = fields.times(&id)?;
        let ended_at = fields.time("ended_at", &id)?;
        let (people, without_id) = people_of(fields, &id, personal)?;
        let is_active = fields.get("active").and_then(|active| as_bool(active.get())) == Some(true);
        let session = Self {
            room: fields.text("room_id"),
            id,
            is_active,
            people,
            without_id,
            started_at: times.created,
            stopped_at: None,
            times,
        };
        Ok(session.dated(ended_at))
    }

    /// With its beginning and end, by what 100ms says of it (`ended_at` is its own word) and of the people in it.
    fn dated(mut self, ended_at: Option<Timestamp>) -> Self {
        let Times { created, changed, .. } = self.times;
        let moves = self.people.iter().flat_map(|person| [person.joined_at, person.left_at]);
        let last_moved = moves.flatten().max().unwrap_or(created).max(created);
        let all_left: Option<Vec<_>> = self.people.iter().map(|person| person.left_at).collect();
        let last_left = all_left.and_then(|left| left.into_iter().max());
        self.started_at = self.people.iter().filter_map(|person| person.joined_at).min().unwrap_or(created);
        let known = changed.max(last_moved);
        if !self.is_active {
            // 100ms closes a session some time after the last person without `left_at` has gone.
            self.stopped_at = Some(ended_at.or(last_left).unwrap_or(known).max(self.started_at));
        }
        self.times.changed = known.max(ended_at.unwrap_or(known));
        let has_undated_end = !self.is_active && ended_at.is_none();
        self.times.recheck_until = self.times.changed.max(if has_undated_end { created + LONGEST } else { created });
        self.times.ends_by = self.is_active.then_some(created + LONGEST);
        self
    }
}

/// The sessions that are going on. Where 100ms gives no `ended_at`, it can be that no time says that a session has ended:
/// `updated_at` may have moved before, and people may have no `left_at`. So the state names the sessions that a sync has
/// seen going on, and the next one reads their ends whatever their times are.
pub(super) struct LiveSessions {
    recheck: Recheck,
    /// All sessions that earlier syncs have seen going on are known, if they ended before this at the latest. Of others
    /// without a dated end, each may have been one.
    known_before: Option<Timestamp>,
    is_resumed: bool,
}

impl LiveSessions {
    /// The key of the state that names them.
    pub(super) const KEY: &str = "live";
    /// The keys of a state.
    pub(super) const MEMORY: &[&str] = &[Self::KEY];

    pub(super) fn new(context: &StreamContext) -> Self {
        let saved = context.memory.get(Self::KEY).filter(|saved| saved.is_array());
        let recheck = Recheck::of(saved);
        let is_resumed = context.since.sync_started_at.is_some();
        let is_first = !context.since.follows_a_sync() && !is_resumed;
        let known_before = match saved {
            Some(_) if recheck.is_full() => recheck.last(),
            _ => (saved.is_some() || is_first).then_some(Timestamp::MAX),
        };
        Self { recheck, known_before, is_resumed }
    }

    /// The times by which the session `id` is read in this sync, if it is. Where it is not known whether it was going on,
    /// it is read if its end is not dated and a sync may have seen it so.
    pub(super) fn due(&self, context: &StreamContext, id: &str, times: Times) -> Option<Times> {
        self.recheck.note(id, times.ends_by);
        let was_live = self.recheck.until(id).is_some() && times.changed >= context.since.start_date;
        let is_known = self.known_before.is_some_and(|known_before| times.recheck_until < known_before);
        let times = if is_known { Times { recheck_until: times.changed, ..times } } else { times };
        (was_live && times.ends_by.is_none() || context.is_due(&times)).then_some(times)
    }

    /// What the state remembers: `null` where a part of the sync was read by a process that did not know them all.
    pub(super) fn remember(&self, context: &StreamContext, is_finished: bool) -> Map<String, Json> {
        let are_known = self.known_before == Some(Timestamp::MAX);
        let live = match is_finished {
            false if !are_known => context.memory.get(Self::KEY).cloned().unwrap_or_default(),
            true if !are_known && self.is_resumed => Json::Null,
            _ => self.recheck.state(is_finished, context.began(), true),
        };
        Map::from_iter([(Self::KEY.to_owned(), live)])
    }
}

impl<'a> Person<'a> {
    /// The record of the stay, in a table that has at least the columns of [`PEERS`].
    pub(super) fn record(self, table: &'static Table) -> Record<'a> {
        let stay = self.joined_at.zip(self.left_at);
        Record::of(table, self.fields)
            .with("id", self.id)
            .with("joined_at", self.joined_at)
            .with("left_at", self.left_at)
            .with("duration", stay.map(|(joined, left)| Value::Number(left.seconds_since(joined))))
    }
}

/// The people in a session, and how many of their ids are derived.
fn people_of<'a>(
    session: &Fields<'a>,
    id: &str,
    personal: &PersonalData,
) -> Result<(Vec<Person<'a>>, u64), RecordError> {
    let members: Keyed<'a, Fields<'a>> = members_of(session.get("peers"))
        .map_err(|_| RecordError::new(Some(id), "peers", "is neither an object nor an array of peers"))?;
    let (mut people, mut without_id) = (Vec::with_capacity(members.len()), 0);
    let mut derived: HashMap<String, u32> = HashMap::new();
    for (key, fields) in members {
        let fields = fields.under(key.as_deref());
        let [joined_at, left_at] = [("joined_at", "peers.joined_at"), ("left_at", "peers.left_at")]
            .map(|(name, field)| fields.time(name, id).map_err(|error| RecordError { field, ..error }));
        let (joined_at, left_at) = (joined_at?, left_at?);
        let given = fields.text("id").or(key).filter(|id| !id.is_empty());
        let peer_id = match given {
            Some(peer_id) => readable_id(Some(peer_id), Some(id), "peers.id")?,
            None => {
                without_id += 1;
                let peer_id = derived_id(id, joined_at, &fields, personal);
                let twins = derived.entry(peer_id.clone()).or_default();
                *twins += 1;
                if *twins == 1 { peer_id.into() } else { format!("{peer_id}-{twins}").into() }
            }
        };
        people.push(Person { id: peer_id, joined_at, left_at, fields });
    }
    Ok((people, without_id))
}

/// An id for somebody to whom 100ms gives none. It must not tell a name that the records do not have.
fn derived_id(session: &str, joined_at: Option<Timestamp>, peer: &Fields<'_>, personal: &PersonalData) -> String {
    let name = quoted(&peer.text("name").unwrap_or_default());
    let name = personal.hidden(&name, PersonalPlace::Personal);
    let name = decoded(&name);
    let joined_at = joined_at.map(|time| time.to_string()).unwrap_or_default();
    let digest = digest(&SHA256, format!("{session}\n{joined_at}\n{name}").as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peers: &str, personal: &PersonalData) -> Result<Vec<String>, RecordError> {
        let json = format!(r#"{{"peers":{peers}}}"#);
        let (people, _) = people_of(&serde_json::from_str(&json).unwrap(), "s", personal)?;
        Ok(people.into_iter().map(|person| person.id.into_owned()).collect())
    }

    fn ids(peers: &str, personal: &PersonalData) -> Vec<String> {
        read(peers, personal).unwrap()
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
        let hashed = PersonalData::hashed("a salt for tests");
        assert_ne!(of("Ada", &hashed), of("Bob", &hashed));
        assert_ne!(of("Ada", &hashed), of("Ada", &PersonalData::hashed("another one")));
    }

    #[test]
    fn an_id_that_cannot_be_read_is_an_error() {
        for peers in [r#"[{"id":"a\u0000"}]"#, r#"{"a\ud83d":{}}"#] {
            let error = read(peers, &PersonalData::Keep).unwrap_err();
            assert_eq!((error.id.as_deref(), error.field), (Some("s"), "peers.id"));
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::parse("2024-05-01T10:00:00Z").unwrap() + TimeDelta::minutes(minute)
    }

    /// Of a session created at 0 and updated at 60: minutes from its beginning to its end.
    fn session(
        updated: i64,
        ended_at: Option<i64>,
        is_active: bool,
        stays: &[(Option<i64>, Option<i64>)],
    ) -> Session<'static> {
        let person = |(joined, left): &(Option<i64>, Option<i64>)| Person {
            id: "p".into(),
            joined_at: joined.map(at),
            left_at: left.map(at),
            fields: Fields::default(),
        };
        let session = Session {
            id: "s".into(),
            room: None,
            is_active,
            people: stays.iter().map(person).collect(),
            without_id: 0,
            started_at: at(0),
            stopped_at: None,
            times: Times::new(at(0), at(updated)),
        };
        session.dated(ended_at.map(at))
    }

    fn ends(ended_at: Option<i64>, stays: &[(Option<i64>, Option<i64>)]) -> i64 {
        let session = session(60, ended_at, false, stays);
        let end = session.stopped_at.unwrap();
        assert!(end >= session.started_at);
        (end.seconds_since(at(0)) / 60.0) as i64
    }

    #[test]
    fn the_end_is_the_best_that_is_known() {
        let (left, stayed) = ((Some(1), Some(30)), (Some(2), None));
        assert_eq!(ends(Some(40), &[left, stayed]), 40, "100ms says it");
        assert_eq!(ends(None, &[left, (Some(2), Some(25))]), 30, "everybody has left");
        assert_eq!(ends(None, &[left, stayed]), 60, "somebody left when the session ended");
        assert_eq!(ends(None, &[(Some(1), Some(70)), stayed]), 70, "100ms has not touched it since");
        assert_eq!(ends(None, &[(Some(75), None)]), 75);
        assert_eq!(ends(None, &[]), 60);
        assert_eq!(ends(Some(5), &[(Some(10), None)]), 10, "never before it began");
        assert_eq!(ends(None, &[(Some(50), Some(20))]), 50);
    }

    #[test]
    fn an_end_without_a_date_is_looked_at_again_for_as_long_as_a_session_may_last() {
        let recheck_until = |updated, ended_at: Option<i64>, is_active, stays: &[_]| {
            let stays: Vec<_> =
                stays.iter().map(|(joined, left): &(i64, Option<i64>)| (Some(*joined), *left)).collect();
            let times = session(updated, ended_at, is_active, &stays).times;
            (times.recheck_until.seconds_since(at(0)) / 60.0) as i64
        };
        assert_eq!(recheck_until(0, None, false, &[]), 780);
        assert_eq!(recheck_until(0, None, true, &[]), 0, "it is going on");
        assert_eq!(session(0, None, true, &[]).times.ends_by, Some(at(780)));
        assert_eq!(session(0, None, false, &[]).times.ends_by, None);
        assert_eq!(recheck_until(0, Some(60), false, &[]), 60);
        assert_eq!(recheck_until(20, None, false, &[(1, Some(20))]), 780);
        assert_eq!(recheck_until(20, None, false, &[(1, Some(10)), (20, None)]), 780, "the last to move has joined");
        assert_eq!(recheck_until(21, None, false, &[(1, Some(20))]), 780, "it may have been saved a moment later");
        assert_eq!(recheck_until(800, None, false, &[]), 800);
    }
}
