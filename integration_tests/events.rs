//! `analytics_events`: joins and leaves, events by room and session, and what it costs to find what is new.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Counts, DateHeader, Fake, Fault, FaultPlan, FilterEffect, ListOrder, Options, Readings, Scale, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, an_hour_ago, assert_same_records, catalog, config, config_with, fake, read_from_states, requests_by_route,
    states, workspace_of_many_pages,
};
use crate::messages::{Record, Transcript};
use crate::platform::{Connection, Keeps, Warehouse};

const EVENTS: &str = "analytics_events";

/// The requests of a sync for events and the lists that lead to them.
fn requests(fake: &Fake) -> u64 {
    requests_by_route(fake).values().filter_map(Value::as_u64).sum()
}

fn requests_for_events(fake: &Fake) -> u64 {
    requests_by_route(fake).get("/v2/analytics/events").and_then(Value::as_u64).unwrap_or(0)
}

/// The joins and leaves that the people in the sessions of `transcript` say there were in the last 30 days:
/// the id of each event and its time.
fn passages(transcript: &Transcript, fake: &Fake) -> BTreeMap<String, String> {
    let earliest = (fake.now() - TimeDelta::days(30)).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let peers = transcript.records_of("sessions").flat_map(|session| session.data["peers"].as_array().unwrap());
    let moves = peers.flat_map(|peer| {
        let id = peer["id"].as_str().unwrap();
        [("join", &peer["joined_at"]), ("leave", &peer["left_at"])].map(|(kind, time)| (format!("{id}.{kind}"), time))
    });
    let timed = moves.filter_map(|(id, time)| Some((id, time.as_str()?.to_owned())));
    timed.filter(|(_, time)| *time >= earliest).collect()
}

fn joins_and_leaves(transcript: &Transcript) -> impl Iterator<Item = &Record> {
    transcript.records_of(EVENTS).filter(|event| event.data["source"] == "sessions")
}

#[test]
fn everybody_in_a_session_has_joined_and_whoever_is_gone_has_left() {
    let fake = fake(120);
    let streams = ["sessions", EVENTS];
    let transcript = Call::read(&config(&fake), &catalog(&streams, "full_refresh")).run().good(&fake);
    let expected = passages(&transcript, &fake);
    let emitted: BTreeMap<String, String> = joins_and_leaves(&transcript)
        .map(|event| (event.key(), event.data["created_at"].as_str().unwrap().to_owned()))
        .collect();
    assert!(expected.keys().filter(|id| id.ends_with(".join")).count() > 100, "the test proves little");
    assert_eq!(emitted, expected);
    assert_eq!(joins_and_leaves(&transcript).count(), expected.len(), "each came once");
    // Somebody who joins again is another peer of the same user, and so another join.
    let mut times_joined: HashMap<[&str; 2], u32> = HashMap::new();
    for event in joins_and_leaves(&transcript).filter(|event| event.data["type"] == "peer.join") {
        let who = ["session_id", "user_id"].map(|column| event.data[column].as_str().unwrap_or_default());
        *times_joined.entry(who).or_default() += 1;
    }
    assert!(times_joined.iter().any(|([_, user], times)| !user.is_empty() && *times > 1), "nobody joined twice");
}

#[test]
fn somebody_who_was_in_leaves_in_a_later_sync() {
    let fake = fake(121);
    let mut connection = Connection::of(&fake, &[EVENTS]);
    connection.sync();
    let has_left = |connection: &Connection<'_>, peer: &str| connection.has(EVENTS, &format!("{peer}.leave"));
    let peer_of = |key: &String| key.strip_suffix(".join").map(str::to_owned);
    let is_in: BTreeSet<String> = connection.records[EVENTS]
        .iter()
        .filter(|(_, event)| event["type"] == "peer.join" && event["data"]["left_at"].is_null())
        .filter_map(|(key, _)| peer_of(key))
        .collect();
    assert!(is_in.len() > 3 && !is_in.iter().any(|peer| has_left(&connection, peer)), "{is_in:?}");
    let mut gone = BTreeSet::new();
    for _ in 0..5 {
        fake.advance();
        let transcript = connection.sync();
        let leaves = joins_and_leaves(&transcript).filter(|event| event.data["type"] == "peer.leave");
        gone.extend(
            leaves.map(|event| event.data["peer_id"].as_str().unwrap().to_owned()).filter(|id| is_in.contains(id)),
        );
        connection.assert_is_up_to_date();
    }
    assert!(!gone.is_empty(), "nobody left: the test proves nothing");
    for peer in gone {
        let join = &connection.records[EVENTS][&format!("{peer}.join")];
        let leave = &connection.records[EVENTS][&format!("{peer}.leave")];
        assert_eq!(join["data"]["left_at"], leave["data"]["left_at"], "the join says when {peer} left");
    }
}

