//! For how long a build leaves components unready of which there is one at a time.
//!
//! Who stands by is ready, whatever has become of the one that was at work: so it is not seen by looking at replicas.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::Name;
use anylith_wire::control::ComponentState;

use super::Setback;
use crate::{
    defect::{Defect, planted},
    note::about,
    replica::Replica,
    view::View,
};

/// Since when components are not ready of which there is one at a time, where a build had its turn with them.
#[derive(Debug, Default)]
pub(super) struct Vacancies(BTreeMap<Name, Instant>);

impl Vacancies {
    /// Notes who is ready where, now that `build` comes. What was not ready before its turn came is no fault of it.
    pub(super) fn note(&mut self, build: u32, view: View<'_>) {
        for component in view.spec.singletons.keys() {
            let holder = holder(component, view);
            let is_ready = holder.is_some_and(|one| is_ready(one, component));
            if is_ready || !is_wanted(component, view) {
                self.0.remove(component);
            } else if holder.is_some_and(|one| one.build == build) {
                self.0.entry(component.clone()).or_insert(view.now);
            }
        }
    }

    /// Why the build that comes is not to stay, if one of them was not ready for too long.
    pub(super) fn setback(&self, view: View<'_>) -> Option<Setback> {
        let limit = view.timing.ready;
        let mut late = self.0.iter();
        let (component, _) = late.find(|(_, since)| view.now >= **since + limit)?;
        if planted(Defect::EachAlone) {
            return None;
        }
        let holder = holder(component, view);
        let reason =
            holder.and_then(|one| Some(format!(" in {}: {}", one.name, about(one, view)?)));
        let reason = reason.unwrap_or_default();
        Some(Setback {
            why: format!("{component} was not ready within {limit:?} with the new build{reason}"),
            replica: holder.map(|one| one.name.clone()),
        })
    }

    /// When one of them will have had its time.
    pub(super) fn late_at(&self, view: View<'_>) -> Option<Instant> {
        let ends = self.0.values().map(|since| *since + view.timing.ready);
        ends.filter(|at| *at > view.now).min()
    }
}

/// Who has `component`.
fn holder<'a>(component: &Name, view: View<'a>) -> Option<&'a Replica> {
    let mut replicas = view.replicas.values();
    replicas.find(|one| one.seated.contains(component))
}

fn is_ready(replica: &Replica, component: &Name) -> bool {
    let run = replica.run();
    let state = run.and_then(|run| run.components.get(component));
    matches!(
        state,
        Some(ComponentState::Ready | ComponentState::Unhealthy)
    )
}

/// Whether somebody is to have it, and it does not sleep.
fn is_wanted(component: &Name, view: View<'_>) -> bool {
    let home = view.spec.group_of(component.as_str());
    home.is_some_and(|home| {
        let mut own = view.replicas_of(&home.name);
        own.any(|one| !one.fate.ends_it())
    })
}
