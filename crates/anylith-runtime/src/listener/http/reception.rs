//! Who comes to a listener, from the first connection until the last one is over.

use std::{
    convert::Infallible, error::Error, io, net::TcpListener, pin::pin, sync::Arc, time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tower_service::Service;

use super::{
    guest::{Drain, Guest, Host},
    seats::{Seat, Seats},
};
use crate::{
    ambient::{self, Frame},
    framed::Framed,
    place::Place,
    relay::{Giving, Relay, Taken, Taking},
    stopping::Stopping,
    trails::Trails,
};

/// The pause after no connection could be taken in: no file descriptor is left, and one will be.
const CROWDED: Duration = Duration::from_millis(50);

/// How long somebody new waits before others leave for him: another replica may take him in, or somebody leave anyway.
pub(super) const KNOCKS: Duration = Duration::from_millis(20);

/// Lets connections in, new ones and those that other replicas pass on, and has them served.
pub(super) struct Reception<'a, S> {
    /// The listener's name.
    name: &'a str,
    door: AsyncFd<TcpListener>,
    taking: Option<Taking>,
    host: Host<S>,
    drain: watch::Sender<Drain>,
    seats: Arc<Seats>,
    connections: JoinSet<()>,
    /// The component that serves.
    place: &'static Place,
}

/// Somebody who wants in.
enum Comer {
    New(TcpStream),
    PassedOn(Taken),
}

impl<'a, S, B> Reception<'a, S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// At the listener called `name`, with `socket` and perhaps a relay. Requests are noted where there are `trails`.
    pub(super) fn new(
        name: &'a str,
        socket: &TcpListener,
        relay: Option<&Relay>,
        seats: usize,
        (service, trails): (S, Option<Arc<Trails>>),
    ) -> io::Result<Self> {
        let door = socket.try_clone()?;
        door.set_nonblocking(true)?;
        #[expect(
            deprecated,
            reason = "unsound for types that change their descriptor; TcpListener can't"
        )]
        let door = AsyncFd::with_interest(door, Interest::READABLE)?;
        let taking = relay.map(Taking::new).transpose()?;
        let giving = relay.map(Giving::new).transpose()?;
        let drain = watch::Sender::new(Drain::No);
        let host = Host {
            service,
            trails,
            giving: giving.map(Arc::new),
            drain: drain.subscribe(),
        };
        Ok(Self {
            name,
            door,
            taking,
            host,
            drain,
            seats: Seats::new(seats),
            connections: JoinSet::new(),
            place: ambient::frame().place,
        })
    }

    /// Lets everybody in for whom there is a seat, until `stopping` resolves.
    pub(super) async fn admit(&mut self, stopping: Stopping) {
        let mut asked = pin!(stopping);
        let (mut seat, mut is_full) = (None, false);
        loop {
            seat = seat.or_else(|| self.seats.try_take());
            if seat.is_none() && !std::mem::replace(&mut is_full, true) {
                let (listener, connections) = (self.name, self.seats.all());
                tracing::warn!(target: "anylith", listener, connections, "as many connections are open as are allowed: idle ones are closed for others that come");
            }
            tokio::select! {
                biased;
                () = &mut asked => return,
                free = self.seats.take(), if seat.is_none() => seat = Some(free),
                () = knock(&self.door), if seat.is_none() => if self.seats.make_room() == 0 {
                    // All are busy.
                    tokio::select! {
                        free = self.seats.take() => seat = Some(free),
                        () = &mut asked => return,
                        () = sleep(CROWDED) => {}
                    }
                },
                comer = next(&self.door, self.taking.as_ref()), if seat.is_some() => {
                    match (comer, seat.take()) {
                        (Ok(comer), Some(seat)) => self.seat(comer, seat),
                        (comer, free) => {
                            seat = free;
                            complain(self.name, comer.err()).await;
                        }
                    }
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    fn seat(&mut self, comer: Comer, seat: Seat) {
        let guest = match comer {
            Comer::New(stream) => Some(Guest::new(stream, seat)),
            Comer::PassedOn(taken) => Guest::taken(taken, seat),
        };
        if let Some(guest) = guest {
            let attending = Framed {
                future: self.host.clone().attend(guest),
                frame: Frame::at(self.place),
            };
            // A panic ends the connection. It is logged.
            self.connections.spawn(async move { drop(attending.await) });
        }
    }

    /// Lets nobody in any more, and waits until all connections are over: passed on while `others_stay`, or else closed.
    pub(super) async fn leave(mut self, mut others_stay: watch::Receiver<bool>) {
        if self.host.giving.is_some() && *others_stay.borrow_and_update() {
            self.drain.send_replace(Drain::PassesOn);
        } else {
            // Nobody would take it after this one.
            while let Some(Ok(taken)) = self.taking.as_ref().map(Taking::try_take)
                && let Some(seat) = self.seats.try_take()
            {
                self.seat(Comer::PassedOn(taken), seat);
            }
            self.drain.send_replace(Drain::Closes);
        }
        let Self {
            door,
            drain,
            mut connections,
            ..
        } = self;
        // Whoever waits there is taken in by others.
        drop(door);
        loop {
            tokio::select! {
                closed = connections.join_next() => if closed.is_none() {
                    return;
                },
                Ok(()) = others_stay.changed() => if !*others_stay.borrow_and_update() {
                    drain.send_replace(Drain::Closes);
                },
            }
        }
    }
}

/// The next one: whoever is passed on first, since nobody else looks after him.
///
/// # Cancellation
///
/// Nobody is lost.
async fn next(door: &AsyncFd<TcpListener>, taking: Option<&Taking>) -> io::Result<Comer> {
    tokio::select! {
        biased;
        taken = take(taking) => taken.map(Comer::PassedOn),
        accepted = accept(door) => accepted.map(Comer::New),
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

/// Says why a connection could not be taken in at the listener called `name`, unless it is the client that went before, and
/// waits a little.
async fn complain(name: &str, error: Option<io::Error>) {
    let Some(error) = error else { return };
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset => {}
        _ => {
            tracing::warn!(target: "anylith", listener = name, %error, "no connection can be taken in");
            sleep(CROWDED).await;
        }
    }
}
