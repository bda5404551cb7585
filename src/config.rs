//! What the user sets: its doc comments are the form the user sees, and it is checked here, once.
//!
//! The types describe checked input; [`Config::read`] is the only way to make one. Nobody downstream
//! checks again.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, Utc};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;

/// The time format of `start_date`, as a regular expression for forms.
const DATE_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
const DEFAULT_API_URL: &str = "https://api.100ms.live";
const DEFAULT_WORKERS: u64 = 10;
const MOST_WORKERS: u64 = 50;

/// Configuration of the 100ms source.
#[derive(Debug, Clone, JsonSchema)]
#[expect(clippy::manual_non_exhaustive, reason = "the last field stands for a key of the form, not for the future")]
pub struct Config {
    /// How the connector signs in to 100ms. App credentials keep working; a management token expires.
    #[schemars(title = "Authentication", extend("order" = 0))]
    pub credentials: Credentials,
    /// Records that changed before this moment (UTC) are not read. Later syncs go on from where the last one ended.
    #[schemars(title = "Start Date", with = "String", extend(
        "order" = 1, "format" = "date-time", "pattern" = DATE_PATTERN, "pattern_descriptor" = "YYYY-MM-DDTHH:mm:ssZ",
        "examples" = ["2024-01-01T00:00:00Z"]))]
    pub start_date: DateTime<Utc>,
    /// Which rooms are asked for analytics events. "recent" asks only rooms with a session, or created or edited, since the last sync: cheaper for accounts with very many rooms, but it misses failed joins in rooms nobody ever entered.
    #[schemars(title = "Analytics Rooms", default = "AnalyticsRooms::default", extend("order" = 2))]
    pub analytics_rooms: AnalyticsRooms,
    /// The types of analytics events to read, such as client.join.failed. Empty means all types.
    #[schemars(title = "Analytics Event Types", default, extend(
        "order" = 3, "examples" = [["client.join.failed", "client.publish.failed"]]))]
    pub analytics_event_types: Vec<String>,
    /// Whether each recording gets a link to its file. "presigned" costs one request per recording and the link works for a limited time; "none" leaves the column empty.
    #[schemars(title = "Recording Links", default = "RecordingUrls::default", extend("order" = 4))]
    pub recording_urls: RecordingUrls,
    /// How many requests to 100ms may be under way at once, over all streams. Lower it if other systems share the rate limit of your account.
    #[schemars(title = "Number of Workers", with = "u64", default = "default_workers", range(min = 1, max = MOST_WORKERS),
        extend("order" = 5))]
    pub num_workers: usize,
    /// The address of the 100ms API. Leave it as it is unless 100ms gave you another one.
    #[schemars(title = "API URL", with = "String", default = "default_api_url", extend(
        "order" = 6, "pattern" = "^https?://", "pattern_descriptor" = "https://host"))]
    pub api_url: Url,
    /// A management token in its former place; configurations of the older connector keep working.
    #[schemars(rename = "management_token", title = "Management Token (former place)", with = "String", default, extend(
        "order" = 7, "airbyte_secret" = true, "airbyte_hidden" = true))]
    _management_token: (),
}

/// How the connector signs in to 100ms.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(tag = "auth_type")]
pub enum Credentials {
    /// The connector makes its own tokens and renews them.
    #[schemars(rename = "app_credentials", title = "App Credentials (recommended)")]
    App {
        /// The app access key, from the Developer section of the 100ms dashboard.
        #[schemars(title = "App Access Key", extend("order" = 1))]
        app_access_key: String,
        /// The app secret, from the same place.
        #[schemars(title = "App Secret", with = "String", extend("order" = 2, "airbyte_secret" = true))]
        app_secret: SecretString,
    },
    /// A token copied from the 100ms dashboard. It expires after 7 days, 14 at most, and must then be replaced.
    #[schemars(rename = "management_token", title = "Management Token")]
    Token {
        /// The management token, from the Developer section of the 100ms dashboard.
        #[schemars(title = "Management Token", with = "String", extend("order" = 1, "airbyte_secret" = true))]
        management_token: SecretString,
    },
}

/// Which rooms are asked for analytics events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalyticsRooms {
    /// Where something happened, and every room once a day.
    #[default]
    Auto,
    /// Every room.
    All,
    /// Rooms with a session, or created or edited, since the cursor.
    Recent,
}

