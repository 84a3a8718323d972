//! What can be set about calls: for one edge, and for all of the data plane.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Name;

/// What `[edges."A -> B"]` sets for all calls along an edge, or `[edges."A -> B.method"]` for those of one method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// The calling component.
    pub caller: Name,
    /// The component it calls.
    pub callee: Name,
    /// The method, if it is for one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Name>,
    /// How long a call may take, in milliseconds: what the file calls `deadline`.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// How many retries a hundred calls allow; 0 for none. Never set for one method alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries_percent: Option<u32>,
    /// After how many milliseconds an idempotent call is also sent to another replica; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge_ms: Option<u64>,
    /// The most calls that a replica of the caller may have under way. Never set for one method alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl EdgeSettings {
    /// Nothing is set for this edge, or method of it.
    pub fn new(caller: Name, callee: Name, method: Option<Name>) -> Self {
        Self {
            caller,
            callee,
            method,
            timeout_ms: None,
            retries_percent: None,
            hedge_ms: None,
            concurrency: None,
        }
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// After how long an idempotent call is also sent to another replica; zero for never.
    pub fn hedge(&self) -> Option<Duration> {
        self.hedge_ms.map(Duration::from_millis)
    }
}

/// Limits of the data plane, the same in every replica of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The largest message, in bytes: arguments, a result, or one item of a stream.
    pub message_bytes: u32,
    /// The most calls that may be in flight on one connection.
    pub calls_per_connection: u32,
    /// How long a call waits for a callee of which no replica can be reached, in milliseconds. It is counted
    /// from the loss of the last one, so where all have been gone for longer, calls fail at once.
    pub reach_timeout_ms: u32,
    /// How many calls from other replicas a replica takes at a time, for each of its components.
    pub concurrency: Concurrency,
    /// What holds for one component alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<Name, ComponentLimits>,
}

/// Limits of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentLimits {
    /// How many calls from other replicas it takes at a time; `None` for what holds for all components.
    pub concurrency: Option<Concurrency>,
}

/// How many calls a component of a replica takes at a time. Those that wait to be begun are counted, too; one more
/// is refused as overloaded, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// So many.
    AtMost(u32),
    /// As many as it answers without keeping them waiting, which is found out all the time; at most
    /// [`Concurrency::DEFAULT`].
    Adaptive,
}

impl Concurrency {
    /// The number where nothing is set. Generous: it keeps a replica from drowning, and does not tune it.
    pub const DEFAULT: u32 = 1024;
}

impl Limits {
    /// How long a call waits for a callee of which no replica can be reached.
    pub fn reach_timeout(&self) -> Duration {
        Duration::from_millis(self.reach_timeout_ms.into())
    }

    /// How many calls `component` takes at a time.
    pub fn concurrency_of(&self, component: &Name) -> Concurrency {
        let own = self.components.get(component).and_then(|it| it.concurrency);
        own.unwrap_or(self.concurrency)
    }

    /// What of `anylith.toml` says how many calls `component` takes at a time, as it is written there:
    /// `[limits.components.Cart] concurrency = 10`.
    pub fn concurrency_setting(&self, component: &Name) -> String {
        let own = self.components.get(component).and_then(|it| it.concurrency);
        let section = match own {
            Some(_) => format!("[limits.components.{component}]"),
            None => "[limits]".to_owned(),
        };
        match self.concurrency_of(component) {
            Concurrency::AtMost(calls) => format!("{section} concurrency = {calls}"),
            Concurrency::Adaptive => format!("{section} concurrency = \"adaptive\""),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024 * 1024,
            calls_per_connection: 16 * 1024,
            // A replica that died is back within two seconds, unless it dies again at its start.
            reach_timeout_ms: 3000,
            concurrency: Concurrency::AtMost(Concurrency::DEFAULT),
            components: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_it_is_written() {
        let (cart, prices) = (Name::new("Cart").unwrap(), Name::new("Prices").unwrap());
        let own = ComponentLimits {
            concurrency: Some(Concurrency::AtMost(10)),
        };
        let limits = Limits {
            concurrency: Concurrency::Adaptive,
            components: [(prices.clone(), own)].into(),
            ..Limits::default()
        };
        assert_eq!(
            limits.concurrency_setting(&prices),
            "[limits.components.Prices] concurrency = 10"
        );
        assert_eq!(
            limits.concurrency_setting(&cart),
            "[limits] concurrency = \"adaptive\""
        );
    }
}
