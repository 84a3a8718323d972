//! How a replica is stopped: with all others, alone, or by force.

use std::time::Instant;

use anylith_core::Name;
use anylith_wire::control::{ComponentState, ToReplica};

use super::Replica;
use crate::{
    action::Action,
    fate::Ending,
    input::{Step, Surroundings},
    life::Life,
    run::Run,
    timing::Timing,
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
            // Starting → Draining. Not all of it runs, so it knows best in which order to stop.
            Life::Starting { run, .. } if run.connected => {
                let until = Some(around.now + timing.grace + timing.margin());
                (
                    Life::Draining {
                        run,
                        until,
                        stop_sent: true,
                    },
                    vec![Step::Stop],
                )
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
                let steps = if run.connected {
                    vec![Step::Stop]
                } else {
                    vec![]
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

    /// Tells it to stop, if it leaves alone and was not told yet. Then it is out of the directory already. What it alone has
    /// it keeps until somebody comes for it, if it is well, and has handed that over before it is told: it stops within
    /// its grace, and might still be at it then.
    pub(crate) fn send_off(
        &mut self,
        others_stay: bool,
        timing: &Timing,
        now: Instant,
    ) -> Option<Action> {
        let Life::Draining {
            run,
            until,
            stop_sent: stop_sent @ false,
        } = &mut self.life
        else {
            return None;
        };
        let keeps = !self.seated.is_empty() && !run.pulse.is_silent();
        if !run.connected || keeps {
            return None;
        }
        *stop_sent = true;
        *until = Some(now + timing.grace + timing.margin());
        let grace_ms = timing.grace.as_millis() as u64;
        Some(Action::Send {
            replica: self.name.clone(),
            message: ToReplica::Stop {
                grace_ms,
                others_stay,
            },
        })
    }
}

/// It is to make room with `component`, to which nobody is sent from now on.
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
        let timing = around.timing;
        *until = Some(around.now + timing.grace + timing.succession() + timing.margin());
    }
    (life, vec![Step::Yield { component }])
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
