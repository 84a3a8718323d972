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
    /// Something between a replica and those who call it.
    Snag(Snag),
    /// Callees may open no further file or connection.
    NoDescriptors,
    /// The disk is full that the control plane keeps its state on.
    DiskFull,
    /// The clock on the wall jumps by days.
    ClockJump,
    /// Ten times the calls that the callees can serve.
    Overload,
    /// `anylith restart` of all replicas.
    Restart,
    /// `anylith scale` of the callees: one more or one less, and back.
    Scale,
    /// Certificates of new processes are of another authority than those of old ones: the control plane loses the one
    /// it had, and dies; on hosts without one a replica gets such a certificate.
    OtherAuthority,
    /// Every replica gets a new certificate.
    Rotate,
    /// A replica begins anew, with a certificate that has run out.
    Expired,
    /// A replica begins anew, with a certificate for another component.
    OtherComponent,
    /// In the place of a replica another one begins, with a certificate of its own.
    Impostor,
}

/// What goes wrong between a replica and those who call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Snag {
    /// Connections break, at each byte of what is sent.
    Reset,
    /// Nothing arrives at the replica, and nobody is told.
    PartitionIn,
    /// Nothing arrives from it.
    PartitionOut,
    /// Both.
    Partition,
    /// Everything takes 50 ms.
    Delay,
    /// One packet of five is lost.
    Loss,
    /// The replica reads some kilobytes a second.
    SlowReader,
    /// What it writes trickles.
    SlowWriter,
}

impl Snag {
    const ALL: [Self; 8] = [
        Self::Reset,
        Self::PartitionIn,
        Self::PartitionOut,
        Self::Partition,
        Self::Delay,
        Self::Loss,
        Self::SlowReader,
        Self::SlowWriter,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::PartitionIn => "partition-in",
            Self::PartitionOut => "partition-out",
            Self::Partition => "partition",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::SlowReader => "slow-reader",
            Self::SlowWriter => "slow-writer",
        }
    }

    /// Between processes that speak over Unix sockets stands a place of ours, and below TCP a filter of packets. Each can do
    /// what the other cannot.
    fn fits(self, topology: Topology) -> bool {
        match (self, topology) {
            (_, Topology::Monolith) => false,
            (Self::Loss, topology) => topology.speaks_tcp(),
            (Self::SlowReader | Self::SlowWriter, topology) => !topology.speaks_tcp(),
            _ => true,
        }
    }
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
        let processes = kinds.into_iter().flat_map(|kind| Victim::ALL.map(kind));
        let others = [
            Self::NoDescriptors,
            Self::DiskFull,
            Self::ClockJump,
            Self::Overload,
            Self::Restart,
            Self::Scale,
            Self::OtherAuthority,
            Self::Rotate,
            Self::Expired,
            Self::OtherComponent,
            Self::Impostor,
        ];
        processes
            .chain(Snag::ALL.map(Self::Snag))
            .chain(others)
            .collect()
    }

    /// The fault of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|it| it.to_string() == name)
    }

    /// Whether it means anything in `topology`. In a monolith there is only one kind of process, and nothing between.
    pub(crate) fn fits(self, topology: Topology) -> bool {
        match self {
            Self::Kill(victim) | Self::Term(victim) | Self::Stop(victim)
                if topology == Topology::Static =>
            {
                victim != Victim::Supervisor
            }
            Self::Kill(victim) | Self::Term(victim) | Self::Stop(victim) => {
                let whole = [Victim::Caller, Victim::Supervisor, Victim::All];
                topology != Topology::Monolith || whole.contains(&victim)
            }
            Self::Snag(snag) => snag.fits(topology),
            Self::NoDescriptors | Self::Overload => topology != Topology::Monolith,
            Self::Scale => ![Topology::Monolith, Topology::Static].contains(&topology),
            Self::OtherAuthority => topology.speaks_tcp(),
            Self::ClockJump => true,
            Self::DiskFull | Self::Restart => topology != Topology::Static,
            Self::Rotate | Self::Expired | Self::OtherComponent | Self::Impostor => {
                topology == Topology::Static
            }
        }
    }

    /// Whether it makes a replica begin anew with an identity that is not right.
    pub(crate) fn spoils(self, topology: Topology) -> bool {
        match self {
            Self::Expired | Self::OtherComponent | Self::Impostor => true,
            Self::OtherAuthority => topology == Topology::Static,
            _ => false,
        }
    }

    /// Whether no call may be lost by it: nothing that calls need breaks before they are answered.
    pub(crate) fn is_gentle(self) -> bool {
        match self {
            Self::Kill(victim) | Self::Stop(victim) => victim == Victim::Supervisor,
            Self::Term(_)
            | Self::DiskFull
            | Self::ClockJump
            | Self::Overload
            | Self::Restart
            | Self::Scale
            | Self::Rotate => true,
            Self::Snag(snag) => snag == Snag::Delay,
            Self::NoDescriptors
            | Self::OtherAuthority
            | Self::Expired
            | Self::OtherComponent
            | Self::Impostor => false,
        }
    }

    /// Whether another fault may not meet anybody because of it: processes are gone or stand still, or nothing passes.
    pub(crate) fn takes_away(self) -> bool {
        match self {
            Self::Kill(_)
            | Self::Term(_)
            | Self::Stop(_)
            | Self::Snag(_)
            | Self::NoDescriptors
            | Self::DiskFull
            | Self::Restart
            | Self::Scale
            | Self::OtherAuthority
            | Self::Expired
            | Self::OtherComponent
            | Self::Impostor => true,
            Self::ClockJump | Self::Overload | Self::Rotate => false,
        }
    }

    /// How often it happens when it is tried alone.
    pub(crate) fn times(self) -> usize {
        match self {
            Self::Kill(_) | Self::Term(_) => 3,
            _ => 1,
        }
    }

    /// How long it lasts when it is tried alone.
    pub(crate) fn lasts_ms(self, topology: Topology) -> u64 {
        match self {
            // A connection for each byte of a frame: the fewer there are at a time, the longer it takes.
            Self::Snag(Snag::Reset) if topology == Topology::Split => 25_000,
            Self::Snag(Snag::Reset) if !topology.speaks_tcp() => 10_000,
            Self::Kill(_) | Self::Term(_) | Self::Overload => 300,
            Self::Stop(_) | Self::Snag(Snag::Reset | Snag::Partition) => 5_000,
            Self::Snag(_)
            | Self::NoDescriptors
            | Self::DiskFull
            | Self::ClockJump
            | Self::Restart
            | Self::Scale
            | Self::OtherAuthority
            | Self::Rotate
            | Self::Expired
            | Self::OtherComponent
            | Self::Impostor => 1_500,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, victim) = match self {
            Self::Kill(victim) => ("kill", victim),
            Self::Term(victim) => ("term", victim),
            Self::Stop(victim) => ("stop", victim),
            Self::Snag(snag) => return f.write_str(snag.name()),
            Self::NoDescriptors => return f.write_str("no-descriptors"),
            Self::DiskFull => return f.write_str("disk-full"),
            Self::ClockJump => return f.write_str("clock-jump"),
            Self::Overload => return f.write_str("overload"),
            Self::Restart => return f.write_str("restart"),
            Self::Scale => return f.write_str("scale"),
            Self::OtherAuthority => return f.write_str("other-authority"),
            Self::Rotate => return f.write_str("rotate"),
            Self::Expired => return f.write_str("expired"),
            Self::OtherComponent => return f.write_str("other-component"),
            Self::Impostor => return f.write_str("impostor"),
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
