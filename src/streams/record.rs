//! What records are made of: columns that are declared once, and rows of finished bytes.
//!
//! A record is read straight from the answer's text and turned into its JSON line once; no tree is built.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use serde_json::value::RawValue;

use super::contract::{Reading, RecordError, Remembered, Seen, StreamError, Times, Written};
use super::personal::{self, Hiding, PersonalData};
use super::schema::{schema_of, snake_case};
use super::secrets::{Place, mask_text, mask_value, rewritten};
use super::slice::Slice;
use super::time::{Time, Timestamp};
use super::values::{Any, Flag, Integer, Kind, Number, Object, Placed, Text, Texts, Typed, keep_on_one_line, text};
use super::write::{Json, WriteJson};
use crate::api::Raw;

/// A record type: its columns in the order of its fields.
pub trait Record {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];
    /// Columns that differ each time they are asked for although nothing has changed (signed links).
    const VOLATILE: &'static [&'static str];
    /// Columns that are about a person: names, ids of users, free text.
    const PERSONAL: &'static [&'static str];
    /// Columns that describe people inside: the keys in them tell what is personal.
    const PEOPLE: &'static [&'static str];
    /// Writes the JSON value of the column at `index`.
    fn write(&self, index: usize, out: &mut Json);
    /// Fields of the answer that this version does not know, in the order they came.
    fn others(&self) -> &Others<'_>;
}

/// Fields of an answer that this version does not know.
pub type Others<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// A record of a list that is read by time.
pub trait Shape {
    /// Fills the computed columns, where personal data becomes what `personal` says.
    ///
    /// # Errors
    /// When the record lacks what its key, its cursor or a computed column needs.
    fn shape(&mut self, personal: &PersonalData) -> Result<Times, RecordError>;
}

/// A column that the API's answer may fill.
pub trait Column<'a> {
    /// Whether it has a value.
    fn is_set(&self) -> bool;
    /// Takes what the API sent, which is not `null`.
    fn set(&mut self, value: &'a RawValue);
}

/// Declares a record type: each column once, with the doc comment that users read as its description.
///
/// A column is filled from the field of the same name, or from those named behind `=`, the preferred
/// spelling first; a [`Computed`] one is filled by code. `drops` names duplicates that no column needs,
/// `volatile` the columns that differ each time they are asked for. `personal` are the columns that are about a
/// person, which must be texts; `people` those that describe people inside.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty $(= $($key:literal)|+)?,)+ }
        $(drops [$($dropped:literal),+])?
        $(volatile [$($volatile:literal),+])?
        $(personal [$($personal:literal),+])?
        $(people [$($people:literal),+])?
    ) => {
        $(#[$doc])*
        #[derive(Default, schemars::JsonSchema)]
        pub(crate) struct $name<'a> {
            $($(#[$field_doc])* pub(crate) $field: $type,)+
            #[schemars(skip)]
            pub(crate) others: $crate::streams::record::Others<'a>,
        }

        impl $crate::streams::record::Record for $name<'_> {
            const COLUMNS: &'static [&'static str] = &[$($crate::streams::record::column(stringify!($field))),+];
            const VOLATILE: &'static [&'static str] = &[$($($volatile),+)?];
            const PERSONAL: &'static [&'static str] = &[$($($personal),+)?];
            const PEOPLE: &'static [&'static str] = &[$($($people),+)?];

            fn write(&self, index: usize, out: &mut $crate::streams::write::Json) {
                use $crate::streams::write::WriteJson;
                let mut column = 0;
                $(
                    if index == column {
                        return self.$field.write_json(out);
                    }
                    column += 1;
                )+
                let _ = column;
            }

            fn others(&self) -> &$crate::streams::record::Others<'_> {
                &self.others
            }
        }

        // For any lifetime, although only the family counts: asynchronous code cannot name one.
        impl $crate::api::Answer for $name<'_> {
            type Of<'a> = $name<'a>;
        }

        impl<'de> serde::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name<'de>;
                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }
                    fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                        use $crate::streams::record::Column;
                        let mut record = $name::default();
                        while let Some(key) = map.next_key::<$crate::api::Key<'de>>()? {
                            let value: $crate::api::Raw<'de> = map.next_value()?;
                            let Some(value) = value else { continue };
                            let is = |name: &&str| name.as_bytes() == key.0.as_ref();
                            $(
                                let names = $crate::streams::record::keys!($field $($($key)+)?);
                                if names.iter().any(is) {
                                    if is(&names[0]) || !record.$field.is_set() {
                                        record.$field.set(value);
                                    }
                                    continue;
                                }
                            )+
                            let is_dropped = [$($($dropped),+)?].iter().any(is);
                            if !is_dropped {
                                record.others.push((key.into_text(), value));
                            }
                        }
                        Ok(record)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }

        impl $crate::streams::write::WriteJson for $name<'_> {
            fn write_json(&self, out: &mut $crate::streams::write::Json) {
                let mut separator: &[u8] = b"{\"";
                $(
                    out.extend_from_slice(separator);
                    out.extend_from_slice(const { $crate::streams::record::column(stringify!($field)) }.as_bytes());
                    out.extend_from_slice(b"\":");
                    self.$field.write_json(out);
                    separator = b",\"";
                )+
                let _ = separator;
                $crate::streams::record::write_others(&self.others, out);
                out.push(b'}');
            }
        }
    };
}
pub(crate) use record;

