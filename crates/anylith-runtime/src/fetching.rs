//! Sockets of listeners, on their way between a replica and its control plane, over connections of their own.
//!
//! A replica inherits the sockets that it serves from its beginning. One into which a component comes later that serves a
//! listener asks for its sockets ([`fetch`]); and a control plane that has lost its own is brought them ([`bring`]).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Duration,
};

use anylith_core::Name;
use anylith_wire::control::{self, Decoder, Opening};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt::socket_acceptconn,
};

use crate::{inherited::Inherited, link::Enlistment, relay::Relay};

/// How long a control plane may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Sends a listener's socket, and its relay, to the control plane.
///
/// # Errors
///
/// It cannot be reached.
pub(crate) fn bring(
    identity: &Enlistment,
    listener: Name,
    socket: &TcpListener,
    relay: Option<&Relay>,
) -> io::Result<()> {
    let opening = Opening::Listener {
        replica: identity.replica.clone(),
        listener,
    };
    let message = control::encode(&opening).map_err(io::Error::other)?;
    let stream = UnixStream::connect(&identity.control)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    let mut sockets = vec![socket.as_fd()];
    sockets.extend(relay.iter().flat_map(|relay| relay.ends()));
    attached.push(SendAncillaryMessage::ScmRights(&sockets));
    // A fresh Unix socket takes a message of this size whole.
    let message = [IoSlice::new(&message)];
    sendmsg(&stream, &message, &mut attached, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Asks the control plane for the sockets of `listener`, and adds them to what the replica was given. Waits, so it is
/// nothing for a thread on which others wait.
///
/// # Errors
///
/// It cannot be reached, does not answer, or does not have them.
pub(crate) fn fetch(
    identity: &Enlistment,
    listener: &Name,
    given: &arc_swap::ArcSwap<Inherited>,
) -> io::Result<()> {
    let opening = Opening::Fetch {
        replica: identity.replica.clone(),
        listener: listener.clone(),
    };
    let message = control::encode(&opening).map_err(io::Error::other)?;
    let mut stream = UnixStream::connect(&identity.control)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    io::Write::write_all(&mut stream, &message)?;
    let mut sockets = answer(&stream)?.into_iter();
    let socket = sockets.next().ok_or(io::ErrorKind::UnexpectedEof)?;
    if !socket_acceptconn(&socket)? {
        return Err(io::Error::other("what came is not a listening socket"));
    }
    let socket = Arc::new(TcpListener::from(socket));
    let relay = match (sockets.next(), sockets.next()) {
        (Some(give), Some(take)) => Some(Arc::new(Relay::new(give.into(), take.into()))),
        _ => None,
    };
    given.rcu(|known| {
        let mut all = Inherited::clone(known);
        all.listeners.insert(listener.clone(), Arc::clone(&socket));
        all.relays.extend(
            relay
                .iter()
                .map(|relay| (listener.clone(), Arc::clone(relay))),
        );
        all
    });
    Ok(())
}

/// Reads one message, and the sockets that are attached to it.
fn answer(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let (mut decoder, mut sockets) = (Decoder::default(), Vec::new());
    loop {
        if let Some(Opening::Fetch { .. }) = decoder.next().map_err(io::Error::other)? {
            return Ok(sockets);
        }
        let mut bytes = vec![0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(stream, into, &mut attached, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::Error::other(
                "the control plane does not have its socket",
            ));
        }
        for message in attached.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = message {
                sockets.extend(came);
            }
        }
        decoder.feed(&bytes[..received.bytes]);
    }
}
