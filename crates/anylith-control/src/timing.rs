//! How long the control plane waits for what.

use std::time::Duration;

/// How long the control plane waits for what. The defaults suit one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// What a component gets to finish its calls when it is drained.
    pub grace: Duration,
    /// From the start of a process to its first word; then it is killed and started again. The same holds for
    /// the next word of one whose components are still starting, or whose connection is lost.
    pub connect: Duration,
    /// From the moment the connection of a running replica is lost to its next word, where something
    /// depends on it: an adoption, a stop.
    pub reconnect: Duration,
    /// How often a replica is asked for a sign of life.
    pub ask_every: Duration,
    /// A replica that has given none for this long gets no calls until it does.
    pub silent: Duration,
    /// A replica that was ready and has given none for this long is killed and started again, unless a
    /// debugger holds it.
    pub hung: Duration,
    /// What a replica gets to hand over the socket of a listener.
    pub hand_over: Duration,
    /// What replicas get to take in the connections that wait at a listener when everything stops.
    pub take_in: Duration,
    /// What a replica that was started for a change gets to be ready, before the change is given up.
    pub ready: Duration,
    /// Before the second restart; the first comes at once. Each later one waits twice as long.
    pub backoff_first: Duration,
    /// The longest wait before a restart.
    pub backoff_longest: Duration,
    /// A replica that was ready for this long has left its crashes behind.
    pub stable: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            connect: Duration::from_secs(30),
            reconnect: Duration::from_secs(5),
            ask_every: Duration::from_secs(1),
            silent: Duration::from_secs(5),
            hung: Duration::from_secs(15),
            hand_over: Duration::from_secs(2),
            take_in: Duration::from_secs(2),
            ready: Duration::from_secs(60),
            backoff_first: Duration::from_millis(50),
            backoff_longest: Duration::from_secs(10),
            stable: Duration::from_secs(10),
        }
    }
}

impl Timing {
    /// How long to wait before a replica is started again that has now failed `failures` times in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            more => {
                let doublings = (more - 2).min(31);
                self.backoff_first
                    .saturating_mul(1 << doublings)
                    .min(self.backoff_longest)
            }
        }
    }

    /// What a replica gets on top of its grace to say that it has finished, before it is killed.
    pub(crate) fn margin(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_comes_at_once_and_later_ones_ever_later() {
        let timing = Timing::default();
        let waits: Vec<u128> = (1..=12).map(|n| timing.backoff(n).as_millis()).collect();
        assert_eq!(
            waits,
            [
                0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000
            ]
        );
        assert_eq!(timing.backoff(u32::MAX), timing.backoff_longest);
    }
}
