//! What the connections of a server share.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use anylith_core::{Limits, Name};

use super::intake::Intake;
use crate::{flush_bell::FlushBell, serve::Serve, tally::Tally, trust::Trust};

/// What the connections of a server share.
pub(crate) struct Host {
    pub(crate) service: Arc<dyn Serve>,
    pub(crate) flushed: FlushBell,
    pub(crate) trust: Arc<Trust>,
    pub(crate) tally: Arc<Tally>,
    limits: Limits,
    /// Of each component, by its index. There are more when there are more components.
    intakes: Mutex<Vec<Arc<Intake>>>,
    /// How many connections have been greeted and are not closed.
    connections: AtomicUsize,
    /// How many calls are in tasks that have not run yet.
    queued: AtomicUsize,
}

impl Host {
    pub(crate) fn new(
        service: Arc<dyn Serve>,
        limits: &Limits,
        trust: Arc<Trust>,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            flushed: FlushBell::default(),
            trust,
            tally,
            limits: limits.clone(),
            intakes: Mutex::default(),
            connections: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            service,
        }
    }

    /// The intake of each component that there is now, by its index.
    pub(super) fn intakes(&self) -> Vec<Arc<Intake>> {
        let mut intakes = self.intakes.lock().unwrap_or_else(PoisonError::into_inner);
        for served in self.service.components().iter().skip(intakes.len()) {
            let limit = self.limits.concurrency_of(&served.name);
            intakes.push(Arc::new(Intake::new(limit)));
        }
        intakes.clone()
    }

    /// Logs that so many calls of `component` were refused as too many.
    pub(super) fn tell_overloaded(&self, component: &Name, calls: u64) {
        let replica = &self.trust.membership().replica;
        let setting = self.limits.concurrency_setting(component);
        tracing::warn!(
            %component,
            refused = calls,
            "overloaded: {component} of {replica} has as many calls as `{setting}` lets it take, or more than it can \
             begin, and refuses others"
        );
    }

    /// Counts a connection while what is returned lives.
    pub(super) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Relaxed);
        Connected(Arc::clone(self))
    }

    /// Counts a task while what is returned lives: until it runs.
    pub(super) fn queued(self: &Arc<Self>) -> Queued {
        self.queued.fetch_add(1, Relaxed);
        Queued(Arc::clone(self))
    }

    /// How many tasks wait to run.
    pub(super) fn tasks_queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    /// How many connections there are, at least one.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Relaxed).max(1)
    }
}

/// An open connection.
pub(super) struct Connected(Arc<Host>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A task that has not run yet.
pub(super) struct Queued(Arc<Host>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Relaxed);
    }
}
