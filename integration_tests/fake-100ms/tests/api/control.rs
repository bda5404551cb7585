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
    program.args(["--sessions", "25", "--peers-per-session", "3", "--reading", "peers as array"]);
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
    assert!(sessions.iter().all(|session| session["peers"].as_array().map(Vec::len) == Some(3)));
    program.kill().expect("it runs");
    program.wait().expect("it ended");
}

#[test]
fn the_program_explains_what_it_does_not_understand() {
    for (arguments, said) in [
        (vec!["--scale", "huge"], "`--scale` is `huge`: expected `small` or `large`"),
        (vec!["--port"], "`--port` needs a value"),
        (vec!["--reading", "tea leaves"], "expected one of `unset filter means both`"),
        (vec!["--fast"], "`--fast` is unknown"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_fake-100ms")).args(arguments).output().expect("it was built");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        assert!(text.contains(said) && text.contains("usage: "), "{text}");
    }
}
