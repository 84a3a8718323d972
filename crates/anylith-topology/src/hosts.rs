//! `hosts.toml`: on which hosts the groups of a topology run, without any cluster manager.
//!
//! [`Hosts::read`] reads it, and [`Hosts::place`] puts a plan on it and says everything that is wrong with either at once:
//! what could not be read of a host makes nothing else of it wrong.

mod place;
mod sections;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anylith_core::Name;

use crate::{
    Problem, Problems,
    settings::reader::Reader,
    source::{At, Source},
    tree,
};

pub use place::{HostPlan, PlacedReplica, Placement};

/// The hosts of an application: `hosts.toml`.
///
/// Everything that the file can say:
///
/// ```
/// # let text = r#"
/// [defaults]                        # for hosts that do not say otherwise
/// user = "boutique"                 # whose processes they are; the application's name if it is left out
/// folder = "/opt/boutique"          # where the host's part of the output is copied to; /opt/<application> if left out
/// binary = "/opt/boutique/boutique" # the application; <folder>/<application> if left out
/// run = "/run/boutique"             # for the sockets of replicas on one host; /run/<application> if left out
/// port = 7400                       # the first port for calls between hosts; each replica has the next one
///
/// [hosts.shop-1]
/// address = "10.0.0.1"              # at which the other hosts reach it
/// groups = { frontend = 2 }         # group → how many replicas of it run here
/// listeners.web = "0.0.0.0:80"      # in the place of [listeners.web] of anylith.toml
///
/// [hosts.shop-2]
/// address = "10.0.0.2"
/// groups = { checkout = 1, rest = 1 }
/// ports = { checkout = 7500 }       # the first port of one group's replicas
/// # "#;
/// # anylith_topology::Hosts::parse("hosts.toml", text)?;
/// # Ok::<(), anylith_topology::Problems>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hosts {
    pub(crate) source: Source,
    /// In the order of the file, as far as they could be read.
    pub(crate) hosts: Vec<HostSettings>,
    /// Whether every host, with its groups, could be read.
    is_whole: bool,
    /// What is wrong with the file by itself.
    problems: Vec<Problem>,
    syntax: tree::Syntax,
}

/// `[hosts.X]`, with the defaults in place. What could not be read, and was reported, is `None`.
#[derive(Debug, Clone)]
pub(crate) struct HostSettings {
    pub(crate) name: Name,
    pub(crate) at: At,
    pub(crate) address: Option<IpAddr>,
    pub(crate) groups: Option<Vec<HostGroup>>,
    pub(crate) port: u16,
    pub(crate) ports: Vec<GroupPort>,
    pub(crate) listeners: BTreeMap<String, (Option<SocketAddr>, At)>,
    pub(crate) places: Places,
    /// Whether its listeners are known: where there are none and a key is unknown, that one may be meant.
    pub(crate) has_listeners: bool,
    /// Whether every port that it names could be read.
    pub(crate) has_ports: bool,
}

/// A group on a host.
#[derive(Debug, Clone)]
pub(crate) struct HostGroup {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) replicas: Option<u32>,
}

/// The first port of a group on a host.
#[derive(Debug, Clone)]
pub(crate) struct GroupPort {
    pub(crate) group: String,
    pub(crate) at: At,
    pub(crate) port: u16,
}

/// Where things are on a host, as far as the file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(crate) user: Option<String>,
    pub(crate) folder: Option<String>,
    pub(crate) binary: Option<String>,
    pub(crate) run: Option<String>,
}

impl Hosts {
    /// Reads `text`, which messages call `file`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it by itself, at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let hosts = Self::read(file, text);
        Problems::new(hosts.problems.clone()).none_or(hosts)
    }

    /// Reads what can be read of `text`, which messages call `file`. What cannot is in [`Hosts::problems`], and lets no
    /// plan be placed.
    pub fn read(file: &str, text: &str) -> Self {
        let source = Source::new(file, text);
        let tree::Parsed {
            root,
            problems,
            syntax,
        } = tree::parse(&source);
        let mut reader = Reader::new(&source, problems, !syntax.problems.is_empty());
        let (hosts, all_read) = sections::read(&root, &mut reader);
        let is_whole = syntax.problems.is_empty()
            && all_read
            && hosts.iter().all(|host| host.groups.is_some());
        let mut problems = reader.problems;
        problems.retain(|problem| syntax.lets_stand(problem));
        problems.extend(syntax.problems.iter().cloned());
        Self {
            source,
            hosts,
            is_whole,
            problems,
            syntax,
        }
    }

    /// What is wrong with the file by itself.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn problem(&self, at: &At, what: impl Into<String>, mend: impl Into<String>) -> Problem {
        self.source.problem(at, what, mend)
    }
}
