//! What is shown to whom: messages to a platform, sentences and progress to a person, and files in a folder.

use std::io::{ErrorKind, Write};

use super::arguments::{Arguments, Command};
use super::{Environment, Failure};
use crate::terminal::{AsTheyAre, CatalogAs, Folder, IntoFolder, Lines, Progress, Screen, Watched, writer};

type Writer = Box<dyn Write + Send>;

/// What a command must know of how its output is shown.
pub(super) struct Presentation {
    /// Where the requests of each stream are shown.
    pub(super) progress: Progress,
    /// Where records and states are kept, if not on standard output.
    pub(super) folder: Option<Result<Folder, Failure>>,
    /// Whether a person reads what is said at the end.
    is_for_a_person: bool,
}

impl Presentation {
    /// How `arguments` are to be answered here, and the writer that does it on `stdout`.
    pub(super) fn of(arguments: &Arguments, environment: &Environment, stdout: Writer) -> (Self, Writer) {
        let (is_read, wanted, catalog_as) = match &arguments.command {
            Command::Read(read) => (true, read.output.as_deref(), CatalogAs::Table),
            Command::Discover { configured: true, .. } => (false, None, CatalogAs::Configured),
            _ => (false, None, CatalogAs::Table),
        };
        let folder = wanted.map(|path| {
            Folder::at(path).map_err(|error| {
                let (path, kind) = (path.display(), error.kind());
                Failure::config(match kind {
                    ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                        format!("`--output` ({path}) is a file, or lies below one: name a folder.")
                    }
                    ErrorKind::WouldBlock => format!(
                        "Another `read` is writing into the folder of `--output` ({path}): name another folder, or wait until that read has ended."
                    ),
                    ErrorKind::Other => error.to_string(),
                    _ => format!(
                        "The folder of `--output` ({path}) cannot be made or locked ({kind}): name one that you may write to."
                    ),
                })
            })
        });
        let is_seen = environment.is_seen || folder.is_some();
        let with_sentences = catalog_as == CatalogAs::Configured || (is_seen && !arguments.json);
        let progress = if is_read && environment.is_watched { Progress::on_stderr() } else { Progress::hidden() };
        let is_for_a_person = is_read && (with_sentences || environment.is_watched);
        let presentation = Self { progress: progress.clone(), folder, is_for_a_person };
        if !with_sentences && !is_for_a_person && presentation.folder.is_none() {
            // For a platform, the messages go out as they are.
            return (presentation, stdout);
        }
        let mut lines: Box<dyn Lines + Send> = match (with_sentences, is_read) {
            (false, _) => Box::new(AsTheyAre(stdout)),
            // A read has no answer but its records; what is said of them is all there is to see.
            (true, true) => Box::new(Screen::new(std::io::sink(), stdout, catalog_as, progress.clone())),
            (true, false) => Box::new(Screen::new(stdout, std::io::stderr(), catalog_as, progress.clone())),
        };
        if let Some(Ok(folder)) = &presentation.folder {
            lines = Box::new(IntoFolder::new(folder.clone(), lines));
        }
        (presentation, writer(Watched::new(progress, lines)))
    }

    /// After a signal: what is safe, and what to do to get the rest.
    pub(super) fn say_how_to_go_on(&self) {
        if !self.is_for_a_person {
            return;
        }
        let saved = self.progress.saved();
        let how = match (&self.folder, saved.is_empty()) {
            (_, true) => "Stopped before anything was saved. Run the command again to start over.".to_owned(),
            (Some(_), false) => {
                format!("Stopped. Saved with their state: {saved}. Run the same command again to go on from there.")
            }
            (None, false) => format!(
                "Stopped. Written with their state: {saved}. Give the file with these messages to `--state` of the next read to go on from there."
            ),
        };
        let _ = self.progress.above(|| writeln!(std::io::stderr(), "{how}"));
    }
}

/// Why this command line makes no sense at this terminal, if so.
pub(super) fn misuse(arguments: &Arguments, environment: &Environment) -> Option<&'static str> {
    match &arguments.command {
        Command::Read(read) if environment.is_seen && read.output.is_none() && !arguments.json => Some(
            "`read` would fill this screen with messages. Choose where they go:\n\
             \x20 --output FOLDER   writes a file for each stream, and goes on from there the next time\n\
             \x20 > FILE or | ...   writes the messages to a file or to another program\n\
             \x20 --json            writes the messages to this screen after all",
        ),
        _ => None,
    }
}