/// Whether each recording gets a link to its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingUrls {
    /// A link that works for a limited time.
    #[default]
    Presigned,
    /// No link.
    None,
}

fn default_workers() -> u64 {
    DEFAULT_WORKERS
}

fn default_api_url() -> &'static str {
    DEFAULT_API_URL
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
            num_workers: workers(typed)?,
            api_url: api_url(typed)?,
            _management_token: (),
        })
    }

    /// The secrets of a configuration, checked or not: what must never be printed.
    pub fn secrets(typed: &Map<String, Value>) -> Vec<String> {
        let root = typed.get("management_token");
        let below = typed.get("credentials").and_then(Value::as_object);
        let inner = below.into_iter().flat_map(|credentials| {
            ["app_secret", "management_token"].into_iter().filter_map(|key| credentials.get(key))
        });
        let typed = root.into_iter().chain(inner).filter_map(Value::as_str);
        // With the blanks they were pasted with, and without.
        typed.flat_map(|secret| [secret.to_owned(), secret.trim().to_owned()]).collect()
    }

    /// The form of the configuration as JSON Schema (draft 7) with the platform's annotations.
    pub fn schema() -> Value {
        let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Self>().to_value();
        annotate(&mut schema);
        if let Some(root) = schema.as_object_mut() {
            root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
            root.insert("title".into(), json!("100ms Source Spec"));
            // Not `credentials`: configurations of the older connector have the token at the root.
            root.insert("required".into(), json!(["start_date"]));
        }
        schema
    }
}

/// Brings what the generator makes into the form the platform's rules ask for.
fn annotate(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(annotate),
        Value::Object(object) => {
            object
                .remove("format")
                .filter(|format| format == "date-time")
                .map(|format| object.insert("format".into(), format));
            // A list of variants: the holder is an object, the variants say the rest.
            if object.contains_key("oneOf") && !is_choice(object) {
                object.insert("type".into(), json!("object"));
            }
            collapse_choice(object);
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".into(), json!(true));
                hide_former_place(object);
            }
            if let Some(tag) =
                object.get_mut("properties").and_then(|p| p.get_mut("auth_type")).and_then(Value::as_object_mut)
            {
                tag.insert("title".into(), json!("Type"));
                tag.insert("description".into(), json!("The kind of authentication."));
                tag.insert("order".into(), json!(0));
            }
            object.values_mut().for_each(annotate);
        }
        _ => {}
    }
}

/// Whether `oneOf` lists the values of an enum rather than variants.
fn is_choice(object: &Map<String, Value>) -> bool {
    let variants = object.get("oneOf").and_then(Value::as_array);
    variants.is_some_and(|variants| variants.iter().all(|variant| variant.get("properties").is_none()))
}

/// An enum with documented values comes as `oneOf` constants; forms want a plain `enum`.
fn collapse_choice(object: &mut Map<String, Value>) {
    if !object.contains_key("oneOf") || !is_choice(object) {
        return;
    }
    let Some(Value::Array(variants)) = object.remove("oneOf") else { return };
    let values: Vec<Value> = variants.into_iter().filter_map(|variant| variant.get("const").cloned()).collect();
    object.insert("type".into(), json!("string"));
    object.insert("enum".into(), Value::Array(values));
}

/// The former place of the token has no default of its own.
fn hide_former_place(object: &mut Map<String, Value>) {
    let token = object.get_mut("properties").and_then(|properties| properties.get_mut("management_token"));
    if let Some(token) = token.and_then(Value::as_object_mut) {
        token.remove("default");
    }
}

/// The value under `key`; `null` is as good as missing.
fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn credentials(typed: &Map<String, Value>) -> Checked<Credentials> {
    let holder = match given(typed, "credentials") {
        Some(Value::Object(credentials)) => credentials,
        Some(_) => return fault("credentials", "is not an object: choose app credentials or a management token"),
        // Where Airbyte's own connector keeps it.
        None if given(typed, "management_token").is_some() => {
            return Ok(Credentials::Token { management_token: token(typed, "management_token")? });
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
            app_access_key: word(
                holder,
                "app_access_key",
                "credentials.app_access_key",
                "from the Developer section of the 100ms dashboard",
            )?
            .to_owned(),
            app_secret: word(
                holder,
                "app_secret",
                "credentials.app_secret",
                "from the Developer section of the 100ms dashboard",
            )?
            .into(),
        }),
        "management_token" => {
            Ok(Credentials::Token { management_token: token(holder, "credentials.management_token")? })
        }
        other => fault(
            "credentials.auth_type",
            format!("is {}, which does not exist: use `app_credentials` or `management_token`", shown(other)),
        ),
    }
}

