//! Components of which there is one at a time: who has each of them, who is next, and what is handed over.
//!
//! Each such component has a seat. A replica that is to run it is started with the component held back, and starts it when
//! it is granted the seat. It has the seat until it says that the component has stopped, or until its process is known to be
//! over. So there are never two, whatever changes and whoever dies; and the seat is remembered before anybody is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, Handed, Hello, ToReplica};

use crate::{
    action::{Action, Notice},
    defect::{Defect, planted},
    fate::Fate,
    homes::Homes,
    life::Life,
    memory::{Holder, Seat},
    replica::Replica,
    run::Run,
    spec::Spec,
    status::ReplicaState,
    timing::Timing,
};

/// The seats of all components of which there is one at a time.
#[derive(Debug, Default)]
pub(crate) struct Seats(BTreeMap<Name, Place>);

/// One seat, and what was said about it over the connections that there are.
#[derive(Debug, Default)]
struct Place {
    seat: Seat,
    /// The holder was told that it may start.
    told: bool,
    /// The holder was asked to make room.
    asked: bool,
    /// The holder was not known as such, and may say once more what it handed over long ago.
    stale: bool,
    /// How often it could not start in its place since it was last ready there.
    failures: u32,
    /// When to try again.
    retry_at: Option<Instant>,
}

impl Place {
    fn is_held_by(&self, replica: &Replica) -> bool {
        let holder = self.seat.holder.as_ref();
        holder.is_some_and(|it| it.replica == replica.name && it.incarnation == replica.incarnation)
    }

    /// It is free. What comes next begins with what was handed over, or without, because `why`.
    fn vacate(&mut self, why: String) {
        let begun = std::mem::take(&mut self.seat.begun);
        if begun && self.seat.state.is_none() {
            self.seat.lost.get_or_insert(why);
        }
        self.seat.holder = None;
        self.stale = false;
    }

    /// Gives it to `replica` if that has it by the `state` of its component, and is not known for that: what is remembered
    /// may be older than what runs, where it could not be written down. Who drains may only have waited for it, so that
    /// counts where nobody is known to have it, and if it `drains` by its own account.
    fn recognise(&mut self, replica: &Replica, state: Option<ComponentState>, drains: bool) {
        let has_it = match state {
            Some(ComponentState::Waiting | ComponentState::Stopped) | None => false,
            // Nobody begins before it is over with the one before.
            Some(ComponentState::Starting | ComponentState::Ready | ComponentState::Unhealthy) => {
                true
            }
            Some(ComponentState::Draining) => drains && self.seat.holder.is_none(),
        };
        if has_it && !self.is_held_by(replica) {
            self.stale = state == Some(ComponentState::Draining);
            self.seat.holder = Some(holder(replica));
            self.seat.begun = true;
            (self.told, self.asked) = (false, false);
        }
    }

    /// Its component could not start in its place. It may still be on its way to another one.
    fn fail(&mut self, is_on_its_way: bool) {
        self.failures += 1;
        self.seat.moving &= is_on_its_way;
    }

    /// After which time it is tried again in its place.
    fn retry(&mut self, timing: &Timing, now: Instant) -> Duration {
        let retry_in = timing.backoff(self.failures);
        self.retry_at = Some(now + retry_in);
        retry_in
    }
}

impl Seats {
    /// Those of `spec`, of which `memory` is known.
    pub(crate) fn new(spec: &Spec, memory: &BTreeMap<Name, Seat>) -> Self {
        let place = |component: &Name| {
            let mut seat = memory.get(component).cloned().unwrap_or_default();
            if planted(Defect::ForgetState) {
                seat.state = None;
            }
            let place = Place {
                seat,
                ..Place::default()
            };
            (component.clone(), place)
        };
        Self(spec.singletons.keys().map(place).collect())
    }

    /// What the next control plane must know of them.
    pub(crate) fn memory(&self) -> BTreeMap<Name, Seat> {
        if planted(Defect::ForgetHolder) {
            return BTreeMap::new();
        }
        let seats = self.0.iter();
        seats
            .map(|(name, place)| (name.clone(), place.seat.clone()))
            .collect()
    }

