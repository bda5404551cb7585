//! All that a seed decides, before anything happens: so that what failed can be made smaller and run again.

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{Counts, DateHeader, Fault, FaultRule, Options, Readings, RetryHint, Scale, TokenPart, When};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::destination::items_of;

/// Everything that is drawn from one seed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub world: World,
    /// What the configuration says besides credentials and start date.
    pub config: Value,
    pub start_date: DateTime<Utc>,
    pub streams: Vec<Chosen>,
    pub runner: Runner,
    pub syncs: Vec<Sync>,
}

/// The workspace at the beginning.
#[derive(Debug, Clone)]
pub struct World {
    pub counts: Counts,
    /// Which readings are not the documented ones.
    pub flips: Vec<usize>,
    pub lag: TimeDelta,
    pub page: u32,
}

/// A stream of the catalog.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub name: &'static str,
    pub is_full: bool,
    /// What becomes of rows that are there already.
    pub destination: Destination,
    /// `None` is all of them.
    pub columns: Option<Vec<&'static str>>,
}

/// How a destination takes a row whose key it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Destination {
    /// The row that came last counts.
    Append,
    /// The row with the latest cursor counts; of several, the one that came last.
    Dedup,
    /// As `Append`, and a finished full refresh takes the place of all that was there.
    Overwrite,
}

/// What runs the connector and keeps its states.
#[derive(Debug, Clone)]
pub struct Runner {
    /// States are merged as JSON merge patches instead of replaced.
    pub merges: bool,
    /// The state of a finished full refresh is handed back all the same.
    pub keeps_full: bool,
    /// Rows after the last state of a sync that was cut are kept.
    pub keeps_tail: bool,
    /// The states are lost before this sync.
    pub loses: Option<usize>,
    /// So few records and items are remembered in a state, as if the workspace were huge.
    pub memory: usize,
}

/// One sync and what comes before it.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    pub seed: u64,
    /// What happens in the world since the sync before.
    pub meanwhile: Vec<Meanwhile>,
    pub faults: Vec<FaultRule>,
    /// Every request takes from so many to so many milliseconds.
    pub latency: (u64, u64),
    /// How likely the world moves on with a request.
    pub busy: f64,
    pub clock: Clock,
    pub end: End,
    /// The reader takes up to so many milliseconds for a message.
    pub slow: u64,
    /// How likely our own code makes a rare choice.
    pub rare: f64,
}

/// What goes by between two syncs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meanwhile {
    /// Time, in which nothing happens.
    Quiet(TimeDelta),
    /// Something of every kind, within so many seconds.
    Little(u64),
    /// About an hour, with more of everything.
    Hour,
    /// Something is written with a time so many seconds ago.
    Stamp(i64),
    /// Rooms are switched on or off. Twice with nothing in between it is a change and its way back, with one time.
    Switch,
}

/// How wrong the clocks are.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// This machine's is ahead,
    pub ahead: TimeDelta,
    /// and gains so many milliseconds each second.
    pub drift: i32,
    /// At this event it is set by so much.
    pub jump: Option<(u64, TimeDelta)>,
    pub date: DateHeader,
}

/// What ends a sync, at which event: a request, an answer, or a message written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum End {
    #[default]
    Itself,
    /// At once, whatever is under way.
    Kill(u64),
    /// SIGTERM.
    Stop(u64),
    /// SIGTERM, at a request for a single item, counted from the first record on.
    StopAtItem(u64),
    /// The reader closes the pipe.
    Close(u64),
}

/// The first moment of every world.
pub fn beginning() -> DateTime<Utc> {
    Options::default().now
}

/// The streams, those where more can go wrong more than once.
const NAMES: &str = "sessions sessions sessions rooms rooms rooms templates templates template_settings recordings \
    templates_destinations recordings recordings live_streams live_streams external_streams external_streams \
    analytics_events analytics_events analytics_events webhook_events webhook_events peer_quality peer_quality \
    active_room_peers";

