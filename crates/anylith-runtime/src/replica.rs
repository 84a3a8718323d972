//! One process of an application: starts its components, serves them, and drains them.

mod drain;
mod failures;
mod health;
mod hosted;
mod load;
mod lookout;
mod measures;
mod offering;
mod standing;
mod taking_in;
mod turn;

use std::{
    any::Any,
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    io,
    net::TcpListener,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use anylith_core::{
    Counters, Directory, EdgeSettings, Endpoint, Fingerprint, Limits, Metrics, Name, Telemetry,
};
use anylith_rpc::{Identity, Membership, Network, ServedComponent, Server};
use anylith_telemetry::Tracer;
use anylith_wire::control::{Bootstrap, ComponentState};
use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

pub(crate) use failures::ComponentFailure;
use hosted::{Hosted, Late, Life, Opened, Phase};
pub(crate) use load::{Borne, Gauge};
pub(crate) use standing::{Standing, States};
use standing::{is_in, tell};

use crate::{
    ambient::Frame,
    component::{Built, Registration, StartError},
    framed::Framed,
    gate::Gate,
    guard,
    inherited::Inherited,
    interface::checked,
    place::Place,
    relay::Relay,
    replica::failures::Failures,
    replica::health::Monitor,
    replica::lookout::{Lookout, News, Obstacles},
    replica::measures::Measures,
    replica::offering::Offering,
    serve::{Door, Doors},
    stopping::Stopping,
    stopwatch,
    task::Task,
    trails::Trails,
    wiring::{Panel, Present, Wiring},
};

/// What a replica is to be.
pub(crate) struct Setup {
    /// The replica's name.
    pub(crate) name: Name,
    /// Its components.
    pub(crate) components: Vec<Registration>,
    /// Those that may come while it runs.
    pub(crate) others: Vec<Registration>,
    /// Where it answers calls; none for a process that nobody calls. The first is what it gives for its address.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) listeners: BTreeMap<Name, Arc<TcpListener>>,
    pub(crate) relays: BTreeMap<Name, Arc<Relay>>,
    pub(crate) config: BTreeMap<Name, Value>,
    pub(crate) edges: Vec<EdgeSettings>,
    pub(crate) limits: Limits,
    pub(crate) telemetry: Telemetry,
    /// Whether somebody collects the spans of its traces.
    pub(crate) collected: bool,
    pub(crate) directory: Directory,
    /// Whether the directory names replicas that may not be ready, or not be there: nobody watches over them.
    pub(crate) directory_is_hope: bool,
    /// What it proves itself with, where it needs to.
    pub(crate) identity: Option<Identity>,
    /// Component → those that may call it; `None` if all may.
    pub(crate) callers: Option<BTreeMap<Name, Vec<Name>>>,
    /// Whether calls within the process go over its own socket as well.
    pub(crate) through_the_wire: bool,
    /// Those of its components that start only when they are granted that.
    pub(crate) held: Vec<Name>,
}

impl Setup {
    /// What `bootstrap` makes of the replica `name`, in a binary that has `components`.
    ///
    /// # Errors
    ///
    /// The components that the binary does not have.
    pub(crate) fn of(
        bootstrap: Bootstrap,
        name: Name,
        components: Vec<Registration>,
        inherited: Inherited,
    ) -> Result<Self, Vec<Name>> {
        let is_own = |it: &Registration| bootstrap.components.iter().any(|name| *name == it.name);
        let (components, others): (Vec<_>, Vec<_>) = components.into_iter().partition(is_own);
        let mut missing = bootstrap.components;
        missing.retain(|name| components.iter().all(|it| *name != it.name));
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(Self {
            name,
            components,
            others,
            endpoints: bootstrap.endpoints,
            listeners: inherited.listeners,
            relays: inherited.relays,
            config: bootstrap.config,
            edges: bootstrap.edges,
            limits: bootstrap.limits,
            telemetry: bootstrap.telemetry,
            collected: false,
            directory: bootstrap.directory,
            directory_is_hope: false,
            identity: bootstrap.identity,
            callers: bootstrap.callers,
            through_the_wire: false,
            held: bootstrap.held,
        })
    }
}

/// A replica, from inside.
pub(crate) struct Replica {
    components: Mutex<Components>,
    others: Vec<Registration>,
    /// Component → those that may call it; `None` if all may.
    callers: Mutex<Option<BTreeMap<Name, Vec<Name>>>>,
    panel: Arc<Panel>,
    doors: Arc<Doors>,
    offering: Offering,
    states: watch::Sender<States>,
    failures: Failures,
    measures: Measures,
    /// What the interfaces of the application look like in this process.
    interfaces: BTreeMap<Name, Fingerprint>,
    /// See [`Setup`].
    directory_is_hope: bool,
}

/// What a replica is made of.
struct Components {
    /// Each once, those that have stopped among them.
    all: Vec<Arc<Hosted>>,
    /// It stops, and takes no more in.
    stopping: bool,
}

impl Replica {
    /// Prepares a replica, and binds its endpoint. Failures of components that were ready come out of the second
    /// value: of each the first.
    ///
    /// # Errors
    ///
    /// The endpoint cannot be bound, or the identity is of no use.
    pub(crate) fn new(setup: Setup) -> io::Result<(Self, mpsc::Receiver<ComponentFailure>)> {
        let membership = Membership {
            replica: setup.name,
            components: setup.components.iter().map(|it| checked(it.name)).collect(),
            callers: setup.callers.clone(),
        };
        let network = Network::of(membership, setup.limits);
        if let Some(identity) = &setup.identity {
            let taken = network.set_identity(identity);
            taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        }
        let registrations = setup.components.iter().chain(&setup.others);
        let interfaces = registrations.map(|it| (checked(it.name), it.fingerprint()));
        let interfaces: BTreeMap<Name, Fingerprint> = interfaces.collect();
        network.update(setup.directory.fitting(&interfaces));
        let metrics = setup.telemetry.metrics;
        if metrics == Metrics::All {
            stopwatch::want();
        }
        let tracer = Tracer::new(setup.telemetry.traces, setup.collected);
        let trails = tracer.map(Trails::new);
        let measures = Measures::new(metrics);
        let held = setup.held;
        let is_held = |it: &Registration| held.iter().any(|name| *name == it.name);
        let waiting = |it: &Registration| (checked(it.name), Standing::waiting(is_held(it)));
        let states = watch::Sender::new(setup.components.iter().map(waiting).collect::<States>());
        let doors = setup.components.iter();
        let doors = doors
            .map(|it| door(it, &measures, trails.clone()))
            .collect();
        let doors = Arc::new(Doors::new(doors, states.subscribe(), network.clone()));
        let serve = |endpoint| network.serve(endpoint, Arc::<Doors>::clone(&doors));
        let servers = setup.endpoints.iter().map(serve);
        let offering = Offering::new(servers.collect::<io::Result<_>>()?, states.subscribe());
        let components = setup.components.into_iter();
        let all: Vec<Arc<Hosted>> = components.map(|it| Hosted::new(it, &held)).collect();
        let (failures, failed) = Failures::of(all.len() + setup.others.len());
        let panel = Panel {
            network,
            config: ArcSwap::from_pointee(setup.config),
            edge_settings: ArcSwap::from_pointee(setup.edges),
            given: ArcSwap::from_pointee(Inherited {
                listeners: setup.listeners,
                relays: setup.relays,
            }),
            others_stay: watch::Sender::new(false),
            through_the_wire: setup.through_the_wire,
            metrics,
            trails,
            here: RwLock::default(),
            edges: Mutex::default(),
        };
        let replica = Self {
            components: Mutex::new(Components {
                all,
                stopping: false,
            }),
            others: setup.others,
            callers: Mutex::new(setup.callers),
            panel: Arc::new(panel),
            doors,
            offering,
            states,
            failures,
            measures,
            interfaces,
            directory_is_hope: setup.directory_is_hope,
        };
        Ok((replica, failed))
    }

    /// The endpoint that it gives for its address.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.offering.servers.first().map(Server::endpoint)
    }

    /// All endpoints at which it answers calls.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.offering.servers.iter().map(Server::endpoint).collect()
    }

    /// How many components it may have.
    pub(crate) fn most_components(&self) -> usize {
        self.components().all.len() + self.others.len()
    }

    fn components(&self) -> MutexGuard<'_, Components> {
        self.components
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn hosted(&self, name: &str) -> Option<Arc<Hosted>> {
        let components = self.components();
        let mut all = components.all.iter();
        all.find(|it| it.name == name).cloned()
    }

    /// Whether it was told to stop, all of it.
    pub(crate) fn is_stopping(&self) -> bool {
        self.components().stopping
    }

    /// The state of each component, as it changes.
    pub(crate) fn states(&self) -> watch::Receiver<States> {
        self.states.subscribe()
    }

    /// The calls under way in each component that has any.
    pub(crate) fn calls_inside(&self) -> BTreeMap<Name, u64> {
        let inside = |hosted: &Arc<Hosted>| {
            let calls = self.doors.of(hosted.registration.name)?.gate.inside();
            (calls > 0).then(|| (hosted.name.clone(), calls))
        };
        self.components().all.iter().filter_map(inside).collect()
    }

    /// What its process has counted since it began.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            panicked: guard::panics(),
            late: guard::late(),
            ..self.panel.network.counters()
        }
    }

    /// The epoch of the directory in use.
    pub(crate) fn epoch(&self) -> u64 {
        self.panel.network.directory().epoch
    }

    /// What becomes of its spans, where there are any.
    pub(crate) fn trails(&self) -> Option<&Arc<Trails>> {
        self.panel.trails.as_ref()
    }

    pub(crate) fn panel(&self) -> &Arc<Panel> {
        &self.panel
    }

    /// The components of which nothing runs, and that calls of this replica wait for.
    /// Each with the epoch in which the first of these calls came.
    pub(crate) fn wanted(&self) -> watch::Receiver<BTreeMap<Name, u64>> {
        self.panel.network.wanted()
    }

    /// Takes a directory, unless it is older than the one in use.
    pub(crate) fn update(&self, directory: Directory) {
        let directory = directory.fitting(&self.interfaces);
        self.panel.update(directory);
    }

    /// Proves itself with `identity` from now on; with what it had, if this one is of no use.
    pub(crate) fn set_identity(&self, identity: &Identity) {
        if let Err(error) = self.panel.network.set_identity(identity) {
            tracing::error!(target: "anylith", %error, "a new identity is of no use; the one before stays");
        }
    }

    /// The component `C` of this process, once it is ready.
    pub(crate) fn component<C: Any + Send + Sync>(&self, name: &str) -> Option<Arc<C>> {
        let hosted = self.hosted(name)?;
        let phase = hosted.phase();
        match &*phase {
            Phase::Ready(life) => Arc::clone(&life.component).downcast().ok(),
            Phase::Starting | Phase::Over { .. } => None,
        }
    }

    /// Starts every component, each as soon as what it is dependent on is ready, here or elsewhere.
    ///
    /// # Errors
    ///
    /// The first component that fails.
    ///
    /// # Cancellation
    ///
    /// What was ready stays ready; what was starting is dropped.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), ComponentFailure> {
        let mut starting = JoinSet::new();
        let all = self.components().all.clone();
        for hosted in all {
            let replica = Arc::clone(self);
            starting.spawn(async move { replica.start_one(&hosted).await });
        }
        let mut lookout = pin!(self.look_out());
        loop {
            let started = tokio::select! {
                biased;
                // First, so that what was waited for is told to be there before nothing is left to start.
                never = &mut lookout => match never {},
                started = starting.join_next() => started,
            };
            let Some(started) = started else {
                return Ok(());
            };
            // A panic of the component was caught inside; here it could only be one of ours.
            started.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        }
    }

    /// Says what is waited for in other processes, where nobody else does: a control plane knows it, and says it.
    async fn look_out(&self) -> Infallible {
        if !self.directory_is_hope {
            return pending().await;
        }
        let mut lookout = Lookout::new();
        let mut states = self.states.subscribe();
        let mut directory = self.panel.network.watch();
        directory.mark_changed();
        let mut look = pin!(sleep(lookout.pause()));
        loop {
            let news = tokio::select! {
                () = &mut look => {
                    let news = lookout.look(&self.waiting());
                    look.as_mut().reset(Instant::now() + lookout.pause());
                    news
                }
                // The sender lives as long as `self`.
                _ = states.changed(), if lookout.has_told() => lookout.arrived(&self.waiting()),
                // To look is to connect: whoever is said to be missing was asked before, though a component waits for one
                // after the other.
                _ = directory.changed() => lookout.arrived(&self.waiting()),
            };
            for news in news {
                match news {
                    News::Waits { component, text } => {
                        tracing::warn!(target: "anylith", %component, "{text}");
                    }
                    News::GoesOn { component, text } => {
                        tracing::info!(target: "anylith", %component, "{text}");
                    }
                }
            }
        }
    }

    /// What each component that has not begun to start misses in other processes, and why.
    fn waiting(&self) -> BTreeMap<Name, BTreeMap<Name, Obstacles>> {
        let states = self.states.borrow().clone();
        let is_here = |name: &str| states.contains_key(name);
        let mut waiting = BTreeMap::new();
        for hosted in &self.components().all {
            if !is_in(&states, hosted.name.as_str(), ComponentState::Waiting) {
                continue;
            }
            let dependencies = hosted.registration.dependencies.iter();
            let missing: BTreeMap<Name, Obstacles> = dependencies
                .filter(|dependency| !is_here(dependency))
                .filter_map(|dependency| {
                    let dependency = checked(dependency);
                    let obstacles = self.panel.network.obstacles(&dependency)?;
                    Some((dependency, obstacles))
                })
                .collect();
            if !missing.is_empty() {
                waiting.insert(hosted.name.clone(), missing);
            }
        }
        waiting
    }

    async fn start_one(&self, hosted: &Hosted) -> Result<(), ComponentFailure> {
        let name = &hosted.name;
        let _attempt = hosted.turn.attempt();
        tokio::select! {
            () = self.dependencies_ready(&hosted.registration) => hosted.turn.comes().await,
            () = hosted.turn.is_over() => {}
        }
        if hosted.drained().is_some() {
            self.enter(name, ComponentState::Stopped);
            return Ok(());
        }
        self.enter(name, ComponentState::Starting);
        let wiring = Wiring {
            component: name.clone(),
            panel: Arc::clone(&self.panel),
            handed: hosted.turn.handed(),
        };
        let frame = Frame::of(hosted.registration.name);
        let building = Framed {
            future: (hosted.registration.build)(wiring),
            frame,
        };
        // What comes after a singleton waits until it is gone: it is not brought to an end first.
        let is_singleton = hosted.registration.singleton.is_some();
        let built = tokio::select! {
            built = building => built,
            () = hosted.turn.is_over(), if is_singleton => {
                self.enter(name, ComponentState::Stopped);
                return Ok(());
            }
        };
        let built = match built {
            Ok(Ok(built)) => built,
            Ok(Err(error)) => {
                return Err(ComponentFailure {
                    component: name.clone(),
                    error,
                });
            }
            Err(panic) => {
                let error = StartError::from_cause(format!("its start panicked: {panic}"));
                return Err(ComponentFailure {
                    component: name.clone(),
                    error,
                });
            }
        };
        match self.open(hosted, built) {
            Ok(Opened::Ready) => self.enter(name, ComponentState::Ready),
            Ok(Opened::Asked) => {
                let has_agreed =
                    |states: &States| !is_in(states, name.as_str(), ComponentState::Starting);
                let _ = self.states.subscribe().wait_for(has_agreed).await;
            }
            // It was drained while it started. What it has begun it may finish, within the time of the drain.
            Err(Late { hooks, end }) => self.shut_down(hosted, &*hooks, end).await,
        }
        // Who is here already, and has called it elsewhere so far.
        self.panel.come(hosted.registration.name);
        Ok(())
    }

    /// Waits until every dependency takes calls, in this process or in another. One that is unhealthy takes them: to wait
    /// for it would make an outage of what may be no more than a check that is wrong.
    async fn dependencies_ready(&self, registration: &Registration) {
        for dependency in &registration.dependencies {
            let mut states = self.states.subscribe();
            loop {
                let here = states.borrow_and_update().get(*dependency).cloned();
                // Another one of it is elsewhere.
                let is_held = here.as_ref().is_some_and(|standing| standing.held);
                match here.map(|standing| standing.state) {
                    Some(ComponentState::Ready | ComponentState::Unhealthy) => break,
                    Some(ComponentState::Waiting | ComponentState::Starting) if !is_held => {
                        // The senders live as long as `self`, so waiting ends with what is waited for.
                        let _ = states.changed().await;
                    }
                    // It may come to be here while it is waited for elsewhere.
                    Some(
                        ComponentState::Waiting
                        | ComponentState::Starting
                        | ComponentState::Draining
                        | ComponentState::Stopped,
                    )
                    | None => {
                        tokio::select! {
                            () = self.taken_elsewhere(dependency) => break,
                            _ = states.changed() => {}
                        }
                    }
                }
            }
        }
    }

    /// Waits until `component` takes calls in another process: because the directory says so, if it names only what
    /// takes them, or because somebody offers it.
    async fn taken_elsewhere(&self, component: &'static str) {
        let network = &self.panel.network;
        if self.directory_is_hope {
            network.offered(&checked(component)).await;
            return;
        }
        let is_ready = |directory: &Arc<Directory>| directory.can_call(component);
        // The sender lives as long as `self`.
        let _ = network.watch().wait_for(is_ready).await;
    }

    /// Lets calls in, and sets the component's own work going, unless the component was drained meanwhile.
    fn open(&self, hosted: &Hosted, built: Built) -> Result<Opened, Late> {
        let name = hosted.registration.name;
        let mut phase = hosted.phase();
        if let Phase::Over { end } = *phase {
            let hooks = built.hooks;
            return Err(Late { hooks, end });
        }
        if let Some(door) = self.doors.of(name) {
            let present = Present {
                object: built.object,
                gate: Arc::clone(&door.gate),
            };
            self.panel
                .here
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name, present);
            door.open.store(Some(Arc::new(built.serve)));
        }
        let (stop, stopping) = watch::channel(false);
        let work = built.hooks.run(Stopping::new(stopping));
        let failures = self.failures.clone();
        let component = hosted.name.clone();
        let running = Task::spawn(async move {
            let error = match (Framed {
                future: work,
                frame: Frame::of(name),
            })
            .await
            {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => StartError::from_cause(format!("its serve panicked: {panic}")),
            };
            failures.tell(component, error);
        });
        let health = built.hooks.check_health().map(|_| {
            let monitor = Monitor {
                name: hosted.name.clone(),
                component: name,
                hooks: Arc::clone(&built.hooks),
                states: self.states.clone(),
            };
            Task::spawn(monitor.watch())
        });
        let opened = match health {
            Some(_) => Opened::Asked,
            None => Opened::Ready,
        };
        let life = Life {
            component: built.component,
            hooks: built.hooks,
            stop,
            running,
            health,
        };
        *phase = Phase::Ready(life);
        Ok(opened)
    }

    fn enter(&self, component: &Name, state: ComponentState) {
        self.enter_as(component, &state.into());
    }

    fn enter_as(&self, component: &Name, standing: &Standing) {
        if tell(&self.states, component, standing) {
            let state = standing.state;
            tracing::debug!(target: "anylith", %component, ?state, "component");
        }
    }
}

fn door(registration: &Registration, measures: &Measures, trails: Option<Arc<Trails>>) -> Door {
    Door {
        served: ServedComponent {
            name: checked(registration.name),
            fingerprint: registration.fingerprint(),
            methods: registration.methods.len() as u16,
        },
        place: Place::of(registration.name),
        methods: registration.methods,
        gate: Arc::new(Gate::default()),
        recorders: measures.recorders(registration),
        trails,
        open: ArcSwapOption::empty(),
    }
}

#[cfg(test)]
mod tests;
