//! Ids as the vendor's database makes them: 12 bytes, the first 4 are the creation time in seconds.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// Shown as 24 hexadecimal digits. Its order is the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId([u8; 12]);

impl ObjectId {
    pub(crate) fn parse(text: &str) -> Option<ObjectId> {
        let mut bytes = [0; 12];
        if text.len() != 24 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(ObjectId(bytes))
    }

    /// A number without any order in it, the same for the same id: what a shuffled list sorts by,
    /// and how an object's small oddities are decided.
    pub(crate) fn scrambled(&self) -> u64 {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let hash = self.0.iter().fold(0xcbf2_9ce4_8422_2325, fold);
        (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 24];
        for (pair, byte) in text.chunks_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<ObjectId> for serde_json::Value {
    fn from(id: ObjectId) -> serde_json::Value {
        id.to_string().into()
    }
}

/// Makes the ids of one kind of object. Called in the order of creation it makes ascending ids,
/// also within one second.
#[derive(Clone, Debug)]
pub(crate) struct IdMint {
    machine: [u8; 5],
    counter: u32,
}

impl IdMint {
    pub(crate) fn new(machine: u64) -> IdMint {
        let [a, b, c, d, e, ..] = machine.to_le_bytes();
        IdMint { machine: [a, b, c, d, e], counter: 0 }
    }

    pub(crate) fn next(&mut self, created_at: DateTime<Utc>) -> ObjectId {
        self.counter = (self.counter + 1) & 0x00ff_ffff;
        let seconds = u32::try_from(created_at.timestamp()).unwrap_or(0);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..9].copy_from_slice(&self.machine);
        bytes[9..].copy_from_slice(&self.counter.to_be_bytes()[1..]);
        ObjectId(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_time_and_ascend_within_a_second() {
        let mut mint = IdMint::new(7);
        let time = DateTime::from_timestamp(0x6650_0000, 5).expect("a time of 2024");
        let (first, second) = (mint.next(time), mint.next(time));
        assert!(first < second);
        assert!(first.to_string().starts_with("66500000"));
        assert_eq!(ObjectId::parse(&first.to_string()), Some(first));
        assert_eq!(ObjectId::parse("66500000"), None);
    }
}
