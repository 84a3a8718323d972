//! One arrow of the graph, as its caller holds it: finds the target of each call.

use std::{
    any::Any,
    borrow::Borrow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anylith_core::{
    Allowance, CallContext, CallError, Directory, Edge, EdgeSettings, Execution, LostAnswer,
    Metrics, Name, Overload, Refusal,
};
use anylith_rpc::{Callee, Failure, Items, Lead, Reminder, Repeat, Reply, Request};
use anylith_telemetry::{Lane, Numbers, Outcome, Recorder, SpanKind, Way, What};

use arc_swap::ArcSwapOption;

use crate::{
    ambient,
    counted_items::{AnswerItems, ArgumentItems},
    deadline::{DEFAULT_TIMEOUT, Deadline},
    gate::{Gate, Inside, Permit},
    guard,
    interface::{CallResult, ImplementedBy, Interface, Method, Travels, check_names, checked},
    local::{ArrivedCall, LocalCall},
    message::{ArgumentWriter, decode_result, decoded},
    place::Place,
    routing,
    streaming::StreamingOf,
    trail::Trail,
    trails::{OpenSpan, Trails},
    underway::Underway,
    variants::variants,
    wiring::Present,
};

/// The edge behind a client. Cloning it copies a pointer, and all clones are one edge.
pub struct ClientEdge<O: ?Sized> {
    state: Arc<EdgeState<O>>,
}

impl<O: ?Sized> Clone for ClientEdge<O> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<O: ?Sized + Send + Sync + 'static> fmt::Debug for ClientEdge<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.begin(0) {
            Call::Local(_) | Call::Arrived(_) => "local",
            Call::Remote(_) => "remote",
        };
        write!(f, "{}Client({way})", self.state.callee)
    }
}

/// What all clones of an edge share.
#[derive(Debug)]
pub(crate) struct EdgeState<O: ?Sized> {
    caller: Name,
    /// The same, as spans have it.
    calling: &'static str,
    callee: &'static str,
    /// The same, as code runs for it.
    place: &'static Place,
    methods: &'static [Method],
    /// What a call along it may take.
    limit: Deadline,
    /// The same for each method, where any has a limit of its own.
    limits: Option<Box<[Deadline]>>,
    /// After how long a call of each method is also sent to another replica, where any is.
    hedges: Option<Box<[Option<Duration>]>>,
    /// The implementation in this process, if it was here when the edge was made: as long as the edge is, so that a
    /// call borrows it and counts itself neither in nor out.
    local: Option<Local<O>>,
    /// One that has come to be in this process since.
    later: ArcSwapOption<Local<O>>,
    /// The way to the other replicas; `None` outside of an application.
    remote: Option<Callee>,
    /// Of calls that somebody's limit has kept from being executed.
    overloads: Reminder,
    recorder: Recorder,
    /// Where its spans go; `None` where there are none.
    trails: Option<Arc<Trails>>,
}

/// An implementation in this process, as an edge leads to it.
#[derive(Debug)]
pub(crate) struct Local<O: ?Sized> {
    pub(crate) object: Arc<O>,
    pub(crate) routing: Routing,
    /// Where calls that have to wait are counted in; `None` outside of an application.
    pub(crate) gate: Option<Arc<Gate>>,
}

/// Which calls go to an implementation in this process: one word that each call reads.
#[derive(Debug, Default)]
pub(crate) struct Routing(AtomicU8);

/// All of them, and most are not counted.
const HERE: u8 = 0;
/// All of them, and each is counted: more replicas of the component alone may come to be started.
const COUNTED: u8 = 1;
/// Each is counted, and goes to one of these replicas where that is the better place.
const SHARED: u8 = 2;
/// None: they go to other replicas, if there are any.
const LEFT: u8 = 3;

impl Routing {
    #[inline]
    fn now(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// It takes no more calls. There is no way back.
    fn leave(&self) {
        self.0.store(LEFT, Ordering::Relaxed);
    }

    fn turn(&self, routing: u8) {
        let stays = |now| (now != LEFT).then_some(routing);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, stays);
    }
}

/// How often a method was called along an edge, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCounts {
    /// The edge and the method.
    pub edge: Edge,
    /// Calls that brought back what the implementation answered, its own errors included.
    pub answered: u64,
    /// Calls that failed and were surely not executed.
    pub not_executed: u64,
    /// Calls that failed and may have been executed.
    pub unknown: u64,
    /// Calls that failed although they were executed.
    pub executed: u64,
}

