//! Rooms.

use serde_json::json;

use super::{members, null_or_absent, to_json};
use crate::readings::Readings;
use crate::workspace::Account;
use crate::workspace::collection::Item;
use crate::workspace::model::Room;

pub(crate) fn room(room: &Room, account: &Account, readings: &Readings) -> Vec<u8> {
    let mut fields = members(json!({
        "id": room.id,
        "name": room.name,
        "enabled": room.enabled,
        "description": room.description,
        "customer_id": account.customer_id,
        "customer": account.customer_id,
        "app_id": room.app_id,
        "recording_source_template": room.recording_source_template,
        "enabled_source_template": room.enabled_source_template,
        "recording_info": room.recording_info,
        "template_id": room.template_id,
        "template": room.template_name,
        "region": room.region,
        "key": room.key(account),
        "large_room": room.large_room,
        "size": room.size,
        "max_duration_seconds": room.max_duration_seconds,
        "polls": room.polls,
        "webhook": room.webhook,
        "created_at": readings.write_created_at(room.id, room.created_at),
        "updated_at": readings.write_updated_at(room.id, room.created_at, room.changed_at()),
    }));
    null_or_absent(&mut fields, room.id);
    to_json(&fields)
}
