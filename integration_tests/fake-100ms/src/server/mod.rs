//! The server: HTTP/1.1 by hand, because faults need the bytes and the connection itself.
//!
//! - `request`: what comes off the wire.
//! - `response`: an answer or a refusal, before it is written.
//! - `wire`: how an answer is written, or how that goes wrong.

pub(crate) mod request;
pub(crate) mod response;
mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener as BlockingListener};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::request::{Request, RequestReader};
use self::response::{Refusal, Response};
use crate::control;
use crate::faults::{Asked, Effects, Fault, RetryHint, TokenPart};
use crate::requests::LoggedRequest;
use crate::routes::{self, Route};
use crate::state::State;
use crate::times::http_date;
use crate::workspace::model::Time;

/// Smaller bodies are not worth packing, and no server does it.
const WORTH_PACKING: usize = 512;

/// So many threads serve connections.
const THREADS: usize = 2;

/// A listening server with threads of its own.
pub(crate) struct Server {
    address: SocketAddr,
    /// Each thread ends when its part is dropped, whatever its connections are doing: one may be held open on purpose.
    _threads: Vec<oneshot::Sender<()>>,
}

impl Server {
    pub(crate) fn start(port: u16, state: Arc<State>) -> std::io::Result<Server> {
        let listener = BlockingListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (handles, threads): (Vec<Handle>, Vec<_>) =
            (0..THREADS).map(|_| thread()).collect::<std::io::Result<Vec<_>>>()?.into_iter().unzip();
        let first = handles[0].clone();
        let listener = {
            let _guard = first.enter();
            TcpListener::from_std(listener)?
        };
        first.spawn(accept(listener, handles, state));
        Ok(Server { address, _threads: threads })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A thread with a runtime of its own, which it leaves when the sender is gone.
fn thread() -> std::io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (alive, gone) = oneshot::channel::<()>();
    std::thread::Builder::new().name("fake-100ms".to_owned()).spawn(move || {
        let _ended = runtime.block_on(gone);
    })?;
    Ok((handle, alive))
}

/// The threads take the connections in turn.
async fn accept(listener: TcpListener, handles: Vec<Handle>, state: Arc<State>) {
    for handle in handles.iter().cycle() {
        let Some(stream) = listener.accept().await.ok().and_then(|(stream, _)| stream.into_std().ok()) else {
            continue;
        };
        let state = state.clone();
        handle.spawn(async move {
            // Registered anew, with the thread that serves it.
            if let Ok(stream) = TcpStream::from_std(stream) {
                converse(stream, state).await;
            }
        });
    }
}

/// Serves one connection to its end.
async fn converse(mut stream: TcpStream, state: Arc<State>) {
    let _only_slower_without = stream.set_nodelay(true);
    let mut reader = RequestReader::new();
    while let Some(request) = reader.next(&mut stream).await {
        let lives_on = if request.path.starts_with(control::PREFIX) {
            let response = control::answer(&request, &state);
            let steps = wire::script(response, None, false, request.keep_alive);
            wire::perform(&mut stream, steps).await
        } else {
            let in_flight = InFlight::begin(&state);
            let lives_on = serve(&mut stream, &request, &state).await;
            drop(in_flight);
            lives_on
        };
        if !lives_on {
            return;
        }
    }
}

/// Counted from the request's last byte to the answer's, also when the task is dropped in between.
struct InFlight<'a>(&'a State);

impl InFlight<'_> {
    fn begin(state: &State) -> InFlight<'_> {
        state.journal().begin();
        InFlight(state)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.journal().end();
    }
}

async fn serve(stream: &mut TcpStream, request: &Request, state: &State) -> bool {
    let route = Route::of(&request.path);
    let pattern = route.as_ref().map_or("unknown", Route::pattern);
    let effects = state.faults().draw(&Asked {
        route: pattern,
        path: &request.path,
        query: &request.query,
        has_start: routes::has_start(&request.query),
        accepts_gzip: request.accepts_gzip && state.gzip,
        in_flight: state.journal().in_flight(),
    });
    if !effects.delay.is_zero() {
        tokio::time::sleep(effects.delay).await;
    }
    let response = respond(request, route, state, &effects);
    record(request, pattern, response.status, state, &effects);
    let steps = wire::script(response, effects.wire.as_ref(), state.chunked, request.keep_alive);
    let lives_on = wire::perform(stream, steps).await;
    state.count_served();
    lives_on
}

/// An answer that no connection carries: what else happens to it is up to whoever asked.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The headers that are there, by their names.
    pub headers: Vec<(&'static str, String)>,
    /// Not packed.
    pub body: Vec<u8>,
    /// How long it is under way.
    pub delay: Duration,
    /// What goes wrong on the wire. What concerns the content has happened.
    pub wire: Option<Fault>,
    /// The names of the faults that were drawn.
    pub faults: Option<String>,
}

/// Answers a GET in the caller's own thread.
pub(crate) fn answer_within(target: &str, token: Option<&str>, state: &State) -> Answered {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        bearer: token.map(str::to_owned),
        accepts_gzip: false,
        keep_alive: true,
    };
    let route = Route::of(path);
    let pattern = route.as_ref().map_or("unknown", Route::pattern);
    let has_start = routes::has_start(query);
    let effects =
        state.faults().draw(&Asked { route: pattern, path, query, has_start, accepts_gzip: false, in_flight: 1 });
    let response = respond(&request, route, state, &effects);
    record(&request, pattern, response.status, state, &effects);
    state.count_served();
    let date = response.date.map(|date| ("date", date));
    let retry_after = response.retry_after.map(|wait| ("retry-after", wait));
    Answered {
        status: response.status,
        headers: date.into_iter().chain(retry_after).collect(),
        body: response.body,
        delay: effects.delay,
        faults: effects.names(),
        wire: effects.wire,
    }
}

