//! What a person sees instead of messages: sentences, a table, progress, and a folder of files.
//!
//! All of it hangs on the lines of the output ([`Lines`]): the engine and the commands write messages,
//! whoever looks on.

mod folder;
mod lines;
mod progress;
mod screen;

use std::io::Write;

pub use folder::{Folder, IntoFolder, States};
pub use lines::{AsTheyAre, Cut, Lines};
pub use progress::{Progress, Watched};
pub use screen::{CatalogAs, Screen};

/// A writer whose lines go to `lines`.
pub fn writer(lines: impl Lines + Send + 'static) -> Box<dyn Write + Send> {
    Box::new(Cut::new(lines))
}
