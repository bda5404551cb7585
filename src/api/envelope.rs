//! What stands around the items of an answer: whether it is an error or a page, and where the list goes on.
//!
//! 100ms, or a server in its place, may answer an error with status 200. Taken for what was requested, it would be a
//! row, or the end of a list. So each endpoint has members by which its answers are recognised.

use std::collections::HashMap;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answers::{Raw, text_of};
use super::endpoint::Endpoint;
use super::error::Problem;

/// Nothing that is larger is an error.
pub(super) const LARGEST_ERROR: usize = 16_384;

impl Endpoint {
    /// The status that an answer with status 200 should have had.
    pub(super) fn judge(&self, body: &[u8]) -> Result<StatusCode, Problem> {
        let foreign = || Problem::Unreadable("not of the documented form".into());
        match body.trim_ascii_start().first() {
            Some(b'[') if self.own.is_empty() => return Ok(StatusCode::OK),
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f') => return Err(foreign()),
            _ if body.len() > LARGEST_ERROR => return Ok(StatusCode::OK),
            _ => {}
        }
        let text = text_of(body);
        // What cannot be read at all is reported by whoever reads the answer.
        let Ok(mut members) = serde_json::from_str::<HashMap<String, Raw<'_>>>(&text) else {
            return Ok(StatusCode::OK);
        };
        let own: Vec<Raw<'_>> = self.own.iter().filter_map(|name| members.remove(*name)).collect();
        if own.iter().flatten().any(|value| has_content(value)) {
            return Ok(StatusCode::OK);
        }
        let [code, error, message, _] =
            ["code", "error", "message", "details"].map(|name| members.remove(name).flatten());
        let others = members.values().flatten().count();
        let number = code.and_then(number);
        let status = number.filter(|code| (400.0..600.0).contains(code)).map(|code| code as u16);
        let has_code = number.is_some() || code.is_some() && message.is_some();
        let has_error = error.is_some_and(|error| !matches!(error.get(), "false" | "\"\""));
        let is_message = own.is_empty() && others == 0 && message.is_some_and(|text| text.get().starts_with('"'));
        // A limit, an id or an empty list beside it does not make a good answer of an error.
        if status.is_some() || has_error || has_code && own.iter().flatten().next().is_none() || is_message {
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            return Ok(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        }
        let is_empty = others == 0 && message.is_none();
        let is_foreign = self.is_closed && own.is_empty() && !(self.may_be_empty && is_empty);
        if is_foreign { Err(foreign()) } else { Ok(StatusCode::OK) }
    }
}

/// A number, or one as a text.
fn number(raw: &RawValue) -> Option<f64> {
    raw.get().trim_matches('"').trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a value is an object or a list with something in it.
fn has_content(value: &RawValue) -> bool {
    let text = value.get();
    text.starts_with(['{', '[']) && !text[1..].trim_start().starts_with(['}', ']'])
}

/// A page: of a list by id, of events, or of the webhook history.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct PageAnswer<'a, T> {
    #[serde(borrow)]
    pub(super) limit: Raw<'a>,
    /// The items of a list by id, and the token of the next page.
    pub(super) data: Option<Vec<T>>,
    pub(super) last: Raw<'a>,
    pub(super) events: Option<Vec<T>>,
    /// The token of the next page of events.
    pub(super) next: Raw<'a>,
    /// Where a page of the webhook history stands among the others.
    pub(super) pagination: Raw<'a>,
}

/// The items of a page. An answer with neither items nor a limit is no page, whatever its status: an end of the list
/// that was only an error would lose the rest.
pub(super) fn items<T>(items: Option<Vec<T>>, limit: Raw<'_>) -> Result<Vec<T>, Problem> {
    match (items, limit) {
        (None, None) => Err(Problem::Unreadable("not a page of the list: it has neither a limit nor items".into())),
        (items, _) => Ok(items.unwrap_or_default()),
    }
}

