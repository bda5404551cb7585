//! A JSON value on its way from the API to a record: secrets masked, and readable by strict readers.

use std::borrow::Cow;
use std::cell::Cell;

use super::names::Place;
use super::texts::{host, is_plain, mask_text, may_hold_secret};
use crate::records::strings::{decoded, inner, is_readable};
use crate::records::walk::{Inside, Nested, Rule, quoted, walked, walked_at_any_depth};

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
    /// Whether all that is no secret stays as it is, in a document that is kept as a text.
    leaves_all_else: bool,
}

impl Secrets {
    fn open_string(&self, string: &str, place: Place) -> Option<String> {
        let other = rewritten_text(string, place)?;
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
            Place::Named | Place::Owner if nested.is_object && nested.is_called_like_its_key() => Place::Open,
            place => place,
        })
    }

    fn key(&self, string: &str) -> Option<String> {
        if self.leaves_all_else { None } else { self.open_string(string, Place::Document) }
    }

    fn string(&self, place: Place, string: &str) -> Option<String> {
        match place {
            Place::Named | Place::Within => Some(MASK.to_owned()),
            Place::WebhookUrl => Some(quoted(host(&decoded(inner(string))))),
            Place::Webhook if string.contains("://") || string.contains(":\\/") => {
                Some(quoted(host(&decoded(inner(string)))))
            }
            Place::Metadata => self.open_string(string, Place::Document),
            place => self.open_string(string, place),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&self, place: Place, literal: &str) -> Option<String> {
        let is_number = literal.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit());
        match (place, literal) {
            (_, "null") | (Place::Named, "true" | "false") => None,
            (Place::Named | Place::Within, _) => Some(MASK.to_owned()),
            _ if is_number && !self.leaves_all_else => self.open_number(literal),
            _ => None,
        }
    }

    fn too_deep(&self) {
        self.is_lossy.set(true);
    }
}

/// A text as it may go out, also with what is a secret in a document that it holds.
pub fn mask_value(text: &str) -> Cow<'_, str> {
    match masked_document(text, Place::Document) {
        Cow::Borrowed(text) => mask_text(text),
        Cow::Owned(text) => Cow::Owned(mask_text(&text).into_owned()),
    }
}

/// The JSON string `string` (in its quotes) as it may go out, when that is another. It is what somebody or an app
/// wrote.
pub fn rewritten_string(string: &str) -> Option<String> {
    rewritten_text(string, Place::Document)
}

/// The same of a string that stands at `place`.
fn rewritten_text(string: &str, place: Place) -> Option<String> {
    let inner = inner(string);
    let may_tell =
        || has_telling_escape(inner) || may_hold_secret(inner.as_bytes()) || has_document_with_secret(inner, place);
    if is_plain(inner.as_bytes()) || !may_tell() {
        return None;
    }
    let text = decoded(inner);
    let without_documents = masked_document(&text, place);
    match mask_text(&without_documents) {
        Cow::Borrowed(_) if matches!(without_documents, Cow::Borrowed(_)) && is_readable(inner) => None,
        masked => Some(quoted(&masked)),
    }
}

/// Whether a text holds a JSON document in which a name says that its value is a secret. It may be cut off, and stand
/// among other text, in a string that is escaped once more.
fn has_document_with_secret(text: &str, place: Place) -> bool {
    /// No name of the table is longer, with its escapes and words before it.
    const LONGEST_KEY: usize = 100;
    memchr::memchr_iter(b':', text.as_bytes()).any(|colon| {
        let Some(before) = text[..colon].trim_ascii_end().strip_suffix('"') else { return false };
        let before = before.trim_end_matches('\\');
        let mut begins = before.len().saturating_sub(LONGEST_KEY);
        while !before.is_char_boundary(begins) {
            begins += 1;
        }
        let key = before[begins..].rsplit(['"', '\\']).next().unwrap_or_default();
        !matches!(place.below(key), Place::Open | Place::Metadata | Place::Document)
    })
}

/// `text` with what is a secret by its name masked in the JSON document that it holds, which may be cut off.
fn masked_document(text: &str, place: Place) -> Cow<'_, str> {
    let Some(begins) = text.find(['{', '[']) else { return Cow::Borrowed(text) };
    // An escape in a key may hide its name.
    if !has_document_with_secret(text, place) && !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    match walked_at_any_depth(&text[begins..], place, &Secrets { leaves_all_else: true, ..Secrets::default() }) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(document) => Cow::Owned(text[..begins].to_owned() + &document),
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
