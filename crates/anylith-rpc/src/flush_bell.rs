//! Tells who drains a server when its connections have sent everything.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// Rung by a connection that has sent everything, if somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct FlushBell {
    listeners: AtomicUsize,
    rung: Notify,
}

impl FlushBell {
    /// A connection has nothing more to send, for now.
    pub(crate) fn ring(&self) {
        if self.listeners.load(SeqCst) > 0 {
            self.rung.notify_waiters();
        }
    }

    /// Waits until `holds`, which is asked again whenever a connection has sent everything.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        struct Listening<'a>(&'a FlushBell);
        impl Drop for Listening<'_> {
            fn drop(&mut self) {
                self.0.listeners.fetch_sub(1, SeqCst);
            }
        }
        self.listeners.fetch_add(1, SeqCst);
        let _listening = Listening(self);
        loop {
            let mut rung = std::pin::pin!(self.rung.notified());
            rung.as_mut().enable();
            if holds() {
                return;
            }
            rung.await;
        }
    }
}
