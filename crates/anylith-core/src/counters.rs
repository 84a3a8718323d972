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
    /// Calls that this replica refused because it had as many as it can do.
    pub overloaded: u64,
    /// Calls that this replica did not begin, because their deadline had passed.
    pub expired: u64,
    /// Calls that this replica refused because the dependency graph does not have their edge.
    pub denied: u64,
    /// Connections that this replica refused because the peer did not prove that it belongs to the application.
    pub unauthenticated: u64,
    /// Connections that this replica closed because the peer broke the protocol, or was too slow to greet.
    pub misbehaved: u64,
    /// Connections that this replica had no room for.
    pub crowded: u64,
}
