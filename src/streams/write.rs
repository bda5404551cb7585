//! How a value becomes JSON: it writes itself behind what has been written, so that the bytes of a record are
//! made once.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A value that writes itself as JSON. Writing to memory cannot fail.
pub trait WriteJson {
    /// Writes the value behind what is in `out`.
    fn write_json(&self, out: &mut Vec<u8>);
}

impl<T: WriteJson + ?Sized> WriteJson for &T {
    fn write_json(&self, out: &mut Vec<u8>) {
        (**self).write_json(out);
    }
}

impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write_json(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn write_json(&self, out: &mut Vec<u8>) {
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
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

impl WriteJson for Cow<'_, str> {
    fn write_json(&self, out: &mut Vec<u8>) {
        str::write_json(self, out);
    }
}

/// Types that are written as `serde_json` writes them.
macro_rules! as_serde_writes {
    ($($type:ty),+) => {$(
        impl WriteJson for $type {
            fn write_json(&self, out: &mut Vec<u8>) {
                // Neither the type nor memory has a reason to refuse.
                let _ = serde_json::to_writer(out, self);
            }
        }
    )+};
}
as_serde_writes!(str, bool, i64, u64, f64, ());

/// What `value` writes, for tests to look into.
#[cfg(test)]
pub fn to_value(value: &(impl WriteJson + ?Sized)) -> serde_json::Value {
    let mut json = Vec::new();
    value.write_json(&mut json);
    serde_json::from_slice(&json).unwrap()
}
