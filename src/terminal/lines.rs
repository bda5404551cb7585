//! The output as lines, each of them one message, for code that shows, counts or stores them.

use std::io::{self, Write};

/// Takes the lines of the output, each one message.
pub trait Lines {
    /// Takes a line, without its end.
    ///
    /// # Errors
    /// When it cannot be shown or stored.
    fn line(&mut self, line: &[u8]) -> io::Result<()>;

    /// Everything taken so far must be visible now.
    ///
    /// # Errors
    /// When it cannot be shown or stored.
    fn flush(&mut self) -> io::Result<()>;
}

impl<L: Lines + ?Sized> Lines for Box<L> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        (**self).line(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

/// Cuts what is written to it into lines.
pub struct Cut<L> {
    begun: Vec<u8>,
    lines: L,
}

impl<L> Cut<L> {
    /// Gives each line to `lines`.
    pub fn new(lines: L) -> Self {
        Self { begun: Vec::new(), lines }
    }
}

impl<L: Lines> Write for Cut<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                self.lines.line(line)?;
            } else {
                self.begun.extend_from_slice(line);
                self.lines.line(&self.begun)?;
                self.begun.clear();
            }
            rest = after;
        }
        self.begun.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

/// Lines as they are.
pub struct AsTheyAre<W>(pub W);

impl<W: Write> Lines for AsTheyAre<W> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)?;
        self.0.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The stream and the record of a RECORD line, without reading the record.
pub(super) fn record(line: &[u8]) -> Option<(&str, &[u8])> {
    let rest = line.strip_prefix(br#"{"type":"RECORD","record":{"stream":""#)?;
    let (name, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
    let data = rest.strip_prefix(br#"","data":"#)?;
    let end = memchr::memmem::rfind(data, br#","emitted_at":"#)?;
    Some((std::str::from_utf8(name).ok()?, &data[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<String>);

    impl Lines for Kept {
        fn line(&mut self, line: &[u8]) -> io::Result<()> {
            self.0.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_found_however_they_are_written() {
        let text = b"one\ntwo\n\nfour\n";
        for size in 1..=text.len() {
            let mut cut = Cut::new(Kept::default());
            for part in text.chunks(size) {
                cut.write_all(part).unwrap();
            }
            assert_eq!(cut.lines.0, ["one", "two", "", "four"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_record_is_cut_out_of_its_line() {
        let line = br#"{"type":"RECORD","record":{"stream":"rooms","data":{"id":"a","x":",\"emitted_at\":1"},"emitted_at":1700000000000}}"#;
        let (stream, data) = record(line).unwrap();
        assert_eq!((stream, data), ("rooms", br#"{"id":"a","x":",\"emitted_at\":1"}"#.as_slice()));
        assert_eq!(record(br#"{"type":"LOG","log":{"level":"INFO","message":"x"}}"#), None);
    }
}
