//! The engine's properties, of [`Backlog`] and [`Checkpointer`] themselves: a loop that fetches and writes as the
//! driver does, against a list as the API serves it, with kills at any point.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::checkpointer::{Checkpointer, PENDING_BYTES};
use super::state;
use super::writer::tests::{Shared, started};
use super::{Job, Share, StartPoint};
use crate::airbyte::{Level, SyncMode};
use crate::api::{ApiError, Client, Credentials, Policy, Settings};
use crate::redact::Redactor;
use crate::streams::{
    self, Format, Hashes, LogLine, PageOutcome, PageStats, PersonalData, Remembered, Scope, Slice, Stream, StreamError,
    StreamInfo, Timestamp, Window, WrittenHashes,
};

const PAGE: usize = 100;
const SECOND: i64 = 1_000_000;
/// 2020-01-01.
const BEGINNING: i64 = 1_577_836_800 * SECOND;
const FIELD: &str = "updated_at";
const LIST: &str = "ended";

/// When it was created, and its number.
type Item = (i64, u32);

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn sessions() -> &'static StreamInfo {
    streams::named("sessions").unwrap()
}

/// Where a stream of these tests begins without a state.
fn fresh(mode: SyncMode) -> StartPoint {
    StartPoint::new(mode, at(BEGINNING), TimeDelta::zero())
}

/// How a server may serve a list.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    ignores_windows: bool,
}

impl Server {
    /// A page, newest first, with inclusive bounds by the second and an exclusive token.
    fn page(self, items: &[Item], slice: &Slice) -> (Vec<Item>, Option<String>) {
        let by_filter = |time: Timestamp| Timestamp::parse(&time.to_filter()).unwrap();
        let Window { after, before } = if self.ignores_windows { Window::default() } else { slice.window() };
        let (after, before) = (after.map(by_filter), before.map(by_filter));
        let is_asked_for = |(created, _): &&Item| {
            after.is_none_or(|after| at(*created) >= after) && before.is_none_or(|before| at(*created) <= before)
        };
        let last: Option<Item> = slice.token.as_deref().map(|token| {
            let (created, id) = token.split_once('/').unwrap();
            (created.parse().unwrap(), id.parse().unwrap())
        });
        let is_next = |item: &&Item| last.is_none_or(|last| **item < last);
        let page: Vec<Item> = items.iter().rev().filter(is_asked_for).filter(is_next).take(PAGE).copied().collect();
        let next = page.last().filter(|_| page.len() == PAGE).map(|(created, id)| format!("{created}/{id}"));
        (page, next)
    }
}

/// A stream that is read, killed and resumed.
struct Reader<'i> {
    items: &'i [Item],
    server: Server,
    workers: usize,
    /// How often each item was written.
    written: HashMap<u32, u32>,
    requests: usize,
    rounds: usize,
    /// The last state that came out.
    state: Option<Value>,
    /// How many records came out since.
    uncovered: usize,
}

impl<'i> Reader<'i> {
    fn new(items: &'i [Item], workers: usize) -> Self {
        Self {
            items,
            server: Server::default(),
            workers,
            written: HashMap::new(),
            requests: 0,
            rounds: 0,
            state: None,
            uncovered: 0,
        }
    }

    /// Begins as the driver does: with the saved state, or with all since `after`.
    fn begin(&self, after: Option<Timestamp>) -> (Backlog, Checkpointer) {
        let first = after.map_or(Slice::whole(LIST), |after| Slice::since(LIST, after));
        let now = at(BEGINNING + 1_000_000_000 * SECOND);
        let start = state::read(sessions(), self.state.as_ref(), fresh(SyncMode::Incremental), None).unwrap();
        let pending = start.pending.clone().unwrap_or_else(|| vec![first]);
        let mut progress = Checkpointer::new(sessions(), start, WrittenHashes::new(Hashes::new()));
        progress.began(now);
        (Backlog::new(pending, self.workers), progress)
    }

