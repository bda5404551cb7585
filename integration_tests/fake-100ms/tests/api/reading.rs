//! A reader that follows the documents, and nothing else, finds the truth under every reading.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, tiny};
use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Readings, Truth};
use serde_json::Value;

/// The ids of both halves of a list that is switched by `filter`; none may come twice.
fn both(client: &Client, route: &str, filter: &str) -> Vec<Value> {
    let mut items = client.list(&format!("{route}?limit=100&{filter}=true"));
    items.extend(client.list(&format!("{route}?limit=100&{filter}=false")));
    items
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("every object has an id").to_owned()
}

fn ids(items: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<String> = items.iter().map(id).collect();
    assert_eq!(ids.len(), items.len(), "an item came twice");
    ids
}

fn keys(truth: &Truth, stream: &str) -> BTreeSet<String> {
    truth.streams[stream].keys().cloned().collect()
}

#[test]
fn every_reading_gives_all_that_there_is() {
    let mut readings = Readings::alternatives();
    readings.push(("documented", Readings::documented()));
    for (name, readings) in readings {
        let fake = tiny(readings);
        let (client, truth) = (Client::of(&fake), fake.truth());
        let sessions = both(&client, "/v2/sessions", "active");
        let rooms = both(&client, "/v2/rooms", "enabled");
        let templates = client.list("/v2/templates?limit=100");
        let recordings = client.list("/v2/recordings?limit=100");
        assert_eq!(ids(&sessions), keys(&truth, "sessions"), "{name}");
        assert_eq!(ids(&rooms), keys(&truth, "rooms"), "{name}");
        assert_eq!(ids(&templates), keys(&truth, "templates"), "{name}");
        assert_eq!(ids(&recordings), keys(&truth, "recordings"), "{name}");
        let mut reported = events(&client, &rooms);
        reported.append(&mut joins_and_leaves(&sessions, &truth, fake.now()));
        assert_eq!(reported, keys(&truth, "analytics_events"), "{name}");
        assert_eq!(live_peers(&client, &sessions), keys(&truth, "active_room_peers"), "{name}");
        let destinations = destinations(&client, &templates);
        assert_eq!(destinations, keys(&truth, "templates_destinations"), "{name}");
        check_assets(&client, &truth);
        assert_eq!(fake.unexpected(), Vec::<String>::new(), "{name}");
    }
}

fn events(client: &Client, rooms: &[Value]) -> BTreeSet<String> {
    let of_room = |room| client.events(&format!("/v2/analytics/events?limit=20&room_id={}", id(room)));
    let events: Vec<Value> = rooms.iter().flat_map(of_room).collect();
    ids(&events)
}

/// What the peers of all sessions say of the last 30 days. Who has no id is found in the truth by place, time and name.
fn joins_and_leaves(sessions: &[Value], truth: &Truth, now: DateTime<Utc>) -> BTreeSet<String> {
    let mut moves = BTreeSet::new();
    for session in sessions {
        let mut known = truth.streams["sessions"][&id(session)]["peers"].as_array().cloned().unwrap_or_default();
        let mut id_of = |peer: &Value| match peer["id"].as_str() {
            Some(id) => id.to_owned(),
            None => {
                let same = |other: &Value| other["name"] == peer["name"] && is_same_time(other, peer);
                let found = known.iter().position(same).expect("the truth has everybody");
                id(&known.remove(found))
            }
        };
        let peers: Vec<(String, &Value)> = match &session["peers"] {
            Value::Object(map) => map.iter().map(|(key, peer)| (key.clone(), peer)).collect(),
            Value::Array(array) => array.iter().map(|peer| (id_of(peer), peer)).collect(),
            _ => Vec::new(),
        };
        for (id, peer) in peers {
            for (time, suffix) in [("joined_at", "join"), ("left_at", "leave")] {
                let time: Option<DateTime<Utc>> = peer[time].as_str().map(|text| text.parse().expect("a time"));
                if time.is_some_and(|time| time >= now - TimeDelta::days(30)) {
                    moves.insert(format!("{id}.{suffix}"));
                }
            }
        }
    }
    moves
}

