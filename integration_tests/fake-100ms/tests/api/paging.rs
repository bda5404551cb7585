//! The rules of pages and filters, and what is refused.

use std::collections::BTreeSet;

use crate::client::{Client, read_answer};
use chrono::TimeDelta;
use fake_100ms::{Counts, Fake, ListOrder, Options, Readings, Scale};
use serde_json::Value;
use std::io::Write;

fn small() -> Fake {
    Fake::start(Options::default())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is {}", value[key]))
}

#[test]
fn lists_are_newest_first_and_any_page_size_gives_the_same() {
    let fake = small();
    let client = Client::of(&fake);
    let whole = client.list("/v2/sessions?limit=100&active=false");
    let ids: Vec<&str> = whole.iter().map(|session| text(session, "id")).collect();
    assert!(ids.is_sorted_by(|a, b| a > b));
    let seconds = |session: &Value| i64::from_str_radix(&text(session, "id")[..8], 16).expect("hexadecimal");
    for session in &whole {
        let created: chrono::DateTime<chrono::Utc> = text(session, "created_at").parse().expect("a time");
        assert_eq!(created.timestamp(), seconds(session));
    }
    for limit in [10, 37] {
        assert_eq!(client.list(&format!("/v2/sessions?limit={limit}&active=false")), whole);
    }
}

#[test]
fn a_page_has_ten_items_unless_more_are_asked_for_and_at_most_what_the_server_gives() {
    let fake = Fake::start(Options { max_page: 50, ..Options::default() });
    let client = Client::of(&fake);
    let page = client.ok("/v2/rooms");
    assert_eq!((page["limit"].as_u64(), page["data"].as_array().map(Vec::len)), (Some(10), Some(10)));
    let page = client.ok("/v2/recordings?limit=100");
    assert_eq!((page["limit"].as_u64(), page["data"].as_array().map(Vec::len)), (Some(50), Some(50)));
}

#[test]
fn a_short_page_carries_last_and_the_page_behind_it_is_empty() {
    let fake = small();
    let client = Client::of(&fake);
    let page = client.ok("/v2/templates?limit=100");
    let last = text(&page, "last");
    let behind = client.ok(&format!("/v2/templates?limit=100&start={last}"));
    assert_eq!(behind["data"], serde_json::json!([]));
    assert!(behind["last"].is_null());
}

#[test]
fn bounds_are_inclusive_and_windows_cover_everything() {
    for order in [ListOrder::NewestFirst, ListOrder::OldestFirst, ListOrder::Shuffled] {
        let readings = Readings { session_order: order, ..Readings::documented() };
        let fake = Fake::start(Options { readings, ..Options::default() });
        let client = Client::of(&fake);
        let whole = client.list("/v2/sessions?limit=100&active=false");
        let middle = text(&whole[whole.len() / 2], "created_at");
        let newer = client.list(&format!("/v2/sessions?limit=100&active=false&after={middle}"));
        let older = client.list(&format!("/v2/sessions?limit=100&active=false&before={middle}"));
        let at = client.list(&format!("/v2/sessions?limit=100&active=false&after={middle}&before={middle}"));
        assert!(!at.is_empty() && at.iter().all(|session| text(session, "created_at") == middle));
        assert_eq!(newer.len() + older.len(), whole.len() + at.len());
    }
}

