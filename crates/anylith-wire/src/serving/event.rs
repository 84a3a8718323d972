//! What a serving end tells its driver.

use std::time::Instant;

use anylith_core::CallContext;
use bytes::Bytes;

use crate::frame::CallId;

/// What a serving end learned from its peer, or from the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServingEvent {
    /// The greeting is over.
    Ready,
    /// A call begins.
    Request(Request),
    /// A call was refused: see [`ServingEnd::deny`](crate::ServingEnd::deny). There is nothing to end.
    Denied {
        /// The component's index in what this end serves; it exists.
        component: u16,
    },
    /// The next item of a call's arguments.
    Item {
        /// The call.
        call: CallId,
        /// The item.
        item: Bytes,
    },
    /// No item follows.
    ItemsEnded {
        /// The call.
        call: CallId,
    },
    /// More items of the answer may be sent.
    Writable {
        /// The call.
        call: CallId,
    },
    /// Stop working on the call, and then end it.
    Cancelled {
        /// The call.
        call: CallId,
    },
}

/// A call as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The call.
    pub call: CallId,
    /// The component's index in what this end serves; it exists.
    pub component: u16,
    /// The method's index in the component; it exists.
    pub method: u16,
    /// When the call has to be over.
    pub deadline: Option<Instant>,
    /// What travelled along.
    pub context: CallContext,
    /// The encoded arguments.
    pub arguments: Bytes,
    /// Whether items follow.
    pub items: bool,
}
