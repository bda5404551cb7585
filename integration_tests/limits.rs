//! The rate limit: pauses, what is said of them, and the pace that is found.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, LoggedRequest, Options, RetryHint, Scale, When};
use serde_json::json;

use crate::harness::{
    Call, Finished, Lasting, assert_same_records, catalog, config_with, ends_within, fails_alone, first_read,
    incremental_streams, offered_streams, until_answered,
};
use crate::messages::{CheckStatus, FailureType, Level, Message, Reason, Status, StreamStatus, Trace, Transcript};
use crate::platform::{examine, read_all, read_on};

fn fake(seed: u64, plan: FaultPlan) -> Fake {
    let counts = Counts { rooms: 80, sessions: 200, recordings: 200, templates: 40, ..Counts::default() };
    let fake = Fake::start(Options { seed, scale: Scale::Custom(counts), max_page: 50, ..Options::default() });
    fake.set_faults(plan);
    fake
}

fn assert_is_the_truth(transcript: &Transcript, fake: &Fake) {
    let truth = fake.truth();
    for stream in offered_streams() {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[stream]);
    }
}

/// Runs the call and notes when each line came, in milliseconds of the epoch.
fn with_times(call: Call) -> (Vec<u128>, Finished) {
    let mut running = call.start();
    let mut lines = BufReader::new(running.child.stdout.take().expect("stdout is piped"));
    let (mut stdout, mut times) = (Vec::new(), Vec::new());
    while lines.read_until(b'\n', &mut stdout).expect("stdout is readable") > 0 {
        times.push(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis());
    }
    // All of stdout has been read: what is left is the status.
    (times, Finished { stdout, ..running.finish() })
}

fn status(message: &Message) -> Option<&StreamStatus> {
    match message {
        Message::Trace { trace: Trace::StreamStatus { stream_status, .. } } => Some(stream_status),
        _ => None,
    }
}

/// When each request was answered with what, in milliseconds since the fake began.
fn answers(fake: &Fake) -> Vec<(u64, u16)> {
    fake.request_log().iter().map(|request| (request.milliseconds_since_start, request.status)).collect()
}

/// One 429 among slow requests: its endpoint is not asked while the pause lasts, the others are, and the
/// platform knows until when.
fn pauses(hint: RetryHint, time_scale: &str, pause: u64) {
    const ROUTE: &str = "/v2/sessions";
    let name = format!("{hint:?}");
    // So slow that the read would be in full swing all through the pause.
    let fake = fake(31, FaultPlan::new().latency(100, 20).on(ROUTE, When::Nth(2), Fault::TooManyRequests(hint)));
    let (times, run) = with_times(read_all(&fake).variable("SOURCE_100MS_TIME_SCALE", time_scale));
    let transcript = run.good(&fake);
    examine(&run, &fake);
    assert_is_the_truth(&transcript, &fake);

    let (limited, others): (Vec<_>, Vec<_>) =
        fake.request_log().into_iter().partition(|request| request.target.split('?').next() == Some(ROUTE));
    let refused_at = limited.iter().find(|request| request.status == 429).expect("a 429").milliseconds_since_start;
    let rest = (refused_at + pause / 2)..(refused_at + pause);
    let asked = |requests: &[LoggedRequest]| {
        requests.iter().filter(|request| rest.contains(&request.milliseconds_since_start)).count()
    };
    assert_eq!(asked(&limited), 0, "{name}: requests in the second half of the pause");
    assert!(asked(&others) > 10, "{name}: only {} other requests in the second half of the pause", asked(&others));
    let after = limited.iter().filter(|request| request.milliseconds_since_start >= rest.end).count();
    assert!(after > 2, "{name}: only {after} requests were left to be held back");
    assert_is_announced(&name, &transcript, &times);
}

/// Every stream under way says once that it is limited, while the pause lasts, and with nothing else.
fn assert_is_announced(name: &str, transcript: &Transcript, times: &[u128]) {
    let mut limited = Vec::new();
    for (message, came_at) in transcript.messages.iter().zip(times) {
        let Some(status) = status(message).filter(|status| !status.reasons.is_empty()) else { continue };
        let [Reason::RateLimited { rate_limited }] = status.reasons.as_slice() else {
            panic!("{name}: more than one reason: {status:?}");
        };
        assert_eq!(status.status, Status::Running, "{name}");
        let reset = rate_limited.quota_reset.expect("the wait is known") as u128;
        assert!(*came_at < reset, "{name}: told {} ms after the pause was over", came_at - reset);
        limited.push(status.stream_descriptor.name.clone());
    }
    limited.sort();
    let told = limited.len();
    limited.dedup();
    assert_eq!(told, limited.len(), "{name}: told twice for one pause");
    assert!(
        incremental_streams().iter().filter(|stream| limited.contains(&(**stream).to_owned())).count() >= 3,
        "{name}: only {limited:?} were told"
    );
}

