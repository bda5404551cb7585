//! The floor: the same requests once more, on as many connections, by somebody who looks into nothing.
//!
//! What it cannot do is ask for a page before it has the token of that page. So the pages of a list without a
//! filter on time are one chain, fetched one after the other; pages of sessions and rooms, which the connector cuts
//! by time, and requests for single objects are free.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use fake_100ms::Fake;

use crate::Done;

/// What fetching came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare {
    pub wall: f64,
    pub cpu: f64,
    pub bytes: usize,
}

/// Lists that can be cut by time.
const CUT_BY_TIME: [&str; 2] = ["/v2/sessions?", "/v2/rooms?"];

/// Repeats what the fake was last asked, on so many connections.
pub fn fetch(fake: &Fake, connections: usize) -> Done<Bare> {
    let chains = chains(fake);
    let address = fake.url().trim_start_matches("http://").to_owned();
    let (token, next) = (fake.token(), AtomicUsize::new(0));
    let began = Instant::now();
    let work = || -> io::Result<(usize, f64)> {
        let mut connection = Connection::open(&address, &token)?;
        let mut bytes = 0;
        while let Some(chain) = chains.get(next.fetch_add(1, Ordering::Relaxed)) {
            for target in chain {
                bytes += connection.get(target)?;
            }
        }
        Ok((bytes, cpu_of_this_thread()))
    };
    let results: Vec<io::Result<(usize, f64)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let failed = |_| Err(io::Error::other("a connection of the bare fetch failed"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(failed)).collect()
    });
    let mut bare = Bare { wall: began.elapsed().as_secs_f64(), ..Bare::default() };
    for result in results {
        let (bytes, cpu) = result?;
        bare.bytes += bytes;
        bare.cpu += cpu;
    }
    Ok(bare)
}

/// The requests that were served, in chains, the longest first.
fn chains(fake: &Fake) -> Vec<Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in fake.request_log() {
        // 404 is an answer like any other: a file that is gone has no link.
        if matches!(request.status, 200 | 404) {
            chains.entry(list_of(&request.target)).or_default().push(request.target);
        }
    }
    let mut chains: Vec<Vec<String>> = chains.into_values().collect();
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    chains
}

/// What the pages of one list have in common: the request without its page token.
fn list_of(target: &str) -> String {
    match target.split_once('?') {
        Some((path, query)) if !CUT_BY_TIME.iter().any(|list| target.starts_with(list)) => {
            let filters: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("start=")).collect();
            format!("{path}?{}", filters.join("&"))
        }
        _ => target.to_owned(),
    }
}

/// Nanoseconds on a CPU are what the scheduler counts first in `schedstat`.
fn cpu_of_this_thread() -> f64 {
    let counts = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: f64 = counts.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
    nanoseconds / 1e9
}

/// A kept-alive connection to the fake.
struct Connection<'a> {
    stream: BufReader<TcpStream>,
    address: &'a str,
    token: &'a str,
    body: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(address: &'a str, token: &'a str) -> io::Result<Self> {
        let stream = BufReader::with_capacity(1 << 16, TcpStream::connect(address)?);
        stream.get_ref().set_nodelay(true)?;
        Ok(Self { stream, address, token, body: Vec::new() })
    }

    /// Fetches `target`; returns how long its body is.
    fn get(&mut self, target: &str) -> io::Result<usize> {
        let Self { stream, address, token, body } = self;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        body.resize(content_length(stream)?, 0);
        stream.read_exact(body)?;
        Ok(body.len())
    }
}

/// Reads the head of an answer; returns how long its body is.
fn content_length(stream: &mut impl BufRead) -> io::Result<usize> {
    let (mut length, mut line) = (None, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return length.ok_or_else(|| io::Error::other("an answer has no length"));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}
