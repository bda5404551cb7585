//! The main job in one command: a fake 100ms account, all eight streams, an hour of changes, a second sync from the
//! saved state, what it all came to, and three charts of it.
//!
//! - `show`: the whole demo. `files`: its folder. `sync`: what a sync wrote, and its table. `charts`: three questions,
//!   drawn. `layout`: how tables and numbers look.
#![expect(clippy::print_stderr, reason = "what goes wrong is told there")]

mod charts;
mod files;
mod layout;
mod show;
mod sync;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use fake_100ms::{Fake, Options};

type Done<T> = Result<T, Box<dyn Error>>;

/// Where the demo leaves what it read.
const OUTPUT: &str = "demo-output";

/// The port that a kept account has unless told otherwise; `fake-100ms advance` looks there, too.
const USUAL_PORT: u16 = 8100;

/// Reads a fake 100ms account twice, with an hour of changes in between, and shows the result. Nothing leaves this
/// machine.
#[derive(Parser)]
#[command(
    name = "cargo demo",
    after_help = "Examples:
  cargo demo
  cargo demo -- --keep
  cargo demo -- --keep --port 8200"
)]
struct Choices {
    /// Leaves the account running, so that the configuration in `demo-output` works by hand.
    #[arg(long)]
    keep: bool,
    /// The port on which the account is left running.
    #[arg(long, value_name = "N", default_value_t = USUAL_PORT, requires = "keep")]
    port: u16,
}

/// `cargo demo -- --keep` and `cargo demo --keep` are the same: cargo's alias ends in `--` already.
fn arguments(all: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    all.filter(|argument| argument != "--")
}

fn main() -> ExitCode {
    let choices = Choices::parse_from(arguments(std::env::args()));
    match show_all(&choices) {
        Ok(fake) if choices.keep => keep(&fake),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => match complaint(&*error) {
            Some(sentence) => {
                eprintln!("{sentence}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        },
    }
}

/// What to say about an error. Of files that go wrong there is a sentence already, so what is left is the screen; and
/// nobody misses a demo that is no longer looked at, as in `cargo demo | head`.
fn complaint(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == ErrorKind::BrokenPipe => None,
        Some(error) => Some(format!("The demo cannot write to its standard output: {error}.")),
        None => Some(error.to_string()),
    }
}

fn show_all(choices: &Choices) -> Done<Fake> {
    let fake = start(choices)?;
    let folder = Path::new(OUTPUT);
    let mut out = io::stdout();
    show::show(&mut out, &fake, folder)?;
    if choices.keep {
        write!(out, "\n{}", next_commands(choices.port, folder))?;
        out.flush()?;
    }
    Ok(fake)
}

/// The account: on any free port, unless it is to be found by hand.
fn start(choices: &Choices) -> Done<Fake> {
    let port = if choices.keep { choices.port } else { 0 };
    Ok(Fake::try_start(Options { port, ..Options::company() }).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "Port {port} is in use: end the program that uses it, or choose another one with `cargo demo -- --keep --port {}`.",
            port.checked_add(1).unwrap_or(USUAL_PORT)
        ),
        _ => format!("The account cannot listen on port {port} ({error}): choose another one with `--port`."),
    })?)
}

/// Leaves the account running until the process is ended.
fn keep(_: &Fake) -> ExitCode {
    loop {
        std::thread::park();
    }
}

/// What to try with the account that is left running.
fn next_commands(port: u16, folder: &Path) -> String {
    let program = |name: &str| in_repository(&format!("target/release/{name}"));
    let rows = unused(folder);
    let folder = folder.display();
    let read = format!(
        "{} read --config {folder}/config.json --streams sessions,rooms --incremental --output {rows}",
        program("source-100ms")
    );
    let to_port = if port == USUAL_PORT { String::new() } else { format!(" --port {port}") };
    let advance = format!("{} advance{to_port}", program("fake-100ms"));
    format!(
        "The account stays at http://127.0.0.1:{port} until you press Ctrl-C. In another terminal, read it by hand, let an\n\
         hour pass in it, and read what has changed. The first command builds the two programs, which takes a minute or\n\
         two.\n\n  \
         cargo build --release -p source-100ms -p fake-100ms\n  {read}\n  {advance}\n  {read}\n"
    )
}

/// Where the records that are read by hand go: never into those of another account.
fn unused(folder: &Path) -> String {
    let names = (1_u32..).map(|number| if number == 1 { "rows".to_owned() } else { format!("rows-{number}") });
    let mut paths = names.map(|name| folder.join(name));
    paths.find(|path| !path.exists()).unwrap_or_else(|| folder.join("rows")).display().to_string()
}

/// A path inside the repository, as it works where the demo was started.
fn in_repository(path: &str) -> String {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize();
    let is_here =
        |root: &PathBuf| std::env::current_dir().and_then(|here| here.canonicalize()).is_ok_and(|here| here == *root);
    match root {
        Ok(root) if !is_here(&root) => root.join(path).display().to_string(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_in_use_is_one_sentence_and_harms_nobody_without_keep() {
        let taken = Fake::start(Options::default());
        let port = taken.url().rsplit(':').next().unwrap().parse().unwrap();
        let complaint = start(&Choices { keep: true, port }).err().unwrap().to_string();
        assert!(complaint.starts_with(&format!("Port {port} is in use: ")), "{complaint}");
        assert_eq!(complaint.lines().count(), 1);
        assert!(start(&Choices { keep: false, port }).is_ok());
    }

    #[test]
    fn a_second_pair_of_dashes_changes_nothing() {
        for line in ["demo --keep --port 8200", "demo -- --keep --port 8200"] {
            let choices = Choices::try_parse_from(arguments(line.split(' ').map(String::from))).unwrap();
            assert!(choices.keep && choices.port == 8200, "{line}");
        }
    }

    #[test]
    fn what_is_kept_is_found_where_the_commands_look() {
        let commands = next_commands(8100, Path::new(OUTPUT));
        let commands: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert_eq!(commands[0], "cargo build --release -p source-100ms -p fake-100ms");
        assert!(commands[1].contains(&format!(" --config {OUTPUT}/config.json ")), "{commands:?}");
        assert!(commands[1].ends_with(&format!(" --output {OUTPUT}/rows")) && commands[1] == commands[3]);
        assert!(commands[2].ends_with("target/release/fake-100ms advance") && commands.len() == 4);
        assert!(next_commands(8200, Path::new(OUTPUT)).contains("advance --port 8200\n"));
    }

    #[test]
    fn what_was_read_by_hand_before_is_of_another_account() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rows", "rows-2"] {
            assert_eq!(unused(folder.path()), folder.path().join(name).display().to_string());
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn nobody_is_told_that_nobody_looks() {
        let error = |kind: ErrorKind| complaint(&io::Error::from(kind));
        assert_eq!(error(ErrorKind::BrokenPipe), None);
        assert!(error(ErrorKind::StorageFull).unwrap().starts_with("The demo cannot write to its standard output: "));
    }

    #[test]
    fn what_is_printed_works_from_any_folder() {
        // Tests run in the folder of their package.
        assert!(Path::new(&in_repository("analytics/open")).is_file());
    }
}
