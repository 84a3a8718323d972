//! A replica that this one calls: keeps a connection to it, and opens another when it breaks.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, Instant},
};

use anylith_core::{Address, Limits, LostAnswer, Name};
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
    trust::{Membership, Trust},
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
    /// Rung when another connection is to take the place of the one there is.
    renewal: Notify,
}

#[derive(Debug)]
struct State {
    status: Status,
    /// When the last connection that lasted was lost, or the first attempt began.
    lost: Instant,
    /// What this replica was when it greeted last.
    greeted_as: Option<Arc<Membership>>,
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
                greeted_as: None,
            }),
            retired: AtomicBool::new(false),
            bell: Notify::new(),
            renewal: Notify::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// Whether calls can go to it now.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(&self.lock().status, Status::Open(connection) if connection.is_open())
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

    /// Opens another connection, since this replica has become another since it greeted. The one there is takes calls
    /// until the other is open.
    pub(crate) fn renew(&self) {
        self.renewal.notify_one();
    }

    /// Whether calls go over a connection that was greeted by what this replica is no more.
    pub(crate) fn is_outdated(&self, trust: &Trust) -> bool {
        let state = self.lock();
        let greeted_as = state.greeted_as.as_ref();
        let is_open = matches!(&state.status, Status::Open(connection) if connection.is_open());
        is_open && greeted_as.is_some_and(|us| !Arc::ptr_eq(us, &trust.membership()))
    }

    /// Takes no more calls over the connection that there is.
    pub(crate) fn give_up_connection(&self) {
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
        // One that another is to take the place of.
        let mut before: Option<Arc<Connection>> = None;
        while !self.retired.load(SeqCst) {
            match self.open(&trust, &limits, &network).await {
                Ok((connection, driver, us)) => {
                    let opened = Instant::now();
                    self.lock().greeted_as = Some(us);
                    self.set(Status::Open(connection.clone()), &network);
                    if let Some(before) = before.take() {
                        before.retire();
                    }
                    // It may have been retired before it could be told so.
                    if self.retired.load(SeqCst) {
                        connection.retire();
                    }
                    let mut driver = Box::pin(driver);
                    let ended = self.driven(&connection, driver.as_mut()).await;
                    // One that greets and closes, such as a replica that drains, was never found again.
                    let lasted = pauses.ended(opened.elapsed());
                    // Also where another takes its place: should that one not last, calls wait for the next from now on.
                    if lasted {
                        self.lock().lost = Instant::now();
                    }
                    let Some(reason) = ended else {
                        let Some(network) = network.upgrade() else {
                            return;
                        };
                        network.keep_until_over(driver);
                        before = Some(connection);
                        continue;
                    };
                    let reason =
                        reason.map_or_else(|| "it was closed".into(), |why| why.to_string());
                    tracing::debug!(peer = %self.address.replica, reason, "a connection ended");
                    self.set(Status::Failed(reason.into()), &network);
                }
                Err(error @ OpenError::Protocol(ProtocolError::Version { .. })) => {
                    self.set(Status::Incompatible(error.to_string().into()), &network);
                }
                // The one before is as good as it was.
                Err(_) if before.as_ref().is_some_and(|before| before.is_open()) => {}
                Err(error) => self.set(Status::Failed(error.to_string().into()), &network),
            }
            // Between half of the pause and all of it, so that callers of a lost peer do not march in step.
            let pause = pauses.take();
            self.rest(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
        if let Some(before) = before {
            before.retire();
        }
    }

    /// Drives a connection until it ends, and returns why; `None` if another is to take its place before.
    async fn driven(
        &self,
        connection: &Connection,
        mut driver: Pin<&mut Driver>,
    ) -> Option<Option<LostAnswer>> {
        let mut gone_away = pin!(connection.gone_away());
        let mut renewal = pin!(self.renewal.notified());
        poll_fn(|cx| {
            if let Poll::Ready(reason) = driver.as_mut().poll(cx) {
                return Poll::Ready(Some(reason));
            }
            let is_outdated =
                gone_away.as_mut().poll(cx).is_ready() || renewal.as_mut().poll(cx).is_ready();
            match is_outdated && !self.retired.load(SeqCst) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    async fn open(
        &self,
        trust: &Trust,
        limits: &Limits,
        network: &Weak<Shared>,
    ) -> Result<(Arc<Connection>, Driver, Arc<Membership>), OpenError> {
        let health = |component: &Name| match network.upgrade() {
            Some(network) => network.health(component, &self.address),
            // Nobody is left who would call.
            None => Arc::new(Health::new(Instant::now())),
        };
        let us = trust.membership();
        let opening = async {
            let (socket, names) = Socket::connect(&self.address, trust)
                .await
                .map_err(OpenError::Io)?;
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
            Ok(opened) => opened.map(|(connection, driver)| (connection, driver, us.clone())),
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
