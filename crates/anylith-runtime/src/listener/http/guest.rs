//! One connection, from when it was taken in until it is closed or passed on.

use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioExecutor;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tower_service::Service;

use super::{
    line::{Clock, HEAD, IDLE, Io, Line, Open, SILENT},
    seats::Seat,
    traced::Traced,
};
use crate::{
    context, guard,
    relay::{Giving, Taken},
    trails::Trails,
};

/// What a connection of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the replica goes, and what becomes of its connections then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    /// Another one takes them.
    PassesOn,
    /// Nobody does.
    Closes,
}

impl Drain {
    /// What becomes of a connection, which may be one that `stays`.
    fn of(self, stays: bool) -> Self {
        match self {
            Self::PassesOn if stays => Self::Closes,
            Self::No | Self::PassesOn | Self::Closes => self,
        }
    }
}

/// A connection between two requests.
pub(super) struct Guest {
    stream: TcpStream,
    /// What was read of it and nobody has looked at.
    read: BytesMut,
    seat: Seat,
    line: Arc<Line>,
    /// How long it may be silent.
    patience: Duration,
    /// Where nobody has taken it, it is not offered again.
    stays: bool,
}

impl Guest {
    /// Somebody new.
    pub(super) fn new(stream: TcpStream, seat: Seat) -> Self {
        Self::between(stream, seat, Line::new(true))
    }

    fn between(stream: TcpStream, seat: Seat, line: Arc<Line>) -> Self {
        seat.is_of(&line);
        // The end of an answer should not wait for its beginning to be acknowledged; where it does, nothing is wrong.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            read: BytesMut::new(),
            seat,
            line,
            patience: HEAD,
            stays: false,
        }
    }

    /// One that another replica has passed on; `None` if the connection is of no use.
    pub(super) fn taken(taken: Taken, seat: Seat) -> Option<Self> {
        taken.connection.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(taken.connection).ok()?;
        Some(Self {
            read: BytesMut::from(&taken.read[..]),
            patience: IDLE,
            ..Self::between(stream, seat, Line::new(false))
        })
    }

    /// In which version its client speaks, once that can be told.
    fn version(&self) -> Option<Spoken> {
        if self.read.starts_with(PREFACE) {
            Some(Spoken::Http2)
        } else if PREFACE.starts_with(&self.read) {
            None
        } else {
            Some(Spoken::Http1)
        }
    }
}

enum Spoken {
    Http1,
    Http2,
}

/// What comes after the first bytes of a connection, or instead of them.
enum Begins {
    Http1,
    Http2,
    PassOn,
    Close,
}

/// The body of an answer that is one of several at a time: the request is under way until it has ended.
struct Answered<B> {
    body: Pin<Box<B>>,
    _open: Open,
}

impl<B: Body> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves connections.
#[derive(Clone)]
pub(super) struct Host<S> {
    pub(super) service: S,
    pub(super) trails: Option<Arc<Trails>>,
    pub(super) giving: Option<Arc<Giving>>,
    pub(super) drain: watch::Receiver<Drain>,
}

