//! The one table that turns what went wrong into what the user reads.
//!
//! Every failure has two texts: a sentence for the person who set up the connection (what happened, to
//! which key or endpoint, what to do), and an internal one for somebody who looks for the cause.

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
    /// For somebody who looks for the cause.
    pub internal: String,
    /// Whether others fail for the same reason.
    pub reach: Reach,
}

/// Whom a failure concerns.
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
    /// A sync, which the next one goes on with.
    Sync,
    /// A question that somebody waits for, such as `check`.
    Question,
}

impl Occasion {
    /// What to hope for when nothing can be done.
    fn later(self) -> &'static str {
        match self {
            Self::Sync => "the next sync goes on from here",
            Self::Question => "try again later",
        }
    }
}

impl Occasion {
    /// Who does not wait that long.
    fn waits(self) -> &'static str {
        match self {
            Self::Sync => "a sync waits",
            Self::Question => "this command waits",
        }
    }
}

impl Failure {
    /// The user can mend it.
    pub fn config(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind: FailureType::ConfigError, internal: message.clone(), message, reach: Reach::Single }
    }

    /// A request failed for good, on this `occasion`.
    pub fn of(error: &ApiError, occasion: Occasion) -> Self {
        let Said { kind, reach, message } = sentence(error, occasion);
        Self { kind, message, internal: error.to_string(), reach }
    }

    /// Whether everything that asks 100ms fails in this way.
    pub fn concerns_all(&self) -> bool {
        matches!(self.reach, Reach::Credentials | Reach::Network)
    }

    /// Whether `other` is the same trouble met at another place.
    pub fn is_same_trouble(&self, other: &Self) -> bool {
        let is_passing = |failure: &Self| failure.kind == FailureType::TransientError;
        self.message == other.message || (is_passing(self) && is_passing(other))
    }

    /// We must mend it: a promise inside the connector was broken.
    pub fn internal(what: impl Into<String>) -> Self {
        let message = "The connector has a bug: report it with the log of this sync.".to_owned();
        Self { kind: FailureType::SystemError, message, internal: what.into(), reach: Reach::Single }
    }

    /// No thread can be started.
    pub fn thread(error: &std::io::Error) -> Self {
        Self {
            kind: FailureType::TransientError,
            message: "The operating system does not let this process start a thread: raise the limit on processes and threads (`ulimit -u`, or the `pids` limit of the container), or give it more memory.".to_owned(),
            internal: format!("a thread cannot be started: {error}"),
            reach: Reach::Single,
        }
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
        Self {
            kind: FailureType::SystemError,
            message: format!(
                "100ms answered `{stream}` with a page token or an id that repeats one of your secrets, such as the token of the request: reading on would write it into the saved state; report it to 100ms."
            ),
            internal: "a page token or an id holds a secret".into(),
            reach: Reach::Single,
        }
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
        Self::config(match problem {
            TokenProblem::NotAToken => {
                "The setting `management_token` does not hold a management token: copy it again from the Developer section of the 100ms dashboard."
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
            StreamError::Api(error) => Self::of(&error, Occasion::Sync),
            StreamError::Record(error) => Self {
                kind: FailureType::SystemError,
                message: format!(
                    "100ms sent something this connector cannot read: {error}; no record was skipped, so report this with the log of the sync."
                ),
                internal: error.to_string(),
                reach: Reach::Single,
            },
        }
    }
}

/// What is said of a failed request.
struct Said {
    kind: FailureType,
    reach: Reach,
    message: String,
}

/// The table: what went wrong with a request, and what the user reads.
fn sentence(error: &ApiError, occasion: Occasion) -> Said {
    use FailureType::{ConfigError, SystemError, TransientError};
    let (endpoint, later) = (&error.endpoint, occasion.later());
    let tried = tried(error.tries, error.elapsed);
    let said = |kind, reach, message| Said { kind, reach, message };
    match &error.problem {
        Problem::Refused { status, message, retry_after } => refusal(error, *status, message, *retry_after, occasion),
        Problem::Credentials(what) => {
            said(ConfigError, Reach::Credentials, format!("The credentials cannot be used, because {what}: copy them again from the 100ms dashboard."))
        }
        Problem::NotSent(what) => said(
            TransientError,
            Reach::Network,
            format!(
                "There is no connection to 100ms, although `{endpoint}` was requested {tried} ({what}): check `api_url`, and whether this machine reaches the internet; {later}."
            ),
        ),
        Problem::Proxy { variable, address, what } if error.problem.is_refused_by_proxy() => said(
            ConfigError,
            Reach::Network,
            format!(
                "The proxy `{address}`, which the environment variable `{variable}` names, asks for a user and a password, or does not accept those it was given ({what}): write the variable as `http://user:password@host:port`."
            ),
        ),
        Problem::Proxy { variable, address, what } => said(
            TransientError,
            Reach::Network,
            format!(
                "The proxy `{address}`, which the environment variable `{variable}` names, does not lead to 100ms, although `{endpoint}` was requested {tried} ({what}): check the variable, and whether the proxy runs and lets this host pass, or list it in `NO_PROXY`; {later}."
            ),
        ),
        Problem::CertificateDates { date, now, is_expired } => {
            let is = if *is_expired { "expired on" } else { "is not valid before" };
            said(
                ConfigError,
                Reach::Network,
                format!(
                    "The certificate of the server at `api_url` {is} {}, and this machine's clock says {}: set this machine's clock if it is wrong; else the certificate must be renewed where it comes from, the server or a corporate proxy in between.",
                    day(*date),
                    day(*now)
                ),
            )
        }
        Problem::Certificate(what) => said(
            ConfigError,
            Reach::Network,
            format!(
                "The certificate of the server at `api_url` is not trusted ({what}): check `api_url`, and if there is a corporate proxy in between, set `SSL_CERT_FILE` to a PEM file with the certificate of its authority."
            ),
        ),
        Problem::NotPublic => said(
            ConfigError,
            Reach::Network,
            "The setting `api_url` leads to a loopback or private address, which is not allowed here: use a public address.".to_owned(),
        ),
        Problem::NoAnswer(what) => said(
            TransientError,
            Reach::Single,
            format!(
                "100ms did not answer `{endpoint}` completely, although it was requested {tried} ({what}): nothing is wrong with your settings; {later}."
            ),
        ),
        Problem::TooSlow(_) | Problem::TooLarge(_) => said(
            TransientError,
            Reach::Single,
            format!(
                "The answer to `{endpoint}` does not come to an end, although it was requested {tried} ({}): nothing is wrong with your settings; {later}.",
                error.problem
            ),
        ),
        Problem::Unreadable(what) => said(
            TransientError,
            Reach::Single,
            format!(
                "The answer to `{endpoint}` cannot be read as JSON, although it was requested {tried} ({what}): check whether a proxy or a login page answers in its place; {later}."
            ),
        ),
        Problem::Inconsistent(what) => said(
            TransientError,
            Reach::Single,
            format!(
                "The pages of `{endpoint}` contradict each other ({what}), and reading on could lose records: nothing is wrong with your settings; {later}."
            ),
        ),
        Problem::BadId => said(
            SystemError,
            Reach::Single,
            format!(
                "100ms sent an id that cannot be requested at `{endpoint}`, because it is empty, `.` or `..`: report it with the log of this sync."
            ),
        ),
    }
}

/// The part of the table for what 100ms, or a server in its place, refused.
fn refusal(error: &ApiError, status: u16, message: &str, retry_after: Option<Duration>, occasion: Occasion) -> Said {
    use FailureType::{ConfigError, SystemError, TransientError};
    let (endpoint, later, why) = (&error.endpoint, occasion.later(), quoted(message));
    let tried = tried(error.tries, error.elapsed);
    let said = |kind, reach, message| Said { kind, reach, message };
    match status {
        401 => said(ConfigError, Reach::Credentials, unauthorized(error, &why)),
        403 => said(ConfigError, Reach::Permission, forbidden(error, &why, occasion)),
        _ if matches!(error.gave_up, GaveUp::WaitTooLong(_)) => said(
            TransientError,
            Reach::Single,
            format!(
                "100ms answered {status} to `{endpoint}` and asks to wait {}, which is longer than {}: nothing is wrong with your settings; {later}.",
                wait(retry_after.unwrap_or_default()),
                occasion.waits()
            ),
        ),
        429 if occasion == Occasion::Question => said(
            TransientError,
            Reach::Limit,
            format!(
                "100ms limits the rate of requests to `{endpoint}` at the moment, so that nothing can be said about it: nothing is known to be wrong with your settings; {later}."
            ),
        ),
        429 => said(
            TransientError,
            Reach::Limit,
            format!(
                "100ms limited the rate of requests to `{endpoint}`, although it was requested {tried}: nothing is wrong with your settings; {later}, and a lower `num_workers` helps."
            ),
        ),
        408 | 425 | 500..=599 => said(
            TransientError,
            Reach::Single,
            format!("100ms answered {status} to `{endpoint}` {tried}: nothing is wrong with your settings; {later}."),
        ),
        300..=399 => said(
            ConfigError,
            Reach::Network,
            format!(
                "The server at `api_url` answered {status} (a redirect) to `{endpoint}`: check `api_url`, or leave it out for `https://api.100ms.live`."
            ),
        ),
        404 => said(
            ConfigError,
            Reach::Single,
            format!(
                "The server at `api_url` does not know `{endpoint}` (404): check `api_url`, or leave it out for `https://api.100ms.live`."
            ),
        ),
        400 if is_about_events(endpoint) && message.to_ascii_lowercase().contains("type") => said(
            ConfigError,
            Reach::Single,
            format!(
                "100ms does not accept the types of events that `analytics_event_types` asks for (400{why}): choose among those that 100ms documents, or leave it empty for all."
            ),
        ),
        _ => said(
            SystemError,
            Reach::Single,
            format!("100ms refused `{endpoint}` ({status}{why}): report it with the log of this sync."),
        ),
    }
}

/// Whether `endpoint`, which may name a room behind it, is the only one that takes a setting of the user's in its query.
fn is_about_events(endpoint: &str) -> bool {
    endpoint.split('?').next().is_some_and(|path| path.ends_with("/analytics/events"))
}

fn unauthorized(error: &ApiError, why: &str) -> String {
    let (what, mend) = if error.is_minted {
        ("app access key and app secret", "copy both again from the 100ms dashboard")
    } else {
        ("management token", "paste a new one, or use app credentials, which do not expire")
    };
    let (clocks, besides) = clocks(error);
    format!("100ms did not accept the {what} at `{}` (401{why}){clocks}: {mend}{besides}.", error.endpoint)
}

fn forbidden(error: &ApiError, why: &str, occasion: Occasion) -> String {
    let who = if error.is_minted { "these app credentials" } else { "this management token" };
    let or = match occasion {
        Occasion::Sync => ", or leave this stream out of the sync",
        Occasion::Question => "",
    };
    let (clocks, besides) = clocks(error);
    format!(
        "100ms does not let {who} read `{}` (403{why}){clocks}: grant the permission in the 100ms dashboard{or}{besides}.",
        error.endpoint
    )
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

/// The vendor's sentence behind a status, when there is one.
fn quoted(message: &str) -> String {
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
    use crate::api::Clocks;

    fn failure(problem: Problem) -> Failure {
        let error = ApiError {
            problem,
            gave_up: GaveUp::TriesExhausted,
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
    fn clocks_are_named_when_they_differ() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        let sentence = |server: i64, is_minted: bool| {
            let error = ApiError {
                problem: Problem::Refused { status: 401, message: String::new(), retry_after: None },
                gave_up: GaveUp::NotRetryable,
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
    fn event_types_that_100ms_refuses_are_the_users_to_mend() {
        let refused = |endpoint: &str, message: &str| {
            let error = ApiError {
                problem: Problem::Refused { status: 400, message: message.into(), retry_after: None },
                gave_up: GaveUp::NotRetryable,
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
