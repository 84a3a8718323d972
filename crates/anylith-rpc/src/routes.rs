//! The ways to a component: which connections lead to it, and which one a call takes.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anylith_core::{Fingerprint, Name, Refusal};
use anylith_wire::Failure;
use arc_swap::ArcSwap;
use tokio::time::timeout_at;

use crate::{connection::Connection, network::Shared, peer::Status};

/// So many of 256 choices among several replicas are left to chance.
const EXPLORED_OF_256: u8 = 8;

/// Finds the ways to one component, and keeps them until the network changes.
#[derive(Debug)]
pub(crate) struct Routes {
    network: Arc<Shared>,
    component: Name,
    fingerprint: Fingerprint,
    known: ArcSwap<Known>,
    /// Calls that wait for a way. Over the limit on calls of one connection they are refused.
    waiting: AtomicUsize,
}

/// The ways at one version of the network.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    open: Vec<Route>,
    /// Why replicas of the directory cannot be called.
    obstacles: Vec<Obstacle>,
    /// Where there is no way: when there was last a reason to hope for one, which is that a replica was new in
    /// the directory, or a connection to one was there.
    hoped: Option<Instant>,
}

/// A way to a component.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) connection: Arc<Connection>,
    /// The component's index on this connection.
    pub(crate) component: u16,
}

/// Why a replica cannot be called.
#[derive(Debug)]
enum Obstacle {
    /// It may pass: there is no connection, for this reason.
    Passing(String),
    /// It has another version of the interface, or of the protocol.
    Incompatible(String),
}

