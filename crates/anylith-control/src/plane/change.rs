//! What is changed while the application runs, one change at a time: what is asked for is checked here, and each step is taken
//! as soon as it can be. What a reshape and an upgrade ask for is in `reshape.rs` and `upgrade.rs`.

use std::{collections::BTreeMap, fmt, time::Instant};

use anylith_core::{Name, Size};
use anylith_topology::MAX_REPLICAS;

use super::{ControlPlane, Phase};
use crate::{
    action::{Action, Cause, Change, Notice},
    defect::{Defect, planted},
    endpoint::endpoint,
    fate::Fate,
    input::Input,
    life::Life,
    memory::Remembered,
    refused::Refused,
    replica::Replica,
    reshape::{Reshape, Turn, plan::ReshapePlan},
    roll::{Move, Roll},
    scale::{self, Before, Scale},
    spec::GroupSpec,
    status::{ReplicaState, Underway, UpgradeStage},
    upgrade::{Rollout, Upgrade},
    view::View,
};

/// The change that is under way. There is one at a time.
#[derive(Debug)]
pub(super) enum UnderWay {
    Roll(Roll),
    Scale(Scale),
    Reshape(Reshape),
    Upgrade(Box<Upgrade>),
}

impl UnderWay {
    pub(super) fn upgrade(rollout: Rollout) -> Self {
        Self::Upgrade(Box::new(Upgrade::new(rollout)))
    }

    pub(super) fn next_tick(&self) -> Option<Instant> {
        match self {
            Self::Roll(roll) => roll.next_tick(),
            Self::Scale(scale) => scale.next_tick(),
            Self::Reshape(reshape) => reshape.next_tick(),
            Self::Upgrade(upgrade) => upgrade.next_tick(),
        }
    }

    /// Whether what it waits for now has a limit, and it is given up after that.
    fn may_be_given_up(&self) -> bool {
        match self {
            Self::Roll(roll) => roll.may_be_given_up(),
            Self::Scale(scale) => scale.may_be_given_up(),
            Self::Reshape(reshape) => reshape.may_be_given_up(),
            // It goes back, and how long it has for its steps depends on each.
            Self::Upgrade(_) => false,
        }
    }

    /// Whether it takes what is on its way back if that cannot begin where it is to be.
    pub(super) fn may_go_back(&self) -> bool {
        match self {
            Self::Roll(_) | Self::Scale(_) => false,
            Self::Reshape(reshape) => reshape.may_go_back(),
            Self::Upgrade(upgrade) => upgrade.may_go_back(),
        }
    }

    fn kind(&self) -> Change {
        match self {
            Self::Roll(_) => Change::Restart,
            Self::Scale(_) => Change::Scale,
            Self::Reshape(_) => Change::Reshape,
            Self::Upgrade(_) => Change::Upgrade,
        }
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Roll(roll) => roll.fmt(f),
            Self::Scale(scale) => scale.fmt(f),
            Self::Reshape(reshape) => reshape.fmt(f),
            Self::Upgrade(upgrade) => upgrade.fmt(f),
        }
    }
}

