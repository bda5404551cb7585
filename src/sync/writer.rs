//! The only code that writes stdout: whole lines, records before the state that covers them, counted.
//!
//! It runs on a thread of its own, fed by one channel: what comes in first is written first; that is all the
//! ordering there is. Room for records is bounded: a slow reader slows the fetching, and memory stays flat.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::airbyte::{Level, Message, Sink, StreamStatus};
use crate::api::Notice;
use crate::redact::Redactor;
use crate::seams;
use crate::streams::{Rows, keep_on_one_line};

/// How many items wait to be written at most; each is a page of records or a single message.
const QUEUE: usize = 8;

/// What can be written, and its place in the queue, which is free again once it has been written.
type Queued = (Item, Option<OwnedSemaphorePermit>);

enum Item {
    Rows { stream: &'static str, rows: Rows },
    Notice(Notice),
    Message(Message),
}

/// The reader of our output is gone, or the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct OutputClosed;

/// Where everything is written to; cheap to clone. Writing fails when nobody reads any more.
#[derive(Clone)]
pub struct Output {
    queue: mpsc::UnboundedSender<Queued>,
    places: Arc<Semaphore>,
    redactor: Redactor,
    most_verbose: Level,
}

impl Output {
    /// Masks in every message what `redactor` knows. The writer hands what is written to `sink`.
    pub fn new(sink: impl Sink + 'static, redactor: Redactor, most_verbose: Level) -> (Self, Writer) {
        let (sender, queue) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(if seams::rarely() { 1 } else { QUEUE }));
        let output = Self { queue: sender, places, redactor: redactor.clone(), most_verbose };
        let (uncovered, running, limited_until) = Default::default();
        (output, Writer { queue, sink: Box::new(sink), redactor, most_verbose, uncovered, running, limited_until })
    }

    /// Writes records of `stream`. Cancelled before it returns, nothing is written.
    pub async fn rows(&self, stream: &'static str, rows: Rows) -> Result<(), OutputClosed> {
        match rows.count {
            0 => Ok(()),
            _ => self.send(Item::Rows { stream, rows }).await,
        }
    }

    /// Writes the state of `stream`, which covers all its records written before.
    pub async fn state(&self, stream: &str, state: Value) -> Result<(), OutputClosed> {
        self.message(Message::State { stream: stream.to_owned(), state, records: 0 }).await
    }

    /// Writes a step in the life of `stream`.
    pub async fn status(&self, stream: &str, status: StreamStatus) -> Result<(), OutputClosed> {
        self.message(Message::status(stream, status)).await
    }

    pub async fn message(&self, message: Message) -> Result<(), OutputClosed> {
        self.send(Item::Message(message)).await
    }

    /// Writes a line of log, unless it is more verbose than asked for.
    pub async fn log(&self, level: Level, text: impl Into<String>) -> Result<(), OutputClosed> {
        if level < self.most_verbose { Ok(()) } else { self.message(Message::log(level, text)).await }
    }

    /// Reports what the client has to say. It waits for no place in the queue: notices are few, and the client
    /// must not wait for the reader of the output.
    pub fn notice(&self, notice: Notice) {
        // A closed output is found out with the next record.
        let _ = self.queue.send((Item::Notice(notice), None));
    }

    /// What is masked in every message: for whoever shortens a text before, and for secrets that come later.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    async fn send(&self, item: Item) -> Result<(), OutputClosed> {
        // The semaphore is never closed: when the writer has ended, the places of what it held are free again.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        self.queue.send((item, place)).map_err(|_| OutputClosed)
    }
}

/// Hands what is written to a sink, in the order in which it came.
pub struct Writer {
    queue: mpsc::UnboundedReceiver<Queued>,
    sink: Box<dyn Sink>,
    redactor: Redactor,
    most_verbose: Level,
    /// How many records of each stream came after its last state.
    uncovered: HashMap<String, u64>,
    /// Streams that have begun and not ended, in this order.
    running: Vec<String>,
    /// The end of the last pause that was reported, in milliseconds since 1970.
    limited_until: i64,
}

