//! Rows: records as finished lines, with the hashes that tell whether they have changed since an earlier sync.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::column::{Column, Kind, Table};
use super::personal::{PersonalData, PersonalPlace};
use super::record::{Record, Times};
use super::secrets::Place;
use super::time::Timestamp;
use super::value::{Json, keep_on_one_line};
use crate::seams::locked;

/// Which columns of a stream to write, and what stands around them in a line.
#[derive(Debug, Clone)]
pub struct Format {
    /// Everything of a line before the record's first `{`; empty when a line is the record alone, as in a file.
    prefix: Vec<u8>,
    columns: Arc<[Selected]>,
    /// Places in the table.
    primary_key: Vec<usize>,
    /// What earlier syncs have written, which is not written again.
    written: Arc<WrittenHashes>,
    /// How personal data is written.
    pub personal: PersonalData,
}

/// A column that is written.
#[derive(Debug)]
struct Selected {
    name: String,
    /// `"name":`
    key: String,
    kind: Kind,
    /// Where it stands in the table; `None` when the API has added it since this version was made.
    place: Option<usize>,
    /// Whether an added column has had a value.
    is_filled: AtomicBool,
}

impl Selected {
    fn new(name: &str, kind: Kind, place: Option<usize>) -> Self {
        let key = format!("{}:", Value::from(name));
        Self { name: name.to_owned(), key, kind, place, is_filled: AtomicBool::new(false) }
    }
}

impl Format {
    /// The columns `selected` out of those of `table`, each with its JSON schema; `None` means all of the table. A
    /// selected name that is not in the table is taken from the API's answer, when it has it.
    pub fn new(
        prefix: Vec<u8>,
        table: &'static Table,
        primary_key: &[&str],
        selected: Option<&[(String, Value)]>,
        written: Arc<WrittenHashes>,
        personal: PersonalData,
    ) -> Self {
        let is_selected = |name: &str| selected.is_none_or(|names| names.iter().any(|(selected, _)| selected == name));
        let columns = table.columns.iter().enumerate();
        let known = columns.filter(|(_, column)| column.kind != Kind::Dropped && is_selected(column.name));
        let known = known.map(|(place, column)| Selected::new(column.name, column.kind, Some(place)));
        let is_added = |name: &str| table.columns.iter().all(|column| column.name != name);
        let added = selected.unwrap_or_default().iter().filter(|(name, _)| is_added(name));
        let added = added.map(|(name, schema)| Selected::new(name, Kind::of(schema), None));
        let is_key = |index: &usize| primary_key.contains(&table.columns[*index].name);
        Self {
            prefix,
            columns: known.chain(added).collect(),
            primary_key: (0..table.columns.len()).filter(is_key).collect(),
            written,
            personal,
        }
    }

    /// The selected columns that this version does not know and that no record has had a value for.
    pub fn empty_columns(&self) -> impl Iterator<Item = &str> {
        let is_empty = |column: &&Selected| column.place.is_none() && !column.is_filled.load(Ordering::Relaxed);
        self.columns.iter().filter(is_empty).map(|column| column.name.as_str())
    }

    /// Whether the column is written; a stream need not fetch what nobody selected.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|selected| selected.name == column)
    }

    /// A hash of the record's primary key, whether or not its columns are selected.
    fn hash_of_key(&self, record: &Record<'_>) -> u64 {
        let mut key = Json::default();
        for index in &self.primary_key {
            record.write(*index, &mut key);
            key.push(b',');
        }
        hash_of(&[&key.bytes])
    }
}

/// A hash of these bytes, one after the other.
///
/// The algorithm is the standard library's; should another release of it hash differently, the records
/// of the last minutes are written once more.
fn hash_of(parts: &[&[u8]]) -> u64 {
    /// So many bits are kept: a state has room for two hashes of each record.
    const BITS: u32 = 40;
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish() >> (u64::BITS - BITS)
}

