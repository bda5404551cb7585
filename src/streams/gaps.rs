//! Parts that 100ms refuses to give: one of them must not cost all the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::contract::{Remark, StreamError};
use crate::api::{ApiError, Problem};

/// Refusals that speak of the one thing asked for, not of the credentials or the server's health.
pub const OF_THIS_ONE: &[u16] = &[400, 409, 410, 422, 451];
/// When so many were refused and none was had, the others will be refused as well.
const HOPELESS: u64 = 20;
/// So many are named in the log.
const MOST_NAMED: usize = 5;

/// Counts what was had and what was refused, of things asked for one by one.
pub struct Gaps {
    /// What they are, in the plural.
    things: &'static str,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    had: u64,
    refused: u64,
    /// The first refusal.
    first: Option<ApiError>,
    /// The endpoints of the first few.
    named: Vec<String>,
}

impl Gaps {
    /// Of `things`, in the plural.
    pub fn new(things: &'static str) -> Self {
        Self { things, counts: Mutex::default() }
    }

    /// Lets an answer pass; `None` when it was a refusal with one of `statuses`, which is counted.
    ///
    /// # Errors
    /// Any other error; and a refusal, when nothing but refusals has come for long.
    pub fn allow<T>(&self, answer: Result<T, ApiError>, statuses: &[u16]) -> Result<Option<T>, ApiError> {
        match answer {
            Ok(answer) => {
                self.counts().had += 1;
                Ok(Some(answer))
            }
            Err(error) if error.status().is_some_and(|status| statuses.contains(&status)) => {
                self.note(&error);
                if self.is_hopeless() { Err(error) } else { Ok(None) }
            }
            Err(error) => Err(error),
        }
    }

    /// Counts a refusal.
    pub fn note(&self, error: &ApiError) {
        let mut counts = self.counts();
        counts.refused += 1;
        if counts.named.len() < MOST_NAMED {
            counts.named.push(error.endpoint.clone());
        }
        counts.first.get_or_insert_with(|| error.clone());
    }

    /// Counts one that was not asked for, because asking has become hopeless.
    pub fn pass_over(&self) {
        self.counts().refused += 1;
    }

    /// Whether so many were refused, and none was had, that asking on makes no sense.
    pub fn is_hopeless(&self) -> bool {
        let counts = self.counts();
        counts.had == 0 && counts.refused >= HOPELESS
    }

    /// What is missing, as sentences for the log.
    pub fn remarks(&self) -> Vec<Remark> {
        let counts = self.counts();
        let Some(first) = &counts.first else { return Vec::new() };
        let asked = counts.refused + counts.had;
        let named = counts.named.iter().map(|endpoint| format!("`{endpoint}`")).collect::<Vec<_>>().join(", ");
        let more = if counts.refused as usize > counts.named.len() { " and others" } else { "" };
        let why = match &first.problem {
            Problem::Refused { status, message, .. } if message.is_empty() => format!("100ms answered {status}"),
            Problem::Refused { status, message, .. } => format!("100ms answered {status}, \"{message}\""),
            problem => problem.to_string(),
        };
        let (refused, are) = (counts.refused, if counts.refused == 1 { "is" } else { "are" });
        vec![Remark::warning(format!(
            "{refused} of {asked} {} could not be read and {are} missing in this sync: {why} ({named}{more}).",
            self.things
        ))]
    }

    /// As [`Gaps::remarks`], for things a stream consists of.
    ///
    /// # Errors
    /// When all of them were refused: then the stream has not been read.
    pub fn finish(&self) -> Result<Vec<Remark>, StreamError> {
        {
            let counts = self.counts();
            if let (0, Some(first)) = (counts.had, &counts.first) {
                return Err(first.clone().into());
            }
        }
        Ok(self.remarks())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
