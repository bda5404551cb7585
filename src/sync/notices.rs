//! Turns the notices of the client into sentences for the log.

use crate::airbyte::Level;
use crate::api::Notice;

/// The sentence for the log, and how important it is.
pub fn sentence(notice: &Notice) -> (Level, String) {
    match notice {
        Notice::RateLimited { endpoint, wait, .. } => {
            (Level::Info, format!("100ms limits the rate of `{endpoint}`: waiting {:.1} s.", wait.as_secs_f64()))
        }
        Notice::Info(sentence) => (Level::Info, sentence.clone()),
        Notice::Debug(sentence) => (Level::Debug, sentence.clone()),
    }
}

/// When the pause ends, in milliseconds since 1970, if the notice tells of one.
pub fn limited_until(notice: &Notice) -> Option<i64> {
    match notice {
        Notice::RateLimited { until, .. } => Some(until.timestamp_millis()),
        _ => None,
    }
}
