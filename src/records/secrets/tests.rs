//! Secrets planted under every name and in every form of URL, at any depth; and data that is none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Stands for a secret; nothing else holds it.
const PLANTED: &str = "pl4nted5ecret";

fn masked(json: &str, place: Place) -> String {
    rewritten(json, place).0.into_owned()
}

/// Names of keys whose value is a secret.
const NAMES: &[&str] = &[
    "secret",
    "secretKey",
    "secret_key",
    "appSecret",
    "app_secret",
    "clientSecret",
    "client-secret",
    "webhookSecret",
    "webhook_secret",
    "password",
    "Password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "streamKey",
    "stream_key",
    "StreamKey",
    "rtmpStreamKey",
    "apiKey",
    "api_key",
    "x-api-key",
    "APIKEY",
    "accessKey",
    "access_key",
    "accessKeyId",
    "AWSAccessKeyId",
    "aws_secret_access_key",
    "accessKeySecret",
    "accessToken",
    "access_token",
    "authToken",
    "auth_token",
    "refreshToken",
    "refresh_token",
    "sessionToken",
    "token",
    "Token",
    "TOKEN",
    "bearer",
    "jwt",
    "authorization",
    "Authorization",
    "proxy-authorization",
    "privateKey",
    "private_key",
    "sasToken",
    "sas_token",
    "signature",
    "Signature",
    "sig",
    "connectionString",
    "connection_string",
    "cookie",
    "set-cookie",
    "signingKey",
    "encryption_key",
    "accountKey",
    "idToken",
    "auth",
    "hmac",
    "password2",
    "fcm_token",
    "ingest_key",
    "masterKey",
    "secretField",
    "secret_of_the_house",
    "passwordValue",
    "serviceAccountJson",
    "privateKeyPem",
    "roomCode",
];

/// Names below which everything is a secret.
const PARENTS: &[&str] = &["credentials", "Credentials", "s3_credentials", "headers", "requestHeaders", "HEADERS"];

/// Texts that hold a secret because of what they are; `{}` stands for it.
const TEXTS: &[&str] = &[
    "rtmp://a.example/live/{}",
    "rtmps://a.example:443/app/in/{}/",
    "RTMP://a/{}",
    "rtmp://u:{}@h/app/x",
    "rtmp://h/app/x?k={}",
    "rtmp://h/app/{}?x=y",
    "publish to rtmp://h/app/{} please",
    "rtmp://h/a/x,rtmp://h/a/{}",
    "srt://h:9?streamid={}",
    "srt://h:9?mode=caller&passphrase={}",
    "https://x/r?token={}",
    "https://x/r?a=b&auth_token={}&c=d",
    "https://x/r#access_token={}",
    "https://x/r?JWT={}",
    "https://x/r?%74oken={}",
    "https://x/r?to%6ben={}",
    "https://x/r?user[token]={}",
    "https://x/r?sig={}",
    "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=a&X-Amz-Signature={}&x=y",
    "https://b/k?X-Amz-Security-Token={}",
    "https://b/k?X-Amz-Credential={}",
    "https://b/k?X-Goog-Signature={}",
    "https://b/k?AWSAccessKeyId={}&Expires=1",
    "https://a.blob/k?sv=1&se=2&sig={}",
    "https://h/k?key={}",
    "https://h/k?streamKey={}",
    "https://user:{}@h/x",
    "https://{}@h/x",
    "ftp://user:{}@h/x",
    "postgres://u:a/{}@h/db",
    "wss://h/ws?access_token={}",
    "/r/host?token={}",
    "h.live/r?token={}&x=y",
    "https://h/go?to=https%3A%2F%2Fg%2F%3Ftoken%3D{}",
    "https://h/go?to=https://g/?token={}",
    "https%3A%2F%2Fg%2F%3Ftoken%3D{}",
    "{\"url\":\"https://h/?token={}\"}",
    "{\"url\":\"rtmp:\\/\\/h\\/app\\/{}\"}",
    "<a href='https://h/?sig={}'>x</a>",
    "eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.{}",
    "https://a.app.100ms.live/meeting/{}",
    "{\"credentials\":{\"key\":\"{}\"}}",
    "{\"a\":[{\"secretKey\" : \"{}\"}]}",
    "{\"apiKey\":[\"{}\"]}",
    "got {\"serviceAccountJson\":{\"a\":\"{}\"}} from it",
    "{\"cut\":1,\"privateKey\":\"{}",
    "{\"more\":\"{\\\"clientSecret\\\":\\\"{}\\\"}\"}",
];