/// Many rooms, many sessions in 30 days, nothing lately.
fn quiet(rooms: usize, sessions: usize) -> Counts {
    Counts {
        rooms,
        sessions,
        peers_per_session: 2,
        events_per_room: 2,
        templates: 4,
        recordings: 10,
        lately: Some(0),
        varied: false,
        ..Counts::default()
    }
}

fn workspace(counts: Counts, seed: u64) -> Fake {
    Fake::start(Options { seed, scale: Scale::Custom(counts), gzip: false, ..Options::default() })
}

#[test]
fn a_sync_costs_as_much_as_happened_since() {
    let (rooms, sessions) = (2_000, 4_000);
    let fake = workspace(quiet(rooms, sessions), 122);
    let mut modes = ["auto", "all", "recent"].map(|mode| {
        let mut connection = Connection::of(&fake, &[EVENTS]);
        connection.config = config_with(&fake, json!({"analytics_rooms": mode}));
        connection
    });
    let mut sync = || {
        [0, 1, 2].map(|mode| {
            fake.reset_requests();
            modes[mode].sync();
            requests(&fake)
        })
    };
    let first = sync();
    let earlier = fake.advance_small(1.0);
    sync();
    let later = fake.advance_small(2.0);
    let then = sync();
    // What happened in the hour before the cursor is asked about once more: events may arrive late.
    let changed = |stream: &str| earlier.streams[stream].union(&later.streams[stream]).count() as u64;
    let (since, edited) = (changed("sessions"), changed("rooms"));
    eprintln!(
        "{rooms} rooms, {sessions} sessions; since then {since} sessions, {edited} rooms edited: first {first:?}, then {then:?} requests"
    );
    assert!(since >= 40, "only {since} sessions changed");
    let rooms = rooms as u64;
    assert!(first[0] >= rooms && first[1] >= rooms, "the first sync asks every room");
    assert!(then[1] >= rooms, "`all` asks every room each time");
    for mode in [0, 2] {
        assert!(then[mode] <= 3 * since + rooms / 100, "{} requests for {since} sessions", then[mode]);
    }
}

#[test]
fn rooms_with_many_events_are_asked_for_what_is_new_in_them() {
    // Oldest first, so that nothing new is on the first page of such a room.
    let readings = Readings { event_order: ListOrder::OldestFirst, ..Readings::documented() };
    let scale = Scale::Custom(Counts { events_per_room: 220, ..quiet(200, 600) });
    let fake = Fake::start(Options { seed: 127, scale, readings, ..Options::default() });
    let mut connection = Connection::of(&fake, &[EVENTS]);
    connection.sync();
    let later = fake.advance_small(10.0);
    fake.reset_requests();
    connection.sync();
    connection.assert_is_up_to_date();
    // Failed joins without a session are found in the rooms of the sessions.
    let truth = fake.truth();
    let rooms: BTreeSet<_> =
        later.streams["sessions"].iter().map(|id| truth.streams["sessions"][id]["room_id"].as_str()).collect();
    let failed = later.streams[EVENTS].iter().filter(|id| {
        let event = &truth.streams[EVENTS][*id];
        event["session_id"].is_null() && rooms.contains(&event["room_id"].as_str())
    });
    let (found, missed): (Vec<_>, Vec<_>) = failed.partition(|id| connection.has(EVENTS, id));
    assert!(found.len() > 10 && missed.is_empty(), "{} found, missed: {missed:?}", found.len());
    let log = fake.request_log();
    let asked = |part: &str| log.iter().filter(|request| request.target.contains(part)).count();
    let sessions = later.streams["sessions"].len();
    let all = asked("/analytics/events");
    let whole = all - asked("session_id=") - asked("error=true");
    eprintln!("{sessions} sessions since: {all} requests for events, {whole} of them without a filter");
    assert!(sessions >= 30, "the test proves little");
    assert!(whole <= rooms.len(), "{whole} times all of {} rooms", rooms.len());
    assert!(asked("session_id=") >= sessions);
}

