//! What a hostile or broken server does: clocks, lag, answers that are no pages, bodies without end,
//! and secrets everywhere.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::client::{Client, hang_up, tiny};
use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{
    DateHeader, Fake, Fault, FaultPlan, Options, Readings, RetryHint, TokenClaims, TokenPart, UnsetFilter, When,
};
use serde_json::{Value, json};

const ENDED: &str = "/v2/sessions?limit=20&active=false";

fn under(plan: FaultPlan) -> (Fake, Client) {
    let fake = tiny(Readings::documented());
    fake.set_faults(plan);
    let client = Client::of(&fake);
    (fake, client)
}

fn always(fault: Fault) -> (Fake, Client) {
    under(FaultPlan::new().on("*", When::Always, fault))
}

fn date(client: &Client) -> Option<String> {
    let answer = client.get("/v2/templates").expect("an answer");
    answer.header("date").map(str::to_owned)
}

#[test]
fn the_date_header_is_a_clock_of_its_own() {
    let fake = tiny(Readings::documented());
    let client = Client::of(&fake);
    assert_eq!(date(&client).as_deref(), Some("Sun, 15 Jun 2025 12:00:00 GMT"));
    fake.set_date(DateHeader::Skewed(TimeDelta::seconds(3)));
    assert_eq!(date(&client).as_deref(), Some("Sun, 15 Jun 2025 12:00:03 GMT"));
    fake.set_date(DateHeader::Jumping(TimeDelta::days(3650)));
    assert_ne!(date(&client), date(&client));
    fake.set_date(DateHeader::Text("yesterday".to_owned()));
    assert_eq!(date(&client).as_deref(), Some("yesterday"));
    fake.set_date(DateHeader::Missing);
    assert_eq!(date(&client), None);
    let newest = client.list("/v2/sessions?limit=100&active=false")[0]["updated_at"].clone();
    let newest: DateTime<Utc> = newest.as_str().expect("a time").parse().expect("a time");
    assert!(newest <= fake.now(), "the data keep their own clock");
}

#[test]
fn tokens_are_judged_by_the_servers_own_clock_and_its_date_tells_the_skew() {
    let fake = tiny(Readings::documented());
    let mut client = Client::of(&fake);
    assert_eq!(client.get(ENDED).expect("an answer").status, 200);
    fake.set_server_clock(TimeDelta::seconds(-30));
    let refused = client.get(ENDED).expect("an answer");
    assert_eq!((refused.status, &refused.json()["details"][0]), (401, &json!("token is not valid yet")));
    let told = DateTime::parse_from_rfc2822(refused.header("date").expect("a date")).expect("a date").to_utc();
    let off = (Utc::now() - told).num_seconds();
    assert!((29..=32).contains(&off), "{off}");
    let issued_at = told - TimeDelta::seconds(10);
    client.token = Some(fake.token_with(TokenClaims { issued_at, not_before: issued_at, ..TokenClaims::default() }));
    assert_eq!(client.get(ENDED).expect("an answer").status, 200);
}

/// The sessions, rooms, templates and recordings that lists show, by id.
fn shown(client: &Client) -> BTreeSet<String> {
    let lists = ["sessions?limit=100", "rooms?limit=100", "templates?limit=100", "recordings?limit=100"];
    let items = lists.into_iter().flat_map(|list| client.list(&format!("/v2/{list}")));
    let changed = |item: &Value| item.get("updated_at").or(item.get("updatedAt")).cloned().unwrap_or_default();
    items.map(|item| format!("{} {}", item["id"], changed(&item))).collect()
}

#[test]
fn what_is_written_becomes_visible_later() {
    let both = Readings { unset_filter: UnsetFilter::Both, ..Readings::documented() };
    let fake = Fake::start(Options { lag: TimeDelta::minutes(5), readings: both, ..Options::default() });
    let client = Client::of(&fake);
    let before = shown(&client);
    let changes = fake.advance_seconds(10);
    assert!(changes.streams.len() >= 5);
    let soon = shown(&client);
    fake.let_time_pass(TimeDelta::seconds(150));
    let later = shown(&client);
    fake.let_time_pass(TimeDelta::seconds(150));
    let settled = shown(&client);
    let new = |shown: &BTreeSet<String>| shown.difference(&before).count();
    assert!(new(&soon) < new(&later) && new(&later) < new(&settled), "{} {}", new(&soon), new(&later));
    let truth = fake.truth();
    let all = ["sessions", "rooms", "templates", "recordings"].into_iter().map(|stream| truth.streams[stream].len());
    assert_eq!(settled.len(), all.sum::<usize>());
}

