//! What goes wrong on the wire: faults that pass are survived, faults that stay end one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use fake_100ms::{Fake, Fault, FaultPlan, Options, RetryHint, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, Lasting, ROUTES, SOON, assert_reads_all, assert_same_records, catalog, config, config_with, ends_within,
    fails_alone, fake, first_read, for_each, masked, nowhere, offered_streams, read_from_states, rides_out, sentence,
    short_pages, until_answered, workspace_of_many_pages,
};
use crate::messages::{FailureType, Level, Status};
use crate::platform::{Warehouse, assert_completes, examine, read_all, read_on};

#[test]
fn a_read_without_a_network_says_so_once_and_soon() {
    let fake = fake(6);
    let config = config_with(&fake, json!({"api_url": nowhere()}));
    let finished = Call::read(&config, &catalog(&offered_streams(), "incremental")).run();
    let transcript = finished.transcript();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(1), ""));
    let [error] = transcript.errors()[..] else { panic!("not one error: {}", finished.report(&fake)) };
    assert_eq!(error.failure_type, FailureType::TransientError);
    // Four tries are over within seconds, and not after a minute like those of a host that has answered.
    assert!(error.message.contains("Could not reach 100ms: 4 attempts "), "{error:?}");
    let first = transcript.logs(Level::Info).iter().filter(|line| line.contains("trying again")).count();
    assert_eq!(first, 1, "{:?}", transcript.logs(Level::Info));
    assert!(offered_streams().iter().all(|stream| transcript.statuses_of(stream).last() == Some(&Status::Incomplete)));
}

#[test]
fn the_reason_in_the_details_of_a_refusal_is_shown() {
    let fake = fake(67);
    let detailed = |status, detail: &str| Fault::Detailed { status, detail: detail.to_owned() };
    let read = |stream: &str, route: &str, fault: Fault| {
        fake.set_faults(FaultPlan::new().on(route, When::Always, fault));
        let transcript = Call::read(&config(&fake), &catalog(&[stream], "full_refresh")).run().transcript();
        let errors = transcript.errors();
        let error = errors.first().expect("an error");
        (error.failure_type, error.message.clone())
    };
    let (_, message) = read("rooms", "/v2/rooms", detailed(409, "room size greater than 20000"));
    assert!(message.contains("request refused: room size greater than 20000"), "{message}");
    let long = format!("{}{}", "very ".repeat(200), fake.app_secret());
    let (_, message) = read("rooms", "/v2/rooms", detailed(409, &long));
    assert!(message.len() < 600 && !message.contains(&fake.app_secret()), "{message}");
    // A reason of which the connector knows what to do about it.
    let (kind, message) = read("analytics_events", "/v2/analytics/events", detailed(400, "invalid event type: x"));
    assert_eq!(kind, FailureType::ConfigError, "{message}");
    assert!(message.contains("`analytics_event_types`"), "{message}");
}

#[test]
fn a_wait_is_told_in_a_unit_that_suits_it() {
    let fake = fake(69);
    let refused = Fault::Refused { status: 503, retry_after: "100".to_owned() };
    fake.set_faults(FaultPlan::new().on("*", When::Always, refused));
    let (_, sentence) = sentence(&Call::check(&config(&fake)).run());
    assert!(sentence.contains("asks to wait 100 s,"), "{sentence}");
}

/// Those of them that are lists.
const LISTS: [&str; 6] =
    ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings", "/v2/recording-assets", "/v2/analytics/events"];

/// Every route has the fault so often in a row, and now and then a request of any route.
fn everywhere(times: u64, fault: Fault) -> FaultPlan {
    let plan = ROUTES.iter().fold(FaultPlan::new(), |plan, route| plan.on(route, When::First(times), fault.clone()));
    plan.on("*", When::Every(40), fault)
}

const TOO_SHORT: &str = "a length that is too short";

