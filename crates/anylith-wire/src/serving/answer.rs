//! How a serving end answers its calls, and ends them.

use anylith_core::{BadAnswer, Execution, LostAnswer};
use bytes::Bytes;

use super::{Phase, ServingEnd, Slot};
use crate::{
    Failure,
    frame::{CallId, Header, Kind},
    outbox::LARGE_BYTES,
};

impl ServingEnd {
    /// Ends a call with its answer.
    ///
    /// Leaves `message` empty, with its room where the answer was short enough to be copied.
    pub fn respond(&mut self, call: CallId, message: &mut Vec<u8>) {
        let limit = self.link.message_limit();
        if message.len() > limit {
            let (size, limit) = (message.len() as u64, limit as u64);
            self.fail(
                call,
                &Failure::Executed(BadAnswer::TooLarge { size, limit }),
            );
            message.clear();
            return;
        }
        let header = Header::new(Kind::Response, call, message.len());
        if message.len() < LARGE_BYTES {
            if self.end(call) {
                self.link.outbox.push(header, &[message]);
            }
            message.clear();
        } else if let Some(slot) = self.begun(call) {
            slot.phase = Phase::Leaving;
            slot.large = true;
            self.in_flight -= 1;
            let message = Bytes::from(std::mem::take(message));
            self.link.outbox.push_large(header, Vec::new(), message);
        }
    }

    /// Ends a call without an answer, or without the rest of one.
    pub fn fail(&mut self, call: CallId, failure: &Failure) {
        let Some(slot) = self.begun(call) else { return };
        let (phase, large) = (slot.phase, slot.large);
        // A call that was stopped says why it was stopped, not how it took that.
        let body = match phase {
            Phase::Expired => Failure::DeadlineExceeded(Execution::Unknown).encode(),
            Phase::Cancelled => Failure::Cancelled.encode(),
            Phase::Stopped if failure.execution() != Execution::NotExecuted => {
                Failure::Unknown(LostAnswer::Stopped).encode()
            }
            Phase::Stopped | Phase::Open | Phase::Leaving => failure.encode(),
        };
        let header = Header::new(Kind::Failure, call, body.len());
        if !large {
            self.end(call);
            self.link.outbox.push(header, &[&body]);
        } else if phase == Phase::Open {
            self.leave(call, header, &body);
        } else {
            self.end(call);
            self.link.outbox.drop_large(call);
            self.link.outbox.push(header, &[&body]);
        }
    }

    /// Ends a call that was never begun: `failure` says so, whatever has happened to the call meanwhile.
    pub fn refuse(&mut self, call: CallId, failure: &Failure) {
        debug_assert_eq!(failure.execution(), Execution::NotExecuted);
        if self.end(call) {
            self.push_failure(call, failure);
        }
    }

    /// Says that the call is accepted and its answer a stream, before its first item.
    pub fn begin_stream(&mut self, call: CallId) {
        if self.begun(call).is_some() {
            self.link
                .outbox
                .push(Header::new(Kind::Begin, call, 0), &[]);
        }
    }

    /// Whether an item of the answer may be sent now. If not, [`ServingEvent::Writable`] tells when.
    pub fn may_send(&self, call: CallId) -> bool {
        let slot = self.slots.get(call as usize).and_then(Option::as_ref);
        // Credit is what the peer says, so it alone would let a peer that does not read fill the memory.
        !self.is_congested()
            && slot
                .is_some_and(|slot| slot.phase == Phase::Open && slot.send.is_open() && !slot.large)
    }

    /// Sends an item of the answer; drops it if the call was stopped.
    ///
    /// # Errors
    ///
    /// The item is longer than a message may be; the call is as it was.
    pub fn send_item(&mut self, call: CallId, item: Bytes) -> Result<(), Failure> {
        let limit = self.link.message_limit();
        if item.len() > limit {
            let (size, limit) = (item.len() as u64, limit as u64);
            return Err(Failure::Executed(BadAnswer::TooLarge { size, limit }));
        }
        let Some(slot) = self.begun(call).filter(|slot| slot.phase == Phase::Open) else {
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

    /// Ends a call whose answer is a stream, after its last item.
    pub fn end_stream(&mut self, call: CallId) {
        let Some(slot) = self.begun(call) else { return };
        match (slot.phase, slot.large) {
            (Phase::Open, true) => self.leave(call, Header::new(Kind::End, call, 0), &[]),
            (Phase::Open, false) => {
                self.end(call);
                self.link.outbox.push(Header::new(Kind::End, call, 0), &[]);
            }
            _ => self.fail(call, &Failure::Cancelled),
        }
    }

    /// Notes that the implementation took an item of `length` bytes.
    pub fn taken(&mut self, call: CallId, length: usize) {
        let Some(slot) = self
            .begun(call)
            .filter(|slot| slot.phase == Phase::Open && slot.items)
        else {
            return;
        };
        if let Some(grant) = slot.receive.taken(length) {
            let header = Header::new(Kind::Credit, call, 4);
            self.link.outbox.push(header, &[&grant.to_le_bytes()]);
        }
    }

    /// The slot of a call that was begun and not ended.
    fn begun(&mut self, call: CallId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(call as usize)?.as_mut()?;
        (slot.phase != Phase::Leaving).then_some(slot)
    }

    /// Frees the number of a call; false if it was not begun or has ended.
    fn end(&mut self, call: CallId) -> bool {
        let begun = self.begun(call).is_some();
        if begun {
            self.slots[call as usize] = None;
            self.in_flight -= 1;
        }
        begun
    }

    /// Ends a call by a frame that goes behind its large message.
    fn leave(&mut self, call: CallId, header: Header, body: &[u8]) {
        if let Some(slot) = self.begun(call) {
            slot.phase = Phase::Leaving;
            self.in_flight -= 1;
            self.link.outbox.push_behind(header, body);
        }
    }

    pub(super) fn push_failure(&mut self, call: CallId, failure: &Failure) {
        let body = failure.encode();
        self.link
            .outbox
            .push(Header::new(Kind::Failure, call, body.len()), &[&body]);
    }
}
