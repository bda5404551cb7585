//! How a request is made: one GET with all the tries it deserves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answers::text_of;
use super::auth::{Credentials, OnMinted, Token, Tokens};
use super::clocks::{Clocks, Observed};
use super::endpoints::SMALL_PAGE;
use super::envelope::{Form, Verdict};
use super::error::{ApiError, GaveUp, Problem};
use super::exchange::{Exchange, Network, Received};
use super::pages::ShortPages;
use super::rate_limit::{Permit, RateLimits};
use super::refusal::{self, Redact};
use super::request::Get;
use super::retry::{Decision, Host, Policy, Retry};
use super::transport::{Bodies, LARGEST, LARGEST_SMALL_PAGE, Unreadable};
use crate::seams;

/// What can be done without is tried so often when the endpoint has never answered well.
const TRIES_OF_WHAT_IS_OPTIONAL: u32 = 2;

/// What begins with so many bytes that show no error is none.
const LARGEST_ERROR: usize = 65_536;

/// How to reach 100ms.
pub struct Settings {
    /// Scheme and host, such as `https://api.100ms.live`; a trailing `/v2` is taken off.
    pub api_url: Url,
    /// Who we are.
    pub credentials: Credentials,
    /// Requests in flight at most.
    pub workers: usize,
    /// How often and how long to try.
    pub policy: Policy,
    /// Refuse loopback and private addresses, however the host name resolves.
    pub public_only: bool,
    /// Masks secrets in what the vendor says, which may echo a token.
    pub redact: Redact,
    /// Called with every token that is minted, so that it can be masked too.
    pub on_minted: OnMinted,
}

/// Something the caller may want to tell the world while a request waits.
#[derive(Debug, Clone)]
pub enum Notice {
    /// 100ms limits the rate of an endpoint; it is not asked until `until`.
    RateLimited {
        /// The path asked for.
        endpoint: String,
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
    /// There is no connection, and it is tried again. Told once until there has been one.
    Unreachable {
        /// Why.
        cause: String,
    },
    /// A page of a list is shorter than the limit it states and has a token all the same. Told once a list.
    ShortPage {
        /// The path asked for.
        endpoint: String,
        /// Whether there are items behind it, so that such pages do not end this list.
        goes_on: bool,
    },
    /// Something a caller wants said.
    Note(String),
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
    retried: AtomicU64,
    limited: AtomicU64,
    absent: AtomicU64,
    /// Held by the one request that may be under way where they are made one at a time.
    alone: tokio::sync::Mutex<()>,
}

/// What the requests of a client took besides the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Requests that were sent again because something went wrong.
    pub retries: u64,
    /// Requests that were refused because of the rate limit and waited for it.
    pub waits: u64,
    /// Requests that were answered with nothing, because what was asked for does not exist, or no longer does.
    pub absent: u64,
}

/// What all streams share.
pub(super) struct Shared {
    exchange: Arc<dyn Exchange>,
    api_url: Url,
    tokens: Tokens,
    rate_limits: RateLimits,
    policy: Policy,
    pub(super) listener: Listener,
    redact: Redact,
    clocks: Observed,
    /// There was no connection the last time.
    is_unreachable: AtomicBool,
    bodies: Bodies,
    pub(super) short_pages: ShortPages,
}

impl Client {
    /// A client for `settings`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the TLS roots named by `SSL_CERT_FILE` cannot be read, a variable that should name a proxy does not, or the
    /// host is a private address although only public ones are allowed.
    pub fn new(settings: Settings, listener: Listener) -> Result<Self, String> {
        let network = Network::new(&settings)?;
        Ok(Self::over(Arc::new(network), settings, listener))
    }

    /// A client for `settings` that asks over `exchange` instead of the network.
    pub fn over(exchange: Arc<dyn Exchange>, settings: Settings, listener: Listener) -> Self {
        let shared = Shared {
            exchange,
            api_url: root(settings.api_url),
            tokens: Tokens::new(settings.credentials, settings.on_minted),
            rate_limits: RateLimits::new(settings.workers, settings.policy.clone()),
            bodies: Bodies::new(),
            short_pages: ShortPages::default(),
            policy: settings.policy,
            listener,
            redact: settings.redact,
            clocks: Observed::default(),
            is_unreachable: AtomicBool::new(false),
        };
        Self::of(Arc::new(shared))
    }

