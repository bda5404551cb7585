//! The table of the module, row by row, and any JSON at all in each column.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;

use super::*;
use crate::records::strings::text_in;

const KINDS: [Kind; 8] =
    [Kind::Text, Kind::Integer, Kind::Number, Kind::Bool, Kind::Object, Kind::Strings, Kind::List, Kind::Any];

fn written(kind: Kind, json: &str) -> String {
    written_at(Place::Open, kind, json)
}

fn written_at(place: Place, kind: Kind, json: &str) -> String {
    let mut line = Json::default();
    kind.write_at(place, json, &mut line);
    keep_on_one_line(&mut line.bytes, 0);
    String::from_utf8(line.bytes).unwrap()
}

fn schema_of(kind: Kind) -> serde_json::Value {
    kind.schema().unwrap_or_else(|| serde_json::json!({}))
}

/// The rows of the module's table, `·` for what stays as it is.
const TABLE: &[(&str, [&str; 8])] = &[
    // what came: text, whole number, number, flag, object, list of texts, list, any
    ("null", ["·", "·", "·", "·", "·", "·", "·", "·"]),
    ("\"a\\n\"", ["·", "null", "null", "null", "{\"value\":\"a\\n\"}", "[\"a\\n\"]", "[\"a\\n\"]", "·"]),
    ("\"12\"", ["·", "12", "12", "null", "{\"value\":\"12\"}", "[\"12\"]", "[\"12\"]", "·"]),
    ("\" 1.5 \"", ["·", "null", "1.5", "null", "{\"value\":\" 1.5 \"}", "[\" 1.5 \"]", "[\" 1.5 \"]", "·"]),
    ("\"inf\"", ["·", "null", "null", "null", "{\"value\":\"inf\"}", "[\"inf\"]", "[\"inf\"]", "·"]),
    ("\"true\"", ["·", "null", "null", "true", "{\"value\":\"true\"}", "[\"true\"]", "[\"true\"]", "·"]),
    ("\"False\"", ["·", "null", "null", "false", "{\"value\":\"False\"}", "[\"False\"]", "[\"False\"]", "·"]),
    ("12", ["\"12\"", "·", "·", "null", "{\"value\":12}", "[\"12\"]", "[12]", "·"]),
    ("12.0", ["\"12.0\"", "12", "·", "null", "{\"value\":12.0}", "[\"12.0\"]", "[12.0]", "·"]),
    ("1.2e1", ["\"1.2e1\"", "12", "·", "null", "{\"value\":1.2e1}", "[\"1.2e1\"]", "[1.2e1]", "·"]),
    ("1.5", ["\"1.5\"", "null", "·", "null", "{\"value\":1.5}", "[\"1.5\"]", "[1.5]", "·"]),
    ("-0", ["\"-0\"", "0", "0", "null", "{\"value\":-0}", "[\"-0\"]", "[-0]", "·"]),
    ("-0.0", ["\"-0.0\"", "0", "0", "null", "{\"value\":-0.0}", "[\"-0.0\"]", "[-0.0]", "·"]),
    (
        "9223372036854775807",
        [
            "\"9223372036854775807\"",
            "·",
            "·",
            "null",
            "{\"value\":9223372036854775807}",
            "[\"9223372036854775807\"]",
            "[9223372036854775807]",
            "·",
        ],
    ),
    (
        "9223372036854775808",
        [
            "\"9223372036854775808\"",
            "null",
            "·",
            "null",
            "{\"value\":9223372036854775808}",
            "[\"9223372036854775808\"]",
            "[9223372036854775808]",
            "·",
        ],
    ),
    (
        "100000000000000000000.5",
        [
            "\"100000000000000000000.5\"",
            "null",
            "1e+20",
            "null",
            "{\"value\":1e+20}",
            "[\"100000000000000000000.5\"]",
            "[1e+20]",
            "1e+20",
        ],
    ),
    ("1e29", ["\"1e29\"", "null", "null", "null", "{\"value\":1e29}", "[\"1e29\"]", "[1e29]", "·"]),
    (
        "1e400",
        ["\"1e400\"", "null", "null", "null", "{\"value\":\"1e400\"}", "[\"1e400\"]", "[\"1e400\"]", "\"1e400\""],
    ),
    (
        "0.12345678901234567890123456789012345678901",
        [
            "\"0.12345678901234567890123456789012345678901\"",
            "null",
            "0.12345678901234568",
            "null",
            "{\"value\":0.12345678901234568}",
            "[\"0.12345678901234567890123456789012345678901\"]",
            "[0.12345678901234568]",
            "0.12345678901234568",
        ],
    ),
    ("true", ["\"true\"", "null", "null", "·", "{\"value\":true}", "[\"true\"]", "[true]", "·"]),
    (
        "{\"a\":\"b\"}",
        [
            "\"{\\\"a\\\":\\\"b\\\"}\"",
            "null",
            "null",
            "null",
            "·",
            "[\"{\\\"a\\\":\\\"b\\\"}\"]",
            "[{\"a\":\"b\"}]",
            "·",
        ],
    ),
    (
        "[1,null,\"x\"]",
        [
            "\"[1,null,\\\"x\\\"]\"",
            "null",
            "null",
            "null",
            "{\"value\":[1,null,\"x\"]}",
            "[\"1\",null,\"x\"]",
            "·",
            "·",
        ],
    ),
    // What no strict reader takes.
    (
        "\"a\\ud83d\"",
        [
            "\"a\u{fffd}\"",
            "null",
            "null",
            "null",
            "{\"value\":\"a\u{fffd}\"}",
            "[\"a\u{fffd}\"]",
            "[\"a\u{fffd}\"]",
            "\"a\u{fffd}\"",
        ],
    ),
    (
        "{\"k\\u0000\":\"\\u0000\"}",
        [
            "\"{\\\"k\u{fffd}\\\":\\\"\u{fffd}\\\"}\"",
            "null",
            "null",
            "null",
            "{\"k\u{fffd}\":\"\u{fffd}\"}",
            "[\"{\\\"k\u{fffd}\\\":\\\"\u{fffd}\\\"}\"]",
            "[{\"k\u{fffd}\":\"\u{fffd}\"}]",
            "{\"k\u{fffd}\":\"\u{fffd}\"}",
        ],
    ),
];

