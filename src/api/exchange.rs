//! One request and its answer on the wire: what lies below the client, and what a simulation replaces; the body of an
//! answer within bounds, and what breaks on the way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Response, Url};
use serde_json::error::Category;
use tokio::sync::Semaphore;

use super::error::Problem;
use super::private_hosts::{self, PublicOnly};
use super::proxy::{self, Proxy};
use super::retry::Policy;
use super::tls;

/// Sends a GET and receives the answer, once. Its body is unpacked, and still coming.
pub trait Exchange: Send + Sync {
    /// The answer is there when its headers are.
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<Response, Problem>>;
}

/// No answer may be larger, after decompression.
pub(super) const LARGEST: usize = 64_000_000;
/// The smallest page of a list may be as large as this: ten sessions of a large room, where each time that somebody
/// joins again is another peer, have been seen with 87 MB.
pub(super) const LARGEST_SMALL_PAGE: usize = 256_000_000;
/// An answer larger than this is out of the ordinary (a full page has some 100 kB), and only
const LARGE: usize = 8_000_000;
/// so many of these are read at the same time, so that memory is bounded whatever is answered,
const LARGE_AT_ONCE: usize = 2;
/// and so many of those that only a smallest page may be.
const HUGE_AT_ONCE: usize = 1;

/// The words of the HTTP library, and of the system, for a connection that the server has closed.
const CLOSED: [&str; 2] = ["connection closed before message completed", "Connection reset by peer"];

pub(super) struct Network {
    http: reqwest::Client,
    proxy: Option<Proxy>,
}

impl Network {
    /// Makes no request yet.
    ///
    /// # Errors
    /// As for [`super::Client::new`].
    pub(super) fn new(api_url: &Url, workers: usize, public_only: bool, policy: &Policy) -> Result<Self, String> {
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config()?)
            .user_agent(concat!("source-100ms/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(policy.scale(policy.read_timeout))
            .tcp_nodelay(true)
            .pool_max_idle_per_host(workers);
        if public_only {
            private_hosts::refuse_private_host(api_url)?;
            let host = api_url.host_str().unwrap_or_default();
            http = http.dns_resolver(Arc::new(PublicOnly(host.to_owned())));
        }
        let proxy = if private_hosts::is_loopback(api_url) {
            // A proxy is another machine, to which the token would go unencrypted.
            http = http.no_proxy();
            None
        } else {
            proxy::of(api_url, |name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))?
        };
        let unusable = |error: reqwest::Error| format!("The HTTP client could not be set up: {}.", cause(&error));
        Ok(Self { http: http.build().map_err(unusable)?, proxy })
    }

    /// What a failed request means. Behind a proxy, a connection that does not come about is a matter of the proxy.
    fn problem(&self, error: &reqwest::Error) -> Problem {
        match (problem(error), self.proxy.clone()) {
            (Problem::NotSent(what), Some((variable, address))) => Problem::Proxy { variable, address, what },
            (Problem::NoAnswer(what), _) if CLOSED.iter().any(|words| what.contains(words)) => Problem::Closed(what),
            (problem, _) => problem,
        }
    }
}

impl Exchange for Network {
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<Response, Problem>> {
        let answer = self.http.get(url).header(AUTHORIZATION, authorization).send();
        answer.map_err(|error| self.problem(&error)).boxed()
    }
}

/// The places for bodies that are large, and for those that are larger than other answers may be.
pub(super) fn places() -> [Semaphore; 2] {
    [Semaphore::new(LARGE_AT_ONCE), Semaphore::new(HUGE_AT_ONCE)]
}

/// The whole body of an answer, up to `largest` bytes, within the `places` that all requests share.
pub(super) async fn body(answer: &mut Response, largest: usize, places: &[Semaphore; 2]) -> Result<Vec<u8>, Problem> {
    let announced = answer.content_length().unwrap_or_default() as usize;
    let mut body = Vec::with_capacity(announced.min(LARGE));
    let (mut is_large, mut is_huge) = (None, None);
    let [large, huge] = places;
    while let Some(chunk) = answer.chunk().await.map_err(|error| problem(&error))? {
        let length = body.len() + chunk.len();
        if length > largest {
            return Err(Problem::TooLarge(largest as u64));
        }
        if length > LARGE && is_large.is_none() {
            // The semaphore is never closed, so there is always a permit in the end.
            is_large = large.acquire().await.ok();
        }
        if length > LARGEST && is_huge.is_none() {
            is_huge = huge.acquire().await.ok();
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a failed exchange means.
pub(super) fn problem(error: &reqwest::Error) -> Problem {
    for cause in causes(error) {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return problem.clone();
        }
        if let Some(rustls::Error::InvalidCertificate(error)) = cause.downcast_ref() {
            return tls::problem(error);
        }
    }
    if error.is_connect() { Problem::NotSent(cause(error)) } else { Problem::NoAnswer(cause(error)) }
}

type AnyError = dyn std::error::Error + 'static;

/// The error and all that caused it, including what an I/O error wraps, which `source` passes over.
fn causes(error: &AnyError) -> impl Iterator<Item = &AnyError> {
    std::iter::successors(Some(error), |cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &AnyError).or_else(|| cause.source())
    })
}

