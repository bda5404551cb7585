//! What a stream has not read yet: slices, in the order they are read, cut and joined as needed.
//!
//! Nothing here waits or asks: the driver takes slices, fetches them, and says what came of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::window::{self, Budget, Pace};
use crate::api::{PAGE_SIZE, Trail};
use crate::seams;
use crate::streams::{Seen, Slice};

/// Pages that hold items outside of their window, before cutting windows is given up.
const STRAY_PAGES: u32 = 2;

/// What a stream has not read yet.
pub struct Backlog {
    /// All that has not been written, in the order it came up.
    pending: BTreeMap<u64, Piece>,
    /// What has been asked for and was refused, as long as it is undecided whether it is a gap. It is not asked for
    /// again, and yet pending in a state.
    held: Vec<Piece>,
    /// The part of `pending` that nobody is fetching.
    queue: VecDeque<u64>,
    next_id: u64,
    workers: usize,
    budget: Budget,
    /// Pages that hold mostly items outside of their window.
    stray_pages: u32,
}

/// A slice, and what is known of it.
struct Piece {
    slice: Slice,
    /// How densely a window is filled.
    pace: Pace,
    /// How many pages it may have left.
    left: f64,
    /// The page tokens it has been read with.
    trail: Trail,
    /// The page that gave rise to this slice, if one did.
    parent: Option<Arc<Slice>>,
}

impl Piece {
    fn new(slice: Slice) -> Self {
        Self { slice, pace: Pace::default(), left: 0.0, trail: Trail::default(), parent: None }
    }
}

/// What is left of a slice after a page of it: its place is taken once the page has been written.
pub struct Replacement {
    replaced: u64,
    /// The page itself.
    single: Option<Slice>,
    pieces: Vec<(u64, Piece)>,
}

impl Replacement {
    /// The slices that follow, the next one to read first.
    pub fn slices(&self) -> impl Iterator<Item = (u64, &Slice)> {
        self.pieces.iter().map(|(id, piece)| (*id, &piece.slice))
    }
}

/// A list has handed out a page token twice: reading on would never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circle;

/// What came of fetching a page: what of a [`crate::streams::Step`] decides how to go on.
#[derive(Debug, Default, Clone)]
pub struct Left {
    /// The rest of the slice.
    pub rest: Option<Slice>,
    /// What the page gave rise to.
    pub children: Vec<Slice>,
    /// What the page tells of its window.
    pub seen: Option<Seen>,
}

impl Backlog {
    /// Begins with `slices`, which `workers` will fetch.
    pub fn new(slices: Vec<Slice>, workers: usize) -> Self {
        let mut backlog = Self {
            pending: BTreeMap::new(),
            held: Vec::new(),
            queue: VecDeque::new(),
            next_id: 0,
            workers,
            budget: Budget::new(workers),
            stray_pages: 0,
        };
        backlog.add(slices);
        backlog
    }

    /// Adds slices that come after all others.
    pub fn add(&mut self, slices: Vec<Slice>) {
        for slice in slices {
            let id = self.number();
            self.pending.insert(id, Piece::new(slice));
            self.queue.push_back(id);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Keeps the page that slice `id` stands at in what is pending, without asking for it again; `rest` is what follows
    /// the page and goes on by itself.
    pub fn hold(&mut self, id: u64, rest: Option<&Slice>) {
        let Some(piece) = self.pending.get(&id) else { return };
        let slice = if rest.is_some() { piece.slice.page_before(rest) } else { piece.slice.clone() };
        if !self.held.iter().any(|held| held.slice == slice) {
            self.held.push(Piece { parent: piece.parent.clone(), ..Piece::new(slice) });
        }
    }

    /// What was held is a gap: it is pending no longer.
    pub fn release(&mut self) {
        self.held.clear();
    }

    /// Whether there is nothing left to ask for.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many slices nobody is fetching.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The next slice to fetch.
    pub fn take(&mut self) -> Option<(u64, Slice)> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(piece) = self.pending.get(&id) {
                return Some((id, piece.slice.clone()));
            }
        }
        None
    }

    /// The slice with this id, as long as it is pending.
    pub fn slice(&self, id: u64) -> Option<&Slice> {
        self.pending.get(&id).map(|piece| &piece.slice)
    }

