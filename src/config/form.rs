//! The form of the configuration: what the platform shows, made from the doc comments below.
//!
//! `Form` says what can be typed; [`super::Config`] is what it means once it has been checked.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{DEFAULT_API_URL, DEFAULT_WORKERS, EVENT_TYPES, LONGEST_LOOKBACK_HOURS, MOST_WORKERS};

/// The time formats of `start_date`, as a regular expression for forms.
const DATE_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z)?$";
/// A text that may be left empty, as every setting may that has a default.
const SALT_PATTERN: &str = "^$|^[\\s\\S]{16,}$";
const URL_PATTERN: &str = "^$|^https?://";

/// The parts of the form, in their order: an id and a title.
const GROUPS: [(&str, &str); 5] = [
    ("sign_in", "Signing in to 100ms"),
    ("content", "What is read"),
    ("privacy", "Personal data"),
    ("analytics", "Analytics events"),
    ("advanced", "Speed and address"),
];

/// What the connector needs to read your 100ms workspace. Only the credentials and the start date are needed; everything else can be left as it is.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema generator reads the fields")]
struct Form {
    /// How the connector signs in to 100ms. App credentials are the choice for a schedule, because the connector makes its own tokens from them and renews them. A management token stops working after 14 days at the latest.
    #[schemars(title = "Authentication", extend("group" = "sign_in", "order" = 0))]
    credentials: CredentialsForm,
    /// The connector of Airbyte keeps its management token here. Configurations that were made for it work as they are.
    #[schemars(title = "Management Token (former place)", extend(
        "group" = "sign_in", "order" = 1, "airbyte_secret" = true, "airbyte_hidden" = true))]
    management_token: String,
    /// Records that changed before this moment (UTC) are not read. It decides how much the first sync reads; every later sync goes on from where the last one ended. 100ms keeps events for 30 days only, whatever you choose here.
    #[schemars(title = "Start Date", extend(
        "group" = "content", "order" = 2, "format" = "date-time", "pattern" = DATE_PATTERN,
        "pattern_descriptor" = "YYYY-MM-DDTHH:mm:ssZ", "examples" = ["2024-01-01T00:00:00Z"]))]
    start_date: String,
    /// Whether each recording gets a link to its file. "presigned" is what you get when you choose nothing: it costs one request for each recording, and everybody who can read your warehouse can open the recordings through these links for up to three days. "none" makes no such requests and leaves the column "url" empty.
    #[schemars(title = "Recording Links", extend("group" = "content", "order" = 3, "default" = "presigned"))]
    recording_urls: RecordingUrlsForm,
    /// Streams that are offered beside the eight that are always there. Leave it empty for none. "webhook_events" holds what 100ms told your webhook in the last 30 days, for one request per 100 events. "live_streams" and "external_streams" hold the HLS and RTMP streams, for one request per 100 streams. "peer_quality" holds the network quality of every participant and costs one request for each participant of each session, which can be more than all other streams together. Refresh the schema of your connection after you change this.
    #[schemars(title = "Extra Streams", extend(
        "group" = "content", "order" = 4, "uniqueItems" = true, "default" = Vec::<Value>::new()))]
    extra_streams: Vec<ExtraStreamForm>,
    /// How many hours further back each sync looks for changes that 100ms shows late. Leave it empty, or at 0, to look back as far as the connector does by itself: 13 hours for sessions, 72 hours for recordings and 1 hour for events. Every hour more costs the requests for what was created in that hour, in every sync, and every sync writes the records that changed in these hours again, whether or not they have changed since the last one.
    #[schemars(title = "Additional Look-back (hours)", range(min = 0, max = LONGEST_LOOKBACK_HOURS),
        extend("group" = "content", "order" = 5, "default" = 0))]
    lookback_hours: u64,
    /// What becomes of personal data: the names and your own ids of people, what your app attaches to them (metadata), and free text such as room names, descriptions and reasons. "keep" is what you get when you choose nothing and writes everything as 100ms has it. "hash" writes a keyed hash instead, which is the same for the same person in all streams and syncs, so that you can still count people and join tables. "drop" leaves these columns empty. Rows that are in your warehouse already stay as they are, and links to recordings are not personal data in this sense: choose "none" under Recording Links if nobody may open them.
    #[schemars(title = "Personal Data", extend("group" = "privacy", "order" = 6, "default" = "keep"))]
    personal_data: PersonalDataForm,
    /// The secret that "hash" uses, which must be given for "hash" and does nothing otherwise. Write a random text of 16 characters or more, keep it in a safe place and do not change it: with another salt every hash is another one. Whoever knows it can find out whether a certain person is in your data.
    #[schemars(title = "Salt for Hashes", extend(
        "group" = "privacy", "order" = 7, "airbyte_secret" = true, "pattern" = SALT_PATTERN,
        "pattern_descriptor" = "16 characters or more"))]
    personal_data_salt: String,
    /// Which rooms are asked for analytics events, at one request or more for each. "auto" is what you get when you choose nothing: the sessions and rooms of the time since the last sync, and once a day all rooms. "all" asks every room in every sync, which finds late events sooner and costs a request per room. "recent" never asks all rooms: it costs least, and misses failed joins in rooms that nobody ever entered.
    #[schemars(title = "Analytics Rooms", extend("group" = "analytics", "order" = 8, "default" = "auto"))]
    analytics_rooms: AnalyticsRoomsForm,
    /// The types of events that are read. Leave it empty to read all types. Fewer types mean fewer rows and sometimes fewer requests. "peer.join" and "peer.leave" are made from the participants of the sessions; all other types are the names that 100ms uses.
    #[schemars(title = "Analytics Event Types", extend(
        "group" = "analytics", "order" = 9, "default" = Vec::<Value>::new(), "examples" = [EVENT_TYPES]))]
    analytics_event_types: Vec<String>,
    /// How many requests to 100ms may be under way at the same time, over all streams. Leave it empty for 10. Lower it if other systems share the rate limit of your account; raise it if 100ms answers slowly.
    #[schemars(title = "Number of Workers", range(min = 1, max = MOST_WORKERS),
        extend("group" = "advanced", "order" = 10, "default" = DEFAULT_WORKERS))]
    num_workers: u64,
    /// The address of the 100ms API. Leave it as it is unless 100ms gave you another one.
    #[schemars(title = "API URL", extend(
        "group" = "advanced", "order" = 11, "default" = DEFAULT_API_URL, "pattern" = URL_PATTERN, "pattern_descriptor" = "https://host"))]
    api_url: String,
}