/// The last cause of a transport error: without the URL, which a longer chain repeats.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "the connection timed out" } else { "the answer timed out" }.into();
    }
    let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
    if cause.starts_with("deflate") || cause.starts_with("CRC") {
        // What the library says depends on where the data was cut into chunks.
        return "its gzip data is damaged".into();
    }
    // "Connection refused (os error 111)": the number helps nobody.
    cause.split(" (os error").next().unwrap_or_default().to_owned()
}

impl From<serde_json::Error> for Problem {
    /// Without what the answer contains, which may be anybody's data.
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            Category::Eof if line <= 1 && column == 0 => return Self::Unreadable("it is empty".into()),
            Category::Eof => "it ends too early",
            Category::Data => "not of the documented form",
            _ => "not JSON",
        };
        Self::Unreadable(format!("{what}: line {line}, column {column}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivateSec1KeyDer};

    use super::super::endpoint::Endpoint;
    use super::super::request::Get;
    use super::super::test_server::{client, serve, serve_raw};
    use super::*;

    /// Made for this test and of no other use: nobody trusts it.
    const CERTIFICATE: &str = "MIIBmDCCAT6gAwIBAgIUP0mFM45sOjLNvxm/3M+sWhJv1K4wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAX\
        DTI2MTEyNDIyMjYwNloYDzIxMjYxMDMxMjIyNjA2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\
        PQMBBwNCAAR4469rXkTOodBJDoFh3JySfVS5DK1Hnmls9MGgCmcFkH0IxGuoTDzEnzc22pGo2ojhvZ35MfGsRGoS0uUT5vcr\
        o2wwajAdBgNVHQ4EFgQUcGQigVtQHWHMb94PJfVjRiVa19wwHwYDVR0jBBgwFoAUcGQigVtQHWHMb94PJfVjRiVa19wwGgYD\
        VR0RBBMwEYcEfwAAAYIJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIhAMFe/aFBHRlAXMGaSPET\
        ZSgiWh06cIembOEL21m3LFszAiB9CCtIBgfXAtO+qFA4BsPgISiTRXxSAcqfPWbmOMXy1Q==";
    const KEY: &str = "MHcCAQEEIMRQO1EUu87aTRR473B1vUuQXYB9zlA9HtDvhxrFe5NgoAoGCCqGSM49AwEHoUQDQgAEeOOva15EzqHQSQ6BYdyc\
        kn1UuQytR55pbPTBoApnBZB9CMRrqEw8xJ83NtqRqNqI4b2d+THxrERqEtLlE+b3Kw==";

    fn tls_server() -> rustls::ServerConfig {
        let certificate = CertificateDer::from(STANDARD.decode(CERTIFICATE).unwrap());
        let key = PrivateKeyDer::from(PrivateSec1KeyDer::from(STANDARD.decode(KEY).unwrap()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
    }

    #[tokio::test]
    async fn an_untrusted_certificate_is_told_at_once() {
        let config = Arc::new(tls_server());
        let mut url = serve_raw(move |connection| {
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            while tls.is_handshaking() && tls.complete_io(connection).is_ok() {}
        });
        url.set_scheme("https").unwrap();
        let error = client(url, 1.0).get(Get::of(Endpoint::RECORDING, "a"), |_| Ok(())).await.unwrap_err();
        assert!(matches!(&error.problem, Problem::Certificate(what) if what.contains("UnknownIssuer")), "{error}");
        assert_eq!(error.tries, 1);
    }

    #[tokio::test]
    async fn nobody_there_is_no_matter_of_certificates() {
        let (url, _) = serve(|_, _, _| ());
        let error = client(url, 0.001).get(Get::of(Endpoint::RECORDING, "a"), |_| Ok(())).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Closed(_)), "{error}");
        let error = client("http://127.0.0.1:1".parse().unwrap(), 0.001);
        let error = error.get(Get::of(Endpoint::RECORDING, "a"), |_| Ok(())).await.unwrap_err();
        assert_eq!(error.problem, Problem::NotSent("Connection refused".into()));
    }

    #[test]
    fn an_unreadable_answer_is_described_without_its_content() {
        let error = serde_json::from_str::<Vec<u8>>(r#"["s3cr3t"]"#).err().unwrap();
        assert!(!Problem::from(error).to_string().contains("s3cr3t"));
    }
}
