//! Two ends that keep to the protocol, and a line between them that cuts and delays as it likes.
//!
//! The bytes of the input are a script: which end does what, and how many bytes pass when.

use std::{
    collections::BTreeMap,
    io::IoSlice,
    time::{Duration, Instant},
};

use anylith_core::CallContext;
use anylith_wire::{
    BATCH_SLICES, Batch, CallId, CallingEnd, CallingEvent, Failure, NewCall, Readiness, ServingEnd,
    ServingEvent,
};
use bytes::{Bytes, BytesMut};

use super::doors::{component, limits, name};

/// Two correct ends never accuse each other, each call ends once and with its own answer, items arrive
/// whole and in order, and when all calls are over nothing is left of them.
pub fn conversation(script: &[u8]) {
    let mut talk = Conversation::new();
    let mut script = script.iter().map(|byte| *byte as usize);
    while let (Some(action), Some(detail)) = (script.next(), script.next()) {
        talk.act(action, detail);
    }
    talk.finish();
}

struct Conversation {
    calling: CallingEnd,
    serving: ServingEnd,
    requests: Line,
    answers: Line,
    now: Instant,
    /// Calls as the calling end sees them.
    open: BTreeMap<CallId, Open>,
    /// Calls as the serving end sees them.
    served: BTreeMap<CallId, Served>,
    begun: u8,
    /// How the component was on offer last.
    offered: Readiness,
}

#[derive(Debug)]
struct Open {
    /// What identifies the call: all that is sent in it is made of this.
    tag: u8,
    /// Whether items may still be sent.
    items: bool,
    received: u32,
}

struct Served {
    arguments: Bytes,
    streaming: bool,
    stopped: bool,
    received: u32,
    sent: u32,
}

/// One direction.
#[derive(Default)]
struct Line {
    batch: Batch,
    under_way: BytesMut,
    arrived: BytesMut,
}

impl Line {
    /// Moves at most `count` bytes out of the batch, and of those that are under way to the other end.
    fn pass(&mut self, count: usize) -> usize {
        let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
        let pieces = self.batch.slices(&mut slices);
        let mut left = count;
        for piece in &slices[..pieces] {
            let passed = left.min(piece.len());
            self.under_way.extend_from_slice(&piece[..passed]);
            left -= passed;
        }
        let written = count - left;
        self.batch.advance(written);
        let arriving = count.min(self.under_way.len());
        self.arrived
            .extend_from_slice(&self.under_way.split_to(arriving));
        written
    }
}

