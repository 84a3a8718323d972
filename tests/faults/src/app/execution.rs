//! The callee's end of a call, in the ledger.

use crate::ledger::{CallId, Event};

use super::{ledger, order::Order};

/// An execution under way. Dropped before its end, it was cut.
#[derive(Debug)]
pub(super) struct Execution {
    call: CallId,
    over: bool,
}

impl Execution {
    /// Begins to execute `order`.
    pub(super) fn begin(order: &Order) -> Self {
        let call = order.call;
        note(Event::Began { call });
        if !order.is_whole() {
            note(Event::Garbled { call });
        }
        Self { call, over: false }
    }

    /// Something that came with the call is not what its caller sent.
    pub(super) fn garbled(&self) {
        note(Event::Garbled { call: self.call });
    }

    /// The execution has come to its end.
    pub(super) fn end(mut self) {
        self.over = true;
        note(Event::Ended { call: self.call });
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        let call = self.call;
        if !self.over {
            // A panic is an end, too.
            note(match std::thread::panicking() {
                true => Event::Ended { call },
                false => Event::Cut { call },
            });
        }
    }
}

/// Writes it down: at once, unless a callee that is late with that is planted.
fn note(event: Event) {
    if crate::defect::LATE_LEDGER.is_planted() {
        tokio::spawn(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            ledger().note(event);
        });
    } else {
        ledger().note(event);
    }
}
