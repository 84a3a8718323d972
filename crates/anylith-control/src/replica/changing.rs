//! What comes into a replica that runs, and what goes.

use anylith_core::Name;
use anylith_wire::control::{ComponentState, SUCCESSION};

use super::stopping::answer_by;
use crate::{
    input::{Step, Surroundings},
    life::Life,
};

/// From here on it has what it is welcomed with, whatever becomes of that.
pub(super) fn welcomed(
    mut life: Life,
    components: Vec<Name>,
    around: &Surroundings<'_>,
) -> (Life, Vec<Step>) {
    if let Some(run) = life.listen() {
        for component in components {
            run.enter(component, ComponentState::Waiting, None, around.now);
        }
    }
    (life, vec![])
}

/// Components start in it beside those that it has.
pub(super) fn come(
    mut life: Life,
    components: Vec<Name>,
    around: &Surroundings<'_>,
) -> (Life, Vec<Step>) {
    let Some(run) = life.listen() else {
        return (life, vec![]);
    };
    for component in &components {
        run.enter(component.clone(), ComponentState::Waiting, None, around.now);
        run.told.remove(component);
    }
    (life, vec![Step::Start { components }])
}

/// Components drain in it, and the others stay.
pub(super) fn go(
    mut life: Life,
    components: Vec<Name>,
    around: &Surroundings<'_>,
) -> (Life, Vec<Step>) {
    let Some(run) = life.listen() else {
        return (life, vec![]);
    };
    for component in &components {
        run.enter(
            component.clone(),
            ComponentState::Draining,
            None,
            around.now,
        );
    }
    // The topology that stands has each of them elsewhere. The replica has one mind about this: what is said with the last
    // of them holds for all that still drain.
    let others_stay = true;
    let drain = |component| Step::Drain {
        component,
        others_stay,
    };
    (life, components.into_iter().map(drain).collect())
}

/// A component that has stopped starts again.
pub(super) fn revive(mut life: Life, component: Name) -> (Life, Vec<Step>) {
    let Some(run) = life.listen() else {
        return (life, vec![]);
    };
    run.unable.remove(&component);
    run.told.remove(&component);
    run.components
        .insert(component.clone(), ComponentState::Waiting);
    let components = vec![component];
    (life, vec![Step::Start { components }])
}

/// It is to make room with a component, to which nobody is sent from now on.
pub(super) fn make_room(
    mut life: Life,
    component: Name,
    around: &Surroundings<'_>,
) -> (Life, Vec<Step>) {
    let Some(run) = life.listen() else {
        return (life, vec![]);
    };
    run.components
        .insert(component.clone(), ComponentState::Draining);
    // It leaves, and is told so afterwards.
    if let Life::Draining { until, .. } = &mut life {
        *until = Some(answer_by(around) + SUCCESSION);
    }
    (life, vec![Step::Yield { component }])
}
