//! How many calls of a component are in at a time, and whether one more may come in.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use anylith_core::Concurrency;

use super::gradient::Gradient;
use crate::reminder::Reminder;

/// The way of other replicas' calls into one component of a server, over all connections.
#[derive(Debug)]
pub(super) struct Intake {
    /// The calls that came in and have not ended, those that wait to be begun among them, but for those that were
    /// set apart.
    inside: AtomicU32,
    limit: Limit,
    refused: Reminder,
}

#[derive(Debug)]
enum Limit {
    Fixed(u32),
    Adaptive(Adaptive),
}

#[derive(Debug)]
struct Adaptive {
    /// The limit as it is now.
    limit: AtomicU32,
    /// What finds it.
    gradient: Mutex<Gradient>,
    /// Calls that were set apart, since their time says nothing.
    apart: AtomicU32,
}

/// The place of one call in an [`Intake`]; given back by [`Intake::leave`].
#[derive(Debug)]
pub(super) enum Place {
    /// It came in then, where that is asked for.
    Inside { since: Option<Instant> },
    /// It has a stream, and an adaptive limit does not look at it.
    Apart,
}

impl Intake {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        let limit = match concurrency {
            Concurrency::AtMost(calls) => Limit::Fixed(calls),
            Concurrency::Adaptive => {
                let gradient = Gradient::new(Concurrency::DEFAULT);
                Limit::Adaptive(Adaptive {
                    limit: AtomicU32::new(gradient.limit()),
                    gradient: Mutex::new(gradient),
                    apart: AtomicU32::new(0),
                })
            }
        };
        Self {
            inside: AtomicU32::new(0),
            limit,
            refused: Reminder::default(),
        }
    }

    /// Counts a call that is refused as too many at `now`. Returns how many were since it was last told, if it is to be
    /// told now.
    pub(super) fn refused(&self, now: Instant) -> Option<u64> {
        self.refused.happened(now)
    }

    /// Lets a call in that came at `now` over a connection which has `held` calls of this component in, being one of
    /// `connections`; `None` if there is no room for it.
    ///
    /// The last quarter of the room is kept for connections that have less than their even share, so a caller
    /// that floods the component does not lock out the others.
    pub(super) fn enter(&self, held: u32, connections: usize, now: Instant) -> Option<Place> {
        let inside = self.inside.fetch_add(1, Relaxed);
        let limit = self.limit();
        let fits = inside < limit - limit / 4
            || (inside < limit && (held as usize) < (limit as usize / connections).max(1));
        let since = match &self.limit {
            Limit::Fixed(_) => None,
            Limit::Adaptive(_) => Some(now),
        };
        if fits && inside.saturating_add(self.apart()) < self.most() {
            return Some(Place::Inside { since });
        }
        self.inside.fetch_sub(1, Relaxed);
        None
    }

    /// Takes the place of a call back. `answered` says whether it came to its end in its own time.
    pub(super) fn leave(&self, place: &Place, answered: bool) {
        match (place, &self.limit) {
            (Place::Inside { since }, limit) => {
                let inside = self.inside.fetch_sub(1, Relaxed);
                if let (Limit::Adaptive(adaptive), Some(since), true) = (limit, since, answered) {
                    adaptive.sample(*since, inside);
                }
            }
            (Place::Apart, Limit::Adaptive(adaptive)) => {
                adaptive.apart.fetch_sub(1, Relaxed);
            }
            (Place::Apart, Limit::Fixed(_)) => {}
        }
    }

    /// Counts the call at `place` apart from now on, if the limit is adaptive: a stream takes the time that its ends
    /// take for it, and no room that a limit on waiting could find. `answered`: it begins, and that was waited for.
    /// Returns whether the call is no longer inside.
    pub(super) fn set_apart(&self, place: &mut Place, answered: bool) -> bool {
        let (Limit::Adaptive(adaptive), Place::Inside { .. }) = (&self.limit, &*place) else {
            return false;
        };
        adaptive.apart.fetch_add(1, Relaxed);
        self.leave(&std::mem::replace(place, Place::Apart), answered);
        true
    }

    /// The calls that were set apart.
    fn apart(&self) -> u32 {
        match &self.limit {
            Limit::Fixed(_) => 0,
            Limit::Adaptive(adaptive) => adaptive.apart.load(Relaxed),
        }
    }

    /// How many calls may be in altogether, those among them that were set apart.
    fn most(&self) -> u32 {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(_) => Concurrency::DEFAULT,
        }
    }

    fn limit(&self) -> u32 {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(adaptive) => adaptive.limit.load(Relaxed),
        }
    }
}

impl Adaptive {
    /// Notes a call that came in at `since` and is answered now; `inside` calls were in by then.
    fn sample(&self, since: Instant, inside: u32) {
        // One sample more or less does not matter, but a lock that is waited for would.
        if let Ok(mut gradient) = self.gradient.try_lock() {
            let now = Instant::now();
            gradient.sample(now.duration_since(since), inside, now);
            self.limit.store(gradient.limit(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_by_itself_may_use_all_of_the_room() {
        let (intake, now) = (Intake::new(Concurrency::AtMost(64)), Instant::now());
        for held in 0..64 {
            assert!(intake.enter(held, 1, now).is_some());
        }
        assert!(intake.enter(64, 1, now).is_none());
        intake.leave(&Place::Inside { since: None }, true);
        assert!(intake.enter(63, 1, now).is_some());
    }

    #[test]
    fn a_caller_that_floods_leaves_room_for_the_others() {
        let (intake, now) = (Intake::new(Concurrency::AtMost(64)), Instant::now());
        let flood = (0..1000).filter_map(|_| intake.enter(1000, 3, now)).count();
        assert_eq!(flood, 48);
        for held in 0..16 {
            assert!(intake.enter(held, 3, now).is_some());
        }
        assert!(intake.enter(0, 3, now).is_none(), "it is full");
    }

    #[test]
    fn streams_leave_an_adaptive_limit_to_the_other_calls_but_are_bounded_as_well() {
        let (intake, now) = (Intake::new(Concurrency::Adaptive), Instant::now());
        let most = Concurrency::DEFAULT as usize;
        let mut open = Vec::new();
        while open.len() < most {
            let mut place = intake.enter(0, 1, now).expect("streams take its room");
            assert!(intake.set_apart(&mut place, false));
            open.push(place);
        }
        assert!(intake.enter(0, 1, now).is_none(), "nothing bounds them");
        intake.leave(&open[0], false);
        assert!(intake.enter(0, 1, now).is_some());
    }

    #[test]
    fn where_one_call_is_taken_at_a_time_there_are_no_shares() {
        let (intake, now) = (Intake::new(Concurrency::AtMost(1)), Instant::now());
        assert!(intake.enter(0, 9, now).is_some());
        assert!(intake.enter(0, 9, now).is_none());
    }
}
