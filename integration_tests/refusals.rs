//! Single items that are refused or not there: what is a gap, and what makes a stream incomplete.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, ListOrder, Options, Readings, Scale, Truth, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, Finished, assert_same_records, catalog, config_with, fake, requests_by_route, short_pages, states,
};
use crate::messages::{FailureType, Level, Status, Transcript};

const PEERS: &str = "/v2/active-rooms/{room_id}/peers";
const SETTINGS: &str = "/v2/templates/{id}/settings";
const DESTINATIONS: &str = "/v2/templates/{id}/destinations";
const CONFIGURATIONS: &str = "/v2/templates/{id}/recordings";
const EVENTS: &str = "/v2/analytics/events";
const STATS: &str = "/v2/analytics/peer-stats";
const RECORDING: &str = "/v2/recordings/{id}";
const LINK: &str = "/v2/recording-assets/{id}/presigned-url";

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

fn always(route: &str, fault: Fault) -> FaultPlan {
    FaultPlan::new().on(route, When::Always, fault)
}

/// A connection that reads one stream, what it has written, and its last state.
struct Reader<'f> {
    fake: &'f Fake,
    stream: &'static str,
    config: Value,
    records: BTreeMap<String, Value>,
    state: BTreeMap<String, Value>,
}

impl<'f> Reader<'f> {
    fn new(fake: &'f Fake, stream: &'static str) -> Self {
        let config = config_with(fake, json!({"extra_streams": ["peer_quality"]}));
        Reader { fake, stream, config, records: BTreeMap::new(), state: BTreeMap::new() }
    }

    fn call(&self) -> Call {
        let call = Call::read(&self.config, &catalog(&[self.stream], "incremental"));
        call.file("state", &states(&self.state)).argument("--debug")
    }

    fn load(&mut self, run: &Finished) -> Transcript {
        let transcript = run.transcript();
        transcript.assert_in_order();
        self.records.extend(transcript.by_key(self.stream).0);
        self.state.extend(transcript.last_states());
        transcript
    }

    /// A sync that reads the stream to its end.
    fn completes(&mut self) -> Transcript {
        let run = self.call().run();
        run.good(self.fake);
        self.load(&run)
    }

    /// A sync that ends with one error of the stream.
    fn fails(&mut self, kind: FailureType) -> Transcript {
        let run = self.call().run();
        let transcript = self.load(&run);
        assert_eq!(run.status.code(), Some(1), "{}", run.report(self.fake));
        assert_eq!(transcript.statuses_of(self.stream).last(), Some(&Status::Incomplete));
        let errors = transcript.errors();
        assert!(errors.len() == 1 && errors[0].failure_type == kind, "{errors:?}");
        transcript
    }

    fn pending(&self) -> &Value {
        &self.state[self.stream]["resume"]["pending"]
    }

    fn assert_is(&self, truth: &Truth) {
        assert_same_records(self.stream, &self.records, &truth.streams[self.stream]);
    }
}

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
            let mut running = reader.call().start();
            crate::harness::until_answered(&fake, 10 + 8 * seed);
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
fn a_recording_that_is_refused_by_itself_is_a_gap_among_others_and_else_pending() {
    // Out of order, each recording is asked for alone.
    let readings = Readings { recording_order: ListOrder::Shuffled, ..Readings::documented() };
    let fake = Fake::start(Options { seed: 49, readings, ..Options::default() });
    for urls in ["presigned", "none"] {
        let read = |fault| {
            let mut reader = Reader::new(&fake, "recordings");
            reader.config["recording_urls"] = urls.into();
            fake.set_faults(fault);
            reader
        };
        let truth = fake.truth();
        let chosen = truth.streams["recordings"].keys().next().unwrap();
        let mut reader = read(always(&RECORDING.replace("{id}", chosen), Fault::Status(403)));
        let told = reader.completes();
        assert!(told.logs(Level::Warn).iter().any(|log| log.contains(chosen)), "{:?}", told.logs(Level::Warn));
        assert_eq!(reader.records.len(), truth.streams["recordings"].len() - 1);

        let mut reader = read(always(RECORDING, Fault::Status(409)));
        reader.fails(FailureType::SystemError);
        fake.clear_faults();
        reader.completes();
        assert_eq!(reader.records.len(), truth.streams["recordings"].len());
    }
}

/// As in workspaces with HIPAA.
#[test]
fn links_that_are_never_given_are_not_waited_for() {
    let counts = Counts { recordings: 400, files_per_recording: Some(1), ..Counts::default() };
    let fake = Fake::start(Options { seed: 50, scale: Scale::Custom(counts), ..Options::default() });
    fake.set_faults(always(LINK, Fault::Status(500)));
    let transcript = Reader::new(&fake, "recordings").completes();
    let asked = requests_by_route(&fake)[LINK].as_u64().unwrap();
    assert!((40..=2 * 120).contains(&asked), "{asked} requests for links that are never given");
    let told = transcript.logs(Level::Warn);
    assert!(told.len() == 1 && told[0].contains("400 of 400 links"), "{told:?}");
    let records = transcript.by_key("recordings").0;
    assert!(records.len() == 400 && records.values().all(|record| record["url"].is_null()));
}

#[test]
fn a_workspace_without_refusals_hears_of_none() {
    let fake = fake(51);
    for (_, stream) in CHILDREN {
        let transcript = Reader::new(&fake, stream).completes();
        assert_eq!(transcript.logs(Level::Warn), [""; 0], "{stream}");
    }
}
