//! A door for outside traffic.

#[cfg(feature = "http")]
mod http;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anylith_core::Name;

/// A door for outside traffic: a socket that somebody else has bound already.
///
/// A component asks for one with a `#[listener]` field. All replicas that serve the same listener share one
/// socket, so a connection goes to any of them, and none is lost when one of them goes.
#[derive(Debug, Clone)]
pub struct Listener {
    name: Name,
    socket: Arc<TcpListener>,
}

impl Listener {
    pub(crate) fn new(name: Name, socket: Arc<TcpListener>) -> Self {
        Self { name, socket }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The address at which it listens.
    ///
    /// # Errors
    ///
    /// The system's, which does not happen with a socket that listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The socket for tokio. For HTTP there is [`Listener::serve`], with the feature `http`, which loses no request when the
    /// replica goes; `axum::serve` closes connections just when a request may be on its way.
    ///
    /// # Errors
    ///
    /// If the process has no file descriptor left. Outside of a tokio runtime it panics.
    pub fn tcp(&self) -> io::Result<tokio::net::TcpListener> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket)
    }
}
