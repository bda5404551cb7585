//! The eight streams, and the contract between a stream and the engine that runs it.
//!
//! A stream describes itself ([`Description`]), says what there is to read as [`Slice`]s, and turns one
//! slice at a time into rows ([`Stream::fetch`]). It knows neither Airbyte nor the user's configuration.

mod active_room_peers;
mod analytics_events;
mod record;
mod recordings;
mod rooms;
mod secrets;
mod sessions;
mod template_settings;
mod templates;
mod templates_destinations;
mod time;
mod values;

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::{ApiError, Client, ListFilter};

pub use record::{Format, Others, Record, Rows};
pub use secrets::{MASK, mask_meeting_token, mask_stream_key};
pub use time::Timestamp;
pub use values::keep_on_one_line;

/// The streams, in the order of `discover`.
pub static ALL: [Description; 8] = [
    sessions::DESCRIPTION,
    rooms::DESCRIPTION,
    active_room_peers::DESCRIPTION,
    templates::DESCRIPTION,
    template_settings::DESCRIPTION,
    templates_destinations::DESCRIPTION,
    analytics_events::DESCRIPTION,
    recordings::DESCRIPTION,
];

/// What is known of a stream before anything is read.
pub struct Description {
    /// Its name, a contract with the user's tables.
    pub name: &'static str,
    /// The columns that identify a record.
    pub primary_key: &'static [&'static str],
    /// The column that says when a record last changed; `None` when the stream is read whole each time.
    pub cursor: Option<&'static str>,
    /// All columns, in order.
    pub columns: &'static [&'static str],
    /// The schema derived from the record type.
    pub schema: fn() -> schemars::Schema,
    /// Looks at one page for fields that the record type does not know.
    pub sample: for<'a> fn(&'a Client) -> Sampled<'a>,
    /// Makes the stream ready to be read.
    pub open: fn(Reading) -> Box<dyn Stream>,
    /// One record made of one item, see [`line_of`].
    line: fn(&str) -> Result<Vec<u8>, StreamError>,
}

/// Fields found in a sample, each with its schema.
pub type Sampled<'a> = BoxFuture<'a, Result<Map<String, Value>, ApiError>>;

impl Description {
    /// JSON Schema (draft 7) of the records, with the fields `added` by the API since.
    pub fn json_schema(&self, added: Map<String, Value>) -> Value {
        let mut schema = (self.schema)().to_value();
        loosen(&mut schema);
        let Some(root) = schema.as_object_mut() else { return schema };
        root.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        root.insert("type".into(), "object".into());
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            let new = added.into_iter().filter(|(name, _)| !self.columns.contains(&name.as_str()));
            properties.extend(new.collect::<Vec<_>>());
            for key in self.primary_key.iter().copied().chain(self.cursor) {
                if let Some(property) = properties.get_mut(key) {
                    property["type"] = "string".into();
                }
            }
        }
        schema
    }
}

/// The generator for record schemas: nothing by reference, as platforms want it.
fn schema_of_record<R: schemars::JsonSchema>() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<R>()
}

/// Makes every value nullable and every object open: an API grows, and data of yesterday lacks fields.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(loosen),
        Value::Object(object) => {
            for noise in ["title", "required", "minimum"] {
                if !object.get(noise).is_some_and(Value::is_object) {
                    object.remove(noise);
                }
            }
            if object.get("format").is_some_and(|format| format != "date-time") {
                object.remove("format");
            }
            if let Some(kind) = object.get("type").and_then(the_type).map(str::to_owned) {
                object.insert("type".into(), serde_json::json!(["null", kind]));
                if kind == "object" {
                    object.insert("additionalProperties".into(), true.into());
                }
            }
            object.values_mut().filter(|value| value.is_object() || value.is_array()).for_each(loosen);
        }
        _ => {}
    }
}

