//! The states that a replica can be in.

use std::{collections::BTreeSet, time::Instant};

use anylith_core::{Endpoint, Name};
use anylith_wire::control::ComponentState;

use crate::{run::Run, status::ReplicaState};

/// Due → Spawning → Starting → Serving → Draining → Stopped; a crash leads through Backoff back to Due, and
/// a new control plane begins at Adopting with those that already run.
#[derive(Debug)]
pub(crate) enum Life {
    /// It has no process, and gets one as soon as the sockets it serves are there.
    Due,
    /// It is external, and has not connected yet.
    Awaited,
    /// The engine starts its process at this moment.
    Spawning,
    /// It runs since before this control plane, and has until then to say so itself.
    Adopting { run: Run, until: Instant },
    /// It runs, and not all of its components were ready yet.
    Starting {
        run: Run,
        connect_by: Option<Instant>,
    },
    /// All of its components have been ready. They are `since` then; not while one begins that came to it late.
    Serving { run: Run, since: Option<Instant> },
    /// It is being stopped. `until` is there while it owes an answer.
    Draining {
        run: Run,
        until: Option<Instant>,
        stop_sent: bool,
    },
    /// It was killed, and its exit is still to be seen.
    Dying { run: Run },
    /// It has failed, and is started again at this instant.
    Backoff { retry_at: Instant },
    /// It has no process and gets none.
    Stopped,
}

impl Life {
    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self {
            Self::Adopting { until, .. } => Some(*until),
            Self::Starting { run, connect_by } => earlier(*connect_by, run.pulse.next_tick()),
            Self::Serving { run, .. } => run.pulse.next_tick(),
            Self::Draining { run, until, .. } => earlier(*until, run.pulse.next_tick()),
            Self::Backoff { retry_at } => Some(*retry_at),
            Self::Due | Self::Awaited | Self::Spawning | Self::Dying { .. } | Self::Stopped => None,
        }
    }

    /// What is known of its process, if it has one.
    pub(crate) fn run(&self) -> Option<&Run> {
        match self {
            Self::Adopting { run, .. }
            | Self::Starting { run, .. }
            | Self::Serving { run, .. }
            | Self::Draining { run, .. }
            | Self::Dying { run } => Some(run),
            Self::Due | Self::Awaited | Self::Spawning | Self::Backoff { .. } | Self::Stopped => {
                None
            }
        }
    }

    /// The same, to note what it says; `None` too if nothing it says matters any more.
    pub(crate) fn listen(&mut self) -> Option<&mut Run> {
        match self {
            Self::Adopting { run, .. }
            | Self::Starting { run, .. }
            | Self::Serving { run, .. }
            | Self::Draining { run, .. } => Some(run),
            Self::Due
            | Self::Awaited
            | Self::Spawning
            | Self::Dying { .. }
            | Self::Backoff { .. }
            | Self::Stopped => None,
        }
    }

    /// Where calls to `component` may be sent, if it is in `state` and they may.
    pub(crate) fn answers(&self, component: &Name, state: ComponentState) -> Option<&Endpoint> {
        match self {
            Self::Starting { run, .. } | Self::Serving { run, .. } | Self::Draining { run, .. } => {
                run.answers(component, state)
            }
            Self::Due
            | Self::Awaited
            | Self::Spawning
            | Self::Adopting { .. }
            | Self::Dying { .. }
            | Self::Backoff { .. }
            | Self::Stopped => None,
        }
    }

    /// What to call it, if the replica is to have `components`, but for those that are `held` back.
    pub(crate) fn state(&self, components: &[Name], held: &BTreeSet<Name>) -> ReplicaState {
        match self {
            Self::Due | Self::Awaited | Self::Spawning => ReplicaState::Starting,
            Self::Adopting { .. } | Self::Starting { .. } => ReplicaState::Starting,
            // It has a process, and does not answer.
            Self::Serving { run, .. } if run.pulse.is_silent() => ReplicaState::Starting,
            Self::Serving { run, .. } if run.all_ready(components, held) => ReplicaState::Ready,
            // It answers, and is better not called; or it begins with what it alone has now.
            Self::Serving { run, .. } if run.none_ends(components) => ReplicaState::Starting,
            // Somebody sent it a signal: it drains by its own decision.
            Self::Serving { .. } | Self::Draining { .. } => ReplicaState::Draining,
            // It does not serve any more, and soon it will wait for its restart.
            Self::Dying { .. } | Self::Backoff { .. } => ReplicaState::Backoff,
            Self::Stopped => ReplicaState::Stopped,
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
