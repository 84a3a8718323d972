//! The plan: which processes an application is made of in one topology, and what each is told.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use anylith_core::{Burst, EdgeSettings, Limits, Manifest, Name, Scaling, Telemetry};
use serde::{Deserialize, Serialize};

use crate::{
    Graph, Problem, Problems, ReplicaChange, Settings, Transport, burst,
    nearest::suggest,
    settings::{TopologySettings, scaling::Replicas},
    singleton,
};

/// The topology in which all components run in one process.
pub const MONOLITH: &str = "monolith";

/// The topology in which each component runs in a process of its own.
pub const MICRO: &str = "micro";

/// The topologies that always exist.
pub const BUILT_IN: [&str; 2] = [MONOLITH, MICRO];

/// An application in one topology, ready to be carried out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The application's name.
    pub app: Name,
    /// The topology's name.
    pub topology: Name,
    /// The groups, each after those it is dependent on as far as that is possible. Every component of the
    /// application is in exactly one.
    pub groups: Vec<GroupPlan>,
    /// Every listener of the application → where it listens. Port 0 leaves the port to the system; it is
    /// the default.
    pub listeners: BTreeMap<Name, SocketAddr>,
    /// What is set for edges.
    pub edges: Vec<EdgeSettings>,
    /// The config of each component that has one, secrets in place.
    pub config: BTreeMap<Name, serde_json::Value>,
    /// Limits of the data plane.
    pub limits: Limits,
    /// What replicas tell of themselves.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// What replicas call each other over.
    pub transport: Transport,
    /// Environment variables that every replica gets.
    pub env: BTreeMap<String, String>,
}

/// One group of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// Its name.
    pub name: Name,
    /// Its components, each after those it is dependent on. Never empty.
    pub components: Vec<Name>,
    /// The listeners that they serve, each once.
    pub listeners: Vec<Name>,
    /// How many replicas it has, at least one; to begin with, if it is scaled.
    pub replicas: u32,
    /// Those of its components of which there is one at a time. With any of them it has one replica.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub singletons: Vec<Name>,
    /// Within which bounds that number follows what they bear, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Those of its components of which replicas are started alone when there is a burst of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Burst>,
}

impl GroupPlan {
    /// How many replicas it has at most.
    pub fn most_replicas(&self) -> u32 {
        self.scaling.map_or(self.replicas, |scaling| scaling.max)
    }
}

impl Plan {
    /// The group that runs `component`.
    pub fn group_of(&self, component: &str) -> Option<&GroupPlan> {
        self.groups
            .iter()
            .find(|group| group.components.iter().any(|name| name == component))
    }
}

impl fmt::Debug for Plan {
    /// Shows all but the values of the config and of the environment, as they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("app", &self.app)
            .field("topology", &self.topology)
            .field("groups", &self.groups)
            .field("listeners", &self.listeners)
            .field("edges", &self.edges)
            .field("config", &self.config.keys())
            .field("limits", &self.limits)
            .field("telemetry", &self.telemetry)
            .field("transport", &self.transport)
            .field("env", &self.env.keys())
            .finish()
    }
}

impl GroupPlan {
    /// Gives it so many replicas.
    pub(crate) fn set_replicas(&mut self, replicas: Replicas) {
        match replicas {
            Replicas::Fixed(count) => {
                self.replicas = count;
                self.scaling = None;
            }
            Replicas::Scaled(scaling) => {
                self.replicas = scaling.initial();
                self.scaling = Some(scaling);
            }
        }
    }

    /// Whether nothing of it may run, and somebody would knock in vain.
    fn may_be_shut(&self) -> bool {
        self.scaling.is_some_and(|scaling| scaling.min == 0) && !self.listeners.is_empty()
    }
}

impl Settings {
    /// Plans `manifest`'s application in `topology`, with the replicas changed as asked.
    ///
    /// # Errors
    ///
    /// Everything that [`Settings::check`] finds, a topology that does not exist, a change of replicas that
    /// means no group, and two groups that serve one listener.
    pub fn plan(
        &self,
        manifest: &Manifest,
        topology: &str,
        replicas: &ReplicaChange,
    ) -> Result<Plan, Problems> {
        let mut problems = self.check(manifest);
        let Some((name, groups)) = self.groups(manifest, topology) else {
            problems.push(self.no_such_topology(topology));
            return Err(Problems::new(problems));
        };
        let graph = Graph::of(manifest);
        let mut groups = ordered(groups, &graph, manifest);
        if self.topologies.get(topology).is_none_or(|own| own.complete) {
            replicas.apply(&mut groups, &mut problems);
            singleton::check(&groups, replicas, &mut problems);
            doors_stay_open(&groups, replicas, &mut problems);
        }
        if !problems.is_empty() {
            return Err(Problems::new(problems));
        }
        shared_listeners(&groups, manifest, topology, &mut problems);
        let plan = Plan {
            app: self
                .app
                .name
                .clone()
                .unwrap_or_else(|| manifest.app.clone()),
            topology: name,
            groups,
            listeners: self.addresses(manifest),
            edges: self
                .edges
                .iter()
                .map(|edge| edge.settings.clone())
                .collect(),
            config: self
                .components
                .iter()
                .map(|(k, v)| (k.clone(), v.json.clone()))
                .collect(),
            limits: self.limits.clone(),
            telemetry: self.telemetry,
            transport: self.app.transport,
            env: self.app.env.clone(),
        };
        Problems::new(problems).none_or(plan)
    }

