//! The 100ms server-side API v2: one GET, and a method for each endpoint the streams read.
//!
//! A list method takes a closure that shapes the page while its text is still there, inside the try:
//! an answer that turns out to be unreadable is asked for again. Nothing here knows Airbyte.

mod answers;
mod auth;
mod error;
mod retry;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use tokio::time::Instant;

pub use answers::{Asset, Event, EventData, Key, Keyed, Members, Peer, Raw, Recording, Room, Session, Template};
pub use auth::{Credentials, TokenProblem, expiry};
pub use error::{ApiError, Problem};
pub use retry::Policy;

use answers::{EventPage, ListPage, PeersAnswer, PresignedUrl};
use retry::Gate;

/// The largest page the API serves.
pub const PAGE_SIZE: u64 = 100;
/// The smallest page that every list accepts: enough for `check`.
pub const SMALL_PAGE: u64 = 10;

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

/// A page of a list: what the caller made of it, and how to go on.
#[derive(Debug)]
pub struct Page<R> {
    /// What the shaping closure returned.
    pub content: R,
    /// The token of the next page; `None` at the end of the list.
    pub next: Option<String>,
}

/// Which sessions to list. The API compares times inclusively, with the session's creation.
#[derive(Debug, Default, Clone)]
pub struct ListFilter<'a> {
    /// `active` of sessions, `enabled` of rooms. What unset means is not documented, so say it always.
    pub flag: Option<bool>,
    /// Created at or after, as RFC 3339.
    pub after: Option<String>,
    /// Created at or before, as RFC 3339.
    pub before: Option<String>,
    /// Go on after the item with this id.
    pub start: Option<&'a str>,
    /// Items a page; [`PAGE_SIZE`] when unset.
    pub limit: Option<u64>,
}

/// A client of one workspace: connections, tokens and limits shared, requests counted per stream.
pub struct Client {
    shared: Arc<Shared>,
    asked: AtomicU64,
}

/// What all streams share.
struct Shared {
    http: reqwest::Client,
    api_url: Url,
    tokens: auth::Tokens,
    gate: Gate,
    policy: Policy,
    listener: Listener,
    first_answer: OnceLock<DateTime<Utc>>,
}

/// A GET: path segments below `/v2` and query pairs, escaped when the URL is built.
struct Get<'a> {
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
}

