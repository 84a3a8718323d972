//! What a component is given when it is built.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use anylith_core::{Directory, EdgeSettings, Metrics, Name};
use anylith_rpc::{Network, Policy};
use anylith_telemetry::Numbers;
use anylith_wire::control::Handed;
use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    component::StartError,
    config,
    edge::{CallCounts, ClientEdge, Counted, Local, Routing},
    gate::Gate,
    inherited::Inherited,
    interface::{Interface, checked},
    listener::{Listener, Passage},
    trails::Trails,
};

/// What a component is given when it is built: its clients, its config, its listeners.
#[derive(Clone)]
pub struct Wiring {
    pub(crate) component: Name,
    pub(crate) panel: Arc<Panel>,
    /// What the one before it has handed over.
    pub(crate) handed: Option<Handed>,
}

impl Wiring {
    /// The client of a component that this one is dependent on. Asked again, it gives the same edge.
    pub fn client<I: Interface>(&self) -> I {
        let settings = self.panel.edge_settings.load();
        let set = |method: Option<&str>| set(&settings, &self.component, I::NAME, method);
        let network = &self.panel.network;
        let policy = policy(set(None));
        let remote = Some(network.callee_by(checked(I::NAME), I::fingerprint(), policy));
        // Held until the edge is in, so that a callee which leaves meanwhile finds either no edge, or this one.
        let mut edges = self.panel.edges();
        let local = if self.panel.through_the_wire {
            None
        } else {
            self.panel.local::<I>()
        };
        let known = edges.iter().find_map(|edge| {
            ClientEdge::known(Arc::clone(edge), &self.component, I::NAME, local.is_some())
        });
        let edge = known.unwrap_or_else(|| {
            let edge = ClientEdge::new::<I>(
                self.component.clone(),
                set,
                local,
                remote,
                self.panel.metrics,
                self.panel.trails.clone(),
            );
            edge.state().share(&network.directory());
            edges.push(edge.state().clone());
            edge
        });
        I::from_edge(edge)
    }

    /// The component's section of `anylith.toml`, with defaults where it is silent.
    ///
    /// # Errors
    ///
    /// What does not fit, and where.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, StartError> {
        let all = self.panel.config.load();
        let config = all.get(&self.component).unwrap_or(&Value::Null);
        config::read_config(config).map_err(|problem| {
            StartError::from_cause(format!("[components.{}] {problem}", self.component))
        })
    }

    /// What the component before this one has handed over, of which there is one at a time. `None` if there was none, or if
    /// it left nothing: it died, or an `S` cannot be made of what it left, which is logged.
    pub fn handed<S: DeserializeOwned>(&self) -> Option<S> {
        let Handed(state) = self.handed.as_ref()?;
        match serde_json::from_str(state) {
            Ok(state) => Some(state),
            Err(error) => {
                tracing::error!(
                    component = %self.component,
                    %error,
                    "what was handed over cannot be read by this build: the component begins without it"
                );
                None
            }
        }
    }

    /// The listener called `name`.
    ///
    /// # Errors
    ///
    /// If nobody has bound it for this replica.
    pub fn listener(&self, name: &str) -> Result<Listener, StartError> {
        let given = self.panel.given.load();
        let (name, socket) = given.listeners.get_key_value(name).ok_or_else(|| {
            StartError::from_cause(format!("this replica was not given the listener `{name}`"))
        })?;
        Ok(Listener::new(
            name.clone(),
            Arc::clone(socket),
            Passage {
                relay: given.relays.get(name).cloned(),
                others_stay: self.panel.others_stay.subscribe(),
                listeners: given.listeners.len(),
            },
            self.panel.trails.clone(),
        ))
    }
}

/// What was set for calls along an edge, or for those of one method alone.
fn set<'s>(
    settings: &'s [EdgeSettings],
    caller: &Name,
    callee: &str,
    method: Option<&str>,
) -> Option<&'s EdgeSettings> {
    settings.iter().find(|edge| {
        edge.caller == *caller
            && edge.callee == callee
            && edge.method.as_ref().map(Name::as_str) == method
    })
}

