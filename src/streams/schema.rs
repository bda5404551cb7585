//! The schemas of records: generated from the record types, extended by what the API sends today.

use serde_json::{Map, Value, json};

use super::record::{Others, Record};
use crate::api::{Answer, ApiError, Client, List, ListFilter};

/// Gives a column type the schema of the values it is written as, in place.
macro_rules! schema_of {
    ($type:ty, as $values:ty $(, for $value:ident)?) => {
        impl $(<$value: schemars::JsonSchema>)? schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$values as schemars::JsonSchema>::schema_name()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$values as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}
pub(super) use schema_of;

/// The schema of the record type `R`: nothing by reference, as platforms want it.
pub(super) fn of_record<R: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<R>().to_value();
    loosen(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        root.insert("type".into(), "object".into());
    }
    schema
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
                object.insert("type".into(), json!(["null", kind]));
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

/// Fields of a list's first page that the record type `R` does not know, each with its schema.
pub(super) async fn sample<R: Answer>(
    client: &Client,
    list: List,
    flag: Option<bool>,
) -> Result<Map<String, Value>, ApiError>
where
    for<'a> R::Of<'a>: Record,
{
    let first = ListFilter { flag, ..ListFilter::default() };
    Ok(client.list::<R, _>(list, &first, |page| added_fields(page.iter().map(Record::others))).await?.content)
}

/// The schemas of fields that no record type knows. A single value is offered as a string, because what the next
/// sample shows of it may be another kind of value, and a column whose type changes pleases no destination.
pub(super) fn added_fields<'o, 'a: 'o>(samples: impl Iterator<Item = &'o Others<'a>>) -> Map<String, Value> {
    let mut fields: Map<String, Value> = Map::new();
    for (name, raw) in samples.flatten() {
        let name = snake_case(name);
        let Some(seen) = kind_seen(raw.get()).filter(|_| is_column_name(&name)) else { continue };
        match fields.get_mut(&name) {
            // Two types seen: a string holds both.
            Some(known) if *known != seen => *known = string_schema(),
            Some(_) => {}
            None => {
                fields.insert(name, seen);
            }
        }
    }
    fields
}

fn is_column_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
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

fn string_schema() -> Value {
    json!({ "type": ["null", "string"] })
}

fn kind_seen(json: &str) -> Option<Value> {
    Some(match json.as_bytes().first()? {
        b'n' => return None,
        b'{' => json!({ "type": ["null", "object"], "additionalProperties": true }),
        b'[' => json!({ "type": ["null", "array"], "items": {} }),
        _ => string_schema(),
    })
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
        let first: Others<'_> = [
            ("newFlag", "true"),
            ("score", "1"),
            ("mixed", "\"a\""),
            ("none", "null"),
            ("$id", "1"),
            ("_x", "1"),
            ("Ünsafe", "1"),
            ("list", "[1]"),
            ("box", "{}"),
            ("sometimes", "[]"),
        ]
        .into_iter()
        .map(|(name, json)| (name.into(), serde_json::from_str(json).unwrap()))
        .collect();
        let second: Others<'_> = [("mixed", "5"), ("sometimes", "{}"), ("list", "[]"), ("box", "null")]
            .into_iter()
            .map(|(name, json)| (name.into(), serde_json::from_str(json).unwrap()))
            .collect();
        let fields = added_fields([&first, &second].into_iter());
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