/// Finished lines, ready for the writer.
#[derive(Debug, Default)]
pub struct Rows {
    /// Whole lines.
    pub bytes: Vec<u8>,
    /// The number of records.
    pub count: u64,
    /// The latest cursor value among them and among those that had been written before.
    pub latest: Option<Timestamp>,
    /// Records that the next sync may read again.
    pub recent: Vec<Remembered>,
    /// How many values could not be written as they came, by column.
    pub changes: BTreeMap<String, u64>,
    /// Whether the records may be discarded: then those that earlier syncs have written stay known.
    pub is_tentative: bool,
}

impl Rows {
    /// Adds a record, unless an earlier sync has written it with the same content.
    pub fn push(&mut self, format: &Format, record: &Record<'_>, times: Option<Times>) {
        self.push_with_link(format, record, times, "");
    }

    /// Adds a record with a link to this file. Links differ each time, so a hash counts the file instead.
    pub fn push_with_link(&mut self, format: &Format, record: &Record<'_>, times: Option<Times>, file: &str) {
        let line_begins = self.bytes.len();
        let line = Line::write(std::mem::take(&mut self.bytes), format, record);
        self.latest = self.latest.max(times.map(|times| times.cursor));
        if let Some(times) = times.filter(|times| format.written.wants_hash(times.recheck_until)) {
            let (key, content) = (format.hash_of_key(record), line.hash(file));
            let was_written = !format.written.holds(key, content);
            self.recent.push(Remembered { key, content, recheck_until: times.recheck_until, was_written });
            if !was_written {
                self.bytes = line.json.bytes;
                return self.bytes.truncate(line_begins);
            }
            if !self.is_tentative {
                format.written.forget(key);
            }
        }
        for (column, _) in &line.losses {
            *self.changes.entry((*column).to_owned()).or_default() += 1;
        }
        self.bytes = line.finished(format.prefix.is_empty());
        self.count += 1;
    }

    /// Whether an earlier sync has written the record with this content and with a link to this file.
    pub fn holds(format: &Format, record: &Record<'_>, file: &str) -> bool {
        if format.written.is_empty() {
            return false;
        }
        let content = Line::write(Vec::new(), format, record).hash(file);
        format.written.holds(format.hash_of_key(record), content)
    }

    /// Adds the rows of `other`.
    pub fn append(&mut self, other: Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
        self.latest = self.latest.max(other.latest);
        self.recent.extend(other.recent);
        for (column, count) in other.changes {
            *self.changes.entry(column).or_default() += count;
        }
    }
}

/// A line that is being written, behind those that stand in `json` already.
struct Line<'f> {
    json: Json,
    /// Where the record begins.
    begins: usize,
    /// Where a column stands that differs each time it is requested.
    volatile: Option<Range<usize>>,
    /// Columns with a value that could not be written as it came, with the protocol's word for what became of it.
    losses: Vec<(&'f str, &'static str)>,
}

impl<'f> Line<'f> {
    /// Writes a line behind those in `bytes`, as far as the record goes.
    fn write(bytes: Vec<u8>, format: &'f Format, record: &Record<'_>) -> Self {
        let mut json = Json { bytes, is_lossy: false };
        json.bytes.extend_from_slice(&format.prefix);
        let mut line = Self { begins: json.bytes.len(), json, volatile: None, losses: Vec::new() };
        line.json.push(b'{');
        format.columns.iter().for_each(|column| line.push(column, format, record));
        line.json.push(b'}');
        line
    }

    /// Writes a column, notes what was lost of it, and hides what is personal in it.
    fn push(&mut self, column: &'f Selected, format: &Format, record: &Record<'_>) {
        if self.json.bytes.len() > self.begins + 1 {
            self.json.push(b',');
        }
        self.json.raw(&column.key);
        let begins = self.json.bytes.len();
        let Some(place) = column.place else { return self.push_added(column, begins, format, record) };
        record.write(place, &mut self.json);
        self.note_loss(&column.name, begins);
        let Column { personal, is_volatile, .. } = record.table.columns[place];
        self.hide(begins, &format.personal, personal);
        if is_volatile {
            self.volatile = Some(begins..self.json.bytes.len());
        }
    }

