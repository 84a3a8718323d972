//! What should be: a plan with everything that a control plane must know to carry it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anylith_core::{
    Burst, Directory, EdgeSettings, Fingerprint, Limits, Manifest, Name, Scaling, Singleton, Size,
    Telemetry,
};
use anylith_topology::{Plan, Transport};
use anylith_wire::control::Bootstrap;
use serde::{Deserialize, Serialize};

/// One application in one topology, as it should run.
///
/// Its config may hold secrets, which its `Debug` leaves out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The application.
    pub app: Name,
    /// The topology's name.
    pub topology: Name,
    /// The groups. Every component is in exactly one, but for those of bursts: each of these is of one component that is in
    /// another group as well.
    pub groups: Vec<GroupSpec>,
    /// Component → the components it is dependent on, without cycles.
    pub dependencies: BTreeMap<Name, Vec<Name>>,
    /// Listener → the component that serves it.
    pub listeners: BTreeMap<Name, Name>,
    /// The config of each component that has one.
    pub config: BTreeMap<Name, serde_json::Value>,
    /// What was set for edges.
    pub edges: Vec<EdgeSettings>,
    /// Limits of the data plane.
    pub limits: Limits,
    /// What replicas tell of themselves.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// What replicas call each other over.
    #[serde(default)]
    pub transport: Transport,
    /// The components of which there is one at a time.
    #[serde(default)]
    pub singletons: BTreeMap<Name, Singleton>,
    /// What the interface of each component looks like in the build that runs.
    #[serde(default)]
    pub interfaces: BTreeMap<Name, Fingerprint>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configured: Vec<&Name> = self.config.keys().collect();
        f.debug_struct("Spec")
            .field("app", &self.app)
            .field("topology", &self.topology)
            .field("groups", &self.groups)
            .field("dependencies", &self.dependencies)
            .field("listeners", &self.listeners)
            .field("config of", &configured)
            .field("edges", &self.edges)
            .field("limits", &self.limits)
            .field("telemetry", &self.telemetry)
            .field("transport", &self.transport)
            .field("singletons", &self.singletons)
            .field("interfaces", &self.interfaces)
            .finish()
    }
}

/// One group of a [`Spec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Its name, from which those of its replicas are made.
    pub name: Name,
    /// What runs in it.
    pub components: Vec<Name>,
    /// How many replicas it has; 0 only where its range allows it, and nothing of it is called.
    pub replicas: u32,
    /// Within which bounds that number follows what they bear, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Whether its replicas are started beside those of the group that its one component stands in, when there is a burst
    /// of calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub burst: bool,
    /// Whether its replicas are processes that somebody else starts, and that connect by themselves.
    #[serde(default)]
    pub external: bool,
}

impl GroupSpec {
    /// The group for `burst`, without a replica.
    pub fn of_burst(burst: &Burst) -> Self {
        Self {
            name: burst.group(),
            components: vec![burst.component.clone()],
            replicas: 0,
            scaling: Some(burst.scaling),
            burst: true,
            external: false,
        }
    }

    /// Whether it is for bursts, and there is none: it has no replica then, and misses none.
    pub(crate) fn is_idle_burst(&self) -> bool {
        self.burst && self.replicas == 0
    }

    /// The names of its replicas: the group's, a hyphen, and an ordinal from 1.
    pub fn replica_names(&self) -> impl Iterator<Item = Name> + '_ {
        (1..=self.replicas).map(|ordinal| self.replica_name(ordinal))
    }

    /// Gives it another size; returns how many replicas it had. With a range the number stays, as far as that has it, and
    /// what each replica is to bear stays as it was said.
    pub(crate) fn set_size(&mut self, size: Size) -> u32 {
        let before = self.replicas;
        match size {
            Size::Fixed(replicas) => {
                self.replicas = replicas;
                self.scaling = self.scaling.map(|had| Scaling::resized(Some(had), size));
            }
            Size::Between { .. } => {
                let scaling = Scaling::resized(self.scaling, size);
                self.replicas = scaling.clamp(before);
                self.scaling = Some(scaling);
            }
        }
        before
    }

    /// The name of the replica with this number.
    pub fn replica_name(&self, ordinal: u32) -> Name {
        replica_name(&self.name, ordinal)
    }
}

