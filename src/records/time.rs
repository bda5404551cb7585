//! Times as the API writes them, in any of its spellings, and as warehouses want them.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::strings::text_in;

const MICROS: i64 = 1_000_000;
const YEAR_2000: i64 = 946_684_800 * MICROS;

/// A moment in microseconds since 1970, written `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
///
/// Nanoseconds are cut off: they break the timestamp types of warehouses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest.
    pub const MAX: Self = Self(i64::MAX);

    /// Reads an RFC 3339 time with any number of fractional digits, and the spellings that are close to it: a blank
    /// instead of the `T`, an offset without its colon or its minutes, Go's ` +0000 UTC`. Without an offset it is
    /// UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok();
        let moment = moment.or_else(|| DateTime::parse_from_rfc3339(&mended(text)?).ok());
        moment.map(|moment| Self(moment.timestamp_micros()))
    }

    /// Whether this means "never". Nothing of 100ms is older than 2000; the zeros of Go, Unix and databases are
    /// (years 1, 1970 and 1900), in whatever time zone they are written.
    pub fn is_never(self) -> bool {
        self.0 < YEAR_2000
    }

    /// The time in an id such as those of 100ms (MongoDB's ObjectId): 24 hexadecimal digits, the first eight of
    /// which are the seconds since 1970.
    pub fn in_id(id: &str) -> Option<Self> {
        let seconds = is_object_id(id).then(|| i64::from_str_radix(&id[..8], 16).ok()).flatten()?;
        Some(Self(seconds * MICROS)).filter(|time| !time.is_never())
    }

    /// Seconds from `earlier` to `self`, zero when it is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).max(0) as f64 / MICROS as f64
    }

    /// The whole second this moment lies in.
    pub fn floor_to_second(self) -> Self {
        Self(self.0.div_euclid(MICROS) * MICROS)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment this many microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// `YYYY-MM-DDTHH:MM:SS.sssZ`, as the API's general pages give the format of time filters: a strict
    /// reader takes only this, a lenient one takes it as well.
    pub fn to_filter(self) -> String {
        format!("{}Z", &self.write(&mut [0; 27])[..23])
    }

    /// Writes the 27 characters; years outside 0–9999 (no API time is) become those.
    pub fn write(self, out: &mut [u8; 27]) -> &str {
        let moment = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        *out = *b"0000-00-00T00:00:00.000000Z";
        let parts = [
            (0, 4, moment.year().clamp(0, 9999) as u32),
            (5, 2, moment.month()),
            (8, 2, moment.day()),
            (11, 2, moment.hour()),
            (14, 2, moment.minute()),
            (17, 2, moment.second()),
            (20, 6, self.0.rem_euclid(MICROS) as u32),
        ];
        for (from, width, mut value) in parts {
            for digit in out[from..from + width].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        std::str::from_utf8(out).unwrap_or_default()
    }
}

/// Whether this is an id as MongoDB makes them.
pub fn is_object_id(id: &str) -> bool {
    id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `text` as RFC 3339 has it, when it begins with a date and a time of day.
fn mended(text: &str) -> Option<String> {
    let (clock, rest) = text.split_at_checked(19)?;
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        mark => byte == *mark,
    };
    if !clock.bytes().zip(b"0000-00-00T00:00:00").all(fits) {
        return None;
    }
    let (fraction, zone) =
        rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len()));
    let zone = zone.strip_prefix(' ').unwrap_or(zone);
    // Go writes a name of the zone behind its offset, and what its own clock says behind that.
    let (offset, name) = zone.split_once(' ').map_or((zone, None), |(offset, name)| (offset, Some(name)));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" +-=.".contains(&byte));
    if let ("" | "Z" | "z" | "UTC" | "GMT", None) = (offset, name) {
        return Some(format!("{clock}{fraction}Z"));
    }
    let (hours, minutes) = offset.split_at_checked(3).filter(|_| name.is_none_or(is_name))?;
    let minutes = if minutes.is_empty() { "00" } else { minutes.strip_prefix(':').unwrap_or(minutes) };
    Some(format!("{clock}{fraction}{hours}:{minutes}"))
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp_micros())
    }
}

