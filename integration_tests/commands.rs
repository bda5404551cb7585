//! `spec`, `check` and `discover` as their callers see them, and one record of every stream.
//!
//! What people and platforms rely on stands in snapshots, to be reviewed like code.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use chrono::{TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, TokenClaims, When};
use serde_json::{Map, Value, json};

use crate::bad_input::flaws_of;
use crate::harness::{Call, Finished, STREAMS, catalog, config, config_with, fake, requests_by_route};
use crate::messages::{CheckStatus, FailureType, Level, Message, Status, Transcript};

/// What `check` asks, in this order.
const LISTS: [&str; 4] = ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings"];

/// The JSON of the only line of `type` in what a run wrote.
fn the_only(finished: &Finished, kind: &str) -> Value {
    let text = std::str::from_utf8(&finished.stdout).expect("the output is UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    let found: Vec<Value> = lines.filter(|line| line["type"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {text}");
    found.into_iter().next().unwrap()
}

#[test]
fn the_spec_is_reviewed() {
    let finished = Call::new("spec").run();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""));
    assert_eq!(finished.transcript().messages.len(), 1, "`spec` says more than the spec");
    insta::assert_json_snapshot!("spec", the_only(&finished, "SPEC"));
    let in_cloud = Call::new("spec").variable("DEPLOYMENT_MODE", "CLOUD").argument("--debug").run();
    assert_eq!(in_cloud.stdout, finished.stdout, "the form depends on where it is shown");
}

#[test]
fn the_catalog_is_reviewed() {
    let fake = fake(1);
    let finished = Call::discover(&config(&fake)).run();
    let transcript = finished.good(&fake);
    assert_eq!(transcript.messages.len(), 1, "{}", finished.report(&fake));
    insta::assert_json_snapshot!("catalog", brief(the_only(&finished, "CATALOG")));
}

/// The catalog with each schema as `column: type`; `schemas/` holds them whole.
fn brief(mut catalog: Value) -> Value {
    for stream in catalog["catalog"]["streams"].as_array_mut().expect("a list of streams") {
        let schema = stream["json_schema"].take();
        let properties = schema["properties"].as_object().expect("a schema has properties");
        let types = properties.iter().map(|(column, schema)| (column.clone(), type_of(schema).into()));
        stream["json_schema"] = Value::Object(types.collect());
    }
    catalog
}

fn type_of(schema: &Value) -> String {
    let kind = schema["type"].to_string().replace(['[', ']', '"'], "").replace(',', " or ");
    match schema["format"].as_str() {
        Some(format) => format!("{kind}, {format}"),
        None => kind,
    }
}

#[test]
fn a_record_of_every_stream_is_reviewed() {
    let fake = fake(1);
    let transcript = Call::read(&config(&fake), &catalog(&STREAMS, "full_refresh")).run().good(&fake);
    let smallest_key = |stream: &str| {
        let (records, _) = transcript.by_key(stream);
        let telling = records.into_values().find(is_telling).expect("a telling record");
        (stream.to_owned(), telling)
    };
    let records: Map<String, Value> = STREAMS.into_iter().map(smallest_key).collect();
    let text = serde_json::to_string(&records).unwrap().replace(&fake.url(), "http://fake");
    assert!(transcript.records().all(|record| (Utc::now().timestamp_millis() - record.emitted_at).abs() < 600_000));
    insta::assert_json_snapshot!("records", serde_json::from_str::<Value>(&text).unwrap());
}

/// Not an odd one: a session with a few peers, a recording with a few assets and a file.
fn is_telling(record: &Value) -> bool {
    let has_few = |column: &str| record[column].as_array().is_none_or(|items| (1..=3).contains(&items.len()));
    let has = |column: &str| record.get(column).is_none_or(|value| !value.is_null());
    has_few("peers") && has_few("recording_assets") && has("url") && has("duration")
}

