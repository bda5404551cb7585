//! `webhook_events`: what the history costs, several deliveries of one event, what moves while it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{
    Counts, Fake, Fault, FaultPlan, ListOrder, NoWebhook, Options, RateLimit, Readings, RetryHint, Scale, WebhookPages,
    When,
};
use serde_json::{Value, json};

use crate::harness::{
    Call, assert_is_the_truth, assert_same_records, catalog, config_with, extra_config, extra_streams, fake,
    fake_with_of_extra_streams, read_in_full, says, states, time_of_extra_streams,
};
use crate::messages::{Level, Transcript};
use crate::platform::{Connection, Warehouse};

#[test]
fn a_page_of_the_webhook_history_that_has_nothing_before_more_is_asked_for_again() {
    let pages = [
        r#"{"events":null,"pagination":{"current_page":1,"has_next":true,"total_items":500}}"#,
        r#"{"events":[],"pagination":{"has_next":true}}"#,
    ];
    for page in pages {
        let fake = fake(33);
        fake.set_faults(FaultPlan::new().on("/v2/analytics/webhooks", When::Every(3), says(page)));
        let transcript = read_in_full(&fake, &["webhook_events"]).good(&fake);
        assert_is_the_truth(page, &fake, &transcript, &["webhook_events"]);
    }
}

/// Reads with so many kills within the first bytes of a run, and time going by between two runs, until one comes to
/// its end.
fn read_with_kills(
    fake: &Fake,
    seed: u64,
    most_kills: usize,
    most_bytes: usize,
    pause: Option<TimeDelta>,
) -> (Warehouse, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut warehouse, mut kills) = (Warehouse::default(), 0);
    loop {
        let call = Call::read(&extra_config(fake), &catalog(&extra_streams(), "incremental"));
        let bytes = if kills < most_kills { random.usize(10_000..most_bytes) } else { usize::MAX };
        let run = call.file("state", &states(&warehouse.states)).start().kill_after(bytes);
        let transcript = run.transcript();
        transcript.assert_in_order();
        warehouse.load(&transcript);
        if run.status.success() {
            return (warehouse, kills);
        }
        kills += 1;
        pause.into_iter().for_each(|pause| fake.let_time_pass(pause));
    }
}

#[test]
fn what_becomes_too_old_between_two_runs_takes_nothing_else_with_it() {
    for order in [ListOrder::OldestFirst, ListOrder::Shuffled, ListOrder::NewestFirst] {
        let readings = Readings { webhook_order: order, ..Readings::documented() };
        let fake =
            fake_with_of_extra_streams(readings, Counts { sessions: 60, webhook_events: 9_000, ..Counts::default() });
        // No delivery of the fake is 29 to 31 days old at first: a day and more goes by, so that pages do move.
        let (warehouse, kills) = read_with_kills(&fake, 5, 6, 4_000_000, Some(TimeDelta::hours(30)));
        assert!(kills >= 3, "only {kills} kills hit: the test proves little");
        // What came to be 30 days old meanwhile, or has ten minutes left, may be gone.
        let mut expected = fake.truth().streams["webhook_events"].clone();
        let oldest = time_of_extra_streams(fake.now() - TimeDelta::days(30) + TimeDelta::minutes(11));
        expected.retain(|_, event| event["created_at"].as_str() >= Some(&oldest));
        let records = &warehouse.records["webhook_events"];
        let missing: Vec<_> = expected.keys().filter(|key| !records.contains_key(*key)).collect();
        assert!(missing.is_empty(), "{order:?}: {} of {} are missing", missing.len(), expected.len());
    }
}

const WEBHOOKS: &str = "/v2/analytics/webhooks";

const STREAM: &str = "webhook_events";

const ORDERS: [ListOrder; 3] = [ListOrder::NewestFirst, ListOrder::OldestFirst, ListOrder::Shuffled];

fn config(fake: &Fake) -> Value {
    config_with(fake, json!({"extra_streams": [STREAM]}))
}

