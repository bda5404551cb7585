//! The three ways a time is written: by the API, by a connector, and in HTTP headers.

use std::fmt;

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Timelike, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::readings::{Fraction, NeverEdited, Readings};
use crate::workspace::object_id::ObjectId;

/// How long before the creation of a copy its original was edited.
const BEFORE_THE_COPY: TimeDelta = TimeDelta::days(300);

impl Readings {
    /// `created_at` as the API writes it.
    pub(crate) fn write_created_at(&self, id: ObjectId, created_at: DateTime<Utc>) -> Value {
        if self.tells_creation(id) { self.write(created_at).into() } else { self.never().into() }
    }

    /// `updated_at` as the API writes it.
    pub(crate) fn write_updated_at(&self, id: ObjectId, created_at: DateTime<Utc>, updated_at: DateTime<Utc>) -> Value {
        match self.never_edited {
            _ if updated_at > created_at => self.write(updated_at).into(),
            NeverEdited::CreatedAt => self.write_created_at(id, created_at),
            NeverEdited::EditOfTheOriginal => self.write(created_at - BEFORE_THE_COPY).into(),
            _ => self.never().into(),
        }
    }

    fn tells_creation(&self, id: ObjectId) -> bool {
        self.all_created || id.scrambled() % 5 != 2
    }

    /// How the API writes the time of something that never happened.
    fn never(&self) -> &'static str {
        match self.never_edited {
            NeverEdited::ZeroTimeElsewhere => "0001-01-01T05:53:28+05:53",
            NeverEdited::Year1970 => "1970-01-01T00:00:00Z",
            NeverEdited::Year1900 => "1900-01-01T00:00:00Z",
            _ => "0001-01-01T00:00:00Z",
        }
    }

    /// The creation as a client can know it: what the API writes, else the whole seconds in the id.
    pub(crate) fn known_creation(&self, id: ObjectId, created_at: DateTime<Utc>) -> DateTime<Utc> {
        if self.tells_creation(id) { created_at } else { created_at.trunc_subsecs(0) }
    }

    /// The last change as a client can know it, which is never before the creation.
    pub(crate) fn known_change(
        &self,
        id: ObjectId,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
    ) -> DateTime<Utc> {
        if updated_at > created_at { updated_at } else { self.known_creation(id, created_at) }
    }

    /// What is left of a time once the API has written it.
    pub(crate) fn visible(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        match self.fraction {
            Fraction::None => time.trunc_subsecs(0),
            Fraction::Varied | Fraction::Nano => time,
        }
    }

    /// A time as the API writes it.
    pub(crate) fn write(&self, time: DateTime<Utc>) -> ApiTime {
        ApiTime { time, fraction: self.fraction }
    }

    /// A time as a connector emits it, whatever the API wrote.
    pub(crate) fn emitted(&self, time: DateTime<Utc>) -> String {
        to_microseconds(self.visible(time))
    }
}

/// A time on its way into an answer. Written digit by digit: a large workspace has millions.
#[derive(Clone, Copy)]
pub(crate) struct ApiTime {
    time: DateTime<Utc>,
    fraction: Fraction,
}

/// `2025-06-15T12:00:37.034080991Z`, the longest there is.
const LONGEST: usize = 30;

impl ApiTime {
    /// The text, and how much of the buffer it takes.
    fn text(&self) -> ([u8; LONGEST], usize) {
        let time = &self.time;
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        put(&mut text[..4], time.year().unsigned_abs());
        put(&mut text[5..7], time.month());
        put(&mut text[8..10], time.day());
        put(&mut text[11..13], time.hour());
        put(&mut text[14..16], time.minute());
        put(&mut text[17..19], time.second());
        put(&mut text[20..29], time.nanosecond());
        let length = match self.fraction {
            Fraction::Nano => 29,
            Fraction::None => 19,
            Fraction::Varied => without_zeros(&text[..29]),
        };
        text[length] = b'Z';
        (text, length + 1)
    }
}

/// The number in decimal digits, filled up with zeros.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The length without the zeros at the end of the fraction, and without a point that ends it.
fn without_zeros(text: &[u8]) -> usize {
    match text[20..].iter().rposition(|&digit| digit != b'0') {
        Some(last) => 20 + last + 1,
        None => 19,
    }
}

impl fmt::Display for ApiTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, length) = self.text();
        out.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<ApiTime> for Value {
    fn from(time: ApiTime) -> Value {
        time.to_string().into()
    }
}

/// `YYYY-MM-DDTHH:MM:SS.ffffffZ`: six digits, the rest cut off, not rounded.
pub(crate) fn to_microseconds(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Seconds between two times as a connector sees them; never negative.
pub(crate) fn seconds_between(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    let microseconds = end.timestamp_micros() - start.timestamp_micros();
    microseconds.max(0) as f64 / 1e6
}

/// `Sun, 15 Jun 2025 12:00:00 GMT`
pub(crate) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("the tests write good times")
    }

    #[test]
    fn the_api_cuts_trailing_zeros_or_writes_nine_digits_or_none() {
        let mut readings = Readings::documented();
        for text in ["2025-06-15T12:00:00Z", "2025-06-15T12:00:37.83Z", "2025-06-15T12:00:37.034080991Z"] {
            assert_eq!(readings.write(at(text)).to_string(), text);
        }
        let time = at("2025-06-15T12:00:37.83Z");
        readings.fraction = Fraction::Nano;
        assert_eq!(readings.write(time).to_string(), "2025-06-15T12:00:37.830000000Z");
        readings.fraction = Fraction::None;
        assert_eq!(readings.write(time).to_string(), "2025-06-15T12:00:37Z");
        assert_eq!(readings.emitted(time), "2025-06-15T12:00:37.000000Z");
    }

    #[test]
    fn a_connector_cuts_after_six_digits() {
        let time = at("2025-06-15T12:00:37.034080991Z");
        assert_eq!(to_microseconds(time), "2025-06-15T12:00:37.034080Z");
    }

    #[test]
    fn durations_are_never_negative() {
        let (early, late) = (at("2025-01-01T00:00:00Z"), at("2025-01-01T00:00:01.5Z"));
        assert_eq!(seconds_between(early, late), 1.5);
        assert_eq!(seconds_between(late, early), 0.0);
    }
}
