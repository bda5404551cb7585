//! The only code that writes stdout: whole lines, records before the state that covers them, counted.
//!
//! It runs on a thread of its own, fed by a bounded channel: a slow reader slows the fetching, and
//! memory stays flat. What comes in first is written first; that is all the ordering there is.

use std::io::{self, Write};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::airbyte::{Level, Message};
use crate::streams::{MASK, Rows, keep_on_one_line};

/// Things waiting to be written at most; each is a page of records or a single message.
const QUEUE: usize = 8;
/// Shorter secrets would mask innocent words.
const SHORTEST_SECRET: usize = 8;

/// What can be written.
#[derive(Debug)]
enum Item {
    Rows { stream: &'static str, rows: Rows },
    State { stream: &'static str, state: Value },
    Message(Message),
}

/// The reader of our output is gone, or the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct OutputClosed;

/// Where everything is written to; cheap to clone.
#[derive(Clone)]
pub struct Output {
    items: mpsc::Sender<Item>,
    most_verbose: Level,
}

impl Output {
    /// Writes to `writer` from a thread of its own, masking `secrets` in every message. The thread ends
    /// when the last clone of the output is dropped, or with the first error.
    pub fn start<W: Write + Send + 'static>(
        writer: W,
        secrets: Vec<String>,
        most_verbose: Level,
    ) -> (Self, JoinHandle<io::Result<()>>) {
        let (items, queue) = mpsc::channel(QUEUE);
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
        let thread = std::thread::spawn(move || Lines { writer, secrets, uncovered: Vec::new() }.write_all(queue));
        (Self { items, most_verbose }, thread)
    }

    /// Writes records of `stream`.
    ///
    /// # Errors
    /// When nobody reads any more. Cancelled before it returns, nothing is written.
    pub async fn rows(&self, stream: &'static str, rows: Rows) -> Result<(), OutputClosed> {
        match rows.count {
            0 => Ok(()),
            _ => self.send(Item::Rows { stream, rows }).await,
        }
    }

    /// Writes the state of `stream`, which covers all its records written before.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn state(&self, stream: &'static str, state: Value) -> Result<(), OutputClosed> {
        self.send(Item::State { stream, state }).await
    }

    /// Writes a message.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn message(&self, message: Message) -> Result<(), OutputClosed> {
        self.send(Item::Message(message)).await
    }

    /// Writes a message if it is still true when there is room for it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn message_if(&self, message: Message, is_true: impl FnOnce() -> bool) -> Result<(), OutputClosed> {
        let room = self.items.reserve().await.map_err(|_| OutputClosed)?;
        if is_true() {
            room.send(Item::Message(message));
        }
        Ok(())
    }

    /// Writes a line of log, unless it is more verbose than asked for.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn log(&self, level: Level, text: impl Into<String>) -> Result<(), OutputClosed> {
        match level < self.most_verbose {
            true => Ok(()),
            false => self.message(Message::log(level, text)).await,
        }
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.items.closed().await;
    }

    async fn send(&self, item: Item) -> Result<(), OutputClosed> {
        self.items.send(item).await.map_err(|_| OutputClosed)
    }
}

struct Lines<W> {
    writer: W,
    secrets: Vec<String>,
    /// Records of each stream since its last state.
    uncovered: Vec<(&'static str, u64)>,
}

impl<W: Write> Lines<W> {
    fn write_all(mut self, mut queue: mpsc::Receiver<Item>) -> io::Result<()> {
        while let Some(item) = queue.blocking_recv() {
            self.write(item)?;
        }
        self.writer.flush()
    }

    fn write(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Rows { stream, rows } => {
                self.writer.write_all(&rows.bytes)?;
                *self.uncovered(stream) += rows.count;
                Ok(())
            }
            Item::State { stream, state } => {
                let records = std::mem::take(self.uncovered(stream));
                self.write_message(Message::state(stream, state, records))
            }
            Item::Message(message) => self.write_message(message),
        }
    }

    fn uncovered(&mut self, stream: &'static str) -> &mut u64 {
        let index = self.uncovered.iter().position(|(name, _)| *name == stream).unwrap_or_else(|| {
            self.uncovered.push((stream, 0));
            self.uncovered.len() - 1
        });
        &mut self.uncovered[index].1
    }

    fn write_message(&mut self, mut message: Message) -> io::Result<()> {
        for text in message.texts_mut() {
            // Before serialising: in the finished line a short secret could hit a number.
            for secret in self.secrets.iter().filter(|secret| text.contains(secret.as_str())).collect::<Vec<_>>() {
                *text = text.replace(secret.as_str(), MASK);
            }
        }
        let mut line = serde_json::to_vec(&message)?;
        keep_on_one_line(&mut line, 0);
        line.push(b'\n');
        self.writer.write_all(&line)?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

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
        let (output, thread) = Output::start(shared.clone(), vec!["s3cr3t\u{2028}".into()], Level::Info);
        output.rows("a", rows(2)).await.unwrap();
        output.rows("b", rows(5)).await.unwrap();
        output.rows("a", rows(1)).await.unwrap();
        output.state("a", Value::Null).await.unwrap();
        output.state("a", Value::Null).await.unwrap();
        output.state("b", Value::Null).await.unwrap();
        output.log(Level::Debug, "unheard").await.unwrap();
        output.log(Level::Info, "the secret is s3cr3t\u{2028}, and \u{85}").await.unwrap();
        drop(output);
        thread.join().unwrap().unwrap();
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let counts: Vec<_> =
            text.lines().filter(|line| line.contains("STATE")).map(|line| line.rsplit_once(':').unwrap().1).collect();
        assert_eq!(counts, ["3.0}}}", "0.0}}}", "5.0}}}"]);
        assert!(text.contains("the secret is **********, and \\u0085") && !text.contains("unheard"));
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_noticed() {
        let (output, thread) = Output::start(Broken, Vec::new(), Level::Info);
        let _ = output.log(Level::Info, "x").await;
        output.closed().await;
        assert_eq!(output.rows("a", rows(1)).await, Err(OutputClosed));
        assert_eq!(thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
