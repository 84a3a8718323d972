//! Passing a connection on.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::TcpStream,
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};
use tokio::{
    io::Interest,
    net::UnixDatagram,
    time::{sleep, timeout},
};

use super::{HEADER_BYTES, MOST_READ_BYTES, Relay, VERSION};

/// How long a connection waits for room in the relay. Where nobody takes for so long, everybody has his hands full.
const ROOM_WITHIN: Duration = Duration::from_secs(2);

/// The pause where the kernel refuses for a reason that passes, and does not say when it has passed.
const PAUSE: Duration = Duration::from_millis(5);

/// The end of a relay into which connections are given.
#[derive(Debug)]
pub(crate) struct Giving {
    end: UnixDatagram,
}

impl Giving {
    pub(crate) fn new(relay: &Relay) -> io::Result<Self> {
        let end = UnixDatagram::from_std(relay.give.try_clone()?)?;
        Ok(Self { end })
    }

    /// Passes `connection` on, with what was `read` of it. Afterwards it is another replica's, whether or not one
    /// has taken it yet.
    ///
    /// # Cancellation
    ///
    /// It was passed on, or not.
    ///
    /// # Errors
    ///
    /// Nobody made room for it, or too much was read. It was not passed on then.
    pub(crate) async fn give(&self, connection: &TcpStream, read: &[u8]) -> io::Result<()> {
        if read.len() > MOST_READ_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut head = [VERSION; HEADER_BYTES];
        head[1..].copy_from_slice(&(read.len() as u32).to_be_bytes());
        let given = async {
            loop {
                let send = || Ok(send(&self.end, connection, &head, read)?);
                match self.end.async_io(Interest::WRITABLE, send).await {
                    Err(error) if passes(&error) => sleep(PAUSE).await,
                    given => return given,
                }
            }
        };
        timeout(ROOM_WITHIN, given).await?
    }
}

fn send(
    end: &UnixDatagram,
    connection: &TcpStream,
    head: &[u8],
    read: &[u8],
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    let sockets = [connection.as_fd()];
    attached.push(SendAncillaryMessage::ScmRights(&sockets));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // A message goes whole, or not at all.
    sendmsg(
        end,
        &[IoSlice::new(head), IoSlice::new(read)],
        &mut attached,
        flags,
    )?;
    Ok(())
}

/// Whether there is room again soon: so many descriptors may be under way as a process may have open.
fn passes(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM)
    )
}
