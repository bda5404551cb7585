//! Field types: what the API wrote becomes what the column's schema promises.
//!
//! Most values are never parsed: they pass as the API wrote them. One rule for what does not fit: nothing is
//! dropped where the column can hold it. A text holds anything as its JSON text, a list holds anything as its
//! only item, an object holds anything under the key `value`; a number, a whole number and a flag hold what
//! reads as one, and are null for the rest.
//!
//! | came ↓ / column → | text | whole number | number | flag | object | list of texts | list | any |
//! |---|---|---|---|---|---|---|---|---|
//! | nothing, `null` | null | null | null | null | null | null | null | null |
//! | `"text"` | as it is | null | null | null | `{"value":"text"}` | `["text"]` | `["text"]` | as it is |
//! | `"12"` | as it is | 12 | 12 | null | `{"value":"12"}` | `["12"]` | `["12"]` | as it is |
//! | `"true"`, `"False"` | as it is | null | null | true, false | `{"value":"true"}` | `["true"]` | `["true"]` | as it is |
//! | `12`, `12.0`, `1.2e1` | `"12"`, … | 12 | as it is | null | `{"value":12}` | `["12"]` | `[12]` | as it is |
//! | `1.5` | `"1.5"` | null | as it is | null | `{"value":1.5}` | `["1.5"]` | `[1.5]` | as it is |
//! | `-0`, `-0.0` | `"-0"`, … | 0 | 0 | null | `{"value":-0}` | `["-0"]` | `[-0]` | as it is |
//! | 2^63 to 2^64 | `"…"` | null | as it is | null | `{"value":…}` | `["…"]` | `[…]` | as it is |
//! | more than 64 bits | `"…"` | null | rounded | null | rounded | `["…"]` | rounded | rounded |
//! | 1e29 and more | `"1e29"` | null | null | null | `{"value":1e29}` | `["1e29"]` | `[1e29]` | as it is |
//! | `1e400`, which 64 bits cannot hold | `"1e400"` | null | null | null | `{"value":"1e400"}` | `["1e400"]` | `["1e400"]` | `"1e400"` |
//! | more than 40 digits | `"…"` | null | rounded | null | rounded | `["…"]` | rounded | rounded |
//! | `true` | `"true"` | null | null | true | `{"value":true}` | `["true"]` | `[true]` | as it is |
//! | `{…}` | its JSON text | null | null | null | as it is | `["{…}"]` | `[{…}]` | as it is |
//! | `[…]` | its JSON text | null | null | null | `{"value":[…]}` | its items as texts | as it is | as it is |
//!
//! A whole number is one of 64 bits with its sign, and a number stays below 1e29: what warehouses have columns
//! for (`BIGINT`, `DECIMAL(38, 9)`). In all of them, keys included, an unpaired surrogate and U+0000 become
//! U+FFFD, and so do bytes that are not UTF-8 (`api` gives them as U+0000); what is nested more than 120 levels
//! deep inside a value becomes its JSON text; secrets are masked (`secrets`).
//!
//! What could not be kept is noted ([`Json::is_lossy`]) and told with the record: something that is null now, was
//! rounded, has a letter that is not the one that came, or is the JSON text of an object or a list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema::schema_of;
use super::secrets::{Place, rewritten, rewritten_number, rewritten_string};
use super::strings::{decoded, is_readable};
use super::walk::inner;
use super::write::{Json, WriteJson};
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

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Flag,
    /// An object.
    Object,
    /// A list of strings.
    Texts,
    /// A list of anything.
    List,
    /// Anything.
    Any,
}

impl Kind {
    /// The kind that the JSON schema of a column asks for.
    pub fn of(schema: &Value) -> Self {
        let items_are_texts = || schema.get("items").is_some_and(|items| is(items, "string"));
        // A column of several types takes the one that holds most.
        match schema {
            _ if is(schema, "string") => Self::Text,
            _ if is(schema, "object") => Self::Object,
            _ if is(schema, "array") && items_are_texts() => Self::Texts,
            _ if is(schema, "array") => Self::List,
            _ if is(schema, "number") => Self::Number,
            _ if is(schema, "integer") => Self::Integer,
            _ if is(schema, "boolean") => Self::Flag,
            _ => Self::Any,
        }
    }

