//! What a refusal says: its status, the vendor's sentence, and the wait it names.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::envelope::LARGEST_ERROR;
use super::error::Problem;
use crate::seams;

/// A named wait that is longer counts as this long: nobody sits it out, and every clock can hold it.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
/// The vendor's sentence is cut after this many characters.
const LONGEST_MESSAGE: usize = 300;

/// Masks the secrets in a text.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A refusal with the vendor's sentence and the wait it names, in a header or in that sentence.
///
/// The sentence may echo a token, so it is masked while it is whole: half a token is not recognised.
pub(super) fn problem(
    status: StatusCode,
    headers: &HeaderMap,
    served_at: Option<DateTime<Utc>>,
    body: &[u8],
    redact: &Redact,
) -> Problem {
    let message = if body.len() > LARGEST_ERROR { String::new() } else { message(body) };
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let named = header.and_then(|value| header_wait(value, served_at)).or_else(|| wait_in_message(&message));
    let retry_after = named.map(|wait| wait.min(LONGEST_WAIT));
    let message = redact(&message).chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect();
    Problem::Refused { status: status.as_u16(), message, retry_after }
}

/// What the body of a refusal says: its `message`, and its `details`, which often hold the only reason.
fn message(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let mut message = body["message"].as_str().unwrap_or_default().to_owned();
    let details = match &body["details"] {
        Value::Array(details) => details.as_slice(),
        one => std::slice::from_ref(one),
    };
    for detail in details.iter().filter_map(Value::as_str).filter(|detail| !detail.is_empty()) {
        if detail.contains(&message) {
            detail.clone_into(&mut message);
        } else if !message.contains(detail) {
            message = format!("{}: {detail}", message.trim_end_matches(['.', ':']));
        }
    }
    message
}

/// `Retry-After`: seconds, or a date measured by the server's own clock.
fn header_wait(value: &str, served_at: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some((http_date(value)? - served_at.unwrap_or_else(seams::now)).to_std().unwrap_or_default())
}

/// "rate limit exceeded, retry after 45 seconds": the only documented form.
fn wait_in_message(message: &str) -> Option<Duration> {
    let message = message.to_lowercase();
    let (_, wait) = message.split_once("retry after ")?;
    let number: String = wait.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Duration::try_from_secs_f64(number.parse().ok()?).ok()
}

pub(super) fn http_date(value: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(value.trim()).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: Option<&'static str>, message: &str) -> (String, Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (RETRY_AFTER, value.parse().unwrap())));
        let body = serde_json::json!({ "code": 503, "message": message }).to_string();
        let redact: Redact = Arc::new(|text| text.replace("s3cr3t", "***"));
        match problem(StatusCode::SERVICE_UNAVAILABLE, &headers, None, body.as_bytes(), &redact) {
            Problem::Refused { message, retry_after, .. } => (message, retry_after),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_secret_is_masked_before_the_text_is_cut() {
        let (message, _) = refused(None, &format!("{}s3cr3t and more", "x".repeat(297)));
        assert_eq!(message, format!("{}***", "x".repeat(297)));
    }

    #[test]
    fn details_tell_the_reason() {
        let told = |body: &str| message(body.as_bytes());
        assert_eq!(
            told(r#"{"code":401,"message":"Token validation error","details":["not found"]}"#),
            "Token validation error: not found"
        );
        assert_eq!(
            told(r#"{"message":"Invalid body param","details":["Invalid body param: size",7]}"#),
            "Invalid body param: size"
        );
        assert_eq!(told(r#"{"message":"no","details":["no"]}"#), "no");
        assert_eq!(told(r#"{"details":"only here"}"#), "only here");
        assert_eq!(told(r#"["no"]"#), "");
    }

    #[test]
    fn named_waits_are_capped_where_they_are_parsed() {
        assert_eq!(refused(Some("18446744073709551615"), "").1, Some(LONGEST_WAIT));
        assert_eq!(refused(None, "retry after 100000000000 s").1, Some(LONGEST_WAIT));
        assert_eq!(refused(Some("Fri, 31 Dec 9999 23:59:59 GMT"), "").1, Some(LONGEST_WAIT));
        // The wait is found beyond where the text is cut.
        assert_eq!(refused(None, &format!("{} retry after 3 s", "x".repeat(400))).1, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_wait_is_found_in_every_form() {
        let served_at = DateTime::parse_from_rfc2822("Sun, 15 Jun 2025 12:00:00 GMT").unwrap().with_timezone(&Utc);
        assert_eq!(header_wait("7", None), Some(Duration::from_secs(7)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 12:00:09 GMT", Some(served_at)), Some(Duration::from_secs(9)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 11:00:00 GMT", Some(served_at)), Some(Duration::ZERO));
        assert_eq!(header_wait("soon", None), None);
        assert_eq!(wait_in_message("rate limit exceeded, retry after 45 seconds"), Some(Duration::from_secs(45)));
        assert_eq!(wait_in_message("retry after 1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(wait_in_message("retry after a while"), None);
        assert_eq!(wait_in_message("retry after 99999999999999999999999999 seconds"), None);
    }
}
