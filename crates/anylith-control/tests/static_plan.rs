//! What hosts are given where no control plane runs. `static_plan/` holds every file of an example;
//! `UPDATE=1 cargo test -p anylith-control --test static_plan` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anylith_control::{Spec, StaticPlan, StaticSettings};
use anylith_core::{ComponentManifest, Endpoint, Fingerprint, Manifest, Name};
use anylith_topology::{Hosts, Overrides, ReplicaChange, Settings, Unread};
use anylith_wire::StandingOrders;

const SETTINGS: &str = r#"
[app.env]
GREETING = "50 % \"off\" for `$HOME`\\n\nand a line"

[components.Payment]
currency = "USD"
keys = [{ env = "STRIPE_KEY" }, "public"]
"a/b" = { file = "card.pem" }

[topologies.split]
groups.pages = { components = ["Frontend"] }
groups.checkout = { components = ["Checkout", "Payment"], replicas = 2 }
groups.goods = { components = ["Catalog"] }
"#;

const HOSTS: &str = r#"
[defaults]
binary = "/bin/true"

[hosts.one]
address = "10.0.0.1"
groups = { pages = 2, goods = 1 }
listeners.web = "0.0.0.0:80"

[hosts.two]
address = "10.0.0.2"
groups = { checkout = 2 }
user = "shop"
run = "/srv/shop/run"
"#;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn manifest() -> Manifest {
    let component = |component: &str, dependencies: &[&str], listeners: &[&str]| {
        let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect();
        ComponentManifest {
            name: name(component),
            implementation: format!("{component}Service"),
            summary: String::new(),
            dependencies: names(dependencies),
            listeners: names(listeners),
            methods: Vec::new(),
            fingerprint: Fingerprint::EMPTY.with(component),
            misfits: Vec::new(),
            singleton: None,
        }
    };
    Manifest {
        app: name("shop"),
        summary: String::new(),
        components: vec![
            component("Catalog", &[], &[]),
            component("Payment", &[], &[]),
            component("Checkout", &["Catalog", "Payment"], &[]),
            component("Frontend", &["Checkout", "Catalog"], &["web"]),
        ],
    }
}

fn render(hosts: &str) -> StaticPlan {
    let settings =
        Settings::parse("anylith.toml", SETTINGS, &Overrides::default(), &Unread).unwrap();
    let mut plan = settings
        .plan(&manifest(), "split", &ReplicaChange::NONE)
        .unwrap();
    let hosts = Hosts::parse("hosts.toml", hosts).unwrap();
    let placement = hosts.place(&plan, &settings).unwrap();
    let mut secrets = BTreeMap::new();
    for (component, config) in &mut plan.config {
        let (without, found) = settings.config_without_secrets(component.as_str()).unwrap();
        *config = without;
        secrets.insert(component.clone(), found);
    }
    let settings = StaticSettings {
        secrets,
        env: plan.env.clone(),
        grace: Duration::from_secs(10),
    };
    StaticPlan::new(&Spec::new(&plan, &manifest()), &placement, &settings)
}

/// The orders of a replica.
fn orders(plan: &StaticPlan, replica: &str) -> StandingOrders {
    let path = format!("replicas/{replica}/bootstrap.json");
    let text = plan.hosts.iter().find_map(|host| host.files.get(&path));
    serde_json::from_str(text.unwrap()).unwrap()
}

#[test]
fn every_file_of_every_host_is_as_it_was() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/static_plan");
    for host in &render(HOSTS).hosts {
        for (path, text) in &host.files {
            let path = golden.join(host.name.as_str()).join(path);
            if env::var_os("UPDATE").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                expected,
                *text,
                "{}: run with UPDATE=1 if this is right",
                path.display()
            );
        }
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(render(HOSTS), render(HOSTS));
}