/// The API's fields that fill a column.
macro_rules! keys {
    ($field:ident) => {
        const { [$crate::streams::record::column(stringify!($field))] }
    };
    ($field:ident $($key:literal)+) => {
        [$($key),+]
    };
}
pub(crate) use keys;

/// The column of a field: its name without `r#`.
pub(crate) const fn column(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Writes fields that no column knows behind those of the columns.
pub(crate) fn write_others(others: &Others<'_>, out: &mut Json) {
    for (key, value) in others {
        out.push(b',');
        mask_text(key).write_json(out);
        out.push(b':');
        let (json, is_lossy) = rewritten(value.get(), Place::Open.below(key));
        out.is_lossy |= is_lossy;
        out.extend_from_slice(json.as_bytes());
    }
}

/// Leaves nothing of an entry that stands under `key` in a map, when `key` is the name of a secret: such an entry is
/// none of the map's items, and all that is in it may be the secret.
pub(crate) fn hide_entry<R: Record + Default>(key: Option<&str>, entry: &mut R, is_ordinary: bool) {
    // Most entries have what all have and nothing else, and then their key need not be looked at.
    let is_plain = is_ordinary && entry.others().is_empty();
    if !is_plain && key.is_some_and(|key| Place::Open.below(key).is_secret()) {
        *entry = R::default();
    }
}

macro_rules! raw_columns {
    ($($type:ident)+) => {$(
        impl<'a> Column<'a> for $type<'a> {
            fn is_set(&self) -> bool {
                self.0.is_some()
            }
            fn set(&mut self, value: &'a RawValue) {
                self.0 = Some(value);
            }
        }
    )+};
}
raw_columns!(Text Integer Number Flag Object Texts Any);

impl<'a> Column<'a> for Placed<'a> {
    fn is_set(&self) -> bool {
        self.raw.is_some()
    }
    fn set(&mut self, value: &'a RawValue) {
        self.raw = Some(value);
    }
}

impl<'a> Column<'a> for Time {
    fn is_set(&self) -> bool {
        *self != Self::Never
    }
    fn set(&mut self, value: &'a RawValue) {
        *self = Self::of(Some(value));
    }
}

/// An id that code may have to fill in.
#[derive(Clone, Debug, Default)]
pub struct Identity<'a>(pub Option<Cow<'a, str>>);

impl<'a> Column<'a> for Identity<'a> {
    fn is_set(&self) -> bool {
        self.0.is_some()
    }
    fn set(&mut self, value: &'a RawValue) {
        self.0 = text(Some(value));
    }
}

