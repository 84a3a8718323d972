//! The end of a connection that makes calls.

mod event;

use std::{borrow::Cow, time::Instant};

use anylith_core::{
    CallContext, Execution, Fingerprint, Limits, LostAnswer, Name, Overload, Refusal, TraceContext,
};
use bytes::{Bytes, BytesMut};
use slab::Slab;

use crate::{
    Failure,
    frame::{
        CallId, Header, ITEMS, Kind, MAX_CONTEXT_BYTES, ProtocolError, REQUEST_HEAD_BYTES,
        RequestHead, WINDOW_BYTES,
    },
    hello::{Hello, MAX_HELLO_BYTES, ServedComponent},
    inbox::Frame,
    link::{IDLE, Link},
    offer::{Offer, Readiness},
    outbox::{Batch, LARGE_BYTES, Span, Unsent},
    window::{ReceiveWindow, SendWindow},
};

pub use event::{CallingEvent, NewCall};

/// The end of a connection that makes calls: bytes in, events out, and bytes out again.
///
/// A call is open from [`CallingEnd::begin`] until an event ends it or [`CallingEnd::cancel`] takes it
/// back. Its number is used again once the serving end has ended it, too, so an answer that comes late
/// is never taken for another call's.
#[derive(Debug)]
pub struct CallingEnd {
    link: Link,
    slots: Slab<Slot>,
    /// No deadline of an open call lies before it.
    earliest: Option<Instant>,
    going_away: bool,
    /// What the peer takes calls for: nothing, until it says so.
    offer: Offer,
}

#[derive(Debug)]
struct Slot {
    /// False once nobody waits for the answer any more.
    open: bool,
    request: Sent,
    items: bool,
    deadline: Option<Instant>,
    send: SendWindow,
    receive: ReceiveWindow,
    /// A large message of this call is in the outbox.
    large: bool,
}

/// How far the request of a call has got.
#[derive(Debug, Clone, Copy)]
enum Sent {
    /// It waits in the outbox, whole or in part.
    Large,
    /// It lies here in the stream of bytes, which the driver may or may not have written.
    At(Span),
}

impl CallingEnd {
    /// A new connection from `replica`, which names none of its components: where the serving end holds callers to the
    /// dependency graph, it may call nothing. The greeting is the first thing to send.
    pub fn new(replica: Name, limits: &Limits, now: Instant) -> Self {
        Self::of_components(replica, &[], limits, now)
    }

    /// A new connection from `replica`, which calls on behalf of `components`.
    pub fn of_components(
        replica: Name,
        components: &[Name],
        limits: &Limits,
        now: Instant,
    ) -> Self {
        let calling = components.iter().map(|name| ServedComponent {
            name: name.clone(),
            fingerprint: Fingerprint(0),
            methods: 0,
        });
        let ours = Hello {
            message_bytes: limits.message_bytes,
            calls: limits.calls_per_connection,
            window_bytes: WINDOW_BYTES,
            replica,
            components: calling.collect(),
        };
        let mut link = Link::new(ours, MAX_HELLO_BYTES, IDLE, now);
        let hello = link.ours.encode();
        link.outbox.push_raw(&hello);
        Self {
            link,
            slots: Slab::new(),
            earliest: None,
            going_away: false,
            offer: Offer::default(),
        }
    }

    /// The peer's replica; `None` until the greeting is over.
    pub fn peer(&self) -> Option<&Name> {
        self.link.peer.as_ref().map(|peer| &peer.replica)
    }

    /// What the peer serves; empty until the greeting is over.
    pub fn components(&self) -> &[ServedComponent] {
        self.link.peer.as_ref().map_or(&[], |peer| &peer.components)
    }

    /// Whether the peer takes calls for the component at `index` of [`CallingEnd::components`] now.
    ///
    /// A call begun all the same is not refused here: the peer does that, as not executed.
    pub fn offers(&self, index: u16) -> Readiness {
        self.offer.of(index)
    }

    /// How many calls the serving end still works on, as far as this end knows.
    pub fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// How many calls may be in flight.
    pub fn capacity(&self) -> usize {
        let theirs = self.link.peer.as_ref().map_or(0, |peer| peer.calls);
        theirs.min(self.link.ours.calls) as usize
    }

    /// Whether the peer takes no new calls.
    pub fn is_going_away(&self) -> bool {
        self.going_away
    }

