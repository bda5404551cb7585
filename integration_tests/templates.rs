//! `templates` and its two children: settings, destinations, ids that cannot stand in a path.

use fake_100ms::{Fake, Fault, FaultPlan, Options, When};
use serde_json::{Value, json};

use crate::harness::{first_read, read_in_full, read_of_keys, says, short_pages, workspace_of_many_pages};
use crate::messages::Status;

#[test]
fn settings_that_no_document_knows_are_settings() {
    let fake = short_pages(37);
    let settings = r#"{"virtualBackground":{"enabled":true},"code":null,"message":"welcome"}"#;
    fake.set_faults(FaultPlan::new().on("/v2/templates/{id}/settings", When::Always, says(settings)));
    let transcript = read_in_full(&fake, &["template_settings"]).good(&fake);
    let records = transcript.by_key("template_settings").0;
    assert_eq!(records.len(), fake.truth().streams["template_settings"].len());
    let expected: Value = serde_json::from_str(settings).unwrap();
    assert!(records.values().all(|record| record["settings"] == expected), "{records:?}");
}

#[test]
fn destinations_under_both_spellings_of_their_kind_are_all_there_once() {
    let fake = Fake::start(Options { seed: 313, ..Options::default() });
    let answer = json!({"a": {"name": "a"}, "b": {"name": "b"}});
    let other = json!({"b": {"name": "b"}, "a": {"name": "another"}, "c": {"name": "c"}});
    let twice = json!({"rtmpDestinations": answer, "rtmp_destinations": other, "recording": {"upload": {"name": "x"}}});
    let whole = Fault::Says(twice.to_string());
    fake.set_faults(FaultPlan::new().on("/v2/templates/{id}/destinations", When::Always, whole));
    let transcript = read_of_keys(&fake, &["templates_destinations"]);
    let (records, count) = transcript.by_key("templates_destinations");
    assert_eq!(count, records.len());
    let first = records.values().next().expect("a destination")["template_id"].clone();
    let rtmp = records.values().filter(|one| one["template_id"] == first && one["destination_type"] == "rtmp");
    let mut found: Vec<(Value, Value)> = rtmp.map(|one| (one["id"].clone(), one["name"].clone())).collect();
    found.sort_by_key(|(id, name)| (id.to_string(), name.to_string()));
    let expected = [("a", "a"), ("a#0", "another"), ("b", "b"), ("c", "c")];
    assert_eq!(found, expected.map(|(id, name)| (json!(id), json!(name))));
}

#[test]
fn an_id_that_is_a_step_in_a_path_is_an_error() {
    for id in [r#"".""#, r#""..""#] {
        let fake = workspace_of_many_pages(Options { seed: 65, ..Options::default() });
        let set = Fault::SetMember { key: "id".to_owned(), json: id.to_owned() };
        fake.set_faults(FaultPlan::new().on("/v2/templates", When::Always, set));
        let run = first_read(&fake, &["template_settings"]).run();
        let transcript = run.transcript();
        assert_eq!(transcript.statuses_of("template_settings").last(), Some(&Status::Incomplete), "{id}");
        assert_eq!(fake.unexpected(), Vec::<String>::new(), "{id}: another endpoint was asked");
    }
}