impl WriteJson for Identity<'_> {
    fn write_json(&self, out: &mut Json) {
        self.0.as_deref().map(mask_value).write_json(out);
    }
}

schema_of!(Identity<'_>, as String);

/// A text, as the API sent it or as code made it.
#[derive(Clone)]
pub enum Label<'a> {
    /// As the API sent it.
    Raw(Text<'a>),
    /// As code made it.
    Text(Cow<'a, str>),
}

impl Default for Label<'_> {
    fn default() -> Self {
        Self::Raw(Text::default())
    }
}

impl<'a> From<&'a str> for Label<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Label<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> Column<'a> for Label<'a> {
    fn is_set(&self) -> bool {
        !matches!(self, Self::Raw(Text(None)))
    }
    fn set(&mut self, value: &'a RawValue) {
        *self = Self::Raw(Text(Some(value)));
    }
}

impl WriteJson for Label<'_> {
    fn write_json(&self, out: &mut Json) {
        match self {
            Self::Raw(text) => text.write_json(out),
            Self::Text(text) => mask_value(text).write_json(out),
        }
    }
}

schema_of!(Label<'_>, as String);

/// A column that code fills; a field of the same name in the answer is not looked at.
#[derive(Clone, Debug)]
pub struct Computed<T>(pub Option<T>);

impl<T> Default for Computed<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Column<'_> for Computed<T> {
    fn is_set(&self) -> bool {
        true
    }
    fn set(&mut self, _: &RawValue) {}
}

impl<T: WriteJson> WriteJson for Computed<T> {
    fn write_json(&self, out: &mut Json) {
        self.0.write_json(out);
    }
}

schema_of!(Computed<T>, as T, for T);

/// A column computed from the field of the same name, which is kept as it came until then.
#[derive(Clone, Debug)]
pub struct Derived<'a, T> {
    /// What the API sent.
    pub raw: Raw<'a>,
    /// What is written.
    pub value: Option<T>,
}

impl<T> Default for Derived<'_, T> {
    fn default() -> Self {
        Self { raw: None, value: None }
    }
}

impl<'a, T> Column<'a> for Derived<'a, T> {
    fn is_set(&self) -> bool {
        self.raw.is_some()
    }
    fn set(&mut self, value: &'a RawValue) {
        self.raw = Some(value);
    }
}

impl<T: WriteJson> WriteJson for Derived<'_, T> {
    fn write_json(&self, out: &mut Json) {
        out.is_lossy |= self.raw.is_some() && self.value.is_none();
        self.value.write_json(out);
    }
}

schema_of!(Derived<'_, T>, as T, for T);

/// The id of an API object, which keys and pages depend on.
///
/// # Errors
/// When it is missing or empty, or cannot be read.
pub fn id<'a>(raw: Raw<'a>) -> Result<Cow<'a, str>, RecordError> {
    readable_id(text(raw), None, "id")
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

/// When an object was created and last changed, which is filled into both columns.
///
/// Where the creation is missing, it is the time in the id. The last change is the later of the two, because a
/// copied object may carry the `updated_at` of its original.
///
/// # Errors
/// When none of these tells a time, or one of the two columns is no time.
pub fn fill_times(id: &str, created_at: &mut Time, updated_at: &mut Time) -> Result<Times, RecordError> {
    let created = created_at.readable(id, "created_at")?.or_else(|| Timestamp::in_id(id));
    let changed = updated_at.readable(id, "updated_at")?.max(created);
    let changed = changed.ok_or_else(|| RecordError::new(Some(id), "created_at", "is missing"))?;
    *created_at = created.map_or(Time::Never, Time::At);
    *updated_at = changed.into();
    Ok(Times::new(created.unwrap_or(changed), changed))
}

