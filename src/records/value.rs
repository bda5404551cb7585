//! Values: what the API wrote becomes what the column's schema promises.
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

use serde::Serialize;
use serde_json::value::RawValue;

use super::column::Kind;
use super::secrets::{Place, rewritten, rewritten_number, rewritten_string};
use super::strings::decoded;
use super::time::{Timestamp, time_in};

/// Escapes what JSON allows in a line and line-splitting readers do not survive: U+2028, U+2029 and
/// U+0085; and blanks out line breaks between the tokens of a value that came pretty-printed.
pub fn keep_on_one_line(bytes: &mut Vec<u8>, begins: usize) {
    let mut from = begins;
    while let Some(found) = memchr::memchr2(0xc2, 0xe2, &bytes[from..]) {
        let at = from + found;
        from = at + 1;
        let (length, escape) = match bytes[at..] {
            [0xc2, 0x85, ..] => (2, "\\u0085"),
            [0xe2, 0x80, 0xa8, ..] => (3, "\\u2028"),
            [0xe2, 0x80, 0xa9, ..] => (3, "\\u2029"),
            _ => continue,
        };
        bytes.splice(at..at + length, escape.bytes());
    }
    // A raw line break can only stand between tokens: inside strings JSON forbids it.
    if memchr::memchr2(b'\n', b'\r', &bytes[begins..]).is_some() {
        bytes[begins..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

/// JSON that is being written. Writing to memory cannot fail.
#[derive(Debug, Default)]
pub struct Json {
    /// What has been written.
    pub bytes: Vec<u8>,
    /// Whether a value since this was last set to false could not be written as it came.
    pub is_lossy: bool,
}

impl Json {
    /// Writes a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes what is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// Writes a list of what `write` makes of the items.
    pub fn list<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl Fn(T, &mut Self)) {
        self.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(b',');
            }
            write(item, self);
        }
        self.push(b']');
    }

    /// Writes what became of a value that came, and whether something in it was lost.
    pub fn rewritten(&mut self, (json, is_lossy): (Cow<'_, str>, bool)) {
        self.is_lossy |= is_lossy;
        self.raw(&json);
    }

    /// Writes a value as serde_json writes it.
    pub fn serialize(&mut self, value: impl Serialize) {
        // Neither the types that come here nor memory has a reason to refuse.
        let _ = serde_json::to_writer(&mut self.bytes, &value);
    }

    /// Writes a moment. None of its characters needs an escape.
    pub fn time(&mut self, time: Option<Timestamp>) {
        let Some(time) = time else { return self.null() };
        self.push(b'"');
        self.raw(time.write(&mut [0; 27]));
        self.push(b'"');
    }

    /// Writes a text. U+FFFD stands for a letter that could not be read.
    pub fn text(&mut self, text: &str) {
        self.is_lossy |= text.contains(char::REPLACEMENT_CHARACTER);
        self.serialize(text);
    }

    /// Writes what became of a value that is not `null`; `None` when it does not fit its column.
    pub fn fitting(&mut self, value: Option<impl Serialize>) {
        self.is_lossy |= value.is_none();
        self.serialize(value);
    }
}

impl Kind {
    /// Writes `json`, the text of one JSON value, as what the column holds.
    pub fn write(self, json: &str, out: &mut Json) {
        let is_list = json.starts_with('[');
        match self {
            _ if json == "null" => out.null(),
            Self::Text => write_text(json, out),
            Self::Integer => out.fitting(digits(json).and_then(|digits| integer(&digits))),
            Self::Number => write_number(json, out),
            Self::Bool => out.fitting(as_bool(json)),
            Self::Time => {
                let time = time_in(json);
                out.is_lossy |= time.is_err();
                out.time(time.unwrap_or_default());
            }
            Self::Object if json.starts_with('{') => write_open(json, out),
            Self::Object => {
                out.raw("{\"value\":");
                write_open(json, out);
                out.push(b'}');
            }
            // It begins like a list and is JSON, so it is a list.
            Self::Strings if is_list => {
                let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
                out.list(items, |item, out| Self::Text.write(item.get(), out));
            }
            Self::Strings => out.list([json], write_text),
            Self::List | Self::Entries(_) if !is_list => out.list([json], write_open),
            _ => write_open(json, out),
        }
    }

    /// The same of a value that stands at `place`, which may make it a secret.
    pub fn write_at(self, place: Place, json: &str, out: &mut Json) {
        if place == Place::Open {
            return self.write(json, out);
        }
        // That a mask does not fit is no loss.
        let was_lossy = out.is_lossy;
        let (json, is_lossy) = rewritten(json, place);
        self.write(&json, out);
        out.is_lossy = was_lossy | is_lossy;
    }
}

/// A value as the API has it.
fn write_open(json: &str, out: &mut Json) {
    out.rewritten(rewritten(json, Place::Open));
}

fn write_text(json: &str, out: &mut Json) {
    match json.as_bytes().first() {
        // It is what somebody or an app wrote.
        Some(b'"') => match rewritten_string(json, Place::Document) {
            None => out.raw(json),
            Some((other, is_lossy)) => out.rewritten((other.into(), is_lossy)),
        },
        Some(b'{' | b'[') => {
            out.is_lossy = true;
            out.serialize(rewritten(json, Place::Open).0);
        }
        _ => out.serialize(json),
    }
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
    let digits = digits(json).unwrap_or_default();
    let float = digits.parse::<f64>().ok().filter(|float| float.abs() < FIRST_TOO_LARGE);
    let Some(float) = float else { return out.fitting(None::<f64>) };
    let rounded = rewritten_number(&digits);
    out.is_lossy |= rounded.is_some();
    // Not every reader tells -0 from 0, and not every one takes it.
    out.raw(if float == 0.0 { "0" } else { rounded.as_deref().unwrap_or(&digits) });
}

/// A number as JSON spells it, also when it came as a string.
fn digits(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        b'"' => {
            let text = decoded(json);
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
    Kind::Object.write(raw.get(), &mut line);
    keep_on_one_line(&mut line.bytes, 0);
    Some(line.bytes)
}

/// `true` or `false`, also when it is written as a string; `None` for anything else.
pub fn as_bool(json: &str) -> Option<bool> {
    match decoded(json).trim() {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
