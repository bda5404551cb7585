//! Webhook history, quality of calls, live and external streams: a reader that follows the documents finds
//! the truth under every reading.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, tiny};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, RetryHint, Scale, Truth, When};
use serde_json::Value;

fn milliseconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn id(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` is {}", value[key])).to_owned()
}

fn keys(truth: &Truth, stream: &str) -> BTreeSet<String> {
    truth.streams[stream].keys().cloned().collect()
}

/// All deliveries of a period, page by page, by event. Nothing may come twice but attempts to deliver an event, which
/// have times of their own.
fn deliveries(client: &Client, from: DateTime<Utc>, to: DateTime<Utc>, more: &str) -> BTreeMap<String, Value> {
    let (mut found, mut attempts, mut page) = (BTreeMap::new(), BTreeSet::new(), 1);
    loop {
        let (start, end) = (milliseconds(from), milliseconds(to));
        let target = format!("/v2/analytics/webhooks?start_time={start}&end_time={end}&limit=40&page={page}{more}");
        let answer = client.get(&target).expect("an answer");
        if answer.status == 404 {
            return found;
        }
        let answer = answer.json();
        for event in answer["events"].as_array().into_iter().flatten() {
            let is_new = attempts.insert((id(event, "event_id"), id(event, "event_timestamp")));
            assert!(is_new, "{event} came twice");
            found.insert(id(event, "event_id"), event.clone());
        }
        assert_eq!(answer["pagination"]["current_page"], page);
        assert_eq!(answer["pagination"]["total_items"], answer["summary"]["total_events"]);
        if answer["pagination"]["has_next"] != true {
            assert_eq!(answer["pagination"]["total_items"], attempts.len());
            return found;
        }
        page += 1;
    }
}

/// The whole month, in windows of at most 14 days.
fn month(client: &Client, now: DateTime<Utc>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (from, to) in [(30, 20), (20, 10), (10, 0)] {
        found.extend(deliveries(client, now - TimeDelta::days(from), now - TimeDelta::days(to), ""));
    }
    found
}

#[test]
fn every_reading_gives_all_deliveries_and_streams_and_tracks() {
    let mut readings = Readings::alternatives();
    readings.push(("documented", Readings::documented()));
    for (name, readings) in readings {
        let has_webhook = readings.has_webhook;
        let fake = tiny(readings);
        let (client, truth) = (Client::of(&fake), fake.truth());
        let told: BTreeSet<String> = month(&client, fake.now()).into_keys().collect();
        assert_eq!(told, keys(&truth, "webhook_events"), "{name}");
        assert_eq!(told.is_empty(), !has_webhook, "{name}");
        for (route, stream) in [("/v2/live-streams", "live_streams"), ("/v2/external-streams", "external_streams")] {
            let listed: BTreeSet<String> =
                client.list(&format!("{route}?limit=100")).iter().map(|one| id(one, "id")).collect();
            assert_eq!(listed, keys(&truth, stream), "{name}");
            assert!(!listed.is_empty());
        }
        assert_eq!(tracks(&client, &truth), keys(&truth, "peer_quality"), "{name}");
        assert_eq!(fake.unexpected(), Vec::<String>::new(), "{name}");
    }
}

/// The keys of all tracks that the peers of the sessions there are have.
fn tracks(client: &Client, truth: &Truth) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (session_id, session) in &truth.streams["sessions"] {
        for peer in session["peers"].as_array().into_iter().flatten() {
            let peer_id = id(peer, "id");
            let target = format!("/v2/analytics/peer-stats?peer_id={peer_id}&session_id={session_id}");
            let answer = client.get(&target).expect("an answer");
            if matches!(answer.status, 204 | 404) || answer.body.is_empty() {
                continue;
            }
            let answer = answer.json();
            for (side, direction) in [("publisher", "publish"), ("subscriber", "subscribe")] {
                for kind in ["video", "audio"] {
                    let tracks = &answer[side][kind];
                    assert!(tracks.is_array() || tracks.is_null(), "{tracks}");
                    for track in tracks.as_array().into_iter().flatten() {
                        let part = |key: &str| track[key].as_str().unwrap_or("").to_owned();
                        let key = [session_id, &peer_id, direction, kind, &part("track_id"), &part("rid")].join("|");
                        assert!(found.insert(key), "{track} has the key of another");
                    }
                }
            }
        }
    }
    found
}

#[test]
fn filters_of_deliveries_narrow_and_ranges_are_kept() {
    let fake = Fake::start(Options::default());
    let (client, now) = (Client::of(&fake), fake.now());
    let week = now - TimeDelta::days(7);
    let all = deliveries(&client, week, now, "");
    let failed = deliveries(&client, week, now, "&status=failed");
    let worked = deliveries(&client, week, now, "&status=success");
    assert_eq!(failed.len() + worked.len(), all.len());
    assert_eq!(deliveries(&client, week, now, "&status=all").len(), all.len());
    assert!(failed.values().all(
        |one| one["event_name"] == "reporter.webhook.delivery.failed" && one["payload"]["error_reason"].is_string()
    ));
    let joins = deliveries(&client, week, now, "&event_names=peer.join.success&event_names=session.open.success");
    let is_named = |one: &Value| {
        one["payload"]["original_event_name"] == "peer.join.success"
            || one["payload"]["original_event_name"] == "session.open.success"
    };
    assert!(joins.values().all(is_named) && joins.len() < all.len());
    assert_eq!(joins.len(), all.values().filter(|one| is_named(one)).count());
    let room = id(all.values().next().expect("there are deliveries"), "room_id");
    assert!(deliveries(&client, week, now, &format!("&room_id={room}")).len() < all.len());
    // Without times it is the last day.
    let usual = client.ok("/v2/analytics/webhooks");
    assert_eq!(usual["pagination"]["page_size"], 50);
    let day = deliveries(&client, now - TimeDelta::days(1), now, "");
    assert_eq!(usual["summary"]["total_events"], day.len());
    for (from, to, said) in [
        (now - TimeDelta::days(31), now - TimeDelta::days(25), "at most 30 days ago"),
        (now - TimeDelta::days(20), now - TimeDelta::days(5), "at most 14 days after"),
        (now - TimeDelta::days(5), now - TimeDelta::days(6), "after `start_time`"),
    ] {
        let (start, end) = (milliseconds(from), milliseconds(to));
        let answer = client.get(&format!("/v2/analytics/webhooks?start_time={start}&end_time={end}"));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains(said), "{}", answer.message());
    }
}

#[test]
fn pages_of_deliveries_come_newest_first_or_oldest_first() {
    let names = ["documented", "webhooks oldest first"];
    for (place, name) in names.into_iter().enumerate() {
        let found = Readings::alternatives().into_iter().find(|(other, _)| *other == name);
        let fake = tiny(found.map_or_else(Readings::documented, |(_, readings)| readings));
        let page = Client::of(&fake).ok("/v2/analytics/webhooks?limit=20");
        let times: Vec<DateTime<Utc>> = page["events"]
            .as_array()
            .expect("an array")
            .iter()
            .map(|event| id(event, "event_timestamp").parse().expect("a time"))
            .collect();
        assert!(times.len() > 3);
        assert!(times.is_sorted_by(|a, b| if place == 0 { a >= b } else { a <= b }), "{name}");
    }
}

#[test]
fn page_numbers_shift_only_under_the_reading_that_says_so() {
    for (name, shifts) in [("documented", false), ("webhook pages shift", true)] {
        let found = Readings::alternatives().into_iter().find(|(other, _)| *other == name);
        let fake = tiny(found.map_or_else(Readings::documented, |(_, readings)| readings));
        let (client, now) = (Client::of(&fake), fake.now());
        let total = || {
            let (start, end) = (milliseconds(now - TimeDelta::days(2)), milliseconds(now - TimeDelta::minutes(50)));
            client.ok(&format!("/v2/analytics/webhooks?start_time={start}&end_time={end}"))["summary"]["total_events"]
                .as_u64()
        };
        let before = total();
        fake.advance_small(5.0);
        assert_eq!(total() > before, shifts, "{name}");
        fake.let_time_pass(TimeDelta::hours(2));
        let (start, end) = (milliseconds(now - TimeDelta::days(2)), milliseconds(now));
        let fixed = client.ok(&format!("/v2/analytics/webhooks?start_time={start}&end_time={end}"));
        let since = client.ok(&format!("/v2/analytics/webhooks?start_time={start}"));
        let number = |answer: &Value| answer["summary"]["total_events"].as_u64();
        assert!(number(&since) > number(&fixed), "what came later is outside of a period that is over");
    }
}

#[test]
fn the_limit_of_deliveries_is_refused_in_the_documented_words() {
    let fake = Fake::start(Options::default());
    let hint = Fault::TooManyRequests(RetryHint::Message(45));
    fake.set_faults(FaultPlan::new().on("/v2/analytics/webhooks", When::Nth(1), hint));
    let client = Client::of(&fake);
    let answer = client.get("/v2/analytics/webhooks").expect("an answer");
    assert_eq!((answer.status, answer.message().as_str()), (429, "rate limit exceeded, retry after 45 seconds"));
    client.ok("/v2/analytics/webhooks");
}

#[test]
fn both_parameters_of_stats_are_required_and_a_live_session_has_none() {
    let fake = Fake::start(Options::default());
    let (client, truth) = (Client::of(&fake), fake.truth());
    let live = truth.streams["active_room_peers"].values().next().expect("somebody is in a room");
    let (peer, session) = (id(live, "id"), id(live, "session_id"));
    let answer = client.get(&format!("/v2/analytics/peer-stats?peer_id={peer}&session_id={session}"));
    assert_eq!(answer.expect("an answer").status, 404);
    assert_eq!(fake.unexpected(), Vec::<String>::new());
    for query in [format!("peer_id={peer}"), format!("session_id={session}"), String::new()] {
        let answer = client.get(&format!("/v2/analytics/peer-stats?{query}")).expect("an answer");
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains("expected `peer_id` and `session_id`"));
    }
}

#[test]
fn quality_has_every_oddity() {
    let fake = Fake::start(Options::default());
    let truth = fake.truth();
    let tracks: Vec<&Value> = truth.streams["peer_quality"].values().collect();
    let count = |holds: &dyn Fn(&Value) -> bool| tracks.iter().filter(|track| holds(track)).count();
    assert!(tracks.len() > 200);
    for layer in ["h", "m", "l", ""] {
        assert!(count(&|track| track["rid"] == layer) > 10, "{layer}");
    }
    assert!(count(&|track| track["track_id"] == "") > 0);
    assert!(count(&|track| track["samples"] == 0 && track["started_at"].is_null()) > 0);
    for measure in ["bitrate", "fps", "packet_loss_percent", "rtt_ms", "jitter_ms", "freeze_count", "concealed_samples"]
    {
        let column = format!("{measure}_p95");
        assert!(count(&|track| track[&column].is_number()) > 10, "{measure}");
        let holds = |track: &Value, odd: &dyn Fn(&Vec<Value>) -> bool| {
            let values = track["time_series"][measure].as_array();
            values.is_some_and(odd) && track["samples"] != 0 && track[&column].is_null()
        };
        assert!(count(&|track| holds(track, &Vec::is_empty)) > 0, "{measure} is never empty");
        // So many that they are not all null by chance.
        let has_only_nulls = |values: &Vec<Value>| values.len() >= 4 && values.iter().all(Value::is_null);
        assert!(count(&|track| holds(track, &has_only_nulls)) > 0, "{measure} never has only nulls");
    }
    let has_null =
        |track: &Value| track["time_series"]["bitrate"].as_array().is_some_and(|all| all.contains(&Value::Null));
    assert!(count(&has_null) > 10);
}

#[test]
fn files_of_streams_are_in_the_list_of_files_and_in_the_single_stream() {
    let fake = Fake::start(Options::default());
    let (client, truth) = (Client::of(&fake), fake.truth());
    let files = client.list("/v2/recording-assets?limit=100");
    for (route, stream) in [("/v2/live-streams", "live_streams"), ("/v2/external-streams", "external_streams")] {
        let mut with_files = 0;
        for (key, record) in &truth.streams[stream] {
            let of_stream = files.iter().filter(|file| file["job_id"] == key.as_str()).count();
            let expected = record["recording_assets"].as_array().map(Vec::len);
            assert_eq!(Some(of_stream), expected, "{stream} {key}");
            let single = client.ok(&format!("{route}/{key}"));
            assert_eq!(single["recording_assets"].as_array().map(Vec::len), expected, "{stream} {key}");
            with_files += usize::from(of_stream > 0);
        }
        assert!(with_files > 20);
        let urls = truth.streams[stream].values().filter(|record| record["url"].is_string()).count();
        assert!(urls > 10, "{stream}: {urls}");
        let listed = client.list(&format!("{route}?limit=100"));
        let inside = listed.iter().filter(|one| one["recording_assets"].is_array()).count();
        assert_eq!(inside > 0, stream == "external_streams");
        let missing = client.get(&format!("{route}/0123456789abcdef01234567")).expect("an answer");
        assert_eq!(missing.status, 404);
    }
}

#[test]
fn secrets_of_the_extras_are_in_the_answers_and_not_in_the_truth() {
    let fake = Fake::start(Options::default());
    let client = Client::of(&fake);
    let mut told = format!("{:?}", month(&client, fake.now()));
    for route in ["/v2/live-streams", "/v2/external-streams"] {
        told.push_str(&serde_json::to_string(&client.list(&format!("{route}?limit=100"))).expect("plain JSON"));
    }
    let truth = serde_json::to_string(&fake.truth()).expect("plain JSON");
    let secrets = fake.secrets();
    for kind in ["PLANTED-hook", "PLANTED-stream", "PLANTED-meeting", "PLANTED-playback"] {
        let of_kind = secrets.iter().filter(|secret| secret.starts_with(kind));
        assert!(of_kind.filter(|secret| told.contains(secret.as_str())).count() >= 3, "{kind}");
    }
    let mut planted = told.match_indices("PLANTED-").map(|(at, _)| &told[at..]);
    assert!(planted.all(|rest| secrets.iter().any(|secret| rest.starts_with(secret.as_str()))), "an unlisted secret");
    assert!(secrets.iter().all(|secret| !truth.contains(secret.as_str())));
}

#[test]
fn half_a_million_deliveries_are_cheap() {
    let counts = Counts { webhook_events: 500_000, sessions: 300, ..Counts::default() };
    let fake = Fake::start(Options { scale: Scale::Custom(counts), ..Options::default() });
    let (client, now) = (Client::of(&fake), fake.now());
    let (start, end) = (milliseconds(now - TimeDelta::days(13)), milliseconds(now - TimeDelta::hours(1)));
    let page = client.ok(&format!("/v2/analytics/webhooks?start_time={start}&end_time={end}&limit=100&page=1000"));
    assert_eq!(page["events"].as_array().map(Vec::len), Some(100));
    assert!(page["pagination"]["total_items"].as_u64() > Some(100_000));
    assert_eq!(fake.webhook_event_ids().len(), 490_000);
}
