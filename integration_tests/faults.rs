//! What goes wrong on the wire: what passes is ridden out, what stays ends one stream and no other.
//!
//! Every read asks for `--debug`, so that the search for planted secrets has the most to search.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, RetryHint, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, STREAMS, assert_same_records, catalog, config, config_with, masked, short_pages, short_pages_at,
    until_answered,
};
use crate::messages::{FailureType, Level, Status, TraceError, Transcript};
use crate::platform::{Warehouse, assert_completes, examine, read_all, read_on};

/// Every route that a full read asks.
const ROUTES: [&str; 10] = [
    "/v2/sessions",
    "/v2/rooms",
    "/v2/active-rooms/{room_id}/peers",
    "/v2/templates",
    "/v2/templates/{id}/settings",
    "/v2/templates/{id}/destinations",
    "/v2/recordings",
    "/v2/recording-assets",
    "/v2/recording-assets/{id}/presigned-url",
    "/v2/analytics/events",
];

/// Those of them that are lists.
const LISTS: [&str; 6] =
    ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings", "/v2/recording-assets", "/v2/analytics/events"];

/// Runs `test` for each case, a few at a time as most of them wait, and gives the results in order.
fn for_each<C: Sync, R: Send>(cases: &[C], test: impl Fn(&C) -> R + Sync) -> Vec<R> {
    const AT_ONCE: usize = 3;
    let mut results = Vec::new();
    for some in cases.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|case| scope.spawn(|| test(case))).collect();
            results.extend(threads.into_iter().map(|thread| thread.join().expect("the case holds")));
        });
    }
    results
}

/// Every route has the fault so often in a row, and now and then a request of any route.
fn everywhere(times: u64, fault: Fault) -> FaultPlan {
    let plan = ROUTES.iter().fold(FaultPlan::new(), |plan, route| plan.on(route, When::First(times), fault.clone()));
    plan.on("*", When::Every(40), fault)
}

