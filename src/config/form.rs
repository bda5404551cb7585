//! The form of the configuration: what the platform shows, made from the doc comments below, and the check of what
//! was entered against it.
//!
//! A platform folds away what is not required, unless it says `always_show`: so that nobody saves without credentials,
//! they say it. Every setting that has a default may be left empty, so the patterns allow it.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::{DEFAULT_API_URL, DEFAULT_WORKERS, EVENT_TYPES};
use crate::nearest::nearest;
use crate::streams::{self, AnalyticsRooms};

/// The time formats of `start_date`, as a regular expression for forms.
const DATE_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z)?$";
/// Only the credentials and the start date are needed. Everything else can be left as it is.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema generator reads the fields")]
struct Form {
    /// How the connector signs in to 100ms. Choose app credentials for a schedule: a management token stops working after 14 days at the latest.
    #[schemars(title = "Authentication", extend("group" = "auth", "order" = 0, "always_show" = true))]
    credentials: Credentials,
    /// The place of the token in Airbyte's own connector. Configurations that were made for it work as they are.
    #[schemars(title = "Management Token (former place)", extend(
        "group" = "auth", "order" = 1, "airbyte_secret" = true, "airbyte_hidden" = true))]
    management_token: String,
    /// Read what has changed since this date (UTC). Later syncs continue where the last one ended. 100ms keeps events for 30 days only.
    #[schemars(title = "Start Date", extend(
        "group" = "data", "order" = 2, "format" = "date-time", "pattern" = DATE_PATTERN,
        "pattern_descriptor" = "YYYY-MM-DDTHH:mm:ssZ", "examples" = ["2024-01-01T00:00:00Z"]))]
    start_date: String,
    /// Streams to read besides the eight standard ones. "peer_quality" makes one request for each participant of each session, which can be more than all other streams together. Refresh the schema of the connection after a change.
    #[schemars(title = "Extra Streams", extend(
        "group" = "data", "order" = 3, "uniqueItems" = true, "default" = Vec::<Value>::new(),
        "items" = json!({"type": "string", "enum": streams::EXTRA.each_ref().map(|stream| stream.name)})))]
    extra_streams: Vec<String>,
    /// Whether each recording gets a link to its file. With "presigned", everybody who can read your warehouse can open the recordings for up to three days. With "none", the column "url" stays empty, and a request for each recording is saved.
    #[schemars(title = "Recording Links", extend(
        "group" = "data", "order" = 4, "enum" = ["presigned", "none"], "default" = "presigned"))]
    recording_urls: String,
    /// How names, user ids, metadata and free text are written. "keep" writes them as they are. "hash" writes a keyed hash, which is the same for the same person in all streams. "drop" leaves the columns empty. Rows that are already in your warehouse do not change.
    #[schemars(title = "Personal Data", extend(
        "group" = "data", "order" = 5, "enum" = ["keep", "hash", "drop"], "default" = "keep"))]
    personal_data: String,
    /// The secret for "hash": a random text of 16 characters or more. Keep it safe and do not change it, because with another salt every hash is different.
    #[schemars(title = "Salt for Hashes", extend(
        "group" = "data", "order" = 6, "airbyte_secret" = true, "pattern" = "^$|^[\\s\\S]{16,}$",
        "pattern_descriptor" = "16 characters or more"))]
    personal_data_salt: String,
    /// Only these types of events are read. Leave it empty for all. "peer.join" and "peer.leave" are made from the participants of the sessions.
    #[schemars(title = "Analytics Event Types", extend(
        "group" = "data", "order" = 7, "default" = Vec::<Value>::new(), "examples" = [EVENT_TYPES]))]
    analytics_event_types: Vec<String>,
    /// Which rooms are asked for analytics events. "auto" asks the rooms in which something has happened since the last sync, and once a day all rooms. "all" asks every room in every sync, which takes a request for each room. "recent" never asks all rooms and can miss failed joins.
    #[schemars(title = "Analytics Rooms", extend("group" = "advanced", "order" = 8, "default" = "auto"))]
    analytics_rooms: AnalyticsRooms,
    /// Look this many hours further back in each sync, for accounts where 100ms shows changes late. The connector always looks back 13 hours for sessions, 72 hours for recordings and 1 hour for events. Each sync writes the records of the extra hours again.
    #[schemars(title = "Extra Look-back (hours)", range(min = 0, max = 720),
        extend("group" = "advanced", "order" = 9, "default" = 0))]
    lookback_hours: u64,
    /// How many requests to 100ms are under way at the same time. Lower it if other systems share the rate limit of your account.
    #[schemars(title = "Number of Workers", range(min = 1, max = 50),
        extend("group" = "advanced", "order" = 10, "default" = DEFAULT_WORKERS))]
    num_workers: u64,
    /// The most requests to 100ms in a second. Set it if your own app shares the rate limit of your workspace, and leave it empty for no limit of ours. The log of each sync says how many were made, and how many 100ms refused.
    #[schemars(title = "Requests per Second", range(min = 0.1, max = 1_000),
        extend("group" = "advanced", "order" = 11))]
    requests_per_second: f64,
    /// The address of the 100ms API. Leave it as it is unless 100ms gave you another one.
    #[schemars(title = "API URL", extend(
        "group" = "advanced", "order" = 12, "default" = DEFAULT_API_URL, "pattern" = "^$|^https?://", "pattern_descriptor" = "https://host"))]
    api_url: String,
}

