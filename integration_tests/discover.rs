//! `discover`: the catalog, with and without the API.

use fake_100ms::{Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, config, config_with, every_stream, extra_config, fake, flaws_of, nowhere, offered_streams, speaks_of_a_sync,
    the_only, without_seconds,
};
use crate::messages::{FailureType, Level, Transcript};

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

// What is on offer.

#[test]
fn discover_offers_them_only_when_asked() {
    let fake = fake(1);
    let catalog_of = |config: &Value| {
        let discovered = Call::discover(config).run();
        discovered.good(&fake);
        discovered.stdout
    };
    let usual = catalog_of(&config(&fake));
    assert_eq!(usual, catalog_of(&config_with(&fake, json!({"extra_streams": []}))), "an empty list changes something");
    let names = |stdout: &[u8]| {
        Transcript::parse(stdout).catalog().streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&usual), offered_streams());
    let one = catalog_of(&config_with(&fake, json!({"extra_streams": ["peer_quality"]})));
    assert_eq!(names(&one), [offered_streams().as_slice(), &["peer_quality"]].concat());
    let all = catalog_of(&extra_config(&fake));
    assert_eq!(names(&all), every_stream());
    // The eight are the same with and without the others.
    let streams = String::from_utf8(usual).expect("the output is UTF-8");
    let streams = streams.trim_end().strip_suffix("]}}").expect("a list of streams ends the catalog");
    assert!(String::from_utf8(all).unwrap().starts_with(streams), "the eight are offered in another way");
}