fn token(holder: &Map<String, Value>, key: &'static str) -> Checked<SecretString> {
    word(holder, "management_token", key, "from the Developer section of the 100ms dashboard").map(Into::into)
}

/// A credential: text without blanks or control characters around or inside.
fn word<'a>(holder: &'a Map<String, Value>, name: &str, key: &'static str, origin: &str) -> Checked<&'a str> {
    let typed = match given(holder, name) {
        Some(Value::String(text)) => text.trim(),
        Some(_) => return fault(key, format!("is not a string: copy it {origin}")),
        None => return fault(key, format!("is missing: copy it {origin}")),
    };
    if typed.is_empty() {
        return fault(key, format!("is empty: copy it {origin}"));
    }
    if !typed.chars().all(|letter| letter.is_ascii_graphic()) {
        return fault(
            key,
            format!("holds blanks, line breaks or other characters that no such key has: copy it again {origin}"),
        );
    }
    Ok(typed)
}

fn start_date(typed: &Map<String, Value>, now: DateTime<Utc>) -> Checked<DateTime<Utc>> {
    const FORM: &str = "write it as `2024-01-31T00:00:00Z`";
    let text = match given(typed, "start_date") {
        Some(Value::String(text)) => text.trim(),
        Some(_) => return fault("start_date", format!("is not a string: {FORM}")),
        None => return fault("start_date", format!("is missing: {FORM}")),
    };
    let has_form = text.len() >= 20 && text.is_char_boundary(19) && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    let date = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.fZ").ok().filter(|_| has_form);
    match date.map(|date| date.and_utc()) {
        None if text.is_empty() => fault("start_date", format!("is empty: {FORM}")),
        None => fault("start_date", format!("is {}, which is not a date and time in UTC: {FORM}", shown(text))),
        Some(date) if date > now => {
            fault("start_date", format!("is {}, which lies in the future: choose a date in the past", shown(text)))
        }
        Some(date) => Ok(date),
    }
}

fn choice<T: Copy>(typed: &Map<String, Value>, key: &'static str, choices: &[(&str, T)]) -> Checked<T> {
    let names = choices.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    match given(typed, key) {
        None => Ok(choices[0].1),
        Some(Value::String(value)) => match choices.iter().find(|(name, _)| name == value) {
            Some((_, choice)) => Ok(*choice),
            None => fault(key, format!("is {}, which does not exist: use {names}", shown(value))),
        },
        Some(_) => fault(key, format!("is not a string: use {names}")),
    }
}

fn event_types(typed: &Map<String, Value>) -> Checked<Vec<String>> {
    const KEY: &str = "analytics_event_types";
    const FORM: &str = "write a list of strings such as [\"client.join.failed\"], or leave it empty for all types";
    let items = match given(typed, KEY) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return fault(KEY, format!("is not a list: {FORM}")),
    };
    let item = |item: &Value| match item.as_str().map(str::trim).filter(|item| !item.is_empty()) {
        Some(item) => Ok(item.to_owned()),
        None => fault(KEY, format!("holds an item that is no event type: {FORM}")),
    };
    items.iter().map(item).collect()
}

fn workers(typed: &Map<String, Value>) -> Checked<usize> {
    let workers = match given(typed, "num_workers") {
        None => return Ok(DEFAULT_WORKERS as usize),
        Some(value) => {
            value.as_u64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64))
        }
    };
    match workers {
        Some(workers) if (1..=MOST_WORKERS).contains(&workers) => Ok(workers as usize),
        _ => fault(
            "num_workers",
            format!("is not a whole number from 1 to {MOST_WORKERS}: leave it out for {DEFAULT_WORKERS}"),
        ),
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
        return fault("api_url", format!("holds more than scheme, host and path: write only those, or {MEND}"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => fault("api_url", format!("would send your token unencrypted: use https, or {MEND}")),
        _ => fault("api_url", format!("does not begin with https://: {MEND}")),
    }
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

#[cfg(test)]
mod tests {
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
        assert!(matches!(config.credentials, Credentials::Token { .. }));
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
}
