//! HTTP at a listener, so that nobody loses a request when the replica goes.
//!
//! A connection of HTTP/1 that waits for its next request cannot be closed without a doubt: the request may be on its way, and the client would have to
//! find out by itself that nobody has read it. So a connection is passed on to a replica that stays, through the listener's relay, and its client
//! notices nothing. Where nobody stays, a connection is closed when its client has been told, by `Connection: close` on an answer; only
//! one on which nothing comes for a while is closed without that.

mod guest;
mod line;
mod seats;

use std::{
    convert::Infallible, error::Error, io, net::TcpListener, pin::pin, sync::Arc, time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Resource, getrlimit},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::sleep,
};
use tower_service::Service;

use self::{
    guest::{Drain, Guest, Host},
    seats::Seats,
};
use super::Listener;
use crate::{
    relay::{Giving, Taken, Taking},
    stopping::Stopping,
};

/// The pause after no connection could be taken in: no file descriptor is left, and one will be.
const CROWDED: Duration = Duration::from_millis(50);

/// How long somebody new waits before others leave for him: another replica may take him in, or somebody leave anyway.
const KNOCKS: Duration = Duration::from_millis(20);

/// The connections of a process that may have any number of file descriptors.
const MANY: u64 = 1 << 20;

impl Listener {
    /// Serves at most so many connections at a time. For somebody who comes when there are as many, connections are closed that can be
    /// spared: first those that owe a request for a second, then those that are silent for longest between two. While each of them has a request under
    /// way, more of them wait, as they do while no replica is there.
    ///
    /// Where nothing is said it is three quarters of the file descriptors that the process may have (`ulimit -n`), divided by the
    /// listeners that it serves: the others are for calls, files and databases.
    #[must_use]
    pub fn with_connections(mut self, at_most: usize) -> Self {
        self.connections = Some(at_most);
        self
    }

    /// Serves HTTP with `service`, such as an `axum::Router`, until `stopping` resolves and the requests that came are answered.
    ///
    /// From then on no connection is taken in, which leaves it to the other replicas. Those that are open are passed on to
    /// another replica, each when it waits for its next request: its client notices nothing. Where no other replica stays,
    /// because all of the application stops or because nobody watches over this process, every answer says `Connection: close`, so that the client sends its
    /// next request elsewhere, and a connection on which nothing comes for a second is closed.
    ///
    /// [`Listener::with_connections`] bounds the connections. One that does not bring the head of a request within 30 s of its first byte is
    /// closed, and so is one that is new and says nothing for 30 s, or is idle for 11 minutes between two requests.
    ///
    /// # Cancellation
    ///
    /// All connections are closed at once.
    ///
    /// # Errors
    ///
    /// If the listener cannot be used.
    pub async fn serve<S, B>(&self, service: S, stopping: Stopping) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let door = self.socket.try_clone()?;
        door.set_nonblocking(true)?;
        #[expect(
            deprecated,
            reason = "unsound for types that change their descriptor; TcpListener can't"
        )]
        let door = AsyncFd::with_interest(door, Interest::READABLE)?;
        let relay = self.passage.relay.as_deref();
        let taking = relay.map(Taking::new).transpose()?;
        let giving = relay.map(Giving::new).transpose()?;
        let drain = watch::Sender::new(Drain::No);
        let host = Host {
            service,
            giving: giving.map(Arc::new),
            drain: drain.subscribe(),
        };
        let seats = Seats::new(self.seats());
        let mut connections = JoinSet::new();
        let mut asked = pin!(stopping);
        let (mut seat, mut is_full) = (None, false);
        loop {
            seat = seat.or_else(|| seats.try_take());
            if seat.is_none() && !std::mem::replace(&mut is_full, true) {
                let (listener, connections) = (self.name(), seats.all());
                tracing::warn!(target: "anylith", listener, connections, "as many connections are open as are allowed: idle ones are closed for others that come");
            }
            tokio::select! {
                biased;
                () = &mut asked => break,
                free = seats.take(), if seat.is_none() => seat = Some(free),
                () = knock(&door), if seat.is_none() => {
                    if seats.make_room() == 0 {
                        // All are busy.
                        tokio::select! {
                            free = seats.take() => seat = Some(free),
                            () = &mut asked => break,
                            () = sleep(CROWDED) => {}
                        }
                    }
                }
                taken = take(taking.as_ref()), if seat.is_some() => match (taken, seat.take()) {
                    (Ok(taken), Some(seat)) => {
                        let guest = Guest::taken(taken, seat);
                        connections.extend(guest.map(|guest| host.clone().attend(guest)));
                    }
                    (taken, free) => {
                        seat = free;
                        self.complain(taken.err()).await;
                    }
                },
                accepted = accept(&door), if seat.is_some() => match (accepted, seat.take()) {
                    (Ok(stream), Some(seat)) => {
                        connections.spawn(host.clone().attend(Guest::new(stream, seat)));
                    }
                    (accepted, free) => {
                        seat = free;
                        self.complain(accepted.err()).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // Whoever waits there is taken in by others.
        drop(door);
        let mut others_stay = self.passage.others_stay.clone();
        if host.giving.is_some() && *others_stay.borrow_and_update() {
            drain.send_replace(Drain::PassesOn);
        } else {
            // Nobody would take it after this one.
            while let Some(Ok(taken)) = taking.as_ref().map(Taking::try_take)
                && let Some(seat) = seats.try_take()
            {
                let guest = Guest::taken(taken, seat);
                connections.extend(guest.map(|guest| host.clone().attend(guest)));
            }
            drain.send_replace(Drain::Closes);
        }
        loop {
            tokio::select! {
                closed = connections.join_next() => if closed.is_none() {
                    return Ok(());
                },
                Ok(()) = others_stay.changed() => if !*others_stay.borrow_and_update() {
                    drain.send_replace(Drain::Closes);
                },
            }
        }
    }

    /// How many connections it serves at a time.
    fn seats(&self) -> usize {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(MANY);
        let own = files.min(MANY) as usize / 4 * 3 / self.passage.listeners.max(1);
        let seats = self.connections.unwrap_or(own);
        seats.clamp(1, Semaphore::MAX_PERMITS)
    }

    /// Says why a connection could not be taken in, unless it is the client that went before, and waits a little.
    async fn complain(&self, error: Option<io::Error>) {
        let Some(error) = error else { return };
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset => {}
            _ => {
                tracing::warn!(target: "anylith", listener = self.name(), %error, "no connection can be taken in");
                sleep(CROWDED).await;
            }
        }
    }
}

/// The next connection of somebody new.
async fn accept(door: &AsyncFd<TcpListener>) -> io::Result<TcpStream> {
    let accept = |door: &TcpListener| door.accept();
    let (stream, _) = door.async_io(Interest::READABLE, accept).await?;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Waits until somebody new waits at the door, and is taken in by nobody.
async fn knock(door: &AsyncFd<TcpListener>) {
    let look = |door: &TcpListener| match is_waited_at(door) {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    };
    loop {
        // It fails only together with the runtime.
        let _ = door.async_io(Interest::READABLE, look).await;
        sleep(KNOCKS).await;
        if is_waited_at(door.get_ref()) {
            return;
        }
    }
}

/// Whether a connection could be taken in.
fn is_waited_at(door: &TcpListener) -> bool {
    let now = Timespec::default();
    let mut door = [PollFd::new(door, PollFlags::IN)];
    poll(&mut door, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The next connection that another replica passes on; never, where there is no relay.
async fn take(taking: Option<&Taking>) -> io::Result<Taken> {
    match taking {
        Some(taking) => taking.take().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