    /// Reads to the end, or until `pages` have been written and a kill comes; true at the end.
    fn run(&mut self, after: Option<Timestamp>, mut pages: usize) -> bool {
        let (mut backlog, mut progress) = self.begin(after);
        while !backlog.is_empty() {
            self.rounds += 1;
            // All that is taken in a round is fetched at the same time, and comes back in any order.
            let mut fetched: Vec<(u64, Slice)> = (0..self.workers).map_while(|_| backlog.take()).collect();
            assert!(!fetched.is_empty(), "a slice is pending that nobody fetches");
            fetched.reverse();
            self.requests += fetched.len();
            let mut busy = fetched.len() + backlog.waiting();
            for (id, slice) in fetched {
                if pages == 0 {
                    return false;
                }
                pages -= 1;
                let outcome = self.write(&slice, &mut progress);
                let waiting = backlog.waiting();
                let next = backlog.next_slices(id, outcome, self.workers.saturating_sub(busy)).unwrap();
                backlog.replace(next);
                busy += (backlog.waiting() - waiting).saturating_sub(1);
                if progress.is_due(std::time::Duration::ZERO) || pages.is_multiple_of(3) {
                    let state = progress.state(backlog.slices(PENDING_BYTES), Map::new());
                    self.state = Some(state);
                    self.uncovered = 0;
                }
            }
        }
        self.state = Some(progress.finished(Map::new(), at(BEGINNING)));
        true
    }

    /// Writes a page and says what is left.
    fn write(&mut self, slice: &Slice, progress: &mut Checkpointer) -> PageOutcome {
        let (page, next) = self.server.page(self.items, slice);
        let window = slice.window();
        let taken: Vec<Item> = page.iter().filter(|(created, _)| window.takes(at(*created))).copied().collect();
        for (_, id) in &taken {
            *self.written.entry(*id).or_default() += 1;
        }
        self.uncovered += taken.len();
        progress.note(taken.len() as u64, taken.iter().map(|(created, _)| at(*created)).max(), Vec::new());
        let is_stray = |created: i64| {
            window.before.is_some_and(|before| at(created) > before + TimeDelta::seconds(1))
                || window.after.is_some_and(|after| at(created) < after - TimeDelta::hours(1))
        };
        let seen = page.first().zip(page.last()).map(|(newest, oldest)| PageStats {
            oldest: at(oldest.0),
            newest: at(newest.0),
            items: taken.len(),
            strays: page.iter().filter(|(created, _)| is_stray(*created)).count(),
        });
        PageOutcome { rest: slice.rest(next), seen, ..PageOutcome::default() }
    }

    fn missed(&self, after: Option<Timestamp>) -> Vec<u32> {
        let is_wanted = |(created, _): &&Item| after.is_none_or(|after| at(*created) >= after);
        self.items.iter().filter(is_wanted).map(|(_, id)| *id).filter(|id| !self.written.contains_key(id)).collect()
    }
}

