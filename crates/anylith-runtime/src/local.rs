//! A call within the process: no encoding, no task switch, no lock, no look at the clock unless it waits.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anylith_core::{CallError, Execution};
use arc_swap::Guard;
use futures_core::Stream;

use crate::{
    ambient::{self, Frame},
    edge::EdgeState,
    guard::{Alarm, catch},
    interface::CallResult,
    serve::BoxFuture,
    streaming::{Streaming, StreamingOf},
};

/// What a local route leads to.
#[derive(Debug)]
pub(crate) struct LocalTarget<O: ?Sized> {
    pub(crate) object: Arc<O>,
}

/// A call to an implementation in this process, about to be made.
#[derive(Debug)]
pub struct LocalCall<'a, O: ?Sized> {
    pub(crate) edge: &'a Arc<EdgeState<O>>,
    pub(crate) target: Guard<Option<Arc<LocalTarget<O>>>>,
    pub(crate) method: u16,
}

impl<O: ?Sized + Send + Sync + 'static> LocalCall<'_, O> {
    /// The implementation.
    pub fn object(&self) -> &O {
        let target = self.target.as_ref();
        &target
            .expect("a local call is begun only where there is a local target")
            .object
    }

    /// Waits for `future`, which is the implementation's method, as a component's border demands.
    pub(crate) fn run<'c, R: CallResult<Error: From<CallError>>>(
        &'c self,
        future: BoxFuture<'c, R>,
    ) -> LocalFuture<'c, R, O> {
        LocalFuture {
            future,
            edge: self.edge,
            method: self.method,
            frame: ambient::Frame::of(""),
            started: false,
            alarm: Alarm::default(),
        }
    }

    /// The same for a method that returns a stream.
    pub(crate) async fn run_streaming<'c, R, E>(
        &'c self,
        future: BoxFuture<'c, Result<StreamingOf<R>, E>>,
    ) -> Result<StreamingOf<R>, E>
    where
        R: CallResult<Error: From<CallError>>,
        E: From<CallError> + Send + 'static,
    {
        let mut call = self.run(future);
        let items = (&mut call).await?;
        Ok(Streaming::new(LocalStream::<R, O> {
            items: Some(items),
            edge: Arc::clone(self.edge),
            method: self.method,
            frame: call.frame,
            alarm: Alarm::default(),
        }))
    }
}

/// The future of a [`LocalCall`]. Dropping it drops the callee's future.
pub struct LocalFuture<'c, R, O: ?Sized> {
    future: BoxFuture<'c, R>,
    edge: &'c Arc<EdgeState<O>>,
    method: u16,
    frame: Frame,
    started: bool,
    alarm: Alarm,
}

impl<R, O> Future for LocalFuture<'_, R, O>
where
    R: CallResult<Error: From<CallError>>,
    O: ?Sized + Send + Sync + 'static,
{
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        if !this.started {
            this.started = true;
            let mut outer = ambient::frame();
            // A deadline that only the caller's own code was under begins to count here as well.
            outer.component = this.edge.callee();
            outer.deadline = outer.deadline.tightened(this.edge.timeout());
            this.frame = outer;
        }
        let future = &mut this.future;
        let polled = ambient::under(&mut this.frame, || catch(|| future.as_mut().poll(cx)));
        let failure = match polled {
            Ok(Poll::Ready(result)) => {
                this.edge.count(this.method, None);
                return Poll::Ready(result);
            }
            Ok(Poll::Pending) => {
                if !ambient::is_over(&mut this.alarm, &mut this.frame, cx) {
                    return Poll::Pending;
                }
                let edge = this.edge.edge(this.method);
                CallError::DeadlineExceeded {
                    edge,
                    execution: Execution::Unknown,
                }
            }
            Err(message) => CallError::Panicked {
                edge: this.edge.edge(this.method),
                message,
            },
        };
        this.edge.count(this.method, Some(failure.execution()));
        Poll::Ready(R::from_result(Err(failure.into())))
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
        let polled = ambient::under(&mut this.frame, || catch(|| Pin::new(items).poll_next(cx)));
        let failure = match polled {
            Ok(Poll::Ready(Some(item))) => return Poll::Ready(Some(item)),
            Ok(Poll::Ready(None)) => {
                this.items = None;
                return Poll::Ready(None);
            }
            Ok(Poll::Pending) => {
                if !ambient::is_over(&mut this.alarm, &mut this.frame, cx) {
                    return Poll::Pending;
                }
                let edge = this.edge.edge(this.method);
                CallError::DeadlineExceeded {
                    edge,
                    execution: Execution::Unknown,
                }
            }
            Err(message) => CallError::Panicked {
                edge: this.edge.edge(this.method),
                message,
            },
        };
        this.items = None;
        Poll::Ready(Some(Err(failure.into())))
    }
}
