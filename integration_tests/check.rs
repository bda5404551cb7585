//! `check`: what it asks, and what it answers.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use fake_100ms::{Counts, Fake, Fault, FaultPlan, NoWebhook, Readings, TokenClaims, When};
use serde_json::json;

use crate::harness::{
    Call, Finished, STATS, config, config_with, extra_config, fake, fake_with_of_extra_streams, flaws_of, nowhere,
    requests_by_route, speaks_of_a_sync, without_seconds,
};
use crate::messages::{CheckStatus, FailureType, Level};

/// What `check` asks, in this order.
const LISTS: [&str; 4] = ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings"];

/// What `check` answers, with its exit code.
fn answer(finished: &Finished) -> (CheckStatus, String) {
    let transcript = finished.transcript();
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""));
    assert!(transcript.errors().is_empty(), "{:?}", transcript.errors());
    let status = transcript.connection_status().expect("a CONNECTION_STATUS");
    (status.status, status.message.clone().unwrap_or_default())
}

#[test]
fn good_credentials_are_proven_with_one_small_request_a_list() {
    let fake = fake(2);
    let token = json!({"credentials": {"auth_type": "management_token", "management_token": week_long(&fake)}});
    for config in [config(&fake), config_with(&fake, token)] {
        fake.reset_requests();
        let finished = Call::check(&config).run();
        assert_eq!(answer(&finished), (CheckStatus::Succeeded, String::new()));
        assert_eq!(finished.good(&fake).messages.len(), 1, "{}", finished.report(&fake));
        let requests = requests_by_route(&fake);
        assert_eq!(
            requests,
            LISTS.iter().map(|list| ((*list).to_owned(), json!(1))).collect::<serde_json::Map<_, _>>()
        );
        assert!(fake.request_log().iter().all(|request| request.target.contains("limit=10")));
    }
}

fn week_long(fake: &Fake) -> String {
    fake.token_with(TokenClaims { expires_at: Utc::now() + TimeDelta::days(7), ..TokenClaims::default() })
}

/// Checks that the answer is FAILED with one sentence to act on, which is returned.
fn refused(finished: &Finished) -> String {
    let (status, sentence) = answer(finished);
    assert_eq!(status, CheckStatus::Failed);
    assert_eq!(flaws_of(&sentence), [""; 0], "{sentence}");
    sentence
}

#[test]
fn check_names_the_endpoint_that_refused_and_what_to_do() {
    let fake = fake(3);
    let mut lines = Vec::new();
    let mut note = |case: &str, endpoint: &str, finished: &Finished| {
        let sentence = refused(finished);
        assert!(sentence.contains(&format!("`{endpoint}`")), "{case}: {sentence}");
        lines.push(format!("{case}\n    {}", without_clock(&sentence)));
    };
    let app = |key: &str, secret: &str| {
        config_with(&fake, json!({"credentials": {"app_access_key": key, "app_secret": secret}}))
    };
    let foreign = fake.token_with(TokenClaims { secret: Some("of-somebody-else".into()), ..TokenClaims::default() });
    let pasted = config_with(&fake, json!({"credentials": {"management_token": foreign}}));
    note("a wrong secret", LISTS[0], &Call::check(&app(&fake.access_key(), "of-somebody-else")).run());
    note("a wrong access key", LISTS[0], &Call::check(&app("of-somebody-else", &fake.app_secret())).run());
    note("a token of another workspace", LISTS[0], &Call::check(&pasted).run());
    fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Forbidden));
    note("no permission at all", LISTS[0], &Call::check(&config(&fake)).run());
    for (status, says) in [(404, "does not know"), (301, "redirect")] {
        fake.set_faults(FaultPlan::new().on("*", When::Always, Fault::Status(status)));
        let finished = Call::check(&config(&fake)).run();
        assert!(refused(&finished).contains(says), "{}", refused(&finished));
        note(&format!("another server ({status})"), LISTS[0], &finished);
    }
    insta::assert_snapshot!("check_refused", lines.join("\n"));
}

#[test]
fn a_list_that_may_not_be_read_is_worth_a_warning_while_others_may() {
    let fake = fake(3);
    let mut lines = Vec::new();
    for list in LISTS {
        fake.set_faults(FaultPlan::new().on(list, When::Always, Fault::Forbidden));
        let finished = Call::check(&config(&fake)).run();
        assert_eq!(answer(&finished), (CheckStatus::Succeeded, String::new()));
        let transcript = finished.good(&fake);
        let [warning] = transcript.logs(Level::Warn)[..] else { panic!("{}", finished.report(&fake)) };
        assert!(warning.contains(&format!("`{list}` (403")) && !warning.contains("deselect"), "{warning}");
        lines.push(format!("{list}\n    {}", without_clock(warning)));
    }
    insta::assert_snapshot!("check_forbidden", lines.join("\n"));
}

/// What time it was is not part of a sentence's review.
fn without_clock(sentence: &str) -> String {
    let cut = sentence
        .split_once(", this machine's ")
        .and_then(|(before, after)| Some((before, after.split_once(" (UTC)")?.1)));
    cut.map_or(sentence.to_owned(), |(before, after)| format!("{before}, this machine's … (UTC){after}"))
}

