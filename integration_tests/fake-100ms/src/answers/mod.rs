//! What the API says of the objects: their JSON, under the readings in force.
//!
//! Also the few facts that an answer and the truth must agree on, because a reading decides them.

pub(crate) mod broadcasts;
pub(crate) mod events;
pub(crate) mod quality;
pub(crate) mod recordings;
pub(crate) mod rooms;
pub(crate) mod sessions;
pub(crate) mod templates;
pub(crate) mod webhooks;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::workspace::object_id::ObjectId;

/// Some objects say null where they have nothing, some say nothing: `id` decides.
fn null_or_absent(fields: &mut Map<String, Value>, id: ObjectId) {
    if id.scrambled().is_multiple_of(2) {
        fields.retain(|_, value| !value.is_null());
    }
}

#[expect(clippy::expect_used, reason = "text keys and finite numbers always make JSON")]
fn to_json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("JSON")
}

/// The members of a `json!` object.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Three members that no document knows.
pub(crate) fn unknown_fields() -> [(String, Value); 3] {
    [
        ("fieldFromTheFuture".to_owned(), json!("new")),
        ("future_object".to_owned(), json!({"nested": [1, {"deep": true}], "none": null})),
        ("future_count".to_owned(), json!(7)),
    ]
}