#[test]
fn sessions_of_the_look_back_in_which_nothing_happened_are_not_asked_about() {
    let fake = workspace(Counts { lately: Some(400), ..quiet(100, 800) }, 128);
    let mut connection = Connection::of(&fake, &[EVENTS]);
    connection.sync();
    let cursor: DateTime<Utc> = connection.states[EVENTS]["created_at"].as_str().unwrap().parse().unwrap();
    fake.reset_requests();
    connection.sync();
    let truth = fake.truth();
    let since = |stream: &str, hours: i64, columns: &[&str]| {
        let from = (cursor - TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let is_since = |record: &&Value| columns.iter().any(|column| record[*column].as_str() >= Some(&from));
        truth.streams[stream].values().filter(|record| record["active"] == true || is_since(record)).count() as u64
    };
    let listed = since("sessions", 13, &["created_at"]);
    let (sessions, rooms) = (since("sessions", 1, &["updated_at", "stopped_at"]), since("rooms", 1, &["created_at"]));
    let asked = requests_for_events(&fake);
    assert!(listed >= 2 * sessions, "{sessions} of {listed} sessions have changed: the test proves little");
    assert!(asked <= sessions + rooms, "{asked} requests for {sessions} of {listed} sessions and {rooms} rooms");
}

#[test]
fn every_room_is_asked_again_after_a_day_and_not_before() {
    let fake = workspace(quiet(300, 300), 123);
    let mut connection = Connection::of(&fake, &[EVENTS]);
    connection.sync();
    let swept_at = |connection: &Connection<'_>| connection.states[EVENTS]["swept_at"].clone();
    let first_sweep = swept_at(&connection);
    assert!(first_sweep.is_string());
    for (hours, sweeps) in [(20, false), (3, false), (1, true), (1, false)] {
        fake.let_time_pass(TimeDelta::hours(hours));
        fake.reset_requests();
        let before = swept_at(&connection);
        connection.sync();
        assert_eq!(requests_for_events(&fake) >= 300, sweeps, "after {hours} more hours");
        assert_eq!(swept_at(&connection) != before, sweeps);
    }
}

#[test]
fn nothing_is_asked_for_events_when_only_joins_and_leaves_are_wanted() {
    let fake = fake(124);
    let config = config_with(&fake, json!({"analytics_event_types": ["peer.join"]}));
    let transcript = Call::read(&config, &catalog(&[EVENTS], "full_refresh")).run().good(&fake);
    assert!(transcript.records_of(EVENTS).count() > 100);
    assert!(transcript.records().all(|event| event.data["type"] == "peer.join"));
    assert_eq!(requests_for_events(&fake), 0);
}

#[test]
fn whatever_the_filters_do_the_events_are_there_after_a_day() {
    use FilterEffect::{FindsNothing, Ignored, Narrows};
    for (by_session, by_error) in
        [(Ignored, FindsNothing), (FindsNothing, Ignored), (FindsNothing, FindsNothing), (Narrows, Ignored)]
    {
        let readings =
            Readings { event_id_filters: by_session, event_error_filter: by_error, ..Readings::documented() };
        let fake = Fake::start(Options { seed: 125, readings, ..Options::default() });
        let mut connection = Connection::of(&fake, &[EVENTS]);
        connection.sync();
        for _ in 0..5 {
            fake.advance();
            connection.sync();
        }
        connection.sync_after_a_day();
        connection.assert_is_complete();
    }
}

/// Reads the events of `fake` with so many kills, and then to the end; the largest state on the way.
fn read_with_kills(fake: &Fake, mode: &str, kills: usize, seed: u64) -> (Warehouse, usize) {
    let config = config_with(fake, json!({"analytics_rooms": mode}));
    let (mut random, mut warehouse, mut largest) = (fastrand::Rng::with_seed(seed), Warehouse::default(), 0);
    let mut hit = 0;
    for round in 0.. {
        let call = Call::read(&config, &catalog(&[EVENTS], "incremental")).file("state", &states(&warehouse.states));
        let bytes = if round < kills { random.usize(100_000..4_000_000) } else { usize::MAX };
        let run = call.start().kill_after(bytes);
        let transcript = run.transcript();
        transcript.assert_in_order();
        let sizes = transcript.all_states().into_iter().map(|(_, state)| state.to_string().len());
        largest = sizes.max().unwrap_or(0).max(largest);
        warehouse.load(&transcript);
        if run.status.success() {
            break;
        }
        hit += 1;
    }
    assert!(hit > kills / 2, "only {hit} kills hit: the test proves little");
    (warehouse, largest)
}

#[test]
fn a_state_stays_small_however_many_rooms_and_sessions_there_are() {
    const LARGEST: usize = 64 * 1024;
    let fake = workspace(quiet(10_000, 20_000), 126);
    for (mode, seed) in [("auto", 1), ("recent", 2)] {
        let (warehouse, largest) = read_with_kills(&fake, mode, 6, seed);
        eprintln!("{mode}: the largest state has {largest} bytes");
        assert!(largest < LARGEST, "{mode}: a state of {largest} bytes");
        if mode == "auto" {
            warehouse.assert_has(&[EVENTS], &fake.truth());
        }
    }
}

#[test]
fn a_room_that_is_enabled_between_the_two_lists_of_rooms_is_asked_for_its_events() {
    // The list of enabled rooms comes first. That of disabled ones is late, and meanwhile disabled rooms are enabled.
    let late = Fault::Delay { milliseconds: 2_000, jitter: 0 };
    let fake = fake(54);
    fake.set_faults(FaultPlan::new().on("/v2/rooms?enabled=false", When::First(1), late));
    let read = Call::read(
        &config_with(&fake, json!({"analytics_rooms": "all"})),
        &catalog(&["analytics_events"], "incremental"),
    );
    let running = read.start();
    let is_asked = |route: &str| fake.request_log().iter().any(|request| request.target.contains(route));
    while !is_asked("/v2/analytics/events") {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(500));
    fake.switch_rooms(40, fake.now());
    let transcript = running.finish().good(&fake);
    assert_same_records(
        "analytics_events",
        &transcript.by_key("analytics_events").0,
        &fake.truth().streams["analytics_events"],
    );
}

#[test]
fn recent_rooms_give_the_same_events_for_fewer_requests() {
    let fake = fake(52);
    let mut all = Connection::new(&fake);
    let mut recent = Connection::new(&fake);
    recent.config = config_with(&fake, json!({"analytics_rooms": "recent"}));
    all.sync();
    recent.sync();
    fake.reset_requests();
    fake.advance();
    recent.sync();
    let asked = requests_by_route(&fake)["/v2/analytics/events"].as_u64().unwrap();
    let rooms = fake.truth().streams["rooms"].len() as u64;
    assert!(asked < rooms, "{asked} of {rooms} rooms were asked");
    // All but events of rooms nobody has entered lately.
    let look_back = (fake.now() - TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let truth = &fake.truth().streams["analytics_events"];
    let missed: Vec<_> =
        truth.iter().filter(|(key, _)| !recent.records["analytics_events"].contains_key(*key)).collect();
    let sessions = &fake.truth().streams["sessions"];
    let is_excusable = |event: &Value| match event["session_id"].as_str() {
        None => true,
        // An event of a session that was over before the look-back is there after the next sweep.
        Some(session) => sessions.get(session).is_none_or(|session| {
            session["stopped_at"].as_str().is_some_and(|stopped_at| stopped_at <= look_back.as_str())
        }),
    };
    let inexcusable: Vec<_> = missed.iter().filter(|(_, event)| !is_excusable(event)).collect();
    assert!(inexcusable.is_empty(), "{inexcusable:#?}");
}

#[test]
fn event_types_are_chosen_by_the_user() {
    let fake = fake(14);
    let config = config_with(&fake, json!({"analytics_event_types": ["client.join.failed", "track.add.success"]}));
    let transcript = Call::read(&config, &catalog(&["analytics_events"], "full_refresh")).run().good(&fake);
    let expected: BTreeMap<String, Value> = fake.truth().streams["analytics_events"]
        .iter()
        .filter(|(_, event)| event["type"] == "client.join.failed" || event["type"] == "track.add.success")
        .map(|(key, event)| (key.clone(), event.clone()))
        .collect();
    assert!(!expected.is_empty());
    assert_same_records("analytics_events", &transcript.by_key("analytics_events").0, &expected);
}

/// Every option, with every way to keep states, also when a sync is cut again and again.
#[test]
fn what_is_known_of_events_survives_runners_that_merge_states_and_cuts() {
    for keeps in [Keeps::Whole, Keeps::Merged] {
        for rooms in ["auto", "all", "recent"] {
            for cuts in [vec![], vec![30_000, 60_000, 90_000], vec![140_000]] {
                let fake = fake(72);
                let mut connection = Connection::of(&fake, &["analytics_events"]);
                *connection = Warehouse::that_keeps(keeps);
                connection.config = config_with(&fake, json!({"analytics_rooms": rooms, "num_workers": 1}));
                let mut was_cut = 0;
                for bytes in &cuts {
                    let run = connection.call().start().kill_after(*bytes);
                    was_cut += usize::from(!run.status.success());
                    connection.load(&run.transcript());
                }
                assert!(cuts.is_empty() || was_cut > 0, "no sync was cut");
                connection.sync();
                connection.assert_is_complete();
                for _ in 0..2 {
                    fake.let_time_pass(TimeDelta::minutes(30));
                    fake.reset_requests();
                    let written = connection.sync().records_of("analytics_events").count();
                    let asked = requests_by_route(&fake)["/v2/analytics/events"].as_u64().unwrap_or(0);
                    let what = format!("{rooms}, {} cuts: {written} records, {asked} requests", cuts.len());
                    assert_eq!(written, 0, "{what}");
                    assert!(rooms == "all" || asked <= 30, "rooms are asked that are not due: {what}");
                }
            }
        }
    }
}

#[test]
fn recent_rooms_are_found_under_a_wrong_date() {
    for header in [DateHeader::Skewed(TimeDelta::days(3650)), DateHeader::Skewed(TimeDelta::days(-3650))] {
        let fake = workspace_of_many_pages(Options { now: an_hour_ago(), seed: 54, ..Options::default() });
        fake.set_date(header.clone());
        let config = config_with(&fake, json!({"analytics_rooms": "recent"}));
        let transcript = read_from_states(&config, &["analytics_events"], &BTreeMap::new()).run().good(&fake);
        let read = transcript.by_key("analytics_events").0;
        let truth = &fake.truth().streams["analytics_events"];
        let missing = truth.keys().filter(|key| !read.contains_key(*key)).count();
        assert!(truth.len() > 100 && missing == 0, "{header:?}: {missing} of {} events are missing", truth.len());
    }
}

#[test]
fn an_event_comes_once_in_a_sync_however_many_answers_hold_it() {
    for seed in 314..=316 {
        let counts = Counts { rooms: 4, sessions: 60, events_per_room: 6, ..Counts::default() };
        let fake = Fake::start(Options { seed, scale: Scale::Custom(counts), ..Options::default() });
        let mut connection = Connection::of(&fake, &["analytics_events"]);
        connection.sync();
        for _ in 0..3 {
            fake.advance();
            let (records, count) = connection.sync().by_key("analytics_events");
            assert!(count > 10, "only {count} events: the test proves nothing");
            assert_eq!(count, records.len(), "seed {seed}: events came twice");
        }
        connection.assert_is_up_to_date();
    }
}
