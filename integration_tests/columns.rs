//! Columns that a catalog selects and this connector does not know.

use std::time::{Duration, Instant};

use fake_100ms::{Fault, FaultPlan, When};
use serde_json::{Value, json};

use crate::harness::{self, Call, catalog, config, fake, requests_by_route};
use crate::messages::{Level, Transcript};

fn with_columns(stream: &str, columns: &[&str]) -> Value {
    let mut catalog = catalog(&[stream], "full_refresh");
    let properties = columns.iter().map(|column| ((*column).to_owned(), json!({"type": ["null", "string"]})));
    catalog["streams"][0]["stream"]["json_schema"] = json!({"properties": properties.collect::<Value>()});
    catalog
}

fn warnings(transcript: &Transcript) -> Vec<&str> {
    transcript.logs(Level::Warn)
}

#[test]
fn unknown_columns_make_no_request_and_are_named_in_the_end() {
    let fake = fake(61);
    let plain = Call::read(&config(&fake), &with_columns("rooms", &["id"])).run();
    plain.good(&fake);
    let usual = requests_by_route(&fake);
    fake.reset_requests();
    let run = Call::read(&config(&fake), &with_columns("rooms", &["id", "udpated_at", "brand_new"])).run();
    let transcript = run.good(&fake);
    assert_eq!(requests_by_route(&fake), usual, "no request more than without them");
    let [brand_new, misspelled] = warnings(&transcript)[..] else { panic!("{:?}", warnings(&transcript)) };
    assert!(brand_new.contains("`brand_new` of `rooms`") && brand_new.contains("`discover`"), "{brand_new}");
    assert!(misspelled.contains("`udpated_at`") && misspelled.contains("use `updated_at`"), "{misspelled}");
    assert!(transcript.records_of("rooms").all(|room| room.data["brand_new"].is_null()));
}

#[test]
fn a_column_that_100ms_has_added_is_no_reason_for_a_warning() {
    let fake = fake(62);
    let added = Fault::AddMember { key: "\"brandNew\"".to_owned(), json: "\"x\"".to_owned() };
    fake.set_faults(FaultPlan::new().on("/v2/rooms", When::Nth(3), added));
    let run = Call::read(&config(&fake), &with_columns("rooms", &["id", "brand_new"])).run();
    let transcript = run.good(&fake);
    assert_eq!(warnings(&transcript), Vec::<&str>::new());
    assert!(transcript.records_of("rooms").any(|room| room.data["brand_new"] == "x"));
}

#[test]
fn nothing_is_held_up_by_an_unknown_column() {
    let fake = fake(63);
    // Whatever asks about templates is answered late.
    let late = Fault::Delay { milliseconds: 3_000, jitter: 0 };
    fake.set_faults(FaultPlan::new().on("/v2/templates", When::Always, late));
    let mut catalog = with_columns("templates", &["id", "brand_new"]);
    let rooms = harness::catalog(&["rooms"], "full_refresh")["streams"][0].clone();
    catalog["streams"].as_array_mut().expect("streams").push(rooms);
    let began = Instant::now();
    let mut running = Call::read(&config(&fake), &catalog).variable("SOURCE_100MS_TIME_SCALE", "1").start();
    let mut lines = std::io::BufReader::new(running.child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    while !line.contains("\"RECORD\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut lines, &mut line).expect("stdout is readable") > 0, "no record came");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "the first room came after {:?}", began.elapsed());
    running.child.kill().expect("it can be killed");
    running.child.wait().expect("it ends");
}
