//! How long to wait before connecting again.

use std::time::Duration;

/// The pauses between attempts to connect: each is twice the one before, up to the last.
///
/// A connection that lived for longer than the last pause begins them anew. One that was taken and closed again at
/// once does not, or its peer would be asked all the time.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Pauses {
    /// Pauses from `first` to `last`.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            next: first,
        }
    }

    /// Notes that a connection has ended that was open for so long. Returns whether the pauses begin anew.
    pub fn ended(&mut self, open_for: Duration) -> bool {
        let lasted = open_for > self.last;
        if lasted {
            self.next = self.first;
        }
        lasted
    }

    /// The pause before the next attempt.
    pub fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.last);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(20);
    const LAST: Duration = Duration::from_millis(100);

    #[test]
    fn a_peer_that_hangs_up_at_once_is_asked_after_growing_pauses() {
        let mut pauses = Pauses::new(FIRST, LAST);
        let millis = [20, 40, 80, 100, 100];
        for expected in millis {
            assert!(!pauses.ended(Duration::from_millis(1)));
            assert_eq!(pauses.take().as_millis(), expected);
        }
    }

    #[test]
    fn after_a_connection_that_lasted_the_pauses_begin_anew() {
        let mut pauses = Pauses::new(FIRST, LAST);
        for _ in 0..3 {
            pauses.take();
        }
        assert!(!pauses.ended(LAST));
        assert_eq!(pauses.take(), LAST);
        assert!(pauses.ended(LAST + FIRST));
        assert_eq!(pauses.take(), FIRST);
    }
}