impl<O: ?Sized + Send + Sync + 'static> ClientEdge<O> {
    pub(crate) fn new<'s, I: Interface<Object = O>>(
        caller: Name,
        set: impl Fn(Option<&str>) -> Option<&'s EdgeSettings>,
        local: Option<Local<O>>,
        remote: Option<Callee>,
        metrics: Metrics,
        trails: Option<Arc<Trails>>,
    ) -> Self {
        let timeout = |method| set(method).and_then(EdgeSettings::timeout);
        let limit = Deadline::within(timeout(None).unwrap_or(DEFAULT_TIMEOUT));
        let own: Vec<Option<Duration>> = I::METHODS
            .iter()
            .map(|method| timeout(Some(method.name)))
            .collect();
        let hedge = |method| set(method).and_then(EdgeSettings::hedge);
        let hedges = I::METHODS.iter().map(|method| {
            let after = hedge(Some(method.name)).or_else(|| hedge(None));
            // Zero is the word "none".
            after.filter(|after| method.idempotent && !after.is_zero())
        });
        let hedges: Box<[Option<Duration>]> = hedges.collect();
        let hedges = hedges.iter().any(Option::is_some).then_some(hedges);
        let limits = own.iter().any(Option::is_some).then(|| {
            let own = own.iter();
            own.map(|own| own.map_or(limit, Deadline::within)).collect()
        });
        const { check_names::<I>() };
        let state = EdgeState {
            calling: Place::named(caller.as_str()).component,
            caller,
            callee: I::NAME,
            place: Place::of(I::NAME),
            methods: I::METHODS,
            limit,
            limits,
            hedges,
            local,
            later: ArcSwapOption::empty(),
            remote,
            overloads: Reminder::default(),
            recorder: Recorder::new(I::METHODS.len() * WAYS.len(), metrics),
            trails,
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// An edge from outside of any application to `implementation`.
    pub fn local<I: Interface<Object = O> + ImplementedBy<C>, C>(implementation: Arc<C>) -> Self {
        let caller = Name::new("outside").expect("a constant that is a name");
        let local = Local {
            object: I::object(implementation),
            routing: Routing::default(),
            gate: None,
        };
        Self::new::<I>(caller, |_| None, Some(local), None, Metrics::Off, None)
    }

    /// Finds the target of a call of the method at `method`.
    #[inline]
    pub fn begin(&self, method: u16) -> Call<'_, O> {
        let edge = &self.state;
        match &edge.local {
            Some(local) if local.routing.now() == HERE => Call::Local(LocalCall {
                edge,
                here: local,
                method,
                counted: false,
            }),
            _ => Self::begin_elsewhere(edge, method),
        }
    }

    /// The same where the implementation that the edge was made with is not here, or not any more, or not alone.
    fn begin_elsewhere(edge: &Arc<EdgeState<O>>, method: u16) -> Call<'_, O> {
        let first = edge.local.as_ref();
        if let Some(here) = first.filter(|local| local.routing.now() != LEFT) {
            return match edge.relief(here, method) {
                Some(lead) => edge.away(method, Some(lead)),
                None => Call::Local(LocalCall {
                    edge,
                    here,
                    method,
                    counted: here.routing.now() != HERE,
                }),
            };
        }
        let Some(here) = edge.later.load_full() else {
            return edge.away(method, None);
        };
        match edge.relief(&here, method) {
            Some(lead) => edge.away(method, Some(lead)),
            None => Call::Arrived(ArrivedCall {
                edge,
                method,
                counted: here.routing.now() != HERE,
                here,
            }),
        }
    }

    pub(crate) fn state(&self) -> &Arc<EdgeState<O>> {
        &self.state
    }

    /// `edge`, if it leads from `caller` to `callee`, and into this process where the callee is `here`.
    pub(crate) fn known(
        edge: Arc<dyn Counted>,
        caller: &Name,
        callee: &str,
        here: bool,
    ) -> Option<Self> {
        let edge: Arc<dyn Any + Send + Sync> = edge;
        let state = edge.downcast::<EdgeState<O>>().ok()?;
        let same = state.caller == *caller && state.callee == callee;
        (same && (state.local.is_some() || !here)).then_some(Self { state })
    }
}