/// Creation times in clusters: spread evenly, in bursts of one millisecond, with empty years between.
fn histories() -> impl Strategy<Value = Vec<Item>> {
    let cluster = (0_i64..200_000_000, 0_i64..3_000_000, 0_usize..1_500, any::<bool>());
    proptest::collection::vec(cluster, 0..6).prop_map(|clusters| {
        let mut times: Vec<i64> = Vec::new();
        for (begins, length, count, is_burst) in clusters {
            for index in 0..count as i64 {
                let offset = if is_burst { index % 1000 } else { index * length.max(1) * SECOND / count as i64 };
                times.push(BEGINNING + begins * SECOND + offset);
            }
        }
        times.sort_unstable();
        times.into_iter().zip(0..).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn every_item_comes_once_and_requests_stay_few(items in histories(), workers in 1_usize..16, bounded in any::<bool>()) {
        let after = bounded.then(|| at(BEGINNING + 50_000_000 * SECOND));
        let mut reader = Reader::new(&items, workers);
        prop_assert!(reader.run(after, usize::MAX));
        prop_assert_eq!(reader.missed(after), Vec::<u32>::new());
        prop_assert!(reader.written.values().all(|times| *times == 1), "an item came twice");
        let most = reader.written.len() / PAGE + 4 * workers;
        prop_assert!(reader.requests <= most, "{} requests where {most} are allowed", reader.requests);
    }

    #[test]
    fn kills_at_any_page_lose_nothing(items in histories(), workers in 1_usize..8, kills in proptest::collection::vec(0_usize..40, 0..6)) {
        let mut reader = Reader::new(&items, workers);
        let mut twice = 0;
        for pages in kills {
            if reader.run(None, pages) {
                break;
            }
            // What came after the last state is read again, and nothing else.
            twice += reader.uncovered;
            reader.uncovered = 0;
        }
        if reader.state.as_ref().is_none_or(|state| !state["resume"].is_null()) {
            prop_assert!(reader.run(None, usize::MAX));
        }
        prop_assert_eq!(reader.missed(None), Vec::<u32>::new());
        let again: u32 = reader.written.values().map(|times| times - 1).sum();
        prop_assert!(again as usize <= twice, "{again} came again where {twice} were not covered");
    }

    #[test]
    fn a_server_that_ignores_windows_is_read_whole_and_not_many_times(items in histories(), workers in 2_usize..16) {
        let mut reader = Reader::new(&items, workers);
        reader.server.ignores_windows = true;
        prop_assert!(reader.run(Some(at(BEGINNING)), usize::MAX));
        prop_assert_eq!(reader.missed(None), Vec::<u32>::new());
        // Each window that had been cut before it was noticed holds the whole list.
        let most = (workers + 1) * (items.len() / PAGE + 1);
        prop_assert!(reader.requests <= most, "{} requests where {most} are allowed", reader.requests);
    }

    #[test]
    fn a_state_of_few_bytes_still_covers_everything(cuts in proptest::collection::btree_set(1_i64..1_000_000, 1..400), most in 200_usize..20_000) {
        let bounds: Vec<Timestamp> = cuts.iter().map(|second| at(BEGINNING + second * SECOND)).collect();
        let windows = bounds.windows(2).map(|pair| Window { after: Some(pair[0]), before: Some(pair[1]) });
        let newest = Window::since(bounds[bounds.len() - 1]);
        let slices = windows.chain([newest]).map(|window| Slice::new(LIST, Scope::Window(window))).collect();
        let saved = Backlog::new(slices, 10).slices(most);
        for moment in bounds.iter().flat_map(|bound| [*bound, *bound + TimeDelta::milliseconds(500)]) {
            let holds = |slice: &Slice| slice.window().after <= Some(moment) && slice.window().takes(moment);
            prop_assert!(saved.iter().any(holds), "{moment} is in none of {saved:?}");
        }
        let size: usize = saved.iter().map(|slice| serde_json::to_string(slice).unwrap().len() + 1).sum();
        prop_assert!(size <= most || saved.len() == 1, "{size} bytes in {} slices", saved.len());
    }
}

/// Slices of every scope, some with a token, some a single page.
fn any_slice() -> impl Strategy<Value = Slice> {
    let moment = || proptest::option::of(moments());
    let id = || "[a-f0-9]{24}";
    let scope = prop_oneof![
        Just(Scope::Window(Window::default())),
        (moment(), moment()).prop_map(|(after, before)| Scope::Window(Window { after, before })),
        id().prop_map(|room| Scope::Room { room }),
        (id(), id()).prop_map(|(room, session)| Scope::Session { room, session }),
        id().prop_map(|below| Scope::Below { below }),
    ];
    (prop_oneof![Just("a"), Just("b")], scope, proptest::option::of(id()), proptest::option::of(id())).prop_map(
        |(list, scope, token, end)| Slice {
            token,
            is_single_page: end.is_some(),
            ends_at: end,
            ..Slice::new(list, scope)
        },
    )
}

/// Whether all that `slice` holds is in `saved`, too.
fn is_covered(slice: &Slice, saved: &Slice) -> bool {
    let holds_all = || {
        let (inner, outer) = (slice.window(), saved.window());
        let is_window = |slice: &Slice| matches!(slice.scope, Scope::Window(_));
        is_window(slice)
            && is_window(saved)
            && outer.after <= inner.after
            && (outer.before.is_none() || inner.before.is_some_and(|before| Some(before) <= outer.before))
    };
    saved == slice || saved.phase == slice.phase && saved.token.is_none() && !saved.is_single_page && holds_all()
}

proptest! {
    /// Whatever a state has no room for is joined to something that holds it, or becomes its page again.
    #[test]
    fn what_is_pending_is_never_dropped(pages in proptest::collection::vec((any_slice(), proptest::collection::vec(any_slice(), 0..8)), 0..12), most in 0_usize..3_000) {
        let slices = pages.iter().map(|(page, _)| page.clone()).collect();
        let mut backlog = Backlog::new(slices, 10);
        let mut expected: Vec<Vec<Slice>> = Vec::new();
        let taken: Vec<(u64, Slice)> = std::iter::from_fn(|| backlog.take()).collect();
        for ((id, page), (_, children)) in taken.into_iter().zip(&pages) {
            // A single page continues only up to where it ended.
            let rest = page.rest(Some("t".into()));
            let rest = if page.is_single_page { page.left_of_page(rest) } else { rest };
            let again = page.page_before(rest.as_ref());
            for child in children {
                let mut in_one_of = vec![child.clone()];
                in_one_of.extend((child.phase == page.phase).then(|| again.clone()));
                expected.push(in_one_of);
            }
            expected.extend(rest.iter().map(|rest| vec![rest.clone()]));
            let outcome = PageOutcome { rest: page.rest(Some("t".into())), children: children.clone(), ..PageOutcome::default() };
            let next = backlog.next_slices(id, outcome, 0).unwrap();
            backlog.replace(next);
        }
        let saved = backlog.slices(most);
        for in_one_of in expected {
            let is_there = in_one_of.iter().any(|slice| saved.iter().any(|saved| is_covered(slice, saved)));
            prop_assert!(is_there, "{in_one_of:?} is not in {saved:?}");
        }
    }
}

/// A page of slice `id` has been fetched and written.
fn read(backlog: &mut Backlog, id: u64, outcome: PageOutcome) {
    let next = backlog.next_slices(id, outcome, 0).unwrap();
    backlog.replace(next);
}

/// A room on each of so many pages is refused, before the rest of the list is read.
fn refused(pages: usize) -> Backlog {
    let whole = Slice::whole("enabled");
    let mut backlog = Backlog::new(vec![whole.clone()], 1);
    for page in 0..pages {
        let (id, slice) = backlog.take().unwrap();
        let children = vec![Slice::new("enabled", Scope::Room { room: format!("{page:024}") })];
        read(
            &mut backlog,
            id,
            PageOutcome { rest: slice.rest(Some(format!("{page:024}"))), children, ..PageOutcome::default() },
        );
        let (room, _) = backlog.take().unwrap();
        read(&mut backlog, room, PageOutcome { is_undecided: true, ..PageOutcome::default() });
    }
    let (last, _) = backlog.take().unwrap();
    read(&mut backlog, last, PageOutcome::default());
    backlog
}

#[test]
fn what_is_held_is_not_asked_for_and_yet_pending_until_it_is_released() {
    let mut backlog = refused(3);
    assert!(backlog.is_empty() && backlog.take().is_none());
    let rooms = (0..3).map(|page| Slice::new("enabled", Scope::Room { room: format!("{page:024}") }));
    assert_eq!(backlog.slices(PENDING_BYTES), rooms.collect::<Vec<_>>());
    backlog.release();
    assert_eq!(backlog.slices(PENDING_BYTES), []);
}

#[test]
fn however_much_is_held_a_state_stays_small() {
    let slices = refused(1_000).slices(PENDING_BYTES);
    let size = serde_json::to_string(&slices).unwrap().len();
    assert!(size <= PENDING_BYTES + slices.len() + 2, "{size} bytes");
    // The first page is part of it, and so is all that follows.
    let first = slices.first().unwrap();
    assert!(first.token.is_none() && !first.is_single_page, "{first:?}");
}

/// A stream that goes wrong in a way that nobody has thought of.
struct Panics {
    when_fetching: bool,
}

impl Stream for Panics {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        Some(Slice::whole(phase))
    }
    fn fetch(self: Arc<Self>, _: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        assert!(!self.when_fetching, "planted");
        Box::pin(async { Ok(PageOutcome::default()) })
    }
    fn log_lines(&self) -> Vec<LogLine> {
        assert!(self.when_fetching, "planted");
        Vec::new()
    }
    fn undecided(&self) -> Option<ApiError> {
        None
    }
    fn remember(&self, _: bool) -> Map<String, Value> {
        Map::new()
    }
}

/// A stream in which there is nothing.
struct Empty;

impl Stream for Empty {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        Some(Slice::whole(phase))
    }
    fn fetch(self: Arc<Self>, _: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async { Ok(PageOutcome::default()) })
    }
    fn log_lines(&self) -> Vec<LogLine> {
        Vec::new()
    }
    fn undecided(&self) -> Option<ApiError> {
        None
    }
    fn remember(&self, _: bool) -> Map<String, Value> {
        Map::new()
    }
}

