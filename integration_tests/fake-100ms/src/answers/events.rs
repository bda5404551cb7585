//! Analytics events.

use serde_json::json;

use super::to_json;
use crate::readings::Readings;
use crate::workspace::model::{EVENT_VERSION, Event};

pub(crate) fn event(event: &Event, readings: &Readings) -> Vec<u8> {
    to_json(&json!({
        "version": EVENT_VERSION,
        "id": event.id,
        "timestamp": readings.write(event.timestamp),
        "type": event.kind,
        "data": event.data,
    }))
}
