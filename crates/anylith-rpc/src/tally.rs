//! Counts as they are made, from all tasks of a replica.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anylith_core::Counters;

/// One count, that grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Counts one more.
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counts of a replica; see [`Counters`] for what each means.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) retried: Count,
    pub(crate) hedged: Count,
    pub(crate) ejected: Count,
    pub(crate) overloaded: Count,
    pub(crate) withheld: Count,
    pub(crate) expired: Count,
    pub(crate) denied: Count,
    pub(crate) unauthenticated: Count,
    pub(crate) misbehaved: Count,
    pub(crate) crowded: Count,
}

impl Tally {
    /// The counts as they are now.
    pub(crate) fn read(&self) -> Counters {
        Counters {
            retried: self.retried.read(),
            hedged: self.hedged.read(),
            ejected: self.ejected.read(),
            overloaded: self.overloaded.read(),
            withheld: self.withheld.read(),
            expired: self.expired.read(),
            denied: self.denied.read(),
            unauthenticated: self.unauthenticated.read(),
            misbehaved: self.misbehaved.read(),
            crowded: self.crowded.read(),
            // Counted where components are polled, which is not here.
            panicked: 0,
            // Nor here: calls within a process are late, too.
            late: 0,
        }
    }
}