fn fake_with(readings: Readings, webhook_events: usize) -> Fake {
    let scale = Scale::Custom(Counts { sessions: 60, webhook_events, ..Counts::default() });
    Fake::start(Options { seed: 61, readings, scale, ..Options::default() })
}

fn call(fake: &Fake) -> Call {
    Call::read(&config(fake), &catalog(&[STREAM], "incremental"))
}

fn read(fake: &Fake) -> Transcript {
    call(fake).run().good(fake)
}

fn truth(fake: &Fake) -> BTreeMap<String, Value> {
    fake.truth().streams[STREAM].clone()
}

/// Asserts that all that the API has came, and each event once.
fn assert_is_whole(transcript: &Transcript, fake: &Fake) {
    let (records, count) = transcript.by_key(STREAM);
    assert_same_records(STREAM, &records, &truth(fake));
    assert_eq!(count, records.len(), "an event came twice");
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The questions for events that were asked: begin, end and page of each.
fn questions(fake: &Fake) -> Vec<(DateTime<Utc>, DateTime<Utc>, u64)> {
    let log = fake.request_log();
    let targets = log.iter().filter(|request| request.target.starts_with(WEBHOOKS)).map(|request| &request.target);
    let question = |target: &String| {
        let value = |name: &str| {
            let pairs = target.split(['?', '&']);
            pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).expect("a parameter").1
        };
        let time = |name: &str| value(name).replace("%3A", ":").parse::<DateTime<Utc>>().expect("a time");
        (time("start_time"), time("end_time"), value("page").parse().expect("a number"))
    };
    targets.map(question).collect()
}

// What it costs.

#[test]
fn an_empty_history_costs_three_requests() {
    for no_webhook in [NoWebhook::Empty, NoWebhook::NotFound] {
        let fake = fake_with(Readings { has_webhook: false, no_webhook, ..Readings::documented() }, 450);
        read(&fake);
        // And one to know the time, which any other stream would have told.
        assert_eq!((questions(&fake).len(), fake.total_requests()), (3, 4), "{no_webhook:?}");
    }
}

#[test]
fn a_short_history_is_three_periods_one_after_the_other() {
    let fake = fake_with(Readings::documented(), 180);
    fake.set_faults(FaultPlan::new().latency(20, 0));
    assert_is_whole(&read(&fake), &fake);
    let asked = questions(&fake);
    let (oldest, newest) = (fake.now() - TimeDelta::days(30), fake.now());
    assert_eq!((asked.len(), fake.max_in_flight()), (3, 1), "{asked:?}");
    assert!(asked[0].0 >= oldest && asked[0].0 <= oldest + TimeDelta::minutes(2), "{asked:?}");
    assert!(newest - asked[2].1 <= TimeDelta::seconds(5), "{asked:?}");
    for (after, before, _) in &asked {
        assert!(*before - *after <= TimeDelta::days(14), "{asked:?}");
    }
    // Each is asked for a minute more than it is, to see whether its events were delivered again.
    assert!(asked.windows(2).all(|pair| pair[1].0 == pair[0].1 - TimeDelta::minutes(1)), "{asked:?}");
}

#[test]
fn only_a_period_with_many_events_is_divided() {
    let fake = fake_with(Readings::documented(), 15_000);
    fake.set_faults(FaultPlan::new().latency(5, 0));
    assert_is_whole(&read(&fake), &fake);
    let asked = questions(&fake);
    assert!(asked.len() <= 150 + 12, "{} requests", asked.len());
    assert!(fake.max_in_flight() > 4, "{} at once", fake.max_in_flight());
    let few = fake_with(Readings::documented(), 4_000);
    assert_is_whole(&read(&few), &few);
    assert_eq!(questions(&few).iter().filter(|(.., page)| *page == 1).count(), 3);
}

