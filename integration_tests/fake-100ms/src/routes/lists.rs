//! The five lists that go on by id: their filters and their orders.

use std::ops::Range;

use chrono::{DateTime, SubsecRound, Utc};

use super::page::{self, PageRequest};
use super::parameters::Parameters;
use super::{Ask, Body};
use crate::readings::{FilterPrecision, ListOrder, UnsetFilter};
use crate::server::response::Refusal;
use crate::workspace::Workspace;
use crate::workspace::model::{Asset, Recording, Room, Session};
use crate::workspace::shelf::{Shelf, Shelved};

pub(crate) const RECORDING_STATUSES: &[&str] =
    &["starting", "running", "stopping", "post_processing", "completed", "failed"];

const ASSET_STATUSES: &[&str] = &["completed", "failed"];

pub(super) fn sessions(ask: &Ask) -> Body {
    let allowed = ["active", "room_id", "after", "before", "limit", "start"];
    let parameters = Parameters::parse(ask.query, &allowed, &[])?;
    let page = PageRequest::parse(&parameters, ask.max_page, ask.shapes)?;
    let workspace = ask.workspace;
    let active = switch(&parameters, "active", workspace)?;
    let room_id = parameters.id("room_id")?;
    let bounds = created_bounds(&parameters, &workspace.sessions, workspace)?;
    let in_room = |session: &Session| room_id.is_none_or(|id| session.room_id == id);
    let order = workspace.readings.session_order;
    if active == Some(true) && order == ListOrder::NewestFirst && page::repeated_items(ask.shapes, page.limit) == 0 {
        return live_sessions(workspace, bounds, in_room, &page);
    }
    let wanted = |session: &Session| active.is_none_or(|active| session.is_live() == active) && in_room(session);
    page::answer(&workspace.sessions, order, bounds, wanted, &page, &workspace.readings)
}

/// The few live ones among a million are not searched for but known.
fn live_sessions(
    workspace: &Workspace,
    bounds: Range<usize>,
    wanted: impl Fn(&Session) -> bool,
    page: &PageRequest,
) -> Body {
    let sessions = &workspace.sessions;
    let end = page.start_in(sessions)?.map_or(bounds.end, |start| start.min(bounds.end));
    let live = workspace.live.range(bounds.start..end.max(bounds.start)).rev().copied();
    let positions = live.filter(|&position| wanted(&sessions[position]));
    Ok(page::render(sessions, positions, page, &workspace.readings))
}

pub(super) fn rooms(ask: &Ask) -> Body {
    let allowed = ["enabled", "after", "before", "name", "template_id", "limit", "start"];
    let parameters = Parameters::parse(ask.query, &allowed, &[])?;
    let page = PageRequest::parse(&parameters, ask.max_page, ask.shapes)?;
    let workspace = ask.workspace;
    let enabled = switch(&parameters, "enabled", workspace)?;
    let (name, template_id) = (parameters.text("name"), parameters.id("template_id")?);
    let bounds = created_bounds(&parameters, &workspace.rooms, workspace)?;
    let wanted = |room: &Room| {
        enabled.is_none_or(|enabled| room.enabled == enabled)
            && name.is_none_or(|name| room.name == name)
            && (template_id.is_none() || room.template_id == template_id)
    };
    let order = workspace.readings.room_order;
    page::answer(&workspace.rooms, order, bounds, wanted, &page, &workspace.readings)
}

pub(super) fn templates(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &["limit", "start"], &[])?;
    let page = PageRequest::parse(&parameters, ask.max_page, ask.shapes)?;
    let (shelf, readings) = (&ask.workspace.templates, &ask.workspace.readings);
    page::answer(shelf, readings.template_order, 0..shelf.len(), |_| true, &page, readings)
}

const OF_A_SESSION: [&str; 5] = ["room_id", "session_id", "status", "limit", "start"];

pub(super) fn recordings(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &OF_A_SESSION, &[])?;
    let page = PageRequest::parse(&parameters, ask.max_page, ask.shapes)?;
    let (room_id, session_id) = (parameters.id("room_id")?, parameters.id("session_id")?);
    let status = parameters.word("status", RECORDING_STATUSES)?;
    let wanted = |recording: &Recording| {
        room_id.is_none_or(|id| recording.room_id == id)
            && session_id.is_none_or(|id| recording.session_id == id)
            && status.is_none_or(|status| recording.status == status)
    };
    let (shelf, readings) = (&ask.workspace.recordings, &ask.workspace.readings);
    page::answer(shelf, readings.recording_order, 0..shelf.len(), wanted, &page, readings)
}

pub(super) fn assets(ask: &Ask) -> Body {
    let parameters = Parameters::parse(ask.query, &OF_A_SESSION, &[])?;
    let page = PageRequest::parse(&parameters, ask.max_page, ask.shapes)?;
    let (room_id, session_id) = (parameters.id("room_id")?, parameters.id("session_id")?);
    let status = parameters.word("status", ASSET_STATUSES)?;
    let wanted = |asset: &Asset| {
        room_id.is_none_or(|id| asset.room_id == id)
            && session_id.is_none_or(|id| asset.session_id == id)
            && status.is_none_or(|status| asset.status == status)
    };
    let (shelf, readings) = (&ask.workspace.assets, &ask.workspace.readings);
    page::answer(shelf, readings.recording_order, 0..shelf.len(), wanted, &page, readings)
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
fn created_bounds<T: Shelved>(
    parameters: &Parameters,
    shelf: &Shelf<T>,
    workspace: &Workspace,
) -> Result<Range<usize>, Refusal> {
    let readings = &workspace.readings;
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
    Ok(shelf.created_within(after, before, compared))
}
