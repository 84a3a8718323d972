//! A call within the process: no encoding, no task switch, no lock, no look at the clock unless it waits.

use std::{
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use anylith_core::{Allowance, CallError};
use anylith_telemetry::{Lane, Outcome, Recorder, SpanKind, Way};
use futures_core::Stream;

use crate::{
    ambient::{self, Frame},
    edge::{Counts, EdgeState, Local, lane},
    gate::Permit,
    guard::Alarm,
    interface::{CallResult, Travels},
    serve::BoxFuture,
    streaming::{Streaming, StreamingOf},
    trails::{OpenSpan, Trails},
    underway::Underway,
    variants::variants,
};

/// A call to an implementation in this process, about to be made.
#[derive(Debug)]
pub struct LocalCall<'a, O: ?Sized> {
    pub(crate) edge: &'a Arc<EdgeState<O>>,
    pub(crate) here: Here<'a, O>,
    pub(crate) method: u16,
    /// Whether it counts as under way from its beginning, and not only once it waits.
    pub(crate) counted: bool,
}

/// The implementation that a local call goes to.
#[derive(Debug)]
pub(crate) enum Here<'a, O: ?Sized> {
    /// The one that the edge was made with, and holds.
    First(&'a Local<O>),
    /// One that has come since.
    Later(Arc<Local<O>>),
}

impl<O: ?Sized> Deref for Here<'_, O> {
    type Target = Local<O>;

    #[inline]
    fn deref(&self) -> &Local<O> {
        match self {
            Self::First(local) => local,
            Self::Later(local) => local,
        }
    }
}

impl<O: ?Sized + Send + Sync + 'static> LocalCall<'_, O> {
    /// The implementation.
    #[inline]
    pub fn object(&self) -> &O {
        &self.here.object
    }

    /// Waits for `future`, which is the implementation's method, as a component's border demands.
    pub(crate) fn run<'c, R: CallResult<Error: Travels + From<CallError>>>(
        &'c self,
        future: BoxFuture<'c, R>,
    ) -> LocalFuture<'c, R, O> {
        if self.counted {
            return self.run_counted(future);
        }
        LocalFuture {
            future,
            edge: self.edge,
            here: &self.here,
            method: self.method,
            waiting: None,
        }
    }

    /// The same, for a call that is counted from its beginning.
    #[cold]
    fn run_counted<'c, R: CallResult<Error: Travels + From<CallError>>>(
        &'c self,
        future: BoxFuture<'c, R>,
    ) -> LocalFuture<'c, R, O> {
        let mut call = LocalFuture {
            future,
            edge: self.edge,
            here: &self.here,
            method: self.method,
            waiting: None,
        };
        let frame = call.frame();
        let waiting = Waiting::begin(self.edge, &self.here, self.method, (frame, None));
        call.waiting = Some(waiting);
        call
    }

    /// The same for a method that returns a stream.
    pub(crate) async fn run_streaming<'c, R, E>(
        &'c self,
        future: BoxFuture<'c, Result<StreamingOf<R>, E>>,
    ) -> Result<StreamingOf<R>, E>
    where
        R: CallResult<Error: From<CallError>>,
        E: Travels + From<CallError>,
    {
        let mut call = self.run(future);
        let items = (&mut call).await?;
        let flow = self.edge.lane(self.method, Way::Local);
        let flow = flow.map(|lane| {
            lane.enter();
            Flow {
                counts: Counts(Arc::clone(self.edge)),
                method: self.method,
            }
        });
        Ok(Streaming::new(LocalStream::<R, O> {
            items: Some(items),
            edge: Arc::clone(self.edge),
            method: self.method,
            frame: call.frame(),
            alarm: Alarm::default(),
            inside: self.edge.stay(&self.here, self.method),
            _flow: flow,
        }))
    }
}

/// The future of a [`LocalCall`]. Dropping it drops the callee's future.
pub struct LocalFuture<'c, R, O: ?Sized> {
    future: BoxFuture<'c, R>,
    edge: &'c Arc<EdgeState<O>>,
    here: &'c Local<O>,
    method: u16,
    /// Filled when the call first has to wait, or is counted: one that is answered at once carries none of it around.
    waiting: Option<Waiting<'c>>,
}

