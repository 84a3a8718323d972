//! A small number for each thread that lives, so that what it counts has a place of its own.
//!
//! A number is given out again once its thread is over. Who gets it then has all of the writes of the one before in sight:
//! the lock through which the number goes orders them. So cells under a number are only ever written by one thread at a
//! time, and nothing has to be moved when a thread ends.

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many numbers there are. Threads that get none share the number [`SHARED`].
pub(crate) const NUMBERS: usize = 128;
/// The number of all threads that have none of their own.
pub(crate) const SHARED: usize = 0;
/// A thread that has not counted anything yet. No list is so long.
const UNASKED: usize = usize::MAX;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(UNASKED) };
    /// Gives the number back when the thread is over.
    static HELD: Held = Held(take());
}

/// The numbers that were given out and came back, and the first that was never given out.
static FREE: Mutex<Free> = Mutex::new(Free {
    returned: BTreeSet::new(),
    next: SHARED + 1,
});

struct Free {
    returned: BTreeSet<usize>,
    next: usize,
}

/// The number of this thread; as an index it is out of every list where the thread has not asked [`ask`] yet.
#[inline]
pub(crate) fn number() -> usize {
    NUMBER.get()
}

/// The number of this thread, which gets one if it has none.
#[inline]
pub(crate) fn number_or_ask() -> usize {
    match number() {
        UNASKED => ask(),
        number => number,
    }
}

/// Gives this thread a number.
#[cold]
pub(crate) fn ask() -> usize {
    // A thread that is about to end counts among those that share one.
    let number = HELD.try_with(|held| held.0).unwrap_or(SHARED);
    NUMBER.set(number);
    number
}

struct Held(usize);

impl Drop for Held {
    fn drop(&mut self) {
        // What the thread still counts after this, nobody else may count beside it.
        NUMBER.set(SHARED);
        if self.0 != SHARED {
            free().returned.insert(self.0);
        }
    }
}

fn take() -> usize {
    let mut free = free();
    if let Some(number) = free.returned.pop_first() {
        return number;
    }
    if free.next == NUMBERS {
        return SHARED;
    }
    free.next += 1;
    free.next - 1
}

fn free() -> MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Barrier, thread};

    use super::*;

    #[test]
    fn no_two_threads_have_one_number_at_a_time_and_it_comes_back() {
        let threads = 3 * NUMBERS;
        for _ in 0..3 {
            let all_there = Barrier::new(threads);
            let numbers: Vec<usize> = thread::scope(|scope| {
                let ask = || {
                    let number = ask();
                    all_there.wait();
                    assert_eq!(super::number(), number);
                    number
                };
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let own: Vec<&usize> = numbers.iter().filter(|number| **number != SHARED).collect();
            let different: BTreeSet<&usize> = own.iter().copied().collect();
            assert_eq!(different.len(), own.len(), "{numbers:?}");
            // Other tests of this program have some as well.
            assert!(
                own.len() > NUMBERS / 2,
                "{} have one of their own",
                own.len()
            );
        }
    }
}
