//! The main job in one command: a fake 100ms workspace, all eight streams, an hour of changes, a second
//! sync from the saved state, and what it all came to.
#![expect(clippy::print_stdout, reason = "the summary is what the demo is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use fake_100ms::{Changes, Fake, Options, is_same, key_of};
use serde_json::{Value, json};
use source_100ms::commands::{Arguments, Ending, Environment, run};

type Done<T> = Result<T, Box<dyn Error>>;

/// Where the demo leaves what it read.
const OUTPUT: &str = "demo-output";

fn main() -> Done<()> {
    let fake = Fake::start(Options::default());
    let files = Files::create(Path::new(OUTPUT), &fake)?;
    println!("A fake 100ms workspace listens at {}. Nothing leaves this machine.\n", fake.url());

    let (spec, seconds) = call(&["spec"])?;
    let settings = spec[0]["spec"]["connectionSpecification"]["properties"].as_object().map_or(0, serde_json::Map::len);
    println!("spec      {settings} settings, two kinds of credentials {:>20}", milliseconds(seconds));
    let config = files.path("config.json");
    let (check, seconds) = call(&["check", "--config", &config])?;
    println!("check     {:<44} {:>6}", text(&check[0]["connectionStatus"]["status"]), milliseconds(seconds));
    let (discovered, seconds) = call(&["discover", "--config", &config])?;
    let streams = catalog_of(&discovered)?;
    let columns: usize = streams
        .iter()
        .filter_map(|stream| stream["json_schema"]["properties"].as_object())
        .map(serde_json::Map::len)
        .sum();
    println!("discover  {:<44} {:>6}", format!("{} streams, {columns} columns", streams.len()), milliseconds(seconds));
    files.write_catalog(&streams)?;

    let catalog = files.path("catalog.json");
    let (first, _) = call(&["read", "--config", &config, "--catalog", &catalog])?;
    let first = Sync::of(&first);
    files.write_records(&first)?;
    println!("\nFirst sync: everything since 2018.\n");
    first.print(None);

    let changes = fake.advance();
    println!("\nAn hour passes in the workspace: {}.", describe(&changes));
    files.write_state(&first)?;
    let state = files.path("state.json");
    let (second, _) = call(&["read", "--config", &config, "--catalog", &catalog, "--state", &state])?;
    let second = Sync::of(&second);
    files.write_records(&second)?;
    println!("\nSecond sync: from the saved state, only what changed.\n");
    second.print(Some(&first));

    prove(&fake, &first, &second)?;
    println!("\nEvery record is what the workspace holds, compared column by column.");
    println!("Records, one file a stream, and config, catalog and state to try by hand: {OUTPUT}/");
    Ok(())
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

/// What a sync came to, stream by stream, in the order of the catalog.
struct Sync {
    streams: Vec<Stream>,
}

#[derive(Default)]
struct Stream {
    name: String,
    records: Vec<Value>,
    state: Option<Value>,
    requests: u64,
    began: f64,
    ended: f64,
}

impl Sync {
    fn of(messages: &[Value]) -> Self {
        let mut sync = Self { streams: Vec::new() };
        for message in messages {
            match text(&message["type"]) {
                "RECORD" => {
                    sync.stream(text(&message["record"]["stream"])).records.push(message["record"]["data"].clone())
                }
                "STATE" => {
                    let name = text(&message["state"]["stream"]["stream_descriptor"]["name"]);
                    sync.stream(name).state = Some(message["state"].clone());
                }
                "TRACE" => sync.note_status(&message["trace"]),
                "LOG" => sync.note_summary(text(&message["log"]["message"])),
                _ => {}
            }
        }
        sync
    }

    fn stream(&mut self, name: &str) -> &mut Stream {
        let index = self.streams.iter().position(|stream| stream.name == name).unwrap_or_else(|| {
            self.streams.push(Stream { name: name.to_owned(), ..Stream::default() });
            self.streams.len() - 1
        });
        &mut self.streams[index]
    }

    fn note_status(&mut self, trace: &Value) {
        let (at, status) = (trace["emitted_at"].as_f64().unwrap_or_default(), &trace["stream_status"]);
        let stream = self.stream(text(&status["stream_descriptor"]["name"]));
        match text(&status["status"]) {
            "STARTED" => stream.began = at,
            "COMPLETE" => stream.ended = at,
            _ => {}
        }
    }

    /// The connector says itself how many requests a stream took: "Read `rooms`: 40 records with 2 requests …".
    fn note_summary(&mut self, message: &str) {
        let Some((name, summary)) = message.strip_prefix("Read `").and_then(|rest| rest.split_once("`: ")) else {
            return;
        };
        let requests =
            summary.split(" with ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok());
        self.stream(name).requests = requests.unwrap_or_default();
    }

    fn states(&self) -> Vec<&Value> {
        self.streams.iter().filter_map(|stream| stream.state.as_ref()).collect()
    }

    fn print(&self, before: Option<&Self>) {
        let (of_before, line) = if before.is_some() { ("(before)", 68) } else { ("", 48) };
        println!(
            "  {:<24}{:>8} {:>8}{:>9} {:>8}{:>9}",
            "stream", "records", of_before, "requests", of_before, "seconds"
        );
        println!("  {}", "─".repeat(line));
        let earlier = |name: &str, count: fn(&Stream) -> u64| {
            let stream = before.and_then(|before| before.streams.iter().find(|stream| stream.name == name));
            stream.map(|stream| format!("({})", grouped(count(stream)))).unwrap_or_default()
        };
        let records = |stream: &Stream| stream.records.len() as u64;
        for stream in &self.streams {
            let seconds = (stream.ended - stream.began) / 1000.0;
            println!(
                "  {:<24}{:>8} {:>8}{:>9} {:>8}{:>9.2}",
                stream.name,
                grouped(records(stream)),
                earlier(&stream.name, records),
                grouped(stream.requests),
                earlier(&stream.name, |stream| stream.requests),
                seconds
            );
        }
        let total = |sync: &Self, count: fn(&Stream) -> u64| grouped(sync.streams.iter().map(count).sum());
        let all_before =
            |count: fn(&Stream) -> u64| before.map(|before| format!("({})", total(before, count))).unwrap_or_default();
        let first = self.streams.iter().map(|stream| stream.began).fold(f64::MAX, f64::min);
        let last = self.streams.iter().map(|stream| stream.ended).fold(0.0, f64::max);
        println!("  {}", "─".repeat(line));
        println!(
            "  {:<24}{:>8} {:>8}{:>9} {:>8}{:>9.2}",
            "all, side by side",
            total(self, records),
            all_before(records),
            total(self, |stream| stream.requests),
            all_before(|stream| stream.requests),
            (last - first) / 1000.0
        );
    }
}

/// The last version of every record, over both syncs, is what the workspace holds.
fn prove(fake: &Fake, first: &Sync, second: &Sync) -> Done<()> {
    // The streams on request have not been read.
    let is_read = |name: &String| first.streams.iter().any(|stream| stream.name == *name);
    for (name, expected) in fake.truth().streams.iter().filter(|(name, _)| is_read(name)) {
        let is_snapshot = matches!(name.as_str(), "active_room_peers" | "template_settings" | "templates_destinations");
        let syncs: &[&Sync] = if is_snapshot { &[second] } else { &[first, second] };
        let mut latest: BTreeMap<String, &Value> = BTreeMap::new();
        for stream in syncs.iter().flat_map(|sync| &sync.streams).filter(|stream| stream.name == *name) {
            for record in &stream.records {
                let key = record.as_object().and_then(|record| key_of(name, record));
                latest.insert(key.ok_or(format!("`{name}` has a record without a key"))?, record);
            }
        }
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

fn describe(changes: &Changes) -> String {
    let changed = changes.streams.iter().filter(|(_, keys)| !keys.is_empty());
    changed
        .map(|(stream, keys)| format!("{} {}", grouped(keys.len() as u64), stream.replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ")
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
