//! Local and remote are the same call: every promise of that contract, kept in every topology.
//!
//! Each module is a theme: an application of a few components made for it, and then the promises by name. A test runs
//! as `theme::promise::direct`, `::wire` and `::processes`; those of `arguments` over TCP as well. Where a promise means
//! nothing in a topology (there is no connection to cut between components of one process), the test asserts what holds
//! there instead.
//!
//! Nothing sleeps for luck: tests wait for what was noted in a [`journal`], or let time pass that a promise is about.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::too_many_arguments,
    reason = "the components of a test are nobody's interface"
)]

mod arguments;
mod cancellation;
mod concurrency;
mod context;
mod counted;
mod deadlines;
mod delivery;
mod errors;
mod health;
mod hops;
mod interfaces;
mod journal;
mod lifecycle;
mod limits;
mod panics;
mod routed;
mod singleton;
mod streams;

use std::{future::poll_fn, pin::Pin, task::Poll};

/// Polls `future` once: whether it has to wait.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