    /// Begins a call whose encoded arguments are `arguments`.
    ///
    /// Leaves `arguments` empty, with its room where the arguments were short enough to be copied.
    ///
    /// # Errors
    ///
    /// The call was not executed, and will not be.
    pub fn begin(
        &mut self,
        call: &NewCall<'_>,
        arguments: &mut Vec<u8>,
        now: Instant,
    ) -> Result<CallId, Failure> {
        if self.link.peer.is_none() {
            return Err(Failure::NotExecuted(Refusal::NotSent));
        }
        if self.going_away {
            return Err(Failure::NotExecuted(Refusal::Moved { epoch: 0 }));
        }
        // A request that was taken back leaves its place in the outbox empty, but takes it.
        if self.slots.len() >= self.capacity() || self.link.outbox.is_full() {
            let overload = Overload::Connection;
            return Err(Failure::NotExecuted(Refusal::Overloaded(overload)));
        }
        let limit = self.link.message_limit();
        if arguments.len() > limit {
            let (size, limit) = (arguments.len() as u64, limit as u64);
            return Err(Failure::NotExecuted(Refusal::TooLarge { size, limit }));
        }
        let mut room = [0; USUAL_CONTEXT_BYTES];
        let context = encode_context(call.context, &mut room)?;
        let remaining_us = match call
            .deadline
            .map(|deadline| deadline.checked_duration_since(now))
        {
            None => RequestHead::NO_DEADLINE,
            Some(left) if left.is_none_or(|left| left.as_micros() == 0) => {
                return Err(Failure::DeadlineExceeded(Execution::NotExecuted));
            }
            Some(left) => left
                .unwrap_or_default()
                .as_micros()
                .try_into()
                .unwrap_or(RequestHead::NO_DEADLINE),
        };
        let head = RequestHead {
            method: call.method,
            context: context.len() as u16,
            remaining_us,
        };
        let entry = self.slots.vacant_entry();
        let id = entry.key() as CallId;
        let header = Header {
            length: (REQUEST_HEAD_BYTES + context.len() + arguments.len()) as u32,
            call: id,
            kind: Kind::Request,
            flags: if call.items { ITEMS } else { 0 },
            extra: call.component,
        };
        let large = arguments.len() >= LARGE_BYTES;
        let request = if large {
            let head = [&head.encode()[..], &context].concat();
            self.link
                .outbox
                .push_large(header, head, Bytes::from(std::mem::take(arguments)));
            Sent::Large
        } else {
            let span = self
                .link
                .outbox
                .push(header, &[&head.encode(), &context, arguments]);
            arguments.clear();
            Sent::At(span)
        };
        entry.insert(Slot {
            open: true,
            request,
            items: call.items,
            deadline: call.deadline,
            send: SendWindow::new(self.link.send_window()),
            receive: ReceiveWindow::new(self.link.ours.window_bytes),
            large,
        });
        if let Some(deadline) = call.deadline {
            self.earliest = Some(self.earliest.map_or(deadline, |at| at.min(deadline)));
        }
        Ok(id)
    }

    /// Whether an item of `call` may be sent now. If not, [`CallingEvent::Writable`] tells when.
    pub fn may_send(&self, call: CallId) -> bool {
        // Credit is what the peer says, so it alone would let a peer that does not read fill the memory.
        !self.is_congested()
            && self
                .open(call)
                .is_some_and(|slot| slot.send.is_open() && !slot.large)
    }

    /// Sends an item of `call`; drops it if the call is over.
    ///
    /// # Errors
    ///
    /// The item is longer than a message may be; the call is as it was.
    pub fn send_item(&mut self, call: CallId, item: Bytes) -> Result<(), Failure> {
        let limit = self.link.message_limit();
        if item.len() > limit {
            let (size, limit) = (item.len() as u64, limit as u64);
            return Err(Failure::NotExecuted(Refusal::TooLarge { size, limit }));
        }
        let Some(slot) = self.slots.get_mut(call as usize).filter(|slot| slot.open) else {
            return Ok(());
        };
        slot.send.sent(item.len());
        let header = Header::new(Kind::Item, call, item.len());
        if item.len() >= LARGE_BYTES {
            slot.large = true;
            self.link.outbox.push_large(header, Vec::new(), item);
        } else {
            self.link.outbox.push(header, &[&item]);
        }
        Ok(())
    }

    /// Says that no further item of `call` follows.
    pub fn end_items(&mut self, call: CallId) {
        if self.open(call).is_some() {
            self.link
                .outbox
                .push_behind(Header::new(Kind::End, call, 0), &[]);
        }
    }

    /// Notes that the reader of the answer took an item of `length` bytes.
    pub fn taken(&mut self, call: CallId, length: usize) {
        let Some(slot) = self.slots.get_mut(call as usize).filter(|slot| slot.open) else {
            return;
        };
        if let Some(grant) = slot.receive.taken(length) {
            let header = Header::new(Kind::Credit, call, 4);
            self.link.outbox.push(header, &[&grant.to_le_bytes()]);
        }
    }