/// A name may have 48 bytes, so the group's gives way where the ordinal would not fit. Two long groups that
/// differ only in their last letters are told apart by a hash.
pub(crate) fn replica_name(group: &Name, ordinal: u32) -> Name {
    let suffix = format!("-{ordinal}");
    let name = if group.as_str().len() + suffix.len() <= Name::MAX_LEN {
        format!("{group}{suffix}")
    } else {
        let hash = anylith_core::Fingerprint::EMPTY.with(group.as_str()).0 as u32;
        let keep = Name::MAX_LEN - suffix.len() - 9;
        format!("{}-{hash:08x}{suffix}", &group.as_str()[..keep])
    };
    Name::new(name).expect("the start of a name, hexadecimal digits and an ordinal make a name")
}

/// What the interfaces look like of an application that says of itself what is in `manifest`.
pub(crate) fn interfaces_of(manifest: &Manifest) -> BTreeMap<Name, Fingerprint> {
    let components = manifest.components.iter();
    components
        .map(|component| (component.name.clone(), component.fingerprint))
        .collect()
}

impl Spec {
    /// What `plan` asks for, of the application that says of itself what is in `manifest`.
    pub fn new(plan: &Plan, manifest: &Manifest) -> Self {
        let groups = plan.groups.iter().map(|group| GroupSpec {
            name: group.name.clone(),
            components: group.components.clone(),
            replicas: group.replicas,
            scaling: group.scaling,
            burst: false,
            external: false,
        });
        let bursts = plan.groups.iter().flat_map(|group| &group.bursts);
        let groups = groups.chain(bursts.map(GroupSpec::of_burst));
        let mut dependencies = BTreeMap::new();
        let (mut listeners, mut singletons) = (BTreeMap::new(), BTreeMap::new());
        for component in &manifest.components {
            dependencies.insert(component.name.clone(), component.dependencies.clone());
            let singleton = component.singleton;
            singletons.extend(singleton.map(|it| (component.name.clone(), it)));
            for listener in &component.listeners {
                listeners.insert(listener.clone(), component.name.clone());
            }
        }
        Self {
            app: plan.app.clone(),
            topology: plan.topology.clone(),
            groups: groups.collect(),
            dependencies,
            listeners,
            config: plan.config.clone(),
            edges: plan.edges.clone(),
            limits: plan.limits.clone(),
            telemetry: plan.telemetry,
            transport: plan.transport,
            singletons,
            interfaces: interfaces_of(manifest),
        }
    }

    /// The group called `name`.
    pub fn group(&self, name: &Name) -> Option<&GroupSpec> {
        self.groups.iter().find(|group| group.name == *name)
    }

    /// The group that `component` stands in; not the one that is for its bursts.
    pub fn group_of(&self, component: &str) -> Option<&GroupSpec> {
        let mut groups = self.groups.iter().filter(|group| !group.burst);
        groups.find(|group| group.components.iter().any(|name| *name == component))
    }

    /// The groups that are for bursts, each with its component.
    pub(crate) fn bursts(&self) -> impl Iterator<Item = (&GroupSpec, &Name)> {
        let groups = self.groups.iter().filter(|group| group.burst);
        groups.filter_map(|group| Some((group, group.components.first()?)))
    }

    /// The listeners that a replica with `components` serves, in the order of their names, each with the file
    /// descriptor at which it inherits it: from 3, as `LISTEN_FDS` has it.
    pub fn listeners_of(&self, components: &[Name]) -> BTreeMap<Name, i32> {
        let served = self
            .listeners
            .iter()
            .filter(|(_, by)| components.contains(by));
        served
            .zip(3..)
            .map(|((listener, _), fd)| (listener.clone(), fd))
            .collect()
    }