/// `value` somewhere in a document: below objects and lists with ordinary names.
fn buried(value: Value, path: &[u8]) -> Value {
    path.iter().fold(value, |value, step| match step % 5 {
        0 => json!([1, value]),
        1 => json!({"name": "n", "data": value}),
        2 => json!({"hook": value, "events": ["a"]}),
        3 => json!({"meetingURL": "https://h/x", "rtmpURLs": value}),
        _ => json!({"token": {"name": "token", "inner": value}}),
    })
}

/// All characters of `text` as escapes: another way to write the same JSON.
fn escaped(json: &str) -> String {
    json.replace('/', "\\/")
        .replace("token", "to\\u006ben")
        .replace("rtmp", "\\u0072tmp")
        .replace(PLANTED, "pl4nte\\u00645ecret")
}

fn is_gone(json: &str) -> Result<(), TestCaseError> {
    for json in [json.to_owned(), escaped(json)] {
        let line = masked(&json, Place::Open);
        let value: Value = serde_json::from_str(&line).unwrap();
        let line = value.to_string();
        prop_assert!(!line.contains(PLANTED) && line.contains(MASK), "{json} became {line}");
    }
    Ok(())
}

#[test]
fn every_name_and_every_form_is_masked() {
    for name in NAMES {
        for secret in [
            json!(PLANTED),
            json!([[PLANTED, 5]]),
            json!({"value": PLANTED, "more": [PLANTED]}),
            json!([1, {"x": PLANTED}]),
        ] {
            is_gone(&json!({*name: secret}).to_string()).unwrap();
        }
        assert_eq!(
            masked(&format!("{{\"{name}\":7,\"b\":true,\"n\":null}}"), Place::Open),
            format!("{{\"{name}\":\"{MASK}\",\"b\":true,\"n\":null}}")
        );
        for stays in ["true", "null", &format!("{{\"level\":5,\"name\":\"{name}\"}}")] {
            let json = format!("{{\"{name}\":{stays}}}");
            assert_eq!(masked(&json, Place::Open), json);
        }
    }
    for parent in PARENTS {
        is_gone(&json!({*parent: {"key": PLANTED, "deep": [{"x": PLANTED}]}}).to_string()).unwrap();
    }
    for text in TEXTS {
        let text = text.replace("{}", PLANTED);
        is_gone(&json!(text).to_string()).unwrap();
        is_gone(&json!({"anything": [text]}).to_string()).unwrap();
        is_gone(&json!({text: 1}).to_string()).unwrap();
    }
}

proptest! {
    #[test]
    fn a_planted_secret_comes_out_nowhere(
        form in 0..NAMES.len() + PARENTS.len() + TEXTS.len(), path in prop::collection::vec(any::<u8>(), 0..140), noise in "[ -~]{0,12}"
    ) {
        let secret = match form {
            form if form < NAMES.len() => json!({NAMES[form]: PLANTED, "x": noise}),
            form if form < NAMES.len() + PARENTS.len() => json!({PARENTS[form - NAMES.len()]: {noise: [PLANTED, {"y": PLANTED}]}}),
            form => json!(TEXTS[form - NAMES.len() - PARENTS.len()].replace("{}", PLANTED)),
        };
        // Built by hand beyond the depth that the parser of the test takes.
        is_gone(&buried(secret, &path[..path.len().min(50)]).to_string())?;
    }

    #[test]
    fn what_holds_no_secret_is_untouched(text in "[a-zA-Z0-9 ,;!?é😀_-]{0,30}", key in "[a-z]{0,6}_id", number in any::<i32>()) {
        let json = format!("{{ \"{key}\" : [{number},1.50e3,\"{text}\"],\"metadata\":\"{text}\\n\\u00e9\"}}");
        prop_assert_eq!(masked(&json, Place::Open), json);
    }
}