    /// Writes `json`, the text of one JSON value, as what the column holds.
    fn write(self, json: &str, out: &mut Json) {
        let is_list = json.starts_with('[');
        match self {
            _ if json == "null" => out.extend_from_slice(b"null"),
            Self::Text => write_text(json, out),
            Self::Integer => out.fitting(digits(json).and_then(|digits| integer(&digits))),
            Self::Number => write_number(json, out),
            Self::Flag => out.fitting(flag(json)),
            Self::Object if json.starts_with('{') => write_open(json, out),
            Self::Object => write_between(b"{\"value\":", json, b"}", out),
            Self::Texts if is_list => texts(json).write_json(out),
            Self::Texts => {
                out.push(b'[');
                write_text(json, out);
                out.push(b']');
            }
            Self::List if is_list => write_open(json, out),
            Self::List => write_between(b"[", json, b"]", out),
            Self::Any => write_open(json, out),
        }
    }
}

/// Whether values of this schema may be of the type `name`.
fn is(schema: &Value, name: &str) -> bool {
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let is_named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == name),
        Some(kind) => kind == name,
        None => false,
    };
    is_named || alternatives.into_iter().any(|schema| is(schema, name))
}

/// A field whose type is known from a catalog only, found at a place that may make it a secret.
pub struct Typed<'a> {
    /// The value, as JSON.
    pub json: &'a str,
    /// What its column holds.
    pub kind: Kind,
    /// Where it stood.
    pub place: Place,
}

impl WriteJson for Typed<'_> {
    fn write_json(&self, out: &mut Json) {
        if self.place == Place::Open {
            return self.kind.write(self.json, out);
        }
        // That a mask does not fit is no loss.
        let was_lossy = out.is_lossy;
        let (json, is_lossy) = rewritten(self.json, self.place);
        self.kind.write(&json, out);
        out.is_lossy = was_lossy | is_lossy;
    }
}

/// Declares a field type around the API's own JSON.
macro_rules! field_types {
    ($($(#[$doc:meta])* $name:ident, $kind:expr => $schema:tt)*) => {$(
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

        impl WriteJson for $name<'_> {
            fn write_json(&self, out: &mut Json) {
                $kind.write(self.0.map_or("null", RawValue::get), out);
            }
        }
    )*};
}

field_types! {
    /// A string. Another kind of value becomes its JSON text, so that the column stays a string.
    Text, Kind::Text => { "type": ["null", "string"] }
    /// A whole number of 64 bits, also when the API writes it as `12.0` or `"12"`.
    Integer, Kind::Integer => { "type": ["null", "integer"] }
    /// A number, also when the API writes it as a string.
    Number, Kind::Number => { "type": ["null", "number"] }
    /// A boolean, also when the API writes it as a string.
    Flag, Kind::Flag => { "type": ["null", "boolean"] }
    /// An object as the API has it, with its secrets masked.
    Object, Kind::Object => { "type": ["null", "object"], "additionalProperties": true }
    /// A list of strings.
    Texts, Kind::Texts => { "type": ["null", "array"], "items": { "type": ["null", "string"] } }
    /// Anything, where the reference does not say what.
    Any, Kind::Any => {}
}

/// An object, and what the key above it says about it.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// The object.
    pub raw: Raw<'a>,
    /// Where it stood.
    pub place: Place,
}

impl Default for Placed<'_> {
    fn default() -> Self {
        Self { raw: None, place: Place::Open }
    }
}

impl WriteJson for Placed<'_> {
    fn write_json(&self, out: &mut Json) {
        self.raw.map(|raw| Typed { json: raw.get(), kind: Kind::Object, place: self.place }).write_json(out);
    }
}

schema_of!(Placed<'_>, as Object<'_>);