/// Which columns of a stream to write, and what stands around them in a line.
#[derive(Debug, Clone)]
pub struct Format {
    /// Everything of a line before the record's first `{`.
    prefix: Vec<u8>,
    /// Index into [`Record::COLUMNS`], and `"name":`.
    columns: Vec<(usize, Vec<u8>)>,
    /// Indices of the columns of the primary key.
    keys: Vec<usize>,
    /// Columns the API has added since this version was made, what they hold, and `"name":`.
    added: Vec<(String, Kind, Vec<u8>)>,
    /// Which of those have had a value.
    filled: Arc<[AtomicBool]>,
    /// What earlier syncs have written, which is not written again.
    written: Arc<Written>,
    /// What becomes of personal data.
    personal: PersonalData,
}

impl Format {
    /// The columns `selected` out of `known`, each with its JSON schema; `None` means all known ones. A
    /// selected name that is not known is taken from the API's answer, when it has it.
    pub fn new(
        prefix: Vec<u8>,
        known: &[&str],
        primary_key: &[&str],
        selected: Option<&[(String, Value)]>,
        written: Arc<Written>,
        personal: PersonalData,
    ) -> Self {
        let chosen = |name: &str| selected.is_none_or(|selected| selected.iter().any(|(chosen, _)| chosen == name));
        let added = selected.unwrap_or_default().iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let added: Vec<_> = added.map(|(name, schema)| (name.clone(), Kind::of(schema), key(name))).collect();
        let columns = known.iter().enumerate().filter(|(_, name)| chosen(name));
        Self {
            prefix,
            columns: columns.map(|(index, name)| (index, key(name))).collect(),
            keys: primary_key.iter().filter_map(|key| known.iter().position(|name| name == key)).collect(),
            filled: added.iter().map(|_| AtomicBool::new(false)).collect(),
            added,
            written,
            personal,
        }
    }

    /// What becomes of personal data.
    pub fn personal(&self) -> &PersonalData {
        &self.personal
    }

    /// The selected columns that no record has had a value for, and that this version does not know.
    pub fn empty_columns(&self) -> impl Iterator<Item = &str> {
        let added = self.added.iter().zip(self.filled.iter());
        added.filter(|(_, is_filled)| !is_filled.load(Ordering::Relaxed)).map(|((name, ..), _)| name.as_str())
    }

    /// Whether the column is written; a stream need not fetch what nobody asked for.
    pub fn has<R: Record>(&self, column: &str) -> bool {
        self.columns.iter().any(|(index, _)| R::COLUMNS.get(*index) == Some(&column))
    }
}

/// What is known of the value of a column as far as people go.
fn place_of<R: Record>(column: &str) -> personal::Place {
    match column {
        _ if R::PERSONAL.contains(&column) => personal::Place::Personal,
        _ if R::PEOPLE.contains(&column) => personal::Place::People,
        _ => personal::Place::Settings,
    }
}

/// So many bits of a hash are kept: a state has room for two hashes of each record.
const HASH_BITS: u32 = 40;

fn short(hasher: &DefaultHasher) -> u64 {
    hasher.finish() >> (u64::BITS - HASH_BITS)
}

/// A hash of the record's primary key, whether or not its columns are selected.
fn hash_of_key<R: Record>(format: &Format, record: &R) -> u64 {
    let mut key = Json { bytes: Vec::with_capacity(64), is_lossy: false };
    for index in &format.keys {
        record.write(*index, &mut key);
        key.push(b',');
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&key.bytes);
    short(&hasher)
}

fn key(name: &str) -> Vec<u8> {
    format!("{}:", Value::from(name)).into_bytes()
}

/// Finished lines, ready for the writer.
#[derive(Debug, Default)]
pub struct Rows {
    /// Whole lines.
    pub bytes: Vec<u8>,
    /// How many records they are.
    pub count: u64,
    /// The latest cursor value among them and among those that had been written before.
    pub latest: Option<Timestamp>,
    /// Records that the next sync may read again.
    pub recent: Vec<Remembered>,
    /// How many values could not be written as they came, by column.
    pub changes: BTreeMap<String, u64>,
    /// Whether records may be taken out again: then those that earlier syncs have written stay known.
    pub is_tentative: bool,
}

