//! How the application is divided into processes.

use std::fmt;

/// A topology that faults are tried in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topology {
    /// All in one process, twice: every call is local.
    Monolith,
    /// A process for each component.
    Split,
    /// One driver, two relays, three targets.
    Replicas,
    /// The same over TCP.
    Tcp,
    /// The same on two hosts, without a supervisor.
    Static,
}

impl Topology {
    pub(crate) const ALL: [Self; 5] = [
        Self::Monolith,
        Self::Split,
        Self::Replicas,
        Self::Tcp,
        Self::Static,
    ];

    /// The topology of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.to_string() == name)
    }

    /// Its name in `anylith.toml`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Monolith => "doubled",
            Self::Split => "micro",
            Self::Replicas | Self::Tcp | Self::Static => "replicas",
        }
    }

    /// Between replicas.
    pub(crate) fn transport(self) -> &'static str {
        match self {
            Self::Monolith | Self::Split | Self::Replicas => "unix",
            Self::Tcp | Self::Static => "tcp",
        }
    }

    /// Whether some replicas call others over TCP.
    pub(crate) fn speaks_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Static)
    }

    /// Along how many edges calls go out of how many processes.
    pub(crate) fn edges(self) -> u32 {
        match self {
            // In one process nothing is sent.
            Self::Monolith => 0,
            Self::Split => 3,
            Self::Replicas | Self::Tcp | Self::Static => 4,
        }
    }

    /// How many callees there are.
    pub(crate) fn targets(self) -> u32 {
        match self {
            Self::Monolith => 2,
            Self::Split => 1,
            Self::Replicas | Self::Tcp | Self::Static => 3,
        }
    }

    /// The group that `component` is in.
    pub(crate) fn group(self, component: &str) -> &str {
        match self {
            Self::Monolith => "whole",
            Self::Split | Self::Replicas | Self::Tcp | Self::Static => component,
        }
    }

    /// How its replicas are spread over hosts, as `hosts.toml` says it: the groups of each, and its first port. Every callee
    /// is called from the other host.
    pub(crate) const HOSTS: [(&str, &str, u16); 2] = [
        ("one", "{ Driver = 1, Target = 1 }", 7400),
        ("two", "{ Relay = 2, Target = 2 }", 7500),
    ];

    /// What `anylith.toml` says of the topologies.
    pub(crate) const SETTINGS: &str = r#"
[topologies.doubled]
groups.whole = { components = ["*"], replicas = 2 }

[topologies.replicas]
groups.Driver = { components = ["Driver"] }
groups.Relay = { components = ["Relay"], replicas = 2 }
groups.Target = { components = ["Target"], replicas = 3 }
"#;
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monolith => "monolith",
            Self::Split => "split",
            Self::Replicas => "replicas",
            Self::Tcp => "tcp",
            Self::Static => "static",
        })
    }
}
