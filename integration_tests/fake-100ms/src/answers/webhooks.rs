//! Webhook deliveries.

use serde_json::{Value, json};

use super::to_json;
use crate::workspace::Workspace;
use crate::workspace::webhooks::Delivery;

pub(crate) fn delivery(workspace: &Workspace, delivery: &Delivery) -> Vec<u8> {
    let details = workspace.deliveries.details(delivery, &workspace.sessions);
    let mut answer = json!({
        "event_id": details.id,
        "event_name": delivery.name(),
        "room_id": details.session.room_id,
        "event_timestamp": workspace.readings.write(delivery.time),
        "payload": {
            "event_data": details.data,
            "webhook_url": details.url,
            "original_event_name": delivery.kind(),
            "error_reason": details.error_reason,
        },
    });
    // What worked has no reason: some say null, some nothing.
    let says_nothing = details.id.0[0].is_multiple_of(2);
    if let Some(payload) = answer["payload"].as_object_mut().filter(|_| says_nothing) {
        payload.retain(|key, value| key != "error_reason" || *value != Value::Null);
    }
    to_json(&answer)
}
