//! Single items that are refused or not there.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::{Fake, Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{
    Reader, always, assert_same_records, fake, first_read, for_each, offered_streams, short_pages, until_answered,
};
use crate::messages::{FailureType, Level};
use crate::platform::{examine, read_all};

#[test]
fn a_child_that_is_gone_is_skipped() {
    let children = [
        ("/v2/active-rooms/{room_id}/peers", "active_room_peers"),
        ("/v2/templates/{id}/settings", "template_settings"),
        ("/v2/templates/{id}/destinations", "templates_destinations"),
        ("/v2/analytics/events", "analytics_events"),
    ];
    for_each(&children, |(route, stream)| {
        let fake = short_pages(23);
        fake.set_faults(FaultPlan::new().on(route, When::First(4), Fault::NotFound));
        let run = read_all(&fake).run();
        let transcript = run.good(&fake);
        examine(&run, &fake);
        let truth = fake.truth();
        for other in offered_streams().iter().filter(|other| *other != stream) {
            assert_same_records(other, &transcript.by_key(other).0, &truth.streams[*other]);
        }
        let (records, truth) = (transcript.by_key(stream).0, &truth.streams[*stream]);
        assert!(!records.is_empty() && records.len() < truth.len(), "{} of {} in {stream}", records.len(), truth.len());
        assert!(records.keys().all(|key| truth.contains_key(key)), "{stream}");
        let beginning = route.split('{').next().expect("a route");
        let is_about = |log: &&&str| log.contains(beginning) && log.ends_with("skipped.");
        let told = transcript.logs(Level::Debug).iter().filter(is_about).count();
        // Some rooms have nobody in them besides.
        assert!(told >= 4, "{stream}: {told} of 4 are named: {:?}", transcript.logs(Level::Debug));
    });
}

const PEERS: &str = "/v2/active-rooms/{room_id}/peers";

const SETTINGS: &str = "/v2/templates/{id}/settings";

const DESTINATIONS: &str = "/v2/templates/{id}/destinations";

const CONFIGURATIONS: &str = "/v2/templates/{id}/recordings";

const EVENTS: &str = "/v2/analytics/events";

const STATS: &str = "/v2/analytics/peer-stats";

/// The endpoints about one item, and the stream that asks them.
const CHILDREN: [(&str, &str); 6] = [
    (PEERS, "active_room_peers"),
    (SETTINGS, "template_settings"),
    (DESTINATIONS, "templates_destinations"),
    (CONFIGURATIONS, "templates_destinations"),
    (EVENTS, "analytics_events"),
    (STATS, "peer_quality"),
];

const REFUSALS: [Fault; 5] =
    [Fault::Status(400), Fault::RoomDisabled, Fault::Status(409), Fault::Status(422), Fault::Status(451)];

fn kind_of(refusal: &Fault) -> FailureType {
    if *refusal == Fault::RoomDisabled { FailureType::ConfigError } else { FailureType::SystemError }
}

#[test]
fn what_was_refused_is_pending_and_read_by_a_later_sync() {
    for refusal in REFUSALS {
        for (route, stream) in [(EVENTS, "analytics_events"), (STATS, "peer_quality")] {
            eprintln!("{stream}: {refusal:?}");
            let fake = short_pages(41);
            let mut reader = Reader::new(&fake, stream);
            fake.set_faults(always(route, refusal.clone()));
            reader.fails(kind_of(&refusal));
            assert!(stream != "analytics_events" || !reader.pending().as_array().unwrap().is_empty());
            // As long as nothing is mended, nothing is taken for read.
            reader.fails(kind_of(&refusal));
            fake.clear_faults();
            reader.completes();
            reader.assert_is(&fake.truth());
            assert_eq!(reader.state[stream]["resume"], Value::Null);
        }
    }
}

#[test]
fn a_sync_that_is_resumed_reads_only_what_was_refused() {
    let fake = short_pages(42);
    let mut reader = Reader::new(&fake, "analytics_events");
    fake.set_faults(always(EVENTS, Fault::Status(400)));
    let first = reader.fails(FailureType::SystemError).by_key("analytics_events").0;
    assert!(!first.is_empty(), "joins and leaves were read");
    fake.clear_faults();
    let second = reader.completes().by_key("analytics_events").0;
    let again: Vec<_> = second.keys().filter(|key| first.contains_key(*key)).collect();
    assert!(again.is_empty(), "written again: {again:?}");
    reader.assert_is(&fake.truth());
}

