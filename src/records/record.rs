//! A record on its way from an answer to its line: the fields that came, and the values that code has set.
//!
//! Values stay the text that the API sent: neither a number's spelling nor an escape is rebuilt.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::column::{Kind, Table, snake_case};
use super::secrets::{Place, mask_text, masked, rewritten};
use super::strings::text_in;
use super::time::{Timestamp, time_in};
use super::value::Json;
use crate::api::{Answer, Key, Raw, entries};

/// The fields of an object in an answer, in the order they came. `null` is the same as a missing field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Fields<'a>(#[serde(borrow, deserialize_with = "entries")] Vec<(Key<'a>, &'a RawValue)>);

impl Answer for Fields<'_> {
    type Of<'a> = Fields<'a>;
}

impl<'a> Fields<'a> {
    /// Those of the object `raw`; `None` when it is something else.
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// Those of the object in the field `name`; none when there is no object.
    pub fn inside(&self, name: &str) -> Self {
        self.get(name).and_then(Self::of).unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.text(), *value))
    }

    /// The value of the field `name`.
    pub fn get(&self, name: &str) -> Raw<'a> {
        self.0.iter().rev().find(|(field, _)| field.0 == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The value of the field with the first of these names, or else of the first field with another of them.
    fn any(&self, names: &[&str]) -> Raw<'a> {
        let (preferred, others) = names.split_first()?;
        let is_other = |field: &Key<'_>| others.iter().any(|other| field.0 == other.as_bytes());
        self.get(preferred).or_else(|| self.0.iter().find(|(field, _)| is_other(field)).map(|(_, value)| *value))
    }

    /// The text of the field `name`, when it is not empty.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(|value| text_in(value.get()))
    }

    /// The fields as they may stand under `key` in a map: none, when that is the name of a secret and not the id of what
    /// stands under it. Then this is none of the map's items, and all that is in it may be the secret.
    pub fn under(self, key: Option<&str>) -> Self {
        let is_secret = |key: &str| self.text("id").as_deref() != Some(key) && Place::Open.below(key).is_secret();
        if key.is_some_and(is_secret) { Self::default() } else { self }
    }

    /// The id, which keys and pages depend on.
    ///
    /// # Errors
    /// When it is missing or empty, or cannot be read.
    pub fn id(&self) -> Result<Cow<'a, str>, RecordError> {
        readable_id(self.any(&["id", "_id"]).and_then(|id| text_in(id.get())), None, "id")
    }

    /// The moment in the field `name` of the record `id`, when there is one.
    ///
    /// # Errors
    /// When there is a value and it is no time.
    pub fn time(&self, name: &'static str, id: &str) -> Result<Option<Timestamp>, RecordError> {
        readable_time(self.get(name), id, name)
    }

    /// When the object with this id was created.
    ///
    /// # Errors
    /// When nothing tells it, or the field is no time.
    pub fn created(&self, id: &str) -> Result<Timestamp, RecordError> {
        let created = self.time("created_at", id)?.or_else(|| Timestamp::in_id(id));
        created.ok_or_else(|| RecordError::new(Some(id), "created_at", "is missing"))
    }

    /// When the object with this id was created and last changed.
    ///
    /// Where the creation is missing, it is the time in the id. The last change is the later of the two, because a
    /// copied object may carry the `updated_at` of its original.
    ///
    /// # Errors
    /// When none of these tells a time, or one of the two fields is no time.
    pub fn times(&self, id: &str) -> Result<Times, RecordError> {
        let time = |names: [&'static str; 2]| readable_time(self.any(&names), id, names[0]);
        let created = time(["created_at", "createdAt"])?.or_else(|| Timestamp::in_id(id));
        let changed = time(["updated_at", "updatedAt"])?.max(created);
        let changed = changed.ok_or_else(|| RecordError::new(Some(id), "created_at", "is missing"))?;
        Ok(Times { created_at: created, ..Times::new(created.unwrap_or(changed), changed) })
    }
}

