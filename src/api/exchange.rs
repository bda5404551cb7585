//! One request and its answer, as they go over the wire: what lies below the client, and what a simulation replaces.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};

use super::client::Settings;
use super::error::Problem;
use super::proxy::{self, Proxy};
use super::{addresses, tls, transport};

/// Sends a GET and receives what is answered, once.
pub trait Exchange: std::fmt::Debug + Send + Sync {
    /// Sends a GET for `url` with this `Authorization`; the answer is there when its headers are.
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<Received, Problem>>;
}

/// An answer whose body is still coming.
pub struct Received {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, those of a packed body taken off.
    pub headers: HeaderMap,
    /// The pieces of its body, unpacked; the last one may be how it broke.
    pub body: BoxStream<'static, Result<Bytes, Problem>>,
}

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    http: reqwest::Client,
    /// The host, when it must be judged before each request, because a proxy may resolve it.
    judged_host: Option<Arc<str>>,
    proxy: Option<Proxy>,
}

impl Network {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// As for [`super::Client::new`].
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
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
        let host: Arc<str> = settings.api_url.host_str().unwrap_or_default().into();
        if settings.public_only {
            http = http.dns_resolver(Arc::new(addresses::PublicOnly { host: Arc::clone(&host) }));
        }
        let mut proxy = None;
        if addresses::is_loopback(&settings.api_url) {
            // A proxy is another machine, to which the token would go unencrypted.
            http = http.no_proxy();
        } else {
            proxy = proxy::of(&settings.api_url, |name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))?;
        }
        let http = http
            .build()
            .map_err(|error| format!("The HTTP client could not be set up: {}.", transport::cause(&error)))?;
        let judged_host = Some(host).filter(|_| settings.public_only && addresses::may_be_proxied());
        Ok(Self { http, judged_host, proxy })
    }

    async fn send(&self, url: Url, authorization: HeaderValue) -> Result<Received, Problem> {
        if let Some(host) = &self.judged_host
            && addresses::is_private(host).await
        {
            return Err(Problem::NotPublic);
        }
        let request = self.http.get(url).header(AUTHORIZATION, authorization);
        let mut answer =
            request.send().await.map_err(|error| transport::problem(&error).by_way_of(self.proxy.as_ref()))?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let body = stream::unfold(answer, async |mut answer| {
            let chunk = answer.chunk().await.map_err(|error| transport::problem(&error)).transpose()?;
            Some((chunk, answer))
        });
        Ok(Received { status, headers, body: body.boxed() })
    }
}

impl Exchange for Network {
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<Received, Problem>> {
        Box::pin(self.send(url, authorization))
    }
}
