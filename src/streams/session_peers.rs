//! `session_peers`: everybody's stay in each session, for tools that cannot unnest the `peers` of `sessions`.
//!
//! - **Source:** `/v2/sessions`, read as for `sessions`.
//! - **Cursor:** `updated_at`, the session's: when anything in it changes, all stays in it are looked at again, and those
//!   that have changed are written.
//! - **Open in the reference:** as for `sessions`; somebody without an id has the one derived in `session`.
//! - **On request:** part of `extra_streams` in the configuration.

use std::sync::Arc;

use super::paged_list::PagedList;
use super::session::{LiveSessions, PHASES, Person, Session};
use super::stream::{Sampled, StreamInfo, first_page};
use crate::api::{Client, Endpoint, Keyed, members_of};
use crate::records::Kind::{Bool, Dropped, Number, Text, Time};
use crate::records::{Fields, PersonalData, Record, RecordError, Table, Times, added_fields, column};

static TABLE: Table = Table {
    description: "Somebody's stay in a session.",
    columns: &[
        column("session_id", Text, "The session."),
        column("room_id", Text, "The room."),
        column("app_id", Text, "The app (workspace)."),
        column("id", Text, "Unique id of the peer. Somebody who joins again is another peer."),
        column("name", Text, "The name shown to others.").personal(),
        column("role", Text, "The role in the room's template."),
        column("user_id", Text, "Your own id of the user, as given when joining.").personal(),
        column("user", Dropped, "An older copy of the user's id."),
        column("metadata", Text, "What your app attached to the peer.").personal(),
        column("joined_at", Time, "When the peer joined."),
        column("left_at", Time, "When the peer left; null while connected."),
        column("duration", Number, "Seconds from `joined_at` to `left_at`; null while connected."),
        column("session_started_at", Time, "When the first peer joined; the creation of the session when nobody did."),
        column("session_stopped_at", Time, "When the session ended; null while it is going on."),
        column("session_active", Bool, "Whether the session is going on right now."),
        column("updated_at", Time, "When the session last changed. The cursor of this stream."),
    ],
};

pub(super) const INFO: StreamInfo = StreamInfo {
    primary_key: &["session_id", "id"],
    memory: LiveSessions::MEMORY,
    sample,
    ..StreamInfo::new("session_peers", &TABLE, &[Endpoint::SESSIONS], PHASES, |context| {
        Arc::new(PagedList { live: Some(LiveSessions::new(&context)), context, derive })
    })
};

fn derive<'a>(fields: Fields<'a>, personal: &PersonalData) -> Result<(Times, Vec<Record<'a>>), RecordError> {
    let mut session = Session::of(&fields, personal)?;
    let people = std::mem::take(&mut session.people).into_iter();
    Ok((session.times, people.map(|person| stay_of(&session, &fields, person)).collect()))
}

fn stay_of<'a>(session: &Session<'a>, fields: &Fields<'a>, person: Person<'a>) -> Record<'a> {
    person
        .record(&TABLE)
        .with("session_id", session.id.clone())
        .with("room_id", fields.get("room_id"))
        .with("app_id", fields.get("app_id"))
        .with("session_started_at", session.started_at)
        .with("session_stopped_at", session.stopped_at)
        .with("session_active", fields.get("active"))
        .with("updated_at", session.times.cursor)
}

fn sample<'c>(client: &'c Client, _: &'static StreamInfo) -> Sampled<'c> {
    let added = |page: Vec<Fields<'_>>| {
        let peers = page.iter().map(|session| members_of(session.get("peers")).unwrap_or_default());
        let peers: Vec<_> = peers.flat_map(|peers: Keyed<'_, Fields<'_>>| peers).map(|(_, peer)| peer).collect();
        added_fields(&TABLE, &peers)
    };
    Box::pin(first_page(client, Endpoint::SESSIONS, Some(false), added))
}
