//! What is known of a connection from beside the server that speaks on it: whether a request is under way, and how long nothing has come.
//!
//! hyper does not say whether it stands between two requests. But when it begins to wait for the head of one it asks its timer for the
//! end of the wait, and when it has the head it calls the service. At the first everything before is read and written,
//! so a connection can be taken out of hyper, with what it has read ahead, as long as the second has not come.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{self, Instant, sleep_until},
};

use super::seats::Seat;

/// How long the head of a request may take, once something of it has come; and how long somebody new may take to begin.
pub(super) const HEAD: Duration = Duration::from_secs(30);

/// How long a connection may be silent between two requests. It is longer than clients and load balancers keep idle
/// connections (browsers 5 minutes, some balancers 10), so that it is them who end it and nobody asks just when it is closed.
pub(super) const IDLE: Duration = Duration::from_secs(11 * 60);

/// A connection that is silent for so long in a drain is closed. One with a request now and then is told before. And one that owes a
/// request for so long is the first that gives its place up for somebody new.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// What goes on at one connection.
#[derive(Debug)]
pub(super) struct Line {
    traffic: Mutex<Traffic>,
    asked_to_leave: Notify,
}

/// That nothing is under way at a connection. The least is the one that can be spared most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quiet {
    /// It owes a request since then: it is new and has said nothing, or has said only the beginning of a head.
    Owes(Instant),
    /// Between two requests since then.
    Idle(Instant),
}

#[derive(Debug)]
struct Traffic {
    /// Since when nothing is under way; `None` while something is.
    quiet: Option<Quiet>,
    /// Whether several requests may be under way at a time, as in HTTP/2, so that it is quiet once all are answered.
    is_multiplexed: bool,
    /// Whether it is to give its place up.
    leaves: bool,
    /// The requests without an answer.
    open: usize,
    /// When a request came last, or was answered.
    last: Instant,
    /// Whether everything before is over, and the head of a request is waited for.
    between: bool,
    /// Until when.
    until: Instant,
    /// Whether something of that head has come.
    begun: bool,
    /// Whether all that was written is with the kernel.
    flushed: bool,
}

impl Line {
    /// That of a connection that is new, or has had a request before.
    pub(super) fn new(is_new: bool) -> Arc<Self> {
        let now = Instant::now();
        let quiet = match is_new {
            true => Quiet::Owes(now),
            false => Quiet::Idle(now),
        };
        let traffic = Mutex::new(Traffic {
            quiet: Some(quiet),
            is_multiplexed: false,
            leaves: false,
            open: 0,
            last: now,
            between: false,
            until: now + IDLE,
            begun: false,
            flushed: true,
        });
        Arc::new(Self {
            traffic,
            asked_to_leave: Notify::new(),
        })
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection stands between two requests, and may have read something of the next.
    pub(super) fn is_between(&self) -> bool {
        let traffic = self.traffic();
        traffic.between && traffic.open == 0 && traffic.flushed
    }

    /// Whether all requests are answered, though the end of the last answer may not be written.
    pub(super) fn is_answered(&self) -> bool {
        self.traffic().open == 0
    }

    /// A request is answered from now on, until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        let mut traffic = self.traffic();
        traffic.between = false;
        traffic.quiet = None;
        traffic.open += 1;
        traffic.last = Instant::now();
        drop(traffic);
        Open(Arc::clone(self))
    }

    /// It speaks HTTP/2 from here on.
    pub(super) fn is_multiplexed(&self) {
        self.traffic().is_multiplexed = true;
    }

    /// Whether it can be spared, and how much. It cannot while something is under way, was asked to leave before, or has begun to owe a
    /// request less than [`SILENT`] ago: that is on its way, in all likelihood.
    pub(super) fn quiet(&self) -> Option<Quiet> {
        let traffic = self.traffic();
        traffic.quiet().filter(|_| !traffic.leaves)
    }

    /// Asks it to give its place up; returns whether it could still be spared.
    pub(super) fn ask_to_leave(&self) -> bool {
        let mut traffic = self.traffic();
        if traffic.leaves || traffic.quiet().is_none() {
            return false;
        }
        traffic.leaves = true;
        drop(traffic);
        self.asked_to_leave.notify_one();
        true
    }

