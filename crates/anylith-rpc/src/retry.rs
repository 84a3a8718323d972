//! Whether a failed attempt is made again, and after which pause.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anylith_core::{Execution, LostAnswer, Refusal};
use anylith_wire::Failure;

use crate::{
    budget::{Budget, Reason},
    connection::Connection,
    defect::{Defect, planted},
};

/// The pause after a failure is up to twice this; it doubles with each further one, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// A call that is refused as overloaded is given up if it has failed this often, whatever the other failures were.
const OVERLOADED_ATTEMPTS: u32 = 3;
/// A call whose answer was lost this often is not made again.
const LOST_ATTEMPTS: u32 = 4;
/// Nor is one that had so many connections break under it: it may be what kills the replicas, so it meets no third. Where
/// a replica was stopped, or was given up since it said nothing, that is no sign of it, and a restart of all of them, or
/// a host that is gone with several, is survived.
const DEADLY_ATTEMPTS: u32 = 2;

/// Whether a component is away, for a call that was refused since it has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// Replicas take calls of it.
    No,
    /// None has, since then.
    Since(Instant),
    /// Who refused it knows of a newer directory, which is on its way here.
    Ahead,
}

/// The attempts that were made for one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    failed: u32,
    /// How often the answer was lost.
    lost: u32,
    /// How often for a connection that broke.
    broken: u32,
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
            lost: 0,
            broken: 0,
            reach_timeout,
            refused: None,
            failure: None,
            items_taken: false,
            avoid: None,
        }
    }

    /// After which pause to try again after `failure`, at `now`, where the component is `away` or is not.
    ///
    /// # Errors
    ///
    /// No further attempt is to be made; says what the caller is told.
    pub(crate) fn pause(
        &mut self,
        failure: Failure,
        idempotent: bool,
        budget: &Budget,
        away: Away,
        now: Instant,
    ) -> Result<Duration, Failure> {
        self.failed += 1;
        self.count(&failure);
        let again = match &failure {
            _ if self.items_taken => {
                planted(Defect::RetryStreams) && budget.spend(Reason::Retry, now)
            }
            // It costs the callee nothing, or next to nothing. But the directory may name for ever, without a
            // control plane, what has moved.
            Failure::NotExecuted(Refusal::NotSent | Refusal::Moved { .. }) => {
                let first = *self.refused.get_or_insert(now);
                let since = match away {
                    Away::No => first,
                    Away::Since(away) => away.min(first),
                    // As long as the call may: from when that is here it has the time that others have.
                    Away::Ahead => {
                        self.refused = None;
                        now
                    }
                };
                now.saturating_duration_since(since) < self.reach_timeout
                    && budget.spend(Reason::Forward, now)
            }
            Failure::NotExecuted(Refusal::Overloaded(_)) => {
                let bounded = self.failed < OVERLOADED_ATTEMPTS && budget.spend(Reason::Retry, now);
                bounded || planted(Defect::BudgetIgnored)
            }
            Failure::Unknown(_) => {
                let together = self.avoid.as_ref().map_or(0, |it| it.lost());
                (idempotent || planted(Defect::RetryUnmarked))
                    && self.lost < LOST_ATTEMPTS
                    && self.broken < DEADLY_ATTEMPTS
                    && budget.spend(Reason::Lost(together), now)
            }
            // The others would end the same way, or there is no time left: a call that finds no replica
            // has already waited as long as it may.
            _ => false,
        };
        self.keep(failure);
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

    /// Whether two attempts may be under way at once: if both break there have not been too many.
    pub(crate) fn may_hedge(&self) -> bool {
        self.broken + 2 <= DEADLY_ATTEMPTS
    }

    /// Takes the failure of one of two attempts that were under way at once.
    pub(crate) fn note(&mut self, failure: Failure) {
        self.count(&failure);
        self.keep(failure);
    }

    fn count(&mut self, failure: &Failure) {
        if let Failure::Unknown(why) = failure {
            self.lost += 1;
            let silent = self.avoid.as_ref().is_some_and(|it| it.fell_silent());
            self.broken += u32::from(matches!(why, LostAnswer::Disconnected(_)) && !silent);
        }
    }

    /// Keeps the failure that says most. What one attempt may have done, no later one undoes.
    fn keep(&mut self, failure: Failure) {
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

    fn attempts() -> Attempts {
        Attempts::new(Duration::from_secs(3))
    }

    fn pause(attempts: &mut Attempts, failure: Failure, idempotent: bool) -> Option<Failure> {
        let (budget, now) = (Budget::new(20), Instant::now());
        attempts
            .pause(failure, idempotent, &budget, Away::No, now)
            .err()
    }

    #[test]
    fn what_may_have_run_is_sent_again_only_if_idempotent() {
        let lost = Failure::Unknown(LostAnswer::Stopped);
        assert_eq!(pause(&mut attempts(), lost.clone(), true), None);
        assert_eq!(pause(&mut attempts(), lost.clone(), false), Some(lost));
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
            assert!(pause(&mut attempts(), failure, true).is_some());
        }
    }

    #[test]
    fn a_call_whose_items_were_taken_is_not_sent_again() {
        let mut attempts = attempts();
        attempts.items_taken = true;
        let moved = Failure::NotExecuted(Refusal::Moved { epoch: 0 });
        assert!(pause(&mut attempts, moved, true).is_some());
    }

    #[test]
    fn a_call_that_loses_one_replica_after_the_other_is_given_up() {
        let lost = Failure::Unknown(LostAnswer::Stopped);
        let mut attempts = attempts();
        for _ in 1..LOST_ATTEMPTS {
            assert_eq!(pause(&mut attempts, lost.clone(), true), None);
        }
        assert_eq!(pause(&mut attempts, lost.clone(), true), Some(lost));
    }

    #[test]
    fn a_call_under_which_connections_break_is_made_again_once_and_by_itself() {
        let broke = Failure::Unknown(LostAnswer::Disconnected("reset".into()));
        let mut attempts = attempts();
        assert!(attempts.may_hedge());
        assert_eq!(pause(&mut attempts, broke.clone(), true), None);
        assert!(!attempts.may_hedge());
        assert_eq!(pause(&mut attempts, broke.clone(), true), Some(broke));
    }

    #[test]
    fn what_one_attempt_may_have_done_is_not_forgotten_by_the_next() {
        let mut attempts = attempts();
        let lost = Failure::Unknown(LostAnswer::Stopped);
        assert_eq!(pause(&mut attempts, lost.clone(), true), None);
        let unreachable = Failure::NotExecuted(Refusal::Unreachable("it is gone".into()));
        assert_eq!(pause(&mut attempts, unreachable, true), Some(lost));
    }

    #[test]
    fn what_has_moved_is_not_asked_for_ever() {
        let moved = Failure::NotExecuted(Refusal::Moved { epoch: 0 });
        let mut attempts = Attempts::new(Duration::ZERO);
        assert_eq!(pause(&mut attempts, moved.clone(), true), Some(moved));
    }

    #[test]
    fn what_nobody_has_taken_for_long_is_asked_for_once() {
        let (budget, now) = (Budget::new(20), Instant::now());
        let moved = || Failure::NotExecuted(Refusal::Moved { epoch: 0 });
        let (away, later) = (Away::Since(now), now + Duration::from_secs(4));
        let mut first = attempts();
        assert!(first.pause(moved(), true, &budget, away, now).is_ok());
        let end = attempts().pause(moved(), true, &budget, away, later);
        assert_eq!(end, Err(moved()));
    }

    #[test]
    fn what_has_moved_by_a_newer_directory_is_asked_for_until_that_is_here() {
        let (budget, now) = (Budget::new(20), Instant::now());
        let moved = || Failure::NotExecuted(Refusal::Moved { epoch: 7 });
        let at = |seconds| now + Duration::from_secs(seconds);
        for idempotent in [true, false] {
            let mut attempts = attempts();
            let mut asked = |away, seconds| {
                let pause = attempts.pause(moved(), idempotent, &budget, away, at(seconds));
                pause.is_ok()
            };
            assert!(asked(Away::Ahead, 0) && asked(Away::Ahead, 9));
            // It is here, and who is named takes no calls.
            assert!(asked(Away::No, 9) && asked(Away::No, 11));
            assert!(!asked(Away::No, 12));
        }
    }
}
