//! A JSON value on its way from the API to a record: secrets masked, and readable by strict readers.

use std::borrow::Cow;
use std::cell::Cell;

use super::names::Place;
use super::texts::{is_plain, mask_text, may_hold_secret};
use crate::streams::strings::{decoded, is_readable};
use crate::streams::walk::{Inside, Nested, Rule, inner, quoted, walked};

/// Longer numbers are more than 64 bits can tell apart.
const LONGEST_NUMBER: usize = 40;

/// [`super::MASK`] as JSON.
const MASK: &str = "\"**********\"";

/// `json` as it may go out, when it stands at `place`, and whether something in it was lost that is no secret. It
/// must be the text of one JSON value.
///
/// What is nested too deeply for strict readers becomes a string: its JSON text.
pub fn rewritten(json: &str, place: Place) -> (Cow<'_, str>, bool) {
    let rule = Secrets::default();
    let json = walked(json, place, &rule);
    (json, rule.is_lossy.get())
}

/// Looks for secrets, and for what readers do not take.
#[derive(Default)]
struct Secrets {
    /// Whether something could not be kept as it came.
    is_lossy: Cell<bool>,
}

impl Secrets {
    fn open_string(&self, string: &str) -> Option<String> {
        let other = rewritten_string(string)?;
        self.is_lossy.set(self.is_lossy.get() || !is_readable(inner(string)));
        Some(other)
    }

    fn open_number(&self, number: &str) -> Option<String> {
        let other = rewritten_number(number)?;
        self.is_lossy.set(true);
        Some(other)
    }
}

impl Rule for Secrets {
    type Place = Place;

    fn below(&self, place: Place, key: &str) -> Place {
        place.below(key)
    }

    fn inside(&self, place: Place, nested: &Nested<'_>) -> Inside<Place> {
        Inside::At(match place {
            Place::Named if nested.is_object && !nested.is_called_like_its_key() => Place::Within,
            Place::Named if nested.is_object => Place::Open,
            place => place,
        })
    }

    fn key(&self, string: &str) -> Option<String> {
        self.open_string(string)
    }

    fn string(&self, place: Place, string: &str) -> Option<String> {
        if place == Place::Open { self.open_string(string) } else { Some(MASK.to_owned()) }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&self, place: Place, literal: &str) -> Option<String> {
        let is_number = literal.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit());
        match (place, literal) {
            (_, "null") | (Place::Open | Place::Named, "true" | "false") => None,
            (Place::Named | Place::Within, _) => Some(MASK.to_owned()),
            (Place::Open, _) if is_number => self.open_number(literal),
            (Place::Open, _) => None,
        }
    }

    fn too_deep(&self) {
        self.is_lossy.set(true);
    }
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

/// Whether an escape may stand for something that matters: a slash of a URL, or any letter.
fn has_telling_escape(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    memchr::memchr_iter(b'\\', bytes).any(|at| matches!(bytes.get(at + 1), Some(b'u' | b'/')))
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