/// What `check` answers, with its exit code.
fn answer(finished: &Finished) -> (CheckStatus, String) {
    let transcript = finished.transcript();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""));
    assert!(transcript.errors().is_empty(), "{:?}", transcript.errors());
    let status = transcript.connection_status().expect("a CONNECTION_STATUS");
    (status.status, status.message.clone().unwrap_or_default())
}

#[test]
fn good_credentials_are_proven_with_one_small_request_a_list() {
    let fake = fake(2);
    let token = json!({"credentials": {"auth_type": "management_token", "management_token": week_long(&fake)}});
    for config in [config(&fake), config_with(&fake, token)] {
        fake.reset_requests();
        let finished = Call::check(&config).run();
        assert_eq!(answer(&finished), (CheckStatus::Succeeded, String::new()));
        assert_eq!(finished.good(&fake).messages.len(), 1, "{}", finished.report(&fake));
        let requests = requests_by_route(&fake);
        assert_eq!(
            requests,
            LISTS.iter().map(|list| ((*list).to_owned(), json!(1))).collect::<serde_json::Map<_, _>>()
        );
        assert!(fake.request_log().iter().all(|request| request.target.contains("limit=10")));
    }
}

fn week_long(fake: &Fake) -> String {
    fake.token_with(TokenClaims { expires_at: Utc::now() + TimeDelta::days(7), ..TokenClaims::default() })
}

/// Checks that the answer is FAILED with one sentence to act on, which is returned.
fn refused(finished: &Finished) -> String {
    let (status, sentence) = answer(finished);
    assert_eq!(status, CheckStatus::Failed);
    assert_eq!(flaws_of(&sentence), [""; 0], "{sentence}");
    sentence
}

#[test]
fn check_names_the_endpoint_that_refused_and_what_to_do() {
    let fake = fake(3);
    let mut lines = Vec::new();
    let mut note = |case: &str, endpoint: &str, finished: &Finished| {
        let sentence = refused(finished);
        assert!(sentence.contains(&format!("`{endpoint}`")), "{case}: {sentence}");
        lines.push(format!("{case}\n    {}", without_clock(&sentence)));
    };
    let app = |key: &str, secret: &str| {
        config_with(&fake, json!({"credentials": {"app_access_key": key, "app_secret": secret}}))
    };
    let foreign = fake.token_with(TokenClaims { secret: Some("of-somebody-else".into()), ..TokenClaims::default() });
    let pasted = config_with(&fake, json!({"credentials": {"management_token": foreign}}));
    note("a wrong secret", LISTS[0], &Call::check(&app(&fake.access_key(), "of-somebody-else")).run());
    note("a wrong access key", LISTS[0], &Call::check(&app("of-somebody-else", &fake.app_secret())).run());
    note("a token of another workspace", LISTS[0], &Call::check(&pasted).run());
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Forbidden));
    note("no permission at all", LISTS[0], &Call::check(&config(&fake)).run());
    for (status, says) in [(404, "does not know"), (301, "redirect")] {
        fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Status(status)));
        let finished = Call::check(&config(&fake)).run();
        assert!(refused(&finished).contains(says), "{}", refused(&finished));
        note(&format!("another server ({status})"), LISTS[0], &finished);
    }
    insta::assert_snapshot!("check_refused", lines.join("\n"));
}

#[test]
fn a_list_that_may_not_be_read_is_worth_a_warning_while_others_may() {
    let fake = fake(3);
    let mut lines = Vec::new();
    for list in LISTS {
        fake.set_faults(FaultPlan::new().on(list, When::Always, Fault::Forbidden));
        let finished = Call::check(&config(&fake)).run();
        assert_eq!(answer(&finished), (CheckStatus::Succeeded, String::new()));
        let transcript = finished.good(&fake);
        let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{}", finished.report(&fake)) };
        assert!(warning.contains(&format!("`{list}` (403")) && !warning.contains("deselect"), "{warning}");
        lines.push(format!("{list}\n    {}", without_clock(warning)));
    }
    insta::assert_snapshot!("check_forbidden", lines.join("\n"));
}

