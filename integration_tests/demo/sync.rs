//! What a sync wrote, stream by stream.

use serde_json::Value;

use crate::{aligned, grouped, text};

/// What a sync came to, stream by stream, in the order of the catalog.
pub struct Sync {
    /// In the order of the catalog.
    pub streams: Vec<Stream>,
}

/// What a sync came to, of one stream.
#[derive(Default)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// In the order in which they were written.
    pub records: Vec<Value>,
    state: Option<Value>,
    requests: u64,
    began: f64,
    ended: f64,
}

impl Sync {
    /// Takes the messages apart.
    pub fn of(messages: &[Value]) -> Self {
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

    /// The last state of each stream.
    pub fn states(&self) -> Vec<&Value> {
        self.streams.iter().filter_map(|stream| stream.state.as_ref()).collect()
    }

    /// The table of the sync, beside the one before it.
    pub fn table(&self, before: Option<&Self>) -> String {
        let records = |stream: &Stream| stream.records.len() as u64;
        let requests = |stream: &Stream| stream.requests;
        let with_before = |now: u64, then: Option<u64>| {
            let then = before.map(|_| then.map(|then| format!("({})", grouped(then))).unwrap_or_default());
            [grouped(now)].into_iter().chain(then).collect::<Vec<_>>()
        };
        let row = |name: &str, of: &dyn Fn(&Self, &dyn Fn(&Stream) -> u64) -> Option<u64>, seconds: f64| {
            let columns = [&records as &dyn Fn(&Stream) -> u64, &requests];
            let counts = columns.into_iter().flat_map(|count| {
                with_before(of(self, count).unwrap_or_default(), before.and_then(|before| of(before, count)))
            });
            [name.to_owned()].into_iter().chain(counts).chain([format!("{seconds:.2}")]).collect::<Vec<_>>()
        };
        let mut rows: Vec<Vec<String>> = Vec::new();
        for stream in &self.streams {
            let of = |sync: &Self, count: &dyn Fn(&Stream) -> u64| {
                sync.streams.iter().find(|other| other.name == stream.name).map(count)
            };
            rows.push(row(&stream.name, &of, (stream.ended - stream.began) / 1000.0));
        }
        let first = self.streams.iter().map(|stream| stream.began).fold(f64::MAX, f64::min);
        let last = self.streams.iter().map(|stream| stream.ended).fold(0.0, f64::max);
        let all = |sync: &Self, count: &dyn Fn(&Stream) -> u64| Some(sync.streams.iter().map(count).sum());
        rows.push(row("all, side by side", &all, (last - first) / 1000.0));
        let names: &[&str] = match before {
            Some(_) => &["stream", "records", "(before)", "requests", "(before)", "seconds"],
            None => &["stream", "records", "requests", "seconds"],
        };
        let header = names.iter().map(|name| (*name).to_owned()).collect();
        aligned(Some(header), rows, &(1..names.len()).collect::<Vec<_>>())
    }
}
