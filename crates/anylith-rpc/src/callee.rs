//! Calls of one component, wherever its replicas are.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anylith_core::{
    BadAnswer, CallContext, Execution, Fingerprint, LostAnswer, Name, Overload, Refusal,
};
use anylith_wire::{Failure, NewCall};
use bytes::Bytes;
use futures_core::Stream;
use tokio::time::sleep;

use crate::{
    budget::{Budget, Reason},
    connection::{Call, Progress},
    network::Shared,
    policy::Policy,
    retry::{Attempts, Away},
    routes::{Route, Routes},
    serve::Items,
    tally::Tally,
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
    policy: Policy,
    /// Calls under way, where their number is limited.
    under_way: AtomicU32,
    tally: Arc<Tally>,
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
    /// After this time a second attempt is made at another replica, and the first answer counts. Only of an
    /// idempotent call without streams.
    pub hedge: Option<Duration>,
    /// The arguments.
    pub arguments: Arguments<'a>,
    /// The items that follow the arguments. They are polled whenever the answer is.
    pub items: Option<Items>,
    /// Whether the answer is a stream.
    pub streaming_answer: bool,
    /// Where the first attempt goes, if that was chosen.
    pub lead: Option<Lead>,
    /// Hears of every attempt after the first.
    pub repeated: &'a (dyn Fn(Repeat) + Sync),
}

/// A replica that was chosen for a call, and a place for it among those under way.
#[derive(Debug)]
pub struct Lead {
    route: Route,
    permit: Option<Permit>,
}

/// Why an attempt was made that is not the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The one before it has failed.
    Retry,
    /// The one before it is slow.
    Hedge,
}

/// What a call brought back.
pub enum Reply {
    /// One encoded message.
    Message(Bytes),
    /// A stream of encoded items. Dropping it cancels the call.
    Stream(Items),
}

impl Callee {
    pub(crate) fn new(
        network: Arc<Shared>,
        component: Name,
        fingerprint: Fingerprint,
        policy: Policy,
    ) -> Self {
        let tally = Arc::clone(&network.tally);
        Self {
            inner: Arc::new(Inner {
                routes: Routes::new(network, component, fingerprint),
                budget: Budget::new(policy.retries_percent),
                policy,
                under_way: AtomicU32::new(0),
                tally,
            }),
        }
    }

    /// The component that is called.
    pub fn component(&self) -> &Name {
        self.inner.routes.component()
    }

