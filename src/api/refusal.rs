//! What a refusal says: its status, the vendor's sentence, and the wait it names.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::Problem;

/// A refusal with the vendor's sentence and the wait it names, in a header or in that sentence.
pub(super) fn problem(
    status: StatusCode,
    headers: &HeaderMap,
    served_at: Option<DateTime<Utc>>,
    body: &[u8],
) -> Problem {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        message: Option<String>,
    }
    let message = serde_json::from_slice::<ErrorBody>(body).ok().and_then(|body| body.message).unwrap_or_default();
    let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| header_wait(value, served_at)).or_else(|| wait_in_message(&message));
    Problem::Refused { status: status.as_u16(), message, retry_after }
}

/// `Retry-After`: seconds, or a date measured by the server's own clock.
fn header_wait(value: &str, served_at: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((date.with_timezone(&Utc) - served_at.unwrap_or_else(Utc::now)).to_std().unwrap_or_default())
}

/// "rate limit exceeded, retry after 45 seconds": the only documented form.
fn wait_in_message(message: &str) -> Option<Duration> {
    let message = message.to_lowercase();
    let (_, wait) = message.split_once("retry after ")?;
    let number: String = wait.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit = wait[number.len()..].trim_start();
    let seconds_in_unit = match unit {
        unit if unit.starts_with("ms") || unit.starts_with("milli") => 0.001,
        unit if unit.starts_with('m') => 60.0,
        unit if unit.starts_with('h') => 3600.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds_in_unit).ok()
}

pub(super) fn header_date(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(name)?.to_str().ok()?).ok()?;
    Some(date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_in_every_form() {
        let served_at = DateTime::parse_from_rfc2822("Sun, 15 Jun 2025 12:00:00 GMT").unwrap().with_timezone(&Utc);
        assert_eq!(header_wait("7", None), Some(Duration::from_secs(7)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 12:00:09 GMT", Some(served_at)), Some(Duration::from_secs(9)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 11:00:00 GMT", Some(served_at)), Some(Duration::ZERO));
        assert_eq!(header_wait("soon", None), None);
        assert_eq!(wait_in_message("rate limit exceeded, retry after 45 seconds"), Some(Duration::from_secs(45)));
        assert_eq!(wait_in_message("Retry after 2m"), Some(Duration::from_secs(120)));
        assert_eq!(wait_in_message("retry after 1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(wait_in_message("retry after a while"), None);
        assert_eq!(wait_in_message("retry after 99999999999999999999999999 seconds"), None);
    }
}
