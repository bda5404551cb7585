//! How a request is made: one GET with all the tries it deserves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::DATE;
use reqwest::{StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answers::text_of;
use super::auth::{Credentials, OnMinted, Tokens};
use super::clocks::Clocks;
use super::endpoint::{Endpoint, SMALL_PAGE};
use super::error::{ApiError, Problem};
use super::error_response::{self, Redact};
use super::exchange::{self, Exchange, LARGEST, LARGEST_SMALL_PAGE, Network};
use super::rate_limit::{Permit, RateLimits};
use super::request::Get;
use super::retry::{Policy, Retry};
use crate::seams::{self, locked};

/// Tries of a token that has not worked yet (a missing permission is reported soon), and of what can be done without
/// at an endpoint that has never answered well.
const FEW_TRIES: u32 = 2;
/// Tries of a connection to a host that has never answered: its address may be wrong, and somebody may be waiting.
const TRIES_OF_A_SILENT_HOST: u32 = 4;

/// How to reach 100ms.
pub struct Settings {
    /// Scheme and host, such as `https://api.100ms.live`; a trailing `/v2` is taken off.
    pub api_url: Url,
    pub credentials: Credentials,
    /// Requests in flight at most.
    pub workers: usize,
    /// Requests in a second at most.
    pub requests_per_second: Option<f64>,
    pub policy: Policy,
    /// Refuse loopback and private addresses, however the host name resolves.
    pub public_only: bool,
    /// Masks secrets in sentences of the vendor, which may repeat a token.
    pub redact: Redact,
    /// Called with every token that is minted, so that it can be masked too.
    pub on_minted: OnMinted,
}

/// What is worth a line in the log while a request waits.
#[derive(Debug, Clone)]
pub enum Notice {
    /// 100ms limits the rate of an endpoint, which gets no request until `until`.
    RateLimited {
        endpoint: String,
        until: DateTime<Utc>,
        wait: Duration,
    },
    Info(String),
    Debug(String),
}

/// Called with every [`Notice`].
pub type Listener = Arc<dyn Fn(Notice) + Send + Sync>;

/// A client of one workspace. Clients share connections, tokens and limits, and each counts its own requests.
pub struct Client {
    pub(super) shared: Arc<Shared>,
    stats: Mutex<RetryStats>,
    /// Held by the one request that may be under way where they are made one at a time.
    alone: tokio::sync::Mutex<()>,
}

/// How many requests a client has made, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryStats {
    /// Every try counts.
    pub requests: u64,
    /// Requests that were sent again because something went wrong.
    pub retries: u64,
    /// Requests that were refused because of the rate limit and waited for it.
    pub waits: u64,
    /// Requests that were answered with nothing, because what was requested does not exist, or no longer does.
    pub absent: u64,
}

/// What all streams share.
pub(super) struct Shared {
    exchange: Arc<dyn Exchange>,
    settings: Settings,
    pub(super) listener: Listener,
    tokens: Tokens,
    rate_limits: RateLimits,
    /// The earlier clock at the first answer with status 200: the time of a refusing gateway proves nothing.
    began: OnceLock<DateTime<Utc>>,
    /// At the last answer.
    clocks: Mutex<Option<Clocks>>,
    /// Whether there was no connection the last time.
    is_unreachable: AtomicBool,
    /// For bodies that are out of the ordinary.
    places: [Semaphore; 2],
    /// By the path of the list: a page shorter than its limit ends the list if it has fewer items than this. `None`
    /// once items came behind such a page.
    pub(super) ends_below: Mutex<HashMap<&'static str, Arc<tokio::sync::Mutex<Option<u64>>>>>,
}

impl Client {
    /// A client for `settings`, which makes no request yet.
    ///
    /// # Errors
    /// When the TLS roots named by `SSL_CERT_FILE` cannot be read, a variable that should name a proxy does not, or the
    /// host is a private address although only public ones are allowed.
    pub fn new(settings: Settings, listener: Listener) -> Result<Self, String> {
        let network = Network::new(&settings.api_url, settings.workers, settings.public_only, &settings.policy)?;
        Ok(Self::over(Arc::new(network), settings, listener))
    }

