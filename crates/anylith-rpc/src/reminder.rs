//! What is worth a line in the log, and not one each time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How often the same is written to the log, at most.
const AGAIN: Duration = Duration::from_secs(60);

/// Counts what happens often, and says once a minute that it is to be told. Without a lock, since what happens often
/// is to be cheap.
#[derive(Debug)]
pub struct Reminder {
    made: Instant,
    /// From when on it is told again, in milliseconds after `made`.
    due_ms: AtomicU64,
    untold: AtomicU64,
}

impl Default for Reminder {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

impl Reminder {
    /// One to which nothing has happened before `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            made: now,
            due_ms: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        }
    }

    /// Whether it would be told at `now` if it happened again.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.ms_at(now) >= self.due_ms.load(Relaxed)
    }

    fn ms_at(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.made).as_millis() as u64
    }

    /// Counts that it has happened once more, at `now`. Returns how often it has since it was told last, if it is to be
    /// told now.
    pub fn happened(&self, now: Instant) -> Option<u64> {
        self.untold.fetch_add(1, Relaxed);
        let now_ms = self.ms_at(now);
        let due_ms = self.due_ms.load(Relaxed);
        if now_ms < due_ms {
            return None;
        }
        let next_ms = now_ms + AGAIN.as_millis() as u64;
        // Of several who find it due at the same time one tells it.
        let mine = self
            .due_ms
            .compare_exchange(due_ms, next_ms, Relaxed, Relaxed);
        mine.is_ok().then(|| self.untold.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_once_a_minute_with_its_number() {
        let reminder = Reminder::default();
        let first = Instant::now();
        assert_eq!(reminder.happened(first), Some(1));
        for seconds in 0..59 {
            assert_eq!(
                reminder.happened(first + Duration::from_secs(seconds)),
                None
            );
        }
        assert_eq!(reminder.happened(first + AGAIN), Some(60));
        assert_eq!(reminder.happened(first + AGAIN), None);
    }
}
