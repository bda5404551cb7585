//! The running fake and its controls.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::DateHeader;
use crate::control;
use crate::faults::{FaultPlan, FaultSchedule};
use crate::options::Options;
use crate::requests::{LoggedRequest, RequestCount};
use crate::server::{self, Answered, Server};
use crate::state::State;
use crate::tokens::TokenClaims;
use crate::truth::{Truth, webhooks};
use crate::workspace::advance::Changes;

/// How many seconds a small advance takes.
const A_FEW_MINUTES: RangeInclusive<u64> = 60..=300;

/// A running server on a port of 127.0.0.1, with its own threads, which stops when dropped; or, [`Fake::within`] a
/// process, the same without port and threads.
pub struct Fake {
    state: Arc<State>,
    server: Option<Server>,
}

impl Fake {
    /// Builds the workspace and listens. Panics when the port is taken.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start(options: Options) -> Fake {
        Fake::try_start(options).expect("a free port on loopback")
    }

    /// The same, for whoever can go on.
    ///
    /// # Errors
    /// When the port is taken, or cannot be listened on.
    pub fn try_start(options: Options) -> std::io::Result<Fake> {
        let state = Arc::new(State::new(&options));
        let server = Server::start(options.port, state.clone())?;
        Ok(Fake { state, server: Some(server) })
    }

    /// Nobody listens: the workspace is asked with [`Fake::answer`].
    pub fn within(options: &Options) -> Fake {
        Fake { state: Arc::new(State::new(options)), server: None }
    }

    /// The answer to a GET for `target`, a path with its query, or what goes wrong instead.
    pub fn answer(&self, target: &str, token: Option<&str>) -> Answered {
        server::answer_within(target, token, &self.state)
    }

    /// `http://127.0.0.1:PORT`; clients add `/v2/…`.
    pub fn url(&self) -> String {
        let address = self.server.as_ref().map_or((Ipv4Addr::LOCALHOST, 80).into(), Server::address);
        format!("http://{address}")
    }

    /// The `app_access_key` of the workspace.
    pub fn access_key(&self) -> String {
        self.state.keyring().access_key().to_owned()
    }

    /// The `app_secret` in force.
    pub fn app_secret(&self) -> String {
        self.state.keyring().app_secret().to_owned()
    }

    /// A good management token of 24 h.
    pub fn token(&self) -> String {
        self.token_with(TokenClaims::default())
    }

    /// A token that says anything.
    pub fn token_with(&self, claims: TokenClaims) -> String {
        self.state.keyring().mint(claims)
    }

    /// From now on signatures with the old secret are refused; `app_secret` gives the new one.
    pub fn rotate_secret(&self) {
        self.state.keyring().rotate();
    }

    /// From now on every token seen so far is refused, as if it had expired.
    pub fn void_tokens(&self) {
        self.state.keyring().void_seen(None);
    }

    /// The workspace clock, which stamps the data. It stands still but for the `advance` functions
    /// and [`Fake::let_time_pass`]. The `Date` header says it unless it is told otherwise, and a token
    /// is good when it is good by this clock or by the machine's.
    pub fn now(&self) -> DateTime<Utc> {
        self.state.workspace().now
    }

    /// About an hour goes by: sessions end and start, peers come and go, rooms of any age are
    /// edited, switched on and off, templates are edited, recordings complete, late assets arrive
    /// (also for recordings far older than 72 h), and events, some up to 50 minutes late.
    ///
    /// Every change carries a time after the former [`Fake::now`], but for the late events.
    pub fn advance(&self) -> Changes {
        self.state.workspace_mut().advance()
    }

    /// A few minutes go by, and about that share of every kind of object changes, at least one.
    pub fn advance_small(&self, per_cent: f64) -> Changes {
        self.state.workspace_mut().advance_small(per_cent, A_FEW_MINUTES)
    }

    /// Exactly so many seconds go by, and at least one object of every kind changes.
    pub fn advance_seconds(&self, seconds: u64) -> Changes {
        self.state.workspace_mut().advance_small(0.0, seconds..=seconds)
    }

    /// One object of each kind is written, with a time so far from the clock. The clock stands still.
    pub fn stamp(&self, distance: TimeDelta) -> Changes {
        self.state.workspace_mut().stamp(distance)
    }

    /// So many rooms, the oldest first, are switched on or off, all with the same time of change. Twice with one
    /// time is a change and its way back.
    pub fn switch_rooms(&self, count: usize, at: DateTime<Utc>) {
        self.state.workspace_mut().switch_rooms(count, at);
    }

    /// What the `Date` header of every answer says from now on.
    pub fn set_date(&self, header: DateHeader) {
        self.state.clock().header = header;
    }

    /// From now on the server has a clock of its own, so far from this machine's: it alone judges
    /// tokens, and the `Date` header says it. The data are still stamped by [`Fake::now`].
    pub fn set_server_clock(&self, skew: TimeDelta) {
        self.state.clock().skew = Some(skew);
    }

    /// One small advance each n requests served, from now on; `None` switches it off.
    pub fn advance_during(&self, every_n_requests: Option<u64>) {
        self.state.advance_during(every_n_requests.unwrap_or(0), A_FEW_MINUTES);
    }

    /// The same, and each time only so many seconds go by.
    pub fn advance_seconds_during(&self, every_n_requests: u64, seconds: u64) {
        self.state.advance_during(every_n_requests, seconds..=seconds);
    }

    /// Nothing happens for so long; only the clock goes on.
    pub fn let_time_pass(&self, time: TimeDelta) {
        self.state.workspace_mut().let_time_pass(time);
    }

    /// How many files belong to no recording: to live and external streams, or to nothing that is listed.
    pub fn files_without_recording(&self) -> usize {
        self.state.workspace().assets_without_recording()
    }

    /// Time passes, and sessions end which would last longer than one can, each in its time; nothing else happens.
    pub fn let_sessions_end(&self, time: TimeDelta) {
        self.state.workspace_mut().let_sessions_end(time);
    }

    /// The keys of `webhook_events`, for a workspace with too many of them to compare records.
    pub fn webhook_event_ids(&self) -> BTreeSet<String> {
        webhooks::keys(&self.state.workspace()).collect()
    }

    /// What a full read gives at this moment.
    pub fn truth(&self) -> Truth {
        Truth::of(&self.state.workspace(), None, |_| true)
    }

    /// What a read from `start_date` gives: the records whose cursor is at or after it. The
    /// children of templates go by their template's `updated_at`; live peers are always read.
    pub fn truth_since(&self, start_date: DateTime<Utc>) -> Truth {
        Truth::of(&self.state.workspace(), Some(start_date), |_| true)
    }

    /// The same of these streams alone, or what a full read gives.
    pub fn truth_of(&self, streams: &[&str], start_date: Option<DateTime<Utc>>) -> Truth {
        Truth::of(&self.state.workspace(), start_date, |name| streams.contains(&name))
    }

    /// Everything that must never leave a connector: planted in the data, app secrets, tokens.
    pub fn secrets(&self) -> Vec<String> {
        control::secrets(&self.state)
    }

    /// How often each route was answered with which status.
    pub fn requests(&self) -> Vec<RequestCount> {
        self.state.journal().counts()
    }

    /// All of them, whatever became of them.
    pub fn total_requests(&self) -> u64 {
        self.state.journal().total()
    }

    /// Forgets counts, log, unexpected requests and `max_in_flight`.
    pub fn reset_requests(&self) {
        self.state.journal().reset();
    }

    /// The last requests, oldest first: as many as [`Options::log_length`] says.
    pub fn request_log(&self) -> Vec<LoggedRequest> {
        self.state.journal().log()
    }

    /// Requests that the documents do not allow, each with what was expected instead.
    pub fn unexpected(&self) -> Vec<String> {
        self.state.journal().unexpected()
    }

    /// Replaces the plan; its rules count from here.
    pub fn set_faults(&self, plan: FaultPlan) {
        *self.state.faults() = FaultSchedule::new(plan);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.set_faults(FaultPlan::default());
    }

    /// Another program of the customer asks so many times a second, until it is told to end; how often it was answered
    /// with which status.
    ///
    /// # Panics
    /// When the fake does not answer.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn let_an_app_ask(&self, per_second: f64, is_over: &AtomicBool) -> BTreeMap<u16, u32> {
        let (address, token) = (self.url().replace("http://", ""), self.token());
        let mut statuses = BTreeMap::new();
        while !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let mut connection = TcpStream::connect(&address).expect("the fake listens");
            let head =
                format!("GET /v2/rooms?limit=10&enabled=true HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
            write!(connection, "{head}Authorization: Bearer {token}\r\n\r\n").expect("the fake reads");
            let mut line = String::new();
            BufReader::new(connection).read_line(&mut line).expect("the fake answers");
            let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            *statuses.entry(status).or_default() += 1;
            std::thread::sleep(Duration::from_secs_f64(1.0 / per_second).saturating_sub(began.elapsed()));
        }
        statuses
    }

    /// The most requests being served at once since the last reset.
    pub fn max_in_flight(&self) -> usize {
        self.state.journal().max_in_flight()
    }
}