/// Streams that are newer than most seeds in `regressions/`, whose plans must stay as they are.
fn newer_names() -> String {
    let is_newer = |name: &&str| NAMES.split_whitespace().all(|known| known != *name);
    let newer = fake_100ms::streams().iter().map(|stream| stream.name.as_str()).filter(is_newer);
    newer.map(|name| format!(" {name} {name} {name}")).collect()
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed ^ 0x51a7_1e57_0000);
        let world = World::draw(&mut rng);
        let newer = if matches!(seed % 7, 3 | 5) { newer_names() } else { String::new() };
        let streams = streams(&mut rng, &format!("{NAMES}{newer}"));
        let days = pick(&mut rng, &[3000, 3000, 3000, 400, 20, 2]);
        let runner = Runner {
            merges: rng.f64() < 0.4,
            keeps_full: rng.bool(),
            keeps_tail: rng.bool(),
            loses: (rng.f64() < 0.08).then(|| rng.usize(1..8)),
            memory: pick(&mut rng, &[usize::MAX, usize::MAX, 1, 3, 10]),
        };
        let mut config = json!({
            "analytics_rooms": pick(&mut rng, &["all", "auto", "auto", "recent"]),
            "recording_urls": pick(&mut rng, &["presigned", "presigned", "none"]),
            "num_workers": pick(&mut rng, &[1, 2, 3, 10]),
            "lookback_hours": pick(&mut rng, &[0, 0, 0, 0, 0, 1, 100]),
            "personal_data": pick(&mut rng, &["keep", "keep", "keep", "keep", "hash", "drop"]),
            "personal_data_salt": "sixteen letters and more",
        });
        if !newer.is_empty() && rng.f64() < 0.2 {
            config["requests_per_second"] = pick(&mut rng, &[0.5, 3.0, 100.0]).into();
        }
        // The key of a person without an id is made from the name, so that it hides the name, too.
        let has_people =
            |name: &str| ["analytics_events", "peer_quality", "active_room_peers", "session_peers"].contains(&name);
        if streams.iter().any(|chosen| has_people(chosen.name)) {
            config["personal_data"] = "keep".into();
        }
        if rng.f64() < 0.1 {
            config["analytics_event_types"] = json!(["peer.leave", "client.join.failed", "track.add.success"]);
        }
        let count = pick(&mut rng, &[2, 2, 2, 3, 3, 4, 5, 8]);
        let mut syncs: Vec<Sync> = (0..count).map(|_| Sync::draw(&mut rng, world.lag, &streams)).collect();
        if rng.f64() < 0.1 && world.lag.is_zero() {
            syncs.iter_mut().for_each(|sync| *sync = Sync { meanwhile: vec![Meanwhile::Switch], ..sync.quietened() });
        }
        let start_date = beginning() - TimeDelta::days(days);
        let mut plan = Plan { seed, world, config, start_date, streams, runner, syncs };
        if rng.f64() < 0.05 {
            plan.stop_at_links(&mut rng);
        }
        plan
    }

    /// Stops while the links of the last recordings of the look-back are under way, which few other plans reach.
    fn stop_at_links(&mut self, rng: &mut Rng) {
        (self.world.flips, self.world.lag, self.world.page) = (Vec::new(), TimeDelta::zero(), pick(rng, &[3, 5, 10]));
        (self.world.counts.recordings, self.world.counts.sessions) = (40, 40);
        self.config["recording_urls"] = "presigned".into();
        self.streams =
            vec![Chosen { name: "recordings", is_full: false, destination: Destination::Dedup, columns: None }];
        for (number, sync) in self.syncs.iter_mut().enumerate() {
            let end = if number % 2 == 1 { End::StopAtItem(rng.u64(1..12)) } else { End::Itself };
            *sync = Sync { meanwhile: vec![Meanwhile::Hour; rng.usize(1..4)], end, ..sync.quietened() };
        }
    }

    /// Everything in this plan that could be left out or made smaller, one at a time.
    pub fn smaller(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        let mut with = |change: &dyn Fn(&mut Plan)| {
            let mut plan = self.clone();
            change(&mut plan);
            plans.push(plan);
        };
        for number in (0..self.syncs.len()).filter(|_| self.syncs.len() > 1) {
            with(&|plan| drop(plan.syncs.remove(number)));
        }
        for number in (0..self.streams.len()).filter(|_| self.streams.len() > 1) {
            with(&|plan| drop(plan.streams.remove(number)));
        }
        for (number, sync) in self.syncs.iter().enumerate() {
            with(&|plan| (plan.syncs[number].faults.clear(), plan.syncs[number].busy = 0.0).1);
            for fault in 0..sync.faults.len() {
                with(&|plan| drop(plan.syncs[number].faults.remove(fault)));
            }
            for moment in 0..sync.meanwhile.len() {
                with(&|plan| _ = plan.syncs[number].meanwhile.remove(moment));
            }
            with(&|plan| plan.syncs[number].end = End::Itself);
            with(&|plan| plan.syncs[number].clock = sync.quietened().clock);
            with(&|plan| plan.syncs[number] = Sync { rare: 0.0, slow: 0, latency: (0, 0), ..sync.clone() });
        }
        for number in 0..self.world.flips.len() {
            with(&|plan| _ = plan.world.flips.remove(number));
        }
        with(&|plan| (plan.world.lag, plan.world.page) = (TimeDelta::zero(), 100));
        with(&|plan| (plan.runner.merges, plan.runner.loses, plan.runner.memory) = (false, None, usize::MAX));
        let simplest =
            json!({"num_workers": 1, "lookback_hours": 0, "personal_data": "keep", "analytics_rooms": "all"});
        for (key, value) in simplest.as_object().into_iter().flatten() {
            with(&|plan| plan.config[key] = value.clone());
        }
        for count in 0..counts_of(&mut self.world.counts.clone()).len() {
            with(&|plan| *counts_of(&mut plan.world.counts)[count] /= 2);
        }
        let same = format!("{self:?}");
        plans.retain(|plan| format!("{plan:?}") != same);
        plans
    }
}

