//! What retries along one edge may cost, so that they do not bring down what is in trouble.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What is saved up at most, in calls: for a burst out of the quiet.
const MOST_SAVED: f64 = 100.0;
/// What comes in a second, whatever is called: an edge with few calls may retry as well.
const IN_A_SECOND: f64 = 10.0;
/// The same for calls that a replica did not take, which cost it next to nothing.
const MOST_FORWARDS_SAVED: f64 = 1000.0;
const FORWARDS_IN_A_SECOND: f64 = 100.0;
/// So often all calls that were lost together may be made again, whatever is saved.
const RESERVE_EVERY: Duration = Duration::from_secs(5);

/// A token bucket: each call adds a part of a retry, and each retry takes one away. A hedge is in no need, so what comes in
/// without calls is not for it.
///
/// Calls are only counted; what they add up to is worked out when something failed.
#[derive(Debug)]
pub(crate) struct Budget {
    calls: AtomicU64,
    /// What a call adds.
    share: f64,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    saved: f64,
    /// How much of that calls have put in: what hedges may take.
    earned: f64,
    forwards: f64,
    /// How many calls, and up to when, are in it already.
    counted: u64,
    settled: Option<Instant>,
    reserve_used: Option<Instant>,
}

/// Why a further attempt is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The callee was asked, and may have worked.
    Retry,
    /// It was asked and may still answer, but others may be quicker.
    Hedge,
    /// The connection broke, and with this one it had so many calls in flight.
    Lost(u32),
    /// The call was not taken, or never left.
    Forward,
}

impl Budget {
    /// A budget for so many retries in a hundred calls; with 0 nothing is made again that was asked for.
    pub(crate) fn new(percent: u32) -> Self {
        let account = Account {
            saved: MOST_SAVED,
            earned: 0.0,
            forwards: MOST_FORWARDS_SAVED,
            counted: 0,
            settled: None,
            reserve_used: None,
        };
        Self {
            calls: AtomicU64::new(0),
            share: f64::from(percent) / 100.0,
            account: Mutex::new(account),
        }
    }

    /// Notes a call.
    pub(crate) fn call(&self) {
        // Two calls at the same moment may count as one: it is a budget, not an account.
        self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
    }

    /// Takes what a further attempt costs, if it is there.
    pub(crate) fn spend(&self, reason: Reason, now: Instant) -> bool {
        let calls = self.calls.load(Relaxed);
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.settle(calls, self.share, now);
        match reason {
            Reason::Forward => take_one(&mut account.forwards),
            _ if self.share == 0.0 => false,
            Reason::Hedge if account.earned < 1.0 => false,
            Reason::Hedge | Reason::Retry => account.take_one(),
            Reason::Lost(together) => account.take_one() || account.open_reserve(together, now),
        }
    }
}

impl Account {
    fn settle(&mut self, calls: u64, share: f64, now: Instant) {
        let fresh = calls.saturating_sub(self.counted) as f64;
        let settled = self.settled.unwrap_or(now);
        let seconds = now.saturating_duration_since(settled).as_secs_f64();
        self.counted = calls;
        self.settled = Some(now.max(settled));
        let saved = self.saved + fresh * share + seconds * IN_A_SECOND;
        self.earned = (self.earned + fresh * share).min(MOST_SAVED);
        // What the reserve has put in stays until it is spent.
        self.saved = saved.min(MOST_SAVED.max(self.saved));
        let forwards = self.forwards + fresh + seconds * FORWARDS_IN_A_SECOND;
        self.forwards = forwards.min(MOST_FORWARDS_SAVED);
    }

    /// Takes one of what is saved, and first of what calls have put in.
    fn take_one(&mut self) -> bool {
        let taken = take_one(&mut self.saved);
        if taken {
            self.earned = (self.earned - 1.0).max(0.0);
        }
        taken
    }

    /// Lets all that one death has lost be made again, and takes one of them.
    fn open_reserve(&mut self, together: u32, now: Instant) -> bool {
        let used = self.reserve_used.replace(now);
        let closed = used.is_some_and(|used| now < used + RESERVE_EVERY);
        if closed || together == 0 {
            self.reserve_used = used;
            return false;
        }
        self.saved += f64::from(together) - 1.0;
        true
    }
}

