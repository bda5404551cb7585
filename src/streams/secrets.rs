//! Values that never leave the connector: masked on the way from the API to the record.
//!
//! Only what may hold a secret is looked into; everything else passes as the API wrote it. Keys stay,
//! so that the shape of a configuration is still seen.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::api::Key;

/// What stands where a secret was.
pub const MASK: &str = "**********";

/// Deeper than any answer of the API; what lies deeper is masked unseen.
const DEEPEST: usize = 100;

/// What the key above a value says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nothing.
    Open,
    /// Under `credentials`, or in the headers of a webhook: every value is a secret.
    Secret,
    /// A webhook: its headers carry tokens.
    Webhook,
    /// RTMP ingest URLs: the stream key is the last path segment.
    RtmpUrls,
    /// A link to a meeting: `token` in its query lets anybody in.
    MeetingUrl,
}

impl Place {
    /// The place of the value under `key`.
    pub fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Secret, _) | (_, "credentials") | (Self::Webhook, "headers") => Self::Secret,
            (_, "webhook") => Self::Webhook,
            (_, "rtmpUrls" | "rtmp_urls") => Self::RtmpUrls,
            (_, "meeting_url" | "meetingUrl") => Self::MeetingUrl,
            _ => Self::Open,
        }
    }
}

/// A JSON value that is written with its secrets masked.
pub struct Masked<'a> {
    raw: &'a RawValue,
    place: Place,
    depth: usize,
}

impl<'a> Masked<'a> {
    /// `raw`, found at `place`.
    pub fn new(raw: &'a RawValue, place: Place) -> Self {
        Self { raw, place, depth: 0 }
    }

    fn child(&self, raw: &'a RawValue, place: Place) -> Self {
        Self { raw, place, depth: self.depth + 1 }
    }
}

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.raw.get();
        if self.place == Place::Open && !may_hold_secrets(text) {
            return self.raw.serialize(serializer);
        }
        match text.as_bytes().first() {
            Some(b'{' | b'[') if self.depth > DEEPEST => serializer.serialize_str(MASK),
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (Key(key), value) in entries {
                    map.serialize_entry(&key, &self.child(value, self.place.below(&key)))?;
                }
                map.end()
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&self.child(item, self.place))?;
                }
                seq.end()
            }
            _ if text == "null" => serializer.serialize_unit(),
            Some(b'"') if matches!(self.place, Place::RtmpUrls | Place::MeetingUrl) => {
                let url: Cow<'_, str> = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(&self.mask_url(&url))
            }
            _ if self.place == Place::Secret => serializer.serialize_str(MASK),
            _ => self.raw.serialize(serializer),
        }
    }
}

impl Masked<'_> {
    fn mask_url(&self, url: &str) -> String {
        match self.place {
            Place::RtmpUrls => mask_stream_key(url),
            _ => mask_meeting_token(url),
        }
    }
}

/// Whether any key below could make a difference. An escaped key is looked at, to be sure.
fn may_hold_secrets(text: &str) -> bool {
    const HINTS: [&[u8]; 6] = [b"credentials", b"webhook", b"rtmpUrls", b"rtmp_urls", b"meeting", b"\\u"];
    matches!(text.as_bytes().first(), Some(b'{' | b'['))
        && HINTS.iter().any(|hint| memmem::find(text.as_bytes(), hint).is_some())
}

/// `rtmp://user:password@host/app/KEY?query` without its secrets: `rtmp://**********@host/app/**********`.
pub fn mask_stream_key(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let had_query = rest.contains(['?', '#']);
    let rest = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => authority.to_owned(),
    };
    let path = match (path.map(|path| path.rsplit_once('/')), had_query) {
        (Some(Some((application, _))), _) => format!("/{application}/{MASK}"),
        (Some(None), _) | (None, true) => format!("/{MASK}"),
        (None, false) => String::new(),
    };
    match scheme {
        // Not a URL at all: perhaps the key itself.
        "" => MASK.to_owned(),
        scheme => format!("{scheme}://{authority}{path}"),
    }
}

/// A meeting link with the value of every `token` in its query masked.
pub fn mask_meeting_token(url: &str) -> String {
    let mut masked = String::with_capacity(url.len());
    for part in url.split_inclusive(['?', '&', '#', ';']) {
        let end = part.trim_end_matches(['?', '&', '#', ';']).len();
        match part[..end].split_once('=') {
            Some((name, _)) if matches!(name.to_ascii_lowercase().as_str(), "token" | "auth_token") => {
                masked.push_str(name);
                masked.push('=');
                masked.push_str(MASK);
            }
            _ => masked.push_str(&part[..end]),
        }
        masked.push_str(&part[end..]);
    }
    masked
}

