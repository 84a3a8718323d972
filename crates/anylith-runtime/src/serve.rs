//! The receiving end of a call: from a message to the implementation, and back.

mod counting;
mod recorders;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use anylith_core::{CallContext, Edge, Refusal};
use anylith_rpc::{Answer, Failure, Incoming, Network, Readiness, Serve, ServedComponent};
use anylith_telemetry::{Outcome, Recorder, SpanKind, What};
use anylith_wire::control::ComponentState;
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::sync::watch;

use self::counting::Counting;
pub(crate) use self::recorders::Recorders;
use crate::{
    ambient::{self, Frame},
    deadline::Deadline,
    gate::{Gate, Inside, Permit},
    guard,
    interface::{Method, checked},
    message::IncomingItems,
    place::Place,
    replica::States,
    trail::Trail,
    trails::{OpenSpan, Step, Trails},
};

/// A future on the heap that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A call that came from another process.
pub struct IncomingCall {
    place: &'static Place,
    methods: &'static [Method],
    permit: Permit,
    recorder: Arc<Recorder>,
    trails: Option<Arc<Trails>>,
    incoming: Incoming,
}

impl IncomingCall {
    /// Which method is called, in the order of the trait.
    pub fn method(&self) -> u16 {
        self.incoming.method
    }

    /// Runs `work`, which reads the arguments, asks the implementation and writes the answer, as a component's
    /// border demands: a panic fails this call alone, and what the implementation calls in turn has the rest of
    /// this call's time.
    pub fn run<W, F>(self, work: W) -> BoxFuture<'static, Answer>
    where
        W: FnOnce(Bytes, Option<IncomingItems>, Vec<u8>) -> F,
        F: Future<Output = Result<Answer, Failure>> + Send + 'static,
    {
        let edge = self.edge();
        let method = self.methods.get(usize::from(self.incoming.method));
        let method = method.map_or("unknown", |it| it.name);
        let Self {
            place,
            permit,
            recorder,
            trails,
            mut incoming,
            ..
        } = self;
        let span = trails.and_then(|trails| {
            let step = Step::arriving(&trails, &mut incoming.context.trace);
            if !trails.are_collected() {
                return None;
            }
            let what = What {
                kind: SpanKind::Server,
                caller: "",
                component: place.component,
                method,
            };
            Some(OpenSpan::begin(trails, step, what, Instant::now()))
        });
        let trail = Trail::carried(incoming.context.trace.as_ref());
        let lane = usize::from(incoming.method);
        let items = incoming.items.map(|items| IncomingItems {
            items,
            edge: edge(),
        });
        Box::pin(Served {
            future: work(incoming.arguments, items, incoming.buffer),
            border: Some(Border {
                frame: Frame {
                    place,
                    deadline: incoming.deadline.map_or(Deadline::NONE, Deadline::at),
                    trail,
                },
                method,
                context: incoming.context,
                _permit: permit,
                counting: Counting::Ahead { recorder, lane },
                span,
            }),
        })
    }

    /// The edge, for the errors of a stream argument. Which component of the peer called is not sent with
    /// every call, so the caller is given as `peer`.
    fn edge(&self) -> impl Fn() -> Edge + use<> {
        let place = self.place;
        let method = self.methods.get(usize::from(self.incoming.method));
        move || {
            let method = method.map_or("unknown", |it| it.name);
            Edge::new(checked("peer"), checked(place.component), checked(method))
        }
    }

    /// Refuses a call of a method that the interface does not have.
    pub fn unknown_method(self) -> BoxFuture<'static, Answer> {
        Box::pin(async { Answer::Failed(Failure::NotExecuted(Refusal::UnknownMethod)) })
    }
}

/// What an answer is made under.
struct Border {
    frame: Frame,
    /// Its name.
    method: &'static str,
    context: CallContext,
    /// Held until the answer is complete.
    _permit: Permit,
    counting: Counting,
    /// `None` where there are no traces, and once the answer was given.
    span: Option<OpenSpan<Arc<Trails>>>,
}