#[test]
fn neighbours_meet_over_unix_sockets_and_hosts_over_tcp() {
    let plan = render(HOSTS);
    let endpoints = |replica: &str, component: &str| -> Vec<String> {
        let orders = orders(&plan, replica);
        let replicas = orders.bootstrap.directory.replicas(component).iter();
        replicas.map(|one| one.endpoint.to_string()).collect()
    };
    assert_eq!(
        endpoints("pages-one-1", "Catalog"),
        ["unix:/run/shop/goods-one-1.sock"]
    );
    let far = ["tcp:10.0.0.2:7400", "tcp:10.0.0.2:7401"];
    assert_eq!(endpoints("pages-one-1", "Checkout"), far);
    assert_eq!(
        endpoints("checkout-two-1", "Catalog"),
        ["tcp:10.0.0.1:7402"]
    );
    assert!(
        endpoints("checkout-two-1", "Payment").is_empty(),
        "it runs in its own process"
    );
}

#[test]
fn a_replica_listens_only_where_somebody_calls_it() {
    let plan = render(HOSTS);
    let ways = |replica: &str| -> Vec<bool> {
        let endpoints = orders(&plan, replica).bootstrap.endpoints;
        endpoints
            .iter()
            .map(|one| matches!(one, Endpoint::Tcp(_)))
            .collect()
    };
    assert!(ways("pages-one-1").is_empty(), "nobody calls pages");
    assert_eq!(
        ways("goods-one-1"),
        [false, true],
        "a neighbour and another host do"
    );
    assert_eq!(ways("checkout-two-2"), [true]);
}

#[test]
fn only_who_speaks_to_other_hosts_is_certified() {
    let certified = |hosts: &str| -> Vec<String> {
        let plan = render(hosts);
        let all = plan.hosts.iter().flat_map(|host| &host.certified);
        all.map(|one| one.name.to_string()).collect()
    };
    assert_eq!(certified(HOSTS).len(), 5);
    let alone = "[hosts.one]\naddress = \"10.0.0.1\"\nlisteners.web = \"0.0.0.0:80\"\n\
                 groups = { pages = 1, goods = 1, checkout = 2 }\n";
    assert!(certified(alone).is_empty());
}

#[test]
fn no_secret_is_written_and_each_is_referred_to() {
    let plan = render(HOSTS);
    let orders = orders(&plan, "checkout-two-1");
    let config = &orders.bootstrap.config[&name("Payment")];
    assert_eq!(config["keys"], serde_json::json!([null, "public"]));
    let references = &orders.secrets[&name("Payment")];
    let pointers: Vec<_> = references.iter().map(|one| &*one.pointer).collect();
    assert_eq!(pointers, ["/keys/0", "/a~1b"]);
    for reference in references {
        assert!(config.pointer(&reference.pointer).unwrap().is_null());
    }
}

#[test]
fn a_host_that_is_added_at_the_end_changes_only_the_directories_of_others() {
    let more =
        format!("{HOSTS}\n[hosts.three]\naddress = \"10.0.0.3\"\ngroups = {{ goods = 1 }}\n");
    let (before, after) = (render(HOSTS), render(&more));
    let mut same = 0;
    for (before, after) in before.hosts.iter().zip(&after.hosts) {
        for (path, text) in &before.files {
            if !path.ends_with("bootstrap.json") {
                assert_eq!(after.files[path], *text, "{path}");
                same += 1;
                continue;
            }
            let mut orders: [StandingOrders; 2] =
                [text, &after.files[path]].map(|text| serde_json::from_str(text).unwrap());
            for orders in &mut orders {
                orders.bootstrap.directory = Default::default();
            }
            assert_eq!(orders[0], orders[1], "{path}");
        }
    }
    assert!(same > 5);
}

#[test]
fn taking_a_host_out_or_adding_to_one_renames_no_replica_of_others() {
    let names = |hosts: &str| -> Vec<String> {
        let plan = render(hosts);
        let all = plan.hosts.iter().flat_map(|host| &host.certified);
        all.map(|one| one.name.to_string()).collect()
    };
    let host = |name: &str, address: u8, goods: u32| {
        format!("[hosts.{name}]\naddress = \"10.0.0.{address}\"\ngroups = {{ goods = {goods} }}\n")
    };
    let before = names(&[&host("zero", 9, 1), HOSTS, &host("three", 3, 1)].concat());
    let without = names(&[HOSTS, &host("three", 3, 1)].concat());
    let more = names(&[&host("zero", 9, 2), HOSTS, &host("three", 3, 1)].concat());
    assert!(without.contains(&"goods-three-1".to_owned()), "{without:?}");
    assert_eq!(before[1..], without);
    assert_eq!(more[2..], without);
}

