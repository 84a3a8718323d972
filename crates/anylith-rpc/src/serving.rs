//! A connection from a calling replica.
//!
//! The driver reads, begins every call that came and polls its future once: most answers are ready then,
//! and leave together in one write. A call that is pending goes on in a task of its own, which ends it
//! through the shared [`State`].

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use anylith_wire::{Batch, CallId, Failure, ProtocolError, Request, ServingEnd, ServingEvent};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::{
    task::{AbortHandle, coop::unconstrained},
    time::{Sleep, sleep_until},
};

use crate::{
    lull::Lull,
    serve::{Answer, Answering, Incoming, Items, Serve},
    server::Gate,
    transport::Socket,
};

/// How many calls are begun before their answers are sent and other tasks may run.
const CALLS_PER_TURN: usize = 128;
/// How many buffers for answers are kept, and up to which size, in bytes.
const KEPT_BUFFERS: usize = 64;
const KEPT_BUFFER_BYTES: usize = 16 * 1024;

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
    inflow: Option<Arc<Mutex<Inflow>>>,
    /// Of the task that sends a stream and waits for credit.
    sender: Option<Waker>,
}

/// Items that came for a call and were not taken yet. Bounded by the call's credit.
#[derive(Default)]
struct Inflow {
    items: VecDeque<Bytes>,
    end: Option<Result<(), Failure>>,
    waker: Option<Waker>,
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

    /// Refuses new calls of one component from now on.
    pub(crate) fn refuse(&self, component: u16) {
        self.lock().end.refuse(component);
    }

