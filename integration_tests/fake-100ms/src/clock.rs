//! What the server says the time is, which need not be the time that stamps the data.

use chrono::{DateTime, TimeDelta, Utc};

use crate::times::http_date;

/// What the `Date` header of every answer says.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DateHeader {
    /// The clock that stamps the data, or [`crate::Fake::set_server_clock`] where that is set.
    #[default]
    True,
    /// So far from it: ahead, or behind when negative.
    Skewed(TimeDelta),
    /// So far ahead in one answer, so far behind in the next.
    Jumping(TimeDelta),
    /// No such header.
    Missing,
    /// A header with this text.
    Text(String),
}

/// The clocks of the server.
#[derive(Default)]
pub(crate) struct Clock {
    pub(crate) header: DateHeader,
    /// How far the server's own clock is from this machine's, where the two are told apart.
    pub(crate) skew: Option<TimeDelta>,
    answers: u64,
}

impl Clock {
    /// The text of the header for an answer given when the data's clock stood at `data`.
    pub(crate) fn date(&mut self, data: DateTime<Utc>) -> Option<String> {
        self.answers += 1;
        let now = self.server(data);
        let shifted = |by: TimeDelta| now.checked_add_signed(by).map(http_date);
        match &self.header {
            DateHeader::True => Some(http_date(now)),
            DateHeader::Skewed(by) => shifted(*by),
            DateHeader::Jumping(by) if self.answers.is_multiple_of(2) => shifted(-*by),
            DateHeader::Jumping(by) => shifted(*by),
            DateHeader::Missing => None,
            DateHeader::Text(text) => Some(text.clone()),
        }
    }

    /// The server's clock, as it really is.
    fn server(&self, data: DateTime<Utc>) -> DateTime<Utc> {
        self.skew.map_or(data, |skew| Utc::now() + skew)
    }

    /// The times by which a token is judged: one where the server has a clock of its own. Else the data
    /// may stand in another year than the machines that ask for it, and a token is good when it is good
    /// by either of the two, this machine's clock first.
    pub(crate) fn judges(&self, data: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        match self.skew {
            Some(_) => vec![self.server(data)],
            None => vec![Utc::now(), data],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("the tests write good times")
    }

    #[test]
    fn the_header_says_what_it_is_told_to() {
        let noon = at("2025-06-15T12:00:00Z");
        let mut clock = Clock::default();
        assert_eq!(clock.date(noon).as_deref(), Some("Sun, 15 Jun 2025 12:00:00 GMT"));
        clock.header = DateHeader::Skewed(TimeDelta::seconds(-3));
        assert_eq!(clock.date(noon).as_deref(), Some("Sun, 15 Jun 2025 11:59:57 GMT"));
        clock.header = DateHeader::Jumping(TimeDelta::days(365));
        let years = [clock.date(noon), clock.date(noon)].map(|date| date.map(|date| date[12..16].to_owned()));
        assert_eq!(years, [Some("2026".to_owned()), Some("2024".to_owned())]);
        clock.header = DateHeader::Text("soon".to_owned());
        assert_eq!(clock.date(noon).as_deref(), Some("soon"));
        clock.header = DateHeader::Missing;
        assert_eq!(clock.date(noon), None);
    }

    #[test]
    fn tokens_are_judged_by_the_servers_clock_where_it_has_one() {
        let (noon, mut clock) = (at("2025-06-15T12:00:00Z"), Clock::default());
        assert_eq!(clock.judges(noon)[1..], [noon]);
        clock.skew = Some(TimeDelta::seconds(-30));
        assert!(matches!(clock.judges(noon)[..], [time] if time > at("2026-01-01T00:00:00Z") && time < Utc::now()));
    }
}
