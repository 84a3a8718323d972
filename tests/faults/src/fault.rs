//! What can go wrong, and is made to.

use std::fmt;

use crate::topology::Topology;

/// Something that is made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// `kill -9`.
    Kill(Victim),
    /// SIGTERM: it is to drain and end.
    Term(Victim),
    /// SIGSTOP, and SIGCONT when the fault is over.
    Stop(Victim),
}

/// Whom it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Victim {
    /// A replica with the component that all calls end at.
    Callee,
    /// A replica with the component in the middle of the chain.
    Relay,
    /// A replica with the component that makes the calls.
    Caller,
    /// All replicas, at the same time.
    All,
    /// The supervisor. It is started again when the fault is over.
    Supervisor,
}

impl Victim {
    const ALL: [Self; 5] = [
        Self::Callee,
        Self::Relay,
        Self::Caller,
        Self::All,
        Self::Supervisor,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Callee => "callee",
            Self::Relay => "relay",
            Self::Caller => "caller",
            Self::All => "all",
            Self::Supervisor => "supervisor",
        }
    }
}

impl Fault {
    /// Every fault.
    pub(crate) fn all() -> Vec<Self> {
        let kinds: [fn(Victim) -> Self; 3] = [Self::Kill, Self::Term, Self::Stop];
        kinds
            .into_iter()
            .flat_map(|kind| Victim::ALL.map(kind))
            .collect()
    }

    /// The fault of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|it| it.to_string() == name)
    }

    /// Whether it can be made in `topology`. In a monolith there is only one kind of process.
    pub(crate) fn fits(self, topology: Topology) -> bool {
        let (Self::Kill(victim) | Self::Term(victim) | Self::Stop(victim)) = self;
        topology != Topology::Monolith
            || matches!(victim, Victim::Caller | Victim::Supervisor | Victim::All)
    }

    /// Whether no call may be lost by it: nothing that calls need breaks before they are answered.
    pub(crate) fn is_gentle(self) -> bool {
        match self {
            Self::Kill(victim) | Self::Stop(victim) => victim == Victim::Supervisor,
            Self::Term(_) => true,
        }
    }

    /// How often it happens when it is tried alone.
    pub(crate) fn times(self) -> usize {
        match self {
            Self::Kill(_) | Self::Term(_) => 3,
            Self::Stop(_) => 1,
        }
    }

    /// How long it lasts when it is tried alone.
    pub(crate) fn lasts_ms(self) -> u64 {
        match self {
            Self::Kill(_) | Self::Term(_) => 300,
            Self::Stop(_) => 5_000,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, victim) = match self {
            Self::Kill(victim) => ("kill", victim),
            Self::Term(victim) => ("term", victim),
            Self::Stop(victim) => ("stop", victim),
        };
        write!(f, "{kind}-{}", victim.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::all() {
            assert_eq!(Fault::named(&fault.to_string()), Some(fault));
        }
    }
}
