//! A client that shows what came over the wire, and reads lists as the documents say.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use fake_100ms::{Counts, Fake, Options, Readings, Scale};
use flate2::read::GzDecoder;
use serde_json::Value;

/// A workspace for tests that start many: still several pages, but no session of 2,000 peers.
pub fn tiny(readings: Readings) -> Fake {
    let counts =
        Counts { sessions: 150, peers_per_session: 2, recordings: 110, events_per_room: 6, ..Counts::default() };
    Fake::start(Options { readings, scale: Scale::Custom(counts), ..Options::default() })
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The content; `null` where there is none.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("errors have a message").to_owned()
    }
}

pub struct Client {
    address: String,
    pub token: Option<String>,
    pub accepts_gzip: bool,
}

impl Client {
    pub fn of(fake: &Fake) -> Client {
        Client::at(&fake.url(), fake.token())
    }

    pub fn at(url: &str, token: String) -> Client {
        Client { address: url.replace("http://", ""), token: Some(token), accepts_gzip: false }
    }

    /// One request on a connection of its own.
    pub fn get(&self, target: &str) -> io::Result<Answer> {
        self.send("GET", target)
    }

    pub fn send(&self, method: &str, target: &str) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.write_all(self.request(method, target, "close").as_bytes())?;
        read_answer(&mut stream)
    }

    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    }

    pub fn request(&self, method: &str, target: &str, connection: &str) -> String {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: fake\r\nConnection: {connection}\r\n");
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if self.accepts_gzip {
            request.push_str("Accept-Encoding: gzip\r\n");
        }
        request + "\r\n"
    }

    /// An answer that must be good.
    pub fn ok(&self, target: &str) -> Value {
        let answer = self.get(target).expect("the fake answers");
        assert!(matches!(answer.status, 200 | 204), "{target}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// All items of a list that goes on by id; `target` has a query already.
    pub fn list(&self, target: &str) -> Vec<Value> {
        let (mut items, mut start) = (Vec::new(), String::new());
        loop {
            let page = self.ok(&format!("{target}{start}"));
            let limit = page["limit"].as_u64().expect("every page names its limit");
            let data = page["data"].as_array().cloned().unwrap_or_default();
            let full = data.len() as u64 == limit;
            items.extend(data);
            match page["last"].as_str() {
                Some(last) if full && !last.is_empty() => start = format!("&start={last}"),
                _ => return items,
            }
        }
    }

    /// All events that a query of one room gives.
    pub fn events(&self, target: &str) -> Vec<Value> {
        self.events_from(target, String::new())
    }

    /// The same, going on with `&start=…`.
    pub fn events_from(&self, target: &str, mut start: String) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let page = self.ok(&format!("{target}{start}"));
            events.extend(page["events"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) if !next.is_empty() => start = format!("&start={next}"),
                _ => return events,
            }
        }
    }
}

/// Everything until the end of the body that the head announces.
pub fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut raw = Vec::new();
    let length = loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        match head.parse(&raw).map_err(|_| io::ErrorKind::InvalidData)? {
            httparse::Status::Complete(length) => break length,
            httparse::Status::Partial => fill(stream, &mut raw)?,
        }
    };
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    head.parse(&raw[..length]).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut answer = Answer {
        status: head.code.unwrap_or(0),
        headers: head.headers.iter().map(owned).collect(),
        body: raw[length..].to_vec(),
    };
    read_body(stream, &mut answer)?;
    Ok(answer)
}

fn owned(header: &httparse::Header) -> (String, String) {
    (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
}

fn read_body(stream: &mut TcpStream, answer: &mut Answer) -> io::Result<()> {
    match answer.header("content-length").map(str::to_owned) {
        Some(length) => {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            while answer.body.len() < length {
                fill(stream, &mut answer.body)?;
            }
            answer.body.truncate(length);
        }
        None => {
            while !answer.body.ends_with(b"0\r\n\r\n") {
                fill(stream, &mut answer.body)?;
            }
            answer.body = from_chunks(&answer.body)?;
        }
    }
    if answer.header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain)?;
        answer.body = plain;
    }
    Ok(())
}

fn from_chunks(mut framed: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = framed.iter().position(|&byte| byte == b'\r').ok_or(io::ErrorKind::InvalidData)?;
        let digits = String::from_utf8_lossy(&framed[..line]).into_owned();
        let size = usize::from_str_radix(&digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&framed[line + 2..line + 2 + size]);
        framed = &framed[line + 2 + size + 2..];
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut more = [0; 16 * 1024];
    match stream.read(&mut more)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            buffer.extend_from_slice(&more[..count]);
            Ok(())
        }
    }
}

/// Ends a connection that the fake would hold open for ever.
pub fn hang_up(stream: &TcpStream) {
    let _gone_already = stream.shutdown(Shutdown::Both);
}