impl Writer {
    /// Writes until the last clone of the output is dropped, or to the first error, and then reports how that went. It
    /// writes from a thread of its own, or from a task of this one when no thread can be started.
    pub fn start(self) -> oneshot::Receiver<io::Result<()>> {
        let (hand_over, work) = std::sync::mpsc::channel::<(Self, oneshot::Sender<io::Result<()>>)>();
        let (report, written) = oneshot::channel();
        let runtime = Handle::current();
        // Nobody waits for the report when the process is about to end.
        let write =
            move || work.recv().is_ok_and(|(writer, report)| report.send(runtime.block_on(writer.write_all())).is_ok());
        if std::thread::Builder::new().spawn(write).is_ok() {
            let _ = hand_over.send((self, report));
        } else {
            tokio::spawn(async { report.send(self.write_all().await) });
        }
        written
    }

    async fn write_all(mut self) -> io::Result<()> {
        while self.write_next().await? {}
        Ok(())
    }

    /// Writes what comes next; false when nothing comes any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write_next(&mut self) -> io::Result<bool> {
        match self.queue.recv().await {
            Some((item, _place)) => self.write(item).map(|()| true),
            None => Ok(false),
        }
    }

    fn write(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Rows { stream, rows } => {
                self.sink.records(stream, &rows.bytes, rows.count)?;
                *self.uncovered.entry(stream.to_owned()).or_default() += rows.count;
                Ok(())
            }
            Item::Notice(notice) => self.write_notice(&notice),
            Item::Message(message) => self.write_message(message),
        }
    }

    /// Logs what the client says, and tells the platform that every stream under way waits for a limit:
    /// once for a pause, however many requests it hits.
    fn write_notice(&mut self, notice: &Notice) -> io::Result<()> {
        let (level, text, limited_until) = match notice {
            Notice::RateLimited { endpoint, wait, until } => {
                let text = format!("100ms limits the rate of `{endpoint}`: waiting {:.1} s.", wait.as_secs_f64());
                (Level::Info, text, Some(until.timestamp_millis()))
            }
            Notice::Info(text) => (Level::Info, text.clone(), None),
            Notice::Debug(text) => (Level::Debug, text.clone(), None),
        };
        if limited_until.is_some_and(|until| until / 1000 <= self.limited_until / 1000) {
            return Ok(());
        }
        if level >= self.most_verbose {
            self.write_message(Message::log(level, text))?;
        }
        self.limited_until = limited_until.unwrap_or(self.limited_until);
        let waiting = if limited_until.is_some() { self.running.clone() } else { Vec::new() };
        waiting.into_iter().try_for_each(|stream| {
            self.write_message(Message::Status { stream, status: StreamStatus::Running, limited_until })
        })
    }

    fn write_message(&mut self, mut message: Message) -> io::Result<()> {
        match &mut message {
            Message::State { stream, records, .. } => *records = self.uncovered.remove(stream).unwrap_or_default(),
            Message::Status { stream, status, limited_until: None } => {
                self.running.retain(|running| running != stream);
                if matches!(status, StreamStatus::Started | StreamStatus::Running) {
                    self.running.push(stream.clone());
                }
            }
            _ => {}
        }
        self.mask(&mut message);
        self.sink.message(&message)
    }

    /// Masks secrets in what may quote somebody. In the finished line a short secret could hit a number.
    fn mask(&self, message: &mut Message) {
        let mask = |text: &mut String| {
            if let Cow::Owned(masked) = self.redactor.redact(text) {
                *text = masked;
            }
        };
        match message {
            Message::Log { text, .. } => mask(text),
            Message::ConnectionStatus { problem } => problem.iter_mut().for_each(mask),
            Message::Error { message, internal, stream, .. } => {
                [message, internal].into_iter().chain(stream).for_each(mask)
            }
            Message::State { state, .. } => self.redactor.redact_value(state),
            Message::Catalog(streams) => {
                streams.iter_mut().for_each(|stream| self.redactor.redact_value(&mut stream.json_schema));
            }
            Message::Status { .. } | Message::Spec { .. } => {}
        }
    }
}

/// The messages of the protocol, each as one line.
pub struct JsonLines<W>(pub W);

