//! What a sync wrote, stream by stream.

use serde_json::Value;

use crate::layout::{aligned, grouped};
use crate::show::text;

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

    /// The connector says itself how many requests a stream took: "Read `rooms`: 40 records (2 requests) in …".
    fn note_summary(&mut self, message: &str) {
        let Some((name, summary)) = message.strip_prefix("Read `").and_then(|rest| rest.split_once("`: ")) else {
            return;
        };
        let requests = summary
            .split(" (")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|n| n.replace(',', "").parse().ok());
        self.stream(name).requests = requests.unwrap_or_default();
    }

    /// The last state of each stream.
    pub fn states(&self) -> Vec<&Value> {
        self.streams.iter().filter_map(|stream| stream.state.as_ref()).collect()
    }

    /// The table of the sync, beside the one before it.
    pub fn table(&self, before: Option<&Self>) -> String {
        let row = |name: &str, now: Counts, then: Option<Counts>, seconds: f64| {
            let mut cells = vec![name.to_owned()];
            for (which, now) in now.into_iter().enumerate() {
                cells.push(grouped(now));
                if before.is_some() {
                    cells.push(then.map(|then| format!("({})", grouped(then[which]))).unwrap_or_default());
                }
            }
            cells.push(format!("{seconds:.2}"));
            cells
        };
        let of_stream = |stream: &Stream| {
            let then = before.and_then(|before| before.streams.iter().find(|other| other.name == stream.name));
            row(&stream.name, stream.counts(), then.map(Stream::counts), (stream.ended - stream.began) / 1000.0)
        };
        let mut rows: Vec<Vec<String>> = self.streams.iter().map(of_stream).collect();
        let first = self.streams.iter().map(|stream| stream.began).fold(f64::MAX, f64::min);
        let last = self.streams.iter().map(|stream| stream.ended).fold(0.0, f64::max);
        rows.push(row("all eight, in parallel", self.counts(), before.map(Self::counts), (last - first) / 1000.0));
        let names: &[&str] = match before {
            Some(_) => &["stream", "records", "(before)", "requests", "(before)", "seconds"],
            None => &["stream", "records", "requests", "seconds"],
        };
        let header = names.iter().map(|name| (*name).to_owned()).collect();
        aligned(Some(header), rows, &(1..names.len()).collect::<Vec<_>>())
    }

    fn counts(&self) -> Counts {
        let counts = self.streams.iter().map(Stream::counts);
        counts.fold([0, 0], |all, one| [all[0] + one[0], all[1] + one[1]])
    }
}

/// Records, and the requests they took.
type Counts = [u64; 2];

impl Stream {
    fn counts(&self) -> Counts {
        [self.records.len() as u64, self.requests]
    }
}
