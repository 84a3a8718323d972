//! Puts a plan on hosts.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anylith_core::{Fingerprint, Name};
use serde::Serialize;

use super::{HostSettings, Hosts};
use crate::{
    GroupPlan, Plan, Problem, Problems, Settings,
    nearest::{nearest, suggest},
    singleton,
    source::At,
};

/// Which replicas of an application run on which host, in the order of `hosts.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The hosts.
    pub hosts: Vec<HostPlan>,
}

/// What one host runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostPlan {
    /// Its name.
    pub name: Name,
    /// Where the other hosts reach it.
    pub address: IpAddr,
    /// Whose processes they are.
    pub user: String,
    /// Where its part of the output is copied to.
    pub folder: String,
    /// The application.
    pub binary: String,
    /// The folder for the sockets over which its replicas reach each other.
    pub run: String,
    /// Its replicas.
    pub replicas: Vec<PlacedReplica>,
    /// Each listener that its replicas serve → where it listens.
    pub listeners: BTreeMap<Name, SocketAddr>,
}

/// A replica on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlacedReplica {
    /// Its group.
    pub group: Name,
    /// Its name: the group's, the host's, and a number. No other host has a part in it, so it stays while hosts come
    /// and go.
    pub name: Name,
    /// Which of the group's replicas on its host it is, from 1.
    pub ordinal: u32,
    /// The port at which other hosts call it.
    pub port: u16,
}

impl Hosts {
    /// Puts `plan`, which was made of `settings`, on these hosts.
    ///
    /// How many replicas a group has is what the hosts say. Where the topology says a number as well, it has to be the
    /// same.
    ///
    /// # Errors
    ///
    /// Everything that does not fit together, at once: a group that is nowhere or unknown, other numbers than the
    /// topology's, ports that meet, and listeners without an address; and what is wrong with the file by itself.
    pub fn place(&self, plan: &Plan, settings: &Settings) -> Result<Placement, Problems> {
        let mut problems = Vec::new();
        self.unknown_groups(plan, &mut problems);
        for group in &plan.groups {
            self.counts(plan, group, settings, &mut problems);
        }
        let hosts = self
            .hosts
            .iter()
            .map(|host| self.host(host, plan, &mut problems));
        let placement = Placement {
            hosts: hosts.collect(),
        };
        self.meeting_names(&placement, &mut problems);
        problems.retain(|problem| self.syntax.lets_stand(problem));
        problems.extend(self.problems.iter().cloned());
        Problems::new(problems).none_or(placement)
    }

    fn unknown_groups(&self, plan: &Plan, problems: &mut Vec<Problem>) {
        let valid: Vec<&str> = plan
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        for host in &self.hosts {
            let Some(groups) = &host.groups else { continue };
            for group in groups {
                if !valid.contains(&group.name.as_str()) {
                    let what = format!(
                        "the topology `{}` has no group `{}`",
                        plan.topology, group.name
                    );
                    let mend = suggest(&group.name, &valid, "groups", "take it out");
                    problems.push(self.problem(&group.at, what, mend));
                }
            }
            let here: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            for port in &host.ports {
                if !here.contains(&port.group.as_str()) {
                    let what = format!(
                        "[hosts.{}] does not run a group `{}`",
                        host.name, port.group
                    );
                    let mend = suggest(&port.group, &here, "groups of this host", "take it out");
                    problems.push(self.problem(&port.at, what, mend));
                }
            }
        }
    }

    /// Whether `group` is placed, and as often as the topology says.
    fn counts(
        &self,
        plan: &Plan,
        group: &GroupPlan,
        settings: &Settings,
        problems: &mut Vec<Problem>,
    ) {
        let name = &group.name;
        let placed: Vec<_> = self
            .hosts
            .iter()
            .flat_map(|host| host.groups.iter().flatten())
            .filter(|placed| *name == placed.name.as_str())
            .collect();
        let Some(last) = placed.last() else {
            // Where not all could be read, it may be there.
            if !self.is_whole || self.is_meant(plan, name) {
                return;
            }
            let what = format!(
                "no host runs the group `{name}` of the topology `{}`",
                plan.topology
            );
            let mend = format!("add it to the `groups` of a host: groups = {{ {name} = 1 }}");
            let at = self
                .hosts
                .last()
                .map_or_else(|| self.source.end(), |host| host.at.clone());
            problems.push(self.problem(&at, what, mend));
            return;
        };
        let replicas: Option<u32> = placed.iter().map(|placed| placed.replicas).sum();
        let Some(replicas) = replicas.filter(|_| self.is_whole) else {
            return;
        };
        let said = settings.replicas_said(plan.topology.as_str(), name);
        if let Some(said) = said.filter(|said| *said != replicas) {
            let what = format!(
                "the hosts run {replicas} of the group `{name}`, and the topology `{}` says {said}",
                plan.topology
            );
            let mend = format!("run {said} here, or say replicas = {replicas} in the topology");
            problems.push(self.problem(&last.at, what, mend));
        }
        if let Some(component) = group.singletons.first().filter(|_| replicas > 1) {
            let what = singleton::too_many(component, name, replicas);
            let mend = singleton::mend(component, group.components.len());
            problems.push(self.problem(&last.at, what, mend));
        }
    }

