//! What a reshape would do, before anybody does it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anylith_core::{Name, Scaling};
use anylith_topology::MAX_REPLICAS;
use serde::{Deserialize, Serialize};

use super::footprint::MemoryUse;
use crate::{
    refused::Refused,
    spec::{GroupSpec, Spec},
};

/// What a reshape would do: a value, which is printed for people as what goes and what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReshapePlan {
    /// The topology that runs.
    pub from: Name,
    /// The one that is to.
    pub to: Name,
    /// Every group of either: those of the new one in its order, and then those that go.
    pub groups: Vec<GroupChange>,
    /// How many processes there are.
    pub processes: Processes,
    /// How much memory they have, if somebody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUse>,
}

/// What becomes of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    /// Its name.
    pub name: Name,
    /// Whether it is in both topologies, or in which.
    pub becomes: Becomes,
    /// The components that stay, or that a new group begins with, or that one had which goes.
    pub components: Vec<Name>,
    /// The components that start in its replicas while these run.
    #[serde(default)]
    pub comes: Vec<Name>,
    /// The components that drain in its replicas while these run.
    #[serde(default)]
    pub goes: Vec<Name>,
    /// How many replicas it has; 0 for none.
    pub before: u32,
    /// How many it is to have.
    pub after: u32,
}

/// What becomes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// Its replicas start.
    New,
    /// There is one of that name before and after: its replicas run on, and change in place.
    Kept,
    /// Its replicas leave.
    Gone,
}

/// How many processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// Now.
    pub before: u32,
    /// When all that is new is ready, and nothing has left yet.
    pub peak: u32,
    /// In the end.
    pub after: u32,
}

impl ReshapePlan {
    /// What is to be done where `topology` runs already, in so many processes.
    pub fn nothing(topology: Name, processes: u32) -> Self {
        Self {
            from: topology.clone(),
            to: topology,
            groups: Vec::new(),
            processes: Processes {
                before: processes,
                peak: processes,
                after: processes,
            },
            memory: None,
        }
    }

    /// From what `spec` asks for to the topology called `to`, which has `groups`.
    ///
    /// # Errors
    ///
    /// [`Refused`] if that is no topology of the application that runs, or the one that runs.
    pub fn new(spec: &Spec, to: &Name, groups: &[GroupSpec]) -> Result<Self, Refused> {
        check(spec, groups)?;
        let ranges = |all: &[GroupSpec]| -> BTreeMap<Name, Option<Scaling>> {
            let each = all.iter().map(|group| (group.name.clone(), group.scaling));
            each.collect()
        };
        let same_ranges = ranges(groups) == ranges(&spec.groups);
        let same_names = groups.len() == spec.groups.len();
        let is_same = |group: &GroupSpec| change(spec.group(&group.name), group).is_none();
        if *to == spec.topology && same_ranges && same_names && groups.iter().all(is_same) {
            return Err(Refused::Same {
                topology: to.clone(),
            });
        }
        Ok(Self::between(spec, to, groups))
    }

    /// The same, where it is known that it can be.
    pub(crate) fn between(spec: &Spec, to: &Name, groups: &[GroupSpec]) -> Self {
        let mut changes: Vec<GroupChange> = groups
            .iter()
            .map(|group| change(spec.group(&group.name), group))
            .collect();
        let gone = spec.groups.iter();
        let gone = gone.filter(|old| groups.iter().all(|group| group.name != old.name));
        changes.extend(gone.map(|old| GroupChange {
            name: old.name.clone(),
            becomes: Becomes::Gone,
            components: old.components.clone(),
            comes: Vec::new(),
            goes: Vec::new(),
            before: old.replicas,
            after: 0,
        }));
        // Of bursts that are none there is nothing to say.
        let idle = |name: &Name| {
            let all = groups.iter().chain(&spec.groups);
            all.filter(|it| it.name == *name)
                .all(GroupSpec::is_idle_burst)
        };
        changes.retain(|change| !idle(&change.name));
        let sum = |of: fn(&GroupChange) -> u32| changes.iter().map(of).sum();
        Self {
            from: spec.topology.clone(),
            to: to.clone(),
            processes: Processes {
                before: sum(|group| group.before),
                peak: sum(|group| group.before.max(group.after)),
                after: sum(|group| group.after),
            },
            groups: changes,
            memory: None,
        }
    }
}

impl GroupChange {
    /// Whether all stays as it is.
    fn is_none(&self) -> bool {
        self.comes.is_empty() && self.goes.is_empty() && self.before == self.after
    }
}

/// What becomes of `group`, which was `old`.
fn change(old: Option<&GroupSpec>, group: &GroupSpec) -> GroupChange {
    let Some(old) = old else {
        return GroupChange {
            name: group.name.clone(),
            becomes: Becomes::New,
            components: group.components.clone(),
            comes: Vec::new(),
            goes: Vec::new(),
            before: 0,
            after: group.replicas,
        };
    };
    let those = |of: &GroupSpec, test: &dyn Fn(&Name) -> bool| -> Vec<Name> {
        let components = of.components.iter();
        components.filter(|name| test(name)).cloned().collect()
    };
    GroupChange {
        name: group.name.clone(),
        becomes: Becomes::Kept,
        components: those(group, &|name| old.components.contains(name)),
        comes: those(group, &|name| !old.components.contains(name)),
        goes: those(old, &|name| !group.components.contains(name)),
        before: old.replicas,
        after: group.replicas,
    }
}

