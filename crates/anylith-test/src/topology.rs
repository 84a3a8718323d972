//! The topologies in which a test can run.

use std::fmt;

/// How the application under test is divided into processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topology {
    /// All components in the test's process; calls go directly.
    Direct,
    /// All components in the test's process; every call goes through a socket.
    Wire,
    /// Each component in a process of its own; calls go over Unix sockets.
    Processes,
    /// Each component in a process of its own; calls go over TCP.
    ProcessesTcp,
    /// A topology of the application's settings, in processes.
    Named(&'static str),
}

impl Topology {
    /// Whether components run in other processes than the test's.
    pub fn has_processes(self) -> bool {
        !matches!(self, Self::Direct | Self::Wire)
    }

    /// Whether every call of the test is encoded and sent.
    pub fn is_remote(self) -> bool {
        self != Self::Direct
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Wire => "wire",
            Self::Processes => "processes",
            Self::ProcessesTcp => "processes_tcp",
            Self::Named(name) => name,
        })
    }
}
