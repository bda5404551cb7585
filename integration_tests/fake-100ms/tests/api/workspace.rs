//! What is in a workspace, and how it changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, tiny};
use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Changes, Counts, Fake, Fraction, Options, Readings, Scale, Truth};
use serde_json::Value;

const CURSORS: [(&str, &str); 9] = [
    ("sessions", "updated_at"),
    ("rooms", "updated_at"),
    ("templates", "updated_at"),
    ("analytics_events", "created_at"),
    ("recordings", "updated_at"),
    ("webhook_events", "created_at"),
    ("live_streams", "updated_at"),
    ("external_streams", "updated_at"),
    ("peer_quality", "session_ended_at"),
];

fn of_seed(seed: u64) -> Fake {
    Fake::start(Options { seed, ..Options::default() })
}

fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    text.parse().expect("a time")
}

fn count(truth: &Truth, stream: &str, holds: impl Fn(&Value) -> bool) -> usize {
    truth.streams[stream].values().filter(|record| holds(record)).count()
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_another() {
    let (one, same, other) = (of_seed(7), of_seed(7), of_seed(8));
    assert!(one.truth() == same.truth() && one.truth() != other.truth());
    for _ in 0..3 {
        assert_eq!(one.advance(), same.advance());
        assert_eq!(one.advance_small(1.0), same.advance_small(1.0));
    }
    assert!(one.truth() == same.truth());
    assert_eq!(one.app_secret(), same.app_secret());
}

#[test]
fn every_oddity_is_there_for_every_seed() {
    for seed in 1..=5 {
        let fake = of_seed(seed);
        let truth = fake.truth();
        let peers = |session: &Value| session["peers"].as_array().map_or(0, Vec::len);
        let live = |session: &Value| session["active"] == true;
        let connected = |session: &Value| {
            let peers = session["peers"].as_array().into_iter().flatten();
            peers.filter(|peer| peer["left_at"].is_null()).count()
        };
        assert!(count(&truth, "sessions", |session| peers(session) == 0) > 5);
        assert_eq!(count(&truth, "sessions", |session| peers(session) == 2000), 1);
        assert!(count(&truth, "sessions", |session| live(session) && connected(session) > 0) > 2);
        assert!(count(&truth, "sessions", |session| live(session) && connected(session) == 0) > 1);
        assert!(count(&truth, "rooms", |room| room["enabled"] == false) > 0);
        assert!(count(&truth, "rooms", |room| room["updated_at"] == room["created_at"]) > 5);
        for status in ["starting", "running", "stopping", "post_processing", "completed", "failed"] {
            assert!(count(&truth, "recordings", |one| one["status"] == status) > 0, "{status}, seed {seed}");
        }
        for kind in ["rtmp", "hls", "transcription", "browser_recording", "recording", "recording_storage"] {
            assert!(count(&truth, "templates_destinations", |one| one["destination_type"] == kind) > 1, "{kind}");
        }
        let kinds: BTreeSet<&str> =
            truth.streams["analytics_events"].values().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(kinds.len(), 11);
        assert!(count(&truth, "analytics_events", |event| event["session_id"].is_null()) > 20);
        assert!(count(&truth, "recordings", |one| one["size"].as_u64() > Some(1 << 32)) > 1);
        let late = |one: &Value| {
            one["stopped_at"].is_string() && time(&one["updated_at"]) - time(&one["stopped_at"]) > TimeDelta::days(5)
        };
        assert!(count(&truth, "recordings", late) > 2);
        let text = serde_json::to_string(&truth).expect("plain JSON");
        for awkward in ['\u{2028}', '\u{85}', '👩', 'خ'] {
            assert!(text.contains(awkward), "{awkward:?}");
        }
    }
}

#[test]
fn enough_is_recent_and_most_is_older_than_every_look_back() {
    let fake = of_seed(1);
    let (truth, now) = (fake.truth(), fake.now());
    // The quality of calls is known of the latest sessions alone.
    let spread = CURSORS.iter().filter(|(stream, _)| !matches!(*stream, "templates" | "peer_quality"));
    for (stream, cursor) in spread {
        // Joins and leaves follow from the sessions, of which few are a month old.
        let counts = |one: &Value| one["source"] != "sessions";
        let within =
            |hours| count(&truth, stream, |one| counts(one) && now - time(&one[cursor]) < TimeDelta::hours(hours));
        assert!(within(13) >= 10, "{stream}: {} in 13 h", within(13));
        assert!(within(72) >= 20, "{stream}: {} in 72 h", within(72));
        assert!(within(72) * 10 < count(&truth, stream, counts) * 9, "{stream} is all recent");
    }
}

#[test]
fn events_of_the_api_go_back_30_days_and_quiet_rooms_have_failed_joins() {
    let fake = of_seed(1);
    let (truth, now) = (fake.truth(), fake.now());
    assert_eq!(count(&truth, "analytics_events", |event| now - time(&event["created_at"]) > TimeDelta::days(30)), 0);
    let used: BTreeSet<&str> =
        truth.streams["sessions"].values().filter_map(|session| session["room_id"].as_str()).collect();
    let quiet = |event: &Value| event["room_id"].as_str().is_some_and(|room| !used.contains(room));
    assert!(count(&truth, "analytics_events", |event| quiet(event) && event["type"] == "client.join.failed") > 1);
}

#[test]
fn times_have_any_number_of_digits() {
    let digits = |fraction| {
        let readings = Readings { fraction, ..Readings::documented() };
        let fake = Fake::start(Options { readings, ..Options::default() });
        let sessions = Client::of(&fake).list("/v2/sessions?limit=100&active=false");
        let digits = |session: &Value| {
            let text = session["created_at"].as_str().unwrap_or("").trim_end_matches('Z');
            text.split_once('.').map_or(0, |(_, digits)| digits.len())
        };
        sessions.iter().map(digits).collect::<BTreeSet<usize>>()
    };
    assert_eq!(digits(Fraction::Varied), (0..=9).collect());
    assert_eq!(digits(Fraction::None), BTreeSet::from([0]));
    assert_eq!(digits(Fraction::Nano), BTreeSet::from([9]));
}

/// What differs between two truths: changed, new or gone.
fn difference(before: &Truth, after: &Truth) -> Changes {
    let mut changes = Changes::default();
    for (stream, records) in &after.streams {
        let former = &before.streams[stream];
        let keys = records.keys().chain(former.keys());
        let differs = |key: &&String| as_written(records.get(*key)) != as_written(former.get(*key));
        let keys: BTreeSet<String> = keys.filter(differs).cloned().collect();
        changes.streams.insert(stream.clone(), keys);
    }
    changes
}

/// A join holds the peer's entry: that the peer has left since is no change of the join.
fn as_written(record: Option<&Value>) -> Option<Value> {
    let mut record = record?.clone();
    if record["type"] == "peer.join" {
        record["data"] = Value::Null;
    }
    Some(record)
}

#[test]
fn a_round_changes_what_it_says_and_every_change_is_newer_than_the_clock_was() {
    let times = ["late assets touch the recording", "times without fraction", "everything flipped"];
    let alternatives = Readings::alternatives().into_iter().filter(|(name, _)| times.contains(name));
    for (name, readings) in alternatives.chain([("documented", Readings::documented())]) {
        let fake = tiny(readings.clone());
        for round in 0..4 {
            let (before, then) = (fake.truth(), fake.now());
            let changes = if round % 2 == 0 { fake.advance() } else { fake.advance_small(2.0) };
            let (after, now) = (fake.truth(), fake.now());
            assert!(now - then >= TimeDelta::minutes(1) && now - then <= TimeDelta::hours(2));
            let known = difference(&before, &after);
            for (stream, keys) in &known.streams {
                let told = changes.streams.get(stream).cloned().unwrap_or_default();
                let aged = |key: &&String| {
                    matches!(stream.as_str(), "analytics_events" | "webhook_events")
                        && !after.streams[stream].contains_key(*key)
                };
                let untold: Vec<&String> = keys.difference(&told).filter(|key| !aged(key)).collect();
                assert!(untold.is_empty(), "{name}: {stream} {untold:?}");
            }
            if readings.session_end_moves_updated_at {
                assert_changes_are_newer(name, &known, &after, then);
            }
        }
    }
}

fn assert_changes_are_newer(name: &str, known: &Changes, after: &Truth, then: DateTime<Utc>) {
    for (stream, cursor) in CURSORS {
        for key in &known.streams[stream] {
            let Some(record) = after.streams[stream].get(key) else {
                continue;
            };
            // Events may come up to 50 minutes late.
            let late = if matches!(stream, "analytics_events" | "webhook_events") {
                TimeDelta::minutes(51)
            } else {
                TimeDelta::zero()
            };
            assert!(time(&record[cursor]) > then - late, "{name}: {stream} {key}: {}", record[cursor]);
        }
    }
}

#[test]
fn a_day_of_rounds_keeps_the_promises() {
    let fake = of_seed(3);
    let mut seen = Changes::default();
    for _ in 0..24 {
        let changes = fake.advance();
        for (stream, keys) in changes.streams {
            seen.streams.entry(stream).or_default().extend(keys);
        }
        let (truth, now) = (fake.truth(), fake.now());
        for session in truth.streams["sessions"].values() {
            let end = session["stopped_at"].as_str().map_or(now, |_| time(&session["stopped_at"]));
            assert!(end - time(&session["created_at"]) <= TimeDelta::hours(12) + TimeDelta::seconds(2));
            assert!(time(&session["updated_at"]) >= end || session["active"] == true);
            assert!(time(&session["updated_at"]) <= now);
        }
        assert!(count(&truth, "sessions", |session| session["active"] == true) > 0);
    }
    assert_eq!(seen.streams.len(), 14, "every stream changed");
    let truth = fake.truth();
    let oldest = truth.streams["rooms"].keys().next().expect("there are rooms");
    assert!(seen.streams["rooms"].contains(oldest));
    let old = |key: &&String| {
        let record = &truth.streams["recordings"][*key];
        fake.now() - time(&record["created_at"]) > TimeDelta::days(30)
    };
    assert!(seen.streams["recordings"].iter().filter(old).count() > 5, "late assets of old recordings");
    let client = Client::of(&fake);
    let sessions = client.list("/v2/sessions?limit=100&active=false").len()
        + client.list("/v2/sessions?limit=100&active=true").len();
    assert_eq!(sessions, truth.streams["sessions"].len());
    assert_eq!(client.list("/v2/recordings?limit=100").len(), truth.streams["recordings"].len());
}

#[test]
fn the_workspace_can_change_while_it_is_being_paged() {
    let fake = of_seed(1);
    let client = Client::of(&fake);
    fake.advance_during(Some(2));
    let (then, before) = (fake.now(), fake.truth());
    let first = client.list("/v2/sessions?limit=10&active=false");
    assert!(fake.now() > then);
    let ids: BTreeSet<&str> = first.iter().filter_map(|session| session["id"].as_str()).collect();
    let ended = before.streams["sessions"].iter().filter(|(_, session)| session["active"] == false);
    for (id, _) in ended {
        assert!(ids.contains(id.as_str()), "what was there when paging began is found");
    }
    fake.advance_during(None);
    let then = fake.now();
    client.list("/v2/rooms?limit=10");
    assert_eq!(fake.now(), then);
}

#[test]
fn a_later_start_date_leaves_out_what_did_not_change_since() {
    let fake = of_seed(1);
    let (whole, start) = (fake.truth(), fake.now() - TimeDelta::hours(72));
    let since = fake.truth_since(start);
    for (stream, cursor) in CURSORS {
        for (key, record) in &whole.streams[stream] {
            let is_read = time(&record[cursor]) >= start;
            assert_eq!(since.streams[stream].get(key), is_read.then_some(record), "{stream} {key}");
        }
    }
    assert_eq!(since.streams["active_room_peers"], whole.streams["active_room_peers"]);
    let templates: BTreeSet<&String> = since.streams["templates"].keys().collect();
    assert_eq!(since.streams["template_settings"].keys().collect::<BTreeSet<_>>(), templates);
    assert!(since.streams["templates_destinations"].len() < whole.streams["templates_destinations"].len());
}

#[test]
fn secrets_are_in_the_answers_and_not_in_the_truth() {
    let fake = of_seed(2);
    fake.advance();
    let client = Client::of(&fake);
    let mut answers: Vec<Value> = Vec::new();
    for target in ["rooms?enabled=true", "rooms?enabled=false", "templates?x", "recordings?x"] {
        answers
            .extend(client.list(&format!("/v2/{}&limit=100", target.trim_end_matches("?x")).replacen("s&", "s?", 1)));
    }
    let told = serde_json::to_string(&answers).expect("plain JSON");
    let truth = serde_json::to_string(&fake.truth()).expect("plain JSON");
    let secrets = fake.secrets();
    let planted: Vec<&String> = secrets.iter().filter(|secret| secret.starts_with("PLANTED-")).collect();
    for kind in ["storage-key", "storage-secret", "stream", "meeting", "webhook"] {
        let of_kind = planted.iter().filter(|secret| secret.contains(kind));
        assert!(of_kind.filter(|secret| told.contains(secret.as_str())).count() > 5, "{kind}");
    }
    for secret in &secrets {
        let is_room_code = secret.split('-').map(str::len).eq([3, 4, 3]);
        assert!(secret.len() >= 12 && (is_room_code || secret.contains(|c: char| c.is_ascii_digit())), "{secret}");
        assert!(!truth.contains(secret.as_str()), "{secret} is in the truth");
    }
    assert!(secrets.contains(&fake.app_secret()));
}

#[test]
fn the_large_scale_is_large() {
    let fake = Fake::start(Options { scale: Scale::Large, ..Options::default() });
    let truth = fake.truth();
    assert_eq!(truth.streams["sessions"].len(), 12_000);
    assert_eq!(truth.streams["rooms"].len(), 1_500);
    assert!(truth.streams["analytics_events"].len() > 18_000);
    let changes = fake.advance_small(1.0);
    assert!((60..=200).contains(&changes.streams["sessions"].len()));
    assert!((15..=40).contains(&changes.streams["rooms"].len()));
}

#[test]
fn a_benchmark_gets_what_it_ordered() {
    let counts = Counts {
        sessions: 300,
        sessions_in_one_second: 120,
        recordings: 40,
        files_per_recording: Some(3),
        varied: false,
        ..Counts::default()
    };
    let fake = Fake::start(Options { scale: Scale::Custom(counts), ..Options::default() });
    let truth = fake.truth();
    let second = |record: &Value| record["created_at"].as_str().map(|time| time[..19].to_owned());
    let by_second =
        truth.streams["sessions"].values().filter_map(second).fold(BTreeMap::new(), |mut counts, second| {
            *counts.entry(second).or_insert(0) += 1;
            counts
        });
    assert_eq!(by_second.values().max(), Some(&120));
    let has_three = |record: &Value| record["recording_assets"].as_array().map(Vec::len) == Some(3);
    assert_eq!(count(&truth, "recordings", has_three), 40);
    assert_eq!(count(&truth, "recordings", |record| record["status"] == "completed"), 40);
}
