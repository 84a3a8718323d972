//! Whether a failed attempt is made again, and after which pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anylith_core::{Execution, Refusal};
use anylith_wire::Failure;

use crate::{
    connection::Connection,
    defect::{Defect, planted},
};

/// The pause before the second attempt; it doubles with each further one, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);
/// A callee that is overloaded is asked this often in all.
const OVERLOADED_ATTEMPTS: u32 = 3;

/// What retries of calls to one callee may cost it, so that they do not bring down what is in trouble.
///
/// Every call earns a fifth of a retry; what is saved up covers a burst, such as all calls in flight to a
/// replica that was killed.
#[derive(Debug)]
pub(crate) struct Budget {
    tenths: AtomicI64,
}

impl Budget {
    const EARNED: i64 = 2;
    const COST: i64 = 10;
    /// Room for 4096 retries at once.
    const FULL: i64 = 4096 * Self::COST;

    /// Notes a call.
    pub(crate) fn earn(&self) {
        // Two calls at the same moment may earn for one: it is a budget, not an account.
        let tenths = self.tenths.load(Relaxed);
        if tenths < Self::FULL {
            self.tenths
                .store((tenths + Self::EARNED).min(Self::FULL), Relaxed);
        }
    }

    /// Takes what a retry costs, if it is there.
    fn spend(&self) -> bool {
        let spent = |tenths| (tenths >= Self::COST).then_some(tenths - Self::COST);
        self.tenths.fetch_update(Relaxed, Relaxed, spent).is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tenths: AtomicI64::new(Self::FULL),
        }
    }
}

/// The attempts that were made for one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    failed: u32,
    /// How long it may go on to be refused by replicas that take no calls.
    reach_timeout: Duration,
    /// When it was first refused so.
    refused: Option<Instant>,
    /// What the caller is told if no further attempt is made.
    failure: Option<Failure>,
    /// Of the caller's stream an item was taken, which cannot be sent again.
    pub(crate) items_taken: bool,
    /// The connection of the last attempt; another is preferred.
    pub(crate) avoid: Option<Arc<Connection>>,
}

impl Attempts {
    /// For a call that may go on to be refused by replicas that take no calls for `reach_timeout`.
    pub(crate) fn new(reach_timeout: Duration) -> Self {
        Self {
            failed: 0,
            reach_timeout,
            refused: None,
            failure: None,
            items_taken: false,
            avoid: None,
        }
    }

    /// After which pause to try again after `failure`.
    ///
    /// # Errors
    ///
    /// No further attempt is to be made; says what the caller is told.
    pub(crate) fn pause(
        &mut self,
        failure: Failure,
        idempotent: bool,
        budget: &Budget,
    ) -> Result<Duration, Failure> {
        self.failed += 1;
        let again = match &failure {
            _ if self.items_taken => planted(Defect::RetryStreams) && budget.spend(),
            // It costs the callee nothing, or next to nothing. But the directory may name for ever, without a
            // control plane, what has moved.
            Failure::NotExecuted(Refusal::NotSent | Refusal::Moved) => {
                let since = *self.refused.get_or_insert_with(Instant::now);
                since.elapsed() < self.reach_timeout
            }
            Failure::NotExecuted(Refusal::Overloaded) => {
                self.failed < OVERLOADED_ATTEMPTS && budget.spend()
            }
            Failure::Unknown(_) => (idempotent || planted(Defect::RetryUnmarked)) && budget.spend(),
            // The others would end the same way, or there is no time left: a call that finds no replica
            // has already waited as long as it may.
            _ => false,
        };
        self.note(failure);
        if !again {
            return Err(self.failure());
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failed.min(10))
            .min(LAST_PAUSE);
        // Between none of it and all, so that calls that failed together do not return together.
        Ok(pause.mul_f64(fastrand::f64()))
    }

    /// What the caller is told if no further attempt is made.
    pub(crate) fn failure(&mut self) -> Failure {
        self.failure.take().unwrap_or(Failure::Cancelled)
    }

    /// Keeps the failure that says most. What one attempt may have done, no later one undoes.
    fn note(&mut self, failure: Failure) {
        let earlier_says_more = self.failure.as_ref().is_some_and(|earlier| {
            failure.execution() == Execution::NotExecuted
                && (earlier.execution() != Execution::NotExecuted
                    || matches!(failure, Failure::DeadlineExceeded(_)))
        });
        if !earlier_says_more {
            self.failure = Some(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anylith_core::LostAnswer;

    fn attempts() -> Attempts {
        Attempts::new(Duration::from_secs(3))
    }

    #[test]
    fn what_may_have_run_is_sent_again_only_if_idempotent() {
        let lost = Failure::Unknown(LostAnswer::Stopped);
        let budget = Budget::default();
        assert!(attempts().pause(lost.clone(), true, &budget).is_ok());
        assert!(attempts().pause(lost, false, &budget).is_err());
    }

    #[test]
    fn what_would_fail_the_same_way_is_not_sent_again() {
        for failure in [
            Failure::NotExecuted(Refusal::TooLarge { size: 2, limit: 1 }),
            Failure::NotExecuted(Refusal::UnknownMethod),
            Failure::Panicked("no".into()),
            Failure::DeadlineExceeded(Execution::NotExecuted),
            Failure::Incompatible("no".into()),
        ] {
            assert!(attempts().pause(failure, true, &Budget::default()).is_err());
        }
    }

    #[test]
    fn a_call_whose_items_were_taken_is_not_sent_again() {
        let mut attempts = attempts();
        attempts.items_taken = true;
        let moved = Failure::NotExecuted(Refusal::Moved);
        assert!(attempts.pause(moved, true, &Budget::default()).is_err());
    }

    #[test]
    fn retries_stop_when_the_budget_is_spent() {
        let lost = Failure::Unknown(LostAnswer::Stopped);
        let budget = Budget::default();
        let retries = (0..10_000)
            .filter(|_| attempts().pause(lost.clone(), true, &budget).is_ok())
            .count();
        assert_eq!(retries, 4096);
        budget.earn();
        assert!(!budget.spend(), "one call does not earn a whole retry");
        (0..4).for_each(|_| budget.earn());
        assert!(budget.spend());
    }

    #[test]
    fn what_one_attempt_may_have_done_is_not_forgotten_by_the_next() {
        let mut attempts = attempts();
        let lost = Failure::Unknown(LostAnswer::Stopped);
        assert!(
            attempts
                .pause(lost.clone(), true, &Budget::default())
                .is_ok()
        );
        let unreachable = Failure::NotExecuted(Refusal::Unreachable("it is gone".into()));
        assert_eq!(
            attempts.pause(unreachable, true, &Budget::default()),
            Err(lost)
        );
    }

    #[test]
    fn what_has_moved_is_not_asked_for_ever() {
        let moved = Failure::NotExecuted(Refusal::Moved);
        let mut attempts = Attempts::new(Duration::ZERO);
        let end = attempts.pause(moved.clone(), true, &Budget::default());
        assert_eq!(end, Err(moved));
    }
}