#[test]
fn an_endpoint_pauses_after_a_429_and_everybody_is_told_at_once() {
    std::thread::scope(|scope| {
        scope.spawn(|| pauses(RetryHint::Seconds(200), "0.01", 2_000));
        scope.spawn(|| pauses(RetryHint::HttpDate(200), "0.01", 2_000));
        scope.spawn(|| pauses(RetryHint::Message(200), "0.01", 2_000));
    });
}

/// 5 requests a second, on a clock that runs ten times faster.
#[test]
fn a_steady_limit_is_settled_into() {
    std::thread::scope(|scope| {
        scope.spawn(|| settles_into_a_limit(RetryHint::Seconds(1)));
        scope.spawn(|| settles_into_a_limit(RetryHint::Message(1)));
        scope.spawn(|| settles_into_a_limit(RetryHint::Nothing));
    });
}

fn settles_into_a_limit(hint: RetryHint) {
    const PER_SECOND: f64 = 50.0;
    let name = format!("{hint:?}");
    let fake = fake(32, FaultPlan::new().latency(10, 10).rate_limit(PER_SECOND, hint));
    let began = Instant::now();
    let run = read_all(&fake).variable("SOURCE_100MS_TIME_SCALE", "0.1").run();
    let took = began.elapsed().as_secs_f64();
    assert_is_the_truth(&run.good(&fake), &fake);
    let answers = answers(&fake);
    let refused = answers.iter().filter(|(_, status)| *status == 429).count();
    // The limiter lets a second's worth through at once in the beginning.
    let ideal = (answers.len() - refused) as f64 / PER_SECOND - 1.0;
    eprintln!("{name}: {} requests, {refused} refused, {took:.1} s where {ideal:.1} s are possible", answers.len());
    assert!(ideal > 4.0, "{name}: there is too little to do for a pace to settle");
    assert!(refused > 0, "{name}: the limit was never met");
    // Each of the endpoints finds the limit by itself, within a few hundred requests. One endpoint alone, and more
    // requests, are measured by the benchmark.
    assert!(refused * 3 < answers.len(), "{name}: {refused} of {} requests were refused", answers.len());
    assert!(took < 3.0 * ideal + 5.0, "{name}: it took {took:.1} s where {ideal:.1} s are possible");
}

#[test]
fn never_more_requests_than_workers() {
    for workers in [1, 3, 10] {
        let fake = fake(33, FaultPlan::new().latency(5, 5));
        let config = config_with(&fake, json!({"num_workers": workers}));
        let run = read_on(&config, &BTreeMap::new()).run();
        assert_is_the_truth(&run.good(&fake), &fake);
        assert_eq!(fake.max_in_flight(), workers);
    }
}

#[test]
fn after_a_429_fewer_are_in_flight_until_it_goes_well() {
    // Slow answers, so that the number in flight shows, and one stream, whose links are most of them.
    const LINKS: &str = "/v2/recording-assets/{id}/presigned-url";
    let pause = Fault::TooManyRequests(RetryHint::Seconds(40));
    let plan = FaultPlan::new().latency(200, 0).on(LINKS, When::Nth(60), pause);
    let run = grows_again("links", plan.clone());
    assert_same_records("recordings", &run.0.by_key("recordings").0, &run.1.truth().streams["recordings"]);
    // "Not found" has passed the limit, too.
    grows_again("files that are gone", plan.on(LINKS, When::Always, Fault::NotFound));
}

/// Reads recordings, whose 60th link is refused, and looks at how many requests are in flight afterwards.
fn grows_again(name: &str, plan: FaultPlan) -> (Transcript, Fake) {
    let counts = Counts { recordings: 500, ..Counts::default() };
    let fake = Fake::start(Options { seed: 34, scale: Scale::Custom(counts), ..Options::default() });
    fake.set_faults(plan);
    let read = Call::read(&config_with(&fake, json!({})), &catalog(&["recordings"], "incremental"));
    let running = read.variable("SOURCE_100MS_TIME_SCALE", "0.05").start().with_reader();
    until_answered(&fake, 60);
    while !answers(&fake).iter().any(|(_, status)| *status == 429) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fake.max_in_flight(), 10, "{name}");
    // Into the pause of 2 s; what was in flight has been answered by then.
    std::thread::sleep(Duration::from_millis(700));
    fake.reset_requests();
    until_answered(&fake, 4);
    let shrunk = fake.max_in_flight();
    until_answered(&fake, 150);
    let grown = fake.max_in_flight();
    assert!(shrunk <= 4, "{name}: {shrunk} in flight right after the pause");
    assert!(grown >= 9, "{name}: only {grown} in flight after 150 good answers");
    (running.finish().good(&fake), fake)
}

