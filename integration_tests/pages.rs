//! Pages: tokens that come back, limits that are wrong, pages that are too large or too small.

use std::time::{Duration, Instant};

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Scale, When};

use crate::harness::{
    Call, Finished, LISTS_WITH_TOKENS, SOON, assert_everything_is_the_truth, assert_reads_all, assert_same_records,
    catalog, config, ends_within, fake, first_read, offered_streams, read_everything, read_of_extra_streams,
    workspace_of_many_pages,
};
use crate::messages::{FailureType, Level, Status};
use crate::platform::{Connection, examine, read_all};

#[test]
fn a_page_with_203_is_a_page() {
    let fake = fake(68);
    fake.set_faults(FaultPlan::new().on("*", When::Every(2), Fault::GoodStatus(203)));
    let transcript = read_all(&fake).run().good(&fake);
    for stream in ["sessions", "rooms", "templates_destinations", "analytics_events", "recordings"] {
        assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
    }
}

#[test]
fn the_smallest_page_of_a_large_room_is_read() {
    let counts =
        Counts { rooms: 2, sessions: 12, recordings: 0, templates: 0, events_per_room: 0, ..Counts::default() };
    let fake = Fake::start(Options { seed: 72, scale: Scale::Custom(counts), gzip: false, ..Options::default() });
    // Ten sessions are 87 MB.
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::HeavyItems(8_700_000)));
    let call = Call::read(&config(&fake), &catalog(&["sessions"], "full_refresh"));
    let transcript = call.variable("SOURCE_100MS_TIME_SCALE", "1").run().good(&fake);
    assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
}

#[test]
fn a_server_that_caps_below_the_limit_it_states_hides_no_session() {
    let fake = fake(77);
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::CapsBelowLimit(4)));
    let transcript = read_of_extra_streams(&fake, &["peer_quality"]);
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &fake.truth().streams["peer_quality"]);
}

#[test]
fn the_size_of_pages_changes_nothing() {
    for max_page in [10, 37] {
        let fake = Fake::start(Options {
            seed: 5,
            max_page,
            chunked: max_page == 37,
            gzip: max_page == 37,
            ..Options::default()
        });
        assert_everything_is_the_truth(&read_everything(&fake), &fake);
    }
}

#[test]
fn a_page_token_that_comes_back_later_ends_in_an_error() {
    for (list, stream) in LISTS_WITH_TOKENS {
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
        let mut connection = Connection::of(&fake, &[stream]);
        let run = ends_within(connection.call(), Duration::from_secs(30));
        let transcript = examine(&run, &fake);
        assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{list}");
        assert_eq!(transcript.errors().len(), 1, "{list}");
        // What was written before must be whole, because a later sync does not read it again.
        connection.load(&transcript);
        fake.clear_faults();
        connection.sync();
        connection.assert_is_complete();
    }
}

/// The most memory a process has had, in megabytes, while it runs to its end.
fn ends_in_memory_of(call: Call, megabytes: u64) -> Finished {
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
    Finished { stdout, ..running.finish() }
}

#[test]
fn a_body_that_drips_ends_a_try() {
    let fake = workspace_of_many_pages(Options { seed: 72, gzip: false, ..Options::default() });
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
        let fake = workspace_of_many_pages(Options { seed: 73, ..Options::default() });
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

#[test]
fn a_wrong_limit_is_no_limit() {
    for text in ["-1", "\"100\"", "100.0", "1e30", "null", "0"] {
        let fake = workspace_of_many_pages(Options { seed: 87, ..Options::default() });
        fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::LimitText(text.to_owned())));
        eprintln!("a limit of {text}");
        let transcript = ends_within(first_read(&fake, &offered_streams()), SOON).good(&fake);
        assert_reads_all(&transcript, &fake, &offered_streams());
    }
}

#[test]
fn pages_that_are_capped_below_their_limit_end_no_list() {
    let fake = workspace_of_many_pages(Options { seed: 88, ..Options::default() });
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::CapsBelowLimit(7)));
    let transcript = ends_within(first_read(&fake, &offered_streams()), SOON).good(&fake);
    assert_reads_all(&transcript, &fake, &offered_streams());
    let told = transcript.logs(Level::Debug).into_iter().filter(|log| log.contains("has fewer items than its limit"));
    assert!(told.count() > 0, "nobody says that pages have fewer items than their limit");
}
