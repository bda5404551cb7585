//! Turns the notices of the client into sentences for the log.

use crate::airbyte::Level;
use crate::api::Notice;

/// The sentence for the log, and how important it is.
pub fn sentence(notice: &Notice) -> (Level, String) {
    match notice {
        Notice::RateLimited { endpoint, wait, .. } => {
            (Level::Info, format!("100ms limits the rate of `{endpoint}`: waiting {:.1} s.", wait.as_secs_f64()))
        }
        Notice::Unreachable { cause } => {
            (Level::Info, format!("There is no connection to 100ms ({cause}): trying again."))
        }
        Notice::Note(sentence) => (Level::Info, sentence.clone()),
        Notice::Skipped { endpoint } => {
            (Level::Debug, format!("`{endpoint}` has nothing, does not exist or no longer does, and is skipped."))
        }
        Notice::ShortPage { endpoint, goes_on } => {
            let so = if *goes_on {
                "there are more items, so such a page does not end the list"
            } else {
                "it is the last page"
            };
            (
                Level::Debug,
                format!("A page of `{endpoint}` has fewer items than its limit and names a next page: {so}."),
            )
        }
        Notice::Retrying { endpoint, problem, wait } => {
            (Level::Debug, format!("Trying `{endpoint}` again in {:.1} s: {problem}.", wait.as_secs_f64()))
        }
    }
}

/// When the pause ends, in milliseconds since 1970, if the notice tells of one.
pub fn limited_until(notice: &Notice) -> Option<i64> {
    match notice {
        Notice::RateLimited { until, .. } => Some(until.timestamp_millis()),
        _ => None,
    }
}
