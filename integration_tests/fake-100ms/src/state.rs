//! What the server's connections and the test that owns it share.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::clock::Clock;
use crate::faults::{FaultPlan, FaultSchedule};
use crate::options::Options;
use crate::requests::Journal;
use crate::routes::secrets::Planter;
use crate::tokens::Keyring;
use crate::workspace::Workspace;

/// How much of every kind changes at once while the workspace is being paged.
const SHARE_OF_A_SMALL_ADVANCE: f64 = 0.5;

pub(crate) struct State {
    workspace: RwLock<Workspace>,
    keyring: Mutex<Keyring>,
    faults: Mutex<FaultSchedule>,
    journal: Mutex<Journal>,
    clock: Mutex<Clock>,
    planter: Mutex<Planter>,
    pub(crate) max_page: u32,
    pub(crate) gzip: bool,
    pub(crate) chunked: bool,
    pub(crate) started: Instant,
    served: AtomicU64,
    /// 0 is never.
    advance_every: AtomicU64,
    /// How many seconds each of these rounds takes.
    advance_by: Mutex<RangeInclusive<u64>>,
}

impl State {
    pub(crate) fn new(options: &Options) -> State {
        State {
            workspace: RwLock::new(Workspace::new(options)),
            keyring: Mutex::new(Keyring::new(options.seed)),
            faults: Mutex::new(FaultSchedule::new(FaultPlan::default())),
            journal: Mutex::new(Journal::new(options.log_length)),
            clock: Mutex::default(),
            planter: Mutex::default(),
            max_page: options.max_page,
            gzip: options.gzip,
            chunked: options.chunked,
            started: Instant::now(),
            served: AtomicU64::new(0),
            advance_every: AtomicU64::new(0),
            advance_by: Mutex::new(0..=0),
        }
    }

    // A panic while a lock is held has already failed the test: what it guards is still shown.

    pub(crate) fn workspace(&self) -> RwLockReadGuard<'_, Workspace> {
        self.workspace.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn workspace_mut(&self) -> RwLockWriteGuard<'_, Workspace> {
        self.workspace.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultSchedule> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn planter(&self) -> MutexGuard<'_, Planter> {
        self.planter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a small round every so many requests, each so many seconds long.
    pub(crate) fn advance_during(&self, every_n_requests: u64, seconds: RangeInclusive<u64>) {
        self.advance_every.store(every_n_requests, Ordering::Relaxed);
        *self.advance_by.lock().unwrap_or_else(PoisonError::into_inner) = seconds;
    }

    /// One more request was served: the workspace may change by itself.
    pub(crate) fn count_served(&self) {
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let every = self.advance_every.load(Ordering::Relaxed);
        if every > 0 && served.is_multiple_of(every) {
            let seconds = self.advance_by.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.workspace_mut().advance_small(SHARE_OF_A_SMALL_ADVANCE, seconds);
        }
    }
}