/// The type beside `null` in the `type` of a schema.
fn the_type(kind: &Value) -> Option<&str> {
    match kind {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// What a stream needs to be read.
#[derive(Clone)]
pub struct Reading {
    /// The client all streams share.
    pub client: Arc<Client>,
    /// Which columns to write.
    pub format: Format,
    /// A record is read when its cursor value is at or after this.
    pub cursor: Timestamp,
    /// The user's first cursor; nothing before it is of interest, look-back or not.
    pub start_date: Timestamp,
    /// What the user chose for single streams.
    pub options: Options,
}

/// What the user chose for single streams.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Ask only rooms with a session, or created or edited, since the cursor for their events.
    pub recent_rooms_only: bool,
    /// Types of events to read; empty means all.
    pub event_types: Vec<String>,
    /// Fetch a link to the file of each recording.
    pub recording_urls: bool,
}

/// A piece of what is left to read, exactly as it stands in a saved state.
///
/// ```text
///   after                                  before
///     [  items created here belong to it     )        newest first: a page at `before`, the next older
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which of the stream's lists it belongs to.
    pub list: String,
    /// Of a per-room stream: the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Items created at or after; unset means from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// Items created before; unset means up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// The token of the next page; unset means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

impl Slice {
    /// All of `list`.
    pub fn whole(list: &str) -> Self {
        Self { list: list.into(), room: None, after: None, before: None, start: None }
    }

    /// The rest of this slice after a page, or nothing when that was the last.
    pub fn rest(&self, next: Option<String>) -> Option<Self> {
        next.map(|next| Self { start: Some(next), ..self.clone() })
    }

    /// What to ask the API for: this slice, with `flag` said explicitly.
    pub fn filter(&self, flag: bool) -> ListFilter<'_> {
        ListFilter {
            flag: Some(flag),
            after: self.after.map(Timestamp::to_filter),
            before: self.before.map(Timestamp::to_filter),
            start: self.start.as_deref(),
            limit: None,
        }
    }

    /// What to ask a list without filters for.
    pub fn page(&self) -> ListFilter<'_> {
        ListFilter { start: self.start.as_deref(), ..ListFilter::default() }
    }

    /// Whether an item created at `created` belongs to this slice.
    ///
    /// Only the upper bound is checked: the API's bounds are inclusive, and the item at a cut is the
    /// newer piece's. The lower bound is left to the API, in case it compares another time (a session's
    /// start, say, which is later than its creation): an item that both pieces drop would be lost.
    pub fn takes(&self, created: Timestamp) -> bool {
        self.before.is_none_or(|before| created < before)
    }
}

/// What came of fetching a page of a slice.
#[derive(Debug, Default)]
pub struct Step {
    /// The records of the page.
    pub rows: Rows,
    /// What takes the place of the slice: its rest, and what the page gave rise to. Empty: it is done.
    pub next: Vec<Slice>,
    /// Of a window: what the page tells of its density, so that the rest may be cut in two by time.
    pub seen: Option<Seen>,
}

/// What a page of a window tells of its density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The oldest creation on the page.
    pub oldest: Timestamp,
    /// The newest.
    pub newest: Timestamp,
    /// How many items of the slice were on it.
    pub items: usize,
}

impl Seen {
    /// Counts an item created at `created`.
    fn note(seen: &mut Option<Self>, created: Timestamp) {
        let before = seen.unwrap_or(Self { oldest: created, newest: created, items: 0 });
        *seen = Some(Self {
            oldest: before.oldest.min(created),
            newest: before.newest.max(created),
            items: before.items + 1,
        });
    }
}

/// A stream being read.
///
/// The engine keeps the set of slices not yet read, fetches several at once, and saves what is left.
///
/// - The stream promises: the rows of a step, and the slices in `next`, are all there is to the slice.
///   Whatever is read from them later is independent of the process that reads it, so that a saved
///   slice can be read by another run, next week.
/// - The engine promises: a slice is replaced by `next` only after the rows have been handed to the
///   writer; a slice cut off in the middle of `fetch` is fetched again; the slices of one list are all
///   done before [`Stream::following`] is asked for the next list.
pub trait Stream: Send + Sync {
    /// The first list.
    fn first(&self) -> Slice;

    /// The list to read after all slices of `list` are done.
    fn following(&self, _list: &str) -> Option<Slice> {
        None
    }

    /// Whether `list` is one of this stream's, as a saved state claims.
    fn knows(&self, list: &str) -> bool;

    /// Fetches one page of `slice`.
    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>>;
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// A request failed for good.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record cannot be written as JSON.
    #[error("a record cannot be written: {0}")]
    Write(String),
}

impl From<serde_json::Error> for StreamError {
    fn from(error: serde_json::Error) -> Self {
        Self::Write(error.to_string())
    }
}

/// A record that lacks what its key, its cursor or a computed column needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of {} {problem}", id.as_ref().map_or("a record without `id`".to_owned(), |id| format!("the record `{id}`")))]
pub struct RecordError {
    /// The record's id, when it has one.
    pub id: Option<String>,
    /// The API's field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl RecordError {
    /// `field` of the record `id` has a `problem`.
    pub fn new(id: Option<&str>, field: &'static str, problem: &'static str) -> Self {
        Self { id: id.map(str::to_owned), field, problem }
    }
}

/// `camelCase` as `camel_case`; what is snake case already stays.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before != '_' && !before.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        before = letter;
    }
    snake
}

