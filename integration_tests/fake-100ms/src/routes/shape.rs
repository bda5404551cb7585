//! Answers that hold more, less or something else than documented.

use serde_json::{Map, Value};

use super::secrets::Planter;
use crate::answers::unknown_fields;
use crate::faults::{BAD_BYTE, Fault};

/// Applies what the faults say about the content of a good answer.
pub(crate) fn apply(body: Vec<u8>, shapes: &[Fault], token: &str, planter: &mut Planter) -> Vec<u8> {
    let said = shapes.iter().find_map(|fault| match fault {
        Fault::Says(text) => Some(with_bad_bytes(text)),
        _ => None,
    });
    if let Some(said) = said {
        return said;
    }
    if !shapes.iter().any(changes_content) {
        return body;
    }
    let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let mut raw = RawTexts::default();
    for fault in shapes {
        change(&mut answer, fault, token, planter, &mut raw);
    }
    with_bad_bytes(&raw.put_into(answer.to_string()))
}

/// The text with bytes that are not UTF-8 where it holds [`BAD_BYTE`].
fn with_bad_bytes(text: &str) -> Vec<u8> {
    text.split(BAD_BYTE).map(str::as_bytes).collect::<Vec<_>>().join(&0xff)
}

fn changes_content(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::UnknownFields
            | Fault::NullFields(_)
            | Fault::LimitText(_)
            | Fault::SetMember { .. }
            | Fault::AddMember { .. }
            | Fault::PlantSecrets
            | Fault::TokenAsId
            | Fault::TokenAsPageToken
            | Fault::HeavyItems(_)
    )
}

fn change(answer: &mut Value, fault: &Fault, token: &str, planter: &mut Planter, raw: &mut RawTexts) {
    match fault {
        Fault::UnknownFields => add_unknown(answer),
        Fault::NullFields(keys) => nullify(answer, keys),
        Fault::LimitText(text) => {
            if let Some(limit) = answer.get_mut("limit") {
                *limit = raw.stand_in(text).into();
            }
        }
        Fault::SetMember { key, json } => set_member(answer, key, &raw.stand_in(json).into()),
        Fault::AddMember { key, json } => {
            let (key, value) = (raw.stand_in(key), Value::from(raw.stand_in(json)));
            for_each_item(answer, &mut |item| drop(item.insert(key.clone(), value.clone())));
        }
        Fault::PlantSecrets => planter.plant(answer),
        Fault::TokenAsId => for_each_top_item(answer, &mut |item| drop(item.insert("id".to_owned(), token.into()))),
        Fault::TokenAsPageToken => {
            for key in ["last", "next"] {
                if let Some(page_token) = answer.get_mut(key).filter(|one| one.is_string()) {
                    *page_token = token.into();
                }
            }
        }
        Fault::HeavyItems(bytes) => {
            let padding = Value::from("x".repeat(*bytes));
            for_each_top_item(answer, &mut |item| drop(item.insert("padding".to_owned(), padding.clone())));
        }
        _ => {}
    }
}

/// JSON texts that go out as they stand, whether or not they are good JSON. In the answer each has a
/// stand-in until the answer is text.
#[derive(Default)]
struct RawTexts(Vec<String>);

impl RawTexts {
    fn stand_in(&mut self, text: &str) -> String {
        self.0.push(text.to_owned());
        stand_in(self.0.len() - 1)
    }

    fn put_into(&self, mut answer: String) -> String {
        for (number, text) in self.0.iter().enumerate() {
            answer = answer.replace(&format!("\"{}\"", stand_in(number)), text);
        }
        answer
    }
}

/// From the private use area, so that no other text is the same.
fn stand_in(number: usize) -> String {
    format!("\u{f8ff}{number}\u{f8ff}")
}

fn set_member(value: &mut Value, name: &str, new: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| set_member(item, name, new)),
        Value::Object(members) => {
            for (key, member) in members {
                if key == name { *member = new.clone() } else { set_member(member, name, new) }
            }
        }
        _ => {}
    }
}

