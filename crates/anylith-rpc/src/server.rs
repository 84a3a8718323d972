//! The accepting side of a replica: takes connections in, drains them, and closes them.

mod guests;

use std::{
    io,
    mem::{Discriminant, discriminant},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anylith_core::{Endpoint, Limits, Name};
use anylith_wire::{ProtocolError, Readiness, ServingEnd};
use bytes::BytesMut;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::guests::{Guests, Key};
use crate::{
    news::News,
    serve::Serve,
    serving::{Driver, Ended, Host, Serving, greet},
    tally::Tally,
    transport::{Accepted, Listening},
    trust::{OtherEnd, Trust},
};

pub(crate) use guests::Room;

/// How long to wait when the system has no room for a further connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How long a drain waits for callers to close their connections.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long closing waits for peers that do not read.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Serves calls at an endpoint. Dropping it closes the endpoint and every connection at once.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    host: Arc<Host>,
    limits: Limits,
    /// The ways in which callers broke the protocol that were written to the log.
    breaches: News<Discriminant<ProtocolError>>,
    state: Mutex<State>,
}

struct State {
    draining: bool,
    closing: bool,
    /// How often what the greeting says has become something else.
    renewals: u64,
    guests: Guests,
}

impl Server {
    pub(crate) fn start(
        trust: Arc<Trust>,
        limits: Limits,
        endpoint: &Endpoint,
        service: Arc<dyn Serve>,
        room: Room,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let listening = Listening::bind(endpoint).map_err(|error| {
            // The system does not say which one.
            io::Error::new(error.kind(), format!("{endpoint}: {error}"))
        })?;
        let endpoint = listening.endpoint()?;
        let state = Mutex::new(State {
            draining: false,
            closing: false,
            renewals: 0,
            guests: Guests::new(room),
        });
        let shared = Arc::new(Shared {
            host: Arc::new(Host::new(service, &limits, trust, tally)),
            limits,
            breaches: News::default(),
            state,
        });
        let accepting = tokio::spawn(shared.clone().accept(listening));
        Ok(Self {
            endpoint,
            shared,
            accepting,
        })
    }

    /// Where it serves: with the port that the system chose, if port 0 was asked for.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Refuses new calls as moved, tells the callers, and waits until the calls in flight are answered and the callers
    /// have closed their connections, which those do that read.
    ///
    /// # Cancellation
    ///
    /// New calls are refused all the same.
    pub async fn drain(&self) {
        {
            let mut state = self.shared.lock();
            state.draining = true;
            state.guests.greeted().for_each(|serving| serving.drain());
        }
        let drained = || {
            let state = self.shared.lock();
            state.guests.greeted().all(|serving| serving.is_drained())
        };
        self.shared.host.flushed.until(drained).await;
        // A request may have left before its caller read the go-away. While somebody is here to refuse it, it goes
        // elsewhere; else its caller could not know whether it was executed.
        let left = || self.shared.lock().guests.greeted().next().is_none();
        let _ = timeout(FAREWELL, self.shared.host.flushed.until(left)).await;
    }

    /// Has every caller open another connection, since what was said in the greeting is so no more: which components
    /// there are, and who may call them. Calls in flight are answered over the old one.
    pub fn renew(&self) {
        let mut state = self.shared.lock();
        state.renewals += 1;
        state.guests.greeted().for_each(|serving| serving.drain());
    }

    /// Tells all callers which components take calls now, if that is not what they know: see [`Serve::offers`].
    pub fn offer(&self) {
        // The service is asked under the lock, so that of two who ask at a time the later one has the last word.
        let state = self.shared.lock();
        let offered = self.shared.offered();
        let greeted = state.guests.greeted();
        greeted.for_each(|serving| serving.offer(offered.clone()));
    }

    /// Drops the calls of one component that are in flight; their callers are told that the replica was stopped.
    /// That no new ones begin is up to the service, which refuses them as moved.
    pub fn stop_component(&self, component: &Name) {
        let served = self.shared.host.service.components();
        let index = served.iter().position(|served| served.name == *component);
        if let Some(index) = index {
            let state = self.shared.lock();
            let greeted = state.guests.greeted();
            greeted.for_each(|serving| serving.stop_component(index as u16));
        }
    }

