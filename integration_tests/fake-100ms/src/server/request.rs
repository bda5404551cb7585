//! A request as it comes off the wire.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What the fake looks at in a request.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) bearer: Option<String>,
    pub(crate) accepts_gzip: bool,
    pub(crate) keep_alive: bool,
}

impl Request {
    /// As it came, for log and messages.
    pub(crate) fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

/// A head larger than this is not one of our clients.
const LARGEST_HEAD: usize = 64 * 1024;

/// Reads requests one after the other from a connection.
pub(crate) struct RequestReader {
    buffer: Vec<u8>,
}

impl RequestReader {
    pub(crate) fn new() -> RequestReader {
        RequestReader { buffer: Vec::new() }
    }

    /// `None` when the client has gone, or says what is no HTTP.
    pub(crate) async fn next(&mut self, stream: &mut TcpStream) -> Option<Request> {
        loop {
            if let Some((request, head, body)) = parse(&self.buffer)? {
                self.skip(stream, head + body).await?;
                return Some(request);
            }
            self.fill(stream).await?;
        }
    }

    async fn fill(&mut self, stream: &mut TcpStream) -> Option<()> {
        let more = stream.read_buf(&mut self.buffer).await.ok()?;
        (more > 0 && self.buffer.len() < LARGEST_HEAD).then_some(())
    }

    /// Takes a request out of the buffer, with the body that some clients send along.
    async fn skip(&mut self, stream: &mut TcpStream, length: usize) -> Option<()> {
        while self.buffer.len() < length {
            self.fill(stream).await?;
        }
        self.buffer.drain(..length);
        Some(())
    }
}

/// The outer `None` is no HTTP, the inner one an unfinished head; with the lengths of head and body.
fn parse(buffer: &[u8]) -> Option<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(buffer).ok()? else {
        return Some(None);
    };
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let (path, query) = match head.path?.split_once('?') {
        Some((path, query)) => (path, query),
        None => (head.path?, ""),
    };
    let has = |name: &str, word: &str| header(name).is_some_and(|value| value.to_ascii_lowercase().contains(word));
    let body = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let request = Request {
        method: head.method?.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        bearer: header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
        accepts_gzip: has("accept-encoding", "gzip"),
        keep_alive: !has("connection", "close"),
    };
    Some(Some((request, length, body)))
}
