//! Cutting a window of time, so that idle workers share a long history.
//!
//! ```text
//!   after            cut        oldest seen          newest seen
//!     [   older piece   )[   rest of the newer piece   |  page  ]
//! ```
//!
//! A list is newest first, so after a full page what is left lies before the oldest item seen. The newer
//! piece goes on with the page token and `after = cut`; the older one, `[after, cut)`, becomes a slice of
//! its own. The order only decides *where* to cut: were the list in another order, the pieces would hold
//! the same items, at worst some of them twice.

use crate::seams;
use crate::streams::{PageStats, Scope, Slice, Timestamp, Window};

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

/// How densely a piece is filled: its last few pages. One page alone would be misled by a moment's burst,
/// all of them would not see a long one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    pages: f64,
    micros: f64,
}

impl Pace {
    /// The pace after another page.
    pub fn after_page(self, seen: &PageStats) -> Self {
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

/// How often a piece with `left` pages is worth cutting, when the largest piece has `largest` and each worker's
/// share of all pages is `share`: into pieces of that share, so that all workers begin soon. An idle worker
/// should get a large piece, or it is idle again at once.
pub fn worthwhile_cuts(left: f64, largest: f64, share: f64) -> usize {
    if left < LEAST_PAGES || left < largest / 2.0 {
        return 0;
    }
    let pieces = (left / (LEAST_PAGES / 2.0).max(share)) as usize;
    pieces.saturating_sub(1).max(1)
}

/// Cuts `rest` at `cuts` moments that are evenly spread over the time that is left: the newest piece, which goes
/// on with the page token, and the older ones, newest first. Nothing when there is no place to cut.
pub fn cut(rest: &Slice, oldest: Timestamp, cuts: usize) -> Option<(Slice, Vec<Slice>)> {
    let window = rest.window();
    let after = begins(rest);
    let oldest = window.before.map_or(oldest, |before| before.min(oldest)).as_micros();
    let mut older = Vec::with_capacity(cuts);
    let mut before = oldest;
    for cut in (1..=cuts as i64).rev() {
        let Some(at) = place(after, after + (oldest - after) / (cuts as i64 + 1) * cut, before) else { continue };
        older.push(Timestamp::from_micros(at));
        before = at;
    }
    let newest = *older.first()?;
    let ends = older.iter().skip(1).copied().map(Some).chain([window.after]);
    let older = older.iter().zip(ends).map(|(before, after)| {
        let scope = Scope::Window(Window { after, before: Some(*before) });
        Slice { scope, token: None, ..rest.clone() }
    });
    let newer = Slice { scope: Scope::Window(Window { after: Some(newest), ..window }), ..rest.clone() };
    Some((newer, older.collect()))
}

/// A place to cut near `wanted` and between the bounds. Whole seconds, because it is not documented how exactly
/// the API compares.
fn place(after: i64, wanted: i64, before: i64) -> Option<i64> {
    let off_round = wanted.div_euclid(MINUTE) * MINUTE + OFF_ROUND;
    let whole = wanted.div_euclid(SECOND) * SECOND;
    if seams::rarely() {
        let anywhere = fastrand::i64(after..before.max(after + 1));
        let at = if fastrand::bool() { anywhere } else { before }.div_euclid(SECOND) * SECOND;
        return Some(at).filter(|at| after < *at);
    }
    [off_round, whole].into_iter().find(|at| after < *at && *at < before)
}

fn begins(slice: &Slice) -> i64 {
    slice.window().after.unwrap_or(BEGINNING).as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(BEGINNING.as_micros() + second * SECOND)
    }

    fn seen(oldest: i64, newest: i64) -> PageStats {
        PageStats { oldest: at(oldest), newest: at(newest), items: 100, strays: 0 }
    }

    #[test]
    fn the_pieces_of_a_cut_touch_and_do_not_overlap() {
        let rest = Slice { token: Some("x".into()), ..Slice::since("a", at(0)) };
        let (newer, older) = cut(&rest, at(1000), 1).unwrap();
        assert_eq!((newer.window().before, newer.token.as_deref()), (None, Some("x")));
        assert_eq!((older[0].window().after, &older[0].token), (Some(at(0)), &None));
        assert_eq!((newer.window().after, older[0].window().before), (Some(at(517)), Some(at(517))));
        assert!(cut(&rest, at(1), 1).is_none(), "there is no whole second in between");
        let (newer, older) = cut(&rest, at(1000), 3).unwrap();
        let bounds: Vec<_> = older.iter().map(|slice| (slice.window().after, slice.window().before)).collect();
        let (first, second, third) = (Some(at(757)), Some(at(517)), Some(at(277)));
        assert_eq!(newer.window().after, first);
        assert_eq!(bounds, [(second, first), (third, second), (Some(at(0)), third)]);
        let (_, older) = cut(&rest, at(3), 3).unwrap();
        assert_eq!(older.len(), 2, "there are two whole seconds in between");
    }

    #[test]
    fn what_is_nearly_read_is_not_cut() {
        let rest = Slice::since("a", at(0));
        let pace = Pace::default().after_page(&seen(100, 200));
        assert_eq!(pace.pages_left(&rest, at(100)), 1.0);
        // A burst of one page does not make the rest look huge.
        let pace = pace.after_page(&seen(100, 101));
        assert!(pace.pages_left(&rest, at(100)) < LEAST_PAGES);
        assert_eq!([1.0, 3.0, 4.5, 1e9].map(|left| worthwhile_cuts(left, left, 0.0)), [0, 1, 2, 666_666_665]);
        assert_eq!(worthwhile_cuts(40.0, 100.0, 10.0), 0, "another piece is larger");
        assert_eq!(worthwhile_cuts(100.0, 100.0, 10.0), 9, "each of ten workers gets its share");
        assert_eq!(worthwhile_cuts(30.0, 30.0, 20.0), 1, "a share is a piece and not an end of cutting");
    }
}