fn counts_of(counts: &mut Counts) -> [&mut usize; 9] {
    [
        &mut counts.rooms,
        &mut counts.sessions,
        &mut counts.peers_per_session,
        &mut counts.templates,
        &mut counts.recordings,
        &mut counts.events_per_room,
        &mut counts.live_streams,
        &mut counts.external_streams,
        &mut counts.webhook_events,
    ]
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())].clone()
}

fn streams(rng: &mut Rng, names: &str) -> Vec<Chosen> {
    let named = |name| source_100ms::streams::named(name).expect("a stream of ours").name;
    let all: Vec<&'static str> = names.split_whitespace().map(named).collect();
    let mut names: Vec<&'static str> = (0..rng.usize(1..=3)).map(|_| pick(rng, &all)).collect();
    names.sort_unstable();
    names.dedup();
    rng.shuffle(&mut names);
    let is_full = rng.f64() < 0.2;
    names
        .into_iter()
        .map(|name| {
            let description = source_100ms::streams::named(name).expect("a stream of ours");
            let is_full = is_full || description.cursor.is_none() || rng.f64() < 0.1;
            let destination = match is_full {
                true => pick(rng, &[Destination::Overwrite, Destination::Append]),
                false => pick(rng, &[Destination::Dedup, Destination::Append]),
            };
            let needed = |column: &&str| description.primary_key.contains(column) || description.cursor == Some(column);
            let columns = (rng.f64() < 0.15).then(|| {
                let columns = description.table.columns.iter().map(|column| column.name);
                columns.filter(|column| needed(column) || rng.bool()).collect()
            });
            Chosen { name, is_full, destination, columns }
        })
        .collect()
}

impl World {
    fn draw(rng: &mut Rng) -> World {
        let size = pick(rng, &[2, 2, 3, 3, 6, 6, 10, 20]);
        let mut few = |most: usize| rng.usize(0..=most);
        let counts = Counts {
            rooms: 1 + few(size / 2),
            sessions: few(size),
            sessions_in_one_second: few(size / 3),
            peers_per_session: few(4),
            templates: 1 + few(5),
            recordings: few(size),
            files_per_recording: None,
            events_per_room: few(6),
            live_streams: few(size / 2),
            external_streams: few(size / 2),
            webhook_events: few(size),
            peers_with_stats: few(size),
            lately: None,
            varied: few(1) == 1,
        };
        let flips = match rng.u8(0..4) {
            0 => Vec::new(),
            1 => vec![rng.usize(0..Readings::flips())],
            _ => (0..Readings::flips()).filter(|_| rng.f64() < 0.12).collect(),
        };
        let lag = TimeDelta::seconds(pick(rng, &[0, 0, 0, 60, 300, 540]));
        // 100ms has no smaller pages than 10, and one item alone does not show that a list is in another order.
        let is_unordered = |flip: &usize| Readings::documented().flip(*flip).starts_with("recordings ");
        let least = if flips.iter().any(is_unordered) { 10 } else { 1 };
        World { counts, flips, lag, page: pick(rng, &[1, 2, 3, 5, 10, 10, 25, 100, 100]).max(least) }
    }

