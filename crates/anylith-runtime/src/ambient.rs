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

use anylith_core::{CallContext, TraceContext};
use anylith_telemetry::{SpanId, TraceId};

use crate::{
    deadline::Deadline,
    guard::{Alarm, catch},
    place::Place,
    stopwatch,
    trail::Trail,
    trails::Step,
};

/// The part that every call replaces. It is small and copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The component whose code runs.
    pub(crate) place: &'static Place,
    /// By when it must be done.
    pub(crate) deadline: Deadline,
    /// Where it stands in a trace.
    pub(crate) trail: Trail,
}

impl Frame {
    /// The frame of the component at `place`, where no call is under way.
    pub(crate) const fn at(place: &'static Place) -> Self {
        Self {
            place,
            deadline: Deadline::NONE,
            trail: Trail::NONE,
        }
    }

    /// The frame of `component`, where no call is under way.
    pub(crate) fn of(component: &'static str) -> Self {
        Self::at(Place::of(component))
    }

    /// The frame of the component at `place`, which is called from this one with a `limit` of its own and stands at `trail`.
    ///
    /// A deadline that only the caller's own code was under begins to count there as well.
    #[inline]
    pub(crate) fn entered(self, place: &'static Place, limit: Deadline, trail: Trail) -> Self {
        Self {
            place,
            deadline: self.deadline.tightened(limit),
            trail,
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

/// The context of the code that asks, at its own place in its trace.
pub(crate) fn context() -> CallContext {
    let (trail, span) = whereabouts();
    let mut context = CONTEXT.with_borrow(Clone::clone);
    if let Some(span) = span {
        let trace = trail.own_trace();
        locate(&mut context, trace, span.get(), trail.is_sampled());
    }
    context
}

/// Where the code that asks stands, and its span, which has a name from now on.
fn whereabouts() -> (Trail, Option<SpanId>) {
    let mut frame = FRAME.get();
    let span = frame.trail.name_span();
    FRAME.set(frame);
    (frame.trail, span)
}

/// The context of a call that takes this `step` away from the code that asks.
pub(crate) fn context_at(step: &Step) -> CallContext {
    let mut context = CONTEXT.with_borrow(Clone::clone);
    locate(&mut context, Some(step.trace), step.id.get(), step.sampled);
    context
}

/// Moves `context` to a span of a trace, the one that it has if there is no other.
fn locate(context: &mut CallContext, trace: Option<TraceId>, span: u64, sampled: bool) {
    match (&mut context.trace, trace) {
        (Some(known), Some(trace)) if known.trace_id == trace.get() => known.span_id = span,
        (Some(known), None) => known.span_id = span,
        (_, Some(trace)) => {
            let flags = u8::from(sampled);
            context.trace = Some(TraceContext::new(trace.get(), span, flags));
        }
        (None, None) => {}
    }
}

/// The step of a call that the code which asks makes, and which stands at `own`.
pub(crate) fn step(own: &mut Trail) -> Option<Step> {
    let (_, parent) = whereabouts();
    Some(Step {
        trace: trace_of(*own)?,
        id: own.name_span()?,
        parent,
        sampled: own.is_sampled(),
    })
}

/// The name of the trace that the code which asks works for, if it does for one.
pub(crate) fn trace() -> Option<TraceId> {
    trace_of(FRAME.get().trail)
}

fn trace_of(trail: Trail) -> Option<TraceId> {
    if trail.is_none() {
        return None;
    }
    let carried = || {
        CONTEXT.with_borrow(|context| {
            let trace = context.trace.as_ref();
            TraceId::new(trace?.trace_id)
        })
    };
    trail.own_trace().or_else(carried)
}

/// Runs `poll` with `context`, which comes back as it was. What it calls is caused by the span that the context names.
pub(crate) fn with_context<T>(context: &mut CallContext, poll: impl FnOnce() -> T) -> T {
    struct Outer(Trail);
    impl Drop for Outer {
        fn drop(&mut self) {
            FRAME.set(Frame {
                trail: self.0,
                ..FRAME.get()
            });
        }
    }
    let outer = FRAME.get();
    let trail = Trail::carried(context.trace.as_ref());
    FRAME.set(Frame { trail, ..outer });
    let _outer = Outer(outer.trail);
    carrying(context, poll)
}

/// Runs `poll` with `context`, which comes back as it was, under a frame that knows where it stands in it.
pub(crate) fn carrying<T>(context: &mut CallContext, poll: impl FnOnce() -> T) -> T {
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
