//! The answers about a single object: settings, destinations, live peers, files.

use chrono::TimeDelta;
use serde_json::Value;

use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::readings::{ExpiredFile, Nothing};
use crate::server::response::Refusal;
use crate::workspace::model::{Peer, Room, Template};
use crate::workspace::object_id::ObjectId;

pub(super) fn template_settings(ask: &Ask, id: &str) -> Body {
    Ok(to_json(&template(ask, id)?.settings))
}

pub(super) fn template_destinations(ask: &Ask, id: &str) -> Body {
    let readings = &ask.workspace.readings;
    let answer = answers::templates::destinations(&template(ask, id)?.destinations, readings);
    let answer = if readings.destinations_twice { answers::templates::in_both_spellings(answer) } else { answer };
    let has_some = answer.as_object().is_some_and(|kinds| !kinds.is_empty());
    nothing(ask).filter(|_| !has_some).unwrap_or_else(|| Ok(to_json(&answer)))
}

pub(super) fn template_recordings(ask: &Ask, id: &str) -> Body {
    let recordings = &template(ask, id)?.recordings;
    nothing(ask).filter(|_| recordings.is_empty()).unwrap_or_else(|| Ok(to_json(&Value::from(recordings.clone()))))
}

/// How an endpoint about one object says that there is nothing, where all say it in the same way.
pub(super) fn nothing(ask: &Ask) -> Option<Body> {
    Some(match ask.workspace.readings.nothing {
        Nothing::EachItsOwn => return None,
        Nothing::NoContent => Err(Refusal::no_content()),
        Nothing::EmptyBody => Ok(Vec::new()),
        Nothing::Null => Ok(b"null".to_vec()),
    })
}

fn template<'a>(ask: &Ask<'a>, id: &str) -> Result<&'a Template, Refusal> {
    Parameters::parse(ask.query, &[], &[])?;
    let template = ObjectId::parse(id).and_then(|id| ask.workspace.templates.get(id));
    template.ok_or_else(|| Refusal::not_found("template"))
}

fn to_json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

pub(super) fn active_room(ask: &Ask, room_id: &str) -> Body {
    Parameters::parse(ask.query, &[], &[])?;
    let workspace = ask.workspace;
    let room = room(ask, room_id)?;
    let session = workspace.live_session(room.id);
    let session = session.ok_or_else(|| Refusal::not_found("active room"))?;
    Ok(answers::sessions::active_room(session, &room.name, &workspace.account, &workspace.readings))
}

pub(super) fn active_peers(ask: &Ask, room_id: &str) -> Body {
    let parameters = Parameters::parse(ask.query, &["role", "user_id"], &[])?;
    let workspace = ask.workspace;
    let session = workspace.live_session(room(ask, room_id)?.id);
    if let Some(nothing) = nothing(ask).filter(|_| session.is_none_or(|session| session.connected().next().is_none())) {
        return nothing;
    }
    let wanted = |peer: &Peer| {
        let is = |name, told: Option<&str>| parameters.text(name).is_none_or(|wanted| told == Some(wanted));
        is("role", Some(peer.role)) && is("user_id", peer.user_id.as_deref())
    };
    let answer = answers::sessions::active_peers(session, &workspace.readings, wanted);
    answer.ok_or_else(|| Refusal::not_found("active room"))
}

fn room<'a>(ask: &Ask<'a>, id: &str) -> Result<&'a Room, Refusal> {
    let room = ObjectId::parse(id).and_then(|id| ask.workspace.rooms.get(id));
    room.ok_or_else(|| Refusal::not_found("room"))
}

pub(super) fn recording(ask: &Ask, id: &str) -> Body {
    Parameters::parse(ask.query, &[], &[])?;
    let recording = ObjectId::parse(id).and_then(|id| ask.workspace.recordings.get(id));
    let recording = recording.ok_or_else(|| Refusal::not_found("recording"))?;
    Ok(answers::recordings::recording(ask.workspace, recording, true))
}

/// Three days, the vendor's default.
const PRESIGNED: u32 = 3 * 24 * 3600;

pub(super) fn presigned_url(ask: &Ask, id: &str) -> Body {
    let parameters = Parameters::parse(ask.query, &["presign_duration"], &[])?;
    let seconds = parameters.number("presign_duration", 1..=7 * 24 * 3600)?;
    let asset = ObjectId::parse(id).and_then(|id| ask.workspace.assets.get(id));
    let asset = asset.ok_or_else(|| Refusal::not_found("recording asset"))?;
    let expiry = ask.workspace.now + TimeDelta::seconds(seconds.unwrap_or(PRESIGNED).into());
    let readings = &ask.workspace.readings;
    let answer = answers::recordings::presigned_answer(&ask.workspace.seen(asset), readings, expiry);
    answer.ok_or_else(|| match readings.expired_file {
        ExpiredFile::NotFound => Refusal::not_found("file"),
        ExpiredFile::BadRequest => Refusal::new(400, "recording asset has no file any more"),
    })
}
