//! What is shown to whom: messages to a platform, sentences and progress to a person, and files in a folder.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Environment;
use super::arguments::{Arguments, Command};
use crate::airbyte::Sink;
use crate::failure::Failure;
use crate::seams::locked;
use crate::sync::JsonLines;
use crate::terminal::{Folder, ProgressBars, Screen, Shared, Summary, Terminal, View};

/// What a command must know of how its output is shown.
pub(super) struct Presentation {
    /// Where the requests of each stream are shown.
    pub(super) progress: ProgressBars,
    /// Where records and states are kept, if not on standard output.
    pub(super) folder: Option<Shared<Folder>>,
    /// What a read has done, if somebody wants to know.
    pub(super) summary: Option<Shared<Summary>>,
    /// Whether there is what was asked for of these two.
    pub(super) opened: Result<(), Failure>,
    pub(super) view: View,
}

/// What is seen of the command; or, when it makes no sense at this terminal, what to type.
fn view(arguments: &Arguments, environment: &Environment) -> Result<View, &'static str> {
    let Environment { is_seen, is_watched, .. } = *environment;
    Ok(match &arguments.command {
        Command::Read(read) if !arguments.json && read.output.is_some() => View::Read,
        Command::Read(_) if !arguments.json && is_seen => return Err(ADVICE),
        // Whoever wants messages on the screen wants nothing else there.
        Command::Read(_) if is_watched && !is_seen => View::MessagesAndProgress,
        Command::Discover { configured: true, .. } if !arguments.json => View::ConfiguredCatalog,
        _ if arguments.json || !is_seen => View::Messages,
        Command::Discover { streams, .. } if !streams.is_empty() => View::Columns,
        _ => View::Answer,
    })
}

const ADVICE: &str = "\
`read` would fill this screen with messages. Choose where they go:
  --output FOLDER   writes a file for each stream, and with `--incremental` goes on from there the next time
  > FILE or | ...   writes the messages to a file or to another program
  --json            writes the messages to this screen after all";

impl Presentation {
    /// How `arguments` are to be answered here, and what takes the output.
    ///
    /// # Errors
    /// Advice, when they make no sense at this terminal.
    pub(super) fn of(
        arguments: &Arguments,
        environment: &Environment,
        stdout: impl Write + Send + 'static,
    ) -> Result<(Self, Terminal), &'static str> {
        let view = view(arguments, environment)?;
        let (folder, summary) = match &arguments.command {
            Command::Read(read) => (
                read.output.as_deref().map(|path| open_folder(path, read.overwrite)).transpose(),
                read.summary.as_deref().map(open_summary).transpose(),
            ),
            _ => (Ok(None), Ok(None)),
        };
        let opened = folder.as_ref().and(summary.as_ref()).map(drop).map_err(Failure::clone);
        let (folder, summary) = (folder.unwrap_or_default(), summary.unwrap_or_default());
        let is_waited_for = matches!(view, View::Read | View::MessagesAndProgress);
        let progress = ProgressBars::new(environment.is_watched && is_waited_for);
        let above = progress.clone();
        let rest: Box<dyn Sink> = match view {
            View::Messages | View::MessagesAndProgress => Box::new(JsonLines(stdout)),
            // A read has no answer but its records; what is said of them is all there is to see.
            View::Read => Box::new(Screen { answer: std::io::sink(), remarks: stdout, view, progress: above }),
            View::Answer | View::Columns | View::ConfiguredCatalog => {
                Box::new(Screen { answer: stdout, remarks: std::io::stderr(), view, progress: above })
            }
        };
        let terminal = Terminal { progress: progress.clone(), summary: summary.clone(), folder: folder.clone(), rest };
        Ok((Self { progress, folder, summary, opened, view }, terminal))
    }

    /// Whether sentences take the place of messages.
    pub(super) fn has_sentences(&self) -> bool {
        !matches!(self.view, View::Messages | View::MessagesAndProgress)
    }

    /// Where the records are, if in a folder.
    pub(super) fn where_the_records_are(&self) -> Option<String> {
        let folder = locked(self.folder.as_ref()?).path.display().to_string();
        Some(format!("The records are in `{folder}`, one file for each stream."))
    }

    /// After a signal: what is safe, and what to do to get the rest.
    pub(super) fn say_how_to_continue(&self) {
        if !matches!(self.view, View::Read | View::MessagesAndProgress) {
            return;
        }
        let saved = self.progress.saved();
        let how = match (&self.folder, saved.is_empty()) {
            (_, true) => "Stopped before any record was saved. Run the same command again.".to_owned(),
            (Some(_), false) => {
                format!("Stopped. Saved with their state: {saved}. Run the same command again to continue from there.")
            }
            (None, false) => format!(
                "Stopped. Written with their state: {saved}. Give the file with these messages to `--state` of the next read to continue from there."
            ),
        };
        let _ = self.progress.above(|| writeln!(std::io::stderr(), "{how}"));
    }
}

fn open_summary(path: &Path) -> Result<Shared<Summary>, Failure> {
    Summary::at(path).map(Mutex::new).map(Arc::new).map_err(|error| {
        let problem = match error.kind() {
            ErrorKind::AlreadyExists => "holds something else than an earlier summary: name another file".to_owned(),
            kind => {
                format!("cannot be written ({kind}): name a file in a folder that exists and that you may write to")
            }
        };
        Failure::file("summary", &path.display().to_string(), &problem)
    })
}

fn open_folder(path: &Path, overwrite: bool) -> Result<Shared<Folder>, Failure> {
    Folder::at(path, overwrite).map(Mutex::new).map(Arc::new).map_err(|error| {
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
}
