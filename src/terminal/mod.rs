//! What a person sees instead of messages: sentences, a table, progress, and a folder of files.
//!
//! | file | what it answers |
//! |---|---|
//! | `screen` | how messages become sentences and tables |
//! | `progress_bars` | what somebody sees who is waiting for a read |
//! | `summary` | what a read has done, for those who watch it |
//! | `folder` | how records and states become files that the next read goes on from |

mod folder;
mod progress_bars;
mod screen;
mod summary;

use std::io;

use crate::airbyte::{Message, Sink};

pub use folder::{Folder, Wanted};
pub use progress_bars::ProgressBars;
pub use screen::{CatalogAs, Screen};
pub use summary::Summary;

/// Shows progress, sums up, keeps records and states in the folder, if there is one, and hands on everything else.
pub struct Terminal {
    pub progress: ProgressBars,
    pub summary: Option<Summary>,
    pub folder: Option<Folder>,
    pub rest: Box<dyn Sink>,
}

impl Sink for Terminal {
    fn records(&mut self, stream: &str, lines: &[u8], count: u64) -> io::Result<()> {
        self.progress.records(stream, count);
        if let Some(summary) = &mut self.summary {
            summary.records(stream, lines, count)?;
        }
        match &mut self.folder {
            Some(folder) => folder.records(stream, lines, count),
            None => self.rest.records(stream, lines, count),
        }
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        self.progress.message(message);
        if let Some(summary) = &mut self.summary {
            summary.message(message)?;
        }
        if let Some(folder) = &mut self.folder {
            folder.message(message)?;
            if matches!(message, Message::State { .. }) {
                return Ok(());
            }
        }
        self.rest.message(message)
    }
}
