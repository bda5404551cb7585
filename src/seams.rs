//! What every module may use: the time of day and rare choices, which a simulation replaces, and the one way to take
//! a lock.
//!
//! The product takes the time from the machine and never makes a rare choice. A simulation replaces both, for the
//! thread that it runs in. It replaces the network with its own [`crate::api::Exchange`]; it seeds the generator of
//! random numbers (`fastrand`) and pauses the clock of waits (tokio) by their own means.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// What a simulation puts in the place of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Simulated {
    /// The time on this machine's clock.
    pub now: fn() -> DateTime<Utc>,
    /// Whether to make the rare choice this time.
    pub rarely: fn() -> bool,
    /// How many things a state remembers at most.
    pub memory: usize,
}

thread_local! {
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
}

/// Begins a simulation on this thread, or ends it with `None`.
pub fn simulate(simulated: Option<Simulated>) {
    SIMULATED.set(simulated);
}

/// The time on this machine's clock, for everything that is about 100ms or about a state.
pub fn now() -> DateTime<Utc> {
    SIMULATED.get().map_or_else(Utc::now, |simulated| (simulated.now)())
}

/// Whether to make a choice that is right but rare, such as a state after every page. Always false outside of a
/// simulation, which makes in this way what otherwise takes a huge workspace or a very slow day.
pub fn rarely() -> bool {
    SIMULATED.get().is_some_and(|simulated| (simulated.rarely)())
}

/// How many things a state remembers: `usual`, or fewer in a simulation, whose workspaces are small.
pub fn memory(usual: usize) -> usize {
    SIMULATED.get().map_or(usual, |simulated| simulated.memory.min(usual))
}

/// Takes a lock, whether or not a thread has panicked while it held it: a stream whose task panics must not take the
/// others with it.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