    pub fn options(&self, seed: u64) -> Options {
        let mut readings = Readings::documented();
        for flip in &self.flips {
            readings.flip(*flip);
        }
        Options {
            seed,
            scale: Scale::Custom(self.counts.clone()),
            readings,
            lag: self.lag,
            max_page: self.page,
            gzip: false,
            log_length: 0,
            ..Options::default()
        }
    }
}

impl Sync {
    fn draw(rng: &mut Rng, lag: TimeDelta, streams: &[Chosen]) -> Sync {
        let event = |rng: &mut Rng| {
            let most = pick(rng, &[20, 40, 80, 300]);
            rng.u64(1..most)
        };
        let mut clock = Clock {
            ahead: TimeDelta::seconds(pick(rng, &[0, 0, 0, 0, 0, 3, -3, 30, -30, 300, -300])),
            drift: pick(rng, &[0, 0, 0, 0, 5, -5]),
            jump: (rng.f64() < 0.05).then(|| (event(rng), TimeDelta::seconds(rng.i64(-4000..4000)))),
            date: match rng.u8(0..12) {
                0 => DateHeader::Skewed(TimeDelta::seconds(rng.i64(-30..=30))),
                1 => DateHeader::Skewed(TimeDelta::days(-rng.i64(0..=400))),
                2 => DateHeader::Jumping(TimeDelta::seconds(rng.i64(1..=5_000))),
                3 => DateHeader::Missing,
                4 => DateHeader::Text("noon".into()),
                _ => DateHeader::True,
            },
        };
        // Where 100ms does not tell the time, nobody can tell that this machine's clock is far ahead.
        if !matches!(clock.date, DateHeader::True | DateHeader::Skewed(_)) {
            clock.jump = clock.jump.map(|(at, by)| (at, -by.abs()));
        }
        let end = match rng.u8(0..10) {
            0..2 => End::Kill(event(rng)),
            2 => End::Stop(event(rng)),
            3..5 => End::StopAtItem(rng.u64(1..6)),
            5 => End::Close(event(rng)),
            _ => End::Itself,
        };
        let much_to_read = (matches!(end, End::StopAtItem(_)) && lag.is_zero()).then_some(Meanwhile::Hour);
        let meanwhile = (0..rng.usize(0..=2)).map(|_| Meanwhile::draw(rng, lag)).chain(much_to_read).collect();
        Sync {
            seed: rng.u64(..),
            meanwhile,
            faults: faults(rng, streams),
            latency: pick(rng, &[(0, 0), (5, 40), (5, 40), (50, 3_000), (1_000, 20_000)]),
            busy: pick(rng, &[0.0, 0.0, 0.02, 0.2]),
            clock,
            end,
            slow: pick(rng, &[0, 0, 0, 10, 2_000, 70_000]),
            rare: pick(rng, &[0.0, 0.0, 0.1, 0.5, 0.9]),
        }
    }

    /// The same sync on a day on which nothing goes wrong.
    pub fn quietened(&self) -> Sync {
        Sync { seed: self.seed, latency: (0, 10), ..Sync::default() }
    }

    /// Whether the world stands still while it reads, and nobody takes it for an earlier one: webhook events are asked
    /// for up to the present moment, and what is missing comes with the next sync.
    pub fn is_still(&self) -> bool {
        let Clock { ahead, drift, jump, date } = &self.clock;
        self.busy == 0.0 && *ahead >= TimeDelta::zero() && *drift >= 0 && jump.is_none() && *date == DateHeader::True
    }
}

impl Meanwhile {
    fn draw(rng: &mut Rng, lag: TimeDelta) -> Meanwhile {
        match rng.u8(0..9) {
            0..2 => Meanwhile::Quiet(TimeDelta::seconds(pick(rng, &[1, 60, 540, 620, 3_600, 86_400, 400_000]))),
            2..5 => Meanwhile::Little(pick(rng, &[1, 2, 20, 120, 700, 3_600])),
            // With the lag a change must show within the settling time.
            5 if lag.is_zero() => Meanwhile::Stamp(rng.i64(0..540)),
            6 if lag.is_zero() => Meanwhile::Switch,
            _ if lag.is_zero() => Meanwhile::Hour,
            // The fake hides all changes of one round as long as the last of them.
            _ => Meanwhile::Little(20),
        }
    }
}

