//! The objects of one group.

use anylith_topology::ClusterGroup;
use serde_json::Value;

use crate::render::{Of, Request};

impl Request<'_> {
    /// All objects of `group`, each after those that it refers to.
    pub(crate) fn group(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        let mut objects = vec![self.config_map(group, of)];
        objects.extend(self.certificate(group, of));
        objects.extend(self.peers_service(group, of));
        for listener in &of.plan.listeners {
            objects.extend(self.listener_service(group, listener));
            objects.extend(self.route(group, listener));
        }
        objects.push(self.workload(group, of));
        objects.extend(self.autoscaler(group, of));
        objects.extend(self.disruption_budget(group, of));
        objects.push(self.network_policy(group, of));
        objects
    }
}
