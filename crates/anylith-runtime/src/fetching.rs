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
use arc_swap::ArcSwap;
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
    given: &ArcSwap<Inherited>,
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

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        os::unix::net::{UnixDatagram, UnixListener},
        thread,
    };

    use super::*;

    fn web() -> Name {
        Name::new("web").unwrap()
    }

    /// Asks a control plane that does as `answer` with whoever connects; returns what the replica has then.
    fn asked(answer: impl FnOnce(UnixStream) + Send + 'static) -> (io::Result<()>, Arc<Inherited>) {
        let folder = tempfile::tempdir().unwrap();
        let identity = Enlistment {
            control: folder.path().join("control.sock"),
            replica: Name::new("front-1").unwrap(),
            incarnation: 1,
        };
        let control = UnixListener::bind(&identity.control).unwrap();
        let control = thread::spawn(move || answer(control.accept().unwrap().0));
        let given = ArcSwap::from_pointee(Inherited::default());
        let fetched = fetch(&identity, &web(), &given);
        control.join().unwrap();
        (fetched, given.load_full())
    }

    /// What the replica asks for.
    fn question(stream: &mut UnixStream) -> Opening {
        let mut decoder = Decoder::default();
        loop {
            if let Some(opening) = decoder.next().unwrap() {
                return opening;
            }
            let mut bytes = [0; 64];
            let read = stream.read(&mut bytes).unwrap();
            decoder.feed(&bytes[..read]);
        }
    }

    /// Answers with `sockets`.
    fn send(stream: &UnixStream, message: &Opening, sockets: &[std::os::fd::BorrowedFd<'_>]) {
        let message = control::encode(message).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut attached = SendAncillaryBuffer::new(&mut space);
        attached.push(SendAncillaryMessage::ScmRights(sockets));
        let message = [IoSlice::new(&message)];
        sendmsg(stream, &message, &mut attached, SendFlags::NOSIGNAL).unwrap();
    }

    #[test]
    fn a_replica_gets_the_socket_of_a_listener_and_its_relay() {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = bound.local_addr().unwrap();
        let (fetched, given) = asked(move |mut stream| {
            let opening = question(&mut stream);
            let Opening::Fetch { replica, listener } = &opening else {
                panic!("{opening:?}");
            };
            assert_eq!((replica.as_str(), listener), ("front-1", &web()));
            let (give, take) = UnixDatagram::pair().unwrap();
            send(
                &stream,
                &opening,
                &[bound.as_fd(), give.as_fd(), take.as_fd()],
            );
        });
        fetched.unwrap();
        let socket = &given.listeners[&web()];
        assert_eq!(socket.local_addr().unwrap(), address);
        assert!(given.relays.contains_key(&web()));
    }

    #[test]
    fn what_the_control_plane_does_not_have_is_not_fetched() {
        let (fetched, given) = asked(|mut stream| drop(question(&mut stream)));
        let error = fetched.unwrap_err().to_string();
        assert!(error.contains("does not have its socket"), "{error}");
        assert!(given.listeners.is_empty());
        let (fetched, given) = asked(|mut stream| {
            let opening = question(&mut stream);
            let (one, other) = UnixDatagram::pair().unwrap();
            send(&stream, &opening, &[one.as_fd(), other.as_fd()]);
        });
        assert!(fetched.is_err(), "that socket does not listen");
        assert!(given.listeners.is_empty());
    }
}
