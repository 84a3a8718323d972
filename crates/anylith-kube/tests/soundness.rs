//! What a schema accepts and a cluster does not: each such mistake is planted into manifests that are sound, and found.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod apps;

use anylith_kube::flaws;
use apps::App;
use serde_json::{Value, json};

/// The objects of an application with every kind of object, and where the one called `name` of `kind` is in them.
fn sound(kind: &str, name: &str) -> (Vec<Value>, usize) {
    let manifests = App::post().render("everything", "").unwrap();
    let at = manifests
        .objects
        .iter()
        .position(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    (
        manifests.objects,
        at.unwrap_or_else(|| panic!("there is no {kind} {name}")),
    )
}

const DESKS: &str = "/spec/template/spec/containers/0";

#[test]
fn each_planted_mistake_is_found() {
    let label = "app.kubernetes.io~1component";
    let container = |rest: &str| format!("{DESKS}{rest}");
    let cases: Vec<(&str, &str, String, Value, &str)> = vec![
        (
            "Deployment",
            "post-office-desks",
            "/apiVersion".into(),
            json!("apps/v2"),
            "no such kind",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/metadata/name".into(),
            json!("Desks"),
            "name is not",
        ),
        (
            "Service",
            "post-office-counter",
            "/metadata/name".into(),
            json!("1st"),
            "begins with a letter",
        ),
        (
            "Deployment",
            "post-office-desks",
            format!("/metadata/labels/{label}"),
            json!("-x-"),
            "cannot be",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/metadata/namespace".into(),
            json!("other"),
            "several namespaces",
        ),
        (
            "Deployment",
            "post-office-desks",
            format!("/spec/selector/matchLabels/{label}"),
            json!("till"),
            "does not match its own pods",
        ),
        (
            "Deployment",
            "post-office-couriers",
            format!("/spec/template/metadata/labels/{label}"),
            json!("desks"),
            "pods of others",
        ),
        (
            "Deployment",
            "post-office-couriers",
            "/spec/replicas".into(),
            json!(-1),
            "number of replicas",
        ),
        (
            "Service",
            "post-office-counter",
            format!("/spec/selector/{label}"),
            json!("till"),
            "matches no pod",
        ),
        (
            "Service",
            "post-office-counter",
            "/spec/ports/0/port".into(),
            json!(99999),
            "no port",
        ),
        (
            "Service",
            "post-office-counter",
            "/spec/ports/0/targetPort".into(),
            json!("till"),
            "has no port",
        ),
        (
            "StatefulSet",
            "post-office-back",
            "/spec/serviceName".into(),
            json!("none"),
            "is not there",
        ),
        (
            "StatefulSet",
            "post-office-back",
            "/spec/serviceName".into(),
            json!("post-office-counter"),
            "not headless",
        ),
        (
            "StatefulSet",
            "post-office-back",
            "/spec/volumeClaimTemplates/0/spec/storageClassName".into(),
            json!(""),
            "no class",
        ),
        (
            "StatefulSet",
            "post-office-back",
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage".into(),
            json!("10 apples"),
            "no size",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/ports/0/name"),
            json!("a-very-long-port-name"),
            "no name of a port",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/ports/0/containerPort"),
            json!(0),
            "no port",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/ports/0/containerPort"),
            json!(8088),
            "there twice",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/livenessProbe/httpGet/port"),
            json!("till"),
            "livenessProbe",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/resources/requests/cpu"),
            json!("abc"),
            "no quantity",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/resources/limits/memory"),
            json!("64MiB"),
            "no quantity",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/volumeMounts/0/name"),
            json!("none"),
            "no volume",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/volumeMounts/0/mountPath"),
            json!("tmp"),
            "no folder",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/lifecycle/preStop/sleep/seconds"),
            json!(300),
            "is killed before",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/securityContext/allowPrivilegeEscalation"),
            json!(true),
            "gain privileges",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/securityContext/capabilities/drop"),
            json!([]),
            "keeps capabilities",
        ),
        (
            "Deployment",
            "post-office-desks",
            container("/securityContext/readOnlyRootFilesystem"),
            json!(false),
            "write to its image",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/securityContext/runAsUser".into(),
            json!(0),
            "runs as root",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/securityContext/runAsNonRoot".into(),
            json!(false),
            "as root",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/securityContext/seccompProfile/type".into(),
            json!("Unconfined"),
            "seccomp",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/automountServiceAccountToken".into(),
            json!(true),
            "gets a token",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/serviceAccountName".into(),
            json!("root"),
            "service account",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/volumes/0/configMap/name".into(),
            json!("x"),
            "ConfigMap",
        ),
        (
            "Deployment",
            "post-office-desks",
            "/spec/template/spec/volumes/1/name".into(),
            json!("orders"),
            "one more volume",
        ),
        (
            "Deployment",
            "post-office-couriers",
            format!(
                "/spec/template/spec/topologySpreadConstraints/0/labelSelector/matchLabels/{label}"
            ),
            json!("till"),
            "not its own",
        ),
        (
            "PodDisruptionBudget",
            "post-office-couriers",
            "/spec/maxUnavailable".into(),
            json!(0),
            "no node can be emptied",
        ),
        (
            "PodDisruptionBudget",
            "post-office-couriers",
            "/spec/maxUnavailable".into(),
            json!("0%"),
            "no node can be emptied",
        ),
        (
            "PodDisruptionBudget",
            "post-office-couriers",
            "/spec".into(),
            json!({ "minAvailable": 3 }),
            "not for the pods",
        ),
        (
            "PodDisruptionBudget",
            "post-office-couriers",
            format!("/spec/selector/matchLabels/{label}"),
            json!("till"),
            "not for the pods",
        ),
        (
            "HorizontalPodAutoscaler",
            "post-office-desks",
            "/spec/minReplicas".into(),
            json!(0),
            "at the least",
        ),
        (
            "HorizontalPodAutoscaler",
            "post-office-desks",
            "/spec/minReplicas".into(),
            json!(9),
            "more than its most",
        ),
        (
            "HorizontalPodAutoscaler",
            "post-office-desks",
            "/spec/scaleTargetRef/name".into(),
            json!("till"),
            "there is no",
        ),
        (
            "HorizontalPodAutoscaler",
            "post-office-desks",
            "/spec/scaleTargetRef/name".into(),
            json!("post-office-couriers"),
            "of its own",
        ),
        (
            "HorizontalPodAutoscaler",
            "post-office-desks",
            "/spec/metrics/0/pods/target/averageValue".into(),
            json!("many"),
            "no quantity",
        ),
        (
            "NetworkPolicy",
            "post-office-desks",
            "/spec/policyTypes/0".into(),
            json!("Ingres"),
            "no type of policy",
        ),
        (
            "NetworkPolicy",
            "post-office-desks",
            format!("/spec/podSelector/matchLabels/{label}"),
            json!("till"),
            "for no pod",
        ),
        (
            "NetworkPolicy",
            "post-office-desks",
            format!("/spec/egress/0/to/0/podSelector/matchLabels/{label}"),
            json!("till"),
            "matches no pod",
        ),
        (
            "NetworkPolicy",
            "post-office-desks",
            "/spec/egress/0/ports/0/port".into(),
            json!(70000),
            "no port",
        ),
        (
            "NetworkPolicy",
            "post-office-back",
            "/spec/egress/0/to/0/ipBlock/cidr".into(),
            json!("10.0.0.0/40"),
            "no range",
        ),
        (
            "Ingress",
            "post-office-counter",
            "/spec/rules/0/http/paths/0/backend/service/name".into(),
            json!("till"),
            "there is no Service",
        ),
        (
            "ConfigMap",
            "post-office-desks",
            "/data/bootstrap.json".into(),
            json!("x".repeat(1 << 20)),
            "make the config shorter",
        ),
    ];
    for (kind, name, pointer, wrong, why) in cases {
        let (mut objects, at) = sound(kind, name);
        let place = objects[at].pointer_mut(&pointer);
        *place.unwrap_or_else(|| panic!("{kind} {name} has no {pointer}")) = wrong;
        let found = flaws(&objects);
        assert!(
            found.iter().any(|flaw| flaw.contains(why)),
            "{kind} {name}{pointer}: {found:?} do not say `{why}`"
        );
    }
}

#[test]
fn what_is_there_twice_or_missing_is_found() {
    let (mut objects, at) = sound("Service", "post-office-counter");
    objects.push(objects[at].clone());
    assert!(flaws(&objects).iter().any(|flaw| flaw.contains("twice")));
    let (mut objects, at) = sound("Deployment", "post-office-desks");
    let container = objects[at].pointer_mut(DESKS).unwrap();
    container.as_object_mut().unwrap().remove("readinessProbe");
    assert!(
        flaws(&objects)
            .iter()
            .any(|flaw| flaw.contains("has no readinessProbe"))
    );
    let (mut objects, at) = sound("Deployment", "post-office-desks");
    objects[at].pointer_mut("/spec/template/spec").unwrap()["hostNetwork"] = json!(true);
    assert!(
        flaws(&objects)
            .iter()
            .any(|flaw| flaw.contains("shares something"))
    );
}

#[test]
fn a_budget_for_all_of_few_pods_is_found() {
    let (mut objects, at) = sound("PodDisruptionBudget", "post-office-couriers");
    let spec = objects[at]["spec"].as_object_mut().unwrap();
    spec.remove("maxUnavailable");
    spec.insert("minAvailable".to_owned(), json!("100%"));
    assert!(
        flaws(&objects)
            .iter()
            .any(|flaw| flaw.contains("no node can be emptied"))
    );
}
