//! Answers that hold more or less than documented.

use serde_json::{Map, Value, json};

use crate::faults::Fault;

/// Applies what the faults say about the content of a good answer.
pub(crate) fn apply(body: Vec<u8>, shapes: &[Fault]) -> Vec<u8> {
    let changes_content = |fault: &Fault| matches!(fault, Fault::UnknownFields | Fault::NullFields(_));
    if !shapes.iter().any(changes_content) {
        return body;
    }
    let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    for fault in shapes {
        match fault {
            Fault::UnknownFields => add_unknown(&mut answer),
            Fault::NullFields(keys) => nullify(&mut answer, keys),
            _ => {}
        }
    }
    answer.to_string().into_bytes()
}

/// In the envelope, in every item of a list, and in every peer. Not inside opaque objects (roles,
/// settings, a destination's configuration): there, every field is a legitimate one.
fn add_unknown(answer: &mut Value) {
    let Some(envelope) = answer.as_object_mut() else {
        return;
    };
    let is_page = envelope.contains_key("limit");
    for key in ["data", "events"] {
        for item in envelope.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            add_unknown_to_item(item);
        }
    }
    add_unknown_to_peers(envelope);
    if is_page {
        extend(envelope);
    }
}

fn add_unknown_to_item(item: &mut Value) {
    if let Some(item) = item.as_object_mut() {
        add_unknown_to_peers(item);
        extend(item);
    }
}

fn add_unknown_to_peers(holder: &mut Map<String, Value>) {
    let peers: Vec<&mut Value> = match holder.get_mut("peers") {
        Some(Value::Array(peers)) => peers.iter_mut().collect(),
        Some(Value::Object(peers)) => peers.values_mut().collect(),
        _ => Vec::new(),
    };
    for peer in peers.into_iter().filter_map(Value::as_object_mut) {
        extend(peer);
    }
}

fn extend(object: &mut Map<String, Value>) {
    object.insert("fieldFromTheFuture".to_owned(), json!("new"));
    object.insert("future_object".to_owned(), json!({"nested": [1, {"deep": true}], "none": null}));
    object.insert("future_count".to_owned(), json!(7));
}

/// Objects and arrays under these keys become null; a list only when it is empty, as a full page
/// that says null would be a lie and not an oddity.
fn nullify(value: &mut Value, keys: &[String]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| nullify(item, keys)),
        Value::Object(members) => {
            for (key, member) in members {
                if keys.contains(key) && may_be_null(key, member) {
                    *member = Value::Null;
                }
                nullify(member, keys);
            }
        }
        _ => {}
    }
}

fn may_be_null(key: &str, member: &Value) -> bool {
    match member {
        Value::Array(items) if matches!(key, "data" | "events") => items.is_empty(),
        Value::Object(_) | Value::Array(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(answer: Value, fault: Fault) -> Value {
        let body = apply(answer.to_string().into_bytes(), &[fault]);
        serde_json::from_slice(&body).expect("still JSON")
    }

    #[test]
    fn unknown_fields_come_at_every_level_that_has_fields() {
        let answer = json!({"limit": 10, "data": [{"id": "a", "peers": {"p": {}}}]});
        let answer = shaped(answer, Fault::UnknownFields);
        assert_eq!(answer["future_count"], 7);
        assert_eq!(answer["data"][0]["future_count"], 7);
        assert_eq!(answer["data"][0]["peers"]["p"]["future_count"], 7);
        let settings = json!({"region": "in"});
        assert_eq!(shaped(settings.clone(), Fault::UnknownFields), settings);
    }

    #[test]
    fn objects_become_null_but_items_are_never_lost() {
        let fault = Fault::NullFields(vec!["peers".into(), "data".into(), "id".into()]);
        let answer = shaped(json!({"data": [{"id": "a", "peers": {}}]}), fault.clone());
        assert_eq!(answer, json!({"data": [{"id": "a", "peers": null}]}));
        assert_eq!(shaped(json!({"data": []}), fault), json!({"data": null}));
    }
}
