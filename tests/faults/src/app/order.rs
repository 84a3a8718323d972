//! What a call asks for and what it brings back, made so that each end can see whether it came as it was sent.

use anylith::CallError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ledger::CallId;

/// What a call asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) call: CallId,
    /// How long its execution takes, in microseconds.
    pub(crate) work_us: u32,
    /// How large the answer is to be, and each item of it.
    pub(crate) reply_bytes: u32,
    /// How many items the answer is to have.
    pub(crate) items: u32,
    /// Whether its execution panics.
    pub(crate) panics: bool,
    pub(crate) payload: Bytes,
}

/// What it brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) call: CallId,
    /// The position of an item in its stream, or how many items were received.
    pub(crate) number: u32,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Trouble {
    /// The call that was made has failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A call that the callee made has failed: this one was executed.
    #[error("further down: {0}")]
    Below(String),
}

impl Order {
    /// Whether the payload is the one that belongs to the call.
    pub(crate) fn is_whole(&self) -> bool {
        self.payload == pattern(self.call, self.payload.len())
    }

    /// The right answer, or its item at `number`.
    pub(crate) fn receipt(&self, number: u32) -> Receipt {
        Receipt {
            call: self.call,
            number,
            body: pattern(!self.call, self.reply_bytes as usize),
        }
    }
}

/// The one payload of that length that belongs to a call.
pub(crate) fn pattern(call: CallId, length: usize) -> Bytes {
    let word = call.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    let mut bytes = word.repeat(length / word.len() + 1);
    bytes.truncate(length);
    bytes.into()
}
