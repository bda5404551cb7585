//! What the user sets. `form` is the form that asks for it; this file checks what was entered, once.
//!
//! [`Config::read`] is the only way to make a configuration, so no other module checks it again.

mod form;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::api::{Credentials, is_loopback};
use crate::nearest::nearest;
use crate::streams::{Options, PersonalData};

pub use form::schema;

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
/// Whoever knows hashes and ids of users can try out shorter salts.
const SHORTEST_SALT: usize = 16;

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the connector signs in to 100ms.
    pub credentials: Credentials,
    /// Records that changed before this moment are not read.
    pub start_date: DateTime<Utc>,
    pub options: Options,
    /// The streams that are offered beside the eight that are always there.
    pub extra_streams: Vec<String>,
    pub personal_data: PersonalData,
    /// How much further back each sync looks than it would by itself.
    pub lookback: TimeDelta,
    /// How many requests may be under way at the same time.
    pub num_workers: usize,
    /// The most requests in a second.
    pub requests_per_second: Option<f64>,
    /// The root of the API.
    pub api_url: Url,
}

/// A setting, or what is wrong with it as the end of a sentence.
type Checked<T> = Result<T, String>;

impl Config {
    /// Checks what the user typed, at the moment `now`. Unknown keys are ignored: platforms add their own.
    ///
    /// # Errors
    /// All that is wrong, in the order of the form: a sentence for each key, with what to do.
    pub fn read(typed: &Map<String, Value>, now: DateTime<Utc>) -> Result<Self, String> {
        let mut mistakes = Vec::new();
        let mut note = |key: &str, problem: String| {
            let end = if problem.ends_with('?') { "" } else { "." };
            mistakes.push(format!("The setting `{key}` {problem}{end}"));
        };
        let credentials = credentials(typed).map_err(|(key, problem)| note(&key, problem));
        let start_date = start_date(typed, now).map_err(|problem| note("start_date", problem));
        for (key, schema) in form::fields().iter().filter(|(key, _)| !CHECKED_HERE.contains(&key.as_str())) {
            let problem = given(typed, key).and_then(|value| form::mistake(schema, value));
            problem.into_iter().for_each(|problem| note(key, problem));
        }
        let personal_data = personal_data(typed).map_err(|problem| note(SALT, problem));
        let api_url = api_url(typed).map_err(|problem| note("api_url", problem));
        let (Ok(credentials), Ok(start_date), Ok(personal_data), Ok(api_url), true) =
            (credentials, start_date, personal_data, api_url, mistakes.is_empty())
        else {
            return Err(mistakes.join(" "));
        };
        let number = |key: &str| given(typed, key).and_then(Value::as_f64);
        Ok(Self {
            credentials,
            start_date,
            options: Options {
                rooms: value_of(typed, "analytics_rooms"),
                event_types: texts(typed, EVENT_TYPES_KEY),
                recording_urls: value_of::<String>(typed, "recording_urls") != "none",
            },
            extra_streams: texts(typed, "extra_streams"),
            personal_data,
            lookback: TimeDelta::hours(number("lookback_hours").unwrap_or_default() as i64),
            num_workers: number("num_workers").unwrap_or(DEFAULT_WORKERS as f64) as usize,
            requests_per_second: number("requests_per_second"),
            api_url,
        })
    }

    /// The secrets of a configuration, checked or not: what must never be printed.
    pub fn secrets(typed: &Map<String, Value>) -> Vec<&str> {
        let below = |key: &str| typed.get("credentials")?.get(key);
        let places = [typed.get("management_token"), below("management_token"), below("app_secret")];
        places.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The salt for hashes, checked or not.
    pub fn salt(typed: &Map<String, Value>) -> Option<&str> {
        typed.get(SALT)?.as_str().map(str::trim)
    }

    /// What has no effect although somebody meant something by it, one sentence each: keys that are nearly
    /// those of the form, event types that 100ms does not document, and a salt where nothing is hashed. Other
    /// unknown keys are the platform's.
    pub fn doubts(typed: &Map<String, Value>) -> Vec<String> {
        let below = typed.get("credentials").and_then(Value::as_object);
        let inner = below.into_iter().flat_map(Map::keys).map(|key| format!("credentials.{key}"));
        let fields = form::fields();
        let misspelt = typed.keys().cloned().chain(inner).filter_map(|key| {
            let known = || fields.iter().map(|(known, _)| known.as_str());
            let is_known = key.split('.').any(|part| part.starts_with('_')) || known().any(|known| known == key);
            let meant = if is_known { None } else { nearest(&key, known()) }?;
            let key = form::as_given(&key.into());
            Some(format!("Unknown setting {key} is ignored; did you mean `{meant}`?"))
        });
        misspelt.chain(unknown_event_types(typed)).chain(salt_without_use(typed)).collect()
    }
}

/// The settings with checks of their own; all others are checked by the form.
const CHECKED_HERE: [&str; 5] = ["credentials", "management_token", "start_date", SALT, "api_url"];
const EVENT_TYPES_KEY: &str = "analytics_event_types";

/// The value under `key`. `null` is as good as missing, and so is a text without a letter: forms and templates of
/// settings write that for a field that was left empty.
fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
}

