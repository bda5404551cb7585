//! The one table that turns what went wrong into what the user reads.
//!
//! Every failure has two texts: a sentence for the person who set up the connection (what happened, to
//! which key or endpoint, what to do), and an internal one for somebody who looks for the cause.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::airbyte::FailureType::{ConfigError, SystemError, TransientError};
use crate::airbyte::{FailureType, Message};
use crate::api::{ApiError, GiveUpReason, Problem, TokenProblem};
use crate::streams::StreamError;

/// Something that ends a command or a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureType,
    /// For the person who set up the connection.
    pub message: String,
    /// For somebody who looks for the cause.
    pub internal: String,
    pub reach: Reach,
}

/// What else fails for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everything that sends requests to 100ms, because signing in fails.
    Credentials,
    /// Everything that sends requests to 100ms, because there is no connection.
    Network,
    /// What needs the endpoint that was refused.
    Permission,
    /// What needs an endpoint that 100ms limits the rate of, for now.
    Limit,
    /// Nothing else, as far as is known.
    Single,
}

/// What is being done when something goes wrong, which decides what there is to hope for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A sync, which the next one continues.
    Sync,
    /// A question that somebody waits for, such as `check`.
    Question,
}

impl Occasion {
    /// What to hope for when nothing can be done.
    fn later(self) -> &'static str {
        match self {
            Self::Sync => "the next sync continues from here",
            Self::Question => "try again later",
        }
    }
}

impl Failure {
    /// The user can fix it.
    pub fn config(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind: ConfigError, internal: message.clone(), message, reach: Reach::Single }
    }

    /// A request failed for good, on this `occasion`.
    pub fn of(error: &ApiError, occasion: Occasion) -> Self {
        let (kind, reach) = kind_and_reach(error);
        Self { kind, message: sentence(error, occasion), internal: error.to_string(), reach }
    }

    /// Whether everything that sends requests to 100ms fails in this way.
    pub fn concerns_all(&self) -> bool {
        matches!(self.reach, Reach::Credentials | Reach::Network)
    }

    /// Whether `other` is the same trouble met at another place.
    pub fn is_same_trouble(&self, other: &Self) -> bool {
        self.message == other.message || (self.kind == TransientError && other.kind == TransientError)
    }

    /// We must fix it: a promise inside the connector was broken.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::system("The connector has a bug: report it with the log of this sync.", what)
    }

    /// No thread can be started.
    pub fn thread(error: &std::io::Error) -> Self {
        let message = "The operating system does not let this process start a thread: raise the limit on processes and threads (`ulimit -u`, or the `pids` limit of the container), or give it more memory.";
        let internal = format!("a thread cannot be started: {error}");
        Self { kind: TransientError, message: message.to_owned(), internal, reach: Reach::Single }
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

    /// A page token or an id that repeats a secret, and which no state may hold.
    pub fn secret_in_pages(stream: &str) -> Self {
        let message = format!(
            "100ms answered `{stream}` with a page token or an id that repeats one of your secrets, such as the token of the request: reading on would write it into the saved state; report it to 100ms."
        );
        Self::system(message, "a page token or an id holds a secret")
    }

    fn system(message: impl Into<String>, internal: impl Into<String>) -> Self {
        Self { kind: SystemError, message: message.into(), internal: internal.into(), reach: Reach::Single }
    }

    /// As an error message of the protocol.
    pub fn to_message(&self, stream: Option<&str>) -> Message {
        let Self { kind, message, internal, .. } = self.clone();
        Message::Error { kind, message, internal, stream: stream.map(str::to_owned) }
    }
}

impl From<TokenProblem> for Failure {
    fn from(problem: TokenProblem) -> Self {
        const ADVICE: &str = "use app credentials, which do not expire, or paste a new token";
        Self::config(match problem {
            TokenProblem::NotAToken => "The setting `management_token` does not hold a management token: copy it again from the Developer section of the 100ms dashboard.".to_owned(),
            TokenProblem::WrongType(kind) => {
                let kind: String = kind.chars().filter(|letter| letter.is_ascii_alphanumeric()).take(20).collect();
                format!("`management_token` is a token of type `{kind}`, not `management`: {ADVICE} of type management.")
            }
            TokenProblem::Expired(date) => format!("The management token expired on {}: {ADVICE}.", day(date)),
            TokenProblem::NotYetValid(date) => format!(
                "The management token is not valid before {}: check this machine's clock, or use app credentials.",
                day(date)
            ),
        })
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Api(error) => Self::of(&error, Occasion::Sync),
            StreamError::Record(error) => {
                let message = format!(
                    "100ms sent something this connector cannot read: {error}; no record was skipped, so report this with the log of the sync."
                );
                Self::system(message, error.to_string())
            }
        }
    }
}

