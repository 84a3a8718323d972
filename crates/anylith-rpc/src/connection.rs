//! A connection to a serving replica, shared by all callers of this process.
//!
//! Callers and the driver meet in [`State`], behind a lock that is held for a few hundred nanoseconds and
//! never across an await. A caller encodes its request into the shared outbox and wakes the driver; the
//! driver writes everything that is pending at once, reads, and wakes the callers whose answers came.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anylith_core::{Execution, LostAnswer, Name};
use anylith_wire::{
    Batch, CallId, CallingEnd, CallingEvent, Failure, NewCall, ProtocolError, ServedComponent,
};
use bytes::{Bytes, BytesMut};
use slab::Slab;
use tokio::time::{Sleep, sleep_until};

use crate::{lull::Lull, transport::Socket};

/// How many reads the driver handles before it lets other tasks run.
const READS_PER_TURN: usize = 8;

/// What the latency of a replica that has not answered yet is taken for, in microseconds.
const UNKNOWN_LATENCY_US: u64 = 1000;

/// An open connection to a replica.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
    peer: Name,
    components: Vec<ServedComponent>,
    /// Calls in flight, for the balancer, which does not want the lock.
    in_flight: AtomicUsize,
    /// The recent latency of calls, in microseconds.
    latency_us: AtomicU32,
    /// Whether it takes new calls.
    open: AtomicBool,
}

#[derive(Debug)]
struct State {
    end: CallingEnd,
    /// Call → its mailbox. A number of a call may be used again before its last owner has looked into
    /// the mailbox, so mailboxes have keys of their own.
    mailbox_of: Vec<usize>,
    mailboxes: Slab<Mailbox>,
    driver: Option<Waker>,
    /// The driver was woken and has not yet looked.
    asked: bool,
    /// Close once no calls are in flight.
    retired: bool,
}

/// What arrived for one call and was not looked at yet.
#[derive(Debug)]
struct Mailbox {
    call: CallId,
    begun: Instant,
    waker: Option<Waker>,
    stream: bool,
    /// Bounded by the credit of the call.
    items: VecDeque<Bytes>,
    over: Option<Over>,
}

#[derive(Debug)]
enum Over {
    Message(Bytes),
    End,
    Failed(Failure),
}

/// What a call in progress has to say.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The one answer; the call is over.
    Message(Bytes),
    /// The answer is a stream.
    Stream,
    /// An item of it.
    Item(Bytes),
    /// Its end; the call is over.
    End,
    /// The call is over without an answer.
    Failed(Failure),
}

impl Connection {
    fn new(peer: Name, end: CallingEnd) -> Self {
        let components = end.components().to_vec();
        let state = State {
            end,
            mailbox_of: Vec::new(),
            mailboxes: Slab::new(),
            driver: None,
            asked: false,
            retired: false,
        };
        Self {
            state: Mutex::new(state),
            peer,
            components,
            in_flight: AtomicUsize::new(0),
            latency_us: AtomicU32::new(0),
            open: AtomicBool::new(true),
        }
    }

    /// The peer's own name for itself.
    pub(crate) fn peer(&self) -> &Name {
        &self.peer
    }

    /// What the peer serves.
    pub(crate) fn components(&self) -> &[ServedComponent] {
        &self.components
    }

    /// Whether it takes new calls.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// About how long a further call would wait, in microseconds: the calls before it, times the latency.
    pub(crate) fn load(&self) -> u64 {
        let in_flight = self.in_flight.load(Relaxed) as u64;
        match u64::from(self.latency_us.load(Relaxed)) {
            // Nothing is known of it: worth a try, but not worth many at once.
            0 => in_flight * UNKNOWN_LATENCY_US,
            latency => (in_flight + 1) * latency,
        }
    }

    /// Closes it once no calls are in flight.
    pub(crate) fn retire(&self) {
        self.open.store(false, Relaxed);
        let mut state = self.lock();
        state.retired = true;
        state.ask();
    }

