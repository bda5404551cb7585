//! Cutting a window of time in two, so that idle workers share a long history.
//!
//! ```text
//!   after            mid        oldest seen          newest seen
//!     [   older piece   )[   rest of the newer piece   |  page  ]
//! ```
//!
//! A list is newest first, so after a full page what is left lies before the oldest item seen. The newer
//! piece goes on with the page token and `after = mid`; the older one, `[after, mid)`, becomes a slice of
//! its own. The order only decides *where* to cut: were the list in another order, the pieces would hold
//! the same items, at worst some of them twice.

use crate::streams::{Seen, Slice, Timestamp};

/// 2020-01-01: there was no 100ms before. Only a place to begin cutting; nothing is left out.
const BEGINNING: Timestamp = Timestamp::from_micros(1_577_836_800_000_000);
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Cuts are made at this second of a minute: jobs and meetings begin at round times, and items created
/// in the very second of a cut are asked for twice.
const OFF_ROUND: i64 = 37 * SECOND;

/// How much of the pace so far counts beside a new page.
const MEMORY: f64 = 0.6;
/// Fewer pages are read as quickly by one worker as by two.
const LEAST_PAGES: f64 = 3.0;

/// What cutting may cost: four requests a worker more than one worker alone would need.
///
/// A piece costs a request more than its items fill, at most: its last page is not full. What that was is
/// known when the piece is done; until then a whole request is set aside for it.
#[derive(Debug)]
pub struct Budget {
    allowed: f64,
    spent: f64,
}

impl Budget {
    /// The budget of a stream read by `workers`.
    pub fn new(workers: usize) -> Self {
        Self { allowed: 4.0 * workers as f64, spent: 0.0 }
    }

    /// Whether a cut can be afforded while `open` pieces are not done. A stream's next list is one, too.
    pub fn allows(&self, open: usize) -> bool {
        self.spent + (open + 2) as f64 <= self.allowed
    }

    /// Notes that a piece is done; `fill` is the filled share of its last page.
    pub fn note_last_page(&mut self, fill: f64) {
        self.spent += 1.0 - fill;
    }
}

/// How densely a piece is filled: its last few pages. One page alone would be misled by a moment's burst,
/// all of them would not see a long one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    pages: f64,
    micros: f64,
}

impl Pace {
    /// The pace after another page.
    pub fn after_page(self, seen: &Seen) -> Self {
        let micros = (seen.newest.as_micros() - seen.oldest.as_micros()).max(SECOND);
        Self { pages: self.pages * MEMORY + 1.0, micros: self.micros * MEMORY + micros as f64 }
    }

    /// What each piece of a cut begins with: the pace of the whole, easily corrected by its own pages.
    pub fn inherited(self) -> Self {
        Self { pages: self.pages / 2.0, micros: self.micros / 2.0 }
    }

    /// How many pages `rest` has at this pace, when the oldest item seen is from `oldest`.
    pub fn pages_left(self, rest: &Slice, oldest: Timestamp) -> f64 {
        (oldest.as_micros() - begins(rest)) as f64 * self.pages / self.micros.max(1.0)
    }
}

/// Whether a piece with `left` pages is worth cutting, next to a largest piece of `largest`: an idle
/// worker should get a large share, or it is idle again at once.
pub fn is_worth_cutting(left: f64, largest: f64) -> bool {
    left >= LEAST_PAGES && left >= largest / 2.0
}

/// Cuts `rest` in two in the middle of the time that is left, if there is a place to cut.
pub fn cut(rest: &Slice, oldest: Timestamp) -> Option<(Slice, Slice)> {
    let after = begins(rest);
    let middle = after + (oldest.as_micros() - after) / 2;
    let off_round = middle.div_euclid(MINUTE) * MINUTE + OFF_ROUND;
    let whole = middle.div_euclid(SECOND) * SECOND;
    // Whole seconds, because it is not documented how exactly the API compares.
    let mid = [off_round, whole].into_iter().find(|mid| after < *mid && *mid < oldest.as_micros())?;
    let mid = Timestamp::from_micros(mid);
    let newer = Slice { after: Some(mid), ..rest.clone() };
    let older = Slice { before: Some(mid), start: None, ..rest.clone() };
    Some((newer, older))
}

