//! Sound settings, and the plans that come of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod shop;

use anylith_core::{Burst, EdgeSettings, Manifest, Scaling, Target};
use anylith_topology::{Graph, Overrides, Plan, ReplicaChange, Settings, Unread};
use serde_json::json;
use shop::{application, name, shop};

const TOML: &str = r#"
[app]
name = "boutique"
package = "boutique"
env.RUST_LOG = "info"

[listeners.web]
address = "127.0.0.1:8080"

[components.Currency]
rates = "data/rates.json"
fallback = { USD = 1.13, list = [1, true] }

[topologies.split]
groups.rest = { components = ["*"] }
groups.checkout = { components = ["Checkout", "Payment", "Shipping"], replicas = 2 }

[edges."Frontend -> Ad"]
deadline = "100ms"

[limits]
message = "1MiB"
"#;

fn settings(text: &str, overrides: &Overrides) -> Settings {
    Settings::parse("anylith.toml", text, overrides, &Unread).unwrap()
}

fn plan(topology: &str, replicas: &str) -> Plan {
    let replicas = if replicas.is_empty() {
        ReplicaChange::NONE
    } else {
        ReplicaChange::parse(replicas).unwrap()
    };
    settings(TOML, &Overrides::default())
        .plan(&shop(), topology, &replicas)
        .unwrap()
}

fn replicas(plan: &Plan) -> Vec<String> {
    plan.groups
        .iter()
        .map(|group| format!("{} {}", group.name, group.replicas))
        .collect()
}

#[test]
fn a_plan_carries_everything_that_the_file_says() {
    let plan = plan("split", "");
    assert_eq!(plan.app, "boutique");
    assert_eq!(plan.listeners[&name("web")].to_string(), "127.0.0.1:8080");
    let config = json!({"rates": "data/rates.json", "fallback": {"USD": 1.13, "list": [1, true]}});
    assert_eq!(plan.config[&name("Currency")], config);
    let (caller, callee) = (name("Frontend"), name("Ad"));
    assert_eq!(
        plan.edges,
        [EdgeSettings {
            timeout_ms: Some(100),
            ..EdgeSettings::new(caller, callee, None)
        }]
    );
    assert_eq!(plan.limits.message_bytes, 1 << 20);
    assert_eq!(plan.env["RUST_LOG"], "info");
    assert_eq!(replicas(&plan), ["rest 1", "checkout 2"]);
    assert_eq!(plan.group_of("Payment").unwrap().name, "checkout");
    assert_eq!(plan.group_of("Frontend").unwrap().listeners, ["web"]);
}

#[test]
fn monolith_and_micro_always_exist() {
    let none = Settings::default();
    let whole = none
        .plan(&shop(), "monolith", &ReplicaChange::NONE)
        .unwrap();
    assert_eq!(replicas(&whole), ["monolith 1"]);
    assert_eq!(whole.groups[0].components.len(), 10);
    assert_eq!(whole.listeners[&name("web")].to_string(), "127.0.0.1:0");
    let micro = none.plan(&shop(), "micro", &ReplicaChange::NONE).unwrap();
    assert_eq!(micro.groups.len(), 10);
    assert!(
        micro
            .groups
            .iter()
            .all(|group| *group.components == [group.name.clone()])
    );
}

#[test]
fn components_and_groups_come_after_what_they_are_dependent_on() {
    let app = application(
        "app",
        &[
            ("Web", &["Logic"], &["web"]),
            ("Logic", &["Store"], &[]),
            ("Store", &[], &[]),
        ],
    );
    let micro = Settings::default()
        .plan(&app, "micro", &ReplicaChange::NONE)
        .unwrap();
    assert_eq!(replicas(&micro), ["Store 1", "Logic 1", "Web 1"]);
    let whole = Settings::default()
        .plan(&app, "monolith", &ReplicaChange::NONE)
        .unwrap();
    assert_eq!(whole.groups[0].components, ["Store", "Logic", "Web"]);
}

#[test]
fn groups_may_be_dependent_on_each_other_where_components_are_not() {
    let app = application(
        "app",
        &[("A", &["B"], &[]), ("B", &["C"], &[]), ("C", &[], &[])],
    );
    let toml = "[topologies.t]\ngroups.x = { components = [\"A\", \"C\"] }\ngroups.y = { components = [\"B\"] }";
    let plan = settings(toml, &Overrides::default())
        .plan(&app, "t", &ReplicaChange::NONE)
        .unwrap();
    assert_eq!(replicas(&plan), ["x 1", "y 1"]);
}

#[test]
fn replicas_are_changed_for_all_groups_or_for_some() {
    assert_eq!(replicas(&plan("monolith", "4")), ["monolith 4"]);
    assert_eq!(
        replicas(&plan("split", "Payment=3")),
        ["rest 1", "checkout 3"]
    );
    assert_eq!(
        replicas(&plan("split", "5, rest=2")),
        ["rest 2", "checkout 5"]
    );
    let micro = plan("micro", "Catalog=3");
    assert_eq!(micro.group_of("Catalog").unwrap().replicas, 3);
    assert_eq!(micro.group_of("Cart").unwrap().replicas, 1);
}