fn take_one(saved: &mut f64) -> bool {
    let enough = *saved >= 1.0;
    if enough {
        *saved -= 1.0;
    }
    enough
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &Budget, reason: Reason, times: u32, now: Instant) -> u32 {
        (0..times)
            .map(|_| u32::from(budget.spend(reason, now)))
            .sum()
    }

    /// A budget of which all that is saved was spent.
    fn empty(percent: u32, now: Instant) -> Budget {
        let budget = Budget::new(percent);
        spent(&budget, Reason::Retry, 1000, now);
        budget
    }

    #[test]
    fn retries_add_a_fifth_to_the_load_and_no_more() {
        let now = Instant::now();
        let budget = empty(20, now);
        let mut retried = 0;
        for _ in 0..10_000 {
            budget.call();
            retried += spent(&budget, Reason::Retry, 3, now);
        }
        assert!((1999..=2000).contains(&retried), "{retried}");
    }

    #[test]
    fn hedges_add_a_fifth_to_the_load_whatever_the_time_and_what_was_saved() {
        let now = Instant::now();
        let budget = Budget::new(20);
        let mut hedged = 0;
        for call in 0..1200 {
            budget.call();
            let at = now + Duration::from_millis(7) * call;
            hedged += u32::from(budget.spend(Reason::Hedge, at));
        }
        assert!((239..=240).contains(&hedged), "{hedged}");
        let later = now + Duration::from_secs(60);
        assert_eq!(spent(&budget, Reason::Hedge, 100, later), 0);
    }

    #[test]
    fn what_retries_have_spent_is_not_left_for_hedges() {
        let now = Instant::now();
        let budget = Budget::new(20);
        for _ in 0..100 {
            budget.call();
        }
        assert_eq!(spent(&budget, Reason::Retry, 15, now), 15);
        assert_eq!(spent(&budget, Reason::Hedge, 100, now), 5);
    }

    #[test]
    fn an_outage_out_of_the_quiet_is_not_multiplied() {
        let budget = Budget::new(20);
        let retried = spent(&budget, Reason::Retry, 10_000, Instant::now());
        assert_eq!(retried, 100);
    }

    #[test]
    fn an_edge_with_few_calls_may_retry_some_in_each_second() {
        let now = Instant::now();
        let budget = empty(20, now);
        let later = now + Duration::from_secs(2);
        assert_eq!(spent(&budget, Reason::Retry, 1000, later), 20);
    }

    #[test]
    fn all_that_one_death_has_lost_is_made_again() {
        let now = Instant::now();
        let budget = empty(20, now);
        assert_eq!(spent(&budget, Reason::Lost(700), 700, now), 700);
    }

    #[test]
    fn a_second_death_soon_after_the_first_has_only_what_is_saved() {
        let now = Instant::now();
        let budget = empty(20, now);
        spent(&budget, Reason::Lost(700), 700, now);
        assert_eq!(spent(&budget, Reason::Lost(700), 700, now), 0);
        let later = now + RESERVE_EVERY;
        assert_eq!(spent(&budget, Reason::Lost(700), 750, later), 750);
    }

    #[test]
    fn without_retries_only_what_was_not_taken_goes_on() {
        let budget = Budget::new(0);
        let now = Instant::now();
        assert!(!budget.spend(Reason::Retry, now));
        assert!(!budget.spend(Reason::Lost(10), now));
        assert!(!budget.spend(Reason::Hedge, now));
        assert!(budget.spend(Reason::Forward, now));
    }

    #[test]
    fn what_is_refused_everywhere_is_not_forwarded_for_ever() {
        let now = Instant::now();
        let budget = Budget::new(20);
        assert_eq!(spent(&budget, Reason::Forward, 100_000, now), 1000);
        let later = now + Duration::from_secs(1);
        assert_eq!(spent(&budget, Reason::Forward, 100_000, later), 100);
    }
}
