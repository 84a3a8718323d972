//! Groups whose numbers of replicas follow what those bear; and components that are started when they are called.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Name, Scaling, Target};

use super::{ControlPlane, Phase};
use crate::{
    action::{Action, Notice},
    autoscale::{Autoscaler, Burden},
    fate::Fate,
    life::Life,
    replica::Replica,
    roll::given_up,
    run::Run,
    spec::GroupSpec,
    status::ScalingStatus,
};

/// What is known of the groups that are scaled. Nothing of it outlives the control plane but the numbers, which are in the
/// spec: the next one begins with what it finds, and lets no replica leave before it has looked for a while.
#[derive(Debug, Default)]
pub(super) struct Watchlist {
    groups: BTreeMap<Name, Watched>,
    /// Components of which nothing runs, and who was heard to call them.
    called: BTreeMap<Name, Name>,
}

/// One group.
#[derive(Debug)]
struct Watched {
    /// The number that it had when it was looked at last. If it has another one by now, somebody has changed it.
    number: u32,
    scaler: Autoscaler,
    why: String,
}

impl Watchlist {
    /// Those of `groups` are not what they were: what is known of them is so no more.
    pub(super) fn forget(&mut self, groups: &[Name]) {
        self.groups.retain(|group, _| !groups.contains(group));
    }
}

impl Watched {
    fn new(number: u32, why: String, now: Instant) -> Self {
        Self {
            number,
            scaler: Autoscaler::new(number, now),
            why,
        }
    }
}

/// How the number of a group is found.
#[derive(Debug, Clone, PartialEq)]
enum Aim {
    /// By what its replicas bear.
    Own(Scaling),
    /// By what the replicas bear of `component` that have it, those of the group `home` that it stands in among them: it is
    /// for the bursts of that.
    Burst {
        scaling: Scaling,
        component: Name,
        home: Name,
    },
}

/// The range of a group that has one, and is not held at one number.
fn range(group: &GroupSpec) -> Option<Scaling> {
    group
        .scaling
        .filter(|scaling| scaling.min < scaling.max && !group.external)
}

/// The range of all replicas that have a component, so many of which are `beside` those for its bursts. Where nothing runs
/// until it is called, nothing runs beside it.
fn together(burst: &Scaling, beside: u32) -> Scaling {
    let more = if beside == 0 { 0 } else { burst.max };
    Scaling {
        min: beside + burst.min.min(more),
        max: beside + more,
        ..*burst
    }
}

impl ControlPlane {
    /// Whether the replicas of `group` are to say what they bear: its number follows that, or that of a group that it calls.
    pub(super) fn is_measured(&self, group: &Name) -> bool {
        let calls = || {
            let callees = self.spec.group(group).into_iter();
            let callees = callees.flat_map(|group| &group.components);
            let callees = callees.filter_map(|component| self.spec.dependencies.get(component));
            let mut homes = callees
                .flatten()
                .filter_map(|callee| self.spec.group_of(callee.as_str()));
            homes.any(|home| {
                let by_calls = |scaling: Scaling| matches!(scaling.target, Target::Concurrency(_));
                home.name != *group && range(home).is_some_and(by_calls)
            })
        };
        let bursts = || {
            let mut bursts = self.spec.bursts();
            bursts.any(|(burst, component)| {
                let home = self.spec.group_of(component.as_str());
                range(burst).is_some() && home.is_some_and(|home| home.name == *group)
            })
        };
        self.spec.group(group).and_then(range).is_some() || calls() || bursts()
    }

    /// Calls of `component` wait, by what `caller` says.
    pub(super) fn called(&mut self, component: Name, caller: &Name) {
        if self.spec.group_of(component.as_str()).is_some() {
            self.watch.called.insert(component, caller.clone());
        }
    }

    /// Starts what is called and sleeps, and gives groups the numbers that fit what their replicas bear. While another
    /// change is under way only the first is done.
    pub(super) fn autoscale(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.wake(now, actions);
        if self.change.is_some() {
            return;
        }
        let groups = self.spec.groups.iter();
        let scaled = groups.filter_map(|group| Some((group.name.clone(), self.aim(group)?)));
        let scaled: BTreeMap<Name, Aim> = scaled.collect();
        self.watch
            .groups
            .retain(|group, _| scaled.contains_key(group));
        for (group, aim) in scaled {
            match aim {
                Aim::Own(scaling) => {
                    if let Some(burden) = self.burden(&group) {
                        self.judge(&group, 0, &scaling, &burden, now, actions);
                    }
                }
                Aim::Burst {
                    scaling,
                    component,
                    home,
                } => {
                    let Some(burden) = self.burden_of(&component, &home, &group) else {
                        continue;
                    };
                    let beside = self.spec.group(&home).map_or(0, |home| home.replicas);
                    let together = together(&scaling, beside);
                    self.judge(&group, beside, &together, &burden, now, actions);
                }
            }
        }
    }