/// Whether both joined in the same microsecond.
fn is_same_time(one: &Value, other: &Value) -> bool {
    let joined_at = |peer: &Value| -> DateTime<Utc> {
        peer["joined_at"].as_str().expect("everybody has joined").parse().expect("a time")
    };
    joined_at(one).timestamp_micros() == joined_at(other).timestamp_micros()
}

#[test]
fn joins_and_leaves_hold_the_entry_of_the_peer() {
    let mut readings = Readings::alternatives();
    readings.retain(|(name, _)| ["peers as array", "times with nine digits", "everything flipped"].contains(name));
    readings.push(("documented", Readings::documented()));
    for (name, readings) in readings {
        let fake = tiny(readings);
        fake.advance();
        let (client, truth) = (Client::of(&fake), fake.truth());
        let sessions = both(&client, "/v2/sessions", "active");
        let moves: Vec<&Value> =
            truth.streams["analytics_events"].values().filter(|event| event["source"] == "sessions").collect();
        for event in &moves {
            let session = sessions.iter().find(|session| session["id"] == event["session_id"]).expect("it is listed");
            let peer_id = event["peer_id"].as_str().expect("a peer");
            let entry = match &session["peers"] {
                Value::Array(array) => array.iter().find(|peer| peer["id"] == peer_id).expect("it is listed"),
                map => &map[peer_id],
            };
            assert_eq!(event["data"], *entry, "{name}");
            assert_eq!(event["room_id"], session["room_id"], "{name}");
            assert_eq!(event["user_id"], entry["user_id"], "{name}");
        }
        let leaves = moves.iter().filter(|event| event["type"] == "peer.leave").count();
        assert!(leaves > 10 && leaves < moves.len() - leaves, "somebody is still in: {leaves} of {}", moves.len());
    }
}

#[test]
fn somebody_joins_twice() {
    let fake = tiny(Readings::documented());
    let twice = (0..10).any(|_| {
        fake.advance();
        let truth = fake.truth();
        let mut joins: BTreeMap<(String, String), usize> = BTreeMap::new();
        for event in truth.streams["analytics_events"].values().filter(|event| event["type"] == "peer.join") {
            if let Some(user) = event["user_id"].as_str() {
                *joins.entry((event["session_id"].to_string(), user.to_owned())).or_default() += 1;
            }
        }
        joins.values().any(|count| *count > 1)
    });
    assert!(twice);
}

fn live_peers(client: &Client, sessions: &[Value]) -> BTreeSet<String> {
    let mut peers = BTreeSet::new();
    for session in sessions.iter().filter(|session| session["active"] == true) {
        let room = session["room_id"].as_str().expect("every session has a room");
        let answer = client.get(&format!("/v2/active-rooms/{room}/peers")).expect("an answer");
        match &answer.json()["peers"] {
            Value::Object(map) if answer.status == 200 => peers.extend(map.keys().cloned()),
            Value::Array(array) => peers.extend(array.iter().map(id)),
            Value::Null | Value::Object(_) => {}
            other => panic!("peers are {other}"),
        }
    }
    peers
}

