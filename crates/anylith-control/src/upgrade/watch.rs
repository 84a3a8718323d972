//! Something that is watched for a while.

use std::time::{Duration, Instant};

/// Something is watched for a while: NotYet → Until → Done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Watch {
    NotYet,
    Until(Instant),
    Done,
}

impl Watch {
    /// Whether it was watched for as long as `observe`, from the first time that this was asked.
    pub(crate) fn is_done(&mut self, observe: Duration, now: Instant) -> bool {
        *self = match *self {
            Self::NotYet if observe.is_zero() => Self::Done,
            Self::NotYet => Self::Until(now + observe),
            Self::Until(until) if until <= now => Self::Done,
            other @ (Self::Until(_) | Self::Done) => other,
        };
        matches!(self, Self::Done)
    }

    pub(crate) fn next_tick(self) -> Option<Instant> {
        match self {
            Self::Until(until) => Some(until),
            Self::NotYet | Self::Done => None,
        }
    }
}
