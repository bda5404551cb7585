//! The company that might exist: what is plausible about it, whatever the time is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use fake_100ms::{Fake, Options};
use serde_json::Value;

/// Midnight and the seconds around it, a night, a weekend, a busy afternoon, the end of a year, and a leap day.
const MOMENTS: [&str; 8] = [
    "2026-11-28T00:00:00Z",
    "2026-11-28T00:00:41Z",
    "2026-11-27T23:59:59Z",
    "2026-11-25T03:12:00Z",
    "2026-11-29T11:00:00Z",
    "2026-11-24T16:20:05Z",
    "2027-01-01T00:04:00Z",
    "2028-02-29T12:00:00Z",
];

fn of(now: &str, seed: u64) -> Fake {
    let now = now.parse().expect("a time");
    Fake::within(&Options { now, seed, ..Options::company() })
}

fn all() -> impl Iterator<Item = Fake> {
    MOMENTS.iter().flat_map(|now| [1, 2].map(|seed| of(now, seed)))
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a text").parse().expect("a time")
}

fn maybe(value: &Value) -> Option<DateTime<Utc>> {
    (!value.is_null()).then(|| time(value))
}

fn records(fake: &Fake, stream: &str) -> Vec<Value> {
    let truth = fake.truth_of(&[stream], None);
    truth.streams[stream].values().map(|record| serde_json::to_value(record).expect("JSON")).collect()
}

/// From its creation to its end, or to now.
fn span(session: &Value, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    (time(&session["created_at"]), maybe(&session["ended_at"]).unwrap_or(now))
}

fn spans(fake: &Fake) -> HashMap<String, (DateTime<Utc>, DateTime<Utc>)> {
    let sessions = records(fake, "sessions");
    sessions.iter().map(|session| (session["id"].to_string(), span(session, fake.now()))).collect()
}

fn per_day(fake: &Fake) -> BTreeMap<NaiveDate, usize> {
    let mut days = BTreeMap::new();
    for session in records(fake, "sessions") {
        *days.entry(time(&session["created_at"]).date_naive()).or_default() += 1;
    }
    days
}

#[test]
fn people_and_events_are_within_their_session() {
    for fake in all() {
        let spans = spans(&fake);
        for session in records(&fake, "sessions") {
            let (start, end) = spans[&session["id"].to_string()];
            assert!(start <= end && end <= fake.now() && end - start < TimeDelta::hours(2), "{session}");
            for peer in session["peers"].as_array().expect("peers") {
                let (joined_at, left_at) = (time(&peer["joined_at"]), maybe(&peer["left_at"]));
                assert!(start <= joined_at && left_at.unwrap_or(end) <= end, "{session}");
                assert!(left_at.is_none_or(|left_at| joined_at < left_at), "{peer}");
                assert_eq!(left_at.is_none(), session["active"] == true && left_at.is_none(), "{peer}");
            }
        }
        let events = records(&fake, "analytics_events");
        assert!(events.len() > 2_000);
        for event in events {
            match spans.get(&event["session_id"].to_string()) {
                Some((start, end)) => assert!((*start..=*end).contains(&time(&event["created_at"])), "{event}"),
                None => assert_eq!(event["data"]["error"]["name"], "RoomDisabled", "{event}"),
            }
        }
    }
}