fn destinations(client: &Client, templates: &[Value]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for template in templates {
        let id = id(template);
        let parts = client.ok(&format!("/v2/templates/{id}/destinations"));
        for (part, configs) in parts.as_object().into_iter().flatten() {
            let kind = match part.as_str() {
                "rtmpDestinations" | "rtmp_destinations" => "rtmp",
                "hlsDestinations" | "hls_destinations" => "hls",
                "transcriptions" => "transcription",
                "browserRecordings" => "browser_recording",
                other => other,
            };
            let names = configs.as_object().into_iter().flat_map(|map| map.keys());
            keys.extend(names.map(|name| format!("{id}|{kind}|{name}")));
        }
        let recordings = client.ok(&format!("/v2/templates/{id}/recordings"));
        for (position, config) in recordings.as_array().into_iter().flatten().enumerate() {
            let name = config["name"].as_str().map_or(position.to_string(), str::to_owned);
            keys.insert(format!("{id}|recording|{name}"));
        }
        let settings = client.ok(&format!("/v2/templates/{id}/settings"));
        assert!(settings.is_null() || settings == template["settings"], "inline and alone");
        if settings["recording"]["upload"].is_object() {
            keys.insert(format!("{id}|recording_storage|upload"));
        }
    }
    keys
}

/// The list of assets, the single recording and the truth tell the same.
fn check_assets(client: &Client, truth: &Truth) {
    let assets = client.list("/v2/recording-assets?limit=100");
    let recordings = &truth.streams["recordings"];
    let of_recordings = assets.iter().filter(|asset| {
        let job_id = asset["job_id"].as_str().expect("every asset has a job");
        recordings.contains_key(job_id)
    });
    let expected: Vec<&Value> =
        recordings.values().flat_map(|record| record["recording_assets"].as_array().expect("an array")).collect();
    assert_eq!(of_recordings.count(), expected.len());
    assert!(assets.len() > expected.len(), "some belong to streams");
    let (id, record) = recordings.iter().next().expect("there are recordings");
    let single = client.ok(&format!("/v2/recordings/{id}"));
    assert_eq!(
        single["recording_assets"].as_array().map(Vec::len),
        record["recording_assets"].as_array().map(Vec::len)
    );
}

/// A join or a leave holds the peer's entry as the API writes it, which differs with how it is written.
fn without_entries(mut truth: Truth) -> Truth {
    let events = truth.streams.get_mut("analytics_events").into_iter().flat_map(BTreeMap::values_mut);
    for event in events.filter(|event| event["source"] == "sessions") {
        event["data"] = Value::Null;
    }
    truth
}

#[test]
fn records_differ_between_readings_only_where_something_is_hidden() {
    let documented = without_entries(tiny(Readings::documented()).truth());
    let mut wrong = Vec::new();
    for (name, readings) in Readings::alternatives() {
        let hides = !readings.ended_at
            || !readings.all_created
            || !readings.all_left
            || readings.files_before_finished
            || readings.peers == fake_100ms::PeersShape::ArrayWithoutIds
            || !readings.session_end_moves_updated_at
            || readings.fraction == fake_100ms::Fraction::None
            || readings.missing_destinations != fake_100ms::MissingPart::Absent
            || readings.unknown_destination_kind
            || !readings.has_webhook;
        let same = without_entries(tiny(readings).truth()) == documented;
        if same == hides {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn links_to_files_are_the_truth_and_stable() {
    for (_, readings) in Readings::alternatives().into_iter().filter(|(name, _)| name.contains("file")) {
        let fake = tiny(readings);
        let (client, truth) = (Client::of(&fake), fake.truth());
        let (mut good, mut gone) = (0, 0);
        for record in truth.streams["recordings"].values() {
            let assets = record["recording_assets"].as_array().expect("an array");
            let Some(primary) =
                assets.iter().find(|asset| asset["path"] == record["path"] && asset["path"].is_string())
            else {
                continue;
            };
            let target = format!("/v2/recording-assets/{}/presigned-url", id(primary));
            let answer = client.get(&target).expect("an answer");
            if record["url"].is_null() {
                assert!(matches!(answer.status, 400 | 404), "{}", answer.status);
                gone += 1;
            } else {
                assert_eq!(answer.json()["url"], record["url"]);
                assert_eq!(client.ok(&target)["url"], record["url"]);
                good += 1;
            }
        }
        assert!(good > 10 && gone > 10, "{good} good, {gone} gone");
    }
}