#[test]
fn what_passes_is_ridden_out() {
    use Fault::*;
    use RetryHint::{HttpDate, Message, Nothing, Seconds};
    let cases = [
        ("429, Retry-After in seconds", everywhere(2, TooManyRequests(Seconds(1)))),
        ("429, Retry-After as a date", everywhere(2, TooManyRequests(HttpDate(1)))),
        ("429, the wait in its message", everywhere(2, TooManyRequests(Message(1)))),
        ("429 without a hint", everywhere(1, TooManyRequests(Nothing))),
        ("408", everywhere(2, Status(408))),
        ("500", everywhere(2, Status(500))),
        ("502", everywhere(2, Status(502))),
        ("503", everywhere(2, Status(503))),
        ("504", everywhere(2, Status(504))),
        // The first of these is no try where something has been answered before.
        ("reset before the headers", everywhere(3, ResetBeforeHeaders)),
        ("reset within the headers", everywhere(3, ResetWithinHeaders)),
        ("reset within the body", everywhere(3, ResetWithinBody)),
        ("truncated body", everywhere(2, TruncatedBody)),
        ("HTML with status 200", everywhere(2, HtmlPage)),
        ("a body that stalls", everywhere(2, StalledBody { milliseconds: 200 })),
        ("a body that stalls for ever", everywhere(1, EndlessStall)),
        (TOO_SHORT, everywhere(2, ShortContentLength)),
        ("JSON cut in the middle", everywhere(2, InvalidJson)),
        // About one item, an empty answer means that there is nothing.
        ("empty body", LISTS.iter().fold(FaultPlan::new(), |plan, route| plan.on(route, When::First(2), EmptyBody))),
        ("broken gzip", everywhere(2, CorruptGzip)),
    ];
    let retried = for_each(&cases, |(name, plan)| {
        let transcript = rides_out(name, plan.clone(), false);
        let logs = [Level::Debug, Level::Info].into_iter().flat_map(|level| transcript.logs(level)).map(masked);
        // Which endpoint is refused first depends on the moment, and so does whether enough answers have been
        // seen by then to choose a pace.
        let named = logs.map(|log| if log.contains("limits the rate") { without_endpoint_and_pace(&log) } else { log });
        // A small answer is not compressed, and when its length is too short, it is its JSON that ends too early.
        let cut = "unreadable answer: it ends too early: line 1, column [n]";
        let named = named.map(|log| {
            if *name == TOO_SHORT { log.replace(cut, "no complete answer: unexpected end of file") } else { log }
        });
        named.filter(|log| log.contains(" `/v2/templates` ") || log.contains("limits")).collect::<BTreeSet<_>>()
    });
    let names = cases.iter().map(|(name, _)| *name);
    insta::assert_json_snapshot!("ridden_out", names.zip(retried).collect::<Vec<_>>());
}

#[test]
fn odd_answers_are_read_all_the_same() {
    use Fault::*;
    let always = |fault| FaultPlan::new().on("*", When::Always, fault);
    let events = |fault| {
        let short = FaultPlan::new().on("/v2/analytics/events", When::Always, SmallerLimit(5));
        short.on("/v2/analytics/events", When::First(3), fault)
    };
    let cases = [
        ("smaller pages than asked for", always(SmallerLimit(7)), false),
        ("smaller pages now and then", FaultPlan::new().on("*", When::Every(2), SmallerLimit(3)), false),
        ("items that shift to the next page", always(ShiftedItems(3)), true),
        ("items that shift now and then", FaultPlan::new().on("*", When::Every(3), ShiftedItems(3)), true),
        ("fields that no document knows", always(UnknownFields), false),
        ("no Date header", always(NoDate), false),
        // The room is read again from its beginning.
        ("a dead cursor of events", events(ExpiredCursor), true),
    ];
    for_each(&cases, |(name, plan, may_repeat)| rides_out(name, plan.clone(), *may_repeat));
}

