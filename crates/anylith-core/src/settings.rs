//! What can be set about calls: for one edge, and for all of the data plane.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Name;

/// What `[edges."A -> B"]` sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// The calling component.
    pub caller: Name,
    /// The component it calls.
    pub callee: Name,
    /// How long a call may take, in milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
}

impl EdgeSettings {
    /// How long a call may take.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline_ms.map(Duration::from_millis)
    }
}

/// Limits of the data plane, the same in every replica of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The largest message, in bytes: arguments, a result, or one item of a stream.
    pub message_bytes: u32,
    /// The most calls that may be in flight on one connection.
    pub calls_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024 * 1024,
            calls_per_connection: 16 * 1024,
        }
    }
}
