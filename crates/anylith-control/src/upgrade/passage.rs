//! Which replica may begin to run a build, and which may cease to, so that nobody misses one.

use anylith_core::Name;

use super::{Upgrade, plan::Borders};
use crate::{
    defect::{Defect, planted},
    fate::Fate,
    replica::Replica,
    spec::GroupSpec,
    status::ReplicaState,
    view::View,
};

impl Upgrade {
    /// The replica that is to be drained and started from the build that is to be: of the group that has come least far.
    pub(super) fn next(&self, groups: &[&GroupSpec], view: View<'_>) -> Option<Name> {
        let source = self.rollout.source();
        let borders = self.borders(view);
        let mut groups = groups.to_vec();
        // Callees first where it is the same.
        groups.sort_by_key(|group| {
            let come = u64::from(self.has_come(group, view)) << 16;
            (
                come / u64::from(group.replicas.max(1)),
                borders.depth(&group.name),
            )
        });
        groups.into_iter().find_map(|group| {
            let own = regulars(view).filter(|one| one.group == group.name);
            let left = own.filter(|one| one.build == source && one.fate == Fate::Stays);
            let mut left: Vec<&Replica> = left.collect();
            left.sort_by_key(|one| (one.state() == ReplicaState::Ready, one.ordinal));
            let may = |one: &&&Replica| {
                can_spare(one, group, view)
                    && self.may_go(one, &borders, view)
                    && self.may_come(group, &borders, view)
            };
            left.iter().find(may).map(|one| one.name.clone())
        })
    }

    /// How many replicas of `group` run the build that is to be, and are ready.
    pub(super) fn has_come(&self, group: &GroupSpec, view: View<'_>) -> u32 {
        let own = view.replicas_of(&group.name);
        own.filter(|one| self.serves(one, self.rollout.target()))
            .count() as u32
    }

    pub(super) fn serves(&self, replica: &Replica, build: u32) -> bool {
        replica.build == build && !replica.fate.ends_it() && replica.state() == ReplicaState::Ready
    }

    pub(super) fn borders(&self, view: View<'_>) -> Borders {
        self.rollout.borders(view.spec)
    }

    /// The build of which a replica of `group` can begin now that nobody has planned: the one that was there, if what it
    /// calls is there for it; `None` if there is no choice.
    pub(crate) fn build_for(&self, group: &GroupSpec, view: View<'_>) -> Option<u32> {
        let borders = self.borders(view);
        let both = [self.rollout.from, self.rollout.to];
        let mut both = both.into_iter().filter(|_| self.settles.is_none());
        both.find(|build| self.is_answered(group, *build, &borders, view))
    }

    /// Whether what `group` calls is there for a replica of `build`.
    fn is_answered(
        &self,
        group: &GroupSpec,
        build: u32,
        borders: &Borders,
        view: View<'_>,
    ) -> bool {
        borders.callees_of(&group.name).all(|callee| {
            let mut there = view.replicas_of(callee);
            there.any(|one| self.serves(one, build))
        })
    }

    /// Whether a replica of `group` may begin to run the build that is to be: what it calls is there for it.
    pub(super) fn may_come(&self, group: &GroupSpec, borders: &Borders, view: View<'_>) -> bool {
        if planted(Defect::CallersFirst) {
            return true;
        }
        self.is_answered(group, self.rollout.target(), borders, view)
    }

    /// Whether a replica of the old build is on its way that was woken for its callers. It comes before one of the new build:
    /// else they would find somebody whom they do not understand.
    pub(super) fn is_woken(&self, group: &GroupSpec, borders: &Borders, view: View<'_>) -> bool {
        let sleeps = group.scaling.is_some_and(|scaling| scaling.min == 0);
        let is_called = borders.callers_of(&group.name).next().is_some();
        let is_patient = self.woken_by.is_some_and(|by| view.now < by);
        let comes =
            |one: &Replica| one.build == self.rollout.from && one.failures == 0 && !one.was_ready();
        sleeps && is_called && is_patient && view.replicas_of(&group.name).any(comes)
    }

    /// Whether `replica` may leave the build that it runs: those who call it from the same build have another one, or are
    /// gone.
    pub(super) fn may_go(&self, replica: &Replica, borders: &Borders, view: View<'_>) -> bool {
        if planted(Defect::NoLastCallee) {
            return true;
        }
        let build = replica.build;
        let is_ready = replica.state() == ReplicaState::Ready;
        let mut others = view.replicas_of(&replica.group);
        let has_another = others.any(|one| {
            one.name != replica.name
                && one.build == build
                && !one.fate.ends_it()
                && (!is_ready || one.state() == ReplicaState::Ready)
        });
        let mut callers = borders.callers_of(&replica.group);
        has_another || callers.all(|caller| view.replicas_of(caller).all(|one| one.build != build))
    }
}

/// Whether `replica` may go, and as many as are wanted are still ready.
pub(super) fn can_spare(replica: &Replica, group: &GroupSpec, view: View<'_>) -> bool {
    let ready = |one: &&Replica| view.is_whole(one) && !one.fate.ends_it();
    let ready = view.replicas_of(&group.name).filter(ready).count();
    !view.is_whole(replica) || ready > group.replicas as usize || planted(Defect::TooFew)
}

/// The replicas that the spec counts.
pub(super) fn regulars<'a>(view: View<'a>) -> impl Iterator<Item = &'a Replica> + Clone {
    view.replicas.values().filter(move |one| {
        let group = view.group(&one.group);
        group.is_some_and(|group| one.ordinal <= group.replicas)
    })
}

/// How many of so many replicas are `share` percent, at least one.
pub(super) fn quota(share: u8, replicas: u32) -> u32 {
    let part = (u64::from(share) * u64::from(replicas)).div_ceil(100);
    (part as u32).max(1).min(replicas)
}
