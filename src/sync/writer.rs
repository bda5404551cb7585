//! The only code that writes stdout: whole lines, records before the state that covers them, counted.
//!
//! It runs on a thread of its own, fed by one channel: what comes in first is written first; that is all the
//! ordering there is. Room for records is bounded: a slow reader slows the fetching, and memory stays flat.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::notices;
use crate::airbyte::{Level, Message, Progress};
use crate::api::Notice;
use crate::redact::Redactor;
use crate::seams;
use crate::streams::{Rows, keep_on_one_line};

/// Things waiting to be written at most; each is a page of records or a single message.
const QUEUE: usize = 8;

/// What can be written, and the room it takes.
struct Item {
    content: Content,
    /// Given back once it has been written.
    _room: Option<OwnedSemaphorePermit>,
}

enum Content {
    Rows { stream: &'static str, rows: Rows },
    State { stream: &'static str, state: Value },
    Progress { stream: String, progress: Progress },
    Notice(Notice),
    Message(Message),
}

/// The reader of our output is gone, or the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct OutputClosed;

/// Where everything is written to; cheap to clone.
#[derive(Clone)]
pub struct Output {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    redactor: Redactor,
    most_verbose: Level,
}

impl Output {
    /// Masks in every message what `redactor` knows. What is to be written comes out as [`Lines`].
    pub fn new<W: Write>(writer: W, redactor: Redactor, most_verbose: Level) -> (Self, Lines<W>) {
        let (items, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(if seams::rarely() { 1 } else { QUEUE }));
        let output = Self { items, room, redactor: redactor.clone(), most_verbose };
        let (uncovered, running, limited_until) = Default::default();
        (output, Lines { queue, writer, redactor, most_verbose, uncovered, running, limited_until })
    }

    /// Writes records of `stream`.
    ///
    /// # Errors
    /// When nobody reads any more. Cancelled before it returns, nothing is written.
    pub async fn rows(&self, stream: &'static str, rows: Rows) -> Result<(), OutputClosed> {
        match rows.count {
            0 => Ok(()),
            _ => self.send(Content::Rows { stream, rows }).await,
        }
    }

    /// Writes the state of `stream`, which covers all its records written before.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn state(&self, stream: &'static str, state: Value) -> Result<(), OutputClosed> {
        self.send(Content::State { stream, state }).await
    }

    /// Writes a step in the life of `stream`.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn progress(&self, stream: &str, progress: Progress) -> Result<(), OutputClosed> {
        self.send(Content::Progress { stream: stream.to_owned(), progress }).await
    }

    /// Writes a message.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn message(&self, message: Message) -> Result<(), OutputClosed> {
        self.send(Content::Message(message)).await
    }

    /// Writes a line of log, unless it is more verbose than asked for.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn log(&self, level: Level, text: impl Into<String>) -> Result<(), OutputClosed> {
        if level < self.most_verbose { Ok(()) } else { self.message(Message::log(level, text)).await }
    }

    /// Tells the reader what the client has to say. It waits for no room: notices are few, and the client
    /// must not wait for its reader.
    pub fn notice(&self, notice: Notice) {
        // A closed output is found out with the next record.
        let _ = self.items.send(Item { content: Content::Notice(notice), _room: None });
    }

    /// What is masked in every message: for whoever shortens a text before, and for secrets that come later.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.items.closed().await;
    }

    async fn send(&self, content: Content) -> Result<(), OutputClosed> {
        // The semaphore is never closed: when the writer has ended, what it held is given back.
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        self.items.send(Item { content, _room: room }).map_err(|_| OutputClosed)
    }
}

