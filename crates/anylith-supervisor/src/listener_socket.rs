//! The socket of a listener: bound once, here, and inherited by the replicas that serve it.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    time::Duration,
};

use anylith_core::Name;
use anylith_wire::control::RELAY_ENDS;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{AddressFamily, SocketType, sockopt},
};
use socket2::{SockFilter, SockRef};

/// How often the queue of a socket is looked at. The kernel says when a connection comes, not when the last is gone.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a client that was let in last gets to send its request.
const LINGER: Duration = Duration::from_millis(50);

/// A packet filter that lets nothing through: return (6), of each packet, the first 0 bytes.
const DROP_ALL: SockFilter = SockFilter::new(6, 0, 0, 0);

/// A listener's socket, and its relay: a queue of connections that are open already, into which a replica that goes gives its own and out of
/// which those take them that stay. The supervisor looks into neither, and holds both, so that what waits there outlives
/// every replica.
#[derive(Debug)]
pub(crate) struct ListenerSocket {
    pub(crate) socket: TcpListener,
    give: UnixDatagram,
    take: UnixDatagram,
}

impl ListenerSocket {
    /// With a relay of its own, in which nobody waits.
    fn new(socket: TcpListener) -> io::Result<Self> {
        let (give, take) = UnixDatagram::pair()?;
        // Many replicas use the same ends.
        give.set_nonblocking(true)?;
        take.set_nonblocking(true)?;
        Ok(Self { socket, give, take })
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            give: self.give.try_clone()?,
            take: self.take.try_clone()?,
        })
    }

    /// What a replica inherits beside the socket, with what is put after the listener's name to call it.
    pub(crate) fn relay(&self) -> [(&'static str, BorrowedFd<'_>); 2] {
        let [give, take] = RELAY_ENDS;
        [(give, self.give.as_fd()), (take, self.take.as_fd())]
    }
}

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener `{listener}` cannot be bound to {address}: {}", self.mend())]
pub struct BindError {
    /// The listener.
    pub listener: Name,
    /// The address it was to have.
    pub address: String,
    source: io::Error,
}

impl BindError {
    fn mend(&self) -> String {
        let listener = &self.listener;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process uses this address; stop it, or choose another address with \
                 `--listen {listener}=127.0.0.1:0` or in [listeners.{listener}] of anylith.toml"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "this user may not use this port; choose one from 1024 on with \
                 `--listen {listener}=127.0.0.1:8080` or in [listeners.{listener}] of anylith.toml"
            ),
            io::ErrorKind::AddrNotAvailable => format!(
                "this machine does not have this address; choose another one with \
                 `--listen {listener}=127.0.0.1:0` or in [listeners.{listener}] of anylith.toml"
            ),
            _ => format!(
                "{}; write it as `host:port` with `--listen {listener}=127.0.0.1:8080` or in \
                 [listeners.{listener}] of anylith.toml",
                self.source
            ),
        }
    }
}

/// Binds the socket of `listener` to `address`, with a port of the system's choice if that is 0. A name in it is looked
/// up in a thread of its own: whoever answers may take his time.
///
/// # Cancellation
///
/// The socket is closed when it is bound.
pub(crate) async fn bind(listener: Name, address: String) -> Result<ListenerSocket, BindError> {
    let to = address.clone();
    let binding = tokio::task::spawn_blocking(move || {
        let addresses: Vec<SocketAddr> = to.to_socket_addrs()?.collect();
        let socket = TcpListener::bind(addresses.as_slice())?;
        // Many replicas wait at the same socket: one that wakes up too late must not block.
        socket.set_nonblocking(true)?;
        ListenerSocket::new(socket)
    });
    let bound = binding.await.map_err(io::Error::other);
    bound.flatten().map_err(|source| BindError {
        listener,
        address,
        source,
    })
}

