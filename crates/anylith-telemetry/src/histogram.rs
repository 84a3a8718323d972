//! Lengths of time, counted in buckets.
//!
//! The scheme is log-linear, as in HdrHistogram: below 64 ns a bucket for each 8 ns, and from there on eight buckets of the
//! same width for each doubling, up to 137 s. So what is said of a time is at most a sixteenth off (4 ns where it is
//! shorter than 64 ns), whatever was counted, and two histograms are added bucket by bucket. What took longer is counted
//! in the last bucket.
//!
//! Every power of two nanoseconds from 8 on is the border of a bucket. What is said for such a length
//! ([`Histogram::below`]) is exact.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many buckets has a doubling, and so many nanoseconds the first of them: a power of two.
const PARTS: u64 = 8;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = 256;

/// How many times were counted in which bucket.
///
/// In JSON it is a list of pairs, of a bucket's number and what is in it, without those that are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Histogram {
    /// In ascending order, none empty.
    buckets: Vec<(u8, u64)>,
}

impl Histogram {
    /// Nothing was counted.
    pub const fn new() -> Self {
        Self {
            buckets: Vec::new(),
        }
    }

    /// Counts `times` calls that took so long.
    pub fn record(&mut self, took: Duration, times: u64) {
        self.put(bucket_of(took), times);
    }

    /// Counts `times` calls in the bucket with this number.
    pub(crate) fn put(&mut self, bucket: u8, times: u64) {
        if times == 0 {
            return;
        }
        match self.buckets.binary_search_by_key(&bucket, |(it, _)| *it) {
            Ok(at) => {
                let (_, count) = &mut self.buckets[at];
                *count = count.saturating_add(times);
            }
            Err(at) => self.buckets.insert(at, (bucket, times)),
        }
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.put(*bucket, *count);
        }
    }

    /// What was counted since `earlier`, which this one has grown out of.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket: u8| {
            let at = earlier.buckets.binary_search_by_key(&bucket, |(it, _)| *it);
            at.map_or(0, |at| earlier.buckets[at].1)
        };
        let more = self.buckets.iter();
        let more = more.map(|(bucket, count)| (*bucket, count.saturating_sub(before(*bucket))));
        Self {
            buckets: more.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        let counts = self.buckets.iter().map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    }

    /// How long all of them took together, each taken for the middle of its bucket.
    pub fn sum(&self) -> Duration {
        let times = self.buckets.iter().map(|(bucket, count)| {
            let all = u128::from(middle_of(*bucket)) * u128::from(*count);
            all.min(u64::MAX.into()) as u64
        });
        Duration::from_nanos(times.fold(0, u64::saturating_add))
    }

    /// How many took less than this: exact for the powers of two nanoseconds, from 8 on; for another length those of the
    /// bucket that it is in are left out.
    pub fn below(&self, length: Duration) -> u64 {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let below = self.buckets.iter();
        let below = below.take_while(|(bucket, _)| end_of(*bucket) <= length);
        below.fold(0, |all: u64, (_, count)| all.saturating_add(*count))
    }

    /// How long the one took of which the given share of all took no longer: 0.5 for the median, 0.99 for the slowest in a
    /// hundred. It is at most a sixteenth off, or 4 ns. `None` if nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.count();
        let rank = (all as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let rank = rank.clamp(1, all.max(1));
        let mut below = 0_u64;
        let found = self.buckets.iter().find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        });
        let (bucket, _) = found?;
        Some(Duration::from_nanos(middle_of(*bucket)))
    }

    /// The same in microseconds.
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        let length = self.quantile(share)?;
        Some(length.as_nanos() as f64 / 1e3)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

impl From<Vec<(u16, u64)>> for Histogram {
    /// Takes what somebody else has written: whatever it is, a histogram comes of it.
    fn from(pairs: Vec<(u16, u64)>) -> Self {
        let mut histogram = Self::new();
        for (bucket, count) in pairs {
            histogram.put(u8::try_from(bucket).unwrap_or(u8::MAX), count);
        }
        histogram
    }
}

impl From<Histogram> for Vec<(u16, u64)> {
    fn from(histogram: Histogram) -> Self {
        let buckets = histogram.buckets.into_iter();
        buckets
            .map(|(bucket, count)| (bucket.into(), count))
            .collect()
    }
}

/// The number of the bucket in which a time is counted.
#[inline]
pub(crate) fn bucket_of(took: Duration) -> u8 {
    let units = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / PARTS;
    if units < PARTS {
        return units as u8;
    }
    let doublings = units.ilog2() - PARTS.ilog2();
    let part = (units >> doublings) - PARTS;
    let bucket = u64::from(doublings + 1) * PARTS + part;
    bucket.min(BUCKETS as u64 - 1) as u8
}

/// Where a bucket begins, in nanoseconds.
fn start_of(bucket: u8) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < PARTS {
        return bucket * PARTS;
    }
    let (doublings, part) = (bucket / PARTS - 1, bucket % PARTS);
    ((PARTS + part) << doublings) * PARTS
}

/// Where it ends, in nanoseconds: where the next one begins.
fn end_of(bucket: u8) -> u64 {
    match bucket.checked_add(1) {
        Some(next) => start_of(next),
        // What took longer than all others is in the last one.
        None => u64::MAX,
    }
}

/// What a time in it is taken for, in nanoseconds.
fn middle_of(bucket: u8) -> u64 {
    let start = start_of(bucket);
    match bucket.checked_add(1) {
        Some(next) => start + (start_of(next) - start) / 2,
        None => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_begins_where_the_one_before_ends() {
        for bucket in 0..=u8::MAX {
            let start = Duration::from_nanos(start_of(bucket));
            assert_eq!(bucket_of(start), bucket, "{start:?}");
            if bucket > 0 {
                let before = start - Duration::from_nanos(1);
                assert_eq!(bucket_of(before), bucket - 1, "{before:?}");
            }
        }
        assert_eq!(bucket_of(Duration::MAX), u8::MAX);
    }

    #[test]
    fn the_powers_of_two_are_borders_of_buckets() {
        for power in 3..37 {
            let length = 1_u64 << power;
            let ends = (0..=u8::MAX).any(|bucket| end_of(bucket) == length);
            assert!(ends, "2^{power} ns is within a bucket");
        }
    }
}
