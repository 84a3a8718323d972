//! A door for outside traffic.

#[cfg(feature = "http")]
mod http;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anylith_core::Name;
use tokio::sync::watch;

use crate::{relay::Relay, trails::Trails};

/// A door for outside traffic: a socket that somebody else has bound already.
///
/// A component asks for one with a `#[listener]` field. All replicas that serve the same listener share one
/// socket, so a connection goes to any of them, and none is lost when one of them goes.
#[derive(Debug, Clone)]
pub struct Listener {
    name: Name,
    socket: Arc<TcpListener>,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "HTTP alone passes connections on")
    )]
    passage: Passage,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "HTTP alone counts connections")
    )]
    connections: Option<usize>,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "HTTP alone begins traces")
    )]
    trails: Option<Arc<Trails>>,
}

/// How connections that are open pass from one replica to another.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "HTTP alone passes connections on")
)]
pub(crate) struct Passage {
    /// Where they wait in between; `None` where whoever has bound the listener made none.
    pub(crate) relay: Option<Arc<Relay>>,
    /// Whether, once this replica stops, another one stays that takes them.
    pub(crate) others_stay: watch::Receiver<bool>,
    /// Among how many listeners of the process its file descriptors are divided.
    pub(crate) listeners: usize,
}

impl Listener {
    pub(crate) fn new(
        name: Name,
        socket: Arc<TcpListener>,
        passage: Passage,
        trails: Option<Arc<Trails>>,
    ) -> Self {
        let connections = None;
        Self {
            name,
            socket,
            passage,
            connections,
            trails,
        }
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