#[test]
fn null_instead_of_objects_loses_no_item() {
    let fake = short_pages(22);
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::null_everything()));
    let run = read_all(&fake).run();
    let transcript = run.good(&fake);
    examine(&run, &fake);
    let truth = fake.truth();
    // The peers of a live room and the destinations of a template are such objects themselves.
    for stream in ["sessions", "rooms", "templates", "template_settings", "analytics_events", "recordings"] {
        let keys: BTreeSet<_> = transcript.by_key(stream).0.into_keys().collect();
        // Joins and leaves are made from such objects, too.
        let is_made_from_peers = |key: &String| key.ends_with(".join") || key.ends_with(".leave");
        let expected = truth.streams[stream].keys().filter(|key| !is_made_from_peers(key)).cloned().collect();
        assert_eq!(keys, expected, "{stream}");
    }
    assert!(transcript.records_of("sessions").all(|session| session.data["peers"] == json!([])));
}

#[test]
fn what_stays_ends_one_stream_and_no_other() {
    use FailureType::{ConfigError, SystemError, TransientError};
    use Fault::*;
    use When::{After, Always};
    const SETTINGS: &str = "/v2/templates/{id}/settings";
    const EVENTS: &str = "/v2/analytics/events";
    let on = |route, when, fault| FaultPlan::new().on(route, when, fault);
    let case = |name, plan, fails, kind| Lasting { name, plan, fails, kind };
    let short_events = || on(EVENTS, Always, SmallerLimit(3));
    let cases = [
        case("500", on(SETTINGS, Always, Status(500)), &["template_settings"][..], TransientError),
        case("502", on("/v2/rooms", Always, Status(502)), &["rooms", "analytics_events"], TransientError),
        case("503", on("/v2/sessions", After(5), Status(503)), &["sessions"], TransientError),
        case("504", on(EVENTS, After(8), Status(504)), &["analytics_events"], TransientError),
        case(
            "reset before the headers",
            on("/v2/recordings", After(1), ResetBeforeHeaders),
            &["recordings"],
            TransientError,
        ),
        case(
            "reset within the headers",
            on(EVENTS, After(8), ResetWithinHeaders),
            &["analytics_events"],
            TransientError,
        ),
        case("reset within the body", on("/v2/sessions", After(5), ResetWithinBody), &["sessions"], TransientError),
        case("truncated body", on("/v2/recording-assets", After(2), TruncatedBody), &["recordings"], TransientError),
        case("HTML with status 200", on(SETTINGS, After(2), HtmlPage), &["template_settings"], TransientError),
        case("a body that stalls for ever", on(EVENTS, After(8), EndlessStall), &["analytics_events"], TransientError),
        case(
            "a length that is too short",
            on("/v2/recordings", After(1), ShortContentLength),
            &["recordings"],
            TransientError,
        ),
        case("JSON cut in the middle", on("/v2/sessions", After(5), InvalidJson), &["sessions"], TransientError),
        case("empty body", on("/v2/recordings", After(2), EmptyBody), &["recordings"], TransientError),
        case("broken gzip", on("/v2/recordings", After(1), CorruptGzip), &["recordings"], TransientError),
        case("403 on a route", on(EVENTS, Always, Forbidden), &["analytics_events"], ConfigError),
        case("404 on a list", on("/v2/recordings", Always, NotFound), &["recordings"], ConfigError),
        case("400", on("/v2/sessions", After(5), Status(400)), &["sessions"], SystemError),
        case(
            "a page token that repeats: sessions",
            on("/v2/sessions", Always, RepeatedPageToken),
            &["sessions"],
            TransientError,
        ),
        case(
            "a page token that repeats: recordings",
            on("/v2/recordings", Always, RepeatedPageToken),
            &["recordings"],
            TransientError,
        ),
        case(
            "a page token that repeats: assets",
            on("/v2/recording-assets", After(1), RepeatedPageToken),
            &["recordings"],
            TransientError,
        ),
        case(
            "a page token that repeats: events",
            short_events().on(EVENTS, Always, RepeatedPageToken),
            &["analytics_events"],
            TransientError,
        ),
        case(
            "cursors of events that die at once",
            short_events().on(EVENTS, Always, ExpiredCursor),
            &["analytics_events"],
            TransientError,
        ),
    ];
    let sentences: Vec<_> = for_each(&cases, |case| fails_alone(case, "0.01")).into_iter().flatten().collect();
    insta::assert_json_snapshot!("lasting", sentences);
}

