//! The slices of a stream that are left to read, and which of them is next. Windows are cut into pieces when workers are
//! idle, and slices are joined when a state would grow too large.
//!
//! Nothing here waits or makes requests: the driver takes slices, fetches their pages, and reports what came of it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use super::window::{self, Pace};
use crate::api::PAGE_SIZE;
use crate::seams;
use crate::streams::{PageOutcome, PageStats, Slice};

/// Pages that hold mostly items outside of their window, before cutting windows is given up.
const STRAY_PAGES: u32 = 2;
/// What cutting may cost: this many requests a worker more than one worker alone would need.
const REQUESTS_PER_WORKER: f64 = 4.0;

/// The slices of a stream that are left to read.
#[derive(Default)]
pub struct Backlog {
    /// All whose rows have not been written, in the order they came up.
    pending: BTreeMap<u64, PendingSlice>,
    /// What was requested and refused, as long as it is undecided whether that is a gap. It is not requested again, and
    /// yet pending in a state.
    held: Vec<PendingSlice>,
    /// Those of `pending` that nobody is fetching.
    queue: VecDeque<u64>,
    last_id: u64,
    workers: usize,
    /// How many more requests cutting may cost.
    ///
    /// A piece costs a request more than its items fill, at most: its last page is not full. What that was is known when
    /// the piece is done; until then a whole request is set aside for it.
    budget: f64,
    stray_pages: u32,
    /// How many slices of one thing have been read.
    done: u64,
}

struct PendingSlice {
    slice: Slice,
    /// How densely a window is filled.
    pace: Pace,
    /// How many pages it may have left.
    pages_left: f64,
    /// The page tokens it has been read with.
    seen_tokens: HashSet<String>,
    /// The page that gave rise to this slice, if one did.
    parent: Option<Arc<Slice>>,
}

impl PendingSlice {
    fn new(slice: Slice, parent: Option<Arc<Slice>>) -> Self {
        Self { slice, pace: Pace::default(), pages_left: 0.0, seen_tokens: HashSet::new(), parent }
    }
}

/// The slices that take the place of another one, once a page of it has been written.
pub struct NextSlices {
    replaced: u64,
    /// The page itself.
    page: Slice,
    pieces: Vec<(u64, PendingSlice)>,
    /// How many of the pieces, from the first on, are being fetched.
    begun: usize,
}

impl NextSlices {
    /// The first `count` slices, to be fetched before the page has been written.
    pub fn begin(&mut self, count: usize) -> impl Iterator<Item = (u64, Slice)> {
        self.begun = count.min(self.pieces.len());
        self.pieces[..self.begun].iter().map(|(id, piece)| (*id, piece.slice.clone()))
    }
}

impl Backlog {
    /// Begins with `slices`, which `workers` will fetch.
    pub fn new(slices: Vec<Slice>, workers: usize) -> Self {
        let mut backlog = Self { workers, budget: REQUESTS_PER_WORKER * workers as f64, ..Self::default() };
        backlog.add(slices);
        backlog
    }

