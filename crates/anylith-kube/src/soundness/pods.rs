//! Pods: whom selectors match, what pods refer to, and what they may do.

use std::collections::BTreeSet;

use anylith_topology::is_label;
use serde_json::Value;

use super::{is_port, list, quantity, text};

/// The workloads, by what their pods are.
pub(super) struct Pods<'a>(Vec<&'a Value>);

impl<'a> Pods<'a> {
    pub(super) fn of(objects: &'a [Value]) -> Self {
        let workloads = objects
            .iter()
            .filter(|it| ["Deployment", "StatefulSet"].contains(&text(it, "/kind")));
        Self(workloads.collect())
    }

    /// The workloads whose pods `labels` select. No labels select none: nobody means all pods of a namespace.
    pub(super) fn selected(&self, labels: Option<&Value>) -> Vec<&'a Value> {
        let all = self.0.iter().copied();
        all.filter(|it| matches(labels, it.pointer("/spec/template/metadata/labels")))
            .collect()
    }
}

/// Whether pods with `labels` are those that `selector` selects.
pub(super) fn matches(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let (Some(selector), Some(labels)) = (selector.and_then(Value::as_object), labels) else {
        return false;
    };
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

fn containers(workload: &Value) -> &[Value] {
    list(workload, "/spec/template/spec/containers")
}

/// Whether a pod of `workload` has the port that `target` names or numbers.
pub(super) fn has_port(workload: &Value, target: &Value) -> bool {
    let mut ports = containers(workload)
        .iter()
        .flat_map(|it| list(it, "/ports"));
    ports.any(|port| port["name"] == *target || port["containerPort"] == *target)
}

/// What is wrong with the pods of `workload`.
pub(super) fn flaws(workload: &Value, objects: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    ports(workload, &mut found);
    volumes(workload, objects, &mut found);
    resources(workload, &mut found);
    end(workload, &mut found);
    restrictions(workload, &mut found);
    let account = text(workload, "/spec/template/spec/serviceAccountName");
    let is_there = objects
        .iter()
        .any(|it| text(it, "/kind") == "ServiceAccount" && text(it, "/metadata/name") == account);
    if !is_there {
        found.push(format!("its service account `{account}` is not there"));
    }
    for spread in list(workload, "/spec/template/spec/topologySpreadConstraints") {
        let labels = workload.pointer("/spec/template/metadata/labels");
        if !matches(spread.pointer("/labelSelector/matchLabels"), labels) {
            found.push("it spreads pods that are not its own".to_owned());
        }
    }
    found
}

fn ports(workload: &Value, found: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for container in containers(workload) {
        if !is_label(text(container, "/name")) || !names.insert(text(container, "/name")) {
            found.push(format!(
                "{} is no name for one more container",
                container["name"]
            ));
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for port in list(container, "/ports") {
            let name = text(port, "/name");
            let has_letter = name.contains(|letter: char| letter.is_ascii_lowercase());
            if !is_label(name) || name.len() > 15 || !has_letter || name.contains("--") {
                found.push(format!("`{name}` is no name of a port"));
            }
            if !names.insert(name) || !numbers.insert(port["containerPort"].as_u64()) {
                found.push(format!("the port {name} is there twice"));
            }
            if !is_port(&port["containerPort"]) {
                found.push(format!("{} is no port", port["containerPort"]));
            }
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            match container.get(probe) {
                None => found.push(format!("it has no {probe}")),
                Some(it) if !has_port(workload, &it["httpGet"]["port"]) => {
                    found.push(format!("its {probe} asks at a port that it does not have"));
                }
                Some(_) => {}
            }
        }
    }
}

fn volumes(workload: &Value, objects: &[Value], found: &mut Vec<String>) {
    let volumes = list(workload, "/spec/template/spec/volumes");
    let claims = list(workload, "/spec/volumeClaimTemplates");
    let mut names: Vec<&str> = volumes.iter().map(|it| text(it, "/name")).collect();
    names.extend(claims.iter().map(|it| text(it, "/metadata/name")));
    let mut seen = BTreeSet::new();
    for name in &names {
        if !is_label(name) || !seen.insert(*name) {
            found.push(format!("`{name}` is no name for one more volume"));
        }
    }
    for claim in claims {
        if !quantity::is_one(&claim["spec"]["resources"]["requests"]["storage"]) {
            found.push("a volume has no size".to_owned());
        }
        if text(claim, "/spec/storageClassName").is_empty() {
            found.push("a volume has no class".to_owned());
        }
    }
    for volume in volumes {
        let map = text(volume, "/configMap/name");
        let is_there = objects
            .iter()
            .any(|it| text(it, "/kind") == "ConfigMap" && text(it, "/metadata/name") == map);
        if volume.get("configMap").is_some() && !is_there {
            found.push(format!("the ConfigMap `{map}` of a volume is not there"));
        }
    }
    for container in containers(workload) {
        let mut folders = BTreeSet::new();
        for mount in list(container, "/volumeMounts") {
            let (name, folder) = (text(mount, "/name"), text(mount, "/mountPath"));
            if !names.contains(&name) {
                found.push(format!("there is no volume `{name}`"));
            }
            if !folder.starts_with('/') || folder.contains(':') || !folders.insert(folder) {
                found.push(format!("`{folder}` is no folder for one more volume"));
            }
        }
    }
}

fn resources(workload: &Value, found: &mut Vec<String>) {
    for container in containers(workload) {
        for pointer in [
            "/resources/requests/cpu",
            "/resources/requests/memory",
            "/resources/limits/memory",
        ] {
            let quantity = container.pointer(pointer).unwrap_or(&Value::Null);
            if !quantity::is_one(quantity) {
                found.push(format!("{pointer} is {quantity}, which is no quantity"));
            }
        }
    }
}

/// Whether a pod has time for its end: what it waits before it is told to stop counts, too.
fn end(workload: &Value, found: &mut Vec<String>) {
    let grace = workload.pointer("/spec/template/spec/terminationGracePeriodSeconds");
    let grace = grace.and_then(Value::as_u64).unwrap_or(30);
    for container in containers(workload) {
        let sleep = container.pointer("/lifecycle/preStop/sleep/seconds");
        if sleep
            .and_then(Value::as_u64)
            .is_some_and(|sleep| sleep >= grace)
        {
            found.push("it is killed before it is told to stop".to_owned());
        }
    }
}

/// What the Pod Security Standard *restricted* asks for, and a token that nobody needs.
fn restrictions(workload: &Value, found: &mut Vec<String>) {
    let pod = &workload["spec"]["template"]["spec"];
    let mut ask = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("restricted: {what}"));
        }
    };
    ask(
        pod.pointer("/securityContext/runAsNonRoot") == Some(&Value::Bool(true)),
        "it may run as root",
    );
    ask(
        pod.pointer("/securityContext/runAsUser")
            .and_then(Value::as_u64)
            != Some(0),
        "it runs as root",
    );
    ask(
        text(pod, "/securityContext/seccompProfile/type") == "RuntimeDefault",
        "it has no seccomp profile",
    );
    ask(
        pod.get("automountServiceAccountToken") == Some(&Value::Bool(false)),
        "it gets a token of its service account",
    );
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        ask(pod.get(host).is_none(), "it shares something with its node");
    }
    for container in containers(workload) {
        let context = &container["securityContext"];
        ask(
            context["allowPrivilegeEscalation"] == Value::Bool(false),
            "it may gain privileges",
        );
        ask(
            list(context, "/capabilities/drop")
                .iter()
                .any(|it| it == "ALL"),
            "it keeps capabilities",
        );
        ask(
            context["readOnlyRootFilesystem"] == Value::Bool(true),
            "it may write to its image",
        );
        ask(
            list(container, "/ports")
                .iter()
                .all(|port| port.get("hostPort").is_none()),
            "it takes a port of its node",
        );
    }
    let allowed = [
        "configMap",
        "secret",
        "emptyDir",
        "persistentVolumeClaim",
        "projected",
        "downwardAPI",
        "name",
    ];
    for volume in list(pod, "/volumes") {
        let kinds = volume.as_object().into_iter().flatten();
        ask(
            kinds
                .into_iter()
                .all(|(kind, _)| allowed.contains(&kind.as_str())),
            "it has a volume of its node",
        );
    }
}
