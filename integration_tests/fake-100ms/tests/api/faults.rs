//! Every fault, as a client meets it.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, hang_up};
use fake_100ms::{Fake, Fault, FaultPlan, Options, RetryHint, When};
use serde_json::json;

const LIST: &str = "/v2/sessions?limit=20&active=false";

/// A fake that does this to every request of the sessions, and a client of it.
fn always(fault: Fault) -> (Fake, Client) {
    let fake = Fake::start(Options::default());
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, fault));
    let client = Client::of(&fake);
    (fake, client)
}

fn get(fault: Fault) -> std::io::Result<Answer> {
    let (_fake, client) = always(fault);
    client.get(LIST)
}

fn answer(fault: Fault) -> Answer {
    get(fault).expect("an answer")
}

fn failure(fault: Fault) -> ErrorKind {
    match get(fault) {
        Ok(answer) => panic!("status {}", answer.status),
        Err(error) => error.kind(),
    }
}

#[test]
fn a_429_names_the_wait_in_a_header_in_its_message_or_not_at_all() {
    let limited = |hint| {
        let answer = answer(Fault::TooManyRequests(hint));
        assert_eq!(answer.status, 429);
        (answer.header("retry-after").map(str::to_owned), answer.message())
    };
    let exceeded = "rate limit exceeded".to_owned();
    assert_eq!(limited(RetryHint::Seconds(3)), (Some("3".to_owned()), exceeded.clone()));
    let date = "Sun, 15 Jun 2025 12:00:03 GMT".to_owned();
    assert_eq!(limited(RetryHint::HttpDate(3)), (Some(date), exceeded.clone()));
    let message = "rate limit exceeded, retry after 45 seconds".to_owned();
    assert_eq!(limited(RetryHint::Message(45)), (None, message));
    assert_eq!(limited(RetryHint::Nothing), (None, exceeded));
}

#[test]
fn refusals_have_the_documented_body() {
    for status in [500, 502, 503, 504] {
        let answer = answer(Fault::Status(status));
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (status, Some(status.into())));
    }
    assert_eq!(answer(Fault::Unauthorized).json()["details"], json!(["token is expired"]));
    assert_eq!(answer(Fault::Forbidden).status, 403);
    assert_eq!(answer(Fault::NotFound).json()["details"], json!(["not found"]));
}

#[test]
fn connections_break_before_within_and_after_the_headers() {
    for fault in [Fault::ResetBeforeHeaders, Fault::ResetWithinHeaders, Fault::ResetWithinBody] {
        assert_eq!(failure(fault.clone()), ErrorKind::ConnectionReset, "{fault:?}");
    }
    assert_eq!(failure(Fault::TruncatedBody), ErrorKind::UnexpectedEof);
}

#[test]
fn bodies_are_not_what_they_should_be() {
    let html = answer(Fault::HtmlPage);
    assert_eq!((html.status, html.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(answer(Fault::EmptyBody).body.is_empty());
    for fault in [Fault::InvalidJson, Fault::ShortContentLength] {
        let answer = answer(fault.clone());
        assert_eq!(answer.status, 200);
        assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err(), "{fault:?}");
    }
}

#[test]
fn packed_bodies_break_for_those_who_accept_them() {
    let (_fake, mut client) = always(Fault::CorruptGzip);
    assert_eq!(client.get(LIST).expect("plain is good").status, 200);
    client.accepts_gzip = true;
    assert!(client.get(LIST).is_err());
}

#[test]
fn bodies_stall_for_a_while_or_for_ever() {
    let began = Instant::now();
    let answer = answer(Fault::StalledBody { milliseconds: 200 });
    assert!(answer.json()["data"].is_array() && began.elapsed() >= Duration::from_millis(200));

    let (fake, client) = always(Fault::EndlessStall);
    let mut stream = client.connect().expect("the fake listens");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("not zero");
    stream.write_all(client.request("GET", LIST, "close").as_bytes()).expect("it is read");
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).expect_err("it never ends");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(received.starts_with(b"HTTP/1.1 200 OK"));
    hang_up(&stream);
    assert_eq!(fake.max_in_flight(), 1);
}

#[test]
fn answers_come_late() {
    let fake = Fake::start(Options::default());
    let plan = FaultPlan::new().latency(60, 20).on("*", When::Always, Fault::Delay { milliseconds: 50, jitter: 0 });
    fake.set_faults(plan);
    let client = Client::of(&fake);
    let began = Instant::now();
    client.ok(LIST);
    assert!(began.elapsed() >= Duration::from_millis(110));
    assert_eq!(fake.request_log()[0].fault, None, "a delay is no fault of the answer");
}

#[test]
fn requests_in_flight_are_counted() {
    let fake = Fake::start(Options::default());
    fake.set_faults(FaultPlan::new().latency(150, 0));
    let client = Client::of(&fake);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.ok(LIST));
        }
    });
    assert_eq!(fake.max_in_flight(), 4);
}

