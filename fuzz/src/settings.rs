//! `anylith.toml` and `hosts.toml`, as somebody may write them who means well or not.

use anylith_core::{ComponentManifest, Fingerprint, Manifest, MethodManifest, MethodShape};
use anylith_topology::{
    Hosts, Overrides, Problem, Problems, ReplicaChange, Settings, Unread,
    draw::{Format, draw},
};

use super::doors::name;

/// What stands between the two files.
const BETWEEN: &str = "\n---\n";

/// Whatever the two files say, it is a plan, or there is a list of problems, each with a mend that can be printed.
///
/// The input: `anylith.toml`, and behind a line `---`, if there is one, `hosts.toml`.
pub fn settings(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (settings, hosts) = text.split_once(BETWEEN).unwrap_or((text, ""));
    let hosts = Hosts::parse("hosts.toml", hosts);
    if let Err(problems) = &hosts {
        print_all(problems);
    }
    let overrides = Overrides::default();
    let reading = Settings::read("anylith.toml", settings, &overrides, &Unread);
    reading.problems.iter().for_each(print);
    let settings = reading.settings;
    let manifest = shop();
    settings.check(&manifest).iter().for_each(print);
    for component in &manifest.components {
        settings.config(component.name.as_str());
        settings.config_without_secrets(component.name.as_str());
    }
    let own: Vec<&str> = settings.topologies().map(|it| it.as_str()).collect();
    for topology in own.into_iter().chain(["micro", "monolith"]) {
        match settings.plan(&manifest, topology, &ReplicaChange::NONE) {
            Err(problems) => print_all(&problems),
            Ok(plan) => {
                draw(Format::Text, &manifest, Some(&plan));
                draw(Format::Svg, &manifest, Some(&plan));
                if let Ok(hosts) = &hosts
                    && let Err(problems) = hosts.place(&plan, &settings)
                {
                    print_all(&problems);
                }
            }
        }
    }
}

fn print_all(problems: &Problems) {
    assert!(!problems.is_empty(), "it failed, and does not say why");
    problems.iter().for_each(print);
    assert!(!problems.to_string().is_empty());
}

fn print(problem: &Problem) {
    assert!(!problem.to_string().is_empty() && !problem.mend.is_empty());
}

/// An application small enough that a fuzzer can guess its names.
fn shop() -> Manifest {
    let component =
        |component: &str, dependencies: &[&str], listeners: &[&str]| ComponentManifest {
            name: name(component),
            implementation: format!("{component}Service"),
            summary: String::new(),
            dependencies: dependencies.iter().map(|it| name(it)).collect(),
            listeners: listeners.iter().map(|it| name(it)).collect(),
            methods: vec![MethodManifest {
                name: name("get"),
                idempotent: true,
                shape: MethodShape::Unary,
                routed: None,
            }],
            fingerprint: Fingerprint::EMPTY.with(component),
            misfits: Vec::new(),
            singleton: None,
        };
    Manifest {
        app: name("boutique"),
        summary: String::new(),
        components: vec![
            component("Catalog", &[], &[]),
            component("Cart", &["Catalog"], &[]),
            component("Frontend", &["Cart", "Catalog"], &["web"]),
        ],
    }
}
