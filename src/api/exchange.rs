//! One request and its answer on the wire: what lies below the client, and what a simulation replaces.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Response, Url};

use super::error::Problem;
use super::private_hosts::{self, PublicOnly};
use super::proxy::{self, Proxy};
use super::retry::Policy;
use super::{tls, transport};

/// Sends a GET and receives the answer, once. Its body is unpacked, and still coming.
pub trait Exchange: Send + Sync {
    /// The answer is there when its headers are.
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<Response, Problem>>;
}

/// The words of the HTTP library, and of the system, for a connection that the server has closed.
const CLOSED: [&str; 2] = ["connection closed before message completed", "Connection reset by peer"];

#[derive(Debug)]
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
        let unusable =
            |error: reqwest::Error| format!("The HTTP client could not be set up: {}.", transport::cause(&error));
        Ok(Self { http: http.build().map_err(unusable)?, proxy })
    }

    /// What a failed request means. Behind a proxy, a connection that does not come about is a matter of the proxy.
    fn problem(&self, error: &reqwest::Error) -> Problem {
        match (transport::problem(error), self.proxy.clone()) {
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