/// The requests of one kind of item: the path, or path and query, that a fault names it by.
fn targets(fake: &Fake, route: &str) -> BTreeSet<String> {
    let beginning = route.split('{').next().unwrap();
    let end = route.rsplit('}').next().filter(|end| *end != route).unwrap_or_default();
    let item = |target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = if route == EVENTS { "room_id=" } else { "peer_id=" };
        let pair = query.split('&').find(|pair| pair.starts_with(name));
        pair.map_or_else(|| path.to_owned(), |pair| format!("{path}?{pair}"))
    };
    let is_of_route = |target: &&String| {
        let path = target.split('?').next().unwrap();
        path.starts_with(beginning) && path.ends_with(end) && (route.contains('{') || path == route)
    };
    let log = fake.request_log();
    log.iter().map(|request| &request.target).filter(is_of_route).map(|target| item(target)).collect()
}

#[test]
fn a_refused_item_is_a_gap_whenever_it_was_asked_for() {
    for (route, stream) in CHILDREN {
        let fake = short_pages(43);
        Reader::new(&fake, stream).completes();
        let targets: Vec<String> = targets(&fake, route).into_iter().collect();
        assert!(targets.len() > 2, "{route}: {targets:?}");
        for (number, refusal) in REFUSALS.into_iter().enumerate() {
            // One is refused, or all but one.
            let chosen = &targets[number % targets.len()];
            for refused in [BTreeSet::from([chosen]), targets.iter().filter(|target| *target != chosen).collect()] {
                let plan = |plan: FaultPlan, target: &&String| plan.on(target, When::Always, refusal.clone());
                fake.set_faults(refused.iter().fold(FaultPlan::new(), plan));
                let mut reader = Reader::new(&fake, stream);
                let transcript = reader.completes();
                let truth = fake.truth();
                assert!(reader.records.iter().all(|(key, record)| truth.streams[stream].get(key) == Some(record)));
                let told = transcript.logs(Level::Warn);
                assert_eq!(told.len(), 1, "{route}, {refusal:?}: {told:?}");
                let id = chosen.rsplit(['=', '/']).find(|part| part.len() > 20).unwrap();
                let expected = if refused.len() == 1 { id.to_owned() } else { format!("{} of ", refused.len()) };
                assert!(told[0].contains(&expected) || route == EVENTS, "{route}, {refusal:?}: {told:?}");
                let lost = truth.streams[stream].keys().filter(|key| !reader.records.contains_key(*key));
                let lost: Vec<&Value> = lost.map(|key| &truth.streams[stream][key]).collect();
                let is_of_refused = |record: &Value| {
                    refused.iter().any(|target| {
                        ["room_id", "template_id", "peer_id"].iter().any(|column| {
                            record[column].as_str().is_some_and(|id| !id.is_empty() && target.contains(id))
                        })
                    })
                };
                assert!(lost.iter().all(|record| is_of_refused(record)), "{route}, {refusal:?}: {lost:?}");
            }
        }
    }
}

#[test]
fn a_room_that_is_disabled_is_asked_twice_and_not_eight_times() {
    for (route, stream) in CHILDREN {
        let fake = short_pages(44);
        Reader::new(&fake, stream).completes();
        let target = targets(&fake, route).into_iter().next_back().unwrap();
        fake.reset_requests();
        fake.set_faults(always(&target, Fault::RoomDisabled));
        Reader::new(&fake, stream).completes();
        // A room is asked for its events session by session.
        let log = fake.request_log();
        let refused: Vec<&String> =
            log.iter().filter(|request| request.status == 403).map(|request| &request.target).collect();
        let items: BTreeSet<&String> = refused.iter().copied().collect();
        assert_eq!(refused.len(), 2 * items.len(), "{route}");
    }
}

#[test]
fn when_all_are_refused_the_stream_is_not_complete() {
    for (route, stream) in CHILDREN {
        for refusal in REFUSALS {
            let fake = short_pages(45);
            fake.set_faults(always(route, refusal.clone()));
            let transcript = Reader::new(&fake, stream).fails(kind_of(&refusal));
            let message = &transcript.errors()[0].message;
            assert!(message.contains(route.split('{').next().unwrap()), "{message}");
        }
    }
}

#[test]
fn items_that_are_not_there_are_no_gaps_and_told_when_it_is_all_of_them() {
    for (route, stream) in CHILDREN {
        for status in [404, 410] {
            let fake = short_pages(46);
            let gone = Fault::Status(status);
            fake.set_faults(FaultPlan::new().on(route, When::First(2), gone.clone()));
            let transcript = Reader::new(&fake, stream).completes();
            assert_eq!(transcript.logs(Level::Warn), [""; 0], "{route}, {status}");
            fake.set_faults(always(route, gone));
            let transcript = Reader::new(&fake, stream).completes();
            let told = transcript.logs(Level::Warn);
            assert!(told.len() == 1 && told[0].contains("there is nothing"), "{route}, {status}: {told:?}");
        }
    }
}

