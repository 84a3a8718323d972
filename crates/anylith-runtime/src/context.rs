//! The context of a call, for the application: its deadline, its trace and its baggage.
//!
//! It follows a call through every component, local or remote. A task that is spawned begins without one;
//! hand it over with [`scope`].
//!
//! ```ignore
//! let context = anylith::context::current();
//! tokio::spawn(anylith::context::scope(context, async move { cart.empty(&user).await }));
//! ```

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use anylith_core::{BaggageFull, BaggageItem, CallContext};
use pin_project_lite::pin_project;

use crate::ambient;

/// The context of the call that this code works on; an empty one outside of calls.
pub fn current() -> CallContext {
    ambient::context()
}

/// By when the call that this code works on must be done; `None` outside of calls.
pub fn deadline() -> Option<Instant> {
    ambient::settle_own(Instant::now())
}

/// The baggage item of type `T` that came with the call, if there is one.
pub fn baggage<T: BaggageItem>() -> Option<T> {
    ambient::context().baggage.get()
}

/// Runs `future` with `item` in its baggage.
///
/// # Errors
///
/// [`BaggageFull`] if the item does not fit.
pub fn with_baggage<T: BaggageItem, F: Future>(
    item: &T,
    future: F,
) -> Result<Scope<F>, BaggageFull> {
    let mut context = current();
    context.baggage = context.baggage.with(item)?;
    Ok(scope(context, future))
}

/// Runs `future` with `context`: where calls enter the application, and for tasks that are spawned.
pub fn scope<F: Future>(context: CallContext, future: F) -> Scope<F> {
    Scope { future, context }
}

pin_project! {
    /// A future with a context of its own. Made by [`scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scope<F> {
        #[pin]
        future: F,
        context: CallContext,
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        ambient::with_context(this.context, || this.future.poll(cx))
    }
}
