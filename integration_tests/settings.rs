//! Settings as forms and templates of settings leave them, and times in the spellings of other programs.

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{Call, assert_same_records, catalog, config, config_with, fake, states};

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

/// Half past five in the morning of India, in the spellings of other programs.
fn spellings(moment: DateTime<Utc>) -> Vec<String> {
    let india = moment + TimeDelta::minutes(330);
    let written = |moment: DateTime<Utc>, zone: &str| format!("{}{zone}", moment.format("%Y-%m-%dT%H:%M:%S%.6f"));
    let go = |moment: DateTime<Utc>, zone: &str| format!("{}{zone}", moment.format("%Y-%m-%d %H:%M:%S%.9f"));
    vec![
        written(moment, "+0000"),
        written(moment, "+00"),
        written(moment, "-0000"),
        written(india, "+0530"),
        written(india, "+05:30"),
        go(moment, " +0000 UTC"),
        go(india, " +0530 IST"),
        go(india, " +0530 IST m=+1.000000001"),
        go(moment, " UTC"),
    ]
}

#[test]
fn offsets_without_a_colon_are_times_in_states() {
    let fake = fake(85);
    let mut times: Vec<DateTime<Utc>> = fake.truth().streams["rooms"]
        .values()
        .map(|room| room["updated_at"].as_str().expect("a time").parse().expect("a time"))
        .collect();
    times.sort_unstable();
    let cursor = times[times.len() / 2];
    for spelling in spellings(cursor) {
        let state = states([(&"rooms".to_owned(), &json!({"updated_at": spelling}))]);
        let call = Call::read(&config(&fake), &catalog(&["rooms"], "incremental")).file("state", &state);
        let transcript = call.run().good(&fake);
        // A sync goes ten minutes back.
        let expected = fake.truth_since(cursor - TimeDelta::minutes(10)).streams["rooms"].clone();
        assert_same_records(&spelling, &transcript.by_key("rooms").0, &expected);
    }
}

#[test]
fn offsets_without_a_colon_are_times_in_answers() {
    let fake = fake(86);
    let moment: DateTime<Utc> = "2025-06-01T10:00:00.25Z".parse().expect("a time");
    for spelling in spellings(moment) {
        let item = |id: &str, created_at: &str| format!(r#"{{"id":"{id}","created_at":"{created_at}"}}"#);
        let page = format!(r#"{{"limit":100,"data":[{}],"last":""}}"#, item("a", &spelling));
        fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::Says(page)));
        let transcript = Call::read(&config(&fake), &catalog(&["rooms"], "full_refresh")).run().good(&fake);
        for record in transcript.records() {
            assert_eq!(record.data["created_at"], "2025-06-01T10:00:00.250000Z", "{spelling}");
        }
        assert!(transcript.records().count() > 0);
    }
}
