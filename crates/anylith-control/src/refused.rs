//! Why a change cannot begin.

use anylith_core::Name;
use anylith_topology::MAX_REPLICAS;

/// Why a change cannot begin. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The application has no such group in this topology.
    #[error("there is no group {group}")]
    UnknownGroup {
        /// What was asked for.
        group: Name,
        /// What there is.
        known: Vec<Name>,
    },
    /// The processes of the group are somebody else's.
    #[error("the replicas of {group} are started elsewhere")]
    External {
        /// The group.
        group: Name,
    },
    /// The number cannot be reached.
    #[error("{group} cannot have {replicas} replicas: it has from 1 to {MAX_REPLICAS}")]
    Number {
        /// The group.
        group: Name,
        /// What was asked for.
        replicas: u32,
    },
    /// One group is named twice, by its own name and a component's, or by two components'.
    #[error("{one} and {other} are in one group: say once how many replicas it is to have")]
    Twice {
        /// A name of it.
        one: Name,
        /// Another one.
        other: Name,
    },
    /// The groups are not those of the application that runs.
    #[error("this is not a topology of what runs: {what}")]
    Foreign {
        /// What does not fit.
        what: String,
    },
    /// There is nothing to change.
    #[error("{topology} runs already")]
    Same {
        /// The topology that was asked for.
        topology: Name,
    },
    /// One change at a time.
    #[error("another change is under way: {under_way}")]
    Busy {
        /// How far it has come.
        under_way: String,
    },
    /// Replicas of an earlier control plane have not all been heard of.
    #[error("not every replica has been heard of since the supervisor was started")]
    Adopting,
    /// The application stops.
    #[error("the application is being stopped")]
    Stopping,
}
