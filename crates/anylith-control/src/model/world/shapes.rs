//! The topologies of the application that is simulated.

use std::collections::BTreeMap;

use anylith_core::{Limits, Name, Scaling, Telemetry};
use anylith_topology::Transport;

use super::super::upgrade;
use crate::{GroupSpec, Spec};

type Shape = &'static [(&'static str, &'static [&'static str], u32)];

/// The topologies among which is reshaped. Some have groups of the same name, which change in place; and some have a burst.
pub(in crate::model) const SHAPES: [Shape; 10] = [
    &[("all", &["Stock", "Cart", "Front"], 1)],
    &[("all", &["Stock", "Cart", "Front"], 2)],
    &[
        ("Stock", &["Stock"], 1),
        ("Cart", &["Cart"], 1),
        ("Front", &["Front"], 1),
    ],
    &[
        ("Stock", &["Stock"], 2),
        ("Cart", &["Cart"], 1),
        ("Front", &["Front"], 2),
    ],
    &[("shop", &["Front", "Cart"], 1), ("rest", &["Stock"], 1)],
    &[("shop", &["Front"], 1), ("rest", &["Cart", "Stock"], 1)],
    &[("shop", &["Front", "Stock"], 2), ("rest", &["Cart"], 1)],
    &[("shop", &["Stock"], 1), ("rest", &["Front", "Cart"], 2)],
    &[
        ("all", &["Stock", "Cart", "Front"], 1),
        ("Cart-burst", &["Cart"], 2),
    ],
    &[
        ("shop", &["Front", "Cart"], 1),
        ("rest", &["Stock"], 2),
        ("Cart-burst", &["Cart"], 1),
        ("Stock-burst", &["Stock"], 1),
    ],
];

/// Those of them in which there is one `Cart`.
pub(in crate::model) const SHAPES_OF_ONE: [usize; 6] = [0, 2, 3, 4, 5, 6];

pub(in crate::model) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn groups(shape: usize) -> Vec<GroupSpec> {
    let group = |(of, components, replicas): &(&str, &[&str], u32)| GroupSpec {
        name: name(of),
        components: components.iter().map(|of| name(of)).collect(),
        replicas: *replicas,
        scaling: of.ends_with("-burst").then(|| Scaling::between(0, 3)),
        burst: of.ends_with("-burst"),
        external: false,
    };
    SHAPES[shape].iter().map(group).collect()
}

/// `Front` calls `Cart` and `Stock`; `Cart` calls `Stock`.
pub(in crate::model) fn spec(shape: usize) -> Spec {
    Spec {
        app: name("model"),
        topology: name(&format!("shape{shape}")),
        groups: groups(shape),
        dependencies: BTreeMap::from([
            (name("Front"), vec![name("Cart"), name("Stock")]),
            (name("Cart"), vec![name("Stock")]),
            (name("Stock"), vec![]),
        ]),
        listeners: BTreeMap::new(),
        config: BTreeMap::new(),
        edges: Vec::new(),
        limits: Limits::default(),
        telemetry: Telemetry::default(),
        transport: Transport::default(),
        interfaces: upgrade::interfaces(0, &[]),
        singletons: BTreeMap::new(),
    }
}