    /// Adds slices that come after all others.
    pub fn add(&mut self, slices: impl IntoIterator<Item = Slice>) {
        for slice in slices {
            let id = self.new_id();
            self.pending.insert(id, PendingSlice::new(slice, None));
            self.queue.push_back(id);
        }
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether there is nothing left to request.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many slices nobody is fetching.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The next slice to fetch.
    pub fn take(&mut self) -> Option<(u64, Slice)> {
        let id = self.queue.pop_front()?;
        Some((id, self.pending.get(&id)?.slice.clone()))
    }

    /// The slices that take the place of slice `id` after a page of it, the next one to read first; `None` when the
    /// list hands out a page token twice, so that reading on would never end. When `idle` workers have nothing to do,
    /// the rest of a window is cut by time, so that they share it, if that pays.
    pub fn next_slices(&mut self, id: u64, outcome: PageOutcome, idle: usize) -> Option<NextSlices> {
        let pending = self.pending.get_mut(&id)?;
        let mut seen_tokens = std::mem::take(&mut pending.seen_tokens);
        let (pace, parent) = (pending.pace, pending.parent.clone());
        let rest = if pending.slice.is_single_page { pending.slice.left_of_page(outcome.rest) } else { outcome.rest };
        let page = pending.slice.page_before(rest.as_ref());
        if outcome.is_undecided {
            self.hold(id, rest.as_ref());
        }
        let origin = parent.clone().unwrap_or_else(|| Arc::new(page.clone()));
        // A page that is read again gives rise to slices of its own list, and to no others.
        let child = |slice: Slice| {
            let parent = (slice.phase == origin.phase).then(|| Arc::clone(&origin));
            PendingSlice::new(slice, parent)
        };
        let mut pieces: Vec<PendingSlice> = outcome.children.into_iter().map(child).collect();
        if let Some(rest) = rest {
            if rest.phase != origin.phase {
                // It continues in another list, whose tokens may be those of this one.
                seen_tokens = HashSet::new();
            }
            if rest.token.as_deref().is_some_and(|token| !seen_tokens.insert(token.to_owned())) {
                return None;
            }
            let rest = PendingSlice { pace, seen_tokens, ..PendingSlice::new(rest, parent) };
            match outcome.seen.filter(|_| !rest.slice.is_single_page) {
                Some(seen) => pieces.extend(self.divide(rest, &seen, idle)),
                None => pieces.push(rest),
            }
        } else if parent.is_none() {
            let items = outcome.seen.map_or(0, |seen| seen.items);
            self.budget -= 1.0 - items as f64 / PAGE_SIZE as f64;
        }
        let pieces = pieces.into_iter().map(|piece| (self.new_id(), piece)).collect();
        Some(NextSlices { replaced: id, page, pieces, begun: 0 })
    }

    /// Keeps the page at which slice `id` stands among what is pending, without requesting it again; `rest` is what
    /// follows the page and is read independently.
    fn hold(&mut self, id: u64, rest: Option<&Slice>) {
        let Some(pending) = self.pending.get(&id) else { return };
        let slice = if rest.is_some() { pending.slice.page_before(rest) } else { pending.slice.clone() };
        if !self.held.iter().any(|held| held.slice == slice) {
            self.held.push(PendingSlice::new(slice, pending.parent.clone()));
        }
    }

    /// What was held is a gap: it is pending no longer.
    pub fn release(&mut self) {
        self.held.clear();
    }

    /// Cuts the rest of a window into pieces for itself and `idle` workers, as far as that is wanted and pays.
    fn divide(&mut self, rest: PendingSlice, seen: &PageStats, idle: usize) -> Vec<PendingSlice> {
        self.stray_pages += u32::from(2 * seen.strays > seen.items.max(seen.strays));
        let pace = rest.pace.after_page(seen);
        let pages_left = pace.pages_left(&rest.slice, seen.oldest);
        let others = || self.pending.values().map(|other| other.pages_left);
        let largest = others().fold(0.0, f64::max);
        let share = others().sum::<f64>().max(pages_left) / self.workers as f64;
        let cuts = if self.ignores_windows() {
            0
        } else if seams::rarely() {
            1
        } else {
            // The next list of the stream will be a piece, too.
            let affordable = self.budget - (self.pending.len() + 1) as f64;
            window::worthwhile_cuts(pages_left, largest, share).min(idle).min(affordable.max(0.0) as usize)
        };
        let Some((newer, older)) = window::cut(&rest.slice, seen.oldest, cuts) else {
            return vec![PendingSlice { pace, pages_left, ..rest }];
        };
        let (pace, pages_left) = (pace.inherited(), pages_left / (older.len() + 1) as f64);
        let newer = PendingSlice { slice: newer, pace, pages_left, ..rest };
        let older = older.into_iter().map(|slice| PendingSlice { pace, pages_left, ..PendingSlice::new(slice, None) });
        std::iter::once(newer).chain(older).collect()
    }

    /// Whether the server has answered with items outside of their windows: then each window holds the whole list,
    /// and no more are cut.
    pub fn ignores_windows(&self) -> bool {
        self.stray_pages >= STRAY_PAGES
    }

    /// Puts `next` in place of the slice whose page has been written.
    pub fn replace(&mut self, next: NextSlices) {
        let is_of_one = self.pending.remove(&next.replaced).is_some_and(|pending| pending.slice.scope.is_one());
        self.done += u64::from(is_of_one && next.pieces.is_empty());
        for (id, _) in next.pieces[next.begun..].iter().rev() {
            self.queue.push_front(*id);
        }
        self.pending.extend(next.pieces);
    }

    /// Puts `next` in place of a slice whose page is written later: until then the page itself stays pending.
    pub fn detach(&mut self, next: NextSlices) {
        let (id, page) = (next.replaced, next.page.clone());
        let parent = self.pending.remove(&id).and_then(|pending| pending.parent);
        self.replace(next);
        self.pending.insert(id, PendingSlice::new(page, parent));
    }

    /// How many of how many things have been read, once the lists of them have been read to their end.
    pub fn share(&self) -> Option<(u64, u64)> {
        let is_known = !self.is_empty() && self.pending.values().all(|pending| pending.slice.scope.is_one());
        is_known.then_some((self.done, self.done + self.pending.len() as u64))
    }

    /// The slices that are left, in about `most` bytes of JSON. Where they are too large, what pages gave rise to
    /// becomes those pages again, and neighbouring windows are joined, to be read again.
    pub fn slices(&self, most: usize) -> Vec<Slice> {
        let all = || self.held.iter().chain(self.pending.values());
        let mut slices: Vec<Slice> = all().map(|pending| pending.slice.clone()).collect();
        if size_of(&slices) <= most {
            return slices;
        }
        slices.clear();
        for pending in all() {
            let slice = pending.parent.as_deref().unwrap_or(&pending.slice);
            if !slices.contains(slice) {
                slices.push(slice.clone());
            }
        }
        // By time, so that neighbours stand side by side.
        slices.sort_by_key(|slice| (slice.phase.clone(), slice.window().after));
        let mut count = usize::MAX;
        while size_of(&slices) > most && slices.len() < count {
            count = slices.len();
            slices = join_pairs(slices);
        }
        slices
    }
}

fn size_of(slices: &[Slice]) -> usize {
    let size = |slice: &Slice| serde_json::to_string(slice).map_or(0, |text| text.len() + 1);
    slices.iter().map(size).sum()
}

/// Joins each two neighbours that can be joined.
fn join_pairs(slices: Vec<Slice>) -> Vec<Slice> {
    let mut joined = Vec::with_capacity(slices.len() / 2 + 1);
    let mut slices = slices.into_iter().peekable();
    while let Some(slice) = slices.next() {
        let both = slices.peek().and_then(|next| slice.joined(next));
        if both.is_some() {
            slices.next();
        }
        joined.push(both.unwrap_or(slice));
    }
    joined
}
