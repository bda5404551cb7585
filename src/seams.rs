//! The time of day and rare choices: what makes one run differ from the next although everything asked for and
//! everything answered is the same.
//!
//! The product takes the time from the machine and never makes a rare choice. A simulation puts its own in their
//! place, for the thread that it runs in; the network it replaces with an [`crate::api::Exchange`], the generator
//! of random numbers (`fastrand`) and the clock of waits (tokio) it seeds and pauses themselves.

use std::cell::Cell;

use chrono::{DateTime, Utc};

/// What a simulation puts in the place of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Simulated {
    /// What this machine's clock says.
    pub now: fn() -> DateTime<Utc>,
    /// Whether to do, this time, what is right but seldom done.
    pub rarely: fn() -> bool,
    /// So much is remembered at most.
    pub memory: usize,
}

thread_local! {
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
}

/// From now on this thread lives in a simulation, or, with `None`, no longer.
pub fn simulate(simulated: Option<Simulated>) {
    SIMULATED.set(simulated);
}

/// What this machine's clock says. Everything in the crate that is about 100ms or about a state asks here.
pub fn now() -> DateTime<Utc> {
    SIMULATED.get().map_or_else(Utc::now, |simulated| (simulated.now)())
}

/// Whether to do, this time, what is right but seldom done, such as a state after every page. Never true but in a
/// simulation, which makes in this way what otherwise takes a huge workspace or a very slow day.
pub fn rarely() -> bool {
    SIMULATED.get().is_some_and(|simulated| (simulated.rarely)())
}

/// How many things a state remembers: `usual`, or fewer in a simulation, whose worlds are small.
pub fn memory(usual: usize) -> usize {
    SIMULATED.get().map_or(usual, |simulated| simulated.memory.min(usual))
}
