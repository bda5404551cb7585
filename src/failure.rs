//! The one table that turns what went wrong into what the user reads.
//!
//! Every failure has two texts: a sentence for the person who set up the connection (what happened, to
//! which key or endpoint, what to do), and an internal one for whoever looks for a fault.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::airbyte::{FailureType, Message};
use crate::api::{ApiError, GaveUp, Problem, TokenProblem};
use crate::config::ConfigError;
use crate::streams::StreamError;

/// Something that ends a command or a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who can mend it.
    pub kind: FailureType,
    /// For the person who set up the connection.
    pub message: String,
    /// For whoever looks for a fault.
    pub internal: String,
}

impl Failure {
    /// The user can mend it.
    pub fn config(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind: FailureType::ConfigError, internal: message.clone(), message }
    }

    /// We must mend it: a promise inside the connector was broken.
    pub fn internal(what: impl Into<String>) -> Self {
        let message = "The connector has a fault of its own: report it with the log of this sync.".to_owned();
        Self { kind: FailureType::SystemError, message, internal: what.into() }
    }

    /// A file named on the command line cannot be used: `flag` says which.
    pub fn file(flag: &str, path: &str, problem: &str) -> Self {
        Self::config(format!("The file of `--{flag}` ({path}) {}.", problem.trim_end_matches('.')))
    }

    /// The state of `stream` cannot be used.
    pub fn state(stream: &str, key: &str, problem: &str) -> Self {
        Self::config(format!(
            "In the saved state of `{stream}`, `{key}` {problem}: restore the state, or reset the stream to read everything again."
        ))
    }

    /// The same outside a sync, where there is nothing to go on with.
    pub fn outside_a_sync(self) -> Self {
        Self { message: self.message.replace(LATER, "try again later"), ..self }
    }

    /// As an error message of the protocol.
    pub fn to_message(&self, stream: Option<&str>) -> Message {
        Message::error(self.kind, self.message.clone(), self.internal.clone(), stream)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(format!("The setting {error}."))
    }
}

impl From<TokenProblem> for Failure {
    fn from(problem: TokenProblem) -> Self {
        const MEND: &str = "use app credentials, which do not expire, or paste a new token";
        let day = |date: DateTime<Utc>| date.format("%-d %B %Y at %H:%M UTC").to_string();
        Self::config(match problem {
            TokenProblem::NotAToken => {
                "The setting `management_token` is not a management token: copy it again from the Developer section of the 100ms dashboard."
                    .into()
            }
            TokenProblem::WrongType(kind) => {
                let kind: String = kind.chars().filter(|letter| letter.is_ascii_alphanumeric()).take(20).collect();
                format!("`management_token` is a token of type `{kind}`, not `management`: {MEND} of type management.")
            }
            TokenProblem::Expired(date) => format!("The management token expired on {}: {MEND}.", day(date)),
            TokenProblem::NotYetValid(date) => {
                format!(
                    "The management token is not valid before {}: check this machine's clock, or use app credentials.",
                    day(date)
                )
            }
        })
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Api(error) => error.into(),
            StreamError::Record(error) => Self {
                kind: FailureType::SystemError,
                message: format!(
                    "100ms sent something this connector cannot read: {error}; nothing was skipped, report it so that it can be read."
                ),
                internal: error.to_string(),
            },
            StreamError::Write(what) => Self::internal(what),
        }
    }
}