impl Border {
    fn cross<T>(&mut self, poll: impl FnOnce() -> T) -> Result<T, Failure> {
        let Self {
            frame,
            context,
            method,
            ..
        } = self;
        let crossed = ambient::carrying(context, || ambient::under(frame, poll));
        crossed.map_err(|said| {
            let (component, method) = (frame.place.component, *method);
            tracing::error!(target: "anylith", "a call of {component}.{method} failed with that panic");
            Failure::Panicked(said)
        })
    }
}

pin_project! {
    /// The future of a served call.
    struct Served<F> {
        #[pin]
        future: F,
        // `None` once the answer was given.
        border: Option<Border>,
    }
}

impl<F: Future<Output = Result<Answer, Failure>>> Future for Served<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        let border = this
            .border
            .as_mut()
            .expect("a future is not polled after it was ready");
        let begun = border.counting.begin();
        let answer = match border.cross(|| this.future.poll(cx)) {
            Ok(Poll::Pending) => {
                border.counting.wait(begun);
                return Poll::Pending;
            }
            Ok(Poll::Ready(Ok(answer))) => answer,
            Ok(Poll::Ready(Err(failure))) | Err(failure) => Answer::Failed(failure),
        };
        let outcome = match &answer {
            // So an error of the component is written: its result begins with which of both it is.
            Answer::Message(message) => Outcome::of(None, message.first() == Some(&1)),
            Answer::Stream(_) => Outcome::Answered,
            Answer::Failed(failure) => Outcome::of(Some(failure.execution()), false),
        };
        match &answer {
            Answer::Failed(Failure::NotExecuted(_)) => {}
            Answer::Message(_) | Answer::Stream(_) | Answer::Failed(_) => {
                guard::count_answer(outcome != Outcome::Answered);
            }
        }
        let flows = matches!(answer, Answer::Stream(_));
        let over = border.counting.end(outcome, begun, flows);
        if let Some(span) = border.span.take() {
            let error = match &answer {
                Answer::Failed(failure) => Some(failure.to_string()),
                Answer::Message(_) | Answer::Stream(_) => None,
            };
            span.end(outcome, over.unwrap_or_else(Instant::now), error);
        }
        let border = this.border.take();
        Poll::Ready(match answer {
            Answer::Stream(items) => Answer::Stream(Box::pin(ServedStream { items, border })),
            other => other,
        })
    }
}

/// The stream that answers a served call. It is inside the component until its end.
struct ServedStream {
    items: Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>,
    /// `None` once the stream is over.
    border: Option<Border>,
}

impl Stream for ServedStream {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { items, border } = &mut *self;
        let Some(inside) = border else {
            return Poll::Ready(None);
        };
        let item = match inside.cross(|| items.as_mut().poll_next(cx)) {
            Ok(polled) => ready!(polled),
            Err(failure) => Some(Err(failure)),
        };
        if !matches!(item, Some(Ok(_))) {
            *border = None;
        }
        Poll::Ready(item)
    }
}

/// An implementation as other processes call it, whatever its type.
pub(crate) trait Dispatch: Send + Sync {
    /// Begins a call.
    fn dispatch(&self, call: IncomingCall) -> BoxFuture<'static, Answer>;
}

/// One component of this replica, as its peers see it.
pub(crate) struct Door {
    pub(crate) served: ServedComponent,
    pub(crate) place: &'static Place,
    pub(crate) methods: &'static [Method],
    pub(crate) gate: Arc<Gate>,
    pub(crate) recorders: Arc<Recorders>,
    pub(crate) trails: Option<Arc<Trails>>,
    /// The implementation, while it is ready.
    pub(crate) open: ArcSwapOption<Box<dyn Dispatch>>,
}

