//! The sockets of all listeners of an application, and what is under way at them.

use std::{collections::BTreeMap, future::pending, io, os::fd::OwnedFd};

use anylith_control::Event;
use anylith_core::Name;
use tokio::task::JoinSet;

use crate::listener_socket::{self, BindError, ListenerSocket};

/// The sockets of the listeners. What takes time at one of them keeps nobody waiting.
#[derive(Debug)]
pub(crate) struct Listeners {
    held: BTreeMap<Name, ListenerSocket>,
    under_way: JoinSet<Outcome>,
}

/// What became of a socket.
#[derive(Debug)]
enum Outcome {
    Bound(Name, Result<ListenerSocket, BindError>),
    /// No connection waits there any more.
    Shut(Name),
}

impl Listeners {
    pub(crate) fn new(held: BTreeMap<Name, ListenerSocket>) -> Self {
        Self {
            held,
            under_way: JoinSet::new(),
        }
    }

    /// Where people find each listener.
    pub(crate) fn urls(&self) -> BTreeMap<Name, String> {
        let held = self.held.iter();
        held.map(|(name, socket)| (name.clone(), listener_socket::url(&socket.socket)))
            .collect()
    }

    /// The sockets of those of `names` that are held, for a replica to inherit.
    pub(crate) fn sockets(
        &self,
        names: impl Iterator<Item = Name>,
    ) -> io::Result<BTreeMap<Name, ListenerSocket>> {
        names
            .filter_map(|name| self.held.get(&name).map(|socket| (name, socket)))
            .map(|(name, socket)| Ok((name, socket.try_clone()?)))
            .collect()
    }

    /// Begins to bind the socket of a listener.
    pub(crate) fn bind(&mut self, listener: Name, address: String) {
        self.under_way.spawn(async move {
            let bound = listener_socket::bind(listener.clone(), address).await;
            Outcome::Bound(listener, bound)
        });
    }

    /// Takes the sockets that a replica brought; returns whether they were missing and the first is one that listens.
    pub(crate) fn take_over(&mut self, listener: &Name, sockets: Vec<OwnedFd>) -> bool {
        if self.held.contains_key(listener) {
            return false;
        }
        let taken = listener_socket::take_over(sockets);
        taken
            .map(|socket| self.held.insert(listener.clone(), socket))
            .is_ok()
    }

    /// Lets no new connection come to a listener, and begins to wait until none waits there any more. Returns what
    /// follows if there is nothing to wait for.
    pub(crate) fn shut(&mut self, listener: Name) -> Option<Event> {
        let shut = self.held.get(&listener).map(listener_socket::shut);
        let Some(Ok(taken_in)) = shut else {
            return Some(Event::ListenerShut { listener });
        };
        self.under_way.spawn(async move {
            taken_in.await;
            Outcome::Shut(listener)
        });
        None
    }

    /// The next thing that happens to a socket; never, if nothing is under way.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(outcome)) => return self.settle(outcome),
                // What panicked would have been a mistake of ours, and stops nothing else.
                Some(Err(_)) => {}
                None => pending().await,
            }
        }
    }

    fn settle(&mut self, outcome: Outcome) -> Event {
        match outcome {
            Outcome::Shut(listener) => Event::ListenerShut { listener },
            Outcome::Bound(listener, Ok(socket)) => {
                // A replica that was late may have brought it meanwhile, and is served at that one.
                self.held.entry(listener.clone()).or_insert(socket);
                Event::ListenerHeld { listener }
            }
            Outcome::Bound(listener, Err(_)) if self.held.contains_key(&listener) => {
                Event::ListenerHeld { listener }
            }
            Outcome::Bound(listener, Err(error)) => Event::ListenerFailed {
                listener,
                error: error.to_string(),
            },
        }
    }

    /// Closes all of them.
    pub(crate) fn close(&mut self) {
        self.held.clear();
    }
}
