//! Saved states, in every form in which platforms and people keep them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::input::shown;

/// The form that every platform keeps, for sentences about files that are not understood.
const FORM: &str = r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"…"},"stream_state":{…}}}]"#;
/// Keys under which runners keep states, so that an object with nothing else to go by is looked for there.
const WRAPPINGS: [&str; 9] = [
    "state",
    "states",
    "stream_states",
    "streamStates",
    "streamState",
    "globalState",
    "singer_state",
    "bookmarks",
    "value",
];

/// The saved states by stream, and what was passed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SavedStates {
    /// `stream_state` by stream name.
    pub by_stream: HashMap<String, Value>,
    /// What stands beside the state of a stream as `file`: how far it covers the file of the stream.
    pub files: HashMap<String, Value>,
    /// Sentences about what was there and is not used.
    pub warnings: Vec<String>,
}

/// Reads a state file in any of the forms platforms and people have: a list of messages, a single one, a global one,
/// the content of one, the legacy map of stream to state, or nothing (`[]`, `{}`, `null`). A map is a state when it
/// names one of the `streams` of this connector.
///
/// # Errors
/// When it is none of these: a state that is not understood must not become a full read.
pub fn read_states(states: &Value, streams: &[&str]) -> Result<SavedStates, String> {
    let mut saved = SavedStates::default();
    saved.add(states, streams)?;
    Ok(saved)
}

impl SavedStates {
    /// Adds states in any of these forms; the later one of a stream counts.
    ///
    /// # Errors
    /// As for [`read_states`].
    pub fn add(&mut self, states: &Value, streams: &[&str]) -> Result<(), String> {
        match states {
            Value::Null => Ok(()),
            Value::Object(nothing) if nothing.is_empty() => Ok(()),
            Value::Array(entries) => entries.iter().try_for_each(|entry| self.add_entry(entry, streams)),
            entry => self.add_entry(entry, streams),
        }
    }

    fn add_entry(&mut self, entry: &Value, streams: &[&str]) -> Result<(), String> {
        match entry["type"].as_str() {
            // A whole message, as the connector wrote it.
            Some("STATE") => match given(entry, "state").or(given(entry, "value")) {
                Some(state) => self.add(state, streams),
                None => unusable("has a message of type STATE without `state`"),
            },
            Some("GLOBAL") => match given(entry, "global").or(given(entry, "global_")) {
                Some(global) => self.add_global(global),
                None => unusable("has a state of type GLOBAL without `global`"),
            },
            Some("LEGACY") => match &entry["data"] {
                Value::Object(by_stream) => self.add_map(by_stream),
                _ => unusable("has a state of type LEGACY without `data`"),
            },
            Some("STREAM") | None => self.add_untold(entry, streams),
            Some(other) => unusable(&format!("has an entry with the unknown `type` `{}`", shown(other))),
        }
    }

    /// Adds the state of a stream, or an entry whose form only its keys tell.
    fn add_untold(&mut self, entry: &Value, streams: &[&str]) -> Result<(), String> {
        if let Some(stream) = given(entry, "stream").or(descriptor(entry).map(|_| entry)) {
            let name = self.add_stream(stream)?;
            self.files.extend(given(entry, "file").map(|file| (name, file.clone())));
            return Ok(());
        }
        match (entry, WRAPPINGS.into_iter().find_map(|key| given(entry, key))) {
            (Value::Object(map), _) if map.keys().any(|key| streams.contains(&key.as_str())) => self.add_map(map),
            (_, Some(wrapped @ (Value::Object(_) | Value::Array(_)))) => self.add(wrapped, streams),
            _ => unusable(&format!("holds no state in a form that is known here (such as `{FORM}`)")),
        }
    }

    fn add_global(&mut self, global: &Value) -> Result<(), String> {
        if given(global, "shared_state").is_some_and(|shared| *shared != json!({})) {
            let warning = "The state has the shared part of a global state, which this connector does not use.";
            self.warnings.push(warning.into());
        }
        match &global["stream_states"] {
            Value::Null => Ok(()),
            Value::Array(streams) => streams.iter().try_for_each(|stream| self.add_stream(stream).map(drop)),
            _ => unusable("has `global.stream_states` that is not a list"),
        }
    }

    /// Adds the state of one stream; returns its name.
    fn add_stream(&mut self, stream: &Value) -> Result<String, String> {
        let Some(name) = descriptor(stream).and_then(|descriptor| descriptor["name"].as_str()) else {
            return unusable("has a state without `stream_descriptor.name`");
        };
        let is_alone = |keys: &Map<String, Value>| keys.values().filter(|value| !value.is_null()).count() == 1;
        let state = match stream.get("stream_state").or(stream.get("streamState")) {
            Some(state) => state,
            // Some writers leave a null out. Where there is something else, a state may be meant.
            None if stream.as_object().is_none_or(is_alone) => &Value::Null,
            None => {
                return unusable(&format!(
                    "has a state of the stream `{}` without `stream_state` (it looks like `{FORM}`)",
                    shown(name)
                ));
            }
        };
        self.keep(name, state)?;
        Ok(name.to_owned())
    }

