//! HTTP at a listener, so that nobody loses a request when the replica goes.
//!
//! A connection of HTTP/1 that waits for its next request cannot be closed without a doubt: the request may be on its way, and the client would have to
//! find out by itself that nobody has read it. So a connection is passed on to a replica that stays, through the listener's relay, and its client
//! notices nothing. Where nobody stays, a connection is closed when its client has been told, by `Connection: close` on an answer; only
//! one on which nothing comes for a while is closed without that.

mod guest;
mod line;
mod reception;
mod seats;
mod traced;

use std::{convert::Infallible, error::Error, io};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tower_service::Service;

use self::reception::Reception;
use super::Listener;
use crate::stopping::Stopping;

/// The connections of a process that may have any number of file descriptors.
const MANY: u64 = 1 << 20;

impl Listener {
    /// Serves at most so many connections at a time. For somebody who comes when there are as many, connections are closed that can be
    /// spared: first those that owe a request for a second, then those that are silent for longest between two. While each of them has a request under
    /// way, more of them wait, as they do while no replica is there.
    ///
    /// Where nothing is said it is three quarters of the file descriptors that the process may have (`ulimit -n`), divided by the
    /// listeners that it serves: the others are for calls, files and databases.
    #[must_use]
    pub fn with_connections(mut self, at_most: usize) -> Self {
        self.connections = Some(at_most);
        self
    }

    /// Serves HTTP with `service`, such as an `axum::Router`, until `stopping` resolves and the requests that came are answered.
    ///
    /// From then on no connection is taken in, which leaves it to the other replicas. Those that are open are passed on to
    /// another replica, each when it waits for its next request: its client notices nothing. Where no other replica stays,
    /// because all of the application stops or because nobody watches over this process, every answer says `Connection: close`, so that the client sends its
    /// next request elsewhere, and a connection on which nothing comes for a second is closed.
    ///
    /// Each request is a span: of the trace that its `traceparent` and `tracestate` name (W3C Trace Context), or of a new one. The
    /// calls that its handler makes are caused by it.
    ///
    /// [`Listener::with_connections`] bounds the connections. One that does not bring the head of a request within 30 s of its first byte is
    /// closed, and so is one that is new and says nothing for 30 s, or is idle for 11 minutes between two requests.
    ///
    /// # Cancellation
    ///
    /// All connections are closed at once.
    ///
    /// # Errors
    ///
    /// If the listener cannot be used.
    pub async fn serve<S, B>(&self, service: S, stopping: Stopping) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let relay = self.passage.relay.as_deref();
        let trails = self.trails.clone();
        let mut reception = Reception::new(
            self.name(),
            &self.socket,
            relay,
            self.seats(),
            (service, trails),
        )?;
        reception.admit(stopping).await;
        reception.leave(self.passage.others_stay.clone()).await;
        Ok(())
    }

    /// How many connections it serves at a time.
    fn seats(&self) -> usize {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(MANY);
        let own = files.min(MANY) as usize / 4 * 3 / self.passage.listeners.max(1);
        let seats = self.connections.unwrap_or(own);
        seats.clamp(1, Semaphore::MAX_PERMITS)
    }
}

#[cfg(test)]
mod tests;