impl Routes {
    pub(crate) fn new(network: Arc<Shared>, component: Name, fingerprint: Fingerprint) -> Self {
        let known = ArcSwap::default();
        Self {
            network,
            component,
            fingerprint,
            known,
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn component(&self) -> &Name {
        &self.component
    }

    /// How long calls wait where there is no way.
    pub(crate) fn reach_timeout(&self) -> Duration {
        self.network.limits.reach_timeout()
    }

    /// The better one of two random ways, if there is one now. `avoid` is taken only if it is the only one.
    pub(crate) fn pick(&self, avoid: Option<&Arc<Connection>>) -> Option<Route> {
        let usable = |route: &Route| route.connection.is_open();
        let mut known = self.known.load();
        // A peer that goes away is no change of the network, while it still answers calls.
        let all_gone = || !known.open.is_empty() && !known.open.iter().any(usable);
        if known.version != self.network.version() || all_gone() {
            self.known.store(Arc::new(self.look()));
            known = self.known.load();
        }
        let avoided =
            |route: &Route| avoid.is_some_and(|avoid| Arc::ptr_eq(avoid, &route.connection));
        match known.open.as_slice() {
            [] => None,
            [only] => Some(only).filter(|only| usable(only)).cloned(),
            many => {
                let start = fastrand::usize(..many.len());
                let turned = || many[start..].iter().chain(&many[..start]);
                let mut preferred = turned().filter(|route| usable(route) && !avoided(route));
                let best = match (preferred.next(), preferred.next()) {
                    (Some(first), Some(second)) => {
                        // Neighbours in the list would always be compared with each other; skip some.
                        let skip = fastrand::usize(..many.len() - 1);
                        let second = preferred.nth(skip).unwrap_or(second);
                        // Now and then the load is not asked for, so that a replica that was slow once gets
                        // a chance to show that it no longer is.
                        let better = fastrand::u8(..) >= EXPLORED_OF_256
                            && second.connection.load() < first.connection.load();
                        Some(if better { second } else { first })
                    }
                    (first, _) => first,
                };
                best.or_else(|| turned().find(|route| usable(route)))
                    .cloned()
            }
        }
    }

    /// Waits for a way until `deadline`, and while there is hope: [`Limits::reach_timeout`] from the last reason for
    /// it. So the calls of an outage wait, those in the midst of it fail at once, and a caller with a deadline of
    /// ten seconds is not held up for ten seconds by a callee that is gone.
    ///
    /// [`Limits::reach_timeout`]: anylith_core::Limits::reach_timeout
    pub(crate) async fn wait(
        &self,
        deadline: Option<Instant>,
        avoid: Option<&Arc<Connection>>,
    ) -> Result<Route, Failure> {
        let limit = self.network.limits.calls_per_connection as usize;
        if self.waiting.fetch_add(1, Relaxed) >= limit {
            self.waiting.fetch_sub(1, Relaxed);
            return Err(Failure::NotExecuted(Refusal::Overloaded));
        }
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let _waiting = Waiting(&self.waiting);
        loop {
            let mut changed = pin!(self.network.changed.notified());
            changed.as_mut().enable();
            if let Some(route) = self.pick(avoid) {
                return Ok(route);
            }
            if let Some(detail) = self.incompatible() {
                return Err(Failure::Incompatible(detail));
            }
            let hoped = self.known.load().hoped.unwrap_or_else(Instant::now);
            let until = hoped + self.reach_timeout();
            let until = deadline.map_or(until, |deadline| until.min(deadline));
            let change = poll_fn(|cx| changed.as_mut().poll(cx));
            if timeout_at(until.into(), change).await.is_err() {
                let obstacle = self.obstacle(hoped);
                return Err(Failure::NotExecuted(Refusal::Unreachable(obstacle)));
            }
        }
    }

    /// Looks through the directory and the connections; begins to connect where that was not done yet.
    fn look(&self) -> Known {
        let mut known = Known {
            version: self.network.version(),
            ..Known::default()
        };
        let mut hoped = self.network.unchanged_since(&self.component);
        for address in self.network.directory().replicas(self.component.as_str()) {
            let peer = self.network.peer(address);
            let at = || format!("{} at {}", address.replica, address.endpoint);
            hoped = hoped.max(peer.lost());
            match peer.status() {
                Status::Open(connection) if connection.is_open() => match self.find(&connection) {
                    Ok(component) => match connection.offers(component) {
                        Ok(()) => known.open.push(Route {
                            connection,
                            component,
                        }),
                        Err(since) => {
                            hoped = hoped.max(since);
                            let text = format!("{} takes no calls for {}", at(), self.component);
                            known.obstacles.push(Obstacle::Passing(text));
                        }
                    },
                    Err(obstacle) => known.obstacles.push(obstacle),
                },
                Status::Open(connection) => {
                    hoped = connection.closed().map_or(hoped, |at| at.max(hoped));
                    known
                        .obstacles
                        .push(Obstacle::Passing(format!("{} is draining", at())));
                }
                Status::Opening => {
                    let text = format!("{} did not greet yet", at());
                    known.obstacles.push(Obstacle::Passing(text));
                }
                Status::Failed(why) => {
                    known
                        .obstacles
                        .push(Obstacle::Passing(format!("{}: {why}", at())));
                }
                Status::Incompatible(why) => {
                    known
                        .obstacles
                        .push(Obstacle::Incompatible(format!("{}: {why}", at())));
                }
            }
        }
        known.hoped = known.open.is_empty().then_some(hoped);
        known
    }

    fn find(&self, connection: &Connection) -> Result<u16, Obstacle> {
        let served = connection
            .components()
            .iter()
            .position(|one| one.name == self.component);
        let (peer, component) = (connection.peer(), &self.component);
        let Some(index) = served else {
            return Err(Obstacle::Passing(format!(
                "{peer} does not serve {component}"
            )));
        };
        let (ours, theirs) = (self.fingerprint, connection.components()[index].fingerprint);
        if ours != theirs {
            return Err(Obstacle::Incompatible(format!(
                "the interface {component} has the fingerprint {ours} here and {theirs} in {peer}"
            )));
        }
        Ok(index as u16)
    }

    /// What is wrong, if every replica is incompatible.
    fn incompatible(&self) -> Option<String> {
        let known = self.known.load();
        let text = |obstacle: &Obstacle| match obstacle {
            Obstacle::Incompatible(text) => Some(text.clone()),
            Obstacle::Passing(_) => None,
        };
        let texts: Option<Vec<String>> = known.obstacles.iter().map(text).collect();
        texts
            .filter(|texts| !texts.is_empty())
            .map(|texts| texts.join("; "))
    }

    /// What is in the way of calls, since `hoped`.
    fn obstacle(&self, hoped: Instant) -> String {
        let known = self.known.load();
        let seconds = hoped.elapsed().as_secs_f64();
        if known.obstacles.is_empty() {
            let epoch = self.network.directory().epoch;
            return format!(
                "the directory (epoch {epoch}) has had no replica of {} for {seconds:.1} s",
                self.component
            );
        }
        let texts = known.obstacles.iter().map(|obstacle| match obstacle {
            Obstacle::Incompatible(text) | Obstacle::Passing(text) => text.as_str(),
        });
        let texts = texts.collect::<Vec<_>>().join("; ");
        format!("{texts}; for {seconds:.1} s now")
    }
}
