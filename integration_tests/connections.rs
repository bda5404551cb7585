//! What lies between the connector and 100ms: proxies, certificates, clocks, slow destinations, large answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Scale, When};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::harness::{Call, Finished, assert_same_records, catalog, config, config_with, fake, until_answered};
use crate::messages::{CheckStatus, FailureType, Level, Transcript};
use crate::platform::read_all;

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

/// What `check` says when it fails, and whether the user can mend it.
fn sentence(run: &Finished) -> (bool, String) {
    let transcript = run.transcript();
    if let Some(status) = transcript.connection_status() {
        assert_eq!(status.status, CheckStatus::Failed, "{}", run.stderr);
        return (true, status.message.clone().expect("a reason"));
    }
    let errors = transcript.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].failure_type, FailureType::TransientError);
    (false, errors[0].message.clone())
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
fn the_reason_in_the_details_of_a_refusal_is_shown() {
    let fake = fake(67);
    let detailed = |status, detail: &str| Fault::Detailed { status, detail: detail.to_owned() };
    let read = |stream: &str, route: &str, fault: Fault| {
        fake.set_faults(FaultPlan::new().on(route, When::Always, fault));
        let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().transcript();
        let errors = transcript.errors();
        let error = errors.first().expect("an error");
        (error.failure_type, error.message.clone())
    };
    let (_, message) = read("rooms", "/v2/rooms", detailed(409, "room size greater than 20000"));
    assert!(message.contains("request refused: room size greater than 20000"), "{message}");
    let long = format!("{}{}", "very ".repeat(200), fake.app_secret());
    let (_, message) = read("rooms", "/v2/rooms", detailed(409, &long));
    assert!(message.len() < 600 && !message.contains(&fake.app_secret()), "{message}");
    // A reason of which the connector knows what to do about it.
    let (kind, message) = read("analytics_events", "/v2/analytics/events", detailed(400, "invalid event type: x"));
    assert_eq!(kind, FailureType::ConfigError, "{message}");
    assert!(message.contains("`analytics_event_types`"), "{message}");
}

#[test]
fn a_page_with_203_is_a_page() {
    let fake = fake(68);
    fake.set_faults(FaultPlan::new().on("*", When::Every(2), Fault::GoodStatus(203)));
    let transcript = read_all(&fake).run().good(&fake);
    for stream in ["sessions", "rooms", "templates_destinations", "analytics_events", "recordings"] {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
}

#[test]
fn a_wait_is_told_in_a_unit_that_suits_it() {
    let fake = fake(69);
    let refused = Fault::Refused { status: 503, retry_after: "100".to_owned() };
    fake.set_faults(FaultPlan::new().on("*", When::Always, refused));
    let (_, sentence) = sentence(&Call::check(&config(&fake)).run());
    assert!(sentence.contains("asks to wait 100 s,"), "{sentence}");
}

#[test]
fn a_clock_that_is_set_during_a_read_does_not_end_it() {
    let counts = Counts { rooms: 10, sessions: 2_000, ..Counts::default() };
    for steps in [[-300, 0], [0, -300], [-7_200, -60], [-300, -900]] {
        let fake =
            Fake::start(Options { seed: 70, scale: Scale::Custom(counts.clone()), max_page: 20, ..Options::default() });
        // What matters is the difference of the two clocks, whichever is set.
        fake.set_server_clock(TimeDelta::seconds(steps[0]));
        fake.set_faults(FaultPlan::new().latency(60, 0));
        let config = config_with(&fake, json!({"num_workers": 4}));
        let running = Call::read(&config, &catalog(&["sessions"], "full_refresh")).start();
        until_answered(&fake, 8);
        fake.set_server_clock(TimeDelta::seconds(steps[1]));
        // The token of before is refused, as one of the future or of a machine that was reset.
        fake.void_tokens();
        let transcript = running.finish().good(&fake);
        assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
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
fn the_smallest_page_of_a_large_room_is_read() {
    let counts =
        Counts { rooms: 2, sessions: 12, recordings: 0, templates: 0, events_per_room: 0, ..Counts::default() };
    let fake = Fake::start(Options { seed: 72, scale: Scale::Custom(counts), gzip: false, ..Options::default() });
    // Ten sessions are 87 MB.
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::HeavyItems(8_700_000)));
    let call = Call::read(&config(&fake), &catalog(&["sessions"], "full_refresh"));
    let transcript = call.variable("SOURCE_100MS_TIME_SCALE", "1").run().good(&fake);
    assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
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

fn read_with_state(fake: &Fake, config: &Value, state: &Value) -> Transcript {
    Call::read(config, &catalog(&["rooms"], "incremental")).file("state", state).run().good(fake)
}

#[test]
fn a_cursor_of_the_future_leaves_what_is_left_of_a_sync() {
    let fake = fake(74);
    let pending = json!({"until": "2999-01-01T00:00:00.000000Z", "pending": [{"list": "enabled", "after": "2025-01-01T00:00:00.000000Z"}]});
    let cut = json!({"updated_at": "2999-01-01T00:00:00.000000Z", "resume": pending});
    let transcript = read_with_state(&fake, &config(&fake), &json!({"rooms": cut}));
    assert_eq!(transcript.records().count(), 0);
    let state = &transcript.last_states()["rooms"];
    assert_eq!((&state["resume"], &state["updated_at"]), (&cut["resume"], &cut["updated_at"]));
}

#[test]
fn a_salt_that_looks_like_a_date_does_not_mask_a_state() {
    let fake = fake(75);
    let keys = json!({"personal_data": "hash", "personal_data_salt": fake.now().format("%Y-%m-%dT%H:%M:%S.000000Z").to_string()});
    let config = config_with(&fake, keys);
    let mut state = json!({});
    for _ in 0..2 {
        let transcript = read_with_state(&fake, &config, &state);
        state = json!({"rooms": transcript.last_states()["rooms"]});
        assert!(!state.to_string().contains('*'), "{state}");
    }
}
