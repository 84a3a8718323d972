//! The timer of a connection, which is set far more often than it goes off.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};

/// The time, as alarms have it: in a test that simulates time, that one.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Goes off at the earliest time that it was set to since it last did.
///
/// It may be too early: one that goes off for nothing is cheaper than one that is set anew for each call. So whoever it
/// wakes looks at what is due, and sets it to what is not.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Pin<Box<Sleep>>,
    /// When it goes off; `None` if it is not set.
    at: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            timer: Box::pin(sleep_until(Instant::now().into())),
            at: None,
        }
    }

    /// Sets it, unless it goes off early enough already.
    pub(crate) fn set(&mut self, next: Option<Instant>) {
        let Some(next) = next else { return };
        if self.at.is_none_or(|at| next < at) {
            self.at = Some(next);
            self.timer.as_mut().reset(next.into());
        }
    }

    /// Ready when it goes off; it is not set any more then. Pending, and wakes nobody, while it is not set.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_none() {
            return Poll::Pending;
        }
        self.timer.as_mut().poll(cx).map(|()| self.at = None)
    }
}