    fn add_map(&mut self, by_stream: &Map<String, Value>) -> Result<(), String> {
        by_stream.iter().try_for_each(|(name, state)| self.keep(name, state))
    }

    /// Null asks for everything again: the platform's way to fill a new column.
    fn keep(&mut self, name: &str, state: &Value) -> Result<(), String> {
        match state {
            Value::Null => _ = self.by_stream.remove(name),
            Value::Object(_) => _ = self.by_stream.insert(name.to_owned(), state.clone()),
            _ => return unusable(&format!("gives the stream `{}` a state that is not an object", shown(name))),
        }
        Ok(())
    }
}

fn unusable<T>(problem: &str) -> Result<T, String> {
    Err(format!("{problem}: use what the last sync wrote"))
}

/// The value under `key`, unless it is null.
fn given<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn descriptor(stream: &Value) -> Option<&Value> {
    given(stream, "stream_descriptor").or(given(stream, "streamDescriptor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: [&str; 2] = ["rooms", "sessions"];

    #[test]
    fn states_are_read_in_every_form() {
        let state = json!({"updated_at": "x"});
        let stream = json!({"stream_descriptor": {"name": "rooms", "namespace": null}, "stream_state": state});
        let camel = json!({"streamDescriptor": {"name": "rooms"}, "streamState": state});
        for form in [
            json!([{"type": "STREAM", "stream": stream, "sourceStats": {"recordCount": 1.0}, "id": 3}]),
            json!({"type": "STREAM", "stream": stream}),
            json!([{"stream": stream, "global_": null, "data": null, "type": "STREAM"}]),
            json!({"stream": stream}),
            stream.clone(),
            json!([stream]),
            camel.clone(),
            json!([camel]),
            json!({"type": "STREAM", "stream_descriptor": {"name": "rooms"}, "stream_state": state}),
            json!({"stateType": "stream", "state": null, "streamState": [camel], "globalState": null}),
            json!({"stateType": "global", "globalState": {"sharedState": null, "streamStates": [camel]}}),
            json!([{"type": "GLOBAL", "global": {"shared_state": {}, "stream_states": [stream]}}]),
            json!([{"type": "LEGACY", "data": {"rooms": state}}]),
            json!({"rooms": state}),
            json!([{"rooms": state}]),
            json!({"state": {"rooms": state, "chats": {}}}),
            json!({"singer_state": {"bookmarks": {"rooms": state}}}),
            json!({"type": "STATE", "value": {"rooms": state}}),
            json!([{"type": "STATE", "state": {"type": "STREAM", "stream": stream}}]),
        ] {
            let saved = read_states(&form, &STREAMS).unwrap();
            assert_eq!(saved.by_stream.get("rooms"), Some(&state), "{form}");
            assert!(saved.warnings.is_empty());
        }
        for nothing in [
            json!([]),
            json!({}),
            json!(null),
            json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": null}}]),
            json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}}}]),
            json!({"rooms": null}),
        ] {
            assert_eq!(read_states(&nothing, &STREAMS).unwrap(), SavedStates::default());
        }
        for wrong in [
            json!(5),
            json!("x"),
            json!([5]),
            json!([{}]),
            json!([null]),
            json!({"type": "ODD"}),
            json!({"rooms": 5}),
            json!({"chats": {"id": 5}}),
            json!({"state": "x"}),
            json!({"state": {"chats": {}}}),
            state.clone(),
            json!([{"type": "STREAM", "stream": {}}]),
            json!({"stream_descriptor": {"name": "rooms"}, "state": state}),
        ] {
            assert!(read_states(&wrong, &STREAMS).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_state_of_a_stream_counts() {
        let entry = |state: Value| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": state}});
        let saved = read_states(&json!([entry(json!({"a": 1})), entry(json!({"a": 2}))]), &STREAMS).unwrap();
        assert_eq!(saved.by_stream["rooms"], json!({"a": 2}));
        let reset = read_states(&json!([entry(json!({"a": 1})), entry(json!(null))]), &STREAMS).unwrap();
        assert!(reset.by_stream.is_empty());
    }

    #[test]
    fn what_stands_beside_a_state_is_kept() {
        let entry =
            json!({"stream": {"stream_descriptor": {"name": "rooms"}, "stream_state": null}, "file": {"bytes": 5}});
        let saved = read_states(&json!([entry]), &STREAMS).unwrap();
        assert_eq!((saved.by_stream.len(), &saved.files["rooms"]), (0, &json!({"bytes": 5})));
    }
}