#[test]
fn what_is_refused_by_one_process_is_asked_again_by_the_next() {
    for (route, stream) in [(EVENTS, "analytics_events"), (STATS, "peer_quality")] {
        for seed in 0..4 {
            let fake = short_pages(47);
            let mut reader = Reader::new(&fake, stream);
            fake.set_faults(always(route, Fault::Status(400)).latency(4, 4));
            let mut running = reader.call().start().with_reader();
            until_answered(&fake, 10 + 8 * seed);
            if seed % 2 == 0 {
                running.signal("TERM");
            } else {
                running.child.kill().unwrap();
            }
            let run = running.finish();
            reader.load(&run);
            fake.clear_faults();
            reader.completes();
            reader.assert_is(&fake.truth());
        }
    }
}

/// When a room was the only one to be asked for its events, nothing tells whether all would be refused. Then others
/// are asked, and the stream goes on without it.
#[test]
fn one_refused_item_does_not_stop_a_stream_for_ever() {
    let fake = short_pages(48);
    let mut reader = Reader::new(&fake, "analytics_events");
    fake.set_faults(always(EVENTS, Fault::RoomDisabled));
    reader.fails(FailureType::ConfigError);
    let room = reader.pending()[0]["room"].as_str().unwrap().to_owned();
    // As after a sync in which only this one was to be asked.
    reader.state.get_mut("analytics_events").unwrap()["resume"]["pending"] =
        json!([{"list": "disabled", "room": room}]);
    fake.set_faults(always(&format!("{EVENTS}?room_id={room}"), Fault::RoomDisabled));
    reader.fails(FailureType::ConfigError);
    let told = reader.completes();
    assert!(told.logs(Level::Warn).iter().any(|log| log.contains(&room)), "{:?}", told.logs(Level::Warn));
    let mut expected = fake.truth().streams["analytics_events"].clone();
    expected.retain(|_, event| event["source"] == "sessions" || event["room_id"] != room.as_str());
    assert_same_records("analytics_events", &reader.records, &expected);
}

#[test]
fn a_workspace_without_refusals_hears_of_none() {
    let fake = fake(51);
    for (_, stream) in CHILDREN {
        let transcript = Reader::new(&fake, stream).completes();
        assert_eq!(transcript.logs(Level::Warn), [""; 0], "{stream}");
    }
}

/// A child that is refused is named, and all others are read.
#[test]
fn a_child_that_is_refused_costs_nobody_else() {
    let fake = fake(66);
    let truth = fake.truth();
    let mut plan = FaultPlan::new();
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let templates: Vec<&String> = truth.streams["templates"].keys().collect();
    for (place, status) in [(0, 400), (2, 403), (4, 422)] {
        let id = templates[place];
        plan = plan.on(&format!("/v2/templates/{id}/settings"), When::Always, Fault::Status(status));
        plan = plan.on(
            &format!("/v2/templates/{}/destinations", templates[place + 1]),
            When::Always,
            Fault::Status(status),
        );
        refused.entry("template_settings").or_default().push(id.clone());
        refused.entry("templates_destinations").or_default().push(templates[place + 1].clone());
    }
    let rooms: Vec<&String> = truth.streams["rooms"].keys().collect();
    for (place, status) in [(0, 400), (3, 409), (7, 422), (9, 451)] {
        plan = plan.on(&format!("/v2/analytics/events?room_id={}", rooms[place]), When::Always, Fault::Status(status));
        refused.entry("analytics_events").or_default().push(rooms[place].clone());
    }
    fake.set_faults(plan);
    let streams = ["template_settings", "templates_destinations", "analytics_events"];
    let transcript = first_read(&fake, &streams).run().good(&fake);
    for stream in streams {
        let read = transcript.by_key(stream).0;
        let ids = &refused[stream];
        let belongs = |record: &Value| {
            ids.iter().any(|id| record["template_id"] == id.as_str() || record["room_id"] == id.as_str())
        };
        for (key, record) in &truth.streams[stream] {
            assert!(read.contains_key(key) || belongs(record), "{stream}: {key} is missing");
        }
        for id in ids {
            let said = transcript.logs(Level::Warn);
            assert!(said.iter().any(|log| log.contains(id)), "{stream}: nobody names {id}: {said:#?}");
        }
    }
}
