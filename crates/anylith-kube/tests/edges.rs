//! What of a rendering holds in every topology: who may call whom, who looks for whom, and who calls in process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod apps;

use std::collections::BTreeSet;

use anylith_kube::Manifests;
use anylith_wire::StandingOrders;
use apps::{App, name};
use serde_json::Value;

fn of_kind<'m>(manifests: &'m Manifests, kind: &str) -> Vec<&'m Value> {
    let objects = manifests.objects.iter();
    objects.filter(|it| it["kind"] == kind).collect()
}

fn orders(manifests: &Manifests) -> Vec<StandingOrders> {
    let maps = of_kind(manifests, "ConfigMap").into_iter();
    let read = |map: &Value| serde_json::from_str(map["data"]["bootstrap.json"].as_str().unwrap());
    maps.map(|map| read(map).unwrap()).collect()
}

const COMPONENT: &str = "app.kubernetes.io~1component";

/// Calling group → called group, by their labels, as far as the network lets them through: both ends have to.
fn let_through(manifests: &Manifests) -> BTreeSet<(String, String)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let ends = |way: &str, peers: &str| -> BTreeSet<(String, String)> {
        let policies = of_kind(manifests, "NetworkPolicy").into_iter();
        let pairs = policies.flat_map(|policy| {
            let own = text(policy.pointer(&format!("/spec/podSelector/matchLabels/{COMPONENT}")));
            let rules = policy["spec"][way].as_array().unwrap().iter();
            let rules = rules.filter(|rule| rule["ports"][0]["port"] == 7400);
            let peers = rules.flat_map(|rule| rule[peers].as_array().unwrap());
            let others =
                peers.map(|it| text(it.pointer(&format!("/podSelector/matchLabels/{COMPONENT}"))));
            others.map(|other| (own.clone(), other)).collect::<Vec<_>>()
        });
        pairs.collect()
    };
    let out = ends("egress", "to");
    let back = ends("ingress", "from")
        .into_iter()
        .map(|(own, other)| (other, own));
    assert_eq!(
        out,
        back.collect(),
        "one end lets through what the other does not"
    );
    out
}

#[test]
fn the_network_lets_through_the_edges_that_are_cut_and_nothing_else() {
    for (app, topology) in [
        (App::shop(), "monolith"),
        (App::shop(), "micro"),
        (App::shop(), "window"),
        (App::shop(), "vault"),
        (App::hello(), "micro"),
        (App::post(), "everything"),
        (App::post(), "crossed"),
    ] {
        let manifests = app.render(topology, "").unwrap();
        let orders = orders(&manifests);
        let label = |component: &str| {
            let orders = orders.iter().find(|it| {
                it.bootstrap
                    .components
                    .iter()
                    .any(|name| *name == component)
            });
            // The labels of these groups are their names in small letters, but for one.
            let group = orders.unwrap().replica.as_str().to_ascii_lowercase();
            group.replace('_', "-").replace("parceldesk", "parcel-desk")
        };
        let mut cut = BTreeSet::new();
        for component in &app.manifest.components {
            for callee in &component.dependencies {
                let edge = (label(component.name.as_str()), label(callee.as_str()));
                if edge.0 != edge.1 {
                    cut.insert(edge);
                }
            }
        }
        assert_eq!(let_through(&manifests), cut, "{topology}");
    }
}

#[test]
fn components_of_one_group_call_each_other_in_process_always() {
    for topology in ["monolith", "micro", "window", "vault"] {
        let manifests = App::shop().render(topology, "").unwrap();
        for orders in orders(&manifests) {
            let own = &orders.bootstrap.components;
            let peers = orders.discovery.unwrap().peers;
            let sought: BTreeSet<_> = peers.iter().flat_map(|peer| &peer.components).collect();
            assert!(
                own.iter().all(|name| !sought.contains(name)),
                "{topology}: {own:?}"
            );
        }
    }
    let monolith = orders(&App::shop().render("monolith", "3").unwrap());
    let discovery = monolith[0].discovery.as_ref().unwrap();
    assert!(
        discovery.peers.is_empty() && discovery.port.is_none(),
        "{discovery:?}"
    );
    assert!(monolith[0].identity.is_none());
}

#[test]
fn no_secret_is_written_and_each_is_said_to_be_needed() {
    let app = App::post();
    let manifests = app.render("everything", "").unwrap();
    let needed = &manifests.needed_secrets["post-office-secrets"];
    let keys: Vec<&str> = needed.keys().map(String::as_str).collect();
    assert_eq!(keys, ["LEDGER_URL", "secrets_ledger.key"]);
    assert_eq!(needed["LEDGER_URL"], "components.Ledger.database");
    let with_secret = orders(&manifests);
    let back = with_secret.iter().find(|it| it.replica == "back").unwrap();
    assert_eq!(back.secrets[&name("Ledger")].len(), 2);
    assert_eq!(back.bootstrap.config[&name("Ledger")]["key"], Value::Null);
    // Nobody else gets to see it.
    for workload in of_kind(&manifests, "Deployment") {
        assert!(!workload.to_string().contains("LEDGER_URL"), "{workload}");
    }
}

#[test]
fn a_group_is_told_apart_from_another_by_its_labels_alone() {
    let manifests = App::post().render("everything", "").unwrap();
    let mut seen = BTreeSet::new();
    for kind in ["Deployment", "StatefulSet"] {
        for workload in of_kind(&manifests, kind) {
            assert!(seen.insert(workload["spec"]["selector"].to_string()));
        }
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn changed_orders_replace_the_pods() {
    let checksum = |toml: &str| {
        let manifests = App::hello().with(toml).render("micro", "").unwrap();
        let deployments = of_kind(&manifests, "Deployment").into_iter();
        let of = |it: &Value| {
            it["spec"]["template"]["metadata"]["annotations"]["checksum/orders"].clone()
        };
        deployments.map(of).collect::<Vec<_>>()
    };
    let (before, after) = (checksum(""), checksum("\n[limits]\nmessage = \"1MiB\"\n"));
    assert!(before.iter().zip(&after).all(|(one, other)| one != other));
    assert_eq!(before, checksum("\n[kubernetes.components.Web]\ncpu = 2\n"));
}
