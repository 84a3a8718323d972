//! Groups whose numbers of replicas follow what those bear; and components that are started when they are called.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::{Address, Name, Scaling};

use super::{ControlPlane, Phase, change::UnderWay};
use crate::{
    action::{Action, Notice},
    autoscale::{Autoscaler, Burden},
    fate::Fate,
    life::Life,
    replica::Replica,
    roll::given_up,
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

impl Watched {
    fn new(number: u32, why: String, now: Instant) -> Self {
        Self {
            number,
            scaler: Autoscaler::new(number, now),
            why,
        }
    }
}

/// The range of a group that has one, and is not held at one number.
fn range(group: &GroupSpec) -> Option<Scaling> {
    group
        .scaling
        .filter(|scaling| scaling.min < scaling.max && !group.external)
}

impl ControlPlane {
    /// Whether the replicas of `group` are to say what they bear.
    pub(super) fn is_measured(&self, group: &Name) -> bool {
        self.spec.group(group).and_then(range).is_some()
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
        let scaled = groups.filter_map(|group| Some((group.name.clone(), range(group)?)));
        let scaled: BTreeMap<Name, Scaling> = scaled.collect();
        self.watch
            .groups
            .retain(|group, _| scaled.contains_key(group));
        for (group, scaling) in scaled {
            if let Some(burden) = self.burden(&group) {
                self.judge(&group, &scaling, &burden, now, actions);
            }
        }
    }

    /// What the replicas of `group` bear, if one of them has said so since this was last asked.
    fn burden(&mut self, group: &Name) -> Option<Burden> {
        let (mut burden, mut is_new) = (Burden::default(), false);
        let own = self.replicas.values_mut();
        for replica in own.filter(|one| one.group == *group && !one.fate.ends_it()) {
            let Life::Serving { run, .. } = &mut replica.life else {
                continue;
            };
            is_new |= std::mem::take(&mut run.load_is_new);
            match &run.load {
                Some(load) => burden.add(load),
                None => burden.unheard += 1,
            }
        }
        is_new.then_some(burden)
    }

    fn judge(
        &mut self,
        group: &Name,
        scaling: &Scaling,
        burden: &Burden,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(number) = self.spec.group(group).map(|group| group.replicas) else {
            return;
        };
        let watched = self.watch.groups.entry(group.clone());
        let watched = watched.or_insert_with(|| Watched::new(number, String::new(), now));
        if watched.number != number {
            *watched = Watched::new(number, String::new(), now);
        }
        let verdict = watched.scaler.judge(scaling, number, burden, now);
        watched.number = verdict.wanted;
        watched.why.clone_from(&verdict.why);
        if verdict.wanted != number {
            self.give(group, verdict.wanted, verdict.why, now, actions);
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
            if self.is_replaced(&group.name) {
                self.watch.called.insert(component, caller);
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

    /// Whether a reshape is about to make something else of a group of this name: a replica that began now would not have
    /// what it brings.
    fn is_replaced(&self, group: &Name) -> bool {
        match &self.change {
            Some(UnderWay::Reshape(reshape)) => reshape.prepares(group),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Upgrade(_)) | None => false,
        }
    }

    /// The components of which nothing answers now and that are started when they are called, given where all others
    /// `answer`. What has failed again and again is none of them: nobody should wait for it.
    pub(super) fn dormant(&self, answer: &BTreeMap<Name, Vec<Address>>) -> BTreeSet<Name> {
        if !matches!(self.phase, Phase::Adopting { .. } | Phase::Running(_)) {
            return BTreeSet::new();
        }
        let may_sleep = |group: &&GroupSpec| {
            let sleeps = range(group).is_some_and(|scaling| scaling.min == 0);
            let mut own = self.replicas.values().filter(|one| one.group == group.name);
            // What fails with a build that goes away again comes with the other one.
            let stays = |replica: &&Replica| replica.build == self.next_build();
            sleeps && !own.any(|replica| stays(&replica) && given_up(replica).is_some())
        };
        let groups = self.spec.groups.iter().filter(may_sleep);
        let components = groups.flat_map(|group| &group.components);
        let asleep = components.filter(|component| !answer.contains_key(*component));
        asleep.cloned().collect()
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
