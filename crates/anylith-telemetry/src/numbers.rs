//! What was counted, as values that can be sent and summed.

use std::collections::BTreeMap;

use anylith_core::{Metrics, Name};
use serde::{Deserialize, Serialize};

use crate::{
    histogram::Histogram,
    outcome::{Outcome, Way},
};

/// All that one process has counted, in absolute numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// When it began to count, in milliseconds of Unix time: it tells the process from the one before it.
    pub since_ms: u64,
    /// What it counts.
    pub metrics: Metrics,
    /// What can be summed over processes.
    pub numbers: Numbers,
    /// What the process itself needs.
    pub process: ProcessNumbers,
}

/// What a process needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessNumbers {
    /// What it has used of all cores, in microseconds.
    pub cpu_us: u64,
    /// How much of it is in memory, in bytes.
    pub memory_bytes: u64,
}

/// What can be summed over processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// The calls that were made, by edge, method and way: each once, in this order. What was never called is not there.
    pub edges: Vec<EdgeNumbers>,
    /// The calls of other processes that were served, by component and method: each once, in this order.
    pub served: Vec<ServedNumbers>,
    /// What components did besides, each once, by name.
    pub components: Vec<ComponentNumbers>,
}

/// The calls of one method along an edge, one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeNumbers {
    /// The component that called.
    pub caller: Name,
    /// The component that was called.
    pub callee: Name,
    /// The method.
    pub method: Name,
    /// Whether the calls stayed in their process.
    pub way: Way,
    /// What was counted of them.
    #[serde(flatten)]
    pub calls: Calls,
}

/// The calls of one method that came from other processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedNumbers {
    /// The component.
    pub component: Name,
    /// The method.
    pub method: Name,
    /// What was counted of them.
    #[serde(flatten)]
    pub calls: Calls,
}

/// What a component did, whoever called it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentNumbers {
    /// The component.
    pub name: Name,
    /// For how long calls of other processes waited before they were begun.
    #[serde(default, skip_serializing_if = "Histogram::is_empty")]
    pub queued: Histogram,
    /// For how long its code was polled, in microseconds, without what it called in its process: extrapolated from a part
    /// of all polls.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub busy_us: u64,
}

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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
        self.ended.values().map(|ended| ended.calls).sum()
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

impl Numbers {
    /// Adds those of another process.
    pub fn add(&mut self, other: &Self) {
        for more in &other.edges {
            self.edge(&more.caller, &more.callee, &more.method, more.way)
                .add(&more.calls);
        }
        for more in &other.served {
            self.served(&more.component, &more.method).add(&more.calls);
        }
        for more in &other.components {
            let own = self.component(&more.name);
            own.queued.add(&more.queued);
            own.busy_us = own.busy_us.saturating_add(more.busy_us);
        }
    }

    /// The calls of a method along an edge, one way.
    pub fn edge(&mut self, caller: &Name, callee: &Name, method: &Name, way: Way) -> &mut Calls {
        let sought = (caller, callee, method, way);
        let found = self
            .edges
            .binary_search_by(|it| (&it.caller, &it.callee, &it.method, it.way).cmp(&sought));
        let at = found.unwrap_or_else(|at| {
            let new = EdgeNumbers {
                caller: caller.clone(),
                callee: callee.clone(),
                method: method.clone(),
                way,
                calls: Calls::default(),
            };
            self.edges.insert(at, new);
            at
        });
        &mut self.edges[at].calls
    }

    /// The calls of other processes of a method.
    pub fn served(&mut self, component: &Name, method: &Name) -> &mut Calls {
        let sought = (component, method);
        let found = self
            .served
            .binary_search_by(|it| (&it.component, &it.method).cmp(&sought));
        let at = found.unwrap_or_else(|at| {
            let new = ServedNumbers {
                component: component.clone(),
                method: method.clone(),
                calls: Calls::default(),
            };
            self.served.insert(at, new);
            at
        });
        &mut self.served[at].calls
    }

    /// What a component did besides.
    pub fn component(&mut self, name: &Name) -> &mut ComponentNumbers {
        let found = self.components.binary_search_by(|it| it.name.cmp(name));
        let at = found.unwrap_or_else(|at| {
            let new = ComponentNumbers {
                name: name.clone(),
                queued: Histogram::new(),
                busy_us: 0,
            };
            self.components.insert(at, new);
            at
        });
        &mut self.components[at]
    }

    /// What stays of them when their process is over: nothing of it is in flight any more.
    pub fn settle(&mut self) {
        let edges = self.edges.iter_mut().map(|edge| &mut edge.calls);
        let served = self.served.iter_mut().map(|served| &mut served.calls);
        edges.chain(served).for_each(|calls| calls.in_flight = 0);
    }
}

impl Report {
    /// Whether it says nothing that is worth saying after `last`: nobody has called anybody, and what the process needs is
    /// about the same.
    pub fn is_like(&self, last: &Self) -> bool {
        /// Of a core, in microseconds.
        const LITTLE_WORK: u64 = 10_000;
        /// In bytes.
        const LITTLE_MEMORY: u64 = 256 * 1024;
        let (process, before) = (self.process, last.process);
        self.since_ms == last.since_ms
            && self.metrics == last.metrics
            && self.numbers == last.numbers
            && process.cpu_us.abs_diff(before.cpu_us) < LITTLE_WORK
            && process.memory_bytes.abs_diff(before.memory_bytes) < LITTLE_MEMORY
    }
}
