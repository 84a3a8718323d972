//! The accepting side of a replica: takes connections in, drains them, and closes them.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anylith_core::{Endpoint, Limits, Name};
use anylith_wire::ServingEnd;
use slab::Slab;
use tokio::{sync::Notify, task::JoinHandle, time::sleep};

use crate::{
    serve::Serve,
    serving::{Driver, Ended, Serving},
    tally::Tally,
    transport::{Listening, Socket},
};

/// How long to wait when the system has no room for a further connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// The most connections at a time. One comes from each calling replica, so only a mistake or malice makes more; a further
/// one is closed ungreeted, and its owner connects again after a pause.
pub(crate) const MOST_CONNECTIONS: usize = 4096;
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
    service: Arc<dyn Serve>,
    replica: Name,
    limits: Limits,
    /// The most connections at a time.
    room: usize,
    flushed: Arc<FlushBell>,
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    draining: bool,
    closing: bool,
    /// A connection was turned away since there was room last: that is said once.
    full: bool,
    connections: Slab<(Arc<Serving>, Option<JoinHandle<()>>)>,
}

/// Rung by a connection that has sent everything, if somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct FlushBell {
    listeners: AtomicUsize,
    rung: Notify,
}

impl FlushBell {
    /// A connection has nothing more to send, for now.
    pub(crate) fn ring(&self) {
        if self.listeners.load(SeqCst) > 0 {
            self.rung.notify_waiters();
        }
    }

    /// Waits until `holds`, which is asked again whenever a connection has sent everything.
    async fn until(&self, holds: impl Fn() -> bool) {
        struct Listening<'a>(&'a FlushBell);
        impl Drop for Listening<'_> {
            fn drop(&mut self) {
                self.0.listeners.fetch_sub(1, SeqCst);
            }
        }
        self.listeners.fetch_add(1, SeqCst);
        let _listening = Listening(self);
        loop {
            let mut rung = std::pin::pin!(self.rung.notified());
            rung.as_mut().enable();
            if holds() {
                return;
            }
            rung.await;
        }
    }
}

impl Server {
    pub(crate) fn start(
        replica: Name,
        limits: Limits,
        endpoint: &Endpoint,
        service: Arc<dyn Serve>,
        room: usize,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let listening = Listening::bind(endpoint)?;
        let endpoint = listening.endpoint()?;
        let flushed = Arc::default();
        let state = Mutex::default();
        let shared = Arc::new(Shared {
            service,
            replica,
            limits,
            room,
            flushed,
            tally,
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

    /// Refuses new calls as moved, tells the callers, and waits until the calls in flight are answered.
    ///
    /// # Cancellation
    ///
    /// New calls are refused all the same.
    pub async fn drain(&self) {
        {
            let mut state = self.shared.lock();
            state.draining = true;
            for (_, (serving, _)) in &state.connections {
                serving.drain();
            }
        }
        let drained = || {
            let state = self.shared.lock();
            let mut connections = state.connections.iter();
            connections.all(|(_, (serving, _))| serving.is_drained())
        };
        self.shared.flushed.until(drained).await;
    }

    /// Tells all callers which components take calls now, if that is not what they know: see [`Serve::offers`].
    pub fn offer(&self) {
        // The service is asked under the lock, so that of two who ask at a time the later one has the last word.
        let state = self.shared.lock();
        let offered = self.shared.offered();
        for (_, (serving, _)) in &state.connections {
            serving.offer(offered.clone());
        }
    }

    /// Drops the calls of one component that are in flight; their callers are told that the replica was stopped.
    /// That no new ones begin is up to the service, which refuses them as moved.
    pub fn stop_component(&self, component: &Name) {
        let served = self.shared.service.components();
        let index = served.iter().position(|served| served.name == *component);
        if let Some(index) = index {
            for (_, (serving, _)) in &self.shared.lock().connections {
                serving.stop_component(index as u16);
            }
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
            let connections = state.connections.iter_mut();
            connections
                .filter_map(|(_, (serving, task))| {
                    serving.close();
                    task.take()
                })
                .collect()
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
        for (_, (_, task)) in &state.connections {
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listening: Listening) {
        loop {
            match listening.accept().await {
                Ok(socket) => self.take(socket),
                Err(error) => {
                    // Of the process (too many open files) or of one peer; neither ends the server.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(NO_ROOM_PAUSE).await;
                }
            }
        }
    }

    /// Serves an accepted connection in a task of its own.
    fn take(self: &Arc<Self>, socket: Socket) {
        let components = self.service.components();
        let mut state = self.lock();
        let mut end = ServingEnd::new(
            self.replica.clone(),
            components,
            &self.limits,
            Instant::now(),
        );
        if state.closing {
            return;
        }
        let full = state.connections.len() >= self.room;
        if full && !state.full {
            tracing::warn!(
                connections = self.room,
                "no room for further connections: they are closed"
            );
        }
        state.full = full;
        if full {
            self.tally.crowded.up();
            return;
        }
        end.offer(self.offered());
        if state.draining {
            end.drain();
        }
        let serving = Serving::new(end);
        let driver = Driver::new(
            serving.clone(),
            self.service.clone(),
            self.flushed.clone(),
            socket,
        );
        let key = state.connections.insert((serving, None));
        // The task cannot end and look for itself before the lock is free.
        state.connections[key].1 = Some(tokio::spawn(self.clone().serve(key, driver)));
    }

    /// Which components take calls now, in the order of the greeting.
    fn offered(&self) -> Vec<bool> {
        let count = self.service.components().len();
        (0..count)
            .map(|index| self.service.offers(index as u16))
            .collect()
    }

    async fn serve(self: Arc<Self>, key: usize, driver: Driver) {
        match driver.await {
            Ended::Closed => {}
            Ended::Io(error) => tracing::debug!(%error, "a caller's connection broke"),
            Ended::Protocol(error) => {
                self.tally.misbehaved.up();
                tracing::warn!(%error, "a caller broke the protocol");
            }
        }
        self.lock().connections.try_remove(key);
        self.flushed.ring();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
