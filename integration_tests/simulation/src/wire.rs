//! What lies between the connector and the fake: requests and answers that take their time, or break.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use fake_100ms::{Fake, Fault};
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use source_100ms::api::{Exchange, Problem};
use tokio::sync::Notify;
use tokio::time::sleep;
use url::Url;

use crate::clock;
use crate::plan::{End, Sync};

/// Without a byte for so long, the network gives an answer up, as the product's does.
const SILENCE: Duration = Duration::from_secs(60);
/// No sync makes more requests for the little that these worlds hold.
pub const MOST_REQUESTS: u64 = 20_000;
/// A world that grows with every request would never have been read.
const MOST_CHANGES: u64 = 12;

/// One sync as it goes on: all that its wire, its reader and its end share.
pub struct Scene {
    pub fake: Arc<Fake>,
    pub sync: Sync,
    state: Mutex<State>,
    /// The end that the plan has for it has come.
    pub over: Notify,
    tells: bool,
}

/// What has happened so far.
#[derive(Default)]
pub struct State {
    rng: Rng,
    events: u64,
    pub requests: u64,
    /// Those of them for single items, once a record has been written.
    items: u64,
    has_records: bool,
    /// How often the world has changed meanwhile.
    changes: u64,
    is_dead: bool,
    is_closed: bool,
    /// What a fault refused, and the status.
    pub refused: Vec<(String, u16)>,
    pub output: Vec<u8>,
    pub story: Vec<String>,
}