    /// Whether a group that no topology has is likely to be `group`, mistyped: then it is not missing.
    fn is_meant(&self, plan: &Plan, group: &Name) -> bool {
        let names: Vec<&str> = plan
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        let mut placed = self
            .hosts
            .iter()
            .flat_map(|host| host.groups.iter().flatten());
        placed.any(|placed| {
            !names.contains(&placed.name.as_str())
                && nearest(&placed.name, &names) == Some(group.as_str())
        })
    }

    fn host(&self, host: &HostSettings, plan: &Plan, problems: &mut Vec<Problem>) -> HostPlan {
        let app = plan.app.as_str();
        let places = host.places.clone();
        let folder = places.folder.unwrap_or_else(|| format!("/opt/{app}"));
        let listeners = self.listeners(host, plan, problems);
        let replicas = self.replicas(host, plan, problems);
        if host.has_ports {
            self.meeting_ports(host, &replicas, &listeners, problems);
        }
        HostPlan {
            name: host.name.clone(),
            // Where it could not be read, the file is wrong, and nobody gets to see this.
            address: host.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user: places.user.unwrap_or_else(|| app.to_ascii_lowercase()),
            binary: places.binary.unwrap_or_else(|| format!("{folder}/{app}")),
            folder,
            run: places.run.unwrap_or_else(|| format!("/run/{app}")),
            replicas: replicas.into_iter().map(|(replica, _)| replica).collect(),
            listeners: listeners
                .into_iter()
                .map(|(name, (address, _))| (name, address))
                .collect(),
        }
    }

