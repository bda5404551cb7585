//! `--config`: odd but legal settings, and the form that asks for them.

use chrono::TimeDelta;
use fake_100ms::{Fake, Options};
use serde_json::{Value, json};

use crate::harness::{
    Call, FAKE, Odd, SOON, assert_same_records, catalog, config, config_with, ends_within, extra_streams, fake,
    first_read, flaws_of, the_only, workspace_of_many_pages,
};
use crate::messages::{CheckStatus, FailureType};

#[test]
fn a_time_scale_that_makes_no_sense_is_refused() {
    let fake = fake(39);
    for scale in ["fast", "0", "-1", "nan", "inf", "1001", "1e300"] {
        let call =
            Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).variable("SOURCE_100MS_TIME_SCALE", scale);
        let finished = call.run();
        let transcript = finished.transcript();
        let [error] = transcript.errors()[..] else { panic!("{scale}: not one error: {}", finished.report(&fake)) };
        assert_eq!((error.failure_type, finished.status.code()), (FailureType::ConfigError, Some(1)), "{scale}");
        assert_eq!(flaws_of(&error.message), [""; 0], "{}", error.message);
        assert!(error.message.contains(&format!("`SOURCE_100MS_TIME_SCALE` is `{scale}`")), "{}", error.message);
    }
    assert_eq!(fake.total_requests(), 0);
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

#[test]
fn an_unknown_name_is_one_sentence_with_what_may_be_meant() {
    let fake = fake(1);
    let config = config_with(&fake, json!({"extra_streams": ["webhook_event"]}));
    let status = Call::check(&config).run().transcript().connection_status().cloned().expect("a status");
    let sentence = status.message.expect("a sentence");
    assert_eq!((status.status, flaws_of(&sentence)), (CheckStatus::Failed, Vec::new()), "{sentence}");
    assert!(sentence.contains("`webhook_event`") && sentence.contains("`webhook_events`"), "{sentence}");
    assert!(!sentence.contains("`live_streams`"), "all names instead of the one that is meant: {sentence}");
    for call in [Call::discover(&config), Call::read(&config, &catalog(&extra_streams(), "full_refresh"))] {
        let run = call.run();
        let transcript = run.transcript();
        let [error] = transcript.errors()[..] else { panic!("{}", run.report(&fake)) };
        assert_eq!((run.status.code(), &error.message), (Some(1), &sentence));
    }
}

/// `config` with the credentials changed.
fn with_credentials(credentials: Value) -> Value {
    config_with(&FAKE, json!({"credentials": credentials}))
}

#[test]
fn odd_configurations_work() {
    let (key, secret, url) = (FAKE.access_key(), FAKE.app_secret(), FAKE.url());
    let nulls = json!({
        "credentials": {"auth_type": null, "app_access_key": key, "app_secret": secret, "management_token": null},
        "analytics_rooms": null, "analytics_event_types": null, "recording_urls": null, "num_workers": null, "requests_per_second": null,
        "management_token": null,
    });
    let unknown = json!({
        "_limit": 1, "_page_size": {"a": [null]}, "__injected_manifest": {}, "streams": 5, "Beginning": "never",
        "credentials": {"app_access_key": key, "app_secret": secret, "refresh_token": 5, "_": null},
    });
    let blanks = json!({
        "credentials": {"app_access_key": format!(" {key}\n"), "app_secret": format!("\t{secret}\r\n")},
        "start_date": " 2018-01-01T00:00:00Z ", "api_url": format!(" {url}\n"),
    });
    let token = format!("{}\n", FAKE.token());
    let former = json!({"management_token": token, "start_date": "2018-01-01T00:00:00Z", "api_url": url});
    let one_with = |keys: Value| config_with(&FAKE, keys);
    for odd in [
        Odd::new("null for everything optional").config(one_with(nulls)),
        Odd::new("an empty list of event types").config(one_with(json!({"analytics_event_types": []}))),
        Odd::new("unknown keys and keys that begin with _").config(one_with(unknown)),
        Odd::new("blanks around all that was pasted").config(one_with(blanks)),
        Odd::new("no auth_type, app credentials")
            .config(with_credentials(json!({"app_access_key": key, "app_secret": secret}))),
        Odd::new("no auth_type, a token")
            .config(with_credentials(json!({"management_token": FAKE.token()})))
            .warns("expires"),
        Odd::new("a token at its former place").config(former).warns("expires"),
        Odd::new("a bad token at its former place, but credentials win")
            .config(one_with(json!({"management_token": "not.a.token"}))),
        Odd::new("a whole number of workers as a fraction").config(one_with(json!({"num_workers": 10.0}))),
        Odd::new("one worker").config(one_with(json!({"num_workers": 1}))),
        Odd::new("all the workers there can be").config(one_with(json!({"num_workers": 50}))),
        Odd::new("a URL with a slash at its end").config(one_with(json!({"api_url": format!("{url}/")}))),
        Odd::new("a URL in capitals").config(one_with(json!({"api_url": url.replace("http", "HTTP")}))),
        Odd::new("a URL with a name").config(one_with(json!({"api_url": url.replace("127.0.0.1", "localhost")}))),
        Odd::new("a start with fractions of a second")
            .config(one_with(json!({"start_date": "2018-01-01T00:00:00.000Z"}))),
        Odd::new("a start at the beginning of time").config(one_with(json!({"start_date": "0001-01-01T00:00:00Z"}))),
        Odd::new("a start before that").config(one_with(json!({"start_date": "0000-01-01T00:00:00Z"}))),
    ] {
        odd.run();
    }
}