    /// How the number of `group` is found, if it is not fixed.
    fn aim(&self, group: &GroupSpec) -> Option<Aim> {
        let scaling = range(group)?;
        if !group.burst {
            return Some(Aim::Own(scaling));
        }
        let component = group.components.first()?.clone();
        let home = self.spec.group_of(component.as_str())?;
        Some(Aim::Burst {
            scaling,
            home: home.name.clone(),
            component,
        })
    }

    /// What the replicas of the groups `home` and `burst` bear of `component`, once each of them that says so has said it since
    /// this was last asked: else calls that have gone from one to another would count twice.
    fn burden_of(&mut self, component: &Name, home: &Name, burst: &Name) -> Option<Burden> {
        let own = self.replicas.values_mut().filter(|one| {
            let has_it = one.group == *home || one.group == *burst;
            has_it && !one.fate.ends_it()
        });
        let runs = own.filter_map(|replica| match &mut replica.life {
            Life::Serving { run, .. } => Some(run),
            _ => None,
        });
        let mut runs: Vec<&mut Run> = runs.collect();
        let is_awaited = |run: &Run| {
            let says_it = run.connected && !run.pulse.is_silent();
            says_it && run.each.contains_key(component) && !run.new_each.contains(component)
        };
        if runs.iter().any(|run| is_awaited(run)) {
            return None;
        }
        let (mut burden, mut is_new) = (Burden::default(), false);
        for run in &mut runs {
            is_new |= run.new_each.remove(component);
            match run.each.get(component) {
                Some(Some(load)) => burden.add(load),
                Some(None) | None => burden.unheard += 1,
            }
        }
        is_new.then_some(burden)
    }

    /// What the replicas of `group` bear, if one of them has said so since this was last asked.
    fn burden(&mut self, group: &Name) -> Option<Burden> {
        let (mut burden, mut is_new, mut is_late) = (Burden::default(), false, false);
        let own = self.replicas.values_mut();
        for replica in own.filter(|one| one.group == *group && !one.fate.ends_it()) {
            let Life::Serving { run, .. } = &mut replica.life else {
                continue;
            };
            is_new |= std::mem::take(&mut run.load_is_new);
            match &run.load {
                Some(load) => {
                    is_late |= load.late;
                    burden.add(load);
                }
                None => burden.unheard += 1,
            }
        }
        if is_late {
            let (awaited, callers_are_new) = self.awaited_of(group);
            burden.concurrency = burden.concurrency.max(awaited);
            is_new |= callers_are_new;
        }
        is_new.then_some(burden)
    }

    /// How many calls other processes have under way to `group`, to that of its components that has most, by what they say;
    /// and whether one of them has said so since this was last asked. A replica whose threads all compute does not read its
    /// calls, and does not know how many wait: who waits does.
    fn awaited_of(&mut self, group: &Name) -> (f64, bool) {
        let components = self.spec.group(group).map(|group| &group.components);
        let bursting: Vec<&Name> = self.spec.bursts().map(|(_, component)| component).collect();
        // Of what has a burst it is not known which calls went to the group.
        let components = components.into_iter().flatten();
        let components = components.filter(|component| !bursting.contains(component));
        let (mut most, mut is_new) = (0, false);
        for component in components {
            let mut sum = 0;
            for replica in self.replicas.values_mut() {
                let Life::Serving { run, .. } = &mut replica.life else {
                    continue;
                };
                is_new |= run.new_outgoing.remove(component);
                if run.connected && !run.pulse.is_silent() {
                    sum += run.outgoing.get(component).copied().unwrap_or(0);
                }
            }
            most = most.max(sum);
        }
        (most as f64 / 1e3, is_new)
    }

    /// Gives `group` the number that fits `burden`, which it bears together with so many replicas `beside` it.
    fn judge(
        &mut self,
        group: &Name,
        beside: u32,
        scaling: &Scaling,
        burden: &Burden,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(own) = self.spec.group(group).map(|group| group.replicas) else {
            return;
        };
        let number = beside + own;
        let watched = self.watch.groups.entry(group.clone());
        let watched = watched.or_insert_with(|| Watched::new(number, String::new(), now));
        if watched.number != number {
            *watched = Watched::new(number, String::new(), now);
        }
        let verdict = watched.scaler.judge(scaling, number, burden, now);
        watched.number = verdict.wanted;
        watched.why.clone_from(&verdict.why);
        if verdict.wanted != number {
            let wanted = verdict.wanted - beside;
            self.give(group, wanted, verdict.why, now, actions);
        }
    }

