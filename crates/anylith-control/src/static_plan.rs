//! What each host is given where no control plane runs: the files, as values.
//!
//! In: what should be ([`Spec`]) and where (`anylith_topology::Placement`). Out: of each host the orders of its
//! replicas and the units that start them. The same input gives the same bytes. Certificates are not among them: they
//! differ each time, and who issues them is not this crate.

mod unit;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anylith_core::{Address, Directory, Endpoint, Name, SecretReference};
use anylith_topology::{HostPlan, Placement};
use anylith_wire::{IdentityFiles, StandingOrders, control::Bootstrap};

use crate::spec::{GroupSpec, Spec};

/// An application on hosts without a control plane.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticPlan {
    /// The hosts, in the order of the placement.
    pub hosts: Vec<StaticHost>,
}

/// What one host is given.
#[derive(Clone, PartialEq)]
pub struct StaticHost {
    /// Its name.
    pub name: Name,
    /// Where its replicas are.
    pub plan: HostPlan,
    /// Path within the host's folder → what the file says. Units are below `units/`, and anybody may read those alone.
    pub files: BTreeMap<String, String>,
    /// The replicas that need a certificate: those that other hosts call, or that call other hosts.
    pub certified: Vec<StaticReplica>,
}

/// A replica of a [`StaticHost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticReplica {
    /// Its name.
    pub name: Name,
    /// Its group.
    pub group: Name,
    /// Its components.
    pub components: Vec<Name>,
}

/// What is the same for all replicas, besides the [`Spec`].
#[derive(Clone, PartialEq)]
pub struct StaticSettings {
    /// Component → the values of its config that are found on the host. They are not in the spec.
    pub secrets: BTreeMap<Name, Vec<SecretReference>>,
    /// Environment variables for every replica. Their values may be secrets, so no unit has them.
    pub env: BTreeMap<String, String>,
    /// How long a replica may take to drain.
    pub grace: Duration,
}

impl StaticReplica {
    /// The folder of its orders and its identity, within the host's folder.
    pub fn folder(&self) -> String {
        folder(&self.name)
    }
}

impl StaticHost {
    /// The folder of its sockets, where somebody has to make it before the replicas start: systemd does not.
    pub fn folder_to_make(&self) -> Option<&str> {
        let run = self.plan.run.as_str();
        (!unit::is_made_by_systemd(run)).then_some(run)
    }
}

impl fmt::Debug for StaticHost {
    /// Shows which files there are, and not what they say: that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticHost")
            .field("name", &self.name)
            .field("plan", &self.plan)
            .field("files", &self.files.keys())
            .field("certified", &self.certified)
            .finish()
    }
}

impl fmt::Debug for StaticSettings {
    /// Shows all but the values of the environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticSettings")
            .field("secrets", &self.secrets)
            .field("env", &self.env.keys())
            .field("grace", &self.grace)
            .finish()
    }
}

/// The file of a host with the environment of its replicas, in the host's folder.
const ENVIRONMENT: &str = "app.env";

/// The names of the files in which a replica finds its identity, in its folder: certificates, key, roots.
pub const IDENTITY_FILES: [&str; 3] = ["certificates.pem", "key.pem", "roots.pem"];

fn folder(replica: &Name) -> String {
    format!("replicas/{replica}")
}

impl StaticPlan {
    /// Renders `spec`, put on hosts by `placement`.
    pub fn new(spec: &Spec, placement: &Placement, settings: &StaticSettings) -> Self {
        let all: Vec<Resident<'_>> = placement
            .hosts
            .iter()
            .flat_map(|host| residents(spec, host))
            .collect();
        let host = |plan: &HostPlan| {
            let here = all.iter().filter(|one| one.host.name == plan.name);
            let here: Vec<&Resident<'_>> = here.collect();
            let mut files = BTreeMap::new();
            let mut certified = Vec::new();
            for resident in &here {
                let orders = resident.orders(spec, &all, settings);
                if orders.identity.is_some() {
                    certified.push(resident.replica());
                }
                let path = format!("{}/bootstrap.json", folder(&resident.name));
                files.insert(path, json(&orders));
            }
            if !settings.env.is_empty() {
                files.insert(ENVIRONMENT.to_owned(), unit::environment(&settings.env));
            }
            for (name, text) in unit::all(spec, plan, &here, settings) {
                files.insert(format!("units/{name}"), text);
            }
            StaticHost {
                name: plan.name.clone(),
                plan: plan.clone(),
                files,
                certified,
            }
        };
        Self {
            hosts: placement.hosts.iter().map(host).collect(),
        }
    }
}

