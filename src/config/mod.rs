//! What the user sets. `form` is the form that asks for it; this file checks what was entered, once.
//!
//! [`Config::read`] is the only way to make a configuration, so no other module checks it again.

mod form;

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::api::Credentials;
use crate::nearest::nearest;

/// The types of events that can be asked for: those that 100ms documents, and the two that are made from
/// the participants of the sessions.
pub const EVENT_TYPES: [&str; 11] = [
    "track.add.success",
    "track.update.success",
    "track.remove.success",
    "beam.recording.success",
    "client.publish.failed",
    "client.subscribe.failed",
    "client.join.failed",
    "client.disconnected",
    "client.connect.failed",
    "peer.join",
    "peer.leave",
];
const DEFAULT_API_URL: &str = "https://api.100ms.live";
const DEFAULT_WORKERS: u64 = 10;
const MOST_WORKERS: u64 = 50;
const LONGEST_LOOKBACK_HOURS: u64 = 720;
/// Whoever knows hashes and ids of users can try out shorter salts.
const SHORTEST_SALT: usize = 16;
/// Where the user finds every kind of credentials.
const DASHBOARD: &str = "from the Developer section of the 100ms dashboard";

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the connector signs in to 100ms.
    pub credentials: Credentials,
    /// Records that changed before this moment are not read.
    pub start_date: DateTime<Utc>,
    /// Which rooms are asked for analytics events.
    pub analytics_rooms: AnalyticsRooms,
    /// The types of events to read; empty means all.
    pub analytics_event_types: Vec<String>,
    /// Whether each recording gets a link to its file.
    pub recording_urls: RecordingUrls,
    /// The streams that are offered beside the eight that are always there, in the order of the form.
    pub extra_streams: Vec<ExtraStream>,
    /// What becomes of personal data.
    pub personal_data: PersonalData,
    /// How much further back than by itself each sync looks.
    pub lookback: TimeDelta,
    /// How many requests may be under way at the same time.
    pub num_workers: usize,
    /// The root of the API, without its version.
    pub api_url: Url,
}

/// Which rooms are asked for analytics events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnalyticsRooms {
    /// Those of the time since the last sync, and once a day every room.
    #[default]
    Auto,
    /// Every room, in every sync.
    All,
    /// Those of the time since the last sync.
    Recent,
}

/// Whether each recording gets a link to its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordingUrls {
    /// A link that works for a limited time.
    #[default]
    Presigned,
    /// No link.
    None,
}

/// What becomes of names, ids of users, what apps attach to people, and free text.
#[derive(Debug, Clone, Default)]
pub enum PersonalData {
    /// It is written as it is.
    #[default]
    Keep,
    /// A hash with this salt stands instead.
    Hash(SecretString),
    /// Null stands instead.
    Drop,
}

/// A stream that is offered only on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraStream {
    /// What 100ms told the webhook of the workspace.
    WebhookEvents,
    /// HLS streams.
    LiveStreams,
    /// RTMP streams.
    ExternalStreams,
    /// The network quality of every participant.
    PeerQuality,
}

impl ExtraStream {
    /// All of them, in the order of the form.
    pub const ALL: [Self; 4] = [Self::WebhookEvents, Self::LiveStreams, Self::ExternalStreams, Self::PeerQuality];

    /// The name of the stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebhookEvents => "webhook_events",
            Self::LiveStreams => "live_streams",
            Self::ExternalStreams => "external_streams",
            Self::PeerQuality => "peer_quality",
        }
    }
}

/// A fault in the configuration: which key, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct ConfigError {
    /// The key, with the keys above it.
    pub key: &'static str,
    /// What is wrong and what to do, as the end of a sentence.
    pub problem: String,
}

/// The keys of the form.
const KEYS: [&str; 12] = [
    "credentials",
    "management_token",
    "start_date",
    "recording_urls",
    "extra_streams",
    "lookback_hours",
    "personal_data",
    "personal_data_salt",
    "analytics_rooms",
    "analytics_event_types",
    "num_workers",
    "api_url",
];
/// The keys below `credentials`.
const CREDENTIAL_KEYS: [&str; 4] = ["auth_type", "app_access_key", "app_secret", "management_token"];

