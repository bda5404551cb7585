//! `webhook_events`: the deliveries of the last 30 days, which is all the API answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Expected;
use super::mask::{host, masked};
use crate::workspace::Workspace;
use crate::workspace::model::Uuid;
use crate::workspace::webhooks::{Delivery, KEPT};

pub(super) fn events(workspace: &Workspace) -> Vec<Expected> {
    last_of_each(workspace).into_values().map(|delivery| expect_delivery(workspace, delivery)).collect()
}

/// Only their keys, for a workspace with more of them than records fit into memory.
pub(crate) fn keys(workspace: &Workspace) -> impl Iterator<Item = String> {
    answered(workspace).iter().map(|delivery| delivery.id().to_string())
}

/// One delivery an event: they are in the order of their times.
fn last_of_each(workspace: &Workspace) -> BTreeMap<Uuid, &Delivery> {
    answered(workspace).iter().map(|delivery| (delivery.id(), delivery)).collect()
}

fn answered(workspace: &Workspace) -> &[Delivery] {
    let all = workspace.deliveries.all();
    let earliest = workspace.now - KEPT;
    if workspace.readings.has_webhook { &all[all.partition_point(|delivery| delivery.time < earliest)..] } else { &[] }
}

fn expect_delivery(workspace: &Workspace, delivery: &Delivery) -> Expected {
    let details = workspace.deliveries.details(delivery, &workspace.sessions);
    let time = workspace.readings.emitted(delivery.time);
    let room_id = match &details.data["room_id"] {
        Value::Null => details.session.room_id.into(),
        told => told.clone(),
    };
    let record = json!({
        "id": details.id,
        "type": delivery.kind(),
        "created_at": time,
        "room_id": room_id,
        "session_id": details.data["session_id"],
        "peer_id": details.data["peer_id"],
        "user_id": details.data["user_id"],
        "delivery": if delivery.failed { "failed" } else { "succeeded" },
        "error_reason": details.error_reason.map(|reason| reason.replace(details.url, &without_path(details.url))),
        "webhook_url": host(details.url),
        "data": masked(&details.data),
    });
    Expected { key: details.id.to_string(), cursor: Some(time), record }
}

/// As it stands in a sentence.
fn without_path(url: &str) -> String {
    format!("https://{}", host(url))
}

#[cfg(test)]
mod tests {
    use super::super::mask::host;

    #[test]
    fn only_the_host_of_a_url_is_said() {
        for (url, expected) in [
            ("https://hooks.example.com/100ms/KEY", "hooks.example.com"),
            ("https://api.example.org:8443/in?key=KEY", "api.example.org"),
            ("https://robot:KEY@inbox.example.net", "inbox.example.net"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
