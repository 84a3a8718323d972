//! What one process says of itself and of its calls.

use anylith_core::Metrics;
use serde::{Deserialize, Serialize};

use crate::numbers::Numbers;

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
