//! How many calls of a component have ended, and how long they took: a small histogram, kept only while somebody asks.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// So many parts has each doubling of time: what is said is at most an eighth off.
const PARTS: u64 = 8;
/// From 8 µs to more than an hour, doubling by doubling, and the single microseconds below.
const BUCKETS: usize = 256;

/// Counts calls by how long they took.
pub(crate) struct Meter {
    on: AtomicBool,
    ended: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

/// What has ended since somebody took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ended {
    pub(crate) calls: u64,
    /// 99 of 100 took no longer, in microseconds.
    pub(crate) p99_us: Option<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            ended: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Meter {
    /// Begins to measure, or ceases.
    pub(crate) fn turn(&self, on: bool) {
        self.on.store(on, Relaxed);
    }

    /// When a call begins; `None` if it is not to be measured.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Instant> {
        self.on.load(Relaxed).then(Instant::now)
    }

    /// A call has ended that took so long.
    pub(crate) fn end(&self, took: Duration) {
        self.ended.fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(1, Relaxed);
    }

    /// What has ended since this was last asked.
    pub(crate) fn take(&self) -> Ended {
        let calls = self.ended.swap(0, Relaxed);
        let counts: Vec<u32> = self
            .buckets
            .iter()
            .map(|bucket| bucket.swap(0, Relaxed))
            .collect();
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        // The slowest hundredth, rounded down, may take longer.
        let within = all - all / 100;
        let mut below = 0;
        let at = counts.iter().position(|count| {
            below += u64::from(*count);
            all > 0 && below >= within
        });
        let p99_us = at.map(most_in);
        Ended { calls, p99_us }
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (on, ended) = (self.on.load(Relaxed), self.ended.load(Relaxed));
        f.debug_struct("Meter")
            .field("on", &on)
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}

/// Where a time in microseconds is counted.
fn bucket(us: u64) -> usize {
    if us < PARTS {
        return us as usize;
    }
    let doublings = us.ilog2() - PARTS.ilog2();
    let part = (us >> doublings) - PARTS;
    let index = u64::from(doublings + 1) * PARTS + part;
    (index as usize).min(BUCKETS - 1)
}

/// The longest time that is counted there, in microseconds.
fn most_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let (doublings, part) = (bucket / PARTS - 1, bucket % PARTS);
    ((PARTS + part + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_where_it_belongs() {
        for us in (0..100_000).chain([1 << 20, (1 << 31) + 77]) {
            let at = bucket(us);
            assert!(us <= most_in(at), "{us} in {at}");
            assert!(at == 0 || us > most_in(at - 1), "{us} in {at}");
            assert!(most_in(at) - us <= us / PARTS, "{us} in {at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn one_slow_call_in_a_hundred_is_left_out_and_two_are_not() {
        let meter = Meter::default();
        let fast = || (0..98).for_each(|_| meter.end(Duration::from_micros(7)));
        let slow = |calls| (0..calls).for_each(|_| meter.end(Duration::from_millis(50)));
        fast();
        meter.end(Duration::from_micros(7));
        slow(1);
        let p99_us = Some(7);
        assert_eq!(meter.take(), Ended { calls: 100, p99_us });
        fast();
        slow(2);
        let p99 = meter.take().p99_us;
        assert!(
            p99.is_some_and(|us| (50_000..57_000).contains(&us)),
            "{p99:?}"
        );
        assert_eq!(meter.take(), Ended::default());
    }

    #[test]
    fn nothing_is_measured_before_somebody_asks() {
        let meter = Meter::default();
        assert_eq!(meter.begin(), None);
        meter.turn(true);
        assert!(meter.begin().is_some());
    }
}
