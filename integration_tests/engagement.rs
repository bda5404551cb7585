//! `analytics_events` as people ask it: who came, who left, and what it costs to know what happened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Counts, Fake, FilterEffect, ListOrder, Options, Readings, Scale};
use serde_json::{Value, json};

use crate::harness::{Call, catalog, config, config_with, fake, requests_by_route, states};
use crate::messages::{Record, Transcript};
use crate::platform::{Connection, Warehouse};

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

/// A room is tried whole, in the hope that its events fit a page, until more have failed by four than succeeded; up
/// to nine more are under way then.
const MOST_TRIED_IN_VAIN: usize = 13;

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
    assert!(sessions >= 30 && whole > 0, "the test proves little");
    assert!(whole <= MOST_TRIED_IN_VAIN, "{whole} rooms were tried whole");
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
