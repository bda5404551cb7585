//! Which way requests go: a proxy does not see what is meant for this machine, and `DEPLOYMENT_MODE=cloud`
//! reaches nothing that is not on the public internet.

use std::net::TcpListener;

use serde_json::json;

use crate::harness::{Call, config, config_with, fake};
use crate::messages::CheckStatus;

/// A proxy that nobody should call, and whether somebody did.
struct Proxy(TcpListener);

impl Proxy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("it need not wait");
        Self(listener)
    }

    fn in_front_of(&self, call: Call) -> Call {
        let url = format!("http://{}", self.0.local_addr().expect("it is bound"));
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"]
            .iter()
            .fold(call, |call, name| call.variable(name, &url))
    }

    fn was_called(&self) -> bool {
        self.0.accept().is_ok()
    }
}

#[test]
fn loopback_never_goes_through_a_proxy() {
    let (fake, proxy) = (fake(41), Proxy::new());
    let run = proxy.in_front_of(Call::check(&config(&fake))).run();
    assert!(!proxy.was_called(), "the token went to the proxy");
    let status = run.good(&fake).connection_status().expect("a status").status;
    assert_eq!(status, CheckStatus::Succeeded);
}

#[test]
fn the_cloud_reaches_nothing_inside_by_any_spelling() {
    let (fake, proxy) = (fake(42), Proxy::new());
    for host in [
        "localhost.",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a00:1::1]",
        "[fec0::1]",
        "198.18.0.1",
        "240.0.0.1",
        "192.0.0.1",
    ] {
        let config = config_with(&fake, json!({"api_url": format!("https://{host}")}));
        let call = Call::check(&config).variable("DEPLOYMENT_MODE", "cloud");
        let run = proxy.in_front_of(call).run();
        let transcript = run.transcript();
        let answer = transcript.connection_status().expect("a status");
        let message = answer.message.clone().unwrap_or_default();
        assert!(!proxy.was_called(), "{host} was asked for");
        assert_eq!(answer.status, CheckStatus::Failed, "{host}");
        assert!(message.contains("`api_url`") && message.contains("public address"), "{host}: {message}");
    }
}
