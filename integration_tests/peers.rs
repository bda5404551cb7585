//! People in sessions: their ids, one rule for every stream, and the measurements of their calls.

use std::collections::BTreeSet;

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, PeersShape, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, assert_same_records, catalog, config_with};
use crate::messages::{Change, Level, Transcript};

/// A small workspace.
fn workspace(seed: u64, readings: Readings) -> Fake {
    let counts = Counts { rooms: 10, sessions: 40, peers_with_stats: 30, events_per_room: 2, ..Counts::default() };
    Fake::start(Options { seed, readings, scale: Scale::Custom(counts), ..Options::default() })
}

/// The streams that look at the people in sessions.
const STREAMS: [&str; 3] = ["sessions", "analytics_events", "peer_quality"];

fn read_with(fake: &Fake, settings: Value) -> Transcript {
    let mut settings = settings;
    settings["extra_streams"] = json!(["peer_quality"]);
    Call::read(&config_with(fake, settings), &catalog(&STREAMS, "full_refresh")).run().good(fake)
}

/// The ids of the people in `sessions`, and those of `analytics_events` that have joined.
fn ids(transcript: &Transcript) -> [BTreeSet<String>; 2] {
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let peers = transcript.records_of("sessions").filter_map(|session| session.data["peers"].as_array());
    let joined = transcript.records_of("analytics_events").filter(|event| event.data["source"] == "sessions");
    [
        peers.flatten().map(|peer| text(&peer["id"])).collect(),
        joined.map(|event| text(&event.data["peer_id"])).collect(),
    ]
}

#[test]
fn people_without_an_id_have_the_same_one_in_every_stream() {
    let readings = Readings { peers: PeersShape::ArrayWithoutIds, ..Readings::documented() };
    let fake = workspace(91, readings);
    let transcript = read_with(&fake, json!({}));
    for stream in STREAMS {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
    let [in_sessions, in_events] = ids(&transcript);
    assert!(in_events.len() > 20 && in_events.is_subset(&in_sessions));
    // Measurements are asked for under the same ids, and that 100ms may not know them is told.
    let asked: BTreeSet<String> = fake
        .request_log()
        .iter()
        .filter_map(|request| {
            request.target.split("peer_id=").nth(1).map(|id| id.split('&').next().unwrap_or(id).to_owned())
        })
        .collect();
    assert!(asked.len() > 50 && asked.is_subset(&in_sessions), "{asked:?}");
    assert!(transcript.logs(Level::Warn).iter().any(|warning| warning.contains("100ms gives no id for")));
    // And another sync finds the same ones.
    assert_eq!(ids(&read_with(&fake, json!({}))), [in_sessions, in_events]);
}

#[test]
fn an_id_that_is_made_up_tells_no_name_that_is_hidden() {
    let readings = Readings { peers: PeersShape::ArrayWithoutIds, ..Readings::documented() };
    let fake = workspace(92, readings);
    let [kept, _] = ids(&read_with(&fake, json!({})));
    for settings in [
        json!({"personal_data": "drop"}),
        json!({"personal_data": "hash", "personal_data_salt": "a salt of sixteen letters"}),
    ] {
        let [in_sessions, in_events] = ids(&read_with(&fake, settings));
        assert!(in_events.is_subset(&in_sessions));
        assert_eq!(in_sessions.len(), kept.len());
        // An empty name stays one.
        let common = in_sessions.intersection(&kept).count();
        assert!(common * 4 < kept.len(), "{common} of {} ids hang on the name", kept.len());
    }
}

#[test]
fn an_entry_under_an_empty_key_has_an_id_of_its_own() {
    let fake = workspace(93, Readings::documented());
    let now = fake.now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let session = |id: &str, peers: &str| {
        format!(
            r#"{{"id":"{id}","room_id":"r","active":false,"created_at":"{now}","updated_at":"{now}","peers":{peers}}}"#
        )
    };
    let entry = format!(r#"{{"name":"Ada","joined_at":"{now}","left_at":"{now}"}}"#);
    let sessions = [
        session("665f00000000000000000001", &format!(r#"{{"":{entry}}}"#)),
        session("665f00000000000000000002", &format!(r#"{{"key":{entry}}}"#)),
        session("665f00000000000000000003", &format!("[{entry},{entry}]")),
    ];
    let page = format!(r#"{{"limit":100,"data":[{}],"last":""}}"#, sessions.join(","));
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::Says(page)));
    let transcript = read_with(&fake, json!({"analytics_event_types": ["peer.join", "peer.leave"]}));
    let [in_sessions, in_events] = ids(&transcript);
    assert_eq!((in_sessions.len(), &in_sessions), (4, &in_events));
    assert!(in_sessions.contains("key") && in_sessions.iter().any(|id| id.ends_with("-2")), "{in_sessions:?}");
    let by_id = transcript.by_key("analytics_events").0;
    assert_eq!(by_id.len(), 8, "each has joined and left: {by_id:#?}");
}

#[test]
fn an_odd_measure_of_a_track_leaves_the_others_as_they_are() {
    let fake = workspace(94, Readings::documented());
    let columns = |transcript: &Transcript, measure: &str| {
        let record = |record: &crate::messages::Record| (record.key(), record.data[&format!("{measure}_mean")].clone());
        transcript.records_of("peer_quality").map(record).collect::<std::collections::BTreeMap<_, _>>()
    };
    let plain = read_with(&fake, json!({}));
    let with = |key: &str, json: &str| {
        let odd = Fault::SetMember { key: key.to_owned(), json: json.to_owned() };
        fake.set_faults(FaultPlan::new().on("/v2/analytics/peer-stats", When::Always, odd));
        read_with(&fake, json!({}))
    };
    for odd in ["null", "\"opus\"", "{\"a\":1}", "[null]", "[\"n/a\"]"] {
        let transcript = with("bitrate", odd);
        assert!(columns(&transcript, "bitrate").values().all(Value::is_null), "{odd}");
        for measure in ["fps", "rtt_ms", "jitter_ms", "packet_loss_percent"] {
            assert_eq!(columns(&transcript, measure), columns(&plain, measure), "{measure} with {odd}");
        }
        let is_told = transcript
            .records_of("peer_quality")
            .any(|record| record.changes().contains(&("bitrate_mean", Change::Nulled)));
        assert_eq!(is_told, !matches!(odd, "null" | "[null]"), "{odd}");
    }
    let as_texts = with("bitrate", "[\"1000\",2000.0,null,\" 3e3 \"]");
    let means = columns(&as_texts, "bitrate");
    assert!(means.values().any(|mean| *mean == 2000.0), "{means:?}");
    assert!(means.values().all(|mean| mean.is_null() || *mean == 2000.0), "{means:?}");
    let times = with("timestamps", "[\"1714557600000\",\"1714557610000\"]");
    for record in times.records_of("peer_quality") {
        assert_eq!(record.data["started_at"], "2024-05-01T10:00:00.000000Z");
        assert_eq!(
            (&record.data["stopped_at"], &record.data["samples"]),
            (&json!("2024-05-01T10:00:10.000000Z"), &json!(2))
        );
    }
}