/// The form, as `spec` prints it.
fn form() -> Value {
    let finished = Call::new("spec").run();
    let message: Value = serde_json::from_slice(&finished.stdout).expect("a message");
    message["spec"]["connectionSpecification"].clone()
}

/// The settings at the root that need not be given.
fn optional(form: &Value) -> Vec<String> {
    let required = form["required"].as_array().expect("a list");
    let keys = form["properties"].as_object().expect("properties").keys();
    keys.filter(|key| !required.contains(&json!(key))).cloned().collect()
}

fn read_rooms(fake: &Fake, config: &Value) {
    let transcript = Call::read(config, &catalog(&["rooms", "recordings"], "full_refresh")).run().good(fake);
    for stream in ["rooms", "recordings"] {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
}

#[test]
fn an_empty_text_in_an_optional_setting_is_as_good_as_none() {
    let fake = fake(81);
    let keys = optional(&form());
    assert!(keys.len() >= 11, "{keys:?}");
    for empty in ["", " \n"] {
        let settings: serde_json::Map<String, Value> = keys
            .iter()
            // Without these two nothing can be read.
            .filter(|key| !matches!(key.as_str(), "credentials" | "api_url"))
            .map(|key| (key.clone(), json!(empty)))
            .collect();
        read_rooms(&fake, &config_with(&fake, Value::Object(settings)));
    }
    let mut former = config(&fake);
    former["management_token"] = json!(fake.token());
    former["credentials"] = json!("");
    read_rooms(&fake, &former);
    let unused = json!({"auth_type": "", "app_access_key": fake.access_key(), "app_secret": fake.app_secret(),
        "management_token": ""});
    read_rooms(&fake, &config_with(&fake, json!({"credentials": unused})));
}

#[test]
fn an_empty_address_is_that_of_100ms() {
    let fake = fake(82);
    // A proxy that nobody runs: what is asked for never leaves this machine.
    let call = Call::check(&config_with(&fake, json!({"api_url": ""}))).variable("HTTPS_PROXY", "http://127.0.0.1:9");
    let said = String::from_utf8(call.run().stdout).expect("text");
    assert!(!said.contains("`api_url` is"), "{said}");
}

#[test]
fn the_form_takes_what_the_connector_takes() {
    let form = form();
    // As most platforms validate it: `format` is there for the calendar of the form.
    let validator = jsonschema::options().should_validate_formats(false).build(&form).expect("a schema");
    let fake = fake(83);
    for key in optional(&form) {
        if form["properties"][&key]["type"] == "string" {
            assert!(validator.is_valid(&config_with(&fake, json!({&*key: ""}))), "{key} may be empty");
        }
    }
    assert!(!validator.is_valid(&config_with(&fake, json!({"personal_data_salt": "short"}))));
    assert!(!validator.is_valid(&config_with(&fake, json!({"personal_data": "mask"}))));
    assert!(!validator.is_valid(&config_with(&fake, json!({"start_date": ""}))));
    for date in ["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.123456789Z"] {
        assert!(validator.is_valid(&config_with(&fake, json!({"start_date": date}))), "{date}");
        assert!(
            Call::check(&config_with(&fake, json!({"start_date": date})))
                .run()
                .good(&fake)
                .connection_status()
                .is_some()
        );
    }
}

#[test]
fn a_date_alone_means_its_beginning() {
    let fake = fake(84);
    let day = (fake.now() - TimeDelta::days(20)).date_naive();
    let start = day.and_hms_opt(0, 0, 0).expect("midnight").and_utc();
    let config = config_with(&fake, json!({"start_date": day.to_string()}));
    let transcript = Call::read(&config, &catalog(&["rooms"], "full_refresh")).run().good(&fake);
    let expected = fake.truth_since(start).streams["rooms"].clone();
    assert_same_records("rooms", &transcript.by_key("rooms").0, &expected);
    assert!((1..fake.truth().streams["rooms"].len()).contains(&expected.len()));
}

#[test]
fn a_time_scale_that_is_none_is_one_sentence() {
    let fake = workspace_of_many_pages(Options { seed: 79, ..Options::default() });
    for text in ["abc", "-1", "nan", "inf", "1e400", "0x1", ""] {
        let call = first_read(&fake, &["rooms"]).variable("SOURCE_100MS_TIME_SCALE", text);
        let run = ends_within(call, SOON);
        let transcript = run.transcript();
        let errors = transcript.errors();
        let is_told = errors.len() == 1 && errors[0].message.contains("SOURCE_100MS_TIME_SCALE");
        // Nothing set is no mistake.
        assert!(is_told || (text.is_empty() && errors.is_empty()), "`{text}`: {}", run.report(&fake));
        assert!(run.stderr.is_empty(), "`{text}`: {}", run.stderr);
    }
}

#[test]
fn the_address_of_the_second_version_is_taken_as_its_root() {
    let fake = workspace_of_many_pages(Options { seed: 90, ..Options::default() });
    for ending in ["/v2", "/v2/", "/"] {
        let mut config = config(&fake);
        config["api_url"] = json!(format!("{}{ending}", fake.url()));
        let transcript = Call::check(&config).run().good(&fake);
        assert_eq!(transcript.connection_status().map(|one| one.status), Some(CheckStatus::Succeeded), "{ending}");
    }
}