#[test]
fn a_steady_limit_lets_through_what_it_promises() {
    let fake = Fake::start(Options::default());
    fake.set_faults(FaultPlan::new().rate_limit(20.0, RetryHint::Seconds(0)));
    let client = Client::of(&fake);
    let began = Instant::now();
    let mut passed = 0;
    while began.elapsed() < Duration::from_secs(1) {
        let answer = client.get("/v2/templates").expect("an answer");
        passed += u32::from(answer.status == 200);
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!((20..=42).contains(&passed), "{passed}");
    let limited = fake.requests().into_iter().find(|count| count.status == 429);
    assert!(limited.is_some_and(|count| count.route == "/v2/templates" && count.count > 20));
}

#[test]
fn page_tokens_repeat() {
    let (fake, client) = always(Fault::RepeatedPageToken);
    let first = client.ok(LIST);
    let start = first["last"].as_str().expect("the first page has no start to repeat");
    assert_eq!(client.ok(&format!("{LIST}&start={start}"))["last"], start);
    fake.set_faults(FaultPlan::new().on("/v2/analytics/*", When::Always, Fault::RepeatedPageToken));
    let (target, next) = first_events(&fake, &client);
    assert_eq!(client.ok(&format!("{target}&start={next}"))["next"], next.as_str());
}

/// The first page of a room that has several, and the cursor to the next.
fn first_events(fake: &Fake, client: &Client) -> (String, String) {
    let truth = fake.truth();
    for room in truth.streams["rooms"].keys() {
        let target = format!("/v2/analytics/events?limit=5&room_id={room}");
        if let Some(next) = client.ok(&target)["next"].as_str().filter(|next| !next.is_empty()) {
            return (target, next.to_owned());
        }
    }
    panic!("some room has more than five events");
}

#[test]
fn cursors_of_events_expire_at_once_but_first_pages_are_served() {
    let fake = Fake::start(Options::default());
    fake.set_faults(FaultPlan::new().on("*", When::First(1), Fault::ExpiredCursor));
    let client = Client::of(&fake);
    let (target, next) = first_events(&fake, &client);
    let target = format!("{target}&start={next}");
    let answer = client.get(&target).expect("an answer");
    assert_eq!((answer.status, answer.message().contains("expired")), (400, true));
    assert_eq!(client.get(&target).expect("an answer").status, 200);
    assert_eq!(fake.unexpected(), Vec::<String>::new());
}

#[test]
fn limits_shrink_and_items_shift() {
    let (_fake, client) = always(Fault::SmallerLimit(7));
    let page = client.ok(LIST);
    assert_eq!((&page["limit"], page["data"].as_array().map(Vec::len)), (&json!(7), Some(7)));
    let whole = Client::of(&Fake::start(Options::default())).list("/v2/sessions?limit=100&active=false");
    assert_eq!(client.list("/v2/sessions?limit=100&active=false"), whole);

    let (_fake, client) = always(Fault::ShiftedItems(3));
    let first = client.ok(LIST);
    let last = first["last"].as_str().expect("there are more");
    let second = client.ok(&format!("{LIST}&start={last}"));
    assert_eq!(second["data"][2], first["data"][19]);
    assert_eq!(second["data"].as_array().map(Vec::len), Some(20));
    let mut shifted = client.list(LIST);
    shifted.dedup();
    shifted.sort_by_key(|session| std::cmp::Reverse(session["id"].to_string()));
    shifted.dedup();
    assert_eq!(shifted, whole);
}

#[test]
fn answers_hold_more_or_less_than_documented() {
    let page = answer(Fault::UnknownFields).json();
    assert_eq!(page["fieldFromTheFuture"], "new");
    assert_eq!(page["data"][0]["future_object"]["nested"][1]["deep"], true);
    let page = answer(Fault::null_everything()).json();
    assert!(page["data"].as_array().is_some_and(|items| items.iter().all(|item| item["peers"].is_null())));
    assert!(answer(Fault::NoDate).header("date").is_none());
}

#[test]
fn faults_mix_are_logged_and_end() {
    let fake = Fake::start(Options::default());
    let plan = FaultPlan::new()
        .on("/v2/sessions", When::First(2), Fault::Status(503))
        .on("/v2/*", When::Always, Fault::NoDate)
        .at_most(3)
        .on("/v2/sessions", When::Nth(3), Fault::ResetBeforeHeaders);
    fake.set_faults(plan);
    let client = Client::of(&fake);
    let statuses: Vec<Option<u16>> = (0..4).map(|_| client.get(LIST).ok().map(|answer| answer.status)).collect();
    assert_eq!(statuses, [Some(503), Some(503), None, Some(200)]);
    let log = fake.request_log();
    assert_eq!(log[0].fault.as_deref(), Some("Status(503), NoDate"));
    assert_eq!((log[2].status, log[2].fault.as_deref()), (0, Some("NoDate, ResetBeforeHeaders")));
    assert_eq!((log[3].target.as_str(), log[3].fault.as_deref()), (LIST, None));
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Status(500)));
    fake.clear_faults();
    assert_eq!(client.get(LIST).expect("a good day").status, 200);
    let token = client.token.clone().expect("it has one");
    assert!(!format!("{:?}", fake.request_log()).contains(&token));
}

#[test]
fn a_bad_day_can_be_survived_and_is_the_same_for_the_same_seed() {
    let survive = |seed| {
        let fake = Fake::start(Options::default());
        fake.set_faults(FaultPlan::random_mix(seed, 0.5));
        let client = Client::of(&fake);
        for _ in 0..60 {
            // Whatever comes, the fake itself goes on.
            let _good_or_bad = client.get("/v2/templates?limit=10");
        }
        let log = fake.request_log();
        log.into_iter().map(|request| request.fault).collect::<Vec<_>>()
    };
    let faults = survive(5);
    assert_eq!(faults, survive(5));
    let wrong = faults.iter().flatten().count();
    assert!((12..=45).contains(&wrong), "{wrong} of 60");
}
