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

/// The way of other replicas' calls into one component of a server, over all connections.
#[derive(Debug)]
pub(super) struct Intake {
    /// The calls that came in and have not ended, those that wait to be begun among them.
    inside: AtomicU32,
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    Fixed(u32),
    /// The limit as it is now, and what finds it.
    Adaptive(AtomicU32, Mutex<Gradient>),
}

/// The place of one call in an [`Intake`]; given back by [`Intake::leave`].
#[derive(Debug)]
pub(super) struct Place {
    /// When it came in, where that is asked for.
    since: Option<Instant>,
}

impl Intake {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        let limit = match concurrency {
            Concurrency::AtMost(calls) => Limit::Fixed(calls),
            Concurrency::Adaptive => {
                let gradient = Gradient::new(Concurrency::DEFAULT);
                Limit::Adaptive(AtomicU32::new(gradient.limit()), Mutex::new(gradient))
            }
        };
        Self {
            inside: AtomicU32::new(0),
            limit,
        }
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
        if fits {
            let adaptive = matches!(self.limit, Limit::Adaptive(..));
            let since = adaptive.then_some(now);
            return Some(Place { since });
        }
        self.inside.fetch_sub(1, Relaxed);
        None
    }

    /// Takes the place of a call back. `answered` says whether it came to its end in its own time.
    pub(super) fn leave(&self, place: &Place, answered: bool) {
        let inside = self.inside.fetch_sub(1, Relaxed);
        if let (Limit::Adaptive(limit, gradient), Some(since)) = (&self.limit, place.since)
            && answered
            // One sample more or less does not matter, but a lock that is waited for would.
            && let Ok(mut gradient) = gradient.try_lock()
        {
            let now = Instant::now();
            gradient.sample(now.duration_since(since), inside, now);
            limit.store(gradient.limit(), Relaxed);
        }
    }

    fn limit(&self) -> u32 {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(limit, _) => limit.load(Relaxed),
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
        intake.leave(&Place { since: None }, true);
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
    fn where_one_call_is_taken_at_a_time_there_are_no_shares() {
        let (intake, now) = (Intake::new(Concurrency::AtMost(1)), Instant::now());
        assert!(intake.enter(0, 9, now).is_some());
        assert!(intake.enter(0, 9, now).is_none());
    }
}