    /// Writes the value of a column that this version does not know.
    fn push_added(&mut self, column: &'f Selected, begins: usize, format: &Format, record: &Record<'_>) {
        let Some((field, value)) = record.added(&column.name) else { return self.json.null() };
        column.is_filled.store(true, Ordering::Relaxed);
        column.kind.write_at(Place::Open.below(&field), &value, &mut self.json);
        self.note_loss(&column.name, begins);
        if self.hide(begins, &format.personal, PersonalPlace::People.below(&field)) {
            // What stands instead of the value must fit the column.
            let hidden = self.json.bytes.split_off(begins);
            column.kind.write(std::str::from_utf8(&hidden).unwrap_or("null"), &mut self.json);
            self.json.is_lossy = false;
        }
    }

    /// Notes what was lost of the value that begins at `begins`.
    fn note_loss(&mut self, column: &'f str, begins: usize) {
        if std::mem::take(&mut self.json.is_lossy) {
            let is_null = self.json.bytes[begins..] == *b"null";
            self.losses.push((column, if is_null { "NULLED" } else { "TRUNCATED" }));
        }
    }

    /// Hides what is personal in the value that begins at `begins`; returns whether that has changed it.
    fn hide(&mut self, begins: usize, personal: &PersonalData, place: PersonalPlace) -> bool {
        if matches!(personal, PersonalData::Keep) {
            return false;
        }
        // What has been written is JSON, which is UTF-8.
        let json = std::str::from_utf8(&self.json.bytes[begins..]).unwrap_or_default();
        let Cow::Owned(hidden) = personal.hidden(json, place) else { return false };
        self.json.bytes.truncate(begins);
        self.json.raw(&hidden);
        true
    }

    /// A hash of the record. Of the volatile column it counts only whether it is null, and the `file` that it is a
    /// link to.
    fn hash(&self, file: &str) -> u64 {
        let bytes = &self.json.bytes;
        let volatile = self.volatile.clone().unwrap_or(bytes.len()..bytes.len());
        let link = match &bytes[volatile.clone()] {
            stays @ (b"" | b"null") => stays,
            _ => file.as_bytes(),
        };
        hash_of(&[&bytes[self.begins..volatile.start], link, &bytes[volatile.end..]])
    }

    /// The line to its end. Around a record that does not stand alone it says when it was written, and what became of
    /// values that could not be kept.
    fn finished(self, is_alone: bool) -> Vec<u8> {
        let Self { mut json, losses, begins, .. } = self;
        keep_on_one_line(&mut json.bytes, begins);
        if is_alone {
            json.push(b'\n');
            return json.bytes;
        }
        // Writing to memory cannot fail.
        let _ = write!(json.bytes, ",\"emitted_at\":{}", crate::seams::now().timestamp_millis());
        if !losses.is_empty() {
            json.raw(",\"meta\":{\"changes\":");
            json.list(losses, |(column, change), out| {
                let field = Value::from(column);
                let change =
                    format!(r#"{{"field":{field},"change":"{change}","reason":"SOURCE_SERIALIZATION_ERROR"}}"#);
                out.raw(&change);
            });
            json.push(b'}');
        }
        json.raw("}}\n");
        json.bytes
    }
}

/// Hashes of written records, by a hash of each record's key.
pub type Hashes = BTreeMap<u64, u64>;

/// A record that the next sync may read again, with what tells whether it has changed by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// A hash of its key.
    pub key: u64,
    /// A hash of its content, volatile columns left out.
    pub content: u64,
    /// Until when a following sync looks at it again.
    pub recheck_until: Timestamp,
    /// Whether this sync has written it; false when it was unchanged.
    pub was_written: bool,
}

/// Hashes of written records, to skip unchanged ones inside the look-back.
#[derive(Debug, Default)]
pub struct WrittenHashes {
    /// What earlier syncs have written last, less what this sync has found changed: a record that changes
    /// back while it is read must be written once more.
    known: Mutex<Hashes>,
    /// Records that change from here on are remembered, in microseconds since 1970.
    remembered_from: AtomicI64,
}

impl WrittenHashes {
    /// Begins with what a saved state knows.
    pub fn new(known: Hashes) -> Arc<Self> {
        Arc::new(Self { known: Mutex::new(known), remembered_from: AtomicI64::new(i64::MIN) })
    }

    /// Whether a record that last changed at `changed` needs its hash.
    fn wants_hash(&self, changed: Timestamp) -> bool {
        !self.is_empty() || changed.as_micros() >= self.remembered_from.load(Ordering::Relaxed)
    }

