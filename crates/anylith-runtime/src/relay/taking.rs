//! Taking a connection that another replica has passed on.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    net::TcpStream,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketType,
    recvmsg, sockopt,
};
use tokio::{io::Interest, net::UnixDatagram};

use super::{HEADER_BYTES, MOST_READ_BYTES, Relay, VERSION};

/// The end of a relay out of which connections are taken.
#[derive(Debug)]
pub(crate) struct Taking {
    end: UnixDatagram,
}

/// A connection that another replica has taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) connection: TcpStream,
    /// What was read of it and nobody has looked at.
    pub(crate) read: Vec<u8>,
}

impl Taking {
    pub(crate) fn new(relay: &Relay) -> io::Result<Self> {
        let end = UnixDatagram::from_std(relay.take.try_clone()?)?;
        Ok(Self { end })
    }

    /// The next connection that is passed on.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// No file descriptor is left, and nothing was taken; or what came is no connection.
    pub(crate) async fn take(&self) -> io::Result<Taken> {
        let receive = || receive(&self.end);
        self.end.async_io(Interest::READABLE, receive).await
    }

    /// The next connection, if one waits.
    ///
    /// # Errors
    ///
    /// As with [`Taking::take`]; `WouldBlock` if none waits.
    pub(crate) fn try_take(&self) -> io::Result<Taken> {
        receive(&self.end)
    }
}

fn receive(end: &UnixDatagram) -> io::Result<Taken> {
    // Where no file descriptor is free the kernel would drop the connection that comes, and its message with it. So one is held
    // until just before, and without it nothing is taken.
    let spare = end.as_fd().try_clone_to_owned()?;
    let mut bytes = vec![0; HEADER_BYTES + MOST_READ_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    drop(spare);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(end, &mut parts, &mut attached, flags)?;
    let mut sockets = Vec::new();
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            sockets.extend(came);
        }
    }
    let is_whole = !received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let is_one = is_whole && matches!(&sockets[..], [socket] if is_connection(socket));
    let connection = sockets.pop().filter(|_| is_one);
    let connection = connection.ok_or_else(|| foreign("no connection is attached to it"))?;
    let connection = TcpStream::from(connection);
    bytes.truncate(received.bytes);
    let read = read(bytes)?;
    Ok(Taken { connection, read })
}

/// Whether it is a TCP socket, and none that listens.
fn is_connection(socket: &OwnedFd) -> bool {
    let is_tcp = sockopt::socket_type(socket) == Ok(SocketType::STREAM)
        && matches!(
            sockopt::socket_domain(socket),
            Ok(AddressFamily::INET | AddressFamily::INET6)
        );
    is_tcp && sockopt::socket_acceptconn(socket) == Ok(false)
}

/// What was read of the connection, if the message is as [`super::HEADER_BYTES`] says.
fn read(mut message: Vec<u8>) -> io::Result<Vec<u8>> {
    let head = message.first_chunk::<HEADER_BYTES>();
    let [VERSION, length @ ..] = head.ok_or_else(|| foreign("it is too short"))? else {
        return Err(foreign("it is of another build"));
    };
    if u32::from_be_bytes(*length) as usize != message.len() - HEADER_BYTES {
        return Err(foreign("its length is not what it says"));
    }
    message.drain(..HEADER_BYTES);
    Ok(message)
}

fn foreign(what: &str) -> io::Error {
    let text = format!("a message in the relay is not understood, and its connection lost: {what}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