    /// The groups of `topology`, unordered.
    fn groups(&self, manifest: &Manifest, topology: &str) -> Option<(Name, Vec<GroupPlan>)> {
        let name = Name::new(topology).ok()?;
        let group = |name: &Name, components, replicas| {
            let mut group = GroupPlan {
                name: name.clone(),
                components,
                listeners: Vec::new(),
                replicas: 1,
                singletons: Vec::new(),
                scaling: None,
                bursts: Vec::new(),
            };
            group.set_replicas(replicas);
            group
        };
        let one = Replicas::Fixed(1);
        let all = manifest
            .components
            .iter()
            .map(|component| component.name.clone());
        let groups = match topology {
            MONOLITH => vec![group(&name, all.collect(), one)],
            MICRO => all
                .map(|component| group(&component, vec![component.clone()], one))
                .collect(),
            own => {
                let settings = self.topologies.get(own)?;
                let members = settings.members(manifest);
                let pairs = settings.groups.iter().zip(members);
                pairs
                    .map(|(of, members)| GroupPlan {
                        bursts: burst::among(&of.bursts, &members, manifest),
                        ..group(&of.name, members, of.replicas)
                    })
                    .collect()
            }
        };
        Some((name, groups))
    }

    fn no_such_topology(&self, topology: &str) -> Problem {
        let own = self.topologies.keys().map(Name::as_str);
        let valid: Vec<&str> = BUILT_IN.into_iter().chain(own).collect();
        let what = format!("there is no topology `{topology}`");
        let mend = suggest(topology, &valid, "topologies", "leave it out");
        Problem::given(&format!("--topology {topology}"), what, mend)
    }

    fn addresses(&self, manifest: &Manifest) -> BTreeMap<Name, SocketAddr> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listeners = manifest
            .components
            .iter()
            .flat_map(|component| &component.listeners);
        let address = |name: &Name| {
            let set = self.listeners.get(name).and_then(|known| known.address);
            set.unwrap_or(any)
        };
        listeners
            .map(|name| (name.clone(), address(name)))
            .collect()
    }
}

impl TopologySettings {
    /// The components of each group, `*` spelled out.
    pub(crate) fn members(&self, manifest: &Manifest) -> Vec<Vec<Name>> {
        let named = |component: &Name| {
            self.groups
                .iter()
                .flat_map(|group| &group.components)
                .any(|(name, _)| *component == name.as_str())
        };
        let known = |name: &str| {
            manifest
                .component(name)
                .map(|component| component.name.clone())
        };
        let rest = manifest.components.iter().map(|component| &component.name);
        let rest: Vec<Name> = rest
            .filter(|component| !named(component))
            .cloned()
            .collect();
        let members = self.groups.iter().map(|group| {
            let mut members = Vec::new();
            for (name, _) in &group.components {
                match name.as_str() {
                    "*" => members.extend(rest.iter().cloned()),
                    name => members.extend(known(name)),
                }
            }
            members
        });
        members.collect()
    }
}

/// Puts the groups, and the components of each, into the order in which they can start.
fn ordered(groups: Vec<GroupPlan>, graph: &Graph, manifest: &Manifest) -> Vec<GroupPlan> {
    let position: HashMap<&Name, usize> = graph
        .order()
        .into_iter()
        .enumerate()
        .map(|(index, name)| (name, index))
        .collect();
    let place = |name: &Name| position.get(name).copied().unwrap_or(usize::MAX);
    let mut groups = groups;
    for group in &mut groups {
        group.components.sort_by_key(&place);
        group.singletons = singleton::among(&group.components, manifest);
        let of = |name: &Name| manifest.component(name.as_str()).map(|c| &c.listeners);
        for listener in group.components.iter().filter_map(of).flatten() {
            if !group.listeners.contains(listener) {
                group.listeners.push(listener.clone());
            }
        }
    }
    // Groups can be dependent on each other where components are not: the graph then breaks the tie by
    // the order given here.
    groups.sort_by_key(|group| group.components.first().map_or(usize::MAX, &place));
    let group_of: HashMap<&Name, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(index, group)| group.components.iter().map(move |name| (name, index)))
        .collect();
    let edges = groups.iter().enumerate().map(|(index, group)| {
        let callees = group
            .components
            .iter()
            .flat_map(|name| graph.dependencies(name.as_str()));
        let others = callees.filter_map(|callee| group_of.get(callee).copied());
        others.filter(|other| *other != index).collect()
    });
    let names = groups.iter().map(|group| group.name.clone()).collect();
    let order = Graph::new(names, edges.collect()).order_indices();
    order
        .into_iter()
        .map(|index| groups[index].clone())
        .collect()
}

/// Says which groups may have no replica although one serves a listener, where that was asked for on the command line.
/// [`Settings::check`] says it of those of the file.
fn doors_stay_open(groups: &[GroupPlan], asked: &ReplicaChange, problems: &mut Vec<Problem>) {
    for group in groups.iter().filter(|group| group.may_be_shut()) {
        let Some(label) = asked.label_of(group) else {
            continue;
        };
        let what = format!(
            "`{}` serves the listener `{}`: who connects starts no replica, as a call does",
            group.name, group.listeners[0]
        );
        problems.push(Problem::given(&label, what, "write 1 for the fewest"));
    }
}

/// A listener is one socket, so one group has it.
fn shared_listeners(
    groups: &[GroupPlan],
    manifest: &Manifest,
    topology: &str,
    problems: &mut Vec<Problem>,
) {
    for (index, group) in groups.iter().enumerate() {
        for other in &groups[..index] {
            for listener in group
                .listeners
                .iter()
                .filter(|name| other.listeners.contains(name))
            {
                let what = format!(
                    "in the topology `{topology}` the groups `{}` and `{}` both serve the listener `{listener}`",
                    other.name, group.name
                );
                let mend = "give each component a listener of its own, or put them into one group";
                problems.push(Problem::application(manifest.app.as_str(), what, mend));
            }
        }
    }
}