/// The table of failed requests: who can fix it, and what else fails for the same reason.
fn kind_and_reach(error: &ApiError) -> (FailureType, Reach) {
    match &error.problem {
        Problem::Refused { status: 401, .. } | Problem::Credentials(_) => (ConfigError, Reach::Credentials),
        Problem::Refused { status: 403, .. } => (ConfigError, Reach::Permission),
        Problem::Refused { .. } if is_wait_too_long(error) => (TransientError, Reach::Single),
        Problem::Refused { status: 429, .. } => (TransientError, Reach::Limit),
        Problem::Refused { status: 408 | 425 | 500..=599, .. } => (TransientError, Reach::Single),
        Problem::Refused { status: 300..=399, .. } => (ConfigError, Reach::Network),
        Problem::Refused { status: 404, .. } => (ConfigError, Reach::Single),
        Problem::Refused { status: 400, message, .. } if is_about_event_types(error, message) => {
            (ConfigError, Reach::Single)
        }
        Problem::Proxy { .. } if error.problem.is_refused_by_proxy() => (ConfigError, Reach::Network),
        Problem::NotSent(_) | Problem::Proxy { .. } => (TransientError, Reach::Network),
        Problem::CertificateDates { .. } | Problem::Certificate(_) | Problem::NotPublic => {
            (ConfigError, Reach::Network)
        }
        Problem::NoAnswer(_)
        | Problem::Closed(_)
        | Problem::TooSlow(_)
        | Problem::TooLarge(_)
        | Problem::Unreadable(_)
        | Problem::Inconsistent(_) => (TransientError, Reach::Single),
        Problem::Refused { .. } | Problem::BadId => (SystemError, Reach::Single),
    }
}

/// The table of failed requests: what the user reads.
fn sentence(error: &ApiError, occasion: Occasion) -> String {
    let (endpoint, later) = (&error.endpoint, occasion.later());
    let failed = match error.tries {
        0 | 1 => "1 attempt failed".to_owned(),
        tries => format!("{tries} attempts in {} failed", seconds(error.elapsed)),
    };
    match &error.problem {
        Problem::Refused { status, message, retry_after } => {
            refusal(error, *status, message, retry_after.unwrap_or_default(), &failed, occasion)
        }
        Problem::Credentials(what) => {
            format!("The credentials cannot be used, because {what}: copy them again from the 100ms dashboard.")
        }
        Problem::NotSent(what) => format!(
            "Could not reach 100ms: {failed} (`{endpoint}`, {what}). Check `api_url` and whether this machine reaches the internet; {later}."
        ),
        Problem::Proxy { variable, address, what } if error.problem.is_refused_by_proxy() => format!(
            "The proxy `{address}` of the environment variable `{variable}` asks for a user and a password, or does not accept those it was given ({what}): write the variable as `http://user:password@host:port`."
        ),
        Problem::Proxy { variable, address, what } => format!(
            "Could not reach 100ms through the proxy `{address}` of the environment variable `{variable}`: {failed} (`{endpoint}`, {what}). Check the variable and whether the proxy runs and lets this host pass, or list the host in `NO_PROXY`; {later}."
        ),
        Problem::CertificateDates { date, now, is_expired } => format!(
            "The certificate of the server at `api_url` {} {}, and this machine's clock says {}: set this machine's clock if it is wrong; else the certificate must be renewed where it comes from, the server or a corporate proxy in between.",
            if *is_expired { "expired on" } else { "is not valid before" },
            day(*date),
            day(*now)
        ),
        Problem::Certificate(what) => format!(
            "The certificate of the server at `api_url` is not trusted ({what}): check `api_url`, and if there is a corporate proxy in between, set `SSL_CERT_FILE` to a PEM file with the certificate of its authority."
        ),
        Problem::NotPublic => {
            "The setting `api_url` leads to a loopback or private address, which is not allowed here: use a public address.".to_owned()
        }
        Problem::NoAnswer(what) | Problem::Closed(what) => format!(
            "100ms did not answer `{endpoint}` completely: {failed} ({what}). Nothing is wrong with your settings; {later}."
        ),
        problem @ (Problem::TooSlow(_) | Problem::TooLarge(_)) => format!(
            "The answer to `{endpoint}` did not come to an end: {failed} ({problem}). Nothing is wrong with your settings; {later}."
        ),
        Problem::Unreadable(what) => format!(
            "The answer to `{endpoint}` could not be read as JSON: {failed} ({what}). Check whether a proxy or a login page answers in its place; {later}."
        ),
        Problem::Inconsistent(what) => format!(
            "The pages of `{endpoint}` contradict each other ({what}), and reading on could lose records. Nothing is wrong with your settings; {later}."
        ),
        Problem::BadId => format!(
            "100ms sent an id that cannot be requested at `{endpoint}`, because it is empty, `.` or `..`: report it with the log of this sync."
        ),
    }
}

