//! A JSON value that is rewritten on its way: what needs no change is copied, so that spelling and order stay;
//! most values need none, and then nothing is copied at all.
//!
//! The value is walked as text. A [`Rule`] says what is looked for and what becomes of it.

use std::borrow::Cow;

use super::strings::{decoded, inner};

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
    /// What becomes of an object or array.
    fn inside(&self, place: Self::Place, nested: &Nested<'_>) -> Inside<Self::Place>;
    /// What becomes of a key.
    fn key(&self, string: &str) -> Option<String>;
    /// What becomes of a string.
    fn string(&self, place: Self::Place, string: &str) -> Option<String>;
    /// What becomes of a number, `true`, `false` or `null`.
    fn literal(&self, place: Self::Place, literal: &str) -> Option<String>;
    /// Called when something is nested too deeply, so that it becomes a string.
    fn too_deep(&self) {}
}

/// What becomes of an object or array.
pub enum Inside<P> {
    /// It is looked into; it stands at this place.
    At(P),
    /// This JSON stands in its place.
    Instead(String),
}

/// An object or array that begins.
pub struct Nested<'w> {
    /// An object, not an array.
    pub is_object: bool,
    /// The key it stands under, if it stands in an object.
    key: Option<&'w str>,
    rest: &'w str,
}

impl<'w> Nested<'w> {
    /// All of it.
    pub fn json(&self) -> &'w str {
        &self.rest[..end_of_nested(self.rest)]
    }

    /// Whether it has the name that is its key: a role that is called "token".
    pub fn is_called_like_its_key(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Named<'n> {
            #[serde(borrow)]
            name: Option<Cow<'n, str>>,
        }
        let Some(key) = self.key else { return false };
        serde_json::from_str::<Named<'_>>(self.json()).is_ok_and(|named| named.name.as_deref() == Some(key))
    }
}

/// `json`, which stands at `place`, as `rule` wants it. It must be the text of one JSON value.
///
/// What is nested too deeply for strict readers becomes a string: its JSON text.
pub fn walked<'t, R: Rule>(json: &'t str, place: R::Place, rule: &R) -> Cow<'t, str> {
    Walker::new(json, rule, DEEPEST).walk(place)
}

/// The same of a text that may be no whole JSON value, and that nothing but `rule` changes.
pub fn walked_at_any_depth<'t, R: Rule>(text: &'t str, place: R::Place, rule: &R) -> Cow<'t, str> {
    Walker::new(text, rule, usize::MAX).walk(place)
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object or array that is being walked.
struct Frame<'t, P> {
    is_object: bool,
    /// The place of the object or array itself.
    place: P,
    /// The key at hand, of an object.
    key: Cow<'t, str>,
    /// The place of the member at hand.
    member: P,
    expects_key: bool,
}

struct Walker<'t, 'r, R: Rule> {
    json: &'t str,
    rule: &'r R,
    deepest: usize,
    at: usize,
    /// What is before has been copied to `out`, or left out.
    copied: usize,
    out: String,
    frames: Vec<Frame<'t, R::Place>>,
}

impl<'t, 'r, R: Rule> Walker<'t, 'r, R> {
    fn new(json: &'t str, rule: &'r R, deepest: usize) -> Self {
        Self { json, rule, deepest, at: 0, copied: 0, out: String::new(), frames: Vec::new() }
    }

    fn walk(mut self, place: R::Place) -> Cow<'t, str> {
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            let place = self.frames.last().map_or(place, |frame| frame.member);
            match byte {
                b'{' | b'[' => self.open(*byte == b'{', place),
                b'}' | b']' => {
                    self.frames.pop();
                    self.at += 1;
                }
                b',' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.expects_key = frame.is_object;
                    }
                    self.at += 1;
                }
                b'"' if self.frames.last().is_some_and(|frame| frame.expects_key) => self.key(),
                b'"' => self.string(place),
                b':' | b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => self.literal(place),
            }
        }
        if self.copied == 0 {
            return Cow::Borrowed(self.json);
        }
        self.out.push_str(&self.json[self.copied..]);
        Cow::Owned(self.out)
    }

    fn open(&mut self, is_object: bool, place: R::Place) {
        let rest = &self.json[self.at..];
        let key = self.frames.last().filter(|frame| frame.is_object).map(|frame| frame.key.as_ref());
        let nested = Nested { is_object, key, rest };
        match self.rule.inside(place, &nested) {
            Inside::At(place) if self.frames.len() < self.deepest => {
                let key = Cow::Borrowed("");
                self.frames.push(Frame { is_object, place, key, member: place, expects_key: is_object });
                self.at += 1;
            }
            Inside::At(place) => {
                self.rule.too_deep();
                let text = quoted(&Walker::new(nested.json(), self.rule, usize::MAX).walk(place));
                self.replace(self.at + end_of_nested(rest), &text);
            }
            Inside::Instead(other) => self.replace(self.at + end_of_nested(rest), &other),
        }
    }

    fn key(&mut self) {
        let ends = end_of_string(self.json, self.at);
        let string = &self.json[self.at..ends];
        if let Some(frame) = self.frames.last_mut() {
            frame.key = decoded(inner(string));
            frame.member = self.rule.below(frame.place, &frame.key);
            frame.expects_key = false;
        }
        self.pass(ends, self.rule.key(string));
    }

    fn string(&mut self, place: R::Place) {
        let ends = end_of_string(self.json, self.at);
        self.pass(ends, self.rule.string(place, &self.json[self.at..ends]));
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self, place: R::Place) {
        let rest = &self.json[self.at..];
        let literal = rest.split([',', '}', ']', ' ', '\n', '\r', '\t', ':']).next().unwrap_or_default();
        self.pass(self.at + literal.len().max(1), self.rule.literal(place, literal));
    }

    /// Goes on at `ends`; what is before is `other`, if that is given.
    fn pass(&mut self, ends: usize, other: Option<String>) {
        match other {
            Some(other) => self.replace(ends, &other),
            None => self.at = ends,
        }
    }

    fn replace(&mut self, ends: usize, other: &str) {
        self.out.push_str(&self.json[self.copied..self.at]);
        self.out.push_str(other);
        (self.at, self.copied) = (ends, ends);
    }
}

/// Where the object or array that `json` begins with ends.
fn end_of_nested(json: &str) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Where the string that begins at `begins` ends, behind its quote.
fn end_of_string(json: &str, begins: usize) -> usize {
    let bytes = json.as_bytes();
    let mut at = begins + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}
