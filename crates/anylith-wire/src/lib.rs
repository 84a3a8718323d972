//! Frames, encoding and the state machine of a connection: bytes in, bytes out.
//!
//! A connection has two ends, which are driven alike: feed what arrived to `receive` until it has no
//! further event, move what is to be sent with `fill` into a [`Batch`] and write that, say how that goes with `written`
//! and `held_up`, and call `on_timeout` at `next_timeout`. There is no socket and no clock here; `anylith-rpc` has both. The
//! protocol as such is told in `docs/protocol.md`.
//!
//! - [`CallingEnd`] makes calls and [`ServingEnd`] serves them.
//! - [`Readiness`] is whether a component takes calls.
//! - [`Failure`] is how a call ends that has no answer.
//! - [`Identity`] is what a replica proves itself with.
//! - [`control`] holds what replicas and the control plane say to each other.

mod calling;
pub mod control;
mod failure;
pub mod frame;
mod handed;
mod hello;
mod identity;
mod inbox;
mod link;
mod offer;
mod outbox;
mod serving;
mod standing;
mod window;

pub use calling::{CallingEnd, CallingEvent, NewCall};
pub use failure::Failure;
pub use frame::{CallId, ProtocolError};
pub use hello::{Hello, MAX_CALLER_HELLO_BYTES, MAX_HELLO_BYTES, ServedComponent, VERSION};
pub use identity::{Identity, group_uris};
pub use link::{HURRY, IDLE, PATIENCE, QUIET, STALLED};
pub use offer::Readiness;
pub use outbox::{BATCH_SLICES, Batch};
pub use serving::{Request, ServingEnd, ServingEvent};
pub use standing::{
    Discovery, ENV_ADDRESS, IdentityFiles, PeerGroup, StandingOrders, is_replica_of, replica_at,
};