type Checked<T> = Result<T, ConfigError>;

fn fault<T>(key: &'static str, problem: impl fmt::Display) -> Checked<T> {
    Err(ConfigError { key, problem: problem.to_string() })
}

impl Config {
    /// Checks what the user typed, at the moment `now`. Unknown keys are ignored: platforms add their own.
    ///
    /// # Errors
    /// The first fault, in the order of the form.
    pub fn read(typed: &Map<String, Value>, now: DateTime<Utc>) -> Checked<Self> {
        Ok(Self {
            credentials: credentials(typed)?,
            start_date: start_date(typed, now)?,
            analytics_rooms: choice(
                typed,
                "analytics_rooms",
                &[("auto", AnalyticsRooms::Auto), ("all", AnalyticsRooms::All), ("recent", AnalyticsRooms::Recent)],
            )?,
            analytics_event_types: event_types(typed)?,
            recording_urls: choice(
                typed,
                "recording_urls",
                &[("presigned", RecordingUrls::Presigned), ("none", RecordingUrls::None)],
            )?,
            extra_streams: extra_streams(typed)?,
            personal_data: personal_data(typed)?,
            lookback: TimeDelta::hours(whole_number(typed, "lookback_hours", 0, 0, LONGEST_LOOKBACK_HOURS)? as i64),
            num_workers: whole_number(typed, "num_workers", DEFAULT_WORKERS, 1, MOST_WORKERS)? as usize,
            api_url: api_url(typed)?,
        })
    }

    /// The secrets of a configuration, checked or not: what must never be printed.
    pub fn secrets(typed: &Map<String, Value>) -> Vec<String> {
        let root = typed.get("management_token").into_iter();
        let below = typed.get("credentials").and_then(Value::as_object);
        let inner = below.into_iter().flat_map(|credentials| {
            ["app_secret", "management_token"].into_iter().filter_map(|key| credentials.get(key))
        });
        let typed = root.chain(inner).filter_map(Value::as_str);
        // With the blanks they were pasted with, and without.
        typed.flat_map(|secret| [secret.to_owned(), secret.trim().to_owned()]).collect()
    }

    /// The salt for hashes, checked or not.
    pub fn salt(typed: &Map<String, Value>) -> Option<&str> {
        typed.get(SALT)?.as_str().map(str::trim)
    }

    /// The form of the configuration as JSON Schema (draft 7) with the platform's annotations.
    pub fn schema() -> Value {
        form::schema()
    }

    /// What has no effect although somebody meant something by it, one sentence each: keys that are nearly
    /// those of the form, event types that 100ms does not document, and a salt where nothing is hashed. Other
    /// unknown keys are the platform's.
    pub fn doubts(typed: &Map<String, Value>) -> Vec<String> {
        let below = typed.get("credentials").and_then(Value::as_object);
        let inner = below.into_iter().flat_map(|credentials| credentials.keys().map(|key| ("credentials.", key)));
        let outer = typed.keys().map(|key| ("", key));
        let misspelt = outer.chain(inner).filter_map(|(place, key)| {
            let known: &[&str] = if place.is_empty() { &KEYS } else { &CREDENTIAL_KEYS };
            let is_known = key.starts_with('_') || known.contains(&key.as_str());
            let meant = if is_known { None } else { nearest(key, known.iter().copied()) }?;
            Some(format!(
                "The setting {} is not known and has no effect: use `{place}{meant}` if that is what you mean.",
                shown(&format!("{place}{key}"))
            ))
        });
        misspelt.chain(unknown_event_types(typed)).chain(salt_without_use(typed)).collect()
    }
}

/// The value under `key`. `null` is as good as missing, and so is a text without a letter: forms and templates of
/// settings write that for a field that was left empty.
fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
}