/// A client that nobody answers; the streams of these tests ask for nothing.
fn nobody() -> Arc<Client> {
    let settings = Settings {
        api_url: "http://127.0.0.1:9".parse().unwrap(),
        credentials: Credentials::App { access_key: "key".into(), app_secret: "secret".into() },
        workers: 10,
        requests_per_second: None,
        policy: Policy::for_check(),
        public_only: false,
        redact: Arc::new(str::to_owned),
        on_minted: Arc::new(|_| {}),
    };
    Arc::new(Client::new(settings, Arc::new(|_| {})).unwrap())
}

fn job(name: &str, stream: Arc<dyn Stream>) -> Job {
    let description = streams::named(name).unwrap();
    let written = WrittenHashes::new(Hashes::new());
    let format = Format::new(Vec::new(), description.table, &[], None, Arc::clone(&written), PersonalData::Keep);
    let start = fresh(SyncMode::FullRefresh);
    Job { description, stream, client: nobody(), format, written, start, share: Share::default() }
}

#[tokio::test]
async fn a_stream_that_panics_is_incomplete_and_the_others_go_on() {
    let written = Shared::default();
    let (output, thread) = started(written.clone(), Redactor::default(), Level::Info);
    let jobs = vec![
        job("rooms", Arc::new(Panics { when_fetching: true })),
        job("templates", Arc::new(Panics { when_fetching: false })),
        job("sessions", Arc::new(Empty)),
    ];
    let is_complete = super::run(jobs, 10, output, CancellationToken::new()).await;
    thread.await.unwrap().unwrap();
    assert!(!is_complete);
    let text = written.text();
    let is_about = |line: &&str, name: &str| line.contains(&format!("\"name\":\"{name}\""));
    for name in ["rooms", "templates"] {
        let last = text.lines().rfind(|line| is_about(line, name)).unwrap();
        assert!(last.contains("\"INCOMPLETE\""), "{text}");
        let errors = text.lines().filter(|line| line.contains("\"ERROR\"") && is_about(line, name)).count();
        assert_eq!(errors, 1, "{text}");
    }
    assert!(text.lines().any(|line| is_about(&line, "sessions") && line.contains("\"COMPLETE\"")), "{text}");
    assert!(!text.contains("planted"), "what a panic says may be data: {text}");
}

