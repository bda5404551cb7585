//! Changes that never arrived, and values that readers drop.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fake_100ms::{DateHeader, Fake, Fault, FaultPlan, Options, Readings, When};
use serde_json::{Value, json};

use super::{first_read, read, small, warnings};
use crate::harness::{Call, INCREMENTAL, STREAMS, assert_same_records, catalog, config, config_with, fake};
use crate::messages::{Level, Status, Transcript};
use crate::platform::{Keeps, Warehouse, examine, read_on};

/// An hour ago: this machine's clock is then ahead of the data's, as both are of every test's usual workspace.
fn an_hour_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

fn sync(fake: &Fake, warehouse: &mut Warehouse) -> Transcript {
    // Every room is asked in every sync, so that the truth is due at once and not within a day.
    let config = &config_with(fake, json!({"analytics_rooms": "all"}));
    let run = read_on(config, &warehouse.states).run();
    let transcript = run.good(fake);
    examine(&run, fake);
    warehouse.load(&transcript);
    transcript
}

/// Edits at every few requests of a first sync; the second one, on a quiet day, must bring what the first missed.
fn edits_arrive(name: &str, header: DateHeader) {
    let fake = small(Options { now: an_hour_ago(), seed: 51, ..Options::default() });
    fake.set_date(header);
    let mut warehouse = Warehouse::default();
    fake.advance_seconds_during(3, 2);
    sync(&fake, &mut warehouse);
    fake.advance_during(None);
    assert!(fake.now() > an_hour_ago() + TimeDelta::seconds(20), "{name}: too little happened meanwhile");
    sync(&fake, &mut warehouse);
    eprintln!("a `Date` that is {name}");
    warehouse.assert_is(&fake.truth());
}

#[test]
fn edits_during_a_sync_arrive_whatever_the_servers_date_says() {
    edits_arrive("true", DateHeader::True);
    edits_arrive("3 s ahead", DateHeader::Skewed(TimeDelta::seconds(3)));
    edits_arrive("3 s behind", DateHeader::Skewed(TimeDelta::seconds(-3)));
    edits_arrive("10 years ahead", DateHeader::Skewed(TimeDelta::days(3650)));
    edits_arrive("10 years behind", DateHeader::Skewed(TimeDelta::days(-3650)));
    edits_arrive("jumping by a minute", DateHeader::Jumping(TimeDelta::minutes(1)));
    edits_arrive("jumping by years", DateHeader::Jumping(TimeDelta::days(1000)));
    edits_arrive("missing", DateHeader::Missing);
    edits_arrive("unreadable", DateHeader::Text("the day after tomorrow".to_owned()));
}

#[test]
fn what_becomes_visible_later_is_read_later() {
    for lag in [TimeDelta::seconds(2), TimeDelta::minutes(5)] {
        let fake = small(Options { now: an_hour_ago(), seed: 52, lag, ..Options::default() });
        let mut warehouse = Warehouse::default();
        sync(&fake, &mut warehouse);
        for _ in 0..4 {
            fake.advance_seconds(2);
            sync(&fake, &mut warehouse);
        }
        fake.let_time_pass(lag);
        sync(&fake, &mut warehouse);
        warehouse.assert_is(&fake.truth());
    }
}

#[test]
fn times_of_next_year_hold_up_nobody_else() {
    let fake = small(Options { now: an_hour_ago(), seed: 53, ..Options::default() });
    let mut warehouse = Warehouse::default();
    sync(&fake, &mut warehouse);
    fake.stamp(TimeDelta::days(365));
    for _ in 0..2 {
        sync(&fake, &mut warehouse);
        fake.advance_small(5.0);
    }
    sync(&fake, &mut warehouse);
    warehouse.assert_is(&fake.truth());
}

#[test]
fn recent_rooms_are_found_under_a_wrong_date() {
    for header in [DateHeader::Skewed(TimeDelta::days(3650)), DateHeader::Skewed(TimeDelta::days(-3650))] {
        let fake = small(Options { now: an_hour_ago(), seed: 54, ..Options::default() });
        fake.set_date(header.clone());
        let config = config_with(&fake, json!({"analytics_rooms": "recent"}));
        let transcript = read(&config, &["analytics_events"], &BTreeMap::new()).run().good(&fake);
        let read = transcript.by_key("analytics_events").0;
        let truth = &fake.truth().streams["analytics_events"];
        let missing = truth.keys().filter(|key| !read.contains_key(*key)).count();
        assert!(truth.len() > 100 && missing == 0, "{header:?}: {missing} of {} events are missing", truth.len());
    }
}

#[test]
fn two_syncs_without_a_change_write_nothing_twice() {
    for now in [an_hour_ago(), Utc::now() - TimeDelta::seconds(1), Options::default().now] {
        let fake = small(Options { now, seed: 55, ..Options::default() });
        fake.advance();
        let mut warehouse = Warehouse::default();
        sync(&fake, &mut warehouse);
        for _ in 0..2 {
            let again = sync(&fake, &mut warehouse);
            for stream in INCREMENTAL {
                assert_eq!(again.records_of(stream).count(), 0, "{stream}, when it is {now}");
            }
        }
    }
}

