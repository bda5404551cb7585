//! Proxies, certificates, private addresses, slow destinations.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fake_100ms::{Counts, Fake, FaultPlan, Options, Scale};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::harness::{Call, Finished, assert_same_records, catalog, config, config_with, fake, sentence};
use crate::messages::{CheckStatus, Level};

/// Answers every connection with `answer`, from a thread of its own. Returns the port.
fn listen(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    port
}

/// A proxy that answers every CONNECT with this status.
fn proxy(status: &'static str) -> u16 {
    listen(move |mut connection| {
        let mut head = [0; 4096];
        let _ = connection.read(&mut head);
        let _ = write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    })
}

/// A configuration that leads somewhere else, over TLS.
fn config_of(api_url: &str) -> Value {
    json!({"management_token": fake(1).token(), "start_date": "2018-01-01T00:00:00Z", "api_url": api_url})
}

fn check_through(variable: &str, value: &str) -> Finished {
    Call::check(&config_of("https://api.100ms.invalid")).variable(variable, value).run()
}

#[test]
fn a_proxy_that_does_not_connect_is_named_with_its_variable_and_without_its_password() {
    let dead = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
    for (port, variable, is_the_users) in [
        (proxy("403 Forbidden"), "HTTPS_PROXY", false),
        (proxy("407 Proxy Authentication Required"), "https_proxy", true),
        (proxy("502 Bad Gateway"), "ALL_PROXY", false),
        (dead, "all_proxy", false),
    ] {
        let run = check_through(variable, &format!("http://ada:hush-hush-1234@127.0.0.1:{port}"));
        let (mended, sentence) = sentence(&run);
        assert_eq!(mended, is_the_users, "{sentence}");
        assert!(sentence.contains(&format!("`http://127.0.0.1:{port}`")), "{sentence}");
        assert!(sentence.contains(&format!("`{variable}`")), "{sentence}");
        assert!(!String::from_utf8_lossy(&run.stdout).contains("hush-hush"), "{sentence}");
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_refused() {
    for value in
        ["http://", "http://ada:hush-hush-1234@", "socks5://hush-hush-1234:1080", "http://hush-hush-1234:99999"]
    {
        let (mended, sentence) = sentence(&check_through("HTTPS_PROXY", value));
        assert!(mended && sentence.contains("`HTTPS_PROXY`"), "{value}: {sentence}");
        assert!(!sentence.contains("hush-hush"), "{sentence}");
    }
    // What is not used need not be right.
    let fake = fake(66);
    Call::check(&config(&fake)).variable("HTTPS_PROXY", "http://").run().good(&fake);
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/certificates").join(name)
}

/// A server that shows this certificate.
fn tls_server(name: &str) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(certificate(name)).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certificate("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS").with_no_client_auth().with_single_cert(chain, key).expect("they fit");
    let config = Arc::new(config);
    listen(move |mut connection| {
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("TLS");
        while tls.is_handshaking() && tls.complete_io(&mut connection).is_ok() {}
    })
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    for (name, parts) in [
        ("expired.pem", ["1 January 2021", "this machine's clock says"]),
        ("future.pem", ["not valid before 1 January 2999", "this machine's clock says"]),
        ("authority.pem", ["CA:TRUE", "`api_url`"]),
    ] {
        let port = tls_server(name);
        let call = Call::check(&config_of(&format!("https://127.0.0.1:{port}")));
        let call = call.variable("SSL_CERT_FILE", certificate(name).to_str().expect("a path of text"));
        let (mended, sentence) = sentence(&call.run());
        assert!(mended, "{sentence}");
        assert!(parts.iter().all(|part| sentence.contains(part)), "{name}: {sentence}");
    }
}

#[test]
fn a_slow_destination_makes_no_request_time_out() {
    let counts = Counts { rooms: 10, sessions: 100, peers_with_stats: 300, ..Counts::default() };
    let fake = Fake::start(Options { seed: 71, scale: Scale::Custom(counts), ..Options::default() });
    // A silent answer is given up after 3 s here, and the destination pauses for longer.
    fake.set_faults(FaultPlan::new().latency(100, 0));
    let config = config_with(&fake, json!({"extra_streams": ["peer_quality"]}));
    let running = Call::read(&config, &catalog(&["peer_quality"], "full_refresh"));
    let mut running = running.variable("SOURCE_100MS_TIME_SCALE", "0.05").start();
    let mut stdout = running.child.stdout.take().expect("stdout is piped");
    let (mut bytes, mut buffer, mut pauses) = (Vec::new(), vec![0; 400_000], 0);
    loop {
        let count = stdout.read(&mut buffer).expect("stdout is readable");
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
        if pauses < 4 && bytes.len() / 400_000 > pauses {
            pauses += 1;
            std::thread::sleep(Duration::from_secs(5));
        }
    }
    assert!(pauses >= 3, "{} bytes are too few to hold anything up", bytes.len());
    let run = Finished { stdout: bytes, ..running.finish() };
    let transcript = run.good(&fake);
    let account = transcript
        .logs(Level::Info)
        .into_iter()
        .find(|log| log.starts_with("Read `peer_quality`"))
        .expect("an account")
        .to_owned();
    assert!(!account.contains("retr"), "{account}");
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &fake.truth().streams["peer_quality"]);
}

#[test]
fn a_thread_that_cannot_be_started_is_told() {
    let fake = fake(73);
    // No memory is enough for such a stack.
    let run = Call::check(&config(&fake)).variable("RUST_MIN_STACK", "200000000000000").run();
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
    let transcript = run.transcript();
    let errors = transcript.errors();
    assert_eq!(errors.len(), 1, "{}", run.stderr);
    assert!(errors[0].message.contains("thread"), "{}", errors[0].message);
    assert_eq!(run.stderr, "");
}

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
