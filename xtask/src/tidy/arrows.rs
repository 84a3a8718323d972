//! Which crate may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::Finding;

/// The arrows that are drawn in `ARCHITECTURE.md`: each crate of `crates/`, and what it stands on.
/// What lies below those is allowed too.
const ARROWS: &[(&str, &[&str])] = &[
    ("anylith-core", &[]),
    ("anylith-macros", &[]),
    ("anylith-topology", &["anylith-core"]),
    ("anylith-telemetry", &["anylith-core"]),
    ("anylith-wire", &["anylith-telemetry"]),
    ("anylith-control", &["anylith-topology", "anylith-wire"]),
    ("anylith-pki", &["anylith-wire"]),
    ("anylith-rpc", &["anylith-wire"]),
    ("anylith-runtime", &["anylith-rpc", "anylith-topology"]),
    ("anylith", &["anylith-runtime", "anylith-macros"]),
    ("anylith-image", &[]),
    ("anylith-kube", &["anylith-control"]),
    ("anylith-supervisor", &["anylith-control", "anylith-pki"]),
    ("anylith-dashboard", &["anylith-supervisor"]),
    (
        "anylith-cli",
        &["anylith-dashboard", "anylith-image", "anylith-kube"],
    ),
    ("anylith-test", &["anylith", "anylith-supervisor"]),
];

/// The crates that only compute: no socket, clock, disk or process.
pub(super) const PURE: &[&str] = &[
    "anylith-core",
    "anylith-telemetry",
    "anylith-topology",
    "anylith-wire",
    "anylith-control",
    "anylith-kube",
];

/// Packages that would give a crate a socket, a clock, a disk or a process.
const ACTING: &[&str] = &[
    "async-io",
    "async-std",
    "mio",
    "nix",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
    "hyper",
    "reqwest",
    "tempfile",
    "walkdir",
];

/// The most packages that an application may be built from, those of Anylith among them.
const MOST_PACKAGES: usize = 80;

/// A crate of this repository and the crates of this repository that it is built from.
pub(super) struct Crate {
    pub(super) name: String,
    /// The folder of its manifest, from the root; empty for the root.
    pub(super) folder: String,
    pub(super) uses: Vec<String>,
}

/// The crates of the workspace, with their arrows; what only tests use is not among those.
pub(super) fn crates(metadata: &Metadata) -> Vec<Crate> {
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    members
        .iter()
        .map(|member| {
            let folder = member
                .manifest_path
                .parent()
                .expect("a manifest lies in a folder");
            let folder = folder
                .strip_prefix(&metadata.workspace_root)
                .unwrap_or(folder);
            let uses = member
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .filter(|dependency| names.contains(&*dependency.name))
                .map(|dependency| dependency.name.clone());
            Crate {
                name: member.name.to_string(),
                folder: folder.as_str().to_owned(),
                uses: uses.collect(),
            }
        })
        .collect()
}

/// Arrows between crates of `crates/` that nobody drew.
pub(super) fn forbidden(crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in crates {
        let manifest = format!("{}/Cargo.toml", one.folder);
        let mut find = |mend: String| findings.push(Finding::new(&manifest, 1, "arrow", mend));
        if !one.folder.starts_with("crates/") {
            let foreign = one.folder.starts_with("examples/");
            for used in one
                .uses
                .iter()
                .filter(|used| foreign && used.starts_with("anylith-"))
            {
                find(format!(
                    "an application names `anylith` only, and this one uses `{used}`"
                ));
            }
        } else if !ARROWS.iter().any(|(name, _)| *name == one.name) {
            find(format!(
                "draw `{}` in ARCHITECTURE.md and in xtask/src/tidy/arrows.rs",
                one.name
            ));
        } else {
            let below = below(&one.name);
            for used in one
                .uses
                .iter()
                .filter(|used| !below.contains(used.as_str()))
            {
                find(format!(
                    "`{}` may not depend on `{used}`: see ARCHITECTURE.md",
                    one.name
                ));
            }
        }
    }
    findings
}

/// Everything that can be reached from `name` along [`ARROWS`].
fn below(name: &str) -> BTreeSet<&'static str> {
    let arrows = |name: &str| {
        ARROWS
            .iter()
            .find(|(from, _)| *from == name)
            .map_or(&[][..], |(_, to)| to)
            .iter()
            .copied()
    };
    let mut found = BTreeSet::new();
    let mut next: Vec<&'static str> = arrows(name).collect();
    while let Some(name) = next.pop() {
        if found.insert(name) {
            next.extend(arrows(name));
        }
    }
    found
}

