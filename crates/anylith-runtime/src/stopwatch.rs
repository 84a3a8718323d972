//! For how long the code of each component is polled, found out from a part of all polls.
//!
//! One poll in [`EVERY`] that comes from outside of all components is timed, with all that it polls in turn: whenever one component
//! calls another or returns, the time since the last such moment goes to the one that ran. It counts [`EVERY`] times. All
//! other polls pay for the question whether they are timed.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

use crate::place::Place;

/// One poll in so many is timed, on average: after one as many are left out as a draw says.
const EVERY: u32 = 32;
/// Of a poll that is being timed.
const TIMED: u32 = 0;

thread_local! {
    /// How many polls from outside come before the next one that is timed; [`TIMED`] while one is.
    static AHEAD: Cell<u32> = const { Cell::new(EVERY / 2) };
    /// Since when what runs now does, where that is timed.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What is drawn from.
    static SEED: Cell<u32> = const { Cell::new(1) };
}

/// Whether anybody in this process wants to know.
static WANTED: AtomicBool = AtomicBool::new(false);

/// From now on polls are timed.
pub(crate) fn want() {
    WANTED.store(true, Relaxed);
}

/// Runs `poll`, which leads from the code of `from` into that of `to`.
#[inline]
pub(crate) fn timing<T>(from: &'static Place, to: &'static Place, poll: impl FnOnce() -> T) -> T {
    let ahead = AHEAD.get();
    if ahead > 1 {
        if from.is_outside() {
            AHEAD.set(ahead - 1);
        }
        return poll();
    }
    rarely(ahead, from, to, poll)
}

#[cold]
#[inline(never)]
fn rarely<T>(ahead: u32, from: &'static Place, to: &'static Place, poll: impl FnOnce() -> T) -> T {
    match (ahead, from.is_outside()) {
        (TIMED, _) => {
            let _back = Crossing::into(from, to);
            poll()
        }
        // The next one from outside is timed, and this one is within another.
        (_, false) => poll(),
        (_, true) if !WANTED.load(Relaxed) => {
            AHEAD.set(EVERY);
            poll()
        }
        (_, true) => {
            let _end = Timed;
            AHEAD.set(TIMED);
            let _back = Crossing::into(from, to);
            poll()
        }
    }
}

/// A poll from outside is being timed until this is dropped.
struct Timed;

impl Drop for Timed {
    fn drop(&mut self) {
        // A linear congruential generator with the constants of Numerical Recipes; its high bits are the better ones.
        let seed = SEED.get();
        let seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        SEED.set(seed);
        // From 1 to 2 · EVERY - 1, all alike.
        AHEAD.set(1 + seed / (u32::MAX / (2 * EVERY - 1) + 1));
        SINCE.set(None);
    }
}

/// The code of one component runs within that of another until this is dropped.
struct Crossing {
    from: &'static Place,
    to: &'static Place,
}

impl Crossing {
    fn into(from: &'static Place, to: &'static Place) -> Self {
        ran(from);
        Self { from, to }
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        ran(self.to);
        if self.from.is_outside() {
            SINCE.set(None);
        }
    }
}

/// The code of `place` ran up to now.
fn ran(place: &'static Place) {
    let now = now();
    if let Some(since) = SINCE.replace(Some(now))
        && !place.is_outside()
    {
        place.was_busy(now.saturating_duration_since(since) * EVERY);
    }
}

#[cfg(not(test))]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
use tests::now;

#[cfg(test)]
mod tests {
    use std::{sync::LazyLock, time::Duration};

    use super::*;

    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

    thread_local! {
        static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(super) fn now() -> Instant {
        *BEGIN + PASSED.get()
    }

    /// Computes for as long.
    fn work(length: Duration) {
        PASSED.set(PASSED.get() + length);
    }

    #[test]
    fn each_component_is_told_what_it_ran_itself_and_not_what_it_called() {
        const POLLS: u32 = 100_000;
        want();
        let (outer, inner) = (Place::of("stopwatch-outer"), Place::of("stopwatch-inner"));
        let unit = Duration::from_micros(20);
        for _ in 0..POLLS {
            timing(Place::outside(), outer, || {
                work(unit);
                timing(outer, inner, || work(3 * unit));
                work(unit);
            });
            work(unit);
        }
        // Each poll that is timed is like all others, so the one has its exact share of what is found of both; and what is
        // found is as much as the draws make it, within some hundredths.
        assert_eq!(inner.busy() * 2, outer.busy() * 3);
        let found = (inner.busy() + outer.busy()).as_secs_f64() / (5 * unit * POLLS).as_secs_f64();
        assert!((0.9..1.1).contains(&found), "{found} of what ran");
    }

    #[test]
    fn a_panic_in_a_timed_poll_leaves_the_stopwatch_as_it_was() {
        want();
        let place = Place::of("stopwatch-panics");
        for _ in 0..4 * EVERY {
            let panicked = std::panic::catch_unwind(|| {
                timing(Place::outside(), place, || -> () {
                    std::panic::resume_unwind(Box::new("no"))
                });
            });
            assert!(panicked.is_err());
            assert_ne!(AHEAD.get(), TIMED);
            assert_eq!(SINCE.get(), None);
        }
    }
}