/// What time it was is not part of a sentence's review.
fn without_clock(sentence: &str) -> String {
    let cut = sentence
        .split_once(", this machine's ")
        .and_then(|(before, after)| Some((before, after.split_once(" (UTC)")?.1)));
    cut.map_or(sentence.to_owned(), |(before, after)| format!("{before}, this machine's … (UTC){after}"))
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// How long something took is not part of a sentence's review.
fn without_seconds(sentence: &str) -> String {
    let cut = sentence.split_once(" times in ").and_then(|(before, after)| Some((before, after.split_once(" s")?.1)));
    cut.map_or(sentence.to_owned(), |(before, after)| format!("{before} times in … s{after}"))
}

#[test]
fn what_check_cannot_tell_is_an_error_and_no_status() {
    let fake = fake(4);
    let (mut lines, mut flaws) = (Vec::new(), Vec::new());
    let mut note = |case: &str, finished: &Finished| {
        let transcript = finished.transcript();
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(1), ""), "{case}");
        assert!(transcript.connection_status().is_none(), "{case}: a status although it cannot know");
        let [error] = transcript.errors()[..] else { panic!("{case}: not one error") };
        assert_eq!(error.failure_type, FailureType::TransientError, "{case}");
        let sentence = without_seconds(&error.message);
        assert!(sentence.contains("`/v2/sessions`") && sentence.contains("3 times"), "{case}: {sentence}");
        flaws.extend(flaws_of(&sentence).into_iter().map(|flaw| format!("{case}: {flaw}: {sentence}")));
        flaws.extend(speaks_of_a_sync(&sentence));
        lines.push(format!("{case}\n    {sentence}"));
    };
    note("nobody listens", &Call::check(&config_with(&fake, json!({"api_url": nowhere()}))).run());
    for (case, fault) in [
        ("503", Fault::Status(503)),
        ("500", Fault::Status(500)),
        ("cut in the middle", Fault::TruncatedBody),
        ("a page of HTML", Fault::HtmlPage),
        ("nothing at all", Fault::EmptyBody),
    ] {
        fake.set_faults(FaultPlan::new().on("*", When::Always, fault));
        note(case, &Call::check(&config(&fake)).run());
    }
    insta::assert_snapshot!("check_cannot_tell", lines.join("\n"));
    assert_eq!(flaws, [""; 0]);
}

/// Whoever tests or discovers has no sync that could go on.
fn speaks_of_a_sync(sentence: &str) -> Option<String> {
    sentence.contains("the next sync").then(|| format!("nothing is being synced: {sentence}"))
}

#[test]
fn a_bad_moment_does_not_fail_the_check() {
    let fake = fake(5);
    fake.set_faults(FaultPlan::new().on("*", When::First(2), Fault::Status(503)));
    assert_eq!(answer(&Call::check(&config(&fake)).run()), (CheckStatus::Succeeded, String::new()));
}

#[test]
fn discover_answers_without_the_api_too() {
    let fake = fake(6);
    let usual = Call::discover(&config(&fake)).run();
    let (mut lines, mut flaws) = (Vec::new(), Vec::new());
    let mut note = |case: &str, config: &Value| {
        let finished = Call::discover(config).run();
        let transcript = finished.transcript();
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""), "{case}");
        assert!(transcript.errors().is_empty(), "{case}: {:?}", transcript.errors());
        assert_eq!(the_only(&finished, "CATALOG"), the_only(&usual, "CATALOG"), "{case}: not the built-in schemas");
        let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{case}: not one warning") };
        flaws.extend(speaks_of_a_sync(warning));
        // Whichever endpoint answered first is the one that is named.
        lines.push(format!("{case}\n    {}", without_seconds(warning)));
    };
    note("nobody listens", &config_with(&fake, json!({"api_url": nowhere()})));
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Status(503)));
    note("100ms is down", &config(&fake));
    insta::assert_snapshot!("discover_without_api", lines.join("\n"));
    assert_eq!(flaws, [""; 0]);
}

