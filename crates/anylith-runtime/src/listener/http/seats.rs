//! The places of a listener's connections, and who gives his up for somebody new when all are taken.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::line::{Line, Quiet};

/// The most connections that are asked to leave at once, so that somebody who comes with many others is not let in one by one.
const AT_ONCE: usize = 32;

/// The places of a listener's connections.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    all: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// The number that the next one gets.
    next: u64,
    lines: BTreeMap<u64, Arc<Line>>,
}

impl Seats {
    pub(super) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(all)),
            all,
            taken: Mutex::default(),
        })
    }

    /// How many there are, taken or not.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.seat(permit))
    }

    /// The next place that is free.
    ///
    /// # Cancellation
    ///
    /// None is taken.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        self.seat(permit.expect("it is never closed"))
    }

    fn seat(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Seat {
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        Seat {
            number,
            seats: Arc::clone(self),
            _permit: permit,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks those to leave that can be spared most, an eighth of all that can be; returns how many that were. They are
    /// those that owe a request for a while, and then those that have been silent for longest between two. One with a request under way is never
    /// asked.
    pub(super) fn make_room(&self) -> usize {
        let taken = self.taken();
        let quiet = |line: &Arc<Line>| Some((line.quiet()?, Arc::clone(line)));
        let mut quiet: Vec<(Quiet, Arc<Line>)> = taken.lines.values().filter_map(quiet).collect();
        drop(taken);
        quiet.sort_by_key(|(quiet, _)| *quiet);
        let room = (quiet.len() / 8).clamp(1, AT_ONCE);
        let asked = quiet.into_iter().filter(|(_, line)| line.ask_to_leave());
        asked.take(room).count()
    }
}

/// The place of one connection, which is free again once this is dropped.
pub(super) struct Seat {
    number: u64,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// It is the connection with `line` that has it.
    pub(super) fn is_of(&self, line: &Arc<Line>) {
        let line = Arc::clone(line);
        self.seats.taken().lines.insert(self.number, line);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().lines.remove(&self.number);
    }
}
