//! The streams on request: all records and no others, whatever changes, dies or is left open; and what each of
//! them promises besides.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, ListOrder, MissingStats, NoWebhook, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::bad_input::flaws_of;
use crate::harness::{
    Call, EXTRA, STREAMS, assert_same_records, catalog, config, config_with, fake, requests_by_route, states,
};
use crate::messages::{CheckStatus, Level, Message, Transcript};
use crate::platform::{Connection, Warehouse, assert_no_secret};

const WEBHOOKS: &str = "/v2/analytics/webhooks";
const STATS: &str = "/v2/analytics/peer-stats";

/// A configuration that asks for all of them.
fn extra_config(fake: &Fake) -> Value {
    config_with(fake, json!({"extra_streams": EXTRA}))
}

fn fake_with(readings: Readings, counts: Counts) -> Fake {
    Fake::start(Options { seed: 61, readings, scale: Scale::Custom(counts), ..Options::default() })
}

fn read(fake: &Fake, streams: &[&str]) -> Transcript {
    Call::read(&extra_config(fake), &catalog(streams, "full_refresh")).run().good(fake)
}

/// A connection that reads all of them.
fn connection(fake: &Fake) -> Connection<'_> {
    let mut connection = Connection::of(fake, &EXTRA);
    connection.config = extra_config(fake);
    connection
}

/// Where there is a little of everything: enough for several pages of ten.
fn few() -> Counts {
    Counts {
        rooms: 12,
        sessions: 60,
        recordings: 10,
        events_per_room: 1,
        live_streams: 25,
        external_streams: 25,
        webhook_events: 120,
        peers_with_stats: 60,
        ..Counts::default()
    }
}

/// Where there is much of everything but of sessions.
fn busy() -> Counts {
    Counts {
        sessions: 1_200,
        live_streams: 1_500,
        external_streams: 1_500,
        webhook_events: 12_000,
        peers_with_stats: 2_500,
        recordings: 50,
        ..Counts::default()
    }
}

#[test]
fn every_record_of_every_extra_stream_is_the_truth() {
    for seed in 1..=3 {
        let fake = fake(seed);
        let (transcript, truth) = (read(&fake, &EXTRA), fake.truth());
        for stream in EXTRA {
            let (records, count) = transcript.by_key(stream);
            assert_same_records(stream, &records, &truth.streams[stream]);
            assert_eq!(count, records.len(), "{stream}: a record came twice");
            assert!(count > 0, "{stream} is empty: the test proves nothing");
        }
    }
}

#[test]
fn each_reading_is_read_whole_and_followed_and_some_are_resumed_after_kills() {
    let (mut kills, mut halves) = (0, 0);
    for (number, (name, readings)) in Readings::alternatives().into_iter().enumerate() {
        eprintln!("reading: {name}");
        let scale = Scale::Custom(few());
        let fake = Fake::start(Options { seed: 62, readings, scale, max_page: 10, ..Options::default() });
        let mut connection = connection(&fake);
        let first = connection.sync();
        for stream in EXTRA {
            let (records, count) = first.by_key(stream);
            assert_eq!(count, records.len(), "{stream}: a record came twice");
        }
        connection.assert_is_complete();
        for _ in 0..2 {
            let changes = fake.advance();
            let transcript = connection.sync();
            connection.assert_is_complete();
            for stream in EXTRA {
                let (emitted, touched) = (transcript.by_key(stream).0, changes.streams.get(stream));
                // Somebody without an id has another one in the records.
                let truth = &fake.truth().streams[stream];
                let is_missed = |key: &&String| truth.contains_key(*key) && !emitted.contains_key(*key);
                let missed: Vec<_> = touched.into_iter().flatten().filter(is_missed).collect();
                assert!(missed.is_empty(), "{stream} misses changes: {missed:?}");
            }
        }
        // The simulation kills and stops under all of them.
        if number % 4 > 0 {
            continue;
        }
        let (warehouse, killed) = read_with_kills(&fake, number as u64, 1, 600_000, None);
        warehouse.assert_equals(&fake);
        kills += killed;
        // So small a workspace has no state in the middle of a stream, unless the read is asked to stop.
        let (warehouse, half_read) = read_with_stops(&fake, number as u64);
        warehouse.assert_equals(&fake);
        halves += half_read;
    }
    assert!(kills >= 5, "only {kills} kills hit: the test proves little");
    assert!(halves >= 5, "only {halves} streams were cut in the middle: the test proves little");
}

