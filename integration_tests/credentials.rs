//! Tokens: minted, pasted, refused, expiring.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use fake_100ms::{Fault, FaultPlan, TokenClaims, When};
use serde_json::json;

use crate::harness::{
    Call, ROUTES, assert_reads_all, catalog, config, config_with, fake, for_each, offered_streams, read_from_states,
    rides_out, short_pages, with_pasted_token,
};
use crate::messages::{Level, Transcript};
use crate::platform::read_all;

#[test]
fn a_token_that_ends_soon_is_worth_a_warning() {
    let fake = fake(8);
    let with = |lifetime: TimeDelta| {
        let token = fake.token_with(TokenClaims { expires_at: Utc::now() + lifetime, ..TokenClaims::default() });
        config_with(&fake, json!({"credentials": {"auth_type": "management_token", "management_token": token}}))
    };
    let warnings =
        |transcript: Transcript| transcript.logs(Level::Warn).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let rooms = catalog(&["rooms"], "full_refresh");
    let soon = with(TimeDelta::days(3) - TimeDelta::minutes(1));
    let day = (Utc::now() + TimeDelta::days(3) - TimeDelta::minutes(1)).format("%-d %B %Y at ").to_string();
    for call in [Call::check(&soon), Call::discover(&soon), Call::read(&soon, &rooms)] {
        let [warning] = &warnings(call.run().good(&fake))[..] else { panic!("not one warning") };
        let is_clear =
            warning.starts_with("The management token expires on ") && warning.contains("use app credentials");
        assert!(is_clear && warning.contains(&day), "{warning}");
    }
    let later = with(TimeDelta::days(3) + TimeDelta::minutes(5));
    for call in [Call::check(&later), Call::read(&later, &rooms), Call::check(&config(&fake))] {
        assert_eq!(warnings(call.run().good(&fake)), [""; 0]);
    }
}

#[test]
fn minted_tokens_are_renewed_when_refused() {
    let once = |fault: Fault| {
        ROUTES.iter().fold(FaultPlan::new(), |plan, route| plan.on(route, When::First(1), fault.clone()))
    };
    let cases = [
        ("401 once", once(Fault::Unauthorized)),
        ("403 once", once(Fault::Forbidden)),
        ("all tokens voided, twice", FaultPlan::new().on("*", When::Every(50), Fault::VoidTokens).at_most(2)),
    ];
    for_each(&cases, |(name, plan)| rides_out(name, plan.clone(), false));
}

#[test]
fn a_pasted_token_works_at_its_former_place_too() {
    let fake = fake(16);
    let inner = json!({"credentials": {"auth_type": "management_token", "management_token": fake.token()}, "start_date": "2020-01-01T00:00:00Z", "api_url": fake.url()});
    let former = json!({"management_token": fake.token(), "start_date": "2020-01-01T00:00:00Z", "api_url": fake.url()});
    for config in [inner, former] {
        let transcript = Call::read(&config, &catalog(&["rooms"], "full_refresh")).run().good(&fake);
        assert_eq!(transcript.records().count(), fake.truth().streams["rooms"].len());
    }
}

#[test]
fn refusals_now_and_then_end_no_sync_with_app_credentials() {
    for seed in 0..3 {
        let fake = short_pages(82 + seed);
        // Six refusals of one request in a row would rightly end the sync.
        let plan = FaultPlan::new().on("*", When::ProbabilityWithin(0.2, 5), Fault::Unauthorized);
        fake.set_faults(FaultPlan { seed, ..plan });
        let transcript = read_all(&fake).run().good(&fake);
        assert_reads_all(&transcript, &fake, &offered_streams());
    }
}

#[test]
fn a_pasted_token_gets_one_more_try() {
    let fake = short_pages(85);
    fake.set_faults(FaultPlan::new().on("/v2/templates", When::First(1), Fault::Unauthorized));
    let transcript = read_from_states(&with_pasted_token(&fake), &["templates"], &BTreeMap::new()).run().good(&fake);
    assert_reads_all(&transcript, &fake, &["templates"]);
}
