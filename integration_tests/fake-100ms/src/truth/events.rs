//! `analytics_events` as the API reports them: those of the last 30 days, which is all the API answers.

use serde_json::{Value, json};

use super::Expected;
use super::mask::masked;
use crate::workspace::Workspace;
use crate::workspace::model::{EVENT_VERSION, Event};

pub(super) fn events(workspace: &Workspace) -> Vec<Expected> {
    let answered = workspace.events.iter().filter(|event| workspace.answers_event(event));
    answered.map(|event| expect_event(workspace, event)).collect()
}

fn expect_event(workspace: &Workspace, event: &Event) -> Expected {
    let time = workspace.readings.emitted(event.timestamp);
    let room_id = match &event.data["room_id"] {
        Value::Null => event.room_id.into(),
        told => told.clone(),
    };
    let record = json!({
        "id": event.id,
        "type": event.kind,
        "version": EVENT_VERSION,
        "created_at": time,
        "timestamp": time,
        "session_id": event.data["session_id"],
        "peer_id": event.data["peer_id"],
        "room_id": room_id,
        "user_id": event.data["user_id"],
        "source": "analytics",
        "data": masked(&event.data),
    });
    Expected { key: event.id.to_string(), cursor: Some(time), record }
}
