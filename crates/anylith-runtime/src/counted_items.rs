//! The items of streams between processes, counted as they pass.

use std::{
    borrow::Borrow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use anylith_rpc::{Failure, Items};
use anylith_telemetry::Recorder;
use bytes::Bytes;
use futures_core::Stream;

use crate::underway::Underway;

/// The items of an answer. Its call is in flight until this is dropped.
pub(crate) struct AnswerItems<R: Borrow<Recorder>> {
    items: Items,
    underway: Underway<R>,
}

impl<R: Borrow<Recorder> + Send + Unpin + 'static> AnswerItems<R> {
    /// The answer `items` to a call, which has begun with them.
    pub(crate) fn of(items: Items, mut underway: Underway<R>) -> Items {
        underway.flow(None);
        Box::pin(Self { items, underway })
    }
}

impl<R: Borrow<Recorder> + Unpin> Stream for AnswerItems<R> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.items.as_mut().poll_next(cx));
        if let Some(Ok(item)) = &item {
            self.underway.received(item.len());
        }
        Poll::Ready(item)
    }
}

/// The items that follow the arguments of a call.
pub(crate) struct ArgumentItems<R> {
    items: Items,
    recorder: R,
    lane: usize,
}

impl<R: Borrow<Recorder> + Send + Unpin + 'static> ArgumentItems<R> {
    /// `items`, of a call that is counted on `lane`.
    pub(crate) fn of(items: Items, recorder: R, lane: usize) -> Items {
        Box::pin(Self {
            items,
            recorder,
            lane,
        })
    }
}

impl<R: Borrow<Recorder> + Unpin> Stream for ArgumentItems<R> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.items.as_mut().poll_next(cx));
        if let Some(Ok(item)) = &item {
            let recorder: &Recorder = self.recorder.borrow();
            if let Some(lane) = recorder.lane(self.lane) {
                lane.sent(item.len());
            }
        }
        Poll::Ready(item)
    }
}
