//! Single items that cannot be had: one of them must not cost all the others.
//!
//! - **Nothing there:** 404 and 410 are answers, and so is one with nothing in it.
//! - **A refusal of one item** (400, 403, 409, 422, 451) may be meant for this item or for all: a permission may be
//!   missing, or a setting wrong. What the same endpoint answers about other items decides, before or after: once it
//!   has answered one, the refusal is a gap, which is told. Until then it is undecided, and what the item was asked
//!   for must not be taken for read.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::api::{ApiError, Problem};
use crate::seams::locked;

/// Refusals that may speak of the one item asked for, not of the credentials or the server's health.
const OF_ONE_ITEM: [u16; 5] = [400, 403, 409, 422, 451];
/// So many refusals without an answer are enough: the others would be refused as well, and must fit into a state.
const MOST_UNDECIDED: usize = 1_000;
/// When so many items and all others are not there, somebody should look.
const MANY: u64 = 3;
/// When so many links failed and none was had, the others will fail as well.
const HOPELESS: u64 = 20;
/// So many are named in the log.
const MOST_NAMED: usize = 5;

/// What one endpoint answered to requests for single items.
pub struct Skipped {
    /// What they are, in the plural.
    things: &'static str,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Items that were answered; of these,
    answered: u64,
    /// so many with nothing.
    absent: u64,
    /// The first two items that were answered: one of them is another than any item that is refused.
    first_answered: Vec<String>,
    /// Refusals that may be meant for all items, by item.
    undecided: BTreeMap<String, ApiError>,
    gaps: u64,
    /// The first few gaps.
    named: Vec<ApiError>,
}

impl Counts {
    fn has_answered_besides(&self, item: &str) -> bool {
        self.first_answered.iter().any(|answered| answered != item)
    }

    fn answered(&mut self, item: &str) {
        self.answered += 1;
        if self.first_answered.is_empty() || self.first_answered.len() == 1 && self.has_answered_besides(item) {
            self.first_answered.push(item.to_owned());
        }
        for (_, refusal) in std::mem::take(&mut self.undecided) {
            self.gap(refusal);
        }
    }

    fn gap(&mut self, refusal: ApiError) {
        self.gaps += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(refusal);
        }
    }
}

impl Skipped {
    /// Of `things`, in the plural.
    pub fn new(things: &'static str) -> Self {
        Self { things, counts: Mutex::default() }
    }

