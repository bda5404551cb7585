//! Reads that never ended, took far too long, or gave up where they need not.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, RetryHint, Scale, When};
use serde_json::{Value, json};

use super::{ends_within, first_read, read, small, with_pasted_token};
use crate::harness::{Call, STREAMS, assert_same_records, catalog, config, requests_by_route, short_pages, states};
use crate::messages::{CheckStatus, FailureType, Level, Status, Transcript};
use crate::platform::{examine, read_all};

/// No single case waits longer than that for its end.
const SOON: Duration = Duration::from_secs(90);

fn assert_reads_all(transcript: &Transcript, fake: &Fake, streams: &[&str]) {
    let truth = fake.truth();
    for stream in streams {
        assert_same_records(stream, &transcript.by_key(stream).0, &truth.streams[*stream]);
    }
}

#[test]
fn a_page_token_that_comes_back_later_ends_in_an_error() {
    for (list, stream) in [
        ("/v2/sessions", "sessions"),
        ("/v2/rooms", "rooms"),
        ("/v2/templates", "templates"),
        ("/v2/recordings", "recordings"),
        ("/v2/recording-assets", "recordings"),
        ("/v2/analytics/events", "analytics_events"),
    ] {
        // So many that a list has several pages for each worker.
        let counts = Counts {
            sessions: 900,
            rooms: 600,
            templates: 44,
            recordings: 60,
            events_per_room: 40,
            ..Counts::default()
        };
        let fake = Fake::start(Options { scale: Scale::Custom(counts), max_page: 10, seed: 71, ..Options::default() });
        fake.set_faults(FaultPlan::new().on(list, When::Always, Fault::EarlierPageToken));
        let run = ends_within(first_read(&fake, &[stream]), Duration::from_secs(30));
        let transcript = examine(&run, &fake);
        assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{list}");
        assert_eq!(transcript.errors().len(), 1, "{list}");
    }
}

/// The most memory a process has had, in megabytes, while it runs to its end.
fn ends_in_memory_of(call: Call, megabytes: u64) -> crate::harness::Finished {
    let mut running = call.start();
    let id = running.child.id();
    let stdout = running.child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || {
        let (mut stdout, mut bytes) = (stdout, Vec::new());
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes)
    });
    let (began, mut most) = (Instant::now(), 0);
    while running.child.try_wait().expect("it can be waited for").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        most = most.max(kilobytes / 1024);
        if began.elapsed() > SOON || most > megabytes {
            running.child.kill().expect("the process can be killed");
            panic!("no end after {:.0?}, {most} MB", began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let stdout = reader.join().expect("it reads").expect("stdout is readable");
    crate::harness::Finished { stdout, ..running.finish() }
}

#[test]
fn a_body_that_drips_ends_a_try() {
    let fake = small(Options { seed: 72, gzip: false, ..Options::default() });
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::DrippingBody { milliseconds: 20 }));
    // Ten minutes are 1.2 s.
    let call = first_read(&fake, &["rooms", "templates"]).variable("SOURCE_100MS_TIME_SCALE", "0.002");
    let transcript = examine(&ends_within(call, SOON), &fake);
    assert_eq!(transcript.statuses_of("rooms").last(), Some(&Status::Incomplete));
    assert_eq!(transcript.errors()[0].failure_type, FailureType::TransientError);
    assert!(has_asked_for_less(&fake), "a page that does not come to an end is asked for in smaller pages");
    assert_reads_all(&transcript, &fake, &["templates"]);
}

fn has_asked_for_less(fake: &Fake) -> bool {
    fake.request_log().iter().any(|request| request.target.contains("/v2/rooms") && request.target.contains("limit=50"))
}

#[test]
fn a_body_without_end_and_a_bomb_end_a_stream_and_not_the_process() {
    for fault in [Fault::EndlessBody, Fault::GzipBomb] {
        let fake = small(Options { seed: 73, ..Options::default() });
        fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, fault.clone()));
        let run = ends_in_memory_of(first_read(&fake, &["rooms", "templates"]), 400);
        let transcript = examine(&run, &fake);
        assert_eq!(run.status.code(), Some(1), "{fault:?}: {}", run.report(&fake));
        assert_eq!(transcript.statuses_of("rooms").last(), Some(&Status::Incomplete), "{fault:?}");
        assert_reads_all(&transcript, &fake, &["templates"]);
    }
}

