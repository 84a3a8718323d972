//! The task of an accepted connection: moves bytes between the socket and the implementations.
//!
//! Why it shares so little with that of the calling end is said there.

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anylith_wire::{Batch, CallId, Failure, ProtocolError, ServingEvent};
use bytes::BytesMut;
use tokio::task::coop::unconstrained;

use super::{
    Begun, Host, Serving,
    ending::{Ending, finish, send_stream},
    inflow::IncomingItems,
};
use crate::{
    alarm::{self, Alarm},
    defect,
    lull::Lull,
    serve::{Answer, Answering, Incoming, Items},
    transport::Socket,
};

/// How many calls are begun before their answers are sent and other tasks may run.
const CALLS_PER_TURN: usize = 128;
/// For how long calls are begun before that. A call that computes for longer is not stopped, but the next one waits until
/// the socket was looked at, so that what waits there is known, and what is too much is refused.
const TURN: Duration = Duration::from_millis(1);
/// How many calls of a server may be in tasks that have not run yet.
const MOST_QUEUED: usize = 32;
/// How many calls are begun between two looks at the clock.
const CALLS_PER_CLOCK: usize = 16;
/// How many reads follow each other while calls wait to be begun.
const READS_PER_TURN: usize = 8;
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
    host: Arc<Host>,
    socket: Socket,
    bytes: BytesMut,
    /// In `bytes` may be what was not looked at.
    unread: bool,
    batch: Batch,
    alarm: Alarm,
    /// Bytes that the socket took, of which the machine does not know yet.
    unreported: usize,
    begun: Vec<Begun>,
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

/// What one poll of the driver has done so far.
#[derive(Debug, Default)]
struct Turn {
    /// How many calls it has begun.
    begun: usize,
    /// When it is over, at the latest; set by the first call.
    until: Option<Instant>,
    /// A call was answered at once.
    answered: bool,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it, or it was closed here.
    Closed,
    Io(io::Error),
    /// The peer broke the protocol, or was too slow to greet.
    Protocol(ProtocolError),
    /// The peer has greeted, and is silent since, takes nothing, or gave up.
    Lost(ProtocolError),
}