#[test]
fn a_state_some_minutes_in_the_future_of_this_machine_is_no_reason_to_stop() {
    // The server is right; this machine is five minutes slow.
    let ahead = Utc::now() + TimeDelta::minutes(5);
    let fake = small(Options { now: ahead, seed: 56, ..Options::default() });
    let mut warehouse = Warehouse::default();
    sync(&fake, &mut warehouse);
    warehouse.states.values_mut().for_each(|state| {
        for cursor in ["updated_at", "created_at"] {
            if let Some(time) = state.get_mut(cursor).filter(|time| time.is_string()) {
                *time = ahead.to_rfc3339_opts(SecondsFormat::Micros, true).into();
            }
        }
    });
    fake.advance_small(5.0);
    let second = sync(&fake, &mut warehouse);
    warehouse.assert_is(&fake.truth());
    assert_eq!(warnings(&second, &["future"]), Vec::<&str>::new());
}

#[test]
fn a_state_years_in_the_future_reads_nothing_and_the_warning_names_both_clocks() {
    let fake = small(Options { seed: 57, ..Options::default() });
    let state = json!({"updated_at": "2040-01-01T00:00:00.000000Z"});
    let saved = BTreeMap::from([("rooms".to_owned(), state.clone())]);
    let transcript = read(&config(&fake), &["rooms"], &saved).run().good(&fake);
    assert_eq!(transcript.records().count(), 0);
    let kept = &transcript.last_states()["rooms"];
    assert_eq!(kept["updated_at"], state["updated_at"]);
    let (server, local) = (fake.now().format("%Y-%m-%d").to_string(), Utc::now().format("%Y-%m-%d").to_string());
    let said = warnings(&transcript, &["rooms", "2040-01-01", &server, &local]);
    assert_eq!(said.len(), 1, "{:?}", transcript.logs(Level::Warn));
}

/// A 200 that is no page, once in the middle of each list, and then for ever.
#[test]
fn an_answer_that_is_no_page_ends_no_list() {
    let lists = [
        ("/v2/sessions", "sessions"),
        ("/v2/rooms", "rooms"),
        ("/v2/templates", "templates"),
        ("/v2/recordings", "recordings"),
        ("/v2/recording-assets", "recordings"),
        ("/v2/analytics/events", "analytics_events"),
    ];
    for text in ["{}", r#"{"code":500,"message":"internal error","details":["try later"]}"#] {
        let fake = small(Options { seed: 58, ..Options::default() });
        let says = Fault::Says(text.to_owned());
        let plan = lists.iter().fold(FaultPlan::new(), |plan, (list, _)| plan.on(list, When::Nth(2), says.clone()));
        fake.set_faults(plan);
        let transcript = first_read(&fake, &STREAMS).run().good(&fake);
        for stream in STREAMS {
            assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
        }
        for (list, stream) in lists {
            fake.set_faults(FaultPlan::new().on(list, When::After(1), says.clone()));
            let transcript = examine(&first_read(&fake, &[stream]).run(), &fake);
            assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{list} says {text}");
            assert_eq!(transcript.errors().len(), 1, "{list} says {text}");
        }
    }
}

#[test]
fn a_runner_that_merges_states_reads_on_after_a_good_end() {
    let counts = fake_100ms::Counts {
        sessions: 7_000,
        peers_per_session: 1,
        rooms: 60,
        recordings: 80,
        events_per_room: 4,
        ..fake_100ms::Counts::default()
    };
    let scale = fake_100ms::Scale::Custom(counts);
    let fake = Fake::start(Options { seed: 59, scale, gzip: false, ..Options::default() });
    let mut warehouse = Warehouse::that_keeps(Keeps::Merged);
    let first = sync(&fake, &mut warehouse);
    assert!(first.states_of("sessions").count() >= 3, "too few states to merge");
    for _ in 0..2 {
        fake.advance();
        sync(&fake, &mut warehouse);
        warehouse.assert_is(&fake.truth());
    }
}

#[test]
fn an_empty_state_file_is_no_state() {
    let fake = small(Options { seed: 60, ..Options::default() });
    for content in ["", "\n", "{}", "[]", "null"] {
        eprintln!("a state of {content:?}");
        let call = Call::read(&config(&fake), &catalog(&["rooms"], "incremental")).text("state", content.as_bytes());
        let transcript = call.run().good(&fake);
        assert_same_records("rooms", &transcript.by_key("rooms").0, &fake.truth().streams["rooms"]);
    }
}