impl Get<'_> {
    fn endpoint(&self) -> String {
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
            refuse_private_host(&settings.api_url)?;
        }
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .user_agent(concat!("source-100ms/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(settings.policy.scale(settings.policy.silence))
            .tcp_nodelay(true)
            .pool_max_idle_per_host(settings.workers);
        if settings.public_only {
            http = http.dns_resolver(Arc::new(PublicOnly));
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

    /// A page of sessions, newest first.
    pub async fn sessions<R>(
        &self,
        filter: &ListFilter<'_>,
        shape: impl Fn(Vec<Session<'_>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.list("sessions", "active", filter, |body| items(body, &shape)).await
    }

    /// A page of rooms.
    pub async fn rooms<R>(
        &self,
        filter: &ListFilter<'_>,
        shape: impl Fn(Vec<Room<'_>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.list("rooms", "enabled", filter, |body| items(body, &shape)).await
    }

    /// A page of templates.
    pub async fn templates<R>(
        &self,
        filter: &ListFilter<'_>,
        shape: impl Fn(Vec<Template<'_>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.list("templates", "", filter, |body| items(body, &shape)).await
    }

    /// A page of recordings as they came, usually without their assets: they wait for those.
    pub async fn recordings<R>(
        &self,
        filter: &ListFilter<'_>,
        shape: impl Fn(Vec<&RawValue>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.list("recordings", "", filter, |body| items(body, &shape)).await
    }

    /// A page of recording assets as they came; those of live and external streams are among them.
    pub async fn recording_assets<R>(
        &self,
        filter: &ListFilter<'_>,
        shape: impl Fn(Vec<&RawValue>) -> R,
    ) -> Result<Page<R>, ApiError> {
        self.list("recording-assets", "", filter, |body| items(body, &shape)).await
    }

    /// One recording with its assets; `None` when there is no such recording.
    pub async fn recording<R>(&self, id: &str, shape: impl Fn(&RawValue) -> R) -> Result<Option<R>, ApiError> {
        let get = Get { path: &["recordings", id], query: Vec::new() };
        self.or_absent(self.get(get, |body| Ok(shape(serde_json::from_str(body)?))).await)
    }

    /// Who is in a room now. A room nobody is in answers 404 or holds no peers: both are empty.
    pub async fn active_room_peers<R>(
        &self,
        room: &str,
        shape: impl Fn(Vec<(Option<String>, Peer<'_>)>) -> R,
    ) -> Result<R, ApiError> {
        let get = Get { path: &["active-rooms", room, "peers"], query: Vec::new() };
        let answer = self.get(get, |body| {
            let answer: PeersAnswer<Members<'_, Peer<'_>>> = serde_json::from_str(body)?;
            let peers = answer.peers.map(|members| members.0).unwrap_or_default();
            Ok(shape(peers.into_iter().map(|(key, peer)| (key.map(Into::into), peer)).collect()))
        });
        Ok(self.or_absent(answer.await)?.unwrap_or_else(|| shape(Vec::new())))
    }

    /// One of the documents below a template (`settings`, `destinations` or `recordings`) as it came;
    /// `None` when the template is gone.
    pub async fn template_part<R>(
        &self,
        template: &str,
        part: &str,
        shape: impl Fn(Raw<'_>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let get = Get { path: &["templates", template, part], query: Vec::new() };
        self.or_absent(self.get(get, |body| Ok(shape(serde_json::from_str(body)?))).await)
    }

    /// A link to the file of an asset; `None` when 100ms no longer has the file.
    ///
    /// What is answered then is not documented: 404 and 410 say it, and 400 is the vendor's only other
    /// refusal that speaks of the request rather than of the credentials.
    pub async fn presigned_url(&self, asset: &str) -> Result<Option<String>, ApiError> {
        let get = Get { path: &["recording-assets", asset, "presigned-url"], query: Vec::new() };
        match self.get(get, |body| Ok(serde_json::from_str::<PresignedUrl>(body)?.url)).await {
            Err(error) if matches!(error.status(), Some(400 | 410)) => Ok(None),
            answer => Ok(self.or_absent(answer)?.flatten().filter(|url| !url.is_empty())),
        }
    }

    /// A page of a room's events of the last 30 days, in no documented order.
    pub async fn analytics_events<R>(
        &self,
        room: &str,
        types: &[String],
        start: Option<&str>,
        shape: impl Fn(Vec<Event<'_>>) -> R,
    ) -> Result<Page<R>, ApiError> {
        let mut query = vec![("room_id", room.to_owned()), ("limit", PAGE_SIZE.to_string())];
        query.extend(types.iter().map(|kind| ("type", kind.clone())));
        query.extend(start.map(|start| ("start", start.to_owned())));
        let get = Get { path: &["analytics", "events"], query };
        let endpoint = get.endpoint();
        let page = self.get(get, |body| {
            let page: EventPage<Event<'_>> = serde_json::from_str(body)?;
            let next = page.next.filter(|next| !next.is_empty());
            Ok(Page { content: shape(page.events.unwrap_or_default()), next })
        });
        refuse_repeated_page(page.await?, start, endpoint)
    }

    fn or_absent<R>(&self, answer: Result<R, ApiError>) -> Result<Option<R>, ApiError> {
        match answer {
            Err(error) if error.is_not_found() => {
                (self.shared.listener)(Notice::Skipped { endpoint: error.endpoint });
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// A page of an id-paged list.
    async fn list<R>(
        &self,
        list: &str,
        flag: &str,
        filter: &ListFilter<'_>,
        read: impl Fn(&str) -> Result<ListAnswer<R>, serde_json::Error>,
    ) -> Result<Page<R>, ApiError> {
        let asked = filter.limit.unwrap_or(PAGE_SIZE);
        let mut query = vec![("limit", asked.to_string())];
        query.extend(filter.flag.map(|value| (flag, value.to_string())));
        query.extend(filter.after.clone().map(|after| ("after", after)));
        query.extend(filter.before.clone().map(|before| ("before", before)));
        query.extend(filter.start.map(|start| ("start", start.to_owned())));
        let get = Get { path: &[list], query };
        let endpoint = get.endpoint();
        let answer = self.get(get, read).await?;
        // A page is short by the limit the server states, which may be smaller than what was asked.
        let ended = answer.items == 0 || answer.limit.is_some_and(|limit| answer.items < limit);
        let next = answer.last.filter(|last| !ended && !last.is_empty());
        refuse_repeated_page(Page { content: answer.content, next }, filter.start, endpoint)
    }

    /// One GET with all the tries it deserves; `read` is part of a try.
    async fn get<R>(&self, get: Get<'_>, read: impl Fn(&str) -> Result<R, serde_json::Error>) -> Result<R, ApiError> {
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
        let served_at = header_date(answer.headers(), DATE);
        if let Some(served_at) = served_at {
            self.shared.first_answer.get_or_init(|| served_at);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| Problem::NoAnswer(describe(&error)))?;
        if status != StatusCode::OK {
            return Err(refusal(status, &headers, served_at, &body));
        }
        // A server without a clock: ours, so that a sync still has a beginning.
        self.shared.first_answer.get_or_init(Utc::now);
        let body = std::str::from_utf8(&body).map_err(|_| Problem::Unreadable("it is not UTF-8".into()))?;
        read(body).map_err(|error| Problem::Unreadable(whereabouts(&error)))
    }
}

/// What a list page held, before it is decided whether it was the last.
struct ListAnswer<R> {
    content: R,
    items: u64,
    limit: Option<u64>,
    last: Option<String>,
}

fn items<'a, T: serde::Deserialize<'a>, R>(
    body: &'a str,
    shape: impl Fn(Vec<T>) -> R,
) -> Result<ListAnswer<R>, serde_json::Error> {
    let page: ListPage<T> = serde_json::from_str(body)?;
    let data = page.data.unwrap_or_default();
    let items = data.len() as u64;
    Ok(ListAnswer { content: shape(data), items, limit: page.limit, last: page.last })
}

fn refuse_repeated_page<R>(page: Page<R>, start: Option<&str>, endpoint: String) -> Result<Page<R>, ApiError> {
    if page.next.is_none() || page.next.as_deref() != start {
        return Ok(page);
    }
    let problem = Problem::Inconsistent("the next page has the token of this page".into());
    Err(ApiError { problem, endpoint, tries: 1, elapsed: Duration::ZERO })
}

/// A refusal with the vendor's sentence and the wait it names, in a header or in that sentence.
fn refusal(status: StatusCode, headers: &HeaderMap, served_at: Option<DateTime<Utc>>, body: &[u8]) -> Problem {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        message: Option<String>,
    }
    let message = serde_json::from_slice::<ErrorBody>(body).ok().and_then(|body| body.message).unwrap_or_default();
    let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| header_wait(value, served_at)).or_else(|| wait_in_message(&message));
    Problem::Refused { status: status.as_u16(), message, retry_after }
}

/// `Retry-After`: seconds, or a date measured by the server's own clock.
fn header_wait(value: &str, served_at: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((date.with_timezone(&Utc) - served_at.unwrap_or_else(Utc::now)).to_std().unwrap_or_default())
}

/// "rate limit exceeded, retry after 45 seconds": the only documented form.
fn wait_in_message(message: &str) -> Option<Duration> {
    let message = message.to_lowercase();
    let (_, wait) = message.split_once("retry after ")?;
    let number: String = wait.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit = wait[number.len()..].trim_start();
    let seconds_in_unit = match unit {
        unit if unit.starts_with("ms") || unit.starts_with("milli") => 0.001,
        unit if unit.starts_with('m') => 60.0,
        unit if unit.starts_with('h') => 3600.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds_in_unit).ok()
}

fn header_date(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(name)?.to_str().ok()?).ok()?;
    Some(date.with_timezone(&Utc))
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

/// TLS with the compiled-in roots and those of `SSL_CERT_FILE`.
fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        use rustls::pki_types::pem::PemObject;
        let unreadable = || {
            format!(
                "`SSL_CERT_FILE` names `{}`, which holds no readable certificates: name a PEM file, or unset it.",
                file.to_string_lossy()
            )
        };
        let certificates = rustls::pki_types::CertificateDer::pem_file_iter(&file).map_err(|_| unreadable())?;
        let (added, _) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        if added == 0 {
            return Err(unreadable());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}."))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn refuse_private_host(url: &Url) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if host == "localhost" || literal.is_ok_and(is_private) {
        return Err(format!(
            "The setting `api_url` leads to `{host}`, a loopback or private address, which is not allowed here: use a public address."
        ));
    }
    Ok(())
}

/// Addresses of one's own machine or network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// A resolver that knows no private addresses, so that a public name cannot lead inside.
struct PublicOnly;

impl reqwest::dns::Resolve for PublicOnly {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err("the host has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_in_every_form() {
        let served_at = DateTime::parse_from_rfc2822("Sun, 15 Jun 2025 12:00:00 GMT").unwrap().with_timezone(&Utc);
        assert_eq!(header_wait("7", None), Some(Duration::from_secs(7)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 12:00:09 GMT", Some(served_at)), Some(Duration::from_secs(9)));
        assert_eq!(header_wait("Sun, 15 Jun 2025 11:00:00 GMT", Some(served_at)), Some(Duration::ZERO));
        assert_eq!(header_wait("soon", None), None);
        assert_eq!(wait_in_message("rate limit exceeded, retry after 45 seconds"), Some(Duration::from_secs(45)));
        assert_eq!(wait_in_message("Retry after 2m"), Some(Duration::from_secs(120)));
        assert_eq!(wait_in_message("retry after 1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(wait_in_message("retry after a while"), None);
        assert_eq!(wait_in_message("retry after 99999999999999999999999999 seconds"), None);
    }

    #[test]
    fn a_list_ends_for_the_documented_reasons_only() {
        let read = |body: &str| {
            let answer = items(body, |data: Vec<Room<'_>>| data.len()).unwrap();
            answer.items == 0 || answer.limit.is_some_and(|limit| answer.items < limit)
        };
        assert!(read(r#"{"limit":10,"data":null,"last":"x"}"#));
        assert!(read(r#"{"limit":10,"last":"x"}"#));
        assert!(read(r#"{"limit":2,"data":[{}],"last":"x"}"#));
        // The server may serve fewer than asked and say so: not the end.
        assert!(!read(r#"{"limit":1,"data":[{}],"last":"x"}"#));
        assert!(!read(r#"{"data":[{}],"last":"x"}"#));
    }

    #[test]
    fn private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "100.128.0.1", "2001:4860:4860::8888"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_unreadable_answer_is_described_without_its_content() {
        let error = serde_json::from_str::<PresignedUrl>(r#"{"url":{"secret":"s3cr3t"}}"#).err().unwrap();
        assert!(!whereabouts(&error).contains("s3cr3t"));
    }
}
