//! The main job in one command: a fake 100ms workspace, all eight streams, an hour of changes, a second
//! sync from the saved state, what it all came to, and three charts of it.
//!
//! - `sync`: what a sync wrote, and its table. `charts`: three questions, drawn.
#![expect(clippy::print_stderr, reason = "what goes wrong is told there")]

mod charts;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use fake_100ms::{Changes, Fake, Options, is_same, key_of};
use serde_json::{Value, json};
use source_100ms::commands::{Arguments, Ending, Environment, run};

use sync::Sync;

type Done<T> = Result<T, Box<dyn Error>>;

/// Where the demo leaves what it read.
const OUTPUT: &str = "demo-output";

/// Reads a fake 100ms workspace twice, with an hour of changes in between, and shows what came of it. Nothing
/// leaves this machine.
#[derive(Parser)]
#[command(
    name = "cargo demo",
    after_help = "Examples:
  cargo demo
  cargo demo -- --keep
  cargo demo -- --keep --port 8200"
)]
struct Choices {
    /// Leaves the workspace running, so that the configuration in `demo-output` works by hand.
    #[arg(long)]
    keep: bool,
    /// The port on which the workspace is left running.
    #[arg(long, value_name = "N", default_value_t = 8100, requires = "keep")]
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
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn show_all(choices: &Choices) -> Done<Fake> {
    let fake = start(choices)?;
    let folder = Path::new(OUTPUT);
    let mut out = std::io::stdout();
    show(&mut out, &fake, folder)?;
    if choices.keep {
        write!(out, "\n{}", next_commands(choices.port, folder))?;
    }
    Ok(fake)
}

/// The workspace: on any free port, unless it is to be found by hand.
fn start(choices: &Choices) -> Done<Fake> {
    let port = if choices.keep { choices.port } else { 0 };
    Ok(Fake::try_start(Options { port, ..Options::default() }).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "Port {port} is in use: end the program that uses it, or choose another one with `cargo demo -- --keep --port {}`.",
            port.checked_add(1).unwrap_or(8100)
        ),
        _ => format!("The workspace cannot listen on port {port} ({error}): choose another one with `--port`."),
    })?)
}

/// Leaves the workspace running until the process is ended.
fn keep(_: &Fake) -> ExitCode {
    loop {
        std::thread::park();
    }
}

/// What to try with the workspace that is left running.
fn next_commands(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    let read = format!(
        "cargo run --release -- read --config {folder}/config.json --streams sessions,rooms --incremental --output {folder}/rows"
    );
    let advance = match port {
        8100 => "cargo run --release -p fake-100ms -- advance".to_owned(),
        port => format!("cargo run --release -p fake-100ms -- advance --port {port}"),
    };
    format!(
        "The workspace goes on at http://127.0.0.1:{port} until you press Ctrl-C. In another terminal, read it by hand,\n\
         let an hour pass, and read what has changed. The first time, the commands compile for a minute or two.\n\n  \
         {read}\n  {advance}\n  {read}\n"
    )
}

/// The whole demo.
fn show(out: &mut impl Write, fake: &Fake, folder: &Path) -> Done<()> {
    let files = Files::create(folder, fake)?;
    writeln!(out, "A fake 100ms workspace listens at {}. Nothing leaves this machine.\n", fake.url())?;
    let streams = show_commands(out, &files)?;
    files.write_catalog(&streams)?;

    let (config, catalog) = (files.path("config.json"), files.path("catalog.json"));
    let (first, _) = call(&["read", "--config", &config, "--catalog", &catalog])?;
    let first = Sync::of(&first);
    files.write_records(&first)?;
    writeln!(out, "\nThe first sync reads everything since 2018.\n\n{}", first.table(None))?;

    let changes = fake.advance();
    writeln!(
        out,
        "\nAn hour passes in the workspace. So many records are new or have changed:\n\n{}",
        describe(&changes, &first)
    )?;
    files.write_state(&first)?;
    let state = files.path("state.json");
    let (second, _) = call(&["read", "--config", &config, "--catalog", &catalog, "--state", &state])?;
    let second = Sync::of(&second);
    files.write_records(&second)?;
    writeln!(
        out,
        "\nThe second sync begins at the saved state. It reads what has changed, and all of the streams without a \
         cursor.\n\n{}",
        second.table(Some(&first))
    )?;

    prove(fake, &first, &second)?;
    writeln!(out, "\nEvery record is what the workspace holds: all were compared, column by column.\n")?;
    for chart in charts::of(&latest(&[&first, &second], "sessions")?, &latest(&[&first, &second], "recordings")?) {
        writeln!(out, "{chart}")?;
    }
    writeln!(
        out,
        "The records are in {}/, one file for each stream, beside config, catalog and state. The next demo writes this\n\
         folder anew. A dashboard over them (needs Python 3.11 or later): analytics/open {}\n\
         docs/analytics.md says more.",
        folder.display(),
        folder.display()
    )?;
    Ok(())
}

