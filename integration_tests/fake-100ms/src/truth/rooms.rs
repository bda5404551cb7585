//! `rooms`: without the duplicates `customer` and `template`.

use serde_json::json;

use super::Expected;
use super::mask::{masked, masked_webhook};
use crate::workspace::Workspace;
use crate::workspace::collection::Item;
use crate::workspace::model::Room;

pub(super) fn rooms(workspace: &Workspace) -> Vec<Expected> {
    let expect = |room| expect_room(workspace, room);
    workspace.rooms.iter().map(expect).collect()
}

fn expect_room(workspace: &Workspace, room: &Room) -> Expected {
    let readings = &workspace.readings;
    // "Never edited" is the time of creation, however the API says it.
    let updated_at = readings.emitted(readings.known_change(room.id, room.created_at, room.changed_at()));
    let record = json!({
        "id": room.id,
        "name": room.name,
        "enabled": room.enabled,
        "description": room.description,
        "customer_id": workspace.account.customer_id,
        "app_id": room.app_id,
        "recording_source_template": room.recording_source_template,
        "enabled_source_template": room.enabled_source_template,
        "recording_info": masked(&room.recording_info),
        "template_id": room.template_id,
        "region": room.region,
        "key": room.key(&workspace.account),
        "large_room": room.large_room,
        "size": room.size,
        "max_duration_seconds": room.max_duration_seconds,
        "polls": room.polls,
        "webhook": masked_webhook(&room.webhook),
        "created_at": readings.emitted(readings.known_creation(room.id, room.created_at)),
        "updated_at": updated_at,
    });
    Expected { key: room.id.to_string(), cursor: Some(updated_at), record }
}