/// A thousand full pages, evenly spread over so many days that begin so many days after the start.
fn thousand_pages(begins: i64, days: i64) -> Vec<Item> {
    const DAY: i64 = 24 * 3600 * SECOND;
    (0..100_000).map(|n| (BEGINNING + begins * DAY + i64::from(n) * (days * DAY / 100_000), n)).collect()
}

#[test]
fn workers_share_a_history_soon_wherever_in_time_it_lies() {
    for (begins, days, at_most) in [(0, 2300, 1.1), (2050, 250, 1.35), (2240, 60, 1.35)] {
        let items = thousand_pages(begins, days);
        for (workers, requests) in [(10, 1_040), (50, 1_120)] {
            let mut reader = Reader::new(&items, workers);
            assert!(reader.run(Some(at(BEGINNING)), usize::MAX));
            let ratio = reader.rounds as f64 * workers as f64 / 1_000.0;
            let what = format!("{days} days, {workers} workers: {} requests, {ratio:.2} of the ideal", reader.requests);
            assert!(reader.requests <= requests && ratio <= at_most, "{what}");
        }
    }
}

#[test]
fn an_even_history_is_shared_by_all_workers() {
    let items: Vec<Item> = (0..40_000).map(|n| (BEGINNING + i64::from(n) * 5000 * SECOND, n)).collect();
    let mut reader = Reader::new(&items, 10);
    assert!(reader.run(Some(at(BEGINNING)), usize::MAX));
    assert_eq!(reader.written.len(), items.len());
    assert!(reader.requests <= 400 + 40, "{} requests", reader.requests);
    assert!(reader.rounds <= 55, "{} rounds where 40 are ideal", reader.rounds);
    let mut alone = Reader::new(&items, 1);
    assert!(alone.run(Some(at(BEGINNING)), usize::MAX));
    assert_eq!(alone.requests, 401, "one worker alone cuts nothing");
}

