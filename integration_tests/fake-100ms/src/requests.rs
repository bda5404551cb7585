//! What was asked: counts by route and status, and the last requests one by one.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// How often a route was answered with a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    /// The pattern form: `/v2/templates/{id}/settings`; `unknown` for what is no route.
    pub route: String,
    /// 0 when the connection was cut before a status was sent.
    pub status: u16,
    /// How many there were.
    pub count: u64,
}

/// One request, for the message of a failing test. Never holds a token.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// `GET`, unless something is wrong.
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// 0 when the connection was cut before a status was sent.
    pub status: u16,
    /// The faults it met, if any.
    pub fault: Option<String>,
    /// When it was answered.
    pub milliseconds_since_start: u64,
}

/// A client that is wrong once is wrong every time.
const UNEXPECTED_LENGTH: usize = 100;

/// Everything that is remembered of the requests since the last reset.
#[derive(Default)]
pub(crate) struct Journal {
    counts: BTreeMap<(String, u16), u64>,
    log: VecDeque<LoggedRequest>,
    /// A soak makes hundreds of thousands of requests: only the last ones help a reader.
    log_length: usize,
    unexpected: Vec<String>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Journal {
    pub(crate) fn new(log_length: usize) -> Journal {
        Journal { log_length, ..Journal::default() }
    }

    pub(crate) fn begin(&mut self) {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    pub(crate) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(crate) fn record(&mut self, route: &str, request: LoggedRequest) {
        let key = (route.to_owned(), request.status);
        *self.counts.entry(key).or_default() += 1;
        if self.log.len() >= self.log_length {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    pub(crate) fn note_unexpected(&mut self, what: String) {
        if self.unexpected.len() < UNEXPECTED_LENGTH {
            self.unexpected.push(what);
        }
    }

    pub(crate) fn reset(&mut self) {
        let in_flight = self.in_flight;
        *self = Journal::new(self.log_length);
        self.in_flight = in_flight;
        self.max_in_flight = in_flight;
    }

    pub(crate) fn counts(&self) -> Vec<RequestCount> {
        let count = |((route, status), count): (&(String, u16), &u64)| RequestCount {
            route: route.clone(),
            status: *status,
            count: *count,
        };
        self.counts.iter().map(count).collect()
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        self.log.iter().cloned().collect()
    }

    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.unexpected.clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }
}
