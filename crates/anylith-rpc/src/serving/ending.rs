//! How a call ends that was not ready at once.

use std::{future::poll_fn, sync::Arc, task::Poll};

use anylith_wire::{CallId, Failure, ServingEnd};

use super::Serving;
use crate::serve::{Answer, Answering, Items};

/// Ends a call, however its task ends.
pub(super) struct Ending {
    serving: Arc<Serving>,
    call: CallId,
    ended: bool,
}

impl Ending {
    pub(super) fn new(serving: Arc<Serving>, call: CallId) -> Self {
        Self {
            serving,
            call,
            ended: false,
        }
    }

    fn end(&mut self, answered: bool, end: impl FnOnce(&mut ServingEnd, CallId)) {
        if !std::mem::replace(&mut self.ended, true) {
            let mut state = self.serving.lock();
            state.clear(self.call, answered);
            end(&mut state.end, self.call);
            state.ask();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // A task that was aborted, or that panicked past the component's own border.
        let failure = if std::thread::panicking() {
            Failure::Panicked("the implementation panicked".to_owned())
        } else {
            Failure::Cancelled
        };
        self.end(false, |end, call| end.fail(call, &failure));
    }
}

/// Waits for the answer of a call that was pending, and ends the call.
pub(super) async fn finish(mut ending: Ending, answering: Answering) {
    match answering.await {
        Answer::Message(mut message) => ending.end(true, |end, call| {
            end.respond(call, &mut message);
        }),
        Answer::Failed(failure) => ending.end(false, |end, call| end.fail(call, &failure)),
        Answer::Stream(stream) => send_stream(ending, stream).await,
    }
}

/// Sends a stream as fast as the caller reads it.
pub(super) async fn send_stream(mut ending: Ending, mut stream: Items) {
    {
        let mut state = ending.serving.lock();
        state.end.begin_stream(ending.call);
        // That it begins is the answer.
        state.set_apart(ending.call, true);
        state.ask();
    }
    loop {
        poll_fn(|cx| {
            let mut state = ending.serving.lock();
            if state.end.may_send(ending.call) {
                return Poll::Ready(());
            }
            state.work(ending.call).sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let failure = match poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            None => return ending.end(false, ServingEnd::end_stream),
            Some(Err(failure)) => failure,
            Some(Ok(item)) => {
                let mut state = ending.serving.lock();
                let sent = state.end.send_item(ending.call, item);
                state.ask();
                match sent {
                    Ok(()) => continue,
                    Err(failure) => failure,
                }
            }
        };
        return ending.end(false, |end, call| end.fail(call, &failure));
    }
}