    /// A client for `settings` that uses `exchange` instead of the network.
    pub fn over(exchange: Arc<dyn Exchange>, settings: Settings, listener: Listener) -> Self {
        Self::of(Arc::new(Shared {
            exchange,
            tokens: Tokens::new(settings.credentials.clone(), Arc::clone(&settings.on_minted)),
            rate_limits: RateLimits::new(settings.workers, settings.requests_per_second, settings.policy.clone()),
            settings: Settings { api_url: root(settings.api_url), ..settings },
            listener,
            began: OnceLock::new(),
            clocks: Mutex::default(),
            is_unreachable: AtomicBool::new(false),
            places: exchange::places(),
            ends_below: Mutex::default(),
        }))
    }

    /// Another client of the same workspace, which shares all but the count of its requests.
    pub fn another(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    fn of(shared: Arc<Shared>) -> Self {
        Self { shared, stats: Mutex::default(), alone: tokio::sync::Mutex::default() }
    }

    pub fn retry_stats(&self) -> RetryStats {
        *locked(&self.stats)
    }

    /// When reading began: the earlier of the server's clock and this machine's at the first answer with
    /// status 200; `None` before that. A wrong clock on either side costs reading again, never a gap.
    pub fn began(&self) -> Option<DateTime<Utc>> {
        self.shared.began.get().copied()
    }

    /// The clocks at the last answer of any kind; `None` before the first.
    pub fn clocks(&self) -> Option<Clocks> {
        *locked(&self.shared.clocks)
    }

    /// The time at 100ms: by its clock at the last answer, by this machine's before the first.
    pub fn now(&self) -> DateTime<Utc> {
        self.clocks().map_or_else(seams::now, |clocks| clocks.now())
    }

    /// The clocks, with one cheap request when nothing has been answered yet.
    ///
    /// # Errors
    /// When that request fails.
    pub async fn ask_the_time(&self) -> Result<Option<Clocks>, ApiError> {
        if self.clocks().is_none() {
            self.get(Get { limit: Some(SMALL_PAGE), ..Get::page(Endpoint::SESSIONS, Some(true)) }, |_| Ok(())).await?;
        }
        Ok(self.clocks())
    }

    /// Counts an answer that there is nothing at `endpoint`, and notifies the listener.
    pub fn skipped(&self, endpoint: String) {
        locked(&self.stats).absent += 1;
        let sentence = format!("`{endpoint}` has nothing, does not exist or no longer does, and is skipped.");
        (self.shared.listener)(Notice::Debug(sentence));
    }

    /// `wait` on the clock of this client's waits, which tests speed up.
    pub fn scaled(&self, wait: Duration) -> Duration {
        self.shared.settings.policy.scale(wait)
    }

    /// Requests that could start right now.
    pub fn idle_workers(&self) -> usize {
        self.shared.rate_limits.idle()
    }

    /// One GET with all the tries it deserves; `read` is part of a try.
    pub(super) async fn get<R>(
        &self,
        mut get: Get<'_>,
        read: impl Fn(&str) -> Result<R, Problem>,
    ) -> Result<R, ApiError> {
        if !get.has_good_id() {
            return Err(ApiError::unsent(Problem::BadId, get.path()));
        }
        let mut retry = Retry::new(&self.shared.settings.policy);
        let (mut first_sent_at, mut limited_at, mut was_closed) = (None, None, false);
        loop {
            let is_alone = get.endpoint.is_cautious && self.retry_stats().waits > 0;
            let _alone = if is_alone { Some(self.alone.lock().await) } else { None };
            let permit = self.shared.rate_limits.enter(get.endpoint.path).await;
            let first_sent_at = *first_sent_at.get_or_insert(permit.sent_at);
            retry.spend(limited_at.take().map_or(Duration::ZERO, |limited_at| permit.sent_at - limited_at));
            locked(&self.stats).requests += 1;
            let (answer, took) = self.attempt(&get).await;
            let problem = match answer.and_then(|body| read(&text_of(&body))) {
                Ok(answer) => {
                    permit.succeeded(took);
                    return Ok(answer);
                }
                Err(problem) => problem,
            };
            // "Not found" took its time and passed the limit like any other answer.
            if matches!(problem, Problem::Refused { .. }) && !problem.is_retryable() {
                permit.served(took);
            }
            // A page with fewer items may succeed where this one did not.
            if matches!(problem, Problem::TooLarge(_) | Problem::TooSlow(_)) && get.ask_for_less() {
                retry.tried(took);
                self.retrying(&get, &problem, Duration::ZERO);
                continue;
            }
            // A server may close a connection that has been idle at the moment in which it is used again.
            if matches!(problem, Problem::Closed(_))
                && self.began().is_some()
                && !std::mem::replace(&mut was_closed, true)
            {
                continue;
            }
            match (retry.after(&problem, took, self.tries(&get, &problem, &permit)), &problem) {
                // The limiter lets the next request through when the pause is over.
                (Ok(_), Problem::Refused { status: 429, retry_after, .. }) => {
                    self.pausing(&get, permit.refused(*retry_after));
                    limited_at = Some(Instant::now());
                }
                (Ok(wait), _) => {
                    drop(permit);
                    self.retrying(&get, &problem, wait);
                    retry.spend(wait);
                    tokio::time::sleep(wait).await;
                }
                (Err(too_long_wait), _) => {
                    return Err(ApiError {
                        problem,
                        too_long_wait,
                        endpoint: get.path(),
                        tries: retry.tries,
                        elapsed: first_sent_at.elapsed(),
                        clocks: self.clocks().map(Box::new),
                        is_minted: self.shared.tokens.are_minted(),
                    });
                }
            }
        }
    }

    /// How often a request that ends with `problem` is tried.
    fn tries(&self, get: &Get<'_>, problem: &Problem, permit: &Permit<'_>) -> u32 {
        let (endpoint, tries) = (get.endpoint, self.shared.settings.policy.tries);
        let have_worked = self.shared.tokens.have_worked();
        let deserves_few = match problem {
            Problem::Refused { status: 401, .. } => !have_worked,
            // It may be meant for this one item, or a permission may be missing for this endpoint alone.
            Problem::Refused { status: 403, .. } => endpoint.is_of_one_item && have_worked || !permit.has_answered(),
            Problem::Refused { status: 500..=599, .. } | Problem::Unreadable(_) => {
                endpoint.is_optional && !permit.has_answered()
            }
            Problem::NotSent(_) | Problem::Proxy { .. } if self.clocks().is_none() => {
                return tries.min(TRIES_OF_A_SILENT_HOST);
            }
            _ => false,
        };
        if deserves_few { FEW_TRIES } else { tries }
    }

    fn pausing(&self, get: &Get<'_>, wait: Duration) {
        locked(&self.stats).waits += 1;
        let (endpoint, until) = (get.path(), seams::now() + wait);
        (self.shared.listener)(Notice::RateLimited { endpoint, until, wait });
    }

    fn retrying(&self, get: &Get<'_>, problem: &Problem, wait: Duration) {
        locked(&self.stats).retries += 1;
        if let Problem::NotSent(cause) | Problem::Proxy { what: cause, .. } = problem
            && !self.shared.is_unreachable.swap(true, Ordering::Relaxed)
        {
            (self.shared.listener)(Notice::Info(format!("Could not reach 100ms ({cause}); trying again.")));
        }
        let sentence = format!("Trying `{}` again in {:.1} s: {problem}.", get.path(), wait.as_secs_f64());
        (self.shared.listener)(Notice::Debug(sentence));
    }

    /// One try, and how long it took. It runs in a task of its own, so that what has been sent ends in time even if a
    /// slow destination keeps anybody from taking the answer. Else it would time out, and 100ms be blamed.
    async fn attempt(&self, get: &Get<'_>) -> (Result<Vec<u8>, Problem>, Duration) {
        let (shared, endpoint, url) =
            (Arc::clone(&self.shared), get.endpoint, get.url(&self.shared.settings.api_url, self.now()));
        let largest = if get.is_smallest_page() { LARGEST_SMALL_PAGE } else { LARGEST };
        let longest = shared.settings.policy.scale(shared.settings.policy.request_timeout);
        // Dropped with this future, it ends the task.
        let mut task = JoinSet::new();
        task.spawn(async move {
            let sent_at = Instant::now();
            let answer = tokio::time::timeout(longest, shared.answer(url, endpoint, largest)).await;
            (answer.unwrap_or(Err(Problem::TooSlow(longest))), sent_at.elapsed())
        });
        match task.join_next().await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => (Err(Problem::NoAnswer("the request was given up".into())), Duration::ZERO),
        }
    }
}

