//! Applications as their binaries would describe them, and what is rendered of them.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, time::Duration};

use anylith_control::Spec;
use anylith_core::{
    ComponentManifest, Fingerprint, Manifest, MethodManifest, MethodShape, Name, Singleton,
};
use anylith_kube::{Manifests, Request, render};
use anylith_topology::{Overrides, Problems, ReplicaChange, Settings, Unread};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// An application called `app` of `components`: a name, what it is dependent on, and its listeners.
pub(crate) fn application(app: &str, components: &[(&str, &[&str], &[&str])]) -> Manifest {
    let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect();
    let of = |(component, dependencies, listeners): &(&str, &[&str], &[&str])| ComponentManifest {
        name: name(component),
        implementation: format!("{component}Service"),
        summary: String::new(),
        dependencies: names(dependencies),
        listeners: names(listeners),
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
        app: name(app),
        summary: String::new(),
        components: components.iter().map(of).collect(),
    }
}

/// An application and its `anylith.toml`.
pub(crate) struct App {
    pub(crate) manifest: Manifest,
    pub(crate) toml: String,
}

impl App {
    /// The online shop of the examples.
    pub(crate) fn shop() -> Self {
        let all = [
            "Catalog",
            "Currency",
            "Cart",
            "Recommendation",
            "Shipping",
            "Checkout",
            "Ad",
        ];
        let bought = [
            "Cart", "Catalog", "Currency", "Shipping", "Payment", "Email",
        ];
        let manifest = application(
            "boutique",
            &[
                ("Frontend", &all, &["web"]),
                ("Catalog", &[], &[]),
                ("Currency", &[], &[]),
                ("Cart", &[], &[]),
                ("Recommendation", &["Catalog"], &[]),
                ("Shipping", &[], &[]),
                ("Payment", &[], &[]),
                ("Email", &[], &[]),
                ("Ad", &[], &[]),
                ("Checkout", &bought, &[]),
            ],
        );
        let toml = include_str!("../../../../examples/boutique/anylith.toml");
        Self {
            manifest,
            toml: toml.to_owned(),
        }
    }

    /// The small one of the examples.
    pub(crate) fn hello() -> Self {
        let manifest = application(
            "hello",
            &[("Greeter", &[], &[]), ("Web", &["Greeter"], &["web"])],
        );
        let toml = include_str!("../../../../examples/hello/anylith.toml");
        Self {
            manifest,
            toml: toml.to_owned(),
        }
    }

    /// One that asks for everything that can be asked for.
    pub(crate) fn post() -> Self {
        let mut manifest = application(
            "Post_Office",
            &[
                ("Ledger", &[], &[]),
                ("Sorter", &["Ledger"], &[]),
                ("ParcelDesk", &["Sorter"], &["counter", "admin"]),
                ("Clock", &[], &[]),
                ("Courier", &["Sorter", "Clock"], &[]),
            ],
        );
        for component in &mut manifest.components {
            if component.name == "Clock" {
                component.singleton = Some(Singleton::default());
            }
        }
        Self {
            manifest,
            toml: include_str!("post.toml").to_owned(),
        }
    }

    pub(crate) fn with(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self
    }

    /// What comes of it in `topology`.
    pub(crate) fn render(&self, topology: &str, replicas: &str) -> Result<Manifests, Problems> {
        let settings = Settings::parse("anylith.toml", &self.toml, &Overrides::default(), &Unread)?;
        let change = match replicas {
            "" => ReplicaChange::NONE,
            text => ReplicaChange::parse(text)?,
        };
        let mut plan = settings.plan(&self.manifest, topology, &change)?;
        let cluster = settings.on_cluster(&plan)?;
        let mut secrets = BTreeMap::new();
        for (component, config) in &mut plan.config {
            let (without, found) = settings.config_without_secrets(component.as_str()).unwrap();
            *config = without;
            if !found.is_empty() {
                secrets.insert(component.clone(), found);
            }
        }
        let spec = Spec::new(&plan, &self.manifest);
        let image = "registry.example.com/apps/it:1.4.0".parse().unwrap();
        let request = Request {
            spec: &spec,
            plan: &plan,
            cluster: &cluster,
            kubernetes: settings.kubernetes(),
            secrets: &secrets,
            image: &image,
            namespace: (topology == "everything").then(|| "mail".to_owned()),
            grace: Duration::from_secs(10),
        };
        Ok(render(&request).unwrap())
    }
}