#[test]
fn ordinary_data_is_untouched() {
    for json in [
        r#"{"id":"665f1c2a9b","key":"my-key","name":"Dr. Ada","enabled":true,"size":1.50e3,"description":"a=b; c: 100% / 2"}"#,
        r#"{"roles":{"token":{"name":"token","publishParams":{"allowed":["audio"]}},"host":{"name":"host"}}}"#,
        r#"{"metadata":"{\"token\":\"free text\",\"isHandRaised\":false,\"at\":\"10:30\"}"}"#,
        r#"{"user_id":"auth0|5f7c","email":"a@b.c","time":"2024-05-01T10:00:00Z","url":"https://h/x?a=b#top","n":-0}"#,
        r#"{"max_tokens":512,"tokens":[1,2],"has_password":true,"password":null,"keys":["a"],"é":"\u00e9\ud83d\ude00"}"#,
        r#"{"webhook":{"url":"","events":["peer.join"]},"stats":{"bitrate":[1,2.5],"empty":{},"none":[]}}"#,
        r#"{"text":"[10:30] {\"a\": \"\\u00e9\", \"n\": 123456789012345678901234567890, \"token_type\":\"x\"}"}"#,
        r#"{"roles":{"stream":{"name":"stream","key":"k"}},"token_type":"bearer","keys":[{"key":"k"}],"code":"abc-defg-hij"}"#,
    ] {
        assert_eq!(masked(json, Place::Open), json);
    }
}

#[test]
fn an_address_of_a_webhook_is_cut_to_its_host() {
    assert_eq!(
        masked(
            r#"{"webhook":{"to":"https:\/\/u@h\/in\/s3cret","url":"h/in/s3cret","type":"application/json"},"hook":"https://h/x"}"#,
            Place::Open
        ),
        r#"{"webhook":{"to":"h","url":"h","type":"application/json"},"hook":"https://h/x"}"#
    );
}

#[test]
fn a_document_in_a_text_is_looked_into() {
    for (json, expected) in [
        (r#"{"config":"{\"password\":\"p\",\"n\":1}"}"#, r#"{"config":"{\"password\":\"**********\",\"n\":1}"}"#),
        (r#"{"metadata":"{\"password\":\"p\"}"}"#, r#"{"metadata":"{\"password\":\"p\"}"}"#),
        (r#"{"metadata":"{\"secretKey\":\"p\"}"}"#, r#"{"metadata":"{\"secretKey\":\"**********\"}"}"#),
        (r#"{"ingest":[{"key":"k","name":"n"}]}"#, r#"{"ingest":[{"key":"**********","name":"n"}]}"#),
    ] {
        assert_eq!(masked(json, Place::Open), expected);
    }
}

#[test]
fn credentials_and_headers_are_masked_whole() {
    assert_eq!(
        masked(
            r#"{"upload":{"location":"b","credentials":{"key":"AK","n":1,"deep":[{"x":true}],"none":null}}}"#,
            Place::Open
        ),
        r#"{"upload":{"location":"b","credentials":{"key":"**********","n":"**********","deep":[{"x":"**********"}],"none":null}}}"#
    );
    assert_eq!(
        masked(r#"{"url":"https://a/b","headers":{"x-team":"s","list":["a"]}}"#, Place::Open),
        r#"{"url":"https://a/b","headers":{"x-team":"**********","list":["**********"]}}"#
    );
    assert_eq!(masked("{\"a\":\"b\"}", Place::Within), "{\"a\":\"**********\"}");
    assert_eq!(
        masked("[\"b\", 5, true, {\"a\": \"b\"}]", Place::Named),
        "[\"**********\", \"**********\", true, {\"a\": \"**********\"}]"
    );
}