/// Takes what a replica brought: a socket, if it is one that listens, and its relay, if it has one.
pub(crate) fn take_over(brought: Vec<OwnedFd>) -> io::Result<ListenerSocket> {
    let mut brought = brought.into_iter();
    let (socket, give, take) = (brought.next(), brought.next(), brought.next());
    let socket = socket.ok_or(io::ErrorKind::InvalidInput)?;
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::other(
            "what was handed over is not a listening socket",
        ));
    }
    let socket = TcpListener::from(socket);
    match (give, take) {
        (Some(give), Some(take)) if is_relay(&give) && is_relay(&take) => Ok(ListenerSocket {
            socket,
            give: give.into(),
            take: take.into(),
        }),
        _ => ListenerSocket::new(socket),
    }
}

fn is_relay(end: &OwnedFd) -> bool {
    sockopt::socket_domain(end) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(end) == Ok(SocketType::DGRAM)
}

/// Lets no new connection come to a socket; the future ends when none waits there any more, nor in its relay.
///
/// A socket cannot be closed for this: the connections that wait in its queue would be reset, and clients would
/// lose what they have sent already. Instead the kernel is told to drop every packet that would begin a connection. Who
/// tries to connect from now on hears nothing, and a refusal once the socket is gone: nothing was taken from him.
///
/// A process without a supervisor does the same for the listeners it has bound itself: `backlog.rs` of
/// `anylith-runtime`, which no crate that both may use could hold, since those that both use open no sockets.
pub(crate) fn shut(socket: &ListenerSocket) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let ListenerSocket { socket, take, .. } = socket.try_clone()?;
    // Where the kernel does not take a filter, who connects at the very end may be lost.
    let _ = SockRef::from(&socket).attach_filter(&[DROP_ALL]);
    Ok(async move {
        while is_waited_at(socket.as_fd()) || is_waited_at(take.as_fd()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(LINGER).await;
    })
}

/// Whether a connection waits to be taken.
fn is_waited_at(socket: BorrowedFd<'_>) -> bool {
    let mut looked_at = [PollFd::new(&socket, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut looked_at, Some(&now)).is_ok_and(|waiting| waiting > 0)
}

/// Where people find what is served at a socket.
pub(crate) fn url(socket: &TcpListener) -> String {
    match socket.local_addr() {
        Ok(address) if address.ip().is_unspecified() => {
            format!("http://localhost:{}", address.port())
        }
        Ok(address) => format!("http://{address}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("web").unwrap()
    }

    #[tokio::test]
    async fn a_listener_is_shut_once_nobody_waits_in_its_relay() {
        let bound = bind(name(), "127.0.0.1:0".to_owned()).await.unwrap();
        bound.give.send(b"a connection").unwrap();
        let mut shut = tokio::spawn(shut(&bound).unwrap());
        let early = tokio::time::timeout(LOOK_EVERY * 4, &mut shut).await;
        assert!(early.is_err(), "who waits there was forgotten");
        bound.take.recv(&mut [0; 64]).unwrap();
        shut.await.unwrap();
    }

    #[tokio::test]
    async fn a_relay_is_taken_over_with_its_socket_and_with_what_waits_in_it() {
        let bound = bind(name(), "127.0.0.1:0".to_owned()).await.unwrap();
        bound.give.send(b"a connection").unwrap();
        let ListenerSocket { socket, give, take } = bound.try_clone().unwrap();
        let taken = take_over(vec![socket.into(), give.into(), take.into()]).unwrap();
        let mut message = [0; 64];
        let length = taken.take.recv(&mut message).unwrap();
        assert_eq!(&message[..length], b"a connection");
    }

    #[tokio::test]
    async fn a_socket_without_a_relay_gets_one() {
        let bound = bind(name(), "127.0.0.1:0".to_owned()).await.unwrap();
        let ListenerSocket { socket, give, .. } = bound.try_clone().unwrap();
        let other = std::fs::File::open("/dev/null").unwrap();
        for brought in [
            vec![socket.into()],
            vec![
                bound.socket.try_clone().unwrap().into(),
                give.into(),
                other.into(),
            ],
        ] {
            let taken = take_over(brought).unwrap();
            taken.give.send(b"a connection").unwrap();
            assert_eq!(taken.take.recv(&mut [0; 64]).unwrap(), 12);
            assert!(bound.take.recv(&mut [0; 64]).is_err(), "it is another one");
        }
        assert!(take_over(Vec::new()).is_err());
        assert!(take_over(vec![bound.give.into()]).is_err());
    }
}