fn rest(token: &str) -> PageOutcome {
    PageOutcome { rest: Slice::whole(LIST).rest(Some(token.to_owned())), ..PageOutcome::default() }
}

#[test]
fn a_list_that_goes_round_in_a_circle_is_noticed() {
    let mut backlog = Backlog::new(vec![Slice::whole(LIST)], 1);
    let mut id = backlog.take().unwrap().0;
    for token in ["a", "b"] {
        read(&mut backlog, id, rest(token));
        id = backlog.take().unwrap().0;
    }
    assert!(backlog.next_slices(id, rest("a"), 0).is_none());
}

#[test]
fn a_page_that_takes_longer_is_pending_until_it_is_written() {
    let mut backlog = Backlog::new(vec![Slice::whole(LIST)], 2);
    let (page, _) = backlog.take().unwrap();
    let next = backlog.next_slices(page, rest("a"), 0).unwrap();
    backlog.detach(next);
    let single = Slice { is_single_page: true, ends_at: Some("a".into()), ..Slice::whole(LIST) };
    let next = Slice::whole(LIST).rest(Some("a".into())).unwrap();
    assert_eq!(backlog.slices(usize::MAX), [single, next.clone()]);
    read(&mut backlog, page, PageOutcome::default());
    assert_eq!(backlog.slices(usize::MAX), [next]);
}

