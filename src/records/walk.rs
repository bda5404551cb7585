//! A JSON value that is rewritten on its way: what needs no change is copied, so that spelling and order stay;
//! most values need none, and then nothing is copied at all.
//!
//! The value is walked as text. A [`Rule`] says what is looked for and what becomes of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::strings::decoded;

/// Levels of nesting that pass. Strict readers give up at 128; the rest are for what stands around a value
/// in its line.
const DEEPEST: usize = 120;

/// What is looked for, and what becomes of it. What it gives is JSON and stands instead of the value; `None`
/// leaves the value as it is. Strings are given in their quotes.
pub trait Rule {
    /// Where a value stands, as far as the keys above it say something about it.
    type Place: Copy;
    /// The place of the value under `key`.
    fn below(&self, place: Self::Place, key: &str) -> Self::Place;
    /// The place at which an object or array is looked into, or else the JSON that stands instead of it. `json` begins
    /// with it, and `key` is what it stands under in an object.
    fn inside(&self, place: Self::Place, key: Option<&str>, json: &str) -> Result<Self::Place, String>;
    /// What becomes of a string, a number, `true`, `false` or `null`.
    fn single(&mut self, place: Self::Place, json: &str) -> Option<String>;
    /// What becomes of a key.
    fn key(&mut self, _string: &str) -> Option<String> {
        None
    }
    /// Called when something is nested too deeply, so that it becomes a string.
    fn too_deep(&mut self) {}
}

/// `json`, which stands at `place`, as `rule` wants it. It must be the text of one JSON value.
///
/// What is nested too deeply for strict readers becomes a string: its JSON text.
pub fn walked<'t, R: Rule>(json: &'t str, place: R::Place, rule: &mut R) -> Cow<'t, str> {
    Walker::new(json, rule, DEEPEST).walk(place)
}

/// The same of a text that may be no whole JSON value, and that nothing but `rule` changes.
pub fn walked_at_any_depth<'t, R: Rule>(text: &'t str, place: R::Place, rule: &mut R) -> Cow<'t, str> {
    Walker::new(text, rule, usize::MAX).walk(place)
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The JSON value that `json` begins with; all of it when that is none.
pub fn first_value(json: &str) -> &str {
    <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(json)).map_or(json, RawValue::get)
}

/// An object or array that is being walked.
struct Frame<'t, P> {
    is_object: bool,
    /// The place of the object or array itself.
    place: P,
    /// The key at hand, of an object; `None` when it is the next to come.
    key: Option<Cow<'t, str>>,
    /// The place of the member at hand.
    member: P,
}

struct Walker<'t, 'r, R: Rule> {
    json: &'t str,
    rule: &'r mut R,
    deepest: usize,
    at: usize,
    /// What is before has been copied to `out`, or left out.
    copied: usize,
    out: String,
    frames: Vec<Frame<'t, R::Place>>,
}

impl<'t, 'r, R: Rule> Walker<'t, 'r, R> {
    fn new(json: &'t str, rule: &'r mut R, deepest: usize) -> Self {
        Self { json, rule, deepest, at: 0, copied: 0, out: String::new(), frames: Vec::new() }
    }

    fn walk(mut self, place: R::Place) -> Cow<'t, str> {
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            let frame = self.frames.last();
            let place = frame.map_or(place, |frame| frame.member);
            match byte {
                b'{' | b'[' => self.open(place),
                b'"' if frame.is_some_and(|frame| frame.is_object && frame.key.is_none()) => self.key(),
                b'}' | b']' => {
                    self.frames.pop();
                    self.at += 1;
                }
                b',' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.key = None;
                    }
                    self.at += 1;
                }
                b':' | b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => self.single(place),
            }
        }
        if self.copied == 0 {
            return Cow::Borrowed(self.json);
        }
        self.out.push_str(&self.json[self.copied..]);
        Cow::Owned(self.out)
    }

    fn open(&mut self, place: R::Place) {
        let rest = &self.json[self.at..];
        let key = self.frames.last().and_then(|frame| frame.key.as_deref());
        match self.rule.inside(place, key, rest) {
            Ok(place) if self.frames.len() < self.deepest => {
                self.frames.push(Frame { is_object: rest.starts_with('{'), place, key: None, member: place });
                self.at += 1;
            }
            Ok(place) => {
                self.rule.too_deep();
                let nested = first_value(rest);
                let text = quoted(&walked_at_any_depth(nested, place, self.rule));
                self.pass(nested.len(), Some(text));
            }
            Err(instead) => self.pass(first_value(rest).len(), Some(instead)),
        }
    }

    fn key(&mut self) {
        let rest = &self.json[self.at..];
        let string = &rest[..end_of_string(rest)];
        if let Some(frame) = self.frames.last_mut() {
            let key = decoded(string);
            frame.member = self.rule.below(frame.place, &key);
            frame.key = Some(key);
        }
        let other = self.rule.key(string);
        self.pass(string.len(), other);
    }

    fn single(&mut self, place: R::Place) {
        let rest = &self.json[self.at..];
        let length = match rest.strip_prefix('"') {
            Some(_) => end_of_string(rest),
            None => rest.find([',', '}', ']', ' ', '\n', '\r', '\t', ':']).unwrap_or(rest.len()),
        };
        let other = self.rule.single(place, &rest[..length]);
        self.pass(length, other);
    }

    /// Goes on behind the next `length` bytes, instead of which `other` is written, if that is given.
    fn pass(&mut self, length: usize, other: Option<String>) {
        let ends = self.at + length;
        if let Some(other) = other {
            self.out.push_str(&self.json[self.copied..self.at]);
            self.out.push_str(&other);
            self.copied = ends;
        }
        self.at = ends;
    }
}

/// Where the string that `json` begins with ends, behind its quote.
fn end_of_string(json: &str) -> usize {
    let bytes = json.as_bytes();
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}