/// Hides how often was tried: before a limit that stays, time decides.
fn uncounted(sentence: &str) -> String {
    let words: Vec<&str> = sentence.split(' ').collect();
    let is_count = |at: usize| words.get(at + 1).is_some_and(|next| matches!(*next, "times" | "tries" | "attempts"));
    let uncounted = |(at, word): (usize, &&str)| if is_count(at) { "[n]".to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(uncounted).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_limit_that_stays_ends_one_stream() {
    let on = |route, when, hint| FaultPlan::new().on(route, when, Fault::TooManyRequests(hint));
    let cases = [
        Lasting {
            name: "429 for ever",
            plan: on("/v2/templates/{id}/settings", When::Always, RetryHint::Seconds(1)),
            fails: &["template_settings"],
            kind: FailureType::TransientError,
        },
        // Nobody waits for that, and above all not the other streams.
        Lasting {
            name: "429 until tomorrow",
            plan: on("/v2/analytics/events", When::After(8), RetryHint::Seconds(20_000)),
            fails: &["analytics_events"],
            kind: FailureType::TransientError,
        },
    ];
    let mut told = Vec::new();
    for case in cases {
        let began = Instant::now();
        // An hour of patience is 3.6 s.
        for mut sentence in fails_alone(&case, "0.001") {
            sentence.message = uncounted(&sentence.message);
            sentence.internal_message = uncounted(&sentence.internal_message);
            told.push(sentence);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{}: it took {took:?} to give up", case.name);
    }
    insta::assert_json_snapshot!("that_stay", told);
}

#[test]
fn a_429_beside_answers_is_a_warning_at_once() {
    let fake = fake(35, FaultPlan::new().on("/v2/rooms", When::Always, Fault::TooManyRequests(RetryHint::Seconds(30))));
    let began = Instant::now();
    let checked = Call::check(&config_with(&fake, json!({}))).variable("SOURCE_100MS_TIME_SCALE", "1").run();
    let transcript = checked.good(&fake);
    assert_eq!(transcript.connection_status().expect("a status").status, CheckStatus::Succeeded);
    let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{:?}", transcript.logs(Level::Warn)) };
    assert!(warning.contains("`rooms`") && warning.contains("could not be checked"), "{warning}");
    let discovered = Call::discover(&config_with(&fake, json!({}))).variable("SOURCE_100MS_TIME_SCALE", "1").run();
    let transcript = discovered.good(&fake);
    assert_eq!(transcript.catalog().streams.len(), offered_streams().len());
    assert!(transcript.logs(Level::Warn).iter().any(|warning| warning.contains("`rooms`")));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}

#[test]
fn a_check_that_meets_nothing_but_429_cannot_tell() {
    for hint in [RetryHint::Nothing, RetryHint::Seconds(45)] {
        let fake = fake(36, FaultPlan::new().on("*", When::Always, Fault::TooManyRequests(hint)));
        let began = Instant::now();
        let run = Call::check(&config_with(&fake, json!({}))).variable("SOURCE_100MS_TIME_SCALE", "1").run();
        assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
        let transcript = run.transcript();
        assert!(transcript.connection_status().is_none());
        assert_eq!(transcript.errors().len(), 1);
        assert_eq!(transcript.errors()[0].failure_type, FailureType::TransientError);
        assert_eq!(run.status.code(), Some(1));
    }
}

/// Reads these streams when so many requests are refused as `plan` says. Returns the time as a multiple of what is
/// possible, and the share refused.
fn cost(streams: &[&str], plan: FaultPlan, possible: impl Fn(f64) -> f64) -> (f64, f64) {
    let fake = fake(37, plan);
    let began = Instant::now();
    let read = Call::read(&config_with(&fake, json!({})), &catalog(streams, "incremental"));
    let run = read.variable("SOURCE_100MS_TIME_SCALE", "1").run();
    let took = began.elapsed().as_secs_f64();
    let (transcript, truth) = (run.good(&fake), fake.truth());
    for stream in streams {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
    let answers = answers(&fake);
    let refused = answers.iter().filter(|(_, status)| *status == 429).count() as f64;
    let served = answers.len() as f64 - refused;
    (took / possible(served), refused / (served + refused))
}

#[test]
fn a_429_without_a_hint_costs_a_fraction_of_a_second() {
    let refused = Fault::TooManyRequests(RetryHint::Nothing);
    let plan = FaultPlan::new().latency(50, 0).on("*", When::Probability(0.05), refused);
    let (ratio, _) = cost(&offered_streams(), plan, |served| served * 0.05 / 10.0);
    assert!(ratio < 3.0, "{ratio:.1} times as long as without");
}

#[test]
fn a_bound_on_requests_in_flight_is_found() {
    let plan = FaultPlan::new().latency(50, 0).on("*", When::Always, Fault::TooManyInFlight(3));
    // Where more endpoints than three are read, one request of each is too much.
    for (streams, slower, most_refused) in [(&["recordings"][..], 3.0, 0.15), (&offered_streams(), 5.0, 0.35)] {
        let (ratio, refused) = cost(streams, plan.clone(), |served| served * 0.05 / 3.0);
        assert!(ratio < slower, "{streams:?}: {ratio:.1} times as long as possible");
        assert!(refused < most_refused, "{streams:?}: {:.0} % refused", 100.0 * refused);
    }
}

/// How long a first sync of many sessions takes, when the n-th request is refused.
fn time_with_a_429(nth: Option<u64>) -> (Duration, Transcript) {
    let counts = Counts {
        sessions: 10_000,
        peers_per_session: 1,
        varied: false,
        rooms: 20,
        recordings: 5,
        events_per_room: 1,
        ..Counts::default()
    };
    let fake = Fake::start(Options { scale: Scale::Custom(counts), gzip: false, seed: 75, ..Options::default() });
    let mut plan = FaultPlan::new().latency(5, 0);
    if let Some(nth) = nth {
        plan = plan.on("/v2/sessions", When::Nth(nth), Fault::TooManyRequests(RetryHint::Seconds(3)));
    }
    fake.set_faults(plan);
    let began = Instant::now();
    let run = ends_within(
        first_read(&fake, &["sessions"]).variable("SOURCE_100MS_TIME_SCALE", "1"),
        Duration::from_secs(200),
    );
    let took = began.elapsed();
    let transcript = run.good(&fake);
    assert_eq!(transcript.by_key("sessions").0.len(), 10_000);
    (took, transcript)
}

#[test]
fn an_early_429_costs_its_pause_and_little_more() {
    let (usual, _) = time_with_a_429(None);
    for nth in [1, 5] {
        let (took, _) = time_with_a_429(Some(nth));
        eprintln!("{usual:.1?} without a 429, {took:.1?} with one as answer {nth}");
        assert!(took < usual + Duration::from_secs(3 + 3), "{took:?} instead of {usual:?} for a pause of 3 s");
    }
}

#[test]
fn requests_per_second_leave_room_for_another_program() {
    let fake = fake(38, FaultPlan::new().rate_limit(20.0, RetryHint::Seconds(1)));
    let is_over = AtomicBool::new(false);
    let config = config_with(&fake, json!({"requests_per_second": 10}));
    let streams = ["rooms", "sessions", "recordings"];
    let (run, statuses) = std::thread::scope(|scope| {
        let other = scope.spawn(|| fake.let_an_app_ask(8.0, &is_over));
        let run =
            Call::read(&config, &catalog(&streams, "full_refresh")).variable("SOURCE_100MS_TIME_SCALE", "1").run();
        is_over.store(true, Ordering::Relaxed);
        (run, other.join().expect("the other program ends well"))
    });
    let transcript = run.good(&fake);
    for stream in streams {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200], "{statuses:?}");
    let requests = fake.total_requests() - u64::from(statuses[&200]);
    assert!(requests > 40, "{requests} requests: the test proves nothing");
    let told = transcript.logs(Level::Info).into_iter().find(|log| log.starts_with("The sync made")).expect("a line");
    assert!(told.contains(&format!(" {requests} requests ")) && told.contains("none of them was refused"), "{told}");
    let per_second: f64 = told.split(['(', ' ']).skip_while(|word| *word != "s").nth(2).unwrap().parse().unwrap();
    assert!(per_second <= 10.2, "{told}");
}
