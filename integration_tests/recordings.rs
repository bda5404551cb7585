//! `recordings`, `live_streams`, `external_streams` and `recording_assets`: files that are finished later, and links to
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, Fault, FaultPlan, ListOrder, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, Reader, always, assert_same_records, catalog, config_with, fake, fake_with_of_extra_streams, first_read,
    read_in_full, requests_by_route, says, short_pages, states, time_of_extra_streams, until_answered, warnings_with,
};
use crate::messages::{FailureType, Level, Transcript};
use crate::platform::{Connection, Keeps, Warehouse};

#[test]
fn an_error_object_is_no_reason_to_ask_for_a_link_again_and_again() {
    let fake = short_pages(38);
    let error = r#"{"code":500,"message":"not available in HIPAA workspaces"}"#;
    fake.set_faults(FaultPlan::new().on("/v2/recording-assets/{id}/presigned-url", When::Always, says(error)));
    let transcript = read_in_full(&fake, &["recordings"]).good(&fake);
    let links = fake.truth().streams["recordings"].values().filter(|record| record["url"].is_string()).count() as u64;
    let asked = requests_by_route(&fake)["/v2/recording-assets/{id}/presigned-url"].as_u64().unwrap();
    assert!(links > 10 && asked <= 2 * (links + 20), "{asked} requests for {links} links");
    let records = transcript.by_key("recordings").0;
    assert!(records.values().all(|record| record["url"].is_null()));
    assert_eq!(records.len(), fake.truth().streams["recordings"].len());
    let told = transcript.logs(Level::Warn);
    assert!(told.iter().any(|log| log.contains("links to files") && log.contains("`recording_urls`")), "{told:?}");
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

// `live_streams` and `external_streams`.

#[test]
fn live_and_external_streams_stop_early_and_find_late_files() {
    let fake = fake_with_of_extra_streams(Readings::documented(), busy());
    let streams = ["live_streams", "external_streams"];
    let mut connection = Connection::of(&fake, &streams);
    connection.sync();
    let first = requests_by_route(&fake);
    let horizon = time_of_extra_streams(fake.now() - TimeDelta::hours(80));
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

const WITH_FILES: [&str; 4] = ["recordings", "live_streams", "external_streams", "recording_assets"];

const LINK: &str = "/v2/recording-assets/{id}/presigned-url";

fn connection(fake: &Fake) -> Connection<'_> {
    let mut connection = Connection::of(fake, &WITH_FILES);
    connection.config = config_with(fake, json!({"extra_streams": WITH_FILES[1..]}));
    connection
}

fn fake_with(seed: u64, readings: Readings, counts: Counts) -> Fake {
    Fake::start(Options { seed, readings, scale: Scale::Custom(counts), ..Options::default() })
}

fn records(transcript: &Transcript) -> usize {
    transcript.records().count()
}

/// Links that were asked for since the requests were last forgotten.
fn links(fake: &Fake) -> u64 {
    requests_by_route(fake).get(LINK).and_then(Value::as_u64).unwrap_or(0)
}

/// The recordings with a file that is not finished.
fn unfinished(warehouse: &Warehouse) -> BTreeSet<String> {
    let is_open = |record: &Value| {
        record["recording_assets"].as_array().unwrap().iter().any(|file| file["status"] == "processing")
    };
    let all = warehouse.records["recordings"].iter();
    all.filter(|(_, record)| is_open(record)).map(|(key, _)| key.clone()).collect()
}

/// The file that a recording's link leads to, of all recordings that have one.
fn linked_files(fake: &Fake) -> BTreeMap<String, String> {
    let truth = fake.truth();
    let linked = truth.streams["recordings"].iter().filter(|(_, record)| !record["url"].is_null());
    let file = |record: &Value| {
        let files = record["recording_assets"].as_array().unwrap();
        files.iter().find(|file| file["path"] == record["path"]).unwrap()["id"].as_str().unwrap().to_owned()
    };
    linked.map(|(key, record)| (key.clone(), file(record))).collect()
}

#[test]
fn a_file_that_is_finished_later_is_read_again() {
    for (seed, keeps, order) in [
        (1, Keeps::Whole, ListOrder::NewestFirst),
        (2, Keeps::Merged, ListOrder::NewestFirst),
        (3, Keeps::Whole, ListOrder::Shuffled),
    ] {
        let readings = Readings { files_before_finished: true, recording_order: order, ..Readings::documented() };
        let fake = fake_with(seed, readings, Counts::default());
        let mut connection = connection(&fake);
        *connection = Warehouse::that_keeps(keeps);
        connection.sync();
        connection.assert_is_complete();
        let long_ago = (fake.now() - TimeDelta::hours(80)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (mut finished, mut old) = (0, 0);
        for _ in 0..6 {
            let before = unfinished(&connection);
            fake.advance();
            connection.sync();
            connection.assert_is_up_to_date();
            for key in before.difference(&unfinished(&connection)) {
                finished += 1;
                old += usize::from(connection.records["recordings"][key]["created_at"].as_str() < Some(&long_ago));
            }
            assert_eq!(records(&connection.sync()), 0, "nothing has changed");
        }
        assert!(finished >= 5 && old >= 2, "{finished} were finished later, {old} of them old: the test proves little");
    }
}

#[test]
fn more_unfinished_files_than_a_state_can_hold_are_not_lost() {
    // All sessions are of the last three days, and so are their recordings.
    let counts = Counts { sessions: 500, lately: Some(250), recordings: 900, rooms: 60, ..Counts::default() };
    let fake = fake_with(4, Readings::documented(), counts);
    let mut connection = Connection::of(&fake, &["recordings"]);
    let processing = Fault::SetMember { key: "status".into(), json: "\"processing\"".into() };
    fake.set_faults(FaultPlan::new().on("/v2/recording-assets", When::Always, processing));
    let is_small = |connection: &Connection<'_>| {
        let size = connection.states["recordings"].to_string().len();
        assert!(size < 64_000, "the state has {size} bytes");
    };
    connection.sync();
    is_small(&connection);
    assert!(unfinished(&connection).len() > 300, "the test proves nothing");
    connection.sync();
    is_small(&connection);
    fake.clear_faults();
    connection.sync();
    is_small(&connection);
    connection.assert_is_complete();
}

/// When nothing but the link is selected, a record with a finished file looks as it did before.
#[test]
fn links_of_more_files_than_a_state_can_hold_come_when_they_are_finished() {
    let counts = Counts { sessions: 500, lately: Some(250), recordings: 900, rooms: 60, ..Counts::default() };
    let fake = fake_with(4, Readings::documented(), counts);
    let processing = Fault::SetMember { key: "status".into(), json: "\"processing\"".into() };
    for (stream, cursor) in [("recordings", "updated_at"), ("recording_assets", "created_at")] {
        let mut catalog = catalog(&[stream], "incremental");
        let text = json!({"type": ["null", "string"]});
        catalog["streams"][0]["stream"]["json_schema"] = json!({"properties": {"id": text, "url": text, cursor: text}});
        let mut connection = Connection::of(&fake, &[stream]);
        let sync = |connection: &mut Connection<'_>| {
            let states = states(&connection.states);
            let call = Call::read(&connection.config, &catalog).file("state", &states);
            connection.load(&call.run().good(&fake));
        };
        fake.set_faults(FaultPlan::new().on("/v2/recording-assets", When::Always, processing.clone()));
        sync(&mut connection);
        fake.clear_faults();
        sync(&mut connection);
        let truth = &fake.truth().streams[stream];
        let with_link = truth.values().filter(|record| record["url"].is_string()).count();
        assert!(with_link > 300, "{stream} has {with_link} links: the test proves little");
        for (key, record) in truth {
            assert_eq!(connection.records[stream][key]["url"], record["url"], "{stream} `{key}`");
        }
    }
}