/// What to hope for when nothing can be done.
const LATER: &str = "the next sync goes on from here";

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let internal = error.to_string();
        let endpoint = &error.endpoint;
        let tried = tried(error.tries, error.elapsed);
        let (kind, message) = match &error.problem {
            Problem::Credentials(what) => {
                (FailureType::ConfigError, format!("The credentials cannot be used: {what}."))
            }
            Problem::Refused { status: 401, message, .. } => (
                FailureType::ConfigError,
                format!(
                    "100ms did not accept the credentials at `{endpoint}` (401{}): check the app access key and app secret, or paste a new management token.",
                    said(message)
                ),
            ),
            Problem::Refused { status: 403, message, .. } => (
                FailureType::ConfigError,
                format!(
                    "100ms does not let these credentials read `{endpoint}` (403{}): give them permission in the 100ms dashboard, or deselect the streams that need it.",
                    said(message)
                ),
            ),
            Problem::Refused { retry_after: Some(wait), .. } if matches!(error.gave_up, GaveUp::WaitTooLong(_)) => {
                (
                    FailureType::TransientError,
                    format!(
                        "100ms limits requests to `{endpoint}` and asks to wait {:.1} h, longer than a sync waits: nothing is wrong with your settings; {LATER}.",
                        wait.as_secs_f64() / 3600.0
                    ),
                )
            }
            Problem::Refused { status: 429, .. } => (
                FailureType::TransientError,
                format!(
                    "100ms limited the rate of requests to `{endpoint}` {tried}: nothing is wrong with your settings; {LATER}, and a lower `num_workers` helps."
                ),
            ),
            Problem::Refused { status: status @ (408 | 425 | 500..=599), .. } => (
                FailureType::TransientError,
                format!(
                    "100ms answered {status} to `{endpoint}` {tried}: nothing is wrong with your settings; {LATER}."
                ),
            ),
            Problem::Refused { status: status @ 300..=399, .. } => (
                FailureType::ConfigError,
                format!(
                    "The server at `api_url` answered {status} (a redirect) to `{endpoint}`: check `api_url`, or leave it out for `https://api.100ms.live`."
                ),
            ),
            Problem::Refused { status: 404, .. } => (
                FailureType::ConfigError,
                format!(
                    "The server at `api_url` does not know `{endpoint}` (404): check `api_url`, or leave it out for `https://api.100ms.live`."
                ),
            ),
            Problem::Refused { status, message, .. } => (
                FailureType::SystemError,
                format!("100ms refused `{endpoint}` ({status}{}): report it with the log of this sync.", said(message)),
            ),
            Problem::NotSent(what) => (
                FailureType::TransientError,
                format!(
                    "100ms could not be reached for `{endpoint}` {tried} ({what}): check `api_url` and whether this machine reaches the internet; {LATER}."
                ),
            ),
            Problem::Certificate(what) => (
                FailureType::ConfigError,
                format!(
                    "The certificate of the server at `api_url` is not trusted ({what}): check `api_url`; when a corporate proxy stands in between, let `SSL_CERT_FILE` name a PEM file with its certificate."
                ),
            ),
            Problem::NotPublic => (
                FailureType::ConfigError,
                "The setting `api_url` leads to a loopback or private address, which is not allowed here: use a public address.".to_owned(),
            ),
            Problem::TooSlow(_) | Problem::TooLarge(_) => (
                FailureType::TransientError,
                format!("100ms answered `{endpoint}` without an end {tried} ({}): nothing is wrong with your settings; {LATER}.", error.problem),
            ),
            Problem::BadId => (
                FailureType::SystemError,
                format!("100ms gave an id that cannot be asked for at `{endpoint}` (empty, `.` or `..`): report it with the log of this sync."),
            ),
            Problem::NoAnswer(what) => (
                FailureType::TransientError,
                format!(
                    "100ms did not answer `{endpoint}` completely {tried} ({what}): nothing is wrong with your settings; {LATER}."
                ),
            ),
            Problem::Unreadable(what) => (
                FailureType::TransientError,
                format!(
                    "100ms answered `{endpoint}` with something that is not its documented JSON {tried} ({what}): check for a proxy in between; {LATER}."
                ),
            ),
            Problem::Inconsistent(what) => (
                FailureType::TransientError,
                format!(
                    "The pages of `{endpoint}` contradict each other ({what}): reading on could lose records, so it stopped; {LATER}."
                ),
            ),
        };
        Self { kind, message, internal }
    }
}

/// The vendor's sentence behind a status, when there is one.
fn said(message: &str) -> String {
    match message.trim_end_matches('.') {
        "" => String::new(),
        message => format!(", \"{message}\""),
    }
}

fn tried(tries: u32, elapsed: Duration) -> String {
    match (tries, elapsed.as_secs_f64()) {
        (0 | 1, _) => "once".to_owned(),
        (tries, seconds) if seconds < 10.0 => format!("{tries} times in {seconds:.1} s"),
        (tries, seconds) => format!("{tries} times in {seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: Problem) -> Failure {
        ApiError {
            problem,
            gave_up: GaveUp::TriesExhausted,
            endpoint: "/v2/rooms".into(),
            tries: 6,
            elapsed: Duration::from_secs(94),
            clocks: None,
        }
        .into()
    }

    fn refused(status: u16) -> Failure {
        failure(Problem::Refused { status, message: "why".into(), retry_after: None })
    }

    #[test]
    fn statuses_have_their_kind() {
        let kinds = [401, 403, 404, 302, 400, 429, 500, 503].map(|status| refused(status).kind);
        use FailureType::{ConfigError, SystemError, TransientError};
        assert_eq!(
            kinds,
            [
                ConfigError,
                ConfigError,
                ConfigError,
                ConfigError,
                SystemError,
                TransientError,
                TransientError,
                TransientError
            ]
        );
    }

    #[test]
    fn sentences_say_what_where_and_what_to_do() {
        assert_eq!(
            refused(503).message,
            "100ms answered 503 to `/v2/rooms` 6 times in 94 s: nothing is wrong with your settings; the next sync goes on from here."
        );
        assert!(refused(403).message.contains("`/v2/rooms` (403, \"why\")"));
        let expired: Failure = TokenProblem::Expired("2025-05-03T10:00:00Z".parse().unwrap()).into();
        assert_eq!(
            expired.message,
            "The management token expired on 3 May 2025 at 10:00 UTC: use app credentials, which do not expire, or paste a new token."
        );
    }
}
