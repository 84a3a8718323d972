//! What surrounds the code of a component while it is polled: which component it is, by when it must be
//! done, and the context that its own calls pass on.
//!
//! It is kept in the thread for the length of one poll and put back after it, so a future carries its
//! surroundings wherever the executor moves it, and reading them takes no lock.

use std::{
    cell::{Cell, RefCell},
    task::Context,
    time::Instant,
};

use anylith_core::CallContext;

use crate::{
    deadline::Deadline,
    guard::{Alarm, catch},
    place::Place,
    stopwatch,
};

/// The part that every call replaces. It is small and copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The component whose code runs.
    pub(crate) place: &'static Place,
    /// By when it must be done.
    pub(crate) deadline: Deadline,
}

impl Frame {
    /// The frame of the component at `place`, where no call is under way.
    pub(crate) const fn at(place: &'static Place) -> Self {
        Self {
            place,
            deadline: Deadline::NONE,
        }
    }

    /// The frame of `component`, where no call is under way.
    pub(crate) fn of(component: &'static str) -> Self {
        Self::at(Place::of(component))
    }

    /// The frame of the component at `place`, which is called from this one with a `limit` of its own.
    ///
    /// A deadline that only the caller's own code was under begins to count there as well.
    #[inline]
    pub(crate) fn entered(self, place: &'static Place, limit: Deadline) -> Self {
        Self {
            place,
            deadline: self.deadline.tightened(limit),
        }
    }
}

thread_local! {
    static FRAME: Cell<Frame> = const { Cell::new(Frame::at(Place::outside())) };
    static CONTEXT: RefCell<CallContext> = RefCell::default();
}

/// The frame of the code that asks.
#[inline]
pub(crate) fn frame() -> Frame {
    FRAME.get()
}

/// Runs `poll` under `frame`, and keeps in `frame` what became of it. A panic ends there: what it said
/// comes back.
#[inline]
pub(crate) fn under<T>(frame: &mut Frame, poll: impl FnOnce() -> T) -> Result<T, String> {
    let outer = FRAME.replace(*frame);
    let polled = stopwatch::timing(outer.place, frame.place, || catch(poll));
    *frame = FRAME.replace(outer);
    polled
}

/// Fixes the deadline of a call that has a `limit` of its own and leaves the process now.
pub(crate) fn settle(limit: Deadline, now: Instant) -> Option<Instant> {
    let mut frame = FRAME.get();
    frame.deadline.settle(now);
    FRAME.set(frame);
    frame.deadline.tightened(limit).settle(now)
}

/// Fixes the deadline of the code that asks, and returns it.
pub(crate) fn settle_own(now: Instant) -> Option<Instant> {
    let mut frame = FRAME.get();
    let deadline = frame.deadline.settle(now);
    FRAME.set(frame);
    deadline
}

/// The context of the code that asks.
pub(crate) fn context() -> CallContext {
    CONTEXT.with_borrow(Clone::clone)
}

/// Runs `poll` with `context`, which comes back as it was.
pub(crate) fn with_context<T>(context: &mut CallContext, poll: impl FnOnce() -> T) -> T {
    struct Swapped<'a>(&'a mut CallContext);
    impl Drop for Swapped<'_> {
        fn drop(&mut self) {
            CONTEXT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    CONTEXT.with_borrow_mut(|current| std::mem::swap(current, context));
    let _swapped = Swapped(context);
    poll()
}

/// Whether the time of `frame`, whose poll has to wait, is over. The code that asks is its caller.
pub(crate) fn is_over(alarm: &mut Alarm, frame: &mut Frame, cx: &mut Context<'_>) -> bool {
    let mut outer = FRAME.get();
    let over = alarm.is_over(&mut frame.deadline, &mut outer.deadline, cx);
    FRAME.set(outer);
    over
}
