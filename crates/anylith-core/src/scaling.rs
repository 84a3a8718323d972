//! How many replicas a group may have, and what each of them is to bear.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Fingerprint, Name};

/// A range of numbers of replicas, within which the control plane chooses by what they bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// The fewest. With 0 the last one leaves when nothing is called, and the next call starts one.
    pub min: u32,
    /// The most, at least 1 and at least `min`.
    pub max: u32,
    /// What each of them is to bear.
    #[serde(default)]
    pub target: Target,
    /// For how long fewer have to be enough before any leaves, in milliseconds.
    #[serde(default = "Scaling::default_cooldown_ms")]
    pub cooldown_ms: u64,
}

impl Scaling {
    /// For how long fewer have to be enough before any leaves, where nobody says otherwise.
    pub const COOLDOWN: Duration = Duration::from_secs(60);

    /// From `min` to `max`, with what is usual for the rest.
    pub fn between(min: u32, max: u32) -> Self {
        Self {
            min,
            max,
            target: Target::default(),
            cooldown_ms: Self::default_cooldown_ms(),
        }
    }

    /// The range that `size` asks for, of a group that had the one `before`, if it had any: what each replica is to bear
    /// stays as it was said.
    pub fn resized(before: Option<Self>, size: Size) -> Self {
        let (min, max) = match size {
            Size::Fixed(replicas) => (replicas, replicas),
            Size::Between { min, max } => (min, max),
        };
        let before = before.unwrap_or(Self::between(min, max));
        Self { min, max, ..before }
    }

    fn default_cooldown_ms() -> u64 {
        Self::COOLDOWN.as_millis() as u64
    }

    /// For how long fewer have to be enough before any leaves.
    pub fn cooldown(&self) -> Duration {
        Duration::from_millis(self.cooldown_ms)
    }

    /// How many there are before anything was measured: whether it starts at all shows at once, and not with the first
    /// call.
    pub fn initial(&self) -> u32 {
        self.min.max(1)
    }

    /// The nearest number to `replicas` within the range.
    pub fn clamp(&self, replicas: u32) -> u32 {
        replicas.clamp(self.min, self.max.max(self.min))
    }
}

/// A component of a group of which replicas of its own may be started beside those of the group, when more of its calls
/// come than these are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// The component.
    pub component: Name,
    /// How many replicas there may be of it alone, from none; and what each replica that has the component is to bear, those
    /// of the group included.
    pub scaling: Scaling,
}

impl Burst {
    /// The most replicas of a component alone, where nobody says otherwise.
    pub const MOST: u32 = 4;

    /// Of `component`, with what is usual for the rest.
    pub fn of(component: Name) -> Self {
        let scaling = Scaling::between(0, Self::MOST);
        Self { component, scaling }
    }

    /// The name of the group that the replicas of the component alone make up. No component can be called so.
    pub fn group(&self) -> Name {
        const SUFFIX: &str = "-burst";
        let component = self.component.as_str();
        let name = if component.len() + SUFFIX.len() <= Name::MAX_LEN {
            format!("{component}{SUFFIX}")
        } else {
            let hash = Fingerprint::EMPTY.with(component).0 as u32;
            let keep = Name::MAX_LEN - SUFFIX.len() - 9;
            format!("{}-{hash:08x}{SUFFIX}", &component[..keep])
        };
        Name::new(name).expect("the start of a name, hexadecimal digits and letters make a name")
    }
}

/// What each replica of a group is to bear. With more than that there are to be more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// So many calls under way on average, of the component of the group that has most.
    Concurrency(u32),
    /// So much of a core on average, in thousandths.
    #[serde(rename = "cpu_millis")]
    Cpu(u32),
    /// 99 of 100 calls are answered within this time, in milliseconds, by the component of the group that takes longest.
    #[serde(rename = "p99_ms")]
    P99(u64),
}

impl Default for Target {
    fn default() -> Self {
        Self::Concurrency(16)
    }
}

impl fmt::Display for Target {
    /// As it is written in `anylith.toml`: `concurrency = 16`, `cpu = 0.7`, `p99 = "50ms"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency(calls) => write!(f, "concurrency = {calls}"),
            Self::Cpu(millis) => write!(f, "cpu = {}", f64::from(*millis) / 1000.0),
            Self::P99(ms) => write!(f, "p99 = \"{ms}ms\""),
        }
    }
}

/// How many replicas somebody asks for while an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// So many.
    Fixed(u32),
    /// As many as are needed, within these bounds.
    Between {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
}

impl Size {
    /// The most that there may be.
    pub fn most(self) -> u32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Between { max, .. } => max,
        }
    }
}

impl From<u32> for Size {
    fn from(replicas: u32) -> Self {
        Self::Fixed(replicas)
    }
}

impl fmt::Display for Size {
    /// As it is typed: `3`, `0..5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(replicas) => replicas.fmt(f),
            Self::Between { min, max } => write!(f, "{min}..{max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_or_a_range_in_json() {
        let read = |json| serde_json::from_str::<Size>(json).unwrap();
        assert_eq!(read("3"), Size::Fixed(3));
        let range = Size::Between { min: 0, max: 5 };
        assert_eq!(read(r#"{"min":0,"max":5}"#), range);
        assert_eq!(range.to_string(), "0..5");
    }

    #[test]
    fn replicas_for_a_burst_have_a_group_of_their_own_however_long_the_name() {
        let group = |name: &str| Burst::of(Name::new(name).unwrap()).group();
        assert_eq!(group("Catalog"), "Catalog-burst");
        let (one, other) = (
            group(&"x".repeat(48)),
            group(&format!("{}y", "x".repeat(47))),
        );
        assert!(one != other && one.as_str().ends_with("-burst"), "{one}");
    }

    #[test]
    fn a_target_reads_as_it_is_written_in_the_file() {
        assert_eq!(Target::default().to_string(), "concurrency = 16");
        assert_eq!(Target::Cpu(700).to_string(), "cpu = 0.7");
        assert_eq!(Target::P99(50).to_string(), "p99 = \"50ms\"");
    }
}
