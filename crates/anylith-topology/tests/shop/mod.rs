//! The online shop, as its binary would describe it, and an application given as edges.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use anylith_core::{ComponentManifest, Fingerprint, Manifest, MethodManifest, MethodShape, Name};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// An application called `app` of `components`: a name, what it is dependent on, and its listeners.
pub(crate) fn application(app: &str, components: &[(&str, &[&str], &[&str])]) -> Manifest {
    let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect();
    let components = components
        .iter()
        .map(|(component, dependencies, listeners)| {
            let methods = ["get", "put"].map(|method| MethodManifest {
                name: name(method),
                idempotent: method == "get",
                shape: MethodShape::Unary,
                routed: None,
            });
            ComponentManifest {
                name: name(component),
                implementation: format!("{component}Service"),
                summary: String::new(),
                dependencies: names(dependencies),
                listeners: names(listeners),
                methods: if listeners.is_empty() {
                    methods.to_vec()
                } else {
                    Vec::new()
                },
                fingerprint: Fingerprint::EMPTY.with(component),
                misfits: Vec::new(),
                singleton: None,
            }
        });
    Manifest {
        app: name(app),
        summary: String::new(),
        components: components.collect(),
    }
}

pub(crate) fn shop() -> Manifest {
    application(
        "boutique",
        &[
            ("Catalog", &[], &[]),
            ("Currency", &[], &[]),
            ("Cart", &[], &[]),
            ("Recommendation", &["Catalog"], &[]),
            ("Shipping", &[], &[]),
            ("Payment", &[], &[]),
            ("Email", &[], &[]),
            ("Ad", &[], &[]),
            (
                "Checkout",
                &[
                    "Cart", "Catalog", "Currency", "Shipping", "Payment", "Email",
                ],
                &[],
            ),
            (
                "Frontend",
                &[
                    "Catalog",
                    "Currency",
                    "Cart",
                    "Recommendation",
                    "Shipping",
                    "Checkout",
                    "Ad",
                ],
                &["web"],
            ),
        ],
    )
}
