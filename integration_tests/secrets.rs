//! Secrets by their names, places and forms; and what only looks like one.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Scale, TokenPart, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, Finished, SALT, catalog, config, config_with, ends_within, extra_config, extra_streams, fake, first_read,
    offered_streams, read_from_states, read_of_extra_streams, read_with_state, settings, states, with_pasted_token,
    workspace_of_many_pages,
};
use crate::messages::{Status, Stream, Transcript};
use crate::platform::assert_no_secret;

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

// Secrets.

#[test]
fn no_planted_secret_is_printed() {
    let fake = fake(15);
    let config = extra_config(&fake);
    for call in
        [Call::check(&config), Call::discover(&config), Call::read(&config, &catalog(&extra_streams(), "full_refresh"))]
    {
        assert_no_secret(&call.argument("--debug").run(), &fake.secrets());
    }
    let transcript = read_of_extra_streams(&fake, &["external_streams"]);
    let urls = transcript.records().filter_map(|record| record.data["rtmp_urls"].as_array()).flatten();
    let urls: Vec<&str> = urls.map(|url| url.as_str().expect("a URL")).collect();
    let is_masked = |url: &&str| url.starts_with("rtmp") && url.ends_with("/**********");
    assert!(urls.len() > 20 && urls.iter().all(is_masked), "{urls:?}");
    let events = read_of_extra_streams(&fake, &["webhook_events"]);
    let hosts: BTreeSet<_> =
        events.records().map(|event| event.data["webhook_url"].as_str().expect("a host")).collect();
    assert!(hosts.len() > 2 && hosts.iter().all(|host| !host.contains(['/', '@', '?', ':'])), "{hosts:?}");
}

/// Stands for a secret; nothing else holds it.
const PLANTED: &str = "PLANTED-here";

/// `stream`, read with `fault` in every answer of `route`.
fn read(fake: &Fake, stream: &str, route: &str, fault: Fault) -> (Transcript, String) {
    fake.set_faults(FaultPlan::new().on(route, When::Always, fault));
    let config = config_with(fake, json!({"extra_streams": ["webhook_events"]}));
    let run = Call::read(&config, &catalog(&[stream], "full_refresh")).argument("--debug").run();
    let transcript = run.good(fake);
    assert!(transcript.records().count() > 0, "{}", run.report(fake));
    (transcript, String::from_utf8(run.stdout).unwrap())
}

fn set(key: &str, value: &Value) -> Fault {
    Fault::SetMember { key: key.to_owned(), json: value.to_string() }
}

fn small() -> Fake {
    let counts =
        Counts { rooms: 14, sessions: 30, recordings: 20, templates: 6, webhook_events: 40, ..Counts::default() };
    Fake::start(Options { seed: 301, gzip: false, scale: Scale::Custom(counts), ..Options::default() })
}

#[test]
fn credentials_are_masked_under_every_name_and_in_texts() {
    let fake = small();
    let in_text = |value: Value| Value::from(value.to_string());
    for member in [
        json!({"serviceAccountJson": PLANTED}),
        json!({"service_account": {"client_email": "a@b.c", "private_key": PLANTED}}),
        json!({"secretField": PLANTED}),
        json!({"secret_of_the_webhook": [PLANTED]}),
        json!({"ingest": {"url": "https://h/x", "key": PLANTED}}),
        json!({"streams": [{"key": PLANTED}]}),
        json!({"config": in_text(json!({"credentials": {"key": PLANTED}}))}),
        json!({"config": in_text(json!({"deep": [{"apiKey": PLANTED}]}))}),
        json!({"config": in_text(json!({"more": in_text(json!({"clientSecret": PLANTED}))}))}),
        json!({"config": format!("could not use {}", json!({"password": PLANTED}))}),
        json!({"config": format!("{{\"n\":1,\"secretKey\":\"{PLANTED}")}),
        json!({"roomCode": PLANTED}),
    ] {
        for (stream, route, column) in
            [("templates", "/v2/templates", "plugins"), ("analytics_events", "/v2/analytics/events", "error")]
        {
            let (_, output) = read(&fake, stream, route, set(column, &member));
            assert!(output.contains("**********") && !output.contains(PLANTED), "{stream}: {member}");
        }
    }
}

