//! From an answer to what happens on the connection, faults included.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::response::Response;
use crate::faults::Fault;

/// One thing done to the connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Write(Vec<u8>),
    Wait(Duration),
    /// These bytes one by one, then blanks for ever.
    Drip {
        body: Vec<u8>,
        pause: Duration,
    },
    /// The same bytes again and again.
    Repeat(Vec<u8>),
    /// So many bytes of blanks, packed.
    Blanks {
        bytes: u64,
    },
    /// Nothing more, until the client goes away.
    Hold,
    /// An orderly end.
    Close,
    /// The end a crashed server gives: RST.
    Reset,
}

/// Long enough that what was written before a reset has been read.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// Faults of the content: before it is packed.
pub(crate) fn spoil(response: &mut Response, fault: Option<&Fault>) {
    match fault {
        Some(Fault::HtmlPage) => {
            response.status = 200;
            response.content_type = "text/html; charset=utf-8";
            response.body = b"<!doctype html><title>Bad gateway</title><h1>Sorry</h1>".to_vec();
        }
        Some(Fault::InvalidJson) => response.body.truncate(response.body.len() / 2),
        Some(Fault::EmptyBody) => response.body.clear(),
        Some(Fault::NoContent) => {
            response.status = 204;
            response.body.clear();
        }
        _ => {}
    }
}

/// How an answer is written: its steps in their order. Without a last `Close`, `Hold` or `Reset`
/// the connection lives on.
pub(crate) fn script(mut response: Response, fault: Option<&Fault>, chunked: bool, keep_alive: bool) -> Vec<Step> {
    if fault == Some(&Fault::CorruptGzip) {
        corrupt(&mut response.body);
    }
    let length = match fault {
        Some(Fault::ShortContentLength) => Some(response.body.len() * 3 / 4),
        Some(Fault::DrippingBody { .. } | Fault::EndlessBody | Fault::GzipBomb) => None,
        _ if chunked && response.status != 204 => None,
        _ => Some(response.body.len()),
    };
    let head = response.head(length, keep_alive);
    if let Some(steps) = endless(&head, &response.body, fault) {
        return steps;
    }
    let body = match length {
        Some(_) => response.body,
        None => in_chunks(&response.body),
    };
    match fault {
        Some(fault) => broken(head, body, fault, keep_alive),
        None => whole(head, body, keep_alive),
    }
}

/// Bodies that have no end, or might as well have none.
fn endless(head: &[u8], body: &[u8], fault: Option<&Fault>) -> Option<Vec<Step>> {
    let begin = |body: &[u8]| Step::Write([head, &chunk(body)].concat());
    Some(match fault? {
        Fault::DrippingBody { milliseconds } => {
            let pause = Duration::from_millis(*milliseconds);
            vec![Step::Write(head.to_vec()), Step::Drip { body: body.to_vec(), pause }]
        }
        Fault::EndlessBody => {
            let item = format!("{{\"id\":\"{}\"}},", "0".repeat(24));
            vec![begin(b"{\"limit\":100,\"data\":["), Step::Repeat(chunk(item.repeat(2_000).as_bytes()))]
        }
        Fault::GzipBomb => vec![Step::Write(head.to_vec()), Step::Blanks { bytes: 10 << 30 }, Step::Close],
        _ => return None,
    })
}

fn whole(mut head: Vec<u8>, mut body: Vec<u8>, keep_alive: bool) -> Vec<Step> {
    head.append(&mut body);
    let mut steps = vec![Step::Write(head)];
    if !keep_alive {
        steps.push(Step::Close);
    }
    steps
}

fn broken(head: Vec<u8>, mut body: Vec<u8>, fault: &Fault, keep_alive: bool) -> Vec<Step> {
    let first_of = |body: &[u8]| {
        let half = &body[..body.len() / 2];
        Step::Write([&head, half].concat())
    };
    match fault {
        Fault::ResetBeforeHeaders => vec![Step::Reset],
        Fault::ResetWithinHeaders => {
            let part = head[..head.len() / 2].to_vec();
            vec![Step::Write(part), Step::Wait(BEFORE_RESET), Step::Reset]
        }
        Fault::ResetWithinBody => vec![first_of(&body), Step::Wait(BEFORE_RESET), Step::Reset],
        Fault::TruncatedBody => vec![first_of(&body), Step::Close],
        Fault::EndlessStall => vec![first_of(&body), Step::Hold],
        Fault::StalledBody { milliseconds } => {
            let first = first_of(&body);
            let rest = body.split_off(body.len() / 2);
            let pause = Step::Wait(Duration::from_millis(*milliseconds));
            vec![first, pause, Step::Write(rest)]
        }
        // The surplus of a body longer than announced would pass for the next answer.
        Fault::ShortContentLength => whole(head, body, false),
        _ => whole(head, body, keep_alive),
    }
}

/// Chunks of uneven sizes, so that borders fall anywhere.
fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(body.len() + 64);
    for part in body.chunks(7919) {
        framed.append(&mut chunk(part));
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

/// The frame of one chunk.
fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

/// Breaks the packed data behind the gzip header.
fn corrupt(body: &mut [u8]) {
    let middle = body.len() / 2;
    for byte in body.iter_mut().skip(middle.max(10)).take(16) {
        *byte ^= 0x5a;
    }
}

/// Does the steps; `true` when the connection can take another request.
pub(crate) async fn perform(stream: &mut TcpStream, steps: Vec<Step>) -> bool {
    for step in steps {
        let done = match step {
            Step::Write(bytes) => stream.write_all(&bytes).await,
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::Drip { body, pause } => drip(stream, &body, pause).await,
            Step::Repeat(bytes) => repeat(stream, &bytes).await,
            Step::Blanks { bytes } => pack_blanks(stream, bytes).await,
            Step::Hold => hold(stream).await,
            Step::Close => {
                let _gone_already = stream.shutdown().await;
                return false;
            }
            Step::Reset => {
                let _gone_already = stream.set_zero_linger();
                return false;
            }
        };
        if done.is_err() {
            return false;
        }
    }
    true
}

/// Until the client goes away.
async fn drip(stream: &mut TcpStream, body: &[u8], pause: Duration) -> io::Result<()> {
    for byte in body.iter().copied().chain(std::iter::repeat(b' ')) {
        stream.write_all(&chunk(&[byte])).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Until the client goes away.
async fn repeat(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes).await?;
    }
}

/// Packs blanks as they go out, as gzip in chunks: a thousandth of their size.
async fn pack_blanks(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    const AT_ONCE: usize = 1 << 20;
    let blanks = vec![b' '; AT_ONCE];
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..bytes / AT_ONCE as u64 {
        packer.write_all(&blanks)?;
        let packed = std::mem::take(packer.get_mut());
        if !packed.is_empty() {
            stream.write_all(&chunk(&packed)).await?;
        }
    }
    let last = packer.finish()?;
    stream.write_all(&in_chunks(&last)).await
}

/// Reads until the client closes.
async fn hold(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await? > 0 {}
    Err(io::ErrorKind::ConnectionAborted.into())
}
