//! The task of a connection: greets, then moves bytes between the socket and the callers.
//!
//! It looks like that of the serving end, and shares the [`Alarm`] and the [`Lull`] with it. The rest is apart on purpose: this
//! one looks for callers to wake and ways to give up, and that one for calls to begin; one lock guards the calls here, and the
//! calls with their tasks there. One driver for both would take each of these as a parameter, and be longer than the two.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anylith_core::{LostAnswer, Name};
use anylith_wire::{Batch, CallingEnd, CallingEvent, ProtocolError, Readiness, ServedComponent};
use bytes::BytesMut;

use super::Connection;
use crate::{
    alarm::{self, Alarm},
    balancer::{Health, Outcome},
    defect::{Defect, planted},
    lull::Lull,
    network::Shared,
    transport::Socket,
};

/// How many reads the driver handles before it lets other tasks run.
const READS_PER_TURN: usize = 8;

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
///
/// `proven` says whether the peer may be what it says, before anything is kept of that; `health` finds out how it
/// does with a component that it serves.
pub(crate) async fn open(
    mut socket: Socket,
    mut end: CallingEnd,
    proven: impl FnOnce(&Name, &[ServedComponent]) -> Result<(), ProtocolError>,
    health: impl Fn(&Name) -> Arc<Health>,
    network: Weak<Shared>,
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
            match end.receive(&mut bytes, alarm::now()) {
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
    proven(&peer, end.components()).map_err(OpenError::Protocol)?;
    let served = end.components().iter();
    let healths = served.map(|served| health(&served.name)).collect();
    let connection = Arc::new(Connection::new(peer, end, healths, network));
    let driver = Driver {
        connection: connection.clone(),
        socket,
        bytes,
        batch,
        unreported: 0,
        alarm: Alarm::new(),
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
    alarm: Alarm,
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
        while self.alarm.poll(cx).is_ready() {
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
        let now = alarm::now();
        let mut offered = false;
        let mut state = self.connection.lock();
        let result = loop {
            match state.end.receive(&mut self.bytes, now) {
                Ok(Some(CallingEvent::Offered)) => {
                    offered = true;
                    state.offered = now;
                }
                Ok(Some(event)) => {
                    let waker = state.deliver(event, &self.connection.healths, now);
                    self.wakers.extend(waker);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if state.end.is_going_away() {
            if self.connection.is_open() {
                self.connection.farewell.notify_one();
            }
            self.connection.shut();
        }
        self.connection
            .in_flight
            .store(state.end.in_flight(), Relaxed);
        drop(state);
        if offered {
            self.connection.note_offer();
        }
        if offered && let Some(network) = self.connection.network.upgrade() {
            network.bump();
        }
        self.wake();
        result
    }

    /// Sends what is pending. Ready with true if the connection was retired and is no longer needed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            while !self.batch.is_empty() {
                match self.socket.poll_write(cx, &mut self.batch) {
                    Poll::Ready(count) => self.unreported += count?,
                    Poll::Pending => {
                        self.watch(cx);
                        return Poll::Pending;
                    }
                }
            }
            let mut state = self.connection.lock();
            state.asked = false;
            match &mut state.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            state.end.written(std::mem::take(&mut self.unreported));
            state.end.fill(&mut self.batch, &mut self.events);
            if !self.events.is_empty() {
                let (healths, now) = (&self.connection.healths, alarm::now());
                for event in self.events.drain(..) {
                    self.wakers.extend(state.deliver(event, healths, now));
                }
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

    /// Sees to it that deadlines hold also while the peer does not read, and that it is given up in the end.
    fn watch(&mut self, cx: &Context<'_>) {
        let mut state = self.connection.lock();
        state.asked = false;
        state.driver = Some(cx.waker().clone());
        state.end.written(std::mem::take(&mut self.unreported));
        state.end.held_up(alarm::now());
        let next = state.end.next_timeout();
        drop(state);
        self.arm(next);
    }

    fn arm(&mut self, next: Option<Instant>) {
        if !planted(Defect::NoDeadline) {
            self.alarm.set(next);
        }
    }

    fn on_timeout(&mut self) -> Result<(), ProtocolError> {
        let mut state = self.connection.lock();
        let now = alarm::now();
        let result = state.end.on_timeout(now, &mut self.events);
        if result.is_err() {
            self.connection.silent.store(true, Relaxed);
        }
        for event in self.events.drain(..) {
            let waker = state.deliver(event, &self.connection.healths, now);
            self.wakers.extend(waker);
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
        match error.is_breach() {
            true => LostAnswer::Protocol(error.to_string()),
            false => disconnected(error),
        }
    }

    /// Ends all calls.
    fn end(&mut self, reason: &LostAnswer) {
        self.connection.shut();
        let mut state = self.connection.lock();
        state.end.written(std::mem::take(&mut self.unreported));
        let now = alarm::now();
        let healths = &self.connection.healths;
        let fates = state.end.broken(reason);
        self.connection.lost.fetch_add(fates.len() as u32, Relaxed);
        // Whatever was called there has failed once, and not once for each call.
        let mut called: Vec<u16> = Vec::new();
        for (call, failure) in fates {
            called.extend(state.mailbox(call).map(|mailbox| mailbox.component));
            let event = CallingEvent::Failed { call, failure };
            self.wakers.extend(state.deliver(event, healths, now));
        }
        called.sort_unstable();
        called.dedup();
        for component in called {
            healths[usize::from(component)].note(Outcome::Failed, Duration::ZERO, now);
        }
        self.connection.in_flight.store(0, Relaxed);
        drop(state);
        if planted(Defect::LostWakeUp) {
            self.wakers.clear();
        }
        self.wake();
    }
}

impl Connection {
    /// What the peer offers it has, whatever it said before.
    fn note_offer(&self) {
        let state = self.lock();
        for (index, health) in self.healths.iter().enumerate() {
            if state.end.offers(index as u16) > Readiness::Closed {
                health.is_there();
            }
        }
    }

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
        let reason = match std::thread::panicking() {
            true => "what drives it panicked",
            false => "its network was dropped",
        };
        self.end(&disconnected(&reason));
    }
}

fn disconnected(error: &dyn ToString) -> LostAnswer {
    LostAnswer::Disconnected(error.to_string())
}