#[test]
fn a_sync_an_hour_later_asks_for_two_hours() {
    let fake = fake(71);
    let mut connection = Connection::of(&fake, &[STREAM]);
    connection.sync();
    let cursor = connection.states["webhook_events"]["created_at"].as_str().expect("a cursor").to_owned();
    fake.advance();
    fake.reset_requests();
    connection.sync();
    connection.assert_is_complete();
    let asked = questions(&fake);
    let first = asked.iter().map(|(after, ..)| *after).min().expect("a question");
    let due = cursor.parse::<DateTime<Utc>>().unwrap() - TimeDelta::hours(1);
    assert!(first <= due && first >= due - TimeDelta::seconds(1), "{first} for {cursor}");
    assert!(asked.len() <= 2, "{asked:?}");
}

// The rate limit.

#[test]
fn the_documented_limit_of_the_history_is_waited_for() {
    let fake = fake(73);
    let hint = Fault::TooManyRequests(RetryHint::Message(45));
    fake.set_faults(FaultPlan::new().on(WEBHOOKS, When::Nth(2), hint));
    let transcript = read(&fake);
    assert_is_whole(&transcript, &fake);
    let said = transcript.logs(Level::Info);
    let waits: Vec<_> = said.iter().filter(|log| log.contains(&format!("limits the rate of `{WEBHOOKS}`"))).collect();
    // A hundredth of 45 s, because waits pass faster here.
    assert!(waits.iter().any(|log| log.contains("waiting 45.0 s") || log.contains("waiting 0.5 s")), "{said:?}");
}

#[test]
fn after_a_limit_one_request_is_made_at_a_time() {
    let fake = fake_with(Readings::documented(), 15_000);
    let plan = FaultPlan::new().latency(5, 0);
    fake.set_faults(plan.on(WEBHOOKS, When::Nth(1), Fault::TooManyRequests(RetryHint::Seconds(1))));
    assert_is_whole(&read(&fake), &fake);
    assert_eq!(fake.max_in_flight(), 1);
}

#[test]
fn five_requests_a_minute_are_enough() {
    let fake = fake_with(Readings::documented(), 2_000);
    // A minute passes in 0.6 s here, and 12 s in 0.12 s.
    let limit = |hint| RateLimit { route: WEBHOOKS.to_owned(), per_second: 5.0 / 0.6, burst: 5, hint, at_times: false };
    for hint in [RetryHint::Seconds(12), RetryHint::Message(12), RetryHint::Nothing] {
        fake.reset_requests();
        fake.set_faults(FaultPlan { rate_limits: vec![limit(hint.clone())], ..FaultPlan::new() });
        assert_is_whole(&read(&fake), &fake);
        let refused: u64 = fake.requests().iter().filter(|count| count.status == 429).map(|count| count.count).sum();
        let served = fake.total_requests() - refused;
        assert!(refused > 0 && refused <= 10 + served, "{hint:?}: {refused} refused, {served} served");
    }
}

#[test]
fn a_wait_takes_nothing_but_what_became_too_old_and_says_so() {
    for order in ORDERS {
        let readings = Readings { webhook_order: order, ..Readings::documented() };
        let fake = fake_with(readings, 600);
        let there = truth(&fake);
        let plan = FaultPlan::new().on(WEBHOOKS, When::First(6), Fault::TooManyRequests(RetryHint::Seconds(60)));
        fake.set_faults(plan);
        // Five minutes go by before it is its turn.
        fake.advance_seconds_during(1, 50);
        let run = call(&fake).run();
        fake.advance_seconds_during(0, 1);
        let transcript = run.transcript();
        assert!(run.status.success() && transcript.errors().is_empty(), "{}", run.report(&fake));
        let records = transcript.by_key(STREAM).0;
        let oldest = time(fake.now() - TimeDelta::days(30) + TimeDelta::minutes(2));
        let still_there = there.iter().filter(|(_, event)| event["created_at"].as_str() >= Some(&oldest));
        let missing: Vec<_> = still_there.filter(|(key, _)| !records.contains_key(*key)).collect();
        assert!(missing.is_empty() && records.len() > 400, "{order:?}: {} missing", missing.len());
        let warnings = transcript.logs(Level::Warn);
        let [warning] = warnings[..] else { panic!("{order:?}: {warnings:?}") };
        assert!(warning.contains("for the last 30 days only"), "{warning}");
    }
}