#[test]
fn objects_carry_times_of_next_year() {
    let fake = tiny(Readings::documented());
    let changes = fake.stamp(TimeDelta::days(365));
    let changed: Vec<_> = changes.streams.keys().collect();
    assert_eq!(changed, ["recordings", "rooms", "session_peers", "sessions", "templates"]);
    let truth = fake.truth_since(fake.now() + TimeDelta::days(364));
    assert_eq!(truth.streams["rooms"].keys().collect::<Vec<_>>(), changes.streams["rooms"].iter().collect::<Vec<_>>());
    assert!(fake.now() < "2025-06-16T00:00:00Z".parse::<DateTime<Utc>>().expect("a time"));
}

#[test]
fn a_200_need_not_be_a_page_and_a_limit_need_not_be_a_number() {
    for text in ["{}", r#"{"code":500,"message":"internal error"}"#] {
        let (_fake, client) = always(Fault::Says(text.to_owned()));
        let answer = client.get(ENDED).expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, text.as_bytes()));
    }
    for text in ["-1", "\"100\"", "100.0", "1e30"] {
        let (_fake, client) = always(Fault::LimitText(text.to_owned()));
        let answer = client.get(ENDED).expect("an answer");
        assert!(String::from_utf8_lossy(&answer.body).contains(&format!("\"limit\":{text}")), "{text}");
    }
    let (_fake, client) = always(Fault::CapsBelowLimit(7));
    let page = client.ok(ENDED);
    assert_eq!((&page["limit"], page["data"].as_array().map(Vec::len)), (&json!(20), Some(7)));
    assert_eq!(page["last"], page["data"][6]["id"]);
}

#[test]
fn page_tokens_come_back_after_several_pages() {
    let (fake, client) = always(Fault::EarlierPageToken);
    for list in ["sessions?active=false&", "rooms?", "recordings?", "recording-assets?"] {
        let page = |start: &Value| {
            let start = start.as_str().map_or(String::new(), |start| format!("&start={start}"));
            client.ok(&format!("/v2/{list}limit=10{start}"))["last"].clone()
        };
        let (a, b) = (page(&Value::Null), page(&page(&Value::Null)));
        assert_ne!(a, b, "{list}");
        assert_eq!(page(&b), a, "{list}");
    }
    let truth = fake.truth();
    let long = truth.streams["rooms"].keys().find_map(|room| {
        let target = format!("/v2/analytics/events?limit=2&room_id={room}");
        let a = client.ok(&target)["next"].as_str()?.to_owned();
        let b = client.ok(&format!("{target}&start={a}"))["next"].as_str()?.to_owned();
        (a != b && !a.is_empty() && !b.is_empty()).then_some((target, a, b))
    });
    let (target, a, b) = long.expect("a room with several pages");
    assert_eq!(client.ok(&format!("{target}&start={b}"))["next"], a.as_str());
}

#[test]
fn times_can_be_ignored() {
    let (_fake, client) = always(Fault::IgnoresTimes);
    let all = client.list("/v2/sessions?limit=100&active=false").len();
    assert_eq!(client.list("/v2/sessions?limit=100&active=false&after=2025-06-15T11:00:00Z").len(), all);
}

/// The first bytes that come, until so many have come or time is over; and how many that were.
fn first_bytes(client: &Client, at_most: usize, time: Duration) -> Vec<u8> {
    let mut stream = client.connect().expect("the fake listens");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("not zero");
    stream.write_all(client.request("GET", ENDED, "close").as_bytes()).expect("it is read");
    let (mut received, mut buffer, began) = (Vec::new(), vec![0; 1 << 16], Instant::now());
    while received.len() < at_most && began.elapsed() < time {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("it ended after {} bytes", received.len()),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    hang_up(&stream);
    received
}

#[test]
fn bodies_drip_or_never_end() {
    let (_fake, client) = always(Fault::DrippingBody { milliseconds: 5 });
    let dripped = first_bytes(&client, usize::MAX, Duration::from_millis(600));
    let bytes = String::from_utf8_lossy(&dripped).matches("\r\n1\r\n").count();
    assert!((20..=120).contains(&bytes), "{bytes} bytes in 0.6 s");
    let (_fake, client) = always(Fault::EndlessBody);
    let endless = first_bytes(&client, 20 << 20, Duration::from_secs(20));
    assert!(endless.len() >= 20 << 20);
}

/// What is in the chunks of a body that may be cut anywhere.
fn without_frames(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..line]).expect("a size");
        let (begin, size) = (line + 2, usize::from_str_radix(size, 16).expect("a size"));
        if chunks.len() < begin + size + 2 {
            break;
        }
        body.extend_from_slice(&chunks[begin..begin + size]);
        chunks = &chunks[begin + size + 2..];
    }
    body
}

