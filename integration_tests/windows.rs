//! Windows of time: servers that ignore them, lists in no order.

use fake_100ms::{Counts, Fake, Fault, FaultPlan, Options, Readings, Scale, When};

use crate::harness::{
    Call, SOON, assert_reads_all, assert_same_records, catalog, config, ends_within, first_read, requests_by_route,
};
use crate::messages::Level;
use crate::platform::Connection;

#[test]
fn lists_in_an_undocumented_order_cost_duplicates_at_worst() {
    use fake_100ms::ListOrder::{OldestFirst, Shuffled};
    for order in [OldestFirst, Shuffled] {
        let readings = Readings { session_order: order, ..Readings::documented() };
        let fake = Fake::start(Options { seed: 12, readings, scale: busy(), ..Options::default() });
        let transcript = Call::read(&config(&fake), &catalog(&["sessions"], "full_refresh")).run().good(&fake);
        assert_same_records("sessions", &transcript.by_key("sessions").0, &fake.truth().streams["sessions"]);
    }
}

/// Enough sessions for windows to be cut.
fn busy() -> Scale {
    Scale::Custom(Counts { sessions: 3_000, ..Counts::default() })
}

#[test]
fn a_server_that_ignores_times_is_read_to_the_end_from_any_state() {
    let counts =
        Counts { sessions: 6_000, peers_per_session: 1, rooms: 20, recordings: 0, varied: false, ..Counts::default() };
    let fake = Fake::start(Options { seed: 73, scale: Scale::Custom(counts), max_page: 20, ..Options::default() });
    // What a sync has left that was cut while all workers shared the history.
    let saved = {
        let mut connection = Connection::of(&fake, &["sessions"]);
        let run = connection.call().start().kill_after(2_600_000);
        connection.load(&run.transcript());
        connection
    };
    let pending = saved.states["sessions"]["resume"]["pending"].as_array().map_or(0, Vec::len);
    assert!(pending > 2, "{pending} windows are left");
    fake.set_faults(FaultPlan::new().on("/v2/sessions", When::Always, Fault::IgnoresTimes));
    fake.reset_requests();
    let mut resumed = saved;
    resumed.sync();
    resumed.assert_is_complete();
    let (asked, list) = (requests_by_route(&fake)["/v2/sessions"].as_u64().unwrap(), 6_000 / 20 + 2);
    assert!(asked <= (10 + 1) * list, "{asked} requests for a list of {list} pages");
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