/// How the connector signs in to 100ms.
#[derive(JsonSchema)]
#[schemars(tag = "auth_type")]
#[expect(dead_code, reason = "only the schema generator reads the fields")]
enum Credentials {
    /// The connector makes its own tokens from these two keys and renews them.
    #[schemars(rename = "app_credentials", title = "App Credentials (recommended)")]
    App {
        /// You find it in the Developer section of the 100ms dashboard.
        #[schemars(title = "App Access Key", length(min = 1), extend("order" = 1))]
        app_access_key: String,
        /// It stands beside the app access key in the 100ms dashboard.
        #[schemars(title = "App Secret", length(min = 1), extend("order" = 2, "airbyte_secret" = true))]
        app_secret: String,
    },
    /// A token that expires after 7 days by default and 14 days at the latest. Syncs fail until you paste a new one.
    #[schemars(rename = "management_token", title = "Management Token (expires)")]
    Token {
        /// You find it in the Developer section of the 100ms dashboard.
        #[schemars(title = "Management Token", length(min = 1), extend("order" = 1, "airbyte_secret" = true))]
        management_token: String,
    },
}

/// The form as JSON Schema (draft 7) with the platform's annotations.
pub fn schema() -> Value {
    let mut schema = generated();
    for property in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        // An optional choice may be left empty, as a text may.
        if let Some(Value::Array(choices)) = property.get_mut("enum") {
            choices.push(json!(""));
        }
    }
    schema["title"] = json!("100ms Source Spec");
    let groups = [("auth", "Authentication"), ("data", "Data"), ("advanced", "Advanced")];
    schema["groups"] = groups.map(|(id, title)| json!({"id": id, "title": title})).into();
    // Not `credentials`: configurations of Airbyte's own connector have the token at the root.
    schema["required"] = json!(["start_date"]);
    schema
}

fn generated() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let generator = settings.with_transform(RecursiveTransform(annotate)).into_generator();
    generator.into_root_schema_for::<Form>().to_value()
}

/// Brings what the generator makes into the form that the platform's rules ask for.
fn annotate(schema: &mut Schema) {
    // The generator's formats of numbers mean nothing to the platform.
    if schema.get("format").is_some_and(|format| format == "uint64" || format == "double") {
        schema.remove("format");
    }
    // The holder of variants is an object; the variants say the rest.
    if schema.get("oneOf").is_some() {
        schema.insert("type".into(), json!("object"));
    }
    if let Some(properties) = schema.get_mut("properties") {
        // The key that tells the kinds of credentials apart comes from the generator without any words.
        if let Some(Value::Object(tag)) = properties.get_mut("auth_type") {
            tag.insert("title".into(), json!("Type"));
            tag.insert("description".into(), json!("The kind of credentials."));
            tag.insert("order".into(), json!(0));
        }
        schema.insert("additionalProperties".into(), json!(true));
    }
}