/// The token of a page behind the last item, in answers recorded live: such a page need not have anything else.
pub(super) fn zero_id(last: Raw<'_>) -> Raw<'_> {
    last.filter(|last| last.get().len() > 2 && last.get().trim_matches('"').bytes().all(|digit| digit == b'0'))
}

/// A limit that is a number of items. Anything else is as good as absent.
pub(super) fn limit(raw: Raw<'_>) -> Option<u64> {
    let limit: f64 = raw?.get().parse().ok()?;
    (1.0..=1e6).contains(&limit).then_some(limit as u64)
}

/// A token that leads somewhere. A number is read as its text.
pub(super) fn page_token(raw: Raw<'_>) -> Result<Option<String>, Problem> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(None) };
    let is_number = raw.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let token: String = if is_number { raw.to_owned() } else { serde_json::from_str(raw)? };
    if token.contains('\0') {
        return Err(Problem::Unreadable("the token of the next page in it is not UTF-8".into()));
    }
    Ok(Some(token).filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS: [Endpoint; 10] = [
        Endpoint::ROOMS,
        Endpoint::EVENTS,
        Endpoint::WEBHOOK_EVENTS,
        Endpoint::RECORDING,
        Endpoint::PRESIGNED_URL,
        Endpoint::ACTIVE_ROOM_PEERS,
        Endpoint::PEER_STATS,
        Endpoint::TEMPLATE_SETTINGS,
        Endpoint::TEMPLATE_DESTINATIONS,
        Endpoint::TEMPLATE_RECORDINGS,
    ];

    fn status(endpoint: Endpoint, body: &str) -> Option<u16> {
        endpoint.judge(body.as_bytes()).ok().map(|status| status.as_u16())
    }

    #[test]
    fn an_error_object_is_an_error_at_every_endpoint() {
        for endpoint in ENDPOINTS {
            for (body, expected) in [
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
                assert_eq!(status(endpoint, body), Some(expected), "{body} at {}", endpoint.path);
            }
        }
    }

    #[test]
    fn what_holds_something_of_its_own_is_an_answer() {
        for (endpoint, body) in [
            (Endpoint::ROOMS, r#"{"code":500,"limit":10,"data":[{}]}"#),
            (Endpoint::ROOMS, r#"{"code":0,"message":"ok","data":[]}"#),
            (Endpoint::ROOMS, r#"{"limit":10,"data":null,"message":"none"}"#),
            (Endpoint::EVENTS, r#"{"limit":0,"total":0,"next":"","events":null}"#),
            (Endpoint::ACTIVE_ROOM_PEERS, r#"{"peers":null}"#),
            (Endpoint::ACTIVE_ROOM_PEERS, "{}"),
            (Endpoint::PEER_STATS, r#"{"peer_id":"p","publisher":{},"message":"x"}"#),
            (Endpoint::TEMPLATE_SETTINGS, r#"{"newer":{"code":500},"message":"welcome"}"#),
            (Endpoint::TEMPLATE_SETTINGS, r#"{"region":"in","message":"welcome"}"#),
            (Endpoint::TEMPLATE_SETTINGS, "{}"),
            (Endpoint::TEMPLATE_DESTINATIONS, r#"{"sipDestinations":{"a":{}}}"#),
            (Endpoint::TEMPLATE_RECORDINGS, r#"[{"code":500}]"#),
            (Endpoint::PRESIGNED_URL, r#"{"url":"https://x","error":""}"#),
            (Endpoint::RECORDING, r#"{"_id":"a"}"#),
            // Told by whoever reads it.
            (Endpoint::ROOMS, "{"),
            (Endpoint::ROOMS, "<html>"),
            (Endpoint::ACTIVE_ROOM_PEERS, "null"),
            (Endpoint::ACTIVE_ROOM_PEERS, ""),
        ] {
            assert_eq!(status(endpoint, body), Some(200), "{body} at {}", endpoint.path);
        }
    }

    #[test]
    fn an_error_stays_one_beside_a_limit_an_id_or_nothing() {
        for (endpoint, body) in [
            (Endpoint::ROOMS, r#"{"limit":10,"data":null,"code":502}"#),
            (Endpoint::ROOMS, r#"{"data":[],"code":502}"#),
            (Endpoint::RECORDING, r#"{"id":"a","code":"502"}"#),
            (Endpoint::ACTIVE_ROOM_PEERS, r#"{"peers":{},"code":502.0}"#),
        ] {
            assert_eq!(status(endpoint, body), Some(502), "{body}");
        }
    }

    #[test]
    fn what_an_endpoint_does_not_answer_is_foreign() {
        for (endpoint, body) in [
            (Endpoint::ACTIVE_ROOM_PEERS, r#"{"room":"r"}"#),
            (Endpoint::PEER_STATS, r#"{"status":"ok"}"#),
            (Endpoint::RECORDING, "{}"),
            (Endpoint::PRESIGNED_URL, "{}"),
            (Endpoint::TEMPLATE_SETTINGS, "[]"),
            (Endpoint::TEMPLATE_SETTINGS, r#""internal error""#),
            (Endpoint::TEMPLATE_DESTINATIONS, "5"),
            (Endpoint::TEMPLATE_RECORDINGS, "true"),
        ] {
            assert_eq!(status(endpoint, body), None, "{body}");
        }
    }

    #[test]
    fn what_is_too_large_for_an_error_is_an_answer() {
        let body = |length| format!(r#"{{"code":500,"message":"{}"}}"#, "x".repeat(length));
        assert_eq!(status(Endpoint::ROOMS, &body(10_000)), Some(500));
        assert_eq!(status(Endpoint::ROOMS, &body(20_000)), Some(200));
    }

    fn page(body: &str) -> Result<PageAnswer<'_, &RawValue>, Problem> {
        Ok(serde_json::from_str(body)?)
    }

    #[test]
    fn an_answer_that_is_no_page_is_told_from_an_end() {
        for body in ["{}", r#"{"code":500,"message":"sorry"}"#, r#"{"limit":null,"data":null,"last":"x"}"#] {
            let page = page(body).unwrap();
            assert!(items(page.data, page.limit).is_err() && items(page.events, page.limit).is_err(), "{body}");
        }
        for body in ["[]", "null", r#"{"limit":10,"data":{}}"#] {
            assert!(page(body).is_err(), "{body}");
        }
        for body in [r#"{"limit":10,"last":{}}"#, r#"{"limit":10,"last":"a\u0000"}"#] {
            assert!(page_token(page(body).unwrap().last).is_err(), "{body}");
        }
        for body in [r#"{"limit":10,"data":null}"#, r#"{"limit":10}"#, r#"{"data":[]}"#] {
            let page = page(body).unwrap();
            assert!(items(page.data, page.limit).unwrap().is_empty(), "{body}");
        }
    }

    #[test]
    fn a_token_leads_somewhere_or_is_none() {
        let token = |last: &str| page_token(page(&format!(r#"{{"last":{last}}}"#)).unwrap().last).unwrap();
        assert_eq!([token("null"), token(r#""""#)], [None, None]);
        assert_eq!([token(r#""x""#), token("507")], [Some("x".into()), Some("507".into())]);
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_none() {
        let is_limit = |text: &str| limit(page(&format!(r#"{{"limit":{text}}}"#)).unwrap().limit).is_some();
        assert!(["2", "2.0", "1e2"].iter().all(|text| is_limit(text)));
        for text in ["0", "-1", "1e30", "\"2\"", "\"many\"", "true", "{}", "0.5", "1e999"] {
            assert!(!is_limit(text), "{text}");
        }
    }
}
