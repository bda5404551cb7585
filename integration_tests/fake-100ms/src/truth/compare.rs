//! Comparing what was read with the truth.

use serde_json::{Map, Value};

/// The key of a record as [`crate::Truth`] spells it; `None` when one of its columns is not there.
pub fn key_of(stream: &str, record: &Map<String, Value>) -> Option<String> {
    let parts = crate::stream(stream).key.iter().map(|column| record.get(column).and_then(Value::as_str));
    Some(parts.collect::<Option<Vec<_>>>()?.join("|"))
}

/// Equal as JSON Schema means it: 12 and 12.0 are the same number.
pub fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || same_number(a.as_f64(), b.as_f64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => a == b,
    }
}

/// The parser may miss a long fraction, such as a mean, by its last bits.
fn same_number(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= a.abs().max(b.abs()) * 1e-14)
}