/// The components of this replica, in the order in which the handshake names them. One that comes gets a place behind
/// the others, or the one that it had before: what was said in a greeting stays true.
pub(crate) struct Doors {
    rooms: ArcSwap<Rooms>,
    /// What is not ready takes no calls although its door may be open, and what is not well is called last.
    states: watch::Receiver<States>,
    /// Whose directory says where else a component is.
    network: Network,
}

#[derive(Default, Clone)]
struct Rooms {
    doors: Vec<Arc<Door>>,
    by_name: BTreeMap<&'static str, usize>,
}

impl Rooms {
    fn add(&mut self, door: Arc<Door>) {
        match self.by_name.get(door.place.component) {
            Some(index) => self.doors[*index] = door,
            None => {
                self.by_name.insert(door.place.component, self.doors.len());
                self.doors.push(door);
            }
        }
    }
}

impl Doors {
    pub(crate) fn new(doors: Vec<Door>, states: watch::Receiver<States>, network: Network) -> Self {
        let mut rooms = Rooms::default();
        doors.into_iter().for_each(|door| rooms.add(Arc::new(door)));
        Self {
            rooms: ArcSwap::from_pointee(rooms),
            states,
            network,
        }
    }

    /// Adds the door of a component that comes, in the place of the one that it had.
    pub(crate) fn add(&self, door: Door) {
        let door = Arc::new(door);
        self.rooms.rcu(|rooms| {
            let mut rooms = Rooms::clone(rooms);
            rooms.add(Arc::clone(&door));
            rooms
        });
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Door>> {
        self.rooms.load().doors.clone()
    }

    /// The door of `component`.
    pub(crate) fn of(&self, component: &str) -> Option<Arc<Door>> {
        let rooms = self.rooms.load();
        let index = *rooms.by_name.get(component)?;
        rooms.doors.get(index).cloned()
    }
}

impl Serve for Doors {
    fn components(&self) -> Vec<ServedComponent> {
        let rooms = self.rooms.load();
        rooms.doors.iter().map(|door| door.served.clone()).collect()
    }

    fn offers(&self, index: u16) -> Readiness {
        let rooms = self.rooms.load();
        let door = rooms.doors.get(usize::from(index));
        let Some(door) = door.filter(|door| door.gate.is_open()) else {
            return Readiness::Closed;
        };
        let states = self.states.borrow();
        let standing = states.get(&door.served.name);
        match standing.map(|standing| standing.state) {
            Some(ComponentState::Ready) => Readiness::Well,
            // It was ready before.
            Some(ComponentState::Unhealthy) => Readiness::Ill,
            Some(
                ComponentState::Waiting
                | ComponentState::Starting
                | ComponentState::Draining
                | ComponentState::Stopped,
            )
            | None => Readiness::Closed,
        }
    }

    fn epoch(&self) -> u64 {
        self.network.directory().epoch
    }

    fn call(&self, incoming: Incoming) -> BoxFuture<'static, Answer> {
        let refuse = |refusal| -> BoxFuture<'static, Answer> {
            Box::pin(std::future::ready(Answer::Failed(Failure::NotExecuted(
                refusal,
            ))))
        };
        let rooms = self.rooms.load();
        let Some(door) = rooms.doors.get(usize::from(incoming.component)) else {
            return refuse(Refusal::UnknownMethod);
        };
        let open = door.open.load();
        let inside = Inside {
            method: incoming.method,
            caller: None,
        };
        let (Some(implementation), Some(permit)) = (&*open, door.gate.enter(inside)) else {
            let epoch = self.epoch();
            return refuse(Refusal::Moved { epoch });
        };
        door.recorders.waited(incoming.waited);
        implementation.dispatch(IncomingCall {
            place: door.place,
            methods: door.methods,
            permit,
            recorder: Arc::clone(&door.recorders.calls),
            trails: door.trails.clone(),
            incoming,
        })
    }
}
