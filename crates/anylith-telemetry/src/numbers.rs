//! What was counted, as values that can be sent and summed.

use anylith_core::Name;
use serde::{Deserialize, Serialize};

use crate::{
    calls::{Calls, is_zero},
    histogram::Histogram,
    way::Way,
};

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
        let found = self.place_of_edge(caller, callee, method, way);
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

    /// The same, if there were any.
    pub fn find_edge(
        &self,
        caller: &Name,
        callee: &Name,
        method: &Name,
        way: Way,
    ) -> Option<&Calls> {
        let at = self.place_of_edge(caller, callee, method, way).ok()?;
        Some(&self.edges[at].calls)
    }

    fn place_of_edge(
        &self,
        caller: &Name,
        callee: &Name,
        method: &Name,
        way: Way,
    ) -> Result<usize, usize> {
        let sought = (caller, callee, method, way);
        self.edges
            .binary_search_by(|it| (&it.caller, &it.callee, &it.method, it.way).cmp(&sought))
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
        let at = self.place_of_component(name).unwrap_or_else(|at| {
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

    /// The same, if anything is known of it.
    pub fn find_component(&self, name: &Name) -> Option<&ComponentNumbers> {
        let at = self.place_of_component(name).ok()?;
        Some(&self.components[at])
    }

    fn place_of_component(&self, name: &Name) -> Result<usize, usize> {
        self.components.binary_search_by(|it| it.name.cmp(name))
    }

    /// What stays of them when their process is over: nothing of it is in flight any more.
    pub fn settle(&mut self) {
        let edges = self.edges.iter_mut().map(|edge| &mut edge.calls);
        let served = self.served.iter_mut().map(|served| &mut served.calls);
        edges.chain(served).for_each(|calls| calls.in_flight = 0);
    }
}
