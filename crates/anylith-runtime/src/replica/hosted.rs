//! One component of a replica, from its start to its end.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anylith_core::Name;
use tokio::{sync::watch, time::Instant};

use super::turn::Turn;
use crate::{
    component::{Hooks, Registration},
    interface::checked,
    task::Task,
};

/// One component of the replica.
pub(super) struct Hosted {
    pub(super) name: Name,
    pub(super) registration: Registration,
    pub(super) turn: Turn,
    pub(super) phase: Mutex<Phase>,
}

impl Hosted {
    pub(super) fn new(registration: Registration, held: &[Name]) -> Arc<Self> {
        Arc::new(Self {
            turn: Turn::new(held.iter().any(|name| *name == registration.name)),
            name: checked(registration.name),
            registration,
            phase: Mutex::new(Phase::Starting),
        })
    }

    pub(super) fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the component may finish, if it was drained.
    pub(super) fn drained(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Over { end } => Some(end),
            Phase::Starting | Phase::Ready(_) => None,
        }
    }
}

/// Starting → Ready → Over. One that is drained before it is ready goes straight to Over, and stays there.
pub(super) enum Phase {
    Starting,
    Ready(Life),
    /// It was drained, and may finish until `end`.
    Over {
        end: Instant,
    },
}

/// A component that is ready.
pub(super) struct Life {
    pub(super) component: Arc<dyn Any + Send + Sync>,
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) running: Task<()>,
    /// Asks how it is, if it can say that.
    pub(super) health: Option<Task<()>>,
}

/// What a component that calls were let into still has to do.
pub(super) enum Opened {
    /// Nothing.
    Ready,
    /// It is asked how it is, and is ready when it has agreed.
    Asked,
}

/// A component that was drained before it was ready, and may finish until `end`.
pub(super) struct Late {
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) end: Instant,
}
