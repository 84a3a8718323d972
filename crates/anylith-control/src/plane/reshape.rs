//! A reshape, as the control plane carries it out; and the components that come and go in replicas that run.

use std::{collections::BTreeSet, slice, time::Instant};

use anylith_core::Name;
use anylith_wire::control::{Additions, ComponentState};

use super::{ControlPlane, Phase, change::UnderWay};
use crate::{
    action::{Action, Notice},
    defect::{Defect, planted},
    fate::Fate,
    input::Input,
    life::Life,
    memory::Interrupted,
    refused::Refused,
    replica::Replica,
    reshape::{Reshape, plan::ReshapePlan},
    run::Run,
    spec::GroupSpec,
};

impl ControlPlane {
    /// What a reshape to the topology called `to`, which has `groups`, would do now.
    ///
    /// # Errors
    ///
    /// Why it cannot begin.
    pub fn check_reshape(&self, to: &Name, groups: &[GroupSpec]) -> Result<ReshapePlan, Refused> {
        self.check_idle()?;
        ReshapePlan::new(&self.spec, to, &self.at_present(groups.to_vec()))
    }

    /// Starts all that is new, in new replicas and in those of groups that are in both topologies.
    pub(super) fn reshape(
        &mut self,
        to: Name,
        groups: Vec<GroupSpec>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.check_reshape(&to, &groups).is_err() {
            return;
        }
        let groups = self.at_present(groups);
        for group in &groups {
            let own = self.replicas.values_mut();
            // One that is too many leaves, and takes nothing in.
            for replica in own.filter(|one| one.group == group.name && belongs(one, group)) {
                replica.takes_in(&group.components);
                if let Some(run) = replica.life.listen() {
                    run.unable.clear();
                }
            }
            for ordinal in 1..=group.replicas {
                self.add(group, ordinal, Fate::Stays, now);
            }
        }
        let by = now + self.timing.ready;
        let notice = Notice::Reshaping {
            from: self.spec.topology.clone(),
            to: to.clone(),
        };
        actions.push(Action::Report(notice));
        self.change = Some(UnderWay::Reshape(Reshape::new(&self.spec, to, groups, by)));
    }

    /// It is written down what was decided, if anything was.
    pub(super) fn carry_out_decision(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Some(UnderWay::Reshape(reshape)) = &mut self.change
            && let Some(groups) = reshape.kept(&self.spec, &self.timing, now)
        {
            let to = reshape.to().clone();
            self.switch(to, groups, now, actions);
        }
    }