#[test]
fn a_read_without_a_network_says_so_once_and_soon() {
    let fake = fake(6);
    let config = config_with(&fake, json!({"api_url": nowhere()}));
    let finished = Call::read(&config, &catalog(&STREAMS, "incremental")).run();
    let transcript = finished.transcript();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(1), ""));
    let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(&fake)) };
    assert_eq!(error.failure_type, FailureType::TransientError);
    // Four tries are over within seconds, and not after a minute like those of a host that has answered.
    assert!(error.message.contains("There is no connection") && error.message.contains(" 4 times "), "{error:?}");
    let first = transcript.logs(Level::Info).iter().filter(|line| line.contains("trying again")).count();
    assert_eq!(first, 1, "{:?}", transcript.logs(Level::Info));
    assert!(STREAMS.iter().all(|stream| transcript.statuses_of(stream).last() == Some(&Status::Incomplete)));
}

#[test]
fn discover_with_credentials_that_are_refused_is_an_error() {
    let fake = fake(6);
    let stranger =
        config_with(&fake, json!({"credentials": {"app_access_key": "a", "app_secret": "of-somebody-else"}}));
    let finished = Call::discover(&stranger).run();
    let transcript = finished.transcript();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(1), ""));
    let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(&fake)) };
    assert_eq!(error.failure_type, FailureType::ConfigError);
    assert_eq!(flaws_of(&error.message), [""; 0]);
    assert!(error.message.contains("app access key and app secret"), "{}", error.message);
    assert_eq!(transcript.messages.len(), 1, "{}", finished.report(&fake));
}

#[test]
fn one_list_that_cannot_be_sampled_costs_one_warning() {
    let fake = fake(7);
    let usual = Call::discover(&config(&fake)).run();
    fake.set_faults(FaultPlan::new().on("/v2/recordings", When::Always, Fault::Forbidden));
    let finished = Call::discover(&config(&fake)).run();
    let transcript = finished.good(&fake);
    let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{}", finished.report(&fake)) };
    assert!(warning.contains("`recordings`") && warning.contains("403"), "{warning}");
    assert_eq!(the_only(&finished, "CATALOG"), the_only(&usual, "CATALOG"));
}

#[test]
fn a_token_that_ends_soon_is_worth_a_warning() {
    let fake = fake(8);
    let with = |lifetime: TimeDelta| {
        let token = fake.token_with(TokenClaims { expires_at: Utc::now() + lifetime, ..TokenClaims::default() });
        config_with(&fake, json!({"credentials": {"auth_type": "management_token", "management_token": token}}))
    };
    let warnings =
        |transcript: Transcript| transcript.logs(Level::Warn).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let rooms = catalog(&["rooms"], "full_refresh");
    let soon = with(TimeDelta::days(3) - TimeDelta::minutes(1));
    let day = (Utc::now() + TimeDelta::days(3) - TimeDelta::minutes(1)).format("%-d %B %Y at ").to_string();
    for call in [Call::check(&soon), Call::discover(&soon), Call::read(&soon, &rooms)] {
        let [warning] = &warnings(call.run().good(&fake))[..] else { panic!("not one warning") };
        let is_clear =
            warning.starts_with("The management token expires on ") && warning.contains("use app credentials");
        assert!(is_clear && warning.contains(&day), "{warning}");
    }
    let later = with(TimeDelta::days(3) + TimeDelta::minutes(5));
    for call in [Call::check(&later), Call::read(&later, &rooms), Call::check(&config(&fake))] {
        assert_eq!(warnings(call.run().good(&fake)), [""; 0]);
    }
}