impl Shared {
    /// The content of an answer with status 200. Notes what every answer shows of clock and token.
    async fn answer(&self, url: Url, endpoint: Endpoint, largest: usize) -> Result<Vec<u8>, Problem> {
        let token = self.tokens.current()?;
        let mut answer = self.exchange.get(url, token.authorization.clone()).await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        self.is_unreachable.store(false, Ordering::Relaxed);
        let seen = Clocks {
            server: headers.get(DATE).and_then(|date| error_response::http_date(date.to_str().ok()?)),
            local: seams::now(),
        };
        // A proxy that unpacks or scans what passes answers with 203; the body is that of 100ms.
        let status = if status == StatusCode::NON_AUTHORITATIVE_INFORMATION { StatusCode::OK } else { status };
        let before = locked(&self.clocks).replace(seen);
        if status == StatusCode::OK {
            self.began.get_or_init(|| seen.earlier(before));
        }
        let (status, body) = match (status, exchange::body(&mut answer, largest, &self.places).await) {
            (StatusCode::NO_CONTENT, _) => (StatusCode::OK, Ok(endpoint.no_content.into())),
            (StatusCode::OK, Ok(body)) if endpoint.may_be_empty && body.trim_ascii().is_empty() => {
                (status, Ok("null".into()))
            }
            (StatusCode::OK, Ok(body)) => (endpoint.judge(&body)?, Ok(body)),
            answer => answer,
        };
        match status {
            StatusCode::OK => {
                if self.tokens.accepted(&token) {
                    let seconds = seen.skew().unwrap_or_default().num_seconds().unsigned_abs();
                    (self.listener)(Notice::Info(format!(
                        "This machine's clock and that of 100ms differ by {seconds} s. Tokens are made by the clock of \
                         100ms, because it refused one made by this machine's: set this machine's clock."
                    )));
                }
                return body;
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.tokens.renew(&token, seen.skew(), status == StatusCode::FORBIDDEN);
            }
            _ => {}
        }
        // A refusal is one, whatever becomes of its text.
        Err(error_response::problem(status, &headers, seen.server, &body.unwrap_or_default(), &self.settings.redact))
    }
}