#[test]
fn variables_override_the_file_and_flags_override_variables() {
    let variables = [
        ("ANYLITH__COMPONENTS__CURRENCY__RATES", "other.json"),
        ("ANYLITH__components__cart__database", "postgres://db"),
        ("ANYLITH__limits__message", "2MiB"),
        ("ANYLITH__edges__Frontend__Ad__deadline", "7s"),
        ("ANYLITH_CONFIG", "not an override"),
        ("PATH", "/bin"),
    ];
    let names = shop()
        .components
        .into_iter()
        .map(|component| component.name);
    let overrides = Overrides::default()
        .env(variables)
        .names(names)
        .set("limits.message=3MiB")
        .set("components.Currency.fallback.USD=2")
        .listen("web=localhost:9000");
    let plan = settings(TOML, &overrides)
        .plan(&shop(), "micro", &ReplicaChange::NONE)
        .unwrap();
    let config = json!({"rates": "other.json", "fallback": {"USD": 2, "list": [1, true]}});
    assert_eq!(plan.config[&name("Currency")], config);
    assert_eq!(
        plan.config[&name("Cart")],
        json!({"database": "postgres://db"})
    );
    assert_eq!(plan.limits.message_bytes, 3 << 20);
    assert_eq!(plan.edges[0].timeout_ms, Some(7000));
    assert_eq!(plan.listeners[&name("web")].to_string(), "127.0.0.1:9000");
}

#[test]
fn an_override_of_text_stays_text() {
    let toml = "[components.Payment]\nkey = \"secret\"\nretries = 1\n";
    let overrides = Overrides::default()
        .set("components.Payment.key=12345")
        .set("components.Payment.retries=2")
        .set("components.Payment.note=\"3\"");
    let settings = settings(toml, &overrides);
    let expected = json!({"key": "12345", "retries": 2, "note": "3"});
    assert_eq!(settings.config("Payment"), Some(&expected));
}

#[test]
fn a_binary_from_outside_stands_in_the_place_of_the_package() {
    let settings = settings(
        "[app]\npackage = \"shop\"\n",
        &Overrides::default().set("app.binary=target/shop"),
    );
    let app = settings.app();
    assert_eq!(
        (app.package.as_deref(), app.binary.as_deref()),
        (None, Some("target/shop"))
    );
}

#[test]
fn a_graph_knows_its_order_and_who_is_dependent_on_whom() {
    let manifest = shop();
    let graph = Graph::of(&manifest);
    assert!(graph.cycles().is_empty());
    assert_eq!(graph.order().last().unwrap().as_str(), "Frontend");
    assert_eq!(
        graph.dependents("Payment").collect::<Vec<_>>(),
        [&name("Checkout")]
    );
    assert_eq!(graph.dependencies("Ad").count(), 0);
}

#[test]
fn each_knot_of_cycles_is_one_path() {
    let path = |manifest: &Manifest| -> Vec<String> {
        let graph = Graph::of(manifest);
        let cycles = graph.cycles();
        cycles
            .iter()
            .map(|path| {
                path.iter()
                    .map(|n| n.as_str())
                    .collect::<Vec<_>>()
                    .join(">")
            })
            .collect()
    };
    let selfish = application("app", &[("A", &["A"], &[])]);
    assert_eq!(path(&selfish), ["A>A"]);
    let two = application(
        "app",
        &[
            ("X", &["A"], &[]),
            ("A", &["B"], &[]),
            ("B", &["C", "A"], &[]),
            ("C", &["A"], &[]),
            ("D", &["E"], &[]),
            ("E", &["D"], &[]),
        ],
    );
    assert_eq!(path(&two), ["A>B>A", "D>E>D"]);
}

#[test]
fn a_long_chain_does_not_exhaust_the_stack() {
    let names: Vec<String> = (0..2000).map(|index| format!("C{index}")).collect();
    let mut components: Vec<(&str, Vec<&str>)> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        components.push((
            name,
            names
                .get(index + 1)
                .into_iter()
                .map(String::as_str)
                .collect(),
        ));
    }
    let components: Vec<(&str, &[&str], &[&str])> = components
        .iter()
        .map(|(name, callees)| (*name, callees.as_slice(), &[][..]))
        .collect();
    let manifest = application("app", &components);
    assert_eq!(Graph::of(&manifest).order().len(), 2000);
}

#[test]
fn a_variable_in_the_right_case_means_just_that_name() {
    let overrides = Overrides::default()
        .env([("ANYLITH__listeners__web__address", "127.0.0.1:9000")])
        .names(["Web", "web"]);
    // Where the variable meant the component, there would be a listener that nobody serves.
    let plan = settings(TOML, &overrides)
        .plan(&shop(), "monolith", &ReplicaChange::NONE)
        .unwrap();
    let addresses: Vec<String> = plan.listeners.values().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:9000"]);
}