/// The entries of an object in their order; a duplicate key is kept, as the API wrote it.
struct Entries<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, _: S) -> Result<Self::Value, S::Error> {
                Err(serde::de::Error::custom("an array"))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(json: &str, place: Place) -> serde_json::Value {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        serde_json::to_value(Masked::new(raw, place)).unwrap()
    }

    #[test]
    fn credentials_are_masked_at_any_depth_and_keep_their_keys() {
        let json = r#"{"recording":{"upload":{"location":"b","credentials":{"key":"AK","secretKey":"S","n":1,"deep":[{"x":true}],"none":null}}}}"#;
        assert_eq!(
            masked(json, Place::Open),
            serde_json::json!({"recording":{"upload":{"location":"b","credentials":
                {"key":MASK,"secretKey":MASK,"n":MASK,"deep":[{"x":MASK}],"none":null}}}})
        );
        let escaped = r#"{"cr\u0065dentials":{"key":"AK"}}"#;
        assert_eq!(masked(escaped, Place::Open), serde_json::json!({"credentials":{"key":MASK}}));
    }

    #[test]
    fn only_the_headers_of_a_webhook_are_masked() {
        let json = r#"{"url":"https://a/b","headers":{"x-token":"s","list":["a"]}}"#;
        assert_eq!(
            masked(json, Place::Webhook),
            serde_json::json!({"url":"https://a/b","headers":{"x-token":MASK,"list":[MASK]}})
        );
        assert_eq!(masked(r#"{"headers":{"a":"b"}}"#, Place::Open), serde_json::json!({"headers":{"a":"b"}}));
    }

    #[test]
    fn stream_keys_are_cut_off() {
        for (url, expected) in [
            ("rtmp://a.example/live2/KEY-1?x=y", "rtmp://a.example/live2/**********"),
            ("rtmps://a.example:443/app/in/KEY/", "rtmps://a.example:443/app/in/**********"),
            ("rtmp://a.example/KEY", "rtmp://a.example/**********"),
            ("rtmp://user:pw@a.example/live/KEY", "rtmp://**********@a.example/live/**********"),
            ("rtmp://a.example?key=KEY", "rtmp://a.example/**********"),
            ("rtmp://a.example", "rtmp://a.example"),
            ("KEY", "**********"),
        ] {
            assert_eq!(mask_stream_key(url), expected);
        }
        let json = r#"{"rtmpUrls":["rtmp://h/a/KEY"],"name":"n"}"#;
        assert_eq!(masked(json, Place::Open), serde_json::json!({"rtmpUrls":["rtmp://h/a/**********"],"name":"n"}));
    }

    #[test]
    fn meeting_tokens_are_masked_wherever_the_query_has_them() {
        for (url, expected) in [
            (
                "https://x.live/preview/r/host?token=T&skip_preview=true",
                "https://x.live/preview/r/host?token=**********&skip_preview=true",
            ),
            ("https://x.live/r?a=b&TOKEN=T#token=U", "https://x.live/r?a=b&TOKEN=**********#token=**********"),
            ("https://x.live/r", "https://x.live/r"),
            ("https://x.live/r?tokens=1&token=", "https://x.live/r?tokens=1&token=**********"),
        ] {
            assert_eq!(mask_meeting_token(url), expected);
        }
    }

    #[test]
    fn what_is_nested_beyond_reason_is_masked_unseen() {
        let json = format!("{}{{\"credentials\":1}}{}", "[".repeat(5000), "]".repeat(5000));
        let raw: &RawValue = serde_json::from_str(&json).unwrap();
        let text = serde_json::to_string(&Masked::new(raw, Place::Open)).unwrap();
        assert!(text.contains(MASK) && !text.contains("credentials"));
    }

    #[test]
    fn what_holds_no_secret_is_untouched() {
        let raw: &RawValue = serde_json::from_str(r#"{ "a" : 1.50e3, "b":"\u00e9" }"#).unwrap();
        assert_eq!(serde_json::to_string(&Masked::new(raw, Place::Open)).unwrap(), r#"{"a":1.50e3,"b":"\u00e9"}"#);
    }
}
