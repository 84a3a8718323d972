//! An application, from its declaration to its end.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    marker::PhantomData,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anylith_core::{Address, Directory, Endpoint, InvalidName, Manifest, Name};
use anylith_topology::Plan;
use anylith_wire::control::FromReplica;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    component::{Assembled, Component, Registration},
    conductor::{self, Command, End},
    edge::CallCounts,
    inherited,
    interface::{ImplementedBy, Provides},
    link::{Identity, Link},
    logging,
    replica::{ComponentFailure, Replica, Setup},
    role::{InvalidRole, Role},
    standalone::{self, SetupError},
};

/// A closed set of components. `app!` implements it.
pub trait Application: Sized + 'static {
    /// The application's name.
    const NAME: &'static str;
    /// What it is for, in a sentence.
    const SUMMARY: &'static str;

    /// Its components, in the order in which they were listed.
    fn components() -> Vec<Registration>;
}

/// Takes components that were made by hand, and runs the application.
pub struct Builder<A> {
    components: Vec<Registration>,
    app: PhantomData<fn() -> A>,
}

impl<A: Application> Builder<A> {
    /// An application whose components all build themselves.
    #[expect(
        clippy::new_without_default,
        reason = "an application makes its own, in `app!`"
    )]
    pub fn new() -> Self {
        Self {
            components: A::components(),
            app: PhantomData,
        }
    }

    /// Takes `component` as it is: it is not built. In a process where the component does not run, it is dropped.
    #[must_use]
    pub fn with<C: Component>(self, component: C) -> Self
    where
        A: Provides<C::Interface>,
    {
        self.put(Registration::made(Arc::new(component)))
    }

    /// Builds the component `C` with `assemble`, which adds what was made by hand to the fields that the runtime
    /// makes: clients, config and listeners.
    ///
    /// It is called where the component runs, and only there, when everything that the component is dependent on
    /// is ready.
    #[must_use]
    pub fn assemble<C: Assembled>(
        self,
        assemble: impl Fn(C::Parts) -> C + Send + Sync + 'static,
    ) -> Self
    where
        A: Provides<C::Interface>,
    {
        self.put(Registration::assembled(assemble))
    }

    /// Puts `implementation` in the place of the component with the interface `I`: a fake, in a test. It is
    /// dependent on nothing.
    #[must_use]
    pub fn replace<I, C>(self, implementation: &Arc<C>) -> Self
    where
        A: Provides<I>,
        I: ImplementedBy<C>,
        C: Send + Sync + 'static,
    {
        self.put(Registration::stand_in::<I, C>(implementation))
    }

    /// Adds `C`, which drives the application from this process: it is not in `app!`, it is dependent on every
    /// component of the application, and nobody calls it.
    #[must_use]
    pub fn driven_by<C: Component>(mut self) -> Self {
        let driven = self.components.iter().map(|it| it.name).collect();
        self.components
            .push(Registration::of::<C>().dependent_on(driven));
        self
    }

    fn put(mut self, registration: Registration) -> Self {
        if let Some(place) = self
            .components
            .iter_mut()
            .find(|it| it.name == registration.name)
        {
            *place = registration;
        }
        self
    }

    /// Runs this process in the role that its environment gives it, until it is told to stop: the whole
    /// application, or one replica under `anylith run`. Prints what goes wrong, and returns 0 after an orderly end,
    /// 1 if a component failed, 2 if a setting is wrong.
    ///
    /// On SIGINT or SIGTERM it drains; on a second one it ends at once.
    pub async fn run(self) -> ExitCode {
        match self.start().await {
            Ok(running) => {
                running.announce();
                running.wait().await
            }
            Err(error) => error.report(),
        }
    }

    /// Starts this process in the role that its environment gives it, and returns when every component of it is
    /// ready, so that an existing `main` can go on. Asked to describe itself, the process prints and exits here.
    ///
    /// # Errors
    ///
    /// What kept a component from starting, or is wrong with the settings.
    ///
    /// # Cancellation
    ///
    /// Components that were ready are dropped without their `stop`.
    pub async fn start(self) -> Result<Running, AppError> {
        let role = Role::from_env()?;
        logging::begin(role.is_replica());
        let manifest = self.manifest()?;
        match role {
            Role::Describe => {
                print(&serde_json::to_string(&manifest).unwrap_or_default());
                std::process::exit(0);
            }
            Role::Check => {
                print(&self.check_configs()?.to_string());
                std::process::exit(0);
            }
            Role::Replica(identity) => self.enlist(identity).await,
            Role::Standalone(path) => {
                let plan = standalone::plan(&manifest, &self.components, path.as_deref())?;
                let names: Vec<Name> = plan.listeners.keys().cloned().collect();
                self.start_alone(plan, inherited::listeners(&names), None)
                    .await
            }
        }
    }

    /// Starts the whole application in this process as `plan` says, whatever the environment says. With an endpoint
    /// in `wire`, calls between components leave the process through it and come back: everything is encoded, sent
    /// and decoded as if each component were alone.
    ///
    /// # Errors
    ///
    /// What kept a component from starting, or an address that cannot be bound.
    ///
    /// # Cancellation
    ///
    /// As with [`Builder::start`].
    pub async fn start_with(self, plan: Plan, wire: Option<Endpoint>) -> Result<Running, AppError> {
        self.start_alone(plan, BTreeMap::new(), wire).await
    }

    /// Starts this process as the replica called `replica` under the control plane that listens at `control`,
    /// whatever the environment says. Which components run here is the control plane's to say.
    ///
    /// # Errors
    ///
    /// As with [`Builder::start`].
    ///
    /// # Cancellation
    ///
    /// As with [`Builder::start`].
    pub async fn join(self, control: PathBuf, replica: Name) -> Result<Running, AppError> {
        let identity = Identity {
            control,
            replica,
            incarnation: 1,
        };
        self.enlist(identity).await
    }

    async fn start_alone(
        self,
        plan: Plan,
        inherited: BTreeMap<Name, Arc<TcpListener>>,
        wire: Option<Endpoint>,
    ) -> Result<Running, AppError> {
        let listeners = standalone::bind(&plan, inherited)?;
        let names: Vec<&str> = self.components.iter().map(|it| it.name).collect();
        let through_the_wire = wire.is_some();
        let setup = Setup {
            name: Name::new("monolith-1")?,
            components: self.components,
            endpoint: wire,
            listeners: listeners.clone(),
            config: plan.config,
            edges: plan.edges,
            limits: plan.limits,
            directory: Directory::default(),
            through_the_wire,
        };
        let own = setup.name.clone();
        let (replica, failures) = Replica::new(setup).map_err(AppError::Endpoint)?;
        if let Some(endpoint) = replica.endpoint() {
            replica.update(directory_of_one(&own, &endpoint, &names)?);
        }
        Running::begin(replica, failures, None, listeners).await
    }

    /// The application as it describes itself.
    ///
    /// # Errors
    ///
    /// A component whose Rust name is too long to be a [`Name`].
    pub fn manifest(&self) -> Result<Manifest, InvalidName> {
        Ok(Manifest {
            app: Name::new(A::NAME)?,
            summary: A::SUMMARY.to_owned(),
            components: self
                .components
                .iter()
                .map(Registration::manifest)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Reads `{component: config}` from standard input and says what is wrong with each.
    fn check_configs(&self) -> Result<Value, AppError> {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .map_err(AppError::Input)?;
        let configs: BTreeMap<String, Value> =
            serde_json::from_str(&text).map_err(|error| AppError::Input(error.into()))?;
        let problems = self.components.iter().flat_map(|registration| {
            let config = configs.get(registration.name).unwrap_or(&Value::Null);
            let problems = registration.check_config(config).into_iter();
            problems.map(|problem| {
                json!({
                    "component": registration.name,
                    "key": problem.key,
                    "message": problem.message,
                })
            })
        });
        Ok(problems.collect())
    }

    /// Becomes a replica under a control plane.
    async fn enlist(self, identity: Identity) -> Result<Running, AppError> {
        let (link, bootstrap) =
            Link::be_welcomed(&identity)
                .await
                .map_err(|source| AppError::NoControl {
                    path: identity.control.clone(),
                    source,
                })?;
        let names: Vec<Name> = bootstrap.listeners.keys().cloned().collect();
        let mut components = self.components;
        components.retain(|it| bootstrap.components.iter().any(|name| *name == it.name));
        let setup = Setup {
            name: identity.replica.clone(),
            components,
            endpoint: Some(bootstrap.endpoint),
            listeners: inherited::listeners(&names),
            config: bootstrap.config,
            edges: bootstrap.edges,
            limits: bootstrap.limits,
            directory: bootstrap.directory,
            through_the_wire: false,
        };
        let (replica, failures) = Replica::new(setup).map_err(AppError::Endpoint)?;
        Running::begin(replica, failures, Some((link, identity)), BTreeMap::new()).await
    }
}

/// The directory of a process that calls its own components through the wire: all of them answer at `endpoint`.
fn directory_of_one(
    replica: &Name,
    endpoint: &Endpoint,
    components: &[&str],
) -> Result<Directory, InvalidName> {
    let address = Address {
        replica: replica.clone(),
        endpoint: endpoint.clone(),
    };
    let components = components
        .iter()
        .map(|name| Ok((Name::new(name)?, vec![address.clone()])));
    Ok(Directory {
        epoch: 1,
        components: components.collect::<Result<_, _>>()?,
    })
}

fn print(line: &str) {
    // Nobody reads any more: there is nobody to tell, either.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// An application, or the part of it that this process is, while it runs.
pub struct Running {
    replica: Arc<Replica>,
    listeners: BTreeMap<Name, Arc<TcpListener>>,
    conductor: JoinHandle<End>,
    link: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Running {
    async fn begin(
        replica: Replica,
        failures: mpsc::Receiver<ComponentFailure>,
        control: Option<(Link, Identity)>,
        listeners: BTreeMap<Name, Arc<TcpListener>>,
    ) -> Result<Self, AppError> {
        let replica = Arc::new(replica);
        let (stop, stop_asked) = watch::channel(false);
        let mut reports = None;
        let (command, link) = match control {
            None => (None, None),
            Some((link, identity)) => {
                // A control plane that sends faster than orders are carried out waits.
                let (orders_in, orders) = mpsc::channel(64);
                let (reports_in, reports_out) = mpsc::channel(8);
                reports = Some(reports_in.clone());
                let kept = link.keep(
                    identity.clone(),
                    Arc::clone(&replica),
                    reports_out,
                    orders_in,
                );
                let command = Command {
                    identity,
                    orders,
                    reports: reports_in,
                };
                (Some(command), Some(tokio::spawn(kept)))
            }
        };
        let conducted = conductor::conduct(Arc::clone(&replica), command, failures, stop_asked);
        let mut running = Self {
            replica,
            listeners,
            conductor: tokio::spawn(conducted),
            link,
            stop,
        };
        let started = tokio::select! {
            started = running.replica.start() => started,
            end = &mut running.conductor => {
                return Err(match end {
                    Ok(End::Failed(failure)) => failure.into(),
                    _ => AppError::StoppedEarly,
                });
            }
        };
        match started {
            Ok(()) => Ok(running),
            Err(failure) => {
                if let Some(reports) = reports {
                    let report = FromReplica::Failed {
                        component: Some(failure.component.clone()),
                        message: failure.error.to_string(),
                    };
                    let _ = reports.send(report).await;
                }
                running.stop.send_replace(true);
                let _ = (&mut running.conductor).await;
                running.end_link().await;
                Err(failure.into())
            }
        }
    }

    /// The component `C`, if it runs in this process.
    pub fn component<C: Component>(&self) -> Option<Arc<C>> {
        self.replica.component::<C>(C::NAME)
    }

    /// What was called along each edge out of this process's components.
    pub fn calls(&self) -> Vec<CallCounts> {
        self.replica.panel().counts()
    }

    /// The address at which the listener called `name` was bound by this process.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name)?.local_addr().ok()
    }

    /// Asks the components to stop, and waits until they have. Unlike [`Running::wait`] it leaves the process's
    /// signals alone.
    ///
    /// # Cancellation
    ///
    /// The stop goes on.
    pub async fn shut_down(mut self) {
        self.stop();
        let _ = (&mut self.conductor).await;
        self.end_link().await;
    }

    /// Asks the components to stop; [`Running::wait`] returns when they have.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the application has stopped: because [`Running::stop`] was called, on SIGINT or SIGTERM, by the
    /// control plane's order, or because a component failed. Returns the exit code that says which.
    pub async fn wait(mut self) -> ExitCode {
        let mut asked = false;
        loop {
            tokio::select! {
                end = &mut self.conductor => {
                    self.end_link().await;
                    return match end {
                        Ok(end) => {
                            if let End::Failed(failure) = &end {
                                eprintln!("error: {}", AppError::from_failure(failure));
                            }
                            end.exit_code()
                        }
                        Err(_) => ExitCode::FAILURE,
                    };
                }
                () = told_to_stop() => {
                    if std::mem::replace(&mut asked, true) {
                        return ExitCode::from(130);
                    }
                    self.stop.send_replace(true);
                }
            }
        }
    }

    /// Says where the listeners are, for people and scripts.
    fn announce(&self) {
        for (name, socket) in &self.listeners {
            if let Ok(address) = socket.local_addr() {
                print(&format!("ready: {name} http://{address}"));
            }
        }
    }

    /// Lets the last reports out.
    async fn end_link(&mut self) {
        if let Some(link) = self.link.take() {
            let abort = link.abort_handle();
            if tokio::time::timeout(std::time::Duration::from_millis(200), link)
                .await
                .is_err()
            {
                abort.abort();
            }
        }
    }
}

/// Resolves on the next SIGINT or SIGTERM.
async fn told_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Why an application could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The environment makes no sense.
    #[error(transparent)]
    Role(#[from] InvalidRole),
    /// A Rust name is too long to be a component's.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The settings are wrong, or an address cannot be bound.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A component did not start.
    #[error("component `{component}` failed: {message}")]
    Component {
        /// The component.
        component: Name,
        /// What went wrong, with its causes.
        message: String,
    },
    /// The replica cannot answer calls.
    #[error("cannot bind the endpoint of this replica")]
    Endpoint(#[source] io::Error),
    /// The control plane cannot be reached.
    #[error("cannot reach the control plane at {}", path.display())]
    NoControl {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was to be checked cannot be read.
    #[error("cannot read the configs on standard input")]
    Input(#[source] io::Error),
    /// It was told to stop before it was ready.
    #[error("stopped before it was ready")]
    StoppedEarly,
}

impl From<ComponentFailure> for AppError {
    fn from(failure: ComponentFailure) -> Self {
        Self::from_failure(&failure)
    }
}

impl AppError {
    fn from_failure(failure: &ComponentFailure) -> Self {
        Self::Component {
            component: failure.component.clone(),
            message: failure.error.to_string(),
        }
    }

    /// Prints the error with its causes, and returns the exit code: 2 where a setting is wrong, 0 where it is no
    /// failure, else 1.
    pub fn report(&self) -> ExitCode {
        if let Self::StoppedEarly = self {
            return ExitCode::SUCCESS;
        }
        let mut text = format!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text.push_str(&format!(": {next}"));
            cause = next.source();
        }
        eprintln!("{text}");
        match self {
            Self::Setup(_) | Self::Role(_) | Self::Name(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