fn credentials(typed: &Map<String, Value>) -> Checked<Credentials> {
    let holder = match given(typed, "credentials") {
        Some(Value::Object(credentials)) => credentials,
        Some(_) => return fault("credentials", "is not an object: choose app credentials or a management token"),
        // Where Airbyte's own connector keeps it.
        None if given(typed, "management_token").is_some() => {
            return Ok(Credentials::Token(token(typed, "management_token")?));
        }
        None => {
            return fault("credentials", "is missing: give an app access key and app secret, or a management token");
        }
    };
    let kind = match given(holder, "auth_type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(_) => {
            return fault("credentials.auth_type", "is not a string: use `app_credentials` or `management_token`");
        }
        None if given(holder, "management_token").is_some() => "management_token",
        None => "app_credentials",
    };
    match kind {
        "app_credentials" => Ok(Credentials::App {
            access_key: word(holder, "app_access_key", "credentials.app_access_key")?.to_owned(),
            app_secret: word(holder, "app_secret", "credentials.app_secret")?.into(),
        }),
        "management_token" => Ok(Credentials::Token(token(holder, "credentials.management_token")?)),
        other => fault(
            "credentials.auth_type",
            format!(
                "is {}, which is not a kind of credentials: use `app_credentials` or `management_token`",
                shown(other)
            ),
        ),
    }
}

fn token(holder: &Map<String, Value>, key: &'static str) -> Checked<SecretString> {
    word(holder, "management_token", key).map(Into::into)
}

/// A credential: text without blanks or control characters around or inside.
fn word<'a>(holder: &'a Map<String, Value>, name: &str, key: &'static str) -> Checked<&'a str> {
    let typed = match given(holder, name) {
        Some(Value::String(text)) => text.trim(),
        Some(_) => return fault(key, format!("is not a string: copy it {DASHBOARD}")),
        None if holder.get(name).is_some_and(Value::is_string) => {
            return fault(key, format!("is empty: copy it {DASHBOARD}"));
        }
        None => return fault(key, format!("is missing: copy it {DASHBOARD}")),
    };
    if !typed.chars().all(|letter| letter.is_ascii_graphic()) {
        return fault(
            key,
            format!(
                "contains spaces, line breaks or other characters that such a key never has: copy it again {DASHBOARD}"
            ),
        );
    }
    Ok(typed)
}

fn start_date(typed: &Map<String, Value>, now: DateTime<Utc>) -> Checked<DateTime<Utc>> {
    const FORM: &str = "write it as `2024-01-31T00:00:00Z`";
    let text = match given(typed, "start_date") {
        Some(Value::String(text)) => text.trim(),
        Some(other) => {
            return fault("start_date", format!("is {}, not a string: {FORM}", given_as(other)));
        }
        None if typed.get("start_date").is_some_and(Value::is_string) => {
            return fault("start_date", format!("is empty: {FORM}"));
        }
        None => return fault("start_date", format!("is missing: {FORM}")),
    };
    match moment(text) {
        None => fault("start_date", format!("is {}, which is not a date and time in UTC: {FORM}", shown(text))),
        Some(date) if date > now => {
            fault("start_date", format!("is {}, which lies in the future: choose a date in the past", shown(text)))
        }
        Some(date) => Ok(date),
    }
}

/// A date and time in UTC, or a date alone, which means its beginning.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    // The parser also takes numbers of other lengths.
    let has_form = date.len() == 10 && time.len() >= 9;
    let parsed = NaiveDateTime::parse_from_str(&format!("{date}T{time}"), "%Y-%m-%dT%H:%M:%S%.fZ");
    parsed.ok().filter(|_| has_form).map(|moment| moment.and_utc())
}

/// The first choice is the default.
fn choice<T: Copy + Default>(typed: &Map<String, Value>, key: &'static str, choices: &[(&str, T)]) -> Checked<T> {
    let names = alternatives(choices.iter().map(|(name, _)| *name));
    match given(typed, key) {
        None => Ok(T::default()),
        Some(Value::String(value)) => match choices.iter().find(|(name, _)| name == value) {
            Some((_, choice)) => Ok(*choice),
            None => fault(key, format!("is {}, which is not one of its values: use {names}", shown(value))),
        },
        Some(other) => fault(key, format!("is {}, not a string: use {names}", given_as(other))),
    }
}