    /// Waits until it is asked to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.asked_to_leave.notified().await;
    }

    /// Whether it is to leave, if only with its next answer.
    pub(super) fn leaves(&self) -> bool {
        self.traffic().leaves
    }

    /// Whether it is to leave, and nothing has come since that would be lost.
    pub(super) fn leaves_now(&self) -> bool {
        let traffic = self.traffic();
        traffic.leaves && traffic.quiet().is_some()
    }

    /// Waits until nothing has come for [`SILENT`], from now on.
    pub(super) async fn silence(&self) {
        self.traffic().last = Instant::now();
        loop {
            let (last, open) = {
                let traffic = self.traffic();
                (traffic.last, traffic.open)
            };
            let until = last + SILENT;
            if open == 0 && until <= Instant::now() {
                return;
            }
            sleep_until(until.max(Instant::now() + SILENT / 10)).await;
        }
    }

    /// The head of a request is waited for from now on.
    fn wait(&self) {
        let mut traffic = self.traffic();
        let now = Instant::now();
        traffic.between = true;
        traffic.begun = false;
        traffic.until = now + IDLE;
        if traffic.quiet.is_none() {
            traffic.quiet = Some(Quiet::Idle(now));
        }
    }

    fn came(&self) {
        let mut traffic = self.traffic();
        if traffic.between && !traffic.begun {
            let now = Instant::now();
            traffic.begun = true;
            traffic.until = now + HEAD;
            if let Some(Quiet::Idle(_)) = traffic.quiet {
                traffic.quiet = Some(Quiet::Owes(now));
            }
        }
    }
}

impl Traffic {
    fn quiet(&self) -> Option<Quiet> {
        let is_quiet = |quiet: &Quiet| match quiet {
            Quiet::Owes(since) => since.elapsed() >= SILENT,
            Quiet::Idle(_) => true,
        };
        let nothing_is_under_way = self.open == 0 && self.flushed;
        self.quiet.filter(is_quiet).filter(|_| nothing_is_under_way)
    }
}

/// A request that is being answered.
pub(super) struct Open(Arc<Line>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut traffic = self.0.traffic();
        let now = Instant::now();
        traffic.last = now;
        traffic.open -= 1;
        if traffic.is_multiplexed && traffic.open == 0 {
            traffic.quiet = Some(Quiet::Idle(now));
        }
    }
}

/// Gives hyper the time for one connection.
#[derive(Debug)]
pub(super) struct Clock(pub(super) Arc<Line>);

impl Timer for Clock {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.0.wait();
        let until = self.0.traffic().until;
        Box::pin(Patience {
            line: Arc::clone(&self.0),
            sleep: Box::pin(sleep_until(until)),
        })
    }

    /// hyper's own deadline is that of a head from its first byte on, and here it waits for that byte too.
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(HEAD)
    }
}

/// Ends when the head of a request has taken too long, which is not the same before and after its first byte.
struct Patience {
    line: Arc<Line>,
    sleep: Pin<Box<time::Sleep>>,
}

impl Sleep for Patience {}

impl Future for Patience {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.line.traffic().until;
        if self.sleep.deadline() != until {
            self.sleep.as_mut().reset(until);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// A connection as hyper reads and writes it.
pub(super) struct Io {
    stream: TokioIo<TcpStream>,
    /// What was read of it already, and comes first.
    ahead: Bytes,
    line: Arc<Line>,
    /// Its place among the connections of its listener.
    seat: Seat,
}

impl Io {
    pub(super) fn new(stream: TcpStream, ahead: Bytes, line: Arc<Line>, seat: Seat) -> Self {
        Self {
            stream: TokioIo::new(stream),
            ahead,
            line,
            seat,
        }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Bytes, Seat) {
        (self.stream.into_inner(), self.ahead, self.seat)
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let length = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(length));
        }
        self.line.came();
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.traffic().flushed = false;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.traffic().flushed = false;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once all that it wants to write is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.line.traffic().flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
