//! What can be typed: commands, flags, their help and examples.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

/// The version of the package, with commit and day where the build knows them.
const VERSION: &str = env!("SOURCE_100MS_VERSION");

const CONFIG_HELP: &str = "The configuration, a JSON file; `-` means standard input";

#[derive(Debug, Clone, Parser)]
#[command(name = "source-100ms", version = VERSION, about,
    subcommand_required = true, arg_required_else_help = true, after_help = ALL_EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    /// Also logs every retry and everything that is skipped
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// Writes messages of the protocol even at a terminal
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Accepted and ignored, for callers of low-code connectors
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
    /// Accepted and ignored, for callers of low-code connectors
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    components_path: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Prints the settings, as JSON Schema
    #[command(after_help = SPEC_EXAMPLES)]
    Spec,
    /// Checks whether the configuration works, with a few requests
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[arg(long, value_name = "FILE", help = CONFIG_HELP)]
        config: PathBuf,
        /// Ends with exit code 1 when the check fails, as it does at a terminal; platforms expect 0 and read the message
        #[arg(long)]
        exit_code: bool,
    },
    /// Prints the streams that can be read, with their columns
    #[command(after_help = DISCOVER_EXAMPLES)]
    Discover {
        #[arg(long, value_name = "FILE", help = CONFIG_HELP)]
        config: PathBuf,
        /// Prints a configured catalog, ready for `read --catalog`, instead of the message
        #[arg(long)]
        configured: bool,
        /// Prints only these streams; separate their names with commas
        #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 1.., value_parser = trimmed)]
        streams: Vec<String>,
    },
    /// Reads streams and writes their records
    #[command(after_help = READ_EXAMPLES)]
    Read(ReadArguments),
    /// Prints completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("selection").args(["catalog", "streams"]).required(true))]
pub(super) struct ReadArguments {
    #[arg(long, value_name = "FILE", help = CONFIG_HELP)]
    pub(super) config: PathBuf,
    /// Which streams and columns to read, and how: a configured catalog, or what `discover` printed
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,
    /// Reads these streams with all their columns, without a catalog; separate their names with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 1.., value_parser = trimmed)]
    pub(super) streams: Vec<String>,
    /// Reads only what has changed since the last time, for streams that have a cursor
    #[arg(long)]
    pub(super) incremental: bool,
    /// Where the last read ended: its state, or the STATE messages it wrote
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub(super) state: Option<PathBuf>,
    /// Writes a `.jsonl` file for each stream and `state.json` to this folder; with `--incremental`, a read continues from there
    #[arg(long, value_name = "FOLDER")]
    pub(super) output: Option<PathBuf>,
    /// Writes what the read has done to this file, as JSON: records, requests, refusals, seconds, warnings
    #[arg(long, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,
    /// Lets a read replace files in the folder of `--output` that have rows, but no state
    #[arg(long, requires = "output")]
    pub(super) overwrite: bool,
}

impl Command {
    /// The files that are read, with the configuration first.
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Spec | Self::Completions { .. } => Vec::new(),
            Self::Check { config, .. } | Self::Discover { config, .. } => vec![config],
            Self::Read(ReadArguments { config, catalog, state, .. }) => {
                [Some(config), catalog.as_ref(), state.as_ref()].into_iter().flatten().collect()
            }
        }
    }
}

fn trimmed(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

const ALL_EXAMPLES: &str = "\
Examples:
  source-100ms check --config config.json
  source-100ms read --config config.json --streams sessions,rooms --output data

Each command has examples of its own: source-100ms read --help";

const SPEC_EXAMPLES: &str = "\
Examples:
  source-100ms spec
  source-100ms spec > spec.json";

const CHECK_EXAMPLES: &str = "\
Examples:
  source-100ms check --config config.json
  source-100ms check --config - < config.json
  source-100ms check --config config.json --exit-code && echo 'ready'";

const DISCOVER_EXAMPLES: &str = "\
Examples:
  source-100ms discover --config config.json
  source-100ms discover --config config.json --configured > catalog.json
  source-100ms discover --config config.json --configured --streams sessions,rooms > catalog.json";

const READ_EXAMPLES: &str = "\
Examples:
  # Into a folder. The second time, only what has changed is read and added.
  source-100ms read --config config.json --streams sessions,rooms --incremental --output data
  source-100ms read --config config.json --streams sessions,rooms --incremental --output data

  # As a platform does it: messages go to standard output, and the state comes from a file.
  source-100ms discover --config config.json --configured > catalog.json
  source-100ms read --config config.json --catalog catalog.json > messages.jsonl
  source-100ms read --config config.json --catalog catalog.json --state messages.jsonl > changes.jsonl";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source-100ms completions bash > source-100ms.bash
  source-100ms completions zsh > _source-100ms";