/// How the connector signs in to 100ms.
#[derive(JsonSchema)]
#[schemars(tag = "auth_type")]
#[expect(dead_code, reason = "only the schema generator reads the fields")]
enum CredentialsForm {
    /// The connector makes its own tokens from these two keys and renews them.
    #[schemars(rename = "app_credentials", title = "App Credentials (recommended)")]
    App {
        /// The app access key, which you find in the Developer section of the 100ms dashboard.
        #[schemars(title = "App Access Key", length(min = 1), extend("order" = 1))]
        app_access_key: String,
        /// The app secret, which stands beside the app access key in the 100ms dashboard.
        #[schemars(title = "App Secret", length(min = 1), extend("order" = 2, "airbyte_secret" = true))]
        app_secret: String,
    },
    /// A token that you copy from the 100ms dashboard. It expires after 7 days by default and 14 days at the latest, and syncs fail until you paste a new one.
    #[schemars(rename = "management_token", title = "Management Token (expires)")]
    Token {
        /// The management token, which you find in the Developer section of the 100ms dashboard.
        #[schemars(title = "Management Token", length(min = 1), extend("order" = 1, "airbyte_secret" = true))]
        management_token: String,
    },
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema generator reads the variants")]
enum RecordingUrlsForm {
    Presigned,
    None,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema generator reads the variants")]
enum PersonalDataForm {
    Keep,
    Hash,
    Drop,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema generator reads the variants")]
enum AnalyticsRoomsForm {
    Auto,
    All,
    Recent,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema generator reads the variants")]
enum ExtraStreamForm {
    WebhookEvents,
    LiveStreams,
    ExternalStreams,
    PeerQuality,
}

/// The form as JSON Schema (draft 7) with the platform's annotations.
pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Form>().to_value();
    annotate(&mut schema);
    allow_empty_choices(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("100ms Source Spec"));
        root.insert("groups".into(), GROUPS.map(|(id, title)| json!({"id": id, "title": title})).into());
        // Not `credentials`: configurations of Airbyte's own connector have the token at the root.
        root.insert("required".into(), json!(["start_date"]));
    }
    schema
}

/// Lets the optional choices of the form be left empty, as its texts may be.
fn allow_empty_choices(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for choices in properties.into_iter().flat_map(|properties| properties.values_mut()) {
        if let Some(choices) = choices.get_mut("enum").and_then(Value::as_array_mut) {
            choices.push(json!(""));
        }
    }
}

/// Brings what the generator makes into the form that the platform's rules ask for.
fn annotate(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(annotate),
        Value::Object(object) => {
            // The generator's formats of numbers mean nothing to the platform.
            if object.get("format").is_some_and(|format| format == "uint64") {
                object.remove("format");
            }
            // The holder of variants is an object; the variants say the rest.
            if object.contains_key("oneOf") {
                object.insert("type".into(), json!("object"));
            }
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".into(), json!(true));
            }
            describe_auth_type(object);
            object.values_mut().for_each(annotate);
        }
        _ => {}
    }
}

/// The key that tells the kinds of credentials apart comes from the generator without any words.
fn describe_auth_type(object: &mut Map<String, Value>) {
    let tag = object.get_mut("properties").and_then(|properties| properties.get_mut("auth_type"));
    if let Some(tag) = tag.and_then(Value::as_object_mut) {
        tag.insert("title".into(), json!("Type"));
        tag.insert("description".into(), json!("This says which kind of credentials you use."));
        tag.insert("order".into(), json!(0));
    }
}