/// Reads with two stops, each within the first bytes of a run, and then to the end; how many states had something
/// pending on the way.
fn read_with_stops(fake: &Fake, seed: u64) -> (Warehouse, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut warehouse, mut halves, mut stops) = (Warehouse::default(), 0, 0);
    loop {
        let call = Call::read(&extra_config(fake), &catalog(&EXTRA, "incremental"));
        let mut running = call.file("state", &states(&warehouse.states)).start();
        let first = if stops < 2 { random.u64(20_000..400_000) } else { 0 };
        let mut begun = Vec::new();
        let mut pipe = running.child.stdout.take().expect("stdout is piped");
        pipe.by_ref().take(first).read_to_end(&mut begun).expect("stdout is readable");
        running.child.stdout = Some(pipe);
        if stops < 2 {
            running.signal("TERM");
        }
        let mut run = running.finish();
        run.stdout = [begun, run.stdout].concat();
        let transcript = run.transcript();
        transcript.assert_in_order();
        warehouse.load(&transcript);
        if run.status.success() {
            return (warehouse, halves);
        }
        halves += warehouse.states.values().filter(|state| state["resume"]["pending"].is_array()).count();
        stops += 1;
    }
}

/// Reads with so many kills within the first bytes of a run, and time going by between two runs, until one comes to
/// its end.
fn read_with_kills(
    fake: &Fake,
    seed: u64,
    most_kills: usize,
    most_bytes: usize,
    pause: Option<TimeDelta>,
) -> (Warehouse, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut warehouse, mut kills) = (Warehouse::default(), 0);
    loop {
        let call = Call::read(&extra_config(fake), &catalog(&EXTRA, "incremental"));
        let bytes = if kills < most_kills { random.usize(10_000..most_bytes) } else { usize::MAX };
        let run = call.file("state", &states(&warehouse.states)).start().kill_after(bytes);
        let transcript = run.transcript();
        transcript.assert_in_order();
        warehouse.load(&transcript);
        if run.status.success() {
            return (warehouse, kills);
        }
        kills += 1;
        pause.into_iter().for_each(|pause| fake.let_time_pass(pause));
    }
}

impl Warehouse {
    /// All that the API still has is here, and nothing else of what it still has.
    fn assert_equals(&self, fake: &Fake) {
        let truth = fake.truth();
        for stream in EXTRA {
            let mut records = self.records.get(stream).cloned().unwrap_or_default();
            let expected = &truth.streams[stream];
            if stream == "webhook_events" {
                // What is older than 30 days by now stays in the warehouse.
                records.retain(|key, _| expected.contains_key(key));
            }
            assert_same_records(stream, &records, expected);
        }
    }
}

#[test]
fn kills_at_any_byte_lose_nothing() {
    let mut kills = 0;
    for seed in 1..=2 {
        let options = Options { seed, scale: Scale::Custom(busy()), gzip: false, ..Options::default() };
        let fake = Fake::start(options);
        let (warehouse, killed) = read_with_kills(&fake, seed, 100, 20_000_000, None);
        warehouse.assert_equals(&fake);
        kills += killed;
    }
    assert!(kills >= 4, "only {kills} kills hit: the test proves little");
}

