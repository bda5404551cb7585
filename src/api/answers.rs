//! The items of an answer, borrowed from the answer's text.
//!
//! A field is kept as the JSON it came as ([`Raw`]): most values travel to the warehouse unread, so
//! neither a number's spelling nor an escape is rebuilt, and only what the connector computes with is
//! ever parsed. `null` and absent are the same.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value as the API wrote it; `None` for `null` or absent.
pub type Raw<'a> = Option<&'a RawValue>;

/// The text of a body. Bytes that are not UTF-8 become the escape `\u0000` each, a letter that no text of the API
/// holds: inside of a string it is read as a letter that cannot be read, and outside it is no JSON.
pub(super) fn text_of(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = simdutf8::basic::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len() + 64);
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().is_empty() {
            continue;
        }
        // Behind the beginning of an escape they belong to it, and it is none.
        let is_escaped = text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        text.push_str(if is_escaped { "\u{fffd}" } else { "\\u0000" });
    }
    Cow::Owned(text)
}

/// An object key as it came, without its escapes: mostly it is only compared, and need not be read as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Key<'a>(#[serde(borrow)] pub Cow<'a, [u8]>);

impl<'a> Key<'a> {
    /// The key as text, see [`Key::into_text`].
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.0)
    }

    /// The key as text. What is not Unicode (half of a surrogate pair) becomes U+FFFD: one odd key must not cost
    /// the whole answer.
    pub fn into_text(self) -> Cow<'a, str> {
        match self.0 {
            Cow::Borrowed(bytes) => lossy(bytes),
            Cow::Owned(bytes) => lossy(&bytes).into_owned().into(),
        }
    }
}

/// The text of `bytes`, in which half a surrogate pair (three bytes, none of which is UTF-8) and U+0000 are U+FFFD.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Cow::Borrowed(text),
        // Each of the three bytes becomes one.
        _ => String::from_utf8_lossy(bytes)
            .replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}")
            .replace('\0', "\u{fffd}")
            .into(),
    }
}

/// An item of an answer, borrowed from the answer's text.
pub trait Answer {
    /// The item of a text that lives for `'a`.
    type Of<'a>: Deserialize<'a>;
}

impl Answer for &RawValue {
    type Of<'a> = &'a RawValue;
}

/// Values, each with its key when it had one.
pub type Keyed<'a, T> = Vec<(Option<Cow<'a, str>>, T)>;

/// The members of an object or array, each with its key (an array's members have none); nothing when there is no `raw`.
///
/// The reference calls `peers` an array while every sample shows an object keyed by id; both are read.
///
/// # Errors
/// When `raw` is neither an object nor an array, or a member is not what `T` expects.
pub fn members_of<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Result<Keyed<'a, T>, serde_json::Error> {
    let Some(json) = raw.map(RawValue::get) else { return Ok(Vec::new()) };
    if json.starts_with('[') {
        let items: Vec<Option<T>> = serde_json::from_str(json)?;
        return Ok(items.into_iter().flatten().map(|item| (None, item)).collect());
    }
    let members = entries(&mut serde_json::Deserializer::from_str(json))?;
    Ok(members.into_iter().map(|(key, member): (Key<'a>, T)| (Some(key.into_text()), member)).collect())
}

/// The members of an object, in the order they came. `null` is the same as a missing one.
///
/// # Errors
/// When there is no object, or a member is not what `T` expects.
pub fn entries<'de, D, T>(deserializer: D) -> Result<Vec<(Key<'de>, T)>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Entries<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
        type Value = Vec<(Key<'de>, T)>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut entries = Vec::with_capacity(16);
            while let Some((key, value)) = map.next_entry::<Key<'de>, Option<T>>()? {
                entries.extend(value.map(|value| (key, value)));
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_map(Entries(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str) -> Vec<Option<String>> {
        let raw: Raw<'_> = serde_json::from_str(json).unwrap();
        let members: Keyed<'_, &RawValue> = members_of(raw).unwrap();
        members.into_iter().map(|(key, _)| key.map(Cow::into_owned)).collect()
    }

    #[test]
    fn members_come_from_objects_arrays_and_null() {
        assert_eq!(keys(r#"{"a":{},"b":null}"#), [Some("a".into())]);
        assert_eq!(keys(r#"[{},null]"#), [None]);
        assert!(keys("null").is_empty());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_letters_that_cannot_be_read() {
        assert!(matches!(text_of("é".as_bytes()), Cow::Borrowed("é")));
        assert_eq!(text_of(b"\"a\xffb\xc3\""), "\"a\\u0000b\\u0000\"");
        assert_eq!(text_of(b"\"a\\\\\xff\""), "\"a\\\\\\u0000\"");
        let is_json = |body: &[u8]| serde_json::from_str::<&RawValue>(&text_of(body)).is_ok();
        assert!(is_json(b"\"\xff\"") && !is_json(b"\"\\\xff\"") && !is_json(b"[\xff]"));
        assert_eq!(keys(&text_of(b"{\"a\xff\":1}")), [Some("a\u{fffd}".into())]);
    }

    #[test]
    fn an_escaped_key_is_the_same_key_and_an_odd_one_is_no_error() {
        assert_eq!(keys(r#"{"\u006eame":1}"#), [Some("name".into())]);
        assert_eq!(keys(r#"{"a\ud83db":1}"#), [Some("a\u{fffd}b".into())]);
    }
}