    /// `replica` has a new connection. What it was told over the one before may be lost; and it may have a seat of which
    /// nothing was remembered.
    pub(crate) fn greeted(&mut self, replica: &Replica, hello: &Hello) {
        if replica.incarnation != hello.incarnation {
            return;
        }
        for (component, place) in &mut self.0 {
            let state = hello.components.get(component).copied();
            place.recognise(replica, state, true);
            if place.is_held_by(replica) {
                (place.told, place.asked) = (false, false);
            }
        }
    }

    /// `replica` has finished the calls of `component`, and hands over what it can.
    pub(crate) fn handed_over(
        &mut self,
        replica: &Replica,
        component: &Name,
        (state, lost): (Option<Handed>, Option<String>),
    ) {
        let place = self.0.get_mut(component);
        if let Some(place) = place.filter(|place| place.is_held_by(replica) && !place.stale) {
            (place.seat.state, place.seat.lost) = (state, lost);
        }
    }

    /// Sees who has a seat no more, and whose component is ready. While a change `may_go_back` nobody has to give up what is
    /// on its way: it comes to one place or to the other. While the control plane `adopts` what runs, what drains has not
    /// been told so by it.
    pub(crate) fn look(
        &mut self,
        homes: Homes<'_>,
        replicas: &BTreeMap<Name, Replica>,
        may_go_back: bool,
        adopts: bool,
    ) {
        for (component, place) in &mut self.0 {
            if let Some(holder) = place.seat.holder.clone() {
                let found = replicas.get(&holder.replica);
                let run = found
                    .filter(|replica| replica.incarnation == holder.incarnation)
                    .and_then(Replica::run);
                let state = run.map(|run| run.components.get(component));
                // Somebody is ready to come in the place of one that was to go; who should have come may fail again.
                let has_ended = run.is_none_or(Run::is_ending);
                let has_gone = matches!(state, None | Some(Some(ComponentState::Stopped)));
                if has_gone && has_ended && !place.seat.begun {
                    let home = homes.of(component);
                    let stays = found.is_some_and(|replica| {
                        let is_home = home.is_some_and(|home| home.name == replica.group);
                        is_home && !replica.fate.ends_it()
                    });
                    // Where it was to leave again, another one is to have it anyhow.
                    place.fail(may_go_back || !stays);
                }
                match state {
                    None => {
                        let why = format!("{} has ended", holder.replica);
                        place.vacate(why);
                    }
                    Some(Some(ComponentState::Stopped)) => {
                        let why = format!("{} has not handed it over", holder.replica);
                        place.vacate(why);
                    }
                    Some(Some(ComponentState::Draining)) if planted(Defect::TwoAtOnce) => {
                        place.vacate("planted".to_owned());
                    }
                    Some(Some(ComponentState::Ready)) if !place.asked => {
                        place.seat.moving = false;
                        place.failures = 0;
                        (place.seat.begun, place.seat.state, place.seat.lost) = (true, None, None);
                    }
                    Some(_) => {}
                }
            }
            for replica in replicas.values() {
                let state = replica.run().and_then(|run| run.components.get(component));
                place.recognise(replica, state.copied(), adopts);
            }
        }
    }

    /// Has each replica know which of its components it has the seats of, and which others have, or it is not to have yet.
    pub(crate) fn tell_apart(&self, homes: Homes<'_>, replicas: &mut BTreeMap<Name, Replica>) {
        for replica in replicas.values_mut() {
            let (mut held, mut seated) = (BTreeSet::new(), BTreeSet::new());
            let mut needed = BTreeSet::new();
            for (component, place) in &self.0 {
                let home = homes.of(component);
                if place.is_held_by(replica) {
                    seated.insert(component.clone());
                    needed.extend((!place.asked).then(|| component.clone()));
                } else if place.seat.holder.is_some()
                    // It sleeps, and this one is to have it once another topology stands.
                    || home.is_some_and(|home| home.name != replica.group)
                {
                    held.insert(component.clone());
                }
            }
            (replica.held, replica.seated, replica.needed) = (held, seated, needed);
        }
    }