fn json(orders: &StandingOrders) -> String {
    let text = serde_json::to_string_pretty(orders);
    text.expect("orders have text for keys, and nothing that is no JSON") + "\n"
}

/// A replica on its host, as others see it.
#[derive(Debug)]
struct Resident<'a> {
    name: Name,
    group: &'a GroupSpec,
    host: &'a HostPlan,
    port: u16,
}

fn residents<'a>(spec: &'a Spec, host: &'a HostPlan) -> Vec<Resident<'a>> {
    let resident = |placed: &anylith_topology::PlacedReplica| {
        let group = spec
            .groups
            .iter()
            .find(|group| group.name == placed.group)?;
        Some(Resident {
            name: placed.name.clone(),
            group,
            host,
            port: placed.port,
        })
    };
    host.replicas.iter().filter_map(resident).collect()
}

impl Resident<'_> {
    fn replica(&self) -> StaticReplica {
        StaticReplica {
            name: self.name.clone(),
            group: self.group.name.clone(),
            components: self.group.components.clone(),
        }
    }

    /// The components that it calls in other processes.
    fn calls<'s>(&self, spec: &'s Spec) -> BTreeSet<&'s Name> {
        spec.calls_of(&self.group.components)
    }

    /// Whether `self` calls something that `other` runs.
    fn calls_replica(&self, other: &Self, spec: &Spec) -> bool {
        let calls = self.calls(spec);
        other
            .group
            .components
            .iter()
            .any(|name| calls.contains(name))
    }

    fn is_neighbour(&self, other: &Self) -> bool {
        self.host.name == other.host.name
    }

    /// Where `from` reaches it.
    fn endpoint(&self, from: &Self) -> Endpoint {
        match self.is_neighbour(from) {
            true => self.unix(),
            false => self.tcp(),
        }
    }

    fn unix(&self) -> Endpoint {
        Endpoint::Unix(format!("{}/{}.sock", self.host.run, self.name).into())
    }

    fn tcp(&self) -> Endpoint {
        let address: IpAddr = self.host.address;
        Endpoint::Tcp(SocketAddr::new(address, self.port))
    }

    /// The replicas of everything that it calls, each where it reaches them.
    fn directory(&self, spec: &Spec, all: &[Resident<'_>]) -> Directory {
        let replicas = |component: &&Name| {
            let serving = all
                .iter()
                .filter(|one| one.group.components.contains(component));
            let mut replicas: Vec<Address> = serving
                .map(|one| Address {
                    replica: one.name.clone(),
                    endpoint: one.endpoint(self),
                })
                .collect();
            replicas.sort();
            replicas
        };
        let calls = self.calls(spec);
        let calls = calls.into_iter();
        let calls = calls.map(|component| (component.clone(), replicas(&component)));
        Directory::new(1, calls)
    }

    /// Where it answers: only where somebody calls it.
    fn endpoints(&self, spec: &Spec, all: &[Resident<'_>]) -> Vec<Endpoint> {
        let callers: Vec<_> = all
            .iter()
            .filter(|one| one.calls_replica(self, spec))
            .collect();
        let mut endpoints = Vec::new();
        if callers.iter().any(|caller| caller.is_neighbour(self)) {
            endpoints.push(self.unix());
        }
        if callers.iter().any(|caller| !caller.is_neighbour(self)) {
            endpoints.push(self.tcp());
        }
        endpoints
    }

    fn orders(
        &self,
        spec: &Spec,
        all: &[Resident<'_>],
        settings: &StaticSettings,
    ) -> StandingOrders {
        let directory = self.directory(spec, all);
        let endpoints = self.endpoints(spec, all);
        let is_tcp = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Tcp(_));
        let called = directory.addresses().map(|one| &one.endpoint);
        let is_between_hosts = endpoints.iter().chain(called).any(is_tcp);
        let [certificates, key, roots] = IDENTITY_FILES.map(Into::into);
        let identity = is_between_hosts.then_some(IdentityFiles {
            certificates,
            key,
            roots,
        });
        let secrets = settings.secrets.iter();
        let secrets = secrets.filter(|(name, _)| self.group.components.contains(name));
        let listen = spec
            .listeners_of(&self.group.components)
            .into_keys()
            .filter_map(|name| self.host.listeners.get(&name).map(|at| (name, *at)))
            .collect();
        StandingOrders {
            replica: self.name.clone(),
            listen,
            secrets: secrets
                .map(|(name, refs)| (name.clone(), refs.clone()))
                .collect(),
            identity,
            grace_ms: settings.grace.as_millis() as u64,
            discovery: None,
            health: None,
            bootstrap: Bootstrap {
                endpoints,
                directory,
                ..spec.standing_bootstrap(self.group)
            },
        }
    }
}