    /// Whether all calls, or all of one component, have ended and their answers have left.
    pub(crate) fn is_drained(&self, component: Option<u16>) -> bool {
        let state = self.lock();
        let in_flight = match component {
            Some(component) => state.end.in_flight_of(component),
            None => state.end.in_flight(),
        };
        in_flight == 0 && state.flushed && !state.end.has_output()
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

    /// Forgets what ran for a call. Returns who has to learn that its items are over.
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
                    let mut inflow = lock(inflow);
                    inflow.items.push_back(item);
                    wakers.extend(inflow.waker.take());
                }
            }
            ServingEvent::ItemsEnded { call } => {
                if let Some(inflow) = &self.work(call).inflow {
                    let mut inflow = lock(inflow);
                    inflow.end = Some(Ok(()));
                    wakers.extend(inflow.waker.take());
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

/// Moves bytes between a socket and the implementations. A future that ends when the connection does.
pub(crate) struct Driver {
    serving: Arc<Serving>,
    service: Arc<dyn Serve>,
    gate: Arc<Gate>,
    socket: Socket,
    bytes: BytesMut,
    batch: Batch,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    requests: Vec<Request>,
    /// Answers that were ready at once. Bounded by [`CALLS_PER_TURN`].
    ready: Vec<(CallId, Result<Vec<u8>, Failure>)>,
    buffers: Vec<Vec<u8>>,
    events: Vec<ServingEvent>,
    wakers: Vec<Waker>,
    lull: Lull,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it, or it was closed here.
    Closed,
    Io(io::Error),
    Protocol(ProtocolError),
}

impl Driver {
    pub(crate) fn new(
        serving: Arc<Serving>,
        service: Arc<dyn Serve>,
        gate: Arc<Gate>,
        socket: Socket,
    ) -> Self {
        Self {
            serving,
            service,
            gate,
            socket,
            bytes: BytesMut::new(),
            batch: Batch::default(),
            timer: Box::pin(sleep_until(Instant::now().into())),
            armed: None,
            requests: Vec::new(),
            ready: Vec::new(),
            buffers: Vec::new(),
            events: Vec::new(),
            wakers: Vec::new(),
            lull: Lull::new(),
        }
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut begun = 0;
        let mut answered = false;
        let mut congested = false;
        loop {
            if begun >= CALLS_PER_TURN {
                cx.waker().wake_by_ref();
                break;
            }
            // A peer that sends and never reads gets no further; the socket wakes this task when it reads.
            if !self.batch.is_empty() && self.serving.lock().end.is_congested() {
                congested = true;
                break;
            }
            let wanted = if self.bytes.is_empty() {
                0
            } else {
                self.serving.lock().end.wanted()
            };
            match self.socket.poll_read(cx, &mut self.bytes, wanted) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Poll::Ready(Ended::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Ended::Io(error)),
            }
            loop {
                if let Err(error) = self.receive() {
                    return Poll::Ready(self.give_up(cx, error));
                }
                if self.requests.is_empty() {
                    break;
                }
                begun += self.requests.len();
                answered |= self.begin_all();
                // A turn with many calls: let the first answers go before the last calls begin.
                if begun >= CALLS_PER_TURN
                    && let Poll::Ready(Err(error)) = self.poll_flush(cx)
                {
                    return Poll::Ready(Ended::Io(error));
                }
            }
        }
        // Answers that were ready at once are as many as there will be. Others come one by one.
        if !answered && !congested {
            let company = self.serving.lock().end.in_flight() > 0;
            if self.lull.poll(cx, company).is_pending() {
                return Poll::Pending;
            }
        }
        match self.poll_flush(cx) {
            Poll::Ready(Ok(true)) => return Poll::Ready(Ended::Closed),
            Poll::Ready(Err(error)) => return Poll::Ready(Ended::Io(error)),
            Poll::Ready(Ok(false)) if congested => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        while self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
            if let Err(error) = self.on_timeout() {
                return Poll::Ready(self.give_up(cx, error));
            }
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Ended::Io(error));
            }
        }
        Poll::Pending
    }

    /// Takes what was read, up to the calls of one turn.
    fn receive(&mut self) -> Result<(), ProtocolError> {
        let now = Instant::now();
        let mut state = self.serving.lock();
        let result = loop {
            if self.requests.len() >= CALLS_PER_TURN {
                break Ok(());
            }
            match state.end.receive(&mut self.bytes, now) {
                Ok(Some(event)) => state.on_event(event, &mut self.requests, &mut self.wakers),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(state);
        self.wake();
        result
    }

    /// Begins the calls that came, and ends those that are ready at once. Returns whether there were any.
    fn begin_all(&mut self) -> bool {
        let mut requests = std::mem::take(&mut self.requests);
        for request in requests.drain(..) {
            let call = request.call;
            let begun = catch_unwind(AssertUnwindSafe(|| self.begin(request)));
            if let Err(panic) = begun {
                self.ready
                    .push((call, Err(Failure::Panicked(panic_message(&*panic)))));
            }
        }
        self.requests = requests;
        if self.ready.is_empty() {
            return false;
        }
        let mut state = self.serving.lock();
        for (call, answer) in self.ready.drain(..) {
            state.clear(call);
            match answer {
                Ok(mut message) => {
                    state.end.respond(call, &mut message);
                    let room = message.capacity();
                    if room > 0 && room <= KEPT_BUFFER_BYTES && self.buffers.len() < KEPT_BUFFERS {
                        self.buffers.push(message);
                    }
                }
                Err(failure) => state.end.fail(call, &failure),
            }
        }
        true
    }

    fn begin(&mut self, request: Request) {
        let call = request.call;
        let items = request.items.then(|| self.items(call));
        let mut answering = self.service.call(Incoming {
            component: request.component,
            method: request.method,
            deadline: request.deadline,
            context: request.context,
            arguments: request.arguments,
            items,
            buffer: self.buffers.pop().unwrap_or_default(),
        });
        // Nothing is woken: if it is pending, its own task polls it again at once.
        let mut cx = Context::from_waker(Waker::noop());
        match pin_poll(&mut answering, &mut cx) {
            Poll::Ready(Answer::Message(message)) => self.ready.push((call, Ok(message))),
            Poll::Ready(Answer::Failed(failure)) => self.ready.push((call, Err(failure))),
            Poll::Ready(Answer::Stream(stream)) => {
                let ending = Ending::new(self.serving.clone(), call);
                self.spawn(call, send_stream(ending, stream));
            }
            Poll::Pending => {
                let ending = Ending::new(self.serving.clone(), call);
                self.spawn(call, finish(ending, answering));
            }
        }
    }

    fn spawn(&self, call: CallId, future: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(future).abort_handle();
        let mut state = self.serving.lock();
        // Where it has ended by now, the handle does nothing, and goes with the next call.
        state.work(call).task = Some(task);
    }

    fn items(&self, call: CallId) -> Items {
        let inflow = self
            .serving
            .lock()
            .work(call)
            .inflow
            .clone()
            .unwrap_or_default();
        Box::pin(IncomingItems {
            serving: self.serving.clone(),
            call,
            inflow,
        })
    }

    /// Sends what is pending. Ready with true if the connection is to be closed now.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            while !self.batch.is_empty() {
                std::task::ready!(self.socket.poll_write(cx, &mut self.batch))?;
            }
            let mut state = self.serving.lock();
            state.asked = false;
            match &mut state.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            state.end.fill(&mut self.batch, &mut self.events);
            for event in self.events.drain(..) {
                state.on_event(event, &mut self.requests, &mut self.wakers);
            }
            state.flushed = self.batch.is_empty();
            let next = state.end.next_timeout();
            let close = state.closing && state.flushed;
            drop(state);
            self.wake();
            self.arm(next);
            if self.batch.is_empty() {
                self.gate.flushed();
                return Poll::Ready(Ok(close));
            }
        }
    }

    fn arm(&mut self, next: Option<Instant>) {
        let Some(next) = next else { return };
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            self.timer.as_mut().reset(next.into());
        }
    }

    fn on_timeout(&mut self) -> Result<(), ProtocolError> {
        let mut state = self.serving.lock();
        let result = state.end.on_timeout(Instant::now(), &mut self.events);
        for event in self.events.drain(..) {
            state.on_event(event, &mut self.requests, &mut self.wakers);
        }
        drop(state);
        self.wake();
        result
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    fn give_up(&mut self, cx: &mut Context<'_>, error: ProtocolError) -> Ended {
        if !matches!(error, ProtocolError::GivenUp(_)) {
            self.serving.lock().end.give_up(&error);
            let _ = self.poll_flush(cx);
        }
        Ended::Protocol(error)
    }
}