impl ControlPlane {
    /// Whether a restart of `group`, or of every group, can begin now.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub fn check_restart(&self, group: Option<&Name>) -> Result<(), Refused> {
        self.check_idle()?;
        group.map_or(Ok(()), |group| self.meant(group).map(drop))
    }

    /// Whether these groups can get these numbers of replicas now.
    ///
    /// # Errors
    ///
    /// Why they cannot.
    pub fn check_scale(&self, groups: &BTreeMap<Name, Size>) -> Result<(), Refused> {
        self.check_idle()?;
        let mut named: BTreeMap<Name, &Name> = BTreeMap::new();
        for (group, size) in groups {
            let meant = self.meant(group)?;
            if let Some(one) = named.insert(meant.clone(), group) {
                let (one, other) = (one.clone(), group.clone());
                return Err(Refused::Twice { one, other });
            }
            let replicas = size.most();
            let components = self.spec.group(&meant).map(|group| &*group.components);
            let crowded = self.spec.crowded(components.unwrap_or_default(), replicas);
            if let Some(component) = crowded.cloned() {
                let group = meant;
                return Err(Refused::Crowded {
                    component,
                    group,
                    replicas,
                });
            }
            self.check_size(&meant, group, *size)?;
        }
        Ok(())
    }

    /// What other numbers of replicas would change now.
    ///
    /// # Errors
    ///
    /// Why they cannot be had.
    pub fn plan_scale(&self, groups: &BTreeMap<Name, Size>) -> Result<ReshapePlan, Refused> {
        self.check_scale(groups)?;
        let mut wanted = self.spec.groups.clone();
        for (group, size) in groups {
            let meant = self.meant(group)?;
            let mut all = wanted.iter_mut();
            if let Some(group) = all.find(|group| group.name == meant) {
                group.set_size(*size);
            }
        }
        let topology = &self.spec.topology;
        Ok(ReshapePlan::between(&self.spec, topology, &wanted))
    }

    /// Whether the group `meant`, which was called `group`, can have this size.
    fn check_size(&self, meant: &Name, group: &Name, size: Size) -> Result<(), Refused> {
        let (min, max) = match size {
            Size::Fixed(replicas) => (replicas.max(1), replicas),
            Size::Between { min, max } => (min, max),
        };
        let group = group.clone();
        if !(1..=MAX_REPLICAS).contains(&max) {
            let replicas = max;
            return Err(Refused::Number { group, replicas });
        }
        if min > max {
            return Err(Refused::Range { group, min, max });
        }
        let own = self.spec.group(meant);
        let own = own.map_or(&[][..], |group| &group.components);
        match self.spec.listeners_of(own).into_keys().next() {
            Some(listener) if min == 0 => Err(Refused::Shut { group, listener }),
            Some(_) | None => Ok(()),
        }
    }

    /// How far the change has come that is under way, in words.
    pub fn change(&self) -> Option<String> {
        self.change.as_ref().map(ToString::to_string)
    }

    /// Which change is under way.
    pub fn underway(&self) -> Option<Underway> {
        Some(match self.change.as_ref()? {
            UnderWay::Roll(_) => Underway::Restart,
            UnderWay::Scale(_) => Underway::Scale,
            UnderWay::Reshape(reshape) => Underway::Reshape {
                to: reshape.to().clone(),
            },
            UnderWay::Upgrade(upgrade) => Underway::Upgrade {
                stage: match upgrade.rollout() {
                    None => UpgradeStage::Settles,
                    Some(rollout) if rollout.setback.is_some() => UpgradeStage::GoesBack,
                    Some(rollout) if rollout.paused => UpgradeStage::Paused,
                    Some(_) => UpgradeStage::Comes,
                },
            },
        })
    }

    pub(super) fn check_idle(&self) -> Result<(), Refused> {
        match (&self.phase, self.change()) {
            (Phase::Stopping { .. } | Phase::Done, _) => Err(Refused::Stopping),
            (Phase::Adopting { .. }, _) => Err(Refused::Adopting),
            (Phase::Running(_), Some(mut under_way)) => {
                if self.change.as_ref().is_some_and(UnderWay::may_be_given_up) {
                    let ready = self.timing.ready;
                    under_way += &format!(", for which it has {ready:?} before it is given up");
                }
                let is_paused = matches!(
                    self.underway(),
                    Some(Underway::Upgrade {
                        stage: UpgradeStage::Paused
                    })
                );
                Err(Refused::Busy {
                    under_way,
                    is_paused,
                })
            }
            (Phase::Running(_), None) => Ok(()),
        }
    }

    /// The group that is meant by its own name, or by that of a component in it.
    fn meant(&self, name: &Name) -> Result<Name, Refused> {
        let by_name = self.spec.group(name);
        let group = name.clone();
        match by_name.or_else(|| self.spec.group_of(name.as_str())) {
            Some(found) if found.external => Err(Refused::External { group }),
            Some(found) => Ok(found.name.clone()),
            None => Err(Refused::UnknownGroup {
                group,
                known: self.groups_and_components(),
            }),
        }
    }

    pub(super) fn restart(&mut self, group: Option<&Name>, actions: &mut Vec<Action>) {
        let group = match (self.check_restart(group), group) {
            (Ok(()), Some(group)) => self.meant(group).ok(),
            (Ok(()), None) => None,
            (Err(_), _) => return,
        };
        let wanted = self.spec.groups.iter().filter(|one| !one.external);
        // What sleeps begins anew by itself.
        let wanted = wanted.filter(|one| one.replicas > 0);
        let wanted = wanted.filter(|one| group.as_ref().is_none_or(|group| one.name == *group));
        let (groups, all): (Vec<Name>, Vec<u32>) = wanted
            .map(|group| (group.name.clone(), group.replicas))
            .unzip();
        let notice = Notice::Restarting {
            groups: groups.clone(),
        };
        actions.push(Action::Report(notice));
        self.change = Some(UnderWay::Roll(Roll::new(groups, all.iter().sum())));
    }

    pub(super) fn scale(
        &mut self,
        groups: &BTreeMap<Name, Size>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.check_scale(groups).is_err() {
            return;
        }
        let sizes: BTreeMap<Name, Size> = groups
            .iter()
            .filter_map(|(group, size)| Some((self.meant(group).ok()?, *size)))
            .collect();
        let (mut changes, mut before) = (BTreeMap::new(), BTreeMap::new());
        for group in &mut self.spec.groups {
            if let Some(size) = sizes.get(&group.name) {
                let scaling = group.scaling;
                let replicas = group.set_size(*size);
                changes.insert(group.name.clone(), (group.replicas, replicas));
                before.insert(group.name.clone(), Before { replicas, scaling });
            }
        }
        let numbers = changes.iter();
        let numbers = numbers.map(|(name, (now, _))| (name.clone(), *now));
        let groups: BTreeMap<Name, u32> = numbers.collect();
        actions.push(Action::Report(Notice::Scaling { groups: changes }));
        for (name, replicas) in &groups {
            self.resize(name, *replicas, now, actions);
        }
        let by = now + self.timing.ready;
        self.change = Some(UnderWay::Scale(Scale::new(groups, before, by)));
    }

    /// Groups are to have what they had before their numbers were changed.
    fn take_back_scale(
        &mut self,
        before: BTreeMap<Name, Before>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        for (name, Before { replicas, scaling }) in before {
            let mut groups = self.spec.groups.iter_mut();
            if let Some(group) = groups.find(|group| group.name == name) {
                (group.replicas, group.scaling) = (replicas, scaling);
                self.resize(&name, replicas, now, actions);
            }
        }
    }

    /// Gives the replicas of a group their fates, now that it is to have so many.
    pub(super) fn resize(
        &mut self,
        group: &Name,
        replicas: u32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if let Some(group) = self.spec.group(group).cloned() {
            for ordinal in 1..=replicas {
                self.add(&group, ordinal, Fate::Stays, now);
            }
        }
        let prepared = self.prepared(group).map_or(0, |next| next.replicas);
        let kept = replicas.max(prepared);
        let of_group = self.replicas.values().filter(|one| one.group == *group);
        let too_many = of_group.filter(|one| one.ordinal > kept && !one.fate.ends_it());
        let too_many: Vec<Name> = too_many.map(|one| one.name.clone()).collect();
        for replica in too_many {
            self.end(&replica, Fate::Leaves, now, actions);
        }
    }

    /// Adds a replica to a group. One that leaves and is wanted again comes back when it has left.
    pub(super) fn add(&mut self, group: &GroupSpec, ordinal: u32, fate: Fate, now: Instant) {
        let name = group.replica_name(ordinal);
        if let Some(replica) = self.replicas.get_mut(&name) {
            replica.fate = match replica.fate {
                Fate::Stays | Fate::StandsIn => fate,
                Fate::Renewed => Fate::Renewed,
                Fate::Leaves => {
                    // What leaves may be of a topology that is not wanted any more.
                    replica.components.clone_from(&group.components);
                    replica.coming.clear();
                    Fate::Renewed
                }
            };
            return;
        }
        let past = Remembered {
            pid: None,
            fate,
            build: self.build,
            ..self.past.remove(&name).unwrap_or_default()
        };
        let endpoint = endpoint(&self.spec, &self.sockets, &name, past.incarnation);
        let replica = Replica::new(ordinal, group, past, endpoint, now);
        self.replicas.insert(name, replica);
    }

    /// Drains a replica, for what is to become of it then.
    pub(super) fn end(&mut self, name: &Name, fate: Fate, now: Instant, actions: &mut Vec<Action>) {
        if let Some(replica) = self.replicas.get_mut(name) {
            replica.fate = fate;
        }
        self.tell(name, Input::Stop, now, actions);
    }

    /// Takes every step of the change under way that can be taken now.
    pub(super) fn advance_change(&mut self, now: Instant, actions: &mut Vec<Action>) {
        loop {
            self.bury(now);
            let view = View {
                spec: &self.spec,
                replicas: &self.replicas,
                timing: &self.timing,
                directory: &self.directory,
                listeners: &self.listeners,
                now,
            };
            let step = match &mut self.change {
                Some(UnderWay::Roll(roll)) => roll.advance(view),
                Some(UnderWay::Scale(scale)) => match scale.advance(view) {
                    Some(scale::Turn::TakeBack(before)) => {
                        self.take_back_scale(before, now, actions);
                        continue;
                    }
                    Some(scale::Turn::Over(notice)) => Some(Move::Over(notice)),
                    None => None,
                },
                Some(UnderWay::Reshape(reshape)) => match reshape.advance(view) {
                    Some(Turn::TakeBack { why }) => {
                        self.take_back(why, now, actions);
                        continue;
                    }
                    Some(Turn::Over(notice)) => Some(Move::Over(notice)),
                    None if planted(Defect::SwitchUnkept) && reshape.decided().is_some() => {
                        self.carry_out_decision(now, actions);
                        continue;
                    }
                    None => None,
                },
                Some(UnderWay::Upgrade(upgrade)) => match upgrade.advance(view) {
                    Some(step) => {
                        self.take_step(step, now, actions);
                        continue;
                    }
                    None => None,
                },
                None => None,
            };
            match step {
                Some(Move::Add { group }) => {
                    if let Some(group) = view.group(&group).cloned() {
                        self.add(&group, group.replicas + 1, Fate::StandsIn, now);
                    }
                }
                Some(Move::Renew { replica }) => self.end(&replica, Fate::Renewed, now, actions),
                Some(Move::Tell(notice)) => actions.push(Action::Report(notice)),
                Some(Move::Over(notice)) => self.conclude_change(notice, actions),
                None => return,
            }
        }
    }

    /// The change is over: people are told how it has ended.
    pub(super) fn conclude_change(&mut self, end: Notice, actions: &mut Vec<Action>) {
        self.change = None;
        actions.push(Action::Report(end));
    }

    /// Everything is to stop: a change is not brought to its end.
    pub(super) fn give_up_change(&mut self, actions: &mut Vec<Action>) {
        if let Some(change) = self.change.take() {
            let (what, why) = (change.kind(), "the application is being stopped".to_owned());
            actions.push(Action::Report(Notice::ChangeFailed {
                what,
                cause: Cause::Stop,
                why,
                replica: None,
            }));
        }
        self.forget_coming();
    }

    /// Lets stand-ins go that nobody needs: the others of their group are ready, and no restart is at work there.
    pub(super) fn dismiss_stand_ins(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let needs = |group: &Name| match &self.change {
            Some(UnderWay::Roll(roll)) => roll.needs_stand_in(group),
            Some(UnderWay::Upgrade(upgrade)) => upgrade.needs_stand_ins(),
            Some(UnderWay::Scale(_) | UnderWay::Reshape(_)) | None => false,
        };
        let lacks = |group: &Name| {
            let mut own = self.replicas.values().filter(|one| one.group == *group);
            own.any(|one| one.fate != Fate::StandsIn && one.state() != ReplicaState::Ready)
        };
        let stand_ins = self.replicas.values();
        let stand_ins = stand_ins.filter(|one| one.fate == Fate::StandsIn);
        let free = stand_ins.filter(|one| !needs(&one.group) && !lacks(&one.group));
        let free: Vec<Name> = free.map(|one| one.name.clone()).collect();
        for replica in free {
            self.end(&replica, Fate::Leaves, now, actions);
        }
    }

    /// Does with replicas that have stopped alone what is to become of them.
    pub(super) fn bury(&mut self, now: Instant) {
        let stopped = |replica: &&Replica| matches!(replica.life, Life::Stopped);
        let (mut gone, mut renewed) = (Vec::new(), Vec::new());
        for replica in self.replicas.values().filter(stopped) {
            match replica.fate {
                Fate::Renewed => renewed.push(replica.name.clone()),
                Fate::Leaves | Fate::StandsIn => gone.push(replica.name.clone()),
                Fate::Stays => {}
            }
        }
        let build = self.next_build();
        for name in renewed {
            // Nothing follows but that it is due.
            self.tell(&name, Input::Renew { build }, now, &mut Vec::new());
        }
        for name in gone {
            if let Some(replica) = self.replicas.remove(&name) {
                let past = Remembered {
                    incarnation: replica.incarnation,
                    restarts: replica.restarts,
                    pid: None,
                    fate: Fate::Stays,
                    build: self.build,
                };
                self.past.insert(name, past);
            }
        }
    }
}