impl<O: ?Sized> EdgeState<O> {
    /// The callee, as code runs for it.
    #[inline]
    pub(crate) fn place(&self) -> &'static Place {
        self.place
    }

    /// Counts its calls.
    #[inline]
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Where a call along it stands that is made from `outer`.
    #[inline]
    pub(crate) fn trail(&self, outer: Trail) -> Trail {
        match &self.trails {
            Some(trails) => trails.below(outer),
            None => outer,
        }
    }

    /// Where its spans go; `None` where there are none.
    pub(crate) fn trails(&self) -> Option<&Trails> {
        self.trails.as_deref()
    }

    /// A call of the method at `method`, as its span has it.
    pub(crate) fn what(&self, method: u16, kind: SpanKind) -> What {
        What {
            kind,
            caller: self.calling,
            component: self.callee,
            method: self.method(method),
        }
    }

    /// Where this thread counts calls of the method at `method` that go that way.
    #[inline]
    pub(crate) fn lane(&self, method: u16, way: Way) -> Option<Lane<'_>> {
        self.recorder.lane(lane(method, way))
    }

    /// What a call of the method at `method` may take.
    #[inline]
    pub(crate) fn limit(&self, method: u16) -> Deadline {
        let own = self.limits.as_ref();
        let own = own.and_then(|limits| limits.get(usize::from(method)));
        own.copied().unwrap_or(self.limit)
    }

    /// After how long a call of the method at `method` is also sent to another replica.
    fn hedge(&self, method: u16) -> Option<Duration> {
        *self.hedges.as_ref()?.get(usize::from(method))?
    }

    /// A call of the method at `method` that leaves the process; by `lead`, if that was chosen.
    fn away(self: &Arc<Self>, method: u16, lead: Option<Lead>) -> Call<'_, O> {
        Call::Remote(RemoteCall {
            edge: self,
            method,
            key: None,
            lead: lead.map(Box::new),
        })
    }

    /// The replica that a call of the method at `method` is given to, where it had better not be answered `here`: one that was
    /// started for a burst, and has fewer calls of this process than are inside here. A call that is routed by a key stays.
    fn relief(&self, here: &Local<O>, method: u16) -> Option<Lead> {
        if here.routing.now() != SHARED {
            return None;
        }
        let inside = here.gate.as_ref()?.inside();
        let is_routed = self.methods.get(usize::from(method))?.routed.is_some();
        if inside == 0 || is_routed {
            return None;
        }
        self.remote.as_ref()?.relief(inside)
    }

    /// Counts a call that has begun into the component in this process, so that it is not stopped before the call
    /// is over.
    pub(crate) fn stay(&self, here: &Local<O>, method: u16) -> Option<Permit> {
        let caller = Some(self.caller.clone());
        let inside = Inside { method, caller };
        Some(here.gate.as_ref()?.stay(inside))
    }

    /// Counts a call that was not executed for `overload`, and logs it, if that was not done for a while.
    fn tell_overload(&self, overload: &Overload) {
        let Some(failed) = self.overloads.happened(Instant::now()) else {
            return;
        };
        let edge = format!("{} -> {}", self.caller, self.callee);
        let setting = match overload {
            Overload::Edge { limit } => {
                format!(": `[edges.\"{edge}\"] concurrency = {limit}`")
            }
            // The callee's own log names its setting.
            _ => String::new(),
        };
        tracing::warn!(
            target: "anylith",
            failed,
            "overloaded: calls of {edge} were not executed: {overload}{setting}"
        );
    }

    /// Of a call that was under way when the time of its callee to drain was over.
    pub(crate) fn stopped(&self, method: u16) -> CallError {
        Failure::Unknown(LostAnswer::Stopped).at(self.edge(method))
    }

    /// Of a call that panicked in this process.
    #[cold]
    pub(crate) fn panicked(&self, method: u16, message: String) -> CallError {
        let edge = self.edge(method);
        tracing::error!(target: "anylith", "the call {edge} failed with that panic");
        CallError::Panicked { edge, message }
    }

    /// Of a call that this process has not answered in time. It is counted.
    #[cold]
    pub(crate) fn late(&self, method: u16, allowance: Option<Allowance>) -> CallError {
        guard::count_late();
        CallError::DeadlineExceeded {
            edge: self.edge(method),
            execution: Execution::Unknown,
            allowance,
        }
    }

    /// The edge and method by name, for errors.
    pub(crate) fn edge(&self, method: u16) -> Edge {
        let method = self.method(method);
        Edge::new(self.caller.clone(), checked(self.callee), checked(method))
    }

    fn method(&self, method: u16) -> &'static str {
        let method = self.methods.get(usize::from(method));
        method.map_or("unknown", |method| method.name)
    }
}