/// What a call keeps from one poll to the next.
struct Waiting<'c> {
    /// `None` where it is not counted, and once it was.
    underway: Option<Underway<&'c Recorder>>,
    /// `None` where there are no traces, and once it is over.
    span: Option<OpenSpan<&'c Trails>>,
    frame: Frame,
    alarm: Alarm,
    /// Keeps the component from being stopped, and counts as a call under way. A call that is answered at once need do
    /// neither.
    inside: Option<Permit>,
}

impl<'c> Waiting<'c> {
    /// A call of `method` that waits. `begun` is when it began, if that is known.
    fn begin<O: ?Sized>(
        edge: &'c EdgeState<O>,
        here: &Local<O>,
        method: u16,
        (mut frame, begun): (Frame, Option<Instant>),
    ) -> Self {
        let underway = Underway::begin(edge.recorder(), lane(method, Way::Local), begun);
        let span = edge.trails().and_then(|trails| {
            let step = ambient::step(&mut frame.trail)?;
            // The clock was looked at already, where calls are timed.
            let begun = begun.or(underway.as_ref().and_then(Underway::begun));
            let begun = begun.unwrap_or_else(Instant::now);
            let what = edge.what(method, SpanKind::Local);
            Some(OpenSpan::begin(trails, step, what, begun))
        });
        Self {
            underway,
            span,
            frame,
            alarm: Alarm::default(),
            inside: edge.stay(here, method),
        }
    }
}

impl<'c, R: CallResult<Error: Travels + From<CallError>>, O: ?Sized> LocalFuture<'c, R, O> {
    /// The surroundings of the callee's next poll.
    #[inline]
    fn frame(&self) -> Frame {
        match &self.waiting {
            Some(waiting) => waiting.frame,
            None => {
                let outer = ambient::frame();
                let limit = self.edge.limit(self.method);
                outer.entered(self.edge.place(), limit, self.edge.trail(outer.trail))
            }
        }
    }

    /// Keeps `frame` for the next poll, unless the time is over, or the component's own. Where it has to wait for the first
    /// time, `begun` is when it began, if that is known.
    #[cold]
    fn wait(&mut self, frame: Frame, begun: Option<Instant>, cx: &mut Context<'_>) -> Poll<R> {
        let (edge, here, method): (&'c EdgeState<O>, _, _) = (self.edge, self.here, self.method);
        let waiting = self
            .waiting
            .get_or_insert_with(|| Waiting::begin(edge, here, method, (frame, begun)));
        waiting.frame = Frame {
            // Its span may just have been named.
            trail: waiting.frame.trail,
            ..frame
        };
        if waiting.inside.as_mut().is_some_and(|it| it.poll_void(cx)) {
            return self.fail(self.edge.stopped(self.method));
        }
        if !ambient::is_over(&mut waiting.alarm, &mut waiting.frame, cx) {
            return Poll::Pending;
        }
        // Over the time of a caller the caller itself watches.
        let allowance = self.edge.limit(self.method).length().map(Allowance::OfEdge);
        self.fail(self.edge.late(self.method, allowance))
    }

    #[cold]
    fn fail(&mut self, failure: CallError) -> Poll<R> {
        let outcome = Outcome::of(Some(failure.execution()), false);
        self.ended(outcome, || Some(failure.to_string()));
        Poll::Ready(R::from_result(Err(failure.into())))
    }

    /// Counts the end of a call that had to wait.
    fn ended(&mut self, outcome: Outcome, error: impl FnOnce() -> Option<String>) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let (underway, span) = (waiting.underway.take(), waiting.span.take());
        let is_timed = underway.as_ref().is_some_and(|it| it.begun().is_some());
        let over = (is_timed || span.is_some()).then(Instant::now);
        if let Some(underway) = underway {
            underway.end(outcome, over);
        }
        if let Some((span, over)) = span.zip(over) {
            span.end(outcome, over, error());
        }
    }

    /// Notes a call that was ready at once, and is worth it.
    #[cold]
    fn note(&self, mut frame: Frame, begun: Option<Instant>, end: (Outcome, Option<String>)) {
        if let Some(trails) = self.edge.trails() {
            let what = self.edge.what(self.method, SpanKind::Local);
            trails.note_at_once(&mut frame.trail, what, begun, end);
        }
    }