    /// Another client of the same workspace, which shares all but the count of its requests.
    pub fn another(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    fn of(shared: Arc<Shared>) -> Self {
        let [asked, retried, limited, absent] = Default::default();
        Self { shared, asked, retried, limited, absent, alone: tokio::sync::Mutex::default() }
    }

    /// The requests this client has made, every try counted.
    pub fn requests(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the requests of this client took, and how many were for nothing.
    pub fn effort(&self) -> Effort {
        let [retries, waits, absent] =
            [&self.retried, &self.limited, &self.absent].map(|count| count.load(Ordering::Relaxed));
        Effort { retries, waits, absent }
    }

    /// When reading began: the earlier of the server's clock and this machine's at the first answer with
    /// status 200; `None` before that. A wrong clock on either side costs reading again, never a gap.
    pub fn began(&self) -> Option<DateTime<Utc>> {
        self.shared.clocks.began()
    }

    /// What the clocks said at the last answer of any kind; `None` before the first.
    pub fn clocks(&self) -> Option<Clocks> {
        self.shared.clocks.last()
    }

    /// What time it is at 100ms: by its clock at the last answer, by this machine's before the first.
    pub fn now(&self) -> DateTime<Utc> {
        self.clocks().map_or_else(seams::now, |clocks| clocks.now())
    }

    /// The clocks, with one cheap request when nothing has been answered yet.
    ///
    /// # Errors
    /// When that request fails.
    pub async fn ask_the_time(&self) -> Result<Option<Clocks>, ApiError> {
        if self.clocks().is_none() {
            self.get(Get::list("sessions", SMALL_PAGE, vec![("active", "true".into())]), |_| Ok(())).await?;
        }
        Ok(self.clocks())
    }

    /// Counts an answer that says that there is nothing at `endpoint`, and has the listener say so.
    pub fn skipped(&self, endpoint: String) {
        self.absent.fetch_add(1, Ordering::Relaxed);
        (self.shared.listener)(Notice::Skipped { endpoint });
    }

    /// Has the listener say something.
    pub fn note(&self, sentence: String) {
        (self.shared.listener)(Notice::Note(sentence));
    }

    /// `wait` on the clock of this client's waits, which tests speed up.
    pub fn scaled(&self, wait: Duration) -> Duration {
        self.shared.policy.scale(wait)
    }

    /// Requests that could start right now.
    pub fn idle_workers(&self) -> usize {
        self.shared.rate_limits.idle()
    }

    /// One GET with all the tries it deserves; `read` is part of a try.
    pub(super) async fn get<R>(
        &self,
        mut get: Get<'_>,
        read: impl Fn(&str) -> Result<R, Unreadable>,
    ) -> Result<R, ApiError> {
        if !get.is_askable() {
            return Err(ApiError::unsent(Problem::BadId, get.endpoint()));
        }
        let mut retry = Retry::new(&self.shared.policy);
        let (mut first_sent_at, mut limited_at) = (None, None);
        loop {
            let is_alone = get.is_cautious && self.limited.load(Ordering::Relaxed) > 0;
            let _alone = if is_alone { Some(self.alone.lock().await) } else { None };
            let permit = self.shared.rate_limits.enter(get.pattern).await;
            let sent_at = permit.sent_at;
            let first_sent_at = *first_sent_at.get_or_insert(sent_at);
            retry.spend(limited_at.take().map_or(Duration::ZERO, |limited_at| sent_at - limited_at));
            self.asked.fetch_add(1, Ordering::Relaxed);
            let token = self.shared.tokens.current();
            let (answer, took) = match token {
                Ok(token) => self.attempt(&get, token).await,
                Err(problem) => (Err(Problem::Credentials(problem)), Duration::ZERO),
            };
            let problem = match answer.and_then(|body| parsed(&body, &read)) {
                Ok(answer) => {
                    permit.succeeded(took);
                    return Ok(answer);
                }
                Err(problem) => problem,
            };
            if problem.is_oversized() && get.ask_for_less() {
                retry.tried(took);
                self.retrying(&get, problem, Duration::ZERO);
                continue;
            }
            let decision = retry.after(&problem, took, self.has_worked(&get, &problem, &permit), self.host());
            let is_enough = get.form.is_optional && retry.tries >= TRIES_OF_WHAT_IS_OPTIONAL;
            let decision = match decision {
                Decision::Wait(_) if is_enough && problem.is_answer() && !permit.has_answered() => {
                    Decision::GiveUp(GaveUp::TriesExhausted)
                }
                decision => decision,
            };
            match decision {
                Decision::Wait(wait) => {
                    drop(permit);
                    self.retrying(&get, problem, wait);
                    retry.wait(wait).await;
                }
                Decision::Pause => {
                    self.pause(&get, &problem, permit);
                    limited_at = Some(Instant::now());
                }
                Decision::GiveUp(gave_up) => {
                    let (endpoint, tries, elapsed) = (get.endpoint(), retry.tries, first_sent_at.elapsed());
                    return Err(ApiError {
                        problem,
                        gave_up,
                        endpoint,
                        tries,
                        elapsed,
                        clocks: self.clocks().map(Box::new),
                        is_minted: self.shared.tokens.are_minted(),
                    });
                }
            }
        }
    }

    fn host(&self) -> Host {
        if self.clocks().is_some() { Host::HasAnswered } else { Host::IsSilent }
    }

    /// Whether a token has been accepted earlier, so that its refusal is a fault like any other.
    fn has_worked(&self, get: &Get<'_>, problem: &Problem, permit: &Permit<'_>) -> bool {
        match problem {
            // It may be meant for this one item.
            Problem::Refused { status: 403, .. } if get.form.is_of_one_item && self.shared.tokens.have_worked() => {
                false
            }
            // A permission may be missing for this endpoint alone.
            Problem::Refused { status: 403, .. } => permit.has_answered(),
            _ => self.shared.tokens.have_worked(),
        }
    }

    /// Notes a 429; the limiter lets the next request through when the pause is over.
    fn pause(&self, get: &Get<'_>, problem: &Problem, permit: Permit<'_>) {
        let Problem::Refused { retry_after, .. } = problem else { return };
        let wait = permit.refused(*retry_after);
        self.limited.fetch_add(1, Ordering::Relaxed);
        let (endpoint, until) = (get.endpoint(), seams::now() + wait);
        (self.shared.listener)(Notice::RateLimited { endpoint, until, wait });
    }

    fn retrying(&self, get: &Get<'_>, problem: Problem, wait: Duration) {
        self.retried.fetch_add(1, Ordering::Relaxed);
        if let Problem::NotSent(cause) | Problem::Proxy { what: cause, .. } = &problem
            && !self.shared.is_unreachable.swap(true, Ordering::Relaxed)
        {
            (self.shared.listener)(Notice::Unreachable { cause: cause.clone() });
        }
        (self.shared.listener)(Notice::Retrying { endpoint: get.endpoint(), problem, wait });
    }

    /// One try, and how long it took. It runs in a task of its own: what has been sent goes on when nobody asks for
    /// its answer, because a slow destination holds everything up. Else it would time out, and 100ms be blamed.
    async fn attempt(&self, get: &Get<'_>, token: Token) -> (Result<Vec<u8>, Problem>, Duration) {
        let (shared, url, form) = (Arc::clone(&self.shared), get.url(&self.shared.api_url, self.now()), get.form);
        let largest = if get.is_smallest_page() { LARGEST_SMALL_PAGE } else { LARGEST };
        let longest = shared.policy.scale(shared.policy.longest_answer);
        // Dropped with this future, it ends the task.
        let mut task = JoinSet::new();
        task.spawn(async move {
            let sent_at = Instant::now();
            let answer = tokio::time::timeout(longest, shared.answer(url, form, &token, largest)).await;
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
    /// The content of an answer with status 200. Notes what every answer tells of clock and token.
    async fn answer(&self, url: Url, form: &Form, token: &Token, largest: usize) -> Result<Vec<u8>, Problem> {
        let Self { clocks, tokens, bodies, redact, is_unreachable, .. } = self;
        let Received { status, headers, body } = self.send(url, token).await?;
        is_unreachable.store(false, Ordering::Relaxed);
        let seen = Clocks { server: refusal::header_date(&headers, DATE), local: seams::now() };
        // A proxy that unpacks or scans what passes says so with 203; the body is what 100ms answered.
        let status = if status == StatusCode::NON_AUTHORITATIVE_INFORMATION { StatusCode::OK } else { status };
        clocks.note(seen, status == StatusCode::OK);
        let (status, body) = told(form, status, bodies.read(&headers, body, largest).await)?;
        match status {
            StatusCode::OK => {
                if tokens.accepted(token) {
                    let seconds = seen.skew().unwrap_or_default().num_seconds().unsigned_abs();
                    (self.listener)(Notice::Note(format!(
                        "This machine's clock and that of 100ms differ by {seconds} s. Tokens are made by the clock of \
                         100ms, because it refused one made by this machine's: set this machine's clock."
                    )));
                }
                return body;
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => tokens.renew(token, seen.skew()),
            _ => {}
        }
        // A refusal is one, whatever becomes of its text.
        Err(refusal::problem(status, &headers, seen.server, &body.unwrap_or_default(), redact))
    }

    async fn send(&self, url: Url, token: &Token) -> Result<Received, Problem> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.value.expose_secret()))
            .map_err(|_| Problem::Credentials("the management token holds characters no token has".into()))?;
        authorization.set_sensitive(true);
        self.exchange.get(url, authorization).await
    }
}

/// The status and the body of an answer; for an error with status 200, the status that it should have had.
fn told(
    form: &Form,
    status: StatusCode,
    body: Result<Vec<u8>, Problem>,
) -> Result<(StatusCode, Result<Vec<u8>, Problem>), Problem> {
    Ok(match (status, body) {
        (StatusCode::NO_CONTENT, _) => (StatusCode::OK, Ok(form.no_content.into())),
        (StatusCode::OK, Ok(body)) => match form.judge(text_of(&body[..body.len().min(LARGEST_ERROR)]).as_bytes()) {
            Verdict::Answer => (status, Ok(form.content(body))),
            Verdict::Foreign => return Err(Problem::Unreadable("not of the documented form".into())),
            Verdict::Error(code) => (StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Ok(body)),
        },
        (status, body) => (status, body),
    })
}

/// What `read` makes of the body of an answer.
fn parsed<R>(body: &[u8], read: impl Fn(&str) -> Result<R, Unreadable>) -> Result<R, Problem> {
    read(&text_of(body)).map_err(|error| Problem::Unreadable(error.to_string()))
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
    use std::io::Write;

    use chrono::TimeDelta;

    use super::super::test_server::{client, client_with, respond, serve};
    use super::*;

    /// The `limit` of each request.
    fn limits(requests: &[String]) -> Vec<&str> {
        requests.iter().map(|head| head.split("limit=").nth(1).unwrap().split([' ', '&']).next().unwrap()).collect()
    }

    async fn page_of_rooms(client: &Client) -> Result<String, ApiError> {
        client.get(Get::list("rooms", 100, Vec::new()), |body| Ok(body.to_owned())).await
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off_and_asked_for_in_smaller_pages() {
        let (url, requests) = serve(|_, _, connection| {
            let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while connection.write_all(chunk.as_bytes()).is_ok() {}
        });
        let error = page_of_rooms(&client(url, 1.0)).await.unwrap_err();
        assert_eq!((error.problem, error.gave_up), (Problem::TooLarge(256_000_000), GaveUp::NotRetryable));
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
        let (longest_answer, first_wait) = (Duration::from_millis(100), Duration::from_millis(1));
        let policy = Policy { longest_answer, first_wait, ..Policy::patient() };
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
        assert_eq!((error.status(), error.gave_up), (Some(401), GaveUp::TriesExhausted));
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

    #[test]
    fn the_version_may_stand_in_the_address() {
        let root = |url: &str| root(url.parse().unwrap()).to_string();
        for url in ["https://a.example", "https://a.example/v2", "https://a.example/v2/"] {
            assert_eq!(root(url), "https://a.example/");
        }
        assert_eq!(root("https://a.example/proxy/v2"), "https://a.example/proxy");
        assert_eq!(root("https://a.example/v22"), "https://a.example/v22");
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
            let error = client(url.clone(), 1.0).get(Get::one("recordings/{id}", id), |_| Ok(())).await.unwrap_err();
            assert_eq!(error.problem, Problem::BadId);
        }
        assert!(requests.lock().unwrap().is_empty());
    }
}
