//! What records are made of: field types with their schema, and rows of finished bytes.
//!
//! A record is turned into its JSON line once, straight from what the API sent; no tree is built.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::secrets::{Masked, Place};
use super::time::Timestamp;
use super::{RecordError, snake_case};
use crate::api::Raw;

/// A record type: its columns in the order of its fields.
pub trait Record {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];
    /// Writes the JSON value of the column at `index`.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    fn write(&self, index: usize, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

/// Declares a record type: a struct with a documented schema, and how its columns are written.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(schemars::JsonSchema)]
        pub(crate) struct $name<'a> { $($(#[$field_doc])* pub(crate) $field: $type,)+ }

        impl $crate::streams::record::Record for $name<'_> {
            const COLUMNS: &'static [&'static str] = &[$($crate::streams::record::column(stringify!($field))),+];

            fn write(&self, index: usize, out: &mut Vec<u8>) -> serde_json::Result<()> {
                let mut column = 0;
                $(
                    if index == column {
                        return serde_json::to_writer(out, &self.$field);
                    }
                    column += 1;
                )+
                let _ = column;
                Ok(())
            }
        }
    };
}
pub(crate) use record;

/// The column of a field: its name without `r#`.
pub(crate) const fn column(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Which columns of a stream to write, and what stands around them in a line.
#[derive(Debug, Clone)]
pub struct Format {
    /// Everything of a line before the record's first `{`.
    prefix: Vec<u8>,
    /// Index into [`Record::COLUMNS`], and `"name":`.
    columns: Vec<(usize, Vec<u8>)>,
    /// Columns the API has added since this version was made, and `"name":`.
    added: Vec<(String, Vec<u8>)>,
}

impl Format {
    /// The columns `selected` out of `known`; `None` means all known ones. A selected name that is not
    /// known is taken from the API's answer, when it has it.
    pub fn new(prefix: Vec<u8>, known: &[&str], selected: Option<&[String]>) -> Self {
        let chosen = |name: &str| selected.is_none_or(|selected| selected.iter().any(|chosen| chosen == name));
        let is_added = |name: &&String| !known.contains(&name.as_str());
        Self {
            prefix,
            columns: known
                .iter()
                .enumerate()
                .filter(|(_, name)| chosen(name))
                .map(|(index, name)| (index, key(name)))
                .collect(),
            added: selected.unwrap_or_default().iter().filter(is_added).map(|name| (name.clone(), key(name))).collect(),
        }
    }

    /// Whether the column is written; a stream need not fetch what nobody asked for.
    pub fn has(&self, known: &[&str], column: &str) -> bool {
        self.columns.iter().any(|(index, _)| known.get(*index) == Some(&column))
    }
}

fn key(name: &str) -> Vec<u8> {
    format!("{}:", Value::from(name)).into_bytes()
}

/// Fields of an answer that this version does not know.
pub type Others<'o, 'a> = &'o [(Cow<'a, str>, &'a RawValue)];

/// Finished lines, ready for the writer.
#[derive(Debug)]
pub struct Rows {
    /// Whole lines.
    pub bytes: Vec<u8>,
    /// How many records they are.
    pub count: u64,
    /// The latest cursor value among them.
    pub latest: Option<Timestamp>,
    suffix: Vec<u8>,
}

impl Default for Rows {
    fn default() -> Self {
        let emitted_at = chrono::Utc::now().timestamp_millis();
        let suffix = format!(",\"emitted_at\":{emitted_at}}}}}\n").into_bytes();
        Self { bytes: Vec::new(), count: 0, latest: None, suffix }
    }
}

impl Rows {
    /// Adds a record whose cursor value is `cursor`.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn push<R: Record>(
        &mut self,
        format: &Format,
        record: &R,
        cursor: Option<Timestamp>,
        others: Others<'_, '_>,
    ) -> serde_json::Result<()> {
        self.bytes.extend_from_slice(&format.prefix);
        let begins = self.bytes.len();
        let mut separator = b'{';
        for (index, key) in &format.columns {
            self.bytes.push(separator);
            self.bytes.extend_from_slice(key);
            record.write(*index, &mut self.bytes)?;
            separator = b',';
        }
        for (name, key) in &format.added {
            self.bytes.push(separator);
            self.bytes.extend_from_slice(key);
            let value = others.iter().find(|(other, _)| other == name || snake_case(other) == *name);
            match value {
                Some((other, raw)) => {
                    serde_json::to_writer(&mut self.bytes, &Masked::new(raw, Place::Open.below(other)))?;
                }
                None => self.bytes.extend_from_slice(b"null"),
            }
            separator = b',';
        }
        self.bytes.push(b'}');
        keep_on_one_line(&mut self.bytes, begins);
        self.bytes.extend_from_slice(&self.suffix);
        self.count += 1;
        self.latest = self.latest.max(cursor);
        Ok(())
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
    }
}

