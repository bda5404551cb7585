//! How a value becomes JSON: it writes itself behind what has been written, so that the bytes of a record are
//! made once. What could not be written as it came is noted on the way.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// JSON that is being written.
#[derive(Debug, Default)]
pub struct Json {
    /// What has been written.
    pub bytes: Vec<u8>,
    /// Whether a value since this was last set to false could not be written as it came.
    pub is_lossy: bool,
}

impl Json {
    /// Writes a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes what became of a value that is not `null`; `None` when it does not fit its column.
    pub fn fitting<T: WriteJson>(&mut self, value: Option<T>) {
        self.is_lossy |= value.is_none();
        value.write_json(self);
    }
}

/// A value that writes itself as JSON. Writing to memory cannot fail.
pub trait WriteJson {
    /// Writes the value behind what is in `out`.
    fn write_json(&self, out: &mut Json);
}

impl<T: WriteJson + ?Sized> WriteJson for &T {
    fn write_json(&self, out: &mut Json) {
        (**self).write_json(out);
    }
}

impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, out: &mut Json) {
        match self {
            Some(value) => value.write_json(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn write_json(&self, out: &mut Json) {
        let mut separator = b'[';
        for item in self {
            out.push(separator);
            item.write_json(out);
            separator = b',';
        }
        if self.is_empty() {
            out.push(b'[');
        }
        out.push(b']');
    }
}

impl WriteJson for RawValue {
    fn write_json(&self, out: &mut Json) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

impl WriteJson for Cow<'_, str> {
    fn write_json(&self, out: &mut Json) {
        // A letter that could not be read when the text was decoded.
        out.is_lossy |= self.contains(char::REPLACEMENT_CHARACTER);
        str::write_json(self, out);
    }
}

/// Types that are written as `serde_json` writes them.
macro_rules! as_serde_writes {
    ($($type:ty),+) => {$(
        impl WriteJson for $type {
            fn write_json(&self, out: &mut Json) {
                // Neither the type nor memory has a reason to refuse.
                let _ = serde_json::to_writer(&mut out.bytes, self);
            }
        }
    )+};
}
as_serde_writes!(str, bool, i64, u64, f64, ());

/// What `value` writes, for tests to look into.
#[cfg(test)]
pub fn to_value(value: &(impl WriteJson + ?Sized)) -> serde_json::Value {
    let mut json = Json::default();
    value.write_json(&mut json);
    serde_json::from_slice(&json.bytes).unwrap()
}
