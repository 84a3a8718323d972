//! What went wrong with the components of a replica once they were ready.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use anylith_core::Name;
use tokio::sync::mpsc;

use crate::component::StartError;

/// A component that failed, and how.
#[derive(Debug)]
pub(crate) struct ComponentFailure {
    pub(crate) component: Name,
    pub(crate) error: StartError,
}

/// Takes the first failure of each component. What goes wrong with it afterwards adds nothing: it is in the log.
#[derive(Clone)]
pub(super) struct Failures {
    /// Has room for one failure of each component that there may be. Where one comes again it may have failed before: the
    /// replica ends with the first failure.
    queue: mpsc::Sender<ComponentFailure>,
    told: Arc<Mutex<BTreeSet<Name>>>,
}

impl Failures {
    /// For so many components; their failures come out of the second value.
    pub(super) fn of(components: usize) -> (Self, mpsc::Receiver<ComponentFailure>) {
        let (queue, failed) = mpsc::channel(components.max(1));
        let told = Arc::default();
        (Self { queue, told }, failed)
    }

    /// `component` begins anew, and has not failed yet.
    pub(super) fn forget(&self, component: &Name) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(component);
    }

    /// Tells of `error`, unless `component` has failed before.
    pub(super) fn tell(&self, component: Name, error: StartError) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.insert(component.clone()) {
            let error = anylith_core::with_causes(&error);
            tracing::warn!(target: "anylith", %component, error, "a component that has failed fails again");
            return;
        }
        // Without a receiver the replica is gone, and with it the need to know.
        let _ = self.queue.try_send(ComponentFailure { component, error });
    }
}
