//! How a request is made: one GET with all the tries it deserves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, DATE, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::auth::{self, Credentials};
use super::error::{ApiError, Problem};
use super::limiter::Gate;
use super::retry::Policy;
use super::{addresses, refusal, tls};

/// How to reach 100ms.
pub struct Settings {
    /// Scheme and host, such as `https://api.100ms.live`.
    pub api_url: Url,
    /// Who we are.
    pub credentials: Credentials,
    /// Requests in flight at most.
    pub workers: usize,
    /// How often and how long to try.
    pub policy: Policy,
    /// Refuse loopback and private addresses, however the host name resolves.
    pub public_only: bool,
}

/// Something the caller may want to tell the world while a request waits.
#[derive(Debug, Clone)]
pub enum Notice {
    /// 100ms limits the rate; nothing is asked until `until`.
    RateLimited {
        /// The end of the pause, by the local clock.
        until: DateTime<Utc>,
        /// The pause.
        wait: Duration,
    },
    /// A try failed and another follows.
    Retrying {
        /// The path asked for.
        endpoint: String,
        /// What went wrong.
        problem: Problem,
        /// How long until the next try.
        wait: Duration,
    },
    /// Something is not there (any more) and is passed over.
    Skipped {
        /// The path asked for.
        endpoint: String,
    },
}

/// Called with every [`Notice`].
pub type Listener = Arc<dyn Fn(Notice) + Send + Sync>;

/// A client of one workspace: connections, tokens and limits shared, requests counted per stream.
pub struct Client {
    pub(super) shared: Arc<Shared>,
    asked: AtomicU64,
}

/// What all streams share.
pub(super) struct Shared {
    http: reqwest::Client,
    api_url: Url,
    tokens: auth::Tokens,
    gate: Gate,
    policy: Policy,
    pub(super) listener: Listener,
    first_answer: OnceLock<DateTime<Utc>>,
}

/// A GET: path segments below `/v2` and query pairs, escaped when the URL is built.
pub(super) struct Get<'a> {
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'a str, String)>,
}

impl Get<'_> {
    pub(super) fn endpoint(&self) -> String {
        format!("/v2/{}", self.path.join("/"))
    }
}

