//! What an upgrade would do, before anybody does it; and whether it can be done at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anylith_core::{Manifest, Name};
use serde::{Deserialize, Serialize};

use super::passage::quota;
use crate::{
    refused::Refused,
    reshape::plan::Processes,
    spec::{Spec, interfaces_of},
};

/// What an upgrade would do: a value, which is printed for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradePlan {
    /// The components whose interface is another one in the new build.
    pub changed: Vec<Name>,
    /// The groups, in the order in which they get their first replica of the new build where that matters: callees before
    /// those who call them through an interface that changes.
    pub groups: Vec<GroupUpgrade>,
    /// After which share of each group's replicas it waits to be resumed, in percent.
    #[serde(default)]
    pub canary: Option<u8>,
    /// How long the new build is watched, in milliseconds: first one replica of each group, and then all of them.
    pub observe_ms: u64,
    /// How many processes there are.
    pub processes: Processes,
}

/// What becomes of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupUpgrade {
    /// Its name.
    pub name: Name,
    /// Its components.
    pub components: Vec<Name>,
    /// How many replicas are started anew; 0 if it sleeps.
    pub replicas: u32,
    /// It sleeps, and one replica of the build that runs is started first: it is called through an interface that changes,
    /// and callers of both builds are to find somebody.
    #[serde(default)]
    pub woken: bool,
    /// The groups that it calls through an interface that changes: one replica of each build stays there as long as there
    /// is one here.
    #[serde(default)]
    pub bound_to: Vec<Name>,
}

/// Which groups call which through an interface that changes.
#[derive(Debug, Default)]
pub(crate) struct Borders {
    /// Caller → callees.
    calls: BTreeMap<Name, BTreeSet<Name>>,
}

impl Borders {
    pub(crate) fn new(spec: &Spec, changed: &BTreeSet<&Name>) -> Self {
        let mut calls: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        for group in &spec.groups {
            let callees = group.components.iter();
            let callees = callees.filter_map(|component| spec.dependencies.get(component));
            let callees = callees.flatten().filter(|callee| changed.contains(callee));
            // What is in the same process is of the same build.
            let elsewhere = callees.filter(|callee| !group.components.contains(callee));
            let homes = elsewhere.filter_map(|callee| spec.group_of(callee.as_str()));
            let homes = homes.map(|home| home.name.clone());
            calls.entry(group.name.clone()).or_default().extend(homes);
        }
        Self { calls }
    }

    pub(crate) fn callees_of(&self, caller: &Name) -> impl Iterator<Item = &Name> {
        self.calls.get(caller).into_iter().flatten()
    }

    pub(crate) fn callers_of(&self, callee: &Name) -> impl Iterator<Item = &Name> {
        let calls = self.calls.iter();
        let calls = calls.filter(move |(_, callees)| callees.contains(callee));
        calls.map(|(caller, _)| caller)
    }

    /// How many calls deep it goes from `group`; 0 if it calls nobody. Where groups call each other, as deep as there are groups.
    pub(crate) fn depth(&self, group: &Name) -> usize {
        self.depth_within(group, self.calls.len())
    }

    fn depth_within(&self, group: &Name, most: usize) -> usize {
        let Some(most) = most.checked_sub(1) else {
            return 0;
        };
        let callees = self.callees_of(group);
        let depths = callees.map(|callee| 1 + self.depth_within(callee, most));
        depths.max().unwrap_or(0)
    }

    /// Groups that call each other, if there are any.
    fn circle(&self) -> Option<(&Name, &Name)> {
        let reaches = |from: &Name, to: &Name| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(group) = next.pop() {
                for callee in self.callees_of(group) {
                    if callee == to {
                        return true;
                    }
                    if seen.insert(callee) {
                        next.push(callee);
                    }
                }
            }
            false
        };
        let calls = self.calls.iter();
        let mut calls =
            calls.flat_map(|(caller, callees)| callees.iter().map(move |to| (caller, to)));
        calls.find(|(caller, callee)| reaches(callee, caller))
    }
}

impl UpgradePlan {
    /// From what `spec` asks for to the build that says of itself what is in `manifest`.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it cannot be rolled in.
    pub fn new(
        spec: &Spec,
        manifest: &Manifest,
        canary: Option<u8>,
        observe_ms: u64,
    ) -> Result<Self, Refused> {
        if let Some(group) = spec.groups.iter().find(|group| group.external) {
            return Err(unrollable(
                format!(
                    "the replicas of {} are started elsewhere, and so is their build chosen there",
                    group.name
                ),
                "`anylith stop` here, and start all of it from the new build",
            ));
        }
        check(spec, manifest)?;
        let interfaces = interfaces_of(manifest);
        let is_changed =
            |component: &&Name| spec.interfaces.get(*component) != interfaces.get(*component);
        let changed: BTreeSet<&Name> = interfaces.keys().filter(is_changed).collect();
        let borders = Borders::new(spec, &changed);
        if let Some((one, other)) = borders.circle() {
            return Err(unrollable(
                format!("groups {one} and {other} call each other, through interfaces that change"),
                "`anylith reshape micro` first, where no two groups do",
            ));
        }
        let mut groups: Vec<GroupUpgrade> = spec
            .groups
            .iter()
            .filter(|group| !group.is_idle_burst())
            .map(|group| GroupUpgrade {
                name: group.name.clone(),
                components: group.components.clone(),
                replicas: group.replicas,
                woken: group.replicas == 0 && borders.callers_of(&group.name).next().is_some(),
                bound_to: borders.callees_of(&group.name).cloned().collect(),
            })
            .collect();
        groups.sort_by_key(|group| borders.depth(&group.name));
        let before = groups.iter().map(|group| group.replicas).sum();
        let woken = groups.iter().filter(|group| group.woken).count() as u32;
        Ok(Self {
            changed: changed.into_iter().cloned().collect(),
            canary,
            observe_ms,
            processes: Processes {
                before,
                peak: before + woken + groups.len() as u32,
                after: before,
            },
            groups,
        })
    }
}

