//! The quality of one peer's call in a session that is over.

use super::children::nothing;
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::readings::MissingStats;
use crate::server::response::Refusal;
use crate::workspace::object_id::ObjectId;

pub(super) fn peer_stats(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &["peer_id", "session_id"], &[])?;
    let required = |name: &'static str| {
        let missing = || Refusal::unexpected(format!("`{name}` is missing: expected `peer_id` and `session_id`"));
        parameters.text(name).ok_or_else(missing)
    };
    let (peer_id, session_id) = (required("peer_id")?, required("session_id")?);
    let workspace = ask.workspace;
    let session = ObjectId::parse(session_id).and_then(|id| workspace.sessions.get(id));
    let session = session.ok_or_else(|| Refusal::not_found("session"))?;
    let peer = session.peers.iter().find(|peer| peer.id.to_string() == peer_id);
    let tracks = peer.map(|peer| workspace.tracks(session, peer)).unwrap_or_default();
    if let Some(nothing) = nothing(ask).filter(|_| tracks.is_empty()) {
        return nothing;
    }
    if tracks.is_empty() && workspace.readings.missing_stats == MissingStats::NotFound {
        return Err(Refusal::not_found("peer stats"));
    }
    let has_nulls = workspace.readings.missing_stats == MissingStats::Null;
    Ok(answers::quality::peer_stats(session, peer_id, &tracks, has_nulls))
}