#[test]
fn what_may_be_secret_in_the_environment_is_in_no_unit_and_is_not_printed() {
    let plan = render(HOSTS);
    for host in &plan.hosts {
        assert!(host.files["app.env"].contains("50 %"));
        let units = host.files.iter();
        let mut units = units.filter(|(path, _)| path.starts_with("units/"));
        assert!(!units.any(|(_, text)| text.contains("50 %")));
        let orders = host.plan.folder.clone() + "/app.env";
        let services = host
            .files
            .iter()
            .filter(|(path, _)| path.ends_with(".service"));
        for (path, text) in services {
            assert!(
                text.contains(&format!("EnvironmentFile={orders}\n")),
                "{path}"
            );
        }
    }
    assert!(!format!("{plan:?}").contains("50 %"));
    let settings = StaticSettings {
        secrets: BTreeMap::new(),
        env: BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]),
        grace: Duration::ZERO,
    };
    assert!(!format!("{settings:?}").contains("hunter2"));
}

/// A file for systemd is read by a shell, too, where there is no systemd.
#[test]
fn every_value_of_the_environment_arrives_as_it_was_written() {
    let host = &render(HOSTS).hosts[0];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.env");
    fs::write(&file, &host.files["app.env"]).unwrap();
    let script = r#". "$0"; printf '%s' "$GREETING""#;
    let output = Command::new("sh").args(["-c", script]).arg(&file).output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(said, "50 % \"off\" for `$HOME`\\n\nand a line");
}

#[test]
fn a_unit_leaves_in_sight_what_its_replica_needs() {
    let unit = |places: &str| {
        let plan = render(&HOSTS.replace("run = \"/srv/shop/run\"", places));
        let host = &plan.hosts[1];
        let made = host.folder_to_make().map(str::to_owned);
        (
            host.files["units/shop-checkout-two-1.service"].clone(),
            made,
        )
    };
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let (text, made) = unit("run = \"/run/shop\"");
    assert!(has(&text, "PrivateTmp=yes") && has(&text, "ProtectHome=yes"));
    assert!(has(&text, "RuntimeDirectory=shop") && made.is_none());
    // Neighbours meet there, so it cannot be a folder of each.
    let (text, _) = unit("run = \"/tmp/shop\"");
    assert!(has(&text, "PrivateTmp=no") && has(&text, "ReadWritePaths=/tmp"));
    let (text, _) = unit("run = \"/run/user/7/shop\"");
    assert!(has(&text, "ProtectHome=read-only"));
    let (text, made) = unit("run = \"/srv/shop/run\"");
    assert!(has(&text, "ReadWritePaths=/srv/shop/run"));
    assert_eq!(made.as_deref(), Some("/srv/shop/run"));
}

#[test]
fn systemd_understands_the_units() {
    let verify = |units: &[PathBuf]| {
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(units)
            .output()
    };
    match verify(&[]) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: there is no systemd-analyze");
            return;
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    }
    for host in &render(HOSTS).hosts {
        let folder = tempfile::tempdir().unwrap();
        let units = host.files.iter().filter_map(|(path, text)| {
            let path = folder.path().join(Path::new(path.strip_prefix("units/")?));
            fs::write(&path, text).unwrap();
            Some(path)
        });
        let units: Vec<PathBuf> = units.collect();
        let said = verify(&units).unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        // Before version 254 it knows no growing pauses, and goes on without.
        let known = ["RestartSteps", "RestartMaxDelaySec"];
        let ours =
            |line: &&str| line.contains("shop") && !known.iter().any(|known| line.contains(known));
        let complaints: Vec<&str> = said.lines().filter(ours).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