/// Reads slowly, lets `happen` happen in the middle, and asserts that every stream which did not make it
/// has one error of `kind`. Gives the sentences, without the endpoints, which depend on the moment.
fn is_struck(fake: Fake, config: &Value, kind: FailureType, happen: impl FnOnce(Fake) -> Fake) -> BTreeSet<String> {
    let truth = fake.truth();
    fake.set_faults(FaultPlan::new().latency(30, 10));
    let running = read_on(config, &BTreeMap::new()).start().with_reader();
    until_answered(&fake, 60);
    let fake = happen(fake);
    let run = running.finish();
    let transcript = examine(&run, &fake);
    assert_eq!(run.status.code(), Some(1), "{}", run.report(&fake));
    let ends_well = |stream: &&&str| transcript.statuses_of(stream).last() == Some(&Status::Complete);
    let (complete, cut): (Vec<&str>, Vec<&str>) = offered_streams().iter().partition(|stream| ends_well(stream));
    assert!(cut.len() >= 2, "only {cut:?} were struck");
    // What strikes them all is said once.
    assert!(cut.iter().all(|stream| transcript.statuses_of(stream).last() == Some(&Status::Incomplete)), "{cut:?}");
    let errors = transcript.errors();
    assert!(errors.len() == 1 && errors[0].failure_type == kind, "{errors:?}");
    for stream in complete {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[stream]);
    }
    let mut warehouse = Warehouse::default();
    warehouse.load(&transcript);
    assert_completes(warehouse, &fake);
    transcript.errors().into_iter().map(|error| masked(&without_endpoint_and_pace(&error.message))).collect()
}

fn without_endpoint_and_pace(sentence: &str) -> String {
    let (before, rest) = sentence.split_once("`/v2/").expect("the endpoint is named");
    let (_, after) = rest.split_once('`').expect("the endpoint ends");
    let after = after.replace(", then [n] requests a second", "");
    format!("{before}`[endpoint]`{after}")
}

#[test]
fn what_strikes_in_the_middle_is_told_and_the_next_read_goes_on() {
    let pasted = |fake: &Fake| {
        let token = fake.token();
        config_with(fake, json!({"credentials": {"auth_type": "management_token", "management_token": token}}))
    };
    let mut sentences = Vec::new();

    let fake_of_token = short_pages(25);
    let config_of_token = pasted(&fake_of_token);
    let voided = is_struck(fake_of_token, &config_of_token, FailureType::ConfigError, |fake| {
        fake.void_tokens();
        fake
    });
    sentences.push(("the pasted token is voided", voided));

    let fake_of_secret = short_pages(26);
    let config_of_secret = config(&fake_of_secret);
    let rotated = is_struck(fake_of_secret, &config_of_secret, FailureType::ConfigError, |fake| {
        fake.rotate_secret();
        fake
    });
    sentences.push(("the app secret is rotated", rotated));

    let fake_of_network = short_pages(27);
    let config_of_network = config(&fake_of_network);
    // The same workspace at another address stands for the same one, back again.
    let gone = is_struck(fake_of_network, &config_of_network, FailureType::TransientError, |gone| {
        drop(gone);
        short_pages(27)
    });
    sentences.push(("the network is gone", gone));
    insta::assert_json_snapshot!("in_the_middle", sentences);
}

