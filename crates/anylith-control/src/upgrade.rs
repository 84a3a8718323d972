//! Another build of the application, replica by replica, while the old one serves.
//!
//! Every group gets one replica more, of the new build. When all of these are ready, the others are drained, stopped and
//! started from the new build, one by one; in the end those that were added leave. Where the interface of a component
//! has changed, callers only meet callees of their own build: so callees of the new build come before its callers, and
//! one callee of the old build stays until the last caller of that build is gone. Going back is the same with the builds
//! exchanged.
//!
//! What is to be done follows from which replica runs which build, and from [`Rollout`]. A control plane that knows both
//! goes on where the one before it was killed.

mod deaths;
mod inquiry;
pub(crate) mod judgement;
mod passage;
pub(crate) mod plan;
mod rollout;
mod steering;
mod vacancies;
mod watch;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::ComponentState;

use self::{
    deaths::Deaths,
    inquiry::Inquiry,
    judgement::{Account, Complaint},
    passage::{can_spare, quota, regulars},
    vacancies::Vacancies,
    watch::Watch,
};
use crate::{
    action::{Cause, Change, Notice},
    fate::Fate,
    note::not_ready,
    replica::Replica,
    roll::given_up,
    spec::GroupSpec,
    status::ReplicaState,
    view::View,
};

pub use self::rollout::{Rollout, Setback};

/// The machine.
#[derive(Debug)]
pub(crate) struct Upgrade {
    rollout: Rollout,
    /// Since when replicas of the build that is to be are not ready.
    unready: BTreeMap<Name, Instant>,
    /// How the calls of both builds end.
    account: Account,
    /// How often their replicas die.
    deaths: Deaths,
    /// Since when the build that is to be leaves unready what there is one of.
    vacancies: Vacancies,
    /// Calls of the new build fail, and those that are called are asked who is to blame.
    inquiry: Option<Inquiry>,
    /// One replica of the new build in each group is watched for a while, before others follow.
    first: Watch,
    /// And all of them, before the old build is given up.
    all: Watch,
    /// When what is watched now has been watched for long enough. One that nobody asks for any more wants no tick.
    watched_at: Option<Instant>,
    /// How many replicas run the new build, and how many the old one.
    come: (usize, usize),
    /// When one of those that are not ready will have had its time.
    late_at: Option<Instant>,
    /// Until when replicas of the old build may start that were woken for it.
    woken_by: Option<Instant>,
    /// Whether some are waited for.
    awaits_woken: bool,
    /// Whether people know that it pauses.
    pause_is_told: bool,
    /// All run the build that is to be, and what was added leaves; until then, whatever comes.
    settles: Option<Instant>,
}

/// What an upgrade asks of the control plane.
#[derive(Debug)]
pub(crate) enum Step {
    /// Add a replica of `build` to this group.
    Add { group: Name, build: u32 },
    /// Drain a replica, and start it from the build that is to be.
    Renew { replica: Name },
    /// Drain a replica that was added, and forget it.
    Leave { replica: Name },
    /// Ask these replicas how their calls end.
    Ask { replicas: Vec<Name> },
    /// From now on the new build stands.
    Stand,
    /// Tell people.
    Tell(Notice),
    /// It is over: tell people.
    Over(Notice),
}

impl Upgrade {
    pub(crate) fn new(rollout: Rollout) -> Self {
        Self {
            rollout,
            unready: BTreeMap::new(),
            account: Account::default(),
            deaths: Deaths::default(),
            vacancies: Vacancies::default(),
            inquiry: None,
            first: Watch::NotYet,
            all: Watch::NotYet,
            watched_at: None,
            come: (0, 0),
            late_at: None,
            woken_by: None,
            awaits_woken: false,
            pause_is_told: false,
            settles: None,
        }
    }

    /// What the next control plane must know of it; `None` once one build stands alone.
    pub(crate) fn rollout(&self) -> Option<&Rollout> {
        self.settles.is_none().then_some(&self.rollout)
    }

    /// What stands from now on.
    pub(crate) fn stands(&self) -> &Rollout {
        &self.rollout
    }

    /// The build that replicas are started from which were drained for it.
    pub(crate) fn target(&self) -> u32 {
        self.rollout.target()
    }

    /// Whether replicas that were added are still needed.
    pub(crate) fn needs_stand_ins(&self) -> bool {
        self.settles.is_none()
    }

