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

use anylith_core::{BaggageFull, BaggageItem, CallContext, TraceContext};
use anylith_telemetry::TraceId;
use pin_project_lite::pin_project;

use crate::ambient;

/// The context of the call that this code works on; an empty one outside of calls.
pub fn current() -> CallContext {
    ambient::context()
}

/// The name of the trace that this code works for, 32 hexadecimal digits, whether it is sampled or not; `None` outside of calls and
/// requests, and where there are no traces.
///
/// A subscriber of the application's own can write it into its lines; [`JsonLine`](crate::JsonLine) does.
pub fn trace_id() -> Option<TraceId> {
    ambient::trace()
}

/// The context of a request that came to a server of the application's own: of its headers `traceparent` and `tracestate`, as W3C
/// Trace Context has them. What is not one is left out. [`Listener::serve`](crate::Listener::serve) does this by itself.
pub fn of_headers(traceparent: Option<&str>, tracestate: Option<&str>) -> CallContext {
    let trace = traceparent.and_then(|text| text.trim().parse::<TraceContext>().ok());
    let trace = trace.map(|mut trace| {
        if let Some(state) =
            tracestate.filter(|state| !state.is_empty() && state.len() <= MOST_STATE_BYTES)
        {
            trace.state = state.into();
        }
        trace
    });
    CallContext {
        trace,
        ..CallContext::default()
    }
}

/// Longer entries of vendors are left out, as the standard allows.
const MOST_STATE_BYTES: usize = 512;

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
