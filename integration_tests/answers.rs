//! Errors with a good status, and answers with nothing in them.

use fake_100ms::{Fake, Fault, FaultPlan, InactiveRoom, MissingStats, Options, Readings, When};
use serde_json::Value;

use crate::harness::{
    LISTS_WITH_TOKENS, assert_is_the_truth, assert_same_records, every_stream, first_read, offered_streams,
    read_in_full, says, short_pages, workspace_of_many_pages,
};
use crate::messages::{FailureType, Level, Record, Status};
use crate::platform::examine;

/// The endpoints about one item, with the stream that asks them and the key that its records have of the item.
const CHILDREN: [(&str, &str); 5] = [
    ("/v2/active-rooms/{room_id}/peers", "active_room_peers"),
    ("/v2/templates/{id}/settings", "template_settings"),
    ("/v2/templates/{id}/destinations", "templates_destinations"),
    ("/v2/templates/{id}/recordings", "templates_destinations"),
    ("/v2/analytics/peer-stats", "peer_quality"),
];

/// Lists and the like, with a stream that reads them.
const LISTS: [(&str, &str); 6] = [
    ("/v2/rooms", "rooms"),
    ("/v2/sessions", "sessions"),
    ("/v2/templates", "templates"),
    ("/v2/recordings", "recordings"),
    ("/v2/analytics/events", "analytics_events"),
    ("/v2/analytics/webhooks", "webhook_events"),
];

const ERRORS: [&str; 10] = [
    r#"{"code":500,"message":"flux capacitor","details":["x"]}"#,
    r#"{"code":"503","message":"flux capacitor"}"#,
    r#"{"error":"flux capacitor"}"#,
    r#"{"message":"flux capacitor"}"#,
    r#"{"code":13,"message":"flux capacitor","details":[]}"#,
    "{\"message\":\"flux capacitor \\ud800\"}",
    r#"{"limit":10,"data":null,"events":null,"peers":null,"url":null,"code":502}"#,
    r#"{"code":429,"message":"rate limit exceeded, retry after 1 seconds"}"#,
    r#"{"code":401,"message":"Token validation error","details":["token is expired"]}"#,
    r#"{"events":null,"code":500,"pagination":{"has_next":true}}"#,
];

#[test]
fn an_error_object_with_status_200_is_an_error_at_every_endpoint() {
    for error in ERRORS {
        let fake = short_pages(31);
        fake.set_faults(FaultPlan::new().on("*", When::Every(9), says(error)));
        let streams = every_stream();
        let transcript = read_in_full(&fake, &streams).good(&fake);
        assert_is_the_truth(error, &fake, &transcript, &streams);
        let is_row = |record: &Record| {
            let text = Value::Object(record.data.clone()).to_string();
            text.contains("flux capacitor")
        };
        assert!(!transcript.records().any(is_row), "{error}: it became a row");
    }
}