#[test]
fn a_page_too_large_is_asked_for_in_smaller_pages() {
    let counts =
        Counts { rooms: 60, sessions: 10, recordings: 5, templates: 3, events_per_room: 1, ..Counts::default() };
    let fake = Fake::start(Options { scale: Scale::Custom(counts), gzip: false, seed: 74, ..Options::default() });
    // 60 rooms are 90 MB, and 30 are 45.
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, Fault::HeavyItems(1_500_000)));
    // At the real pace: so much takes its time.
    let call = first_read(&fake, &["rooms"]).variable("SOURCE_100MS_TIME_SCALE", "1");
    let transcript = ends_in_memory_of(call, 400).good(&fake);
    assert!(has_asked_for_less(&fake));
    assert_reads_all(&transcript, &fake, &["rooms"]);
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
fn no_wait_that_a_server_names_is_too_large_to_be_read() {
    for text in
        ["18446744073709551615", "99999999999999999999999", "-1", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT", "\u{7f}"]
    {
        for status in [503, 429] {
            let fake = small(Options { seed: 76, ..Options::default() });
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
    let fake = small(Options { seed: 77, ..Options::default() });
    let fault = Fault::Refused { status: 503, retry_after: u64::MAX.to_string() };
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Always, fault));
    let mut running = first_read(&fake, &["rooms", "templates"]).variable("SOURCE_100MS_TIME_SCALE", "1").start();
    crate::harness::until_answered(&fake, 3);
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
        let fake = small(Options { seed: 78, ..Options::default() });
        let fault = Fault::Refused { status: 503, retry_after: text.to_owned() };
        fake.set_faults(FaultPlan::new().on("*", When::Always, fault));
        let running = first_read(&fake, &["rooms"]).variable("SOURCE_100MS_TIME_SCALE", "1").start();
        crate::harness::until_answered(&fake, 1);
        std::thread::sleep(Duration::from_secs(2));
        fake.clear_faults();
        let transcript = running.finish().good(&fake);
        assert_reads_all(&transcript, &fake, &["rooms"]);
    }
}

#[test]
fn a_time_scale_that_is_none_is_one_sentence() {
    let fake = small(Options { seed: 79, ..Options::default() });
    for text in ["abc", "-1", "nan", "inf", "1e400", "0x1", ""] {
        let call = first_read(&fake, &["rooms"]).variable("SOURCE_100MS_TIME_SCALE", text);
        let run = ends_within(call, SOON);
        let transcript = run.transcript();
        let errors = transcript.errors();
        let is_told = errors.len() == 1 && errors[0].message.contains("SOURCE_100MS_TIME_SCALE");
        // Nothing set is no mistake.
        assert!(is_told || (text.is_empty() && errors.is_empty()), "`{text}`: {}", run.report(&fake));
        assert!(run.stderr.is_empty(), "`{text}`: {}", run.stderr);
    }
}

#[test]
fn time_spent_in_a_queue_uses_up_no_patience() {
    let fake = small(Options { seed: 80, ..Options::default() });
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
    let call = read(&config, &streams, &BTreeMap::new()).variable("SOURCE_100MS_TIME_SCALE", "0.001");
    let transcript = ends_within(call, SOON).good(&fake);
    assert_eq!(transcript.errors().len(), 0);
    assert_reads_all(&transcript, &fake, &["rooms", "templates", "sessions"]);
}

#[test]
fn sigterm_ends_a_call_that_waits_for_its_files() {
    for flag in ["config", "catalog"] {
        let fake = small(Options { seed: 81, ..Options::default() });
        let call = match flag {
            "config" => Call::new("check"),
            _ => Call::new("read").file("config", &config(&fake)),
        };
        let pipe = call.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo(1) exists").success());
        let mut running = call.argument(format!("--{flag}")).argument(pipe.display().to_string()).start();
        std::thread::sleep(Duration::from_millis(700));
        running.signal("TERM");
        let status = running.wait(Duration::from_secs(6));
        if status.is_none() {
            running.child.kill().expect("the process can be killed");
        }
        assert_eq!(status.and_then(|status| status.signal()), Some(15), "{flag}");
    }
}

#[test]
fn refusals_now_and_then_end_no_sync_with_app_credentials() {
    for seed in 0..3 {
        let fake = short_pages(82 + seed);
        let plan = FaultPlan::new().on("*", When::Probability(0.2), Fault::Unauthorized);
        fake.set_faults(FaultPlan { seed, ..plan });
        let transcript = read_all(&fake).run().good(&fake);
        assert_reads_all(&transcript, &fake, &STREAMS);
    }
}

#[test]
fn a_pasted_token_gets_one_more_try() {
    let fake = short_pages(85);
    fake.set_faults(FaultPlan::new().on("/v2/templates", When::First(1), Fault::Unauthorized));
    let transcript = read(&with_pasted_token(&fake), &["templates"], &BTreeMap::new()).run().good(&fake);
    assert_reads_all(&transcript, &fake, &["templates"]);
}

