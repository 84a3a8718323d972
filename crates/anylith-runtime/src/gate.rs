//! Counts the calls inside a component, and closes it for new ones.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Set in the count once the gate is closed.
const CLOSED: u64 = 1 << 63;

/// The way into a component.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The calls inside, and [`CLOSED`].
    state: AtomicU64,
    empty: Notify,
}

impl Gate {
    /// Lets a call in, unless the gate is closed.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Permit> {
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        let permit = Permit(Arc::clone(self));
        (before & CLOSED == 0).then_some(permit)
    }

    /// Lets no more calls in.
    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Waits until no call is inside.
    pub(crate) async fn emptied(&self) {
        loop {
            let notified = self.empty.notified();
            if self.inside() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// How many calls are inside.
    pub(crate) fn inside(&self) -> u64 {
        self.state.load(Ordering::Acquire) & !CLOSED
    }
}

/// A call inside a component. Dropping it says that the call has left.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_is_empty_when_the_last_call_has_left() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter().unwrap();
        gate.close();
        assert!(gate.enter().is_none());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
