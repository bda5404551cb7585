//! The controls that a program in another language uses.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fake_100ms::{Fake, Options, Truth};
use serde_json::{Value, json};

use crate::client::Client;

/// As a client reads it: the parser may miss a long fraction by its last bit.
fn as_read(truth: &Truth) -> Value {
    let text = serde_json::to_string(truth).expect("plain JSON");
    serde_json::from_str(&text).expect("plain JSON")
}

#[test]
fn everything_can_be_reached_without_a_token() {
    let fake = Fake::start(Options::default());
    let mut client = Client::of(&fake);
    client.ok("/v2/rooms");
    client.token = None;
    let truth = client.ok("/__control/truth");
    assert!(truth == as_read(&fake.truth()));
    let then = fake.now();
    let changes = client.send("POST", "/__control/advance").expect("an answer").json();
    assert!(changes["streams"]["sessions"].is_array() && fake.now() > then);
    let since = client.ok("/__control/truth?start_date=2025-06-15T12%3A00%3A00Z");
    assert!(since == as_read(&fake.truth_since(then)));
    let requests = client.ok("/__control/requests");
    assert_eq!(requests["requests"], json!([{"route": "/v2/rooms", "status": 200, "count": 1}]));
    assert_eq!(client.ok("/__control/secrets"), json!(fake.secrets()));
    client.send("POST", "/__control/reset").expect("an answer");
    assert_eq!(fake.total_requests(), 0);
    let wrong = client.get("/__control/advance").expect("an answer");
    assert_eq!(wrong.status, 404);
    let wrong = client.get("/__control/truth?start_date=today").expect("an answer");
    assert_eq!(wrong.status, 400);
}

#[test]
fn the_program_says_where_it_is_and_how_to_get_in() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fake-100ms"));
    program.args(["--sessions", "25", "--peers-per-session", "5", "--reading", "peers as array"]);
    let mut program = program.stdout(Stdio::piped()).spawn().expect("it was built");
    let output = BufReader::new(program.stdout.take().expect("it is piped"));
    let value = |line: std::io::Result<String>| {
        let line = line.expect("text");
        let (name, value) = line.split_once(": ").expect("a name and a value");
        (name.to_owned(), value.to_owned())
    };
    let lines: Vec<(String, String)> = output.lines().take(4).map(value).collect();
    let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["url", "app_access_key", "app_secret", "management_token"]);
    let client = Client::at(&lines[0].1, lines[3].1.clone());
    let sessions = client.list("/v2/sessions?limit=10&active=false");
    assert!(sessions.iter().all(|session| session["peers"].as_array().map(Vec::len) == Some(5)));
    program.kill().expect("it runs");
    program.wait().expect("it ended");
}

#[test]
fn the_program_explains_what_it_does_not_understand() {
    for (arguments, said) in [
        (vec!["--scale", "huge"], "[possible values: company, small, large]"),
        (vec!["--port"], "a value is required for '--port <N>'"),
        (vec!["--reading", "tea leaves"], "possible values: \"unset filter means both\""),
        (vec!["--port", "70000"], "70000 is not in 0..=65535"),
        (vec!["--now", "yesterday"], "invalid value 'yesterday' for '--now <TIME>'"),
        (vec!["--fast"], "unexpected argument '--fast'"),
    ] {
        let (code, _, complaint) = run(&arguments);
        assert_eq!(code, Some(2));
        assert!(complaint.contains(said) && complaint.contains("--help"), "{complaint}");
    }
}

/// Runs the program to its end: its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fake-100ms")).args(arguments).output().expect("it was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_ends_with_examples() {
    for (arguments, example) in [(&["--help"][..], "fake-100ms --port 8100"), (&["advance", "--help"], "--port <N>")] {
        let (code, said, complaints) = run(arguments);
        assert_eq!((code, complaints.as_str()), (Some(0), ""));
        assert!(said.contains(example), "{said}");
    }
    let (code, said, complaints) = run(&["--ports", "8100"]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(complaints.contains("'--port'"), "{complaints}");
}

#[test]
fn a_port_that_is_in_use_is_one_sentence() {
    let fake = Fake::start(Options::default());
    let url = fake.url();
    let port = url.rsplit(':').next().expect("a port");
    let (code, said, complaint) = run(&["--port", port]);
    assert_eq!((code, said.as_str(), complaint.lines().count()), (Some(1), "", 1), "{complaint}");
    assert!(complaint.starts_with(&format!("Port {port} is in use: ")), "{complaint}");
}

#[test]
fn an_hour_passes_in_the_workspace_that_is_running() {
    let fake = Fake::start(Options::default());
    let (url, then) = (fake.url(), fake.now());
    let port = url.rsplit(':').next().expect("a port").to_owned();
    let (code, said, complaints) = run(&["advance", "--port", &port]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert!(said.starts_with("About an hour has passed") && said.contains(" of `sessions`"), "{said}");
    assert!(fake.now() > then);
    // Nobody listens there, and no other test's workspace is given that port.
    let (code, said, complaint) = run(&["advance", "--port", "1"]);
    assert_eq!((code, said.as_str(), complaint.lines().count()), (Some(1), "", 1), "{complaint}");
    assert!(complaint.contains("There is no workspace on port"), "{complaint}");
}