    /// The components that are dependent on `component`.
    pub fn callers_of<'a>(&'a self, component: &'a Name) -> impl Iterator<Item = &'a Name> {
        let calls = move |(_, callees): &(&Name, &Vec<Name>)| callees.contains(component);
        self.dependencies
            .iter()
            .filter(calls)
            .map(|(caller, _)| caller)
    }

    /// Each of `components` → those that may call it: the components that are dependent on it, and those that
    /// somebody else runs, who drives the application from outside.
    pub(crate) fn allowed_callers(&self, components: &[Name]) -> BTreeMap<Name, Vec<Name>> {
        let external = self.groups.iter().filter(|group| group.external);
        let driving: Vec<&Name> = external.flat_map(|group| &group.components).collect();
        let of = |component: &Name| {
            let callers = self.callers_of(component).chain(driving.iter().copied());
            (component.clone(), callers.cloned().collect())
        };
        components.iter().map(of).collect()
    }

    /// The components that `components` call in other processes: what is beside them they call there, always.
    pub fn calls_of<'s>(&'s self, components: &[Name]) -> BTreeSet<&'s Name> {
        let callees = components
            .iter()
            .filter_map(|name| self.dependencies.get(name));
        callees
            .flatten()
            .filter(|callee| !components.contains(callee))
            .collect()
    }

    /// What a replica of `group` is told where there is no control plane, but for where it answers and whom it finds where.
    pub fn standing_bootstrap(&self, group: &GroupSpec) -> Bootstrap {
        let components = &group.components;
        Bootstrap {
            app: self.app.clone(),
            group: group.name.clone(),
            components: components.clone(),
            endpoints: Vec::new(),
            listeners: self.listeners_of(components),
            config: self.config_of(components),
            edges: self.edges_of(components),
            limits: self.limits.clone(),
            telemetry: self.telemetry,
            directory: Directory::default(),
            identity: None,
            callers: Some(self.allowed_callers(components)),
            // Nobody is there who would let it go.
            held: Vec::new(),
        }
    }

    /// The first of `components` of which there is one at a time, where a group of so many `replicas` would have more.
    pub(crate) fn crowded<'c>(&self, components: &'c [Name], replicas: u32) -> Option<&'c Name> {
        let mut found = components.iter();
        let found = found.find(|component| self.singletons.contains_key(*component));
        found.filter(|_| replicas > 1)
    }

    /// The config of `components`.
    pub(crate) fn config_of(&self, components: &[Name]) -> BTreeMap<Name, serde_json::Value> {
        let own = |(name, _): &(&Name, &serde_json::Value)| components.contains(name);
        self.config
            .iter()
            .filter(own)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The settings of edges that leave `components`.
    pub(crate) fn edges_of(&self, components: &[Name]) -> Vec<EdgeSettings> {
        let own: BTreeSet<&Name> = components.iter().collect();
        self.edges
            .iter()
            .filter(|edge| own.contains(&edge.caller))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_spec_has_no_secret_in_it() {
        let name = |text| Name::new(text).unwrap();
        let spec = Spec {
            app: name("shop"),
            topology: name("micro"),
            groups: Vec::new(),
            dependencies: BTreeMap::new(),
            listeners: BTreeMap::new(),
            config: [(name("Mail"), serde_json::json!({"password": "hunter2"}))].into(),
            edges: Vec::new(),
            limits: Limits::default(),
            telemetry: Telemetry::default(),
            transport: Transport::Unix,
            singletons: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        };
        let printed = format!("{spec:?} {spec:#?}");
        assert!(
            printed.contains("Mail") && !printed.contains("hunter2"),
            "{printed}"
        );
    }

    #[test]
    fn the_replicas_of_a_group_with_a_long_name_still_have_names_of_their_own() {
        let group = |name: String| GroupSpec {
            name: Name::new(name).unwrap(),
            components: Vec::new(),
            replicas: 2,
            scaling: None,
            burst: false,
            external: false,
        };
        let (one, other) = (group("x".repeat(48)), group(format!("{}y", "x".repeat(47))));
        let names: BTreeSet<Name> = one.replica_names().chain(other.replica_names()).collect();
        assert_eq!(names.len(), 4);
    }
}
