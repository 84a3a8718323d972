//! How a replica is stopped: with all others, alone, or by force.

use std::time::Instant;

use anylith_core::Name;
use anylith_wire::control::ComponentState;

use super::Replica;
use crate::{
    fate::Ending,
    input::{Step, Surroundings},
    life::Life,
    run::Run,
};

impl Replica {
    pub(super) fn stop(&self, life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let timing = around.timing;
        match life {
            Life::Due | Life::Awaited | Life::Backoff { .. } | Life::Stopped => {
                (Life::Stopped, vec![])
            }
            // Starting | Serving → Draining. It goes alone: see `send_off`.
            Life::Starting { run, .. } | Life::Serving { run, .. }
                if around.ending == Ending::Alone && run.speaker.is_some() =>
            {
                (self.leaving(run, around), vec![])
            }
            // Starting → Draining. Not all of it runs, so it knows best in which order to stop; and it never came to take
            // anybody in who would be passed on to others.
            Life::Starting { run, .. } if run.connected => {
                let life = Life::Draining {
                    run,
                    until: Some(answer_by(around)),
                    stop_sent: true,
                };
                (life, vec![Step::Stop { others_stay: false }])
            }
            // Starting → Dying. It was never heard of, so nobody can have called it.
            Life::Starting { run, .. } => (Life::Dying { run }, vec![Step::Kill]),
            // Serving → Draining. Its components are asked one by one: see `drain.rs`.
            Life::Serving { run, .. } => {
                let until = (!run.connected).then_some(around.now + timing.reconnect);
                (
                    Life::Draining {
                        run,
                        until,
                        stop_sent: false,
                    },
                    vec![],
                )
            }
            // It was told that others stay, and none does any more: it is told once more.
            Life::Draining {
                run,
                until,
                stop_sent: true,
            } if around.ending == Ending::All && self.fate.ends_it() => {
                let steps = match run.connected {
                    true => vec![Step::Stop { others_stay: false }],
                    false => vec![],
                };
                let stop_sent = true;
                (
                    Life::Draining {
                        run,
                        until,
                        stop_sent,
                    },
                    steps,
                )
            }
            // What they lead to comes by itself.
            life @ (Life::Spawning
            | Life::Adopting { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }) => (life, vec![]),
        }
    }

    /// A drain of a replica that leaves alone: from now on nobody is sent to it, but to what it alone has.
    fn leaving(&self, mut run: Run, around: &Surroundings<'_>) -> Life {
        let components = run.components.iter_mut();
        for (_, state) in components.filter(|(name, _)| !self.needed.contains(*name)) {
            match state {
                ComponentState::Waiting
                | ComponentState::Starting
                | ComponentState::Ready
                | ComponentState::Unhealthy => *state = ComponentState::Draining,
                ComponentState::Draining | ComponentState::Stopped => {}
            }
        }
        let until = (!run.connected).then_some(around.now + around.timing.reconnect);
        Life::Draining {
            run,
            until,
            stop_sent: false,
        }
    }

    /// A drain that was begun before: its order is given once more.
    pub(super) fn drained(&self, run: Run, around: &Surroundings<'_>) -> Life {
        match around.ending {
            Ending::Alone => self.leaving(run, around),
            Ending::All | Ending::No => draining(run),
        }
    }

    /// Whether it serves, and goes on with it.
    pub(crate) fn stays(&self) -> bool {
        matches!(self.life, Life::Serving { .. }) && !self.fate.ends_it()
    }

    /// It leaves alone, and is told to stop if it was not told yet. What it alone has it keeps until somebody comes for it,
    /// if it is well, and has handed that over before it is told: it stops within its grace, and might still be at it then.
    pub(super) fn send_off(
        &self,
        life: Life,
        others_stay: bool,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        match life {
            Life::Draining {
                run,
                stop_sent: false,
                ..
            } if run.connected && (self.seated.is_empty() || run.pulse.is_silent()) => {
                let life = Life::Draining {
                    run,
                    until: Some(answer_by(around)),
                    stop_sent: true,
                };
                (life, vec![Step::Stop { others_stay }])
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    /// Everything stops: it drains those of its components that are `due`, and is told to stop when all have.
    pub(super) fn drain(
        &self,
        mut life: Life,
        due: &[Name],
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        let own = self.components_with(life.run());
        let Life::Draining {
            run,
            until,
            stop_sent: stop_sent @ false,
        } = &mut life
        else {
            return (life, vec![]);
        };
        if !run.connected {
            return (life, vec![]);
        }
        let answer_by = Some(answer_by(around));
        let mut steps = Vec::new();
        for component in own.iter().filter(|component| due.contains(component)) {
            match begin(run, component) {
                Begun::Now => {
                    *until = answer_by;
                    steps.push(Step::Drain {
                        component: component.clone(),
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
            steps.push(Step::Stop { others_stay: false });
        } else if !own.iter().any(|name| is(name, ComponentState::Draining)) {
            // It owes nothing; the others have to finish first.
            *until = None;
        }
        (life, steps)
    }
}

/// When a replica that is told to drain now, or to stop, has to have done so.
pub(super) fn answer_by(around: &Surroundings<'_>) -> Instant {
    around.now + around.timing.grace + around.timing.margin()
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

/// A drain in which it owes nothing yet.
pub(super) fn draining(run: Run) -> Life {
    Life::Draining {
        run,
        until: None,
        stop_sent: false,
    }
}

/// → Dying or Stopped, whatever it was. One that is being spawned is killed when it is there.
pub(super) fn kill(life: Life) -> (Life, Vec<Step>) {
    match life {
        Life::Adopting { run, .. }
        | Life::Starting { run, .. }
        | Life::Serving { run, .. }
        | Life::Draining { run, .. } => match run.pid {
            Some(_) => (Life::Dying { run }, vec![Step::Kill]),
            None => (Life::Stopped, vec![]),
        },
        life @ (Life::Spawning | Life::Dying { .. }) => (life, vec![]),
        Life::Due | Life::Awaited | Life::Backoff { .. } | Life::Stopped => (Life::Stopped, vec![]),
    }
}
