//! A JSON value on its way from the API to a record: secrets masked, and readable by strict readers.

use std::borrow::Cow;

use serde::Deserialize;

use super::names::Place;
use super::texts::{host, is_plain, mask_text, may_hold_secret};
use crate::records::strings::{decoded, inner, read};
use crate::records::walk::{Rule, quoted, walked, walked_at_any_depth};

/// Longer numbers are more than 64 bits can tell apart.
const LONGEST_NUMBER: usize = 40;

/// [`super::MASK`] as JSON.
const MASK: &str = "\"**********\"";

/// `json` as it may go out, when it stands at `place`, and whether something in it was lost that is no secret. It
/// must be the text of one JSON value.
///
/// What is nested too deeply for strict readers becomes a string: its JSON text.
pub fn rewritten(json: &str, place: Place) -> (Cow<'_, str>, bool) {
    let mut rule = Secrets::default();
    let json = walked(json, place, &mut rule);
    (json, rule.is_lossy)
}

/// Looks for secrets, and for what readers do not take.
#[derive(Default)]
struct Secrets {
    /// Whether something could not be kept as it came.
    is_lossy: bool,
    /// Whether all that is no secret stays as it is, in a document that is kept as a text.
    leaves_all_else: bool,
}

impl Secrets {
    /// What became of a string or a number; notes whether something in it was lost.
    fn noted(&mut self, rewritten: Option<(String, bool)>) -> Option<String> {
        let (json, is_lossy) = rewritten?;
        self.is_lossy |= is_lossy;
        Some(json)
    }
}

impl Rule for Secrets {
    type Place = Place;

    fn below(&self, place: Place, key: &str) -> Place {
        place.below(key)
    }

    fn inside(&self, place: Place, key: Option<&str>, json: &str) -> Result<Place, String> {
        let is_object = json.starts_with('{');
        Ok(match place {
            Place::Named | Place::Owner if is_object && key.is_some_and(|key| is_called(json, key)) => Place::Open,
            Place::Named if is_object => Place::Within,
            place => place,
        })
    }

    fn single(&mut self, place: Place, json: &str) -> Option<String> {
        let is_text = json.starts_with('"');
        let is_url = || json.contains("://") || json.contains(":\\/");
        match (place, json) {
            (_, "null") | (Place::Named, "true" | "false") => None,
            (Place::Named | Place::Within, _) => Some(MASK.to_owned()),
            (Place::WebhookUrl, _) if is_text => Some(quoted(host(&decoded(json)))),
            (Place::Webhook, _) if is_text && is_url() => Some(quoted(host(&decoded(json)))),
            (Place::Metadata, _) if is_text => self.noted(rewritten_string(json, Place::Document)),
            _ if is_text => self.noted(rewritten_string(json, place)),
            (_, "true" | "false") => None,
            _ if self.leaves_all_else => None,
            _ => self.noted(rewritten_number(json).map(|number| (number, true))),
        }
    }

    fn key(&mut self, string: &str) -> Option<String> {
        if self.leaves_all_else { None } else { self.noted(rewritten_string(string, Place::Document)) }
    }

    fn too_deep(&mut self) {
        self.is_lossy = true;
    }
}

/// Whether the object that `json` begins with has this name: a role that is called "token".
fn is_called(json: &str, name: &str) -> bool {
    #[derive(Deserialize)]
    struct Named<'n> {
        #[serde(borrow)]
        name: Option<Cow<'n, str>>,
    }
    let named = Named::deserialize(&mut serde_json::Deserializer::from_str(json));
    named.is_ok_and(|named| named.name.as_deref() == Some(name))
}

/// A text that stands at `place` as it may go out, also with what is a secret by its name in the JSON document that it
/// holds, which may be cut off.
pub fn masked(text: &str, place: Place) -> Cow<'_, str> {
    // An escape in a key may hide its name.
    let may_tell = |_: &usize| has_document_with_secret(text, place) || text.contains("\\u");
    let Some(begins) = text.find(['{', '[']).filter(may_tell) else { return mask_text(text) };
    let mut rule = Secrets { leaves_all_else: true, ..Secrets::default() };
    match walked_at_any_depth(&text[begins..], place, &mut rule) {
        Cow::Borrowed(_) => mask_text(text),
        Cow::Owned(document) => mask_text(&format!("{}{document}", &text[..begins])).into_owned().into(),
    }
}

/// The JSON string `string` (in its quotes) as it may go out, when that is another, and whether something in it was
/// lost that is no secret.
pub fn rewritten_string(string: &str, place: Place) -> Option<(String, bool)> {
    let inner = inner(string);
    // An escape may stand for something that matters: a slash of a URL, or any letter.
    let may_tell = || {
        ["\\u", "\\/"].iter().any(|escape| inner.contains(escape))
            || may_hold_secret(inner)
            || has_document_with_secret(inner, place)
    };
    if is_plain(inner) || !may_tell() {
        return None;
    }
    let (text, is_readable) = read(string);
    match masked(&text, place) {
        Cow::Borrowed(_) if is_readable => None,
        masked => Some((quoted(&masked), !is_readable)),
    }
}

/// Whether a text holds a JSON document in which a name says that its value is a secret. It may be cut off, and stand
/// among other text, in a string that is escaped once more.
fn has_document_with_secret(text: &str, place: Place) -> bool {
    memchr::memchr_iter(b':', text.as_bytes()).any(|colon| {
        let Some(before) = text[..colon].trim_ascii_end().strip_suffix('"') else { return false };
        let key = before.trim_end_matches('\\').rsplit(['"', '\\']).next().unwrap_or_default();
        !matches!(place.below(key), Place::Open | Place::Metadata | Place::Document)
    })
}

/// A number as it may go out where any JSON may stand, when it cannot stay as it is: rounded, or as a string
/// when it is beyond all numbers of 64 bits.
pub fn rewritten_number(number: &str) -> Option<String> {
    let whole = number.split(['.', 'e', 'E']).next().unwrap_or_default();
    let fits = whole.parse::<i64>().is_ok() || whole.parse::<u64>().is_ok();
    let is_plain = fits && number.len() <= LONGEST_NUMBER;
    if is_plain && !number.contains(['e', 'E']) {
        return None;
    }
    match number.parse::<f64>() {
        Ok(float) if !float.is_finite() => Some(quoted(number)),
        Ok(float) if !is_plain => Some(serde_json::Value::from(float).to_string()),
        _ => None,
    }
}
