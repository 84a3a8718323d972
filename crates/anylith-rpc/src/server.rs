//! The serving side of a replica: accepts connections, and drains them.

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
    transport::{Listening, Socket},
};

/// How long to wait when the system has no room for a further connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
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
    gate: Arc<Gate>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    draining: bool,
    closing: bool,
    /// Components that take no new calls.
    refused: Vec<Name>,
    connections: Slab<(Arc<Serving>, Option<JoinHandle<()>>)>,
}

/// Where connections say that they have sent everything, if somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    watchers: AtomicUsize,
    flushed: Notify,
}

impl Gate {
    /// A connection has nothing more to send, for now.
    pub(crate) fn flushed(&self) {
        if self.watchers.load(SeqCst) > 0 {
            self.flushed.notify_waiters();
        }
    }

    /// Waits until `holds`, which is asked again whenever a connection has sent everything.
    async fn until(&self, holds: impl Fn() -> bool) {
        struct Watching<'a>(&'a Gate);
        impl Drop for Watching<'_> {
            fn drop(&mut self) {
                self.0.watchers.fetch_sub(1, SeqCst);
            }
        }
        self.watchers.fetch_add(1, SeqCst);
        let _watching = Watching(self);
        loop {
            let mut flushed = std::pin::pin!(self.flushed.notified());
            flushed.as_mut().enable();
            if holds() {
                return;
            }
            flushed.await;
        }
    }
}

impl Server {
    pub(crate) fn start(
        replica: Name,
        limits: Limits,
        endpoint: &Endpoint,
        service: Arc<dyn Serve>,
    ) -> io::Result<Self> {
        let listening = Listening::bind(endpoint)?;
        let endpoint = listening.endpoint()?;
        let gate = Arc::default();
        let state = Mutex::default();
        let shared = Arc::new(Shared {
            service,
            replica,
            limits,
            gate,
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
        self.shared
            .gate
            .until(|| self.all(|serving| serving.is_drained(None)))
            .await;
    }

    /// Refuses new calls of one component as moved, and waits until those in flight are answered.
    ///
    /// # Cancellation
    ///
    /// New calls of the component are refused all the same.
    pub async fn drain_component(&self, component: &Name) {
        let service = &self.shared.service;
        let served = service.components();
        let Some(index) = served.iter().position(|served| served.name == *component) else {
            return;
        };
        let index = index as u16;
        {
            let mut state = self.shared.lock();
            state.refused.push(component.clone());
            for (_, (serving, _)) in &state.connections {
                serving.refuse(index);
            }
        }
        self.shared
            .gate
            .until(|| self.all(|serving| serving.is_drained(Some(index))))
            .await;
    }

    /// Stops at once: calls in flight are dropped, and their callers told that the replica was stopped.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes what is still open without a word.
    pub async fn close(self) {
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

    fn all(&self, holds: impl Fn(&Serving) -> bool) -> bool {
        self.shared
            .lock()
            .connections
            .iter()
            .all(|(_, (serving, _))| holds(serving))
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
        let index_of = |name: &Name| components.iter().position(|served| served.name == *name);
        let mut state = self.lock();
        let refused: Vec<usize> = state.refused.iter().filter_map(index_of).collect();
        let mut end = ServingEnd::new(
            self.replica.clone(),
            components,
            &self.limits,
            Instant::now(),
        );
        if state.closing {
            return;
        }
        if state.draining {
            end.drain();
        }
        for index in refused {
            end.refuse(index as u16);
        }
        let serving = Serving::new(end);
        let driver = Driver::new(
            serving.clone(),
            self.service.clone(),
            self.gate.clone(),
            socket,
        );
        let key = state.connections.insert((serving, None));
        // The task cannot end and look for itself before the lock is free.
        state.connections[key].1 = Some(tokio::spawn(self.clone().serve(key, driver)));
    }

    async fn serve(self: Arc<Self>, key: usize, driver: Driver) {
        match driver.await {
            Ended::Closed => {}
            Ended::Io(error) => tracing::debug!(%error, "a caller's connection broke"),
            Ended::Protocol(error) => tracing::warn!(%error, "a caller broke the protocol"),
        }
        self.lock().connections.try_remove(key);
        self.gate.flushed();
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
