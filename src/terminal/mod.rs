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
use std::sync::{Arc, Mutex};

use crate::airbyte::{Message, Sink};
use crate::seams::locked;

pub use folder::Folder;
pub use progress_bars::{ProgressBars, counted};
pub use screen::{Screen, View};
pub use summary::Summary;

/// Something that the writer fills while a command looks at it.
pub type Shared<T> = Arc<Mutex<T>>;

/// Shows progress, sums up, keeps records and states in the folder, if there is one, and hands on everything else.
pub struct Terminal {
    pub progress: ProgressBars,
    pub summary: Option<Shared<Summary>>,
    pub folder: Option<Shared<Folder>>,
    pub rest: Box<dyn Sink>,
}

impl Sink for Terminal {
    fn records(&mut self, stream: &str, lines: &[u8], count: u64) -> io::Result<()> {
        self.progress.records(stream, count);
        if let Some(summary) = &self.summary {
            locked(summary).records(stream, lines.len() as u64, count);
        }
        match &self.folder {
            // A panic elsewhere leaves at worst rows that no state covers.
            Some(folder) => locked(folder).records(stream, lines),
            None => self.rest.records(stream, lines, count),
        }
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        self.progress.message(message);
        if let Some(summary) = &self.summary {
            locked(summary).message(message);
        }
        if let Some(folder) = &self.folder {
            locked(folder).message(message)?;
            if matches!(message, Message::State { .. }) {
                return Ok(());
            }
        }
        self.rest.message(message)
    }
}
