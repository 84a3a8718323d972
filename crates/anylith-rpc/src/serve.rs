//! What answers the calls that come in.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use anylith_core::CallContext;
use anylith_wire::{Failure, Readiness, ServedComponent};
use bytes::Bytes;
use futures_core::Stream;

/// A stream of encoded items. The first failure is its end.
///
/// Dropping it tells the sender to stop.
pub type Items = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// The future of an answer.
pub type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers the calls that come over the connections of a [`Server`](crate::Server).
pub trait Serve: Send + Sync + 'static {
    /// What is served, asked at each greeting. Positions and methods must never change; a component that
    /// is not ready yet, or no longer, is refused by [`Serve::call`].
    fn components(&self) -> Vec<ServedComponent>;

    /// Whether the component at `index` of [`Serve::components`] takes calls now. Callers are told, and send calls
    /// where they are taken: to one that is ill only where nobody is well. Asked at each greeting, and at
    /// [`Server::offer`](crate::Server::offer).
    fn offers(&self, index: u16) -> Readiness {
        let _ = index;
        Readiness::Well
    }

    /// The epoch of the directory that is known here: who is refused since a component has moved is told, and finds it by a
    /// directory that is no older. 0 if there is none.
    fn epoch(&self) -> u64 {
        0
    }

    /// Begins a call.
    ///
    /// The future is polled once on the connection's own task, at once, and this is what makes quick
    /// answers cheap; if it is pending then, it goes on in a task of its own. So neither this method nor
    /// the first poll may block or compute for long: work that does yields first
    /// (`tokio::task::yield_now`), and so leaves the connection's task.
    ///
    /// # Cancellation
    ///
    /// The future is dropped when the caller gave up, the deadline passed or the connection broke.
    fn call(&self, call: Incoming) -> Answering;
}

/// A call that came in.
pub struct Incoming {
    /// The component's position in [`Serve::components`]; it exists.
    pub component: u16,
    /// The method's index in the component; it exists.
    pub method: u16,
    /// When the call has to be over. The server drops the future then.
    pub deadline: Option<Instant>,
    /// What travelled along.
    pub context: CallContext,
    /// The encoded arguments.
    pub arguments: Bytes,
    /// The items that follow the arguments, if the caller streams.
    pub items: Option<Items>,
    /// How long it waited since it was read from its connection.
    pub waited: Duration,
    /// An empty buffer for the answer; it has room from earlier answers, which saves making some.
    pub buffer: Vec<u8>,
}

/// How a call is answered.
pub enum Answer {
    /// By one encoded message.
    Message(Vec<u8>),
    /// By a stream. It is polled as fast as the caller reads.
    Stream(Items),
    /// Not at all.
    Failed(Failure),
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("component", &self.component)
            .field("method", &self.method)
            .field("deadline", &self.deadline)
            .field("arguments", &self.arguments.len())
            .field("items", &self.items.is_some())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(message) => f.debug_tuple("Message").field(&message.len()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}