    /// Polls a call again that had to wait.
    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<R> {
        let mut frame = self.frame();
        let future = &mut self.future;
        let mut polled = Poll::Pending;
        if let Err(message) = ambient::under(&mut frame, || polled = future.as_mut().poll(cx)) {
            return self.fail(self.edge.panicked(self.method, message));
        }
        let Poll::Ready(answer) = polled else {
            return self.wait(frame, None, cx);
        };
        let outcome = Outcome::of(None, answer.is_error());
        self.ended(outcome, || answer.error().and_then(variants));
        Poll::Ready(answer)
    }
}

impl<R, O> Future for LocalFuture<'_, R, O>
where
    R: CallResult<Error: Travels + From<CallError>>,
    O: ?Sized + Send + Sync + 'static,
{
    type Output = R;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        if this.waiting.is_some() {
            return this.poll_again(cx);
        }
        let edge = this.edge;
        let lane = edge.lane(this.method, Way::Local);
        let is_due = lane.is_some_and(Lane::is_due);
        let mut frame = this.frame();
        let begun = (is_due | frame.trail.is_sampled()).then(Instant::now);
        let future = &mut this.future;
        // The answer is written where it stays: to move it out through `under` costs more than all else here.
        let mut polled = Poll::Pending;
        if let Err(message) = ambient::under(&mut frame, || polled = future.as_mut().poll(cx)) {
            let failure = edge.panicked(this.method, message);
            let outcome = Outcome::of(Some(failure.execution()), false);
            if let Some(lane) = lane {
                let begun = begun.filter(|_| is_due);
                lane.at_once(outcome, begun.map(|begun| begun.elapsed()));
            }
            this.note(frame, begun, (outcome, Some(failure.to_string())));
            return Poll::Ready(R::from_result(Err(failure.into())));
        }
        let Poll::Ready(answer) = &polled else {
            return this.wait(frame, begun, cx);
        };
        let outcome = Outcome::of(None, answer.is_error());
        if let Some(lane) = lane {
            let begun = begun.filter(|_| is_due);
            lane.at_once(outcome, begun.map(|begun| begun.elapsed()));
        }
        if outcome != Outcome::Answered || frame.trail.is_noticed() {
            let error = answer.error().and_then(variants);
            this.note(frame, begun, (outcome, error));
        }
        polled
    }
}

/// A stream that a local call returned. It is in flight until this is dropped.
struct Flow<O: ?Sized> {
    counts: Counts<O>,
    method: u16,
}

impl<O: ?Sized> Drop for Flow<O> {
    fn drop(&mut self) {
        if let Some(lane) = self.counts.0.lane(self.method, Way::Local) {
            lane.depart();
        }
    }
}

/// The stream that a local call returned, within the callee's border.
struct LocalStream<R: CallResult, O: ?Sized> {
    /// `None` once it is over.
    items: Option<StreamingOf<R>>,
    edge: Arc<EdgeState<O>>,
    method: u16,
    frame: Frame,
    alarm: Alarm,
    /// Keeps the component from being stopped; given up at the end.
    inside: Option<Permit>,
    _flow: Option<Flow<O>>,
}

impl<R, O> Stream for LocalStream<R, O>
where
    R: CallResult<Error: From<CallError>>,
    O: ?Sized + Send + Sync + 'static,
{
    type Item = Result<R::Value, R::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(items) = &mut this.items else {
            return Poll::Ready(None);
        };
        if this.inside.as_ref().is_some_and(Permit::is_void) {
            (this.items, this.inside) = (None, None);
            return Poll::Ready(Some(Err(this.edge.stopped(this.method).into())));
        }
        let polled = ambient::under(&mut this.frame, || Pin::new(items).poll_next(cx));
        let failure = match polled {
            Ok(Poll::Pending) if this.inside.as_mut().is_some_and(|it| it.poll_void(cx)) => {
                this.edge.stopped(this.method)
            }
            Ok(Poll::Ready(Some(item))) => return Poll::Ready(Some(item)),
            Ok(Poll::Ready(None)) => {
                (this.items, this.inside) = (None, None);
                return Poll::Ready(None);
            }
            Ok(Poll::Pending) => {
                if !ambient::is_over(&mut this.alarm, &mut this.frame, cx) {
                    return Poll::Pending;
                }
                this.edge.late(this.method, None)
            }
            Err(message) => this.edge.panicked(this.method, message),
        };
        (this.items, this.inside) = (None, None);
        Poll::Ready(Some(Err(failure.into())))
    }
}
