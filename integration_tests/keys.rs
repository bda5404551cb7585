//! Over all streams: what identifies a record comes once in a sync. It comes again only when the later one replaces
//! the earlier, which is when it has a cursor that is not before it.

use std::collections::HashMap;

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, EXTRA, catalog, config_with, every_stream};
use crate::messages::Transcript;

fn small(readings: Readings) -> Fake {
    let counts = Counts {
        rooms: 12,
        sessions: 60,
        recordings: 25,
        templates: 8,
        events_per_room: 4,
        live_streams: 25,
        external_streams: 25,
        webhook_events: 120,
        peers_with_stats: 60,
        ..Counts::default()
    };
    Fake::start(Options { seed: 311, readings, scale: Scale::Custom(counts), max_page: 10, ..Options::default() })
}

fn read(fake: &Fake, streams: &[&str]) -> Transcript {
    let config = config_with(fake, json!({"extra_streams": EXTRA}));
    Call::read(&config, &catalog(streams, "full_refresh")).run().good(fake)
}

fn assert_no_key_repeats(transcript: &Transcript, when: &str) {
    for stream in source_100ms::streams::every() {
        let mut known: HashMap<String, Option<String>> = HashMap::new();
        for record in transcript.records_of(stream.name) {
            let cursor = stream.cursor.and_then(|cursor| record.data[cursor].as_str()).map(str::to_owned);
            let before = known.insert(record.key(), cursor.clone());
            let replaces = |before: &Option<String>| before.is_some() && cursor >= *before;
            assert!(before.as_ref().is_none_or(replaces), "{when}: {} `{}` came twice", stream.name, record.key());
        }
        // Nobody can ask about a peer whose id 100ms does not tell.
        let has_none = stream.name == "peer_quality" && when == "peers as array without ids";
        assert!(has_none || !known.is_empty(), "{when}: {} is empty: the test proves nothing", stream.name);
    }
}

#[test]
fn no_key_repeats_under_any_reading() {
    for (name, readings) in Readings::alternatives().into_iter().filter(|(_, readings)| readings.has_webhook) {
        let fake = small(readings);
        assert_no_key_repeats(&read(&fake, &every_stream()), name);
    }
}

#[test]
fn no_key_repeats_when_pages_repeat_items() {
    let fake = small(Readings::documented());
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::ShiftedItems(3)));
    assert_no_key_repeats(&read(&fake, &every_stream()), "shifted items");
}

#[test]
fn a_room_with_two_live_sessions_on_two_pages_has_each_peer_once() {
    let fake = Fake::start(Options { seed: 312, max_page: 2, ..Options::default() });
    let room =
        fake.truth().streams["active_room_peers"].values().next().expect("somebody is in a room")["room_id"].clone();
    let all_here = Fault::SetMember { key: "room_id".into(), json: room.to_string() };
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, all_here));
    let transcript = read(&fake, &["active_room_peers"]);
    let (records, count) = transcript.by_key("active_room_peers");
    assert!(count > 0 && count == records.len(), "{count} records of {} peers", records.len());
    let newest = fake.truth().streams["sessions"]
        .values()
        .filter(|session| session["active"] == true)
        .map(|session| session["id"].to_string())
        .max();
    assert!(records.values().all(|peer| Some(peer["session_id"].to_string()) == newest), "{newest:?}");
}

#[test]
fn destinations_under_both_spellings_of_their_kind_are_all_there_once() {
    let fake = Fake::start(Options { seed: 313, ..Options::default() });
    let answer = json!({"a": {"name": "a"}, "b": {"name": "b"}});
    let other = json!({"b": {"name": "b"}, "a": {"name": "another"}, "c": {"name": "c"}});
    let twice = json!({"rtmpDestinations": answer, "rtmp_destinations": other, "recording": {"upload": {"name": "x"}}});
    let whole = Fault::Says(twice.to_string());
    fake.set_faults(FaultPlan::new().on("/v2/templates/{id}/destinations", When::Always, whole));
    let transcript = read(&fake, &["templates_destinations"]);
    let (records, count) = transcript.by_key("templates_destinations");
    assert_eq!(count, records.len());
    let first = records.values().next().expect("a destination")["template_id"].clone();
    let rtmp = records.values().filter(|one| one["template_id"] == first && one["destination_type"] == "rtmp");
    let mut found: Vec<(Value, Value)> = rtmp.map(|one| (one["id"].clone(), one["name"].clone())).collect();
    found.sort_by_key(|(id, name)| (id.to_string(), name.to_string()));
    let expected = [("a", "a"), ("a#0", "another"), ("b", "b"), ("c", "c")];
    assert_eq!(found, expected.map(|(id, name)| (json!(id), json!(name))));
}
