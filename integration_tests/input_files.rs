//! What `--config`, `--catalog` and `--state` refuse, and in which words.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use fake_100ms::{Fake, TokenClaims};
use serde_json::{Value, json};

use crate::harness::{Call, Finished, HUSH, catalog, extra_streams, fake, flaws_of, offered_streams};
use crate::messages::{CheckStatus, ConnectionStatus, FailureType, Message, TraceError};

const APP_SECRET: &str = "5ecret-hush-hush-0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a file holds, or what stands in its place.
enum Content {
    Json(Value),
    Bytes(Vec<u8>),
    /// A path below a directory that holds the directory `folder` and the file `file`.
    At(&'static str),
}

/// One bad input.
struct Bad {
    name: String,
    /// Which file it is: `config`, `catalog` or `state`.
    flag: &'static str,
    content: Content,
    /// What the sentence must say.
    says: Vec<String>,
    variable: Option<(&'static str, &'static str)>,
}

/// What became of a bad input.
struct Outcome {
    name: String,
    sentence: String,
    flaws: Vec<String>,
}

fn bad(flag: &'static str, name: &str, content: Content, says: &[&str]) -> Bad {
    let says = says.iter().map(|word| (*word).to_owned()).collect();
    Bad { name: format!("{flag}: {name}"), flag, content, says, variable: None }
}

fn text(text: impl Into<Vec<u8>>) -> Content {
    Content::Bytes(text.into())
}

/// Files that do not even hold JSON, each given to every flag.
fn unreadable_files(flag: &'static str) -> Vec<Bad> {
    let good_but_cut = format!(r#"{{"credentials": {{"app_secret": "{APP_SECRET}"}}, "streams": [{{"stream": "#);
    let utf16 = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let digits = format!(r#"{{"start_date": 1{}}}"#, "0".repeat(400));
    let this_flag = format!("`--{flag}`");
    let cases = [
        ("a missing file", Content::At("nowhere.json"), "does not exist"),
        ("a missing folder", Content::At("nowhere/config.json"), "does not exist"),
        ("a directory", Content::At("folder"), "is a directory"),
        ("a path below a file", Content::At("file/config.json"), "cannot be read"),
        ("an empty file", text(""), "is empty"),
        ("blanks only", text(" \t\r\n\n"), "is empty"),
        ("prose", text(format!("secret: {APP_SECRET}\n")), "is not JSON"),
        ("a bare word", text("NaN"), "is not JSON"),
        ("cut in the middle", text(good_but_cut), "is not JSON"),
        ("a comma too many", text("{\"streams\": [],\n}"), "line 2, column 1"),
        ("single quotes", text("{'streams': []}"), "is not JSON"),
        ("two values", text("{} {}"), "is not JSON"),
        ("a byte order mark", text("\u{feff}{}"), "byte order mark"),
        ("UTF-16", text([b"\xff\xfe".as_slice(), &utf16].concat()), "is not UTF-8"),
        ("bytes that are not UTF-8", text(b"{\"start_date\": \"\xe9t\xe9\"}".as_slice()), "is not UTF-8"),
        ("nested 10,000 deep", text(deep), "nested"),
        ("a number beyond all bounds", text(r#"{"num_workers": 1e999}"#), "number"),
        ("a number of 400 digits", text(digits), "number"),
    ];
    cases.into_iter().map(|(name, content, says)| bad(flag, name, content, &[&this_flag, says])).collect()
}

/// A configuration without fault, for nobody in particular.
fn settings(fake: &Fake) -> Value {
    json!({
        "credentials": {"auth_type": "app_credentials", "app_access_key": "0123456789abcdef", "app_secret": APP_SECRET},
        "start_date": "2024-01-01T00:00:00Z",
        "api_url": fake.url(),
    })
}

fn bad_configs(fake: &Fake) -> Vec<Bad> {
    let mut cases = unreadable_files("config");
    for (name, content) in
        [("a list", json!([])), ("a string", json!("x")), ("a number", json!(5)), ("null", Value::Null)]
    {
        cases.push(bad("config", name, Content::Json(content), &["`--config`", "is not a JSON object"]));
    }
    let with = |key: &str, value: Value| {
        let mut config = settings(fake);
        config[key] = value;
        Content::Json(config)
    };
    for (name, value, says) in [
        ("null", Value::Null, "is missing"),
        ("a number", json!(20_240_101), "must be a date and time in UTC, but is `20240101`"),
        ("empty", json!(""), "is empty"),
        ("a word", json!("yesterday"), "`yesterday`"),
        ("without day", json!("2024-01"), "`2024-01`"),
        ("with another separator", json!("2024/01/01"), "`2024/01/01`"),
        ("without zone", json!("2024-01-01T00:00:00"), "UTC"),
        ("with an offset", json!("2024-01-01T00:00:00+02:00"), "UTC"),
        ("on no calendar", json!("2023-02-29T00:00:00Z"), "`2023-02-29T00:00:00Z`"),
        ("on no clock", json!("2024-01-01T24:00:00Z"), "`2024-01-01T24:00:00Z`"),
        ("in the future", json!("2999-01-01T00:00:00Z"), "in the future"),
        ("with a line break", json!("2024-01-01\nT00:00:00Z"), "`2024-01-01 T00:00:00Z`"),
        ("the secret", json!(APP_SECRET), "is"),
    ] {
        cases.push(bad("config", &format!("start_date {name}"), with("start_date", value), &["`start_date`", says]));
    }
    let mut is_bad =
        |name: &str, key: &str, value: Value| cases.push(bad("config", name, with(key, value), &[&format!("`{key}`")]));
    for (name, value) in [
        ("num_workers 0", json!(0)),
        ("num_workers 51", json!(51)),
        ("num_workers -1", json!(-1)),
        ("num_workers 1.5", json!(1.5)),
        ("num_workers 1e300", json!(1e300)),
        ("num_workers a string", json!("10")),
        ("num_workers true", json!(true)),
    ] {
        is_bad(name, "num_workers", value);
    }
    for (name, value) in [
        ("requests_per_second 0", json!(0)),
        ("requests_per_second 0.01", json!(0.01)),
        ("requests_per_second 1001", json!(1001)),
        ("requests_per_second a string", json!("10")),
        ("requests_per_second a list", json!([10])),
    ] {
        is_bad(name, "requests_per_second", value);
    }
    for (name, value) in [
        ("analytics_event_types a string", json!("client.join.failed")),
        ("analytics_event_types an object", json!({})),
        ("analytics_event_types of numbers", json!([5])),
        ("analytics_event_types with null", json!(["client.join.failed", null])),
        ("analytics_event_types with a blank", json!([" "])),
    ] {
        is_bad(name, "analytics_event_types", value);
    }
    is_bad("analytics_rooms unknown", "analytics_rooms", json!("ALL"));
    is_bad("analytics_rooms a list", "analytics_rooms", json!(["all"]));
    for (name, value) in [
        ("extra_streams a string", json!("peer_quality")),
        ("extra_streams with a number", json!([5])),
        ("extra_streams mistyped", json!(["peer_qualitiy"])),
        ("extra_streams unknown", json!(["chat"])),
    ] {
        is_bad(name, "extra_streams", value);
    }
    for (name, value) in [
        ("lookback_hours -1", json!(-1)),
        ("lookback_hours 721", json!(721)),
        ("lookback_hours a string", json!("24")),
        ("lookback_hours 0.5", json!(0.5)),
    ] {
        is_bad(name, "lookback_hours", value);
    }
    is_bad("recording_urls unknown", "recording_urls", json!("public"));
    is_bad("recording_urls a boolean", "recording_urls", json!(false));
    is_bad("personal_data unknown", "personal_data", json!("mask"));
    is_bad("personal_data a boolean", "personal_data", json!(true));
    for (name, value) in [
        ("api_url a number", json!(8080)),
        ("api_url prose", json!("the usual one")),
        ("api_url without scheme", json!("api.100ms.live")),
        ("api_url without host", json!("https://")),
        ("api_url a file", json!("file:///etc/passwd")),
        ("api_url of another protocol", json!("ftp://api.100ms.live")),
        ("api_url unencrypted", json!("http://api.100ms.live")),
        ("api_url that begins like loopback", json!("http://127.0.0.1.example.com")),
        ("api_url with a user", json!("https://hush:hush@api.100ms.live")),
        ("api_url with a query", json!("https://api.100ms.live/?token=hush")),
        ("api_url with a fragment", json!("https://api.100ms.live/#hush")),
    ] {
        is_bad(name, "api_url", value);
    }
    cases.extend(bad_salts(fake));
    cases.extend(bad_credentials(fake));
    cases.extend(bad_surroundings(fake));
    cases
}

fn bad_salts(fake: &Fake) -> Vec<Bad> {
    let salts = [
        ("missing", Value::Null),
        ("blank", json!(" \n")),
        ("a number", json!(1234567890123456_u64)),
        ("of 15 characters", json!("hush-hush-hush-")),
    ];
    let config = |salt: Value| {
        let mut config = settings(fake);
        (config["personal_data"], config["personal_data_salt"]) = (json!("hash"), salt);
        Content::Json(config)
    };
    salts.map(|(name, salt)| bad("config", &format!("salt {name}"), config(salt), &["`personal_data_salt`"])).into()
}

fn bad_credentials(fake: &Fake) -> Vec<Bad> {
    let app = |key: &str, value: Value| {
        let mut credentials = settings(fake)["credentials"].clone();
        credentials[key] = value;
        credentials
    };
    let token = |token: &str| json!({"auth_type": "management_token", "management_token": token});
    let rows = [
        ("credentials null", Value::Null, "`credentials`"),
        ("credentials a string", json!(APP_SECRET), "`credentials`"),
        ("credentials a list", json!([{"management_token": "hush"}]), "`credentials`"),
        ("credentials empty", json!({}), "`credentials.app_access_key`"),
        ("auth_type a number", app("auth_type", json!(1)), "`credentials.auth_type`"),
        ("auth_type unknown", app("auth_type", json!("oauth2.0")), "`credentials.auth_type`"),
        ("auth_type the secret", app("auth_type", json!(APP_SECRET)), "`credentials.auth_type`"),
        ("auth_type of the other kind", app("auth_type", json!("management_token")), "`credentials.management_token`"),
        ("app_access_key null", app("app_access_key", Value::Null), "`credentials.app_access_key`"),
        ("app_access_key a number", app("app_access_key", json!(5)), "`credentials.app_access_key`"),
        ("app_access_key with a blank inside", app("app_access_key", json!("a b")), "`credentials.app_access_key`"),
        ("app_secret null", app("app_secret", Value::Null), "`credentials.app_secret`"),
        ("app_secret blank", app("app_secret", json!(" \n")), "`credentials.app_secret`"),
        ("app_secret a list", app("app_secret", json!([APP_SECRET])), "`credentials.app_secret`"),
        ("app_secret with a line break", app("app_secret", json!("hush\nhush")), "`credentials.app_secret`"),
        ("app_secret with a NUL", app("app_secret", json!("hush\0hush")), "`credentials.app_secret`"),
        ("token empty", token(""), "`credentials.management_token`"),
        ("token with a line break", token("eyJhbGciOi\r\nJhush.hush.hush"), "`credentials.management_token`"),
        ("token with an escape", token("\u{1b}[31mhush.hush.hush"), "`credentials.management_token`"),
        ("token with a NUL", token("hush.hush\0.hush"), "`credentials.management_token`"),
        ("token of other letters", token("hüsh-hush.hush.hush"), "`credentials.management_token`"),
        ("token with its header's name", token("Bearer eyJhbGciOi.hush.hush"), "`credentials.management_token`"),
        ("token that is the app secret", token(APP_SECRET), "`management_token`"),
        ("token of one part", token("hush"), "`management_token`"),
        ("token of four parts", token("eyJhbGciOiJIUzI1NiJ9.e30.hush.hush"), "`management_token`"),
        ("token without claims", token("eyJhbGciOiJIUzI1NiJ9.aHVzaA.hush"), "`management_token`"),
        ("token expired", token(&expired(fake)), "management token expired on 3 May 2025 at 10:00 UTC"),
        ("token of the future", token(&of_the_future(fake)), "not valid before 1 January 2999 at 00:00 UTC"),
        ("token of a participant", token(&of_type(fake, "app")), "of type `app`, not `management`"),
        ("token of an odd type", token(&of_type(fake, "`\n\u{7f}`odd type!")), "of type `oddtype`"),
    ];
    let mut cases: Vec<Bad> = rows
        .into_iter()
        .map(|(name, credentials, says)| {
            let mut config = settings(fake);
            config["credentials"] = credentials;
            bad("config", name, Content::Json(config), &[says])
        })
        .collect();
    for (name, token, says) in [
        ("former token a number", json!(5), "`management_token`"),
        ("former token no token", json!("hush"), "`management_token`"),
        ("former token expired", json!(expired(fake)), "expired on 3 May 2025"),
    ] {
        let config = json!({"management_token": token, "start_date": "2024-01-01T00:00:00Z"});
        cases.push(bad("config", name, Content::Json(config), &[says]));
    }
    cases.push(bad("config", "nothing at all", Content::Json(json!({})), &["`credentials`", "is missing"]));
    let without_date = json!({"credentials": settings(fake)["credentials"]});
    cases.push(bad("config", "start_date missing", Content::Json(without_date), &["`start_date`", "is missing"]));
    cases
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().expect("a time")
}

fn expired(fake: &Fake) -> String {
    fake.token_with(TokenClaims { expires_at: at("2025-05-03T10:00:00Z"), ..TokenClaims::default() })
}

fn of_the_future(fake: &Fake) -> String {
    let (not_before, expires_at) = (at("2999-01-01T00:00:00Z"), at("2999-01-02T00:00:00Z"));
    fake.token_with(TokenClaims { not_before, expires_at, ..TokenClaims::default() })
}

fn of_type(fake: &Fake, token_type: &str) -> String {
    fake.token_with(TokenClaims { token_type: token_type.to_owned(), ..TokenClaims::default() })
}

/// Settings that only the place they are used in makes bad.
fn bad_surroundings(fake: &Fake) -> Vec<Bad> {
    let at_url = |url: &str| {
        let mut config = settings(fake);
        config["api_url"] = json!(url);
        Content::Json(config)
    };
    let (in_cloud, with_roots) = (("DEPLOYMENT_MODE", "cloud"), ("SSL_CERT_FILE", "/nowhere/roots.pem"));
    [
        ("loopback in the cloud", at_url("http://127.0.0.1:8080"), "`api_url`", in_cloud),
        ("this machine by name in the cloud", at_url("http://localhost:8080"), "`api_url`", in_cloud),
        ("a private address in the cloud", at_url("https://10.1.2.3"), "`api_url`", ("DEPLOYMENT_MODE", "CLOUD")),
        ("certificates that are not there", at_url("https://api.100ms.live"), "`SSL_CERT_FILE`", with_roots),
    ]
    .map(|(name, content, says, variable)| Bad { variable: Some(variable), ..bad("config", name, content, &[says]) })
    .into()
}

fn bad_catalogs() -> Vec<Bad> {
    let stream = |stream: Value| json!({"streams": [{"stream": stream, "sync_mode": "full_refresh"}]});
    let entry = |key: &str, value: Value| {
        let mut catalog = catalog(&["rooms"], "full_refresh");
        catalog["streams"][0][key] = value;
        catalog
    };
    let without_mode = json!({"streams": [{"stream": {"name": "rooms"}}]});
    let rows = [
        ("a list", json!([]), "`streams`"),
        ("null", Value::Null, "`streams`"),
        ("an empty object", json!({}), "`streams`"),
        ("streams null", json!({"streams": null}), "`streams`"),
        ("streams an object", json!({"streams": {"rooms": {}}}), "`streams`"),
        ("the message of discover without streams", json!({"type": "CATALOG", "catalog": {}}), "`streams`"),
        (
            "half the catalog of discover",
            json!({"streams": [{"name": "rooms"}, {"stream": {}}]}),
            "`streams[0].stream`",
        ),
        ("a stream's name alone", json!({"streams": ["rooms"]}), "`streams[0].stream`"),
        ("a stream null", stream(Value::Null), "`streams[0].stream`"),
        ("a stream without name", stream(json!({"json_schema": {}})), "`streams[0].stream.name`"),
        ("a name that is a number", stream(json!({"name": 5})), "`streams[0].stream.name`"),
        ("an empty name", stream(json!({"name": ""})), "`streams[0].stream.name`"),
        ("no sync_mode", without_mode, "`sync_mode` for the stream `rooms`"),
        ("sync_mode null", entry("sync_mode", Value::Null), "`sync_mode` for the stream `rooms`"),
        ("sync_mode a number", entry("sync_mode", json!(1)), "a `sync_mode` that is not a string"),
        ("sync_mode unknown", entry("sync_mode", json!("INVALID")), "`sync_mode` for the stream `rooms`"),
        (
            "destination_sync_mode unknown",
            entry("destination_sync_mode", json!("INVALID")),
            "`destination_sync_mode` for the stream `rooms`",
        ),
        (
            "destination_sync_mode a number",
            entry("destination_sync_mode", json!(1)),
            "a `destination_sync_mode` that is not a string",
        ),
        (
            "json_schema a list",
            stream(json!({"name": "rooms", "json_schema": []})),
            "a `json_schema` that is not an object for the stream `rooms`",
        ),
        (
            "properties a list",
            stream(json!({"name": "rooms", "json_schema": {"properties": ["id"]}})),
            "a `json_schema.properties` that is not an object for the stream `rooms`",
        ),
        ("the same stream twice", catalog(&["rooms", "sessions", "rooms"], "full_refresh"), "the stream `rooms` twice"),
    ];
    let mut cases = unreadable_files("catalog");
    cases.extend(
        rows.into_iter()
            .map(|(name, content, says)| bad("catalog", name, Content::Json(content), &["`--catalog`", says])),
    );
    cases
}

/// States of no legal shape.
fn bad_states() -> Vec<Bad> {
    let no_stream = json!([{"type": "STREAM", "stream": {"stream_state": {}}}]);
    let no_name = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": null}}}]);
    let no_list = json!({"type": "GLOBAL", "global": {"stream_states": {}}});
    let rows = [
        ("a number", json!(5), "such as `[{"),
        ("a string", json!("2024-01-01T00:00:00Z"), "such as `[{"),
        ("a boolean", json!(true), "such as `[{"),
        ("a list of numbers", json!([5]), "such as `[{"),
        ("a list of null", json!([null]), "such as `[{"),
        ("a list of nothing in particular", json!([{}]), "such as `[{"),
        ("an unknown type", json!([{"type": "GALACTIC"}]), "`type`"),
        ("STREAM without stream", json!([{"type": "STREAM"}]), "such as `[{"),
        ("a stream without descriptor", no_stream, "`stream_descriptor.name`"),
        ("a descriptor without name", no_name, "`stream_descriptor.name`"),
        ("GLOBAL without global", json!({"type": "GLOBAL"}), "`global`"),
        ("stream_states an object", no_list, "`global.stream_states`"),
        ("LEGACY without data", json!([{"type": "LEGACY"}]), "`data`"),
        ("STATE without state", json!([{"type": "STATE"}]), "`state`"),
        ("a stream_state that is a string", of_rooms(json!("2024-01-01")), "the stream `rooms`"),
        ("a stream_state that is a list", of_rooms(json!([])), "the stream `rooms`"),
        ("a map of stream to number", json!({"rooms": 5}), "the stream `rooms`"),
    ];
    // An empty file is no state: some callers make the file before there is anything to put in it.
    let mut cases: Vec<Bad> =
        unreadable_files("state").into_iter().filter(|bad| !bad.says.contains(&"is empty".to_owned())).collect();
    cases.extend(
        rows.into_iter().map(|(name, content, says)| bad("state", name, Content::Json(content), &["`--state`", says])),
    );
    cases
}

fn of_rooms(state: Value) -> Value {
    let stream = json!({"stream_descriptor": {"name": "rooms"}, "stream_state": state});
    json!([{"type": "STREAM", "stream": stream}])
}

/// States of legal shape, of which the stream `rooms` can make nothing.
fn bad_cursors() -> Vec<Bad> {
    let resume = |resume: Value| of_rooms(json!({"updated_at": "2024-01-01T00:00:00Z", "resume": resume}));
    let no_list_of_ours = json!({"until": "2025-01-01T00:00:00Z", "pending": [{"list": "attic"}]});
    [
        ("a cursor that is a word", of_rooms(json!({"updated_at": "yesterday"})), "`updated_at`"),
        ("a cursor on no calendar", of_rooms(json!({"updated_at": "2023-02-29T00:00:00Z"})), "`updated_at`"),
        ("a cursor that is empty", of_rooms(json!({"updated_at": ""})), "`updated_at`"),
        ("a cursor that is a number", of_rooms(json!({"updated_at": 1_704_067_200})), "`updated_at`"),
        ("a cursor that is an object", of_rooms(json!({"updated_at": {}})), "`updated_at`"),
        ("a cursor of the other connector that is a word", of_rooms(json!({"updatedAt": "yesterday"})), "`updatedAt`"),
        ("a cursor in a legacy map that is a word", json!({"rooms": {"updated_at": "yesterday"}}), "`updated_at`"),
        ("resume a number", resume(json!(5)), "`resume`"),
        ("resume empty", resume(json!({})), "`resume`"),
        ("resume until no time", resume(json!({"until": "soon", "pending": []})), "`resume`"),
        ("resume of an unknown list", resume(no_list_of_ours), "`resume.pending`"),
    ]
    .map(|(name, content, says)| bad("state", name, Content::Json(content), &["`rooms`", says]))
    .into()
}

/// Every bad input, tried once for all tests here.
static OUTCOMES: LazyLock<Vec<Outcome>> = LazyLock::new(|| {
    let fake = fake(1);
    let cases = [bad_configs(&fake), bad_catalogs(), bad_states(), bad_cursors()];
    cases.into_iter().flatten().map(|bad| outcome(&bad, &fake)).collect()
});

fn outcome(bad: &Bad, fake: &Fake) -> Outcome {
    let commands = if bad.flag == "config" { ["check", "discover", "read"].as_slice() } else { &["read"] };
    let mut flaws = Vec::new();
    let mut sentences = Vec::new();
    for command in commands {
        let call = call(bad, command, fake);
        let directory = call.path("").display().to_string();
        let finished = call.run();
        flaws.extend(leaks(&finished, fake));
        match refusal(command, &finished) {
            Ok(sentence) => sentences.push(sentence.replace(&directory, "…/")),
            Err(flaw) => flaws.push(format!("{command}: {flaw}")),
        }
    }
    if fake.total_requests() > 0 {
        flaws.push("100ms was asked".into());
        fake.reset_requests();
    }
    sentences.dedup();
    if let [first, second, ..] = sentences.as_slice() {
        flaws.push(format!("two commands say different things: {first} {second}"));
    }
    let sentence = sentences.into_iter().next().unwrap_or_default();
    flaws.extend(flaws_of(&sentence));
    flaws
        .extend(bad.says.iter().filter(|word| !sentence.contains(*word)).map(|word| format!("it does not say {word}")));
    Outcome { name: bad.name.clone(), sentence, flaws }
}

fn call(bad: &Bad, command: &str, fake: &Fake) -> Call {
    let mut call = Call::new(command);
    if let Some((name, value)) = bad.variable {
        call = call.variable(name, value);
    }
    for (flag, good) in [("config", settings(fake)), ("catalog", catalog(&offered_streams(), "incremental"))] {
        if flag != bad.flag && (flag == "config" || command == "read") {
            call = call.file(flag, &good);
        }
    }
    match &bad.content {
        Content::Json(value) => call.file(bad.flag, value),
        Content::Bytes(bytes) => call.text(bad.flag, bytes),
        Content::At(path) => {
            std::fs::create_dir(call.path("folder")).expect("a directory of its own");
            std::fs::write(call.path("file"), "{}").expect("a file of its own");
            let path = call.path(path).display().to_string();
            call.argument(format!("--{}", bad.flag)).argument(path)
        }
    }
}

/// The sentence with which `command` refuses, when it refuses as it should.
fn refusal(command: &str, finished: &Finished) -> Result<String, String> {
    let transcript = finished.transcript();
    let says_more = |message: &&Message| {
        !matches!(message, Message::Log { .. } | Message::Trace { .. } | Message::ConnectionStatus { .. })
    };
    if !finished.stderr.is_empty() {
        return Err(format!("stderr: {}", finished.stderr));
    }
    if let Some(more) = transcript.messages.iter().find(says_more) {
        return Err(format!("it went on: {more:?}"));
    }
    let (status, errors) = (transcript.connection_status(), transcript.errors());
    match (command, finished.status.code(), status, errors.as_slice()) {
        ("check", Some(0), Some(ConnectionStatus { status: CheckStatus::Failed, message: Some(sentence) }), []) => {
            Ok(sentence.clone())
        }
        ("discover" | "read", Some(1), None, [error]) if is_general_config_error(error) => Ok(error.message.clone()),
        (_, code, status, errors) => Err(format!("exit code {code:?}, {status:?}, {errors:?}")),
    }
}

fn is_general_config_error(error: &TraceError) -> bool {
    error.failure_type == FailureType::ConfigError && error.stream_descriptor.is_none()
}

/// What of the secrets typed was printed: half a token is a secret too.
fn leaks(finished: &Finished, fake: &Fake) -> Vec<String> {
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
    let tokens = fake.secrets();
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1)).filter(|part| part.len() > 20);
    let mut secrets: Vec<&str> = parts.map(|part| &part[..20]).collect();
    secrets.push(HUSH);
    let leaked = secrets.into_iter().filter(|secret| printed.contains(secret));
    leaked.map(|secret| format!("{} printed the secret {secret}…", finished.arguments[0])).collect()
}

#[test]
fn each_is_refused_with_a_sentence_to_act_on() {
    let flawed: Vec<String> = OUTCOMES
        .iter()
        .filter(|outcome| !outcome.flaws.is_empty())
        .map(|outcome| format!("{}\n    {}\n    flaws: {}", outcome.name, outcome.sentence, outcome.flaws.join("; ")))
        .collect();
    assert!(flawed.is_empty(), "{} of {}:\n{}", flawed.len(), OUTCOMES.len(), flawed.join("\n"));
}

#[test]
fn the_sentences_are_reviewed() {
    let lines: Vec<String> =
        OUTCOMES.iter().map(|outcome| format!("{}\n    {}", outcome.name, outcome.sentence)).collect();
    // A new stream changes none of them.
    let names: Vec<String> = extra_streams().iter().map(|stream| format!("`{stream}`")).collect();
    let (last, others) = names.split_last().expect("some");
    let extra = format!("{} or {last}", others.join(", "));
    insta::assert_snapshot!("sentences", lines.join("\n").replace(&extra, "(the extra streams)"));
}