/// A value that code gives to a column.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// None.
    Null,
    /// None, because what came could not be kept.
    Lost,
    /// As the API sent it, from a place that may make it a secret.
    Json(Place, &'a RawValue),
    /// A text, in which secrets are masked.
    Text(Cow<'a, str>),
    /// A text that is written as it is, such as a signed link.
    Plain(Cow<'a, str>),
    /// A moment.
    Time(Timestamp),
    /// A number.
    Number(f64),
    /// How many.
    Count(u64),
    /// Records in a list.
    Entries(Vec<Record<'a>>),
}

impl Value<'_> {
    /// Writes it into a column of this kind.
    pub fn write(&self, kind: Kind, out: &mut Json) {
        match self {
            Self::Null => out.null(),
            Self::Lost => out.fitting(None::<()>),
            Self::Json(place, json) => kind.write_at(*place, json.get(), out),
            Self::Text(text) => out.text(&masked(text, Place::Document)),
            Self::Plain(text) => out.text(text),
            Self::Time(time) => out.time(Some(*time)),
            Self::Number(number) => out.serialize(number),
            Self::Count(count) => out.serialize(count),
            Self::Entries(entries) => out.list(entries, Record::write_entry),
        }
    }
}

impl<'a> From<&'a RawValue> for Value<'a> {
    fn from(json: &'a RawValue) -> Self {
        Self::Json(Place::Open, json)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A record: a value for each column of its table.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub table: &'static Table,
    /// By column.
    values: Vec<Value<'a>>,
    /// Fields that the table does not know.
    unknown: Vec<(Key<'a>, &'a RawValue)>,
}

impl<'a> Record<'a> {
    /// A record without values.
    pub fn new(table: &'static Table) -> Self {
        Self { table, values: table.columns.iter().map(|_| Value::Null).collect(), unknown: Vec::new() }
    }

    /// A record with the values that came.
    pub fn of(table: &'static Table, fields: Fields<'a>) -> Self {
        let (mut record, mut next) = (Self::new(table), 0);
        fields.0.into_iter().for_each(|(name, value)| record.fill(name, value, &mut next));
        record
    }

    /// Puts in a field that came. Fields mostly come in the order of the columns, so the search begins at `next`.
    fn fill(&mut self, name: Key<'a>, value: &'a RawValue, next: &mut usize) {
        let Some((column, is_preferred)) = self.table.filled_by(&name.0, *next) else {
            return self.unknown.push((name, value));
        };
        if is_preferred || matches!(self.values[column], Value::Null) {
            self.values[column] = value.into();
        }
        *next = column + 1;
    }

    /// The record of an object that says when it was created and last changed, see [`Fields::times`].
    ///
    /// # Errors
    /// As for the id and the times of the fields.
    pub fn timed(table: &'static Table, fields: Fields<'a>) -> Result<(Times, Self), RecordError> {
        let times = fields.times(&fields.id()?)?;
        let record = Self::of(table, fields);
        Ok((times, record.with("created_at", times.created_at).with("updated_at", times.changed)))
    }

    /// What came in the field `name`, whether or not the table knows it.
    pub fn get(&self, name: &str) -> Raw<'a> {
        match self.table.filled_by(name.as_bytes(), 0).map(|(column, _)| &self.values[column]) {
            Some(Value::Json(_, json)) => Some(*json),
            Some(_) => None,
            None => self.unknown.iter().rev().find(|(field, _)| field.0 == name.as_bytes()).map(|(_, value)| *value),
        }
    }

    /// Sets the value of `column`, whatever came.
    pub fn set(&mut self, column: &'static str, value: impl Into<Value<'a>>) {
        let index = self.table.columns.iter().position(|known| known.name == column);
        debug_assert!(index.is_some(), "{column} is no column");
        if let Some(index) = index {
            self.values[index] = value.into();
        }
    }

    /// The record with this value in `column`.
    pub fn with(mut self, column: &'static str, value: impl Into<Value<'a>>) -> Self {
        self.set(column, value);
        self
    }

    /// The fields that the table does not know.
    pub fn unknown_fields(&self) -> impl Iterator<Item = (Cow<'_, str>, &'a RawValue)> {
        self.unknown.iter().map(|(name, value)| (name.text(), *value))
    }

    /// The field that a column called `name` is of, which the table does not know, and its value: a field that the table
    /// does not know either, or one that fills another column, as that is written.
    pub fn added(&self, name: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
        let is_of_column = |(field, _): &(Cow<'_, str>, _)| field == name || snake_case(field) == name;
        if let Some((field, value)) = self.unknown_fields().find(is_of_column) {
            return Some((field, value.get().into()));
        }
        let (column, _) = self.table.filled_by(name.as_bytes(), 0)?;
        let mut json = Json::default();
        self.write(column, &mut json);
        let value = String::from_utf8(json.bytes).ok().filter(|value| value != "null")?;
        Some((name.to_owned().into(), value.into()))
    }

    /// Writes the value of the column at `index`.
    pub fn write(&self, index: usize, out: &mut Json) {
        self.values[index].write(self.table.columns[index].kind, out);
    }

    /// Writes the record as an entry of a list: its columns, and behind them the fields that the table does not know.
    pub fn write_entry(&self, out: &mut Json) {
        out.push(b'{');
        for (index, column) in self.table.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.raw(column.name);
            out.raw("\":");
            self.write(index, out);
        }
        for (field, value) in self.unknown_fields() {
            out.push(b',');
            out.text(&mask_text(&field));
            out.push(b':');
            out.rewritten(rewritten(value.get(), Place::Open.below(&field)));
        }
        out.push(b'}');
    }
}

fn readable_time(value: Raw<'_>, id: &str, field: &'static str) -> Result<Option<Timestamp>, RecordError> {
    let time = value.map_or(Ok(None), |value| time_in(value.get()));
    time.map_err(|problem| RecordError::new(Some(id), field, problem))
}

/// An id that stands in `field` of the record `of`.
///
/// # Errors
/// When it is missing or empty, or cannot be read: another id with other bytes would look the same.
pub fn readable_id<'a>(
    id: Option<Cow<'a, str>>,
    of: Option<&str>,
    field: &'static str,
) -> Result<Cow<'a, str>, RecordError> {
    match id {
        None => Err(RecordError::new(of, field, "is missing")),
        Some(id) if id.contains(char::REPLACEMENT_CHARACTER) => {
            Err(RecordError::new(of, field, "contains bytes that are not UTF-8, or half of a letter"))
        }
        Some(id) => Ok(id),
    }
}