#[test]
fn the_table_is_the_rule() {
    for (came, expected) in TABLE {
        for (kind, expected) in KINDS.iter().zip(expected) {
            let expected = if *expected == "·" { came } else { expected };
            assert_eq!(written(*kind, came), *expected, "{came} in a column of {kind:?}");
        }
    }
}

#[test]
fn what_is_lost_is_noted_and_nothing_else_is() {
    let is_lossy = |kind: Kind, json: &str| {
        let mut line = Json::default();
        kind.write(json, &mut line);
        line.is_lossy
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (json, lossy) in [
        ("null", vec![]),
        ("12", vec![Kind::Bool]),
        ("1.5", vec![Kind::Integer, Kind::Bool]),
        ("\"12\"", vec![Kind::Bool]),
        ("\"\u{fffd} \\ufffd\"", vec![Kind::Integer, Kind::Number, Kind::Bool]),
        ("\"rtmp://a/live/KEY\"", vec![Kind::Integer, Kind::Number, Kind::Bool]),
        ("{\"secret\":\"\\ud800\"}", vec![Kind::Text, Kind::Integer, Kind::Number, Kind::Bool, Kind::Strings]),
        ("[1,2]", vec![Kind::Text, Kind::Integer, Kind::Number, Kind::Bool]),
        ("\"a\\u0000\"", KINDS.to_vec()),
        (&deep, KINDS.to_vec()),
        ("1e400", vec![Kind::Integer, Kind::Number, Kind::Bool, Kind::Object, Kind::List, Kind::Any]),
    ] {
        let noted: Vec<Kind> = KINDS.into_iter().filter(|kind| is_lossy(*kind, json)).collect();
        assert_eq!(noted, lossy, "{json}");
    }
    let mut line = Json::default();
    Kind::Number.write_at(Place::Named, "12", &mut line);
    assert!(!line.is_lossy, "that a secret does not fit is none");
}

#[test]
fn a_secret_name_hides_the_value_of_any_column() {
    let typed = |kind, json| written_at(Place::Named, kind, json);
    assert_eq!(typed(Kind::Text, "\"abc\""), "\"**********\"");
    assert_eq!(typed(Kind::Number, "12"), "null");
    assert_eq!(typed(Kind::Bool, "true"), "true");
    assert_eq!(typed(Kind::Object, "{\"a\":\"b\"}"), "{\"a\":\"**********\"}");
    assert_eq!(typed(Kind::List, "[\"abc\",null]"), "[\"**********\",null]");
}

#[test]
fn what_is_nested_too_deeply_for_readers_becomes_its_text() {
    let deep = |levels: usize| format!("{{\"a\":{}\"https://h/?token=T\"{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(written(Kind::Object, &deep(119)).matches("[").count(), 119);
    for levels in [120, 500, 5000] {
        let line = written(Kind::Object, &deep(levels));
        let value: serde_json::Value = serde_json::from_str(&line).expect("a strict reader reads it");
        let mut innermost = &value["a"];
        while let Some(inner) = innermost.get(0) {
            innermost = inner;
        }
        let text = innermost.as_str().unwrap();
        assert_eq!(text.matches('[').count(), levels - 119);
        assert!(text.contains("https://h/?token=**********"), "{text}");
    }
}

#[test]
fn the_kind_of_a_column_is_in_its_schema() {
    for kind in KINDS {
        assert_eq!(Kind::of(&schema_of(kind)), kind);
    }
    assert_eq!(Kind::of(&serde_json::json!({"type": "integer"})), Kind::Integer);
    assert_eq!(Kind::of(&serde_json::json!({"type": ["number", "string"]})), Kind::Text);
    let either = serde_json::json!({"oneOf": [{"type": "null"}, {"type": "string"}]});
    assert_eq!(Kind::of(&either), Kind::Text);
    assert_eq!(Kind::of(&serde_json::json!(true)), Kind::Any);
}

#[test]
fn truth_is_read_in_both_spellings() {
    for (json, expected) in
        [("true", Some(true)), ("\"true\"", Some(true)), ("\" FALSE\"", Some(false)), ("1", None), ("\"yes\"", None)]
    {
        assert_eq!(as_bool(json), expected, "{json}");
    }
}

#[test]
fn an_id_is_a_text_or_a_number() {
    for (json, expected) in [
        ("\"a\"", Some("a")),
        ("7", Some("7")),
        ("\"a\\ud83d\"", Some("a\u{fffd}")),
        ("\"\"", None),
        ("true", None),
        ("{}", None),
    ] {
        assert_eq!(text_in(json).as_deref(), expected, "{json}");
    }
}

/// Any JSON, odd escapes and numbers included, as text.
fn any_json() -> impl Strategy<Value = String> {
    let string = "\"([a-z :/?=&.@%]|rtmp://|token=|eyJ|\\\\u[0-9a-f]{4}|\\\\ud[89ab]..|\\\\[nrtbf\"/\\\\]|é|😀|\u{2028}|\u{85}){0,12}\""
        .prop_filter("an escape needs four digits", |text| serde_json::from_str::<&RawValue>(text).is_ok());
    let number = "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"true\"".to_owned()),
        Just("\"\\ud83d\\u0000\"".to_owned()),
        string.clone(),
        number,
        number.prop_map(|number| format!("\"{number}\"")),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let key = prop_oneof![string.clone(), Just("\"token\"".to_owned()), Just("\"headers\"".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key, inner), 0..5).prop_map(|members| {
                let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{\n{}\r\n}}", members.join(","))
            }),
        ]
    })
}