#[test]
fn a_page_that_is_read_again_goes_on_to_where_it_ended() {
    let page = Slice { token: Some("9".into()), ..Slice::whole(LIST) };
    let rest = |token: &str| page.rest(Some(token.into()));
    let single = page.page_before(rest("5").as_ref());
    let left = |token: &str| single.left_of_page(single.rest(Some(token.into()))).map(|left| left.token.unwrap());
    // Shorter than the first time, or begun by what shows late; as it was; with its end in the middle, or in no order.
    assert_eq!(["7", "5", "3"].map(left), [Some("7".into()), None, Some("3".into())]);
    assert_eq!(left("page 2").as_deref(), Some("page 2"), "which has no order");
    let below = |id: &str| Slice::new("late", Scope::Below { below: id.into() });
    let single = below("9").page_before(Some(&below("5")));
    assert_eq!(single.left_of_page(Some(below("5"))), None, "items below an id have no token");
    assert!(below("9").page_before(None).left_of_page(Some(below("5"))).is_some());
    let last = page.page_before(None);
    assert!(last.left_of_page(last.rest(Some("1".into()))).is_some(), "it ended with the list");
    let saved: Slice = serde_json::from_value(serde_json::to_value(&single).unwrap()).unwrap();
    assert_eq!(saved, single);
}

#[test]
fn children_become_their_page_again_when_a_state_has_no_room() {
    let mut backlog = Backlog::new(vec![Slice::whole(LIST)], 2);
    let (page, _) = backlog.take().unwrap();
    let room = |number: u32| Slice::new(LIST, Scope::Room { room: format!("room {number}") });
    read(&mut backlog, page, PageOutcome { children: (0..50).map(room).collect(), ..rest("a") });
    assert_eq!(backlog.slices(usize::MAX).len(), 51);
    let few = backlog.slices(500);
    let single = Slice { is_single_page: true, ends_at: Some("a".into()), ..Slice::whole(LIST) };
    assert!(few.len() == 2 && few.contains(&single), "{few:?}");
}

fn progress(known: Hashes) -> Checkpointer {
    let start = StartPoint { hashes: known, ..fresh(SyncMode::Incremental) };
    Checkpointer::new(sessions(), start, WrittenHashes::new(Hashes::new()))
}

fn remembered(key: u64, content: u64, recheck_until: Timestamp) -> Remembered {
    Remembered { key, content, recheck_until, was_written: true }
}

/// Times around the beginning of a sync.
fn moments() -> impl Strategy<Value = Timestamp> {
    (0_i64..100_000).prop_map(|second| at(BEGINNING + second * SECOND))
}

proptest! {
    #[test]
    fn the_cursor_never_goes_back_nor_past_the_beginning(sync_started_at in moments(), notes in proptest::collection::vec(moments(), 0..20)) {
        let mut progress = progress(Hashes::new());
        progress.began(sync_started_at);
        for latest in &notes {
            progress.note(1, Some(*latest), vec![remembered(latest.as_micros() as u64, 0, *latest)]);
        }
        let state = progress.finished(Map::new(), sync_started_at);
        let cursor = Timestamp::parse(state[FIELD].as_str().unwrap()).unwrap();
        prop_assert!(cursor >= at(BEGINNING));
        prop_assert!(cursor == at(BEGINNING) || cursor <= sync_started_at);
        // What the next sync reads again is remembered, and nothing else.
        let again = notes.iter().filter(|time| **time >= cursor - TimeDelta::minutes(10)).collect::<BTreeSet<_>>();
        prop_assert_eq!(state["recent"].as_array().unwrap().len(), again.len());
    }

    #[test]
    fn records_that_are_too_many_to_remember_move_the_cursor_on(changed in moments(), count in 900_u64..1_200, waited in 0_i64..3_600) {
        let mut progress = progress(Hashes::new());
        let sync_started_at = changed + TimeDelta::seconds(waited);
        progress.began(sync_started_at);
        for key in 0..count {
            progress.note(1, Some(changed), vec![remembered(key, key, changed)]);
        }
        let state = progress.finished(Map::new(), sync_started_at);
        let cursor = Timestamp::parse(state[FIELD].as_str().unwrap()).unwrap();
        let settling = TimeDelta::minutes(10);
        prop_assert_eq!(cursor, if count < 1_000 { changed } else { changed.max(sync_started_at - settling) });
        let remembered = state["recent"].as_array().unwrap().len();
        prop_assert_eq!(remembered, if changed >= cursor - settling { count.min(1_000) as usize } else { 0 });
    }

    #[test]
    fn a_state_says_what_was_left(sync_started_at in moments(), latest in proptest::option::of(moments()), known in proptest::collection::btree_map(0_u64..1 << 40, 0_u64..1 << 40, 0..20),
                                  pending in proptest::collection::vec((proptest::option::of(moments()), proptest::option::of("\\PC*")), 0..5)) {
        let slice = |(after, token): (Option<Timestamp>, Option<String>)| {
            let slice = after.map_or(Slice::whole(LIST), |after| Slice::since(LIST, after));
            Slice { token, ..slice }
        };
        let pending: Vec<Slice> = pending.into_iter().map(slice).collect();
        let mut progress = progress(known.clone());
        progress.began(sync_started_at);
        progress.note(0, latest, Vec::new());
        let text = serde_json::to_string(&progress.state(pending.clone(), Map::new())).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        let fresh = StartPoint::new(SyncMode::Incremental, at(0), TimeDelta::zero());
        let start = state::read(sessions(), Some(&state), fresh, None).unwrap();
        prop_assert_eq!((start.latest, start.pending), (latest, Some(pending)));
        prop_assert_eq!((start.bounds.cursor, start.bounds.sync_started_at), (at(BEGINNING), Some(sync_started_at)));
        prop_assert_eq!((start.hashes, state::unknown_keys(sessions(), Some(&state)).count()), (known, 0));
    }
}