impl Client {
    /// A client for `settings`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the TLS roots named by `SSL_CERT_FILE` cannot be read, or the host is a private address
    /// although only public ones are allowed.
    pub fn new(settings: Settings, listener: Listener) -> Result<Self, String> {
        if settings.public_only {
            addresses::refuse_private_host(&settings.api_url)?;
        }
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config()?)
            .user_agent(concat!("source-100ms/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(settings.policy.scale(settings.policy.silence))
            .tcp_nodelay(true)
            .pool_max_idle_per_host(settings.workers);
        if settings.public_only {
            http = http.dns_resolver(Arc::new(addresses::PublicOnly));
        }
        let shared = Shared {
            http: http
                .build()
                .map_err(|error| format!("The HTTP client could not be set up: {}.", describe(&error)))?,
            api_url: settings.api_url,
            tokens: auth::Tokens::new(settings.credentials),
            gate: Gate::new(settings.workers, settings.policy.time_scale),
            policy: settings.policy,
            listener,
            first_answer: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared), asked: AtomicU64::new(0) })
    }

    /// Another client of the same workspace, which shares all but the count of its requests.
    pub fn another(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), asked: AtomicU64::new(0) }
    }

    /// The requests this client has made, every try counted.
    pub fn requests(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The API server's clock at the first answer it gave us; `None` before that.
    pub fn first_answer(&self) -> Option<DateTime<Utc>> {
        self.shared.first_answer.get().copied()
    }

    /// Requests that could start right now.
    pub fn idle_workers(&self) -> usize {
        self.shared.gate.idle()
    }

    /// One GET with all the tries it deserves; `read` is part of a try.
    pub(super) async fn get<R>(
        &self,
        get: Get<'_>,
        read: impl Fn(&str) -> Result<R, serde_json::Error>,
    ) -> Result<R, ApiError> {
        let began = Instant::now();
        let (mut tries, mut renewed, mut refusals) = (0, false, 0);
        let url = self.url(&get);
        loop {
            let permit = self.shared.gate.enter().await;
            tries += 1;
            self.asked.fetch_add(1, Ordering::Relaxed);
            let token = self.shared.tokens.current();
            let result = match &token {
                Ok(token) => self.attempt(&url, &token.value, &read).await,
                Err(problem) => Err(Problem::Credentials(problem.clone())),
            };
            let sent_at = permit.sent_at;
            drop(permit);
            let problem = match result {
                Ok(answer) => {
                    self.shared.gate.succeeded();
                    return Ok(answer);
                }
                Err(problem) => problem,
            };
            if let (Problem::Refused { status: 401 | 403, .. }, Ok(token), false) = (&problem, &token, renewed) {
                renewed = true;
                if self.shared.tokens.after_refusal(token).is_some() {
                    continue;
                }
            }
            let limited = matches!(problem, Problem::Refused { status: 429, .. });
            refusals += u32::from(limited);
            let wait = match &problem {
                _ if !problem.is_retryable() || tries - refusals >= self.shared.policy.tries => None,
                // Longer than anybody waits: giving up must not hold the others back.
                Problem::Refused { status: 429, retry_after: Some(named), .. }
                    if *named > self.shared.policy.patience =>
                {
                    None
                }
                Problem::Refused { status: 429, retry_after, .. } => {
                    Some(self.shared.gate.refused(sent_at, *retry_after, &self.shared.policy))
                }
                Problem::Refused { retry_after: Some(wait), .. } => Some(self.shared.policy.scale(*wait)),
                _ => Some(self.shared.policy.scale(self.shared.policy.backoff(tries - refusals))),
            };
            match wait.filter(|wait| began.elapsed() + *wait <= self.shared.policy.scale(self.shared.policy.patience)) {
                Some(wait) => self.wait(&get, problem, limited, wait).await,
                None => {
                    return Err(ApiError { problem, endpoint: get.endpoint(), tries, elapsed: began.elapsed() });
                }
            }
        }
    }

    /// Tells the listener, then waits; the pause after a 429 is everybody's and is kept by the gate.
    async fn wait(&self, get: &Get<'_>, problem: Problem, limited: bool, wait: Duration) {
        if limited {
            let until = Utc::now() + wait;
            (self.shared.listener)(Notice::RateLimited { until, wait });
        } else {
            (self.shared.listener)(Notice::Retrying { endpoint: get.endpoint(), problem, wait });
            tokio::time::sleep(wait).await;
        }
    }

    fn url(&self, get: &Get<'_>) -> Url {
        let mut url = self.shared.api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v2").extend(get.path);
        }
        if !get.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&get.query);
        }
        url
    }

    async fn attempt<R>(
        &self,
        url: &Url,
        token: &SecretString,
        read: impl Fn(&str) -> Result<R, serde_json::Error>,
    ) -> Result<R, Problem> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Problem::Credentials("the management token holds characters no token has".into()))?;
        authorization.set_sensitive(true);
        let answer =
            self.shared.http.get(url.clone()).header(AUTHORIZATION, authorization).send().await.map_err(|error| {
                if error.is_connect() {
                    Problem::NotSent(describe(&error))
                } else {
                    Problem::NoAnswer(describe(&error))
                }
            })?;
        let served_at = refusal::header_date(answer.headers(), DATE);
        if let Some(served_at) = served_at {
            self.shared.first_answer.get_or_init(|| served_at);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| Problem::NoAnswer(describe(&error)))?;
        if status != StatusCode::OK {
            return Err(refusal::problem(status, &headers, served_at, &body));
        }
        // A server without a clock: ours, so that a sync still has a beginning.
        self.shared.first_answer.get_or_init(Utc::now);
        let body = std::str::from_utf8(&body).map_err(|_| Problem::Unreadable("it is not UTF-8".into()))?;
        read(body).map_err(|error| Problem::Unreadable(whereabouts(&error)))
    }
}

/// The causes of a transport error, without the URL and without repetition.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "the connection timed out" } else { "the answer timed out" }.into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    // "Connection refused (os error 111)": the number helps nobody.
    let cause = cause.to_string();
    cause.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Where JSON ended to make sense; never what it says, which may be anybody's data.
fn whereabouts(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof if error.line() <= 1 && error.column() == 0 => return "it is empty".into(),
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "not of the documented form",
        _ => "not JSON",
    };
    format!("{what}: line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Link {
        #[allow(dead_code, reason = "only its type is of interest")]
        url: Option<String>,
    }

    #[test]
    fn an_unreadable_answer_is_described_without_its_content() {
        let error = serde_json::from_str::<Link>(r#"{"url":{"secret":"s3cr3t"}}"#).err().unwrap();
        assert!(!whereabouts(&error).contains("s3cr3t"));
    }
}
