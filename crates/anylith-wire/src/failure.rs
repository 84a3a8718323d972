//! What a failed call looks like before it is known along which edge it was made.

use anylith_core::{BadAnswer, CallError, Edge, Execution, LostAnswer, Refusal};
use serde::{Deserialize, Serialize};

/// Why a call brought back no answer, without the edge: what a failure frame carries.
///
/// The variants are those of [`CallError`], which [`Failure::at`] makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// Never sent, or refused before it began: the callee did nothing.
    #[error("not executed: {0}")]
    NotExecuted(Refusal),
    /// The request left and no answer came.
    #[error("the answer was lost: {0}")]
    Unknown(LostAnswer),
    /// The implementation panicked, saying this.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The implementation ran to its end, but its answer could not be brought back.
    #[error("executed, but the answer could not be used: {0}")]
    Executed(BadAnswer),
    /// The time for the call was over. Says what the callee may have done.
    #[error("no answer within the deadline")]
    DeadlineExceeded(Execution),
    /// The callee was told to stop working on the call.
    #[error("cancelled")]
    Cancelled,
    /// The dependency graph has no edge from the caller to the callee.
    #[error("denied")]
    Denied,
    /// Caller and callee were built from different versions of the interface, or of the protocol.
    #[error("incompatible: {0}")]
    Incompatible(String),
}

impl Failure {
    /// This failure of a call along `edge`.
    pub fn at(self, edge: Edge) -> CallError {
        match self {
            Self::NotExecuted(reason) => CallError::NotExecuted { edge, reason },
            Self::Unknown(reason) => CallError::Unknown { edge, reason },
            Self::Panicked(message) => CallError::Panicked { edge, message },
            Self::Executed(reason) => CallError::Executed { edge, reason },
            Self::DeadlineExceeded(execution) => CallError::DeadlineExceeded {
                edge,
                execution,
                allowance: None,
            },
            Self::Cancelled => CallError::Cancelled { edge },
            Self::Denied => CallError::Denied { edge },
            Self::Incompatible(detail) => CallError::Incompatible { edge, detail },
        }
    }

    /// What the callee may have done.
    pub fn execution(&self) -> Execution {
        match self {
            Self::NotExecuted(_) | Self::Denied | Self::Incompatible(_) => Execution::NotExecuted,
            Self::Unknown(_) | Self::Cancelled => Execution::Unknown,
            Self::Panicked(_) | Self::Executed(_) => Execution::Executed,
            Self::DeadlineExceeded(execution) => *execution,
        }
    }

    /// The failure as the body of a frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Writing plain data into memory cannot fail; an empty body still reads as a failure.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// Reads the body of a failure frame.
    ///
    /// One that cannot be read says at least that the call is over and that nothing is known of it.
    pub(crate) fn decode(body: &[u8]) -> Self {
        postcard::from_bytes(body).unwrap_or_else(|_| {
            Self::Unknown(LostAnswer::Protocol(
                "sent a failure that cannot be read".to_owned(),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anylith_core::Name;

    fn every_failure() -> Vec<Failure> {
        vec![
            Failure::NotExecuted(Refusal::Moved { epoch: 1 << 40 }),
            Failure::NotExecuted(Refusal::TooLarge {
                size: 1 << 40,
                limit: 7,
            }),
            Failure::Unknown(LostAnswer::Disconnected("reset".into())),
            Failure::Panicked("index out of bounds".into()),
            Failure::Executed(BadAnswer::Unencodable("no".into())),
            Failure::DeadlineExceeded(Execution::NotExecuted),
            Failure::DeadlineExceeded(Execution::Unknown),
            Failure::Cancelled,
            Failure::Denied,
            Failure::Incompatible("a, b".into()),
        ]
    }

    #[test]
    fn a_failure_says_the_same_of_execution_with_and_without_its_edge() {
        let name = |text| Name::new(text).unwrap();
        for failure in every_failure() {
            let edge = Edge::new(name("Checkout"), name("Payment"), name("charge"));
            assert_eq!(failure.execution(), failure.clone().at(edge).execution());
        }
    }

    #[test]
    fn a_failure_is_read_as_it_was_written() {
        for failure in every_failure() {
            assert_eq!(Failure::decode(&failure.encode()), failure);
        }
    }

    #[test]
    fn a_failure_that_cannot_be_read_leaves_execution_unknown() {
        assert_eq!(Failure::decode(&[0xff; 9]).execution(), Execution::Unknown);
        assert_eq!(Failure::decode(&[]).execution(), Execution::Unknown);
    }
}
