//! Secrets by the names, the places and the forms that customers' accounts have them in.

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config_with};
use crate::messages::Transcript;

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