#[test]
fn a_room_code_in_a_link_is_masked_like_a_token() {
    let fake = small();
    for (link, masked) in [
        ("https://ada.app.100ms.live/meeting/abc-defg-hij", "https://ada.app.100ms.live/meeting/**********"),
        ("https://ada.app.100ms.live/preview/abc-defg-hij?x=1", "https://ada.app.100ms.live/preview/**********?x=1"),
        (
            "https://ada.app.100ms.live/streaming/meeting/abc-defg-hij",
            "https://ada.app.100ms.live/streaming/**********/**********",
        ),
        ("https://class.example/meeting/abc-defg-hij", "https://class.example/meeting/**********"),
        ("https://ada.app.100ms.live/abc-defg-hij#top", "https://ada.app.100ms.live/**********#top"),
        (
            "https://ada.app.100ms.live/preview/665f1c2a9b665f1c2a9b665f/host",
            "https://ada.app.100ms.live/preview/665f1c2a9b665f1c2a9b665f/host",
        ),
    ] {
        let (transcript, _) = read(&fake, "recordings", "/v2/recordings", set("meeting_url", &link.into()));
        let links: Vec<&Value> = transcript.records().map(|record| &record.data["meeting_url"]).collect();
        assert!(links.iter().filter(|link| !link.is_null()).all(|link| **link == masked), "{link}: {links:?}");
        assert!(links.contains(&&json!(masked)), "{link}");
        let text = format!("join at {link} now");
        let (_, output) = read(&fake, "rooms", "/v2/rooms", set("description", &text.into()));
        assert!(output.contains(&format!("join at {masked} now")), "{link}");
    }
}

#[test]
fn the_path_of_a_webhook_is_told_nowhere() {
    let fake = small();
    let url = format!("https://user:{PLANTED}-0@hooks.example:8443/in/{PLANTED}-1?key={PLANTED}-2");
    for webhook in [json!({"url": url, "headers": {}}), json!({"config": {"endpoint": url}}), json!(url)] {
        let (transcript, output) = read(&fake, "rooms", "/v2/rooms", set("webhook", &webhook));
        assert!(!output.contains(PLANTED), "{webhook}");
        let rooms: Vec<String> = transcript.records().map(|room| room.data["webhook"].to_string()).collect();
        assert!(rooms.iter().any(|webhook| webhook.contains("\"hooks.example\"")), "{rooms:?}");
    }
    for reason in [
        format!("Post \"{url}\": context deadline exceeded"),
        format!("{url}: no such host"),
        format!("404 page not found: /in/{PLANTED}-1?key={PLANTED}-2"),
        format!("no route for {PLANTED}-1"),
    ] {
        let plan = [("webhook_url", url.as_str()), ("error_reason", &reason)];
        let plan = plan.into_iter().fold(FaultPlan::new(), |plan, (key, value)| {
            plan.on("/v2/analytics/webhooks", When::Always, set(key, &value.into()))
        });
        fake.set_faults(plan);
        let config = config_with(&fake, json!({"extra_streams": ["webhook_events"]}));
        let run = Call::read(&config, &catalog(&["webhook_events"], "full_refresh")).run();
        let transcript = run.good(&fake);
        assert!(transcript.records().all(|event| event.data["webhook_url"] == "hooks.example"), "{reason}");
        assert!(!String::from_utf8(run.stdout).unwrap().contains(PLANTED), "{reason}");
    }
}

#[test]
fn nothing_of_a_row_under_the_name_of_a_secret_is_told() {
    let fake = small();
    let value = json!({"name": format!("{PLANTED}-1"), "role": format!("{PLANTED}-2"), "id": format!("{PLANTED}-3")});
    for (route, key, stream, destinations) in [
        ("/v2/templates/{id}/destinations", "rtmpDestinations", "templates_destinations", json!({"streamKey": value})),
        (
            "/v2/templates/{id}/destinations",
            "rtmpDestinations",
            "templates_destinations",
            json!({"a": {"name": "a"}, "credentials": value}),
        ),
        ("/v2/sessions", "peers", "sessions", json!({"streamKey": value})),
        ("/v2/active-rooms/{room_id}/peers", "peers", "active_room_peers", json!({"secretKey": value})),
    ] {
        let (_, output) = read(&fake, stream, route, set(key, &destinations));
        assert!(!output.contains(PLANTED), "{stream}: {destinations}");
    }
    for kinds in [json!({"secretKeys": [value, value]}), json!({"credentials": {"a": value}})] {
        let (_, output) =
            read(&fake, "templates_destinations", "/v2/templates/{id}/destinations", Fault::Says(kinds.to_string()));
        assert!(output.contains("**********") && !output.contains(PLANTED), "{kinds}");
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    let fake = small();
    for (key, value) in [
        ("plugins", json!({"token_type": "bearer", "secretName": "rotate me", "keys": [{"key": "a"}]})),
        ("roles", json!({"stream": {"name": "stream", "key": "k"}, "speaker": {"name": "speaker", "priority": 1}})),
        ("plugins", json!({"note": "{\"isHandRaised\":false,\"token_type\":\"x\",\"at\":\"10:30\"}"})),
        ("plugins", json!({"code": "abc-defg-hij", "meeting": "/x/abc-defg-hij"})),
    ] {
        let (transcript, _) = read(&fake, "templates", "/v2/templates", set(key, &value));
        assert!(transcript.records().any(|template| template.data[key] == value), "{key}: {value}");
        assert!(
            !transcript.records().any(|template| template.data[key].to_string().contains("****")),
            "{key}: {value}"
        );
    }
}

#[test]
fn the_salt_is_said_nowhere() {
    let fake = fake(207);
    let echo = Fault::Says(format!("{{\"message\":\"{SALT}\"}}"));
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, echo));
    let with_salt = settings(&fake, "hash");
    let streams = catalog(&["rooms", "sessions"], "full_refresh");
    // Somebody pasted it where the name of a stream belongs, and sentences repeat what they complain about.
    let state = states([(&SALT.to_owned(), &json!({"updated_at": "2024-01-01T00:00:00Z"}))]);
    for call in [
        Call::check(&with_salt),
        Call::discover(&with_salt),
        Call::read(&with_salt, &streams).file("state", &state).argument("--debug"),
    ] {
        let run = call.run();
        let said = [run.stdout.as_slice(), run.stderr.as_bytes()].concat();
        assert!(!String::from_utf8(said).unwrap().contains(&SALT[..12]), "{}", run.arguments[0]);
    }
}

