//! The query of a request: only what the documents name, each checked.

use chrono::{DateTime, Utc};

use crate::readings::TimeFilters;
use crate::server::response::Refusal;
use crate::workspace::object_id::ObjectId;

/// Decoded name–value pairs of which every name is known.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Refuses names that are not `allowed`, and all but `repeatable` when they come twice.
    pub(crate) fn parse(query: &str, allowed: &[&str], repeatable: &[&str]) -> Result<Parameters, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !allowed.contains(&name.as_str()) {
                let expected = allowed.join("`, `");
                let message = format!("unknown parameter `{name}`: expected one of `{expected}`");
                return Err(Refusal::unexpected(message));
            }
            if pairs.iter().any(|(other, _)| *other == name) && !repeatable.contains(&name.as_str()) {
                return Err(Refusal::unexpected(format!("parameter `{name}` came twice: expected once")));
            }
            pairs.push((name, value));
        }
        Ok(Parameters { pairs })
    }

    /// An empty value counts as none.
    pub(crate) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.parsed(name, "`true` or `false`", |text| text.parse().ok())
    }

    pub(crate) fn time(&self, name: &str, allowed: TimeFilters) -> Result<Option<DateTime<Utc>>, Refusal> {
        self.parsed(name, "a time such as `2025-06-15T12:00:00.000Z`", |text| {
            if allowed == TimeFilters::Milliseconds && !has_milliseconds(text) {
                return None;
            }
            Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
        })
    }

    pub(crate) fn id(&self, name: &str) -> Result<Option<ObjectId>, Refusal> {
        self.parsed(name, "an id of 24 hexadecimal digits", ObjectId::parse)
    }

    pub(crate) fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Refusal> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.parsed(name, &expected, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// One of a list of words.
    pub(crate) fn word<'a>(&'a self, name: &'a str, words: &[&str]) -> Result<Option<&'a str>, Refusal> {
        for value in self.all(name) {
            if !words.contains(&value) {
                let expected = words.join("`, `");
                return Err(Refusal::unexpected(format!("`{name}` is `{value}`: expected one of `{expected}`")));
            }
        }
        Ok(self.text(name))
    }

    fn parsed<T>(&self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let wrong = || Refusal::unexpected(format!("`{name}` is `{text}`: expected {expected}"));
        parse(text).map(Some).ok_or_else(wrong)
    }
}

/// `YYYY-MM-DDTHH:mm:ss.sssZ`
fn has_milliseconds(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00.000Z";
    let fits = |(byte, expected): (u8, &u8)| match expected {
        b'0' => byte.is_ascii_digit(),
        sign => byte == *sign,
    };
    text.len() == pattern.len() && text.bytes().zip(pattern).all(fits)
}

/// As a form: percent signs, and `+` for a blank, so that an unescaped `+00:00` is no good time.
fn decode(text: &str) -> Result<String, Refusal> {
    let broken = || Refusal::unexpected("the query is not well escaped: expected %XX and UTF-8".into());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| (high * 16 + low) as u8);
                value.ok_or_else(broken)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Refusal> {
        Parameters::parse(query, &["limit", "after", "active", "type"], &["type"])
    }

    #[test]
    fn good_queries_are_decoded() {
        let parameters = parse("type=a&type=b%20c&after=2025-06-15T12%3A00:00%2B02:00&active=").expect("a good query");
        assert_eq!(parameters.all("type").collect::<Vec<_>>(), ["a", "b c"]);
        let after = parameters.time("after", TimeFilters::Any).expect("a good time").expect("it is there");
        assert_eq!(after.to_rfc3339(), "2025-06-15T10:00:00+00:00");
        assert_eq!(parameters.flag("active"), Ok(None));
    }

    #[test]
    fn a_strict_server_takes_milliseconds_and_nothing_else() {
        for (text, is_good) in [
            ("2025-06-15T12:00:37.000Z", true),
            ("2025-06-15T12:00:37Z", false),
            ("2025-06-15T12:00:37.000000Z", false),
            ("2025-06-15T12:00:37.000%2B00:00", false),
        ] {
            let parameters = parse(&format!("after={text}")).expect("a good query");
            assert!(parameters.time("after", TimeFilters::Any).is_ok(), "{text}");
            assert_eq!(parameters.time("after", TimeFilters::Milliseconds).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_was_expected() {
        assert!(parse("sort=asc").is_err());
        assert!(parse("limit=10&limit=20").is_err());
        assert!(parse("after=%zz").is_err());
        let parameters = parse("limit=9&after=2025-06-15T12:00:00+02:00&active=yes").expect("known names");
        let refusal = parameters.number("limit", 10..=100).expect_err("9 is too small");
        assert!(refusal.message.contains("from 10 to 100") && refusal.unexpected);
        assert!(parameters.time("after", TimeFilters::Any).is_err(), "the plus sign is a blank");
        assert!(parameters.flag("active").is_err());
    }
}