    /// Gives a group the number `wanted`.
    fn give(
        &mut self,
        group: &Name,
        wanted: u32,
        why: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let mut groups = self.spec.groups.iter_mut();
        let Some(found) = groups.find(|one| one.name == *group) else {
            return;
        };
        let before = std::mem::replace(&mut found.replicas, wanted);
        actions.push(Action::Report(Notice::Autoscaled {
            group: group.clone(),
            now: wanted,
            before,
            why,
        }));
        self.resize(group, wanted, now, actions);
    }

    /// Starts the groups of which nothing runs, and of which a component is called.
    fn wake(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let called = std::mem::take(&mut self.watch.called);
        for (component, caller) in called {
            let Some(group) = self.spec.group_of(component.as_str()) else {
                continue;
            };
            // The others are there already, or on their way.
            if group.replicas > 0 {
                continue;
            }
            let (group, first) = (group.clone(), group.replica_name(1));
            let is_there = self.replicas.contains_key(&first);
            let build = self.build_for(&group, now);
            self.rouse(
                &group.name,
                format!("{caller} calls {component}"),
                now,
                actions,
            );
            let begun = self.replicas.get_mut(&first).filter(|_| !is_there);
            begun.into_iter().for_each(|one| one.build = build);
            self.join_reshape(&group, &first);
        }
    }

    /// A replica of `group` is woken as it is in the topology that stands. Where a reshape prepares a group of this name, it is
    /// to become one of that as well: it has the components of both until it is known which stands.
    fn join_reshape(&mut self, group: &GroupSpec, replica: &Name) {
        let Some(next) = self.prepared(&group.name) else {
            return;
        };
        next.replicas = next.replicas.max(1);
        let comes = next.components.clone();
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.takes_in(&group.components);
            replica.takes_in(&comes);
        }
    }

    /// Starts a replica of a group of which nothing runs.
    pub(super) fn rouse(
        &mut self,
        group: &Name,
        why: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let watched = Watched::new(1, why.clone(), now);
        self.watch.groups.insert(group.clone(), watched);
        self.give(group, 1, why, now, actions);
    }

    /// The components that are started when they are called, if none of them answers. What has failed again and again is
    /// none of them: nobody should wait for it.
    pub(super) fn asleep(&self) -> Vec<Name> {
        if !matches!(self.phase, Phase::Adopting { .. } | Phase::Running(_)) {
            return Vec::new();
        }
        let may_sleep = |group: &&GroupSpec| {
            let sleeps = !group.burst && range(group).is_some_and(|scaling| scaling.min == 0);
            let mut own = self.replicas.values().filter(|one| one.group == group.name);
            // What fails with a build that goes away again comes with the other one.
            let stays = |replica: &&Replica| replica.build == self.next_build();
            sleeps && !own.any(|replica| stays(&replica) && given_up(replica).is_some())
        };
        let groups = self.spec.groups.iter().filter(may_sleep);
        groups.flat_map(|group| group.components.clone()).collect()
    }

    /// The groups as they should be, each with the number that it has by now, if that follows what its replicas bear.
    pub(super) fn at_present(&self, mut groups: Vec<GroupSpec>) -> Vec<GroupSpec> {
        for group in &mut groups {
            if let (Some(scaling), Some(known)) = (range(group), self.spec.group(&group.name)) {
                group.replicas = scaling.clamp(known.replicas);
            }
        }
        groups
    }

    /// Whether a replica that load has brought is still starting, or one that is not needed still leaves.
    pub(super) fn is_adjusting(&self) -> bool {
        let moves = |replica: &Replica| match replica.fate {
            Fate::Stays => !replica.was_ready() && replica.failures == 0,
            Fate::Leaves => true,
            Fate::StandsIn | Fate::Renewed => false,
        };
        let mut replicas = self.replicas.values();
        replicas.any(|replica| self.watch.groups.contains_key(&replica.group) && moves(replica))
    }

    /// How the number of `group` comes about, if it follows what its replicas bear.
    pub(super) fn scaling_status(&self, group: &GroupSpec) -> Option<ScalingStatus> {
        let Scaling {
            min, max, target, ..
        } = group.scaling?;
        let watched = self.watch.groups.get(&group.name);
        let why = match watched.map(|watched| watched.why.as_str()) {
            _ if min == max => "it was set to this number",
            None | Some("") if group.burst && group.replicas == 0 => "not measured yet",
            None | Some("") if group.replicas == 0 => "nothing is called; the next call starts one",
            None | Some("") => "not measured yet",
            Some(why) => why,
        };
        Some(ScalingStatus {
            wanted: group.replicas,
            min,
            max,
            target,
            why: why.to_owned(),
        })
    }
}
