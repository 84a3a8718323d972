//! The order in which an application stops: a component is drained once nobody calls it any more, that is
//! when every component that is dependent on it has stopped in every replica, and no connection from outside
//! waits for it.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::Name;
use anylith_wire::control::ComponentState;

use crate::{life::Life, listener::ListenerSocket, replica::Replica, run::Run, spec::Spec};

/// The components that nobody calls any more, and that are to be drained where they still run.
pub(crate) fn due(
    spec: &Spec,
    listeners: &BTreeMap<Name, ListenerSocket>,
    replicas: &BTreeMap<Name, Replica>,
) -> Vec<Name> {
    let all = spec.groups.iter().flat_map(|group| &group.components);
    let due = all.filter(|component| {
        let mut callers = spec.callers_of(component);
        callers.all(|caller| is_closed(replicas, caller)) && !is_visited(spec, listeners, component)
    });
    due.cloned().collect()
}

/// Those that leave alone, each with whether another one stays that serves the same listeners: that takes its open
/// connections, as others take its calls.
pub(crate) fn leaving(spec: &Spec, replicas: &BTreeMap<Name, Replica>) -> Vec<(Name, bool)> {
    let staying = replicas.values().filter(|one| one.stays());
    let staying: BTreeSet<&Name> = staying.flat_map(|one| &one.components).collect();
    let leaving = replicas.values().filter(|one| one.fate.ends_it());
    leaving
        .map(|replica| {
            let doors = spec.listeners.values();
            let mut served = doors.filter(|component| replica.components.contains(component));
            let others_stay = served.all(|component| staying.contains(component));
            (replica.name.clone(), others_stay)
        })
        .collect()
}

/// Whether a connection may still wait at a listener that `component` serves.
fn is_visited(spec: &Spec, listeners: &BTreeMap<Name, ListenerSocket>, component: &Name) -> bool {
    let mut served = spec.listeners.iter().filter(|(_, by)| *by == component);
    served.any(|(listener, _)| {
        matches!(
            listeners.get(listener),
            Some(ListenerSocket::Shutting { .. })
        )
    })
}

/// Whether `component` makes no calls any more, anywhere.
fn is_closed(replicas: &BTreeMap<Name, Replica>, component: &Name) -> bool {
    let has = |replica: &&Replica| {
        let runs_it = |run: &Run| run.components.contains_key(component);
        replica.components.contains(component) || replica.run().is_some_and(runs_it)
    };
    let mut own = replicas.values().filter(has);
    own.all(|replica| match &replica.life {
        Life::Draining { run, .. } => {
            run.components.get(component) == Some(&ComponentState::Stopped)
        }
        Life::Due | Life::Awaited | Life::Backoff { .. } | Life::Dying { .. } | Life::Stopped => {
            true
        }
        Life::Spawning | Life::Adopting { .. } | Life::Starting { .. } | Life::Serving { .. } => {
            false
        }
    })
}
