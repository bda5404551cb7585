//! Who gets in.

use crate::client::Client;
use chrono::{TimeDelta, Utc};
use fake_100ms::{Fake, Fault, FaultPlan, Options, TokenClaims, When};
use serde_json::json;

fn status(client: &mut Client, token: Option<String>) -> (u16, String) {
    client.token = token;
    let answer = client.get("/v2/rooms").expect("an answer");
    (answer.status, answer.json()["details"][0].as_str().unwrap_or("").to_owned())
}

#[test]
fn only_a_good_management_token_gets_in() {
    let fake = Fake::start(Options::default());
    let mut client = Client::of(&fake);
    let (now, standard) = (Utc::now(), TokenClaims::default);
    let token = |claims| Some(fake.token_with(claims));
    let later = now + TimeDelta::minutes(1);
    let refused = [
        (None, "not found"),
        (Some("not.a.token".to_owned()), "token signature is invalid"),
        (token(TokenClaims { secret: Some("wrong".into()), ..standard() }), "token signature is invalid"),
        (token(TokenClaims { expires_at: now, ..standard() }), "token is expired"),
        (token(TokenClaims { not_before: later, ..standard() }), "token is not valid yet"),
        (token(TokenClaims { token_type: "app".into(), ..standard() }), "token is not a management token"),
        (token(TokenClaims { version: 1, ..standard() }), "token version is not supported"),
        (token(TokenClaims { access_key: Some("other".into()), ..standard() }), "access key is unknown"),
    ];
    for (token, detail) in refused {
        assert_eq!(status(&mut client, token), (401, detail.to_owned()));
    }
    assert_eq!(status(&mut client, Some(fake.token())).0, 200);
    client.token = None;
    let answer = client.get("/v2/rooms").expect("an answer").json();
    assert_eq!(answer, json!({"code": 401, "message": "Token validation error", "details": ["not found"]}));
}

#[test]
fn the_default_token_is_the_vendors() {
    let fake = Fake::start(Options::default());
    let key = jsonwebtoken::DecodingKey::from_secret(fake.app_secret().as_bytes());
    let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    let token = jsonwebtoken::decode::<serde_json::Value>(&fake.token(), &key, &validation);
    let claims = token.expect("signed with the app secret").claims;
    assert_eq!(claims["access_key"], fake.access_key());
    assert_eq!((&claims["type"], &claims["version"]), (&json!("management"), &json!(2)));
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 24 * 3600));
    assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
}

#[test]
fn a_rotated_secret_signs_no_longer() {
    let fake = Fake::start(Options::default());
    let mut client = Client::of(&fake);
    let old = fake.token();
    fake.rotate_secret();
    assert_eq!(status(&mut client, Some(old.clone())), (401, "token signature is invalid".to_owned()));
    assert_eq!(status(&mut client, Some(fake.token())).0, 200);
    assert!(fake.secrets().contains(&old), "a token is a secret for ever");
}

#[test]
fn voided_tokens_stay_out_and_fresh_ones_get_in() {
    let fake = Fake::start(Options::default());
    let mut client = Client::of(&fake);
    let (old, fresh) = (fake.token(), fake.token());
    let plan = FaultPlan::new().on("*", When::Nth(2), Fault::VoidTokens);
    fake.set_faults(plan);
    assert_eq!(status(&mut client, Some(old.clone())).0, 200);
    assert_eq!(status(&mut client, Some(old.clone())), (401, "token is expired".to_owned()));
    assert_eq!(status(&mut client, Some(old)).0, 401);
    assert_eq!(status(&mut client, Some(fresh.clone())).0, 200);
    fake.void_tokens();
    assert_eq!(status(&mut client, Some(fresh)).0, 401);
}