#[test]
fn an_error_object_that_stays_ends_its_stream_as_its_status_does() {
    use FailureType::{ConfigError, TransientError};
    let cases = [
        (r#"{"code":500,"message":"internal error","details":["x"]}"#, TransientError, "answered 500"),
        (r#"{"error":"internal error"}"#, TransientError, "answered 500"),
        (r#"{"code":"403","message":"insufficient permissions"}"#, ConfigError, "(403"),
    ];
    for (error, kind, sentence) in cases {
        for (route, stream) in CHILDREN.iter().chain(&LISTS) {
            // Answers all of them: that there is nothing would be one, too.
            let (inactive_room, missing_stats) = (InactiveRoom::EmptyPeers, MissingStats::Empty);
            let readings = Readings { inactive_room, missing_stats, ..Readings::documented() };
            let fake = Fake::start(Options { seed: 32, readings, ..Options::default() });
            fake.set_faults(FaultPlan::new().on(route, When::Always, says(error)));
            let run = read_in_full(&fake, &[stream]);
            let transcript = run.transcript();
            assert_eq!(run.status.code(), Some(1), "{route}, {error}: {}", run.report(&fake));
            assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{route}, {error}");
            let errors = transcript.errors();
            assert!(errors.len() == 1 && errors[0].failure_type == kind, "{route}, {error}: {errors:?}");
            assert!(errors[0].message.contains(sentence), "{route}, {error}: {errors:?}");
        }
    }
}

#[test]
fn an_empty_answer_about_one_item_means_that_there_is_nothing() {
    for nothing in [Fault::NoContent, Fault::EmptyBody, says("null"), says(" null\n"), says("\r\n")] {
        for (route, stream) in CHILDREN {
            let fake = short_pages(34);
            fake.set_faults(FaultPlan::new().on(route, When::First(2), nothing.clone()));
            let transcript = read_in_full(&fake, &[stream]).good(&fake);
            let (records, truth) = (transcript.by_key(stream).0, fake.truth());
            let truth = &truth.streams[stream];
            assert!(!records.is_empty() && records.len() <= truth.len(), "{route}, {nothing:?}: {}", records.len());
            assert!(records.iter().all(|(key, record)| truth[key] == *record), "{route}, {nothing:?}");
            assert_eq!(transcript.logs(Level::Warn), [""; 0], "{route}, {nothing:?}");
            let closing = transcript.logs(Level::Info).into_iter().find(|log| log.starts_with("Read "));
            assert!(
                closing.is_some_and(|log| log.contains(" answers with nothing in them")),
                "{route}, {nothing:?}: {closing:?}"
            );
        }
    }
}

#[test]
fn an_empty_page_is_one_with_status_204_and_no_other() {
    for (route, stream) in LISTS {
        let fake = short_pages(35);
        fake.set_faults(FaultPlan::new().on(route, When::Always, Fault::NoContent));
        let transcript = read_in_full(&fake, &[stream]).good(&fake);
        let is_of_the_route = |record: &&Record| record.data.get("source") != Some(&"sessions".into());
        assert_eq!(transcript.records().filter(is_of_the_route).count(), 0, "{route}");

        for empty in [Fault::EmptyBody, says("null"), says("{}")] {
            fake.set_faults(FaultPlan::new().on(route, When::Every(3), empty.clone()));
            let transcript = read_in_full(&fake, &[stream]).good(&fake);
            assert_is_the_truth(&format!("{route}, {empty:?}"), &fake, &transcript, &[stream]);
        }
    }
}

#[test]
fn an_answer_that_is_not_of_the_documented_form_is_no_row_and_no_nothing() {
    let others = [r#""internal error""#, "[]", "true", r#"{"status":"ok"}"#];
    let cases = [
        ("/v2/active-rooms/{room_id}/peers", "active_room_peers", &others[..]),
        ("/v2/analytics/peer-stats", "peer_quality", &others[..]),
        // Members that are not known may be settings that are new, and kinds that are new.
        ("/v2/templates/{id}/settings", "template_settings", &others[..3]),
        ("/v2/templates/{id}/destinations", "templates_destinations", &others[..3]),
    ];
    for (route, stream, others) in cases {
        for other in others {
            let fake = short_pages(36);
            // Not every third: tries of one request can meet that six times in a row.
            fake.set_faults(FaultPlan::new().on(route, When::First(4), says(other)));
            let transcript = read_in_full(&fake, &[stream]).good(&fake);
            assert_is_the_truth(&format!("{route}, {other}"), &fake, &transcript, &[stream]);
        }
    }
}

/// A 200 that is no page, once in the middle of each list, and then for ever.
#[test]
fn an_answer_that_is_no_page_ends_no_list() {
    for text in ["{}", r#"{"code":500,"message":"internal error","details":["try later"]}"#] {
        let fake = workspace_of_many_pages(Options { seed: 58, ..Options::default() });
        let says = Fault::Says(text.to_owned());
        let plan = LISTS_WITH_TOKENS
            .iter()
            .fold(FaultPlan::new(), |plan, (list, _)| plan.on(list, When::Nth(2), says.clone()));
        fake.set_faults(plan);
        let transcript = first_read(&fake, &offered_streams()).run().good(&fake);
        for stream in offered_streams() {
            assert_same_records(stream, &transcript.by_key(stream).0, &fake.truth().streams[stream]);
        }
        for (list, stream) in LISTS_WITH_TOKENS {
            fake.set_faults(FaultPlan::new().on(list, When::After(1), says.clone()));
            let transcript = examine(&first_read(&fake, &[stream]).run(), &fake);
            assert_eq!(transcript.statuses_of(stream).last(), Some(&Status::Incomplete), "{list} says {text}");
            assert_eq!(transcript.errors().len(), 1, "{list} says {text}");
        }
    }
}
