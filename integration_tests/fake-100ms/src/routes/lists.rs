//! The five lists that go on by id: their filters and their orders.

use std::ops::Range;

use chrono::{DateTime, SubsecRound, Utc};

use super::page::{self, PageRequest};
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::answers;
use crate::faults::Fault;
use crate::readings::{FilterPrecision, ListOrder, UnsetFilter};
use crate::server::response::Refusal;
use crate::workspace::Workspace;
use crate::workspace::collection::{Collection, Item};
use crate::workspace::model::{Asset, Recording, Room, Session, Template};

pub(crate) const RECORDING_STATUSES: &[&str] =
    &["starting", "running", "stopping", "post_processing", "completed", "failed"];

const ASSET_STATUSES: &[&str] = &["processing", "completed", "failed"];

pub(super) fn sessions(ask: &Ask) -> Body {
    let allowed = ["active", "room_id", "after", "before", "limit", "start"];
    let parameters = Parameters::parse(ask.query, &allowed, &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    let workspace = ask.workspace;
    let say = |session: &Session| answers::sessions::session(session, &workspace.account, &workspace.readings);
    let active = switch(&parameters, "active", workspace)?;
    let room_id = parameters.id("room_id")?;
    let bounds = created_bounds(&parameters, &workspace.sessions, ask)?;
    let in_room = |session: &Session| room_id.is_none_or(|id| session.room_id == id);
    let order = workspace.readings.session_order;
    let looks_back = |fault: &Fault| matches!(fault, Fault::ShiftedItems(_) | Fault::EarlierPageToken);
    let is_plain = order == ListOrder::NewestFirst && !ask.shapes.iter().any(looks_back);
    if active == Some(true) && is_plain && workspace.lag.is_none() {
        return live_sessions(workspace, bounds, in_room, &page, say);
    }
    let wanted = |session: &Session| active.is_none_or(|active| session.is_live() == active) && in_room(session);
    page::answer(&workspace.sessions, order, bounds, wanted, &page, say)
}

/// The few live ones among a million are not searched for but known.
fn live_sessions(
    workspace: &Workspace,
    bounds: Range<usize>,
    wanted: impl Fn(&Session) -> bool,
    page: &PageRequest,
    say: impl Fn(&Session) -> Vec<u8>,
) -> Body {
    let sessions = &workspace.sessions;
    let end = page.start_in(sessions)?.map_or(bounds.end, |start| start.min(bounds.end));
    let live = workspace.live.range(bounds.start..end.max(bounds.start)).rev().copied();
    let positions = live.filter(|&position| wanted(&sessions[position]));
    Ok(page::render(sessions, positions, page, None, say))
}

pub(super) fn rooms(ask: &Ask) -> Body {
    let allowed = ["enabled", "after", "before", "name", "template_id", "limit", "start"];
    let parameters = Parameters::parse(ask.query, &allowed, &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    let workspace = ask.workspace;
    let enabled = switch(&parameters, "enabled", workspace)?;
    let (name, template_id) = (parameters.text("name"), parameters.id("template_id")?);
    let bounds = created_bounds(&parameters, &workspace.rooms, ask)?;
    let wanted = |room: &Room| {
        enabled.is_none_or(|enabled| room.enabled == enabled)
            && name.is_none_or(|name| room.name == name)
            && (template_id.is_none() || room.template_id == template_id)
    };
    let say = |room: &Room| answers::rooms::room(room, &workspace.account, &workspace.readings);
    page::answer(&workspace.rooms, workspace.readings.room_order, bounds, wanted, &page, say)
}

pub(super) fn templates(ask: &Ask) -> Body {
    let (workspace, readings) = (ask.workspace, &ask.workspace.readings);
    let say = |template: &Template| answers::templates::template(template, &workspace.account, readings);
    plain(ask, &workspace.templates, readings.template_order, say)
}

/// A list without filters.
pub(super) fn plain<T: Item>(ask: &Ask, all: &Collection<T>, order: ListOrder, say: impl Fn(&T) -> Vec<u8>) -> Body {
    let parameters = Parameters::parse(ask.query, &["limit", "start"], &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    page::answer(all, order, 0..all.len(), |_| true, &page, say)
}

const OF_A_SESSION: [&str; 5] = ["room_id", "session_id", "status", "limit", "start"];

pub(super) fn recordings(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &OF_A_SESSION, &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    let (room_id, session_id) = (parameters.id("room_id")?, parameters.id("session_id")?);
    let status = parameters.word("status", RECORDING_STATUSES)?;
    let wanted = |recording: &Recording| {
        room_id.is_none_or(|id| recording.room_id == id)
            && session_id.is_none_or(|id| recording.session_id == id)
            && status.is_none_or(|status| recording.status == status)
    };
    let (all, readings) = (&ask.workspace.recordings, &ask.workspace.readings);
    let say = |recording: &Recording| answers::recordings::recording(ask.workspace, recording, readings.inline_assets);
    page::answer(all, readings.recording_order, 0..all.len(), wanted, &page, say)
}

pub(super) fn assets(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &OF_A_SESSION, &[])?;
    let page = PageRequest::parse(&parameters, ask)?;
    let (room_id, session_id) = (parameters.id("room_id")?, parameters.id("session_id")?);
    let status = parameters.word("status", ASSET_STATUSES)?;
    let wanted = |asset: &Asset| {
        room_id.is_none_or(|id| asset.room_id == id)
            && session_id.is_none_or(|id| asset.session_id == id)
            && status.is_none_or(|status| ask.workspace.seen(asset).status == status)
    };
    let (all, readings) = (&ask.workspace.assets, &ask.workspace.readings);
    let say = |asset: &Asset| answers::recordings::asset(&ask.workspace.seen(asset), readings);
    page::answer(all, readings.recording_order, 0..all.len(), wanted, &page, say)
}

/// `active` or `enabled`; `None` lets both through.
fn switch(parameters: &Parameters, name: &str, workspace: &Workspace) -> Result<Option<bool>, Refusal> {
    let unset = match workspace.readings.unset_filter {
        UnsetFilter::True => Some(true),
        UnsetFilter::Both => None,
    };
    Ok(parameters.flag(name)?.or(unset))
}

/// The items created within `after` and `before`, both inclusive.
fn created_bounds<T: Item>(
    parameters: &Parameters,
    collection: &Collection<T>,
    ask: &Ask,
) -> Result<Range<usize>, Refusal> {
    let readings = &ask.workspace.readings;
    let compared = |time: DateTime<Utc>| match readings.filter_precision {
        FilterPrecision::Full => readings.visible(time),
        FilterPrecision::Seconds => time.trunc_subsecs(0),
    };
    let cut = |time: DateTime<Utc>| match readings.filter_precision {
        FilterPrecision::Full => time,
        FilterPrecision::Seconds => time.trunc_subsecs(0),
    };
    let after = parameters.time("after", readings.time_filters)?.map(cut);
    let before = parameters.time("before", readings.time_filters)?.map(cut);
    if ask.shapes.contains(&Fault::IgnoresTimes) {
        return Ok(0..collection.len());
    }
    Ok(collection.created_within(after, before, compared))
}