#[test]
fn files_that_belong_to_no_recording_are_counted() {
    let none = Counts { recordings: 0, ..Counts::default() };
    for (counts, order) in [
        (Counts::default(), ListOrder::NewestFirst),
        (Counts::default(), ListOrder::Shuffled),
        (none, ListOrder::NewestFirst),
    ] {
        let has_recordings = counts.recordings > 0;
        let readings = Readings { recording_order: order, ..Readings::documented() };
        let fake = fake_with(5, readings, counts);
        let mut connection = Connection::of(&fake, &["recordings"]);
        let first = connection.sync();
        let strays = fake.files_without_recording();
        assert!(strays > 50);
        let sentence = format!("{strays} new files belong to no recording");
        let told = |transcript: &Transcript| {
            let is_about_them = |log: &&str| log.contains("to no recording");
            transcript.logs(Level::Info).into_iter().filter(is_about_them).map(String::from).collect::<Vec<_>>()
        };
        assert!(
            matches!(&told(&first)[..], [log] if log.starts_with(&sentence)),
            "{:?} instead of {sentence}",
            told(&first)
        );
        if !has_recordings {
            continue;
        }
        // Those that have been counted are no news any more.
        fake.advance();
        let new = fake.files_without_recording() - strays;
        let second = connection.sync();
        assert_eq!(second.logs(Level::Warn), [""; 0]);
        let sentence = told(&second);
        let counted = sentence.first().and_then(|log| log.split(' ').next()?.parse::<usize>().ok()).unwrap_or(0);
        assert!(counted >= new && counted <= new + 20, "{counted} were counted of {new} new ones");
    }
}