/// What became of a value that could not be written as it came, in the protocol's word.
#[derive(Clone, Copy)]
enum Change {
    /// It is null.
    Nulled,
    /// Something is missing in it, or is another text.
    Truncated,
}

/// A place between two records of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    count: u64,
    recent: usize,
}

impl Rows {
    /// The records of a page of `slice` that are due.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn of_page<R: Record + Shape>(
        reading: &Reading,
        slice: &Slice,
        page: Vec<R>,
    ) -> Result<(Self, Option<Seen>), StreamError> {
        let (mut rows, mut seen) = (Self::default(), None);
        for mut record in page {
            let times = record.shape(reading.format.personal())?;
            Seen::note(&mut seen, slice, times.created);
            if slice.window().takes(times.created) && reading.is_due(&times) {
                rows.push(&reading.format, &record, Some(times));
            }
        }
        Ok((rows, seen))
    }

    /// Adds a record, unless an earlier sync has written it just so.
    pub fn push<R: Record>(&mut self, format: &Format, record: &R, times: Option<Times>) {
        let line_begins = self.bytes.len();
        let (begins, volatile, changes) = self.push_line(format, record);
        self.latest = self.latest.max(times.map(|times| times.cursor));
        if let Some(times) = times.filter(|times| format.written.wants_hash(times.settled)) {
            let (key, content) = (hash_of_key(format, record), self.hash(begins, &volatile));
            let is_unchanged = format.written.holds(key, content);
            self.recent.push(Remembered { key, content, settled: times.settled, was_written: !is_unchanged });
            if is_unchanged {
                self.bytes.truncate(line_begins);
                return;
            }
            if !self.is_tentative {
                format.written.forget(key);
            }
        }
        keep_on_one_line(&mut self.bytes, begins);
        // Writing to memory cannot fail.
        let _ = write!(self.bytes, ",\"emitted_at\":{}", crate::seams::now().timestamp_millis());
        self.push_changes(changes);
        self.bytes.extend_from_slice(b"}}\n");
        self.count += 1;
    }

    /// Where the next record will stand.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), count: self.count, recent: self.recent.len() }
    }

    /// Takes out the records between two marks. Marks behind them no longer hold.
    pub fn remove(&mut self, from: Mark, to: Mark) {
        self.bytes.drain(from.bytes..to.bytes);
        self.recent.drain(from.recent..to.recent);
        self.count -= to.count - from.count;
    }

    /// The lines between two marks.
    pub fn between(&self, from: Mark, to: Mark) -> &[u8] {
        &self.bytes[from.bytes..to.bytes]
    }

    /// Tells with the record what became of values that could not be written as they came.
    fn push_changes(&mut self, changes: Vec<(&str, Change)>) {
        let mut separator = ",\"meta\":{\"changes\":[";
        for (column, change) in &changes {
            let change = match change {
                Change::Nulled => "NULLED",
                Change::Truncated => "TRUNCATED",
            };
            let field = Value::from(*column);
            // Writing to memory cannot fail.
            let _ = write!(
                self.bytes,
                r#"{separator}{{"field":{field},"change":"{change}","reason":"SOURCE_SERIALIZATION_ERROR"}}"#
            );
            separator = ",";
            *self.changes.entry((*column).to_owned()).or_default() += 1;
        }
        if !changes.is_empty() {
            self.bytes.extend_from_slice(b"]}");
        }
    }

    /// Whether an earlier sync has written the record just so: see `Rows::hash` for its volatile columns.
    pub fn holds<R: Record>(format: &Format, record: &R) -> bool {
        if format.written.is_empty() {
            return false;
        }
        let mut rows = Self::default();
        let (begins, volatile, _) = rows.push_line(format, record);
        format.written.holds(hash_of_key(format, record), rows.hash(begins, &volatile))
    }

    /// Writes a line as far as the record goes.
    fn push_line<'f, R: Record>(&mut self, format: &'f Format, record: &R) -> Pushed<'f> {
        let mut line = Line::of(std::mem::take(&mut self.bytes));
        line.json.extend_from_slice(&format.prefix);
        let begins = line.json.bytes.len();
        line.push_columns(format, record);
        line.push_added(format, record);
        line.json.push(b'}');
        let Line { json, volatile, changes } = line;
        self.bytes = json.bytes;
        (begins, volatile, changes)
    }

    /// A hash of the record that begins at `begins`. Of the `volatile` parts it counts only whether they are null.
    ///
    /// The algorithm is the standard library's; should another release of it hash differently, the records
    /// of the last minutes are written once more.
    fn hash(&self, begins: usize, volatile: &[(usize, usize)]) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut from = begins;
        for (begins, ends) in volatile {
            hasher.write(&self.bytes[from..*begins]);
            hasher.write_u8(u8::from(&self.bytes[*begins..*ends] == b"null"));
            from = *ends;
        }
        hasher.write(&self.bytes[from..]);
        short(&hasher)
    }

    /// Adds the rows of `other`.
    pub fn append(&mut self, other: Self) {
        if self.bytes.is_empty() {
            self.bytes = other.bytes;
        } else {
            self.bytes.extend_from_slice(&other.bytes);
        }
        self.count += other.count;
        self.latest = self.latest.max(other.latest);
        self.recent.extend(other.recent);
        for (column, count) in other.changes {
            *self.changes.entry(column).or_default() += count;
        }
    }
}

