//! What a schema accepts, and a cluster refuses or breaks on.

mod names;
mod pods;
mod quantity;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use names::{check_labels, check_name};
use pods::Pods;

/// The longest data of a ConfigMap, in bytes.
const MOST_DATA: usize = 1 << 20;

/// The kinds of objects that are rendered, with the version of each.
const KINDS: [(&str, &str); 11] = [
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("cert-manager.io/v1", "Certificate"),
];

/// Everything that is wrong with `objects` together, in words; empty if a cluster can have them.
///
/// Looked at are names, labels and ports; selectors, which have to match pods; what objects refer to, which has to be
/// there; quantities; numbers of replicas and what may be taken away of them; and what the Pod Security Standard *restricted*
/// asks of pods. Not looked at is the shape of an object, for which there are schemas.
pub fn flaws(objects: &[Value]) -> Vec<String> {
    let mut flaws = Flaws {
        objects,
        found: Vec::new(),
    };
    let pods = Pods::of(objects);
    flaws.kinds();
    flaws.names();
    flaws.config_maps();
    for object in objects {
        match text(object, "/kind") {
            "Deployment" | "StatefulSet" => flaws.workload(object, &pods),
            "Service" => flaws.service(object, &pods),
            "NetworkPolicy" => flaws.policy(object, &pods),
            "PodDisruptionBudget" => flaws.budget(object, &pods),
            "HorizontalPodAutoscaler" => flaws.autoscaler(object),
            "Ingress" => flaws.ingress(object),
            _ => {}
        }
    }
    flaws.found
}

struct Flaws<'a> {
    objects: &'a [Value],
    found: Vec<String>,
}

/// The text at `pointer`, or none.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// What an object is called in messages.
fn called(object: &Value) -> String {
    format!(
        "{} {}",
        text(object, "/kind"),
        text(object, "/metadata/name")
    )
}

fn is_port(port: &Value) -> bool {
    port.as_u64()
        .is_some_and(|port| (1..=65535).contains(&port))
}

impl<'a> Flaws<'a> {
    fn find(&mut self, object: &Value, what: impl AsRef<str>) {
        self.found
            .push(format!("{}: {}", called(object), what.as_ref()));
    }

