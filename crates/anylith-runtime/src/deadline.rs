//! The instant by which a tree of calls must be over.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anylith_core::Allowance;

/// How long a call may take where no edge says otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What instants are counted from, before or after, so that one fits into a word.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Stands for no limit: 292 years.
const UNLIMITED: i64 = i64::MAX;

/// The time that is left for the work at hand, without asking a clock until somebody must know.
///
/// A call that is answered at once should not pay for two looks at the clock. So a deadline holds an
/// instant that is already known, if there is one, and a length of time that has not been counted from
/// any instant yet. [`Deadline::settle`] joins the two the first time that it matters: when the call has
/// to wait, or leaves the process. Counting begins then, so a call never gets less than its time, and it
/// gets more only by the processor time it used before it first waited.
///
/// It is two words, since every call within a process copies it three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Nanoseconds after [`EPOCH`].
    at: i64,
    /// Nanoseconds.
    within: i64,
}

impl Default for Deadline {
    fn default() -> Self {
        Self::NONE
    }
}

impl Deadline {
    /// No limit.
    pub(crate) const NONE: Self = Self {
        at: UNLIMITED,
        within: UNLIMITED,
    };

    /// Over at `instant`.
    pub(crate) fn at(instant: Instant) -> Self {
        Self {
            at: match instant.checked_duration_since(*EPOCH) {
                Some(after) => nanoseconds(after),
                None => -nanoseconds(EPOCH.duration_since(instant)),
            },
            within: UNLIMITED,
        }
    }

    /// Over after `length`, counted from the first [`Deadline::settle`].
    pub(crate) fn within(length: Duration) -> Self {
        Self {
            at: UNLIMITED,
            within: nanoseconds(length),
        }
    }

    /// The earlier of the two: what a call may take that is made under this one and has a `limit` of its own.
    #[must_use]
    #[inline]
    pub(crate) fn tightened(self, limit: Self) -> Self {
        Self {
            at: self.at.min(limit.at),
            within: self.within.min(limit.within),
        }
    }

    /// Fixes the instant, counting from `now` what was not yet counted, and returns it.
    ///
    /// Returns `None` if there is no limit. A second call returns the same instant, whatever `now` is.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Instant> {
        if self.within != UNLIMITED {
            let end = Self::at(now).at.saturating_add(self.within);
            self.at = self.at.min(end);
            self.within = UNLIMITED;
        }
        self.instant()
    }

    /// How long a call had that began at `begun` under this limit, and was to be over at `end`.
    pub(crate) fn allowance(self, begun: Instant, end: Instant) -> Allowance {
        let had = end.saturating_duration_since(begun);
        match self.length() {
            Some(length) if length <= had => Allowance::OfEdge(length),
            _ => Allowance::OfCaller(had),
        }
    }

    /// The length that is counted from the first [`Deadline::settle`], before that.
    pub(crate) fn length(self) -> Option<Duration> {
        let length = (self.within != UNLIMITED).then(|| self.within.unsigned_abs());
        length.map(Duration::from_nanos)
    }

    fn instant(&self) -> Option<Instant> {
        let distance = Duration::from_nanos(self.at.unsigned_abs());
        match self.at {
            UNLIMITED => None,
            ..0 => EPOCH.checked_sub(distance),
            _ => EPOCH.checked_add(distance),
        }
    }
}

fn nanoseconds(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_only_shrinks() {
        let now = Instant::now();
        let mut outer = Deadline::within(Duration::from_secs(10));
        outer.settle(now);
        let mut longer = outer.tightened(Deadline::within(Duration::from_secs(60)));
        let mut shorter = outer.tightened(Deadline::within(Duration::from_secs(1)));
        assert_eq!(longer.settle(now), Some(now + Duration::from_secs(10)));
        assert_eq!(shorter.settle(now), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_settled_deadline_does_not_move() {
        let now = Instant::now();
        let mut deadline = Deadline::within(Duration::from_secs(2));
        let first = deadline.settle(now);
        assert_eq!(deadline.settle(now + Duration::from_secs(1)), first);
    }

    #[test]
    fn what_a_call_had_is_its_edges_or_less_and_then_its_callers() {
        let begun = Instant::now();
        let limit = Deadline::within(Duration::from_secs(2));
        let end = |left| {
            let outer = Deadline::at(begun + Duration::from_secs(left));
            outer.tightened(limit).settle(begun).unwrap()
        };
        let had = Allowance::OfEdge(Duration::from_secs(2));
        assert_eq!(limit.allowance(begun, end(3)), had);
        assert_eq!(limit.allowance(begun, end(2)), had);
        let had = Allowance::OfCaller(Duration::from_secs(1));
        assert_eq!(limit.allowance(begun, end(1)), had);
    }

    #[test]
    fn a_length_beyond_all_clocks_is_no_limit() {
        assert_eq!(Deadline::within(Duration::MAX).settle(Instant::now()), None);
    }
}
