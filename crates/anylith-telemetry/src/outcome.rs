//! How a call ends.

use std::fmt;

use anylith_core::Execution;
use serde::{Deserialize, Serialize};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With what was asked for.
    Answered,
    /// With an error of the callee's own.
    Erred,
    /// It failed, and the callee did nothing.
    NotExecuted,
    /// It failed, and the callee did all of its work, a part, or nothing.
    Unknown,
    /// It failed although the callee worked on it: it panicked, or its answer cannot be used.
    Executed,
    /// Its caller gave it up before it ended.
    Cancelled,
}

impl Outcome {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 6] = [
        Self::Answered,
        Self::Erred,
        Self::NotExecuted,
        Self::Unknown,
        Self::Executed,
        Self::Cancelled,
    ];

    /// That of a call of which this is known of its execution, if it failed; `erred`: its answer is an error of the
    /// callee's own.
    pub fn of(failed: Option<Execution>, erred: bool) -> Self {
        match failed {
            None if erred => Self::Erred,
            None => Self::Answered,
            Some(Execution::NotExecuted) => Self::NotExecuted,
            Some(Execution::Unknown) => Self::Unknown,
            Some(Execution::Executed) => Self::Executed,
        }
    }

    /// The word for it, as labels and JSON have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Erred => "erred",
            Self::NotExecuted => "not_executed",
            Self::Unknown => "unknown",
            Self::Executed => "executed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
