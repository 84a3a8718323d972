//! An application, as it is declared and begun.

mod error;

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    marker::PhantomData,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anylith_core::{Address, Directory, Endpoint, InvalidName, Manifest, Name};
use anylith_topology::Plan;
use serde_json::{Value, json};

pub use error::AppError;

use crate::{
    backlog::Backlog,
    component::{Assembled, Component, Registration},
    descriptors,
    inherited::Inherited,
    interface::{ImplementedBy, Provides},
    link::{Enlistment, Link},
    logging,
    orders::OrdersFile,
    replica::{Replica, Setup},
    role::Role,
    running::{Orders, Running},
    signals::{Signals, outlive_hangups},
    standalone,
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
    /// On SIGINT or SIGTERM it drains, also while it starts; on a second one it ends at once.
    ///
    /// # Cancellation
    ///
    /// The application ends at once: what has not stopped yet is dropped.
    pub async fn run(self) -> ExitCode {
        match self.launch(Signals::heard).await {
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
    /// What kept a component from starting, or is wrong with the settings; or [`AppError::StoppedEarly`], where it was told
    /// to stop before all was ready, and has. [`AppError::report`] says which exit code that is.
    ///
    /// # Cancellation
    ///
    /// Everything that was begun ends at once; components that were ready are dropped without their `stop`.
    pub async fn start(self) -> Result<Running, AppError> {
        self.launch(Signals::ignored).await
    }

    /// Starts this process. It begins to `listen` to signals where it is more than an answer to a question.
    async fn launch(self, listen: fn() -> Signals) -> Result<Running, AppError> {
        let role = Role::from_env()?;
        logging::begin(role.is_replica());
        if !matches!(role, Role::Describe | Role::Check) {
            descriptors::take_more();
        }
        // A description looks at every type that travels: only who needs it makes one, and no replica does.
        match role {
            Role::Describe => {
                let manifest = self.manifest()?;
                print(&serde_json::to_string(&manifest).unwrap_or_default());
                std::process::exit(0);
            }
            Role::Check => {
                print(&self.check_configs()?.to_string());
                std::process::exit(0);
            }
            Role::Replica(enlistment) => self.enlist(enlistment, listen()).await,
            Role::Orders(path) => {
                let file = OrdersFile::read(path)?;
                self.stand(file, listen()).await
            }
            Role::Standalone(path) => {
                let manifest = self.manifest()?;
                let plan = standalone::plan(&manifest, &self.components, path.as_deref())?;
                let names: Vec<Name> = plan.listeners.keys().cloned().collect();
                self.start_alone(plan, Inherited::take(&names), None, listen())
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
        self.start_alone(plan, Inherited::default(), wire, Signals::ignored())
            .await
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
        let enlistment = Enlistment {
            control,
            replica,
            incarnation: 1,
        };
        self.enlist(enlistment, Signals::ignored()).await
    }

    async fn start_alone(
        self,
        plan: Plan,
        inherited: Inherited,
        wire: Option<Endpoint>,
        signals: Signals,
    ) -> Result<Running, AppError> {
        let Inherited { listeners, relays } = inherited;
        let passed_on: Vec<Name> = listeners.keys().cloned().collect();
        let listeners = standalone::bind(&plan.listeners, listeners)?;
        // Those of somebody else live on, and with them what waits there.
        let own = listeners
            .iter()
            .filter(|(name, _)| !passed_on.contains(name));
        let backlog = Backlog::new(own.map(|(_, socket)| Arc::clone(socket)).collect());
        let names: Vec<&str> = self.components.iter().map(|it| it.name).collect();
        let through_the_wire = wire.is_some();
        let mut limits = plan.limits;
        if !through_the_wire {
            // Nobody else will ever answer, so there is nobody to wait for.
            limits.reach_timeout_ms = 0;
        }
        let callers = callers(&self.components)?;
        let setup = Setup {
            name: Name::new("monolith-1")?,
            components: self.components,
            others: Vec::new(),
            endpoints: wire.into_iter().collect(),
            listeners: listeners.clone(),
            relays,
            config: plan.config,
            edges: plan.edges,
            limits,
            telemetry: plan.telemetry,
            collected: false,
            directory: Directory::default(),
            directory_is_hope: false,
            identity: None,
            callers: Some(callers),
            through_the_wire,
            held: Vec::new(),
        };
        let own = setup.name.clone();
        let (replica, failures) = Replica::new(setup).map_err(AppError::Endpoint)?;
        if let Some(endpoint) = replica.endpoint() {
            replica.update(directory_of_one(&own, &endpoint, &names)?);
        }
        Running::begin(
            replica,
            failures,
            Orders::Nobodys,
            (listeners, backlog),
            signals,
        )
        .await
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
    async fn enlist(
        self,
        enlistment: Enlistment,
        mut signals: Signals,
    ) -> Result<Running, AppError> {
        outlive_hangups();
        let welcomed = tokio::select! {
            welcomed = Link::be_welcomed(&enlistment) => welcomed,
            () = signals.next() => return Err(AppError::StoppedEarly),
        };
        let (link, bootstrap) = welcomed.map_err(|source| AppError::NoControl {
            path: enlistment.control.clone(),
            source,
        })?;
        let names: Vec<Name> = bootstrap.listeners.keys().cloned().collect();
        let inherited = Inherited::take(&names);
        let mut setup = Setup::of(
            bootstrap,
            enlistment.replica.clone(),
            self.components,
            inherited,
        )
        .map_err(|components| AppError::OtherBinary { components })?;
        setup.collected = true;
        let (replica, failures) = Replica::new(setup).map_err(AppError::Endpoint)?;
        Running::begin(
            replica,
            failures,
            Orders::Control(link, enlistment),
            Default::default(),
            signals,
        )
        .await
    }
}

impl<A: Application> Builder<A> {
    /// Becomes a replica without a control plane.
    async fn stand(self, file: OrdersFile, signals: Signals) -> Result<Running, AppError> {
        let orders = file.orders.clone();
        let bootstrap = orders.bootstrap;
        let names: Vec<Name> = bootstrap.listeners.keys().cloned().collect();
        let Inherited { listeners, relays } = Inherited::take(&names);
        let passed_on: Vec<Name> = listeners.keys().cloned().collect();
        let listeners = standalone::bind(&orders.listen, listeners)?;
        // Those that systemd has bound live on, and with them what waits there.
        let own = listeners
            .iter()
            .filter(|(name, _)| !passed_on.contains(name));
        let backlog = Backlog::new(own.map(|(_, socket)| Arc::clone(socket)).collect());
        let inherited = Inherited {
            listeners: listeners.clone(),
            relays,
        };
        let mut setup = Setup::of(bootstrap, orders.replica, self.components, inherited)
            .map_err(|components| AppError::OtherBinary { components })?;
        setup.directory_is_hope = true;
        let (replica, failures) = Replica::new(setup).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => AppError::EndpointTaken(error),
            _ => AppError::Endpoint(error),
        })?;
        Running::begin(
            replica,
            failures,
            Orders::File(Box::new(file)),
            (listeners, backlog),
            signals,
        )
        .await
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
    Ok(Directory::new(
        1,
        components.collect::<Result<Vec<_>, _>>()?,
    ))
}

/// Component → those that are dependent on it.
fn callers(components: &[Registration]) -> Result<BTreeMap<Name, Vec<Name>>, InvalidName> {
    let mut callers: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
    for caller in components {
        for callee in &caller.dependencies {
            let callers = callers.entry(Name::new(callee)?).or_default();
            callers.push(Name::new(caller.name)?);
        }
    }
    Ok(callers)
}

fn print(line: &str) {
    // Nobody reads any more: there is nobody to tell, either.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
