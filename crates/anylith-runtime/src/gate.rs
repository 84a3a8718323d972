//! Counts the calls inside a component, closes it for new ones, and in the end turns out those that are left.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Instant,
};

use anylith_core::Name;
use slab::Slab;
use tokio::sync::Notify;

use crate::meter::Meter;

/// Set in the count once the gate is closed.
const CLOSED: u64 = 1 << 63;
/// Set in the count once those inside are turned out.
const CLEARED: u64 = 1 << 62;

/// The way into a component: open → closed → cleared.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The calls inside, with [`CLOSED`] and [`CLEARED`].
    state: AtomicU64,
    empty: Notify,
    /// Of the calls inside that want to know when they are turned out.
    wakers: Mutex<Slab<Waker>>,
    /// How many calls of each kind were turned out.
    turned_out: Mutex<BTreeMap<Inside, u64>>,
    meter: Meter,
}

/// What a call inside is, for people who ask what was left undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inside {
    /// The method, by its place in the interface.
    pub(crate) method: u16,
    /// The component that called it, if it is one of this process.
    pub(crate) caller: Option<Name>,
}

impl Gate {
    /// Lets a call in, unless the gate is closed.
    pub(crate) fn enter(self: &Arc<Self>, inside: Inside) -> Option<Permit> {
        let mut permit = self.stay(inside);
        if self.is_open() {
            return Some(permit);
        }
        permit.inside = None;
        permit.begun = None;
        None
    }

    /// Counts a call that is inside already, whether or not the gate has been closed behind it.
    pub(crate) fn stay(self: &Arc<Self>, inside: Inside) -> Permit {
        self.state.fetch_add(1, Ordering::AcqRel);
        Permit {
            gate: Arc::clone(self),
            inside: Some(inside),
            waker: None,
            begun: self.meter.begin(),
        }
    }

    /// What measures the calls inside.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What was turned out, and how many calls of each kind that were. It is only told once.
    pub(crate) fn turned_out(&self) -> BTreeMap<Inside, u64> {
        std::mem::take(&mut *self.left())
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<Inside, u64>> {
        self.turned_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no more calls in.
    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Whether calls are let in.
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED == 0
    }

    /// Tells the calls inside to leave at once; see [`Permit::poll_void`].
    pub(crate) fn clear(&self) {
        self.state.fetch_or(CLOSED | CLEARED, Ordering::AcqRel);
        let wakers = std::mem::take(&mut *self.wakers());
        for (_, waker) in wakers {
            waker.wake();
        }
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
        self.state.load(Ordering::Acquire) & !(CLOSED | CLEARED)
    }

    fn wakers(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call inside a component. Dropping it says that the call has left.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    /// `None` if it was not let in.
    inside: Option<Inside>,
    /// What is to be woken when the call is turned out, and its place in the gate.
    waker: Option<(usize, Waker)>,
    /// When it came in, if it is measured.
    begun: Option<Instant>,
}

impl Permit {
    /// Whether the call has to leave at once. If not, the task of `cx` is woken when it has.
    pub(crate) fn poll_void(&mut self, cx: &Context<'_>) -> bool {
        let known = self.waker.as_ref();
        if known.is_none_or(|(_, waker)| !waker.will_wake(cx.waker())) {
            let waker = cx.waker().clone();
            let mut wakers = self.gate.wakers();
            let place = match known {
                Some((place, _)) if wakers.contains(*place) => {
                    wakers[*place] = waker.clone();
                    *place
                }
                _ => wakers.insert(waker.clone()),
            };
            drop(wakers);
            self.waker = Some((place, waker));
        }
        self.is_void()
    }

    /// Whether the call has to leave at once.
    pub(crate) fn is_void(&self) -> bool {
        self.gate.state.load(Ordering::Acquire) & CLEARED != 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((place, _)) = self.waker.take() {
            self.gate.wakers().try_remove(place);
        }
        if self.is_void()
            && let Some(inside) = self.inside.take()
        {
            *self.gate.left().entry(inside).or_default() += 1;
        }
        if let Some(begun) = self.begun {
            self.gate.meter.end(begun.elapsed());
        }
        let before = self.gate.state.fetch_sub(1, Ordering::AcqRel);
        if before & !CLEARED == CLOSED | 1 {
            self.gate.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Inside = Inside {
        method: 3,
        caller: None,
    };

    #[tokio::test]
    async fn a_closed_gate_is_empty_when_the_last_call_has_left() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(CALL).unwrap();
        gate.close();
        assert!(gate.enter(CALL).is_none());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_stays_is_told_when_it_has_to_leave() {
        let gate = Arc::new(Gate::default());
        let mut permit = gate.enter(CALL).unwrap();
        let turned_out = tokio::spawn(std::future::poll_fn(move |cx| {
            if permit.poll_void(cx) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        }));
        tokio::task::yield_now().await;
        assert!(!turned_out.is_finished());
        gate.clear();
        turned_out.await.unwrap();
        gate.emptied().await;
        assert!(
            gate.enter(CALL).is_none(),
            "a gate that is cleared is closed"
        );
        assert_eq!(gate.turned_out(), [(CALL, 1)].into());
    }
}