#[test]
fn filters_of_every_list_are_honoured() {
    let fake = small();
    let client = Client::of(&fake);
    let recording = &client.list("/v2/recordings?limit=100&status=completed")[0];
    let (room, session) = (text(recording, "room_id"), text(recording, "session_id"));
    for target in [
        format!("/v2/sessions?limit=100&active=false&room_id={room}"),
        format!("/v2/recordings?limit=100&room_id={room}"),
        format!("/v2/recording-assets?limit=100&room_id={room}"),
        format!("/v2/recordings?limit=100&session_id={session}"),
        format!("/v2/recording-assets?limit=100&session_id={session}&status=completed"),
    ] {
        let items = client.list(&target);
        assert!(items.iter().all(|item| text(item, "room_id") == room), "{target}");
    }
    let rooms = client.list("/v2/rooms?limit=100&enabled=true");
    let (name, template) = (text(&rooms[0], "name"), rooms.iter().find_map(|room| room["template_id"].as_str()));
    let template = template.expect("most rooms have a template");
    let of_template = client.list(&format!("/v2/rooms?limit=100&template_id={template}"));
    assert!(!of_template.is_empty() && of_template.len() < rooms.len());
    let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(client.list(&format!("/v2/rooms?limit=100&name={escaped}")).len(), 1);
}

#[test]
fn unset_filters_mean_true_or_both() {
    let count = |readings: Readings| {
        let fake = Fake::start(Options { readings, ..Options::default() });
        let client = Client::of(&fake);
        (client.list("/v2/sessions?limit=100").len(), client.list("/v2/rooms?limit=100").len())
    };
    let (live, enabled) = count(Readings::documented());
    let all = count(Readings { unset_filter: fake_100ms::UnsetFilter::Both, ..Readings::documented() });
    assert!(live < 40 && enabled < 40);
    assert_eq!(all, (260, 40));
}

#[test]
fn what_the_documents_do_not_allow_is_refused_with_what_was_expected() {
    let fake = small();
    let client = Client::of(&fake);
    let expected = [
        ("/v2/sessions?limit=9", 400, "a number from 10 to 100"),
        ("/v2/sessions?limit=101", 400, "a number from 10 to 100"),
        ("/v2/sessions?sort=asc", 400, "unknown parameter `sort`"),
        ("/v2/sessions?active=yes", 400, "`true` or `false`"),
        ("/v2/rooms?after=yesterday", 400, "a time such as"),
        ("/v2/rooms?start=12", 400, "24 hexadecimal digits"),
        ("/v2/rooms?start=000000000000000000000000", 400, "the id of an item of this list"),
        ("/v2/recordings?after=2025-01-01T00:00:00Z", 400, "unknown parameter `after`"),
        ("/v2/recordings?status=done", 400, "expected one of `starting`"),
        ("/v2/analytics/events", 400, "`room_id` is missing"),
        ("/v2/peers", 404, "expected one of `/v2/sessions`"),
    ];
    for (target, status, message) in expected {
        let answer = client.get(target).expect("an answer");
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.message().contains(message), "{target}: {}", answer.message());
    }
    assert_eq!(fake.unexpected().len(), expected.len());
    assert!(fake.unexpected()[0].starts_with("GET /v2/sessions?limit=9: "));
    let answer = client.send("POST", "/v2/rooms").expect("an answer");
    assert_eq!((answer.status, answer.message().as_str()), (400, "method POST: expected GET"));
    let nowhere = "/v2/templates/000000000000000000000000/settings";
    let answer = client.get(nowhere).expect("an answer");
    assert_eq!(
        answer.json(),
        serde_json::json!({"code": 404, "message": "template not found", "details": ["not found"]})
    );
    fake.reset_requests();
    assert_eq!((fake.unexpected().len(), fake.total_requests()), (0, 0));
}

/// The room with the most events, and how many they are.
fn busy_room(fake: &Fake) -> (String, usize) {
    let truth = fake.truth();
    // Joins and leaves are made from sessions: no endpoint answers them.
    let events = truth.streams["analytics_events"].values().filter(|event| event["source"] == "analytics");
    let rooms = events.map(|event| text(event, "room_id").to_owned());
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    rooms.for_each(|room| *counts.entry(room).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).expect("there are events")
}

