//! A connection from a calling replica.
//!
//! The [`Driver`] reads, begins every call that came and polls its future once: most answers are ready
//! then, and leave together in one write. A call that is pending goes on in a task of its own, which ends
//! it through the shared [`State`].

mod driver;
mod ending;
mod inflow;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use anylith_wire::{CallId, Failure, Request, ServingEnd, ServingEvent};
use tokio::task::AbortHandle;

use self::inflow::Inflow;

pub(crate) use driver::{Driver, Ended};

/// An accepted connection.
pub(crate) struct Serving {
    state: Mutex<State>,
}

struct State {
    end: ServingEnd,
    /// What runs outside of the driver, by call. Bounded by the limit on calls.
    work: Vec<Work>,
    driver: Option<Waker>,
    /// The driver was woken and has not yet looked.
    asked: bool,
    /// Nothing is in the outbox, and the socket took all that was.
    flushed: bool,
    /// Close once everything is flushed.
    closing: bool,
}

/// What runs for one call outside of the driver.
#[derive(Default)]
struct Work {
    task: Option<AbortHandle>,
    inflow: Option<Arc<Inflow>>,
    /// Of the task that sends a stream and waits for credit.
    sender: Option<Waker>,
}

impl Drop for Work {
    /// Whoever still reads the items learns that no more come.
    fn drop(&mut self) {
        if let Some(inflow) = &self.inflow
            && let Some(waker) = inflow.end(Err(Failure::Cancelled))
        {
            waker.wake();
        }
    }
}

impl Serving {
    pub(crate) fn new(end: ServingEnd) -> Arc<Self> {
        let state = State {
            end,
            work: Vec::new(),
            driver: None,
            asked: false,
            flushed: true,
            closing: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Refuses new calls from now on.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        state.end.drain();
        state.ask();
    }

    /// Tells the caller which components take calls from now on.
    pub(crate) fn offer(&self, offered: Vec<bool>) {
        let mut state = self.lock();
        state.end.offer(offered);
        if state.end.has_output() {
            state.ask();
        }
    }

    /// Whether all calls have ended and their answers have left.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.lock();
        state.end.in_flight() == 0 && state.flushed && !state.end.has_output()
    }

    /// Drops the calls of one component.
    pub(crate) fn stop_component(&self, component: u16) {
        let mut state = self.lock();
        for call in state.end.stop_component(component) {
            // One that the driver is about to begin it finds unwanted then.
            if let Some(task) = &state.work(call).task {
                task.abort();
            }
        }
    }

    /// Ends all calls as lost, sends that, and closes.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.end.stop();
        state.closing = true;
        state.ask();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self) {
        self.flushed = false;
        if !self.asked {
            self.asked = true;
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }

    fn work(&mut self, call: CallId) -> &mut Work {
        let index = call as usize;
        if self.work.len() <= index {
            self.work.resize_with(index + 1, Work::default);
        }
        &mut self.work[index]
    }

    /// Forgets what ran for a call. Who still reads its items learns that no more come.
    fn clear(&mut self, call: CallId) {
        if let Some(work) = self.work.get_mut(call as usize) {
            *work = Work::default();
        }
    }

    /// Does what an event asks for; a request is added to `requests`.
    fn on_event(
        &mut self,
        event: ServingEvent,
        requests: &mut Vec<Request>,
        wakers: &mut Vec<Waker>,
    ) {
        match event {
            ServingEvent::Ready => {}
            ServingEvent::Request(request) => {
                if request.items {
                    self.work(request.call).inflow = Some(Arc::default());
                }
                requests.push(request);
            }
            ServingEvent::Item { call, item } => {
                if let Some(inflow) = &self.work(call).inflow {
                    wakers.extend(inflow.push(item));
                }
            }
            ServingEvent::ItemsEnded { call } => {
                if let Some(inflow) = &self.work(call).inflow {
                    wakers.extend(inflow.end(Ok(())));
                }
            }
            ServingEvent::Writable { call } => wakers.extend(self.work(call).sender.take()),
            ServingEvent::Cancelled { call } => {
                if let Some(task) = &self.work(call).task {
                    task.abort();
                } else {
                    // It was asked to stop before it was begun.
                    match requests.iter().position(|request| request.call == call) {
                        Some(at) => {
                            requests.remove(at);
                            self.clear(call);
                            self.end.fail(call, &Failure::Cancelled);
                        }
                        None => debug_assert!(false, "call {call} runs nowhere"),
                    }
                }
            }
        }
    }
}