// Several deliveries of one event.

#[test]
fn all_attempts_of_an_event_are_one_record_with_the_last_outcome() {
    for order in ORDERS {
        for max_page in [3, 10, 100] {
            let readings = Readings { webhook_attempts: true, webhook_order: order, ..Readings::documented() };
            let scale = Scale::Custom(Counts { sessions: 60, webhook_events: 300, ..Counts::default() });
            let fake = Fake::start(Options { seed: 63, readings, scale, max_page, ..Options::default() });
            assert_is_whole(&read(&fake), &fake);
        }
    }
}

#[test]
fn attempts_on_both_sides_of_a_cut_are_one_record() {
    let readings = Readings { webhook_attempts: true, ..Readings::documented() };
    let fake = fake_with(readings, 30_000);
    assert_is_whole(&read(&fake), &fake);
    assert!(questions(&fake).iter().filter(|(.., page)| *page == 1).count() > 6, "nothing was divided");
}

#[test]
fn attempts_that_were_written_are_not_written_again() {
    for order in ORDERS {
        let readings = Readings { webhook_attempts: true, webhook_order: order, ..Readings::documented() };
        let fake = fake_with(readings, 1_500);
        fake.advance();
        let mut connection = Connection::of(&fake, &[STREAM]);
        assert!(connection.sync().records().count() > 1_000);
        assert_eq!(connection.sync().records().count(), 0, "{order:?}");
    }
}

#[test]
fn a_replay_in_a_later_sync_is_a_record_again() {
    for order in ORDERS {
        let readings = Readings { webhook_attempts: true, webhook_order: order, ..Readings::documented() };
        let fake = fake_with(readings, 600);
        let mut connection = Connection::of(&fake, &[STREAM]);
        let first = connection.sync().by_key(STREAM).0;
        let mut again = 0;
        for _ in 0..3 {
            fake.advance();
            let transcript = connection.sync();
            connection.assert_is_complete();
            let (records, count) = transcript.by_key(STREAM);
            assert_eq!(count, records.len(), "{order:?}: an event came twice");
            again += records.keys().filter(|key| first.contains_key(*key)).count();
        }
        assert!(again > 0, "nothing was replayed: the test proves nothing");
    }
}

// What moves while it is read.

#[test]
fn what_arrives_while_pages_are_read_is_not_lost() {
    for webhook_pages in [WebhookPages::Fixed, WebhookPages::Shifting] {
        for webhook_order in [ListOrder::NewestFirst, ListOrder::OldestFirst, ListOrder::Shuffled] {
            let readings = Readings { webhook_pages, webhook_order, ..Readings::documented() };
            let scale = Scale::Custom(Counts { sessions: 60, webhook_events: 600, ..Counts::default() });
            let fake = Fake::start(Options { seed: 72, readings, scale, max_page: 10, ..Options::default() });
            let mut connection = Connection::of(&fake, &[STREAM]);
            connection.sync();
            for _ in 0..2 {
                // So long that the hour by which the next sync goes back does not hide what this one has missed.
                (0..6).for_each(|_| drop(fake.advance()));
                fake.advance_seconds_during(3, 600);
                let began = fake.now();
                connection.sync();
                fake.advance_seconds_during(0, 5);
                assert!(fake.now() > began, "nothing happened while it was read");
            }
            // What changed during the last sync comes with the next.
            connection.sync();
            connection.assert_is_complete();
        }
    }
}

