//! What was counted of calls of one kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{histogram::Histogram, outcome::Outcome};

/// What was counted of calls of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// Those that have ended, by how.
    pub ended: BTreeMap<Outcome, Ended>,
    /// Those that have begun and not ended, but for those that did not have to wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_flight: u64,
    /// The encoded arguments, in bytes, of all attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent_bytes: u64,
    /// The encoded answers, in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub received_bytes: u64,
    /// How often one was made once more, after an attempt had failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// How often a second attempt was made beside the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub hedges: u64,
}

/// Calls that have ended in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// How many.
    pub calls: u64,
    /// How long they took; empty where that is not measured.
    #[serde(skip_serializing_if = "Histogram::is_empty")]
    pub took: Histogram,
}

impl Ended {
    /// Adds those of somebody else.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.took.add(&other.took);
    }

    /// Those since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            took: self.took.since(&earlier.took),
        }
    }
}

impl Calls {
    /// Adds those of somebody else.
    pub fn add(&mut self, other: &Self) {
        for (outcome, ended) in &other.ended {
            self.ended.entry(*outcome).or_default().add(ended);
        }
        for (own, more) in [
            (&mut self.in_flight, other.in_flight),
            (&mut self.sent_bytes, other.sent_bytes),
            (&mut self.received_bytes, other.received_bytes),
            (&mut self.retries, other.retries),
            (&mut self.hedges, other.hedges),
        ] {
            *own = own.saturating_add(more);
        }
    }

    /// Those since `earlier`, which these have grown out of. What is in flight is what is in flight now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let none = Ended::default();
        let ended = self.ended.iter().map(|(outcome, ended)| {
            let before = earlier.ended.get(outcome).unwrap_or(&none);
            (*outcome, ended.since(before))
        });
        Self {
            ended: ended.filter(|(_, ended)| ended.calls > 0).collect(),
            in_flight: self.in_flight,
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            received_bytes: self.received_bytes.saturating_sub(earlier.received_bytes),
            retries: self.retries.saturating_sub(earlier.retries),
            hedges: self.hedges.saturating_sub(earlier.hedges),
        }
    }

    /// How many have ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.ended.get(&outcome).map_or(0, |ended| ended.calls)
    }

    /// How many have ended.
    pub fn all(&self) -> u64 {
        let ended = self.ended.values().map(|ended| ended.calls);
        ended.fold(0, u64::saturating_add)
    }

    /// How many have ended otherwise than with what was asked for.
    pub fn failed(&self) -> u64 {
        self.all() - self.count(Outcome::Answered)
    }

    /// How long they took, however they ended.
    pub fn took(&self) -> Histogram {
        let mut all = Histogram::new();
        self.ended.values().for_each(|ended| all.add(&ended.took));
        all
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a number need not be written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}
