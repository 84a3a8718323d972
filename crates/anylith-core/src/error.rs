//! The ways in which a call can fail to bring back an answer of the implementation.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Name;

/// One arrow of the dependency graph, and the method that was called along it.
///
/// Shown as `Checkout -> Payment.charge`. Cloning copies a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge(Arc<EdgeParts>);

#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct EdgeParts {
    caller: Name,
    callee: Name,
    method: Name,
}

impl Edge {
    /// The edge from `caller` to `callee`, at `method`.
    pub fn new(caller: Name, callee: Name, method: Name) -> Self {
        Self(Arc::new(EdgeParts {
            caller,
            callee,
            method,
        }))
    }

    /// The component that made the call.
    pub fn caller(&self) -> &Name {
        &self.0.caller
    }

    /// The component that was called.
    pub fn callee(&self) -> &Name {
        &self.0.callee
    }

    /// The method that was called.
    pub fn method(&self) -> &Name {
        &self.0.method
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {}.{}",
            self.0.caller, self.0.callee, self.0.method
        )
    }
}

impl Serialize for Edge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EdgeParts::deserialize(deserializer).map(|parts| Self(Arc::new(parts)))
    }
}

/// Why a call brought back no answer from the implementation.
///
/// The variants differ in what the callee may have done, since that decides whether to try again;
/// [`CallError::execution`] says it in one word. A call that was surely not executed has already been
/// sent again, within its deadline and the retry budget, before this error is seen.
///
/// Its text says all that is known, the reason included, so it has no source: what prints an error by
/// itself, as most handlers do, loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Never sent, or refused before it began: the callee did nothing.
    #[error("{edge} was not executed: {reason}")]
    NotExecuted {
        /// The call.
        edge: Edge,
        /// Why it was not begun.
        reason: Refusal,
    },
    /// The request left and no answer came: the callee did all of its work, a part, or none.
    #[error("lost the answer to {edge}: {reason}")]
    Unknown {
        /// The call.
        edge: Edge,
        /// How the answer was lost.
        reason: LostAnswer,
    },
    /// The implementation panicked while it ran. Its process lives on.
    #[error("{edge} panicked: {message}")]
    Panicked {
        /// The call.
        edge: Edge,
        /// What the panic said.
        message: String,
    },
    /// The implementation ran to its end, but its answer could not be brought back.
    #[error("{edge} was executed, but its answer could not be used: {reason}")]
    Executed {
        /// The call.
        edge: Edge,
        /// What was wrong with the answer.
        reason: BadAnswer,
    },
    /// The time for the call was over before an answer came.
    #[error("{edge} did not answer within {}", Allowance::told(*allowance))]
    DeadlineExceeded {
        /// The call.
        edge: Edge,
        /// [`Execution::NotExecuted`] if the request had not left, else [`Execution::Unknown`].
        execution: Execution,
        /// How long it had; `None` of a stream, which its caller may poll under another deadline than it was called under.
        allowance: Option<Allowance>,
    },
    /// The callee was told to stop working on the call before it answered.
    #[error("{edge} was cancelled")]
    Cancelled {
        /// The call.
        edge: Edge,
    },
    /// The dependency graph that the callee knows does not have this edge, so the callee refused it.
    #[error("{edge} is denied: {caller} does not declare a dependency on {callee}", caller = edge.caller(), callee = edge.callee())]
    Denied {
        /// The call.
        edge: Edge,
    },
    /// Caller and callee were built from different versions of the interface.
    #[error("{edge} is incompatible: {detail}")]
    Incompatible {
        /// The call.
        edge: Edge,
        /// Which versions met.
        detail: String,
    },
}

/// How long a call had until its deadline, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allowance {
    /// All that its edge gives, which was set for it or is the default.
    OfEdge(Duration),
    /// What was left of the time of its caller, which was less.
    OfCaller(Duration),
}

impl Allowance {
    /// In words that follow "within".
    fn told(allowance: Option<Self>) -> String {
        match allowance {
            Some(Self::OfEdge(length)) => format!("{length:?}, the deadline of this edge"),
            Some(Self::OfCaller(left)) => {
                format!("the {left:.1?} that were left of its caller's deadline")
            }
            None => "its deadline".to_owned(),
        }
    }
}

/// What a callee may have done of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Execution {
    /// Nothing: it is safe to send the call again.
    NotExecuted,
    /// All of it, a part, or nothing.
    Unknown,
    /// It ran.
    Executed,
}

impl CallError {
    /// What the callee may have done.
    pub fn execution(&self) -> Execution {
        match self {
            Self::NotExecuted { .. } | Self::Denied { .. } | Self::Incompatible { .. } => {
                Execution::NotExecuted
            }
            Self::Unknown { .. } | Self::Cancelled { .. } => Execution::Unknown,
            Self::Panicked { .. } | Self::Executed { .. } => Execution::Executed,
            Self::DeadlineExceeded { execution, .. } => *execution,
        }
    }

