//! From an answer to what happens on the connection, faults included.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::response::Response;
use crate::faults::Fault;

/// One thing done to the connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Write(Vec<u8>),
    Wait(Duration),
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
        _ if chunked => None,
        _ => Some(response.body.len()),
    };
    let head = response.head(length, keep_alive);
    let body = match length {
        Some(_) => response.body,
        None => in_chunks(&response.body),
    };
    match fault {
        Some(fault) => broken(head, body, fault, keep_alive),
        None => whole(head, body, keep_alive),
    }
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
    for chunk in body.chunks(7919) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
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

/// Reads until the client closes.
async fn hold(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await? > 0 {}
    Err(io::ErrorKind::ConnectionAborted.into())
}