    /// Whether calls of `component` may go to `replica` as far as its seat matters; `None` if it has none.
    pub(crate) fn allows(&self, component: &Name, replica: &Replica) -> Option<bool> {
        let place = self.0.get(component)?;
        Some(place.is_held_by(replica) && !place.asked)
    }

    /// Those that are on their way from one place to another.
    pub(crate) fn moving(&self) -> impl Iterator<Item = &Name> {
        let moving = self.0.iter().filter(|(_, place)| place.seat.moving);
        moving.map(|(component, _)| component)
    }

    /// Finds those who are to make room now, since they are to go, and somebody is ready to come or nobody is to before it is
    /// called: which replica, and with what. What they hand over is kept until somebody comes.
    pub(crate) fn make_room(
        &mut self,
        homes: Homes<'_>,
        replicas: &BTreeMap<Name, Replica>,
    ) -> Vec<(Name, Name)> {
        for (component, place) in &mut self.0 {
            if place.seat.holder.is_none() && sleeps(component, homes, replicas) {
                place.seat.moving = false;
            }
        }
        let mut asked = Vec::new();
        for (component, place) in self.0.iter_mut().filter(|(_, place)| !place.asked) {
            let Some(holder) = place.seat.holder.as_ref() else {
                continue;
            };
            let name = holder.replica.clone();
            let Some(replica) = replicas.get(&name) else {
                continue;
            };
            let home = homes.of(component);
            let is_home = home.is_some_and(|group| group.name == replica.group);
            let stays = is_home && !replica.fate.ends_it();
            // Where nobody is called anyhow, who comes may wait for just that to be ready.
            let is_called = [ComponentState::Ready, ComponentState::Unhealthy]
                .into_iter()
                .any(|state| replica.life.answers(component, state).is_some());
            let is_awaited = successors(component, homes, replicas).any(|next| {
                next.name != name && (!is_called || next.state() == ReplicaState::Ready)
            });
            if stays || !(is_awaited || is_last(component, &name, homes, replicas)) {
                continue;
            }
            let listens = !matches!(replica.life, Life::Dying { .. });
            let has_it = |run: &Run| run.connected && run.has(component);
            if listens && replica.run().is_some_and(has_it) {
                (place.asked, place.seat.moving) = (true, true);
                asked.push((name, component.clone()));
            }
        }
        asked
    }

    /// Finds where a component has stopped that is to run there, in replicas that run; returns where it is to be started
    /// again now.
    pub(crate) fn revive(
        &mut self,
        homes: Homes<'_>,
        replicas: &BTreeMap<Name, Replica>,
        may_go_back: bool,
        (timing, now): (&Timing, Instant),
        actions: &mut Vec<Action>,
    ) -> Vec<(Name, Name)> {
        let mut revived = Vec::new();
        for (component, place) in &mut self.0 {
            let Some((replica, run)) = stopped(component, homes, replicas) else {
                place.retry_at = None;
                continue;
            };
            // Who has it may be on the way out: then somebody has to wait for it here.
            let is_tried = run.unable.contains_key(component);
            if place.seat.holder.is_some() && (is_tried || planted(Defect::NoWayBack)) {
                continue;
            }
            if place.retry_at.is_none()
                && let Some(why) = run.unable.get(component)
            {
                place.fail(may_go_back);
                let retry_in = place.retry(timing, now);
                actions.push(Action::Report(Notice::NotStarted {
                    replica: replica.name.clone(),
                    component: component.clone(),
                    why: why.clone(),
                    retry_in,
                }));
            }
            if place.retry_at.is_none_or(|retry_at| retry_at <= now) {
                place.retry_at = None;
                revived.push((replica.name.clone(), component.clone()));
            }
        }
        revived
    }