#[test]
fn events_are_a_snapshot_of_the_first_query() {
    let fake = small();
    let client = Client::of(&fake);
    let (room, count) = busy_room(&fake);
    assert!(count > 100, "the busy room has several pages");
    let target = format!("/v2/analytics/events?limit=40&room_id={room}");
    let first = client.ok(&target);
    assert_eq!(first["total"].as_u64(), Some(count as u64));
    for _ in 0..3 {
        fake.advance();
    }
    let rest = client.events_from(&target, format!("&start={}", text(&first, "next")));
    assert_eq!(rest.len() + 40, count);
    assert!(client.ok(&target)["total"].as_u64() > Some(count as u64));
}

#[test]
fn a_cursor_of_events_dies_after_a_day_and_belongs_to_its_room() {
    let fake = small();
    let client = Client::of(&fake);
    let (room, _) = busy_room(&fake);
    let target = format!("/v2/analytics/events?limit=10&room_id={room}");
    let next = text(&client.ok(&target), "next").to_owned();
    let other = client.list("/v2/rooms?limit=100").into_iter().find(|other| text(other, "id") != room);
    let other = other.expect("there are other rooms");
    let elsewhere = format!("/v2/analytics/events?limit=10&room_id={}&start={next}", text(&other, "id"));
    assert_eq!(client.get(&elsewhere).expect("an answer").status, 400);
    let began = fake.now();
    while fake.now() - began <= TimeDelta::hours(24) {
        fake.advance();
    }
    let answer = client.get(&format!("{target}&start={next}")).expect("an answer");
    assert_eq!((answer.status, answer.message().as_str()), (400, "invalid start: the cursor has expired"));
}

#[test]
fn events_can_be_filtered() {
    let fake = small();
    let client = Client::of(&fake);
    let (room, count) = busy_room(&fake);
    let target = format!("/v2/analytics/events?limit=100&room_id={room}");
    let all = client.events(&target);
    assert_eq!(all.len(), count);
    let two = client.events(&format!("{target}&type=client.disconnected&type=client.join.failed"));
    let kinds: BTreeSet<&str> = two.iter().map(|event| text(event, "type")).collect();
    assert_eq!(kinds, BTreeSet::from(["client.disconnected", "client.join.failed"]));
    let event = all.iter().find(|event| event["data"]["session_id"].is_string()).expect("most have one");
    for name in ["session_id", "peer_id"] {
        let value = text(&event["data"], name);
        let found = client.events(&format!("{target}&{name}={value}"));
        assert!(!found.is_empty() && found.iter().all(|event| event["data"][name] == value));
    }
}

#[test]
fn a_connection_serves_many_requests_and_bodies_come_packed_or_in_chunks() {
    for chunked in [false, true] {
        let fake = Fake::start(Options { chunked, ..Options::default() });
        let mut client = Client::of(&fake);
        let plain = client.ok("/v2/rooms?limit=100");
        client.accepts_gzip = true;
        let mut stream = client.connect().expect("the fake listens");
        for _ in 0..3 {
            let request = client.request("GET", "/v2/rooms?limit=100", "keep-alive");
            stream.write_all(request.as_bytes()).expect("the connection lives");
            let answer = read_answer(&mut stream).expect("an answer");
            assert_eq!(answer.header("content-encoding"), Some("gzip"));
            assert_eq!(answer.header("date"), Some("Sun, 15 Jun 2025 12:00:00 GMT"));
            assert_eq!(answer.json(), plain);
        }
    }
}

#[test]
fn an_empty_workspace_answers_empty_pages() {
    let counts = Counts { rooms: 0, sessions: 0, templates: 0, recordings: 0, ..Counts::default() };
    let fake = Fake::start(Options { scale: Scale::Custom(counts), ..Options::default() });
    let client = Client::of(&fake);
    for route in ["sessions", "rooms", "templates", "recordings", "recording-assets"] {
        assert_eq!(client.list(&format!("/v2/{route}?limit=100")).len(), 0);
    }
    assert!(fake.truth().streams.values().all(|records| records.is_empty()));
    fake.advance();
    assert!(!fake.truth().streams["rooms"].is_empty());
}
