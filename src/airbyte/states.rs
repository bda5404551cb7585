//! Saved states, in every form in which platforms and people keep them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::input::{InputError, shown, unreadable};

/// The saved states by stream, and what was passed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SavedStates {
    /// `stream_state` by stream name.
    pub by_stream: HashMap<String, Value>,
    /// What was there and is not used, for the log.
    pub ignored: Vec<String>,
}

/// Reads a state file in any of the forms platforms and people have: a list of messages, a single one,
/// a global one, the legacy map of stream to state, or nothing (`[]`, `{}`, `null`).
///
/// # Errors
/// When it is none of these: a state that is not understood must not become a full read.
pub fn read_states(states: &Value) -> Result<SavedStates, InputError> {
    let mut saved = SavedStates::default();
    match states {
        Value::Null => {}
        Value::Array(entries) => entries.iter().try_for_each(|entry| saved.read_entry(entry))?,
        Value::Object(entry) if is_message(entry) => saved.read_entry(states)?,
        Value::Object(by_stream) => saved.read_map(by_stream)?,
        _ => return unreadable("holds neither a list of states nor an object: use what the last sync wrote"),
    }
    Ok(saved)
}

fn is_message(entry: &Map<String, Value>) -> bool {
    entry.get("type").is_some_and(Value::is_string)
        || entry.get("stream").is_some_and(|stream| stream.get("stream_descriptor").is_some())
}

impl SavedStates {
    fn read_entry(&mut self, entry: &Value) -> Result<(), InputError> {
        let known = |key: &str| entry.get(key).filter(|value| !value.is_null());
        match entry.get("type").and_then(Value::as_str) {
            // A whole message, as the connector wrote it.
            Some("STATE") => match known("state") {
                Some(state) => self.read_entry(state),
                None => unreadable("has a message of type STATE without `state`: use what the last sync wrote"),
            },
            Some("GLOBAL") => match known("global").or(known("global_")) {
                Some(global) => self.read_global(global),
                None => unreadable("has a state of type GLOBAL without `global`: use what the last sync wrote"),
            },
            Some("LEGACY") => match known("data") {
                Some(Value::Object(by_stream)) => self.read_map(by_stream),
                _ => unreadable("has a state of type LEGACY without `data`: use what the last sync wrote"),
            },
            Some("STREAM") | None => match known("stream") {
                Some(stream) => self.read_stream(stream),
                None => unreadable("has an entry without `stream`: use what the last sync wrote"),
            },
            Some(other) => unreadable(format!(
                "has an entry with the unknown `type` `{}`: use what the last sync wrote",
                shown(other)
            )),
        }
    }

    fn read_global(&mut self, global: &Value) -> Result<(), InputError> {
        let is_something =
            |shared: &Value| !shared.is_null() && shared.as_object().is_none_or(|shared| !shared.is_empty());
        if global.get("shared_state").is_some_and(is_something) {
            self.ignored.push("the shared part of a global state".into());
        }
        match global.get("stream_states") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(streams)) => streams.iter().try_for_each(|stream| self.read_stream(stream)),
            Some(_) => unreadable("has `global.stream_states` that is not a list: use what the last sync wrote"),
        }
    }

    fn read_stream(&mut self, stream: &Value) -> Result<(), InputError> {
        let name =
            stream.get("stream_descriptor").and_then(|descriptor| descriptor.get("name")).and_then(Value::as_str);
        match name {
            Some(name) => self.keep(name, stream.get("stream_state").unwrap_or(&Value::Null)),
            None => unreadable("has a state without `stream_descriptor.name`: use what the last sync wrote"),
        }
    }

    fn read_map(&mut self, by_stream: &Map<String, Value>) -> Result<(), InputError> {
        by_stream.iter().try_for_each(|(name, state)| self.keep(name, state))
    }

    /// Null asks for everything again: the platform's way to fill a new column.
    fn keep(&mut self, name: &str, state: &Value) -> Result<(), InputError> {
        match state {
            Value::Null => {
                self.by_stream.remove(name);
            }
            Value::Object(_) => {
                self.by_stream.insert(name.to_owned(), state.clone());
            }
            _ => {
                return unreadable(format!(
                    "gives the stream `{}` a state that is not an object: use what the last sync wrote",
                    shown(name)
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_are_read_in_every_form() {
        let state = json!({"updated_at": "x"});
        let stream = json!({"stream_descriptor": {"name": "rooms", "namespace": null}, "stream_state": state});
        for form in [
            json!([{"type": "STREAM", "stream": stream, "sourceStats": {"recordCount": 1.0}, "id": 3}]),
            json!({"type": "STREAM", "stream": stream}),
            json!([{"stream": stream, "global_": null, "data": null, "type": "STREAM"}]),
            json!({"stream": stream}),
            json!([{"type": "GLOBAL", "global": {"shared_state": {}, "stream_states": [stream]}}]),
            json!([{"type": "LEGACY", "data": {"rooms": state}}]),
            json!({"rooms": state}),
            json!([{"type": "STATE", "state": {"type": "STREAM", "stream": stream}}]),
        ] {
            let saved = read_states(&form).unwrap();
            assert_eq!(saved.by_stream.get("rooms"), Some(&state), "{form}");
            assert!(saved.ignored.is_empty());
        }
        for nothing in [
            json!([]),
            json!({}),
            json!(null),
            json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": null}}]),
        ] {
            assert_eq!(read_states(&nothing).unwrap(), SavedStates::default());
        }
        for wrong in [
            json!(5),
            json!("x"),
            json!([5]),
            json!([{}]),
            json!({"type": "ODD"}),
            json!({"rooms": 5}),
            json!([{"type": "STREAM", "stream": {}}]),
        ] {
            assert!(read_states(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_state_of_a_stream_counts() {
        let entry = |state: Value| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": state}});
        let saved = read_states(&json!([entry(json!({"a": 1})), entry(json!({"a": 2}))])).unwrap();
        assert_eq!(saved.by_stream["rooms"], json!({"a": 2}));
        let reset = read_states(&json!([entry(json!({"a": 1})), entry(json!(null))])).unwrap();
        assert!(reset.by_stream.is_empty());
    }
}
