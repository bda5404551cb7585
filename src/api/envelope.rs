//! Which answers with status 200 are errors, or say that there is nothing.
//!
//! 100ms, or a server in its place, may answer an error with status 200. Taken for what was asked for, it would be a
//! row, or the end of a list. So each endpoint has a [`Form`], and what contradicts it is an error here, in one place.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::answers::{Key, Raw};

/// What the answers of an endpoint look like, as far as that tells them from errors.
#[derive(Debug)]
pub(super) struct Form {
    /// The members by which an answer is known.
    own: &'static [&'static str],
    /// An answer that has none of them is not one, even if it does not look like an error.
    is_closed: bool,
    /// An answer without a body means that there is nothing.
    may_be_empty: bool,
    /// The answer that status 204 stands for.
    pub(super) no_content: &'static str,
    /// It is about one item, and so may a refusal be.
    pub(super) is_of_one_item: bool,
    /// It can be done without. Where such requests always fail, as those for links do in some workspaces, nobody
    /// should wait for them.
    pub(super) is_optional: bool,
}

impl Form {
    /// A page of a list. (That it has one of its members is checked when it is read.)
    pub(super) const PAGE: Self = Self {
        own: &["data", "limit"],
        is_closed: false,
        may_be_empty: false,
        no_content: r#"{"data":[]}"#,
        is_of_one_item: false,
        is_optional: false,
    };
    /// A page of the events of a room.
    pub(super) const EVENTS: Self =
        Self { own: &["events", "limit"], no_content: r#"{"events":[]}"#, is_of_one_item: true, ..Self::PAGE };
    /// A page of the history of a webhook.
    pub(super) const HISTORY: Self =
        Self { own: &["events", "pagination", "summary"], no_content: r#"{"events":[]}"#, ..Self::PAGE };
    /// One item of a list.
    pub(super) const ITEM: Self =
        Self { own: &["id", "_id"], is_closed: true, no_content: "", is_of_one_item: true, ..Self::PAGE };
    /// A link to a file.
    pub(super) const LINK: Self =
        Self { own: &["url", "path", "expiry", "id"], no_content: "null", is_optional: true, ..Self::ITEM };
    /// Who is in a room.
    pub(super) const PEERS: Self = Self { own: &["peers"], may_be_empty: true, no_content: "null", ..Self::ITEM };
    /// The measurements of somebody.
    pub(super) const STATS: Self =
        Self { own: &["publisher", "subscriber", "peer_id", "session_id", "room_id"], ..Self::PEERS };
    /// The settings of a template, which are the answer itself. There may be others than these.
    pub(super) const SETTINGS: Self = Self {
        own: &["region", "recording", "roomState", "retry", "subscribeDegradation"],
        is_closed: false,
        ..Self::PEERS
    };
    /// The destinations of a template by kind. There may be other kinds.
    pub(super) const DESTINATIONS: Self = Self {
        own: &[
            "rtmpDestinations",
            "rtmp_destinations",
            "hlsDestinations",
            "hls_destinations",
            "browserRecordings",
            "browser_recordings",
            "transcriptions",
        ],
        ..Self::SETTINGS
    };
    /// The recording configurations of a template: an array.
    pub(super) const CONFIGURATIONS: Self = Self { own: &[], ..Self::SETTINGS };

    /// The JSON of an answer with status 200.
    pub(super) fn content(&self, body: Vec<u8>) -> Vec<u8> {
        if self.may_be_empty && body.trim_ascii().is_empty() { b"null".to_vec() } else { body }
    }

    /// What an answer with status 200 is. Looks at no more of it than is needed: at most at what comes before its
    /// first own member that holds something.
    pub(super) fn judge(&self, body: &[u8]) -> Verdict {
        match body.trim_ascii_start().first() {
            Some(b'[') if self.own.is_empty() => Verdict::Answer,
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f') => Verdict::Foreign,
            // What cannot be read to its end is an answer, or told by whoever reads it.
            _ => Members(self).deserialize(&mut serde_json::Deserializer::from_slice(body)).unwrap_or(Verdict::Answer),
        }
    }
}

/// What an answer with status 200 is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was asked for, or nothing that could be told here.
    Answer,
    /// An error that should have had this status.
    Error(u16),
    /// Something that this endpoint does not answer.
    Foreign,
}

/// Reads the members of an answer. Fails at the first that shows it to be one.
struct Members<'f>(&'f Form);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Verdict;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Verdict, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Verdict;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Verdict, M::Error> {
        let Form { own, is_closed, may_be_empty, .. } = self.0;
        let (mut has_own, mut says_something, mut others) = (false, false, 0);
        let (mut code, mut error, mut message): (Raw<'_>, Raw<'_>, Raw<'_>) = (None, None, None);
        while let Some(key) = map.next_key::<Key<'_>>()? {
            match key.0.as_ref() {
                key if own.iter().any(|own| own.as_bytes() == key) => {
                    has_own = true;
                    says_something |= map.next_value::<Option<Little>>()?.is_some();
                }
                b"code" => code = map.next_value()?,
                b"error" => error = map.next_value()?,
                b"message" => message = map.next_value()?,
                // They come with a message.
                b"details" => drop(map.next_value::<IgnoredAny>()?),
                _ => others += usize::from(map.next_value::<Option<IgnoredAny>>()?.is_some()),
            }
        }
        let number = code.and_then(number);
        let status = number.filter(|code| (400.0..600.0).contains(code)).map(|code| code as u16);
        let has_code = number.is_some() || code.is_some() && message.is_some();
        let has_error = error.is_some_and(|error| !matches!(error.get(), "false" | "\"\""));
        let is_message = !has_own && others == 0 && message.is_some_and(|message| message.get().starts_with('"'));
        // A limit, an id or an empty list beside it does not make a good answer of an error.
        if status.is_some() || has_error || has_code && !says_something || is_message {
            return Ok(Verdict::Error(status.unwrap_or(500)));
        }
        let is_empty = others == 0 && message.is_none();
        let is_foreign = *is_closed && !has_own && !(*may_be_empty && is_empty);
        Ok(if is_foreign { Verdict::Foreign } else { Verdict::Answer })
    }
}