impl std::ops::Add<TimeDelta> for Timestamp {
    type Output = Self;
    /// Stops at the ends of what an `i64` holds, which no time of the API comes near.
    fn add(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.num_microseconds().unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<TimeDelta> for Timestamp {
    type Output = Self;
    fn sub(self, delta: TimeDelta) -> Self {
        self + -delta
    }
}

/// The time in a JSON value; `None` when it is empty or means "never" ([`Timestamp::is_never`]).
///
/// # Errors
/// When it is no time: what is wrong with it.
pub fn time_in(json: &str) -> Result<Option<Timestamp>, &'static str> {
    if matches!(json, "\"\"" | "0") || json.starts_with("\"0000-") {
        return Ok(None);
    }
    let time = text_in(json).and_then(|text| Timestamp::parse(&text)).ok_or("is not a time")?;
    Ok(Some(time).filter(|time| !time.is_never()))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.write(&mut [0; 27]))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 27]))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_microseconds() {
        for (spelling, normal) in [
            ("2024-02-29T01:02:03Z", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29T01:02:03.83Z", "2024-02-29T01:02:03.830000Z"),
            ("2024-02-29T01:02:03.080990401Z", "2024-02-29T01:02:03.080990Z"),
            ("2024-02-29T06:32:03.1+05:30", "2024-02-29T01:02:03.100000Z"),
            ("2024-02-28T23:02:03-02:00", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29 01:02:03", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29T01:02:03+0000", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29T06:32:03.1+0530", "2024-02-29T01:02:03.100000Z"),
            ("2024-02-29T01:02:03.5+00", "2024-02-29T01:02:03.500000Z"),
            ("2024-02-28T23:02:03-02", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29 01:02:03 UTC", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29 01:02:03 +00:00", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-29 01:02:03.080990401 +0000 UTC", "2024-02-29T01:02:03.080990Z"),
            ("2024-02-29 06:32:03 +0530 IST m=+0.000012345", "2024-02-29T01:02:03.000000Z"),
            ("2024-02-28 22:02:03 -0300 -03", "2024-02-29T01:02:03.000000Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(spelling).unwrap().to_string(), normal, "{spelling}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2024",
            "2024-02-30T00:00:00Z",
            "2024-01-01T25:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+5",
            "2024-01-01",
            "20240101T000000Z",
            "2024-01-01T00:00:00ZZ",
            "2024-01-01T00:00:00+000",
            "2024-01-01T00:00:00+0",
            "2024-01-01T00:00:00+00000",
            "2024-01-01T00:00:00 UTC+1",
            "2024-01-01T00:00:00  ",
            "2024-01-01 00:00:00 +0000 UTC; DROP",
            "２０２４-01-01T00:00:00Z",
            "+024-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_id_tells_a_time() {
        let time = |id| Timestamp::in_id(id).map(|time| time.to_string());
        assert_eq!(time("66321880f1f77bcf86cd7994").as_deref(), Some("2024-05-01T10:25:04.000000Z"));
        for id in ["", "66321880", "000000000000000000000000", "66321880f1f77bcf86cd799g", "b0c9bbd2-0b5c-4f0e-8d4e-1"]
        {
            assert_eq!(time(id), None, "{id}");
        }
    }

    #[test]
    fn filters_have_milliseconds() {
        let time = Timestamp::parse("2024-01-01T00:00:37Z").unwrap();
        assert_eq!(time.to_filter(), "2024-01-01T00:00:37.000Z");
    }

    #[test]
    fn what_means_never_is_never_and_nonsense_is_told() {
        let read = time_in;
        for json in ["\"\"", "0"] {
            assert_eq!(read(json), Ok(None), "{json}");
        }
        for zero in [
            "0001-01-01T00:00:00Z",
            "0001-01-01T05:53:28+05:53",
            "0001-01-01T00:00:00+14:00",
            "0000-00-00 00:00:00",
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T05:30:00+05:30",
            "1969-12-31T19:00:00-05:00",
            "1900-01-01T00:00:00",
        ] {
            assert_eq!(read(&format!("\"{zero}\"")), Ok(None), "{zero}");
        }
        assert_ne!(read("\"2020-01-01T00:00:00Z\""), Ok(None));
        for json in ["5", "\"soon\"", "{}"] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
