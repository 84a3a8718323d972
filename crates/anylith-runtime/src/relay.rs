//! The relay of a listener: a queue of connections that are open already.
//!
//! The socket of a listener has a queue of connections that nobody has taken in, and all its replicas take from that one. Its relay
//! is the same for connections that a replica has taken in and passes on when it goes. Whoever has bound the listener has made
//! it, a pair of sockets, and all replicas inherit both ends. So a connection that waits in it outlives
//! the replica that gave it, and the kernel bounds how many wait.

#[cfg(feature = "http")]
mod giving;
#[cfg(feature = "http")]
mod taking;

use std::os::{
    fd::{AsFd, BorrowedFd},
    unix::net::UnixDatagram,
};

#[cfg(feature = "http")]
pub(crate) use {
    giving::Giving,
    taking::{Taken, Taking},
};

/// So much can have been read of a connection that is passed on, in bytes. It has to fit into one message.
#[cfg(feature = "http")]
pub(crate) const MOST_READ_BYTES: usize = 64 << 10;

/// What a message begins with: its version, so that replicas of two builds understand each other or know that they do not.
#[cfg(feature = "http")]
const VERSION: u8 = 1;

/// A message is its version, the number of bytes that were read of the connection (`u32`, big-endian), and those; the connection is attached.
#[cfg(feature = "http")]
const HEADER_BYTES: usize = 5;

/// Both ends of a relay, as they were inherited.
#[derive(Debug)]
pub(crate) struct Relay {
    give: UnixDatagram,
    take: UnixDatagram,
}

impl Relay {
    pub(crate) fn new(give: UnixDatagram, take: UnixDatagram) -> Self {
        Self { give, take }
    }

    /// The end to give into, and the end to take from.
    pub(crate) fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.give.as_fd(), self.take.as_fd()]
    }
}

#[cfg(feature = "http")]
#[cfg(test)]
mod tests;