impl Scene {
    pub fn new(fake: Arc<Fake>, sync: &Sync, tells: bool) -> Arc<Scene> {
        let state = State { rng: Rng::with_seed(sync.seed), ..State::default() };
        Arc::new(Scene { fake, sync: sync.clone(), state: Mutex::new(state), over: Notify::new(), tells })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// One more line of the story.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.tells {
            let line = format!("  {} {}", clock::now().format("%H:%M:%S%.3f"), line());
            self.state().story.push(line);
        }
    }

    /// Something has happened: maybe it is time for the end, or for a clock to jump.
    fn event(&self, is_of_an_item: bool) {
        let mut state = self.state();
        state.events += 1;
        state.items += u64::from(is_of_an_item && state.has_records);
        let (events, items) = (state.events, state.items);
        state.is_dead |= self.sync.end == End::Kill(events);
        state.is_closed |= self.sync.end == End::Close(events);
        drop(state);
        if [End::Kill(events), End::Stop(events), End::StopAtItem(items)].contains(&self.sync.end) {
            self.over.notify_one();
        }
        if let Some((_, by)) = self.sync.clock.jump.filter(|(at, _)| *at == events) {
            clock::jump(by);
            self.tell(|| format!("this machine's clock is set by {} s", by.num_seconds()));
        }
    }

    /// Nothing that is written from now on is seen by anybody.
    pub fn die(&self) {
        self.state().is_dead = true;
    }

    pub fn finish(&self) -> State {
        std::mem::take(&mut *self.state())
    }

    fn millis(&self, from: u64, to: u64) -> Duration {
        if to == 0 { Duration::ZERO } else { Duration::from_millis(self.state().rng.u64(from..=to)) }
    }

    /// How long the reader takes for the next message.
    pub fn pause(&self) -> Duration {
        self.millis(0, self.sync.slow)
    }

    /// The world goes on to the present moment; now and then with something that happens in it.
    fn move_on(&self) {
        let seconds = (clock::now() - self.fake.now()).num_seconds();
        if seconds < 1 {
            return;
        }
        let mut state = self.state();
        let is_busy = state.changes < MOST_CHANGES && state.rng.f64() < self.sync.busy;
        state.changes += u64::from(is_busy);
        drop(state);
        if is_busy {
            self.fake.advance_seconds(seconds as u64);
            self.tell(|| format!("the world changes, within {seconds} s"));
        } else {
            self.fake.let_time_pass(TimeDelta::seconds(seconds));
        }
    }

    async fn answer(self: Arc<Self>, url: Url, authorization: HeaderValue) -> Result<reqwest::Response, Problem> {
        self.state().requests += 1;
        if self.state().requests > MOST_REQUESTS {
            // Whoever goes round in a circle without a wait does so for ever.
            self.over.notify_one();
            std::future::pending::<()>().await;
        }
        self.event(url.path().matches('/').count() > 2);
        let (least, most) = self.sync.latency;
        sleep(self.millis(least / 2, most / 2)).await;
        self.move_on();
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let token = authorization.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        let answered = self.fake.answer(&target, token);
        // That there is nothing is also said without a body, and of an expired file with 400.
        let says_nothing = answered.status == 200 && answered.body.is_empty()
            || answered.status == 400 && target.ends_with("/presigned-url");
        let status = if says_nothing { 404 } else { answered.status };
        if answered.faults.is_some() && [400, 403, 404, 409, 410, 422, 451].contains(&status) {
            self.state().refused.push((target.clone(), status));
        }
        sleep(answered.delay + self.millis(least / 2, most / 2)).await;
        self.tell(|| {
            let fault = answered.faults.as_ref().map(|names| format!(" [{names}]")).unwrap_or_default();
            format!("GET {target} → {}, {} bytes{fault}", answered.status, answered.body.len())
        });
        self.event(false);
        let mut body = Bytes::from(answered.body);
        let half = body.len() / 2;
        let (pause, error) = match answered.wire {
            Some(Fault::ResetBeforeHeaders | Fault::ResetWithinHeaders) => {
                return Err(Problem::NoAnswer("connection reset".into()));
            }
            Some(Fault::ResetWithinBody | Fault::TruncatedBody | Fault::ShortContentLength) => {
                (Duration::ZERO, Some("connection reset"))
            }
            Some(Fault::StalledBody { milliseconds }) if Duration::from_millis(milliseconds) < SILENCE => {
                (Duration::from_millis(milliseconds), None)
            }
            Some(Fault::EndlessStall | Fault::StalledBody { .. }) => (SILENCE, Some("the answer timed out")),
            _ => (Duration::ZERO, None),
        };
        if error.is_some() {
            body.truncate(half);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in answered.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a header"));
        }
        let rest = body.split_off(half.min(body.len()));
        let chunks = [Ok(body), error.map_or(Ok(rest), |error| Err(std::io::Error::other(error)))];
        let body = stream::iter(chunks.into_iter().enumerate()).then(move |(number, chunk)| async move {
            if number > 0 && !pause.is_zero() {
                sleep(pause).await;
            }
            chunk.map(Frame::data)
        });
        let mut response = http::Response::new(reqwest::Body::wrap(StreamBody::new(body)));
        *response.status_mut() = StatusCode::from_u16(answered.status).expect("a status");
        *response.headers_mut() = headers;
        Ok(response.into())
    }
}

/// The connector's end of the wire.
pub struct Wire(pub Arc<Scene>);

impl Exchange for Wire {
    fn get(&self, url: Url, authorization: HeaderValue) -> BoxFuture<'_, Result<reqwest::Response, Problem>> {
        Box::pin(Arc::clone(&self.0).answer(url, authorization))
    }
}

/// The reader's end of the connector's output.
pub struct Pipe(pub Arc<Scene>);

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let was_dead = self.0.state().is_dead;
        self.0.event(false);
        let mut state = self.0.state();
        if state.is_closed {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let written = match (was_dead, state.is_dead) {
            (true, _) => 0,
            // It dies in the middle of it.
            (false, true) => state.rng.usize(0..=bytes.len()),
            (false, false) => bytes.len(),
        };
        state.has_records |= bytes.starts_with(br#"{"type":"RECORD""#);
        state.output.extend_from_slice(&bytes[..written]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
