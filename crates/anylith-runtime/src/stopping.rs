//! Tells a component that it is time to finish.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::watch;

/// A future that resolves when the component is asked to stop.
///
/// It fits where a shut-down signal is expected, such as `axum::serve(..).with_graceful_shutdown(stopping)`.
/// Every clone resolves.
pub struct Stopping {
    signal: watch::Receiver<bool>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Stopping {
    pub(crate) fn new(signal: watch::Receiver<bool>) -> Self {
        Self {
            signal,
            waiting: None,
        }
    }

    /// Whether the component was asked to stop.
    pub fn is_asked(&self) -> bool {
        *self.signal.borrow()
    }
}

impl Clone for Stopping {
    fn clone(&self) -> Self {
        Self::new(self.signal.clone())
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping")
            .field("asked", &self.is_asked())
            .finish()
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut signal = self.signal.clone();
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::pin(async move {
                // Where the sender is gone, so is the replica: that is a reason to stop as well.
                let _ = signal.wait_for(|asked| *asked).await;
            })
        });
        waiting.as_mut().poll(cx)
    }
}