/// The ways that a call can take, in the order of their lanes.
const WAYS: [Way; 2] = [Way::Local, Way::Remote];

/// The number of the lane on which calls of the method at `method` are counted that go that way.
#[inline]
pub(crate) fn lane(method: u16, way: Way) -> usize {
    usize::from(method) * WAYS.len() + way as usize
}

/// Edges of any interface, as the runtime counts them.
pub(crate) trait Counted: Any + Send + Sync {
    /// The counts of each method.
    fn counts(&self) -> Vec<CallCounts>;

    /// Adds all that was counted to `numbers`.
    fn count_into(&self, numbers: &mut Numbers);

    /// Makes further calls of `component` leave the process.
    fn leave(&self, component: &str);

    /// Makes further calls of `component` stay in the process, where it is `present` now.
    fn come(&self, component: &str, present: &Present);

    /// Has calls that stay in the process be counted, or given away, where `directory` has their component among its
    /// bursts.
    fn share(&self, directory: &Directory);
}

impl<O: ?Sized + Send + Sync + 'static> Counted for EdgeState<O> {
    fn leave(&self, component: &str) {
        if self.callee != component {
            return;
        }
        if let Some(local) = &self.local {
            local.routing.leave();
        }
        self.later.store(None);
    }

    fn come(&self, component: &str, present: &Present) {
        let is_here = |local: &Local<O>| local.routing.now() != LEFT;
        if self.callee != component || self.local.as_ref().is_some_and(is_here) {
            return;
        }
        self.later.store(present.local().map(Arc::new));
    }

    fn share(&self, directory: &Directory) {
        let routing = match directory.bursts.get(self.callee) {
            None => HERE,
            Some(replicas) if replicas.is_empty() => COUNTED,
            Some(_) => SHARED,
        };
        if let Some(local) = &self.local {
            local.routing.turn(routing);
        }
        if let Some(local) = &*self.later.load() {
            local.routing.turn(routing);
        }
    }

    fn counts(&self) -> Vec<CallCounts> {
        let methods = 0..self.methods.len() as u16;
        let counts = methods.map(|method| {
            let ways = WAYS.map(|way| self.recorder.read(lane(method, way)));
            let count = |outcome| ways.iter().map(|calls| calls.count(outcome)).sum::<u64>();
            CallCounts {
                edge: self.edge(method),
                answered: count(Outcome::Answered) + count(Outcome::Erred),
                not_executed: count(Outcome::NotExecuted),
                unknown: count(Outcome::Unknown),
                executed: count(Outcome::Executed),
            }
        });
        counts.collect()
    }

    fn count_into(&self, numbers: &mut Numbers) {
        for (method, of) in (0..).zip(self.methods) {
            for way in WAYS {
                let calls = self.recorder.read(lane(method, way));
                if !calls.is_empty() {
                    let (callee, method) = (checked(self.callee), checked(of.name));
                    let own = numbers.edge(&self.caller, &callee, &method, way);
                    own.add(&calls);
                }
            }
        }
    }
}

