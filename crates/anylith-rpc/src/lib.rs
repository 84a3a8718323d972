//! Drives the wire protocol over real transports: connections, balancing, retries.
//!
//! A replica has one [`Network`]. Through it the replica serves its own components ([`Network::serve`],
//! [`Serve`]) and calls those of others ([`Network::callee`], [`Callee::call`]). Which replicas there are
//! is what the last [`Network::update`] said.
//!
//! One connection leads from a calling to a serving replica, and carries all calls between them.
//! `docs/protocol.md` says what goes over it.

mod alarm;
mod balancer;
mod budget;
mod callee;
mod connection;
#[doc(hidden)]
pub mod defect;
mod flush_bell;
mod lull;
mod network;
mod news;
pub mod panic;
mod pauses;
mod peer;
mod policy;
mod reminder;
mod retry;
mod ring;
mod routes;
mod serve;
mod server;
mod serving;
mod tally;
mod tls;
mod transport;
mod trust;

pub use anylith_wire::{Failure, Identity, Readiness, ServedComponent};
pub use callee::{Arguments, Callee, Lead, Repeat, Reply, Request};
pub use network::Network;
pub use pauses::Pauses;
pub use policy::Policy;
pub use reminder::Reminder;
pub use serve::{Answer, Answering, Incoming, Items, Serve};
pub use server::Server;
pub use tls::{IdentityError, IdentityPart, examine};
pub use trust::Membership;