    /// What takes the place of slice `id` after a page of it. When `idle` workers have nothing to do, the rest of a
    /// window is cut by time, so that they share it, if that pays.
    ///
    /// # Errors
    /// When the list goes round in a circle.
    pub fn replacement(&mut self, id: u64, left: Left, idle: usize) -> Result<Replacement, Circle> {
        let Some(piece) = self.pending.get_mut(&id) else {
            return Ok(Replacement { replaced: id, single: None, pieces: Vec::new() });
        };
        let mut trail = std::mem::take(&mut piece.trail);
        let (pace, parent) = (piece.pace, piece.parent.clone());
        let single = piece.slice.page_before(left.rest.as_ref());
        let page = parent.clone().unwrap_or_else(|| Arc::new(single.clone()));
        // A page that is read again gives rise to slices of its own list, and to no others.
        let child = |slice: Slice| {
            let parent = (slice.list == page.list).then(|| Arc::clone(&page));
            Piece { parent, ..Piece::new(slice) }
        };
        let mut pieces: Vec<Piece> = left.children.into_iter().map(child).collect();
        if let Some(rest) = left.rest {
            if rest.list != page.list {
                // It goes on in another list, whose tokens may be those of this one.
                trail = Trail::default();
            }
            if rest.token.as_deref().is_some_and(|token| !trail.follow(token)) {
                return Err(Circle);
            }
            let rest = Piece { slice: rest, pace, left: 0.0, trail, parent };
            match rest.slice.is_single_page {
                true => pieces.push(rest),
                false => pieces.extend(self.divide(rest, left.seen, idle)),
            }
        } else if parent.is_none() {
            let items = left.seen.map_or(0, |seen| seen.items);
            self.budget.note_last_page(items as f64 / PAGE_SIZE as f64);
        }
        let pieces = pieces.into_iter().map(|piece| (self.number(), piece)).collect();
        Ok(Replacement { replaced: id, single: Some(single), pieces })
    }

    /// Cuts the rest of a window into pieces for itself and `idle` workers, as far as that is wanted and pays.
    fn divide(&mut self, rest: Piece, seen: Option<Seen>, idle: usize) -> Vec<Piece> {
        let Some(seen) = seen else { return vec![rest] };
        self.stray_pages += u32::from(2 * seen.strays > seen.items.max(seen.strays));
        let pace = rest.pace.after_page(&seen);
        let left = pace.pages_left(&rest.slice, seen.oldest);
        let others = || self.pending.values().map(|piece| piece.left);
        let largest = others().fold(0.0, f64::max);
        let all = others().sum::<f64>().max(left);
        let wanted = if self.ignores_windows() { 0 } else { idle.min(self.budget.affordable(self.pending.len())) };
        let cuts = if seams::rarely() && !self.ignores_windows() {
            1
        } else {
            window::worthwhile_cuts(left, largest, all / self.workers as f64).min(wanted)
        };
        let older = window::cut(&rest.slice, seen.oldest, cuts);
        let Some((newer, older)) = older else { return vec![Piece { pace, left, ..rest }] };
        let (pace, left) = (pace.inherited(), left / (older.len() + 1) as f64);
        let newer = Piece { slice: newer, pace, left, ..rest };
        let older = older.into_iter().map(|slice| Piece { pace, left, ..Piece::new(slice) });
        std::iter::once(newer).chain(older).collect()
    }

    /// Whether the server has answered with items outside of their windows: then each window holds the whole list,
    /// and no more are cut.
    pub fn ignores_windows(&self) -> bool {
        self.stray_pages >= STRAY_PAGES
    }

    /// Takes the place of a slice whose page has been written. Its first `begun` slices are being fetched.
    pub fn replace(&mut self, replacement: Replacement, begun: usize) {
        self.pending.remove(&replacement.replaced);
        for (id, _) in replacement.pieces[begun..].iter().rev() {
            self.queue.push_front(*id);
        }
        self.pending.extend(replacement.pieces);
    }

    /// Splits a page off its slice, to be written later; what follows it goes on meanwhile.
    pub fn detach(&mut self, mut replacement: Replacement) {
        let (id, single) = (replacement.replaced, replacement.single.take());
        let page = self.pending.remove(&id);
        self.replace(replacement, 0);
        if let Some((mut piece, single)) = page.zip(single) {
            piece.slice = single;
            piece.left = 0.0;
            self.pending.insert(id, piece);
        }
    }

    /// What is pending, in about `most` bytes of JSON: what pages gave rise to becomes those pages again,
    /// and neighbouring windows are joined. What is joined is read again.
    pub fn slices(&self, most: usize) -> Vec<Slice> {
        let pieces = || self.held.iter().chain(self.pending.values());
        let slices: Vec<Slice> = pieces().map(|piece| piece.slice.clone()).collect();
        if size_of(&slices) <= most {
            return slices;
        }
        let mut slices: Vec<Slice> = Vec::new();
        for piece in pieces() {
            let slice = piece.parent.as_deref().unwrap_or(&piece.slice);
            if !slices.contains(slice) {
                slices.push(slice.clone());
            }
        }
        // By time, so that neighbours stand side by side.
        slices.sort_by_key(|slice| (slice.list.clone(), slice.window().after));
        while size_of(&slices) > most {
            let before = slices.len();
            slices = join_pairs(slices);
            if slices.len() == before {
                break;
            }
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
    let mut joined: Vec<Slice> = Vec::with_capacity(slices.len() / 2 + 1);
    let mut may_join = false;
    for slice in slices {
        match joined.last().and_then(|last| last.joined(&slice)).filter(|_| may_join) {
            Some(both) => {
                joined.pop();
                joined.push(both);
                may_join = false;
            }
            None => {
                joined.push(slice);
                may_join = true;
            }
        }
    }
    joined
}