/// Names as the end of an advice: "`a`, `b` or `c`".
fn alternatives<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} or {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn extra_streams(typed: &Map<String, Value>) -> Checked<Vec<ExtraStream>> {
    const KEY: &str = "extra_streams";
    let names = alternatives(ExtraStream::ALL.map(ExtraStream::name));
    let items = match given(typed, KEY) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => {
            let mend = format!("write a list of {names}, or leave it empty");
            return fault(KEY, format!("is {}, not a list: {mend}", given_as(other)));
        }
    };
    let mut chosen = Vec::new();
    for item in items {
        let Some(name) = item.as_str().map(str::trim) else {
            return fault(KEY, format!("contains an item that is not a string: use {names}"));
        };
        match ExtraStream::ALL.into_iter().find(|stream| stream.name() == name) {
            Some(stream) => chosen.push(stream),
            None => {
                let mend = nearest(name, ExtraStream::ALL.map(ExtraStream::name))
                    .map_or_else(|| names.clone(), |meant| format!("`{meant}` if that is what you mean"));
                return fault(KEY, format!("names the stream {}, which does not exist: use {mend}", shown(name)));
            }
        }
    }
    Ok(ExtraStream::ALL.into_iter().filter(|stream| chosen.contains(stream)).collect())
}

const SALT: &str = "personal_data_salt";

fn personal_data(typed: &Map<String, Value>) -> Checked<PersonalData> {
    #[derive(Clone, Copy, Default)]
    enum Choice {
        #[default]
        Keep,
        Hash,
        Drop,
    }
    let choices = [("keep", Choice::Keep), ("hash", Choice::Hash), ("drop", Choice::Drop)];
    Ok(match choice(typed, "personal_data", &choices)? {
        Choice::Keep => PersonalData::Keep,
        Choice::Hash => PersonalData::Hash(salt(typed)?),
        Choice::Drop => PersonalData::Drop,
    })
}

/// The salt is never repeated in a sentence: it is a secret.
fn salt(typed: &Map<String, Value>) -> Checked<SecretString> {
    let mend = format!("write a random text of {SHORTEST_SALT} characters or more, and keep it");
    match given(typed, SALT).map(|salt| salt.as_str().map(str::trim)) {
        None => fault(SALT, format!("is missing, although `personal_data` is `hash`: {mend}")),
        Some(None) => fault(SALT, format!("is not a string: {mend}")),
        Some(Some(salt)) if salt.chars().count() < SHORTEST_SALT => fault(SALT, format!("is too short: {mend}")),
        Some(Some(salt)) => Ok(salt.into()),
    }
}

fn salt_without_use(typed: &Map<String, Value>) -> Option<String> {
    let is_used = given(typed, "personal_data").is_some_and(|choice| choice == "hash");
    (given(typed, SALT).is_some() && !is_used).then(|| {
        format!("The setting `{SALT}` has no effect unless `personal_data` is `hash`: remove one, or set the other.")
    })
}

fn event_types(typed: &Map<String, Value>) -> Checked<Vec<String>> {
    const KEY: &str = "analytics_event_types";
    const FORM: &str = "write a list of strings such as [\"client.join.failed\"], or leave it empty for all types";
    let items = match given(typed, KEY) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return fault(KEY, format!("is {}, not a list: {FORM}", given_as(other))),
    };
    let item = |item: &Value| match item.as_str().map(str::trim).filter(|item| !item.is_empty()) {
        Some(item) => Ok(item.to_owned()),
        None => fault(KEY, format!("contains an item that is not an event type: {FORM}")),
    };
    items.iter().map(item).collect()
}

/// The documented list may grow without notice, so an unknown type is a doubt and no fault.
fn unknown_event_types(typed: &Map<String, Value>) -> Option<String> {
    let items = typed.get("analytics_event_types").and_then(Value::as_array)?;
    let unknown: Vec<String> = items
        .iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|item| !item.is_empty() && !EVENT_TYPES.contains(item))
        .map(shown)
        .collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "`analytics_event_types` names {}, which 100ms does not document: the known types are {}.",
            unknown.join(", "),
            EVENT_TYPES.map(|known| format!("`{known}`")).join(", ")
        )
    })
}