impl Driver {
    pub(crate) fn new(
        serving: Arc<Serving>,
        host: Arc<Host>,
        socket: Socket,
        bytes: BytesMut,
    ) -> Self {
        Self {
            serving,
            host,
            socket,
            bytes,
            unread: true,
            batch: Batch::default(),
            alarm: Alarm::new(),
            unreported: 0,
            begun: Vec::new(),
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
        let mut turn = Turn::default();
        let congested = loop {
            // A peer that sends and never reads gets no further; the socket wakes this task when it reads.
            if !self.batch.is_empty() && self.serving.lock().end.is_congested() {
                break true;
            }
            let read = match self.poll_take(cx) {
                Ok(read) => read,
                Err(Ended::Protocol(error)) => return Poll::Ready(self.give_up(cx, error)),
                Err(ended) => return Poll::Ready(ended),
            };
            match self.begin_waiting(cx, &mut turn) {
                Ok(all) if all && !read => break false,
                Ok(true) if turn.begun < CALLS_PER_TURN => {}
                Ok(_) => {
                    // Let the first answers go before the last calls begin.
                    if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                        return Poll::Ready(Ended::Io(error));
                    }
                    cx.waker().wake_by_ref();
                    break false;
                }
                Err(error) => return Poll::Ready(Ended::Io(error)),
            }
        };
        // Answers that were ready at once are as many as there will be. Others come one by one.
        if !turn.answered && !congested {
            let company = self.serving.lock().end.in_flight() > 0;
            if self.lull.poll(cx, company).is_pending() {
                return Poll::Pending;
            }
        }
        match self.poll_flush(cx) {
            Poll::Ready(Ok(true)) => return Poll::Ready(Ended::Closed),
            Poll::Ready(Err(error)) => return Poll::Ready(Ended::Io(error)),
            // It reads again, so there is room for what waits, here or in the socket.
            Poll::Ready(Ok(false)) if congested => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        while self.alarm.poll(cx).is_ready() {
            if let Err(error) = self.on_timeout() {
                return Poll::Ready(self.give_up(cx, error));
            }
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Ended::Io(error));
            }
        }
        Poll::Pending
    }

    /// Reads what is there, and lets in or refuses the calls in it. Returns false once there is nothing more to read.
    ///
    /// Usually one read, so that its calls are begun while they are in the processor's cache. Where calls wait,
    /// some more: what waits in the socket nobody counts, and its time is not known.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        if std::mem::take(&mut self.unread) {
            self.receive().map_err(Ended::Protocol)?;
        }
        let reads = if !self.serving.lock().waiting.is_empty() {
            READS_PER_TURN
        } else {
            1
        };
        for _ in 0..reads {
            let wanted = if self.bytes.is_empty() {
                0
            } else {
                self.serving.lock().end.wanted()
            };
            match self.socket.poll_read(cx, &mut self.bytes, wanted) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(Ok(_)) => self.receive().map_err(Ended::Protocol)?,
                Poll::Ready(Err(error)) => return Err(Ended::Io(error)),
            }
        }
        Ok(true)
    }

    /// Takes what was read.
    fn receive(&mut self) -> Result<(), ProtocolError> {
        let now = alarm::now();
        let mut state = self.serving.lock();
        let result = loop {
            match state.end.receive(&mut self.bytes, now) {
                Ok(Some(event)) => state.on_event(event, now, &mut self.wakers),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(state);
        self.wake();
        result
    }

    /// Begins the calls that wait, and ends those that are ready at once, until the turn is over. Returns whether
    /// that were all.
    fn begin_waiting(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> io::Result<bool> {
        loop {
            let mut state = self.serving.lock();
            if state.waiting.is_empty() {
                return Ok(true);
            }
            let now = alarm::now();
            let until = *turn.until.get_or_insert(now + TURN);
            // Where tasks wait for a processor already, more of them would only wait there, in the order in which they
            // came, and nobody could take them back: these wait here. Those tasks come first when this one yields.
            let over = turn.begun >= CALLS_PER_TURN || self.host.tasks_queued() >= MOST_QUEUED;
            if over || (turn.begun > 0 && now >= until) {
                return Ok(false);
            }
            // One, two, four …: as long as nobody knows how long they take, few.
            let most = turn.begun.clamp(1, CALLS_PER_CLOCK);
            state.next_calls(&mut self.begun, most, now);
            drop(state);
            turn.begun += self.begun.len();
            turn.answered |= self.begin_all(cx)?;
        }
    }

    /// Begins the calls that are to be. Returns whether any was answered at once.
    fn begin_all(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut answered = false;
        let mut calls = std::mem::take(&mut self.begun);
        for next in calls.drain(..) {
            let call = next.request.call;
            let begun = catch_unwind(AssertUnwindSafe(|| self.begin(next)));
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
        self.begun = calls;
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
            state.clear(call, answer.is_ok());
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

    fn begin(&mut self, begun: Begun) {
        let Begun { request, waited } = begun;
        let call = request.call;
        let items = request.items.then(|| self.items(call));
        defect::begin_twice(&*self.host.service, &request);
        let mut answering = self.host.service.call(Incoming {
            component: request.component,
            method: request.method,
            deadline: request.deadline,
            context: request.context,
            arguments: request.arguments,
            items,
            waited,
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
        let queued = self.host.queued();
        let run = async move {
            drop(queued);
            future.await;
        };
        let task = tokio::spawn(run).abort_handle();
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
                match self.socket.poll_write(cx, &mut self.batch) {
                    Poll::Ready(Ok(count)) => self.unreported += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        // Deadlines hold also while the peer does not read, and in the end it is given up.
                        let mut state = self.serving.lock();
                        state.end.written(std::mem::take(&mut self.unreported));
                        state.end.held_up(alarm::now());
                        let next = state.end.next_timeout();
                        drop(state);
                        self.alarm.set(next);
                        return Poll::Pending;
                    }
                }
            }
            let mut state = self.serving.lock();
            state.asked = false;
            match &mut state.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            state.end.written(std::mem::take(&mut self.unreported));
            state.end.fill(&mut self.batch, &mut self.events);
            for event in self.events.drain(..) {
                if let ServingEvent::Writable { call } = event {
                    self.wakers.extend(state.work(call).sender.take());
                }
            }
            state.flushed = self.batch.is_empty();
            let next = state.end.next_timeout();
            let close = state.closing && state.flushed;
            drop(state);
            self.wake();
            self.alarm.set(next);
            if self.batch.is_empty() {
                self.host.flushed.ring();
                return Poll::Ready(Ok(close));
            }
        }
    }

    fn on_timeout(&mut self) -> Result<(), ProtocolError> {
        let now = alarm::now();
        let mut state = self.serving.lock();
        let result = state.end.on_timeout(now, &mut self.events);
        for event in self.events.drain(..) {
            state.on_event(event, now, &mut self.wakers);
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
        match error.is_breach() {
            true => Ended::Protocol(error),
            false => Ended::Lost(error),
        }
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
            state.leave(&work, false);
            if let Some(task) = &work.task {
                task.abort();
            }
        }
        state.flushed = true;
        state.end.stop();
        drop(state);
        self.host.flushed.ring();
    }
}

/// Polls without the budget of the connection's task, which is not the call's to use up.
fn pin_poll(answering: &mut Answering, cx: &mut Context<'_>) -> Poll<Answer> {
    std::pin::pin!(unconstrained(answering)).poll(cx)
}