/// For each crate that only computes, the names of all packages that it is built from.
pub(super) fn all_dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let nodes = &metadata
        .resolve
        .as_ref()
        .expect("cargo metadata resolves")
        .nodes;
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = nodes
        .iter()
        .map(|node| {
            let built_in = node.deps.iter().filter(|dependency| {
                dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            (
                &node.id,
                built_in.map(|dependency| &dependency.pkg).collect(),
            )
        })
        .collect();
    let name = |id: &PackageId| metadata[id].name.to_string();
    let pure = metadata
        .workspace_packages()
        .into_iter()
        .filter(|one| PURE.contains(&&**one.name));
    pure.map(|one| {
        let mut found = BTreeSet::new();
        let mut next = vec![&one.id];
        while let Some(id) = next.pop() {
            let below = edges.get(id).map_or(&[][..], Vec::as_slice);
            next.extend(below.iter().filter(|id| found.insert(name(id))));
        }
        (one.name.to_string(), found)
    })
    .collect()
}

/// Crates that only compute, yet are built from something that acts.
pub(super) fn not_pure(dependencies: &BTreeMap<String, BTreeSet<String>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, packages) in dependencies {
        for package in ACTING.iter().filter(|package| packages.contains(**package)) {
            findings.push(Finding::new(
                &format!("crates/{name}/Cargo.toml"),
                1,
                "pure",
                format!("`{name}` only computes, so it cannot stand on `{package}`"),
            ));
        }
    }
    findings
}

/// An application that is built from more packages than it should be. Takes the lines of `cargo tree`.
pub(super) fn too_many(tree: &str) -> Option<Finding> {
    let packages: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    (packages.len() > MOST_PACKAGES).then(|| {
        Finding::new(
            "crates/anylith/Cargo.toml",
            1,
            "packages",
            format!(
                "an application is built from {} packages, and {MOST_PACKAGES} are allowed: \
                 `cargo tree -p anylith -e normal` shows them",
                packages.len()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, folder: &str, uses: &[&str]) -> Crate {
        let uses = uses.iter().map(ToString::to_string).collect();
        Crate {
            name: name.into(),
            folder: folder.into(),
            uses,
        }
    }

    #[test]
    fn an_arrow_that_nobody_drew_is_found() {
        let upwards = one("anylith-core", "crates/anylith-core", &["anylith-rpc"]);
        let found = forbidden(&[upwards]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .mend
                .contains("`anylith-core` may not depend on `anylith-rpc`")
        );
    }

    #[test]
    fn what_lies_further_below_is_allowed() {
        let cli = one(
            "anylith-cli",
            "crates/anylith-cli",
            &["anylith-topology", "anylith-core"],
        );
        assert!(forbidden(&[cli]).is_empty());
    }

    #[test]
    fn a_new_crate_has_to_be_drawn() {
        assert_eq!(
            forbidden(&[one("anylith-moon", "crates/anylith-moon", &[])]).len(),
            1
        );
    }

    #[test]
    fn an_application_names_only_anylith() {
        let good = one("shop", "examples/shop", &["anylith"]);
        let bad = one("shop", "examples/shop", &["anylith", "anylith-rpc"]);
        assert_eq!(forbidden(&[good, bad]).len(), 1);
    }

    #[test]
    fn the_arrows_have_no_cycle() {
        for (name, _) in ARROWS {
            assert!(!below(name).contains(name), "{name} is below itself");
        }
    }

    #[test]
    fn a_crate_that_computes_cannot_stand_on_one_that_acts() {
        let with = |package: &str| {
            BTreeMap::from([("anylith-wire".into(), BTreeSet::from([package.to_owned()]))])
        };
        assert_eq!(not_pure(&with("tokio")).len(), 1);
        assert!(not_pure(&with("bytes")).is_empty());
    }

    #[test]
    fn packages_are_counted_once_each() {
        let many = |count| {
            (0..count)
                .map(|n| format!("p{n} v1.0.0\n"))
                .collect::<String>()
        };
        assert!(too_many(&format!("{}{}", many(80), "p1 v1.0.0 (*)\n")).is_none());
        assert!(too_many(&many(81)).is_some());
    }
}
