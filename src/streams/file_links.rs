//! Links to files, each asked for alone: one that cannot be had must not cost all the others.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::skipped::Skipped;
use super::stream::{Remark, StreamError};
use crate::api::{Client, Problem};

/// Links that are asked for at the same time: as many as there can be workers.
const AT_ONCE: usize = 50;

/// Asks for links, and counts those that could not be had.
pub(super) struct FileLinks {
    skipped: Skipped,
    /// Bounds the links that are asked for before it is known whether any is given.
    at_once: Semaphore,
    /// Whether a link has been had, by this sync or one before it.
    have_worked: AtomicBool,
}

/// What came of asking for a link.
pub(super) enum Link {
    To(String),
    /// 100ms does not have the file any more.
    None,
    /// It may be had later.
    Failed,
}

impl FileLinks {
    pub(super) fn new(have_worked: bool) -> Self {
        Self {
            skipped: Skipped::new("links to files"),
            at_once: Semaphore::new(AT_ONCE),
            have_worked: AtomicBool::new(have_worked),
        }
    }

    /// Whether a link has been had: where none ever was, asking again later is of no use.
    pub(super) fn have_worked(&self) -> bool {
        self.have_worked.load(Ordering::Relaxed)
    }

    /// Asks for a link to `file`.
    pub(super) async fn ask(&self, client: &Client, file: &str) -> Result<Link, StreamError> {
        // The semaphore is never closed, so there is always a permit in the end.
        let _permit = self.at_once.acquire().await.ok();
        if self.skipped.is_hopeless() {
            self.skipped.pass_over();
            return Ok(Link::Failed);
        }
        match client.presigned_url(file).await {
            Err(error) if concerns_one_link(&error.problem) => {
                self.skipped.lacks(&error);
                Ok(Link::Failed)
            }
            answer => {
                // That 100ms no longer has a file says nothing of the other links.
                let Some(url) = answer? else { return Ok(Link::None) };
                self.have_worked.store(true, Ordering::Relaxed);
                Ok(self.skipped.note(file, Ok(Some(url)))?.map_or(Link::None, Link::To))
            }
        }
    }

    /// What is missing, as sentences for the log.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = self.skipped.remarks();
        if self.skipped.has_none() {
            let advice = " Set `recording_urls` to `none` if your workspace never gives links, as with HIPAA.";
            remarks.iter_mut().for_each(|remark| remark.sentence.push_str(advice));
        }
        remarks
    }
}

/// Whether a failure may be that of this link alone. Credentials, limits and connections that cannot be made
/// concern them all.
fn concerns_one_link(problem: &Problem) -> bool {
    match problem {
        Problem::Refused { status, .. } => !matches!(status, 401 | 429),
        Problem::Unreadable(_) | Problem::NoAnswer(_) | Problem::TooSlow(_) => true,
        _ => false,
    }
}
