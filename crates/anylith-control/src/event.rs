//! What happens to a control plane.

use std::{collections::BTreeMap, fmt};

use anylith_core::{Fingerprint, Name, Size};
use anylith_wire::control::{FromReplica, Hello, Steer};

use crate::spec::GroupSpec;

/// Something that happened. The engine reports it with the instant at which it learned of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The instant of [`crate::ControlPlane::next_tick`] has come.
    Tick,
    /// A replica introduced itself on a new connection. It takes the place of an older connection.
    Hello(Hello),
    /// A replica said something else.
    Said {
        /// The replica.
        replica: Name,
        /// What it said.
        message: FromReplica,
    },
    /// The last connection of a replica broke.
    Disconnected {
        /// The replica.
        replica: Name,
    },
    /// The process that [`crate::Action::Spawn`] asked for runs.
    Spawned {
        /// The replica.
        replica: Name,
        /// Its process.
        pid: u32,
    },
    /// The process could not be started.
    SpawnFailed {
        /// The replica.
        replica: Name,
        /// Why, for people to read.
        error: String,
    },
    /// A replica's process is over.
    Exited {
        /// The replica.
        replica: Name,
        /// Which of its processes.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// What [`crate::Action::Examine`] asked for.
    Examined {
        /// The replica.
        replica: Name,
        /// Whether a debugger holds its process.
        traced: bool,
    },
    /// The engine holds this listener's socket.
    ListenerHeld {
        /// The listener.
        listener: Name,
    },
    /// The socket that [`crate::Action::Bind`] asked for could not be bound.
    ListenerFailed {
        /// The listener.
        listener: Name,
        /// Why, for people to read.
        error: String,
    },
    /// No connection waits at this listener any more, and no new one comes.
    ListenerShut {
        /// The listener.
        listener: Name,
    },
    /// Start the replicas of a group anew, one by one, or those of every group. What
    /// [`crate::ControlPlane::check_restart`] refuses changes nothing.
    RestartAsked {
        /// The group; `None` for all.
        group: Option<Name>,
    },
    /// Give groups other numbers of replicas. What [`crate::ControlPlane::check_scale`] refuses changes nothing.
    ScaleAsked {
        /// Group → how many.
        groups: BTreeMap<Name, Size>,
    },
    /// Divide the components into other groups. What [`crate::ControlPlane::check_reshape`] refuses changes nothing.
    ReshapeAsked {
        /// The name of the new topology.
        topology: Name,
        /// Its groups.
        groups: Vec<GroupSpec>,
    },
    /// Roll another build in. While another change is under way it changes nothing. What the build says of itself is not
    /// looked at: [`crate::ControlPlane::check_upgrade`] is to be asked before.
    UpgradeAsked {
        /// Its number: none that was used for another build.
        build: u32,
        /// What the interfaces look like in it.
        interfaces: BTreeMap<Name, Fingerprint>,
        /// After which share of each group's replicas it waits, in percent.
        canary: Option<u8>,
        /// How long the new build is watched, in milliseconds.
        observe_ms: u64,
    },
    /// Something was said to the upgrade that is under way. What [`crate::ControlPlane::check_steer`] refuses changes
    /// nothing.
    Steered(Steer),
    /// What is to be remembered is written down, as [`crate::ControlPlane::awaits_keeping`] has waited for.
    Kept,
    /// Drain and stop everything.
    StopAsked,
    /// Stop everything without draining.
    KillAsked,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can say: it was not started by this control plane.
    Unseen,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(6) => f.write_str("was aborted (SIGABRT)"),
            Self::Signal(9) => f.write_str("was killed (SIGKILL)"),
            Self::Signal(11) => f.write_str("crashed (SIGSEGV)"),
            Self::Signal(15) => f.write_str("was terminated (SIGTERM)"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unseen => f.write_str("ended, and only who started it knows how"),
        }
    }
}
