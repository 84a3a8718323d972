//! The sockets that connections run over.
//!
//! On one host that is a Unix socket, and both ends look whether the other belongs to the same user. Between hosts it is
//! TCP, and then always with mutual TLS: there is no way to switch that off.
//!
//! Another transport (shared memory, a simulated network) is another variant of [`Socket`]: the drivers ask for nothing
//! but the methods it has.

use std::{
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use anylith_core::{Address, Endpoint};
use anylith_wire::{BATCH_SLICES, Batch};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::{
    tls::{Names, TlsStream},
    trust::Trust,
};

/// Room that is made for reading, at least, whenever less than [`LOW_BYTES`] is left. A message of 64 KiB
/// arrives with its header in one read, and is not moved to a larger room.
const READ_BYTES: usize = 64 * 1024 + LOW_BYTES;
const LOW_BYTES: usize = 8 * 1024;

/// One end of an open connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

impl Socket {
    /// Connects to the replica at `address`. Returns also whom its certificate names, where it has to show one.
    pub(crate) async fn connect(
        address: &Address,
        trust: &Trust,
    ) -> io::Result<(Self, Option<Names>)> {
        match &address.endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                trust.check_user(&stream)?;
                Ok((Self::Unix(stream), None))
            }
            Endpoint::Tcp(at) => {
                // Without a certificate of ours there is no reason to disturb anybody.
                trust.allows(&address.endpoint)?;
                let stream = undelayed(TcpStream::connect(at).await?)?;
                let (stream, names) = trust.connect_tls(stream, address).await?;
                Ok((Self::Tls(Box::new(stream)), Some(names)))
            }
        }
    }

    /// Whom the peer's certificate names; `None` before the handshake is over, and where there are no certificates.
    pub(crate) fn names(&self) -> Option<Names> {
        match self {
            Self::Unix(_) => None,
            Self::Tls(stream) => stream.names(),
        }
    }

    /// Reads into `bytes` until it holds `wanted` bytes, at most what one read brings. 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        let missing = wanted.saturating_sub(bytes.len());
        if bytes.capacity() - bytes.len() < missing.max(LOW_BYTES) {
            bytes.reserve(missing.max(READ_BYTES));
        }
        match self {
            Self::Unix(stream) => pin!(stream.read_buf(bytes)).poll(cx),
            Self::Tls(stream) => stream.poll_read(cx, bytes),
        }
    }

    /// Writes a part of `batch`, or all of it, and returns how many bytes that was.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
        let count = batch.slices(&mut slices);
        let slices = &mut slices[..count];
        let written = match self {
            Self::Unix(stream) => write(Pin::new(stream), cx, slices),
            Self::Tls(stream) => stream.poll_write(cx, slices),
        };
        if let Poll::Ready(Ok(count)) = written {
            batch.advance(count);
        }
        written
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => stream.poll_shutdown(cx),
        }
    }
}

fn undelayed(stream: TcpStream) -> io::Result<TcpStream> {
    // What belongs together is written together, so waiting for more only delays.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn write(
    stream: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let written = match slices {
        [one] => stream.poll_write(cx, one),
        _ => stream.poll_write_vectored(cx, slices),
    };
    match written {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => written,
    }
}

/// Where connections are accepted.
#[derive(Debug)]
pub(crate) enum Listening {
    Unix {
        listener: UnixListener,
        path: PathBuf,
    },
    Tcp(TcpListener),
}

impl Listening {
    /// Binds `endpoint`. A socket file that nobody listens at any more is replaced.
    pub(crate) fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Unix(path) => {
                remove_abandoned(path)?;
                let listener = UnixListener::bind(path)?;
                Ok(Self::Unix {
                    listener,
                    path: path.clone(),
                })
            }
            Endpoint::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
        }
    }

    /// Where peers reach it: with the port that the system chose, if it was asked to choose one.
    pub(crate) fn endpoint(&self) -> io::Result<Endpoint> {
        match self {
            Self::Unix { path, .. } => Ok(Endpoint::Unix(path.clone())),
            Self::Tcp(listener) => listener.local_addr().map(Endpoint::Tcp),
        }
    }

    /// The next connection. Nothing is known of its other end yet: [`Accepted::open`].
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix { listener, .. } => Ok(Accepted::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Ok(Accepted::Tcp(listener.accept().await?.0)),
        }
    }
}

/// A connection that somebody has made.
#[derive(Debug)]
pub(crate) enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Accepted {
    /// From where that is, over TCP.
    pub(crate) fn from(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(stream) => stream.peer_addr().ok(),
        }
    }

    /// Lets the peer in, if it is a process of ours. Over TCP that shows with the handshake, which is made by whoever
    /// reads from the socket, within the time for the greeting.
    pub(crate) fn open(self, trust: &Trust) -> io::Result<Socket> {
        match self {
            Self::Unix(stream) => {
                trust.check_user(&stream)?;
                Ok(Socket::Unix(stream))
            }
            Self::Tcp(stream) => {
                let stream = trust.accept_tls(undelayed(stream)?)?;
                Ok(Socket::Tls(Box::new(stream)))
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Self::Unix { path, .. } = self {
            // If it is gone already, all the better.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the socket that a process which died has left at `path`.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        // Somebody answers there: binding fails, and says so.
        _ => Ok(()),
    }
}
