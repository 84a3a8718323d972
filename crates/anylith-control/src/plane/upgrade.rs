//! An upgrade, as the control plane carries it out; and which build each replica is started from.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Fingerprint, Manifest, Name};
use anylith_wire::control::Steer;

use super::{ControlPlane, change::UnderWay};
use crate::{
    action::{Action, Notice},
    defect::{Defect, planted},
    fate::Fate,
    input::Input,
    refused::Refused,
    replica::Replica,
    spec::GroupSpec,
    upgrade::{Rollout, Step, plan::UpgradePlan},
};

impl ControlPlane {
    /// What an upgrade to the build that says of itself what is in `manifest` would do now. With `canary` it waits after
    /// that share of each group's replicas, in percent; and it watches the new build for `observe_ms`, in milliseconds.
    ///
    /// # Errors
    ///
    /// Why it cannot begin.
    pub fn check_upgrade(
        &self,
        manifest: &Manifest,
        canary: Option<u8>,
        observe_ms: u64,
    ) -> Result<UpgradePlan, Refused> {
        self.check_idle()?;
        UpgradePlan::new(&self.spec, manifest, canary, observe_ms)
    }

    /// Whether `steer` can be said to the upgrade that is under way.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub fn check_steer(&self, steer: Steer) -> Result<(), Refused> {
        let checked = match &self.change {
            Some(UnderWay::Upgrade(upgrade)) => upgrade.check(steer),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Reshape(_)) | None => {
                Err("no upgrade is under way")
            }
        };
        checked.map_err(|why| Refused::Unsteerable { why })
    }

    /// The build that stands, by its number.
    pub fn build(&self) -> u32 {
        self.build
    }

    /// The build that `replica` is started from next.
    pub fn build_of(&self, replica: &Name) -> u32 {
        if planted(Defect::OtherBuild) {
            return self.next_build();
        }
        let replica = self.replicas.get(replica);
        replica.map_or(self.build, |replica| replica.build)
    }

    /// What the next control plane must know of the upgrade that is under way.
    pub(super) fn rollout(&self) -> Option<Rollout> {
        match &self.change {
            _ if planted(Defect::NoRollout) => None,
            Some(UnderWay::Upgrade(upgrade)) => upgrade.rollout().cloned(),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Reshape(_)) | None => None,
        }
    }

    /// The build that a replica is started from which was drained to be started anew.
    pub(super) fn next_build(&self) -> u32 {
        match &self.change {
            Some(UnderWay::Upgrade(upgrade)) if upgrade.needs_stand_ins() => upgrade.target(),
            Some(_) | None => self.build,
        }
    }

    pub(super) fn upgrade(
        &mut self,
        build: u32,
        interfaces: BTreeMap<Name, Fingerprint>,
        canary: Option<u8>,
        observe_ms: u64,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.check_idle().is_err() || build == self.build {
            return;
        }
        let replicas = self.spec.groups.iter().map(|group| group.replicas).sum();
        actions.push(Action::Report(Notice::Upgrading { replicas }));
        self.change = Some(UnderWay::upgrade(Rollout {
            from: self.build,
            to: build,
            interfaces,
            canary,
            observe_ms,
            paused: false,
            setback: None,
            stuck: None,
        }));
        self.rouse_for_both(now, actions);
    }

    /// Starts what sleeps and is called in another way from now on. What is started because it is called is of one build,
    /// and as long as there are two a caller of either is to find its own.
    fn rouse_for_both(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(UnderWay::Upgrade(upgrade)) = &self.change else {
            return;
        };
        let borders = upgrade.stands().borders(&self.spec);
        let asleep = self.spec.groups.iter().filter(|group| {
            let is_called = borders.callers_of(&group.name).next().is_some();
            group.replicas == 0 && is_called
        });
        let asleep: Vec<Name> = asleep.map(|group| group.name.clone()).collect();
        for group in asleep {
            let why = "it is called in two ways while another build comes".to_owned();
            self.rouse(&group, why, now, actions);
        }
    }

    /// The build of which a replica of `group` can begin now that nobody has planned.
    pub(super) fn build_for(&self, group: &GroupSpec, now: Instant) -> u32 {
        let build = match &self.change {
            Some(UnderWay::Upgrade(upgrade)) => upgrade.build_for(group, self.view(now)),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Reshape(_)) | None => None,
        };
        build.unwrap_or(self.build)
    }

    pub(super) fn steer(&mut self, steer: Steer, now: Instant, actions: &mut Vec<Action>) {
        if self.check_steer(steer).is_err() {
            return;
        }
        let Some(UnderWay::Upgrade(upgrade)) = &mut self.change else {
            return;
        };
        upgrade.steer(steer);
        // What has failed before is tried again at once.
        let target = upgrade.target();
        let is_own = |one: &&Replica| steer != Steer::Pause && one.build == target;
        let own = self.replicas.values().filter(is_own);
        let own: Vec<Name> = own.map(|one| one.name.clone()).collect();
        for replica in own {
            self.tell(&replica, Input::Retry, now, actions);
        }
        if let Steer::Rollback = steer {
            let why = "it was asked for".to_owned();
            actions.push(Action::Report(Notice::RollingBack { why }));
        }
    }

    /// Takes a step of the upgrade that is under way.
    pub(super) fn take_step(&mut self, step: Step, now: Instant, actions: &mut Vec<Action>) {
        match step {
            Step::Add { group, build } => {
                if let Some(group) = self.spec.group(&group).cloned() {
                    let ordinal = group.replicas + 1;
                    self.add(&group, ordinal, Fate::StandsIn, now);
                    let added = self.replicas.get_mut(&group.replica_name(ordinal));
                    added.into_iter().for_each(|one| one.build = build);
                }
            }
            Step::Renew { replica } => self.end(&replica, Fate::Renewed, now, actions),
            Step::Leave { replica } => self.end(&replica, Fate::Leaves, now, actions),
            Step::Ask { replicas } => {
                actions.extend(replicas.iter().filter_map(|replica| self.ping(replica)));
            }
            Step::Stand => {
                if let Some(UnderWay::Upgrade(upgrade)) = &self.change {
                    let rollout = upgrade.stands();
                    self.build = rollout.to;
                    self.spec.interfaces.clone_from(&rollout.interfaces);
                }
            }
            Step::Tell(notice) => actions.push(Action::Report(notice)),
            Step::Over(notice) => self.conclude_change(notice, actions),
        }
    }

    /// What the interfaces look like in each replica that are not the same in all, while an upgrade is under way.
    pub(super) fn differing_interfaces(&self) -> BTreeMap<Name, BTreeMap<Name, Fingerprint>> {
        let mut all: BTreeMap<Name, BTreeMap<Name, Fingerprint>> = BTreeMap::new();
        let Some(UnderWay::Upgrade(upgrade)) = &self.change else {
            return all;
        };
        let rollout = upgrade.rollout();
        let Some(rollout) = rollout.filter(|_| !planted(Defect::CallersFirst)) else {
            return all;
        };
        for replica in self.replicas.values() {
            for (component, fingerprint) in rollout.differing(&self.spec, replica.build) {
                if replica.components.contains(component) {
                    let seen = all.entry(component.clone()).or_default();
                    seen.insert(replica.name.clone(), fingerprint);
                }
            }
        }
        all
    }
}
