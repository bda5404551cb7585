//! A JSON value on its way from the API to a record: secrets masked, and readable by strict readers.
//!
//! The value is walked as text. What needs no change is copied, so that spelling and order stay; most
//! values need none, and then nothing is copied at all.

use std::borrow::Cow;

use super::names::Place;
use super::texts::{mask_text, may_hold_secret};
use crate::streams::strings::{decoded, is_readable};

/// Levels of nesting that pass. Strict readers give up at 128; the rest are for what stands around a value
/// in its line.
const DEEPEST: usize = 120;
/// Longer numbers are more than 64 bits can tell apart.
const LONGEST_NUMBER: usize = 40;

/// [`super::MASK`] as JSON.
const MASK: &str = "\"**********\"";

/// `json` as it may go out, when it stands at `place`. It must be the text of one JSON value.
///
/// What is nested too deeply for strict readers becomes a string: its JSON text.
pub fn rewritten(json: &str, place: Place) -> Cow<'_, str> {
    Walker::new(json, DEEPEST).walk(place)
}

/// The JSON string `string` (in its quotes) as it may go out, when that is another.
pub fn rewritten_string(string: &str) -> Option<String> {
    let inner = inner(string);
    if is_plain(inner.as_bytes()) || !has_telling_escape(inner) && !may_hold_secret(inner.as_bytes()) {
        return None;
    }
    let text = decoded(inner);
    match mask_text(&text) {
        Cow::Borrowed(_) if is_readable(inner) => None,
        masked => Some(quoted(&masked)),
    }
}

/// What stands between the quotes of a JSON string.
pub fn inner(string: &str) -> &str {
    string.strip_prefix('"').and_then(|string| string.strip_suffix('"')).unwrap_or(string)
}

/// Whether a string passes at a glance: most have none of the letters that a secret or an escape needs.
fn is_plain(inner: &[u8]) -> bool {
    let is_telling = |byte: &u8| matches!(byte, b'\\' | b':' | b'=' | b'%' | b'.');
    // In pieces, without a branch for each byte: the compiler makes vector instructions of it.
    !inner.chunks(32).any(|piece| piece.iter().fold(false, |seen, byte| seen | is_telling(byte)))
}

/// Whether an escape may stand for something that matters: a slash of a URL, or any letter.
fn has_telling_escape(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    memchr::memchr_iter(b'\\', bytes).any(|at| matches!(bytes.get(at + 1), Some(b'u' | b'/')))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object or array that is being walked.
struct Frame<'t> {
    is_object: bool,
    /// The place of the object or array itself.
    place: Place,
    /// The key at hand, of an object.
    key: Cow<'t, str>,
    /// The place of the member at hand.
    member: Place,
    expects_key: bool,
}

struct Walker<'t> {
    json: &'t str,
    deepest: usize,
    at: usize,
    /// What is before has been copied to `out`, or left out.
    copied: usize,
    out: String,
    frames: Vec<Frame<'t>>,
}

impl<'t> Walker<'t> {
    fn new(json: &'t str, deepest: usize) -> Self {
        Self { json, deepest, at: 0, copied: 0, out: String::new(), frames: Vec::new() }
    }

    fn walk(mut self, place: Place) -> Cow<'t, str> {
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

    fn open(&mut self, is_object: bool, place: Place) {
        let place = match place {
            Place::Named if is_object && !self.is_of_that_name() => Place::Within,
            Place::Named if is_object => Place::Open,
            place => place,
        };
        if self.frames.len() < self.deepest {
            let key = Cow::Borrowed("");
            self.frames.push(Frame { is_object, place, key, member: place, expects_key: is_object });
            self.at += 1;
            return;
        }
        let ends = self.end_of_nested();
        let nested = Walker::new(&self.json[self.at..ends], usize::MAX).walk(place);
        self.replace(ends, &quoted(&nested));
    }

    /// Whether the object that begins here has the name that is its key: a role that is called "token".
    fn is_of_that_name(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Named<'n> {
            #[serde(borrow)]
            name: Option<Cow<'n, str>>,
        }
        let Some(frame) = self.frames.last().filter(|frame| frame.is_object) else { return false };
        let object = &self.json[self.at..self.end_of_nested()];
        serde_json::from_str::<Named<'_>>(object).is_ok_and(|named| named.name.as_ref() == Some(&frame.key))
    }

    fn key(&mut self) {
        let ends = end_of_string(self.json, self.at);
        let string = &self.json[self.at..ends];
        if let Some(frame) = self.frames.last_mut() {
            frame.key = decoded(inner(string));
            frame.member = frame.place.below(&frame.key);
            frame.expects_key = false;
        }
        self.pass(ends, rewritten_string(string));
    }

    fn string(&mut self, place: Place) {
        let ends = end_of_string(self.json, self.at);
        let string = &self.json[self.at..ends];
        let other = if place == Place::Open { rewritten_string(string) } else { Some(MASK.to_owned()) };
        self.pass(ends, other);
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self, place: Place) {
        let rest = &self.json[self.at..];
        let literal = rest.split([',', '}', ']', ' ', '\n', '\r', '\t', ':']).next().unwrap_or_default();
        let is_number = literal.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit());
        let other = match (place, literal) {
            (_, "null") | (Place::Open | Place::Named, "true" | "false") => None,
            (Place::Named | Place::Within, _) => Some(MASK.to_owned()),
            (Place::Open, _) if is_number => rewritten_number(literal),
            (Place::Open, _) => None,
        };
        self.pass(self.at + literal.len().max(1), other);
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

    /// Where the object or array that begins here ends.
    fn end_of_nested(&self) -> usize {
        let bytes = self.json.as_bytes();
        let (mut at, mut depth) = (self.at, 0_usize);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    at = end_of_string(self.json, at);
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

/// A number as it may go out where any JSON may stand, when it cannot stay as it is: rounded, or as a string
/// when it is beyond all numbers of 64 bits.
pub fn rewritten_number(number: &str) -> Option<String> {
    let is_plain = is_plain_number(number);
    if is_plain && !number.contains(['e', 'E']) {
        return None;
    }
    match number.parse::<f64>() {
        Ok(float) if !float.is_finite() => Some(quoted(number)),
        Ok(float) if !is_plain => Some(serde_json::Value::from(float).to_string()),
        _ => None,
    }
}

/// Whether every reader takes the digits as they are: the whole part within 64 bits, and not too many of them.
fn is_plain_number(number: &str) -> bool {
    const ALWAYS_FIT: usize = 18;
    let whole = number.split(['.', 'e', 'E']).next().unwrap_or_default();
    let fits = whole.len() <= ALWAYS_FIT || whole.parse::<i64>().is_ok() || whole.parse::<u64>().is_ok();
    fits && number.len() <= LONGEST_NUMBER
}