/// How calls along an edge are made for which this was set.
fn policy(set: Option<&EdgeSettings>) -> Policy {
    let usual = Policy::default();
    let retries = set.and_then(|set| set.retries_percent);
    Policy {
        retries_percent: retries.unwrap_or(usual.retries_percent),
        concurrency: set.and_then(|set| set.concurrency),
    }
}

/// What the components of a replica are wired with.
pub(crate) struct Panel {
    pub(crate) network: Network,
    pub(crate) config: ArcSwap<BTreeMap<Name, Value>>,
    pub(crate) edge_settings: ArcSwap<Vec<EdgeSettings>>,
    /// The sockets of its listeners.
    pub(crate) given: ArcSwap<Inherited>,
    /// Whether, now that this replica stops, another one stays that serves the same listeners.
    pub(crate) others_stay: watch::Sender<bool>,
    /// Whether calls within the process go over its own socket as well.
    pub(crate) through_the_wire: bool,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Where its spans go; `None` where there are none.
    pub(crate) trails: Option<Arc<Trails>>,
    /// The components that are ready in this process.
    pub(crate) here: RwLock<BTreeMap<&'static str, Present>>,
    /// One for each caller and callee; a second one if the callee became ready here after the first was made.
    pub(crate) edges: Mutex<Vec<Arc<dyn Counted>>>,
}

/// A component that is ready in this process, as others in it find it.
pub(crate) struct Present {
    /// The `Arc<I::Object>` of its implementation.
    pub(crate) object: Box<dyn Any + Send + Sync>,
    pub(crate) gate: Arc<Gate>,
}

impl Present {
    /// The implementation, if `O` is its type.
    pub(crate) fn local<O: ?Sized + Send + Sync + 'static>(&self) -> Option<Local<O>> {
        Some(Local {
            object: self.object.downcast_ref::<Arc<O>>()?.clone(),
            routing: Routing::default(),
            gate: Some(Arc::clone(&self.gate)),
        })
    }
}

impl Panel {
    fn local<I: Interface>(&self) -> Option<Local<I::Object>> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        here.get(I::NAME)?.local()
    }

    /// Takes the config of components that come, and what was set for edges out of them.
    pub(crate) fn learn(&self, config: &BTreeMap<Name, Value>, edges: &[EdgeSettings]) {
        self.config.rcu(|known| {
            let mut all = BTreeMap::clone(known);
            all.extend(config.clone());
            all
        });
        self.edge_settings.rcu(|known| {
            let mut all = Vec::clone(known);
            all.retain(|one| edges.iter().all(|edge| edge.caller != one.caller));
            all.extend_from_slice(edges);
            all
        });
    }

    /// Has calls from this process go to the component called `name` here, if it is here now.
    pub(crate) fn come(&self, name: &str) {
        if self.through_the_wire {
            return;
        }
        // In this order: see `Wiring::client`.
        let edges = self.edges();
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = here.get(name) {
            let directory = self.network.directory();
            for edge in edges.iter() {
                edge.come(name, present);
                edge.share(&directory);
            }
        }
    }

    /// Takes a directory, unless it is older than the one in use.
    pub(crate) fn update(&self, directory: Directory) {
        self.network.update(directory);
        // Looked at with the edges in hand, so that of two at once the newer one decides.
        let edges = self.edges();
        let directory = self.network.directory();
        edges.iter().for_each(|edge| edge.share(&directory));
    }

    pub(crate) fn counts(&self) -> Vec<CallCounts> {
        self.edges().iter().flat_map(|edge| edge.counts()).collect()
    }

    /// Adds what was called out of this process to `numbers`.
    pub(crate) fn count_into(&self, numbers: &mut Numbers) {
        let edges = self.edges().clone();
        edges.iter().for_each(|edge| edge.count_into(numbers));
    }

    /// Lets no more calls from this process into the component called `name`.
    pub(crate) fn leave(&self, name: &str) {
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.remove(name);
        drop(here);
        self.edges().iter().for_each(|edge| edge.leave(name));
    }

    fn edges(&self) -> MutexGuard<'_, Vec<Arc<dyn Counted>>> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
