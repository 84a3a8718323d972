//! What becomes of the spans of this process.

use std::{
    borrow::Borrow,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anylith_core::TraceContext;
use anylith_telemetry::{
    Detail, Note, Outcome, SpanId, TraceId, Tracer, What, bounded, draw, name_of,
};
use tokio::sync::Notify;

use crate::{ambient, trail::Trail};

/// Notes the spans of this process, and says when there are some to be taken.
#[derive(Debug)]
pub(crate) struct Trails {
    pub(crate) tracer: Tracer,
    /// There is something to take.
    pub(crate) news: Notify,
}

/// One moment on both clocks: the second in nanoseconds of Unix time.
///
/// A thread may have to pause between the two looks. Of several tries that one counts in which it did least.
pub(crate) fn clocks() -> (Instant, u64) {
    const TRIES: usize = 8;
    const GOOD: Duration = Duration::from_micros(5);
    let mut best: Option<(Duration, Instant, SystemTime)> = None;
    for _ in 0..TRIES {
        let before = Instant::now();
        let wall = SystemTime::now();
        let apart = before.elapsed();
        if best.is_none_or(|(least, ..)| apart < least) {
            best = Some((apart, before + apart / 2, wall));
        }
        if apart < GOOD {
            break;
        }
    }
    let (_, now, wall) = best.expect("it was tried");
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    (now, u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX))
}

/// A span, by its place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) sampled: bool,
}

impl Trails {
    pub(crate) fn new(tracer: Tracer) -> Arc<Self> {
        let news = Notify::new();
        Arc::new(Self { tracer, news })
    }

    /// Where a call stands that is made from `outer`.
    #[inline]
    pub(crate) fn below(&self, outer: Trail) -> Trail {
        match outer.is_none() {
            true => Trail::begun(self.tracer.begin()),
            false => outer.below(),
        }
    }

    /// Whether anybody takes what is noted: a process that runs by itself has nobody who does.
    pub(crate) fn are_collected(&self) -> bool {
        self.tracer.is_collected()
    }

    /// Others have found that these traces are worth keeping.
    pub(crate) fn want(&self, traces: &[TraceId]) {
        if self.tracer.want(traces, Instant::now()) {
            self.news.notify_one();
        }
    }

    pub(crate) fn note(&self, note: Note) {
        if self.tracer.note(note) {
            self.news.notify_one();
        }
    }

    /// Notes a call that was over before anybody looked at it. `begun` is when it began, if that is known; `error` says what went
    /// wrong.
    #[cold]
    pub(crate) fn note_at_once(
        &self,
        trail: &mut Trail,
        what: What,
        begun: Option<Instant>,
        (outcome, error): (Outcome, impl FnOnce() -> Option<String>),
    ) {
        if !self.are_collected() {
            return;
        }
        let Some(step) = ambient::step(trail) else {
            return;
        };
        let now = Instant::now();
        let span = OpenSpan::begin(self, step, what, begun.unwrap_or(now));
        span.end(outcome, now, error());
    }
}

/// A call, or a request, that is under way. To drop it means that its caller has given it up.
#[derive(Debug)]
pub(crate) struct OpenSpan<T: Borrow<Trails>> {
    trails: T,
    step: Step,
    what: What,
    begun: Instant,
    is_open: bool,
    detail: Option<Box<Detail>>,
}

impl<T: Borrow<Trails>> OpenSpan<T> {
    /// One that has begun at `begun`.
    pub(crate) fn begin(trails: T, step: Step, what: What, begun: Instant) -> Self {
        Self {
            trails,
            step,
            what,
            begun,
            is_open: true,
            detail: None,
        }
    }

    /// What else there is to say of it.
    pub(crate) fn detail(&mut self) -> &mut Detail {
        self.detail.get_or_insert_default()
    }

    /// It has ended, at `end`. `error` is what went wrong, for people.
    pub(crate) fn end(mut self, outcome: Outcome, end: Instant, error: Option<String>) {
        if let Some(error) = error {
            self.detail().error = Some(bounded(&error));
        }
        self.close(outcome, end);
    }

    fn close(&mut self, outcome: Outcome, end: Instant) {
        self.is_open = false;
        let (step, begun) = (self.step, self.begun);
        let trails: &Trails = self.trails.borrow();
        trails.note(Note {
            trace: step.trace,
            id: step.id,
            parent: step.parent,
            sampled: step.sampled,
            what: self.what,
            begun,
            took: end.saturating_duration_since(begun),
            outcome,
            detail: self.detail.take(),
        });
    }
}

impl<T: Borrow<Trails>> Drop for OpenSpan<T> {
    fn drop(&mut self) {
        if self.is_open {
            self.close(Outcome::Cancelled, Instant::now());
        }
    }
}

impl Step {
    /// The one that work takes which came from outside of this process with `trace`, or begins one. `trace` names it then.
    pub(crate) fn arriving(trails: &Trails, trace: &mut Option<TraceContext>) -> Self {
        let trace = trace.get_or_insert_with(|| {
            let root = trails.tracer.begin();
            let id = name_of(root.drawn).get();
            TraceContext::new(id, 0, u8::from(root.sampled))
        });
        let id = SpanId::new(draw()).expect("what is drawn is not 0");
        Self {
            // Another process has made a name that is none.
            trace: TraceId::new(trace.trace_id).unwrap_or_else(|| name_of(draw())),
            id,
            parent: SpanId::new(std::mem::replace(&mut trace.span_id, id.get())),
            sampled: trace.is_sampled(),
        }
    }
}