/// Calls `spec`, `check` and `discover`, and says what each answers; returns the streams.
fn show_commands(out: &mut impl Write, files: &Files) -> Done<Vec<Value>> {
    let (spec, in_spec) = call(&["spec"])?;
    let settings = spec[0]["spec"]["connectionSpecification"]["properties"].as_object().map_or(0, serde_json::Map::len);
    let config = files.path("config.json");
    let (check, in_check) = call(&["check", "--config", &config])?;
    let status = text(&check[0]["connectionStatus"]["status"]);
    let (discovered, in_discover) = call(&["discover", "--config", &config])?;
    let streams = catalog_of(&discovered)?;
    let schemas = streams.iter().filter_map(|stream| stream["json_schema"]["properties"].as_object());
    let columns: usize = schemas.map(serde_json::Map::len).sum();
    let answers = [
        ("spec", format!("asks for {settings} settings, of which two are needed"), in_spec),
        ("check", format!("tries the credentials and says {status}"), in_check),
        ("discover", format!("offers {} streams with {columns} columns", streams.len()), in_discover),
    ];
    let rows = answers.map(|(command, answer, seconds)| vec![command.to_owned(), answer, milliseconds(seconds)]);
    writeln!(out, "{}", aligned(None, rows, &[2]))?;
    Ok(streams)
}