    /// A replica that was started for a burst, if there is one which is better for a call than a place that has `inside`
    /// calls already: it has fewer that came from here. Nothing is waited for.
    ///
    /// A call may end without it, too: a lead that is dropped changes nothing.
    pub fn relief(&self, inside: u64) -> Option<Lead> {
        // Over the limit of the edge nothing is given away, and nothing refused.
        let limit = self.inner.policy.concurrency;
        if limit.is_some_and(|limit| self.inner.under_way.load(Relaxed) >= limit) {
            return None;
        }
        let route = self.inner.routes.relief(inside, Instant::now())?;
        let permit = self.enter().ok()?;
        Some(Lead { route, permit })
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
    /// Of all attempts' failures the one that says most: that a call was not executed only if none of them was.
    ///
    /// # Cancellation
    ///
    /// The callee is told to stop. A request that has not left never does.
    pub async fn call(&self, mut request: Request<'_>) -> Result<Reply, Failure> {
        let lead = request.lead.take();
        let (mut first, mut permit) = match lead {
            Some(Lead { route, permit }) => (Some(route), permit),
            None => (None, self.enter()?),
        };
        let mut attempts = Attempts::new(self.inner.routes.reach_timeout());
        self.inner.budget.call();
        loop {
            let attempt = self.attempt(&mut request, &mut attempts, &mut permit, first.take());
            let failure = match attempt.await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let pause = self.pause(&request, &mut attempts, failure)?;
            self.inner.tally.retried.up();
            (request.repeated)(Repeat::Retry);
            sleep(pause).await;
        }
    }

    /// A place among the calls under way, where their number is limited.
    fn enter(&self) -> Result<Option<Permit>, Failure> {
        let Some(limit) = self.inner.policy.concurrency else {
            return Ok(None);
        };
        let permit = Permit(Arc::clone(&self.inner));
        // With the permit dropped this call is counted out again.
        if self.inner.under_way.fetch_add(1, Relaxed) >= limit {
            self.inner.tally.withheld.up();
            let overload = Overload::Edge { limit };
            return Err(Failure::NotExecuted(Refusal::Overloaded(overload)));
        }
        Ok(Some(permit))
    }

    /// After which pause to try again, if at all.
    fn pause(
        &self,
        request: &Request<'_>,
        attempts: &mut Attempts,
        failure: Failure,
    ) -> Result<Duration, Failure> {
        let Inner { routes, budget, .. } = &*self.inner;
        let moved = match &failure {
            Failure::NotExecuted(Refusal::Moved { epoch }) => Some(*epoch),
            _ => None,
        };
        let away = match moved {
            // Where it is by now is yet to be heard.
            Some(epoch) if request.deadline.is_some() && epoch > routes.epoch() => Away::Ahead,
            Some(_) => routes.away_since().map_or(Away::No, Away::Since),
            None => Away::No,
        };
        let now = Instant::now();
        let pause = attempts.pause(failure, request.idempotent, budget, away, now);
        let pause = pause.map_err(|failure| match away {
            // It is not this call alone: nobody has taken any for as long as calls wait.
            Away::Since(since)
                if matches!(failure, Failure::NotExecuted(Refusal::Moved { .. }))
                    && now.saturating_duration_since(since) >= routes.reach_timeout() =>
            {
                routes.nobody_takes(since)
            }
            _ => failure,
        })?;
        if request.deadline.is_some_and(|at| at <= now + pause) {
            return Err(attempts.failure());
        }
        Ok(pause)
    }

    async fn attempt(
        &self,
        request: &mut Request<'_>,
        attempts: &mut Attempts,
        permit: &mut Option<Permit>,
        first: Option<Route>,
    ) -> Result<Reply, Failure> {
        let routes = &self.inner.routes;
        let avoid = attempts.avoid.as_ref();
        let mut now = Instant::now();
        let chosen = first.or_else(|| routes.pick(request.key, avoid, now));
        let route = match chosen {
            Some(route) => route,
            None => {
                let route = routes.wait(request.deadline, request.key, avoid).await?;
                now = Instant::now();
                route
            }
        };
        let begun = begin(&route, request, now);
        if let Err(Failure::NotExecuted(Refusal::Overloaded(_))) = &begun {
            self.inner.tally.withheld.up();
        }
        attempts.avoid = Some(route.connection);
        let mut call = InProgress {
            // Where it is refused, the items stay with the request, for the next attempt.
            call: begun?,
            items: request.items.take(),
            items_taken: false,
            permit: None,
        };
        if let Some(after) = request.hedge
            && request.idempotent
            && call.items.is_none()
            && !request.streaming_answer
        {
            // Boxed, so that calls without a hedge need no room for one.
            return Box::pin(self.race(call, after, request, attempts)).await;
        }
        match poll_fn(|cx| call.poll(cx, false)).await {
            // Also where a stream was asked for: then it is the error with which the stream did not begin.
            Progress::Message(message) => Ok(Reply::Message(message)),
            Progress::Stream if request.streaming_answer => {
                call.permit = permit.take();
                Ok(Reply::Stream(Box::pin(call)))
            }
            Progress::Failed(failure) => {
                // What nobody has taken can be sent again.
                attempts.items_taken = call.items_taken;
                request.items = call.items.take();
                Err(failure)
            }
            _ => Err(mixed_up()),
        }
    }

    /// Waits for `first`, and from a while after its beginning also for a second attempt at another replica. The
    /// one that is not needed any more is taken back.
    async fn race(
        &self,
        first: InProgress,
        after: Duration,
        request: &mut Request<'_>,
        attempts: &mut Attempts,
    ) -> Result<Reply, Failure> {
        let mut timer = pin!(sleep(after));
        let mut hedged = false;
        let mut runners = [Some(first), None];
        poll_fn(move |cx| {
            loop {
                let mut failed = None;
                for runner in &mut runners {
                    let Some(call) = runner else { continue };
                    match call.poll(cx, false) {
                        Poll::Pending => {}
                        Poll::Ready(Progress::Message(message)) => {
                            return Poll::Ready(Ok(Reply::Message(message)));
                        }
                        Poll::Ready(Progress::Failed(failure)) => {
                            *runner = None;
                            // What the one may have done, the other does not undo.
                            if let Some(earlier) = failed.replace(failure) {
                                attempts.note(earlier);
                            }
                        }
                        Poll::Ready(_) => return Poll::Ready(Err(mixed_up())),
                    }
                }
                let alone = runners.iter().all(Option::is_none);
                match failed {
                    Some(failure) if alone => return Poll::Ready(Err(failure)),
                    // The other one may still bring an answer.
                    Some(failure) => attempts.note(failure),
                    None => {}
                }
                if hedged || timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                hedged = true;
                runners[1] = self.second(request, attempts);
            }
        })
        .await
    }

    /// A second attempt beside the first, at another replica: if there is one, and it is within the budget.
    fn second(&self, request: &mut Request<'_>, attempts: &Attempts) -> Option<InProgress> {
        let Inner { routes, budget, .. } = &*self.inner;
        let (first, now) = (attempts.avoid.as_ref()?, Instant::now());
        if !attempts.may_hedge() {
            return None;
        }
        let route = routes.pick(request.key, Some(first), now)?;
        if Arc::ptr_eq(&route.connection, first) || !budget.spend(Reason::Hedge, now) {
            return None;
        }
        // Where it cannot begin, the first goes on alone.
        let call = begin(&route, request, now).ok()?;
        self.inner.tally.hedged.up();
        (request.repeated)(Repeat::Hedge);
        Some(InProgress {
            call,
            items: None,
            items_taken: false,
            permit: None,
        })
    }
}

/// A place among the calls under way along an edge.
#[derive(Debug)]
struct Permit(Arc<Inner>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// Encodes the arguments and hands the call to the connection.
fn begin(route: &Route, request: &Request<'_>, now: Instant) -> Result<Call, Failure> {
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
        deadline: request.deadline,
        context: request.context,
        items: request.items.is_some(),
    };
    let begun = route
        .connection
        .begin(&call, &mut arguments, request.key.is_some(), now);
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
    /// Of a stream, which is under way until it is dropped.
    permit: Option<Permit>,
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
            .field("hedge", &self.hedge)
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
