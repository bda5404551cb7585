//! Secrets that came out.

use std::collections::BTreeMap;

use fake_100ms::{Fake, Fault, FaultPlan, Options, TokenPart, When};
use serde_json::{Value, json};

use super::{first_read, read, small, with_pasted_token};
use crate::harness::{Call, Finished, STREAMS, config};
use crate::messages::Transcript;

/// Every plant begins with this, and nothing else does.
const PLANT: &[u8] = b"PLANTED-";

/// What stands around each plant that came out, to see where it was.
fn leaks(text: &[u8]) -> Vec<String> {
    let places = text.windows(PLANT.len()).enumerate().filter(|(_, window)| *window == PLANT);
    let around = |at: usize| {
        let begin = at.saturating_sub(60);
        String::from_utf8_lossy(&text[begin..(at + 12).min(text.len())]).replace('\n', " ")
    };
    places.map(|(at, _)| around(at)).collect()
}

/// The catalog as `discover` finds it: with every column that the answers have.
fn discovered(fake: &Fake) -> (Value, Finished) {
    let run = Call::discover(&config(fake)).run();
    let transcript = run.transcript();
    let streams = &transcript.catalog().streams;
    let entry = |stream: &crate::messages::Stream| {
        json!({"stream": {"name": stream.name, "json_schema": stream.json_schema}, "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite"})
    };
    (json!({"streams": streams.iter().map(entry).collect::<Vec<_>>()}), run)
}

#[test]
fn no_secret_comes_out_wherever_it_stands() {
    let fake = small(Options { seed: 101, ..Options::default() });
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::PlantSecrets));
    let (catalog, run) = discovered(&fake);
    assert_eq!(leaks(&run.stdout), Vec::<String>::new(), "discover");
    let run = Call::read(&config(&fake), &catalog).argument("--debug").run();
    let transcript = run.transcript();
    let planted = fake.secrets().iter().filter(|secret| secret.contains("-everywhere-")).count();
    assert!(planted > 10_000, "only {planted} were planted");
    for stream in STREAMS {
        assert!(transcript.records_of(stream).count() > 0, "{stream} was not read: {}", run.report(&fake));
    }
    let mut leaked = leaks(&run.stdout);
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for leak in leaked.drain(..) {
        *places.entry(without_digits(&leak)).or_default() += 1;
    }
    assert!(places.is_empty(), "{} of {planted} came out: {places:#?}", places.values().sum::<usize>());
    assert_eq!(leaks(run.stderr.as_bytes()), Vec::<String>::new());
}

fn without_digits(text: &str) -> String {
    let tail: Vec<char> = text.chars().rev().take(52).collect();
    tail.into_iter().rev().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
}

#[test]
fn a_secret_beside_the_items_of_a_map_stays_there() {
    let fake = small(Options { seed: 105, gzip: false, ..Options::default() });
    let secret = r#"{"streamKey":{"value":"PLANTED-1","more":["PLANTED-2"]},"credentials":{"a":"PLANTED-3"}}"#;
    for (route, key, stream) in [
        ("/v2/sessions", "peers", "sessions"),
        ("/v2/sessions", "peers", "analytics_events"),
        ("/v2/active-rooms/{room_id}/peers", "peers", "active_room_peers"),
        ("/v2/templates/{id}/destinations", "rtmpDestinations", "templates_destinations"),
        ("/v2/templates/{id}/recordings", "roles", "templates_destinations"),
    ] {
        let planted = Fault::SetMember { key: key.to_owned(), json: secret.to_owned() };
        fake.set_faults(FaultPlan::new().on(route, When::Always, planted));
        let (catalog, found) = discovered(&fake);
        assert_eq!(leaks(&found.stdout), Vec::<String>::new(), "discover, {route}");
        let streams = catalog["streams"].as_array().into_iter().flatten();
        let catalog = json!({"streams": streams.filter(|one| one["stream"]["name"] == stream).collect::<Vec<_>>()});
        let run = Call::read(&config(&fake), &catalog).argument("--debug").run();
        assert!(run.transcript().records_of(stream).count() > 0, "{stream} was not read: {}", run.report(&fake));
        assert_eq!(leaks(&run.stdout), Vec::<String>::new(), "{stream}, {route}");
    }
}