/// `api_url` without the `v2` that belongs to every path.
fn root(mut api_url: Url) -> Url {
    let path = api_url.path().trim_end_matches('/');
    if let Some(root) = path.strip_suffix("/v2").map(str::to_owned) {
        api_url.set_path(&root);
    }
    api_url
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use chrono::TimeDelta;

    use super::super::test_server::{Requests, client, client_with, respond, serve};
    use super::*;

    /// The `limit` of each request.
    fn limits(requests: &[String]) -> Vec<&str> {
        requests.iter().map(|head| head.split("limit=").nth(1).unwrap().split([' ', '&']).next().unwrap()).collect()
    }

    async fn page_of_rooms(client: &Client) -> Result<String, ApiError> {
        client.get(Get::page(Endpoint::ROOMS, None), |body| Ok(body.to_owned())).await
    }

    #[test]
    fn the_documented_address_with_its_version_means_the_root() {
        for (typed, expected) in [
            ("https://api.100ms.live/v2", "https://api.100ms.live/"),
            ("https://api.100ms.live/v2/", "https://api.100ms.live/"),
            ("https://proxy.example/100ms/v2", "https://proxy.example/100ms"),
            ("https://proxy.example/v20", "https://proxy.example/v20"),
        ] {
            assert_eq!(root(typed.parse().unwrap()).as_str(), expected);
        }
    }

    /// A server that answers the first request of each connection, and closes the connection when a second one comes.
    fn serve_once_a_connection() -> (Url, Requests) {
        serve(|number, _, connection| {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            // The next head, or the end.
            let _ = connection.read(&mut [0; 4096]).map(|_| number);
        })
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_when_it_is_used_again_is_not_a_try() {
        let (url, _) = serve_once_a_connection();
        let client = client(url, 1.0);
        for _ in 0..3 {
            let answer = client.get(Get::page(Endpoint::ROOMS, None), |_| Ok(())).await;
            answer.unwrap();
        }
        assert_eq!(client.retry_stats(), RetryStats { requests: 5, ..RetryStats::default() });
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off_and_asked_for_in_smaller_pages() {
        let (url, requests) = serve(|_, _, connection| {
            let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while connection.write_all(chunk.as_bytes()).is_ok() {}
        });
        let error = page_of_rooms(&client(url, 1.0)).await.unwrap_err();
        assert_eq!((error.problem, error.too_long_wait), (Problem::TooLarge(256_000_000), None));
        assert_eq!(limits(&requests.lock().unwrap()), ["100", "50", "25", "10"]);
    }

    #[tokio::test]
    async fn an_answer_that_drips_for_ever_is_cut_off() {
        let (url, requests) = serve(|_, _, connection| {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            while connection.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let (request_timeout, initial_backoff) = (Duration::from_millis(100), Duration::from_millis(1));
        let policy = Policy { request_timeout, initial_backoff, ..Policy::for_sync() };
        let error = page_of_rooms(&client_with(url, policy)).await.unwrap_err();
        assert!(matches!(error.problem, Problem::TooSlow(_)), "{error}");
        assert_eq!(limits(&requests.lock().unwrap()), ["100", "50", "25", "10", "10", "10"]);
    }

    #[tokio::test]
    async fn tokens_are_minted_by_the_servers_clock_when_the_own_is_wrong() {
        // The server is five minutes behind us, and a token that begins in its future is refused.
        let (url, requests) = serve(|_, head, connection| {
            let now = Utc::now() - TimeDelta::minutes(5);
            let token = head.split("Bearer ").nth(1).unwrap().lines().next().unwrap();
            let has_begun = super::super::auth::begins(token).unwrap() <= now;
            let date = format!("Date: {}\r\n", now.format("%a, %d %b %Y %H:%M:%S GMT"));
            respond(connection, if has_begun { 200 } else { 401 }, &date, "{}");
        });
        let client = client(url, 1.0);
        page_of_rooms(&client).await.unwrap();
        page_of_rooms(&client).await.unwrap();
        assert_eq!(requests.lock().unwrap().len(), 3, "refused once, then never");
        assert!(client.clocks().unwrap().skew().unwrap() < TimeDelta::seconds(-290));
        assert!(client.began().unwrap() < Utc::now() - TimeDelta::seconds(290));
    }

    #[tokio::test]
    async fn a_refusal_names_the_clocks() {
        let (url, requests) = serve(|_, _, connection| {
            respond(connection, 401, "Date: Sun, 15 Jun 2025 12:00:00 GMT\r\n", r#"{"message":"no"}"#);
        });
        let client = client(url, 1.0);
        let error = page_of_rooms(&client).await.unwrap_err();
        assert_eq!((error.status(), error.tries), (Some(401), 2));
        assert!(error.clocks.unwrap().skew().is_some());
        assert_eq!(requests.lock().unwrap().len(), 2, "by our clock, and by theirs");
        assert_eq!(client.began(), None, "a refusal is no beginning");
    }

    #[tokio::test]
    async fn a_token_that_has_worked_survives_refusals() {
        let (url, _) = serve(|number, _, connection| {
            respond(connection, if matches!(number, 1..=4) { 401 } else { 200 }, "", "{}");
        });
        let client = client(url, 0.001);
        page_of_rooms(&client).await.unwrap();
        page_of_rooms(&client).await.unwrap();
    }

    #[tokio::test]
    async fn the_time_is_asked_once() {
        let date = "Date: Sun, 15 Jun 2025 12:00:00 GMT\r\n";
        let (url, requests) = serve(move |_, _, connection| respond(connection, 200, date, "{}"));
        let client = client(url, 1.0);
        for _ in 0..2 {
            let clocks = client.ask_the_time().await.unwrap().unwrap();
            assert_eq!(clocks.server.unwrap().to_rfc3339(), "2025-06-15T12:00:00+00:00");
        }
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].starts_with("GET /v2/sessions?limit=10&active=true "));
    }

    #[tokio::test]
    async fn nothing_is_asked_under_an_id_that_is_none() {
        let (url, requests) = serve(|_, _, connection| respond(connection, 200, "", "{}"));
        for id in ["", ".", ".."] {
            let error = client(url.clone(), 1.0).get(Get::of(Endpoint::RECORDING, id), |_| Ok(())).await.unwrap_err();
            assert_eq!(error.problem, Problem::BadId);
        }
        assert!(requests.lock().unwrap().is_empty());
    }
}
