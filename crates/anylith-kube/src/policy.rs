//! Who may call whom: the edges of the dependency graph, and nothing else.

use std::collections::BTreeMap;

use anylith_topology::{Cluster, ClusterGroup};
use serde_json::{Value, json};

use crate::render::{Of, Request};

/// Where names are looked up.
const DNS: u16 = 53;

impl Request<'_> {
    pub(crate) fn network_policy(&self, group: &ClusterGroup, of: Of<'_>) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self.metadata(&group.object, Some(group)),
            "spec": {
                "egress": self.egress(group, of),
                "ingress": self.ingress(group, of),
                "podSelector": { "matchLabels": self.selector(group) },
                "policyTypes": ["Ingress", "Egress"],
            },
        })
    }

    /// The pods of `groups`, as somebody at the other end.
    fn pods(&self, groups: &[&ClusterGroup]) -> Vec<Value> {
        let pods = |group: &&ClusterGroup| json!({ "podSelector": { "matchLabels": self.selector(group) } });
        groups.iter().map(pods).collect()
    }

    /// Probes come from the node of a pod, which every network lets through.
    fn ingress(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        let mut rules = Vec::new();
        let callers = self.callers(group);
        if !callers.is_empty() {
            rules.push(json!({ "from": self.pods(&callers), "ports": [tcp(Cluster::CALLS)] }));
        }
        let listeners = of.plan.listeners.iter();
        for listener in listeners.filter_map(|name| self.cluster.listeners.get(name)) {
            let mut rule = json!({ "ports": [tcp(listener.port)] });
            if let Some(namespace) = &listener.exposure.from {
                rule["from"] = json!([in_namespace(namespace)]);
            }
            rules.push(rule);
        }
        if let Some(namespace) = &self.kubernetes.metrics_from {
            rules.push(json!({
                "from": [in_namespace(namespace)],
                "ports": [tcp(Cluster::HEALTH)],
            }));
        }
        rules
    }

    fn egress(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        let callees = self.callees(of);
        let mut rules = Vec::new();
        if !callees.is_empty() {
            let groups: Vec<&ClusterGroup> = callees.iter().map(|(group, _)| *group).collect();
            rules.push(json!({ "to": self.pods(&groups), "ports": [tcp(Cluster::CALLS)] }));
        }
        let mut ranges: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for egress in &group.egress {
            ranges
                .entry(&egress.range)
                .or_default()
                .push(tcp(egress.port));
        }
        for (range, ports) in ranges {
            rules.push(json!({ "to": [{ "ipBlock": { "cidr": range } }], "ports": ports }));
        }
        if !rules.is_empty() {
            // Wherever it is: some clusters have a cache for it on each node, which is no pod.
            let dns = ["UDP", "TCP"].map(|protocol| json!({ "port": DNS, "protocol": protocol }));
            rules.push(json!({ "ports": dns }));
        }
        rules
    }
}

fn tcp(port: u16) -> Value {
    json!({ "port": port, "protocol": "TCP" })
}

fn in_namespace(namespace: &str) -> Value {
    json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
    })
}