/// A value as the API has it.
fn write_open(json: &str, out: &mut Json) {
    let (json, is_lossy) = rewritten(json, Place::Open);
    out.is_lossy |= is_lossy;
    out.extend_from_slice(json.as_bytes());
}

fn write_between(before: &[u8], json: &str, after: &[u8], out: &mut Json) {
    out.extend_from_slice(before);
    write_open(json, out);
    out.extend_from_slice(after);
}

fn write_text(json: &str, out: &mut Json) {
    match json.as_bytes().first() {
        Some(b'"') => match rewritten_string(json) {
            None => out.extend_from_slice(json.as_bytes()),
            Some(other) => {
                out.is_lossy |= !is_readable(inner(json));
                out.extend_from_slice(other.as_bytes());
            }
        },
        Some(b'{' | b'[') => {
            out.is_lossy = true;
            rewritten(json, Place::Open).0.write_json(out);
        }
        _ => json.write_json(out),
    }
}

/// The items of a list, as texts.
fn texts(json: &str) -> Vec<Text<'_>> {
    // It begins like a list and is JSON, so it is a list.
    serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default().into_iter().map(|item| Text(Some(item))).collect()
}

/// A whole number of 64 bits, however it is spelled.
fn integer(digits: &str) -> Option<i64> {
    let is_plain = !digits.contains(['.', 'e', 'E']);
    if is_plain {
        return digits.parse().ok();
    }
    let float: f64 = digits.parse().ok()?;
    // The bounds are exact: the least number of 64 bits, and the first beyond the greatest.
    let fits = float.fract() == 0.0 && (i64::MIN as f64..-(i64::MIN as f64)).contains(&float);
    fits.then_some(float as i64)
}

/// Warehouses have columns for numbers below (`DECIMAL(38, 9)`).
const FIRST_TOO_LARGE: f64 = 1e29;

fn write_number(json: &str, out: &mut Json) {
    let float = |digits: &str| digits.parse::<f64>().ok().filter(|float| float.abs() < FIRST_TOO_LARGE);
    let number = digits(json).and_then(|digits| Some((float(&digits)?, digits)));
    let Some((float, digits)) = number else { return out.fitting(None::<f64>) };
    let rounded = rewritten_number(&digits);
    out.is_lossy |= rounded.is_some();
    match rounded.as_deref() {
        // Not every reader tells -0 from 0, and not every one takes it.
        _ if float == 0.0 => out.push(b'0'),
        rounded => out.extend_from_slice(rounded.unwrap_or(&digits).as_bytes()),
    }
}

/// A number as JSON spells it, also when it came as a string.
fn digits(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        b'"' => {
            let text = decoded(inner(json));
            let text = text.trim();
            // Only what JSON calls a number: `inf` and `+5` are none.
            let is_number = text.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit())
                && serde_json::from_str::<&RawValue>(text).is_ok();
            is_number.then(|| Cow::Owned(text.to_owned()))
        }
        _ => None,
    }
}

/// The number in `raw`, also when it is written as a string.
pub fn number(raw: &RawValue) -> Option<serde_json::Number> {
    serde_json::from_str(&digits(raw.get())?).ok()
}

/// `json` as it would be written in a column of opaque objects, on one line; `None` when it is not JSON.
pub fn written_as_object(json: &str) -> Option<Vec<u8>> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    let mut line = Json::default();
    Object(Some(raw)).write_json(&mut line);
    keep_on_one_line(&mut line.bytes, 0);
    Some(line.bytes)
}

/// `true` or `false`, also when it is written as a string; `None` for anything else.
pub fn truth(raw: Raw<'_>) -> Option<bool> {
    flag(raw?.get())
}

fn flag(json: &str) -> Option<bool> {
    match json {
        "true" => Some(true),
        "false" => Some(false),
        text if text.starts_with('"') => match decoded(inner(text)).trim() {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a JSON string, or of a number (an id may be one); `None` for anything else, and for an empty one.
pub fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' => Some(decoded(inner(raw))).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