fn whole_number(typed: &Map<String, Value>, key: &'static str, default: u64, least: u64, most: u64) -> Checked<u64> {
    let Some(value) = given(typed, key) else { return Ok(default) };
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0).map(|number| number as u64);
    match value.as_u64().or_else(float) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => {
            let mend = format!("leave it out for {default}");
            fault(key, format!("is {}, not a whole number from {least} to {most}: {mend}", given_as(value)))
        }
    }
}

fn api_url(typed: &Map<String, Value>) -> Checked<Url> {
    const MEND: &str = "leave it out for `https://api.100ms.live`";
    let text = match given(typed, "api_url") {
        None => DEFAULT_API_URL,
        Some(Value::String(text)) => text.trim(),
        Some(_) => return fault("api_url", format!("is not a string: {MEND}")),
    };
    // The text itself is not repeated: people paste tokens into addresses.
    let Some(url) = Url::parse(text).ok().filter(|url| url.has_host()) else {
        return fault("api_url", format!("is not a web address: {MEND}"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return fault("api_url", format!("contains more than scheme, host and path: write only those, or {MEND}"));
    }
    match url.scheme() {
        "https" => Ok(without_version(url)),
        "http" if is_loopback(&url) => Ok(without_version(url)),
        "http" => fault("api_url", format!("would send your token unencrypted: use https, or {MEND}")),
        _ => fault("api_url", format!("does not begin with https://: {MEND}")),
    }
}

/// The vendor's documents write the address with its version behind it; here it means the root.
fn without_version(mut url: Url) -> Url {
    if let Some(root) = url.path().trim_end_matches('/').strip_suffix("/v2").map(str::to_owned) {
        url.set_path(&root);
    }
    url
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What the user typed, for a sentence: in quotes when it is short. Long texts may be keys that ended up
/// in the wrong field.
fn shown(text: &str) -> String {
    match text.chars().count() {
        0 => "empty".to_owned(),
        length @ 31.. => format!("a text of {length} characters"),
        _ => format!("`{}`", text.replace(char::is_control, " ")),
    }
}

/// A value that the user gave for a setting without secrets, for a sentence.
fn given_as(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 30 => shown(text),
        Value::String(text) => format!("`{text:?}`"),
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Checked<Config> {
        Config::read(json.as_object().unwrap(), "2025-06-15T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_least_is_credentials_and_a_date() {
        let config =
            read(json!({"credentials": {"auth_type": "app_credentials", "app_access_key": "a", "app_secret": "s"},
            "start_date": "2024-01-01T00:00:00Z", "_limit": 1, "else": {}}))
            .unwrap();
        assert_eq!((config.num_workers, config.api_url.as_str()), (10, "https://api.100ms.live/"));
        assert!(matches!(config.credentials, Credentials::App { .. }));
        assert!(!format!("{config:?}").contains("\"s\""));
    }

    #[test]
    fn configurations_of_airbytes_own_connector_work() {
        let config = read(json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z"})).unwrap();
        assert!(matches!(config.credentials, Credentials::Token(_)));
    }

    #[test]
    fn http_is_for_loopback_only() {
        for (url, is_good) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("https://eu.api.example", true),
            ("http://api.100ms.live", false),
            ("ftp://x", false),
            ("http://127.0.0.1.example", false),
            ("https://t@x", false),
        ] {
            let config = read(json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z", "api_url": url}));
            assert_eq!(config.is_ok(), is_good, "{url}");
        }
    }

    #[test]
    fn the_keys_that_are_read_are_those_of_the_form() {
        let form = Config::schema();
        let keys = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let sorted = |keys: &[&str]| {
            let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&form), sorted(&KEYS));
        let kinds = form["properties"]["credentials"]["oneOf"].as_array().unwrap();
        let mut inner: Vec<String> = kinds.iter().flat_map(keys).collect();
        inner.sort();
        inner.dedup();
        assert_eq!(inner, sorted(&CREDENTIAL_KEYS));
        let extra = &form["properties"]["extra_streams"]["items"]["enum"];
        assert_eq!(*extra, json!(ExtraStream::ALL.map(ExtraStream::name)));
    }

    #[test]
    fn a_key_that_is_nearly_one_of_ours_is_doubted() {
        let doubts = |json: Value| Config::doubts(json.as_object().unwrap());
        let typed = json!({"num_worker": 3, "startDate": "x", "credentials": {"app_acess_key": "a"}});
        let [key, camel, date] = &doubts(typed)[..] else { panic!("not three doubts") };
        assert!(key.contains("`num_worker`") && key.contains("`num_workers`"), "{key}");
        assert!(camel.contains("`startDate`") && camel.contains("`start_date`"), "{camel}");
        assert!(date.contains("`credentials.app_access_key`"), "{date}");
        let platforms = json!({"_num_worker": 1, "_limit": 1, "workspace": {}, "num_workers": 3, "secretId": "x"});
        assert_eq!(doubts(platforms), [""; 0]);
        let types = json!({"analytics_event_types": ["client.join.failed", "client.joined"]});
        let [types] = &doubts(types)[..] else { panic!("not one doubt") };
        assert!(types.starts_with("`analytics_event_types` names `client.joined`, "), "{types}");
    }

    #[test]
    fn the_documented_address_with_its_version_means_the_root() {
        for (typed, root) in [
            ("https://api.100ms.live/v2", "https://api.100ms.live/"),
            ("https://api.100ms.live/v2/", "https://api.100ms.live/"),
            ("https://proxy.example/100ms/v2", "https://proxy.example/100ms"),
            ("https://proxy.example/v20", "https://proxy.example/v20"),
        ] {
            let config = read(json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z", "api_url": typed}));
            assert_eq!(config.unwrap().api_url.as_str(), root);
        }
    }

    #[test]
    fn hashing_needs_a_salt_that_is_never_repeated() {
        let read = |keys: Value| {
            let mut typed = json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z"});
            typed.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            (read(typed.clone()), Config::doubts(typed.as_object().unwrap()))
        };
        for salt in [Value::Null, json!(""), json!(" "), json!(12), json!("5hort-5alt"), json!("5hort-5alt        ")] {
            let error = read(json!({"personal_data": "hash", "personal_data_salt": salt})).0.unwrap_err();
            assert_eq!(error.key, "personal_data_salt", "{salt}");
            assert!(!error.to_string().contains("5hort-5alt"), "{error}");
        }
        let good = json!({"personal_data": "hash", "personal_data_salt": " a-salt-of-16-letters\n"});
        let (config, doubts) = read(good.clone());
        assert!(
            matches!(config.unwrap().personal_data, PersonalData::Hash(salt) if salt.expose_secret() == "a-salt-of-16-letters")
        );
        assert_eq!(doubts, [""; 0]);
        assert_eq!(Config::salt(good.as_object().unwrap()), Some("a-salt-of-16-letters"));
        let (config, doubts) = read(json!({"personal_data": "drop", "personal_data_salt": "a-salt-of-16-letters"}));
        assert!(matches!(config.unwrap().personal_data, PersonalData::Drop));
        assert!(doubts.len() == 1 && !doubts[0].contains("a-salt"), "{doubts:?}");
        assert_eq!(read(json!({"personal_data": "hide"})).0.unwrap_err().key, "personal_data");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let config = read(json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z"})).unwrap();
        assert_eq!((config.analytics_rooms, config.lookback), (AnalyticsRooms::Auto, TimeDelta::zero()));
        assert!(config.extra_streams.is_empty() && config.analytics_event_types.is_empty());
        assert!(matches!(config.personal_data, PersonalData::Keep));
        let typed = json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z", "lookback_hours": 48,
            "extra_streams": ["peer_quality", "webhook_events", "peer_quality"], "analytics_rooms": "recent"});
        let config = read(typed).unwrap();
        assert_eq!(config.extra_streams, [ExtraStream::WebhookEvents, ExtraStream::PeerQuality]);
        assert_eq!((config.analytics_rooms, config.lookback), (AnalyticsRooms::Recent, TimeDelta::hours(48)));
    }
}
