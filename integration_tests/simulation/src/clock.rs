//! The clocks of a simulation: the true time, which tokio's paused clock drives, and this machine's, which may be
//! wrong; and the rare choices of our own code.

use std::cell::RefCell;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use source_100ms::seams::{Simulated, simulate};
use tokio::time::Instant;

use crate::plan::{self, Sync};

struct Clock {
    /// The true time when the sync began,
    at: DateTime<Utc>,
    /// and tokio's.
    began: Instant,
    /// How far this machine's clock is ahead,
    ahead: TimeDelta,
    /// and how many milliseconds more for each second that goes by.
    drift: i32,
    chance: Rng,
    /// How likely a rare choice is.
    rare: f64,
}

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// A sync begins at this time, with so many things remembered. Call it inside of the runtime.
pub fn begin(at: DateTime<Utc>, sync: &Sync, memory: usize) {
    let &Sync { seed, rare, clock: plan::Clock { ahead, drift, .. }, .. } = sync;
    fastrand::seed(seed);
    let chance = Rng::with_seed(seed);
    CLOCK.set(Some(Clock { at, began: Instant::now(), ahead, drift, chance, rare }));
    let rarely = || with(|clock| clock.rare > 0.0 && clock.chance.f64() < clock.rare);
    simulate(Some(Simulated { now: || with(|clock| clock.now() + clock.error()), rarely, memory }));
}

/// The true time.
pub fn now() -> DateTime<Utc> {
    with(|clock| clock.now())
}

/// This machine's clock is set.
pub fn jump(by: TimeDelta) {
    with(|clock| clock.ahead += by);
}

impl Clock {
    fn now(&self) -> DateTime<Utc> {
        self.at + TimeDelta::from_std(self.began.elapsed()).unwrap_or_default()
    }

    fn error(&self) -> TimeDelta {
        self.ahead + TimeDelta::milliseconds(i64::from(self.drift) * self.began.elapsed().as_secs() as i64)
    }
}

fn with<R>(look: impl FnOnce(&mut Clock) -> R) -> R {
    CLOCK.with_borrow_mut(|clock| look(clock.as_mut().expect("a sync is under way")))
}
