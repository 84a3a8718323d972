//! Why a change cannot begin.

use anylith_core::Name;
use anylith_topology::MAX_REPLICAS;

/// Why a change cannot begin. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The application has no such group in this topology.
    #[error("there is no group {group}, and no component of that name")]
    UnknownGroup {
        /// What was asked for.
        group: Name,
        /// The groups that there are, and their components.
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
    /// There is one at a time of a component, and one replica of its group.
    #[error(
        "{component} is a singleton, of which there is one at a time, so {} cannot have {replicas} replicas: reshape into a \
         topology in which {component} has a group of its own, and give more replicas to the others",
        home(group, component)
    )]
    Crowded {
        /// The component.
        component: Name,
        /// The group that it is in, or would be.
        group: Name,
        /// What was asked for.
        replicas: u32,
    },
    /// The range begins beyond its end.
    #[error(
        "{group} cannot have from {min} to {max} replicas: write the fewest first, as in {max}..{min}"
    )]
    Range {
        /// The group.
        group: Name,
        /// What was asked for as the fewest.
        min: u32,
        /// What was asked for as the most.
        max: u32,
    },
    /// Who connects to a listener starts no replica, as a call does.
    #[error(
        "{group} serves the listener {listener}, where nobody would answer without a replica: write 1 for the fewest"
    )]
    Shut {
        /// The group.
        group: Name,
        /// The listener.
        listener: Name,
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
    /// A build cannot take the place of the one that runs, a part at a time.
    #[error("{what}")]
    Unrollable {
        /// Why not.
        what: String,
        /// What to do instead.
        mend: String,
    },
    /// It could not be written down for the next control plane.
    #[error("{what}")]
    Unkept {
        /// Why not.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// What was said to an upgrade does not fit how things are.
    #[error("{why}")]
    Unsteerable {
        /// Why.
        why: &'static str,
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
        /// Whether that is an upgrade which waits to be told how to go on.
        is_paused: bool,
    },
    /// Replicas of an earlier control plane have not all been heard of.
    #[error("not every replica has been heard of since the supervisor was started")]
    Adopting,
    /// The application stops.
    #[error("the application is being stopped")]
    Stopping,
}

impl Refused {
    /// Whether what was asked for is wrong, and not only now.
    pub fn is_wrong(&self) -> bool {
        match self {
            Self::UnknownGroup { .. }
            | Self::External { .. }
            | Self::Number { .. }
            | Self::Crowded { .. }
            | Self::Range { .. }
            | Self::Shut { .. }
            | Self::Twice { .. }
            | Self::Foreign { .. } => true,
            Self::Unrollable { .. }
            | Self::Unkept { .. }
            | Self::Unsteerable { .. }
            | Self::Same { .. }
            | Self::Busy { .. }
            | Self::Adopting
            | Self::Stopping => false,
        }
    }
}

/// What to call `group`, where `component` was spoken of.
fn home(group: &Name, component: &Name) -> String {
    match group == component {
        true => group.to_string(),
        false => format!("{group}, the group of {component},"),
    }
}
