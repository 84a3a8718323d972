//! The task of an accepted connection: moves bytes between the socket and the implementations.

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use anylith_wire::{Batch, CallId, Failure, ProtocolError, Request, ServingEvent};
use bytes::BytesMut;
use tokio::{
    task::coop::unconstrained,
    time::{Sleep, sleep_until},
};

use super::{
    Serving,
    ending::{Ending, finish, send_stream},
    inflow::IncomingItems,
};
use crate::{
    lull::Lull,
    serve::{Answer, Answering, Incoming, Items, Serve},
    server::FlushBell,
    transport::Socket,
};

/// How many calls are begun before their answers are sent and other tasks may run.
const CALLS_PER_TURN: usize = 128;
/// How many buffers for answers are kept, and up to which size, in bytes.
const KEPT_BUFFERS: usize = 64;
const KEPT_BUFFER_BYTES: usize = 16 * 1024;
/// Answers that take so many bytes together are moved to the outbox before further calls begin, so that
/// the next answers are written into buffers which are still in the processor's cache.
const SETTLED_BYTES: usize = 32 * 1024;
/// Answers that take so many bytes together are sent before further calls begin: no socket takes much more
/// at once, and the outbox does not grow beyond the room that it keeps.
const FLUSHED_BYTES: usize = 128 * 1024;

/// Moves bytes between a socket and the implementations. A future that ends when the connection does.
pub(crate) struct Driver {
    serving: Arc<Serving>,
    service: Arc<dyn Serve>,
    flushed: Arc<FlushBell>,
    socket: Socket,
    bytes: BytesMut,
    batch: Batch,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    requests: Vec<Request>,
    /// Answers that were ready at once. Bounded by [`CALLS_PER_TURN`].
    ready: Vec<(CallId, Result<Vec<u8>, Failure>)>,
    /// How many bytes the answers in `ready` have.
    ready_bytes: usize,
    /// How many bytes of answers came into the outbox since it was last sent.
    unsent_bytes: usize,
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
        flushed: Arc<FlushBell>,
        socket: Socket,
    ) -> Self {
        Self {
            serving,
            service,
            flushed,
            socket,
            bytes: BytesMut::new(),
            batch: Batch::default(),
            timer: Box::pin(sleep_until(Instant::now().into())),
            armed: None,
            requests: Vec::new(),
            ready: Vec::new(),
            ready_bytes: 0,
            unsent_bytes: 0,
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
                match self.begin_all(cx) {
                    Ok(some) => answered |= some,
                    Err(error) => return Poll::Ready(Ended::Io(error)),
                }
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
    fn begin_all(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut answered = false;
        let mut requests = std::mem::take(&mut self.requests);
        for request in requests.drain(..) {
            let call = request.call;
            let begun = catch_unwind(AssertUnwindSafe(|| self.begin(request)));
            if let Err(panic) = begun {
                self.ready
                    .push((call, Err(Failure::Panicked(crate::panic::said(&*panic)))));
            }
            if self.ready_bytes >= SETTLED_BYTES {
                answered |= self.settle();
            }
            if self.unsent_bytes >= FLUSHED_BYTES
                && let Poll::Ready(Err(error)) = self.poll_flush(cx)
            {
                return Err(error);
            }
        }
        requests.append(&mut self.requests);
        self.requests = requests;
        answered |= self.settle();
        Ok(answered)
    }

    /// Moves the answers that are ready to the outbox. Returns whether there were any.
    fn settle(&mut self) -> bool {
        if self.ready.is_empty() {
            return false;
        }
        self.unsent_bytes += std::mem::take(&mut self.ready_bytes);
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
            Poll::Ready(Answer::Message(message)) => {
                self.ready_bytes += message.len();
                self.ready.push((call, Ok(message)));
            }
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
        if state.end.is_wanted(call) {
            state.work(call).task = Some(task);
        } else {
            // It has ended by now, or its component was stopped.
            task.abort();
        }
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
        self.unsent_bytes = 0;
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
                self.flushed.ring();
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
        self.flushed.ring();
    }
}

/// Polls without the budget of the connection's task, which is not the call's to use up.
fn pin_poll(answering: &mut Answering, cx: &mut Context<'_>) -> Poll<Answer> {
    std::pin::pin!(unconstrained(answering)).poll(cx)
}
