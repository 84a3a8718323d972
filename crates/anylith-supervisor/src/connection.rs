//! One connection to the control socket: who opened it, and what comes through it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    pin::pin,
    time::Duration,
};

use anylith_core::Name;
use anylith_wire::control::{Decoder, FromReplica, Hello, Opening, Request, encode};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{UnixStream, unix::OwnedReadHalf},
    sync::{mpsc, oneshot},
};

use crate::{answer::Answer, listener_socket::ListenerSocket};

/// Who connects has this long to say what for.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection may outlive its process. A child of it may have inherited the socket.
pub(crate) const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

/// Messages to a replica that wait to be written. A replica for which more wait does not read; its
/// connection is closed, and it gets what it must know when it connects again.
const OUTBOX: usize = 256;

/// Tells one connection from all others of this supervisor.
pub(crate) type ConnectionId = u64;

/// What comes from connections.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A replica is there.
    Connected {
        id: ConnectionId,
        hello: Hello,
        peer: Option<u32>,
        outbox: mpsc::Sender<Vec<u8>>,
    },
    /// It said something.
    Said {
        id: ConnectionId,
        replica: Name,
        message: FromReplica,
    },
    /// Its connection is over.
    Disconnected {
        id: ConnectionId,
        replica: Name,
        /// Why, if it is not the other side that closed it.
        error: Option<io::Error>,
    },
    /// A replica brought the socket of a listener, and what belongs to it.
    Brought {
        listener: Name,
        sockets: Vec<OwnedFd>,
    },
    /// A replica asks for the socket of a listener, which is wanted there with what belongs to it.
    Fetched {
        listener: Name,
        answer: oneshot::Sender<ListenerSocket>,
    },
    /// Somebody of another user; he is not listened to.
    Stranger { uid: u32, pid: Option<u32> },
    /// The command asks; the answer is wanted there.
    Asked {
        request: Request,
        answer: oneshot::Sender<Answer>,
    },
}

/// Serves a connection until it is over. What is wrong with one concerns nobody else: it is closed.
///
/// When `arrivals` is full the connection is read more slowly, and nothing is lost.
pub(crate) async fn serve(
    mut stream: UnixStream,
    id: ConnectionId,
    arrivals: mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (uid, pid) = (peer.uid(), peer.pid());
    let peer = pid.and_then(|pid| u32::try_from(pid).ok());
    // Root may do all this anyway.
    if uid != rustix::process::getuid().as_raw() && uid != 0 {
        let _ = arrivals.send(Arrival::Stranger { uid, pid: peer }).await;
        return Ok(());
    }
    let mut decoder = Decoder::default();
    let opening = tokio::time::timeout(OPEN_WITHIN, opening(&stream, &mut decoder)).await??;
    match opening {
        (Opening::Hello(hello), _) => {
            let replica = Replica { id, hello, peer };
            replica.serve(stream, decoder, &arrivals).await;
            Ok(())
        }
        (Opening::Listener { listener, .. }, sockets) => {
            let _ = arrivals.send(Arrival::Brought { listener, sockets }).await;
            Ok(())
        }
        (Opening::Fetch { replica, listener }, _) => {
            let (answer, answered) = oneshot::channel();
            let fetched = Arrival::Fetched {
                listener: listener.clone(),
                answer,
            };
            let _ = arrivals.send(fetched).await;
            // Without an answer there is none, and who asks is hung up on.
            let Ok(socket) = answered.await else {
                return Ok(());
            };
            let message = encode(&Opening::Fetch { replica, listener });
            let message = message.map_err(io::Error::other)?;
            let sent = stream.async_io(Interest::WRITABLE, || send(&stream, &message, &socket));
            sent.await
        }
        (Opening::Ask(request), _) => {
            let (answer, answered) = oneshot::channel();
            let _ = arrivals.send(Arrival::Asked { request, answer }).await;
            if let Ok(answer) = answered.await {
                stream
                    .write_all(&encode(&answer).map_err(io::Error::other)?)
                    .await?;
            }
            Ok(())
        }
        // Something that only a later build could do.
        (Opening::Unknown, _) => Ok(()),
    }
}

/// A replica that has said who it is.
struct Replica {
    id: ConnectionId,
    hello: Hello,
    peer: Option<u32>,
}

impl Replica {
    /// Brings what it says to the engine, and what the engine says to it, until the connection is over.
    async fn serve(self, stream: UnixStream, decoder: Decoder, arrivals: &mpsc::Sender<Arrival>) {
        let Self { id, hello, peer } = self;
        let replica = hello.replica.clone();
        let (reader, mut writer) = stream.into_split();
        let (outbox, mut waiting) = mpsc::channel::<Vec<u8>>(OUTBOX);
        let connected = Arrival::Connected {
            id,
            hello,
            peer,
            outbox,
        };
        if arrivals.send(connected).await.is_err() {
            return;
        }
        let write = async move {
            while let Some(bytes) = waiting.recv().await {
                writer.write_all(&bytes).await?;
            }
            io::Result::Ok(())
        };
        let over = {
            let mut read = pin!(read(reader, decoder, id, &replica, arrivals));
            tokio::select! {
                over = &mut read => over,
                over = write => match over {
                    // It does not listen any more, and what it said last is still to be read.
                    Err(error) => last_words(read).await.and(Err(error)),
                    // It was hung up on.
                    Ok(()) => Ok(()),
                },
            }
        };
        let over = Arrival::Disconnected {
            id,
            replica,
            error: over.err().filter(|error| !is_hang_up(error)),
        };
        // Where the engine is gone, nobody is left to be told.
        let _ = arrivals.send(over).await;
    }
}

/// Reads a connection to its end, which is near if its process has ended.
async fn last_words(read: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    // Who does not listen and talks on is not worth more.
    tokio::time::timeout(LAST_WORDS_WITHIN, read)
        .await
        .unwrap_or(Ok(()))
}

/// Whether the other side has closed the connection, or its process has ended.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Reads the first message, and the file descriptors that may be attached to it.
async fn opening(
    stream: &UnixStream,
    decoder: &mut Decoder,
) -> io::Result<(Opening, Vec<OwnedFd>)> {
    let mut attached = Vec::new();
    loop {
        if let Some(opening) = decoder.next().map_err(io::Error::other)? {
            return Ok((opening, attached));
        }
        let (bytes, sockets) = stream
            .async_io(Interest::READABLE, || receive(stream))
            .await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        decoder.feed(&bytes);
        if attached.is_empty() {
            attached = sockets;
        }
    }
}

/// Sends `message` with the socket of a listener and its relay. A fresh Unix socket takes a message of this size whole.
fn send(stream: &UnixStream, message: &[u8], socket: &ListenerSocket) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    let [(_, give), (_, take)] = socket.relay();
    let sockets = [socket.socket.as_fd(), give, take];
    attached.push(SendAncillaryMessage::ScmRights(&sockets));
    let message = [IoSlice::new(message)];
    rustix::net::sendmsg(stream, &message, &mut attached, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut attached,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    bytes.truncate(received.bytes);
    let mut sockets = Vec::new();
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            sockets.extend(came);
        }
    }
    Ok((bytes, sockets))
}

async fn read(
    mut reader: OwnedReadHalf,
    mut decoder: Decoder,
    id: ConnectionId,
    replica: &Name,
    arrivals: &mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        while let Some(message) = decoder.next().map_err(io::Error::other)? {
            let said = Arrival::Said {
                id,
                replica: replica.clone(),
                message,
            };
            if arrivals.send(said).await.is_err() {
                return Ok(());
            }
        }
        bytes.clear();
        if reader.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        decoder.feed(&bytes);
    }
}
