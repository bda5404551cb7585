//! What can go wrong with a request, cut by what the caller can do about it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::clocks::Clocks;

/// A request that did not succeed, after all the tries it deserved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem} (GET {endpoint}, {tries} {} in {:.1} s)", if *tries == 1 { "try" } else { "tries" }, elapsed.as_secs_f64())]
pub struct ApiError {
    /// What went wrong at the last try.
    pub problem: Problem,
    /// The wait that 100ms asked for, when it was given up because that is more than the policy's patience.
    pub too_long_wait: Option<Duration>,
    /// The path asked for, and the item when the request was about one.
    pub endpoint: String,
    /// How often it was tried.
    pub tries: u32,
    /// From when the first try was sent to the end of the last.
    pub elapsed: Duration,
    /// What the clocks said at the last answer of any request; `None` before the first.
    pub clocks: Option<Box<Clocks>>,
    /// Whether the token was minted from app credentials rather than pasted.
    pub is_minted: bool,
}

/// What went wrong, worded for a log. Never holds a query, a body or a token.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// The request did not leave: no address, no connection.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// The proxy that the environment names does not lead to the host.
    #[error("the proxy does not connect: {what}")]
    Proxy {
        /// The environment variable that names it.
        variable: &'static str,
        /// Where it is, without user and password.
        address: String,
        /// What went wrong.
        what: String,
    },
    /// It is before or after the time for which the server's certificate is valid.
    #[error("the certificate is valid {which} {date}, and it is {now}", which = if *is_expired { "until" } else { "from" })]
    CertificateDates {
        /// The end of its time, or the beginning.
        date: DateTime<Utc>,
        /// What this machine's clock says.
        now: DateTime<Utc>,
        /// Whether its time is over rather than to come.
        is_expired: bool,
    },
    /// The server's certificate is not trusted, or is not one for this host.
    #[error("the certificate is not accepted: {0}")]
    Certificate(String),
    /// The host is not on the public internet, although only public hosts are allowed.
    #[error("the host has no public address")]
    NotPublic,
    /// It left, and the connection was closed before an answer came.
    #[error("no complete answer: {0}")]
    Closed(String),
    /// It left and no whole answer came: a reset, a timeout, a truncated body.
    #[error("no complete answer: {0}")]
    NoAnswer(String),
    /// The answer was still coming after the longest time one may take.
    #[error("no complete answer: it was still coming after {:.0} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The answer is larger than one may be.
    #[error("the answer is larger than {} MB", .0 / 1_000_000)]
    TooLarge(u64),
    /// 100ms answered and said no.
    #[error("refused with HTTP {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The vendor's own sentence, masked and shortened; empty when there was none.
        message: String,
        /// How long to wait, when the answer named it.
        retry_after: Option<Duration>,
    },
    /// An answer came that is not the documented JSON.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
    /// Pages contradict each other, so going on would loop or lose records.
    #[error("inconsistent pages: {0}")]
    Inconsistent(String),
    /// An id that cannot stand in a path: asking for it would ask for something else.
    #[error("an id cannot be asked for: it is empty, `.` or `..`")]
    BadId,
    /// The configured credentials cannot work, as seen without asking.
    #[error("{0}")]
    Credentials(String),
}

impl Problem {
    /// Whether another try can help.
    ///
    /// Yes: no connection, no complete answer, an answer that is not JSON (a proxy's error page),
    /// 408, 425, 429 and every 5xx. No: every other status, an answer that is too large, contradicting
    /// pages, bad credentials, and what is wrong with the host. (401 and 403 are a matter of the token.)
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Proxy { .. } => !self.is_refused_by_proxy(),
            Self::NotSent(_) | Self::Closed(_) | Self::NoAnswer(_) | Self::TooSlow(_) | Self::Unreadable(_) => true,
            _ => false,
        }
    }

    /// Whether a proxy asks who we are: the words are those of the HTTP library for a 407.
    pub fn is_refused_by_proxy(&self) -> bool {
        matches!(self, Self::Proxy { what, .. } if what.contains("proxy authorization required"))
    }
}

impl ApiError {
    /// A request that would be of no use, so that it was not sent or is not sent again.
    pub fn unsent(problem: Problem, endpoint: String) -> Self {
        let elapsed = Duration::ZERO;
        Self { problem, too_long_wait: None, endpoint, tries: 1, elapsed, clocks: None, is_minted: false }
    }

    /// The HTTP status, when 100ms refused.
    pub fn status(&self) -> Option<u16> {
        match self.problem {
            Problem::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether 100ms says that the thing asked for does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_statuses_are_tried_again() {
        let retried: Vec<u16> = (100..600)
            .filter(|&status| Problem::Refused { status, message: String::new(), retry_after: None }.is_retryable())
            .filter(|status| *status < 500)
            .collect();
        assert_eq!(retried, [408, 425, 429]);
        assert!(Problem::Refused { status: 503, message: String::new(), retry_after: None }.is_retryable());
    }
}