/// Reads under `plan` and asserts that it made no difference; gives the transcript of that.
fn rides_out(name: &str, plan: FaultPlan, may_repeat: bool) -> Transcript {
    eprintln!("riding out: {name}");
    let fake = short_pages_at(21, Utc::now() - TimeDelta::hours(1));
    fake.set_faults(plan);
    let run = read_all(&fake).run();
    let transcript = run.good(&fake);
    examine(&run, &fake);
    let faults = fake.request_log().iter().filter(|request| request.fault.is_some()).count();
    assert!(faults >= 2, "{name}: only {faults} faults hit");
    let truth = fake.truth();
    for stream in STREAMS {
        let (records, count) = transcript.by_key(stream);
        assert_same_records(stream, &records, &truth.streams[stream]);
        assert!(may_repeat || count == records.len(), "{name}: {stream} has a record twice");
    }
    transcript
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
        ("reset before the headers", everywhere(2, ResetBeforeHeaders)),
        ("reset within the headers", everywhere(2, ResetWithinHeaders)),
        ("reset within the body", everywhere(2, ResetWithinBody)),
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
fn minted_tokens_are_renewed_when_refused() {
    let once = |fault: Fault| {
        ROUTES.iter().fold(FaultPlan::new(), |plan, route| plan.on(route, When::First(1), fault.clone()))
    };
    let cases = [
        ("401 once", once(Fault::Unauthorized)),
        ("403 once", once(Fault::Forbidden)),
        ("all tokens voided, twice", FaultPlan::new().on("*", When::Every(50), Fault::VoidTokens).at_most(2)),
    ];
    for_each(&cases, |(name, plan)| rides_out(name, plan.clone(), false));
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
fn a_child_that_is_gone_is_skipped() {
    let children = [
        ("/v2/active-rooms/{room_id}/peers", "active_room_peers"),
        ("/v2/templates/{id}/settings", "template_settings"),
        ("/v2/templates/{id}/destinations", "templates_destinations"),
        ("/v2/analytics/events", "analytics_events"),
    ];
    for_each(&children, |(route, stream)| {
        let fake = short_pages(23);
        fake.set_faults(FaultPlan::new().on(route, When::First(4), Fault::NotFound));
        let run = read_all(&fake).run();
        let transcript = run.good(&fake);
        examine(&run, &fake);
        let truth = fake.truth();
        for other in STREAMS.iter().filter(|other| *other != stream) {
            assert_same_records(other, &transcript.by_key(other).0, &truth.streams[*other]);
        }
        let (records, truth) = (transcript.by_key(stream).0, &truth.streams[*stream]);
        assert!(!records.is_empty() && records.len() < truth.len(), "{} of {} in {stream}", records.len(), truth.len());
        assert!(records.keys().all(|key| truth.contains_key(key)), "{stream}");
        let beginning = route.split('{').next().expect("a route");
        let is_about = |log: &&&str| log.contains(beginning) && log.ends_with("skipped.");
        let told = transcript.logs(Level::Debug).iter().filter(is_about).count();
        // Some rooms have nobody in them besides.
        assert!(told >= 4, "{stream}: {told} of 4 are named: {:?}", transcript.logs(Level::Debug));
    });
}

/// A fault that stays on a route, and what must come of it.
pub struct Lasting {
    pub name: &'static str,
    pub plan: FaultPlan,
    /// The streams that cannot be read to the end.
    pub fails: &'static [&'static str],
    pub kind: FailureType,
}

/// What the user reads of a failed stream.
#[derive(serde::Serialize)]
pub struct Sentences {
    pub case: &'static str,
    pub stream: String,
    pub failure_type: String,
    pub message: String,
    pub internal_message: String,
}

fn sentences(case: &'static str, error: &TraceError) -> Sentences {
    Sentences {
        case,
        stream: error.stream_descriptor.as_ref().map_or_else(|| "the connection".to_owned(), |at| at.name.clone()),
        failure_type: format!("{:?}", error.failure_type),
        message: masked(&error.message),
        internal_message: masked(&error.internal_message),
    }
}

/// The streams that ended badly each have one error and no good end; the others are complete.
fn assert_ends(transcript: &Transcript, streams: &[&str], fails: &[&str], kind: FailureType, case: &str) {
    for stream in streams {
        // What may strike them all is said of the connection, not of a stream.
        let is_at_fault = |name: Option<&str>| name.map_or(fails == [*stream], |name| name == *stream);
        let of_stream = |error: &&&TraceError| is_at_fault(error.stream_descriptor.as_ref().map(|at| at.name.as_str()));
        let errors: Vec<_> = transcript.errors().iter().filter(of_stream).copied().cloned().collect();
        let (last, count) = if fails.contains(stream) { (Status::Incomplete, 1) } else { (Status::Complete, 0) };
        assert_eq!(transcript.statuses_of(stream).last(), Some(&last), "{case}: {stream}");
        assert_eq!(errors.len(), count, "{case}: {stream}: {errors:?}");
        assert!(errors.iter().all(|error| error.failure_type == kind), "{case}: {errors:?}");
    }
    assert_eq!(transcript.errors().len(), fails.len(), "{case}: {:?}", transcript.errors());
}

/// Reads under a fault that stays: one stream fails, the others are the truth, and the next read on a
/// good day goes on to the whole truth.
pub fn fails_alone(case: &Lasting, time_scale: &str) -> Vec<Sentences> {
    eprintln!("failing: {}", case.name);
    let fake = short_pages(24);
    fake.set_faults(case.plan.clone());
    // Events and people in rooms are read from the list of sessions as well: where that fails, they would by chance.
    let shares_the_list =
        |stream: &&&str| case.fails == ["sessions"] && ["analytics_events", "active_room_peers"].contains(*stream);
    let streams: Vec<&str> = STREAMS.iter().filter(|stream| !shares_the_list(stream)).copied().collect();
    let call = Call::read(&config(&fake), &catalog(&streams, "incremental")).argument("--debug");
    let run = call.variable("SOURCE_100MS_TIME_SCALE", time_scale).run();
    let transcript = examine(&run, &fake);
    assert_eq!(run.status.code(), Some(1), "{}: {}", case.name, run.report(&fake));
    assert!(run.stderr.is_empty(), "{}: {}", case.name, run.stderr);
    assert_ends(&transcript, &streams, case.fails, case.kind, case.name);
    let truth = fake.truth();
    for stream in streams.iter().filter(|stream| !case.fails.contains(stream)) {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
    let mut warehouse = Warehouse::default();
    warehouse.load(&transcript);
    assert_completes(warehouse, &fake);
    let mut sentences: Vec<_> = transcript.errors().into_iter().map(|error| sentences(case.name, error)).collect();
    sentences.sort_by(|one, other| one.stream.cmp(&other.stream));
    sentences
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
    let running = read_on(config, &BTreeMap::new()).start();
    until_answered(&fake, 60);
    let fake = happen(fake);
    let run = running.finish();
    let transcript = examine(&run, &fake);
    assert_eq!(run.status.code(), Some(1), "{}", run.report(&fake));
    let ends_well = |stream: &&&str| transcript.statuses_of(stream).last() == Some(&Status::Complete);
    let (complete, cut): (Vec<&str>, Vec<&str>) = STREAMS.iter().partition(|stream| ends_well(stream));
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