/// A number, or one as a text.
fn number(raw: &RawValue) -> Option<f64> {
    raw.get().trim_matches('"').trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A value that holds nothing more: not an object or a list with something in it, which cannot be read as this.
struct Little;

impl<'de> Deserialize<'de> for Little {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Little {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a plain value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self, S::Error> {
        seq.next_element::<Nothing>().map(|_| self)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self, M::Error> {
        map.next_key::<Nothing>().map(|_| self)
    }
}

/// No value can be read as this, so reading it tells whether there is one.
struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(Error::custom("there is something"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [&Form; 10] = [
        &Form::PAGE,
        &Form::EVENTS,
        &Form::HISTORY,
        &Form::ITEM,
        &Form::LINK,
        &Form::PEERS,
        &Form::STATS,
        &Form::SETTINGS,
        &Form::DESTINATIONS,
        &Form::CONFIGURATIONS,
    ];

    #[test]
    fn an_error_object_is_an_error_at_every_endpoint() {
        for form in FORMS {
            for (body, status) in [
                (r#"{"code":500,"message":"internal error","details":["x"]}"#, 500),
                (r#"{"code":"503","message":"later"}"#, 503),
                (r#"{"message":"no","code":404}"#, 404),
                (r#"{"code":429}"#, 429),
                (r#"{"code":0}"#, 500),
                (r#"{"code":13,"message":"internal","details":[]}"#, 500),
                (r#"{"code":-1,"request_id":"r"}"#, 500),
                (r#"{"code":"INTERNAL","message":"sorry"}"#, 500),
                (r#"{"error":"boom"}"#, 500),
                (r#"{"timestamp":1,"status":503,"error":{"why":"boom"},"path":"/v2"}"#, 500),
                (r#" {"message":"internal error"}"#, 500),
                (r#"{"message":"internal error","details":["x"],"hint":null}"#, 500),
            ] {
                assert_eq!(form.judge(body.as_bytes()), Verdict::Error(status), "{body} as {form:?}");
            }
        }
    }

    #[test]
    fn what_holds_something_of_its_own_is_an_answer() {
        for (form, body) in [
            (&Form::PAGE, r#"{"code":500,"limit":10,"data":[{}]}"#),
            (&Form::PAGE, r#"{"code":0,"message":"ok","data":[]}"#),
            (&Form::PAGE, r#"{"limit":10,"data":null,"message":"none"}"#),
            (&Form::EVENTS, r#"{"limit":0,"total":0,"next":"","events":null}"#),
            (&Form::PEERS, r#"{"peers":null}"#),
            (&Form::PEERS, "{}"),
            (&Form::STATS, r#"{"peer_id":"p","publisher":{},"message":"x"}"#),
            (&Form::SETTINGS, r#"{"newer":{"code":500},"message":"welcome"}"#),
            (&Form::SETTINGS, r#"{"region":"in","message":"welcome"}"#),
            (&Form::SETTINGS, "{}"),
            (&Form::DESTINATIONS, r#"{"sipDestinations":{"a":{}}}"#),
            (&Form::CONFIGURATIONS, r#"[{"code":500}]"#),
            (&Form::LINK, r#"{"url":"https://x","error":""}"#),
            (&Form::ITEM, r#"{"_id":"a"}"#),
            // Told by whoever reads it.
            (&Form::PAGE, "{"),
            (&Form::PAGE, "<html>"),
            (&Form::PEERS, "null"),
            (&Form::PEERS, ""),
        ] {
            assert_eq!(form.judge(body.as_bytes()), Verdict::Answer, "{body} as {form:?}");
        }
    }

    #[test]
    fn an_error_stays_one_beside_a_limit_an_id_or_nothing() {
        for (form, body) in [
            (&Form::PAGE, r#"{"limit":10,"data":null,"code":502}"#),
            (&Form::PAGE, r#"{"data":[],"code":502}"#),
            (&Form::ITEM, r#"{"id":"a","code":"502"}"#),
            (&Form::PEERS, r#"{"peers":{},"code":502.0}"#),
        ] {
            assert_eq!(form.judge(body.as_bytes()), Verdict::Error(502), "{body}");
        }
    }

    #[test]
    fn what_an_endpoint_does_not_answer_is_foreign() {
        for (form, body) in [
            (&Form::PEERS, r#"{"room":"r"}"#),
            (&Form::STATS, r#"{"status":"ok"}"#),
            (&Form::ITEM, "{}"),
            (&Form::LINK, "{}"),
            (&Form::SETTINGS, "[]"),
            (&Form::SETTINGS, r#""internal error""#),
            (&Form::DESTINATIONS, "5"),
            (&Form::CONFIGURATIONS, "true"),
        ] {
            assert_eq!(form.judge(body.as_bytes()), Verdict::Foreign, "{body}");
        }
    }
}
