//! Every request of a load, one by one: for who wants to know which of them were made at a certain time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Money, RequestKind};

/// One request, and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What was asked for.
    pub kind: RequestKind,
    /// Since when it had been due.
    pub begun: Instant,
    /// How long after that all of the answer was there, or it was clear that none comes.
    pub took: Duration,
    /// What was wrong with the answer; `None` if nothing was.
    pub wrong: Option<String>,
    /// Whether there was an answer at all.
    pub answered: bool,
    /// Whether it was made twice, since the connection broke under the first: see [`Load::repeats`](crate::Load::repeats).
    pub repeated: bool,
    /// What is to be paid, if this asks for an order with a card that is taken.
    pub total: Option<Money>,
}

impl Exchange {
    /// Whether a moment of it is between `from` and `to`.
    pub fn meets(&self, from: Instant, to: Instant) -> bool {
        self.begun <= to && from <= self.begun + self.took
    }
}
