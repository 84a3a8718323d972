//! The connections that wait at listeners when a process stops that has bound them itself.
//!
//! With its socket's end the queue of a listener is reset, and who waits there loses what he has sent. So before anything
//! stops, the kernel is told to begin no more connections, and what waits is taken in. Under a control plane
//! this is the supervisor's business: it holds the sockets, which many replicas share. `listener_socket.rs` of
//! `anylith-supervisor` does the same there, and says why it is written twice.

use std::{net::TcpListener, sync::Arc, time::Duration};

use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::{SockFilter, SockRef};
use tokio::time::{sleep, timeout};

/// How long components may take to take in what waits.
const TAKE_IN: Duration = Duration::from_secs(2);

/// How often the queues are looked at. The kernel says when a connection comes, not when the last is gone.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a client that was let in last gets to send its request.
const LINGER: Duration = Duration::from_millis(50);

/// A packet filter that lets nothing through: return (6), of each packet, the first 0 bytes.
const DROP_ALL: SockFilter = SockFilter::new(6, 0, 0, 0);

/// The listeners that this process has bound.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    sockets: Vec<Arc<TcpListener>>,
}

impl Backlog {
    pub(crate) fn new(sockets: Vec<Arc<TcpListener>>) -> Self {
        Self { sockets }
    }

    /// Lets no new connection come, and returns when those that wait are taken in, or nobody takes them.
    pub(crate) async fn take_in(&self) {
        if self.sockets.is_empty() {
            return;
        }
        for socket in &self.sockets {
            // Where the kernel does not take a filter, who connects at the very end may be lost.
            let _ = SockRef::from(&**socket).attach_filter(&[DROP_ALL]);
        }
        let taken_in = async {
            while self.sockets.iter().any(|socket| is_waited_at(socket)) {
                sleep(LOOK_EVERY).await;
            }
            sleep(LINGER).await;
        };
        if timeout(TAKE_IN, taken_in).await.is_err() {
            tracing::warn!(target: "anylith", "nobody takes in what waits at a listener: it is dropped");
        }
    }
}

/// Whether a connection waits to be taken in.
fn is_waited_at(socket: &TcpListener) -> bool {
    let mut looked_at = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut looked_at, Some(&now)).is_ok_and(|waiting| waiting > 0)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn who_waits_at_a_listener_is_taken_in_and_nobody_new() {
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = socket.local_addr().unwrap();
        let mut waiting: Vec<TcpStream> = (0..5)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let backlog = Backlog::new(vec![Arc::clone(&socket)]);
        let mut taken_in = tokio::spawn(async move { backlog.take_in().await });
        // It goes on as long as one of them waits.
        assert!(timeout(LOOK_EVERY * 4, &mut taken_in).await.is_err());
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert!(late.is_err(), "it was let in");
        for _ in &waiting {
            let (mut stream, _) = socket.accept().unwrap();
            stream.write_all(b"served").unwrap();
        }
        taken_in.await.unwrap();
        drop(socket);
        for stream in &mut waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "served");
        }
    }
}
