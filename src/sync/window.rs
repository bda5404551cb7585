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

use crate::streams::{Scope, Seen, Slice, Timestamp, Window};

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
    let window = rest.window();
    let after = begins(rest);
    let oldest = window.before.map_or(oldest, |before| before.min(oldest)).as_micros();
    let middle = after + (oldest - after) / 2;
    let off_round = middle.div_euclid(MINUTE) * MINUTE + OFF_ROUND;
    let whole = middle.div_euclid(SECOND) * SECOND;
    // Whole seconds, because it is not documented how exactly the API compares.
    let mid = [off_round, whole].into_iter().find(|mid| after < *mid && *mid < oldest)?;
    let mid = Some(Timestamp::from_micros(mid));
    let newer = Slice { scope: Scope::Window(Window { after: mid, ..window }), ..rest.clone() };
    let older = Slice { scope: Scope::Window(Window { before: mid, ..window }), token: None, ..rest.clone() };
    Some((newer, older))
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

    fn seen(oldest: i64, newest: i64) -> Seen {
        Seen { oldest: at(oldest), newest: at(newest), items: 100, strays: 0 }
    }

    #[test]
    fn the_pieces_of_a_cut_touch_and_do_not_overlap() {
        let rest = Slice { token: Some("x".into()), ..Slice::since("a", at(0)) };
        let (newer, older) = cut(&rest, at(1000)).unwrap();
        assert_eq!((newer.window().before, newer.token.as_deref()), (None, Some("x")));
        assert_eq!((older.window().after, &older.token), (Some(at(0)), &None));
        assert_eq!((newer.window().after, older.window().before), (Some(at(517)), Some(at(517))));
        assert!(cut(&rest, at(1)).is_none(), "there is no whole second in between");
    }

    #[test]
    fn what_is_nearly_read_is_not_cut() {
        let rest = Slice::since("a", at(0));
        let pace = Pace::default().after_page(&seen(100, 200));
        assert_eq!(pace.pages_left(&rest, at(100)), 1.0);
        // A burst of one page does not make the rest look huge.
        let pace = pace.after_page(&seen(100, 101));
        assert!(pace.pages_left(&rest, at(100)) < LEAST_PAGES);
        assert!(!is_worth_cutting(2.0, 2.0) && is_worth_cutting(3.0, 3.0) && !is_worth_cutting(4.0, 10.0));
    }
}
