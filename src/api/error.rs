//! What can go wrong with a request, cut by what the caller can do about it.

use std::time::Duration;

/// A request that did not succeed, after all the tries it deserved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem} (GET {endpoint}, {tries} tries in {:.1} s)", elapsed.as_secs_f64())]
pub struct ApiError {
    /// What went wrong at the last try.
    pub problem: Problem,
    /// The path asked for, without its query.
    pub endpoint: String,
    /// How often it was tried.
    pub tries: u32,
    /// From the first try to the last.
    pub elapsed: Duration,
}

/// What went wrong, worded for a log. Never holds a query, a body or a token.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// The request did not leave: no address, no connection, no TLS.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// It left and no whole answer came: a reset, a timeout, a truncated body.
    #[error("no complete answer: {0}")]
    NoAnswer(String),
    /// 100ms answered and said no.
    #[error("refused with HTTP {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The vendor's own sentence, shortened; empty when there was none.
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
    /// The configured credentials cannot work, as seen without asking.
    #[error("{0}")]
    Credentials(String),
}

impl Problem {
    /// Whether another try can help.
    ///
    /// Yes: no connection, no complete answer, an answer that is not JSON (a proxy's error page),
    /// 408, 425, 429 and every 5xx. No: every other status, contradicting pages, bad credentials.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::NoAnswer(_) | Self::Unreadable(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Inconsistent(_) | Self::Credentials(_) => false,
        }
    }
}

impl ApiError {
    /// The HTTP status, when 100ms refused.
    pub fn status(&self) -> Option<u16> {
        match self.problem {
            Problem::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether 100ms says that the thing asked for does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
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
