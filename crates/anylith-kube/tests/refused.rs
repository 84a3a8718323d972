//! What a cluster cannot have is said at its line, with the mend, and all at once; and settings that are never read do no harm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod apps;

use anylith_topology::Problems;
use apps::{App, application};

fn refused(app: &App, topology: &str) -> Problems {
    app.render(topology, "").map(|_| ()).unwrap_err()
}

fn hello(toml: &str) -> App {
    App::hello().with(toml)
}

/// An application of two components, the first of which is called `component`, with these settings.
fn pair(app: &str, component: &str, toml: &str) -> App {
    App {
        manifest: application(
            app,
            &[(component, &[], &[]), ("Web", &[component], &["web"])],
        ),
        toml: toml.to_owned(),
    }
}

#[test]
fn each_is_said_at_its_line_with_the_mend() {
    let long = "a".repeat(40);
    let cases = [
        (
            hello(&format!(
                "[topologies.t]\ngroups.{long}-b = {{ components = [\"*\"] }}\n"
            )),
            "t",
            "too long",
            Some(8),
        ),
        (
            hello(&format!(
                "[topologies.t]\ngroups.{} = {{ components = [\"*\"] }}\n",
                "a".repeat(33)
            )),
            "t",
            "33 letters, and 32 leave room",
            Some(8),
        ),
        (
            pair(
                &"shop".repeat(10),
                "Cart",
                "\n[topologies.t]\ngroups.everything-else = { components = [\"*\"] }\n",
            ),
            "t",
            "52 fit into a label",
            Some(3),
        ),
        (
            hello(
                "[topologies.t]\ngroups.on_e = { components = [\"Web\"] }\ngroups.on-e = { components = [\"*\"] }\n",
            ),
            "t",
            "are both called `hello-on-e`",
            None,
        ),
        (
            hello(
                "[topologies.t]\ngroups.one = { components = [\"Web\"] }\ngroups.two = { components = [\"*\"], replicas = { min = 0, max = 3 } }\n",
            ),
            "t",
            "write min = 1",
            Some(9),
        ),
        (
            hello(
                "[topologies.t]\ngroups.one = { components = [\"*\"], replicas = { min = 1, max = 3, target = { p99 = \"50ms\" } } }\n",
            ),
            "t",
            "no HorizontalPodAutoscaler can",
            Some(8),
        ),
        (
            hello(
                "[topologies.t]\ngroups.one = { components = [\"Greeter\"], burst = true }\ngroups.two = { components = [\"*\"] }\n",
            ),
            "t",
            "take `burst` out",
            None,
        ),
        (
            pair(
                "shop",
                "Cart",
                "[listeners.web]\naddress = \"0.0.0.0:80\"\n",
            ),
            "monolith",
            "a port from 1024",
            Some(1),
        ),
        (
            pair(
                "shop",
                "Cart",
                "[listeners.web]\naddress = \"0.0.0.0:7400\"\n",
            ),
            "monolith",
            "another port",
            Some(1),
        ),
        (
            pair("_1", "Cart", ""),
            "monolith",
            "begin its name with a letter",
            None,
        ),
        (
            pair("shop", "_", ""),
            "micro",
            "no name for the group",
            None,
        ),
        (
            hello(
                "[kubernetes.components.Web]\nstorage = { size = \"1GiB\", class = \"a\" }\n\
                 [kubernetes.components.Greeter]\nstorage = { size = \"1GiB\", class = \"a\" }\n",
            ),
            "monolith",
            "volumes in the same folder",
            None,
        ),
    ];
    for (app, topology, why, line) in cases {
        let problems = refused(&app, topology);
        let said = problems.to_string();
        assert!(said.contains(why), "{why}: {said}");
        for problem in &problems {
            assert!(!problem.mend.is_empty(), "{problem}");
        }
        if let Some(line) = line {
            assert!(
                problems.iter().any(|it| it.line() == Some(line)),
                "line {line}: {said}"
            );
        }
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let toml = "[listeners.web]\naddress = \"0.0.0.0:80\"\n[topologies.t]\n\
                groups.a_b = { components = [\"Cart\"], replicas = { min = 0, max = 2 } }\n\
                groups.a-b = { components = [\"*\"] }\n";
    assert_eq!(refused(&pair("shop", "Cart", toml), "t").len(), 3);
}

#[test]
fn a_listener_without_an_address_gets_a_port_of_its_own() {
    let app = App {
        manifest: application("shop", &[("Web", &[], &["web", "admin", "debug"])]),
        toml: "[listeners.admin]\naddress = \"127.0.0.1:8080\"\n".to_owned(),
    };
    let manifests = app.render("monolith", "").unwrap();
    let workload = manifests
        .objects
        .iter()
        .find(|it| it["kind"] == "Deployment")
        .unwrap();
    let ports = workload
        .pointer("/spec/template/spec/containers/0/ports")
        .unwrap();
    let ports: Vec<u64> = ports
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["containerPort"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [7401, 8082, 8080, 8081], "health, web, admin, debug");
}
