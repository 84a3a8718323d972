//! Where each component of a replica stands, as it is told.

use std::{collections::BTreeMap, sync::Arc};

use anylith_core::Name;
use anylith_wire::control::ComponentState;
use tokio::sync::watch;

use super::turn::Bequest;

/// Where each component of a replica stands.
pub(crate) type States = BTreeMap<Name, Standing>;

/// Where a component stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: ComponentState,
    /// Why it is not healthy, if it is that which keeps it from being ready; or what its drain had to drop; or why it could
    /// not start.
    pub(crate) reason: Option<String>,
    /// Whether it has stopped because it could not start beside others that run.
    pub(crate) not_started: bool,
    /// Whether it waits until there is no other one of it.
    pub(crate) held: bool,
    /// What it has handed over before it stopped.
    pub(crate) bequest: Option<Arc<Bequest>>,
}

impl Standing {
    pub(crate) fn new(state: ComponentState, reason: Option<String>) -> Self {
        Self {
            state,
            reason,
            not_started: false,
            held: false,
            bequest: None,
        }
    }

    /// It has not begun to start; it is `held` back where another one of it may be at work.
    pub(super) fn waiting(held: bool) -> Self {
        Self {
            held,
            ..ComponentState::Waiting.into()
        }
    }
}

impl From<ComponentState> for Standing {
    fn from(state: ComponentState) -> Self {
        Self::new(state, None)
    }
}

/// Tells where a component stands, unless its life is over: what is drained only stops, and what has stopped stays so,
/// whatever somebody else has seen just before. Returns whether this is news.
pub(super) fn tell(states: &watch::Sender<States>, component: &Name, standing: &Standing) -> bool {
    states.send_if_modified(|states| {
        let Some(known) = states.get_mut(component) else {
            return false;
        };
        let may_follow = match known.state {
            ComponentState::Waiting
            | ComponentState::Starting
            | ComponentState::Ready
            | ComponentState::Unhealthy => true,
            ComponentState::Draining => standing.state == ComponentState::Stopped,
            ComponentState::Stopped => false,
        };
        let changes = may_follow && known != standing;
        if changes {
            known.clone_from(standing);
        }
        changes
    })
}

/// Whether `component` is in `state`.
pub(super) fn is_in(states: &States, component: &str, state: ComponentState) -> bool {
    states
        .get(component)
        .is_some_and(|standing| standing.state == state)
}