    /// Stops at once: calls in flight are dropped, and their callers told that the replica was stopped.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes what is still open without a word.
    pub async fn close(&self) {
        self.accepting.abort();
        let tasks: Vec<JoinHandle<()>> = {
            let mut state = self.shared.lock();
            state.closing = true;
            state.guests.greeted().for_each(|serving| serving.close());
            state.guests.leave_all()
        };
        let deadline = tokio::time::Instant::now() + CLOSE_PATIENCE;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        let mut state = self.shared.lock();
        state.closing = true;
        for task in state.guests.leave_all() {
            task.abort();
        }
    }
}

impl Shared {
    /// Takes connections in, and does nothing else: whatever takes time with one happens in a task of its own.
    async fn accept(self: Arc<Self>, listening: Listening) {
        let mut failing = false;
        loop {
            match listening.accept().await {
                Ok(accepted) => {
                    failing = false;
                    self.take(accepted);
                }
                Err(error) => {
                    // Of the process (too many open files) or of one peer; neither ends the server. Those who
                    // wait to be accepted are when there is room again.
                    if !std::mem::replace(&mut failing, true) {
                        self.host.tally.crowded.up();
                        tracing::warn!(%error, "connections cannot be accepted for now");
                    }
                    sleep(NO_ROOM_PAUSE).await;
                }
            }
        }
    }

    /// Begins to greet an accepted connection.
    fn take(self: &Arc<Self>, accepted: Accepted) {
        let mut state = self.lock();
        if state.closing {
            return;
        }
        // The task cannot end and look for itself before the lock is free.
        let begin = |key| tokio::spawn(self.clone().welcome(key, accepted));
        if state.guests.arrive(begin) {
            self.host.tally.crowded.up();
        }
    }

    /// Serves a connection from its first byte to its last.
    async fn welcome(self: Arc<Self>, key: Key, accepted: Accepted) {
        let from = accepted.from();
        match self.converse(key, accepted).await {
            Ended::Closed => {}
            Ended::Io(error) => {
                self.host.trust.note(&error, &OtherEnd::Caller(from));
                tracing::debug!(%error, "a caller's connection broke");
            }
            // It hangs, or the network does: nothing that a caller is to be blamed for.
            Ended::Lost(error) => tracing::info!(%error, "a caller is gone"),
            // That was counted where it was found out.
            Ended::Protocol(ProtocolError::Impostor(_)) => {}
            Ended::Protocol(error) => {
                self.host.tally.misbehaved.up();
                // Whoever can connect can do so as often as he likes.
                if let Some(more) = self.breaches.tell(&discriminant(&error), Instant::now()) {
                    tracing::warn!(%error, more, "a caller broke the protocol");
                }
            }
        }
        self.lock().guests.leave(key);
        self.host.flushed.ring();
    }

    /// Sees who the peer is, which over TCP takes a handshake; greets it, and then serves its calls.
    async fn converse(&self, key: Key, accepted: Accepted) -> Ended {
        let mut socket = match accepted.open(&self.host.trust) {
            Ok(socket) => socket,
            Err(error) => {
                // Where that is for who the peer is, it was counted when it was found out.
                tracing::debug!(%error, "a connection was not taken");
                return Ended::Closed;
            }
        };
        let renewals = self.lock().renewals;
        let mut end = ServingEnd::new(
            self.host.trust.membership().replica.clone(),
            self.host.service.components(),
            &self.limits,
            Instant::now(),
        );
        let mut bytes = BytesMut::new();
        let greeted = greet(&mut socket, &mut end, &mut bytes, &self.host.trust).await;
        match greeted.map(|()| self.admit(key, end, renewals)) {
            Ok(Some(serving)) => Driver::new(serving, Arc::clone(&self.host), socket, bytes).await,
            Ok(None) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    /// Makes room for the calls of a connection that has greeted, when there had been so many `renewals`; `None` if there
    /// is none.
    fn admit(&self, key: Key, mut end: ServingEnd, renewals: u64) -> Option<Arc<Serving>> {
        let mut state = self.lock();
        if state.closing {
            return None;
        }
        end.offer(self.offered());
        if state.draining || state.renewals != renewals {
            end.drain();
        }
        let serving = Serving::new(end, &self.host);
        let admitted = state.guests.greet(key, Arc::clone(&serving));
        if !admitted {
            self.host.tally.crowded.up();
        }
        admitted.then_some(serving)
    }

    /// Which components take calls now, in the order of the greeting.
    fn offered(&self) -> Vec<Readiness> {
        let service = &self.host.service;
        let count = service.components().len();
        (0..count)
            .map(|index| service.offers(index as u16))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("replica", &self.host.trust.membership().replica)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