    /// Notes the answer about `item`: `None` when there is nothing or when it was refused. `item` is its id, or the
    /// query that names it.
    ///
    /// # Errors
    /// Any other error; and a refusal, when nothing but refusals has come for long.
    pub fn note<T>(&self, item: &str, answer: Result<Option<T>, ApiError>) -> Result<Option<T>, ApiError> {
        let mut counts = locked(&self.counts);
        match answer {
            Ok(answer) => {
                counts.absent += u64::from(answer.is_none());
                counts.answered(item);
                Ok(answer)
            }
            Err(refusal) if refusal.status().is_some_and(|status| OF_ONE_ITEM.contains(&status)) => {
                let refusal = named(refusal, item);
                if counts.has_answered_besides(item) {
                    counts.gap(refusal);
                } else if counts.undecided.len() < MOST_UNDECIDED {
                    counts.undecided.insert(item.to_owned(), refusal);
                } else {
                    return Err(refusal);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Counts an item that can be done without, and whose request failed for whatever reason.
    pub fn lacks(&self, error: ApiError) {
        locked(&self.counts).gap(error);
    }

    /// Counts one that was not asked for, because asking has become hopeless.
    pub fn pass_over(&self) {
        locked(&self.counts).gaps += 1;
    }

    /// Whether nothing has been had yet.
    pub fn has_none(&self) -> bool {
        locked(&self.counts).answered == 0
    }

    /// Whether so many could not be had, and none could, that asking on makes no sense.
    pub fn is_hopeless(&self) -> bool {
        self.has_none() && locked(&self.counts).gaps >= HOPELESS
    }

    /// A refusal that may be meant for all items.
    pub fn undecided(&self) -> Option<ApiError> {
        locked(&self.counts).undecided.values().next().cloned()
    }

    /// Whether `item` was refused, and this may be meant for all.
    pub fn is_undecided(&self, item: &str) -> bool {
        locked(&self.counts).undecided.contains_key(item)
    }

    /// What is missing, as sentences for the log.
    pub fn log_lines(&self) -> Vec<LogLine> {
        let Counts { answered, absent, gaps, named, .. } = &*locked(&self.counts);
        let things = self.things;
        if let Some(first) = named.first() {
            let asked = gaps + answered;
            let are = if *gaps == 1 { "is" } else { "are" };
            let why = match &first.problem {
                Problem::Refused { status, message, .. } if message.is_empty() => format!("100ms answered {status}"),
                Problem::Refused { status, message, .. } => format!("100ms answered {status}, \"{message}\""),
                problem => problem.to_string(),
            };
            let more = if *gaps as usize > named.len() { " and others" } else { "" };
            let named: Vec<String> = named.iter().map(|refusal| format!("`{}`", refusal.endpoint)).collect();
            return vec![LogLine::Gap(format!(
                "{gaps} of {asked} {things} could not be read and {are} missing in this sync: {why} ({}{more}).",
                named.join(", ")
            ))];
        }
        if *absent >= MANY && absent == answered {
            return vec![LogLine::Warning(format!(
                "100ms says of all {absent} {things} that there is nothing (404, 410 or an empty answer): if you know \
                 better, report it with the log of this sync."
            ))];
        }
        Vec::new()
    }
}

/// The refusal, whose endpoint says which item it is about.
fn named(refusal: ApiError, item: &str) -> ApiError {
    if refusal.endpoint.contains(item) {
        return refusal;
    }
    ApiError { endpoint: format!("{}?{item}", refusal.endpoint), ..refusal }
}

/// What a stream has to say when it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogLine {
    /// Good to know.
    Note(String),
    /// Something is missing, so that somebody should look.
    Warning(String),
    /// Items are missing, and the state takes them for read.
    Gap(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Result<Option<()>, ApiError> {
        let problem = Problem::Refused { status, message: "why".into(), retry_after: None };
        Err(ApiError::unsent(problem, "/v2/x".to_owned()))
    }

    fn sentences(skipped: &Skipped) -> Vec<String> {
        let sentence = |line| match line {
            LogLine::Note(sentence) | LogLine::Warning(sentence) | LogLine::Gap(sentence) => sentence,
        };
        skipped.log_lines().into_iter().map(sentence).collect()
    }

    #[test]
    fn a_refusal_is_decided_by_an_answer_about_another_item_before_or_after() {
        let is_gap_after = |answers: &[(&str, Result<Option<()>, u16>)]| {
            let skipped = Skipped::new("things");
            for (item, answer) in answers {
                let answer = answer.map_or_else(refusal, Ok);
                skipped.note(item, answer).unwrap();
            }
            assert_eq!(skipped.undecided().is_some(), sentences(&skipped).is_empty());
            skipped.undecided().is_none()
        };
        for status in OF_ONE_ITEM {
            assert!(is_gap_after(&[("a", Err(status)), ("b", Ok(Some(())))]));
            assert!(is_gap_after(&[("b", Ok(None)), ("a", Err(status))]));
            assert!(!is_gap_after(&[("a", Err(status)), ("b", Err(403))]));
            // The first page of an item tells nothing of the second.
            assert!(!is_gap_after(&[("a", Ok(Some(()))), ("a", Err(status))]));
            assert!(is_gap_after(&[("a", Ok(Some(()))), ("a", Err(status)), ("b", Ok(Some(())))]));
            assert!(is_gap_after(&[("a", Ok(Some(()))), ("b", Ok(Some(()))), ("a", Err(status))]));
        }
    }

    #[test]
    fn other_errors_are_errors_and_refusals_have_a_bound() {
        let skipped = Skipped::new("things");
        for status in [401, 404, 429, 500] {
            assert!(skipped.note("a", refusal(status)).is_err(), "{status}");
        }
        for item in 0..MOST_UNDECIDED {
            assert!(skipped.note(&item.to_string(), refusal(400)).is_ok());
        }
        assert!(skipped.note("one more", refusal(400)).is_err());
    }

    #[test]
    fn what_is_missing_is_counted_and_named() {
        let skipped = Skipped::new("things");
        skipped.note("d", Ok(Some(()))).unwrap();
        skipped.note("c", refusal(403)).unwrap();
        let expected =
            "1 of 2 things could not be read and is missing in this sync: 100ms answered 403, \"why\" (`/v2/x?c`).";
        assert_eq!(sentences(&skipped), [expected]);
        let skipped = Skipped::new("things");
        (0..2).for_each(|item| drop(skipped.note(&item.to_string(), Ok(None::<()>))));
        assert_eq!(sentences(&skipped), [""; 0]);
        skipped.note("2", Ok(None::<()>)).unwrap();
        assert!(sentences(&skipped)[0].starts_with("100ms says of all 3 things that there is nothing"));
        skipped.note("3", Ok(Some(()))).unwrap();
        assert_eq!(sentences(&skipped), [""; 0]);
    }
}