#[test]
fn no_planted_secret_is_printed_by_a_full_read() {
    let fake = fake(15);
    let config = config(&fake);
    let runs = [
        Call::check(&config).argument("--debug").run(),
        Call::discover(&config).argument("--debug").run(),
        Call::read(&config, &catalog(&offered_streams(), "full_refresh")).argument("--debug").run(),
    ];
    let secrets = fake.secrets();
    assert!(secrets.len() > 20, "the fake has planted only {} secrets", secrets.len());
    for run in runs {
        let printed = String::from_utf8_lossy(&run.stdout).into_owned() + &run.stderr;
        for secret in &secrets {
            assert!(!printed.contains(secret.as_str()), "{} printed a secret", run.arguments[0]);
        }
    }
}

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
    let entry = |stream: &Stream| {
        json!({"stream": {"name": stream.name, "json_schema": stream.json_schema}, "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite"})
    };
    (json!({"streams": streams.iter().map(entry).collect::<Vec<_>>()}), run)
}

#[test]
fn no_secret_comes_out_wherever_it_stands() {
    let fake = workspace_of_many_pages(Options { seed: 101, ..Options::default() });
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::PlantSecrets));
    let (catalog, run) = discovered(&fake);
    assert_eq!(leaks(&run.stdout), Vec::<String>::new(), "discover");
    let run = Call::read(&config(&fake), &catalog).argument("--debug").run();
    let transcript = run.transcript();
    let planted = fake.secrets().iter().filter(|secret| secret.contains("-everywhere-")).count();
    assert!(planted > 10_000, "only {planted} were planted");
    for stream in offered_streams() {
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
    let fake = workspace_of_many_pages(Options { seed: 105, gzip: false, ..Options::default() });
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
    let fake = workspace_of_many_pages(Options { seed: 102, gzip: false, ..Options::default() });
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
        let at = text.windows(PART).position(|window| window == part).unwrap_or_default();
        let around = &text[at.saturating_sub(80)..(at + 80).min(text.len())];
        Some(String::from_utf8_lossy(around).into_owned())
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
            let fake = workspace_of_many_pages(Options { seed: 103, ..Options::default() });
            fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::EchoToken { status, part }));
            for config in [config(&fake), with_pasted_token(&fake)] {
                for call in [
                    read_from_states(&config, &["rooms"], &BTreeMap::new()),
                    Call::check(&config),
                    Call::discover(&config),
                ] {
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
            let fake = workspace_of_many_pages(Options { seed: 104, ..Options::default() });
            fake.set_faults(FaultPlan::new().on(route, When::Always, fault.clone()));
            for config in [config(&fake), with_pasted_token(&fake)] {
                let run = ends_within(
                    read_from_states(&config, &[stream], &BTreeMap::new()),
                    std::time::Duration::from_secs(60),
                );
                assert_eq!(tells(&run, &tokens(&fake)), None, "{fault:?} in {route}: {}", run.report(&fake));
                assert_no_end_as_if_well(&run.transcript(), stream, &fault);
            }
        }
    }
}

/// A page token that is a secret cannot be asked with, nor saved: the stream ends and says why.
fn assert_no_end_as_if_well(transcript: &Transcript, stream: &str, fault: &Fault) {
    use Status;
    if *fault == Fault::TokenAsPageToken {
        assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{stream}");
        let errors = transcript.errors();
        assert!(
            errors.iter().any(|error| error.message.contains("repeats one of your secrets")),
            "{stream}: {errors:?}"
        );
    }
}
