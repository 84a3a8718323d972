//! The control socket, and everybody who is connected to it.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::{ToReplica, encode};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
};

use crate::connection::{self, Arrival, ConnectionId};

/// Arrivals that wait for the engine. When so many wait, connections are read more slowly.
const ARRIVALS: usize = 256;

/// How long nobody is let in after no file descriptor was free. One will be.
const CROWDED: Duration = Duration::from_millis(50);

/// How long the last answers may take to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// Lets in who connects, and knows through which connection each replica is reached.
#[derive(Debug)]
pub(crate) struct Switchboard {
    control: UnixListener,
    /// Nobody is let in before.
    closed_until: Option<Instant>,
    served: JoinSet<()>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
    lines: BTreeMap<Name, Line>,
    last: ConnectionId,
}

/// The connection through which a replica is reached.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: ConnectionId,
    /// The process at its other end.
    pub(crate) peer: Option<u32>,
    pub(crate) outbox: mpsc::Sender<Vec<u8>>,
}

impl Switchboard {
    pub(crate) fn new(control: UnixListener) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            control,
            closed_until: None,
            served: JoinSet::new(),
            sender,
            arrivals,
            lines: BTreeMap::new(),
            last: 0,
        }
    }

    /// The next thing that comes from any connection.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Arrival {
        loop {
            tokio::select! {
                Some(arrival) = self.arrivals.recv() => return arrival,
                accepted = accept(&self.control, self.closed_until) => match accepted {
                    Ok(stream) => self.let_in(stream),
                    Err(_) => self.closed_until = Some(Instant::now() + CROWDED),
                },
                Some(_) = self.served.join_next() => {}
            }
        }
    }

    fn let_in(&mut self, stream: UnixStream) {
        self.last += 1;
        let (id, arrivals) = (self.last, self.sender.clone());
        self.served.spawn(async move {
            // What is wrong with one connection is the other side's to find out.
            let _ = connection::serve(stream, id, arrivals).await;
        });
    }

    /// From now on `replica` is reached through `line`; returns through which it was before.
    pub(crate) fn connect(&mut self, replica: Name, line: Line) -> Option<Line> {
        self.lines.insert(replica, line)
    }

    /// Closes the connection of a replica, if it has one.
    pub(crate) fn hang_up(&mut self, replica: &Name) -> Option<Line> {
        self.lines.remove(replica)
    }

    /// The replicas that are connected.
    pub(crate) fn connected(&self) -> Vec<Name> {
        self.lines.keys().cloned().collect()
    }

    /// The connection through which a replica is reached now.
    pub(crate) fn line(&self, replica: &Name) -> Option<&Line> {
        self.lines.get(replica)
    }

    /// Whether connection `id` is the one through which `replica` is reached.
    pub(crate) fn is_current(&self, id: ConnectionId, replica: &Name) -> bool {
        self.line(replica).is_some_and(|line| line.id == id)
    }

    /// Sends a message to a replica, if it is connected.
    ///
    /// # Errors
    ///
    /// If the message cannot be sent, or too many wait. The connection is closed then; the replica comes again, and
    /// is told everything.
    pub(crate) fn send(&mut self, replica: &Name, message: &ToReplica) -> io::Result<()> {
        let Some(line) = self.lines.get(replica) else {
            return Ok(());
        };
        let sent = encode(message).map_err(io::Error::other);
        let sent = sent.and_then(|bytes| match line.outbox.try_send(bytes) {
            // Where it is closed the connection is over, which says so itself.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(io::Error::other("it does not read what it is told")),
        });
        // Without its outbox the connection is closed.
        sent.inspect_err(|_| drop(self.lines.remove(replica)))
    }

    /// Sends a message to every replica that is connected; returns those that cannot be told, and why.
    pub(crate) fn publish(&mut self, message: &ToReplica) -> Vec<(Name, io::Error)> {
        let replicas: Vec<Name> = self.lines.keys().cloned().collect();
        let untold = replicas.into_iter().filter_map(|replica| {
            let error = self.send(&replica, message).err()?;
            Some((replica, error))
        });
        untold.collect()
    }

    /// Closes all connections of replicas, and waits a little for the last answers to leave.
    pub(crate) async fn close(mut self) {
        self.lines.clear();
        let answered = async { while self.served.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, answered).await;
    }
}

async fn accept(control: &UnixListener, from: Option<Instant>) -> std::io::Result<UnixStream> {
    if let Some(from) = from {
        tokio::time::sleep_until(from.into()).await;
    }
    Ok(control.accept().await?.0)
}
