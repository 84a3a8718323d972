//! In which order calls are begun that came faster than they can be, and which of them no more.
//!
//! Usually the first to come is the first to begin. Once there was always something waiting for [`STANDING`],
//! more comes than can be done, and the order turns: the newest begins first. In the order of arrival each call
//! would have waited for as long as the queue is, and the work would go into calls of which many are given up
//! by then. So most calls that begin are quick, and it is the others that are refused, after [`AGED`] at
//! the latest (Maurer: Fail at Scale, ACM Queue 13/8, 2015, "adaptive LIFO").

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// After so long without a moment in which nothing waits, the newest goes first.
const STANDING: Duration = Duration::from_millis(100);
/// What has waited for so long then is not begun any more. Long enough for a burst to be worked off; who waits for less
/// time than this has a deadline that says so.
const AGED: Duration = Duration::from_secs(2);

/// What waits to be begun. It is bounded by who adds to it.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    queue: VecDeque<(Instant, T)>,
    /// Since when there was always something in it, if there is.
    since: Option<Instant>,
}

/// What is to be done with something that waited.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Begin(T),
    /// It waited for too long.
    Refuse(T),
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            since: None,
        }
    }
}

impl<T> Waiting<T> {
    /// Adds what came at `now`.
    pub(super) fn push(&mut self, item: T, now: Instant) {
        self.since.get_or_insert(now);
        self.queue.push_back((now, item));
    }

    /// Takes what is to be begun, or refused, next, and says when it came.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Instant, Next<T>)> {
        let standing = self.since.is_some_and(|since| now >= since + STANDING);
        let next = if !standing {
            let (since, item) = self.queue.pop_front()?;
            (since, Next::Begin(item))
        } else if self.queue.len() > 1 && self.queue.front()?.0 + AGED <= now {
            let (since, item) = self.queue.pop_front()?;
            (since, Next::Refuse(item))
        } else {
            // However late it is, something is always begun.
            let (since, item) = self.queue.pop_back()?;
            (since, Next::Begin(item))
        };
        if self.queue.is_empty() {
            self.since = None;
        }
        Some(next)
    }

    /// Takes all that waits, in the order in which it came.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        let all = std::mem::take(self);
        all.queue.into_iter().map(|(_, item)| item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests;
