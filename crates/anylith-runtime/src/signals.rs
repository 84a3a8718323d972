//! The signals that ask a process to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, from when they are first listened to: none that comes later is lost, or ends the process.
#[derive(Debug, Default)]
pub(crate) struct Signals(Option<(Signal, Signal)>);

/// Makes a hangup end this process no more.
///
/// A replica is a process group of its own. If it is stopped (by SIGSTOP, or a debugger) in the moment in which its
/// supervisor dies, the system sends it SIGHUP, and it is to outlive its supervisor.
pub(crate) fn outlive_hangups() {
    // Once it was listened to, the signal has no other effect, even if nobody listens any more.
    let _ = signal(SignalKind::hangup());
}

impl Signals {
    /// Leaves the signals alone until [`Signals::listen`].
    pub(crate) fn ignored() -> Self {
        Self::default()
    }

    /// Takes the signals over, if the system lets it.
    pub(crate) fn heard() -> Self {
        let mut signals = Self::default();
        signals.listen();
        signals
    }

    /// Takes the signals over, unless that was done.
    pub(crate) fn listen(&mut self) {
        if self.0.is_none() {
            self.0 = signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
                .ok();
        }
    }

    /// Resolves on the next signal; never where they are left alone.
    pub(crate) async fn next(&mut self) {
        let Some((interrupt, terminate)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
