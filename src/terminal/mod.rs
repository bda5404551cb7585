//! What a person sees instead of messages: sentences, a table, progress, and a folder of files.
//!
//! | file | what it answers |
//! |---|---|
//! | `lines` | how the output is taken apart into lines, each of them one message |
//! | `screen` | how messages become sentences and tables |
//! | `progress` | what somebody sees who is waiting for a read |
//! | `folder` | how records and states become files that the next read goes on from |
//!
//! All of it works on the lines of the output ([`Lines`]): the engine and the commands write the same messages,
//! no matter who is looking.

mod folder;
mod lines;
mod progress;
mod screen;

use std::io::Write;

pub use folder::{Folder, IntoFolder, Wanted};
pub use lines::{AsTheyAre, Cut, Lines};
pub use progress::{Progress, Watched};
pub use screen::{CatalogAs, Screen};

/// A writer whose lines go to `lines`.
pub fn writer(lines: impl Lines + Send + 'static) -> Box<dyn Write + Send> {
    Box::new(Cut::new(lines))
}