    fn replicas<'h>(
        &self,
        host: &'h HostSettings,
        plan: &Plan,
        problems: &mut Vec<Problem>,
    ) -> Vec<(PlacedReplica, &'h At)> {
        let mut replicas = Vec::new();
        let mut next = u32::from(host.port);
        for placed in host.groups.iter().flatten() {
            let Some(group) = plan
                .groups
                .iter()
                .find(|group| group.name == placed.name.as_str())
            else {
                continue;
            };
            let own = host.ports.iter().find(|port| port.group == placed.name);
            let first = own.map_or(next, |own| own.port.into());
            let last = first + placed.replicas.unwrap_or(1) - 1;
            if own.is_none() {
                next = last + 1;
            }
            if last > u32::from(u16::MAX) {
                let what = format!("the ports of group `{}` would go up to {last}", placed.name);
                let mend = format!("begin lower: the highest port is {}", u16::MAX);
                problems.push(self.problem(own.map_or(&placed.at, |own| &own.at), what, mend));
                continue;
            }
            for (ordinal, port) in (1..).zip(first..=last) {
                let replica = PlacedReplica {
                    group: group.name.clone(),
                    name: replica_name(&group.name, &host.name, ordinal),
                    ordinal,
                    port: port as u16,
                };
                replicas.push((replica, own.map_or(&placed.at, |own| &own.at)));
            }
        }
        replicas
    }

    /// The address of each listener that is served on `host`, and where it was written.
    fn listeners<'h>(
        &self,
        host: &'h HostSettings,
        plan: &Plan,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<Name, (SocketAddr, &'h At)> {
        let mut listeners = BTreeMap::new();
        let mut served: Vec<&str> = Vec::new();
        let here: Vec<&str> = host
            .groups
            .iter()
            .flatten()
            .filter_map(|placed| {
                plan.groups
                    .iter()
                    .find(|group| group.name == placed.name.as_str())
            })
            .flat_map(|group| group.listeners.iter().map(Name::as_str))
            .collect();
        // One that is mistyped is not missing, too.
        let is_meant = |listener: &Name| {
            let mut said = host.listeners.keys().map(String::as_str);
            said.any(|name| {
                !here.contains(&name) && nearest(name, &here) == Some(listener.as_str())
            })
        };
        for placed in host.groups.iter().flatten() {
            let group = plan
                .groups
                .iter()
                .find(|group| group.name == placed.name.as_str());
            for listener in group.into_iter().flat_map(|group| &group.listeners) {
                let set = plan
                    .listeners
                    .get(listener)
                    .filter(|address| address.port() != 0);
                match (host.listeners.get(listener.as_str()), set) {
                    (Some((Some(address), at)), _) => {
                        listeners.insert(listener.clone(), (*address, at));
                    }
                    (Some((None, _)), _) => {}
                    (None, Some(address)) => {
                        listeners.insert(listener.clone(), (*address, &placed.at));
                    }
                    (None, None) if host.has_listeners && !is_meant(listener) => {
                        let what = format!(
                            "the group `{}` serves the listener `{listener}`, which has no address on [hosts.{}]",
                            placed.name, host.name
                        );
                        let mend =
                            format!("write listeners.{listener} = \"0.0.0.0:8080\" below it");
                        problems.push(self.problem(&placed.at, what, mend));
                    }
                    (None, None) => {}
                }
                served.push(listener.as_str());
            }
        }
        for (name, (_, at)) in &host.listeners {
            if host.groups.is_some() && !served.contains(&name.as_str()) {
                let what = format!(
                    "no group of [hosts.{}] serves a listener `{name}`",
                    host.name
                );
                let mend = suggest(name, &served, "listeners of this host", "take it out");
                problems.push(self.problem(at, what, mend));
            }
        }
        listeners
    }

    /// Says which replicas of two hosts have one name: `a-b-c-1` is of `a` on `b-c`, and of `a-b` on `c`.
    fn meeting_names(&self, placement: &Placement, problems: &mut Vec<Problem>) {
        let mut taken: BTreeMap<&Name, &Name> = BTreeMap::new();
        for (host, placed) in self.hosts.iter().zip(&placement.hosts) {
            for replica in &placed.replicas {
                let name = &replica.name;
                if let Some(other) = taken.insert(name, &host.name) {
                    let what = format!(
                        "[hosts.{other}] and [hosts.{}] both have a replica `{name}`",
                        host.name
                    );
                    problems.push(self.problem(
                        &host.at,
                        what,
                        "give one of the hosts another name",
                    ));
                }
            }
        }
    }

    /// Says which ports of a host are given twice.
    fn meeting_ports(
        &self,
        host: &HostSettings,
        replicas: &[(PlacedReplica, &At)],
        listeners: &BTreeMap<Name, (SocketAddr, &At)>,
        problems: &mut Vec<Problem>,
    ) {
        let mut taken: Vec<(u16, String)> = Vec::new();
        let calls = replicas.iter().map(|(replica, at)| {
            let owner = format!("calls of `{}`", replica.name);
            (replica.port, owner, *at)
        });
        // A listener of the loopback interface alone meets no calls, but another listener.
        let outside = listeners
            .iter()
            .map(|(name, (address, at))| (address.port(), format!("the listener `{name}`"), *at));
        for (port, owner, at) in calls.chain(outside) {
            match taken.iter().find(|(other, _)| *other == port) {
                Some((_, other)) => {
                    let what = format!(
                        "port {port} of [hosts.{}] is for {other} and for {owner}",
                        host.name
                    );
                    problems.push(self.problem(at, what, "give one of them another port"));
                }
                None => taken.push((port, owner)),
            }
        }
    }
}

/// What a replica is called. A name may have 48 bytes: where it would be longer, a hash takes the place of its end.
fn replica_name(group: &Name, host: &Name, ordinal: u32) -> Name {
    let (place, suffix) = (format!("{group}-{host}"), format!("-{ordinal}"));
    let name = if place.len() + suffix.len() <= Name::MAX_LEN {
        place + &suffix
    } else {
        let hash = Fingerprint::EMPTY.with(&place).0 as u32;
        let keep = Name::MAX_LEN - suffix.len() - 9;
        format!("{}-{hash:08x}{suffix}", &place[..keep])
    };
    Name::new(name).expect("the start of a name, hexadecimal digits and a number make a name")
}