#[test]
fn a_period_whose_pages_move_is_read_again_and_not_for_ever() {
    let readings = Readings { webhook_pages: WebhookPages::Shifting, ..Readings::documented() };
    let scale = Scale::Custom(Counts { sessions: 60, webhook_events: 300, ..Counts::default() });
    let fake = Fake::start(Options { seed: 61, readings, scale, max_page: 10, ..Options::default() });
    // Something happens with every request.
    fake.advance_seconds_during(1, 2);
    let mut running = call(&fake).start();
    let reader = running.child.stdout.take().expect("stdout is piped");
    let drain = std::thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
    assert!(running.wait(Duration::from_secs(60)).is_some_and(|status| status.success()), "it does not come to an end");
    drain.join().expect("a thread that reads").expect("stdout is readable");
    let asked = questions(&fake);
    let newest = asked.iter().map(|(after, ..)| *after).max().expect("a question");
    let looks = asked.iter().filter(|(after, _, page)| (*after, *page) == (newest, 1)).count();
    assert!((2..=5).contains(&looks), "{looks} looks at the newest period: {asked:?}");
}

#[test]
fn a_period_whose_pages_differ_in_size_is_read_again_or_not_complete() {
    let small = |when| FaultPlan::new().on(WEBHOOKS, when, Fault::SmallerLimit(7));
    let fake = fake_with(Readings::documented(), 150);
    for last in 1..12 {
        fake.set_faults(small(When::First(last)));
        assert_is_whole(&read(&fake), &fake);
    }
    // The second page of a long period is always the smaller one.
    let fake = fake_with(Readings::documented(), 450);
    fake.set_faults(FaultPlan::new().on(&format!("{WEBHOOKS}?page=2"), When::Always, Fault::SmallerLimit(7)));
    let transcript = call(&fake).run().transcript();
    let [error] = transcript.errors()[..] else { panic!("{:?}", transcript.errors()) };
    assert!(error.message.contains("differ in size"), "{}", error.message);
}

#[test]
fn a_history_whose_pages_never_end_is_an_error_and_no_loop() {
    let fake = fake_with(Readings::documented(), 40);
    let endless = Fault::SetMember { key: "has_next".to_owned(), json: "true".to_owned() };
    fake.set_faults(FaultPlan::new().on(WEBHOOKS, When::Always, endless));
    let run = call(&fake).variable("SOURCE_100MS_TIME_SCALE", "0.01").run();
    let transcript = run.transcript();
    assert_eq!(transcript.errors().len(), 1, "{}", run.report(&fake));
    assert!(fake.total_requests() < 10_000, "{} requests", fake.total_requests());
    assert!(!run.status.success());
}

#[test]
fn a_cut_read_of_events_goes_on_with_what_was_left() {
    let fake = fake_with(Readings::documented(), 20_000);
    let whole = read(&fake);
    let all = whole.records().count() as f64;
    let progress: Vec<_> = whole.states_of(STREAM).collect();
    assert!(progress.len() >= 4, "{all} records and only {} states", progress.len());
    let mut covered = 0.0;
    for state in progress {
        covered += state.source_stats.record_count;
        let saved = Value::Object(state.stream.stream_state.clone());
        if !saved["resume"]["pending"].is_array() {
            continue;
        }
        let rest = call(&fake).file("state", &states([(&STREAM.to_owned(), &saved)])).run().good(&fake);
        assert_eq!(rest.records().count() as f64, all - covered, "the rest after {covered}");
    }
}

#[test]
fn no_history_is_an_empty_stream_and_one_remark() {
    for no_webhook in [NoWebhook::Empty, NoWebhook::NotFound] {
        let fake = fake_with(Readings { has_webhook: false, no_webhook, ..Readings::documented() }, 450);
        let transcript = read(&fake);
        assert_eq!(transcript.records().count(), 0);
        let info = transcript.logs(Level::Info);
        let remarks: Vec<_> = info.iter().filter(|log| log.contains("has no webhook history")).collect();
        assert_eq!((remarks.len(), transcript.logs(Level::Warn).len()), (1, 0), "{info:?}");
    }
    let with = read(&fake(74));
    assert!(!with.logs(Level::Info).iter().any(|log| log.contains("no webhook history")));
}
