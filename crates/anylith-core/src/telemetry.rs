//! What an application tells of itself.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an application tells of itself: `[telemetry]`, the same in every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// What is counted of calls.
    pub metrics: Metrics,
    /// Which of them are traced.
    pub traces: Traces,
}

/// Which calls are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// Whether there are traces at all. If not, what comes along from outside still goes on with the calls.
    pub on: bool,
    /// How many of a million traces are kept whatever becomes of them.
    pub sampled_ppm: u32,
    /// A call that takes so long is kept with what belongs to it, in milliseconds; and so is one that fails.
    pub slow_ms: u64,
}

impl Traces {
    /// None.
    pub const OFF: Self = Self {
        on: false,
        sampled_ppm: 0,
        slow_ms: 0,
    };
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            on: true,
            sampled_ppm: 10_000,
            slow_ms: 500,
        }
    }
}

/// What is counted of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metrics {
    /// Nothing.
    Off,
    /// How many there were and how they ended, without a look at a clock.
    Counters,
    /// How long they took as well, and what their components have computed.
    #[default]
    All,
}

impl Metrics {
    /// The words for them in `anylith.toml`.
    pub const WORDS: [&'static str; 3] = ["off", "counters", "all"];
}

impl FromStr for Metrics {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "counters" => Ok(Self::Counters),
            "all" => Ok(Self::All),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Counters => "counters",
            Self::All => "all",
        })
    }
}
