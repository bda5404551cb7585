//! Recordings and streams with their files: files that are finished later, that belong to nothing, and links to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, Fault, FaultPlan, ListOrder, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config_with, fake, requests_by_route, until_answered};
use crate::messages::{Level, Transcript};
use crate::platform::{Connection, Keeps, Warehouse};

const WITH_FILES: [&str; 3] = ["recordings", "live_streams", "external_streams"];
const LINK: &str = "/v2/recording-assets/{id}/presigned-url";

fn connection(fake: &Fake) -> Connection<'_> {
    let mut connection = Connection::of(fake, &WITH_FILES);
    connection.config = config_with(fake, json!({"extra_streams": ["live_streams", "external_streams"]}));
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
        .file("state", &crate::harness::states(&connection.states))
        .run()
        .good(&fake);
    assert_eq!((records(&read), links(&fake)), (0, 0));
}