#[test]
fn what_is_set_for_an_edge_reaches_its_callers() {
    let text = r#"
        [edges."Checkout -> Cart"]
        deadline = "2s"
        retries = "50%"
        hedge = "20ms"
        concurrency = 64

        [edges."Checkout -> Cart.get"]
        hedge = "none"

        [edges."Frontend -> Ad"]
        retries = "none"
    "#;
    let settings = settings(text, &Overrides::default());
    assert_eq!(settings.check(&shop()), []);
    let plan = settings
        .plan(&shop(), "micro", &ReplicaChange::NONE)
        .unwrap();
    let [cart, get, ad] = &plan.edges[..] else {
        panic!("{:?}", plan.edges)
    };
    let set = |edge: &EdgeSettings| {
        let EdgeSettings {
            timeout_ms,
            retries_percent,
            hedge_ms,
            concurrency,
            ..
        } = edge;
        (*timeout_ms, *retries_percent, *hedge_ms, *concurrency)
    };
    assert_eq!(set(cart), (Some(2000), Some(50), Some(20), Some(64)));
    assert_eq!(set(get), (None, None, Some(0), None));
    assert_eq!(set(ad), (None, Some(0), None, None));
}

#[test]
fn a_range_of_replicas_is_in_the_plan_with_what_each_is_to_bear() {
    let toml = "[topologies.split]\n\
        groups.catalog = { components = [\"Catalog\"], replicas = { min = 0, max = 6, target = { cpu = 0.7 } } }\n\
        groups.currency = { components = [\"Currency\"], replicas = { min = 2, max = 3, cooldown = \"10s\" } }\n\
        groups.rest = { components = [\"*\"], replicas.min = 1, replicas.max = 4, replicas.target.p99 = \"50ms\" }\n";
    let settings = settings(toml, &Overrides::default());
    let of = |replicas: &str, group: &str| {
        let change = match replicas {
            "" => ReplicaChange::NONE,
            text => ReplicaChange::parse(text).unwrap(),
        };
        let plan = settings.plan(&shop(), "split", &change).unwrap();
        let group = plan.groups.iter().find(|one| one.name == group).unwrap();
        (group.replicas, group.scaling)
    };
    let range = |min, max, target, cooldown_ms| {
        Some(Scaling {
            min,
            max,
            target,
            cooldown_ms,
        })
    };
    // It begins with one, so that what does not start shows at once.
    let catalog = range(0, 6, Target::Cpu(700), 60_000);
    assert_eq!(of("", "catalog"), (1, catalog));
    let currency = range(2, 3, Target::Concurrency(16), 10_000);
    assert_eq!(of("", "currency"), (2, currency));
    assert_eq!(of("", "rest"), (1, range(1, 4, Target::P99(50), 60_000)));
    // What each is to bear stays as the file says.
    let catalog = range(2, 9, Target::Cpu(700), 60_000);
    assert_eq!(of("Catalog=2..9", "catalog"), (2, catalog));
    let catalog = range(3, 3, Target::Cpu(700), 60_000);
    assert_eq!(of("Catalog=3", "catalog"), (3, catalog));
    let change = ReplicaChange::parse("Cart=1..4").unwrap();
    let plan = settings.plan(&shop(), "micro", &change).unwrap();
    let cart = plan.group_of("Cart").unwrap();
    assert_eq!(cart.scaling, Some(Scaling::between(1, 4)));
}

#[test]
fn a_burst_is_in_the_plan_for_those_components_that_can_have_replicas_of_their_own() {
    let bursts = |burst: &str| {
        let toml = format!(
            "[topologies.split]\n\
             groups.first = {{ components = [\"Catalog\", \"Frontend\", \"Cart\"], burst = {burst} }}\n\
             groups.rest = {{ components = [\"*\"] }}\n"
        );
        let settings = settings(&toml, &Overrides::default());
        // The number for every group is none for these.
        let four = ReplicaChange::parse("4").unwrap();
        let plan = settings.plan(&shop(), "split", &four).unwrap();
        let of_rest = plan.group_of("Ad").unwrap().bursts.len();
        assert_eq!(of_rest, 0);
        plan.group_of("Catalog").unwrap().bursts.clone()
    };
    let usual = |component: &str| Burst::of(name(component));
    assert_eq!(bursts("true"), [usual("Catalog"), usual("Cart")]);
    assert_eq!(bursts("false"), []);
    assert_eq!(bursts("[\"Cart\"]"), [usual("Cart")]);
    let scaling = Scaling {
        min: 0,
        max: 2,
        target: Target::P99(50),
        cooldown_ms: 5_000,
    };
    let own = Burst {
        scaling,
        ..usual("Cart")
    };
    let both =
        "{ Cart = { max = 2, target = { p99 = \"50ms\" }, cooldown = \"5s\" }, Catalog = true }";
    let mut found = bursts(both);
    found.sort_by_key(|burst| burst.component.clone());
    assert_eq!(found, [own, usual("Catalog")]);
    assert_eq!(bursts("{ Cart = false }"), []);
}
