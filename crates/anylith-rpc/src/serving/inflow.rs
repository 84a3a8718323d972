//! Items that a caller streams, on their way to the implementation.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use anylith_wire::{CallId, Failure};
use bytes::Bytes;
use futures_core::Stream;

use super::Serving;

/// Items that came for a call and were not taken yet. Bounded by the call's credit.
#[derive(Default)]
pub(super) struct Inflow(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    items: VecDeque<Bytes>,
    end: Option<Result<(), Failure>>,
    reader: Option<Waker>,
}

impl Inflow {
    /// Adds an item. Returns who waits for it.
    pub(super) fn push(&self, item: Bytes) -> Option<Waker> {
        let mut waiting = self.lock();
        waiting.items.push_back(item);
        waiting.reader.take()
    }

    /// Says that no item follows, and why, unless that was said before. Returns who waits to know.
    pub(super) fn end(&self, end: Result<(), Failure>) -> Option<Waker> {
        let mut waiting = self.lock();
        waiting.end.get_or_insert(end);
        waiting.reader.take()
    }

    fn poll_item(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let mut waiting = self.lock();
        if let Some(item) = waiting.items.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        match waiting.end.replace(Ok(())) {
            Some(end) => Poll::Ready(end.err().map(Err)),
            None => {
                waiting.end = None;
                waiting.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The items of a call's arguments, as its implementation reads them.
pub(super) struct IncomingItems {
    pub(super) serving: Arc<Serving>,
    pub(super) call: CallId,
    pub(super) inflow: Arc<Inflow>,
}

impl Stream for IncomingItems {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = match ready!(self.inflow.poll_item(cx)) {
            Some(Ok(item)) => item,
            end => return Poll::Ready(end),
        };
        let mut state = self.serving.lock();
        // The call may be over, and its number belong to another.
        let ours = |inflow: &Arc<Inflow>| Arc::ptr_eq(inflow, &self.inflow);
        if state.work(self.call).inflow.as_ref().is_some_and(ours) {
            state.end.taken(self.call, item.len());
            if state.end.has_output() {
                state.ask();
            }
        }
        Poll::Ready(Some(Ok(item)))
    }
}