#[test]
fn a_small_body_unpacks_to_ten_gigabytes() {
    const PACKED: usize = 6_000_000;
    let (_fake, mut client) = always(Fault::GzipBomb);
    assert_eq!(client.get(ENDED).expect("plain is good").status, 200);
    client.accepts_gzip = true;
    // A gigabyte would be over after less.
    let packed = first_bytes(&client, PACKED, Duration::from_secs(20));
    assert!(packed.len() >= PACKED, "{} bytes", packed.len());
    let head = packed.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(String::from_utf8_lossy(&packed[..head]).contains("Content-Encoding: gzip"));
    let mut unpacked = vec![0; 1 << 20];
    let packed = without_frames(&packed[head..]);
    flate2::read::GzDecoder::new(packed.as_slice()).read_exact(&mut unpacked).expect("a megabyte from a few kilobytes");
    assert!(unpacked.iter().all(|byte| *byte == b' '));
}

#[test]
fn pages_grow_with_their_items() {
    let (_fake, client) = always(Fault::HeavyItems(100_000));
    let size = |limit| client.get(&format!("/v2/rooms?limit={limit}")).expect("an answer").body.len();
    assert!(size(20) > 2_000_000 && size(10) < 1_200_000);
}

#[test]
fn any_status_says_when_to_come_back_in_any_words() {
    for (status, text) in [(503, "18446744073709551615"), (500, "0"), (502, "Thu, 01 Jan 1970 00:00:00 GMT")] {
        let (_fake, client) = always(Fault::Refused { status, retry_after: text.to_owned() });
        let answer = client.get(ENDED).expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some(text)));
    }
}

#[test]
fn one_child_of_many_is_refused() {
    let fake = tiny(Readings::documented());
    let client = Client::of(&fake);
    let truth = fake.truth();
    let [one, other] = [0, 1].map(|number| truth.streams["templates"].keys().nth(number).expect("two templates"));
    let path = format!("/v2/templates/{one}/settings");
    let plan = FaultPlan::new().on(&path, When::Always, Fault::Status(410));
    let [room, another] = [0, 1].map(|number| truth.streams["rooms"].keys().nth(number).expect("two rooms"));
    let events = format!("/v2/analytics/events?room_id={room}");
    fake.set_faults(plan.on(&events, When::Always, Fault::Status(422)));
    assert_eq!(client.get(&format!("{events}&limit=10")).expect("an answer").status, 422);
    let of_another = client.get(&format!("/v2/analytics/events?room_id={another}&limit=10"));
    assert_eq!(of_another.expect("an answer").status, 200);
    assert_eq!(client.get(&path).expect("an answer").status, 410);
    assert_eq!(client.get(&format!("/v2/templates/{other}/settings")).expect("an answer").status, 200);
}