/// A line that is being written.
/// Where a record begins in its line, where its volatile columns stand, and the columns that could not be written as
/// they came.
type Pushed<'f> = (usize, Vec<(usize, usize)>, Vec<(&'f str, Change)>);

struct Line<'f> {
    json: Json,
    /// Where the volatile columns stand.
    volatile: Vec<(usize, usize)>,
    /// Columns with a value that could not be written as it came.
    changes: Vec<(&'f str, Change)>,
}

impl<'f> Line<'f> {
    /// A line behind those in `bytes`.
    fn of(bytes: Vec<u8>) -> Self {
        Self { json: Json { bytes, is_lossy: false }, volatile: Vec::new(), changes: Vec::new() }
    }

    /// Writes the selected columns.
    fn push_columns<R: Record>(&mut self, format: &Format, record: &R) {
        let mut separator = b'{';
        for (index, key) in &format.columns {
            let column = R::COLUMNS[*index];
            self.json.push(separator);
            self.json.extend_from_slice(key);
            let begins = self.json.bytes.len();
            record.write(*index, &mut self.json);
            self.note_loss(column, begins);
            if let Some(hiding) = format.personal.hiding() {
                self.hide(begins, hiding, place_of::<R>(column));
            }
            if R::VOLATILE.contains(&column) {
                self.volatile.push((begins, self.json.bytes.len()));
            }
            separator = b',';
        }
    }

    /// Writes the selected columns that this version does not know.
    fn push_added<R: Record>(&mut self, format: &'f Format, record: &R) {
        let mut separator = if format.columns.is_empty() { b'{' } else { b',' };
        for ((name, kind, key), is_filled) in format.added.iter().zip(format.filled.iter()) {
            self.json.push(separator);
            self.json.extend_from_slice(key);
            let begins = self.json.bytes.len();
            match record.others().iter().find(|(other, _)| other == name || snake_case(other) == *name) {
                Some((other, value)) => {
                    is_filled.store(true, Ordering::Relaxed);
                    let typed = Typed { json: value.get(), kind: *kind, place: Place::Open.below(other) };
                    typed.write_json(&mut self.json);
                    self.note_loss(name, begins);
                    if let Some(hiding) = format.personal.hiding() {
                        self.hide_typed(begins, *kind, hiding, personal::Place::People.below(other));
                    }
                }
                None => self.json.extend_from_slice(b"null"),
            }
            separator = b',';
        }
    }

    /// Notes what was lost of the column whose value begins at `begins`.
    fn note_loss(&mut self, column: &'f str, begins: usize) {
        if std::mem::take(&mut self.json.is_lossy) {
            let is_null = self.json.bytes[begins..] == *b"null";
            self.changes.push((column, if is_null { Change::Nulled } else { Change::Truncated }));
        }
    }