/// Whether `groups` divide the components of what runs, each once.
fn check(spec: &Spec, groups: &[GroupSpec]) -> Result<(), Refused> {
    let foreign = |what: String| Err(Refused::Foreign { what });
    if let Some(group) = spec.groups.iter().find(|group| group.external) {
        let group = group.name.clone();
        return Err(Refused::External { group });
    }
    let mut names = BTreeSet::new();
    let mut homes: BTreeMap<&Name, &Name> = BTreeMap::new();
    for group in groups {
        if !names.insert(&group.name) {
            return foreign(format!("there are two groups called {}", group.name));
        }
        let least = group.scaling.map_or(1, |scaling| scaling.min.min(1));
        if !(least..=MAX_REPLICAS).contains(&group.replicas) {
            let (group, replicas) = (group.name.clone(), group.replicas);
            return Err(Refused::Number { group, replicas });
        }
        let most = group.scaling.map_or(group.replicas, |scaling| scaling.max);
        if let Some(component) = spec.crowded(&group.components, most) {
            return Err(Refused::Crowded {
                component: component.clone(),
                group: group.name.clone(),
                replicas: most,
            });
        }
        if group.components.is_empty() {
            return foreign(format!("{} has no components", group.name));
        }
        let alone = group.components.as_slice();
        let serves = || spec.listeners.values().any(|by| alone.contains(by));
        let is_one = || alone.iter().any(|it| spec.singletons.contains_key(it));
        if group.burst && (alone.len() != 1 || group.scaling.is_none() || serves() || is_one()) {
            let what = format!("{} cannot be for the bursts of a component", group.name);
            return foreign(what);
        }
        for component in &group.components {
            if !spec.dependencies.contains_key(component) {
                return foreign(format!("it has no component {component}"));
            }
            if group.burst {
                continue;
            }
            if let Some(other) = homes.insert(component, &group.name) {
                let one = &group.name;
                return foreign(format!("{component} would be in {other} and in {one}"));
            }
        }
    }
    let mut all = spec.dependencies.keys();
    match all.find(|component| !homes.contains_key(component)) {
        Some(component) => foreign(format!("{component} would be in no group")),
        None => Ok(()),
    }
}

impl fmt::Display for ReshapePlan {
    /// A line for each group that changes, and then what happens in which order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} -> {}", self.from, self.to)?;
        for group in &self.groups {
            group.fmt(f)?;
        }
        writeln!(f, "1. start {}", self.starts())?;
        writeln!(
            f,
            "2. when all of that is ready, send calls there and nowhere else"
        )?;
        writeln!(f, "3. drain and stop {}", self.stops())?;
        self.write_footprint(f)
    }
}

impl ReshapePlan {
    /// How many processes and how much memory it takes, in words.
    pub(crate) fn write_footprint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Processes {
            before,
            peak,
            after,
        } = self.processes;
        let many = match before {
            1 => "1 process".to_owned(),
            many => format!("{many} processes"),
        };
        writeln!(f, "{many} now, {peak} at the peak, {after} after")?;
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let (now, peak) = (mib(memory.before_bytes), mib(memory.peak_bytes));
        writeln!(
            f,
            "{now} MiB of memory now, at most about {peak} MiB at the peak"
        )
    }
}

impl fmt::Display for GroupChange {
    /// `+ checkout  2 replicas: Checkout, Payment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, .. } = self;
        let own = list(&self.components);
        match self.becomes {
            Becomes::New => writeln!(f, "+ {name}, {}: {own}", replicas(self.after)),
            Becomes::Gone => writeln!(f, "- {name}, {}: {own}", replicas(self.before)),
            Becomes::Kept => {
                let mark = if self.is_none() { "=" } else { "~" };
                write!(f, "{mark} {name}, {}", replicas(self.after))?;
                if self.before != self.after {
                    write!(f, " and not {}", self.before)?;
                }
                let mut parts = Vec::new();
                if !self.components.is_empty() {
                    parts.push(own);
                }
                parts.extend(self.comes.iter().map(|component| format!("+{component}")));
                parts.extend(self.goes.iter().map(|component| format!("-{component}")));
                writeln!(f, ": {}", parts.join(", "))
            }
        }
    }
}

impl ReshapePlan {
    fn starts(&self) -> String {
        let mut parts = Vec::new();
        for group in &self.groups {
            let name = &group.name;
            if group.after > group.before {
                parts.push(some_of(name, group.after - group.before));
            }
            if !group.comes.is_empty() {
                parts.push(format!("{} in {name}", list(&group.comes)));
            }
        }
        some(&parts)
    }

    fn stops(&self) -> String {
        let mut parts = Vec::new();
        for group in &self.groups {
            let name = &group.name;
            if !group.goes.is_empty() {
                parts.push(format!("{} in {name}", list(&group.goes)));
            }
            if group.before > group.after {
                parts.push(some_of(name, group.before - group.after));
            }
        }
        some(&parts)
    }
}

fn some(parts: &[String]) -> String {
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(", "),
    }
}

/// `Cart`, or `2 replicas of Cart`.
fn some_of(group: &Name, count: u32) -> String {
    match count {
        1 => group.to_string(),
        more => format!("{more} replicas of {group}"),
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

fn replicas(count: u32) -> String {
    match count {
        1 => "1 replica".to_owned(),
        more => format!("{more} replicas"),
    }
}