impl<S, B> Host<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// Serves one connection to its end. What goes wrong with it is its client's to find out.
    pub(super) async fn attend(mut self, mut guest: Guest) {
        loop {
            let between = match self.begin(&mut guest).await {
                Begins::Http1 => self.serve_http1(guest).await,
                Begins::Http2 => return self.serve_http2(guest).await,
                Begins::PassOn => Some(guest),
                Begins::Close => None,
            };
            let Some(left) = between else { return };
            match self.pass_on(left).await {
                Ok(None) | Err(_) => return,
                Ok(Some(kept)) => guest = kept,
            }
        }
    }

    /// Waits for as much as tells in which version the client speaks.
    async fn begin(&mut self, guest: &mut Guest) -> Begins {
        let mut until = Instant::now() + guest.patience;
        loop {
            match guest.version() {
                Some(Spoken::Http1) => return Begins::Http1,
                Some(Spoken::Http2) => return Begins::Http2,
                None => {}
            }
            let drain = self.drain.borrow_and_update().of(guest.stays);
            tokio::select! {
                // What has come is read before anybody finds that nothing has.
                biased;
                read = guest.stream.read_buf(&mut guest.read) => match read {
                    Ok(1..) => until = until.min(Instant::now() + HEAD),
                    Ok(0) | Err(_) => return Begins::Close,
                },
                () = guest.line.asked_to_leave() => return Begins::Close,
                () = std::future::ready(()), if drain == Drain::PassesOn => return Begins::PassOn,
                () = sleep(SILENT), if drain == Drain::Closes => return Begins::Close,
                Ok(()) = self.drain.changed() => {}
                () = sleep_until(until) => return Begins::Close,
            }
        }
    }

    /// Serves HTTP/1 until the connection is over, or is to be passed on and can be.
    async fn serve_http1(&mut self, guest: Guest) -> Option<Guest> {
        let (line, stays) = (guest.line, guest.stays);
        let answer = {
            let (service, drain) = (self.service.clone(), self.drain.clone());
            let (line, trails) = (Arc::clone(&line), self.trails.clone());
            move |request: Request<Incoming>| {
                let (open, line) = (line.begin(), Arc::clone(&line));
                let (service, drain) = (service.clone(), drain.clone());
                let traced = Traced::of(&request, trails.as_ref());
                async move {
                    let _open = open;
                    let mut answer = answer(service, request, traced).await?;
                    if drain.borrow().of(stays) == Drain::Closes || line.leaves() {
                        let close = HeaderValue::from_static("close");
                        answer.headers_mut().insert(CONNECTION, close);
                    }
                    Ok::<_, Infallible>(answer)
                }
            }
        };
        let io = Io::new(
            guest.stream,
            guest.read.freeze(),
            Arc::clone(&line),
            guest.seat,
        );
        let mut connection = http1::Builder::new()
            .timer(Clock(Arc::clone(&line)))
            .header_read_timeout(HEAD)
            .serve_connection(io, service_fn(answer))
            .with_upgrades();
        loop {
            let drain = self.drain.borrow_and_update().of(stays);
            let between = poll_fn(|cx| {
                let over = poll(&mut connection, &line, cx);
                match over {
                    Poll::Pending if line.leaves_now() => Poll::Ready(false),
                    Poll::Pending if drain == Drain::PassesOn && line.is_between() => {
                        Poll::Ready(true)
                    }
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(_) => Poll::Ready(false),
                }
            });
            tokio::select! {
                // What has come is read before anybody finds that nothing has.
                biased;
                between = between => match between {
                    true => break,
                    false => return None,
                },
                Ok(()) = self.drain.changed() => {}
                () = line.asked_to_leave() => {}
                () = line.silence(), if drain == Drain::Closes => {
                    Pin::new(&mut connection).graceful_shutdown();
                    let _ = connection.await;
                    return None;
                }
            }
        }
        let parts = connection.into_parts()?;
        let (stream, ahead, seat) = parts.io.into_parts();
        let mut read = BytesMut::from(parts.read_buf);
        read.extend_from_slice(&ahead);
        Some(Guest {
            stream,
            read,
            seat,
            line,
            patience: IDLE,
            stays,
        })
    }

    /// Serves HTTP/2, which tells its clients itself when a connection takes no more requests.
    async fn serve_http2(mut self, guest: Guest) {
        let (service, line) = (self.service.clone(), guest.line);
        line.is_multiplexed();
        let answer = {
            let (line, trails) = (Arc::clone(&line), self.trails.clone());
            move |request: Request<Incoming>| {
                let (open, service) = (line.begin(), service.clone());
                let traced = Traced::of(&request, trails.as_ref());
                async move {
                    let answer = answer(service, request, traced).await?;
                    Ok::<_, Infallible>(answer.map(|body| Answered {
                        body: Box::pin(body),
                        _open: open,
                    }))
                }
            }
        };
        let io = Io::new(
            guest.stream,
            guest.read.freeze(),
            Arc::clone(&line),
            guest.seat,
        );
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(io, service_fn(answer));
        let mut connection = pin!(connection);
        let leaves = tokio::select! {
            biased;
            _ = &mut connection => return,
            _ = self.drain.wait_for(|drain| *drain != Drain::No) => false,
            () = line.asked_to_leave() => true,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            _ = &mut connection => {}
            // It does not say that it has understood.
            () = line.silence(), if leaves => {}
        }
    }

    /// Passes a connection on to another replica; gives it back if nobody makes room for it.
    async fn pass_on(&mut self, guest: Guest) -> io::Result<Option<Guest>> {
        let stream = guest.stream.into_std()?;
        let given = async {
            match &self.giving {
                Some(giving) => giving.give(&stream, &guest.read).await,
                None => Err(io::ErrorKind::Unsupported.into()),
            }
        };
        let given = tokio::select! {
            biased;
            given = given => given,
            _ = self.drain.wait_for(|drain| *drain == Drain::Closes) => {
                Err(io::Error::other("nobody stays who could take it"))
            }
        };
        let Err(error) = given else {
            return Ok(None);
        };
        tracing::debug!(target: "anylith", %error, "a connection could not be passed on");
        Ok(Some(Guest {
            stream: TcpStream::from_std(stream)?,
            stays: true,
            ..guest
        }))
    }
}

async fn answer<S, B>(
    mut service: S,
    request: Request<Incoming>,
    traced: Traced,
) -> Result<Response<B>, Infallible>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let answer = context::scope(traced.context, service.call(request)).await?;
    traced.span.end(answer.status());
    guard::count_answer(answer.status().is_server_error());
    Ok(answer)
}

/// Polls a connection until nothing more comes of it. hyper may have gone idle in the first poll, and then begins only in a second one
/// to wait for the next request.
fn poll<C: Future + Unpin>(
    connection: &mut C,
    line: &Line,
    cx: &mut Context<'_>,
) -> Poll<C::Output> {
    let mut connection = Pin::new(connection);
    match connection.as_mut().poll(cx) {
        Poll::Pending if line.is_answered() && !line.is_between() => connection.poll(cx),
        polled => polled,
    }
}
