//! What runs the replicas of a group: a Deployment, or a StatefulSet where something has to stay.

use anylith_core::Name;
use anylith_topology::{Cluster, ClusterGroup, Storage};
use anylith_wire::{ENV_ADDRESS, control::ENV_BOOTSTRAP};
use serde_json::{Value, json};

use crate::{
    configuration::{IDENTITY_FOLDER, ORDERS_FILE, ORDERS_FOLDER, SECRETS_FOLDER, peers_name},
    identity::{needs_certificate, secret_name},
    object::{bytes, seconds},
    render::{Of, Request},
    service::{CALLS_PORT, HEALTH_PORT},
};

/// The user of a pod's processes: nobody in particular, and not root.
const USER: u32 = 65532;

/// How much longer than its drain a pod may take to end: for what waits at its listeners, and for a busy node.
const MARGIN_SECONDS: u64 = 5;

impl Request<'_> {
    /// What runs the replicas of `group`.
    pub(crate) fn workload(&self, group: &ClusterGroup, of: Of<'_>) -> Value {
        let mut spec = json!({
            "minReadySeconds": seconds(self.kubernetes.lag),
            "revisionHistoryLimit": 5,
            "selector": { "matchLabels": self.selector(group) },
            "template": self.template(group, of),
        });
        // Where a number follows the load it is not for the one who applies this.
        if of.plan.scaling.is_none() {
            spec["replicas"] = json!(of.plan.replicas);
        }
        if self.has_stable_pods(group, of) {
            spec["serviceName"] = json!(peers_name(group));
            spec["podManagementPolicy"] = json!("Parallel");
            spec["updateStrategy"] = json!({ "type": "RollingUpdate" });
            if !group.storage.is_empty() {
                let claims = group.storage.iter();
                spec["volumeClaimTemplates"] = claims.map(claim).collect();
                spec["persistentVolumeClaimRetentionPolicy"] =
                    json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
            }
        } else {
            spec["strategy"] = json!({
                "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 },
            });
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": self.workload_kind(group, of),
            "metadata": self.metadata(&group.object, Some(group)),
            "spec": spec,
        })
    }

    pub(crate) fn workload_kind(&self, group: &ClusterGroup, of: Of<'_>) -> &'static str {
        match self.has_stable_pods(group, of) {
            true => "StatefulSet",
            false => "Deployment",
        }
    }

    /// Whether a pod must be gone before another one takes its place: it has a volume, or is the only one of something.
    pub(crate) fn has_stable_pods(&self, group: &ClusterGroup, of: Of<'_>) -> bool {
        !group.storage.is_empty() || !of.plan.singletons.is_empty()
    }

    fn template(&self, group: &ClusterGroup, of: Of<'_>) -> Value {
        let mut annotations = json!({
            "checksum/orders": self.checksum(group, of),
            "kubectl.kubernetes.io/default-container": self.cluster.app,
        });
        if self.kubernetes.metrics_from.is_some() {
            annotations["prometheus.io/scrape"] = json!("true");
            annotations["prometheus.io/port"] = json!(Cluster::HEALTH.to_string());
            annotations["prometheus.io/path"] = json!("/metrics");
        }
        let lag = seconds(self.kubernetes.lag);
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "containers": [self.container(group, of)],
            "enableServiceLinks": false,
            "securityContext": {
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "runAsGroup": USER,
                "runAsNonRoot": true,
                "runAsUser": USER,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "serviceAccountName": self.account(),
            "terminationGracePeriodSeconds": lag + seconds(self.grace) + MARGIN_SECONDS,
            "volumes": self.volumes(group, of),
        });
        if let Some(secret) = &self.kubernetes.pull_secret {
            spec["imagePullSecrets"] = json!([{ "name": secret }]);
        }
        if of.plan.most_replicas() > 1 {
            let spread = |key: &str| {
                json!({
                    "labelSelector": { "matchLabels": self.selector(group) },
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                })
            };
            spec["topologySpreadConstraints"] =
                json!(["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(spread));
        }
        json!({
            "metadata": { "annotations": annotations, "labels": self.labels(Some(group)) },
            "spec": spec,
        })
    }

    fn container(&self, group: &ClusterGroup, of: Of<'_>) -> Value {
        let probe = |path: &str, every: u64, failures: u64| {
            json!({
                "failureThreshold": failures,
                "httpGet": { "path": path, "port": HEALTH_PORT },
                "periodSeconds": every,
                "timeoutSeconds": 3,
            })
        };
        let mut container = json!({
            "name": self.cluster.app,
            "env": self.variables(of),
            "image": self.image.to_string(),
            "imagePullPolicy": if self.image.is_moving() { "Always" } else { "IfNotPresent" },
            // Neither the start nor the life of a process hangs on others: it waits for them, and is not ready.
            "livenessProbe": probe("/livez", 10, 6),
            "ports": self.ports(group, of),
            "readinessProbe": probe("/readyz", 2, 2),
            "resources": {
                "limits": { "memory": bytes(group.memory_bytes) },
                "requests": {
                    "cpu": format!("{}m", group.cpu_millis),
                    "memory": bytes(group.memory_bytes),
                },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
            },
            "startupProbe": probe("/livez", 1, 60),
            "volumeMounts": self.mounts(group, of),
            "workingDir": self.working_folder(),
        });
        let lag = seconds(self.kubernetes.lag);
        if lag > 0 {
            // It serves as before while it is still known; only then it is told to stop.
            container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": lag } } });
        }
        container
    }

    fn variables(&self, of: Of<'_>) -> Vec<Value> {
        let mut variables = vec![
            json!({
                "name": ENV_ADDRESS,
                "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } },
            }),
            json!({ "name": ENV_BOOTSTRAP, "value": format!("{ORDERS_FOLDER}/{ORDERS_FILE}") }),
        ];
        let own = self.plan.env.iter();
        variables.extend(own.map(|(name, value)| json!({ "name": name, "value": value })));
        let secret = self.secrets_name();
        let secret = self.secret_variables(of).into_iter().map(|name| {
            json!({
                "name": name,
                "valueFrom": { "secretKeyRef": { "key": name, "name": secret } },
            })
        });
        variables.extend(secret);
        variables
    }

    fn ports(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        let port = |name: &str, port: u16| json!({ "name": name, "containerPort": port, "protocol": "TCP" });
        let mut ports = vec![port(HEALTH_PORT, Cluster::HEALTH)];
        if !self.callers(group).is_empty() {
            ports.push(port(CALLS_PORT, Cluster::CALLS));
        }
        let listeners = of.plan.listeners.iter();
        let listeners = listeners.filter_map(|name| self.cluster.listeners.get(name));
        ports.extend(listeners.map(|listener| port(&listener.label, listener.port)));
        ports
    }

    /// The folder in which the process runs, and may write.
    fn working_folder(&self) -> String {
        format!("/var/lib/{}", self.cluster.app)
    }

    fn folder_of(&self, storage: &Storage) -> String {
        storage
            .path
            .clone()
            .unwrap_or_else(|| self.working_folder())
    }

    /// Whether the folder in which the process runs is no volume of a component.
    fn works_in_passing(&self, group: &ClusterGroup) -> bool {
        let mut storage = group.storage.iter();
        !storage.any(|(_, storage)| self.folder_of(storage) == self.working_folder())
    }

    fn mounts(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        let read =
            |name: &str, path: &str| json!({ "name": name, "mountPath": path, "readOnly": true });
        let mut mounts = vec![read("orders", ORDERS_FOLDER)];
        if needs_certificate(self.spec, of.spec) {
            mounts.push(read("tls", IDENTITY_FOLDER));
        }
        if !self.secret_files(of).is_empty() {
            mounts.push(read("secrets", SECRETS_FOLDER));
        }
        mounts.push(json!({ "name": "tmp", "mountPath": "/tmp" }));
        if self.works_in_passing(group) {
            mounts.push(json!({ "name": "work", "mountPath": self.working_folder() }));
        }
        let stored = group.storage.iter();
        mounts.extend(stored.map(|(component, storage)| {
            json!({ "name": claim_name(component), "mountPath": self.folder_of(storage) })
        }));
        mounts
    }

    fn volumes(&self, group: &ClusterGroup, of: Of<'_>) -> Vec<Value> {
        // Its group may read what is secret, and nobody else.
        const MODE: u32 = 0o440;
        let mut volumes = vec![json!({ "name": "orders", "configMap": { "name": group.object } })];
        if needs_certificate(self.spec, of.spec) {
            let secret = secret_name(&group.object);
            volumes.push(json!({
                "name": "tls",
                "secret": { "defaultMode": MODE, "secretName": secret },
            }));
        }
        let files = self.secret_files(of);
        if !files.is_empty() {
            let items = files.iter().map(|key| json!({ "key": key, "path": key }));
            volumes.push(json!({
                "name": "secrets",
                "secret": {
                    "defaultMode": MODE,
                    "items": items.collect::<Value>(),
                    "secretName": self.secrets_name(),
                },
            }));
        }
        volumes.push(json!({ "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } }));
        if self.works_in_passing(group) {
            volumes.push(json!({ "name": "work", "emptyDir": { "sizeLimit": "1Gi" } }));
        }
        volumes
    }
}

/// The volume of a component. No volume of every pod is called so.
fn claim_name(component: &Name) -> String {
    let name = component.as_str().to_ascii_lowercase().replace('_', "-");
    format!("data-{}", name.trim_matches('-'))
}

fn claim((component, storage): &(Name, Storage)) -> Value {
    json!({
        "metadata": { "name": claim_name(component) },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": bytes(storage.bytes) } },
            "storageClassName": storage.class,
        },
    })
}