#[test]
fn odd_values_go_out_as_they_stand() {
    let set = |key: &str, json: &str| Fault::SetMember { key: key.into(), json: json.into() };
    for (key, json) in [
        ("name", r#""\ud800""#),
        ("name", r#""\u0000""#),
        ("size", "1e400"),
        ("active", r#""true""#),
        ("user_id", "true"),
    ] {
        let (_fake, client) = always(set(key, json));
        let body = client.get("/v2/sessions?limit=100&active=false").expect("an answer").body;
        let rooms = client.get("/v2/rooms?limit=100").expect("an answer").body;
        let text = [body, rooms].concat();
        assert!(String::from_utf8_lossy(&text).contains(&format!("\"{key}\":{json}")), "{key}");
    }
}

#[test]
fn peers_and_files_have_fields_that_nobody_knows_and_the_truth_has_them_too() {
    let fake = tiny(Readings { unknown_entry_fields: true, ..Readings::documented() });
    let client = Client::of(&fake);
    let assets = client.list("/v2/recording-assets?limit=100");
    assert!(assets.iter().all(|asset| asset["future_count"] == 7));
    let sessions = client.list("/v2/sessions?limit=100&active=false");
    let peers: Vec<&Value> =
        sessions.iter().filter_map(|one| one["peers"].as_object()).flat_map(|p| p.values()).collect();
    assert!(peers.len() > 50 && peers.iter().all(|peer| peer["fieldFromTheFuture"] == "new"));
    let truth = fake.truth();
    let entries = |stream: &str, column: &str| -> Vec<Value> {
        truth.streams[stream].values().flat_map(|one| one[column].as_array().cloned().unwrap_or_default()).collect()
    };
    assert!(entries("sessions", "peers").iter().all(|peer| peer["future_object"]["nested"][0] == 1));
    assert!(entries("recordings", "recording_assets").iter().all(|asset| asset["future_count"] == 7));
}

#[test]
fn secrets_are_planted_everywhere_and_listed() {
    let (fake, client) = always(Fault::PlantSecrets);
    let before = fake.secrets().len();
    let answer = client.ok("/v2/templates?limit=100");
    let mut templates = answer["data"].as_array().expect("an array").iter();
    let is_planted = |text: &Value| text.as_str().is_some_and(|text| text.contains("-everywhere-"));
    assert!(templates.all(|template| is_planted(&template["name"])), "a text without a secret");
    let answer = answer.to_string();
    let secrets = fake.secrets();
    let planted: Vec<&String> = secrets.iter().filter(|secret| secret.contains("-everywhere-")).collect();
    assert!(secrets.len() > before && planted.len() > 300);
    assert!(planted.iter().all(|secret| answer.matches(secret.as_str()).count() == 1));
    assert_eq!(planted.iter().collect::<BTreeSet<_>>().len(), planted.len());
}

#[test]
fn the_token_that_was_sent_comes_back() {
    let claims = |token: &str| token.split('.').nth(1).expect("a token has three parts").to_owned();
    for (part, shown) in [
        (TokenPart::Whole, (|token| token.to_owned()) as fn(&str) -> String),
        (TokenPart::FarToTheRight, |token| token.to_owned()),
        (TokenPart::Beginning, |token| token.split('.').next().expect("a token has three parts").to_owned()),
        (TokenPart::Middle, claims),
    ] {
        let (_fake, client) = always(Fault::EchoToken { status: 400, part });
        let answer = client.get(ENDED).expect("an answer");
        let token = client.token.clone().expect("it has one");
        assert!(answer.status == 400 && answer.message().contains(&shown(&token)), "{part:?}");
        let in_front = answer.message().find(&shown(&token)).expect("it is there");
        assert_eq!(in_front > 200, part == TokenPart::FarToTheRight);
        let is_whole = answer.message().contains(&token);
        assert_eq!(is_whole, matches!(part, TokenPart::Whole | TokenPart::FarToTheRight), "{part:?}");
    }
    let (_fake, client) = always(Fault::TokenAsId);
    assert_eq!(client.ok(ENDED)["data"][3]["id"].as_str(), client.token.as_deref());
    let (_fake, client) = always(Fault::TokenAsPageToken);
    assert_eq!(client.ok(ENDED)["last"].as_str(), client.token.as_deref());
}

#[test]
fn one_in_five_is_refused_although_the_token_is_good() {
    let (_fake, client) = under(FaultPlan::new().on("*", When::Every(5), Fault::Unauthorized));
    let statuses: Vec<u16> = (0..10).map(|_| client.get(ENDED).expect("an answer").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 2);
}

#[test]
fn one_endpoint_has_a_limit_and_the_others_do_not() {
    let (fake, client) = under(FaultPlan::new().rate_limit_on("/v2/rooms", 2.0, RetryHint::Seconds(1)));
    for _ in 0..20 {
        client.ok("/v2/templates");
        let _served_or_not = client.get("/v2/rooms");
    }
    let limited: Vec<_> = fake.requests().into_iter().filter(|count| count.status == 429).collect();
    assert!(limited.len() == 1 && limited[0].route == "/v2/rooms" && limited[0].count >= 10, "{limited:?}");
}

#[test]
fn the_clock_can_go_on_by_seconds_while_pages_are_read() {
    let fake = tiny(Readings::documented());
    let (client, then) = (Client::of(&fake), fake.now());
    fake.advance_seconds_during(2, 3);
    // What follows the second and the fourth answer has happened when the fifth is here.
    (0..5).for_each(|_| drop(client.ok("/v2/templates")));
    assert_eq!(fake.now() - then, TimeDelta::seconds(6));
}
