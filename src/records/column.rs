//! Columns: what a stream writes, declared once. Schemas, lines and hashes are made from these tables.

use serde_json::{Map, Value, json};

use super::record::Fields;
use super::value::Kind;

/// What a table of records, or of the entries of a list in a record, consists of.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// What a record is.
    pub description: &'static str,
    /// In the order in which they are written.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the warehouse, a contract with the user's tables.
    pub name: &'static str,
    /// The fields of an answer that fill it, the preferred spelling first; when it names none, the field called like the
    /// column. Code can set another value.
    pub fields: &'static [&'static str],
    /// What it holds.
    pub kind: Kind,
    /// What users read about it.
    pub description: &'static str,
    /// What it tells of people.
    pub personal: Personal,
    /// Whether it differs each time it is requested although nothing has changed (signed links).
    pub is_volatile: bool,
}

/// What a column tells of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// Nothing, unless the keys in it say otherwise.
    No,
    /// It is about a person: a name, the id of a user, free text. Such a column holds a text.
    Yes,
    /// It describes people inside: the keys in it tell what is personal.
    Inside,
}

/// A column that is filled from the field of the same name.
pub const fn column(name: &'static str, kind: Kind, description: &'static str) -> Column {
    Column { name, fields: &[], kind, description, personal: Personal::No, is_volatile: false }
}

/// Where the column `name` stands among `columns`, found when the code is compiled.
pub const fn place(columns: &[Column], name: &str) -> usize {
    let name = name.as_bytes();
    let mut place = 0;
    loop {
        let column = columns[place].name.as_bytes();
        let mut at = 0;
        while at < name.len() && column.len() == name.len() && column[at] == name[at] {
            at += 1;
        }
        if at == name.len() {
            return place;
        }
        place += 1;
    }
}

/// The columns of three groups, one after the other: `ALL` is how many they are.
pub const fn all_of<const ALL: usize>(groups: [&[Column]; 3]) -> [Column; ALL] {
    let mut all = [column("", Kind::Any, ""); ALL];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[at] = groups[group][index];
            index += 1;
            at += 1;
        }
        group += 1;
    }
    all
}

impl Column {
    /// Filled from the field with one of these names, the preferred one first.
    pub const fn from(self, fields: &'static [&'static str]) -> Self {
        Self { fields, ..self }
    }

    /// About a person.
    pub const fn personal(self) -> Self {
        Self { personal: Personal::Yes, ..self }
    }

    /// Describes people inside.
    pub const fn contains_personal(self) -> Self {
        Self { personal: Personal::Inside, ..self }
    }

    /// Different each time it is requested.
    pub const fn volatile(self) -> Self {
        Self { is_volatile: true, ..self }
    }

    /// Whether a field fills it: `Some(true)` when it has the preferred spelling.
    fn is_filled_by(&self, field: &[u8]) -> Option<bool> {
        match self.fields {
            [] => (self.name.as_bytes() == field).then_some(true),
            names => names.iter().position(|name| name.as_bytes() == field).map(|position| position == 0),
        }
    }

    fn schema(&self) -> Option<Value> {
        let mut schema = self.kind.schema()?;
        schema["description"] = self.description.into();
        Some(schema)
    }
}

impl Table {
    /// The column that a field fills, and whether the field has its preferred spelling. The search begins at `from`.
    pub fn filled_by(&self, field: &[u8], from: usize) -> Option<(usize, bool)> {
        let (before, behind) = self.columns.split_at(from.min(self.columns.len()));
        let find = |columns: &[Column], first: usize| {
            let mut columns = columns.iter().enumerate();
            columns.find_map(|(index, column)| column.is_filled_by(field).map(|is_first| (first + index, is_first)))
        };
        find(behind, before.len()).or_else(|| find(before, 0))
    }

    /// JSON Schema of the records. Every value may be null and every object may grow: an API adds fields, and data of
    /// yesterday lacks some.
    pub fn schema(&self) -> Value {
        let properties = self.columns.iter().filter_map(|column| Some((column.name.to_owned(), column.schema()?)));
        json!({
            "type": ["null", "object"],
            "description": self.description,
            "properties": properties.collect::<Map<_, _>>(),
            "additionalProperties": true,
        })
    }
}

impl Kind {
    /// What a column of this kind may hold; `None` for those that schemas leave out.
    pub fn schema(self) -> Option<Value> {
        Some(match self {
            Self::Any | Self::Dropped => return None,
            Self::Text => json!({ "type": ["null", "string"] }),
            Self::Integer => json!({ "type": ["null", "integer"] }),
            Self::Number => json!({ "type": ["null", "number"] }),
            Self::Bool => json!({ "type": ["null", "boolean"] }),
            Self::Object => json!({ "type": ["null", "object"], "additionalProperties": true }),
            Self::Strings => json!({ "type": ["null", "array"], "items": { "type": ["null", "string"] } }),
            Self::List => json!({ "type": ["null", "array"], "items": {} }),
            Self::Entries(table) => json!({ "type": ["null", "array"], "items": table.schema() }),
            Self::Time => json!({
                "type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"
            }),
        })
    }
}

/// The schemas of fields that `table` does not know. A single value is offered as a string, because the next sample may
/// show another kind of value, and destinations do not take a column whose type changes.
pub fn added_fields<'a>(table: &Table, samples: &[Fields<'a>]) -> Map<String, Value> {
    let mut added: Map<String, Value> = Map::new();
    for (field, value) in
        samples.iter().flat_map(Fields::iter).filter(|(field, _)| table.filled_by(field.as_bytes(), 0).is_none())
    {
        let name = snake_case(&field);
        let kind = match value.get().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            _ => Kind::Text,
        };
        let is_known = table.columns.iter().any(|column| column.name == name);
        let Some(schema) = kind.schema().filter(|_| is_column_name(&name) && !is_known) else { continue };
        let known = added.entry(name).or_insert_with(|| schema.clone());
        if *known != schema {
            // A string holds both kinds that were seen.
            *known = Kind::Text.schema().unwrap_or_default();
        }
    }
    added
}

fn is_column_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `camelCase` as `camel_case`; a name that is in snake case already stays.
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
    fn added_fields_are_objects_or_lists_where_all_samples_are_and_strings_otherwise() {
        let first = r#"{"newFlag":true,"score":1,"mixed":"a","none":null,"$id":1,"_x":1,"Ünsafe":1,"list":[1],"box":{},
            "sometimes":[],"known":1}"#;
        let second = r#"{"mixed":5,"sometimes":{},"list":[],"box":null}"#;
        let samples = [first, second].map(|json| serde_json::from_str(json).unwrap());
        static TABLE: Table = Table { description: "", columns: &[column("known", Kind::Text, "")] };
        let fields = added_fields(&TABLE, &samples);
        let types: Vec<_> = fields.iter().map(|(name, schema)| format!("{name}:{}", schema["type"][1])).collect();
        assert_eq!(
            types,
            [
                "box:\"object\"",
                "list:\"array\"",
                "mixed:\"string\"",
                "new_flag:\"string\"",
                "score:\"string\"",
                "sometimes:\"string\""
            ]
        );
    }
}
