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
    sync::OwnedSemaphorePermit,
    time::{self, Instant, sleep_until},
};

/// How long the head of a request may take, once something of it has come; and how long somebody new may take to begin.
pub(super) const HEAD: Duration = Duration::from_secs(30);

/// How long a connection may be silent between two requests. It is longer than clients and load balancers keep idle
/// connections (browsers 5 minutes, some balancers 10), so that it is them who end it and nobody asks just when it is closed.
pub(super) const IDLE: Duration = Duration::from_secs(11 * 60);

/// A connection that is silent for so long in a drain is closed. One with a request now and then is told before.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// What goes on at one connection.
#[derive(Debug)]
pub(super) struct Line(Mutex<Traffic>);

#[derive(Debug)]
struct Traffic {
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
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(Traffic {
            open: 0,
            last: now,
            between: false,
            until: now + IDLE,
            begun: false,
            flushed: true,
        })))
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        traffic.open += 1;
        traffic.last = Instant::now();
        drop(traffic);
        Open(Arc::clone(self))
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
        traffic.between = true;
        traffic.begun = false;
        traffic.until = Instant::now() + IDLE;
    }

    fn came(&self) {
        let mut traffic = self.traffic();
        if traffic.between && !traffic.begun {
            traffic.begun = true;
            traffic.until = Instant::now() + HEAD;
        }
    }
}

/// A request that is being answered.
pub(super) struct Open(Arc<Line>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut traffic = self.0.traffic();
        traffic.last = Instant::now();
        traffic.open -= 1;
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
    seat: OwnedSemaphorePermit,
}

impl Io {
    pub(super) fn new(
        stream: TcpStream,
        ahead: Bytes,
        line: Arc<Line>,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream: TokioIo::new(stream),
            ahead,
            line,
            seat,
        }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Bytes, OwnedSemaphorePermit) {
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