/// Whether what `manifest` says can take the place of what runs, a part at a time.
fn check(spec: &Spec, manifest: &Manifest) -> Result<(), Refused> {
    const ANEW: &str = "such a build cannot be rolled in: `anylith stop`, and run the new one";
    if manifest.app != spec.app {
        let what = format!("that is a build of {}, and {} runs", manifest.app, spec.app);
        return Err(unrollable(
            what,
            "name a build of the application that runs",
        ));
    }
    let mut here = spec.dependencies.keys();
    if let Some(gone) = here.find(|name| manifest.component(name.as_str()).is_none()) {
        return Err(unrollable(
            format!("the new build has no component {gone}"),
            ANEW,
        ));
    }
    for component in &manifest.components {
        let name = &component.name;
        let Some(before) = spec.dependencies.get(name) else {
            let what = format!("the new build has a component more, {name}");
            return Err(unrollable(what, ANEW));
        };
        if let Some(callee) = component
            .dependencies
            .iter()
            .find(|it| !before.contains(it))
        {
            let what = format!("{name} is dependent on {callee} in the new build, and was not");
            return Err(unrollable(what, ANEW));
        }
        if let Some(callee) = before
            .iter()
            .find(|it| !component.dependencies.contains(it))
        {
            let what = format!("{name} is no longer dependent on {callee} in the new build");
            return Err(unrollable(what, ANEW));
        }
        let was_alone = spec.singletons.contains_key(name);
        if component.singleton.is_some() != was_alone {
            let now = if was_alone {
                "no singleton"
            } else {
                "a singleton"
            };
            let what = format!("{name} is {now} in the new build, and was otherwise before");
            return Err(unrollable(what, ANEW));
        }
        // There is one, so callers of one of the builds would have none.
        let interface = spec.interfaces.get(name);
        if was_alone && interface.is_some_and(|interface| *interface != component.fingerprint) {
            let what =
                format!("the interface of {name}, a singleton, is another one in the new build");
            return Err(unrollable(what, ANEW));
        }
        let serves = |listener: &Name| spec.listeners.get(listener) == Some(name);
        let mut served = spec.listeners.iter().filter(|(_, by)| *by == name);
        let more = component.listeners.iter().find(|it| !serves(it));
        let less = served.find(|(listener, _)| !component.listeners.contains(listener));
        if let Some(listener) = more.or(less.map(|(listener, _)| listener)) {
            let what = format!("{name} serves other listeners in the new build: see {listener}");
            return Err(unrollable(what, ANEW));
        }
    }
    Ok(())
}

fn unrollable(what: String, mend: &str) -> Refused {
    let mend = mend.to_owned();
    Refused::Unrollable { what, mend }
}

impl fmt::Display for UpgradePlan {
    /// A line for each group, and then what happens in which order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changed.is_empty() {
            true => writeln!(f, "no interface changes: both builds may call each other")?,
            false => writeln!(f, "interfaces that change: {}", list(&self.changed))?,
        }
        for group in &self.groups {
            let how = match (group.replicas, group.woken) {
                (0, false) => "asleep".to_owned(),
                (0, true) => "asleep, and started for it".to_owned(),
                (replicas, _) => count(replicas),
            };
            let name = &group.name;
            write!(f, "~ {name}, {how}: {}", list(&group.components))?;
            match group.bound_to.is_empty() {
                true => writeln!(f)?,
                false => writeln!(f, "; calls {} within one build only", list(&group.bound_to))?,
            }
        }
        let observe = std::time::Duration::from_millis(self.observe_ms);
        let added = count(self.groups.len() as u32);
        writeln!(
            f,
            "1. start {added} of the new build, one beside each group"
        )?;
        writeln!(f, "2. when they are ready, watch them for {observe:?}")?;
        let mut step = 3;
        if let Some(share) = self.canary {
            let of = |group: &GroupUpgrade| quota(share, group.replicas);
            let all: u32 = self.groups.iter().map(of).sum();
            let all = count(all);
            writeln!(
                f,
                "{step}. when {share} % of each group are of it, {all} in all, wait for `--resume`"
            )?;
            step += 1;
        }
        let Processes {
            before,
            peak,
            after,
        } = self.processes;
        let old = before + self.groups.iter().filter(|group| group.woken).count() as u32;
        writeln!(
            f,
            "{step}. drain the {old} of the old build and start them anew, one by one"
        )?;
        writeln!(
            f,
            "{}. watch all for {observe:?}, and stop those that were added",
            step + 1
        )?;
        writeln!(
            f,
            "{before} processes now, {peak} at the peak, {after} after"
        )
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

fn count(replicas: u32) -> String {
    match replicas {
        1 => "1 replica".to_owned(),
        more => format!("{more} replicas"),
    }
}
