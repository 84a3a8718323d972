//! How pods are found: by each other, and by those who come from outside.

use anylith_core::Name;
use anylith_topology::{Cluster, ClusterGroup, Route, Way};
use serde_json::{Value, json};

use crate::{
    configuration::peers_name,
    render::{Of, Request},
};

/// The port at which pods answer calls. No listener is called so: its name would be too long with another word.
pub(crate) const CALLS_PORT: &str = "anylith-calls";
/// The port at which pods say how they are.
pub(crate) const HEALTH_PORT: &str = "anylith-health";

impl Request<'_> {
    /// The Service by which the replicas of `group` are found by name, where anybody looks for them.
    ///
    /// It names pods that are not ready, too: whether a component takes calls is said on the connection, for each by
    /// itself, and groups that call each other could not start otherwise.
    pub(crate) fn peers_service(&self, group: &ClusterGroup, of: Of<'_>) -> Option<Value> {
        let is_called = !self.callers(group).is_empty();
        if !is_called && !self.has_stable_pods(group, of) {
            return None;
        }
        let (name, port) = match is_called {
            true => (CALLS_PORT, Cluster::CALLS),
            false => (HEALTH_PORT, Cluster::HEALTH),
        };
        Some(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&peers_name(group), Some(group)),
            "spec": {
                "clusterIP": "None",
                "ports": [{ "name": name, "port": port, "protocol": "TCP", "targetPort": name }],
                "publishNotReadyAddresses": true,
                "selector": self.selector(group),
            },
        }))
    }

    /// The Service at which a listener of `group` is called. It goes to pods that are ready.
    pub(crate) fn listener_service(&self, group: &ClusterGroup, name: &Name) -> Option<Value> {
        let listener = self.cluster.listeners.get(name)?;
        Some(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&listener.object, Some(group)),
            "spec": {
                "ports": [{
                    "name": listener.label,
                    "port": listener.exposure.port,
                    "protocol": "TCP",
                    "targetPort": listener.label,
                }],
                "selector": self.selector(group),
                "type": "ClusterIP",
            },
        }))
    }

    /// What leads to a listener from outside of the cluster, if that is wanted.
    pub(crate) fn route(&self, group: &ClusterGroup, name: &Name) -> Option<Value> {
        let listener = self.cluster.listeners.get(name)?;
        let Route {
            by,
            host,
            tls_secret,
        } = listener.exposure.route.as_ref()?;
        let metadata = self.metadata(&listener.object, Some(group));
        Some(match by {
            Way::Ingress(class) => {
                let service = json!({
                    "name": listener.object,
                    "port": { "name": listener.label },
                });
                let path = json!({
                    "backend": { "service": service },
                    "path": "/",
                    "pathType": "Prefix",
                });
                let mut rule = json!({ "http": { "paths": [path] } });
                if let Some(host) = host {
                    rule["host"] = json!(host);
                }
                let mut spec = json!({ "ingressClassName": class, "rules": [rule] });
                if let Some(secret) = tls_secret {
                    let mut tls = json!({ "secretName": secret });
                    if let Some(host) = host {
                        tls["hosts"] = json!([host]);
                    }
                    spec["tls"] = json!([tls]);
                }
                json!({
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "Ingress",
                    "metadata": metadata,
                    "spec": spec,
                })
            }
            Way::Gateway { namespace, name } => {
                let mut parent = json!({ "name": name });
                if let Some(namespace) = namespace {
                    parent["namespace"] = json!(namespace);
                }
                let backend = json!({ "name": listener.object, "port": listener.exposure.port });
                let mut spec = json!({
                    "parentRefs": [parent],
                    "rules": [{ "backendRefs": [backend] }],
                });
                if let Some(host) = host {
                    spec["hostnames"] = json!([host]);
                }
                json!({
                    "apiVersion": "gateway.networking.k8s.io/v1",
                    "kind": "HTTPRoute",
                    "metadata": metadata,
                    "spec": spec,
                })
            }
        })
    }
}
