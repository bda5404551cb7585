//! What is about people: names, ids of users, what apps attach to them, and free text.
//!
//! The user chooses what becomes of it, for all streams alike. Columns say themselves that they are personal
//! (`personal` and `contains_personal` in `column.rs`); inside of values the keys tell ([`names`]).
//!
//! | what | hashed | dropped |
//! |---|---|---|
//! | a text or a number that is personal | its hash | null |
//! | a list of them | each item by itself | null |
//! | an object that is personal | the hash of its JSON text | null |
//! | an object in settings under the name of a person | looked into: a role may be called "speaker" | the same |
//! | a text below `devices` | its hash, but for the sort of device | null |
//! | `true` and `false` | stay: they tell nobody apart | null |
//! | `null` and an empty text | stay | null |
//! | a JSON document inside a text that is not personal | looked into like any value | the same |
//!
//! It is done to the finished JSON of a column, after secrets are masked, and not at all when all is kept.

mod names;

use std::borrow::Cow;

use ring::hmac;
use serde_json::value::RawValue;

use super::strings::{decoded, inner};
use super::walk::{Rule, first_value, quoted, walked};

pub use names::PersonalPlace;

/// What becomes of personal data.
#[derive(Clone, Debug, Default)]
pub enum PersonalData {
    /// It is written as it came.
    #[default]
    Keep,
    /// A keyed hash stands instead: the same for the same text wherever it stands, in this sync and the next.
    Hash(hmac::Key),
    /// Null stands instead.
    Drop,
}

impl PersonalData {
    /// Hashed with the key that is made of this text.
    pub fn hashed(salt: &str) -> Self {
        Self::Hash(hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes()))
    }

    /// `json`, which stands at `place`, without what is personal. It must be the text of one JSON value.
    pub fn hidden<'t>(&self, json: &'t str, place: PersonalPlace) -> Cow<'t, str> {
        match self {
            Self::Keep => Cow::Borrowed(json),
            Self::Hash(_) | Self::Drop => walked(json, place, &mut { self }),
        }
    }

    /// The JSON that stands instead of a text.
    fn instead(&self, text: &str) -> String {
        match self {
            Self::Hash(_) if text.is_empty() => quoted(text),
            Self::Hash(key) => quoted(&hash(key, text)),
            Self::Keep | Self::Drop => "null".to_owned(),
        }
    }

    /// What becomes of a text that may be a JSON document.
    fn document(&self, string: &str, place: PersonalPlace) -> Option<String> {
        let may_be_json = inner(string).trim_start().starts_with(['{', '[', '\\']);
        let text = may_be_json.then(|| decoded(string))?;
        let document: &RawValue = serde_json::from_str(&text).ok()?;
        match self.hidden(document.get(), place) {
            Cow::Borrowed(_) => None,
            Cow::Owned(document) => Some(quoted(&document)),
        }
    }
}

