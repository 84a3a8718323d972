//! The instant by which a tree of calls must be over.

use std::time::{Duration, Instant};

/// How long a call may take where no edge says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// The time that is left for the work at hand, without asking a clock until somebody must know.
///
/// A call that is answered at once should not pay for two looks at the clock. So a deadline holds an
/// instant that is already known, if there is one, and a length of time that has not been counted from
/// any instant yet. [`Deadline::settle`] joins the two the first time that it matters: when the call has
/// to wait, or leaves the process. Counting begins then, so a call never gets less than its time, and it
/// gets more only by the processor time it used before it first waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadline {
    at: Option<Instant>,
    within: Option<Duration>,
}

impl Deadline {
    /// No limit.
    pub const NONE: Self = Self {
        at: None,
        within: None,
    };

    /// Over at `instant`.
    pub const fn at(instant: Instant) -> Self {
        Self {
            at: Some(instant),
            within: None,
        }
    }

    /// Over after `length`, counted from the first [`Deadline::settle`].
    pub const fn within(length: Duration) -> Self {
        Self {
            at: None,
            within: Some(length),
        }
    }

    /// The deadline of a call made under this one whose own limit is `length`: the earlier of the two.
    #[must_use]
    #[inline]
    pub fn tightened(self, length: Duration) -> Self {
        let within = self.within.map_or(length, |own| own.min(length));
        Self {
            at: self.at,
            within: Some(within),
        }
    }

    /// Fixes the instant, counting from `now` what was not yet counted, and returns it.
    ///
    /// Returns `None` if there is no limit. A second call returns the same instant, whatever `now` is.
    pub fn settle(&mut self, now: Instant) -> Option<Instant> {
        if let Some(length) = self.within.take() {
            // A length past the end of what an `Instant` can hold is no limit.
            if let Some(end) = now.checked_add(length) {
                self.at = Some(self.at.map_or(end, |at| at.min(end)));
            }
        }
        self.at
    }

    /// The instant, if it is known without a look at the clock.
    pub fn settled(&self) -> Option<Instant> {
        match self.within {
            None => self.at,
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_only_shrinks() {
        let now = Instant::now();
        let mut outer = Deadline::within(Duration::from_secs(10));
        outer.settle(now);
        let mut longer = outer.tightened(Duration::from_secs(60));
        let mut shorter = outer.tightened(Duration::from_secs(1));
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
    fn a_length_beyond_all_clocks_is_no_limit() {
        assert_eq!(Deadline::within(Duration::MAX).settle(Instant::now()), None);
    }
}
