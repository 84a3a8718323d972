//! The end of a connection that serves calls.

mod answer;
mod event;

use std::time::{Duration, Instant};

use anylith_core::{CallContext, Limits, LostAnswer, Name, Refusal};
use bytes::{Buf, BytesMut};

use crate::{
    Failure,
    frame::{
        CallId, Header, ITEMS, Kind, ProtocolError, REQUEST_HEAD_BYTES, RequestHead, WINDOW_BYTES,
    },
    hello::{Hello, MAX_CALLER_HELLO_BYTES, ServedComponent},
    inbox::Frame,
    link::{DRAINING, IDLE_SERVING, Link},
    offer::{Offer, Readiness},
    outbox::Batch,
    window::{ReceiveWindow, SendWindow},
};

pub use event::{Request, ServingEvent};

/// The end of a connection that serves calls: bytes in, events out, and bytes out again.
///
/// Every [`ServingEvent::Request`] has to be ended, exactly once, by [`ServingEnd::respond`],
/// [`ServingEnd::fail`] or [`ServingEnd::end_stream`], also after [`ServingEvent::Cancelled`]: only then
/// has the call stopped, and the calling end may use its number again.
#[derive(Debug)]
pub struct ServingEnd {
    link: Link,
    /// By number. Grows to the highest number that was used, within the limit on calls.
    slots: Vec<Option<Slot>>,
    in_flight: usize,
    /// No deadline of an open call lies before it.
    earliest: Option<Instant>,
    draining: bool,
    /// What takes calls now, if this end was told.
    offer: Option<Offer>,
    /// The peer has not been sent [`ServingEnd::offer`]. Only the last is sent, so offers cannot pile up.
    offer_unsent: bool,
    /// Of each component whether the peer may not call it; what is not in it may be called.
    denied: Vec<bool>,
}

#[derive(Debug)]
struct Slot {
    phase: Phase,
    component: u16,
    /// Whether items may still come.
    items: bool,
    deadline: Option<Instant>,
    send: SendWindow,
    receive: ReceiveWindow,
    /// A large message of this call is in the outbox.
    large: bool,
}

/// The life of a call here: Open → (Cancelled | Expired | Stopped) → Leaving → none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The implementation works on it.
    Open,
    /// The calling end gave it up; the implementation is being stopped.
    Cancelled,
    /// Its time is over; the implementation is being stopped.
    Expired,
    /// Its component stops; the implementation is being stopped.
    Stopped,
    /// It was ended, but a large message of its is not yet on its way.
    Leaving,
}

impl ServingEnd {
    /// A connection that was accepted by `replica`, which serves `components`.
    pub fn new(
        replica: Name,
        components: Vec<ServedComponent>,
        limits: &Limits,
        now: Instant,
    ) -> Self {
        let ours = Hello {
            message_bytes: limits.message_bytes,
            calls: limits.calls_per_connection,
            window_bytes: WINDOW_BYTES,
            replica,
            components,
        };
        Self {
            link: Link::new(ours, MAX_CALLER_HELLO_BYTES, IDLE_SERVING, now),
            slots: Vec::new(),
            in_flight: 0,
            earliest: None,
            draining: false,
            offer: None,
            offer_unsent: false,
            denied: Vec::new(),
        }
    }

    /// The calling replica; `None` until the greeting is over.
    pub fn peer(&self) -> Option<&Name> {
        self.link.peer.as_ref().map(|peer| &peer.replica)
    }

    /// What the calling replica said of itself; `None` until the greeting is over.
    pub fn greeting(&self) -> Option<&Hello> {
        self.link.peer.as_ref()
    }

    /// What this end serves.
    pub fn components(&self) -> &[ServedComponent] {
        &self.link.ours.components
    }

    /// Refuses calls of each component that is `true` in `denied`, by its index. To be said when the greeting is over,
    /// before anything else is received.
    pub fn deny(&mut self, denied: Vec<bool>) {
        self.denied = denied;
    }

