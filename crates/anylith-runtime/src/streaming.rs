//! Streams that cross a component's border.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::interface::CallResult;

/// A stream of results, as it comes out of a client or into an implementation.
///
/// Dropping it tells the other side to stop.
pub struct Streaming<T, E>(Pin<Box<dyn Stream<Item = Result<T, E>> + Send>>);

/// The [`Streaming`] whose item is the result `R`.
pub type StreamingOf<R> = Streaming<<R as CallResult>::Value, <R as CallResult>::Error>;

impl<T, E> Streaming<T, E> {
    /// Takes any stream of results.
    pub fn new(stream: impl Stream<Item = Result<T, E>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// The next item, or `None` at the end.
    ///
    /// # Cancellation
    ///
    /// No item is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<T, E>> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }
}

impl<T, E> Stream for Streaming<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T, E> fmt::Debug for Streaming<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streaming")
    }
}