/// HMAC-SHA-256 of `text`, in hexadecimal.
fn hash(key: &hmac::Key, text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
    hmac::sign(key, text.as_bytes()).as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

impl Rule for &PersonalData {
    type Place = PersonalPlace;

    fn below(&self, place: PersonalPlace, key: &str) -> PersonalPlace {
        place.below(key)
    }

    fn inside(&self, place: PersonalPlace, _: Option<&str>, json: &str) -> Result<PersonalPlace, String> {
        let is_object = json.starts_with('{');
        let is_hashed_list = !is_object && matches!(self, PersonalData::Hash(_));
        let holds_objects = || json[1..].trim_start().starts_with('{');
        match place {
            PersonalPlace::PersonOfSettings if is_object => Ok(PersonalPlace::Settings),
            PersonalPlace::PersonOfSettings if is_hashed_list || holds_objects() => Ok(place),
            PersonalPlace::Personal | PersonalPlace::PersonOfSettings if !is_hashed_list => {
                Err(self.instead(first_value(json)))
            }
            place => Ok(place),
        }
    }

    fn single(&mut self, place: PersonalPlace, json: &str) -> Option<String> {
        let is_text = json.starts_with('"');
        match json {
            _ if is_text && place.is_personal() => Some(self.instead(&decoded(json))),
            _ if is_text => self.document(json, place),
            _ if !place.is_personal() || place == PersonalPlace::Devices => None,
            "null" => None,
            "true" | "false" if matches!(self, PersonalData::Hash(_)) => None,
            number => Some(self.instead(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn key(salt: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes())
    }

    fn hash(text: &str) -> String {
        super::hash(&key("a salt for tests"), text)
    }

    fn hidden(personal: &PersonalData, value: &Value, place: PersonalPlace) -> Value {
        let json = value.to_string();
        serde_json::from_str(&personal.hidden(&json, place)).unwrap()
    }

    fn hashed(value: &Value, place: PersonalPlace) -> Value {
        hidden(&PersonalData::hashed("a salt for tests"), value, place)
    }

    fn dropped(value: &Value, place: PersonalPlace) -> Value {
        hidden(&PersonalData::Drop, value, place)
    }

    #[test]
    fn the_hash_is_the_standards() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(super::hash(&key("Jefe"), "what do ya want for nothing?"), expected);
    }

    #[test]
    fn what_is_personal_is_hidden_and_nothing_else() {
        let event = json!({
            "user_id": "u", "user_name": "", "name": "Ada", "metadata": {"a": true}, "peer_id": "p", "role": "host",
            "error": {"name": "ICEFailure", "code": 3, "description": "of Ada"}, "user_ids": ["u", 7, null, false],
            "peers": {"p": {"name": "Ada", "id": "p"}}, "user": 5,
        });
        let expected = json!({
            "user_id": hash("u"), "user_name": "", "name": hash("Ada"), "metadata": hash(r#"{"a":true}"#),
            "peer_id": "p", "role": "host",
            "error": {"name": "ICEFailure", "code": 3, "description": hash("of Ada")},
            "user_ids": [hash("u"), hash("7"), null, false],
            "peers": {"p": {"name": hash("Ada"), "id": "p"}}, "user": hash("5"),
        });
        assert_eq!(hashed(&event, PersonalPlace::People), expected);
        let expected = json!({
            "user_id": null, "user_name": null, "name": null, "metadata": null, "peer_id": "p", "role": "host",
            "error": {"name": "ICEFailure", "code": 3, "description": null}, "user_ids": null,
            "peers": {"p": {"name": null, "id": "p"}}, "user": null,
        });
        assert_eq!(dropped(&event, PersonalPlace::People), expected);
        let settings = json!({"roles": {"host": {"name": "host"}}, "description": "d", "metadata": {"layer": 1}});
        assert_eq!(hashed(&settings, PersonalPlace::Settings), settings);
    }

    #[test]
    fn a_role_may_be_called_like_a_person() {
        let roles = json!({"speaker": {"name": "speaker", "priority": 1}, "user": {"login": [{"name": "author"}]}});
        assert_eq!(hashed(&roles, PersonalPlace::Settings), roles);
        assert_eq!(dropped(&roles, PersonalPlace::Settings), roles);
        let people = json!({"speaker": "Ada", "user": ["Ada", 5], "sentBy": null});
        assert_eq!(
            hashed(&people, PersonalPlace::Settings),
            json!({"speaker": hash("Ada"), "user": [hash("Ada"), hash("5")], "sentBy": null})
        );
        assert_eq!(dropped(&people, PersonalPlace::Settings), json!({"speaker": null, "user": null, "sentBy": null}));
    }

    #[test]
    fn what_somebodys_devices_are_called_is_personal() {
        let devices = json!({"devices": {"audioOutput": [
            {"deviceId": "d", "groupId": "g", "kind": "audiooutput", "label": "Ada's AirPods", "n": 1, "default": true}]}});
        let expected = json!({"devices": {"audioOutput": [
            {"deviceId": null, "groupId": null, "kind": "audiooutput", "label": null, "n": 1, "default": true}]}});
        assert_eq!(dropped(&devices, PersonalPlace::People), expected);
        assert_eq!(
            hashed(&json!({"device": ["Ada's AirPods"]}), PersonalPlace::People),
            json!({"device": [hash("Ada's AirPods")]})
        );
        let settings = json!({"devices": {"label": "x"}});
        assert_eq!(hashed(&settings, PersonalPlace::Settings), settings);
    }

    #[test]
    fn a_text_has_one_hash_however_it_is_spelled() {
        let hiding = PersonalData::hashed("a salt for tests");
        let of = |json: &str| hiding.hidden(json, PersonalPlace::Personal).into_owned();
        assert_eq!(of(r#""\u0041da""#), of(r#""Ada""#));
        assert_eq!(of("12"), of(r#""12""#));
        assert_ne!(of("12"), of("13"));
    }

    #[test]
    fn documents_in_texts_are_looked_into() {
        let in_text = |value: &Value| Value::from(value.to_string());
        let document = json!({"user_name": "Ada", "n": 1});
        let twice = json!({"payload": in_text(&json!({"more": in_text(&document)}))});
        let expected = json!({"payload": in_text(&json!({"more": in_text(&json!({"user_name": null, "n": 1}))}))});
        assert_eq!(dropped(&twice, PersonalPlace::People), expected);
        let mut deep = in_text(&document);
        for _ in 0..6 {
            deep = in_text(&json!([deep]));
        }
        assert!(!dropped(&deep, PersonalPlace::People).to_string().contains("Ada"));
        for text in ["{not json}", "[", "\\u", "plain", ""] {
            assert_eq!(dropped(&text.into(), PersonalPlace::People), text);
        }
    }

    proptest! {
        #[test]
        fn no_person_comes_out_at_any_depth(keys in proptest::collection::vec("[a-z_]{1,8}", 0..12), text in ".*") {
            let mut value = json!({"userName": format!("pl4nted{text}"), "displayName": [format!("pl4nted{text}")]});
            for key in keys {
                value = json!({key: [value]});
            }
            for place in [PersonalPlace::People, PersonalPlace::Settings, PersonalPlace::Personal] {
                prop_assert!(!hashed(&value, place).to_string().contains("pl4nted"));
                prop_assert!(!dropped(&value, place).to_string().contains("pl4nted"));
            }
        }
    }
}
