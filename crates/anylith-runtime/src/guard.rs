//! The border of a component: what keeps a panic inside, and a call within its time.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Instant,
};

use anylith_wire::control::Outcomes;
use tokio::time::Sleep;

use crate::deadline::Deadline;

thread_local! {
    /// A panic of this thread was logged, and not caught yet.
    static LOGGED: Cell<bool> = const { Cell::new(false) };
}

/// How many panics were caught in this process.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// How many calls of this process were not answered in time.
static LATE: AtomicU64 = AtomicU64::new(0);

/// How many calls of others, and requests of listeners, this process has answered; and how many of these with a failure.
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Counts the answer to a call of another process, or to a request of a listener.
pub(crate) fn count_answer(failed: bool) {
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    if failed {
        FAILED.fetch_add(1, Ordering::Relaxed);
    }
}

/// How the calls ended that this process has answered.
pub(crate) fn outcomes() -> Outcomes {
    // In this order, so that never more have failed than were answered.
    let failed = FAILED.load(Ordering::Relaxed);
    let answered = ANSWERED.load(Ordering::Relaxed);
    Outcomes { answered, failed }
}

/// How many calls that this process made were not answered in time.
pub(crate) fn late() -> u64 {
    LATE.load(Ordering::Relaxed)
}

/// Counts a call that was not answered in time.
pub(crate) fn count_late() {
    LATE.fetch_add(1, Ordering::Relaxed);
}

/// How many panics of components were caught in this process.
pub(crate) fn panics() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// Says that the panic which begins on this thread is in the log, so that [`catch`] does not log it again.
pub(crate) fn panic_is_logged() {
    LOGGED.set(true);
}

/// Runs `work`, and returns what a panic said. It is logged.
///
/// The state that `work` leaves behind is not looked at again by the caller, but an implementation's own state
/// may be: a component guards what it shares as any other threaded code does.
#[inline]
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = anylith_rpc::panic::said(&*panic);
        CAUGHT.fetch_add(1, Ordering::Relaxed);
        if !LOGGED.take() {
            // Under the frame of the component that panicked, whose name the log line takes from it.
            tracing::error!(target: "anylith", "the component panicked: {said}");
        }
        said
    })
}

/// Wakes a call when its time is over. Nothing is set up before the call has to wait.
#[derive(Debug, Default)]
pub(crate) struct Alarm(State);

#[derive(Debug, Default)]
enum State {
    /// The call has not had to wait.
    #[default]
    Idle,
    /// Somebody further out watches the same instant, or there is none.
    Unneeded,
    Set(Pin<Box<Sleep>>),
}

impl Alarm {
    /// Called after a poll that has to wait: whether the time of `own` is over. `outer` is the deadline of the
    /// caller, which watches over it.
    pub(crate) fn is_over(
        &mut self,
        own: &mut Deadline,
        outer: &mut Deadline,
        cx: &mut Context<'_>,
    ) -> bool {
        if let State::Idle = self.0 {
            let now = Instant::now();
            let outer = outer.settle(now);
            self.0 = match own.settle(now) {
                Some(at) if Some(at) != outer => {
                    State::Set(Box::pin(tokio::time::sleep_until(at.into())))
                }
                _ => State::Unneeded,
            };
        }
        match &mut self.0 {
            State::Set(sleep) => matches!(sleep.as_mut().poll(cx), Poll::Ready(())),
            State::Idle | State::Unneeded => false,
        }
    }
}
