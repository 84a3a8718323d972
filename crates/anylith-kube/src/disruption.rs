//! How many pods of a group may be taken away at a time.

use anylith_topology::ClusterGroup;
use serde_json::{Value, json};

use crate::render::{Of, Request};

impl Request<'_> {
    /// One at a time, where there are several. A budget for a single pod would keep its node from ever being emptied.
    pub(crate) fn disruption_budget(&self, group: &ClusterGroup, of: Of<'_>) -> Option<Value> {
        (of.plan.most_replicas() > 1).then(|| {
            json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": self.metadata(&group.object, Some(group)),
                "spec": {
                    "maxUnavailable": 1,
                    "selector": { "matchLabels": self.selector(group) },
                    // One that is not ready serves nobody: it keeps no node from being emptied.
                    "unhealthyPodEvictionPolicy": "AlwaysAllow",
                },
            })
        })
    }
}