#[test]
fn ordinary_data_stays_as_it_is() {
    let fake = small(Options { seed: 102, gzip: false, ..Options::default() });
    let set = |key: &str, value: &Value| Fault::SetMember { key: key.to_owned(), json: value.to_string() };
    let roles = json!({"token": {"name": "token", "priority": 1}, "secret": {"name": "secret", "priority": 2}});
    let metadata = json!(r#"{"token":"blue","password":"is the name of the game"}"#);
    let plain = [
        ("/v2/rooms", "rooms", "key", json!("abc-defg-hij"), "key"),
        ("/v2/rooms", "rooms", "name", json!("password: token=secret"), "name"),
        ("/v2/rooms", "rooms", "description", json!("https://example.com/page?lesson=7#top"), "description"),
        ("/v2/templates", "templates", "roles", roles, "roles"),
        ("/v2/templates", "templates", "name", json!("token"), "name"),
        ("/v2/sessions", "sessions", "metadata", metadata, "peers"),
        ("/v2/sessions", "sessions", "role", json!("token"), "peers"),
        ("/v2/analytics/events", "analytics_events", "user_name", json!("Secret Santa"), "data"),
        ("/v2/analytics/events", "analytics_events", "client_time", json!("https://a.example/b?key_frame=1"), "data"),
    ];
    for (route, stream, key, value, column) in plain {
        fake.set_faults(FaultPlan::new().on(route, When::Always, set(key, &value)));
        let transcript = first_read(&fake, &[stream]).run().good(&fake);
        let has = |holder: &Value| {
            holder == &value || holder[key] == value || {
                holder.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| one[key] == value))
            }
        };
        let with: Vec<&Value> = transcript.records().map(|record| &record.data[column]).collect();
        let unlike: Vec<&&Value> = with.iter().filter(|holder| !has(holder)).collect();
        // Some sessions have no peers, and joins and leaves are no events of the API.
        assert!(with.len() - unlike.len() > 10, "{stream}.{column}: {value} is not there, but {:?}", unlike.first());
        assert!(unlike.iter().all(|holder| !holder.to_string().contains("****")), "{stream}.{column}: {unlike:?}");
    }
}

/// Whether any part of one of the secrets came out that is long enough to help somebody.
fn tells(run: &Finished, secrets: &[String]) -> Option<String> {
    const PART: usize = 12;
    let text = [run.stdout.as_slice(), run.stderr.as_bytes()].concat();
    let known: std::collections::HashSet<&[u8]> = text.windows(PART).collect();
    secrets.iter().find_map(|secret| {
        let part = secret.as_bytes().windows(PART).find(|part| known.contains(part))?;
        Some(String::from_utf8_lossy(part).into_owned())
    })
}

/// The tokens that were sent, and the app secret.
fn tokens(fake: &Fake) -> Vec<String> {
    let is_token = |secret: &String| !secret.starts_with("PLANTED-");
    fake.secrets().into_iter().filter(is_token).collect()
}

#[test]
fn a_token_that_the_server_repeats_comes_out_in_no_part() {
    let parts = [TokenPart::Whole, TokenPart::FarToTheRight, TokenPart::Beginning, TokenPart::Middle];
    for part in parts {
        for status in [400, 401, 403, 404, 422, 500] {
            let fake = small(Options { seed: 103, ..Options::default() });
            fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::EchoToken { status, part }));
            for config in [config(&fake), with_pasted_token(&fake)] {
                for call in [read(&config, &["rooms"], &BTreeMap::new()), Call::check(&config), Call::discover(&config)]
                {
                    let run = call.run();
                    assert_eq!(tells(&run, &tokens(&fake)), None, "{part:?} with {status}: {}", run.arguments[0]);
                }
            }
        }
    }
}

#[test]
fn a_token_as_an_id_or_as_a_page_token_comes_out_in_no_part() {
    for fault in [Fault::TokenAsId, Fault::TokenAsPageToken] {
        for (route, stream) in [
            ("/v2/sessions", "sessions"),
            ("/v2/rooms", "rooms"),
            ("/v2/templates", "template_settings"),
            ("/v2/recordings", "recordings"),
            ("/v2/analytics/events", "analytics_events"),
        ] {
            let fake = small(Options { seed: 104, ..Options::default() });
            fake.set_faults(FaultPlan::new().on(route, When::Always, fault.clone()));
            for config in [config(&fake), with_pasted_token(&fake)] {
                let run =
                    super::ends_within(read(&config, &[stream], &BTreeMap::new()), std::time::Duration::from_secs(60));
                assert_eq!(tells(&run, &tokens(&fake)), None, "{fault:?} in {route}: {}", run.report(&fake));
                assert_no_end_as_if_well(&run.transcript(), stream, &fault);
            }
        }
    }
}

/// A page token that is a secret cannot be asked with, nor saved: the stream ends and says why.
fn assert_no_end_as_if_well(transcript: &Transcript, stream: &str, fault: &Fault) {
    use crate::messages::Status;
    if *fault == Fault::TokenAsPageToken {
        assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{stream}");
        let errors = transcript.errors();
        assert!(
            errors.iter().any(|error| error.message.contains("repeats one of your secrets")),
            "{stream}: {errors:?}"
        );
    }
}