/// Sets a member of this list's items to a JSON text, and reads the stream.
fn with_member(route: &str, stream: &str, key: &str, json: &str) -> (Vec<u8>, Transcript) {
    let fake = small(Options { seed: 62, gzip: false, ..Options::default() });
    fake.set_faults(FaultPlan::new().on(
        route,
        When::Always,
        Fault::SetMember { key: key.to_owned(), json: json.to_owned() },
    ));
    let run = first_read(&fake, &[stream]).run();
    let transcript = run.good(&fake);
    assert!(transcript.records().count() > 0, "{stream}: nothing was read");
    (run.stdout, transcript)
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn texts_that_readers_drop_are_mended() {
    for (route, stream, key, column) in [
        ("/v2/rooms", "rooms", "name", "name"),
        ("/v2/rooms", "rooms", "description", "description"),
        ("/v2/sessions", "sessions", "name", "peers"),
        ("/v2/templates", "templates", "region", "settings"),
        ("/v2/analytics/events", "analytics_events", "user_name", "data"),
        ("/v2/recording-assets", "recordings", "path", "recording_assets"),
    ] {
        for json in [r#""a\ud800b""#, r#""a\udc00b""#, r#""\ud83d""#, r#""a\u0000b""#, r#""\uD800\u0041""#] {
            let (stdout, transcript) = with_member(route, stream, key, json);
            let mended = transcript.records().filter(|record| {
                let text = record.data[column].to_string();
                text.contains('\u{fffd}') && !text.contains("\\u0000")
            });
            assert!(mended.count() > 0, "{stream}.{column}: {json} is not mended");
            for bad in ["\\ud8", "\\uD8", "\\udc00", "\\u0000"] {
                assert!(!holds(&stdout, bad), "{stream}.{column}: {bad} came out for {json}");
            }
        }
    }
}

#[test]
fn keys_that_readers_drop_are_mended_and_new_fields_of_entries_passed_on() {
    let fake = small(Options { seed: 63, ..Options::default() });
    let key = Fault::AddMember { key: r#""bad\ud800key""#.to_owned(), json: "7".to_owned() };
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, key));
    let run = first_read(&fake, &["sessions"]).run();
    let transcript = run.good(&fake);
    assert!(!holds(&run.stdout, "\\ud800"));
    let peers = transcript.records().filter_map(|record| record.data["peers"].as_array()).flatten();
    let passed_on = peers.filter(|peer| peer["bad\u{fffd}key"] == 7).count();
    let peer = || transcript.records().find_map(|record| record.data["peers"].as_array()?.first().cloned());
    assert!(passed_on > 50, "{passed_on} peers have it, but {:?}", peer());
}

#[test]
fn fields_that_100ms_adds_to_entries_are_passed_on_after_the_known_ones() {
    let readings = Readings { unknown_entry_fields: true, ..Readings::documented() };
    let fake = small(Options { seed: 64, readings, ..Options::default() });
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

#[test]
fn values_of_another_type_fit_their_columns() {
    let value = |route: &str, stream: &str, key: &str, json: &str, column: &str| {
        let (stdout, transcript) = with_member(route, stream, key, json);
        assert!(!holds(&stdout, "1e400"), "{stream}.{column} of {json}");
        // Not every item has every member.
        let mut values = transcript.records().map(|record| record.data[column].clone());
        values.find(|value| !value.is_null()).unwrap_or_default()
    };
    let rooms = |key: &str, json: &str| value("/v2/rooms", "rooms", key, json, key);
    assert_eq!(rooms("large_room", r#""true""#), json!(true));
    assert_eq!(rooms("large_room", r#""false""#), json!(false));
    assert_eq!(rooms("description", "true"), json!("true"));
    assert_eq!(rooms("description", "12.50"), json!("12.50"));
    assert!(!rooms("size", "1e400").is_string());
    assert_eq!(rooms("size", r#""12""#).as_f64(), Some(12.0));
    assert_eq!(value("/v2/templates", "templates", "id", "42", "id"), json!("42"));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let plugins = value("/v2/templates", "templates", "plugins", &deep, "plugins");
    assert!(depth(&plugins) <= 128, "nested too deep for readers: {plugins}");
    assert!(plugins.to_string().contains("[[1]]"), "what is nested too deep is lost: {plugins}");
    let active = value("/v2/sessions?active=true", "sessions", "active", r#""true""#, "active");
    assert_eq!(active, json!(true));
}

/// How many brackets of any kind surround the innermost value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn an_id_that_is_a_step_in_a_path_is_an_error() {
    for id in [r#"".""#, r#""..""#] {
        let fake = small(Options { seed: 65, ..Options::default() });
        let set = Fault::SetMember { key: "id".to_owned(), json: id.to_owned() };
        fake.set_faults(FaultPlan::new().on("/v2/templates", When::Always, set));
        let run = first_read(&fake, &["template_settings"]).run();
        let transcript = run.transcript();
        assert_eq!(transcript.statuses_of("template_settings").last(), Some(&Status::Incomplete), "{id}");
        assert_eq!(fake.unexpected(), Vec::<String>::new(), "{id}: another endpoint was asked");
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
    assert!(!warnings(&transcript, &["link"]).is_empty(), "nobody says that links are missing");
}