/// The schemas of fields that no record type knows, as far as the samples show their type.
fn added_fields<'a, S>(samples: impl Iterator<Item = S>) -> Map<String, Value>
where
    S: AsRef<[(Cow<'a, str>, &'a RawValue)]>,
{
    let mut fields: Map<String, Value> = Map::new();
    let samples: Vec<S> = samples.collect();
    for (name, raw) in samples.iter().flat_map(AsRef::as_ref) {
        let name = snake_case(name);
        let is_column = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let Some(seen) = schema_of(raw.get()).filter(|_| is_column && name.len() <= 63) else { continue };
        match fields.get_mut(&name) {
            // Two types seen: a string holds both, and two types in one column please no destination.
            Some(known) if *known != seen => *known = string_schema(),
            Some(_) => {}
            None => {
                fields.insert(name, seen);
            }
        }
    }
    fields
}

fn string_schema() -> Value {
    serde_json::json!({ "type": ["null", "string"] })
}

fn schema_of(json: &str) -> Option<Value> {
    Some(match json.as_bytes().first()? {
        b'n' => return None,
        b'"' => string_schema(),
        b't' | b'f' => serde_json::json!({ "type": ["null", "boolean"] }),
        b'{' => serde_json::json!({ "type": ["null", "object"], "additionalProperties": true }),
        b'[' => serde_json::json!({ "type": ["null", "array"], "items": {} }),
        _ => serde_json::json!({ "type": ["null", "number"] }),
    })
}

/// One record made of one item of the API, with all columns: what a stream writes, without its requests.
/// `None` when there is no such stream.
pub fn line_of(stream: &str, item: &str) -> Option<Result<Vec<u8>, StreamError>> {
    ALL.iter().find(|description| description.name == stream).map(|description| (description.line)(item))
}

/// An item of the API.
fn parsed<'a, T: Deserialize<'a>>(item: &'a str) -> Result<T, RecordError> {
    serde_json::from_str(item).map_err(|_| RecordError::new(None, "data", "holds an item that is no object"))
}

/// A record's line, `{"record":{"data":…,"emitted_at":…}}`, with all its columns and those `others` add.
fn line<R: Record>(record: &R, others: Others<'_, '_>) -> Result<Vec<u8>, StreamError> {
    let added = others.iter().map(|(name, _)| snake_case(name)).filter(|name| !R::COLUMNS.contains(&name.as_str()));
    let added: std::collections::BTreeSet<String> = added.collect();
    let columns: Vec<String> = R::COLUMNS.iter().map(|name| (*name).to_owned()).chain(added).collect();
    let mut rows = Rows::default();
    rows.push(&Format::new(br#"{"record":{"data":"#.to_vec(), R::COLUMNS, Some(&columns)), record, None, others)?;
    Ok(rows.bytes)
}

/// A record as a JSON value, with all its columns.
#[cfg(test)]
fn record_value<R: Record>(record: &R) -> Value {
    let mut message: Value = serde_json::from_slice(&line(record, &[]).unwrap()).unwrap();
    message["record"]["data"].take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, snake) in [
            ("createdAt", "created_at"),
            ("created_at", "created_at"),
            ("whipDestinations", "whip_destinations"),
            ("HLSVodRecording", "hlsvod_recording"),
            ("_id", "_id"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn added_fields_are_typed_by_what_was_seen() {
        let sample: Map<String, Value> = serde_json::from_str(
            r#"{"newFlag":true,"score":1,"mixed":"a","none":null,"$id":1,"_x":1,"Ünsafe":1,"list":[1],"box":{}}"#,
        )
        .unwrap();
        let raw: Vec<(String, Box<serde_json::value::RawValue>)> =
            sample.iter().map(|(key, value)| (key.clone(), serde_json::value::to_raw_value(value).unwrap())).collect();
        let first: Vec<_> = raw.iter().map(|(key, raw)| (key.as_str().into(), raw.as_ref())).collect();
        let five = serde_json::value::to_raw_value(&5).unwrap();
        let second = vec![("mixed".into(), five.as_ref())];
        let fields = added_fields([first.as_slice(), second.as_slice()].into_iter());
        let types: Vec<_> = fields.iter().map(|(name, schema)| format!("{name}:{}", schema["type"][1])).collect();
        assert_eq!(
            types,
            ["box:\"object\"", "list:\"array\"", "mixed:\"string\"", "new_flag:\"boolean\"", "score:\"number\""]
        );
    }

    #[test]
    fn the_item_at_a_cut_is_the_newer_pieces() {
        let cut = Timestamp::from_micros(5_000_000);
        let older = Slice { before: Some(cut), ..Slice::whole("a") };
        let newer = Slice { after: Some(cut), ..Slice::whole("a") };
        assert!(!older.takes(cut) && newer.takes(cut));
        assert!(older.takes(Timestamp::from_micros(4_999_999)));
        // Not dropped: the API may have compared another time than the creation.
        assert!(newer.takes(Timestamp::from_micros(4_999_999)));
    }
}