/// What goes wrong in one sync: nothing, one kind of thing now and then, or a bit of everything; and what is refused.
fn faults(rng: &mut Rng, streams: &[Chosen]) -> Vec<FaultRule> {
    let kinds = match rng.u8(0..10) {
        0..5 => 0,
        5..7 => 1,
        7..9 => 3,
        _ => 10,
    };
    let rule = |rng: &mut Rng| {
        let fault = fault(rng);
        let when = match rng.u8(0..4) {
            // Tokens that lead back do so each time.
            _ if matches!(fault, Fault::RepeatedPageToken | Fault::EarlierPageToken) => When::Always,
            0 => When::Nth(rng.u64(1..20)),
            1 => When::First(rng.u64(1..8)),
            _ => When::Probability(pick(rng, &[0.02, 0.1, 0.4])),
        };
        let stop_after = (when != When::Always && rng.bool()).then(|| rng.u64(1..6));
        let route = pick(rng, &ROUTES.split_whitespace().collect::<Vec<_>>()).to_owned();
        FaultRule { route, when, fault, stop_after }
    };
    let mut rules: Vec<FaultRule> = (0..kinds).map(|_| rule(rng)).collect();
    let items: Vec<&str> = streams.iter().flat_map(|chosen| items_of(chosen.name)).copied().collect();
    if rng.f64() < 0.2 && !items.is_empty() {
        let when = [When::Nth(rng.u64(1..10)), When::Probability(0.3), When::Always, When::Always];
        let fault = Fault::Status(pick(rng, &[400, 403, 404, 409, 410, 422, 451]));
        let (route, when) = (format!("{}*", pick(rng, &items)), pick(rng, &when));
        rules.push(FaultRule { route, when, fault, stop_after: None });
    }
    rules
}

const ROUTES: &str = "* * * /v2/sessions /v2/rooms /v2/templates /v2/templates/* /v2/recordings /v2/recordings/* \
    /v2/recording-assets /v2/recording-assets/* /v2/live-streams* /v2/external-streams* /v2/analytics/events \
    /v2/analytics/*";

/// One thing that can go wrong and that a client can recover from, now or in a later sync.
/// A new fault of the fake is one more line here. What may end in a gap that is told is drawn in [`faults`].
fn fault(rng: &mut Rng) -> Fault {
    match rng.u8(0..27) {
        0 => Fault::TooManyRequests(RetryHint::Seconds(rng.u64(0..40))),
        1 => Fault::TooManyRequests(RetryHint::HttpDate(rng.u64(0..40))),
        2 => Fault::TooManyRequests(RetryHint::Message(rng.u64(0..4_000))),
        3 => Fault::TooManyRequests(RetryHint::Nothing),
        4 => Fault::Status(pick(rng, &[500, 502, 503, 504, 408, 425])),
        5 => Fault::Refused { status: 503, retry_after: pick(rng, &["0", "7", "soon", "86400"]).to_owned() },
        6 => Fault::ResetBeforeHeaders,
        7 => Fault::ResetWithinBody,
        8 => Fault::TruncatedBody,
        9 => Fault::EndlessStall,
        10 => Fault::StalledBody { milliseconds: rng.u64(1..70_000) },
        11 => Fault::HtmlPage,
        12 => Fault::InvalidJson,
        13 => Fault::EmptyBody,
        14 => Fault::RepeatedPageToken,
        15 => Fault::NoDate,
        16 => Fault::UnknownFields,
        17 => Fault::SmallerLimit(rng.u32(1..4)),
        18 => Fault::ShiftedItems(rng.usize(1..4)),
        19 => Fault::ExpiredCursor,
        20 => Fault::VoidTokens,
        21 => Fault::Unauthorized,
        22 => Fault::EchoToken { status: 500, part: pick(rng, &[TokenPart::Whole, TokenPart::Middle]) },
        23 => Fault::EarlierPageToken,
        24 => Fault::IgnoresTimes,
        25 => Fault::Says(pick(rng, &[r#"{"code":500,"message":"internal error"}"#, r#"{"error":"busy"}"#]).to_owned()),
        _ => Fault::Delay { milliseconds: rng.u64(0..5_000), jitter: rng.u64(0..60_000) },
    }
}
