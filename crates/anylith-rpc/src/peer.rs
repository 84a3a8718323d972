//! A replica that this one calls: keeps a connection to it, and opens another when it breaks.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, Instant},
};

use anylith_core::{Address, Limits, Name};
use anylith_wire::{CallingEnd, ProtocolError, ServedComponent};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    balancer::Health,
    connection::{self, Connection, Driver, OpenError},
    network::Shared,
    pauses::Pauses,
    transport::Socket,
    trust::Trust,
};

/// Connecting and greeting must be done in this time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest and the longest pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// A peer and the connection to it.
#[derive(Debug)]
pub(crate) struct Peer {
    address: Address,
    state: Mutex<State>,
    retired: AtomicBool,
    /// Rung when the peer is retired.
    bell: Notify,
}

#[derive(Debug)]
struct State {
    status: Status,
    /// When the last connection that lasted was lost, or the first attempt began.
    lost: Instant,
}

/// How it stands with the connection: Opening → Open → Failed → Open …
#[derive(Debug, Clone)]
pub(crate) enum Status {
    /// The first attempt is under way.
    Opening,
    /// Greeted; calls can be made.
    Open(Arc<Connection>),
    /// The last attempt failed, or the connection broke, for this reason. Another attempt follows.
    Failed(Arc<str>),
    /// It speaks another version of the protocol.
    Incompatible(Arc<str>),
}

impl Peer {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            state: Mutex::new(State {
                status: Status::Opening,
                lost: Instant::now(),
            }),
            retired: AtomicBool::new(false),
            bell: Notify::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// Since when calls wait for it, if there is no connection.
    pub(crate) fn lost(&self) -> Instant {
        self.lock().lost
    }

    /// Opens no further connection, and closes the one there is once its calls are answered.
    pub(crate) fn retire(&self) {
        self.retired.store(true, SeqCst);
        self.bell.notify_one();
        if let Status::Open(connection) = self.status() {
            connection.retire();
        }
    }

    /// Keeps a connection open until the peer is retired. The network owns the task that runs this.
    pub(crate) async fn keep_connected(
        self: Arc<Self>,
        network: Weak<Shared>,
        trust: Arc<Trust>,
        limits: Limits,
    ) {
        let mut pauses = Pauses::new(FIRST_PAUSE, LAST_PAUSE);
        while !self.retired.load(SeqCst) {
            match self.open(&trust, &limits, &network).await {
                Ok((connection, driver)) => {
                    let opened = Instant::now();
                    self.set(Status::Open(connection.clone()), &network);
                    // It may have been retired before it could be told so.
                    if self.retired.load(SeqCst) {
                        connection.retire();
                    }
                    let reason = driver.await;
                    let reason =
                        reason.map_or_else(|| "it was closed".into(), |why| why.to_string());
                    // One that greets and closes, such as a replica that drains, was never found again.
                    if pauses.ended(opened.elapsed()) {
                        self.lock().lost = Instant::now();
                    }
                    tracing::debug!(peer = %self.address.replica, reason, "a connection ended");
                    self.set(Status::Failed(reason.into()), &network);
                }
                Err(error @ OpenError::Protocol(ProtocolError::Version { .. })) => {
                    self.set(Status::Incompatible(error.to_string().into()), &network);
                }
                Err(error) => self.set(Status::Failed(error.to_string().into()), &network),
            }
            // Between half of the pause and all of it, so that callers of a lost peer do not march in step.
            let pause = pauses.take();
            self.rest(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn open(
        &self,
        trust: &Trust,
        limits: &Limits,
        network: &Weak<Shared>,
    ) -> Result<(Arc<Connection>, Driver), OpenError> {
        let health = |component: &Name| match network.upgrade() {
            Some(network) => network.health(component, &self.address),
            // Nobody is left who would call.
            None => Arc::new(Health::new(Instant::now())),
        };
        let opening = async {
            let (socket, names) = Socket::connect(&self.address, trust)
                .await
                .map_err(OpenError::Io)?;
            let us = trust.membership();
            let (replica, calling) = (us.replica.clone(), &us.components);
            let end = CallingEnd::of_components(replica, calling, limits, Instant::now());
            let proven = |peer: &Name, served: &[ServedComponent]| match &names {
                Some(names) => trust.meets(names, peer, served.iter().map(|served| &served.name)),
                None => Ok(()),
            };
            let opened = connection::open(socket, end, proven, health, network.clone()).await;
            opened.map_err(|error| match error {
                OpenError::Io(error) => OpenError::Io(trust.refused(error, &self.address)),
                OpenError::Protocol(error) => OpenError::Protocol(error),
            })
        };
        match timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(OpenError::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Waits for `pause`, or until the peer is retired.
    async fn rest(&self, pause: Duration) {
        let mut pause = pin!(sleep(pause));
        let mut bell = pin!(self.bell.notified());
        poll_fn(
            |cx| match (pause.as_mut().poll(cx), bell.as_mut().poll(cx)) {
                (Poll::Pending, Poll::Pending) => Poll::Pending,
                _ => Poll::Ready(()),
            },
        )
        .await;
    }

    fn set(&self, status: Status, network: &Weak<Shared>) {
        self.lock().status = status;
        if let Some(network) = network.upgrade() {
            network.bump();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