/// Escapes what JSON allows in a line and line-splitting readers do not survive: U+2028, U+2029 and
/// U+0085; and blanks out line breaks between the tokens of a value that came pretty-printed.
pub fn keep_on_one_line(bytes: &mut Vec<u8>, begins: usize) {
    let is_break = |at: usize, bytes: &[u8]| match bytes[at..] {
        [0xc2, 0x85, ..] => Some((2, "\\u0085")),
        [0xe2, 0x80, 0xa8, ..] => Some((3, "\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => Some((3, "\\u2029")),
        _ => None,
    };
    let mut from = begins;
    while let Some(found) = memchr::memchr2(0xc2, 0xe2, &bytes[from..]) {
        let at = from + found;
        from = at + 1;
        if let Some((length, escape)) = is_break(at, bytes) {
            bytes.splice(at..at + length, escape.bytes());
            from = at + escape.len();
        }
    }
    // A raw line break can only stand between tokens: inside strings JSON forbids it.
    if memchr::memchr2(b'\n', b'\r', &bytes[begins..]).is_some() {
        bytes[begins..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

/// Declares a field type around the API's own JSON.
macro_rules! field_types {
    ($($(#[$doc:meta])* $name:ident => $schema:tt)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        pub struct $name<'a>(pub Raw<'a>);

        impl JsonSchema for $name<'_> {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

field_types! {
    /// A string. Another kind of value becomes its JSON text, so that the column stays a string.
    Text => { "type": ["null", "string"] }
    /// A whole number of 64 bits, also when the API writes it as `12.0` or `"12"`.
    Integer => { "type": ["null", "integer"] }
    /// A number, also when the API writes it as a string.
    Number => { "type": ["null", "number"] }
    /// A boolean.
    Flag => { "type": ["null", "boolean"] }
    /// An object as the API has it, with its secrets masked.
    Object => { "type": ["null", "object"], "additionalProperties": true }
    /// A list of strings.
    Texts => { "type": ["null", "array"], "items": { "type": ["null", "string"] } }
    /// A link to a meeting, its token masked.
    MeetingUrl => { "type": ["null", "string"] }
    /// A webhook, the values of its headers masked.
    Webhook => { "type": ["null", "object"], "additionalProperties": true }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(raw) if !raw.get().starts_with('"') => {
                let json = serde_json::to_string(&Masked::new(raw, Place::Open)).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(&json)
            }
            raw => raw.serialize(serializer),
        }
    }
}

/// A value as the API has it. Should an object stand where a plain value is expected, its secrets are masked.
fn open(raw: Raw<'_>) -> Option<Masked<'_>> {
    raw.map(|raw| Masked::new(raw, Place::Open))
}

impl Serialize for Integer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.and_then(number) {
            Some(number) => whole(number).serialize(serializer),
            None => open(self.0).serialize(serializer),
        }
    }
}

/// The whole part of a number, as an integer when it is one.
fn whole(number: serde_json::Number) -> serde_json::Number {
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            (float as i64).into()
        }
        _ => number,
    }
}

/// The number in `raw`, also when it is written as a string.
pub fn number(raw: &RawValue) -> Option<serde_json::Number> {
    serde_json::from_str(raw.get()).or_else(|_| serde_json::from_str(raw.get().trim_matches('"'))).ok()
}

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.filter(|raw| raw.get().starts_with('"')).and_then(number) {
            Some(number) => number.serialize(serializer),
            None => open(self.0).serialize(serializer),
        }
    }
}

impl Serialize for Flag<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        open(self.0).serialize(serializer)
    }
}

impl Serialize for MeetingUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(|raw| Masked::new(raw, Place::MeetingUrl)).serialize(serializer)
    }
}

impl Serialize for Webhook<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(|raw| Masked::new(raw, Place::Webhook)).serialize(serializer)
    }
}

/// The text of a JSON string; `None` for anything else, and for an empty one.
pub fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    let raw = raw?.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
    .filter(|text| !text.is_empty())
}

/// The id of an API object, which keys and pages depend on.
///
/// # Errors
/// When it is missing, empty or not a string.
pub fn id<'a>(raw: Raw<'a>) -> Result<Cow<'a, str>, RecordError> {
    text(raw).ok_or_else(|| RecordError::new(None, "id", "is missing"))
}