fn respond(request: &Request, route: Option<Route>, state: &State, effects: &Effects) -> Response {
    let mut response = match attempt(request, route, state, effects) {
        Ok((body, now)) => Response::json(200, body, state.clock().date(now)),
        Err(refusal) => refuse(request, state, effects, &refusal),
    };
    if response.status == 200
        && let Some(status) = effects.shapes.iter().find_map(Fault::good_status)
    {
        response.status = status;
    }
    if effects.shapes.contains(&Fault::NoDate) {
        response.date = None;
    }
    wire::spoil(&mut response, effects.wire.as_ref());
    let must_pack = effects.wire == Some(Fault::CorruptGzip);
    if effects.wire == Some(Fault::GzipBomb) {
        // Packed while it is written: nobody holds 10 GB.
        response.gzipped = true;
        return response;
    }
    let wanted = state.gzip && request.accepts_gzip;
    if wanted && (must_pack || response.body.len() >= WORTH_PACKING) {
        response.gzip();
    }
    response
}

fn attempt(
    request: &Request,
    route: Option<Route>,
    state: &State,
    effects: &Effects,
) -> Result<(Vec<u8>, Time), Refusal> {
    if effects.void_tokens {
        state.keyring().void_seen(request.bearer.as_deref());
    }
    state.keyring().remember(request.bearer.as_deref());
    if let Some(fault) = &effects.refusal {
        return Err(refusal_of(fault, request.bearer.as_deref().unwrap_or("")));
    }
    let times = state.clock().judges(state.workspace().now);
    let verified = state.keyring().verify(request.bearer.as_deref(), &times);
    verified.map_err(Refusal::bad_token)?;
    let workspace = state.workspace();
    let body = routes::answer(request, route, &workspace, state, &effects.shapes)?;
    // The clock under the same lock as the data: `Date` never tells a later time than they.
    Ok((body, workspace.now))
}

fn refuse(request: &Request, state: &State, effects: &Effects, refusal: &Refusal) -> Response {
    if refusal.unexpected {
        let target = request.target();
        let what = format!("{} {target}: {}", request.method, refusal.message);
        state.journal().note_unexpected(what);
    }
    let now = state.workspace().now;
    let mut response = Response::json(refusal.status, refusal.body(), state.clock().date(now));
    if let Some(Fault::Refused { retry_after, .. }) = &effects.refusal {
        response.retry_after = Some(retry_after.clone());
    }
    if let Some(Fault::TooManyRequests(hint)) = &effects.refusal {
        response.retry_after = match hint {
            RetryHint::Seconds(seconds) => Some(seconds.to_string()),
            RetryHint::HttpDate(seconds) => Some(http_date(now + TimeDelta::seconds(*seconds as i64))),
            RetryHint::Message(_) | RetryHint::Nothing => None,
        };
    }
    response
}

fn refusal_of(fault: &Fault, token: &str) -> Refusal {
    match fault {
        Fault::TooManyRequests(RetryHint::Message(seconds)) => {
            Refusal::new(429, format!("rate limit exceeded, retry after {seconds} seconds"))
        }
        Fault::TooManyRequests(_) | Fault::TooManyInFlight(_) => Refusal::new(429, "rate limit exceeded"),
        Fault::Unauthorized => Refusal::bad_token("token is expired"),
        Fault::Forbidden => Refusal::new(403, "insufficient permissions"),
        Fault::RoomDisabled => Refusal::new(403, "Room is disabled"),
        Fault::NotFound => Refusal::not_found("resource"),
        Fault::ExpiredCursor => routes::expired_cursor(),
        Fault::Status(status) | Fault::Refused { status, .. } => {
            Refusal::new(*status, "something went wrong on our side")
        }
        Fault::Detailed { status, detail } => {
            Refusal { details: vec![detail.clone()], ..Refusal::new(*status, "request refused") }
        }
        Fault::EchoToken { status, part } => Refusal::new(*status, echo(token, *part)),
        _ => Refusal::new(500, "not a refusal"),
    }
}

/// A message of a server that tells what it was sent.
fn echo(token: &str, part: TokenPart) -> String {
    let mut parts = token.split('.');
    let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match part {
        TokenPart::Whole => format!("token `{token}` is not good for this"),
        TokenPart::FarToTheRight => format!("{} token {token} is not good for this", "so it is ".repeat(25)),
        TokenPart::Beginning => {
            let end = (first.len() + 8).min(token.len());
            format!("cannot parse header of {}", &token[..end])
        }
        TokenPart::Middle => format!("cannot parse claims {second}"),
    }
}

fn record(request: &Request, pattern: &str, status: u16, state: &State, effects: &Effects) {
    let cut = matches!(effects.wire, Some(Fault::ResetBeforeHeaders | Fault::ResetWithinHeaders));
    let logged = LoggedRequest {
        method: request.method.clone(),
        target: request.target(),
        status: if cut { 0 } else { status },
        fault: effects.names(),
        milliseconds_since_start: state.started.elapsed().as_millis() as u64,
    };
    state.journal().record(pattern, logged);
}