/// This machine's clock is ahead of the server's, or behind.
#[test]
fn tokens_are_minted_by_the_servers_clock() {
    for seconds in [-30, -600, -86_400, 30, 86_400 * 2] {
        let fake = small(Options { seed: 86, now: Utc::now(), ..Options::default() });
        fake.set_server_clock(TimeDelta::seconds(seconds));
        let check = ends_within(Call::check(&config(&fake)), SOON);
        let transcript = check.transcript();
        let status = transcript.connection_status().expect("a status");
        assert_eq!(status.status, CheckStatus::Succeeded, "{seconds} s: {:?}", status.message);
        // A token that was made half a minute ago is as good as a new one.
        let is_told = seconds != 30;
        let tells = |transcript: &Transcript| {
            transcript.logs(Level::Info).iter().filter(|log| log.contains("made by the clock of 100ms")).count()
        };
        assert_eq!(tells(&transcript), usize::from(is_told), "{seconds} s");
        let transcript = ends_within(first_read(&fake, &["rooms", "templates"]), SOON).good(&fake);
        assert_eq!(tells(&transcript), usize::from(is_told), "{seconds} s");
        assert_reads_all(&transcript, &fake, &["rooms", "templates"]);
    }
}

#[test]
fn a_wrong_limit_is_no_limit() {
    for text in ["-1", "\"100\"", "100.0", "1e30", "null", "0"] {
        let fake = small(Options { seed: 87, ..Options::default() });
        fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::LimitText(text.to_owned())));
        eprintln!("a limit of {text}");
        let transcript = ends_within(first_read(&fake, &STREAMS), SOON).good(&fake);
        assert_reads_all(&transcript, &fake, &STREAMS);
    }
}

#[test]
fn pages_that_are_capped_below_their_limit_end_no_list() {
    let fake = small(Options { seed: 88, ..Options::default() });
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::CapsBelowLimit(7)));
    let transcript = ends_within(first_read(&fake, &STREAMS), SOON).good(&fake);
    assert_reads_all(&transcript, &fake, &STREAMS);
    let told = transcript.logs(Level::Debug).into_iter().filter(|log| log.contains("has fewer items than its limit"));
    assert!(told.count() > 0, "nobody says that pages have fewer items than their limit");
}

#[test]
fn a_server_that_ignores_times_is_not_asked_for_all_of_it_again_and_again() {
    let requests = |fault: Option<Fault>| {
        let counts = Counts {
            sessions: 3_000,
            peers_per_session: 1,
            rooms: 20,
            recordings: 5,
            events_per_room: 1,
            ..Counts::default()
        };
        let fake = Fake::start(Options { scale: Scale::Custom(counts), seed: 89, ..Options::default() });
        let plan = FaultPlan::new().latency(10, 0);
        fake.set_faults(fault.into_iter().fold(plan, |plan, fault| plan.on("/v2/sessions", When::Always, fault)));
        let transcript = ends_within(first_read(&fake, &["sessions"]), SOON).good(&fake);
        assert_reads_all(&transcript, &fake, &["sessions"]);
        let count = requests_by_route(&fake)["/v2/sessions"].as_u64().expect("a count");
        let said = transcript.logs(Level::Warn).into_iter().map(str::to_owned).collect::<Vec<_>>();
        (count, said)
    };
    let (usual, _) = requests(None);
    let (count, said) = requests(Some(Fault::IgnoresTimes));
    eprintln!("{usual} requests, and {count} when times are ignored");
    // Each of the windows that ten workers had begun holds the whole list.
    assert!(count < (10 + 1) * usual, "{count} requests instead of {usual}");
    assert!(said.iter().any(|log| log.contains("`/v2/sessions`") || log.contains("`sessions`")), "{said:?}");
}

#[test]
fn the_address_of_the_second_version_is_taken_as_its_root() {
    let fake = small(Options { seed: 90, ..Options::default() });
    for ending in ["/v2", "/v2/", "/"] {
        let mut config = config(&fake);
        config["api_url"] = json!(format!("{}{ending}", fake.url()));
        let transcript = Call::check(&config).run().good(&fake);
        assert_eq!(transcript.connection_status().map(|one| one.status), Some(CheckStatus::Succeeded), "{ending}");
    }
}

#[test]
fn a_state_with_too_much_in_it_is_refused_with_a_sentence() {
    let fake = small(Options { seed: 91, ..Options::default() });
    let slice = |number: usize| json!({"list": "ended", "after": format!("20{:02}-01-01T00:00:00.{:06}Z", number % 20, number)});
    let pending: Vec<Value> = (0..100_001).map(slice).collect();
    let state = json!({"updated_at": "2024-01-01T00:00:00.000000Z",
        "resume": {"until": "2025-01-01T00:00:00.000000Z", "latest": null, "pending": pending}});
    let saved = BTreeMap::from([("sessions".to_owned(), state)]);
    let call = Call::read(&config(&fake), &catalog(&["sessions"], "incremental")).file("state", &states(&saved));
    let run = ends_within(call, SOON);
    let transcript = run.transcript();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(fake.total_requests(), 0, "it was begun");
    let errors = transcript.errors();
    assert!(errors.len() == 1 && errors[0].message.contains("state"), "{errors:?}");
}
