//! A call within the process: no encoding, no task switch, no lock, no look at the clock unless it waits.

use std::{
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
    deadline::Deadline,
    edge::{Counts, EdgeState, Local, lane},
    gate::Permit,
    guard::Alarm,
    interface::{CallResult, Travels},
    serve::BoxFuture,
    streaming::{Streaming, StreamingOf},
    trail::Trail,
    trails::{OpenSpan, Trails},
    underway::Underway,
    variants::variants,
};

/// A call to an implementation in this process, about to be made.
#[derive(Debug)]
pub struct LocalCall<'a, O: ?Sized> {
    pub(crate) edge: &'a Arc<EdgeState<O>>,
    pub(crate) here: &'a Local<O>,
    pub(crate) method: u16,
    /// Whether it counts as under way from its beginning, and not only once it waits.
    pub(crate) counted: bool,
}

impl<O: ?Sized> Clone for LocalCall<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: ?Sized> Copy for LocalCall<'_, O> {}

/// A call to an implementation that has come into this process since its edge was made: it holds what it calls.
#[derive(Debug)]
pub struct ArrivedCall<'a, O: ?Sized> {
    pub(crate) edge: &'a Arc<EdgeState<O>>,
    pub(crate) here: Arc<Local<O>>,
    pub(crate) method: u16,
    pub(crate) counted: bool,
}

impl<O: ?Sized> ArrivedCall<'_, O> {
    /// The same, as long as this is held.
    #[inline]
    pub fn call(&self) -> LocalCall<'_, O> {
        LocalCall {
            edge: self.edge,
            here: &self.here,
            method: self.method,
            counted: self.counted,
        }
    }
}

impl<'c, O: ?Sized + Send + Sync + 'static> LocalCall<'c, O> {
    /// The implementation.
    #[inline]
    pub fn object(&self) -> &'c O {
        &self.here.object
    }

    /// Waits for `future`, which is the implementation's method, as a component's border demands.
    #[inline]
    pub(crate) fn run<R: CallResult<Error: Travels + From<CallError>>>(
        self,
        future: BoxFuture<'c, R>,
    ) -> LocalFuture<'c, R, O> {
        LocalFuture {
            future,
            call: self,
            waiting: self.counted.then(|| self.count()),
        }
    }

    /// Counts the call from its beginning.
    #[cold]
    fn count(self) -> Box<Waiting<'c>> {
        self.waiting(self.frame(), None)
    }

    /// The same for a method that returns a stream.
    pub(crate) async fn run_streaming<R, E>(
        self,
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
            inside: self.edge.stay(self.here, self.method),
            _flow: flow,
        }))
    }
}

impl<'c, O: ?Sized> LocalCall<'c, O> {
    /// The surroundings of the callee's first poll.
    #[inline]
    fn frame(self) -> Frame {
        let outer = ambient::frame();
        let limit = self.edge.limit(self.method);
        outer.entered(self.edge.place(), limit, self.edge.trail(outer.trail))
    }

    /// The same, after these have become of it.
    fn framed(self, deadline: Deadline, trail: Trail) -> Frame {
        Frame {
            place: self.edge.place(),
            deadline,
            trail,
        }
    }

    /// What is kept of it where it waits under `frame`, or is counted. `begun` is when it began, if that is known.
    fn waiting(self, mut frame: Frame, begun: Option<Instant>) -> Box<Waiting<'c>> {
        let LocalCall { edge, method, .. } = self;
        let underway = Underway::begin(edge.recorder(), lane(method, Way::Local), begun);
        let trails = edge.trails().filter(|trails| trails.are_collected());
        let span = trails.and_then(|trails| {
            let step = ambient::step(&mut frame.trail)?;
            // The clock was looked at already, where calls are timed.
            let begun = begun.or(underway.as_ref().and_then(Underway::begun));
            let begun = begun.unwrap_or_else(Instant::now);
            let what = edge.what(method, SpanKind::Local);
            Some(OpenSpan::begin(trails, step, what, begun))
        });
        Box::new(Waiting {
            underway,
            span,
            frame,
            alarm: Alarm::default(),
            inside: edge.stay(self.here, method),
        })
    }
}

/// The future of a [`LocalCall`]. Dropping it drops the callee's future.
pub struct LocalFuture<'c, R, O: ?Sized> {
    future: BoxFuture<'c, R>,
    call: LocalCall<'c, O>,
    /// Filled when the call first has to wait, or is counted. It has a place of its own, since a future is moved on its way
    /// into that of its caller: one that is answered at once does not carry the room for it around.
    waiting: Option<Box<Waiting<'c>>>,
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

