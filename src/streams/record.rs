//! How records are written: the columns of a record type, and rows of finished bytes.
//!
//! A record is turned into its JSON line once, straight from what the API sent; no tree is built.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::secrets::{Masked, Place};
use super::snake_case;
use super::time::Timestamp;
use super::values::keep_on_one_line;

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

#[cfg(test)]
mod tests {
    use super::super::values::{Integer, Text};
    use super::*;
    use crate::api::Raw;

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
}