#[test]
fn the_last_hash_of_each_key_counts() {
    let now = at(BEGINNING);
    let known = |progress: &mut Checkpointer| {
        let state = progress.finished(Map::new(), now);
        state::read(sessions(), Some(&state), fresh(SyncMode::Incremental), None).unwrap().hashes
    };
    let unchanged = |content| Remembered { was_written: false, ..remembered(1, content, now) };
    let mut written_after = progress(Hashes::from([(1, 10), (2, 20)]));
    written_after.began(now);
    written_after.note(1, Some(now), vec![unchanged(10), remembered(1, 11, now)]);
    assert_eq!(known(&mut written_after), Hashes::from([(1, 11), (2, 20)]));
    // Its page was fetched before that of the change, and is handled after it.
    let mut written_before = progress(Hashes::from([(1, 10)]));
    written_before.began(now);
    written_before.note(1, Some(now), vec![remembered(1, 11, now)]);
    written_before.note(0, Some(now), vec![unchanged(10)]);
    assert_eq!(known(&mut written_before), Hashes::from([(1, 11)]));
}

#[test]
fn a_state_is_due_after_records_or_time() {
    use std::time::Duration;
    let mut progress = progress(Hashes::new());
    assert!(!progress.is_due(Duration::from_secs(29)) && progress.is_due(Duration::from_secs(30)));
    progress.note(1, None, Vec::new());
    assert!(!progress.is_due(Duration::from_secs(9)) && progress.is_due(Duration::from_secs(10)));
    progress.note(2_499, None, Vec::new());
    assert!(progress.is_due(Duration::ZERO));
}

#[test]
fn how_much_is_left_is_known_once_the_lists_have_been_read() {
    let mut backlog = Backlog::new(vec![Slice::whole(LIST)], 1);
    let mut read_page = |children: Vec<Slice>| {
        let before = backlog.share();
        let (id, _) = backlog.take().unwrap();
        read(&mut backlog, id, PageOutcome { children, ..PageOutcome::default() });
        (before, backlog.share())
    };
    let items = ["a", "b"].map(|id| Slice::new(LIST, Scope::Item { item: id.to_owned() }));
    assert_eq!(read_page(items.into()), (None, Some((0, 2))));
    assert_eq!(read_page(Vec::new()), (Some((0, 2)), Some((1, 2))));
    assert_eq!(read_page(Vec::new()), (Some((1, 2)), None));
}