impl<W: Write + Send> Sink for JsonLines<W> {
    fn records(&mut self, _stream: &str, lines: &[u8], _count: u64) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        let mut line = message.to_json()?.into_bytes();
        keep_on_one_line(&mut line, 0);
        line.push(b'\n');
        self.0.write_all(&line)?;
        self.0.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::airbyte::FailureType;

    /// An output that is written by a thread.
    pub fn started<W: Write + Send + 'static>(
        writer: W,
        redactor: Redactor,
        level: Level,
    ) -> (Output, oneshot::Receiver<io::Result<()>>) {
        let (output, writer) = Output::new(JsonLines(writer), redactor, level);
        (output, writer.start())
    }

    /// What was written.
    #[derive(Clone, Default)]
    pub struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn rows(count: u64) -> Rows {
        let mut rows = Rows::default();
        (rows.bytes, rows.count) = (b"{}\n".repeat(count as usize), count);
        rows
    }

    #[tokio::test]
    async fn each_state_counts_the_records_of_its_own_stream() {
        let shared = Shared::default();
        let (output, written) = started(shared.clone(), Redactor::new(["s3cr3t\u{2028}"]), Level::Info);
        output.rows("a", rows(2)).await.unwrap();
        output.rows("b", rows(5)).await.unwrap();
        output.rows("a", rows(1)).await.unwrap();
        output.state("a", Value::Null).await.unwrap();
        output.state("a", Value::Null).await.unwrap();
        output.state("b", Value::Null).await.unwrap();
        output.log(Level::Debug, "unheard").await.unwrap();
        output.log(Level::Info, "the secret is s3cr3t\u{2028}, and \u{85}").await.unwrap();
        drop(output);
        written.await.unwrap().unwrap();
        let text = shared.text();
        let counts: Vec<_> =
            text.lines().filter(|line| line.contains("STATE")).map(|line| line.rsplit_once(':').unwrap().1).collect();
        assert_eq!(counts, ["3.0}}}", "0.0}}}", "5.0}}}"]);
        assert!(text.contains("the secret is **********, and \\u0085") && !text.contains("unheard"));
    }

    #[tokio::test]
    async fn no_message_carries_a_secret_or_its_beginning() {
        let shared = Shared::default();
        let (output, written) = started(shared.clone(), Redactor::default(), Level::Info);
        // Minted while the sync runs.
        output.redactor().add("minted-0123456789-abcdefghij");
        let state = json!({"resume": {"pending": [{"start": "page:minted-0123456789-abcdefghij"}]}});
        output.state("rooms", state).await.unwrap();
        let (kind, stream) = (FailureType::SystemError, Some("minted-0123456789-abcdefghij".into()));
        let (message, internal) = ("minted-0123456789".into(), "minted-0123456789-abcdefghij".into());
        output.message(Message::Error { kind, message, internal, stream }).await.unwrap();
        output.log(Level::Info, "\"minted-0123456789-abcde…\"").await.unwrap();
        drop(output);
        written.await.unwrap().unwrap();
        let text = shared.text();
        assert!(!text.contains("minted"), "{text}");
        assert!(text.contains("page:**********"), "{text}");
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_noticed() {
        let (output, written) = started(Broken, Redactor::default(), Level::Info);
        let _ = output.log(Level::Info, "x").await;
        output.closed().await;
        assert_eq!(output.rows("a", rows(1)).await, Err(OutputClosed));
        assert_eq!(written.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_pause_is_told_once_and_only_of_streams_under_way() {
        let shared = Shared::default();
        let (output, written) = started(shared.clone(), Redactor::default(), Level::Info);
        output.status("over", StreamStatus::Started).await.unwrap();
        output.status("over", StreamStatus::Complete).await.unwrap();
        output.status("under_way", StreamStatus::Running).await.unwrap();
        let until = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for _ in 0..3 {
            let (endpoint, wait) = ("/v2/rooms".to_owned(), std::time::Duration::from_secs(3));
            output.notice(Notice::RateLimited { endpoint, until, wait });
        }
        drop(output);
        written.await.unwrap().unwrap();
        let text = shared.text();
        let limited: Vec<_> = text.lines().filter(|line| line.contains("RATE_LIMITED")).collect();
        assert_eq!(limited.len(), 1, "{text}");
        assert!(limited[0].contains("under_way") && limited[0].contains("1700000000000"));
    }
}