/// The keys of the form with their schemas, in the order of the form; those of the credentials as `credentials.…`.
pub(super) fn fields() -> Vec<(String, Value)> {
    let form = generated();
    let properties = |schema: &Value, above: &str| {
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        properties.into_iter().map(|(key, schema)| (format!("{above}{key}"), schema)).collect::<Vec<_>>()
    };
    let kinds = form["properties"]["credentials"]["oneOf"].as_array().cloned().unwrap_or_default();
    let mut fields = properties(&form, "");
    fields.sort_by_key(|(_, schema)| schema["order"].as_u64());
    fields.extend(kinds.iter().flat_map(|kind| properties(kind, "credentials.")));
    fields
}

/// What is wrong with a value by the schema of its key, as the end of a sentence.
pub(super) fn mistake(schema: &Value, value: &Value) -> Option<String> {
    if is_allowed(schema, value) {
        return None;
    }
    let wanted = wanted(schema);
    let mut items = value.as_array().into_iter().flatten();
    let Some(item) = items.find(|item| !is_allowed(&schema["items"], item)) else {
        let given =
            if value.is_string() && schema["type"] != "string" { format!("`{value}`") } else { as_given(value) };
        return Some(format!("must be {wanted}, but is {given}"));
    };
    let meant = item.as_str().and_then(|typed| nearest(typed, names(&schema["items"]["enum"])));
    Some(match meant {
        Some(name) => format!("contains {}; did you mean `{name}`?", as_given(item)),
        None => format!("must be {wanted}, but contains {}", as_given(item)),
    })
}

fn is_allowed(schema: &Value, value: &Value) -> bool {
    let choices = &schema["enum"];
    match schema["type"].as_str() {
        Some(kind @ ("integer" | "number")) => value.as_f64().is_some_and(|number| {
            (kind == "number" || number.fract() == 0.0)
                && schema["minimum"].as_f64().is_some_and(|least| number >= least)
                && schema["maximum"].as_f64().is_some_and(|most| number <= most)
        }),
        Some("array") => {
            value.as_array().is_some_and(|items| items.iter().all(|item| is_allowed(&schema["items"], item)))
        }
        Some("string") => value.as_str().is_some_and(|text| {
            let text = text.trim();
            !text.is_empty() && choices.as_array().is_none_or(|choices| choices.iter().any(|choice| choice == text))
        }),
        _ => true,
    }
}

/// What a schema asks for, such as "a whole number from 1 to 50 (default 10)".
fn wanted(schema: &Value) -> String {
    let choices = names(&schema["enum"]);
    let default = match &schema["default"] {
        Value::String(text) if !choices.is_empty() => format!(" (default `{text}`)"),
        Value::Number(number) => format!(" (default {number})"),
        _ => String::new(),
    };
    match schema["type"].as_str() {
        _ if !choices.is_empty() => format!("{}{default}", alternatives(&choices)),
        Some(kind @ ("integer" | "number")) => {
            let whole = if kind == "integer" { "whole " } else { "" };
            format!("a {whole}number from {} to {}{default}", schema["minimum"], schema["maximum"])
        }
        Some("array") => match (&names(&schema["items"]["enum"])[..], &schema["examples"][0][0]) {
            ([], example) => format!("a list of strings such as [{example}]"),
            (names, _) => format!("a list of {}", alternatives(names)),
        },
        _ => "a string".to_owned(),
    }
}

fn names(choices: &Value) -> Vec<&str> {
    choices.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// "`a`, `b` or `c`".
fn alternatives(names: &[&str]) -> String {
    let all = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    all.rsplit_once(", ").map_or(all.clone(), |(others, last)| format!("{others} or {last}"))
}

/// A value that the user gave, for a sentence. Long texts may be keys that ended up in the wrong field.
pub(super) fn as_given(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => match text.chars().count() {
            0 => "empty".to_owned(),
            length @ 31.. => format!("a text of {length} characters"),
            _ => format!("`{}`", text.replace(char::is_control, " ")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
    }
}