#[test]
fn what_check_cannot_tell_is_an_error_and_no_status() {
    let fake = fake(4);
    let (mut lines, mut flaws) = (Vec::new(), Vec::new());
    let mut note = |case: &str, finished: &Finished| {
        let transcript = finished.transcript();
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(1), ""), "{case}");
        assert!(transcript.connection_status().is_none(), "{case}: a status although it cannot know");
        let [error] = transcript.errors()[..] else { panic!("{case}: not one error") };
        assert_eq!(error.failure_type, FailureType::TransientError, "{case}");
        let sentence = without_seconds(&error.message);
        assert!(
            sentence.contains("`/v2/sessions`") && (sentence.contains("3 times") || sentence.contains("3 attempts")),
            "{case}: {sentence}"
        );
        flaws.extend(flaws_of(&sentence).into_iter().map(|flaw| format!("{case}: {flaw}: {sentence}")));
        flaws.extend(speaks_of_a_sync(&sentence));
        lines.push(format!("{case}\n    {sentence}"));
    };
    note("nobody listens", &Call::check(&config_with(&fake, json!({"api_url": nowhere()}))).run());
    for (case, fault) in [
        ("503", Fault::Status(503)),
        ("500", Fault::Status(500)),
        ("cut in the middle", Fault::TruncatedBody),
        ("a page of HTML", Fault::HtmlPage),
        ("nothing at all", Fault::EmptyBody),
    ] {
        fake.set_faults(FaultPlan::new().on("*", When::Always, fault));
        note(case, &Call::check(&config(&fake)).run());
    }
    insta::assert_snapshot!("check_cannot_tell", lines.join("\n"));
    assert_eq!(flaws, [""; 0]);
}

#[test]
fn a_bad_moment_does_not_fail_the_check() {
    let fake = fake(5);
    fake.set_faults(FaultPlan::new().on("*", When::First(2), Fault::Status(503)));
    assert_eq!(answer(&Call::check(&config(&fake)).run()), (CheckStatus::Succeeded, String::new()));
}

const WEBHOOKS: &str = "/v2/analytics/webhooks";

// `check`.

/// What `check` answers with these faults, and what it warns of.
fn checked(fake: &Fake, plan: FaultPlan) -> (CheckStatus, String, Vec<String>) {
    fake.set_faults(plan);
    let finished = Call::check(&extra_config(fake)).run();
    let transcript = finished.transcript();
    assert!(transcript.errors().is_empty(), "{}", finished.report(fake));
    assert!(fake.unexpected().is_empty(), "requests against the documents: {:#?}", fake.unexpected());
    let status = transcript.connection_status().expect("a status");
    let warnings = transcript.logs(Level::Warn).into_iter().map(str::to_owned).collect();
    (status.status, status.message.clone().unwrap_or_default(), warnings)
}

/// The extra streams that have an endpoint of their own.
const PROBED: [(&str, &str); 5] = [
    ("webhook_events", WEBHOOKS),
    ("live_streams", "/v2/live-streams"),
    ("external_streams", "/v2/external-streams"),
    ("peer_quality", STATS),
    ("recording_assets", "/v2/recording-assets"),
];

#[test]
fn check_asks_one_small_question_for_each_that_is_switched_on() {
    let fake = fake(2);
    assert_eq!(checked(&fake, FaultPlan::new()), (CheckStatus::Succeeded, String::new(), Vec::new()));
    let lists = ["/v2/sessions", "/v2/rooms", "/v2/templates", "/v2/recordings"];
    let once = |routes: &[&str]| routes.iter().map(|route| ((*route).to_owned(), json!(1))).collect::<BTreeMap<_, _>>();
    let asked = |fake: &Fake| requests_by_route(fake).into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(asked(&fake), once(&[lists.as_slice(), &PROBED.map(|(_, endpoint)| endpoint)].concat()));
    let is_small =
        |target: &str| target.split(['?', '&']).any(|pair| pair == "limit=10" || pair.starts_with("peer_id="));
    assert!(fake.request_log().iter().all(|request| is_small(&request.target)));
    for (stream, endpoint) in PROBED {
        fake.reset_requests();
        Call::check(&config_with(&fake, json!({"extra_streams": [stream]}))).run().good(&fake);
        assert_eq!(asked(&fake), once(&[lists.as_slice(), &[endpoint]].concat()), "{stream}");
    }
}

#[test]
fn check_names_the_extra_stream_that_may_not_be_read() {
    let fake = fake(3);
    for (stream, endpoint) in PROBED {
        let plan = FaultPlan::new().on(endpoint, When::Always, Fault::Forbidden);
        let (status, _, warnings) = checked(&fake, plan);
        let [warning] = &warnings[..] else { panic!("{stream}: {warnings:?}") };
        assert_eq!(status, CheckStatus::Succeeded);
        assert!(warning.starts_with(&format!("`{stream}` cannot be read. ")), "{warning}");
        assert!(warning.contains(&format!("`{endpoint}` (403")), "{warning}");
    }
    let (status, sentence, warnings) = checked(&fake, FaultPlan::new().on("*", When::Always, Fault::Forbidden));
    assert_eq!((status, warnings.len()), (CheckStatus::Failed, 0), "{sentence}");
    // What belongs to one endpoint only is no reason to fail; what belongs to all of them is.
    let (status, ..) = checked(&fake, FaultPlan::new().on(STATS, When::Always, Fault::Status(400)));
    assert_eq!(status, CheckStatus::Succeeded, "nobody's measurements are no bad sign, however that is said");
    let (status, sentence, _) = checked(&fake, FaultPlan::new().on("*", When::Always, Fault::Unauthorized));
    assert_eq!(status, CheckStatus::Failed, "{sentence}");
}

#[test]
fn a_workspace_without_a_webhook_passes_the_check() {
    for no_webhook in [NoWebhook::Empty, NoWebhook::NotFound] {
        let fake = fake_with_of_extra_streams(
            Readings { has_webhook: false, no_webhook, ..Readings::documented() },
            Counts::default(),
        );
        assert_eq!(checked(&fake, FaultPlan::new()), (CheckStatus::Succeeded, String::new(), Vec::new()));
    }
}