#[test]
fn a_stop_while_links_are_under_way_forgets_no_late_file() {
    let fake = Fake::start(Options { seed: 6, max_page: 10, ..Options::default() });
    let mut connection = Connection::of(&fake, &["recordings"]);
    connection.config["num_workers"] = 50.into();
    connection.sync();
    (0..6).for_each(|_| drop(fake.advance()));
    // The first page can be written, and then there is a state; the last one cannot.
    let newest = fake.truth().streams["recordings"].keys().rev().nth(9).cloned();
    let slow = Fault::Delay { milliseconds: 20_000, jitter: 0 };
    let later = linked_files(&fake).into_iter().filter(|(key, _)| Some(key) < newest.as_ref());
    let plan = later
        .fold(FaultPlan::new(), |plan, (_, file)| plan.on(&LINK.replace("{id}", &file), When::Always, slow.clone()));
    fake.set_faults(plan);
    fake.reset_requests();
    let run = connection.call().variable("SOURCE_100MS_TIME_SCALE", "1").start();
    until_answered(&fake, 10);
    std::thread::sleep(Duration::from_secs(3));
    run.signal("TERM");
    let transcript = run.finish().transcript();
    connection.load(&transcript);
    let pending = connection.states["recordings"]["resume"]["pending"].as_array().expect("it was stopped half-way");
    assert!(pending.iter().any(|slice| slice["single"] == true), "no links were under way: the test proves nothing");
    fake.clear_faults();
    connection.sync();
    connection.assert_is_up_to_date();
}

#[test]
fn a_link_that_failed_is_asked_for_again() {
    for order in [ListOrder::NewestFirst, ListOrder::Shuffled] {
        let readings = Readings { recording_order: order, ..Readings::documented() };
        let fake = fake_with(7, readings, Counts::default());
        let mut connection = Connection::of(&fake, &["recordings"]);
        let linked = linked_files(&fake);
        let all: Vec<&String> = linked.keys().collect();
        // The very oldest gets new files all the time.
        let chosen = [all[2], all[all.len() / 2], all[all.len() - 2]];
        let broken = |fault: Fault| {
            chosen.iter().fold(FaultPlan::new(), |plan, key| {
                plan.on(&LINK.replace("{id}", &linked[*key]), When::Always, fault.clone())
            })
        };
        fake.set_faults(broken(Fault::Status(503)));
        connection.sync();
        let has_url = |warehouse: &Warehouse, key: &String| !warehouse.records["recordings"][key]["url"].is_null();
        assert!(chosen.iter().all(|key| !has_url(&connection, key)));
        fake.advance_seconds(600);
        fake.set_faults(broken(Fault::ResetBeforeHeaders));
        connection.sync();
        assert_eq!(records(&connection.sync()), 0, "the links cannot be had, and nothing else has changed");
        fake.clear_faults();
        let written: Vec<String> = connection.sync().by_key("recordings").0.into_keys().collect();
        assert_eq!(written, chosen.map(String::clone));
        connection.assert_is_up_to_date();
        assert_eq!(records(&connection.sync()), 0);
    }
}