/// A table without lines, two blanks from the left; the columns in `right` end at the same place.
fn aligned(header: Option<Vec<String>>, rows: impl IntoIterator<Item = Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    if let Some(header) = header {
        table.set_header(header);
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!(" {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// Runs the connector as the binary does; returns its messages and the seconds it took.
fn call(arguments: &[&str]) -> Done<(Vec<Value>, f64)> {
    let output = Captured::default();
    let began = Instant::now();
    let arguments = Arguments::try_parse_from(std::iter::once("source-100ms").chain(arguments.iter().copied()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Nobody asks the demo to stop but by ending it.
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let (ending, written) = runtime.block_on(run(arguments, Environment::from_variables(), output.clone(), stopped));
    written?;
    let bytes = output.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::str::from_utf8(&bytes)?;
    if ending != Ending::Well {
        return Err(format!("the connector reported a failure:\n{text}").into());
    }
    let messages = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((messages, began.elapsed().as_secs_f64()))
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The files a person would pass by hand, and the records that came of them.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn create(folder: &Path, fake: &Fake) -> Done<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let files = Self { folder: folder.to_owned() };
        let credentials = json!({"auth_type": "app_credentials", "app_access_key": fake.access_key(), "app_secret": fake.app_secret()});
        // Every room is asked in both syncs, so that every event can be compared: late events of old sessions
        // come with the daily sweep otherwise.
        let config = json!({"credentials": credentials, "start_date": "2018-01-01T00:00:00Z", "api_url": fake.url(),
            "analytics_rooms": "all"});
        fs::write(files.folder.join("config.json"), serde_json::to_string_pretty(&config)?)?;
        Ok(files)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write_catalog(&self, streams: &[Value]) -> Done<()> {
        let configured: Vec<Value> = streams
            .iter()
            .map(|stream| {
                let modes = stream["supported_sync_modes"].as_array().into_iter().flatten();
                json!({"stream": stream, "sync_mode": modes.last(), "destination_sync_mode": "append_dedup"})
            })
            .collect();
        Ok(fs::write(self.folder.join("catalog.json"), serde_json::to_string_pretty(&json!({"streams": configured}))?)?)
    }

    fn write_state(&self, sync: &Sync) -> Done<()> {
        Ok(fs::write(self.folder.join("state.json"), serde_json::to_string_pretty(&sync.states())?)?)
    }

    fn write_records(&self, sync: &Sync) -> Done<()> {
        for stream in &sync.streams {
            let path = self.folder.join(format!("{}.jsonl", stream.name));
            let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
            for record in &stream.records {
                writeln!(file, "{record}")?;
            }
        }
        Ok(())
    }
}

/// The last version of every record of a stream, by key.
fn latest<'s>(syncs: &[&'s Sync], name: &str) -> Done<BTreeMap<String, &'s Value>> {
    let mut latest = BTreeMap::new();
    for stream in syncs.iter().flat_map(|sync| &sync.streams).filter(|stream| stream.name == name) {
        for record in &stream.records {
            let key = record.as_object().and_then(|record| key_of(name, record));
            latest.insert(key.ok_or_else(|| format!("`{name}` has a record without a key"))?, record);
        }
    }
    Ok(latest)
}

/// The last version of every record, over both syncs, is what the workspace holds.
fn prove(fake: &Fake, first: &Sync, second: &Sync) -> Done<()> {
    // The streams on request have not been read.
    let is_read = |name: &String| first.streams.iter().any(|stream| stream.name == *name);
    for (name, expected) in fake.truth().streams.iter().filter(|(name, _)| is_read(name)) {
        let is_snapshot = matches!(name.as_str(), "active_room_peers" | "template_settings" | "templates_destinations");
        let syncs: &[&Sync] = if is_snapshot { &[second] } else { &[first, second] };
        let latest = latest(syncs, name)?;
        // Events leave the API after 30 days and stay in the warehouse.
        let wrong: BTreeSet<&String> = expected
            .iter()
            .filter(|(key, record)| !latest.get(*key).is_some_and(|found| is_same(found, record)))
            .map(|(key, _)| key)
            .collect();
        if !wrong.is_empty() {
            return Err(format!("`{name}` differs from the workspace: {wrong:?}").into());
        }
    }
    Ok(())
}

/// How many records of the streams that are read are new or have changed.
fn describe(changes: &Changes, first: &Sync) -> String {
    let is_read = |name: &str| first.streams.iter().any(|stream| stream.name == name);
    let changed = changes.streams.iter().filter(|(name, keys)| is_read(name) && !keys.is_empty());
    let rows = changed.map(|(stream, keys)| vec![(*stream).to_owned(), grouped(keys.len() as u64)]);
    aligned(None, rows, &[1])
}

fn catalog_of(messages: &[Value]) -> Done<Vec<Value>> {
    let catalog = messages.iter().find_map(|message| message["catalog"]["streams"].as_array());
    catalog.cloned().ok_or_else(|| "discover printed no catalog".into())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}

/// 12345 as 12,345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that the demo shows, and the workspace it showed.
    fn shown() -> (String, Fake) {
        let folder = tempfile::tempdir().unwrap();
        let fake = start(&Choices { keep: false, port: 8100 }).unwrap();
        let mut out = Vec::new();
        show(&mut out, &fake, folder.path()).unwrap();
        let config: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
        assert_eq!(config["api_url"], fake.url());
        (String::from_utf8(out).unwrap(), fake)
    }

    /// The bars below a question: labels and counts.
    fn bars<'t>(shown: &'t str, question: &str) -> BTreeMap<&'t str, u64> {
        let (_, chart) = shown.split_once(question).unwrap();
        let lines = chart.lines().skip(3).take_while(|line| !line.is_empty());
        let mut bars = BTreeMap::new();
        for line in lines {
            let (label, count) = line.trim_end_matches(['█', ' ']).trim().rsplit_once("  ").unwrap();
            bars.insert(label.trim(), count.trim().replace(',', "").parse().unwrap());
        }
        bars
    }

    #[test]
    fn what_is_drawn_is_what_the_workspace_holds() {
        let (shown, fake) = shown();
        let truth = fake.truth().streams;
        let per_day = bars(&shown, "How many sessions began on each of the last 14 days?");
        assert_eq!(per_day.len(), 14);
        for (day, count) in per_day {
            let began = |session: &&Value| text(&session["started_at"]).starts_with(day);
            assert_eq!(count as usize, truth["sessions"].values().filter(began).count(), "{day}");
        }
        let people = bars(&shown, "How many people took part in a session?");
        assert_eq!(people.values().sum::<u64>() as usize, truth["sessions"].len());
        let nobody = |session: &&Value| session["peers"].as_array().is_none_or(Vec::is_empty);
        assert_eq!(people["nobody"] as usize, truth["sessions"].values().filter(nobody).count());
        // Somebody who joins twice is one; without a user id every join is somebody.
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for session in truth["sessions"].values() {
            let peers = session["peers"].as_array().into_iter().flatten();
            let who =
                |peer: &Value| if peer["user_id"].is_string() { peer["user_id"].clone() } else { peer["id"].clone() };
            let label = match peers.map(|peer| who(peer).to_string()).collect::<BTreeSet<_>>().len() {
                0 => "nobody",
                1 => "1",
                2 => "2",
                3 | 4 => "3 or 4",
                5..=8 => "5 to 8",
                _ => "9 or more",
            };
            *expected.entry(label).or_default() += 1;
        }
        assert!(people.iter().all(|(label, count)| expected.get(label).copied().unwrap_or(0) == *count), "{people:?}");
        let states = bars(&shown, "In what state are the recordings?");
        for (status, count) in &states {
            let has = |recording: &&Value| recording["status"] == **status;
            assert_eq!(*count as usize, truth["recordings"].values().filter(has).count(), "{status}");
        }
        assert_eq!(states.values().sum::<u64>() as usize, truth["recordings"].len());
    }

    #[test]
    fn each_chart_names_a_table_that_exists() {
        let charts = charts::of(&BTreeMap::new(), &BTreeMap::new());
        for chart in charts {
            let path = chart.lines().find_map(|line| line.strip_prefix("As a table: ")).unwrap();
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).is_file(), "{path}");
        }
    }

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let rows = [("a", 7), ("bcd", 1234)].map(|(name, count)| vec![name.to_owned(), grouped(count), "x".to_owned()]);
        assert_eq!(aligned(None, rows, &[1]), "  a        7  x\n  bcd  1,234  x");
    }

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
        assert_eq!(commands.lines().filter(|line| line.starts_with("  cargo run --release")).count(), 3);
        assert_eq!(commands.matches(&format!(" --config {OUTPUT}/config.json ")).count(), 2, "{commands}");
        assert_eq!(commands.matches(&format!(" --output {OUTPUT}/rows\n")).count(), 2, "{commands}");
        assert!(commands.contains("-- advance\n") && next_commands(8200, Path::new(OUTPUT)).contains("--port 8200\n"));
    }
}
