//! Several hosts on one machine, for tests: network namespaces on a bridge of their own.
//!
//! [`Lan::new`] makes them, or says why this machine does not permit it. What was made is gone when the [`Lan`] is
//! dropped, also by a panic, and nothing outside of the namespaces is ever changed: no interface, address, route,
//! table or setting of the machine itself. What a test that was killed has left is taken away by the next one.
//!
//! The hosts share the machine's disk and processes; only their networks are apart. A program runs on one of them by
//! [`Host::command`], and code of the test by [`Host::enter`].

mod lan;

pub use lan::{Host, Lan, NotPermitted};
