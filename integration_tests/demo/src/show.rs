//! The whole demo, from the first request to the last chart.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use fake_100ms::{Changes, Fake, is_same, key_of};
use serde_json::Value;
use source_100ms::commands::{Arguments, Ending, Environment, run};

use crate::files::Files;
use crate::layout::{aligned, grouped, milliseconds};
use crate::sync::Sync;
use crate::{Done, charts, in_repository};

/// The whole demo.
pub fn show(out: &mut impl Write, fake: &Fake, folder: &Path) -> Done<()> {
    let files = Files::create(folder, fake)?;
    writeln!(
        out,
        "A fake 100ms account, that of an online tutoring company, is running at {}.\nNothing leaves this machine.\n",
        fake.url()
    )?;
    let streams = show_commands(out, &files)?;
    files.write_catalog(&streams)?;

    let (config, catalog) = (files.path("config.json"), files.path("catalog.json"));
    let (first, _) = call(&["read", "--config", &config, "--catalog", &catalog])?;
    let first = Sync::of(&first);
    files.write_records(&[&first])?;
    writeln!(out, "\nThe first sync reads the whole account.\n\n{}", first.table(None))?;

    let changes = fake.advance();
    writeln!(out, "\nAn hour passes in the account. New or changed records:\n\n{}", describe(&changes, &first))?;
    files.write_state(&first)?;
    let state = files.path("state.json");
    let (second, _) = call(&["read", "--config", &config, "--catalog", &catalog, "--state", &state])?;
    let second = Sync::of(&second);
    files.write_records(&[&first, &second])?;
    writeln!(
        out,
        "\nThe second sync starts from the saved state and reads only what has changed. Streams without a cursor are\n\
         read completely each time.\n\n{}",
        second.table(Some(&first))
    )?;

    prove(fake, &first, &second)?;
    writeln!(out, "\nAll records were compared with the account, column by column: there is no difference.\n")?;
    for chart in charts::of(&latest(&[&first, &second], "sessions")?, &latest(&[&first, &second], "recordings")?) {
        writeln!(out, "{chart}")?;
    }
    let folder = folder.display();
    writeln!(
        out,
        "The records are in {folder}/, in one file for each stream, next to the configuration, the catalog and the state.\n\
         The next `cargo demo` replaces these files and leaves all others alone. To explore the records in a dashboard\n\
         (you need Python 3.11 or later, and docs/analytics.md says more):\n\n  {} {folder}",
        in_repository("analytics/open"),
    )?;
    Ok(())
}

/// Calls `spec`, `check` and `discover`, and says what each answers; returns the streams.
fn show_commands(out: &mut impl Write, files: &Files) -> Done<Vec<Value>> {
    let (spec, in_spec) = call(&["spec"])?;
    let settings =
        spec[0]["spec"]["connectionSpecification"]["properties"].as_object().map_or(0, serde_json::Map::len) as u64;
    let config = files.path("config.json");
    let (check, in_check) = call(&["check", "--config", &config])?;
    let status = text(&check[0]["connectionStatus"]["status"]);
    let (discovered, in_discover) = call(&["discover", "--config", &config])?;
    let streams = catalog_of(&discovered)?;
    let schemas = streams.iter().filter_map(|stream| stream["json_schema"]["properties"].as_object());
    let columns: usize = schemas.map(serde_json::Map::len).sum();
    let (offered, columns) = (grouped(streams.len() as u64), grouped(columns as u64));
    let answers = [
        ("spec", format!("describes {} settings, two of which are required", grouped(settings)), in_spec),
        ("check", format!("tries the credentials: {status}"), in_check),
        ("discover", format!("offers {offered} streams with {columns} columns in all"), in_discover),
    ];
    let rows = answers.map(|(command, answer, seconds)| vec![command.to_owned(), answer, milliseconds(seconds)]);
    writeln!(out, "{}", aligned(None, rows, &[2]))?;
    Ok(streams)
}

/// Runs the connector as the binary does; returns its messages and the seconds it took.
fn call(arguments: &[&str]) -> Done<(Vec<Value>, f64)> {
    let output = Captured::default();
    let began = Instant::now();
    let arguments = Arguments::try_parse_from(std::iter::once("source-100ms").chain(arguments.iter().copied()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Whoever wants the demo to stop ends it.
    let (ending, written) =
        runtime.block_on(run(arguments, Environment::default(), output.clone(), Default::default()));
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

/// The last version of every record, over both syncs, is what the account holds.
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
            return Err(format!("`{name}` differs from the account: {wrong:?}").into());
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

/// The text in a value, or an empty one.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use fake_100ms::Options;

    use super::*;

    /// All that the demo shows, and the workspace it showed.
    fn shown() -> (String, Fake) {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(Options::company());
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
        let people = bars(&shown, "How many people were in each session?");
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
        let states = bars(&shown, "How many recordings are in each state?");
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
            let path = chart.lines().find_map(|line| line.strip_prefix("The table for it: ")).unwrap();
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).is_file(), "{path}");
        }
    }

    #[test]
    fn the_second_sync_costs_what_has_happened() {
        let (shown, _) = shown();
        let (first, second) = shown.split_once("The second sync").unwrap();
        let (_, first) = first.split_once("The first sync").unwrap();
        for (stream, share) in [("analytics_events", 1.4), ("sessions", 2.0), ("recordings", 10.0)] {
            let numbers = |table: &str| {
                let row = table.lines().find_map(|line| line.trim().strip_prefix(stream)).unwrap();
                let numbers = row.split_whitespace().map(|cell| cell.trim_matches(['(', ')']).replace(',', ""));
                numbers.map(|number| number.parse::<f64>().unwrap()).collect::<Vec<_>>()
            };
            let (first, second) = (numbers(first), numbers(second));
            assert_eq!([second[1], second[3]], first[..2], "{stream}");
            assert!(second[2] * share < second[3], "{stream}: {second:?}");
        }
    }
}