    /// Whether what is on its way from one build to the other comes back if it cannot begin there.
    pub(crate) fn may_go_back(&self) -> bool {
        self.settles.is_none()
    }

    /// Looks at how things are; returns what is to be done about it. Asked again and again, it returns `None` in the
    /// end: something has to happen first.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Step> {
        if let Some(by) = self.settles {
            return self.settle(by, view);
        }
        self.look(view);
        match self.rollout.setback {
            None => self.forward(view),
            Some(_) => self.backward(view),
        }
    }

    /// Notes since when replicas of the build that is to be are not ready, how far it has come, and how calls end.
    fn look(&mut self, view: View<'_>) {
        (self.watched_at, self.awaits_woken) = (None, false);
        let target = self.rollout.target();
        let waits = |one: &&Replica| one.build == target && !one.fate.ends_it();
        let unready = view.replicas.values().filter(waits);
        let unready = unready.filter(|one| one.state() != ReplicaState::Ready);
        let unready = unready.map(|one| {
            let since = self.unready.get(&one.name).copied();
            (one.name.clone(), since.unwrap_or(view.now))
        });
        self.unready = unready.collect();
        let of = |build| {
            let replicas = view.replicas.values();
            let its = replicas.filter(|one| one.build == build && !one.fate.ends_it());
            its.count()
        };
        self.come = (of(self.rollout.to), of(self.rollout.from));
        self.vacancies.note(target, view);
        let late_at = self.unready.values();
        let late_at = late_at.map(|since| *since + view.timing.ready);
        let late_at = late_at.filter(|at| *at > view.now);
        self.late_at = late_at.chain(self.vacancies.late_at(view)).min();
        self.woken_by
            .get_or_insert_with(|| view.now + view.timing.ready);
        self.account.note(view.replicas.values(), view.now);
        self.deaths.note(view.replicas.values(), view.now);
    }

    fn forward(&mut self, view: View<'_>) -> Option<Step> {
        if let Some(Setback { why, replica }) = self.find_setback(view) {
            let notice = Notice::RollingBack { why: why.clone() };
            self.turn_back(why, replica);
            return Some(Step::Tell(notice));
        }
        if self.inquiry.is_some() {
            return None;
        }
        if let Some(complaint) = self.complaint(view) {
            let inquiry = Inquiry::begin(complaint, self.rollout.to, view);
            let replicas = inquiry.asked();
            self.inquiry = Some(inquiry);
            return Some(Step::Ask { replicas });
        }
        if self.rollout.paused {
            return self.pause(view);
        }
        if let Some(step) = self.seed(view) {
            return step;
        }
        let observe = Duration::from_millis(self.rollout.observe_ms);
        if self.is_busy(view) {
            return None;
        }
        if !self.first.is_done(observe, view.now) {
            self.watched_at = self.first.next_tick();
            return None;
        }
        let mut groups: Vec<&GroupSpec> = view.spec.groups.iter().collect();
        if let Some(share) = self.rollout.canary {
            groups.retain(|group| self.has_come(group, view) < quota(share, group.replicas));
            if groups.is_empty() {
                self.rollout.canary = None;
                self.rollout.paused = true;
                self.pause_is_told = false;
                return self.pause(view);
            }
        }
        if let Some(replica) = self.next(&groups, view) {
            return Some(Step::Renew { replica });
        }
        let mut regular = regulars(view);
        let is_old = |one: &Replica| one.build != self.rollout.to;
        if regular.any(is_old) {
            return None;
        }
        if !self.all.is_done(observe, view.now) {
            self.watched_at = self.all.next_tick();
            return None;
        }
        self.settles = Some(view.now + view.timing.ready);
        Some(Step::Stand)
    }

    /// Nothing further begins, and people are told once what was begun is done.
    fn pause(&mut self, view: View<'_>) -> Option<Step> {
        if self.pause_is_told || self.is_busy(view) {
            return None;
        }
        self.pause_is_told = true;
        let how = self.to_string();
        Some(Step::Tell(Notice::UpgradePaused { how }))
    }

    /// Puts a replica of the new build beside each group. `None` once all are ready; else what is to be done for that,
    /// if anything can be.
    fn seed(&mut self, view: View<'_>) -> Option<Option<Step>> {
        let borders = self.borders(view);
        let groups = view.spec.groups.iter();
        let groups = groups.filter(|group| !group.is_idle_burst());
        let (woken, others): (Vec<_>, Vec<_>) =
            groups.partition(|group| self.is_woken(group, &borders, view));
        self.awaits_woken = !woken.is_empty();
        let mut waits = self.awaits_woken;
        for group in others {
            let name = group.replica_name(group.replicas + 1);
            match view.replicas.get(&name) {
                Some(one) if one.fate == Fate::StandsIn && one.build == self.rollout.to => {
                    waits |= one.state() != ReplicaState::Ready;
                }
                // It stands in for somebody since before.
                Some(one) if one.fate == Fate::StandsIn => {
                    return Some(Some(Step::Leave { replica: name }));
                }
                Some(_) => waits = true,
                None if self.may_come(group, &borders, view) => {
                    let (group, build) = (group.name.clone(), self.rollout.to);
                    return Some(Some(Step::Add { group, build }));
                }
                None => waits = true,
            }
        }
        waits.then_some(None)
    }

    fn backward(&mut self, view: View<'_>) -> Option<Step> {
        // Nothing is lost by it, and others may wait for just that one.
        if let Some(replica) = self.ill(view) {
            return Some(Step::Renew { replica });
        }
        if self.is_busy(view) {
            return None;
        }
        let source = self.rollout.source();
        if view.replicas.values().all(|one| one.build != source) {
            self.settles = Some(view.now + view.timing.ready);
            return self.advance(view);
        }
        let step = self.step_back(view);
        match step {
            Some(_) => self.rollout.stuck = None,
            None if self.rollout.stuck.is_none() => return self.get_stuck(view),
            None => {}
        }
        step
    }

    /// If the old build does not come back there is nothing to do but to keep what serves: people decide.
    fn get_stuck(&mut self, view: View<'_>) -> Option<Step> {
        let mut replicas = view.replicas.values();
        if replicas.clone().any(|one| one.fate.ends_it()) {
            return None;
        }
        let ill = replicas.find(|one| self.unready.contains_key(&one.name))?;
        let why = match given_up(ill) {
            Some(failure) => {
                let name = &ill.name;
                format!("{name} does not run with the old build any more: {failure}")
            }
            None => not_ready(&ill.name, view),
        };
        let replica = Some(ill.name.clone());
        self.rollout.stuck = Some(Setback {
            why,
            replica: replica.clone(),
        });
        let how = self.to_string();
        Some(Step::Tell(Notice::RollbackStuck { how, replica }))
    }

    /// A replica that is to go back and serves nobody as it is.
    fn ill(&self, view: View<'_>) -> Option<Name> {
        let source = self.rollout.source();
        let borders = self.borders(view);
        let left = regulars(view).filter(|one| one.build == source && one.fate == Fate::Stays);
        let answers = |one: &Replica| {
            let states = one.run().map(|run| run.components.values());
            let mut states = states.into_iter().flatten();
            states.any(|state| matches!(state, ComponentState::Ready | ComponentState::Unhealthy))
        };
        let mut ill = left.filter(|one| !view.is_whole(one) || !answers(one));
        let ill = ill.find(|one| {
            let may_come = |group| self.may_come(group, &borders, view);
            self.may_go(one, &borders, view) && view.group(&one.group).is_some_and(may_come)
        });
        ill.map(|one| one.name.clone())
    }

    fn step_back(&mut self, view: View<'_>) -> Option<Step> {
        let (source, target) = (self.rollout.source(), self.rollout.target());
        let borders = self.borders(view);
        let is_left = |one: &Replica| one.build == source;
        for group in &view.spec.groups {
            let mut regular = regulars(view).filter(|one| one.group == group.name);
            let has_left = !regular.any(is_left);
            let added = view.replicas.get(&group.replica_name(group.replicas + 1));
            match added {
                Some(one) if is_left(one) && one.fate == Fate::StandsIn => {
                    let replica = one.name.clone();
                    // Where others are still to be renewed, another one takes its place.
                    let goes = has_left || self.may_come(group, &borders, view);
                    if goes && can_spare(one, group, view) && self.may_go(one, &borders, view) {
                        return Some(Step::Leave { replica });
                    }
                }
                None if !has_left && self.may_come(group, &borders, view) => {
                    let (group, build) = (group.name.clone(), target);
                    return Some(Step::Add { group, build });
                }
                Some(_) | None => {}
            }
        }
        let groups: Vec<&GroupSpec> = view.spec.groups.iter().collect();
        let replica = self.next(&groups, view)?;
        Some(Step::Renew { replica })
    }

    /// What was added leaves by itself, since nobody needs it.
    fn settle(&mut self, by: Instant, view: View<'_>) -> Option<Step> {
        let mut replicas = view.replicas.values();
        if view.now < by && replicas.any(|replica| replica.fate != Fate::Stays) {
            return None;
        }
        Some(Step::Over(match self.rollout.setback.clone() {
            None => Notice::Upgraded {
                replicas: regulars(view).count() as u32,
            },
            Some(Setback { why, replica }) => Notice::ChangeFailed {
                what: Change::Upgrade,
                cause: Cause::Obstacle,
                why,
                replica,
            },
        }))
    }

    /// What keeps the new build from being rolled in, if anything does.
    fn find_setback(&mut self, view: View<'_>) -> Option<Setback> {
        let new = |one: &&Replica| one.build == self.rollout.to && !one.fate.ends_it();
        for replica in view.replicas.values().filter(new) {
            let name = &replica.name;
            let since = self.unready.get(name);
            let is_late = since.is_some_and(|since| view.now >= *since + view.timing.ready);
            let why = match given_up(replica) {
                Some(failure) => format!("{name} does not run with the new build: {failure}"),
                None if is_late => not_ready(name, view),
                None => continue,
            };
            let replica = Some(name.clone());
            return Some(Setback { why, replica });
        }
        let Rollout { from, to, .. } = self.rollout;
        let setback = self.deaths.setback(to, from);
        if let Some(setback) = setback.or_else(|| self.vacancies.setback(view)) {
            return Some(setback);
        }
        let inquiry = self.inquiry.take_if(|inquiry| inquiry.is_over(view))?;
        let complaint = self.complaint(view);
        let Complaint { why, .. } = complaint.unwrap_or_else(|| inquiry.into_complaint());
        let replica = None;
        Some(Setback { why, replica })
    }

    fn complaint(&self, view: View<'_>) -> Option<Complaint> {
        let Rollout { from, to, .. } = self.rollout;
        self.account.complaint(to, from, view.spec)
    }

    /// Whether a step was begun that is not done.
    fn is_busy(&self, view: View<'_>) -> bool {
        view.replicas.values().any(|one| match one.fate {
            Fate::Renewed => true,
            Fate::Leaves => false,
            Fate::Stays | Fate::StandsIn => match self.unready.get(&one.name) {
                None => false,
                Some(_) if self.rollout.setback.is_none() => true,
                // Going back is not held up by one that does not get well.
                Some(since) => given_up(one).is_none() && view.now < *since + view.timing.ready,
            },
        })
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let watched = self.watched_at.into_iter();
        let inquiry = self.inquiry.as_ref().map(Inquiry::until);
        let woken = self.woken_by.filter(|_| self.awaits_woken);
        let others = self.late_at.into_iter().chain(self.settles);
        let others = others.chain(inquiry).chain(woken);
        watched.chain(others).min()
    }
}

impl fmt::Display for Upgrade {
    /// How far it has come: `upgrading; 2 new replicas beside 5 old ones; Cart-3 starts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rollout.setback {
            Some(Setback { why, .. }) => match &self.rollout.stuck {
                None => write!(f, "rolling the upgrade back, since {why}")?,
                Some(Setback { why, .. }) => write!(f, "the rollback is stuck: {why}")?,
            },
            None if self.settles.is_some() => f.write_str("upgraded; what was added leaves")?,
            None if self.rollout.paused => f.write_str("the upgrade is paused")?,
            None => f.write_str("upgrading")?,
        }
        if self.settles.is_none() {
            let (new, old) = self.come;
            let replicas = if new == 1 { "replica" } else { "replicas" };
            let ones = if old == 1 { "one" } else { "ones" };
            write!(f, "; {new} new {replicas} beside {old} old {ones}")?;
        }
        match self.unready.keys().next() {
            Some(replica) if self.rollout.stuck.is_none() => write!(f, "; {replica} starts"),
            Some(_) | None => Ok(()),
        }
    }
}
