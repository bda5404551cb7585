//! Columns: what a stream writes, declared once. Schemas, lines and hashes are made from these tables.

use serde_json::{Map, Value, json};

use super::personal::PersonalPlace;

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
    /// What it tells of people: [`PersonalPlace::Personal`] when it is about a person (a name, the id of a user, free
    /// text), which only a text is, [`PersonalPlace::People`] when the keys in it tell what is personal.
    pub personal: PersonalPlace,
    /// Whether it differs each time it is requested although nothing has changed (signed links).
    pub is_volatile: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Bool,
    /// A moment.
    Time,
    /// An object.
    Object,
    /// A list of strings.
    Strings,
    /// A list of anything.
    List,
    /// Records, which code has made.
    Entries(&'static Table),
    /// Anything, where the reference does not say what; schemas leave it out.
    Any,
    /// A duplicate of another field, which is not written.
    Dropped,
}

/// A column that is filled from the field of the same name.
pub const fn column(name: &'static str, kind: Kind, description: &'static str) -> Column {
    Column { name, fields: &[], kind, description, personal: PersonalPlace::Settings, is_volatile: false }
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
        Self { personal: PersonalPlace::Personal, ..self }
    }

    /// Describes people inside.
    pub const fn contains_personal(self) -> Self {
        Self { personal: PersonalPlace::People, ..self }
    }

    /// Different each time it is requested.
    pub const fn volatile(self) -> Self {
        Self { is_volatile: true, ..self }
    }

    /// Whether a field fills it: `Some(true)` when it has the preferred spelling.
    #[inline]
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
    #[inline]
    pub fn filled_by(&self, field: &[u8], from: usize) -> Option<(usize, bool)> {
        let at = |place: usize| self.columns.get(place)?.is_filled_by(field).map(|is_first| (place, is_first));
        at(from).or_else(|| (from + 1..self.columns.len()).chain(0..from).find_map(at))
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
    /// The kind that the JSON schema of a column asks for.
    pub fn of(schema: &Value) -> Self {
        let items_are_texts = || schema.get("items").is_some_and(|items| is(items, "string"));
        // A column of several types takes the one that holds most.
        match schema {
            _ if is(schema, "string") => Self::Text,
            _ if is(schema, "object") => Self::Object,
            _ if is(schema, "array") && items_are_texts() => Self::Strings,
            _ if is(schema, "array") => Self::List,
            _ if is(schema, "number") => Self::Number,
            _ if is(schema, "integer") => Self::Integer,
            _ if is(schema, "boolean") => Self::Bool,
            _ => Self::Any,
        }
    }

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

/// Whether values of this schema may be of the type `name`.
fn is(schema: &Value, name: &str) -> bool {
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let is_named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == name),
        Some(kind) => kind == name,
        None => false,
    };
    is_named || alternatives.into_iter().any(|schema| is(schema, name))
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
    use crate::records::record::added_fields;

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
