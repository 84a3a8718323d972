//! How the number of a group's replicas follows what they bear.

use anylith_core::Target;
use anylith_topology::ClusterGroup;
use serde_json::{Value, json};

use crate::render::{Of, Request};

/// The metric that says how many calls a pod serves at the moment; an adapter has to hand it to the cluster.
const IN_FLIGHT: &str = "anylith_server_calls_in_flight";

/// How busy pods are to be where nothing better is measured, in percent of what they ask for.
const BUSY: u32 = 75;

impl Request<'_> {
    pub(crate) fn autoscaler(&self, group: &ClusterGroup, of: Of<'_>) -> Option<Value> {
        let scaling = of.plan.scaling?;
        Some(json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": self.metadata(&group.object, Some(group)),
            "spec": {
                "behavior": {
                    "scaleDown": { "stabilizationWindowSeconds": (scaling.cooldown_ms / 1000).min(3600) },
                },
                "maxReplicas": scaling.max,
                "metrics": self.metrics(scaling.target),
                "minReplicas": scaling.min,
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": self.workload_kind(group, of),
                    "name": group.object,
                },
            },
        }))
    }

    fn metrics(&self, target: Target) -> Value {
        let cpu = |target: Value| json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        let busy = || cpu(json!({ "type": "Utilization", "averageUtilization": BUSY }));
        match target {
            Target::Cpu(millis) => json!([cpu(json!({
                "type": "AverageValue",
                "averageValue": format!("{millis}m"),
            }))]),
            // The greater of two numbers counts: calls that wait use no processor.
            Target::Concurrency(calls) if self.kubernetes.metrics_from.is_some() => json!([
                {
                    "type": "Pods",
                    "pods": {
                        "metric": { "name": IN_FLIGHT },
                        "target": { "type": "AverageValue", "averageValue": calls.to_string() },
                    },
                },
                busy(),
            ]),
            Target::Concurrency(_) | Target::P99(_) => json!([busy()]),
        }
    }

    /// What there is to say of how `group` is scaled.
    pub(crate) fn scaling_note(&self, group: &ClusterGroup, of: Of<'_>) -> Option<String> {
        let scaling = of.plan.scaling?;
        let is_measured = self.kubernetes.metrics_from.is_some();
        match scaling.target {
            Target::Concurrency(_) if !is_measured => Some(format!(
                "the replicas of `{}` follow the processor, and not their calls: nobody reads metrics (`metrics_from` of \
                 [kubernetes])",
                group.group
            )),
            Target::Concurrency(_) => Some(format!(
                "the replicas of `{}` follow the metric {IN_FLIGHT}, which an adapter for custom metrics has to provide",
                group.group
            )),
            Target::Cpu(_) | Target::P99(_) => None,
        }
    }
}