#[test]
fn help_and_version_are_for_people() {
    for arguments in [["--help"].as_slice(), &["-h"], &["read", "--help"]] {
        let mut words = arguments.iter();
        let call = Call::new(words.next().expect("a first word"));
        let finished = words.fold(call, |call, word| call.argument(*word)).run();
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let expected: &[&str] = match arguments.len() {
            1 => &["spec", "check", "discover", "read", "--debug"],
            _ => &["--config <FILE>", "--catalog <FILE>", "--state <FILE>", "--debug"],
        };
        assert!(expected.iter().all(|word| text.contains(word)), "{text}");
    }
    let version = Call::new("--version").run();
    assert_eq!(version.status.code(), Some(0));
    // With commit and day, when the build knows them: "source-100ms 0.1.0 (1a2b3c4, 2026-01-31)".
    let text = String::from_utf8(version.stdout).expect("text");
    let rest = text.strip_prefix(&format!("source-100ms {}", env!("CARGO_PKG_VERSION"))).expect("name and version");
    let source = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let is_day = |day: &str| day.len() == 10 && day.bytes().filter(|byte| *byte == b'-').count() == 2;
    assert!(rest == "\n" || source.split(", ").last().is_some_and(is_day), "{text}");
}

/// Runs the binary inside `directory`, with arguments that name files there.
#[test]
fn another_way_to_hand_records_over_is_refused() {
    let fake = fake(58);
    for (name, wanted) in [("DATA_CHANNEL_MEDIUM", "SOCKET"), ("DATA_CHANNEL_FORMAT", "PROTOBUF")] {
        let read = || Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh"));
        let finished = read().variable("DATA_CHANNEL_MEDIUM", "SOCKET").variable(name, wanted).run();
        let transcript = finished.transcript();
        let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(&fake)) };
        assert_eq!((error.failure_type, finished.status.code()), (FailureType::ConfigError, Some(1)));
        let finished = read().variable(name, wanted).run();
        let message = finished.transcript().errors()[0].message.clone();
        assert!(message.contains(&format!("`{name}` is `{wanted}`")), "{message}");
        assert_eq!(flaws_of(&message), [""; 0], "{message}");
    }
    assert_eq!(fake.total_requests(), 0);
    let usual = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh"));
    usual.variable("DATA_CHANNEL_MEDIUM", "STDIO").variable("DATA_CHANNEL_FORMAT", "JSONL").run().good(&fake);
}

fn run_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_source-100ms"));
    command.args(arguments).current_dir(directory).env_clear().output().expect("the binary starts")
}

#[test]
fn the_working_directory_is_not_written_to() {
    let fake = fake(9);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files =
        [("config.json", config(&fake)), ("catalog.json", catalog(&STREAMS, "incremental")), ("state.json", json!([]))];
    for (name, content) in &files {
        std::fs::write(directory.path().join(name), content.to_string()).expect("a temporary file");
    }
    let config = ["--config", "config.json"];
    let read = ["--catalog", "catalog.json", "--state", "state.json", "--debug"];
    for (arguments, last) in [
        ([["spec"].as_slice(), &[], &[]], "SPEC"),
        ([&["check"], &config, &[]], "CONNECTION_STATUS"),
        ([&["discover"], &config, &[]], "CATALOG"),
        ([&["read"], &config, &read], "LOG"),
    ] {
        let output = run_in(directory.path(), &arguments.concat());
        let transcript = Transcript::parse(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {:?}", transcript.errors());
        assert_eq!(kind(transcript.messages.last().expect("a message")), last, "{arguments:?}");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["catalog.json", "config.json", "state.json"]);
    for (name, content) in files {
        assert_eq!(std::fs::read_to_string(directory.path().join(name)).unwrap(), content.to_string());
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Record { .. } => "RECORD",
        Message::State { .. } => "STATE",
        Message::Log { .. } => "LOG",
        Message::Trace { .. } => "TRACE",
        Message::Spec { .. } => "SPEC",
        Message::ConnectionStatus { .. } => "CONNECTION_STATUS",
        Message::Catalog { .. } => "CATALOG",
    }
}
