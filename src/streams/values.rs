//! Field types: what the API wrote becomes what the column's schema promises.
//!
//! Most values are never parsed: they pass as the API wrote them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::secrets::{Masked, Place};
use crate::api::Raw;

/// Escapes what JSON allows in a line and line-splitting readers do not survive: U+2028, U+2029 and
/// U+0085; and blanks out line breaks between the tokens of a value that came pretty-printed.
pub fn keep_on_one_line(bytes: &mut Vec<u8>, begins: usize) {
    let is_break = |at: usize, bytes: &[u8]| match bytes[at..] {
        [0xc2, 0x85, ..] => Some((2, "\\u0085")),
        [0xe2, 0x80, 0xa8, ..] => Some((3, "\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => Some((3, "\\u2029")),
        _ => None,
    };
    let mut from = begins;
    while let Some(found) = memchr::memchr2(0xc2, 0xe2, &bytes[from..]) {
        let at = from + found;
        from = at + 1;
        if let Some((length, escape)) = is_break(at, bytes) {
            bytes.splice(at..at + length, escape.bytes());
            from = at + escape.len();
        }
    }
    // A raw line break can only stand between tokens: inside strings JSON forbids it.
    if memchr::memchr2(b'\n', b'\r', &bytes[begins..]).is_some() {
        bytes[begins..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

/// Declares a field type around the API's own JSON.
macro_rules! field_types {
    ($($(#[$doc:meta])* $name:ident => $schema:tt)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        pub struct $name<'a>(pub Raw<'a>);

        impl JsonSchema for $name<'_> {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

field_types! {
    /// A string. Another kind of value becomes its JSON text, so that the column stays a string.
    Text => { "type": ["null", "string"] }
    /// A whole number of 64 bits, also when the API writes it as `12.0` or `"12"`.
    Integer => { "type": ["null", "integer"] }
    /// A number, also when the API writes it as a string.
    Number => { "type": ["null", "number"] }
    /// A boolean.
    Flag => { "type": ["null", "boolean"] }
    /// An object as the API has it, with its secrets masked.
    Object => { "type": ["null", "object"], "additionalProperties": true }
    /// A list of strings.
    Texts => { "type": ["null", "array"], "items": { "type": ["null", "string"] } }
    /// A link to a meeting, its token masked.
    MeetingUrl => { "type": ["null", "string"] }
    /// A webhook, the values of its headers masked.
    Webhook => { "type": ["null", "object"], "additionalProperties": true }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(raw) if !raw.get().starts_with('"') => {
                let json = serde_json::to_string(&Masked::new(raw, Place::Open)).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(&json)
            }
            raw => raw.serialize(serializer),
        }
    }
}

/// A value as the API has it. Should an object stand where a plain value is expected, its secrets are masked.
fn open(raw: Raw<'_>) -> Option<Masked<'_>> {
    raw.map(|raw| Masked::new(raw, Place::Open))
}

impl Serialize for Integer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.and_then(number) {
            Some(number) => whole(number).serialize(serializer),
            None => open(self.0).serialize(serializer),
        }
    }
}

/// The whole part of a number, as an integer when it is one.
fn whole(number: serde_json::Number) -> serde_json::Number {
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            (float as i64).into()
        }
        _ => number,
    }
}

/// The number in `raw`, also when it is written as a string.
pub fn number(raw: &RawValue) -> Option<serde_json::Number> {
    serde_json::from_str(raw.get()).or_else(|_| serde_json::from_str(raw.get().trim_matches('"'))).ok()
}

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.filter(|raw| raw.get().starts_with('"')).and_then(number) {
            Some(number) => number.serialize(serializer),
            None => open(self.0).serialize(serializer),
        }
    }
}

impl Serialize for Flag<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for MeetingUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(|raw| Masked::new(raw, Place::MeetingUrl)).serialize(serializer)
    }
}

impl Serialize for Webhook<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(|raw| Masked::new(raw, Place::Webhook)).serialize(serializer)
    }
}

/// The text of a JSON string; `None` for anything else, and for an empty one.
pub fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    let raw = raw?.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
    .filter(|text| !text.is_empty())
}

/// Whether a value says yes: `true`, also when it is written as a string.
pub fn truth(raw: Raw<'_>) -> Option<bool> {
    match raw?.get() {
        "true" | "\"true\"" => Some(true),
        "false" | "\"false\"" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Raw<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn columns_keep_their_type_when_the_api_changes_its_mind() {
        for (json, expected) in
            [("12", "12"), ("12.0", "12"), ("\"12\"", "12"), ("\"x\"", "\"x\""), ("1.5", "1.5"), ("null", "null")]
        {
            assert_eq!(serde_json::to_string(&Integer(raw(json))).unwrap(), expected);
        }
        for (json, expected) in
            [("\"a\\n\"", "\"a\\n\""), ("5", "\"5\""), ("{\"a\":\"b\"}", "\"{\\\"a\\\":\\\"b\\\"}\"")]
        {
            assert_eq!(serde_json::to_string(&Text(raw(json))).unwrap(), expected);
        }
    }
}