    /// Whether earlier syncs have written nothing that is known.
    fn is_empty(&self) -> bool {
        locked(&self.known).is_empty()
    }

    /// Whether the record `key` has been written with this `content` and has not changed since.
    fn holds(&self, key: u64, content: u64) -> bool {
        locked(&self.known).get(&key) == Some(&content)
    }

    /// Notes that the record `key` is written anew.
    fn forget(&self, key: u64) {
        locked(&self.known).remove(&key);
    }

    /// From now on, only records that changed at or after `time` are of interest to the next sync.
    pub fn remember_from(&self, time: Timestamp) {
        self.remembered_from.store(time.as_micros(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::column::column;
    use super::*;

    static SAMPLE: Table = Table {
        description: "A record to try things on.",
        columns: &[
            column("id", Kind::Text, "A text."),
            column("type", Kind::Integer, "A number.").from(&["kind", "type"]),
            column("old", Kind::Dropped, "A duplicate."),
            column("url", Kind::Text, "A link.").volatile(),
        ],
    };

    fn record(json: &str) -> Record<'_> {
        Record::of(&SAMPLE, serde_json::from_str(json).unwrap())
    }

    fn format(selected: Option<&[&str]>, written: Arc<WrittenHashes>) -> Format {
        let typed = |name: &str| {
            (name.to_owned(), serde_json::json!({ "type": if name == "new_flag" { "boolean" } else { "object" } }))
        };
        let selected: Option<Vec<_>> = selected.map(|names| names.iter().map(|name| typed(name)).collect());
        Format::new(b"P".to_vec(), &SAMPLE, &["id"], selected.as_deref(), written, PersonalData::Keep)
    }

    fn line(selected: Option<&[&str]>, json: &str) -> String {
        let mut rows = Rows::default();
        let record = record(json);
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
        assert!(some.has("type") && !some.has("id"));
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

    fn pushed(written: &Arc<WrittenHashes>, json: &str, changed: Timestamp) -> Rows {
        let mut rows = Rows::default();
        let record = record(json);
        rows.push(&format(None, Arc::clone(written)), &record, Some(Times::new(changed, changed)));
        rows
    }

    #[test]
    fn what_has_been_written_just_so_is_not_written_again() {
        let now = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        let first = pushed(&Arc::default(), r#"{"id":"a","url":"https://x?sig=1"}"#, now);
        let written = WrittenHashes::new(first.recent.iter().map(|row| (row.key, row.content)).collect());
        let again = pushed(&written, r#"{"id":"a","url":"https://x?sig=2"}"#, now);
        assert_eq!((again.count, again.bytes.len()), (0, 0), "only the link differs");
        let unchanged = Remembered { was_written: false, ..first.recent[0] };
        assert_eq!((again.latest, again.recent), (first.latest, vec![unchanged]), "and it stays known");
        assert_eq!(pushed(&written, r#"{"id":"a","type":1}"#, now).count, 1);
        assert_eq!(pushed(&written, r#"{"id":"a","url":"https://x?sig=1"}"#, now).count, 1, "it has changed back");
        assert_eq!(pushed(&written, r#"{"id":"b","url":"https://x?sig=1"}"#, now).count, 1, "another record");
        assert_eq!(pushed(&written, r#"{"id":"a","url":null}"#, now).count, 1, "the link is gone");
        let record = record(r#"{"id":"a","url":"https://x?sig=3"}"#);
        let format = format(None, WrittenHashes::new(first.recent.iter().map(|row| (row.key, row.content)).collect()));
        assert!(Rows::holds(&format, &record, "") && !Rows::holds(&format, &record, "another file"));
    }

    #[test]
    fn only_records_of_the_last_minutes_are_hashed() {
        let now = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        let written = WrittenHashes::new(Hashes::new());
        written.remember_from(now);
        assert_eq!(pushed(&written, r#"{"id":"a"}"#, now).recent.len(), 1);
        assert_eq!(pushed(&written, r#"{"id":"a"}"#, now - TimeDelta::seconds(1)).recent.len(), 0);
    }
}