    /// The call that failed. It may lie deeper than the call that was made, where an implementation
    /// passed on the failure of a call of its own.
    pub fn edge(&self) -> &Edge {
        match self {
            Self::NotExecuted { edge, .. }
            | Self::Unknown { edge, .. }
            | Self::Panicked { edge, .. }
            | Self::Executed { edge, .. }
            | Self::DeadlineExceeded { edge, .. }
            | Self::Cancelled { edge }
            | Self::Denied { edge }
            | Self::Incompatible { edge, .. } => edge,
        }
    }
}

/// Why a call was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No replica of the callee is known, or none could be reached.
    #[error("no replica can be reached: {0}")]
    Unreachable(String),
    /// There was no room for another call.
    #[error("overloaded: {0}")]
    Overloaded(Overload),
    /// The replica is draining, or no longer holds the component.
    #[error("the component has moved")]
    Moved {
        /// The epoch of the directory that the replica knows: it does not name it for this component, if it is newer than that
        /// of the caller. 0 where it does not say.
        epoch: u64,
    },
    /// The connection closed before the request left.
    #[error("the connection closed before the request was sent")]
    NotSent,
    /// The arguments are larger than a message may be.
    #[error("the arguments take {size} bytes, and a message may have {limit}")]
    TooLarge {
        /// The size of the encoded arguments, in bytes; at least this much where encoding was cut short.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The arguments could not be encoded.
    #[error("the arguments cannot be encoded: {0}")]
    Unencodable(String),
    /// The callee could not decode the arguments.
    #[error("the arguments cannot be decoded: {0}")]
    Undecodable(String),
    /// The callee has no such component or method.
    #[error("the callee has no such method")]
    UnknownMethod,
}

/// Whose limit another call would have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Overload {
    /// That of the callee, which gets more calls than it can take.
    #[error(
        "the callee has as many calls as `[limits] concurrency`, or that of `[limits.components]`, lets it take, or more than \
         it can begin"
    )]
    Callee,
    /// That of the edge, which the caller holds itself to.
    #[error(
        "{limit} calls along its edge are under way, as many as `concurrency` of the edge allows"
    )]
    Edge {
        /// How many may be under way at a time from one replica.
        limit: u32,
    },
    /// That of the way there: too many calls of the caller's process are under way over one connection, or wait to be sent
    /// or for a connection.
    #[error(
        "too many calls of the caller's process are under way to the callee, or wait to be sent"
    )]
    Connection,
}

/// How an answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LostAnswer {
    /// The connection broke after the request had left, or was given up because the peer was silent, took nothing, or gave
    /// up itself.
    #[error("the connection broke: {0}")]
    Disconnected(String),
    /// The peer sent something that the protocol does not allow, so the connection was closed.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// The caller's stream could not be sent to its end, so the call was given up.
    #[error("the caller's stream could not be sent on: {0}")]
    Abandoned(String),
    /// The replica was stopped with the call in flight.
    #[error("the replica was stopped")]
    Stopped,
}

/// What was wrong with an answer that did arrive, or would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// The result is larger than a message may be.
    #[error("the result takes {size} bytes, and a message may have {limit}")]
    TooLarge {
        /// The size of the encoded result, in bytes; at least this much where encoding was cut short.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The result could not be encoded.
    #[error("the result cannot be encoded: {0}")]
    Unencodable(String),
    /// The result could not be decoded.
    #[error("the result cannot be decoded: {0}")]
    Undecodable(String),
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_call_that_was_too_late_says_how_long_it_had_and_who_said_so() {
        let name = |text| Name::new(text).unwrap();
        let edge = Edge::new(name("Bookings"), name("Prices"), name("of"));
        let told = |allowance| {
            let (edge, execution) = (edge.clone(), Execution::Unknown);
            let error = CallError::DeadlineExceeded {
                edge,
                execution,
                allowance,
            };
            error.to_string()
        };
        let within = "Bookings -> Prices.of did not answer within";
        assert_eq!(
            told(Some(Allowance::OfEdge(Duration::from_secs(2)))),
            format!("{within} 2s, the deadline of this edge")
        );
        assert_eq!(
            told(Some(Allowance::OfCaller(Duration::from_micros(1_912_345)))),
            format!("{within} the 1.9s that were left of its caller's deadline")
        );
        assert_eq!(told(None), format!("{within} its deadline"));
    }

    #[test]
    fn an_error_that_is_printed_by_itself_says_its_reason() {
        let name = |text| Name::new(text).unwrap();
        let edge = Edge::new(name("Web"), name("Cart"), name("add"));
        let error = CallError::NotExecuted {
            edge: edge.clone(),
            reason: Refusal::Unreachable("Cart-1 did not greet yet".to_owned()),
        };
        assert_eq!(
            error.to_string(),
            "Web -> Cart.add was not executed: no replica can be reached: Cart-1 did not greet yet"
        );
        assert!(error.source().is_none(), "it would be printed twice");
        let error = CallError::Unknown {
            edge,
            reason: LostAnswer::Stopped,
        };
        assert_eq!(
            error.to_string(),
            "lost the answer to Web -> Cart.add: the replica was stopped"
        );
    }
}