fn begins(slice: &Slice) -> i64 {
    slice.after.unwrap_or(BEGINNING).as_micros()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, VecDeque};

    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 100;

    /// A list as the API serves it: newest first, inclusive bounds, `start` exclusive.
    fn serve(items: &[(i64, u32)], slice: &Slice) -> (Vec<(i64, u32)>, Option<String>) {
        let is_asked_for = |(created, _): &&(i64, u32)| {
            let second = |time: Timestamp| time.to_filter();
            let created = Timestamp::from_micros(*created);
            slice.after.is_none_or(|after| created >= Timestamp::parse(&second(after)).unwrap())
                && slice.before.is_none_or(|before| created <= Timestamp::parse(&second(before)).unwrap())
        };
        let skipped = |(created, id): &&(i64, u32)| match &slice.start {
            None => false,
            Some(start) => {
                let (time, last) = start.split_once('/').unwrap();
                (*created, *id) >= (time.parse().unwrap(), last.parse().unwrap())
            }
        };
        let page: Vec<_> =
            items.iter().rev().filter(is_asked_for).filter(|item| !skipped(item)).take(PAGE).copied().collect();
        let next = page.last().filter(|_| page.len() == PAGE).map(|(created, id)| format!("{created}/{id}"));
        (page, next)
    }

    /// Reads everything as the engine does, `workers` requests at a time; returns how often each item
    /// came, the number of requests, and how long it took in rounds.
    fn read(items: &[(i64, u32)], after: Option<Timestamp>, workers: usize) -> (HashMap<u32, u32>, usize, usize) {
        let whole = Slice { after, ..Slice::whole("all") };
        let mut queue = VecDeque::from([(whole, Pace::default(), 0.0)]);
        let (mut seen, mut requests, mut rounds, mut budget) = (HashMap::new(), 0, 0, Budget::new(workers));
        while !queue.is_empty() {
            let at_once: Vec<(Slice, Pace, f64)> = queue.drain(..queue.len().min(workers)).collect();
            rounds += 1;
            requests += at_once.len();
            let mut idle = workers - at_once.len();
            let mut open = at_once.len() + queue.len();
            let largest = at_once.iter().chain(&queue).map(|(_, _, left)| *left).fold(0.0, f64::max);
            for (slice, pace, _) in at_once {
                let (page, next) = serve(items, &slice);
                let kept: Vec<_> =
                    page.iter().filter(|(created, _)| slice.takes(Timestamp::from_micros(*created))).collect();
                kept.iter().for_each(|(_, id)| *seen.entry(*id).or_default() += 1);
                let Some(rest) = slice.rest(next) else {
                    open -= 1;
                    budget.note_last_page(kept.len() as f64 / PAGE as f64);
                    continue;
                };
                let at = |index: usize| Timestamp::from_micros(page[index].0);
                let page_seen = Seen { oldest: at(page.len() - 1), newest: at(0), items: kept.len() };
                let pace = pace.after_page(&page_seen);
                let left = pace.pages_left(&rest, page_seen.oldest);
                let is_wanted = idle > 0 && budget.allows(open) && is_worth_cutting(left, largest);
                match cut(&rest, page_seen.oldest).filter(|_| is_wanted) {
                    Some((newer, older)) => {
                        (idle, open) = (idle - 1, open + 1);
                        queue.push_front((older, pace.inherited(), left / 2.0));
                        queue.push_front((newer, pace.inherited(), left / 2.0));
                    }
                    None => queue.push_front((rest, pace, left)),
                }
            }
        }
        (seen, requests, rounds)
    }

    /// Creation times in clusters: spread evenly, in bursts of one millisecond, with empty years between.
    fn histories() -> impl Strategy<Value = Vec<(i64, u32)>> {
        let cluster = (0_i64..200_000_000, 0_i64..3_000_000, 0_usize..1_500, any::<bool>());
        proptest::collection::vec(cluster, 0..6).prop_map(|clusters| {
            let mut times: Vec<i64> = Vec::new();
            for (begins, length, count, is_burst) in clusters {
                for index in 0..count as i64 {
                    let offset = if is_burst { index % 1000 } else { index * length.max(1) * SECOND / count as i64 };
                    times.push(BEGINNING.as_micros() + begins * SECOND + offset);
                }
            }
            times.sort_unstable();
            times.into_iter().zip(0..).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
        #[test]
        fn every_item_comes_once_and_requests_stay_few(items in histories(), workers in 1_usize..16, bounded in any::<bool>()) {
            let after = bounded.then(|| Timestamp::from_micros(BEGINNING.as_micros() + 50_000_000 * SECOND));
            let expected: BTreeMap<u32, u32> = items.iter()
                .filter(|(created, _)| after.is_none_or(|after| *created >= after.as_micros()))
                .map(|(_, id)| (*id, 1)).collect();
            let (seen, requests, _) = read(&items, after, workers);
            prop_assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), expected.clone());
            prop_assert!(requests <= expected.len() / PAGE + 4 * workers, "{} requests for {}", requests, expected.len());
        }
    }

    #[test]
    fn an_even_history_is_shared_by_all_workers() {
        let items: Vec<(i64, u32)> =
            (0..40_000).map(|n| (BEGINNING.as_micros() + i64::from(n) * 5000 * SECOND, n)).collect();
        let (seen, requests, rounds) = read(&items, Some(BEGINNING), 10);
        assert_eq!(seen.len(), items.len());
        assert!(requests <= 400 + 40, "{requests} requests");
        assert!(rounds <= 55, "{rounds} rounds where 40 are ideal");
        let (_, requests, _) = read(&items, Some(BEGINNING), 1);
        assert_eq!(requests, 401, "one worker alone cuts nothing");
    }

    #[test]
    fn the_pieces_of_a_cut_touch_and_do_not_overlap() {
        let at = |second: i64| Timestamp::from_micros(BEGINNING.as_micros() + second * SECOND);
        let rest = Slice { after: Some(at(0)), start: Some("x".into()), ..Slice::whole("a") };
        let (newer, older) = cut(&rest, at(1000)).unwrap();
        assert_eq!((newer.after, newer.before, newer.start.as_deref()), (older.before, None, Some("x")));
        assert_eq!((older.after, older.start), (Some(at(0)), None));
        assert_eq!(newer.after, Some(at(517)));
        assert!(cut(&rest, at(1)).is_none(), "there is no whole second in between");
    }

    #[test]
    fn what_is_nearly_read_is_not_cut() {
        let at = |second: i64| Timestamp::from_micros(BEGINNING.as_micros() + second * SECOND);
        let rest = Slice { after: Some(at(0)), ..Slice::whole("a") };
        let pace = Pace::default().after_page(&Seen { oldest: at(100), newest: at(200), items: 100 });
        assert_eq!(pace.pages_left(&rest, at(100)), 1.0);
        // A burst of one page does not make the rest look huge.
        let pace = pace.after_page(&Seen { oldest: at(100), newest: at(101), items: 100 });
        assert!(pace.pages_left(&rest, at(100)) < LEAST_PAGES);
        assert!(!is_worth_cutting(2.0, 2.0) && is_worth_cutting(3.0, 3.0) && !is_worth_cutting(4.0, 10.0));
    }
}