#[test]
fn a_link_is_asked_for_again_for_three_days() {
    let fake = fake(8);
    let mut connection = Connection::of(&fake, &["recordings"]);
    let linked = linked_files(&fake);
    let oldest = LINK.replace("{id}", linked.values().next().unwrap());
    fake.set_faults(FaultPlan::new().on(&oldest, When::Always, Fault::Status(500)));
    connection.sync();
    let mut asked = Vec::new();
    for _ in 0..5 {
        fake.let_time_pass(TimeDelta::hours(20));
        fake.reset_requests();
        assert_eq!(records(&connection.sync()), 0);
        asked.push(links(&fake) > 0);
    }
    assert_eq!(asked, [true, true, true, true, false], "once more when the time is over, then no more");
}

#[test]
fn where_links_never_work_they_are_not_asked_for_again() {
    let fake = fake(9);
    let mut connection = Connection::of(&fake, &["recordings"]);
    fake.set_faults(FaultPlan::new().on(LINK, When::Always, Fault::Status(500)));
    connection.sync();
    fake.reset_requests();
    let read = Call::read(&connection.config, &catalog(&["recordings"], "incremental"))
        .file("state", &states(&connection.states))
        .run()
        .good(&fake);
    assert_eq!((records(&read), links(&fake)), (0, 0));
}

#[test]
fn a_recording_far_older_than_the_look_back_comes_again_with_a_new_file() {
    let fake = fake(55);
    let mut connection = Connection::new(&fake);
    connection.sync();
    let horizon = (fake.now() - TimeDelta::hours(80)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut came_again = 0;
    for _ in 0..6 {
        fake.advance();
        let transcript = connection.sync();
        came_again += transcript
            .records_of("recordings")
            .filter(|record| record.data["created_at"].as_str() < Some(&horizon))
            .count();
    }
    assert!(came_again > 0, "no late file arrived for an old recording: the test proves nothing");
    connection.assert_is_up_to_date();
}

#[test]
fn recording_links_can_be_left_out() {
    let fake = fake(13);
    let config = config_with(&fake, json!({"recording_urls": "none"}));
    let transcript = Call::read(&config, &catalog(&["recordings"], "full_refresh")).run().good(&fake);
    assert!(transcript.records().all(|recording| recording.data["url"].is_null()));
    assert!(!requests_by_route(&fake).contains_key("/v2/recording-assets/{id}/presigned-url"));
}

const RECORDING: &str = "/v2/recordings/{id}";

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

/// Links to files are a convenience: without one, its column is null.
#[test]
fn links_that_are_refused_are_null_and_told() {
    let fake = fake(67);
    let truth = fake.truth();
    let links: Vec<(&String, String)> = truth.streams["recordings"]
        .iter()
        .filter(|(_, one)| one["url"].is_string())
        .map(|(key, one)| {
            let path = &one["path"];
            let assets = one["recording_assets"].as_array().expect("files");
            let asset = assets.iter().find(|asset| asset["path"] == *path).expect("the primary one");
            (key, asset["id"].as_str().expect("an id").to_owned())
        })
        .collect();
    let faults = [
        Fault::Status(403),
        Fault::Status(409),
        Fault::Status(422),
        Fault::Status(451),
        Fault::Status(500),
        Fault::Says("nonsense".to_owned()),
        Fault::Says("{}".to_owned()),
    ];
    let mut plan = FaultPlan::new();
    for ((_, asset), fault) in links.iter().zip(&faults) {
        plan = plan.on(&format!("/v2/recording-assets/{asset}/presigned-url"), When::Always, fault.clone());
    }
    fake.set_faults(plan);
    let transcript = first_read(&fake, &["recordings"]).run().good(&fake);
    let read = transcript.by_key("recordings").0;
    for ((key, _), fault) in links.iter().zip(&faults) {
        assert_eq!(read[*key]["url"], Value::Null, "{fault:?}");
    }
    for (key, _) in links.iter().skip(faults.len()) {
        assert_eq!(read[*key]["url"], truth.streams["recordings"][*key]["url"]);
    }
    assert_eq!(read.len(), truth.streams["recordings"].len());
    assert!(!warnings_with(&transcript, &["link"]).is_empty(), "nobody says that links are missing");
}

/// A state that had no room for its pages has them as one list again, beside what follows it.
#[test]
fn late_files_are_joined_while_the_whole_list_is_read_again() {
    let fake = Fake::start(Options { seed: 96, max_page: 5, ..Options::default() });
    let ids: Vec<String> = fake.truth().streams["recordings"].keys().cloned().collect();
    let late = json!({"list": "late", "below": ids[ids.len() / 2], "single": true});
    let resume = json!({"until": time_of_extra_streams(fake.now()), "latest": null, "pending": [late, {"list": "newest_first"}]});
    let saved = json!({"updated_at": "2018-01-01T00:00:00.000000Z", "resume": resume});
    let read = Call::read(&config_with(&fake, json!({"num_workers": 2})), &catalog(&["recordings"], "incremental"));
    let transcript = read.file("state", &states([(&"recordings".to_owned(), &saved)])).run().good(&fake);
    assert_same_records("recordings", &transcript.by_key("recordings").0, &fake.truth().streams["recordings"]);
}

// `recording_assets`.

const FILES: &str = "/v2/recording-assets";

/// Requests for pages of files since the requests were last forgotten.
fn pages_of_files(fake: &Fake) -> u64 {
    requests_by_route(fake).get(FILES).and_then(Value::as_u64).unwrap_or(0)
}

fn connection_of_files(fake: &Fake) -> Connection<'_> {
    let mut connection = Connection::of(fake, &["recording_assets"]);
    connection.config = config_with(fake, json!({"extra_streams": ["recording_assets"]}));
    connection
}