    /// When they want a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        // Where another replica has the seat, nobody waits for it to be tried again.
        let vacant = self.0.values().filter(|place| place.seat.holder.is_none());
        vacant.filter_map(|place| place.retry_at).min()
    }

    /// Gives the seats that are free to those who are next, and tells holders that may not know it yet.
    pub(crate) fn grant(
        &mut self,
        homes: Homes<'_>,
        replicas: &BTreeMap<Name, Replica>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for (component, place) in &mut self.0 {
            if place.seat.holder.is_none() {
                let next = successors(component, homes, replicas);
                let Some(next) = next.min_by_key(|one| (one.fate == Fate::StandsIn, one.ordinal))
                else {
                    continue;
                };
                place.seat.holder = Some(holder(next));
                (place.told, place.asked) = (false, false);
                let singleton = homes.spec.singletons.get(component);
                let hands_over = singleton.is_some_and(|it| it.hands_over);
                let lost = place.seat.lost.take();
                if let Some(why) = lost.filter(|_| hands_over && place.seat.state.is_none()) {
                    actions.push(Action::Report(Notice::BeginsAnew {
                        replica: next.name.clone(),
                        component: component.clone(),
                        why,
                    }));
                }
            }
            let holder = place.seat.holder.as_ref();
            let replica = holder.and_then(|holder| replicas.get(&holder.replica));
            let run = replica.and_then(Replica::run);
            let waits = |run: &&Run| run.connected && run.waits_with(component);
            if let (Some(replica), Some(_)) = (replica, run.filter(waits))
                && !place.told
            {
                place.told = true;
                actions.push(Action::Send {
                    replica: replica.name.clone(),
                    message: ToReplica::Grant {
                        component: component.clone(),
                        state: place.seat.state.clone(),
                    },
                });
            }
        }
        actions
    }
}

fn holder(replica: &Replica) -> Holder {
    Holder {
        replica: replica.name.clone(),
        incarnation: replica.incarnation,
    }
}

/// Whether nobody is to have `component` after `holder`, as things are: its group sleeps, or `holder` itself begins anew.
fn is_last(
    component: &Name,
    holder: &Name,
    homes: Homes<'_>,
    replicas: &BTreeMap<Name, Replica>,
) -> bool {
    let group = homes.of(component);
    let may_come = |one: &Replica| {
        let is_home = group.is_some_and(|group| group.name == one.group);
        is_home && one.name != *holder && !one.fate.ends_it()
    };
    group.is_some_and(|group| !group.external) && !replicas.values().any(may_come)
}

/// Whether nothing of `component` runs, or is about to, until it is called.
fn sleeps(component: &Name, homes: Homes<'_>, replicas: &BTreeMap<Name, Replica>) -> bool {
    let group = homes.of(component);
    let Some(group) = group.filter(|group| group.replicas == 0) else {
        return false;
    };
    let mut own = replicas.values().filter(|one| one.group == group.name);
    own.all(|one| one.fate == Fate::Leaves)
}

/// The replica that is to run `component`, and in which it has stopped.
fn stopped<'a>(
    component: &Name,
    homes: Homes<'_>,
    replicas: &'a BTreeMap<Name, Replica>,
) -> Option<(&'a Replica, &'a Run)> {
    let group = homes.of(component)?;
    replicas.values().find_map(|replica| {
        let (Life::Starting { run, .. } | Life::Serving { run, .. }) = &replica.life else {
            return None;
        };
        let is_home = replica.group == group.name && !replica.fate.ends_it();
        let has_stopped = run.components.get(component) == Some(&ComponentState::Stopped);
        let listens = run.connected && !run.is_ending();
        (is_home && listens && has_stopped).then_some((replica, run))
    })
}

/// Who could have `component` next: replicas of its group that hold it back, and are well.
fn successors<'a>(
    component: &'a Name,
    homes: Homes<'a>,
    replicas: &'a BTreeMap<Name, Replica>,
) -> impl Iterator<Item = &'a Replica> {
    let group = homes.of(component);
    replicas.values().filter(move |replica| {
        let is_home = group.is_some_and(|group| group.name == replica.group);
        let waits =
            |run: &Run| run.connected && !run.pulse.is_silent() && run.waits_with(component);
        let alive = match &replica.life {
            Life::Starting { run, .. } | Life::Serving { run, .. } => waits(run),
            Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped => false,
        };
        is_home && alive && !replica.fate.ends_it()
    })
}