#[test]
fn a_room_has_one_call_at_a_time() {
    for fake in all() {
        let mut of_room: HashMap<String, Vec<_>> = HashMap::new();
        for session in records(&fake, "sessions") {
            of_room.entry(session["room_id"].to_string()).or_default().push(span(&session, fake.now()));
        }
        for spans in of_room.values_mut() {
            spans.sort();
            assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}

#[test]
fn a_recording_is_as_long_as_its_call() {
    for fake in all() {
        let (spans, recordings) = (spans(&fake), records(&fake, "recordings"));
        let with = |status: &str| recordings.iter().filter(|recording| recording["status"] == status).count();
        assert!(with("completed") > 200 && with("failed") > 3, "{} and {}", with("completed"), with("failed"));
        assert!(with("running") >= 2 && with("post_processing") >= 1 && with("failed") < 40);
        for recording in recordings {
            let (start, end) = spans[&recording["session_id"].to_string()];
            let (began, stopped) = (maybe(&recording["started_at"]), maybe(&recording["stopped_at"]));
            assert!(began.is_none_or(|time| start <= time) && stopped.is_none_or(|time| time <= end), "{recording}");
            if recording["status"] == "completed" {
                let (length, call) = (recording["duration"].as_f64(), (end - start).as_seconds_f64());
                assert!(length.is_some_and(|length| call - 30.0 < length && length <= call), "{recording}");
            }
        }
    }
}

#[test]
fn the_last_days_look_like_those_of_a_company() {
    for fake in all() {
        let (days, today) = (per_day(&fake), fake.now().date_naive());
        assert_eq!(days.keys().next_back(), Some(&today), "the newest day is today");
        let weeks: Vec<NaiveDate> = (1..=35).map(|back| today - Days::new(back)).collect();
        let is_weekend = |day: &&NaiveDate| matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        let count = |day: &NaiveDate| days.get(day).copied().unwrap_or_default();
        let (weekend, working): (Vec<&NaiveDate>, Vec<&NaiveDate>) = weeks.iter().partition(is_weekend);
        assert!(working.iter().all(|day| (10..60).contains(&count(day))), "{days:?}");
        let total = |days: &[&NaiveDate]| days.iter().map(|day| count(day)).sum::<usize>();
        assert!(total(&weekend) * 8 < total(&working) * 2, "{days:?}");
        let mut hours = [0; 24];
        records(&fake, "sessions").iter().for_each(|session| hours[time(&session["created_at"]).hour() as usize] += 1);
        let (night, afternoon) = (hours[..6].iter().sum::<usize>(), hours[13..19].iter().sum::<usize>());
        assert!(afternoon > 10 * night && afternoon * 2 > days.values().sum::<usize>(), "{hours:?}");
    }
}

#[test]
fn somebody_is_in_a_call_now_and_people_come_back() {
    for fake in all() {
        let live = records(&fake, "active_room_peers");
        let rooms: BTreeSet<String> = live.iter().map(|peer| peer["room_id"].to_string()).collect();
        assert!(rooms.len() >= 5 && live.len() >= 10, "{} people in {} rooms", live.len(), rooms.len());
        let mut calls: HashMap<String, usize> = HashMap::new();
        for session in records(&fake, "sessions") {
            for peer in session["peers"].as_array().expect("peers") {
                *calls.entry(peer["user_id"].to_string()).or_default() += 1;
            }
        }
        let returning = calls.values().filter(|calls| **calls >= 3).count();
        assert!((80..140).contains(&calls.len()) && returning * 10 > calls.len() * 8, "{} {returning}", calls.len());
    }
}

#[test]
fn nothing_in_it_is_odd() {
    let fake = of(MOMENTS[5], 1);
    let truth = fake.truth();
    for (stream, records) in &truth.streams {
        for record in records.values() {
            let text = serde_json::to_string(record).expect("JSON");
            assert!(text.is_ascii() && !text.contains("DROP TABLE") && !text.contains("\\n"), "{stream}: {text}");
        }
    }
    let sessions = &truth.streams["sessions"];
    assert!((500..900).contains(&sessions.len()), "{}", sessions.len());
    assert!(sessions.values().all(|session| session["peers"].as_array().is_some_and(|peers| peers.len() < 70)));
    assert!((20..=40).contains(&truth.streams["rooms"].len()));
    for stream in ["webhook_events", "live_streams", "external_streams", "peer_quality"] {
        assert!(truth.streams[stream].is_empty(), "{stream}");
    }
}

#[test]
fn in_an_hour_lessons_end_and_begin_and_everything_that_changes_is_told() {
    for fake in all() {
        for _ in 0..4 {
            let (before, clock) = (fake.truth(), fake.now());
            let changes = fake.advance();
            let after = fake.truth();
            for (stream, records) in &after.streams {
                let told = changes.streams.get(stream);
                for (key, record) in records {
                    let is_same = before.streams[stream].get(key).is_some_and(|earlier| earlier == record);
                    // That somebody has left later is no change of the join.
                    let is_old_join = key.ends_with(".join") && before.streams[stream].contains_key(key);
                    assert!(is_same || is_old_join || told.is_some_and(|keys| keys.contains(key)), "{stream}: {key}");
                }
            }
            let sessions = after.streams["sessions"].values();
            assert!(sessions.clone().all(|session| time(&session["updated_at"]) <= fake.now()));
            assert!(fake.now() - clock > TimeDelta::minutes(50));
        }
    }
    let fake = of(MOMENTS[0], 3);
    let before = fake.truth();
    let changes = fake.advance();
    let after = fake.truth();
    let ended = |key: &&String| {
        before.streams["sessions"].get(*key).is_some_and(|session| session["active"] == true)
            && after.streams["sessions"][*key]["active"] == false
    };
    let begun = |key: &&String| !before.streams["sessions"].contains_key(*key);
    let sessions = &changes.streams["sessions"];
    assert!(sessions.iter().filter(ended).count() >= 3 && sessions.iter().filter(begun).count() >= 3);
    assert_eq!((changes.streams["rooms"].len(), changes.streams["templates"].len()), (2, 1));
    let finished = |key: &&String| after.streams["recordings"][*key]["status"] == "completed";
    assert!(changes.streams["recordings"].iter().filter(finished).count() >= 2);
}

#[test]
fn weeks_later_it_is_still_at_work() {
    let fake = of(MOMENTS[5], 1);
    for _ in 0..24 * 8 {
        fake.advance();
    }
    let (days, today) = (per_day(&fake), fake.now().date_naive());
    let yesterdays = (1..7).map(|back| today - Days::new(back));
    let working = yesterdays.filter(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun));
    assert!(working.into_iter().all(|day| days.get(&day).is_some_and(|count| *count > 8)), "{days:?}");
}