static VALIDATORS: LazyLock<Vec<Validator>> =
    LazyLock::new(|| KINDS.iter().map(|kind| jsonschema::validator_for(&schema_of(*kind)).unwrap()).collect());

fn is_strict(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => !text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().all(is_strict),
        serde_json::Value::Object(members) => {
            members.iter().all(|(key, value)| !key.contains('\0') && is_strict(value))
        }
        serde_json::Value::Number(number) => number.as_f64().is_some_and(f64::is_finite),
        serde_json::Value::Null | serde_json::Value::Bool(_) => true,
    }
}

proptest! {
    #[test]
    fn any_json_becomes_what_the_schema_says_and_every_reader_reads(json in any_json()) {
        for (kind, validator) in KINDS.iter().zip(VALIDATORS.iter()) {
            let line = written(*kind, &json);
            prop_assert!(!line.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']), "{line}");
            // This parser refuses unpaired surrogates, and numbers that 64 bits cannot hold.
            let value: serde_json::Value = serde_json::from_str(&line).map_err(|error| TestCaseError::fail(format!("{error}: {line}")))?;
            prop_assert!(is_strict(&value), "{line}");
            prop_assert!(validator.is_valid(&value), "{kind:?}: {json} became {line}");
            if let (Kind::Integer, serde_json::Value::Number(number)) = (kind, &value) {
                prop_assert!(number.is_i64());
            }
        }
    }
}
