//! Waiting for a lull before a flush, so that what is about to be sent goes along.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::yield_now,
};

/// Puts a flush off until the tasks that are ready have run, on runtimes where that is needed.
///
/// A current-thread runtime runs tasks in the order in which they were woken: when a driver that was
/// woken by the first of many callers runs, the others have run, too. A multi-thread runtime runs the
/// task that was woken last right away, so a driver would come after every single caller, and write
/// every request by itself, at about four times the cost.
#[derive(Debug)]
pub(crate) struct Lull {
    needed: bool,
    waited: bool,
}

impl Lull {
    /// For a task of the current runtime.
    pub(crate) fn new() -> Self {
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        let needed = !matches!(flavor, Ok(RuntimeFlavor::CurrentThread));
        Self {
            needed,
            waited: false,
        }
    }

    /// Ready if it is time to flush. `company` says whether others may have something to send.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, company: bool) -> Poll<()> {
        if !self.needed || !company || std::mem::take(&mut self.waited) {
            return Poll::Ready(());
        }
        self.waited = true;
        // Its first poll asks the runtime to wake this task once there is nothing else to run.
        pin!(yield_now()).poll(cx)
    }
}