    /// Takes back a call whose answer nobody waits for any more; no event will speak of it.
    ///
    /// Returns what the callee may have done. A request that has not left never will.
    pub fn cancel(&mut self, call: CallId) -> Execution {
        let Some(slot) = self.slots.get_mut(call as usize).filter(|slot| slot.open) else {
            return Execution::Unknown;
        };
        slot.open = false;
        let (execution, tell) = match slot.request {
            // Items that were sent behind a voided request would be taken for those of another call.
            Sent::At(span) if !slot.items && self.link.outbox.void(span) => {
                (Execution::NotExecuted, false)
            }
            Sent::At(_) => {
                self.link.outbox.drop_large(call);
                (Execution::Unknown, true)
            }
            Sent::Large => match self.link.outbox.drop_large(call) {
                Some(Unsent::All) => (Execution::NotExecuted, false),
                // The callee does not begin before it has the last byte.
                _ => (Execution::NotExecuted, true),
            },
        };
        if tell {
            self.link
                .outbox
                .push(Header::new(Kind::Cancel, call, 0), &[]);
        } else {
            self.slots.remove(call as usize);
        }
        execution
    }

    /// Takes the next event from the front of `bytes`, which arrived by `now`.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol: [`CallingEnd::give_up`], and close.
    pub fn receive(
        &mut self,
        bytes: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<CallingEvent>, ProtocolError> {
        self.link.heard(now);
        if self.link.peer.is_none() {
            let hello = self.link.greeting(bytes)?;
            let ready = hello.is_some().then_some(CallingEvent::Ready);
            self.link.peer = hello;
            return Ok(ready);
        }
        while let Some(frame) = self.link.next(bytes)? {
            if let Some(event) = self.on_frame(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<CallingEvent>, ProtocolError> {
        let Frame { kind, call, .. } = frame;
        if kind == Kind::GoAway {
            self.going_away = true;
            return Ok(Some(CallingEvent::GoingAway));
        }
        if kind == Kind::Offer {
            let offer = Offer::decode(&frame.body, self.components().len())?;
            let changed = std::mem::replace(&mut self.offer, offer) != self.offer;
            return Ok(changed.then_some(CallingEvent::Offered));
        }
        let out_of_turn = ProtocolError::OutOfTurn { kind, call };
        let slot = self
            .slots
            .get_mut(call as usize)
            .ok_or(out_of_turn.clone())?;
        let open = slot.open;
        let event = match kind {
            Kind::Response => CallingEvent::Answered {
                call,
                message: frame.body,
            },
            Kind::Failure => CallingEvent::Failed {
                call,
                failure: Failure::decode(&frame.body),
            },
            Kind::End => CallingEvent::Ended { call },
            Kind::Begin => CallingEvent::Begun { call },
            Kind::Item => {
                if !slot.receive.received(frame.body.len()) {
                    return Err(ProtocolError::NoCredit { call });
                }
                CallingEvent::Item {
                    call,
                    item: frame.body,
                }
            }
            Kind::Credit => {
                slot.send.granted(frame.number()?);
                CallingEvent::Writable { call }
            }
            _ => return Err(out_of_turn),
        };
        if matches!(kind, Kind::Response | Kind::Failure | Kind::End) {
            let slot = self.slots.remove(call as usize);
            // The callee ended the call before it had all of a message: let it forget the part it has.
            if slot.large && self.link.outbox.drop_large(call) == Some(Unsent::Part) {
                self.link
                    .outbox
                    .push(Header::new(Kind::Cancel, call, 0), &[]);
            }
        }
        Ok(open.then_some(event))
    }

    /// How long the read buffer must get, in bytes, before there can be another event.
    pub fn wanted(&self) -> usize {
        self.link.wanted()
    }

    /// When [`CallingEnd::on_timeout`] wants to be called, at the latest. A call made later may come earlier.
    pub fn next_timeout(&self) -> Option<Instant> {
        let peer = self.link.next_timeout(!self.slots.is_empty());
        Some(self.earliest.map_or(peer, |at| at.min(peer)))
    }

    /// Ends the calls whose deadline has passed, appending an event for each, and looks after the peer.
    ///
    /// # Errors
    ///
    /// The peer does not answer, or takes nothing of what it is sent.
    pub fn on_timeout(
        &mut self,
        now: Instant,
        events: &mut Vec<CallingEvent>,
    ) -> Result<(), ProtocolError> {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            let mut expired = Vec::new();
            self.earliest = None;
            for (id, slot) in self.slots.iter().filter(|(_, slot)| slot.open) {
                match slot.deadline {
                    Some(deadline) if deadline <= now => expired.push(id as CallId),
                    Some(later) => {
                        self.earliest = Some(self.earliest.map_or(later, |at| at.min(later)));
                    }
                    None => {}
                }
            }
            for call in expired {
                let failure = Failure::DeadlineExceeded(self.cancel(call));
                events.push(CallingEvent::Failed { call, failure });
            }
        }
        self.link.on_timeout(!self.slots.is_empty(), now)
    }

    /// The peer is to be left once its calls have ended. If it hangs they would wait for longer: it is asked for a
    /// sign of life sooner, and given up after [`HURRY`](crate::HURRY).
    pub fn hurry(&mut self) {
        self.link.hurry();
    }

    /// Whether there is anything to send.
    pub fn has_output(&self) -> bool {
        self.link.has_output()
    }

    /// Moves what is to be sent into `batch`, which must be empty. Appends the calls that became writable.
    pub fn fill(&mut self, batch: &mut Batch, events: &mut Vec<CallingEvent>) {
        let slots = &mut self.slots;
        self.link.fill(batch, |call, end| {
            let Some(slot) = slots.get_mut(call as usize) else {
                return;
            };
            slot.large = false;
            if matches!(slot.request, Sent::Large) {
                slot.request = Sent::At(Span { start: 0, end });
            }
            if slot.open && slot.items {
                events.push(CallingEvent::Writable { call });
            }
        });
        // Streams that had credit were held up by the outbox as a whole.
        if self.link.outbox.relieved() {
            let open = |slot: &Slot| slot.open && slot.items && slot.send.is_open();
            for (id, _) in self.slots.iter().filter(|(_, slot)| open(slot)) {
                events.push(CallingEvent::Writable { call: id as CallId });
            }
        }
    }

    /// Whether so much waits for a peer that does not read that nothing more should be streamed to it.
    fn is_congested(&self) -> bool {
        self.link.outbox.is_congested()
    }

    /// Notes that the transport took `count` bytes more.
    pub fn written(&mut self, count: usize) {
        self.link.written(count);
    }

    /// Notes that the transport takes nothing more at `now`, although not everything was written.
    pub fn held_up(&mut self, now: Instant) {
        self.link.held_up(now);
    }

    /// Ends all calls because the connection is no more, and returns what each of them has to be told.
    ///
    /// A request of which a byte is missing in [`CallingEnd::written`] was not executed.
    pub fn broken(&mut self, reason: &LostAnswer) -> Vec<(CallId, Failure)> {
        self.going_away = true;
        let written = self.link.written;
        let failure = |slot: &Slot| match slot.request {
            Sent::At(span) if span.end <= written => Failure::Unknown(reason.clone()),
            _ => Failure::NotExecuted(Refusal::NotSent),
        };
        let open = self.slots.iter().filter(|(_, slot)| slot.open);
        let fates = open
            .map(|(id, slot)| (id as CallId, failure(slot)))
            .collect();
        self.slots.clear();
        fates
    }

    /// Tells the peer why it is given up. Send what is in the outbox, and close.
    pub fn give_up(&mut self, error: &ProtocolError) {
        self.link.give_up(error);
    }

    fn open(&self, call: CallId) -> Option<&Slot> {
        self.slots.get(call as usize).filter(|slot| slot.open)
    }
}

/// What a context takes that has a trace alone, without entries of vendors, at most: nearly every call has one.
const USUAL_CONTEXT_BYTES: usize = 48;

/// The context as bytes, in `room` where it fits in; none at all where there is nothing to carry.
fn encode_context<'r>(
    context: &CallContext,
    room: &'r mut [u8; USUAL_CONTEXT_BYTES],
) -> Result<Cow<'r, [u8]>, Failure> {
    if context.is_empty() {
        return Ok(Cow::Borrowed(&[]));
    }
    let is_usual = |trace: &TraceContext| trace.state.is_empty();
    if context.baggage.is_empty()
        && context.trace.as_ref().is_none_or(is_usual)
        && let Ok(bytes) = postcard::to_slice(context, room)
    {
        return Ok(Cow::Borrowed(bytes));
    }
    let unencodable = |text: String| Failure::NotExecuted(Refusal::Unencodable(text));
    let bytes = postcard::to_stdvec(context).map_err(|error| unencodable(error.to_string()))?;
    if bytes.len() > MAX_CONTEXT_BYTES {
        let length = bytes.len();
        return Err(unencodable(format!(
            "the context takes {length} bytes, and may take 65535"
        )));
    }
    Ok(Cow::Owned(bytes))
}