/// A setting that the form has checked, or its default.
fn value_of<T: Default + DeserializeOwned>(typed: &Map<String, Value>, key: &str) -> T {
    let text = given(typed, key).and_then(Value::as_str).map(str::trim);
    text.and_then(|text| serde_json::from_value(text.into()).ok()).unwrap_or_default()
}

/// The items of a list that the form has checked.
fn texts(typed: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = typed.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(|text| text.trim().to_owned()).collect()
}

/// The credentials, or the key that is wrong and why.
fn credentials(typed: &Map<String, Value>) -> Result<Credentials, (String, String)> {
    let fault = |key: &str, problem: &str| Err((key.to_owned(), problem.to_owned()));
    let has_token = given(typed, "management_token").is_some();
    let (holder, above) = match given(typed, "credentials") {
        // Where Airbyte's own connector keeps it.
        Some(Value::Object(credentials)) if credentials.is_empty() && has_token => (typed, ""),
        Some(Value::Object(credentials)) => (credentials, "credentials."),
        Some(_) => return fault("credentials", "is not an object: choose app credentials or a management token"),
        None if has_token => (typed, ""),
        None => {
            return fault("credentials", "is missing: give an app access key and app secret, or a management token");
        }
    };
    let kind = match given(holder, "auth_type") {
        Some(kind) if !above.is_empty() => kind.as_str().unwrap_or_default(),
        _ if given(holder, "management_token").is_some() => "management_token",
        _ => "app_credentials",
    };
    let word = |name: &str| word(holder, name).map_err(|problem| (format!("{above}{name}"), problem));
    match kind {
        "app_credentials" => Ok(Credentials::App {
            access_key: word("app_access_key")?.to_owned(),
            app_secret: word("app_secret")?.into(),
        }),
        "management_token" => Ok(Credentials::Token(word("management_token")?.into())),
        _ => {
            let kind = form::as_given(&holder["auth_type"]);
            fault("credentials.auth_type", &format!("must be `app_credentials` or `management_token`, but is {kind}"))
        }
    }
}

/// A credential: text without blanks or control characters around or inside.
fn word<'a>(holder: &'a Map<String, Value>, name: &str) -> Checked<&'a str> {
    let problem = match given(holder, name).map(Value::as_str) {
        Some(Some(text)) if text.trim().chars().all(|letter| letter.is_ascii_graphic()) => return Ok(text.trim()),
        Some(Some(_)) => "contains spaces, line breaks or other characters that such a key never has: copy it again",
        Some(None) => "is not a string: copy it",
        None if holder.get(name).is_some_and(Value::is_string) => "is empty: copy it",
        None => "is missing: copy it",
    };
    Err(format!("{problem} from the Developer section of the 100ms dashboard"))
}

fn start_date(typed: &Map<String, Value>, now: DateTime<Utc>) -> Checked<DateTime<Utc>> {
    const FORM: &str = "write it as `2024-01-31T00:00:00Z`";
    let value = match given(typed, "start_date") {
        Some(value) => value,
        None if typed.get("start_date").is_some_and(Value::is_string) => return Err(format!("is empty: {FORM}")),
        None => return Err(format!("is missing: {FORM}")),
    };
    let given = form::as_given(&value.as_str().map_or_else(|| value.clone(), |text| text.trim().into()));
    match value.as_str().map(str::trim).and_then(moment) {
        None => Err(format!("must be a date and time in UTC, but is {given}: {FORM}")),
        Some(date) if date > now => Err(format!("is {given}, which is in the future: choose a date in the past")),
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

const SALT: &str = "personal_data_salt";

fn personal_data(typed: &Map<String, Value>) -> Checked<PersonalData> {
    Ok(match value_of::<String>(typed, "personal_data").as_str() {
        "hash" => PersonalData::hashed(&salt(typed)?),
        "drop" => PersonalData::Drop,
        _ => PersonalData::Keep,
    })
}

/// The salt is never repeated in a sentence: it is a secret.
fn salt(typed: &Map<String, Value>) -> Checked<String> {
    let advice = format!("write a random text of {SHORTEST_SALT} characters or more, and keep it");
    match given(typed, SALT).map(|salt| salt.as_str().map(str::trim)) {
        None => Err(format!("is missing, although `personal_data` is `hash`: {advice}")),
        Some(None) => Err(format!("is not a string: {advice}")),
        Some(Some(salt)) if salt.chars().count() < SHORTEST_SALT => Err(format!("is too short: {advice}")),
        Some(Some(salt)) => Ok(salt.to_owned()),
    }
}

fn salt_without_use(typed: &Map<String, Value>) -> Option<String> {
    let is_used = given(typed, "personal_data").is_some_and(|choice| choice == "hash");
    (given(typed, SALT).is_some() && !is_used).then(|| {
        format!("The setting `{SALT}` has no effect unless `personal_data` is `hash`: remove `{SALT}`, or set `personal_data` to `hash`.")
    })
}

/// The documented list may grow without notice, so an unknown type is a doubt and no fault.
fn unknown_event_types(typed: &Map<String, Value>) -> Option<String> {
    let types = texts(typed, EVENT_TYPES_KEY);
    let unknown = types.iter().filter(|item| !item.is_empty() && !EVENT_TYPES.contains(&item.as_str()));
    let unknown: Vec<String> = unknown.map(|item| form::as_given(&item.as_str().into())).collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "`{EVENT_TYPES_KEY}` names {}, which 100ms does not document: the known types are {}.",
            unknown.join(", "),
            EVENT_TYPES.map(|known| format!("`{known}`")).join(", ")
        )
    })
}

