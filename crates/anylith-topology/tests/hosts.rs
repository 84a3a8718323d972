//! `hosts.toml`: a corpus of broken ones, each with the message that it must give, and what good ones come to.
//!
//! A file of `broken_hosts/` is a `hosts.toml` for the shop in the topology `split`; the file of the same name with
//! `.txt` is the message. `UPDATE=1 cargo test -p anylith-topology` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
mod shop;

use std::{collections::BTreeSet, fs, path::PathBuf};

use anylith_core::Singleton;
use anylith_topology::{
    Hosts, Overrides, Placement, Problem, Problems, ReplicaChange, Settings, Unread,
};
use shop::shop;

const SPLIT: &str = r#"
[topologies.split]
groups.pages = { components = ["Frontend", "Catalog"] }
groups.checkout = { components = ["Checkout", "Payment"], replicas = 2 }
groups.rest = { components = ["*"] }

[topologies.alike]
groups.far = { components = ["Frontend", "Catalog"] }
groups.far-off = { components = ["*"] }
"#;

fn place(topology: &str, hosts: &str) -> Result<Placement, Problems> {
    let hosts = Hosts::read("hosts.toml", hosts);
    let settings = Settings::parse("anylith.toml", SPLIT, &Overrides::default(), &Unread).unwrap();
    let plan = settings
        .plan(&shop(), topology, &ReplicaChange::NONE)
        .unwrap();
    hosts.place(&plan, &settings)
}

#[test]
fn every_broken_file_gives_its_message() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/broken_hosts");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        cases += 1;
        let problems = place("split", &fs::read_to_string(&path).unwrap());
        let problems = problems.expect_err(path.to_str().unwrap());
        for problem in &problems {
            assert!(
                !problem.mend.is_empty() && problem.line().is_some(),
                "{problem}"
            );
        }
        golden::compare(&path.with_extension("txt"), &format!("{problems}\n"));
    }
    assert!(cases >= 20, "only {cases} cases");
}

const GOOD: &str = r#"
[defaults]
user = "shop"
port = 7400

[hosts.one]
address = "10.0.0.1"
groups = { pages = 2, checkout = 1 }
listeners.web = "0.0.0.0:80"

[hosts.two]
address = "fd00::2"
groups = { checkout = 1, rest = 1 }
ports = { checkout = 7500 }
folder = "/srv/shop"
"#;

#[test]
fn names_and_ports_are_those_of_the_host_alone() {
    let placement = place("split", GOOD).unwrap();
    let replicas = |host: usize| -> Vec<String> {
        let replicas = placement.hosts[host].replicas.iter();
        replicas
            .map(|one| format!("{} {}", one.name, one.port))
            .collect()
    };
    assert_eq!(
        replicas(0),
        [
            "pages-one-1 7400",
            "pages-one-2 7401",
            "checkout-one-1 7402"
        ]
    );
    assert_eq!(replicas(1), ["checkout-two-1 7500", "rest-two-1 7400"]);
}

#[test]
fn what_is_not_said_has_the_name_of_the_application() {
    let placement = place("split", GOOD).unwrap();
    let [one, two] = &placement.hosts[..] else {
        panic!()
    };
    assert_eq!((&*one.user, &*two.user), ("shop", "shop"));
    assert_eq!((&*one.folder, &*two.folder), ("/opt/boutique", "/srv/shop"));
    assert_eq!(
        (&*one.binary, &*two.binary),
        ("/opt/boutique/boutique", "/srv/shop/boutique")
    );
    assert_eq!(one.run, "/run/boutique");
}

#[test]
fn the_monolith_is_replicated_by_placing_it_on_many_hosts() {
    let host = |number: u8| {
        format!(
            "[hosts.h{number}]\naddress = \"10.0.0.{number}\"\ngroups = {{ monolith = 1 }}\n\
             listeners.web = \"0.0.0.0:80\"\n"
        )
    };
    let placement = place("monolith", &[host(1), host(2), host(3)].concat()).unwrap();
    let replicas = placement.hosts.iter().flat_map(|host| &host.replicas);
    assert_eq!(
        replicas.map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["monolith-h1-1", "monolith-h2-1", "monolith-h3-1"]
    );
}

#[test]
fn two_replicas_that_would_have_one_name_are_reported() {
    let hosts = "[hosts.off-side]\naddress = \"10.0.0.1\"\ngroups = { far = 1 }\n\
                 listeners.web = \"0.0.0.0:80\"\n\
                 [hosts.side]\naddress = \"10.0.0.2\"\ngroups = { far-off = 1 }\n";
    let problems = place("alike", hosts).unwrap_err();
    assert!(
        problems.to_string().contains("`far-off-side-1`"),
        "{problems}"
    );
}

#[test]
fn replicas_of_long_groups_and_hosts_have_names_of_their_own() {
    let long = "h".repeat(47);
    let host = |last: char, number: u8| {
        format!(
            "[hosts.{long}{last}]\naddress = \"10.0.0.{number}\"\ngroups = {{ monolith = 2 }}\n\
             listeners.web = \"0.0.0.0:80\"\n"
        )
    };
    let placement = place("monolith", &[host('a', 1), host('b', 2)].concat()).unwrap();
    let replicas = placement.hosts.iter().flat_map(|host| &host.replicas);
    let names: BTreeSet<&str> = replicas.map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn several_mistakes_of_the_hosts_are_reported_together() {
    let text =
        "[hosts.one]\naddress = \"10.0.0.1\"\ngroups = { page = 1, checkout = 3 }\nport = 70000\n";
    let problems = place("split", text).unwrap_err();
    let lines: Vec<usize> = problems.iter().filter_map(Problem::line).collect();
    // `rest` is nowhere; `page` is mistyped, `web` has no address there, and 3 are not 2.
    assert_eq!(lines, [1, 3, 3, 4], "{problems}");
}

#[test]
fn no_text_makes_reading_hosts_panic() {
    for end in 0..GOOD.len() {
        let _ = place("split", &GOOD[..end]);
        let _ = place("split", &format!("{}\"{}", &GOOD[..end], &GOOD[end..]));
    }
}

#[test]
fn hosts_that_would_run_two_of_a_singleton_are_refused() {
    let hosts = Hosts::read(
        "hosts.toml",
        "[hosts.near]\naddress = \"10.0.0.1\"\ngroups = { pages = 1, checkout = 2, rest = 1 }\n\n\
         [hosts.far]\naddress = \"10.0.0.2\"\ngroups = { rest = 1 }\n",
    );
    let settings = Settings::parse("anylith.toml", SPLIT, &Overrides::default(), &Unread).unwrap();
    let mut manifest = shop();
    for component in &mut manifest.components {
        if component.name == "Cart" {
            component.singleton = Some(Singleton::default());
        }
    }
    let plan = settings
        .plan(&manifest, "split", &ReplicaChange::NONE)
        .unwrap();
    let problems = hosts.place(&plan, &settings).unwrap_err().to_string();
    assert!(
        problems.contains(
            "Cart is a singleton, of which there is one at a time, and its group `rest` would have 2 replicas"
        ),
        "{problems}"
    );
}
