//! A connection from a calling replica.
//!
//! The [`Driver`] reads, lets in what there is room for, and begins it: it polls each future once, and most
//! answers are ready then, and leave together in one write. A call that is pending goes on in a task of its own,
//! which ends it through the shared [`State`]. What comes faster than it can be begun waits in [`Waiting`], and
//! what the [`Intake`](intake::Intake) of its component has no room for is refused when it is read.

mod driver;
mod ending;
mod gradient;
mod greeting;
mod host;
mod inflow;
mod intake;
mod waiting;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use anylith_core::{Execution, Overload, Refusal};
use anylith_wire::{CallId, Failure, Readiness, Request, ServingEnd, ServingEvent};
use tokio::task::AbortHandle;

use self::{
    host::Connected,
    inflow::Inflow,
    intake::{Intake, Place},
    waiting::{Next, Waiting},
};

pub(crate) use driver::{Driver, Ended};
pub(crate) use greeting::greet;
pub(crate) use host::Host;

/// The arguments that may wait to be begun on one connection, in bytes. One message may always wait.
const MOST_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// An accepted connection, once it is greeted.
pub(crate) struct Serving {
    state: Mutex<State>,
}

struct State {
    end: ServingEnd,
    host: Arc<Host>,
    _connected: Connected,
    /// Calls that came in and were not begun. Bounded by the intakes of their components, and in bytes.
    waiting: Waiting<Request>,
    waiting_bytes: usize,
    /// How many calls of each component are in, by its index.
    held: Vec<u32>,
    /// Of each component that there was at the greeting, by its index.
    intakes: Vec<Arc<Intake>>,
    /// What is known of each call, by its number. Bounded by the limit on calls.
    work: Vec<Work>,
    driver: Option<Waker>,
    /// The driver was woken and has not yet looked.
    asked: bool,
    /// Nothing is in the outbox, and the socket took all that was.
    flushed: bool,
    /// Close once everything is flushed.
    closing: bool,
}

/// A call that is begun, and how long it has waited for that.
struct Begun {
    request: Request,
    waited: Duration,
}

/// What is known of one call besides what the protocol asks for.
#[derive(Default)]
struct Work {
    /// Where it is counted: its component, and its place in that.
    place: Option<(u16, Place)>,
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
    pub(crate) fn new(end: ServingEnd, host: &Arc<Host>) -> Arc<Self> {
        let intakes = host.intakes();
        let state = State {
            end,
            _connected: host.connected(),
            waiting: Waiting::default(),
            waiting_bytes: 0,
            held: vec![0; intakes.len()],
            intakes,
            host: Arc::clone(host),
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
    pub(crate) fn offer(&self, offered: Vec<Readiness>) {
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

    /// Refuses what was not begun, ends all other calls as lost, sends that, and closes.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.refuse_waiting();
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

    /// Forgets a call. Who still reads its items learns that no more come. `answered` says whether it came to its
    /// end in its own time.
    fn clear(&mut self, call: CallId, answered: bool) {
        if let Some(work) = self.work.get_mut(call as usize) {
            let work = std::mem::take(work);
            self.leave(&work, answered);
        }
    }

    fn leave(&mut self, work: &Work, answered: bool) {
        if let Some((component, place)) = &work.place {
            let component = usize::from(*component);
            if matches!(place, Place::Inside { .. }) {
                self.held[component] -= 1;
            }
            self.intakes[component].leave(place, answered);
        }
    }

    /// Lets a call in, or refuses it.
    fn take_in(&mut self, request: Request, now: Instant) {
        let call = request.call;
        let index = usize::from(request.component);
        let bytes = self.waiting_bytes + request.arguments.len();
        let place = if bytes <= MOST_WAITING_BYTES || self.waiting.is_empty() {
            let connections = self.host.connections();
            self.intakes[index].enter(self.held[index], connections, now)
        } else {
            None
        };
        let Some(place) = place else {
            return self.refuse_overloaded(call, request.component, now);
        };
        self.held[index] += 1;
        let component = request.component;
        let items = request.items;
        let work = self.work(call);
        work.place = Some((component, place));
        if items {
            work.inflow = Some(Arc::default());
            self.set_apart(call, false);
        }
        self.waiting_bytes = bytes;
        self.waiting.push(request, now);
    }

    /// Counts a call with a stream apart from the others, where their time is looked at: a stream lasts for as long
    /// as its two ends like. `answered` says whether what was waited for until now has come.
    fn set_apart(&mut self, call: CallId, answered: bool) {
        if let Some(work) = self.work.get_mut(call as usize)
            && let Some((component, place)) = &mut work.place
        {
            let component = usize::from(*component);
            if self.intakes[component].set_apart(place, answered) {
                self.held[component] -= 1;
            }
        }
    }

    /// That a call has to go elsewhere.
    fn moved(&self) -> Failure {
        let epoch = self.host.service.epoch();
        Failure::NotExecuted(Refusal::Moved { epoch })
    }

    /// Refuses the calls that were not begun, since it is known of them that they did not run.
    fn refuse_waiting(&mut self) {
        let moved = self.moved();
        self.waiting_bytes = 0;
        for request in self.waiting.take_all() {
            self.clear(request.call, false);
            self.end.refuse(request.call, &moved);
        }
    }

    fn refuse_overloaded(&mut self, call: CallId, component: u16, now: Instant) {
        self.host.tally.overloaded.up();
        let component = usize::from(component);
        if let Some(calls) = self.intakes[component].refused(now) {
            let component = &self.end.components()[component].name;
            self.host.tell_overloaded(component, calls);
        }
        let failure = Failure::NotExecuted(Refusal::Overloaded(Overload::Callee));
        self.clear(call, false);
        self.end.refuse(call, &failure);
    }

    /// Moves the calls that are to be begun at `now` into `begun`, up to `most`, and ends those that are not to
    /// be begun at all.
    fn next_calls(&mut self, begun: &mut Vec<Begun>, most: usize, now: Instant) {
        while begun.len() < most
            && let Some((since, next)) = self.waiting.next(now)
        {
            let (request, aged) = match next {
                Next::Begin(request) => (request, false),
                Next::Refuse(request) => (request, true),
            };
            let call = request.call;
            self.waiting_bytes -= request.arguments.len();
            if request.deadline.is_some_and(|deadline| deadline <= now) {
                self.host.tally.expired.up();
                self.clear(call, false);
                let failure = Failure::DeadlineExceeded(Execution::NotExecuted);
                self.end.refuse(call, &failure);
            } else if !self.end.is_wanted(call) {
                // It was cancelled, or its component is stopped, before it was begun.
                self.clear(call, false);
                let moved = self.moved();
                self.end.fail(call, &moved);
            } else if aged {
                self.refuse_overloaded(call, request.component, now);
            } else {
                let waited = now.saturating_duration_since(since);
                begun.push(Begun { request, waited });
            }
        }
    }

    /// Does what an event asks for that came, or was noticed, at `now`.
    fn on_event(&mut self, event: ServingEvent, now: Instant, wakers: &mut Vec<Waker>) {
        match event {
            // It was judged with the greeting.
            ServingEvent::Ready => {}
            ServingEvent::Denied { component } => self.host.trust.denied(&self.end, component),
            ServingEvent::Request(request) => self.take_in(request, now),
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
                // Where there is no task, it still waits, and is found unwanted when it is its turn.
                if let Some(task) = &self.work(call).task {
                    task.abort();
                }
            }
        }
    }
}