impl Future for Driver {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.poll_run(cx)
    }
}

impl Drop for Driver {
    /// Nobody is there to answer to: everything that runs for this connection is stopped.
    fn drop(&mut self) {
        let mut state = self.serving.lock();
        for work in std::mem::take(&mut state.work) {
            if let Some(task) = &work.task {
                task.abort();
            }
        }
        state.flushed = true;
        state.end.stop();
        drop(state);
        self.gate.flushed();
    }
}

/// Polls without the budget of the connection's task, which is not the call's to use up.
fn pin_poll(answering: &mut Answering, cx: &mut Context<'_>) -> Poll<Answer> {
    std::pin::pin!(unconstrained(answering)).poll(cx)
}

/// Ends a call, however its task ends.
struct Ending {
    serving: Arc<Serving>,
    call: CallId,
    ended: bool,
}

impl Ending {
    fn new(serving: Arc<Serving>, call: CallId) -> Self {
        Self {
            serving,
            call,
            ended: false,
        }
    }

    fn end(&mut self, end: impl FnOnce(&mut ServingEnd, CallId)) {
        if !std::mem::replace(&mut self.ended, true) {
            let mut state = self.serving.lock();
            state.clear(self.call);
            end(&mut state.end, self.call);
            state.ask();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // A task that was aborted, or that panicked past the component's own border.
        let failure = if std::thread::panicking() {
            Failure::Panicked("the implementation panicked".to_owned())
        } else {
            Failure::Cancelled
        };
        self.end(|end, call| end.fail(call, &failure));
    }
}

/// Waits for the answer of a call that was pending, and ends the call.
async fn finish(mut ending: Ending, answering: Answering) {
    match answering.await {
        Answer::Message(mut message) => ending.end(|end, call| end.respond(call, &mut message)),
        Answer::Failed(failure) => ending.end(|end, call| end.fail(call, &failure)),
        Answer::Stream(stream) => send_stream(ending, stream).await,
    }
}

/// Sends a stream as fast as the caller reads it.
async fn send_stream(mut ending: Ending, mut stream: Items) {
    {
        let mut state = ending.serving.lock();
        state.end.begin_stream(ending.call);
        state.ask();
    }
    loop {
        poll_fn(|cx| {
            let mut state = ending.serving.lock();
            if state.end.may_send(ending.call) {
                return Poll::Ready(());
            }
            state.work(ending.call).sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let failure = match poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            None => return ending.end(ServingEnd::end_stream),
            Some(Err(failure)) => failure,
            Some(Ok(item)) => {
                let mut state = ending.serving.lock();
                let sent = state.end.send_item(ending.call, item);
                state.ask();
                match sent {
                    Ok(()) => continue,
                    Err(failure) => failure,
                }
            }
        };
        return ending.end(|end, call| end.fail(call, &failure));
    }
}

/// The items of a call's arguments, as its implementation reads them.
struct IncomingItems {
    serving: Arc<Serving>,
    call: CallId,
    inflow: Arc<Mutex<Inflow>>,
}

impl Stream for IncomingItems {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = {
            let mut inflow = lock(&self.inflow);
            match inflow.items.pop_front() {
                Some(item) => item,
                None => match &mut inflow.end {
                    Some(Ok(())) => return Poll::Ready(None),
                    Some(end @ Err(_)) => {
                        let end = std::mem::replace(end, Ok(()));
                        return Poll::Ready(end.err().map(Err));
                    }
                    None => {
                        inflow.waker = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                },
            }
        };
        let mut state = self.serving.lock();
        // The call may be over, and its number belong to another.
        let ours = |inflow: &Arc<Mutex<Inflow>>| Arc::ptr_eq(inflow, &self.inflow);
        if state.work(self.call).inflow.as_ref().is_some_and(ours) {
            state.end.taken(self.call, item.len());
            if state.end.has_output() {
                state.ask();
            }
        }
        Poll::Ready(Some(Ok(item)))
    }
}

impl Drop for Work {
    /// Whoever still reads the items learns that no more come.
    fn drop(&mut self) {
        if let Some(inflow) = &self.inflow {
            let mut inflow = lock(inflow);
            inflow.end.get_or_insert(Err(Failure::Cancelled));
            if let Some(waker) = inflow.waker.take() {
                waker.wake();
            }
        }
    }
}

fn lock(inflow: &Mutex<Inflow>) -> MutexGuard<'_, Inflow> {
    inflow.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the implementation panicked".to_owned())
}
