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

use crate::streams::{Slice, Timestamp};

/// 2020-01-01: there was no 100ms before. Only a place to begin cutting; nothing is left out.
const BEGINNING: Timestamp = Timestamp::from_micros(1_577_836_800_000_000);
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Cuts are made at this second of a minute: jobs and meetings begin at round times, and items created
/// in the very second of a cut are asked for twice.
const OFF_ROUND: i64 = 37 * SECOND;

/// How many cuts a stream may make: each costs at most one request more than a single worker needs.
pub fn cuts_allowed(workers: usize) -> usize {
    (4 * workers).saturating_sub(2) * usize::from(workers > 1)
}

/// Cuts `rest` in two, given the creation times on the page before it, or says that it is not worth it.
pub fn cut(rest: &Slice, (oldest, newest): (Timestamp, Timestamp)) -> Option<(Slice, Slice)> {
    let after = rest.after.unwrap_or(BEGINNING).as_micros();
    let (left, seen) = (oldest.as_micros() - after, newest.as_micros() - oldest.as_micros());
    // At the pace of this page, less than two pages are left.
    if left < 2 * seen.max(SECOND) {
        return None;
    }
    let middle = after + left / 2;
    let off_round = middle.div_euclid(MINUTE) * MINUTE + OFF_ROUND;
    let whole = middle.div_euclid(SECOND) * SECOND;
    // Whole seconds, because it is not documented how exactly the API compares.
    let mid = [off_round, whole].into_iter().find(|mid| after < *mid && *mid < oldest.as_micros())?;
    let mid = Timestamp::from_micros(mid);
    let newer = Slice { after: Some(mid), ..rest.clone() };
    let older = Slice { before: Some(mid), start: None, ..rest.clone() };
    Some((newer, older))
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
    /// came, and the number of requests.
    fn read(items: &[(i64, u32)], after: Option<Timestamp>, workers: usize) -> (HashMap<u32, u32>, usize) {
        let mut queue = VecDeque::from([Slice { after, ..Slice::whole("all") }]);
        let (mut seen, mut requests, mut cuts) = (HashMap::new(), 0, cuts_allowed(workers));
        while !queue.is_empty() {
            let at_once: Vec<Slice> = queue.drain(..queue.len().min(workers)).collect();
            let mut idle = workers - at_once.len();
            requests += at_once.len();
            for slice in at_once {
                let (page, next) = serve(items, &slice);
                for (created, id) in &page {
                    if slice.takes(Timestamp::from_micros(*created)) {
                        *seen.entry(*id).or_default() += 1;
                    }
                }
                let Some(rest) = slice.rest(next) else { continue };
                let span = (Timestamp::from_micros(page[page.len() - 1].0), Timestamp::from_micros(page[0].0));
                match cut(&rest, span).filter(|_| idle > 0 && cuts > 0) {
                    Some((newer, older)) => {
                        idle -= 1;
                        cuts -= 1;
                        queue.push_front(older);
                        queue.push_front(newer);
                    }
                    None => queue.push_front(rest),
                }
            }
        }
        (seen, requests)
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
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn every_item_comes_once_and_requests_stay_few(items in histories(), workers in 1_usize..16, bounded in any::<bool>()) {
            let after = bounded.then(|| Timestamp::from_micros(BEGINNING.as_micros() + 50_000_000 * SECOND));
            let expected: BTreeMap<u32, u32> = items.iter()
                .filter(|(created, _)| after.is_none_or(|after| *created >= after.as_micros()))
                .map(|(_, id)| (*id, 1)).collect();
            let (seen, requests) = read(&items, after, workers);
            prop_assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), expected.clone());
            prop_assert!(requests <= expected.len() / PAGE + 4 * workers, "{} requests for {}", requests, expected.len());
        }
    }

    #[test]
    fn an_even_history_is_shared_by_all_workers() {
        let items: Vec<(i64, u32)> =
            (0..20_000).map(|n| (BEGINNING.as_micros() + i64::from(n) * 5000 * SECOND, n)).collect();
        let rounds = |workers| {
            // With one request at a time per worker, rounds are requests over workers, if none is idle.
            let (seen, requests) = read(&items, Some(BEGINNING), workers);
            assert_eq!(seen.len(), items.len());
            requests
        };
        assert!(rounds(10) <= 200 + 40);
        assert_eq!(rounds(1), 201);
    }

    #[test]
    fn what_is_nearly_read_is_not_cut() {
        let at = |second: i64| Timestamp::from_micros(BEGINNING.as_micros() + second * SECOND);
        let rest = Slice { after: Some(at(0)), start: Some("x".into()), ..Slice::whole("a") };
        assert!(cut(&rest, (at(100), at(200))).is_none());
        let (newer, older) = cut(&rest, (at(1000), at(1010))).unwrap();
        assert_eq!((newer.after, newer.before, newer.start.as_deref()), (older.before, None, Some("x")));
        assert_eq!((older.after, older.start), (Some(at(0)), None));
        assert_eq!(newer.after, Some(at(517)));
    }
}