    /// How many calls were begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the implementation is to work on the call: it was begun, and neither ended nor stopped.
    pub fn is_wanted(&self, call: CallId) -> bool {
        let slot = self.slots.get(call as usize).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.phase == Phase::Open)
    }

    /// The calls that were begun and not ended.
    fn calls(&self) -> impl Iterator<Item = CallId> {
        let begun = |slot: &Option<Slot>| slot.as_ref().is_some_and(|s| s.phase != Phase::Leaving);
        self.slots
            .iter()
            .enumerate()
            .filter(move |(_, slot)| begun(slot))
            .map(|(id, _)| id as CallId)
    }

    /// Refuses all new calls, and tells the peer.
    pub fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            // Before the greeting the peer would not understand; its calls are refused all the same.
            if self.link.peer.is_some() {
                self.push_go_away();
            }
        }
    }

    fn push_go_away(&mut self) {
        let header = Header {
            extra: DRAINING,
            ..Header::new(Kind::GoAway, 0, 0)
        };
        self.link.outbox.push(header, &[]);
    }

    /// Tells the peer which components take calls from now on, in the order of the greeting. A peer that was told
    /// nothing takes it that none does.
    ///
    /// Calls for others are not refused here; that is up to who serves them.
    ///
    /// What the service has come to serve since the greeting is no part of it, and is left out.
    pub fn offer(&mut self, mut offered: Vec<Readiness>) {
        offered.truncate(self.components().len());
        let offer = Some(Offer::new(offered));
        if self.offer != offer {
            self.offer = offer;
            self.offer_unsent = true;
        }
    }

    /// Stops the calls of `component`, by its index, and returns them: as after [`ServingEvent::Cancelled`], each
    /// has still to be ended. The callers learn then that the replica was stopped.
    pub fn stop_component(&mut self, component: u16) -> Vec<CallId> {
        let mut stopped = Vec::new();
        for (id, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot
                && slot.component == component
                && slot.phase == Phase::Open
            {
                slot.phase = Phase::Stopped;
                stopped.push(id as CallId);
            }
        }
        stopped
    }

    /// Takes the next event from the front of `bytes`, which arrived by `now`.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol: [`ServingEnd::give_up`], and close.
    pub fn receive(
        &mut self,
        bytes: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<ServingEvent>, ProtocolError> {
        self.link.heard(now);
        if self.link.peer.is_none() {
            return self.greet(bytes);
        }
        while let Some(frame) = self.link.next(bytes)? {
            if let Some(event) = self.on_frame(frame, now)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn greet(&mut self, bytes: &mut BytesMut) -> Result<Option<ServingEvent>, ProtocolError> {
        let hello = match self.link.greeting(bytes) {
            Ok(Some(hello)) => hello,
            Ok(None) => return Ok(None),
            Err(error) => {
                // A peer of another version learns from the greeting which one is spoken here.
                if matches!(error, ProtocolError::Version { .. }) {
                    self.link.outbox.push_raw(&self.link.ours.encode());
                }
                return Err(error);
            }
        };
        self.link.outbox.push_raw(&self.link.ours.encode());
        self.link.peer = Some(hello);
        if self.draining {
            self.push_go_away();
        }
        Ok(Some(ServingEvent::Ready))
    }

    fn on_frame(
        &mut self,
        frame: Frame,
        now: Instant,
    ) -> Result<Option<ServingEvent>, ProtocolError> {
        let Frame { kind, call, .. } = frame;
        if kind == Kind::Request {
            return self.on_request(frame, now);
        }
        if !matches!(kind, Kind::Item | Kind::End | Kind::Credit | Kind::Cancel) {
            return Err(ProtocolError::OutOfTurn { kind, call });
        }
        if frame.never_begun {
            self.push_failure(call, &Failure::Cancelled);
            return Ok(None);
        }
        // What comes for a call that has just ended crossed with its end.
        let Some(slot) = self.slots.get_mut(call as usize).and_then(Option::as_mut) else {
            return Ok(None);
        };
        match (slot.phase, kind) {
            (Phase::Open, Kind::Item | Kind::End) if !slot.items => {
                Err(ProtocolError::OutOfTurn { kind, call })
            }
            (Phase::Open, Kind::Item) => {
                if !slot.receive.received(frame.body.len()) {
                    return Err(ProtocolError::NoCredit { call });
                }
                Ok(Some(ServingEvent::Item {
                    call,
                    item: frame.body,
                }))
            }
            (Phase::Open, Kind::End) => {
                slot.items = false;
                Ok(Some(ServingEvent::ItemsEnded { call }))
            }
            (Phase::Open, Kind::Credit) => {
                slot.send.granted(frame.number()?);
                Ok(Some(ServingEvent::Writable { call }))
            }
            (Phase::Open, Kind::Cancel) => {
                slot.phase = Phase::Cancelled;
                Ok(Some(ServingEvent::Cancelled { call }))
            }
            // The answer is ready, but not gone: the peer need not take the rest of it.
            (Phase::Leaving, Kind::Cancel) => {
                self.slots[call as usize] = None;
                self.link.outbox.drop_large(call);
                self.push_failure(call, &Failure::Cancelled);
                Ok(None)
            }
            (Phase::Cancelled | Phase::Expired | Phase::Stopped | Phase::Leaving, _)
            | (Phase::Open, _) => Ok(None),
        }
    }

    fn on_request(
        &mut self,
        frame: Frame,
        now: Instant,
    ) -> Result<Option<ServingEvent>, ProtocolError> {
        let Frame {
            kind,
            call,
            flags,
            extra: component,
            mut body,
            ..
        } = frame;
        let index = call as usize;
        if call >= self.link.ours.calls || self.slots.get(index).is_some_and(Option::is_some) {
            return Err(ProtocolError::OutOfTurn { kind, call });
        }
        let Some(head) = body.first_chunk::<REQUEST_HEAD_BYTES>() else {
            return Err(ProtocolError::Malformed { kind });
        };
        let RequestHead {
            method,
            context,
            remaining_us,
        } = RequestHead::decode(head);
        body.advance(REQUEST_HEAD_BYTES);
        if body.len() < context as usize {
            return Err(ProtocolError::Malformed { kind });
        }
        let context = body.split_to(context as usize);
        if body.len() > self.link.ours.message_bytes as usize {
            let (length, limit) = (body.len() as u64, u64::from(self.link.ours.message_bytes));
            return Err(ProtocolError::MessageTooLong { length, limit });
        }
        if self.denied.get(component as usize) == Some(&true) {
            self.push_failure(call, &Failure::Denied);
            return Ok(Some(ServingEvent::Denied { component }));
        }
        let context = match self.admit(component, method, &context) {
            Ok(context) => context,
            Err(refusal) => {
                self.push_failure(call, &Failure::NotExecuted(refusal));
                return Ok(None);
            }
        };
        let deadline = match remaining_us {
            RequestHead::NO_DEADLINE => None,
            left => now.checked_add(Duration::from_micros(left)),
        };
        if let Some(deadline) = deadline {
            self.earliest = Some(self.earliest.map_or(deadline, |at| at.min(deadline)));
        }
        let items = flags & ITEMS != 0;
        if self.slots.len() <= index {
            // The calling end uses numbers again before it takes the next one, so this grows with the calls in flight.
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Slot {
            phase: Phase::Open,
            component,
            items,
            deadline,
            send: SendWindow::new(self.link.send_window()),
            receive: ReceiveWindow::new(self.link.ours.window_bytes),
            large: false,
        });
        self.in_flight += 1;
        let request = Request {
            call,
            component,
            method,
            deadline,
            context,
            arguments: body,
            items,
        };
        Ok(Some(ServingEvent::Request(request)))
    }

    /// Whether a request may begin; if so, its context.
    fn admit(&self, component: u16, method: u16, context: &[u8]) -> Result<CallContext, Refusal> {
        let served = self.link.ours.components.get(component as usize);
        if served.is_none_or(|served| method >= served.methods) {
            return Err(Refusal::UnknownMethod);
        }
        if self.draining {
            return Err(Refusal::Moved { epoch: 0 });
        }
        if context.is_empty() {
            return Ok(CallContext::default());
        }
        postcard::from_bytes(context)
            .map_err(|error| Refusal::Undecodable(format!("the context: {error}")))
    }

    /// How long the read buffer must get, in bytes, before there can be another event.
    pub fn wanted(&self) -> usize {
        self.link.wanted()
    }

    /// When [`ServingEnd::on_timeout`] wants to be called, at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        let peer = self.link.next_timeout(self.in_flight > 0);
        Some(self.earliest.map_or(peer, |at| at.min(peer)))
    }

    /// Stops the calls whose deadline has passed, appending an event for each, and looks after the peer.
    ///
    /// # Errors
    ///
    /// The peer does not answer, or takes nothing of what it is sent.
    pub fn on_timeout(
        &mut self,
        now: Instant,
        events: &mut Vec<ServingEvent>,
    ) -> Result<(), ProtocolError> {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.earliest = None;
            for (id, slot) in self.slots.iter_mut().enumerate() {
                let Some(slot) = slot.as_mut().filter(|slot| slot.phase == Phase::Open) else {
                    continue;
                };
                match slot.deadline {
                    Some(deadline) if deadline <= now => {
                        slot.phase = Phase::Expired;
                        events.push(ServingEvent::Cancelled { call: id as CallId });
                    }
                    Some(later) => {
                        self.earliest = Some(self.earliest.map_or(later, |at| at.min(later)));
                    }
                    None => {}
                }
            }
        }
        self.link.on_timeout(self.in_flight > 0, now)
    }

    /// Notes that the transport took `count` bytes more.
    pub fn written(&mut self, count: usize) {
        self.link.written(count);
    }

    /// Notes that the transport takes nothing more at `now`, although not everything was written.
    pub fn held_up(&mut self, now: Instant) {
        self.link.held_up(now);
    }

    /// Whether there is anything to send.
    pub fn has_output(&self) -> bool {
        self.link.has_output() || (self.offer_unsent && self.link.peer.is_some())
    }

    /// Whether so much waits for a peer that does not read that nothing more should be read from it.
    pub fn is_congested(&self) -> bool {
        self.link.outbox.is_congested()
    }

    /// Moves what is to be sent into `batch`, which must be empty. Appends the calls that became writable.
    pub fn fill(&mut self, batch: &mut Batch, events: &mut Vec<ServingEvent>) {
        if self.offer_unsent && self.link.peer.is_some() {
            self.offer_unsent = false;
            let body = self.offer.as_ref().map(Offer::encode).unwrap_or_default();
            let header = Header::new(Kind::Offer, 0, body.len());
            self.link.outbox.push(header, &[&body]);
        }
        let slots = &mut self.slots;
        self.link.fill(batch, |call, _| {
            let Some(entry) = slots.get_mut(call as usize) else {
                return;
            };
            match entry {
                Some(slot) if slot.phase == Phase::Leaving => *entry = None,
                Some(slot) => {
                    slot.large = false;
                    events.push(ServingEvent::Writable { call });
                }
                None => {}
            }
        });
        // Streams that had credit were held up by the outbox as a whole.
        if self.link.outbox.relieved() {
            let open = |slot: &Option<Slot>| slot.as_ref().is_some_and(|it| it.send.is_open());
            for (id, _) in self.slots.iter().enumerate().filter(|(_, it)| open(it)) {
                events.push(ServingEvent::Writable { call: id as CallId });
            }
        }
    }

    /// Ends all calls because the replica stops.
    pub fn stop(&mut self) {
        for call in self.calls().collect::<Vec<_>>() {
            self.fail(call, &Failure::Unknown(LostAnswer::Stopped));
        }
    }

    /// Tells the peer why it is given up. Send what is in the outbox, and close.
    pub fn give_up(&mut self, error: &ProtocolError) {
        // A peer that did not greet, or that speaks another version, would not understand.
        if self.link.peer.is_some() {
            self.link.give_up(error);
        }
    }
}