#[test]
fn what_becomes_too_old_between_two_runs_takes_nothing_else_with_it() {
    for order in [ListOrder::OldestFirst, ListOrder::Shuffled, ListOrder::NewestFirst] {
        let readings = Readings { webhook_order: order, ..Readings::documented() };
        let fake = fake_with(readings, Counts { sessions: 60, webhook_events: 9_000, ..Counts::default() });
        // No delivery of the fake is 29 to 31 days old at first: a day and more goes by, so that pages do move.
        let (warehouse, kills) = read_with_kills(&fake, 5, 6, 4_000_000, Some(TimeDelta::hours(30)));
        assert!(kills >= 3, "only {kills} kills hit: the test proves little");
        // What came to be 30 days old meanwhile, or has ten minutes left, may be gone.
        let mut expected = fake.truth().streams["webhook_events"].clone();
        let oldest = time(fake.now() - TimeDelta::days(30) + TimeDelta::minutes(11));
        expected.retain(|_, event| event["created_at"].as_str() >= Some(&oldest));
        let records = &warehouse.records["webhook_events"];
        let missing: Vec<_> = expected.keys().filter(|key| !records.contains_key(*key)).collect();
        assert!(missing.is_empty(), "{order:?}: {} of {} are missing", missing.len(), expected.len());
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

// What is on offer.

#[test]
fn discover_offers_them_only_when_asked() {
    let fake = fake(1);
    let catalog_of = |config: &Value| {
        let discovered = Call::discover(config).run();
        discovered.good(&fake);
        discovered.stdout
    };
    let usual = catalog_of(&config(&fake));
    assert_eq!(usual, catalog_of(&config_with(&fake, json!({"extra_streams": []}))), "an empty list changes something");
    let names = |stdout: &[u8]| {
        Transcript::parse(stdout).catalog().streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&usual), STREAMS);
    let one = catalog_of(&config_with(&fake, json!({"extra_streams": ["peer_quality"]})));
    assert_eq!(names(&one), [STREAMS.as_slice(), &["peer_quality"]].concat());
    let all = catalog_of(&extra_config(&fake));
    assert_eq!(names(&all), [STREAMS.as_slice(), &EXTRA].concat());
    // The eight are the same with and without the others.
    let streams = String::from_utf8(usual).expect("the output is UTF-8");
    let streams = streams.trim_end().strip_suffix("]}}").expect("a list of streams ends the catalog");
    assert!(String::from_utf8(all).unwrap().starts_with(streams), "the eight are offered in another way");
}

#[test]
fn an_unknown_name_is_one_sentence_with_what_may_be_meant() {
    let fake = fake(1);
    let config = config_with(&fake, json!({"extra_streams": ["webhook_event"]}));
    let status = Call::check(&config).run().transcript().connection_status().cloned().expect("a status");
    let sentence = status.message.expect("a sentence");
    assert_eq!((status.status, flaws_of(&sentence)), (CheckStatus::Failed, Vec::new()), "{sentence}");
    assert!(sentence.contains("`webhook_event`") && sentence.contains("`webhook_events`"), "{sentence}");
    assert!(!sentence.contains("`live_streams`"), "all names instead of the one that is meant: {sentence}");
    for call in [Call::discover(&config), Call::read(&config, &catalog(&EXTRA, "full_refresh"))] {
        let run = call.run();
        let transcript = run.transcript();
        let [error] = transcript.errors()[..] else { panic!("{}", run.report(&fake)) };
        assert_eq!((run.status.code(), &error.message), (Some(1), &sentence));
    }
}

#[test]
fn a_catalog_is_a_wish_too() {
    let fake = fake(4);
    let transcript = Call::read(&config(&fake), &catalog(&EXTRA, "full_refresh")).run().good(&fake);
    for stream in EXTRA {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
}

#[test]
fn records_validate_against_the_discovered_schema() {
    let fake = fake(2);
    let discovered = Call::discover(&extra_config(&fake)).run().good(&fake);
    let transcript = read(&fake, &EXTRA);
    for stream in &discovered.catalog().streams[STREAMS.len()..] {
        let schema = &stream.json_schema;
        let validator = jsonschema::draft7::options().should_validate_formats(true).build(schema).unwrap();
        let columns: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        for record in transcript.records_of(&stream.name) {
            let data = Value::Object(record.data.clone());
            let errors: Vec<_> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?} in {data}", stream.name);
            assert_eq!(columns, record.data.keys().collect::<Vec<_>>(), "{}", stream.name);
        }
    }
}

// `check`.

/// What `check` answers with these faults, and what it warns of.
fn checked(fake: &Fake, plan: FaultPlan) -> (CheckStatus, String, Vec<String>) {
    fake.set_faults(plan);
    let finished = Call::check(&extra_config(fake)).run();
    let transcript = finished.transcript();
    assert!(transcript.errors().is_empty(), "{}", finished.report(fake));
    assert!(fake.unexpected().is_empty(), "requests against the documents: {:#?}", fake.unexpected());
    let status = transcript.connection_status().expect("a status");
    let warnings = transcript.logs(Level::Warn).into_iter().map(str::to_owned).collect();
    (status.status, status.message.clone().unwrap_or_default(), warnings)
}

/// The endpoints that they need besides, in the order of the form.
const ENDPOINTS: [&str; 4] = [WEBHOOKS, "/v2/live-streams", "/v2/external-streams", STATS];

#[test]
fn check_asks_one_small_question_for_each_that_is_switched_on() {
    let fake = fake(2);
    assert_eq!(checked(&fake, FaultPlan::new()), (CheckStatus::Succeeded, String::new(), Vec::new()));
    let lists = ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings"];
    let once = |routes: &[&str]| routes.iter().map(|route| ((*route).to_owned(), json!(1))).collect::<BTreeMap<_, _>>();
    let asked = |fake: &Fake| requests_by_route(fake).into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(asked(&fake), once(&[lists.as_slice(), &ENDPOINTS].concat()));
    let is_small =
        |target: &str| target.split(['?', '&']).any(|pair| pair == "limit=10" || pair.starts_with("peer_id="));
    assert!(fake.request_log().iter().all(|request| is_small(&request.target)));
    for (stream, endpoint) in EXTRA.into_iter().zip(ENDPOINTS) {
        fake.reset_requests();
        Call::check(&config_with(&fake, json!({"extra_streams": [stream]}))).run().good(&fake);
        assert_eq!(asked(&fake), once(&[lists.as_slice(), &[endpoint]].concat()), "{stream}");
    }
}

#[test]
fn check_names_the_extra_stream_that_may_not_be_read() {
    let fake = fake(3);
    for (stream, endpoint) in EXTRA.into_iter().zip(ENDPOINTS) {
        let plan = FaultPlan::new().on(endpoint, When::Always, Fault::Forbidden);
        let (status, _, warnings) = checked(&fake, plan);
        let [warning] = &warnings[..] else { panic!("{stream}: {warnings:?}") };
        assert_eq!(status, CheckStatus::Succeeded);
        assert!(warning.starts_with(&format!("`{stream}` cannot be read. ")), "{warning}");
        assert!(warning.contains(&format!("`{endpoint}` (403")), "{warning}");
    }
    let (status, sentence, warnings) = checked(&fake, FaultPlan::new().on("*", When::Always, Fault::Forbidden));
    assert_eq!((status, warnings.len()), (CheckStatus::Failed, 0), "{sentence}");
    // What belongs to one endpoint only is no reason to fail; what belongs to all of them is.
    let (status, ..) = checked(&fake, FaultPlan::new().on(STATS, When::Always, Fault::Status(400)));
    assert_eq!(status, CheckStatus::Succeeded, "nobody's measurements are no bad sign, however that is said");
    let (status, sentence, _) = checked(&fake, FaultPlan::new().on("*", When::Always, Fault::Unauthorized));
    assert_eq!(status, CheckStatus::Failed, "{sentence}");
}

#[test]
fn a_workspace_without_a_webhook_passes_the_check() {
    for no_webhook in [NoWebhook::Empty, NoWebhook::NotFound] {
        let fake = fake_with(Readings { has_webhook: false, no_webhook, ..Readings::documented() }, Counts::default());
        assert_eq!(checked(&fake, FaultPlan::new()), (CheckStatus::Succeeded, String::new(), Vec::new()));
    }
}

// Secrets.

#[test]
fn no_planted_secret_is_printed() {
    let fake = fake(15);
    let config = extra_config(&fake);
    for call in [Call::check(&config), Call::discover(&config), Call::read(&config, &catalog(&EXTRA, "full_refresh"))] {
        assert_no_secret(&call.argument("--debug").run(), &fake.secrets());
    }
    let transcript = read(&fake, &["external_streams"]);
    let urls = transcript.records().filter_map(|record| record.data["rtmp_urls"].as_array()).flatten();
    let urls: Vec<&str> = urls.map(|url| url.as_str().expect("a URL")).collect();
    let is_masked = |url: &&str| url.starts_with("rtmp") && url.ends_with("/**********");
    assert!(urls.len() > 20 && urls.iter().all(is_masked), "{urls:?}");
    let events = read(&fake, &["webhook_events"]);
    let hosts: BTreeSet<_> =
        events.records().map(|event| event.data["webhook_url"].as_str().expect("a host")).collect();
    assert!(hosts.len() > 2 && hosts.iter().all(|host| !host.contains(['/', '@', '?', ':'])), "{hosts:?}");
}

// `peer_quality`.

#[test]
fn peer_quality_says_in_advance_what_it_costs() {
    let fake = fake(75);
    let transcript = read(&fake, &["peer_quality"]);
    let asked = requests_by_route(&fake)[STATS].as_u64().expect("a number");
    let sentence = format!("Reading `peer_quality` takes about {asked} requests for {asked} people.");
    let said = |message: &Message| matches!(message, Message::Log { log } if log.message == sentence);
    let place = transcript.messages.iter().position(said);
    let first = transcript.messages.iter().position(|message| matches!(message, Message::Record { .. }));
    assert!(place.is_some_and(|place| Some(place) < first), "{:?}", transcript.logs(Level::Info));
    // One for everybody who was in a session that is over.
    let sessions = &fake.truth().streams["sessions"];
    let ended = sessions.values().filter(|session| session["active"] == false);
    let peers: usize = ended.map(|session| session["peers"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(asked, peers as u64);
}

#[test]
fn a_count_that_was_cut_begins_anew() {
    let fake = fake(75);
    let said = |transcript: &Transcript| {
        let logs = transcript.logs(Level::Info);
        logs.into_iter().find(|log| log.contains("takes about")).expect("a number in advance").to_owned()
    };
    let whole = said(&read(&fake, &["peer_quality"]));
    let middle = fake.truth().streams["sessions"].keys().nth(130).expect("so many sessions").clone();
    let counted = json!({"list": "counted", "after": "2017-12-31T11:00:00.000000Z", "start": middle});
    let resume = json!({"until": time(fake.now()), "latest": null, "pending": [counted]});
    let saved = json!({"session_ended_at": "2018-01-01T00:00:00.000000Z", "resume": resume});
    let rest = Call::read(&extra_config(&fake), &catalog(&["peer_quality"], "incremental"))
        .file("state", &states([(&"peer_quality".to_owned(), &saved)]))
        .run()
        .good(&fake);
    assert_eq!(said(&rest), whole);
    assert_same_records("peer_quality", &rest.by_key("peer_quality").0, &fake.truth().streams["peer_quality"]);
}

#[test]
fn peers_without_measurements_cost_no_record() {
    for missing_stats in [MissingStats::NotFound, MissingStats::Empty, MissingStats::Null] {
        let readings = Readings { missing_stats, ..Readings::documented() };
        let fake = fake_with(readings.clone(), Counts { peers_with_stats: 40, ..Counts::default() });
        let transcript = read(&fake, &["peer_quality"]);
        let records = transcript.by_key("peer_quality").0;
        assert_same_records("peer_quality", &records, &fake.truth().streams["peer_quality"]);
        assert_eq!(transcript.logs(Level::Warn), [""; 0]);
        let measured: BTreeSet<_> = records.values().map(|record| record["peer_id"].to_string()).collect();
        let asked = requests_by_route(&fake)[STATS].as_u64().expect("a number") as usize;
        assert!(!measured.is_empty() && measured.len() < asked / 2, "{} of {asked}", measured.len());
        let nobody = fake_with(readings, Counts { peers_with_stats: 0, ..Counts::default() });
        let transcript = read(&nobody, &["peer_quality"]);
        // That none of them is there is worth a word.
        let warnings = usize::from(missing_stats == MissingStats::NotFound);
        let counts = (transcript.records().count(), transcript.logs(Level::Warn).len());
        assert_eq!(counts, (0, warnings), "{missing_stats:?}");
    }
}

#[test]
fn the_time_series_can_be_left_out() {
    let fake = fake(76);
    let whole = read(&fake, &["peer_quality"]).by_key("peer_quality").0;
    let columns = whole.values().next().expect("a record").as_object().expect("an object").keys();
    let kept: serde_json::Map<String, Value> =
        columns.filter(|column| *column != "time_series").map(|column| (column.clone(), json!({}))).collect();
    let mut chosen = catalog(&["peer_quality"], "full_refresh");
    chosen["streams"][0]["stream"]["json_schema"] = json!({"properties": kept});
    let transcript = Call::read(&extra_config(&fake), &chosen).run().good(&fake);
    let expected: BTreeMap<String, Value> = whole
        .into_iter()
        .map(|(key, mut record)| {
            record.as_object_mut().expect("an object").remove("time_series").expect("it was there");
            (key, record)
        })
        .collect();
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &expected);
}

#[test]
fn a_server_that_caps_below_the_limit_it_states_hides_no_session() {
    let fake = fake(77);
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::CapsBelowLimit(4)));
    let transcript = read(&fake, &["peer_quality"]);
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &fake.truth().streams["peer_quality"]);
}

// `live_streams` and `external_streams`.

#[test]
fn live_and_external_streams_stop_early_and_find_late_files() {
    let fake = fake_with(Readings::documented(), busy());
    let streams = ["live_streams", "external_streams"];
    let mut connection = Connection::of(&fake, &streams);
    connection.sync();
    let first = requests_by_route(&fake);
    let horizon = time(fake.now() - TimeDelta::hours(80));
    let mut came_again = 0;
    for _ in 0..4 {
        fake.reset_requests();
        fake.advance();
        let transcript = connection.sync();
        connection.assert_is_complete();
        came_again += transcript.records().filter(|record| record.data["created_at"].as_str() < Some(&horizon)).count();
        for route in ["/v2/live-streams", "/v2/external-streams"] {
            let asked = |requests: &serde_json::Map<String, Value>| requests[route].as_u64().expect("a number");
            assert!(
                asked(&requests_by_route(&fake)) <= asked(&first) / 4 + 2,
                "{route} does not stop at the look-back"
            );
        }
    }
    assert!(came_again > 0, "no late file arrived for an old stream: the test proves nothing");
}