/// A call that is about to be made, and where it goes.
#[derive(Debug)]
pub enum Call<'a, O: ?Sized> {
    /// To the implementation in this process.
    Local(LocalCall<'a, O>),
    /// To one that has come into this process since the edge was made.
    Arrived(ArrivedCall<'a, O>),
    /// To a replica out of the directory.
    Remote(RemoteCall<'a, O>),
}

/// A call to another process, about to be made.
#[derive(Debug)]
pub struct RemoteCall<'a, O: ?Sized> {
    edge: &'a Arc<EdgeState<O>>,
    method: u16,
    /// The hash of what it is routed by.
    key: Option<u64>,
    /// Where it is given to, if it could stay in this process as well.
    lead: Option<Box<Lead>>,
}

/// Writes the arguments of a call; perhaps more than once, where it is sent again.
pub type WriteArguments<'a> = &'a (dyn Fn(&mut ArgumentWriter<'_>) -> Result<(), Failure> + Sync);

impl<O: ?Sized + Send + Sync + 'static> RemoteCall<'_, O> {
    /// Has the call go where others go for which `write` writes the same.
    #[must_use]
    pub fn routed_by(self, write: WriteArguments<'_>) -> Self {
        let mut key = Vec::new();
        // One that cannot be written fails with all of the arguments, and that says why.
        let written = write(&mut ArgumentWriter::new(&mut key));
        let key = written.is_ok().then(|| routing::hash(&key));
        Self { key, ..self }
    }

    /// Makes a call that has one answer.
    pub(crate) async fn unary<R>(mut self, write: WriteArguments<'_>, items: Option<Items>) -> R
    where
        R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
    {
        let begun = Instant::now();
        let end = ambient::settle(self.edge.limit(self.method), begun);
        let underway = Underway::begin(&self.edge.recorder, self.lane(), Some(begun));
        let (context, span) = self.leave(begun);
        let repeats = AtomicU32::new(0);
        let lead = self.lead.take();
        let sent = self.send(write, items, (false, lead), (end, &context, &repeats));
        let result = match sent.await {
            Ok(Reply::Message(message)) => {
                if let Some(underway) = &underway {
                    underway.received(message.len());
                }
                decode_result::<R>(&message)
            }
            Ok(Reply::Stream(_)) => Err(unexpected_stream()),
            Err(failure) => Err(failure),
        };
        let outcome = outcome(&result, R::is_error);
        let result = result.map_err(|failure| self.fail(failure, begun, end));
        let error = |answer: &R| answer.error().and_then(variants);
        conclude(&result, (outcome, error), underway, span, repeats);
        result.unwrap_or_else(|error| R::from_result(Err(error.into())))
    }

    /// Makes a call that is answered by a stream.
    pub(crate) async fn streaming<R, E>(
        mut self,
        write: WriteArguments<'_>,
        items: Option<Items>,
    ) -> Result<StreamingOf<R>, E>
    where
        R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
        E: Travels + From<CallError>,
    {
        let begun = Instant::now();
        let end = ambient::settle(self.edge.limit(self.method), begun);
        let counts = Counts(Arc::clone(self.edge));
        let mut underway = Underway::begin(counts, self.lane(), Some(begun));
        let (context, span) = self.leave(begun);
        let repeats = AtomicU32::new(0);
        let lead = self.lead.take();
        let sent = self.send(write, items, (true, lead), (end, &context, &repeats));
        let result = match sent.await {
            Ok(Reply::Stream(items)) => {
                let items = match underway.take() {
                    Some(underway) => AnswerItems::of(items, underway),
                    None => items,
                };
                Ok(Ok(decoded::<R>(items, self.edge.edge(self.method))))
            }
            Ok(Reply::Message(message)) => {
                if let Some(underway) = &underway {
                    underway.received(message.len());
                }
                match decode_result::<Result<(), E>>(&message) {
                    Ok(Err(error)) => Ok(Err(error)),
                    Ok(Ok(())) => Err(unexpected_stream()),
                    Err(failure) => Err(failure),
                }
            }
            Err(failure) => Err(failure),
        };
        let outcome = outcome(&result, Result::is_err);
        let result = result.map_err(|failure| self.fail(failure, begun, end));
        let error = |answer: &Result<_, E>| answer.as_ref().err().and_then(variants);
        conclude(&result, (outcome, error), underway, span, repeats);
        result.unwrap_or_else(|error| Err(error.into()))
    }

    /// Where it is counted.
    fn lane(&self) -> usize {
        lane(self.method, Way::Remote)
    }

    async fn send(
        &self,
        write: WriteArguments<'_>,
        items: Option<Items>,
        (streaming_answer, lead): (bool, Option<Box<Lead>>),
        (deadline, context, repeats): (Option<Instant>, &CallContext, &AtomicU32),
    ) -> Result<Reply, Failure> {
        let Some(callee) = &self.edge.remote else {
            let reason = "this client has no application behind it".to_owned();
            return Err(Failure::NotExecuted(Refusal::Unreachable(reason)));
        };
        let idempotent = self
            .edge
            .methods
            .get(usize::from(self.method))
            .is_some_and(|method| method.idempotent);
        callee
            .call(Request {
                method: self.method,
                idempotent,
                deadline,
                context,
                key: self.key,
                hedge: self.edge.hedge(self.method),
                arguments: &|out: &mut Vec<u8>| {
                    write(&mut ArgumentWriter::new(out))?;
                    if let Some(lane) = self.edge.recorder.lane(self.lane()) {
                        lane.sent(out.len());
                    }
                    Ok(())
                },
                items: items.map(|items| self.counted(items)),
                streaming_answer,
                lead: lead.map(|lead| *lead),
                repeated: &|repeat| {
                    repeats.fetch_add(1, Ordering::Relaxed);
                    let lane = self.edge.recorder.lane(self.lane());
                    match (lane, repeat) {
                        (Some(lane), Repeat::Retry) => lane.retried(),
                        (Some(lane), Repeat::Hedge) => lane.hedged(),
                        (None, _) => {}
                    }
                },
            })
            .await
    }

    /// `items`, counted as they are sent.
    fn counted(&self, items: Items) -> Items {
        if self.edge.recorder.lane(self.lane()).is_none() {
            return items;
        }
        let counts = Counts(Arc::clone(self.edge));
        ArgumentItems::of(items, counts, self.lane())
    }

    /// The error of a call that began at `begun` and was to be over at `end`.
    fn fail(&self, failure: Failure, begun: Instant, end: Option<Instant>) -> CallError {
        if let Failure::NotExecuted(Refusal::Overloaded(overload)) = &failure {
            self.edge.tell_overload(overload);
        }
        let mut error = failure.at(self.edge.edge(self.method));
        if let CallError::DeadlineExceeded { allowance, .. } = &mut error {
            guard::count_late();
            let limit = self.edge.limit(self.method);
            *allowance = end.map(|end| limit.allowance(begun, end));
        }
        error
    }
}

impl<'a, O: ?Sized + Send + Sync + 'static> RemoteCall<'a, O> {
    /// What travels with the call, which began at `begun`, and its span.
    fn leave(&self, begun: Instant) -> (CallContext, Option<OpenSpan<&'a Trails>>) {
        let edge: &'a EdgeState<O> = self.edge;
        let Some(trails) = edge.trails() else {
            return (ambient::context(), None);
        };
        let mut trail = trails.below(ambient::frame().trail);
        let Some(step) = ambient::step(&mut trail) else {
            return (ambient::context(), None);
        };
        let span = trails.are_collected().then(|| {
            let what = edge.what(self.method, SpanKind::Client);
            OpenSpan::begin(trails, step, what, begun)
        });
        (ambient::context_at(&step), span)
    }
}

/// Counts the end of a call that left the process, and ends its span, which says with `error` what the callee's own error was.
/// It was made `repeats` times more.
fn conclude<T, C: Borrow<Recorder>>(
    result: &Result<T, CallError>,
    (outcome, error): (Outcome, impl FnOnce(&T) -> Option<String>),
    underway: Option<Underway<C>>,
    span: Option<OpenSpan<&Trails>>,
    repeats: AtomicU32,
) {
    let over = (underway.is_some() || span.is_some()).then(Instant::now);
    if let Some(underway) = underway {
        underway.end(outcome, over);
    }
    if let Some((mut span, over)) = span.zip(over) {
        let repeats = repeats.into_inner();
        if repeats > 0 {
            span.detail().repeats = repeats;
        }
        let error = match result {
            Ok(answer) => error(answer),
            Err(error) => Some(error.to_string()),
        };
        span.end(outcome, over, error);
    }
}

/// What counts the calls along an edge, for what outlives the call.
pub(crate) struct Counts<O: ?Sized>(pub(crate) Arc<EdgeState<O>>);

impl<O: ?Sized> Borrow<Recorder> for Counts<O> {
    fn borrow(&self) -> &Recorder {
        &self.0.recorder
    }
}

/// How a call ended that has this result.
fn outcome<R>(result: &Result<R, Failure>, is_error: impl Fn(&R) -> bool) -> Outcome {
    match result {
        Ok(answer) => Outcome::of(None, is_error(answer)),
        Err(failure) => Outcome::of(Some(failure.execution()), false),
    }
}

/// The peer answered with a stream where there should be a message, or the other way round. The
/// fingerprints of both sides agreed, so it is not our peer's interface but its code that is wrong.
fn unexpected_stream() -> Failure {
    let problem = "the answer has the wrong form".to_owned();
    Failure::Executed(anylith_core::BadAnswer::Undecodable(problem))
}