    /// Begins a call; see [`CallingEnd::begin`].
    pub(crate) fn begin(
        self: &Arc<Self>,
        call: &NewCall<'_>,
        arguments: &mut Vec<u8>,
        now: Instant,
    ) -> Result<Call, Failure> {
        let mut state = self.lock();
        let id = state.end.begin(call, arguments, now)?;
        let mailbox = state.mailboxes.insert(Mailbox {
            call: id,
            begun: now,
            waker: None,
            stream: false,
            items: VecDeque::new(),
            over: None,
        });
        let index = id as usize;
        if state.mailbox_of.len() <= index {
            state.mailbox_of.resize(index + 1, 0);
        }
        state.mailbox_of[index] = mailbox;
        self.in_flight.store(state.end.in_flight(), Relaxed);
        state.ask();
        drop(state);
        Ok(Call {
            connection: self.clone(),
            mailbox,
            over: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of the machine; calls fail by their deadlines then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sees to it that the driver sends what is in the outbox.
    fn ask(&mut self) {
        if !self.asked {
            self.asked = true;
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }

    fn mailbox(&mut self, call: CallId) -> Option<&mut Mailbox> {
        let key = *self.mailbox_of.get(call as usize)?;
        self.mailboxes
            .get_mut(key)
            .filter(|mailbox| mailbox.call == call)
    }

    /// Puts what an event says into its mailbox. Returns the waker of the call's owner.
    fn deliver(&mut self, event: CallingEvent) -> Option<Waker> {
        let (call, over) = match event {
            CallingEvent::Ready | CallingEvent::GoingAway => return None,
            CallingEvent::Answered { call, message } => (call, Some(Over::Message(message))),
            CallingEvent::Failed { call, failure } => (call, Some(Over::Failed(failure))),
            CallingEvent::Ended { call } => (call, Some(Over::End)),
            CallingEvent::Begun { call } => {
                self.mailbox(call)?.stream = true;
                (call, None)
            }
            CallingEvent::Item { call, item } => {
                let mailbox = self.mailbox(call)?;
                mailbox.stream = true;
                mailbox.items.push_back(item);
                (call, None)
            }
            CallingEvent::Writable { call } => (call, None),
        };
        let mailbox = self.mailbox(call)?;
        if over.is_some() {
            mailbox.over = over;
        }
        mailbox.waker.take()
    }
}

/// A call in progress. Dropping it takes the call back.
#[derive(Debug)]
pub(crate) struct Call {
    connection: Arc<Connection>,
    mailbox: usize,
    /// The callee was told, or told us, that the call has ended.
    over: bool,
}

impl Call {
    /// The next thing that happens.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>, told: bool) -> Poll<Progress> {
        let mut state = self.connection.lock();
        let state = &mut *state;
        let mailbox = &mut state.mailboxes[self.mailbox];
        if mailbox.stream && !told {
            return Poll::Ready(Progress::Stream);
        }
        if let Some(item) = mailbox.items.pop_front() {
            if mailbox.over.is_none() {
                let call = mailbox.call;
                state.end.taken(call, item.len());
                if state.end.has_output() {
                    state.ask();
                }
            }
            return Poll::Ready(Progress::Item(item));
        }
        match mailbox.over.take() {
            Some(over) => {
                self.over = true;
                Poll::Ready(match over {
                    Over::Message(message) => Progress::Message(message),
                    Over::End => Progress::End,
                    Over::Failed(failure) => Progress::Failed(failure),
                })
            }
            None => {
                match &mut mailbox.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Whether an item may be sent; if not, the task of the last [`Call::poll_progress`] is woken when it may.
    pub(crate) fn may_send(&self) -> bool {
        let state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        mailbox.over.is_none() && state.end.may_send(mailbox.call)
    }

    /// Sends an item; see [`CallingEnd::send_item`].
    pub(crate) fn send_item(&self, item: Bytes) -> Result<(), Failure> {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        if mailbox.over.is_none() {
            let call = mailbox.call;
            state.end.send_item(call, item)?;
            state.ask();
        }
        Ok(())
    }

    /// Says that no further item follows.
    pub(crate) fn end_items(&self) {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        if mailbox.over.is_none() {
            let call = mailbox.call;
            state.end.end_items(call);
            state.ask();
        }
    }
}

impl Call {
    /// Whether its end was seen.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the call back, if it is not over. Returns what the callee may have done.
    pub(crate) fn cancel(&mut self) -> Execution {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        let call = mailbox.call;
        if std::mem::replace(&mut self.over, true) || mailbox.over.is_some() {
            return Execution::Unknown;
        }
        let execution = state.end.cancel(call);
        self.connection
            .in_flight
            .store(state.end.in_flight(), Relaxed);
        state.ask();
        execution
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
        self.connection.lock().mailboxes.remove(self.mailbox);
    }
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Io(io::Error),
    Protocol(ProtocolError),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

/// Greets over `socket`. Returns the connection, and the driver that somebody has to run.
pub(crate) async fn open(
    mut socket: Socket,
    mut end: CallingEnd,
) -> Result<(Arc<Connection>, Driver), OpenError> {
    let mut bytes = BytesMut::new();
    let mut batch = Batch::default();
    poll_fn(|cx| {
        loop {
            if batch.is_empty() && end.has_output() {
                end.fill(&mut batch, &mut Vec::new());
            }
            while !batch.is_empty() {
                match socket.poll_write(cx, &mut batch) {
                    Poll::Ready(Ok(count)) => end.written(count),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(OpenError::Io(error))),
                    Poll::Pending => break,
                }
            }
            match std::task::ready!(socket.poll_read(cx, &mut bytes, end.wanted())) {
                Ok(0) => {
                    let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(OpenError::Io(closed)));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(OpenError::Io(error))),
            }
            match end.receive(&mut bytes, Instant::now()) {
                Ok(None) => {}
                Ok(Some(_)) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(OpenError::Protocol(error))),
            }
        }
    })
    .await?;
    let peer = end
        .peer()
        .cloned()
        .ok_or(OpenError::Protocol(ProtocolError::Hello("it is missing")))?;
    let connection = Arc::new(Connection::new(peer, end));
    let driver = Driver {
        connection: connection.clone(),
        socket,
        bytes,
        batch,
        unreported: 0,
        timer: Box::pin(sleep_until(Instant::now().into())),
        armed: None,
        events: Vec::new(),
        wakers: Vec::new(),
        eager: true,
        lull: Lull::new(),
    };
    Ok((connection, driver))
}

/// Moves bytes between a socket and the callers. A future that ends when the connection does, with the
/// reason, or none if it was retired.
#[derive(Debug)]
pub(crate) struct Driver {
    connection: Arc<Connection>,
    socket: Socket,
    bytes: BytesMut,
    batch: Batch,
    /// Bytes that the socket took, of which the machine does not know yet.
    unreported: usize,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    events: Vec<CallingEvent>,
    wakers: Vec<Waker>,
    /// Bytes came together with the greeting, and were not looked at.
    eager: bool,
    lull: Lull,
}

impl Driver {
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Option<LostAnswer>> {
        if std::mem::take(&mut self.eager)
            && let Err(error) = self.receive()
        {
            return Poll::Ready(Some(self.give_up(cx, &error)));
        }
        for turn in 0.. {
            if turn == READS_PER_TURN {
                cx.waker().wake_by_ref();
                break;
            }
            let wanted = self.connection.wanted(&self.bytes);
            match self.socket.poll_read(cx, &mut self.bytes, wanted) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Some(disconnected(&"the peer closed it")));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(disconnected(&error))),
            }
            if let Err(error) = self.receive() {
                return Poll::Ready(Some(self.give_up(cx, &error)));
            }
        }
        let company = self.connection.in_flight.load(Relaxed) > 1;
        if self.lull.poll(cx, company).is_pending() {
            return Poll::Pending;
        }
        match self.poll_flush(cx) {
            Poll::Ready(Ok(true)) => return Poll::Ready(None),
            Poll::Ready(Err(error)) => return Poll::Ready(Some(disconnected(&error))),
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        while self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
            if let Err(error) = self.on_timeout() {
                return Poll::Ready(Some(self.give_up(cx, &error)));
            }
            match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(disconnected(&error))),
                Poll::Ready(Ok(_)) | Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Hands out everything that was read.
    fn receive(&mut self) -> Result<(), ProtocolError> {
        let now = Instant::now();
        let mut latency = self.connection.latency_us.load(Relaxed);
        let mut state = self.connection.lock();
        let result = loop {
            match state.end.receive(&mut self.bytes, now) {
                Ok(Some(event)) => {
                    if let CallingEvent::Answered { call, .. } = &event
                        && let Some(mailbox) = state.mailbox(*call)
                    {
                        latency = blend(latency, now.saturating_duration_since(mailbox.begun));
                    }
                    self.wakers.extend(state.deliver(event));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if state.end.is_going_away() {
            self.connection.open.store(false, Relaxed);
        }
        self.connection
            .in_flight
            .store(state.end.in_flight(), Relaxed);
        drop(state);
        self.connection.latency_us.store(latency, Relaxed);
        self.wake();
        result
    }

    /// Sends what is pending. Ready with true if the connection was retired and is no longer needed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            while !self.batch.is_empty() {
                self.unreported += std::task::ready!(self.socket.poll_write(cx, &mut self.batch))?;
            }
            let mut state = self.connection.lock();
            state.asked = false;
            match &mut state.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            state.end.written(std::mem::take(&mut self.unreported));
            state.end.fill(&mut self.batch, &mut self.events);
            for event in self.events.drain(..) {
                self.wakers.extend(state.deliver(event));
            }
            let next = state.end.next_timeout();
            let unneeded = (state.retired || state.end.is_going_away())
                && state.end.in_flight() == 0
                && self.batch.is_empty();
            drop(state);
            self.wake();
            self.arm(next);
            if self.batch.is_empty() {
                return Poll::Ready(Ok(unneeded));
            }
        }
    }

    /// Sets the timer, unless it goes off early enough already: one that goes off for nothing is cheaper
    /// than one that is set anew for each call.
    fn arm(&mut self, next: Option<Instant>) {
        let Some(next) = next else { return };
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            self.timer.as_mut().reset(next.into());
        }
    }

    fn on_timeout(&mut self) -> Result<(), ProtocolError> {
        let mut state = self.connection.lock();
        let result = state.end.on_timeout(Instant::now(), &mut self.events);
        for event in self.events.drain(..) {
            self.wakers.extend(state.deliver(event));
        }
        self.connection
            .in_flight
            .store(state.end.in_flight(), Relaxed);
        drop(state);
        self.wake();
        result
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Tells the peer why, if the socket takes it at once.
    fn give_up(&mut self, cx: &mut Context<'_>, error: &ProtocolError) -> LostAnswer {
        self.connection.lock().end.give_up(error);
        if !matches!(error, ProtocolError::GivenUp(_)) {
            let _ = self.poll_flush(cx);
        }
        LostAnswer::Protocol(error.to_string())
    }

    /// Ends all calls.
    fn end(&mut self, reason: &LostAnswer) {
        self.connection.open.store(false, Relaxed);
        let mut state = self.connection.lock();
        state.end.written(std::mem::take(&mut self.unreported));
        for (call, failure) in state.end.broken(reason) {
            self.wakers
                .extend(state.deliver(CallingEvent::Failed { call, failure }));
        }
        self.connection.in_flight.store(0, Relaxed);
        drop(state);
        self.wake();
    }
}

impl Connection {
    fn wanted(&self, bytes: &BytesMut) -> usize {
        // With nothing left over, the next frame begins afresh, and nobody needs to be asked.
        if bytes.is_empty() {
            0
        } else {
            self.lock().end.wanted()
        }
    }
}

impl Future for Driver {
    type Output = Option<LostAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = std::task::ready!(self.poll_run(cx));
        if let Some(reason) = &ended {
            self.end(reason);
        } else {
            self.end(&LostAnswer::Stopped);
            let _ = self.socket.poll_shutdown(cx);
        }
        Poll::Ready(ended)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end(&disconnected(&"its network was dropped"));
    }
}

fn disconnected(error: &dyn ToString) -> LostAnswer {
    LostAnswer::Disconnected(error.to_string())
}

/// The moving average of latency: a new value counts for an eighth.
fn blend(average_us: u32, latency: Duration) -> u32 {
    let latency = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX / 8);
    if average_us == 0 {
        latency
    } else {
        average_us - average_us / 8 + latency / 8
    }
}