#[test]
fn recording_assets_have_files_that_belong_to_no_recording() {
    let fake = fake(91);
    let mut connection = connection_of_files(&fake);
    connection.sync();
    connection.assert_is_complete();
    let recordings = &fake.truth().streams["recordings"];
    let is_alone = |file: &&Value| !recordings.contains_key(file["job_id"].as_str().unwrap());
    let files = &connection.records["recording_assets"];
    assert_eq!(files.values().filter(is_alone).count(), fake.files_without_recording());
    assert!(files.values().any(|file| file["url"].is_string()) && fake.files_without_recording() > 0);
}

#[test]
fn a_sync_of_files_stops_behind_its_cursor_while_they_are_newest_first() {
    for (order, is_cheap) in
        [(ListOrder::NewestFirst, true), (ListOrder::Shuffled, false), (ListOrder::OldestFirst, false)]
    {
        let readings = Readings { recording_order: order, ..Readings::documented() };
        let fake = fake_with(92, readings, Counts { recordings: 2_000, ..Counts::default() });
        let mut connection = connection_of_files(&fake);
        connection.sync();
        connection.assert_is_complete();
        let first = pages_of_files(&fake);
        for _ in 0..3 {
            fake.reset_requests();
            fake.advance();
            connection.sync();
            connection.assert_is_complete();
            let again = pages_of_files(&fake);
            assert_eq!(again <= 3, is_cheap, "{order:?}: {again} pages, and {first} the first time");
        }
        assert!(first > 10, "{first} pages: the test proves nothing");
        assert_eq!(records(&connection.sync()), 0, "nothing has changed");
    }
}

#[test]
fn a_read_of_files_that_was_cut_in_a_list_of_no_order_reads_all_of_it() {
    let readings = Readings { recording_order: ListOrder::Shuffled, ..Readings::documented() };
    let fake = fake_with(93, readings, Counts { recordings: 1_000, ..Counts::default() });
    let mut connection = connection_of_files(&fake);
    connection.sync();
    fake.advance();
    fake.reset_requests();
    fake.set_faults(FaultPlan::new().on(FILES, When::After(4), Fault::Status(500)));
    let cut = connection.call().run();
    assert!(!cut.status.success());
    let transcript = cut.transcript();
    connection.load(&transcript);
    fake.clear_faults();
    connection.sync();
    connection.assert_is_complete();
}
