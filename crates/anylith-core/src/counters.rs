//! What a replica's data plane had to decline, repeat or give up on: the counts that say how well calls go.

use serde::{Deserialize, Serialize};

/// Counts of one replica since it was started. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Calls that this replica made once more, after an attempt failed.
    pub retried: u64,
    /// Second attempts that this replica made although the first had not failed yet.
    pub hedged: u64,
    /// How often this replica stopped calling another, because it failed or was far slower than its like.
    pub ejected: u64,
    /// Calls of others that this replica refused because it had as many as it can do.
    pub overloaded: u64,
    /// Its own calls that this replica did not send because too many were under way: along their edge, over their
    /// connection, or to be sent.
    pub withheld: u64,
    /// Its own calls, to other replicas and within it, that were not answered before their deadline.
    pub late: u64,
    /// Calls that this replica did not begin, because their deadline had passed.
    pub expired: u64,
    /// Calls that this replica refused because the dependency graph does not have their edge.
    pub denied: u64,
    /// Connections that this replica refused because the peer did not prove that it belongs to the application.
    pub unauthenticated: u64,
    /// Connections that this replica closed because the peer broke the protocol, or was too slow to greet. One that is
    /// silent or takes nothing later on is not counted: it may be the network.
    pub misbehaved: u64,
    /// Connections that this replica had no room for.
    pub crowded: u64,
    /// Panics of this replica's components, each of which failed one call, or one hook.
    pub panicked: u64,
}

impl Counters {
    /// Each count with its name and with what it counts, in words that follow the number.
    pub fn named(&self) -> [(&'static str, &'static str, u64); 12] {
        let words =
            |name, count, one, several| (name, if count == 1 { one } else { several }, count);
        [
            words(
                "retried",
                self.retried,
                "call made again",
                "calls made again",
            ),
            words("hedged", self.hedged, "call hedged", "calls hedged"),
            words(
                "ejected",
                self.ejected,
                "replica left alone for a while",
                "replicas left alone for a while",
            ),
            words(
                "overloaded",
                self.overloaded,
                "call refused as too many",
                "calls refused as too many",
            ),
            words(
                "withheld",
                self.withheld,
                "own call not sent, as too many",
                "own calls not sent, as too many",
            ),
            words(
                "late",
                self.late,
                "own call not answered in time",
                "own calls not answered in time",
            ),
            words(
                "expired",
                self.expired,
                "call not begun, as too late",
                "calls not begun, as too late",
            ),
            words(
                "denied",
                self.denied,
                "call refused that the graph does not have",
                "calls refused that the graph does not have",
            ),
            words(
                "unauthenticated",
                self.unauthenticated,
                "stranger turned away",
                "strangers turned away",
            ),
            words(
                "misbehaved",
                self.misbehaved,
                "connection closed for what came through it",
                "connections closed for what came through them",
            ),
            words(
                "crowded",
                self.crowded,
                "connection without room",
                "connections without room",
            ),
            words("panicked", self.panicked, "panic caught", "panics caught"),
        ]
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Counters {
    /// Adds what another process has counted.
    fn add_assign(&mut self, more: Self) {
        // Named one by one, so that a new count is not forgotten here.
        let Self {
            retried,
            hedged,
            ejected,
            overloaded,
            withheld,
            late,
            expired,
            denied,
            unauthenticated,
            misbehaved,
            crowded,
            panicked,
        } = more;
        self.retried += retried;
        self.hedged += hedged;
        self.ejected += ejected;
        self.overloaded += overloaded;
        self.withheld += withheld;
        self.late += late;
        self.expired += expired;
        self.denied += denied;
        self.unauthenticated += unauthenticated;
        self.misbehaved += misbehaved;
        self.crowded += crowded;
        self.panicked += panicked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_said_in_the_number_that_it_has() {
        let words = |retried| {
            let counters = Counters {
                retried,
                ..Counters::default()
            };
            let (_, words, count) = counters.named()[0];
            format!("{count} {words}")
        };
        assert_eq!(words(1), "1 call made again");
        assert_eq!(words(2), "2 calls made again");
    }
}
