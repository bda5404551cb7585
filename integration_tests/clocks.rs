//! Clocks that differ: of the server, of this machine, of a state.

use chrono::{SecondsFormat, TimeDelta, Utc};
use fake_100ms::{Counts, DateHeader, Fake, FaultPlan, Options, Scale};
use serde_json::json;

use crate::harness::{
    Call, SOON, an_hour_ago, assert_reads_all, assert_same_records, catalog, config, config_with, ends_within,
    first_read, sync, until_answered, warnings_with, workspace_of_many_pages,
};
use crate::messages::{CheckStatus, Level, Transcript};
use crate::platform::Warehouse;

#[test]
fn a_clock_that_is_set_during_a_read_does_not_end_it() {
    let counts = Counts { rooms: 10, sessions: 2_000, ..Counts::default() };
    for steps in [[-300, 0], [0, -300], [-7_200, -60], [-300, -900]] {
        let fake =
            Fake::start(Options { seed: 70, scale: Scale::Custom(counts.clone()), max_page: 20, ..Options::default() });
        // What matters is the difference of the two clocks, whichever is set.
        fake.set_server_clock(TimeDelta::seconds(steps[0]));
        fake.set_faults(FaultPlan::new().latency(60, 0));
        let config = config_with(&fake, json!({"num_workers": 4}));
        let running = Call::read(&config, &catalog(&["sessions"], "full_refresh")).start().with_reader();
        until_answered(&fake, 8);
        fake.set_server_clock(TimeDelta::seconds(steps[1]));
        // The token of before is refused, as one of the future or of a machine that was reset.
        fake.void_tokens();
        let transcript = running.finish().good(&fake);
        assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
    }
}

/// Edits at every few requests of a first sync; the second one, on a quiet day, must bring what the first missed.
fn edits_arrive(name: &str, header: DateHeader) {
    let fake = workspace_of_many_pages(Options { now: an_hour_ago(), seed: 51, ..Options::default() });
    fake.set_date(header);
    let mut warehouse = Warehouse::default();
    fake.advance_seconds_during(3, 2);
    sync(&fake, &mut warehouse);
    fake.advance_during(None);
    assert!(fake.now() > an_hour_ago() + TimeDelta::seconds(20), "{name}: too little happened meanwhile");
    sync(&fake, &mut warehouse);
    eprintln!("a `Date` that is {name}");
    warehouse.assert_is(&fake.truth());
}

#[test]
fn edits_during_a_sync_arrive_whatever_the_servers_date_says() {
    edits_arrive("true", DateHeader::True);
    edits_arrive("3 s ahead", DateHeader::Skewed(TimeDelta::seconds(3)));
    edits_arrive("3 s behind", DateHeader::Skewed(TimeDelta::seconds(-3)));
    edits_arrive("10 years ahead", DateHeader::Skewed(TimeDelta::days(3650)));
    edits_arrive("10 years behind", DateHeader::Skewed(TimeDelta::days(-3650)));
    edits_arrive("jumping by a minute", DateHeader::Jumping(TimeDelta::minutes(1)));
    edits_arrive("jumping by years", DateHeader::Jumping(TimeDelta::days(1000)));
    edits_arrive("missing", DateHeader::Missing);
    edits_arrive("unreadable", DateHeader::Text("the day after tomorrow".to_owned()));
}

#[test]
fn times_of_next_year_hold_up_nobody_else() {
    let fake = workspace_of_many_pages(Options { now: an_hour_ago(), seed: 53, ..Options::default() });
    let mut warehouse = Warehouse::default();
    sync(&fake, &mut warehouse);
    fake.stamp(TimeDelta::days(365));
    for _ in 0..2 {
        sync(&fake, &mut warehouse);
        fake.advance_small(5.0);
    }
    sync(&fake, &mut warehouse);
    warehouse.assert_is(&fake.truth());
}

#[test]
fn a_state_some_minutes_in_the_future_of_this_machine_is_no_reason_to_stop() {
    // The server is right; this machine is five minutes slow.
    let ahead = Utc::now() + TimeDelta::minutes(5);
    let fake = workspace_of_many_pages(Options { now: ahead, seed: 56, ..Options::default() });
    let mut warehouse = Warehouse::default();
    sync(&fake, &mut warehouse);
    warehouse.states.values_mut().for_each(|state| {
        for cursor in ["updated_at", "created_at"] {
            if let Some(time) = state.get_mut(cursor).filter(|time| time.is_string()) {
                *time = ahead.to_rfc3339_opts(SecondsFormat::Micros, true).into();
            }
        }
    });
    fake.advance_small(5.0);
    let second = sync(&fake, &mut warehouse);
    warehouse.assert_is(&fake.truth());
    assert_eq!(warnings_with(&second, &["future"]), Vec::<&str>::new());
}

/// This machine's clock is ahead of the server's, or behind.
#[test]
fn tokens_are_minted_by_the_servers_clock() {
    for seconds in [-30, -600, -86_400, 30, 86_400 * 2] {
        let fake = workspace_of_many_pages(Options { seed: 86, now: Utc::now(), ..Options::default() });
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
