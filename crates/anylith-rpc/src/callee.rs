//! Calls of one component, wherever its replicas are.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use anylith_core::{BadAnswer, CallContext, Execution, Fingerprint, LostAnswer, Name};
use anylith_wire::{Failure, NewCall};
use bytes::Bytes;
use futures_core::Stream;
use tokio::time::sleep;

use crate::{
    connection::{Call, Progress},
    network::Shared,
    retry::{Attempts, Budget},
    routes::{Route, Routes},
    serve::Items,
};

/// A buffer for arguments that grew beyond this is not kept, in bytes.
const KEPT_SCRATCH_BYTES: usize = 64 * 1024;

/// A handle for calls of one component. Clones are the same callee.
#[derive(Debug, Clone)]
pub struct Callee {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    routes: Routes,
    budget: Budget,
}

/// Writes the encoded arguments of a call into a buffer. Asked again for each attempt.
pub type Arguments<'a> = &'a (dyn Fn(&mut Vec<u8>) -> Result<(), Failure> + Sync);

/// A call that is to be made.
pub struct Request<'a> {
    /// The method's index in its component.
    pub method: u16,
    /// Whether it may be sent again although it may have run.
    pub idempotent: bool,
    /// When the call has to be over.
    pub deadline: Option<Instant>,
    /// What travels along.
    pub context: &'a CallContext,
    /// The hash of the key by which the call is routed, if its method is: calls with the same key meet the same
    /// replica while the directory stands.
    pub key: Option<u64>,
    /// The arguments.
    pub arguments: Arguments<'a>,
    /// The items that follow the arguments. They are polled whenever the answer is.
    pub items: Option<Items>,
    /// Whether the answer is a stream.
    pub streaming_answer: bool,
}

/// What a call brought back.
pub enum Reply {
    /// One encoded message.
    Message(Bytes),
    /// A stream of encoded items. Dropping it cancels the call.
    Stream(Items),
}

impl Callee {
    pub(crate) fn new(network: Arc<Shared>, component: Name, fingerprint: Fingerprint) -> Self {
        let routes = Routes::new(network, component, fingerprint);
        Self {
            inner: Arc::new(Inner {
                routes,
                budget: Budget::default(),
            }),
        }
    }

    /// The component that is called.
    pub fn component(&self) -> &Name {
        self.inner.routes.component()
    }

    /// Makes a call.
    ///
    /// While no replica can be reached the call waits for one, up to
    /// [`Limits::reach_timeout`](anylith_core::Limits::reach_timeout) from the moment in which the last was lost.
    /// An attempt that was surely not executed,
    /// or whose method is idempotent, is made again within the deadline and the budget for retries,
    /// unless an item of the caller's stream was taken.
    ///
    /// # Errors
    ///
    /// The last attempt's failure.
    ///
    /// # Cancellation
    ///
    /// The callee is told to stop. A request that has not left never does.
    pub async fn call(&self, mut request: Request<'_>) -> Result<Reply, Failure> {
        let deadline = request.deadline;
        let mut attempts = Attempts::new(self.inner.routes.reach_timeout());
        self.inner.budget.earn();
        loop {
            let failure = match self.attempt(&mut request, deadline, &mut attempts).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let pause = attempts.pause(failure, request.idempotent, &self.inner.budget)?;
            if deadline.is_some_and(|at| at <= Instant::now() + pause) {
                return Err(attempts.failure());
            }
            sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        request: &mut Request<'_>,
        deadline: Option<Instant>,
        attempts: &mut Attempts,
    ) -> Result<Reply, Failure> {
        let avoid = attempts.avoid.as_ref();
        let route = match self.inner.routes.pick(avoid) {
            Some(route) => route,
            None => self.inner.routes.wait(deadline, avoid).await?,
        };
        let begun = begin(&route, request, deadline, Instant::now());
        attempts.avoid = Some(route.connection);
        let mut call = InProgress {
            // Where it is refused, the items stay with the request, for the next attempt.
            call: begun?,
            items: request.items.take(),
            items_taken: false,
        };
        match poll_fn(|cx| call.poll(cx, false)).await {
            // Also where a stream was asked for: then it is the error with which the stream did not begin.
            Progress::Message(message) => Ok(Reply::Message(message)),
            Progress::Stream if request.streaming_answer => Ok(Reply::Stream(Box::pin(call))),
            Progress::Failed(failure) => {
                // What nobody has taken can be sent again.
                attempts.items_taken = call.items_taken;
                request.items = call.items.take();
                Err(failure)
            }
            _ => Err(mixed_up()),
        }
    }
}

/// Encodes the arguments and hands the call to the connection.
fn begin(
    route: &Route,
    request: &Request<'_>,
    deadline: Option<Instant>,
    now: Instant,
) -> Result<Call, Failure> {
    thread_local! {
        // Taken out while it is in use, so an encoder that makes calls itself finds an empty one.
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut arguments = SCRATCH.take();
    arguments.clear();
    (request.arguments)(&mut arguments)?;
    let call = NewCall {
        component: route.component,
        method: request.method,
        deadline,
        context: request.context,
        items: request.items.is_some(),
    };
    let begun = route.connection.begin(&call, &mut arguments, now);
    if arguments.capacity() <= KEPT_SCRATCH_BYTES {
        SCRATCH.set(arguments);
    }
    begun
}

/// A call, with the items that it still has to send.
struct InProgress {
    call: Call,
    items: Option<Items>,
    items_taken: bool,
}

impl InProgress {
    /// Sends items as far as that goes, and returns what happens next.
    fn poll(&mut self, cx: &mut Context<'_>, told: bool) -> Poll<Progress> {
        let progress = self.call.poll_progress(cx, told);
        if progress.is_ready() || self.items.is_none() {
            return progress;
        }
        match self.poll_send(cx) {
            Some(failure) => Poll::Ready(Progress::Failed(failure)),
            None => Poll::Pending,
        }
    }

    /// Sends items until there is none, or no credit. Returns why the call is to end, if it is.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        while let Some(items) = &mut self.items {
            if !self.call.may_send() {
                return None;
            }
            match items.as_mut().poll_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(Some(Ok(item))) => {
                    self.items_taken = true;
                    if let Err(failure) = self.call.send_item(item) {
                        return Some(match self.call.cancel() {
                            Execution::NotExecuted => failure,
                            // The callee may have worked on the items before.
                            _ => Failure::Unknown(LostAnswer::Abandoned(failure.to_string())),
                        });
                    }
                }
                Poll::Ready(Some(Err(failure))) => {
                    self.items_taken = true;
                    return Some(failure);
                }
                Poll::Ready(None) => {
                    self.items_taken = true;
                    self.items = None;
                    self.call.end_items();
                }
            }
        }
        None
    }
}

impl Stream for InProgress {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.call.is_over() {
            return Poll::Ready(None);
        }
        Poll::Ready(match std::task::ready!(self.poll(cx, true)) {
            Progress::Item(item) => Some(Ok(item)),
            Progress::End => None,
            Progress::Failed(failure) => {
                self.call.cancel();
                Some(Err(failure))
            }
            Progress::Message(_) | Progress::Stream => {
                self.call.cancel();
                Some(Err(mixed_up()))
            }
        })
    }
}

fn mixed_up() -> Failure {
    let detail = "a stream came for one message, or one message for a stream".to_owned();
    Failure::Executed(BadAnswer::Undecodable(detail))
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("idempotent", &self.idempotent)
            .field("deadline", &self.deadline)
            .field("items", &self.items.is_some())
            .field("streaming_answer", &self.streaming_answer)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(message) => f.debug_tuple("Message").field(&message.len()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