/// A time the record can do without; `null`, empty and zero are `None`.
///
/// # Errors
/// When there is a value and it is no time.
pub fn optional_time(raw: Raw<'_>, id: &str, field: &'static str) -> Result<Option<Timestamp>, RecordError> {
    match raw.map(RawValue::get) {
        None | Some("\"\"") => Ok(None),
        Some(_) => match text(raw).and_then(|text| Timestamp::parse(&text)) {
            Some(time) => Ok(Some(time).filter(|time| !time.is_zero())),
            None => Err(RecordError::new(Some(id), field, "is not a time")),
        },
    }
}

/// When an object was created and last changed; one that never changed did so when it was created.
///
/// # Errors
/// When there is no creation time, or one of the two is no time.
pub fn times(id: &str, created: Raw<'_>, updated: Raw<'_>) -> Result<(Timestamp, Timestamp), RecordError> {
    let created_at = optional_time(created, id, "created_at")?;
    let created_at = created_at.ok_or_else(|| RecordError::new(Some(id), "created_at", "is missing"))?;
    Ok((created_at, optional_time(updated, id, "updated_at")?.unwrap_or(created_at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// A record to try things on.
        Sample {
            /// A text.
            id: Text<'a>,
            /// A number.
            r#type: Integer<'a>,
        }
    }

    fn raw(json: &str) -> Raw<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn line(format: &Format, id: &str, kind: &str, others: &str) -> String {
        let others: Vec<(Cow<'_, str>, &RawValue)> =
            vec![(Cow::Borrowed("newField"), serde_json::from_str(others).unwrap())];
        let mut rows = Rows::default();
        rows.push(format, &Sample { id: Text(raw(id)), r#type: Integer(raw(kind)) }, None, &others).unwrap();
        let line = String::from_utf8(rows.bytes).unwrap();
        line.split(",\"emitted_at\"").next().unwrap().to_owned()
    }

    #[test]
    fn only_selected_columns_are_written_and_each_is_there() {
        let all = Format::new(b"P".to_vec(), Sample::COLUMNS, None);
        assert_eq!(line(&all, r#""a""#, "null", "1"), r#"P{"id":"a","type":null"#.to_owned() + "}");
        let some = ["type".to_owned(), "new_field".to_owned(), "other".to_owned()];
        let some = Format::new(Vec::new(), Sample::COLUMNS, Some(&some));
        assert_eq!(
            line(&some, "1", "2", "{\"credentials\":\"s\"}"),
            r#"{"type":2,"new_field":{"credentials":"**********"},"other":null}"#
        );
        assert!(some.has(Sample::COLUMNS, "type") && !some.has(Sample::COLUMNS, "id"));
    }

    #[test]
    fn a_record_is_one_line_whatever_the_api_wrote() {
        let format = Format::new(Vec::new(), Sample::COLUMNS, None);
        let id = "\"a\u{2028}b\u{2029}c\u{85}dé€\u{a0}\"";
        let expected = "{\"id\":\"a\\u2028b\\u2029c\\u0085dé€\u{a0}\",\"type\":null}";
        assert_eq!(line(&format, id, "null", "1"), expected);
        let pretty = Format::new(Vec::new(), &[], Some(&["new_field".to_owned()]));
        assert_eq!(line(&pretty, "1", "1", "{\n\"a\": 1\r\n}"), "{\"new_field\":{ \"a\": 1  }}");
    }

    #[test]
    fn columns_keep_their_type_when_the_api_changes_its_mind() {
        for (json, expected) in
            [("12", "12"), ("12.0", "12"), ("\"12\"", "12"), ("\"x\"", "\"x\""), ("1.5", "1.5"), ("null", "null")]
        {
            assert_eq!(serde_json::to_string(&Integer(raw(json))).unwrap(), expected);
        }
        for (json, expected) in
            [("\"a\\n\"", "\"a\\n\""), ("5", "\"5\""), ("{\"a\":\"b\"}", "\"{\\\"a\\\":\\\"b\\\"}\"")]
        {
            assert_eq!(serde_json::to_string(&Text(raw(json))).unwrap(), expected);
        }
    }

    #[test]
    fn times_are_required_where_logic_reads_them() {
        assert_eq!(optional_time(raw("\"0001-01-01T00:00:00Z\""), "a", "t").unwrap(), None);
        assert_eq!(optional_time(raw("\"\""), "a", "t").unwrap(), None);
        assert!(optional_time(raw("5"), "a", "t").is_err());
        assert!(times("a", None, None).is_err());
        assert!(id(raw("\"\"")).is_err() && id(raw("7")).is_err());
    }
}
