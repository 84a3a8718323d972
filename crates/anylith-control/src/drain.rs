//! The order in which an application stops: a component is drained once nobody calls it any more, that is
//! when every component that is dependent on it has stopped in every replica, and no connection from outside
//! waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, ToReplica};

use crate::{
    action::Action, life::Life, listener::ListenerSocket, replica::Replica, run::Run, spec::Spec,
    timing::Timing,
};

/// Asks every replica for what is due now: to drain a component, or to stop when all of its own have.
pub(crate) fn advance(
    spec: &Spec,
    listeners: &BTreeMap<Name, ListenerSocket>,
    replicas: &mut BTreeMap<Name, Replica>,
    timing: &Timing,
    now: Instant,
) -> Vec<Action> {
    let due: Vec<Name> = spec
        .groups
        .iter()
        .flat_map(|group| &group.components)
        .filter(|component| {
            spec.callers_of(component)
                .all(|caller| is_closed(replicas, caller))
                && !is_visited(spec, listeners, component)
        })
        .cloned()
        .collect();
    let mut actions = Vec::new();
    for replica in replicas.values_mut() {
        ask(replica, &due, timing, now, &mut actions);
    }
    actions
}

/// Tells those that leave alone to stop. They know best in which order; others take their calls, and their open connections
/// if another one is there that serves the same listeners and stays.
pub(crate) fn send_off(
    spec: &Spec,
    replicas: &mut BTreeMap<Name, Replica>,
    timing: &Timing,
    now: Instant,
) -> Vec<Action> {
    let staying = replicas.values().filter(|one| one.stays());
    let staying: BTreeSet<Name> = staying.flat_map(|one| one.components.clone()).collect();
    let leaving = replicas.values_mut().filter(|one| one.fate.ends_it());
    leaving
        .filter_map(|replica| {
            let doors = spec.listeners.values();
            let mut served = doors.filter(|component| replica.components.contains(component));
            let others_stay = served.all(|component| staying.contains(component));
            replica.send_off(others_stay, timing, now)
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

/// Asks `replica` to drain those of its components that are `due`, or to stop when all have.
fn ask(
    replica: &mut Replica,
    due: &[Name],
    timing: &Timing,
    now: Instant,
    actions: &mut Vec<Action>,
) {
    let own = replica.all_components();
    let Life::Draining {
        run,
        until,
        stop_sent: stop_sent @ false,
    } = &mut replica.life
    else {
        return;
    };
    if !run.connected {
        return;
    }
    let grace_ms = timing.grace.as_millis() as u64;
    let answer_by = Some(now + timing.grace + timing.margin());
    let mut send = |message| {
        actions.push(Action::Send {
            replica: replica.name.clone(),
            message,
        });
    };
    for component in own.iter().filter(|component| due.contains(component)) {
        match begin(run, component) {
            Begun::Now => {
                *until = answer_by;
                send(ToReplica::Drain {
                    component: component.clone(),
                    grace_ms,
                    others_stay: false,
                });
            }
            Begun::Before => *until = until.or(answer_by),
            Begun::AndEnded => {}
        }
    }
    let is = |name: &Name, state| run.components.get(name) == Some(&state);
    if own.iter().all(|name| is(name, ComponentState::Stopped)) {
        *stop_sent = true;
        *until = answer_by;
        send(ToReplica::Stop {
            grace_ms,
            others_stay: false,
        });
    } else if !own.iter().any(|name| is(name, ComponentState::Draining)) {
        // It owes nothing; the others have to finish first.
        *until = None;
    }
}

/// When the drain of a component began.
enum Begun {
    Now,
    Before,
    AndEnded,
}

/// Counts `component` as draining, if it does not yet.
fn begin(run: &mut Run, component: &Name) -> Begun {
    let state = run.components.entry(component.clone());
    let state = state.or_insert(ComponentState::Waiting);
    match state {
        ComponentState::Waiting
        | ComponentState::Starting
        | ComponentState::Ready
        | ComponentState::Unhealthy => {
            *state = ComponentState::Draining;
            Begun::Now
        }
        ComponentState::Draining => Begun::Before,
        ComponentState::Stopped => Begun::AndEnded,
    }
}
