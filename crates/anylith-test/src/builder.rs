//! What an application under test is to be like.

use std::{any::Any, path::PathBuf, sync::Arc, time::Duration};

use anylith_core::{Manifest, Name};
use anylith_runtime::{
    __rt::{ImplementedBy, Provides},
    Application, Builder, Component,
};
use anylith_supervisor::Program;
use anylith_topology::{MICRO, MONOLITH, Overrides, Plan, ReplicaChange, Settings, Unread};

use crate::{
    body::Body,
    cluster::{Cluster, ClusterError},
    in_process, processes,
    topology::Topology,
};

/// Says what an application under test is to be like, and starts it.
#[must_use = "it starts nothing before `start`"]
pub struct ClusterBuilder<A> {
    pub(crate) topology: Topology,
    pub(crate) app: Builder<A>,
    pub(crate) fakes: Vec<Fake>,
    pub(crate) program: Option<Program>,
    pub(crate) grace: Duration,
    settings: String,
    replicas: Vec<String>,
}

/// An implementation that stands in for a component, in the test's process.
pub(crate) struct Fake {
    pub(crate) component: Name,
    pub(crate) implementation: Arc<dyn Any + Send + Sync>,
}

impl<A: Application> ClusterBuilder<A> {
    pub(crate) fn new(app: Builder<A>) -> Self {
        Self {
            topology: Topology::Direct,
            app,
            fakes: Vec::new(),
            program: None,
            grace: Duration::from_secs(5),
            settings: String::new(),
            replicas: Vec::new(),
        }
    }

    /// Sets the topology; it is [`Topology::Direct`] at first.
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Puts `implementation` in the place of the component that `I` calls. It lives in the test's process in every
    /// topology, where [`Cluster::fake`] finds it.
    ///
    /// # Panics
    ///
    /// If the component's Rust name is longer than [`Name::MAX_LEN`].
    pub fn fake<I, F>(mut self, implementation: F) -> Self
    where
        A: Provides<I>,
        I: ImplementedBy<F>,
        F: Send + Sync + 'static,
    {
        let implementation = Arc::new(implementation);
        self.app = self.app.replace::<I, F>(&implementation);
        let component = Name::new(I::NAME).expect("the name of a component is not too long");
        self.fakes.push(Fake {
            component,
            implementation,
        });
        self
    }

    /// Takes a component that was made by hand, where the topology is in one process. In processes each replica makes
    /// its own: with `with(...)` in the attribute, or in the `main` of [its binary](ClusterBuilder::binary).
    pub fn with<C: Component>(mut self, component: C) -> Self
    where
        A: Provides<C::Interface>,
    {
        self.app = self.app.with(component);
        self
    }

    /// Adds settings, written as in `anylith.toml`.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// Sets the number of replicas of a group, which has its component's name where each component is alone. In one
    /// process there is one of each.
    pub fn replicas(mut self, group: &str, count: u32) -> Self {
        self.replicas.push(format!("{group}={count}"));
        self
    }

    /// Sets the program that replicas run, for a test without `#[anylith::test]`: the application's own binary,
    /// `env!("CARGO_BIN_EXE_shop")`.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(Program::new(path));
        self
    }

    /// Sets how long a component gets to finish its calls when the application stops; 5 s at first.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts the application, and returns when all of it is ready.
    ///
    /// # Errors
    ///
    /// What kept it from starting. Nothing of it runs then.
    ///
    /// # Cancellation
    ///
    /// What had been started is killed.
    pub async fn start(mut self) -> Result<Cluster<A>, ClusterError> {
        self.app = self.app.driven_by::<Body>();
        let manifest = self.app.manifest()?;
        if self.topology.has_processes() {
            processes::start(self, manifest).await
        } else {
            in_process::start(self, manifest).await
        }
    }

    /// The plan for the topology.
    pub(crate) fn plan(&self, manifest: &Manifest) -> Result<Plan, ClusterError> {
        // Tests run beside each other, and beside the application itself.
        let listeners = manifest.components.iter().flat_map(|one| &one.listeners);
        let free_ports = listeners.fold(Overrides::default(), |overrides, listener| {
            overrides.listen(&format!("{listener}=127.0.0.1:0"))
        });
        let settings = Settings::parse("settings", &self.settings, &free_ports, &Unread)?;
        let change = match self.replicas.join(",") {
            asked if asked.is_empty() || !self.topology.has_processes() => ReplicaChange::NONE,
            asked => ReplicaChange::parse(&asked)?,
        };
        let topology = match self.topology {
            Topology::Direct | Topology::Wire => MONOLITH,
            Topology::Processes | Topology::ProcessesTcp => MICRO,
            Topology::Named(name) => name,
        };
        Ok(settings.plan(manifest, topology, &change)?)
    }
}
