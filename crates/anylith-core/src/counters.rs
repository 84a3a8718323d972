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
    pub fn named(&self) -> [(&'static str, &'static str, u64); 11] {
        [
            ("retried", "calls made again", self.retried),
            ("hedged", "calls made a second time at once", self.hedged),
            ("ejected", "replicas left alone for a while", self.ejected),
            ("overloaded", "calls refused as too many", self.overloaded),
            ("withheld", "own calls not sent, as too many", self.withheld),
            ("expired", "calls not begun, as too late", self.expired),
            (
                "denied",
                "calls refused that the graph does not have",
                self.denied,
            ),
            (
                "unauthenticated",
                "strangers turned away",
                self.unauthenticated,
            ),
            (
                "misbehaved",
                "connections closed for what came through them",
                self.misbehaved,
            ),
            ("crowded", "connections without room", self.crowded),
            ("panicked", "panics caught", self.panicked),
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
        self.expired += expired;
        self.denied += denied;
        self.unauthenticated += unauthenticated;
        self.misbehaved += misbehaved;
        self.crowded += crowded;
        self.panicked += panicked;
    }
}