impl Conversation {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            calling: CallingEnd::new(name("Caller-1"), &limits(), now),
            serving: ServingEnd::new(name("Shop-1"), vec![component()], &limits(), now),
            requests: Line::default(),
            answers: Line::default(),
            now,
            open: BTreeMap::new(),
            served: BTreeMap::new(),
            begun: 0,
            offered: Readiness::Closed,
        }
    }

    fn act(&mut self, action: usize, detail: usize) {
        let open = pick(&self.open, detail);
        let served = pick(&self.served, detail);
        match action % 16 {
            0 | 1 => self.begin(detail),
            2 => {
                if let Some(call) = open {
                    self.open.remove(&call);
                    self.calling.cancel(call);
                }
            }
            3 => {
                let writable =
                    |call: &CallId| self.open[call].items && self.calling.may_send(*call);
                if let Some(call) = open.filter(writable) {
                    let item = body(self.open[&call].tag, detail * 300);
                    self.calling
                        .send_item(call, item)
                        .expect("it is short enough");
                }
            }
            4 => {
                if let Some((call, open)) =
                    open.and_then(|call| Some((call, self.open.get_mut(&call)?)))
                    && std::mem::take(&mut open.items)
                {
                    self.calling.end_items(call);
                }
            }
            5 | 6 => self.pass_requests(1 << (detail % 20)),
            7 | 8 => self.pass_answers(1 << (detail % 20)),
            9 => {
                if let Some(call) = served {
                    self.answer(call, detail);
                }
            }
            10 | 11 => {
                if let Some(call) = served {
                    self.send_item(call, detail * 500);
                }
            }
            12 => {
                self.offered = match self.offered {
                    Readiness::Closed => Readiness::Well,
                    Readiness::Well => Readiness::Ill,
                    Readiness::Ill => Readiness::Closed,
                };
                self.serving.offer(vec![self.offered]);
            }
            13 => self.wait(Duration::from_millis(detail as u64)),
            _ => {
                if let Some(call) = served {
                    self.end(call);
                }
            }
        }
    }

    /// Begins a call; odd ones have items, and each carries what identifies it.
    fn begin(&mut self, detail: usize) {
        let tag = self.begun;
        let context = CallContext::default();
        let call = NewCall {
            component: 0,
            method: (detail % 3) as u16,
            deadline: detail
                .is_multiple_of(5)
                .then(|| self.now + Duration::from_millis(300)),
            context: &context,
            items: tag % 2 == 1,
        };
        // Some are of several frames.
        let length = if detail > 240 { detail * 1500 } else { detail };
        if let Ok(id) = self
            .calling
            .begin(&call, &mut body(tag, length + 1).to_vec(), self.now)
        {
            self.begun = self.begun.wrapping_add(1);
            let open = Open {
                tag,
                items: call.items,
                received: 0,
            };
            assert!(
                self.open.insert(id, open).is_none(),
                "call {id} is not over"
            );
        }
    }

    fn pass_requests(&mut self, count: usize) {
        if self.requests.batch.is_empty() {
            self.calling.fill(&mut self.requests.batch, &mut Vec::new());
        }
        let written = self.requests.pass(count);
        self.calling.written(written);
        while let Some(event) = self
            .serving
            .receive(&mut self.requests.arrived, self.now)
            .expect("a correct caller")
        {
            self.on_serving(event);
        }
    }

    fn pass_answers(&mut self, count: usize) {
        if self.answers.batch.is_empty() {
            self.serving.fill(&mut self.answers.batch, &mut Vec::new());
        }
        self.answers.pass(count);
        while let Some(event) = self
            .calling
            .receive(&mut self.answers.arrived, self.now)
            .expect("a correct callee")
        {
            self.on_calling(event);
        }
    }

    fn on_serving(&mut self, event: ServingEvent) {
        match event {
            ServingEvent::Request(request) => {
                let served = Served {
                    arguments: request.arguments,
                    streaming: false,
                    stopped: false,
                    received: 0,
                    sent: 0,
                };
                let before = self.served.insert(request.call, served);
                assert!(before.is_none(), "call {} was begun twice", request.call);
            }
            ServingEvent::Item { call, item } => {
                let served = self.served.get_mut(&call).expect("items come for calls");
                assert!(
                    item == body(served.arguments[0], item.len()),
                    "another call's item"
                );
                served.received += 1;
                self.serving.taken(call, item.len());
            }
            ServingEvent::Cancelled { call } => {
                self.served
                    .get_mut(&call)
                    .expect("calls are stopped")
                    .stopped = true;
            }
            ServingEvent::Ready
            | ServingEvent::Denied { .. }
            | ServingEvent::ItemsEnded { .. }
            | ServingEvent::Writable { .. } => {}
        }
    }

    fn on_calling(&mut self, event: CallingEvent) {
        match event {
            CallingEvent::Answered { call, message } => {
                let open = self.open.remove(&call).expect("an answer to a call");
                assert!(
                    message == body(open.tag, message.len()),
                    "another call's answer"
                );
            }
            CallingEvent::Failed { call, .. } | CallingEvent::Ended { call } => {
                self.open.remove(&call).expect("an end of a call");
            }
            CallingEvent::Item { call, item } => {
                let open = self.open.get_mut(&call).expect("an item of a call");
                let number = u32::from_le_bytes(*item.first_chunk().expect("it is numbered"));
                assert_eq!(number, open.received, "items keep their order");
                assert!(
                    item[4..] == body(open.tag, item.len() - 4),
                    "another call's item"
                );
                open.received += 1;
                self.calling.taken(call, item.len());
            }
            CallingEvent::Begun { call } | CallingEvent::Writable { call } => {
                assert!(
                    self.open.contains_key(&call),
                    "nobody waits for call {call}"
                );
            }
            CallingEvent::Ready | CallingEvent::GoingAway | CallingEvent::Offered => {}
        }
    }

    /// Ends a call by one message, of one frame or several.
    fn answer(&mut self, call: CallId, detail: usize) {
        if !self.served[&call].streaming {
            let served = self.served.remove(&call).expect("it was looked up");
            let length = if detail > 240 { detail * 1500 } else { detail };
            let mut message = body(served.arguments[0], length).to_vec();
            self.serving.respond(call, &mut message);
        }
    }

    fn send_item(&mut self, call: CallId, length: usize) {
        let served = self.served.get_mut(&call).expect("it was looked up");
        if !std::mem::replace(&mut served.streaming, true) {
            self.serving.begin_stream(call);
        }
        if self.serving.may_send(call) {
            let rest = body(served.arguments[0], length);
            let item = [&served.sent.to_le_bytes()[..], &rest].concat();
            served.sent += 1;
            self.serving
                .send_item(call, item.into())
                .expect("it is short enough");
        }
    }

    /// Ends a call, somehow.
    fn end(&mut self, call: CallId) {
        let served = self.served.remove(&call).expect("it was looked up");
        if served.streaming && !served.stopped {
            self.serving.end_stream(call);
        } else {
            self.serving
                .fail(call, &Failure::Panicked("it was told to".to_owned()));
        }
    }

    fn wait(&mut self, length: Duration) {
        self.now += length;
        let (mut calling, mut serving) = (Vec::new(), Vec::new());
        self.calling
            .on_timeout(self.now, &mut calling)
            .expect("too short to be silent");
        self.serving
            .on_timeout(self.now, &mut serving)
            .expect("too short to be silent");
        calling.into_iter().for_each(|event| self.on_calling(event));
        serving.into_iter().for_each(|event| self.on_serving(event));
        // A peer would have been heard by now.
        self.pass_requests(usize::MAX >> 1);
        self.pass_answers(usize::MAX >> 1);
    }

    fn finish(&mut self) {
        loop {
            self.pass_requests(usize::MAX >> 1);
            while let Some(call) = pick(&self.served, 0) {
                self.end(call);
            }
            self.pass_answers(usize::MAX >> 1);
            let quiet = self.requests.batch.is_empty() && self.answers.batch.is_empty();
            if quiet && !self.calling.has_output() && !self.serving.has_output() {
                break;
            }
        }
        assert!(
            self.open.is_empty(),
            "calls without an end: {:?}",
            self.open
        );
        assert_eq!(self.calling.offers(0), self.offered, "the last offer holds");
        assert_eq!((self.calling.in_flight(), self.serving.in_flight()), (0, 0));
    }
}

fn pick<T>(calls: &BTreeMap<CallId, T>, detail: usize) -> Option<CallId> {
    calls.keys().nth(detail % calls.len().max(1)).copied()
}

fn body(tag: u8, length: usize) -> Bytes {
    vec![tag; length].into()
}