/// The schemas of fields that `table` does not know. A single value is offered as a string, because the next sample may
/// show another kind of value, and destinations do not take a column whose type changes.
pub fn added_fields<'a>(table: &Table, samples: &[Fields<'a>]) -> Map<String, serde_json::Value> {
    let mut added: BTreeMap<String, Kind> = BTreeMap::new();
    for (field, value) in samples.iter().flat_map(Fields::iter) {
        let name = snake_case(&field);
        let is_known =
            table.filled_by(field.as_bytes(), 0).is_some() || table.columns.iter().any(|column| column.name == name);
        if is_known || !is_column_name(&name) {
            continue;
        }
        let kind = match value.get().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            _ => Kind::Text,
        };
        // A string holds both kinds that were seen.
        added.entry(name).and_modify(|known| *known = if *known == kind { kind } else { Kind::Text }).or_insert(kind);
    }
    added.into_iter().filter_map(|(name, kind)| Some((name, kind.schema()?))).collect()
}

fn is_column_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// When a record was created and last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Its creation, when something tells it.
    pub created_at: Option<Timestamp>,
    /// Its creation, which windows go by; the last change when nothing tells it.
    pub created: Timestamp,
    /// The value of the cursor's column.
    pub cursor: Timestamp,
    /// The last change of anything in it, which decides whether it is due.
    pub changed: Timestamp,
    /// Until when a following sync has to look at it again: `changed`, unless its last change is not dated.
    pub recheck_until: Timestamp,
    /// When it ends at the latest, if it is going on.
    pub ends_by: Option<Timestamp>,
}

impl Times {
    /// Of a record whose cursor's column says it all.
    pub fn new(created: Timestamp, cursor: Timestamp) -> Self {
        Self { created_at: Some(created), created, cursor, changed: cursor, recheck_until: cursor, ends_by: None }
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

/// What is written of `record`, for tests to look into.
#[cfg(test)]
pub fn to_value(record: &Record<'_>) -> serde_json::Value {
    let mut json = Json::default();
    record.write_entry(&mut json);
    serde_json::from_slice(&json.bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(created: &str, updated: &str, id: &str) -> Result<Times, RecordError> {
        let json = format!(r#"{{"created_at":"{created}","updated_at":"{updated}"}}"#);
        serde_json::from_str::<Fields<'_>>(&json).unwrap().times(id)
    }

    #[test]
    fn the_last_change_is_never_before_the_creation() {
        let date = |time: Timestamp| time.to_string()[..10].to_owned();
        let read = |created: &str, updated: &str, id: &str| {
            let times = times(created, updated, id).unwrap();
            (times.created_at.map(date), date(times.changed))
        };
        let (old, new, id) = ("2023-07-01T00:00:00Z", "2024-05-03T00:00:00Z", "66321880f1f77bcf86cd7994");
        let day = |text: &str| text[..10].to_owned();
        assert_eq!(read(old, new, id), (Some(day(old)), day(new)));
        assert_eq!(read(new, old, id), (Some(day(new)), day(new)), "a copy with the date of its original");
        assert_eq!(read(new, "", id), (Some(day(new)), day(new)));
        assert_eq!(read("", "", id), (Some(day("2024-05-01")), day("2024-05-01")), "the time in the id");
        assert_eq!(read("", old, id), (Some(day("2024-05-01")), day("2024-05-01")));
        assert_eq!(read("", new, "a"), (None, day(new)));
    }

    #[test]
    fn an_id_and_a_time_are_required() {
        assert!(times("", "", "a").is_err());
        assert!(times("soon", "2024-05-03T00:00:00Z", "a").is_err());
        assert!(serde_json::from_str::<Fields<'_>>(r#"{"id":""}"#).unwrap().id().is_err());
    }
}