/// The part of the table for what 100ms, or a server in its place, refused.
fn refusal(
    error: &ApiError,
    status: u16,
    message: &str,
    retry_after: Duration,
    failed: &str,
    occasion: Occasion,
) -> String {
    let (endpoint, later) = (&error.endpoint, occasion.later());
    // The vendor's own sentence, when there is one.
    let why = match message.trim_end_matches('.') {
        "" => String::new(),
        message => format!(", \"{message}\""),
    };
    let (clocks, or_clock) = clocks(error);
    match status {
        401 => {
            let (what, advice) = if error.is_minted {
                ("app access key and app secret", "copy both again from the 100ms dashboard")
            } else {
                ("management token", "paste a new one, or use app credentials, which do not expire")
            };
            format!("100ms did not accept the {what} at `{endpoint}` (401{why}){clocks}: {advice}{or_clock}.")
        }
        403 => {
            let who = if error.is_minted { "these app credentials" } else { "this management token" };
            let or = match occasion {
                Occasion::Sync => ", or leave this stream out of the sync",
                Occasion::Question => "",
            };
            format!(
                "100ms does not let {who} read `{endpoint}` (403{why}){clocks}: grant the permission in the 100ms dashboard{or}{or_clock}."
            )
        }
        _ if is_wait_too_long(error) => format!(
            "100ms answered {status} to `{endpoint}` and asks to wait {}, which is longer than {} waits. Nothing is wrong with your settings; {later}.",
            wait(retry_after),
            if occasion == Occasion::Sync { "a sync" } else { "this command" }
        ),
        429 if occasion == Occasion::Question => format!(
            "100ms limits the rate of requests to `{endpoint}` at the moment, so it could not be checked. Nothing is known to be wrong with your settings; {later}."
        ),
        429 => format!(
            "100ms limits the rate of requests to `{endpoint}`: {failed}. Nothing is wrong with your settings; {later}, and a lower `num_workers` helps."
        ),
        408 | 425 | 500..=599 => {
            let tried = match error.tries {
                0 | 1 => "once".to_owned(),
                tries => format!("{tries} times in {}", seconds(error.elapsed)),
            };
            format!("100ms answered {status} to `{endpoint}` {tried}. Nothing is wrong with your settings; {later}.")
        }
        300..=399 => format!(
            "The server at `api_url` answered {status} (a redirect) to `{endpoint}`: check `api_url`, or leave it out for `https://api.100ms.live`."
        ),
        404 => format!(
            "The server at `api_url` does not know `{endpoint}` (404): check `api_url`, or leave it out for `https://api.100ms.live`."
        ),
        400 if is_about_event_types(error, message) => format!(
            "100ms does not accept the types of events that `analytics_event_types` asks for (400{why}): choose among those that 100ms documents, or leave it empty for all."
        ),
        _ => format!("100ms refused `{endpoint}` ({status}{why}): report it with the log of this sync."),
    }
}

fn is_wait_too_long(error: &ApiError) -> bool {
    matches!(error.gave_up, GiveUpReason::WaitTooLong(_))
}

/// Whether the types of events are refused. Their endpoint, which may name a room behind it, is the only one that
/// takes a setting of the user's in its query.
fn is_about_event_types(error: &ApiError, message: &str) -> bool {
    let path = error.endpoint.split('?').next().unwrap_or_default();
    path.ends_with("/analytics/events") && message.to_ascii_lowercase().contains("type")
}

/// What the clocks have to do with a refused token, which is not valid before or after its time: what they say,
/// and what to do about it besides.
fn clocks(error: &ApiError) -> (String, &'static str) {
    let skewed = error.clocks.as_ref().filter(|clocks| clocks.skew().is_some());
    let Some((server, local)) = skewed.and_then(|clocks| Some((clocks.server?, clocks.local))) else {
        return (String::new(), "");
    };
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
    let what = format!("; its clock says {}, this machine's {} (UTC)", time(server), time(local));
    (what, "; else set this machine's clock")
}