/// The items of a page; an answer about a single object is an item itself.
fn for_each_top_item(answer: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(envelope) = answer.as_object_mut() else {
        return;
    };
    let mut is_page = false;
    for key in ["data", "events"] {
        if let Some(items) = envelope.get_mut(key).and_then(Value::as_array_mut) {
            is_page = true;
            items.iter_mut().filter_map(Value::as_object_mut).for_each(&mut *change);
        }
    }
    if !is_page && !envelope.contains_key("limit") && !envelope.contains_key("peers") {
        change(envelope);
    }
}

/// The same, and every peer.
fn for_each_item(answer: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    for_each_top_item(answer, &mut |item| {
        peers_of(item).for_each(&mut *change);
        change(item);
    });
    if let Some(envelope) = answer.as_object_mut() {
        peers_of(envelope).for_each(change);
    }
}

fn peers_of(holder: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let peers: Vec<&mut Value> = match holder.get_mut("peers") {
        Some(Value::Array(peers)) => peers.iter_mut().collect(),
        Some(Value::Object(peers)) => peers.values_mut().collect(),
        _ => Vec::new(),
    };
    peers.into_iter().filter_map(Value::as_object_mut)
}

/// In the envelope and in every item of a list. Not in what comes inside a record: peers and files
/// have their own, see [`crate::Readings::unknown_entry_fields`]. Not inside opaque objects either
/// (roles, settings, a destination's configuration): there, every field is a legitimate one.
fn add_unknown(answer: &mut Value) {
    let Some(envelope) = answer.as_object_mut() else {
        return;
    };
    let is_page = envelope.contains_key("limit");
    for key in ["data", "events"] {
        let items = envelope.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        for item in items.filter_map(Value::as_object_mut).filter(|item| !item.contains_key("job_id")) {
            item.extend(unknown_fields());
        }
    }
    if is_page {
        envelope.extend(unknown_fields());
    }
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
    use serde_json::json;

    use super::*;

    fn shaped(answer: Value, fault: Fault) -> Value {
        serde_json::from_str(&text(answer, fault)).expect("still JSON")
    }

    fn text(answer: Value, fault: Fault) -> String {
        let body = apply(answer.to_string().into_bytes(), &[fault], "head.claims.mark", &mut Planter::default());
        String::from_utf8(body).expect("UTF-8")
    }

    #[test]
    fn values_go_out_as_they_stand() {
        let answer = json!({"limit": 10, "data": [{"id": "a", "name": "n", "peers": {"p": {"name": "m"}}}]});
        let set = |key: &str, json: &str| Fault::SetMember { key: key.into(), json: json.into() };
        let broken = text(answer.clone(), set("name", "\"\\ud800\""));
        assert_eq!(broken.matches("\"name\":\"\\ud800\"").count(), 2);
        assert!(text(answer.clone(), Fault::LimitText("1e30".into())).contains("\"limit\":1e30"));
        let added = Fault::AddMember { key: "\"\\ud800\"".into(), json: "1e400".into() };
        assert_eq!(text(answer.clone(), added).matches("\"\\ud800\":1e400").count(), 2);
        assert_eq!(text(answer.clone(), Fault::Says("{}".into())), "{}");
        let bad = Fault::SetMember { key: "name".into(), json: format!("\"a{BAD_BYTE}\"") };
        let body = apply(answer.to_string().into_bytes(), &[bad], "", &mut Planter::default());
        assert_eq!(body.iter().filter(|byte| **byte == 0xff).count(), 2);
    }

    #[test]
    fn the_token_comes_back_and_items_grow() {
        let answer = json!({"limit": 10, "data": [{"id": "a"}], "last": "a"});
        assert_eq!(shaped(answer.clone(), Fault::TokenAsId)["data"][0]["id"], "head.claims.mark");
        assert_eq!(shaped(answer.clone(), Fault::TokenAsPageToken)["last"], "head.claims.mark");
        assert!(text(answer, Fault::HeavyItems(5_000)).len() > 5_000);
    }

    #[test]
    fn unknown_fields_come_in_pages_and_their_items() {
        let answer = json!({"limit": 10, "data": [{"id": "a", "peers": {"p": {}}}]});
        let answer = shaped(answer, Fault::UnknownFields);
        assert_eq!(answer["future_count"], 7);
        assert_eq!(answer["data"][0]["future_count"], 7);
        assert_eq!(answer["data"][0]["peers"]["p"], json!({}));
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