impl<'c, R: CallResult<Error: Travels + From<CallError>>, O: ?Sized> LocalFuture<'c, R, O> {
    /// The surroundings of the callee's next poll.
    #[inline]
    fn frame(&self) -> Frame {
        match &self.waiting {
            Some(waiting) => waiting.frame,
            None => self.call.frame(),
        }
    }

    /// Keeps what the frame has become for the next poll, unless the time is over, or the component's own. Where it has to
    /// wait for the first time, `begun` is when it began, if that is known.
    // It does not take the frame as a whole: one whose address is given away cannot stay in registers while the call runs.
    #[cold]
    fn wait(
        &mut self,
        deadline: Deadline,
        trail: Trail,
        begun: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<R> {
        let call = self.call;
        let frame = call.framed(deadline, trail);
        let waiting = match &mut self.waiting {
            Some(waiting) => {
                waiting.frame.deadline = deadline;
                waiting
            }
            // Its span is named there, if it has one.
            None => self.waiting.insert(call.waiting(frame, begun)),
        };
        if waiting.inside.as_mut().is_some_and(|it| it.poll_void(cx)) {
            return self.fail(call.edge.stopped(call.method));
        }
        if !ambient::is_over(&mut waiting.alarm, &mut waiting.frame, cx) {
            return Poll::Pending;
        }
        // Over the time of a caller the caller itself watches.
        let allowance = call.edge.limit(call.method).length().map(Allowance::OfEdge);
        self.fail(call.edge.late(call.method, allowance))
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
    fn note(
        &self,
        mut trail: Trail,
        begun: Option<Instant>,
        end: (Outcome, impl FnOnce() -> Option<String>),
    ) {
        let LocalCall { edge, method, .. } = self.call;
        if let Some(trails) = edge.trails() {
            let what = edge.what(method, SpanKind::Local);
            trails.note_at_once(&mut trail, what, begun, end);
        }
    }

    /// The same of one that was answered.
    #[cold]
    #[inline(never)]
    fn note_answer(&self, trail: Trail, begun: Option<Instant>, (outcome, answer): (Outcome, &R)) {
        let error = || answer.error().and_then(variants);
        self.note(trail, begun, (outcome, error));
    }

    /// Polls a call for the first time, under `frame`. `begun` is when it began, where that is to be known. It is counted on
    /// `lane` if it is ready at once.
    // Without a time there is none to be kept over the poll, which most calls owe to this.
    #[inline(always)]
    fn poll_first(
        &mut self,
        lane: Option<Lane<'_>>,
        mut frame: Frame,
        begun: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<R> {
        let future = &mut self.future;
        // The answer is written where it stays: to move it out through `under` costs more than all else here.
        let mut polled = Poll::Pending;
        if let Err(message) = ambient::under(&mut frame, || polled = future.as_mut().poll(cx)) {
            let failure = self.call.edge.panicked(self.call.method, message);
            let outcome = Outcome::of(Some(failure.execution()), false);
            if let Some(lane) = lane {
                lane.at_once(outcome, begun.map(|begun| begun.elapsed()));
            }
            let error = || Some(failure.to_string());
            self.note(frame.trail, begun, (outcome, error));
            return Poll::Ready(R::from_result(Err(failure.into())));
        }
        let Poll::Ready(answer) = &polled else {
            return self.wait(frame.deadline, frame.trail, begun, cx);
        };
        let outcome = Outcome::of(None, answer.is_error());
        if let Some(lane) = lane {
            lane.at_once(outcome, begun.map(|begun| begun.elapsed()));
        }
        if outcome != Outcome::Answered || frame.trail.is_noticed() {
            self.note_answer(frame.trail, begun, (outcome, answer));
        }
        polled
    }

    #[cold]
    #[inline(never)]
    fn poll_timed(
        &mut self,
        lane: Option<Lane<'_>>,
        (deadline, trail): (Deadline, Trail),
        cx: &mut Context<'_>,
    ) -> Poll<R> {
        let frame = self.call.framed(deadline, trail);
        self.poll_first(lane, frame, Some(Instant::now()), cx)
    }

    /// Polls a call again that had to wait.
    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<R> {
        let mut frame = self.frame();
        let future = &mut self.future;
        let mut polled = Poll::Pending;
        if let Err(message) = ambient::under(&mut frame, || polled = future.as_mut().poll(cx)) {
            let LocalCall { edge, method, .. } = self.call;
            return self.fail(edge.panicked(method, message));
        }
        let Poll::Ready(answer) = polled else {
            return self.wait(frame.deadline, frame.trail, None, cx);
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
        let lane = this.call.edge.lane(this.call.method, Way::Local);
        let frame = this.call.frame();
        if lane.is_some_and(Lane::is_due) | frame.trail.is_sampled() {
            return this.poll_timed(lane, (frame.deadline, frame.trail), cx);
        }
        this.poll_first(lane, frame, None, cx)
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
