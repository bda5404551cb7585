//! `sessions`, `session_peers` and `active_room_peers`: people without an id, live rooms, ends that nobody tells.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, PeersShape, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, PEER_STREAMS, assert_same_records, catalog, config, config_with, fake, first_read, read_of_keys, read_with,
    requests_by_route, settings, workspace, workspace_of_many_pages,
};
use crate::messages::{Level, Transcript};
use crate::platform::Connection;

#[test]
fn a_session_that_somebody_never_left_ends_with_the_last_known_time() {
    let counts = Counts { peers_with_stats: 600, ..Counts::default() };
    let readings = Readings { all_left: false, ended_at: false, ..Readings::documented() };
    let fake = Fake::start(Options { seed: 76, readings, scale: Scale::Custom(counts), ..Options::default() });
    let streams = ["sessions", "peer_quality", "analytics_events"];
    let mut connection = Connection::of(&fake, &streams);
    connection.config = config_with(&fake, json!({"extra_streams": ["peer_quality"]}));
    connection.sync();
    connection.assert_is_complete();
    let is_open = |session: &&serde_json::Value| {
        let stayed = |peer: &serde_json::Value| peer["left_at"].is_null();
        session["active"] == false && session["peers"].as_array().unwrap().iter().any(stayed)
    };
    let open = connection.records["sessions"].values().filter(is_open).count();
    assert!(open > 20, "only {open} sessions have somebody who never left: the test proves little");
    for _ in 0..3 {
        fake.advance();
        connection.sync();
        connection.assert_is_up_to_date();
    }
}

/// 100ms saves a session a moment after somebody has moved, so `updated_at` is later than all that is known to have
/// happened, and yet it need not be the end.
#[test]
fn the_end_of_a_session_is_read_although_no_time_tells_it() {
    for (seed, all_left) in [(77, true), (78, false)] {
        let readings =
            Readings { all_left, ended_at: false, session_end_moves_updated_at: false, ..Readings::documented() };
        let counts = Counts { peers_with_stats: 600, ..Counts::default() };
        let fake = Fake::start(Options { seed, readings, scale: Scale::Custom(counts), ..Options::default() });
        let mut connection = Connection::of(&fake, &["sessions", "session_peers", "peer_quality"]);
        connection.config = config_with(&fake, json!({"extra_streams": ["session_peers", "peer_quality"]}));
        connection.sync();
        for hours in [1, 5, 13] {
            fake.advance_seconds(600);
            connection.sync();
            let live = connection.records["sessions"].values().filter(|session| session["active"] == true).count();
            assert!(live > 0, "nobody is there: the test proves nothing");
            if hours == 5 {
                // As a state of before, or of Airbyte's own connector.
                let of_before = |state: &mut Value| _ = state.as_object_mut().expect("a state").remove("live");
                connection.states.values_mut().for_each(of_before);
            }
            fake.let_sessions_end(TimeDelta::hours(hours));
            connection.sync();
            connection.assert_is_up_to_date();
            let again = connection.sync();
            assert_eq!(again.records().count(), 0, "nothing has happened since");
        }
    }
}

#[test]
fn a_room_with_two_live_sessions_on_two_pages_has_each_peer_once() {
    let fake = Fake::start(Options { seed: 312, max_page: 2, ..Options::default() });
    let room =
        fake.truth().streams["active_room_peers"].values().next().expect("somebody is in a room")["room_id"].clone();
    let all_here = Fault::SetMember { key: "room_id".into(), json: room.to_string() };
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, all_here));
    let transcript = read_of_keys(&fake, &["active_room_peers"]);
    let (records, count) = transcript.by_key("active_room_peers");
    assert!(count > 0 && count == records.len(), "{count} records of {} peers", records.len());
    let newest = fake.truth().streams["sessions"]
        .values()
        .filter(|session| session["active"] == true)
        .map(|session| session["id"].to_string())
        .max();
    assert!(records.values().all(|peer| Some(peer["session_id"].to_string()) == newest), "{newest:?}");
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
    for stream in PEER_STREAMS {
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
fn only_live_rooms_are_asked_for_their_peers() {
    let fake = fake(3);
    let transcript = Call::read(&config(&fake), &catalog(&["active_room_peers"], "full_refresh")).run().good(&fake);
    let sessions = &fake.truth().streams["sessions"];
    let live: std::collections::BTreeSet<_> = sessions
        .values()
        .filter(|session| session["active"] == true)
        .map(|session| session["room_id"].to_string())
        .collect();
    let asked = requests_by_route(&fake)["/v2/active-rooms/{room_id}/peers"].as_u64().unwrap();
    assert_eq!(asked, live.len() as u64);
    assert!(transcript.records().count() > 0);
}

#[test]
fn fields_that_100ms_adds_to_entries_are_passed_on_after_the_known_ones() {
    let readings = Readings { unknown_entry_fields: true, ..Readings::documented() };
    let fake = workspace_of_many_pages(Options { seed: 64, readings, ..Options::default() });
    let run = first_read(&fake, &["sessions", "recordings"]).run();
    let transcript = run.good(&fake);
    for stream in ["sessions", "recordings"] {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
    let text = String::from_utf8(run.stdout).expect("UTF-8");
    let entry = text.split("\"peers\":[{").nth(1).expect("a peer").split('}').next().expect("its end");
    let place = |key: &str| entry.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {entry}"));
    assert!(place("duration") < place("fieldFromTheFuture"), "{entry}");
}

// `session_peers`.

#[test]
fn session_peers_costs_what_sessions_costs_and_follows_late_endings() {
    let fake = workspace_of_many_pages(Options { seed: 94, ..Options::default() });
    let mut sessions = Connection::of(&fake, &["sessions"]);
    let mut stays = Connection::of(&fake, &["session_peers"]);
    let mut late = 0;
    for _ in 0..4 {
        let mut requests = Vec::new();
        for connection in [&mut sessions, &mut stays] {
            fake.reset_requests();
            connection.sync();
            connection.assert_is_complete();
            requests.push(fake.total_requests());
        }
        assert_eq!(requests[0], requests[1]);
        let live: BTreeSet<String> = stays.records["session_peers"]
            .iter()
            .filter(|(_, stay)| stay["left_at"].is_null())
            .map(|(key, _)| key.clone())
            .collect();
        fake.advance();
        stays.sync();
        stays.assert_is_complete();
        late += live.iter().filter(|key| stays.records["session_peers"][*key]["left_at"].is_string()).count();
        assert_eq!(stays.sync().records().count(), 0, "nothing has changed");
    }
    assert!(late > 5, "{late} people left later: the test proves nothing");
}

#[test]
fn a_person_is_hidden_alike_in_a_stay_and_in_a_session() {
    let fake = fake(95);
    for choice in ["hash", "drop"] {
        let mut settings = settings(&fake, choice);
        settings["extra_streams"] = json!(["session_peers"]);
        let streams = ["sessions", "session_peers"];
        let transcript = Call::read(&settings, &catalog(&streams, "full_refresh")).run().good(&fake);
        let stays = transcript.by_key("session_peers").0;
        let mut compared = 0;
        for session in transcript.records_of("sessions") {
            for peer in session.data["peers"].as_array().expect("a list") {
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                let stay = &stays[&format!("{}|{}", text(&session.data["id"]), text(&peer["id"]))];
                for column in ["name", "user_id", "metadata"] {
                    assert_eq!(stay[column], peer[column], "{choice}: {column}");
                    compared += usize::from(!stay[column].is_null());
                }
            }
        }
        assert_eq!(compared > 0, choice == "hash");
    }
}