    fn named(&self, kind: &str, name: &str) -> Option<&'a Value> {
        let mut objects = self.objects.iter();
        objects.find(|it| text(it, "/kind") == kind && text(it, "/metadata/name") == name)
    }

    /// Schemas say nothing of kinds that they do not know.
    fn kinds(&mut self) {
        for object in self.objects {
            let kind = (text(object, "/apiVersion"), text(object, "/kind"));
            if !KINDS.contains(&kind) {
                self.find(object, format!("there is no such kind in `{}`", kind.0));
            }
        }
    }

    fn names(&mut self) {
        let mut seen = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        for object in self.objects {
            let name = text(object, "/metadata/name");
            if let Err(why) = check_name(text(object, "/kind"), name) {
                self.find(object, why);
            }
            if !seen.insert((text(object, "/kind"), name)) {
                self.find(object, "is there twice");
            }
            namespaces.insert(text(object, "/metadata/namespace"));
            for pointer in ["/metadata/labels", "/spec/template/metadata/labels"] {
                for why in check_labels(object.pointer(pointer)) {
                    self.find(object, why);
                }
            }
        }
        if namespaces.len() > 1 {
            self.found
                .push("objects are in several namespaces".to_owned());
        }
    }

    fn config_maps(&mut self) {
        for object in self.objects {
            if text(object, "/kind") != "ConfigMap" {
                continue;
            }
            let data = object.pointer("/data").and_then(Value::as_object);
            let sizes = data.into_iter().flatten();
            let size: usize = sizes
                .map(|(key, value)| key.len() + value.as_str().unwrap_or("").len())
                .sum();
            if size > MOST_DATA {
                let what = format!(
                    "its data has {size} bytes, and {MOST_DATA} are allowed: make the config shorter"
                );
                self.find(object, what);
            }
        }
    }

    fn workload(&mut self, object: &Value, pods: &Pods<'_>) {
        let selector = object.pointer("/spec/selector/matchLabels");
        let labels = object.pointer("/spec/template/metadata/labels");
        if !pods::matches(selector, labels) {
            self.find(object, "its selector does not match its own pods");
        }
        if pods.selected(selector).len() > 1 {
            self.find(object, "its selector matches pods of others");
        }
        if object
            .pointer("/spec/replicas")
            .is_some_and(|it| it.as_u64().is_none())
        {
            self.find(object, "its number of replicas is none");
        }
        for why in pods::flaws(object, self.objects) {
            self.find(object, why);
        }
        let service = text(object, "/spec/serviceName");
        if text(object, "/kind") == "StatefulSet" {
            match self.named("Service", service) {
                Some(service) if text(service, "/spec/clusterIP") == "None" => {}
                Some(_) => self.find(object, format!("its Service {service} is not headless")),
                None => self.find(object, format!("its Service `{service}` is not there")),
            }
        }
    }

    fn service(&mut self, object: &Value, pods: &Pods<'_>) {
        let selected = pods.selected(object.pointer("/spec/selector"));
        if selected.is_empty() {
            self.find(object, "its selector matches no pod");
        }
        let mut names = BTreeSet::new();
        for port in list(object, "/spec/ports") {
            if !names.insert(text(port, "/name")) {
                self.find(object, "two of its ports have one name");
            }
            if !is_port(&port["port"]) {
                self.find(object, format!("{} is no port", port["port"]));
            }
            let target = &port["targetPort"];
            for pod in &selected {
                if !pods::has_port(pod, target) {
                    self.find(
                        object,
                        format!("a pod that it selects has no port {target}"),
                    );
                }
            }
        }
    }

    fn policy(&mut self, object: &Value, pods: &Pods<'_>) {
        if pods
            .selected(object.pointer("/spec/podSelector/matchLabels"))
            .is_empty()
        {
            self.find(object, "it is for no pod");
        }
        for kind in list(object, "/spec/policyTypes") {
            if !["Ingress", "Egress"].contains(&kind.as_str().unwrap_or_default()) {
                self.find(object, format!("{kind} is no type of policy"));
            }
        }
        for (way, peers) in [("ingress", "/from"), ("egress", "/to")] {
            for rule in list(object, &format!("/spec/{way}")) {
                for peer in list(rule, peers) {
                    let own = peer
                        .get("podSelector")
                        .filter(|_| peer.get("namespaceSelector").is_none());
                    if own.is_some_and(|own| pods.selected(own.pointer("/matchLabels")).is_empty())
                    {
                        self.find(object, format!("a rule for {way} matches no pod"));
                    }
                    let range = text(peer, "/ipBlock/cidr");
                    if peer.get("ipBlock").is_some() && !names::is_range(range) {
                        self.find(object, format!("`{range}` is no range of addresses"));
                    }
                }
                for port in list(rule, "/ports").iter().map(|port| &port["port"]) {
                    if !is_port(port) {
                        self.find(object, format!("{port} is no port"));
                    }
                }
            }
        }
    }

    /// Whether at least one pod may always be taken away: else no node with one could be emptied.
    fn budget(&mut self, object: &Value, pods: &Pods<'_>) {
        let selected = pods.selected(object.pointer("/spec/selector/matchLabels"));
        let [workload] = selected[..] else {
            self.find(object, "it is not for the pods of one workload");
            return;
        };
        let replicas = workload.pointer("/spec/replicas").and_then(Value::as_u64);
        let fewest = replicas.or_else(|| {
            let scaler = self.objects.iter().find(|it| {
                text(it, "/kind") == "HorizontalPodAutoscaler"
                    && text(it, "/spec/scaleTargetRef/name") == text(workload, "/metadata/name")
            });
            scaler?.pointer("/spec/minReplicas").and_then(Value::as_u64)
        });
        let fewest = fewest.unwrap_or(1);
        let share = |value: &Value, up: bool| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => {
                let percent: u64 = text.strip_suffix('%')?.parse().ok()?;
                let parts = fewest * percent;
                Some(if up { parts.div_ceil(100) } else { parts / 100 })
            }
            _ => None,
        };
        let spec = &object["spec"];
        let allowed = match (spec.get("maxUnavailable"), spec.get("minAvailable")) {
            (Some(most), None) => share(most, true),
            (None, Some(least)) => share(least, true).map(|least| fewest.saturating_sub(least)),
            _ => None,
        };
        match allowed {
            None => self.find(object, "it does not say what may be taken away"),
            Some(0) => self.find(
                object,
                "it lets no pod be taken away, so no node can be emptied",
            ),
            Some(_) => {}
        }
    }

    fn autoscaler(&mut self, object: &Value) {
        let (kind, name) = (
            text(object, "/spec/scaleTargetRef/kind"),
            text(object, "/spec/scaleTargetRef/name"),
        );
        let target = self.named(kind, name);
        match target {
            None => self.find(object, format!("there is no {kind} {name}")),
            Some(target) if target.pointer("/spec/replicas").is_some() => {
                self.find(object, "what it scales has a number of replicas of its own");
            }
            Some(target) => {
                let by_share = list(object, "/spec/metrics").iter().any(|metric| {
                    metric
                        .pointer("/resource/target/averageUtilization")
                        .is_some()
                });
                let containers = list(target, "/spec/template/spec/containers");
                let asks = |it: &Value| it.pointer("/resources/requests/cpu").is_some();
                if by_share && !containers.iter().all(asks) {
                    self.find(
                        object,
                        "it is about a share of what its pods do not ask for",
                    );
                }
            }
        }
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
        match (
            number("/spec/minReplicas").unwrap_or(1),
            number("/spec/maxReplicas"),
        ) {
            (0, _) => self.find(object, "it has no replica at the least"),
            (_, None | Some(0)) => self.find(object, "it has no replica at the most"),
            (least, Some(most)) if least > most => {
                self.find(object, "its least is more than its most");
            }
            _ => {}
        }
        let quantities = list(object, "/spec/metrics").iter().flat_map(|metric| {
            ["/resource/target/averageValue", "/pods/target/averageValue"]
                .map(|pointer| metric.pointer(pointer))
        });
        for quantity in quantities.flatten() {
            if !quantity::is_one(quantity) {
                self.find(object, format!("{quantity} is no quantity"));
            }
        }
    }

    fn ingress(&mut self, object: &Value) {
        let paths = list(object, "/spec/rules")
            .iter()
            .flat_map(|rule| list(rule, "/http/paths"));
        let backends: BTreeMap<&str, &str> = paths
            .map(|path| {
                (
                    text(path, "/backend/service/name"),
                    text(path, "/backend/service/port/name"),
                )
            })
            .collect();
        for (name, port) in backends {
            let service = self.named("Service", name);
            let ports = service.map_or(&[][..], |service| list(service, "/spec/ports"));
            if !ports.iter().any(|it| text(it, "/name") == port) {
                self.find(
                    object,
                    format!("there is no Service {name} with a port {port}"),
                );
            }
        }
    }
}