/// A date for a sentence.
fn day(date: DateTime<Utc>) -> String {
    date.format("%-d %B %Y at %H:%M UTC").to_string()
}

/// A wait in the unit that people would use.
fn wait(wait: Duration) -> String {
    match wait.as_secs_f64() {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Clocks;

    fn failure(problem: Problem) -> Failure {
        let error = ApiError {
            problem,
            gave_up: GiveUpReason::TriesExhausted,
            endpoint: "/v2/rooms".into(),
            tries: 6,
            elapsed: Duration::from_secs(94),
            clocks: None,
            is_minted: true,
        };
        Failure::of(&error, Occasion::Sync)
    }

    fn refused(status: u16) -> Failure {
        failure(Problem::Refused { status, message: "why".into(), retry_after: None })
    }

    #[test]
    fn statuses_have_their_kind() {
        let kinds = [401, 403, 404, 302, 400, 429, 500, 503].map(|status| refused(status).kind);
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
    fn clocks_are_named_when_they_differ() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        let sentence = |server: i64, is_minted: bool| {
            let error = ApiError {
                problem: Problem::Refused { status: 401, message: String::new(), retry_after: None },
                gave_up: GiveUpReason::NotRetryable,
                endpoint: "/v2/rooms".into(),
                tries: 2,
                elapsed: Duration::from_secs(1),
                clocks: Some(Box::new(Clocks { server: Some(at(server)), local: at(0) })),
                is_minted,
            };
            Failure::of(&error, Occasion::Sync).message
        };
        assert_eq!(
            sentence(-60, true),
            "100ms did not accept the app access key and app secret at `/v2/rooms` (401); its clock says 2023-11-14 22:12:20, this machine's 2023-11-14 22:13:20 (UTC): copy both again from the 100ms dashboard; else set this machine's clock."
        );
        assert_eq!(
            sentence(9, false),
            "100ms did not accept the management token at `/v2/rooms` (401): paste a new one, or use app credentials, which do not expire."
        );
    }

    #[test]
    fn event_types_that_100ms_refuses_are_the_users_to_fix() {
        let refused = |endpoint: &str, message: &str| {
            let error = ApiError {
                problem: Problem::Refused { status: 400, message: message.into(), retry_after: None },
                gave_up: GiveUpReason::NotRetryable,
                endpoint: endpoint.into(),
                tries: 1,
                elapsed: Duration::ZERO,
                clocks: None,
                is_minted: true,
            };
            Failure::of(&error, Occasion::Sync)
        };
        for endpoint in ["/v2/analytics/events", "/v2/analytics/events?room_id=66a1"] {
            let types = refused(endpoint, "invalid event type: client.joined");
            assert_eq!(types.kind, FailureType::ConfigError);
            assert!(types.message.contains("`analytics_event_types`") && types.message.contains("client.joined"));
        }
        assert_eq!(refused("/v2/analytics/events", "room_id is required").kind, FailureType::SystemError);
        assert_eq!(refused("/v2/rooms", "invalid type").kind, FailureType::SystemError);
    }

    #[test]
    fn only_credentials_and_network_concern_everything() {
        let reach = |problem: Problem| failure(problem).concerns_all();
        assert!(refused(401).concerns_all() && refused(302).concerns_all());
        assert!(reach(Problem::NotSent("refused".into())) && reach(Problem::Certificate("unknown issuer".into())));
        for status in [400, 403, 404, 429, 500, 503] {
            assert!(!refused(status).concerns_all(), "{status}");
        }
        assert!(!reach(Problem::NoAnswer("reset".into())) && !reach(Problem::Unreadable("HTML".into())));
    }

    #[test]
    fn sentences_say_what_where_and_what_to_do() {
        assert_eq!(
            refused(503).message,
            "100ms answered 503 to `/v2/rooms` 6 times in 94 s. Nothing is wrong with your settings; the next sync continues from here."
        );
        assert!(refused(403).message.contains("`/v2/rooms` (403, \"why\")"));
        let expired: Failure = TokenProblem::Expired("2025-05-03T10:00:00Z".parse().unwrap()).into();
        assert_eq!(
            expired.message,
            "The management token expired on 3 May 2025 at 10:00 UTC: use app credentials, which do not expire, or paste a new token."
        );
    }
}