#[test]
fn no_wait_that_a_server_names_is_too_large_to_be_read() {
    for text in
        ["18446744073709551615", "99999999999999999999999", "-1", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT", "\u{7f}"]
    {
        for status in [503, 429] {
            let fake = workspace_of_many_pages(Options { seed: 76, ..Options::default() });
            let fault = Fault::Refused { status, retry_after: text.to_owned() };
            fake.set_faults(FaultPlan::new().on("/v2/rooms", When::First(1), fault));
            // At a real pace, and at one that brings an hour to its end.
            let call = first_read(&fake, &["rooms", "templates"]).variable("SOURCE_100MS_TIME_SCALE", "0.0005");
            let run = ends_within(call, SOON);
            let transcript = examine(&run, &fake);
            assert!(run.stderr.is_empty(), "{status}, {text}: {}", run.stderr);
            assert_reads_all(&transcript, &fake, &["templates"]);
            // Read in the end, or given up with a word: never silent.
            let is_complete = transcript.statuses_of("rooms").last() == Some(&Status::Complete);
            assert!(is_complete || transcript.errors().len() == 1, "{status}, {text}: {}", run.report(&fake));
        }
    }
}

#[test]
fn a_huge_wait_at_the_real_pace_is_no_panic() {
    let fake = workspace_of_many_pages(Options { seed: 77, ..Options::default() });
    let fault = Fault::Refused { status: 503, retry_after: u64::MAX.to_string() };
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, fault));
    let mut running = first_read(&fake, &["rooms", "templates"]).variable("SOURCE_100MS_TIME_SCALE", "1").start();
    until_answered(&fake, 3);
    std::thread::sleep(Duration::from_secs(2));
    if running.wait(Duration::from_millis(10)).is_none() {
        running.signal("TERM");
    }
    let run = running.finish();
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    let transcript = run.transcript();
    let is_told = transcript.errors().iter().any(|error| error.stream_descriptor.is_some());
    assert!(run.status.signal() == Some(15) || is_told, "{:?} and nothing said", run.status);
}

#[test]
fn a_wait_of_nothing_does_not_use_up_the_tries() {
    for text in ["0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let fake = workspace_of_many_pages(Options { seed: 78, ..Options::default() });
        let fault = Fault::Refused { status: 503, retry_after: text.to_owned() };
        fake.set_faults(FaultPlan::new().on("*", When::Always, fault));
        let running = first_read(&fake, &["rooms"]).variable("SOURCE_100MS_TIME_SCALE", "1").start();
        until_answered(&fake, 1);
        std::thread::sleep(Duration::from_secs(2));
        fake.clear_faults();
        let transcript = running.finish().good(&fake);
        assert_reads_all(&transcript, &fake, &["rooms"]);
    }
}

#[test]
fn time_spent_in_a_queue_uses_up_no_patience() {
    let fake = workspace_of_many_pages(Options { seed: 80, ..Options::default() });
    let limited =
        |plan: FaultPlan, route| plan.on(route, When::First(2), Fault::TooManyRequests(RetryHint::Seconds(1150)));
    // By the time these have passed, more than an hour has gone by since the others were ready to be asked.
    let mut plan = limited(limited(FaultPlan::new(), "/v2/rooms"), "/v2/templates");
    for route in ["/v2/recordings", "/v2/recording-assets", "/v2/sessions"] {
        plan = plan.on(route, When::First(1), Fault::Status(503));
    }
    fake.set_faults(plan);
    let mut config = config(&fake);
    config["num_workers"] = json!(1);
    config["recording_urls"] = json!("none");
    let streams = ["rooms", "templates", "recordings", "sessions"];
    // An hour is 3.6 s.
    let call = read_from_states(&config, &streams, &BTreeMap::new()).variable("SOURCE_100MS_TIME_SCALE", "0.001");
    let transcript = ends_within(call, SOON).good(&fake);
    assert_eq!(transcript.errors().len(), 0);
    assert_reads_all(&transcript, &fake, &["rooms", "templates", "sessions"]);
}