    /// Hides what is personal in the value that begins at `begins`.
    fn hide(&mut self, begins: usize, hiding: Hiding<'_>, place: personal::Place) {
        // What has been written is JSON, which is UTF-8.
        let Ok(json) = std::str::from_utf8(&self.json.bytes[begins..]) else { return };
        if let Cow::Owned(hidden) = hiding.hidden(json, place) {
            self.json.bytes.truncate(begins);
            self.json.extend_from_slice(hidden.as_bytes());
        }
    }

    /// The same of a value that no column knows. What stands instead of it fits its type.
    fn hide_typed(&mut self, begins: usize, kind: Kind, hiding: Hiding<'_>, place: personal::Place) {
        self.hide(begins, hiding, place);
        let hidden = self.json.bytes.split_off(begins);
        let json = std::str::from_utf8(&hidden).unwrap_or("null");
        Typed { json, kind, place: Place::Open }.write_json(&mut self.json);
        self.json.is_lossy = false;
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::contract::Hashes;
    use super::*;

    record! {
        /// A record to try things on.
        Sample {
            /// A text.
            id: Text<'a>,
            /// A number.
            r#type: Integer<'a> = "kind" | "type",
            /// A link.
            url: Text<'a>,
        }
        drops ["old"]
        volatile ["url"]
    }

    fn format(selected: Option<&[&str]>, written: Arc<Written>) -> Format {
        let typed = |name: &str| {
            (name.to_owned(), serde_json::json!({ "type": if name == "new_flag" { "boolean" } else { "object" } }))
        };
        let selected: Option<Vec<_>> = selected.map(|names| names.iter().map(|name| typed(name)).collect());
        Format::new(b"P".to_vec(), Sample::COLUMNS, &["id"], selected.as_deref(), written, PersonalData::Keep)
    }

    fn line(selected: Option<&[&str]>, json: &str) -> String {
        let mut rows = Rows::default();
        let record: Sample<'_> = serde_json::from_str(json).unwrap();
        rows.push(&format(selected, Arc::default()), &record, None);
        let line = String::from_utf8(rows.bytes).unwrap();
        assert!(line.ends_with("}}\n") && line.matches('\n').count() == 1, "{line}");
        line.split(",\"emitted_at\"").next().unwrap().to_owned()
    }

    #[test]
    fn only_selected_columns_are_written_and_each_is_there() {
        let json = r#"{"id":"a","newField":{"credentials":"s"},"old":1}"#;
        assert_eq!(line(None, json), r#"P{"id":"a","type":null,"url":null}"#);
        assert_eq!(
            line(Some(&["type", "new_field", "other"]), json),
            r#"P{"type":null,"new_field":{"credentials":"**********"},"other":null}"#
        );
        assert_eq!(
            line(Some(&["other", "new_field"]), json),
            r#"P{"other":null,"new_field":{"credentials":"**********"}}"#
        );
        let some = format(Some(&["type"]), Arc::default());
        assert!(some.has::<Sample<'_>>("type") && !some.has::<Sample<'_>>("id"));
    }

    #[test]
    fn a_column_that_the_api_has_added_keeps_the_type_it_was_offered_with() {
        for (value, expected) in [("true", "true"), ("\"true\"", "true"), ("5", "null"), ("[]", "null")] {
            let json = format!(r#"{{"newFlag":{value}}}"#);
            assert_eq!(line(Some(&["new_flag"]), &json), format!(r#"P{{"new_flag":{expected}}}"#));
        }
    }

    #[test]
    fn a_column_takes_the_preferred_spelling_that_is_not_null() {
        assert!(line(None, r#"{"type":1,"kind":2}"#).contains(r#""type":2"#));
        assert!(line(None, r#"{"kind":2,"type":1}"#).contains(r#""type":2"#));
        assert!(line(None, r#"{"type":1,"kind":null}"#).contains(r#""type":1"#));
    }

    #[test]
    fn a_record_is_one_line_whatever_the_api_wrote() {
        let expected = "P{\"id\":\"a\\u2028b\\u2029c\\u0085dé€\u{a0}\"}";
        assert_eq!(line(Some(&["id"]), "{\"id\":\"a\u{2028}b\u{2029}c\u{85}dé€\u{a0}\"}"), expected);
        let pretty = "{\"newField\":{\n\"a\": 1\r\n}}";
        assert_eq!(line(Some(&["new_field"]), pretty), "P{\"new_field\":{ \"a\": 1  }}");
    }

    fn pushed(written: &Arc<Written>, json: &str, changed: Timestamp) -> Rows {
        let mut rows = Rows::default();
        let record: Sample<'_> = serde_json::from_str(json).unwrap();
        rows.push(&format(None, Arc::clone(written)), &record, Some(Times::new(changed, changed)));
        rows
    }

    #[test]
    fn what_has_been_written_just_so_is_not_written_again() {
        let now = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        let first = pushed(&Arc::default(), r#"{"id":"a","url":"https://x?sig=1"}"#, now);
        let written = Written::new(first.recent.iter().map(|row| (row.key, row.content)).collect());
        let again = pushed(&written, r#"{"id":"a","url":"https://x?sig=2"}"#, now);
        assert_eq!((again.count, again.bytes.len()), (0, 0), "only the link differs");
        let unchanged = Remembered { was_written: false, ..first.recent[0] };
        assert_eq!((again.latest, again.recent), (first.latest, vec![unchanged]), "and it stays known");
        assert_eq!(pushed(&written, r#"{"id":"a","type":1}"#, now).count, 1);
        assert_eq!(pushed(&written, r#"{"id":"a","url":"https://x?sig=1"}"#, now).count, 1, "it has changed back");
        assert_eq!(pushed(&written, r#"{"id":"b","url":"https://x?sig=1"}"#, now).count, 1, "another record");
        assert_eq!(pushed(&written, r#"{"id":"a","url":null}"#, now).count, 1, "the link is gone");
    }

    #[test]
    fn only_records_of_the_last_minutes_are_hashed() {
        let now = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        let written = Written::new(Hashes::new());
        written.remember_from(now);
        assert_eq!(pushed(&written, r#"{"id":"a"}"#, now).recent.len(), 1);
        assert_eq!(pushed(&written, r#"{"id":"a"}"#, now - TimeDelta::seconds(1)).recent.len(), 0);
    }

    #[test]
    fn the_last_change_is_never_before_the_creation() {
        let read = |created: &str, updated: &str, id: &str| {
            let time = |text: &str| Timestamp::parse(text).map_or(Time::Never, Time::At);
            let (mut created_at, mut updated_at) = (time(created), time(updated));
            let times = fill_times(id, &mut created_at, &mut updated_at).unwrap();
            assert_eq!(updated_at, times.changed.into());
            (created_at.get().map(|time| time.to_string()[..10].to_owned()), times.changed.to_string()[..10].to_owned())
        };
        let (old, new, id) = ("2023-07-01T00:00:00Z", "2024-05-03T00:00:00Z", "66321880f1f77bcf86cd7994");
        let date = |text: &str| text[..10].to_owned();
        assert_eq!(read(old, new, id), (Some(date(old)), date(new)));
        assert_eq!(read(new, old, id), (Some(date(new)), date(new)), "a copy with the date of its original");
        assert_eq!(read(new, "", id), (Some(date(new)), date(new)));
        assert_eq!(read("", "", id), (Some(date("2024-05-01")), date("2024-05-01")), "the time in the id");
        assert_eq!(read("", old, id), (Some(date("2024-05-01")), date("2024-05-01")));
        assert_eq!(read("", new, "a"), (None, date(new)));
    }

    #[test]
    fn what_logic_reads_is_required() {
        assert!(fill_times("a", &mut Time::Never, &mut Time::Never).is_err());
        assert!(id(serde_json::from_str("\"\"").unwrap()).is_err());
    }
}