    /// The group called `name` of a topology that is prepared, and does not stand yet.
    pub(super) fn prepared(&mut self, name: &Name) -> Option<&mut GroupSpec> {
        match &mut self.change {
            Some(UnderWay::Reshape(reshape)) => reshape.prepares(name),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Upgrade(_)) | None => None,
        }
    }

    /// From now on the topology called `to` stands. What it does not want goes, once the directory says so.
    fn switch(
        &mut self,
        to: Name,
        groups: Vec<GroupSpec>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let before = std::mem::replace(&mut self.spec.groups, groups);
        // What a replica is to bear may be another thing now.
        let is_other = |had: &&GroupSpec| {
            let has = self.spec.group(&had.name);
            has.is_none_or(|has| has.scaling != had.scaling)
        };
        let others = before.iter().filter(is_other);
        let others: Vec<Name> = others.map(|group| group.name.clone()).collect();
        self.watch.forget(&others);
        self.spec.topology = to.clone();
        actions.push(Action::Report(Notice::Switched { to }));
        self.conform(now, actions);
    }

    /// What is new is to leave: the topology stands that stood.
    pub(super) fn take_back(&mut self, why: String, now: Instant, actions: &mut Vec<Action>) {
        let stays = self.spec.topology.clone();
        actions.push(Action::Report(Notice::TakingBack { stays, why }));
        self.conform(now, actions);
    }

    /// What the next control plane must know of the reshape that is under way.
    pub(super) fn reshape_to_remember(&self) -> Option<Interrupted> {
        match &self.change {
            Some(UnderWay::Reshape(reshape)) => Some(Interrupted {
                to: reshape.to().clone(),
                groups: reshape.decided().map(<[GroupSpec]>::to_vec),
            }),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Upgrade(_)) => None,
            None => self.interrupted.clone(),
        }
    }

    /// Says what becomes of the reshape in the middle of which the control plane before was killed: the topology that stands
    /// stays, and what it does not want leaves.
    pub(super) fn resolve_reshape(&mut self, actions: &mut Vec<Action>) {
        if let Some(Interrupted { to, .. }) = self.interrupted.take() {
            let stands = self.spec.topology.clone();
            actions.push(Action::Report(Notice::ReshapeResolved { to, stands }));
        }
    }

    /// Has those of `heard` be started anew that were to take in what they are to have, and have not: the control plane was
    /// killed that began it.
    pub(super) fn renew_unfinished(
        &mut self,
        heard: &BTreeSet<Name>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let lacks = |replica: &Replica, component: &Name, run: &Run| {
            heard.contains(&replica.name) && !run.has(component)
        };
        self.renew_where(lacks, now, actions);
    }

    /// Has those be started anew in which a component could not start that stays theirs: it was woken during a reshape, came
    /// into a process of the new topology, and that was taken back.
    pub(super) fn renew_unable(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let lacks = |replica: &Replica, component: &Name, run: &Run| {
            // What is still coming keeps the reshape from being made.
            !replica.coming.contains(component) && run.unable.contains_key(component)
        };
        self.renew_where(lacks, now, actions);
    }

    /// Has those be started anew that stay, and of which `lacks` says so of a component. What there is one of comes to its place
    /// by itself.
    fn renew_where(
        &mut self,
        lacks: impl Fn(&Replica, &Name, &Run) -> bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let alone = &self.spec.singletons;
        let ill = self.replicas.values().filter(|replica| {
            let stays = replica.fate == Fate::Stays && !replica.external;
            let run = replica.run().filter(|run| stays && run.connected);
            run.is_some_and(|run| {
                let own = replica.components.iter();
                let mut own = own.filter(|component| !alone.contains_key(*component));
                own.any(|component| lacks(replica, component, run))
            })
        });
        let ill: Vec<Name> = ill.map(|replica| replica.name.clone()).collect();
        for replica in ill {
            self.end(&replica, Fate::Renewed, now, actions);
        }
    }

    /// Has every replica be what the spec says, and those leave that it does not want.
    fn conform(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut leave = Vec::new();
        for replica in self.replicas.values_mut() {
            match self.spec.group(&replica.group) {
                Some(group) if belongs(replica, group) => {
                    let forgotten = planted(Defect::ForgetComing) && !replica.coming.is_empty();
                    if !forgotten {
                        replica.components.clone_from(&group.components);
                    }
                    replica.coming.clear();
                }
                Some(_) | None => leave.push(replica.name.clone()),
            }
        }
        for replica in leave {
            if !planted(Defect::ForgetNew) {
                self.end(&replica, Fate::Leaves, now, actions);
            }
        }
    }

    /// Everything is to stop, and nothing new begins: what has not come does not come any more.
    pub(super) fn forget_coming(&mut self) {
        for replica in self.replicas.values_mut() {
            let here = replica.all_here();
            let coming = std::mem::take(&mut replica.coming);
            let stays = |name: &Name| !coming.contains(name) || here.contains(name);
            replica.components.retain(stays);
        }
    }

    /// Tells replicas that run which components are to start in them, and which to drain.
    pub(super) fn exchange(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // Until all have been heard of, nobody knows who else has what goes.
        if !matches!(self.phase, Phase::Running(_)) {
            return;
        }
        let replicas = self.replicas.values().filter(|one| !one.external);
        let changes = replicas.filter_map(|replica| {
            let run = match &replica.life {
                Life::Starting { run, .. } | Life::Serving { run, .. } if run.connected => run,
                _ => return None,
            };
            let (comes, goes) = (self.comes(replica, run), goes(replica, run));
            Some((replica.name.clone(), comes, goes))
        });
        let changes: Vec<(Name, Vec<Name>, Vec<Name>)> = changes.collect();
        // Room is made before it is taken.
        for (replica, _, goes) in &changes {
            if !goes.is_empty() {
                let components = goes.clone();
                self.tell(replica, Input::Go { components }, now, actions);
            }
        }
        for (replica, components, _) in changes {
            if !components.is_empty() {
                self.tell(&replica, Input::Come { components }, now, actions);
            }
        }
    }

    /// The components that are coming into `replica`, and can start there now; and those of its own that it does not know of,
    /// since its connection broke before it heard that they come.
    fn comes(&self, replica: &Replica, run: &Run) -> Vec<Name> {
        let starts = |component: &&Name| {
            let comes = replica.coming.contains(*component) && !run.has(component);
            (comes || !run.components.contains_key(*component))
                && !run.unable.contains_key(*component)
                && self.has_sockets_of(slice::from_ref(component))
        };
        replica.components.iter().filter(starts).cloned().collect()
    }

    pub(super) fn additions(&self, components: Vec<Name>) -> Additions {
        Additions {
            config: self.spec.config_of(&components),
            listeners: {
                let all = self.spec.listeners.iter();
                let own = all.filter(|(_, by)| components.contains(by));
                own.map(|(door, by)| (door.clone(), by.clone())).collect()
            },
            edges: self.spec.edges_of(&components),
            callers: Some(self.spec.allowed_callers(&components)),
            held: self.held_back(&components),
            // The engine has the keys.
            identity: None,
            components,
        }
    }
}

/// The components that run in `replica`, and are not to any more.
fn goes(replica: &Replica, run: &Run) -> Vec<Name> {
    let runs = |state: &ComponentState| match state {
        ComponentState::Waiting
        | ComponentState::Starting
        | ComponentState::Ready
        | ComponentState::Unhealthy => true,
        ComponentState::Draining | ComponentState::Stopped => false,
    };
    let is_wanted = |component: &Name| replica.components.contains(component);
    // What is alone goes when somebody is ready to come: see `make_room`.
    let is_seated = |component: &Name| replica.seated.contains(component);
    let goes = run.components.iter();
    let goes = goes
        .filter(|(component, state)| runs(state) && !is_wanted(component) && !is_seated(component));
    goes.map(|(component, _)| component.clone()).collect()
}

/// Whether `replica` is one that `group` has, or stands in for one.
fn belongs(replica: &Replica, group: &GroupSpec) -> bool {
    match replica.fate {
        Fate::Stays | Fate::Renewed => replica.ordinal <= group.replicas,
        Fate::StandsIn => true,
        Fate::Leaves => false,
    }
}