fn api_url(typed: &Map<String, Value>) -> Checked<Url> {
    const ADVICE: &str = "leave it out for `https://api.100ms.live`";
    let text = match given(typed, "api_url") {
        None => DEFAULT_API_URL,
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(format!("is not a string: {ADVICE}")),
    };
    // The text itself is not repeated: people paste tokens into addresses.
    let Some(url) = Url::parse(text).ok().filter(|url| url.has_host()) else {
        return Err(format!("is not a web address: {ADVICE}"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("contains more than scheme, host and path: write only those, or {ADVICE}"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!("would send your token unencrypted: use https, or {ADVICE}")),
        _ => Err(format!("does not begin with https://: {ADVICE}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::streams::AnalyticsRooms;

    fn read(json: Value) -> Result<Config, String> {
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
    fn everything_that_is_wrong_is_said_at_once() {
        let error = read(json!({"start_date": "yesterday", "num_workers": 500})).unwrap_err();
        let keys =
            ["`credentials` is missing", "`start_date` must be", "`num_workers` must be a whole number from 1 to 50"];
        assert!(keys.iter().all(|key| error.contains(key)), "{error}");
    }

    #[test]
    fn a_form_shows_what_has_to_be_filled_in() {
        let form = schema();
        let shown = form["properties"].as_object().unwrap().iter().filter(|(key, field)| {
            form["required"].as_array().unwrap().contains(&json!(key)) || field["always_show"] == true
        });
        assert_eq!(shown.map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["credentials", "start_date"]);
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
    fn hashing_needs_a_salt_that_is_never_repeated() {
        let read = |keys: Value| {
            let mut typed = json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z"});
            typed.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            (read(typed.clone()), Config::doubts(typed.as_object().unwrap()))
        };
        for salt in [Value::Null, json!(""), json!(" "), json!(12), json!("5hort-5alt"), json!("5hort-5alt        ")] {
            let error = read(json!({"personal_data": "hash", "personal_data_salt": salt})).0.unwrap_err();
            assert!(error.starts_with("The setting `personal_data_salt` "), "{salt}");
            assert!(!error.contains("5hort-5alt"), "{error}");
        }
        let good = json!({"personal_data": "hash", "personal_data_salt": " a-salt-of-16-letters\n"});
        let (config, doubts) = read(good.clone());
        assert!(matches!(config.unwrap().personal_data, PersonalData::Hash(_)));
        assert_eq!(doubts, [""; 0]);
        assert_eq!(Config::salt(good.as_object().unwrap()), Some("a-salt-of-16-letters"));
        let (config, doubts) = read(json!({"personal_data": "drop", "personal_data_salt": "a-salt-of-16-letters"}));
        assert!(matches!(config.unwrap().personal_data, PersonalData::Drop));
        assert!(doubts.len() == 1 && !doubts[0].contains("a-salt"), "{doubts:?}");
        assert!(read(json!({"personal_data": "hide"})).0.is_err());
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let config = read(json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z"})).unwrap();
        assert_eq!((config.options.rooms, config.lookback), (AnalyticsRooms::Auto, TimeDelta::zero()));
        assert!(config.extra_streams.is_empty() && config.options.event_types.is_empty());
        assert!(matches!(config.personal_data, PersonalData::Keep));
        let typed = json!({"management_token": "t", "start_date": "2024-01-01T00:00:00Z", "lookback_hours": 48,
            "extra_streams": ["peer_quality", "webhook_events", "peer_quality"], "analytics_rooms": "recent"});
        let config = read(typed).unwrap();
        assert_eq!(config.extra_streams, ["peer_quality", "webhook_events", "peer_quality"]);
        assert_eq!((config.options.rooms, config.lookback), (AnalyticsRooms::Recent, TimeDelta::hours(48)));
    }
}
