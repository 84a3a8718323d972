//! What becomes of the spans of this process.

use std::{borrow::Borrow, sync::Arc, time::Instant};

use anylith_core::TraceContext;
use anylith_telemetry::{Detail, Note, Outcome, SpanId, TraceId, Tracer, What, draw, name_of};
use tokio::sync::Notify;

use crate::{ambient, trail::Trail};

/// Notes the spans of this process, and says when there are some to be taken.
#[derive(Debug)]
pub(crate) struct Trails {
    pub(crate) tracer: Tracer,
    /// There is something to take.
    pub(crate) news: Notify,
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

    /// Notes a call that was over before anybody looked at it. `begun` is when it began, if that is known.
    #[cold]
    pub(crate) fn note_at_once(
        &self,
        trail: &mut Trail,
        what: What,
        begun: Option<Instant>,
        (outcome, error): (Outcome, Option<String>),
    ) {
        let Some(step) = ambient::step(trail) else {
            return;
        };
        let now = Instant::now();
        let span = OpenSpan::begin(self, step, what, begun.unwrap_or(now));
        span.end(outcome, now, error);
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

    /// Its place in its trace.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// What else there is to say of it.
    pub(crate) fn detail(&mut self) -> &mut Detail {
        self.detail.get_or_insert_default()
    }

    /// It has ended, at `end`. `error` is what went wrong, for people.
    pub(crate) fn end(mut self, outcome: Outcome, end: Instant, error: Option<String>) {
        if error.is_some() {
            self.detail().error = error;
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
    /// The one that work takes which came from outside of this process with `trace`, or begins one.
    pub(crate) fn arriving(trails: &Trails, trace: &mut Option<TraceContext>) -> Self {
        let trace = trace.get_or_insert_with(|| {
            let root = trails.tracer.begin();
            let trail = Trail::begun(root);
            let trace = trail.own_trace().map_or(1, TraceId::get);
            TraceContext::new(trace, 0, u8::from(root.sampled))
        });
        Self {
            // Another process has made a name that is none.
            trace: TraceId::new(trace.trace_id).unwrap_or_else(|| name_of(draw())),
            id: SpanId::new(draw()).expect("what is drawn is not 0"),
            parent: SpanId::new(trace.span_id),
            sampled: trace.is_sampled(),
        }
    }
}
