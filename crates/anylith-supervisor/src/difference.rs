//! How what runs differs from what is wanted now, in words.

use std::{collections::BTreeMap, fmt};

use anylith_control::{GroupSpec, Spec};
use anylith_core::{Name, Scaling};

use crate::{
    launch::Launch,
    record::{Build, Record},
};

/// Every way in which what `past` has left running is not what `launch` asks for, in a few words each; none if
/// it can be adopted.
pub(crate) fn all(past: &Record, launch: &Launch, build: Build) -> Vec<String> {
    let mut found = of_settings(past, launch);
    let (was, is) = (&past.program, &launch.program);
    if past.stands_for(&is.path, build) {
        // It is what runs, or what that has become.
    } else if was.path != is.path {
        let (was, is) = (was.path.display(), is.path.display());
        found.push(format!("the binary is {is}, and was {was}"));
    } else if past.build != build {
        found.push("the binary was built anew".to_owned());
    }
    found
}

/// The same, of all but the build.
pub(crate) fn of_settings(past: &Record, launch: &Launch) -> Vec<String> {
    let mut found = of_specs(&past.spec, &launch.spec);
    let (was, is) = (&past.program, &launch.program);
    // Their values may be secrets.
    for name in changed(&was.env, &is.env) {
        found.push(format!("the environment variable {name}"));
    }
    if (&was.args, &was.folder) != (&is.args, &is.folder) {
        found.push("how the binary is called".to_owned());
    }
    for listener in changed(&past.addresses, &launch.addresses) {
        found.push(
            match (past.addresses.get(listener), launch.addresses.get(listener)) {
                (Some(was), Some(is)) => {
                    format!("listener {listener} is at {is}, and was at {was}")
                }
                _ => format!("listener {listener}"),
            },
        );
    }
    found
}

fn of_specs(was: &Spec, is: &Spec) -> Vec<String> {
    let mut found = Vec::new();
    if was.topology != is.topology {
        found.push(format!(
            "the topology is {}, and was {}",
            is.topology, was.topology
        ));
    } else {
        found.extend(of_groups(was, is));
    }
    for component in changed(&was.config, &is.config) {
        found.push(format!("the config of {component}"));
    }
    if (&was.dependencies, &was.listeners) != (&is.dependencies, &is.listeners) {
        found.push("the components, and who is dependent on whom".to_owned());
    }
    if was.edges != is.edges {
        found.push("[edges]".to_owned());
    }
    if was.limits != is.limits {
        found.push("[limits]".to_owned());
    }
    if was.telemetry != is.telemetry {
        found.push("[telemetry]".to_owned());
    }
    if was.transport != is.transport {
        found.push("what replicas call each other over".to_owned());
    }
    for component in changed(&was.singletons, &is.singletons) {
        // One that has come or gone was named.
        if was.dependencies.contains_key(component) && is.dependencies.contains_key(component) {
            found.push(format!("whether {component} is a singleton, and how"));
        }
    }
    for component in changed(&was.interfaces, &is.interfaces) {
        if was.dependencies.contains_key(component) && is.dependencies.contains_key(component) {
            found.push(format!("the interface of {component}"));
        }
    }
    if found.is_empty() && settled(was) != settled(is) {
        found.push("the settings".to_owned());
    }
    found
}

/// `spec` with the numbers with which it begins, where they are chosen within a range.
fn settled(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    for group in &mut spec.groups {
        if let Numbers::Within(scaling) = Numbers::of(group) {
            group.replicas = scaling.initial();
        }
    }
    spec
}

/// What is different in groups of the same topology.
fn of_groups(was: &Spec, is: &Spec) -> Vec<String> {
    let by_name = |spec: &Spec| -> BTreeMap<Name, (Vec<Name>, Numbers)> {
        let groups = spec.groups.iter();
        groups
            .map(|group| {
                let content = (group.components.clone(), Numbers::of(group));
                (group.name.clone(), content)
            })
            .collect()
    };
    let (was, is) = (by_name(was), by_name(is));
    let about = |name| match (was.get(name), is.get(name)) {
        (Some((before, had)), Some((now, has))) if before == now => {
            format!("{name} has {has} replicas, and had {had}")
        }
        _ => format!("the components of group {name}"),
    };
    changed(&was, &is).into_iter().map(about).collect()
}

/// How many replicas a group is to have. Within a range, how many it has at the moment is no difference.
#[derive(PartialEq)]
enum Numbers {
    Fixed(u32),
    Within(Scaling),
}

impl Numbers {
    fn of(group: &GroupSpec) -> Self {
        match group.scaling {
            Some(scaling) if scaling.min < scaling.max => Self::Within(scaling),
            Some(_) | None => Self::Fixed(group.replicas),
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(replicas) => replicas.fmt(f),
            Self::Within(Scaling {
                min,
                max,
                target,
                cooldown_ms,
            }) => write!(
                f,
                "{min} to {max} ({target}, cooldown = \"{cooldown_ms}ms\")"
            ),
        }
    }
}

/// The keys that are in one of both only, or not with the same value.
fn changed<'a, K: Ord, V: PartialEq>(
    was: &'a BTreeMap<K, V>,
    is: &'a BTreeMap<K, V>,
) -> Vec<&'a K> {
    let gone = was.keys().filter(|key| !is.contains_key(key));
    let other = is.iter().filter(|(key, value)| was.get(key) != Some(value));
    gone.chain(other.map(|(key, _)| key)).collect()
}
