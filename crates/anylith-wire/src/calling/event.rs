//! What a calling end is asked for, and what it tells its driver.

use std::time::Instant;

use anylith_core::CallContext;
use bytes::Bytes;

use crate::{Failure, frame::CallId};

/// A call that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewCall<'a> {
    /// The component's index in [`CallingEnd::components`](crate::CallingEnd::components).
    pub component: u16,
    /// The method's index in the component.
    pub method: u16,
    /// When the call has to be over.
    pub deadline: Option<Instant>,
    /// What travels along.
    pub context: &'a CallContext,
    /// Whether items follow the arguments.
    pub items: bool,
}

/// What a calling end learned from its peer, or from the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallingEvent {
    /// The greeting is over: calls can be made.
    Ready,
    /// A call has its answer, and is over.
    Answered {
        /// The call.
        call: CallId,
        /// The answer.
        message: Bytes,
    },
    /// A call is over, without an answer or without the rest of it.
    Failed {
        /// The call.
        call: CallId,
        /// Why.
        failure: Failure,
    },
    /// The answer of a call is a stream, and the callee has begun it.
    Begun {
        /// The call.
        call: CallId,
    },
    /// The next item of an answer that is a stream.
    Item {
        /// The call.
        call: CallId,
        /// The item.
        item: Bytes,
    },
    /// The stream is at its end, and the call is over.
    Ended {
        /// The call.
        call: CallId,
    },
    /// More items of the call may be sent.
    Writable {
        /// The call.
        call: CallId,
    },
    /// The peer takes no new calls; those in flight go on.
    GoingAway,
    /// The peer takes calls for other components than before: see [`CallingEnd::offers`](crate::CallingEnd::offers).
    Offered,
}