/// What becomes of the output: lines, in the order in which they came.
pub struct Lines<W> {
    queue: mpsc::UnboundedReceiver<Item>,
    writer: W,
    redactor: Redactor,
    most_verbose: Level,
    /// Records of each stream since its last state.
    uncovered: Vec<(&'static str, u64)>,
    /// Streams that have begun and not ended.
    running: Vec<String>,
    /// The end of the last pause that was told, in milliseconds since 1970.
    limited_until: i64,
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Writes from a thread of its own, until the last clone of the output is dropped, or to the first error. What it
    /// returns tells how that went.
    ///
    /// # Errors
    /// When no thread can be started: the lines are given back.
    pub fn start(self) -> Result<oneshot::Receiver<io::Result<()>>, (Self, io::Error)> {
        let (hand_over, lines) = std::sync::mpsc::channel::<Self>();
        let (report, written) = oneshot::channel();
        let thread = std::thread::Builder::new().spawn(move || {
            if let Ok(lines) = lines.recv() {
                // Nobody waits for it when the process is about to end.
                let _ = report.send(lines.write_all());
            }
        });
        match thread {
            Ok(_) => {
                // The thread waits for them.
                let _ = hand_over.send(self);
                Ok(written)
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl<W: Write> Lines<W> {
    fn write_all(mut self) -> io::Result<()> {
        while let Some(item) = self.queue.blocking_recv() {
            self.write(item.content)?;
        }
        self.writer.flush()
    }

    /// Writes what comes next; false when nothing comes any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write_next(&mut self) -> io::Result<bool> {
        match self.queue.recv().await {
            Some(item) => self.write(item.content).map(|()| true),
            None => self.writer.flush().map(|()| false),
        }
    }

    fn write(&mut self, content: Content) -> io::Result<()> {
        match content {
            Content::Rows { stream, rows } => {
                self.writer.write_all(&rows.bytes)?;
                *self.uncovered(stream) += rows.count;
                Ok(())
            }
            Content::State { stream, state } => {
                let records = std::mem::take(self.uncovered(stream));
                self.write_message(Message::state(stream, state, records))
            }
            Content::Progress { stream, progress } => self.write_progress(stream, progress),
            Content::Notice(notice) => self.write_notice(&notice),
            Content::Message(message) => self.write_message(message),
        }
    }

    fn write_progress(&mut self, stream: String, progress: Progress) -> io::Result<()> {
        self.write_message(Message::progress(&stream, progress))?;
        self.running.retain(|running| *running != stream);
        if matches!(progress, Progress::Started | Progress::Running) {
            self.running.push(stream);
        }
        Ok(())
    }

    /// Logs what the client says, and tells the platform that every stream under way waits for a limit:
    /// once for a pause, however many requests it hits.
    fn write_notice(&mut self, notice: &Notice) -> io::Result<()> {
        let limited = notices::limited_until(notice);
        if limited.is_some_and(|until| until / 1000 <= self.limited_until / 1000) {
            return Ok(());
        }
        let (level, text) = notices::sentence(notice);
        if level >= self.most_verbose {
            self.write_message(Message::log(level, text))?;
        }
        let Some(until) = limited else { return Ok(()) };
        self.limited_until = until;
        for stream in self.running.clone() {
            self.write_message(Message::rate_limited(&stream, until))?;
        }
        Ok(())
    }

    fn uncovered(&mut self, stream: &'static str) -> &mut u64 {
        let index = self.uncovered.iter().position(|(name, _)| *name == stream).unwrap_or_else(|| {
            self.uncovered.push((stream, 0));
            self.uncovered.len() - 1
        });
        &mut self.uncovered[index].1
    }

    fn write_message(&mut self, mut message: Message) -> io::Result<()> {
        // Before serialising: in the finished line a short secret could hit a number.
        for text in message.texts_mut() {
            if let Cow::Owned(masked) = self.redactor.redact(text) {
                *text = masked;
            }
        }
        for value in message.values_mut() {
            self.redactor.redact_value(value);
        }
        let mut line = serde_json::to_vec(&message)?;
        keep_on_one_line(&mut line, 0);
        line.push(b'\n');
        self.writer.write_all(&line)?;
        self.writer.flush()
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
        let (output, lines) = Output::new(writer, redactor, level);
        (output, lines.start().map_err(|(_, error)| error).unwrap())
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
    async fn no_message_carries_a_secret_or_a_piece_of_one() {
        let shared = Shared::default();
        let (output, written) = started(shared.clone(), Redactor::default(), Level::Info);
        // Minted while the sync runs.
        output.redactor().add("minted-0123456789-abcdefghij");
        let state = json!({"resume": {"pending": [{"start": "page:0123456789-abc"}]}});
        output.state("rooms", state).await.unwrap();
        let (kind, stream) = (FailureType::SystemError, Some("9-abcdefghij"));
        output.message(Message::error(kind, "minted-01234".into(), "67d-0123456789".into(), stream)).await.unwrap();
        output.log(Level::Info, "\"minted-0123456789-abcde…\"").await.unwrap();
        drop(output);
        written.await.unwrap().unwrap();
        let text = shared.text();
        for piece in ["minted-01234", "0123456789", "9-abcdefghij"] {
            assert!(!text.contains(piece), "{piece} in {text}");
        }
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
        output.progress("over", Progress::Started).await.unwrap();
        output.progress("over", Progress::Complete).await.unwrap();
        output.progress("under_way", Progress::Running).await.unwrap();
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
