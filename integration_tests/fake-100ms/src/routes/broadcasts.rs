//! Live and external streams: two lists and their single objects.

use super::page::{self, PageRequest};
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::server::response::Refusal;
use crate::workspace::broadcasts::{Kind, STATUSES};
use crate::workspace::model::Broadcast;
use crate::workspace::object_id::ObjectId;

const ALLOWED: [&str; 5] = ["room_id", "session_id", "status", "limit", "start"];

pub(super) fn list(ask: &Ask, kind: Kind) -> Body {
    let parameters = Parameters::parse(ask.query, &ALLOWED, &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    let (room_id, session_id) = (parameters.id("room_id")?, parameters.id("session_id")?);
    let status = parameters.word("status", STATUSES)?;
    let wanted = |broadcast: &Broadcast| {
        room_id.is_none_or(|id| broadcast.room_id == id)
            && session_id.is_none_or(|id| broadcast.session_id == id)
            && status.is_none_or(|status| broadcast.status == status)
    };
    let (all, readings) = (ask.workspace.broadcasts(kind), &ask.workspace.readings);
    let with_assets = match kind {
        Kind::Live => readings.live_streams_with_assets,
        Kind::External => readings.external_streams_with_assets,
    };
    let say = |broadcast: &Broadcast| answers::broadcasts::broadcast(ask.workspace, kind, broadcast, with_assets);
    page::answer(all, readings.recording_order, 0..all.len(), wanted, &page, say)
}

pub(super) fn single(ask: &Ask, kind: Kind, id: &str) -> Body {
    Parameters::parse(ask.query, &[], &[])?;
    let broadcast = ObjectId::parse(id).and_then(|id| ask.workspace.broadcasts(kind).get(id));
    let broadcast = broadcast.ok_or_else(|| Refusal::not_found("stream"))?;
    Ok(answers::broadcasts::broadcast(ask.workspace, kind, broadcast, true))
}
